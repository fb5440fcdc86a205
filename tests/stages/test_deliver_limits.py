"""Limits, leases, clocks that jump, and a run that is asked to stop: on both databases."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import BadInput, Down
from pipeline.model.letters import Batch, Beat, Envelope, Notice, Receipt
from pipeline.ports import Ports
from pipeline.settings import Limits
from pipeline.stages.deliver import Delivered, deliver
from pipeline.stores import schema
from pipeline.stores.migrate import migrate
from pipeline.stores.sql import SqlStore
from tests.builders import CATALOG, FIRM, NOW, SECRET, StandingClock
from tests.ledger_scene import Scene, build_scene, connection
from tests.stages.test_deliver import ScriptedTransport, counts, ports

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(hours=24)


def limited(
    scene: Scene, transport: object, clock: StandingClock, hour: int = 0, day: int = 0
) -> Ports:
    return replace(ports(scene, transport, clock), limits=Limits(hour, day))


def attempts(scene: Scene) -> list[object]:
    with connection(scene.store) as raw:
        events = schema.delivery_events
        query = sa.select(events.c.at).where(events.c.state == "attempting").order_by(events.c.at)
        return list(raw.scalars(query))


# ── limits ───────────────────────────────────────────────────────────────────────────────


def test_an_hour_takes_so_many_and_the_next_one_goes_on(store: SqlStore) -> None:
    scene = build_scene(store, contacts=7)
    scene.plan()
    clock, transport = StandingClock(), ScriptedTransport()
    first = deliver(limited(scene, transport, clock, hour=3))
    assert (counts(first), first.limit) == ({"accepted": 3}, "at most 3 mails in an hour")
    assert (first.issues[0].state, first.next_due_at) == ("sending", NOW + HOUR)
    clock.at = NOW + HOUR - MINUTE
    waits = deliver(limited(scene, transport, clock, hour=3))
    assert (counts(waits), waits.next_due_at) == ({}, NOW + HOUR)
    clock.at = NOW + HOUR
    assert counts(deliver(limited(scene, transport, clock, hour=3))) == {"accepted": 3}
    clock.at = NOW + 2 * HOUR
    last = deliver(limited(scene, transport, clock, hour=3))
    assert (counts(last), last.limit, last.issues[0].state) == ({"accepted": 1}, "", "sent")
    assert len(transport.sent) == 7


def test_a_limit_that_is_just_reached_ends_nothing(store: SqlStore) -> None:
    scene = build_scene(store, contacts=3)
    scene.plan()
    done = deliver(limited(scene, ScriptedTransport(), StandingClock(), hour=3))
    assert (done.issues[0].state, done.limit, done.next_due_at) == ("sent", "", None)


def noticed(scene: Scene, number: int, outcome: str = "accepted") -> None:
    """So many mails among ourselves came to this, now."""
    with scene.store.write() as tables:
        for one in range(number):
            tables.notices.add(
                Notice("write", f"issue:{one}", "eva", "eva@quaytide.example", "Eva", "x", "x", "x",
                       NOW)
            )  # fmt: skip
        begun = tables.notices.attempting(tables.notices.claim("one", NOW + MINUTE, NOW, 99))
        if outcome != "attempting":
            receipts = [(one, Receipt(one.public_id, outcome)) for one in begun]
            tables.notices.settle(receipts, NOW)


def reviewed(scene: Scene, about: str) -> None:
    """The mail that asks somebody to look has left."""
    with scene.store.write() as tables:
        tables.notices.add(
            Notice("review", about, "liv", "liv@x.example", "Liv", "x", "x", "x", NOW)
        )
        (one,) = tables.notices.attempting(tables.notices.claim("one", NOW + MINUTE, NOW, 1))
        tables.notices.settle([(one, Receipt(one.public_id, "accepted"))], NOW)


@pytest.mark.parametrize("outcome", ["accepted", "refused", "unknown", "attempting"])
def test_mail_among_ourselves_uses_the_limits_up(store: SqlStore, outcome: str) -> None:
    scene = build_scene(store, contacts=4)
    scene.plan()
    noticed(scene, 2, outcome)
    done = deliver(limited(scene, ScriptedTransport(), StandingClock(), hour=3))
    assert (counts(done), done.limit) == ({"accepted": 1}, "at most 3 mails in an hour")


def test_after_an_hour_it_counts_no_more_and_before_it_says_when(store: SqlStore) -> None:
    scene = build_scene(store, contacts=4)
    scene.plan()
    noticed(scene, 3)
    clock, transport = StandingClock(), ScriptedTransport()
    waits = deliver(limited(scene, transport, clock, hour=3))
    assert (counts(waits), waits.next_due_at) == ({}, NOW + HOUR)
    clock.at = NOW + HOUR
    assert counts(deliver(limited(scene, transport, clock, hour=3))) == {"accepted": 3}


def test_one_that_was_put_off_has_used_up_nothing(store: SqlStore) -> None:
    scene = build_scene(store, contacts=3)
    scene.plan()
    noticed(scene, 3, "deferred")
    done = deliver(limited(scene, ScriptedTransport(), StandingClock(), hour=3))
    assert counts(done) == {"accepted": 3}


def test_a_day_holds_beside_an_hour(store: SqlStore) -> None:
    scene = build_scene(store, contacts=6)
    scene.plan()
    clock, transport = StandingClock(), ScriptedTransport()
    for _ in range(3):
        done = deliver(limited(scene, transport, clock, hour=2, day=4))
        clock.at += HOUR
    assert len(transport.sent) == 4
    assert (done.limit, done.next_due_at) == ("at most 4 mails in 24 hours", NOW + DAY)


def test_an_issue_that_no_limit_lets_begin_stays_as_it_is(store: SqlStore) -> None:
    scene = build_scene(store, contacts=2)
    scene.plan()
    with connection(store) as raw:
        first = raw.scalar(sa.select(sa.func.min(schema.deliveries.c.id)))
        event = {"delivery_id": first, "state": "attempting", "detail": "", "at": NOW - MINUTE}
        raw.execute(sa.insert(schema.delivery_events), event)
    done = deliver(limited(scene, ScriptedTransport(), StandingClock(), hour=1))
    assert done.issues[0].state == "scheduled"
    assert done.issues[0].reason == "it waits: at most 1 mail in an hour"


def test_the_limit_is_told_whatever_is_closed_after_it(store: SqlStore) -> None:
    scene = build_scene(store, contacts=3)
    scene.plan()
    later = NOW + MINUTE
    with store.write() as tables:  # its last copy has settled, and nobody lived to close it
        over = tables.letters.open_issue(
            scene.issue.newsletter_key,
            Beat(date(2027, 3, 15), later, date(2027, 3, 15)),
            cut_off_at=later,
            deadline_at=later,
            subject="Over",
            now=NOW,
        )
        tables.letters.set_state(over.id, "sending")
    done = deliver(limited(scene, ScriptedTransport(), StandingClock(later), hour=2))
    assert [issue.state for issue in done.issues] == ["sending", "missed"]
    assert done.limit == "at most 2 mails in an hour"


def test_what_did_not_leave_takes_no_room(store: SqlStore) -> None:
    """A relay that is down for an hour must not use the hour up."""
    scene = build_scene(store, contacts=3)
    scene.plan()

    class Away(ScriptedTransport):
        def send(
            self, envelopes: Iterable[Envelope], batch: Batch | None = None
        ) -> Iterator[Receipt]:
            raise Down("the relay is away")

    for _ in range(3):
        with pytest.raises(Down):
            deliver(limited(scene, Away(), StandingClock(), hour=3))
    assert scene.states() == {"planned": 3}
    done = deliver(limited(scene, ScriptedTransport(), StandingClock(), hour=3))
    assert counts(done) == {"accepted": 3}


@settings(max_examples=12)
@given(st.data())
def test_no_window_ever_holds_more_than_the_limit(data: st.DataObject) -> None:
    """Two senders, any chunks, any pauses between their runs."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/asterism.db"
        migrate(url)
        store = SqlStore(url, SECRET)
        scene = build_scene(store, contacts=12)
        scene.plan()
        clock, transport = StandingClock(), ScriptedTransport(*["deferred"] * 3)
        for _ in range(data.draw(st.integers(2, 6), "runs")):
            chunk = data.draw(st.integers(1, 5), "chunk")
            deliver(limited(scene, transport, clock, hour=2, day=5), chunk=chunk)
            clock.at += data.draw(st.sampled_from([MINUTE, HOUR / 2, HOUR, 7 * HOUR]), "pause")
        began = attempts(scene)
        assert all(later - first >= HOUR for first, later in zip(began, began[2:], strict=False))
        assert all(later - first >= DAY for first, later in zip(began, began[5:], strict=False))
        assert all(first <= later for first, later in pairwise(began))
        store.close()


def test_two_senders_share_one_limit(store: SqlStore) -> None:
    """Each claims as many as are left; whoever begins second gives back what is too much."""
    scene = build_scene(store, contacts=8)
    scene.plan()

    class Interrupted(ScriptedTransport):
        """While it moves its first copy another sender runs."""

        def send(
            self, envelopes: Iterable[Envelope], batch: Batch | None = None
        ) -> Iterator[Receipt]:
            if not self.sent:
                deliver(limited(scene, other, StandingClock(), hour=5), chunk=3)
            yield from super().send(envelopes)

    transport, other = Interrupted(), ScriptedTransport()
    deliver(limited(scene, transport, StandingClock(), hour=5), chunk=2)
    assert (len(transport.sent), len(other.sent)) == (2, 3)
    assert scene.states() == {"accepted": 5, "planned": 3}


def test_a_claim_that_another_sender_overtook_is_given_back(store: SqlStore) -> None:
    """Between a claim and its attempt somebody else used the hour up."""
    scene = build_scene(store, contacts=4)
    scene.plan()

    class Slow(ScriptedTransport):
        def open_batch(self) -> Batch | None:
            if not other.sent:
                deliver(limited(scene, other, StandingClock(), hour=2), chunk=2)
            return None

    transport, other = Slow(), ScriptedTransport()
    done = deliver(limited(scene, transport, StandingClock(), hour=2), chunk=2)
    assert (len(other.sent), len(transport.sent)) == (2, 0)
    assert scene.states() == {"accepted": 2, "planned": 2}
    assert done.limit == "at most 2 mails in an hour"


# ── leases, and a slow relay ─────────────────────────────────────────────────────────────


class SlowTransport(ScriptedTransport):
    """Each copy takes a minute and a half by the clock; in between somebody looks around."""

    def __init__(self, clock: StandingClock, look: object = None) -> None:
        super().__init__()
        self.clock, self.look = clock, look

    def send(self, envelopes: Iterable[Envelope], batch: Batch | None = None) -> Iterator[Receipt]:
        for receipt in super().send(envelopes):
            self.clock.at += timedelta(seconds=90)
            if callable(self.look):
                self.look()
            yield receipt


def test_a_slow_relay_never_lets_its_own_lease_run_out(store: SqlStore) -> None:
    scene = build_scene(store, contacts=10)
    scene.plan()
    clock = StandingClock()
    nosy = ScriptedTransport()
    seen: list[Delivered] = []
    slow = SlowTransport(clock, lambda: seen.append(deliver(ports(scene, nosy, clock))))
    done = deliver(ports(scene, slow, clock), chunk=10)
    assert counts(done) == {"accepted": 10}
    assert not nosy.sent
    assert sum(one.settled_doubts for one in seen) == 0
    assert len(slow.sent) == 10


def test_receipts_are_written_as_they_come(store: SqlStore) -> None:
    scene = build_scene(store, contacts=4)
    scene.plan()
    clock = StandingClock()
    states: list[dict[str, int]] = []
    slow = SlowTransport(clock, lambda: states.append(scene.states()))
    deliver(ports(scene, slow, clock), chunk=4)
    assert states[0] == {"attempting": 4}
    assert states[-1] == {"accepted": 3, "attempting": 1}


def test_copies_that_somebody_took_over_are_not_sent_any_more(store: SqlStore) -> None:
    scene = build_scene(store, contacts=4)
    scene.plan()
    clock = StandingClock()

    def take_over() -> None:
        if len(slow.sent) == 1:
            with connection(store) as raw:
                ours = schema.deliveries.c.state == "attempting"
                raw.execute(
                    sa.update(schema.deliveries)
                    .where(ours, schema.deliveries.c.contact_id == scene.contact_ids[3])
                    .values(fence=schema.deliveries.c.fence + 1)
                )

    slow = SlowTransport(clock, take_over)
    done = deliver(ports(scene, slow, clock), chunk=4)
    assert len(slow.sent) == 3
    assert counts(done) == {"accepted": 3}
    assert scene.states() == {"accepted": 3, "attempting": 1}


def test_receipts_may_come_in_any_order_and_one_that_is_missing_is_a_doubt(
    store: SqlStore,
) -> None:
    scene = build_scene(store, contacts=5)
    scene.plan()

    class Careless(ScriptedTransport):
        def send(
            self, envelopes: Iterable[Envelope], batch: Batch | None = None
        ) -> Iterator[Receipt]:
            receipts = list(super().send(envelopes))
            yield Receipt("nobodynobodynobodynobodyno", "accepted")
            yield from reversed(receipts[1:])
            yield receipts[1]  # once more

    done = deliver(ports(scene, Careless()))
    assert counts(done) == {"accepted": 4, "unknown": 1}
    (unknown,) = (d for d in copies_of(scene) if d.state == "unknown")
    assert unknown.reason == "the transport said nothing of it"


def copies_of(scene: Scene) -> list:  # type: ignore[type-arg]
    with scene.store.read() as tables:
        return list(tables.deliveries.of_issue(scene.issue.id))


def test_no_lease_is_so_long_that_it_counts_as_over(store: SqlStore) -> None:
    scene = build_scene(store, contacts=2)
    scene.plan()
    clock, nosy = StandingClock(), ScriptedTransport()
    slow = SlowTransport(clock, lambda: deliver(ports(scene, nosy, clock)))
    deliver(ports(scene, slow, clock), lease_s=100_000)
    assert (len(slow.sent), nosy.sent) == (2, [])


# ── asked to stop ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("chunk", [2, 20])
def test_who_is_asked_to_stop_finishes_what_is_on_its_way(store: SqlStore, chunk: int) -> None:
    scene = build_scene(store, contacts=6)
    scene.plan()
    transport = ScriptedTransport()
    asked = replace(ports(scene, transport), stopping=lambda: len(transport.sent) >= 3)
    done = deliver(asked, chunk=chunk)
    assert done.stopped
    assert 3 <= len(transport.sent) < 6
    assert transport.finished == 1
    assert scene.states() == {
        "accepted": len(transport.sent), "planned": 6 - len(transport.sent)
    }  # fmt: skip
    went_on = deliver(ports(scene, transport))
    assert (went_on.issues[0].state, went_on.stopped) == ("sent", False)
    assert len({one.recipient for one in transport.sent}) == len(transport.sent) == 6


def test_who_is_asked_to_stop_at_once_begins_nothing(store: SqlStore) -> None:
    scene = build_scene(store)
    scene.plan()
    transport = ScriptedTransport()
    done = deliver(replace(ports(scene, transport), stopping=lambda: True))
    assert (done.issues, done.stopped, done.next_due_at) == ((), True, NOW)
    assert scene.states() == {"planned": 3}


# ── clocks that jump ─────────────────────────────────────────────────────────────────────


def one_leaves(scene: Scene) -> ScriptedTransport:
    """What has begun is finished, however late by a wrong clock."""
    transport = ScriptedTransport()
    deliver(replace(ports(scene, transport), stopping=lambda: bool(transport.sent)), chunk=1)
    assert (len(transport.sent), scene.states()["accepted"]) == (1, 1)
    return transport


@pytest.mark.parametrize("jump", [HOUR, timedelta(days=3)])
def test_a_clock_that_was_set_back_leaves_nobody_waiting(store: SqlStore, jump: timedelta) -> None:
    """Leases and pauses from the time that never was count as over, and nothing doubles."""
    scene = build_scene(store, contacts=5)
    scene.plan()
    first = one_leaves(scene)
    ahead, transport = StandingClock(NOW + jump), ScriptedTransport("deferred", "accepted", "dies")
    with pytest.raises(SystemExit):
        deliver(ports(scene, transport, ahead), chunk=1)
    assert scene.states() == {"deferred": 1, "accepted": 2, "attempting": 1, "planned": 1}
    back = ScriptedTransport(remembers=True)
    done = deliver(ports(scene, back, StandingClock(NOW)))
    assert done.settled_doubts == 1
    sent = [one.recipient for one in [*first.sent, *transport.sent[1:], *back.sent]]
    if jump > DAY:
        assert done.issues[0].state == "sent"
        assert len(sent) == len(set(sent)) == 5
    else:
        assert len(sent) == len(set(sent)) == 4
        assert done.next_due_at == NOW + jump + timedelta(minutes=5)


def test_a_clock_that_leaps_ahead_ends_leases_and_doubles_nothing(store: SqlStore) -> None:
    scene = build_scene(store, contacts=3)
    scene.plan()
    with pytest.raises(SystemExit):
        deliver(ports(scene, ScriptedTransport("accepted", "dies")))
    clock = StandingClock(NOW + timedelta(days=3))
    done = deliver(ports(scene, transport := ScriptedTransport(), clock))
    assert (done.settled_doubts, transport.sent) == (3, [])
    assert scene.states() == {"unknown": 3}


def test_attempts_that_a_wrong_clock_stamped_hold_for_a_day_at_most(store: SqlStore) -> None:
    scene = build_scene(store, contacts=5)
    scene.plan()
    one_leaves(scene)
    ahead = StandingClock(NOW + timedelta(days=3))
    deliver(limited(scene, ScriptedTransport(), ahead, day=2))
    assert scene.states() == {"accepted": 3, "planned": 2}
    done = deliver(limited(scene, ScriptedTransport(), StandingClock(NOW), day=3))
    assert counts(done) == {"accepted": 2}


# ── what must be in order first ──────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("firm", "words"),
    [
        ({"base_url": "http://letters.quaytide.example"}, "is not https"),
        ({"postal_address": " "}, "no postal address"),
    ],
)
def test_nothing_leaves_while_the_firm_is_not_in_order(
    store: SqlStore, firm: dict[str, str], words: str
) -> None:
    scene = build_scene(store)
    scene.plan()
    catalog = replace(CATALOG, firm=replace(FIRM, **firm))
    with pytest.raises(BadInput, match=words) as refused:
        deliver(replace(ports(scene, ScriptedTransport()), catalog=catalog))
    assert "firm.yaml" in refused.value.hint
    assert scene.states() == {"planned": 3}


def test_a_review_is_given_in_full(store: SqlStore) -> None:
    scene = build_scene(store)
    scene.plan()
    until = NOW + timedelta(hours=30)
    with connection(store) as raw:
        raw.execute(sa.update(schema.issues).values(review_until=until))
    transport = ScriptedTransport()
    unasked = deliver(ports(scene, transport, StandingClock(until)))
    assert unasked.issues == ()  # no mail has asked anybody to look
    reviewed(scene, f"issue:{scene.issue.public_id}")
    early = deliver(ports(scene, transport, StandingClock(until - MINUTE)))
    assert early == Delivered(next_due_at=until)
    done = deliver(ports(scene, transport, StandingClock(until)))  # late by the beat, not by it
    assert counts(done) == {"accepted": 3}
