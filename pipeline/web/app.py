"""The web application: which pages there are, and how they are served."""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.errors import AsterismError, BadInput, Down
from pipeline.ports import Ports
from pipeline.web import approver, events, health, public
from pipeline.web.guard import Guard
from pipeline.web.pages import trouble
from pipeline.web.patience import Patience, config_of
from pipeline.web.words import Voice, voice_of

log = logging.getLogger("asterism.web")

PATIENCE = Patience()
MAX_PORT = 65_535


def make_app(
    ports: Ports,
    *,
    public_only: bool,
    patience: Patience = PATIENCE,
    trouble: Callable[[], str] = health.nothing_wrong,
) -> ASGIApp:
    """The pages that readers reach; without `public_only` also those for this machine alone.

    Everything else is 404. Whoever serves it without `public_only` must not be reachable
    from elsewhere: there is no sign-in.

    Shape:  trouble says why nobody should rely on this process just now; empty: all is well
    """
    voice = voice_of(ports.catalog)
    routes = public.routes(ports, voice, body_s=patience.body_s)
    routes += approver.routes(ports)
    routes += events.routes(ports, body_s=patience.body_s)
    routes += health.routes(ports, trouble)
    if not public_only:
        routes.append(Route("/", public.home(ports), methods=["GET"]))
    app = Starlette(routes=routes, exception_handlers=_troubles(voice))
    app.router.redirect_slashes = False  # one page, one address
    logo = ports.catalog.firm.brand.logo
    return Guard(app, logo=logo, local_only=not public_only, voice=voice)


class Live:
    """The pages of the ports that are in force; made anew when other files come into force."""

    def __init__(self, live: Callable[[], Ports], make: Callable[[Ports], ASGIApp]) -> None:
        self._live, self._make = live, make
        self._ports = live()
        self._app = make(self._ports)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ports = self._live()
        if ports is not self._ports:
            self._app, self._ports = self._make(ports), ports
        await self._app(scope, receive, send)


def serve(
    ports: Ports,
    host: str,
    port: int,
    *,
    public_only: bool = False,
    ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve until interrupted; `ready` is told the address once it is bound.

    Raises: as serve_live()
    """

    @contextmanager
    def told(address: str) -> Iterator[None]:
        ready(address)
        yield

    serve_live(lambda: ports, host, port, beside=told, public_only=public_only)


def serve_live(
    live: Callable[[], Ports],
    host: str,
    port: int,
    *,
    beside: Callable[[str], AbstractContextManager[None]],
    public_only: bool = False,
    trouble: Callable[[], str] = health.nothing_wrong,
    stopping: Callable[[], bool] | None = None,
) -> None:
    """Serve the ports in force, inside what goes on `beside` it once the address is bound.

    Shape:  stopping says when to end, and signals are the caller's; None: until interrupted
    Raises: BadInput (an address that others could reach, without public_only), Down (the
            port is taken)
    """
    if not public_only and not _is_loopback(host):
        raise BadInput(
            f"{host or 'an empty host'} can be reached from elsewhere, and there is no sign-in.",
            "Serve on 127.0.0.1, or add --public-only: then nothing but the pages that readers "
            "reach is shown.",
        )
    listening = _listen(host, port)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    app = Live(live, lambda ports: make_app(ports, public_only=public_only, trouble=trouble))
    config = config_of(app, PATIENCE)
    server = uvicorn.Server(config) if stopping is None else _Asked(config, stopping)
    name = f"[{host}]" if ":" in host else host
    try:
        with beside(f"http://{name}:{listening.getsockname()[1]}/"):
            server.run(sockets=[listening])
    except KeyboardInterrupt:
        pass
    finally:
        listening.close()


class _Asked(uvicorn.Server):
    """A server that ends when it is asked to, and leaves the signals to whoever asks."""

    def __init__(self, config: uvicorn.Config, stopping: Callable[[], bool]) -> None:
        super().__init__(config)
        self._stopping = stopping

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self._stopping()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= MAX_PORT:
        raise BadInput(f"There is no port {port}.", f"A port is a number from 0 to {MAX_PORT}.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise Down(
            f"Nothing can be served on {host}:{port}: {error.strerror or error}.",
            "Another program may hold the port; choose one with --port.",
        ) from error


def _troubles(voice: Voice) -> Mapping[Any, Callable[[Request, Exception], Response]]:
    def plain(request: Request, error: Exception) -> Response:
        """An address or a method that is none of ours."""
        assert isinstance(error, HTTPException)  # noqa: S101  what Starlette was told to give us
        return trouble(request, error.status_code, voice, error.headers)

    def ours(request: Request, error: Exception) -> Response:
        """What a stage could not do; its message is for those who run this, not for readers."""
        assert isinstance(error, AsterismError)  # noqa: S101
        if error.http_status >= 500:
            log.error("a page could not be shown: %s", type(error).__name__)
        return trouble(request, error.http_status, voice)

    def broken(request: Request, error: Exception) -> Response:
        return trouble(request, 500, voice)

    return {HTTPException: plain, AsterismError: ours, Exception: broken}
