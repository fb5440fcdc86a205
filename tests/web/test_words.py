"""What the pages say, in every language."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from pipeline.rules.letters.language import LANGUAGES, OUR_WORDS
from pipeline.web.words import ENGLISH, PAGES, PageWords


def sayings(ours: PageWords) -> dict[str, str]:
    """Everything that one language says, by name."""
    plain = {f.name: getattr(ours, f.name) for f in fields(ours)}
    said = {name: words for name, words in plain.items() if isinstance(words, str)}
    pairs = {**ours.trouble, 0: ours.broken}
    return said | {
        f"{code} {n}": words for code, pair in pairs.items() for n, words in enumerate(pair)
    }


def test_whoever_writes_letters_in_a_language_has_its_pages_too() -> None:
    assert set(PAGES) == set(LANGUAGES)


@pytest.mark.parametrize("code", PAGES)
def test_a_language_is_whole(code: str) -> None:
    ours, english = sayings(PAGES[code]), sayings(ENGLISH)
    assert set(ours) == set(english)
    for name, words in ours.items():
        assert words.strip() == words != ""
        assert set(re.findall(r"\{\w+\}", words)) == set(re.findall(r"\{\w+\}", english[name]))


@pytest.mark.parametrize("code", PAGES)
def test_no_page_says_what_a_reader_is_to_us(code: str) -> None:
    for words in sayings(PAGES[code]).values():
        assert not OUR_WORDS.search(words)
