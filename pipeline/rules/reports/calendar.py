"""A month's sheet with its beats: kept, missed, planned, skipped."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping, Sequence
from datetime import date

from markupsafe import Markup

from pipeline.model.sales import BeatLine

CELL, ROW, HEAD = 44, 46, 26
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
#: A day shows so many beats; the table beside it has all.
MOST = 3


def sheet(month: date, beats: Sequence[BeatLine], told: str) -> Markup:
    """The calendar as SVG, weeks from Monday; `told` says in one sentence what it shows.

    Shape:  month is any day of it
    """
    first = month.replace(day=1)
    days = monthrange(first.year, first.month)[1]
    weeks = (first.weekday() + days + 6) // 7
    by_day: dict[int, list[BeatLine]] = {}
    for beat in beats:
        by_day.setdefault(beat.on.day, []).append(beat)
    head = Markup("").join(
        Markup('<text class="dow" x="{}" y="14">{}</text>').format(n * CELL + CELL // 2, name)
        for n, name in enumerate(DAYS)
    )
    cells = Markup("").join(_day(first, day, by_day) for day in range(1, days + 1))
    rules = Markup("").join(
        Markup('<path class="rule" d="M0 {y}H{w}"/>').format(y=HEAD + week * ROW, w=7 * CELL)
        for week in range(weeks)
    )
    return Markup(
        '<svg class="sheet" viewBox="0 0 {w} {h}" role="img" aria-labelledby="cal-t cal-d">'
        '<title id="cal-t">The beats of the month</title><desc id="cal-d">{told}</desc>'
        "{head}{rules}{cells}</svg>"
    ).format(w=7 * CELL, h=HEAD + weeks * ROW, told=told, head=head, rules=rules, cells=cells)


def _day(first: date, day: int, beats: Mapping[int, Sequence[BeatLine]]) -> Markup:
    place = first.weekday() + day - 1
    x, y = place % 7 * CELL + CELL // 2, HEAD + place // 7 * ROW
    number = Markup('<text class="{}" x="{}" y="{}">{}</text>').format(
        "day busy" if day in beats else "day", x, y + 17, day
    )
    shown = beats.get(day, ())[:MOST]
    marks = Markup("").join(
        _mark(beat, x + (n - (len(shown) - 1) / 2) * 14, y + 32) for n, beat in enumerate(shown)
    )
    return number + marks


def _mark(beat: BeatLine, x: float, y: float) -> Markup:
    said = f"{beat.newsletter}, {beat.on.day}: {beat.state}"
    shapes = {
        "kept": Markup('<circle class="kept" cx="{x}" cy="{y}" r="6"/>'),
        "planned": Markup('<circle class="planned" cx="{x}" cy="{y}" r="5.2"/>'),
        "missed": Markup('<path class="missed" d="M{a} {b}l9 9m0-9l-9 9"/>'),
        "skipped": Markup('<path class="skipped" d="M{a} {y}h9"/>'),
    }
    shape = shapes[beat.state].format(x=x, y=y, a=x - 4.5, b=y - 4.5)
    return Markup("<g><title>{}</title>{}</g>").format(said, shape)
