"""Why a story touches an account, in words that our own people read."""

from __future__ import annotations

from collections.abc import Mapping

_RELATIONS: Mapping[str, str] = {
    "customer": "their customer {}",
    "rival": "their rival {}",
    "supplier": "their supplier {}",
    "incumbent": "{}, whom they buy from today,",
}
_PLACES: Mapping[str, str] = {
    "headline": "in the headline",
    "lead": "in the opening",
    "body": "further down",
}


def why_touched(relation: str, where: str, evidence: str) -> str:
    """A mention in words: “their rival Polar Link is named in the headline”.

    Shape:  relation and where as in model.news.Mention; evidence are the words that matched
    """
    place = _PLACES.get(where, where)
    if relation == "self":
        return f"named {place}: “{evidence}”"
    who = _RELATIONS.get(relation, f"their {relation} {{}}").format(evidence)
    return f"{who} is named {place}"
