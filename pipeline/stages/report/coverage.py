"""Reports: which accounts were touched in a month, and which were not."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from fractions import Fraction
from zoneinfo import ZoneInfo

from pipeline.model.catalog import Constellation
from pipeline.model.sales import Coverage
from pipeline.ports import Ports


def coverage(
    ports: Ports, constellation_key: str = "", month: date | None = None
) -> tuple[Coverage, ...]:
    """Who was touched in a month, by machine and by hand, and who was not.

    A month begins and ends where the constellation's newsletters live.

    Shape:  one Coverage per constellation, or of the one that is named; month is any day
            of it, this month when None
    Raises: NotFound
    """
    chosen = _chosen(ports, constellation_key)
    with ports.store.read() as tables:
        reports = []
        for constellation in chosen:
            first, start, end = bounds(constellation, month, ports.clock.now())
            kept, planned = tables.sales.beats_between(constellation.key, first, next_month(first))
            reports.append(
                Coverage(
                    constellation_key=constellation.key,
                    constellation_name=constellation.name,
                    month=first,
                    accounts=tuple(tables.sales.coverage(constellation.key, start, end)),
                    buyers_per_month=buyers_per_month(constellation),
                    beats_kept=kept,
                    beats_planned=planned,
                )
            )
    return tuple(reports)


def buyers_per_month(constellation: Constellation) -> Fraction:
    """How many of these accounts may be expected to buy in any month, exactly.

    600 accounts that buy once a year are 50 a month.
    """
    per_year = (
        constellation.purchases_per_year if a.purchases_per_year is None else a.purchases_per_year
        for a in constellation.accounts
    )
    return sum(per_year, Fraction(0)) / 12


def _chosen(ports: Ports, key: str) -> tuple[Constellation, ...]:
    if not key:
        return ports.catalog.constellations
    return (ports.catalog.find_constellation(key),)


def bounds(
    constellation: Constellation, month: date | None, now: datetime
) -> tuple[date, datetime, datetime]:
    """A month's first day, and when it begins and ends where the letters live.

    Shape:  month is any day of it, this month when None
    """
    zones = [newsletter.rhythm.zone for newsletter in constellation.newsletters]
    zone = ZoneInfo(zones[0]) if zones else ZoneInfo("UTC")
    first = (month or now.astimezone(zone).date()).replace(day=1)
    start, end = (
        datetime.combine(day, time(), zone).astimezone(UTC) for day in (first, next_month(first))
    )
    return first, start, end


def next_month(first: date) -> date:
    """The first day after a month."""
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)
