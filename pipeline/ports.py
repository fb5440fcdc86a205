"""The Protocols that stages speak to, and `Ports`, the bag of them.

Adapters fit a Protocol without importing this module; wiring.py is where the type checker
sees the fit. A table's Protocol is narrow: only what some stage calls.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Protocol

from pipeline.model.catalog import Catalog, Selectors, UnknownPolicy
from pipeline.model.checkup import DatabaseFacts
from pipeline.model.letters import (
    Batch,
    Beat,
    BeatState,
    Delivery,
    DeliveryState,
    EditionKind,
    EmptyBeat,
    Envelope,
    Event,
    Fate,
    Heard,
    Issue,
    IssueState,
    LetterStory,
    Moved,
    Notice,
    PlannedDelivery,
    Purpose,
    Recall,
    Recalling,
    Receipt,
    Rendered,
    Section,
    Snippet,
    Variant,
    Verdict,
)
from pipeline.model.log import Operation
from pipeline.model.news import (
    Answer,
    Item,
    KnownItem,
    Mention,
    NewItem,
    ParsedFeed,
    ParseFailed,
    PoolStory,
    Request,
    Score,
    SignalHit,
    SourceState,
    Story,
    StoryDraft,
    StoryKind,
)
from pipeline.model.people import (
    Basis,
    Candidate,
    Contact,
    Erasing,
    ImportChange,
    ImportRecord,
    ImportRow,
    ImportTally,
    Standing,
    StandingFacts,
    Suppression,
    SuppressionReason,
    TakenBack,
)
from pipeline.model.running import JobRun, JobState, Lease
from pipeline.model.sales import AccountCoverage, BeatLine, LetterCounts, ToldStory, Touch
from pipeline.settings import Limits


def never() -> bool:
    """Nobody asks us to stop."""
    return False


class Clock(Protocol):
    """The only way to know the time."""

    def now(self) -> datetime:
        """Aware UTC."""
        ...


class Progress(Protocol):
    """Told by long work how far it is; a door may draw a bar."""

    def __call__(self, done: int, total: int, what: str) -> None: ...


class Fetcher(Protocol):
    """Asks the outside, guarded and polite; a failure is a value."""

    def fetch(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Answer]]:
        """Yield each answer as it comes, in any order; never raises for one of many."""
        ...


class Parser(Protocol):
    """Turns strangers' bytes into entries, within limits."""

    def feed(self, body: bytes, content_type: str, url: str) -> ParsedFeed | ParseFailed: ...

    def page(
        self, body: bytes, content_type: str, url: str, selectors: Selectors
    ) -> ParsedFeed | ParseFailed: ...


class Transport(Protocol):
    """Moves finished messages; each gets a receipt."""

    name: str
    #: So many copies at once suit it.
    batch_size: int

    def open_batch(self) -> Batch | None:
        """A new handle for the copies that leave next, to be written down before they do.

        None where there is no such thing.

        Raises: Down
        """
        ...

    def send(self, envelopes: Iterable[Envelope], batch: Batch | None = None) -> Iterator[Receipt]:
        """Move each copy and yield its receipt, each copy once, in any order.

        Raises: Down when none can be moved any more; copies without a receipt did not leave
        """
        ...

    def fates(
        self, delivery_public_ids: Sequence[str], batch: Batch | None = None
    ) -> Mapping[str, Fate]:
        """What became of copies whose sender died; asked once nobody sends them any more.

        Where there is a batch it is called back: `not_left` says that its copies will not
        leave, whatever still is on its way.

        Raises: Down when it cannot be said now
        """
        ...

    def can_call_back(self, batch: Batch) -> bool:
        """Whether what was taken in this batch can surely be called back now; asks nobody."""
        ...

    def call_back(self, batch: Batch) -> Recall:
        """Throw away what was taken in this batch, and what still comes.

        Where `can_call_back` says no, it stays. Asked twice, it has been called back once.
        """
        ...

    def finish(self) -> None:
        """Called when a run's copies are moved: connections are closed, indexes written."""
        ...

    def probe(self) -> str:
        """Go as far as one can without moving anything; in a sentence, what answered.

        Raises: Down with what is wrong and how to mend it
        """
        ...


class Events(Protocol):
    """Reads what a provider posts to us of the copies it moved."""

    provider: str

    def refusal(self, body: bytes, headers: Mapping[str, str], now: datetime) -> str:
        """Why this is not believed (not signed, forged, stale); empty when it is theirs.

        Shape: body as it came, before anybody understood it; header names in lower case
        """
        ...

    def read(self, body: bytes) -> Sequence[Event]:
        """What it says, in its order; what is no event is left out.

        Raises: BadInput when the whole is none (truncated, another shape)
        """
        ...


class Mailbox(Protocol):
    """A mailbox that gets copies of what our people write."""

    def mails(self) -> Iterator[tuple[str, bytes]]:
        """(key, raw message) of each mail that is there; a broken one is given as it is.

        Raises: Down when the mailbox cannot be read
        """
        ...


class Names(Protocol):
    """Asks the domain name system."""

    def txt(self, name: str) -> Sequence[str]:
        """The TXT records of a name; empty when there are none.

        Raises: Down when nobody answers
        """
        ...


class Outbox(Protocol):
    """What lies in files of the letters that went out, and of their previews."""

    def forget(self, copies: Sequence[str], mentions: Callable[[str], bool]) -> int:
        """Remove these copies by their public ids, and previews with a mention; how many files.

        Running it again removes nothing.

        Raises: Down when files cannot be removed
        """
        ...


class Papers(Protocol):
    """The folder for what the program writes for people to read."""

    def write(self, files: Mapping[str, bytes]) -> Sequence[Path]:
        """Write files by their path below the folder, each whole; where they lie.

        Raises: Down
        """
        ...

    def listed(self, folder: str) -> Sequence[str]:
        """Names of the files in one folder below it; empty when it is not there."""
        ...


class Workspace(Protocol):
    """The files that people write, and the folder that only the program writes."""

    root: Path

    def catalog(self) -> Catalog:
        """All files, checked together.

        Raises: BadInput with every mistake as file:line:col
        """
        ...

    def template(self, name: str) -> str:
        """Source of templates/NAME.

        Raises: NotFound
        """
        ...

    def stamp(self) -> str:
        """Another one whenever a file that the catalog is read from may have changed."""
        ...

    def sweep(self) -> int:
        """Take away what killed writers left in the program's own folder; how many files."""
        ...


# ── the store ────────────────────────────────────────────────────────────────────────────


class CatalogTable(Protocol):
    """Rows of the things that live in files."""

    def digest(self) -> str: ...

    def has_newsletter(self, key: str) -> bool:
        """Whether the files had it when they were last taken over."""
        ...

    def adopt(self, catalog: Catalog, now: datetime) -> Mapping[str, int]:
        """Bring rows in line with the files in one go.

        Shape: how many were new, changed, renamed, returned, retired
        """
        ...


class NewsTable(Protocol):
    """Sources and items."""

    def sources(self) -> Sequence[SourceState]:
        """State of every source that is not retired."""
        ...

    def record_fetch(self, state: SourceState, at: datetime, outcome: Mapping[str, Any],
                     asked: SourceState | None = ...) -> bool:  # fmt: skip
        """Write what a round learnt of one source, and a line of its history.

        False, and nothing is written, when the files say otherwise by now than when it was asked.
        """
        ...

    def known_items(self, source_id: int) -> Sequence[KnownItem]:
        """What we hold of this source, in one query."""
        ...

    def add_items(self, source_id: int, new: Sequence[NewItem], now: datetime) -> Sequence[int]:
        """New and changed items in one go; returns their ids."""
        ...

    def trim_history(self, before: datetime) -> int:
        """Forget lines of history older than this; how many."""
        ...


class StoriesTable(Protocol):
    """Stories, whom they are about, and each constellation's pool."""

    def ungrouped(self, limit: int = ...) -> Sequence[Item]:
        """The oldest items without a story, oldest first."""
        ...

    def items_since(self, since: datetime, until: datetime | None = None) -> Sequence[Item]:
        """All tellings of the stories that were told in this time, to compare new ones with."""
        ...

    def outdated(self, since: datetime) -> Sequence[int]:
        """Stories whose leading telling was edited at its source since they took its words."""
        ...

    def apply_groups(self, drafts: Sequence[StoryDraft], now: datetime) -> Sequence[int]:
        """Join or open stories, refresh their lead from the richest telling; ids touched."""
        ...

    def add_story(
        self,
        kind: StoryKind,
        title: str,
        text: str,
        at: datetime,
        *,
        url: str = "",
        source_name: str = "",
        learnt_from: str = "",
        is_public: bool = True,
        own_key: str | None = None,
    ) -> int:
        """A field note or a piece of our own news; an own_key seen before is updated."""
        ...

    def by_ids(self, ids: Sequence[int]) -> Sequence[Story]: ...

    def find(self, ref: str, *, taken_back: bool = False) -> Story:
        """By public id, an unambiguous beginning of it (at least 4 characters), or a link.

        A field note that was taken back is found only when asked for.

        Raises: NotFound, or BadInput when several begin so
        """
        ...

    def heir(self, story: Story) -> Story:
        """What it became, when it was merged into another; else itself."""
        ...

    def set_taken_back(self, story_id: int, at: datetime | None) -> None:
        """Take a field note back; None brings it back into the pools it stood in."""
        ...

    def own_news(self) -> Mapping[str, Story]:
        """Our own news as the store holds it, by its key."""
        ...

    def to_match(self, digest: str, since: datetime, limit: int = ...) -> Sequence[Story]:
        """Some stories of the time window that were last matched with other files or rules."""
        ...

    def relate(
        self, story_id: int, mentions: Sequence[Mention], signals: Sequence[SignalHit]
    ) -> None:
        """Replace whom a story is about and its signals."""
        ...

    def relate_all(
        self,
        found: Mapping[int, tuple[Sequence[Mention], Sequence[SignalHit]]],
        digest: str,
    ) -> None:
        """Replace mentions and signals of many stories, and note with what they were matched."""
        ...

    def score(self, constellation: str, scores: Mapping[int, Score], now: datetime) -> None:
        """Put stories into a constellation's pool, or refresh their score."""
        ...

    def unpool(self, constellation: str, reasons: Mapping[int, str], now: datetime) -> None:
        """Record why stories are not in the pool; kept and dropped ones stay as they are."""
        ...

    def open_scores(
        self, constellation: str, since: datetime
    ) -> Mapping[int, tuple[StoryKind, datetime, Score]]:
        """Of the pool's open stories: kind, when last told, and the score that stands."""
        ...

    def pools_of(self, story_id: int) -> Sequence[Mapping[str, Any]]:
        """Every pool that looked at a story: constellation, score, parts, left_out, dropped_by."""
        ...

    def pool(self, constellation: str, since: datetime) -> Sequence[PoolStory]:
        """Ranked, the best first; state says open, kept, dropped or sent."""
        ...

    def set_dropped(
        self, constellation: str, story_id: int, at: datetime | None, by: str = ""
    ) -> None: ...


class PeopleTable(Protocol):
    """Contacts and their standing. Addresses are compared by keyed hash."""

    def apply_import(
        self,
        rows: Sequence[ImportRow],
        *,
        name: str,
        digest: str,
        actor: str,
        now: datetime,
        dry_run: bool,
    ) -> ImportTally:
        """Bring rows in; a dry run counts the same and writes nothing."""
        ...

    def find(self, ref: str) -> Contact:
        """By address, public id, or an unambiguous beginning of it.

        Raises: NotFound, BadInput
        """
        ...

    def by_id(self, contact_id: int) -> Contact: ...

    def bases(self, contact_id: int) -> Sequence[tuple[Basis, datetime, str]]:
        """All evidence, latest first: (basis, recorded at, by whom)."""
        ...

    def suppressions(self, contact_id: int) -> Sequence[Suppression]:
        """In force, latest first."""
        ...

    def standing(self, contact_id: int) -> Standing:
        """Pause, hold and chosen newsletters of one contact."""
        ...

    def facts(self, constellation: str = "") -> Iterator[StandingFacts]:
        """All contacts, or one constellation's, as they came in, with how each stands."""
        ...

    def candidates(
        self,
        constellation: str,
        newsletter: str,
        now: datetime,
        *,
        cap_days: int,
        recap_of: str = "",
        recap_since: datetime | None = None,
    ) -> Iterator[Candidate]:
        """Every contact of the constellation's accounts, retired too, streamed in chunks."""
        ...

    def suppress(
        self,
        contact_id: int,
        scope: str,
        reason: SuppressionReason,
        now: datetime,
        detail: str = "",
        *,
        also: str = "",
    ) -> bool:
        """In force from this moment; False when it already was.

        Shape:  also is another address of theirs to which it applies, such as the one a copy
                went to before it changed
        """
        ...

    def block(
        self, address: str, scope: str, reason: SuppressionReason, now: datetime, detail: str = ""
    ) -> bool:
        """The same for one address alone; whoever had it may have a new one by now."""
        ...

    def lift(
        self, contact_id: int, scope: str, now: datetime, reason: SuppressionReason = "left"
    ) -> bool:
        """End a suppression of one reason, the person's own leaving by default; others stay."""
        ...

    def edited(self, contact_id: int, revision: int | None = None) -> int:
        """Somebody changes by hand how this contact stands: the revision from now on.

        Shape:  revision is the one that the caller holds; None: whatever is there
        Raises: NotFound; Conflict when the revision is stale; pause, hold, release and restore
                begin with it
        """
        ...

    def pause(
        self,
        contact_id: int,
        until_on: date,
        actor: str,
        now: datetime,
        *,
        revision: int | None = None,
    ) -> None: ...

    def hold(
        self,
        contact_id: int,
        staff_key: str,
        reason: str,
        now: datetime,
        *,
        revision: int | None = None,
    ) -> None: ...

    def release(self, contact_id: int, now: datetime, *, revision: int | None = None) -> None:
        """End pause and hold."""
        ...

    def restore(
        self,
        contact_id: int,
        was: Standing,
        actor: str,
        now: datetime,
        *,
        revision: int | None = None,
    ) -> None:
        """Pause and hold become what they were before an edit."""
        ...

    def told(self, contact_id: int) -> Sequence[Mapping[str, Any]]:
        """What this contact was told, or is to be told by a letter, latest first.

        Shape: story (public id) and title, or service (key); through (letter, forward, call
               …), issue (ref or ""), state (of the delivery, or ""), at, goes_at (of a letter
               that has not left; else None)
        """
        ...


class ImportsTable(Protocol):
    """People files that were brought in, and how one of them is taken back."""

    def records(self) -> Sequence[ImportRecord]:
        """Latest first."""
        ...

    def find(self, ref: str = "") -> ImportRecord:
        """By id or the beginning of one, or the latest of a file's name; the latest when empty.

        Raises: NotFound, BadInput when several begin so
        """
        ...

    def changes(self, import_id: int) -> Sequence[ImportChange]:
        """What it did to each contact and how that contact stands now, as they came in."""
        ...

    def take_back(self, import_id: int, decided: Sequence[TakenBack], now: datetime) -> None:
        """Write what was decided, and that this import was undone.

        Raises: Conflict when it was undone already
        """
        ...


class ErasingTable(Protocol):
    """Forgets one person."""

    def erased_at(self, address: str) -> datetime | None:
        """When whoever had this address was erased; None: nobody was."""
        ...

    def begin(self, contact_id: int, detail: str, now: datetime) -> Erasing:
        """From now on nothing goes out to them any more, and their address stays blocked.

        Raises: Conflict while a copy of theirs, or one that names them, is being sent
        """
        ...

    def erase(self, contact_id: int, now: datetime) -> None:
        """Empty everything of theirs, and take them out of what names them among others.

        Raises: Conflict while a copy of theirs, or one that names them, is being sent
        """
        ...


class ExportTable(Protocol):
    """Everything that is known of one person."""

    def everything(self, contact_id: int) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Rows by what they tell of, in plain words; oldest first.

        Shape:  the keys of stages.people.exporting.SECTIONS
        """
        ...


class LettersTable(Protocol):
    """Beats, issues, editions and audiences."""

    def lock(self, newsletter: str) -> None:
        """Whoever else looks at this newsletter's rhythm waits for this transaction's end.

        Raises: NotFound
        """
        ...

    def beats(self, newsletter: str) -> Mapping[date, BeatState]: ...

    def empty_beats(self, newsletter: str) -> Sequence[EmptyBeat]:
        """Those that were missed without an issue, the latest first."""
        ...

    def record_beat(
        self, newsletter: str, beat: Beat, state: BeatState, reason: str = ""
    ) -> None: ...

    def open_issue(
        self,
        newsletter: str,
        beat: Beat,
        *,
        cut_off_at: datetime,
        deadline_at: datetime,
        subject: str,
        now: datetime,
    ) -> Issue:
        """The issue of this beat; opened once, however often it is called."""
        ...

    def find_issue(self, ref: str) -> Issue:
        """By newsletter/number, newsletter (its latest), or public id.

        Raises: NotFound
        """
        ...

    def issue_on(self, newsletter: str, beat_on: date) -> Issue | None:
        """The issue of this beat, if it was opened."""
        ...

    def by_id(self, issue_id: int) -> Issue: ...

    def issues(self, newsletter: str = "") -> Sequence[Issue]:
        """Latest first."""
        ...

    def edit_issue(self, issue_id: int, revision: int, changes: Mapping[str, str]) -> Issue:
        """Subject, preheader, theme, opening.

        Raises: Conflict when the revision is stale
        """
        ...

    def set_state(
        self,
        issue_id: int,
        state: IssueState,
        *,
        reason: str = "",
        approved_by: str | None = None,
        approved_at: datetime | None = None,
        review_until: datetime | None = None,
        expect: Sequence[IssueState] = (),
    ) -> Issue:
        """Move an issue on; an approval writes by whom, when, and until when it is looked at.

        Raises: Conflict when it is not in one of the expected states
        """
        ...

    def freeze_edition(
        self,
        issue_id: int,
        kind: EditionKind,
        language: str,
        template_digest: str,
        copies: Sequence[LetterStory],
        links: Sequence[tuple[int | None, str, str]],
        now: datetime,
    ) -> int:
        """Write an edition with copies of its snippets and its links (snippet id, url, hash)."""
        ...

    def freeze_variant(
        self,
        edition_id: int,
        key: str,
        rendered: Rendered,
        story_ids: Sequence[int],
        service_key: str = "",
    ) -> int: ...

    def variant(self, variant_id: int) -> Variant: ...

    def variants(self, issue_id: int, kind: EditionKind | None = None) -> Sequence[Variant]:
        """Of the editions in force; of one kind only when it is named."""
        ...

    def retire_editions(self, issue_id: int, now: datetime) -> None:
        """A stopped approval: what was frozen stays on record and is used no more."""
        ...

    def write_audience(self, issue_id: int, verdicts: Iterable[Verdict]) -> None:
        """Replace the frozen audience of an issue that is not out."""
        ...

    def audience(self, issue_id: int) -> Sequence[Verdict]: ...

    def used_links(self, newsletter: str, before_issue: int) -> Mapping[str, str]:
        """canonical hash → ref of the earlier issue that used it."""
        ...


class SnippetsTable(Protocol):
    """Kept stories of an issue."""

    def of_issue(self, issue_id: int, *, removed: bool = False) -> Sequence[Snippet]:
        """In order; the removed ones instead when asked for them."""
        ...

    def keep(self, issue_id: int, story_id: int, section: Section, **fields: str) -> Snippet:
        """Add a story to an issue at its end; one that was removed comes back with its words."""
        ...

    def edit(self, snippet_id: int, revision: int, changes: Mapping[str, Any]) -> Snippet:
        """Raises: Conflict when the revision is stale."""
        ...

    def remove(self, snippet_id: int) -> None:
        """Out of the issue; its words are kept."""
        ...

    def reorder(self, issue_id: int, story_ids: Sequence[int]) -> None: ...

    def vouch(
        self, story_id: int, learnt_from: str, *, is_public: bool, revision: int | None = None
    ) -> None:
        """Who told us a field note (an account's key), or that it is public.

        Raises: Conflict when the revision is stale
        """
        ...


class ReasonsTable(Protocol):
    """Reads across tables, to explain and to sum up; writes nothing."""

    def issues_of_story(self, story_id: int) -> Sequence[Mapping[str, Any]]:
        """Where a story was kept: issue_ref, public_id, constellation, state, beat_on, section,
        position, removed."""
        ...

    def told_of_story(self, story_id: int) -> Sequence[Mapping[str, Any]]:
        """Who was told: at, through, contact, account, issue_ref, delivery_state."""
        ...

    def items_of_story(self, story_id: int) -> Sequence[Mapping[str, Any]]:
        """Its tellings, oldest first: source_key, source_name, url, title, published_at, dated,
        seen_at, joined_why, and of the fetch that brought it fetched_at, outcome, status,
        entries, new."""
        ...

    def merged_into_story(self, story_id: int) -> Sequence[str]:
        """Titles of the stories that became this one."""
        ...

    def operations_about(self, public_id: str) -> Sequence[Operation]:
        """Operations on a thing, and those that touched it among others; oldest first."""
        ...

    def standing_of(self, contact_id: int) -> Sequence[Mapping[str, Any]]:
        """All that ever decided whether a contact may be mailed: at, what, detail, ended_at."""
        ...

    def verdicts_of(self, contact_id: int) -> Sequence[Mapping[str, Any]]:
        """Each issue's verdict: issue_ref, state, due_at, approved_at, is_in, reason, detail,
        kind."""
        ...

    def relationships_of(self, account_key: str) -> Sequence[Mapping[str, Any]]:
        """What an account has been to us, oldest first: relationship, since."""
        ...

    def touches_of(self, contact_id: int) -> Sequence[Mapping[str, Any]]:
        """at, kind, staff_key, minutes, note."""
        ...

    def beat_of(self, issue_id: int) -> Mapping[str, Any] | None:
        """The beat of an issue: beat_on, planned_on, due_at, state, reason."""
        ...

    def database(self) -> str:
        """Where the data lies, without a password."""
        ...

    def checkup(self) -> DatabaseFacts:
        """Whether the database is whole, and what its clock says; may take a while."""
        ...

    def story_counts(self) -> Mapping[str, int]:
        """items, ungrouped items, stories."""
        ...

    def pool_counts(self, constellation: str, since: datetime) -> Mapping[str, int]:
        """open, kept, dropped stories of one pool whose latest telling is not older."""
        ...

    def delivery_counts(self) -> Mapping[str, int]:
        """Deliveries of all issues by state."""
        ...

    def contact_counts(self) -> Mapping[str, int]:
        """Contacts that are not retired: contacts, without_basis, invalid, suppressed."""
        ...


class DeliveriesTable(Protocol):
    """The ledger."""

    def plan(
        self,
        issue_id: int,
        rows: Iterable[PlannedDelivery],
        variant_ids: Mapping[str, int],
        now: datetime,
    ) -> int:
        """Write planned rows; withheld ones of a stopped approval are revived, sent ones stay.

        The told rows of a letter's stories and service are written with it.
        """
        ...

    def withhold_planned(self, issue_id: int, reason: str, now: datetime) -> int:
        """Everything of this issue that no one has claimed; how many."""
        ...

    def due(self, now: datetime) -> Sequence[int]:
        """Ids of issues with copies that may go out now, or with nothing left but to close them."""
        ...

    def is_waiting(self, issue_id: int, now: datetime) -> bool:
        """Whether some copy of this issue may be claimed at this moment."""
        ...

    def held_since_restore(self, now: datetime) -> Sequence[int]:
        """Ids of issues that would go out now, were they not held back since the restore."""
        ...

    def lock_attempts(self) -> None:
        """Whoever else counts attempts to begin more waits for this transaction's end."""
        ...

    def attempts_between(self, since: datetime, until: datetime) -> tuple[int, datetime | None]:
        """How many copies began to leave after `since` and up to `until`; the earliest of them.

        Mail among ourselves counts as well.
        """
        ...

    def claim(
        self,
        issue_id: int,
        owner: str,
        lease_until: datetime,
        now: datetime,
        limit: int,
        *,
        on: date | None = None,
        apart: Collection[str] = (),
    ) -> Sequence[Delivery]:
        """Take planned (and expired) rows; suppression is looked at again in the same breath.

        Shape:  on is the day at home, against which pauses are held; None: in UTC; apart are
                senders whose copies stay, "" those that name none
        """
        ...

    def attempting(
        self,
        given: Sequence[Delivery],
        now: datetime,
        *,
        lease_until: datetime | None = None,
        transport: str = "",
        batch: Batch | None = None,
        on: date | None = None,
    ) -> Sequence[Delivery]:
        """Durable before a byte leaves, with what moves them; returns those that are still ours.

        Who must not be mailed any more is not among them. Shape: on as in claim()
        """
        ...

    def extend(self, given: Sequence[Delivery], lease_until: datetime) -> frozenset[int]:
        """Hold claimed and attempting rows longer; the ids of those that are still ours."""
        ...

    def release(self, given: Sequence[Delivery], reason: str) -> int:
        """Claimed rows that did not begin to leave are planned again at once; how many."""
        ...

    def settle(
        self,
        receipts: Sequence[tuple[Delivery, Receipt]],
        now: datetime,
        unknown: UnknownPolicy = "hold",
    ) -> Mapping[str, int]:
        """Write outcomes, touches and events; counts per state.

        Shape:  unknown says what becomes of copies in doubt
        """
        ...

    def give_back(self, deliveries: Sequence[Delivery], reason: str, now: datetime) -> int:
        """Attempting rows that surely did not leave are planned again, recalling ones held back.

        The attempt does not count, and whoever held them can no longer settle them.
        """
        ...

    def take_doubts(self, owner: str, lease_until: datetime, now: datetime) -> Sequence[Delivery]:
        """Attempting rows whose lease ran out, from now on ours to ask about."""
        ...

    def next_due(self, now: datetime) -> datetime | None:
        """When the next copy of an issue that goes out may be taken; None: none is waiting."""
        ...

    def holders(self) -> Sequence[str]:
        """Who holds claimed, attempting or recalling rows."""
        ...

    def end_leases(self, owner: str, now: datetime) -> int:
        """What this owner holds may be taken by others from now on; how many rows."""
        ...

    def hear(self, public_id: str, news: Heard, detail: str, now: datetime) -> DeliveryState | None:
        """Take in what the world tells of a copy; its state after that, None for no such copy."""
        ...

    def hear_all(self, news: Sequence[tuple[str, Heard, str]], now: datetime) -> Sequence[Moved]:
        """The same for (public id, news, detail) of many; each copy that we know, once."""
        ...

    def batches_of(self, ids: Sequence[int]) -> Mapping[int, Batch]:
        """Delivery id → the handle of its latest attempt, where there was one."""
        ...

    def unknown(self, issue_id: int | None = None) -> Sequence[Delivery]:
        """Copies in doubt, of all issues or of one; the longest in doubt first."""
        ...

    def begins(self, ref: str) -> Sequence[Delivery]:
        """Copies whose public id begins so; two are enough to tell that there are several."""
        ...

    def decide(
        self,
        issue_id: int,
        given: Sequence[Delivery],
        state: DeliveryState,
        reason: str,
        now: datetime,
    ) -> Mapping[DeliveryState, int]:
        """What a person says of an issue's copies in doubt: accepted, planned or withheld.

        Counts of what they came to; where the issue does not go, a planned one is withheld.
        """
        ...

    def went_out(self, issue_id: int, reason: str, at: datetime) -> int:
        """A person says that all copies which wait or are in doubt left at that time; how many."""
        ...

    def move_on(self, issue_id: int, now: datetime) -> Issue:
        """Bring an issue's state in line with its copies, and its beat with it."""
        ...

    def held_back(self, issue_id: int) -> int:
        """Copies that a stop holds back, or is taking back."""
        ...

    def recallable(
        self, issue_id: int, transport: str, can: Callable[[Batch], bool], now: datetime
    ) -> int:
        """How many copies a stop could take back from the provider at this moment."""
        ...

    def recall(
        self, issue_id: int, transport: str, can: Callable[[Batch], bool], now: datetime
    ) -> int:
        """Write that these are to be called back, durable before anybody asks; how many."""
        ...

    def take_recalls(
        self, owner: str, lease_until: datetime, now: datetime, apart: Collection[str] = ...
    ) -> Sequence[Recalling]:
        """One batch that is to be called back and nobody asks for, from now on ours to ask for.

        Shape:  apart are the provider's ids of batches that had their turn
        """
        ...

    def end_recall(
        self, given: Sequence[Recalling], went: Recall, now: datetime
    ) -> Mapping[DeliveryState, int]:
        """Write how calling them back went; counts of what they are now."""
        ...

    def counts(self, issue_id: int) -> Mapping[tuple[Purpose, DeliveryState], int]: ...

    def of_issue(self, issue_id: int) -> Iterator[Delivery]: ...

    def by_public_id(self, public_id: str) -> Delivery | None: ...

    def history(self, delivery_id: int) -> Sequence[tuple[datetime, str, str]]: ...

    def of_contact(self, contact_id: int) -> Sequence[Delivery]: ...


class SalesTable(Protocol):
    """Touches and coverage."""

    def add_touch(self, touch: Touch) -> int: ...

    def same_touch(self, touch: Touch, since: datetime) -> int | None:
        """A touch of the same contact in the very same words, logged after `since`; its id."""
        ...

    def take_back(self, touch_id: int) -> Touch:
        """Undo a touch by hand: it counts no more, and what it told is told no more."""
        ...

    def coverage(
        self, constellation: str, start: datetime, end: datetime
    ) -> Sequence[AccountCoverage]: ...

    def beats_between(self, constellation: str, start: date, end: date) -> tuple[int, int]:
        """(kept, planned) beats of the constellation's newsletters; `end` is left out.

        A beat that the rhythm itself skipped was never promised and counts in neither.
        """
        ...


class ReportsTable(Protocol):
    """What a month came to, beyond its touches."""

    def beats(self, constellation: str, start: date, end: date) -> Sequence[BeatLine]:
        """Every beat of its newsletters, by day; `end` is left out."""
        ...

    def letters(self, constellation: str, start: datetime, end: datetime) -> LetterCounts:
        """What became of its letters; `end` is left out."""
        ...

    def stories(
        self, constellation: str, start: datetime, end: datetime, limit: int
    ) -> Sequence[ToldStory]:
        """Those that most people were told of, by letter or by hand."""
        ...


class NoticesTable(Protocol):
    """Mail among ourselves, each once."""

    def add(self, notice: Notice) -> bool:
        """Write it down to be sent; False when this person has one of this kind about it.

        One that was refused or came back is written anew when it goes to another address now; and
        one that tells of a refused review mail, when that was refused at another address, too.
        """
        ...

    def of(self, about: str) -> Sequence[Notice]:
        """Oldest first."""
        ...

    def hear_all(self, news: Sequence[tuple[str, Heard, str]], now: datetime) -> Sequence[Notice]:
        """Take in what the world tells of some, (public id, news, detail); those that moved."""
        ...

    def claim(
        self, owner: str, lease_until: datetime, now: datetime, limit: int
    ) -> Sequence[Notice]:
        """Take those that are due, and expired ones."""
        ...

    def attempting(self, given: Sequence[Notice]) -> Sequence[Notice]:
        """Durable before a byte leaves; returns those that are still ours."""
        ...

    def settle(
        self, receipts: Sequence[tuple[Notice, Receipt]], now: datetime
    ) -> Mapping[str, int]:
        """Write outcomes; counts per state."""
        ...

    def give_back(self, given: Sequence[Notice], reason: str) -> int:
        """Attempting ones that surely did not leave are planned again; how many."""
        ...

    def holders(self) -> Sequence[str]:
        """Who holds claimed or attempting ones."""
        ...

    def end_leases(self, owner: str, now: datetime) -> int:
        """What this owner holds may be taken by others from now on; how many."""
        ...

    def in_doubt(self, now: datetime) -> Sequence[Notice]:
        """Attempting ones whose lease ran out: somebody died between sending and settling."""
        ...

    def next_due(self, now: datetime) -> datetime | None:
        """When the next one may be taken; None: none is waiting."""
        ...


class JobsTable(Protocol):
    """What runs by itself, who runs it now, and what became of each run."""

    def states(self) -> Mapping[str, JobState]: ...

    def take(self, name: str, owner: str, until: datetime, now: datetime) -> Lease | None:
        """The right to do a thing alone; None while somebody else has it."""
        ...

    def let_go(self, lease: Lease) -> None: ...

    def record(self, run: JobRun, next_at: datetime) -> None:
        """Write what a run came to, and when the job is due again.

        A run without a detail found nothing to do: it gets no line in the history.
        """
        ...

    def runs(self, job: str = "", limit: int = ...) -> Sequence[JobRun]:
        """Latest first."""
        ...

    def trim_runs(self, before: datetime) -> int:
        """Forget runs older than this; how many."""
        ...

    def mark(self, name: str) -> str:
        """A fact about the whole workspace; empty when it was never written."""
        ...

    def set_mark(self, name: str, value: str) -> None: ...


class PostingsTable(Protocol):
    """What providers told us, as it came, and each event once."""

    def add(self, provider: str, digest: str, body: bytes, now: datetime) -> int | None:
        """Keep a body as it came; its id, or None when the very same was kept before."""
        ...

    def waiting(self, provider: str) -> Sequence[int]:
        """Ids of what was kept and is not understood yet, oldest first."""
        ...

    def body(self, posting_id: int) -> bytes | None:
        """What was kept; None when it was understood before."""
        ...

    def add_events(
        self, provider: str, posting_id: int, events: Sequence[Event]
    ) -> Sequence[Event]:
        """Write each event that is new to us; those, in the order given."""
        ...

    def done(self, posting_id: int, now: datetime, detail: str) -> None:
        """It was understood, or it never will be, and why."""
        ...

    def forget(self, before: datetime) -> int:
        """Empty the bodies of what was understood before this; how many."""
        ...


class MailsTable(Protocol):
    """Mail copied to our own mailbox, each looked at once."""

    def known(self) -> frozenset[str]:
        """Digests of everything that was looked at."""
        ...

    def add(self, digest: str, outcome: str, detail: str, now: datetime) -> bool:
        """Write a mail down; False when somebody did before."""
        ...

    def link(self, digest: str, touch_id: int) -> None:
        """Which touch a mail became; of several the first."""
        ...


class ForwardsTable(Protocol):
    """What passing a story on asks; a story counts together with those merged into it."""

    def issues_with(self, story_id: int, constellation: str) -> Sequence[int]:
        """Ids of the constellation's issues that keep this story, the latest first."""
        ...

    def told_before(self, contact_id: int, story_id: int) -> Sequence[Mapping[str, Any]]:
        """Through what this contact had the story, latest first: at, through, by, issue."""
        ...

    def passed_on(
        self, staff_key: str, contact_id: int, story_id: int, start: datetime, end: datetime
    ) -> bool:
        """Whether this person logged in that time that they passed the story on to them."""
        ...

    def titles(self, since: datetime) -> Sequence[tuple[int, str]]:
        """(story id, title) of what our pools had since then, as its source and as we call it."""
        ...


class LogTable(Protocol):
    """The log of operations."""

    def add(self, operation: Operation) -> int: ...

    def last_undoable(
        self, actor: str, verbs: Sequence[str], subject: str = ""
    ) -> Operation | None: ...

    def mark_undone(self, operation_id: int, by: int) -> None: ...

    def of(self, subject: str) -> Sequence[Operation]: ...


class Tables(Protocol):
    """What one transaction can reach."""

    @property
    def catalog(self) -> CatalogTable: ...
    @property
    def news(self) -> NewsTable: ...
    @property
    def stories(self) -> StoriesTable: ...
    @property
    def people(self) -> PeopleTable: ...
    @property
    def imports(self) -> ImportsTable: ...
    @property
    def erasing(self) -> ErasingTable: ...
    @property
    def export(self) -> ExportTable: ...
    @property
    def letters(self) -> LettersTable: ...
    @property
    def snippets(self) -> SnippetsTable: ...
    @property
    def deliveries(self) -> DeliveriesTable: ...
    @property
    def sales(self) -> SalesTable: ...
    @property
    def reports(self) -> ReportsTable: ...
    @property
    def notices(self) -> NoticesTable: ...
    @property
    def jobs(self) -> JobsTable: ...
    @property
    def postings(self) -> PostingsTable: ...
    @property
    def mails(self) -> MailsTable: ...
    @property
    def forwards(self) -> ForwardsTable: ...
    @property
    def log(self) -> LogTable: ...
    @property
    def reasons(self) -> ReasonsTable: ...


class Store(Protocol):
    """One database; one database is one workspace."""

    def read(self) -> AbstractContextManager[Tables]:
        """A transaction that writes nothing."""
        ...

    def write(self) -> AbstractContextManager[Tables]:
        """A transaction that may write; committed at the end, rolled back on an exception.

        Raises: Down when the database is locked for 30 s, full or away
        """
        ...

    def check_shape(self) -> None:
        """Whether the database can be reached and has the newest schema.

        Raises: Down, Conflict
        """
        ...

    def optimize(self) -> None:
        """Let the database put its own house in order.

        Raises: Down
        """
        ...


class Tokens(Protocol):
    """Unguessable, purpose-bound tokens for public addresses."""

    def derive(self, *parts: str) -> str:
        """A public id that only we can make: 26 characters, the same for the same parts.

        An issue's deliveries get theirs so, which lets a preview show the very bytes.
        """
        ...

    def make(self, purpose: str, public_id: str) -> str: ...

    def read(self, purpose: str, token: str) -> str | None:
        """The public id, or None for anything that is not ours; constant time."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything a stage may touch. The catalog is read once per command."""

    store: Store
    workspace: Workspace
    clock: Clock
    fetcher: Fetcher
    parser: Parser
    transport: Transport
    tokens: Tokens
    catalog: Catalog
    progress: Progress | Callable[[int, int, str], None]
    actor: str  #: who acts: staff key, name, or the system's user
    events: Events | None = None  #: None: no provider tells us anything
    mailbox: Mailbox | None = None  #: None: nobody copies us in
    names: Names | None = None
    outbox: Outbox | None = None  #: None: no letter lies in a file
    papers: Papers | None = None
    limits: Limits = field(default_factory=Limits)
    bcc_address: str = ""  #: that of the mailbox, for the forward kit
    #: What sources may lie in beside the public net, in one line; another one when that changes.
    allowances: str = ""
    #: Asked by long work between two steps: True when it is to stop at the next good place.
    stopping: Callable[[], bool] = never
