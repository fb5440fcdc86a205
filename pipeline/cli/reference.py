"""Writes docs/reference/ from the commands and settings themselves: `make reference`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import click

from pipeline.settings import SETTINGS

CAUTION = "<!-- Written by `make reference`; a test holds it against the program. -->\n"


def commands_page(root: click.Group) -> str:
    """Every command with its arguments and options, as Markdown."""
    lines = [
        "# Commands\n",
        CAUTION,
        "Before the command: `-C DIR` names the workspace, `--as WHO` says who acts. Exit codes: "
        "0 done · 2 something given is wrong · 3 there is no such thing · 4 it changed meanwhile, "
        "or its state does not allow this · 5 the database, the disk or a transport is away · "
        "130 stopped by Ctrl+C.\n",
    ]
    for path, command in _walk(root, "asterism"):
        lines.append(f"## `{path}`\n")
        lines.append(cleandoc(command.help or "").replace("\b\n", "") + "\n")
        context = click.Context(command, info_name=path)
        usage = command.collect_usage_pieces(context)
        lines.append(f"```\n{path} {' '.join(usage)}\n```\n")
        options = [_row(option, context) for option in command.params]
        rows = [row for row in options if row]
        if rows:
            lines.append("\n".join(f"- {row}" for row in rows) + "\n")
    return "\n".join(lines)


def settings_page() -> str:
    """Every environment variable that is read, as Markdown."""
    rows = "\n".join(f"| `{s.name}` | {s.default or 'empty'} | {s.what} |" for s in SETTINGS)
    return (
        f"# Settings\n\n{CAUTION}\n"
        "They come from the environment, or from `.env` in the workspace; the environment wins. "
        "Secrets stand nowhere else.\n\n"
        f"| variable | default | what it does |\n| --- | --- | --- |\n{rows}\n"
    )


def _walk(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        if command.invoke_without_command:  # it does something by itself, too
            yield path, command
        for name, child in command.commands.items():
            yield from _walk(child, f"{path} {name}")
    else:
        yield path, command


def _row(param: click.Parameter, context: click.Context) -> str:
    record = param.get_help_record(context) if isinstance(param, click.Option) else None
    return f"`{record[0]}` {record[1]}".rstrip() if record else ""


def write(folder: Path) -> None:
    from pipeline.cli import asterism

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "commands.md").write_text(commands_page(asterism), encoding="utf-8")
    (folder / "settings.md").write_text(settings_page(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
