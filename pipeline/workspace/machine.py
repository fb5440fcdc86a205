"""What the machine says of itself: room on the disk, and who may read what is secret."""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from pipeline.model.checkup import Machine
from pipeline.settings import Settings

#: Others must not read these: keys, passwords, everybody's address.
SECRET_FILES = (".env", "output/secret", "output/asterism.db", "output/backups/*.zip")


def look(settings: Settings) -> Machine:
    """Looks, and leaves nothing behind."""
    root, output = settings.workspace, settings.output
    return Machine(
        free_bytes=shutil.disk_usage(output if output.is_dir() else root).free,
        open_to_others=_open(root),
        not_writable=_why_not(output),
        newest_backup_at=_newest(output / "backups"),
        transport=settings.transport,
        sandbox=settings.sendgrid.sandbox,
        pretends_time=settings.now is not None,
        webhook_key=bool(settings.sendgrid.webhook_key),
        dkim_selector=settings.dkim_selector,
    )


def _open(root: Path) -> tuple[str, ...]:
    if os.name != "posix":
        return ()
    found = (path for pattern in SECRET_FILES for path in sorted(root.glob(pattern)))
    return tuple(path.relative_to(root).as_posix() for path in found if path.stat().st_mode & 0o077)


def _why_not(output: Path) -> str:
    try:
        output.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=".doctor", dir=output):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def _newest(folder: Path) -> datetime | None:
    times = [path.stat().st_mtime for path in folder.glob("*.zip")]
    return datetime.fromtimestamp(max(times), UTC) if times else None
