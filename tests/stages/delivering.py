"""Processes of their own that deliver into a folder: DATABASE_URL FOLDER CHUNK.

For each line on standard input one run is forked, so that it begins at once and can be killed
alone. The line says how many copies may lie in the folder: before a chunk that begins with so
many the run stands still, and waits to be killed. Its process id is printed when it begins, and
what became of it when it has ended: 0, its exit status, or minus the signal.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from pipeline.model.letters import Batch, Envelope, Receipt
from pipeline.stages.deliver import deliver
from pipeline.stores.sql import SqlStore
from pipeline.transports.file import FileTransport
from tests.builders import SECRET
from tests.ledger_scene import TOKENS
from tests.people_scene import ports_of

PATIENCE_S = 120


class LeashedTransport(FileTransport):
    """A folder that takes so many copies, and then nothing more."""

    def __init__(self, folder: Path, most: int) -> None:
        super().__init__(folder)
        self._most = most

    def send(self, envelopes: Iterable[Envelope], batch: Batch | None = None) -> Iterator[Receipt]:
        if len(list(self._folder.rglob("*.eml"))) >= self._most:
            signal.alarm(PATIENCE_S)  # the end, should nobody come to kill us
            while True:
                signal.pause()
        return super().send(envelopes)


def run(url: str, folder: Path, chunk: int, most: int) -> None:
    store = SqlStore(url, SECRET)
    ports = replace(ports_of(store), transport=LeashedTransport(folder, most), tokens=TOKENS)
    deliver(ports, chunk=chunk)
    store.close()


def main(url: str, folder: str, chunk: str) -> None:
    for most in sys.stdin:
        child = os.fork()
        if not child:
            run(url, Path(folder), int(chunk), int(most))
            os._exit(0)
        say(child)
        _, status = os.waitpid(child, 0)
        say(os.waitstatus_to_exitcode(status))


def say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
