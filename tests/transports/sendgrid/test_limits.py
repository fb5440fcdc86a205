"""Each rule of SendGrid's that its specification does not hold, broken once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from pipeline.transports.sendgrid.body import Body
from pipeline.transports.sendgrid.limits import MAX_BODY_BYTES, Fault, faults
from tests.builders import NOW
from tests.transports.sendgrid.scripted import letter
from tests.transports.sendgrid.test_body import body_of

Change = Callable[[Body], Any]


def found(change: Change, size_bytes: int = 1000) -> tuple[Fault, ...]:
    body = body_of(letter(1), letter(2))
    change(body)
    return faults(body, size_bytes, NOW)


def second(**changes: Any) -> Change:
    return lambda body: body["personalizations"][1].update(changes)


def test_our_own_body_has_no_fault() -> None:
    assert found(lambda body: None) == ()
    assert found(lambda body: body.pop("batch_id") and body.pop("send_at")) == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: b.update(personalizations=[]), "no copy in it"),
        (lambda b: b.pop("personalizations"), "no copy in it"),
        (lambda b: b.update(colour="red"), "“colour” is no property of a mail"),
        (lambda b: b["content"].reverse(), "plain part must stand first"),
        (lambda b: b.update(content=[]), "no content"),
        (lambda b: b["content"][0].update(value=""), "text/plain part is empty"),
        (lambda b: b["from"].update(email="liv@fähre.example"), "letters beyond a to z"),
        (lambda b: b["from"].update(email="nobody"), "the sender is no e-mail address"),
        (lambda b: b.pop("from"), "the sender is no e-mail address"),
        (lambda b: b["from"].update(name="Liv\r\nBcc: x@y.example"), "line break"),
        (lambda b: b["reply_to"].update(email="x y@z.example"), "the reply address"),
        (lambda b: b.update(custom_args={"a": 1}), "custom_args must be texts"),
        (lambda b: b.update(custom_args="delivery"), "custom_args are no pairs"),
        (lambda b: b.update(headers={"Reply-To": "x"}), "Reply-To is not ours"),
        (lambda b: b.update(categories=[str(n) for n in range(11)]), "10 categories"),
        (lambda b: b.update(categories=["a", "a"]), "one twice"),
        (lambda b: b.update(categories=["c" * 256]), "255 characters"),
        (lambda b: b.update(asm={}), "group has no id"),
        (lambda b: b.update(asm={"group_id": 1, "groups_to_display": [1] * 26}), "more than 25"),
        (lambda b: b.update(send_at="soon"), "no whole number"),
        (lambda b: b.update(send_at=int(NOW.timestamp()) - 1), "send_at is past"),
        (
            lambda b: b.update(send_at=int((NOW + timedelta(hours=72)).timestamp()) + 1),
            "72 hours",
        ),
    ],
)
def test_a_fault_of_the_request(change: Change, words: str) -> None:
    whole = [fault for fault in found(change) if fault.copy is None]
    assert len(whole) == 1
    assert words in whole[0].what
    assert not whole[0].too_big


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (second(colour="red"), "“colour” is no property of a copy"),
        (second(to=[]), "goes to nobody"),
        (second(to=[{"email": "x"}]), "the address is no e-mail address"),
        (second(to=[{"email": "x@y.example", "name": "X\nBcc: z"}]), "line break"),
        (second(cc=[{"email": "READER1@Northline.Example"}]), "stands twice in one request"),
        (second(**{"from": {"email": "liv@fähre.example"}}), "letters beyond a to z"),
        (second(subject=""), "no subject"),
        (second(subject="Berths\r\nBcc: x@y.example"), "the subject holds a line break"),
        (second(subject=7), "the subject is no text"),
        (second(custom_args={"delivery": 7}), "custom_args must be texts"),
        (second(custom_args={"delivery": "x" * 10_000}), "10000 is the most"),
        (second(substitutions={"-x-": 7}), "its own words must be texts"),
        (second(substitutions={"-x-": "é" * 5_000}), "10000 is the most"),
        (second(substitutions=[]), "its own words are no pairs"),
        (second(send_at=int(NOW.timestamp()) - 1), "send_at is past"),
        *(
            (second(headers={name: "x"}), f"{name} is not ours to set")
            for name in (
                "x-sg-id", "X-SG-EID", "Received", "DKIM-Signature", "Content-Type", "To",
                "content-transfer-encoding", "From", "Subject", "Reply-To", "CC", "Bcc",
            )
        ),
        (second(headers={"X-A": "b\r\nBcc: x@y.example"}), "X-A holds a line break"),
        (second(headers={"X-A": "é"}), "X-A holds a line break, or is no plain text"),
        (second(headers={"X-A": "x" * 1000}), "X-A is longer than 998"),
        (second(headers={"X A": "b"}), "no proper name"),
    ],
)  # fmt: skip
def test_a_fault_of_one_copy_is_told_of_that_copy(change: Change, words: str) -> None:
    faulty = found(change)
    assert {fault.copy for fault in faulty} == {1}
    assert any(words in fault.what for fault in faulty)


def test_a_subject_is_looked_at_as_its_reader_sees_it() -> None:
    tag = "-x-"
    own = {"subject": tag, "substitutions": {tag: "  "}}
    assert [(fault.copy, fault.what) for fault in found(second(**own))] == [
        (1, "it has no subject")
    ]
    broken = {"subject": tag, "substitutions": {tag: "Berths\nBcc: x"}}
    (fault,) = found(second(**broken))
    assert "line break" in fault.what


def test_no_subject_anywhere_is_a_fault_of_each_copy() -> None:
    faulty = found(lambda body: body.pop("subject"))
    assert [fault.copy for fault in faulty] == [0, 1]


def test_dynamic_templates_take_no_substitutions() -> None:
    faulty = found(lambda body: body.update(template_id="d-1"))
    assert {fault.what for fault in faulty} == {"a dynamic template takes no substitutions"}


def test_what_fewer_copies_would_mend_is_marked_so() -> None:
    assert found(lambda body: None, MAX_BODY_BYTES - 1) == ()
    (size,) = found(lambda body: None, MAX_BODY_BYTES)
    assert size.too_big
    one = {"to": [{"email": f"r{n}@northline.example"} for n in range(1000)]}
    (many,) = found(lambda body: body["personalizations"][0].update(one))
    assert (many.too_big, many.copy) == (True, None)
