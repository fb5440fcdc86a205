"""Who takes the letters: a folder, a relay that counts, postfix's smtp-sink, and a SendGrid.

Each is slow on purpose, and keeps the only record that counts: what it took.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any, Protocol

from pipeline.ports import Ports
from pipeline.stages.listen import take_in
from pipeline.transports.sendgrid.events import SendGridEvents
from tests.builders import NOW
from tests.fake_sendgrid import KEY, FakeSendGrid, Fault
from tests.fake_sendgrid.events import messy

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120
#: Rows that a test of hundreds of letters may have in one transaction.
CHUNK = 20


class Receiver(Protocol):
    """What the harness asks of a receiver."""

    name: str

    def way(self) -> dict[str, Any]:
        """How a sender reaches it (see sender.py)."""
        ...

    def taken(self) -> int:
        """Letters it took so far, those called back later too."""
        ...

    def copies(self) -> Counter[str]:
        """At the end: how many letters of each delivery reach a reader."""
        ...

    def reaching(self) -> Counter[str]:
        """How many letters of each delivery are with a reader, or on their way there."""
        ...

    def leash(self, most: int) -> None:
        """From now on it takes so many in all, and keeps whoever brings more waiting."""
        ...

    def misbehave(self, seed: int) -> None:
        """Lines break and servers fail, by chance."""
        ...

    def behave(self) -> None:
        """Nothing goes wrong any more, and nobody waits."""
        ...

    def excused(self) -> int:
        """Letters that it took without a word: each may be in doubt without any kill."""
        ...

    def troubles(self) -> int:
        """How often anything went wrong, kills apart."""
        ...

    def tell(self, ports: Ports) -> int:
        """It tells us what it moved, where it can; of how many copies we know more then."""
        ...

    def now(self) -> datetime:
        """The time that senders go by."""
        ...

    def advance(self, by: timedelta) -> None: ...

    def close(self) -> None: ...


class _Clock:
    """The time that senders go by, where the receiver has none of its own."""

    def __init__(self) -> None:
        self._at, self._since = NOW, time.monotonic()

    def now(self) -> datetime:
        return self._at + timedelta(seconds=time.monotonic() - self._since)

    def advance(self, by: timedelta) -> None:
        self._at += by

    def tell(self, ports: Ports) -> int:
        """Nobody tells us anything."""
        return 0


class Folder(_Clock):
    """Files: what lies there is what arrived."""

    name = "file"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._mail, self._leash = folder / "mail", folder / "leash"
        self.leash(0)

    def way(self) -> dict[str, Any]:
        return {"transport": "file", "folder": str(self._mail), "leash": str(self._leash)}

    def taken(self) -> int:
        return len(self._files())

    def copies(self) -> Counter[str]:
        read = BytesHeaderParser()
        ids = (read.parsebytes(path.read_bytes())["Message-ID"] for path in self._files())
        return Counter(one.strip("<>").partition("@")[0] for one in ids)

    def reaching(self) -> Counter[str]:
        return self.copies()

    def leash(self, most: int) -> None:
        new = self._leash.with_suffix(".new")
        new.write_text(str(most))
        new.replace(self._leash)

    def misbehave(self, seed: int) -> None:
        """A folder has no moods."""

    def behave(self) -> None:
        self.leash(sys.maxsize)

    def excused(self) -> int:
        return 0

    def troubles(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing runs."""

    def _files(self) -> list[Path]:
        return list(self._mail.rglob("*.eml"))


class CountingRelay(_Clock):
    """tests/kill/relay.py in a process of its own."""

    name = "smtp"

    def __init__(self, folder: Path, pace_s: float = 0.002) -> None:
        super().__init__()
        folder.mkdir(parents=True, exist_ok=True)
        self._record, self._cuts = folder / "taken", folder / "cut"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kill.relay", str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())
        self._lines = self._offset = 0
        self._order(pace_s=pace_s, most=0)

    def way(self) -> dict[str, Any]:
        return {"transport": "smtp", "port": self._port}

    def taken(self) -> int:
        with self._record.open("rb") as record:
            record.seek(self._offset)
            new = record.read()
        self._offset += len(new)
        self._lines += new.count(b"\n")
        return self._lines

    def copies(self) -> Counter[str]:
        return Counter(line.split()[0] for line in self._record.read_text().splitlines())

    def reaching(self) -> Counter[str]:
        return self.copies()

    def leash(self, most: int) -> None:
        self._order(most=most)

    def misbehave(self, seed: int) -> None:
        self._order(cut_after=0.03, cut_before=0.03, seed=seed)

    def behave(self) -> None:
        self._order(cut_after=0, cut_before=0, most=sys.maxsize, pace_s=0)

    def excused(self) -> int:
        return self._cut_lines().count("after")

    def troubles(self) -> int:
        return len(self._cut_lines())

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)
        self._process.stdout.close()

    def _cut_lines(self) -> list[str]:
        return self._cuts.read_text().split()

    def _order(self, **order: Any) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"


class SlowLine:
    """Stands before a server and passes on what comes, while it may."""

    def __init__(self, behind: int, may: Callable[[], bool]) -> None:
        self._behind, self._may = behind, may
        self._ending = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        self._ending.set()
        self._listener.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._behind))
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for one, other, waits in ((client, server, True), (server, client, False)):
                    pump = threading.Thread(
                        target=self._pump, args=(one, other, waits), daemon=True
                    )
                    pump.start()

    def _pump(self, source: socket.socket, target: socket.socket, waits: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                while waits and not self._may() and not self._ending.is_set():
                    self._ending.wait(0.005)
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        if waits:
            source.close()
            target.close()


class SmtpSink(_Clock):
    """Postfix's own test server, which writes each letter to a file, behind a slow line."""

    name = "smtp-sink"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        # it gives up its rights before it writes, and must be able to get there
        self._dump = Path(tempfile.mkdtemp(prefix="asterism-sink-"))
        self._dump.chmod(0o777)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        program = self.program()
        assert program is not None
        rights = ["-u", "nobody"] if os.geteuid() == 0 else []
        self._process = subprocess.Popen(
            [program, "-4", *rights, "-d", "%M.", f"127.0.0.1:{self._port}", "100"],
            cwd=self._dump,
            start_new_session=True,
        )
        self._wait()
        self._most = 0
        self._line = SlowLine(self._port, lambda: self.taken() < self._most)

    @staticmethod
    def program() -> str | None:
        """Postfix is at home where not every user looks."""
        return shutil.which("smtp-sink") or shutil.which("smtp-sink", path="/usr/sbin")

    @staticmethod
    def missing() -> str:
        """Why it cannot be had here; empty when it can."""
        return "" if SmtpSink.program() else "smtp-sink (package postfix) is not installed"

    def _wait(self) -> None:
        ends = time.monotonic() + PATIENCE_S
        while True:
            assert self._process.poll() is None, "smtp-sink did not start"
            assert time.monotonic() < ends
            with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
                return
            time.sleep(0.02)

    def way(self) -> dict[str, Any]:
        return {"transport": "smtp", "port": self._line.port}

    def taken(self) -> int:
        return len(list(self._dump.iterdir()))

    def copies(self) -> Counter[str]:
        found = (
            re.search(rb"^Message-ID: *<([a-z2-7]+)@", path.read_bytes(), re.M | re.I)
            for path in self._dump.iterdir()
        )
        return Counter(one[1].decode() for one in found if one)

    def reaching(self) -> Counter[str]:
        return self.copies()

    def leash(self, most: int) -> None:
        self._most = most

    def misbehave(self, seed: int) -> None:
        """It is asked to be honest here."""

    def behave(self) -> None:
        self._most = sys.maxsize

    def excused(self) -> int:
        return 0

    def troubles(self) -> int:
        return 0

    def close(self) -> None:
        self._line.close()
        self._process.terminate()
        self._process.wait(PATIENCE_S)
        shutil.rmtree(self._dump)


class SendGridReceiver:
    """The fake SendGrid; its clock is the one that all go by."""

    name = "sendgrid"

    def __init__(self, folder: Path, pace_s: float = 0.02) -> None:
        self.fake = FakeSendGrid(folder / "sendgrid", at=NOW, runs=True)
        self.fake.pace(pace_s)
        self.leash(0)

    def way(self) -> dict[str, Any]:
        return {"transport": "sendgrid", "url": self.fake.url, "key": KEY}

    def taken(self) -> int:
        return self.fake.accepted()

    def copies(self) -> Counter[str]:
        self.fake.advance(timedelta(hours=1).total_seconds())
        return Counter(self.fake.delivered())

    def reaching(self) -> Counter[str]:
        return Counter(self.fake.reaching())

    def leash(self, most: int) -> None:
        self.fake.leash(most)

    def misbehave(self, seed: int) -> None:
        self.fake.chance(
            (0.06, Fault("drop_after")),
            (0.06, Fault("drop_before")),
            (0.05, Fault("status_after", status=503)),
            (0.05, Fault("status_before", status=500)),
            (0.04, Fault("half")),
            (0.04, Fault("status_before", status=429, reset_in_s=1)),
            (0.05, Fault("drop_after", on="hold")),
            (0.05, Fault("status_before", on="hold", status=503)),
            (0.02, Fault("status_before", on="batch", status=500)),
            seed=seed,
        )

    def behave(self) -> None:
        self.fake.clear()
        self.fake.pace(0)
        self.leash(sys.maxsize)

    def excused(self) -> int:
        return 0

    def troubles(self) -> int:
        return sum(1 for _, _, fault, _ in self.fake.requests() if fault)

    def tell(self, ports: Ports) -> int:
        """Its events: each twice, in no order, posted in parts."""
        heard = replace(ports, events=SendGridEvents(self.fake.public_key))
        events = messy(self.fake.events("processed"))
        taken = [
            take_in(heard, one.body, {name.lower(): value for name, value in one.headers.items()})
            for one in self.fake.postings(events, most=500)
        ]
        assert not any(one.refused for one in taken)
        return sum(one.moved for one in taken)

    def now(self) -> datetime:
        return self.fake.now().astimezone(UTC)

    def advance(self, by: timedelta) -> None:
        self.fake.advance(by.total_seconds())

    def close(self) -> None:
        self.fake.close()


RECEIVERS: dict[str, type[Folder | CountingRelay | SmtpSink | SendGridReceiver]] = {
    "file": Folder,
    "smtp": CountingRelay,
    "smtp-sink": SmtpSink,
    "sendgrid": SendGridReceiver,
}
