"""What a restore carries over from the rows that it replaces."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from pipeline.model.log import Operation
from pipeline.model.people import EVERYWHERE
from pipeline.stores import schema
from pipeline.stores.carrying import Carried, InForce, carry, in_force
from pipeline.stores.sql import SqlStore
from tests.builders import NOW, SECRET, WEEKLY
from tests.ledger_scene import Scene, build_scene, connection

LATER = NOW + timedelta(hours=1)
TODAY = NOW.date()
NOTHING = InForce((), (), (), (), ())


def kept(scene: Scene) -> InForce:
    with connection(scene.store) as raw:
        return in_force(raw, TODAY)


def bring(scene: Scene, old: InForce) -> Carried:
    with connection(scene.store) as raw:
        return carry(raw, SECRET, old, LATER)


def emptied(scene: Scene) -> None:
    """As if nobody had done anything of it when the backup was taken."""
    with connection(scene.store) as raw:
        for table in (schema.suppressions, schema.pauses, schema.holds, schema.subscriptions,
                      schema.operations):  # fmt: skip
            raw.execute(sa.delete(table))


def refuse(scene: Scene, contact_id: int, *, wanted: bool = False) -> None:
    with connection(scene.store) as raw:
        weekly = raw.scalar(sa.select(sa.func.min(schema.newsletters.c.id)))
        raw.execute(
            sa.insert(schema.subscriptions).values(
                contact_id=contact_id, newsletter_id=weekly, subscribed=wanted, since=NOW
            )
        )


def test_nothing_in_force_carries_nothing(store: SqlStore) -> None:
    scene = build_scene(store)
    assert kept(scene) == NOTHING
    assert bring(scene, NOTHING) == Carried()


@pytest.mark.parametrize("wanted", [None, True])
def test_what_keeps_people_back_is_carried_once(store: SqlStore, wanted: bool | None) -> None:
    scene = build_scene(store)
    one, two, three = scene.contact_ids
    with store.write() as tables:
        tables.people.suppress(one, EVERYWHERE, "left", NOW, "one click")
        tables.people.pause(one, TODAY + timedelta(days=9), "tom", NOW)
        tables.people.hold(two, "tom", "he calls first", NOW)
        tables.people.pause(three, TODAY, "tom", NOW)  # it is over today
    refuse(scene, three)
    old = kept(scene)
    emptied(scene)
    if wanted is not None:  # three still wanted it when the backup was taken
        refuse(scene, three, wanted=wanted)
    assert bring(scene, old) == Carried(endings=1, kept_back=3)
    assert kept(scene) == old
    assert bring(scene, old) == Carried(), "again is the same"
    with store.read() as tables:
        assert tables.people.standing(one).paused_until == TODAY + timedelta(days=9)
        assert tables.people.standing(two).hold == "he calls first"
        assert tables.people.standing(three).subscriptions == ((WEEKLY.key, False),)


@pytest.mark.parametrize(("days", "until"), [(3, 9), (20, 20)])
def test_of_two_pauses_the_longer_one_holds(store: SqlStore, days: int, until: int) -> None:
    scene = build_scene(store)
    one = scene.contact_ids[0]
    with store.write() as tables:
        tables.people.pause(one, TODAY + timedelta(days=9), "tom", NOW)
    old = kept(scene)
    emptied(scene)
    with store.write() as tables:
        tables.people.pause(one, TODAY + timedelta(days=days), "eva", NOW)
    bring(scene, old)
    assert [row["until_on"] for row in kept(scene).pauses] == [TODAY + timedelta(days=until)]


def test_whoever_the_backup_does_not_know_is_only_kept_from_coming_back(store: SqlStore) -> None:
    scene = build_scene(store)
    stranger = {"address_hash": "f" * 64, "at": NOW, "reason": "left"}
    old = InForce(
        endings=[{**stranger, "scope": EVERYWHERE, "detail": ""}],
        pauses=[{**stranger, "until_on": date(2030, 1, 1), "actor": "tom"}],
        holds=[{**stranger, "staff_key": "tom"}],
        refusals=[{**stranger, "key": WEEKLY.key, "since": NOW}],
        stops=[{"public_id": "a" * 26, "reason": "no", "verb": None}],
    )
    assert bring(scene, old) == Carried(endings=1)


# ── issues ───────────────────────────────────────────────────────────────────────────────


def stopped(scene: Scene) -> InForce:
    """In force when somebody had stopped the issue, and the rows from before that."""
    subject = f"issue:{scene.issue.public_id}"
    with scene.store.write() as tables:
        tables.letters.set_state(scene.issue.id, "stopped", reason="a lawyer said no")
        tables.log.add(Operation("liv", "stop", subject, NOW, {"state": "scheduled"}, {"held": 3}))
    old = kept(scene)
    with scene.store.write() as tables:
        tables.letters.set_state(scene.issue.id, "scheduled")
    emptied(scene)
    return old


def test_a_stopped_issue_stays_stopped_with_its_log(store: SqlStore) -> None:
    scene = build_scene(store)
    scene.plan()
    old = stopped(scene)
    assert bring(scene, old).stops == (scene.issue.ref,)
    assert scene.states() == {"withheld": 3}
    with store.read() as tables:
        issue = tables.letters.by_id(scene.issue.id)
        (step,) = tables.log.of(f"issue:{issue.public_id}")
        assert not tables.letters.variants(issue.id, "public")
    assert (issue.state, issue.reason) == ("stopped", "a lawyer said no")
    assert (step.actor, step.verb, step.at, step.after) == ("liv", "stop", NOW, {"held": 3})
    assert bring(scene, old).stops == (), "again is the same"


def test_an_issue_of_which_letters_are_out_is_left_as_the_backup_has_it(store: SqlStore) -> None:
    scene = build_scene(store)
    scene.plan()
    old = stopped(scene)
    with connection(store) as raw:
        first = sa.select(sa.func.min(schema.deliveries.c.id)).scalar_subquery()
        raw.execute(
            sa.update(schema.deliveries)
            .where(schema.deliveries.c.id == first)
            .values(state="accepted")
        )
    assert bring(scene, old).stops == ()
    assert scene.states() == {"accepted": 1, "planned": 2}
