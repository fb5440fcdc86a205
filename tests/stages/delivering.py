"""Processes of their own that deliver into a folder: DATABASE_URL FOLDER CHUNK.

For each line on standard input one run is forked, so that it begins at once and can be killed
alone. Its process id is printed when it begins, and what became of it when it has ended: 0,
its exit status, or minus the signal.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

from pipeline.stages.deliver import deliver
from pipeline.stores.sql import SqlStore
from pipeline.transports.file import FileTransport
from tests.builders import SECRET
from tests.ledger_scene import TOKENS
from tests.people_scene import ports_of


def run(url: str, folder: Path, chunk: int) -> None:
    store = SqlStore(url, SECRET)
    ports = replace(ports_of(store), transport=FileTransport(folder), tokens=TOKENS)
    deliver(ports, chunk=chunk)
    store.close()


def main(url: str, folder: str, chunk: str) -> None:
    for _ in sys.stdin:
        child = os.fork()
        if not child:
            run(url, Path(folder), int(chunk))
            os._exit(0)
        say(child)
        _, status = os.waitpid(child, 0)
        say(os.waitstatus_to_exitcode(status))


def say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
