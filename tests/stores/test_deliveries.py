"""The ledger on real databases: planned once, claimed by one, settled by who holds it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
import sqlalchemy as sa

from pipeline.model.letters import Delivery, PlannedDelivery, Receipt
from pipeline.model.people import EVERYWHERE
from pipeline.stores import schema
from pipeline.stores.people import address_hash
from pipeline.stores.sql import SqlStore
from tests.builders import NOW, WEEKLY
from tests.ledger_scene import Scene, address, build_scene, connection

LEASE = timedelta(minutes=1)


def claim(
    scene: Scene, owner: str = "one", limit: int = 100, at: datetime = NOW
) -> Sequence[Delivery]:
    with scene.store.write() as tables:
        return tables.deliveries.claim(scene.issue.id, owner, at + LEASE, at, limit)


def begin(scene: Scene, given: Sequence[Delivery], at: datetime = NOW) -> Sequence[Delivery]:
    named = [replace(one, message_id=f"<{one.public_id}@quaytide.example>") for one in given]
    with scene.store.write() as tables:
        return tables.deliveries.attempting(named, at)


def settle(
    scene: Scene, given: Sequence[Delivery], outcome: str = "accepted", at: datetime = NOW
) -> dict[str, int]:
    with scene.store.write() as tables:
        receipts = [(one, Receipt(one.public_id, outcome, "as it was")) for one in given]
        return dict(tables.deliveries.settle(receipts, at))


def send_all(scene: Scene) -> None:
    settle(scene, begin(scene, claim(scene)))


def told(store: SqlStore) -> list[tuple[int | None, int | None, str | None]]:
    with connection(store) as raw:
        query = sa.select(
            schema.told.c.contact_id, schema.told.c.story_id, schema.told.c.service_key
        )
        return sorted(map(tuple, raw.execute(query)), key=str)


def history(scene: Scene, delivery: Delivery) -> list[str]:
    with scene.store.read() as tables:
        return [state for _, state, _ in tables.deliveries.history(delivery.id)]


def only(scene: Scene, number: int = 0) -> Delivery:
    with scene.store.read() as tables:
        found = tables.deliveries.by_public_id(scene.row(number).public_id)
    assert found is not None
    return found


# ── plan ─────────────────────────────────────────────────────────────────────────────────


def test_planning_again_changes_nothing(store: SqlStore) -> None:
    scene = build_scene(store)
    assert scene.plan() == 3
    before = told(store)
    assert scene.plan(at=NOW + LEASE) == 0
    assert scene.states() == {"planned": 3}
    assert told(store) == before
    first, second = scene.story_ids
    me = scene.contact_ids[0]
    assert [row for row in before if row[0] == me] == sorted(
        [(me, first, None), (me, second, None), (me, None, "berth-audit")], key=str
    )
    planned = only(scene)
    assert planned.public_id == scene.row(0).public_id
    assert planned.merge["greeting"] == "Good morning, Reader 0."
    assert planned.due_at == scene.issue.due_at
    assert history(scene, planned) == ["planned"]


def test_more_than_one_chunk(store: SqlStore) -> None:
    scene = build_scene(store, contacts=1201)
    assert scene.plan() == 1201
    assert scene.plan() == 0
    with store.read() as tables:
        listed = [delivery.contact_id for delivery in tables.deliveries.of_issue(scene.issue.id)]
    assert listed == list(scene.contact_ids)


def test_a_stopped_approval_is_planned_again_with_other_contents(store: SqlStore) -> None:
    scene = build_scene(store)
    scene.plan()
    send_all_but_last = claim(scene, limit=2)
    settle(scene, begin(scene, send_all_but_last))
    with store.write() as tables:
        assert tables.deliveries.withhold_planned(scene.issue.id, "stopped", NOW) == 1
    assert scene.states() == {"accepted": 2, "withheld": 1}

    again = [
        replace(row, variant_key="less", merge={**row.merge, "greeting": "Good evening."})
        for row in scene.rows()
    ]
    assert scene.plan(again) == 1
    assert scene.states() == {"accepted": 2, "planned": 1}
    sent, revived = only(scene, 0), only(scene, 2)
    assert sent.variant_id == scene.variant_ids["whole"]
    assert sent.merge["greeting"] == "Good morning, Reader 0."
    assert revived.variant_id == scene.variant_ids["less"]
    assert revived.merge["greeting"] == "Good evening."
    assert revived.public_id == scene.row(2).public_id
    assert history(scene, revived) == ["planned", "withheld", "planned"]
    me = scene.contact_ids[2]
    assert [row for row in told(store) if row[0] == me] == [(me, scene.story_ids[0], None)]


def test_an_address_gets_one_copy_however_it_is_written(store: SqlStore) -> None:
    scene = build_scene(store)
    rows = [scene.row(0), scene.row(1, address=address(0).upper()), scene.row(2)]
    assert scene.plan(rows) == 2
    assert scene.states() == {"planned": 2, "withheld": 1}
    assert only(scene, 1).reason == "same_address"
    assert scene.plan(rows) == 0
    assert scene.states() == {"planned": 2, "withheld": 1}


def test_dots_and_plus_signs_tell_addresses_apart(store: SqlStore) -> None:
    scene = build_scene(store)
    near = ["a.b@northline.example", "ab@northline.example", "ab+1@northline.example"]
    assert scene.plan([scene.row(n, address=one) for n, one in enumerate(near)]) == 3


def test_two_readers_swap_their_addresses_before_the_second_approval(store: SqlStore) -> None:
    scene = build_scene(store, contacts=2)
    scene.plan()
    with store.write() as tables:
        tables.deliveries.withhold_planned(scene.issue.id, "stopped", NOW)
    assert scene.plan([scene.row(0, address=address(1)), scene.row(1, address=address(0))]) == 2
    assert (only(scene, 0).address, only(scene, 1).address) == (address(1), address(0))
    assert scene.states() == {"planned": 2}


def test_an_address_that_has_its_copy_gets_no_second_through_somebody_else(
    store: SqlStore,
) -> None:
    scene = build_scene(store, contacts=2)
    scene.plan([scene.row(0)])
    send_all(scene)
    assert scene.plan([scene.row(1, address=address(0))]) == 0
    assert scene.states() == {"accepted": 1, "withheld": 1}


def test_an_unsent_copy_gives_its_address_up(store: SqlStore) -> None:
    scene = build_scene(store, contacts=2)
    scene.plan([scene.row(0)])
    assert scene.plan([scene.row(1, address=address(0))]) == 1
    assert only(scene, 0).state == "withheld"
    assert only(scene, 1).state == "planned"


def test_internal_copies_stand_beside_letters(store: SqlStore) -> None:
    scene = build_scene(store, contacts=1)
    staff = PlannedDelivery(
        "sales", address(0), "Tom Reyes", {}, "less", staff_key="tom", due_at=NOW
    )
    assert scene.plan([scene.row(0), staff]) == 2
    send_all(scene)
    with store.read() as tables:
        assert tables.deliveries.counts(scene.issue.id) == {
            ("letter", "accepted"): 1,
            ("sales", "accepted"): 1,
        }
    with connection(store) as raw:  # an internal mail is no touch, and tells no contact
        assert raw.scalars(sa.select(schema.touches.c.contact_id)).all() == [scene.contact_ids[0]]
        assert set(raw.scalars(sa.select(schema.told.c.contact_id))) == {scene.contact_ids[0]}


# ── claim ────────────────────────────────────────────────────────────────────────────────


def test_only_what_is_due_is_claimed_and_only_once(store: SqlStore) -> None:
    scene = build_scene(store)
    later = NOW + timedelta(hours=2)
    scene.plan([scene.row(0), scene.row(1), scene.row(2, due_at=later)])
    first = claim(scene, limit=1)
    second = claim(scene, owner="two")
    assert [one.address for one in (*first, *second)] == [address(0), address(1)]
    assert claim(scene) == ()
    with store.read() as tables:
        assert tables.deliveries.due(NOW) == []
        assert tables.deliveries.next_due(NOW) == NOW + LEASE
        assert tables.deliveries.holders() == ["one", "two"]
    assert [one.address for one in claim(scene, at=later)] == [address(0), address(1), address(2)]


@pytest.mark.parametrize("state", ["draft", "approved", "stopped", "sent", "cancelled"])
def test_an_issue_that_does_not_go_gives_nothing_out(store: SqlStore, state: str) -> None:
    scene = build_scene(store, state=state)
    scene.plan()
    with store.read() as tables:
        assert tables.deliveries.due(NOW) == []
        assert tables.deliveries.next_due(NOW) is None
    assert claim(scene) == ()
    assert scene.states() == {"planned": 3}


def test_a_lease_that_ran_out_is_taken_over_and_the_late_owner_can_do_nothing(
    store: SqlStore,
) -> None:
    scene = build_scene(store, contacts=1)
    scene.plan()
    (late,) = claim(scene, "late")
    (other,) = claim(scene, "other", at=NOW + LEASE)
    assert other.fence == late.fence + 1
    assert begin(scene, [late]) == []
    begun = begin(scene, [other])
    assert settle(scene, [replace(late, state="attempting")]) == {"stale": 1}
    assert settle(scene, begun) == {"accepted": 1}


def test_a_claim_can_be_ended_when_its_holder_is_known_to_be_dead(store: SqlStore) -> None:
    scene = build_scene(store)
    scene.plan()
    claim(scene, "dead", limit=1)
    claim(scene, "alive", limit=1)
    with store.write() as tables:
        assert tables.deliveries.end_leases("dead", NOW) == 1
    assert [one.address for one in claim(scene)] == [address(0), address(2)]


def test_two_owners_at_once_never_get_the_same_row(store: SqlStore) -> None:
    scene = build_scene(store, contacts=240)
    scene.plan()
    got: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    start = threading.Barrier(3)

    def take(owner: str) -> None:
        start.wait()
        while claimed := claim(scene, owner, limit=7):
            got[owner] += [one.id for one in claimed]

    threads = [threading.Thread(target=take, args=[owner]) for owner in got]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together = [id_ for ids in got.values() for id_ in ids]
    assert len(together) == len(set(together)) == 240


def _suppress(scope: str, reason: str = "left"):  # type: ignore[no-untyped-def]
    def act(scene: Scene, contact_id: int) -> None:
        with scene.store.write() as tables:
            tables.people.suppress(contact_id, scope, reason, NOW)

    return act


def _set_contact(**values: object):  # type: ignore[no-untyped-def]
    def act(scene: Scene, contact_id: int) -> None:
        with connection(scene.store) as raw:
            raw.execute(
                sa.update(schema.contacts)
                .where(schema.contacts.c.id == contact_id)
                .values(**values)
            )

    return act


def _pause(scene: Scene, contact_id: int) -> None:
    with scene.store.write() as tables:
        tables.people.pause(contact_id, date(2027, 4, 1), "tom", NOW)


def _hold(scene: Scene, contact_id: int) -> None:
    with scene.store.write() as tables:
        tables.people.hold(contact_id, "tom", "in the middle of a complaint", NOW)


def _move_to_a_rival(scene: Scene, contact_id: int) -> None:
    with connection(scene.store) as raw:
        rival = raw.scalar(
            sa.insert(schema.accounts)
            .from_select(
                ["constellation_id", "public_id", "key", "name", "domain", "relationship",
                 "owner_key"],
                sa.select(
                    schema.accounts.c.constellation_id, sa.literal(schema.new_public_id()),
                    sa.literal("blue-strait"), sa.literal("Blue Strait"), sa.literal(""),
                    sa.literal("prospect"), sa.literal("tom"),
                ),
            )
            .returning(schema.accounts.c.id)
        )  # fmt: skip
    _set_contact(account_id=rival)(scene, contact_id)


def _unsubscribe(scene: Scene, contact_id: int) -> None:
    with connection(scene.store) as raw:
        newsletter = raw.scalar(
            sa.select(schema.newsletters.c.id).where(schema.newsletters.c.key == WEEKLY.key)
        )
        raw.execute(
            sa.insert(schema.subscriptions).values(
                contact_id=contact_id, newsletter_id=newsletter, subscribed=False, since=NOW
            )
        )


NOT_TO_BE_MAILED = pytest.mark.parametrize(
    ("happens", "reason"),
    [
        (_suppress(WEEKLY.key), "suppressed: left"),
        (_suppress(EVERYWHERE, "complaint"), "suppressed: complaint"),
        (_set_contact(retired_at=NOW), "retired"),
        (_set_contact(address=""), "erased"),
        (_set_contact(invalid="bounced"), "invalid_address: bounced"),
        (_pause, "paused"),
        (_hold, "held"),
        (_unsubscribe, "not_subscribed"),
        (_move_to_a_rival, "moved to another account"),
    ],
)


@NOT_TO_BE_MAILED
def test_who_must_not_be_mailed_is_withheld_in_the_very_next_claim(
    store: SqlStore,
    happens,
    reason: str,  # type: ignore[no-untyped-def]
) -> None:
    scene = build_scene(store)
    scene.plan()
    happens(scene, scene.contact_ids[1])
    assert [one.address for one in claim(scene)] == [address(0), address(2)]
    kept = only(scene, 1)
    assert (kept.state, kept.reason) == ("withheld", reason)
    assert history(scene, kept) == ["planned", "withheld"]


@NOT_TO_BE_MAILED
def test_who_must_not_be_mailed_any_more_is_withheld_before_a_claimed_copy_leaves(
    store: SqlStore,
    happens,
    reason: str,  # type: ignore[no-untyped-def]
) -> None:
    scene = build_scene(store)
    scene.plan()
    claimed = claim(scene)
    happens(scene, scene.contact_ids[1])
    begun = begin(scene, claimed)
    assert [(one.address, one.attempts) for one in begun] == [(address(0), 1), (address(2), 1)]
    kept = only(scene, 1)
    assert (kept.state, kept.reason, kept.attempts) == ("withheld", reason, 0)
    assert history(scene, kept) == ["planned", "withheld"]


def test_another_newsletters_leave_does_not_hold_here(store: SqlStore) -> None:
    scene = build_scene(store, contacts=1)
    scene.plan()
    _suppress("ferry-monthly")(scene, scene.contact_ids[0])
    assert len(claim(scene)) == 1


def test_leaving_holds_though_the_address_changed_since(store: SqlStore) -> None:
    """The row keeps the address of its planning, the suppression that of today."""
    scene = build_scene(store, contacts=1)
    scene.plan()
    with store.write() as tables:
        hashed = address_hash(tables.deliveries._secret, "new@northline.example")
    _set_contact(address="new@northline.example", address_hash=hashed)(scene, scene.contact_ids[0])
    _suppress(WEEKLY.key)(scene, scene.contact_ids[0])
    assert claim(scene) == ()
    assert only(scene).reason == "suppressed: left"


def test_a_retired_account_takes_its_people_with_it(store: SqlStore) -> None:
    scene = build_scene(store, contacts=1)
    scene.plan()
    with connection(store) as raw:
        raw.execute(sa.update(schema.accounts).values(retired_at=NOW))
    assert claim(scene) == ()
    assert only(scene).reason == "retired"


def test_a_chunk_of_only_withheld_rows_does_not_end_the_run(store: SqlStore) -> None:
    scene = build_scene(store, contacts=5)
    scene.plan()
    for contact_id in scene.contact_ids[:4]:
        _suppress(EVERYWHERE)(scene, contact_id)
    assert [one.address for one in claim(scene, limit=2)] == [address(4)]
    assert scene.states() == {"withheld": 4, "claimed": 1}


def test_who_came_back_is_planned_again(store: SqlStore) -> None:
    scene = build_scene(store, contacts=1)
    scene.plan()
    _suppress(WEEKLY.key)(scene, scene.contact_ids[0])
    claim(scene)
    with store.write() as tables:
        tables.people.lift(scene.contact_ids[0], WEEKLY.key, NOW)
    assert scene.plan() == 1
    assert len(claim(scene)) == 1


# ── stop ─────────────────────────────────────────────────────────────────────────────────


def test_stop_reaches_what_is_claimed_but_not_what_has_begun(store: SqlStore) -> None:
    scene = build_scene(store)
    scene.plan()
    first, second = claim(scene, limit=2)
    begun = begin(scene, [first])
    with store.write() as tables:
        assert tables.deliveries.withhold_planned(scene.issue.id, "stopped", NOW) == 2
    assert begin(scene, [second]) == []
    assert settle(scene, begun) == {"accepted": 1}
    assert scene.states() == {"accepted": 1, "withheld": 2}


# ── attempts and what they come to ───────────────────────────────────────────────────────


def test_an_accepted_letter_is_a_touch_and_says_when_its_reader_was_told(store: SqlStore) -> None:
    scene = build_scene(store, contacts=1)
    scene.plan()
    out = NOW + timedelta(seconds=9)
    begun = begin(scene, claim(scene))
    assert settle(scene, begun, at=out) == {"accepted": 1}
    assert settle(scene, begun, at=out) == {"accepted": 1}  # said twice, written once
    done = only(scene)
    assert (done.state, done.settled_at, done.attempts) == ("accepted", out, 1)
    assert done.message_id == f"<{done.public_id}@quaytide.example>"
    assert history(scene, done) == ["planned", "attempting", "accepted"]
    with connection(store) as raw:
        touches = raw.execute(
            sa.select(
                schema.touches.c.contact_id, schema.touches.c.kind, schema.touches.c.delivery_id,
                schema.touches.c.at,
            )
        ).all()  # fmt: skip
        assert [tuple(touch) for touch in touches] == [
            (scene.contact_ids[0], "letter", done.id, out)
        ]
        assert set(raw.scalars(sa.select(schema.told.c.at))) == {out}


def test_a_deferred_copy_comes_back_and_is_given_up_in_the_end(store: SqlStore) -> None:
    scene = build_scene(store, contacts=1)
    scene.plan()
    at = NOW
    for attempt in range(1, 6):
        (begun,) = begin(scene, claim(scene, at=at), at)
        assert begun.attempts == attempt
        counts = settle(scene, [begun], "deferred", at)
        with store.read() as tables:
            due_again = tables.deliveries.next_due(at)
        if attempt < 5:
            assert counts == {"deferred": 1}
            assert due_again is not None
            assert claim(scene, at=due_again - timedelta(seconds=1)) == ()
            at = due_again
    assert counts == {"refused": 1}
    assert only(scene).reason.startswith("put off 5 times")
    assert due_again is None


def test_attempting_rows_are_in_doubt_only_when_the_lease_ran_out(store: SqlStore) -> None:
    scene = build_scene(store)
    scene.plan()
    begun = begin(scene, claim(scene, limit=2))
    with store.write() as tables:
        assert tables.deliveries.take_doubts("two", NOW + LEASE, NOW) == []
        doubts = tables.deliveries.take_doubts("two", NOW + 2 * LEASE, NOW + LEASE)
        assert tables.deliveries.take_doubts("three", NOW + 3 * LEASE, NOW + LEASE) == []
    assert [one.id for one in doubts] == [one.id for one in begun]
    assert settle(scene, begun, at=NOW + LEASE) == {"stale": 2}  # it may be called back just now
    assert [one.address for one in claim(scene, at=NOW + LEASE)] == [address(2)]


def test_whoever_was_slow_still_knows_of_a_copy_that_was_given_up(store: SqlStore) -> None:
    scene = build_scene(store, contacts=1)
    scene.plan()
    begun = begin(scene, claim(scene))
    with store.write() as tables:
        doubts = tables.deliveries.take_doubts("two", NOW + 2 * LEASE, NOW + LEASE)
    settle(scene, doubts, "unknown", at=NOW + LEASE)
    assert settle(scene, begun, at=NOW + LEASE) == {"accepted": 1}
    assert scene.states() == {"accepted": 1}


def test_what_did_not_leave_is_planned_again_and_the_attempt_does_not_count(
    store: SqlStore,
) -> None:
    scene = build_scene(store, contacts=1)
    scene.plan()
    (begun,) = begin(scene, claim(scene))
    with store.write() as tables:
        assert tables.deliveries.give_back([begun], "no room", NOW) == 1
        assert tables.deliveries.give_back([begun], "no room", NOW) == 0
    assert (only(scene).state, only(scene).reason, only(scene).attempts) == (
        "planned", "no room", 0,
    )  # fmt: skip
    assert settle(scene, [begun]) == {"stale": 1}
    (again,) = begin(scene, claim(scene))
    assert (again.attempts, again.reason) == (1, "")


def test_what_did_not_leave_before_a_stop_is_held_back_with_the_others(store: SqlStore) -> None:
    scene = build_scene(store, contacts=1)
    scene.plan()
    (begun,) = begin(scene, claim(scene))
    with store.write() as tables:
        tables.letters.set_state(scene.issue.id, "partly_sent")
        assert tables.deliveries.give_back([begun], "a run died", NOW) == 1
    assert (only(scene).state, only(scene).reason, only(scene).attempts) == (
        "withheld", "stopped", 0,
    )  # fmt: skip


def test_unknown_is_never_claimed_and_news_resolves_it(store: SqlStore) -> None:
    scene = build_scene(store, contacts=1)
    scene.plan()
    settle(scene, begin(scene, claim(scene)), "unknown")
    assert claim(scene, at=NOW + timedelta(days=30)) == ()
    with store.write() as tables:
        public_id = scene.row(0).public_id
        assert tables.deliveries.hear(public_id, "accepted", "event 1", NOW) == "accepted"
        assert tables.deliveries.hear("a" * 26, "accepted", "", NOW) is None
    with connection(store) as raw:
        assert raw.scalar(sa.select(sa.func.count()).select_from(schema.touches)) == 1


def test_news_that_came_before_our_own_receipt_stands(store: SqlStore) -> None:
    scene = build_scene(store, contacts=1)
    scene.plan()
    begun = begin(scene, claim(scene))
    with store.write() as tables:
        tables.deliveries.hear(begun[0].public_id, "delivered", "", NOW)
        tables.deliveries.hear(begun[0].public_id, "accepted", "late", NOW)
    assert settle(scene, begun) == {"delivered": 1}
    assert only(scene).state == "delivered"
    assert history(scene, begun[0]) == ["planned", "attempting", "delivered", "accepted"]
    with connection(store) as raw:
        assert raw.scalar(sa.select(sa.func.count()).select_from(schema.touches)) == 1


def test_a_refused_copy_told_nobody_anything(store: SqlStore) -> None:
    scene = build_scene(store, contacts=1)
    scene.plan()
    with store.read() as tables:
        assert tables.people.told(scene.contact_ids[0])
    settle(scene, begin(scene, claim(scene)), "refused")
    with store.read() as tables:
        assert not tables.people.told(scene.contact_ids[0])
    with connection(store) as raw:
        assert raw.scalar(sa.select(sa.func.count()).select_from(schema.touches)) == 0


def test_an_issue_whose_last_copy_settled_waits_to_be_closed(store: SqlStore) -> None:
    scene = build_scene(store)
    scene.plan()
    send_all(scene)
    with store.read() as tables:
        assert tables.deliveries.due(NOW) == [scene.issue.id]
    with store.write() as tables:
        tables.letters.set_state(scene.issue.id, "sent")
    with store.read() as tables:
        assert tables.deliveries.due(NOW) == []


def test_what_a_contact_had_comes_latest_first(store: SqlStore) -> None:
    scene = build_scene(store, contacts=1)
    scene.plan()
    with store.read() as tables:
        (mine,) = tables.deliveries.of_contact(scene.contact_ids[0])
        assert tables.deliveries.of_contact(scene.contact_ids[0] + 1) == []
    assert (mine.address, mine.purpose) == (address(0), "letter")
