from __future__ import annotations

from datetime import date, timedelta

import pytest

from pipeline.model.letters import Issue, IssueState
from pipeline.rules.letters.content_lock import why_locked
from tests.builders import NOW


def issue(state: IssueState) -> Issue:
    return Issue(
        1, "p", "weekly", "ferries", 7, date(2027, 3, 11), NOW + timedelta(days=3),
        cut_off_at=NOW, deadline_at=NOW + timedelta(days=2), state=state,
    )  # fmt: skip


BEFORE = NOW - timedelta(seconds=1)


@pytest.mark.parametrize("state", ["planned", "draft", "in_review", "stopped"])
def test_until_the_cut_off_everybody_writes_then_only_the_approver(state: IssueState) -> None:
    assert why_locked(issue(state), BEFORE, by_approver=False) is None
    assert why_locked(issue(state), NOW, by_approver=True) is None
    locked = why_locked(issue(state), NOW, by_approver=False)
    assert locked
    assert "cut-off of issue weekly/7 has passed" in locked[0]


@pytest.mark.parametrize(
    ("state", "next_step"),
    [
        ("approved", "asterism issue stop weekly/7"),
        ("scheduled", "asterism issue stop weekly/7"),
        ("sending", "next issue"),
        ("sent", "next issue"),
        ("partly_sent", "next issue"),
        ("missed", "asterism explain issue weekly/7"),
        ("cancelled", "asterism explain issue weekly/7"),
    ],
)
def test_what_is_frozen_or_out_nobody_writes(state: IssueState, next_step: str) -> None:
    locked = why_locked(issue(state), BEFORE, by_approver=True)
    assert locked
    assert state.replace("_", " ") in locked[0]
    assert next_step in locked[1]
