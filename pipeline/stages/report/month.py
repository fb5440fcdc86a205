"""A month's page for each constellation, written where people find it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pipeline.errors import BadInput
from pipeline.model.sales import Coverage, MonthReport
from pipeline.ports import Ports
from pipeline.rules.reports.page import front, page
from pipeline.rules.reports.table import as_csv
from pipeline.stages.report.coverage import bounds, coverage, next_month

#: So many stories stand on a page.
STORIES = 10


@dataclass(frozen=True, slots=True)
class Written:
    """What was written."""

    reports: Sequence[MonthReport]
    paths: Sequence[Path]  #: pages, tables, and last the month's index


def month_reports(
    ports: Ports, constellation_key: str = "", month: date | None = None
) -> tuple[MonthReport, ...]:
    """A month of one constellation, or of each: the numbers of `coverage`, and what lies behind.

    Shape:  month is any day of it, this month when None
    Raises: NotFound; BadInput when the month has not begun
    """
    covered = coverage(ports, constellation_key, month)
    return tuple(_report(ports, one) for one in covered)


def write_report(ports: Ports, constellation_key: str = "", month: date | None = None) -> Written:
    """Write a month's pages and tables below output/reports/YYYY-MM, and the month's index.

    The same month again gives the same bytes, unless the ledger knows more of it by then.
    The index lists what is there, whenever it was written.

    Raises: NotFound; BadInput when the month has not begun; Down when it cannot be written
    """
    reports = month_reports(ports, constellation_key, month)
    if ports.papers is None:
        return Written(reports, ())
    files: dict[str, bytes] = {}
    for folder in sorted({f"{one.coverage.month:%Y-%m}" for one in reports}):
        own = [one for one in reports if f"{one.coverage.month:%Y-%m}" == folder]
        for one in own:
            key = one.coverage.constellation_key
            files[f"{folder}/{key}.html"] = page(one)
            files[f"{folder}/{key}.csv"] = as_csv(one)
        first = own[0].coverage.month
        listed = _listed(ports, folder, own)
        files[f"{folder}/index.html"] = front(first, ports.catalog.firm.name, listed)
    return Written(reports, ports.papers.write(files))


def _listed(ports: Ports, folder: str, own: Sequence[MonthReport]) -> Sequence[MonthReport]:
    """Those of this run, and those whose pages lie there already, in the order of the files."""
    made = {one.coverage.constellation_key: one for one in own}
    there = ports.papers.listed(folder) if ports.papers else ()
    month = own[0].coverage.month
    for constellation in ports.catalog.constellations:
        key = constellation.key
        if key not in made and f"{key}.html" in there:
            (made[key],) = month_reports(ports, key, month)
    return [made[one.key] for one in ports.catalog.constellations if one.key in made]


def _report(ports: Ports, covered: Coverage) -> MonthReport:
    key, firm, now = covered.constellation_key, ports.catalog.firm, ports.clock.now()
    first, start, end = bounds(ports.catalog.find_constellation(key), covered.month, now)
    if start > now:
        raise BadInput(
            f"{first:%B %Y} has not begun; there is nothing to report.",
            "Name a month that has, as in --month 2027-03.",
        )
    with ports.store.read() as tables:
        return MonthReport(
            coverage=covered,
            beats=tuple(tables.reports.beats(key, first, next_month(first))),
            letters=tables.reports.letters(key, start, end),
            stories=tuple(tables.reports.stories(key, start, end, STORIES)),
            firm_name=firm.name,
            owners={one.key: one.name for one in firm.staff},
            is_over=end <= now,
        )
