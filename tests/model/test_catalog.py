"""What the catalog knows of our people."""

from __future__ import annotations

from dataclasses import replace

import pytest

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
