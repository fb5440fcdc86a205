"""What was due before the database was restored goes out only when a person says so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pipeline.errors import Conflict
from pipeline.model.letters import Issue
from pipeline.model.log import Operation
from pipeline.ports import Ports, Tables
from pipeline.rules.letters.ledger import ALLOWED, RESTORED_AT

OVER = ("sent", "missed", "cancelled")


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a person let go."""

    issue: Issue
    changed: bool  #: False: it was allowed before


def allow_after_restore(ports: Ports, ref: str) -> Allowed:
    """Let an issue go that is held back since the database was restored.

    What went out between the backup and the restore is not on record: only a person can say
    that this issue did not.

    Raises: NotFound; Conflict when nothing holds it back
    """
    now = ports.clock.now()
    with ports.store.write() as tables:
        issue = tables.letters.find_issue(ref)
        mark = f"{ALLOWED}{issue.public_id}"
        if tables.jobs.mark(mark):
            return Allowed(issue, changed=False)
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
        tables.jobs.set_mark(mark, f"{now.isoformat()} {ports.actor}")
        tables.log.add(
            Operation(
                actor=ports.actor,
                verb="allow",
                subject=f"issue:{issue.public_id}",
                at=now,
                after={"state": issue.state, "restored_at": restored_at},
            )
        )
        return Allowed(issue, changed=True)


def held_since(tables: Tables) -> str:
    """Why such an issue does not go out."""
    restored_at = tables.jobs.mark(RESTORED_AT)
    at = f" of {datetime.fromisoformat(restored_at):%Y-%m-%d %H:%M} UTC" if restored_at else ""
    return f"held since the restore{at}"
