"""The way out of doubt: a batch that is called back in time leaves nobody a letter."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal
from urllib.parse import quote

from pipeline.errors import Down
from pipeline.model.letters import Batch
from pipeline.transports.sendgrid.answers import down, said, unreachable
from pipeline.transports.sendgrid.wire import Answer, Unanswered, Unasked, Wire

#: A batch opened now leaves in so long, or later.
AHEAD = timedelta(minutes=15)
#: Until so long before it leaves it can surely be called back.
SURE = timedelta(minutes=10)
#: At the full hour everybody sends.
RUSH = timedelta(minutes=2)
#: Our clock and theirs may differ by so much.
APART = timedelta(minutes=2)

BATCHES = "/v3/mail/batch"
SCHEDULED = "/v3/user/scheduled_sends"
#: Before they are asked for the second, third … time.
PAUSES_S = (0.5, 2.0, 5.0, 10.0, 20.0)

_ID = re.compile(r"[\x21-\x7e]{1,200}")


def leaving_at(now: datetime) -> datetime:
    """When a batch that is opened now leaves: a whole second, and not about the full hour.

    Units:  aware UTC
    """
    at = (now + AHEAD).replace(microsecond=0) + timedelta(seconds=1)
    hour = (at + RUSH).replace(minute=0, second=0)
    return max(at, hour + RUSH + timedelta(seconds=1))


@dataclass(frozen=True, slots=True)
class Recall:
    """How calling a batch back went."""

    #: stays: it surely was not called back; unsure: it may have been
    word: Literal["called_back", "stays", "unsure"]
    down: Down | None = None  #: why they could not be asked; asking later may help
    why: str = ""  #: it was not, or may not have been


@dataclass(frozen=True, slots=True)
class Batches:
    """Opens batches and calls them back."""

    wire: Wire
    now: Callable[[], datetime]
    pauses_s: tuple[float, ...] = PAUSES_S
    heed_date: bool = False  #: their Date counts too; not where our clock is a pretended one

    def open(self) -> Batch:
        """A new batch.

        Raises: Down
        """
        try:
            answer = self.wire.ask("POST", BATCHES)
        except (Unasked, Unanswered) as error:
            raise unreachable(self.wire.url, error) from error
        answered = answer.json()
        batch_id = answered.get("batch_id") if isinstance(answered, dict) else None
        if not isinstance(batch_id, str) or not _ID.fullmatch(batch_id) or answer.status >= 300:
            raise down(answer, self.wire.url)
        self._compare_clocks(answer)
        return Batch(batch_id, leaving_at(self.now()))

    def probe(self) -> None:
        """Go as far as asking what became of an empty batch.

        Raises: Down, also when the key may send and may not call back
        """
        batch = self.open()
        try:
            answer = self.wire.ask("GET", _address(batch))
        except (Unasked, Unanswered) as error:
            raise unreachable(self.wire.url, error) from error
        if answer.status in (401, 403):
            raise down(answer, self.wire.url)

    def is_in_time(self, batch: Batch, spare: timedelta = timedelta(0)) -> bool:
        """Whether a batch can surely be called back, now and as long as spare says."""
        return self.now() + spare <= batch.send_at - SURE

    def call_back(self, batch: Batch) -> Recall:
        """Cancel a batch: what was accepted in it, and what still comes, is thrown away.

        Asked a few times, and only while the answer can be relied upon.
        """
        may_have_heard = False
        problem: Down | None = None
        words = "there was no time left"
        for pause_s in (0.0, *self.pauses_s):
            time.sleep(pause_s)
            if not self.is_in_time(batch):
                break
            try:
                answer = self._cancel(batch)
            except (Unasked, Unanswered) as error:
                may_have_heard = may_have_heard or isinstance(error, Unanswered)
                problem, words = unreachable(self.wire.url, error), str(error)
                continue
            if answer.status < 300:
                if self._was_in_time(batch, answer):
                    return Recall("called_back")
                return Recall("unsure", why="it took the word too late to rely on it")
            problem, words = down(answer, self.wire.url), said(answer) or str(answer.status)
            if answer.status in (400, 404, 409):
                return Recall("unsure" if may_have_heard else "stays", why=words)
            if answer.status in (401, 403):
                break
            may_have_heard = may_have_heard or answer.status >= 500
        return Recall("unsure" if may_have_heard else "stays", problem, words)

    def _cancel(self, batch: Batch) -> Answer:
        """Cancel once; the answer below 300 that says it is cancelled, or another one.

        A batch takes one word only: a second one is refused, and then they are asked what the
        first one was.

        Raises: Unasked, Unanswered
        """
        payload = json.dumps({"batch_id": batch.provider_id, "status": "cancel"}).encode()
        answer = self.wire.ask("POST", SCHEDULED, payload)
        if answer.status not in (400, 409):
            return answer
        listed = self.wire.ask("GET", _address(batch))
        return listed if listed.status == 200 and _is_cancelled(listed, batch) else answer

    def _was_in_time(self, batch: Batch, answer: Answer) -> bool:
        theirs = _date(answer) if self.heed_date else None
        return self.is_in_time(batch) and (theirs is None or theirs <= batch.send_at - SURE)

    def _compare_clocks(self, answer: Answer) -> None:
        """A batch by a wrong clock may leave at once, and cannot be called back.

        Raises: Down
        """
        theirs = _date(answer) if self.heed_date else None
        if theirs is not None and abs(theirs - self.now()) > APART:
            minutes = round(abs(theirs - self.now()) / timedelta(minutes=1))
            raise Down(
                f"This machine’s clock and SendGrid’s are {minutes} minutes apart.",
                "Let this machine keep time by the network (NTP), then run this again.",
            )


def _address(batch: Batch) -> str:
    return f"{SCHEDULED}/{quote(batch.provider_id, safe='')}"


def _is_cancelled(answer: Answer, batch: Batch) -> bool:
    answered = answer.json()
    listed = answered if isinstance(answered, list) else [answered]
    return any(
        isinstance(one, dict)
        and one.get("batch_id") == batch.provider_id
        and one.get("status") == "cancel"
        for one in listed
    )


def _date(answer: Answer) -> datetime | None:
    try:
        at = parsedate_to_datetime(answer.headers.get("date", ""))
    except (ValueError, OverflowError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
