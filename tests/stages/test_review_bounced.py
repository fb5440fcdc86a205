"""A review mail that was taken and came back later: the provider's word for it arrives here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from pipeline.errors import Down
from pipeline.ports import Ports
from pipeline.rules.letters.ledger import NOT_ASKED
from pipeline.scheduler import words
from pipeline.settings import SendGridSettings
from pipeline.stages.adopt import adopt
from pipeline.stages.compose import compose_automatic, show
from pipeline.stages.deliver import deliver
from pipeline.stages.explain import explain_issue
from pipeline.stages.listen import TakenIn, take_in
from pipeline.stages.notify import send_notices
from pipeline.stages.status import status
from pipeline.stores import schema
from pipeline.transports.sendgrid.events import SendGridEvents
from pipeline.transports.sendgrid.send import SendGridTransport
from tests.compose_automatic import (
    MONTH,
    MONTH_DUE,
    REVIEW_AT,
    month_before_review,
)
from tests.compose_scene import log_of
from tests.fake_sendgrid import KEY, FakeSendGrid
from tests.people_scene import ASKED, bring, row
from tests.provider import SignedEvents, Told, posting
from tests.stages.test_review_refused import EVA, LIV, TOM, ChoosyTransport, Month

WHY = "550 no such mailbox"


@dataclass
class Posted(Month):
    """The month, and a provider that tells what became of its mail."""

    @property
    def ports(self) -> Ports:
        return replace(self.scene.ports, transport=self.relay, events=SignedEvents())

    def public_id(self, kind: str = "review", staff: str = "liv") -> str:
        with self.scene.store.read() as tables:
            (one,) = [
                one
                for one in tables.notices.of(f"issue:{self.issue.public_id}")
                if (one.kind, one.staff_key) == (kind, staff)
            ]
        return one.public_id

    def post(self, what: str, event: str = "e1", mail: str = "") -> TakenIn:
        told = Told(event, mail or self.public_id(), what, WHY)
        return take_in(self.ports, *posting([told]))

    def suppressed(self) -> int:
        with self.scene.store.read() as tables:
            return sum(bool(facts.suppressions) for facts in tables.people.facts())


@pytest.fixture
def month(store, tmp_path) -> Posted:
    """Its review mail has left."""
    scene = month_before_review(store, tmp_path)
    month = Posted(scene, ChoosyTransport())
    month.tick()
    assert month.notices() == {("review", LIV): "accepted"}
    return month


@pytest.mark.parametrize(
    ("what", "state", "how"),
    [
        ("bounce", "bounced", "came back"),
        ("blocked", "bounced", "came back"),
        ("dropped", "refused", "was refused"),
    ],
)
def test_it_holds_the_issue_back_and_is_told(month, what, state, how):
    reason = f"the mail that asks Liv Haugen to look at it {how} ({WHY})"
    assert month.post(what) == TakenIn(postings=1, events=1, lost=1)
    assert month.notices()["review", LIV] == state
    month.scene.at(MONTH_DUE + timedelta(hours=1))  # before the next look no copy leaves
    assert deliver(month.ports).total("accepted") == 0
    month.scene.at(REVIEW_AT + timedelta(minutes=5))
    assert any("nobody got its review mail" in one.what for one in status(month.ports).next)
    assert "nobody got its review mail" in show(month.ports, MONTH).next_step
    month.tick()
    issue = month.issue
    assert (issue.state, issue.reason, issue.approved_by) == ("in_review", reason, "")
    assert month.notices()["review_refused", EVA] == "accepted"
    assert month.notices()["review_refused", TOM] == "accepted"
    with month.scene.store.read() as tables:
        copies = tuple(tables.deliveries.of_issue(issue.id))
    assert {(one.state, one.reason) for one in copies} == {("withheld", NOT_ASKED)}
    assert any(f"is held back: {reason}. Mend" in one.what for one in status(month.ports).next)
    assert reason in show(month.ports, MONTH).next_step
    steps = explain_issue(month.ports, MONTH).steps
    assert any("Mail to Liv Haugen" in one.what and one.detail == WHY for one in steps)
    assert log_of(month.scene, f"issue:{issue.public_id}")[-1] == "hold back"


def test_it_ends_letters_for_nobody_who_is_no_contact(month):
    month.post("bounce")
    assert month.suppressed() == 0


def test_a_contact_with_the_same_address_gets_no_letters_any_more(month):
    bring(month.scene.store, row(1, LIV, "northline", basis=ASKED))
    assert month.post("bounce").ended == 1
    assert month.suppressed() == 1
    assert month.post("bounce", "e2").ended == 0


def test_a_mailbox_that_is_full_for_now_ends_no_letters(month):
    bring(month.scene.store, row(1, LIV, "northline", basis=ASKED))
    month.post("blocked")
    assert month.suppressed() == 0


def test_a_complaint_of_ours_is_on_record_and_nothing_else(month):
    bring(month.scene.store, row(1, LIV, "northline", basis=ASKED))
    month.post("spamreport")
    month.tick()
    assert month.notices()["review", LIV] == "complained"
    assert month.issue.state == "scheduled"
    assert month.suppressed() == 0
    month.scene.at(MONTH_DUE)
    month.tick()
    assert month.issue.state == "sent"


def test_one_that_the_provider_delivered_has_been_heard(month):
    month.post("delivered")
    month.post("processed", "e2")
    assert month.notices()["review", LIV] == "delivered"
    month.scene.at(MONTH_DUE)
    month.tick()
    assert month.issue.state == "sent"


def test_news_settle_a_doubt(month):
    with month.scene.store.write() as tables:
        connection = tables.notices._connection
        connection.execute(sa.update(schema.notices).values(state="unknown"))
    assert any("is not known" in one.what for one in status(month.ports).next)
    month.post("delivered")
    assert not any("is not known" in one.what for one in status(month.ports).next)


def test_news_that_come_twice_and_late_end_the_same(month):
    month.post("bounce")
    month.post("bounce")
    assert month.post("delivered", "e2") == TakenIn(postings=1, events=1)
    assert month.notices()["review", LIV] == "bounced"


def test_what_is_still_told_of_the_old_mail_does_not_touch_the_new_one(month):
    first = month.public_id()
    month.post("bounce")
    month.tick()
    month.scene.at(REVIEW_AT + timedelta(hours=1))
    month.staff("liv", address="liv.haugen@quaytide.example")
    adopt(month.ports)
    month.tick()
    assert month.issue.state == "scheduled"
    assert month.public_id() != first
    month.post("bounce", "e2", first)
    month.tick()
    assert month.notices()["review", "liv.haugen@quaytide.example"] == "accepted"
    assert month.issue.state == "scheduled"


def test_it_holds_one_that_found_no_relay_and_has_not_begun_to_leave(month):
    def away(envelopes, batch=None):
        raise Down("The relay is away.", "Try later.")
        yield

    send, month.relay.send = month.relay.send, away
    month.scene.at(MONTH_DUE)
    with pytest.raises(Down):
        deliver(month.ports)
    assert month.issue.state == "sending"
    month.post("bounce")
    month.relay.send = send
    month.scene.at(MONTH_DUE + timedelta(minutes=5))
    month.tick()
    assert month.issue.state == "in_review"
    assert month.letters() == 0


def test_an_issue_that_has_begun_to_leave_goes_on(month):
    month.relay.says = {LIV: "deferred"}  # her sales edition waits for a later try
    month.scene.at(MONTH_DUE)
    month.tick()
    assert (month.issue.state, month.letters()) == ("sending", 2)
    month.post("bounce")
    month.relay.says = {}
    month.scene.at(MONTH_DUE + timedelta(minutes=10))
    month.tick()
    assert (month.issue.state, month.letters()) == ("sent", 3)


def test_while_it_is_being_sent_only_its_sender_says_that_it_left(store, tmp_path):
    scene = month_before_review(store, tmp_path)
    month = Posted(scene, ChoosyTransport())
    compose_automatic(month.ports)
    month.post("delivered")
    assert month.notices()["review", LIV] == "planned"
    send_notices(month.ports)
    assert month.notices()["review", LIV] == "accepted"


def test_a_run_tells_of_it_in_a_line():
    assert words.taken_in(TakenIn(postings=1, events=1, lost=1)) == (
        "1 posting: 1 event, 0 copies moved, 1 notice to ourselves did not arrive"
    )


def test_sendgrid_tells_of_the_very_mail_that_it_took(store, tmp_path):
    """Its own event, with the id that the mail carried there."""
    scene = month_before_review(store, tmp_path)
    with FakeSendGrid(tmp_path / "sendgrid", at=REVIEW_AT) as fake:
        settings = SendGridSettings(key=KEY, url=fake.url, timeout_s=60)
        transport = SendGridTransport(settings, scene.clock.now, pauses_s=())
        ports = replace(scene.ports, transport=transport, events=SendGridEvents(fake.public_key))
        compose_automatic(ports)
        send_notices(ports)
        (mail,) = [one for one in fake.inbox() if one.recipient == LIV]
        for what in ("processed", "bounce"):
            (posted,) = fake.postings(fake.events(what, copies=[mail]))
            headers = {name.lower(): value for name, value in posted.headers.items()}
            taken = take_in(ports, posted.body, headers)
        assert taken == TakenIn(postings=1, events=1, lost=1)
        (held,) = compose_automatic(ports).held_back
        transport.finish()
    assert "came back (5.1.1 550 5.1.1 no such mailbox)" in held.reason
    assert scene.issue(MONTH).state == "in_review"
