"""The HTTP side of the fake: SendGrid's own addresses, and /_control/ for whoever tests with it."""

from __future__ import annotations

import gzip
import json
import sys
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.fake_sendgrid.books import Books, Refused
from tests.fake_sendgrid.faults import Fault, Faults, fault_of
from tests.fake_sendgrid.rules import MOST_BYTES, answer, broken

#: What a key of each permission may do.
PERMISSIONS = {"send": "mail.send", "batch": "mail.batch.create", "hold": "user.scheduled_sends"}
ALL = frozenset(PERMISSIONS.values())


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back; copies says how many were taken."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    copies: int = 0


def told(status: int, body: Any, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/json", **named})


def wrong(status: int, message: str, **headers: str) -> Answer:
    return told(status, {"errors": [{"field": None, "message": message}]}, **headers)


class FakeClock:
    """Stands at an instant, or runs as time does, from wherever it was set."""

    def __init__(self) -> None:
        self._at, self._since = time.time(), time.monotonic()
        self._runs = True

    def now(self) -> float:
        return self._at + (time.monotonic() - self._since if self._runs else 0.0)

    def set(self, at: float, runs: bool) -> None:
        self._at, self._since, self._runs = at, time.monotonic(), runs

    def advance(self, seconds: float) -> None:
        self.set(self.now() + seconds, self._runs)


@dataclass
class Account:
    """The one account of this fake."""

    keys: dict[str, frozenset[str]] = field(default_factory=lambda: {"SG.fake.key": ALL})
    revoke_in: int | None = None  #: requests that are still answered, then every key is revoked


class SendGrid:
    """Answers requests; knows no sockets."""

    def __init__(self, folder: Path, most_holds: int) -> None:
        self.clock = FakeClock()
        self.faults = Faults()
        self.account = Account()
        self.pace_s = 0.0
        self.most = sys.maxsize
        self.books = Books(folder / "sendgrid.db", most_holds)

    # ── the API ──────────────────────────────────────────────────────────────────────────

    def handle(self, request: Request) -> Answer:
        """What SendGrid would say, and do."""
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        now = self.clock.now()
        with self.books.at(now):
            try:
                return self._routed(request, now)
            except Refused as refused:
                return wrong(400, str(refused))

    def _refusal(self, request: Request) -> Answer | None:
        """Not ours to use, not allowed, not there."""
        if not request.what:
            return wrong(404, "not found")
        methods = _METHODS[request.what, bool(request.batch_id)]
        if request.method not in methods:
            return wrong(405, "method not allowed")
        scheme, _, key = request.header("authorization").partition(" ")
        if self.account.revoke_in == 0 or scheme != "Bearer" or key not in self.account.keys:
            return wrong(401, "The provided authorization grant is invalid, expired, or revoked")
        if self.account.revoke_in is not None:
            self.account.revoke_in -= 1
        if PERMISSIONS[request.what] not in self.account.keys[key]:
            return wrong(403, "access forbidden")
        return None

    def _routed(self, request: Request, now: float) -> Answer:
        if request.what == "send":
            return self._send(request, now)
        if request.what == "batch":
            return self._batch(request, now)
        return self._hold(request, now)

    def _send(self, request: Request, now: float) -> Answer:
        if request.header("content-type").partition(";")[0].strip().lower() != "application/json":
            return wrong(415, "Content-Type should be application/json.")
        if len(request.body) > MOST_BYTES:
            return wrong(413, "The JSON payload you have included in your request is too large.")
        try:
            mail = json.loads(request.body)
        except ValueError:
            return told(400, answer([("", "Bad Request")]))
        found = broken(mail, now, self.books.knows)
        if found:
            return told(400, answer(found))
        if mail.get("mail_settings", {}).get("sandbox_mode", {}).get("enable") is True:
            return Answer(200)
        message_id, copies = self.books.accept(mail, now)
        return Answer(202, b"", {"X-Message-Id": message_id}, copies)

    def _batch(self, request: Request, now: float) -> Answer:
        if request.method == "POST":
            return told(201, {"batch_id": self.books.make_batch(now)})
        if not self.books.knows(request.batch_id):
            raise Refused("invalid batch id")
        return told(200, {"batch_id": request.batch_id})

    def _hold(self, request: Request, now: float) -> Answer:
        if request.method == "GET":
            holds = self.books.holds()
            if request.batch_id:
                holds = [one for one in holds if one["batch_id"] == request.batch_id]
            return told(200, holds)
        if request.method == "DELETE":
            self.books.release(request.batch_id)
            return Answer(204)
        asked = request.json()
        status, batch_id = asked.get("status"), request.batch_id or asked.get("batch_id", "")
        if status not in ("cancel", "pause"):
            raise Refused("status must be cancel or pause")
        if request.method == "PATCH":
            self.books.change_hold(batch_id, status, now)
            return Answer(204)
        self.books.hold(str(batch_id), status, now)
        return told(201, {"batch_id": batch_id, "status": status})

    # ── whoever tests with it ────────────────────────────────────────────────────────────

    def control(self, what: str, asked: Mapping[str, Any]) -> Answer:
        """Faults, clock and keys, from outside; every call settles what is due."""
        deeds: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "settle": lambda asked: None,
            "clock": lambda asked: self.clock.set(asked["at"], asked["runs"]),
            "advance": lambda asked: self.clock.advance(asked["seconds"]),
            "faults": lambda asked: self.faults.script([fault_of(one) for one in asked["faults"]]),
            "chance": lambda asked: self.faults.chance(
                [(share, fault_of(one)) for share, one in asked["chances"]], asked["seed"]
            ),
            "clear": lambda asked: self.faults.clear(),
            "pace": self._set_pace,
            "leash": self._set_leash,
            "keys": self._set_keys,
            "revoke": self._revoke,
        }
        if what not in deeds:
            return wrong(404, f"no such control: {what}")
        with self.books.at(self.clock.now()):
            deeds[what](asked)
        now = self.clock.now()
        with self.books.at(now):
            return told(200, {"now": now})

    def _set_pace(self, asked: Mapping[str, Any]) -> None:
        self.pace_s = asked["seconds"]

    def _set_leash(self, asked: Mapping[str, Any]) -> None:
        self.most = asked["most"]

    def _set_keys(self, asked: Mapping[str, Any]) -> None:
        self.account.keys = {key: frozenset(may) for key, may in asked["keys"].items()}

    def _revoke(self, asked: Mapping[str, Any]) -> None:
        self.account.revoke_in = asked["after"]


_METHODS: dict[tuple[str, bool], tuple[str, ...]] = {
    ("send", False): ("POST",),
    ("batch", False): ("POST",),
    ("batch", True): ("GET",),
    ("hold", False): ("GET", "POST"),
    ("hold", True): ("GET", "PATCH", "DELETE"),
}


@dataclass(frozen=True, slots=True)
class Request:
    """One request, read to its end."""

    method: str
    what: str  #: send, batch, hold; empty for an address that is not there
    batch_id: str
    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str) -> str:
        return self.headers.get(name, "")

    def json(self) -> dict[str, Any]:
        """Raises: Refused when it is no object."""
        try:
            asked = json.loads(self.body)
        except ValueError:
            asked = None
        if not isinstance(asked, dict):
            raise Refused("Bad Request")
        return asked


def request_of(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Request:
    what, batch_id = "", ""
    if path == "/v3/mail/send":
        what = "send"
    for name, root in (("batch", "/v3/mail/batch"), ("hold", "/v3/user/scheduled_sends")):
        rest = path.removeprefix(root)
        if rest != path and (not rest or (rest.startswith("/") and rest.count("/") == 1)):
            what, batch_id = name, rest[1:]
    return Request(method, what, batch_id, headers, body)


# ── the line ─────────────────────────────────────────────────────────────────────────────


class Line(BaseHTTPRequestHandler):
    """One connection; what goes wrong with it is decided per request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    sendgrid: SendGrid
    ending: threading.Event

    def log_message(self, *arguments: object) -> None:
        """Silent."""

    def version_string(self) -> str:
        return "nginx"

    def _any(self) -> None:
        try:
            body = self._body()
        except (OSError, EOFError, ValueError, zlib.error):
            self._reply(wrong(400, "the body can not be read"))
            return
        path = self.path.partition("?")[0]
        if path.startswith("/_control/"):
            self._reply(self.sendgrid.control(path[10:], json.loads(body or b"{}")))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._answer(request_of(self.command, path, headers, body))

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _any  # noqa: N815  the library's names

    def _body(self) -> bytes:
        """Raises: EOFError when the line ends before the body does."""
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            raise EOFError
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _answer(self, request: Request) -> None:
        """Meet what goes wrong before, do it, and meet what goes wrong after."""
        fault = self.sendgrid.faults.next(request.what)
        if request.what == "send":
            self.ending.wait(self.sendgrid.pace_s)
            while self.sendgrid.books.taken() >= self.sendgrid.most and not self.ending.is_set():
                self.ending.wait(0.01)
        kind = fault.kind if fault else ""
        if fault and kind == "drop_before":
            return self._cut(request, fault)
        if fault and kind == "status_before":
            return self._finish(request, self._failure(fault), fault)
        if fault and kind == "wait_before":
            self.ending.wait(fault.wait_s)
        answer = self.sendgrid.handle(request)
        if fault and kind == "wait_after":
            self.ending.wait(fault.wait_s)
        if fault and kind == "drop_after":
            return self._cut(request, fault, answer)
        if fault and kind == "status_after":
            failure = self._failure(fault)
            answer = Answer(failure.status, failure.body, failure.headers, answer.copies)
        return self._finish(request, answer, fault)

    def _failure(self, fault: Fault) -> Answer:
        words = {429: "too many requests", 500: "internal error", 503: "not available"}
        headers = {}
        if fault.reset_in_s is not None:
            reset_at = int(self.sendgrid.clock.now() + fault.reset_in_s)
            headers = {"X_RateLimit_Reset": str(reset_at), "X_RateLimit_Remaining": "0"}
        return wrong(fault.status, words.get(fault.status, "failed"), **headers)

    def _cut(self, request: Request, fault: Fault, answer: Answer | None = None) -> None:
        self._note(request, 0, fault, answer.copies if answer else 0)
        self.close_connection = True

    def _finish(self, request: Request, answer: Answer, fault: Fault | None) -> None:
        self._note(request, answer.status, fault, answer.copies)
        self._reply(answer, fault)

    def _note(self, request: Request, status: int, fault: Fault | None, copies: int) -> None:
        now = self.sendgrid.clock.now()
        self.sendgrid.books.note(now, request.what, status, fault.kind if fault else "", copies)

    def _reply(self, answer: Answer, fault: Fault | None = None) -> None:
        """All in one write, unless that goes wrong too; who left is not waited for."""
        headers = {**answer.headers, "Content-Length": str(len(answer.body))}
        if answer.status == 204:
            del headers["Content-Length"]
        lines = [f"HTTP/1.1 {answer.status} {self.responses.get(answer.status, ('',))[0]}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        data = "\r\n".join([*lines, "", ""]).encode("latin-1") + answer.body
        kind = fault.kind if fault else ""
        with suppress(OSError):
            if fault and kind == "trickle":
                for byte in data:
                    self.wfile.write(bytes((byte,)))
                    self.ending.wait(fault.wait_s)
            elif kind == "half":
                self.wfile.write(data[: len(data) // 2])
                self.close_connection = True
            else:
                self.wfile.write(data)
            return
        self.close_connection = True


class Listener(ThreadingHTTPServer):
    """A thread for each connection; none outlives the process."""

    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that died in the middle is nothing to talk about."""


def serve(
    folder: Path, most_holds: int, ready: Callable[[int], None], wait: Callable[[], None]
) -> None:
    """Answer on a port of 127.0.0.1 until `wait` returns."""
    sendgrid = SendGrid(folder, most_holds)
    ending = threading.Event()
    line = type("BoundLine", (Line,), {"sendgrid": sendgrid, "ending": ending})
    with Listener(("127.0.0.1", 0), line) as listener:
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            ready(listener.server_address[1])
            wait()
        finally:
            ending.set()
            listener.shutdown()
            thread.join()
            sendgrid.books.close()
