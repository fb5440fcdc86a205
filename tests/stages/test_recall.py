"""A stop calls back what a provider has taken and not let go: before a SendGrid of our own."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline.errors import Conflict
from pipeline.model.letters import Batch, Delivery, Envelope, Recall, Receipt
from pipeline.ports import Ports
from pipeline.rules.letters.ledger import RESTORED_AT, STOPPED
from pipeline.settings import SendGridSettings
from pipeline.stages.compose import approve, preview, review, stop, stop_by_link
from pipeline.stages.deliver import CalledBack, call_back, deliver, list_doubts, resolve, went_out
from pipeline.stages.explain import explain_issue
from pipeline.stages.listen import take_in
from pipeline.stages.people import erase
from pipeline.stores import schema
from pipeline.stores.sql import SqlStore
from pipeline.transports.sendgrid.events import SendGridEvents
from pipeline.transports.sendgrid.send import TOO_LATE, SendGridTransport
from tests.builders import NOW
from tests.compose_scene import REF, Scene, beats, build_scene, log_of
from tests.fake_sendgrid import KEY, FakeSendGrid, Fault
from tests.people_scene import raw

DUE = NOW + timedelta(days=30)
LETTERS = 6  # four people and two of ours


class Transport(SendGridTransport):
    """The real one, which a test can kill at a place of its choice."""

    dies_before = dies_after = False

    def call_back(self, batch: Batch) -> Recall:
        if self.dies_before:
            raise SystemExit("as if killed")
        went = super().call_back(batch)
        if self.dies_after:
            raise SystemExit("as if killed")
        return went


@dataclass
class Sending:
    """An issue that goes out through the fake, whose clock stands with ours."""

    scene: Scene
    fake: FakeSendGrid
    transport: Transport

    @property
    def ports(self) -> Ports:
        return replace(self.scene.ports, transport=self.transport)

    def at(self, moment: datetime) -> None:
        self.scene.at(moment)
        self.fake.set_clock(moment)

    def later(self, by: timedelta) -> None:
        self.at(self.scene.clock.at + by)

    def copies(self) -> list[Delivery]:
        with self.scene.store.read() as tables:
            return list(tables.deliveries.of_issue(self.scene.issue().id))

    def states(self) -> Counter[str]:
        return Counter(one.state for one in self.copies())

    def batches(self) -> set[str]:
        with self.scene.store.read() as tables:
            found = tables.deliveries.batches_of([one.id for one in self.copies()])
        return {batch.provider_id for batch in found.values()}

    def arrived(self) -> Counter[str]:
        """How many letters of each copy lie in an inbox a day later."""
        self.fake.set_clock(self.scene.clock.at + timedelta(days=1))
        return Counter(self.fake.delivered())

    def rows(self, table: sa.Table) -> int:
        with raw(self.scene.store) as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0

    def history(self, copy: Delivery) -> list[str]:
        with self.scene.store.read() as tables:
            return [state for _, state, _ in tables.deliveries.history(copy.id)]


@pytest.fixture
def sending(store: SqlStore, tmp_path: Path) -> Iterator[Sending]:
    """Approved, due, and not sent yet."""
    scene = build_scene(store, tmp_path)
    scene.people()
    due = scene.ready().due_at
    with FakeSendGrid(tmp_path / "sendgrid", at=NOW) as fake:
        settings = SendGridSettings(key=KEY, url=fake.url, timeout_s=60)
        transport = Transport(settings, scene.clock.now, pauses_s=())
        made = Sending(scene, fake, transport)
        made.at(due - timedelta(hours=1))
        approve(made.ports, REF)
        made.at(due)
        yield made
        transport.finish()


@pytest.fixture
def out(sending: Sending) -> Sending:
    """All of it is with SendGrid, and has not left."""
    assert deliver(sending.ports).total("accepted") == LETTERS
    return sending


# ── all of it comes back ─────────────────────────────────────────────────────────────────


def test_what_sendgrid_has_is_called_back_and_goes_again_once(out: Sending) -> None:
    first = out.batches()
    stopped = stop(out.ports, REF, "a name is wrong")
    assert (stopped.was, stopped.held_back, stopped.calling_back) == ("sent", 0, LETTERS)
    assert stopped.left_already == 0
    assert out.states() == {"recalling": LETTERS}
    assert call_back(out.ports) == CalledBack(called_back=LETTERS)
    issue = out.scene.issue()
    assert (issue.state, issue.reason) == ("stopped", "a name is wrong")
    assert {(one.state, one.reason, one.attempts) for one in out.copies()} == {
        ("withheld", STOPPED, 0)
    }
    assert out.scene.told_of(out.scene.story_ids[0]) == set()
    assert out.rows(schema.touches) == 0
    assert set(beats(out.scene).values()) == {"planned"}
    with out.scene.store.read() as tables:
        assert tables.letters.variants(issue.id) == []  # nobody has a link to its page
    out.scene.write(out.scene.story_ids[0], title="Quay 1, corrected")
    approve(out.ports, REF)
    assert deliver(out.ports).total("accepted") == LETTERS
    assert not first & out.batches()
    assert out.arrived() == {one.public_id: 1 for one in out.copies()}
    assert all("Quay 1, corrected" in one.html for one in out.fake.inbox()
               if one.recipient == "ada@northline.example")  # fmt: skip
    assert out.scene.issue().state == "sent"
    assert set(beats(out.scene).values()) == {"kept"}
    assert out.rows(schema.touches) == 4
    assert out.history(out.copies()[0]) == [
        "planned", "attempting", "accepted", "recalling", "withheld", "planned", "attempting",
        "accepted",
    ]  # fmt: skip
    assert log_of(out.scene, f"issue:{issue.public_id}") == [
        "open", "approve", "stop", "call back", "approve",
    ]  # fmt: skip


def test_the_job_that_sends_calls_back_what_a_stop_left(out: Sending) -> None:
    """Whoever stopped it died before SendGrid was asked."""
    stop(out.ports, REF)
    with out.scene.store.read() as tables:
        assert tables.deliveries.next_due(out.scene.clock.now()) == out.scene.clock.now()
    done = deliver(out.ports)
    assert (done.recalled.called_back, done.issues) == (LETTERS, ())
    assert out.scene.issue().state == "stopped"
    assert out.arrived() == {}
    with out.scene.store.read() as tables:
        assert tables.deliveries.next_due(out.scene.clock.now()) is None


def test_asked_twice_it_does_nothing_new(out: Sending) -> None:
    stop(out.ports, REF)
    call_back(out.ports)
    asked = len(out.fake.requests())
    assert call_back(out.ports) == CalledBack()
    assert not call_back(out.ports)
    with pytest.raises(Conflict, match="nothing is to stop"):
        stop(out.ports, REF)
    assert deliver(out.ports).issues == ()
    assert len(out.fake.requests()) == asked
    assert out.states() == {"withheld": LETTERS}


def test_two_at_once_write_it_once(out: Sending) -> None:
    stop(out.ports, REF)
    begin = threading.Barrier(2)
    done: list[CalledBack] = []

    def ask() -> None:
        settings = SendGridSettings(key=KEY, url=out.fake.url, timeout_s=60)
        transport = SendGridTransport(settings, out.scene.clock.now, pauses_s=())
        begin.wait(60)
        done.append(call_back(replace(out.scene.ports, transport=transport)))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(one.called_back for one in done) == LETTERS
    assert out.states() == {"withheld": LETTERS}
    with out.scene.store.read() as tables:
        logged = tables.log.of(f"issue:{out.scene.issue().public_id}")
    told = [one.after["called_back"] for one in logged if one.verb == "call back"]
    assert sum(told) == LETTERS  # whoever took how many of them
    assert {one.attempts for one in out.copies()} == {0}
    assert out.arrived() == {}


# ── too late, or only in part ────────────────────────────────────────────────────────────


def test_when_it_is_too_late_it_is_out(out: Sending) -> None:
    out.later(timedelta(minutes=6))
    with pytest.raises(Conflict, match="nothing is to stop"):
        stop(out.ports, REF)
    assert out.states() == {"accepted": LETTERS}
    assert out.scene.issue().state == "sent"
    assert sum(out.arrived().values()) == LETTERS


def test_some_had_left_some_come_back_and_some_never_went(sending: Sending) -> None:
    """Two batches of two, four minutes apart; then a stop before the third."""

    def pause(done: int, total: int, what: str) -> None:
        if what.startswith("sending") and done < 4:
            sending.later(timedelta(minutes=4))
        elif what.startswith("sending"):
            sending.later(timedelta(minutes=2))
            raise SystemExit("as if killed")

    with pytest.raises(SystemExit):
        deliver(replace(sending.ports, progress=pause), chunk=2)
    assert sending.states() == {"accepted": 4, "planned": 2}
    stopped = stop(sending.ports, REF, "wrong date")
    assert (stopped.held_back, stopped.calling_back, stopped.left_already) == (2, 2, 2)
    assert stopped.issue.state == "partly_sent"
    assert call_back(sending.ports).called_back == 2
    issue = sending.scene.issue()
    assert (issue.state, issue.reason) == ("partly_sent", "wrong date")
    assert preview(sending.ports, REF, kind="public").html  # who has a copy has the link to it
    approved = approve(sending.ports, REF)
    assert approved.arithmetic.reconciles
    deliver(sending.ports)
    assert sending.arrived() == {one.public_id: 1 for one in sending.copies()}
    assert sending.scene.issue().state == "sent"


def test_sendgrid_holds_only_so_many_cancelled_batches(store: SqlStore, tmp_path: Path) -> None:
    scene = build_scene(store, tmp_path)
    scene.people()
    due = scene.ready().due_at
    with FakeSendGrid(tmp_path / "sendgrid", at=NOW, most_holds=1) as fake:
        settings = SendGridSettings(key=KEY, url=fake.url, timeout_s=60)
        out = Sending(scene, fake, Transport(settings, scene.clock.now, pauses_s=()))
        out.at(due - timedelta(hours=1))
        approve(out.ports, REF)
        out.at(due)
        deliver(out.ports, chunk=4)
        stop(out.ports, REF, "wrong date")
        done = call_back(out.ports)
        out.transport.finish()
        assert done.called_back + done.gone == LETTERS
        assert {done.called_back, done.gone} == {2, 4}
        assert "max limit reached" in done.why
        assert out.states() == {"withheld": done.called_back, "accepted": done.gone}
        assert scene.issue().state == "partly_sent"
        assert sum(out.arrived().values()) == done.gone


# ── killed in between, and answers that do not come ──────────────────────────────────────


@pytest.mark.parametrize("where", ["dies_before", "dies_after"])
def test_killed_while_asking_the_next_run_asks_again(out: Sending, where: str) -> None:
    stop(out.ports, REF)
    setattr(out.transport, where, True)
    with pytest.raises(SystemExit):
        call_back(out.ports)
    assert out.states() == {"recalling": LETTERS}
    setattr(out.transport, where, False)
    assert not call_back(out.ports)  # the one that asks is not known to be dead yet
    out.later(timedelta(minutes=2))
    assert deliver(out.ports).recalled.called_back == LETTERS
    assert out.scene.issue().state == "stopped"
    assert out.arrived() == {}


def test_killed_while_asking_and_too_late_after_that_nobody_knows(out: Sending) -> None:
    stop(out.ports, REF)
    out.transport.dies_after = True
    with pytest.raises(SystemExit):
        call_back(out.ports)
    out.transport.dies_after = False
    out.later(timedelta(minutes=6))
    done = deliver(out.ports).recalled
    assert done == CalledBack(unknown=LETTERS, why=TOO_LATE)
    assert out.scene.issue().state == "partly_sent"
    assert len(list_doubts(out.ports, REF)) == LETTERS
    assert deliver(out.ports).issues == ()  # nothing is sent again by itself
    assert out.arrived() == {}
    resolve(out.ports, [REF], "not_sent")
    assert out.rows(schema.touches) == 0


def test_who_waits_for_its_turn_was_not_asked_for(sending: Sending) -> None:
    """The first of three batches takes so long that the next run comes by, too late for all."""

    class Slow(Transport):
        def call_back(self, batch: Batch) -> Recall:
            sending.later(timedelta(minutes=6))
            assert call_back(sending.ports) == CalledBack(gone=4, unknown=2, why=TOO_LATE)
            return super().call_back(batch)

    settings = SendGridSettings(key=KEY, url=sending.fake.url, timeout_s=60)
    slow = Slow(settings, sending.scene.clock.now, pauses_s=())
    slow.batch_size = 2
    its_ports = replace(sending.ports, transport=slow)
    deliver(its_ports)
    assert len(sending.batches()) == 3
    stop(its_ports, REF)
    assert call_back(its_ports) == CalledBack()
    assert sending.states() == {"accepted": 4, "unknown": 2}
    assert len(sending.arrived()) == LETTERS


def test_a_stop_that_nobody_took_up_in_time_leaves_them_as_they_were(out: Sending) -> None:
    """Nobody has asked, so SendGrid surely lets them go."""
    stop(out.ports, REF)
    out.later(timedelta(minutes=6))
    assert call_back(out.ports) == CalledBack(gone=LETTERS, why=TOO_LATE)
    assert out.states() == {"accepted": LETTERS}
    assert out.scene.issue().state == "sent"
    assert sum(out.arrived().values()) == LETTERS


def test_what_cannot_be_asked_now_is_asked_by_the_next_run(out: Sending) -> None:
    stop(out.ports, REF)
    out.fake.script(Fault("status_before", on="hold", status=429))
    done = call_back(out.ports)
    assert (done.waiting, done.called_back) == (LETTERS, 0)
    assert out.states() == {"recalling": LETTERS}
    with pytest.raises(Conflict, match="are being called back at this moment"):
        approve(out.ports, REF)
    assert call_back(out.ports).called_back == LETTERS
    assert approve(out.ports, REF).issue.state == "scheduled"


@pytest.mark.parametrize("in_time", [True, False])
def test_an_answer_that_was_lost_is_a_doubt(out: Sending, in_time: bool) -> None:
    stop(out.ports, REF)
    out.fake.script(Fault("drop_after", on="hold"))
    assert call_back(out.ports).waiting == LETTERS
    out.later(timedelta(minutes=1 if in_time else 6))
    done = call_back(out.ports)
    assert (done.called_back, done.unknown) == ((LETTERS, 0) if in_time else (0, LETTERS))
    assert deliver(out.ports).total("accepted") == 0
    assert out.arrived() == {}


def test_a_doubt_of_what_was_stopped_is_not_sent_again_by_policy(out: Sending) -> None:
    catalog = out.ports.catalog
    resend = replace(
        catalog,
        constellations=tuple(
            replace(one, newsletters=tuple(replace(n, unknown="resend") for n in one.newsletters))
            for one in catalog.constellations
        ),
    )
    its_ports = replace(out.ports, catalog=resend)
    stop(its_ports, REF)
    out.fake.script(Fault("drop_after", on="hold"))
    call_back(its_ports)
    out.later(timedelta(minutes=6))
    assert deliver(its_ports).recalled.unknown == LETTERS
    out.later(timedelta(hours=8))
    assert deliver(its_ports).total("accepted") == 0
    assert out.states() == {"unknown": LETTERS}


def test_a_person_s_word_that_it_did_not_leave_sends_nothing_that_was_stopped(out: Sending) -> None:
    stop(out.ports, REF, "a name is wrong")
    out.fake.script(Fault("drop_after", on="hold"))
    call_back(out.ports)
    out.later(timedelta(minutes=6))
    deliver(out.ports)
    assert out.scene.issue().reason == f"{LETTERS} unknown"
    one = out.copies()[0].public_id
    part = resolve(out.ports, [one], "not_sent")
    assert (part.planned, part.withheld, part.issues) == (
        0,
        1,
        (("ferry-weekly/1", "partly_sent"),),
    )
    assert out.scene.issue().reason == "stopped, and not sent, says liv"
    rest = resolve(out.ports, [REF], "not_sent")
    assert (rest.planned, rest.withheld, rest.issues) == (
        0, LETTERS - 1, (("ferry-weekly/1", "stopped"),)
    )  # fmt: skip
    assert deliver(out.ports).issues == ()
    out.scene.write(out.scene.story_ids[0], title="Quay 1, corrected")
    approve(out.ports, REF)
    assert deliver(out.ports).total("accepted") == LETTERS
    assert out.arrived() == {one.public_id: 1 for one in out.copies()}
    assert all("Quay 1, corrected" in one.html for one in out.fake.inbox()
               if one.recipient == "ada@northline.example")  # fmt: skip


def test_nobody_says_that_it_went_out_while_it_is_called_back(out: Sending) -> None:
    stop(out.ports, REF)
    with out.scene.store.write() as tables:
        tables.jobs.set_mark(RESTORED_AT, out.scene.clock.now().isoformat())
    with pytest.raises(Conflict, match="being called back"):
        went_out(out.ports, REF)
    assert call_back(out.ports).called_back == LETTERS
    assert out.scene.issue().state == "stopped"


def test_what_comes_back_is_held_back_wherever_its_issue_stands(out: Sending) -> None:
    stop(out.ports, REF)
    with out.scene.store.write() as tables:
        tables.letters.set_state(out.scene.issue().id, "sending")
    assert call_back(out.ports).called_back == LETTERS
    assert out.states() == {"withheld": LETTERS}


def test_nor_does_it_when_the_rest_was_approved_with_other_words(out: Sending) -> None:
    with out.scene.store.write() as tables:
        (first, *others) = tables.deliveries.of_issue(out.scene.issue().id)
    stop(out.ports, REF)
    with out.scene.store.write() as tables:
        now = out.scene.clock.now()
        taken = tables.deliveries.take_recalls("me", now + timedelta(seconds=90), now)
        mine = [one for one in taken if one.copy.id == first.id]
        rest = [one for one in taken if one.copy.id != first.id]
        tables.deliveries.end_recall(mine, Recall("unsure", "the line broke"), now)
        tables.deliveries.end_recall(rest, Recall("called_back"), now)
    approve(out.ports, REF)
    assert out.scene.issue().state == "scheduled"
    resolved = resolve(out.ports, [first.public_id], "not_sent")
    assert (resolved.planned, resolved.withheld) == (0, 1)
    assert deliver(out.ports).total("accepted") == len(others)


# ── while it is posted, and what the world tells ─────────────────────────────────────────


@pytest.mark.parametrize("when", ["before", "after"])
def test_stopped_while_it_is_posted_nothing_of_it_leaves(sending: Sending, when: str) -> None:
    """Its sender lives, and its receipts tell nothing any more."""
    others = sending.ports

    def press() -> None:
        stopped = stop(others, REF)
        assert (stopped.calling_back, stopped.left_already) == (LETTERS, 0)
        assert call_back(others).called_back == LETTERS

    class Slow(Transport):
        def send(
            self, envelopes: Iterable[Envelope], batch: Batch | None = None
        ) -> Iterator[Receipt]:
            if when == "before":
                press()
            receipts = list(super().send(envelopes, batch))
            if when == "after":
                press()
            yield from receipts

    settings = SendGridSettings(key=KEY, url=sending.fake.url, timeout_s=60)
    slow = Slow(settings, sending.scene.clock.now, pauses_s=())
    deliver(replace(others, transport=slow))
    assert sending.fake.accepted() == LETTERS
    assert sending.states() == {"withheld": LETTERS}
    assert sending.scene.issue().state == "stopped"
    approve(others, REF)
    assert deliver(others).total("accepted") == LETTERS
    assert sending.arrived() == {one.public_id: 1 for one in sending.copies()}


def test_what_has_left_after_all_counts(out: Sending) -> None:
    """SendGrid gave its word and let one go: its event wins, and that one is not sent again."""
    one = next(c for c in out.copies() if c.purpose == "letter")
    stop(out.ports, REF)
    call_back(out.ports)
    out.later(timedelta(hours=1))
    heard = replace(out.ports, events=SendGridEvents(out.fake.public_key))
    event = {
        "email": one.address, "timestamp": int(out.scene.clock.at.timestamp()),
        "event": "processed", "sg_event_id": "left-after-all", "delivery": one.public_id,
    }  # fmt: skip
    (posting,) = out.fake.postings([event])
    lower = {name.lower(): value for name, value in posting.headers.items()}
    assert take_in(heard, posting.body, lower).moved == 1
    assert out.states() == {"accepted": 1, "withheld": LETTERS - 1}
    assert out.scene.issue().state == "partly_sent"
    approve(out.ports, REF)
    assert deliver(out.ports).total("accepted") == LETTERS - 1
    assert one.public_id not in out.arrived()


def test_an_event_while_it_is_called_back_wins_too(out: Sending) -> None:
    stop(out.ports, REF)
    with out.scene.store.write() as tables:
        now = out.scene.clock.now()
        taken = tables.deliveries.take_recalls("test|1|x", now + timedelta(minutes=1), now)
        tables.deliveries.hear(taken[0].copy.public_id, "accepted", "processed", now)
        counts = tables.deliveries.end_recall(taken, Recall("called_back"), now)
    assert counts == {"withheld": LETTERS - 1}
    assert out.states() == {"accepted": 1, "withheld": LETTERS - 1}


# ── what people are shown ────────────────────────────────────────────────────────────────


def link(out: Sending) -> str:
    return out.ports.tokens.make("stop", out.scene.issue().public_id)


def test_the_page_behind_the_stop_link_tells_how_far_it_is(out: Sending) -> None:
    assert review(out.ports, link(out)).standing == "leaving"
    assert stop_by_link(out.ports, link(out)).standing == "recalling"
    assert stop_by_link(out.ports, link(out)).standing == "recalling"  # pressed again
    call_back(out.ports)
    assert review(out.ports, link(out)).standing == "stopped"
    told = "\n".join(f"{one.what} {one.detail}" for one in explain_issue(out.ports, REF).steps)
    assert f"calling back: {LETTERS}" in told
    assert "asked for copies back" in told
    assert f"called back: {LETTERS}" in told


def test_the_page_says_out_when_it_is_too_late(out: Sending) -> None:
    out.later(timedelta(minutes=6))
    assert stop_by_link(out.ports, link(out)).standing == "out"


def test_the_page_claims_nothing_of_copies_of_which_nobody_knows(out: Sending) -> None:
    stop_by_link(out.ports, link(out))
    out.fake.script(Fault("drop_after", on="hold"))
    call_back(out.ports)
    out.later(timedelta(minutes=6))
    assert call_back(out.ports).unknown == LETTERS
    assert review(out.ports, link(out)).standing == "unknown"


def test_a_stop_again_says_that_copies_are_being_called_back(out: Sending) -> None:
    stop(out.ports, REF)
    with pytest.raises(
        Conflict, match=f"stopped already: {LETTERS} of its copies are being called"
    ):
        stop(out.ports, REF)
    call_back(out.ports)
    with pytest.raises(Conflict, match="is stopped; nothing is to stop"):
        stop(out.ports, REF)


def test_half_way_is_half_way_whatever_the_reason_says(sending: Sending) -> None:
    """Where an issue stands is not read out of somebody's words."""

    def die(done: int, total: int, what: str) -> None:
        if what.startswith("sending"):
            raise SystemExit("as if killed")

    with pytest.raises(SystemExit):
        deliver(replace(sending.ports, progress=die), chunk=2)
    sending.later(timedelta(minutes=6))
    stop(sending.ports, REF, "a typing error")
    assert review(sending.ports, link(sending)).standing == "rest"


def test_nobody_is_erased_while_their_copy_is_called_back(out: Sending) -> None:
    stop(out.ports, REF)
    with pytest.raises(Conflict, match="at this very moment"):
        erase(out.ports, "ada@northline.example")
    call_back(out.ports)
    erase(out.ports, "ada@northline.example")
    assert out.states() == {"withheld": LETTERS}
