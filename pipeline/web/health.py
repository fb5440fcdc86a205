"""Whether this process answers, and whether it can be relied on; nothing about anybody."""

from __future__ import annotations

from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pipeline.errors import Conflict, Down
from pipeline.ports import Ports
from pipeline.web.public import Endpoint


def nothing_wrong() -> str:
    """There is nothing beside the database that could be in trouble."""
    return ""


def routes(ports: Ports, trouble: Callable[[], str]) -> list[Route]:
    """`/healthz` asks nobody; `/readyz` looks at the database, and asks `trouble`."""
    return [
        Route("/healthz", _alive, methods=["GET"]),
        Route("/readyz", _ready(ports, trouble), methods=["GET"]),
    ]


async def _alive(request: Request) -> Response:
    return PlainTextResponse("ok\n")


def _ready(ports: Ports, trouble: Callable[[], str]) -> Endpoint:
    def ask() -> str:
        try:
            ports.store.check_shape()
        except Down:
            return "the database does not answer"
        except Conflict:
            return "the database has another schema than this program"
        return trouble()

    async def show(request: Request) -> Response:
        why = await run_in_threadpool(ask)
        return PlainTextResponse(f"{why or 'ok'}\n", status_code=503 if why else 200)

    return show
