"""Sales: touches and coverage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import Literal

from pipeline.model.letters import BeatState

TouchKind = Literal["letter", "forward", "note", "call", "visit", "meeting"]
MACHINE_TOUCHES: frozenset[TouchKind] = frozenset({"letter"})


@dataclass(frozen=True, slots=True)
class Touch:
    """Any contact made with an account."""

    account_key: str
    contact_id: int | None
    kind: TouchKind
    at: datetime
    staff_key: str = ""
    minutes: int | None = None
    note: str = ""
    story_id: int | None = None
    delivery_id: int | None = None


@dataclass(frozen=True, slots=True)
class AccountCoverage:
    """One account's month."""

    key: str
    name: str
    relationship: str
    owner: str
    by_machine: int  #: touches
    by_hand: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """One constellation's month: who was touched and who was not, by name."""

    constellation_key: str
    constellation_name: str
    month: date  #: its first day
    accounts: tuple[AccountCoverage, ...]
    buyers_per_month: Fraction  #: accounts × purchases per year ÷ 12, exact
    beats_kept: int
    beats_planned: int

    @property
    def touched(self) -> tuple[AccountCoverage, ...]:
        return tuple(a for a in self.accounts if a.by_machine or a.by_hand)

    @property
    def untouched(self) -> tuple[AccountCoverage, ...]:
        return tuple(a for a in self.accounts if not (a.by_machine or a.by_hand))


@dataclass(frozen=True, slots=True)
class BeatLine:
    """One beat as a month's page tells of it."""

    newsletter: str  #: its title
    on: date
    state: BeatState
    reason: str  #: why it was not kept, or skipped


@dataclass(frozen=True, slots=True)
class LetterCounts:
    """What became of a month's letters."""

    sent: int  #: copies that left
    left: int  #: people who left a newsletter, or all
    bounced: int  #: copies that came back for good
    complained: int


@dataclass(frozen=True, slots=True)
class ToldStory:
    """A story with how many people were told of it in a month."""

    title: str
    source_name: str
    url: str
    contacts: int


@dataclass(frozen=True, slots=True)
class MonthReport:
    """Everything on a constellation's page of one month."""

    coverage: Coverage
    beats: tuple[BeatLine, ...]  #: as they lie in the month
    letters: LetterCounts
    stories: tuple[ToldStory, ...]  #: most told first
    firm_name: str
    owners: Mapping[str, str]  #: staff key → name
    is_over: bool  #: False: the month still runs
