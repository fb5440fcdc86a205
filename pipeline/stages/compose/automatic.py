"""Composes what goes by itself: no hand writes it, and anybody can stop it while it is reviewed."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.ports import Ports
from pipeline.stages.compose.approving import Approved


@dataclass(frozen=True, slots=True)
class HeldBack:
    """An automatic issue that does not go, and why."""

    ref: str
    reason: str
    over: bool = False  #: its time is past; before that each run tries again


@dataclass(frozen=True, slots=True)
class Automatic:
    """What a look at the automatic newsletters came to."""

    going: tuple[Approved, ...] = ()  #: frozen; they leave once their review is over
    held_back: tuple[HeldBack, ...] = ()


def compose_automatic(ports: Ports) -> Automatic:
    """Compose and freeze each automatic issue whose review begins; once, however often run."""
    raise NotImplementedError
