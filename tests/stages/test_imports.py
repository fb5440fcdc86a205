"""The undoing of a whole import: what goes, what stays, and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
import sqlalchemy as sa

from pipeline.errors import BadInput, Conflict, NotFound
from pipeline.model.people import TakenBack
from pipeline.stages.people import (
    UndoneImport,
    erase,
    hold,
    import_people,
    list_imports,
    list_people,
    pause,
    show_person,
    undo_import,
)
from pipeline.stores import schema
from pipeline.stores.sql import SqlStore
from tests.builders import NOW
from tests.people_scene import dump, ports_of, put, put_catalog, raw

ADA, BO, CEM = (f"{name}@northline.example" for name in ("ada", "bo", "cem"))
FIRST = b"""\
Email,First name,Last name,Company,Role,HubSpot ID,Basis,Basis source,Basis date
ada@northline.example,Ada,Strand,Northline,Purser,1,consent,a fair,2026-09-01
bo@northline.example,Bo,Strand,Northline,Mate,2,consent,a fair,2026-09-01
"""
SECOND = b"""\
Email,First name,Last name,Company,Role,HubSpot ID,Opted out,Basis,Basis source,Basis date
ada@northline.example,Adeline,Strand,Blue Strait,Harbour master,1,,customer,a contract,2027-01-01
bo.new@northline.example,Bo,Strand,Northline,Mate,2,,,,
cem@northline.example,Cem,Dahl,Northline,Cook,3,,consent,a call,2027-02-01
dag@northline.example,Dag,Dahl,Northline,Cook,4,yes,,,
"""
EVERYTHING = (
    schema.contacts, schema.bases, schema.external_ids, schema.suppressions, schema.import_changes,
)  # fmt: skip


@pytest.fixture(autouse=True)
def rows_of_the_catalog(store: SqlStore) -> None:
    put_catalog(store)


def by_name(done: UndoneImport) -> dict[str, TakenBack]:
    return {one.change.name: one for one in done.contacts}


def test_all_that_a_file_did_is_taken_back(store: SqlStore) -> None:
    ports = ports_of(store)
    import_people(ports, FIRST, "first.csv")
    first = [
        (p.contact, tuple(p.bases), show_person(ports, p.contact.address).suppressions)
        for p in (show_person(ports, ADA), show_person(ports, BO))
    ]
    import_people(ports, SECOND, "second.csv")
    assert show_person(ports, ADA).contact.account_key == "blue-strait"
    done = undo_import(ports)
    assert {name: one.outcome for name, one in by_name(done).items()} == {
        "Adeline Strand": "changed_back", "Bo Strand": "changed_back", "Cem Dahl": "removed",
        "Dag Dahl": "removed",
    }  # fmt: skip
    assert (done.applied, done.record.name) == (True, "second.csv")
    assert done.counts == {"changed_back": 2, "removed": 2, "partly": 0}
    after = [
        (replace(p.contact, revision=1), tuple(p.bases), p.suppressions)
        for p in (show_person(ports, ADA), show_person(ports, BO))
    ]
    assert after == first
    for gone in (CEM, "dag@northline.example", "bo.new@northline.example"):
        with pytest.raises(NotFound):
            show_person(ports, gone)
    with raw(store) as connection:  # the wish that the file brought stays
        kept = connection.execute(sa.select(schema.suppressions)).one()
        ids = connection.execute(sa.select(schema.external_ids.c.external_id)).scalars().all()
    assert (kept.reason, kept.lifted_at) == ("imported", None)
    assert sorted(ids) == ["1", "2"]


def test_a_dry_run_says_the_same_and_does_nothing(store: SqlStore) -> None:
    ports = ports_of(store)
    import_people(ports, FIRST, "first.csv")
    before = dump(store, *EVERYTHING, schema.imports, schema.operations)
    dry = undo_import(ports, dry_run=True)
    assert dump(store, *EVERYTHING, schema.imports, schema.operations) == before
    wet = undo_import(ports)
    assert (dry.contacts, dry.applied) == (wet.contacts, False)
    assert list_people(ports) == []


def test_who_was_used_since_is_retired_and_gets_no_letters(store: SqlStore) -> None:
    ports = ports_of(store)
    import_people(ports, FIRST, "first.csv")
    hold(ports, ADA, "in talks")
    done = undo_import(ports)
    ada = by_name(done)["Ada Strand"]
    assert (ada.outcome, ada.why) == ("retired", "retired, not removed: a hold, a step by hand")
    person = show_person(ports, ADA)
    assert (person.stand.word, tuple(person.bases)) == ("retired", ())
    with raw(store) as connection:  # on what ground we wrote stays on record
        assert connection.scalar(sa.select(schema.bases.c.withdrawn_at)) == NOW
    again = import_people(ports, FIRST, "first.csv")
    assert (again.new, again.changed) == (1, 1)
    assert show_person(ports, ADA).contact.retired_at is None
    assert len(show_person(ports, ADA).bases) == 1


def test_whom_a_file_brought_back_is_retired_again(store: SqlStore) -> None:
    ports = ports_of(store)
    import_people(ports, FIRST, "first.csv")
    hold(ports, ADA, "in talks")
    undo_import(ports)
    only_back = b"Email,Company\nada@northline.example,Northline\n"
    assert import_people(ports, only_back, "back.csv").changed == 1
    assert show_person(ports, ADA).contact.retired_at is None
    done = undo_import(ports, "back.csv")
    assert [(one.change.name, one.outcome) for one in done.contacts] == [("Ada Strand", "retired")]
    assert show_person(ports, ADA).stand.word == "retired"


def test_what_somebody_changed_since_stays_theirs(store: SqlStore) -> None:
    ports = ports_of(store)
    import_people(ports, FIRST, "first.csv")
    import_people(ports, SECOND, "second.csv")
    third = b"Email,Company,Role\nada@northline.example,Blue Strait,Owner\n"
    import_people(ports, third, "third.csv")
    done = undo_import(ports, "second.csv")
    ada = by_name(done)["Adeline Strand"]
    assert (ada.outcome, ada.why) == ("changed_back", "role was changed since")
    contact = show_person(ports, ADA).contact
    assert (contact.role, contact.first_name, contact.account_key) == ("Owner", "Ada", "northline")
    assert done.counts["partly"] == 1


def test_an_address_that_somebody_else_has_by_now_stays_theirs(store: SqlStore) -> None:
    ports = ports_of(store)
    import_people(ports, FIRST, "first.csv")
    import_people(ports, SECOND, "second.csv")
    import_people(ports, b"Email,Company\nbo@northline.example,Northline\n", "third.csv")
    done = undo_import(ports, "second.csv")
    why = by_name(done)["Bo Strand"].why
    assert why == "somebody else has the address that they had before"
    assert show_person(ports, "bo.new@northline.example").contact.first_name == "Bo"


def test_who_left_under_a_new_address_stays_out_under_the_old(store: SqlStore) -> None:
    ports = ports_of(store)
    import_people(ports, FIRST, "first.csv")
    import_people(ports, SECOND, "second.csv")
    with store.write() as tables:
        bo = tables.people.find("bo.new@northline.example")
        tables.people.suppress(bo.id, "*", "left", NOW)
    undo_import(ports)
    assert show_person(ports, BO).stand.word == "suppressed"


def test_the_erased_stay_erased(store: SqlStore) -> None:
    ports = ports_of(store)
    import_people(ports, FIRST, "first.csv")
    erase(ports, ADA)
    done = undo_import(ports)
    assert [one.outcome for one in done.contacts] == ["kept", "removed"]


def test_an_import_is_undone_once_and_only_with_a_record(store: SqlStore) -> None:
    ports = ports_of(store)
    with pytest.raises(NotFound, match="No people file"):
        undo_import(ports)
    with raw(store) as connection:
        put(connection, schema.imports, name="old.csv", digest="d", actor="eva", at=NOW,
            tally={"new": 3})  # fmt: skip
        put(connection, schema.imports, name="same.csv", digest="d", actor="eva", at=NOW,
            tally={"same": 3})  # fmt: skip
    for ref, words in (("old.csv", "from before what an import does"), ("same.csv", "nobody")):
        with pytest.raises(Conflict, match=words):
            undo_import(ports, ref)
    import_people(ports, FIRST, "first.csv")
    undo_import(ports)
    before = dump(store, *EVERYTHING, schema.imports, schema.operations)
    with pytest.raises(Conflict, match="was undone on 2027-03-08"):
        undo_import(ports)
    assert dump(store, *EVERYTHING, schema.imports, schema.operations) == before
    with pytest.raises(NotFound, match="no import"):
        undo_import(ports, "nosuch.csv")
    assert [(one.name, one.undone_at) for one in list_imports(ports)] == [
        ("first.csv", NOW), ("same.csv", None), ("old.csv", None),
    ]  # fmt: skip


def test_an_import_is_found_by_the_beginning_of_its_id(store: SqlStore) -> None:
    ports = ports_of(store)
    import_people(ports, FIRST, "first.csv")
    pause(ports, ADA, date(2027, 4, 1))
    (record,) = list_imports(ports)
    assert undo_import(ports, record.public_id[:8], dry_run=True).record == record
    with raw(store) as connection:
        for letter in "xy":
            put(connection, schema.imports, name="n", digest="d", actor="eva", at=NOW, tally={},
                public_id=f"same{letter * 22}")  # fmt: skip
    with pytest.raises(BadInput, match="More than one import"):
        undo_import(ports, "same")
    with pytest.raises(NotFound):
        undo_import(ports, "sam")


def test_without_a_name_the_latest_that_changed_somebody_is_meant(store: SqlStore) -> None:
    ports = ports_of(store)
    import_people(ports, FIRST, "first.csv")
    import_people(ports, FIRST, "again.csv")
    import_people(ports, FIRST, "once-more.csv")
    with pytest.raises(Conflict, match="changed nobody"):
        undo_import(ports, "again.csv")
    planned = undo_import(ports, dry_run=True)
    assert (planned.record.name, planned.passed_over) == (
        "first.csv", ("once-more.csv", "again.csv"),
    )  # fmt: skip
    done = undo_import(ports)
    assert (done.record.name, done.counts["removed"]) == ("first.csv", 2)


def test_asked_twice_without_a_name_no_second_file_is_taken_back(store: SqlStore) -> None:
    ports = ports_of(store)
    import_people(ports, FIRST, "first.csv")
    import_people(ports, SECOND, "second.csv")
    undo_import(ports)
    with pytest.raises(Conflict, match=r"“second\.csv” was undone"):
        undo_import(ports)
    assert {record.name for record in list_imports(ports) if record.undone_at is None} == {
        "first.csv"
    }


def test_where_no_file_changed_anybody_that_is_said(store: SqlStore) -> None:
    ports = ports_of(store)
    import_people(ports, FIRST[: FIRST.index(b"ada@")], "empty.csv")
    with pytest.raises(Conflict, match=r"“empty\.csv” changed nobody"):
        undo_import(ports)
