"""Whether an issue is still on time, and which day it is at home."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from pipeline.model.catalog import Newsletter
from pipeline.model.letters import Issue
from pipeline.rules.letters.rhythm import late_decision

GONE = "its newsletter is no longer in the files"


def too_late(issue: Issue, newsletter: Newsletter, now: datetime) -> str:
    """Why an issue does not go out any more, by its late policy; empty while it may.

    It counts from the beat; but who approves after it wants the issue to go out then, and an
    automatic one waits until its review is over.
    """
    since = max(at for at in (issue.due_at, issue.approved_at, issue.review_until) if at)
    if late_decision(newsletter.rhythm, replace(issue.beat, due_at=since), now) != "missed":
        return ""
    return f"{_hours(now - since)} late: it does not go out any more"


def day_at_home(newsletter: Newsletter, now: datetime) -> date:
    """The day where the newsletter is at home: a pause ends on one of its days."""
    return now.astimezone(ZoneInfo(newsletter.rhythm.zone)).date()


def _hours(late: timedelta) -> str:
    hours = int(late / timedelta(hours=1))
    return f"{hours} hours" if hours < 72 else f"{hours // 24} days"
