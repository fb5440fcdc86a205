"""Reads a list page without a feed: CSS selectors say where its entries stand."""

from __future__ import annotations

import html
import re
import warnings
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from email.utils import parsedate_to_datetime

from bs4 import BeautifulSoup, Tag
from soupsieve import SelectorSyntaxError

from pipeline.model.catalog import Selectors
from pipeline.model.news import Entry, ParsedFeed, ParseFailed
from pipeline.rules.news.address import absolute
from pipeline.rules.news.charset import charset, without_nuls

MAX_ENTRIES = 2_000
ITSELF = ":scope"  #: selector for the item's own element; an empty title or link means it too


def parse_page(
    body: bytes, content_type: str, url: str, selectors: Selectors
) -> ParsedFeed | ParseFailed:
    """The entries of a list page, in its order.

    Shape:  url is where the body came from; links are read against `<base href>` or it
    Raises: nothing; selectors that fit nothing, or everything, are a ParseFailed
    """
    if not body.strip(b" \t\r\n\0"):
        return ParseFailed("empty", "The source answered with nothing.")
    try:
        return _read(_soup(without_nuls(body), content_type), url, selectors)
    except (SelectorSyntaxError, NotImplementedError) as error:
        line = str(error).splitlines()[0]
        return ParseFailed("bad_selector", f"A selector cannot be read: {line}.")


def _soup(body: bytes, content_type: str) -> BeautifulSoup:
    with warnings.catch_warnings():
        # that it looks like XML, a file's name or an address is no news to us
        warnings.simplefilter("ignore", UserWarning)
        return BeautifulSoup(body, "lxml", from_encoding=charset(body, content_type) or None)


def _read(soup: BeautifulSoup, url: str, selectors: Selectors) -> ParsedFeed | ParseFailed:
    found = list(soup.select(selectors.items, limit=MAX_ENTRIES + 1))
    if not found:
        return _no_match("items", selectors.items)
    if len(found) > MAX_ENTRIES or _is_everything(found):
        return ParseFailed(
            "too_broad",
            f"The selector for items, “{selectors.items}”, matches nearly everything on the page.",
        )
    base = _base(soup, url)
    entries = [_entry(item, selectors, base) for item in found]
    for name in ("title", "link"):
        if not any(getattr(entry, _FIELD[name]) for entry in entries):
            return _no_match(name, getattr(selectors, name))
    whole = tuple(entry for entry in entries if entry.raw_title and entry.raw_url)
    if len(whole) > 1 and len({entry.raw_url for entry in whole}) == 1:
        return ParseFailed("too_broad", "All items of the page have the same link.")
    return ParsedFeed(
        title=_text(soup.title), entries=whole, warnings=tuple(_warnings(entries, whole, selectors))
    )


_FIELD = {"title": "raw_title", "link": "raw_url"}


def _no_match(name: str, selector: str) -> ParseFailed:
    shown = f"“{selector}”" if selector else "the item itself"
    return ParseFailed(
        "no_match", f"The selector for {name}, {shown}, matched nothing; the page may have changed."
    )


def _is_everything(found: list[Tag]) -> bool:
    """Whether items lie inside items, as they do for `div` or `*`."""
    matched = {id(item) for item in found}
    inside = sum(any(id(parent) in matched for parent in item.parents) for item in found)
    return inside * 4 > len(found) or any(item.name in {"html", "body"} for item in found)


def _warnings(
    entries: list[Entry], whole: tuple[Entry, ...], selectors: Selectors
) -> Iterator[str]:
    missing = len(entries) - len(whole)
    if missing:
        yield f"{missing} of {len(entries)} items had no title or no link and were left out."
    if selectors.date and not any(entry.published_at for entry in entries):
        yield f"The selector for dates, “{selectors.date}”, gave no date that could be read."


def _entry(item: Tag, selectors: Selectors, base: str) -> Entry:
    summary = _pick(item, selectors.summary) if selectors.summary else None
    return Entry(
        raw_id="",
        raw_url=_link(item, selectors.link, base),
        raw_title=html.escape(_text(_pick(item, selectors.title)), quote=False),
        raw_summary=summary.decode_contents() if summary else "",
        published_at=_date(item, selectors.date),
        base=base,
    )


def _pick(item: Tag, selector: str) -> Tag | None:
    if selector in {"", ITSELF}:
        return item
    return item.select_one(selector)


def _link(item: Tag, selector: str, base: str) -> str:
    element = _pick(item, selector)
    if element is not None and not element.get("href"):
        element = element.select_one("a[href]") or element.find_parent("a", href=True)
    return absolute(str(element["href"]), base) if element else ""


def _text(element: Tag | None) -> str:
    return " ".join(element.get_text(" ").split()) if element else ""


def _base(soup: BeautifulSoup, url: str) -> str:
    element = soup.select_one("base[href]")
    return (absolute(str(element["href"]), url) if element else "") or url


# ── dates ────────────────────────────────────────────────────────────────────────────────

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan januar january janvier enero gennaio januari ene gen",
            "feb februar february février fevrier febrero febbraio februari fév fev",
            "mar mär märz maerz march mars marzo maart mrt mrz",
            "apr april avril abril aprile avr abr",
            "may mai mayo maggio mei mag maj",
            "jun juni june juin junio giugno giu",
            "jul juli july juillet julio luglio juil lug",
            "aug august août aout agosto augustus ago augusti",
            "sep sept september septembre septiembre settembre set",
            "oct okt october oktober octobre octubre ottobre ott",
            "nov november novembre noviembre",
            "dec dez des december dezember desember décembre decembre diciembre dicembre déc dic",
        ),
        start=1,
    )
    for name in names.split()
}
_NAMED = re.compile(
    r"(?:(?P<day>\d{1,2})(?:st|nd|rd|th|\.|er|º)?\s+(?:de\s+)?(?P<month>[^\W\d_]{3,10})\.?,?"
    r"|(?P<month2>[^\W\d_]{3,10})\.?\s+(?P<day2>\d{1,2})(?:st|nd|rd|th)?,?)"
    r"\s+(?:de\s+)?(?P<year>\d{4})"
)
_DOTTED = re.compile(r"\b(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4})\b")
_SLASHED = re.compile(r"\b(\d{1,2})[/-](\d{1,2})[/-](\d{4})\b")
_YEAR_FIRST = re.compile(r"\b(\d{4})[/.-](\d{1,2})[/.-](\d{1,2})\b")


def _date(item: Tag, selector: str) -> datetime | None:
    """The date of an item: `<time datetime>` where there is one, else what the text says."""
    element = item.select_one(selector) if selector else item.select_one("time[datetime]")
    if element is None:
        return None
    stamp = element if element.get("datetime") else element.select_one("time[datetime]")
    read = parse_date(str(stamp["datetime"])) if stamp else None
    return read or parse_date(str(element.get("content") or "")) or parse_date(_text(element))


def parse_date(raw_text: str) -> datetime | None:
    """A date that a page shows, in UTC; None when it cannot be read for certain.

    A day alone is its midnight. 03/04/2027 may be March or April, so it is no date.
    """
    text = raw_text.strip()[:100]
    for read in (_iso, _mail, _in_words):
        moment = read(text)
        if moment:
            return moment
    return None


def _iso(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _mail(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _in_words(text: str) -> datetime | None:
    for year, month, day in _readings(text):
        try:
            return datetime.combine(date(year, month, day), time(), tzinfo=UTC)
        except ValueError:  # no such day
            continue
    return None


def _readings(text: str) -> Iterator[tuple[int, int, int]]:
    """(year, month, day) as the text may be read, the surest first."""
    if match := _YEAR_FIRST.search(text):
        yield int(match[1]), int(match[2]), int(match[3])
    for match in _NAMED.finditer(text.lower()):
        month = _MONTHS.get(match["month"] or match["month2"], 0)
        yield int(match["year"]), month, int(match["day"] or match["day2"])
    if match := _DOTTED.search(text):
        yield int(match[3]), int(match[2]), int(match[1])
    if match := _SLASHED.search(text):
        first, second, year = int(match[1]), int(match[2]), int(match[3])
        if first > 12 or first == second:
            yield year, second, first
        elif second > 12:
            yield year, first, second
