"""The pages over a real socket, asked as strangers ask."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import uvicorn
from starlette.types import ASGIApp

from pipeline.ports import Ports
from pipeline.web.app import PATIENCE, make_app
from pipeline.web.patience import Patience, config_of
from tests.builders import StandingClock
from tests.ledger_scene import TOKENS, Scene
from tests.people_scene import ports_of


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True)
class Site:
    """One running server."""

    port: int
    clock: StandingClock

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request line exactly as it is written here."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            data = body.encode() if isinstance(body, str) else body
            if data is not None:
                connection.putheader("Content-Length", str(len(data)))
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            connection.endheaders(data)
            answer = connection.getresponse()
            text = answer.read().decode()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, text)
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def post(self, path: str, **fields: str) -> Answer:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.ask("POST", path, urlencode(fields), kind)


def ports(scene: Scene, clock: StandingClock) -> Ports:
    return replace(ports_of(scene.store, clock=clock), tokens=TOKENS)


@contextmanager
def serving(
    its_ports: Ports,
    clock: StandingClock,
    *,
    public_only: bool = True,
    patience: Patience = PATIENCE,
    app: ASGIApp | None = None,
) -> Iterator[Site]:
    app = app or make_app(its_ports, public_only=public_only, patience=patience)
    listening = socket.create_server(("127.0.0.1", 0))
    config = config_of(app, patience)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server ended before it had begun"
            time.sleep(0.005)
        yield Site(listening.getsockname()[1], clock)
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
