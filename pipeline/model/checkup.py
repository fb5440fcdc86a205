"""What a look at the whole installation found: each thing good, doubtful or bad."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Verdict = Literal["good", "doubtful", "bad", "unknown"]

#: In the order in which they are shown.
Area = Literal["settings", "files", "disk", "clock", "database", "transport", "DNS", "running"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    area: Area
    verdict: Verdict
    what: str  #: what was found, in a sentence
    mend: str = ""  #: what to do about it; empty when it is good


@dataclass(frozen=True, slots=True)
class Machine:
    """What the machine says of itself."""

    free_bytes: int  #: on the disk of output/
    open_to_others: tuple[str, ...] = ()  #: secret files that others may read
    not_writable: str = ""  #: why output/ cannot be written; empty when it can
    newest_backup_at: datetime | None = None
    transport: str = "file"
    sandbox: bool = False
    pretends_time: bool = False  #: ASTERISM_NOW is set
    webhook_key: bool = False
    dkim_selector: str = ""


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """What the database says of itself."""

    where: str  #: without a password
    whole: str  #: "ok", or what its own check found
    clock: datetime | None = None  #: a server's; None where it has no clock of its own
    latest_at: datetime | None = None  #: the latest time that we ever wrote
    facts: tuple[str, ...] = field(default=())
