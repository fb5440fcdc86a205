"""The firm's colour, made readable: darker on paper, lighter on dark paper."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.errors import BadInput

PAPER, DARK_PAPER = "#FAF7F0", "#12171D"
INK, WHITE = "#16202C", "#FFFFFF"
ON_PAPER, ON_DARK_PAPER = 4.5, 7.0  #: contrast asked for
_STEPS = 512

_Rgb = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Palette:
    """What is derived from the one colour that a firm gives."""

    light: str  #: on paper, at least 4.5:1
    dark: str  #: on dark paper, at least 7:1
    on_light: str  #: letters on a field of `light`
    on_dark: str  #: letters on a field of `dark`


def palette(color: str) -> Palette:
    """Derive everything from one colour such as "#0F5C5A"; it stays as it is where it can.

    Raises: BadInput when it is no colour
    Source: WCAG 2.2, relative luminance and contrast ratio
    """
    given = _parse(color)
    light = _moved(given, PAPER, ON_PAPER, _darker)
    dark = _moved(given, DARK_PAPER, ON_DARK_PAPER, _lighter)
    return Palette(light, dark, _better(light, WHITE, INK), _better(dark, WHITE, DARK_PAPER))


def brand_css(color: str) -> str:
    """The stylesheet that gives the public pages the firm's colour (served as brand.css)."""
    ours = palette(color)
    return (
        f":root {{ --brand: {ours.light}; --on-brand: {ours.on_light}; }}\n"
        f"@media (prefers-color-scheme: dark) "
        f"{{ :root {{ --brand: {ours.dark}; --on-brand: {ours.on_dark}; }} }}\n"
    )


def contrast(one: str, other: str) -> float:
    """WCAG contrast ratio of two colours, 1 to 21."""
    low, high = sorted((_luminance(_parse(one)), _luminance(_parse(other))))
    return (high + 0.05) / (low + 0.05)


def _parse(color: str) -> _Rgb:
    digits = re.fullmatch(r"\s*#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})\s*", color)
    if not digits:
        raise BadInput(f"“{color}” is no colour", "Write it as #RRGGBB, for example #0F5C5A.")
    value = digits.group(1)
    pairs = [c * 2 for c in value] if len(value) == 3 else [value[i : i + 2] for i in (0, 2, 4)]
    red, green, blue = (int(pair, 16) / 255 for pair in pairs)
    return red, green, blue


def _luminance(rgb: _Rgb) -> float:
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _moved(rgb: _Rgb, paper: str, wanted: float, move: Callable[[_Rgb, float], _Rgb]) -> str:
    color = _hex(rgb)
    for step in range(1, _STEPS + 1):
        if contrast(color, paper) >= wanted:
            break
        color = _hex(move(rgb, step / _STEPS))
    return color


def _darker(rgb: _Rgb, part: float) -> _Rgb:
    hue, lightness, saturation = colorsys.rgb_to_hls(*rgb)
    return colorsys.hls_to_rgb(hue, lightness * (1 - part), saturation)


def _lighter(rgb: _Rgb, part: float) -> _Rgb:
    """Lighter and paler: a full colour glares on dark paper."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*rgb)
    return colorsys.hls_to_rgb(
        hue, lightness + (1 - lightness) * part, saturation * (1 - 0.9 * part)
    )


def _hex(rgb: _Rgb) -> str:
    return "#" + "".join(f"{round(c * 255):02X}" for c in rgb)


def _better(field: str, one: str, other: str) -> str:
    return one if contrast(one, field) >= contrast(other, field) else other
