"""Small values for tests: a workspace of ferry companies, unlike anything in the demo."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from fractions import Fraction
from typing import Any

from pipeline.model.catalog import (
    Account,
    Catalog,
    Constellation,
    Firm,
    Newsletter,
    OwnNews,
    Rhythm,
    Service,
    Source,
    Staff,
    Word,
)
from pipeline.model.letters import Issue, Snippet
from pipeline.model.people import Basis, Candidate, Contact

SECRET = b"a secret of thirty-two bytes or more, only for tests"
NOW = datetime(2027, 3, 8, 9, 0, tzinfo=UTC)  # a Monday


@dataclass
class StandingClock:
    """Shows the time it was set to."""

    at: datetime = field(default_factory=lambda: NOW)

    def now(self) -> datetime:
        return self.at


FIRM = Firm(
    name="Quay & Tide",
    postal_address="Quay & Tide AS, Strandgaten 3, 5013 Bergen, Norway",
    base_url="https://letters.quaytide.example",
    mail_domain="quaytide.example",
    contact="desk@quaytide.example",
    staff=(
        Staff("liv", "Liv Haugen", "liv@quaytide.example", "partner", "+47 55 00 00 01"),
        Staff("tom", "Tom Reyes", "tom@quaytide.example", "sales", "+47 55 00 00 02"),
        Staff("eva", "Eva Brandt", "eva@quaytide.example", "editor"),
    ),
    services=(
        Service("berth-audit", "We time your berths", "Two days at your quay, one table.", "tom"),
        Service("crew-desk", "A desk for crew rosters", "We read your rosters with you.", "liv"),
    ),
    news=(
        OwnNews("oslo", "A second desk in Oslo", "Since March we answer from Oslo too.",
                date(2027, 3, 1)),
    ),
)  # fmt: skip

WEEKLY = Newsletter(
    key="ferry-weekly",
    constellation="ferries",
    title="Between Quays",
    rhythm=Rhythm("weekly", "Europe/Oslo", time(7, 30), date(2027, 1, 7), weekday=3),
    positioning="We time ferries, so that you need not guess.",
    floor=2,
    ceiling=6,
    invitation_title="Half an hour, nothing to buy",
    invitation="Answer with the number of a story.",
)

FERRIES = Constellation(
    key="ferries",
    name="Ferry companies",
    about="Companies that run car and passenger ferries in northern waters.",
    accounts=(
        Account("northline", "Northline", "prospect", ("Northline Ferries",), "northline.example",
                "tom", rivals=("Polar Link",), suppliers=("Havn Marine",)),
        Account("skagen-ruter", "Skagen Ruter", "customer", ("Skagenruter",),
                "skagenruter.example", "liv", customers=("Aal Postal",)),
        Account("blue-strait", "Blue Strait", "prospect", (), "bluestrait.example", "tom",
                incumbent="Meridian Timing"),
    ),
    newsletters=(WEEKLY,),
    expert="liv",
    curator="eva",
    approver="liv",
    backup="tom",
    words=(Word("ferry", 1.0), Word("berth", 2.0), Word("battery ferry", 3.0)),
    ignore=("cruise",),
    purchases_per_year=Fraction(1, 2),
)  # fmt: skip

CATALOG = Catalog(
    firm=FIRM,
    sources=(
        Source("coast-wire", "Coast Wire", "https://coastwire.example/feed", "feed", ("ferries",)),
        Source("harbour-news", "Harbour News", "https://harbournews.example/atom", "feed",
               ("ferries",), weight=1.5),
    ),
    constellations=(FERRIES,),
    digest="ferries-1",
)  # fmt: skip


# ── small letters and people ─────────────────────────────────────────────────────────────

BEAT = date(2027, 3, 11)  # the Thursday after NOW
DUE = datetime(2027, 3, 11, 6, 30, tzinfo=UTC)  # 7:30 in Oslo

ISSUE = Issue(
    id=1,
    public_id="issueaaaaaaaaaaaaaaaaaaaaa",
    newsletter_key="ferry-weekly",
    constellation_key="ferries",
    number=9,
    beat_on=BEAT,
    due_at=DUE,
    cut_off_at=datetime(2027, 3, 10, 6, 30, tzinfo=UTC),
    deadline_at=datetime(2027, 3, 11, 2, 30, tzinfo=UTC),
    state="draft",
    subject="Who times the ferries",
    preheader="Three berths, one clock, and nobody who winds it.",
    theme="A week of waiting",
    opening="{{greeting}}\n\nOne thread runs through the week (1).",
)


def snippet(story_id: int, **changes: Any) -> Snippet:
    """A kept public story about nobody in particular."""
    plain = Snippet(
        id=100 + story_id,
        public_id=f"snippet{story_id}",
        issue_id=1,
        story_id=story_id,
        position=story_id,
        section="main",
        title=f"Quay {story_id} opens an hour earlier",
        fact=f"Quay {story_id} takes cars from five in the morning.",
        take=f"Who comes first to quay {story_id} waits longest.",
        question=f"Who is awake at quay {story_id}?",
        story_public_id=f"story{story_id}",
        signal="place",
        source_name="Coast Wire",
        url=f"https://coastwire.example/{story_id}",
        published_on=date(2027, 3, 5),
    )
    return replace(plain, **changes)


def contact(number: int, account_key: str = "northline", **changes: Any) -> Contact:
    """A person with an address of their own."""
    plain = Contact(
        id=number,
        public_id=f"contact{number}",
        account_key=account_key,
        address=f"person{number}@{account_key}.example",
        first_name="Ingrid",
        last_name=f"Number{number}",
        role="head of berths",
    )
    return replace(plain, **changes)


CONSENT = Basis("consent", "asked for it at the Quay Days in Bergen", date(2026, 9, 3))


def candidate(number: int, account_key: str = "northline", **changes: Any) -> Candidate:
    """A contact whom nothing keeps from getting a letter."""
    return replace(
        Candidate(contact=contact(number, account_key), basis=CONSENT, suppression=None), **changes
    )
