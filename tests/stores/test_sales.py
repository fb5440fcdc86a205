"""The contract of touches and coverage, on both databases."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa

from pipeline.errors import BadInput, Conflict, NotFound
from pipeline.model.sales import AccountCoverage, Touch
from pipeline.stores import schema
from pipeline.stores.sql import SqlStore
from tests.builders import NOW, WEEKLY
from tests.people_scene import bring, put, put_catalog, raw, row

MARCH = datetime(2027, 3, 1, tzinfo=UTC)
APRIL = datetime(2027, 4, 1, tzinfo=UTC)
CALL = Touch("northline", None, "call", NOW, staff_key="tom", minutes=12, note="call in May")


@pytest.fixture(autouse=True)
def rows_of_the_catalog(store: SqlStore) -> None:
    put_catalog(store)


def touch(store: SqlStore, *touches: Touch) -> list[int]:
    with store.write() as tables:
        return [tables.sales.add_touch(one) for one in touches]


def coverage(store: SqlStore) -> dict[str, AccountCoverage]:
    with store.read() as tables:
        return {a.key: a for a in tables.sales.coverage("ferries", MARCH, APRIL)}


def story(store: SqlStore) -> int:
    with raw(store) as connection:
        return put(connection, schema.stories, kind="news", first_at=NOW, last_at=NOW)


def test_a_touch_is_written_whole(store: SqlStore) -> None:
    (ole,) = bring(store, row(2, "ole@northline.example"))
    story_id = story(store)
    (written,) = touch(store, replace(CALL, contact_id=ole, story_id=story_id))
    with raw(store) as connection:
        found = connection.execute(sa.select(schema.touches)).one()
    assert (found.id, found.contact_id, found.kind, found.at) == (written, ole, "call", NOW)
    assert (found.staff_key, found.minutes, found.note, found.story_id) == (
        "tom", 12, "call in May", story_id,
    )  # fmt: skip


def test_what_is_passed_on_by_hand_is_told(store: SqlStore) -> None:
    (ole,) = bring(store, row(2, "ole@northline.example"))
    one, two = story(store), story(store)
    touch(
        store,
        replace(CALL, contact_id=ole, kind="forward", story_id=one),
        replace(CALL, contact_id=ole, kind="forward", story_id=one),
        replace(CALL, contact_id=ole, kind="visit"),
        replace(CALL, kind="forward", story_id=two),  # to the account, to nobody by name
    )
    with store.read() as tables:
        (public_one, _) = (told.public_id for told in tables.stories.by_ids([one, two]))
        assert {(told["story"], told["through"]) for told in tables.people.told(ole)} == {
            (public_one, "forward")
        }


def test_the_same_touch_is_found_for_a_while(store: SqlStore) -> None:
    ole, ada = bring(store, row(2, "ole@northline.example"), row(3, "ada@northline.example"))
    call = replace(CALL, contact_id=ole)
    (written,) = touch(store, call)
    with store.write() as tables:
        found = tables.sales.same_touch
        assert found(call, NOW - timedelta(minutes=1)) == written
        assert found(call, NOW) is None, "it was not logged after that"
        for other in (
            replace(call, contact_id=ada), replace(call, kind="visit"), replace(call, minutes=13),
            replace(call, minutes=None), replace(call, note=""), replace(call, staff_key="liv"),
            replace(call, story_id=1),
        ):  # fmt: skip
            assert found(other, NOW - timedelta(minutes=1)) is None


def test_of_two_presses_at_once_the_second_sees_the_first(store: SqlStore) -> None:
    (ole,) = bring(store, row(2, "ole@northline.example"))
    call = replace(CALL, contact_id=ole)
    start = threading.Barrier(2)
    found: list[bool] = []

    def press() -> None:
        start.wait(60)
        with store.write() as tables:
            there = tables.sales.same_touch(call, NOW - timedelta(minutes=1)) is not None
            if not there:
                tables.sales.add_touch(call)
        found.append(there)

    presses = [threading.Thread(target=press) for _ in range(2)]
    for one in presses:
        one.start()
    for one in presses:
        one.join(60)
    assert sorted(found) == [False, True]
    assert coverage(store)["northline"].by_hand == 1


def test_a_touch_is_taken_back_with_what_it_told(store: SqlStore) -> None:
    (ole,) = bring(store, row(2, "ole@northline.example"))
    forward = replace(CALL, contact_id=ole, kind="forward", story_id=story(store))
    first, second = touch(store, forward, replace(forward, note="again"))
    with store.write() as tables:
        assert tables.sales.take_back(first) == forward
        assert len(tables.people.told(ole)) == 1
        tables.sales.take_back(second)
        assert tables.people.told(ole) == ()
    assert coverage(store)["northline"].by_hand == 0
    with pytest.raises(Conflict, match="already"), store.write() as tables:
        tables.sales.take_back(first)


def test_a_letter_is_told_by_its_copy_and_not_by_its_touch(store: SqlStore) -> None:
    (ole,) = bring(store, row(2, "ole@northline.example"))
    touch(store, replace(CALL, contact_id=ole, kind="letter", story_id=story(store)))
    with store.read() as tables:
        assert tables.people.told(ole) == ()


def test_a_touch_needs_an_account_of_ours_and_its_own_contact(store: SqlStore) -> None:
    (ole,) = bring(store, row(2, "ole@northline.example"))
    with pytest.raises(NotFound, match="nowhere-lines"):
        touch(store, replace(CALL, account_key="nowhere-lines"))
    with pytest.raises(BadInput, match="not at blue-strait"):
        touch(store, replace(CALL, account_key="blue-strait", contact_id=ole))
    with pytest.raises(BadInput):
        touch(store, replace(CALL, contact_id=99))
    assert not any(a.by_hand for a in coverage(store).values())


def test_a_touch_of_a_story_that_is_not_there_is_refused(store: SqlStore) -> None:
    with pytest.raises(Conflict):
        touch(store, replace(CALL, story_id=99))


def test_coverage_names_every_account_and_counts_apart(store: SqlStore) -> None:
    letter = replace(CALL, kind="letter", minutes=None)
    touch(store, letter, letter, CALL, replace(CALL, kind="note", account_key="blue-strait"))
    found = coverage(store)
    assert list(found) == ["blue-strait", "northline", "skagen-ruter"]  # by name
    assert found["northline"] == AccountCoverage("northline", "Northline", "prospect", "tom", 2, 1)
    assert found["blue-strait"].by_hand == 1
    assert (found["skagen-ruter"].by_machine, found["skagen-ruter"].by_hand) == (0, 0)
    assert found["skagen-ruter"].relationship == "customer"


def test_coverage_keeps_to_its_month(store: SqlStore) -> None:
    second = timedelta(seconds=1)
    for at in (MARCH - second, MARCH, APRIL - second, APRIL):
        touch(store, replace(CALL, at=at))
    assert coverage(store)["northline"].by_hand == 2


def test_coverage_leaves_out_retired_accounts_and_other_constellations(store: SqlStore) -> None:
    with raw(store) as connection:
        other = put(connection, schema.constellations, key="trams", name="Trams")
        put(connection, schema.accounts, key="tram", constellation_id=other, name="Tram",
            relationship="prospect", owner_key="tom")  # fmt: skip
        connection.execute(
            sa.update(schema.accounts)
            .where(schema.accounts.c.key == "northline")
            .values(retired_at=NOW)
        )
    assert list(coverage(store)) == ["blue-strait", "skagen-ruter"]


def test_beats_kept_of_those_planned(store: SqlStore) -> None:
    beats = {
        date(2027, 2, 25): "kept",
        date(2027, 3, 4): "kept",
        date(2027, 3, 11): "missed",
        date(2027, 3, 18): "planned",
        date(2027, 3, 25): "skipped",
        date(2027, 4, 1): "kept",
    }
    with raw(store) as connection:
        newsletter = connection.scalar(
            sa.select(schema.newsletters.c.id).where(schema.newsletters.c.key == WEEKLY.key)
        )
        for on, state in beats.items():
            put(connection, schema.beats, newsletter_id=newsletter, beat_on=on, planned_on=on,
                due_at=NOW, state=state)  # fmt: skip
    with store.read() as tables:
        assert tables.sales.beats_between("ferries", MARCH.date(), APRIL.date()) == (1, 3)
        assert tables.sales.beats_between("trams", MARCH.date(), APRIL.date()) == (0, 0)
