"""Commands about people files: bring one in, list them, take one back whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.session import Session, json_option, pass_session
from pipeline.cli.show import as_json, count, fit, plain, quiet, say, table, title, when

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.model.people import ImportRecord, ImportTally, RowProblem
    from pipeline.stages.people import UndoneImport

MANY = 12  #: rows shown before the rest is counted
BASIS = {"basis": "Legal basis", "basis_source": "Basis source", "basis_date": "Basis date"}


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Count what would happen; change nothing.")
@json_option
@pass_session
def import_(session: Session, file: Path, dry_run: bool, json_out: bool) -> None:
    """Bring in a CSV file of contacts.

    Columns are known by their headers, in any order, and exports of the common CRMs as they
    are: Email, First name, Last name, Company (or the address's domain) tell whose contact it
    is; Job title, Language, Time zone, Opted out are read, too.

    Nobody is mailed without a basis: Legal basis (customer, consent, legitimate interest),
    Basis source (“asked for it on our website”), Basis date. Whoever left stays out. The same
    file twice changes nothing.
    """
    from pipeline.stages.people import import_people

    with session.ports() as ports:
        tally = import_people(ports, file.read_bytes(), str(file), dry_run=dry_run)
    if json_out:
        as_json(tally)
        return
    _show_import(tally, file)


def _show_import(tally: ImportTally, file: Path) -> None:
    title(f"{file.name}: {count(tally.rows, 'row')}")
    table(
        [
            (tally.new, "new"),
            (tally.changed, "changed"),
            (tally.same, "the same as before"),
            (tally.left, "left or opted out: kept, never mailed"),
            (tally.invalid, "not taken"),
        ],
        right=[0],
    )
    _show_rows("Not taken:", tally.problems, file)
    _show_rows("Taken without one cell:", tally.remarks, file)
    if tally.without_basis:
        say(
            f"{count(tally.without_basis, 'contact')} without a basis: never mailed until one "
            "is recorded."
        )
        taken = {name for _, name in tally.columns}
        if lacking := [header for name, header in BASIS.items() if name not in taken]:
            say(f"  The file has no column {', '.join(lacking)}.")
    unread = [header for header, name in tally.columns if header and not name]
    if unread:
        more = f" and {len(unread) - MANY} more" if len(unread) > MANY else ""
        say(quiet(f"Columns not read: {', '.join(unread[:MANY])}{more}"))
    if not tally.applied:
        say(f"Nothing was changed. To bring them in: asterism people import {file}")


def _show_rows(heading: str, rows: Sequence[RowProblem], file: Path) -> None:
    if rows:
        say(heading)
    for row in rows[:MANY]:
        say(f"  {file.name}:{row.line}: {row.column}: {row.what}")
    if len(rows) > MANY:
        say(f"  and {len(rows) - MANY} more; --json lists them all")


@click.command("imports")
@json_option
@pass_session
def imports(session: Session, json_out: bool) -> None:
    """List the people files that were brought in, latest first."""
    from pipeline.stages.people import list_imports

    with session.ports() as ports:
        records = list_imports(ports)
    if json_out:
        as_json(records)
        return
    table(
        [
            (one.public_id[:8], fit(one.name, 40), when(one.at), one.actor, _told(one))
            for one in records
        ],
        head=("import", "file", "when", "by", ""),
    )
    if not records:
        say("No file was brought in yet: asterism people import FILE")


def _told(record: ImportRecord) -> str:
    if record.undone_at:
        return f"undone {when(record.undone_at)}"
    names = ("new", "changed", "same", "left")
    counts = [f"{number} {name}" for name in names if (number := record.tally.get(name))]
    return ", ".join(counts) or "nobody"


@click.command("undo-import")
@click.argument("which", metavar="[IMPORT]", default="")
@click.option("--dry-run", is_flag=True, help="Say what would go; change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@pass_session
def undo_import(session: Session, which: str, dry_run: bool, yes: bool, json_out: bool) -> None:
    """Take back all that one people file did.

    The latest that changed somebody when none is named. Contacts that it brought in are
    removed, or retired where they have had a letter or anything else since. What it changed
    goes back where nobody changed it after that, and its evidence is withdrawn. Opt-outs that
    it brought stay. Says first what it would do, and asks.
    """
    from pipeline.stages.people import undo_import as call

    with session.ports() as ports:
        asks = not yes and not dry_run
        if asks:
            planned = call(ports, which, dry_run=True)
            _ask(planned, json_out)
            which = planned.record.public_id  # what was asked about, whatever came meanwhile
        done = call(ports, which, dry_run=dry_run)
    if json_out:
        as_json({**plain(done), "counts": plain(done.counts)})
        return
    if not asks:
        _show_undone(done)
    if done.applied:
        say("Taken back.")


def _ask(planned: UndoneImport, json_out: bool) -> None:
    """Say what would go, beside the JSON when that is wanted, and wait for a yes."""
    if json_out:
        record = planned.record
        say(f"{record.name}, brought in {when(record.at)} by {record.actor}", to_err=True)
    else:
        _show_undone(planned)
    click.confirm("Take it back?", abort=True, err=True)


def _show_undone(done: UndoneImport) -> None:
    record, counts = done.record, done.counts
    if done.passed_over:
        names = ", ".join(fit(name, 40) for name in done.passed_over[:MANY])
        say(f"Brought in later, and changed nobody: {names}. The latest that did:")
    title(f"{record.name}, brought in {when(record.at)} by {record.actor}")
    rows: list[tuple[Any, str]] = [
        (counts.get("removed", 0), "brought in by it: removed"),
        (
            counts.get("retired", 0),
            "brought in by it and used since, or brought back by it: retired",
        ),
        (counts.get("changed_back", 0), "changed by it: as before"),
        (counts.get("kept", 0), "changed since: kept as they are"),
    ]
    table(rows, right=[0])
    told = [one for one in done.contacts if one.why]
    for one in told[:MANY]:
        say(f"  {one.change.name or one.change.public_id[:8]}: {one.why}")
    if len(told) > MANY:
        say(f"  and {len(told) - MANY} more; --json lists them all")
    if record.tally.get("left"):
        say("Opt-outs that it brought stay: they are people's wishes.")
    if not done.applied:
        say(f"Nothing is changed yet. To do it: asterism people undo-import {record.public_id[:8]}")


COMMANDS = (import_, imports, undo_import)
