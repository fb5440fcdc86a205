"""People files that were brought in, and the undoing of a whole one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.errors import Conflict
from pipeline.model.people import ImportRecord, TakenBack
from pipeline.ports import Ports
from pipeline.rules.people.take_back import decide_take_back
from pipeline.stages.people.parts import log


@dataclass(frozen=True, slots=True)
class UndoneImport:
    """What the undoing of an import did, or would do."""

    record: ImportRecord  #: as it was before
    contacts: Sequence[TakenBack]
    applied: bool

    @property
    def counts(self) -> Mapping[str, int]:
        """By outcome: removed, retired, changed_back, kept; partly where a field stays."""
        counts = Counter[str](one.outcome for one in self.contacts)
        partly = sum(bool(one.outcome == "changed_back" and one.why) for one in self.contacts)
        return {**counts, "partly": partly}


def list_imports(ports: Ports) -> Sequence[ImportRecord]:
    """Every people file that was brought in, latest first."""
    with ports.store.read() as tables:
        return tables.imports.records()


def undo_import(ports: Ports, ref: str = "", *, dry_run: bool = False) -> UndoneImport:
    """Take back all that one people file did, in one transaction.

    Contacts that it brought in are removed, or retired where anything has happened with them
    since. What it changed goes back where nobody changed it since. Its evidence is withdrawn.
    An opt-out that it brought stays: a person's wish is no mistake of a file.

    Shape:  ref is an import's id or file name; empty for the latest
    Raises: NotFound; Conflict when it was undone already, or left no record to undo it by
    """
    with ports.store.read() if dry_run else ports.store.write() as tables:
        record = tables.imports.find(ref)
        _refuse(record)
        decided = [decide_take_back(change) for change in tables.imports.changes(record.id)]
        done = UndoneImport(record, decided, applied=not dry_run)
        if not dry_run:
            tables.imports.take_back(record.id, decided, ports.clock.now())
            after = {**done.counts, "import": record.public_id}
            log(ports, tables, "undo import", f"import:{record.public_id}", after=after)
        return done


def _refuse(record: ImportRecord) -> None:
    if record.undone_at is not None:
        raise Conflict(
            f"The import of “{record.name}” was undone on {record.undone_at:%Y-%m-%d}.",
            "`asterism people import FILE` brings its people in again.",
        )
    tally = record.tally
    if record.changes:
        return
    if tally.get("new") or tally.get("changed"):
        raise Conflict(
            f"The import of “{record.name}” is from before what an import does was recorded.",
            "It cannot be undone as a whole; `asterism people erase WHO` forgets one contact.",
        )
    raise Conflict(
        f"The import of “{record.name}” changed nobody; there is nothing to undo.",
        "`asterism people imports` lists the others.",
    )
