"""A mail that somebody copied to us: who wrote it to whom, when, and what it links to.

Anybody can write to a mailbox. So everything is bounded: how much of the head is read, how many
recipients, parts and links, how deep; and nothing that stands in a mail makes this room raise.
The standard library's parser is not used: nested parts make it crawl and end in a RecursionError.
"""

from __future__ import annotations

import binascii
import codecs
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.errors import HeaderParseError
from email.header import decode_header
from email.utils import parsedate_to_datetime
from html import unescape
from itertools import islice
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from pipeline.errors import BadInput
from pipeline.rules.letters.merge import clean_value
from pipeline.rules.news.address import canonical
from pipeline.rules.news.charset import charset
from pipeline.rules.people.address import MAX_ADDRESS, normalise

MOST_HEAD = 256_000  #: bytes of one head
MOST_LIST = 64_000  #: characters of all To and Cc
MOST_RECIPIENTS = 50
MOST_TEXT = 1_000_000  #: bytes of text that are looked through for links
MOST_PARTS = 40
DEEPEST = 6  #: parts in parts
MOST_LINKS = 40
LONGEST_LINK = 2_000
LONGEST_SUBJECT = 200

#: A mail is logged for the day it was written, when that is not longer ago.
OLDEST = timedelta(days=30)
#: So far a writer's clock may be ahead of ours.
AHEAD = timedelta(minutes=5)

#: Why a mail is no touch.
LeftOut = Literal[
    "unreadable", "bounce", "automatic", "our_own_letter", "mailing_list", "not_from_us",
    "nobody_known", "too_old", "logged_already",
]  # fmt: skip

Head = Mapping[str, list[str]]

_WANTED = frozenset({
    "from", "to", "cc", "subject", "date", "message-id", "in-reply-to", "received",
    "auto-submitted", "precedence", "return-path", "list-id", "list-unsubscribe", "feedback-id",
    "x-autoreply", "x-autorespond", "content-type", "content-transfer-encoding",
    "content-disposition",
})  # fmt: skip
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_ENVELOPE_LINE = re.compile(rb">?From [^\n]*\n")
_HEAD_END = re.compile(rb"\r\n\r\n|\n\n|\n\r\n|\r\r")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.?)*(?:"|\Z)')  # one that is left open: to the end
_COMMENT = re.compile(r"\([^()]*\)")
_ANGLE = re.compile(r"<([^<>]*)>")
_BOUNDARY = re.compile(
    r'boundary\s{0,9}=\s{0,9}(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE
)
_LINK = re.compile(r"https?://[^\s<>\"'\x00-\x20]+", re.IGNORECASE)
_HREF = re.compile(
    r"\bhref\s{0,9}=\s{0,9}(?:\"([^\"]{1,2000})\"|'([^']{1,2000})'|([^\s\"'>]{1,2000}))",
    re.IGNORECASE,
)
_QUOTATION = re.compile(r"^[ \t]*>.*$", re.MULTILINE)
_NOT_BASE64 = bytes(set(range(256)) - set(_BASE64))
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  #: and half characters
_AT_THE_END = ".,;:!?)]}*_…”’"
_OUR_ID = re.compile(r"[a-z2-7]{26}")
_SCANNED = ".safelinks.protection.outlook.com"


@dataclass(frozen=True, slots=True)
class CopiedMail:
    """What a touch needs of a mail."""

    #: Normalised; empty when there is none, or more than one.
    sender: str = field(repr=False)
    recipients: tuple[str, ...] = field(repr=False)  #: of To and Cc, normalised
    subject: str = field(repr=False)
    links: tuple[str, ...]  #: web addresses in it, each page once
    sent_at: datetime | None  #: what the writer's clock said
    came_at: datetime | None  #: what the last server's clock said
    is_reply: bool
    left_out: LeftOut | None = None  #: what kind of mail it is that nobody wrote by hand

    def at(self, now: datetime) -> datetime | None:
        """When it was written, as far as that can be believed; None: too long ago.

        A clock that is wrong does not make a mail old: where a server's stamp or nothing else
        says otherwise, it counts as written now.
        """
        stamps = [stamp for stamp in (self.sent_at, self.came_at) if stamp is not None]
        for stamp in stamps:
            if now - OLDEST <= stamp <= now + AHEAD:
                return min(stamp, now)
        if self.came_at is not None and self.came_at < now - OLDEST:
            return None
        return now


def digest_of(raw: bytes) -> str:
    """What tells one mail from another: its Message-ID, or else what it says.

    Mail programs write marks into the heads of an mbox; they do not make another mail of it.
    """
    head, body = _split(raw)
    message_id = "".join(head.get("message-id", [""])[0].split())
    if message_id:
        return hashlib.sha256(f"id {message_id}".encode()).hexdigest()
    said = "\n".join(
        f"{name}: {value}" for name in ("from", "to", "cc", "date", "subject")
        for value in head.get(name, ())
    )  # fmt: skip
    return hashlib.sha256(f"mail {said}\n\n".encode() + body.strip(b"\r\n")).hexdigest()


def read_mail(raw: bytes, mail_domain: str) -> CopiedMail:
    """A mail, whatever its bytes are.

    Shape:  mail_domain is the right side of our own letters' Message-IDs
    Source: RFC 5322 §3.6 (the head), RFC 2046 §5.1 (parts), RFC 3834 §5 (Auto-Submitted)
    """
    head, body = _split(raw)
    senders = _addresses(head.get("from", ()), 2)
    return CopiedMail(
        sender=senders[0] if len(senders) == 1 else "",
        recipients=_addresses((*head.get("to", ()), *head.get("cc", ())), MOST_RECIPIENTS),
        subject=_subject(_first(head, "subject")),
        links=_links(head, body),
        sent_at=_date(_first(head, "date")),
        came_at=_date(_first(head, "received").rpartition(";")[2]),
        is_reply="in-reply-to" in head,
        left_out=_left_out(head, senders, mail_domain) if head else "unreadable",
    )


def _left_out(head: Head, senders: tuple[str, ...], mail_domain: str) -> LeftOut | None:
    precedence = _first(head, "precedence").lower()
    daemon = any(sender.startswith(("mailer-daemon@", "postmaster@")) for sender in senders)
    report = _kind(head) == "multipart/report"
    if daemon or report or _first(head, "return-path") == "<>":
        return "bounce"
    answered = _first(head, "auto-submitted").lower().partition(";")[0].strip() not in ("", "no")
    if answered or precedence == "auto_reply" or {"x-autoreply", "x-autorespond"} & head.keys():
        return "automatic"
    local, _, domain = _first(head, "message-id").strip("<>").lower().partition("@")
    ours = domain == mail_domain.lower() and _OUR_ID.fullmatch(local)
    if "feedback-id" in head or ours:
        return "our_own_letter"
    if {"list-id", "list-unsubscribe"} & head.keys() or precedence in ("bulk", "list", "junk"):
        return "mailing_list"
    return None


# ── the head ─────────────────────────────────────────────────────────────────────────────


def _split(raw: bytes) -> tuple[Head, bytes]:
    """The headers that we ask for, unfolded, and what stands below them."""
    envelope = _ENVELOPE_LINE.match(raw, 0, LONGEST_LINK)
    start = envelope.end() if envelope else 0
    end = _HEAD_END.search(raw, start, start + MOST_HEAD)
    block = raw[start : end.start() if end else start + MOST_HEAD]
    head = _headers(block.decode("utf-8", "replace"))
    return head, raw[end.end() :] if end else (b"" if head else raw[start:])


def _headers(block: str) -> Head:
    lines = re.sub(r"\r\n?", "\n", block.replace("\0", ""))
    head: dict[str, list[str]] = {}
    for line in re.sub(r"\n[ \t]+", " ", lines).split("\n"):
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if colon and name in _WANTED and len(values := head.setdefault(name, [])) < MOST_PARTS:
            values.append(value.strip())
    return head


def _first(head: Head, name: str) -> str:
    return head.get(name, [""])[0]


def _kind(head: Head) -> str:
    return _first(head, "content-type").partition(";")[0].strip().lower()


def _addresses(values: Iterable[str], most: int) -> tuple[str, ...]:
    """The addresses of a list, normalised; what is none is left out."""
    text = _QUOTED.sub(" ", ", ".join(values)[:MOST_LIST])
    for _ in range(3):
        text = _COMMENT.sub(" ", text)
    return tuple(islice(dict.fromkeys(_normalised(re.split("[,;]", text))), most))


def _normalised(pieces: Iterable[str]) -> Iterator[str]:
    for piece in pieces:
        angle = _ANGLE.search(piece)
        address = (angle[1] if angle else piece.rpartition(":")[2]).strip()
        if "@" not in address or len(address) > MAX_ADDRESS:
            continue
        try:
            yield normalise(address)
        except BadInput:
            continue


def _subject(value: str) -> str:
    """On one line, without what no line should hold."""
    try:
        pieces = decode_header(value[:LONGEST_LINK])
    except (HeaderParseError, ValueError):
        pieces = [(value, None)]
    text = "".join(_word(piece, name) for piece, name in pieces)
    plain = " ".join(clean_value(_CONTROL.sub(" ", text)).split())
    return plain if len(plain) <= LONGEST_SUBJECT else plain[: LONGEST_SUBJECT - 1] + "…"


def _word(piece: str | bytes, name: str | None) -> str:
    if isinstance(piece, str):
        return piece
    if name is None:
        return piece.decode("raw_unicode_escape", "replace")  # as decode_header wrote it
    return _decoded(piece, name)


def _date(value: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(value.strip()[:100])
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


# ── the body ─────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Reading:
    """What was found so far, and how much more may be looked at."""

    plain: list[str] = field(default_factory=list)
    html: list[str] = field(default_factory=list)
    parts_left: int = MOST_PARTS
    bytes_left: int = MOST_TEXT


def _links(head: Head, body: bytes) -> tuple[str, ...]:
    """Web addresses of the text; of the markup where there is no text.

    Lines that quote another mail are not this one's.
    """
    reading = _Reading()
    _read(head, body, reading, 0)
    text = _QUOTATION.sub("", "\n".join(reading.plain))
    found = list(_in_text(text)) if text.strip() else []
    if not found:
        found = [link for markup in reading.html for link in _in_markup(markup)]
    pages: dict[str, str] = {}
    for link in found:
        page = canonical(link)
        if page and len(pages) < MOST_LINKS:
            pages.setdefault(page, link)
    return tuple(pages.values())


def _read(head: Head, body: bytes, reading: _Reading, depth: int) -> None:
    if reading.parts_left <= 0 or reading.bytes_left <= 0 or depth > DEEPEST:
        return
    reading.parts_left -= 1
    kind = _kind(head)
    if kind.startswith("multipart/"):
        for part in _parts(head, body, reading.parts_left):
            _read(*_split(part), reading, depth + 1)
    elif kind in ("", "text/plain", "text/html") and not _is_attached(head):
        raw = _transferred(head, body, reading.bytes_left)
        reading.bytes_left -= len(raw)
        named = re.search(r"charset\s{0,9}=\s{0,9}\"?([\w.:-]{1,40})", _first(head, "content-type"))
        text = _decoded(raw, named[1] if named else "")
        (reading.html if kind == "text/html" else reading.plain).append(text)


def _is_attached(head: Head) -> bool:
    return _first(head, "content-disposition").lower().startswith("attachment")


def _parts(head: Head, body: bytes, most: int) -> Iterator[bytes]:
    named = _BOUNDARY.search(_first(head, "content-type"))
    if named is None:
        return
    mark = b"\n--" + (named[1] or named[2]).encode()
    for part in (b"\n" + body).split(mark, most + 1)[1 : most + 1]:
        if part.startswith(b"--"):
            return
        yield part.partition(b"\n")[2]


def _transferred(head: Head, body: bytes, most: int) -> bytes:
    """The bytes that were meant, at most so many."""
    coding = _first(head, "content-transfer-encoding").strip().lower()
    if coding == "base64":
        digits = body[: most * 2].translate(None, _NOT_BASE64)
        try:
            return binascii.a2b_base64(digits[: len(digits) // 4 * 4])[:most]
        except binascii.Error:
            return b""
    if coding == "quoted-printable":
        return binascii.a2b_qp(body[: most * 3])[:most]
    return body[:most]


def _decoded(raw: bytes, name: str) -> str:
    """Text, in whatever it is written; what cannot be read stands as a question mark."""
    known = charset(raw, f"charset={name}")
    if not known:
        known = "utf-8-sig" if raw.startswith(codecs.BOM_UTF8) else "utf-16"
    return raw.decode(known, "replace")


def _in_text(text: str) -> Iterator[str]:
    for hit in islice(_LINK.finditer(text), MOST_LINKS * 10):
        if len(hit[0]) <= LONGEST_LINK:
            yield _unscanned(hit[0].rstrip(_AT_THE_END))


def _in_markup(markup: str) -> Iterator[str]:
    for hit in islice(_HREF.finditer(markup), MOST_LINKS * 10):
        yield _unscanned(unescape(hit[1] or hit[2] or hit[3]).strip())
    yield from _in_text(re.sub(r"<[^<>]*>", " ", markup))


def _unscanned(link: str) -> str:
    """The page itself, of an address that a mail scanner has wrapped."""
    if _SCANNED not in link:
        return link
    try:
        parts = urlsplit(link)
        inner = parse_qs(parts.query, max_num_fields=20).get("url", [""])[0]
    except ValueError:
        return link
    return inner if inner and (parts.hostname or "").endswith(_SCANNED) else link
