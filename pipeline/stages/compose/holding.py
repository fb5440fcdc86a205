"""Holds an automatic issue back, with the reason: it is not ready, or nobody could look at it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from pipeline.errors import Conflict
from pipeline.model.catalog import Staff
from pipeline.model.letters import BeatState, Issue, IssueState, Notice
from pipeline.model.log import Operation
from pipeline.ports import Ports, Tables
from pipeline.rules.letters.automatic import AUTOMATIC
from pipeline.rules.letters.ledger import BEGUN, NOT_ASKED
from pipeline.rules.letters.notice import about
from pipeline.rules.notices import lost_in_words, nobody_asked, why_not_asked

#: Why an issue is held back whose review mail is not even on record.
NO_MAIL = "there is no mail that asks anybody to look at it"


@dataclass(frozen=True, slots=True)
class HeldBack:
    """An automatic issue that does not go, and why."""

    ref: str
    reason: str
    over: bool = False  #: its time is past; before that each run tries again


def hold_back(ports: Ports, issue: Issue, reason: str, *, over: bool = False) -> HeldBack:
    """Write down why it does not go; once for the same reason.

    Raises: Conflict when a person moved it this very moment
    """
    state: IssueState = "missed" if over else issue.state
    beat: BeatState = "missed" if over else "planned"
    if (state, reason) != (issue.state, issue.reason):
        with ports.store.write() as tables:
            tables.letters.set_state(issue.id, state, reason=reason, expect=(issue.state,))
            tables.letters.record_beat(issue.newsletter_key, issue.beat, beat, reason)
    return HeldBack(issue.ref, reason, over)


def reviews_of(tables: Tables, issue: Issue) -> Sequence[Notice]:
    """The mails that ask somebody to look at an issue before it goes by itself."""
    return [one for one in tables.notices.of(about(issue)) if one.kind == "review"]


def approver_of(ports: Ports, issue: Issue) -> Staff | None:
    """Who looks at it; None when no file says so any more."""
    constellation = ports.catalog.constellation(issue.constellation_key)
    return ports.catalog.staff(constellation.approver) if constellation else None


def take_back_unasked(ports: Ports) -> Iterator[HeldBack]:
    """Issues whose review mail was refused, or came back: nobody looks, so they do not go.

    They are open again as before they were composed; their copies are withheld, and a hand can
    approve them. Until this has run the store lets no copy of them leave. One of which a copy
    has left already goes on.
    """
    with ports.store.read() as tables:
        unasked = [
            issue
            for issue in tables.letters.issues()  # of newsletters that no file has any more, too
            if _goes_by_itself(issue)
            and nobody_asked(reviews_of(tables, issue))
            and not _has_begun(tables, issue)
        ]
    for issue in unasked:
        with suppress(Conflict):  # somebody stops it this very moment
            yield from _take_back(ports, issue)


def _goes_by_itself(issue: Issue) -> bool:
    """`sending`, too: so is one whose first try found no relay."""
    return issue.approved_by == AUTOMATIC and issue.state in ("scheduled", "sending")


def _has_begun(tables: Tables, issue: Issue) -> bool:
    """Whether a copy has left, is leaving, or may have left."""
    counts = tables.deliveries.counts(issue.id)
    return any(number for (_, state), number in counts.items() if state in BEGUN)


def _take_back(ports: Ports, issue: Issue) -> Iterator[HeldBack]:
    now = ports.clock.now()
    state: IssueState = "draft" if now < issue.cut_off_at else "in_review"
    with ports.store.write() as tables:
        reviews = reviews_of(tables, issue)
        if not nobody_asked(reviews):
            return
        reason = _why(ports, issue, reviews)
        # copies before their issue, as a stop locks them: else each waits for the other
        held_back = tables.deliveries.withhold_planned(issue.id, NOT_ASKED, now)
        tables.letters.set_state(
            issue.id, state, reason=reason, approved_by="", expect=("scheduled", "sending")
        )
        if _has_begun(tables, issue):
            raise Conflict(f"Issue {issue.ref} begins to leave this very moment.")
        tables.letters.retire_editions(issue.id, now)
        tables.letters.record_beat(issue.newsletter_key, issue.beat, "planned", reason)
        tables.log.add(
            Operation(
                actor=ports.actor,
                verb="hold back",
                subject=f"issue:{issue.public_id}",
                at=now,
                before={"state": issue.state},
                after={"state": state, "reason": reason, "held_back": held_back},
            )
        )
    yield HeldBack(issue.ref, reason)


def _why(ports: Ports, issue: Issue, reviews: Sequence[Notice]) -> str:
    """As it is for the present approver; or as it was for whoever was asked last."""
    if why := why_not_asked(reviews, approver_of(ports, issue)):
        return why
    for last in reversed(reviews):
        return lost_in_words(last)
    return NO_MAIL
