"""Finds whom a telling is about: accounts, companies they deal with, and the words to watch.

A constellation's names and words go into one automaton, so that a text is read once however
many accounts there are. What matched is kept, to be shown.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import ahocorasick

from pipeline.model.catalog import Account, Constellation
from pipeline.model.news import Item, Mention, Relation, Where
from pipeline.rules.news.ordinary import ORDINARY
from pipeline.rules.news.words import Folded, fold, is_unspaced, is_word, tidy

#: How much a place says about what a text is about. A headline names its subject; the lead
#: names who took part; a text of 800 words mentions half the trade in passing.
PLACE: dict[Where, float] = {"headline": 1.0, "lead": 0.6, "body": 0.25}
#: Each further mention adds so much, for at most so many: a passing mention comes once.
REPEAT, REPEATS = 0.05, 4
#: News of a company an account deals with matters to it about half as much as its own.
RELATED: dict[Relation, float] = {
    "self": 1.0, "customer": 0.5, "incumbent": 0.5, "rival": 0.4, "supplier": 0.4,
}  # fmt: skip
#: Words of a text that count as its lead.
LEAD_WORDS = 60
#: Of a very long text only so much is read.
READ_CHARS, TITLE_CHARS = 30_000, 1_000
#: A name with so few letters is as likely an abbreviation of something else.
SHORT = 3

_LEGAL_FORMS = """
AB AG AS ASA A/S ApS BV B.V. Co Co. Corp Corp. Corporation GmbH Inc Inc. KG KGaA LLC LLP Limited
Ltd Ltd. NV N.V. Oy Oyj PLC Plc plc Pty S.A. SA S.p.A. SARL SAS SE SpA
"""
_LEGAL = frozenset(_LEGAL_FORMS.split())
_DEEDS = """
acquires adds admits agrees aims and announces appoints apologises asks backs bans beats begins bets
blames boosts bought brings builds buys calls cancels closed closes confirms cuts debuts delays
denies doubles drops ends enters expands expects extends faces fires gains gets gives grows halts
has hires hits in introduces invests is issues joins keeps launched launches lays leaves lifts loses
lowers makes merges moves named names offers opened opens partners pays picks plans posts promises
pulls pushes puts raises reaches recalls reports reveals said says seeks sells sets settles shares
shows shuts signs slashes sold spends starts steps stops sues suspends takes tells tests to trials
turns unveils wants warns will wins withdraws
"""
#: What follows the name of a company at the start of a headline.
_ACTS = frozenset(_DEEDS.split())
_SENTENCE_END = re.compile(r"[.!?:…]['\")\]]*\s+['\"(\[]*$|^['\"(\[\s]*$|[—–|]\s*['\"(]*$")
_HREF = re.compile(r"""href=["']([^"']+)["']""")
_LONG_WORD = re.compile(r"[^\W\d_]{4,}")
_LETTER = re.compile(r"[^\W\d_]")

Kind = Literal["name", "domain", "word", "ignore"]
Care = Literal["none", "case", "proof"]


@dataclass(frozen=True, slots=True)
class WordHit:
    """A word of the constellation, found."""

    text: str  #: as the constellation's file has it
    where: Where
    weight: float  #: the file's, less where it stands further back


@dataclass(frozen=True, slots=True)
class Matching:
    """All that one constellation finds in a telling."""

    mentions: tuple[Mention, ...] = ()  #: the weightiest first
    words: tuple[WordHit, ...] = ()  #: the weightiest first
    ignored: tuple[str, ...] = ()  #: words to ignore that push it out


@dataclass(frozen=True, slots=True)
class Telling:
    """What matching reads of an item, a note or a piece of our own news."""

    title: str
    text: str = ""
    url: str = ""
    links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Pattern:
    kind: Kind
    shown: str  #: as written in the file, tidy
    account: str = ""
    relation: Relation = "self"
    weight: float = 1.0
    care: Care = "none"


@dataclass(frozen=True, slots=True)
class _Hit:
    pattern: _Pattern
    where: Where
    start: int
    end: int
    text: Folded

    @property
    def words(self) -> str:
        return self.text.shown[self.start : self.end]


@dataclass(frozen=True, slots=True)
class Matcher:
    """A constellation, made ready for reading many texts."""

    constellation: str
    automaton: Any  #: folded text → patterns
    domains: dict[str, str]  #: domain → account key


# ── making ready ─────────────────────────────────────────────────────────────────────────


def build_matcher(constellation: Constellation) -> Matcher:
    """Put all names and words of a constellation into one automaton; once, then read many."""
    patterns: dict[str, list[_Pattern]] = {}
    for pattern, forms in _patterns(constellation):
        for form in forms:
            held = patterns.setdefault(form, [])
            if not any((p.kind, p.account, p.relation) == _who(pattern) for p in held):
                held.append(pattern)
    automaton = ahocorasick.Automaton()
    for form, held in patterns.items():
        automaton.add_word(form, (len(form), tuple(held)))
    if patterns:
        automaton.make_automaton()
    domains = {
        a.domain.lower().removeprefix("www."): a.key for a in constellation.accounts if a.domain
    }
    return Matcher(constellation.key, automaton if patterns else None, domains)


def _who(pattern: _Pattern) -> tuple[Kind, str, Relation]:
    return pattern.kind, pattern.account, pattern.relation


def _patterns(constellation: Constellation) -> Iterator[tuple[_Pattern, set[str]]]:
    for account in constellation.accounts:
        for relation, name in _names(account):
            for shown in _spellings(name):
                yield (
                    _Pattern("name", shown, account.key, relation, care=care_for(shown)),
                    {fold(shown).folded},
                )
        if account.domain:
            domain = account.domain.lower().removeprefix("www.")
            yield _Pattern("domain", domain, account.key), {fold(domain).folded}
    for word in constellation.words:
        yield _Pattern("word", word.text, weight=word.weight), _plurals(word.text)
    for text in constellation.ignore:
        yield _Pattern("ignore", text), _plurals(text)


def _names(account: Account) -> Iterator[tuple[Relation, str]]:
    for name in (account.name, *account.aliases):
        yield "self", name
    related: tuple[tuple[Relation, Sequence[str]], ...] = (
        ("customer", account.customers),
        ("rival", account.rivals),
        ("supplier", account.suppliers),
        ("incumbent", (account.incumbent,) if account.incumbent else ()),
    )
    for relation, names in related:
        for name in names:
            yield relation, name


def _spellings(name: str) -> list[str]:
    """A name as a journalist may write it: without its legal form, "and" for "&", no accents."""
    shown = tidy(name)
    spellings = [shown]
    base = shown
    while " " in base and base.rsplit(" ", 1)[1] in _LEGAL:
        base = base.rsplit(" ", 1)[0].rstrip(" ,&")
        spellings.append(base)
    for spelling in tuple(spellings):
        if " & " in spelling:
            spellings.append(spelling.replace(" & ", " and "))
        elif " and " in spelling:
            spellings.append(spelling.replace(" and ", " & "))
    for spelling in tuple(spellings):
        plain = "".join(
            c for c in unicodedata.normalize("NFD", spelling) if not unicodedata.combining(c)
        )
        if plain != spelling and len(plain) > SHORT:
            spellings.append(unicodedata.normalize("NFC", plain))
    return [s for s in dict.fromkeys(spellings) if s]


def _plurals(word: str) -> set[str]:
    folded = fold(word).folded
    if not folded or not folded[-1].isalpha():
        return {folded} - {""}
    forms = {folded, folded + "s", folded + "es"}
    if folded.endswith("y"):
        forms.add(folded[:-1] + "ies")
    return forms


def care_for(name: str) -> Care:
    """How careful to be with a name.

    "proof": short, or one everyday word ("Apple", "Shell"): case, and a legal form, a domain
    or a word of the constellation beside it. "case": several everyday words ("Best Buy").
    """
    words = fold(name).folded.split()
    letters = len(_LETTER.findall(name))
    if not any(is_unspaced(c) for c in name) and letters <= SHORT:
        return "proof"
    if all(_is_ordinary(word) for word in words):
        return "proof" if len(words) == 1 else "case"
    return "none"


def _is_ordinary(word: str) -> bool:
    return word in ORDINARY or word.removesuffix("s") in ORDINARY or word in ("&", "and", "the")


# ── reading ──────────────────────────────────────────────────────────────────────────────


def telling_of(item: Item) -> Telling:
    """What matching reads of an item: its own link and the links in its summary too."""
    return Telling(item.title, item.text, item.url, tuple(_HREF.findall(item.summary_html)))


def match(matcher: Matcher, telling: Telling) -> Matching:
    """Whom one telling is about, which words to watch it has, and what pushes it out.

    A word to ignore pushes a telling out when it stands in headline or lead and no account
    stands in the headline.
    """
    hits = _hits(matcher, telling)
    if not hits:
        return Matching(_merged(_linked(matcher, telling)))
    proven = _proven([h for h in hits if h.pattern.kind in ("name", "domain")], hits)
    names = _uncovered(proven, proven)
    mentions = [*_mentions(names), *_linked(matcher, telling)]
    words = [
        WordHit(h.pattern.shown, h.where, h.pattern.weight * PLACE[h.where])
        for h in _uncovered([h for h in hits if h.pattern.kind == "word"], names)
    ]
    found = _merged(mentions)
    in_headline = any(m.where == "headline" and m.relation == "self" for m in found)
    ignored = dict.fromkeys(
        h.pattern.shown for h in hits if h.pattern.kind == "ignore" and h.where != "body"
    )
    return Matching(found, _best_words(words), () if in_headline else tuple(ignored))


def match_all(matcher: Matcher, tellings: Sequence[Telling]) -> Matching:
    """Whom a story is about, over all its tellings; the first one leads.

    Words to ignore count where the leading telling has them and no headline names an account.
    """
    each = [match(matcher, telling) for telling in tellings]
    found = _merged([m for matching in each for m in matching.mentions], repeats=False)
    in_headline = any(m.where == "headline" and m.relation == "self" for m in found)
    ignored = each[0].ignored if each and not in_headline else ()
    return Matching(found, _best_words([w for m in each for w in m.words]), ignored)


def _hits(matcher: Matcher, telling: Telling) -> list[_Hit]:
    if matcher.automaton is None:
        return []
    title, text = fold(telling.title[:TITLE_CHARS]), fold(telling.text[:READ_CHARS])
    lead = _lead_end(text.shown)
    hits = [_Hit(p, "headline", start, end, title) for p, start, end in _spans(matcher, title)]
    hits += [
        _Hit(p, "lead" if start < lead else "body", start, end, text)
        for p, start, end in _spans(matcher, text)
    ]
    return hits


def _spans(matcher: Matcher, text: Folded) -> Iterator[tuple[_Pattern, int, int]]:
    """Every whole-word place of every pattern."""
    for last, (length, patterns) in matcher.automaton.iter(text.folded):
        start, end = last + 1 - length, last + 1
        if _is_whole(text.folded, start, end):
            for pattern in patterns:
                yield pattern, start, end


def _is_whole(text: str, start: int, end: int) -> bool:
    return not (
        (start and is_word(text[start]) and _clings(text[start - 1], text[start]))
        or (end < len(text) and is_word(text[end - 1]) and _clings(text[end], text[end - 1]))
    )


def _clings(neighbour: str, edge: str) -> bool:
    """Whether a character beside a name makes it part of a longer word."""
    return is_word(neighbour) and not is_unspaced(edge)


def _lead_end(text: str) -> int:
    """Where the first words of a tidy text end."""
    place = -1
    for _ in range(LEAD_WORDS):
        place = text.find(" ", place + 1)
        if place < 0:
            return len(text)
    return place


def _mentions(names: Iterable[_Hit]) -> Iterator[Mention]:
    for hit in names:
        yield Mention(
            hit.pattern.account,
            hit.pattern.relation,
            hit.where,
            hit.words,
            PLACE[hit.where] * RELATED[hit.pattern.relation],
        )


def _linked(matcher: Matcher, telling: Telling) -> Iterator[Mention]:
    """Accounts whose domain a link leads to; an item that lies there is their own notice."""
    places: list[tuple[str, Where]] = [(telling.url, "lead")]
    places += [(link, "body") for link in telling.links]
    for link, where in places:
        domain = _known_domain(link, matcher.domains)
        if domain:
            yield Mention(matcher.domains[domain], "self", where, domain, PLACE[where])


def _known_domain(link: str, domains: dict[str, str]) -> str:
    try:
        host = (urlsplit(link).hostname or "").lower()
    except ValueError:
        return ""
    while host and host not in domains:
        host = host.partition(".")[2]
    return host


def _merged(mentions: Iterable[Mention], *, repeats: bool = True) -> tuple[Mention, ...]:
    """One mention for each account and relation: its best place, and how often it came."""
    best: dict[tuple[str, Relation], Mention] = {}
    times: dict[tuple[str, Relation], int] = {}
    for mention in mentions:
        key = (mention.account_key, mention.relation)
        times[key] = times.get(key, 0) + 1
        if key not in best or mention.weight > best[key].weight:
            best[key] = mention
    merged = [
        _repeated(mention, times[key] - 1) if repeats else mention for key, mention in best.items()
    ]
    return tuple(sorted(merged, key=lambda m: (-m.weight, m.account_key, m.relation)))


def _repeated(mention: Mention, again: int) -> Mention:
    related = RELATED[mention.relation]
    weight = min(mention.weight + REPEAT * min(again, REPEATS) * related, related)
    return Mention(
        mention.account_key, mention.relation, mention.where, mention.evidence, round(weight, 4)
    )


def _best_words(words: Iterable[WordHit]) -> tuple[WordHit, ...]:
    best: dict[str, WordHit] = {}
    for hit in words:
        if hit.text not in best or hit.weight > best[hit.text].weight:
            best[hit.text] = hit
    return tuple(sorted(best.values(), key=lambda w: (-w.weight, w.text)))


# ── care with short and everyday names ───────────────────────────────────────────────────


def _uncovered(hits: list[_Hit], names: list[_Hit]) -> list[_Hit]:
    """Hits that lie in no longer name: "Orrin & Stave" does not name "Orrin"."""
    free: list[_Hit] = []
    reach: dict[int, tuple[int, int]] = {}  # text → (end, start) of the furthest-reaching name
    is_name = {id(h) for h in names}
    for hit in sorted({id(h): h for h in (*names, *hits)}.values(), key=_from_left):
        end, start = reach.get(id(hit.text), (0, 0))
        if end < hit.end or (end == hit.end and start >= hit.start):
            free.append(hit)
        if id(hit) in is_name and hit.end > end:
            reach[id(hit.text)] = (hit.end, hit.start)
    kept = {id(h) for h in free}
    return [h for h in hits if id(h) in kept]


def _from_left(hit: _Hit) -> tuple[int, int]:
    return hit.start, -hit.end


def _proven(names: list[_Hit], hits: list[_Hit]) -> list[_Hit]:
    """Drop short and everyday names for which nothing speaks."""
    sure = {
        h.pattern.account
        for h in names
        if h.pattern.kind == "domain" or (h.pattern.care == "none" and _is_self(h))
    }
    context = [h for h in hits if h.pattern.kind == "word"]
    return [h for h in names if _is_sound(h, context, h.pattern.account in sure)]


def _is_self(hit: _Hit) -> bool:
    return hit.pattern.relation == "self"


def _is_sound(hit: _Hit, context: list[_Hit], sure: bool) -> bool:
    if hit.pattern.kind == "domain":
        return _is_whole_domain(hit)
    return hit.pattern.care == "none" or _is_proven(hit, context, sure)


def _is_whole_domain(hit: _Hit) -> bool:
    """Not the end of not-ours.example, nor the beginning of ours.example.elsewhere."""
    shown = hit.text.shown
    after = shown[hit.end : hit.end + 2]
    goes_on = after[:1] == "-" or (after[:1] == "." and after[1:].isalnum())
    return not goes_on and shown[max(0, hit.start - 1) : hit.start] != "-"


def _is_proven(hit: _Hit, context: list[_Hit], sure: bool) -> bool:
    if not _same_case(hit) or _is_compound(hit):
        return False
    if _has_legal_form(hit) or (sure and _is_self(hit)):
        return True
    beside = any(h.text is not hit.text or not _overlaps(h, hit) for h in context)
    if hit.pattern.care == "case":  # the second word's capital speaks even at the start
        return beside or not _in_title_case(hit)
    return beside and (_acts(hit) or not (_starts(hit) or _in_title_case(hit)))


def _overlaps(one: _Hit, other: _Hit) -> bool:
    return one.start < other.end and other.start < one.end


def _same_case(hit: _Hit) -> bool:
    return hit.words.replace("-", " ") == hit.pattern.shown.replace("-", " ")


def _is_compound(hit: _Hit) -> bool:
    """Part of a hyphened word: "Target-date funds" is not about Target."""
    shown = hit.text.shown
    return "-" in (shown[hit.end : hit.end + 1], shown[max(0, hit.start - 1) : hit.start])


def _has_legal_form(hit: _Hit) -> bool:
    after = hit.text.shown[hit.end : hit.end + 16].lstrip(" ,").split(" ", 1)[0]
    return after.rstrip(",;:)'") in _LEGAL


def _acts(hit: _Hit) -> bool:
    """Whether what follows shows that the name is somebody: "Target's", "Shell opens"."""
    after = hit.text.shown[hit.end : hit.end + 24].lower()
    return after.startswith("'s ") or after.lstrip().split(" ", 1)[0] in _ACTS


def _starts(hit: _Hit) -> bool:
    """At a sentence's start every word has a capital."""
    return bool(_SENTENCE_END.search(hit.text.shown[max(0, hit.start - 12) : hit.start]))


def _in_title_case(hit: _Hit) -> bool:
    """In a Headline That Writes Every Word So, a capital says nothing."""
    if hit.where != "headline":
        return False
    others = hit.text.shown[: hit.start] + hit.text.shown[hit.end :]
    long = _LONG_WORD.findall(others)
    return bool(long) and sum(w[0].isupper() for w in long) > 0.6 * len(long)
