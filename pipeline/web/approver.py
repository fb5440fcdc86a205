"""The pages behind the links of a review mail: how the issue will look, and how to stop it."""

from __future__ import annotations

import logging

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from pipeline.errors import AsterismError
from pipeline.ports import Ports
from pipeline.stages.compose import preview_page, review, stop_by_link
from pipeline.stages.deliver import call_back
from pipeline.web.pages import page
from pipeline.web.public import Endpoint

log = logging.getLogger("asterism.web")


def routes(ports: Ports) -> list[Route]:
    """May be reached from anywhere: who has a link is let in. Only POST changes anything."""
    return [
        Route("/stop/{token}", _stopping(ports), methods=["GET", "POST"]),
        Route("/preview/{token}", _preview(ports), methods=["GET"]),
    ]


def _stopping(ports: Ports) -> Endpoint:
    """What is posted besides the press is not read: the address says it all.

    A provider is asked to give copies back once the page has been shown.
    """

    async def either(request: Request) -> Response:
        act = stop_by_link if request.method == "POST" else review
        seen = await run_in_threadpool(act, ports, request.path_params["token"])
        shown = page(request, "stop", seen=seen)
        if request.method == "POST" and seen.standing == "recalling":
            shown.background = BackgroundTask(_call_back, ports)
        return shown

    return either


def _call_back(ports: Ports) -> None:
    """What cannot be asked now, the next `deliver` asks."""
    try:
        call_back(ports)
    except AsterismError as error:
        log.warning("copies could not be called back yet: %s", error.message)


def _preview(ports: Ports) -> Endpoint:
    async def show(request: Request) -> Response:
        html = await run_in_threadpool(preview_page, ports, request.path_params["token"])
        return HTMLResponse(html)  # the guard's headers: not indexed, not kept

    return show
