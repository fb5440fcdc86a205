"""Before the first letter: encryption, certificates, sign-in; and what is told when it fails."""

from __future__ import annotations

import hmac
import logging
import ssl
import traceback
from base64 import b64decode, b64encode
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import Down
from pipeline.settings import SmtpSettings
from pipeline.transports.smtp import SmtpTransport
from tests.relay import DROP, Authority, Drop, ScriptedRelay, free_port, mail_relay
from tests.transports.test_smtp import envelope, outcomes, sent

USER, PASSWORD, TOKEN = "letters@quaytide.example", "pässword 5%", "ya29.fresh_token-1"
SIGNED = {"user": USER, "password": PASSWORD}
SECRETS = (
    PASSWORD,
    TOKEN,
    USER,
    "ingrid@",
    "liv@",
    b64encode(PASSWORD.encode()).decode(),
    b64encode(TOKEN.encode()).decode(),
    b64encode(USER.encode()).decode(),
    b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode(),
    b64encode(f"user={USER}\x01auth=Bearer {TOKEN}\x01\x01".encode()).decode(),
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def context(authority: Authority) -> ssl.SSLContext:
    return authority.context("127.0.0.1", "localhost")


def down(where: SmtpSettings) -> Down:
    """Why a run cannot begin; told without a secret, in the traceback neither."""
    transport = SmtpTransport(where, pauses_s=(0, 0))
    with pytest.raises(Down) as caught:
        list(transport.send([envelope()]))
    transport.finish()
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(where)
    for secret in SECRETS:
        assert secret.replace("@", "") == secret or secret not in str(caught.value)
        assert secret == USER or secret not in told
    assert caught.value.message.endswith(".")
    assert caught.value.hint.endswith(".")
    assert str(caught.value).replace("\n", "").isprintable()
    return caught.value


# ── encryption ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_encrypted_from_the_first_byte_or_from_starttls_on(
    authority: Authority, context: ssl.SSLContext, first: bool, host: str
) -> None:
    copy = envelope()
    with mail_relay(context, first=first) as (where, inbox):
        (receipt,) = sent(replace(where, host=host, ca_file=authority.ca_file), copy)
    assert receipt.outcome == "accepted"
    assert [letter.message for letter in inbox.letters] == [copy.message]


def test_a_relay_without_encryption_gets_nothing() -> None:
    with ScriptedRelay(offers=("AUTH PLAIN",)) as relay:
        said = down(relay.settings(tls="starttls", **SIGNED))
    assert "offers no encryption" in said.message
    assert "ASTERISM_SMTP_PORT" in said.hint
    assert "ASTERISM_SMTP_TLS=tls" in said.hint
    assert set(relay.verbs()) <= {"EHLO", "QUIT"}  # no AUTH, no letter


def test_a_relay_that_knows_only_helo_gets_nothing_either() -> None:
    with ScriptedRelay({"EHLO": b"502 5.5.1 what?\r\n"}) as relay:
        assert "offers no encryption" in down(relay.settings(tls="starttls")).message
        assert outcomes(sent(relay.settings(), envelope())) == ["accepted"]


def test_a_relay_that_takes_back_its_offer(context: ssl.SSLContext) -> None:
    with ScriptedRelay({"STARTTLS": b"554 5.7.3 no\r\n"}, context) as relay:
        assert "does not serve us: 554 5.7.3 no" in down(relay.settings()).message
    assert relay.verbs() == ["EHLO", "STARTTLS"]


@pytest.mark.parametrize(
    "says",
    [
        b"220 2.0.0 go on\r\n250 AUTH PLAIN\r\n",
        b"220 2.0.0 go on\r\n250",
        b"220 2.0.0 go on\r\n235 2.7.0 welcome\r\n250 2.1.0 fine\r\n",
    ],
)
def test_words_slipped_in_before_the_encryption_are_not_believed(
    authority: Authority, context: ssl.SSLContext, says: bytes
) -> None:
    with ScriptedRelay({"STARTTLS": says}, context) as relay:
        said = down(relay.settings(ca_file=authority.ca_file, **SIGNED))
    assert "in the clear" in said.message or "TLS" in said.message
    assert set(relay.verbs()) <= {"EHLO", "STARTTLS"}


def test_what_was_offered_in_the_clear_counts_no_more(
    authority: Authority, context: ssl.SSLContext
) -> None:
    clear = b"250-relay\r\n250-STARTTLS\r\n250-AUTH LOGIN\r\n250 SIZE 10\r\n"
    script = {"EHLO": [clear, b"250-relay\r\n250 AUTH PLAIN\r\n"]}
    with ScriptedRelay(script, context) as relay:
        where = relay.settings(ca_file=authority.ca_file, **SIGNED)
        assert outcomes(sent(where, envelope())) == ["accepted"]
    assert relay.commands[3].startswith(b"AUTH PLAIN")


def test_a_certificate_that_nobody_we_know_has_signed(context: ssl.SSLContext) -> None:
    with ScriptedRelay(context=context) as relay:
        said = down(relay.settings())
    assert "cannot be trusted" in said.message
    assert "ASTERISM_SMTP_CA_FILE" in said.hint
    assert relay.verbs() == ["EHLO", "STARTTLS"]


@pytest.mark.parametrize("first", [False, True])
def test_a_certificate_of_another_name(authority: Authority, first: bool) -> None:
    other = authority.context("relay.elsewhere.example")
    with ScriptedRelay(context=other, first=first) as relay:
        said = down(relay.settings(ca_file=authority.ca_file))
    assert "127.0.0.1" in said.message
    assert "ASTERISM_SMTP_HOST must be the name" in said.hint


def test_a_certificate_whose_time_is_past(authority: Authority) -> None:
    with ScriptedRelay(context=authority.context("127.0.0.1", days=-1)) as relay:
        assert "expired" in down(relay.settings(ca_file=authority.ca_file)).message


def test_a_port_that_speaks_in_the_clear_where_tls_was_set() -> None:
    with ScriptedRelay() as relay:
        said = down(relay.settings(tls="tls"))
    assert "does not speak TLS" in said.message
    assert "ASTERISM_SMTP_TLS" in said.hint


@pytest.mark.parametrize(("content", "what"), [(None, "cannot be read"), ("x", "no certificate")])
def test_a_file_of_authorities_that_is_none(tmp_path: Path, content: str | None, what: str) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    said = down(SmtpSettings("127.0.0.1", 1, "starttls", ca_file=path))
    assert what in said.message
    assert "ASTERISM_SMTP_CA_FILE" in said.hint


# ── nobody there ─────────────────────────────────────────────────────────────────────────


def test_nobody_listens() -> None:
    said = down(SmtpSettings("127.0.0.1", free_port(), "none"))
    assert "refused the connection" in said.message
    assert "ASTERISM_SMTP_HOST, ASTERISM_SMTP_PORT" in said.hint


@pytest.mark.parametrize("host", ["relay.invalid", "no such name", "a" * 70 + ".example", ""])
def test_a_name_that_leads_nowhere(host: str) -> None:
    said = down(SmtpSettings(host or "..", 25, "none"))
    assert "leads to no address" in said.message
    assert "ASTERISM_SMTP_HOST" in said.hint


def test_a_line_that_breaks_while_it_is_opened_is_tried_some_times() -> None:
    with ScriptedRelay({"CONNECT": [DROP], "EHLO": [Drop(b"421 4.3.2 not now\r\n")]}) as relay:
        assert outcomes(sent(relay.settings(), envelope())) == ["accepted"]
        assert relay.connections == 3
    with ScriptedRelay({"CONNECT": b"421 4.3.2 not now, ingrid@northline.example\r\n"}) as relay:
        said = down(relay.settings())
        assert "is not ready: 421 4.3.2 not now" in said.message
        assert relay.connections == 3


def test_a_relay_that_goes_away_in_the_middle_of_a_run_ends_it() -> None:
    with ScriptedRelay(
        {"CONNECT": [b"220 a\r\n", DROP, DROP, DROP], "MAIL": [b"250 a\r\n", DROP]}
    ) as relay:
        transport = SmtpTransport(relay.settings(), pauses_s=(0, 0))
        copies = transport.send([envelope() for _ in range(3)])
        assert next(copies).outcome == "accepted"
        with pytest.raises(Down, match="closed the line before its greeting"):
            next(copies)
        assert outcomes(list(transport.send([envelope()]))) == ["accepted"]
        transport.finish()


@pytest.mark.parametrize("says", [b"554 5.7.1 not from you\r\n", b"550 no\r\n"])
def test_a_relay_that_does_not_want_us(says: bytes) -> None:
    with ScriptedRelay({"CONNECT": says}) as relay:
        assert "does not serve us" in down(relay.settings()).message
        assert relay.connections == 1


def test_a_look_at_the_relay_sends_nothing(authority: Authority, context: ssl.SSLContext) -> None:
    with ScriptedRelay(context=context, offers=("AUTH PLAIN",)) as relay:
        where = relay.settings(ca_file=authority.ca_file, **SIGNED)
        assert "sealed by TLS" in SmtpTransport(where).probe()
        assert relay.verbs() == ["EHLO", "STARTTLS", "EHLO", "AUTH", "QUIT"]
        with pytest.raises(Down, match="cannot be trusted"):
            SmtpTransport(replace(where, ca_file=None)).probe()


# ── sign-in by password ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("leave_out", [[], ["PLAIN"], ["LOGIN"]])
def test_a_real_relay_lets_us_in(
    authority: Authority, context: ssl.SSLContext, first: bool, leave_out: list[str]
) -> None:
    copy = envelope()
    with mail_relay(context, first=first, password=PASSWORD, auth_exclude_mechanism=leave_out) as (
        where,
        inbox,
    ):
        good = replace(where, ca_file=authority.ca_file)
        assert outcomes(sent(good, copy, copy)) == ["accepted"] * 2
        assert len(inbox.connections) == 1
        said = down(replace(good, password="another one"))
    assert "did not accept our sign-in: 535 5.7.8" in said.message
    assert "ASTERISM_SMTP_USER and ASTERISM_SMTP_PASSWORD" in said.hint


def test_a_real_relay_that_wants_a_sign_in_and_gets_none(
    authority: Authority, context: ssl.SSLContext
) -> None:
    with mail_relay(context, password=PASSWORD) as (where, inbox):
        said = down(replace(where, ca_file=authority.ca_file, user="", password=""))
    assert "530" in said.message
    assert "ASTERISM_SMTP_USER" in said.hint
    assert not inbox.letters


def spoken(relay: ScriptedRelay) -> list[bytes]:
    """Everything of the sign-in, the first line with its words."""
    start = relay.verbs().index("AUTH")
    lines = relay.commands[start : relay.verbs().index("MAIL")]
    first = lines[0].split(b" ", 2)
    return [b" ".join(first[:2]), *map(b64decode, [*first[2:], *lines[1:]])]


def test_plain() -> None:
    with ScriptedRelay(offers=("AUTH DIGEST-MD5 PLAIN LOGIN",)) as relay:
        assert outcomes(sent(relay.settings(**SIGNED), envelope())) == ["accepted"]
    assert spoken(relay) == [b"AUTH PLAIN", f"\0{USER}\0{PASSWORD}".encode()]


def test_login_by_the_old_spelling() -> None:
    asked = [b"334 VXNlcm5hbWU6\r\n", b"334 UGFzc3dvcmQ6\r\n", b"235 in\r\n"]
    with ScriptedRelay({"AUTH": asked}, offers=("AUTH=LOGIN",)) as relay:
        assert outcomes(sent(relay.settings(**SIGNED), envelope())) == ["accepted"]
    assert spoken(relay) == [b"AUTH LOGIN", USER.encode(), PASSWORD.encode()]


def test_cram_md5_shows_no_password() -> None:
    challenge = b"<1896.697170952@relay.quaytide.example>"
    asked = [b"334 " + b64encode(challenge) + b"\r\n", b"235 in\r\n"]
    with ScriptedRelay({"AUTH": asked}, offers=("AUTH PLAIN CRAM-MD5",)) as relay:
        assert outcomes(sent(relay.settings(**SIGNED), envelope())) == ["accepted"]
    digest = hmac.new(PASSWORD.encode(), challenge, "md5").hexdigest()
    assert spoken(relay) == [b"AUTH CRAM-MD5", f"{USER} {digest}".encode()]


def test_the_next_way_when_one_is_unknown_after_all() -> None:
    asked = [b"504 5.5.4 not that\r\n", b"334 \r\n", b"334 \r\n", b"235 in\r\n"]
    with ScriptedRelay({"AUTH": asked}, offers=("AUTH PLAIN LOGIN",)) as relay:
        assert outcomes(sent(relay.settings(**SIGNED), envelope())) == ["accepted"]
    assert relay.verbs().count("AUTH") == 2


def test_a_wrong_password_is_tried_once() -> None:
    echo = f"535 5.7.8 {USER}: {PASSWORD} is wrong ({b64encode(PASSWORD.encode()).decode()})\r\n"
    with ScriptedRelay({"AUTH": echo.encode()}, offers=("AUTH PLAIN LOGIN",)) as relay:
        said = down(relay.settings(**SIGNED))
    assert "535 5.7.8 …: … is wrong (…)" in said.message
    assert relay.verbs().count("AUTH") == relay.connections == 1  # no account is locked by us


def test_a_relay_that_asks_on_and_on_is_told_to_stop() -> None:
    asked = [b"334 \r\n", b"334 \r\n", b"334 \r\n", b"501 5.5.0 cancelled\r\n"]
    with ScriptedRelay({"AUTH": asked}, offers=("AUTH LOGIN",)) as relay:
        assert "501 5.5.0 cancelled" in down(relay.settings(**SIGNED)).message
    assert relay.commands[-1] == b"*"


@pytest.mark.parametrize("says", [b"334 no base64!\r\n", b"454 4.7.0 later\r\n", b"421 off\r\n"])
def test_a_sign_in_that_fails_for_now_is_tried_some_times(says: bytes) -> None:
    with ScriptedRelay({"AUTH": [says]}, offers=("AUTH CRAM-MD5",)) as relay:
        assert outcomes(sent(relay.settings(**SIGNED), envelope())) == ["accepted"]
        assert relay.connections == 2
    with ScriptedRelay({"AUTH": says}, offers=("AUTH CRAM-MD5",)) as relay:
        assert "ASTERISM_SMTP_HOST" in down(relay.settings(**SIGNED)).hint
        assert relay.connections == 3


@pytest.mark.parametrize("offers", [(), ("AUTH GSSAPI NTLM",), ("AUTH",)])
def test_a_relay_that_knows_no_way_that_we_know(offers: tuple[str, ...]) -> None:
    with ScriptedRelay(offers=offers) as relay:
        said = down(relay.settings(**SIGNED))
    assert "offers no sign-in that fits" in said.message
    assert "ASTERISM_SMTP_PORT" in said.hint


# ── sign-in by token ─────────────────────────────────────────────────────────────────────


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path


def test_a_token_is_read_anew_for_each_line(tmp_path: Path, token_file: Path) -> None:
    script = {".": [Drop(b"250 taken\r\n")]}
    with ScriptedRelay(script, offers=("AUTH PLAIN XOAUTH2",)) as relay:
        transport = SmtpTransport(relay.settings(user=USER, token_file=token_file))
        assert outcomes(list(transport.send([envelope()]))) == ["accepted"]
        token_file.write_text("another-token")
        assert outcomes(list(transport.send([envelope()]))) == ["accepted"]
        transport.finish()
    said = [c.split(b" ", 2) for c in relay.commands if c.startswith(b"AUTH")]
    assert [words[:2] for words in said] == [[b"AUTH", b"XOAUTH2"]] * 2
    assert [b64decode(words[2]) for words in said] == [
        f"user={USER}\x01auth=Bearer {token}\x01\x01".encode() for token in (TOKEN, "another-token")
    ]


def test_a_long_token_waits_until_it_is_asked_for(token_file: Path) -> None:
    token_file.write_text("t" * 4000)
    asked = [b"334 \r\n", b"235 in\r\n"]
    with ScriptedRelay({"AUTH": asked}, offers=("AUTH XOAUTH2",)) as relay:
        where = relay.settings(user=USER, token_file=token_file)
        assert outcomes(sent(where, envelope())) == ["accepted"]
    assert spoken(relay) == [
        b"AUTH XOAUTH2",
        f"user={USER}\x01auth=Bearer {'t' * 4000}\x01\x01".encode(),
    ]


def test_a_token_that_is_too_old_is_told_with_the_relays_reason(token_file: Path) -> None:
    reason = b64encode(b'{"status":"401","schemes":"bearer","scope":"https://mail.example/"}')
    asked = [b"334 " + reason + b"\r\n", f"535 5.7.8 expired: {TOKEN}\r\n".encode()]
    with ScriptedRelay({"AUTH": asked}, offers=("AUTH XOAUTH2",)) as relay:
        said = down(relay.settings(user=USER, token_file=token_file))
    assert "sign-in: 535 5.7.8 expired: … (status 401)." in said.message
    assert "ASTERISM_SMTP_TOKEN_FILE" in said.hint
    assert relay.commands[-1] == b""  # the question was the error, and wants an empty answer


@pytest.mark.parametrize("reason", [b"", b"{", b"[1]", b'{"status": [2]}', b"[" * 3000])
def test_a_reason_that_cannot_be_read_harms_nothing(token_file: Path, reason: bytes) -> None:
    asked = [b"334 " + b64encode(reason)[:4000] + b"\r\n", b"535 5.7.8 no\r\n"]
    with ScriptedRelay({"AUTH": asked}, offers=("AUTH XOAUTH2",)) as relay:
        said = down(relay.settings(user=USER, token_file=token_file))
    assert said.message.endswith("535 5.7.8 no.")


def test_aiosmtpd_takes_a_fresh_token_and_refuses_an_old_one(
    authority: Authority, context: ssl.SSLContext, token_file: Path
) -> None:
    with mail_relay(context, password="x") as (where, inbox):
        where = replace(where, ca_file=authority.ca_file, password="", token_file=token_file)
        assert "ASTERISM_SMTP_TOKEN_FILE" in down(where).hint
        token_file.write_text("fresh-token")
        assert outcomes(sent(where, envelope())) == ["accepted"]
    assert len(inbox.letters) == 1


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "cannot be read"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"two words", "something else than one token"),
        (b"a\x01auth=Bearer b", "something else"),
        (b"t\xf6ken", "something else"),
        (b"t" * 20_000, "something else"),
    ],
)
def test_a_token_file_that_holds_none(tmp_path: Path, content: bytes | None, what: str) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with ScriptedRelay(offers=("AUTH XOAUTH2",)) as relay:
        said = down(relay.settings(user=USER, token_file=path))
    assert what in said.message
    assert "ASTERISM_SMTP_TOKEN_FILE" in said.hint
    assert "AUTH" not in relay.verbs()


def test_a_token_goes_to_no_relay_that_wants_passwords_only(token_file: Path) -> None:
    with ScriptedRelay(offers=("AUTH PLAIN LOGIN",)) as relay:
        assert "XOAUTH2" in down(relay.settings(user=USER, token_file=token_file)).hint
    assert "AUTH" not in relay.verbs()


# ── what is written down ─────────────────────────────────────────────────────────────────


def test_nothing_is_logged(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG), ScriptedRelay(offers=("AUTH PLAIN",)) as relay:
        sent(relay.settings(**SIGNED), envelope())
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_settings_show_neither_the_password_nor_the_account() -> None:
    shown = repr(SmtpSettings("relay.quaytide.example", **SIGNED))  # type: ignore[arg-type]
    assert PASSWORD not in shown
    assert USER not in shown
