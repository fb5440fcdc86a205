"""The SMTP transport, copy by copy: what leaves, what is told of it, and on which line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import Down, SenderRefused
from pipeline.model.letters import Envelope, Receipt
from pipeline.settings import Settings, SmtpSettings
from pipeline.transports.smtp import MOST_LOST, SmtpTransport
from pipeline.wiring import SystemClock, _transport
from tests.relay import DROP, Drop, Letter, ScriptedRelay, letters_in, mail_relay, smtp_sink
from tests.transports import test_file

SENDER, READER = "liv@quaytide.example", "ingrid@northline.example"


def envelope(message: bytes = b"", recipient: str = READER, sender: str = SENDER) -> Envelope:
    """A copy as the pipeline builds it, or with bytes of one's own."""
    whole = test_file.envelope()
    return replace(whole, sender=sender, recipient=recipient, message=message or whole.message)


def sent(where: SmtpSettings, *envelopes: Envelope) -> list[Receipt]:
    """What one run says of these copies; in words that may be shown."""
    transport = SmtpTransport(where, pauses_s=(0, 0))
    try:
        receipts = list(transport.send(iter(envelopes)))
    finally:
        transport.finish()
    for receipt, one in zip(receipts, envelopes, strict=True):
        assert receipt.delivery_public_id == one.delivery_public_id
        assert receipt.detail.isprintable()
        assert len(receipt.detail) <= 400
        assert one.recipient not in receipt.detail
    return receipts


def outcomes(receipts: list[Receipt]) -> list[str]:
    return [receipt.outcome for receipt in receipts]


# ── what leaves ──────────────────────────────────────────────────────────────────────────

NASTY = (
    b"Subject: dots\r\n\r\n.\r\n..\r\n.leading\r\n\r\n.\r\nmiddle . dot\r\n.",
    b".\r\n",
    b"\r\n.\r\n\r\n",
    b"Subject: last line is a dot\r\n\r\n.\r\n",
)


@pytest.mark.parametrize("message", [b"", *NASTY])
def test_the_bytes_arrive_as_they_are(message: bytes) -> None:
    copy = envelope(message)
    with mail_relay() as (where, inbox):
        (receipt,) = sent(where, copy)
    assert (receipt.outcome, receipt.detail) == ("accepted", "250 2.0.0 taken")
    whole = copy.message if copy.message.endswith(b"\r\n") else copy.message + b"\r\n"
    assert inbox.letters == [Letter(SENDER, READER, whole)]


@pytest.fixture(scope="module")
def sink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SmtpSettings, Path]]:
    with smtp_sink(tmp_path_factory.mktemp("sink")) as found:
        yield found


LINES = st.lists(st.sampled_from(["", ".", "..", ".x", "x", "x.", "From x", "QUIT"]), max_size=12)


@given(st.lists(LINES, min_size=1, max_size=3))
@settings(max_examples=30)
def test_postfix_takes_the_very_bytes(sink: tuple[SmtpSettings, Path], all_lines: list) -> None:  # type: ignore[type-arg]
    where, dump = sink
    for old in dump.iterdir():
        old.unlink()
    copies = [
        envelope("".join(f"{line}\r\n" for line in [f"N: {n}", "", *lines]).encode())
        for n, lines in enumerate(all_lines)
    ]
    assert set(outcomes(sent(where, *copies))) == {"accepted"}
    taken = sorted(letters_in(dump), key=lambda one: one.message)
    expected = sorted(copy.message for copy in copies)
    assert taken == [Letter(SENDER, READER, message) for message in expected]


def test_a_letter_larger_than_every_buffer_arrives_whole() -> None:
    large = b"".join(b".%06d %s\r\n" % (n, b"x" * 60) for n in range(60_000))
    with ScriptedRelay() as relay:
        assert outcomes(sent(relay.settings(), envelope(large), envelope())) == ["accepted"] * 2
    assert relay.letters[0] == b"".join(b"." + line for line in large.splitlines(keepends=True))


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("Ingrid.Vik+news@northline.example", b"Ingrid.Vik+news@northline.example"),
        ("ingrid@fähre.example", b"ingrid@xn--fhre-loa.example"),
        ("a..b@northline.example", b'"a..b"@northline.example'),
    ],
)
def test_addresses_cross_as_ascii(address: str, written: bytes) -> None:
    with ScriptedRelay() as relay:
        assert outcomes(sent(relay.settings(), envelope(recipient=address))) == ["accepted"]
    assert b"RCPT TO:<" + written + b">" in relay.commands


@pytest.mark.parametrize(
    "address",
    [
        "a@b.example>\r\nRCPT TO:<c@d.example",
        "a b@northline.example",
        "a>b@northline.example",
        "æ@northline.example",
        "northline.example",
        "@northline.example",
        "ingrid@",
        "ingrid@no domain.example",
    ],
)
def test_an_address_that_would_break_the_line_is_refused_alone(address: str) -> None:
    with ScriptedRelay() as relay:
        receipts = sent(relay.settings(), envelope(recipient=address), envelope())
    assert outcomes(receipts) == ["refused", "accepted"]
    assert receipts[0].detail
    assert len(relay.letters) == 1
    assert relay.verbs() == ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]


@pytest.mark.parametrize(
    "message",
    [
        b"a\n.\nb\r\n",
        b"a\r.\rb\r\n",
        b"a\n.\r\nMAIL FROM:<x@y.example>\r\n",
        b"\xe6\r\n",
        b"\0\r\n",
    ],
)
def test_a_letter_that_could_smuggle_in_another_does_not_leave(message: bytes) -> None:
    with ScriptedRelay() as relay:
        assert outcomes(sent(relay.settings(), envelope(message))) == ["refused"]
    assert relay.connections == 0


# ── one line for a run ───────────────────────────────────────────────────────────────────


def test_the_line_is_kept_over_several_calls_until_the_end() -> None:
    with ScriptedRelay() as relay:
        transport = SmtpTransport(relay.settings())
        for _ in range(3):
            assert outcomes(list(transport.send([envelope(), envelope()]))) == ["accepted"] * 2
        assert relay.connections == 1
        transport.finish()
        transport.finish()
        assert relay.verbs() == ["EHLO", *["MAIL", "RCPT", "DATA"] * 6, "QUIT"]
        assert outcomes(list(transport.send([envelope()]))) == ["accepted"]
        transport.finish()
        assert relay.connections == 2


def test_the_next_copy_is_asked_for_when_the_last_has_its_receipt() -> None:
    """So that whoever writes down what is on its way never has more than one in doubt."""
    log: list[str] = []

    def copies() -> Iterator[Envelope]:
        for number in range(3):
            log.append(f"asked {number}")
            yield envelope()

    with ScriptedRelay() as relay:
        transport = SmtpTransport(relay.settings())
        for number, _ in enumerate(transport.send(copies())):
            log.append(f"told {number}")
        transport.finish()
    assert log == [f"{word} {n}" for n in range(3) for word in ("asked", "told")]
    assert transport.batch_size == 1


def test_it_remembers_nothing_and_has_no_batch() -> None:
    transport = SmtpTransport(SmtpSettings("127.0.0.1"))
    assert transport.open_batch() is None  # type: ignore[func-returns-value]
    assert transport.fates(["a", "b"]) == {"a": "unknown", "b": "unknown"}


def test_nothing_to_send_opens_no_line() -> None:
    with ScriptedRelay() as relay:
        assert sent(relay.settings()) == []
    assert relay.connections == 0


def test_wiring_picks_it(tmp_path: Path) -> None:
    chosen = Settings(tmp_path, "sqlite://", b"", transport="smtp")
    assert _transport(chosen, SystemClock()).name == "smtp"


def test_a_line_that_the_relay_closed_meanwhile_is_opened_again() -> None:
    with ScriptedRelay({".": [Drop(b"250 2.0.0 taken\r\n")] * 3}) as relay:
        assert outcomes(sent(relay.settings(), *[envelope() for _ in range(3)])) == ["accepted"] * 3
    assert relay.connections == 3
    assert len(relay.letters) == 3


def test_a_relay_that_takes_leave_after_some_copies_is_called_again() -> None:
    script = {"MAIL": [b"250 ok\r\n", b"250 ok\r\n", Drop(b"421 4.7.0 enough for one line\r\n")]}
    with ScriptedRelay(script) as relay:
        assert outcomes(sent(relay.settings(), *[envelope() for _ in range(4)])) == ["accepted"] * 4
    assert relay.connections == 2


def test_a_goodbye_between_two_copies_costs_nothing() -> None:
    script = {".": [Drop(b"250 2.0.0 taken\r\n421 4.4.2 too quiet\r\n")]}
    with ScriptedRelay(script) as relay:
        assert outcomes(sent(relay.settings(), envelope(), envelope())) == ["accepted"] * 2
    assert relay.connections == 2


# ── what the relay says to one copy ──────────────────────────────────────────────────────

NO = b"550 5.1.1 <ingrid@northline.example>: no such user\r\n"
LATER = b"450-4.2.1 ingrid@northline.example is full,\r\n450 4.2.1 come again\r\n"


@pytest.mark.parametrize("step", ["RCPT", "DATA", "."])
@pytest.mark.parametrize(
    ("says", "outcome", "detail"),
    [
        (NO, "refused", "550 5.1.1 <…>: no such user"),
        (LATER, "deferred", "450 4.2.1 … is full, come again"),
        (b"452 4.5.3 too many\r\n", "deferred", "452 4.5.3 too many"),
        (b"421 4.3.2 shutting down\r\n", "deferred", "421 4.3.2 shutting down"),
        (b"552 5.2.2 mailbox full\r\n", "refused", "552 5.2.2 mailbox full"),
    ],
)
def test_a_refusal_is_of_one_copy_and_the_others_go_on(
    step: str, says: bytes, outcome: str, detail: str
) -> None:
    with ScriptedRelay({step: [says]}) as relay:
        first, second = sent(relay.settings(), envelope(), envelope())
    assert (first.outcome, first.detail) == (outcome, detail)
    assert second.outcome == "accepted"
    assert relay.connections == (2 if says.startswith(b"421") else 1)
    assert ("RSET" in relay.verbs()) == (step != "." and not says.startswith(b"421"))


@pytest.mark.parametrize("says", [b"451 4.3.0 not now\r\n", b"421 4.3.2 not now\r\n"])
def test_a_line_that_is_new_and_put_off_is_not_tried_again_at_once(says: bytes) -> None:
    with ScriptedRelay({"MAIL": [says]}) as relay:
        first, second = sent(relay.settings(), envelope(), envelope())
    assert (first.outcome, second.outcome) == ("deferred", "accepted")
    assert relay.verbs().count("MAIL") == 2


def test_aiosmtpd_refuses_one_of_three() -> None:
    says = {"gone@northline.example": "550 5.1.1 gone", "busy@northline.example": "450 4.2.0 busy"}
    with mail_relay(says=says) as (where, inbox):
        receipts = sent(where, *[envelope(recipient=who) for who in (*says, READER)])
    assert outcomes(receipts) == ["refused", "deferred", "accepted"]
    assert len(inbox.letters) == len(inbox.connections) == 1


def test_a_letter_longer_than_the_relay_takes_is_refused_before_it_leaves() -> None:
    with ScriptedRelay(offers=("SIZE 1000",)) as relay:
        receipts = sent(relay.settings(), envelope(b"x" * 998 + b"\r\n"), envelope(b"x\r\n" * 400))
    assert outcomes(receipts) == ["accepted", "refused"]
    assert "1200 bytes" in receipts[1].detail
    assert len(relay.letters) == 1
    assert b"MAIL FROM:<liv@quaytide.example> SIZE=1000" in relay.commands


@pytest.mark.parametrize("says", [b"552 5.3.4 too big\r\n", b"554 5.3.4 too big\r\n"])
def test_a_letter_refused_for_its_size_is_refused_alone(says: bytes) -> None:
    with ScriptedRelay({"MAIL": [says]}, offers=("SIZE",)) as relay:
        assert outcomes(sent(relay.settings(), envelope(), envelope())) == ["refused", "accepted"]


def test_what_a_relay_says_is_one_plain_short_line() -> None:
    odd = "<b>é\x1b[31m\u202e" * 40
    flood = "".join(f"550-5.7.1 {odd} {n}\r\n" for n in range(20)) + "550 5.7.1 end\r\n"
    with ScriptedRelay({"RCPT": [flood.encode()]}) as relay:
        (receipt,) = sent(relay.settings(), envelope())
    assert receipt.outcome == "refused"
    assert len(receipt.detail) == 300
    assert receipt.detail.startswith("550 5.7.1 <b>é [31m")


# ── what is the same for every copy ──────────────────────────────────────────────────────

OURS = (
    ("MAIL", b"530 5.7.0 sign in first\r\n"),
    ("MAIL", b"535 5.7.8 signed out\r\n"),
    ("MAIL", b"550 5.7.1 Relaying denied\r\n"),
    ("RCPT", b"530 5.7.1 Authentication required\r\n"),
    ("RCPT", b"554 5.7.1 <ingrid@northline.example>: Relay access denied\r\n"),
    ("RCPT", b"454 4.7.1 <ingrid@northline.example>: Relay access denied\r\n"),
    ("RCPT", b"550 5.7.1 Unable to relay\r\n"),
    ("DATA", b"550 5.4.5 Daily user sending limit exceeded\r\n"),
)
#: … and for every copy of one sender.
THE_SENDER_S = (
    ("MAIL", b"550 5.7.1 sender not allowed here\r\n"),
    ("MAIL", b"550 5.7.60 Client does not have permissions to send as this sender\r\n"),
    ("MAIL", b"501 5.1.7 bad sender\r\n"),
    ("MAIL", b"553 no\r\n"),
    ("RCPT", b"450 4.1.8 <liv@quaytide.example>: Sender address rejected: no such domain\r\n"),
    ("RCPT", b"553 5.7.1 <liv@quaytide.example>: Sender address rejected: not owned by user\r\n"),
    ("RCPT", b"550 5.1.8 Access denied, bad sender\r\n"),
    (".", b"554 Message rejected: Email address is not verified.\r\n"),
)


@pytest.mark.parametrize(("step", "says"), OURS)
def test_a_refusal_that_is_about_us_stops_the_run_and_refuses_nobody(
    step: str, says: bytes
) -> None:
    with ScriptedRelay({step: [POLITELY[step], says]}) as relay:
        transport = SmtpTransport(relay.settings(), pauses_s=(0, 0))
        receipts: list[Receipt] = []
        with pytest.raises(Down, match="whoever it is for") as caught:
            receipts.extend(transport.send([envelope(), envelope(), envelope()]))
        assert outcomes(receipts) == ["accepted"]
        assert "ASTERISM_SMTP_USER" in caught.value.hint
        assert "northline.example" not in str(caught.value).replace("…@northline.example", "")
        assert "liv@" not in str(caught.value)
        assert not isinstance(caught.value, SenderRefused)
        assert outcomes(list(transport.send([envelope()]))) == ["accepted"]
        transport.finish()


@pytest.mark.parametrize(("step", "says"), THE_SENDER_S)
def test_a_refusal_that_is_about_the_sender_says_whose(step: str, says: bytes) -> None:
    with ScriptedRelay({step: [POLITELY[step], says]}) as relay:
        transport = SmtpTransport(relay.settings(), pauses_s=(0, 0))
        receipts: list[Receipt] = []
        with pytest.raises(SenderRefused, match="refuses mail from l…@quaytide") as caught:
            receipts.extend(transport.send([envelope(), envelope(), envelope()]))
        assert outcomes(receipts) == ["accepted"]
        assert caught.value.sender == "liv@quaytide.example"
        assert "ASTERISM_SMTP_USER" in caught.value.hint
        assert "liv@" not in str(caught.value)
        assert outcomes(list(transport.send([envelope()]))) == ["accepted"]
        transport.finish()


POLITELY = {
    "MAIL": b"250 ok\r\n",
    "RCPT": b"250 ok\r\n",
    "DATA": b"354 go\r\n",
    ".": b"250 ok\r\n",
}


# ── the line breaks ──────────────────────────────────────────────────────────────────────

#: More than lies between two sockets: who hangs up in its middle never sees its end.
LARGE = (b"y" * 76 + b"\r\n") * 150_000


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "BODY"])
def test_before_the_final_dot_a_lost_line_is_opened_once_more(step: str) -> None:
    polite = [b""] if step == "BODY" else []
    with ScriptedRelay({step: [DROP, *polite]}) as relay:
        assert outcomes(sent(relay.settings(), envelope(LARGE if polite else b""))) == ["accepted"]
    assert relay.connections == 2
    assert len(relay.letters) == 1


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "BODY"])
def test_a_line_that_is_lost_twice_puts_the_copy_off(step: str) -> None:
    polite = [b""] if step == "BODY" else []
    with ScriptedRelay({step: [DROP, DROP, *polite]}) as relay:
        first, second = sent(relay.settings(), envelope(LARGE if polite else b""), envelope())
    assert (first.outcome, second.outcome) == ("deferred", "accepted")
    assert re.match(r"the relay (closed|broke) the line before its ", first.detail)
    assert relay.connections == 3


def test_after_the_final_dot_a_lost_line_leaves_one_copy_in_doubt() -> None:
    with ScriptedRelay({".": [b"250 ok\r\n", DROP]}) as relay:
        receipts = sent(relay.settings(), *[envelope() for _ in range(4)])
    assert outcomes(receipts) == ["accepted", "unknown", "accepted", "accepted"]
    assert len(relay.letters) == 4  # it has the one in doubt, and nothing came twice
    assert relay.connections == 2
    assert receipts[1].detail == (
        "the relay closed the line before its answer to the end of the letter; "
        "it may have the letter, or not: nobody knows"
    )


@pytest.mark.parametrize(
    "says", [b"what?\r\n", b"250-2.0.0 ta", b"354 go on\r\n", b"250-a\r\n550 b\r\n", b"25\r\n"]
)
def test_half_a_reply_to_the_final_dot_is_no_reply(says: bytes) -> None:
    with ScriptedRelay({".": [Drop(says)]}) as relay:
        receipts = sent(relay.settings(), envelope(), envelope())
    assert outcomes(receipts) == ["unknown", "accepted"]
    assert len(relay.letters) == 2


def test_a_relay_that_says_no_while_the_letter_comes_has_not_got_it() -> None:
    for says, outcome in (
        (b"552 5.3.4 too long\r\n", "refused"),
        (b"421 4.3.2 off\r\n", "deferred"),
    ):
        with ScriptedRelay({"BODY": [says, b""], "MAIL": [b"250 a\r\n"]}) as relay:
            first, second = sent(relay.settings(), envelope(LARGE), envelope())
        assert (first.outcome, second.outcome) == (outcome, "accepted")
        assert relay.connections == 2


def test_a_relay_that_answers_before_it_is_asked_is_not_believed() -> None:
    early = b"250 2.1.5 fine\r\n354 go\r\n250 2.0.0 taken\r\n"
    with ScriptedRelay({"RCPT": [early, early]}) as relay:
        first, second = sent(relay.settings(), envelope(), envelope())
    assert (first.outcome, first.detail) == ("deferred", "the relay spoke out of turn")
    assert second.outcome == "accepted"
    assert len(relay.letters) == 1


@pytest.mark.parametrize(
    ("step", "outcome", "calls"), [(".", "unknown", MOST_LOST), ("MAIL", "deferred", 2 * MOST_LOST)]
)
def test_a_relay_that_loses_letter_after_letter_is_left_alone(
    step: str, outcome: str, calls: int
) -> None:
    with ScriptedRelay({step: DROP}) as relay:
        transport = SmtpTransport(relay.settings(), pauses_s=(0, 0))
        for run in (1, 2):  # the next run asks again
            receipts: list[Receipt] = []
            with pytest.raises(Down, match=f"left {MOST_LOST} letters in a row") as caught:
                receipts.extend(transport.send(envelope() for _ in range(99)))
            assert outcomes(receipts) == [outcome] * MOST_LOST
            assert "the copies wait" in caught.value.hint
            assert relay.connections == run * calls


@pytest.mark.parametrize(("step", "says"), [("MAIL", b"354 go\r\n"), ("DATA", b"250 ok\r\n")])
def test_an_answer_that_does_not_fit_is_none(step: str, says: bytes) -> None:
    with ScriptedRelay({step: [says, says]}) as relay:
        first, second = sent(relay.settings(), envelope(), envelope())
    assert (first.outcome, second.outcome) == ("deferred", "accepted")
    assert first.detail == f"the relay answered {says.decode().strip()} to {step}"
    assert len(relay.letters) == 1


# ── postfix with its faults ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fault", "outcome", "taken"),
    [
        (("-f", "RCPT"), "refused", 0),
        (("-r", "RCPT"), "deferred", 0),
        (("-f", "DATA"), "refused", 0),
        (("-r", "MAIL"), "deferred", 0),
        (("-f", "."), "refused", 2),  # it writes down what it refuses at the end
        (("-r", "."), "deferred", 2),
        (("-q", "."), "unknown", 2),
        (("-Q", "."), "deferred", 2),
        (("-q", "RCPT"), "deferred", 0),
        (("-Q", "RCPT"), "deferred", 0),
        (("-f", "RSET"), "accepted", 2),
        (("-q", "QUIT"), "accepted", 2),
        (("-e",), "accepted", 2),
        (("-f", "EHLO"), "accepted", 2),
        (("-w", "1"), "accepted", 2),
    ],
)
def test_smtp_sink_with_a_fault(
    tmp_path: Path, fault: tuple[str, ...], outcome: str, taken: int
) -> None:
    with smtp_sink(tmp_path, *fault) as (where, dump):
        assert outcomes(sent(where, envelope(), envelope())) == [outcome] * 2
        letters = letters_in(dump)
    assert len(letters) == taken


def test_smtp_sink_that_breaks_in_has_no_letter(tmp_path: Path) -> None:
    """It refuses and hangs up in the middle; whether its words still reach us is a race."""
    with smtp_sink(tmp_path, "-A", "0") as (where, dump):
        assert set(outcomes(sent(where, envelope(), envelope()))) <= {"refused", "deferred"}
        assert not letters_in(dump)


@pytest.mark.parametrize("fault", [("-f", "CONNECT"), ("-f", "MAIL"), ("-r", "CONNECT")])
def test_smtp_sink_that_serves_nobody_stops_the_run(tmp_path: Path, fault: tuple[str, ...]) -> None:
    with smtp_sink(tmp_path, *fault) as (where, _), pytest.raises(Down, match="relay"):
        sent(where, envelope())
