"""What people write in files: the firm, its sources, its constellations and newsletters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, time
from difflib import get_close_matches
from fractions import Fraction
from typing import Literal, NoReturn

from pipeline.errors import Mistake, NotFound

Relationship = Literal["prospect", "customer"]
SourceKind = Literal["feed", "page"]
Mode = Literal["curated", "automatic"]
Cadence = Literal["weekly", "monthly", "quarterly"]
HolidayPolicy = Literal["skip", "before", "after"]
LatePolicy = Literal["send", "skip"]
Fallback = Literal["headlines", "skip"]
UnknownPolicy = Literal["hold", "resend"]

#: So many keys are named where one was asked for that is not there.
SHOWN = 12


@dataclass(frozen=True, slots=True)
class Staff:
    """One of our own people."""

    key: str
    name: str
    address: str  #: e-mail
    role: str = ""
    phone: str = ""
    signature: str = ""  #: Markdown, closes letters sent in this person's name
    was: str = ""  #: the key it had before

    @property
    def first_name(self) -> str:
        return self.name.split()[0] if self.name.split() else self.name


@dataclass(frozen=True, slots=True)
class Service:
    """One thing we can do for a customer; each customer is told of it once."""

    key: str
    name: str
    text: str  #: Markdown, one to three short paragraphs
    contact: str = ""  #: key of the staff member to ask
    was: str = ""


@dataclass(frozen=True, slots=True)
class OwnNews:
    """News about ourselves, written once, shown to customers under "New with us"."""

    key: str
    title: str
    text: str  #: Markdown
    on: date
    was: str = ""


@dataclass(frozen=True, slots=True)
class Brand:
    """The two variables of the letter; everything else stays ours."""

    color: str = "#0F5C5A"
    logo: str = ""  #: the firm's name in type when empty


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `letters` per contact in any `days` days, over all newsletters."""

    letters: int = 8
    days: int = 30


@dataclass(frozen=True, slots=True)
class Firm:
    """Who we are, once (firm.yaml)."""

    name: str
    postal_address: str
    base_url: str  #: where public pages are reached, without a trailing slash
    mail_domain: str  #: right side of Message-ID and List-Id
    contact: str  #: e-mail; goes into the User-Agent and the mailto: of List-Unsubscribe
    staff: tuple[Staff, ...]
    services: tuple[Service, ...] = ()
    news: tuple[OwnNews, ...] = ()
    holidays: tuple[date, ...] = ()
    brand: Brand = field(default_factory=Brand)
    cap: Cap = field(default_factory=Cap)
    mailbox_read: bool = False  #: a mailto: leave address may be offered only where mail is read


@dataclass(frozen=True, slots=True)
class Selectors:
    """CSS selectors for a list page."""

    items: str
    title: str
    link: str
    date: str = ""
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """Where news comes from (feeds.yaml)."""

    key: str
    name: str
    url: str
    kind: SourceKind
    constellations: tuple[str, ...]
    selectors: Selectors | None = None
    pace_s: int = 3600  #: never asked more often than this
    weight: float = 1.0  #: how much we trust it, 0.1 to 3
    language: str = "en"
    was: str = ""


@dataclass(frozen=True, slots=True)
class Word:
    """A word or phrase to watch for, whole words, any case."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Account:
    """A company of a constellation."""

    key: str
    name: str
    relationship: Relationship
    aliases: tuple[str, ...] = ()
    domain: str = ""
    owner: str = ""  #: staff key of who sells to it; the constellation's expert when empty
    may_be_named: bool = False  #: may we say that it is our customer?
    customers: tuple[str, ...] = ()  #: names of its customers, for the second-order watch
    rivals: tuple[str, ...] = ()
    suppliers: tuple[str, ...] = ()
    incumbent: str = ""  #: name of the vendor it buys from today
    purchases_per_year: Fraction | None = None  #: the constellation's figure when None
    was: str = ""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """The contract when issues go out: local dates and a local time in a named zone."""

    cadence: Cadence
    zone: str
    at: time
    anchor: date  #: no beat before it; weeks, months and quarters are counted from it
    every: int = 1  #: weekly: every n weeks; monthly and quarterly: every n of them
    weekday: int | None = None  #: 0 Monday … 6 Sunday; weekly, or nth weekday of a month
    nth: int | None = None  #: 1 … 5 or -1 (last), with `weekday`
    day: int | None = None  #: day of the month, clamped to its end; -1 is the last
    on_holiday: HolidayPolicy = "after"
    late: LatePolicy = "send"
    late_within_h: int = 24  #: `send`: a missed beat still goes out within so many hours


@dataclass(frozen=True, slots=True)
class Newsletter:
    """A standing title with its contract."""

    key: str
    constellation: str
    title: str
    rhythm: Rhythm
    positioning: str  #: our one sentence, once in every edition
    sender: str = "expert"  #: "expert", "owner" (the account's owner) or a staff key
    reply_to: str = "sender"  #: "sender", "owner" or a staff key
    lead_days: int = 5  #: the issue is opened so many days before its beat
    cut_off_h: int = 24  #: content freezes so many hours before the beat
    deadline_h: int = 4  #: approval is due so many hours before the beat
    mode: Mode = "curated"
    review_window_h: int = 24
    floor: int = 3  #: a copy with fewer stories is withheld
    ceiling: int = 8
    fallback: Fallback = "skip"
    unknown: UnknownPolicy = "hold"  #: a copy of which nobody knows whether it left
    recap_of: str = ""  #: key of the newsletter whose parts this one sums up
    language: str = "en"
    invitation_title: str = ""  #: closes the prospect edition; asks for nothing
    invitation: str = ""  #: Markdown
    was: str = ""


@dataclass(frozen=True, slots=True)
class Constellation:
    """A group of accounts that share a business (constellations/KEY.yaml)."""

    key: str
    name: str
    about: str
    accounts: tuple[Account, ...]
    newsletters: tuple[Newsletter, ...]
    expert: str
    curator: str
    approver: str
    backup: str = ""
    words: tuple[Word, ...] = ()
    ignore: tuple[str, ...] = ()
    purchases_per_year: Fraction = Fraction(1)
    was: str = ""


@dataclass(frozen=True, slots=True)
class Catalog:
    """All that the workspace's files say, checked; half of it never exists."""

    firm: Firm
    sources: tuple[Source, ...]
    constellations: tuple[Constellation, ...]
    digest: str  #: of the files' bytes; unchanged files need no adopting
    doubts: tuple[Mistake, ...] = ()  #: what is right as it stands, and yet not ready to go out

    def staff(self, key: str) -> Staff | None:
        return next((s for s in self.firm.staff if s.key == key), None)

    def constellation(self, key: str) -> Constellation | None:
        return next((c for c in self.constellations if c.key == key), None)

    def find_constellation(self, key: str) -> Constellation:
        """By key.

        Raises: NotFound with the nearest key
        """
        keys = [c.key for c in self.constellations]
        return self.constellation(key) or _missing("constellation", key, keys)

    def find_newsletter(self, key: str) -> Newsletter:
        """By key.

        Raises: NotFound with the nearest key
        """
        keys = [n.key for c in self.constellations for n in c.newsletters]
        return self.newsletter(key) or _missing("newsletter", key, keys)

    def find_source(self, key: str) -> Source:
        """By key.

        Raises: NotFound with the nearest key
        """
        found = next((s for s in self.sources if s.key == key), None)
        return found or _missing("source", key, [s.key for s in self.sources])

    def newsletter(self, key: str) -> Newsletter | None:
        return next((n for c in self.constellations for n in c.newsletters if n.key == key), None)

    def zone_of(self, newsletter_key: str) -> str:
        """Where a newsletter lives; UTC when no file knows it any more."""
        newsletter = self.newsletter(newsletter_key)
        return newsletter.rhythm.zone if newsletter else "UTC"

    def account(self, key: str) -> Account | None:
        return next((a for c in self.constellations for a in c.accounts if a.key == key), None)

    def is_approver(self, actor: str, constellation: Constellation) -> bool:
        """Whether who acts is the constellation's approver, by key, name or address."""
        approver = self.staff(constellation.approver)
        names = [constellation.approver]
        names += [approver.name, approver.address] if approver else []
        return actor.casefold() in map(str.casefold, names)

    def owner_of(self, constellation: Constellation, account: Account) -> str:
        """Staff key of who sells to this account."""
        return account.owner or constellation.expert


def _missing(what: str, key: str, keys: Sequence[str]) -> NoReturn:
    near = get_close_matches(key, keys, n=1)
    some = ", ".join(keys[:SHOWN]) + (f" and {len(keys) - SHOWN} more" if keys[SHOWN:] else "")
    hint = f"Did you mean {near[0]}?" if near else f"There are: {some or 'none yet'}."
    raise NotFound(f"There is no {what} “{key}”.", hint)
