"""The line to the API: deadlines, one connection, and how far a failed question came."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pipeline.errors import BadInput
from pipeline.transports.sendgrid.wire import MAX_ANSWER_BYTES, Answer, Unanswered, Unasked, Wire
from tests.transports.sendgrid.scripted import DROP, HANG, KEY, Asked, Reply, serving, told

Talk = Callable[[socket.socket], None]
OK = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def talking(talk: Talk) -> Iterator[str]:
    """A server that talks as it likes to each who calls; its address."""
    door = socket.create_server(("127.0.0.1", 0))
    door.settimeout(20)
    over = threading.Event()

    def answer() -> None:
        while not over.is_set():
            try:
                line, _ = door.accept()
            except OSError:
                return
            with line:
                try:
                    talk(line)
                except OSError:
                    continue  # the client hung up

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
    finally:
        over.set()
        with socket.socket() as last:  # accept returns once more
            last.connect(door.getsockname())
        thread.join()
        door.close()


@contextmanager
def wired(url: str, timeout_s: float = 60.0) -> Iterator[Wire]:
    wire = Wire(url, KEY, timeout_s)
    try:
        yield wire
    finally:
        wire.close()


def hear(line: socket.socket) -> bytes:
    """One whole request.

    Raises: ConnectionError when the client hangs up before
    """
    came = b""
    while b"\r\n\r\n" not in came:
        came += _some(line)
    head, _, body = came.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += _some(line)
    return body


def _some(line: socket.socket) -> bytes:
    came = line.recv(65536)
    if not came:
        raise ConnectionError
    return came


def test_questions_share_one_connection() -> None:
    with serving(lambda _: Reply(200, b'{"a": 1}')) as server, wired(server.url) as wire:
        for _ in range(3):
            answer = wire.ask("POST", "/v3/mail/send", b'{"x": "\xc3\xa9"}')
            assert (answer.status, answer.json()) == (200, {"a": 1})
        wire.ask("GET", "/v3/x")
        assert server.connections == 1
        assert server.asked[0].body == {"x": "é"}
        assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
        assert server.paths()[-1] == "GET /v3/x"


def test_a_line_that_they_closed_is_called_anew() -> None:
    """So that a connection that merely rested too long is no doubt about a thousand letters."""

    def once(line: socket.socket) -> None:
        hear(line)
        line.sendall(OK)  # and hang up, unannounced

    with talking(once) as url, wired(url) as wire:
        assert wire.ask("POST", "/").status == 202
        while wire._socket is not None and wire._is_fresh(wire._socket):
            threading.Event().wait(0.01)
        assert wire.ask("POST", "/").status == 202


def test_an_answer_that_ends_the_connection_is_heeded() -> None:
    answers = Reply(200, b"{}", {"Connection": "close"})
    with serving(lambda _: answers) as server, wired(server.url) as wire:
        wire.ask("GET", "/")
        wire.ask("GET", "/")
        assert server.connections == 2


def test_an_answer_in_pieces_keeps_the_connection() -> None:
    def pieces(line: socket.socket) -> None:
        for _ in range(2):
            hear(line)
            head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            line.sendall(head + b"3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n")

    with talking(pieces) as url, wired(url) as wire:
        assert wire.ask("GET", "/").json() == [1, 2]
        kept = wire._socket
        assert kept is not None
        assert wire.ask("GET", "/").json() == [1, 2]
        assert wire._socket is kept


def test_two_who_ask_at_once_get_each_their_own_answer() -> None:
    def echo(asked: Asked) -> Reply:
        return Reply(200, asked.raw)

    heard: dict[int, object] = {}
    with serving(echo) as server, wired(server.url) as wire:

        def ask(number: int) -> None:
            heard[number] = wire.ask("POST", "/", str(number).encode()).json()

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert heard == {number: number for number in range(20)}
        assert server.connections == 1


def test_redirects_are_answers_and_nobody_follows_them() -> None:
    away = Reply(307, b"", {"Location": "http://192.0.2.1/"})
    with serving(lambda _: away) as server, wired(server.url) as wire:
        assert wire.ask("POST", "/v3/mail/send").status == 307
        assert len(server.asked) == 1


# ── how far it came ──────────────────────────────────────────────────────────────────────


def test_nobody_there_means_that_they_never_got_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    with wired(f"http://127.0.0.1:{port}") as wire, pytest.raises(Unasked, match="refused"):
        wire.ask("POST", "/")


def test_a_name_that_nobody_knows() -> None:
    with wired("http://nobody.invalid") as wire, pytest.raises(Unasked, match="name is not known"):
        wire.ask("POST", "/")


@pytest.mark.parametrize("reply", [DROP, HANG])
def test_no_answer_means_that_nobody_knows(reply: Reply) -> None:
    with serving(lambda _: reply) as server, wired(server.url, 0.5) as wire:
        with pytest.raises(Unanswered):
            wire.ask("POST", "/", b"{}")
        assert len(server.asked) == 1  # and it is not asked again


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 20", b"220 smtp.quaytide.example ESMTP\r\n", b"\x00\xff" * 40]
)
def test_half_an_answer_is_none(said: bytes) -> None:
    def talk(line: socket.socket) -> None:
        hear(line)
        line.sendall(said)

    with talking(talk) as url, wired(url) as wire, pytest.raises(Unanswered):
        wire.ask("POST", "/")


def test_an_answer_that_drips_has_one_deadline_for_all() -> None:
    """Each byte comes in time, the answer never does."""

    def drip(line: socket.socket) -> None:
        hear(line)
        for byte in b"HTTP/1.1 202 Accepted\r\nX-Long: " + b"x" * 10_000:
            line.sendall(bytes([byte]))
            threading.Event().wait(0.02)

    with talking(drip) as url, wired(url, 0.5) as wire, pytest.raises(Unanswered, match="in time"):
        wire.ask("POST", "/")


def test_a_status_that_came_counts_though_its_text_was_cut() -> None:
    def cut(line: socket.socket) -> None:
        hear(line)
        line.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 99\r\nX-Message-Id: m1\r\n\r\n{")

    with talking(cut) as url, wired(url) as wire:
        answer = wire.ask("POST", "/")
        assert (answer.status, answer.headers["x-message-id"], answer.json()) == (202, "m1", None)
        assert wire._socket is None


def test_a_reader_that_takes_nothing_means_that_they_never_got_it() -> None:
    over = threading.Event()
    with talking(lambda line: over.wait(20) and None) as url, wired(url, 0.5) as wire:
        with pytest.raises(Unasked, match="in time"):
            wire.ask("POST", "/", b"x" * 20_000_000)
        over.set()


def test_who_hangs_up_early_may_have_said_why() -> None:
    def too_long(line: socket.socket) -> None:
        line.recv(1000)
        line.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        line.shutdown(socket.SHUT_WR)
        threading.Event().wait(0.2)

    with talking(too_long) as url, wired(url) as wire:
        assert wire.ask("POST", "/", b"x" * 20_000_000).status == 413


def test_no_answer_is_read_without_end() -> None:
    endless = Reply(200, b"x" * (MAX_ANSWER_BYTES + 5))
    with serving(lambda _: endless) as server, wired(server.url) as wire:
        assert len(wire.ask("GET", "/").body) == MAX_ANSWER_BYTES
        assert wire._socket is None  # what is left of it is not the next answer


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 100_000, b"\xff", b"9" * 5000])
def test_what_is_no_json_is_none(body: bytes) -> None:
    assert Answer(200, {}, body).json() is None


# ── the key ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("key", ["", "SG.a b", "SG.a\r\nX: y", "SG.é", "SG.a\n"])
def test_a_key_that_would_forge_a_header_is_refused(key: str) -> None:
    with pytest.raises(BadInput) as caught:
        Wire("https://api.sendgrid.com", key, 5)
    assert not key.strip() or key not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["", "api.sendgrid.com", "ftp://a.example", "https://u:p@a.example", "https://a.example/?x",
     "https://a.example/a b", "https://a.example\r\nX: y", "https://fähre.example",
     "https://a.example:port", "https://a.example:99999"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="ASTERISM_SENDGRID_URL"):
        Wire(url, KEY, 5)


def test_the_api_may_stand_under_a_path() -> None:
    with serving(lambda _: Reply(200)) as server, wired(f"{server.url}/proxy/") as wire:
        wire.ask("POST", "/v3/mail/send")
        assert server.paths() == ["POST /proxy/v3/mail/send"]
        assert server.asked[0].headers["host"] == server.url.removeprefix("http://")


def test_the_key_stands_in_no_log_and_no_failure(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    said = []
    question = b'{"to": "ingrid@northline.example"}'
    replies = iter([told(401, ("", "no such key")), DROP])
    with serving(lambda _: next(replies)) as server, wired(server.url) as wire:
        said.append(repr(wire.ask("POST", "/", question)))
        said.append(repr(wire))
        try:
            wire.ask("POST", "/", question)
        except Unanswered as error:
            said += [repr(error), *traceback.format_exception(error)]
    everything = caplog.text + "".join(said) + "".join(capfd.readouterr())
    assert "no such key" in everything
    assert KEY not in everything
    assert "ingrid@" not in everything


# ── certificates ─────────────────────────────────────────────────────────────────────────


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """One that nobody signed but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


def safely(certificate: Path, heard: list[bytes]) -> Talk:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def talk(line: socket.socket) -> None:
        with context.wrap_socket(line, server_side=True) as safe:
            while True:
                heard.append(hear(safe))
                safe.sendall(OK)

    return talk


def test_who_cannot_prove_who_they_are_gets_no_key(certificate: Path) -> None:
    heard: list[bytes] = []
    refused = pytest.raises(Unasked, match="certificate is not to be trusted")
    with talking(safely(certificate, heard)) as url, wired(f"https{url[4:]}") as wire, refused:
        wire.ask("POST", "/")
    assert heard == []


def test_whom_the_system_trusts_is_asked(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    heard: list[bytes] = []
    with talking(safely(certificate, heard)) as url, wired(f"https{url[4:]}") as wire:
        for number in range(3):
            assert wire.ask("POST", "/", f'{{"n": {number}}}'.encode()).status == 202
    assert heard == [b'{"n": 0}', b'{"n": 1}', b'{"n": 2}']


def test_who_hangs_up_waits_for_whoever_is_asking() -> None:
    """Two threads share the line: the end of one run is not the end of the other's question."""
    hung_up = threading.Event()
    asked = threading.Event()

    def talk(line: socket.socket) -> None:
        hear(line)
        asked.set()
        hung_up.wait(0.5)  # nobody may hang up now; were it so, it would be at once
        line.sendall(OK)

    def hang_up(wire: Wire) -> None:
        assert asked.wait(60)
        wire.close()
        hung_up.set()

    with talking(talk) as url, wired(url) as wire:
        other = threading.Thread(target=hang_up, args=(wire,))
        other.start()
        assert wire.ask("POST", "/v3/mail/send", b"{}").status == 202
        other.join(60)
        assert hung_up.is_set()
