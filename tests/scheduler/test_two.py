"""Two real processes, one database: each thing is done once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline.scheduler import tick
from pipeline.stages.adopt import adopt
from pipeline.stores import schema
from pipeline.wiring import open_ports
from tests.builders import StandingClock
from tests.door import clean_environment
from tests.months.desk import Desk, move_in
from tests.months.world import Papers, make_workspace

OPENED = datetime(2026, 10, 26, 9, 0, tzinfo=UTC)  # a Monday
WRITTEN = datetime(2026, 10, 27, 9, 0, tzinfo=UTC)
DUE = "2026-10-29T06:35:00+00:00"  # a Thursday, 07:35 in Oslo
SECRET = "a secret for two processes, and long enough"
WAIT_S = 120


@dataclass
class Pair:
    """A workspace with an approved issue, and its database."""

    folder: Path
    url: str

    def rows(self, query: sa.Select[tuple[object, ...]]) -> list[tuple[object, ...]]:
        engine = sa.create_engine(self.url)
        try:
            with engine.connect() as connection:
                return [tuple(row) for row in connection.execute(query)]
        finally:
            engine.dispose()

    def start(self) -> subprocess.Popen[str]:
        environment = {
            "ASTERISM_DATABASE_URL": self.url, "ASTERISM_SECRET": SECRET, "ASTERISM_NOW": DUE,
        }  # fmt: skip
        return subprocess.Popen(
            [sys.executable, "-u", "-m", "pipeline", "-C", str(self.folder), "run", "--port", "0"],
            env=clean_environment(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, encoding="utf-8",
        )  # fmt: skip


@pytest.fixture
def pair(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Pair:
    folder = tmp_path / "quay"
    make_workspace(folder)
    monkeypatch.setenv("ASTERISM_DATABASE_URL", database_url)
    monkeypatch.setenv("ASTERISM_SECRET", SECRET)
    monkeypatch.delenv("ASTERISM_NOW", raising=False)
    with open_ports(folder, actor="asterism") as ports:
        clock = StandingClock(OPENED)
        ports = replace(ports, clock=clock, fetcher=Papers(clock.now))
        adopt(ports)
        move_in(ports)
        tick(ports)
        clock.at = WRITTEN
        desk = Desk()
        desk.act(ports)
        assert desk.held == []
    return Pair(folder, database_url)


def test_two_processes_do_each_thing_once(pair: Pair) -> None:
    tidied = sa.select(schema.jobs.c.name).where(
        schema.jobs.c.name == "tidy", schema.jobs.c.finished_at > OPENED
    )
    states = sa.select(schema.issues.c.state).where(schema.issues.c.number == 1)
    with ExitStack() as stack:
        both = [stack.enter_context(pair.start()) for _ in range(2)]
        for process in both:
            stack.callback(process.kill)
        until = time.monotonic() + WAIT_S
        # who finds the other one at the letters may come to its last job before they have left
        while not (pair.rows(tidied) and ("sent",) in pair.rows(states)):
            assert time.monotonic() < until, "nothing was done"
            assert all(process.poll() is None for process in both)
            time.sleep(0.2)
        said = []
        for process in both:
            assert process.stdout is not None
            for line in process.stdout:  # both have come as far as to their first tick
                said.append(line)
                if line.startswith("Next:"):
                    break
        for process in both:
            process.send_signal(signal.SIGTERM)
        said += [process.communicate(timeout=WAIT_S)[0] for process in both]
        assert [process.returncode for process in both] == [0, 0], said
    assert "".join(said).count("Stopped.") == 2
    assert "Traceback" not in "".join(said)
    events, runs = schema.delivery_events.c, schema.job_runs.c
    times = sa.select(events.delivery_id, sa.func.count()).where(events.state == "attempting")
    sent = pair.rows(times.group_by(events.delivery_id))
    assert len(sent) == len(list((pair.folder / "output" / "mail").rglob("*.eml"))) > 0
    assert {number for _, number in sent} == {1}
    done = sa.select(runs.job, sa.func.count()).where(runs.started_at > WRITTEN)
    by_job = dict(pair.rows(done.group_by(runs.job)))
    assert by_job["deliver"] == 1
    assert set(by_job.values()) == {1}, by_job
