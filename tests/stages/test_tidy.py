"""Housekeeping on both databases: what goes, what stays, and again."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline.errors import Conflict
from pipeline.model.running import JobRun
from pipeline.ports import Ports
from pipeline.stages.tidy import Tidied, tidy
from pipeline.stores import schema
from pipeline.stores.migrate import VERSION_TABLE
from pipeline.stores.migrations import HEAD
from pipeline.stores.sql import SqlStore
from pipeline.workspace.files import ABANDONED_S, FileWorkspace
from tests.builders import NOW
from tests.people_scene import dump, ports_of, raw
from tests.story_scene import adopt, open_issue


@pytest.fixture
def ports(store: SqlStore, tmp_path: Path) -> Ports:
    adopt(store)
    return replace(ports_of(store), workspace=FileWorkspace(tmp_path))


def fetched(store: SqlStore, days: int) -> None:
    with store.write() as tables:
        source = tables.news.sources()[0]
        line = {"outcome": "unchanged", "reason": "", "detail": "", "status": 304,
                "entries": 0, "new": 0, "changed": 0, "elapsed_s": 0.1}  # fmt: skip
        tables.news.record_fetch(source, NOW - timedelta(days=days), line)


def ran(store: SqlStore, days: int) -> None:
    at = NOW - timedelta(days=days)
    with store.write() as tables:
        tables.jobs.record(JobRun("gather", at, at, at, "done", "1 new item", "quay|1|a"), NOW)


def left(folder: Path, name: str, age_s: float) -> Path:
    path = folder / "output" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half a letter")
    then = time.time() - age_s
    os.utime(path, (then, then))
    return path


def test_old_history_goes_and_the_rest_stays(ports: Ports, store: SqlStore) -> None:
    for days in (91, 89, 1):
        fetched(store, days)
        ran(store, days)
    open_issue(store)
    people_wrote = [schema.issues, schema.snippets, schema.beats, schema.operations]
    before = dump(store, *people_wrote)
    assert tidy(ports) == Tidied(fetches=1, runs=1)
    assert dump(store, *people_wrote) == before
    with store.read() as tables:
        assert len(tables.jobs.runs()) == 2
        assert set(tables.jobs.states()) == {"gather"}
    assert tidy(ports) == Tidied(), "again finds nothing"


def test_a_posting_loses_its_body_a_month_after_it_was_understood(
    ports: Ports, store: SqlStore
) -> None:
    with store.write() as tables:
        ids = [
            tables.postings.add("sendgrid", f"digest{days}", b"[anna@firm.example]",
                                NOW - timedelta(days=days))
            for days in (31, 40, 29)
        ]  # fmt: skip
        for posting_id, days in zip(ids[::2], (31, 29), strict=True):
            assert posting_id is not None
            tables.postings.done(posting_id, NOW - timedelta(days=days), "1 event")
    assert tidy(ports) == Tidied(postings=1)
    with raw(store) as connection:
        bodies = connection.execute(
            sa.select(schema.postings.c.digest, schema.postings.c.body)
        ).all()
    assert {digest: bytes(body) for digest, body in bodies} == {
        "digest31": b"", "digest40": b"[anna@firm.example]", "digest29": b"[anna@firm.example]",
    }  # fmt: skip
    assert tidy(ports) == Tidied()


def test_what_killed_writers_left_is_swept(ports: Ports, tmp_path: Path) -> None:
    abandoned = left(tmp_path, "mail/between-quays/3/.abc123.part", ABANDONED_S + 60)
    stays = [
        left(tmp_path, "mail/between-quays/3/.def456.part", 60),  # somebody writes it now
        left(tmp_path, "mail/between-quays/3/a.eml", ABANDONED_S * 9),
        left(tmp_path, "preview.part", ABANDONED_S * 9),  # a name that a person gave
    ]
    outside = tmp_path / ".mine.part"
    outside.write_bytes(b"not in output")
    os.utime(outside, (0, 0))
    assert tidy(ports).files == 1
    assert not abandoned.exists()
    assert [path for path in [*stays, outside] if not path.exists()] == []


def test_a_database_of_another_shape_is_told(store: SqlStore) -> None:
    store.check_shape()
    with raw(store) as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    try:
        with pytest.raises(Conflict, match="another schema"):
            store.check_shape()
    finally:  # the PostgreSQL of these tests is shared
        with raw(store) as connection:
            connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '{HEAD}'")


def test_a_stamp_is_another_one_after_each_change(tmp_path: Path) -> None:
    files = FileWorkspace(tmp_path)
    stamps = [files.stamp()]
    (tmp_path / "constellations").mkdir()
    for change in (
        lambda: (tmp_path / "firm.yaml").write_text("name: Quay"),
        lambda: (tmp_path / "feeds.yaml").write_text("sources: []"),
        lambda: (tmp_path / "constellations/ferries.yaml").write_text("name: Ferries"),
        lambda: (tmp_path / "constellations/ferries.yaml").write_text("name: Ferries!"),
        lambda: (tmp_path / "constellations/accounts.csv").write_text("key,name"),
        lambda: (tmp_path / "constellations/ferries.yaml").unlink(),
    ):
        change()
        stamps.append(files.stamp())
    assert len(set(stamps)) == len(stamps)
    assert files.stamp() == stamps[-1], "nothing changed, and the stamp did not"
