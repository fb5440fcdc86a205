"""Reads RSS, Atom and JSON Feed: strangers' bytes in, entries or a plain reason out."""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import feedparser

from pipeline.model.news import Entry, ParsedFeed, ParseFailed, Quiet
from pipeline.rules.news.address import absolute
from pipeline.rules.news.charset import charset as charset_of
from pipeline.rules.news.charset import without_nuls
from pipeline.rules.news.clean import to_line

MAX_ENTRIES = 2_000
_HEAD_BYTES = 100_000  #: where a document's own properties and its nature are looked for

_ENTRY = re.compile(rb"<(?:[A-Za-z][\w.-]*:)?(?:item|entry)[\s>/]")
_ROOT = re.compile(rb"<((?:[A-Za-z][\w.-]*:)?([A-Za-z][\w.-]*))")
_HTML = re.compile(rb"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_ALTERNATE = re.compile(rb"<link\b[^<>]{0,2000}>", re.IGNORECASE)
_HREF = re.compile(rb"href\s*=\s*[\"']?([^\"'\s<>]{1,2000})", re.IGNORECASE)
_REFERENCE = re.compile(rb"&#([0-9]{1,20}|[xX][0-9a-fA-F]{1,20});?")
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_PERIODS_S = {
    "hourly": 3_600, "daily": 86_400, "weekly": 604_800, "monthly": 2_592_000,
    "yearly": 31_536_000,
}  # fmt: skip


def parse_feed(body: bytes, content_type: str, url: str) -> ParsedFeed | ParseFailed:
    """The entries of a feed, whatever it calls itself.

    Shape:  url is where the body came from; relative links are read against it
    Raises: MemoryError at most; what is no feed is a ParseFailed
    Source: RSS 2.0, RFC 4287 (Atom), jsonfeed.org/version/1.1
    """
    if not body.strip(b" \t\r\n\0"):
        return ParseFailed("empty", "The source answered with nothing.")
    if body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
        return _parse_json(body, url)
    return _parse_xml(body, content_type, url)


# ── RSS and Atom ─────────────────────────────────────────────────────────────────────────


def _parse_xml(body: bytes, content_type: str, url: str) -> ParsedFeed | ParseFailed:
    body = without_nuls(body)
    shortened = _first_entries(body)
    try:
        parsed = _feedparse(shortened, charset_of(body, content_type), url)
    except MemoryError:  # that is for whoever set the limit
        raise
    except Exception as error:  # hostile markup finds many ways to trip a lenient parser
        return ParseFailed("unreadable", f"The feed cannot be read ({type(error).__name__}).")
    entries = parsed.get("entries", [])
    if not parsed.get("version") and not entries:
        return _not_a_feed(body, url)
    feed = parsed.get("feed", {})
    language = _string(feed.get("language"))
    return ParsedFeed(
        title=to_line(_markup(feed, "title")),
        entries=tuple(_entry(raw, language) for raw in entries[:MAX_ENTRIES]),
        ttl_s=_ttl_s(feed),
        quiet=_quiet(body),
        warnings=tuple(_warnings(parsed, len(shortened) < len(body))),
    )


def _feedparse(body: bytes, charset: str, url: str) -> dict[str, Any]:
    """What feedparser makes of it; without impossible character references if they trip it."""
    headers = {
        "content-type": "application/xml" + (f"; charset={charset}" if charset else ""),
        "content-location": url,
    }

    def read(attempt: bytes) -> dict[str, Any]:
        # always a stream: given bytes, feedparser opens the file whose name they are
        parsed: dict[str, Any] = feedparser.parse(
            io.BytesIO(attempt),
            sanitize_html=False,
            resolve_relative_uris=False,
            response_headers=headers,
        )
        return parsed

    try:
        return read(body)
    except (OverflowError, ValueError):
        return read(_REFERENCE.sub(_possible, body))


def _possible(match: re.Match[bytes]) -> bytes:
    """The reference, if there is such a character; else nothing."""
    digits = match[1].lower()
    code = int(digits[1:], 16) if digits.startswith(b"x") else int(digits)
    return match[0] if code < 0xD800 or 0xDFFF < code <= 0x10FFFF else b""


def _entry(raw: dict[str, Any], language: str) -> Entry:
    fullest: dict[str, Any] = max(
        raw.get("content", ()), key=lambda part: len(part.get("value", "")), default={}
    )
    detail = fullest or raw.get("summary_detail", {})
    return Entry(
        raw_id=_string(raw.get("id")),
        raw_url=_string(raw.get("feedburner_origlink") or raw.get("link")),
        raw_title=_markup(raw, "title"),
        raw_summary=_markup(raw, "summary"),
        raw_content=_escaped(fullest),
        raw_author=_string(raw.get("author")),
        published_at=_time(raw, "published_parsed") or _time(raw, "created_parsed"),
        updated_at=_time(raw, "updated_parsed"),
        language=_string(fullest.get("language")) or language,
        base=_string(detail.get("base")),
    )


def _markup(raw: Mapping[str, Any], name: str) -> str:
    """A text construct as HTML; plain text is escaped."""
    return _escaped(raw.get(f"{name}_detail") or {}) or _string(raw.get(name))


def _escaped(detail: Mapping[str, Any]) -> str:
    value = _string(detail.get("value"))
    return html.escape(value, quote=False) if detail.get("type") == "text/plain" else value


def _time(raw: dict[str, Any], name: str) -> datetime | None:
    parts: Any = dict.get(raw, name)  # not its own get, which falls back
    try:
        year, month, day, hour, minute, second = parts[:6]
        return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except (TypeError, ValueError):  # absent, or no such day
        return None


def _ttl_s(feed: Mapping[str, Any]) -> int | None:
    minutes = _number(feed.get("ttl"))
    if minutes is not None:
        return minutes * 60
    period = _PERIODS_S.get(_string(feed.get("sy_updateperiod")).strip().lower())
    if period is None:
        return None
    return period // max(_number(feed.get("sy_updatefrequency")) or 1, 1)


def _quiet(body: bytes) -> Quiet:
    """skipHours and skipDays; a feed that would never be asked is not believed."""
    hours = {int(text) % 24 for text in re.findall(rb">\s*(\d{1,2})\s*<", _inside(body, b"Hours"))}
    names = re.findall(rb">\s*([a-z]{6,9})\s*<", _inside(body, b"Days").lower())
    days = {_DAYS.index(name.decode()) for name in names if name.decode() in _DAYS}
    return Quiet(
        frozenset(hours) if len(hours) < 24 else frozenset(),
        frozenset(days) if len(days) < 7 else frozenset(),
    )


def _inside(body: bytes, kind: bytes) -> bytes:
    start = body.find(b"<skip" + kind + b">", 0, _HEAD_BYTES)
    end = body.find(b"</skip" + kind + b">", start, start + 2_000)
    return body[start:end] if 0 <= start < end else b""


def _warnings(parsed: Mapping[str, Any], shortened: bool) -> Iterable[str]:
    if parsed.get("bozo"):
        yield "The feed is not well-formed; what could be read was read."
    if shortened:
        yield f"Only the first {MAX_ENTRIES:,} entries of the feed were read; it has more."


def _first_entries(body: bytes) -> bytes:
    """The document with at most MAX_ENTRIES entries, closed again where it was cut."""
    for count, match in enumerate(_ENTRY.finditer(body)):
        if count == MAX_ENTRIES:
            root = _ROOT.search(body)
            if root is None:
                return body
            channel = b"</channel>" if root[2].lower() == b"rss" else b""
            return body[: match.start()] + channel + b"</" + root[1] + b">"
    return body


def _not_a_feed(body: bytes, url: str) -> ParseFailed:
    if not _HTML.search(body[:_HEAD_BYTES]):
        return ParseFailed("not_a_feed", "The source answered with something that is no feed.")
    for tag in _ALTERNATE.findall(body[:_HEAD_BYTES]):
        href = _HREF.search(tag)
        if href and re.search(rb"(?:rss|atom)\+xml|feed\+json", tag, re.IGNORECASE):
            there = absolute(html.unescape(href[1].decode("utf-8", "replace")), url)
            if there:
                return ParseFailed(
                    "not_a_feed", f"This is a web page, not a feed; it names {there} as its feed."
                )
    return ParseFailed("not_a_feed", "The source answered with a web page instead of a feed.")


# ── JSON Feed ────────────────────────────────────────────────────────────────────────────


def _parse_json(body: bytes, url: str) -> ParsedFeed | ParseFailed:
    try:
        document = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return ParseFailed("unreadable", "The source answered with JSON that cannot be read.")
    items = document.get("items")
    version = _string(document.get("version"))
    if not isinstance(items, list) or not version.startswith("https://jsonfeed.org/version/1"):
        return ParseFailed("not_a_feed", "The source answered with JSON that is no JSON Feed.")
    language = _string(document.get("language"))
    return ParsedFeed(
        title=to_line(html.escape(_string(document.get("title")))),
        entries=tuple(
            _json_entry(item, language, url)
            for item in items[:MAX_ENTRIES]
            if isinstance(item, dict)
        ),
        warnings=tuple(_warnings({}, len(items) > MAX_ENTRIES)),
    )


def _json_entry(item: Mapping[str, Any], language: str, url: str) -> Entry:
    link = _string(item.get("url")) or _string(item.get("external_url"))
    text = html.escape(_string(item.get("content_text")), quote=False).replace("\n", "<br>")
    return Entry(
        raw_id=_string(item.get("id")),
        raw_url=absolute(link, url) or link,
        raw_title=html.escape(_string(item.get("title")), quote=False),
        raw_summary=html.escape(_string(item.get("summary")), quote=False),
        raw_content=_string(item.get("content_html")) or text,
        raw_author=_json_author(item),
        published_at=_json_time(item.get("date_published")),
        updated_at=_json_time(item.get("date_modified")),
        language=_string(item.get("language")) or language,
        base=url,
    )


def _json_author(item: Mapping[str, Any]) -> str:
    authors = item.get("authors")
    people = authors if isinstance(authors, list) else [item.get("author")]
    names = [_string(person.get("name")) for person in people if isinstance(person, dict)]
    return ", ".join(name for name in names if name)


def _json_time(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(_string(value))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _string(value: object) -> str:
    """Text of a field; JSON Feed ids are now and then numbers."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _number(value: object) -> int | None:
    text = _string(value).strip()
    return int(text) if re.fullmatch(r"[0-9]{1,6}", text) else None
