"""The pages that readers reach: an issue in the browser, leaving, and staying after all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import Message

from pipeline.ports import Ports
from pipeline.rules.letters.brand import brand_css
from pipeline.stages import listen
from pipeline.web.bodies import whole
from pipeline.web.pages import page
from pipeline.web.words import Voice

Endpoint = Callable[[Request], Awaitable[Response]]

STATIC = Path(__file__).parent / "static"
KINDS = {"public.css": "text/css", "mark.svg": "image/svg+xml"}

MAX_BODY_BYTES = 16_384
MAX_FIELDS = 20

#: The body of a mail program's one-click, as RFC 8058 §3.2 wants it.
ONE_CLICK = ("List-Unsubscribe", "One-Click")


def routes(ports: Ports, voice: Voice, *, body_s: float) -> list[Route]:
    """Everything that may be reached from anywhere. Only POST changes anything."""
    return [
        Route("/issues/{public_id}", _issue(ports), methods=["GET"]),
        Route("/leave/{token}", _leaving(ports, voice, body_s), methods=["GET", "POST"]),
        *_static(ports),
    ]


def home(ports: Ports) -> Endpoint:
    """The list of issues, for this machine only."""

    async def show(request: Request) -> Response:
        issues = await run_in_threadpool(listen.recent_issues, ports)
        firm = ports.catalog.firm
        return page(request, "home", issues=issues, firm_name=firm.name)

    return show


def _issue(ports: Ports) -> Endpoint:
    async def show(request: Request) -> Response:
        public_id = request.path_params["public_id"]
        found = await run_in_threadpool(listen.public_issue, ports, public_id)
        return HTMLResponse(found.html, headers={"Cache-Control": "public, max-age=300"})

    return show


def _leaving(ports: Ports, voice: Voice, body_s: float) -> Endpoint:
    """One route, so that whoever asks with another method is told of both."""
    look, leave = _look(ports, voice), _leave(ports, voice, body_s)

    async def either(request: Request) -> Response:
        return await (leave if request.method == "POST" else look)(request)

    return either


def _look(ports: Ports, voice: Voice) -> Endpoint:
    async def show(request: Request) -> Response:
        language = voice.language(request)
        return page(request, "leave", language, look=listen.look(ports, language))

    return show


def _leave(ports: Ports, voice: Voice, body_s: float) -> Endpoint:
    async def act(request: Request) -> Response:
        token = request.path_params["token"]
        fields = await _fields(request, body_s)
        one_click = fields.get(ONE_CLICK[0]) == ONE_CLICK[1]
        scope = fields.get("scope")
        language = voice.language(request)
        look = listen.look(ports, language)
        if scope == "keep":
            await run_in_threadpool(listen.keep_after_all, ports, token)
            return page(request, "kept", language, look=look)
        if not one_click and scope not in ("this", "all"):
            return page(request, "leave", language, look=look)
        wanted: listen.Scope = "all" if scope == "all" and not one_click else "this"
        left = await run_in_threadpool(
            listen.leave, ports, token, wanted, one_click=one_click, again="again" in fields
        )
        name = "again" if left.ask_again else "left"
        return page(request, name, language, look=look, scope=wanted)

    return act


def _static(ports: Ports) -> list[Route]:
    """The few files that the pages name; nothing else of the folder can be asked for."""
    files = {name: ((STATIC / name).read_bytes(), kind) for name, kind in KINDS.items()}
    files["brand.css"] = (brand_css(ports.catalog.firm.brand.color).encode(), "text/css")

    def of(name: str) -> Endpoint:
        content, kind = files[name]

        async def show(request: Request) -> Response:
            headers = {"Cache-Control": "public, max-age=3600"}
            return Response(content, media_type=kind, headers=headers)

        return show

    return [Route(f"/static/{name}", of(name), methods=["GET"]) for name in files]


# ── what was sent ────────────────────────────────────────────────────────────────────────


async def _fields(request: Request, body_s: float) -> Mapping[str, str]:
    """A small form's fields, from either encoding; what is no form has none.

    Raises: HTTPException for a body that is too large or too slow
    """
    body = await whole(request, MAX_BODY_BYTES, body_s)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _multipart(request, body)
    try:
        # whatever it calls itself: some mail programs name no type at all
        return dict(parse_qsl(body.decode(), max_num_fields=MAX_FIELDS))
    except ValueError:
        return {}


async def _multipart(request: Request, body: bytes) -> Mapping[str, str]:
    async def once() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    again = Request(request.scope, once)
    try:
        form = await again.form(max_files=0, max_fields=MAX_FIELDS, max_part_size=MAX_BODY_BYTES)
    except HTTPException:
        return {}
    return {name: value for name, value in form.items() if not isinstance(value, UploadFile)}
