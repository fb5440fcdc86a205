"""FileOutbox: takes copies out of the outbox on disk, and previews that name somebody."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pipeline.errors import Down
from pipeline.transports.file import FileTransport

#: What a preview may be written as; anything else below that folder is not ours.
PREVIEWS = frozenset({".html", ".txt", ".eml"})


class FileOutbox(FileTransport):
    """Fits `Outbox`: the folder of mails, and the one of previews."""

    def __init__(self, folder: Path, previews: Path) -> None:
        super().__init__(folder)
        self._previews = previews

    def forget(self, copies: Sequence[str], mentions: Callable[[str], bool]) -> int:
        """Remove these copies by their public ids, and previews with a mention; how many files.

        The indexes that listed them are written anew. Running it again removes nothing.

        Raises: Down when files cannot be removed
        """
        try:
            gone = [*self._mails(frozenset(copies)), *self._named(mentions)]
            for path in gone:
                path.unlink(missing_ok=True)
                if path.is_relative_to(self._folder):
                    self._touched.add(path.parent)
        except OSError as error:
            raise Down(
                f"A file below {self._folder.parent} cannot be removed: "
                f"{error.strerror or type(error).__name__}.",
                "Look who owns the folder, then run the command again: it takes up where it was.",
            ) from error
        self.finish()
        return len(gone)

    def _mails(self, copies: frozenset[str]) -> Iterator[Path]:
        """The mail and the page of each copy, wherever in the folder they lie."""
        for folder, _, names in os.walk(self._folder):
            for name in names:
                path = Path(folder, name)
                if path.suffix in (".eml", ".html") and path.stem in copies:
                    yield path

    def _named(self, mentions: Callable[[str], bool]) -> Iterator[Path]:
        for path in sorted(self._previews.rglob("*")):
            if path.suffix not in PREVIEWS or path.is_symlink() or not path.is_file():
                continue
            if mentions(path.read_text(encoding="utf-8", errors="surrogateescape")):
                yield path
