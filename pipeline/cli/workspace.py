"""Commands that set a workspace up and look it over: init, check, schema."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli.session import Session, json_option, pass_session
from pipeline.cli.show import as_json, count, good, quiet, say, title
from pipeline.errors import BadInput


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--sample", is_flag=True, help="The invented firm that `demo` uses, to look around.")
def init(directory: Path, sample: bool) -> None:
    """Make a new workspace: files to fill in, a secret in .env."""
    from pipeline.workspace.starter import OUTPUT
    from pipeline.workspace.starter import init as make

    made = make(directory, sample=sample)
    title(f"A workspace in {directory}")
    tops = {path.relative_to(directory).parts[0] for path in made}
    for name in sorted({*tops, OUTPUT}):
        say(f"  {name}{'/' if (directory / name).is_dir() else ''}")
    say(f"Next: write who you are in {directory / 'firm.yaml'}; then, in that folder:")
    say(quiet("  asterism check"))


@click.command()
@json_option
@pass_session
def check(session: Session, json_out: bool) -> None:
    """Read every file and tell all mistakes at once.

    Also brings the database up to date with the files and with this program. With --json, what
    is wrong is a list of mistakes, each with its file, line and column.
    """
    from pipeline.cli.desk import show_next
    from pipeline.stages.status import status

    try:
        with session.ports() as ports:
            catalog = ports.catalog
            state = status(ports)
    except BadInput as error:
        if json_out:
            as_json({"message": error.message, "hint": error.hint, "mistakes": error.mistakes})
        raise
    if json_out:
        as_json(state)
        return
    say(good("Every file is right."))
    accounts = sum(len(c.accounts) for c in catalog.constellations)
    newsletters = sum(len(c.newsletters) for c in catalog.constellations)
    say(
        f"  {catalog.firm.name}: {count(len(catalog.constellations), 'constellation')}, "
        f"{count(accounts, 'account')}, {count(len(catalog.sources), 'source')}, "
        f"{count(newsletters, 'newsletter')}"
    )
    if state.doubts:
        say("Worth a look before anything goes out:")
        for doubt in state.doubts:
            say(f"  {doubt}")
    show_next(state)


@click.command()
@pass_session
def schema(session: Session) -> None:
    """Write schema/*.json, so that editors complete the files."""
    from pipeline.workspace.files import require_workspace
    from pipeline.workspace.schema import write_schemas

    require_workspace(session.workspace)
    for path in write_schemas(session.workspace):
        say(f"  {path}")


COMMANDS = (init, check, schema)
