from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.rules.letters.curated import digest
from pipeline.rules.letters.two_hands import Whose, decide

GOT = {"title": "One", "take": ""}
HERS = {"title": "One", "take": "hers"}
MINE = {"title": "One", "take": "mine"}
BASE = digest(GOT)


@pytest.mark.parametrize(
    ("current", "mine", "base", "seen", "untouched", "whose"),
    [
        (GOT, GOT, BASE, (), False, "same"),
        (MINE, MINE, BASE, (), False, "same"),
        (HERS, {"title": "One"}, BASE, (), False, "same"),  # an absent field stays as it is
        (GOT, MINE, BASE, (), False, "mine"),
        (HERS, GOT, BASE, (), False, "theirs"),
        (HERS, MINE, BASE, (), False, "conflict"),
        (HERS, MINE, BASE, (digest(HERS),), False, "mine"),  # "hers" was mine, a moment ago
        (HERS, GOT, BASE, (digest(HERS),), False, "mine"),  # and I take it back
        (HERS, MINE, "", (), False, "conflict"),
        (HERS, MINE, "", (), True, "mine"),  # nobody wrote it: it was filled in
    ],
)
def test_whose_words_stand(
    current: dict[str, str],
    mine: dict[str, str],
    base: str,
    seen: tuple[str, ...],
    untouched: bool,
    whose: Whose,
) -> None:
    assert decide(current, mine, base, seen=seen, untouched=untouched) == whose


WORDS = st.dictionaries(st.sampled_from(["title", "fact", "take"]), st.sampled_from("abc "))


@settings(deadline=None)
@given(WORDS, WORDS, WORDS)
def test_nobodys_words_are_overwritten_unseen(
    got: dict[str, str], current: dict[str, str], mine: dict[str, str]
) -> None:
    """Where mine replaces what stands, what stands is what I began with."""
    if decide(current, mine, digest(got)) == "mine":
        assert digest(current) == digest(got)
