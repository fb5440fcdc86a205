"""Copies of which nobody knows whether they left: the list, and what a person decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pipeline.model.letters import IssueState
from pipeline.ports import Ports

#: What a person found out of a copy.
Resolution = Literal["sent", "not_sent"]


@dataclass(frozen=True, slots=True)
class Doubt:
    """One copy of which nobody knows whether it left."""

    issue_ref: str
    copy: str  #: the delivery's public id
    name: str
    address: str  #: masked
    since: datetime | None
    why: str
    transport: str  #: what was moving it
    batch: str  #: the provider's handle, where it has one; else ""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a person's word came to."""

    outcome: Resolution
    copies: int  #: that were in doubt, and are not any more
    planned: int  #: of these, how many the next run sends
    withheld: int  #: of these, how many do not go any more
    issues: tuple[tuple[str, IssueState], ...]  #: (ref, where it stands now)


def list_doubts(ports: Ports, ref: str = "") -> Sequence[Doubt]:
    """All copies in doubt, those of one issue, or one; the longest in doubt first.

    Shape:  ref is newsletter/number, a newsletter, an id of an issue or of a copy, or its
            beginning; empty: all
    Raises: NotFound, BadInput when several copies begin so
    """
    raise NotImplementedError


def resolve(ports: Ports, refs: Sequence[str], outcome: Resolution) -> Resolved:
    """A person says what became of copies in doubt; each ref names an issue or a copy.

    `sent` counts them as gone. `not_sent` plans them again, unless the issue's time is past
    or a stop holds the issue back. The issue moves on when no doubt is left. A copy that is
    in doubt no more stays as it is.

    Raises: NotFound, BadInput
    """
    raise NotImplementedError
