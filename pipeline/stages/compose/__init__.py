"""Open an issue, look at it, write its head, approve it, stop it."""

from __future__ import annotations

from pipeline.stages.compose.approving import Approved, Stopped, approve, stop
from pipeline.stages.compose.automatic import Automatic, compose_automatic
from pipeline.stages.compose.holding import HeldBack
from pipeline.stages.compose.opening import NoIssue, Opened, open_issues
from pipeline.stages.compose.previewing import Preview, preview
from pipeline.stages.compose.reviewing import Review, preview_page, review, stop_by_link
from pipeline.stages.compose.showing import (
    IssueView,
    Placed,
    Written,
    edit,
    list_issues,
    show,
)

__all__ = [
    "Approved",
    "Automatic",
    "HeldBack",
    "IssueView",
    "NoIssue",
    "Opened",
    "Placed",
    "Preview",
    "Review",
    "Stopped",
    "Written",
    "approve",
    "compose_automatic",
    "edit",
    "list_issues",
    "open_issues",
    "preview",
    "preview_page",
    "review",
    "show",
    "stop",
    "stop_by_link",
]
