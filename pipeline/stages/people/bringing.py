"""Bring people in from a file."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import PurePath

from pipeline.model.people import ImportTally
from pipeline.ports import Ports
from pipeline.rules.people.csv import parse_people
from pipeline.stages.people.parts import log


def import_people(ports: Ports, raw: bytes, name: str, *, dry_run: bool = False) -> ImportTally:
    """Bring a people file in, all of it in one transaction.

    The same file twice changes nothing. Whoever left, or is opted out in the file, is kept
    and never active. A row without a basis is taken, and its contact is never mailed.

    Shape:  raw is a CSV file's bytes, name is what messages call it
    Raises: BadInput (no CSV, no column of addresses), NotFound (files not taken over yet)
    """
    now = ports.clock.now()
    file_name = PurePath(name).name or "people.csv"
    read = parse_people(raw, name, ports.catalog, now.date())
    ports.progress(0, read.total, "people")
    with ports.store.read() if dry_run else ports.store.write() as tables:
        tally = tables.people.apply_import(
            read.rows,
            name=file_name,
            digest=hashlib.sha256(raw).hexdigest(),
            actor=ports.actor,
            now=now,
            dry_run=dry_run,
        )
        tally = replace(
            tally,
            rows=read.total,
            invalid=read.total - len(read.rows),
            problems=read.problems,
            remarks=read.remarks,
            columns=read.columns,
        )
        if not dry_run:
            log(ports, tables, "import", f"people:{file_name[:190]}", after=_counts(tally))
    ports.progress(read.total, read.total, "people")
    return tally


def _counts(tally: ImportTally) -> dict[str, int]:
    names = ("rows", "new", "changed", "same", "left", "invalid", "without_basis")
    return {name: getattr(tally, name) for name in names}
