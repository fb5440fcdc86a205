"""How the command line speaks: tables, sums, progress, JSON; plain text without a terminal."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from pipeline.errors import BadInput
from pipeline.workspace.output import write_whole


def say(text: str = "", *, bold: bool = False, dim: bool = False, to_err: bool = False) -> None:
    click.echo(click.style(text, bold=bold or None, dim=dim or None), err=to_err)


def title(text: str) -> None:
    say(text, bold=True)


def no_color() -> bool:
    """Whether somebody asked for plain text. Source: https://no-color.org"""
    return bool(os.environ.get("NO_COLOR"))


def fault(text: str) -> None:
    click.echo(click.style(text, fg="red"), err=True, color=False if no_color() else None)


def quiet(text: str) -> str:
    return click.style(text, dim=True) if text else ""


def good(text: str) -> str:
    return click.style(text, fg="green") if text else ""


def bad(text: str) -> str:
    return click.style(text, fg="red") if text else ""


def words(status: str) -> str:
    """A status as people read it: underscores are spaces."""
    return status.replace("_", " ")


def count(number: int, one: str, many: str = "") -> str:
    """`1 story`, `3 stories`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def when(moment: datetime | None, zone: str = "") -> str:
    """An instant in the named zone (else this machine's, which it then names).

    As `Thu 19 Nov 2026 07:30`, or `Thu 19 Nov 2026 08:30 CET`.
    """
    if moment is None:
        return "never"
    local = moment.astimezone(ZoneInfo(zone) if zone else None)
    return f"{local:%a} {local.day} {local:%b %Y %H:%M}" + ("" if zone else f" {local:%Z}")


def day(on: date | None) -> str:
    return f"{on:%a} {on.day} {on:%b %Y}" if on else ""


def width(text: str) -> int:
    """Columns that a terminal needs for this text."""
    plain = click.unstyle(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in plain
    )


def screen() -> int:
    """Columns that a line may have: the terminal's, else 100."""
    return shutil.get_terminal_size((100, 24)).columns


def fit(text: str, columns: int) -> str:
    """The text, cut with an ellipsis when it is wider than `columns`."""
    text = " ".join(text.split())
    if width(text) <= columns:
        return text
    while text and width(text) > columns - 1:
        text = text[:-1]
    return text.rstrip() + "…"


def table(
    rows: Iterable[Sequence[object]], head: Sequence[str] = (), *, right: Iterable[int] = ()
) -> None:
    """Columns that line up; the numbers of `right` are set flush right."""
    cells = [[str(cell) for cell in row] for row in rows]
    if not cells:
        return
    everything = ([list(head)] if head else []) + cells
    widths = [max(width(row[i]) for row in everything) for i in range(len(everything[0]))]
    flush = set(right)
    if head:
        say("  " + _row(list(head), widths, flush), dim=True)
    for row in cells:
        click.echo("  " + _row(row, widths, flush))


def _row(cells: list[str], widths: list[int], flush: set[int]) -> str:
    parts = []
    for i, cell in enumerate(cells):
        pad = " " * (widths[i] - width(cell))
        parts.append(pad + cell if i in flush else cell + pad)
    return "  ".join(parts).rstrip()


def added_up(lines: Sequence[tuple[int, str]], total: tuple[int, str]) -> None:
    """A sum as a bookkeeper writes it: column, rule, total."""
    numbers = [f"{number:,}" for number, _ in [*lines, total]]
    columns = max(map(len, numbers))
    for (_, label), number in zip(lines, numbers, strict=False):
        click.echo(f"  {number:>{columns}}  {label}")
    click.echo(quiet("  " + "─" * columns))
    click.echo(f"  {numbers[-1]:>{columns}}  {total[1]}")


def as_json(value: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(plain(value), ensure_ascii=False, indent=2))


def plain(value: Any) -> Any:
    """A value as JSON can carry it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {_name(k): plain(v) for k, v in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(plain(v) for v in value)
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Fraction | Path):
        return str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value


def _name(key: Any) -> str:
    return " ".join(map(str, key)) if isinstance(key, tuple) else str(key)


def save(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a file that somebody named: the whole of it, or nothing.

    Raises: BadInput when the name is a folder's or a device's; Down when it cannot be written
    """
    if path.exists() and not path.is_file():
        raise BadInput(f"{path} is {'a folder' if path.is_dir() else 'no ordinary file'}.",
                       "Name a file.")  # fmt: skip
    write_whole(path.resolve(), text.encode(), mode=mode)


class Bar:
    """A progress bar on standard error; silent when that is no terminal."""

    def __init__(self) -> None:
        self._on = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._drawn = False

    def __call__(self, done: int, total: int, what: str) -> None:
        if not self._on:
            return
        share = done / total if total else 1.0
        bar = "█" * round(share * 24)
        line = f"  {bar:░<24} {done:>{len(str(total))}}/{total}  {fit(what, 40)}"
        sys.stderr.write(f"\r\x1b[2K{line}")
        sys.stderr.flush()
        self._drawn = True
        if done >= total:
            self.close()

    def close(self) -> None:
        if self._drawn:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
            self._drawn = False
