"""Housekeeping: forgets old histories and raw postings, sweeps what killed writers left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from pipeline.ports import Ports

#: How long it is remembered how sources and jobs fared.
HISTORY = timedelta(days=90)
#: How long a provider's own words are kept once they are understood: addresses stand in them.
POSTINGS = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Tidied:
    """What went; nothing that a person wrote is among it."""

    fetches: int = 0  #: lines of the sources' history
    runs: int = 0  #: lines of the jobs' history
    postings: int = 0  #: bodies of postings that were understood; what they told stays
    files: int = 0  #: temporary files of writers that died


def tidy(ports: Ports) -> Tidied:
    """Forget what only the machine wrote and nobody looks at any more; again finds nothing.

    Raises: Down
    """
    now = ports.clock.now()
    before = now - HISTORY
    with ports.store.write() as tables:
        fetches = tables.news.trim_history(before)
        runs = tables.jobs.trim_runs(before)
        postings = tables.postings.forget(now - POSTINGS)
    files = ports.workspace.sweep()
    ports.store.optimize()
    return Tidied(fetches, runs, postings, files)
