"""Writes the demo's index page: what happened as sums, and where to look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Said:
    """One command of the demo, and what it said."""

    title: str
    command: str
    output: str


def write_page(folder: Path, said: Sequence[Said], facts: Mapping[str, Any]) -> Path:
    """Write index.html and account.html into the demo's folder; the index's path.

    Shape:  facts holds what `asterism … --json` said, by the name that the page gives it
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    pages = Environment(
        loader=FileSystemLoader(HERE / "pages"), autoescape=True, undefined=StrictUndefined
    )
    pages.filters["words"] = lambda status: str(status).replace("_", " ")
    for name in ("account.html", "index.html"):
        html = pages.get_template(f"{name}.j2").render(said=said, **facts)
        (folder / name).write_text(html, encoding="utf-8")
    return folder / "index.html"
