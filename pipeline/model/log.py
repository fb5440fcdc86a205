"""The log of operations: the ground of undo, of audit and of learning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Operation:
    """Something a person did, with what was before and after."""

    actor: str  #: who; from --as or the sign-in
    verb: str  #: keep, drop, note, edit, approve, stop, import, …
    subject: str  #: "story:PUBLICID", "issue:PUBLICID", "contact:PUBLICID", …
    at: datetime
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    id: int = 0
    undone_by: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One ordered reason of an explanation."""

    at: datetime | None
    what: str
    detail: str = ""
