"""Settings → Ports: the only place that picks adapters."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import __version__
from pipeline.errors import Mistake
from pipeline.model.catalog import Catalog, Firm, Selectors
from pipeline.model.news import Answer, ParsedFeed, ParseFailed, Request
from pipeline.ports import (
    Clock,
    Events,
    Fetcher,
    Mailbox,
    Names,
    Outbox,
    Ports,
    Progress,
    Transport,
)
from pipeline.rules.letters.tokens import HmacTokens
from pipeline.settings import Settings
from pipeline.stores.migrate import migrate
from pipeline.stores.sql import SqlStore
from pipeline.transports.file import FileTransport
from pipeline.transports.nothing import NoTransport
from pipeline.workspace.environment import load_despite_mistakes, load_settings
from pipeline.workspace.files import FileWorkspace
from pipeline.workspace.output import FilePapers

if TYPE_CHECKING:
    from pipeline.parsers.local import LocalParser


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


class RunningClock:
    """Begins at the instant of ASTERISM_NOW and runs ASTERISM_SPEED times as fast as time does."""

    def __init__(self, start: datetime, speed: float) -> None:
        self._start, self._speed = start, speed
        self._began = time.monotonic()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=(time.monotonic() - self._began) * self._speed)


class LazyNames:
    """The domain name system, imported when somebody asks it."""

    def txt(self, name: str) -> Sequence[str]:
        from pipeline.resolvers.dns import DnsNames

        return DnsNames().txt(name)


@dataclass(frozen=True, slots=True)
class LazyFetcher:
    """The guarded HTTP client, imported when somebody fetches: it takes a quarter of a second."""

    user_agent: str
    allow_networks: tuple[str, ...]
    allow_ports: tuple[int, ...]

    def fetch(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Answer]]:
        from pipeline.fetchers.http import HttpFetcher

        fetcher: Fetcher = HttpFetcher(
            user_agent=self.user_agent,
            allow_networks=self.allow_networks,
            allow_ports=self.allow_ports,
        )
        return fetcher.fetch(requests)


class LazyParser:
    """The parsers, imported when somebody parses; their process ends with the command."""

    def __init__(self) -> None:
        self._parser: LocalParser | None = None

    def feed(self, body: bytes, content_type: str, url: str) -> ParsedFeed | ParseFailed:
        return self._made().feed(body, content_type, url)

    def page(
        self, body: bytes, content_type: str, url: str, selectors: Selectors
    ) -> ParsedFeed | ParseFailed:
        return self._made().page(body, content_type, url, selectors)

    def close(self) -> None:
        if self._parser is not None:
            self._parser.close()

    def _made(self) -> LocalParser:
        if self._parser is None:
            from pipeline.parsers.local import LocalParser

            self._parser = LocalParser()
        return self._parser


def silent(done: int, total: int, what: str) -> None:
    """Progress that nobody watches."""


@contextmanager
def open_ports(workspace: Path, *, actor: str = "", progress: Progress = silent) -> Iterator[Ports]:
    """Everything a stage may touch, for one command; closed at the end.

    Raises: BadInput (a file or a setting is wrong), Conflict (the secret is another
            workspace's), Down (the database is away)
    """
    files = FileWorkspace(workspace)
    catalog = files.catalog()
    settings = load_settings(workspace, os.environ)
    clock = _clock(settings)
    made = _Made(files, catalog, settings, clock, _transport(settings, clock), _events(settings))
    with _opened(made, actor=actor, progress=progress) as ports:
        yield ports


@contextmanager
def open_despite_mistakes(
    workspace: Path, *, actor: str = "", progress: Progress = silent
) -> Iterator[tuple[Ports, tuple[Mistake, ...]]]:
    """As open_ports(), for what sends nothing and cannot wait until a file is mended.

    Shape:  the mistakes that were passed over, in files and settings. With any in the files the
            catalog is what is right in them: it is not for taking over; with any in the
            settings nobody can be asked to give mail back
    Raises: BadInput (no workspace; the database or the secret is in doubt), Conflict (the
            secret is another workspace's), Down (the database is away)
    """
    files = FileWorkspace(workspace)
    catalog, in_files = files.catalog_despite_mistakes()
    settings, in_settings = load_despite_mistakes(workspace, os.environ)
    clock = _clock(settings)
    transport = NoTransport() if in_settings else _transport(settings, clock)
    made = _Made(files, catalog, settings, clock, transport, None)
    with _opened(made, actor=actor, progress=progress) as ports:
        yield ports, (*in_files, *in_settings)


@dataclass(frozen=True, slots=True)
class _Made:
    """What the ports are made of, as far as it hangs on what people wrote."""

    files: FileWorkspace
    catalog: Catalog
    settings: Settings
    clock: Clock
    transport: Transport
    events: Events | None


@contextmanager
def _opened(made: _Made, *, actor: str, progress: Progress) -> Iterator[Ports]:
    settings, catalog = made.settings, made.catalog
    migrate(settings.database_url, wait_s=settings.wait_s)
    store = SqlStore(settings.database_url, settings.secret, wait_s=settings.wait_s)
    parser = LazyParser()
    try:
        store.check_secret()
        yield Ports(
            store=store,
            workspace=made.files,
            clock=made.clock,
            fetcher=LazyFetcher(
                user_agent=f"Asterism/{__version__} (+mailto:{catalog.firm.contact})",
                allow_networks=settings.allow_networks,
                allow_ports=settings.allow_ports,
            ),
            parser=parser,
            transport=made.transport,
            tokens=HmacTokens(settings.secret),
            catalog=catalog,
            progress=progress,
            actor=actor or settings.actor,
            events=made.events,
            mailbox=_mailbox(settings),
            names=_names(),
            limits=settings.limits,
            outbox=_outbox(settings),
            papers=FilePapers(settings.output / "reports"),
            bcc_address=settings.bcc_address,
            allowances=_allowances(settings),
        )
    finally:
        parser.close()
        store.close()


def open_without_store(settings: Settings) -> tuple[Firm, Transport, Clock]:
    """What a look over the installation needs while the database is away; changes nothing.

    Raises: BadInput (a file is wrong)
    """
    clock = _clock(settings)
    return FileWorkspace(settings.workspace).catalog().firm, _transport(settings, clock), clock


def _allowances(settings: Settings) -> str:
    """The same whatever the order in which they were written down."""
    return " ".join([*sorted(settings.allow_networks), *map(str, sorted(settings.allow_ports))])


def _clock(settings: Settings) -> Clock:
    if settings.now is None:
        return SystemClock()
    return (
        RunningClock(settings.now, settings.speed)
        if settings.speed
        else RehearsalClock(settings.now)
    )


# ── what is imported only where it is chosen ─────────────────────────────────────────────


def _transport(settings: Settings, clock: Clock) -> Transport:
    if settings.transport == "smtp":
        from pipeline.transports.smtp import SmtpTransport

        return SmtpTransport(settings.smtp)
    if settings.transport == "sendgrid":
        from pipeline.transports.sendgrid.send import SendGridTransport

        real = isinstance(clock, SystemClock)
        return SendGridTransport(settings.sendgrid, clock.now, heed_date=real)
    return FileTransport(settings.output / "mail")


def _outbox(settings: Settings) -> Outbox:
    from pipeline.transports.forgetting import FileOutbox

    return FileOutbox(settings.output / "mail", settings.output / "previews")


def _events(settings: Settings) -> Events | None:
    if settings.transport != "sendgrid":
        return None
    from pipeline.transports.sendgrid.events import SendGridEvents

    return SendGridEvents(settings.sendgrid.webhook_key)


def _mailbox(settings: Settings) -> Mailbox | None:
    if settings.bcc_mailbox is None:
        return None
    from pipeline.mailboxes.local import LocalMailbox

    return LocalMailbox(settings.bcc_mailbox)


def _names() -> Names:
    return LazyNames()
