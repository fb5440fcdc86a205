"""Copies of which nobody knows whether they left: the list, and what a person decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pipeline.errors import BadInput, NotFound
from pipeline.model.letters import Delivery, DeliveryState, Issue, IssueState
from pipeline.model.log import Operation
from pipeline.ports import Ports, Tables
from pipeline.rules.letters.ledger import finish
from pipeline.rules.mask import mask
from pipeline.stages.deliver.lateness import GONE, too_late

#: Of a copy's id, so many letters at least are asked for.
SHORTEST_REF = 4

#: What a person found out of a copy.
Resolution = Literal["sent", "not_sent"]


@dataclass(frozen=True, slots=True)
class Doubt:
    """One copy of which nobody knows whether it left."""

    issue_ref: str
    copy: str  #: the delivery's public id
    name: str
    address: str  #: masked
    since: datetime | None
    why: str
    transport: str  #: what was moving it
    batch: str  #: the provider's handle, where it has one; else ""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a person's word came to."""

    outcome: Resolution
    copies: int  #: that were in doubt, and are not any more
    planned: int  #: of these, how many the next run sends
    withheld: int  #: of these, how many do not go any more
    issues: tuple[tuple[str, IssueState], ...]  #: (ref, where it stands now)


def list_doubts(ports: Ports, ref: str = "") -> Sequence[Doubt]:
    """All copies in doubt, those of one issue, or one; the longest in doubt first.

    Shape:  ref is newsletter/number, a newsletter, an id of an issue or of a copy, or the
            copy's beginning; empty: all
    Raises: NotFound, BadInput when several copies begin so
    """
    with ports.store.read() as tables:
        found = _in_doubt(tables, ref)
        batches = tables.deliveries.batches_of([one.id for one in found])
        refs = {one.issue_id: "" for one in found}
        refs = {issue_id: tables.letters.by_id(issue_id).ref for issue_id in refs}
    return [
        Doubt(
            issue_ref=refs[one.issue_id],
            copy=one.public_id,
            name="" if one.name == one.address else one.name,
            address=mask(one.address),
            since=one.settled_at,
            why=one.reason,
            transport=one.transport,
            batch=batches[one.id].provider_id if one.id in batches else "",
        )
        for one in found
    ]


def resolve(ports: Ports, refs: Sequence[str], outcome: Resolution) -> Resolved:
    """A person says what became of copies in doubt; each ref names an issue or a copy.

    `sent` counts them as gone. `not_sent` plans them again, unless the issue's time is past
    or a stop holds the issue, or asked for the copy, back. The issue moves on when no doubt
    is left. A copy that is in doubt no more stays as it is.

    Shape:  without refs: all that are in doubt
    Raises: NotFound, BadInput
    """
    with ports.store.write() as tables:
        chosen = {one.id: one for ref in refs or [""] for one in _in_doubt(tables, ref)}
        by_issue: dict[int, list[Delivery]] = {}
        for one in chosen.values():
            by_issue.setdefault(one.issue_id, []).append(one)
        done = [
            _decide(ports, tables, tables.letters.by_id(issue_id), copies, outcome)
            for issue_id, copies in sorted(by_issue.items())
        ]
    return Resolved(
        outcome=outcome,
        copies=sum(sum(counts.values()) for _, counts in done),
        planned=sum(counts.get("planned", 0) for _, counts in done),
        withheld=sum(counts.get("withheld", 0) for _, counts in done),
        issues=tuple((issue.ref, issue.state) for issue, _ in done),
    )


def _decide(
    ports: Ports, tables: Tables, issue: Issue, copies: Sequence[Delivery], outcome: Resolution
) -> tuple[Issue, Mapping[DeliveryState, int]]:
    now = ports.clock.now()
    state, reason = _verdict(ports, issue, outcome)
    is_of_doubts = finish(_by_state(tables, issue)) == (issue.state, issue.reason)
    counts = tables.deliveries.decide(issue.id, copies, state, reason, now)
    moved = tables.deliveries.move_on(issue.id, now)
    if is_of_doubts and moved.reason == issue.reason and counts.get("withheld"):
        # what a stop asked back is held back again: the doubts are its reason no more
        reason = f"stopped, and not sent, says {ports.actor}"
        moved = tables.letters.set_state(issue.id, moved.state, reason=reason)
    tables.log.add(
        Operation(
            actor=ports.actor,
            verb="resolve",
            subject=f"issue:{issue.public_id}",
            at=now,
            before={"state": issue.state, "reason": issue.reason},
            after={
                "state": moved.state,
                "reason": moved.reason,
                "outcome": outcome.replace("_", " "),
                "copies": sum(counts.values()),
                "deliveries": [one.public_id for one in copies],
            },
        )
    )
    return moved, counts


def _by_state(tables: Tables, issue: Issue) -> Mapping[DeliveryState, int]:
    summed: Counter[DeliveryState] = Counter()
    for (_, state), number in tables.deliveries.counts(issue.id).items():
        summed[state] += number
    return summed


def _verdict(ports: Ports, issue: Issue, outcome: Resolution) -> tuple[DeliveryState, str]:
    if outcome == "sent":
        return "accepted", f"sent, says {ports.actor}"
    newsletter = ports.catalog.newsletter(issue.newsletter_key)
    if newsletter is None:
        return "withheld", GONE
    if late := too_late(issue, newsletter, ports.clock.now()):
        return "withheld", late
    return "planned", f"not sent, says {ports.actor}"


def _in_doubt(tables: Tables, ref: str) -> Sequence[Delivery]:
    """The copies in doubt that a ref names; none when it names what is in no doubt."""
    if not ref:
        return tables.deliveries.unknown()
    try:
        return tables.deliveries.unknown(tables.letters.find_issue(ref).id)
    except NotFound:
        copies = tables.deliveries.begins(ref) if len(ref) >= SHORTEST_REF else ()
    if not copies:
        raise NotFound(
            f"There is no issue and no copy “{ref}”.",
            "`asterism deliver resolve` lists the copies in doubt.",
        )
    if len(copies) > 1:
        raise BadInput(f"More than one copy begins with “{ref}”.", "Give more of its id.")
    return [one for one in copies if one.state == "unknown"]
