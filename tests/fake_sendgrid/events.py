"""What SendGrid posts of its copies: events, signed, and as badly as strangers may post them."""

from __future__ import annotations

import base64
import json
import random
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.fake_sendgrid.books import Copy

SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"
#: SendGrid posts many events at once.
MOST_EVENTS = 10_000

#: What each event adds to the fields that all have.
_MORE: Mapping[str, Mapping[str, Any]] = {
    "processed": {},
    "deferred": {"response": "400 try again later", "attempt": "5"},
    "delivered": {"response": "250 OK"},
    "bounce": {"type": "bounce", "reason": "550 5.1.1 no such mailbox", "status": "5.1.1"},
    "blocked": {"type": "blocked", "reason": "550 5.7.1 blocked by a list", "status": "5.7.1"},
    "dropped": {"reason": "Bounced Address", "status": "5.0.0"},
    "spamreport": {},
    "unsubscribe": {},
    "group_unsubscribe": {"asm_group_id": 10, "useragent": "Mozilla/5.0", "ip": "192.0.2.7"},
    "group_resubscribe": {"asm_group_id": 10, "useragent": "Mozilla/5.0", "ip": "192.0.2.7"},
    "open": {"useragent": "Mozilla/5.0", "ip": "192.0.2.7", "sg_machine_open": False},
    "click": {"useragent": "Mozilla/5.0", "ip": "192.0.2.7", "url": "https://harbour.example/"},
}


def event_of(copy: Copy, what: str, at: float, **changes: Any) -> dict[str, Any]:
    """One event as the reference describes it; `blocked` is a bounce of that type."""
    event = {
        "email": copy.recipient,
        "timestamp": int(at),
        "smtp-id": copy.headers.get("Message-ID", f"<{copy.message_id}@geopod-ismtpd-1>"),
        "event": "bounce" if what == "blocked" else what,
        "category": [],
        "sg_event_id": secrets.token_urlsafe(24),
        "sg_message_id": f"{copy.message_id}.recvd-5d9d-{copy.number}.0",
        **copy.custom_args,
        **_MORE[what],
    }
    return {**event, **changes}


def messy(
    events: Sequence[dict[str, Any]], *, copies_of_each: int = 2, seed: int = 0
) -> list[dict[str, Any]]:
    """The same events, each several times, in no order."""
    many = [dict(event) for event in events for _ in range(copies_of_each)]
    random.Random(seed).shuffle(many)
    return many


def body_of(events: Iterable[Mapping[str, Any]]) -> bytes:
    """As SendGrid writes it: one event a line."""
    return ("[" + ",\r\n".join(json.dumps(event) for event in events) + "]\r\n").encode()


@dataclass(frozen=True, slots=True)
class Signer:
    """Holds the private key that belongs to one webhook."""

    key: ec.EllipticCurvePrivateKey

    @staticmethod
    def new() -> Signer:
        return Signer(ec.generate_private_key(ec.SECP256R1()))

    @property
    def public_key(self) -> str:
        """As SendGrid's page shows it: base64 of the DER, one line."""
        der = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return base64.b64encode(der).decode()

    def headers(self, body: bytes, at: float) -> dict[str, str]:
        """What proves that this body is ours and was sent then."""
        timestamp = str(int(at))
        signature = self.key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        return {
            "Content-Type": "application/json",
            "User-Agent": "SendGrid Event API",
            SIGNATURE: base64.b64encode(signature).decode(),
            TIMESTAMP: timestamp,
        }


@dataclass(frozen=True, slots=True)
class Posting:
    """One POST to a webhook; `replace` it to spoil it."""

    body: bytes
    headers: Mapping[str, str]

    def post(self, url: str, timeout_s: float = 30.0) -> int:
        """Over a real line; the status that came back."""
        request = urllib.request.Request(url, self.body, dict(self.headers), method="POST")
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code


def posting(signer: Signer, events: Iterable[Mapping[str, Any]], at: float) -> Posting:
    """A good one."""
    body = body_of(events)
    return Posting(body, signer.headers(body, at))


def forged(events: Iterable[Mapping[str, Any]], at: float) -> Posting:
    """Signed by somebody else."""
    return posting(Signer.new(), events, at)


def tampered(signer: Signer, events: Sequence[Mapping[str, Any]], at: float) -> Posting:
    """Signed, and changed on its way."""
    honest = posting(signer, events, at)
    return Posting(honest.body.replace(b"delivered", b"delivereD").replace(b"}", b" }", 1),
                   honest.headers)  # fmt: skip


def unsigned(events: Iterable[Mapping[str, Any]]) -> Posting:
    return Posting(body_of(events), {"Content-Type": "application/json"})


def truncated(signer: Signer, events: Iterable[Mapping[str, Any]], at: float) -> Posting:
    """Cut in the middle, with a signature that fits what is left."""
    body = body_of(events)
    body = body[: len(body) // 2]
    return Posting(body, signer.headers(body, at))
