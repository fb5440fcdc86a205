"""Letters: issues, snippets, editions, audiences and deliveries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

IssueState = Literal[
    "planned", "draft", "in_review", "approved", "scheduled", "sending", "sent",
    "stopped", "partly_sent", "missed", "cancelled",
]  # fmt: skip
BeatState = Literal["planned", "kept", "missed", "skipped"]
EditionKind = Literal["prospect", "customer", "sales", "public"]
Section = Literal["main", "noted"]
AudienceReason = Literal[
    "in", "retired", "invalid_address", "no_basis", "suppressed", "not_subscribed", "paused",
    "held", "had_recap", "capped", "too_little_left",
]  # fmt: skip
Purpose = Literal["letter", "sales", "test"]
DeliveryState = Literal[
    "planned", "claimed", "attempting", "accepted", "refused", "deferred", "unknown",
    "recalling", "withheld", "delivered", "bounced", "complained",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Beat:
    """One due date of a rhythm."""

    on: date  #: local; unique within its rhythm
    due_at: datetime  #: aware UTC
    planned_on: date  #: before a holiday moved it; equals `on` otherwise
    note: str = ""  #: why it was moved, or how a gap or fold of the clock was settled


@dataclass(frozen=True, slots=True)
class EmptyBeat:
    """A beat that was missed and has no issue."""

    on: date  #: local
    due_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Issue:
    """One dated number of a newsletter."""

    id: int
    public_id: str
    newsletter_key: str
    constellation_key: str
    number: int
    beat_on: date
    due_at: datetime
    cut_off_at: datetime
    deadline_at: datetime
    state: IssueState
    reason: str = ""
    subject: str = ""
    preheader: str = ""
    theme: str = ""  #: the issue's <h1>
    opening: str = ""  #: Markdown with merge fields
    revision: int = 1
    approved_by: str = ""
    approved_at: datetime | None = None
    review_until: datetime | None = None  #: automatic: not sent before; until then people look

    @property
    def ref(self) -> str:
        """How people name it on the command line: newsletter/number."""
        return f"{self.newsletter_key}/{self.number}"

    @property
    def beat(self) -> Beat:
        """The beat that it serves."""
        return Beat(self.beat_on, self.due_at, self.beat_on)

    @property
    def goes_at(self) -> datetime:
        """When its copies go: on its beat, or when people have had their time to look."""
        return self.review_until or self.due_at


@dataclass(frozen=True, slots=True)
class Snippet:
    """A kept story: the fact with its source, our take, a question."""

    id: int
    public_id: str
    issue_id: int
    story_id: int
    position: int
    section: Section
    title: str
    fact: str  #: Markdown
    take: str  #: Markdown
    question: str  #: one sentence
    own_wording: str = (
        ""  #: Markdown: fact and take for the company the story is about; empty leaves it out
    )
    general_wording: str = ""  #: Markdown: what may travel of a confidence
    cleared_by: str = ""  #: approver who cleared the general wording
    sales_note: str = ""  #: "between us": only in the sales edition
    revision: int = 1
    removed: bool = False  #: out of the issue; its words are kept
    # What the story adds, joined when read
    story_public_id: str = ""
    story_kind: Literal["news", "note", "own"] = "news"
    signal: str = ""
    source_name: str = ""
    url: str = ""
    published_on: date | None = None
    language: str = ""  #: of the telling that the link leads to
    about: tuple[str, ...] = ()  #: keys of accounts that the story is about
    named_by_us: tuple[str, ...] = ()  #: of these, whom only our own words name
    touches: tuple[
        tuple[str, str], ...
    ] = ()  #: (account key, why in words), first and second order
    learnt_from: str = ""
    is_public: bool = True
    source_text: str = ""  #: to count quoted words against


@dataclass(frozen=True, slots=True)
class LetterStory:
    """One story as it stands in one variant of an edition."""

    number: int  #: 1 … n; 0 under "Also noted"
    signal: str  #: word shown above the title; "You in the news" in own copies
    title: str
    fact: str  #: Markdown
    take: str  #: Markdown
    question: str
    source_name: str
    url: str
    published_on: date | None
    sales_note: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class ForwardRow:
    """In the sales edition: one contact who has not had a story, and how to pass it on."""

    name: str
    role: str
    why_not: str  #: why this contact has not had it
    mailto: str  #: without any token; empty where mail is not allowed
    instead: str = ""  #: "Call only", where mailto is empty


@dataclass(frozen=True, slots=True)
class ForwardGroup:
    """In the sales edition: one account that a story touches."""

    account_name: str
    why: str
    warn: bool  #: the story is about this account
    rows: tuple[ForwardRow, ...]
    note: str = ""  #: why there are no rows: everybody there gets it, or nobody is known


@dataclass(frozen=True, slots=True)
class SalesStory:
    """A story in the sales edition, with whom to tell it."""

    story: LetterStory
    groups: tuple[ForwardGroup, ...]


@dataclass(frozen=True, slots=True)
class SalesSums:
    """The counts that close a sales edition; they add up."""

    contacts: int
    got_letter: int
    left_out: tuple[tuple[str, int], ...]  #: (reason in words, how many)


@dataclass(frozen=True, slots=True)
class Letter:
    """Everything one variant of one edition shows; what differs per recipient are merge fields."""

    kind: EditionKind
    language: str
    title: str  #: the newsletter's
    number: int
    on: date
    subject: str
    preheader: str
    theme: str
    opening: str  #: Markdown with merge fields
    signed: str  #: "Maren Ostrup, who follows power tools for Ferrier & Wick", or ""
    stories: tuple[LetterStory, ...]
    noted: tuple[LetterStory, ...]
    positioning: str
    firm_name: str
    postal_address: str
    brand_color: str
    logo: str = ""
    own_news: tuple[tuple[str, str], ...] = ()  #: (title, Markdown): customer edition
    service_title: str = ""
    service_text: str = ""  #: Markdown
    service_contact: tuple[str, str, str] | None = None  #: name, address, phone
    invitation_title: str = ""
    invitation_text: str = ""
    web_url: str = ""
    sales: tuple[SalesStory, ...] = ()
    sales_sums: SalesSums | None = None
    owner_first_name: str = ""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A variant rendered once: text in which merge fields still stand as marks.

    A mark is U+E000 name U+E001; rules.letters.render makes and fills them.
    """

    subject: str
    html: str
    text: str
    template_digest: str


@dataclass(frozen=True, slots=True)
class Variant:
    """A frozen variant of an edition."""

    id: int
    edition_id: int
    kind: EditionKind
    language: str
    key: str  #: digest of what it shows
    subject: str
    html: str
    text: str
    template_digest: str
    story_ids: tuple[int, ...] = ()
    service_key: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why one contact is in or out of an issue: exactly one reason."""

    contact_id: int
    into: bool
    reason: AudienceReason
    detail: str = ""
    kind: EditionKind | None = None
    language: str = ""
    story_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedDelivery:
    """A row of the ledger before it is written."""

    purpose: Purpose
    address: str
    name: str
    merge: Mapping[str, str]
    variant_key: str
    contact_id: int | None = None
    staff_key: str = ""
    due_at: datetime | None = None
    headers: Mapping[str, str] = field(default_factory=dict)  #: frozen too: From, Reply-To
    public_id: str = ""  #: derived from issue, purpose and recipient; the leave link carries it


@dataclass(frozen=True, slots=True)
class Delivery:
    """One copy for one recipient, as the ledger holds it."""

    id: int
    public_id: str
    issue_id: int
    purpose: Purpose
    variant_id: int
    contact_id: int | None
    staff_key: str
    address: str
    name: str
    merge: Mapping[str, str]
    state: DeliveryState
    reason: str = ""
    due_at: datetime | None = None
    attempts: int = 0
    fence: int = 0  #: who claims later has the greater number; a stale owner cannot settle
    message_id: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    settled_at: datetime | None = None
    transport: str = ""  #: what moved it in its latest attempt


@dataclass(frozen=True, slots=True)
class Moved:
    """A copy of which the world told something."""

    delivery: Delivery  #: as it is now
    was: DeliveryState


@dataclass(frozen=True, slots=True)
class Content:
    """A copy before its values are filled in, for a provider that fills them in itself."""

    key: str  #: copies with the same key share sender, subject, html and text
    sender_name: str
    recipient_name: str
    subject: str  #: with merge marks, as html and text
    html: str
    text: str
    values: Mapping[str, str]
    headers: Mapping[str, str] = field(
        default_factory=dict
    )  #: beyond From, To, Subject: Reply-To, Message-ID, List-…, Feedback-ID


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a transport gets: bytes to move and the id to name them by."""

    delivery_public_id: str
    sender: str
    recipient: str
    message: bytes
    group: str = ""  #: the issue's ref, for a transport that sorts copies
    content: Content | None = None  #: the same copy in parts


@dataclass(frozen=True, slots=True)
class Batch:
    """A provider's handle under which copies leave together, and can be called back."""

    provider_id: str
    send_at: datetime  #: when the provider lets them go


#: What a transport can say of a copy that somebody was sending when they died.
Fate = Literal["left", "not_left", "unknown"]


@dataclass(frozen=True, slots=True)
class Recall:
    """How calling a batch back went."""

    #: stays: it surely was not called back; unsure: it may have been
    word: Literal["called_back", "stays", "unsure"]
    why: str = ""  #: it could not be
    again: bool = False  #: asking later may help, while there is time


@dataclass(frozen=True, slots=True)
class Recalling:
    """A copy that a stop took back after a provider had taken it, or may have."""

    copy: Delivery
    batch: Batch
    taken: bool  #: it surely has it: it said so, and nobody has asked for it back so far


SendOutcome = Literal["accepted", "refused", "deferred", "unknown"]

#: What the world tells of a copy, whenever it gets round to it.
Heard = Literal["accepted", "refused", "delivered", "bounced", "complained"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """How one copy fared at the transport; one of many is a value."""

    delivery_public_id: str
    outcome: SendOutcome
    detail: str = ""
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """What a provider tells of one copy."""

    id: str  #: the provider's; the same event may come twice
    delivery_public_id: str  #: empty when it names none of ours
    what: str  #: the provider's word: processed, bounce, spamreport, …
    at: datetime
    heard: Heard | None = None  #: what it means for the copy; None: nothing
    hard: bool = False  #: a bounce for good: the address is dead
    leaves: bool = False  #: the reader asked the provider for no more mail
    dropped: bool = False  #: the provider threw it away itself, whatever its reason
    detail: str = ""  #: a stranger's words, cleaned and cut


#: Mail among ourselves about an issue, or a beat that has none; each kind goes once to a person
#: for one of them.
NoticeKind = Literal[
    "write", "write_backup", "approve", "review", "review_refused", "held_back", "not_sent",
    "no_issue",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Notice:
    """One mail to one of us, frozen when it was written."""

    kind: NoticeKind
    about: str  #: "issue:PUBLICID", or "beat:NEWSLETTER/2026-12-01" where there is none
    staff_key: str
    address: str
    name: str
    subject: str
    html: str
    text: str
    due_at: datetime
    id: int = 0
    public_id: str = ""
    state: DeliveryState = "planned"
    reason: str = ""
    attempts: int = 0
    fence: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """What lint says is missing or too much, and where."""

    code: str  #: no_source, no_take, no_question, over_quoted, too_big, …
    where: str  #: "story 3", "subject", …
    what: str
    blocks: bool = True  #: False: worth a look, does not hold the issue back


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """The audience as a sum: of + … = total."""

    contacts: int
    letters: int
    by_kind: tuple[tuple[str, int], ...]
    left_out: tuple[tuple[AudienceReason, int], ...]  #: most first
    sales: int = 0

    @property
    def reconciles(self) -> bool:
        out = sum(n for _, n in self.left_out)
        return self.letters + out == self.contacts == sum(n for _, n in self.by_kind) + out
