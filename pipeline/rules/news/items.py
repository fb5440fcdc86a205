"""Decides what a source's entries are to us: new, changed, known, or nothing.

Identity is made here, because feeds' own ids are missing, repeated or fresh every time.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipeline.model.catalog import Source
from pipeline.model.news import Entry, KnownItem, NewItem
from pipeline.rules.news.address import absolute, canonical, hash_of
from pipeline.rules.news.clean import clean, shorten, to_line, to_text

MAX_TEXT_CHARS = 50_000  #: of a stored text; it serves matching and reading
_MAX_SUMMARY_CHARS = 20_000
_MAX_TITLE_CHARS = 300
_WORDS_FOR_A_TITLE = 90  #: characters of text that stand in for a missing title
_CLOCK_SKEW = timedelta(days=1)
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)  #: an earlier date is a program's zero, not news
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")


@dataclass(frozen=True, slots=True)
class Decision:
    """What a round of one source means for what we hold."""

    items: tuple[NewItem, ...] = ()  #: to be written, the new and the changed
    new: int = 0
    changed: int = 0
    known: int = 0  #: unchanged: nothing is written
    repeated: int = 0  #: told twice in the same document
    dropped: int = 0  #: with neither title, nor link, nor text


@dataclass(frozen=True, slots=True)
class _Read:
    """An entry with what identity needs: cheap, since most entries are known."""

    entry: Entry
    url: str
    canonical_url: str
    url_hash: str  #: of the canonical address
    title: str
    raw_hash: str  #: 32 hexadecimal digits of what the source wrote

    @property
    def sameness(self) -> tuple[str, str, str, str]:
        """Equal for one thing that a document tells twice."""
        text = "" if self.title or self.url_hash else self.raw_hash
        return self.entry.raw_id, self.url_hash, self.title, text


def decide_items(
    source: Source, entries: Sequence[Entry], known: Sequence[KnownItem], now: datetime
) -> Decision:
    """Which entries are new or changed, made clean; the known ones cost no cleaning.

    An entry is what we hold when its id is; or when its address and title are (then the
    feed changed its ids). A new one is named by its id when no other entry has that, else
    by its address under the same condition, else by its title and date.

    Units:  now is aware UTC
    Raises: nothing
    """
    reads = _reads(entries)
    told = [read for read in reads if read.title or read.url or _has_text(read.entry)]
    distinct = list({read.sameness: read for read in reversed(told)}.values())[::-1]
    hashes = {item.identity: item.content_hash for item in known}
    items: dict[str, NewItem] = {}
    seen: set[str] = set()
    counts = Counter(dropped=len(reads) - len(told), repeated=len(told) - len(distinct))
    for read, identity in zip(distinct, _identities(distinct, known), strict=True):
        verdict, item = _compare(source, read, identity, hashes.get(identity), now)
        if identity in seen:
            verdict, item = "repeated", None
        counts[verdict] += 1
        seen.add(identity)
        if item is not None:
            items[identity] = item
    return Decision(items=tuple(items.values()), **counts)


def _compare(
    source: Source, read: _Read, identity: str, held: str | None, now: datetime
) -> tuple[str, NewItem | None]:
    """(new, changed or known, what is to be written)."""
    if held is not None and held.startswith(read.raw_hash):
        return "known", None
    item = _item(source, read, identity, now)
    if held is None:
        return "new", item
    # the source wrote something else that reads the same: an advert, a counter
    return ("known", None) if held[32:] == item.content_hash[32:] else ("changed", item)


# ── identity ─────────────────────────────────────────────────────────────────────────────


def _reads(entries: Sequence[Entry]) -> list[_Read]:
    """Entries with their addresses in the form to compare by.

    A fragment says nothing, unless the document has several for one page: then each entry
    is a place on that page (a page of links, the comments on an article).
    """
    urls = [absolute(entry.raw_url, entry.base) for entry in entries]
    places = Counter(canonical(url) for url in set(urls))
    reads = []
    for entry, url in zip(entries, urls, strict=True):
        form, (_, _, fragment) = canonical(url), url.partition("#")
        if places[form] > 1 and fragment and "#" not in form:
            form += f"#{fragment}"
        reads.append(_read(entry, url, form))
    return reads


def _read(entry: Entry, url: str, canonical_url: str) -> _Read:
    raw = (entry.raw_title, entry.raw_summary, entry.raw_content, entry.raw_author, url)
    return _Read(
        entry=entry,
        url=url,
        canonical_url=canonical_url,
        url_hash=hash_of(canonical_url),
        title=to_line(entry.raw_title, _MAX_TITLE_CHARS),
        raw_hash=_digest(*raw)[:32],
    )


def _identities(reads: Sequence[_Read], known: Sequence[KnownItem]) -> list[str]:
    """One identity per entry; equal ones are the same thing told twice."""
    ids = Counter(read.entry.raw_id for read in reads)
    urls = Counter(read.url_hash for read in reads)
    held = {item.identity for item in known}
    by_address = {(item.canonical_hash, item.title): item.identity for item in known}
    here = {_by_id(read) for read in reads if ids[read.entry.raw_id] == 1}
    out = []
    for read in reads:
        own_id = _by_id(read) if read.entry.raw_id and ids[read.entry.raw_id] == 1 else ""
        before = by_address.get((read.url_hash, read.title)) if read.url_hash else None
        if own_id and own_id in held:
            out.append(own_id)
        elif before is not None and urls[read.url_hash] == 1 and before not in here:
            out.append(before)
        elif own_id:
            out.append(own_id)
        elif read.url_hash and urls[read.url_hash] == 1:
            out.append(_digest("url", read.canonical_url))
        else:
            out.append(_by_text(read))
    return out


def _by_id(read: _Read) -> str:
    return _digest("id", read.entry.raw_id.strip())


def _by_text(read: _Read) -> str:
    """Named by what it says: the last resort, for entries that share id and address."""
    when = read.entry.published_at
    title = read.title.casefold()
    rest = when.isoformat() if when else "" if title and read.url_hash else read.raw_hash
    return _digest("text", read.url_hash, title, rest)


# ── the item ─────────────────────────────────────────────────────────────────────────────


def _item(source: Source, read: _Read, identity: str, now: datetime) -> NewItem:
    entry = read.entry
    base = entry.base or read.url or source.url
    fullest = max(entry.raw_content, entry.raw_summary, key=len)
    text = to_text(fullest)[:MAX_TEXT_CHARS]
    summary = clean((entry.raw_summary or entry.raw_content)[:_MAX_SUMMARY_CHARS], base)
    title = (
        read.title
        or shorten(" ".join(text.split()), _WORDS_FOR_A_TITLE)
        or shorten(read.url, _MAX_TITLE_CHARS)
    )
    words = " ".join(summary.split())
    published_at = _published(entry, now)
    language = entry.language.strip().replace("_", "-")
    return NewItem(
        identity=identity,
        url=read.url,
        canonical_url=read.canonical_url,
        title=title,
        summary_html=summary,
        text=text,
        author=to_line(entry.raw_author, 200),
        published_at=published_at or now,
        dated=published_at is not None,
        content_hash=read.raw_hash + _digest(title, words, text, read.canonical_url)[:32],
        language=language[:20] if _LANGUAGE.fullmatch(language) else source.language,
    )


def _published(entry: Entry, now: datetime) -> datetime | None:
    """The entry's date; None when it has none that can be true.

    A little ahead of our clock is now; more than a day ahead is a mistake.
    """
    when = entry.published_at or entry.updated_at
    if when is None or not _EARLIEST <= when <= now + _CLOCK_SKEW:
        return None
    return min(when, now)


def _has_text(entry: Entry) -> bool:
    return bool(to_text((entry.raw_content or entry.raw_summary)[:2_000]))


def _digest(*parts: str) -> str:
    text = "\0".join(parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
