"""Commands about a month: coverage in the terminal, the report as a page."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

import click

from pipeline.cli.dates import MONTH
from pipeline.cli.session import Session, json_option, pass_session
from pipeline.cli.show import as_json, count, say, table, title, words

if TYPE_CHECKING:
    from pipeline.model.sales import Coverage


@click.command()
@click.argument("constellation", default="")
@click.option("--month", type=MONTH, default=None, metavar="YYYY-MM", help="This month by default.")
@json_option
@pass_session
def coverage(session: Session, constellation: str, month: datetime | None, json_out: bool) -> None:
    """Accounts touched this month, and those that were not."""
    from pipeline.stages.report import coverage as call

    on: date | None = month.date() if month else None
    with session.ports() as ports:
        reports = call(ports, constellation, on)
    if json_out:
        as_json(reports)
        return
    for report in reports:
        _show_coverage(report)


def _show_coverage(report: Coverage) -> None:
    touched, untouched = report.touched, report.untouched
    title(f"{report.constellation_name}, {report.month:%B %Y}")
    say(
        f"  {len(touched)} of {count(len(report.accounts), 'account')} touched, "
        f"{count(report.beats_kept, 'beat')} kept of {report.beats_planned}, "
        f"{_buyers(report)} expected to buy this month"
    )
    table(
        [(a.name, words(a.relationship), a.owner, a.by_machine, a.by_hand) for a in touched],
        head=("touched", "", "owner", "by machine", "by hand"),
        right=[3, 4],
    )
    if untouched:
        names = ", ".join(account.name for account in untouched)
        say(f"  Not touched ({len(untouched)}): {names}")


def _buyers(report: Coverage) -> str:
    buyers = report.buyers_per_month
    if buyers.denominator == 1:
        return str(buyers)
    return f"{float(buyers):.1f}"


@click.command()
@click.argument("constellation", default="")
@click.option("--month", type=MONTH, default=None, metavar="YYYY-MM", help="This month by default.")
@json_option
@pass_session
def report(session: Session, constellation: str, month: datetime | None, json_out: bool) -> None:
    """Write the month's page, to read or to print, and its table.

    Who was touched and who was not, buyers to expect, beats kept with reasons for the others,
    letters, the stories most told: output/reports/YYYY-MM/KEY.html and KEY.csv, with an index.
    """
    from pipeline.stages.report import write_report

    on: date | None = month.date() if month else None
    with session.ports() as ports:
        written = write_report(ports, constellation, on)
    if json_out:
        as_json(written)
        return
    for one in written.reports:
        said = one.coverage
        say(
            f"{said.constellation_name}, {said.month:%B %Y}: "
            f"{len(said.touched)} of {count(len(said.accounts), 'account')} touched, "
            f"{said.beats_kept} of {count(said.beats_planned, 'beat')} kept"
        )
    for path in written.paths:
        if path.name != "index.html":
            say(f"  {path}")
    for path in written.paths:
        if path.name == "index.html":
            say(f"Open {path}")


COMMANDS = (coverage, report)
