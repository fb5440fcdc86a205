"""A reader leaves, or stays after all; and the pages that anybody may read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from pipeline.errors import NotFound
from pipeline.model.letters import Delivery, Issue
from pipeline.model.people import EVERYWHERE
from pipeline.ports import Ports, Tables
from pipeline.rules.letters.language import how_often
from pipeline.rules.letters.ledger import OUT
from pipeline.stages.listen.hearing import RECIPIENT, log, standing

Scope = Literal["this", "all"]

LEAVE = "leave"  #: what a leave link's token is good for, and nothing else

#: So soon after a copy went out a press may be a machine's that looks behind every button.
TOO_SOON = timedelta(minutes=10)

_PUBLIC_ID = re.compile(r"[a-z2-7]{26}")


@dataclass(frozen=True, slots=True)
class LeavePage:
    """What the leave page shows: the same for everybody, so that it tells nobody anything."""

    title: str  #: the newsletter's, where there is only one; else ""
    how_often: str  #: "every Thursday", with the title
    positioning: str  #: with the title
    language: str  #: of title and positioning; else ""
    firm_name: str
    postal_address: str


@dataclass(frozen=True, slots=True)
class Left:
    """What came of a press."""

    ask_again: bool = False  #: nothing has changed yet


@dataclass(frozen=True, slots=True)
class PublicIssue:
    """An issue as anybody may read it: its frozen page."""

    html: str
    public_id: str


def look(ports: Ports, language: str = "en") -> LeavePage:
    """What stands on the leave page before anything is pressed, to a reader of this language.

    It takes no token: opening the page neither reads nor changes anything about the reader,
    and a wrong link looks like a right one.
    """
    firm = ports.catalog.firm
    newsletters = [one for each in ports.catalog.constellations for one in each.newsletters]
    only = newsletters[0] if len(newsletters) == 1 else None
    return LeavePage(
        title=only.title if only else "",
        how_often=how_often(language, only.rhythm) if only else "",
        positioning=only.positioning if only else "",
        language=only.language if only else "",
        firm_name=firm.name,
        postal_address=firm.postal_address,
    )


def leave(ports: Ports, token: str, scope: Scope, *, one_click: bool, again: bool = False) -> Left:
    """Stop this newsletter, or all of them; in force in the very next claim.

    The answer is the same for a link that is not ours and for a reader who left before. A
    press on the page within minutes of the delivery asks once more, because some mail
    systems press every button; a mail program's own one-click works at once.

    Shape:  again says that the page has asked once more already
    Source: RFC 8058 §3.2
    """
    now = ports.clock.now()
    public_id = ports.tokens.read(LEAVE, token)
    if public_id is None:
        return Left()
    with ports.store.write() as tables:
        copy = tables.deliveries.by_public_id(public_id)
        if copy is None or copy.contact_id is None:
            return Left()
        fresh = copy.settled_at is not None and now - copy.settled_at < TOO_SOON
        if fresh and not one_click and not again:
            return Left(ask_again=True)
        where = EVERYWHERE if scope == "all" else _issue(tables, copy).newsletter_key
        how = "one click" if one_click else "on the page"
        detail = f"{how}, copy {copy.public_id}"
        before = standing(ports, tables, copy.contact_id)
        if tables.people.suppress(copy.contact_id, where, "left", now, detail, also=copy.address):
            letters = "all" if where == EVERYWHERE else where
            log(ports, tables, copy, RECIPIENT, "leave", before, letters=letters, how=how)
        return Left()


def keep_after_all(ports: Ports, token: str) -> None:
    """Take back one's own leaving: of this newsletter, and of all.

    What others put on record (a complaint, a bounce, a wish told to us) stays in force.
    """
    now = ports.clock.now()
    public_id = ports.tokens.read(LEAVE, token)
    if public_id is None:
        return
    with ports.store.write() as tables:
        copy = tables.deliveries.by_public_id(public_id)
        if copy is None or copy.contact_id is None:
            return
        before = standing(ports, tables, copy.contact_id)
        scopes = (_issue(tables, copy).newsletter_key, EVERYWHERE)
        lifted = [tables.people.lift(copy.contact_id, scope, now) for scope in scopes]
        if any(lifted):
            log(ports, tables, copy, RECIPIENT, "stay", before)


def public_issue(ports: Ports, public_id: str) -> PublicIssue:
    """The page of an issue, from the moment its first copy is out.

    Raises: NotFound, with the same words whether it does not exist or is not out yet
    """
    missing = NotFound("There is no letter at this address.")
    if not _PUBLIC_ID.fullmatch(public_id):
        raise missing
    with ports.store.read() as tables:
        try:
            issue = tables.letters.find_issue(public_id)
        except NotFound:
            raise missing from None
        counts = tables.deliveries.counts(issue.id)
        pages = tables.letters.variants(issue.id, "public")
    is_out = any(number for (_, state), number in counts.items() if state in OUT)
    if issue.public_id != public_id or not is_out or not pages:
        raise missing
    return PublicIssue(pages[-1].html, issue.public_id)


def recent_issues(ports: Ports, limit: int = 50) -> tuple[Issue, ...]:
    """For the page that only this machine sees: issues, latest first."""
    with ports.store.read() as tables:
        return tuple(tables.letters.issues()[:limit])


def _issue(tables: Tables, copy: Delivery) -> Issue:
    return tables.letters.by_id(copy.issue_id)
