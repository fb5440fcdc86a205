"""Sends what is due: settle doubts, claim, mark, move, settle; each copy once, whatever dies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pipeline.errors import BadInput, Conflict, Down, SenderRefused
from pipeline.model.catalog import Newsletter
from pipeline.model.letters import Delivery, DeliveryState, Issue, IssueState
from pipeline.owners import this_process
from pipeline.ports import Ports, Tables
from pipeline.rules.letters.ledger import LONGEST_LEASE, NOBODY_HAS, OPEN
from pipeline.stages.deliver.doubts import settle_doubts
from pipeline.stages.deliver.holding import held_since
from pipeline.stages.deliver.lateness import GONE, day_at_home, too_late
from pipeline.stages.deliver.moving import Moving, allowance
from pipeline.stages.deliver.recalling import CalledBack, call_back

#: How long a run may be silent before others take over what it holds: longer than a relay
#: may take for one copy, from the connection to its last answer.
LEASE_S = 300
#: Of a transport that moves them one by one, so many copies are claimed at once.
CLAIM = 20


@dataclass(frozen=True, slots=True)
class IssueDelivered:
    """How one issue fared in this run."""

    ref: str
    state: IssueState
    reason: str = ""
    counts: tuple[tuple[str, int], ...] = ()  #: (delivery state, copies), of this run
    held: bool = False  #: since a restore, until a person says so


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a run did; nothing due is an answer too."""

    issues: tuple[IssueDelivered, ...] = ()
    recalled: CalledBack = field(default_factory=CalledBack)  #: what stops took back
    settled_doubts: int = 0  #: copies that a run which died had left between sent and known
    next_due_at: datetime | None = None  #: when there is something to send again; None: nothing
    left_in_doubt: int = 0  #: of which the transport cannot tell now; the next run asks again
    limit: str = ""  #: the limit that ended this run, in words
    stopped: bool = False  #: it was asked to stop, and left the rest to the next run

    def total(self, state: str) -> int:
        """Copies of all issues that came to this state."""
        return sum(dict(issue.counts).get(state, 0) for issue in self.issues)


def deliver(ports: Ports, *, chunk: int | None = None, lease_s: int = LEASE_S) -> Delivered:
    """Send every copy that is due and may go out; can be killed at any moment and run again.

    Several runs at once share the work. A copy that a dead run left in doubt is looked up
    where the transport remembers what it moved; elsewhere it becomes `unknown` and is never
    sent again by itself, unless its newsletter says `unknown: resend`. No more leave in an
    hour and a day than the limits allow, whoever sends. A sender whose mail is not taken
    keeps nobody else's waiting: that is raised when all others had their turn.

    Units:  chunk, copies per claim, by default what suits the transport; lease_s, seconds
    Raises: BadInput when nothing may leave as the firm is set up; Down when the transport or
            the store can take no more: what went out is on record; SenderRefused
    """
    recalled = call_back(ports)
    check_setup(ports)
    size = chunk or max(ports.transport.batch_size, CLAIM)
    lease = min(timedelta(seconds=lease_s), LONGEST_LEASE)
    run = _Run(ports, this_process(), size, lease)
    doubts = settle_doubts(ports, run.owner, lease)
    with ports.store.read() as tables:
        due = tables.deliveries.due(ports.clock.now())
    try:
        issues = [run.issue(issue_id) for issue_id in due if not run.is_stopping()]
    except Down:
        with suppress(Down):  # what stopped us is told
            ports.transport.finish()
        raise
    ports.transport.finish()
    if run.refused:
        raise run.refusal()
    return Delivered(
        issues=(*issues, *run.held()),
        recalled=recalled,
        settled_doubts=doubts.settled,
        next_due_at=run.next_due_at(),
        left_in_doubt=doubts.left,
        limit=run.limit,
        stopped=run.stopped,
    )


def check_setup(ports: Ports) -> None:
    """Raises: BadInput when letters would leave that nobody can leave, or without an address."""
    firm = ports.catalog.firm
    if not firm.postal_address.strip():
        raise BadInput(
            "The firm has no postal address, and no letter goes out without one.",
            "Write `postal_address` into firm.yaml.",
        )
    if ports.transport.name != "file" and not firm.base_url.startswith("https://"):
        raise BadInput(
            f"The base address “{firm.base_url}” is not https, and readers leave through it.",
            "Write an https address as `base_url` into firm.yaml; or write letters into "
            "output/mail with ASTERISM_TRANSPORT=file.",
        )


@dataclass(slots=True)
class _Run:
    """One call of `deliver`."""

    ports: Ports
    owner: str
    chunk: int
    lease: timedelta
    limit: str = ""
    stopped: bool = False
    #: By the sender whose mail is not taken in this run.
    refused: dict[str, SenderRefused] = field(default_factory=dict)

    def is_stopping(self) -> bool:
        """Whether we were asked to stop while something was left to do."""
        self.stopped = self.stopped or self.ports.stopping()
        return self.stopped

    def held(self) -> Sequence[IssueDelivered]:
        """Issues of which nothing goes out before a person says so."""
        with self.ports.store.read() as tables:
            why = held_since(tables)
            ids = tables.deliveries.held_since_restore(self.ports.clock.now())
            issues = [tables.letters.by_id(issue_id) for issue_id in ids]
        return [IssueDelivered(issue.ref, issue.state, why, held=True) for issue in issues]

    def next_due_at(self) -> datetime | None:
        """When there is something to send again, and the limits let it go."""
        with self.ports.store.read() as tables:
            due_at = tables.deliveries.next_due(self.ports.clock.now())
            allowed = allowance(self.ports, tables)
        if due_at is None or allowed.left != 0 or allowed.free_at is None:
            return due_at
        return max(due_at, allowed.free_at)

    # ── one issue ────────────────────────────────────────────────────────────────────────

    def issue(self, issue_id: int) -> IssueDelivered:
        """Send one issue's due copies, and close it when its last one has settled."""
        try:
            begun = self._begin(issue_id)
        except Conflict:  # somebody is at it; the next run sees how that went
            with self.ports.store.read() as tables:
                now_is = tables.letters.by_id(issue_id)
            return IssueDelivered(now_is.ref, now_is.state)
        if isinstance(begun, IssueDelivered):
            return begun
        issue, newsletter = begun
        before = self._counts(issue)
        total = sum(before.get(state, 0) for state in OPEN)
        group = min(self.chunk, self.ports.transport.batch_size)
        moving = Moving(self.ports, issue, newsletter, self.lease, group)
        while claimed := self._claim(issue_id, newsletter):
            try:
                moving.send(claimed)
            except SenderRefused as refused:
                self._go_without(refused)
            done = min(moving.counts.total(), total)
            self.ports.progress(done, total, f"sending {issue.ref}")
        moving.counts["withheld"] = self._counts(issue).get("withheld", 0) - before.get(
            "withheld", 0
        )
        state, reason = self._close(issue)
        return IssueDelivered(issue.ref, state, reason, _tidy(moving.counts))

    def _go_without(self, refused: SenderRefused) -> None:
        """This sender's copies wait for the next run; the others of this issue go on."""
        if refused.sender in self.refused:
            raise refused
        self.refused[refused.sender] = refused

    def refusal(self) -> SenderRefused:
        """What to say of all senders whose mail was not taken."""
        first, *others = self.refused.values()
        more = f" So it is with {len(others)} more of our senders." if others else ""
        return SenderRefused(
            f"{first.message}{more} Letters of other senders went on.",
            first.hint,
            sender=first.sender,
        )

    def _apart(self) -> frozenset[str]:
        """The senders whose copies are left alone; a copy that names none is the firm's."""
        firm = {""} if self.ports.catalog.firm.contact in self.refused else set[str]()
        return frozenset(self.refused) | firm

    def _counts(self, issue: Issue) -> Mapping[DeliveryState, int]:
        summed: Counter[DeliveryState] = Counter()
        with self.ports.store.read() as tables:
            for (_, state), number in tables.deliveries.counts(issue.id).items():
                summed[state] += number
        return summed

    def _begin(self, issue_id: int) -> tuple[Issue, Newsletter] | IssueDelivered:
        """Move the issue to `sending`, unless its time is past or it was stopped meanwhile."""
        now = self.ports.clock.now()
        with self.ports.store.write() as tables:
            issue = tables.letters.by_id(issue_id)
            newsletter = self.ports.catalog.newsletter(issue.newsletter_key)
            if newsletter is None:
                return _give_up(tables, issue, "stopped", GONE, now)
            late = too_late(issue, newsletter, now)
            if late and (issue.state == "scheduled" or not _has_begun(tables, issue)):
                return _give_up(tables, issue, "missed", late, now)
            if issue.state == "scheduled":
                allowed = allowance(self.ports, tables)
                if allowed.left == 0:
                    self.limit = allowed.what
                    return IssueDelivered(issue.ref, issue.state, f"it waits: {allowed.what}")
            try:
                tables.letters.set_state(issue_id, "sending", expect=("scheduled", "sending"))
            except Conflict:
                return IssueDelivered(issue.ref, tables.letters.by_id(issue_id).state)
        return issue, newsletter

    def _claim(self, issue_id: int, newsletter: Newsletter) -> Sequence[Delivery]:
        """The next copies, no more than the limits leave; none when we are asked to stop."""
        now = self.ports.clock.now()
        with self.ports.store.write() as tables:
            if self.ports.stopping():
                self.stopped = tables.deliveries.is_waiting(issue_id, now)
                return ()
            allowed = allowance(self.ports, tables)
            if allowed.left == 0:
                if tables.deliveries.is_waiting(issue_id, now):
                    self.limit = allowed.what
                return ()
            most = self.chunk if allowed.left is None else min(self.chunk, allowed.left)
            on = day_at_home(newsletter, now)
            return tables.deliveries.claim(
                issue_id, self.owner, now + self.lease, now, most, on=on, apart=self._apart()
            )

    def _close(self, issue: Issue) -> tuple[IssueState, str]:
        """Sent, partly sent or missed when no copy is open any more; else as it stands."""
        with self.ports.store.write() as tables:
            now_is = tables.deliveries.move_on(issue.id, self.ports.clock.now())
        return now_is.state, now_is.reason


def _has_begun(tables: Tables, issue: Issue) -> bool:
    """Whether a copy has left, is leaving, or may have left.

    An issue whose first try found no relay is `sending`, and nobody has it.
    """
    counts = tables.deliveries.counts(issue.id)
    return any(number for (_, state), number in counts.items() if state not in NOBODY_HAS)


def _give_up(
    tables: Tables, issue: Issue, state: IssueState, reason: str, now: datetime
) -> IssueDelivered:
    """Nothing of this issue goes out now; every copy says why.

    Raises: Conflict when another run has begun to send it meanwhile
    """
    withheld = tables.deliveries.withhold_planned(issue.id, state, now)
    leaving = any(one == "attempting" for _, one in tables.deliveries.counts(issue.id))
    if state == "missed" and leaving:
        raise Conflict(f"Issue {issue.ref} begins to leave this very moment.")
    tables.letters.set_state(issue.id, state, reason=reason)
    if state == "missed":
        tables.letters.record_beat(issue.newsletter_key, issue.beat, "missed", reason)
    return IssueDelivered(issue.ref, state, reason, (("withheld", withheld),))


def _tidy(counts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((state, number) for state, number in counts.items() if number > 0))
