"""What a provider posts to us: kept as it came, believed when it is signed, understood once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.ports import Ports


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What came of a posting, or of those that waited."""

    postings: int = 0  #: bodies that were understood, or marked as broken
    events: int = 0  #: that were new to us
    moved: int = 0  #: copies of which we know more than before
    blocked: int = 0  #: people or addresses that get no letters any more
    refused: str = ""  #: why it was not believed; nothing of it was kept
    posting_id: int | None = None  #: where it was kept


def take_in(ports: Ports, body: bytes, headers: Mapping[str, str]) -> TakenIn:
    """Keep what a provider posted, durable before anything else, and then understand it.

    Shape:  body as it came; header names in lower case
    Raises: NotFound when no provider tells us anything; Down when it cannot be kept
    """
    raise NotImplementedError


def understand(ports: Ports, posting_id: int) -> TakenIn:
    """Take in one posting that was kept; nothing happens when that was done before."""
    raise NotImplementedError


def take_in_waiting(ports: Ports) -> TakenIn:
    """Finish what was kept and never understood, because somebody died in between."""
    raise NotImplementedError
