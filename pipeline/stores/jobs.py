"""What runs by itself: when each job is due, who runs it now, and what became of each run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import sqlalchemy as sa

from pipeline.model.running import JobRun, JobState, Lease
from pipeline.owners import is_dead
from pipeline.rules.schedule import LONGEST_LEASE
from pipeline.stores.insert import inserting
from pipeline.stores.schema import job_runs, jobs, leases, meta

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class SqlJobs:
    """Fits `JobsTable`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def states(self) -> Mapping[str, JobState]:
        """By name, of every job that ever ran here."""
        return {
            row.name: JobState(
                name=row.name,
                next_at=row.next_at,
                started_at=row.started_at,
                finished_at=row.finished_at,
                outcome=row.outcome,
                detail=row.detail,
                failures=row.failures,
            )
            for row in self._connection.execute(sa.select(jobs).order_by(jobs.c.name))
        }

    # ── who runs it ──────────────────────────────────────────────────────────────────────

    def take(self, name: str, owner: str, until: datetime, now: datetime) -> Lease | None:
        """The right to do a thing alone; None while somebody else has it.

        A lease has ended when its time is over, when its owner is a process of this machine
        that is no more, or when it would last longer than any does: then the clock was set
        back. Of two who ask at once one gets it, and each holder's fence is greater than the
        last one's.
        """
        held = self._connection.scalar(sa.select(leases.c.owner).where(leases.c.name == name))
        ended = [leases.c.until <= now, leases.c.until > now + LONGEST_LEASE]
        if held is not None and is_dead(held):
            ended.append(leases.c.owner == held)
        statement = inserting(self._connection, leases).values(
            name=name, owner=owner, until=until, fence=1
        )
        taken = statement.on_conflict_do_update(
            index_elements=[leases.c.name],
            set_={"owner": owner, "until": until, "fence": leases.c.fence + 1},
            where=sa.or_(*ended),
        ).returning(leases.c.fence)
        fence = self._connection.scalar(taken)
        return None if fence is None else Lease(name, owner, until, fence)

    def let_go(self, lease: Lease) -> None:
        """Others may have it from now on; nothing happens when another one has it already.

        The row stays, ended, so that the next holder's fence is greater.
        """
        self._connection.execute(
            sa.update(leases)
            .where(leases.c.name == lease.name, leases.c.fence == lease.fence)
            .values(until=_LONG_AGO)
        )

    # ── what became of it ────────────────────────────────────────────────────────────────

    def record(self, run: JobRun, next_at: datetime) -> None:
        """Write what a run came to, and when the job is due again.

        A run that found nothing to do has no detail and gets no line in the history: most
        runs are such, and the history is there to be read.
        """
        failures = jobs.c.failures + 1 if run.outcome == "failed" else sa.literal(0)
        values = {
            "next_at": next_at,
            "started_at": run.started_at,
            "finished_at": run.finished_at,
            "outcome": run.outcome,
            "detail": run.detail,
        }
        statement = inserting(self._connection, jobs).values(
            name=run.job, failures=int(run.outcome == "failed"), **values
        )
        self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[jobs.c.name], set_={**values, "failures": failures}
            )
        )
        if run.detail:
            self._connection.execute(
                sa.insert(job_runs).values(
                    job=run.job,
                    due_at=run.due_at,
                    started_at=run.started_at,
                    finished_at=run.finished_at,
                    outcome=run.outcome,
                    detail=run.detail,
                    owner=run.owner,
                )
            )

    def runs(self, job: str = "", limit: int = 100) -> Sequence[JobRun]:
        """Those that did something, latest first."""
        query = sa.select(job_runs).order_by(job_runs.c.started_at.desc(), job_runs.c.id.desc())
        if job:
            query = query.where(job_runs.c.job == job)
        return tuple(
            JobRun(
                job=row.job,
                due_at=row.due_at,
                started_at=row.started_at,
                finished_at=row.finished_at,
                outcome=row.outcome,
                detail=row.detail,
                owner=row.owner,
            )
            for row in self._connection.execute(query.limit(limit))
        )

    def trim_runs(self, before: datetime) -> int:
        """Forget runs older than this; how many."""
        old = job_runs.c.started_at < before
        return self._connection.execute(sa.delete(job_runs).where(old)).rowcount

    # ── facts about the whole workspace ──────────────────────────────────────────────────

    def mark(self, name: str) -> str:
        """A fact about the whole workspace; empty when it was never written."""
        value = self._connection.scalar(sa.select(meta.c.value).where(meta.c.name == name))
        return value or ""

    def set_mark(self, name: str, value: str) -> None:
        """Write it down, over what was there."""
        statement = inserting(self._connection, meta).values(name=name, value=value)
        self._connection.execute(
            statement.on_conflict_do_update(index_elements=[meta.c.name], set_={"value": value})
        )
