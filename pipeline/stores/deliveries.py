"""The ledger: every copy of every issue, who holds it, and all that became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any, cast

import sqlalchemy as sa

from pipeline.model.catalog import UnknownPolicy
from pipeline.model.letters import (
    Batch,
    BeatState,
    Delivery,
    DeliveryState,
    Heard,
    Issue,
    Moved,
    PlannedDelivery,
    Purpose,
    Recall,
    Recalling,
    Receipt,
)
from pipeline.model.people import EVERYWHERE
from pipeline.rules.letters import ledger
from pipeline.stores import due, recalls
from pipeline.stores.insert import insert_once
from pipeline.stores.letters import SqlLetters
from pipeline.stores.planning import Planner, note
from pipeline.stores.schema import (
    accounts,
    batch_copies,
    batches,
    contacts,
    deliveries,
    delivery_events,
    holds,
    issues,
    newsletters,
    pauses,
    subscriptions,
    suppressions,
    told,
    touches,
)

#: A copy in one of these has not begun to leave.
STOPPABLE = ("planned", "deferred", "claimed")

_SENDER = deliveries.c.merge["sender_address"].as_string()

PAGE = 1000

#: What has not been kept when an issue comes to this: it may still go, or it never will.
_BEATS: Mapping[str, BeatState] = {"stopped": "planned", "missed": "missed"}


class SqlDeliveries:
    """Fits `DeliveriesTable`. All of it works on many rows at once."""

    def __init__(self, connection: sa.Connection, secret: bytes) -> None:
        self._connection = connection
        self._secret = secret

    # ── plan and take back ───────────────────────────────────────────────────────────────

    def plan(
        self,
        issue_id: int,
        rows: Iterable[PlannedDelivery],
        variant_ids: Mapping[str, int],
        now: datetime,
    ) -> int:
        """Write planned rows; how many are new, or planned again with other contents.

        A copy that has left, or is on its way, stays as it is, and so does a row that is
        planned with the same contents. An address gets one copy: a second recipient of it
        is withheld as `same_address`.
        """
        return Planner(self._connection, self._secret, issue_id, variant_ids, now).plan(rows)

    def withhold_planned(self, issue_id: int, reason: str, now: datetime) -> int:
        """Everything of this issue that has not begun to leave, claimed rows too.

        Whoever holds a claimed row finds out when it wants to begin.
        """
        rows = self._connection.execute(
            sa.update(deliveries)
            .where(deliveries.c.issue_id == issue_id, deliveries.c.state.in_(STOPPABLE))
            .values(state="withheld", reason=reason, claimed_by="", lease_until=None)
            .returning(deliveries.c.id)
        ).all()
        ids = [row.id for row in rows]
        for start in range(0, len(ids), PAGE):
            page = ids[start : start + PAGE]
            note(self._connection, [(id_, "withheld", reason) for id_ in page], now)
        return len(ids)

    # ── what is due ──────────────────────────────────────────────────────────────────────

    def due(self, now: datetime) -> Sequence[int]:
        """Ids of issues with something to do now, the longest due first."""
        return due.due(self._connection, now)

    def is_waiting(self, issue_id: int, now: datetime) -> bool:
        """Whether some copy of this issue may be claimed at this moment."""
        return due.is_waiting(self._connection, issue_id, now)

    def held_since_restore(self, now: datetime) -> Sequence[int]:
        """Ids of issues that would go out now, were they not held back since the restore."""
        return due.held_since_restore(self._connection, now)

    def next_due(self, now: datetime) -> datetime | None:
        """When the next copy may be taken: its due time, a new attempt, or the end of a lease."""
        return due.next_due(self._connection, now)

    def lock_attempts(self) -> None:
        """Whoever else counts attempts to begin more waits for this transaction's end."""
        due.lock_attempts(self._connection)

    def attempts_between(self, since: datetime, until: datetime) -> tuple[int, datetime | None]:
        """How many copies began to leave after `since` and up to `until`; the earliest of them.

        Mail among ourselves counts as well.
        """
        return due.attempts_between(self._connection, since, until)

    def holders(self) -> Sequence[str]:
        """Who holds claimed, attempting or recalling rows."""
        return self._connection.scalars(
            sa.select(deliveries.c.claimed_by)
            .where(deliveries.c.state.in_(due.HELD), deliveries.c.claimed_by != "")
            .distinct()
            .order_by(deliveries.c.claimed_by)
        ).all()

    def end_leases(self, owner: str, now: datetime) -> int:
        """What this owner holds may be taken by others from now on; how many rows."""
        done = self._connection.execute(
            sa.update(deliveries)
            .where(deliveries.c.state.in_(due.HELD), deliveries.c.claimed_by == owner)
            .values(lease_until=now)
        )
        return done.rowcount

    # ── claim, begin, settle ─────────────────────────────────────────────────────────────

    def claim(
        self,
        issue_id: int,
        owner: str,
        lease_until: datetime,
        now: datetime,
        limit: int,
        *,
        on: date | None = None,
        apart: Collection[str] = (),
    ) -> Sequence[Delivery]:
        """Take up to `limit` rows that are due, and those whose holder let the lease run out.

        Who must not be mailed is withheld in the same breath; empty only when nothing is
        left to take. The fence grows with each claim.

        Shape:  on is the day at home, against which pauses are held; None: in UTC; apart are
                senders whose copies stay, "" those that name none
        """
        while rows := self._takeable(issue_id, now, limit, on or now.date(), apart):
            free = [row for row in rows if not _kept_back(row)]
            self._withhold([(row.id, _kept_back(row)) for row in rows if _kept_back(row)], now)
            if free:
                return self._take(free, owner, lease_until)
        return ()

    def _takeable(
        self, issue_id: int, now: datetime, limit: int, on: date, apart: Collection[str]
    ) -> Sequence[sa.Row[Any]]:
        """Rows that may be taken, with all that could speak against it."""
        return self._connection.execute(
            _with_objections(on)
            .where(
                deliveries.c.issue_id == issue_id,
                due.may_go(self._connection, now),
                due.may_be_taken(now),
                sa.func.coalesce(_SENDER, "").not_in(apart) if apart else sa.true(),
            )
            .order_by(deliveries.c.id)
            .limit(limit)
            .with_for_update(of=deliveries, skip_locked=True)
        ).all()

    def _objections(self, ids: Sequence[int], on: date) -> Mapping[int, str]:
        """Why these rows must not go out after all; those that may are not among them."""
        rows = self._connection.execute(_with_objections(on).where(deliveries.c.id.in_(ids)))
        return {row.id: why for row in rows if (why := _kept_back(row))}

    def _take(
        self, rows: Sequence[sa.Row[Any]], owner: str, lease_until: datetime
    ) -> Sequence[Delivery]:
        self._connection.execute(
            sa.update(deliveries)
            .where(deliveries.c.id.in_([row.id for row in rows]))
            .values(
                state="claimed",
                claimed_by=owner,
                lease_until=lease_until,
                fence=deliveries.c.fence + 1,
                reason="",
            )
        )
        return [
            replace(_delivery(row), state="claimed", fence=row.fence + 1, reason="") for row in rows
        ]

    def _withhold(self, rows: Sequence[tuple[int, str]], now: datetime) -> None:
        if not rows:
            return
        self._connection.execute(
            sa.update(deliveries).where(deliveries.c.id == sa.bindparam("row_id")),
            [
                {"row_id": id_, "state": "withheld", "reason": reason, "claimed_by": "",
                 "lease_until": None}
                for id_, reason in rows
            ],
        )  # fmt: skip
        note(self._connection, [(id_, "withheld", reason) for id_, reason in rows], now)

    def attempting(
        self,
        given: Sequence[Delivery],
        now: datetime,
        *,
        lease_until: datetime | None = None,
        transport: str = "",
        batch: Batch | None = None,
        on: date | None = None,
    ) -> Sequence[Delivery]:
        """Write that these begin to leave, durable before a byte does; those still ours.

        Their Message-IDs are written with it, what moves them, and under which handle. A row
        that was stopped, or that somebody else took after our lease ran out, is not among the
        result; nor is one whose reader left since it was claimed: a slow relay keeps the
        others waiting for minutes.

        Shape:  on as in claim()
        """
        standing = self._locked([delivery.id for delivery in given])
        held = [one for one in given if _is_held(standing.get(one.id), one, "claimed")]
        objections = self._objections([one.id for one in held], on or now.date())
        self._withhold([(one.id, objections[one.id]) for one in held if one.id in objections], now)
        ours = [
            replace(
                delivery,
                state="attempting",
                attempts=standing[delivery.id].attempts + 1,
                transport=transport,
            )
            for delivery in held
            if delivery.id not in objections
        ]
        if ours:
            lease = {} if lease_until is None else {"lease_until": lease_until}
            self._connection.execute(
                sa.update(deliveries).where(deliveries.c.id == sa.bindparam("row_id")),
                [
                    {"row_id": delivery.id, "state": "attempting", "attempts": delivery.attempts,
                     "message_id": delivery.message_id, "transport": transport or None, **lease}
                    for delivery in ours
                ],
            )  # fmt: skip
            self._put_into(batch, [delivery.id for delivery in ours], transport, now)
        note(self._connection, [(delivery.id, "attempting", "") for delivery in ours], now)
        return ours

    def _put_into(
        self, batch: Batch | None, ids: Sequence[int], transport: str, now: datetime
    ) -> None:
        """The batch of a copy is that of its latest attempt, or none."""
        for start in range(0, len(ids), PAGE):
            page = ids[start : start + PAGE]
            self._connection.execute(
                sa.delete(batch_copies).where(batch_copies.c.delivery_id.in_(page))
            )
        if batch is None:
            return
        named = (batches.c.transport == transport, batches.c.provider_id == batch.provider_id)
        row = {"transport": transport, "provider_id": batch.provider_id, "send_at": batch.send_at}
        insert_once(self._connection, batches, {**row, "opened_at": now})
        batch_id = self._connection.execute(sa.select(batches.c.id).where(*named)).scalar_one()
        self._connection.execute(
            sa.insert(batch_copies),
            [{"batch_id": batch_id, "delivery_id": id_} for id_ in ids],
        )

    def extend(self, given: Sequence[Delivery], lease_until: datetime) -> frozenset[int]:
        """Hold claimed and attempting rows longer; the ids of those that still are ours."""
        standing = self._locked([delivery.id for delivery in given])
        ours = [
            delivery.id
            for delivery in given
            for state in due.HELD
            if _is_held(standing.get(delivery.id), delivery, state)
        ]
        if ours:
            self._connection.execute(
                sa.update(deliveries)
                .where(deliveries.c.id.in_(ours))
                .values(lease_until=lease_until)
            )
        return frozenset(ours)

    def release(self, given: Sequence[Delivery], reason: str) -> int:
        """Claimed rows that did not begin to leave are planned again at once; how many."""
        standing = self._locked([delivery.id for delivery in given])
        ids = [
            delivery.id
            for delivery in given
            if _is_held(standing.get(delivery.id), delivery, "claimed")
        ]
        if ids:
            self._connection.execute(
                sa.update(deliveries)
                .where(deliveries.c.id.in_(ids))
                .values(
                    state="planned",
                    reason=reason,
                    claimed_by="",
                    lease_until=None,
                    fence=deliveries.c.fence + 1,
                )
            )
        return len(ids)

    def settle(
        self,
        receipts: Sequence[tuple[Delivery, Receipt]],
        now: datetime,
        unknown: UnknownPolicy = "hold",
    ) -> Mapping[str, int]:
        """Write what the attempts came to; counts per state, and `stale` for lost leases.

        Shape:  unknown says what becomes of copies in doubt
        """
        standing = self._locked([delivery.id for delivery, _ in receipts])
        counts: Counter[str] = Counter()
        settled: list[tuple[int, ledger.Settlement]] = []
        doubts: list[tuple[int, str, str]] = []
        for delivery, receipt in receipts:
            row = standing.get(delivery.id)
            if row is None or not _may_settle(row, delivery):
                counts["stale"] += 1
                continue
            settlement = _settlement(row, receipt, now)
            if settlement.state == "unknown" != row.state:
                again = ledger.after_doubt(unknown, row.attempts, now)
                doubts += [(row.id, "unknown", settlement.detail)] if again else []
                settlement = again or settlement
            counts[settlement.state] += 1
            if settlement.state != row.state:
                settled.append((row.id, settlement))
        note(self._connection, doubts, now)
        self._write(settled, now)
        return counts

    def hear(self, public_id: str, news: Heard, detail: str, now: datetime) -> DeliveryState | None:
        """Take in what the world tells of a copy, whenever it does; its state after that.

        None: there is no such copy.
        """
        moved = self.hear_all([(public_id, news, detail)], now)
        return moved[0].delivery.state if moved else None

    def hear_all(self, news: Sequence[tuple[str, Heard, str]], now: datetime) -> Sequence[Moved]:
        """The same for (public id, news, detail) of many copies; each copy that we know, once.

        In whatever order news comes, and however often: it ends in the same states.
        """
        rows = self._connection.execute(
            sa.select(deliveries)
            .where(deliveries.c.public_id.in_({public_id for public_id, _, _ in news}))
            .order_by(deliveries.c.id)
            .with_for_update()
        ).all()
        by_public_id = {row.public_id: row for row in rows}
        now_is: dict[int, DeliveryState] = {row.id: row.state for row in rows}
        why: dict[int, str] = {}
        notes: list[tuple[int, str, str]] = []
        for public_id, what, detail in news:
            row = by_public_id.get(public_id)
            if row is None:
                continue
            if not row.address:  # its reader was erased: no words that may hold their address
                detail = ""
            state = ledger.hear(now_is[row.id], what)
            if state != now_is[row.id]:
                now_is[row.id], why[row.id] = state, detail
            notes.append((row.id, what, detail))
        note(self._connection, notes, now)
        self._put([(id_, ledger.Settlement(now_is[id_], why[id_])) for id_ in why], now)
        return [Moved(replace(_delivery(row), state=now_is[row.id]), was=row.state) for row in rows]

    def take_doubts(self, owner: str, lease_until: datetime, now: datetime) -> Sequence[Delivery]:
        """The rows in doubt, from now on ours to ask about.

        Whoever was slow and lives after all can settle them no more: calling a batch back
        throws away what they may just have been told is accepted.
        """
        rows = self._connection.execute(
            sa.select(deliveries)
            .where(deliveries.c.state == "attempting", due.lease_is_over(now))
            .order_by(deliveries.c.id)
            .with_for_update(skip_locked=True)
        ).all()
        for start in range(0, len(rows), PAGE):
            self._connection.execute(
                sa.update(deliveries)
                .where(deliveries.c.id.in_([row.id for row in rows[start : start + PAGE]]))
                .values(claimed_by=owner, lease_until=lease_until, fence=deliveries.c.fence + 1)
            )
        return [replace(_delivery(row), fence=row.fence + 1) for row in rows]

    def give_back(self, given: Sequence[Delivery], reason: str, now: datetime) -> int:
        """Attempting rows that surely did not leave are planned again; how many rows in all.

        The attempt does not count, and whoever held them can no longer settle them. Of an
        issue that was stopped meanwhile they are held back like the others, and recalling rows
        always are: a stop took them. A stop at this very moment waits for us, and looks once
        more for what is planned.
        """
        standing = self._locked([delivery.id for delivery in given])
        ids = [
            delivery.id
            for delivery in given
            for state in ("attempting", "recalling")
            if _is_held(standing.get(delivery.id), delivery, state)
        ]
        going = self._going({standing[id_].issue_id for id_ in ids})
        back = [
            id_ for id_ in ids
            if standing[id_].issue_id in going and standing[id_].state != "recalling"
        ]  # fmt: skip
        self._take_back(back, "planned", reason, now)
        self._take_back(sorted({*ids} - {*back}), "withheld", ledger.STOPPED, now)
        return len(ids)

    def _going(self, issue_ids: Collection[int]) -> frozenset[int]:
        """Which of these issues go out; they stand as they are until we are done."""
        rows = self._connection.execute(
            sa.select(issues.c.id, issues.c.state)
            .where(issues.c.id.in_(issue_ids))
            .order_by(issues.c.id)
            .with_for_update(key_share=True)
        )
        return frozenset(row.id for row in rows if row.state in due.GOING)

    def decide(
        self,
        issue_id: int,
        given: Sequence[Delivery],
        state: DeliveryState,
        reason: str,
        now: datetime,
    ) -> Mapping[DeliveryState, int]:
        """What a person says of an issue's copies in doubt: accepted, planned or withheld.

        Counts of what they came to. A copy that news have settled meanwhile stays as it is.
        Where the issue does not go any more, a planned one is held back with the others; and so
        is one that a stop asked back, wherever its issue stands: its words were stopped.
        """
        if state == "planned" and not self._still_goes(issue_id):
            state, reason = "withheld", ledger.STOPPED
        decided: Counter[DeliveryState] = Counter()
        for start in range(0, len(given), PAGE):
            standing = self._locked([one.id for one in given[start : start + PAGE]])
            ids = [
                row.id for row in standing.values()
                if row.state == "unknown" and row.issue_id == issue_id
            ]  # fmt: skip
            if state == "accepted":
                self._write([(id_, ledger.Settlement(state, reason)) for id_ in ids], now)
            else:
                stopped = recalls.asked_back(self._connection, ids) if state == "planned" else ()
                self._take_back(stopped, "withheld", ledger.STOPPED, now, attempts=0)
                decided["withheld"] += len(stopped)
                ids = [id_ for id_ in ids if id_ not in set(stopped)]
                self._take_back(ids, state, reason, now, attempts=0)
            decided[state] += len(ids)
        return decided

    def went_out(self, issue_id: int, reason: str, at: datetime) -> int:
        """A person says that all copies which wait or are in doubt left at that time; how many.

        Whoever is at one of them at this moment can begin it no more.
        """
        ids = self._connection.scalars(
            sa.select(deliveries.c.id)
            .where(
                deliveries.c.issue_id == issue_id,
                deliveries.c.state.in_((*STOPPABLE, "attempting", "unknown")),
            )
            .order_by(deliveries.c.id)
            .with_for_update()
        ).all()
        for start in range(0, len(ids), PAGE):
            page = ids[start : start + PAGE]
            self._write([(id_, ledger.Settlement("accepted", reason)) for id_ in page], at)
        return len(ids)

    def _still_goes(self, issue_id: int) -> bool:
        """Whether a copy that is planned now goes out: only a doubt keeps the issue open."""
        state = self._connection.scalar(sa.select(issues.c.state).where(issues.c.id == issue_id))
        return state in due.GOING or (state == "partly_sent" and not self.held_back(issue_id))

    def move_on(self, issue_id: int, now: datetime) -> Issue:
        """Bring an issue's state in line with its copies, and its beat with it.

        One of which every copy came back has no page any more, and may miss its beat.
        """
        letters = SqlLetters(self._connection)
        self._connection.execute(
            sa.select(issues.c.id).where(issues.c.id == issue_id).with_for_update()
        )
        issue = letters.by_id(issue_id)
        moved = ledger.move_on(issue.state, self._by_state(issue_id), self.held_back(issue_id))
        if moved is None or moved == (issue.state, issue.reason):
            return issue
        state, reason = moved
        if state == "stopped":
            letters.retire_editions(issue_id, now)
        if state != "sending":
            beat: BeatState = _BEATS.get(state, "kept")
            letters.record_beat(issue.newsletter_key, issue.beat, beat, reason or "")
        return letters.set_state(issue_id, state, reason=issue.reason if reason is None else reason)

    def _by_state(self, issue_id: int) -> Mapping[DeliveryState, int]:
        summed: Counter[DeliveryState] = Counter()
        for (_, state), number in self.counts(issue_id).items():
            summed[state] += number
        return summed

    def held_back(self, issue_id: int) -> int:
        """Copies that a stop holds back, or is taking back."""
        stopped = sa.and_(deliveries.c.state == "withheld", deliveries.c.reason == ledger.STOPPED)
        return self._connection.execute(
            sa.select(sa.func.count()).where(
                deliveries.c.issue_id == issue_id,
                sa.or_(stopped, deliveries.c.state == "recalling"),
            )
        ).scalar_one()

    # ── what a stop takes back from a provider ───────────────────────────────────────────

    def recallable(
        self, issue_id: int, transport: str, can: Callable[[Batch], bool], now: datetime
    ) -> int:
        """How many copies a stop could take back from the provider at this moment."""
        return len(recalls.out(self._connection, issue_id, transport, can, now))

    def recall(
        self, issue_id: int, transport: str, can: Callable[[Batch], bool], now: datetime
    ) -> int:
        """Write that these copies are to be called back, durable before anybody asks; how many.

        Whoever is posting one of them at this moment can settle it no more.
        """
        rows = recalls.out(self._connection, issue_id, transport, can, now, lock=True)
        recalls.begin(self._connection, rows, now)
        note(self._connection, [(row.id, "recalling", ledger.STOPPED) for row in rows], now)
        return len(rows)

    def take_recalls(
        self, owner: str, lease_until: datetime, now: datetime, apart: Collection[str] = ()
    ) -> Sequence[Recalling]:
        """One batch that is to be called back and nobody asks for, from now on ours to ask for.

        Shape:  apart are the provider's ids of batches that had their turn
        """
        rows = recalls.take(self._connection, owner, lease_until, now, apart)
        return [
            Recalling(
                replace(_delivery(row), fence=row.fence + 1),
                Batch(row.provider_id, row.send_at),
                taken=not row.claimed_by,
            )
            for row in rows
        ]

    def end_recall(
        self, given: Sequence[Recalling], went: Recall, now: datetime
    ) -> Mapping[DeliveryState, int]:
        """Write how calling them back went; counts of what they are now.

        Called back, they are held back like those that never left. Where it surely failed,
        those that the provider surely has are accepted; of the others nobody knows, and a
        newsletter that has doubts sent again does not mean those that were stopped. Where
        asking later may help they wait for whoever asks next. News that came meanwhile win.
        """
        standing = self._locked([one.copy.id for one in given])
        ours = [one for one in given if _is_held(standing.get(one.copy.id), one.copy, "recalling")]
        if went.word == "called_back":
            self.give_back([one.copy for one in ours], ledger.CALLED_BACK, now)
            return {"withheld": len(ours)}
        sure = [one.copy.id for one in ours if one.taken and went.word == "stays"]
        unsure = [one.copy.id for one in ours if one.copy.id not in set(sure)]
        if went.again:
            recalls.put_back(self._connection, sure, now, forget=True)
            recalls.put_back(self._connection, unsure, now)
            return {"recalling": len(ours)}
        self._write([(id_, ledger.Settlement("accepted", went.why)) for id_ in sure], now)
        recalls.count_attempt(self._connection, unsure)
        self._write([(id_, ledger.Settlement("unknown", went.why)) for id_ in unsure], now)
        return {"accepted": len(sure), "unknown": len(unsure)}

    def _take_back(
        self,
        ids: Sequence[int],
        state: DeliveryState,
        reason: str,
        now: datetime,
        *,
        attempts: int = -1,
    ) -> None:
        if ids:
            self._connection.execute(
                sa.update(deliveries)
                .where(deliveries.c.id.in_(ids))
                .values(
                    state=state,
                    reason=reason,
                    claimed_by="",
                    lease_until=None,
                    next_attempt_at=None,
                    attempts=deliveries.c.attempts + attempts,
                    fence=deliveries.c.fence + 1,
                )
            )
            # a letter that did not leave is no touch
            self._connection.execute(sa.delete(touches).where(touches.c.delivery_id.in_(ids)))
        note(self._connection, [(id_, state, reason) for id_ in ids], now)

    def _locked(self, ids: Sequence[int]) -> Mapping[int, sa.Row[Any]]:
        """Rows as they are now, and nobody else changes them until we are done."""
        rows = self._connection.execute(
            sa.select(deliveries)
            .where(deliveries.c.id.in_(ids))
            .order_by(deliveries.c.id)
            .with_for_update()
        )
        return {row.id: row for row in rows}

    def _write(self, settled: Sequence[tuple[int, ledger.Settlement]], now: datetime) -> None:
        note(self._connection, [(id_, to.state, to.detail) for id_, to in settled], now)
        self._put(settled, now)

    def _put(self, settled: Sequence[tuple[int, ledger.Settlement]], now: datetime) -> None:
        if not settled:
            return
        self._connection.execute(
            sa.update(deliveries).where(deliveries.c.id == sa.bindparam("row_id")),
            [
                {"row_id": id_, "state": to.state, "reason": to.detail, "claimed_by": "",
                 "lease_until": None, "next_attempt_at": to.next_attempt_at,
                 "settled_at": None if to.state == "deferred" else now}
                for id_, to in settled
            ],
        )  # fmt: skip
        self._went_out([id_ for id_, to in settled if to.state in ledger.OUT], now)

    def _went_out(self, ids: Sequence[int], now: datetime) -> None:
        """A letter that left is a touch, once, and from now on its reader was told."""
        rows = self._connection.execute(
            sa.select(deliveries.c.id, deliveries.c.contact_id, contacts.c.account_id)
            .join(contacts, contacts.c.id == deliveries.c.contact_id)
            .join(touches, touches.c.delivery_id == deliveries.c.id, isouter=True)
            .where(
                deliveries.c.id.in_(ids),
                deliveries.c.purpose == "letter",
                touches.c.id.is_(None),
            )
        ).all()
        if rows:
            self._connection.execute(
                sa.insert(touches),
                [
                    {"account_id": row.account_id, "contact_id": row.contact_id,
                     "kind": "letter", "at": now, "delivery_id": row.id}
                    for row in rows
                ],
            )  # fmt: skip
            self._connection.execute(
                sa.update(told)
                .where(told.c.delivery_id.in_([row.id for row in rows]))
                .values(at=now)
            )

    # ── read ─────────────────────────────────────────────────────────────────────────────

    def batches_of(self, ids: Sequence[int]) -> Mapping[int, Batch]:
        """Delivery id → the handle of its latest attempt, where there was one."""
        found: dict[int, Batch] = {}
        for start in range(0, len(ids), PAGE):
            rows = self._connection.execute(
                sa.select(batch_copies.c.delivery_id, batches.c.provider_id, batches.c.send_at)
                .join(batches, batches.c.id == batch_copies.c.batch_id)
                .where(batch_copies.c.delivery_id.in_(ids[start : start + PAGE]))
            )
            found |= {row.delivery_id: Batch(row.provider_id, row.send_at) for row in rows}
        return found

    def unknown(self, issue_id: int | None = None) -> Sequence[Delivery]:
        """Copies in doubt, of all issues or of one; the longest in doubt first."""
        query = sa.select(deliveries).where(deliveries.c.state == "unknown")
        if issue_id is not None:
            query = query.where(deliveries.c.issue_id == issue_id)
        return self._read(query.order_by(deliveries.c.settled_at, deliveries.c.id))

    def begins(self, ref: str) -> Sequence[Delivery]:
        """Copies whose public id begins so; two are enough to tell that there are several."""
        return self._read(
            sa.select(deliveries)
            .where(deliveries.c.public_id.startswith(ref.lower(), autoescape=True))
            .order_by(deliveries.c.id)
            .limit(2)
        )

    def counts(self, issue_id: int) -> Mapping[tuple[Purpose, DeliveryState], int]:
        rows = self._connection.execute(
            sa.select(deliveries.c.purpose, deliveries.c.state, sa.func.count())
            .where(deliveries.c.issue_id == issue_id)
            .group_by(deliveries.c.purpose, deliveries.c.state)
        )
        return {(cast(Purpose, purpose), cast(DeliveryState, state)): number
                for purpose, state, number in rows}  # fmt: skip

    def of_issue(self, issue_id: int) -> Iterator[Delivery]:
        """In the order they were planned, a page at a time."""
        last = 0
        while page := self._read(
            sa.select(deliveries)
            .where(deliveries.c.issue_id == issue_id, deliveries.c.id > last)
            .order_by(deliveries.c.id)
            .limit(PAGE)
        ):
            yield from page
            last = page[-1].id

    def of_contact(self, contact_id: int) -> Sequence[Delivery]:
        """Latest first."""
        return self._read(
            sa.select(deliveries)
            .where(deliveries.c.contact_id == contact_id)
            .order_by(deliveries.c.due_at.desc(), deliveries.c.id.desc())
        )

    def by_public_id(self, public_id: str) -> Delivery | None:
        found = self._read(sa.select(deliveries).where(deliveries.c.public_id == public_id))
        return found[0] if found else None

    def history(self, delivery_id: int) -> Sequence[tuple[datetime, str, str]]:
        """(when, state, detail), oldest first."""
        rows = self._connection.execute(
            sa.select(delivery_events.c.at, delivery_events.c.state, delivery_events.c.detail)
            .where(delivery_events.c.delivery_id == delivery_id)
            .order_by(delivery_events.c.id)
        )
        return [(row.at, row.state, row.detail) for row in rows]

    def _read(self, query: sa.Select[Any]) -> Sequence[Delivery]:
        return [_delivery(row) for row in self._connection.execute(query)]


def _with_objections(on: date) -> sa.Select[Any]:
    """Copies, each with all that could speak against its leaving that day."""
    hashes = (deliveries.c.address_hash, contacts.c.address_hash)
    everywhere = suppressions.c.scope == EVERYWHERE
    this = sa.and_(suppressions.c.scope == newsletters.c.key, deliveries.c.purpose == "letter")
    suppressed = (
        sa.select(sa.func.min(suppressions.c.reason))
        .where(
            suppressions.c.lifted_at.is_(None),
            suppressions.c.address_hash.in_(hashes),
            sa.or_(everywhere, this),
        )
        .scalar_subquery()
    )
    paused = sa.exists().where(
        pauses.c.contact_id == deliveries.c.contact_id,
        pauses.c.lifted_at.is_(None),
        pauses.c.until_on > on,
    )
    held = sa.exists().where(
        holds.c.contact_id == deliveries.c.contact_id, holds.c.lifted_at.is_(None)
    )
    unsubscribed = sa.exists().where(
        subscriptions.c.contact_id == deliveries.c.contact_id,
        subscriptions.c.newsletter_id == issues.c.newsletter_id,
        subscriptions.c.subscribed.is_(False),
    )
    return (
        sa.select(
            deliveries,
            contacts.c.address.label("contact_address"),
            contacts.c.account_id.label("account_now"),
            contacts.c.invalid,
            sa.func.coalesce(contacts.c.retired_at, accounts.c.retired_at).label("retired_at"),
            suppressed.label("suppressed"),
            paused.label("paused"),
            held.label("held"),
            unsubscribed.label("unsubscribed"),
        )
        .join(issues, issues.c.id == deliveries.c.issue_id)
        .join(newsletters, newsletters.c.id == issues.c.newsletter_id)
        .join(contacts, contacts.c.id == deliveries.c.contact_id, isouter=True)
        .join(accounts, accounts.c.id == contacts.c.account_id, isouter=True)
    )


def _kept_back(row: sa.Row[Any]) -> str:
    """Why a row that is due must not go out after all; empty when it may."""
    if row.suppressed:
        return f"suppressed: {row.suppressed}"
    if row.contact_id is None:
        return ""
    reasons = (
        ("erased", not row.contact_address),
        ("retired", row.retired_at is not None),
        (ledger.MOVED, row.account_now != row.account_id),
        (f"invalid_address: {row.invalid}", row.invalid),
        ("not_subscribed", row.unsubscribed and row.purpose == "letter"),
        ("paused", row.paused),
        ("held", row.held),
    )
    return next((reason for reason, holds_good in reasons if holds_good), "")


def _is_held(row: sa.Row[Any] | None, delivery: Delivery, state: DeliveryState) -> bool:
    return row is not None and row.state == state and row.fence == delivery.fence


def _may_settle(row: sa.Row[Any], delivery: Delivery) -> bool:
    """Whether a receipt is of what this row is about.

    Whoever was so slow that the copy was given up as unknown still knows of this attempt.
    """
    if row.fence == delivery.fence:
        return True
    return bool(row.state == "unknown" and row.attempts == delivery.attempts)


def _settlement(row: sa.Row[Any], receipt: Receipt, now: datetime) -> ledger.Settlement:
    """What a receipt makes of a row; news may have come in before it."""
    if row.state == "attempting":
        return ledger.settle(
            receipt.outcome, receipt.detail, row.attempts, now, receipt.retry_after_s
        )
    if receipt.outcome in ("accepted", "refused"):
        return ledger.Settlement(ledger.hear(row.state, receipt.outcome), receipt.detail)
    return ledger.Settlement(row.state, receipt.detail)


def _delivery(row: sa.Row[Any]) -> Delivery:
    return Delivery(
        id=row.id,
        public_id=row.public_id,
        issue_id=row.issue_id,
        purpose=row.purpose,
        variant_id=row.variant_id,
        contact_id=row.contact_id,
        staff_key=row.staff_key or "",
        address=row.address,
        name=row.name,
        merge=row.merge,
        state=row.state,
        reason=row.reason,
        due_at=row.due_at,
        attempts=row.attempts,
        fence=row.fence,
        message_id=row.message_id,
        headers=row.headers,
        settled_at=row.settled_at,
        transport=row.transport or "",
    )
