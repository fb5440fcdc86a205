"""Beats against two independent references: dateutil's rrule, and a day-by-day scan."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from dateutil import rrule
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model.catalog import Rhythm
from pipeline.rules.letters.rhythm import beats, instant, late_decision, next_beat, skipped

DAY = timedelta(days=1)
START, END = date(2024, 1, 1), date(2041, 1, 1)
ZONES = (
    "Europe/Oslo", "America/New_York", "America/Sao_Paulo", "Asia/Kolkata", "Asia/Kathmandu",
    "Australia/Lord_Howe", "Pacific/Apia", "Pacific/Chatham", "Africa/Casablanca",
    "America/St_Johns",
    "Asia/Tehran", "America/Santiago", "Europe/Dublin", "Antarctica/Troll", "UTC",
)  # fmt: skip

#: The machine may be busy; no property is about time.
untimed = settings(deadline=None)

# ── strategies ───────────────────────────────────────────────────────────────────────────

days = st.dates(START, date(2040, 12, 31))
clocks = st.times().map(lambda t: t.replace(second=0, microsecond=0, tzinfo=None))


@st.composite
def rhythms(draw: st.DrawFn) -> Rhythm:
    cadence = draw(st.sampled_from(("weekly", "monthly", "quarterly")))
    weekday = nth = day = None
    if cadence == "weekly" or draw(st.booleans()):
        weekday = draw(st.integers(0, 6))
        nth = None if cadence == "weekly" else draw(st.sampled_from((1, 2, 3, 4, 5, -1)))
    else:
        day = draw(st.sampled_from((-1, *range(1, 32))))
    return Rhythm(
        cadence=cadence,
        zone=draw(st.sampled_from(ZONES)),
        at=draw(clocks),
        anchor=draw(st.dates(START, date(2030, 12, 31))),
        every=draw(st.integers(1, 5)),
        weekday=weekday,
        nth=nth,
        day=day,
        on_holiday=draw(st.sampled_from(("skip", "before", "after"))),
    )


@st.composite
def holiday_sets(draw: st.DrawFn, rhythm: Rhythm) -> frozenset[date]:
    """Lone days, long runs, and days that the rhythm is sure to hit."""
    free = draw(st.sets(days, max_size=8))
    hit = draw(st.sets(st.sampled_from(list(islice(by_rrule(rhythm, END), 20)) or [START])))
    runs = draw(st.lists(st.tuples(st.sampled_from(sorted(hit | {START})), st.integers(1, 45))))
    return frozenset(
        free | hit | {first + DAY * n for first, length in runs for n in range(length)}
    )


# ── the references ───────────────────────────────────────────────────────────────────────


def by_rrule(rhythm: Rhythm, end: date) -> Iterator[date]:
    """dateutil's dates. Its months skip what they lack, so the clamped ones ask for a set."""
    midnight = datetime.combine(rhythm.anchor, time())
    until = datetime.combine(end - DAY, time())
    if rhythm.cadence == "weekly":
        assert rhythm.weekday is not None
        first = midnight + DAY * ((rhythm.weekday - midnight.weekday()) % 7)
        rule = rrule.rrule(rrule.WEEKLY, first, rhythm.every, until=until)
        return (moment.date() for moment in rule)
    step = rhythm.every * (3 if rhythm.cadence == "quarterly" else 1)
    if rhythm.weekday is not None:
        which = rhythm.nth if rhythm.nth != 5 else -1  # the fifth, or else the last: the last
        picks = {"byweekday": rrule.weekday(rhythm.weekday)(which)}
    elif rhythm.day == -1:
        picks = {"bymonthday": -1}
    else:
        picks = {"bymonthday": tuple(range(1, rhythm.day + 1)), "bysetpos": -1}
    rule = rrule.rrule(rrule.MONTHLY, midnight.replace(day=1), step, until=until, **picks)
    return (moment.date() for moment in rule if moment.date() >= rhythm.anchor)


def is_planned(rhythm: Rhythm, day: date) -> bool:
    """Asked of every single day, without arithmetic on periods."""
    if day < rhythm.anchor:
        return False
    if rhythm.cadence == "weekly":
        monday_of_day = day - DAY * day.weekday()
        first = next(
            rhythm.anchor + DAY * n for n in range(7)
            if (rhythm.anchor + DAY * n).weekday() == rhythm.weekday
        )  # fmt: skip
        weeks = (monday_of_day - (first - DAY * first.weekday())).days // 7
        return day.weekday() == rhythm.weekday and weeks % rhythm.every == 0
    months = (day.year - rhythm.anchor.year) * 12 + day.month - rhythm.anchor.month
    if months % (rhythm.every * (3 if rhythm.cadence == "quarterly" else 1)):
        return False
    length = monthrange(day.year, day.month)[1]
    if rhythm.weekday is None:
        return day.day == (length if rhythm.day == -1 else min(rhythm.day or 0, length))
    same = [n for n in range(1, length + 1) if day.replace(day=n).weekday() == rhythm.weekday]
    return day.day == (same[-1] if rhythm.nth in (-1, 5) else same[(rhythm.nth or 0) - 1])


def by_scan(rhythm: Rhythm, holidays: frozenset[date], start: date, end: date) -> list[date]:
    """Where every planned day ends up, walking one day at a time."""
    found = set()
    day = start - DAY * 400
    while day < end + DAY * 400:
        if is_planned(rhythm, day):
            to = day
            while to in holidays and rhythm.on_holiday == "before":
                to -= DAY
            if to < rhythm.anchor:
                to = day
            while to in holidays and rhythm.on_holiday != "skip":
                to += DAY
            if to not in holidays:
                found.add(to)
        day += DAY
    return sorted(day for day in found if start <= day < end)


# ── properties ───────────────────────────────────────────────────────────────────────────


@untimed
@given(rhythms())
def test_dates_are_those_of_rrule(rhythm: Rhythm) -> None:
    found = list(beats(rhythm, (), START, END))
    assert [beat.on for beat in found] == list(by_rrule(rhythm, END))
    assert all(beat.planned_on == beat.on for beat in found)


@settings(untimed, max_examples=60)
@given(st.data())
def test_holidays_move_beats_as_a_walk_through_the_days_does(data: st.DataObject) -> None:
    rhythm = data.draw(rhythms())
    holidays = data.draw(holiday_sets(rhythm))
    start = data.draw(st.dates(START, date(2034, 1, 1)))
    end = start + DAY * data.draw(st.integers(0, 700))
    found = list(beats(rhythm, holidays, start, end))
    assert [beat.on for beat in found] == by_scan(rhythm, holidays, start, end)
    assert not holidays.intersection(beat.on for beat in found)
    assert all(a.on < b.on and a.due_at < b.due_at for a, b in pairwise(found))
    assert all(beat.on >= rhythm.anchor for beat in found)
    assert all(beat.note for beat in found if beat.on != beat.planned_on)


@untimed
@given(rhythms())
def test_every_period_has_exactly_one_beat(rhythm: Rhythm) -> None:
    found = [beat.on for beat in beats(rhythm, (), START, END)]
    if rhythm.cadence == "weekly":
        assert all(b - a == DAY * 7 * rhythm.every for a, b in pairwise(found))
    else:
        step = rhythm.every * (3 if rhythm.cadence == "quarterly" else 1)
        months = [day.year * 12 + day.month for day in found]
        assert all(b - a == step for a, b in pairwise(months))
    assert found, "a rhythm never falls silent"


@untimed
@given(st.data())
def test_a_window_may_be_split_anywhere(data: st.DataObject) -> None:
    rhythm = data.draw(rhythms())
    holidays = data.draw(holiday_sets(rhythm))
    start, middle, end = sorted(data.draw(st.tuples(days, days, days)))
    whole = list(beats(rhythm, holidays, start, end))
    halves = [*beats(rhythm, holidays, start, middle), *beats(rhythm, holidays, middle, end)]
    assert halves == whole


@untimed
@given(st.data())
def test_the_next_beat_is_the_first_of_those_that_follow(data: st.DataObject) -> None:
    rhythm = data.draw(rhythms())
    holidays = data.draw(holiday_sets(rhythm))
    after = data.draw(days)
    following = beats(rhythm, holidays, after + DAY, after + DAY * 366 * 20)
    assert next_beat(rhythm, holidays, after) == next(following)


@untimed
@given(rhythms(), days)
def test_the_wall_clock_shows_the_agreed_time_except_in_gaps(rhythm: Rhythm, on: date) -> None:
    due_at, note = instant(rhythm, on)
    wall = due_at.astimezone(ZoneInfo(rhythm.zone))
    assert due_at.utcoffset() == timedelta()
    assert ((wall.date(), wall.time()) == (on, rhythm.at)) != ("does not exist" in note)


def clock_changes(zone: ZoneInfo) -> Iterator[date]:
    """Local days on which the offset at midnight differs from the next day's."""
    day = START
    while day < END:
        midnights = [datetime.combine(day + DAY * n, time(), zone).utcoffset() for n in (0, 1)]
        if midnights[0] != midnights[1]:
            yield day
        day += DAY


@pytest.mark.parametrize("name", ZONES)
def test_every_quarter_hour_of_the_days_when_clocks_change(name: str) -> None:
    """Against a clock that is watched from five minutes to five minutes."""
    zone = ZoneInfo(name)
    changes = list(clock_changes(zone))
    assert changes or name in ("UTC", "Asia/Kolkata", "Asia/Kathmandu", "Asia/Tehran",
                               "America/Sao_Paulo", "Pacific/Apia")  # fmt: skip
    for day in changes:
        start = datetime.combine(day - DAY, time(), UTC)
        ticks = [start + timedelta(minutes=5 * n) for n in range(3 * 288)]
        watched = [(tick.astimezone(zone).replace(tzinfo=None), tick) for tick in ticks]
        for quarter in range(96):
            agreed = datetime.combine(day, time(quarter // 4, quarter % 4 * 15))
            shown = [tick for wall, tick in watched if wall == agreed]
            later = [tick for wall, tick in watched if wall > agreed]
            rhythm = Rhythm("weekly", name, agreed.time(), day)
            due_at, note = instant(rhythm, day)
            assert due_at == (shown or later)[0], (day, agreed)
            assert len(shown) == (0 if "not exist" in note else 2 if "twice" in note else 1)


@untimed
@given(st.data())
def test_what_skip_leaves_out_is_told(data: st.DataObject) -> None:
    rhythm = replace(data.draw(rhythms()), on_holiday="skip")
    holidays = data.draw(holiday_sets(rhythm))
    left_out = list(skipped(rhythm, holidays, START, END))
    kept = [beat.on for beat in beats(rhythm, holidays, START, END)]
    assert sorted([*kept, *(beat.on for beat in left_out)]) == list(by_rrule(rhythm, END))
    assert all(beat.on in holidays and "holiday" in beat.note for beat in left_out)


# ── single cases, by hand ────────────────────────────────────────────────────────────────

OSLO = Rhythm("weekly", "Europe/Oslo", time(2, 30), date(2027, 1, 3), weekday=6)


def test_a_time_in_the_gap_goes_to_the_first_instant_after_it() -> None:
    beat = next_beat(OSLO, (), date(2027, 3, 27))
    assert beat.due_at == datetime(2027, 3, 28, 1, 0, tzinfo=UTC)
    assert beat.note == ("02:30 does not exist on 28 March 2027 in Europe/Oslo: 03:00 instead")


def test_of_a_time_that_comes_twice_the_first_is_meant() -> None:
    beat = next_beat(OSLO, (), date(2027, 10, 30))
    assert beat.due_at == datetime(2027, 10, 31, 0, 30, tzinfo=UTC)
    assert beat.note == "02:30 comes twice on 31 October 2027 in Europe/Oslo: the first is meant"


def test_a_half_hour_gap() -> None:
    lord_howe = replace(OSLO, zone="Australia/Lord_Howe", at=time(2, 10))
    beat = next_beat(lord_howe, (), date(2027, 10, 2))
    assert beat.due_at == datetime(2027, 10, 2, 15, 30, tzinfo=UTC)
    assert "02:30 instead" in beat.note


def test_every_second_week_does_not_stumble_over_a_year_of_53_weeks() -> None:
    fortnight = replace(OSLO, every=2, anchor=date(2026, 12, 1), weekday=3)
    found = [beat.on for beat in beats(fortnight, (), date(2026, 12, 1), date(2027, 2, 1))]
    assert found == [
        date(2026, 12, 3), date(2026, 12, 17), date(2026, 12, 31),
        date(2027, 1, 14), date(2027, 1, 28),
    ]  # fmt: skip


def test_day_31_keeps_every_month() -> None:
    monthly = Rhythm("monthly", "UTC", time(8), date(2028, 1, 1), day=31)
    found = [beat.on.isoformat() for beat in beats(monthly, (), date(2028, 1, 1), date(2028, 7, 1))]
    assert found == ["2028-01-31", "2028-02-29", "2028-03-31", "2028-04-30", "2028-05-31",
                     "2028-06-30"]  # fmt: skip


def test_a_quarter_is_counted_from_the_anchor_s_month() -> None:
    quarterly = Rhythm("quarterly", "UTC", time(8), date(2027, 2, 20), day=15)
    found = [beat.on.isoformat() for beat in beats(quarterly, (), START, date(2028, 3, 1))]
    assert found == ["2027-05-15", "2027-08-15", "2027-11-15", "2028-02-15"]


def test_beats_that_meet_become_one_and_say_so() -> None:
    week = frozenset(date(2027, 12, 23) + DAY * n for n in range(7))
    thursdays = Rhythm("weekly", "UTC", time(8), date(2027, 1, 7), weekday=3)
    found = list(beats(thursdays, week, date(2027, 12, 17), date(2028, 1, 5)))
    assert [beat.on for beat in found] == [date(2027, 12, 30)]
    assert found[0].note == "the beat of 23 December 2027 falls on the same day"
    assert found[0].planned_on == date(2027, 12, 30)


def test_a_holiday_at_the_anchor_never_moves_a_beat_before_it() -> None:
    fridays = Rhythm("weekly", "UTC", time(8), date(2027, 1, 1), weekday=4, on_holiday="before")
    first = next_beat(fridays, [date(2027, 1, 1)], date(2026, 12, 1))
    assert (first.on, first.planned_on) == (date(2027, 1, 2), date(2027, 1, 1))
    assert first.note == "1 January 2027 is a holiday: moved to 2 January 2027"


@pytest.mark.parametrize(
    ("late", "hours", "decision"),
    [
        ("send", -5, "due"), ("send", 0, "due"), ("send", 1, "due"), ("send", 1.1, "send_late"),
        ("send", 24, "send_late"), ("send", 24.1, "missed"), ("skip", 1, "due"),
        ("skip", 1.1, "missed"),
    ],
)  # fmt: skip
def test_a_late_beat_follows_its_policy(late: str, hours: float, decision: str) -> None:
    rhythm = replace(OSLO, late=late)
    beat = next_beat(rhythm, (), date(2027, 5, 1))
    assert late_decision(rhythm, beat, beat.due_at + timedelta(hours=hours)) == decision
