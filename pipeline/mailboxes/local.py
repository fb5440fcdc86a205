"""A maildir folder or an mbox file that another program owns: read, and never changed."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pipeline.errors import Down

#: Of one mail; what is longer is given cut.
MOST_BYTES = 10_000_000
#: So long we wait for whoever writes to an mbox.
WAIT_S = 3.0
#: A lock file older than this was left behind.
LEFT_BEHIND_S = 300.0
#: An mbox that nobody has written to for so long is whole.
QUIET_S = 60.0

_SETTING = "ASTERISM_BCC_MAILBOX"
_PIECE = 65_536
_FROM_LINE = re.compile(rb"From [^\n]*\d:\d\d")


class LocalMailbox:
    """Fits `Mailbox`: a folder with new/ and cur/ is a maildir, a file is an mbox."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def mails(self) -> Iterator[tuple[str, bytes]]:
        """(key, raw message) of each mail that is there.

        A mail longer than MOST_BYTES is given cut, one that cannot be read with no bytes; a
        mail that is just being delivered waits for the next look.

        Raises: Down when the mailbox is missing, cannot be read, or is neither kind
        """
        try:
            kind = self._path.stat().st_mode
            if stat.S_ISDIR(kind):
                yield from self._maildir()
            elif stat.S_ISREG(kind):
                yield from self._mbox()
            else:  # a pipe would keep us waiting for ever
                raise self._down("it is neither a folder nor a file")
        except FileNotFoundError as error:
            raise self._down("there is nothing there") from error
        except OSError as error:
            raise self._down(error.strerror or "it cannot be read") from error

    def _down(self, why: str) -> Down:
        return Down(
            f"The mailbox {self._path} cannot be read: {why}.",
            f"Check {_SETTING}: a maildir folder or an mbox file that this user may read.",
        )

    # ── maildir ──────────────────────────────────────────────────────────────────────────

    def _maildir(self) -> Iterator[tuple[str, bytes]]:
        """new/ before cur/: a mail that moves meanwhile is met there, and told once.

        Source: https://cr.yp.to/proto/maildir.html (names up to the colon stay the same)
        """
        folders = [folder for name in ("new", "cur") if (folder := self._path / name).is_dir()]
        if not folders:
            raise self._down("it has neither new/ nor cur/, so it is no maildir")
        seen: set[str] = set()
        for folder in folders:
            with os.scandir(folder) as entries:
                names = sorted(e.name for e in entries if e.is_file(follow_symlinks=False))
            for name in names:
                key = name.partition(":")[0]
                if key in seen or name.startswith("."):
                    continue
                raw = _read(folder / name)
                if raw is not None:
                    seen.add(key)
                    yield key, raw

    # ── mbox ─────────────────────────────────────────────────────────────────────────────

    def _mbox(self) -> Iterator[tuple[str, bytes]]:
        """Up to where the file ends as we open it.

        A reader that puts the file away and another one in its place does not disturb us: we
        hold the old one. Who rewrites it in place holds a lock, or waits for ours.
        """
        with self._path.open("rb") as stream:
            alone = _lock(stream, self._path)
            found = os.fstat(stream.fileno())
            quiet = time.time() - found.st_mtime > QUIET_S
            if found.st_size and not _FROM_LINE.match(stream.readline(_PIECE)):
                raise self._down("it begins with no “From ” line, so it is no mbox")
            stream.seek(0)
            yield from _mails(stream, found.st_size, alone=alone, quiet=quiet)


def _read(path: Path) -> bytes | None:
    """None for a mail that has gone; nothing for one that cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(MOST_BYTES)
    except FileNotFoundError:
        return None
    except OSError:
        return b""


def _mails(stream: BinaryIO, end: int, *, alone: bool, quiet: bool) -> Iterator[tuple[str, bytes]]:
    """Each mail with where it begins; the last one only when it is there whole."""
    held, begins, at = bytearray(), 0, 0
    starts_line = after_blank = True
    while at < end:
        piece = stream.readline(min(_PIECE, end - at))
        if not piece:  # somebody made the file shorter
            return
        if starts_line and after_blank and held and _FROM_LINE.match(piece):
            yield str(begins), bytes(held)
            held.clear()
            begins = at
        if len(held) < MOST_BYTES:
            held += piece[: MOST_BYTES - len(held)]
        at += len(piece)
        after_blank = starts_line and piece in (b"\n", b"\r\n")
        starts_line = piece.endswith(b"\n")
    if held and (quiet or (alone and starts_line)):
        yield str(begins), bytes(held)


def _lock(stream: BinaryIO, path: Path) -> bool:
    """Whether nobody else writes while we read: no lock file, and a read lock of our own.

    We make no lock file: the folder is not ours to write in.
    """
    until = time.monotonic() + WAIT_S
    while True:
        if not _is_locked(path) and _read_lock(stream):
            return True
        if time.monotonic() > until:
            return False
        time.sleep(0.1)


def _is_locked(path: Path) -> bool:
    try:
        made = path.with_name(f"{path.name}.lock").stat().st_mtime
    except OSError:
        return False
    return time.time() - made < LEFT_BEHIND_S


def _read_lock(stream: BinaryIO) -> bool:
    """Given up when the file is closed."""
    if os.name != "posix":
        return True
    import fcntl

    try:
        fcntl.lockf(stream.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
