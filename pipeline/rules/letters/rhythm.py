"""When issues go out: our own arithmetic on local dates in a named zone."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import count, groupby
from typing import Literal
from zoneinfo import ZoneInfo

from pipeline.model.catalog import Newsletter, Rhythm
from pipeline.model.letters import Beat

LateDecision = Literal["due", "send_late", "missed"]

#: A scheduler that looks within this time after a beat is on time.
ON_TIME = timedelta(hours=1)

_DAY = timedelta(days=1)


def beats(rhythm: Rhythm, holidays: Collection[date], start: date, end: date) -> Iterator[Beat]:
    """The beats that fall on start ≤ day < end, in order, each day at most once.

    Months are clamped to their end, so "day 31" keeps every month. A beat on a holiday moves
    to the next day that is none, or the one before; beats that would meet on one day
    become one. What the policy `skip` leaves out comes from `skipped`.

    Shape:  windows may be split anywhere without changing the beats
    Units:  days are local to the rhythm's zone, due_at is aware UTC
    """
    off = frozenset(holidays)
    for on, group in groupby(_moved(rhythm, off, start, end), key=lambda move: move[1]):
        if start <= on < end:
            yield _beat(rhythm, on, [planned for planned, _ in group])


def next_beat(rhythm: Rhythm, holidays: Collection[date], after: date) -> Beat:
    """The first beat on a day later than `after`."""
    return next(beats(rhythm, holidays, after + _DAY, date.max))


def not_before(newsletter: Newsletter, now: datetime, *, begun: bool) -> datetime:
    """A beat that gets an issue lies after this.

    A new newsletter has missed nothing: it begins with a beat whose issue can still be written,
    or, where it composes itself, still be reviewed.

    Shape:  begun says that beats of it are on record
    """
    if begun:
        return now
    hours = newsletter.cut_off_h
    if newsletter.mode == "automatic":
        hours = min(hours, newsletter.review_window_h)
    return now + timedelta(hours=hours)


def skipped(rhythm: Rhythm, holidays: Collection[date], start: date, end: date) -> Iterator[Beat]:
    """The beats that a holiday takes away under the policy `skip`, with that as their note."""
    if rhythm.on_holiday != "skip":
        return
    off = frozenset(holidays)
    for day in _planned(rhythm, start, end):
        if day in off:
            due_at, _ = instant(rhythm, day)
            yield Beat(day, due_at, day, f"{_say(day)} is a holiday: no issue")


def late_decision(rhythm: Rhythm, beat: Beat, now: datetime) -> LateDecision:
    """Whether a beat that nobody has served yet still goes out.

    Units: now is aware; an hour's delay still counts as due
    """
    late_by = now - beat.due_at
    if late_by <= ON_TIME:
        return "due"
    if rhythm.late == "send" and late_by <= timedelta(hours=rhythm.late_within_h):
        return "send_late"
    return "missed"


def latest(rhythm: Rhythm, due_at: datetime) -> datetime:
    """Until when a beat that is due then may still be served."""
    late = timedelta(hours=rhythm.late_within_h) if rhythm.late == "send" else ON_TIME
    return due_at + max(late, ON_TIME)


def instant(rhythm: Rhythm, on: date) -> tuple[datetime, str]:
    """(aware UTC instant of the rhythm's time on a local day, how its clock was settled).

    A time that the clock leaps over becomes the first instant after the gap; of a time that
    comes twice the first is meant.

    Source: PEP 495 (fold)
    """
    zone = ZoneInfo(rhythm.zone)
    local = datetime.combine(on, rhythm.at)
    first = local.replace(tzinfo=zone, fold=0)
    second = local.replace(tzinfo=zone, fold=1)
    if first.utcoffset() == second.utcoffset():
        return first.astimezone(UTC), ""
    if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == local:
        return first.astimezone(UTC), (
            f"{local:%H:%M} comes twice on {_say(on)} in {rhythm.zone}: the first is meant"
        )
    leap = _leap(second.astimezone(UTC), first.astimezone(UTC), zone)
    return leap, (
        f"{local:%H:%M} does not exist on {_say(on)} in {rhythm.zone}: "
        f"{leap.astimezone(zone):%H:%M} instead"
    )


def _leap(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first instant in (before, after] that has the later one's offset."""
    new = after.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == new:
            after = middle
        else:
            before = middle
    return after


def _moved(
    rhythm: Rhythm, off: frozenset[date], start: date, end: date
) -> Iterator[tuple[date, date]]:
    """(planned, where holidays move it): all that may land in the window, both ascending."""
    while start > date.min and start - _DAY in off:
        start -= _DAY
    while end < date.max and end in off:
        end += _DAY
    for planned in _planned(rhythm, start, end):
        on = _move(rhythm, off, planned)
        if on is not None:
            yield planned, on


def _move(rhythm: Rhythm, off: frozenset[date], planned: date) -> date | None:
    if planned not in off:
        return planned
    if rhythm.on_holiday == "skip":
        return None
    if rhythm.on_holiday == "before":
        earlier = planned
        while earlier in off:
            earlier -= _DAY
        if earlier >= rhythm.anchor:
            return earlier
    later = planned
    while later in off:
        later += _DAY
    return later


def _beat(rhythm: Rhythm, on: date, planned: list[date]) -> Beat:
    """One beat for all that were planned for, or moved to, this day: the nearest stands."""
    nearest = min(planned, key=lambda day: abs(day - on))
    due_at, clock = instant(rhythm, on)
    notes = []
    if nearest != on:
        notes.append(f"{_say(nearest)} is a holiday: moved to {_say(on)}")
    notes += [f"the beat of {_say(day)} falls on the same day" for day in planned if day != nearest]
    if clock:
        notes.append(clock)
    return Beat(on, due_at, nearest, "; ".join(notes))


def _planned(rhythm: Rhythm, start: date, end: date) -> Iterator[date]:
    """Days of the rhythm in start ≤ day < end, before holidays move them."""
    start = max(start, rhythm.anchor)
    days = _weeks(rhythm, start) if rhythm.cadence == "weekly" else _months(rhythm, start)
    for day in days:
        if day >= end:
            return
        if day >= start:
            yield day


def _weeks(rhythm: Rhythm, start: date) -> Iterator[date]:
    anchor = rhythm.anchor
    weekday = anchor.weekday() if rhythm.weekday is None else rhythm.weekday
    first = anchor.toordinal() + (weekday - anchor.weekday()) % 7
    step = 7 * rhythm.every
    done = max(0, (start.toordinal() - first) // step)
    for ordinal in range(first + done * step, date.max.toordinal() + 1, step):
        yield date.fromordinal(ordinal)


def _months(rhythm: Rhythm, start: date) -> Iterator[date]:
    step = rhythm.every * (3 if rhythm.cadence == "quarterly" else 1)
    first = _month_number(rhythm.anchor)
    done = max(0, (_month_number(start) - first) // step)
    for number in count(first + done * step, step):
        year, month = divmod(number, 12)
        if year > date.max.year:
            return
        yield _day_of_month(rhythm, year, month + 1)


def _month_number(day: date) -> int:
    return day.year * 12 + day.month - 1


def _day_of_month(rhythm: Rhythm, year: int, month: int) -> date:
    weekday_of_first, length = monthrange(year, month)
    if rhythm.weekday is None:
        day = rhythm.day or rhythm.anchor.day
        return date(year, month, length if day == -1 else min(day, length))
    first = 1 + (rhythm.weekday - weekday_of_first) % 7
    last = first + (length - first) // 7 * 7
    nth = rhythm.nth or 1
    return date(year, month, last if nth == -1 else min(first + (nth - 1) * 7, last))


def _say(day: date) -> str:
    return f"{day.day} {day:%B %Y}"
