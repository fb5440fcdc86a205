"""What was due before the database was restored goes out only when a person says so."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.model.letters import Issue
from pipeline.ports import Ports


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a person let go."""

    issue: Issue
    changed: bool  #: False: it was allowed before


def allow_after_restore(ports: Ports, ref: str) -> Allowed:
    """Let an issue go that is held back since the database was restored.

    Raises: NotFound; Conflict when nothing holds it back
    """
    raise NotImplementedError
