"""Copies of one issue on their way: built, marked as leaving, moved, and settled as they come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pipeline.errors import BadInput, Down
from pipeline.model.catalog import Newsletter
from pipeline.model.letters import Batch, Delivery, Envelope, Issue, Receipt, Variant
from pipeline.ports import Ports, Tables
from pipeline.rules.letters import ledger
from pipeline.rules.letters.envelope import envelope
from pipeline.rules.letters.mime import message_id
from pipeline.stages.deliver.lateness import day_at_home

#: Receipts are written when there are so many, or when the first has waited so long.
GROUP = 50
GROUP_FOR = timedelta(seconds=5)

ASKED_TO_STOP = "we were asked to stop before it left"
NO_RECEIPT = "the transport said nothing of it"


@dataclass(slots=True)
class Moving:
    """One run's copies of one issue."""

    ports: Ports
    issue: Issue
    newsletter: Newsletter
    lease: timedelta
    group: int  #: so many copies are on their way at once
    counts: Counter[str] = field(default_factory=Counter)  #: by what they came to
    variants: dict[int, Variant] = field(default_factory=dict)
    #: Marked as leaving, and without a receipt.
    leaving: dict[str, Delivery] = field(default_factory=dict)
    #: Claimed, and not yet marked.
    waiting: list[Delivery] = field(default_factory=list)
    #: Receipts that are not written yet.
    receipts: list[tuple[Delivery, Receipt]] = field(default_factory=list)
    written_at: datetime | None = None

    def send(self, claimed: Sequence[Delivery]) -> None:
        """Move what was claimed; what does not get its turn is given back.

        Raises: Down when the transport can take no more; what went out is on record
        """
        made = dict(self._build(claimed))
        self.waiting = list(claimed)
        self.written_at = self.ports.clock.now()
        while self.waiting and not self.ports.stopping():
            self._send_group(made)
        self._write(release=ASKED_TO_STOP)

    def _send_group(self, made: Mapping[str, Envelope | Receipt]) -> None:
        try:
            batch = self.ports.transport.open_batch()
        except Down as down:
            self._write(release=down.message)
            raise
        ours = self._mark(batch)
        for one in ours:
            what = made[one.public_id]
            if isinstance(what, Receipt):
                self.receipts.append((one, what))
            else:
                self.leaving[one.public_id] = one
        copies = [what for one in ours if isinstance(what := made[one.public_id], Envelope)]
        if copies:
            self._move(copies, batch)

    def _mark(self, batch: Batch | None) -> Sequence[Delivery]:
        """Write durably that the next group begins to leave; those that are still ours.

        What the last group came to is written with it. No more begin than the limits leave;
        the others are given back.
        """
        domain = self.ports.catalog.firm.mail_domain
        with self.ports.store.write() as tables:
            left = allowance(self.ports, tables).left
            number = self.group if left is None else min(self.group, left)
            group, self.waiting = self.waiting[:number], self.waiting[number:]
            if left is not None and len(group) == left:
                tables.deliveries.release(self.waiting, "")
                self.waiting = []
            now = self.ports.clock.now()
            self._settle(tables, now)
            named = [replace(one, message_id=message_id(one.public_id, domain)) for one in group]
            return tables.deliveries.attempting(
                named,
                now,
                lease_until=now + self.lease,
                transport=self.ports.transport.name,
                batch=batch,
                on=day_at_home(self.newsletter, now),
            )

    def _move(self, copies: Sequence[Envelope], batch: Batch | None) -> None:
        begun: set[str] = set()
        receipts = self._receipts(self._feed(copies, begun, batch), batch)
        while True:
            try:
                receipt = next(receipts, None)
            except Down as down:
                self._write(give_back=down.message, release=down.message)
                raise
            if receipt is None:
                break
            self._take(receipt)
            # a batch is called back as a whole: until it is through, none of it is settled
            if self._is_time() or (batch is None and len(self.receipts) >= GROUP):
                self._write(settle=batch is None)
        self._end(begun)
        if batch is not None:
            self._write()

    def _receipts(self, copies: Iterator[Envelope], batch: Batch | None) -> Iterator[Receipt]:
        """As they come; whatever the transport raises, it raises when it is asked for one."""
        yield from self.ports.transport.send(copies, batch)

    def _feed(
        self, copies: Sequence[Envelope], begun: set[str], batch: Batch | None
    ) -> Iterator[Envelope]:
        """What the transport takes, one after the other; not what we lost meanwhile."""
        for copy in copies:
            if batch is None and self.ports.stopping():
                return
            if copy.delivery_public_id in self.leaving:
                begun.add(copy.delivery_public_id)
                yield copy

    def _take(self, receipt: Receipt) -> None:
        one = self.leaving.pop(receipt.delivery_public_id, None)
        if one is not None:
            self.receipts.append((one, receipt))

    def _end(self, begun: set[str]) -> None:
        """The transport is through: what it never asked for did not leave."""
        for public_id in begun & set(self.leaving):
            self._take(Receipt(public_id, "unknown", NO_RECEIPT))
        if self.leaving:
            self._write(give_back=ASKED_TO_STOP)

    # ── writing ──────────────────────────────────────────────────────────────────────────

    def _is_time(self) -> bool:
        """Whether what came has waited long enough; also when the clock was set back meanwhile."""
        waited = self.ports.clock.now() - (self.written_at or self.ports.clock.now())
        return not timedelta(0) <= waited < GROUP_FOR

    def _write(self, *, settle: bool = True, give_back: str = "", release: str = "") -> None:
        """Settle what has come, and hold the rest longer, or let it go for these reasons."""
        if not (self.receipts or self.leaving or self.waiting):
            return
        with self.ports.store.write() as tables:
            now = self.ports.clock.now()
            if settle:
                self._settle(tables, now)
            if give_back:
                tables.deliveries.give_back([*self.leaving.values()], give_back, now)
                self.leaving = {}
            if release:
                tables.deliveries.release(self.waiting, release)
                self.waiting = []
            self._hold(tables, now)
        self.written_at = now

    def _settle(self, tables: Tables, now: datetime) -> None:
        done = tables.deliveries.settle(self.receipts, now, self.newsletter.unknown)
        self.counts.update(done)
        self.receipts = []

    def _hold(self, tables: Tables, now: datetime) -> None:
        """Whoever else took one of ours, because we were slow, keeps it."""
        held = [*self.leaving.values(), *self.waiting]
        if held:
            ours = tables.deliveries.extend(held, now + self.lease)
            self.leaving = {key: one for key, one in self.leaving.items() if one.id in ours}
            self.waiting = [one for one in self.waiting if one.id in ours]

    # ── building ─────────────────────────────────────────────────────────────────────────

    def _build(self, claimed: Sequence[Delivery]) -> Iterator[tuple[str, Envelope | Receipt]]:
        """Each copy's message; a copy that cannot be made is refused, and the others go on."""
        self._read_variants(claimed)
        firm = self.ports.catalog.firm
        for one in claimed:
            try:
                variant = self.variants[one.variant_id]
                yield one.public_id, envelope(one, variant, self.issue, self.newsletter, firm)
            except BadInput as wrong:
                yield one.public_id, Receipt(one.public_id, "refused", wrong.message)

    def _read_variants(self, claimed: Sequence[Delivery]) -> None:
        missing = {one.variant_id for one in claimed} - set(self.variants)
        if missing:
            with self.ports.store.read() as tables:
                self.variants |= {one: tables.letters.variant(one) for one in missing}


def allowance(ports: Ports, tables: Tables) -> ledger.Allowance:
    """How many copies may begin to leave now; in a writing transaction nobody else counts.

    Both ways around now: a clock that was ahead has stamped attempts with times to come.
    """
    limits = ports.limits
    if not limits.per_hour and not limits.per_day:
        return ledger.Allowance(None)
    tables.deliveries.lock_attempts()
    now = ports.clock.now()
    hour = tables.deliveries.attempts_between(now - ledger.HOUR, now + ledger.HOUR)
    day = tables.deliveries.attempts_between(now - ledger.DAY, now + ledger.DAY)
    return ledger.allowance(limits.per_hour, limits.per_day, hour, day)
