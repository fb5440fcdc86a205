"""What the catalog knows of our people."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.errors import NotFound
from pipeline.model.catalog import SHOWN
from tests.builders import CATALOG, FERRIES


@pytest.mark.parametrize(
    ("actor", "may"),
    [("liv", True), ("LIV", True), ("Liv Haugen", True), ("liv@quaytide.example", True),
     ("eva", False), ("", False), ("Liv", True), ("Haugen", False)],
)  # fmt: skip
def test_the_approver_is_known_by_key_name_or_address(actor: str, may: bool) -> None:
    assert CATALOG.is_approver(actor, FERRIES) is may


def test_an_approver_who_left_the_file_approves_nothing_by_another_name() -> None:
    gone = replace(FERRIES, approver="nobody")
    assert CATALOG.is_approver("nobody", gone)
    assert not CATALOG.is_approver("Liv Haugen", gone)


def test_what_is_there_is_found_by_its_key() -> None:
    assert CATALOG.find_constellation("ferries") is FERRIES
    assert CATALOG.find_newsletter("ferry-weekly").constellation == "ferries"
    assert CATALOG.find_source(CATALOG.sources[0].key) is CATALOG.sources[0]


@pytest.mark.parametrize("what", ["constellation", "newsletter", "source"])
def test_what_is_not_there_is_told_with_the_nearest(what: str) -> None:
    find = getattr(CATALOG, f"find_{what}")
    known = {"constellation": "ferries", "newsletter": "ferry-weekly", "source": "coast-wire"}
    with pytest.raises(NotFound) as missing:
        find(f"{known[what]}x")
    assert missing.value.message == f"There is no {what} “{known[what]}x”."
    assert missing.value.hint == f"Did you mean {known[what]}?"
    with pytest.raises(NotFound, match="There are: "):
        find("zzz")
    with pytest.raises(NotFound, match="There are: none yet"):
        getattr(replace(CATALOG, constellations=(), sources=()), f"find_{what}")("zzz")


def test_a_long_list_of_what_there_is_is_cut() -> None:
    many = tuple(replace(CATALOG.sources[0], key=f"s{n}") for n in range(SHOWN + 3))
    with pytest.raises(NotFound, match="s11 and 3 more"):
        replace(CATALOG, sources=many).find_source("zzz")
