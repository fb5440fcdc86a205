"""What every command shares: which workspace, who acts, and how to open the ports."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.show import Bar, say

if TYPE_CHECKING:
    from pipeline.errors import Mistake
    from pipeline.ports import Ports


@dataclass(frozen=True, slots=True)
class Session:
    """One call of the command line."""

    workspace: Path
    actor: str = ""

    @contextmanager
    def ports(self) -> Iterator[Ports]:
        """The ports of this workspace, its rows in line with its files."""
        from pipeline.stages.adopt import adopt
        from pipeline.wiring import open_ports

        bar = Bar()
        try:
            with open_ports(self.workspace, actor=self.actor, progress=bar) as ports:
                adopt(ports)
                yield ports
        finally:
            bar.close()

    @contextmanager
    def ports_despite_mistakes(self) -> Iterator[Ports]:
        """As ports(), for what people may ask of us, backups and a stop, which send nothing.

        Neither may wait until somebody mends a file: a mistake is told on standard error, and
        the rows stay as the last good files left them.
        """
        from pipeline.stages.adopt import adopt
        from pipeline.wiring import open_despite_mistakes

        bar = Bar()
        try:
            with open_despite_mistakes(self.workspace, actor=self.actor, progress=bar) as (
                ports,
                mistakes,
            ):
                if mistakes:
                    say(f"{mistaken(mistakes)} This goes on all the same; {NAMED}", to_err=True)
                if not mistakes_in_files(mistakes):
                    adopt(ports)
                yield ports
        finally:
            bar.close()


#: What follows on a word of mistakes.
NAMED = "`asterism check` names them."
_SETTINGS = (".env", "environment")


def mistakes_in_files(mistakes: Sequence[Mistake]) -> bool:
    """Whether one of them stands in what people write down, not in a setting."""
    return any(mistake.file not in _SETTINGS for mistake in mistakes)


def mistaken(mistakes: Sequence[Mistake]) -> str:
    """`There are 3 mistakes in feeds.yaml and .env.`"""
    names = [
        "the environment" if name == "environment" else name
        for name in dict.fromkeys(mistake.file for mistake in mistakes)
    ]
    where = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    is_, what = ("is", "a mistake") if len(mistakes) == 1 else ("are", f"{len(mistakes)} mistakes")
    return f"There {is_} {what} in {where}."


class Ordered(click.Group):
    """Lists commands in the order in which one meets them, not by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


pass_session = click.make_pass_decorator(Session)


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--json`: one document for a machine instead of words for a person."""
    return click.option("--json", "json_out", is_flag=True, help="Print JSON for a machine.")(
        command
    )
