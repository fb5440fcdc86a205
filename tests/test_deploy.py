"""What stands in deploy/ calls commands that exist, and installs what the lock holds."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import click
import pytest

from pipeline.cli import asterism

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))


def lines(unit: Path, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", unit.read_text(encoding="utf-8"), re.MULTILINE)


def parsed(arguments: Sequence[str]) -> tuple[str, dict[str, object]]:
    """The command that these arguments name, and its options; click refuses what is none."""
    root = asterism.make_context("asterism", list(arguments), resilient_parsing=False)
    rest = [*root._protected_args, *root.args]
    name, command, left = asterism.resolve_command(root, rest)
    assert isinstance(command, click.Command)
    with command.make_context(name or "", left, parent=root) as context:
        return str(name), context.params


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_calls_a_command_that_exists(unit: Path) -> None:
    (command,) = lines(unit, "ExecStart")
    program, *arguments = shlex.split(command)
    assert program == "/opt/asterism/.venv/bin/asterism"
    name, options = parsed(arguments)
    assert name in ("run", "backup")
    assert "host" not in options or options["host"] == "127.0.0.1"


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_may_write_nothing_but_output(unit: Path) -> None:
    assert lines(unit, "ReadWritePaths") == ["/srv/letters/output"]
    assert lines(unit, "ProtectSystem") == ["strict"]
    assert lines(unit, "NoNewPrivileges") == ["yes"]
    assert lines(unit, "UMask") == ["0077"]
    assert lines(unit, "User") == ["asterism"]


def test_the_timer_has_its_unit() -> None:
    assert {timer.stem for timer in DEPLOY.glob("*.timer")} <= {unit.stem for unit in UNITS}


def test_the_container_shows_nothing_but_the_pages_for_readers() -> None:
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    (command,) = re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE)
    program, *arguments = json.loads(command)
    assert program == "asterism"
    name, options = parsed(arguments)
    assert (name, options["host"], options["public_only"]) == ("run", "0.0.0.0", True)
    assert re.findall(r"^USER (\w+)$", text, re.MULTILINE) == ["asterism"]
    assert "--require-hashes -r deploy/requirements.lock" in text
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".env", "output", ".git"} <= set(ignored)


def pinned(lock: Path) -> dict[str, set[str]]:
    """name==version → its hashes."""
    found: dict[str, set[str]] = {}
    name = ""
    for line in lock.read_text(encoding="utf-8").splitlines():
        if start := re.match(r"([a-z0-9._-]+==[^ ;\\]+)", line):
            name = start[1]
            found[name] = set()
        found.get(name, set()).update(re.findall(r"--hash=(\S+)", line))
    return found


def test_what_is_deployed_is_what_was_tested() -> None:
    """`make lock` writes both."""
    deployed, tested = pinned(DEPLOY / "requirements.lock"), pinned(ROOT / "requirements.lock")
    assert deployed.items() <= tested.items()
    assert not [name for name in deployed if name.startswith(("pytest", "mypy", "hatchling"))]
    assert [name for name in deployed if name.startswith("psycopg")]
