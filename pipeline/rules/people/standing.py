"""How a contact stands with us: one word with its reason, and what the log keeps of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from pipeline.model.people import EVERYWHERE, Stand, Standing, StandingFacts, Suppression

_WHY: Mapping[str, str] = {
    "left": "left",
    "complaint": "complained",
    "bounce": "the address bounced",
    "asked": "asked us not to write",
    "imported": "on a list of those who left",
    "erased": "erased",
}


def why_suppressed(suppression: Suppression) -> str:
    """`left on 2026-11-19`."""
    return f"{_WHY[suppression.reason]} on {suppression.at:%Y-%m-%d}"


def current(standing: Standing, on: date) -> Standing:
    """Without a pause that is over by that day."""
    until = standing.paused_until
    return standing if until is None or until > on else replace(standing, paused_until=None)


def stand(facts: StandingFacts, on: date) -> Stand:
    """What keeps letters from a contact, in the order in which an audience asks.

    Who is out of single newsletters alone is in; the detail names these.
    """
    contact, standing = facts.contact, current(facts.standing, on)
    if contact.erased_at is not None:
        return Stand("erased", f"on {contact.erased_at:%Y-%m-%d}")
    if contact.retired_at is not None:
        return Stand("retired", "no longer at the account")
    if contact.invalid or not contact.address:
        return Stand("invalid_address", contact.invalid or "there is no address")
    if not facts.has_basis:
        return Stand("no_basis")
    for one in facts.suppressions:
        if one.scope == EVERYWHERE:
            return Stand("suppressed", why_suppressed(one))
    if standing.paused_until:
        return Stand("paused", f"until {standing.paused_until}")
    if standing.hold:
        return Stand("held", f"by {standing.held_by}: {standing.hold}")
    return Stand("in", "; ".join(_without(standing, facts.suppressions)))


def _without(standing: Standing, suppressions: Sequence[Suppression]) -> Iterator[str]:
    out = {one.scope: why_suppressed(one) for one in reversed(suppressions)}
    chose = {key: "chose not to get it" for key, wanted in standing.subscriptions if not wanted}
    for key, why in sorted({**chose, **out}.items()):
        yield f"without {key}: {why}"


def in_words(found: Stand) -> str:
    """`paused until 2027-03-01`, `held by tom: in talks`, `suppressed: left on 2026-11-19`."""
    word = found.word.replace("_", " ")
    link = " " if found.word in ("paused", "held", "erased") else ": "
    return f"{word}{link}{found.detail}" if found.detail else word


# ── for the log ──────────────────────────────────────────────────────────────────────────


def as_logged(standing: Standing, suppressions: Sequence[Suppression]) -> dict[str, Any]:
    """A standing as the log keeps it before and after a change, in what JSON holds."""
    until = standing.paused_until
    return {
        "paused_until": until.isoformat() if until else None,
        "hold": standing.hold,
        "held_by": standing.held_by,
        "suppressed": [f"{one.scope} {one.reason}" for one in suppressions],
    }


def logged_in_words(logged: Mapping[str, Any]) -> str:
    """A standing, or the part of one that somebody wanted, on one line."""
    parts = []
    if logged.get("paused_until"):
        parts.append(f"paused until {logged['paused_until']}")
    if logged.get("hold"):
        parts.append(f"held by {logged['held_by']}: {logged['hold']}")
    if logged.get("suppressed"):
        parts.append("suppressed")
    return "; ".join(parts) or "neither paused nor held"
