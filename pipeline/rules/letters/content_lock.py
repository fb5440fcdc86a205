"""Whether an issue's content may still be changed, and by whom."""

from __future__ import annotations

from datetime import datetime

from pipeline.model.letters import Issue, IssueState

OPEN_STATES: frozenset[IssueState] = frozenset({"planned", "draft", "in_review", "stopped"})
OUT_STATES: frozenset[IssueState] = frozenset({"sending", "sent", "partly_sent"})


def why_locked(issue: Issue, now: datetime, *, by_approver: bool) -> tuple[str, str] | None:
    """(what stands in the way, what to do next), or None when the change may be made.

    Units: now is aware
    """
    if issue.state in OUT_STATES:
        return (
            f"Issue {issue.ref} is {_shown(issue.state)}: what went out stays as it was.",
            "Keep the story for the next issue.",
        )
    if issue.state not in OPEN_STATES:
        return (
            f"Issue {issue.ref} is {_shown(issue.state)}, so its content stands still.",
            f"`asterism issue stop {issue.ref}` opens it again."
            if issue.state in ("approved", "scheduled")
            else f"`asterism explain issue {issue.ref}` tells why.",
        )
    if now >= issue.cut_off_at and not by_approver:
        return (
            f"The cut-off of issue {issue.ref} has passed; only its approver changes it now.",
            "Ask the approver, who acts with `--as`, or keep the story for the next issue.",
        )
    return None


def _shown(state: str) -> str:
    return state.replace("_", " ")
