"""People through the stage: files in, one person looked at, letters kept from somebody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import BadInput, Conflict, NotFound
from pipeline.model.catalog import Account
from pipeline.model.people import EVERYWHERE, ImportTally, Stand, Standing, SuppressionReason
from pipeline.stages.people import (
    hold,
    import_people,
    lift,
    list_people,
    pause,
    release,
    show_person,
    suppress,
    undo,
)
from pipeline.stores import schema
from pipeline.stores.sql import SqlStore
from tests.builders import CATALOG, FERRIES, NOW, WEEKLY, StandingClock
from tests.people_scene import ASKED, dump, ports_of, put_catalog, raw, row

PEOPLE = (schema.contacts, schema.bases, schema.suppressions, schema.external_ids)
INGRID = "ingrid@northline.example"
FILE = """\
Email;First name;Company;Basis;Basis source;Basis date;Wording;Opted out
ingrid@northline.example;Ingrid;Northline;consent;asked for it at the Quay Days in Bergen;\
2026-09-01;Yes, write;
Ingrid@Northline.example;Ingrid;Northline;;;;;
ole@northline.example;Ole;;;;;;
gone@elsewhere.example;;Blue Strait;consent;a fair;2026-01-01;;yes
nobody;;Northline;;;;;
liv@elsewhere.example;Liv;Nowhere Lines;;;;;
""".encode("cp1252")


@pytest.fixture(autouse=True)
def rows_of_the_catalog(store: SqlStore) -> None:
    put_catalog(store)


def test_a_file_is_brought_in_and_every_row_is_accounted_for(store: SqlStore) -> None:
    seen: list[tuple[int, int]] = []
    ports = replace(ports_of(store), progress=lambda done, total, what: seen.append((done, total)))
    tally = import_people(ports, FILE, "lists/march.csv")
    assert (tally.new, tally.changed, tally.same, tally.left, tally.invalid) == (2, 0, 0, 1, 3)
    assert (tally.rows, tally.without_basis, tally.applied) == (6, 1, True)
    assert [problem.line for problem in tally.problems] == [3, 6, 7]
    assert tally.columns[0] == ("Email", "address")
    assert seen == [(0, 6), (6, 6)]
    with store.read() as tables:
        (logged,) = tables.log.of("people:march.csv")
    assert (logged.actor, logged.verb, logged.after["new"]) == ("tom", "import", 2)
    assert "@" not in str(logged)


def test_the_same_file_again_changes_nothing(store: SqlStore) -> None:
    import_people(ports_of(store), FILE, "march.csv")
    before = dump(store, *PEOPLE)
    tally = import_people(ports_of(store), FILE, "march.csv")
    assert (tally.new, tally.changed, tally.same, tally.left, tally.invalid) == (0, 0, 2, 1, 3)
    assert dump(store, *PEOPLE) == before


def test_a_dry_run_says_what_would_be_and_does_nothing(store: SqlStore) -> None:
    tally = import_people(ports_of(store), FILE, "march.csv", dry_run=True)
    assert (tally.new, tally.left, tally.invalid, tally.applied) == (2, 1, 3, False)
    assert dump(store, *PEOPLE, schema.operations, schema.imports) == [[]] * 6


def test_a_bad_file_leaves_everything_as_it_was(store: SqlStore) -> None:
    import_people(ports_of(store), FILE, "march.csv")
    before = dump(store, *PEOPLE, schema.operations)
    broken = b'Email,Company\nnew@northline.example,Northline\n"open,Northline\n'
    with pytest.raises(BadInput, match=r"broken\.csv:3:1: "):
        import_people(ports_of(store), broken, "broken.csv")
    assert dump(store, *PEOPLE, schema.operations) == before


def test_an_account_that_is_not_taken_over_yet_leaves_everything_as_it_was(store: SqlStore) -> None:
    new = replace(
        FERRIES, accounts=(*FERRIES.accounts, Account("new-line", "New Line", "prospect"))
    )
    ports = ports_of(store, replace(CATALOG, constellations=(new,)))
    raw_file = b"Email,Company\na@x.example,Northline\nb@x.example,New Line\n"
    for dry_run in (True, False):
        with pytest.raises(NotFound, match="new-line"):
            import_people(ports, raw_file, "p.csv", dry_run=dry_run)
    assert dump(store, *PEOPLE, schema.operations) == [[]] * 5


# ── whatever a file holds ────────────────────────────────────────────────────────────────

ADDRESSES = [f"{name}@{place}.example" for name in ("a", "A", "b", "c", "d") for place in "xy"]
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "Email": st.sampled_from([*ADDRESSES, "", "nobody", "e@northline.example"]),
            "Company": st.sampled_from(["Northline", "Blue Strait", "Nowhere", ""]),
            "First name": st.sampled_from(["", "Ann", "Bo"]),
            "Opted out": st.sampled_from(["", "", "", "no", "yes"]),
            "HubSpot ID": st.sampled_from(["", "", "1", "2", "3"]),
            "CRM ID": st.sampled_from(["", "1", "2"]),
            "Basis": st.sampled_from(["", "consent", "customer", "goodwill"]),
            "Basis source": st.sampled_from(["", "a fair", "a call"]),
            "Basis date": st.sampled_from(["2026-01-01", "2026-02-01", "soon", ""]),
        }
    ),
    max_size=8,
)


def csv_of(rows: list[Mapping[str, str]]) -> bytes:
    headers = ["Email", "Company", "First name", "Opted out", "HubSpot ID", "CRM ID", "Basis",
               "Basis source", "Basis date"]  # fmt: skip
    lines = [",".join(headers), *(",".join(row[header] for header in headers) for row in rows)]
    return "\n".join(lines).encode()


def counts(tally: ImportTally) -> tuple[int, ...]:
    return (
        tally.rows, tally.new, tally.changed, tally.same, tally.left, tally.invalid,
        tally.without_basis,
    )  # fmt: skip


def blocked(store: SqlStore) -> set[tuple[str, ...]]:
    (rows,) = dump(store, schema.suppressions)
    return {(row.address_hash, row.scope, row.reason) for row in rows}


@settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(ROWS, min_size=1, max_size=3))
def test_a_dry_run_equals_the_import_and_a_second_import_changes_nothing(
    store: SqlStore, files: list[list[Mapping[str, str]]]
) -> None:
    with raw(store) as connection:
        for table in (schema.import_changes, *reversed(PEOPLE), schema.imports):
            connection.execute(sa.delete(table))
    ports = ports_of(store)
    for rows in files:
        out_before = blocked(store)
        text = csv_of(rows)
        dry = import_people(ports, text, "p.csv", dry_run=True)
        wet = import_people(ports, text, "p.csv")
        assert counts(dry) == counts(wet)
        assert wet.rows == wet.new + wet.changed + wet.same + wet.left + wet.invalid
        before = dump(store, *PEOPLE)
        again = import_people(ports, text, "p.csv")
        assert (again.new, again.changed) == (0, 0)
        assert (again.left, again.invalid, again.rows) == (wet.left, wet.invalid, wet.rows)
        assert dump(store, *PEOPLE) == before
        assert out_before <= blocked(store)


# ── one person ───────────────────────────────────────────────────────────────────────────


def test_a_person_with_everything_that_is_known(store: SqlStore) -> None:
    import_people(ports_of(store), FILE, "march.csv")
    ports = ports_of(store)
    hold(ports, INGRID, "in talks about the berths")
    suppress(ports, INGRID, scope=WEEKLY.key, detail="said so on the phone")
    person = show_person(ports, "INGRID@northline.example")
    assert person.contact.first_name == "Ingrid"
    assert person.account == CATALOG.account("northline")
    assert person.constellation_key == "ferries"
    assert person.bases == ((ASKED, NOW, "tom"),)
    assert [(s.scope, s.reason, s.detail) for s in person.suppressions] == [
        (WEEKLY.key, "asked", "said so on the phone")
    ]
    assert person.standing.hold == "in talks about the berths"
    assert (tuple(person.told), tuple(person.deliveries)) == ((), ())
    by_id = show_person(ports, person.contact.public_id[:10])
    assert by_id.contact == person.contact


def test_a_person_whose_account_is_in_no_file_any_more(store: SqlStore) -> None:
    import_people(ports_of(store), FILE, "march.csv")
    person = show_person(ports_of(store, replace(CATALOG, constellations=())), INGRID)
    assert (person.account, person.constellation_key) == (None, "")


def test_nobody_is_not_found(store: SqlStore) -> None:
    ports = ports_of(store)
    for act in (
        lambda: show_person(ports, INGRID),
        lambda: pause(ports, INGRID, date(2027, 4, 1)),
        lambda: hold(ports, INGRID, "why"),
        lambda: release(ports, INGRID),
        lambda: suppress(ports, INGRID),
    ):
        with pytest.raises(NotFound):
            act()
    assert dump(store, schema.operations) == [[]]


def test_pause_hold_and_release_are_logged_with_before_and_after(store: SqlStore) -> None:
    import_people(ports_of(store), FILE, "march.csv")
    ports = ports_of(store, actor="liv")
    contact = pause(ports, INGRID, date(2027, 4, 1)).contact
    hold(ports, INGRID, " in talks ", staff_key="tom")
    release(ports, INGRID)
    with store.read() as tables:
        logged = tables.log.of(f"contact:{contact.public_id}")
        assert tables.people.standing(contact.id).paused_until is None
    assert [(o.verb, o.actor) for o in logged] == [
        ("pause", "liv"), ("hold", "liv"), ("release", "liv"),
    ]  # fmt: skip
    assert logged[0].before["paused_until"] is None
    assert logged[0].after["paused_until"] == "2027-04-01"
    assert logged[2].before == {
        "paused_until": "2027-04-01", "hold": "in talks", "held_by": "tom", "suppressed": [],
    }  # fmt: skip
    assert logged[2].after == {
        "paused_until": None, "hold": "", "held_by": "", "suppressed": [], "revision": 4,
    }  # fmt: skip


def test_what_is_so_already_is_no_change_whoever_was_quicker(store: SqlStore) -> None:
    import_people(ports_of(store), FILE, "march.csv")
    ports = ports_of(store)
    assert not release(ports, INGRID).changed
    assert pause(ports, INGRID, date(2027, 4, 1), revision=1).changed
    before = dump(store, schema.contacts, schema.pauses, schema.operations)
    again = pause(ports_of(store, actor="liv"), INGRID, date(2027, 4, 1), revision=1)
    assert not again.changed
    assert again.before == again.after
    assert again.after["paused_until"] == "2027-04-01"
    assert dump(store, schema.contacts, schema.pauses, schema.operations) == before
    assert hold(ports, INGRID, "in talks").changed
    assert not hold(ports, INGRID, " in talks ").changed
    taken_over = hold(ports_of(store, actor="liv"), INGRID, "in talks")
    assert (taken_over.before["held_by"], taken_over.after["held_by"]) == ("tom", "liv")


def test_a_stale_edit_says_who_has_what_and_what_was_wanted(store: SqlStore) -> None:
    import_people(ports_of(store), FILE, "march.csv")
    hold(ports_of(store, actor="liv"), INGRID, "we meet on Friday")
    ports = ports_of(store)
    before = dump(store, schema.contacts, schema.pauses, schema.holds, schema.operations)
    with pytest.raises(Conflict) as caught:
        pause(ports, INGRID, date(2027, 4, 1), revision=1)
    assert str(caught.value.message).splitlines() == [
        "Ingrid changed since you looked: liv held letters to “Ingrid” back.",
        "  As it stands: held by liv: we meet on Friday",
        "  Yours: paused until 2027-04-01",
    ]
    with pytest.raises(Conflict, match="Yours: held by tom: in talks"):
        hold(ports, INGRID, "in talks", revision=1)
    with pytest.raises(Conflict, match="Yours: neither paused nor held"):
        release(ports, INGRID, revision=1)
    assert dump(store, schema.contacts, schema.pauses, schema.holds, schema.operations) == before
    assert pause(ports, INGRID, date(2027, 4, 1), revision=2).contact.revision == 3


def test_a_stale_edit_says_that_a_file_came_in(store: SqlStore) -> None:
    import_people(ports_of(store), FILE, "march.csv")
    import_people(ports_of(store), FILE.replace(b";Ingrid;", b";Inger;", 1), "april.csv")
    with pytest.raises(
        Conflict, match="Inger changed since you looked: a file of people was brought in"
    ):
        hold(ports_of(store), INGRID, "in talks", revision=1)


def test_suppressing_asks_for_no_revision_and_raises_it(store: SqlStore) -> None:
    import_people(ports_of(store), FILE, "march.csv")
    ports = ports_of(store)
    done = suppress(ports, INGRID)
    assert (done.changed, done.contact.revision) == (True, 2)
    assert done.after["suppressed"] == ["* asked"]
    with pytest.raises(Conflict, match="tom ended letters to “Ingrid”"):
        pause(ports, INGRID, date(2027, 4, 1), revision=1)


def test_words_on_a_suppression_that_is_in_force_are_kept(store: SqlStore) -> None:
    import_people(ports_of(store), FILE, "march.csv")
    ports = ports_of(store)
    suppress(ports, INGRID, detail="by phone")
    suppress(ports, INGRID, detail="by phone")
    assert not suppress(ports, INGRID, detail="wrote again, angry").changed
    with store.read() as tables:
        contact = tables.people.find(INGRID)
        logged = tables.log.of(f"contact:{contact.public_id}")
    assert [one.after.get("note") for one in logged] == [None, "wrote again, angry"]
    assert contact.revision == 2


def test_only_a_mistake_of_ours_is_lifted_and_only_by_the_approver(store: SqlStore) -> None:
    import_people(ports_of(store), FILE, "march.csv")
    liv = ports_of(store, actor="liv")
    suppress(liv, INGRID, detail="her namesake said so")
    suppress(liv, INGRID, scope=WEEKLY.key)
    with pytest.raises(Conflict, match="tom is not the approver"):
        lift(ports_of(store), INGRID, "a slip")
    with pytest.raises(BadInput, match="evidence"):
        lift(liv, INGRID, "  ")
    done = lift(liv, INGRID, " it was Inge ")
    assert done.before["suppressed"] == [f"{WEEKLY.key} asked", "* asked"]
    assert done.after["suppressed"] == [f"{WEEKLY.key} asked"]
    with store.read() as tables:
        logged = tables.log.of(f"contact:{done.contact.public_id}")[-1]
    assert (logged.verb, logged.actor, logged.after["evidence"]) == ("lift", "liv", "it was Inge")
    with pytest.raises(Conflict, match="Nothing keeps every letter from Ingrid"):
        lift(liv, INGRID, "again")
    with pytest.raises(NotFound, match="no newsletter"):
        lift(liv, INGRID, "a slip", scope="daily-noise")


@pytest.mark.parametrize("reason", ["left", "complaint", "bounce", "imported", "erased"])
def test_what_was_not_our_word_is_nobodys_to_lift(
    store: SqlStore, reason: SuppressionReason
) -> None:
    import_people(ports_of(store), FILE, "march.csv")
    liv = ports_of(store, actor="liv")
    with store.write() as tables:
        ingrid = tables.people.find(INGRID)
        tables.people.suppress(ingrid.id, EVERYWHERE, reason, NOW)
    before = dump(store, schema.contacts, schema.suppressions, schema.operations)
    with pytest.raises(Conflict, match="by a word that is not ours"):
        lift(liv, INGRID, "I am sure")
    assert dump(store, schema.contacts, schema.suppressions, schema.operations) == before
    suppress(liv, INGRID)
    lift(liv, INGRID, "that one was a slip")
    person = show_person(liv, INGRID)
    assert [one.reason for one in person.suppressions] == [reason]


# ── taking back ──────────────────────────────────────────────────────────────────────────


def test_undo_goes_back_step_by_step(store: SqlStore) -> None:
    import_people(ports_of(store), FILE, "march.csv")
    ports = ports_of(store)
    pause(ports, INGRID, date(2027, 4, 1))
    hold(ports, INGRID, "in talks", staff_key="liv")
    release(ports, INGRID)
    for verb, standing in (
        ("release", Standing(date(2027, 4, 1), "in talks", "liv")),
        ("hold", Standing(date(2027, 4, 1))),
        ("pause", Standing()),
    ):
        undone = undo(ports)
        assert (undone.operation.verb, undone.contact.first_name) == (verb, "Ingrid")
        assert show_person(ports, INGRID).standing == standing
    with pytest.raises(NotFound, match="nothing that tom could take back"):
        undo(ports)
    with store.read() as tables:
        logged = tables.log.of(f"contact:{undone.contact.public_id}")
    assert [one.undone_by for one in logged[:3]] == [logged[5].id, logged[4].id, logged[3].id]
    with pytest.raises(Conflict) as caught:  # an undo raises the revision once, and is named
        hold(ports, INGRID, "in talks", revision=4)
    assert "looked: tom took back a step.\n" in caught.value.message


def test_undo_takes_only_ones_own_steps_and_leaves_what_came_after(store: SqlStore) -> None:
    import_people(ports_of(store), FILE, "march.csv")
    tom, liv = ports_of(store), ports_of(store, actor="liv")
    pause(tom, INGRID, date(2027, 4, 1))
    with pytest.raises(NotFound):
        undo(liv)
    hold(liv, INGRID, "we meet on Friday")
    before = dump(store, schema.contacts, schema.pauses, schema.holds, schema.operations)
    with pytest.raises(Conflict, match="changed after your pause; nothing was undone"):
        undo(tom)
    assert dump(store, schema.contacts, schema.pauses, schema.holds, schema.operations) == before
    undo(liv)
    undo(tom)
    assert show_person(tom, INGRID).standing == Standing()


def test_undo_never_lifts_a_suppression(store: SqlStore) -> None:
    import_people(ports_of(store), FILE, "march.csv")
    ports = ports_of(store)
    hold(ports, INGRID, "in talks")
    suppress(ports, INGRID)
    with pytest.raises(Conflict, match="that was their wish, and stays"):
        undo(ports)
    assert undo(ports, INGRID).operation.verb == "hold"
    person = show_person(ports, INGRID)
    assert [one.reason for one in person.suppressions] == ["asked"]
    with pytest.raises(NotFound):
        undo(ports, INGRID)


def test_undo_of_one_contact_leaves_the_others_alone(store: SqlStore) -> None:
    import_people(ports_of(store), FILE, "march.csv")
    ports = ports_of(store)
    hold(ports, INGRID, "in talks")
    pause(ports, "ole@northline.example", date(2027, 4, 1))
    assert undo(ports, INGRID).operation.verb == "hold"
    assert show_person(ports, "ole@northline.example").standing == Standing(date(2027, 4, 1))
    with pytest.raises(NotFound, match="no contact"):
        undo(ports, "nobody@northline.example")


# ── the list ─────────────────────────────────────────────────────────────────────────────


def test_a_list_says_how_each_stands(store: SqlStore) -> None:
    import_people(ports_of(store), FILE, "march.csv")
    ports = ports_of(store)
    pause(ports, INGRID, date(2027, 4, 1))
    stands = {one.contact.address: one.stand for one in list_people(ports, "ferries")}
    assert stands == {
        INGRID: Stand("paused", "until 2027-04-01"),
        "ole@northline.example": Stand("no_basis"),
        "gone@elsewhere.example": Stand("suppressed", "on a list of those who left on 2027-03-08"),
    }
    april = replace(ports, clock=StandingClock(datetime(2027, 4, 1, 9, tzinfo=UTC)))
    (ingrid, *_) = list_people(april)
    assert ingrid.stand == Stand("in")
    person = show_person(april, INGRID)
    assert (person.stand, person.standing.paused_until) == (Stand("in"), None)


def test_a_pause_ends_in_the_future_and_a_hold_has_its_reason(store: SqlStore) -> None:
    import_people(ports_of(store), FILE, "march.csv")
    with pytest.raises(BadInput, match="not in the future"):
        pause(ports_of(store), INGRID, NOW.date())
    with pytest.raises(BadInput, match="reason"):
        hold(ports_of(store), INGRID, "  ")


def test_suppressing_is_for_good_and_said_once(store: SqlStore) -> None:
    import_people(ports_of(store), FILE, "march.csv")
    ports = ports_of(store)
    assert suppress(ports, INGRID).changed
    assert not suppress(ports, INGRID).changed
    hold(ports, INGRID, "in talks")
    release(ports, INGRID)
    person = show_person(ports, INGRID)
    assert [(s.scope, s.reason) for s in person.suppressions] == [(EVERYWHERE, "asked")]
    with store.read() as tables:
        logged = tables.log.of(f"contact:{person.contact.public_id}")
    assert [o.verb for o in logged] == ["suppress", "hold", "release"]
    with pytest.raises(NotFound, match="no newsletter"):
        suppress(ports, INGRID, scope="daily-noise")


def test_what_the_database_refuses_takes_the_whole_file_back(store: SqlStore) -> None:
    twice = [row(2, "a@x.example"), row(3, "A@x.example")]  # no parser lets this through
    with pytest.raises(Conflict), store.write() as tables:
        tables.people.apply_import(twice, name="p", digest="d", actor="tom", now=NOW, dry_run=False)
    assert dump(store, *PEOPLE, schema.imports) == [[]] * 5
