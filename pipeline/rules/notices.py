"""Who of us is to be told what of an issue, and when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.model.catalog import Constellation, Newsletter, Staff
from pipeline.model.letters import (
    BeatState,
    DeliveryState,
    EmptyBeat,
    Heard,
    Issue,
    Notice,
    NoticeKind,
)
from pipeline.rules.letters.automatic import AUTOMATIC, WAITING
from pipeline.rules.letters.ledger import BEGUN, OPEN, hear
from pipeline.rules.letters.rhythm import latest

#: The curator hears so long before the cut-off that an issue is not written,
WRITE_AHEAD = timedelta(hours=24)
#: and the backup so long before it when it still is not.
BACKUP_AHEAD = timedelta(hours=6)
#: The approver hears of a written issue when its content freezes, or so long before the
#: deadline where that is earlier.
APPROVE_AHEAD = timedelta(hours=12)
#: What did not go out is told so long after it; older things nobody needs to hear.
TOLD_WITHIN = timedelta(days=7)

#: A notice that nobody got: refused at once, or sent back later.
LOST: frozenset[DeliveryState] = frozenset({"refused", "bounced"})
#: A notice that has left, or of which nobody knows whether it arrived.
HEARD: frozenset[DeliveryState] = BEGUN - OPEN - LOST


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an issue when somebody may have to be told of it."""

    issue: Issue
    newsletter: Newsletter
    constellation: Constellation
    beat: BeatState | None
    written: bool  #: nothing in its words holds it back
    #: Who is told in place of an approver whose review mail was refused.
    instead: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Due:
    """One of us is to be told now."""

    kind: NoticeKind
    staff_key: str


def due_notices(facts: Facts, now: datetime) -> tuple[Due, ...]:
    """Who is to be told of what at this moment, whether told before or not.

    A curated issue: its curator, then the backup, that it is not written; its approver that
    it waits for a yes. An automatic one: its approver that it goes by itself; others that this
    mail was refused; curator and approver that it is held back while a hand can still mend it.
    Any: curator and approver that it did not go out.

    Units:  now is aware
    """
    found = [*_did_not_go(facts, now)]
    if facts.newsletter.mode == "automatic":
        found += [*_by_itself(facts, now)]
    else:
        found += [*_by_hand(facts, now)]
    return tuple(dict.fromkeys(found))


def due_for_beat(beat: EmptyBeat, people: Constellation, now: datetime) -> tuple[Due, ...]:
    """Who is to be told that a beat had no issue: who hears of one that did not go out."""
    if now >= beat.due_at + TOLD_WITHIN:
        return ()
    both = (Due("no_issue", people.curator), Due("no_issue", people.approver))
    return tuple(dict.fromkeys(both))


def review_end(issue: Issue, newsletter: Newsletter, told_at: datetime) -> datetime | None:
    """When a review ends whose approver hears of it only now; None: when it was to end anyway.

    A relay may be away for hours. Who hears with less than half of the window left gets all
    of it anew, as far as the late policy lets the issue wait.

    Units:  told_at is aware
    """
    window = timedelta(hours=newsletter.review_window_h)
    if issue.review_until is None or issue.review_until - told_at >= window / 2:
        return None
    until = min(told_at + window, latest(newsletter.rhythm, issue.due_at))
    return until if until > issue.review_until else None


def nobody_asked(reviews: Sequence[Notice]) -> bool:
    """Whether no mail that asks to look at an issue has left, or will.

    One of which nobody knows counts as left: it very probably arrived.
    """
    return not any(one.state in HEARD | OPEN for one in reviews)


def why_not_asked(reviews: Sequence[Notice], approver: Staff | None) -> str:
    """Why the approver cannot be asked to look at an issue; empty when nothing speaks against it.

    A mail that was refused, or came back, is lost for the very address it went to.
    """
    lost = lost_for(reviews, approver)
    return lost_in_words(lost) if lost else ""


def lost_in_words(review: Notice) -> str:
    """That a review mail reached nobody, and why."""
    what = "came back" if review.state == "bounced" else "was refused"
    why = review.reason or "no reason given"
    return f"the mail that asks {review.name} to look at it {what} ({why})"


def lost_for(reviews: Sequence[Notice], approver: Staff | None) -> Notice | None:
    """The review mail that the approver did not get, at the address that the file has now."""
    if approver is None:
        return None
    lost = (one for one in reviews if one.state in LOST)
    return next((one for one in lost if goes_to(one, approver)), None)


def in_doubt(reviews: Sequence[Notice]) -> str:
    """Whose review mail may not have arrived, where nobody else's surely has; else empty."""
    if any(one.state in HEARD - {"unknown"} for one in reviews):
        return ""
    return next((one.name for one in reviews if one.state == "unknown"), "")


def goes_to(notice: Notice, to: Staff) -> bool:
    """Whether a notice is for this person, at this person's present address."""
    return notice.staff_key == to.key and notice.address == to.address


def who_else(
    constellation: Constellation, staff: Sequence[Staff], refused: Notice
) -> tuple[str, ...]:
    """Whom of us to tell that a mail was refused: curator and backup, or else the expert, or else
    the first colleague with another address.
    """
    others = [
        one.key
        for one in staff
        if one.key != refused.staff_key and one.address.lower() != refused.address.lower()
    ]
    near = [key for key in (constellation.curator, constellation.backup) if key in others]
    far = sorted(others, key=lambda key: key != constellation.expert)
    return tuple(dict.fromkeys(near)) or tuple(far[:1])


def hear_of(state: DeliveryState, news: Heard) -> DeliveryState:
    """What a notice is after the world told something of it, in whatever order and how often.

    While it is being sent its sender learns that it left, and may give its reader more time;
    that nobody got it holds at once.
    """
    if state in OPEN and news in ("accepted", "delivered"):
        return state
    return hear(state, news)


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
    elif issue.state in WAITING and facts.instead:
        yield from (Due("review_refused", key) for key in facts.instead)
    elif issue.state in WAITING and issue.reason and now < issue.deadline_at:
        yield Due("held_back", people.curator)
        yield Due("held_back", people.approver)


def _did_not_go(facts: Facts, now: datetime) -> Iterator[Due]:
    over = facts.beat == "missed" or facts.issue.state == "missed"
    if over and now < facts.issue.due_at + TOLD_WITHIN:
        yield Due("not_sent", facts.constellation.curator)
        yield Due("not_sent", facts.constellation.approver)
        yield from (Due("not_sent", key) for key in facts.instead)
