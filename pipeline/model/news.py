"""News: what a source answered, its entries, the items made of them, and their stories."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NewType

CleanHtml = NewType("CleanHtml", str)  #: went through rules.news.clean; nothing else may claim it

Signal = Literal["people", "launch", "deal", "results", "regulation", "price", "incident", "place"]
SIGNALS: tuple[Signal, ...] = (
    "people", "launch", "deal", "results", "regulation", "price", "incident", "place",
)  # fmt: skip
StoryKind = Literal["news", "note", "own"]
Where = Literal["headline", "lead", "body"]
Relation = Literal["self", "customer", "rival", "supplier", "incumbent"]
Outcome = Literal["fetched", "unchanged", "failed"]


FetchFailure = Literal[
    "blocked", "dns", "refused", "tls", "timeout", "dropped", "status", "gone", "redirects",
    "too_big", "bad_answer",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """One address to ask, with the validators we hold."""

    key: str  #: source key, returned with the answer
    url: str
    etag: str = ""  #: byte for byte as it was sent to us
    last_modified: str = ""  #: byte for byte; never invented
    accept: str = ""


@dataclass(frozen=True, slots=True)
class Fetched:
    """The source answered with a body."""

    url: str  #: of the last hop
    status: int
    content_type: str
    body: bytes
    etag: str = ""
    last_modified: str = ""
    moved_to: str = ""  #: where a chain of only 301/308 led
    max_age_s: int | None = None
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Unchanged:
    """304: what we hold is still right."""

    etag: str = ""
    last_modified: str = ""
    moved_to: str = ""
    max_age_s: int | None = None
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True)
class FetchFailed:
    """The source gave nothing; the others go on."""

    reason: FetchFailure
    detail: str  #: one plain sentence for a person
    status: int | None = None
    retry_after_s: int | None = None
    gone: bool = False  #: 410: stop asking
    elapsed_s: float = 0.0


Answer = Fetched | Unchanged | FetchFailed


@dataclass(frozen=True, slots=True)
class Entry:
    """What a source published, parsed and not yet trusted."""

    raw_id: str
    raw_url: str
    raw_title: str
    raw_summary: str  #: HTML
    raw_content: str = ""  #: HTML, the fullest text the feed gives
    raw_author: str = ""
    published_at: datetime | None = None
    updated_at: datetime | None = None
    language: str = ""
    base: str = ""  #: what relative links inside the HTML are relative to


@dataclass(frozen=True, slots=True)
class Quiet:
    """When a source asks not to be asked (RSS skipHours and skipDays)."""

    hours: frozenset[int] = frozenset()  #: 0 … 23, UTC
    days: frozenset[int] = frozenset()  #: 0 Monday … 6 Sunday, UTC


@dataclass(frozen=True, slots=True)
class ParsedFeed:
    """A document's entries, in its order."""

    title: str
    entries: tuple[Entry, ...]
    ttl_s: int | None = None
    quiet: Quiet = field(default_factory=Quiet)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ParseFailed:
    """The body is no feed, or no page of that shape; what we hold stays as it is."""

    reason: str  #: not_a_feed, empty, no_match, too_big, …
    detail: str


@dataclass(frozen=True, slots=True)
class NewItem:
    """An entry made clean, ready to store; also the shape of a changed one."""

    identity: str  #: stable within its source
    url: str
    canonical_url: str
    title: str  #: plain text
    summary_html: CleanHtml
    text: str  #: plain text of the fullest telling; serves matching and reading only
    author: str
    published_at: datetime  #: the feed's date; when it has none, when we first saw it
    dated: bool  #: False when published_at is only when we saw it
    content_hash: str
    language: str


@dataclass(frozen=True, slots=True)
class KnownItem:
    """What tells whether an entry is one that we hold, and whether it changed."""

    identity: str
    canonical_hash: str  #: of its address; empty when it has none
    title: str
    content_hash: str


@dataclass(frozen=True, slots=True)
class Item:
    """A stored item."""

    id: int
    source_key: str
    source_name: str
    story_id: int
    url: str
    canonical_url: str
    title: str
    summary_html: CleanHtml
    text: str
    author: str
    published_at: datetime
    seen_at: datetime
    language: str
    source_weight: float = 1.0


@dataclass(frozen=True, slots=True)
class SourceState:
    """What the store remembers of a source between two rounds."""

    id: int
    key: str
    url: str  #: where to ask now; differs from the file after permanent redirects
    read_as: str = ""  #: digest of how the file says it is read
    etag: str = ""
    last_modified: str = ""
    body_hash: str = ""
    ttl_s: int | None = None  #: how long the feed itself says it stays fresh
    quiet: Quiet = field(default_factory=Quiet)
    checked_at: datetime | None = None
    next_check_at: datetime | None = None
    failures: int = 0
    last_outcome: Outcome | None = None
    last_reason: str = ""
    last_detail: str = ""
    moved_to: str = ""
    moved_seen: int = 0  #: how often in a row the same permanent redirect was seen
    gone_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SourceOutcome:
    """How one source fared in one round."""

    key: str
    name: str
    outcome: Outcome | Literal["not_due"]
    reason: str = ""
    detail: str = ""
    entries: int = 0
    new: int = 0
    changed: int = 0
    next_check_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Mention:
    """An account that a story is about, and what in the text says so."""

    account_key: str
    relation: Relation  #: self: the account is named; else a company it deals with is
    where: Where
    evidence: str  #: the words that matched
    weight: float


@dataclass(frozen=True, slots=True)
class SignalHit:
    """A kind of event, and the words that say so."""

    signal: Signal
    evidence: str
    weight: float


@dataclass(frozen=True, slots=True)
class ScorePart:
    """One factor or summand of a score, in words a curator reads."""

    name: str  #: about, words, signal, source, freshness, size, second_order, …
    value: float
    why: str


@dataclass(frozen=True, slots=True)
class Score:
    """How much a story matters to one constellation; the parts explain the total."""

    total: float
    parts: tuple[ScorePart, ...] = ()


@dataclass(frozen=True, slots=True)
class Story:
    """Items that tell the same event; also a field note or a piece of our own news."""

    id: int
    public_id: str
    kind: StoryKind
    title: str
    lead: str  #: plain text: the opening of the richest telling
    text: str  #: plain text of the richest telling
    first_at: datetime
    last_at: datetime
    url: str = ""  #: of the richest telling
    source_name: str = ""
    learnt_from: str = ""  #: account key; what it told us in confidence
    is_public: bool = True  #: a note is public only when its writer says so
    mentions: tuple[Mention, ...] = ()
    signals: tuple[SignalHit, ...] = ()
    tellings: tuple[Item, ...] = ()  #: the richest first
    merged_into: int | None = None
    taken_back_at: datetime | None = None  #: of a field note that its writer undid
    revision: int = 1


@dataclass(frozen=True, slots=True)
class PoolStory:
    """A story as one constellation's pool shows it."""

    story: Story
    constellation_key: str
    score: Score
    state: Literal["open", "kept", "dropped", "sent"] = "open"
    issue_ref: str = ""  #: where it was kept or sent


@dataclass(frozen=True, slots=True)
class StoryDraft:
    """What grouping decided for new or changed items: join a story, or open one."""

    story_id: int | None  #: None opens a new story
    item_ids: tuple[int, ...]
    why: str  #: of the latest: first telling, same address, same text, tells the same (0.41)
    similarity: float = field(default=1.0)  #: the least of those that joined
    whys: tuple[str, ...] = ()  #: one for each item, beside item_ids
    richest_id: int | None = None  #: the item whose title and text lead; None: the longest
