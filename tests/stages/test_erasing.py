"""Erasing: after it no search finds the person, and nothing that others need is lost."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline.errors import BadInput, Conflict, NotFound
from pipeline.model.letters import Event
from pipeline.model.people import Contact
from pipeline.model.sales import Touch
from pipeline.stages import listen
from pipeline.stages.compose import approve
from pipeline.stages.deliver import deliver
from pipeline.stages.people import (
    erase,
    export_person,
    hold,
    import_people,
    list_people,
    pause,
    show_person,
    suppress,
)
from pipeline.stores import erasing, exporting, schema
from pipeline.stores.migrate import migrate
from pipeline.stores.sql import SqlStore
from pipeline.transports.forgetting import FileOutbox
from tests.builders import DUE, NOW, SECRET
from tests.compose_scene import Scene, build_scene
from tests.ledger_scene import address
from tests.ledger_scene import build_scene as build_ledger
from tests.people_scene import ports_of, put, raw

QUILL = "quillon.ostrander@northline.example"
FORMER = "q.ostrander@oldquay.example"
FILE = f"""\
Email;First name;Last name;Company;Role;HubSpot ID;Basis;Basis source;Basis date;Wording
{QUILL};Quillon;Østrander;Northline;Head of Ostrander Yard;77;consent;Quillon Østrander asked;\
2026-09-01;Yes, Quillon
ada@northline.example;Ada;Strand;Northline;;78;consent;met with Quillon Østrander;2026-09-01;
""".encode()
#: However they are spelled, in whatever a column or a file holds.
TRACES = ("quillon", "østrander", "ostrander", "oldquay", "q.ostr")


@pytest.fixture
def scene(store: SqlStore, tmp_path: Path) -> Scene:
    made = build_scene(store, tmp_path)
    outbox = FileOutbox(tmp_path / "mail", tmp_path / "previews")
    return replace(made, ports=replace(made.ports, outbox=outbox))


def everything(store: SqlStore) -> dict[str, str]:
    """The whole database as text, by table; JSON without its escapes."""
    found = {}
    with raw(store) as connection:
        for table in schema.metadata.sorted_tables:
            cells = [
                value.decode("utf-8", "replace") if isinstance(value, bytes)
                else json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list)
                else str(value)
                for row in connection.execute(sa.select(table))
                for value in row
            ]  # fmt: skip
            found[table.name] = "\n".join(cells)
    return found


def traced(text: str) -> set[str]:
    return {trace for trace in TRACES if trace in text.lower()}


def in_files(folder: Path) -> set[str]:
    """Mails are encoded, so their pages are read beside them."""
    return {
        path.name
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("asterism.db")
        and traced(path.read_text(encoding="utf-8", errors="replace"))
    }  # fmt: skip


def busy(scene: Scene, tmp_path: Path) -> Contact:
    """Somebody of whom the store knows everything that it can know of anybody."""
    ports = scene.acting("tom")
    import_people(ports, FILE, "Quillon Østrander.csv")
    with scene.store.read() as tables:
        quill = tables.people.find(QUILL)
    scene.ready()
    note = scene.story(
        "Quillon Østrander told us of a lock",
        kind="note",
        url="",
        learnt_from="northline",
        is_public=False,
        text=f"Write to {QUILL}.",
    )
    scene.write(note, section="main", own_wording="As you said, Quillon Østrander.",
                fact="Heard it.", take="Ours.", question="Yours?")  # fmt: skip
    about = scene.story("A quay changes hands", about=["northline"])
    scene.write(about, section="main", fact="It does.", take="So it goes.", question="Who is next?")
    scene.finish()
    approve(scene.acting("liv"), "ferry-weekly")
    scene.at(DUE + timedelta(minutes=1))
    deliver(scene.ports)
    hold(ports, QUILL, "Quillon is in talks")
    pause(ports, QUILL, date(2027, 6, 1))
    with scene.store.write() as tables:
        tables.sales.add_touch(
            Touch("northline", quill.id, "call", NOW, "tom", 12, "Quillon called")
        )
    _from_outside(scene, quill)
    preview = tmp_path / "previews" / "ferry-weekly-1" / "prospect.html"
    preview.parent.mkdir(parents=True)
    preview.write_text("<p>Good morning, Quillon Østrander.</p>", encoding="utf-8")
    (preview.parent / "customer.html").write_text("<p>Good morning, Ada.</p>", encoding="utf-8")
    return quill


def _from_outside(scene: Scene, quill: Contact) -> None:
    """What providers told us, and mail among ourselves."""
    body = json.dumps([{"email": QUILL}, {"email": "ada@northline.example"}]).encode()
    with raw(scene.store) as connection:
        copy = connection.scalar(
            sa.select(schema.deliveries.c.id).where(schema.deliveries.c.contact_id == quill.id)
        )
        touch = connection.scalar(
            sa.select(schema.touches.c.id).where(schema.touches.c.kind == "call")
        )
        posting = put(connection, schema.postings, provider="sendgrid", digest="d", body=body,
                      received_at=NOW, taken_in_at=NOW)  # fmt: skip
        put(connection, schema.provider_events, provider="sendgrid", event_id="e1",
            posting_id=posting, delivery_id=copy, what="bounce", at=NOW,
            detail=f"550 <{QUILL}>")  # fmt: skip
        put(connection, schema.delivery_events, delivery_id=copy, state="deferred",
            detail=f"{QUILL}: busy", at=NOW)  # fmt: skip
        put(connection, schema.mails, digest="m", seen_at=NOW, outcome="logged",
            detail="to Quillon", touch_id=touch)  # fmt: skip
        put(connection, schema.notices, kind="review", about="issue:x", staff_key="liv",
            address="liv@quaytide.example", subject="Who gets it", html="<b>Quillon Østrander</b>",
            text=f"Quillon Østrander <{QUILL}>", state="accepted", due_at=NOW)  # fmt: skip
        put(connection, schema.touches, account_id=1, kind="note", at=NOW,
            note="Ada says that QUILLON ØSTRANDER moves on")  # fmt: skip
        connection.execute(
            sa.update(schema.deliveries)
            .where(schema.deliveries.c.id == copy)
            .values(address=FORMER, reason=f"sent to {FORMER}")
        )


def test_after_it_no_search_finds_the_person(scene: Scene, tmp_path: Path) -> None:
    quill = busy(scene, tmp_path)
    before = everything(scene.store)
    named = {name for name, text in before.items() if traced(text)}
    assert named >= {
        "contacts", "bases", "import_changes", "imports", "deliveries", "delivery_events",
        "holds", "touches", "operations", "variants", "postings", "provider_events", "mails",
        "notices", "stories", "snippets",
    }  # fmt: skip
    assert in_files(tmp_path)
    done = erase(scene.acting("tom"), QUILL, reason="Quillon Østrander asked")
    assert (done.public_id, done.already) == (quill.public_id, False)
    after = everything(scene.store)
    assert {name: traced(text) for name, text in after.items() if traced(text)} == {}
    assert in_files(tmp_path) == set()
    gone = [path.stem for path in tmp_path.rglob("*.eml")]
    assert quill.public_id not in gone
    assert (tmp_path / "previews" / "ferry-weekly-1" / "customer.html").exists()


def test_the_file_beside_the_database_holds_nothing_of_them(tmp_path: Path) -> None:
    """While the service runs SQLite keeps what was written lately in a file of its own."""
    path = tmp_path / "running.db"
    migrate(f"sqlite:///{path}")
    store = SqlStore(f"sqlite:///{path}", SECRET)
    ledger = build_ledger(store)
    ledger.plan()
    needle = address(0).encode()
    beside = path.with_name(path.name + "-wal")
    with closing(sqlite3.connect(path)) as service:
        service.execute("SELECT count(*) FROM contacts").fetchall()
        assert needle in path.read_bytes() + beside.read_bytes()
        erase(ports_of(store), address(0))
        assert needle not in path.read_bytes() + beside.read_bytes()
    store.close()


def test_what_others_need_stays(scene: Scene, tmp_path: Path) -> None:
    quill = busy(scene, tmp_path)

    def counted() -> dict[str, int]:
        with raw(scene.store) as connection:
            return {
                table.name: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
                for table in schema.metadata.sorted_tables
            }

    before = counted()
    ports = scene.acting("tom")
    erase(ports, QUILL)
    after = counted()
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"external_ids", "suppressions", "operations"}
    assert show_person(ports, "ada@northline.example").contact.name == "Ada Strand"
    person = show_person(ports, quill.public_id)
    assert (person.contact.name, person.contact.address, person.stand.word) == ("", "", "erased")
    assert [one.state for one in person.deliveries] == ["accepted"]
    assert quill.id not in {one.contact.id for one in list_people(ports)}
    with raw(scene.store) as connection:
        assert b"ada@northline.example" in connection.scalar(sa.select(schema.postings.c.body))
        hashes = set(connection.scalars(sa.select(schema.suppressions.c.address_hash)))
        for table in (schema.contacts, schema.deliveries):
            assert not hashes & set(connection.scalars(sa.select(table.c.address_hash)))


def test_a_second_time_says_that_it_is_done(scene: Scene, tmp_path: Path) -> None:
    quill = busy(scene, tmp_path)
    ports = scene.acting("tom")
    erase(ports, QUILL)
    before = everything(scene.store)
    for ref, public_id in ((QUILL, ""), (quill.public_id, quill.public_id), (FORMER, "")):
        again = erase(ports, ref)
        assert (again.already, again.public_id) == (True, public_id)
    assert everything(scene.store) == before
    for ref, error in (("nobody@x.example", NotFound), ("zzzz", NotFound), ("z", BadInput)):
        with pytest.raises(error):
            erase(ports, ref)


def test_a_later_file_brings_them_in_no_more(scene: Scene, tmp_path: Path) -> None:
    busy(scene, tmp_path)
    ports = scene.acting("tom")
    erase(ports, QUILL)
    alone = b"\n".join(FILE.splitlines()[:2])
    again = import_people(ports, alone, "again.csv")
    assert (again.new, again.changed, again.left) == (0, 0, 1)
    assert not traced(everything(scene.store)["contacts"])


def test_a_planned_copy_is_withheld(scene: Scene, tmp_path: Path) -> None:
    import_people(scene.acting("tom"), FILE, "p.csv")
    scene.ready()
    approve(scene.acting("liv"), "ferry-weekly")
    done = erase(scene.acting("tom"), QUILL)
    scene.at(DUE + timedelta(minutes=1))
    deliver(scene.ports)
    (copy,) = show_person(scene.ports, done.public_id).deliveries
    assert (copy.state, copy.reason, copy.address, copy.merge) == ("withheld", "erased", "", {})
    assert in_files(tmp_path) == set()


def test_while_a_copy_is_on_its_way_nothing_is_erased(scene: Scene, tmp_path: Path) -> None:
    quill = busy(scene, tmp_path)
    with raw(scene.store) as connection:
        connection.execute(
            sa.update(schema.deliveries)
            .where(schema.deliveries.c.contact_id == quill.id)
            .values(state="attempting")
        )
    before = everything(scene.store)
    with pytest.raises(Conflict, match="being sent at this very moment"):
        erase(scene.acting("tom"), QUILL)
    assert everything(scene.store) == before


def test_nothing_is_written_down_of_the_erased(scene: Scene, tmp_path: Path) -> None:
    ports = scene.acting("tom")
    import_people(ports, FILE, "p.csv")
    who = erase(ports, QUILL).public_id
    before = everything(scene.store)
    for act in (
        lambda: hold(ports, who, "Quillon is away"),
        lambda: pause(ports, who, date(2027, 6, 1)),
        lambda: suppress(ports, who, detail="Quillon asked"),
    ):
        with pytest.raises(Conflict, match="was erased on 2027-03-08"):
            act()
    assert everything(scene.store) == before


def test_news_of_a_copy_that_comes_later_brings_nothing_back(scene: Scene, tmp_path: Path) -> None:
    quill = busy(scene, tmp_path)
    with scene.store.read() as tables:
        (copy,) = tables.deliveries.of_contact(quill.id)
    erase(scene.acting("tom"), QUILL)
    for news in ("bounced", "complained"):
        listen.hear(scene.ports, copy.public_id, news, f"550 <{QUILL}> of Quillon")
    event = Event("e9", copy.public_id, "spamreport", NOW, detail=f"of {QUILL}")
    with scene.store.write() as tables:
        assert tables.postings.add_events("sendgrid", 1, [event]) == [event]
    after = everything(scene.store)
    assert {name: traced(text) for name, text in after.items() if traced(text)} == {}
    with scene.store.read() as tables:
        assert [one.state for one in tables.deliveries.of_contact(quill.id)] == ["complained"]


def test_one_name_alone_is_left_to_others(scene: Scene, tmp_path: Path) -> None:
    ports = scene.acting("tom")
    import_people(
        ports, b"Email;First name;Company\nmay@northline.example;May;Northline\n", "p.csv"
    )
    scene.story("It will be so in May", kind="note", url="")
    erase(ports, "may@northline.example")
    assert "It will be so in May" in everything(scene.store)["stories"]


# ── nothing is forgotten to be forgotten ─────────────────────────────────────────────────

COVERED = {
    schema.contacts.c.id: erasing.OF_CONTACT,
    schema.deliveries.c.id: erasing.OF_COPY,
    schema.touches.c.id: erasing.OF_TOUCH,
}
#: Short words of the program, keys of staff, names of who acted.
CODES = {
    "actor", "approved_by", "cleared_by", "verb", "about", "event_id", "provider_id",
}  # fmt: skip


@pytest.mark.parametrize("target", COVERED, ids=lambda column: str(column))
def test_every_reference_to_a_person_is_erased_and_exported(target: sa.Column[int]) -> None:
    pointing = {
        table.name
        for table in schema.metadata.sorted_tables
        if list(erasing.pointing(table, target))
    }
    assert pointing == set(COVERED[target]), "say in stores/erasing.py what becomes of it"
    exported = {table for tables in exporting.READ.values() for table in tables}
    assert pointing <= exported, "show it in stores/exporting.py"


def test_every_text_is_emptied_swept_or_nobodys() -> None:
    emptied = {name: set(columns) for of in COVERED.values() for name, columns in of.items()}
    for table in schema.metadata.sorted_tables:
        if table.name in erasing.IMPERSONAL or table is schema.contacts:
            assert table.name not in erasing.SWEPT
            continue
        texts = {
            column.name
            for column in table.columns
            if isinstance(column.type, sa.Text | sa.JSON | sa.LargeBinary)
            or (isinstance(column.type, sa.String) and (column.type.length or 999) >= 200)
        }
        seen = set(erasing.SWEPT.get(table.name, ())) | emptied.get(table.name, set()) | CODES
        if table.name in ("external_ids",):
            continue  # deleted
        assert texts <= seen | OTHERS.get(table.name, set()), f"{table.name}: stores/erasing.py"


#: Words of the firm, frozen, and what a copy holds of no person.
OTHERS = {
    "stories": {"url", "source_name"},
    "variants": {"story_ids"},
    "imports": {"tally"},
}


# ── what is known of one ─────────────────────────────────────────────────────────────────


def test_an_export_holds_everything_of_one_and_nothing_of_others(
    scene: Scene, tmp_path: Path
) -> None:
    quill = busy(scene, tmp_path)
    suppress(scene.acting("tom"), QUILL, detail="said so on the quay")
    before = everything(scene.store)
    made = export_person(scene.acting("tom"), QUILL)
    assert everything(scene.store) == before
    assert made.public_id == quill.public_id
    sections = {one["title"]: one["entries"] for one in made.document["sections"]}
    text = json.dumps(made.document, ensure_ascii=False)
    (who,) = sections["Who you are to us"]
    assert (who["first name"], who["e-mail address"]) == ("Quillon", QUILL)
    (evidence,) = sections["Why we may write to you"]
    assert (evidence["ground"], evidence["what was agreed to"]) == ("consent", "Yes, Quillon")
    (letter,) = sections["Letters to you"]
    assert (letter["subject"], letter["state"]) == ("Who times the ferries", "accepted")
    for words in ("Quillon called", "said so on the quay", f"550 <{QUILL}>", "to Quillon",
                  "Quay 1 opens an hour earlier", "Quillon is in talks"):  # fmt: skip
        assert words in text
    assert "ada" not in text.lower().replace("metadata", "")
    assert all(one["explained"] for one in made.document["sections"])
    assert "/leave/" not in text
    assert letter["what was filled in"]["first_name"] == "Quillon"


def test_of_the_erased_an_export_holds_no_trace(scene: Scene, tmp_path: Path) -> None:
    quill = busy(scene, tmp_path)
    erase(scene.acting("tom"), QUILL)
    text = json.dumps(export_person(scene.ports, quill.public_id).document, ensure_ascii=False)
    assert not traced(text)
