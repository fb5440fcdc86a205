"""Commands for who runs it: backup, restore."""

from __future__ import annotations

import os
from pathlib import Path

import click

from pipeline.cli.session import Session, json_option, pass_session
from pipeline.cli.show import as_json, count, good, quiet, say, title, when


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
    Mails in output/mail and passwords in .env are not in it.
    """
    from pipeline.backup import backup as call

    with session.ports():
        pass  # brings the database up to date, and tells every mistake in the files
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
    person says so: it may have gone out after the backup was taken.
    """
    from pipeline.backup import restore as call

    done = call(session.workspace, os.environ, file, replace=replace)
    if json_out:
        as_json(done)
        return
    title(f"Restored as of {when(done.taken_at)}")
    files = f", {count(len(done.files), 'file')}" if done.files else "; the files here stay"
    say(f"  {count(done.rows, 'row')}{files}")
    if done.kept:
        say(f"  what was here is in {done.kept}")
    say("What came later is not in it: who left since then, what was written, what went out.")
    if done.held:
        say("These were due, and nothing of them goes out until you say so:")
        for ref in done.held:
            say(f"  {ref}")
        say("For each: let it go, or stop it because it went out already.")
        say(quiet(f"  asterism deliver allow {done.held[0]}"))
        say(quiet(f"  asterism issue stop {done.held[0]} --reason “went out before the restore”"))
    else:
        say(good("Nothing was due."))
    say(quiet("  asterism status"))


COMMANDS = (backup, restore)
