"""Events that SendGrid posts: believed only when signed and fresh, and then read calmly."""

from __future__ import annotations

import base64
import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from pipeline.errors import BadInput
from pipeline.model.letters import Event
from pipeline.transports.sendgrid.events import EPOCH, SIGNATURE, TIMESTAMP, SendGridEvents
from tests.builders import NOW

SECRET_KEY = ec.generate_private_key(ec.SECP256R1())
DELIVERY = "abcdefghijklmnopqrstuvwx23"
STAMP = str(int(NOW.timestamp()))


def shown(key: Any) -> str:
    """A public key as SendGrid shows it."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return base64.b64encode(key.public_bytes(serialization.Encoding.DER, form)).decode()


KEY = shown(SECRET_KEY.public_key())
EVENTS = SendGridEvents(KEY)


def signed(body: bytes, stamp: str = STAMP, key: ec.EllipticCurvePrivateKey = SECRET_KEY) -> Any:
    signature = key.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    return {SIGNATURE: base64.b64encode(signature).decode(), TIMESTAMP: stamp}


def event(what: str, **more: Any) -> dict[str, Any]:
    return {
        "email": "ingrid@northline.example",
        "timestamp": int(NOW.timestamp()),
        "event": what,
        "sg_event_id": "event-1",
        "sg_message_id": "m1.filter1",
        "delivery": DELIVERY,
        **more,
    }


def read(*entries: Any) -> list[Event]:
    return list(EVENTS.read(json.dumps(entries).encode()))


# ── whom to believe ──────────────────────────────────────────────────────────────────────

BODY = '[{"event": "delivered", "email": "åse@northline.example"}]\r\n'.encode()


def test_what_they_signed_is_theirs() -> None:
    assert EVENTS.refusal(BODY, signed(BODY), NOW) == ""


@pytest.mark.parametrize("minutes", [-5, 5])
def test_five_minutes_are_fresh(minutes: int) -> None:
    assert EVENTS.refusal(BODY, signed(BODY), NOW + timedelta(minutes=minutes)) == ""
    just = timedelta(minutes=minutes * 1.01)
    assert "more than 5 minutes" in EVENTS.refusal(BODY, signed(BODY), NOW + just)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({SIGNATURE: ""}, "not signed"),
        ({TIMESTAMP: ""}, "not signed"),
        ({SIGNATURE: "%%%"}, "not signed with SendGrid"),
        ({SIGNATURE: "AAAA"}, "not signed with SendGrid"),
        ({SIGNATURE: "A"}, "not signed with SendGrid"),
        ({SIGNATURE: "ø" * 8}, "not signed with SendGrid"),
        ({SIGNATURE: "A" * 100_000}, "no shape"),
        ({TIMESTAMP: "9" * 100_000}, "no shape"),
        ({TIMESTAMP: "soon"}, "no shape"),
        ({TIMESTAMP: "-1"}, "no shape"),
        ({TIMESTAMP: "٣٤٥"}, "no shape"),
        ({TIMESTAMP: str(int(NOW.timestamp()) + 1)}, "not signed with SendGrid"),
    ],
)
def test_what_is_not_theirs_is_refused_in_words(change: dict[str, str], words: str) -> None:
    assert words in EVENTS.refusal(BODY, {**signed(BODY), **change}, NOW)


def test_a_body_that_was_touched_is_refused() -> None:
    headers = signed(BODY)
    for body in (BODY[:-2], BODY + b" ", BODY.replace(b"delivered", b"bouncedxx"), b"", b"\xff"):
        assert "not signed with SendGrid" in EVENTS.refusal(body, headers, NOW)
    assert "not signed with" in EVENTS.refusal(b"\xff", signed(b"\xff"), NOW)  # it is no UTF-8


def test_another_key_is_not_theirs() -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    assert "not signed with SendGrid" in EVENTS.refusal(BODY, signed(BODY, key=other), NOW)


@pytest.mark.parametrize("key", ["", "nonsense", "AAAA", KEY[:-8], "é"])
def test_without_a_proper_key_nothing_is_taken_in(key: str) -> None:
    assert "ASTERISM_SENDGRID_WEBHOOK_KEY" in SendGridEvents(key).refusal(BODY, signed(BODY), NOW)


def test_a_key_of_another_kind_verifies_nothing() -> None:
    other = shown(rsa.generate_private_key(65537, 2048).public_key())
    assert SendGridEvents(other).refusal(BODY, signed(BODY), NOW)


def test_verdicts_are_those_of_the_mathematics() -> None:
    """SendGrid's own verifier and the bare curve say the same of good and of damaged ones."""
    chance = random.Random(7)
    verdicts = set()
    for _ in range(60):
        headers = signed(BODY)
        raw = bytearray(base64.b64decode(headers[SIGNATURE]))
        if chance.random() < 0.7:
            raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        headers[SIGNATURE] = base64.b64encode(raw).decode()
        try:
            curve = ec.ECDSA(hashes.SHA256())
            SECRET_KEY.public_key().verify(bytes(raw), STAMP.encode() + BODY, curve)
            good = True
        except InvalidSignature:
            good = False
        assert (EVENTS.refusal(BODY, headers, NOW) == "") is good
        verdicts.add(good)
    assert verdicts == {True, False}


# ── what they say ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (event("processed"), ("accepted", False, False)),
        (event("delivered", response="250 OK"), ("delivered", False, False)),
        (event("deferred", response="450 try later", attempt="3"), (None, False, False)),
        (event("bounce", type="bounce"), ("bounced", True, False)),
        (event("bounce", type="blocked"), ("bounced", False, False)),
        (event("bounce", type="expired"), ("bounced", False, False)),
        (event("bounce"), ("bounced", False, False)),
        (event("dropped", reason="Bounced Address"), ("refused", True, False)),
        (event("dropped", reason="Invalid"), ("refused", True, False)),
        (event("dropped", reason="Invalid SMTPAPI header"), ("refused", False, False)),
        (event("dropped", reason="Unsubscribed Address"), ("refused", False, True)),
        (event("dropped", reason="Spam Reporting Address"), ("complained", False, False)),
        (event("dropped", reason="Spam Content"), ("refused", False, False)),
        (event("dropped", reason=None), ("refused", False, False)),
        (event("spamreport"), ("complained", False, False)),
        (event("spam_report"), ("complained", False, False)),
        (event("unsubscribe"), (None, False, True)),
        (event("group_unsubscribe", asm_group_id=1), (None, False, True)),
        (event("group_resubscribe", asm_group_id=1), (None, False, False)),
        (event("open"), (None, False, False)),
        (event("click", url="https://coastwire.example"), (None, False, False)),
        (event("a_word_of_tomorrow"), (None, False, False)),
    ],
)
def test_what_a_word_of_theirs_means(entry: dict[str, Any], expected: tuple[Any, ...]) -> None:
    (found,) = read(entry)
    assert (found.heard, found.hard, found.leaves) == expected
    assert (found.id, found.delivery_public_id, found.at) == ("event-1", DELIVERY, NOW)
    assert found.what == entry["event"]


def test_strangers_words_become_one_clean_line() -> None:
    reason = "550 5.1.1 <ingrid@northline.example>\r\n\x1b[31munknown\u202e <script>" + "x" * 5000
    (found,) = read(event("bounce", type="bounce", status="5.1.1", reason=reason))
    assert found.detail.startswith("5.1.1 550 5.1.1 <i…@northline.example> [31munknown <script>")
    assert len(found.detail) == 300
    assert found.detail.isprintable()


@pytest.mark.parametrize(
    "entry",
    [
        event("bounce", reason=["a"], status={"b": 1}, response=7),
        event("delivered", delivery="../../etc"),
        event("delivered", delivery=["x"]),
        event("delivered", delivery=7),
    ],
)
def test_fields_of_another_kind_are_nothing(entry: dict[str, Any]) -> None:
    (found,) = read(entry)
    assert found.detail == ""
    assert found.delivery_public_id == ("" if entry["event"] == "delivered" else DELIVERY)


@pytest.mark.parametrize("stamp", [None, "1", -1, [], 10**18, 1e300, {}, 10**400])
def test_a_time_that_is_none(stamp: Any) -> None:
    (found,) = EVENTS.read(json.dumps([event("open", timestamp=stamp)]).encode())
    assert found.at == EPOCH


def test_an_event_without_an_id_gets_one_that_it_has_again() -> None:
    bare = event("delivered")
    del bare["sg_event_id"]
    first, second, other = read(bare, dict(reversed(bare.items())), {**bare, "event": "open"})
    assert first.id == second.id != other.id
    assert len(first.id) <= 200
    for strange in (7, "", "x" * 500, "a\nb", None):
        (found,) = read({**bare, "sg_event_id": strange})
        assert found.id.startswith("digest:")


def test_what_is_no_event_is_left_out_and_the_others_are_read_in_their_order() -> None:
    found = read(event("open"), 7, None, [], "x", {}, {"event": 7}, {"event": ""}, event("bounce"))
    assert [one.what for one in found] == ["open", "bounce"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'"x"',
        b"null",
        b"\xff\xfe",
        json.dumps([event("open")] * 3).encode()[:-5],
        b"[" * 100_000,
        b'[{"event": ' + b"[" * 100_000,
    ],
)
def test_what_is_no_list_of_events_is_told_so(body: bytes) -> None:
    with pytest.raises(BadInput, match="no list of events"):
        EVENTS.read(body)


@pytest.mark.parametrize(
    "more",
    ["9" * 10_000, "[" * 500 + "]" * 500, "NaN", "-Infinity", "1e999999", '"\\ud800"', '"\\u0000"'],
)
def test_hostile_values_harm_nobody(more: str) -> None:
    body = f'[{{"event": "open", "x": {more}, "timestamp": {more}, "reason": {more}}}]'
    (found,) = EVENTS.read(body.encode())
    assert (found.what, found.at) == ("open", EPOCH)
    found.detail.encode()


def test_ten_thousand_events_are_read() -> None:
    reason = "550 5.1.1 The email account that you tried to reach does not exist: x@y.example"
    many = [
        event("bounce", sg_event_id=f"e{n}", type="bounce", reason=reason) for n in range(10_000)
    ]
    found = read(*many)
    assert len({one.id for one in found}) == 10_000
    assert all(one.hard for one in found)
    assert found[0].at == datetime.fromtimestamp(int(STAMP), UTC)
