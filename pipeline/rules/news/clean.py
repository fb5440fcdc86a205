"""Makes strangers' markup and text harmless; the only maker of `CleanHtml`."""

from __future__ import annotations

import html
import re
from collections import Counter

import nh3

from pipeline.model.news import CleanHtml
from pipeline.rules.news.address import absolute

MAX_CHARS = 200_000  #: of one entry's HTML; what lies beyond is cut off
MAX_DEPTH = 250  #: nested tags; deeper markup costs quadratic time and is read as text
MAX_TAG_CHARS = 4_000  #: a longer tag is dropped

_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "caption", "dd", "div", "dl", "dt", "figcaption",
    "figure", "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header", "li", "main", "ol", "p",
    "pre", "section", "table", "tbody", "tfoot", "thead", "tr", "ul",
})  # fmt: skip
_CELLS = frozenset({"td", "th"})
_BREAKS = frozenset({"br", "hr"})
_INLINE = frozenset({
    "a", "abbr", "b", "cite", "code", "del", "em", "i", "ins", "kbd", "q", "s", "samp", "small",
    "strong", "sub", "sup", "time", "u", "var",
})  # fmt: skip
_TAGS = set(_BLOCKS | _CELLS | _BREAKS | _INLINE)
_WITH_CONTENT = {
    "applet", "audio", "button", "canvas", "embed", "frameset", "iframe", "math", "noembed",
    "noframes", "noscript", "object", "script", "select", "style", "svg", "template", "textarea",
    "title", "video",
}  # fmt: skip
_ATTRIBUTES = {"a": {"href"}, "td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"}}
_NEVER_DEEP = frozenset({  # void, or closed by the next of its kind
    "area", "base", "br", "col", "dd", "dt", "embed", "hr", "img", "input", "li", "link", "meta",
    "option", "p", "param", "source", "tbody", "td", "tfoot", "th", "thead", "tr", "track", "wbr",
})  # fmt: skip

#: Controls; what turns the reading direction; invisible marks that split words; private use
#: (our merge marks live there); halves of pairs; what is no character at all.
_UNWANTED = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u200b\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff"
    "\ue000-\uf8ff\ud800-\udfff\ufdd0-\ufdef\ufff9-\ufffc\ufffe\uffff"
    "\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)")
_ANY_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_LONG_TAG = re.compile(rf"<[^<>]{{{MAX_TAG_CHARS},}}>?")
_CLEAN_TAG = re.compile(r"<(/?)([a-z0-9]+)>")
_MAILTO = re.compile(r"mailto:([A-Za-z0-9.!#$%'*+/=^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253})(?:\?.*)?")


def strip(raw_text: str) -> str:
    """Text without characters that nobody can see or should not meet."""
    return _UNWANTED.sub("", raw_text)


def clean(raw_html: str, base: str = "") -> CleanHtml:
    """Markup that may be shown: a closed list of tags, and links only to http, https, mailto.

    Pictures, styles, scripts, forms and frames are gone; links are full addresses, read
    relative to `base`.
    """

    def attribute(tag: str, name: str, value: str) -> str | None:
        if name == "href":
            return link(value, base) or None
        return value if name == "rel" else _count(value)  # rel is our own

    shown = nh3.clean(
        _bounded(raw_html),
        tags=_TAGS,
        clean_content_tags=_WITH_CONTENT,
        attributes=_ATTRIBUTES,
        attribute_filter=attribute,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )
    # character references can bring back what was stripped; in clean markup it is only text
    return CleanHtml(strip(shown).strip())


def link(raw_url: str, base: str = "") -> str:
    """A link that may be clicked; empty when it is none.

    Source: the reader of rules.news.address, which is stricter than any browser
    """
    text = raw_url.strip()
    mail = _MAILTO.fullmatch(text)
    if mail:
        return f"mailto:{mail[1]}"
    return absolute(text, base)


def to_text(raw_html: str) -> str:
    """Plain text: paragraphs apart by an empty line, breaks by a line, spaces tidied."""
    shown = nh3.clean(
        _bounded(raw_html),
        tags=_TAGS,
        clean_content_tags=_WITH_CONTENT,
        attributes={},
        link_rel=None,
    )
    text = strip(html.unescape(_CLEAN_TAG.sub(_as_space, shown.replace("\n", " "))))
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def to_line(raw_html: str, limit: int = 300) -> str:
    """Plain text on one line, cut at a word when it is longer than `limit` characters."""
    return shorten(" ".join(to_text(raw_html[: 10 * limit + 1_000]).split()), limit)


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters, cut between words, with "…" where something is missing."""
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    cut = head.rsplit(" ", 1)[0] if " " in head[limit // 2 :] else head
    return cut.rstrip(" ,;:.–—-") + "…"


def _as_space(match: re.Match[str]) -> str:
    closing, tag = match.groups()
    if tag in _BLOCKS:
        return ("" if closing else "\n") if tag in {"li", "tr", "dt", "dd"} else "\n\n"
    if tag in _BREAKS:
        return "\n"
    return " " if tag in _CELLS else ""


def _bounded(raw_html: str) -> str:
    """Markup that costs no more than its length to read: neither too long nor too deep."""
    text = _LONG_TAG.sub("", strip(raw_html[:MAX_CHARS]))
    return _ANY_TAG.sub(" ", text) if _too_deep(text) else text


def _too_deep(text: str) -> bool:
    """Whether more than MAX_DEPTH tags are open at once; a stray end tag closes nothing."""
    opened: Counter[str] = Counter()
    depth = 0
    for match in _TAG.finditer(text):
        closing, tag = match[1], match[2].lower()
        if tag in _NEVER_DEEP or (closing and not opened[tag]):
            continue
        step = -1 if closing else 1
        opened[tag] += step
        depth += step
        if depth > MAX_DEPTH:
            return True
    return False


def _count(value: str) -> str | None:
    """A span of table cells, or nothing."""
    return value if value.isascii() and value.isdigit() and 0 < int(value[:4]) <= 100 else None
