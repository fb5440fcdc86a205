"""Writing files so that each is there whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pipeline.errors import Down


def write_whole(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a file by way of a temporary one beside it: fsync, then rename.

    Only its owner may read it unless `mode` says more: most of what is written is personal.

    Raises: Down when the disk is full or does not let us
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                Path(name).chmod(mode)
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise no_room(path, error) from error


def sweep(folder: Path, older_than_s: float) -> int:
    """Take away the temporary files of writers that died; how many.

    Shape:  only names that this room gives, and none that somebody may still be writing
    """
    oldest = time.time() - older_than_s  # by the clock that set the files' own times
    swept = 0
    for path in folder.rglob(".*.part"):
        with suppress(OSError):  # somebody else takes it away, or it is not ours to take
            if path.is_file() and not path.is_symlink() and path.stat().st_mtime < oldest:
                path.unlink()
                swept += 1
    return swept


class FilePapers:
    """Fits `Papers`: a folder for what the program writes for people to read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, files: Mapping[str, bytes]) -> Sequence[Path]:
        """Write files by their path below the folder, each whole; where they lie.

        Raises: Down when the disk is full or does not let us
        """
        paths = []
        for name, data in files.items():
            path = self._inside(name)
            write_whole(path, data)
            paths.append(path)
        return paths

    def listed(self, folder: str) -> Sequence[str]:
        """Names of the files in one folder below it; empty when it is not there."""
        there = self._inside(folder)
        return sorted(path.name for path in there.iterdir()) if there.is_dir() else ()

    def _inside(self, name: str) -> Path:
        path = self._folder.joinpath(name)
        if not path.resolve().is_relative_to(self._folder.resolve()):
            raise ValueError("a paper lies below its folder")
        return path


def no_room(path: Path, error: OSError) -> Down:
    """Why a file could not be written, in plain words."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return Down(f"The disk is full: {path} could not be written.",
                    "Make room and run the command again; no half file was left.")  # fmt: skip
    return Down(f"{path} cannot be written: {error.strerror or error}.",
                "Check the folder and its permissions.")  # fmt: skip


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
