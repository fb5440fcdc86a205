"""One copy as the bytes of a message: deterministic, CRLF only, no line too long.

Written by hand where the standard library errs: it turns a long List-Unsubscribe into encoded
words, and one-click leaving is dead.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from hashlib import sha256

import idna

from pipeline.errors import BadInput

MAX_LINE = 76  #: of a body, and of a header that can be folded
MAX_HEADER = 998  #: RFC 5322 §2.1.1
LIST_HEADERS = ("List-Unsubscribe", "List-Unsubscribe-Post", "List-Id", "Feedback-ID")

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_DOT_ATOM = re.compile(rf"{_ATEXT}(?:\.{_ATEXT})*")
_PHRASE = re.compile(rf"{_ATEXT}(?: {_ATEXT})*")
_QUOTABLE = re.compile(r"[\x20-\x7e]+")
_HALVES = re.compile(r"[\ud800-\udfff]")  #: of a surrogate pair; no encoding takes them
_BREAKS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")
_UNSAFE_LINE = re.compile(rb"^(?:\.|From )[^\n]*|^[^\n]{77,}", re.MULTILINE)


def build_message(
    *,
    sender: tuple[str, str],
    recipient: tuple[str, str],
    subject: str,
    html: str,
    text: str,
    date: datetime,
    message_id: str,
    reply_to: tuple[str, str] | None = None,
    list_headers: Mapping[str, str] | None = None,
    language: str = "en",
) -> bytes:
    """The message of one copy: multipart/alternative, text first, quoted-printable.

    The same arguments give the same bytes; the boundary comes from the Message-ID. There is
    no Precedence and no Auto-Submitted: a person answers for every letter, and an
    out-of-office reply tells its sender something.

    Shape:  sender, recipient, reply_to are (name, address), the name may be empty; list_headers
            are those of `list_headers()`, or None for internal mail
    Units:  date is aware
    Raises: BadInput for a line break, NUL or half a character in a header, an address that
            cannot stand in one, a header that is not one of LIST_HEADERS
    Source: RFC 5322, 2045, 2046, 2047; RFC 2369 and 8058 (List headers)
    """
    boundary = _boundary(message_id)
    headers = [
        ("From", _mailbox(*sender)),
        ("To", _mailbox(*recipient)),
        *([("Reply-To", _mailbox(*reply_to))] if reply_to else []),
        ("Subject", _unstructured(subject, len("Subject: "))),
        ("Date", format_datetime(date.astimezone(UTC))),
        ("Message-ID", _plain("Message-ID", message_id)),
        *_checked(list_headers or {}),
        ("MIME-Version", "1.0"),
        ("Content-Language", _plain("Content-Language", language)),
    ]
    return _alternative(headers, boundary, text, html)


def build_draft(
    *,
    sender: tuple[str, str],
    recipient: tuple[str, str],
    subject: str,
    html: str,
    text: str,
    bcc: str = "",
    language: str = "en",
) -> bytes:
    """A mail that somebody still has to send, for their own mail program to open.

    It has no Date and no Message-ID: those belong to whoever sends it, and two drafts with
    one id would be one mail.

    Shape:  sender and recipient are (name, address); bcc is an address, or empty
    Raises: BadInput as build_message() does
    Source: RFC 5322 §3.6.1, §3.6.4; X-Unsent is what mail programs know a draft by
    """
    headers = [
        ("X-Unsent", "1"),
        ("From", _mailbox(*sender)),
        ("To", _mailbox(*recipient)),
        *([("Bcc", _mailbox("", bcc))] if bcc else []),
        ("Subject", _unstructured(subject, len("Subject: "))),
        ("MIME-Version", "1.0"),
        ("Content-Language", _plain("Content-Language", language)),
    ]
    return _alternative(headers, _boundary(f"{subject}\n{text}\n{html}"), text, html)


def _boundary(of: str) -> str:
    return f"=_{sha256(of.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def _alternative(headers: list[tuple[str, str]], boundary: str, text: str, html: str) -> bytes:
    kind = ("Content-Type", f'multipart/alternative;\r\n boundary="{boundary}"')
    head = "".join(f"{name}: {value}\r\n" for name, value in [*headers, kind]).encode("ascii")
    parts = b"".join(
        b"--%s\r\nContent-Type: text/%s; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n%s\r\n"
        % (boundary.encode(), subtype, quoted_printable(body))
        for subtype, body in ((b"plain", text), (b"html", html))
    )
    return head + b"\r\n" + parts + b"--" + boundary.encode() + b"--\r\n"


def message_id(delivery_public_id: str, domain: str) -> str:
    """The Message-ID of a delivery: the same after every crash.

    Raises: BadInput when the domain cannot stand in one
    """
    return f"<{delivery_public_id}@{_domain(domain)}>"


def list_headers(
    *, leave_url: str, list_id: str, mail_domain: str, feedback_id: str, leave_mailto: str = ""
) -> dict[str, str]:
    """The List headers and Feedback-ID of every copy that is not internal.

    Shape:  list_id is the newsletter's key; feedback_id is "issue:newsletter:letter:sender";
            leave_mailto only where a mailbox is read
    Raises: BadInput
    Source: RFC 2369 §3.2, RFC 8058 §3.1, RFC 2919 §3; Feedback-ID: at most 4 parts
    """
    leave = f"<{leave_url}>" + (f", <mailto:{leave_mailto}>" if leave_mailto else "")
    label = re.sub(r"[^A-Za-z0-9-]+", "-", list_id).strip("-").lower()
    if not label:
        raise BadInput("a letter needs a List-Id", "Give the newsletter a key of letters.")
    headers = {
        "List-Unsubscribe": leave,
        "List-Id": f"<{label}.{_domain(mail_domain)}>",
        "Feedback-ID": feedback_id,
    }
    if leave_url.startswith("https://"):
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return dict(_checked(headers))


def _checked(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    unknown = set(headers) - set(LIST_HEADERS)
    if unknown:
        raise BadInput(
            f"{', '.join(sorted(unknown))}: not a header that a letter may set",
            f"There are {', '.join(LIST_HEADERS)}.",
        )
    for name in LIST_HEADERS:
        if name in headers:
            yield name, _plain(name, headers[name])


def _plain(name: str, value: str) -> str:
    """A value that must stand as it is, on one line."""
    _refuse_breaks(name, value)
    if not value.isascii() or not value or len(name) + 2 + len(value) > MAX_HEADER:
        raise BadInput(
            f"{name} cannot be sent: it must be 1 to {MAX_HEADER - len(name) - 2} ASCII characters",
            "Check the base address and the keys it is made of.",
        )
    return value


def _refuse_breaks(name: str, value: str) -> None:
    if _BREAKS.search(value):
        raise BadInput(
            f"{name} holds a line break or another control character",
            "Take it out; it would forge a header.",
        )
    if _HALVES.search(value):
        raise BadInput(
            f"{name} holds half a character, which cannot be sent", "Write it anew; it is broken."
        )


# ── headers ──────────────────────────────────────────────────────────────────────────────


def _mailbox(name: str, address: str) -> str:
    """`Name <address>`, folded before the address where it would be too long."""
    _refuse_breaks("a name", name)
    where = f"<{_address(address)}>"
    words = _phrase(" ".join(name.split()))
    if not words:
        return where
    last = words.rsplit("\r\n", 1)[-1]
    room = MAX_LINE - (len("Reply-To: ") if "\r\n" not in words else 0)
    fits = len(last) + 1 + len(where) <= room
    return f"{words} {where}" if fits else f"{words}\r\n {where}"


def _phrase(name: str) -> str:
    if len(name) <= MAX_LINE - len("Reply-To: ") and "=?" not in name:
        if _PHRASE.fullmatch(name):
            return name
        if _QUOTABLE.fullmatch(name):
            quoted = re.sub(r'(["\\])', r"\\\1", name)
            if len(quoted) + 2 <= MAX_LINE - len("Reply-To: "):
                return f'"{quoted}"'
    return "\r\n ".join(_encoded_words(name, len("Reply-To: ")))


def _address(address: str) -> str:
    _refuse_breaks("an address", address)
    local, at, domain = address.strip().rpartition("@")
    if not at or not local or re.search(r"[\s<>()\[\],;:\\\"]", local) or len(address) > 254:
        raise BadInput(f"“{address[:80]}” is no e-mail address", "It looks like name@firm.example.")
    if not local.isascii():
        raise BadInput(
            f"“{address[:80]}” has letters beyond a to z before the @",
            "Most mail servers refuse such an address; ask for another one.",
        )
    name = local if _DOT_ATOM.fullmatch(local) else f'"{local}"'
    return f"{name}@{_domain(domain)}"


@lru_cache(maxsize=4096)  # a thousand copies have one sender and a few hundred companies
def _domain(domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True).decode("ascii").lower()
    except idna.IDNAError as error:
        raise BadInput(f"“{domain[:80]}” is no domain", "It looks like firm.example.") from error


def _unstructured(value: str, used: int) -> str:
    """A subject: plain and folded at its spaces, or in encoded words."""
    _refuse_breaks("the subject", value)
    value = value.strip()
    words = value.split(" ")
    plain = _QUOTABLE.fullmatch(value) and "=?" not in value and "" not in words
    if plain and max(map(len, words)) <= MAX_LINE - used:
        return _folded(words, used)
    return "\r\n ".join(_encoded_words(value, used)) if value else ""


def _folded(words: list[str], used: int) -> str:
    out = words[0]
    column = used + len(words[0])
    for word in words[1:]:
        if column + 1 + len(word) > MAX_LINE:
            out += f"\r\n {word}"
            column = 1 + len(word)
        else:
            out += f" {word}"
            column += 1 + len(word)
    return out


def _encoded_words(value: str, used: int) -> list[str]:
    """RFC 2047: UTF-8 in base64, each word within its line, no character cut in two."""
    out: list[str] = []
    held = b""
    for character in value:
        raw = character.encode("utf-8")
        room = MAX_LINE - (used if not out else 1) - len("=?utf-8?b??=")
        if (len(held) + len(raw) + 2) // 3 * 4 > room:
            out.append(_encoded_word(held))
            held = b""
        held += raw
    return [*out, _encoded_word(held)] if held else out


def _encoded_word(raw: bytes) -> str:
    return f"=?utf-8?b?{b64encode(raw).decode('ascii')}?="


# ── bodies ───────────────────────────────────────────────────────────────────────────────


def quoted_printable(body: str) -> bytes:
    """Lines of at most 76 characters ended by CRLF; none starts with a dot or with "From ".

    A leading dot is written as =2E, so that it survives a relay that forgets to stuff it.
    """
    lines = body.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace")
    encoded = binascii.b2a_qp(lines, quotetabs=False, istext=True, header=False)
    return _UNSAFE_LINE.sub(_guarded, encoded).replace(b"\n", b"\r\n")


def _guarded(found: re.Match[bytes]) -> bytes:
    """`=2E…` or `=46rom …`, broken once more where the line is too long.

    That may be so without our doing: binascii forgets to count when it encodes a space at the
    end of a line.
    """
    line = found.group()
    if line.startswith((b".", b"From ")):
        line = b"=%02X" % line[0] + line[1:]
    if len(line) <= MAX_LINE:
        return line
    at = MAX_LINE - 1
    while b"=" in line[at - 2 : at] or line[at:].startswith((b".", b"From ")):
        at -= 1
    return line[:at] + b"=\n" + line[at:]
