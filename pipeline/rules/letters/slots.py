"""A rendered variant cut for a provider that fills it in: constant text, and slots for values.

What comes of it is, to the byte, what `merge.fill_html` and `merge.fill_text` make.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from pipeline.rules.letters.merge import (
    Piece,
    filled,
    for_html,
    for_text,
    segments,
    text_segments,
    tidy,
)

#: What `tidy` looks at.
EDGE = " \n"


@dataclass(frozen=True, slots=True)
class Slot:
    """A place whose words differ from copy to copy; equal slots get equal words."""

    pieces: tuple[Piece, ...]
    html: bool
    last: bool = False  #: of a text: nothing stands after it

    def fill(self, values: Mapping[str, str]) -> str:
        """Its words for one copy; values as `merge.cleaned` leaves them."""
        if self.html:
            return filled(self.pieces, values, for_html)
        words = filled(self.pieces, values, for_text)
        # a word follows, so that spaces at the end are not at the end of a line
        return tidy(words) if self.last else tidy(f"{words}.")[:-1]


@lru_cache(maxsize=64)
def html_slots(html: str) -> tuple[str | Slot, ...]:
    """A rendered HTML: a slot for each field and each region."""
    return tuple(
        piece if isinstance(piece, str) else Slot((piece,), html=True) for piece in segments(html)
    )


@lru_cache(maxsize=64)
def text_slots(text: str) -> tuple[str | Slot, ...]:
    """A rendered text or subject: a slot for each stretch that values change.

    Spaces and line breaks beside a field belong to its slot: how many of them stay depends on
    whether the field is empty.
    """
    runs: list[str | list[Piece]] = []
    for piece in text_segments(text):
        for part in _parts(piece):
            if isinstance(part, str) and part.strip(EDGE):
                runs.append(part)
            elif runs and isinstance(runs[-1], list):
                runs[-1].append(part)
            else:
                runs.append([part])
    return tuple(_cut(run, last=run is runs[-1]) for run in runs)


def _parts(piece: Piece) -> Iterator[Piece]:
    """A constant without its edges, and its edges; any other piece as it is."""
    if not isinstance(piece, str) or not piece.strip(EDGE):
        yield piece
        return
    bare = piece.strip(EDGE)
    at = piece.index(bare)
    yield from (part for part in (piece[:at], bare, piece[at + len(bare) :]) if part)


def _cut(run: str | list[Piece], *, last: bool) -> str | Slot:
    if isinstance(run, str):
        return tidy(run)
    slot = Slot(tuple(run), html=False, last=last)
    return slot.fill({}) if all(isinstance(part, str) for part in run) else slot
