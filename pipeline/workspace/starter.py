"""Makes a workspace in a new folder, from the starter or from the sample."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import BadInput, Conflict
from pipeline.workspace.environment import new_secret
from pipeline.workspace.output import no_room
from pipeline.workspace.schema import json_schemas, schema_bytes
from pipeline.workspace.shipped import PACKAGE, starter

OUTPUT = "output"

_IGNORED = """# Written by the program, or secret: never in git.
/output/
/.env
"""


def init(directory: Path, *, sample: bool = False) -> tuple[Path, ...]:
    """Make a workspace and return the files written; the folder may hold other files.

    An empty output/ is made as well: a service that may write there alone needs it at its start.

    Raises: Conflict that names the files in the way, BadInput when it is no folder; both touch
            nothing. Down when the disk is full, with what was written taken away again
    """
    if directory.exists() and not directory.is_dir():
        raise BadInput(f"{directory} is a file, not a folder.", "Name a new folder.")
    files = dict(_files(PACKAGE / "sample" if sample else starter()))
    in_the_way = sorted(name for name in files if os.path.lexists(directory / name))
    if os.path.lexists(directory / OUTPUT) and not (directory / OUTPUT).is_dir():
        in_the_way.append(OUTPUT)
    if in_the_way:
        shown = ", ".join(in_the_way[:8]) + (" …" if len(in_the_way) > 8 else "")
        raise Conflict(
            f"{directory} already holds {shown}.", "Name a new folder; nothing was changed."
        )
    return _write(directory, files)


def _files(origin: Path) -> Iterator[tuple[str, bytes]]:
    """Relative name → content of every file that a new workspace gets."""
    yield from _copied(origin)
    if not (origin / "templates").is_dir():
        yield from _tree(starter(), "templates")
    for name, schema in json_schemas().items():
        yield f"schema/{name}", schema_bytes(schema)
    example = (starter() / ".env.example").read_bytes()
    yield ".env.example", example
    yield ".env", _with_secret(example)
    yield ".gitignore", _IGNORED.encode()


def _copied(origin: Path) -> Iterator[tuple[str, bytes]]:
    """From the sample everything; of the starter, which may lie among a whole project, its own."""
    if origin != starter():
        yield from _tree(origin, "")
        return
    for name in ("firm.yaml", "feeds.yaml"):
        yield name, (origin / name).read_bytes()
    for name in ("constellations", "templates"):
        yield from _tree(origin, name)


def _tree(origin: Path, name: str) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder, without hidden ones, code and what a program wrote."""
    for path in sorted((origin / name).rglob("*")):
        parts = path.relative_to(origin).parts
        ours = not any(part.startswith(".") or part in ("output", "__pycache__") for part in parts)
        if ours and path.is_file() and path.suffix not in (".py", ".pyc"):
            yield "/".join(parts), path.read_bytes()


def _with_secret(example: bytes) -> bytes:
    line = b"ASTERISM_SECRET="
    return example.replace(b"\n" + line + b"\n", b"\n" + line + new_secret().encode() + b"\n", 1)


def _write(directory: Path, files: dict[str, bytes]) -> tuple[Path, ...]:
    written: list[Path] = []
    try:
        for name, content in sorted(files.items()):
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            mode = 0o600 if name == ".env" else 0o644
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            written.append(path)
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
        (directory / OUTPUT).mkdir(exist_ok=True)
    except OSError as error:
        for done in written:
            done.unlink(missing_ok=True)
        raise no_room(path, error) from error
    return tuple(written)
