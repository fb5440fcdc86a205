"""Deliver, over a real ledger and real files: each copy once, each reason on record."""

from __future__ import annotations

import resource
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

import pytest

from pipeline.errors import Down
from pipeline.model.catalog import Rhythm
from pipeline.model.letters import Batch, Envelope, Fate, PlannedDelivery, Recall, Receipt
from pipeline.model.people import EVERYWHERE
from pipeline.ports import Ports
from pipeline.stages.deliver import GONE, Delivered, deliver
from pipeline.stores.sql import SqlStore
from pipeline.transports.file import FileTransport
from tests.builders import CATALOG, FERRIES, NOW, WEEKLY, StandingClock
from tests.ledger_scene import TOKENS, Scene, address, build_scene
from tests.people_scene import ports_of

SOON = NOW + timedelta(minutes=5)


class ScriptedTransport:
    """Answers as it is told, in order; then it accepts."""

    name = "scripted"

    def __init__(self, *outcomes: str, remembers: bool = False) -> None:
        self.outcomes = list(outcomes)
        self.remembers = remembers
        self.batch_size = 200
        self.sent: list[Envelope] = []
        self.finished = 0

    def open_batch(self) -> Batch | None:
        return None

    def send(self, envelopes: Iterable[Envelope], batch: Batch | None = None) -> Iterator[Receipt]:
        for envelope in envelopes:
            outcome = self.outcomes.pop(0) if self.outcomes else "accepted"
            if outcome == "dies":
                raise SystemExit("as if killed")
            self.sent.append(envelope)
            yield Receipt(envelope.delivery_public_id, outcome, f"scripted: {outcome}")

    def fates(self, ids: Sequence[str], batch: Batch | None = None) -> Mapping[str, Fate]:
        return dict.fromkeys(ids, "not_left" if self.remembers else "unknown")

    def can_call_back(self, batch: Batch) -> bool:
        return False

    def call_back(self, batch: Batch) -> Recall:
        return Recall("stays", "it cannot be called back")

    def finish(self) -> None:
        self.finished += 1


class NarrowDisk(FileTransport):
    """A file transport whose disk holds no file larger than so many bytes."""

    room = 0

    def send(self, envelopes: Iterable[Envelope], batch: Batch | None = None) -> Iterator[Receipt]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        receipts: list[Receipt] = []
        failure: Down | None = None
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.room, before[1]))
        try:
            receipts.extend(super().send(envelopes))
        except Down as down:
            failure = down
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        yield from receipts
        if failure:
            raise failure


def ports(scene: Scene, transport: object, clock: StandingClock | None = None) -> Ports:
    return replace(
        ports_of(scene.store, clock=clock),
        transport=transport,  # type: ignore[arg-type]
        tokens=TOKENS,
    )


def mails(folder: Path) -> dict[str, EmailMessage]:
    """By recipient's address."""
    read = BytesParser(policy=policy.default)
    found = [read.parsebytes(path.read_bytes()) for path in sorted(folder.rglob("*.eml"))]
    by_address = {mail["To"].addresses[0].addr_spec: mail for mail in found}
    assert len(by_address) == len(found)
    return by_address


def counts(done: Delivered) -> dict[str, int]:
    (issue,) = done.issues
    return dict(issue.counts)


# ── the plain run ────────────────────────────────────────────────────────────────────────


def test_one_file_for_each_reader_and_the_beat_is_kept(store: SqlStore, tmp_path: Path) -> None:
    scene = build_scene(store, contacts=7)
    scene.plan()
    seen: list[tuple[int, int, str]] = []
    told = replace(ports(scene, FileTransport(tmp_path)), progress=lambda *said: seen.append(said))
    done = deliver(told, chunk=3)
    assert counts(done) == {"accepted": 7}
    assert (done.issues[0].ref, done.issues[0].state) == ("ferry-weekly/1", "sent")
    assert done.total("accepted") == 7
    assert set(mails(tmp_path)) == {address(n) for n in range(7)}
    assert seen == [(n, 7, "sending ferry-weekly/1") for n in (3, 6, 7)]
    with store.read() as tables:
        assert tables.letters.by_id(scene.issue.id).state == "sent"
        assert dict(tables.letters.beats(WEEKLY.key)) == {date(2027, 3, 8): "kept"}
    assert (tmp_path / "index.html").is_file()


def test_nothing_due_says_when_something_will_be(store: SqlStore, tmp_path: Path) -> None:
    scene = build_scene(store, due_at=SOON)
    assert deliver(ports(scene, FileTransport(tmp_path))) == Delivered()  # nothing planned yet
    scene.plan()
    transport = FileTransport(tmp_path)
    assert deliver(ports(scene, transport)) == Delivered(next_due_at=SOON)
    assert not mails(tmp_path)
    done = deliver(ports(scene, transport, StandingClock(SOON)))
    assert counts(done) == {"accepted": 3}
    assert done.next_due_at is None
    assert deliver(ports(scene, transport, StandingClock(SOON))) == Delivered()


def test_the_message_is_the_frozen_copy_under_proper_headers(
    store: SqlStore, tmp_path: Path
) -> None:
    scene = build_scene(store, contacts=1)
    scene.plan([scene.row(0, headers={"Reply-To": "Tom Reyes <tom@quaytide.example>"})])
    late = StandingClock(NOW + timedelta(hours=3))
    deliver(ports(scene, FileTransport(tmp_path), late))
    (mail,) = mails(tmp_path).values()
    planned = scene.row(0)
    assert mail["From"] == "Liv Haugen <liv@quaytide.example>"
    assert mail["Reply-To"] == "Tom Reyes <tom@quaytide.example>"
    assert mail["To"] == f"Reader 0 <{address(0)}>"
    assert mail["Subject"] == "Berths by the minute"
    assert mail["Message-ID"] == f"<{planned.public_id}@quaytide.example>"
    assert mail["Date"].datetime == NOW  # when it was due, so that every attempt is the same
    assert mail["List-Unsubscribe"] == f"<{planned.merge['leave_url']}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["List-Id"] == "<between-quays.quaytide.example>"
    assert mail["Feedback-ID"] == (
        f"{scene.issue.public_id[:10]}:between-quays:letter:quaytideexample"
    )
    html, text = mail.get_body(("html",)), mail.get_body(("plain",))
    assert html is not None
    assert text is not None
    assert "<p>Good morning, Reader 0.</p>" in html.get_content()
    assert text.get_content().splitlines()[0] == "Good morning, Reader 0."
    assert planned.merge["leave_url"] in text.get_content()
    raw = next(tmp_path.rglob("*.eml")).read_bytes()
    for betrayal in (b"prospect", b"customer", b"ferry-weekly", b"northline/"):
        assert betrayal not in raw.lower()


def test_an_address_is_not_written_as_a_name(store: SqlStore, tmp_path: Path) -> None:
    scene = build_scene(store, contacts=1)
    scene.plan([scene.row(0, name=address(0))])
    deliver(ports(scene, FileTransport(tmp_path), StandingClock(NOW)))
    (mail,) = mails(tmp_path).values()
    assert mail["To"] == address(0)


def test_mail_among_ourselves_has_no_list_headers(store: SqlStore, tmp_path: Path) -> None:
    scene = build_scene(store, contacts=1)
    mine = PlannedDelivery(
        "sales", "tom@quaytide.example", "Tom Reyes", {}, "less", staff_key="tom", due_at=NOW
    )
    scene.plan([scene.row(0), mine])
    deliver(ports(scene, FileTransport(tmp_path)))
    sales = mails(tmp_path)["tom@quaytide.example"]
    assert not [name for name in sales if name.startswith(("List-", "Feedback"))]
    assert sales["From"] == "Quay & Tide <desk@quaytide.example>"


def test_every_attempt_makes_the_same_bytes(store: SqlStore) -> None:
    scene = build_scene(store, contacts=1)
    scene.plan()
    transport = ScriptedTransport("deferred", "deferred")
    clock = StandingClock()
    for _ in range(3):
        done = deliver(ports(scene, transport, clock))
        clock.at = done.next_due_at or clock.at
    assert len({one.message for one in transport.sent}) == 1
    assert len(transport.sent) == 3
    assert transport.finished == 3


# ── outcomes ─────────────────────────────────────────────────────────────────────────────


def test_one_of_many_is_a_value_and_the_others_go_on(store: SqlStore) -> None:
    scene = build_scene(store, contacts=4)
    bad = "reader1ø@northline.example"
    scene.plan([scene.row(0), scene.row(1, address=bad), scene.row(2), scene.row(3)])
    transport = ScriptedTransport("refused")
    done = deliver(ports(scene, transport))
    assert counts(done) == {"accepted": 2, "refused": 2}
    assert (done.issues[0].state, done.issues[0].reason) == ("sent", "2 refused")
    assert [one.recipient for one in transport.sent] == [address(0), address(2), address(3)]
    with store.read() as tables:
        refused = tables.deliveries.by_public_id(scene.row(1).public_id)
    assert refused is not None
    assert "before the @" in refused.reason


def test_deferred_copies_keep_the_issue_open_until_they_are_through(store: SqlStore) -> None:
    scene = build_scene(store, contacts=2)
    scene.plan()
    clock = StandingClock()
    transport = ScriptedTransport("deferred")
    first = deliver(ports(scene, transport, clock))
    assert counts(first) == {"accepted": 1, "deferred": 1}
    assert first.issues[0].state == "sending"
    assert first.next_due_at == NOW + timedelta(minutes=5)
    assert deliver(ports(scene, transport, clock)).issues == ()
    clock.at = first.next_due_at
    second = deliver(ports(scene, transport, clock))
    assert counts(second) == {"accepted": 1}
    assert second.issues[0].state == "sent"


def test_an_issue_with_a_copy_nobody_knows_of_is_partly_sent(store: SqlStore) -> None:
    scene = build_scene(store, contacts=2)
    scene.plan()
    done = deliver(ports(scene, ScriptedTransport("unknown")))
    assert (done.issues[0].state, done.issues[0].reason) == ("partly_sent", "1 unknown")
    with store.read() as tables:
        assert dict(tables.letters.beats(WEEKLY.key)) == {date(2027, 3, 8): "kept"}


def test_an_issue_that_reached_nobody_missed_its_beat(store: SqlStore) -> None:
    scene = build_scene(store, contacts=2)
    scene.plan()
    with store.write() as tables:
        for contact_id in scene.contact_ids:
            tables.people.suppress(contact_id, EVERYWHERE, "left", NOW)
    done = deliver(ports(scene, ScriptedTransport()))
    assert counts(done) == {"withheld": 2}
    assert done.issues[0].state == "missed"
    with store.read() as tables:
        assert dict(tables.letters.beats(WEEKLY.key)) == {date(2027, 3, 8): "missed"}


@pytest.mark.parametrize(
    ("zone", "at", "paused_until", "state"),
    [
        # half past seven on the 9th there, and still the 8th in Greenwich
        ("Pacific/Auckland", datetime(2027, 3, 8, 18, 30, tzinfo=UTC), 9, "accepted"),
        ("Pacific/Auckland", datetime(2027, 3, 8, 18, 30, tzinfo=UTC), 10, "withheld"),
        # eight in the evening of the 8th there, and the 9th in Greenwich
        ("America/New_York", datetime(2027, 3, 9, 1, 0, tzinfo=UTC), 8, "accepted"),
        ("America/New_York", datetime(2027, 3, 9, 1, 0, tzinfo=UTC), 9, "withheld"),
    ],
)
def test_a_pause_ends_with_the_day_where_the_newsletter_is_at_home(
    store: SqlStore, zone: str, at: datetime, paused_until: int, state: str
) -> None:
    scene = build_scene(store, 1, due_at=at)
    scene.plan()
    with store.write() as tables:
        tables.people.pause(scene.contact_ids[0], date(2027, 3, paused_until), "tom", NOW)
    weekly = replace(WEEKLY, rhythm=replace(WEEKLY.rhythm, zone=zone))
    there = replace(CATALOG, constellations=(replace(FERRIES, newsletters=(weekly,)),))
    its_ports = replace(ports(scene, ScriptedTransport(), StandingClock(at)), catalog=there)
    deliver(its_ports)
    assert scene.states() == {state: 1}


def test_who_leaves_while_it_is_going_out_gets_nothing(store: SqlStore) -> None:
    scene = build_scene(store, contacts=3)
    scene.plan()

    class Leaver(ScriptedTransport):
        def send(
            self, envelopes: Iterable[Envelope], batch: Batch | None = None
        ) -> Iterator[Receipt]:
            for receipt in super().send(envelopes):
                with store.write() as tables:
                    tables.people.suppress(scene.contact_ids[2], WEEKLY.key, "left", NOW)
                yield receipt

    transport = Leaver()
    done = deliver(ports(scene, transport), chunk=1)
    assert counts(done) == {"accepted": 2, "withheld": 1}
    assert address(2) not in [one.recipient for one in transport.sent]


def test_a_stop_ends_the_run_at_its_next_claim(store: SqlStore) -> None:
    scene = build_scene(store, contacts=5)
    scene.plan()

    class Stopper(ScriptedTransport):
        def send(
            self, envelopes: Iterable[Envelope], batch: Batch | None = None
        ) -> Iterator[Receipt]:
            yield from super().send(envelopes)
            with store.write() as tables:
                tables.letters.set_state(scene.issue.id, "stopped", reason="a mistake in story 2")
                tables.deliveries.withhold_planned(scene.issue.id, "stopped", NOW)

    transport = Stopper()
    done = deliver(ports(scene, transport), chunk=2)
    assert (done.issues[0].state, done.issues[0].reason) == ("partly_sent", "a mistake in story 2")
    assert counts(done) == {"accepted": 2, "withheld": 3}
    assert len(transport.sent) == 2
    assert deliver(ports(scene, transport)) == Delivered()


# ── too late, or gone ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("late", "policy_of_lateness", "state"),
    [
        (timedelta(hours=23), "send", "sent"),
        (timedelta(hours=25), "send", "missed"),
        (timedelta(minutes=50), "skip", "sent"),
        (timedelta(hours=2), "skip", "missed"),
    ],
)
def test_an_issue_follows_its_late_policy(
    store: SqlStore, late: timedelta, policy_of_lateness: str, state: str
) -> None:
    scene = build_scene(store)
    scene.plan()
    rhythm: Rhythm = replace(WEEKLY.rhythm, late=policy_of_lateness)  # type: ignore[arg-type]
    weekly = replace(WEEKLY, rhythm=rhythm)
    catalog = replace(CATALOG, constellations=(replace(FERRIES, newsletters=(weekly,)),))
    transport = ScriptedTransport()
    its_ports = replace(ports(scene, transport, StandingClock(NOW + late)), catalog=catalog)
    done = deliver(its_ports)
    assert done.issues[0].state == state
    assert len(transport.sent) == (3 if state == "sent" else 0)
    assert scene.states() == {"accepted" if state == "sent" else "withheld": 3}
    if state == "missed":
        assert "late: it does not go out any more" in done.issues[0].reason


def test_what_was_approved_after_its_beat_goes_out_at_once(store: SqlStore) -> None:
    scene = build_scene(store)
    scene.plan()
    now = NOW + timedelta(days=3)
    with store.write() as tables:
        tables.letters.set_state(scene.issue.id, "scheduled", approved_by="liv", approved_at=now)
    done = deliver(ports(scene, ScriptedTransport(), StandingClock(now)))
    assert counts(done) == {"accepted": 3}


def test_what_has_begun_is_finished_however_late(store: SqlStore) -> None:
    scene, clock = build_scene(store), StandingClock(NOW)
    scene.plan()
    deliver(ports(scene, ScriptedTransport("accepted", "deferred", "deferred"), clock))
    clock.at += timedelta(days=9)
    done = deliver(ports(scene, ScriptedTransport(), clock))
    assert counts(done) == {"accepted": 2}


@pytest.mark.parametrize("first_try", ["away", "deferred"])
def test_what_found_no_relay_in_time_does_not_go_out_days_later(
    store: SqlStore, first_try: str
) -> None:
    class Away(ScriptedTransport):
        def open_batch(self) -> Batch | None:
            raise Down("The relay is away.")

    scene, clock = build_scene(store), StandingClock(NOW)
    scene.plan()
    if first_try == "away":
        with pytest.raises(Down):
            deliver(ports(scene, Away(), clock))
    else:
        deliver(ports(scene, ScriptedTransport("deferred", "deferred", "deferred"), clock))
    clock.at += timedelta(days=2)
    transport = ScriptedTransport()
    done = deliver(ports(scene, transport, clock))
    assert (done.issues[0].state, transport.sent) == ("missed", [])
    assert "48 hours late: it does not go out any more" in done.issues[0].reason
    assert scene.states() == {"withheld": 3}
    with store.read() as tables:
        assert dict(tables.letters.beats(WEEKLY.key)) == {date(2027, 3, 8): "missed"}


def test_an_issue_whose_newsletter_is_gone_is_stopped(store: SqlStore) -> None:
    scene = build_scene(store)
    scene.plan()
    bare = replace(CATALOG, constellations=(replace(FERRIES, newsletters=()),))
    transport = ScriptedTransport()
    done = deliver(replace(ports(scene, transport), catalog=bare))
    assert (done.issues[0].state, done.issues[0].reason) == ("stopped", GONE)
    assert not transport.sent


# ── crashes ──────────────────────────────────────────────────────────────────────────────


def test_after_a_crash_files_tell_what_had_left(store: SqlStore, tmp_path: Path) -> None:
    scene = build_scene(store, contacts=4)
    scene.plan()
    transport = FileTransport(tmp_path)

    class Dying(FileTransport):
        def send(
            self, envelopes: Iterable[Envelope], batch: Batch | None = None
        ) -> Iterator[Receipt]:
            for number, receipt in enumerate(super().send(envelopes)):
                if number == 2:
                    raise SystemExit("as if killed")
                yield receipt

        def _move(self, group):  # type: ignore[no-untyped-def]
            return super()._move(group[:3])

    with pytest.raises(SystemExit):
        deliver(ports(scene, Dying(tmp_path)))
    assert scene.states() == {"attempting": 4}
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.eml")}
    assert len(before) == 3

    held = deliver(ports(scene, transport))
    assert (held.issues, held.settled_doubts) == ((), 0)  # the lease still stands
    assert held.next_due_at is not None
    done = deliver(ports(scene, transport, StandingClock(held.next_due_at)))
    assert done.settled_doubts == 4
    assert counts(done) == {"accepted": 1}
    assert scene.states() == {"accepted": 4}
    assert set(mails(tmp_path)) == {address(n) for n in range(4)}
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize("owner", ["another-machine pid:[1]|4194304|beef", "x", "", "||"])
def test_only_a_lease_tells_of_a_holder_elsewhere(store: SqlStore, owner: str) -> None:
    """A process number says nothing about another machine's processes."""
    scene = build_scene(store, contacts=2)
    scene.plan()
    ends = NOW + timedelta(minutes=2)
    with store.write() as tables:
        tables.deliveries.claim(scene.issue.id, owner, ends, NOW, 1)
    transport = ScriptedTransport()
    first = deliver(ports(scene, transport))
    assert (counts(first), first.issues[0].state) == ({"accepted": 1}, "sending")
    assert first.next_due_at == ends
    assert counts(deliver(ports(scene, transport, StandingClock(ends)))) == {"accepted": 1}
    assert [one.recipient for one in transport.sent] == [address(1), address(0)]


def test_where_nothing_is_remembered_a_doubt_stays_one(store: SqlStore) -> None:
    scene = build_scene(store, contacts=2)
    scene.plan()
    with pytest.raises(SystemExit):
        deliver(ports(scene, ScriptedTransport("accepted", "dies")))
    transport = ScriptedTransport()
    done = deliver(ports(scene, transport, StandingClock(NOW + timedelta(hours=1))))
    assert done.settled_doubts == 2
    assert done.issues[0].state == "partly_sent"
    assert scene.states() == {"unknown": 2}
    assert not transport.sent


def test_a_run_that_died_before_closing_is_closed_by_the_next(store: SqlStore) -> None:
    scene = build_scene(store, contacts=2)
    scene.plan()
    deliver(ports(scene, ScriptedTransport()))
    with store.write() as tables:
        tables.letters.set_state(scene.issue.id, "sending")
    done = deliver(ports(scene, ScriptedTransport()))
    assert (done.issues[0].state, done.issues[0].counts) == ("sent", ())


def test_a_full_disk_stops_the_run_and_loses_nothing(store: SqlStore, tmp_path: Path) -> None:
    scene = build_scene(store, contacts=6)
    large = scene.row(3)
    large = replace(large, merge={**large.merge, "greeting": "Good morning. " * 2_000})
    scene.plan([*(scene.row(n) for n in range(3)), large, scene.row(4), scene.row(5)])
    disk = NarrowDisk(tmp_path)
    disk.room = 16_384
    with pytest.raises(Down, match="no room left for mail"):
        deliver(ports(scene, disk))
    assert scene.states() == {"accepted": 3, "planned": 3}
    assert set(mails(tmp_path)) == {address(n) for n in range(3)}
    with store.read() as tables:
        waiting = tables.deliveries.by_public_id(large.public_id)
    assert waiting is not None
    assert "no room left" in waiting.reason
    assert waiting.attempts == 0

    disk.room = resource.RLIM_INFINITY
    done = deliver(ports(scene, disk))
    assert counts(done) == {"accepted": 3}
    assert done.issues[0].state == "sent"
    assert set(mails(tmp_path)) == {address(n) for n in range(6)}
