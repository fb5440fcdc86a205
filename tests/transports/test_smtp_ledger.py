"""The ledger over a relay: whatever the relay does, each reader has a letter at most once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from email import message_from_bytes, policy

import pytest

from pipeline.errors import Down, SenderRefused
from pipeline.model.letters import Batch, Beat, Envelope, PlannedDelivery, Receipt, Rendered
from pipeline.ports import Ports
from pipeline.stages.deliver import deliver
from pipeline.stages.listen import leave
from pipeline.stores.sql import SqlStore
from pipeline.transports.smtp import SmtpTransport
from tests.builders import CATALOG, NOW, StandingClock
from tests.ledger_scene import TOKENS, Scene, address, build_scene
from tests.people_scene import ports_of
from tests.relay import DROP, POLITE, ScriptedRelay, mail_relay


def ports(scene: Scene, transport: SmtpTransport, clock: StandingClock | None = None) -> Ports:
    plain = ports_of(scene.store, clock=clock)
    return replace(plain, transport=transport, tokens=TOKENS)


def test_each_reader_gets_the_own_letter_over_one_line(store: SqlStore) -> None:
    scene = build_scene(store, 5)
    scene.plan()
    with mail_relay() as (where, inbox):
        done = deliver(ports(scene, SmtpTransport(where)))
    assert (done.issues[0].state, scene.states()) == ("sent", {"accepted": 5})
    assert len(inbox.connections) == 1
    assert sorted(letter.recipient for letter in inbox.letters) == [address(n) for n in range(5)]
    for letter in inbox.letters:
        mail = message_from_bytes(letter.message, policy=policy.default)
        assert mail["To"].addresses[0].addr_spec == letter.recipient
        others = {address(n) for n in range(5)} - {letter.recipient}
        assert not [other for other in others if other.encode() in letter.message]


def test_each_failure_is_of_one_copy_and_none_is_sent_twice(store: SqlStore) -> None:
    scene, clock = build_scene(store, 6), StandingClock(NOW)
    scene.plan()
    fine = POLITE["RCPT"]
    script = {
        "RCPT": [fine, b"550 5.1.1 gone\r\n", b"450 4.2.1 busy\r\n"],
        ".": [POLITE["."], DROP],  # the first letter, and the one after the two refusals
    }
    with ScriptedRelay(script) as relay:
        transport = SmtpTransport(relay.settings(), pauses_s=(0, 0))
        deliver(ports(scene, transport, clock))
        assert scene.states() == {"accepted": 3, "refused": 1, "deferred": 1, "unknown": 1}
        clock.at += timedelta(hours=1)
        done = deliver(ports(scene, transport, clock))
        assert scene.states() == {"accepted": 4, "refused": 1, "unknown": 1}
        assert done.issues[0].state == "partly_sent"
        clock.at += timedelta(days=1)
        deliver(ports(scene, transport, clock))
    letters = Counter(message_from_bytes(letter)["To"] for letter in relay.letters)
    assert (len(letters), set(letters.values())) == (5, {1})  # with the one in doubt


def test_who_leaves_while_others_letters_go_gets_none(store: SqlStore) -> None:
    """A slow relay keeps the last of a claim waiting for minutes."""
    scene = build_scene(store, 5)
    scene.plan()
    with mail_relay() as (where, inbox):
        its_ports = ports(scene, transport := SmtpTransport(where))

        class Pressing(SmtpTransport):
            def send(
                self, envelopes: Iterable[Envelope], batch: Batch | None = None
            ) -> Iterator[Receipt]:
                token = scene.row(4).merge["leave_url"].rpartition("/")[2]
                leave(its_ports, token, "this", one_click=True)
                return transport.send(envelopes, batch)

        done = deliver(replace(its_ports, transport=Pressing(where)))
        transport.finish()
    assert [letter.recipient for letter in inbox.letters] == [address(n) for n in range(4)]
    assert scene.states() == {"accepted": 4, "withheld": 1}
    assert done.total("withheld") == 1


@pytest.mark.parametrize("step", ["MAIL", "RCPT"])
def test_what_is_about_us_leaves_every_copy_waiting(store: SqlStore, step: str) -> None:
    scene, clock = build_scene(store, 4), StandingClock(NOW)
    scene.plan()
    with ScriptedRelay({step: b"530 5.7.0 sign in first\r\n"}) as relay:
        with pytest.raises(Down, match="sign in first"):
            deliver(ports(scene, SmtpTransport(relay.settings()), clock))
        assert scene.states() == {"planned": 4}
        assert not relay.letters
    with mail_relay() as (where, inbox):
        deliver(ports(scene, SmtpTransport(where), clock))
    assert scene.states() == {"accepted": 4}
    assert len(inbox.letters) == 4


NOT_YOURS = "550 5.7.60 SMTP; not permitted to send as this sender"


def test_one_refused_sender_keeps_nobody_else_s_letters_waiting(store: SqlStore) -> None:
    """`sender: owner` gives the copies of one issue several senders."""
    scene = build_scene(store, 6)
    owners = ("liv@quaytide.example", "tom@quaytide.example")
    scene.plan([from_(scene.row(number), owners[number % 2]) for number in range(6)])
    with mail_relay(says={owners[0]: NOT_YOURS}) as (where, inbox):
        its_ports = ports(scene, SmtpTransport(where))
        for _ in range(2):
            with pytest.raises(SenderRefused, match=r"l…@.*not permitted") as told:
                deliver(its_ports)
            assert "Letters of other senders went on." in told.value.message
            assert scene.states() == {"accepted": 3, "planned": 3}
    assert [(one.sender, one.recipient) for one in inbox.letters] == [
        (owners[1], address(number)) for number in (1, 3, 5)
    ]
    with mail_relay() as (where, inbox):
        done = deliver(ports(scene, SmtpTransport(where)))
    assert (done.issues[0].state, len(inbox.letters)) == ("sent", 3)


def test_all_refused_senders_are_told_and_a_copy_that_names_none_is_the_firm_s(
    store: SqlStore,
) -> None:
    scene = build_scene(store, 4)
    tom, firm = "tom@quaytide.example", CATALOG.firm.contact
    senders = (tom, "", firm, "liv@quaytide.example")
    scene.plan([from_(scene.row(number), sender) for number, sender in enumerate(senders)])
    relay = mail_relay(says={tom: NOT_YOURS, firm: NOT_YOURS})
    several = r"t…@.* So it is with 1 more of our senders\."
    with relay as (where, inbox), pytest.raises(SenderRefused, match=several):
        deliver(ports(scene, SmtpTransport(where)))
    assert [one.sender for one in inbox.letters] == ["liv@quaytide.example"]
    assert scene.states() == {"accepted": 1, "planned": 3}


def test_an_issue_whose_sender_is_refused_too_long_is_missed_and_others_are_not(
    store: SqlStore,
) -> None:
    scene, clock = build_scene(store, 3), StandingClock(NOW)
    scene.plan()
    other = next_issue(scene, "tom@quaytide.example")
    with mail_relay(says={"liv@quaytide.example": NOT_YOURS}) as (where, inbox):
        for hours in (0, 1, 12, 23):
            clock.at = NOW + timedelta(hours=hours)
            with pytest.raises(SenderRefused):
                deliver(ports(scene, SmtpTransport(where), clock))
            with store.read() as tables:
                assert tables.letters.by_id(other).state == "sent"
            assert scene.states() == {"planned": 3}
        clock.at = NOW + timedelta(hours=26)
        done = deliver(ports(scene, SmtpTransport(where), clock))
    assert [(one.state, one.reason) for one in done.issues] == [
        ("missed", "26 hours late: it does not go out any more")
    ]
    assert scene.states() == {"withheld": 3}
    assert {one.sender for one in inbox.letters} == {"tom@quaytide.example"}
    assert len(inbox.letters) == 3


def from_(row: PlannedDelivery, sender: str) -> PlannedDelivery:
    return replace(row, merge={**row.merge, "sender_address": sender})


def next_issue(scene: Scene, sender: str) -> int:
    """The one after the scene's, due at the same time, from somebody else; its id."""
    with scene.store.write() as tables:
        issue = tables.letters.open_issue(
            scene.issue.newsletter_key, Beat(date(2027, 3, 15), NOW, date(2027, 3, 15)),
            cut_off_at=NOW, deadline_at=NOW, subject="Another one", now=NOW,
        )  # fmt: skip
        edition = tables.letters.freeze_edition(issue.id, "prospect", "en", "t1", (), (), NOW)
        words = Rendered("Another one", "<p>Berths</p>", "Berths\n", "t1")
        whole = tables.letters.freeze_variant(edition, "whole", words, scene.story_ids)
        rows = [
            replace(from_(one, sender), public_id=TOKENS.derive("another", one.address))
            for one in scene.rows()
        ]
        tables.deliveries.plan(issue.id, rows, {"whole": whole}, NOW)
        tables.letters.set_state(issue.id, "scheduled", approved_by="liv", approved_at=NOW)
    return issue.id


def test_a_reader_s_server_that_sounds_like_our_relay_stops_nobody_else(store: SqlStore) -> None:
    """A relay that verifies addresses repeats what the reader's own server said to it."""
    scene, clock = build_scene(store, 3), StandingClock(NOW)
    scene.plan()
    quoted = (
        b"550 5.1.1 <reader@x.example>: Recipient address rejected: undeliverable address: host "
        b"mx.x.example[192.0.2.7] said: 550 5.7.1 relaying denied (in reply to RCPT TO command)\r\n"
    )
    with ScriptedRelay({"RCPT": [quoted, POLITE["RCPT"]]}) as relay:
        deliver(ports(scene, SmtpTransport(relay.settings(), pauses_s=(0, 0)), clock))
    assert scene.states() == {"refused": 1, "accepted": 2}
