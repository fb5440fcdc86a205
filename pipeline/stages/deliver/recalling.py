"""What a stop takes back from a provider: asked for until it is known, or too late."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from pipeline.model.letters import DeliveryState, IssueState, Recall, Recalling
from pipeline.model.log import Operation
from pipeline.owners import is_dead, this_process
from pipeline.ports import Ports, Tables

#: There are minutes only. Who asks for longer is joined by another one, which harms nobody.
LEASE = timedelta(seconds=90)


@dataclass(frozen=True, slots=True)
class CalledBack:
    """What became of copies that a stop took back after their provider had taken them."""

    called_back: int = 0  #: they do not leave
    gone: int = 0  #: too late, or refused: they leave, or have left
    unknown: int = 0  #: nobody knows
    waiting: int = 0  #: it could not be asked; the next run asks again
    why: str = ""  #: some were not called back
    issues: tuple[tuple[str, IssueState], ...] = field(default=(), compare=False)  #: (ref, state)

    def __bool__(self) -> bool:
        return bool(self.called_back or self.gone or self.unknown or self.waiting)

    def __add__(self, other: CalledBack) -> CalledBack:
        return CalledBack(
            self.called_back + other.called_back,
            self.gone + other.gone,
            self.unknown + other.unknown,
            self.waiting + other.waiting,
            other.why or self.why,
            (*self.issues, *other.issues),
        )


def call_back(ports: Ports) -> CalledBack:
    """Ask for all that stops took back from a provider, and write what came of it.

    What is to be called back stands in the ledger, so that it can be killed at any moment and
    run again, by whoever comes next; several at once ask twice and write once.

    Raises: Down when the store cannot be reached
    """
    done, asked, left_by = CalledBack(), set[str](), set[str]()
    while copies := _take(ports, asked):
        batch, transport = copies[0].batch, copies[0].copy.transport
        asked.add(batch.provider_id)
        left_by.add(transport)
        if transport == ports.transport.name:
            went = ports.transport.call_back(batch)
        else:
            said = f"it left by {transport}, and mail leaves by {ports.transport.name} now"
            went = Recall("stays", said)
        done += _write(ports, copies, went)
    if ports.transport.name in left_by:
        ports.transport.finish()  # of one that was not asked another thread may hold the line
    return done


def _take(ports: Ports, asked: Collection[str]) -> Sequence[Recalling]:
    """The next batch, ours before anybody is asked for it.

    One at a time: of what waits for its turn nobody has asked, and should we be slow or die, it
    is still known that the provider has it.
    """
    now = ports.clock.now()
    with ports.store.write() as tables:
        for dead in filter(is_dead, tables.deliveries.holders()):
            tables.deliveries.end_leases(dead, now)
        return tables.deliveries.take_recalls(this_process(), now + LEASE, now, asked)


def _write(ports: Ports, copies: Sequence[Recalling], went: Recall) -> CalledBack:
    now = ports.clock.now()
    done = CalledBack()
    with ports.store.write() as tables:
        for issue_id in sorted({one.copy.issue_id for one in copies}):
            ours = [one for one in copies if one.copy.issue_id == issue_id]
            counts = tables.deliveries.end_recall(ours, went, now)
            of_issue = _tally(counts, went)
            if of_issue and not of_issue.waiting:
                _log(ports, tables, issue_id, of_issue)
                moved = tables.deliveries.move_on(issue_id, now)
                of_issue = replace(of_issue, issues=((moved.ref, moved.state),))
            done += of_issue
    return done


def _tally(counts: Mapping[DeliveryState, int], went: Recall) -> CalledBack:
    summed = Counter(counts)
    return CalledBack(
        called_back=summed["withheld"],
        gone=summed["accepted"],
        unknown=summed["unknown"],
        waiting=summed["recalling"],
        why=went.why if summed.total() else "",
    )


def _log(ports: Ports, tables: Tables, issue_id: int, done: CalledBack) -> None:
    issue = tables.letters.by_id(issue_id)
    after = {
        "called_back": done.called_back,
        "left_after_all": done.gone,
        "unknown": done.unknown,
        "reason": done.why,
    }
    tables.log.add(
        Operation(
            actor=ports.actor,
            verb="call back",
            subject=f"issue:{issue.public_id}",
            at=ports.clock.now(),
            after={name: value for name, value in after.items() if value},
        )
    )
