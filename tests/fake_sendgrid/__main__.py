"""The fake as a process of its own: FOLDER MOST_HOLDS; ends when its standard input does."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from tests.fake_sendgrid.server import serve


def ready(port: int) -> None:
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()


def wait() -> None:
    sys.stdin.read()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(Path(sys.argv[1]), int(sys.argv[2]), ready, wait)
