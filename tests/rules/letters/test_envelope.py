"""One copy made ready: named for the title that its reader sees, and for nothing of ours."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rules.letters.envelope import list_name


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Between Quays", "between-quays"),
        ("Under Load", "under-load"),
        ("Zwischen Kränen & Kais", "zwischen-kranen-kais"),
        ("  --  ", "letter"),
        ("Δελτίο", "letter"),
        ("A" * 80, "a" * 60),
    ],
)
def test_a_list_is_named_by_its_title(title: str, name: str) -> None:
    assert list_name(title) == name


@given(st.text(max_size=120))
def test_a_list_name_is_always_one_label_of_a_domain(title: str) -> None:
    assert re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?", list_name(title))
