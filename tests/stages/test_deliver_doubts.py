"""Batches, copies in doubt, what a person decides, and what a restore holds back."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from pipeline.errors import BadInput, Conflict, Down, NotFound
from pipeline.model.catalog import UnknownPolicy
from pipeline.model.letters import Batch, Delivery, Envelope, Fate, Recall, Receipt
from pipeline.ports import Ports, Tables
from pipeline.rules.letters.ledger import ATTEMPTS, STOPPED
from pipeline.stages.compose import stop
from pipeline.stages.deliver import (
    Delivered,
    allow_after_restore,
    deliver,
    list_doubts,
    resolve,
    went_out,
)
from pipeline.stores import schema
from pipeline.stores.sql import SqlStore
from tests.builders import CATALOG, FERRIES, NOW, WEEKLY, StandingClock
from tests.ledger_scene import Scene, address, build_scene, connection
from tests.stages.test_deliver import ScriptedTransport, counts, ports

LATER = NOW + timedelta(hours=1)
REF = "ferry-weekly/1"


class Provider:
    """A provider with batches: mail waits in them, and goes unless it is called back in time."""

    name = "sendgrid"

    def __init__(self) -> None:
        self.batch_size = 4
        self.posted: dict[str, list[str]] = {}
        self.cancelled: set[str] = set()
        self.is_down = self.refuses_batches = self.too_late = self.dies = False

    def open_batch(self) -> Batch | None:
        if self.refuses_batches:
            raise Down("the provider does not answer")
        return Batch(f"batch-{len(self.posted) + 1}", NOW + timedelta(minutes=15))

    def send(self, envelopes: Iterable[Envelope], batch: Batch | None = None) -> Iterator[Receipt]:
        assert batch is not None
        mine = self.posted.setdefault(batch.provider_id, [])
        for number, envelope in enumerate(envelopes):
            mine.append(envelope.delivery_public_id)
            if self.dies and number == 2:
                raise SystemExit("as if killed")
            yield Receipt(envelope.delivery_public_id, "accepted")

    def fates(self, ids: Sequence[str], batch: Batch | None = None) -> Mapping[str, Fate]:
        if self.is_down:
            raise Down("the provider does not answer")
        assert batch is not None
        if self.too_late:
            return dict.fromkeys(ids, "unknown")
        self.cancelled.add(batch.provider_id)
        return dict.fromkeys(ids, "not_left")

    def can_call_back(self, batch: Batch) -> bool:
        return not self.too_late

    def call_back(self, batch: Batch) -> Recall:
        if self.too_late or self.is_down:
            return Recall("stays", "the provider does not answer", again=not self.too_late)
        self.cancelled.add(batch.provider_id)
        return Recall("called_back")

    def finish(self) -> None:
        """Nothing is open."""

    def arrived(self) -> Counter[str]:
        going = (ids for batch, ids in self.posted.items() if batch not in self.cancelled)
        return Counter(one for ids in going for one in ids)


def copies(scene: Scene) -> list[Delivery]:
    with scene.store.read() as tables:
        return list(tables.deliveries.of_issue(scene.issue.id))


def state_of(scene: Scene) -> tuple[str, str]:
    with scene.store.read() as tables:
        issue = tables.letters.by_id(scene.issue.id)
    return issue.state, issue.reason


def history(scene: Scene, copy: Delivery) -> list[tuple[str, str]]:
    with scene.store.read() as tables:
        return [(state, detail) for _, state, detail in tables.deliveries.history(copy.id)]


def policy(its_ports: Ports, unknown: UnknownPolicy) -> Ports:
    weekly = replace(WEEKLY, unknown=unknown)
    catalog = replace(CATALOG, constellations=(replace(FERRIES, newsletters=(weekly,)),))
    return replace(its_ports, catalog=catalog)


def doubtful(store: SqlStore, number: int = 2, contacts: int = 4) -> Scene:
    """An issue that went out; of so many copies nobody knows."""
    scene = build_scene(store, contacts=contacts)
    scene.plan()
    deliver(ports(scene, ScriptedTransport(*["unknown"] * number)))
    return scene


# ── batches ──────────────────────────────────────────────────────────────────────────────


def test_each_claim_leaves_under_a_handle_that_is_known_before(store: SqlStore) -> None:
    scene = build_scene(store, contacts=6)
    scene.plan()
    known: list[int] = []

    class Looking(Provider):
        def send(
            self, envelopes: Iterable[Envelope], batch: Batch | None = None
        ) -> Iterator[Receipt]:
            with connection(store) as raw:
                known.append(raw.scalar(sa.select(sa.func.count(schema.batch_copies.c.id))) or 0)
            return super().send(envelopes, batch)

    provider = Looking()
    assert counts(deliver(ports(scene, provider), chunk=4)) == {"accepted": 6}
    assert known == [4, 6]
    with store.read() as tables:
        batches = tables.deliveries.batches_of([one.id for one in copies(scene)])
    by_id = {one.public_id: batches[one.id].provider_id for one in copies(scene)}
    assert by_id == {one: batch for batch, ids in provider.posted.items() for one in ids}
    assert {one.transport for one in copies(scene)} == {"sendgrid"}


def test_a_crash_inside_a_batch_calls_all_of_it_back(store: SqlStore) -> None:
    """None of a batch is settled before it is through: calling it back throws away all."""
    scene = build_scene(store, contacts=6)
    scene.plan()
    provider = Provider()
    provider.dies = True
    with pytest.raises(SystemExit):
        deliver(ports(scene, provider), chunk=4)
    assert scene.states() == {"attempting": 4, "planned": 2}
    provider.dies = False
    done = deliver(ports(scene, provider, StandingClock(LATER)), chunk=4)
    assert (done.settled_doubts, done.issues[0].state) == (4, "sent")
    assert provider.cancelled == {"batch-1"}
    assert provider.arrived() == Counter(one.public_id for one in copies(scene))


def test_who_sleeps_while_others_take_over_doubles_and_loses_nothing(store: SqlStore) -> None:
    scene = build_scene(store, contacts=4)
    scene.plan()
    clock, others = StandingClock(), Provider()

    class Sleeper(Provider):
        def send(
            self, envelopes: Iterable[Envelope], batch: Batch | None = None
        ) -> Iterator[Receipt]:
            receipts = list(super().send(envelopes, batch))
            if len(self.posted) == 1:
                others.posted = self.posted
                clock.at += timedelta(seconds=400)  # longer than the lease
                deliver(ports(scene, others, clock))
            yield from receipts

    sleeper = Sleeper()
    done = deliver(ports(scene, sleeper, clock))
    assert done.issues[0].state == "sent"
    assert others.cancelled == {"batch-1"}
    assert others.arrived() == Counter(one.public_id for one in copies(scene))


def test_what_is_being_called_back_cannot_be_settled_meanwhile(store: SqlStore) -> None:
    """Its sender lives and was only slow; its receipts come just when the batch is asked about."""
    scene = build_scene(store, contacts=4)
    scene.plan()
    claimed: list[Delivery] = []

    class Overtaken(Provider):
        def fates(self, ids: Sequence[str], batch: Batch | None = None) -> Mapping[str, Fate]:
            with store.write() as tables:
                receipts = [(one, Receipt(one.public_id, "accepted")) for one in claimed]
                assert tables.deliveries.settle(receipts, LATER) == {"stale": 4}
            return super().fates(ids, batch)

    provider = Overtaken()
    with store.write() as tables:
        taken = tables.deliveries.claim(scene.issue.id, "slow", NOW + timedelta(minutes=1), NOW, 9)
        claimed += tables.deliveries.attempting(
            taken, NOW, transport="sendgrid", batch=Batch("batch-1", NOW + timedelta(minutes=15))
        )
    provider.posted["batch-1"] = [one.public_id for one in claimed]
    deliver(ports(scene, provider, StandingClock(NOW + timedelta(minutes=3))))
    assert provider.arrived() == Counter(one.public_id for one in copies(scene))
    assert scene.states() == {"accepted": 4}


def test_a_provider_that_gives_no_handle_gets_nothing(store: SqlStore) -> None:
    scene = build_scene(store)
    scene.plan()
    provider = Provider()
    provider.refuses_batches = True
    with pytest.raises(Down, match="does not answer"):
        deliver(ports(scene, provider))
    assert scene.states() == {"planned": 3}
    assert {(one.reason, one.attempts) for one in copies(scene)} == {
        ("the provider does not answer", 0)
    }
    provider.refuses_batches = False
    assert counts(deliver(ports(scene, provider))) == {"accepted": 3}


def test_where_nothing_can_be_said_now_the_next_run_asks_again(store: SqlStore) -> None:
    scene = build_scene(store, contacts=6)
    scene.plan()
    provider = Provider()
    provider.dies = True
    with pytest.raises(SystemExit):
        deliver(ports(scene, provider), chunk=4)
    provider.dies, provider.is_down = False, True
    done = deliver(ports(scene, provider, StandingClock(LATER)), chunk=4)
    assert (done.left_in_doubt, done.settled_doubts) == (4, 0)
    assert counts(done) == {"accepted": 2}  # the others go meanwhile
    assert scene.states() == {"attempting": 4, "accepted": 2}
    provider.is_down = False
    done = deliver(ports(scene, provider, StandingClock(LATER)), chunk=4)
    assert (done.settled_doubts, done.issues[0].state) == (4, "sent")


def test_a_batch_that_has_gone_leaves_a_doubt(store: SqlStore) -> None:
    scene = build_scene(store)
    scene.plan()
    provider = Provider()
    provider.dies = provider.too_late = True
    with pytest.raises(SystemExit):
        deliver(ports(scene, provider))
    provider.dies = False
    done = deliver(ports(scene, provider, StandingClock(LATER)))
    assert (done.settled_doubts, done.issues[0].state) == (3, "partly_sent")
    assert scene.states() == {"unknown": 3}
    assert {one.batch for one in list_doubts(ports(scene, provider))} == {"batch-1"}


@pytest.mark.parametrize("remembers", [True, False])
def test_another_transport_cannot_tell_what_the_last_one_did(
    store: SqlStore, remembers: bool
) -> None:
    """A folder that does not hold the file says nothing of what went through a relay."""
    scene = build_scene(store, contacts=2)
    scene.plan()
    relay = ScriptedTransport("accepted", "dies")
    relay.name = "smtp"
    with pytest.raises(SystemExit):
        deliver(ports(scene, relay))
    today = ScriptedTransport(remembers=remembers)
    done = deliver(ports(scene, today, StandingClock(LATER)))
    assert (done.settled_doubts, today.sent) == (2, [])
    assert scene.states() == {"unknown": 2}
    (why,) = {one.why for one in list_doubts(ports(scene, today))}
    assert why == "a run died while sending it by smtp, and mail leaves by scripted now"


# ── the policy of a newsletter ───────────────────────────────────────────────────────────


def test_a_newsletter_may_have_doubts_sent_again(store: SqlStore) -> None:
    scene = build_scene(store, contacts=2)
    scene.plan()
    clock, transport = StandingClock(), ScriptedTransport("unknown")
    first = deliver(policy(ports(scene, transport, clock), "resend"))
    assert counts(first) == {"accepted": 1, "deferred": 1}
    assert first.issues[0].state == "sending"
    again = first.next_due_at
    assert again is not None
    assert again > NOW  # news may come first
    clock.at = again
    assert deliver(policy(ports(scene, transport, clock), "resend")).issues[0].state == "sent"
    told = [state for state, _ in history(scene, copies(scene)[0])]
    assert told == ["planned", "attempting", "unknown", "deferred", "attempting", "accepted"]


def test_even_then_it_ends(store: SqlStore) -> None:
    scene = build_scene(store, contacts=1)
    scene.plan()
    clock, transport = StandingClock(), ScriptedTransport(*["unknown"] * 20)
    for _ in range(ATTEMPTS + 2):
        done = deliver(policy(ports(scene, transport, clock), "resend"))
        clock.at = done.next_due_at or clock.at
    assert len(transport.sent) == ATTEMPTS
    assert scene.states() == {"unknown": 1}


def test_the_policy_holds_for_a_dead_runs_doubts_too(store: SqlStore) -> None:
    scene = build_scene(store, contacts=1)
    scene.plan()
    with pytest.raises(SystemExit):
        deliver(ports(scene, ScriptedTransport("dies")))
    clock, transport = StandingClock(LATER), ScriptedTransport()
    done = deliver(policy(ports(scene, transport, clock), "resend"))
    assert (done.settled_doubts, scene.states()) == (1, {"deferred": 1})
    clock.at = done.next_due_at or clock.at
    assert counts(deliver(policy(ports(scene, transport, clock), "resend"))) == {"accepted": 1}


# ── a person decides ─────────────────────────────────────────────────────────────────────


def test_doubts_are_listed_without_whole_addresses(store: SqlStore) -> None:
    scene = doubtful(store)
    its_ports = ports(scene, ScriptedTransport())
    doubts = list_doubts(its_ports)
    assert [(d.issue_ref, d.name, d.why, d.transport, d.since, d.batch) for d in doubts] == [
        (REF, f"Reader {n}", "scripted: unknown", "scripted", NOW, "") for n in range(2)
    ]
    assert all("…@" in one.address and "reader" not in one.address for one in doubts)
    assert list_doubts(its_ports, REF) == doubts
    assert list_doubts(its_ports, doubts[1].copy[:10]) == [doubts[1]]
    with pytest.raises(NotFound, match="no issue and no copy"):
        list_doubts(its_ports, "nosuch")
    with connection(store) as raw:
        for number, one in enumerate(copies(scene)):
            raw.execute(
                sa.update(schema.deliveries)
                .where(schema.deliveries.c.id == one.id)
                .values(public_id=f"same{number}" + "a" * 21)
            )
    with pytest.raises(BadInput, match="More than one copy"):
        list_doubts(its_ports, "same")


def test_what_was_sent_counts_as_sent(store: SqlStore) -> None:
    scene = doubtful(store)
    assert state_of(scene) == ("partly_sent", "2 unknown")
    its_ports = ports(scene, ScriptedTransport(), StandingClock(LATER))
    first, second = list_doubts(its_ports)
    done = resolve(its_ports, [first.copy], "sent")
    assert (done.copies, done.issues) == (1, ((REF, "partly_sent"),))
    assert state_of(scene) == ("partly_sent", "1 unknown")
    assert resolve(its_ports, [second.copy, REF], "sent").issues == ((REF, "sent"),)
    assert state_of(scene) == ("sent", "")
    assert scene.states() == {"accepted": 4}
    assert resolve(its_ports, [REF], "sent").copies == 0  # again changes nothing
    with connection(store) as raw:
        assert raw.scalar(sa.select(sa.func.count(schema.touches.c.id))) == 4
    with store.read() as tables:
        logged = tables.log.of(f"issue:{scene.issue.public_id}")
    assert [(one.verb, one.after["outcome"], one.after["copies"]) for one in logged] == [
        ("resolve", "sent", 1), ("resolve", "sent", 1)
    ]  # fmt: skip


def test_what_was_not_sent_goes_with_the_next_run(store: SqlStore) -> None:
    scene = doubtful(store)
    transport = ScriptedTransport()
    its_ports = ports(scene, transport, StandingClock(LATER))
    done = resolve(its_ports, [], "not_sent")
    assert (done.copies, done.planned, done.issues) == (2, 2, ((REF, "sending"),))
    assert counts(deliver(its_ports)) == {"accepted": 2}
    assert [one.recipient for one in transport.sent] == [address(0), address(1)]
    assert state_of(scene) == ("sent", "")


def test_what_was_not_sent_and_is_late_does_not_go(store: SqlStore) -> None:
    scene = doubtful(store)
    transport = ScriptedTransport()
    its_ports = ports(scene, transport, StandingClock(NOW + timedelta(days=2)))
    done = resolve(its_ports, [REF], "not_sent")
    assert (done.planned, done.withheld, done.issues) == (0, 2, ((REF, "sent"),))
    assert deliver(its_ports) == Delivered()
    assert {one.reason for one in copies(scene) if one.state == "withheld"} == {
        "48 hours late: it does not go out any more"
    }


def test_a_stop_holds_though_the_doubts_are_settled(store: SqlStore) -> None:
    """Copies were on their way when somebody stopped the issue; only an approval goes on."""
    scene = build_scene(store, contacts=4)
    scene.plan()

    class Stopper(ScriptedTransport):
        def send(
            self, envelopes: Iterable[Envelope], batch: Batch | None = None
        ) -> Iterator[Receipt]:
            yield from super().send(envelopes)
            with store.write() as tables:
                tables.deliveries.withhold_planned(scene.issue.id, STOPPED, NOW)
                tables.letters.set_state(scene.issue.id, "partly_sent", reason="a mistake")

    deliver(ports(scene, Stopper("unknown", "unknown")), chunk=2)
    assert scene.states() == {"unknown": 2, "withheld": 2}
    transport = ScriptedTransport()
    its_ports = ports(scene, transport, StandingClock(LATER))
    first, second = list_doubts(its_ports)
    assert resolve(its_ports, [first.copy], "not_sent").withheld == 1
    assert resolve(its_ports, [second.copy], "sent").issues == ((REF, "partly_sent"),)
    assert state_of(scene) == ("partly_sent", "a mistake")
    assert deliver(its_ports) == Delivered()
    assert scene.states() == {"accepted": 1, "withheld": 3}


# ── after a restore ──────────────────────────────────────────────────────────────────────


def restored(store: SqlStore) -> None:
    with store.write() as tables:
        tables.jobs.set_mark("restored_at", NOW.isoformat())


def test_what_was_due_before_a_restore_waits_for_a_person(store: SqlStore) -> None:
    scene = build_scene(store)
    scene.plan()
    restored(store)
    transport = ScriptedTransport()
    its_ports = ports(scene, transport, StandingClock(LATER))
    held = deliver(its_ports)
    (issue,) = held.issues
    assert (issue.state, issue.counts) == ("scheduled", ())
    assert issue.reason == "held since the restore of 2027-03-08 09:00 UTC"
    assert (transport.sent, held.next_due_at) == ([], None)

    with store.write() as tables:  # an approval does not let it go
        tables.letters.set_state(scene.issue.id, "scheduled", approved_by="liv", approved_at=LATER)
        assert not tables.deliveries.claim(scene.issue.id, "x", LATER + timedelta(minutes=1),
                                           LATER, 9)  # fmt: skip
    assert deliver(its_ports).issues[0].counts == ()

    assert allow_after_restore(its_ports, REF).changed
    assert not allow_after_restore(its_ports, REF).changed
    assert counts(deliver(its_ports)) == {"accepted": 3}
    with store.read() as tables:
        (logged,) = tables.log.of(f"issue:{scene.issue.public_id}")
    assert (logged.verb, logged.actor) == ("allow", its_ports.actor)


def test_what_falls_due_after_a_restore_goes_by_itself(store: SqlStore) -> None:
    scene = build_scene(store, due_at=NOW + timedelta(minutes=5))
    scene.plan()
    restored(store)
    its_ports = ports(scene, ScriptedTransport(), StandingClock(LATER))
    with pytest.raises(Conflict, match="not held back"):
        allow_after_restore(its_ports, REF)
    assert counts(deliver(its_ports)) == {"accepted": 3}


def test_what_is_over_needs_no_permission(store: SqlStore) -> None:
    scene = build_scene(store)
    scene.plan()
    deliver(ports(scene, ScriptedTransport()))
    restored(store)
    with pytest.raises(Conflict, match="is sent; nothing of it waits"):
        allow_after_restore(ports(scene, ScriptedTransport()), REF)


def test_what_did_go_out_before_a_restore_counts_as_sent_and_nothing_leaves(
    store: SqlStore,
) -> None:
    scene = build_scene(store, 4)
    scene.plan()
    with store.write() as tables:
        tables.people.suppress(scene.contact_ids[3], WEEKLY.key, "left", NOW)
    deliver(ports(scene, ScriptedTransport("deferred", "deferred", "unknown")))
    assert scene.states() == {"deferred": 2, "unknown": 1, "withheld": 1}
    restored(store)
    transport, at = ScriptedTransport(), NOW + timedelta(days=3)  # no lateness is asked for
    its_ports = ports(scene, transport, StandingClock(at))
    done = went_out(its_ports, REF)
    assert (done.changed, done.copies, done.issue.state) == (True, 3, "sent")
    assert scene.states() == {"accepted": 3, "withheld": 1}
    assert deliver(its_ports) == Delivered()
    assert not transport.sent
    with store.read() as tables:
        copies = [one for one in tables.deliveries.of_issue(scene.issue.id)
                  if one.state == "accepted"]  # fmt: skip
        assert dict(tables.letters.beats(WEEKLY.key)) == {date(2027, 3, 8): "kept"}
        (logged,) = tables.log.of(f"issue:{scene.issue.public_id}")
    assert {one.reason for one in copies} == {
        f"went out before the restore, says {its_ports.actor}"
    }
    assert (logged.verb, logged.actor) == ("went out", its_ports.actor)
    with connection(store) as raw:
        touched = raw.execute(sa.select(schema.touches.c.contact_id, schema.touches.c.at)).all()
        known = sa.select(schema.told.c.contact_id).where(schema.told.c.at == scene.issue.due_at)
        assert set(raw.scalars(known)) >= set(scene.contact_ids[:3])
    assert {tuple(row) for row in touched} == {(one, NOW) for one in scene.contact_ids[:3]}

    again = went_out(its_ports, REF)
    assert (again.changed, again.copies, again.issue.state) == (False, 0, "sent")
    assert not allow_after_restore(its_ports, REF).changed


def test_who_had_a_copy_of_a_dead_run_is_not_at_it_any_more(store: SqlStore) -> None:
    """The backup caught a run in the midst of things; that process lives, and comes too late."""
    scene = build_scene(store, 2)
    scene.plan()
    with store.write() as tables:
        one, other = tables.deliveries.claim(scene.issue.id, "x", LATER, NOW, 9)
        tables.deliveries.attempting([other], NOW)
    restored(store)
    assert went_out(ports(scene, ScriptedTransport()), REF).copies == 2
    with store.write() as tables:
        assert tables.deliveries.attempting([one], NOW) == []
    assert scene.states() == {"accepted": 2}


def test_who_was_allowed_may_still_have_gone(store: SqlStore) -> None:
    scene = build_scene(store)
    scene.plan()
    restored(store)
    its_ports = ports(scene, transport := ScriptedTransport())
    allow_after_restore(its_ports, REF)
    assert went_out(its_ports, REF).copies == 3
    assert deliver(its_ports) == Delivered()
    assert not transport.sent


@pytest.mark.parametrize("state", ["draft", "in_review", "stopped"])
def test_of_what_was_never_planned_nobody_knows_who_has_it(store: SqlStore, state: str) -> None:
    scene = build_scene(store, state=state)
    restored(store)
    with pytest.raises(Conflict, match="does not know who was to get it") as caught:
        went_out(ports(scene, ScriptedTransport()), REF)
    assert "issue approve ferry-weekly/1" in caught.value.hint
    with store.read() as tables:
        assert tables.letters.by_id(scene.issue.id).state == state
        assert not tables.log.of(f"issue:{scene.issue.public_id}")


def test_what_nothing_holds_back_has_not_gone_by_a_word(store: SqlStore) -> None:
    scene = build_scene(store, due_at=NOW + timedelta(minutes=5))
    scene.plan()
    restored(store)
    with pytest.raises(Conflict, match="not held back"):
        went_out(ports(scene, ScriptedTransport(), StandingClock(LATER)), REF)
    assert scene.states() == {"planned": 3}


# ── a stop at the very moment when a copy is given back ──────────────────────────────────


def attempted(scene: Scene) -> Sequence[Delivery]:
    """One copy that is leaving; the others wait."""
    with scene.store.write() as tables:
        tables.letters.set_state(scene.issue.id, "sending")
        claimed = tables.deliveries.claim(scene.issue.id, "x", LATER, NOW, 1)
        return tables.deliveries.attempting(claimed, NOW)


@contextmanager
def beside(work: Callable[[], object]) -> Iterator[Callable[[], None]]:
    """It begins when told to, and is over at the end."""
    with ThreadPoolExecutor(1) as pool:
        started: list[Future[object]] = []

        def begin() -> None:
            started.append(pool.submit(work))

        yield begin
        started[0].result(timeout=120)


def until_it_waits(store: SqlStore, tables: Tables) -> None:
    """PostgreSQL tells others who waits for our locks; on SQLite nobody gets so far."""
    raw = tables.letters._connection  # type: ignore[attr-defined]
    if raw.dialect.name == "sqlite":
        return
    pid = raw.scalar(sa.text("SELECT pg_backend_pid()"))
    waits = sa.text("SELECT count(*) FROM pg_stat_activity WHERE :pid = ANY(pg_blocking_pids(pid))")
    deadline = time.monotonic() + 120
    while True:
        with store.read() as other:
            seen = other.letters._connection  # type: ignore[attr-defined]
            if seen.scalar(waits, {"pid": pid}):
                return
        assert time.monotonic() < deadline, "nobody waits for this lock"
        time.sleep(0.02)


def test_a_stop_holds_back_what_is_given_back_at_this_moment(store: SqlStore) -> None:
    scene = build_scene(store)
    scene.plan()
    leaving = attempted(scene)
    its_ports = ports(scene, ScriptedTransport())
    with beside(lambda: stop(its_ports, REF, "a mistake")) as begin, store.write() as tables:
        tables.deliveries.give_back(leaving, "the relay is away", NOW)
        begin()
        until_it_waits(store, tables)
    assert scene.states() == {"withheld": 3}
    assert state_of(scene) == ("stopped", "a mistake")


def test_what_is_given_back_while_a_stop_is_written_is_held_back(store: SqlStore) -> None:
    scene = build_scene(store)
    scene.plan()
    leaving = attempted(scene)

    def give_back() -> None:
        with store.write() as tables:
            tables.deliveries.give_back(leaving, "the relay is away", NOW)

    with beside(give_back) as begin, store.write() as tables:
        tables.deliveries.withhold_planned(scene.issue.id, STOPPED, NOW)
        tables.letters.set_state(scene.issue.id, "partly_sent", reason="a mistake")
        begin()
        until_it_waits(store, tables)
    assert scene.states() == {"withheld": 3}


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_an_issue_is_not_missed_that_begins_to_leave_this_very_moment(store: SqlStore) -> None:
    """One run finds it late while the copies that another one claimed in time begin to leave.

    On SQLite who looks is the one writer there is, and nobody can begin in between.
    """
    scene, clock = build_scene(store), StandingClock(NOW + timedelta(hours=60))
    scene.plan()
    with store.write() as tables:
        until = clock.at + timedelta(minutes=5)
        tables.letters.set_state(scene.issue.id, "sending")
        claimed = tables.deliveries.claim(scene.issue.id, "other", until, clock.at, 2)
    begun: list[Delivery] = []

    def begin(connection: sa.Connection, cursor: object, statement: str, *rest: object) -> None:
        """Once the late run has looked, and before it writes."""
        if statement.startswith("UPDATE deliveries") and not begun:
            begun.extend(claimed)
            with store.write() as tables:
                assert len(tables.deliveries.attempting(claimed, clock.at)) == 2

    sa.event.listen(sa.Engine, "before_cursor_execute", begin)
    try:
        deliver(ports(scene, ScriptedTransport(), clock))
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", begin)
    assert scene.states() == {"attempting": 2, "planned": 1}
    with store.read() as tables:
        assert tables.letters.by_id(scene.issue.id).state == "sending"
    clock.at += timedelta(minutes=6)  # the other run died
    deliver(ports(scene, ScriptedTransport(), clock))
    assert scene.states() == {"unknown": 2, "accepted": 1}
    with store.read() as tables:
        assert tables.letters.by_id(scene.issue.id).state == "partly_sent"
