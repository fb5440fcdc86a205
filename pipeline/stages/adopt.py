"""Files → rows: what people wrote becomes what the store knows."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.ports import Ports


@dataclass(frozen=True, slots=True)
class Adopted:
    """What came of the files; all 0 when they are as they were."""

    new: int = 0
    changed: int = 0
    renamed: int = 0
    returned: int = 0
    retired: int = 0


def adopt(ports: Ports) -> Adopted:
    """Bring the store's rows in line with the catalog, in one transaction.

    Nothing is written when the files are those of the last time.
    """
    with ports.store.read() as tables:
        if tables.catalog.digest() == ports.catalog.digest:
            return Adopted()
    with ports.store.write() as tables:
        return Adopted(**tables.catalog.adopt(ports.catalog, ports.clock.now()))
