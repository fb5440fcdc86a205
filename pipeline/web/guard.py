"""What stands around every page: strict headers, no leak on failure, no stranger's host name."""

from __future__ import annotations

import logging
import re

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.rules.news.address import parse
from pipeline.web.pages import STRANGE_NAME, trouble
from pipeline.web.words import Voice

_LOCAL_NAME = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?", re.IGNORECASE)

log = logging.getLogger("asterism.web")


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, *, logo: str, local_only: bool, voice: Voice) -> None:
        self._app = app
        self._headers = _headers(logo)
        self._local_only = local_only
        self._voice = voice

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = self._refused(scope)
        try:
            await (answer or self._app)(scope, receive, send_guarded)
        except Exception as error:  # its page has been sent
            # only its kind: a message may hold an address, a statement its values
            log.error("a page failed: %s", type(error).__name__)

    def _refused(self, scope: Scope) -> Response | None:
        """What no page is asked about: a second spelling, or a stranger's name for us."""
        request = Request(scope)
        raw: bytes = scope.get("raw_path") or b""
        if b"%2f" in raw.lower():
            return trouble(request, 404, self._voice)
        if self._local_only and not _LOCAL_NAME.fullmatch(request.headers.get("host", "")):
            # another site's name that was made to point here could read what is ours
            return trouble(request, STRANGE_NAME, self._voice)
        return None


def _headers(logo: str) -> dict[str, str]:
    images = "'self'"
    if picture := parse(logo):
        images += f" {picture.scheme}://{picture.authority}"
    policy = (
        f"default-src 'none'; style-src 'self'; img-src {images}; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Robots-Tag": "noindex",
        "Cache-Control": "no-store",
    }
