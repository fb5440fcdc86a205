"""What an answer of the API means for the copies that were posted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pipeline.errors import Down, SenderRefused
from pipeline.rules.mask import mask
from pipeline.transports.sendgrid.wire import Answer
from pipeline.transports.sendgrid.words import one_line

#: How long to wait when they say only that it was too much.
PAUSE_S = 60
LONGEST_PAUSE_S = 86_400

#: What stands between us gave up waiting; behind it they may have taken it.
_GAVE_UP = (408, 425, 499)

_COPY = re.compile(r"personalizations\.(\d{1,4})(?:\.|\Z)")


@dataclass(frozen=True, slots=True)
class Taken:
    """They have all of it."""

    detail: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """They took nothing: the request is wrong."""

    what: str
    copies: Mapping[int, str]  #: which copies are at fault, where they say so
    ours: bool = False  #: the batch or its time is at fault, not the letters


@dataclass(frozen=True, slots=True)
class TooMuch:
    """They took nothing: not now."""

    retry_after_s: int


@dataclass(frozen=True, slots=True)
class TooBig:
    """They took nothing: the request is too long."""


@dataclass(frozen=True, slots=True)
class SenderUnknown:
    """They took nothing: the sender is none that was verified with them."""

    what: str


@dataclass(frozen=True, slots=True)
class Doubt:
    """They may have it."""

    what: str


Meaning = Taken | Rejected | TooMuch | TooBig | SenderUnknown | Doubt | Down


def meaning(answer: Answer, url: str, now: datetime, *, sandbox: bool = False) -> Meaning:
    """What became of a request to send.

    Only what surely was not accepted may be sent again by itself: a 5xx may come after they
    took it.

    Units:  now is aware UTC
    Source: SendGrid v3, “Responses”; sandbox mode answers 200
    """
    match answer.status:
        case 202:
            named = one_line(answer.headers.get("x-message-id", ""), 100)
            return Taken(f"X-Message-Id {named}" if named else "")
        case 200 if sandbox:
            return Taken("checked in the sandbox; nothing left")
        case 400 | 422:
            return _rejected(answer)
        case 413:
            return TooBig()
        case 429:
            return TooMuch(retry_after_s(answer, now))
        case 403 if _is_of_sender(answer):
            return SenderUnknown(said(answer))
        case status if 300 <= status < 500 and status not in _GAVE_UP:
            return down(answer, url)
        case status:
            return Doubt(f"SendGrid answered {status}")


def retry_after_s(answer: Answer, now: datetime) -> int:
    """When to ask again: by the reset of their limit, else by Retry-After, else in a minute."""
    reset = answer.headers.get("x-ratelimit-reset", "")
    wait = answer.headers.get("retry-after", "")
    seconds: float = PAUSE_S
    if re.fullmatch(r"\d{1,12}", reset, re.ASCII):
        seconds = int(reset) - now.timestamp()
    elif re.fullmatch(r"\d{1,9}", wait, re.ASCII):
        seconds = int(wait)
    elif wait:
        seconds = _until(wait, now)
    return max(1, min(LONGEST_PAUSE_S, round(seconds)))


def _until(day: str, now: datetime) -> float:
    try:
        at = parsedate_to_datetime(day)
    except (ValueError, OverflowError):
        return PAUSE_S
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now.timestamp()


def _rejected(answer: Answer) -> Rejected:
    told = _errors(answer)
    copies = {
        int(hit.group(1)): what for where, what in told if (hit := _COPY.match(where)) is not None
    }
    ours = bool(told) and all(where in ("batch_id", "send_at") for where, _ in told)
    return Rejected(said(answer), copies, ours)


def _errors(answer: Answer) -> list[tuple[str, str]]:
    """(field, message) of each error that they name."""
    answered = answer.json()
    errors = answered.get("errors") if isinstance(answered, dict) else None
    return [
        (str(one.get("field") or ""), one_line(one.get("message")))
        for one in (errors if isinstance(errors, list) else ())
        if isinstance(one, dict)
    ]


def _is_of_sender(answer: Answer) -> bool:
    """“The from address does not match a verified Sender Identity”, said of the field `from`."""
    told = _errors(answer)
    return bool(told) and all(where == "from" or "sender identity" in what.lower()
                              for where, what in told)  # fmt: skip


def said(answer: Answer) -> str:
    """Their words about what is wrong; "" when they say nothing."""
    words = dict.fromkeys(what for _, what in _errors(answer) if what)
    return one_line("; ".join(words))


def down(answer: Answer, url: str) -> Down:
    """Why nothing can be asked of them, and what to do next."""
    words = said(answer)
    because = f": {words}" if words else ""
    match answer.status:
        case 401:
            return Down(
                f"SendGrid does not accept the key (401){because}.",
                "The key in ASTERISM_SENDGRID_KEY is wrong or was revoked: make a new one at "
                "SendGrid with the permissions Mail Send and Scheduled Sends, then run this again.",
            )
        case 403:
            return Down(
                f"SendGrid forbids this (403){because}.",
                "Give the key in ASTERISM_SENDGRID_KEY the permissions Mail Send and Scheduled "
                "Sends, and verify the sender’s domain at SendGrid, then run this again.",
            )
        case 429 | 500 | 502 | 503 | 504:
            return Down(
                f"SendGrid has no time for us ({answer.status}){because}.",
                "Run this again in a few minutes; nothing is lost.",
            )
        case status:
            return Down(
                f"SendGrid’s API is not what answers at {url} ({status}){because}.",
                "Check ASTERISM_SENDGRID_URL; accounts in the EU have https://api.eu.sendgrid.com.",
            )


def unreachable(url: str, why: object) -> Down:
    """They could not be asked at all."""
    return Down(
        f"SendGrid cannot be reached at {url}: {why}.",
        "Check the network and ASTERISM_SENDGRID_URL, then run this again; nothing is lost.",
    )


def not_from(sender: str, words: str) -> SenderRefused:
    """Mail of this sender is not taken."""
    return SenderRefused(
        f"SendGrid takes no mail from {mask(sender)} (403): {words or 'it does not say why'}.",
        "Verify this sender or its domain at SendGrid, or name another `sender` in the "
        "constellation's file. Nothing is lost: its copies wait while they are on time.",
        sender=sender,
    )
