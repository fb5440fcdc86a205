"""The jobs that run by themselves, and what became of each run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

JobOutcome = Literal["done", "failed"]


@dataclass(frozen=True, slots=True)
class JobState:
    """What the store remembers of one job."""

    name: str
    next_at: datetime | None = None  #: None: it never ran here
    started_at: datetime | None = None
    finished_at: datetime | None = None
    outcome: JobOutcome | None = None
    detail: str = ""
    failures: int = 0  #: in a row


@dataclass(frozen=True, slots=True)
class JobRun:
    """One run of a job, for its history."""

    job: str
    due_at: datetime | None
    started_at: datetime
    finished_at: datetime
    outcome: JobOutcome
    detail: str  #: what it did, in words; or why it failed
    owner: str


@dataclass(frozen=True, slots=True)
class Lease:
    """A right to do one thing alone, until a time; the greater fence is the later one."""

    name: str
    owner: str
    until: datetime
    fence: int
