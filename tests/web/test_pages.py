"""The pages themselves: names of any script in a sentence of ours."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.requests import Request

from pipeline.rules.letters.brand import contrast
from pipeline.stages.compose.reviewing import Review
from pipeline.web.pages import page
from pipeline.web.public import STATIC

RIGHT_TO_LEFT = "שבוע על המזח 7"


def body(name: str, **values: object) -> str:
    scope = {"type": "http", "method": "GET", "path": "/stop/x", "headers": [], "query_string": b""}
    return bytes(page(Request(scope), name, **values).body).decode()


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        ("going", "Stop {}?"),
        ("leaving", "Stop {}?"),
        ("stopped", "{} is stopped"),
        ("recalling", "{} is stopped"),
        ("rest", "{} is stopped half-way"),
        ("unknown", "{} may be out"),
        ("out", "{} is out"),
        ("over", "{} does not go out"),
    ],
)
def test_an_issues_name_stands_apart_in_the_heading_and_runs_its_own_way(standing, said):
    seen = Review("Quay & Tide", RIGHT_TO_LEFT, standing, "on Tuesday", 38, "")
    html = body("stop", seen=seen)
    assert f"<title>{said.format(RIGHT_TO_LEFT)}</title>" in html
    named = f'<cite dir="auto">{RIGHT_TO_LEFT}</cite>'
    assert f'<h1 class="title">{said.format(named)}</h1>' in html


def test_without_a_foot_the_stars_are_the_last_thing_on_the_page():
    """The style keeps them off the page's edge there."""
    html = body("trouble", code=404, firm_name="Quay & Tide")
    footer = re.search(r"<footer>\s*(.*?)\s*</footer>", html, re.DOTALL)
    assert footer
    assert re.fullmatch(r'<p class="mark" aria-hidden="true">.*?</p>', footer[1])


@pytest.mark.parametrize("place", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ink", ["ink", "ink-2", "ink-3", "star", "warn"])
@pytest.mark.parametrize("ground", ["paper", "card"])
def test_every_ink_of_the_pages_can_be_read(place, ink, ground):
    """WCAG 2.2 AA; the star's colour is that of small numbers, too."""
    tokens = re.findall(r":root \{(.*?)\}", (STATIC / "public.css").read_text("utf-8"), re.DOTALL)
    colors = dict(re.findall(r"--([a-z0-9-]+): (#[0-9A-F]{6});", tokens[place]))
    assert contrast(colors[ink], colors[ground]) >= 4.5


def test_a_letters_star_is_that_of_the_pages():
    style = (Path(__file__).parents[2] / "templates" / "style.html.j2").read_text("utf-8")
    css = (STATIC / "public.css").read_text("utf-8")
    stars = re.findall(r"--star: (#\w{6});", css)[:2]
    assert re.findall(r"\.mark, \.star, \.num \{ color: (#\w{6})", style) == stars
