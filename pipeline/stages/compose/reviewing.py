"""What the links of a review mail open: the issue as it will go, and one button that stops it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

from pipeline.errors import Conflict, NotFound
from pipeline.model.letters import Issue
from pipeline.ports import Ports, Tables
from pipeline.rules.letters.curator_notes import moment_in_words
from pipeline.rules.letters.language import issue_name
from pipeline.rules.letters.ledger import OUT
from pipeline.rules.letters.markdown import bind
from pipeline.rules.letters.tokens import PREVIEW, STOP
from pipeline.stages.compose.approving import STOPPABLE, TAKEN, stop
from pipeline.stages.compose.holding import approver_of

BY_LINK = "stopped by the link in the review mail"

#: going: it can be stopped; leaving: so can the rest of it; recalling: it has been, and copies
#: are called back; stopped: it has been; rest: some are out, the others held back; out: nothing
#: is left to stop; unknown: nobody knows of any copy; over: it will not go.
Standing = Literal["going", "leaving", "recalling", "stopped", "rest", "out", "unknown", "over"]


@dataclass(frozen=True, slots=True)
class Review:
    """An issue as the page behind the stop link shows it."""

    firm_name: str
    name: str  #: "Under Load, the month (no. 3)", its number bound to its "no."
    standing: Standing
    when: str  #: when it goes, in the newsletter's zone
    letters: int  #: how many get it
    preview_token: str  #: empty when there is no page to see


def review(ports: Ports, token: str) -> Review:
    """What stands behind a stop link; looking changes nothing.

    Raises: NotFound, with the same words whatever is wrong with the link
    """
    with ports.store.read() as tables:
        issue = _issue(ports, tables, STOP, token)
        return _seen(ports, tables, issue)


def stop_by_link(ports: Ports, token: str) -> Review:
    """Stop the issue behind a stop link, in the name of its approver; how it stands then.

    Quick: what a provider has is called back by `deliver.call_back`. Pressed again, or when it
    is out, it changes nothing.

    Raises: NotFound
    """
    with ports.store.read() as tables:
        issue = _issue(ports, tables, STOP, token)
    if issue.state in (*STOPPABLE, *TAKEN):
        # the last copy may leave, or somebody else stop it, this very moment
        with suppress(Conflict):
            stop(replace(ports, actor=_approver(ports, issue)), issue.public_id, BY_LINK)
    return review(ports, token)


def preview_page(ports: Ports, token: str) -> str:
    """The issue on the web as it is frozen, before anybody has it.

    Raises: NotFound, also when nothing is frozen, such as after a stop
    """
    with ports.store.read() as tables:
        issue = _issue(ports, tables, PREVIEW, token)
        pages = tables.letters.variants(issue.id, "public")
    if not pages:
        raise _missing()
    return pages[-1].html


def _missing() -> NotFound:
    return NotFound("There is no page at this address.")


def _issue(ports: Ports, tables: Tables, purpose: str, token: str) -> Issue:
    public_id = ports.tokens.read(purpose, token)
    if public_id is None:
        raise _missing()
    try:
        return tables.letters.find_issue(public_id)
    except NotFound:
        raise _missing() from None


def _approver(ports: Ports, issue: Issue) -> str:
    approver = approver_of(ports, issue)
    return approver.name if approver else "approver"


def _seen(ports: Ports, tables: Tables, issue: Issue) -> Review:
    newsletter = ports.catalog.newsletter(issue.newsletter_key)
    zone = ports.catalog.zone_of(issue.newsletter_key)
    title = newsletter.title if newsletter else issue.newsletter_key
    frozen = bool(tables.letters.variants(issue.id, "public"))
    return Review(
        firm_name=ports.catalog.firm.name,
        name=bind(issue_name("en", title, issue.number), "en"),
        standing=_standing(ports, tables, issue),
        when=f"{moment_in_words(issue.goes_at, zone)} ({zone})",
        letters=sum(verdict.into for verdict in tables.letters.audience(issue.id)),
        preview_token=ports.tokens.make(PREVIEW, issue.public_id) if frozen else "",
    )


def _standing(ports: Ports, tables: Tables, issue: Issue) -> Standing:
    if issue.state in STOPPABLE:
        return "leaving" if issue.state == "sending" else "going"
    if issue.state in ("missed", "cancelled"):
        return "over"
    if issue.state == "stopped":
        return "stopped"
    return _of_taken(ports, tables, issue)


def _of_taken(ports: Ports, tables: Tables, issue: Issue) -> Standing:
    """An issue of which copies are with a provider, or with their readers."""
    states = {state for _, state in tables.deliveries.counts(issue.id)}
    if "recalling" in states:
        return "recalling"
    if tables.deliveries.held_back(issue.id):
        return "rest"
    transport, now = ports.transport, ports.clock.now()
    can = transport.can_call_back
    if tables.deliveries.recallable(issue.id, transport.name, can, now):
        return "leaving"
    return "unknown" if "unknown" in states and not states.intersection(OUT) else "out"
