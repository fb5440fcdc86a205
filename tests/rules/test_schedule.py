"""When a job is due: sleep, clock jumps, failures."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.running import JobState
from pipeline.rules.schedule import (
    LONGEST_SLEEP,
    LONGEST_WAIT,
    Job,
    is_due,
    leap,
    next_after,
    wait,
)
from tests.builders import NOW

MINUTE = timedelta(minutes=1)
GATHER = Job("gather", 10 * MINUTE, 30 * MINUTE)
DELIVER = Job("deliver", MINUTE, 30 * MINUTE)
TIDY = Job("tidy", timedelta(days=1), 30 * MINUTE)


def test_what_never_ran_is_due() -> None:
    assert is_due(GATHER, None, NOW)
    assert is_due(GATHER, JobState("gather"), NOW)


def test_it_is_due_from_its_time_on() -> None:
    state = JobState("gather", next_at=NOW)
    assert not is_due(GATHER, state, NOW - timedelta(seconds=1))
    assert is_due(GATHER, state, NOW)
    assert is_due(GATHER, state, NOW + timedelta(days=3))


def test_after_days_of_sleep_it_runs_once() -> None:
    woken = NOW + timedelta(days=3, minutes=4)
    assert is_due(GATHER, JobState("gather", next_at=NOW), woken)
    state = JobState("gather", next_at=next_after(GATHER, woken))
    assert not is_due(GATHER, state, woken + timedelta(seconds=1))
    assert state.next_at == NOW + timedelta(days=3, minutes=10)


@pytest.mark.parametrize("back", [timedelta(hours=1), timedelta(days=3)])
def test_a_clock_that_was_set_back_does_not_silence_it(back: timedelta) -> None:
    state = JobState("gather", next_at=next_after(GATHER, NOW))
    assert is_due(GATHER, state, NOW - back)


def test_a_job_that_waits_after_failures_is_not_taken_for_a_clock_set_back() -> None:
    state = JobState("deliver", next_at=next_after(DELIVER, NOW, 5), failures=5)
    assert state.next_at == NOW + 16 * MINUTE
    assert not is_due(DELIVER, state, NOW)


def test_failures_double_the_wait_up_to_an_hour() -> None:
    waits = [next_after(DELIVER, NOW, failures) - NOW for failures in range(1, 9)]
    assert waits == [m * MINUTE for m in (1, 2, 4, 8, 16, 32, 60, 60)]
    assert wait(DELIVER, 10_000) == LONGEST_WAIT
    assert wait(TIDY, 10_000) == TIDY.every, "it never comes more often than its pace"


@pytest.mark.parametrize("second", [-1, 0, 1, 2])
def test_a_tick_a_second_early_or_late_skips_no_step(second: int) -> None:
    """Cron calls each minute, and never in the very same second of it."""
    ran = NOW + timedelta(seconds=3)
    state = JobState("deliver", next_at=next_after(DELIVER, ran))
    assert is_due(DELIVER, state, ran + MINUTE + timedelta(seconds=second))


@given(
    every=st.integers(1, 2_000),
    at=st.timedeltas(timedelta(0), timedelta(days=800)),
    failures=st.integers(0, 40),
    later=st.timedeltas(timedelta(0), timedelta(days=900)),
)
def test_the_next_run_lies_ahead_and_never_too_far(
    every: int, at: timedelta, failures: int, later: timedelta
) -> None:
    job = Job("any", every * MINUTE, MINUTE)
    now = NOW + at
    next_at = next_after(job, now, failures)
    assert now < next_at <= now + wait(job, failures)
    state = JobState("any", next_at=next_at, failures=failures)
    assert not is_due(job, state, now)
    assert is_due(job, state, next_at + later), "never silent for good"


# ── a clock too far ahead ────────────────────────────────────────────────────────────────


def test_where_nothing_ever_ran_there_is_nothing_to_hold_the_clock_against() -> None:
    assert leap({}, NOW + timedelta(days=10_000)) is None
    assert leap({"gather": JobState("gather", next_at=NOW)}, NOW + timedelta(days=99)) is None


@pytest.mark.parametrize(
    ("ahead", "is_leap"),
    [
        (-timedelta(days=900), False),
        (timedelta(0), False),
        (timedelta(days=3), False),
        (LONGEST_SLEEP, False),
        (LONGEST_SLEEP + timedelta(seconds=1), True),
        (timedelta(days=1_095), True),
    ],
)
def test_only_a_clock_far_ahead_of_the_last_job_has_leapt(ahead: timedelta, is_leap: bool) -> None:
    states = {"gather": JobState("gather", started_at=NOW - MINUTE, finished_at=NOW)}
    assert leap(states, NOW + ahead) == (ahead if is_leap else None)


def test_a_job_that_the_leap_fell_into_bears_no_witness_for_it() -> None:
    far = NOW + timedelta(days=1_095)
    states = {"gather": JobState("gather", started_at=NOW, finished_at=far)}
    assert leap(states, far) == far - NOW
    long = {"gather": JobState("gather", started_at=NOW, finished_at=NOW + LONGEST_SLEEP)}
    assert leap(long, NOW + 2 * LONGEST_SLEEP) is None


def test_the_latest_thing_that_any_job_did_counts() -> None:
    states = {
        "tidy": JobState("tidy", started_at=NOW - timedelta(days=60)),
        "gather": JobState("gather", started_at=NOW, finished_at=NOW - timedelta(days=20)),
        "open": JobState("open", finished_at=NOW - timedelta(days=40)),
    }
    assert leap(states, NOW + LONGEST_SLEEP) is None
    assert leap(states, NOW + timedelta(days=32)) == timedelta(days=32)
