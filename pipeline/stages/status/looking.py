"""Reads how things stand from the files and the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from pipeline.model.catalog import Constellation, Newsletter, Source
from pipeline.model.letters import Beat, BeatState, Issue
from pipeline.model.news import SourceState
from pipeline.ports import Ports, Tables
from pipeline.rules.letters.content_lock import OPEN_STATES
from pipeline.rules.letters.lint import lint_issue
from pipeline.rules.letters.notice import about
from pipeline.rules.letters.rhythm import beats, late_decision, next_beat, not_before
from pipeline.rules.news.address import link_hash
from pipeline.rules.notices import in_doubt, why_not_asked
from pipeline.stages.status.standing import (
    Health,
    MissedBeat,
    NewsletterStatus,
    PoolSize,
    SourceHealth,
    Status,
    Unfinished,
)
from pipeline.stages.status.steps import next_steps

#: How far back a pool reaches.
POOL_WINDOW = timedelta(days=45)
#: States in which somebody, or the program, still has to do something.
UNFINISHED = OPEN_STATES | {"approved", "scheduled", "sending"}

_DAY = timedelta(days=1)


def status(ports: Ports) -> Status:
    """Sources, stories, newsletters, deliveries and people, and what to do next."""
    with ports.store.read() as tables:
        counts = tables.reasons.story_counts()
        found = Status(
            at=ports.clock.now(),
            workspace=str(ports.workspace.root.resolve()),
            database=tables.reasons.database(),
            firm=ports.catalog.firm.name,
            doubts=ports.catalog.doubts,
            sources=tuple(_sources(ports, tables)),
            items=counts["items"],
            stories=counts["stories"],
            ungrouped=counts["ungrouped"],
            pools=tuple(_pool(ports, tables, c) for c in ports.catalog.constellations),
            newsletters=tuple(
                _newsletter(ports, tables, c, n)
                for c in ports.catalog.constellations
                for n in c.newsletters
            ),
            deliveries=tables.reasons.delivery_counts(),
            due_now=len(tables.deliveries.due(ports.clock.now())),
            held=tuple(
                tables.letters.by_id(issue_id).ref
                for issue_id in tables.deliveries.held_since_restore(ports.clock.now())
            ),
            deliver_failed=_deliver_failed(tables),
            people=tables.reasons.contact_counts(),
        )
    return replace(found, next=next_steps(ports.catalog, found))


def _deliver_failed(tables: Tables) -> str:
    last = tables.jobs.states().get("deliver")
    return last.detail if last is not None and last.outcome == "failed" else ""


# ── sources and pools ────────────────────────────────────────────────────────────────────


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
    ill = state if state is not None and health in ("failing", "gone") else None
    return SourceHealth(
        key=source.key,
        name=source.name,
        health=health,
        reason=ill.last_reason if ill else "",
        detail=ill.last_detail or ill.last_reason if ill else "",
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


# ── newsletters ──────────────────────────────────────────────────────────────────────────


def _newsletter(
    ports: Ports, tables: Tables, constellation: Constellation, newsletter: Newsletter
) -> NewsletterStatus:
    issues = sorted(tables.letters.issues(newsletter.key), key=lambda issue: issue.due_at)
    known = tables.letters.beats(newsletter.key)
    beat = _next_beat(ports, newsletter, known)
    return NewsletterStatus(
        key=newsletter.key,
        title=newsletter.title,
        zone=newsletter.rhythm.zone,
        constellation_key=constellation.key,
        next_beat=beat,
        opens_at=beat.due_at - timedelta(days=newsletter.lead_days) if beat else None,
        missed=_missed(ports, newsletter, known, issues),
        issues=tuple(_issues(ports, tables, constellation, newsletter, issues)),
    )


def _issues(
    ports: Ports,
    tables: Tables,
    constellation: Constellation,
    newsletter: Newsletter,
    issues: list[Issue],
) -> Iterator[Unfinished]:
    """Those that are not finished; of those that are over, only the last can still go on."""
    now = ports.clock.now()
    last = next((issue for issue in reversed(issues) if issue.due_at <= now), None)
    for issue in issues:
        held_back = 0
        if issue is last and issue.state == "partly_sent":
            held_back = tables.deliveries.held_back(issue.id)
        if held_back or issue.state in UNFINISHED:
            yield _progress(ports, tables, constellation, newsletter, issue, held_back)


def _progress(
    ports: Ports,
    tables: Tables,
    constellation: Constellation,
    newsletter: Newsletter,
    issue: Issue,
    held_back: int,
) -> Unfinished:
    snippets = tables.snippets.of_issue(issue.id)
    main = [snippet for snippet in snippets if snippet.section == "main"]
    used = tables.letters.used_links(newsletter.key, issue.id)
    findings = lint_issue(
        issue, snippets, newsletter, ports.catalog.firm, accounts=constellation.accounts,
        reused={s.url: used[link_hash(s.url)] for s in snippets if link_hash(s.url) in used},
        needs_https=ports.transport.name != "file",
    )  # fmt: skip
    beat = issue.beat
    reviews = [one for one in tables.notices.of(about(issue)) if one.kind == "review"]
    approver = ports.catalog.staff(constellation.approver)
    return Unfinished(
        issue=issue,
        late=late_decision(newsletter.rhythm, beat, ports.clock.now()),
        stories=len(main),
        written=sum(bool(s.take or s.general_wording) for s in main),
        held_back=held_back,
        missing=sum(finding.blocks for finding in findings),
        headlines=len(snippets) - len(main),
        recalling=sum(
            number
            for (_, state), number in tables.deliveries.counts(issue.id).items()
            if state == "recalling"
        ),
        unasked=bool(why_not_asked(reviews, approver)),
        in_doubt=in_doubt(reviews),
    )


def _next_beat(
    ports: Ports, newsletter: Newsletter, known: Mapping[date, BeatState]
) -> Beat | None:
    """The first beat ahead that has no issue and is to get one."""
    rhythm, holidays = newsletter.rhythm, ports.catalog.firm.holidays
    soonest = not_before(newsletter, ports.clock.now(), begun=bool(known))
    after = soonest.astimezone(ZoneInfo(rhythm.zone)).date() - _DAY
    try:
        beat = next_beat(rhythm, holidays, max(after, *known) if known else after)
        while beat.due_at <= soonest:
            beat = next_beat(rhythm, holidays, beat.on)
    except StopIteration:  # the calendar itself has ended
        return None
    return beat


def _missed(
    ports: Ports,
    newsletter: Newsletter,
    known: Mapping[date, BeatState],
    issues: list[Issue],
) -> MissedBeat | None:
    """The last beat that is over, when nothing went out on it; a new newsletter has none."""
    if not known:
        return None
    rhythm, now = newsletter.rhythm, ports.clock.now()
    today = now.astimezone(ZoneInfo(rhythm.zone)).date()
    first = max((on for on in known if on <= today), default=max(known))
    over = [
        beat
        for beat in beats(rhythm, ports.catalog.firm.holidays, first, today + _DAY)
        if beat.due_at <= now
    ]
    if not over or known.get(over[-1].on, "missed") != "missed":
        return None
    beat = over[-1]
    issue = next((issue for issue in issues if issue.beat_on == beat.on), None)
    written = beat.on in known
    return MissedBeat(
        on=beat.on,
        due_at=beat.due_at,
        reason=(issue.reason if issue else "no issue was opened for it") if written else "",
        issue_ref=issue.ref if issue else "",
        can_still=not written and late_decision(rhythm, beat, now) != "missed",
    )
