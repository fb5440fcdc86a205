"""backup, restore: a drill, while somebody else is writing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import threading
import zipfile
from base64 import b64encode
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline.owners import this_process
from pipeline.stores import schema
from pipeline.stores.migrate import SCRIPTS, upgrade
from pipeline.stores.rows import rows_of, shapes
from pipeline.stores.sql import SqlStore
from pipeline.workspace.environment import read_env
from tests.door import ISSUE, THURSDAY, WEDNESDAY, Door, call
from tests.stores.test_migrate import empty_url  # noqa: F401  a fixture

FRIDAY = "2026-11-20T09:00:00+00:00"
KEY = b64encode(bytes(294)).decode()  # as long as one of 2048 bits


def rows(url: str) -> dict[str, list[str]]:
    """Every row of every table, as text; without the mark that a restore leaves."""
    store = SqlStore(url, b"x" * 32)
    try:
        with store.snapshot() as connection:
            found = {
                shape.name: [json.dumps(row) for row in rows_of(connection, shape)]
                for shape in shapes()
            }
    finally:
        store.close()
    found["meta"] = [row for row in found["meta"] if "restored_at" not in row]
    return found


def url_of(door: Door) -> str:
    return f"sqlite:///{door.folder / 'output' / 'asterism.db'}"


def backed_up(door: Door, *options: str) -> Path:
    return Path(door.ask("backup", *options)["path"])


def brought_back(door: Door, file: Path, to: Path, **environment: str) -> Door:
    other = Door(to, {**door.environment, **environment}, FRIDAY)
    other("restore", str(file))
    return other


# ── the drill ────────────────────────────────────────────────────────────────────────────


def test_backup_and_restore_bring_every_row_back(sent: Door, tmp_path: Path) -> None:
    before = rows(url_of(sent))
    other = brought_back(sent, backed_up(sent), tmp_path / "new")
    assert rows(url_of(other)) == before
    assert sum(map(len, before.values())) > 500
    for name in ("firm.yaml", "feeds.yaml", "constellations/power-tools.yaml"):
        assert other.path(name).read_bytes() == sent.path(name).read_bytes()
    assert "24 contacts" in other("status").out
    assert other.ask("explain", "issue", ISSUE) == sent.ask("explain", "issue", ISSUE)


def test_backup_goes_from_sqlite_into_postgresql_and_back(
    sent: Door, tmp_path: Path, postgres_url: str
) -> None:
    name = "asterism_test_restore_" + os.urandom(4).hex()
    server = sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    url = sa.make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
    try:
        there = brought_back(sent, backed_up(sent), tmp_path / "pg", ASTERISM_DATABASE_URL=url)
        assert rows(url) == rows(url_of(sent))
        there(
            "people", "touch", "ingrid.saether@tarnholm.example", "--kind", "call"
        )  # numbers go on
        back = brought_back(sent, backed_up(there), tmp_path / "back")
        assert len(rows(url_of(back))["touches"]) == len(rows(url_of(sent))["touches"]) + 1
    finally:
        with server.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        server.dispose()


def test_backup_shows_one_instant_while_others_write(curated: Door) -> None:
    """A touch and its line in the log are written together; no backup has one without the other."""
    stop, failures = threading.Event(), list[str]()

    def write() -> None:
        store = SqlStore(url_of(curated), b"x" * 32)
        with closing(store):
            number = 0
            while not stop.is_set() and number < 2000:
                number += 1
                with store.write() as tables:
                    for name in ("first", "second"):
                        tables.jobs._connection.execute(
                            sa.insert(schema.meta).values(name=f"{name} {number}", value="")
                        )

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(4):
            file = backed_up(curated, str(curated.path(f"{number}.zip")))
            with zipfile.ZipFile(file) as archive:
                text = archive.read("tables/meta.jsonl").decode()
            if text.count('"first ') != text.count('"second '):
                failures.append(text)
    finally:
        stop.set()
        writer.join()
    assert not failures
    assert text.count('"first ') > 0


def test_backup_is_for_its_owner_alone_and_names_what_it_holds(sent: Door) -> None:
    said = sent("backup")
    file = next(sent.path("output/backups").iterdir())
    assert file.stat().st_mode & 0o777 == 0o600
    assert str(file) in said.out
    assert "addresses and the secret" in said.out
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
    assert "manifest.json" in names
    assert not [name for name in names if ".env" in name or "output/mail" in name]


def test_backup_again_writes_another_one_and_keeps_as_many_as_asked(sent: Door) -> None:
    for minute in range(4):
        sent.now = f"2026-11-20T09:0{minute}:00+00:00"
        done = sent.ask("backup", "--keep", "2")
    assert done["removed"] == ["asterism-20261120T090100Z.zip"]
    assert sorted(path.name for path in sent.path("output/backups").iterdir()) == [
        "asterism-20261120T090200Z.zip", "asterism-20261120T090300Z.zip",
    ]  # fmt: skip


def test_backup_writes_over_nothing(sent: Door) -> None:
    sent.path("there.zip").write_text("mine")
    said = sent("backup", str(sent.path("there.zip")), code=4)
    assert "is there already" in said.err
    assert sent.path("there.zip").read_text() == "mine"


# ── what is due stays here ───────────────────────────────────────────────────────────────


def test_restore_of_an_older_backup_sends_nothing_that_was_due(
    approved: Door, tmp_path: Path
) -> None:
    """The backup is of Wednesday, the letters went out on Thursday, the disk died at noon."""
    file = backed_up(approved)
    approved.now = THURSDAY
    approved("deliver")
    other = Door(tmp_path / "new", dict(approved.environment), "2026-11-19T12:00:00+00:00")
    said = other("restore", str(file))
    assert ISSUE in said.out
    assert "asterism deliver allow" in said.out
    assert f"asterism deliver allow {ISSUE} --went-out" in said.out
    other("deliver")
    assert not list(other.path("output").rglob("*.eml"))
    assert ISSUE in other("status").out


def test_restore_of_a_wrong_moment_lets_go_what_a_person_allows(
    approved: Door, tmp_path: Path
) -> None:
    file = backed_up(approved)
    approved.now = THURSDAY
    approved("deliver")
    all_of_it = {path.name for path in approved.path("output").rglob("*.eml")}
    other = Door(tmp_path / "new", dict(approved.environment), THURSDAY)
    other("restore", str(file))
    other("deliver")
    assert not list(other.path("output").rglob("*.eml"))
    other("--as", "henrik", "deliver", "allow", ISSUE)
    other("deliver")
    assert {path.name for path in other.path("output").rglob("*.eml")} == all_of_it


# ── what is refused ──────────────────────────────────────────────────────────────────────


def test_restore_does_not_touch_rows_that_nobody_gave_up(sent: Door) -> None:
    file = backed_up(sent)
    before = sent.state()
    said = sent("restore", str(file), code=4)
    assert "holds rows already" in said.err
    assert "--replace" in said.err
    assert sent.state() == before


def test_restore_again_with_replace_keeps_what_was_there(sent: Door) -> None:
    file = backed_up(sent)
    sent("people", "touch", "ingrid.saether@tarnholm.example", "--kind", "call")
    held = rows(url_of(sent))
    for _ in range(2):
        sent.now = FRIDAY if sent.now == THURSDAY else "2026-11-20T10:00:00+00:00"
        done = sent.ask("restore", str(file), "--replace")
        assert len(rows(url_of(sent))["touches"]) == len(held["touches"]) - 1
    first = sorted(sent.path("output/backups").glob("before-restore-*"))[0]
    sent("restore", str(first), "--replace")
    assert rows(url_of(sent)) == held
    assert done["files"] == []


@pytest.fixture
def spoilt(sent: Door) -> tuple[Door, Path]:
    return sent, backed_up(sent)


def test_restore_refuses_what_is_cut_short(spoilt: tuple[Door, Path], tmp_path: Path) -> None:
    door, file = spoilt
    for size in (0, 10, file.stat().st_size // 2, file.stat().st_size - 30):
        cut = tmp_path / f"{size}.zip"
        cut.write_bytes(file.read_bytes()[:size])
        before = door.state()
        said = door("restore", str(cut), "--replace", code=2)
        assert "no whole backup" in said.err
        assert door.state() == before


def test_restore_refuses_what_was_changed(spoilt: tuple[Door, Path], tmp_path: Path) -> None:
    door, file = spoilt
    for other in ("tables/contacts.jsonl", "files/firm.yaml"):
        changed = tmp_path / "changed.zip"
        with zipfile.ZipFile(file) as old, zipfile.ZipFile(changed, "w") as new:
            for name in old.namelist():
                content = old.read(name)
                if name == other:
                    content = b"".join(content.splitlines(keepends=True)[1:])
                new.writestr(name, content)
        said = door("restore", str(changed), "--replace", code=2)
        assert Path(other).stem in said.err
        assert "is not as it was written" in said.err


def test_restore_writes_no_file_outside_the_workspace(
    spoilt: tuple[Door, Path], tmp_path: Path
) -> None:
    door, file = spoilt
    evil = tmp_path / "evil.zip"
    names = (
        "constellations/../../out.yaml", "/tmp/asterism-out", "bin/sh",
        f"{tmp_path}/templates/out.yaml", f"{tmp_path}/firm.yaml", "output/templates/out.yaml",
        "./templates/../../out.yaml", "templates//out.yaml",
    )  # fmt: skip
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(evil, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "manifest.json":
                manifest = json.loads(content)
                manifest["files"] |= dict.fromkeys(names, "")
                content = json.dumps(manifest).encode()
            new.writestr(name, content)
        for name in names:
            new.writestr(f"files/{name}", "owned")
    other = Door(tmp_path / "new" / "deep", dict(door.environment), FRIDAY)
    other("restore", str(evil))
    assert "owned" not in "".join(
        path.read_text("utf-8", "replace") for path in tmp_path.rglob("*.yaml")
    )
    assert not Path("/tmp/asterism-out").exists()
    assert not (other.folder / "bin").exists()


def test_restore_refuses_what_lacks_a_part_before_it_touches_anything(
    spoilt: tuple[Door, Path], tmp_path: Path
) -> None:
    door, file = spoilt
    for missing in ("secret", "files/firm.yaml", "tables/issues.jsonl"):
        halved = tmp_path / "halved.zip"
        with zipfile.ZipFile(file) as old, zipfile.ZipFile(halved, "w") as new:
            for name in set(old.namelist()) - {missing}:
                new.writestr(name, old.read(name))
        other = Door(tmp_path / "new", dict(door.environment), FRIDAY)
        assert "no whole backup" in other("restore", str(halved), code=2).err
        assert not other.folder.exists()


def test_restore_refuses_a_file_that_swells(spoilt: tuple[Door, Path], tmp_path: Path) -> None:
    """A line, and a manifest, that would fill the memory."""
    door, file = spoilt
    for swollen in ("tables/contacts.jsonl", "manifest.json", "secret"):
        bomb = tmp_path / "bomb.zip"
        with (
            zipfile.ZipFile(file) as old,
            zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new,
        ):
            for name in set(old.namelist()) - {swollen}:
                new.writestr(name, old.read(name))
            with new.open(swollen, "w") as stream:
                for _ in range(65):
                    stream.write(b" " * 1_000_000)
        before = door.state()
        assert "no whole backup" in door("restore", str(bomb), "--replace", code=2).err
        assert door.state() == before


def test_restore_refuses_a_manifest_of_another_shape(
    spoilt: tuple[Door, Path], tmp_path: Path
) -> None:
    door, file = spoilt
    for wrong in (
        {"tables": [{}]},
        {"tables": 3},
        {"files": [1]},
        {"tables": [{"name": "issues"}]},
    ):
        odd = tmp_path / "odd.zip"
        with zipfile.ZipFile(file) as old, zipfile.ZipFile(odd, "w") as new:
            for name in old.namelist():
                content = old.read(name)
                if name == "manifest.json":
                    content = json.dumps(json.loads(content) | wrong).encode()
                new.writestr(name, content)
        assert "no whole backup" in door("restore", str(odd), "--replace", code=2).err


def test_restore_over_what_is_there_brings_back_nobody_who_left(sent: Door) -> None:
    """Who left, and who was erased, after the backup was taken: the rows that knew it go."""
    file = backed_up(sent)
    left, gone = "ingrid.saether@tarnholm.example", "paul.weidt@vantry.example"
    sent("people", "suppress", left)
    sent("people", "erase", gone, "--yes")
    done = sent.ask("restore", str(file), "--replace")
    assert done["stopped"] == 2
    for who, why in ((left, "asked"), (gone, "erased")):
        ends = sent.ask("people", "show", who)["suppressions"]
        assert why in [one["reason"] for one in ends], ends
    assert sent.ask("restore", str(file), "--replace")["stopped"] == 2
    sent.now = FRIDAY
    said = sent("restore", str(file), "--replace").out
    assert "what ended letters since then stays in force: 2 (leaves" in said
    assert "Who was erased since then is back in the rows, and gets nothing" in said


def test_restore_into_an_empty_folder_says_that_nobody_remembers_who_left(
    sent: Door, tmp_path: Path
) -> None:
    file = backed_up(sent)
    gone = "ingrid.saether@tarnholm.example"
    sent("people", "erase", gone, "--yes")
    other = Door(tmp_path / "new", dict(sent.environment), FRIDAY)
    said = other("restore", str(file)).out
    assert "gets nothing" not in said
    for words in ("Nothing here remembers them", "they may be written to again", "people erase"):
        assert words in said
    assert "may be written to" in other("people", "show", gone).out
    other("people", "erase", gone, "--yes")


def test_restore_over_what_is_there_keeps_people_waiting_and_issues_stopped(
    approved: Door,
) -> None:
    """Somebody went on leave, somebody is spoken to first, and a lawyer said no: all since then."""
    file = backed_up(approved)
    away, spoken_to = "ingrid.saether@tarnholm.example", "paul.weidt@vantry.example"
    approved("people", "pause", away, "--until", "2027-03-01")
    approved("people", "hold", spoken_to, "--reason", "Tom calls first")
    approved("--as", "henrik", "issue", "stop", ISSUE, "--reason", "a lawyer said no")
    said = approved("restore", str(file), "--replace").out
    assert "what held letters back since then stays in force: 2 (pauses, holds" in said
    assert f"{ISSUE} was stopped since then, and stays stopped" in said
    assert approved.ask("people", "show", away)["standing"]["paused_until"] == "2027-03-01"
    assert approved.ask("people", "show", spoken_to)["standing"]["hold"] == "Tom calls first"
    assert "a lawyer said no" in approved("explain", "issue", ISSUE).out
    approved.now = THURSDAY
    approved("tick")
    assert not list(approved.path("output").rglob("*.eml"))
    assert approved.ask("issue", "show", ISSUE)["issue"]["state"] == "stopped"
    approved("--as", "henrik", "issue", "approve", ISSUE)
    assert approved.ask("issue", "show", ISSUE)["issue"]["state"] == "scheduled"


def test_restore_keeps_to_the_secret_that_is_set(sent: Door, tmp_path: Path) -> None:
    file = backed_up(sent)
    other = Door(tmp_path / "new", {**sent.environment, "ASTERISM_SECRET": "s" * 40}, FRIDAY)
    said = other("restore", str(file), code=4)
    assert "another secret" in said.err
    assert not (other.folder / "output" / "asterism.db").exists()
    other.environment["ASTERISM_SECRET"] = read_env(sent.folder)["ASTERISM_SECRET"]
    other("restore", str(file))  # no rows were there: as the hint says


def test_restore_under_another_secret_says_what_works(sent: Door, tmp_path: Path) -> None:
    file = backed_up(sent)
    held, before = rows(url_of(sent)), sent.state()
    sent.environment["ASTERISM_SECRET"] = "s" * 40
    said = sent("restore", str(file), "--replace", code=4)
    for words in ("Set ASTERISM_SECRET to the old one", "into a new folder where none is set"):
        assert words in said.err
    assert sent.state() == before
    del sent.environment["ASTERISM_SECRET"]
    assert rows(url_of(brought_back(sent, file, tmp_path / "new"))) == held
    sent("restore", str(file), "--replace")
    assert rows(url_of(sent)) == held


@pytest.mark.parametrize("until", ["07:33", "08:01"])  # of a sending, of a gathering
def test_restore_waits_for_no_running_program(sent: Door, until: str) -> None:
    file = backed_up(sent)
    with closing(sqlite3.connect(sent.path("output/asterism.db"))) as database:
        database.execute(
            "INSERT INTO leases VALUES ('any', ?, ?, 1)",
            (this_process(), f"2026-11-19 {until}:00.000000"),
        )
        database.commit()
    before = sent.state()
    said = sent("restore", str(file), "--replace", code=4)
    assert "A program is working on this database" in said.err
    assert "systemctl stop asterism" in said.err
    sent.path("output/backups").joinpath("before-restore-20261119T073100Z.zip").unlink()
    assert sent.state() == before


def test_restore_of_a_newer_program_is_refused(spoilt: tuple[Door, Path], tmp_path: Path) -> None:
    door, file = spoilt
    newer = tmp_path / "newer.zip"
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(newer, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "manifest.json":
                content = content.replace(b'"revision": "0002"', b'"revision": "9999"')
            new.writestr(name, content)
    said = door("restore", str(newer), "--replace", code=4)
    assert "a newer Asterism" in said.err


def test_restore_of_an_older_program_is_brought_up_to_date(
    made: Door,
    tmp_path: Path,
    empty_url: str,  # noqa: F811
) -> None:
    """A backup at the first revision, with data in it, into both databases."""
    older = tmp_path / "older"
    shutil.copytree(made.folder, older)
    shutil.rmtree(older / "output")
    url = f"sqlite:///{older / 'output' / 'asterism.db'}"
    (older / "output").mkdir()
    upgrade(url, SCRIPTS, "0001")
    file = backed_up(made)
    with closing(sqlite3.connect(older / "output" / "asterism.db")) as database:
        names = {
            name: [row[1] for row in database.execute(f"PRAGMA table_info({name})")]
            for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
    first = tmp_path / "first.zip"
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(first, "w") as new:
        manifest = json.loads(old.read("manifest.json"))
        kept = []
        for table in manifest["tables"]:
            if table["name"] not in names:
                continue
            at = [n for n, (c, _) in enumerate(table["columns"]) if c in names[table["name"]]]
            lines = [
                json.loads(line) for line in old.read(f"tables/{table['name']}.jsonl").splitlines()
            ]
            content = b"".join(json.dumps([row[n] for n in at]).encode() + b"\n" for row in lines)
            table["columns"] = [table["columns"][n] for n in at]
            table["sha256"] = hashlib.sha256(content).hexdigest()
            kept.append(table)
            new.writestr(f"tables/{table['name']}.jsonl", content)
        manifest |= {"tables": kept, "revision": "0001"}
        new.writestr("manifest.json", json.dumps(manifest))
        new.writestr("secret", old.read("secret"))
        for name in manifest["files"]:
            new.writestr(f"files/{name}", old.read(f"files/{name}"))
    other = brought_back(made, first, tmp_path / "new", ASTERISM_DATABASE_URL=empty_url)
    assert rows(empty_url)["accounts"] == rows(url_of(made))["accounts"]
    assert "12 accounts" in other("check").out


def test_restore_of_nothing(tmp_path: Path) -> None:
    said = call("-C", str(tmp_path / "new"), "restore", str(tmp_path / "no.zip"))
    assert said.code == 3
    assert "There is no file" in said.err
    assert not (tmp_path / "new").exists()


def test_backup_without_a_workspace(tmp_path: Path) -> None:
    said = call("-C", str(tmp_path), "backup", environment={"ASTERISM_NOW": WEDNESDAY})
    assert said.code == 2
    assert "no workspace" in said.err


# ── doctor ───────────────────────────────────────────────────────────────────────────────


def test_doctor_looks_everything_over_and_changes_nothing(sent: Door) -> None:
    before = sent.state()
    said = sent("doctor")
    for area in ("settings", "files", "disk", "clock", "database", "transport", "DNS", "running"):
        assert f"\n{area}\n" in "\n" + said.out
    assert "Mail goes into files" in said.out
    assert "could be better" in said.out
    assert sent.state() == before


def test_doctor_again_is_the_same(to_read: Door) -> None:
    assert {c["what"] for c in to_read.ask("doctor") if c["area"] == "database"} == {
        c["what"] for c in to_read.ask("doctor") if c["area"] == "database"
    }


def test_doctor_ends_with_one_when_something_is_bad(sent: Door) -> None:
    sent.path("output/asterism.db").chmod(0o644)
    said = sent("doctor", code=1)
    assert "Others on this machine may read output/asterism.db" in said.out
    assert "chmod 600 output/asterism.db" in said.out
    assert "must be mended" in said.out


def test_doctor_takes_dns_answers_from_a_file(sent: Door) -> None:
    sent.environment |= {
        "ASTERISM_TRANSPORT": "smtp", "ASTERISM_SMTP_HOST": "127.0.0.1",
        "ASTERISM_SMTP_PORT": "9", "ASTERISM_SMTP_TLS": "none", "ASTERISM_MAIL_STAYS_HERE": "yes",
    }  # fmt: skip
    answers = sent.path("answers.txt")
    answers.write_text('ferrierwick.example. 300 IN TXT "v=spf1 -all"\n')
    said = sent("doctor", "--answers", str(answers), code=1)
    assert "ferrierwick.example has an SPF record" in said.out
    assert "ferrierwick.example has no DMARC record" in said.out
    answers.write_text("nothing of the kind\n")
    said = sent("doctor", "--answers", str(answers), code=2)
    assert "answers.txt:1:1" in said.err


def test_doctor_follows_the_aliases_of_the_dns_answers(sent: Door) -> None:
    sent.environment |= {
        "ASTERISM_TRANSPORT": "sendgrid", "ASTERISM_SENDGRID_KEY": "SG.key",
        "ASTERISM_SENDGRID_URL": "http://127.0.0.1:9", "ASTERISM_MAIL_STAYS_HERE": "yes",
    }  # fmt: skip
    answers = sent.path("answers.txt")
    own, theirs = "s1._domainkey.ferrierwick.example", "s1.domainkey.u1.wl.sendgrid.net"
    answers.write_text(f"{own}. 300 IN CNAME {theirs}.\n")
    missing = sent("doctor", "--answers", str(answers), code=1).out
    assert "s2._domainkey.ferrierwick.example" in missing
    with answers.open("a") as out:
        out.write(f'{theirs}. 300 IN TXT "k=rsa; p={KEY}"\n')
    checks = json.loads(sent("doctor", "--json", "--answers", str(answers), code=1).out)
    (found,) = [check["verdict"] for check in checks if own in check["what"]]
    assert own in missing
    assert found == "good"
    answers.write_text(";; connection timed out; no servers could be reached\n")
    assert "answers.txt:1:1" in sent("doctor", "--answers", str(answers), code=2).err


def test_doctor_shows_the_rest_while_the_database_is_locked(sent: Door) -> None:
    """The files changed, so that opening it wants to write; somebody else is at it."""
    with sent.path("feeds.yaml").open("a") as feeds:
        feeds.write("\n# changed\n")
    sent.environment["ASTERISM_WAIT"] = "0.1"
    with closing(sent.database()) as other:
        other.execute("BEGIN IMMEDIATE")
        said = sent("doctor", code=1)
        checks = {check["area"] for check in json.loads(sent("doctor", "--json", code=1).out)}
    for words in ("database is locked", "Mail goes into files", "GB are free"):
        assert words in said.out
    assert checks == {
        "settings", "files", "disk", "database", "transport", "DNS", "running"
    }  # fmt: skip
    sent("doctor")


def test_doctor_shows_the_rest_when_the_database_is_none(sent: Door) -> None:
    for name in ("asterism.db", "asterism.db-wal", "asterism.db-shm"):
        sent.path(f"output/{name}").unlink(missing_ok=True)
    sent.path("output/asterism.db").write_bytes(b"no database at all " * 100)
    sent.path("output/asterism.db").chmod(0o600)
    said = sent("doctor", code=1)
    assert "✗" in said.out.partition("database\n")[2].splitlines()[0]
    assert "1 thing must be mended" in said.out
    assert "What runs by itself stands in the database." in said.out


def test_doctor_without_a_workspace(tmp_path: Path) -> None:
    assert call("-C", str(tmp_path), "doctor").code == 2
