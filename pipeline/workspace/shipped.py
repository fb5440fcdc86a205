"""Where the files lie that come with the program."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def starter() -> Path:
    """Where the starter lies: in the package when it was installed, else the source checkout."""
    packed = PACKAGE / "starter"
    return packed if packed.is_dir() else PACKAGE.parent
