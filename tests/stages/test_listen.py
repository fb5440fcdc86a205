"""What readers and the world answer, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from pipeline.errors import NotFound
from pipeline.model.letters import Heard
from pipeline.model.log import Operation
from pipeline.model.people import EVERYWHERE
from pipeline.ports import Ports
from pipeline.rules.deeds import in_words
from pipeline.stages import listen
from pipeline.stages.curate import undo as undo_curating
from pipeline.stages.deliver import deliver
from pipeline.stages.people import hold
from pipeline.stages.people import undo as undo_with_people
from pipeline.stores.people import address_hash
from pipeline.stores.schema import contacts, new_public_id, suppressions
from pipeline.stores.sql import SqlStore
from tests.builders import CATALOG, FERRIES, NOW, WEEKLY, StandingClock
from tests.ledger_scene import TOKENS, Scene, build_scene
from tests.people_scene import ASKED, bring, ports_of, row
from tests.stages.test_deliver import ScriptedTransport

LATER = NOW + timedelta(hours=1)


def sent(store: SqlStore, *outcomes: str, contacts: int = 2) -> Scene:
    scene = build_scene(store, contacts=contacts)
    scene.plan()
    deliver(ports(scene, transport=ScriptedTransport(*outcomes)))
    return scene


def ports(scene: Scene, **changes: object) -> Ports:
    its = replace(ports_of(scene.store, clock=StandingClock(LATER)), tokens=TOKENS)
    if "transport" in changes:
        changes["clock"] = StandingClock(NOW)
    return replace(its, **changes)  # type: ignore[arg-type]


def token(scene: Scene, number: int = 0) -> str:
    return TOKENS.make(listen.LEAVE, scene.row(number).public_id)


def suppressed(scene: Scene, number: int = 0) -> set[tuple[str, str]]:
    with scene.store.read() as tables:
        found = tables.people.suppressions(scene.contact_ids[number])
    return {(one.scope, one.reason) for one in found}


# ── leaving ──────────────────────────────────────────────────────────────────────────────


def test_who_leaves_by_an_old_letter_leaves_with_the_address_that_got_it(store: SqlStore) -> None:
    """Else the old address comes back with an old list, as somebody new, and is mailed."""
    scene = sent(store)
    row_of = scene.row(0)
    with store.write() as tables:
        raw = tables.people._connection
        raw.execute(
            sa.update(contacts)
            .where(contacts.c.id == scene.contact_ids[0])
            .values(
                address="new@northline.example",
                address_hash=address_hash(tables.people._address_key, "new@northline.example"),
            )
        )
    listen.leave(ports(scene), token(scene), "all", one_click=True)
    (back,) = bring(store, row(1, row_of.address, "northline", basis=ASKED))
    with store.read() as tables:
        assert {s.reason for s in tables.people.suppressions(back)} == {"left"}
    assert suppressed(scene) == {(EVERYWHERE, "left")}


def test_leaving_twice_is_leaving_once_and_says_how(store: SqlStore) -> None:
    scene = sent(store)
    for _ in range(2):
        left = listen.leave(ports(scene), token(scene), "this", one_click=False)
        assert left == listen.Left()
    with store.read() as tables:
        (one,) = tables.people.suppressions(scene.contact_ids[0])
    assert (one.scope, one.reason, one.at) == (WEEKLY.key, "left", LATER)
    assert one.detail == f"on the page, copy {scene.row(0).public_id}"


def test_leaving_holds_for_the_next_issue_too(store: SqlStore) -> None:
    scene = sent(store)
    listen.leave(ports(scene), token(scene), "this", one_click=True)
    with store.read() as tables:
        candidates = {
            one.contact.id: one.suppression
            for one in tables.people.candidates("ferries", WEEKLY.key, LATER, cap_days=30)
        }
        elsewhere = {
            one.contact.id: one.suppression
            for one in tables.people.candidates("ferries", "ferry-monthly", LATER, cap_days=30)
        }
    gone, stays = scene.contact_ids
    assert candidates[gone] is not None
    assert candidates[stays] is None
    assert elsewhere[gone] is None


@pytest.mark.parametrize("purpose", ["preferences", "issue", ""])
def test_a_token_of_another_purpose_leaves_nobody(store: SqlStore, purpose: str) -> None:
    scene = sent(store)
    other = TOKENS.make(purpose, scene.row(0).public_id)
    assert listen.leave(ports(scene), other, "all", one_click=True) == listen.Left()
    assert suppressed(scene) == set()


def test_the_guard_counts_from_the_delivery(store: SqlStore) -> None:
    scene = sent(store)
    soon = ports(scene, clock=StandingClock(NOW + listen.TOO_SOON - timedelta(seconds=1)))
    assert listen.leave(soon, token(scene), "this", one_click=False).ask_again
    assert suppressed(scene) == set()
    late = ports(scene, clock=StandingClock(NOW + listen.TOO_SOON))
    assert not listen.leave(late, token(scene), "this", one_click=False).ask_again
    assert suppressed(scene) == {(WEEKLY.key, "left")}


def test_staying_after_all_lets_the_next_letter_come(store: SqlStore) -> None:
    scene = sent(store)
    listen.leave(ports(scene), token(scene), "all", one_click=False)
    listen.keep_after_all(ports(scene), token(scene))
    assert suppressed(scene) == set()
    listen.keep_after_all(ports(scene), "no token of ours")


# ── on record ────────────────────────────────────────────────────────────────────────────


def logged(scene: Scene, number: int = 0) -> list[Operation]:
    with scene.store.read() as tables:
        contact = tables.people.by_id(scene.contact_ids[number])
        return list(tables.log.of(f"contact:{contact.public_id}"))


def test_leaving_and_staying_are_on_record(store: SqlStore) -> None:
    scene = sent(store)
    copy = scene.row(0).public_id
    for _ in range(2):  # the second press finds it so and writes nothing
        listen.leave(ports(scene), token(scene), "this", one_click=True)
    listen.leave(ports(scene), token(scene), "all", one_click=False)
    for _ in range(2):
        listen.keep_after_all(ports(scene), token(scene))
    this, everything, stayed = logged(scene)
    assert {(one.actor, one.at) for one in logged(scene)} == {("recipient", LATER)}
    assert [one.verb for one in logged(scene)] == ["leave", "leave", "stay"]
    assert (this.before["suppressed"], this.after["suppressed"]) == ([], [f"{WEEKLY.key} left"])
    assert {name: this.after[name] for name in ("letters", "how", "copy")} == {
        "letters": WEEKLY.key, "how": "one click", "copy": copy,
    }  # fmt: skip
    assert (everything.after["letters"], everything.after["how"]) == ("all", "on the page")
    assert stayed.before["suppressed"] == ["* left", f"{WEEKLY.key} left"]
    assert stayed.after["suppressed"] == []
    assert in_words(this, "Ingrid") == "recipient left"
    assert not logged(scene, 1)


def test_a_press_that_asks_again_is_not_on_record(store: SqlStore) -> None:
    scene = sent(store)
    soon = ports(scene, clock=StandingClock(NOW))
    assert listen.leave(soon, token(scene), "this", one_click=False).ask_again
    listen.keep_after_all(soon, token(scene))
    assert not logged(scene)


@pytest.mark.parametrize(
    ("news", "actor", "verb", "reason"),
    [
        ("complained", "recipient", "complain", "complaint"),
        ("bounced", "mail server", "bounce", "bounce"),
    ],
)
def test_what_the_world_says_for_good_is_on_record_once(
    store: SqlStore, news: Heard, actor: str, verb: str, reason: str
) -> None:
    scene = sent(store)
    for _ in range(2):
        listen.hear(ports(scene), scene.row(0).public_id, news, "550 <ingrid@northline.example>")
    (one,) = logged(scene)
    assert (one.actor, one.verb, one.after["suppressed"]) == (actor, verb, [f"* {reason}"])
    assert "@" not in f"{one.before}{one.after}"


def test_a_delivery_is_no_change_of_standing(store: SqlStore) -> None:
    scene = sent(store)
    listen.hear(ports(scene), scene.row(0).public_id, "delivered", "")
    assert not logged(scene)


def test_no_undo_takes_a_leaving_back(store: SqlStore) -> None:
    """Not even that of somebody who is called what the log calls a reader."""
    scene = sent(store)
    listen.leave(ports(scene), token(scene), "all", one_click=True)
    for actor in ("tom", listen.RECIPIENT):
        for undo in (undo_curating, undo_with_people):
            with pytest.raises(NotFound, match="nothing that"):
                undo(ports(scene, actor=actor))
    assert suppressed(scene) == {(EVERYWHERE, "left")}


def test_undo_does_not_trip_over_a_leaving(store: SqlStore) -> None:
    scene = sent(store)
    address = scene.row(0).address
    hold(ports(scene), address, "we meet on Friday")
    listen.leave(ports(scene), token(scene), "all", one_click=True)
    assert undo_with_people(ports(scene)).operation.verb == "hold"
    assert suppressed(scene) == {(EVERYWHERE, "left")}
    with store.read() as tables:
        assert tables.people.standing(scene.contact_ids[0]).hold == ""


# ── the page ─────────────────────────────────────────────────────────────────────────────


def test_the_page_names_a_letter_only_where_there_is_one(store: SqlStore) -> None:
    scene = build_scene(store, contacts=1)
    only = listen.look(ports(scene))
    assert (only.title, only.how_often) == (WEEKLY.title, "every Thursday")
    assert listen.look(ports(scene), "de").how_often == "jeden Donnerstag"
    monthly = replace(WEEKLY, key="ferry-monthly", title="A Month of Quays")
    two = replace(CATALOG, constellations=(replace(FERRIES, newsletters=(WEEKLY, monthly)),))
    page = listen.look(ports(scene, catalog=two))
    assert (page.title, page.how_often, page.positioning, page.language) == ("", "", "", "")
    assert page.firm_name == CATALOG.firm.name


def test_an_issue_stays_readable_for_those_who_have_it(store: SqlStore) -> None:
    """Stopped in the middle, it is partly sent; its page is still linked from the copies."""
    scene = sent(store)
    with store.write() as tables:
        tables.letters.set_state(scene.issue.id, "partly_sent", reason="stopped by liv")
    page = listen.public_issue(ports(scene), scene.issue.public_id)
    assert page.public_id == scene.issue.public_id
    assert "Between Quays" in page.html
    with store.write() as tables:
        tables.letters.retire_editions(scene.issue.id, LATER)
    with pytest.raises(NotFound):
        listen.public_issue(ports(scene), scene.issue.public_id)


# ── news of a copy ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("news", "state", "blocked"),
    [
        ("delivered", "delivered", set()),
        ("bounced", "bounced", {(EVERYWHERE, "bounce")}),
        ("complained", "complained", {(EVERYWHERE, "complaint")}),
    ],
)
def test_news_moves_the_copy_and_blocks_where_it_must(
    store: SqlStore, news: str, state: str, blocked: set[tuple[str, str]]
) -> None:
    scene = sent(store)
    for _ in range(2):
        told = listen.hear(ports(scene), scene.row(0).public_id, news, "code 550")  # type: ignore[arg-type]
        assert told == state
    assert suppressed(scene) == blocked
    assert suppressed(scene, 1) == set()


def test_a_bounce_of_an_old_address_leaves_the_new_one_alone(store: SqlStore) -> None:
    scene = sent(store)
    with store.write() as tables:
        tables.people._connection.execute(
            sa.update(contacts)
            .where(contacts.c.id == scene.contact_ids[0])
            .values(address="new@northline.example", address_hash="f" * 64)
        )
    listen.hear(ports(scene), scene.row(0).public_id, "bounced", "code 550")
    assert suppressed(scene) == set()
    with store.read() as tables:
        blocked = tables.people._connection.execute(sa.select(suppressions.c.address_hash))
        old = address_hash(tables.people._address_key, scene.row(0).address)
        assert [one for (one,) in blocked] == [old]


def test_a_late_complaint_counts_though_the_copy_had_bounced(store: SqlStore) -> None:
    scene = sent(store)
    for news in ("complained", "delivered", "bounced"):
        state = listen.hear(ports(scene), scene.row(0).public_id, news, "")  # type: ignore[arg-type]
        assert state == "complained"
    assert suppressed(scene) == {(EVERYWHERE, "complaint"), (EVERYWHERE, "bounce")}


def test_a_doubt_is_settled_by_news(store: SqlStore) -> None:
    scene = sent(store, "unknown", contacts=1)
    assert listen.hear(ports(scene), scene.row(0).public_id, "delivered", "") == "delivered"
    assert scene.states() == {"delivered": 1}


def test_news_of_nothing_is_nothing(store: SqlStore) -> None:
    scene = sent(store, contacts=1)
    assert listen.hear(ports(scene), new_public_id(), "complained", "") is None
    assert suppressed(scene) == set()
