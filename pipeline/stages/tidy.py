"""Housekeeping: forgets old histories and raw postings, sweeps what killed writers left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from pipeline.ports import Ports

#: How long it is remembered how sources and jobs fared.
HISTORY = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Tidied:
    """What went; nothing that a person wrote is among it."""

    fetches: int = 0  #: lines of the sources' history
    runs: int = 0  #: lines of the jobs' history
    files: int = 0  #: temporary files of writers that died


def tidy(ports: Ports) -> Tidied:
    """Forget what only the machine wrote and nobody looks at any more; again finds nothing.

    Raises: Down
    """
    before = ports.clock.now() - HISTORY
    with ports.store.write() as tables:
        fetches = tables.news.trim_history(before)
        runs = tables.jobs.trim_runs(before)
    files = ports.workspace.sweep()
    ports.store.optimize()
    return Tidied(fetches, runs, files)
