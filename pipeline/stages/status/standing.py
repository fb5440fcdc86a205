"""How things stand, in values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from pipeline.errors import Mistake
from pipeline.model.letters import Beat, Issue
from pipeline.rules.letters.rhythm import LateDecision

Health = Literal["healthy", "failing", "gone", "never_asked"]


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """One source, in plain words."""

    key: str
    name: str
    health: Health
    reason: str  #: why it fails, as one word; empty when it does not
    detail: str  #: the same in plain words
    failures: int  #: in a row
    checked_at: datetime | None
    next_check_at: datetime | None


@dataclass(frozen=True, slots=True)
class PoolSize:
    """Stories of the last 45 days in one constellation's pool."""

    constellation_key: str
    constellation_name: str
    open: int
    kept: int
    dropped: int


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An issue that is not finished, and how far it is."""

    issue: Issue
    late: LateDecision  #: what its newsletter's late policy makes of it at this moment
    stories: int  #: in its main section
    written: int  #: of these, with our take
    held_back: int  #: copies that a stop took back after others had left
    missing: int  #: what lint finds in its words and holds it back
    headlines: int = 0  #: under "Also noted"
    recalling: int = 0  #: of those held back, copies that a provider is asked for
    unasked: bool = False  #: its review mail was refused, for the approver and address of now
    in_doubt: str = ""  #: who may not have got its review mail


@dataclass(frozen=True, slots=True)
class MissedBeat:
    """A beat that was due last and on which nothing went out."""

    on: date
    due_at: datetime
    reason: str  #: empty when nobody has written it down yet
    issue_ref: str  #: empty when it has no issue
    can_still: bool  #: the late policy lets it go out


@dataclass(frozen=True, slots=True)
class NewsletterStatus:
    """A newsletter's next beat, and the issues that are being made."""

    key: str
    title: str
    zone: str
    constellation_key: str
    next_beat: Beat | None  #: the first without an issue; None when the rhythm has ended
    opens_at: datetime | None  #: when its issue can be opened
    missed: MissedBeat | None
    issues: tuple[Unfinished, ...]  #: the earliest first

    @property
    def issue(self) -> Issue | None:
        """The earliest that is not finished."""
        return self.issues[0].issue if self.issues else None


@dataclass(frozen=True, slots=True)
class Next:
    """One thing to do, and the command that does it; empty when it is not a command."""

    what: str
    command: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """The whole workspace at a glance."""

    at: datetime
    workspace: str
    database: str
    firm: str
    doubts: tuple[Mistake, ...]  #: in the files: right, and yet not ready to go out
    sources: tuple[SourceHealth, ...]
    items: int
    stories: int
    ungrouped: int  #: items that no story has yet
    pools: tuple[PoolSize, ...]
    newsletters: tuple[NewsletterStatus, ...]
    deliveries: Mapping[str, int]  #: by state, over all issues
    due_now: int  #: issues with copies that may go out
    held: tuple[str, ...]  #: issues (ref) that wait for a person since the database was restored
    deliver_failed: str  #: why the last run of the scheduler's delivery failed; else ""
    people: Mapping[str, int]  #: contacts, without_basis, invalid, suppressed
    next: tuple[Next, ...] = ()  #: the most pressing first
