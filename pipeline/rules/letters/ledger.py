"""The ledger's law: what attempts, and late or doubled news, make of a copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.model.catalog import UnknownPolicy
from pipeline.model.letters import DeliveryState, Heard, IssueState, SendOutcome

#: From the least that is known of a copy to the most. News only ever moves a copy up.
_KNOWN: Mapping[DeliveryState, int] = {
    "withheld": 0,
    "planned": 0,
    "claimed": 0,
    "attempting": 0,
    "deferred": 0,
    "recalling": 0,
    "unknown": 0,
    "accepted": 1,
    "refused": 2,
    "delivered": 3,
    "bounced": 4,
    "complained": 5,
}

#: Nothing of these has left, and nothing is on its way: they may still be taken back.
UNSENT: frozenset[DeliveryState] = frozenset({"planned", "deferred", "withheld"})

#: Nor has anybody one of these: a claim ends when its holder wants to begin, and finds it gone.
NOBODY_HAS: frozenset[DeliveryState] = UNSENT | {"claimed", "refused"}

#: These have left, are leaving, or may have left.
BEGUN: frozenset[DeliveryState] = frozenset(_KNOWN) - NOBODY_HAS

#: The work on these is not done.
OPEN: frozenset[DeliveryState] = frozenset(
    {"planned", "claimed", "attempting", "deferred", "recalling"}
)

#: These reached the other side, whatever became of them there.
OUT: frozenset[DeliveryState] = frozenset({"accepted", "delivered", "bounced", "complained"})

#: Why a copy is withheld that a stop held back; it goes once the issue is approved again.
STOPPED = "stopped"

#: Why a copy is withheld of an issue that nobody was asked to look at.
NOT_ASKED = "its review mail was refused"

#: Why a copy is planned again that its provider gave back.
CALLED_BACK = "called back before it left"

#: News of a copy that was one of these may move its issue, too.
UNSETTLED: frozenset[DeliveryState] = frozenset({"unknown", "recalling", "withheld"})

#: Why a copy that was made for another account is kept back.
MOVED = "moved to another account"

#: Marks of the store: when it was restored from a backup, as ISO 8601;
RESTORED_AT = "restored_at"
#: and which issue a person let go after that: this, and its public id.
ALLOWED = "allowed:"

#: The windows of the limits.
HOUR = timedelta(hours=1)
DAY = timedelta(hours=24)

ATTEMPTS = 5
#: How long to wait after the first, second, … deferral.
PAUSES = (
    timedelta(minutes=5),
    timedelta(minutes=20),
    timedelta(hours=1),
    timedelta(hours=4),
)
LONGEST_PAUSE = timedelta(hours=24)

#: Nobody holds a copy longer; a lease that lasts longer is from before the clock was set back.
LONGEST_LEASE = timedelta(minutes=10)

#: Why a copy in doubt is sent again, where the newsletter says so.
AGAIN = "in doubt, and its newsletter says: send it again"


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


def after_doubt(policy: UnknownPolicy, attempts: int, now: datetime) -> Settlement | None:
    """What becomes of a copy of which nobody knows whether it left; None: it stays in doubt.

    `resend` risks a second copy rather than none. It waits as after a deferral, so that news
    may come first, and it gives up as often.

    Shape:  attempts counts the one that ended in doubt
    """
    if policy != "resend" or attempts >= ATTEMPTS:
        return None
    pause = PAUSES[min(max(attempts, 1), len(PAUSES)) - 1]
    return Settlement("deferred", AGAIN, now + pause)


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


def move_on(
    state: IssueState, counts: Mapping[DeliveryState, int], held_back: int
) -> tuple[IssueState, str | None] | None:
    """Where an issue stands after news of its copies, and why; None: where it stood.

    One that is partly sent was left so by a doubt, or by a stop. The stop holds until
    somebody approves the issue again: all came back, and it is stopped; one left after all,
    and it is so in part. When the last doubt is settled, it is sent; and a copy that is
    planned again takes it along.

    Shape:  held_back counts the copies that a stop holds back; of the result, None as the
            reason leaves it as it is
    """
    if state == "sending":
        return finish(counts)
    if state == "stopped":
        return ("partly_sent", None) if any(counts.get(one) for one in OUT) else None
    if state != "partly_sent" or counts.get("recalling"):
        return None
    if held_back:
        left = any(number for one, number in counts.items() if one not in UNSENT)
        return None if left else ("stopped", None)
    return finish(counts) or ("sending", "")


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many copies may begin to leave now."""

    left: int | None  #: None: as many as there are
    free_at: datetime | None = None  #: with none left: when the next one may
    what: str = ""  #: the limit that is reached, in words


def allowance(
    per_hour: int,
    per_day: int,
    hour: tuple[int, datetime | None],
    day: tuple[int, datetime | None],
) -> Allowance:
    """What the limits leave of this hour and this day; a limit of 0 is none.

    Shape:  hour and day are (attempts in this window, the earliest of them)
    """
    found = [
        Allowance(max(most - begun, 0), earliest + length if earliest else None, words)
        for most, (begun, earliest), length, words in (
            (per_hour, hour, HOUR, f"at most {_mails(per_hour)} in an hour"),
            (per_day, day, DAY, f"at most {_mails(per_day)} in 24 hours"),
        )
        if most
    ]
    return min(found, key=_tightness, default=Allowance(None))


def _tightness(one: Allowance) -> tuple[int, float]:
    """Of two limits that leave nothing, the one that lasts longer."""
    return one.left or 0, -one.free_at.timestamp() if one.free_at else 0.0


def _mails(number: int) -> str:
    return "1 mail" if number == 1 else f"{number:,} mails"
