"""Opens the issues whose beat is near, and writes down the beats that were missed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import islice

from pipeline.errors import Conflict
from pipeline.model.catalog import Constellation, Newsletter
from pipeline.model.letters import Beat, BeatState, Issue, IssueState
from pipeline.model.log import Operation
from pipeline.model.news import Story
from pipeline.ports import Ports, Tables
from pipeline.rules.letters.automatic import opened_subject
from pipeline.rules.letters.prefill import prefilled
from pipeline.rules.letters.rhythm import beats, late_decision, not_before, skipped
from pipeline.stages.compose.lending import kept_by_machine
from pipeline.stages.compose.reading import WENT_OUT, day_of, reach

_DAY = timedelta(days=1)

NEVER_OPENED = "no issue was opened for it: the program did not run in time"
NOT_APPROVED = "nobody approved the issue in time"


@dataclass(frozen=True, slots=True)
class NoIssue:
    """A beat on which nothing goes out, and why."""

    newsletter: str
    on: date
    reason: str


@dataclass(slots=True)
class _Tally:
    opened: list[Issue] = field(default_factory=list)
    in_review: list[Issue] = field(default_factory=list)
    missed: list[NoIssue] = field(default_factory=list)
    skipped: list[NoIssue] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Opened:
    """What a look at all rhythms came to."""

    opened: tuple[Issue, ...] = ()
    in_review: tuple[Issue, ...] = ()  #: their cut-off has passed
    missed: tuple[NoIssue, ...] = ()
    skipped: tuple[NoIssue, ...] = ()  #: holidays


def open_issues(ports: Ports) -> Opened:
    """Open an issue for each beat within its newsletter's lead time; once, however often run.

    A new issue is a draft, pre-filled with the pool's best open stories: each with the first
    words of its source as a quotation and no take, so that it cannot go out unwritten. One
    that is composed without a hand opens empty: it would only keep stories from others. Past
    its cut-off a draft is in review. A beat that passed without an approved issue follows
    its late policy; of several only the latest can still be served, the others are missed.
    A newsletter that is new here has missed nothing.
    """
    tally = _Tally()
    newsletters = [n for c in ports.catalog.constellations for n in c.newsletters]
    for done, newsletter in enumerate(newsletters, start=1):
        with ports.store.write() as tables:
            tables.letters.lock(newsletter.key)
            _settle(ports, tables, newsletter, tally)
            _open(ports, tables, newsletter, tally)
        ports.progress(done, len(newsletters), "rhythms")
    return Opened(
        tuple(tally.opened), tuple(tally.in_review), tuple(tally.missed), tuple(tally.skipped)
    )


# ── beats that have an issue ─────────────────────────────────────────────────────────────


def _settle(ports: Ports, tables: Tables, newsletter: Newsletter, tally: _Tally) -> None:
    """Bring open issues and their beats in line with the time."""
    states = tables.letters.beats(newsletter.key)
    now = ports.clock.now()
    for issue in tables.letters.issues(newsletter.key):
        if states.get(issue.beat_on) == "planned":
            _settle_beat(tables, newsletter, issue, now, tally)
        if issue.state == "draft" and issue.cut_off_at <= now < issue.due_at:
            reviewed = _moved(tables, issue, "in_review", issue.reason)
            tally.in_review += [reviewed] if reviewed else []


def _moved(tables: Tables, issue: Issue, state: IssueState, reason: str = "") -> Issue | None:
    """The issue in its new state; None when a person moved it this very moment."""
    try:
        return tables.letters.set_state(issue.id, state, reason=reason, expect=(issue.state,))
    except Conflict:
        return None


def _settle_beat(
    tables: Tables, newsletter: Newsletter, issue: Issue, now: datetime, tally: _Tally
) -> None:
    beat = issue.beat
    if issue.state in WENT_OUT:
        _record(tables, newsletter, beat, "kept", "", tally)
    elif issue.state in ("missed", "cancelled"):
        _record(tables, newsletter, beat, "missed", issue.reason, tally)
    elif late_decision(newsletter.rhythm, beat, now) == "missed":
        if issue.state in ("planned", "draft", "in_review"):
            why = issue.reason or NOT_APPROVED  # what held an automatic one back
            if _moved(tables, issue, "missed", why):
                _record(tables, newsletter, beat, "missed", why, tally)
        elif issue.state == "stopped":
            why = f"stopped: {issue.reason}" if issue.reason else "stopped"
            _record(tables, newsletter, beat, "missed", why, tally)


# ── beats that have none ─────────────────────────────────────────────────────────────────


def _open(ports: Ports, tables: Tables, newsletter: Newsletter, tally: _Tally) -> None:
    now = ports.clock.now()
    known = tables.letters.beats(newsletter.key)
    rhythm, holidays = newsletter.rhythm, ports.catalog.firm.holidays
    lead = timedelta(days=newsletter.lead_days)
    start = max(known) + _DAY if known else day_of(now, newsletter)
    end = day_of(now + lead, newsletter) + _DAY
    for beat in skipped(rhythm, holidays, start, end):
        if beat.on not in known and beat.due_at - lead <= now:
            _record(tables, newsletter, beat, "skipped", beat.note, tally)
    near = [beat for beat in beats(rhythm, holidays, start, end) if beat.due_at - lead <= now]
    if not known:
        soonest = not_before(newsletter, now, begun=False)
        near = [beat for beat in near if beat.due_at > soonest]
    ahead = [beat for beat in near if beat.due_at > now]
    past = [beat for beat in near if beat.due_at <= now]
    for beat in past:
        late = beat is past[-1] and late_decision(rhythm, beat, now) != "missed"
        if late and not tables.letters.issue_on(newsletter.key, beat.on):
            ahead.insert(0, beat)
        else:
            _record(tables, newsletter, beat, "missed", NEVER_OPENED, tally)
    for beat in ahead:
        _open_one(ports, tables, newsletter, beat, tally)


def _open_one(
    ports: Ports, tables: Tables, newsletter: Newsletter, beat: Beat, tally: _Tally
) -> None:
    """One issue; one that somebody opened by other means is left as it is."""
    there = tables.letters.issue_on(newsletter.key, beat.on)
    now = ports.clock.now()
    issue = tables.letters.open_issue(
        newsletter.key,
        beat,
        cut_off_at=beat.due_at - timedelta(hours=newsletter.cut_off_h),
        deadline_at=beat.due_at - timedelta(hours=newsletter.deadline_h),
        subject="",
        now=now,
    )
    tables.letters.record_beat(newsletter.key, beat, "planned", beat.note)
    if there is not None:
        return
    issue = tables.letters.edit_issue(
        issue.id, issue.revision, {"subject": opened_subject(newsletter, issue.number)}
    )
    stories = []
    if newsletter.mode != "automatic":
        constellation = ports.catalog.find_constellation(newsletter.constellation)
        stories = list(_best_stories(tables, newsletter, constellation, now))
    for story in stories:
        tables.snippets.keep(issue.id, story.id, "main", **prefilled(story))
    tables.log.add(
        Operation(
            actor=ports.actor,
            verb="open",
            subject=f"issue:{issue.public_id}",
            at=now,
            after={
                "beat_on": beat.on.isoformat(),
                "note": beat.note,
                "stories": [story.public_id for story in stories],
            },
        )
    )
    tally.opened.append(issue)


def _best_stories(
    tables: Tables, newsletter: Newsletter, constellation: Constellation, now: datetime
) -> Iterator[Story]:
    """The pool's best, as many as the newsletter takes; confidences are for people to choose.

    A headline that an issue took by itself, and that has not gone, keeps no story from people.
    """
    since = now - reach(newsletter)
    free = kept_by_machine(tables, constellation)
    fitting = (
        pooled.story
        for pooled in tables.stories.pool(newsletter.constellation, since)
        if (pooled.state == "open" or (pooled.state == "kept" and pooled.story.id in free))
        and _may_be_suggested(pooled.story)
    )
    yield from islice(fitting, newsletter.ceiling)


def _may_be_suggested(story: Story) -> bool:
    """Our own news has its place in the customer edition; what we were told needs a person."""
    return story.is_public and not story.learnt_from and story.kind != "own"


def _record(
    tables: Tables,
    newsletter: Newsletter,
    beat: Beat,
    state: BeatState,
    reason: str,
    tally: _Tally,
) -> None:
    tables.letters.record_beat(newsletter.key, beat, state, reason)
    none = NoIssue(newsletter.key, beat.on, reason)
    if state == "missed":
        tally.missed.append(none)
    elif state == "skipped":
        tally.skipped.append(none)
