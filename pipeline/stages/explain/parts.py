"""An explanation has parts; a part that grows with time or with people has a short form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from pipeline.model.log import Step


@dataclass(frozen=True, slots=True)
class Part:
    """Steps that belong together."""

    steps: tuple[Step, ...]
    short: tuple[Step, ...]  #: what a person needs first; the rest by a count


Parts = Sequence[Part]

#: What is said of the parts that are not shown.
Rest = Callable[[Parts], Step]


def whole(*steps: Step) -> Part:
    """Shown as it is."""
    return Part(steps, steps)


def joined(parts: Iterable[Part]) -> Part:
    """One after the other."""
    parts = tuple(parts)
    return Part(
        tuple(step for part in parts for step in part.steps),
        tuple(step for part in parts for step in part.short),
    )


def latest(parts: Parts, keep: int, rest: Rest) -> Part:
    """The last `keep` of a list in order of time, after a word on those before."""
    if _fits(parts, keep):
        return joined(parts)
    hidden, shown = parts[:-keep], parts[-keep:]
    return Part(joined(parts).steps, (rest(hidden), *joined(shown).short))


def first(parts: Parts, keep: int, rest: Rest) -> Part:
    """The first `keep` of a list, then a word on the others."""
    if _fits(parts, keep):
        return joined(parts)
    shown, hidden = parts[:keep], parts[keep:]
    return Part(joined(parts).steps, (*joined(shown).short, rest(hidden)))


def brief(step: Step, lines: int) -> Part:
    """With so many lines of detail; a single line more is no reason to cut."""
    told = step.detail.splitlines()
    if len(told) <= lines + 1:
        return whole(step)
    cut = [*told[:lines], f"and {len(told) - lines} more"]
    return Part((step,), (replace(step, detail="\n".join(cut)),))


def count(number: int, one: str, many: str) -> str:
    """`1 story`, `3 stories`."""
    return f"{number} {one if number == 1 else many}"


def _fits(parts: Parts, keep: int) -> bool:
    """A word on a single one would take its place."""
    return len(parts) <= keep + 1
