"""Backup and restore: the whole database in one file, taken while everything runs.

The file is a zip: `manifest.json`, each table as lines of JSON, the files that people write,
and the secret. It holds people's addresses and the key of their leave links.
"""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import IO, Any

import sqlalchemy as sa

from pipeline import __version__
from pipeline.errors import BadInput, Conflict, Mistake, NotFound
from pipeline.owners import is_dead
from pipeline.rules.letters.ledger import ALLOWED, RESTORED_AT
from pipeline.rules.schedule import LONGEST_LEASE
from pipeline.settings import Settings
from pipeline.stages.deliver.holding import OVER
from pipeline.stores import schema
from pipeline.stores.carrying import Carried, InForce, carry, in_force
from pipeline.stores.migrate import rebuild
from pipeline.stores.migrations import HEAD
from pipeline.stores.rows import TableShape, fill, rows_of, shapes
from pipeline.stores.sql import SqlStore
from pipeline.workspace.environment import load_despite_mistakes, names_secret
from pipeline.workspace.files import FileWorkspace, require_workspace
from pipeline.workspace.output import no_room, write_whole

FORMAT = 1
MANIFEST, SECRET = "manifest.json", "secret"
FOLDER = Path("output/backups")
PREFIX = "asterism-"

#: What people write; it lives in git, and goes along so that one file makes a workspace.
FILES = ("firm.yaml", "feeds.yaml", "constellations/*", "templates/*")

#: The longest that is read in one piece: a row holds a posting of 10 MB at most, in base64.
MOST_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class BackedUp:
    """What a backup holds."""

    path: Path
    taken_at: datetime
    rows: int
    tables: int
    files: int
    size_bytes: int
    removed: tuple[str, ...] = ()  #: older backups that were taken away
    mistakes: tuple[Mistake, ...] = ()  #: in the files, which are in it as they lie, and settings


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore brought back."""

    taken_at: datetime  #: when the backup was taken: what came later is not in it
    restored_at: datetime
    rows: int
    files: tuple[str, ...]  #: those that were not there before
    kept: Path | None  #: a backup of what was there
    stopped: int  #: letters that ended for somebody after the backup, here, and stay ended
    kept_back: int  #: pauses, holds and refusals since then, that stay in force
    stays_stopped: tuple[str, ...]  #: issues that somebody stopped since then, and stay stopped
    held: tuple[str, ...]  #: issues that were due and now wait for a person
    mistakes: tuple[Mistake, ...] = ()  #: in files and settings: nothing runs until they are mended


# ── taking one ───────────────────────────────────────────────────────────────────────────


def backup(
    workspace: Path, environ: Mapping[str, str], path: Path | None = None, *, keep: int = 0
) -> BackedUp:
    """Write the whole workspace into one file, at one instant, while others go on writing.

    The files go in as they lie there, with their mistakes; nothing but the database and the
    secret must be right.

    Shape:  path None: output/backups/asterism-TIME.zip; keep: so many of those stay, 0 all
    Raises: BadInput, Conflict (another workspace's secret), Down (the disk is full)
    """
    settings, in_settings = load_despite_mistakes(workspace, environ)
    now = _now(settings)
    path = path or workspace / FOLDER / f"{PREFIX}{now:%Y%m%dT%H%M%SZ}.zip"
    if path.exists():
        raise Conflict(f"{path} is there already.", "Name another file; nothing was changed.")
    store = SqlStore(settings.database_url, settings.secret, wait_s=settings.wait_s)
    try:
        store.check_secret()
        with store.snapshot() as connection:
            manifest = _written(path, connection, settings, now)
    finally:
        store.close()
    tables = manifest["tables"]
    return BackedUp(
        path=path,
        taken_at=now,
        rows=sum(table["rows"] for table in tables),
        tables=len(tables),
        files=len(manifest["files"]),
        size_bytes=path.stat().st_size,
        removed=_thinned(workspace / FOLDER, keep) if keep else (),
        mistakes=(*_in_files(workspace), *in_settings),
    )


def _in_files(workspace: Path) -> tuple[Mistake, ...]:
    return FileWorkspace(workspace).catalog_despite_mistakes()[1]


def _written(
    path: Path, connection: sa.Connection, settings: Settings, now: datetime
) -> dict[str, Any]:
    """The manifest of the file that now lies there, whole; nothing when anything failed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
        try:
            with (
                os.fdopen(handle, "wb") as stream,
                zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive,
            ):
                manifest = {
                    "format": FORMAT,
                    "asterism": __version__,
                    "revision": HEAD,
                    "taken_at": now.isoformat(),
                    "tables": [_table_out(archive, connection, shape) for shape in shapes()],
                    "files": _files_out(archive, settings.workspace),
                }
                archive.writestr(SECRET, settings.secret)
                archive.writestr(MANIFEST, json.dumps(manifest, indent=1))
            with Path(part).open("rb") as whole:
                os.fsync(whole.fileno())
            Path(part).replace(path)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise no_room(path, error) from error
    return manifest


def _table_out(
    archive: zipfile.ZipFile, connection: sa.Connection, shape: TableShape
) -> dict[str, Any]:
    digest, number = sha256(), 0
    with archive.open(_table_name(shape.name), "w", force_zip64=True) as out:
        for row in rows_of(connection, shape):
            line = json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
            out.write(line)
            digest.update(line)
            number += 1
    return {
        "name": shape.name,
        "columns": shape.columns,
        "own": shape.own,
        "rows": number,
        "sha256": digest.hexdigest(),
    }


def _table_name(table: str) -> str:
    return f"tables/{table}.jsonl"


def _files_out(archive: zipfile.ZipFile, root: Path) -> dict[str, str]:
    """Name → digest of every file that people wrote."""
    found = {}
    for pattern in FILES:
        for path in sorted(root.glob(pattern)):
            if path.is_file() and not path.name.startswith("."):
                content = path.read_bytes()
                name = path.relative_to(root).as_posix()
                archive.writestr(f"files/{name}", content)
                found[name] = sha256(content).hexdigest()
    return found


def _thinned(folder: Path, keep: int) -> tuple[str, ...]:
    """Take the oldest of our own backups away; the newest `keep` stay."""
    ours = sorted(folder.glob(f"{PREFIX}*.zip"))
    for path in ours[:-keep]:
        path.unlink(missing_ok=True)
    return tuple(path.name for path in ours[:-keep])


# ── bringing one back ────────────────────────────────────────────────────────────────────


def restore(
    workspace: Path, environ: Mapping[str, str], path: Path, *, replace: bool = False
) -> Restored:
    """Bring a backup back: all of it, or nothing.

    Into an empty folder go the files, too; files that are there stay as they are. Rows that
    are there are only replaced when `replace` says so, and are backed up first; who has left,
    complained, was erased or is kept back according to them still gets nothing, and what was
    stopped stays so. From now on nothing that was due before this moment goes out until a
    person says so.

    Raises: NotFound, BadInput (no backup, or a damaged one), Conflict (rows are there, a
            program is running, another secret, a newer program's backup), Down
    """
    with _opened(path) as archive:
        manifest = _manifest(archive, path)
        _verify(archive, manifest, path)
        files = _files_in(archive, manifest, workspace)
        require_workspace(workspace)
        settings, in_settings = _settings(archive, workspace, environ)
        now = _now(settings)
        kept = _kept(workspace, environ, settings, now, replace=replace)
        old: list[InForce] = []
        carried: list[Carried] = []

        def allow(connection: sa.Connection) -> None:
            _allow(connection, now, replace=replace)
            old.append(in_force(connection, now.date()))

        def fill_in(connection: sa.Connection) -> None:
            _tables_in(archive, manifest, connection, now)
            carried.extend(carry(connection, settings.secret, one, now) for one in old)

        rebuild(
            settings.database_url, manifest["revision"], fill_in, allow=allow,
            wait_s=settings.wait_s,
        )  # fmt: skip
    stayed = carried[0] if carried else Carried()
    return Restored(
        taken_at=datetime.fromisoformat(manifest["taken_at"]),
        restored_at=now,
        rows=sum(table["rows"] for table in manifest["tables"]),
        files=files,
        kept=kept,
        stopped=stayed.endings,
        kept_back=stayed.kept_back,
        stays_stopped=stayed.stops,
        held=_waiting(settings, now),
        mistakes=(*_in_files(workspace), *in_settings),
    )


def _opened(path: Path) -> zipfile.ZipFile:
    if not path.is_file():
        raise NotFound(f"There is no file {path}.", "`asterism backup` says where it writes.")
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise _damaged(path) from error


def _damaged(path: Path, what: str = "") -> BadInput:
    return BadInput(
        f"{path} is no whole backup{f': {what}' if what else ''}.",
        "Take another one; nothing was changed.",
    )


def _manifest(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(_read(archive, MANIFEST))
        known = manifest["format"] == FORMAT
        datetime.fromisoformat(manifest["taken_at"])
        newer = str(manifest["revision"]) > HEAD
        for table in manifest["tables"]:
            _shape_in(table)
        dict(manifest["files"])
    except (*_BROKEN, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(path, "it has no manifest that can be read") from error
    if not known or newer:
        raise Conflict(
            f"{path} was made by a newer Asterism ({manifest.get('asterism', 'unknown')}).",
            "Install that one, or take an older backup; nothing was changed.",
        )
    return manifest


def _shape_in(table: Mapping[str, Any]) -> TableShape:
    """Raises: KeyError, ValueError, TypeError when it is none"""
    columns = tuple((str(name), kind) for name, kind in table["columns"])
    return TableShape(str(table["name"]), columns, tuple(map(str, table["own"])))


#: What a file raises that is no archive of ours, or was changed on its way.
_BROKEN = (KeyError, ValueError, EOFError, OSError, RuntimeError, NotImplementedError,
           zipfile.BadZipFile, zlib.error)  # fmt: skip


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    """One small file of the archive, whole.

    Raises: one of _BROKEN, also when it swells to more than any of ours has
    """
    with archive.open(name) as stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError("too large")
    return content


def _rows_in(lines: IO[bytes]) -> Iterator[bytes]:
    """Each line; ValueError for one that is longer than any row."""
    while line := lines.readline(MOST_BYTES + 1):
        if len(line) > MOST_BYTES:
            raise ValueError("too long")
        yield line


def _verify(archive: zipfile.ZipFile, manifest: Mapping[str, Any], path: Path) -> None:
    """All that was written is there as it was, before anything is touched."""
    ours = {f"files/{name}": wanted for name, wanted in manifest["files"].items() if _is_ours(name)}
    for name in (SECRET, *ours):
        try:
            content = _read(archive, name)
        except _BROKEN as error:
            raise _damaged(path, f"{name} cannot be read") from error
        if name in ours and sha256(content).hexdigest() != ours[name]:
            raise _damaged(path, f"{name} is not as it was written")
    for table in manifest["tables"]:
        digest = sha256()
        try:
            with archive.open(_table_name(table["name"])) as lines:
                number = 0
                for line in _rows_in(lines):
                    digest.update(line)
                    number += 1
        except _BROKEN as error:
            raise _damaged(path, f"{table['name']} cannot be read") from error
        if number != table.get("rows") or digest.hexdigest() != table.get("sha256"):
            raise _damaged(path, f"{table['name']} is not as it was written")


def _files_in(archive: zipfile.ZipFile, manifest: Mapping[str, Any], root: Path) -> tuple[str, ...]:
    """Files into a folder that has none; those that are there are people's, and stay."""
    if any((root / name).exists() for name in ("firm.yaml", "feeds.yaml", "constellations")):
        return ()
    written = []
    for name in filter(_is_ours, manifest["files"]):
        write_whole(root / name, _read(archive, f"files/{name}"), mode=0o644)
        written.append(name)
    return tuple(written)


def _is_ours(name: str) -> bool:
    """Whether this is the name of a file that people write, and of nothing else anywhere.

    `match` alone looks from the right, and takes `/etc/templates/x` for one of `templates/*`.
    """
    path = PurePosixPath(name)
    plain = path.as_posix() == name and ".." not in path.parts and "\\" not in name
    return plain and any(
        path.match(pattern) and len(path.parts) == len(PurePosixPath(pattern).parts)
        for pattern in FILES
    )


def _settings(
    archive: zipfile.ZipFile, root: Path, environ: Mapping[str, str]
) -> tuple[Settings, tuple[Mistake, ...]]:
    """This machine's settings, with the backup's secret where this machine has none."""
    secret = _read(archive, SECRET)
    kept = root / "output" / "secret"
    if not names_secret(root, environ) and not kept.exists():
        write_whole(kept, secret + b"\n")
    settings, wrong = load_despite_mistakes(root, environ)
    if settings.secret != secret:
        raise Conflict(
            "This backup was made with another secret than the one that is set here.",
            "Set ASTERISM_SECRET to the old one; or, when the rows here were made with this one, "
            "restore into a new folder where none is set: the backup's own comes along. With "
            "another one we would not know who has left.",
        )
    return settings, wrong


def _kept(
    workspace: Path, environ: Mapping[str, str], settings: Settings, now: datetime, *, replace: bool
) -> Path | None:
    """A backup of the rows that are about to be replaced."""
    if not replace or not _has_rows(settings):
        return None
    number, path = 1, workspace / FOLDER / f"before-restore-{now:%Y%m%dT%H%M%SZ}.zip"
    while path.exists():
        number += 1
        path = path.with_name(f"before-restore-{now:%Y%m%dT%H%M%SZ}-{number}.zip")
    return backup(workspace, environ, path).path


def _has_rows(settings: Settings) -> bool:
    store = SqlStore(settings.database_url, settings.secret, wait_s=settings.wait_s)
    try:
        with store.snapshot() as connection:
            return sa.inspect(connection).has_table("meta") and _is_used(connection)
    finally:
        store.close()


def _is_used(connection: sa.Connection) -> bool:
    return any(
        connection.execute(sa.select(table.c.id).limit(1)).first()
        for table in (schema.contacts, schema.issues, schema.items, schema.operations)
    )


def _allow(connection: sa.Connection, now: datetime, *, replace: bool) -> None:
    """Raises: Conflict while rows are there that nobody gave up, or while a program works."""
    for row in connection.execute(sa.select(schema.leases)):
        if now < row.until <= now + LONGEST_LEASE and not is_dead(row.owner):
            raise Conflict(
                f"A program is working on this database ({row.name}).",
                "Stop it (`systemctl stop asterism`), then restore; nothing was changed.",
            )
    if not replace and _is_used(connection):
        raise Conflict(
            "This database holds rows already.",
            "Restore into a new workspace, or add --replace: then what is here is backed up "
            "first and replaced.",
        )


def _tables_in(
    archive: zipfile.ZipFile, manifest: Mapping[str, Any], connection: sa.Connection, now: datetime
) -> None:
    """The rows as they were, and in the same breath the mark that holds back what was due."""
    for shape in map(_shape_in, manifest["tables"]):
        connection.execute(sa.delete(sa.table(shape.name)))  # a revision may write rows itself
        with archive.open(_table_name(shape.name)) as lines:
            fill(connection, shape, map(json.loads, _rows_in(lines)))
    meta = schema.meta
    connection.execute(
        sa.delete(meta).where(
            sa.or_(meta.c.name == RESTORED_AT, meta.c.name.startswith(ALLOWED, autoescape=True))
        )
    )
    connection.execute(sa.insert(meta).values(name=RESTORED_AT, value=now.isoformat()))


def _now(settings: Settings) -> datetime:
    return settings.now or datetime.now(UTC)


def _waiting(settings: Settings, now: datetime) -> tuple[str, ...]:
    """The issues that were due and wait for a person from now on."""
    store = SqlStore(settings.database_url, settings.secret, wait_s=settings.wait_s)
    try:
        with store.read() as tables:
            return tuple(
                issue.ref
                for issue in tables.letters.issues()
                if issue.due_at <= now and issue.state not in OVER
            )
    finally:
        store.close()
