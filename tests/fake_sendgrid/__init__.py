"""A SendGrid of our own on 127.0.0.1, in a process of its own: the judge of what really left.

Written from SendGrid's documents, by somebody who had not seen our client. It takes and refuses
what SendGrid would, keeps a batch back until its `send_at`, throws cancelled ones away, fails on
demand, and knows of every delivery how many copies reach an inbox.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.fake_sendgrid.books import Copy, Truth
from tests.fake_sendgrid.events import MOST_EVENTS, Posting, Signer, event_of, posting
from tests.fake_sendgrid.faults import Fault

__all__ = ["KEY", "Copy", "FakeSendGrid", "Fault"]

KEY = "SG.fake.key"
ROOT = Path(__file__).parents[2]
#: The documents allow so many batches that are cancelled or paused at one time.
MOST_HOLDS = 10


class FakeSendGrid:
    """Starts the fake, tells it how to behave, and reads what it knows.

    Shape:  at, where its clock stands (None: the machine's time, running); runs, whether the
            clock runs on from there; most_holds, how many batches may be cancelled at one time
    """

    def __init__(
        self,
        folder: Path,
        *,
        at: datetime | None = None,
        runs: bool = False,
        most_holds: int = MOST_HOLDS,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fake_sendgrid", str(folder), str(most_holds)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        self._truth = Truth(folder / "sendgrid.db")
        self.signer = Signer.new()
        if at is not None:
            self.set_clock(at, runs=runs)

    def __enter__(self) -> FakeSendGrid:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Its book stays; the process ends."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait(60)

    # ── how it behaves ───────────────────────────────────────────────────────────────────

    def set_clock(self, at: datetime, *, runs: bool = False) -> None:
        self._tell("clock", at=at.timestamp(), runs=runs)

    def advance(self, seconds: float) -> None:
        """Its clock jumps ahead; what was due meanwhile is delivered or thrown away."""
        self._tell("advance", seconds=seconds)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._tell("settle")["now"], UTC)

    def script(self, *faults: Fault) -> None:
        """These go wrong next, in this order."""
        self._tell("faults", faults=[asdict(fault) for fault in faults])

    def chance(self, *chances: tuple[float, Fault], seed: int = 0) -> None:
        """Each request meets one of these with its probability, until `clear`."""
        self._tell(
            "chance", chances=[(share, asdict(fault)) for share, fault in chances], seed=seed
        )

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self._tell("clear")

    def pace(self, seconds: float) -> None:
        """So long each mail/send takes before it is looked at."""
        self._tell("pace", seconds=seconds)

    def leash(self, most: int) -> None:
        """Once it took so many copies, each mail/send waits until the leash is longer."""
        self._tell("leash", most=most)

    def keys(self, keys: Mapping[str, Iterable[str]]) -> None:
        """These keys and no others, each with what it may do (server.PERMISSIONS)."""
        self._tell("keys", keys={key: sorted(may) for key, may in keys.items()})

    def revoke(self, after: int = 0) -> None:
        """Every key is revoked once so many more requests were answered."""
        self._tell("revoke", after=after)

    def _tell(self, what: str, **asked: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.url}/_control/{what}", json.dumps(asked).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            answer: dict[str, Any] = json.load(reply)
            return answer

    # ── what it knows ────────────────────────────────────────────────────────────────────

    def delivered(self) -> dict[str, int]:
        """Of each delivery (custom_args.delivery), how many copies lie in an inbox."""
        self._tell("settle")
        return self._truth.copies("delivered")

    def discarded(self) -> dict[str, int]:
        """Of each delivery, how many copies were cancelled or expired and thrown away."""
        self._tell("settle")
        return self._truth.copies("discarded", "expired")

    def reaching(self) -> dict[str, int]:
        """Of each delivery, how many copies are in an inbox or on their way there."""
        self._tell("settle")
        return self._truth.reaching()

    def accepted(self) -> int:
        """All copies it ever took, cancelled ones too; also after it was closed."""
        return self._truth.accepted()

    def inbox(self, delivery: str = "") -> list[Copy]:
        """The letters themselves, as readers have them."""
        self._tell("settle")
        return self._truth.inbox(delivery)

    def requests(self, what: str = "") -> list[tuple[str, int, str, int]]:
        """(what, status or 0, fault, copies taken) of each request; what: send, batch, hold."""
        return self._truth.requests(what)

    def bodies(self) -> list[dict[str, Any]]:
        """Each accepted mail as it was posted."""
        return self._truth.bodies()

    # ── what it posts ────────────────────────────────────────────────────────────────────

    @property
    def public_key(self) -> str:
        """Of the signed event webhook."""
        return self.signer.public_key

    def events(self, *whats: str, copies: Sequence[Copy] | None = None) -> list[dict[str, Any]]:
        """An event of each kind for each copy in an inbox, or for these copies."""
        at = self.now().timestamp()
        chosen = self.inbox() if copies is None else copies
        return [event_of(copy, what, at) for what in whats for copy in chosen]

    def postings(
        self, events: Sequence[Mapping[str, Any]], most: int = MOST_EVENTS
    ) -> list[Posting]:
        """Signed now, in batches of at most so many."""
        at = self.now().timestamp()
        return [
            posting(self.signer, events[start : start + most], at)
            for start in range(0, len(events), most)
        ]
