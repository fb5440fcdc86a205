"""Sends through SendGrid's v3 API: up to a thousand copies a request, and one way out of doubt.

What is posted leaves at its batch's time, a quarter of an hour later. Until ten minutes before
that the whole batch can be called back. So a request of which nobody knows whether it was
taken is not weighed: the batch is called back, and all of it may be sent again in a new one.
Because that throws away what the same batch had already taken, no copy's receipt is given
before all of the batch is through.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pipeline.errors import BadInput, Down
from pipeline.model.letters import Batch, Envelope, Fate, Recall, Receipt, SendOutcome
from pipeline.settings import SendGridSettings
from pipeline.transports.sendgrid import answers
from pipeline.transports.sendgrid.batches import PAUSES_S, Batches
from pipeline.transports.sendgrid.body import MAX_COPIES, Copy, compose, encoded, groups
from pipeline.transports.sendgrid.limits import Fault, faults
from pipeline.transports.sendgrid.parts import content_of
from pipeline.transports.sendgrid.wire import Unanswered, Unasked, Wire

SEND = "/v3/mail/send"
TOO_OLD = "the batch is too old to be called back"
TOO_LATE = "too late to call it back from SendGrid"

Group = tuple[Copy, ...]


def _chance() -> str:
    return secrets.token_hex(10)


class SendGridTransport:
    """Fits `Transport`."""

    name = "sendgrid"
    batch_size = MAX_COPIES

    def __init__(
        self,
        settings: SendGridSettings,
        now: Callable[[], datetime],
        *,
        pauses_s: tuple[float, ...] = PAUSES_S,
        heed_date: bool = False,
        chance: Callable[[], str] = _chance,
    ) -> None:
        """Calls nobody before there is something to ask.

        Shape:  pauses_s, before calling a batch back for the second, third … time; heed_date,
                their clock counts too, where ours is the machine's
        Units:  now gives aware UTC
        Raises: BadInput when the key cannot be one
        """
        self._wire = Wire(settings.url, settings.key, settings.timeout_s)
        self._batches = Batches(self._wire, now, pauses_s, heed_date)
        self._sandbox = settings.sandbox
        # sending may take a timeout, and waiting for the answer another one
        self._longest = timedelta(seconds=2 * settings.timeout_s)
        self._chance = chance

    def open_batch(self) -> Batch:
        """A batch that leaves in a quarter of an hour.

        Raises: Down
        """
        return self._batches.open()

    def send(self, envelopes: Iterable[Envelope], batch: Batch | None = None) -> Iterator[Receipt]:
        """Post all copies, then say how each fared; those of one batch are settled together.

        Without a batch (mail among ourselves) they leave at once, and a doubt is `unknown`.

        Raises: Down when none can be moved any more, SenderRefused when none of one sender;
                copies without a receipt did not leave
        """
        posting = _Posting(
            self._wire, self._batches, batch, self._sandbox, self._longest, self._chance
        )
        posting.post_all(envelopes)
        yield from posting.receipts()
        if posting.down is not None:
            raise posting.down

    def fates(
        self, delivery_public_ids: Sequence[str], batch: Batch | None = None
    ) -> Mapping[str, Fate]:
        """Call the batch back; when that is too late, only events can tell.

        Raises: Down when they cannot be asked and there still is time to ask later
        """
        fate: Fate = "unknown"
        if batch is not None and delivery_public_ids:
            called = self._batches.call_back(batch)
            if called.word == "called_back":
                fate = "not_left"
            elif called.down is not None and self._batches.is_in_time(batch):
                raise called.down
        return dict.fromkeys(delivery_public_ids, fate)

    def can_call_back(self, batch: Batch) -> bool:
        """Whether it leaves in more than ten minutes."""
        return self._batches.is_in_time(batch)

    def call_back(self, batch: Batch) -> Recall:
        """Cancel the batch, if there still is time; asked a few times where they do not hear."""
        if not self.can_call_back(batch):
            return Recall("stays", TOO_LATE)
        called = self._batches.call_back(batch)
        if called.word == "called_back":
            return Recall("called_back")
        why = f"SendGrid could not be made to give it back: {called.why}"
        return Recall(called.word, why, called.down is not None and self.can_call_back(batch))

    def probe(self) -> str:
        """Open a batch, leave it empty, and see that it could be called back.

        Raises: Down
        """
        self._batches.probe()
        where = "its sandbox: nothing leaves" if self._sandbox else "it sends"
        return f"SendGrid answers at {self._wire.url} and takes our key; {where}."

    def finish(self) -> None:
        """Hang up."""
        self._wire.close()


@dataclass(slots=True)
class _Posting:
    """The requests of one call of `send`."""

    wire: Wire
    batches: Batches
    batch: Batch | None
    sandbox: bool
    longest: timedelta
    chance: Callable[[], str]
    settled: list[Receipt] = field(default_factory=list)  #: whatever becomes of the batch
    taken: list[tuple[Copy, str]] = field(default_factory=list)
    doubtful: list[Copy] = field(default_factory=list)
    waiting: deque[Group] = field(default_factory=deque)
    doubt: str = ""
    down: Down | None = None

    def post_all(self, envelopes: Iterable[Envelope]) -> None:
        """Post request after request, until they are through or something stops them."""
        self.waiting.extend(groups(self._copies(envelopes)))
        while self.waiting and not self.doubt and self.down is None:
            if self._is_too_late():
                self._put_off_waiting(TOO_OLD)
                return
            group = self.waiting.popleft()
            self._checked_and_posted(group)

    def receipts(self) -> Iterator[Receipt]:
        """How each copy fared, once that is certain or nobody can know."""
        outcome: SendOutcome = "accepted"
        if self.doubt:
            outcome = self._out_of_doubt()
        yield from self.settled
        for copy, detail in self.taken:
            yield Receipt(copy.id, outcome, detail if outcome == "accepted" else self.doubt)

    # ── out of doubt ─────────────────────────────────────────────────────────────────────

    def _out_of_doubt(self) -> SendOutcome:
        """Call the batch back; what becomes of its copies that were accepted before."""
        word = "stays"
        if self.batch is not None:
            word = self.batches.call_back(self.batch).word
        if word == "called_back":
            self.doubt += ", so the batch was called back and goes again"
        fate: SendOutcome = "deferred" if word == "called_back" else "unknown"
        self._settle(self.doubtful, fate, self.doubt)
        self._put_off_waiting(f"not tried: {self.doubt}")
        return "accepted" if word == "stays" else fate

    def _is_too_late(self) -> bool:
        """Whether a doubt about the next request could not be resolved any more."""
        return self.batch is not None and not self.batches.is_in_time(self.batch, self.longest)

    # ── one request ──────────────────────────────────────────────────────────────────────

    def _copies(self, envelopes: Iterable[Envelope]) -> Iterator[Copy]:
        for envelope in envelopes:
            try:
                yield Copy(envelope, content_of(envelope))
            except BadInput as wrong:
                refused = Receipt(envelope.delivery_public_id, "refused", wrong.message)
                self.settled.append(refused)

    def _checked_and_posted(self, group: Group) -> None:
        body = compose(group, batch=self.batch, sandbox=self.sandbox, chance=self.chance)
        payload = encoded(body)
        found = faults(body, len(payload), self.batches.now())
        if found:
            self._without(group, found)
        else:
            self._post(group, payload)

    def _without(self, group: Group, found: Sequence[Fault]) -> None:
        """Refuse the copies at fault, or all when it is the request; the others go on."""
        whole = [one for one in found if one.copy is None]
        if whole and all(one.too_big for one in whole):
            self._halve(group, whole[0].what)
        elif whole:
            self._settle(group, "refused", "; ".join(one.what for one in whole))
        else:
            self._drop(
                group, {one.copy: one.what for one in reversed(found) if one.copy is not None}
            )

    def _post(self, group: Group, payload: bytes) -> None:
        try:
            answer = self.wire.ask("POST", SEND, payload)
        except Unasked as error:
            self._stop(answers.unreachable(self.wire.url, error))
            return
        except Unanswered as error:
            self.doubtful.extend(group)
            self.doubt = f"SendGrid did not say whether it took it ({error})"
            return
        self._heed(
            group, answers.meaning(answer, self.wire.url, self.batches.now(), sandbox=self.sandbox)
        )

    def _heed(self, group: Group, meaning: answers.Meaning) -> None:
        match meaning:
            case answers.Taken(detail):
                self.taken += [(copy, detail) for copy in group]
            case answers.Rejected():
                self._rejected(group, meaning)
            case answers.TooBig():
                self._halve(group, "SendGrid finds it too big")
            case answers.TooMuch(retry_after_s):
                self._settle(group, "deferred", "SendGrid takes no more for now", retry_after_s)
                self._put_off_waiting("SendGrid takes no more for now", retry_after_s)
            case answers.Doubt(what):
                self.doubtful.extend(group)
                self.doubt = f"{what} and did not say whether it took it"
            case answers.SenderUnknown(what):
                self._stop(answers.not_from(group[0].envelope.sender, what))
            case Down():
                self._stop(meaning)

    def _rejected(self, group: Group, why: answers.Rejected) -> None:
        words = f"SendGrid refuses it: {why.what or 'it does not say why'}"
        at_fault = {number: what for number, what in why.copies.items() if number < len(group)}
        if why.ours:
            self._settle(group, "deferred", words)
        elif at_fault:
            self._drop(group, {n: f"SendGrid refuses it: {what}" for n, what in at_fault.items()})
        else:
            self._settle(group, "refused", words)

    def _drop(self, group: Group, at_fault: Mapping[int, str]) -> None:
        for number, what in at_fault.items():
            self._settle([group[number]], "refused", what)
        others = tuple(copy for number, copy in enumerate(group) if number not in at_fault)
        if others:
            self.waiting.appendleft(others)

    def _halve(self, group: Group, what: str) -> None:
        if len(group) == 1:
            self._settle(group, "refused", what)
            return
        half = len(group) // 2
        self.waiting.extendleft([group[half:], group[:half]])

    def _stop(self, down: Down) -> None:
        """Nothing of this request left, and nothing more will now."""
        self.waiting.clear()
        self.down = down

    # ── receipts ─────────────────────────────────────────────────────────────────────────

    def _settle(
        self,
        copies: Iterable[Copy],
        outcome: SendOutcome,
        what: str,
        retry_after_s: int | None = None,
    ) -> None:
        self.settled += [Receipt(copy.id, outcome, what, retry_after_s) for copy in copies]

    def _put_off_waiting(self, what: str, retry_after_s: int | None = None) -> None:
        for group in self.waiting:
            self._settle(group, "deferred", what, retry_after_s)
        self.waiting.clear()
