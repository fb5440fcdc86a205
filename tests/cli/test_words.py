"""What a new user reads: lists that are whole, times with their zone, hints that lead on."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

import pipeline
from pipeline.cli import asterism
from pipeline.cli.show import bad, good, quiet, table, when
from tests.door import CONSTELLATION, ISSUE, Door

PACKAGE = Path(pipeline.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
MORNING = datetime(2026, 11, 19, 7, 30, tzinfo=UTC)


@pytest.mark.parametrize("group", ["", "curate", "issue", "people", "explain"])
def test_a_list_of_commands_cuts_no_sentence(group: str) -> None:
    command = asterism.commands[group] if group else asterism
    assert isinstance(command, click.Group)
    # click keeps the help option that it makes first: made without -h, it would lack it for good
    root = asterism.make_context("asterism", [], resilient_parsing=True, terminal_width=80)
    if group:
        inner = command.make_context(group, [], parent=root, resilient_parsing=True)
    page = command.get_help(inner if group else root)
    assert "..." not in page.partition("Commands:")[2]


def test_a_time_without_a_place_names_its_zone() -> None:
    assert when(MORNING, "Europe/Berlin") == "Thu 19 Nov 2026 08:30"
    assert when(MORNING).startswith("Thu 19 Nov 2026 ")
    assert when(MORNING).split()[-1] == f"{MORNING.astimezone():%Z}"


def test_an_empty_cell_leaves_no_spaces_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    table([("one", bad("")), ("two", good("")), ("three", quiet(""))])
    assert capsys.readouterr().out == "  one\n  two\n  three\n"


def test_issue_open_says_when_the_next_one_opens(to_read: Door) -> None:
    said = to_read("issue", "open").out
    assert "Under Load: goes out Thu 26 Nov 2026 07:30, can be opened from Sat 21 Nov" in said


def test_people_import_says_which_columns_it_did_not_read(made: Door, tmp_path: Path) -> None:
    file = tmp_path / "fair.csv"
    file.write_text(
        "Email,Company,Basis,Source,Date\nnew@anvil.example,Anvil,consent,our stand,2026-11-01\n",
        encoding="utf-8",
    )
    said = made("people", "import", str(file), "--dry-run").out
    assert "Columns not read: Source, Date" in said
    assert "The file has no column Basis source, Basis date." in said


def test_a_day_that_is_none_shows_how_one_is_written(gathered: Door) -> None:
    said = gathered("people", "pause", "x@y.example", "--until", "tomorrow", code=2)
    assert "write it as 2027-03-31" in said.err
    said = gathered("coverage", "--month", "november", code=2)
    assert "write it as 2027-03" in said.err


def test_people_without_a_name_are_listed_once(to_read: Door) -> None:
    (line,) = (x for x in to_read("people", "list").out.splitlines() if "desk@anvil" in x)
    assert line.count("desk@anvil.example") == 1


def test_explain_says_in_which_zone_its_times_are(to_read: Door) -> None:
    assert to_read("explain", "issue", ISSUE).out.splitlines()[-1].startswith("Times in front are")


def test_stories_fit_a_narrow_screen(to_read: Door) -> None:
    narrow = replace(to_read, environment={**to_read.environment, "COLUMNS": "60"})
    lines = narrow("stories", CONSTELLATION, "--limit", "3").out.splitlines()
    assert max(len(line) for line in lines if line.endswith("…")) <= 60


ERRORS = {"BadInput", "NotFound", "Conflict", "Down", "Finding"}


def said_in(module: Path) -> Iterator[ast.JoinedStr]:
    """Sentences of a module's errors and findings that name something."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if is_call and node.func.id in ERRORS:
            yield from (n for n in ast.walk(node) if isinstance(n, ast.JoinedStr))


@pytest.mark.parametrize("module", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_name_that_is_quoted_stands_in_curly_marks(module: Path) -> None:
    """Straight ones are for what stands in a file, and for what is to be typed there."""
    for sentence in said_in(module):
        before = ""
        for part in sentence.values:
            if isinstance(part, ast.FormattedValue):
                where = f"line {part.lineno}: {ast.unparse(sentence)}"
                assert part.conversion != ord("r"), where
                assert not before.endswith(('"', "'")), where
            before = str(part.value) if isinstance(part, ast.Constant) else ""
