"""Who is told what, and when: each line of the calendar at its edges."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pipeline.model.letters import Notice
from pipeline.rules.letters.automatic import AUTOMATIC
from pipeline.rules.notices import (
    TOLD_WITHIN,
    Due,
    Facts,
    due_notices,
    in_doubt,
    lost_for,
    nobody_asked,
    who_else,
    why_not_asked,
)
from tests.builders import DUE, FERRIES, FIRM, ISSUE, NOW, WEEKLY

HOUR = timedelta(hours=1)
CUT_OFF, DEADLINE = ISSUE.cut_off_at, ISSUE.deadline_at
ALONE = replace(WEEKLY, mode="automatic")


LIV = FIRM.staff[0]
REVIEW = Notice(
    "review", "issue:a", "liv", LIV.address, LIV.name, "It goes", "<p>x</p>", "x", NOW,
    state="refused", reason="550 no such user",
)  # fmt: skip


def told(
    at, *, issue=ISSUE, newsletter=WEEKLY, beat="planned", written=False, people=FERRIES, instead=()
):
    facts = Facts(issue, newsletter, people, beat, written, instead)
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


# ── a review mail that was refused ───────────────────────────────────────────────────────


def test_others_are_told_that_the_approver_could_not_be_asked():
    issue = replace(ISSUE, reason="the mail was refused")
    both = [("review_refused", "eva"), ("review_refused", "tom")]
    for at in (CUT_OFF, DEADLINE + HOUR, DUE + 12 * HOUR):
        assert told(at, issue=issue, newsletter=ALONE, instead=("eva", "tom")) == both
    missed = replace(issue, state="missed")
    assert told(DUE + 30 * HOUR, issue=missed, newsletter=ALONE, instead=("eva", "tom")) == [
        ("not_sent", "eva"), ("not_sent", "liv"), ("not_sent", "tom"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("states", "is_so"),
    [
        ((), True),
        (("refused",), True),
        (("refused", "refused"), True),
        (("planned",), False),
        (("attempting",), False),
        (("deferred",), False),
        (("accepted",), False),
        (("unknown",), False),
        (("refused", "planned"), False),
        (("refused", "accepted"), False),
    ],
)
def test_nobody_was_asked_where_no_mail_left_or_will(states, is_so):
    assert nobody_asked([replace(REVIEW, state=state) for state in states]) == is_so


def test_a_refusal_holds_for_the_very_address():
    why = f"the mail that asks {LIV.name} to look at it was refused (550 no such user)"
    assert why_not_asked([REVIEW], LIV) == why
    assert lost_for([REVIEW], LIV) == REVIEW
    assert "(no reason given)" in why_not_asked([replace(REVIEW, reason="")], LIV)
    assert why_not_asked([REVIEW], replace(LIV, address="l@quaytide.example")) == ""
    assert why_not_asked([REVIEW], FIRM.staff[1]) == ""
    assert why_not_asked([replace(REVIEW, state="accepted")], LIV) == ""
    assert why_not_asked([REVIEW], None) == why_not_asked([], LIV) == ""


def test_a_doubt_is_told_where_nobody_surely_heard():
    doubt = replace(REVIEW, state="unknown")
    assert in_doubt([doubt]) == in_doubt([REVIEW, doubt]) == LIV.name
    assert in_doubt([doubt, replace(REVIEW, state="accepted")]) == in_doubt([REVIEW]) == ""


def test_who_hears_of_it_has_another_address():
    assert who_else(FERRIES, FIRM.staff, REVIEW) == ("eva", "tom")
    alone = replace(FERRIES, backup="", curator="liv")
    assert who_else(replace(alone, expert="tom"), FIRM.staff, REVIEW) == ("tom",)
    assert who_else(alone, FIRM.staff, REVIEW) == (FIRM.staff[1].key,)
    shared = tuple(replace(one, address=LIV.address.upper()) for one in FIRM.staff)
    assert who_else(FERRIES, shared, REVIEW) == ()
    assert who_else(replace(FERRIES, backup="eva"), FIRM.staff, REVIEW) == ("eva",)
