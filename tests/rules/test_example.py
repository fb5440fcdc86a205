"""What is still the example's is told until the last of it is gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.model.catalog import Firm
from pipeline.rules.example import out_of_reach, still_example
from pipeline.workspace.files import FileWorkspace
from pipeline.workspace.shipped import starter
from tests.builders import FIRM


@pytest.fixture(scope="module")
def example() -> Firm:
    return FileWorkspace(starter()).catalog().firm


def places(firm: Firm) -> list[str]:
    return [".".join(map(str, left.place[1:])) for left in still_example(firm)]


def test_all_that_the_starter_says_of_its_firm_is_known(example: Firm) -> None:
    assert places(example) == [
        "name", "postal_address", "base_url",
        *(f"staff.{n}.name" for n in range(len(example.staff))),
        *(f"services.{n}.name" for n in range(len(example.services))),
        *(f"news.{n}.title" for n in range(len(example.news))),
    ]  # fmt: skip


def test_a_firm_of_its_own_has_nothing_of_it() -> None:
    assert places(FIRM) == []
    assert places(replace(FIRM, name="Exemplary Partners", services=(), news=())) == []


def test_what_is_half_written_over_is_told(example: Firm) -> None:
    alex = replace(example.staff[0], name="Ada Lind")
    mine = replace(
        FIRM,
        staff=(alex, FIRM.staff[0]),
        postal_address="Quay & Tide, 1 Example Street, 00000 Exampletown",
    )
    assert places(mine) == ["postal_address", "staff.0.address", "staff.0.signature"]


@pytest.mark.parametrize(
    ("domain", "dead"),
    [
        ("quaytide.example", True),
        ("example", True),
        ("QuayTide.EXAMPLE", True),
        ("mail.example.com", True),
        ("localhost", True),
        ("quaytide.no", False),
        ("example-partners.no", False),
        ("myexample.com", False),
    ],
)
def test_domains_where_nobody_is_reached(domain: str, dead: bool) -> None:
    firm = replace(
        FIRM, base_url="https://letters.quaytide.no", contact="desk@quaytide.no",
        mail_domain=domain, staff=(),
    )  # fmt: skip
    told = [(left.place, left.what) for left in out_of_reach(firm)]
    what = "lies in a domain kept for examples, where nobody is reached"
    assert told == ([(("firm", "mail_domain"), what)] if dead else [])


def test_addresses_of_the_example_are_told_in_one_sentence(example: Firm) -> None:
    (told,) = (left for left in still_example(example) if left.place == ("firm", "base_url"))
    assert told.what == (
        "still the example's, at partners.example, where no reader can leave; so are contact, "
        "mail_domain, alex’s address, sam’s address and robin’s address"
    )
    assert list(out_of_reach(example)) == [], "each is told once"


@pytest.mark.parametrize(
    ("changes", "place", "what"),
    [
        ({"base_url": "https://letters.partners.example"}, "base_url", "leave"),
        ({"contact": "desk@Partners.example"}, "contact", "leave"),
        (
            {"base_url": "https://partners.example", "mail_domain": "partners.example"},
            "base_url",
            "leave; so is mail_domain",
        ),
    ],
)
def test_one_address_of_the_example_is_enough(
    changes: dict[str, str], place: str, what: str
) -> None:
    """Its leave link would lead nowhere: whoever got such a letter could not end it."""
    mine = replace(FIRM, **changes)  # type: ignore[arg-type]
    (told,) = still_example(mine)
    assert told.place == ("firm", place)
    assert told.what.endswith(f"where no reader can {what}")
    assert places(replace(FIRM, base_url="https://mypartners.example")) == []


def test_dead_addresses_are_told_in_one_sentence() -> None:
    (told,) = out_of_reach(replace(FIRM, staff=FIRM.staff[:2]))
    names = [f"{person.key}’s address" for person in FIRM.staff[:2]]
    assert told.place == ("firm", "base_url")
    assert told.what == (
        "lies in a domain kept for examples, where nobody is reached; so do contact, mail_domain, "
        f"{names[0]} and {names[1]}"
    )
