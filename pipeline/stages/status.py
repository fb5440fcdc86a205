"""How things stand at this moment, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from pipeline.model.catalog import Constellation, Newsletter, Source
from pipeline.model.letters import Beat, Issue
from pipeline.model.news import SourceState
from pipeline.ports import Ports, Tables
from pipeline.rules.letters.content_lock import OPEN_STATES
from pipeline.rules.letters.curator_notes import moment_in_words
from pipeline.rules.letters.rhythm import next_beat, not_before

Health = Literal["healthy", "failing", "gone", "never_asked"]

#: How far back a pool reaches.
POOL_WINDOW = timedelta(days=45)
#: States in which somebody, or the program, still has to do something.
UNFINISHED = OPEN_STATES | {"approved", "scheduled", "sending"}


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """One source, in plain words."""

    key: str
    name: str
    health: Health
    detail: str  #: why it fails; empty when it does not
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
class NewsletterStatus:
    """A newsletter's next beat, and the issue that is being made."""

    key: str
    title: str
    zone: str
    next_beat: Beat | None  #: the first that is not over; None when the rhythm has ended
    opens_at: datetime | None  #: when its issue is opened
    issue: Issue | None  #: the earliest that is not finished
    stories: int  #: of that issue, in its main section
    written: int  #: of these, with our take


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
    sources: tuple[SourceHealth, ...]
    items: int
    stories: int
    ungrouped: int  #: items that no story has yet
    pools: tuple[PoolSize, ...]
    newsletters: tuple[NewsletterStatus, ...]
    deliveries: Mapping[str, int]  #: by state, over all issues
    due_now: int  #: issues with copies that may go out
    people: Mapping[str, int]  #: contacts, without_basis, invalid, suppressed
    next: tuple[Next, ...]  #: the most pressing first


def status(ports: Ports) -> Status:
    """Sources, stories, newsletters, deliveries and people, and what to do next."""
    with ports.store.read() as tables:
        counts = tables.reasons.story_counts()
        found = Status(
            at=ports.clock.now(),
            workspace=str(ports.workspace.root.resolve()),
            database=tables.reasons.database(),
            firm=ports.catalog.firm.name,
            sources=tuple(_sources(ports, tables)),
            items=counts["items"],
            stories=counts["stories"],
            ungrouped=counts["ungrouped"],
            pools=tuple(_pool(ports, tables, c) for c in ports.catalog.constellations),
            newsletters=tuple(
                _newsletter(ports, tables, n)
                for c in ports.catalog.constellations
                for n in c.newsletters
            ),
            deliveries=tables.reasons.delivery_counts(),
            due_now=len(tables.deliveries.due(ports.clock.now())),
            people=tables.reasons.contact_counts(),
            next=(),
        )
    return _with_next(ports, found)


# ── how things stand ─────────────────────────────────────────────────────────────────────


def _sources(ports: Ports, tables: Tables) -> Iterator[SourceHealth]:
    states = {state.key: state for state in tables.news.sources()}
    for source in ports.catalog.sources:
        yield _health(source, states.get(source.key))


def _health(source: Source, state: SourceState | None) -> SourceHealth:
    health: Health = "healthy"
    if state is None or state.checked_at is None:
        health = "never_asked"
    elif state.gone_at is not None:
        health = "gone"
    elif state.failures or state.last_outcome == "failed":
        health = "failing"
    ill = state is not None and health in ("failing", "gone")
    return SourceHealth(
        key=source.key,
        name=source.name,
        health=health,
        detail=state.last_detail or state.last_reason if state and ill else "",
        failures=state.failures if state else 0,
        checked_at=state.checked_at if state else None,
        next_check_at=state.next_check_at if state else None,
    )


def _pool(ports: Ports, tables: Tables, constellation: Constellation) -> PoolSize:
    since = ports.clock.now() - POOL_WINDOW
    counts = tables.reasons.pool_counts(constellation.key, since)
    return PoolSize(
        constellation.key, constellation.name, counts["open"], counts["kept"], counts["dropped"]
    )


def _newsletter(ports: Ports, tables: Tables, newsletter: Newsletter) -> NewsletterStatus:
    issues = tables.letters.issues(newsletter.key)
    soonest = not_before(
        newsletter, ports.clock.now(), begun=bool(tables.letters.beats(newsletter.key))
    )
    served = {i.beat_on for i in issues if i.state not in UNFINISHED}
    beat = _beat(ports, newsletter, served, soonest)
    unfinished = [i for i in issues if i.state in UNFINISHED]
    issue = min(unfinished, key=lambda i: i.due_at, default=None)
    main = [s for s in tables.snippets.of_issue(issue.id) if s.section == "main"] if issue else []
    return NewsletterStatus(
        key=newsletter.key,
        title=newsletter.title,
        zone=newsletter.rhythm.zone,
        next_beat=beat,
        opens_at=beat.due_at - timedelta(days=newsletter.lead_days) if beat else None,
        issue=issue,
        stories=len(main),
        written=sum(bool(s.take or s.general_wording) for s in main),
    )


def _beat(
    ports: Ports, newsletter: Newsletter, served: Set[date], soonest: datetime
) -> Beat | None:
    """The first beat ahead whose issue is not finished."""
    rhythm = newsletter.rhythm
    after = soonest.astimezone(ZoneInfo(rhythm.zone)).date() - timedelta(days=1)
    try:
        beat = next_beat(rhythm, ports.catalog.firm.holidays, after)
        while beat.due_at <= soonest or beat.on in served:
            beat = next_beat(rhythm, ports.catalog.firm.holidays, beat.on)
    except StopIteration:  # the calendar itself has ended
        return None
    return beat


# ── what to do next ──────────────────────────────────────────────────────────────────────


def _with_next(ports: Ports, found: Status) -> Status:
    steps = (
        *_doubts(found),
        *_due(found),
        *_news(found),
        *_issues(ports, found),
        *_people(found),
        *_ill_sources(found),
    )
    return Status(
        **{name: getattr(found, name) for name in Status.__slots__ if name != "next"},
        next=steps or tuple(_nothing(found)),
    )


def _doubts(found: Status) -> Iterator[Next]:
    unknown = found.deliveries.get("unknown", 0)
    if unknown:
        copies = "copy" if unknown == 1 else "copies"
        yield Next(
            f"Of {unknown} {copies} it is not known whether they went out; they are not sent again "
            "by themselves. `asterism explain issue` names the issue's copies."
        )


def _due(found: Status) -> Iterator[Next]:
    if found.due_now:
        issues = "An issue is" if found.due_now == 1 else f"{found.due_now} issues are"
        yield Next(f"{issues} due to go out.", "asterism deliver")


def _news(found: Status) -> Iterator[Next]:
    never = [source.name for source in found.sources if source.health == "never_asked"]
    if not found.sources:
        yield Next("No source is listed: write some into feeds.yaml.", "asterism check")
    elif never:
        yield Next(f"Not asked yet: {_listed(never)}.", "asterism gather")
    elif found.ungrouped == 1:
        yield Next("1 new item waits to become a story.", "asterism gather")
    elif found.ungrouped:
        yield Next(f"{found.ungrouped} new items wait to become stories.", "asterism gather")


def _issues(ports: Ports, found: Status) -> Iterator[Next]:
    by_time = sorted(
        found.newsletters, key=lambda n: n.issue.due_at if n.issue else n.opens_at or found.at
    )
    for newsletter in by_time:
        if newsletter.issue is not None:
            yield from _issue(ports, found, newsletter, newsletter.issue)
        elif newsletter.opens_at is not None and newsletter.opens_at <= found.at:
            when = _when(newsletter, newsletter.next_beat)
            yield Next(
                f"{newsletter.title} goes out on {when}; its issue can be opened.",
                "asterism issue open",
            )


def _issue(
    ports: Ports, found: Status, newsletter: NewsletterStatus, issue: Issue
) -> Iterator[Next]:
    name = f"{newsletter.title} {issue.number}"
    due = moment_in_words(issue.due_at, newsletter.zone)
    if issue.state in ("approved", "scheduled"):
        if issue.due_at > found.at:
            yield Next(f"{name} is approved and goes out on {due}.")
    elif issue.state == "sending":
        if not found.due_now:
            yield Next(f"{name} is going out; what is left waits for its time.")
    elif issue.state == "stopped":
        why = f" ({issue.reason})" if issue.reason else ""
        yield Next(
            f"{name} is stopped{why}; approved again, it goes on.",
            _approve(ports, issue),
        )
    elif not newsletter.stories:
        yield Next(
            f"{name} has no stories yet; it goes out on {due}.",
            f"asterism curate export {issue.ref}",
        )
    elif newsletter.written < newsletter.stories:
        until = moment_in_words(issue.cut_off_at, newsletter.zone)
        so_long = f"write until {until}"
        if issue.cut_off_at <= found.at:
            so_long = f"the cut-off was on {until}, so only the approver still writes"
        yield Next(
            f"{name}: {newsletter.written} of {newsletter.stories} stories have our take; "
            f"{so_long}.",
            f"asterism curate export {issue.ref}",
        )
    else:
        yield Next(_approval(ports, found, newsletter, issue, name), _approve(ports, issue))


def _approve(ports: Ports, issue: Issue) -> str:
    constellation = ports.catalog.constellation(issue.constellation_key)
    acting = f"--as {constellation.approver} " if constellation else ""
    return f"asterism {acting}issue approve {issue.ref}"


def _approval(
    ports: Ports, found: Status, newsletter: NewsletterStatus, issue: Issue, name: str
) -> str:
    constellation = ports.catalog.constellation(issue.constellation_key)
    approver = ports.catalog.staff(constellation.approver) if constellation else None
    who = approver.name if approver else "its approver"
    deadline = moment_in_words(issue.deadline_at, newsletter.zone)
    late = "was due" if issue.deadline_at <= found.at else "is due"
    return (
        f"{name} is written. Look at it with `asterism issue show {issue.ref}`; the approval by "
        f"{who} {late} on {deadline}."
    )


def _people(found: Status) -> Iterator[Next]:
    contacts, without = found.people["contacts"], found.people["without_basis"]
    if not contacts:
        yield Next("Nobody is there to write to yet.", "asterism people import FILE")
    elif without:
        who = "1 contact has no recorded basis and gets no letters; import it"
        if without > 1:
            who = f"{without} contacts have no recorded basis and get no letters; import them"
        yield Next(
            f"{who} with a basis, its source and date.",
            "asterism people import FILE",
        )


def _ill_sources(found: Status) -> Iterator[Next]:
    for source in found.sources:
        if source.health == "gone":
            yield Next(
                f"{source.name} is gone for good: take it out of feeds.yaml, or mend its url."
            )
        elif source.health == "failing":
            times = f"{source.failures} times in a row" if source.failures > 1 else "last time"
            yield Next(
                f"{source.name} failed {times}: {source.detail.rstrip('.')}. "
                "If that stays so, mend its url in feeds.yaml.",
                f"asterism gather {source.key} --force",
            )


def _nothing(found: Status) -> Iterator[Next]:
    coming = [n for n in found.newsletters if n.next_beat is not None]
    if not coming:
        yield Next("Nothing needs you: no newsletter has a beat ahead.")
        return
    first = min(coming, key=lambda n: n.next_beat.due_at if n.next_beat else found.at)
    opens = moment_in_words(first.opens_at, first.zone) if first.opens_at else "its time"
    yield Next(
        f"Nothing needs you. {first.title} goes out next on {_when(first, first.next_beat)}; "
        f"its issue opens on {opens}."
    )


def _when(newsletter: NewsletterStatus, beat: Beat | None) -> str:
    return moment_in_words(beat.due_at, newsletter.zone) if beat else "its day"


def _listed(names: list[str], most: int = 4) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
