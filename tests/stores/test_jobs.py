"""The contract of jobs and leases, on both databases."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import pytest

from pipeline.model.running import JobRun, JobState, Lease
from pipeline.owners import this_process
from pipeline.rules.schedule import LONGEST_LEASE
from pipeline.stores.sql import SqlStore
from tests.builders import NOW

MINUTE = timedelta(minutes=1)
RUN = JobRun("gather", NOW, NOW, NOW + MINUTE, "done", "3 new items from 4 sources", "quay|1|a")


def take(store: SqlStore, owner: str, minutes: int = 10, after: int = 0) -> Lease | None:
    now = NOW + after * MINUTE
    with store.write() as tables:
        return tables.jobs.take("gather", owner, now + minutes * MINUTE, now)


def record(store: SqlStore, run: JobRun, minutes: int = 10) -> None:
    with store.write() as tables:
        tables.jobs.record(run, NOW + minutes * MINUTE)


def test_one_holds_a_lease_until_it_ends(store: SqlStore) -> None:
    first = take(store, "quay|1|a")
    assert first == Lease("gather", "quay|1|a", NOW + 10 * MINUTE, 1)
    assert take(store, "pier|2|b", after=9) is None
    later = take(store, "pier|2|b", after=10)
    assert later is not None
    assert later.fence == 2


def test_another_lease_is_another_thing(store: SqlStore) -> None:
    take(store, "quay|1|a")
    with store.write() as tables:
        assert tables.jobs.take("deliver", "pier|2|b", NOW + MINUTE, NOW) is not None


def test_who_lets_go_makes_room_and_the_fence_goes_on_growing(store: SqlStore) -> None:
    first = take(store, "quay|1|a")
    assert first is not None
    with store.write() as tables:
        tables.jobs.let_go(first)
    second = take(store, "pier|2|b")
    assert second is not None
    assert second.fence == 2


def test_who_lost_it_cannot_let_go_for_its_new_holder(store: SqlStore) -> None:
    first = take(store, "quay|1|a", minutes=1)
    assert first is not None
    assert take(store, "pier|2|b", after=1) is not None
    with store.write() as tables:
        tables.jobs.let_go(first)
    assert take(store, "quay|1|a", after=2) is None


def test_a_lease_that_lasts_too_long_was_given_before_the_clock_was_set_back(
    store: SqlStore,
) -> None:
    three_days = 3 * 24 * 60
    take(store, "quay|1|a", after=three_days)
    assert take(store, "pier|2|b") is not None
    assert take(store, "quay|1|a") is None, "the new one is a lease like any other"


def test_the_longest_lease_is_still_one(store: SqlStore) -> None:
    take(store, "quay|1|a", minutes=LONGEST_LEASE // MINUTE)
    assert take(store, "pier|2|b") is None


def test_a_dead_process_of_this_machine_holds_nothing(store: SqlStore) -> None:
    code = "from pipeline.owners import this_process; print(this_process())"
    dead = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    take(store, dead.stdout.strip())
    assert take(store, this_process()) is not None
    assert take(store, this_process()) is None, "this one lives"


def test_of_many_who_ask_at_once_one_gets_it(store: SqlStore) -> None:
    take(store, "quay|1|a", minutes=0)  # a row whose lease has ended
    ready = Barrier(4)

    def ask(number: int) -> Lease | None:
        ready.wait(60)
        return take(store, f"pier|{number}|{os.getpid()}")

    with ThreadPoolExecutor(4) as threads:
        got = list(threads.map(ask, range(4)))
    assert sum(lease is not None for lease in got) == 1


def test_a_run_is_in_the_history_and_in_the_state(store: SqlStore) -> None:
    record(store, RUN)
    with store.read() as tables:
        assert tables.jobs.runs() == (RUN,)
        assert tables.jobs.states() == {
            "gather": JobState(
                "gather", NOW + 10 * MINUTE, NOW, NOW + MINUTE, "done", RUN.detail, 0
            )
        }  # fmt: skip


def test_failures_in_a_row_are_counted_and_a_good_run_ends_them(store: SqlStore) -> None:
    failed = replace(RUN, outcome="failed", detail="The database is locked.")
    counts = []
    for run in (failed, failed, RUN, failed):
        record(store, run)
        with store.read() as tables:
            counts.append(tables.jobs.states()["gather"].failures)
    assert counts == [1, 2, 0, 1]


def test_a_run_that_found_nothing_is_no_history(store: SqlStore) -> None:
    record(store, replace(RUN, detail=""))
    with store.read() as tables:
        assert tables.jobs.runs() == ()
        assert tables.jobs.states()["gather"].finished_at == NOW + MINUTE


def test_runs_come_latest_first_of_one_job_and_not_too_many(store: SqlStore) -> None:
    for minutes in range(5):
        record(store, replace(RUN, started_at=NOW + minutes * MINUTE))
        record(store, replace(RUN, job="open", started_at=NOW + minutes * MINUTE))
    with store.read() as tables:
        runs = tables.jobs.runs("open", limit=3)
        assert [run.started_at for run in runs] == [NOW + m * MINUTE for m in (4, 3, 2)]
        assert {run.job for run in runs} == {"open"}
        assert len(tables.jobs.runs()) == 10


def test_old_runs_are_forgotten(store: SqlStore) -> None:
    record(store, RUN)
    record(store, replace(RUN, started_at=NOW + 5 * MINUTE))
    with store.write() as tables:
        assert tables.jobs.trim_runs(NOW + MINUTE) == 1
        assert [run.started_at for run in tables.jobs.runs()] == [NOW + 5 * MINUTE]


@pytest.mark.parametrize("value", ["2027-03-08T09:00:00+00:00", "", "Åås ⁂"])
def test_a_mark_is_what_was_written_last(store: SqlStore, value: str) -> None:
    with store.write() as tables:
        assert tables.jobs.mark("restored_at") == ""
        tables.jobs.set_mark("restored_at", "before")
        tables.jobs.set_mark("restored_at", value)
    with store.read() as tables:
        assert tables.jobs.mark("restored_at") == value
        assert tables.jobs.mark("allowed:other") == ""
