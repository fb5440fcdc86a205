"""When a job that runs by itself is due, and when again: the program's own table, no cron."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipeline.model.running import JobState

#: However often a job has failed, it is tried again after this (or its own pace, if slower).
LONGEST_WAIT = timedelta(hours=1)
#: No lease lasts longer; one that seems to was written before the clock was set back.
LONGEST_LEASE = timedelta(hours=2)
#: A machine may sleep so long and catch up by itself; beyond it, the clock is rather wrong.
LONGEST_SLEEP = timedelta(days=31)

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MOST_DOUBLINGS = 12


@dataclass(frozen=True, slots=True)
class Job:
    """Something that is done again and again, by one process at a time."""

    name: str
    every: timedelta
    lease: timedelta  #: how long one run may hold it before another machine takes over


def is_due(job: Job, state: JobState | None, now: datetime) -> bool:
    """Whether it is to run now.

    A job that never ran is due. One whose next run lies further ahead than any wait of its own
    was put there before the clock was set back: it is due, and not silent until the clock has
    come there again.
    """
    if state is None or state.next_at is None:
        return True
    return state.next_at <= now or state.next_at - now > wait(job, state.failures)


def next_after(job: Job, now: datetime, failures: int = 0) -> datetime:
    """When it runs again after a run that has ended now.

    The next full step of its own pace, counted in UTC: a tick that comes a second early or
    late neither skips a step nor doubles one, and a machine that slept for days runs it once.
    After failures the wait doubles, up to an hour or its own pace.

    Shape:  failures are those in a row, this run's among them
    """
    if failures:
        return now + wait(job, failures)
    return now + job.every - (now - _EPOCH) % job.every


def leap(states: Mapping[str, JobState], now: datetime) -> timedelta | None:
    """How far the clock stands ahead of the last thing that any job did, if that is too far.

    A clock that ran ahead by years would write off all the beats up to there as missed, and
    setting it right brings none of them back. None: it is to be believed, as where no job
    ever ran and there is nothing to hold it against. A job that the leap fell into bears no
    witness for the time of its end.

    Shape:  states of all jobs, by name
    """
    marks = [at for state in states.values() for at in _seen_by(state)]
    if not marks:
        return None
    ahead = now - max(marks)
    return ahead if ahead > LONGEST_SLEEP else None


def _seen_by(state: JobState) -> Iterator[datetime]:
    """The times of the clock that a job's last run speaks for."""
    started_at, finished_at = state.started_at, state.finished_at
    if started_at is not None:
        yield started_at
    if finished_at is not None and (
        started_at is None or finished_at - started_at <= LONGEST_SLEEP
    ):
        yield finished_at


def wait(job: Job, failures: int = 0) -> timedelta:
    """The longest that it may wait for its next run."""
    if not failures:
        return job.every
    doubled: timedelta = job.every * 2 ** min(failures - 1, _MOST_DOUBLINGS)
    return min(doubled, max(job.every, LONGEST_WAIT))
