"""A variant cut into slots: put together again it is the letter, to the byte."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rules.letters import merge
from pipeline.rules.letters.render import render
from pipeline.rules.letters.slots import Slot, html_slots, text_slots
from tests.rules.letters.samples import EDITIONS, NOBODY, TEMPLATES, VALUES

NASTY = (
    "{{first_name}}",
    "{{x}}",
    "{% raw %}",
    'O\'Hara & "Sons" <b>',
    "מרים בן־דוד",
    "\u202eevil",
    "  spaces  ",
    "line\nbreak\r\nand more",
    "javascript:alert(1)",
    "https://letters.quaytide.example/leave/a?b=c&d=e",
    "-tag-",
    "a\u00a0b",
    "\ue000first_name|x\ue001",
    "word " * 40,
    "",
)


def put_together(slots: tuple[str | Slot, ...], values: Mapping[str, str]) -> str:
    clean = merge.cleaned(values)
    return "".join(one.fill(clean) if isinstance(one, Slot) else one for one in slots)


def same(text: str, values: Mapping[str, str]) -> None:
    assert put_together(html_slots(text), values) == merge.fill_html(text, values)
    assert put_together(text_slots(text), values) == merge.fill_text(text, values)


@pytest.mark.parametrize("kind", sorted(EDITIONS))
def test_every_edition_is_the_same_letter(kind: str) -> None:
    rendered = render(EDITIONS[kind], TEMPLATES)
    nasty = [dict.fromkeys(merge.MERGE_FIELDS, value) for value in NASTY]
    for values in (VALUES, NOBODY, *nasty):
        for part in (rendered.html, rendered.text, rendered.subject):
            same(part, values)


FIELDS = st.sampled_from(["first_name", "signature", "leave_url"])
PIECES = st.one_of(
    st.text(alphabet=" \n.ab<>\"'&;", max_size=6),
    st.builds(merge.mark, FIELDS, st.sampled_from(["", "there", " "])),
    st.builds(
        lambda name, text: f"\ue002{name}\ue003{text}\ue004", FIELDS, st.text(" \na", max_size=4)
    ),
    st.builds(
        lambda name, text: merge.flow(f"{text}{merge.mark(name)} end", "- ", "  "),
        FIELDS,
        st.text(" ab", max_size=90),
    ),
)
WORDS = st.dictionaries(FIELDS, st.one_of(st.sampled_from(NASTY), st.text(" \nab&", max_size=9)))


@given(st.lists(PIECES, max_size=9).map("".join), WORDS)
def test_whatever_stands_beside_whatever(text: str, values: dict[str, str]) -> None:
    same(text, values)


def test_what_is_the_same_for_everybody_is_no_slot() -> None:
    assert text_slots("\n Berths  \n\n\n\n\nby the minute \n") == (
        "\n ", "Berths\n\n\nby the minute", "\n",
    )  # fmt: skip
    assert not any(isinstance(one, Slot) for one in html_slots("<p>Berths </p>\n"))
