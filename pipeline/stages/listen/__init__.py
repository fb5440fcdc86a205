"""What readers and the world answer: who leaves, who stays after all, what became of a copy."""

from pipeline.stages.listen.events import (
    Received,
    TakenIn,
    receive,
    take_in,
    take_in_waiting,
    understand,
)
from pipeline.stages.listen.hearing import MAIL_SERVER, RECIPIENT, hear
from pipeline.stages.listen.leaving import (
    LEAVE,
    TOO_SOON,
    LeavePage,
    Left,
    PublicIssue,
    Scope,
    keep_after_all,
    leave,
    look,
    public_issue,
    recent_issues,
)

__all__ = [
    "LEAVE",
    "MAIL_SERVER",
    "RECIPIENT",
    "TOO_SOON",
    "LeavePage",
    "Left",
    "PublicIssue",
    "Received",
    "Scope",
    "TakenIn",
    "hear",
    "keep_after_all",
    "leave",
    "look",
    "public_issue",
    "receive",
    "recent_issues",
    "take_in",
    "take_in_waiting",
    "understand",
]
