"""The real program, left running through pretended months on its own: `make months`.

`python -m tests.months [MONTHS] [SPEED]`: a workspace in a temporary folder, two papers on
loopback over HTTP, and `asterism run` as a process of its own whose clock runs SPEED times as
fast as time does. The people of the firm do their part meanwhile. At the end every beat, issue
and copy is counted; what is not accounted for is named, and the exit code is 1.
"""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from pipeline.errors import Conflict, Down
from pipeline.ports import Ports
from pipeline.stages.adopt import adopt
from pipeline.wiring import open_ports
from tests.months.accounts import account
from tests.months.desk import Desk, move_in
from tests.months.world import BEGIN, make_workspace, printed

MONTH = timedelta(days=30)
#: A day in twelve seconds: a tick of the program takes a good half hour of its own time.
SPEED = 7_200.0
#: The process that runs says the time by what it writes; without a word for so long it is stuck.
SILENT_S = 120.0


@dataclass
class Told:
    """Shows the time that the running program last wrote down, and goes on from there."""

    database: Path
    at: datetime = BEGIN
    seen: float = 0.0  #: when it was another time, by this process's own clock

    def look(self) -> datetime:
        """Ask anew."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as database:
            (text,) = database.execute("SELECT max(finished_at) FROM jobs").fetchone()
        if text is not None:
            latest = datetime.fromisoformat(text).replace(tzinfo=UTC)
            if latest > self.at:
                self.at, self.seen = latest, time.monotonic()
        return self.at

    def now(self) -> datetime:
        """Never ahead of the program: what people do lies between two of its ticks."""
        return self.at


@contextmanager
def running(folder: Path, speed: float, ports: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("ASTERISM_")},
        "ASTERISM_NOW": BEGIN.isoformat(),
        "ASTERISM_SPEED": str(speed),
        "ASTERISM_ALLOW_NETWORKS": "127.0.0.0/8",
        "ASTERISM_ALLOW_PORTS": ports,
    }
    command = [sys.executable, "-m", "pipeline", "-C", str(folder), "run", "--port", "0"]
    with (folder / "run.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def live(ports: Ports, clock: Told, until: datetime, process: subprocess.Popen[bytes]) -> Desk:
    """The people act whenever the program has moved on, until its clock is there."""
    desk = Desk()
    clock.seen = time.monotonic()
    day = None
    while clock.look() < until:
        if process.poll() is not None:
            raise SystemExit(f"`asterism run` ended with {process.returncode}")
        if time.monotonic() - clock.seen > SILENT_S:
            raise SystemExit(f"nothing has run since {clock.at}")
        try:
            desk.act(ports)
        except (Conflict, Down) as wrong:  # the program was quicker; people look again
            click.echo(f"  {clock.at:%Y-%m-%d %H:%M} {wrong.message}")
        if day != clock.at.month:
            day = clock.at.month
            click.echo(f"{clock.at:%B %Y}")
        time.sleep(0.1)
    return desk


def main(months: float, speed: float) -> int:
    for name in [name for name in os.environ if name.startswith("ASTERISM_")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="asterism-months-") as name:
        folder = Path(name) / "quay"
        make_workspace(folder)
        clock = Told(folder / "output" / "asterism.db")
        with printed(clock.now) as addresses, open_ports(folder, actor="asterism") as ports:
            feeds = folder / "feeds.yaml"
            text = feeds.read_text("utf-8")
            for said, here in addresses.items():
                text = text.replace(said, here)
            feeds.write_text(text, "utf-8")
            ports = replace(ports, catalog=ports.workspace.catalog(), clock=clock)
            adopt(ports)
            move_in(ports)
            sockets = ",".join(sorted({re.findall(r":(\d+)", a)[0] for a in addresses.values()}))
            with running(folder, speed, sockets) as process:
                desk = live(ports, clock, BEGIN + months * MONTH, process)
                process.send_signal(signal.SIGTERM)
                code = process.wait(60)
            told = account(folder, ports.catalog, clock.look())
        click.echo(f"\n{months:g} months from {BEGIN:%d %B %Y}, {speed:g} times as fast\n")
        click.echo(told.text())
        for held in desk.held:
            click.echo(f"not approved: {held}")
        said = (folder / "run.log").read_text("utf-8")
        if code or "Stopped." not in said or "Traceback" in said:
            click.echo(f"`asterism run` ended with {code}:\n{said[-3000:]}")
        return bool(told.problems or desk.held or code or "Traceback" in said)


if __name__ == "__main__":
    sys.exit(
        main(
            float(sys.argv[1]) if len(sys.argv) > 1 else 6.0,
            float(sys.argv[2]) if len(sys.argv) > 2 else SPEED,
        )
    )
