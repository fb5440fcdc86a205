"""Mail among ourselves: what is to be written, to be approved, going by itself, or not going."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pipeline.model.letters import NoticeKind
from pipeline.ports import Ports


@dataclass(frozen=True, slots=True)
class Told:
    """One notice that was written down."""

    kind: NoticeKind
    ref: str  #: the issue's
    name: str  #: whom it goes to


@dataclass(frozen=True, slots=True)
class Reminded:
    """What a look at the issues came to; most looks find nothing new to say."""

    written: tuple[Told, ...] = ()


@dataclass(frozen=True, slots=True)
class NoticesSent:
    """How the notices of a run fared."""

    counts: tuple[tuple[str, int], ...] = ()  #: (state, notices)
    next_due_at: datetime | None = None  #: when there is one to send again; None: nothing waits


def remind(ports: Ports) -> Reminded:
    """Write down what our people are to be told now; each kind once to each for an issue."""
    raise NotImplementedError


def send_notices(ports: Ports) -> NoticesSent:
    """Send the notices that are due; each once, whatever dies.

    Raises: Down when the transport or the store can take no more
    """
    raise NotImplementedError
