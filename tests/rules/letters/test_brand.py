"""The firm's colour stays readable, whatever it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import BadInput
from pipeline.rules.letters.brand import DARK_PAPER, PAPER, brand_css, contrast, palette


@given(st.integers(0, 0xFFFFFF))
def test_every_colour_becomes_readable(value: int) -> None:
    ours = palette(f"#{value:06X}")
    assert contrast(ours.light, PAPER) >= 4.5
    assert contrast(ours.dark, DARK_PAPER) >= 7
    assert contrast(ours.on_light, ours.light) >= 4.5
    assert contrast(ours.on_dark, ours.dark) >= 4.5


@pytest.mark.parametrize("color", ["#0F5C5A", "#123", " #0f5c5a "])
def test_what_is_readable_stays_as_it_is(color: str) -> None:
    digits = color.strip().lstrip("#").upper()
    whole = digits if len(digits) == 6 else "".join(d * 2 for d in digits)
    assert palette(color).light == f"#{whole}"


def test_a_pale_colour_stays_itself_on_dark_paper() -> None:
    assert palette("#7FC7C0").dark == "#7FC7C0"
    assert palette("#7FC7C0").light != "#7FC7C0"


@pytest.mark.parametrize(
    "color", ["", "teal", "#12", "#12345", "0F5C5A", "#0F5C5A;} body{", "#GGG"]
)
def test_what_is_no_colour_is_told(color: str) -> None:
    with pytest.raises(BadInput, match="is no colour"):
        palette(color)


def test_contrast_is_the_standards() -> None:
    assert contrast("#000", "#fff") == pytest.approx(21)
    assert contrast("#fff", "#fff") == pytest.approx(1)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.01)


def test_the_pages_get_both() -> None:
    css = brand_css("#A2441F")
    assert "--brand: #A2441F; --on-brand: #FFFFFF;" in css
    assert f"--brand: {palette('#A2441F').dark};" in css
    assert css.count("{") == css.count("}")
