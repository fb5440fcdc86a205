"""Killed in the middle and started again: nobody gets a copy twice, nobody is forgotten."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from email import policy
from email.parser import BytesHeaderParser
from pathlib import Path

import sqlalchemy as sa

from pipeline.stores import schema
from pipeline.stores.sql import SqlStore
from tests.ledger_scene import Scene, address, build_scene, connection
from tests.stages.delivering import PATIENCE_S

ROOT = Path(__file__).parents[2]
CHUNK = 40


class Runs:
    """Runs of `deliver`, one after the other, each in a process of its own."""

    def __init__(self, url: str, folder: Path, chunk: int) -> None:
        command = [sys.executable, "-m", "tests.stages.delivering", url, str(folder), str(chunk)]
        self._nursery = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def begin(self, most: int = sys.maxsize) -> int:
        """Start one, which stands still when it finds so many copies; its process id."""
        assert self._nursery.stdin is not None
        self._nursery.stdin.write(f"{most}\n")
        self._nursery.stdin.flush()
        return self._line()

    def end(self) -> int:
        """Wait for it; its exit status, or minus the signal that killed it."""
        return self._line()

    def _line(self) -> int:
        assert self._nursery.stdout is not None
        return int(self._nursery.stdout.readline())

    def close(self) -> None:
        for pipe in (self._nursery.stdin, self._nursery.stdout):
            assert pipe is not None
            pipe.close()
        assert self._nursery.wait(PATIENCE_S) == 0


def out(folder: Path) -> list[Path]:
    return list(folder.rglob("*.eml"))


def wait_for(folder: Path, copies: int) -> None:
    ends = time.monotonic() + PATIENCE_S
    while len(out(folder)) < copies:
        assert time.monotonic() < ends, "the run stands still"
        time.sleep(0.001)


def assert_each_exactly_once(scene: Scene, folder: Path) -> None:
    """Files, ledger, history and touches all say the same."""
    number = len(scene.contact_ids)
    read = BytesHeaderParser(policy=policy.default)
    headers = [read.parsebytes(path.read_bytes()) for path in out(folder)]
    recipients = Counter(one["To"].addresses[0].addr_spec for one in headers)
    assert recipients == Counter({address(n): 1 for n in range(number)})
    assert {one["Message-ID"] for one in headers} == {
        f"<{path.stem}@quaytide.example>" for path in out(folder)
    }
    assert scene.states() == {"accepted": number}
    with connection(scene.store) as raw:
        accepted = raw.scalars(
            sa.select(schema.delivery_events.c.delivery_id).where(
                schema.delivery_events.c.state == "accepted"
            )
        ).all()
        assert len(accepted) == len(set(accepted)) == number
        touched = raw.scalars(sa.select(schema.touches.c.contact_id)).all()
        assert sorted(touched) == sorted(scene.contact_ids)
    with scene.store.read() as tables:
        assert tables.letters.by_id(scene.issue.id).state == "sent"


def kill_often(runs: Runs, scene: Scene, folder: Path, kills: int) -> None:
    chance = random.Random(20270308)
    contacts = len(scene.contact_ids)
    left: Counter[str] = Counter()
    for number in range(kills):
        # spread over the whole run, and inside a chunk as well as at its edges; a run that
        # we are late to kill stands still within two chunks, before it is through
        threshold = 1 + (contacts - 3 * CHUNK) * number // kills + chance.randrange(CHUNK // 2)
        process = runs.begin(threshold + CHUNK)
        wait_for(folder, threshold)
        time.sleep(chance.random() / 50)
        os.kill(process, signal.SIGKILL)
        assert runs.end() == -signal.SIGKILL, "it ended before the kill"
        assert threshold <= len(out(folder)) < contacts, "the kill lies outside the run"
        states = scene.states()
        left.update(states.keys())
        assert states.get("accepted", 0) < contacts
        assert not {"unknown", "refused", "withheld"} & set(states)
    assert left["attempting"], "no kill fell between sending and settling: it proves little"


def test_killed_and_started_again(database_url: str, store: SqlStore, tmp_path: Path) -> None:
    """Twenty kills over a thousand contacts; on PostgreSQL fewer of both."""
    contacts, kills = (1000, 20) if database_url.startswith("sqlite") else (300, 5)
    scene = build_scene(store, contacts=contacts)
    scene.plan()
    runs = Runs(database_url, tmp_path / "mail", chunk=CHUNK)
    try:
        kill_often(runs, scene, tmp_path / "mail", kills)
        runs.begin()
        assert runs.end() == 0
    finally:
        runs.close()
    assert_each_exactly_once(scene, tmp_path / "mail")


def test_two_runs_at_once_share_the_work(
    database_url: str, store: SqlStore, tmp_path: Path
) -> None:
    scene = build_scene(store, contacts=200)
    scene.plan()
    both = [Runs(database_url, tmp_path / "mail", chunk=10) for _ in range(2)]
    try:
        for runs in both:
            runs.begin()
        assert [runs.end() for runs in both] == [0, 0]
    finally:
        for runs in both:
            runs.close()
    assert_each_exactly_once(scene, tmp_path / "mail")
    with connection(store) as raw:
        fences = set(raw.scalars(sa.select(schema.deliveries.c.fence)))
    assert fences == {1}  # nobody took what another one held
