"""The command line as a person meets it: `main()` with arguments; what it says, and its code.

One world is served and one workspace is led through the main job once in a run of the tests;
what it was like after each step is kept, and a test works on a copy of the step it needs.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import main
from pipeline.demo.world import World, read_world

TUESDAY = "2026-11-17T08:00:00+00:00"
WEDNESDAY = "2026-11-18T08:00:00+00:00"
THURSDAY = "2026-11-19T07:31:00+00:00"
ISSUE = "under-load/1"
CONSTELLATION = "power-tools"

#: Words of Python's, not of ours.
NOT_OUR_WORDS = ("Traceback", 'File "', "Error:", "NoneType", "object at 0x", "sqlalchemy")


@dataclass(frozen=True)
class Said:
    """What one command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Door:
    """A workspace, and the program called in it, in this process."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    now: str = WEDNESDAY

    def __call__(self, *arguments: str, code: int = 0, stdin: str = "") -> Said:
        """Run one command, and hold its exit code against the one that is expected."""
        said = call("-C", str(self.folder), *arguments, environment=self.variables(), stdin=stdin)
        assert said.code == code, f"{arguments}: {said}"
        return said

    def ask(self, *arguments: str) -> Any:
        """What a command says to a machine."""
        said = self(*arguments, "--json")
        assert said.err == ""
        return said.json

    def variables(self) -> dict[str, str]:
        return {"ASTERISM_NOW": self.now, **self.environment}

    def path(self, name: str) -> Path:
        return self.folder / name

    def database(self) -> sqlite3.Connection:
        return sqlite3.connect(self.folder / "output" / "asterism.db")

    def state(self) -> str:
        """Changes when any file of the workspace or any row of its database does."""
        digest = hashlib.sha256()
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and not path.name.startswith("asterism.db"):
                digest.update(f"{path.relative_to(self.folder)}\0".encode() + path.read_bytes())
        if (self.folder / "output" / "asterism.db").exists():
            with closing(self.database()) as database:
                for line in database.iterdump():
                    digest.update(line.encode())
        return digest.hexdigest()


def clean_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without what would steer the program, and with `ours`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ASTERISM_", "NO_COLOR"))}
    return {**kept, "PYTHONIOENCODING": "utf-8", "TZ": "Europe/London", **ours}


def call(*arguments: str, environment: Mapping[str, str] | None = None, stdin: str = "") -> Said:
    """`asterism` with these arguments, through its own `main()`, on a machine in London."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name in [n for n in os.environ if n.startswith(("ASTERISM_", "NO_COLOR"))]:
            patch.delenv(name)
        for name, value in {"TZ": "Europe/London", **(environment or {})}.items():
            patch.setenv(name, value)
        time.tzset()
        patch.setattr(sys, "argv", ["asterism", *arguments])
        patch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as end:
            main()
    time.tzset()
    assert isinstance(end.value.code, int)
    return Said(end.value.code, out.getvalue(), err.getvalue())


@dataclass
class Steps:
    """What the sample workspace was like after each step of the main job."""

    folder: Path
    environment: dict[str, str]

    def copy(self, step: str, to: Path) -> Door:
        shutil.copytree(self.folder / step, to)
        return Door(to, dict(self.environment), THURSDAY if step == "sent" else WEDNESDAY)


@contextmanager
def led_through(folder: Path) -> Iterator[Steps]:
    """The steps `made`, `gathered`, `opened`, `curated`, `approved`, `sent`; the world is open."""
    world = read_world()
    with world.open():
        yield _lead(folder, world)


def _lead(folder: Path, world: World) -> Steps:
    ports = ",".join(map(str, world.ports))
    environment = {"ASTERISM_ALLOW_NETWORKS": "127.0.0.0/8", "ASTERISM_ALLOW_PORTS": ports}
    door = Door(folder / "now", environment, TUESDAY)
    assert call("init", str(door.folder), "--sample").code == 0
    feeds = door.path("feeds.yaml")
    feeds.write_text(world.moved_in(feeds.read_text(encoding="utf-8")), encoding="utf-8")

    def keep(step: str) -> None:
        shutil.copytree(door.folder, folder / step)

    door("check")
    keep("made")
    door("people", "import", str(door.path("people.csv")))
    door("gather")
    door.now, world.round = WEDNESDAY, 2
    door("gather")
    keep("gathered")
    door("issue", "open")
    keep("opened")
    door("--as", "maren", "curate", "import", str(door.path("curated/under-load-1.md")))
    keep("curated")
    door("--as", "henrik", "issue", "approve", ISSUE, "--clear", "6")
    keep("approved")
    door.now = THURSDAY
    door("deliver")
    keep("sent")
    return Steps(folder, environment)
