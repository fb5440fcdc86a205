"""The competitor wall: which wording of a kept story an account's copies may show.

Public news about A goes to A's rivals as it is written. A itself reads the own wording, or
nothing. What A told us in confidence reaches nobody: only a general wording travels, once the
approver has cleared it, and never back to A; A reads it only in a wording of its own. What is
neither public nor learnt from somebody enters no issue. When a story is both, it is a
confidence.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from pipeline.model.catalog import Account
from pipeline.model.letters import LetterStory, Snippet
from pipeline.rules.letters.amounts import amounts
from pipeline.rules.letters.language import primary, words
from pipeline.rules.letters.markdown import to_plain
from pipeline.rules.news.address import without_tracking

Wording = Literal["plain", "own", "general"]

#: (label above the title, title where the wording brings none), of what is no news.
_GENERAL = {"en": ("From our talks", "What we hear"), "de": ("Aus Gesprächen", "Was wir hören")}
_TOLD_US = {
    "en": ("Between you and us", "What you told us"),
    "de": ("Zwischen Ihnen und uns", "Was Sie uns gesagt haben"),
}


# ── which wording ────────────────────────────────────────────────────────────────────────


def is_confidence(snippet: Snippet) -> bool:
    """Whether somebody told us this; then it is not public, whatever else was said."""
    return bool(snippet.learnt_from)


def may_enter(snippet: Snippet) -> bool:
    """Whether a kept story may stand in an issue at all."""
    return snippet.is_public or is_confidence(snippet)


def wording_for(snippet: Snippet, account_key: str) -> Wording | None:
    """How this account's copies tell the story; None leaves it out.

    Shape:  an empty account_key is the public page, which anybody may read
    """
    if not may_enter(snippet):
        return None
    if is_confidence(snippet):
        return _wording_of_confidence(snippet, account_key)
    if account_key in snippet.about:
        theirs = snippet.own_wording.strip() and account_key not in snippet.named_by_us
        return "own" if theirs else None
    return "plain"


def _wording_of_confidence(snippet: Snippet, account_key: str) -> Wording | None:
    if account_key == snippet.learnt_from:
        return "own" if snippet.own_wording.strip() else None
    return "general" if account_key and travels(snippet) else None


def travels(snippet: Snippet) -> bool:
    """Whether others than the account it concerns may read it in some wording."""
    if is_confidence(snippet):
        return bool(snippet.cleared_by and snippet.general_wording.strip())
    return snippet.is_public


def why_left_out(snippet: Snippet, account_key: str) -> str:
    """Why `wording_for` gave None, in words for our own people."""
    if not may_enter(snippet):
        return "neither public nor learnt from anybody"
    if account_key in (*snippet.about, snippet.learnt_from):
        return "about them, without a wording of their own"
    return "in confidence"


def with_named(snippet: Snippet, accounts: Sequence[Account]) -> Snippet:
    """The snippet, about every account too that its own words name.

    A curator's take may speak of a company that the news itself does not; in that company's
    copies it is about them as well. The own wording was not written for them: their copies
    leave the story out. Names count as they are written, so that "target" is no
    company.
    """
    said = "\n".join((snippet.title, snippet.fact, snippet.take, snippet.question))
    more = [a.key for a in accounts if a.key not in snippet.about and is_named(said, a)]
    if not more:
        return snippet
    named_by_us = (*snippet.named_by_us, *more)
    return replace(snippet, about=(*snippet.about, *more), named_by_us=named_by_us)


def is_named(text: str, account: Account) -> bool:
    """Whether a reader of the text finds one of the account's names.

    Names count as they are written in the file, or all in capitals.
    """
    seen = _as_read(text)
    return any(
        names(seen, spelled, any_case=False)
        for name in (account.name, *account.aliases) if name
        for spelled in ((name, name.upper()) if len(name) > 3 else (name,))
    )  # fmt: skip


def _hints_at(text: str, account: Account) -> bool:
    """The same, with names of several words in any case."""
    seen = _as_read(text)
    return is_named(text, account) or any(
        names(seen, name) for name in (account.name, *account.aliases) if len(name.split()) > 1
    )


@lru_cache(maxsize=256)
def _as_read(text: str) -> str:
    """A text as it is written and, below that, as a reader sees it.

    Emphasis inside a name, escapes, soft hyphens and letters of other scripts that look like
    ours hide it from a search, and from nobody's eyes.
    """
    both = f"{text}\n{to_plain(text)}".replace("_", " ")
    plain = unicodedata.normalize("NFKC", both).translate(_LOOK_ALIKES)
    return "".join(letter for letter in plain if unicodedata.category(letter) != "Cf")


# ── how it reads ─────────────────────────────────────────────────────────────────────────


def numbered(snippets: Iterable[Snippet]) -> tuple[tuple[int, Snippet], ...]:
    """The main stories as every edition numbers them, then what is noted, as number 0.

    Public stories come first, then cleared confidences, then what only its own account may
    read: so no copy shows a gap where a rival's confidence stands.
    """
    kept = [snippet for snippet in snippets if may_enter(snippet)]
    kept.sort(key=lambda s: (is_confidence(s), not travels(s)))
    main = [snippet for snippet in kept if snippet.section == "main"]
    noted = [snippet for snippet in kept if snippet.section != "main"]
    return (*enumerate(main, start=1), *((0, snippet) for snippet in noted))


def told(snippet: Snippet, wording: Wording, number: int, language: str) -> LetterStory:
    """The story in that wording, as it stands in a letter.

    Own and general wordings bring their text whole: a first line `# …` is the title, the
    first paragraph the fact, the rest our take. A confidence lends them nothing, neither its
    title nor its date nor its address. The link tells nobody how its reader came.
    """
    if wording == "plain":
        return LetterStory(
            number=number,
            signal=snippet.signal,
            title=snippet.title,
            fact=snippet.fact,
            take=snippet.take,
            question=snippet.question,
            source_name=snippet.source_name,
            url=without_tracking(snippet.url),
            published_on=snippet.published_on,
            language=snippet.language,
        )
    if is_confidence(snippet):
        return _told_of_confidence(snippet, wording, number, language)
    title, fact, take = parts(snippet.own_wording)
    return LetterStory(
        number=number,
        signal=words(language).you_in_the_news,
        title=title or snippet.title,
        fact=fact,
        take=take,
        question="",
        source_name=snippet.source_name,
        url=without_tracking(snippet.url),
        published_on=snippet.published_on,
        language=snippet.language,
    )


def _told_of_confidence(
    snippet: Snippet, wording: Wording, number: int, language: str
) -> LetterStory:
    own = wording == "own"
    labels = _TOLD_US if own else _GENERAL
    label, untitled = labels.get(primary(language), labels["en"])
    title, fact, take = parts(snippet.own_wording if own else snippet.general_wording)
    return LetterStory(number, label, title or untitled, fact, take, "", "", "", None)


def parts(wording: str) -> tuple[str, str, str]:
    """(title, fact, take) of an own or a general wording; each may be empty."""
    text = wording.strip()
    title = ""
    if text.startswith("#"):
        title, _, text = text.partition("\n")
    fact, _, take = re.sub(r"\n[ \t]*\n\s*", "\n\n", text.strip()).partition("\n\n")
    return title.lstrip("#").strip(), fact.strip(), take.strip()


# ── what betrays ─────────────────────────────────────────────────────────────────────────

_LOOK_ALIKES = str.maketrans(  # Cyrillic and Greek letters that look like Latin ones
    "АВЕЅІЈКМНОРСТУХаеоѕіјрсухԁԛԝҺһΑΒΕΖΗΙΚΜΝΟΡΤΥΧοιν",
    "ABESIJKMHOPCTYXaeosijpcyxdqwhhABEZHIKMNOPTYXoiv",
)
_FIGURE = re.compile(r"\d(?:[\d.,:/’'\u00a0\u202f-]|[ ](?=\d{3}(?!\d)))*\d|\d")
_WORD = re.compile(r"[^\W\d_]{3,}")
_CALENDAR = frozenset(
    word
    for line in (
        "january february march april june july august september october november december",
        "januar februar märz mai juni juli oktober dezember spring summer autumn winter",
        "monday tuesday wednesday thursday friday saturday sunday yesterday",
        "montag dienstag mittwoch donnerstag freitag samstag sonntag gestern",
    )
    for word in line.split()
)
_OURS = re.compile(
    r"\b(customers?|clients?|kund(?:e|en|in|innen)|works? with us|worked with us|we work(?:ed)? "
    r"(?:for|with)|(?:hired|retained|engaged) us|(?:for|with|bei|für) us)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]?")


def betrayals(
    snippet: Snippet,
    account: Account | None,
    people: Iterable[str] = (),
    others: Iterable[Account] = (),
) -> tuple[str, ...]:
    """What in the general wording would tell where it came from: names, figures, dates.

    Shape:  account is whose confidence it is, None when our files no longer have it;
            people are the last names of the contacts there; others are the constellation's
            accounts, none of which a lesson may name
    """
    if account is None:
        return (f"{snippet.learnt_from} stands in no file, so its names cannot be looked for",)
    wording = _as_read(snippet.general_wording)
    secret = _as_read(
        "\n".join(
            (snippet.title, snippet.fact, snippet.take, snippet.question, snippet.source_text)
        )
    )
    return (
        *(f"the name {name}" for name in _names(account, people) if names(wording, name)),
        *(
            f"the name {a.name}"
            for a in others
            if a != account and _hints_at(snippet.general_wording, a)
        ),
        *(f"the figure {figure}" for figure in _figures(wording, secret)),
        *(f"the date {day}" for day in _shared(_WORD, wording, secret) if day in _CALENDAR),
    )


def _names(account: Account, people: Iterable[str]) -> list[str]:
    stem = account.domain.removeprefix("www.").split(".")[0]
    known = (account.name, *account.aliases, account.domain, stem, *account.customers,
             *account.rivals, *account.suppliers, account.incumbent, *people)  # fmt: skip
    return sorted({name.casefold(): name for name in reversed(known) if len(name) > 1}.values())


def _figures(wording: str, secret: str) -> list[str]:
    """Figures of the secret in the wording: digit by digit, or the same amount in other words."""
    same = _shared(_FIGURE, wording, secret)
    there = {amount.value for amount in amounts(secret)}
    told = {amount.written for amount in amounts(wording) if amount.value in there}
    return [*same, *sorted(w for w in told if not set(_found(_FIGURE, w)) & set(same))]


def _shared(pattern: re.Pattern[str], wording: str, secret: str) -> list[str]:
    there = set(_found(pattern, secret))
    return sorted({hit for hit in _found(pattern, wording) if hit in there})


def _found(pattern: re.Pattern[str], text: str) -> list[str]:
    return [re.sub(r"[.,’'\s]", "", hit).casefold() for hit in pattern.findall(text)]


def names(text: str, name: str, *, any_case: bool = True) -> bool:
    """Whether a text holds a name as whole words, in the genitive too ("Skagens Fähren")."""
    genitive = "s?" if len(name) > 3 else ""
    pattern = r"(?<!\w)" + r"\s+".join(map(re.escape, name.split())) + genitive + r"(?!\w)"
    return re.search(pattern, text, re.IGNORECASE if any_case else re.NOFLAG) is not None


@dataclass(frozen=True, slots=True)
class Naming:
    """A sentence that seems to say that an account is our customer."""

    account: str  #: its name
    sentence: str


def tells_customer(text: str, accounts: Sequence[Account]) -> tuple[Naming, ...]:
    """Sentences that name one of our customers, without its leave, beside a word like "client".

    A sentence about somebody's own customers looks the same: a person has to judge.
    """
    unnamed = [a for a in accounts if a.relationship == "customer" and not a.may_be_named]
    return tuple(
        Naming(account.name, sentence.strip())
        for sentence in _SENTENCE.findall(text)
        if _OURS.search(sentence)
        for account in unnamed
        if any(names(sentence, name) for name in (account.name, *account.aliases))
    )
