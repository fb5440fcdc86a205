"""The ledger's law: news in any order ends in one state, and attempts come to an end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.letters import DeliveryState, Heard, IssueState
from pipeline.rules.letters import ledger
from pipeline.rules.letters.ledger import after_doubt, allowance, finish, hear, move_on, settle

NOW = datetime(2027, 3, 8, 9, 0, tzinfo=UTC)
STATES: tuple[DeliveryState, ...] = get_args(DeliveryState)
NEWS: tuple[Heard, ...] = get_args(Heard)
states = st.sampled_from(STATES)
news = st.lists(st.sampled_from(NEWS), max_size=6)


def after(state: DeliveryState, told: list[Heard]) -> DeliveryState:
    for one in told:
        state = hear(state, one)
    return state


@given(states, news, st.randoms())
def test_any_order_and_any_repetition_end_in_the_same_state(
    start: DeliveryState, told: list[Heard], chance: object
) -> None:
    again = [*told, *told]
    chance.shuffle(again)  # type: ignore[attr-defined]
    assert after(start, told) == after(start, again)


@pytest.mark.parametrize("start", STATES)
def test_every_order_of_all_news_there_is(start: DeliveryState) -> None:
    assert {after(start, list(order)) for order in permutations(NEWS)} == {"complained"}


@given(states, st.sampled_from(NEWS))
def test_news_only_ever_tells_more(start: DeliveryState, one: Heard) -> None:
    then = hear(start, one)
    assert hear(then, one) == then
    assert then in {start, one}


@pytest.mark.parametrize("proof", ["delivered", "bounced", "complained"])
@pytest.mark.parametrize(
    "believed", ["planned", "attempting", "deferred", "unknown", "withheld", "accepted", "refused"]
)
def test_proof_of_arrival_counts_whatever_we_believed(
    believed: DeliveryState, proof: Heard
) -> None:
    assert hear(believed, proof) == proof


def test_a_doubt_is_settled_by_news() -> None:
    assert hear("unknown", "accepted") == "accepted"


# ── attempts ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("outcome", ["accepted", "refused", "unknown"])
def test_an_outcome_is_written_as_it_is(outcome: str) -> None:
    settled = settle(outcome, "as the server said", 1, NOW)  # type: ignore[arg-type]
    assert settled == ledger.Settlement(outcome, "as the server said")  # type: ignore[arg-type]


def test_a_deferred_copy_waits_longer_each_time_and_then_is_given_up() -> None:
    settled = [settle("deferred", "busy", attempt, NOW) for attempt in range(1, 6)]
    waits = [s.next_attempt_at - NOW for s in settled if s.next_attempt_at]
    assert waits == sorted(waits)
    assert [s.state for s in settled] == ["deferred"] * 4 + ["refused"]
    assert settled[-1].detail == "put off 5 times, the last time: busy"


@given(st.integers(1, 4), st.integers(0, 10**6))
def test_a_server_may_ask_for_more_but_not_for_ever(attempts: int, retry_after_s: int) -> None:
    own = settle("deferred", "", attempts, NOW).next_attempt_at
    asked = settle("deferred", "", attempts, NOW, retry_after_s).next_attempt_at
    assert own is not None
    assert asked is not None
    assert own <= asked <= NOW + timedelta(days=1)


# ── the issue ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"planned": 1, "accepted": 5}, None),
        ({"claimed": 1}, None),
        ({"attempting": 1, "accepted": 5}, None),
        ({"deferred": 1, "accepted": 5}, None),
        ({"accepted": 5}, ("sent", "")),
        ({"accepted": 5, "withheld": 2}, ("sent", "")),
        ({"accepted": 3, "bounced": 1, "refused": 2}, ("sent", "2 refused")),
        ({"accepted": 3, "unknown": 1}, ("partly_sent", "1 unknown")),
        ({"refused": 2}, ("missed", "2 refused")),
        ({"refused": 2, "unknown": 1}, ("partly_sent", "2 refused, 1 unknown")),
        ({"withheld": 4}, ("missed", "nobody was left to send it to")),
        ({}, ("missed", "nobody was left to send it to")),
    ],
)
def test_where_an_issue_stands(
    counts: dict[DeliveryState, int], expected: tuple[str, str] | None
) -> None:
    assert finish(counts) == expected


@pytest.mark.parametrize(
    ("state", "counts", "held_back", "expected"),
    [
        ("sending", {"accepted": 1}, 0, ("sent", "")),
        ("sending", {"accepted": 1, "planned": 1}, 0, None),
        ("partly_sent", {"accepted": 2}, 0, ("sent", "")),
        ("partly_sent", {"accepted": 1, "unknown": 1}, 0, ("partly_sent", "1 unknown")),
        ("partly_sent", {"accepted": 1, "planned": 1}, 0, ("sending", "")),
        ("partly_sent", {"accepted": 2, "withheld": 1}, 1, None),
        ("partly_sent", {"refused": 1}, 0, ("missed", "1 refused")),
        ("partly_sent", {"recalling": 2}, 2, None),
        ("partly_sent", {"recalling": 2, "planned": 1}, 2, None),
        ("partly_sent", {"withheld": 3}, 3, ("stopped", None)),
        ("partly_sent", {"withheld": 3, "deferred": 1}, 3, ("stopped", None)),
        ("partly_sent", {"withheld": 3, "refused": 1}, 3, None),
        ("partly_sent", {"withheld": 3, "attempting": 1}, 3, None),
        ("stopped", {"withheld": 3}, 3, None),
        ("stopped", {"withheld": 3, "accepted": 1}, 3, ("partly_sent", None)),
        *((state, {"accepted": 2}, 0, None)
          for state in ("draft", "scheduled", "sent", "missed", "cancelled")),
    ],
)  # fmt: skip
def test_an_issue_moves_on_when_its_last_doubt_is_settled(
    state: IssueState,
    counts: dict[DeliveryState, int],
    held_back: int,
    expected: tuple[str, str | None] | None,
) -> None:
    assert move_on(state, counts, held_back) == expected


# ── doubts, and limits ───────────────────────────────────────────────────────────────────


def test_a_doubt_is_never_sent_again_by_itself() -> None:
    assert all(after_doubt("hold", attempts, NOW) is None for attempts in range(1, 9))


def test_where_the_newsletter_says_so_it_is_and_that_ends() -> None:
    again = [after_doubt("resend", attempts, NOW) for attempts in range(1, ledger.ATTEMPTS + 1)]
    assert again[-1] is None
    waits = [one.next_attempt_at - NOW for one in again if one and one.next_attempt_at]
    assert waits == list(ledger.PAUSES)


FULL = (3, NOW - timedelta(minutes=10))


@pytest.mark.parametrize(
    ("per_hour", "per_day", "hour", "day", "left", "free_at"),
    [
        (0, 0, FULL, FULL, None, None),
        (5, 0, FULL, FULL, 2, None),
        (5, 4, FULL, FULL, 1, None),
        (3, 0, FULL, FULL, 0, NOW + timedelta(minutes=50)),
        (2, 0, FULL, FULL, 0, NOW + timedelta(minutes=50)),
        (0, 3, FULL, FULL, 0, NOW - timedelta(minutes=10) + timedelta(hours=24)),
        (3, 3, FULL, FULL, 0, NOW - timedelta(minutes=10) + timedelta(hours=24)),
        (3, 9, (0, None), FULL, 3, None),
    ],
)
def test_of_two_limits_the_tighter_holds(
    per_hour: int,
    per_day: int,
    hour: tuple[int, datetime | None],
    day: tuple[int, datetime | None],
    left: int | None,
    free_at: datetime | None,
) -> None:
    found = allowance(per_hour, per_day, hour, day)
    assert found.left == left
    if left == 0:
        assert found.free_at == free_at
        assert found.what.startswith("at most ")
