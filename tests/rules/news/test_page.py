from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.catalog import Selectors
from pipeline.model.news import ParsedFeed, ParseFailed
from pipeline.rules.news.page import parse_date, parse_page

URL = "https://bluestrait.example/press/"
SELECTORS = Selectors("article", "h2", "h2 a", "time", ".lead")
PAGE = """<!DOCTYPE html><html><head><title>Blue Strait
 press</title></head><body><nav><a href="/">Home</a></nav>
<article><h2><a href="2027/berth.html">A berth for &lt;Havn&gt;</a></h2>
<time datetime="2027-03-08T08:00:00+01:00">yesterday</time>
<p class=lead>Two <b>cranes</b>.</article>
<article><h2><a href="/2027/crew">Crew found</a></h2><time>March 5th, 2027</time></article>
<article><h2>No link at all</h2></article>
</body></html>"""


def read(page: str | bytes = PAGE, selectors: Selectors = SELECTORS, kind: str = "") -> ParsedFeed:
    body = page.encode() if isinstance(page, str) else page
    parsed = parse_page(body, kind, URL, selectors)
    assert isinstance(parsed, ParsedFeed), parsed
    return parsed


def refuse(page: str | bytes, selectors: Selectors = SELECTORS) -> ParseFailed:
    body = page.encode() if isinstance(page, str) else page
    failed = parse_page(body, "text/html", URL, selectors)
    assert isinstance(failed, ParseFailed), failed
    return failed


def test_a_list_page() -> None:
    parsed = read()
    assert parsed.title == "Blue Strait press"
    first, second = parsed.entries
    assert first.raw_title == "A berth for &lt;Havn&gt;"
    assert first.raw_url == "https://bluestrait.example/press/2027/berth.html"
    assert first.published_at == datetime(2027, 3, 8, 7, tzinfo=UTC)
    assert first.raw_summary == "Two <b>cranes</b>."
    assert second.raw_url == "https://bluestrait.example/2027/crew"
    assert second.published_at == datetime(2027, 3, 5, tzinfo=UTC)
    assert parsed.warnings == ("1 of 3 items had no title or no link and were left out.",)


def test_links_are_read_against_the_base_of_the_page() -> None:
    page = PAGE.replace("<head>", '<head><base href="https://files.example/x/">')
    assert read(page).entries[0].raw_url == "https://files.example/x/2027/berth.html"
    page = PAGE.replace("<head>", '<head><base href="javascript:x">')
    assert read(page).entries[0].raw_url == "https://bluestrait.example/press/2027/berth.html"


def test_the_item_may_be_the_link_itself() -> None:
    page = "<a class=n href=/1>One</a><a class=n href=/2>Two</a>"
    for selector in ("", ":scope"):
        entries = read(page, Selectors("a.n", selector, selector)).entries
        assert [(e.raw_title, e.raw_url[-2:]) for e in entries] == [("One", "/1"), ("Two", "/2")]


def test_a_link_may_stand_around_or_inside_what_was_selected() -> None:
    page = "<li><a href=/1><b>One</b></a></li><li><div><a href=/2>more</a></div><b>Two</b></li>"
    inside = Selectors("li", "b", "div")
    around = Selectors("li", "b", "b")
    assert [e.raw_url for e in read(page, inside).entries] == ["https://bluestrait.example/2"]
    assert [e.raw_url for e in read(page, around).entries] == ["https://bluestrait.example/1"]


def test_a_time_element_is_found_without_a_selector() -> None:
    selectors = Selectors("article", "h2", "h2 a")
    assert read(selectors=selectors).entries[0].published_at == datetime(2027, 3, 8, 7, tzinfo=UTC)


def test_dates_that_cannot_be_read_are_told() -> None:
    page = "<li><a href=/1>One</a><i>soon</i><li><a href=/2>Two</a><i>later</i>"
    parsed = read(page, Selectors("li", "a", "a", "i"))
    assert parsed.warnings == ("The selector for dates, “i”, gave no date that could be read.",)
    assert parsed.entries[0].published_at is None


# ── bad input ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("selectors", "name"),
    [
        (Selectors("section.gone", "h2", "a"), "section.gone"),
        (Selectors("article", "h3", "a"), "h3"),
        (Selectors("article", "h2", "a.more"), "a.more"),
    ],
)
def test_selectors_that_match_nothing(selectors: Selectors, name: str) -> None:
    failed = refuse(PAGE, selectors)
    assert failed.reason == "no_match"
    assert f"“{name}”" in failed.detail
    assert failed.detail.endswith("matched nothing; the page may have changed.")


@pytest.mark.parametrize("items", ["*", "body", "html", "div"])
def test_selectors_that_match_everything(items: str) -> None:
    page = f"<div><div><div>{PAGE}</div></div></div>"
    assert refuse(page, Selectors(items, "h2", "a")).reason == "too_broad"


def test_more_items_than_any_list_has() -> None:
    page = "".join(f"<li><a href=/{n}>t</a>" for n in range(2_500))
    assert refuse(page, Selectors("li", "a", "a")).reason == "too_broad"


def test_items_that_all_lead_to_one_place() -> None:
    page = '<li><a href="#">One</a><li><a href="#">Two</a>'
    assert refuse(page, Selectors("li", "a", "a")).reason == "too_broad"


@pytest.mark.parametrize("selector", ["li[", "li >", "::before", ":nth(", "li:made-up(2)"])
def test_a_selector_that_cannot_be_read(selector: str) -> None:
    failed = refuse(PAGE, Selectors(selector, "h2", "a"))
    assert failed.reason == "bad_selector"
    assert "\n" not in failed.detail


@pytest.mark.parametrize("body", [b"", b" \r\n", b"\0\0"])
def test_nothing(body: bytes) -> None:
    assert refuse(body).reason == "empty"


@pytest.mark.parametrize(
    ("encoded", "kind"),
    [
        ("utf-8", "text/html; charset=iso-8859-1"),
        ("windows-1252", "text/html; charset=utf-8"),
        ("windows-1252", "text/html"),
        ("utf-16", "text/html"),
    ],
)
def test_the_wrong_charset(encoded: str, kind: str) -> None:
    page = PAGE.replace("Crew found", "Mannskap på ferjá")
    assert read(page.encode(encoded), kind=kind).entries[1].raw_title == "Mannskap på ferjá"


def test_nuls_scripts_and_links_that_are_none() -> None:
    page = (
        "<li><a href='java\0script:x'>On\0e</a><script>x</script></li>"
        "<li><a href=/2>Two<script>y</script></a></li>"
    )
    (entry,) = read(page, Selectors("li", "a", "a")).entries
    assert (entry.raw_title, entry.raw_url) == ("Two", "https://bluestrait.example/2")


@pytest.mark.parametrize(
    "body", ["/etc/passwd", "https://coast.example/", "<?xml version='1.0'?><a/>"]
)
def test_a_file_an_address_or_xml_is_no_page(body: str) -> None:
    assert refuse(body).reason == "no_match"


def test_a_feed_is_no_page_of_that_shape() -> None:
    assert (
        refuse("<rss><channel><item><title>x</title></item></channel></rss>").reason == "no_match"
    )


# ── dates ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        "2027-03-08", "2027/03/08", "2027.3.8", "20270308", "8 March 2027", "March 8, 2027",
        "Mar. 8th, 2027", "8. März 2027", "8 mars 2027", "8 de marzo de 2027", "8 marzo 2027",
        "8 maart 2027", "08.03.2027", "8.3.2027", "Monday, 8 March 2027", "8 MAR 2027",
        "Published: March 8, 2027 by Liv", "08-Mar-2027 00:00 +0000",
    ],
)  # fmt: skip
def test_a_day_in_many_spellings(text: str) -> None:
    assert parse_date(text) == datetime(2027, 3, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2027-03-08T08:00:00+01:00", datetime(2027, 3, 8, 7, tzinfo=UTC)),
        ("Mon, 08 Mar 2027 08:00:00 +0100", datetime(2027, 3, 8, 7, tzinfo=UTC)),
        ("25/03/2027", datetime(2027, 3, 25, tzinfo=UTC)),
        ("03/25/2027", datetime(2027, 3, 25, tzinfo=UTC)),
        ("04/04/2027", datetime(2027, 4, 4, tzinfo=UTC)),
        ("03/04/2027", None),  # March or April
        ("31.02.2027", None),
        ("2027-13-40", None),
        ("00 March 0000", None),
        ("8 Thermidor 2027", None),
        ("two hours ago", None),
        ("", None),
        ("9" * 500, None),
    ],
)
def test_only_what_is_certain(text: str, expected: datetime | None) -> None:
    assert parse_date(text) == expected


@given(st.text(alphabet="0123456789/.-: T+ZMarchDec,", max_size=40))
def test_no_date_text_raises(text: str) -> None:
    found = parse_date(text)
    assert found is None or found.tzinfo is UTC
