"""One conversation with a relay: commands out, replies in, and an end to every wait."""

from __future__ import annotations

import math
import re
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass

#: Longer than any honest reply; RFC 5321 §4.5.3.1.5 asks for 512.
MAX_REPLY_LINE = 4096
MAX_REPLY_LINES = 100
#: So much of a letter must have been taken before its time is up.
PIECE_BYTES = 65_536

_REPLY = re.compile(rb"([2-5]\d\d)(?:([ -])(.*))?")


class LineLost(Exception):
    """The line broke, stood silent for too long, or carries no SMTP.

    Shape: what follows the words "the relay": "closed the line before its answer to MAIL"
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete reply."""

    code: int
    lines: tuple[bytes, ...]  #: what stands behind the code, a stranger's bytes

    @property
    def kind(self) -> int:
        """2 done, 3 go on, 4 not now, 5 no."""
        return self.code // 100


class Line:
    """A socket that speaks SMTP. Each reply has one deadline as a whole.

    A timeout of the socket alone would begin anew with each byte, and a relay that sends one
    every few seconds would hold us for hours.
    """

    def __init__(self, connected: socket.socket, timeout_s: float) -> None:
        self._socket = connected
        self._timeout_s = timeout_s
        self._ends_at = math.inf
        self._heard = b""  # came, and is not yet read
        self._awaited = "greeting"

    def allow(self, seconds: float) -> None:
        """All that follows must be over in so much time, however many replies it has."""
        self._ends_at = time.monotonic() + seconds

    def greeting(self) -> Reply:
        """What the relay says first.

        Raises: LineLost
        """
        return self._reply()

    def ask(self, command: bytes, name: str = "") -> Reply:
        """Send one line, and wait for what the relay says to it.

        Shape:  name stands in messages; by default the command's first word, and never more
                of it, for the rest may be an address or a secret
        Raises: LineLost
        """
        refusal = self.unasked()
        if refusal is not None:
            return refusal
        self._awaited = f"answer to {name or command.split(maxsplit=1)[0].decode()}"
        self._write(command + b"\r\n")
        return self._reply()

    def tell(self, body: bytes) -> Reply | None:
        """Send a letter without its end; a reply when the relay breaks in with a refusal.

        Shape:  body ends with a line's end, its dots are doubled
        Raises: LineLost; the relay does not have the letter
        """
        self._awaited = "end of taking the letter"
        try:
            self._write(body)
        except LineLost:
            refusal = None
            with suppress(LineLost):  # it may have said why before it went away
                refusal = self.unasked()
            if refusal is None:
                raise
            return refusal
        return self.unasked()

    def end(self) -> Reply:
        """Send the final dot, and wait for the verdict on the letter.

        Raises: LineLost; nobody knows whether the relay has the letter
        """
        self._awaited = "answer to the end of the letter"
        self._write(b".\r\n")
        return self._reply()

    def unasked(self) -> Reply | None:
        """A refusal that came without a question, such as 421 before a shutdown.

        Raises: LineLost when it went away, or says what answers nothing
        """
        self._listen()
        if not self._heard:
            return None
        reply = self._reply()
        if reply.code < 400:
            raise LineLost("spoke out of turn")
        return reply

    def seal(self, context: ssl.SSLContext, host: str) -> None:
        """From here on everything is encrypted, and the relay is who it says.

        Raises: ssl.SSLError; LineLost, also when something unencrypted is still unread, for
                that could be anybody's (CVE-2011-0411)
        """
        self._awaited = "TLS handshake"
        if self._heard:
            raise LineLost("said more in the clear after it agreed to TLS")
        deadline = self._deadline()
        try:
            self._socket.settimeout(self._left(deadline))
            self._socket = context.wrap_socket(self._socket, server_hostname=host)
        except ssl.SSLError:
            raise
        except OSError as error:
            raise self._lost(error) from None

    def close(self) -> None:
        with suppress(OSError):
            self._socket.close()

    # ── bytes ────────────────────────────────────────────────────────────────────────────

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        for start in range(0, len(rest), PIECE_BYTES):
            piece, deadline = rest[start : start + PIECE_BYTES], self._deadline()
            while piece:
                try:
                    self._socket.settimeout(self._left(deadline))
                    piece = piece[self._socket.send(piece) :]
                except OSError as error:
                    raise self._lost(error) from None

    def _reply(self) -> Reply:
        deadline = self._deadline()
        code = b""
        lines: list[bytes] = []
        while True:
            found = _REPLY.fullmatch(self._read_line(deadline))
            if found is None or (code and found[1] != code) or len(lines) >= MAX_REPLY_LINES:
                raise LineLost(f"gave no {self._awaited} that is SMTP")
            code = found[1]
            lines.append(found[3] or b"")
            if found[2] != b"-":
                return Reply(int(code), tuple(lines))

    def _read_line(self, deadline: float) -> bytes:
        while b"\n" not in self._heard:
            if len(self._heard) > MAX_REPLY_LINE:
                raise LineLost(f"gave no {self._awaited} that is SMTP")
            try:
                self._socket.settimeout(self._left(deadline))
                self._take(self._socket.recv(MAX_REPLY_LINE))
            except OSError as error:
                raise self._lost(error) from None
        line, _, self._heard = self._heard.partition(b"\n")
        if len(line) > MAX_REPLY_LINE:
            raise LineLost(f"gave no {self._awaited} that is SMTP")
        return line.removesuffix(b"\r")

    def _listen(self) -> None:
        """Take in what has come, and wait for nothing."""
        try:
            self._socket.settimeout(0)
            self._take(self._socket.recv(MAX_REPLY_LINE))
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            raise self._lost(error) from None

    def _take(self, data: bytes) -> None:
        if not data:
            raise LineLost(f"closed the line before its {self._awaited}")
        self._heard += data

    # ── time ─────────────────────────────────────────────────────────────────────────────

    def _deadline(self) -> float:
        return min(time.monotonic() + self._timeout_s, self._ends_at)

    def _left(self, deadline: float) -> float:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _lost(self, error: OSError) -> LineLost:
        if isinstance(error, TimeoutError):
            return LineLost(f"gave no {self._awaited} in time")
        return LineLost(f"broke the line before its {self._awaited}")
