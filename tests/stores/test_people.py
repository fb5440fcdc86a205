"""The contract of the people table, on both databases."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.errors import BadInput, Conflict, Down, NotFound
from pipeline.model.people import (
    EVERYWHERE,
    Candidate,
    Contact,
    ImportRow,
    ImportTally,
    Standing,
)
from pipeline.stores import schema
from pipeline.stores.people import address_hash
from pipeline.stores.sql import SqlStore
from pipeline.stores.standing import TELLING
from tests.builders import NOW, WEEKLY
from tests.people_scene import ASKED, MET, bring, dump, put, put_catalog, raw, row

INGRID = "ingrid@northline.example"
OLE = "ole@northline.example"
LATER = NOW + timedelta(days=1)

PEOPLE = (schema.contacts, schema.bases, schema.suppressions, schema.external_ids)


@pytest.fixture(autouse=True)
def rows_of_the_catalog(store: SqlStore) -> None:
    put_catalog(store)


def apply(store: SqlStore, *rows: ImportRow, dry_run: bool = False) -> ImportTally:
    with store.read() if dry_run else store.write() as tables:
        return tables.people.apply_import(
            rows, name="people.csv", digest="d1", actor="eva", now=NOW, dry_run=dry_run
        )


def counts(tally: ImportTally) -> tuple[int, int, int, int]:
    return tally.new, tally.changed, tally.same, tally.left


def find(store: SqlStore, ref: str) -> Contact:
    with store.read() as tables:
        return tables.people.find(ref)


def candidates(store: SqlStore, **options: Any) -> dict[str, Candidate]:
    options = {"cap_days": 30} | options
    with store.read() as tables:
        found = tables.people.candidates("ferries", WEEKLY.key, NOW, **options)
        return {one.contact.address: one for one in found}


# ── bringing people in ───────────────────────────────────────────────────────────────────


def test_an_import_brings_people_in(store: SqlStore) -> None:
    tally = apply(
        store,
        row(2, INGRID, first_name="Ingrid", last_name="Aas", role="Head of berths",
            language="en-GB", zone="Europe/Oslo", basis=ASKED),
        row(3, "Ole@Elsewhere.example", "blue-strait"),
    )  # fmt: skip
    assert counts(tally) == (2, 0, 0, 0)
    assert (tally.rows, tally.without_basis, tally.applied) == (2, 1, True)
    ingrid = find(store, INGRID)
    assert ingrid == Contact(
        ingrid.id, ingrid.public_id, "northline", INGRID, "Ingrid", "Aas", "Head of berths",
        "en-GB", "Europe/Oslo",
    )  # fmt: skip
    assert len(ingrid.public_id) == 26
    assert find(store, "ole@elsewhere.EXAMPLE").address == "Ole@Elsewhere.example"
    with store.read() as tables:
        assert tables.people.bases(ingrid.id) == ((ASKED, NOW, "eva"),)


def test_the_same_rows_again_change_nothing(store: SqlStore) -> None:
    rows = (
        row(2, INGRID, basis=ASKED, external=(("hubspot", "51"),)),
        row(3, OLE, opted_out=True),
        row(4, "gone@elsewhere.example", "", opted_out=True),
    )
    assert counts(apply(store, *rows)) == (1, 0, 0, 2)
    before = dump(store, *PEOPLE)
    assert counts(apply(store, *rows)) == (0, 0, 1, 2)
    assert dump(store, *PEOPLE) == before


def test_a_dry_run_counts_the_same_and_writes_nothing(store: SqlStore) -> None:
    apply(store, row(2, INGRID, external=(("hubspot", "51"),)), row(3, OLE))
    before = dump(store, *PEOPLE, schema.imports)
    rows = (
        row(2, "ingrid.new@northline.example", external=(("hubspot", "51"),)),
        row(3, OLE, role="Pilot", basis=MET),
        row(4, "new@northline.example", opted_out=True),
        row(5, "newer@northline.example"),
    )
    dry = apply(store, *rows, dry_run=True)
    assert dump(store, *PEOPLE, schema.imports) == before
    assert not dry.applied
    wet = apply(store, *rows)
    assert counts(dry) == counts(wet) == (1, 2, 0, 1)
    assert dry.without_basis == wet.without_basis == 2


def test_a_dry_run_needs_no_right_to_write(store: SqlStore) -> None:
    with pytest.raises(Down), store.read() as tables:
        tables.people.apply_import(
            [row(2, INGRID)], name="p", digest="d", actor="eva", now=NOW, dry_run=False
        )
    assert counts(apply(store, row(2, INGRID), dry_run=True)) == (1, 0, 0, 0)


def test_a_change_raises_the_revision_and_keeps_the_id(store: SqlStore) -> None:
    apply(store, row(2, INGRID, role="Deckhand"))
    before = find(store, INGRID)
    assert counts(apply(store, row(2, INGRID.upper(), "blue-strait", role="Captain"))) == (
        0, 1, 0, 0,
    )  # fmt: skip
    after = find(store, INGRID)
    assert (after.id, after.public_id) == (before.id, before.public_id)
    assert (after.account_key, after.role, after.revision) == ("blue-strait", "Captain", 2)
    assert after.address == INGRID


def test_an_import_raises_the_revision_of_those_alone_whom_it_changes(store: SqlStore) -> None:
    names = ("same", "role", "basis", "id", "out")
    old = [row(n, f"{name}@northline.example", basis=ASKED) for n, name in enumerate(names)]
    bring(store, *old)
    bring(
        store,
        old[0],
        row(1, "role@northline.example", role="Captain", basis=ASKED),
        row(2, "basis@northline.example", basis=MET),
        row(3, "id@northline.example", external=(("hubspot", "51"),)),
        row(4, "out@northline.example", opted_out=True),
    )
    revisions = {name: find(store, f"{name}@northline.example").revision for name in names}
    assert revisions == {"same": 1, "role": 2, "basis": 2, "id": 2, "out": 2}


def test_many_are_changed_each_in_their_own_way(store: SqlStore) -> None:
    def crew(**more: str) -> list[ImportRow]:
        names = [f"reader{n}" for n in range(40)]
        rows = [row(n, f"{name}@northline.example") for n, name in enumerate(names)]
        return [
            ImportRow(one.line, one.address, more.get(f"account{n % 4}", one.account_key),
                      first_name=f"First{n}" if n % 2 else "", role=f"Role{n}" if n % 3 else "",
                      external=(("hubspot", str(n + (1 if more else 0))),))
            for n, one in enumerate(rows)
        ]  # fmt: skip

    bring(store, *(row(n, f"reader{n}@northline.example", role="Mate") for n in range(40)))
    bring(store, *crew())
    moved = crew(account0="blue-strait")
    assert counts(apply(store, *moved)) == (0, 40, 0, 0)
    with store.read() as tables:
        found = [one.contact for one in tables.people.facts()]
    for n, one in enumerate(found):
        assert one.account_key == ("northline" if n % 4 else "blue-strait")
        assert one.first_name == (f"First{n}" if n % 2 else "")
        assert one.role == (f"Role{n}" if n % 3 else "Mate")
        assert one.revision == 3
    assert counts(apply(store, *moved)) == (0, 0, 40, 0)


def test_evidence_is_added_and_the_latest_counts(store: SqlStore) -> None:
    apply(store, row(2, INGRID, basis=ASKED))
    assert counts(apply(store, row(2, INGRID, basis=MET))) == (0, 1, 0, 0)
    assert counts(apply(store, row(2, INGRID, basis=ASKED))) == (0, 0, 1, 0)  # on record
    with store.read() as tables:
        evidence = tables.people.bases(find(store, INGRID).id)
    assert [basis for basis, _, _ in evidence] == [MET, ASKED]
    assert candidates(store)[INGRID].basis == MET


def test_an_account_that_has_no_row_yet_is_not_found(store: SqlStore) -> None:
    with pytest.raises(NotFound, match="nowhere-lines"):
        apply(store, row(2, INGRID), row(3, OLE, "nowhere-lines"))
    with pytest.raises(NotFound):
        find(store, INGRID)


def test_an_import_is_on_record(store: SqlStore) -> None:
    apply(store, row(2, INGRID), row(3, OLE, opted_out=True))
    ((_, _, name, digest, actor, tally, at, undone_at),) = dump(store, schema.imports)[0]
    assert (name, digest, actor, at, undone_at) == ("people.csv", "d1", "eva", NOW, None)
    assert tally == {"new": 1, "left": 1, "without_basis": 1}


def test_many_rows_go_in_by_chunks(store: SqlStore) -> None:
    rows = [row(n, f"reader{n}@northline.example", basis=ASKED) for n in range(1203)]
    assert counts(apply(store, *rows)) == (1203, 0, 0, 0)
    assert counts(apply(store, *rows)) == (0, 0, 1203, 0)
    found = candidates(store)
    assert len(found) == 1203
    assert all(one.basis == ASKED for one in found.values())


# ── an import can block and never lift ───────────────────────────────────────────────────


def test_who_is_out_in_a_file_is_never_active(store: SqlStore) -> None:
    apply(store, row(2, INGRID, basis=ASKED, opted_out=True))
    suppression = candidates(store)[INGRID].suppression
    assert suppression is not None
    assert (suppression.scope, suppression.reason) == (EVERYWHERE, "imported")
    assert suppression.detail == "people.csv, line 2"


def test_an_import_never_lifts(store: SqlStore) -> None:
    (ingrid,) = bring(store, row(2, INGRID, basis=ASKED))
    with store.write() as tables:
        assert tables.people.suppress(ingrid, EVERYWHERE, "left", NOW)
    assert counts(apply(store, row(2, INGRID, basis=MET, role="Captain"))) == (0, 0, 0, 1)
    assert find(store, INGRID).role == "Captain"
    suppression = candidates(store)[INGRID].suppression
    assert suppression is not None
    assert suppression.reason == "left"


def test_a_block_waits_for_who_comes_later(store: SqlStore) -> None:
    apply(store, row(2, INGRID, "", opted_out=True))
    with pytest.raises(NotFound):
        find(store, INGRID)
    assert counts(apply(store, row(2, INGRID.upper(), basis=ASKED))) == (0, 0, 0, 1)
    assert candidates(store)[INGRID.upper()].suppression is not None


def test_the_erased_stay_erased(store: SqlStore) -> None:
    (ingrid,) = bring(store, row(2, INGRID, first_name="Ingrid", basis=ASKED))
    with raw(store) as connection:  # as erasing will leave it
        connection.execute(
            sa.update(schema.contacts).values(address="", first_name="", last_name="", role="")
        )
    with store.write() as tables:
        tables.people.suppress(ingrid, EVERYWHERE, "erased", NOW)
    assert counts(apply(store, row(2, INGRID, first_name="Ingrid", basis=MET))) == (0, 0, 0, 1)
    erased = find(store, INGRID)  # the hash still knows them, and nothing else does
    assert (erased.id, erased.address, erased.name) == (ingrid, "", "")
    with store.read() as tables:
        assert len(tables.people.bases(ingrid)) == 1


# ── ids of a CRM ─────────────────────────────────────────────────────────────────────────


def test_a_new_address_is_followed_by_the_crms_id(store: SqlStore) -> None:
    (ingrid,) = bring(store, row(2, INGRID, basis=ASKED, external=(("hubspot", "51"),)))
    with store.write() as tables:
        tables.people.suppress(ingrid, WEEKLY.key, "left", NOW, "by the link")
    moved = row(2, "ingrid.aas@northline.example", external=(("hubspot", "51"),))
    assert counts(apply(store, moved)) == (0, 0, 0, 1)
    contact = find(store, "ingrid.aas@northline.example")
    assert contact.id == ingrid
    with pytest.raises(NotFound):
        find(store, INGRID)
    with store.read() as tables:
        (suppression,) = tables.people.suppressions(ingrid)
    assert (suppression.scope, suppression.reason, suppression.detail) == (
        WEEKLY.key, "left", "by the link",
    )  # fmt: skip
    before = dump(store, *PEOPLE)
    assert counts(apply(store, moved)) == (0, 0, 0, 1)
    assert dump(store, *PEOPLE) == before


def test_an_id_never_takes_a_contact_that_the_file_names_by_its_address(store: SqlStore) -> None:
    ingrid, ole = bring(store, row(2, INGRID, external=(("hubspot", "51"),)), row(3, OLE))
    rows = (
        row(2, "new@northline.example", external=(("hubspot", "51"),)),
        row(3, INGRID, external=(("hubspot", "52"),)),
    )
    assert counts(apply(store, *rows)) == (1, 1, 0, 0)
    assert find(store, INGRID).id == ingrid
    assert find(store, "new@northline.example").id not in (ingrid, ole)
    before = dump(store, *PEOPLE)
    assert counts(apply(store, *rows)) == (0, 0, 2, 0)
    assert dump(store, *PEOPLE) == before


def test_two_ids_of_one_contact_do_not_tear_it_apart(store: SqlStore) -> None:
    (ingrid,) = bring(store, row(2, INGRID, external=(("hubspot", "51"), ("salesforce", "A1"))))
    rows = (
        row(2, "one@northline.example", external=(("hubspot", "51"),)),
        row(3, "two@northline.example", external=(("salesforce", "A1"),)),
    )
    assert counts(apply(store, *rows, dry_run=True)) == (1, 1, 0, 0)
    assert counts(apply(store, *rows)) == (1, 1, 0, 0)
    assert find(store, "one@northline.example").id == ingrid
    assert counts(apply(store, *rows)) == (0, 0, 2, 0)


def test_a_number_from_an_unknown_file_follows_nobody(store: SqlStore) -> None:
    bring(store, row(2, INGRID, external=(("external", "1"),)))
    assert counts(apply(store, row(2, OLE, external=(("external", "1"),)))) == (1, 0, 0, 0)
    assert find(store, INGRID).id != find(store, OLE).id


# ── finding ──────────────────────────────────────────────────────────────────────────────


def test_find_by_the_beginning_of_an_id(store: SqlStore) -> None:
    (ingrid,) = bring(store, row(2, INGRID))
    public_id = find(store, INGRID).public_id
    assert find(store, public_id).id == find(store, public_id[:8].upper()).id == ingrid
    with store.read() as tables:
        assert tables.people.by_id(ingrid).address == INGRID


@pytest.mark.parametrize("ref", ["nobody@northline.example", "zzzzzzzz", "%%%%%", "____"])
def test_who_is_not_there_is_not_found(store: SqlStore, ref: str) -> None:
    bring(store, row(2, INGRID))
    with pytest.raises(NotFound) as caught:
        find(store, ref)
    assert "nobody@" not in str(caught.value)


@pytest.mark.parametrize("ref", ["", "abc", "a b@northline.example", "@"])
def test_what_names_nobody_is_bad_input(store: SqlStore, ref: str) -> None:
    with pytest.raises(BadInput):
        find(store, ref)


def test_an_ambiguous_beginning_is_bad_input(store: SqlStore) -> None:
    bring(store, row(2, INGRID), row(3, OLE))
    with raw(store) as connection:
        contacts = schema.contacts
        for address, public_id in ((INGRID, "aaaabbbb"), (OLE, "aaaacccc")):
            connection.execute(
                sa.update(contacts).where(contacts.c.address == address)
                .values(public_id=public_id.ljust(26, "2"))
            )  # fmt: skip
    with pytest.raises(BadInput, match="More than one"):
        find(store, "aaaa")
    assert find(store, "aaaac").address == OLE


def test_unknown_numbers_are_not_found(store: SqlStore) -> None:
    with store.write() as tables:
        for call in (
            lambda: tables.people.by_id(99),
            lambda: tables.people.suppressions(99),
            lambda: tables.people.suppress(99, EVERYWHERE, "asked", NOW),
            lambda: tables.people.pause(99, date(2027, 4, 1), "tom", NOW),
            lambda: tables.people.hold(99, "tom", "in talks", NOW),
        ):
            with pytest.raises(NotFound):
                call()


def test_contacts_of_one_constellation(store: SqlStore) -> None:
    bring(store, row(2, INGRID), row(3, OLE, "blue-strait"))
    with raw(store) as connection:
        other = put(connection, schema.constellations, key="trams", name="Trams")
        put(connection, schema.accounts, key="tram", constellation_id=other, name="Tram",
            relationship="prospect", owner_key="tom")  # fmt: skip
    bring(store, row(4, "a@tram.example", "tram"))
    with store.read() as tables:
        of_ferries = [one.contact.address for one in tables.people.facts("ferries")]
        assert of_ferries == [INGRID, OLE]
        assert len(list(tables.people.facts())) == 3
        assert list(tables.people.facts("nowhere")) == []
    assert set(candidates(store)) == {INGRID, OLE}


def test_who_is_at_a_retired_account_is_retired(store: SqlStore) -> None:
    bring(store, row(2, INGRID), row(3, OLE, "blue-strait"))
    with raw(store) as connection:
        connection.execute(
            sa.update(schema.accounts)
            .where(schema.accounts.c.key == "northline")
            .values(retired_at=NOW)
        )
    found = candidates(store)
    assert found[INGRID].contact.retired_at == NOW
    assert found[INGRID].contact.retired_at.tzinfo is UTC
    assert found[OLE].contact.retired_at is None


# ── what keeps us from writing ───────────────────────────────────────────────────────────


def test_suppressing_twice_is_suppressing_once(store: SqlStore) -> None:
    (ingrid,) = bring(store, row(2, INGRID))
    with store.write() as tables:
        assert tables.people.suppress(ingrid, WEEKLY.key, "left", NOW)
        assert not tables.people.suppress(ingrid, WEEKLY.key, "left", LATER)
        assert tables.people.suppress(ingrid, WEEKLY.key, "complaint", LATER, "by post")
        assert tables.people.suppress(ingrid, EVERYWHERE, "left", LATER)
        in_force = tables.people.suppressions(ingrid)
    assert [(s.scope, s.reason, s.at) for s in in_force] == [
        (EVERYWHERE, "left", LATER),
        (WEEKLY.key, "complaint", LATER),
        (WEEKLY.key, "left", NOW),
    ]


def test_lifting_ends_only_what_the_person_asked_for(store: SqlStore) -> None:
    (ingrid,) = bring(store, row(2, INGRID, opted_out=True))
    with store.write() as tables:
        tables.people.suppress(ingrid, EVERYWHERE, "left", NOW)
        tables.people.suppress(ingrid, WEEKLY.key, "left", NOW)
        assert tables.people.lift(ingrid, EVERYWHERE, LATER)
        assert not tables.people.lift(ingrid, EVERYWHERE, LATER)
        assert {(s.scope, s.reason) for s in tables.people.suppressions(ingrid)} == {
            (EVERYWHERE, "imported"),
            (WEEKLY.key, "left"),
        }
        # left, came back, left again: each time counts
        assert tables.people.suppress(ingrid, EVERYWHERE, "left", LATER)


def test_a_suppression_holds_for_its_newsletter(store: SqlStore) -> None:
    ingrid, ole = bring(store, row(2, INGRID), row(3, OLE))
    with store.write() as tables:
        tables.people.suppress(ingrid, "another-letter", "left", NOW)
        tables.people.suppress(ole, WEEKLY.key, "left", NOW)
        tables.people.suppress(ole, EVERYWHERE, "bounce", NOW, "no such mailbox")
    found = candidates(store)
    assert found[INGRID].suppression is None
    assert found[OLE].suppression is not None
    assert found[OLE].suppression.detail == "no such mailbox"


def test_pause_hold_and_release(store: SqlStore) -> None:
    ingrid, ole = bring(store, row(2, INGRID), row(3, OLE))
    with store.write() as tables:
        tables.people.pause(ingrid, date(2027, 9, 1), "tom", NOW)
        tables.people.pause(ingrid, date(2027, 5, 1), "tom", LATER)
        tables.people.hold(ingrid, "tom", "in talks about the berths", NOW)
        tables.people.hold(ole, "liv", "", NOW)
    with store.read() as tables:
        standing = tables.people.standing(ingrid)
    assert (standing.paused_until, standing.hold, standing.held_by) == (
        date(2027, 5, 1), "in talks about the berths", "tom",
    )  # fmt: skip
    found = candidates(store)
    assert found[INGRID].paused_until == date(2027, 5, 1)
    assert found[INGRID].hold == "in talks about the berths"
    assert found[OLE].hold == "held by liv"
    with store.write() as tables:
        tables.people.release(ingrid, LATER)
    found = candidates(store)
    assert (found[INGRID].paused_until, found[INGRID].hold) == (None, "")
    assert found[OLE].hold == "held by liv"


def test_what_was_before_an_edit_is_put_back(store: SqlStore) -> None:
    (ingrid,) = bring(store, row(2, INGRID))
    was = Standing(date(2027, 9, 1), "in talks", "liv")
    with store.write() as tables:
        tables.people.pause(ingrid, date(2027, 4, 1), "tom", NOW)
        tables.people.restore(ingrid, was, "tom", LATER, revision=2)
        assert tables.people.standing(ingrid) == was
        tables.people.restore(ingrid, Standing(), "tom", LATER)
        assert tables.people.standing(ingrid) == Standing()
    assert find(store, INGRID).revision == 4


def test_everybody_with_how_they_stand(store: SqlStore) -> None:
    ingrid, ole = bring(store, row(2, INGRID, basis=ASKED), row(3, OLE))
    with store.write() as tables:
        tables.people.suppress(ole, WEEKLY.key, "left", NOW)
        tables.people.suppress(ole, EVERYWHERE, "complaint", LATER)
        tables.people.hold(ingrid, "tom", "in talks", NOW)
    with store.read() as tables:
        first, second = tables.people.facts("ferries")
        assert (first.contact, second.contact) == tuple(map(tables.people.by_id, (ingrid, ole)))
        assert second.suppressions == tables.people.suppressions(ole)
    assert (first.has_basis, second.has_basis) == (True, False)
    assert first.suppressions == ()
    assert [one.reason for one in second.suppressions] == ["complaint", "left"]
    assert (first.standing, second.standing) == (Standing(None, "in talks", "tom"), Standing())


# ── who was quicker ──────────────────────────────────────────────────────────────────────


def test_each_edit_by_hand_raises_the_revision(store: SqlStore) -> None:
    (ingrid,) = bring(store, row(2, INGRID))
    with store.write() as tables:
        people = tables.people
        people.pause(ingrid, date(2027, 4, 1), "tom", NOW, revision=1)
        people.hold(ingrid, "tom", "in talks", NOW, revision=2)
        people.release(ingrid, LATER, revision=3)
        assert people.edited(ingrid, 4) == 5
        assert people.edited(ingrid) == 6
    assert find(store, INGRID).revision == 6


def test_a_stale_edit_is_a_conflict_and_changes_nothing(store: SqlStore) -> None:
    (ingrid,) = bring(store, row(2, INGRID))
    with store.write() as tables:
        tables.people.hold(ingrid, "liv", "we meet on Friday", NOW)
    before = dump(store, schema.contacts, schema.pauses, schema.holds)
    with store.write() as tables:
        for edit in (
            lambda: tables.people.pause(ingrid, date(2027, 4, 1), "tom", NOW, revision=1),
            lambda: tables.people.hold(ingrid, "tom", "in talks", NOW, revision=1),
            lambda: tables.people.release(ingrid, NOW, revision=1),
            lambda: tables.people.restore(ingrid, Standing(), "tom", NOW, revision=1),
            lambda: tables.people.edited(ingrid, 3),
        ):
            with pytest.raises(Conflict, match=r"you hold revision \d, it is at 2"):
                edit()
        with pytest.raises(NotFound):
            tables.people.edited(99, 1)
    assert dump(store, schema.contacts, schema.pauses, schema.holds) == before


def test_of_two_who_write_at_once_one_wins(store: SqlStore) -> None:
    (ingrid,) = bring(store, row(2, INGRID))
    both_have_looked = threading.Barrier(2)
    came_to: dict[int, str] = {}

    def pause_until(day: int) -> None:
        seen = find(store, INGRID).revision
        both_have_looked.wait(60)
        try:
            with store.write() as tables:
                tables.people.pause(ingrid, date(2027, 4, day), "tom", NOW, revision=seen)
            came_to[day] = "done"
        except Conflict:
            came_to[day] = "conflict"

    writers = [threading.Thread(target=pause_until, args=(day,)) for day in (1, 2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert sorted(came_to.values()) == ["conflict", "done"]
    (winner,) = (day for day, what in came_to.items() if what == "done")
    with store.read() as tables:
        assert tables.people.standing(ingrid).paused_until == date(2027, 4, winner)
    (pauses,) = dump(store, schema.pauses)
    assert len(pauses) == 1
    assert find(store, INGRID).revision == 2


def test_who_leaves_needs_nothing_that_an_edit_or_an_import_holds(store: SqlStore) -> None:
    (ingrid,) = bring(store, row(2, INGRID))
    with store.write() as tables:
        assert tables.people.suppress(ingrid, EVERYWHERE, "left", NOW)
    assert find(store, INGRID).revision == 1, "the row of the contact was not touched"


def test_what_they_chose(store: SqlStore) -> None:
    ingrid, _ = bring(store, row(2, INGRID), row(3, OLE))
    with raw(store) as connection:
        newsletter = connection.scalar(sa.select(schema.newsletters.c.id))
        put(connection, schema.subscriptions, contact_id=ingrid, newsletter_id=newsletter,
            subscribed=False, since=NOW)  # fmt: skip
    found = candidates(store)
    assert (found[INGRID].subscribed, found[OLE].subscribed) == (False, None)
    with store.read() as tables:
        assert tables.people.standing(ingrid).subscriptions == ((WEEKLY.key, False),)


# ── what they were told ──────────────────────────────────────────────────────────────────


class Letters:
    """Issues with copies that told stories, written straight into the tables."""

    def __init__(self, connection: sa.Connection) -> None:
        self.raw = connection
        self.numbers = 0

    def newsletter(self, key: str) -> int:
        found = self.raw.scalar(
            sa.select(schema.newsletters.c.id).where(schema.newsletters.c.key == key)
        )
        if found is None:
            constellation = self.raw.scalar(sa.select(schema.constellations.c.id))
            found = put(self.raw, schema.newsletters, key=key, title=key,
                        constellation_id=constellation)  # fmt: skip
        return int(found)

    def story(self, title: str = "A story", merged_into: int | None = None) -> int:
        return put(self.raw, schema.stories, kind="news", title=title, first_at=NOW, last_at=NOW,
                   merged_into=merged_into)  # fmt: skip

    def issue(self, newsletter: str = WEEKLY.key, due_at: datetime = NOW) -> int:
        self.numbers += 1
        return put(
            self.raw, schema.issues, newsletter_id=self.newsletter(newsletter),
            number=self.numbers, beat_on=date(2020, 1, 1) + timedelta(days=self.numbers),
            due_at=due_at, cut_off_at=due_at, deadline_at=due_at, state="sent", opened_at=due_at,
        )  # fmt: skip

    def copy(
        self,
        contact: int,
        *stories: int,
        issue: int | None = None,
        state: str = "accepted",
        due_at: datetime = NOW,
        settled_at: datetime | None = None,
        service: str = "",
        purpose: str = "letter",
    ) -> int:
        issue = self.issue(due_at=due_at) if issue is None else issue
        edition = self.raw.scalar(
            sa.select(schema.editions.c.id).where(schema.editions.c.issue_id == issue)
        ) or put(self.raw, schema.editions, issue_id=issue, kind="prospect", language="en",
                 template_digest="t", frozen_at=due_at)  # fmt: skip
        self.numbers += 1
        variant = put(self.raw, schema.variants, edition_id=edition, key=f"v{self.numbers}",
                      html=b"", text=b"", digest="")  # fmt: skip
        delivery = put(
            self.raw, schema.deliveries, issue_id=issue, purpose=purpose, variant_id=variant,
            contact_id=contact, address="a", address_hash=f"h{self.numbers}", state=state,
            due_at=due_at, planned_at=due_at, settled_at=settled_at,
        )  # fmt: skip
        for story in stories:
            self.told(contact, delivery, story_id=story)
        if service:
            self.told(contact, delivery, service_key=service)
        return delivery

    def told(self, contact: int, delivery: int, **what: Any) -> None:
        put(self.raw, schema.told, contact_id=contact, delivery_id=delivery, through="letter",
            at=NOW, **what)  # fmt: skip


def test_every_state_of_a_copy_tells_or_does_not(store: SqlStore) -> None:
    states = {
        "planned", "claimed", "attempting", "accepted", "refused", "deferred", "unknown",
        "recalling", "withheld", "delivered", "bounced", "complained",
    }  # fmt: skip
    people = {state: f"{state}@northline.example" for state in sorted(states)}
    ids = bring(store, *(row(2, address) for address in people.values()))
    with raw(store) as connection:
        letters = Letters(connection)
        story = letters.story()
        for contact, state in zip(ids, people, strict=True):
            letters.copy(contact, story, state=state, service="berth-audit")
    found = candidates(store)
    tells = {state for state, address in people.items() if found[address].told_stories == {story}}
    assert tells == states - {"refused", "withheld", "bounced"} == TELLING
    assert tells == {s for s, a in people.items() if found[a].told_services == {"berth-audit"}}
    assert tells == {s for s, a in people.items() if found[a].recent_letters == 1}
    with store.read() as tables:
        told = {state: tables.people.told(i) for state, i in zip(people, ids, strict=True)}
    assert {state for state, rows in told.items() if rows} == tells
    coming = {state for state, rows in told.items() if any(row["goes_at"] for row in rows)}
    assert coming == {"planned", "claimed", "attempting", "deferred", "recalling"}


def test_what_was_told_by_hand_counts_and_shows(store: SqlStore) -> None:
    (ingrid,) = bring(store, row(2, INGRID))
    with raw(store) as connection:
        letters = Letters(connection)
        by_letter, by_hand = letters.story("By letter"), letters.story("By hand")
        letters.copy(ingrid, by_letter, issue=letters.issue(), service="crew-desk")
        touch = put(connection, schema.touches, account_id=1, contact_id=ingrid, kind="forward",
                    at=LATER)  # fmt: skip
        put(connection, schema.told, contact_id=ingrid, story_id=by_hand, touch_id=touch,
            through="forward", at=LATER)  # fmt: skip
    assert candidates(store)[INGRID].told_stories == {by_letter, by_hand}
    with store.read() as tables:
        told = tables.people.told(ingrid)
    assert [(t["title"], t["service"], t["through"], t["issue"], t["state"]) for t in told] == [
        ("By hand", "", "forward", "", ""),
        ("", "crew-desk", "letter", "ferry-weekly/1", "accepted"),
        ("By letter", "", "letter", "ferry-weekly/1", "accepted"),
    ]
    assert told[0]["at"] == LATER
    assert len(told[0]["story"]) == 26


def test_a_story_that_was_merged_away_counts_as_the_one_it_went_into(store: SqlStore) -> None:
    ingrid, ole = bring(store, row(2, INGRID), row(3, OLE))
    with raw(store) as connection:
        letters = Letters(connection)
        last = letters.story("last")
        middle = letters.story("middle", merged_into=last)
        first = letters.story("first", merged_into=middle)
        letters.copy(ingrid, first)
        letters.copy(ole, last)
    assert candidates(store)[INGRID].told_stories == {first, last}
    assert candidates(store)[OLE].told_stories == {last}


def test_letters_of_the_last_days_are_counted(store: SqlStore) -> None:
    (ingrid,) = bring(store, row(2, INGRID))
    with raw(store) as connection:
        letters = Letters(connection)
        for days in (-40, -31, -29, -1, 2):
            letters.copy(ingrid, due_at=NOW + timedelta(days=days))
        letters.copy(ingrid, due_at=NOW - timedelta(days=33), settled_at=NOW - timedelta(days=29))
        letters.copy(ingrid, due_at=NOW - timedelta(days=2), state="withheld")
        letters.copy(ingrid, due_at=NOW - timedelta(days=2), purpose="test")
    assert candidates(store)[INGRID].recent_letters == 4
    assert candidates(store, cap_days=35)[INGRID].recent_letters == 5
    assert candidates(store, cap_days=1)[INGRID].recent_letters == 2


def test_what_a_recap_would_repeat(store: SqlStore) -> None:
    ingrid, ole = bring(store, row(2, INGRID), row(3, OLE))
    with raw(store) as connection:
        letters = Letters(connection)
        one, two, three = letters.story(), letters.story(), letters.story()
        letters.copy(ingrid, one, two, issue=letters.issue())
        letters.copy(ingrid, two, three, issue=letters.issue(due_at=NOW - timedelta(days=40)))
        letters.copy(ingrid, three, issue=letters.issue("another-letter"))
        letters.copy(ole, one, issue=letters.issue(), state="withheld")
    month = {"recap_of": WEEKLY.key, "recap_since": NOW - timedelta(days=30)}
    assert candidates(store, **month)[INGRID].had_recap_parts == 2
    assert candidates(store, **month)[OLE].had_recap_parts == 0
    assert candidates(store, recap_of=WEEKLY.key)[INGRID].had_recap_parts == 3
    assert candidates(store)[INGRID].had_recap_parts == 0


def test_a_crowd_takes_few_queries(store: SqlStore) -> None:
    bring(store, *(row(n, f"reader{n}@northline.example", basis=ASKED) for n in range(40)))
    asked: list[str] = []
    with store.read() as tables:
        connection = tables.people._connection
        sa.event.listen(connection, "before_cursor_execute", lambda *a: asked.append(a[2]))
        found = list(tables.people.candidates("ferries", WEEKLY.key, NOW, cap_days=30))
    assert len(found) == 40
    assert len(asked) < 15


def test_a_hash_depends_on_the_key_and_on_nothing_of_the_spelling() -> None:
    assert address_hash(b"one", INGRID) == address_hash(b"one", INGRID.upper())
    assert address_hash(b"one", INGRID) != address_hash(b"two", INGRID)
    assert address_hash(b"one", INGRID) != address_hash(b"one", OLE)
    assert "ingrid" not in address_hash(b"one", INGRID)
