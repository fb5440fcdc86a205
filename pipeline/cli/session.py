"""What every command shares: which workspace, who acts, and how to open the ports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.show import Bar

if TYPE_CHECKING:
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
