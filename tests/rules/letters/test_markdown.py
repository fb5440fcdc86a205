"""Markdown by our own people: a closed list of markup, bound numbers, plain paragraphs."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.rules.letters.markdown import (
    Block,
    bind,
    is_address,
    links,
    postal,
    to_blocks,
    to_html,
    to_inline,
    to_plain,
    why_no_link,
)
from pipeline.rules.letters.merge import mark

NB = "\u00a0"


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("One *two* **three**.", "<p>One <em>two</em> <strong>three</strong>.</p>"),
        ("a\n\nb", "<p>a</p>\n<p>b</p>"),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>"),
        ("1. a\n2. b", "<ol>\n<li>a</li>\n<li>b</li>\n</ol>"),
        ("> said", "<blockquote>\n<p>said</p>\n</blockquote>"),
        ("[x](https://a.example/?b=1&c=2)", '<p><a href="https://a.example/?b=1&amp;c=2">x</a></p>'),
        ("<https://a.example/>", '<p><a href="https://a.example/">https://a.example/</a></p>'),
        ("[x](mailto:a@b.example)", '<p><a href="mailto:a@b.example">x</a></p>'),
        # what does not exist in a letter stays as it was typed
        ("# no heading", "<p># no heading</p>"),
        ("no\n===", "<p>no\n===</p>"),
        ("    no code", "<p>no code</p>"),
        ("`no code`", "<p>`no code`</p>"),
        ("![p](https://a.example/p.png)", "<p>![p](https://a.example/p.png)</p>"),
        ("<b>bold?</b>", "<p>&lt;b&gt;bold?&lt;/b&gt;</p>"),
        ("<script>x</script>", "<p>&lt;script&gt;x&lt;/script&gt;</p>"),
        ("a & b < c", "<p>a&nbsp;&amp;&nbsp;b &lt; c</p>"),
        ("", ""),
    ],
)  # fmt: skip
def test_what_markdown_becomes(source: str, html: str) -> None:
    assert to_html(source) == html


@pytest.mark.parametrize(
    "target",
    ["javascript:alert(1)", "data:text/html,x", "//evil.example", "/x", "ftp://a.example", "#x",
     "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", "&#106;avascript:alert(1)", "vbscript:x"],
)  # fmt: skip
def test_a_link_leads_to_the_web_or_to_a_mailbox(target: str) -> None:
    html = to_html(f"[x]({target}) and <{target}>")
    assert "href=" not in html
    assert "x" in html


def test_the_class_stands_on_every_block() -> None:
    html = to_html("a\n\n- b\n\n> c", css="take")
    assert html.count('class="take"') == 4
    assert not re.search(r"<(p|ul|blockquote)>", html)


def test_fields_pass_through() -> None:
    source = "Dear {{first_name|*friend* & co}}, [here]({{web_url}}) is _it_, {{nothing}}."
    html = to_html(source)
    assert mark("first_name", "*friend* &amp; co") in html
    assert f'<a href="{mark("web_url")}">here</a>' in html
    assert "<em>it</em>, {{nothing}}" in html
    (block,) = to_blocks(source)
    assert mark("first_name", "*friend* & co") in block.text
    assert block.links == (mark("web_url"),)


def test_a_stranger_cannot_type_a_mark() -> None:
    assert "\ue000" not in to_html("\ue000leave_url|\ue001 and \ue0000\ue001")


def test_one_sentence_has_no_blocks() -> None:
    assert to_inline("Why *now*?") == "Why <em>now</em>?"
    assert to_inline("- Why\n- now\n(3)?") == "Why now (3)?"


@pytest.mark.parametrize(
    ("source", "blocks"),
    [
        ("One *two*\nthree.", (Block("One two three."),)),
        ("a  \nb", (Block("a\nb"),)),
        (
            "- a\n- b\n\nc",
            (Block("a", "- ", "  ", (), True), Block("b", "- ", "  ", (), True), Block("c")),
        ),
        ("3. a\n4. b", (Block("a", "1. ", "   ", (), True), Block("b", "2. ", "   ", (), True))),
        ("> a\n>\n> b", (Block("a", "> ", "> "), Block("b", "> ", "> "))),
        ("see [x](https://a.example/)", (Block("see x", links=("https://a.example/",)),)),
        ("<https://a.example/>", (Block("https://a.example/"),)),
        ("", ()),
    ],
)
def test_paragraphs_of_plain_text(source: str, blocks: tuple[Block, ...]) -> None:
    assert to_blocks(source) == blocks


def test_only_the_first_paragraph_has_the_first_indent() -> None:
    first, second = to_blocks("a\n\nb", first=" * ", rest="   ")
    assert (first.first, first.rest) == (" * ", "   ")
    assert (second.first, second.rest) == ("   ", "   ")


def test_plain_text_in_one_line() -> None:
    assert to_plain("One *two*\n\n- three (3)\n") == "One two three (3)"


@pytest.mark.parametrize(
    ("text", "language", "bound"),
    [
        ("a battery (1), a figure (3)", "en", f"a battery{NB}(1), a figure{NB}(3)"),
        ("on 3 March 2026", "en", f"on 3{NB}March{NB}2026"),
        ("on March 2026", "en", f"on March{NB}2026"),
        ("may 2026 wishes", "en", "may 2026 wishes"),
        ("18 volts, 31 %, 12 km", "en", f"18{NB}volts, 31{NB}%, 12{NB}km"),
        ("5 million and 5 millionaires", "en", f"5{NB}million and 5 millionaires"),
        ("No. 48 and EUR 39", "en", f"No.{NB}48 and EUR{NB}39"),
        ("am 3. März 2026", "de", f"am 3.{NB}März{NB}2026"),
        ("5 Mio. Euro um 8 Uhr", "de", f"5{NB}Mio. Euro um 8{NB}Uhr"),
        ("of Quay & Tide, a & b; A&B", "en", f"of Quay{NB}&{NB}Tide, a{NB}&{NB}b; A&B"),
        ("61,000 machines in 38 depots", "en", "61,000 machines in 38 depots"),
    ],
)
def test_numbers_are_bound(text: str, language: str, bound: str) -> None:
    assert bind(text, language) == bound


def test_a_short_part_of_an_address_stays_on_one_line() -> None:
    firm = "Gesellschaft für angewandte Fahrplanbeobachtung mbH"
    assert postal(f"{firm},\n Strandgaten 3,5013 Bergen <NO>,") == (
        f"{firm}, Strandgaten{NB}3,5013{NB}Bergen{NB}&lt;NO&gt;,"
    )


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("https://a.example/x?y=1#z", True), ("http://a.example", True),
        ("mailto:a@b.example?subject=x%20y", True), ("HTTPS://A.EXAMPLE/", True),
        ("https://", False), ("https:///x", False), ("https://a.example/ b", False),
        ("https://a.example/\n", False), ("tel:+1", False), ("", False), ("a.example", False),
        ('https://a.example/"x', False), ("https:\\\\a.example", False),
    ],
)  # fmt: skip
def test_what_an_address_is(url: str, fine: bool) -> None:
    assert is_address(url) is fine


@pytest.mark.parametrize(
    "link",
    [
        "https://a.example/x?y=1", "mailto:a@b.example", "mailto:a@b.example?subject=x%20y",
        "MAILTO:a@b.example?Subject=Yes", "mailto:a%40b.example", "{{web_url}}",
        "{{web_url|https://a.example/}}", "{{leave_url}}", "mailto:{{sender_address}}",
        "mailto:{{sender_address}}?subject=Yes",
    ],
)  # fmt: skip
def test_where_a_text_of_ours_may_link(link: str) -> None:
    assert why_no_link(link) == ""
    assert 'href="' in to_html(f"[x]({link})")
    assert links(f"[x]({link})") == (link,)


@pytest.mark.parametrize(
    ("link", "says"),
    [
        ("mailto:a@b.example?bcc=c@d.example", "brings “bcc” along"),
        ("mailto:a@b.example?subject=x&CC=c@d.example", "brings “CC” along"),
        ("mailto:a@b.example?subject=x&amp;bcc=c@d.example", "brings “bcc” along"),
        ("mailto:a@b.example?%62cc=c@d.example", "brings “bcc” along"),
        ("mailto:a@b.example?body=Yes", "brings “body” along"),
        ("mailto:a@b.example?subject=x%0d%0aBcc:c@d.example", "a line break"),
        ("mailto:a@b.example?subject={{first_name|you}}", "a merge field in it"),
        ("mailto:a@b.example,c@d.example", "more than one"),
        ("mailto:a@b.example%2cc@d.example", "more than one"),
        ("mailto:a@b.example%0d%0abcc:c", "more than one"),
        ("mailto:?to=a@b.example", "names no mailbox"),
        ("mailto:{{first_name|you}}@b.example", "names no mailbox"),
        ("mailto:{{basis}}", "names no mailbox"),
        ("https://a.example/?who={{first_name|you}}", "holds a merge field"),
        ("https://a.example/?to={{leave_url}}", "holds a merge field"),
        ("{{web_url}}?who={{first_name|you}}", "holds a merge field"),
        ("{{first_name|you}}", "is no address"),
        ("{{web_url}}{{leave_url}}", "is no address"),
        ("www.a.example", "leads nowhere"),
        ("javascript:alert(1)", "leads nowhere"),
    ],
)
def test_where_it_may_not(link: str, says: str) -> None:
    (written,) = links(f"[x]({link})")
    assert says in why_no_link(written)
    assert "href" not in to_html(f"[x]({link})")
    assert to_blocks(f"[x]({link})")[0].links == ()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from([
                "<script>", "</p>", "<!--", "-->", "<img src=x onerror=alert(1)>", "**", "_",
                "[x](",
                "javascript:alert(1)", ")", "![", "](https://a.example)", "\n\n", "- ", "> ", "#",
                "&lt;", "&#60;", "<a href='x'>", "[1]: https://a.example\n", "`",
                "    ", "\x02", "\x03",
                "klzzwxh:0", "{{first_name}}", "{", "}", "|", "<?php", "<![CDATA[",
                "\ue000", "\ue001",
            ]),
            st.text(max_size=6),
        ),
        max_size=16,
    ).map("".join)
)  # fmt: skip
def test_nothing_but_the_closed_list_comes_out(source: str) -> None:
    html = to_html(source)
    for tag in re.findall(r"<[^>]*>", html):
        assert re.fullmatch(
            r"</?(p|br|em|strong|ul|ol|li|blockquote|a)>|<a href=\"(https?:|mailto:)[^\"<>]*\">"
            r"|<a href=\"\ue000first_name\|\ue001\">",
            tag,
        )
    for block in to_blocks(source):
        assert block.text.strip()
