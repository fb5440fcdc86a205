"""Who is told what, and when: each line of the calendar at its edges."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pipeline.rules.letters.automatic import AUTOMATIC
from pipeline.rules.notices import TOLD_WITHIN, Due, Facts, due_notices
from tests.builders import DUE, FERRIES, ISSUE, WEEKLY

HOUR = timedelta(hours=1)
CUT_OFF, DEADLINE = ISSUE.cut_off_at, ISSUE.deadline_at
ALONE = replace(WEEKLY, mode="automatic")


def told(at, *, issue=ISSUE, newsletter=WEEKLY, beat="planned", written=False, people=FERRIES):
    facts = Facts(issue, newsletter, people, beat, written)
    return [(due.kind, due.staff_key) for due in due_notices(facts, at)]


@pytest.mark.parametrize(
    ("at", "kinds"),
    [
        (CUT_OFF - 24 * HOUR - timedelta(seconds=1), []),
        (CUT_OFF - 24 * HOUR, [("write", "eva")]),
        (CUT_OFF - 6 * HOUR, [("write", "eva"), ("write_backup", "tom")]),
        (CUT_OFF, []),
    ],
)
def test_the_curator_then_the_backup_are_asked_to_write(at, kinds):
    assert told(at) == kinds


def test_where_nobody_stands_in_only_the_curator_is_asked():
    at = CUT_OFF - HOUR
    assert told(at, people=replace(FERRIES, backup="")) == [("write", "eva")]
    assert told(at, people=replace(FERRIES, backup="eva")) == [("write", "eva")]


@pytest.mark.parametrize(
    ("at", "kinds"),
    [
        (CUT_OFF - HOUR, []),
        (CUT_OFF, [("approve", "liv")]),
        (DEADLINE + HOUR, [("approve", "liv")]),
        (DUE, []),
    ],
)
def test_the_approver_hears_of_a_written_issue_when_its_words_freeze(at, kinds):
    assert told(at, written=True) == kinds


def test_with_a_late_cut_off_the_approver_still_has_half_a_day():
    issue = replace(ISSUE, cut_off_at=DEADLINE)
    assert told(DEADLINE - 12 * HOUR, issue=issue, written=True) == [("approve", "liv")]


@pytest.mark.parametrize("state", ["scheduled", "sending", "sent", "stopped", "cancelled"])
def test_nobody_is_reminded_of_what_is_done(state):
    issue = replace(ISSUE, state=state)
    assert told(CUT_OFF - HOUR, issue=issue) == told(CUT_OFF, issue=issue, written=True) == []


def test_an_automatic_issue_asks_nobody_to_write_or_approve():
    for at in (CUT_OFF - HOUR, CUT_OFF):
        assert told(at, newsletter=ALONE) == told(at, newsletter=ALONE, written=True) == []


def test_its_approver_is_told_while_it_is_reviewed():
    issue = replace(ISSUE, state="scheduled", approved_by=AUTOMATIC, review_until=DUE)
    assert told(CUT_OFF, issue=issue, newsletter=ALONE) == [("review", "liv")]
    assert told(DUE, issue=issue, newsletter=ALONE) == []
    by_hand = replace(issue, approved_by="liv", review_until=None)
    assert told(CUT_OFF, issue=by_hand, newsletter=ALONE) == []


def test_what_is_held_back_is_told_while_a_hand_can_mend_it():
    issue = replace(ISSUE, reason="there is nothing new to tell")
    both = [("held_back", "eva"), ("held_back", "liv")]
    assert told(DEADLINE - HOUR, issue=issue, newsletter=ALONE) == both
    assert told(DEADLINE, issue=issue, newsletter=ALONE) == []


@pytest.mark.parametrize("newsletter", [WEEKLY, ALONE], ids=["curated", "automatic"])
def test_what_did_not_go_out_is_told_within_a_week(newsletter):
    both = [("not_sent", "eva"), ("not_sent", "liv")]
    missed = replace(ISSUE, state="missed", reason="nobody approved the issue in time")
    assert told(DUE + 30 * HOUR, issue=missed, newsletter=newsletter, beat="missed") == both
    stopped = replace(ISSUE, state="stopped", reason="a typo")
    assert told(DUE + 30 * HOUR, issue=stopped, newsletter=newsletter, beat="missed") == both
    assert told(DUE + 30 * HOUR, issue=stopped, newsletter=newsletter) == []
    assert told(DUE + TOLD_WITHIN, issue=missed, newsletter=newsletter, beat="missed") == []


def test_who_is_curator_and_approver_is_told_once():
    people = replace(FERRIES, curator="liv")
    missed = replace(ISSUE, state="missed")
    assert due_notices(Facts(missed, WEEKLY, people, "missed", written=False), DUE + HOUR) == (
        Due("not_sent", "liv"),
    )
