"""Reads the signed event webhook: what became of copies after SendGrid took them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any

from pipeline.errors import BadInput
from pipeline.model.letters import Event, Heard
from pipeline.transports.sendgrid.body import DELIVERY_ARG
from pipeline.transports.sendgrid.words import one_line

SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"
#: A signature is believed so long before and after its time.
FRESH = timedelta(minutes=5)
MAX_HEADER_CHARS = 500
MAX_ID_CHARS = 150
MAX_WHAT_CHARS = 40

#: When an event tells no time that can be one.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_S = 253_402_300_799  # the year 9999

_ID = re.compile(r"[a-z2-7]{26}")
_SECONDS = re.compile(r"\d{1,12}", re.ASCII)
_EVENT_ID = re.compile(rf"[!-~]{{1,{MAX_ID_CHARS}}}")


@dataclass(frozen=True, slots=True)
class _Sense:
    """What one of their words means for a copy."""

    heard: Heard | None = None
    hard: bool = False
    leaves: bool = False


#: Source: SendGrid, “Event Webhook reference”. Opens and clicks say nothing of a copy: mail
#: programs and link scanners make both.
_SENSES: Mapping[str, _Sense] = {
    "processed": _Sense("accepted"),
    "delivered": _Sense("delivered"),
    "spamreport": _Sense("complained"),
    "spam_report": _Sense("complained"),
    "unsubscribe": _Sense(leaves=True),
    "group_unsubscribe": _Sense(leaves=True),
}
#: Why SendGrid dropped a copy itself: whom it has on a list, it has a reason for.
_DROPPED: Mapping[str, _Sense] = {
    "bounced address": _Sense("refused", hard=True),
    "invalid": _Sense("refused", hard=True),
    "spam reporting address": _Sense("complained"),
    "unsubscribed address": _Sense("refused", leaves=True),
}


class SendGridEvents:
    """Fits `Events`."""

    provider = "sendgrid"

    def __init__(self, webhook_key: str) -> None:
        """Shape:  webhook_key as SendGrid shows it (base64 of a DER public key), or empty"""
        self._key = webhook_key

    def refusal(self, body: bytes, headers: Mapping[str, str], now: datetime) -> str:
        """Why this is not believed; empty when it is theirs.

        Source: SendGrid, “Event Webhook security features”: ECDSA P-256 and SHA-256 over the
                timestamp and the raw body
        """
        if not self._key:
            return "no event is taken in before ASTERISM_SENDGRID_WEBHOOK_KEY is set"
        signature, stamp = headers.get(SIGNATURE, ""), headers.get(TIMESTAMP, "")
        if not signature or not stamp:
            return "it is not signed; switch the signed event webhook on at SendGrid"
        if len(signature) > MAX_HEADER_CHARS or not _SECONDS.fullmatch(stamp):
            return "its signature or its time has no shape that SendGrid gives them"
        if abs(now.timestamp() - int(stamp)) > FRESH.total_seconds():
            return "it was signed more than 5 minutes from now"
        return _forgery(self._key, body, signature, stamp)

    def read(self, body: bytes) -> Sequence[Event]:
        """What it says, in its order; an entry that is no event is left out.

        Raises: BadInput when the whole is no list of events
        """
        entries = _entries(body)
        events = (_event(entry) for entry in entries if isinstance(entry, dict))
        return [event for event in events if event is not None]


def _forgery(key: str, body: bytes, signature: str, stamp: str) -> str:
    webhook = _webhook(key)
    if webhook is None:
        return "ASTERISM_SENDGRID_WEBHOOK_KEY is no public key; copy it once more from SendGrid"
    try:
        # they sign UTF-8, and what decodes strictly encodes to the same bytes
        theirs = webhook.verify_signature(body.decode("utf-8"), signature, stamp)
    except (ValueError, TypeError, AttributeError):  # no base64, no UTF-8, a key of another kind
        theirs = False
    return "" if theirs else "it was not signed with SendGrid’s key"


@lru_cache(maxsize=4)
def _webhook(key: str) -> Any:
    """SendGrid's own verifier with this key; None when it is none."""
    # heavy, and most commands read no events
    from sendgrid.helpers.eventwebhook import EventWebhook  # type: ignore[import-untyped]

    try:
        return EventWebhook("".join(key.split()))
    except Exception:  # whatever the library raises of a key that is none
        return None


# ── what it says ─────────────────────────────────────────────────────────────────────────


def _entries(body: bytes) -> list[Any]:
    try:
        said = json.loads(body.decode("utf-8"), parse_int=_whole, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise BadInput(
            "This is no list of events: its JSON is broken or cut short.",
            "Nothing of it was taken in; SendGrid sends it again for a day.",
        ) from error
    if not isinstance(said, list):
        raise BadInput(
            "This is no list of events.", "Let SendGrid’s event webhook post here, nothing else."
        )
    return said


def _whole(digits: str) -> int:
    """A number; one that no clock and no counter shows is none."""
    return int(digits) if len(digits) <= 20 else 0


def _event(entry: Mapping[str, Any]) -> Event | None:
    what = entry.get("event")
    if not isinstance(what, str) or not what:
        return None
    word = what.lower()
    sense = _sense(word, entry)
    delivery = entry.get(DELIVERY_ARG)
    return Event(
        id=_event_id(entry),
        delivery_public_id=delivery
        if isinstance(delivery, str) and _ID.fullmatch(delivery)
        else "",
        what=_what(word),
        at=_at(entry.get("timestamp")),
        heard=sense.heard,
        hard=sense.hard,
        leaves=sense.leaves,
        dropped=word == "dropped",
        detail=_detail(entry),
    )


@lru_cache(maxsize=64)  # there are a dozen
def _what(word: str) -> str:
    return one_line(word, MAX_WHAT_CHARS)


def _sense(word: str, entry: Mapping[str, Any]) -> _Sense:
    match word:
        case "bounce":
            return _Sense("bounced", hard=entry.get("type") == "bounce")
        case "dropped":
            reason = str(entry.get("reason") or "").strip().lower()
            return _DROPPED.get(reason, _Sense("refused"))
        case _:
            return _SENSES.get(word, _Sense())


def _event_id(entry: Mapping[str, Any]) -> str:
    """Theirs; or, without one, a digest that the same event has again."""
    theirs = entry.get("sg_event_id")
    if isinstance(theirs, str) and _EVENT_ID.fullmatch(theirs):
        return theirs
    plain = {name: one for name, one in entry.items() if not isinstance(one, dict | list)}
    return f"digest:{sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()}"


def _at(stamp: object) -> datetime:
    if isinstance(stamp, int | float) and 0 <= stamp <= _LAST_S:
        return datetime.fromtimestamp(stamp, UTC)
    return EPOCH


def _detail(entry: Mapping[str, Any]) -> str:
    """Why, in the words of whoever refused or took it."""
    said = (entry.get(name) for name in ("status", "reason", "response"))
    return one_line(" ".join(one for one in said if isinstance(one, str) and one))
