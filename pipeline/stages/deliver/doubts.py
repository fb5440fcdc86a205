"""What runs that died left between sent and known: found out, or said that nobody knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from pipeline.errors import Down
from pipeline.model.catalog import UnknownPolicy
from pipeline.model.letters import Batch, Delivery, Fate, Receipt
from pipeline.owners import is_dead
from pipeline.ports import Ports, Tables

#: So many copies are asked for at once, where no batch joins them.
PAGE = 200

FOUND = "found after a crash"
NOT_LEFT = "a run died before sending it"
NOBODY_KNOWS = "a run died while sending it"


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of the doubts."""

    settled: int = 0
    left: int = 0  #: of which the transport cannot tell now; the next run asks again


@dataclass(frozen=True, slots=True)
class _Group:
    """Copies that one question is about."""

    transport: str
    batch: Batch | None
    copies: Sequence[Delivery]


def settle_doubts(ports: Ports, owner: str, lease: timedelta) -> Settled:
    """Ask what became of each copy of a dead run, and write the answer.

    Whoever moved it is asked; when mail leaves another way today, nobody can tell. A copy
    that surely did not leave is planned again; of one in doubt its newsletter's policy says
    what becomes of it.
    """
    groups = _groups(ports, owner, lease)
    settled = left = 0
    is_down = False
    for group in groups:
        fates = _fates(ports, group) if not is_down or _is_others(ports, group) else None
        if fates is None:
            is_down = True
            _let_go(ports, group)
            left += len(group.copies)
            continue
        _write(ports, group, fates)
        settled += len(group.copies)
    return Settled(settled, left)


def _groups(ports: Ports, owner: str, lease: timedelta) -> Sequence[_Group]:
    """Ours before anybody is asked: a batch that is called back must not be settled meanwhile."""
    now = ports.clock.now()
    with ports.store.write() as tables:
        for dead in filter(is_dead, tables.deliveries.holders()):
            tables.deliveries.end_leases(dead, now)
        doubts = tables.deliveries.take_doubts(owner, now + lease, now)
        batches = tables.deliveries.batches_of([one.id for one in doubts])
    found: dict[tuple[str, Batch | None], list[Delivery]] = {}
    for one in doubts:
        found.setdefault((one.transport, batches.get(one.id)), []).append(one)
    return [
        _Group(transport, batch, page)
        for (transport, batch), copies in found.items()
        for page in ([copies] if batch else _pages(copies))
    ]


def _pages(copies: Sequence[Delivery]) -> Iterator[Sequence[Delivery]]:
    return (copies[start : start + PAGE] for start in range(0, len(copies), PAGE))


def _is_others(ports: Ports, group: _Group) -> bool:
    """Whether another transport than today's moved them."""
    return group.transport not in ("", ports.transport.name)


def _fates(ports: Ports, group: _Group) -> Mapping[str, Fate] | None:
    """None: it cannot be said now."""
    if _is_others(ports, group):
        return {}
    try:
        return ports.transport.fates([one.public_id for one in group.copies], group.batch)
    except Down:
        return None


def _let_go(ports: Ports, group: _Group) -> None:
    """Whoever comes next may ask again at once."""
    with ports.store.write() as tables:
        tables.deliveries.extend(group.copies, ports.clock.now())


def _write(ports: Ports, group: _Group, fates: Mapping[str, Fate]) -> None:
    nobody = NOBODY_KNOWS
    if _is_others(ports, group):
        nobody += f" by {group.transport}, and mail leaves by {ports.transport.name} now"
    by_fate: dict[Fate, list[Delivery]] = {"left": [], "not_left": [], "unknown": []}
    for one in group.copies:
        by_fate[fates.get(one.public_id, "unknown")].append(one)
    with ports.store.write() as tables:
        now = ports.clock.now()
        tables.deliveries.give_back(by_fate["not_left"], NOT_LEFT, now)
        left = [(one, Receipt(one.public_id, "accepted", FOUND)) for one in by_fate["left"]]
        tables.deliveries.settle(left, now)
        for policy, copies in _by_policy(ports, tables, by_fate["unknown"]).items():
            unknown = [(one, Receipt(one.public_id, "unknown", nobody)) for one in copies]
            tables.deliveries.settle(unknown, now, policy)


def _by_policy(
    ports: Ports, tables: Tables, copies: Sequence[Delivery]
) -> Mapping[UnknownPolicy, Sequence[Delivery]]:
    policies: dict[int, UnknownPolicy] = {}
    for issue_id in {one.issue_id for one in copies}:
        newsletter = ports.catalog.newsletter(tables.letters.by_id(issue_id).newsletter_key)
        policies[issue_id] = newsletter.unknown if newsletter else "hold"
    found: dict[UnknownPolicy, list[Delivery]] = {}
    for one in copies:
        found.setdefault(policies[one.issue_id], []).append(one)
    return found
