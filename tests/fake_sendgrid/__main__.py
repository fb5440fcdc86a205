"""The fake as a process of its own; ends when its standard input does."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from tests.fake_sendgrid.server import serve


def ready(port: int) -> None:
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()


def wait() -> None:
    sys.stdin.read()


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fake_sendgrid", description=__doc__,
        epilog="Prints its port, listens on 127.0.0.1, and ends with its standard input.",
    )  # fmt: skip
    parser.add_argument("folder", type=Path, help="where its books lie: what it took and let go")
    parser.add_argument("most_holds", type=int, help="so many batches may be cancelled at a time")
    return parser.parse_args()


if __name__ == "__main__":
    given = read_arguments()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(given.folder, given.most_holds, ready, wait)
