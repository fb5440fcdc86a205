"""Delivers into a folder: one .eml a copy, named by its delivery, moved there in one stroke."""

from __future__ import annotations

import errno
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from pipeline.errors import Down
from pipeline.model.letters import Batch, Envelope, Fate, Recall, Receipt
from pipeline.transports import outbox

#: So many copies share one sync of their folder.
GROUP = 50

#: A temporary file that nobody wrote to for so long belongs to nobody.
ABANDONED_S = 3600

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_ID = re.compile(r"[a-z2-7]{26}")


class FileTransport:
    """Fits `Transport`. The file's name is the delivery's id, so a second run changes nothing."""

    name = "file"
    batch_size = 200

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._touched: set[Path] = set()

    def open_batch(self) -> None:
        """Files need no batch."""

    def send(self, envelopes: Iterable[Envelope], batch: Batch | None = None) -> Iterator[Receipt]:
        """Write each copy: temporary file, fsync, rename, and then its folder's fsync.

        A receipt is yielded when its file would survive a power cut. A file that is there
        already is left as it is.

        Raises: Down when the disk is full or may not be written
        """
        rest = iter(envelopes)
        while group := list(islice(rest, GROUP)):
            moved, failure = self._move(group)
            for folder in {path.parent for path in moved}:
                _sync(folder)
            yield from (Receipt(path.stem, "accepted") for path in moved)
            if failure is not None:
                raise _down(failure, self._folder) from failure

    def fates(
        self, delivery_public_ids: Sequence[str], batch: Batch | None = None
    ) -> Mapping[str, Fate]:
        """A copy has left when its file is there, and surely not when it is not."""
        return {one: "left" if self._has(one) else "not_left" for one in delivery_public_ids}

    def can_call_back(self, batch: Batch) -> bool:
        """A file that is there has left."""
        return False

    def call_back(self, batch: Batch) -> Recall:
        """Nothing comes back."""
        return Recall("stays")

    def _has(self, delivery_public_id: str) -> bool:
        if not _ID.fullmatch(delivery_public_id):
            return False
        for pattern in ("", "*/", "*/*/"):
            for path in self._folder.glob(f"{pattern}{delivery_public_id}.eml"):
                _sync(path.parent)  # whoever wrote it may have died before that
                self._touched.add(path.parent)
                return True
        return False

    def finish(self) -> None:
        """Write the index pages of what this run touched, and clear what a killed one left.

        Raises: Down when the disk is full; the mails themselves are safe
        """
        try:
            for folder in sorted(self._touched):
                _clear(folder)
                for name, page in outbox.pages_of(folder, self._folder):
                    _write(folder / name, page, durable=False)
            if self._touched:
                front = outbox.front_page(self._folder)
                _write(self._folder / "index.html", front, durable=False)
        except OSError as error:
            raise _down(error, self._folder) from error
        self._touched.clear()

    def probe(self) -> str:
        """Whether the folder can be written to.

        Raises: Down
        """
        try:
            _make_folder(self._folder)
            with tempfile.NamedTemporaryFile(dir=self._folder):
                return f"Mail goes into files, in {self._folder}."
        except OSError as error:
            raise _down(error, self._folder) from error

    def _move(self, group: Sequence[Envelope]) -> tuple[list[Path], OSError | None]:
        """Where each copy lies now; with the failure that ended it, if one did."""
        moved: list[Path] = []
        for envelope in group:
            path = self._path(envelope)
            try:
                if not path.exists():
                    _make_folder(path.parent)
                    _write(path, envelope.message)
            except OSError as error:
                return moved, error
            self._touched.add(path.parent)
            moved.append(path)
        return moved, None

    def _path(self, envelope: Envelope) -> Path:
        if not _ID.fullmatch(envelope.delivery_public_id):
            raise ValueError("a copy is named by its delivery's public id")
        parts = [_plain(part) for part in envelope.group.split("/") if part]
        return self._folder.joinpath(*parts, f"{envelope.delivery_public_id}.eml")


def _plain(part: str) -> str:
    """One folder's name: no way up, no hidden folder, nothing that a disk objects to."""
    return re.sub(r"[^\w.-]", "-", part).lstrip(".") or "-"


def _write(path: Path, data: bytes, *, durable: bool = True) -> None:
    """All of it or nothing, whenever we are killed; durable: also when the power fails."""
    handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _clear(folder: Path) -> None:
    """Take away halves of files whose writer was killed; one that may live keeps its own."""
    for half in folder.glob(".*.tmp"):
        with suppress(FileNotFoundError):
            if time.time() - half.stat().st_mtime > ABANDONED_S:
                half.unlink()


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for above in (folder.parent, folder.parent.parent):
        _sync(above)


def _sync(folder: Path) -> None:
    """Make names in a folder durable, where the system offers it."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _down(error: OSError, folder: Path) -> Down:
    if error.errno in _NO_ROOM:
        return Down(
            f"There is no room left for mail in {folder}.",
            "Make room and run the command again: what has gone out is on record, the rest "
            "follows, and nothing goes out twice.",
        )
    return Down(
        f"Mail cannot be written to {folder}: {error.strerror or error}.",
        "Look who owns the folder and whether it may be written, then run the command again.",
    )
