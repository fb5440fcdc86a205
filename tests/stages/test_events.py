"""What a provider posts: kept first, each event once, whatever order and however often."""

from __future__ import annotations

import random
import tempfile
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import NotFound
from pipeline.model.people import EVERYWHERE
from pipeline.ports import Ports
from pipeline.rules.letters.ledger import STOPPED
from pipeline.stages.deliver import deliver
from pipeline.stages.listen import (
    TakenIn,
    keep_after_all,
    receive,
    take_in,
    take_in_waiting,
    understand,
)
from pipeline.stores import schema
from pipeline.stores.migrate import migrate
from pipeline.stores.sql import SqlStore
from tests.builders import NOW, SECRET, StandingClock
from tests.ledger_scene import TOKENS, Scene, build_scene, connection
from tests.people_scene import ports_of
from tests.provider import SignedEvents, Told, posting, sign
from tests.stages.test_deliver import ScriptedTransport

LATER = NOW + timedelta(hours=1)
WORDS = ("processed", "delivered", "dropped", "bounce", "blocked", "spamreport", "unsubscribe",
         "open", "deferred")  # fmt: skip


def ports(scene: Scene, **changes: Any) -> Ports:
    its = replace(
        ports_of(scene.store, clock=StandingClock(LATER)), tokens=TOKENS, events=SignedEvents()
    )
    return replace(its, **changes)


def sent(store: SqlStore, *outcomes: str, contacts: int = 3) -> Scene:
    scene = build_scene(store, contacts=contacts)
    scene.plan()
    deliver(replace(ports_of(store), transport=ScriptedTransport(*outcomes), tokens=TOKENS))
    return scene


def ids(scene: Scene) -> list[str]:
    return [scene.row(number).public_id for number in range(len(scene.contact_ids))]


def suppressed(scene: Scene, number: int = 0) -> set[tuple[str, str]]:
    with scene.store.read() as tables:
        found = tables.people.suppressions(scene.contact_ids[number])
    return {(one.scope, one.reason) for one in found}


def post(scene: Scene, *told: Told, **changes: Any) -> TakenIn:
    return take_in(ports(scene, **changes), *posting(told))


def state_of(scene: Scene) -> str:
    with scene.store.read() as tables:
        return tables.letters.by_id(scene.issue.id).state


def rows(scene: Scene, table: sa.Table) -> int:
    with connection(scene.store) as raw:
        return raw.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


# ── the door ─────────────────────────────────────────────────────────────────────────────


def test_where_no_provider_tells_us_anything_there_is_no_door(store: SqlStore) -> None:
    scene = sent(store)
    with pytest.raises(NotFound):
        post(scene, events=None)
    assert take_in_waiting(ports(scene, events=None)) == TakenIn()


def test_what_is_not_signed_is_not_kept(store: SqlStore) -> None:
    scene = sent(store)
    body, _ = posting([Told("e1", ids(scene)[0], "spamreport")])
    for headers in ({}, {"x-signature": sign(body + b" ")}):
        refused = take_in(ports(scene), body, headers)
        assert refused == TakenIn(refused="it is not signed as theirs")
    assert rows(scene, schema.postings) == 0
    assert suppressed(scene) == set()


@pytest.mark.parametrize("body", [b"", b'[{"id": "e1"', b"\xff\xfe", b"null"[:3]])
def test_a_signed_body_that_is_broken_is_kept_and_never_asked_for_again(
    store: SqlStore, body: bytes
) -> None:
    scene = sent(store)
    its_ports = ports(scene)
    taken = take_in(its_ports, body, {"x-signature": sign(body)})
    assert taken == TakenIn(postings=1, broken=1)
    with connection(store) as raw:
        (kept,) = raw.execute(sa.select(schema.postings)).all()
    assert (kept.body, kept.detail, kept.taken_in_at) == (
        body, "The body is no list of events.", LATER
    )  # fmt: skip
    assert take_in_waiting(its_ports) == TakenIn()


# ── what events do ───────────────────────────────────────────────────────────────────────


def test_each_event_moves_its_copy_and_ends_letters_where_it_must(store: SqlStore) -> None:
    scene = sent(store, contacts=5)
    a, b, c, d, e = ids(scene)
    taken = post(
        scene,
        Told("1", a, "processed"), Told("2", a, "delivered"),
        Told("3", b, "bounce", "550 no such user"),
        Told("4", c, "spamreport"),
        Told("5", d, "unsubscribe"),
        Told("6", e, "blocked", "554 blocked for now"),
        Told("7", "", "open"), Told("8", "n" * 26, "bounce"),
    )  # fmt: skip
    assert taken == TakenIn(postings=1, events=8, moved=4, ended=3)
    assert scene.states() == {"delivered": 1, "bounced": 2, "complained": 1, "accepted": 1}
    assert [suppressed(scene, number) for number in range(5)] == [
        set(), {(EVERYWHERE, "bounce")}, {(EVERYWHERE, "complaint")}, {(EVERYWHERE, "left")}, set()
    ]  # fmt: skip
    with store.read() as tables:
        contact = tables.people.by_id(scene.contact_ids[3])
        (left,) = tables.log.of(f"contact:{contact.public_id}")
    assert (left.actor, left.verb, left.after["how"]) == ("recipient", "leave", "at the provider")


def test_a_reader_may_stay_though_the_same_event_comes_again(store: SqlStore) -> None:
    scene = sent(store)
    leave = Told("1", ids(scene)[0], "unsubscribe")
    post(scene, leave)
    keep_after_all(ports(scene), TOKENS.make("leave", ids(scene)[0]))
    assert post(scene, leave, Told("2", ids(scene)[0], "open")).events == 1
    assert suppressed(scene) == set()


def test_the_same_posting_again_is_not_even_read(store: SqlStore) -> None:
    scene = sent(store)
    events = SignedEvents()
    told = [Told("1", ids(scene)[0], "delivered")]
    assert post(scene, *told, events=events).events == 1
    assert post(scene, *told, events=events) == TakenIn()
    assert len(events.read_bodies) == 1
    assert rows(scene, schema.postings) == 1


def test_mail_among_ourselves_ends_for_nobody(store: SqlStore) -> None:
    scene = build_scene(store, contacts=1)
    mine = replace(
        scene.row(0), purpose="sales", contact_id=None, staff_key="tom", public_id="m" * 26,
        address="tom@quaytide.example", variant_key="less",
    )  # fmt: skip
    scene.plan([mine])
    deliver(replace(ports_of(store), transport=ScriptedTransport(), tokens=TOKENS))
    taken = post(scene, Told("1", mine.public_id, "spamreport"))
    assert (taken.moved, taken.ended) == (1, 0)
    assert rows(scene, schema.suppressions) == 0


def test_news_that_come_before_our_own_receipt_stand(store: SqlStore) -> None:
    scene = build_scene(store, contacts=1)
    scene.plan()

    class Told2(ScriptedTransport):
        def send(self, envelopes: Any, batch: Any = None) -> Any:
            for receipt in super().send(envelopes):
                post(scene, Told("1", receipt.delivery_public_id, "delivered"))
                yield receipt

    deliver(replace(ports_of(store), transport=Told2(), tokens=TOKENS))
    assert scene.states() == {"delivered": 1}
    assert state_of(scene) == "sent"


# ── doubts ───────────────────────────────────────────────────────────────────────────────


def test_news_that_settle_the_last_doubt_close_the_issue(store: SqlStore) -> None:
    scene = sent(store, "unknown", "unknown")
    first, second, _ = ids(scene)
    assert state_of(scene) == "partly_sent"
    post(scene, Told("1", first, "processed"))
    assert state_of(scene) == "partly_sent"
    post(scene, Told("2", second, "delivered"))
    assert state_of(scene) == "sent"


def test_news_do_not_lift_a_stop(store: SqlStore) -> None:
    scene = sent(store, "unknown")
    with connection(store) as raw:
        raw.execute(
            sa.update(schema.deliveries)
            .where(schema.deliveries.c.contact_id == scene.contact_ids[2])
            .values(state="withheld", reason=STOPPED)
        )
    post(scene, Told("1", ids(scene)[0], "delivered"))
    assert state_of(scene) == "partly_sent"


# ── killed in between ────────────────────────────────────────────────────────────────────


def test_what_was_kept_and_never_understood_is_finished_later(store: SqlStore) -> None:
    scene = sent(store)
    its_ports = ports(scene)
    for number, copy in enumerate(ids(scene)):
        received = receive(its_ports, *posting([Told(f"e{number}", copy, "delivered")]))
        assert received.posting_id is not None
    assert scene.states() == {"accepted": 3}
    assert take_in_waiting(replace(its_ports, stopping=lambda: True)) == TakenIn()
    assert take_in_waiting(its_ports) == TakenIn(postings=3, events=3, moved=3)
    assert take_in_waiting(its_ports) == TakenIn()
    assert scene.states() == {"delivered": 3}


def test_a_posting_that_was_half_understood_is_finished(store: SqlStore) -> None:
    scene = sent(store)
    its_ports = ports(scene)
    told = [Told(f"e{n}", copy, "bounce") for n, copy in enumerate(ids(scene))]
    received = receive(its_ports, *posting(told))
    assert received.posting_id is not None
    events = SignedEvents().read(posting(told[:2])[0])
    with store.write() as tables:  # killed after its first transaction
        tables.postings.add_events("sendgrid", received.posting_id, events)
        tables.deliveries.hear_all([(e.delivery_public_id, "bounced", "") for e in events], NOW)
    assert understand(its_ports, received.posting_id) == TakenIn(
        postings=1, events=1, moved=1, ended=1
    )
    assert understand(its_ports, received.posting_id) == TakenIn()
    assert scene.states() == {"bounced": 3}


def test_raw_bodies_are_forgotten_and_still_known(store: SqlStore) -> None:
    scene = sent(store)
    its_ports = ports(scene)
    told = Told("1", ids(scene)[0], "delivered")
    post(scene, told)
    waiting = receive(its_ports, *posting([Told("2", ids(scene)[1], "delivered")]))
    with store.write() as tables:
        assert tables.postings.forget(LATER) == 0
        assert tables.postings.forget(LATER + timedelta(seconds=1)) == 1
        assert tables.postings.forget(LATER + timedelta(seconds=1)) == 0
    assert post(scene, told) == TakenIn()
    assert waiting.posting_id is not None
    assert understand(its_ports, waiting.posting_id).events == 1  # not understood, not forgotten


# ── any order, any repetition ────────────────────────────────────────────────────────────


def outcome(scene: Scene) -> tuple[list[str], list[set[tuple[str, str]]], int]:
    """The states of the copies and of their readers, in order, and how many events we know."""
    with scene.store.read() as tables:
        copies = [copy.state for copy in tables.deliveries.of_issue(scene.issue.id)]
    stand = [suppressed(scene, number) for number in range(len(scene.contact_ids))]
    return copies, stand, rows(scene, schema.provider_events)


def taken_in(told: list[list[int]], words: list[tuple[int, str]]) -> Any:
    """What becomes of four copies when these events come, posting by posting."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/asterism.db"
        migrate(url)
        store = SqlStore(url, SECRET)
        scene = sent(store, "unknown", contacts=4)
        copies = ids(scene)
        for numbers in told:
            post(scene, *(Told(f"e{n}", copies[words[n][0]], words[n][1]) for n in numbers))
        found = outcome(scene)
        store.close()
        return found


@settings(max_examples=6)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(WORDS)), min_size=1, max_size=14),
    st.randoms(use_true_random=False),
)
def test_any_order_and_any_repetition_end_the_same(
    words: list[tuple[int, str]], chance: random.Random
) -> None:
    numbers = list(range(len(words)))
    again = [*numbers, *chance.choices(numbers, k=len(numbers))]
    chance.shuffle(again)
    cuts = [again[start : start + 5] for start in range(0, len(again), 5)]
    assert taken_in([numbers], words) == taken_in(cuts, words)


def test_ten_thousand_events_twice_and_shuffled(store: SqlStore) -> None:
    scene = sent(store, contacts=100)
    chance = random.Random(20270308)
    told = [
        Told(f"event {number}", copy, word)
        for number, (copy, word) in enumerate(
            (copy, word)
            for word in ("processed", "delivered", "open", "deferred", "click") * 20
            for copy in ids(scene)
        )
    ]
    assert len(told) == 10_000
    told[7_000] = replace(told[7_000], what="spamreport")
    told[9_001] = replace(told[9_001], what="bounce")
    first = post(scene, *told)
    assert (first.postings, first.events, first.ended) == (1, 10_000, 2)
    once = outcome(scene)
    again = [*told, *told]
    chance.shuffle(again)
    assert post(scene, *again) == TakenIn(postings=1)
    assert outcome(scene) == once
    assert scene.states() == {"delivered": 98, "bounced": 1, "complained": 1}
