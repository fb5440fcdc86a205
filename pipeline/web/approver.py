"""The pages behind the links of a review mail: how the issue will look, and how to stop it."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from pipeline.ports import Ports
from pipeline.stages.compose import preview_page, review, stop_by_link
from pipeline.web.pages import page
from pipeline.web.public import Endpoint


def routes(ports: Ports) -> list[Route]:
    """May be reached from anywhere: who has a link is let in. Only POST changes anything."""
    return [
        Route("/stop/{token}", _stopping(ports), methods=["GET", "POST"]),
        Route("/preview/{token}", _preview(ports), methods=["GET"]),
    ]


def _stopping(ports: Ports) -> Endpoint:
    """What is posted besides the press is not read: the address says it all."""

    async def either(request: Request) -> Response:
        act = stop_by_link if request.method == "POST" else review
        seen = await run_in_threadpool(act, ports, request.path_params["token"])
        return page(request, "stop", seen=seen)

    return either


def _preview(ports: Ports) -> Endpoint:
    async def show(request: Request) -> Response:
        html = await run_in_threadpool(preview_page, ports, request.path_params["token"])
        return HTMLResponse(html)  # the guard's headers: not indexed, not kept

    return show
