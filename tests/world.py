"""A small world to ask: an HTTP server over real sockets that behaves, or misbehaves, on demand."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

LOOPBACK = ("127.0.0.0/8", "::1/128")


@dataclass
class Call:
    """One request as it came over the wire, and the connection to answer it on."""

    world: World
    connection: socket.socket
    path: str
    headers: list[tuple[str, str]]
    at: float = field(default_factory=time.monotonic)
    keep_alive: bool = False
    under_way: bool = True

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(found) <= 1, f"{name} was sent {len(found)} times"
        return found[0] if found else None

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def reply(
        self, body: bytes | str = b"", status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        """A proper answer with its length; the connection stays open."""
        data = body.encode() if isinstance(body, str) else body
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(data)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        self.world.ended(self)  # before the last byte: the asker may come again at once
        self.send(head + (b"" if status == 304 else data))
        self.keep_alive = True

    def linger(self, seconds: float) -> None:
        """Do nothing for a while, or until the world ends."""
        self.world.ending.wait(seconds)


Route = Callable[[Call], None]


class World:
    """Routes by path; what is not routed is 404. Remembers who asked, and how many at once."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        self.routes: dict[str, Route] = {}
        self.calls: list[Call] = []
        self.connections = 0
        self.peak = 0
        self.peak_by_host: Counter[str] = Counter()
        self.ending = threading.Event()
        self._now: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=256)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> World:
        self._accepting = self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(10)  # from here on nobody else comes in
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(10)

    def url(self, path: str = "/", host: str = "") -> str:
        return f"http://{host or self.host}:{self.port}{path}"

    def says(self, path: str, body: bytes | str = b"", **headers: str) -> str:
        """Route a path to a plain 200; header names with underscores. Returns its address."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.routes[path] = lambda call: call.reply(body, headers=named)
        return self.url(path)

    def sends(self, path: str, to: str, status: int = 302) -> str:
        """Route a path to a redirect."""
        self.routes[path] = lambda call: call.reply(b"", status, {"Location": to})
        return self.url(path)

    def paths(self) -> list[str]:
        return [call.path for call in self.calls]

    def _start(self, target: Callable[..., None], *args: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self.threads.append(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open.add(connection)
            self._start(self._talk, connection)

    def _forget(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)

    def _talk(self, connection: socket.socket) -> None:
        with connection, ExitStack() as last, suppress(OSError):
            last.callback(self._forget, connection)
            while not self.ending.is_set():
                call = self._listen(connection)
                if call is None:
                    return
                self._answer(call)
                if not call.keep_alive:
                    return

    def _listen(self, connection: socket.socket) -> Call | None:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(65_536)
            if not piece:
                return None
            head += piece
        first, *rest = head.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        headers = [(name, value.strip()) for name, _, value in (r.partition(":") for r in rest)]
        return Call(self, connection, first.split(" ")[1], headers)

    def _answer(self, call: Call) -> None:
        host = call.header("Host") or ""
        with self._lock:
            self.calls.append(call)
            self._now[host] += 1
            self.peak = max(self.peak, self._now.total())
            self.peak_by_host[host] = max(self.peak_by_host[host], self._now[host])
        try:
            path = call.path.split("?")[0]
            self.routes.get(path, lambda c: c.reply(b"nothing here", 404))(call)
        finally:
            self.ended(call)

    def ended(self, call: Call) -> None:
        """This request is no longer one of those under way."""
        with self._lock:
            if call.under_way:
                call.under_way = False
                self._now[call.header("Host") or ""] -= 1


class Canary:
    """Listens on one address, or on every local one, and counts who comes; nobody should."""

    def __init__(self, host: str = "", port: int = 0) -> None:
        self._listener = (
            socket.create_server((host, port))
            if host
            else socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        )
        self.port: int = self._listener.getsockname()[1]
        self.visits = 0
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Canary:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _watch(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.visits += 1
            connection.close()


def names(**hosts: str | list[str]) -> Callable[[str, int], list[str]]:
    """A resolver that knows these names; underscores in them stand for dots."""
    known = {name.replace("_", "."): at for name, at in hosts.items()}

    def resolve(host: str, port: int) -> list[str]:
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        at = known[host]
        return [at] if isinstance(at, str) else at

    return resolve
