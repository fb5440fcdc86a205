"""A loopback server that answers as it is told, and letters to post to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pipeline.model.letters import Content, Envelope
from pipeline.rules.letters.mime import build_message
from pipeline.settings import SendGridSettings
from pipeline.stores.schema import new_public_id
from tests.builders import NOW

KEY = "SG.a-key-for-tests.not-a-real-one"


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)


@dataclass(frozen=True)
class Reply:
    status: int = 202
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


DROP = Reply(0)  #: takes the request and drops the line
HANG = Reply(-1)  #: takes the request and says nothing


def told(status: int, *errors: tuple[str, str]) -> Reply:
    """An answer that names what is wrong."""
    named = [{"field": where or None, "message": what} for where, what in errors]
    return Reply(status, json.dumps({"errors": named}).encode())


@dataclass
class Server:
    """Where it listens, and what it was asked."""

    url: str
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0

    def paths(self) -> list[str]:
        return [f"{one.method} {one.path}" for one in self.asked]

    def settings(self, **changes: Any) -> SendGridSettings:
        return SendGridSettings(**{"key": KEY, "url": self.url, "timeout_s": 5.0, **changes})


@contextmanager
def serving(answer: Callable[[Asked], Reply]) -> Iterator[Server]:
    """A server on 127.0.0.1 for as long as it is needed."""
    over = threading.Event()
    server: Server

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            server.connections += 1

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, self.path, headers, self.rfile.read(length))
            server.asked.append(asked)
            reply = answer(asked)
            if reply is HANG:
                over.wait(30)
            if reply is DROP or reply is HANG:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        do_GET = do_POST  # noqa: N815  their name

        def handle(self) -> None:
            with suppress(ConnectionError):  # the client hung up
                super().handle()

        def log_message(self, *_: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    http.daemon_threads = True
    server = Server(f"http://127.0.0.1:{http.server_address[1]}")
    thread = threading.Thread(target=http.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        over.set()
        http.shutdown()
        thread.join()
        http.server_close()


# ── letters ──────────────────────────────────────────────────────────────────────────────

SUBJECT = "Berths for \ue000first_name|you\ue001"
HTML = (
    '<!DOCTYPE html><html lang="en"><body><h1>Berths</h1><p title="\ue000first_name|\ue001">'
    "\ue000greeting|Good morning.\ue001</p><!--\ue002sender_phone\ue003--><p>Call "
    '<a href="tel:\ue000sender_phone|\ue001">\ue000sender_phone|\ue001</a></p><!--\ue004-->'
    '<p>\ue000signature|\ue001</p><a href="\ue000leave_url|\ue001">Leave</a></body></html>'
)
TEXT = (
    "Berths\n\n\ue005\ue006\ue006\ue000greeting|Good morning.\ue001 This week we looked at berths "
    "and at those who wait for them.\ue007\n\n\ue000signature|\ue001 \n\n\nLeave: "
    "\ue000leave_url|\ue001\n"
)


def letter(number: int = 0, **changes: Any) -> Envelope:
    """One copy of a letter for one reader; changes go into its content or the envelope."""
    public_id = new_public_id()
    content = {
        "key": "variant|Liv Haugen|liv@quaytide.example",
        "sender_name": "Liv Haugen",
        "recipient_name": f"Reader {number}",
        "subject": SUBJECT,
        "html": HTML,
        "text": TEXT,
        "values": {
            "first_name": f"Reader{number}",
            "greeting": f"Good morning, Reader {number}.",
            "signature": "Liv\nQuay & Tide",
            "leave_url": f"https://letters.quaytide.example/leave/{public_id}",
        },
        "headers": {
            "Reply-To": "Liv Haugen <liv@quaytide.example>",
            "Message-ID": f"<{public_id}@quaytide.example>",
            "List-Unsubscribe": f"<https://letters.quaytide.example/leave/{public_id}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            "List-Id": "<between-quays.quaytide.example>",
            "Feedback-ID": "issueaaaaa:between-quays:letter:quaytide",
        },
    }
    content |= {name: value for name, value in changes.items() if name in content}
    return Envelope(
        public_id,
        changes.get("sender", "liv@quaytide.example"),
        changes.get("recipient", f"reader{number}@northline.example"),
        b"",
        "ferry-weekly/9",
        Content(**content),
    )


def notice() -> Envelope:
    """Mail among ourselves: a message without parts."""
    public_id = new_public_id()
    message = build_message(
        sender=("Quay & Tide", "desk@quaytide.example"),
        recipient=("Åse Brandt", "ase@quaytide.example"),
        subject="Zwölf Fähren warten: “Between Quays” is due on Thursday, and nobody wrote it yet",
        html="<!DOCTYPE html><html><body><p>Write “it”.</p></body></html>",
        text="Write “it”.\n\nSoon.\n",
        date=NOW,
        message_id=f"<{public_id}@quaytide.example>",
        reply_to=("Åse Brandt-Sørensen", "ase@quaytide.example"),
    )
    return Envelope(public_id, "desk@quaytide.example", "ase@quaytide.example", message)
