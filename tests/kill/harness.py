"""The harness: two senders, many kills, and a sum at the end that must come out."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from pipeline.errors import Conflict
from pipeline.rules.letters.ledger import OPEN
from pipeline.stages.compose import stop
from pipeline.stages.deliver import call_back, list_doubts, resolve
from pipeline.stores import schema
from pipeline.stores.sql import SqlStore
from tests.builders import SECRET
from tests.kill.receivers import PATIENCE_S, RECEIVERS, ROOT, Receiver
from tests.kill.sender import DOWN, LEASE_S, ports_at
from tests.ledger_scene import Scene, build_scene

#: Between two starts of both senders so much time passes: a provider's doubts grow old slowly.
PAUSE = timedelta(minutes=3)
#: And sometimes so much: too late to call anything back.
LONG_PAUSE = timedelta(minutes=8)
#: Copies that wait for a second try are due after so long at the latest.
LATER = timedelta(hours=2)
#: When no more is killed, lines go on breaking while both senders start so often.
UNKIND_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """What is tried."""

    transport: str
    contacts: int
    kills: int
    seed: int
    chunk: int = 20
    misbehaves: bool = False  #: lines break and servers fail as well
    kind: str = "honest"  #: of sender
    lease_s: int = LEASE_S
    freezes: bool = False  #: they are not killed, only frozen until others took their work
    stops: bool = False  #: now and then a person stops the issue, and lets it go on


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it."""

    plan: Plan
    inside: int  #: kills that lay inside the sending
    outside: int  #: kills that did not, and do not count
    held: int  #: of the inside ones, how many left rows claimed or attempting
    doubles: int  #: copies too many, over all contacts
    lost: int  #: contacts without a copy, though the ledger has no doubt of theirs
    unknown: int  #: copies that the ledger was in doubt about when all had ended
    listed: int  #: of these, how many the listing for people shows
    excused: int  #: letters that the receiver took without a word
    troubles: int  #: how often a line broke or a server failed
    arrived: int  #: of the unknown ones, how many had arrived
    heard: int  #: how many the receiver's own news settled
    resolved: int  #: how many a person settled after that
    missing: int  #: contacts without exactly one copy after that
    issue: str  #: the issue's state at the very end
    seconds: float
    stops: int = 0  #: how often a person stopped it
    called_back: int = 0  #: copies that came back then
    not_back: int = 0  #: copies on their way though the ledger says that they came back

    def faults(self) -> list[str]:
        """Everything that must not be; empty when all is well."""
        most = self.inside + self.outside + self.excused
        found = {
            f"{self.doubles} doubles": self.doubles,
            f"{self.lost} lost": self.lost,
            f"{self.inside} kills inside, not {self.plan.kills}": self.inside < self.plan.kills,
            "no kill left a row in hand: it proves little": self.plan.kills and not self.held,
            f"{self.unknown} unknown, {self.listed} listed": self.unknown != self.listed,
            f"{self.unknown} unknown of {most} lines cut": self.plan.transport.startswith("smtp")
            and self.unknown > most
            and not self.plan.freezes,
            f"{self.unknown} unknown of files": self.plan.transport == "file" and self.unknown,
            f"{self.heard} heard of, {self.arrived} arrived": self.plan.transport == "sendgrid"
            and self.heard != self.arrived,
            f"{self.heard} heard of, {self.resolved} resolved, {self.unknown} unknown": self.heard
            + self.resolved
            != self.unknown,
            f"{self.missing} without exactly one copy in the end": self.missing,
            "nothing broke: it proves little": self.plan.misbehaves and not self.troubles,
            f"the issue is {self.issue}": self.issue != "sent",
            f"{self.not_back} called back and on their way": self.not_back,
            "nothing was called back: it proves little": self.plan.stops and not self.called_back,
        }
        return [what for what, holds in found.items() if holds]


@dataclass
class Slot:
    """One place for a sender: whoever dies there is followed by the next one."""

    process: subprocess.Popen[bytes]
    pid: int = 0  #: 0: nobody is there
    taken: int = 0  #: what the receiver had when this one began
    ends: list[int] = field(default_factory=list)

    @staticmethod
    def open(url: str, receiver: Receiver, plan: Plan) -> Slot:
        way = json.dumps(receiver.way())
        command = [sys.executable, "-m", "tests.kill.sender", url, way, str(plan.chunk)]
        command += [str(plan.lease_s), plan.kind]
        return Slot(
            subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
            )
        )

    def begin(self, receiver: Receiver) -> None:
        self.taken = receiver.taken()
        assert self.process.stdin is not None
        self.process.stdin.write(f"{receiver.now().timestamp()}\n".encode())
        self.pid = self._line()

    def has_ended(self, wait_s: float = 0.0) -> bool:
        """Whether the sender here is gone, by itself or by our hand."""
        assert self.process.stdout is not None
        if self.pid and select.select([self.process.stdout], [], [], wait_s)[0]:
            self.ends.append(self._line())
            self.pid = 0
        return not self.pid

    def kill(self) -> bool:
        """Whether it was still alive."""
        if self.has_ended():
            return False
        os.kill(self.pid, signal.SIGKILL)
        assert self.has_ended(PATIENCE_S)
        return self.ends[-1] == -signal.SIGKILL

    def close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        self.process.wait(PATIENCE_S)

    def _line(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())


@dataclass
class Harness:
    """One plan on one database."""

    plan: Plan
    scene: Scene
    receiver: Receiver
    slots: Sequence[Slot]
    chance: random.Random
    inside: int = 0
    outside: int = 0
    held: int = 0
    stops: int = 0
    called_back: int = 0
    not_back: int = 0

    # ── killing ──────────────────────────────────────────────────────────────────────────

    def kill_often(self) -> None:
        """All kills of the plan; each one that lay outside the sending is done again."""
        while self.inside < self.plan.kills:
            assert self.outside <= 20 + 5 * self.plan.kills, "the kills miss the sending"
            self._stretch()
            self._begin_all()
            victims = self._wait_for_the_moment()
            if self.plan.freezes:
                self._freeze(victims[0])
                continue
            self._kill(victims)
            if self.plan.stops and self.inside and (not self.called_back or self._at_times()):
                self._stop()
            if len(victims) > 1:
                self._wait_a_little()

    def _stretch(self) -> None:
        """Let the receiver take what this kill's share of the issue is, and no more."""
        share = (self.plan.contacts - 4 * self.plan.chunk) / self.plan.kills
        least = self.receiver.taken() + self.chance.randrange(1, 3)
        self.receiver.leash(max(least, int(share * (self.inside + self.chance.random()))))

    def _begin_all(self) -> None:
        for slot in self.slots:
            if slot.has_ended():
                slot.begin(self.receiver)

    def _wait_for_the_moment(self) -> list[Slot]:
        """Whom to kill now: one that has begun to send, or one that has hardly begun."""
        victims = list(self.slots)
        self.chance.shuffle(victims)
        if self.chance.random() < 0.6:
            victims = victims[:1]
        if self.plan.kind == "honest" and self.chance.random() < 0.25:
            time.sleep(self.chance.random() / 10)
            return victims
        ends = time.monotonic() + PATIENCE_S
        while not any(self._is_sending(slot) for slot in victims):
            assert time.monotonic() < ends, "the run stands still"
            self._begin_all()
            time.sleep(0.01)
        time.sleep(self.chance.random() / 30)
        return victims

    def _is_sending(self, slot: Slot) -> bool:
        """A liar is given the time to post: who dies before has not lied yet."""
        has_begun = self.plan.kind == "honest" or self.receiver.taken() > slot.taken
        return has_begun and not slot.has_ended() and bool(self._held_by(slot.pid))

    def _kill(self, victims: Sequence[Slot]) -> None:
        for slot in victims:
            pid = slot.pid
            if not slot.kill():
                continue
            held = self._held_by(pid)
            moved = self.receiver.taken() > slot.taken
            if self._left() and (held or moved):
                self.inside += 1
                self.held += bool(held)
            else:
                self.outside += 1

    def _freeze(self, slot: Slot) -> None:
        """It sleeps until its lease is over and another one has taken what it held; it wakes,
        and goes on as if nothing had been."""
        if slot.has_ended():
            return
        os.kill(slot.pid, signal.SIGSTOP)
        held = self._held_by(slot.pid)
        time.sleep(self.plan.lease_s + 0.2)
        (other,) = (one for one in self.slots if one is not slot)
        other.kill()
        other.begin(self.receiver)
        self.receiver.leash(self.receiver.taken() + self.plan.chunk)
        ends = time.monotonic() + PATIENCE_S
        while self._held_by(slot.pid) and not other.has_ended():
            assert time.monotonic() < ends, "nobody takes over"
            time.sleep(0.01)
        left = self._left()
        os.kill(slot.pid, signal.SIGCONT)
        self.inside += bool(held and left)
        self.outside += not (held and left)
        self.held += bool(held and left)

    def _wait_a_little(self) -> None:
        """Nobody sends now: time may jump."""
        for slot in self.slots:
            slot.kill()
        is_long = self.plan.misbehaves and self.chance.random() < 0.25
        self.receiver.advance(LONG_PAUSE if is_long else PAUSE)

    # ── stopping ─────────────────────────────────────────────────────────────────────────

    def _at_times(self) -> bool:
        return self.chance.random() < 0.3

    def _stop(self) -> None:
        """A person stops the issue while somebody may be sending; others call it back, and one
        of them is killed; it is looked at, and goes on."""
        self._let_some_out()
        ports = ports_at(self.scene.store, self.receiver.way(), self.receiver.now())
        try:
            stop(ports, self.scene.issue.public_id)
        except Conflict:  # nothing of it can be stopped any more
            return
        self.stops += 1
        self._begin_all()
        time.sleep(self.chance.random() / 20)
        self.slots[0].kill()
        ends = time.monotonic() + PATIENCE_S
        while self._states()["recalling"]:
            assert time.monotonic() < ends, "nobody calls it back"
            call_back(ports_at(self.scene.store, self.receiver.way(), self.receiver.now()))
            time.sleep(0.01)
        going = self.receiver.reaching()
        held = [one for one, state in self._ledger().items() if state == "withheld"]
        self.not_back += sum(going[one] for one in held)
        self.called_back += len(set(held) & self._recalled())
        self._let_go()

    def _let_some_out(self) -> None:
        """Until the receiver has something that can be called back, or nothing is left."""
        ends = time.monotonic() + PATIENCE_S
        while self._left() and not self._states()["accepted"]:
            assert time.monotonic() < ends, "nothing goes out"
            # what it took and lost the line over was called back, and counts as taken
            self.receiver.leash(self.receiver.taken() + 2 * self.plan.chunk)
            self._begin_all()
            time.sleep(0.01)

    def _recalled(self) -> set[str]:
        """Copies that a stop once called back."""
        d, e = schema.deliveries.c, schema.delivery_events.c
        asked = sa.select(e.delivery_id).where(e.state == "recalling")
        return {one for (one,) in self._rows(sa.select(d.public_id).where(d.id.in_(asked)))}

    def _let_go(self) -> None:
        """As an approval does: what was held back is planned again."""
        with self.scene.store.write() as tables:
            issue = tables.letters.by_id(self.scene.issue.id)
            if issue.state in ("stopped", "partly_sent"):
                tables.deliveries.plan(
                    issue.id, self.scene.rows(), self.scene.variant_ids, issue.due_at
                )
                tables.letters.set_state(issue.id, "scheduled")

    # ── to the end ───────────────────────────────────────────────────────────────────────

    def finish(self) -> None:
        """Start again until nothing is left to do."""
        for slot in self.slots:
            slot.kill()
        self.receiver.leash(sys.maxsize)
        for number in range(20):
            if number == UNKIND_ROUNDS:
                self.receiver.behave()
            for slot in self.slots:
                slot.begin(self.receiver)
            for slot in self.slots:
                assert slot.has_ended(PATIENCE_S + self.plan.contacts), "a run does not end"
                assert slot.ends[-1] in (0, DOWN), f"a run failed: {slot.ends[-1]}"
            if not self._left():
                return
            self.receiver.advance(LATER if self._states().get("deferred") else PAUSE)
        raise AssertionError(f"it does not come to an end: {self._states()}")

    def judge(self, began: float) -> Outcome:
        """Compare the ledger with what the receiver took; settle by hand; compare again."""
        self.receiver.behave()
        copies = self.receiver.copies()
        ledger = self._ledger()
        unknown = {one for one, state in ledger.items() if state == "unknown"}
        ports = ports_at(self.scene.store, self.receiver.way(), self.receiver.now())
        listed = {doubt.copy for doubt in list_doubts(ports)}
        arrived = {one for one in unknown if copies[one]}
        heard = self.receiver.tell(ports)
        still = {one for one, state in self._ledger().items() if state == "unknown"}
        resolved = self._resolve(ports, still & arrived, still - arrived)
        if unknown:
            self.finish()
            copies = self.receiver.copies()
        return Outcome(
            plan=self.plan,
            inside=self.inside,
            outside=self.outside,
            held=self.held,
            doubles=sum(number - 1 for number in copies.values() if number > 1),
            lost=sum(1 for one in ledger if one not in unknown and not copies[one]),
            unknown=len(unknown),
            listed=len(listed & unknown) - len(listed - unknown),
            excused=self.receiver.excused(),
            troubles=self.receiver.troubles(),
            arrived=len(arrived),
            heard=heard,
            resolved=resolved,
            missing=sum(1 for one in ledger if copies[one] != 1) + len(set(copies) - set(ledger)),
            issue=self._issue_state(),
            seconds=time.monotonic() - began,
            stops=self.stops,
            called_back=self.called_back,
            not_back=self.not_back,
        )

    def _resolve(self, ports: Any, arrived: set[str], others: set[str]) -> int:
        """What a person finds out of each, and tells."""
        done = 0
        if arrived:
            done += resolve(ports, sorted(arrived), "sent").copies
        if others:
            done += resolve(ports, sorted(others), "not_sent").copies
        return done

    # ── the ledger, as it lies there ─────────────────────────────────────────────────────

    def _held_by(self, pid: int) -> int:
        """Rows that this process holds, claimed or attempting."""
        c = schema.deliveries.c
        mine = sa.and_(c.state.in_(("claimed", "attempting")), c.claimed_by.contains(f"|{pid}|"))
        return int(self._rows(sa.select(sa.func.count()).where(mine))[0][0])

    def _states(self) -> Counter[str]:
        c = schema.deliveries.c
        return Counter(dict(self._rows(sa.select(c.state, sa.func.count()).group_by(c.state))))

    def _left(self) -> int:
        """Copies that are still to go."""
        states = self._states()
        return sum(states[one] for one in OPEN)

    def _ledger(self) -> dict[str, str]:
        return dict(self._rows(sa.select(schema.deliveries.c.public_id, schema.deliveries.c.state)))

    def _issue_state(self) -> str:
        with self.scene.store.read() as tables:
            return str(tables.letters.by_id(self.scene.issue.id).state)

    def _rows(self, query: sa.Select[Any]) -> list[tuple[Any, ...]]:
        with self.scene.store.read() as tables:
            return [tuple(row) for row in tables.letters._connection.execute(query)]


def try_plan(plan: Plan, url: str, folder: Path, say: Callable[[str], None] = print) -> Outcome:
    """Carry it out on an empty database of the newest schema."""
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        store = SqlStore(url, SECRET)
        stack.callback(store.close)
        scene = build_scene(store, contacts=plan.contacts)
        scene.plan()
        receiver = RECEIVERS[plan.transport](folder)
        stack.callback(receiver.close)
        slots = []
        for _ in range(2):
            slots.append(Slot.open(url, receiver, plan))
            stack.callback(slots[-1].close)
        harness = Harness(plan, scene, receiver, slots, random.Random(plan.seed))
        if plan.misbehaves:
            receiver.misbehave(plan.seed)
        harness.kill_often()
        harness.finish()
        return harness.judge(began)
