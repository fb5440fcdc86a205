"""A review mail that was refused: nobody has looked, so the issue waits for a hand or a mend."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.errors import AsterismError, Conflict
from pipeline.model.catalog import Staff
from pipeline.model.letters import Batch, Envelope, Receipt
from pipeline.ports import Ports
from pipeline.rules.letters.ledger import NOT_ASKED
from pipeline.stages.adopt import adopt
from pipeline.stages.compose import approve, compose_automatic, open_issues, show, stop
from pipeline.stages.compose.holding import take_back_unasked
from pipeline.stages.deliver import deliver
from pipeline.stages.explain import explain_issue
from pipeline.stages.notify import remind, send_notices
from pipeline.stages.status import status
from tests.compose_automatic import (
    MONTH,
    MONTH_DUE,
    REVIEW_AT,
    month_before_review,
    month_scene,
    open_month,
    weekly_goes_out,
)
from tests.compose_scene import Scene, log_of
from tests.people_scene import raw

LIV, EVA, TOM = (f"{name}@quaytide.example" for name in ("liv", "eva", "tom"))
WHY = f"the mail that asks Liv Haugen to look at it was refused (550 no such user {LIV})"


@dataclass
class ChoosyTransport:
    """Says one thing to some addresses, and takes what goes to the others."""

    says: dict[str, str] = field(default_factory=dict)  #: address → outcome
    sent: list[Envelope] = field(default_factory=list)
    name: str = "smtp"
    batch_size: int = 1

    def open_batch(self) -> None:
        return None

    def send(self, envelopes: Iterable[Envelope], batch: Batch | None = None) -> Iterator[Receipt]:
        for envelope in envelopes:
            outcome = self.says.get(envelope.recipient, "accepted")
            if outcome == "accepted":
                self.sent.append(envelope)
            detail = "" if outcome == "accepted" else f"550 no such user {envelope.recipient}"
            yield Receipt(envelope.delivery_public_id, outcome, detail)

    def fates(self, public_ids, batch=None):
        return dict.fromkeys(public_ids, "unknown")

    def finish(self) -> None:
        pass


@dataclass
class Month:
    """The month of the ferries, and a relay that knows no Liv."""

    scene: Scene
    relay: ChoosyTransport

    @property
    def ports(self) -> Ports:
        return replace(self.scene.ports, transport=self.relay)

    @property
    def issue(self):
        return self.scene.issue(MONTH)

    def staff(self, key: str, **changes: str) -> None:
        """Somebody mends firm.yaml."""
        catalog = self.scene.ports.catalog
        firm = replace(catalog.firm, staff=tuple(
            replace(one, **changes) if one.key == key else one for one in catalog.firm.staff
        ))  # fmt: skip
        self.scene.ports = replace(self.scene.ports, catalog=replace(catalog, firm=firm))

    def colleague(self, new: Staff) -> None:
        catalog = self.scene.ports.catalog
        firm = replace(catalog.firm, staff=(*catalog.firm.staff, new))
        self.scene.ports = replace(self.scene.ports, catalog=replace(catalog, firm=firm))

    def constellation(self, **changes: Any) -> None:
        """Somebody mends constellations/ferries.yaml."""
        catalog = self.scene.ports.catalog
        (ferries,) = catalog.constellations
        changed = replace(catalog, constellations=(replace(ferries, **changes),))
        self.scene.ports = replace(self.scene.ports, catalog=changed)

    def tick(self) -> None:
        """What the scheduler runs, in its order."""
        deliver(self.ports)
        open_issues(self.ports)
        compose_automatic(self.ports)
        remind(self.ports)
        send_notices(self.ports)

    def notices(self) -> dict[tuple[str, str], str]:
        """(kind, address) → state."""
        about = f"issue:{self.issue.public_id}"
        with self.scene.store.read() as tables:
            return {(one.kind, one.address): one.state for one in tables.notices.of(about)}

    def letters(self) -> int:
        return sum(one.group == "ferry-month/1" for one in self.relay.sent)

    def beat(self) -> str:
        with self.scene.store.read() as tables:
            return tables.letters.beats(MONTH)[self.issue.beat_on]


@pytest.fixture
def month(store, tmp_path) -> Month:
    scene = month_before_review(store, tmp_path)
    return Month(scene, ChoosyTransport({LIV: "refused"}))


@pytest.fixture
def held(month) -> Month:
    """The mail was refused, and the next look took the issue back and told others."""
    month.tick()
    month.tick()
    return month


def test_before_it_is_taken_back_no_copy_leaves_either(month):
    compose_automatic(month.ports)
    send_notices(month.ports)
    month.scene.at(MONTH_DUE + timedelta(hours=1))
    assert month.issue.state == "scheduled"
    assert deliver(month.ports).total("accepted") == 0


def test_it_is_held_with_the_reason_and_its_copies_are_withheld(held):
    issue = held.issue
    assert (issue.state, issue.reason) == ("in_review", WHY)
    assert (issue.approved_by, issue.review_until) == ("", None)
    assert held.beat() == "planned"
    with held.scene.store.read() as tables:
        copies = tuple(tables.deliveries.of_issue(issue.id))
        assert tables.reasons.beat_of(issue.id)["reason"] == WHY
        assert tables.letters.variants(issue.id) == []
    assert {(one.state, one.reason) for one in copies} == {("withheld", NOT_ASKED)}
    assert log_of(held.scene, f"issue:{issue.public_id}") == [
        "open", "compose", "approve", "hold back",
    ]  # fmt: skip


def test_it_is_told_to_who_else_can_act_and_once(held):
    assert held.notices() == {
        ("review", LIV): "refused",
        ("review_refused", EVA): "accepted",
        ("review_refused", TOM): "accepted",
    }
    sent = len(held.relay.sent)
    held.tick()
    assert len(held.relay.sent) == sent
    with held.scene.store.read() as tables:
        told = [
            one for one in tables.notices.of(f"issue:{held.issue.public_id}")
            if one.kind == "review_refused"
        ]  # fmt: skip
    flat = told[0].text.replace("\n", " ")
    name = "The Month at the Quays (no. 1)"
    assert told[0].subject == f"{name} is held back: Liv Haugen could not be asked"
    assert f"{WHY[1:]}." in flat
    assert "24 hours to look at the issue" in flat
    assert "by Wednesday 17 March 2027, 08:00 (Europe/Oslo), it does not go out" in flat
    assert "asterism --as liv issue approve ferry-month/1" in flat
    assert "/stop/" not in flat


def test_where_curator_and_backup_are_nobody_else_the_expert_hears(month):
    month.constellation(curator="liv", backup="", expert="tom")
    month.tick()
    month.tick()
    assert ("review_refused", TOM) in month.notices()
    assert ("review_refused", EVA) not in month.notices()


def test_status_show_and_explain_say_so(held):
    (step,) = [one for one in status(held.ports).next if "The Month at the Quays" in one.what]
    assert f"is held back: {WHY}. Mend the address" in step.what
    assert step.command == "asterism --as liv issue approve ferry-month/1"
    said = show(held.ports, MONTH).next_step
    assert said.startswith(f"It is held back: {WHY}. With another address")
    told = explain_issue(held.ports, MONTH)
    text = "\n".join(f"{one.what}\n{one.detail}" for one in told.steps)
    assert WHY in text
    assert "automatic held it back" in text
    assert "Mail to Liv Haugen, “The Month at the Quays (no. 1) goes out by itself on" in text


def test_a_hand_approves_it_and_it_goes_on_its_beat(held):
    approve(held.ports, MONTH)
    held.scene.at(MONTH_DUE)
    held.tick()
    assert held.issue.state == "sent"
    assert held.letters() == 2  # Fay's letter, and a sales edition
    held.tick()
    assert held.letters() == 2


def test_a_mended_address_is_asked_anew_and_the_window_begins_anew(held):
    mended_at = REVIEW_AT + timedelta(hours=6)
    held.scene.at(mended_at)
    held.staff("liv", address="liv.haugen@quaytide.example")
    adopt(held.ports)
    held.tick()
    issue = held.issue
    assert (issue.state, issue.reason) == ("scheduled", "")
    assert issue.review_until == mended_at + timedelta(hours=24)
    assert held.notices()["review", "liv.haugen@quaytide.example"] == "accepted"
    held.scene.at(MONTH_DUE + timedelta(hours=5))
    held.tick()
    assert held.letters() == 0
    held.scene.at(mended_at + timedelta(hours=24))
    held.tick()
    assert held.issue.state == "sent"
    assert held.letters() == 3  # and Liv's own sales edition, to the mended address


def test_an_address_that_was_mended_with_another_mistake_is_told_again(held):
    wrong = "liv.haugn@quaytide.example"
    held.relay.says[wrong] = "refused"
    held.staff("liv", address=wrong)
    told = len(held.relay.sent)
    for hours in (1, 2, 3):
        held.scene.at(REVIEW_AT + timedelta(hours=hours))
        held.tick()
    assert (held.issue.state, wrong in held.issue.reason) == ("in_review", True)
    assert [one.recipient for one in held.relay.sent[told:]] == [EVA, TOM]
    with held.scene.store.read() as tables:
        texts = [
            one.text.replace("\n", " ")
            for one in tables.notices.of(f"issue:{held.issue.public_id}")
            if one.kind == "review_refused"
        ]
    assert all(f"in firm.yaml (now {wrong})" in text for text in texts)


def test_another_approver_is_asked_in_place_of_the_first(held):
    held.constellation(approver="tom")
    held.tick()
    assert held.issue.state == "scheduled"
    assert held.notices()["review", TOM] == "accepted"


def test_an_approver_who_is_named_at_once_needs_no_holding_back(month):
    """The mail to the next one goes while the issue is still frozen."""
    compose_automatic(month.ports)
    send_notices(month.ports)
    month.constellation(approver="tom")
    remind(month.ports)
    send_notices(month.ports)
    compose_automatic(month.ports)
    assert month.issue.state == "scheduled"
    month.scene.at(MONTH_DUE)
    month.tick()
    assert month.issue.state == "sent"


def test_an_address_mended_too_late_for_a_window_leaves_it_to_a_hand(store, tmp_path):
    weekly = month_scene(store, tmp_path).ports.catalog.newsletter(MONTH)
    scene = month_scene(store, tmp_path, rhythm=replace(weekly.rhythm, late="skip"))
    weekly_goes_out(scene)
    scene.person("Fay", "northline")
    open_month(scene)
    month = Month(scene, ChoosyTransport({LIV: "refused"}))
    month.tick()
    month.tick()
    scene.at(MONTH_DUE - timedelta(hours=5))
    month.staff("liv", address="liv.haugen@quaytide.example")
    adopt(month.ports)
    month.tick()
    assert month.issue.state == "in_review"
    assert "24 hours of review" in month.issue.reason
    approve(month.ports, MONTH)
    scene.at(MONTH_DUE)
    month.tick()
    assert month.issue.state == "sent"


def test_left_alone_it_misses_its_beat_with_the_reason(held):
    latest = MONTH_DUE + timedelta(hours=24)
    held.scene.at(latest)
    held.tick()
    assert (held.issue.state, held.beat()) == ("in_review", "planned")
    held.scene.at(latest + timedelta(minutes=1))
    held.tick()
    assert (held.issue.state, held.issue.reason, held.beat()) == ("missed", WHY, "missed")
    assert held.letters() == 0
    told = held.notices()
    assert told["not_sent", EVA] == told["not_sent", TOM] == "accepted"
    assert told["not_sent", LIV] == "refused"


def test_one_that_is_put_off_until_we_give_up_is_held_as_well(month):
    month.relay.says = {LIV: "deferred"}
    month.tick()
    for hours in (1, 3, 5, 10):
        assert month.issue.state == "scheduled"
        month.scene.at(REVIEW_AT + timedelta(hours=hours))
        send_notices(month.ports)
    assert month.notices()["review", LIV] == "refused"
    month.tick()
    assert month.issue.state == "in_review"
    assert "put off 5 times" in month.issue.reason


def test_an_address_that_is_none_is_as_one_that_is_refused(month):
    month.colleague(Staff("vera", "Vera Holm", "no address"))
    month.constellation(approver="vera")
    month.tick()
    month.tick()
    assert month.issue.state == "in_review"
    assert month.notices()["review", "no address"] == "refused"
    assert month.notices()["review_refused", EVA] == "accepted"  # answers to it go to the firm


def test_one_that_was_stopped_meanwhile_stays_stopped(month):
    compose_automatic(month.ports)
    send_notices(month.ports)
    stop(month.scene.acting("eva"), MONTH, "a typo")
    month.tick()
    assert (month.issue.state, month.issue.reason) == ("stopped", "a typo")


def test_one_that_is_stopped_while_it_is_taken_back_stays_stopped(month):
    """Somebody stops it between the look and the writing."""
    compose_automatic(month.ports)
    send_notices(month.ports)
    stopped = []

    class Slow:
        """Stops the issue before the first writing transaction."""

        def __getattr__(self, name):
            return getattr(month.scene.store, name)

        def write(self):
            if not stopped:
                stopped.append(stop(month.scene.acting("eva"), MONTH, "a typo"))
            return month.scene.store.write()

    done = compose_automatic(replace(month.ports, store=Slow()))
    assert done.held_back == ()
    assert (month.issue.state, month.issue.reason) == ("stopped", "a typo")


def test_one_of_which_nobody_knows_counts_as_left_and_is_told_on_record(month):
    month.relay.says = {LIV: "unknown"}
    month.tick()
    month.tick()
    assert month.issue.state == "scheduled"
    said = "Whether its review mail reached Liv Haugen is not known"
    assert any(said in one.what for one in status(month.ports).next)
    assert said in show(month.ports, MONTH).next_step
    text = "\n".join(one.detail for one in explain_issue(month.ports, MONTH).steps)
    assert "it may have arrived, so it counts as left" in text
    month.relay.says = {}
    month.scene.at(MONTH_DUE)
    month.tick()
    assert month.issue.state == "sent"


def test_who_may_have_heard_late_has_time_as_well(month):
    compose_automatic(month.ports)
    month.relay.says = {LIV: "unknown"}
    month.scene.at(MONTH_DUE - timedelta(hours=2))
    send_notices(month.ports)
    assert month.issue.review_until == MONTH_DUE + timedelta(hours=22)


def test_only_the_approver_of_the_file_says_yes(held):
    with pytest.raises(Conflict, match="Only Liv Haugen approves"):
        approve(replace(held.ports, actor="eva"), MONTH)


def test_one_whose_newsletter_no_file_has_any_more_is_taken_back_too(month):
    compose_automatic(month.ports)
    send_notices(month.ports)
    (ferries,) = month.scene.ports.catalog.constellations
    others = tuple(one for one in ferries.newsletters if one.key != MONTH)
    month.constellation(newsletters=others)
    adopt(month.ports)
    month.tick()
    assert (month.issue.state, month.issue.reason) == ("in_review", WHY)


def test_who_takes_it_back_and_who_stops_it_do_not_wait_for_each_other(month):
    """On PostgreSQL, rows that are locked in another order would end one of them."""
    compose_automatic(month.ports)
    send_notices(month.ports)
    taking_back, seen, failed = threading.get_ident(), [], []

    def press() -> None:
        try:
            stop(month.scene.ports, MONTH)
        except AsterismError as error:
            failed.append(error)

    other = threading.Thread(target=press)

    def between(connection, cursor, statement, parameters, context, many):
        """Before the second of the two tables that both of them write."""
        if threading.get_ident() != taking_back or not statement.startswith(
            ("UPDATE deliveries", "UPDATE issues")
        ):
            return
        seen.append(statement.split()[1])
        if len(seen) == 2:
            other.start()
            _until_it_waits(month.scene.store)

    sa.event.listen(sa.Engine, "before_cursor_execute", between)
    try:
        list(take_back_unasked(month.ports))
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", between)
        other.join(60)
    assert set(seen) == {"deliveries", "issues"}
    assert failed == []
    assert month.issue.state == "stopped"


def _until_it_waits(store) -> None:
    """Until somebody waits for a row; SQLite has one writer, who waits before it has read any."""
    waits = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND wait_event_type = 'Lock'"
    )
    if _dialect(store) == "sqlite":
        return
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with raw(store) as connection:
            if connection.scalar(waits):
                return
    pytest.fail("nobody waits")


def _dialect(store) -> str:
    with store.read() as tables:
        return tables.people._connection.dialect.name
