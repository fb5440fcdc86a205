"""People: contacts, the basis on which we may write, and what keeps us from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

BasisKind = Literal["customer", "consent", "legitimate_interest"]
SuppressionReason = Literal["left", "complaint", "bounce", "asked", "imported", "erased"]
StandingWord = Literal[
    "in", "erased", "retired", "invalid_address", "no_basis", "suppressed", "paused", "held",
]  # fmt: skip

#: A suppression that holds for every newsletter.
EVERYWHERE = "*"


@dataclass(frozen=True, slots=True)
class Basis:
    """Evidence that we may write to a contact; append-only, the latest counts."""

    kind: BasisKind
    source: str  #: where it comes from: "asked for it at the Hardware Days in Aalborg"
    given_on: date
    wording: str = ""  #: what the person agreed to
    version: str = ""


@dataclass(frozen=True, slots=True)
class Contact:
    """A person at an account."""

    id: int
    public_id: str
    account_key: str
    address: str  #: as written; "" when erased
    first_name: str
    last_name: str
    role: str = ""
    language: str = ""  #: the newsletter's when empty
    zone: str = ""
    invalid: str = ""  #: why the address cannot be used
    retired_at: datetime | None = None
    revision: int = 1
    erased_at: datetime | None = None  #: nothing personal is left since then

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip() or self.address


@dataclass(frozen=True, slots=True)
class Suppression:
    """Never mail again, for one newsletter or for all."""

    scope: str  #: newsletter key, or EVERYWHERE
    reason: SuppressionReason
    at: datetime
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """What one contact's letters wait for, and which newsletters they chose."""

    paused_until: date | None = None
    hold: str = ""  #: why the account owner holds letters back
    held_by: str = ""  #: staff key
    subscriptions: tuple[tuple[str, bool], ...] = ()  #: (newsletter key, wanted or not)


@dataclass(frozen=True, slots=True)
class Stand:
    """Whether letters go to a contact, in one word."""

    word: StandingWord
    detail: str = ""  #: why, by whom or until when


@dataclass(frozen=True, slots=True)
class Listed:
    """A contact as a list shows them."""

    contact: Contact
    stand: Stand


@dataclass(frozen=True, slots=True)
class StandingFacts:
    """What decides whether letters go to a contact, whatever the newsletter."""

    contact: Contact
    has_basis: bool
    suppressions: tuple[Suppression, ...]  #: in force, latest first
    standing: Standing


@dataclass(frozen=True, slots=True)
class Candidate:
    """A contact of the constellation with everything the audience rule asks about."""

    contact: Contact
    basis: Basis | None
    suppression: Suppression | None  #: the one that holds for this newsletter or everywhere
    paused_until: date | None = None
    hold: str = ""  #: the account owner's reason to hold letters back
    subscribed: bool | None = None  #: None: never chose
    told_stories: frozenset[int] = frozenset()
    told_services: frozenset[str] = frozenset()
    recent_letters: int = 0  #: within the firm's cap window
    had_recap_parts: int = 0  #: stories of the recapped newsletter it has already had


@dataclass(frozen=True, slots=True)
class ImportRow:
    """One row of a people file, understood."""

    line: int
    address: str
    account_key: str
    first_name: str = ""
    last_name: str = ""
    role: str = ""
    language: str = ""
    zone: str = ""
    basis: Basis | None = None
    opted_out: bool = False
    external: tuple[tuple[str, str], ...] = ()  #: (system, id)


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Why one row of a people file was not taken."""

    line: int
    column: str
    what: str


@dataclass(frozen=True, slots=True)
class ImportTally:
    """What an import did, or would do."""

    rows: int
    new: int
    changed: int
    same: int
    left: int  #: opted out here or there: kept, never active
    invalid: int
    problems: tuple[RowProblem, ...] = ()
    without_basis: int = 0
    applied: bool = False
    columns: tuple[tuple[str, str], ...] = field(
        default=()
    )  #: (header as written, what it was taken for)
    remarks: tuple[RowProblem, ...] = ()  #: rows that were taken without one of their cells


@dataclass(frozen=True, slots=True)
class ImportRecord:
    """One people file that was brought in."""

    id: int
    public_id: str
    name: str
    actor: str
    at: datetime
    tally: Mapping[str, int]
    changes: int  #: contacts of which is on record what it did to them
    undone_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ImportChange:
    """What one import did to one contact, and how that contact stands now."""

    contact_id: int
    public_id: str
    name: str
    new: bool  #: the import brought the contact in
    before: Mapping[str, str]  #: what it changed; empty for a new contact
    after: Mapping[str, str]
    now: Mapping[str, str]  #: everything, as it is at present
    basis: int | None = None  #: number of the evidence that it recorded
    external: tuple[tuple[str, str], ...] = ()  #: ids that it recorded: (system, id)
    external_of: tuple[tuple[str, str, int], ...] = ()  #: … and whose they were: contact number
    since: tuple[str, ...] = ()  #: what has happened with the contact since, in words
    address_taken: bool = False  #: somebody else has the address that they had before
    returned: bool = False  #: they were retired, and the import brought them back
    erased: bool = False


BackOutcome = Literal["removed", "retired", "changed_back", "kept"]


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What the undoing of an import does to one contact."""

    change: ImportChange
    outcome: BackOutcome
    values: Mapping[str, str] = field(default_factory=dict)  #: fields that go back
    why: str = ""  #: why something stays as it is; empty: all of it goes back


@dataclass(frozen=True, slots=True)
class Erasing:
    """A person who is being erased: nothing goes out to them any more."""

    contact_id: int
    addresses: tuple[str, ...]  #: every one that we knew, in every spelling
    names: tuple[str, ...]  #: in full, in both orders
    copies: tuple[str, ...]  #: public ids of copies that are theirs, or that name them
