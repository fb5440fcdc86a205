"""Pages in the look of the letters; no script, nothing from elsewhere, nothing echoed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from pipeline.web.words import PAGES, Voice

#: A path of more parts is none of ours; what it is answered need not find its styles.
MAX_DEPTH = 8
#: The request was for another host; that host learns nothing of us.
STRANGE_NAME = 421


def page(
    request: Request, name: str, language: str = "en", *, status: int = 200, **values: object
) -> Response:
    """One of the pages beside this module, in one of our languages.

    Its links are relative, so that it stands under any base address.
    """
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    values["root"] = "../" * min(raw.count(b"/") - 1, MAX_DEPTH) or "./"
    template = _templates().get_template(f"{name}.html.j2")
    text = template.render(values, lang=language, say=PAGES[language])
    return HTMLResponse(text, status_code=status)


def trouble(
    request: Request, status: int, voice: Voice, headers: Mapping[str, str] | None = None
) -> Response:
    """What a reader sees when there is no page, or none just now."""
    language = voice.language(request)
    firm_name = "" if status == STRANGE_NAME else voice.firm_name
    answer = page(request, "trouble", language, status=status, code=status, firm_name=firm_name)
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
