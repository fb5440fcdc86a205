"""The ledger's law: what attempts, and late or doubled news, make of a copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.model.letters import DeliveryState, Heard, IssueState, SendOutcome

#: From the least that is known of a copy to the most. News only ever moves a copy up.
_KNOWN: Mapping[DeliveryState, int] = {
    "withheld": 0,
    "planned": 0,
    "claimed": 0,
    "attempting": 0,
    "deferred": 0,
    "unknown": 0,
    "accepted": 1,
    "refused": 2,
    "delivered": 3,
    "bounced": 4,
    "complained": 5,
}

#: Nothing of these has left, and nothing is on its way: they may still be taken back.
UNSENT: frozenset[DeliveryState] = frozenset({"planned", "deferred", "withheld"})

#: The work on these is not done.
OPEN: frozenset[DeliveryState] = frozenset({"planned", "claimed", "attempting", "deferred"})

#: These reached the other side, whatever became of them there.
OUT: frozenset[DeliveryState] = frozenset({"accepted", "delivered", "bounced", "complained"})

#: Why a copy is withheld that a stop held back; it goes once the issue is approved again.
STOPPED = "stopped"

#: Why a copy that was made for another account is kept back.
MOVED = "moved to another account"

ATTEMPTS = 5
#: How long to wait after the first, second, … deferral.
PAUSES = (
    timedelta(minutes=5),
    timedelta(minutes=20),
    timedelta(hours=1),
    timedelta(hours=4),
)
LONGEST_PAUSE = timedelta(hours=24)


def hear(state: DeliveryState, news: Heard) -> DeliveryState:
    """What a copy is after the world told something of it.

    News may come late, twice and in any order: the same news ends in the same state. What
    proves that a copy arrived counts whatever we believed before, withheld ones too.
    Refused stands above accepted (a receiver that took it and then dropped it) and is final
    for us: no move of ours leaves it.
    """
    return news if _KNOWN[news] > _KNOWN[state] else state


@dataclass(frozen=True, slots=True)
class Settlement:
    """What an attempt comes to."""

    state: DeliveryState
    detail: str
    next_attempt_at: datetime | None = None


def settle(
    outcome: SendOutcome,
    detail: str,
    attempts: int,
    now: datetime,
    retry_after_s: int | None = None,
) -> Settlement:
    """What to write for an attempt: the receipt's outcome, or the end of our patience.

    Shape:  attempts counts this one
    Units:  now is aware UTC; retry_after_s, seconds, never more than a day
    """
    if outcome != "deferred":
        return Settlement(outcome, detail)
    if attempts >= ATTEMPTS:
        gave_up = f"put off {attempts} times, the last time: {detail or 'no reason given'}"
        return Settlement("refused", gave_up)
    pause = PAUSES[min(attempts, len(PAUSES)) - 1]
    if retry_after_s is not None:
        pause = max(pause, timedelta(seconds=retry_after_s))
    return Settlement("deferred", detail, now + min(pause, LONGEST_PAUSE))


def finish(counts: Mapping[DeliveryState, int]) -> tuple[IssueState, str] | None:
    """Where an issue stands when its copies have settled, and why; None while some are open.

    A refused copy is a matter of one address; a copy of which nobody knows holds the issue
    at partly sent, until news of it comes or a person decides. An issue that reached nobody
    has missed its beat.
    """
    if any(counts.get(state) for state in OPEN):
        return None
    unknown, refused = counts.get("unknown", 0), counts.get("refused", 0)
    told = {"refused": refused, "unknown": unknown}
    reason = ", ".join(f"{number} {state}" for state, number in told.items() if number)
    if unknown:
        return "partly_sent", reason
    if any(counts.get(state) for state in OUT):
        return "sent", reason
    return "missed", reason or "nobody was left to send it to"
