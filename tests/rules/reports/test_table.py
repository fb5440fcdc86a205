"""Cells that a spreadsheet would take for a formula, however they hide it."""

from __future__ import annotations

import pytest

from pipeline.rules.reports.table import guarded


@pytest.mark.parametrize(
    "cell",
    ["=1", " =1", "\u00a0=1", "\u200b=1", "\ufeff+1", "\u3000@A", "\x0b-1", "\x00=1", "＝1", "＋1",
     "－1", "＠A", "\t", "\rx", "\nx"],
)  # fmt: skip
def test_a_formula_is_kept_from_running(cell: str) -> None:
    assert guarded(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "Northline", "A=B", "Łódź - Gdańsk", "3 + 4", " Quay"])
def test_a_name_stays_as_it_is(cell: str) -> None:
    assert guarded(cell) == cell
