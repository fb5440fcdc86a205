"""Pages in the look of the letters; no script, nothing from elsewhere, nothing echoed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response


def page(request: Request, name: str, *, status: int = 200, **values: object) -> Response:
    """One of the pages beside this module.

    Its links are relative, so that it stands under any base address.
    """
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    values["root"] = "../" * (raw.count(b"/") - 1) or "./"
    template = _templates().get_template(f"{name}.html.j2")
    return HTMLResponse(template.render(values), status_code=status)


def trouble(request: Request, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """What a reader sees when there is no page, or none just now."""
    answer = page(request, "trouble", status=status, code=status)
    answer.headers.update(headers or {})
    return answer


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
