"""Parses costly bodies in a process apart, under a limit of time and memory.

Run as a module it is that process: a job a line on standard input, a result a line on
standard output, both JSON, so that nothing but data crosses.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import weakref
from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.model.catalog import Selectors
from pipeline.model.news import Entry, ParsedFeed, ParseFailed, Quiet
from pipeline.rules.news.feed import parse_feed
from pipeline.rules.news.page import parse_page

try:
    import resource
except ImportError:  # not on Windows; the limit of time still holds there
    resource = None  # type: ignore[assignment]

_START_S = 60.0  #: to start Python and load the parsers, on a machine as busy as they get
_SETTINGS_PASSED_ON = ("PATH", "SYSTEMROOT", "LANG", "LC_ALL", "TMPDIR")
_TOO_COSTLY = ParseFailed(
    "too_costly", "The source is too large or too tangled to be read; it was given up."
)


class Worker:
    """A process that parses one body after another, and is replaced when one was too much.

    It starts with the first body and ends with this object, or with our own process: then
    its input ends.
    """

    def __init__(self, *, cpu_s: int, memory_bytes: int) -> None:
        self._cpu_s = cpu_s
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._end: weakref.finalize[..., Worker] | None = None

    def parse(
        self, body: bytes, content_type: str, url: str, selectors: Selectors | None
    ) -> ParsedFeed | ParseFailed:
        """What parse_page (with selectors) or parse_feed says, at a bounded cost.

        Raises: nothing; a body that takes too long or too much is a ParseFailed
        """
        job = {
            "body": b64encode(body).decode(),
            "content_type": content_type,
            "url": url,
            "selectors": asdict(selectors) if selectors else None,
            "cpu_s": self._cpu_s,
        }
        answer = None
        with self._lock:
            try:
                answer = self._talk(self._running(), json.dumps(job).encode())
            finally:
                if answer is None:  # it died, or we were interrupted: its answer would come late
                    self.close()
        return _TOO_COSTLY if answer is None else _read_result(answer)

    def close(self) -> None:
        """End the process; the next body starts another."""
        if self._end is not None:
            self._end()
        self._process = self._end = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(  # noqa: S603  # our own module, no stranger's words
                [sys.executable, "-m", "pipeline.parsers.pool", str(self._memory_bytes)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
            )
            self._end = weakref.finalize(self, _put_away, self._process)
        return self._process

    def _talk(self, process: subprocess.Popen[bytes], job: bytes) -> bytes | None:
        """One job, one line of answer; None when the process did not live to give it."""
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018  # pipes
        deadline = threading.Timer(self._cpu_s + _START_S, process.kill)
        deadline.start()
        try:
            process.stdin.write(job + b"\n")
            process.stdin.flush()
            return process.stdout.readline() or None
        except OSError:  # it died while it was being told
            return None
        finally:
            deadline.cancel()
            deadline.join()


def _put_away(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # what was not written yet is of no use
                pipe.close()
    process.wait()


def _environment() -> dict[str, str]:
    """Where our modules are, and none of our secrets."""
    kept = {name: os.environ[name] for name in _SETTINGS_PASSED_ON if name in os.environ}
    return kept | {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}


def _work(job: Mapping[str, Any]) -> ParsedFeed | ParseFailed:
    body = b64decode(job["body"])
    content_type, url, selectors = job["content_type"], job["url"], job["selectors"]
    if selectors is not None:
        return parse_page(body, content_type, url, Selectors(**selectors))
    return parse_feed(body, content_type, url)


def _limit_memory(memory_bytes: int) -> None:
    if resource is not None:
        _limit(resource.RLIMIT_AS, memory_bytes)
        _limit(resource.RLIMIT_CORE, 0)


def _limit_time(cpu_s: int) -> None:
    """So much from now on; the limit itself counts from the process's beginning."""
    if resource is not None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + 1 + cpu_s)


def _limit(what: int, amount: int) -> None:
    hard = resource.getrlimit(what)[1]
    soft = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
    with suppress(OSError, ValueError):  # some systems know no such limit
        resource.setrlimit(what, (soft, hard))


def _write_result(result: ParsedFeed | ParseFailed) -> str:
    if isinstance(result, ParseFailed):
        return json.dumps({"failed": asdict(result)})
    return json.dumps(
        {
            "title": result.title,
            "entries": [asdict(entry) for entry in result.entries],
            "ttl_s": result.ttl_s,
            "quiet": [sorted(result.quiet.hours), sorted(result.quiet.days)],
            "warnings": result.warnings,
        },
        default=datetime.isoformat,
    )


def _read_result(text: bytes) -> ParsedFeed | ParseFailed:
    result = json.loads(text)
    if "failed" in result:
        return ParseFailed(**result["failed"])
    hours, days = result["quiet"]
    return ParsedFeed(
        title=result["title"],
        entries=tuple(_read_entry(entry) for entry in result["entries"]),
        ttl_s=result["ttl_s"],
        quiet=Quiet(frozenset(hours), frozenset(days)),
        warnings=tuple(result["warnings"]),
    )


def _read_entry(entry: Mapping[str, Any]) -> Entry:
    times = {
        name: datetime.fromisoformat(entry[name]) if entry[name] else None
        for name in ("published_at", "updated_at")
    }
    return Entry(**{**entry, **times})


def main() -> None:
    """The worker: one job a line, one result a line, until the input ends."""
    _limit_memory(int(sys.argv[1]))
    for line in sys.stdin.buffer:
        job = json.loads(line)
        _limit_time(job["cpu_s"])
        try:
            result = _write_result(_work(job))
        except MemoryError:  # too little is left to go on with
            sys.exit(1)
        sys.stdout.buffer.write(result.encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
