"""How much a story matters, and why."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.news import SIGNALS, Mention, Score, SignalHit
from pipeline.rules.news.match import PLACE, Matching, Telling, WordHit, build_matcher, match
from pipeline.rules.news.rank import (
    left_out,
    refreshed,
    score,
    score_note,
    score_own,
)
from tests.builders import FERRIES, NOW

HOUR = timedelta(hours=1)


def why(result: Score) -> dict[str, str]:
    return {part.name: part.why for part in result.parts}


def scored(title: str, text: str = "", **changed: object) -> Score:
    given_: dict[str, object] = {
        "signals": (SignalHit("launch", "unveils", 3.0),),
        "sources": {"Coast Wire": 1.0},
        "told_at": NOW - 2 * HOUR,
        "now": NOW,
    } | changed
    matching = match(build_matcher(FERRIES), Telling(title, text))
    return score(matching, constellation=FERRIES, **given_)  # type: ignore[arg-type]


def test_every_part_is_said_in_words() -> None:
    result = scored(
        "Northline unveils a battery ferry",
        "Skagen Ruter and Polar Link wait.",
        sources={"Coast Wire": 1.0, "Harbour News": 2.0, "The Quay": 1.0},
        told_at=NOW - timedelta(days=2, hours=3),
    )
    assert why(result) == {
        "about": "Northline is in the headline, Skagen Ruter in the lead",
        "second_order": "Polar Link, a rival of Northline: in the lead",
        "words": "“battery ferry”, “ferry”",
        "signal": "A launch: “unveils”",
        "source": "Harbour News, a source we trust more",
        "size": "Told by three sources",
        "freshness": "Two days old",
    }


@pytest.mark.parametrize(
    ("age", "said"),
    [
        (timedelta(0), "Just in"),
        (timedelta(minutes=-90), "Just in"),
        (HOUR, "One hour old"),
        (5 * HOUR, "Five hours old"),
        (30 * HOUR, "One day old"),
        (timedelta(days=16), "16 days old"),
    ],
)
def test_age_is_said_as_a_person_says_it(age: timedelta, said: str) -> None:
    assert why(scored("Northline", told_at=NOW - age))["freshness"] == said


def test_many_accounts_and_words_are_counted_not_listed() -> None:
    mentions = tuple(
        Mention(key, "self", "lead", key, 0.6) for key in ("northline", "blue-strait", "x", "y")
    )
    words = tuple(WordHit(w, "lead", 1.0) for w in "abcde")
    result = score(Matching(mentions, words), (), {}, NOW, NOW, FERRIES)
    assert why(result)["about"] == "Northline is in the lead, Blue Strait in the lead, and two more"
    assert why(result)["words"] == "“a”, “b”, “c” and two more"


def test_the_headline_goes_before_the_lead_and_an_account_before_words() -> None:
    headline = scored("Northline unveils a ferry")
    lead = scored("A ferry is unveiled", "Northline will run it.")
    words = scored("A battery ferry and its berth are unveiled", "Berths, ferries.")
    related = scored("Polar Link unveils a boat")
    passing = scored("A boat is unveiled", "word " * 80 + "Northline waits.")
    totals = [s.total for s in (headline, lead, words, related, passing)]
    assert totals == sorted(totals, reverse=True)


def test_what_is_not_for_the_pool_has_its_reason() -> None:
    def reason(title: str, text: str = "") -> str:
        return left_out(match(build_matcher(FERRIES), Telling(title, text)))

    assert reason("Northline opens a quay") == ""
    assert reason("A berth for two") == ""
    assert reason("Ten recipes") == "Names none of the accounts and has none of the words"
    assert reason("Cruise by ferry") == "Has a word to ignore: “cruise”"
    far = "word " * 80
    assert reason("A law", far + "Polar Link waits.") == "Only in passing: Polar Link in the text"
    assert reason("A law", far + "A ferry.") == "Only in passing: “ferry” in the text"


def test_notes_and_our_own_news_have_their_place() -> None:
    note = score_note(NOW, NOW, "Liv Haugen")
    own = score_own(NOW, NOW)
    assert why(note) == {"note": "A field note by Liv Haugen", "freshness": "Just in"}
    assert why(own)["own"] == "Our own news"
    assert note.total > own.total > 0


def test_later_only_freshness_changes() -> None:
    early = scored("Northline unveils a ferry", told_at=NOW)
    later = refreshed(early, "news", NOW, NOW + timedelta(days=3))
    assert later == scored("Northline unveils a ferry", told_at=NOW, now=NOW + timedelta(days=3))
    assert later.total < early.total
    assert refreshed(early, "news", NOW, NOW) == early


# ── what always holds ────────────────────────────────────────────────────────────────────

places = st.sampled_from(sorted(PLACE))
mentions = st.builds(
    Mention,
    st.sampled_from(["northline", "skagen-ruter", "gone"]),
    st.sampled_from(["self", "rival", "customer", "supplier", "incumbent"]),
    places,
    st.just("x"),
    st.floats(0.05, 1.0),
)
words = st.builds(WordHit, st.sampled_from("abc"), places, st.floats(0.0, 5.0))
signals = st.lists(
    st.builds(SignalHit, st.sampled_from(SIGNALS), st.just("x"), st.floats(0.5, 4.0)), max_size=2
)
sources = st.dictionaries(st.sampled_from("pqrstu"), st.floats(0.1, 3.0), max_size=5)
ages = st.integers(0, 100 * 24).map(lambda hours: NOW - hours * HOUR)


@given(st.lists(mentions, max_size=4), st.lists(words, max_size=4), signals, sources, ages,
       mentions, words, st.floats(0.1, 3.0), st.integers(0, 500))  # fmt: skip
def test_newer_more_sources_and_more_about_us_never_lower_it(
    some: list[Mention], said: list[WordHit], kinds: list[SignalHit], told: dict[str, float],
    at: object, mention: Mention, word: WordHit, weight: float, hours: int,
) -> None:  # fmt: skip
    def total(
        more: tuple[Mention, ...] = (), also: tuple[WordHit, ...] = (), **new: object
    ) -> float:
        given_ = {"sources": told, "told_at": at} | new
        matching = Matching((*some, *more), (*said, *also))
        result = score(matching, kinds, now=NOW, constellation=FERRIES, **given_)  # type: ignore[arg-type]
        assert 0.0 <= result.total <= 100.0
        return result.total

    base = total()
    assert total(more=(mention,)) >= base
    assert total(also=(word,)) >= base
    assert total(sources={**told, "another": weight}) >= base
    assert total(told_at=at + hours * HOUR) >= base  # type: ignore[operator]
