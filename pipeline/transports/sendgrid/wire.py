"""One kept connection to the API: every answer has a deadline, and every failure says how far.

Ours, and small, because the difference between “they never got it” and “nobody knows” decides
whether a thousand letters may be sent again. It asks again by itself never, follows no
redirect, heeds no proxy variable and writes no log; so the key can stand in none.
"""

from __future__ import annotations

import io
import json
import re
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Any, cast

from pipeline.errors import BadInput

CONNECT_S = 10.0
#: A connection that rested so long may be closed at the other end by now.
REST_S = 20.0
MAX_ANSWER_BYTES = 1_000_000
_CHUNK_BYTES = 65_536
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>(?:/[A-Za-z0-9._~-]*)*)"
)
_KEY = re.compile(r"[\x21-\x7e]+")


class Unasked(Exception):
    """The whole question surely did not reach them."""


class Unanswered(Exception):
    """The question left; whether they took it nobody knows."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]  #: names in lower case
    body: bytes = b""

    def json(self) -> Any:
        """What the body says; None when it is no JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


class Wire:
    """Asks one host, one question after the other."""

    def __init__(self, url: str, key: str, timeout_s: float) -> None:
        """Raises: BadInput when the key or the address cannot stand in a request"""
        if not _KEY.fullmatch(key):
            raise BadInput(
                "ASTERISM_SENDGRID_KEY holds a space or a character that no key holds.",
                "Copy it once more from SendGrid; it begins with SG.",
            )
        found = _URL.fullmatch(url)
        if found is None or int(found["port"] or 0) > 65_535:
            raise BadInput(
                "ASTERISM_SENDGRID_URL is no address of an API.",
                "It is https://api.sendgrid.com, or https://api.eu.sendgrid.com in the EU.",
            )
        self.url = url
        self._secure = found["scheme"] == "https"
        self._host = found["host"].strip("[]")
        self._port = int(found["port"] or (443 if self._secure else 80))
        self._path = found["path"].rstrip("/")
        self._timeout_s = timeout_s
        at = f":{found['port']}" if found["port"] else ""
        self._head = (
            f"Host: {found['host']}{at}\r\nAuthorization: Bearer {key}\r\nUser-Agent: Asterism\r\n"
            "Accept: application/json\r\nContent-Type: application/json\r\n"
        )
        self._trusted: ssl.SSLContext | None = None
        self._lock = threading.Lock()  # answers must not cross
        self._socket: socket.socket | None = None
        self._rested_at = 0.0

    def ask(self, method: str, path: str, payload: bytes = b"") -> Answer:
        """One question, one answer; the body is cut at a million bytes.

        Units:  the timeout is for all of the sending, and once more for all of the answer
        Raises: Unasked, Unanswered
        """
        head = f"{method} {self._path}{path} HTTP/1.1\r\n{self._head}"
        whole = f"{head}Content-Length: {len(payload)}\r\n\r\n".encode("ascii") + payload
        with self._lock:
            return self._ask(method, whole)

    def close(self) -> None:
        """Hang up when nobody waits for an answer; the next question calls anew."""
        with self._lock:
            self._hang_up()

    def _hang_up(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
        self._socket = None

    def _ask(self, method: str, whole: bytes) -> Answer:
        deadline = time.monotonic() + self._timeout_s
        line = self._connected(deadline)
        try:
            _send(line, whole, deadline)
        except OSError as error:
            return self._early_answer(line, method, error)
        return self._answer(line, method, time.monotonic() + self._timeout_s)

    def _connected(self, deadline: float) -> socket.socket:
        if self._socket is not None and not self._is_fresh(self._socket):
            self._hang_up()
        if self._socket is None:
            try:
                self._socket = self._connect(deadline)
            except (OSError, UnicodeError) as error:
                raise Unasked(_plain(error)) from error
        return self._socket

    def _is_fresh(self, line: socket.socket) -> bool:
        """Whether it still stands: what can be read now is its end, or no answer to anything."""
        if time.monotonic() - self._rested_at > REST_S:
            return False
        with selectors.DefaultSelector() as looking:
            looking.register(line, selectors.EVENT_READ)
            return not looking.select(0)

    def _connect(self, deadline: float) -> socket.socket:
        line = socket.create_connection((self._host, self._port), min(CONNECT_S, _left(deadline)))
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._secure:
            return line
        try:
            line.settimeout(min(CONNECT_S, _left(deadline)))
            if self._trusted is None:  # reading all certificates of the system takes a while
                self._trusted = ssl.create_default_context()
            return self._trusted.wrap_socket(line, server_hostname=self._host)
        except BaseException:
            line.close()
            raise

    def _early_answer(self, line: socket.socket, method: str, error: OSError) -> Answer:
        """They closed before they had it all, and may have said why (413).

        Raises: Unasked when they did not
        """
        try:
            answer = self._answer(line, method, time.monotonic() + min(2.0, self._timeout_s))
        except Unanswered:
            raise Unasked(_plain(error)) from error
        finally:
            self._hang_up()
        return answer

    def _answer(self, line: socket.socket, method: str, deadline: float) -> Answer:
        # HTTPResponse asks of its socket nothing but a file to read from
        response = HTTPResponse(cast(socket.socket, _Paced(line, deadline)), method=method)
        try:
            response.begin()
        except (OSError, HTTPException, ValueError) as error:
            self._hang_up()
            raise Unanswered(_plain(error)) from error
        headers = {name.lower(): value for name, value in response.getheaders()}
        try:
            body = response.read(MAX_ANSWER_BYTES)
            whole = response.isclosed() or response.length == 0
        except (OSError, HTTPException, ValueError):
            body, whole = b"", False  # the status decides, and that came
        if response.will_close or not whole:
            self._hang_up()
        self._rested_at = time.monotonic()
        return Answer(response.status, headers, body)


class _Paced(io.RawIOBase):
    """A socket read until an instant, however slowly it drips."""

    def __init__(self, line: socket.socket, deadline: float) -> None:
        self._line, self._deadline = line, deadline

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._line.settimeout(_left(self._deadline))
        return self._line.recv_into(buffer)


def _send(line: socket.socket, whole: bytes, deadline: float) -> None:
    view = memoryview(whole)
    while view:
        line.settimeout(_left(deadline))
        view = view[line.send(view[:_CHUNK_BYTES]) :]


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer in time")
    return left


def _plain(error: Exception) -> str:
    """A failure in words of the system or of ours; nothing that the other side wrote."""
    match error:
        case TimeoutError():
            return "no answer in time"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not to be trusted ({error.verify_message})"
        case socket.gaierror():
            return "its name is not known"
        case OSError() if error.strerror:
            return error.strerror
        case _:
            return "the line was dropped"
