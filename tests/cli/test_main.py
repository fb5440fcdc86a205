"""The door itself: help, who and where, colours, terminals, pipes and interruptions."""

from __future__ import annotations

import ast
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from pipeline import __version__
from pipeline.cli import asterism
from tests.cli.test_refusals import REFUSALS
from tests.door import ISSUE, Door, call, clean_environment
from tests.world import Call, World

HERE = Path(__file__).parent
ESCAPE = "\x1b["


def paths(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command as a person types it."""
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from paths(child, (*path, name))
    else:
        yield path


COMMANDS = tuple(paths(asterism))


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pipeline", *arguments]


# ── help ─────────────────────────────────────────────────────────────────────────────────


def test_help_lists_the_commands_in_the_order_of_the_work() -> None:
    said = call("--help")
    assert (said.code, said.err) == (0, "")
    listed = re.findall(r"^  ([a-z]+) ", said.out.partition("Commands:")[2], re.MULTILINE)
    assert listed == list(asterism.commands)
    assert call("-h").out == said.out


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_of_each_command_names_its_options(path: tuple[str, ...]) -> None:
    said = call(*path, "--help")
    assert (said.code, said.err) == (0, "")
    assert f"Usage: asterism {' '.join(path)}" in said.out
    found: click.Command = asterism
    for name in path:
        assert isinstance(found, click.Group)
        found = found.commands[name]
    assert found.help
    for param in found.params:
        names = (
            param.opts
            if isinstance(param, click.Option)
            else [param.make_metavar(click.Context(found))]
        )
        assert all(name in said.out for name in names)


@pytest.mark.parametrize("group", [(), ("curate",), ("issue",), ("people",), ("explain",)])
def test_a_group_alone_shows_its_commands(group: tuple[str, ...]) -> None:
    said = call(*group)
    assert "Commands:" in said.out + said.err
    assert said.code in (0, 2)


def test_version() -> None:
    assert call("--version").out == f"asterism, version {__version__}\n"


# ── every command has its tests ──────────────────────────────────────────────────────────


@cache
def names_of_tests() -> tuple[str, ...]:
    files = [*HERE.glob("test_*.py"), *HERE.parent.glob("demo/test_*.py")]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in files]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return tuple(node.name for node in nodes if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_each_command_is_tested_for_success_bad_input_and_again(path: tuple[str, ...]) -> None:
    own = f"test_{'_'.join(path).replace('-', '_')}_"
    ours = [name for name in names_of_tests() if name.startswith(own)]
    theirs = [name for name in names_of_tests() if name.startswith(f"test_{path[0]}_again")]
    assert [name for name in ours if "again" not in name], "what it does"
    assert [name for name in [*ours, *theirs] if "again" in name], "being run again"
    refused = [one.command for one in REFUSALS]
    assert [one for one in refused if one.split()[: len(path)] == list(path)], "bad input"


# ── where, and who ───────────────────────────────────────────────────────────────────────


def test_the_workspace_is_named_by_option_variable_or_folder(
    to_read: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(to_read.folder)
    firm = "Ferrier & Wick"
    assert firm in call("status", environment=to_read.variables()).out
    monkeypatch.chdir(tmp_path)
    variables = {**to_read.variables(), "ASTERISM_WORKSPACE": str(to_read.folder)}
    assert firm in call("status", environment=variables).out
    assert call("-C", str(tmp_path), "status", environment=variables).code == 2, "the option wins"


def test_who_acts_is_on_record(opened: Door) -> None:
    opened.environment["ASTERISM_ACTOR"] = "jonas"
    opened("curate", "note", "power-tools", "--title", "One", "--text", "x", "--public")
    opened("--as", "ruth", "curate", "note", "power-tools", "--title", "Two", "--text", "x",
           "--public")  # fmt: skip
    with opened.database() as database:
        rows = database.execute("SELECT actor FROM operations ORDER BY id DESC LIMIT 2").fetchall()
    database.close()
    assert rows == [("ruth",), ("jonas",)]


# ── terminals ────────────────────────────────────────────────────────────────────────────


def on_a_terminal(door: Door, *arguments: str, **variables: str) -> tuple[int, str]:
    """Run one command with a terminal on both its outputs; its code, and what the terminal got."""
    ours, theirs = pty.openpty()
    program = subprocess.Popen(
        command("-C", str(door.folder), *arguments),
        env=clean_environment({**door.variables(), "TERM": "xterm", **variables}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    while True:
        try:
            piece = os.read(ours, 65_536)
        except OSError:  # Linux's end of a terminal
            break
        if not piece:
            break
        said += piece
    os.close(ours)
    return program.wait(120), said.decode()


def test_without_a_terminal_there_is_neither_colour_nor_progress(made: Door) -> None:
    for arguments in (("gather", "--force"), ("stories",), ("status",), ("stories", "nosuch")):
        done = subprocess.run(
            command("-C", str(made.folder), *arguments),
            env=clean_environment({**made.variables(), "TERM": "xterm"}),
            capture_output=True, encoding="utf-8", check=False,
        )  # fmt: skip
        assert ESCAPE not in done.stdout + done.stderr
        assert "\r" not in done.stdout + done.stderr


def test_a_terminal_gets_colour_and_progress(made: Door) -> None:
    code, said = on_a_terminal(made, "gather", "--force")
    assert code == 0
    assert f"{ESCAPE}31m✗" in said
    assert re.search("█+░* +[1-7]/7  sources", said)
    assert said.rindex(f"{ESCAPE}2K") < said.index("Tool Trade Weekly"), "the bar is wiped away"


@pytest.mark.parametrize(("arguments", "code"), [(("status",), 0), (("stories", "nosuch"), 3)])
def test_no_color_means_none(to_read: Door, arguments: tuple[str, ...], code: int) -> None:
    assert on_a_terminal(to_read, *arguments)[1].count(ESCAPE) > 0
    ended, said = on_a_terminal(to_read, *arguments, NO_COLOR="1")
    assert ended == code
    assert ESCAPE not in said


def test_a_dumb_terminal_gets_no_progress(made: Door) -> None:
    _, said = on_a_terminal(made, "gather", "--force", TERM="dumb")
    assert "\x1b[2K" not in said


# ── pipes and interruptions ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "arguments", [("stories", "--json"), ("explain", "issue", ISSUE), ("status",), ("--help",)]
)
def test_a_reader_that_has_seen_enough_is_no_fault(
    to_read: Door, arguments: tuple[str, ...]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        done = subprocess.run(
            command("-C", str(to_read.folder), *arguments),
            env=clean_environment(to_read.variables()),
            stdout=pipe, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_output_that_finds_no_room_is_told(to_read: Door) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("-C", str(to_read.folder), "status"),
            env=clean_environment(to_read.variables()),
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 5
    assert done.stderr.startswith("There is no room left for what this command says")
    assert "Traceback" not in done.stderr


def heed_interruptions() -> None:
    """A shell lets what it starts in the background ignore Ctrl-C, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interruption_ends_it_in_one_word_and_changes_nothing(made: Door) -> None:
    with World() as world:
        asked = threading.Event()

        def keep_waiting(asking: Call) -> None:
            asked.set()
            asking.linger(120)

        world.routes["/slow"] = keep_waiting
        feeds = made.path("feeds.yaml")
        feeds.write_text(
            "sources:\n  - key: slow\n    name: Slow\n"
            f"    url: {world.url('/slow')}\n    constellations: [power-tools]\n",
            encoding="utf-8",
        )
        made.environment["ASTERISM_ALLOW_PORTS"] = str(world.port)
        made("check")
        before = made.state()
        program = subprocess.Popen(
            command("-C", str(made.folder), "gather"),
            env=clean_environment(made.variables()),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=heed_interruptions,
        )  # fmt: skip
        assert asked.wait(120), "it was in the middle of asking"
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=120)
    assert (program.returncode, out, err) == (130, "", "\nStopped.\n")
    assert made.state() == before
