"""A variant of an edition, rendered once: HTML with its styles inlined, and its own text part."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any
from urllib.parse import unquote, urlsplit

import css_inline
from markupsafe import Markup, escape

from pipeline.errors import BadInput
from pipeline.model.letters import EditionKind, ForwardRow, Letter, LetterStory, Rendered
from pipeline.rules.letters import forward, markdown, merge, sandbox
from pipeline.rules.letters import language as speech
from pipeline.rules.letters.brand import palette
from pipeline.rules.letters.merge import MERGE_FIELDS, fill_html, fill_text

__all__ = [
    "MAX_HTML", "MERGE_FIELDS", "digest", "fill_html", "fill_text", "read_templates",
    "render", "self_contained",
]  # fmt: skip
MAX_HTML = 95_000  #: bytes for the longest recipient; Gmail clips at about 102 KB
MAX_FORM = 1_000  #: characters of a sentence with parts to fill in
PUBLIC_CSS, BRAND_CSS = "../static/public.css", "../static/brand.css"

_HTML: Mapping[EditionKind, str] = {
    "prospect": "letter.html.j2",
    "customer": "letter.html.j2",
    "sales": "sales.html.j2",
    "public": "issue.html.j2",
}
_TEXT: Mapping[EditionKind, str] = {
    "prospect": "letter.txt.j2",
    "customer": "letter.txt.j2",
    "sales": "sales.txt.j2",
    "public": "letter.txt.j2",
}
_COMMENT = re.compile("<!--.*?-->", re.DOTALL)
_KEPT_COMMENT = re.compile("<!--(?:\\[if |<!\\[endif|[\ue002\ue004])")  # conditional, or a mark
_PART = re.compile(r"\{([a-z_]+)\}")
_STYLESHEET = re.compile(r'<link rel="stylesheet" href="([^"]+)">')


@dataclass(frozen=True, slots=True)
class Fields:
    """How merge fields are written while rendering: as marks, for every reader at once."""

    html: Mapping[str, Markup]
    text: Mapping[str, str]
    in_html: markdown.WriteField
    in_text: markdown.WriteField
    given_html: Callable[[str, str], str]
    given_text: Callable[[str, str], str]


MARKS = Fields(
    html={name: Markup(merge.mark(name)) for name in merge.MERGE_FIELDS},  # noqa: S704  ours
    text={name: merge.mark(name) for name in merge.MERGE_FIELDS},
    in_html=markdown.html_mark,
    in_text=markdown.text_mark,
    given_html=lambda name, body: (
        f"<!--{merge.GIVEN_OPEN}{name}{merge.GIVEN_NAMED}-->{body}<!--{merge.GIVEN_CLOSE}-->"
    ),
    given_text=lambda name, body: (
        f"{merge.GIVEN_OPEN}{name}{merge.GIVEN_NAMED}{body}{merge.GIVEN_CLOSE}"
    ),
)


def render(letter: Letter, templates: Mapping[str, str]) -> Rendered:
    """Render one variant; what differs per recipient still stands in it as marks.

    Shape:  templates maps names to sources; `read_templates` fetches all that are needed
    Raises: BadInput with the template's name and line; or when the brand colour is none
    """
    html = inlined(draw_html(letter, templates, MARKS), letter.kind)
    for region in merge.torn_regions(html):
        raise BadInput(
            f"{_HTML[letter.kind]}: what stands in given(“{region}”) is not whole",
            "Open and close every element inside it; write <tbody> before it where it holds rows.",
        )
    return Rendered(
        subject=merge.marked(letter.subject),
        html=html,
        text=draw_text(letter, templates, MARKS),
        template_digest=digest(letter.kind, templates),
    )


def read_templates(read: Callable[[str], str]) -> dict[str, str]:
    """Every template that some edition needs, with what it includes.

    Raises: what `read` raises for a name that is not there
    """
    found: dict[str, str] = {}
    waiting = [*_HTML.values(), *_TEXT.values()]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = read(name)
            waiting += sandbox.named_in(found[name])
    return found


def digest(kind: EditionKind, templates: Mapping[str, str]) -> str:
    """What tells whether two renderings came from the same templates."""
    names = {*sandbox.used(_HTML[kind], templates), *sandbox.used(_TEXT[kind], templates)}
    whole = "\0".join(f"{name}\0{templates[name]}" for name in sorted(names))
    return sha256(whole.encode()).hexdigest()


def self_contained(page: str, stylesheets: Mapping[str, str]) -> str:
    """A public page with its stylesheets inside, to be opened from a folder.

    Shape:  stylesheets maps PUBLIC_CSS and BRAND_CSS to their text
    """
    return _STYLESHEET.sub(lambda link: f"<style>\n{stylesheets[link[1]]}</style>", page)


# ── drawing ──────────────────────────────────────────────────────────────────────────────


def draw_html(letter: Letter, templates: Mapping[str, str], fields: Fields) -> str:
    """The page as the template makes it, before its styles are inlined."""
    say = speech.words(letter.language)
    plain = _with_fields(letter.preheader, fields.in_html, escape)
    values = {
        **_shared(letter),
        "subject": _with_fields(letter.subject, fields.in_html, escape),
        "preheader": plain,
        "merge": fields.html,
        "given": lambda name, caller: Markup(fields.given_html(name, caller())),  # noqa: S704
        "words": say,
    }
    return sandbox.render(_HTML[letter.kind], templates, values, _html_filters(letter, fields))


def inlined(html: str, kind: EditionKind) -> str:
    """Styles moved into the elements, our comments and the template's blank lines taken out.

    The public page keeps its stylesheets as files.
    """
    if kind != "public":
        html = _inliner().inline(html)
    html = _COMMENT.sub(lambda it: it[0] if _KEPT_COMMENT.match(it[0]) else "", html)
    lines = (line.strip(" \t") for line in html.split("\n"))
    return "\n".join(line for line in lines if line) + "\n"


def draw_text(letter: Letter, templates: Mapping[str, str], fields: Fields) -> str:
    """The text part, 70 columns wide; paragraphs with marks are wrapped when they are filled."""
    values = {
        **_shared(letter),
        "subject": letter.subject,
        "merge": fields.text,
        "given": lambda name, caller: fields.given_text(name, caller()),
        "words": speech.words(letter.language),
    }
    raw = sandbox.render(_TEXT[letter.kind], templates, values, _text_filters(letter, fields))
    return merge.tidy(raw).strip("\n") + "\n"


@cache
def _inliner() -> css_inline.CSSInliner:
    return css_inline.CSSInliner(load_remote_stylesheets=False, minify_css=True)


def _shared(letter: Letter) -> dict[str, Any]:
    say = speech.words(letter.language)
    number = f"{say.number} {letter.number}".replace(" ", "\u00a0")
    return {
        "letter": letter,
        "lang": letter.language or "en",
        "dir": speech.direction(letter.language),
        "brand": palette(letter.brand_color),
        "issue_name": speech.issue_name(letter.language, letter.title, letter.number),
        "issue_line": f"{number}, {speech.short_date(letter.language, letter.on)}",
        "greeting": speech.greeting(letter.language, letter.owner_first_name),
        "sales_summary": _sales_summary(letter),
        "sales_sums": _sales_sums(letter),
    }


def _with_fields(
    text: str, write: markdown.WriteField, clean: Callable[[str], Any] = str
) -> Markup:
    pieces = merge.split(merge.without_marks(text))
    return Markup(  # noqa: S704  each piece is escaped, or a mark of ours
        "".join(str(clean(p)) if isinstance(p, str) else write(p) for p in pieces)
    )


def _sales_summary(letter: Letter) -> str:
    say = speech.words(letter.language)
    touching = [item for item in letter.sales if item.groups]
    people = {
        (group.account_name, row.name)
        for item in touching for group in item.groups for row in group.rows
    }  # fmt: skip
    if not people:
        return forward.why_quiet(letter.sales, letter.language)
    return say.sales_some(len(touching), len(letter.sales), len(people))


def _sales_sums(letter: Letter) -> str:
    sums = letter.sales_sums
    if sums is None:
        return ""
    say = speech.words(letter.language)
    parts = [say.had_it.format(count=sums.got_letter)]
    parts += [f"{count}\u00a0{reason}" for reason, count in sums.left_out]
    return say.your_people.format(people=say.people(sums.contacts), parts=", ".join(parts))


# ── filters ──────────────────────────────────────────────────────────────────────────────


def _html_filters(letter: Letter, fields: Fields) -> sandbox.Filters:
    lang = letter.language

    def prose(text: str, css: str, lead: str = "") -> Markup:
        made = markdown.to_html(text, css=css, language=lang, write=fields.in_html)
        if not lead:
            return made
        ended = lead if lead[-1] in ".:!?…" else f"{lead}."
        bold = Markup("<b>{}</b>").format(markdown.bound(ended, lang))
        opening = Markup('<p class="{}">').format(css)
        if not made.startswith(opening):
            return opening + bold + Markup("</p>\n") + made
        return opening + bold + " " + made[len(opening) :]

    return {
        **_common_filters(letter),
        "prose": prose,
        "sentence": lambda text: markdown.to_inline(text, language=lang, write=fields.in_html),
        "bind": lambda text: markdown.bound(text, lang),
        "say": lambda form, **parts: Markup(_filled_in(escape(form), parts, escape)),  # noqa: S704
        "unbroken": lambda text: escape(text).replace(" ", "\u00a0"),
        "postal": markdown.postal,
    }


def _text_filters(letter: Letter, fields: Fields) -> sandbox.Filters:
    def paragraphs(text: str, first: str = "", rest: str = "") -> str:
        blocks = markdown.to_blocks(
            text, first=first, rest=rest, language=letter.language, write=fields.in_text
        )
        return _stacked(blocks)

    def source(story: LetterStory, indent: str = "") -> str:
        url = story.url if markdown.is_address(story.url) else ""
        named = ", ".join(filter(None, (story.source_name or _host(url), _when(letter, story))))
        lines = (merge.wrap(named, indent, indent) if named else "", f"{indent}{url}" * bool(url))
        return "\n".join(filter(None, lines))

    def person(row: ForwardRow, first: str, rest: str) -> str:
        who = ", ".join(filter(None, (row.name, row.role)))
        whole = f"{who} ({row.why_not})" if row.why_not else who
        return _wrapped(markdown.bind(whole, letter.language), first, rest)

    return {
        **_common_filters(letter),
        "paragraphs": paragraphs,
        "wrap": _wrapped,
        "headed": _headed,
        "ruled": lambda sign: sign * merge.WIDTH,
        "centred": lambda sign: sign.center(merge.WIDTH).rstrip(),
        "ends": lambda left, right: _two_ends(left, right),
        "say": lambda form, **parts: _filled_in(form, parts, str),
        "bind": lambda text: markdown.bind(text, letter.language),
        "source": source,
        "person": person,
        "mail_address": lambda url: unquote(url.removeprefix("mailto:").split("?")[0]),
    }


def _common_filters(letter: Letter) -> dict[str, Callable[..., Any]]:
    lang = letter.language
    return {
        "href": lambda url: url if markdown.is_address(url) else "",
        "host": _host,
        "signal": lambda signal: speech.signal_word(lang, signal),
        "short_date": lambda day: speech.short_date(lang, day),
        "long_date": lambda day: speech.long_date(lang, day),
        "when": lambda story: _when(letter, story),
        "foreign": lambda story: speech.written_in(lang, story.language),
        "one_line": lambda text: " ".join(text.split()),
        "short_name": _short_name,
        "digits": lambda phone: re.sub(r"[^0-9+]", "", phone),
    }


def _filled_in(form: str, parts: Mapping[str, Any], write: Callable[[Any], str]) -> str:
    """A form with its named parts, and no more than that.

    `str.format` would follow attributes out of the sandbox, and pad to any width.
    """
    if len(form) > MAX_FORM:
        raise ValueError(f"a form of more than {MAX_FORM} characters")
    return _PART.sub(lambda hit: str(write(parts[hit[1]])), str(form))


def _when(letter: Letter, story: LetterStory) -> str:
    day = story.published_on
    told = speech.day_month(letter.language, day, letter.on) if day else ""
    return ", ".join(filter(None, (told, speech.written_in(letter.language, story.language))))


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").removeprefix("www.")


def _short_name(name: str) -> str:
    """ "Ada" of "Ada Lindqvist", but "Dr. Oberländer" of "Dr. Hans-Jürgen Oberländer"."""
    parts = name.split()
    if not parts:
        return name
    return f"{parts[0]} {parts[-1]}" if parts[0].endswith(".") and len(parts) > 1 else parts[0]


def _wrapped(text: str, first: str = "", rest: str = "") -> str:
    if merge.has_marks(text):
        return merge.flow(text, first, rest)
    return merge.wrap(text, first, rest)


def _headed(title: str) -> str:
    lines = merge.wrap(" ".join(title.split()))
    return f"{lines}\n{'-' * max(map(len, lines.split(chr(10))))}"


def _two_ends(left: str, right: str) -> str:
    right = right.replace("\u00a0", " ")
    room = merge.WIDTH - len(left) - len(right)
    return f"{left}{' ' * room}{right}" if room > 1 else f"{merge.wrap(left)}\n{right}"


def _stacked(blocks: tuple[markdown.Block, ...]) -> str:
    """Paragraphs with a blank line between them, list items without; addresses below."""
    out = ""
    before: markdown.Block | None = None
    for block in blocks:
        if before is not None:
            out += "\n" if before.item and block.item else "\n\n"
        out += _wrapped(block.text, block.first, block.rest)
        out += "".join(f"\n{block.rest}{url}" for url in block.links)
        before = block
    return out
