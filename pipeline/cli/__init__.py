"""The command line: arguments → one call → print. Heavy imports wait for the command."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import click

from pipeline import __version__
from pipeline.cli import (
    curate,
    deliver,
    desk,
    issue,
    news,
    operate,
    people,
    reasons,
    report,
    running,
    sales,
)
from pipeline.cli import workspace as files
from pipeline.cli.session import Ordered, Session
from pipeline.cli.show import fault, no_color
from pipeline.errors import AsterismError, Down

INTERRUPTED = 130
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@click.group(cls=Ordered, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="asterism")
@click.option(
    "-C",
    "--workspace",
    type=click.Path(path_type=Path),
    default=None,
    help="Folder with firm.yaml; else ASTERISM_WORKSPACE, else this folder.",
)
@click.option("--as", "actor", default="", metavar="WHO", help="Who acts: a staff key or a name.")
@click.pass_context
def asterism(ctx: click.Context, workspace: Path | None, actor: str) -> None:
    """From industry news to expert letters: gather, curate, compose, send.

    A first round: init, check, gather, stories, issue open, curate export, curate import,
    issue preview, issue approve, deliver.
    """
    if no_color():
        ctx.color = False
    folder = workspace or Path(os.environ.get("ASTERISM_WORKSPACE", "."))
    ctx.obj = Session(folder, actor)


ROOMS = (
    files,
    news,
    curate,
    issue,
    deliver,
    people,
    sales,
    report,
    reasons,
    desk,
    running,
    operate,
)
for commands in ROOMS:
    for command in commands.COMMANDS:
        asterism.add_command(command)


def main() -> None:
    """Run one command and leave with the exit code of the house."""
    try:
        code = asterism.main(prog_name="asterism", standalone_mode=False) or 0
    except AsterismError as error:
        fault(str(error))
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        fault("Stopped.")
        code = INTERRUPTED
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        fault(f"There is no room left for what this command says: {error.strerror}.")
        _say_no_more()
        code = Down.exit_code
    except SystemExit:  # click: the reader of our output has gone, such as `head`
        code = 0
    sys.exit(code)


def _say_no_more() -> None:
    """What still waits to be printed is lost; it must not fail once more at the very end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
