from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model.news import Story, StoryKind
from pipeline.rules.letters.prefill import MAX_QUOTED, opening_quote, prefilled
from tests.builders import NOW


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("", ""),
        (" \n ", ""),
        ("Ferries wait in Bergen. Nobody knows why.", "“Ferries wait in Bergen.”"),
        ("Mr. Haugen of Bergen waits. So do we.", "“Mr. Haugen of Bergen waits.”"),
        ("It cost 2.5 million. Still.", "“It cost 2.5 million.”"),
        ("“We wait for it,” she said. Then.", "“‘We wait for it,’ she said.”"),
        ('They "wait" there today! Yes.', "“They ’wait’ there today!”"),
        ("See [here](http://x) and *there* {{first_name}}",
         r"“See \[here\](http://x) and \*there\* \{\{first\_name\}\}”"),
    ],
)  # fmt: skip
def test_the_first_sentence_stands_in_quotation_marks(text: str, quote: str) -> None:
    assert opening_quote(text) == quote


@settings(deadline=None)
@given(st.text())
def test_never_more_than_forty_words_and_always_marked(text: str) -> None:
    quote = opening_quote(text)
    if quote:
        assert quote[0] == "“"
        assert quote[-1] == "”"
        assert "“" not in quote[1:]
        assert len(re.sub(r" …”$", "", quote).split()) <= MAX_QUOTED


@pytest.mark.parametrize("kind", ["note", "own"])
def test_our_own_words_are_taken_whole(kind: StoryKind) -> None:
    story = Story(1, "a", kind, " Seen ", "First.", "First. Second.\n\nThird.", NOW, NOW)
    assert prefilled(story) == {"title": "Seen", "fact": "First. Second.\n\nThird."}


def test_a_story_without_a_title_gets_one() -> None:
    assert prefilled(Story(1, "a", "news", "", "", "", NOW, NOW)) == {
        "title": "Untitled", "fact": "",
    }  # fmt: skip
