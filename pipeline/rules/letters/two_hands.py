"""When two hands write on one text: whose words stand, decided from the digest both began with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

from pipeline.rules.letters.curated import digest

Whose = Literal["same", "mine", "theirs", "conflict"]


def decide(
    current: Mapping[str, str],
    mine: Mapping[str, str],
    base: str,
    *,
    seen: Collection[str] = (),
    untouched: bool = False,
) -> Whose:
    """Whose words stand.

    "mine" also where nobody has written yet; "theirs" where I left mine as I got them.

    Shape:  mine may lack fields: those stay as they are. base is the digest of the words as I
            got them, "" when unknown; seen are digests of what I wrote there myself since then;
            untouched says that nobody has ever changed the current words
    """
    if all(current.get(name, "") == text for name, text in mine.items()):
        return "same"
    now = digest(current)
    if now in seen:
        return "mine"
    if base and digest(mine) == base:
        return "theirs"
    if untouched or now == base:
        return "mine"
    return "conflict"
