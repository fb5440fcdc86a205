"""Settings → Ports: the only place that picks adapters."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipeline import __version__
from pipeline.fetchers.http import HttpFetcher
from pipeline.parsers.local import LocalParser
from pipeline.ports import Clock, Ports, Progress
from pipeline.rules.letters.tokens import HmacTokens
from pipeline.settings import Settings
from pipeline.stores.migrate import migrate
from pipeline.stores.sql import SqlStore
from pipeline.transports.file import FileTransport
from pipeline.workspace.environment import load_settings
from pipeline.workspace.files import FileWorkspace


class SystemClock:
    """The machine's time."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class RehearsalClock:
    """Stands at the instant of ASTERISM_NOW."""

    at: datetime

    def now(self) -> datetime:
        return self.at


def silent(done: int, total: int, what: str) -> None:
    """Progress that nobody watches."""


@contextmanager
def open_ports(workspace: Path, *, actor: str = "", progress: Progress = silent) -> Iterator[Ports]:
    """Everything a stage may touch, for one command; closed at the end.

    Raises: BadInput (a file or a setting is wrong), Down (the database is away)
    """
    files = FileWorkspace(workspace)
    catalog = files.catalog()
    settings = load_settings(workspace, os.environ)
    migrate(settings.database_url)
    store = SqlStore(settings.database_url, settings.secret)
    try:
        yield Ports(
            store=store,
            workspace=files,
            clock=_clock(settings),
            fetcher=HttpFetcher(
                user_agent=f"Asterism/{__version__} (+mailto:{catalog.firm.contact})",
                allow_networks=settings.allow_networks,
                allow_ports=settings.allow_ports,
            ),
            parser=LocalParser(),
            transport=FileTransport(settings.output / "mail"),
            tokens=HmacTokens(settings.secret),
            catalog=catalog,
            progress=progress,
            actor=actor or settings.actor,
        )
    finally:
        store.close()


def _clock(settings: Settings) -> Clock:
    return RehearsalClock(settings.now) if settings.now else SystemClock()
