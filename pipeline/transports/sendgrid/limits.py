"""What SendGrid refuses, found before it is asked; and what it takes but would do wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

MAX_PERSONALIZATIONS = 1000
MAX_RECIPIENTS = 1000
MAX_BODY_BYTES = 30_000_000
MAX_ARGS_BYTES = 10_000
MAX_SUBSTITUTIONS_BYTES = 10_000
MAX_CATEGORIES = 10
MAX_CATEGORY_CHARS = 255
MAX_GROUPS_SHOWN = 25
MAX_AHEAD = timedelta(hours=72)
MAX_HEADER = 998  #: RFC 5322 §2.1.1

PROPERTIES = frozenset({
    "personalizations", "from", "reply_to", "reply_to_list", "subject", "content", "attachments",
    "template_id", "headers", "categories", "custom_args", "send_at", "batch_id", "asm",
    "ip_pool_name", "mail_settings", "tracking_settings",
})  # fmt: skip
PERSONAL = frozenset({
    "from", "to", "cc", "bcc", "subject", "headers", "substitutions", "dynamic_template_data",
    "custom_args", "send_at",
})  # fmt: skip
#: Theirs to set; one of ours under such a name is refused or overwritten.
RESERVED = frozenset({
    "x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type",
    "content-transfer-encoding", "to", "from", "subject", "reply-to", "cc", "bcc",
})  # fmt: skip

_NAME = re.compile(r"[!-9;-~]+")  # RFC 5322 §2.2
_BREAKS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")
_ADDRESS = re.compile(r"[^\s@<>()\[\],;:\\\"]+@[^\s@<>()\[\],;:\\\"]+\.[^\s@<>()\[\],;:\\\"]+")

Found = Iterator[str]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that SendGrid would refuse, or worse, take."""

    what: str
    copy: int | None = None  #: which personalization; None: the request as a whole
    too_big: bool = False  #: fewer copies in one request may mend it


def faults(body: Mapping[str, Any], size_bytes: int, now: datetime) -> tuple[Fault, ...]:
    """Everything that keeps a body from being posted.

    Units:  now is aware UTC
    Source: SendGrid v3 POST /mail/send, “Limitations”; what its OpenAPI file does not say
    """
    copies = body.get("personalizations") or ()
    found = [Fault(what) for what in _of_request(body, now)]
    if size_bytes >= MAX_BODY_BYTES:
        found.append(Fault("the message is 30 MB or more", too_big=True))
    if len(copies) > MAX_PERSONALIZATIONS or _recipients(copies) > MAX_RECIPIENTS:
        found.append(Fault("there are more than 1000 recipients", too_big=True))
    seen: set[str] = set()
    for number, one in enumerate(copies):
        found += [Fault(what, number) for what in _of_copy(one, body, now)]
        found += [Fault(what, number) for what in _doubles(one, seen)]
    return tuple(found)


# ── the request as a whole ───────────────────────────────────────────────────────────────


def _of_request(body: Mapping[str, Any], now: datetime) -> Found:
    unknown = sorted(set(body) - PROPERTIES)
    if unknown:
        yield f"“{unknown[0]}” is no property of a mail"
    if not body.get("personalizations"):
        yield "there is no copy in it"
    yield from _mailbox("the sender", body.get("from"), ascii_only=True)
    answers = [body["reply_to"]] if "reply_to" in body else body.get("reply_to_list", ())
    for one in answers:
        yield from _mailbox("the reply address", one)
    yield from _content(body)
    yield from _headers(body.get("headers", {}))
    yield from _labels(body)
    if "custom_args" in body:
        yield from _strings("custom_args", body["custom_args"], MAX_ARGS_BYTES)
    yield from _send_at(body.get("send_at"), now)


def _content(body: Mapping[str, Any]) -> Found:
    content = body.get("content", ())
    if not content and not body.get("template_id"):
        yield "it has no content"
    for one in content:
        if not isinstance(one.get("value"), str) or not one["value"]:
            yield f"the {one.get('type')} part is empty"
    order = [_order(one.get("type")) for one in content]
    if order != sorted(order):
        yield "the plain part must stand first, then HTML"


def _order(kind: object) -> int:
    return {"text/plain": 0, "text/html": 1}.get(str(kind), 2)


def _labels(body: Mapping[str, Any]) -> Found:
    categories = body.get("categories", ())
    if len(categories) > MAX_CATEGORIES or len(set(categories)) < len(categories):
        yield "there are more than 10 categories, or one twice"
    if any(len(str(one)) > MAX_CATEGORY_CHARS for one in categories):
        yield "a category is longer than 255 characters"
    asm = body.get("asm")
    if asm is not None and not isinstance(asm.get("group_id"), int):
        yield "the unsubscribe group has no id"
    if asm is not None and len(asm.get("groups_to_display", ())) > MAX_GROUPS_SHOWN:
        yield "more than 25 unsubscribe groups are shown"


def _send_at(at: object, now: datetime) -> Found:
    if at is None:
        return
    if not isinstance(at, int) or isinstance(at, bool):
        yield "send_at is no whole number of seconds"
    elif at < now.timestamp():
        yield "send_at is past"
    elif at > (now + MAX_AHEAD).timestamp():
        yield "send_at is more than 72 hours ahead"


# ── one copy ─────────────────────────────────────────────────────────────────────────────


def _of_copy(one: Mapping[str, Any], body: Mapping[str, Any], now: datetime) -> Found:
    unknown = sorted(set(one) - PERSONAL)
    if unknown:
        yield f"“{unknown[0]}” is no property of a copy"
    if not one.get("to"):
        yield "it goes to nobody"
    for box in _boxes(one):
        yield from _mailbox("the address", box)
        if isinstance(box, Mapping) and set(str(box.get("name", ""))) & {",", ";"}:
            yield "the name at the address holds a comma or a semicolon"
    if "from" in one:
        yield from _mailbox("the sender", one["from"], ascii_only=True)
    yield from _subject(one, body)
    yield from _headers(one.get("headers", {}))
    yield from _strings("custom_args", one.get("custom_args", {}), MAX_ARGS_BYTES)
    yield from _strings("its own words", one.get("substitutions", {}), MAX_SUBSTITUTIONS_BYTES)
    if one.get("substitutions") and str(body.get("template_id", "")).startswith("d-"):
        yield "a dynamic template takes no substitutions"
    yield from _send_at(one.get("send_at"), now)


def _subject(one: Mapping[str, Any], body: Mapping[str, Any]) -> Found:
    """The subject as this reader sees it."""
    subject = one.get("subject", body.get("subject", ""))
    if not isinstance(subject, str):
        yield "the subject is no text"
        return
    own_words = one.get("substitutions")
    for tag, words in own_words.items() if isinstance(own_words, Mapping) else ():
        subject = subject.replace(tag, str(words))
    if not subject.strip() and not body.get("template_id"):
        yield "it has no subject"
    if _BREAKS.search(subject):
        yield "the subject holds a line break or another control character"


def _boxes(one: Mapping[str, Any]) -> Sequence[Any]:
    return [*one.get("to", ()), *one.get("cc", ()), *one.get("bcc", ())]


def _recipients(copies: Sequence[Mapping[str, Any]]) -> int:
    return sum(len(_boxes(one)) for one in copies)


def _doubles(one: Mapping[str, Any], seen: set[str]) -> Found:
    for box in _boxes(one):
        address = str(box.get("email", "")).lower()
        if address in seen:
            yield "its address stands twice in one request"
        seen.add(address)


# ── what stands in both ──────────────────────────────────────────────────────────────────


def _mailbox(what: str, box: object, *, ascii_only: bool = False) -> Found:
    box = box if isinstance(box, Mapping) else {}
    address, name = box.get("email"), box.get("name", "")
    if not isinstance(address, str) or not _ADDRESS.fullmatch(address):
        yield f"{what} is no e-mail address"
    elif ascii_only and not address.isascii():
        yield f"{what} has letters beyond a to z"
    if not isinstance(name, str) or _BREAKS.search(name):
        yield f"the name at {what} holds a line break or another control character"


def _headers(headers: Mapping[str, Any]) -> Found:
    for name, value in headers.items():
        if name.lower() in RESERVED:
            yield f"{name} is not ours to set"
        elif not _NAME.fullmatch(name):
            yield "a header has no proper name"
        elif not isinstance(value, str) or not value.isascii() or _BREAKS.search(value):
            yield f"{name} holds a line break, or is no plain text"
        elif len(name) + 2 + len(value) > MAX_HEADER:
            yield f"{name} is longer than {MAX_HEADER} characters"


def _strings(what: str, values: object, most_bytes: int) -> Found:
    if not isinstance(values, Mapping):
        yield f"{what} are no pairs of texts"
        return
    if not all(isinstance(one, str) for pair in values.items() for one in pair):
        yield f"{what} must be texts"
    size = sum(len(str(one).encode("utf-8", "replace")) for pair in values.items() for one in pair)
    if size > most_bytes:
        yield f"{what} are {size} bytes; {most_bytes} is the most that SendGrid takes"
