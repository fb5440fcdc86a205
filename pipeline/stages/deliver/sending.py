"""Sends what is due: settle doubts, claim, mark, move, settle; each copy once, whatever dies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pipeline.errors import BadInput, Conflict, Down
from pipeline.model.catalog import Newsletter
from pipeline.model.letters import (
    Beat,
    BeatState,
    Delivery,
    DeliveryState,
    Envelope,
    Fate,
    Issue,
    IssueState,
    Purpose,
    Receipt,
    Variant,
)
from pipeline.owners import is_dead, this_process
from pipeline.ports import Ports, Tables
from pipeline.rules.letters.envelope import envelope
from pipeline.rules.letters.ledger import OPEN, finish
from pipeline.rules.letters.mime import message_id
from pipeline.rules.letters.rhythm import late_decision

CHUNK = 200
#: How long a run may be silent before others take over what it holds.
LEASE_S = 120
GONE = "its newsletter is no longer in the files"


@dataclass(frozen=True, slots=True)
class IssueDelivered:
    """How one issue fared in this run."""

    ref: str
    state: IssueState
    reason: str = ""
    counts: tuple[tuple[str, int], ...] = ()  #: (delivery state, copies), of this run


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a run did; nothing due is an answer too."""

    issues: tuple[IssueDelivered, ...] = ()
    settled_doubts: int = 0  #: copies that a run which died had left between sent and known
    next_due_at: datetime | None = None  #: when there is something to send again; None: nothing

    def total(self, state: str) -> int:
        """Copies of all issues that came to this state."""
        return sum(dict(issue.counts).get(state, 0) for issue in self.issues)


def deliver(ports: Ports, *, chunk: int = CHUNK, lease_s: int = LEASE_S) -> Delivered:
    """Send every copy that is due and may go out; can be killed at any moment and run again.

    Several runs at once share the work. A copy that a dead run left in doubt is looked up
    where the transport remembers what it moved; elsewhere it becomes `unknown` and is never
    sent again by itself.

    Units:  chunk, copies per claim; lease_s, seconds
    Raises: Down when the transport or the store can take no more; what went out is on record
    """
    run = _Run(ports, this_process(), chunk, timedelta(seconds=lease_s))
    doubts = run.settle_doubts()
    with ports.store.read() as tables:
        due = tables.deliveries.due(ports.clock.now())
    issues = tuple(run.issue(issue_id) for issue_id in due)
    ports.transport.finish()
    with ports.store.read() as tables:
        next_due_at = tables.deliveries.next_due(ports.clock.now())
    return Delivered(issues, doubts, next_due_at)


@dataclass(slots=True)
class _Run:
    """One call of `deliver`."""

    ports: Ports
    owner: str
    chunk: int
    lease: timedelta
    variants: dict[int, Variant] = field(default_factory=dict)

    # ── what a dead run left ─────────────────────────────────────────────────────────────

    def settle_doubts(self) -> int:
        """Copies between sent and known, of runs that died: find out, or say that nobody knows."""
        now = self.ports.clock.now()
        with self.ports.store.write() as tables:
            for owner in filter(is_dead, tables.deliveries.holders()):
                tables.deliveries.end_leases(owner, now)
        with self.ports.store.read() as tables:
            doubts = tables.deliveries.in_doubt(now)
        for start in range(0, len(doubts), self.chunk):
            self._settle_doubts(doubts[start : start + self.chunk])
        return len(doubts)

    def _settle_doubts(self, doubts: Sequence[Delivery]) -> None:
        fates = self.ports.transport.fates([one.public_id for one in doubts])
        by_fate: dict[Fate, list[Delivery]] = {"left": [], "not_left": [], "unknown": []}
        for one in doubts:
            by_fate[fates[one.public_id]].append(one)
        with self.ports.store.write() as tables:
            now = self.ports.clock.now()
            tables.deliveries.give_back(by_fate["not_left"], "a run died before sending it", now)
            found, nobody = "found after a crash", "a run died while sending it"
            known = [(one, Receipt(one.public_id, "accepted", found)) for one in by_fate["left"]]
            known += [
                (one, Receipt(one.public_id, "unknown", nobody)) for one in by_fate["unknown"]
            ]
            tables.deliveries.settle(known, now)

    # ── one issue ────────────────────────────────────────────────────────────────────────

    def issue(self, issue_id: int) -> IssueDelivered:
        """Send one issue's due copies, and close it when its last one has settled."""
        begun = self._begin(issue_id)
        if isinstance(begun, IssueDelivered):
            return begun
        issue, newsletter = begun
        self.variants.clear()
        before = self._counts(issue)
        total = sum(before.get(state, 0) for state in OPEN)
        counts: Counter[str] = Counter()
        while claimed := self._claim(issue_id):
            counts.update(self._send(issue, newsletter, claimed))
            self.ports.progress(min(counts.total(), total), total, f"sending {issue.ref}")
        counts["withheld"] = self._counts(issue).get("withheld", 0) - before.get("withheld", 0)
        state, reason = self._close(issue)
        return IssueDelivered(issue.ref, state, reason, _tidy(counts))

    def _counts(self, issue: Issue) -> Mapping[DeliveryState, int]:
        with self.ports.store.read() as tables:
            return _by_state(tables.deliveries.counts(issue.id))

    def _begin(self, issue_id: int) -> tuple[Issue, Newsletter] | IssueDelivered:
        """Move the issue to `sending`, unless its time is past or it was stopped meanwhile."""
        now = self.ports.clock.now()
        with self.ports.store.write() as tables:
            issue = tables.letters.by_id(issue_id)
            newsletter = self.ports.catalog.newsletter(issue.newsletter_key)
            if newsletter is None:
                return _give_up(tables, issue, "stopped", GONE, now)
            if issue.state == "scheduled":
                # who approves after the beat wants it to go out now; a review is given in full
                since = max(
                    issue.due_at,
                    issue.approved_at or issue.due_at,
                    issue.review_until or issue.due_at,
                )
                due = replace(_beat(issue), due_at=since)
                if late_decision(newsletter.rhythm, due, now) == "missed":
                    reason = f"{_hours(now - since)} late: it does not go out any more"
                    return _give_up(tables, issue, "missed", reason, now)
            try:
                tables.letters.set_state(issue_id, "sending", expect=("scheduled", "sending"))
            except Conflict:
                return IssueDelivered(issue.ref, tables.letters.by_id(issue_id).state)
        return issue, newsletter

    def _claim(self, issue_id: int) -> Sequence[Delivery]:
        now = self.ports.clock.now()
        with self.ports.store.write() as tables:
            return tables.deliveries.claim(issue_id, self.owner, now + self.lease, now, self.chunk)

    def _send(
        self, issue: Issue, newsletter: Newsletter, claimed: Sequence[Delivery]
    ) -> Mapping[str, int]:
        """Build, mark as attempting, move, settle; counts per state."""
        built = dict(self._build(issue, newsletter, claimed))
        with self.ports.store.write() as tables:
            domain = self.ports.catalog.firm.mail_domain
            named = [replace(one, message_id=message_id(one.public_id, domain)) for one in claimed]
            ours = tables.deliveries.attempting(named, self.ports.clock.now())
        copies = {one.public_id: one for one in ours}
        made = [(one, built[one.public_id]) for one in ours]
        receipts = [(one, what) for one, what in made if isinstance(what, Receipt)]
        envelopes = [what for _, what in made if isinstance(what, Envelope)]
        try:
            for receipt in self.ports.transport.send(envelopes):
                receipts.append((copies[receipt.delivery_public_id], receipt))
        except Down as down:
            settled = {one.id for one, _ in receipts}
            self._settle(receipts, [one for one in ours if one.id not in settled], down.message)
            raise
        return self._settle(receipts)

    def _build(
        self, issue: Issue, newsletter: Newsletter, claimed: Sequence[Delivery]
    ) -> Iterator[tuple[str, Envelope | Receipt]]:
        """Each copy's message; a copy that cannot be made is refused, and the others go on."""
        self._read_variants(claimed)
        firm = self.ports.catalog.firm
        for one in claimed:
            try:
                variant = self.variants[one.variant_id]
                yield one.public_id, envelope(one, variant, issue, newsletter, firm)
            except BadInput as wrong:
                yield one.public_id, Receipt(one.public_id, "refused", wrong.message)

    def _read_variants(self, claimed: Sequence[Delivery]) -> None:
        missing = {one.variant_id for one in claimed} - set(self.variants)
        if missing:
            with self.ports.store.read() as tables:
                self.variants |= {one: tables.letters.variant(one) for one in missing}

    def _settle(
        self,
        receipts: Sequence[tuple[Delivery, Receipt]],
        left: Sequence[Delivery] = (),
        why: str = "",
    ) -> Mapping[str, int]:
        now = self.ports.clock.now()
        with self.ports.store.write() as tables:
            tables.deliveries.give_back(left, why, now)
            return tables.deliveries.settle(receipts, now)

    def _close(self, issue: Issue) -> tuple[IssueState, str]:
        """Sent, partly sent or missed when no copy is open any more; else as it stands."""
        with self.ports.store.write() as tables:
            now_is = tables.letters.by_id(issue.id)
            end = finish(_by_state(tables.deliveries.counts(issue.id)))
            if end is None or now_is.state != "sending":
                return now_is.state, now_is.reason
            try:
                tables.letters.set_state(issue.id, end[0], reason=end[1], expect=("sending",))
            except Conflict:  # another run closed it, or somebody stopped it, this very moment
                return tables.letters.by_id(issue.id).state, ""
            kept: BeatState = "missed" if end[0] == "missed" else "kept"
            tables.letters.record_beat(issue.newsletter_key, _beat(issue), kept, end[1])
            return end


def _give_up(
    tables: Tables, issue: Issue, state: IssueState, reason: str, now: datetime
) -> IssueDelivered:
    """Nothing of this issue goes out now; every copy says why."""
    withheld = tables.deliveries.withhold_planned(issue.id, state, now)
    tables.letters.set_state(issue.id, state, reason=reason)
    if state == "missed":
        tables.letters.record_beat(issue.newsletter_key, _beat(issue), "missed", reason)
    return IssueDelivered(issue.ref, state, reason, (("withheld", withheld),))


def _tidy(counts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((state, number) for state, number in counts.items() if number > 0))


def _beat(issue: Issue) -> Beat:
    return Beat(issue.beat_on, issue.due_at, issue.beat_on)


def _by_state(
    counts: Mapping[tuple[Purpose, DeliveryState], int],
) -> Mapping[DeliveryState, int]:
    summed: Counter[DeliveryState] = Counter()
    for (_, state), number in counts.items():
        summed[state] += number
    return summed


def _hours(late: timedelta) -> str:
    hours = int(late / timedelta(hours=1))
    return f"{hours} hours" if hours < 72 else f"{hours // 24} days"
