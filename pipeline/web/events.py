"""The door for a provider's events: believed, kept, answered, and only then understood."""

from __future__ import annotations

import asyncio
import logging

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pipeline.errors import AsterismError
from pipeline.ports import Ports
from pipeline.stages import listen
from pipeline.web.bodies import whole
from pipeline.web.public import Endpoint

MAX_BODY_BYTES = 10_000_000
#: So many large bodies are read at once: whose they are shows only when they are whole.
AT_ONCE = 8
#: A body that says it is no larger waits for nobody, or whoever sends slowly would keep the
#: provider waiting.
SMALL_BYTES = 256_000

log = logging.getLogger("asterism.web")


def routes(ports: Ports, *, body_s: float) -> list[Route]:
    """Where a provider posts what became of our copies."""
    return [Route("/events", _take_in(ports, body_s), methods=["POST"])]


def _take_in(ports: Ports, body_s: float) -> Endpoint:
    turns, hands = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(AT_ONCE)

    async def act(request: Request) -> Response:
        if ports.events is None:
            raise HTTPException(404)
        if _is_small(request):
            body = await whole(request, SMALL_BYTES, body_s)
        else:
            async with turns:
                body = await whole(request, MAX_BODY_BYTES, body_s)
        headers = {name.lower(): value for name, value in request.headers.items()}
        async with hands:
            received = await run_in_threadpool(listen.receive, ports, body, headers)
        if received.refused:
            log.warning("a posting of events was refused: %s", received.refused)
            return PlainTextResponse("not believed\n", status_code=401)
        # it is kept: whatever happens from now on, nobody needs to post it again
        then = None
        if received.posting_id is not None:
            then = BackgroundTask(_understand, ports, received.posting_id)
        return Response(status_code=204, background=then)

    return act


def _is_small(request: Request) -> bool:
    declared = request.headers.get("content-length", "")
    return declared.isdecimal() and int(declared) <= SMALL_BYTES


def _understand(ports: Ports, posting_id: int) -> None:
    """In the same worker, after the answer; what fails here, the next `tick` does."""
    try:
        taken = listen.understand(ports, posting_id)
        if taken.lost:
            mails = "1 mail" if taken.lost == 1 else f"{taken.lost} mails"
            log.warning("%s among ourselves did not arrive, as the provider tells", mails)
    except AsterismError as error:
        log.error("a posting of events waits to be understood: %s", type(error).__name__)
