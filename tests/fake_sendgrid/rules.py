"""What SendGrid's v3 mail/send accepts, written down from its documents.

Source: twilio.com/docs/sendgrid/api-reference/mail-send (mail-send, errors, limitations)
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

HELP = "http://sendgrid.com/docs/API_Reference/Web_API_v3/Mail/errors.html#message."
MOST_PERSONALIZATIONS = 1000
MOST_RECIPIENTS = 1000
MOST_BYTES = 30 * 1024 * 1024
MOST_ARGUMENT_BYTES = 10_000
AHEAD_S = 72 * 3600

#: (field, message) of one broken rule.
Broken = tuple[str, str]

_ADDRESS = re.compile(r"[^@\s<>()\[\],;:\\\"\x00-\x1f]+@[^@\s<>()\[\],;:\\\"\x00-\x1f]+")
_HEADER_NAME = re.compile(r"[!-9;-~]+")
_RESERVED = {
    "x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type",
    "content-transfer-encoding", "to", "from", "subject", "reply-to", "cc", "bcc",
}  # fmt: skip
_TOP = {
    "personalizations", "from", "reply_to", "reply_to_list", "subject", "content", "attachments",
    "template_id", "headers", "categories", "custom_args", "send_at", "batch_id", "asm",
    "ip_pool_name", "mail_settings", "tracking_settings", "sections",
}  # fmt: skip
_EACH = {
    "from", "to", "cc", "bcc", "subject", "headers", "substitutions", "dynamic_template_data",
    "custom_args", "send_at",
}  # fmt: skip


def broken(mail: Any, now: float, knows_batch: Callable[[str], bool]) -> list[Broken]:
    """Every rule that this body breaks; empty when it would be taken.

    Shape:  mail as JSON told it; knows_batch says whether a batch id is one of this account's
    Units:  now in epoch seconds
    """
    if not isinstance(mail, dict):
        return [("", "Bad Request")]
    return [
        *_unknown(mail, _TOP, ""),
        *_personalizations(mail, now),
        *_from(mail),
        *_reply_to(mail),
        *_subject(mail),
        *_content(mail),
        *_attachments(mail),
        *_headers(mail.get("headers"), "headers"),
        *_categories(mail.get("categories")),
        *_arguments(mail.get("custom_args"), "custom_args"),
        *_send_at(mail.get("send_at"), "send_at", now),
        *_batch(mail.get("batch_id"), knows_batch),
        *_asm(mail.get("asm")),
        *_settings(mail),
    ]


def answer(found: Sequence[Broken]) -> dict[str, Any]:
    """The body of a 400."""
    return {
        "errors": [
            {
                "message": message,
                "field": field or None,
                "help": HELP + re.sub(r"\.\d+", "", field) if field else None,
            }
            for field, message in found
        ]
    }


def is_quoted(name: str) -> bool:
    """Whether a name may stand in a list of addresses, whatever it holds."""
    return bool(re.fullmatch(r'"(?:[^"\\]|\\.)*"', name))


def is_lost(name: str) -> bool:
    """Whether the real one takes a name and then sends the copy to a piece of it.

    Source: issues 291 of sendgrid-python and 394 of sendgrid-ruby
    """
    return bool(set(name) & set('():<>@[]"\\')) and not is_quoted(name)


def recipients(personalization: Mapping[str, Any]) -> list[dict[str, str]]:
    """Everybody whom one personalization goes to."""
    return [one for kind in ("to", "cc", "bcc") for one in personalization.get(kind, ())]


# ── personalizations ─────────────────────────────────────────────────────────────────────


def _personalizations(mail: Mapping[str, Any], now: float) -> Iterator[Broken]:
    field, all_of_them = "personalizations", mail.get("personalizations")
    if not isinstance(all_of_them, list) or not all_of_them:
        yield field, "You must have at least one personalization."
        return
    if len(all_of_them) > MOST_PERSONALIZATIONS:
        yield (
            field,
            "The personalization block is limited to 1000 personalizations per API request. "
            f"You have provided {len(all_of_them)} personalizations.",
        )
    is_dynamic = str(mail.get("template_id", "")).startswith("d-")
    shared = mail.get("custom_args")
    wrong = [
        one
        for number, each in enumerate(all_of_them)
        for one in _personalization(each, f"{field}.{number}", now, is_dynamic, shared)
    ]
    yield from wrong
    if not wrong:
        yield from _everybody(all_of_them)


def _everybody(all_of_them: Sequence[Mapping[str, Any]]) -> Iterator[Broken]:
    """Rules across all recipients of one request."""
    addresses = [one["email"] for each in all_of_them for one in recipients(each)]
    if len(addresses) > MOST_RECIPIENTS:
        yield (
            "personalizations",
            "There is a limit of 1000 total recipients (to + cc + bcc) per request.",
        )
    seen: set[str] = set()
    for address in addresses:
        if address.lower() in seen:
            yield (
                "personalizations",
                "Each unique email address in the personalizations array should only be "
                f"included once. You have included [{address}] more than once.",
            )
        seen.add(address.lower())


def _personalization(
    each: Any, field: str, now: float, is_dynamic: bool, shared: Any
) -> Iterator[Broken]:
    if not isinstance(each, dict):
        yield field, "Invalid type. Expected: object."
        return
    yield from _unknown(each, _EACH, field)
    if not each.get("to"):
        yield f"{field}.to", "The to array is required for all personalization objects."
    for kind in ("to", "cc", "bcc"):
        yield from _addresses(each.get(kind, []), f"{field}.{kind}")
    if "from" in each:
        yield from _sender(each["from"], f"{field}.from")
    if "subject" in each:
        yield from _subject_text(each["subject"], f"{field}.subject")
    yield from _headers(each.get("headers"), f"{field}.headers")
    yield from _substitutions(each.get("substitutions"), f"{field}.substitutions", is_dynamic)
    yield from _arguments(each.get("custom_args"), f"{field}.custom_args", shared)
    yield from _send_at(each.get("send_at"), f"{field}.send_at", now)


def _addresses(people: Any, field: str) -> Iterator[Broken]:
    if not isinstance(people, list):
        yield field, "Invalid type. Expected: array."
        return
    for number, one in enumerate(people):
        yield from _person(one, f"{field}.{number}")
        name = one.get("name", "") if isinstance(one, dict) else ""
        if isinstance(name, str) and set(name) & {";", ","} and not is_quoted(name):
            yield f"{field}.{number}.name", "The name cannot include either the ; or , characters."


def _person(one: Any, field: str) -> Iterator[Broken]:
    if not isinstance(one, dict) or not isinstance(one.get("email"), str):
        yield f"{field}.email", "Each object must at least have an email address."
        return
    yield from _unknown(one, {"email", "name"}, field)
    if not _ADDRESS.fullmatch(one["email"]):
        yield f"{field}.email", "Does not contain a valid address."
    if not isinstance(one.get("name", ""), str) or _breaks(one.get("name", "")):
        yield f"{field}.name", "The name must be a string without CRLF."


def _substitutions(values: Any, field: str, is_dynamic: bool) -> Iterator[Broken]:
    if values is None:
        return
    if not _of_strings(values):
        yield field, "Substitutions must be an object of strings."
        return
    if _size(values) > MOST_ARGUMENT_BYTES:
        yield field, "Substitutions are limited to 10000 bytes per personalization block."
    if is_dynamic:
        yield field, "Substitutions may not be used with dynamic templating."


# ── one message ──────────────────────────────────────────────────────────────────────────


def _from(mail: Mapping[str, Any]) -> Iterator[Broken]:
    if not isinstance(mail.get("from"), dict):
        yield (
            "from",
            "The from object must be provided for every email send. It is an object that "
            "requires the email parameter, but may also contain a name parameter.",
        )
        return
    yield from _sender(mail["from"], "from")


def _sender(sender: Any, field: str) -> Iterator[Broken]:
    yield from _person(sender, field)
    email = sender.get("email") if isinstance(sender, dict) else ""
    # the documents say it of the whole field; the name is known to pass in every language
    if isinstance(email, str) and not email.isascii():
        yield f"{field}.email", "The from email does not support Unicode."


def _reply_to(mail: Mapping[str, Any]) -> Iterator[Broken]:
    if "reply_to" in mail and "reply_to_list" in mail:
        yield "reply_to", "Use either reply_to or reply_to_list, not both."
    if "reply_to" in mail:
        yield from _person(mail["reply_to"], "reply_to")
    for number, one in enumerate(mail.get("reply_to_list") or ()):
        yield from _person(one, f"reply_to_list.{number}")


def _subject(mail: Mapping[str, Any]) -> Iterator[Broken]:
    each = mail.get("personalizations")
    everyone_has_one = (
        isinstance(each, list)
        and bool(each)
        and all(isinstance(one, dict) and one.get("subject") for one in each)
    )
    if "subject" in mail:
        yield from _subject_text(mail["subject"], "subject")
    elif not everyone_has_one and not mail.get("template_id"):
        yield (
            "subject",
            "The subject is required. You can get around this requirement if you use a template "
            "with a subject defined or if every personalization has a subject defined.",
        )


def _subject_text(subject: Any, field: str) -> Iterator[Broken]:
    if not isinstance(subject, str) or not subject:
        yield field, "The subject must be a string at least one character in length."
    elif _breaks(subject):
        yield field, "The subject may not contain CRLF."


def _content(mail: Mapping[str, Any]) -> Iterator[Broken]:
    parts = mail.get("content")
    if parts is None and mail.get("template_id"):
        return
    if not isinstance(parts, list) or not parts:
        yield (
            "content",
            "Unless a valid template_id is provided, the content parameter is required. There "
            "must be at least one defined content block.",
        )
        return
    wrong = [one for number, part in enumerate(parts) for one in _part(part, f"content.{number}")]
    yield from wrong
    if not wrong and [part["type"] for part in parts] != sorted(
        (part["type"] for part in parts), key=_place
    ):
        yield (
            "content",
            "If present, text/plain and text/html may only be provided once, and they must come "
            "first, in this order.",
        )
    types = [part.get("type") for part in parts if isinstance(part, dict)]
    for kind in ("text/plain", "text/html"):
        if types.count(kind) > 1:
            yield "content", f"{kind} may only be provided once."


def _part(part: Any, field: str) -> Iterator[Broken]:
    if not isinstance(part, dict):
        yield field, "Invalid type. Expected: object."
        return
    yield from _unknown(part, {"type", "value"}, field)
    kind, value = part.get("type"), part.get("value")
    if not isinstance(kind, str) or not kind or set(kind) & {";", ",", "\r", "\n"}:
        yield f"{field}.type", "The content type must be a MIME type without ; , or CRLF."
    if not isinstance(value, str) or not value:
        yield (
            f"{field}.value",
            "The content value must be a string at least one character in length.",
        )


def _place(kind: str) -> int:
    return {"text/plain": 0, "text/html": 1}.get(kind, 2)


def _attachments(mail: Mapping[str, Any]) -> Iterator[Broken]:
    for number, one in enumerate(mail.get("attachments") or ()):
        if not (isinstance(one, dict) and one.get("content") and one.get("filename")):
            yield f"attachments.{number}", "An attachment needs content and filename."


def _headers(headers: Any, field: str) -> Iterator[Broken]:
    if headers is None:
        return
    if not _of_strings(headers):
        yield field, "Headers must be an object of strings."
        return
    for name, value in headers.items():
        if name.lower() in _RESERVED:
            yield f"{field}.{name}", f"The header {name} is reserved and may not be overridden."
        elif not _HEADER_NAME.fullmatch(name):
            yield field, "Header names must be 7-bit ASCII without spaces or colons."
        if _breaks(value):
            yield f"{field}.{name}", "Header values may not contain CRLF."
        if not value.isascii():
            yield f"{field}.{name}", "Encode a header's value if it contains Unicode characters."


def _categories(categories: Any) -> Iterator[Broken]:
    field = "categories"
    if categories is None:
        return
    if not isinstance(categories, list) or not all(isinstance(one, str) for one in categories):
        yield field, "Categories must be an array of strings."
        return
    if len(categories) > 10:
        yield field, "You cannot have more than 10 categories per request."
    if len(set(categories)) != len(categories):
        yield field, "You cannot define the same category more than once."
    for number, one in enumerate(categories):
        if len(one) > 255:
            yield f"{field}.{number}", "A category name cannot exceed 255 characters."


def _arguments(values: Any, field: str, shared: Any = None) -> Iterator[Broken]:
    if values is None:
        return
    if not isinstance(values, dict):
        yield field, "Invalid type. Expected: object."
        return
    if not _of_strings(values):
        yield field, "Each value in custom_args must be a string."
        return
    whole = {**shared, **values} if isinstance(shared, dict) else values
    if _size(whole) > MOST_ARGUMENT_BYTES:
        yield field, "The total size of custom_args may not exceed 10000 bytes."


def _send_at(value: Any, field: str, now: float) -> Iterator[Broken]:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        yield field, "The send_at parameter must be an integer: a UNIX timestamp."
    elif value - now > AHEAD_S:
        yield field, "A send cannot be scheduled more than 72 hours in advance."


def _batch(value: Any, knows_batch: Callable[[str], bool]) -> Iterator[Broken]:
    if value is not None and not (isinstance(value, str) and knows_batch(value)):
        yield "batch_id", "The batch_id must be a valid batch ID."


def _asm(asm: Any) -> Iterator[Broken]:
    if asm is None:
        return
    if not isinstance(asm, dict):
        yield "asm", "Invalid type. Expected: object."
        return
    group, shown = asm.get("group_id"), asm.get("groups_to_display", [])
    if not isinstance(group, int) or isinstance(group, bool):
        yield "asm.group_id", "The asm parameter requires a group_id, an integer."
    if not isinstance(shown, list) or not all(isinstance(one, int) for one in shown):
        yield "asm.groups_to_display", "Must be an array of integers."
    elif len(shown) > 25:
        yield "asm.groups_to_display", "You cannot display more than 25 groups."


def _settings(mail: Mapping[str, Any]) -> Iterator[Broken]:
    for field in ("mail_settings", "tracking_settings"):
        if not isinstance(mail.get(field, {}), dict):
            yield field, "Invalid type. Expected: object."
    pool = mail.get("ip_pool_name")
    if pool is not None and not (isinstance(pool, str) and 2 <= len(pool) <= 64):
        yield "ip_pool_name", "The ip_pool_name must have 2 to 64 characters."


# ── small questions ──────────────────────────────────────────────────────────────────────


def _unknown(thing: Mapping[str, Any], known: set[str], field: str) -> Iterator[Broken]:
    for name in sorted(set(thing) - known):
        yield f"{field}.{name}".lstrip("."), f"Additional property {name} is not allowed."


def _of_strings(values: Any) -> bool:
    return isinstance(values, dict) and all(isinstance(one, str) for one in values.values())


def _size(values: Mapping[str, str]) -> int:
    return len(json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode())


def _breaks(text: Any) -> bool:
    return isinstance(text, str) and bool(set(text) & {"\r", "\n", "\0"})
