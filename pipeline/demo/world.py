"""A small outside world over real sockets: one server per publisher, two rounds of news."""

from __future__ import annotations

import hashlib
import threading
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

OUTSIDE = Path(__file__).parent / "outside"


@dataclass(frozen=True, slots=True)
class Publisher:
    """What one publisher serves, round by round; an empty body means that it is dead."""

    address: str  #: where it is said to be: what its address in feeds.yaml begins with
    content_type: str
    rounds: tuple[bytes, ...]

    def body(self, number: int) -> bytes:
        """Of round 1, 2, …; after the last round nothing new comes."""
        return self.rounds[min(number, len(self.rounds)) - 1] if self.rounds else b""


class QuietServer(ThreadingHTTPServer):
    """Says nothing when a client hangs up: the terminal belongs to the demo."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        return


@dataclass(slots=True)
class World:
    """The publishers, and which round it is."""

    publishers: tuple[Publisher, ...]
    round: int = 1
    #: where a publisher is said to be → where it is: http://127.0.0.1:PORT
    addresses: Mapping[str, str] = field(default_factory=dict)

    @property
    def ports(self) -> tuple[int, ...]:
        return tuple(int(address.rsplit(":", 1)[1]) for address in self.addresses.values())

    def moved_in(self, text: str) -> str:
        """A feeds.yaml with the publishers' addresses on this machine."""
        for said, here in self.addresses.items():
            text = text.replace(said, here)
        return text

    @contextmanager
    def open(self) -> Iterator[World]:
        """Serve on loopback until the block ends."""
        with ExitStack() as stack:
            addresses = {}
            for publisher in self.publishers:
                server = QuietServer(("127.0.0.1", 0), _answers(self, publisher))
                thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
                thread.start()
                stack.callback(thread.join)
                stack.callback(server.server_close)
                stack.callback(server.shutdown)
                addresses[publisher.address] = f"http://127.0.0.1:{server.server_port}"
            self.addresses = addresses
            yield self


def read_world() -> World:
    """The publishers that outside/world.toml lists."""
    listed = tomllib.loads((OUTSIDE / "world.toml").read_text(encoding="utf-8"))
    return World(
        tuple(
            Publisher(
                one["address"],
                one["type"],
                tuple((OUTSIDE / name).read_bytes() for name in one["rounds"]),
            )
            for one in listed.values()
        )
    )


def _answers(world: World, publisher: Publisher) -> type[BaseHTTPRequestHandler]:
    class Answers(BaseHTTPRequestHandler):
        """One publisher's answers: 200 with a validator, 304, or 503 from a dead one."""

        server_version = "World"
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_GET(self) -> None:
            body = publisher.body(world.round)
            if not body:
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, b"closed for good\n", "text/plain")
                return
            etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            if self.headers.get("If-None-Match") == etag:
                self._answer(HTTPStatus.NOT_MODIFIED, b"", publisher.content_type, etag)
            else:
                self._answer(HTTPStatus.OK, body, publisher.content_type, etag)

        def _answer(
            self, status: HTTPStatus, body: bytes, content_type: str, etag: str = ""
        ) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            if etag:
                self.send_header("ETag", etag)
            if status is not HTTPStatus.NOT_MODIFIED:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - not ours
            """Say nothing: the terminal belongs to the demo."""

    return Answers
