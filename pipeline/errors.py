"""The one tree of errors: each says what happened, then what to do next.

AsterismError(message, hint)
├ BadInput     a file, a setting or an argument is wrong                  exit 2 · 422
├ NotFound     there is no such thing                                     exit 3 · 404
├ Conflict     it changed meanwhile, or its state does not allow this     exit 4 · 409
└ Down         the store, the disk or a transport cannot be reached       exit 5 · 503
  └ SenderRefused   mail from one sender is not taken; others may send
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


class AsterismError(Exception):
    """Something stopped the whole operation."""

    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One mistake in one file, so that an editor can jump to it."""

    file: str
    line: int  #: 1-based; 0 where there are no lines, as in the environment
    column: int  #: 1-based
    path: str  #: dotted place inside the file, such as "sources.2.url"; may be empty
    what: str  #: what is wrong and, where we can tell, "did you mean …?"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: " if self.line else f"{self.file}: "
        return place + (f"{self.path}: " if self.path else "") + self.what


class BadInput(AsterismError):
    """What was given is wrong; nothing of it was applied."""

    exit_code = 2
    http_status = 422

    def __init__(self, message: str, hint: str = "", mistakes: tuple[Mistake, ...] = ()) -> None:
        super().__init__(message, hint)
        self.mistakes = mistakes

    def __str__(self) -> str:
        return "\n".join([*map(str, self.mistakes), super().__str__()])


class NotFound(AsterismError):
    """There is no such thing in this workspace."""

    exit_code = 3
    http_status = 404


class Conflict(AsterismError):
    """It changed since you looked, or its state does not allow this."""

    exit_code = 4
    http_status = 409


class Down(AsterismError):
    """A part we lean on cannot be reached or has no room; trying again later may work."""

    exit_code = 5
    http_status = 503


class SenderRefused(Down):
    """Mail from one sender is not taken, whoever it is for; other senders' may be."""

    def __init__(self, message: str, hint: str = "", *, sender: str) -> None:
        super().__init__(message, hint)
        self.sender = sender  #: the envelope's address, which no message repeats
