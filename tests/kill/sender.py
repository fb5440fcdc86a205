"""Runs of `deliver`, each in a process that can be killed alone.

Started with DATABASE_URL WAY CHUNK LEASE_S KIND. For each line on standard input, the time at
which its clock begins, one run is forked, so that it begins at once. Its process id is printed
when it begins, and what became of it when it has ended: 0, its exit status, or minus the signal.
KIND is `honest`, or `post-then-mark`: a sender as they are often written, which takes for unsent
whatever it had not marked as sent.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, cast

from pipeline.errors import Down
from pipeline.model.letters import Batch, Envelope, Fate, Receipt
from pipeline.ports import Clock, Ports, Transport
from pipeline.settings import SendGridSettings, Settings, SmtpSettings
from pipeline.stages.deliver import deliver
from pipeline.stores.sql import SqlStore
from pipeline.transports.file import FileTransport
from pipeline.wiring import RunningClock, _transport
from tests.builders import SECRET
from tests.ledger_scene import TOKENS
from tests.people_scene import ports_of

#: A live run renews nothing while it waits for a slow receiver; a dead one is seen at once.
LEASE_S = 300
#: Exit status of a run that said that it cannot go on now.
DOWN = 5
#: So long a sender that posts and then marks has posted and has not marked.
MUSES_S = 0.2


class SlowFolder(FileTransport):
    """A slow disk, which takes so many letters and no more until the leash is longer."""

    def __init__(self, folder: Path, leash: Path) -> None:
        super().__init__(folder)
        self._leash = leash

    def send(self, envelopes: Iterable[Envelope], batch: Batch | None = None) -> Iterator[Receipt]:
        rest = iter(envelopes)
        while few := list(islice(rest, 5)):
            while len(list(self._folder.rglob("*.eml"))) >= int(self._leash.read_text()):
                time.sleep(0.005)
            yield from super().send(few, batch)
            time.sleep(0.002)


class PostThenMark:
    """A transport that has no doubts: what was not marked was not sent.

    It takes its time before it marks, so that most kills come between the two.
    """

    def __init__(self, honest: Transport) -> None:
        self._honest = honest

    def __getattr__(self, name: str) -> Any:
        return getattr(self._honest, name)

    def send(self, envelopes: Iterable[Envelope], batch: Batch | None = None) -> Iterator[Receipt]:
        for receipt in self._honest.send(envelopes, batch):
            time.sleep(MUSES_S)
            yield receipt

    def fates(
        self, delivery_public_ids: Sequence[str], batch: Batch | None = None
    ) -> Mapping[str, Fate]:
        return dict.fromkeys(delivery_public_ids, "not_left")


def transport_of(way: Mapping[str, Any], clock: Clock) -> Transport:
    if way["transport"] == "file":
        return SlowFolder(Path(way["folder"]), Path(way["leash"]))
    settings = Settings(
        workspace=Path(),
        database_url="",
        secret=SECRET,
        transport=way["transport"],
        smtp=SmtpSettings("127.0.0.1", way.get("port", 0), "none", timeout_s=60),
        sendgrid=SendGridSettings(way.get("key", ""), way.get("url", ""), timeout_s=60),
    )
    return _transport(settings, clock)


def ports_at(
    store: SqlStore, way: Mapping[str, Any], start: datetime, kind: str = "honest"
) -> Ports:
    """What a run needs; its clock runs on from there."""
    clock = RunningClock(start, 1)
    transport = transport_of(way, clock)
    if kind == "post-then-mark":
        transport = cast("Transport", PostThenMark(transport))
    return replace(
        ports_of(store),
        clock=clock,
        transport=transport,
        tokens=TOKENS,
    )


def run(
    url: str, way: Mapping[str, Any], start: datetime, chunk: int, lease_s: int, kind: str
) -> int:
    store = SqlStore(url, SECRET)
    try:
        deliver(ports_at(store, way, start, kind), chunk=chunk, lease_s=lease_s)
    except Down as down:
        sys.stderr.write(f"{down.message}\n")
        return DOWN
    finally:
        store.close()
    return 0


def main(url: str, way: str, chunk: str, lease_s: str, kind: str) -> None:
    for line in sys.stdin:
        child = os.fork()
        if not child:
            status = 1
            try:
                start = datetime.fromtimestamp(float(line), UTC)
                status = run(url, json.loads(way), start, int(chunk), int(lease_s), kind)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        say(child)
        _, ended = os.waitpid(child, 0)
        say(os.waitstatus_to_exitcode(ended))


def say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
