"""A month's page: its pictures show every account and beat, and nothing in it comes alive."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from base64 import b64encode
from dataclasses import replace
from datetime import date
from fractions import Fraction
from xml.etree import ElementTree as ET

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.sales import (
    AccountCoverage,
    BeatLine,
    Coverage,
    LetterCounts,
    MonthReport,
    ToldStory,
)
from pipeline.rules.reports.calendar import sheet
from pipeline.rules.reports.page import front, page
from pipeline.rules.reports.sky import LOWEST, WIDTH, lines, sky, stars
from pipeline.rules.reports.table import as_csv, guarded

MARCH = date(2027, 3, 1)
ACCOUNTS = (
    AccountCoverage("northline", "Northline", "prospect", "tom", 2, 0),
    AccountCoverage("skagen", "Skagen <Ruter>", "customer", "liv", 1, 3),
    AccountCoverage("strait", "=Blue Strait", "prospect", "gone", 0, 0),
)
BEATS = (
    BeatLine("Between Quays", date(2027, 3, 4), "kept", ""),
    BeatLine("Between Quays", date(2027, 3, 11), "missed", "nobody <approved> it"),
    BeatLine("Between Quays", date(2027, 3, 18), "planned", ""),
    BeatLine("A Month of Quays", date(2027, 3, 18), "skipped", "Good Friday"),
)
REPORT = MonthReport(
    coverage=Coverage("ferries", "Ferry companies", MARCH, ACCOUNTS, Fraction(1, 8), 1, 3),
    beats=BEATS,
    letters=LetterCounts(1204, 2, 1, 0),
    stories=(
        ToldStory("A <b>lock</b> opens", "Coast Wire", "https://coastwire.example/1?a=1&b=2", 3),
        ToldStory("Not a link", "", "javascript:alert(1)", 1),
    ),
    firm_name="Quay & Tide",
    owners={"tom": "Tom Reyes", "liv": "Liv Haugen"},
    is_over=True,
)


def read(report: MonthReport = REPORT) -> BeautifulSoup:
    return BeautifulSoup(page(report), "html.parser")


def words(report: MonthReport = REPORT) -> str:
    return " ".join(read(report).body.get_text(" ").split())


def test_the_page_says_the_month() -> None:
    said = words()
    for part in (
        "Quay & Tide", "March 2027", "Ferry companies",
        "2 of 3 accounts touched. 1 of 3 beats kept, 1,204 letters sent.",
        "1 by hand", "1 by letters alone", "Not touched: 1 =Blue Strait gone",
        "About 0.1 of 3 accounts may be expected to buy in any month. Exactly 1/8:",
        "Shown to one decimal", "1 kept of 3, 1 missed, 1 skipped. A skipped beat was never",
        "missed nobody <approved> it", "sent 1,204", "left a newsletter 2", "complained 0",
        "A <b>lock</b> opens Coast Wire, told to 3 people", "told to 1 person", "Tom Reyes",
    ):  # fmt: skip
        assert re.sub(r"\s", "", part) in re.sub(r"\s", "", said), part


def test_the_same_month_gives_the_same_bytes() -> None:
    assert page(REPORT) == page(REPORT)
    assert as_csv(REPORT) == as_csv(REPORT)


def test_nothing_is_asked_of_anywhere_and_nothing_runs() -> None:
    soup = read()
    policy = soup.find("meta", {"http-equiv": "Content-Security-Policy"})["content"]
    digest = hashlib.sha256(soup.style.string.encode()).digest()
    assert policy == (
        "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"style-src 'sha256-{b64encode(digest).decode()}'"
    )
    assert "url(" not in soup.style.string
    assert not soup.find_all(["script", "img", "link", "iframe", "object", "b:lock"])
    assert not soup.find_all(attrs={"style": True})
    assert not [tag for tag in soup.find_all() if any(a.startswith("on") for a in tag.attrs)]
    assert {a["href"] for a in soup.find_all("a")} == {
        "https://coastwire.example/1?a=1&b=2", "ferries.csv", "index.html",
    }  # fmt: skip


def test_a_picture_has_its_words() -> None:
    soup = read()
    pictures = soup.find_all("svg", role="img")
    assert len(pictures) == 2
    for picture in pictures:
        ids = picture["aria-labelledby"].split()
        assert [soup.find(id=one).name for one in ids] == ["title", "desc"]
        assert all(soup.find(id=one).get_text() for one in ids)
    rows = soup.find_all("table")[-1].tbody.find_all("tr")
    assert [row.th.get_text() for row in rows] == [one.name for one in ACCOUNTS]


@pytest.mark.parametrize(
    ("number", "about", "exact", "rounding"),
    [
        (Fraction(50), "50", "50", "Nothing is rounded"),
        (Fraction(25, 6), "4.2", "4 1/6", "Shown to one decimal"),
        (Fraction(1, 20), "0.1", "1/20", "Shown to one decimal"),
        (Fraction(5, 2), "2.5", "2 1/2", "Nothing is rounded"),
        (Fraction(0), "0", "0", "Nothing is rounded"),
    ],
)
def test_buyers_are_exact_and_their_rounding_is_said(
    number: Fraction, about: str, exact: str, rounding: str
) -> None:
    said = words(replace(REPORT, coverage=replace(REPORT.coverage, buyers_per_month=number)))
    assert f"About {about} of" in said
    assert f"Exactly {exact}:" in said
    assert rounding in said


def test_an_empty_month_is_a_page_too() -> None:
    coverage = Coverage("trams", "Trams", MARCH, (), Fraction(0), 0, 0)
    report = MonthReport(coverage, (), LetterCounts(0, 0, 0, 0), (), "Q", {}, is_over=False)
    said = words(report)
    for part in ("No accounts yet; the month still runs", "No beat was planned, no letter sent",
                 "no accounts yet", "No beat fell into this month",
                 "Nobody was told of a story"):  # fmt: skip
        assert part in said
    # a sky without stars, buyers among nobody and a table without rows would say nothing
    assert not read(report).find_all(["svg", "table"])
    assert "may be expected to buy" not in said
    all_touched = replace(coverage, accounts=ACCOUNTS[:2])
    said = words(replace(report, coverage=all_touched))
    assert "2 of 2 accounts touched so far; the month still runs" in said
    assert "every account heard from us" in said


def test_the_index_leads_to_each_page() -> None:
    trams = replace(REPORT, coverage=replace(REPORT.coverage, constellation_key="trams"))
    soup = BeautifulSoup(front(MARCH, "Quay & Tide", [REPORT, trams]), "html.parser")
    assert [a["href"] for a in soup.find_all("a")] == ["ferries.html", "trams.html"]
    assert "2 constellations, each with a page of its own" in soup.get_text()
    assert "1,204" in soup.get_text()


def test_names_from_right_to_left_keep_to_themselves() -> None:
    account = AccountCoverage("quay", "רציף 7", "prospect", "tom", 0, 0)
    story = replace(REPORT.stories[0], title="הנמל נפתח")
    coverage = replace(REPORT.coverage, accounts=(account,))
    soup = read(replace(REPORT, coverage=coverage, stories=(story,)))
    assert [one.get_text() for one in soup.find_all("bdi")] == ["רציף 7", "הנמל נפתח", "רציף 7"]


# ── the table ────────────────────────────────────────────────────────────────────────────


def test_the_table_is_for_a_spreadsheet_and_no_formula_runs() -> None:
    raw = as_csv(REPORT)
    assert raw.startswith(b"\xef\xbb\xbf")
    head, *rows = csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""))
    assert head[2:4] == ["account", "relationship"]
    assert rows[0] == [
        "2027-03", "Ferry companies", "Northline", "prospect", "Tom Reyes", "2", "0", "yes",
    ]  # fmt: skip
    assert rows[2][2] == "'=Blue Strait"
    assert rows[2][-1] == "no"


@given(st.text())
def test_no_cell_begins_as_a_formula(cell: str) -> None:
    assert not guarded(cell).lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert guarded(cell).endswith(cell)


# ── the pictures ─────────────────────────────────────────────────────────────────────────


def many(number: int) -> tuple[AccountCoverage, ...]:
    return tuple(
        AccountCoverage(f"a{n}", f"A {n}", "prospect", "tom", n % 3, int(n % 5 == 0))
        for n in range(number)
    )


@pytest.mark.parametrize("number", [0, 1, 2, 7, 60, 600])
def test_each_account_has_a_star_of_its_own_inside_the_sky(number: int) -> None:
    placed = stars(many(number))
    assert {star.account.key for star in placed} == {f"a{n}" for n in range(number)}
    assert len({(star.x, star.y) for star in placed}) == number
    picture = ET.fromstring(str(sky(many(number), "told")))
    width, height = map(float, picture.get("viewBox", "").split()[2:])
    assert width == WIDTH
    assert all(0 < star.x < width and 0 < star.y < height for star in placed)
    assert len(picture.findall(".//circle")) == number
    assert height >= LOWEST  # a few accounts make no strip


def test_a_star_stays_where_it_was_whatever_the_month_brought() -> None:
    one, other = many(60), tuple(replace(a, by_hand=9, by_machine=0) for a in many(60))
    assert [(s.account.key, s.x, s.y) for s in stars(one)] == [
        (s.account.key, s.x, s.y) for s in stars(reversed(other))
    ]


@given(st.integers(min_value=0, max_value=30))
def test_the_lines_join_all_and_none_is_drawn_twice(number: int) -> None:
    placed = stars(many(number))
    drawn = lines(placed)
    assert len(drawn) == max(0, number - 1)
    joined = {placed[0].account.key} if placed else set()
    for a, b in drawn:
        assert a.account.key in joined
        assert b.account.key not in joined
        joined.add(b.account.key)
    assert len(joined) == number


@pytest.mark.parametrize("month", [MARCH, date(2027, 2, 1), date(2026, 8, 1), date(2028, 2, 1)])
def test_the_calendar_shows_each_day_and_each_beat(month: date) -> None:
    beats = [
        replace(beat, on=beat.on.replace(month=month.month, year=month.year)) for beat in BEATS
    ]
    picture = ET.fromstring(str(sheet(month, beats, "told")))
    days = [text for text in picture.iter("text") if text.get("class") != "dow"]
    last = {3: 31, 2: 29 if month.year == 2028 else 28, 8: 31}[month.month]
    assert [text.text for text in days] == [str(n) for n in range(1, last + 1)]
    assert [text.text for text in days if text.get("class") == "day busy"] == ["4", "11", "18"]
    marks = [mark.get("class") for g in picture.iter("g") for mark in g if mark.get("class")]
    assert marks == ["kept", "missed", "planned", "skipped"]
    bottom = float(picture.get("viewBox", "").split()[3])
    assert all(float(text.get("y", "0")) < bottom for text in days)
