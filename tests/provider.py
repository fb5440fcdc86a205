"""A provider of the outside world: signs what it posts, and tells of copies as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

from pipeline.errors import BadInput
from pipeline.model.letters import Event, Heard
from tests.builders import NOW

KEY = b"a key that only the provider has"
SENSES: Mapping[str, Heard] = {
    "processed": "accepted",
    "delivered": "delivered",
    "dropped": "refused",
    "bounce": "bounced",
    "blocked": "bounced",
    "spamreport": "complained",
}


@dataclass(frozen=True)
class Told:
    """One event as the provider writes it."""

    id: str
    copy: str
    what: str
    reason: str = ""
    at: str = NOW.isoformat()


@dataclass
class SignedEvents:
    """Fits `Events`: a body that ends in its signature is believed."""

    provider: str = "sendgrid"
    read_bodies: list[int] = field(default_factory=list)

    def refusal(self, body: bytes, headers: Mapping[str, str], now: datetime) -> str:
        return "" if headers.get("x-signature") == sign(body) else "it is not signed as theirs"

    def read(self, body: bytes) -> Sequence[Event]:
        self.read_bodies.append(len(body))
        try:
            entries = json.loads(body)
        except ValueError:
            raise BadInput("The body is no list of events.") from None
        return [_event(entry) for entry in entries]


def _event(entry: Mapping[str, str]) -> Event:
    what = entry["what"]
    return Event(
        id=entry["id"],
        delivery_public_id=entry["copy"],
        what=what,
        at=datetime.fromisoformat(entry["at"]),
        heard=SENSES.get(what),
        hard=what == "bounce",
        leaves=what == "unsubscribe",
        dropped=what == "dropped",
        detail=entry["reason"],
    )


def sign(body: bytes) -> str:
    return hashlib.sha256(KEY + body).hexdigest()


def posting(told: Iterable[Told]) -> tuple[bytes, dict[str, str]]:
    """A body and its headers, in lower case."""
    body = json.dumps([asdict(one) for one in told]).encode()
    return body, {"x-signature": sign(body)}
