"""The month as a night sky: a star for each account, lit when somebody there was touched."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, hypot, sqrt

from markupsafe import Markup

from pipeline.model.sales import AccountCoverage

WIDTH = 640.0
#: A row is never higher than this, so that a few accounts make no tower.
TALLEST = 76.0
#: A sky is at least so high, so that a few accounts make no strip.
LOWEST = 150.0
#: How far a star may stray from its place, in parts of it.
STRAY = 0.38
MARGIN = 18.0


@dataclass(frozen=True, slots=True)
class Star:
    """One account's place in the sky."""

    account: AccountCoverage
    x: float
    y: float

    @property
    def light(self) -> str:
        """hand, machine or none: a person's word outshines a letter."""
        if self.account.by_hand:
            return "hand"
        return "machine" if self.account.by_machine else "none"


def stars(accounts: Sequence[AccountCoverage]) -> tuple[Star, ...]:
    """Each account at a place of its own, the same every month while the accounts are the same.

    Units:  of the picture, WIDTH wide
    """
    if not accounts:
        return ()
    ordered = sorted(accounts, key=lambda account: _chance(account.key))
    columns, rows = _grid(len(ordered))
    wide = (WIDTH - 2 * MARGIN) / columns
    high = min(wide, max(TALLEST, (LOWEST - 2 * MARGIN) / rows))
    return tuple(
        Star(
            account,
            round(MARGIN + (n % columns + 0.5 + _stray(account.key, "x")) * wide, 1),
            round(MARGIN + (n // columns + 0.5 + _stray(account.key, "y")) * high, 1),
        )
        for n, account in enumerate(ordered)
    )


def lines(found: Sequence[Star]) -> tuple[tuple[Star, Star], ...]:
    """The shortest lines that join all stars: the asterism of the month."""
    joined, rest = list(found[:1]), list(found[1:])
    drawn = []
    near = {id(star): joined[0] for star in rest}
    while rest:
        star = min(rest, key=lambda one: (_apart(one, near[id(one)]), one.account.key))
        drawn.append((near[id(star)], star))
        rest.remove(star)
        for one in rest:
            if _apart(one, star) < _apart(one, near[id(one)]):
                near[id(one)] = star
    return tuple(drawn)


def sky(accounts: Sequence[AccountCoverage], told: str) -> Markup:
    """The picture as SVG; `told` says in one sentence what it shows."""
    placed = stars(accounts)
    wide = (WIDTH - 2 * MARGIN) / _grid(len(placed))[0]
    size = max(1.6, min(6.0, wide * 0.11))
    height = round(max(LOWEST, max((star.y for star in placed), default=0.0) + MARGIN + 10))
    drawn = Markup("").join(
        Markup('<line x1="{}" y1="{}" x2="{}" y2="{}"/>').format(a.x, a.y, b.x, b.y)
        for a, b in lines([star for star in placed if star.light == "hand"])
    )
    return Markup(
        '<svg class="sky" viewBox="0 0 {w} {h}" role="img" aria-labelledby="sky-t sky-d">'
        '<title id="sky-t">The accounts as stars</title><desc id="sky-d">{told}</desc>'
        '<rect class="night" width="{w}" height="{h}" rx="4"/>'
        '<g class="joined">{lines}</g>{stars}</svg>'
    ).format(
        w=round(WIDTH),
        h=height,
        told=told,
        lines=drawn,
        stars=Markup("").join(_drawn(star, size) for star in placed),
    )


def _grid(number: int) -> tuple[int, int]:
    """(columns, rows) for so many stars, at least one of each."""
    columns = max(1, ceil(sqrt(number * 2.2)))
    return columns, max(1, ceil(number / columns))


def _drawn(star: Star, size: float) -> Markup:
    account = star.account
    said = f"{account.name}: {account.by_hand} by hand, {account.by_machine} by machine"
    halo = Markup("")
    if star.light == "hand":
        halo = Markup('<path class="rays" d="{}"/>').format(_rays(star, size * 2.9))
    radius = {"hand": size, "machine": size * 0.82, "none": size * 0.6}[star.light]
    dot = Markup('<circle class="{}" cx="{}" cy="{}" r="{}"/>').format(
        star.light, star.x, star.y, round(radius, 2)
    )
    return Markup("<g><title>{}</title>{}{}</g>").format(said, halo, dot)


def _rays(star: Star, reach: float) -> str:
    """A star of four points."""
    x, y, r, w = star.x, star.y, round(reach, 1), round(reach * 0.13, 2)
    return (
        f"M{x} {y - r:.1f}L{x + w:.1f} {y - w:.1f}L{x + r:.1f} {y}L{x + w:.1f} {y + w:.1f}"
        f"L{x} {y + r:.1f}L{x - w:.1f} {y + w:.1f}L{x - r:.1f} {y}L{x - w:.1f} {y - w:.1f}Z"
    )


def _apart(a: Star, b: Star) -> float:
    return hypot(a.x - b.x, a.y - b.y)


def _chance(text: str) -> int:
    """A number that looks drawn by lot and is the same each time."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _stray(key: str, axis: str) -> float:
    return (_chance(f"{axis}:{key}") % 1000 / 999 - 0.5) * 2 * STRAY
