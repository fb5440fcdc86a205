"""Every edition as it leaves: golden letters, and what must hold of any of them."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from pipeline.errors import BadInput
from pipeline.model.letters import EditionKind, Letter, LetterStory
from pipeline.rules.letters import merge
from pipeline.rules.letters.language import OUR_WORDS
from pipeline.rules.letters.render import (
    MAX_HTML,
    digest,
    fill_html,
    fill_text,
    read_templates,
    render,
    self_contained,
)
from tests.rules.letters.samples import (
    CUSTOMER,
    EDITIONS,
    NOBODY,
    PROSPECT,
    PUBLIC,
    SALES,
    STORIES,
    TEMPLATES,
    TEMPLATES_DIR,
    VALUES,
)
from tests.rules.letters.test_merge import events

GOLDEN = TEMPLATES_DIR.parent / "tests" / "rules" / "letters" / "golden"


def html_of(letter: Letter, values: dict[str, str] = VALUES) -> str:
    return fill_html(render(letter, TEMPLATES).html, values)


def text_of(letter: Letter, values: dict[str, str] = VALUES) -> str:
    return fill_text(render(letter, TEMPLATES).text, values)


def seen(html: str) -> str:
    """What a reader sees, in one line."""
    hidden = re.sub(r"<(style|title|script)[ >].*?</\1>|<!--.*?-->", "", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", hidden).replace("&nbsp;", " ").split())


@pytest.mark.parametrize("kind", EDITIONS)
@pytest.mark.parametrize("part", ["html", "txt"])
def test_golden(kind: EditionKind, part: str, request: pytest.FixtureRequest) -> None:
    made = (html_of if part == "html" else text_of)(EDITIONS[kind])
    path = GOLDEN / f"{kind}.{part}"
    if request.config.getoption("--golden"):
        path.write_text(made, "utf-8")
    assert made == path.read_text("utf-8")


@pytest.mark.parametrize("letter", [PROSPECT, CUSTOMER, PUBLIC], ids=lambda letter: letter.kind)
@pytest.mark.parametrize("values", [VALUES, NOBODY], ids=["named", "nobody"])
def test_no_reader_finds_a_word_for_how_we_see_them(letter: Letter, values: dict[str, str]) -> None:
    html, text = html_of(letter, values), text_of(letter, values)
    own = "ring the customer"  # the writer's own sentence, about somebody else
    for part in (html, text):
        assert not OUR_WORDS.search(re.sub("[-_]", " ", part.replace(own, "")))
        for word in ("edition", "sales", "internal", "account", "score", "segment", "variant"):
            assert not re.search(rf"\b{word}", part, re.IGNORECASE)


def test_both_editions_use_the_same_classes() -> None:
    def classes(letter: Letter) -> set[str]:
        return set(re.findall(r'class="([^"]*)"', html_of(letter)))

    assert classes(CUSTOMER) == classes(PROSPECT)


@pytest.mark.parametrize("kind", EDITIONS)
def test_a_page_is_built_as_mail_programs_and_readers_need_it(kind: EditionKind) -> None:
    html = html_of(EDITIONS[kind])
    assert len(re.findall(r"<h1[ >]", html)) == 1
    assert re.match(r'<!DOCTYPE html>\s*<html lang="en" dir="ltr">', html)
    assert 'name="color-scheme" content="light dark"' in html
    for table in re.findall(r"<table[^>]*>", html):
        assert 'role="presentation"' in table or 'class="list"' in table
    assert not re.search("[\ue000-\uf8ff]", html)
    assert "Undefined" not in html
    assert "safe" not in "".join(TEMPLATES.values()).replace("|safe", "")


@pytest.mark.parametrize("letter", [PROSPECT, CUSTOMER, SALES], ids=lambda letter: letter.kind)
def test_styles_are_inlined_and_only_conditional_comments_stay(letter: Letter) -> None:
    html = html_of(letter)
    assert re.search(r'<h2 style="[^"]*font-size:2[37]px', html)
    assert "prefers-color-scheme: dark" in html
    assert "#A2441F" in html  # the firm's colour reads well enough on paper as it is
    comments = re.findall(r"<!--.*?-->", html, re.DOTALL)
    assert comments
    assert all(comment.startswith(("<!--[if", "<!--<![endif]")) for comment in comments)
    assert html.count("<!--[if mso]>") >= html.count("<!--<![endif]-->") >= 3
    assert "mso-" not in re.sub(r"<!--\[if mso\]>.*?<!\[endif\]-->", "", html, flags=re.DOTALL)


def test_everything_that_a_reader_is_owed_is_there() -> None:
    for part in (seen(html_of(PROSPECT)), text_of(PROSPECT)):
        words = " ".join(part.split())
        assert words.count("We time ferries, so that you need not guess.") == 1
        assert "You get this letter because you asked for it at the harbour days in" in words
        assert "Quay & Tide AS, Strandgaten 3, 5013 Bergen, Norway" in words.replace("&amp;", "&")
        assert "9, 11 Mar 2027" in words
        assert "9 March" in words
        assert "30 December 2026" in words  # another year than the letter's is said
        assert "5 March, in German" in words
    html = html_of(PROSPECT)
    assert f'href="{VALUES["leave_url"]}"' in html
    assert f'href="{VALUES["web_url"]}"' in html
    assert 'href="mailto:liv@quaytide.example?subject=Between%20Quays%20%28no.%209%29"' in html
    assert 'href="tel:+4755000001"' in html


def test_the_card_differs_and_nothing_else() -> None:
    prospect, customer = seen(html_of(PROSPECT)), seen(html_of(CUSTOMER))
    assert "Half an hour, nothing to buy" in prospect
    assert "New with us" not in prospect
    assert "New with us" in customer
    assert "Half an hour" not in customer
    assert "A second desk in Oslo. Since 1 March" in customer
    assert "Who reads the logs now? Ingrid Moe" in customer
    assert "One thing we may never have told you We time your berths" in customer
    assert "Write to Tom +47 55 00 00 02" in customer
    start = "Between Quays Time is bought"
    assert prospect[: prospect.index("Half an")] == customer[: customer.index("New with")]
    assert start in prospect


def test_a_reader_without_a_name_or_a_sender_without_a_telephone() -> None:
    html, text = html_of(PROSPECT, NOBODY), text_of(PROSPECT, NOBODY)
    assert "Good morning. Three stories, dear reader, and all" in seen(html)
    assert "tel:" not in html
    assert "on the web" not in html
    assert "Read it on the web" not in text
    assert 'href=""' not in html


def test_a_subject_is_filled_like_a_text() -> None:
    subject = render(replace(PROSPECT, subject="For {{first_name|you}}: 3 < 4"), TEMPLATES).subject
    assert fill_text(subject, VALUES) == "For Ingrid: 3 < 4"
    assert fill_text(subject, {}) == "For you: 3 < 4"


@pytest.mark.parametrize("kind", EDITIONS)
@pytest.mark.parametrize("values", [VALUES, {**NOBODY, "first_name": "Wolfeschlegelsteinhausen"}])
def test_text_keeps_to_seventy_columns(kind: EditionKind, values: dict[str, str]) -> None:
    text = text_of(EDITIONS[kind], values)
    for line in text.split("\n"):
        assert len(line) <= merge.WIDTH or "://" in line
        assert line == line.rstrip()
        if "://" in line:
            assert re.fullmatch(r" *https?://\S+", line)  # a link has its line to itself
    assert "\n\n\n\n" not in text
    assert not re.search("[\u00a0\ue000-\uf8ff]|<[a-z/]", text)
    assert text.endswith("\n")
    assert not text.startswith("\n")


def test_the_internal_mail_names_reasons_and_adds_up() -> None:
    html, text = seen(html_of(SALES)), " ".join(text_of(SALES).split())
    for part in (html, text):
        assert "Internal, for Tom" in part
        assert "One of the three stories touches accounts of yours, and three people there" in part
        assert "Between us: Ask for the eleven late mornings" in part
        assert "left on 2 February" in part
        assert "Call only" in part
        assert "Touches none of your accounts." in part
        assert (
            "Your 9 people: 6 get this letter, 1 on no list, 1 has left, 1 with too little left."
            in part
        )
        assert part.count("We time ferries, so that you need not guess.") == 1
    assert "Write to Dr. Berg" in html
    assert "Blue Strait &lt;Lines&gt; : this story is about them" in html
    assert "Unsubscribe" not in html_of(SALES)
    assert "leave/" not in html_of(SALES)
    mails = re.findall(r'href="(mailto:[^"]+)"', html_of(SALES))
    assert len(mails) == 2
    assert "&amp;body=Hello%20Mia%2C%0D%0A" in mails[1]


def test_a_long_name_of_an_account_breaks_in_the_text_part() -> None:
    group = replace(SALES.sales[0].groups[0], account_name="Vereinigte Fährbetriebe " * 3)
    text = text_of(replace(SALES, sales=(replace(SALES.sales[0], groups=(group,)),)))
    assert "same quay" in text
    assert all(len(line) <= merge.WIDTH for line in text.split("\n") if "://" not in line)


def test_a_list_without_people_has_one_column() -> None:
    group = replace(SALES.sales[0].groups[0], rows=(), note="Nobody is known there.")
    html = html_of(replace(SALES, sales=(replace(SALES.sales[0], groups=(group,)),)))
    (table,) = re.findall(r'<table class="list".*?</table>', html, re.DOTALL)
    assert "Nobody is known there." in table
    assert "colspan" not in table


def test_the_page_of_the_issue_belongs_to_nobody() -> None:
    page = render(PUBLIC, TEMPLATES)
    html = fill_html(page.html, {})
    for value in (VALUES["leave_url"], "Good morning", "mailto:", "tel:", "<style", "style="):
        assert value not in html
    assert 'href="../static/public.css"' in html
    assert '<a class="skip" href="#s1">' in html
    assert "dear reader" in html
    assert "mailto:liv@quaytide.example?subject=Between%20Quays%20%28no.%209%29" in fill_html(
        page.html, VALUES
    )
    shown = self_contained(html, {"../static/public.css": "a{}", "../static/brand.css": "b{}"})
    assert "<style>\na{}</style>" in shown
    assert "../static/public.css" not in shown


def test_german() -> None:
    letter = replace(PROSPECT, language="de-AT", signed="")
    html, text = html_of(letter), text_of(letter)
    assert '<html lang="de-AT" dir="ltr">' in html
    for part in (seen(html), " ".join(text.split())):
        assert "Nr. 9, 11. März 2027" in part
        assert "Unsere Sicht" in part
        assert "Außerdem notiert" in part
        assert "Preis" in part
        assert "30. Dezember 2026" in part
        assert "Sie bekommen diesen Brief, " in part
        assert "Our take" not in part
    assert "hyphens:auto" in html


def test_right_to_left() -> None:
    html = html_of(replace(PROSPECT, language="ar"))
    assert '<html lang="ar" dir="rtl">' in html
    assert 'role="main" lang="ar" dir="rtl"' in html
    assert "Geeza Pro" in html
    assert re.search(r'class="when" style="[^"]*text-align:left', html)


def test_a_story_without_take_question_source_or_date() -> None:
    bare = LetterStory(1, "", "Only a title", "", "", "", "", "", None)
    letter = replace(PROSPECT, stories=(bare,), noted=())
    html, text = html_of(letter), text_of(letter)
    assert "Only a title" in html
    assert "Our take" not in html + text
    assert 'class="src"' not in html
    assert 'class="ours"' not in html
    assert "Also noted" not in html + text


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "//evil.example",
        "/x",
        "https://x.example/\u0000",
        'https://x.example/"onclick=',
        "https:\\\\evil.example",
    ],
)
def test_an_address_that_is_none_is_no_link(url: str) -> None:
    story = replace(STORIES[0], url=url, source_name="A source")
    for letter in (replace(PROSPECT, stories=(story,)), replace(PUBLIC, stories=(story,))):
        html = html_of(letter)
        assert "A source" in html
        assert all(
            value.startswith(("https://", "http://", "mailto:", "tel:", "#", "../static/"))
            for _, _, attributes in events(html)
            for name, value in attributes
            if name == "href" and value
        )
        assert "evil" not in html
        assert "alert(1)" not in html


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;{{7*7}}{% raw %}"


def test_strangers_text_stays_text_in_every_place() -> None:
    story = replace(
        STORIES[0], title=HOSTILE, fact=HOSTILE, take=HOSTILE, question=HOSTILE,
        source_name=HOSTILE, signal=HOSTILE, sales_note=HOSTILE,
    )  # fmt: skip
    for letter in EDITIONS.values():
        changed = replace(
            letter, stories=(story,), noted=(story,), theme=HOSTILE, opening=HOSTILE,
            signed=HOSTILE, subject=HOSTILE, preheader=HOSTILE, positioning=HOSTILE,
            firm_name=HOSTILE, postal_address=HOSTILE, logo=HOSTILE,
        )  # fmt: skip
        html = html_of(changed)
        tags = {tag for kind, tag, _ in events(html) if kind == "start"}
        assert not tags & {"script", "img", "iframe", "svg"}
        assert all(
            not name.startswith("on") for _, _, attributes in events(html) for name, _ in attributes
        )
        assert "49" not in seen(html)


def test_without_a_theme_the_title_is_the_heading() -> None:
    for letter in (PROSPECT, PUBLIC):
        html = html_of(replace(letter, theme=""))
        assert re.findall(r"<h1[^>]*>(.*?)</h1>", html) == [letter.title]
        assert 'class="title"' in html
        assert f"{letter.title} {letter.number}:" not in html


@pytest.mark.parametrize("values", [VALUES, NOBODY])
def test_three_stars_never_stand_under_three_stars(values: dict[str, str]) -> None:
    """A short letter may go from its last story straight to its last line."""
    bare = replace(PROSPECT, noted=(), invitation_title="", invitation_text="")
    for letter in (PROSPECT, CUSTOMER, bare):
        assert "⁂ ⁂" not in " ".join(text_of(letter, values).split())
        rows = re.findall(r'<td class="([a-z]+)', html_of(letter, values))
        assert ["mark", "mark"] not in [rows[at : at + 2] for at in range(len(rows))]
        assert rows[rows.index("line") - 1] == "mark"


def test_a_source_without_a_link_stands_by_itself() -> None:
    """It has no link that would give it the height of a thumb."""
    heard = replace(STORIES[2], published_on=STORIES[0].published_on)
    for letter in (PROSPECT, PUBLIC):
        html = html_of(replace(letter, stories=(heard,)))
        assert 'class="src said"' in html
        assert "1 to 5 March, 9 March" in seen(html)


def test_a_logo_is_a_picture_with_the_firms_name() -> None:
    html = html_of(replace(PROSPECT, logo="https://quaytide.example/logo.png"))
    assert 'src="https://quaytide.example/logo.png" alt="Quay &amp; Tide" height="28"' in html


def test_a_long_issue_stays_under_the_limit() -> None:
    long = tuple(replace(story, number=n + 1) for n, story in enumerate(STORIES * 3))[:8]
    letter = replace(CUSTOMER, stories=long, noted=PROSPECT.noted * 4)
    assert len(html_of(letter).encode()) < MAX_HTML / 2


def test_templates_are_read_with_what_they_include() -> None:
    asked = []

    def read(name: str) -> str:
        asked.append(name)
        return TEMPLATES[name]

    letters = {name: text for name, text in TEMPLATES.items() if not name.startswith("notice.")}
    assert read_templates(read) == letters
    assert len(asked) == len(set(asked))


def test_the_digest_follows_the_templates_that_were_used() -> None:
    before = digest("prospect", TEMPLATES)
    assert before == digest("customer", TEMPLATES) == render(CUSTOMER, TEMPLATES).template_digest
    assert before != digest("sales", TEMPLATES)
    other = {**TEMPLATES, "style.html.j2": TEMPLATES["style.html.j2"] + " "}
    assert digest("prospect", other) != before
    unrelated = {**TEMPLATES, "sales.html.j2": ""}
    assert digest("prospect", unrelated) == before


def test_a_brand_colour_that_is_none_is_told() -> None:
    with pytest.raises(BadInput, match="teal"):
        render(replace(PROSPECT, brand_color="teal"), TEMPLATES)


class _Balance(HTMLParser):
    """Counts tags that are opened and not closed."""

    VOID = frozenset({"meta", "link", "br", "img"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("kind", EDITIONS)
@pytest.mark.parametrize("values", [VALUES, NOBODY], ids=["named", "nobody"])
def test_tags_are_balanced(kind: EditionKind, values: dict[str, str]) -> None:
    assert _Balance(html_of(EDITIONS[kind], values)).open == []


@pytest.mark.parametrize("name", ["letter.html.j2", "letter.txt.j2"])
@pytest.mark.parametrize(
    "form",
    ["{x.__class__}", "{x.__globals__[re].enum.sys.modules[os].environ}", "{x:>9999}", "{x!r}"],
)
def test_a_form_is_filled_with_parts_and_follows_no_attribute(name: str, form: str) -> None:
    """`str.format` read the environment, with our secrets in it, past the sandbox."""
    forms = {**TEMPLATES, name: f"{{{{ '{form}'|say(x=words.people) }}}}"}
    made = render(PROSPECT, forms)
    assert form in (made.text if ".txt" in name else made.html).replace("&gt;", ">")


def test_a_form_is_no_longer_than_a_sentence() -> None:
    forms = {**TEMPLATES, "letter.txt.j2": "{{ '" + "{x}" * 400 + "'|say(x='y') }}"}
    with pytest.raises(BadInput, match="a form of more than"):
        render(PROSPECT, forms)
