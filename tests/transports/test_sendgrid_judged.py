"""Our client for SendGrid before the fake that was written by somebody who had not seen it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from pipeline.errors import Down
from pipeline.model.letters import Batch, Envelope, Recall
from pipeline.rules.letters.envelope import envelope
from pipeline.settings import SendGridSettings
from pipeline.stores.migrate import migrate
from pipeline.stores.sql import SqlStore
from pipeline.transports.sendgrid.events import SendGridEvents
from pipeline.transports.sendgrid.limits import faults
from pipeline.transports.sendgrid.send import TOO_LATE, SendGridTransport
from tests.builders import FIRM, NOW, SECRET, WEEKLY
from tests.fake_sendgrid import KEY, FakeSendGrid, Fault, events
from tests.ledger_scene import build_scene
from tests.test_fake_sendgrid import BAD, GOOD, mail_to

#: Names as people have them, and as nobody should.
NAMES = (
    "Ingrid Number", "Bjørn Ødegård", "Reader, Second; of Many", "O'Brien \"Obi\" <x@y.example>",
    "-name-", "{{first_name}}", "%recipient%", "$1 \\1 \\g<0>", "<b>bold</b> & Sons", "山田 太郎",
    "a" * 200, "[greeting]", "#first_name#", "\u202eevil", "slot1", "<%body%>",
)  # fmt: skip


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeSendGrid]:
    with FakeSendGrid(tmp_path / "sendgrid", at=NOW, runs=True) as one:
        yield one


@pytest.fixture
def transport(fake: FakeSendGrid) -> Iterator[SendGridTransport]:
    one = made(fake)
    yield one
    one.finish()


def made(fake: FakeSendGrid, timeout_s: float = 30.0) -> SendGridTransport:
    settings = SendGridSettings(key=KEY, url=fake.url, timeout_s=timeout_s)
    return SendGridTransport(settings, fake.now)


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> list[Envelope]:
    """A letter to everybody in NAMES, as the stage would hand it over."""
    url = f"sqlite:///{tmp_path_factory.mktemp('store') / 'asterism.db'}"
    migrate(url)
    store = SqlStore(url, SECRET)
    scene = build_scene(store, contacts=len(NAMES))
    rows = [
        replace(
            scene.row(number),
            name=name,
            merge={
                **scene.row(number).merge,
                "first_name": name,
                "greeting": f"Good morning, {name}.",
            },
        )
        for number, name in enumerate(NAMES)
    ]
    scene.plan(rows)
    with store.write() as tables:
        claimed = tables.deliveries.claim(
            scene.issue.id, "test|1|x", NOW + timedelta(minutes=2), NOW, 100
        )
    variant = scene.variant()
    store.close()
    return [envelope(one, variant, scene.issue, WEEKLY, FIRM) for one in claimed]


def ids(copies: list[Envelope]) -> list[str]:
    return [one.delivery_public_id for one in copies]


def moved(transport: SendGridTransport, copies: list[Envelope]) -> tuple[Batch, dict[str, str]]:
    """(batch, outcome of each copy that got a receipt)."""
    batch = transport.open_batch()
    assert batch is not None
    outcomes: dict[str, str] = {}
    try:
        for receipt in transport.send(copies, batch):
            assert receipt.delivery_public_id not in outcomes
            outcomes[receipt.delivery_public_id] = receipt.outcome
    except Down:
        pass
    transport.finish()
    return batch, outcomes


def opened_and_sent(transport: SendGridTransport, copies: list[Envelope]) -> None:
    batch = transport.open_batch()
    list(transport.send(copies, batch))


def parsed(message: bytes) -> EmailMessage:
    found = message_from_bytes(message, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,))
    assert found is not None
    return str(found.get_content()).replace("\r\n", "\n").rstrip("\n")


def test_readers_get_the_letter_that_the_preview_shows(
    fake: FakeSendGrid, transport: SendGridTransport, copies: list[Envelope]
) -> None:
    batch, outcomes = moved(transport, copies)
    assert Counter(outcomes.values()) == {"accepted": len(NAMES)}
    assert batch.send_at >= NOW + timedelta(minutes=15)
    assert fake.delivered() == {}, "it can still be called back"
    fake.set_clock(batch.send_at, runs=True)
    assert fake.delivered() == dict.fromkeys(ids(copies), 1)
    for one in copies:
        (letter,) = fake.inbox(one.delivery_public_id)
        ours = parsed(one.message)
        assert letter.recipient == one.recipient
        assert letter.sender == one.sender
        assert letter.sender_name == ours["From"].addresses[0].display_name
        assert letter.subject == ours["Subject"]
        assert letter.text.replace("\r\n", "\n").rstrip("\n") == part(ours, "plain")
        assert letter.html.replace("\r\n", "\n").rstrip("\n") == part(ours, "html")
        for name in ("Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Id",
                     "Feedback-ID"):  # fmt: skip
            assert letter.headers[name] == ours[name], name
        assert letter.headers["Reply-To"] == ours["Reply-To"].addresses[0].addr_spec
        assert one.recipient not in str(letter.custom_args)


def test_nobody_sees_anybody_else(
    fake: FakeSendGrid, transport: SendGridTransport, copies: list[Envelope]
) -> None:
    moved(transport, copies)
    for mail in fake.bodies():
        for each in mail["personalizations"]:
            assert len(each["to"]) == 1
            assert not each.get("cc")
            assert not each.get("bcc")


#: What no body of ours can hold, and what is counted another way at the very edge.
NEVER_OURS = {
    "big arguments", "big arguments together", "text twice", "a batch nobody made",
    "two ways to reply", "a pool of one letter", "settings as text", "an attachment of nothing",
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(set(BAD) - NEVER_OURS))
def test_what_is_refused_there_is_found_before_it_is_posted(what: str) -> None:
    mail = mail_to(1, **deepcopy(BAD[what][1]))
    assert faults(mail, len(json.dumps(mail)), NOW)


@pytest.mark.parametrize("what", GOOD)
def test_what_passes_there_is_not_held_back(what: str) -> None:
    mail = mail_to(1, **deepcopy(GOOD[what]))
    assert faults(mail, len(json.dumps(mail)), NOW) == ()


#: What happens to the post, how the fake answers, and whether it took the mail.
FAULTS = {
    "the line is cut, nothing taken": Fault("drop_before"),
    "the line is cut, all taken": Fault("drop_after"),
    "half an answer": Fault("half"),
    "an answer a byte at a time": Fault("trickle", wait_s=0.5),
    "taken, and silence": Fault("wait_after", wait_s=30),
    "silence, and taken later": Fault("wait_before", wait_s=4),
    "500 and nothing taken": Fault("status_before", status=500),
    "503 and all taken": Fault("status_after", status=503),
    "busy": Fault("status_before", status=429),
    "busy for long": Fault("status_before", status=429, reset_in_s=120, times=99),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_failure_doubles_nobody_and_loses_nobody(
    fake: FakeSendGrid, copies: list[Envelope], fault: Fault
) -> None:
    """What is not accepted is looked up, called back, and goes in another batch."""
    transport = made(fake, timeout_s=2)
    fake.script(fault)
    batch, outcomes = moved(transport, copies)
    assert not set(outcomes.values()) & {"refused"}
    fake.clear()
    left = [one for one in copies if outcomes.get(one.delivery_public_id) != "accepted"]
    doubtful = [one for one in left if outcomes.get(one.delivery_public_id) == "unknown"]
    if doubtful:
        fates = transport.fates(ids(doubtful), batch)
        transport.finish()
        assert set(fates.values()) == {"not_left"}
    if left:
        _, again = moved(made(fake), left)
        assert Counter(again.values()) == {"accepted": len(left)}
    while fault.kind == "wait_before" and fake.requests("send")[0][3] == 0:
        fake.now()  # the first one is still on its way
    fake.advance(24 * 3600)
    assert fake.delivered() == dict.fromkeys(ids(copies), 1)


@pytest.mark.parametrize(
    "fault",
    [Fault("drop_after", on="hold"), Fault("status_after", on="hold", status=503),
     Fault("drop_before", on="hold"), Fault("status_before", on="hold", status=429)],
    ids=lambda fault: fault.kind,
)  # fmt: skip
def test_a_call_back_that_fails_is_made_again(
    fake: FakeSendGrid, transport: SendGridTransport, copies: list[Envelope], fault: Fault
) -> None:
    """Whoever sent died; the first cancel gets no good answer, and the second may be told that
    there is one already."""
    batch, outcomes = moved(transport, copies)
    assert set(outcomes.values()) == {"accepted"}
    fake.script(fault)
    fates: Mapping[str, str] = {}
    for _ in range(3):
        try:
            fates = transport.fates(ids(copies), batch)
            break
        except Down:
            continue
    assert fates == dict.fromkeys(ids(copies), "not_left")
    fake.advance(24 * 3600)
    assert fake.delivered() == {}


def test_too_late_to_call_back_is_unknown_and_not_sent_again(
    fake: FakeSendGrid, transport: SendGridTransport, copies: list[Envelope]
) -> None:
    batch, _ = moved(transport, copies)
    fake.set_clock(batch.send_at - timedelta(minutes=9), runs=True)
    assert set(transport.fates(ids(copies), batch).values()) == {"unknown"}
    fake.advance(3600)
    assert fake.delivered() == dict.fromkeys(ids(copies), 1)


def test_what_was_taken_is_called_back_while_there_is_time(
    fake: FakeSendGrid, transport: SendGridTransport, copies: list[Envelope]
) -> None:
    batch, _ = moved(transport, copies)
    fake.set_clock(batch.send_at - timedelta(minutes=10, seconds=30))
    assert transport.can_call_back(batch)
    assert transport.call_back(batch) == Recall("called_back")
    assert transport.call_back(batch) == Recall("called_back")  # it is so, whoever asked
    fake.advance(3600)
    assert fake.delivered() == {}


def test_too_late_nobody_is_asked(
    fake: FakeSendGrid, transport: SendGridTransport, copies: list[Envelope]
) -> None:
    batch, _ = moved(transport, copies)
    fake.set_clock(batch.send_at - timedelta(minutes=9, seconds=59))
    assert not transport.can_call_back(batch)
    assert transport.call_back(batch) == Recall("stays", TOO_LATE)
    assert fake.requests("hold") == []


#: What goes wrong, what is believed then, and whether asking again may help.
NOT_BACK = {
    "refused": (Fault("status_before", on="hold", status=400), "stays", False),
    "no time for us": (Fault("status_before", on="hold", status=429), "stays", True),
    "may not": (Fault("status_before", on="hold", status=403), "stays", True),
    "may have been heard": (Fault("status_before", on="hold", status=503), "unsure", True),
    "no answer": (Fault("drop_after", on="hold"), "unsure", True),
}


@pytest.mark.parametrize(("fault", "word", "again"), NOT_BACK.values(), ids=NOT_BACK.keys())
def test_what_is_not_called_back_says_why(
    fake: FakeSendGrid, copies: list[Envelope], fault: Fault, word: str, again: bool
) -> None:
    settings = SendGridSettings(key=KEY, url=fake.url, timeout_s=60)
    once = SendGridTransport(settings, fake.now, pauses_s=())
    batch, _ = moved(once, copies)
    fake.script(fault)
    went = once.call_back(batch)
    once.finish()
    assert (went.word, went.again) == (word, again)
    assert went.why.startswith("SendGrid could not be made to give it back: ")
    assert KEY not in went.why


def test_no_more_cancels_than_sendgrid_allows_is_said_later(
    fake: FakeSendGrid, transport: SendGridTransport, copies: list[Envelope]
) -> None:
    """Ten batches are cancelled at one time, and no more: that is no reason to believe that an
    eleventh was."""
    batches = [moved(transport, copies[:1])[0] for _ in range(11)]
    for batch in batches[:10]:
        assert transport.fates(ids(copies[:1]), batch) == {ids(copies)[0]: "not_left"}
    try:
        last = transport.fates(ids(copies[:1]), batches[10])
    except Down:
        last = {}
    assert last != {ids(copies)[0]: "not_left"}
    fake.advance(24 * 3600)
    assert fake.delivered() == {ids(copies)[0]: 1}


@pytest.mark.parametrize("trouble", ["unknown", "may not", "revoked"])
def test_a_key_that_is_no_good_stops_it_and_shows_nothing(
    fake: FakeSendGrid, transport: SendGridTransport, copies: list[Envelope], trouble: str
) -> None:
    if trouble == "unknown":
        fake.keys({"SG.another": ["mail.send"]})
    elif trouble == "may not":
        fake.keys({KEY: ["mail.batch.create", "user.scheduled_sends"]})
    else:
        fake.revoke(after=1)  # between the batch and the post
    with pytest.raises(Down) as raised:
        opened_and_sent(transport, copies)
    words = f"{raised.value} {raised.value.message} {raised.value.hint} {transport!r}"
    assert KEY not in words
    assert not any(one.recipient in words for one in copies)
    assert fake.accepted() == 0


def test_events_come_in_as_sendgrid_posts_them(
    fake: FakeSendGrid, transport: SendGridTransport, copies: list[Envelope]
) -> None:
    moved(transport, copies)
    fake.advance(3600)
    ours = SendGridEvents(fake.public_key)
    told = fake.events(
        "processed", "deferred", "delivered", "bounce", "blocked", "dropped", "spamreport",
        "unsubscribe", "group_unsubscribe", "group_resubscribe", "open", "click",
    )  # fmt: skip
    (posting,) = fake.postings(told)
    headers = {name.lower(): value for name, value in posting.headers.items()}
    assert ours.refusal(posting.body, headers, fake.now()) == ""
    read = ours.read(posting.body)
    assert Counter(one.delivery_public_id for one in read) == dict.fromkeys(ids(copies), 12)
    of_one = {(one.what, one.heard) for one in read if one.delivery_public_id == ids(copies)[0]}
    assert {heard for _, heard in of_one} >= {"accepted", "delivered", "bounced", "complained"}
    at = fake.now().timestamp()
    bad = {
        "forged": events.forged(told, at),
        "tampered": events.tampered(fake.signer, told, at),
        "unsigned": events.unsigned(told),
        "stale": events.posting(fake.signer, told, at - 3600),
    }
    for what, one in bad.items():
        lower = {name.lower(): value for name, value in one.headers.items()}
        assert ours.refusal(one.body, lower, fake.now()), what
