from __future__ import annotations

import pytest

from pipeline.rules.news.mentions import why_touched


@pytest.mark.parametrize(
    ("relation", "where", "says"),
    [
        ("self", "headline", "named in the headline: “Polar Link”"),
        ("rival", "lead", "their rival Polar Link is named in the opening"),
        ("customer", "body", "their customer Polar Link is named further down"),
        ("supplier", "lead", "their supplier Polar Link is named in the opening"),
        ("incumbent", "lead", "Polar Link, whom they buy from today, is named in the opening"),
    ],
)
def test_a_mention_in_words(relation: str, where: str, says: str) -> None:
    assert why_touched(relation, where, "Polar Link") == says
