"""Sending through the API: who is posted with whom, what each answer means, and the way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from pipeline.errors import Down, SenderRefused
from pipeline.model.letters import Batch, Envelope, Receipt
from pipeline.transports.sendgrid.batches import leaving_at
from pipeline.transports.sendgrid.parts import content_of
from pipeline.transports.sendgrid.send import SendGridTransport
from tests.builders import NOW, StandingClock
from tests.transports.sendgrid.scripted import (
    DROP,
    HANG,
    KEY,
    Asked,
    Reply,
    Server,
    letter,
    notice,
    serving,
    told,
)

BATCHES, SEND, CANCEL = "/v3/mail/batch", "/v3/mail/send", "/v3/user/scheduled_sends"
CANCELLED = Reply(200, b'[{"batch_id": "b1", "status": "cancel"}]')


@dataclass
class Script:
    """What each path answers, one after the other; the last answer stays."""

    send: Sequence[Reply] = (Reply(202, headers={"X-Message-Id": "m1"}),)
    cancel: Sequence[Reply] = (Reply(201),)
    look: Sequence[Reply] = (Reply(200, b"[]"),)
    batch: Sequence[Reply] = (Reply(201, b'{"batch_id": "b1"}'),)
    meanwhile: Callable[[Asked], Any] = lambda asked: None
    asked: dict[str, int] = field(default_factory=dict)

    def answer(self, asked: Asked) -> Reply:
        looks = asked.method == "GET"
        path = "look" if looks else {BATCHES: "batch", SEND: "send", CANCEL: "cancel"}[asked.path]
        number = self.asked[path] = self.asked.get(path, -1) + 1
        self.meanwhile(asked)
        replies: Sequence[Reply] = getattr(self, path)
        return replies[min(number, len(replies) - 1)]


@dataclass
class Desk:
    """A transport before a scripted server."""

    transport: SendGridTransport
    server: Server
    clock: StandingClock

    def send(self, *envelopes: Envelope, batch: Batch | None) -> list[Receipt]:
        return list(self.transport.send(envelopes, batch))

    def posted(self) -> list[list[str]]:
        """Whom each request went to."""
        return [
            [one["to"][0]["email"].partition("@")[0] for one in asked.body["personalizations"]]
            for asked in self.server.asked
            if asked.path == SEND
        ]


@contextmanager
def desk(script: Script, **settings: Any) -> Iterator[Desk]:
    clock = StandingClock()
    heed_date = settings.pop("heed_date", False)
    with serving(script.answer) as server:
        transport = SendGridTransport(
            server.settings(**settings), clock.now, pauses_s=(0.0, 0.0), heed_date=heed_date
        )
        try:
            yield Desk(transport, server, clock)
        finally:
            transport.finish()


def outcomes(receipts: Sequence[Receipt], *envelopes: Envelope) -> list[str]:
    """In the order of the envelopes; each has exactly one."""
    found = {one.delivery_public_id: one.outcome for one in receipts}
    assert len(found) == len(receipts)
    return [found[one.delivery_public_id] for one in envelopes]


# ── batches ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("now", "leaves"),
    [
        ("09:00:00", "09:15:01"),
        ("09:30:00.5", "09:45:01"),
        ("09:42:57", "09:57:58"),
        ("09:43:00", "10:02:01"),
        ("09:45:00", "10:02:01"),
        ("09:47:00", "10:02:01"),
        ("09:47:01", "10:02:02"),
        ("23:50:00", "00:05:01"),
        ("23:44:00", "00:02:01"),
    ],
)
def test_a_batch_leaves_in_a_quarter_of_an_hour_and_never_at_the_full_one(
    now: str, leaves: str
) -> None:
    at = datetime.fromisoformat(f"2027-03-08T{now}+00:00")
    assert leaving_at(at).strftime("%H:%M:%S") == leaves
    assert leaving_at(at) - at >= timedelta(minutes=15)


def test_a_batch_is_theirs_and_its_time_is_ours() -> None:
    with desk(Script()) as at:
        assert at.transport.open_batch() == Batch("b1", NOW + timedelta(minutes=15, seconds=1))
        assert at.server.paths() == [f"POST {BATCHES}"]


@pytest.mark.parametrize(
    ("reply", "words", "hint"),
    [
        (told(401, ("", "authorization required")), "does not accept the key", "SENDGRID_KEY"),
        (told(403, ("", "access forbidden")), "access forbidden", "Mail Send"),
        (Reply(404), r"not what answers .* \(404\)", "ASTERISM_SENDGRID_URL"),
        (Reply(405), "not what answers", "ASTERISM_SENDGRID_URL"),
        (Reply(302), "not what answers", "ASTERISM_SENDGRID_URL"),
        (Reply(200, b"<html>"), "not what answers", "ASTERISM_SENDGRID_URL"),
        (Reply(201, b'{"batch_id": "a b\\r\\n"}'), "not what answers", "ASTERISM_SENDGRID_URL"),
        (Reply(201, b'{"batch_id": 7}'), "not what answers", "ASTERISM_SENDGRID_URL"),
        (Reply(429), "no time for us", "few minutes"),
        (Reply(500), "no time for us", "few minutes"),
        (DROP, "cannot be reached", "network"),
    ],
)
def test_no_batch_is_told_with_what_to_do(reply: Reply, words: str, hint: str) -> None:
    with desk(Script(batch=(reply,))) as at:
        with pytest.raises(Down, match=words) as caught:
            at.transport.open_batch()
        assert hint in caught.value.hint
        assert KEY not in str(caught.value)


def test_nobody_there_is_told_so() -> None:
    with desk(Script()) as at:
        settings = at.server.settings()
    transport = SendGridTransport(settings, StandingClock().now)
    with pytest.raises(Down, match=r"cannot be reached at http://127\.0\.0\.1"):
        transport.open_batch()
    with pytest.raises(Down, match="cannot be reached"):
        transport.probe()


def test_a_probe_moves_nothing() -> None:
    with desk(Script()) as at:
        assert at.transport.probe().endswith("takes our key; it sends.")
        assert at.server.paths() == [f"POST {BATCHES}", f"GET {CANCEL}/b1"]
    with desk(Script(look=(Reply(404),)), sandbox=True) as at:
        assert "nothing leaves" in at.transport.probe()


def test_a_probe_finds_a_key_that_may_not_call_back() -> None:
    with desk(Script(look=(told(403, ("", "access forbidden")),))) as at:
        with pytest.raises(Down) as caught:
            at.transport.probe()
        assert "Scheduled Sends" in caught.value.hint
    with desk(Script(look=(DROP,))) as at, pytest.raises(Down, match="cannot be reached"):
        at.transport.probe()


def test_a_clock_that_is_wrong_opens_no_batch() -> None:
    """By a clock that is slow a batch would leave at once; nobody could call it back."""

    def dated(at: datetime) -> Reply:
        return Reply(201, b'{"batch_id": "b1"}', {"Date": format_datetime(at, usegmt=True)})

    script = Script(batch=(dated(NOW + timedelta(minutes=61)), dated(NOW + timedelta(minutes=1))))
    with desk(script, heed_date=True) as at:
        with pytest.raises(Down, match="61 minutes apart"):
            at.transport.open_batch()
        assert at.transport.open_batch().provider_id == "b1"


# ── what is posted ───────────────────────────────────────────────────────────────────────


def test_all_is_well() -> None:
    one, other, third = letter(1), letter(2), letter(3, key="another variant")
    with desk(Script()) as at:
        receipts = at.send(one, other, third, batch=at.transport.open_batch())
        assert outcomes(receipts, one, other, third) == ["accepted"] * 3
        assert receipts[0].detail == "X-Message-Id m1"
        assert at.posted() == [["reader1", "reader2"], ["reader3"]]
        sent = at.server.asked[1].body
        assert sent["batch_id"] == "b1"
        assert sent["send_at"] == int((NOW + timedelta(minutes=15, seconds=1)).timestamp())
        assert sent["mail_settings"]["sandbox_mode"] == {"enable": False}
        assert at.server.connections == 1


def test_tags_are_others_in_each_request() -> None:
    with desk(Script()) as at:
        at.send(letter(1), letter(2, key="other"), batch=None)
        first, second = (
            set(asked.body["personalizations"][0]["substitutions"]) for asked in at.server.asked
        )
        assert not first & second


def test_a_thousand_go_in_one_request() -> None:
    content = content_of(letter())
    many = [replace(letter(number), content=content) for number in range(1001)]
    with desk(Script(), timeout_s=60.0) as at:
        receipts = at.send(*many, batch=at.transport.open_batch())
        assert set(outcomes(receipts, *many)) == {"accepted"}
        assert [len(one) for one in at.posted()] == [1000, 1]


def test_mail_among_ourselves_leaves_at_once() -> None:
    one = notice()
    with desk(Script()) as at:
        assert outcomes(at.send(one, batch=None), one) == ["accepted"]
        assert not {"batch_id", "send_at"} & set(at.server.asked[0].body)


def test_in_the_sandbox_nothing_leaves_and_that_is_well() -> None:
    one = letter()
    with desk(Script(send=(Reply(200),)), sandbox=True) as at:
        (receipt,) = at.send(one, batch=None)
        assert (receipt.outcome, receipt.detail) == (
            "accepted", "checked in the sandbox; nothing left",
        )  # fmt: skip
        assert at.server.asked[0].body["mail_settings"]["sandbox_mode"] == {"enable": True}


def test_two_copies_to_one_address_go_in_two_requests() -> None:
    one, other = letter(1), letter(2, recipient="Reader1@NORTHLINE.example")
    with desk(Script()) as at:
        assert outcomes(at.send(one, other, batch=None), one, other) == ["accepted"] * 2
        assert at.posted() == [["reader1"], ["Reader1"]]


def test_a_copy_that_they_would_refuse_is_refused_before() -> None:
    good = letter(1)
    long = letter(2, values={**good.content.values, "greeting": "x" * 10_001})
    nobody = letter(3, recipient="no address")
    bare = Envelope("b" * 26, "liv@quaytide.example", "x@y.example", b"Subject: x\r\n\r\nHi\r\n")
    with desk(Script()) as at:
        receipts = at.send(good, long, nobody, bare, batch=None)
        assert outcomes(receipts, good, long, nobody, bare) == ["accepted"] + ["refused"] * 3
        words = {one.delivery_public_id: one.detail for one in receipts}
        assert "10000 is the most" in words[long.delivery_public_id]
        assert words[nobody.delivery_public_id] == "the address is no e-mail address"
        assert words[bare.delivery_public_id] == "the message has no html part"
        assert at.posted() == [["reader1"]]


def test_a_request_that_they_would_refuse_is_not_posted() -> None:
    one, other = letter(1, text=""), letter(2)
    with desk(Script()) as at:
        receipts = at.send(one, replace(other, sender="nobody"), batch=None)
        assert [receipt.outcome for receipt in receipts] == ["refused", "refused"]
        assert at.server.asked == []


# ── what they answer ─────────────────────────────────────────────────────────────────────


def test_a_copy_that_they_find_fault_with_is_refused_and_the_others_go() -> None:
    wrong = told(
        400,
        ("personalizations.1.to.0.email", "Does not contain a valid address: x@y.example"),
        ("personalizations.99.to", "there is no such copy"),
    )
    three = letter(1), letter(2), letter(3)
    with desk(Script(send=(wrong, Reply(202)))) as at:
        receipts = at.send(*three, batch=at.transport.open_batch())
        assert outcomes(receipts, *three) == ["accepted", "refused", "accepted"]
        refused = next(one for one in receipts if one.outcome == "refused")
        assert refused.detail.startswith("SendGrid refuses it: Does not contain a valid address")
        assert "x@y.example" not in refused.detail
        assert at.posted() == [["reader1", "reader2", "reader3"], ["reader1", "reader3"]]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (told(400, ("content", "the content is odd")), "SendGrid refuses it: the content is odd"),
        (Reply(400, b"<html>"), "SendGrid refuses it: it does not say why"),
        (Reply(422), "SendGrid refuses it: it does not say why"),
        (told(400, ("personalizations.7.to", "odd")), "SendGrid refuses it: odd"),
    ],
)
def test_a_fault_that_is_nobodys_alone_refuses_all(reply: Reply, words: str) -> None:
    one, other = letter(1), letter(2)
    with desk(Script(send=(reply,))) as at:
        receipts = at.send(one, other, batch=at.transport.open_batch())
        assert [receipt.outcome for receipt in receipts] == ["refused", "refused"]
        assert {receipt.detail for receipt in receipts} == {words}
        assert len(at.posted()) == 1


def test_a_batch_that_they_do_not_know_is_no_fault_of_a_letter() -> None:
    one = letter()
    with desk(Script(send=(told(400, ("batch_id", "invalid batch id")),))) as at:
        (receipt,) = at.send(one, batch=at.transport.open_batch())
        assert (receipt.outcome, receipt.retry_after_s) == ("deferred", None)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, 60),
        ({"X-RateLimit-Reset": str(int(NOW.timestamp()) + 90)}, 90),
        ({"X-RateLimit-Reset": str(int(NOW.timestamp()) - 5)}, 1),
        ({"X-RateLimit-Reset": "9" * 12}, 86_400),
        ({"X-RateLimit-Reset": "soon", "Retry-After": "120"}, 120),
        ({"Retry-After": format_datetime(NOW + timedelta(minutes=3))}, 180),
        ({"Retry-After": "whenever"}, 60),
    ],
)
def test_too_much_is_put_off_for_as_long_as_they_say(headers: dict[str, str], wait_s: int) -> None:
    one, other = letter(1), letter(2, key="not tried")
    with desk(Script(send=(Reply(429, headers=headers),))) as at:
        receipts = at.send(one, other, batch=at.transport.open_batch())
        assert outcomes(receipts, one, other) == ["deferred", "deferred"]
        assert {receipt.retry_after_s for receipt in receipts} == {wait_s}
        assert at.posted() == [["reader1"]]
        assert f"POST {CANCEL}" not in at.server.paths()


def test_what_is_too_big_goes_in_halves() -> None:
    three = letter(1), letter(2), letter(3)
    with desk(Script(send=(Reply(413), Reply(202), Reply(413), Reply(413), Reply(202)))) as at:
        receipts = at.send(*three, batch=at.transport.open_batch())
        assert outcomes(receipts, *three) == ["accepted", "refused", "accepted"]
        assert at.posted() == [
            ["reader1", "reader2", "reader3"], ["reader1"], ["reader2", "reader3"], ["reader2"],
            ["reader3"],
        ]  # fmt: skip


@pytest.mark.parametrize("status", [401, 403, 404, 405, 301, 418])
def test_what_stops_all_comes_after_what_is_known(status: int) -> None:
    """A copy that was taken has its receipt; the others did not leave."""
    one, other, third = letter(1), letter(2, key="second"), letter(3, key="third")
    receipts: list[Receipt] = []
    with desk(Script(send=(Reply(202), Reply(status)))) as at:
        batch = at.transport.open_batch()
        with pytest.raises(Down):
            receipts.extend(at.transport.send([one, other, third], batch))
        assert outcomes(receipts, one) == ["accepted"]
        assert at.posted() == [["reader1"], ["reader2"]]
        assert f"POST {CANCEL}" not in at.server.paths()


def test_a_sender_that_was_never_verified_is_told_by_its_name() -> None:
    says = "The from address does not match a verified Sender Identity. Mail cannot be sent."
    one, other, third = letter(1), letter(2, key="second"), letter(3, key="third")
    receipts: list[Receipt] = []
    with desk(Script(send=(Reply(202), told(403, ("from", says))))) as at:
        batch = at.transport.open_batch()
        with pytest.raises(SenderRefused, match="verified Sender Identity") as caught:
            receipts.extend(at.transport.send([one, other, third], batch))
        assert caught.value.sender == other.sender
        assert other.sender not in str(caught.value)
        assert outcomes(receipts, one) == ["accepted"]
        assert at.posted() == [["reader1"], ["reader2"]]


@pytest.mark.parametrize("errors", [(), (("", "access forbidden"),), (("from", "x"), ("", "y"))])
def test_any_other_refusal_is_everybody_s(errors: tuple[tuple[str, str], ...]) -> None:
    with desk(Script(send=(told(403, *errors),))) as at:
        with pytest.raises(Down, match="forbids this") as caught:
            list(at.transport.send([letter(1)], at.transport.open_batch()))
        assert not isinstance(caught.value, SenderRefused)


# ── doubt ────────────────────────────────────────────────────────────────────────────────

DOUBTS = [DROP, HANG, Reply(500), Reply(503), Reply(200), Reply(204), Reply(408), Reply(499)]


@pytest.mark.parametrize("doubt", DOUBTS)
def test_a_doubt_calls_the_whole_batch_back(doubt: Reply) -> None:
    """Also what was taken before: cancelling throws that away, and so it goes again."""
    one, other, third = letter(1), letter(2, key="second"), letter(3, key="third")
    with desk(Script(send=(Reply(202), doubt)), timeout_s=1.0) as at:
        receipts = at.send(one, other, third, batch=at.transport.open_batch())
        assert outcomes(receipts, one, other, third) == ["deferred"] * 3
        assert {receipt.retry_after_s for receipt in receipts} == {None}
        assert at.server.paths() == [
            f"POST {BATCHES}", f"POST {SEND}", f"POST {SEND}", f"POST {CANCEL}",
        ]  # fmt: skip
        assert at.server.asked[-1].body == {"batch_id": "b1", "status": "cancel"}


def test_what_was_refused_stays_refused_though_its_batch_is_called_back() -> None:
    good, bad = letter(1), letter(2, recipient="no address")
    with desk(Script(send=(Reply(500),))) as at:
        receipts = at.send(good, bad, batch=at.transport.open_batch())
        assert outcomes(receipts, good, bad) == ["deferred", "refused"]


@pytest.mark.parametrize("cancel", [(DROP, Reply(201)), (Reply(500), Reply(503), Reply(201))])
def test_calling_back_is_tried_again(cancel: Sequence[Reply]) -> None:
    one = letter()
    with desk(Script(send=(DROP,), cancel=cancel)) as at:
        assert outcomes(at.send(one, batch=at.transport.open_batch()), one) == ["deferred"]


def test_a_cancelling_that_they_heard_without_saying_so_is_found() -> None:
    one = letter()
    already = told(400, ("batch_id", "it has a status"))
    with desk(Script(send=(DROP,), cancel=(DROP, already), look=(CANCELLED,))) as at:
        assert outcomes(at.send(one, batch=at.transport.open_batch()), one) == ["deferred"]
        assert at.server.paths()[-1] == f"GET {CANCEL}/b1"


@pytest.mark.parametrize(
    ("cancel", "first"),
    [
        ((Reply(400),), "accepted"),  # they say no: what they took stays taken
        ((Reply(404),), "accepted"),
        ((Reply(401),), "accepted"),
        ((Reply(429),), "accepted"),
        ((DROP,), "unknown"),  # perhaps they heard it, and threw all away
        ((DROP, Reply(400)), "unknown"),
        ((Reply(500),), "unknown"),
    ],
)
def test_a_batch_that_cannot_be_called_back_leaves_a_doubt(
    cancel: Sequence[Reply], first: str
) -> None:
    one, other, third = letter(1), letter(2, key="second"), letter(3, key="third")
    with desk(Script(send=(Reply(202), DROP), cancel=cancel)) as at:
        receipts = at.send(one, other, third, batch=at.transport.open_batch())
        assert outcomes(receipts, one, other, third) == [first, "unknown", "deferred"]
        assert len(at.server.asked) <= 7  # it ends


def test_without_a_batch_a_doubt_stays_one() -> None:
    one, other = letter(1), letter(2, key="second")
    with desk(Script(send=(DROP,))) as at:
        receipts = at.send(one, other, batch=None)
        assert outcomes(receipts, one, other) == ["unknown", "deferred"]
        assert at.server.paths() == [f"POST {SEND}"]


def passes(clock: StandingClock, path: str, span: timedelta) -> Callable[[Asked], Any]:
    def meanwhile(asked: Asked) -> None:
        if asked.path == path:
            clock.at += span

    return meanwhile


def test_an_answer_may_take_its_time_and_still_there_is_a_way_out() -> None:
    """Sending may take a timeout, and the answer another: that long before, nothing is posted."""
    one = letter()
    with desk(Script(), timeout_s=5.0) as at:
        batch = at.transport.open_batch()
        for spare_s, outcome in ((9, "deferred"), (10, "accepted")):
            at.clock.at = batch.send_at - timedelta(minutes=10, seconds=spare_s)
            assert outcomes(at.send(one, batch=batch), one) == [outcome]


def test_a_key_that_may_not_call_back_is_not_tried_again() -> None:
    with desk(Script(send=(DROP,), cancel=(Reply(403),))) as at:
        at.send(letter(), batch=at.transport.open_batch())
        assert at.server.paths().count(f"POST {CANCEL}") == 1


def test_nothing_is_posted_that_could_not_be_called_back() -> None:
    one = letter()
    with desk(Script()) as at:
        batch = at.transport.open_batch()
        at.clock.at = batch.send_at - timedelta(minutes=10) + timedelta(seconds=1)
        (receipt,) = at.send(one, batch=batch)
        assert (receipt.outcome, receipt.detail) == (
            "deferred", "the batch is too old to be called back",
        )  # fmt: skip
        assert at.posted() == []


def test_a_clock_that_jumps_ahead_stops_the_rest_of_the_batch() -> None:
    one, other = letter(1), letter(2, key="second")
    script = Script()
    with desk(script) as at:
        script.meanwhile = passes(at.clock, SEND, timedelta(hours=1))
        receipts = at.send(one, other, batch=at.transport.open_batch())
        assert outcomes(receipts, one, other) == ["accepted", "deferred"]


@pytest.mark.parametrize("late", [SEND, CANCEL])
def test_a_cancelling_that_comes_too_late_is_not_relied_upon(late: str) -> None:
    one, other = letter(1), letter(2, key="second")
    script = Script(send=(Reply(202), DROP))
    with desk(script) as at:
        batch = at.transport.open_batch()
        script.meanwhile = passes(at.clock, late, timedelta(minutes=4))
        receipts = at.send(one, other, batch=replace(batch, send_at=NOW + timedelta(minutes=17)))
        asked = at.server.paths().count(f"POST {CANCEL}")
        if late == SEND:  # nobody was asked: what they took stays taken
            assert (outcomes(receipts, one, other), asked) == (["accepted", "unknown"], 0)
        else:
            assert asked == 1
            assert outcomes(receipts, one, other) == ["deferred", "deferred"]
            at.clock.at = NOW + timedelta(minutes=5)
            assert at.transport.fates(["a"], batch) == {"a": "unknown"}


def test_their_clock_counts_too() -> None:
    one = letter()
    late = format_datetime(NOW + timedelta(minutes=6), usegmt=True)
    with desk(Script(send=(DROP,), cancel=(Reply(201, headers={"Date": late}),))) as at:
        batch = at.transport.open_batch()
        assert outcomes(at.send(one, batch=batch), one) == ["deferred"]
    script = Script(send=(DROP,), cancel=(Reply(201, headers={"Date": late}),))
    with desk(script, heed_date=True) as at:
        assert outcomes(at.send(one, batch=batch), one) == ["unknown"]


# ── what a dead run left ─────────────────────────────────────────────────────────────────

BATCH = Batch("b1", NOW + timedelta(minutes=15))
LATE = Batch("b1", NOW + timedelta(minutes=10) - timedelta(seconds=1))


def test_what_a_dead_run_posted_is_called_back() -> None:
    with desk(Script()) as at:
        assert at.transport.fates(["a", "b"], BATCH) == {"a": "not_left", "b": "not_left"}
        assert at.server.asked[0].body == {"batch_id": "b1", "status": "cancel"}


def test_calling_back_twice_says_the_same() -> None:
    with desk(Script(cancel=(Reply(201), Reply(400)), look=(CANCELLED,))) as at:
        for _ in range(2):
            assert at.transport.fates(["a"], BATCH) == {"a": "not_left"}


def test_too_late_or_without_a_batch_only_events_can_tell() -> None:
    with desk(Script()) as at:
        assert at.transport.fates(["a"], LATE) == {"a": "unknown"}
        assert at.transport.fates(["a"], None) == {"a": "unknown"}
        assert at.transport.fates([], BATCH) == {}
        assert at.server.asked == []


@pytest.mark.parametrize("cancel", [Reply(400), Reply(404)])
def test_a_batch_that_they_do_not_cancel_leaves_a_doubt(cancel: Reply) -> None:
    with desk(Script(cancel=(cancel,))) as at:
        assert at.transport.fates(["a"], BATCH) == {"a": "unknown"}


@pytest.mark.parametrize("cancel", [Reply(401), Reply(403), Reply(429), Reply(500), DROP])
def test_while_there_is_time_it_is_asked_again_at_the_next_run(cancel: Reply) -> None:
    script = Script(cancel=(cancel,))
    with desk(script) as at:
        with pytest.raises(Down):
            at.transport.fates(["a"], BATCH)
        script.meanwhile = passes(at.clock, CANCEL, timedelta(minutes=6))
        assert at.transport.fates(["a"], BATCH) == {"a": "unknown"}
        script.cancel = (Reply(201),)
        script.meanwhile = lambda asked: None
        at.clock.at = NOW
        assert at.transport.fates(["a"], BATCH) == {"a": "not_left"}


def test_no_key_and_no_address_stands_in_what_is_told() -> None:
    words = told(401, ("", f"key {KEY} of ingrid@northline.example is unknown"))
    with desk(Script(send=(words,), batch=(words,))) as at:
        assert KEY not in repr(at.transport)
        for ask in (at.transport.open_batch, lambda: at.send(letter(), batch=None)):
            with pytest.raises(Down) as caught:
                ask()
            assert KEY not in str(caught.value)
            assert "ingrid@" not in str(caught.value)
