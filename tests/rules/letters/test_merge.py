"""Merge fields: the grammar, the marks, and that a value is never more than a value."""

from __future__ import annotations

import html as html_module
import re
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from pipeline.model.letters import Letter
from pipeline.rules.letters import merge
from pipeline.rules.letters.merge import (
    Field,
    Given,
    fill_html,
    fill_text,
    for_html,
    mark,
    marked,
    problems,
    segments,
    split,
    wrap,
)
from pipeline.rules.letters.render import Fields, draw_html, draw_text, inlined, render
from tests.rules.letters.samples import CUSTOMER, PROSPECT, SALES, TEMPLATES, VALUES

Event = tuple[str, str, tuple[tuple[str, str | None], ...]]


class _Events(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.seen: list[Event] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(("start", tag, tuple(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.seen.append(("end", tag, ()))

    def handle_data(self, data: str) -> None:
        if self.seen and self.seen[-1][0] == "text":
            self.seen[-1] = ("text", self.seen[-1][1] + data, ())
        else:
            self.seen.append(("text", data, ()))

    def handle_comment(self, data: str) -> None:
        self.seen.append(("comment", data, ()))


def events(html: str) -> list[Event]:
    """A page as a browser takes it in: tags, attributes and text, decoded."""
    return _Events(html).seen


# ── the grammar ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("written", "pieces"),
    [
        ("Hello {{first_name}}.", ("Hello ", Field("first_name"), ".")),
        ("{{ first_name | there }}", ("", Field("first_name", "there"), "")),
        ("{{first_name|my dear friend}}!", ("", Field("first_name", "my dear friend"), "!")),
        ("{{first_name|}}", ("", Field("first_name", ""), "")),
        ("{{basis}}{{web_url}}", ("", Field("basis"), "", Field("web_url"), "")),
        ("no field", ("no field",)),
        ("{{unknown}} stays", ("{{unknown}} stays",)),
        ("{{first_name|a|b}} stays", ("{{first_name|a|b}} stays",)),
        ("{{first_name.__class__}}", ("{{first_name.__class__}}",)),
    ],
)
def test_split(written: str, pieces: tuple[str | Field, ...]) -> None:
    assert split(written) == pieces


@pytest.mark.parametrize(
    ("written", "place", "what"),
    [
        ("Hi {{firstname}}", (1, 4), "did you mean first_name?"),
        ("a\nbc {{sender}} d", (2, 4), "there is no merge field “sender”"),
        ("{{first_name|a|b}}", (1, 1), "no merge field"),
        ("{% for x in y %}", (1, 1), "no merge field"),
        ("{# note #}", (1, 1), "no merge field"),
        ("a {first_name} b", (1, 3), "no merge field"),
        ("open {{ only", (1, 6), "no merge field"),
        ("only }} closed", (1, 6), "no merge field"),
        ("{{ 'x'.ljust(10**9) }}", (1, 1), "no merge field"),
        ("{{}}", (1, 1), "no merge field"),
    ],
)
def test_what_is_no_field_is_told_with_its_place(
    written: str, place: tuple[int, int], what: str
) -> None:
    (problem,) = problems(written)
    assert (problem.line, problem.column) == place
    assert what in problem.what


def test_every_field_is_fine_in_both_forms() -> None:
    for name in merge.MERGE_FIELDS:
        assert problems(f"{{{{{name}}}}} {{{{ {name} | some default }}}}") == ()
    assert problems("a { b, set {1, 2}: plain braces are text") == ()


def test_a_marked_text_cannot_bring_its_own_marks() -> None:
    assert marked("\ue000leave_url|x\ue001 {{first_name|you}}") == (
        f"leave_url|x {mark('first_name', 'you')}"
    )


# ── filling ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("html", "field"),
    [
        (f"<p>{mark('first_name')}</p>", Field("first_name", "", "text")),
        (f'<a href="{mark("leave_url")}">x</a>', Field("leave_url", "", "url")),
        (f'<a href="mailto:{mark("sender_address")}?s=1">x</a>',
         Field("sender_address", "", "mailto")),
        (f'<a href="tel:{mark("sender_phone")}">x</a>', Field("sender_phone", "", "tel")),
        (f'<a href="mailto:x@y.example?subject={mark("first_name")}">x</a>',
         Field("first_name", "", "query")),
        (f'<p title="{mark("first_name")}">x</p>', Field("first_name", "", "attribute")),
        (f"<p title='a > b'>{mark('first_name', '&lt;b&gt;')}</p>",
         Field("first_name", "<b>", "text")),
        (f'<p>he wrote href="{mark("first_name")}"</p>', Field("first_name", "", "text")),
    ],
)  # fmt: skip
def test_a_field_knows_where_it_stands(html: str, field: Field) -> None:
    assert [piece for piece in segments(html) if isinstance(piece, Field)] == [field]


@pytest.mark.parametrize(
    ("value", "context", "written"),
    [
        ("<b>&\"'", "text", "&lt;b&gt;&amp;\"'"),
        ("one\ntwo", "text", "one<br>two"),
        ('a" onclick="x', "attribute", "a&quot; onclick=&quot;x"),
        ("https://x.example/?a=1&b=2", "url", "https://x.example/?a=1&amp;b=2"),
        ("javascript:alert(1)", "url", ""),
        ("JAVASCRIPT:alert(1)//https://x.example", "url", ""),
        ("https://x.example/\" onclick=\"x", "url", ""),
        ("a&b?cc=x@y.example", "mailto", "a%26b%3Fcc%3Dx@y.example"),
        ("+47 (55) 00-01", "tel", "+47550001"),
        ("a&body=x y", "query", "a%26body%3Dx%20y"),
    ],
)  # fmt: skip
def test_a_value_is_written_for_its_place(value: str, context: merge.Context, written: str) -> None:
    assert for_html(value, context) == written


def test_a_region_shows_only_with_its_value() -> None:
    html = render(PROSPECT, TEMPLATES).html
    regions = [piece.name for piece in segments(html) if isinstance(piece, Given)]
    assert regions == ["sender_phone", "signature", "web_url"]
    assert "+47 55" in fill_html(html, VALUES)
    assert "tel:" not in fill_html(html, {**VALUES, "sender_phone": " \n "})


def test_a_default_stands_in_for_an_empty_value_and_is_escaped_once() -> None:
    html = f"<p>{mark('first_name', 'Tom &amp; &lt;you&gt;')}</p>"
    assert fill_html(html, {"first_name": ""}) == "<p>Tom &amp; &lt;you&gt;</p>"
    assert fill_html(html, {}) == "<p>Tom &amp; &lt;you&gt;</p>"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("one two three four", "> one two\n  three four"),
        ("a\nb", "> a\n  b"),
        ("averyverylongword x", "> averyverylongword\n  x"),
        ("on 3\u00a0March", "> on 3 March"),
        ("is on 3\u00a0March x", "> is on\n  3 March x"),
        ("", "> "),
    ],
)
def test_wrap(text: str, wanted: str) -> None:
    assert wrap(text, "> ", "  ", width=12) == wanted


# ── properties ───────────────────────────────────────────────────────────────────────────

NASTY = st.one_of(
    st.text(max_size=40),
    st.text("<>&\"'`={}|\ue000\ue001\ue002\ue003\ue004\ue005\ue007\u00a0 \n\r\tab;/", max_size=30),
    st.sampled_from([
        "{{leave_url}}", "\ue000leave_url|\ue001", "<!--", "-->", "</td></tr></table>", "&lt;b&gt;",
        "\u202eevil", "Ole\r\nBcc: x@y.example", "<script>alert(1)</script>", "' onmouseover='x",
        "Wolfeschlegelsteinhausenbergerdorff " * 3, "李小龍", "Zoë O’Neil-Ångström", "]]>", "\x00",
        "%0d%0a", "{% x %}", "a\u2028b", "&amp;amp;", "\ufffe", "=?utf-8?q?x?=", "🛳️ " * 20,
    ]),
)  # fmt: skip
EVERYTHING = st.fixed_dictionaries(dict.fromkeys(merge.MERGE_FIELDS, NASTY))
TAME_PLACES = {
    name: st.from_regex(pattern, fullmatch=True)
    for name, pattern in {
        "sender_address": r"[a-z][a-z.]{0,10}@[a-z]{1,8}\.example",
        "sender_phone": r"\+?[0-9]{0,14}",
        "leave_url": r"https://[a-z]{1,8}\.example/leave/[A-Za-z0-9?=&_-]{0,40}",
        "web_url": r"https://[a-z]{1,8}\.example/issues/[a-z0-9]{0,26}",
    }.items()
}
RENDERED = {letter.kind: render(letter, TEMPLATES) for letter in (PROSPECT, CUSTOMER, SALES)}


def in_place(values: dict[str, str]) -> Fields:
    """The same templates with the values themselves where marks would stand."""
    clean = merge.cleaned(values)

    def value(field: Field) -> str:
        return clean[field.name] or field.default

    return Fields(
        html={name: Markup(for_html(text)) for name, text in clean.items()},
        text=clean,
        in_html=lambda field: for_html(value(field)),
        in_text=value,
        given_html=lambda name, body: body if clean[name] else "",
        given_text=lambda name, body: body if clean[name] else "",
    )


def _unspaced(page: str) -> list[Event]:
    """Where a region is hidden a line of the source stays empty; that is all that may differ."""
    return events(re.sub(r"\s*\n\s*", "\n", page))


@pytest.mark.parametrize("letter", [PROSPECT, CUSTOMER], ids=lambda letter: letter.kind)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values=EVERYTHING, tame=st.fixed_dictionaries(TAME_PLACES))
def test_filling_equals_rendering_with_the_values_in_place(
    letter: Letter, values: dict[str, str], tame: dict[str, str]
) -> None:
    values = {**values, **tame}
    rendered, fields = RENDERED[letter.kind], in_place(values)
    whole = inlined(draw_html(letter, TEMPLATES, fields), letter.kind)
    assert _unspaced(fill_html(rendered.html, values)) == _unspaced(whole)
    assert fill_text(rendered.text, values) == draw_text(letter, TEMPLATES, fields)


@pytest.mark.parametrize("kind", RENDERED)
@settings(max_examples=60, deadline=None)
@given(values=EVERYTHING)
def test_a_value_brings_no_markup_and_no_mark(kind: str, values: dict[str, str]) -> None:
    plain = {name: "x" if merge.clean_value(value) else "" for name, value in values.items()}
    plain |= {name: f"https://x.example/{name}" for name in ("leave_url", "web_url") if plain[name]}
    html = RENDERED[kind].html
    filled = fill_html(html, values)

    def skeleton(page: str) -> list[object]:
        return [
            (event, name, tuple(attribute for attribute, _ in attributes))
            for event, name, attributes in events(page)
            if event != "text" and name != "br"
        ]

    assert skeleton(filled) == skeleton(fill_html(html, plain))
    text = fill_text(RENDERED[kind].text, values)
    subject = fill_text(marked("{{first_name|a}} {{basis}}"), values)
    for part in (filled, text, subject):
        assert not re.search("[\ue000-\ue007\x00\r\u202e]", part)
    links = [dict(attributes).get("href") or "" for _, _, attributes in events(filled)]
    assert all(re.match(r"https?:|mailto:|tel:|$", link) for link in links)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.sampled_from([
    "{{first_name|you}}", "{{ basis }}", "{{nothing}}", "{", "}", "|", "<b>", "&", '"', "\n", " ",
    mark("web_url"),
]), st.text(max_size=8)), max_size=12).map("".join))  # fmt: skip
def test_a_subject_reads_as_it_was_written(written: str) -> None:
    shown = fill_text(marked(written), {"basis": "B"})
    wanted = re.sub("[\ue000-\uf8ff]", "", written)
    wanted = re.sub(r"\{\{\s*first_name\s*\|\s*you\s*\}\}", "you", wanted)
    wanted = re.sub(r"\{\{\s*basis\s*\}\}", "B", wanted)
    assert shown == merge.tidy(wanted)


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet="ab c\u00a0é世", max_size=300), width=st.integers(4, 40))
def test_wrapping_loses_nothing_and_keeps_its_width(text: str, width: int) -> None:
    lines = wrap(text, "> ", "  ", width).split("\n")
    assert " ".join(" ".join(lines)[2:].split()) == " ".join(re.split("[ \u00a0]+", text)).strip()
    assert all(
        len(line) <= width or " " not in line[2:].strip() or "\u00a0" in text for line in lines
    )


def test_html_of_the_samples_is_not_escaped_twice() -> None:
    html = fill_html(RENDERED["prospect"].html, {**VALUES, "first_name": "Tom & Ida"})
    assert "Three stories, Tom &amp; Ida, and" in html
    assert "&amp;amp;" not in html
    assert html_module.unescape("&amp;") == "&"
