"""What runs by itself: when each job is due, who runs it now, and what became of each run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from pipeline.model.running import JobRun, JobState, Lease


class SqlJobs:
    """Fits `JobsTable`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def states(self) -> Mapping[str, JobState]:
        raise NotImplementedError

    def take(self, name: str, owner: str, until: datetime, now: datetime) -> Lease | None:
        raise NotImplementedError

    def let_go(self, lease: Lease) -> None:
        raise NotImplementedError

    def record(self, run: JobRun, next_at: datetime) -> None:
        raise NotImplementedError

    def runs(self, job: str = "", limit: int = 100) -> Sequence[JobRun]:
        raise NotImplementedError

    def mark(self, name: str) -> str:
        raise NotImplementedError

    def set_mark(self, name: str, value: str) -> None:
        raise NotImplementedError
