"""The month's report through the real store: the same numbers as coverage, written as files."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline.errors import BadInput, NotFound
from pipeline.model.catalog import Account
from pipeline.model.sales import BeatLine, LetterCounts, Touch
from pipeline.ports import Ports
from pipeline.stages import listen
from pipeline.stages.compose import approve
from pipeline.stages.deliver import deliver
from pipeline.stages.people import erase
from pipeline.stages.report import coverage, month_reports, write_report
from pipeline.stores import schema
from pipeline.stores.sql import SqlStore
from pipeline.workspace.output import FilePapers
from tests.builders import CATALOG, DUE, FERRIES, NOW, StandingClock
from tests.compose_scene import REF, Scene, build_scene
from tests.people_scene import ports_of, put_catalog, raw

TRAMS = replace(
    FERRIES, key="trams", name="Trams", accounts=(Account("tram", "Tram", "prospect"),),
    newsletters=(),
)  # fmt: skip
TWO = replace(CATALOG, constellations=(FERRIES, TRAMS), digest="two")


def sent(store: SqlStore, folder: Path) -> Scene:
    """An issue with four letters is out."""
    scene = build_scene(store, folder, TWO)
    scene.people()
    scene.ready()
    approve(scene.ports, REF)
    scene.at(DUE + timedelta(minutes=1))
    deliver(scene.ports)
    return scene


def test_a_month_holds_what_the_ledger_knows(store: SqlStore, tmp_path: Path) -> None:
    scene = sent(store, tmp_path)
    with scene.store.read() as tables:
        issue = tables.letters.find_issue(REF)
        copies = {
            tables.people.by_id(d.contact_id).first_name: d.public_id
            for d in tables.deliveries.of_issue(issue.id)
            if d.contact_id
        }
    scene.at(DUE + timedelta(days=1))
    token = scene.ports.tokens.make("leave", copies["Ada"])
    for _ in "12":
        listen.leave(scene.ports, token, "newsletter", one_click=True)
    listen.leave(
        scene.ports, scene.ports.tokens.make("leave", copies["Cem"]), "all", one_click=True
    )
    listen.keep_after_all(scene.ports, scene.ports.tokens.make("leave", copies["Cem"]))
    listen.hear(scene.ports, copies["Bo"], "bounced", "550 no such user")
    ferries, trams = month_reports(scene.ports)
    assert ferries.coverage == coverage(scene.ports)[0]
    assert ferries.letters == LetterCounts(sent=4, left=1, bounced=1, complained=0)
    assert [(one.title, one.contacts) for one in ferries.stories] == [
        (f"Quay {n} opens an hour earlier", 3) for n in (1, 2, 3)
    ], "whose copy bounced was told nothing"
    assert BeatLine("Between Quays", date(2027, 3, 11), "kept", "") in ferries.beats
    kept = sum(one.state == "kept" for one in ferries.beats)
    promised = sum(one.state != "skipped" for one in ferries.beats)
    assert (kept, promised) == (ferries.coverage.beats_kept, ferries.coverage.beats_planned)
    assert (trams.letters, trams.stories, trams.beats) == (LetterCounts(0, 0, 0, 0), (), ())
    erase(scene.ports, "ada@northline.example")
    assert month_reports(scene.ports)[0].letters == ferries.letters, "totals outlive a person"


def test_pages_are_written_the_same_each_time(store: SqlStore, tmp_path: Path) -> None:
    scene = sent(store, tmp_path)
    ports = replace(scene.ports, papers=FilePapers(tmp_path / "reports"))
    written = write_report(ports)
    assert [str(path.relative_to(tmp_path / "reports")) for path in written.paths] == [
        "2027-03/ferries.html", "2027-03/ferries.csv", "2027-03/trams.html", "2027-03/trams.csv",
        "2027-03/index.html",
    ]  # fmt: skip
    before = {path: path.read_bytes() for path in written.paths}
    scene.at(DUE + timedelta(days=2))
    assert {path: path.read_bytes() for path in write_report(ports).paths} == before
    assert b"Northline" in before[written.paths[0]]
    assert all(path.stat().st_mode & 0o077 == 0 for path in written.paths)


def test_the_index_names_what_lies_there(store: SqlStore, tmp_path: Path) -> None:
    put_catalog(store, TWO)
    ports = replace(ports_of(store, TWO), papers=FilePapers(tmp_path / "reports"))
    index = write_report(ports, "trams").paths[-1]
    assert b"ferries.html" not in index.read_bytes()
    write_report(ports, "ferries")
    said = index.read_bytes()
    assert said.index(b"ferries.html") < said.index(b"trams.html")


def test_a_month_that_has_not_begun_and_one_that_is_over(store: SqlStore, tmp_path: Path) -> None:
    put_catalog(store, TWO)
    ports = replace(ports_of(store, TWO), papers=FilePapers(tmp_path / "reports"))
    with pytest.raises(BadInput, match="April 2027 has not begun"):
        write_report(ports, "", date(2027, 4, 1))
    with pytest.raises(NotFound):
        write_report(ports, "feries")
    assert not (tmp_path / "reports").exists()
    assert [one.is_over for one in month_reports(ports, "ferries", date(2027, 2, 3))] == [True]
    assert [one.is_over for one in month_reports(ports, "ferries")] == [False]


def test_what_another_month_told_is_not_this_ones(store: SqlStore) -> None:
    put_catalog(store, TWO)
    with store.write() as tables:
        story = tables.stories.add_story("note", "A note", "Words.", NOW)
        for at in (datetime(2027, 2, 27, tzinfo=UTC), NOW):
            tables.sales.add_touch(Touch("tram", None, "call", at, "tom"))
        tables.people.apply_import((), name="n", digest="d", actor="e", now=NOW, dry_run=False)
    with raw(store) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(schema.touches)) == 2
        connection.execute(
            sa.insert(schema.contacts),
            {"account_id": 4, "address": "a@tram.example", "address_hash": "h", "added_at": NOW},
        )
    for at in (datetime(2027, 2, 27, tzinfo=UTC), NOW):
        with store.write() as tables:
            tables.sales.add_touch(Touch("tram", 1, "forward", at, "tom", story_id=story))
    february = _reported(ports_of(store, TWO), date(2027, 2, 1))
    march = _reported(ports_of(store, TWO, clock=StandingClock()), NOW.date())
    assert february == march == (("A note", 1),)


def _reported(ports: Ports, month: date) -> tuple[tuple[str, int], ...]:
    (found,) = month_reports(ports, "trams", month)
    return tuple((one.title, one.contacts) for one in found.stories)
