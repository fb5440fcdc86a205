"""Commands for who runs it: doctor, backup, restore."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.session import Session, json_option, mistaken, pass_session
from pipeline.cli.show import as_json, bad, count, good, quiet, say, title, when

if TYPE_CHECKING:
    from pipeline.backup import Restored
    from pipeline.model.checkup import Check
    from pipeline.ports import Names

SIGNS = {"good": good("✓"), "doubtful": "!", "bad": bad("✗"), "unknown": quiet("?")}


@click.command()
@click.option(
    "--answers", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
    help="Take the DNS records from a file, as `dig +noall +answer` prints them.",
)  # fmt: skip
@click.option("--no-dns", is_flag=True, help="Do not ask the domain name system.")
@json_option
@pass_session
def doctor(session: Session, answers: Path | None, no_dns: bool, json_out: bool) -> int:
    """Look it all over: what is wrong, and how to mend it.

    Settings, files, disk, clock, database, transport, the sender's DNS records.
    Changes nothing and sends nothing. Ends with 1 when something is bad.
    """
    from pipeline.stages.doctor import worst
    from pipeline.wiring import LazyNames

    names = None if no_dns else _given(answers) if answers else LazyNames()
    checks = _looked_over(session, names)
    if json_out:
        as_json(checks)
    else:
        _show_checks(checks)
    return 1 if worst(checks) == "bad" else 0


def _given(answers: Path) -> Names:
    from pipeline.resolvers.dns import read_answers

    return read_answers(answers)


def _looked_over(session: Session, names: Names | None) -> Sequence[Check]:
    """Every check; while the database is away, those that need none."""
    from pipeline.errors import Down
    from pipeline.stages.doctor import examine, examine_without_store
    from pipeline.wiring import open_without_store
    from pipeline.workspace.environment import load_settings
    from pipeline.workspace.machine import look

    settings = load_settings(session.workspace, os.environ)
    machine = look(settings)
    try:
        with session.ports() as ports:
            return examine(ports, machine, names=names)
    except Down as why:
        firm, transport, clock = open_without_store(settings)
        return examine_without_store(firm, transport, machine, why, clock.now(), names=names)


def _show_checks(checks: Sequence[Check]) -> None:
    area = ""
    for check in checks:
        if check.area != area:
            area = check.area
            title(area)
        say(f"  {SIGNS[check.verdict]} {check.what}")
        if check.mend:
            say(quiet(f"    {check.mend}"))
    bads = sum(check.verdict == "bad" for check in checks)
    doubts = sum(check.verdict == "doubtful" for check in checks)
    if bads:
        say(bad(f"{count(bads, 'thing')} must be mended before letters go out."))
    elif doubts:
        say(f"Nothing is wrong; {count(doubts, 'thing')} could be better.")
    else:
        say(good("All is well."))


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--keep", type=click.IntRange(min=0), default=0, metavar="N",
    help="Keep the newest N backups in output/backups, take older ones away; 0 keeps all.",
)  # fmt: skip
@json_option
@pass_session
def backup(session: Session, file: Path | None, keep: int, json_out: bool) -> None:
    """Write the whole workspace into one file, while everything runs.

    It holds people's addresses and the secret: keep it as you keep a key, on another machine.
    Mails in output/mail and passwords in .env are not in it. A mistake in a file or a setting
    is told and stops nothing: the files go in as they lie there.
    """
    from pipeline.backup import backup as call

    with session.ports_despite_mistakes():
        pass  # brings the database up to date, and tells of mistakes
    done = call(session.workspace, os.environ, file, keep=keep)
    if json_out:
        as_json(done)
        return
    title(f"{done.path}")
    say(f"  {count(done.rows, 'row')} of {count(done.tables, 'table')}, "
        f"{count(done.files, 'file')}, {max(1, round(done.size_bytes / 1024)):,} KB")  # fmt: skip
    if done.removed:
        say(quiet(f"  taken away: {', '.join(done.removed)}"))
    say("It holds addresses and the secret: keep it as you keep a key, on another machine.")
    say(quiet(f"  asterism -C NEWFOLDER restore {done.path}"))


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Replace the rows that are here; they are backed up.")
@json_option
@pass_session
def restore(session: Session, file: Path, replace: bool, json_out: bool) -> None:
    """Bring a backup back: all of it, or nothing.

    Into an empty folder go the files, too. What was due before this moment stays here until a
    person says so: it may have gone out after the backup was taken. Who left or was erased
    after that is remembered only by the rows that are here, with --replace.
    """
    from pipeline.backup import restore as call

    done = call(session.workspace, os.environ, file, replace=replace)
    if json_out:
        as_json(done)
        return
    _show_restored(done)


def _show_restored(done: Restored) -> None:
    title(f"Restored as of {when(done.taken_at)}")
    files = f", {count(len(done.files), 'file')}" if done.files else "; the files here stay"
    say(f"  {count(done.rows, 'row')}{files}")
    if done.kept:
        _show_replaced(done)
    else:
        _show_forgotten(done)
    if done.held:
        say("These were due, and nothing of them goes out until you say so:")
        for ref in done.held:
            say(f"  {ref}")
        say("For each: let it go, or say that it went out already.")
        say(quiet(f"  asterism deliver allow {done.held[0]}"))
        say(quiet(f"  asterism deliver allow {done.held[0]} --went-out"))
    else:
        say(good("Nothing was due."))
    if done.mistakes:
        came = {mistake.file for mistake in done.mistakes} & set(done.files)
        how = " So the files lay in the backup." if came else ""
        say(bad(f"{mistaken(done.mistakes)}{how} Nothing runs here until that is mended."))
        say(quiet("  asterism check"))
    say(quiet("  asterism status"))


def _show_replaced(done: Restored) -> None:
    """What the rows that were here knew, and still holds."""
    say(f"  what was here is in {done.kept}")
    if done.stopped:
        say("  what ended letters since then stays in force: "
            f"{done.stopped:,} (leaves, complaints, bounces, erasures)")  # fmt: skip
    if done.kept_back:
        say("  what held letters back since then stays in force: "
            f"{done.kept_back:,} (pauses, holds, newsletters not wanted)")  # fmt: skip
    for ref in done.stays_stopped:
        say(f"  {ref} was stopped since then, and stays stopped")
    say("What came later is not in it: what was written, what went out, who left elsewhere.")
    say("Who was erased since then is back in the rows, and gets nothing: erase them again.")


def _show_forgotten(done: Restored) -> None:
    """No rows were here, so nobody knows what people asked for since."""
    say("What came later is not in it: what was written, what went out, and who left, complained,")
    say(f"bounced or was erased after {when(done.taken_at)}. Nothing here remembers them:")
    say(bad("they may be written to again."))
    say("Before anything goes out, do it again for each address that you know of (their mails to")
    say("you, your provider's list of bounces and leaves), and stop again what was stopped.")
    say(quiet("  asterism people suppress ADDRESS"))
    say(quiet("  asterism people erase ADDRESS"))


COMMANDS = (doctor, backup, restore)
