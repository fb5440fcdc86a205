"""Dates, yes and no, kinds of basis, names, languages and zones, as people and CRMs write them."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rules.people import cells

EIGHTH_OF_MARCH = date(2026, 3, 8)


@pytest.mark.parametrize(
    "cell",
    ["2026-03-08", "2026/3/8", "2026.03.08", "2026-03-08T10:30:00Z", "2026-03-08 10:30",
     "08.03.2026", "8 March 2026", "8-Mar-2026", "8. mar 2026", "Mar 8, 2026", "March 8th 2026",
     " 2026-03-08 "],
)  # fmt: skip
@pytest.mark.parametrize("day_first", [True, False, None])
def test_a_date_that_can_only_be_read_one_way(cell: str, day_first: bool | None) -> None:
    assert cells.read_date(cell, day_first=day_first) == EIGHTH_OF_MARCH


def test_a_date_that_could_be_two_is_read_as_its_column_says() -> None:
    assert cells.read_date("08/03/2026", day_first=True) == EIGHTH_OF_MARCH
    assert cells.read_date("3/8/2026 9:00 AM", day_first=False) == EIGHTH_OF_MARCH
    assert cells.read_date("08/03/2026", day_first=None) is None
    assert cells.read_date("08/08/2026", day_first=None) == date(2026, 8, 8)


@pytest.mark.parametrize(
    ("column", "day_first"),
    [
        (["08/03/2026", "31/12/2025"], True),
        (["08/03/2026", "12/31/2025"], False),
        (["08/03/2026", "07/02/2025"], None),
        (["31/12/2025", "12/31/2025"], None),
        (["2026-03-08", "soon", ""], None),
    ],
)
def test_one_clear_date_tells_for_its_column(column: list[str], day_first: bool | None) -> None:
    assert cells.day_comes_first(column) is day_first


@pytest.mark.parametrize(
    "cell",
    ["", "soon", "45000", "2026-13-01", "2026-02-30", "31.02.2026", "0000-01-01", "1776-07-04",
     "08/03/26", "8 Brumaire 2026", "٢٠٢٦-٠٣-٠٨", "08/03-2026", "=TODAY()"],
)  # fmt: skip
def test_what_is_no_date(cell: str) -> None:
    assert cells.read_date(cell, day_first=True) is None


@given(st.dates(min_value=date(1900, 1, 1), max_value=date(9999, 12, 31)), st.booleans())
def test_every_date_is_read_back_as_written(day: date, day_first: bool) -> None:
    slashes = f"{day:%d/%m/}{day.year}" if day_first else f"{day:%m/%d/}{day.year}"
    assert cells.read_date(day.isoformat(), day_first=None) == day
    assert cells.read_date(slashes, day_first=day_first) == day
    assert cells.read_date(f"{day.day}.{day.month}.{day.year}", day_first=None) == day


@pytest.mark.parametrize("cell", ["", "No", "false", "0", "N", " no ", "-", "n/a", "Not specified"])
def test_a_plain_no_leaves_them_in(cell: str) -> None:
    assert not cells.is_out(cell)


@pytest.mark.parametrize("cell", ["Yes", "TRUE", "1", "x", "2024-05-01", "opted out", "maybe"])
def test_anything_else_takes_them_out(cell: str) -> None:
    assert cells.is_out(cell)


@pytest.mark.parametrize("cell", ["", "Yes", "Subscribed", "active", "Opted in", "1"])
def test_subscribed(cell: str) -> None:
    assert not cells.is_unsubscribed(cell)


@pytest.mark.parametrize("cell", ["No", "Unsubscribed", "Archived", "bounced", "no consent", "0"])
def test_unsubscribed(cell: str) -> None:
    assert cells.is_unsubscribed(cell)


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        ("customer", "customer"),
        ("Consent", "consent"),
        ("legitimate_interest", "legitimate_interest"),
        ("Legitimate interest – prospect/lead", "legitimate_interest"),
        ("Legitimate interest - existing customer", "customer"),
        ("Performance of a contract;Freely given consent from contact", "customer"),
        ("Freely given consent from contact", "consent"),
        ("Not applicable", None),
        ("", None),
    ],
)
def test_kinds_of_basis(cell: str, kind: str | None) -> None:
    assert cells.basis_kind(cell) == kind


def test_an_unknown_kind_of_basis_is_an_error() -> None:
    with pytest.raises(KeyError):
        cells.basis_kind("they will not mind")


@pytest.mark.parametrize(
    ("cell", "tag"),
    [("en", "en"), ("EN", "en"), ("en_gb", "en-GB"), ("de-AT", "de-AT"), ("German", "de"),
     ("English (UK)", "en"), ("", ""), ("Klingon", None), ("en-", None), ("12", None)],
)  # fmt: skip
def test_languages(cell: str, tag: str | None) -> None:
    assert cells.read_language(cell) == tag


@pytest.mark.parametrize(
    ("cell", "zone"),
    [("Europe/Oslo", "Europe/Oslo"), ("europe_slash_oslo", "Europe/Oslo"),
     ("america_slash_new_york", "America/New_York"), ("UTC", "UTC"), ("", ""),
     ("Mars/Phobos", None), ("../../etc/passwd", None), ("Europe", None), ("x" * 500, None)],
)  # fmt: skip
def test_zones(cell: str, zone: str | None) -> None:
    assert cells.read_zone(cell) == zone


def test_names_and_titles() -> None:
    assert cells.split_name("Liv Haugen") == ("Liv", "Haugen")
    assert cells.split_name("Haugen, Liv") == ("Liv", "Haugen")
    assert cells.split_name("Ana María de la Cruz") == ("Ana", "María de la Cruz")
    assert cells.split_name("Liv") == ("Liv", "")
    assert cells.job_title("Head of berths") == "Head of berths"
    assert cells.job_title("Mrs.") == ""
