"""The ledger of mail among ourselves: once to each, one holder at a time, no doubt sent again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pipeline.model.letters import Notice, Receipt
from tests.builders import NOW

MINUTE = timedelta(minutes=1)
LEASE = NOW + 2 * MINUTE
WRITE = Notice(
    "write", "issue:a", "eva", "eva@quaytide.example", "Eva Brandt", "To write", "<p>x</p>", "x",
    NOW,
)  # fmt: skip


@pytest.fixture
def notices(store):
    """Calls one method in a transaction of its own."""

    class Calls:
        def __getattr__(self, name):
            def call(*args):
                with store.write() as tables:
                    return getattr(tables.notices, name)(*args)

            return call

    return Calls()


def claimed(notices, owner="one", at=NOW):
    return notices.claim(owner, at + 2 * MINUTE, at, 10)


@pytest.mark.parametrize(
    ("was", "news", "now_is"),
    [
        ("planned", "delivered", "planned"),  # its sender will say so
        ("attempting", "accepted", "attempting"),
        ("attempting", "bounced", "bounced"),
        ("unknown", "accepted", "accepted"),
        ("accepted", "delivered", "delivered"),
        ("accepted", "refused", "refused"),
        ("delivered", "bounced", "bounced"),
        ("bounced", "delivered", "bounced"),
        ("refused", "accepted", "refused"),
        ("accepted", "complained", "complained"),
    ],
)
def test_what_the_world_tells_only_adds_to_what_is_known(notices, was, news, now_is):
    notices.add(WRITE)
    if was != "planned":
        notices.attempting(claimed(notices))
        (held,) = notices.of("issue:a")
        if was in ("accepted", "refused", "unknown"):
            notices.settle([(held, Receipt(held.public_id, was, "at once"))], NOW)
        elif was in ("delivered", "bounced"):
            notices.hear_all([(held.public_id, was, "before")], NOW)
            notices.settle([(held, Receipt(held.public_id, "accepted"))], NOW)
            notices.hear_all([(held.public_id, was, "before")], NOW)
    (one,) = notices.of("issue:a")
    assert one.state == was
    moved = notices.hear_all([(one.public_id, news, "they say"), ("x" * 26, news, "")], NOW)
    (after,) = notices.of("issue:a")
    assert after.state == now_is
    assert list(moved) == ([after] if now_is != was else [])
    assert after.reason == ("they say" if now_is != was else one.reason)
    assert list(notices.hear_all([(one.public_id, news, "again")], NOW)) == []


def test_each_kind_once_to_each_about_one_thing(notices):
    assert notices.add(WRITE)
    assert not notices.add(replace(WRITE, subject="again"))
    assert notices.add(replace(WRITE, kind="write_backup"))
    assert notices.add(replace(WRITE, staff_key="tom"))
    assert notices.add(replace(WRITE, about="issue:b"))
    first, *_ = notices.of("issue:a")
    assert (first.subject, first.state, len(first.public_id)) == ("To write", "planned", 26)
    assert len(notices.of("issue:a")) == 3


def test_one_that_was_refused_is_written_anew_for_a_mended_address(notices):
    mended = replace(WRITE, address="eva.brandt@quaytide.example", subject="anew")
    notices.add(WRITE)
    assert not notices.add(mended)  # it has not been refused
    (one,) = notices.attempting(claimed(notices))
    notices.settle([(one, Receipt(one.public_id, "refused", "550 no such user"))], NOW)
    assert not notices.add(WRITE)
    assert notices.add(mended)
    assert not notices.add(mended)
    (anew,) = notices.of("issue:a")
    assert (anew.state, anew.subject, anew.reason, anew.attempts) == ("planned", "anew", "", 0)
    assert anew.public_id != one.public_id
    assert [it.id for it in claimed(notices)] == [anew.id]
    accepted = Receipt(one.public_id, "accepted")
    assert notices.settle([(one, accepted)], NOW) == {"stale": 1}


def test_a_second_refusal_is_told_once_more_and_no_third_time(notices):
    first = replace(WRITE, kind="review_refused")
    second = replace(first, text="another address")
    notices.add(first)
    assert not notices.add(second)  # the first has not left
    (one,) = notices.attempting(claimed(notices))
    notices.settle([(one, Receipt(one.public_id, "accepted"))], NOW)
    assert not notices.add(first)
    assert notices.add(second)
    assert not notices.add(second)
    (anew,) = notices.of("issue:a")
    assert (anew.state, anew.text, anew.attempts) == ("planned", "another address", 0)


def test_what_is_due_is_claimed_by_one(notices):
    notices.add(WRITE)
    notices.add(replace(WRITE, staff_key="tom", due_at=NOW + MINUTE))
    assert notices.next_due(NOW) == NOW
    (one,) = claimed(notices)
    assert (one.staff_key, one.state, one.fence) == ("eva", "claimed", 1)
    assert claimed(notices, "two") == ()
    assert notices.holders() == ["one"]
    assert notices.next_due(NOW) == NOW + MINUTE


def test_who_lost_its_lease_cannot_go_on(notices):
    notices.add(WRITE)
    (mine,) = claimed(notices)
    (theirs,) = claimed(notices, "two", LEASE)
    assert notices.attempting([mine]) == []
    (begun,) = notices.attempting([theirs])
    assert begun.attempts == 1
    accepted = Receipt(begun.public_id, "accepted")
    assert notices.settle([(replace(mine, state="attempting"), accepted)], NOW) == {"stale": 1}
    assert notices.settle([(begun, accepted)], NOW) == {"accepted": 1}
    assert notices.settle([(begun, accepted)], NOW) == {"stale": 1}
    assert notices.holders() == []


def test_a_deferred_one_is_tried_again_and_then_no_more(notices):
    notices.add(WRITE)
    now = NOW
    for attempt in range(1, 6):
        (one,) = notices.attempting(claimed(notices, at=now))
        assert one.attempts == attempt
        outcome = notices.settle([(one, Receipt(one.public_id, "deferred", "busy"))], now)
        assert outcome == ({"deferred": 1} if attempt < 5 else {"refused": 1})
        assert claimed(notices, at=now) == ()
        now += timedelta(hours=5)
    assert notices.next_due(now) is None
    (one,) = notices.of("issue:a")
    assert one.state == "refused"
    assert "busy" in one.reason


def test_an_unknown_one_is_never_taken_again(notices):
    notices.add(WRITE)
    (one,) = notices.attempting(claimed(notices))
    assert notices.in_doubt(NOW) == []
    assert [it.id for it in notices.in_doubt(LEASE)] == [one.id]
    assert claimed(notices, "two", LEASE) == ()  # attempting: nobody takes it
    notices.settle([(one, Receipt(one.public_id, "unknown", "the line broke"))], LEASE)
    assert claimed(notices, "two", LEASE + timedelta(days=3)) == ()


def test_what_surely_did_not_leave_is_planned_again(notices):
    notices.add(WRITE)
    (one,) = notices.attempting(claimed(notices))
    assert notices.give_back([one], "the relay is away") == 1
    assert notices.give_back([one], "the relay is away") == 0
    (again,) = claimed(notices, "two")
    assert (again.attempts, again.reason) == (0, "the relay is away")


def test_the_leases_of_a_dead_owner_end(notices):
    notices.add(WRITE)
    claimed(notices)
    assert notices.end_leases("nobody", NOW) == 0
    assert notices.end_leases("one", NOW) == 1
    assert len(claimed(notices, "two")) == 1
