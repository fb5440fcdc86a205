"""Who of us is to be told what of an issue, and when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.model.catalog import Constellation, Newsletter
from pipeline.model.letters import BeatState, Issue, NoticeKind
from pipeline.rules.letters.automatic import AUTOMATIC, WAITING
from pipeline.rules.letters.rhythm import ON_TIME

#: The curator hears so long before the cut-off that an issue is not written,
WRITE_AHEAD = timedelta(hours=24)
#: and the backup so long before it when it still is not.
BACKUP_AHEAD = timedelta(hours=6)
#: The approver hears of a written issue when its content freezes, or so long before the
#: deadline where that is earlier.
APPROVE_AHEAD = timedelta(hours=12)
#: What did not go out is told so long after it; older things nobody needs to hear.
TOLD_WITHIN = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an issue when somebody may have to be told of it."""

    issue: Issue
    newsletter: Newsletter
    constellation: Constellation
    beat: BeatState | None
    written: bool  #: nothing in its words holds it back


@dataclass(frozen=True, slots=True)
class Due:
    """One of us is to be told now."""

    kind: NoticeKind
    staff_key: str


def due_notices(facts: Facts, now: datetime) -> tuple[Due, ...]:
    """Who is to be told of what at this moment, whether told before or not.

    A curated issue: its curator, then the backup, that it is not written; its approver that
    it waits for a yes. An automatic one: its approver that it goes by itself; curator and
    approver that it is held back while a hand can still mend it. Any: curator and approver
    that it did not go out.

    Units:  now is aware
    """
    found = [*_did_not_go(facts, now)]
    if facts.newsletter.mode == "automatic":
        found += [*_by_itself(facts, now)]
    else:
        found += [*_by_hand(facts, now)]
    return tuple(dict.fromkeys(found))


def review_end(issue: Issue, newsletter: Newsletter, told_at: datetime) -> datetime | None:
    """When a review ends whose approver hears of it only now; None: when it was to end anyway.

    A relay may be away for hours. Who hears with less than half of the window left gets all
    of it anew, as far as the late policy lets the issue wait.

    Units:  told_at is aware
    """
    window = timedelta(hours=newsletter.review_window_h)
    if issue.review_until is None or issue.review_until - told_at >= window / 2:
        return None
    rhythm = newsletter.rhythm
    late = timedelta(hours=rhythm.late_within_h) if rhythm.late == "send" else ON_TIME
    until = min(told_at + window, issue.due_at + max(late, ON_TIME))
    return until if until > issue.review_until else None


def _by_hand(facts: Facts, now: datetime) -> Iterator[Due]:
    issue, people = facts.issue, facts.constellation
    if issue.state not in WAITING:
        return
    if not facts.written and now < issue.cut_off_at:
        if now >= issue.cut_off_at - WRITE_AHEAD:
            yield Due("write", people.curator)
        if now >= issue.cut_off_at - BACKUP_AHEAD and people.backup not in ("", people.curator):
            yield Due("write_backup", people.backup)
    ready_at = min(issue.cut_off_at, issue.deadline_at - APPROVE_AHEAD)
    if facts.written and ready_at <= now < issue.due_at:
        yield Due("approve", people.approver)


def _by_itself(facts: Facts, now: datetime) -> Iterator[Due]:
    issue, people = facts.issue, facts.constellation
    if issue.state == "scheduled" and issue.approved_by == AUTOMATIC:
        if issue.review_until is not None and now < issue.review_until:
            yield Due("review", people.approver)
    elif issue.state in WAITING and issue.reason and now < issue.deadline_at:
        yield Due("held_back", people.curator)
        yield Due("held_back", people.approver)


def _did_not_go(facts: Facts, now: datetime) -> Iterator[Due]:
    over = facts.beat == "missed" or facts.issue.state == "missed"
    if over and now < facts.issue.due_at + TOLD_WITHIN:
        yield Due("not_sent", facts.constellation.curator)
        yield Due("not_sent", facts.constellation.approver)
