"""A company's name or a domain, and the account it means."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.model.catalog import Account
from pipeline.rules.people.companies import Companies
from tests.builders import CATALOG, FERRIES

COMPANIES = Companies(CATALOG)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("northline", "northline"),
        ("Northline", "northline"),
        ("NORTHLINE  FERRIES", "northline"),  # an alias
        ("Northline A/S", "northline"),
        ("Northline Ltd.", "northline"),
        ("Skagen-Ruter", "skagen-ruter"),
        ("Skagénruter", "skagen-ruter"),
        ("Blue Strait Co., Inc.", "blue-strait"),
        ("Blue", None),
        ("Northline Cruises", None),
        ("Polar Link", None),  # a rival is no account
        ("", None),
        ("...", None),
        ("Ltd", None),
    ],
)
def test_names(name: str, key: str | None) -> None:
    assert COMPANIES.by_name(name) == key


@pytest.mark.parametrize(
    ("domain", "key"),
    [
        ("northline.example", "northline"),
        ("crew.mail.northline.example", "northline"),
        ("notnorthline.example", None),
        ("northline.example.evil.example", None),
        ("example", None),
        ("", None),
    ],
)
def test_domains(domain: str, key: str | None) -> None:
    assert COMPANIES.by_domain(domain) == key


def test_an_and_is_a_sign_or_a_word() -> None:
    sons = Account("kaffa", "Kaffa & Sons", "prospect", ("Crema & Co",))
    catalog = replace(CATALOG, constellations=(replace(FERRIES, accounts=(sons,)),))
    companies = Companies(catalog)
    for name in ("Kaffa and Sons", "Kaffa Sons", "KAFFA & SONS Ltd", "Crema", "Crema and Co."):
        assert companies.by_name(name) == "kaffa", name
    for name in ("Kaffa Daughters", "and", "And Sons"):
        assert companies.by_name(name) is None, name


def test_a_name_that_is_near_is_suggested() -> None:
    assert COMPANIES.near("Nortline") == ', did you mean "Northline"?'
    assert COMPANIES.near("Something Else") == ""


def test_a_name_that_could_be_two_is_nobody() -> None:
    twins = (
        Account("fjord-as", "Fjord AS", "prospect"),
        Account("fjord-ltd", "Fjord Ltd", "prospect"),
    )
    catalog = replace(CATALOG, constellations=(replace(FERRIES, accounts=twins),))
    companies = Companies(catalog)
    assert companies.by_name("Fjord") is None
    assert companies.by_name("Fjord AS") == "fjord-as"
    assert companies.by_name("Fjord Limited") is None


def test_a_domain_as_people_write_it() -> None:
    accounts = (Account("a", "A", "prospect", domain="www.Fähre.example"),)
    companies = Companies(replace(CATALOG, constellations=(replace(FERRIES, accounts=accounts),)))
    assert companies.by_domain("xn--fhre-loa.example") == "a"
