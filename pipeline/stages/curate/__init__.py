"""Choose stories, write on them, take it back: one by one, or as a file."""

from __future__ import annotations

from pipeline.stages.curate.file_in import import_file
from pipeline.stages.curate.file_out import export
from pipeline.stages.curate.file_plan import CurateTally
from pipeline.stages.curate.record import Done
from pipeline.stages.curate.undoing import undo
from pipeline.stages.curate.verbs import (
    Kept,
    drop,
    edit,
    keep,
    note,
    pool,
    remove,
    vouch,
    why_no_issue,
)

__all__ = [
    "CurateTally",
    "Done",
    "Kept",
    "drop",
    "edit",
    "export",
    "import_file",
    "keep",
    "note",
    "pool",
    "remove",
    "undo",
    "vouch",
    "why_no_issue",
]
