"""Merge fields: a closed grammar for writers, marks in what was rendered once, values in a copy.

People write `{{first_name}}` or `{{first_name|there}}`. Rendering leaves a mark in its place,
U+E000 name | default U+E001, so that a copy is the frozen variant with its marks filled. Two
more marks exist only in templates: a region that shows when a field has a value (U+E002 name
U+E003 … U+E004; in HTML both ends stand in comments), and in text a paragraph that is wrapped
once its values are known (U+E005 first indent U+E006 other indents U+E006 words U+E007).
Private-use characters are taken out of everything that comes in, so no value can forge a mark.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from html import escape, unescape
from typing import Literal
from urllib.parse import quote

#: Every field there is, and what it stands for.
MERGE_FIELDS: Mapping[str, str] = {
    "first_name": "the reader's first name; may be empty, so give a default",
    "greeting": "“Good morning, Ingrid.”, or without a name “Good morning.”",
    "sender_name": "who the letter is from",
    "sender_first_name": "the sender's first name",
    "sender_address": "the sender's e-mail address",
    "sender_phone": "the sender's telephone; may be empty",
    "signature": "how the sender closes a letter; may be empty",
    "basis": "why the reader gets this letter: “because you asked for it at …”",
    "leave_url": "where the reader leaves this letter",
    "web_url": "where the issue stands on the web",
}
#: Fields that a copy may have no value for; without a default they leave a hole.
MAY_BE_EMPTY = frozenset({"first_name", "sender_phone", "signature", "web_url"})

FIELD_OPEN, FIELD_CLOSE = "\ue000", "\ue001"
GIVEN_OPEN, GIVEN_NAMED, GIVEN_CLOSE = "\ue002", "\ue003", "\ue004"
FLOW_OPEN, FLOW_NEXT, FLOW_CLOSE = "\ue005", "\ue006", "\ue007"
WIDTH = 70  #: columns of the text part

Context = Literal["text", "attribute", "url", "mailto", "tel", "query"]

_WRITTEN = re.compile(r"\{\{([^{}]*)\}\}")
_FIELD = re.compile(r"\s*([a-z_]+)\s*(?:\|\s*([^{}|\r\n\ue000-\uf8ff]*?)\s*)?", re.ASCII)
_LOOKS_LIKE_A_FIELD = re.compile(
    r"\{\{[^{}]*\}\}|\{%.*?%\}|\{#.*?#\}|\{\{|\}\}|\{%|%\}|\{#|#\}|\{\s*\w+\s*\}", re.DOTALL
)
_PIECE = re.compile(
    r"\ue000(?P<field>[a-z_]+)\|(?P<default>[^\ue000\ue001]*)\ue001"
    r"|(?:<!--)?\ue002(?P<given>[a-z_]+)\ue003(?:-->)?(?P<shown>.*?)(?:<!--)?\ue004(?:-->)?"
    r"|\ue005(?P<first>[^\ue006]*)\ue006(?P<rest>[^\ue006]*)\ue006(?P<flow>[^\ue007]*)\ue007",
    re.DOTALL,
)
_TAG = re.compile(r"<[A-Za-z/](?:[^<>\"']|\"[^\"]*\"|'[^']*')*>")
_VOID = frozenset({"area", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"})
_HREF = re.compile(r"\b(?:href|src)\s*=\s*(?:\"([^\"]*)|'([^']*))$", re.IGNORECASE)
_PRIVATE = re.compile("[\ue000-\uf8ff]")
# C0 and C1 controls but for the newline; bidirectional overrides and isolates
_UNWANTED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ue000-\uf8ff]")
_WEB = re.compile(r"(?:https?://|mailto:)[^\s<>\"'\\]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Problem:
    """What stands in braces and is no field of ours, and where."""

    line: int  #: 1-based
    column: int  #: 1-based
    what: str


@dataclass(frozen=True, slots=True)
class Field:
    """A place that a recipient's value fills."""

    name: str
    default: str = ""  #: as plain text
    context: Context = "text"


@dataclass(frozen=True, slots=True)
class Given:
    """A region that shows only where the named field has a value."""

    name: str
    parts: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Flow:
    """A paragraph of the text part, wrapped when its values are known."""

    first: str
    rest: str
    parts: tuple[Piece, ...]


Piece = str | Field | Given | Flow
Write = Callable[[str, Context], str]


# ── what people write ────────────────────────────────────────────────────────────────────


def problems(text: str) -> tuple[Problem, ...]:
    """Everything in braces that is not `{{field}}` or `{{field|default}}` of a known field."""
    found = []
    for hit in _LOOKS_LIKE_A_FIELD.finditer(text):
        what = _problem(hit.group())
        if what:
            before = text[: hit.start()]
            line = before.count("\n") + 1
            found.append(Problem(line, hit.start() - (before.rfind("\n") + 1) + 1, what))
    return tuple(found)


def _problem(written: str) -> str:
    whole = _WRITTEN.fullmatch(written)
    understood = whole and _FIELD.fullmatch(whole.group(1))
    if not understood:
        return f"“{_short(written)}” is no merge field; write {{{{first_name|there}}}}"
    name = understood.group(1)
    if name in MERGE_FIELDS:
        return ""
    near = get_close_matches(name, MERGE_FIELDS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(MERGE_FIELDS)}"
    return f"there is no merge field “{name}”; {hint}"


def _short(written: str) -> str:
    return written if len(written) <= 40 else f"{written[:39]}…"


def fields_in(text: str) -> tuple[Field, ...]:
    """The known fields that a text uses, in their order."""
    return tuple(
        Field(match.group(1), match.group(2) or "")
        for hit in _WRITTEN.finditer(text)
        if (match := _FIELD.fullmatch(hit.group(1))) and match.group(1) in MERGE_FIELDS
    )


def split(text: str) -> tuple[str | Field, ...]:
    """A written text cut at its fields; what is no field stays as it was written."""
    pieces: list[str | Field] = []
    at = 0
    for hit in _WRITTEN.finditer(text):
        match = _FIELD.fullmatch(hit.group(1))
        if match and match.group(1) in MERGE_FIELDS:
            pieces += [text[at : hit.start()], Field(match.group(1), match.group(2) or "")]
            at = hit.end()
    return (*pieces, text[at:])


# ── marks ────────────────────────────────────────────────────────────────────────────────


def without_marks(text: str) -> str:
    """Take out private-use characters: a stranger's text can hold no mark."""
    return _PRIVATE.sub("", text)


def mark(name: str, default: str = "") -> str:
    """The mark of one field; in HTML the default must be escaped already."""
    return f"{FIELD_OPEN}{name}|{default}{FIELD_CLOSE}"


def flow(text: str, first: str = "", rest: str = "") -> str:
    """A paragraph of the text part that is wrapped once its fields have their values."""
    return f"{FLOW_OPEN}{first}{FLOW_NEXT}{rest}{FLOW_NEXT}{text}{FLOW_CLOSE}"


def has_marks(text: str) -> bool:
    return FIELD_OPEN in text or GIVEN_OPEN in text


def marked(text: str) -> str:
    """A plain text (a subject, a preheader) with marks in place of its fields."""
    return "".join(
        piece if isinstance(piece, str) else mark(piece.name, piece.default)
        for piece in split(without_marks(text))
    )


@lru_cache(maxsize=64)
def segments(html: str) -> tuple[Piece, ...]:
    """A rendered HTML cut into what is the same for everybody and what is not.

    Each field knows the context it stands in, so that its value is escaped for it.
    """
    tags = [(tag.start(), tag.end()) for tag in _TAG.finditer(html)]
    return tuple(_html_pieces(html, 0, len(html), tags))


def torn_regions(html: str) -> tuple[str, ...]:
    """Regions that open an element and leave it open, or close one that is not theirs."""
    return tuple(
        hit["given"] for hit in _PIECE.finditer(html) if hit["given"] and _torn(hit["shown"])
    )


def _torn(html: str) -> bool:
    open_: list[str] = []
    for tag in _TAG.finditer(html):
        name = re.sub(r"[^a-z0-9]", " ", tag.group().lower()).split()[0]
        if tag.group().startswith("</"):
            if not open_ or open_.pop() != name:
                return True
        elif name not in _VOID and not tag.group().endswith("/>"):
            open_.append(name)
    return bool(open_)


def _html_pieces(html: str, start: int, end: int, tags: list[tuple[int, int]]) -> Iterator[Piece]:
    at = start
    for hit in _PIECE.finditer(html, start, end):
        if hit.start() > at:
            yield html[at : hit.start()]
        if hit["field"]:
            context = _context(html, hit.start(), tags)
            yield Field(hit["field"], unescape(hit["default"]), context)
        elif hit["given"]:
            yield Given(hit["given"], tuple(_html_pieces(html, *hit.span("shown"), tags)))
        at = hit.end()
    if end > at:
        yield html[at:end]


def _context(html: str, at: int, tags: list[tuple[int, int]]) -> Context:
    tag = next((start for start, end in tags if start < at < end), None)
    if tag is None:
        return "text"
    hit = _HREF.search(html, tag, at)
    if hit is None:
        return "attribute"
    before = (hit.group(1) or hit.group(2) or "").lower()
    known: Mapping[str, Context] = {"": "url", "mailto:": "mailto", "tel:": "tel"}
    return known.get(before, "query")


@lru_cache(maxsize=64)
def text_segments(text: str) -> tuple[Piece, ...]:
    """The same for the text part or a subject; flowing paragraphs stay whole."""
    return tuple(_text_pieces(text))


def _text_pieces(text: str) -> Iterator[Piece]:
    at = 0
    for hit in _PIECE.finditer(text):
        if hit.start() > at:
            yield text[at : hit.start()]
        if hit["field"]:
            yield Field(hit["field"], hit["default"])
        elif hit["given"]:
            yield Given(hit["given"], tuple(_text_pieces(hit["shown"])))
        else:
            yield Flow(hit["first"], hit["rest"], tuple(_text_pieces(hit["flow"])))
        at = hit.end()
    if len(text) > at:
        yield text[at:]


# ── values ───────────────────────────────────────────────────────────────────────────────


def clean_value(value: str) -> str:
    """A value as it may stand in a letter: no controls, overrides or marks; newlines kept."""
    value = _UNWANTED.sub("", value.replace("\r\n", "\n").replace("\r", "\n"))
    return re.sub(r"\s*\n\s*", "\n", value).strip()


def fill_html(html: str, values: Mapping[str, str]) -> str:
    """A copy's HTML: every value escaped for the place it stands in."""
    return filled(segments(html), cleaned(values), for_html)


def fill_text(text: str, values: Mapping[str, str]) -> str:
    """A copy's text part (or subject): values as they are, paragraphs wrapped to 70 columns."""
    return tidy(filled(text_segments(text), cleaned(values), for_text))


def cleaned(values: Mapping[str, str]) -> dict[str, str]:
    """All values of a copy made clean; only a signature has lines."""
    return {
        name: clean_value(value).replace("\n", "\n" if name == "signature" else " ")
        for name, value in values.items()
    }


def filled(pieces: tuple[Piece, ...], values: Mapping[str, str], write: Write) -> str:
    """Pieces with their values (made clean before), each written for its context."""
    out = []
    for piece in pieces:
        if isinstance(piece, str):
            out.append(piece)
        elif isinstance(piece, Field):
            out.append(write(values.get(piece.name) or piece.default, piece.context))
        elif isinstance(piece, Given):
            if values.get(piece.name):
                out.append(filled(piece.parts, values, write))
        else:
            out.append(wrap(filled(piece.parts, values, write), piece.first, piece.rest))
    return "".join(out)


def for_text(value: str, context: Context = "text") -> str:
    """A value in the text part."""
    return value


def for_html(value: str, context: Context = "text") -> str:
    """A value escaped for its context; an address that is none of ours to follow is dropped."""
    match context:
        case "text":
            return escape(value, quote=False).replace("\u00a0", "&nbsp;").replace("\n", "<br>")
        case "url":
            return escape(value) if _WEB.fullmatch(value) else ""
        case "mailto":
            return quote(value, safe="@")
        case "tel":
            return re.sub(r"[^0-9+]", "", value)
        case "query":
            return quote(value, safe="")
        case _:
            return escape(value.replace("\n", " "))


def tidy(text: str) -> str:
    """No spaces at the ends of lines, never more than two blank lines: regions may be hidden."""
    if " \n" in text or text.endswith(" "):
        text = re.sub(r" +(?=\n|\Z)", "", text)
    return re.sub(r"\n{4,}", "\n\n\n", text) if "\n\n\n\n" in text else text


def wrap(text: str, first: str = "", rest: str = "", width: int = WIDTH) -> str:
    """Break at spaces, greedily; a word that is too long stands alone, unbroken.

    No-break spaces hold until the lines are set, then become plain: they are for the eye only.
    """
    return "\n".join(
        _wrapped(line, first if number == 0 else rest, rest, width)
        for number, line in enumerate(text.split("\n"))
    )


def _wrapped(text: str, first: str, rest: str, width: int) -> str:
    lines = []
    line = first
    bare = True
    for word in text.split(" "):
        if not word:
            continue
        if bare:
            line += word
        elif len(line) + 1 + len(word) <= width:
            line += f" {word}"
        else:
            lines.append(line)
            line = rest + word
        bare = False
    return "\n".join([*lines, line]).replace("\u00a0", " ")
