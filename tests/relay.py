"""Relays for tests: a real one (aiosmtpd), postfix's own, and one that keeps to a script.

The scripted one speaks over a bare socket, so that it can do what no honest server does: hang,
drip, break off or lie in any phase.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pipeline.settings import SmtpSettings
from tests.conftest import in_ci

#: Long enough for a machine that does ten other things; where a test waits it says so itself.
PATIENCE_S = 30.0
CHUNK = 65_536


@dataclass(frozen=True)
class Letter:
    """What a relay took, as it came out of the envelope."""

    sender: str
    recipient: str
    message: bytes


# ── certificates ─────────────────────────────────────────────────────────────────────────


class Authority:
    """Signs certificates for relays; its own lies in `ca_file`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Quay & Tide authority")])
        own = self._builder(self._name, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.ca_file = folder / "ca.pem"
        signed = own.sign(self._key, hashes.SHA256())
        self.ca_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def context(self, *names: str, days: int = 1) -> ssl.SSLContext:
        """What a server with these names needs; with negative days its time is past."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        written = x509.SubjectAlternativeName([_general_name(name) for name in names])
        signed = (
            self._builder(subject, key, days)
            .add_extension(written, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        path = self._folder / f"{names[0]}{days}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + signed.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: int = 1
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=30))
            .not_valid_after(now + timedelta(days=days))
        )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


# ── a real relay ─────────────────────────────────────────────────────────────────────────


class Inbox:
    """aiosmtpd's handler: keeps what comes; `says` gives other answers for an address."""

    def __init__(self, says: Mapping[str, Any]) -> None:
        self.letters: list[Letter] = []
        self.connections: set[int] = set()
        self._says = says

    async def handle_MAIL(  # noqa: N802  aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        said = self._says.get(address)
        if said:
            return str(said)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 fine"

    async def handle_RCPT(  # noqa: N802  aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        said = self._says.get(address)
        if said:
            return str(said)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 known here"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.connections.add(id(session))
        (recipient,) = envelope.rcpt_tos
        self.letters.append(Letter(envelope.mail_from, recipient, envelope.content))
        return "250 2.0.0 taken"

    async def auth_XOAUTH2(self, server: Any, args: list[str]) -> AuthResult:  # noqa: N802
        token = await server.challenge_auth("") if len(args) == 1 else b64decode(args[1])
        good = b"user=letters@quaytide.example\x01auth=Bearer fresh-token\x01\x01"
        if token == good:
            return AuthResult(success=True, auth_data="letters")
        await server.challenge_auth('{"status":"401","schemes":"bearer"}')
        return AuthResult(success=False, handled=False)


@contextmanager
def mail_relay(
    context: ssl.SSLContext | None = None,
    *,
    first: bool = False,
    password: str = "",
    says: Mapping[str, str] | None = None,
    **options: Any,
) -> Iterator[tuple[SmtpSettings, Inbox]]:
    """A real relay on 127.0.0.1, and the settings that lead to it.

    Shape: context, for STARTTLS, or with `first` from the first byte; says, an answer to MAIL
           for some senders, and to RCPT for some recipients
    """
    inbox = Inbox(says or {})

    def authenticator(
        server: Any, session: Any, envelope: Any, mechanism: str, data: Any
    ) -> AuthResult:
        good = (data.login, data.password) == (b"letters@quaytide.example", password.encode())
        return AuthResult(success=good, handled=False, auth_data="letters" if good else None)

    if password:
        # where TLS comes first, aiosmtpd does not see it
        options |= {
            "authenticator": authenticator,
            "auth_required": not first,
            "auth_require_tls": not first,
        }
    if context is not None and not first:
        options |= {"tls_context": context, "require_starttls": True}
    controller = Controller(
        inbox,
        hostname="127.0.0.1",
        port=free_port(),
        ssl_context=context if first else None,
        ready_timeout=PATIENCE_S,
        **options,
    )
    controller.start()
    tls = "none" if context is None else "tls" if first else "starttls"
    user = "letters@quaytide.example" if password else ""
    try:
        yield (
            SmtpSettings("127.0.0.1", controller.port, tls, user, password, timeout_s=PATIENCE_S),
            inbox,
        )
    finally:
        controller.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# ── postfix's test relay ─────────────────────────────────────────────────────────────────


@contextmanager
def smtp_sink(folder: Path, *options: str) -> Iterator[tuple[SmtpSettings, Path]]:
    """Postfix's `smtp-sink`, and the folder in which lies each letter that it took.

    Without it the test is skipped by name; where everything must be there it fails.
    """
    command = shutil.which("smtp-sink", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if command is None:
        assert not in_ci(), "smtp-sink (package postfix) is not installed"
        pytest.skip("smtp-sink (package postfix) is not installed")
    dump, port = folder / "taken", free_port()
    dump.mkdir()
    rights: tuple[str, ...] = ()
    if os.geteuid() == 0:  # it gives up root's rights, and must still reach the folder
        rights = ("-u", "nobody")
        dump.chmod(0o777)
        for above in dump.parents[:4]:
            above.chmod(above.stat().st_mode | 0o011)
    arguments = [command, *rights, "-d", "%M.", *options, f"127.0.0.1:{port}", "8"]
    sink = subprocess.Popen(arguments, cwd=dump, stderr=subprocess.PIPE)
    try:
        _wait_for(port, sink)
        yield SmtpSettings("127.0.0.1", port, "none", timeout_s=PATIENCE_S), dump
    finally:
        sink.terminate()
        sink.communicate()


def _wait_for(port: int, sink: subprocess.Popen[bytes]) -> None:
    for _ in range(int(PATIENCE_S / 0.05)):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), PATIENCE_S):
            return
        assert sink.poll() is None, sink.communicate()[1].decode()
        time.sleep(0.05)
    raise AssertionError("smtp-sink does not listen")


def letters_in(dump: Path) -> list[Letter]:
    """What smtp-sink took, with the line ends that it had."""
    found = []
    for path in sorted(dump.iterdir()):
        with suppress(FileNotFoundError):  # it begins a file at MAIL, and may take it back
            found += _dumped(path.read_bytes())
    return found


def _dumped(raw: bytes) -> list[Letter]:
    """It writes LF for CRLF, lines of its own before each letter and an empty one after it.

    None while no letter has come.
    """
    found = re.match(rb"((?:X-.*\n)*)Received:.*\n(?:\t.*\n)+", raw)
    if found is None:
        assert b"Received:" not in raw
        return []
    assert raw.endswith(b"\n")
    names = dict(re.findall(r"^X-(\w+)-Args: <(.*?)>", found[1].decode(), re.MULTILINE))
    message = raw[found.end() : -1].replace(b"\n", b"\r\n")
    return [Letter(names["Mail"], names["Rcpt"], message)]


# ── a relay that keeps to a script ───────────────────────────────────────────────────────


@dataclass(frozen=True)
class Hang:
    """Says nothing more, and keeps the line."""


@dataclass(frozen=True)
class Drop:
    """Hangs up; `after` says something first."""

    after: bytes = b""


@dataclass(frozen=True)
class Drip:
    """Sends one byte at a time, each sooner than a patient socket gives up."""

    data: bytes
    every_s: float


Answer = bytes | Hang | Drop | Drip
HANG, DROP = Hang(), Drop()

POLITE: Mapping[str, bytes] = {
    "CONNECT": b"220 relay.quaytide.example ESMTP\r\n",
    "HELO": b"250 relay.quaytide.example\r\n",
    "STARTTLS": b"220 2.0.0 go on\r\n",
    "AUTH": b"235 2.7.0 welcome\r\n",
    "MAIL": b"250 2.1.0 fine\r\n",
    "RCPT": b"250 2.1.5 fine\r\n",
    "DATA": b"354 end with a dot\r\n",
    ".": b"250 2.0.0 taken\r\n",
    "RSET": b"250 2.0.0 forgotten\r\n",
    "QUIT": b"221 2.0.0 bye\r\n",
}


class _Closed(Exception):
    """One side hung up."""


@dataclass
class ScriptedRelay:
    """Says to each step what its script says, and is polite otherwise.

    Shape: script, step → an answer for every time, or answers for the first, second … time, and
           polite ones after them. Steps are commands, CONNECT, BODY (while a letter comes) and
           "." (after it).
    """

    script: Mapping[str, Answer | Sequence[Answer]] = field(default_factory=dict)
    context: ssl.SSLContext | None = None
    first: bool = False  #: TLS from the first byte
    offers: Sequence[str] = ()
    seals: bool = True  #: False: agrees to TLS, and then does nothing
    commands: list[bytes] = field(default_factory=list)
    letters: list[bytes] = field(default_factory=list)  #: as they came, dots doubled
    connections: int = 0

    def __enter__(self) -> ScriptedRelay:
        self._over = threading.Event()
        self._times: dict[str, int] = {}
        self._calls: list[_Call] = []
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(16)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for call in self._calls:
            call.hang_up()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def settings(self, **changes: Any) -> SmtpSettings:
        """Those that lead here."""
        tls = "none" if self.context is None else "tls" if self.first else "starttls"
        plain = SmtpSettings(
            "127.0.0.1", self._listener.getsockname()[1], tls, timeout_s=PATIENCE_S
        )
        return replace(plain, **changes)

    def verbs(self) -> list[str]:
        """The first word of each command, in their order."""
        return [command.split(b" ")[0].decode("latin-1").upper() for command in self.commands]

    def answer(self, step: str) -> Answer:
        said = self.script.get(step)
        if isinstance(said, bytes | Hang | Drop | Drip):
            return said
        times = self._times[step] = self._times.get(step, 0) + 1
        if said is not None and times <= len(said):
            return said[times - 1]
        if step == "EHLO":
            names = ["relay.quaytide.example", *self.offers]
            if self.context is not None and not self.first:
                names.append("STARTTLS")
            lines = [f"250-{name}" for name in names[:-1]] + [f"250 {names[-1]}"]
            return "".join(f"{line}\r\n" for line in lines).encode()
        return POLITE.get(step, b"500 5.5.2 what?\r\n")

    def wait(self, seconds: float | None = None) -> bool:
        return self._over.wait(seconds)

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connected, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            call = _Call(self, connected)
            self._calls.append(call)
            thread = threading.Thread(target=call.run, daemon=True)
            self._threads.append(thread)
            thread.start()


class _Call:
    """One connection to the scripted relay."""

    def __init__(self, relay: ScriptedRelay, connected: socket.socket) -> None:
        self._relay, self._socket = relay, connected
        self._came = bytearray()

    def run(self) -> None:
        try:
            if self._relay.context is not None and self._relay.first:
                self._seal()
            self._say("CONNECT")
            while True:
                self._one(self._line())
        except (_Closed, OSError, ValueError):
            pass
        finally:
            self._socket.close()

    def hang_up(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _one(self, command: bytes) -> None:
        self._relay.commands.append(command)
        step = command.split(b" ")[0].decode("latin-1").upper()
        said = self._say(step)
        while step == "AUTH" and said.startswith(b"334"):
            self._relay.commands.append(self._line())
            said = self._say("AUTH")
        if step == "STARTTLS" and said.startswith(b"220"):
            self._seal()
        if step == "DATA" and said.startswith(b"354"):
            self._letter()
        if step == "QUIT":
            raise _Closed

    def _letter(self) -> None:
        if "BODY" in self._relay.script:
            self._say("BODY")
        while self._came.find(b"\r\n.\r\n", max(0, len(self._came) - 2 * CHUNK)) < 0:
            self._more()
        letter, _, self._came = self._came.partition(b"\r\n.\r\n")
        self._relay.letters.append(bytes(letter + b"\r\n"))
        self._say(".")

    def _say(self, step: str) -> bytes:
        answer = self._relay.answer(step)
        if isinstance(answer, Hang):
            self._relay.wait()
            raise _Closed
        if isinstance(answer, Drop):
            self._socket.sendall(answer.after)
            raise _Closed
        if isinstance(answer, Drip):
            began = time.monotonic()  # a wait that lasts longer does not delay the whole of it
            for number in range(len(answer.data)):
                self._socket.sendall(answer.data[number : number + 1])
                due = began + (number + 1) * answer.every_s
                if self._relay.wait(max(0.0, due - time.monotonic())):
                    raise _Closed
            return answer.data
        self._socket.sendall(answer)
        return answer

    def _line(self) -> bytes:
        while b"\r\n" not in self._came:
            self._more()
        line, _, self._came = self._came.partition(b"\r\n")
        return bytes(line)

    def _more(self) -> None:
        data = self._socket.recv(CHUNK)
        if not data:
            raise _Closed
        self._came += data

    def _seal(self) -> None:
        if not self._relay.seals:
            self._relay.wait()
            raise _Closed
        assert self._relay.context is not None
        self._socket = self._relay.context.wrap_socket(self._socket, server_side=True)
