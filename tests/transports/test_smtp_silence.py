"""A relay that hangs, drips or babbles in any phase: no run hangs, nothing goes out twice."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from pipeline.errors import Down
from pipeline.model.letters import Receipt
from pipeline.settings import SmtpSettings
from pipeline.transports.smtp import SmtpTransport
from pipeline.transports.smtp_line import MAX_REPLY_LINE, MAX_REPLY_LINES
from tests.relay import HANG, POLITE, Authority, Drip, ScriptedRelay
from tests.transports.test_smtp import LARGE, envelope, outcomes, sent

#: How long the client waits here. A busy machine may need a part of it for an honest answer.
SHORT_S = 1.0
#: A reply that takes longer as a whole, though no byte of it comes late.
SLOW = 3 * SHORT_S

USER = {"user": "letters@quaytide.example", "password": "correct horse"}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    authority = Authority(tmp_path_factory.mktemp("ca"))
    return authority.context("127.0.0.1"), authority.ca_file


def down(where: SmtpSettings) -> Down:
    """The one refusal of a run that cannot even begin."""
    transport = SmtpTransport(where, pauses_s=(0, 0))
    with pytest.raises(Down) as caught:
        list(transport.send([envelope()]))
    transport.finish()
    assert "correct horse" not in str(caught.value)
    return caught.value


@pytest.fixture
def deaf() -> Iterator[int]:
    """A port where calls are neither taken nor refused: its queue is full."""
    with socket.socket() as listener, ExitStack() as callers:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            caller = callers.enter_context(socket.socket())
            caller.settimeout(0)
            with suppress(BlockingIOError):
                caller.connect(listener.getsockname())
        yield int(listener.getsockname()[1])


def test_a_call_that_nobody_takes(deaf: int) -> None:
    said = down(SmtpSettings("127.0.0.1", deaf, "none", timeout_s=SHORT_S))
    assert "did not take our call in time" in said.message
    assert "ASTERISM_SMTP_PORT" in said.hint


@pytest.mark.parametrize(
    ("step", "what"),
    [
        ("CONNECT", "gave no greeting in time"),
        ("EHLO", "gave no answer to EHLO in time"),
        ("STARTTLS", "gave no answer to STARTTLS in time"),
        ("AUTH", "gave no answer to AUTH in time"),
    ],
)
def test_silence_before_the_first_letter_ends_the_run(
    step: str, what: str, context: tuple[ssl.SSLContext, Path]
) -> None:
    with ScriptedRelay({step: HANG}, context[0], offers=("AUTH PLAIN",)) as relay:
        said = down(relay.settings(timeout_s=SHORT_S, ca_file=context[1], **USER))
    assert said.message.endswith(f" {what}.")
    assert relay.connections == 1  # silence is not asked twice


@pytest.mark.parametrize("tls", ["tls", "starttls"])
def test_silence_instead_of_a_handshake(tls: str) -> None:
    script = {"CONNECT": HANG} if tls == "tls" else {}
    with ScriptedRelay(script, offers=("STARTTLS",), seals=False) as relay:
        said = down(relay.settings(timeout_s=SHORT_S, tls=tls))
    assert said.message.endswith("gave no TLS handshake in time.")


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
def test_silence_before_the_final_dot_puts_the_copy_off(step: str) -> None:
    with ScriptedRelay({step: [HANG, HANG]}) as relay:
        first, second = sent(relay.settings(timeout_s=SHORT_S), envelope(), envelope())
    assert (first.outcome, second.outcome) == ("deferred", "accepted")
    assert first.detail == f"the relay gave no answer to {step} in time"
    assert relay.connections == 3
    assert len(relay.letters) == 1


def test_a_relay_that_takes_no_more_of_a_letter() -> None:
    with ScriptedRelay({"BODY": [HANG, HANG, b""]}) as relay:
        first, second = sent(relay.settings(timeout_s=SHORT_S), envelope(LARGE), envelope())
    assert (first.outcome, second.outcome) == ("deferred", "accepted")
    assert first.detail == "the relay gave no end of taking the letter in time"
    assert len(relay.letters) == 1


def test_silence_after_the_final_dot_leaves_one_copy_in_doubt() -> None:
    with ScriptedRelay({".": [HANG]}) as relay:
        receipts = sent(relay.settings(timeout_s=SHORT_S), envelope(), envelope())
    assert outcomes(receipts) == ["unknown", "accepted"]
    assert "in time; it may have the letter, or not" in receipts[0].detail
    assert relay.connections == len(relay.letters) == 2


def test_silence_after_rset_costs_only_the_line() -> None:
    script = {"RCPT": [b"550 5.1.1 gone\r\n"], "RSET": HANG}
    with ScriptedRelay(script) as relay:
        receipts = sent(relay.settings(timeout_s=SHORT_S), envelope(), envelope())
    assert outcomes(receipts) == ["refused", "accepted"]
    assert relay.connections == 2


def test_silence_after_quit_costs_nothing() -> None:
    with ScriptedRelay({"QUIT": HANG}) as relay:
        assert outcomes(sent(relay.settings(timeout_s=SHORT_S), envelope())) == ["accepted"]
    assert relay.verbs()[-1] == "QUIT"


# ── a byte now and then ──────────────────────────────────────────────────────────────────


def dripped(reply: bytes) -> Drip:
    """An honest reply, in which no byte keeps us waiting as long as we would wait."""
    return Drip(reply, SLOW / len(reply))


@pytest.mark.parametrize("step", ["CONNECT", "EHLO"])
def test_a_reply_that_drips_is_no_reply_in_time(step: str) -> None:
    reply = POLITE.get(step, b"250-relay.quaytide.example\r\n250 SIZE\r\n")
    with ScriptedRelay({step: dripped(reply)}) as relay:
        assert "in time" in down(relay.settings(timeout_s=SHORT_S)).message


@pytest.mark.parametrize(
    ("step", "outcome"), [("MAIL", "deferred"), ("DATA", "deferred"), (".", "unknown")]
)
def test_a_reply_to_a_letter_that_drips_is_none(step: str, outcome: str) -> None:
    drip = dripped(POLITE[step])
    with ScriptedRelay({step: [drip, drip] if step != "." else [drip]}) as relay:
        receipts = sent(relay.settings(timeout_s=SHORT_S), envelope(), envelope())
    assert outcomes(receipts) == [outcome, "accepted"]


def test_many_slow_answers_are_too_slow_together(context: tuple[ssl.SSLContext, Path]) -> None:
    """Each step comes well in time; all of them would keep a run longer than its lease."""
    offers = b"250-relay.quaytide.example\r\n250-STARTTLS\r\n250 AUTH LOGIN\r\n"
    more = b"334 \r\n"
    # twice the first and three times the second are 2.1 of an answer's time, where 2 are given
    script = {
        "EHLO": Drip(offers, 0.3 * SLOW / len(offers)),
        "AUTH": Drip(more, 0.5 * SLOW / len(more)),
    }
    with ScriptedRelay(script, context[0]) as relay:
        said = down(relay.settings(timeout_s=SLOW, ca_file=context[1], **USER))
    assert said.message.endswith("gave no answer to AUTH in time.")


def test_all_tries_for_a_copy_end_before_others_would_take_it_over() -> None:
    slow = Drip(POLITE["MAIL"], 2.0 / len(POLITE["MAIL"]))  # less than an answer may take
    for copy_s, outcome, calls in ((60.0, "accepted", 1), (5.0, "deferred", 1)):
        with ScriptedRelay({"MAIL": slow}) as relay:
            transport = SmtpTransport(relay.settings(timeout_s=4.0), copy_s=copy_s)
            (receipt,) = transport.send([envelope()])
            transport.finish()
        assert (receipt.outcome, relay.connections) == (outcome, calls)


# ── too much of it ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "reply",
    [
        b"250 " + b"x" * (MAX_REPLY_LINE + 10) + b"\r\n",
        b"x" * 1_000_000,
        b"250-x\r\n" * (MAX_REPLY_LINES + 1) + b"250 x\r\n",
        b"250-a\r\n251 b\r\n",
        b"hello\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\r\n",
        b"999 x\r\n",
        b"\xff\xfe\r\n",
    ],
)
def test_what_is_no_smtp_is_a_lost_line(reply: bytes) -> None:
    with ScriptedRelay({"MAIL": [reply, reply]}) as relay:
        receipts: list[Receipt] = sent(relay.settings(), envelope(), envelope())
    assert outcomes(receipts) == ["deferred", "accepted"]
    assert receipts[0].detail == "the relay gave no answer to MAIL that is SMTP"
    with ScriptedRelay({"CONNECT": reply.replace(b"250", b"220")}) as relay:
        assert "gave no greeting that is SMTP" in down(relay.settings()).message
        assert relay.connections == 3


def test_a_long_honest_reply_is_read_to_its_end() -> None:
    long = b"250-%s\r\n" % (b"x" * 500) * (MAX_REPLY_LINES - 1) + b"250 end\r\n"
    bare = b"250 a line's end without CR\n"
    with ScriptedRelay({"EHLO": long, "MAIL": bare, "RCPT": b"250\r\n"}) as relay:
        assert outcomes(sent(relay.settings(), envelope())) == ["accepted"]
