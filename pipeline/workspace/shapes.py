"""The shape of each file, strict; the descriptions are what an editor shows beside a key."""

from __future__ import annotations

from fractions import Fraction

from pydantic import BaseModel, ConfigDict, Field

from pipeline.model.catalog import (
    Account,
    Brand,
    Cap,
    Constellation,
    Fallback,
    Firm,
    HolidayPolicy,
    Mode,
    Newsletter,
    OwnNews,
    Relationship,
    Rhythm,
    Selectors,
    Service,
    Source,
    SourceKind,
    Staff,
    UnknownPolicy,
    Word,
)
from pipeline.rules.people.address import domain_of
from pipeline.workspace.fields import (
    Address,
    Amount,
    Clock,
    Color,
    Day,
    Days,
    Domain,
    Every,
    EveryField,
    Holiday,
    Hours,
    Key,
    Language,
    Late,
    Line,
    On,
    OnField,
    Pace,
    Postal,
    Review,
    RootUrl,
    Selector,
    TableName,
    Text,
    Trust,
    Url,
    Words,
    Zone,
)

_WAS = Field(default="", description="The key this had before; renames it and keeps its history.")


class Shape(BaseModel):
    """A group of keys: nothing unknown, nothing guessed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


# ── firm.yaml ────────────────────────────────────────────────────────────────────────────


class StaffShape(Shape):
    """One of our own people."""

    key: Key = Field(description="How other files name this person; never changes.")
    name: Line = Field(description="Full name, as it signs letters.")
    address: Address = Field(description="E-mail address.")
    role: Line = Field(default="", description="What this person does here, in a few words.")
    phone: Line = Field(default="", description="Telephone number, in quotes.")
    signature: Text = Field(default="", description="Markdown; closes letters in this name.")
    was: Key = _WAS

    def noun(self) -> Staff:
        return Staff(**dict(self))


class ServiceShape(Shape):
    """One thing we can do for a customer."""

    key: Key = Field(description="How we name it; never changes.")
    name: Line = Field(description="What it is called, as a customer would say it.")
    text: Text = Field(description="Markdown, one to three short paragraphs.")
    contact: Key = Field(default="", description="Whom to ask: a key of staff.")
    was: Key = _WAS

    def noun(self) -> Service:
        return Service(**dict(self))


class NewsShape(Shape):
    """One piece of news about ourselves."""

    key: Key = Field(description="How we name it; never changes.")
    title: Line = Field(description="Its headline.")
    text: Text = Field(description="Markdown, a short paragraph.")
    date: Day = Field(description="Its date.")
    was: Key = _WAS

    def noun(self) -> OwnNews:
        return OwnNews(self.key, self.title, self.text, self.date, self.was)


class BrandShape(Shape):
    """The two things of the letter that are yours."""

    color: Color = Field(
        default="#0F5C5A", description='Rule, links and "Our take": six hex digits.'
    )
    logo: Url = Field(default="", description="Address of a picture; without it the name in type.")


class CapShape(Shape):
    """Nobody gets more than `letters` in any `days` days."""

    letters: int = Field(default=8, ge=1, le=100, description="So many letters …")
    days: int = Field(default=30, ge=1, le=366, description="… in so many days.")


class FirmShape(Shape):
    """Who we are, once."""

    name: Line = Field(description="The firm's name, as it stands in letters.")
    postal_address: Postal = Field(description="Stands in the footer of every letter.")
    base_url: RootUrl = Field(description="Where readers reach the public pages.")
    contact: Address = Field(description="An address that a person reads.")
    mail_domain: Domain = Field(
        default="", description="Domain of mail ids; that of `contact` without it."
    )
    mailbox_read: bool = Field(
        default=False,
        description="Is the mailbox of `contact` read? Then readers may leave by mail.",
    )
    brand: BrandShape = Field(default_factory=BrandShape, description="Colour and logo of letters.")
    cap: CapShape = Field(default_factory=CapShape, description="The most that anybody gets.")
    staff: list[StaffShape] = Field(min_length=1, description="Our own people.")
    services: list[ServiceShape] = Field(
        default=[], description="What we do for customers; each is told of each once."
    )
    news: list[NewsShape] = Field(default=[], description='"New with us", for customers.')
    holidays: list[Holiday] = Field(
        default=[], description="Days without an issue: dates, or {date, name}."
    )

    def noun(self) -> Firm:
        return Firm(
            name=self.name,
            postal_address=self.postal_address,
            base_url=self.base_url,
            mail_domain=self.mail_domain or domain_of(self.contact.rpartition("@")[2]),
            contact=self.contact,
            staff=tuple(person.noun() for person in self.staff),
            services=tuple(service.noun() for service in self.services),
            news=tuple(news.noun() for news in self.news),
            holidays=tuple(sorted(set(self.holidays))),
            brand=Brand(**dict(self.brand)),
            cap=Cap(**dict(self.cap)),
            mailbox_read=self.mailbox_read,
        )


# ── feeds.yaml ───────────────────────────────────────────────────────────────────────────


class SelectorsShape(Shape):
    """Where a page's news stands, as CSS selectors; all but `items` look inside one item."""

    items: Selector = Field(description="One element for each piece of news.")
    title: Selector = Field(description="Its headline.")
    link: Selector = Field(description="The <a> that leads to it.")
    date: Selector = Field(default="", description="Its date, best a <time>.")
    summary: Selector = Field(default="", description="Its first sentences.")


class SourceShape(Shape):
    """Where news comes from."""

    key: Key = Field(description="How we name it; never changes.")
    name: Line = Field(description="Its name, as letters cite it.")
    url: Url = Field(description="Address of the feed or page.")
    kind: SourceKind = Field(
        default="feed", description="feed (RSS, Atom, JSON Feed), or page: a list without a feed."
    )
    constellations: list[Key] = Field(
        min_length=1, description="Whose news it brings: names in constellations/, without .yaml."
    )
    selectors: SelectorsShape | None = Field(
        default=None, description="Only for pages: where the news stands."
    )
    pace: Pace = Field(
        default=3600,
        json_schema_extra={"default": "1 h"},
        description="Never asked more often; at least 1 h.",
    )
    weight: Trust = Field(default=1.0, description="How much we trust it, 0.1 to 3.")
    language: Language = Field(default="en", description="Its language.")
    was: Key = _WAS

    def noun(self) -> Source:
        return Source(
            key=self.key,
            name=self.name,
            url=self.url,
            kind=self.kind,
            constellations=tuple(dict.fromkeys(self.constellations)),
            selectors=Selectors(**dict(self.selectors)) if self.selectors else None,
            pace_s=self.pace,
            weight=self.weight,
            language=self.language,
            was=self.was,
        )


class FeedsShape(Shape):
    """What we listen to."""

    sources: list[SourceShape] = Field(description="One entry per source.")


# ── constellations/KEY.yaml ──────────────────────────────────────────────────────────────


class AccountShape(Shape):
    """A company of the constellation."""

    key: Key = Field(description="How we name it; never changes.")
    name: Line = Field(description="Its name, as the press writes it.")
    aliases: list[Line] = Field(default=[], description="Other names and brands, whole words.")
    domain: Domain = Field(default="", description="Its main web domain.")
    relationship: Relationship = Field(description="prospect or customer.")
    owner: Key = Field(default="", description="Who sells to it (staff); else the expert.")
    may_be_named: bool = Field(
        default=False, description="May we say in public that it is our customer?"
    )
    customers: list[Line] = Field(default=[], description="Names of companies it sells to.")
    rivals: list[Line] = Field(default=[], description="Names of its rivals outside this list.")
    suppliers: list[Line] = Field(default=[], description="Names of companies it buys from.")
    incumbent: Line = Field(default="", description="The vendor it buys from today.")
    purchases_per_year: Amount | None = Field(
        default=None, description="How often it buys what we sell; else the constellation's figure."
    )
    was: Key = _WAS

    def noun(self) -> Account:
        return Account(
            key=self.key,
            name=self.name,
            relationship=self.relationship,
            aliases=tuple(self.aliases),
            domain=self.domain,
            owner=self.owner,
            may_be_named=self.may_be_named,
            customers=tuple(self.customers),
            rivals=tuple(self.rivals),
            suppliers=tuple(self.suppliers),
            incumbent=self.incumbent,
            purchases_per_year=self.purchases_per_year,
            was=self.was,
        )


class AccountsShape(Shape):
    """A table of accounts beside a constellation's file."""

    accounts: list[AccountShape]


class RhythmShape(Shape):
    """When issues go out."""

    every: EveryField = Field(description="week, 2 weeks, month, quarter, …")
    on: OnField = Field(
        description="Weeks: thursday. Months and quarters: day 15, last day, first tuesday, …"
    )
    at: Clock = Field(description='Local time of day, in quotes: "07:30".')
    zone: Zone = Field(description="Whose local time: Europe/Berlin, America/New_York, …")
    from_: Day = Field(
        alias="from", description="No issue before this day; periods are counted from it."
    )
    holidays: HolidayPolicy = Field(
        default="after", description="On a holiday: the day after, the day before, or skip."
    )
    late: Late = Field(
        default=24,
        json_schema_extra={"default": "send within 24 h"},
        description='A missed issue: "send within 24 h", or skip it.',
    )

    def noun(self) -> Rhythm:
        every: Every = self.every
        on: On = self.on
        return Rhythm(
            cadence=every.cadence,
            zone=self.zone,
            at=self.at,
            anchor=self.from_,
            every=every.times,
            weekday=on.weekday,
            nth=on.nth,
            day=on.day,
            on_holiday=self.holidays,
            late="skip" if self.late is None else "send",
            late_within_h=self.late or 0,
        )


class InvitationShape(Shape):
    """What closes a letter to those who are no customers yet; asks for nothing."""

    title: Line = Field(description="Its heading.")
    text: Text = Field(description="Markdown, two or three sentences.")


class NewsletterShape(Shape):
    """A standing title with its contract."""

    key: Key = Field(description="How we name it; never changes; unlike any other newsletter's.")
    title: Line = Field(description="What readers see.")
    mode: Mode = Field(
        default="curated",
        description="curated: people keep and write. automatic: the machine composes it, and it "
        "goes after the review window unless somebody stops it.",
    )
    rhythm: RhythmShape = Field(description="When issues go out.")
    lead: Days = Field(
        default=5,
        json_schema_extra={"default": "5 days"},
        description="The issue is opened so many days ahead.",
    )
    cut_off: Hours = Field(
        default=24,
        json_schema_extra={"default": "24 h"},
        description="Content freezes so long ahead.",
    )
    deadline: Hours = Field(
        default=4,
        json_schema_extra={"default": "4 h"},
        description="Approval is due so long ahead.",
    )
    review_window: Review = Field(
        default=24,
        json_schema_extra={"default": "24 h"},
        description="Automatic: so long a person can look and stop it, 1 h or more.",
    )
    floor: int = Field(default=3, ge=1, le=50, description="A copy with fewer stories stays here.")
    ceiling: int = Field(default=8, ge=1, le=50, description="No issue has more stories.")
    fallback: Fallback = Field(
        default="skip", description="Too little to say: headlines alone, or skip the issue."
    )
    unknown: UnknownPolicy = Field(
        default="hold",
        description="A copy of which nobody knows whether it left: hold it, or resend it.",
    )
    recap_of: Key = Field(
        default="", description="The newsletter that this one sums up; nobody gets both."
    )
    sender: Key = Field(
        default="expert", description="expert, owner (who sells to the reader), or a key of staff."
    )
    reply_to: Key = Field(default="sender", description="sender, owner, or a key of staff.")
    positioning: Line = Field(description="Our one sentence; stands once in every letter.")
    invitation: InvitationShape | None = Field(
        default=None, description="Closes letters to those who are no customers yet."
    )
    language: Language = Field(default="en", description="Language of the letters.")
    was: Key = _WAS

    def noun(self, constellation: str) -> Newsletter:
        return Newsletter(
            key=self.key,
            constellation=constellation,
            title=self.title,
            rhythm=self.rhythm.noun(),
            positioning=self.positioning,
            sender=self.sender,
            reply_to=self.reply_to,
            lead_days=self.lead,
            cut_off_h=self.cut_off,
            deadline_h=self.deadline,
            mode=self.mode,
            review_window_h=self.review_window,
            floor=self.floor,
            ceiling=self.ceiling,
            fallback=self.fallback,
            unknown=self.unknown,
            recap_of=self.recap_of,
            language=self.language,
            invitation_title=self.invitation.title if self.invitation else "",
            invitation=self.invitation.text if self.invitation else "",
            was=self.was,
        )


class ConstellationShape(Shape):
    """Companies that share a business; the file's name is the key."""

    name: Line = Field(description="What we call this group of companies.")
    about: Text = Field(description="What it is about, in a sentence or two.")
    expert: Key = Field(description="Who follows these companies: a key of staff.")
    curator: Key = Field(description="Who keeps the stories and writes.")
    approver: Key = Field(description="Who says yes.")
    backup: Key = Field(default="", description="Who steps in when the curator is away.")
    purchases_per_year: Amount = Field(
        default=Fraction(1),
        json_schema_extra={"default": 1},
        description="How often one such company buys what we sell: 1, 0.5, 1/2.",
    )
    words: Words = Field(
        default={}, description="Words and phrases to watch for, with weights 0.1 to 10."
    )
    ignore: list[Line] = Field(default=[], description="Stories with these words are left out.")
    accounts: list[AccountShape] = Field(default=[], description="The companies we follow.")
    accounts_from: TableName = Field(
        default="", description="A .csv file beside this one, with more accounts."
    )
    newsletters: list[NewsletterShape] = Field(default=[], description="What we send, and when.")
    was: Key = _WAS

    def noun(self, key: str, table: tuple[Account, ...]) -> Constellation:
        """With the accounts of its table, if it has one, after its own."""
        return Constellation(
            key=key,
            name=self.name,
            about=self.about,
            accounts=(*(account.noun() for account in self.accounts), *table),
            newsletters=tuple(newsletter.noun(key) for newsletter in self.newsletters),
            expert=self.expert,
            curator=self.curator,
            approver=self.approver,
            backup=self.backup,
            words=tuple(Word(text, weight) for text, weight in self.words.items()),
            ignore=tuple(self.ignore),
            purchases_per_year=self.purchases_per_year,
            was=self.was,
        )
