"""Markdown by our own people → clean markup, or paragraphs of plain text.

What is raw HTML is shown as it was typed, never understood; headings and pictures do not exist;
nh3 with a closed list has the last word. Merge fields pass through unharmed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from html import escape
from html.parser import HTMLParser
from urllib.parse import unquote

import markdown as python_markdown
import nh3
from markupsafe import Markup

from pipeline.rules.letters import merge
from pipeline.rules.letters.language import words

_TAGS = frozenset({"p", "br", "em", "strong", "a", "ul", "ol", "li", "blockquote"})
# what Python-Markdown would make of these is no part of a letter
_PREPROCESSORS = ("html_block", "reference")
_BLOCKS = ("code", "hashheader", "setextheader", "hr")
_INLINE = (
    "backtick", "image_link", "image_reference", "short_image_ref", "reference", "short_reference",
    "html", "automail",
)  # fmt: skip
_TOKEN = re.compile("\ue000(\\d+)\ue001")
_ADDRESS = re.compile(r"(?:https?://[^/\s<>\"'\\]|mailto:)[^\s<>\"'\\]*", re.IGNORECASE)
#: Fields that are an address by themselves.
_WHOLE_LINKS = frozenset({"leave_url", "web_url"})
_MAILBOX = re.compile(r"[^\s@,;<>\x00-\x1f]+@[^\s@,;<>\x00-\x1f]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NB = "\u00a0"
_WHOLE_PART = 24  #: characters of an address's part that may not break

WriteField = Callable[[merge.Field], str]  #: how a field is written: a mark, or a value


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph of plain text with its indents, and the addresses it links to."""

    text: str
    first: str = ""
    rest: str = ""
    links: tuple[str, ...] = ()
    item: bool = False  #: of a list


def html_mark(field: merge.Field) -> str:
    """A field as a mark in HTML."""
    return merge.mark(field.name, escape(field.default))


def text_mark(field: merge.Field) -> str:
    """A field as a mark in text."""
    return merge.mark(field.name, field.default)


def is_address(url: str) -> bool:
    """Whether a link may lead there: http, https or mailto, nothing hidden."""
    return bool(_ADDRESS.fullmatch(url))


def why_no_link(link: str) -> str:
    """Why a text of ours may not link there, after "the link"; empty when it may.

    A mailto: opens a mail that the reader sends in their own name: nobody else gets a copy,
    and no words stand in it that they did not write. A merge field inside an address would tell
    whoever answers there who is reading.

    Shape:  fields stand in it as they were written, `{{first_name|there}}`
    Source: RFC 6068 §2
    """
    fields = merge.fields_in(link)
    if link == "".join(map(_written, fields)) and fields:
        one = len(fields) == 1 and fields[0].name in _WHOLE_LINKS
        return "" if one else "is no address; of the fields only leave_url and web_url are"
    if link.lower().startswith("mailto:"):
        return _why_no_mail(link[len("mailto:") :])
    if fields:
        return "holds a merge field, which would tell that site who is reading"
    if is_address(link):
        return ""
    return "leads nowhere: one begins with https:// or mailto:, and holds no space and no quote"


def _why_no_mail(rest: str) -> str:
    to, _, query = rest.partition("?")
    ours = to == "{{sender_address}}"
    if not ours and (merge.fields_in(to) or not _MAILBOX.fullmatch(unquote(to))):
        return "names no mailbox, or more than one"
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        if unquote(name).lower() != "subject":
            return f"brings “{unquote(name)[:20]}” along; a mailto: may bring a subject, no more"
        if _CONTROL.search(unquote(value)) or merge.fields_in(value):
            return "has a subject with a line break or a merge field in it"
    return "" if is_address(f"mailto:{rest}") else "holds a space or a quotation mark"


def links(source: str) -> tuple[str, ...]:
    """Every address that a text links to, with its fields as they are written."""
    fields, tokens = _without_fields(source)
    reader = _Links()
    reader.feed(_converter().convert(tokens))
    reader.close()
    return tuple(_restored(link, fields) for link in reader.links)


def _restored(text: str, fields: Sequence[merge.Field]) -> str:
    return _TOKEN.sub(lambda hit: _written(fields[int(hit[1])]), text)


def _written(field: merge.Field) -> str:
    return f"{{{{{field.name}|{field.default}}}}}" if field.default else f"{{{{{field.name}}}}}"


def to_html(
    source: str, *, css: str = "", language: str = "en", write: WriteField = html_mark
) -> Markup:
    """Clean markup of p, br, em, strong, a, lists and quotations.

    css is set as the class of every paragraph, list and quotation.
    """
    fields, tokens = _without_fields(source)
    clean = _clean(bind(_converter().convert(tokens), language), fields)
    if css:
        clean = re.sub(r"<(p|ul|ol|blockquote)>", rf'<\1 class="{escape(css)}">', clean)
    return Markup(_TOKEN.sub(lambda hit: write(fields[int(hit[1])]), clean))  # noqa: S704  nh3 made it clean


def to_inline(source: str, *, language: str = "en", write: WriteField = html_mark) -> Markup:
    """One sentence: emphasis and links, no blocks."""
    html = str(to_html(source, language=language, write=write))
    inner = re.sub(r"</?(?:p|ul|ol|li|blockquote)>", " ", html)
    return Markup(re.sub(r"[ \n]+", " ", inner).strip(" "))  # noqa: S704  nh3 made it clean


def to_blocks(
    source: str, *, first: str = "", rest: str = "", language: str = "en",
    write: WriteField = text_mark,
) -> tuple[Block, ...]:  # fmt: skip
    """The same as plain paragraphs, each with its indents and the addresses it names."""
    fields, tokens = _without_fields(source)
    reader = _Blocks(first, rest)
    reader.feed(_clean(bind(_converter().convert(tokens), language), fields))
    reader.close()

    def fill(text: str) -> str:
        return _TOKEN.sub(lambda hit: write(fields[int(hit[1])]), text)

    return tuple(
        replace(block, text=fill(block.text), links=tuple(map(fill, block.links)))
        for block in reader.blocks()
    )


def to_plain(source: str, *, write: WriteField = text_mark) -> str:
    """Everything in one line: for counting, comparing and subjects."""
    return " ".join(block.text for block in to_blocks(source, write=write)).replace(_NB, " ")


# ── typography ───────────────────────────────────────────────────────────────────────────

_UNITS = (
    "%", "‰", "€", "$", "£", "kr", "m", "cm", "mm", "km", "kg", "g", "t", "l", "V", "A", "W", "Ah",
    "kW", "kWh", "MW", "GW", "Nm", "GB", "TB", "°C", "bn", "EUR", "USD", "GBP", "CHF", "a.m.",
    "p.m.", "Uhr",
)  # fmt: skip
_BEFORE_A_NUMBER = ("No.", "no.", "Nr.", "EUR", "USD", "GBP", "CHF", "€", "$", "£", "p.", "S.")


def bind(text: str, language: str) -> str:
    """Bind numbers to their months, units and brackets, and both sides of an "&".

    "(3)", "3 March 2026", "18 volts" and "No. 48" do not fall apart at the end of a line.
    """
    for pattern in _bindings(language):
        text = pattern.sub(rf"\1{_NB}", text)
    return text


def bound(text: str, language: str) -> Markup:
    """A plain text, escaped, with its numbers bound."""
    return Markup(escape(bind(text, language)))  # noqa: S704  escaped here


def postal(address: str) -> Markup:
    """An address on one line, escaped; a short part of it, such as "5013 Bergen", stays whole."""

    def whole(part: re.Match[str]) -> str:
        return part[0].replace(" ", _NB) if len(part[0]) <= _WHOLE_PART else part[0]

    # only spaces within a part change: the lint looks for the address as it was written
    bound_parts = re.sub(r"[^,\s][^,]*", whole, " ".join(address.split()))
    return Markup(escape(bound_parts))  # noqa: S704  escaped here


@cache
def _bindings(language: str) -> tuple[re.Pattern[str], ...]:
    """What stands before a space that must not break, each as group 1."""
    ours = words(language)
    months = _any((*ours.months, *ours.short_months))
    units = _any((*_UNITS, *ours.units))
    return tuple(
        re.compile(pattern)
        for pattern in (
            r"(\S) (?=\(\d{1,3}\))",
            rf"(\d) (?=(?:{units})(?!\w))",
            rf"(\d\.?) (?=(?:{months})(?!\w))",
            rf"((?<!\w)(?:{months})) (?=\d{{4}}(?!\d))",
            rf"((?<!\w)(?:{_any(_BEFORE_A_NUMBER)})) (?=\d)",
            r"(\w) (?=&(?:amp;)? \w)",
            r"(\w\u00a0&(?:amp;)?) (?=\w)",
        )
    )


def _any(names: Iterable[str]) -> str:
    return "|".join(map(re.escape, sorted(set(names), key=len, reverse=True)))


# ── inside ───────────────────────────────────────────────────────────────────────────────


def _converter() -> python_markdown.Markdown:
    """A new one each time: it keeps state, and the desk has threads."""
    converter: python_markdown.Markdown = python_markdown.Markdown(output_format="html")
    for registry, names in (
        (converter.preprocessors, _PREPROCESSORS),
        (converter.parser.blockprocessors, (*_BLOCKS, "reference")),
        (converter.inlinePatterns, _INLINE),
    ):
        for name in names:
            registry.deregister(name, strict=False)
    return converter


def _without_fields(source: str) -> tuple[list[merge.Field], str]:
    """The fields of a text, and the text with a numbered token in place of each."""
    fields: list[merge.Field] = []
    out = []
    for piece in merge.split(merge.without_marks(source).replace("\r\n", "\n")):
        if isinstance(piece, str):
            out.append(piece)
        else:
            out.append(f"{merge.FIELD_OPEN}{len(fields)}{merge.FIELD_CLOSE}")
            fields.append(piece)
    return fields, "".join(out)


def _clean(html: str, fields: Sequence[merge.Field]) -> str:
    def keep_link(tag: str, attribute: str, value: str) -> str | None:
        return None if why_no_link(_restored(value, fields)) else value

    return nh3.clean(
        html,
        tags=set(_TAGS),
        attributes={"a": {"href"}},
        attribute_filter=keep_link,
        url_schemes={"http", "https", "mailto"},
        link_rel=None,
        strip_comments=True,
    )


class _Links(HTMLParser):
    """Addresses of the links in markup that is not clean yet."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links += [value or "" for name, value in attrs if name == "href"]


class _Blocks(HTMLParser):
    """Reads our own clean markup into paragraphs."""

    def __init__(self, first: str, rest: str) -> None:
        super().__init__(convert_charrefs=True)
        self._made: list[Block] = []
        self._text: list[str] = []
        self._links: list[str] = []
        self._first, self._rest = first, rest
        self._around: list[str] = []  # open lists and quotations
        self._counts: list[int] = []
        self._bullet = ""

    def blocks(self) -> Sequence[Block]:
        return self._made

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("ul", "ol", "blockquote"):
            self._end()
            self._around.append(tag)
            self._counts.append(0)
        elif tag == "li":
            self._end()
            self._counts[-1] += 1
            self._bullet = "- " if self._around[-1] == "ul" else f"{self._counts[-1]}. "
        elif tag == "br":
            self._text.append("\n")
        elif tag == "a":
            self._links += [value for name, value in attrs if name == "href" and value]

    def handle_endtag(self, tag: str) -> None:
        if tag in ("p", "li"):
            self._end()
        elif tag in ("ul", "ol", "blockquote"):
            self._end()
            self._around.pop()
            self._counts.pop()

    def handle_data(self, data: str) -> None:
        self._text.append(data.replace("\n", " "))

    def close(self) -> None:
        super().close()
        self._end()

    def _end(self) -> None:
        lines = (" ".join(line.split(" ")).strip() for line in "".join(self._text).split("\n"))
        text = "\n".join(line for line in lines if line)
        if text:
            said = text.replace(_NB, " ")
            links = tuple(url for url in dict.fromkeys(self._links) if url not in said)
            item = bool(self._around) and self._around[-1] != "blockquote"
            self._made.append(Block(text, *self._indents(), links, item))
        self._text, self._links = [], []

    def _indents(self) -> tuple[str, str]:
        first = self._rest if self._made else self._first
        inside = "".join("> " if tag == "blockquote" else "  " for tag in self._around)
        if not self._around or self._around[-1] == "blockquote":
            return first + inside, self._rest + inside
        bullet, self._bullet = self._bullet or "  ", ""
        outer = inside[:-2]
        return first + outer + bullet, self._rest + outer + " " * len(bullet)
