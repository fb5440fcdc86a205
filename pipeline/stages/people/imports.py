"""People files that were brought in, and the undoing of a whole one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.errors import Conflict
from pipeline.model.people import ImportRecord, TakenBack
from pipeline.ports import Ports, Tables
from pipeline.rules.people.take_back import decide_take_back
from pipeline.stages.people.parts import log


@dataclass(frozen=True, slots=True)
class UndoneImport:
    """What the undoing of an import did, or would do."""

    record: ImportRecord  #: as it was before
    contacts: Sequence[TakenBack]
    applied: bool
    passed_over: Sequence[str] = ()  #: names of later files that changed nobody, latest first

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

    Shape:  ref is an import's id or file name; empty for the latest that changed somebody
    Raises: NotFound; Conflict when it was undone already, or left no record to undo it by
    """
    with ports.store.read() if dry_run else ports.store.write() as tables:
        record, later = _meant(tables, ref)
        _refuse(record)
        decided = [decide_take_back(change) for change in tables.imports.changes(record.id)]
        done = UndoneImport(record, decided, applied=not dry_run, passed_over=later)
        if not dry_run:
            tables.imports.take_back(record.id, decided, ports.clock.now())
            after = {**done.counts, "import": record.public_id}
            log(ports, tables, "undo import", f"import:{record.public_id}", after=after)
        return done


def _meant(tables: Tables, ref: str) -> tuple[ImportRecord, Sequence[str]]:
    """The import that is meant, and which later ones changed nobody.

    One that was undone already counts: asked twice, no second file is taken back.
    """
    named = tables.imports.find(ref)
    if ref or _did_something(named):
        return named, ()
    known = tables.imports.records()
    for place, record in enumerate(known):
        if _did_something(record):
            return record, tuple(one.name for one in known[:place])
    return named, ()


def _did_something(record: ImportRecord) -> bool:
    """By its record, or by its tally where it is from before there were records."""
    return bool(record.changes or record.tally.get("new") or record.tally.get("changed"))


def _refuse(record: ImportRecord) -> None:
    if record.undone_at is not None:
        raise Conflict(
            f"The import of “{record.name}” was undone on {record.undone_at:%Y-%m-%d}.",
            "`asterism people import FILE` brings its people in again.",
        )
    if record.changes:
        return
    if _did_something(record):
        raise Conflict(
            f"The import of “{record.name}” is from before what an import does was recorded.",
            "It cannot be undone as a whole; `asterism people erase WHO` forgets one contact.",
        )
    raise Conflict(
        f"The import of “{record.name}” changed nobody; there is nothing to undo.",
        "`asterism people imports` lists the others.",
    )
