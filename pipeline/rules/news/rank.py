"""How much a story matters to one constellation, every part of it in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from pipeline.model.catalog import Constellation
from pipeline.model.news import Mention, Relation, Score, ScorePart, Signal, SignalHit, StoryKind
from pipeline.rules.news.match import Matching, WordHit
from pipeline.rules.news.words import in_words

#: Parts that say what a story is about; together 1 - the product of what each leaves open, so
#: that two weak reasons make a better one and none makes more than certainty.
ABOUT = frozenset({"about", "second_order", "words", "note", "own"})
#: Words alone can say so much at most: a trade's weather, against news of a company we follow.
WORDS_MOST = 0.75
#: A sum of weights of this size (two good words in the headline) says about two thirds of it.
WORDS_ENOUGH = 2.5
#: Below this a story is about neither: a word in passing, a rival in the last paragraph.
ABOUT_LEAST = 0.15
#: Two accounts and three words are shown; the others count all the same.
SHOWN_ACCOUNTS, SHOWN_WORDS = 2, 3

#: What kinds of event are worth, in a letter that comments on a trade: decisions by people,
#: rules and prices change what readers do next; a fire is news and leaves little to say.
SIGNAL_WORTH: dict[Signal | None, float] = {
    "launch": 1.0, "people": 1.0, "deal": 1.0, "price": 1.0, "regulation": 1.0, "results": 0.95,
    "place": 0.9, "incident": 0.9, None: 0.7,
}  # fmt: skip
#: A kind that only the lead names is not yet sure.
SIGNAL_SURE = 2.0

#: A source of weight 1 stands here; 0.1 and 3 are the ends of what a file may say.
SOURCE_LEAST, SOURCE_USUAL, SOURCE_MOST = 0.55, 0.8, 1.0
#: One telling, and how fast further ones close the gap to 1.
SIZE_ALONE, SIZE_STEP = 0.75, 0.5
#: Freshness halves in so many days; a field note and our own news keep longer.
HALF_LIFE: dict[StoryKind, timedelta] = {
    "news": timedelta(days=9), "note": timedelta(days=21), "own": timedelta(days=30),
}  # fmt: skip
FRESH_LEAST = 0.02
#: What somebody went to see stands above most of what others wrote; our own news below it.
NOTE_WORTH, OWN_WORTH = 0.9, 0.3

_DEALS_WITH: dict[Relation, str] = {
    "customer": "a customer of", "rival": "a rival of", "supplier": "a supplier of",
    "incumbent": "the vendor of",
}  # fmt: skip
_PLACE = {"headline": "the headline", "lead": "the lead", "body": "the text"}
_SIGNAL_WORD: dict[Signal, str] = {
    "people": "People", "launch": "A launch", "deal": "A deal", "results": "Results",
    "regulation": "Regulation", "price": "Prices", "incident": "An incident", "place": "A place",
}  # fmt: skip


def score(
    matching: Matching,
    signals: Sequence[SignalHit],
    sources: Mapping[str, float],
    told_at: datetime,
    now: datetime,
    constellation: Constellation,
) -> Score:
    """Rank a story for one constellation: about us × signal × source × size × freshness.

    A newer story, one more source, or more that is about us never lowers it.

    Shape:  sources maps the name of each source that tells it to its weight (0.1 to 3)
    Units:  total from 0 to 100; told_at (its latest telling) and now are aware UTC
    """
    parts = [
        *_about_accounts(matching.mentions, constellation),
        *_about_words(matching.words),
        _signal(signals),
        _source(sources),
        _size(len(sources)),
        _freshness("news", told_at, now),
    ]
    return Score(_total(parts), tuple(parts))


def score_note(told_at: datetime, now: datetime, by: str = "") -> Score:
    """A field note: somebody of ours went and saw."""
    why = f"A field note by {by}" if by else "A field note"
    return _kept_score(ScorePart("note", NOTE_WORTH, why), "note", told_at, now)


def score_own(told_at: datetime, now: datetime) -> Score:
    """A piece of our own news."""
    return _kept_score(ScorePart("own", OWN_WORTH, "Our own news"), "own", told_at, now)


def refreshed(old: Score, kind: StoryKind, told_at: datetime, now: datetime) -> Score:
    """The same score at a later time: only freshness changes."""
    parts = tuple(
        _freshness(kind, told_at, now) if part.name == "freshness" else part for part in old.parts
    )
    return Score(_total(parts), parts)


def left_out(matching: Matching) -> str:
    """Why a story is not for this constellation's pool; "" when it is."""
    if matching.ignored:
        quoted = ", ".join(f"“{word}”" for word in matching.ignored[:SHOWN_WORDS])
        return f"Has a word to ignore: {quoted}"
    if not matching.mentions and not matching.words:
        return "Names none of the accounts and has none of the words"
    if _about(matching) < ABOUT_LEAST:
        return f"Only in passing: {_in_passing(matching)}"
    return ""


def _in_passing(matching: Matching) -> str:
    named = [f"{m.evidence} in {_PLACE[m.where]}" for m in matching.mentions[:SHOWN_ACCOUNTS]]
    words = [f"“{w.text}” in {_PLACE[w.where]}" for w in matching.words[:SHOWN_WORDS]]
    return ", ".join([*named, *words])


# ── parts ────────────────────────────────────────────────────────────────────────────────


def _kept_score(part: ScorePart, kind: StoryKind, told_at: datetime, now: datetime) -> Score:
    parts = (part, _freshness(kind, told_at, now))
    return Score(_total(parts), parts)


def _total(parts: Iterable[ScorePart]) -> float:
    open_still, factor = 1.0, 1.0
    for part in parts:
        if part.name in ABOUT:
            open_still *= 1.0 - min(part.value, 1.0)
        else:
            factor *= part.value
    return round(100.0 * min(max((1.0 - open_still) * factor, 0.0), 1.0), 2)


def _about(matching: Matching) -> float:
    open_still = 1.0 - _word_strength(matching.words)
    for mention in matching.mentions:
        open_still *= 1.0 - min(mention.weight, 1.0)
    return 1.0 - open_still


def _about_accounts(
    mentions: Sequence[Mention], constellation: Constellation
) -> Iterable[ScorePart]:
    """One part for accounts that are named, one for companies that accounts deal with."""
    names = {account.key: account.name for account in constellation.accounts}
    own = [m for m in mentions if m.relation == "self"]
    related = [m for m in mentions if m.relation != "self"]
    if own:
        first, *others = own
        why = f"{names.get(first.account_key, first.account_key)} is in {_PLACE[first.where]}"
        for other in others[: SHOWN_ACCOUNTS - 1]:
            why += f", {names.get(other.account_key, other.account_key)} in {_PLACE[other.where]}"
        if len(own) > SHOWN_ACCOUNTS:
            why += f", and {in_words(len(own) - SHOWN_ACCOUNTS)} more"
        yield ScorePart("about", _together(own), why)
    if related:
        shown = [
            f"{m.evidence}, {_DEALS_WITH[m.relation]} {names.get(m.account_key, m.account_key)}"
            for m in related[:SHOWN_ACCOUNTS]
        ]
        yield ScorePart(
            "second_order", _together(related), f"{'; '.join(shown)}: in {_PLACE[related[0].where]}"
        )


def _together(mentions: Iterable[Mention]) -> float:
    return 1.0 - math.prod(1.0 - min(m.weight, 1.0) for m in mentions)


def _word_strength(words: Sequence[WordHit]) -> float:
    return WORDS_MOST * (1.0 - math.exp(-sum(w.weight for w in words) / WORDS_ENOUGH))


def _about_words(words: Sequence[WordHit]) -> Iterable[ScorePart]:
    if words:
        shown = ", ".join(f"“{w.text}”" for w in words[:SHOWN_WORDS])
        more = f" and {in_words(len(words) - SHOWN_WORDS)} more" * (len(words) > SHOWN_WORDS)
        where = f" in {_PLACE[words[0].where]}" if len(words) == 1 else ""
        yield ScorePart("words", _word_strength(words), f"{shown}{more}{where}")


def _signal(signals: Sequence[SignalHit]) -> ScorePart:
    if not signals:
        return ScorePart("signal", SIGNAL_WORTH[None], "No event that we know the words of")
    least = SIGNAL_WORTH[None]
    hit = signals[0]
    worth = least + (SIGNAL_WORTH[hit.signal] - least) * min(hit.weight / SIGNAL_SURE, 1.0)
    return ScorePart("signal", worth, f"{_SIGNAL_WORD[hit.signal]}: “{hit.evidence}”")


def _source(sources: Mapping[str, float]) -> ScorePart:
    """The most trusted source that tells it."""
    if not sources:
        return ScorePart("source", SOURCE_LEAST, "No source named")
    name, weight = min(sources.items(), key=lambda s: (-s[1], s[0]))
    weight = min(max(weight, 0.1), 3.0)
    if weight < 1.0:
        value = SOURCE_LEAST + (SOURCE_USUAL - SOURCE_LEAST) * (weight - 0.1) / 0.9
        return ScorePart("source", value, f"{name}, a source that counts less")
    value = SOURCE_USUAL + (SOURCE_MOST - SOURCE_USUAL) * (weight - 1.0) / 2.0
    return ScorePart("source", value, name if weight == 1.0 else f"{name}, a source we trust more")


def _size(count: int) -> ScorePart:
    value = 1.0 - (1.0 - SIZE_ALONE) * SIZE_STEP ** max(count - 1, 0)
    return ScorePart(
        "size", value, "Told by one source" if count <= 1 else f"Told by {in_words(count)} sources"
    )


def _freshness(kind: StoryKind, told_at: datetime, now: datetime) -> ScorePart:
    age = max(now - told_at, timedelta(0))
    value = FRESH_LEAST + (1.0 - FRESH_LEAST) * math.pow(0.5, age / HALF_LIFE[kind])
    return ScorePart("freshness", value, _age(age))


def _age(age: timedelta) -> str:
    if age < timedelta(hours=1):
        return "Just in"
    if age < timedelta(days=1):
        hours = age // timedelta(hours=1)
        return "One hour old" if hours == 1 else f"{in_words(hours).capitalize()} hours old"
    days = age // timedelta(days=1)
    return "One day old" if days == 1 else f"{in_words(days).capitalize()} days old"
