"""What was due before the database was restored goes out only when a person says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pipeline.errors import Conflict
from pipeline.model.letters import Issue, IssueState
from pipeline.model.log import Operation
from pipeline.ports import Ports, Tables
from pipeline.rules.letters.ledger import ALLOWED, RESTORED_AT

OVER = ("sent", "missed", "cancelled")
#: Copies of these stand in the ledger, and may be said to have gone.
FROZEN: tuple[IssueState, ...] = ("scheduled", "sending", "partly_sent")


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a person let go."""

    issue: Issue
    changed: bool  #: False: it was allowed, or said to have gone, before
    copies: int = 0  #: that count as sent from now on


def allow_after_restore(ports: Ports, ref: str) -> Allowed:
    """Let an issue go that is held back since the database was restored.

    What went out between the backup and the restore is not on record: only a person can say
    that this issue did not.

    Raises: NotFound; Conflict when nothing holds it back
    """
    with ports.store.write() as tables:
        issue = tables.letters.find_issue(ref)
        if tables.jobs.mark(_mark(issue)):
            return Allowed(issue, changed=False)
        restored_at = _restored_before(tables, issue)
        _let_go(ports, tables, issue)
        after = {"state": issue.state, "restored_at": restored_at}
        _log(ports, tables, issue, "allow", after)
        return Allowed(issue, changed=True)


def went_out(ports: Ports, ref: str) -> Allowed:
    """A person says that an issue did go out between the backup and the restore.

    Nothing leaves. Its copies that wait, or are in doubt, count as sent at the issue's time, so
    that its readers count as told; it is over as if it had gone by itself.

    Raises: NotFound; Conflict when nothing holds it back, when it has no copies to speak of,
            or when copies are being called back
    """
    now = ports.clock.now()
    with ports.store.write() as tables:
        issue = tables.letters.find_issue(ref)
        if issue.state == "sent" and tables.jobs.mark(_mark(issue)):
            return Allowed(issue, changed=False)
        restored_at = _restored_before(tables, issue)
        if issue.state not in FROZEN:
            raise Conflict(
                f"Issue {issue.ref} is {issue.state.replace('_', ' ')}: the backup does not know "
                "who was to get it.",
                f"Once it is approved (asterism issue approve {issue.ref}) it does; nothing "
                f"leaves before you allow it, and then `asterism deliver allow {issue.ref} "
                "--went-out` says that it did.",
            )
        if any(state == "recalling" for _, state in tables.deliveries.counts(issue.id)):
            raise Conflict(
                f"Copies of issue {issue.ref} are being called back at this moment.",
                "`asterism deliver` asks for them, and so does the service; say it after that.",
            )
        _let_go(ports, tables, issue)
        reason = f"went out before the restore, says {ports.actor}"
        copies = tables.deliveries.went_out(issue.id, reason, issue.due_at)
        tables.letters.set_state(issue.id, "sending", expect=FROZEN)
        moved = tables.deliveries.move_on(issue.id, now)
        after = {"state": moved.state, "restored_at": restored_at, "copies": copies}
        _log(ports, tables, issue, "went out", after)
        return Allowed(moved, changed=True, copies=copies)


def _mark(issue: Issue) -> str:
    return f"{ALLOWED}{issue.public_id}"


def _restored_before(tables: Tables, issue: Issue) -> str:
    """When the database was restored that holds this issue back.

    Raises: Conflict
    """
    restored_at = tables.jobs.mark(RESTORED_AT)
    if not restored_at or issue.due_at > datetime.fromisoformat(restored_at):
        raise Conflict(
            f"Issue {issue.ref} is not held back since a restore.",
            f"`asterism issue show {issue.ref}` tells where it stands.",
        )
    if issue.state in OVER:
        raise Conflict(
            f"Issue {issue.ref} is {issue.state.replace('_', ' ')}; nothing of it waits.",
            f"`asterism explain issue {issue.ref}` tells how each copy fared.",
        )
    return restored_at


def _let_go(ports: Ports, tables: Tables, issue: Issue) -> None:
    tables.jobs.set_mark(_mark(issue), f"{ports.clock.now().isoformat()} {ports.actor}")


def _log(
    ports: Ports, tables: Tables, issue: Issue, verb: str, after: Mapping[str, object]
) -> None:
    tables.log.add(
        Operation(
            actor=ports.actor,
            verb=verb,
            subject=f"issue:{issue.public_id}",
            at=ports.clock.now(),
            before={"state": issue.state},
            after=after,
        )
    )


def held_since(tables: Tables) -> str:
    """Why such an issue does not go out."""
    restored_at = tables.jobs.mark(RESTORED_AT)
    at = f" of {datetime.fromisoformat(restored_at):%Y-%m-%d %H:%M} UTC" if restored_at else ""
    return f"held since the restore{at}"
