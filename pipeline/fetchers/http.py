"""Asks the outside over HTTP: guarded, polite, side by side; every failure is a value."""

from __future__ import annotations

import asyncio
import queue
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import urljoin

import aiohttp
from yarl import URL

from pipeline.fetchers import headers
from pipeline.fetchers.body import ACCEPTED, Garbled, TooBig, decoder
from pipeline.fetchers.guard import Blocked, Guard, GuardedResolver, Resolve
from pipeline.fetchers.manners import Manners
from pipeline.model.news import Answer, Fetched, FetchFailed, FetchFailure, Request, Unchanged
from pipeline.rules.news.address import Address

_ACCEPT = (
    "application/rss+xml, application/atom+xml, application/feed+json, application/xml;q=0.9, "
    "text/xml;q=0.9, application/json;q=0.8, text/html;q=0.7, */*;q=0.1"
)
_REDIRECTS = {301, 302, 303, 307, 308}
_PERMANENT = {301, 308}
_WHOLE = {200, 203, 226}
_WAITS = {429, 503}
_CHUNK_BYTES = 65_536
_UNTAKEN_BYTES = 64_000_000  #: of answers that nobody has taken; then no new request begins


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of the world we put up with."""

    concurrency: int = 32
    open_limit: int = 128
    patience_s: float = 1.0
    spacing_s: float = 0.5
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 15.0
    whole_timeout_s: float = 30.0
    max_body_bytes: int = 10_000_000
    max_redirects: int = 5


class HttpFetcher:
    """The one client for everything that leaves."""

    def __init__(
        self,
        user_agent: str,
        *,
        allow_networks: Iterable[str] = (),
        allow_ports: Iterable[int] = (80, 443),
        resolve: Resolve | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._user_agent = user_agent
        self._guard = Guard(allow_networks, allow_ports, resolve)
        self._limits = limits or Limits()

    def fetch(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Answer]]:
        """Yield each answer as it comes, in any order; never raises for one of many.

        The asking goes on in a thread of its own, ahead of whoever takes the answers, and
        ends when they stop taking.
        """
        if not requests:
            return
        crowd = _Crowd(_Client(self._user_agent, self._guard, self._limits), requests)
        try:
            crowd.start()
            yield from crowd.answers()
        finally:
            crowd.stop()


class _Crowd:
    """Many requests on a loop in a thread; their answers are taken outside it."""

    def __init__(self, client: _Client, requests: Sequence[Request]) -> None:
        self._client = client
        self._requests = requests
        self._out: queue.SimpleQueue[tuple[Request, Answer] | BaseException | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._run, name="fetch", daemon=True)
        self._begun = threading.Event()
        self._halt: Callable[[], object] = lambda: None
        self._taken: Callable[[int], object] = lambda _size: None

    def start(self) -> None:
        self._thread.start()

    def answers(self) -> Iterator[tuple[Request, Answer]]:
        while (got := self._out.get()) is not None:
            if isinstance(got, BaseException):
                raise got
            self._taken(_size(got[1]))
            yield got

    def stop(self) -> None:
        if self._thread.is_alive():
            self._begun.wait()  # whoever stops it at once may come before it can be halted
            self._halt()
            self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._all())
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self._out.put(error)
        finally:
            self._begun.set()
            self._out.put(None)

    async def _all(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        backlog = _Backlog()

        def from_outside(call: Callable[..., object], *args: object) -> None:
            with suppress(RuntimeError):  # the loop has gone home already
                loop.call_soon_threadsafe(call, *args)

        self._halt = lambda: from_outside(task.cancel) if task else None
        self._taken = lambda size: from_outside(backlog.less, size)
        self._begun.set()
        async with self._client.session() as session, asyncio.TaskGroup() as group:
            for request in self._requests:
                group.create_task(self._one(session, request, backlog))

    async def _one(
        self, session: aiohttp.ClientSession, request: Request, backlog: _Backlog
    ) -> None:
        answer = await self._client.ask(session, request, backlog)
        backlog.more(_size(answer))
        self._out.put((request, answer))


class _Backlog:
    """Bytes of answers that wait to be taken; asking pauses while there are too many."""

    def __init__(self) -> None:
        self._bytes = 0
        self._room = asyncio.Event()
        self._room.set()

    def more(self, size: int) -> None:
        self._bytes += size
        if self._bytes > _UNTAKEN_BYTES:
            self._room.clear()

    def less(self, size: int) -> None:
        self._bytes -= size
        if self._bytes <= _UNTAKEN_BYTES:
            self._room.set()

    async def room(self) -> None:
        await self._room.wait()


@dataclass(frozen=True, slots=True)
class _Redirect:
    """One hop's answer: look elsewhere."""

    url: str
    permanent: bool


class _Client:
    """One request from its first hop to its answer."""

    def __init__(self, user_agent: str, guard: Guard, limits: Limits) -> None:
        self._user_agent = user_agent
        self._guard = guard
        self._limits = limits
        self._manners: Manners | None = None

    def session(self) -> aiohttp.ClientSession:
        limits = self._limits
        self._manners = Manners(
            concurrency=limits.concurrency,
            open_limit=limits.open_limit,
            patience_s=limits.patience_s,
            spacing_s=limits.spacing_s,
        )
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=GuardedResolver(self._guard),
                socket_factory=self._guard.socket,
                use_dns_cache=False,
                limit=0,
            ),
            timeout=aiohttp.ClientTimeout(
                total=None,
                connect=limits.connect_timeout_s,
                sock_connect=limits.connect_timeout_s,
                sock_read=limits.read_timeout_s,
            ),
            headers={"User-Agent": self._user_agent, "Accept-Encoding": ACCEPTED},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
        )

    async def ask(
        self, session: aiohttp.ClientSession, request: Request, backlog: _Backlog
    ) -> Answer:
        """Follow redirects by hand, each hop guarded and in its own host's turn."""
        url, seen, permanent, spent_s = request.url, set[str](), True, 0.0
        for _ in range(self._limits.max_redirects + 1):
            try:
                address = replace(self._guard.address(url), fragment=None)
            except Blocked as blocked:
                return _failed("blocked", str(blocked), spent_s)
            if str(address) in seen:
                return _failed("redirects", "The server sends us round in a circle.", spent_s)
            seen.add(str(address))
            result, took_s = await self._in_turn(session, request, address, spent_s, backlog)
            spent_s += took_s
            if not isinstance(result, _Redirect):
                moved_to = str(address) if permanent and len(seen) > 1 else ""
                return _finished(result, _worth_keeping(moved_to, request.url), spent_s)
            url, permanent = result.url, permanent and result.permanent
        return _failed(
            "redirects",
            f"The server redirects more than {self._limits.max_redirects} times.",
            spent_s,
        )

    async def _in_turn(
        self,
        session: aiohttp.ClientSession,
        request: Request,
        address: Address,
        spent_s: float,
        backlog: _Backlog,
    ) -> tuple[Answer | _Redirect, float]:
        """One hop; waiting for a turn does not count against the deadline."""
        assert self._manners is not None  # noqa: S101  # session() came first
        clock = asyncio.get_running_loop().time
        async with self._manners.turn(address.host, address.port):
            await backlog.room()
            started = clock()
            try:
                async with asyncio.timeout(self._limits.whole_timeout_s - spent_s):
                    result = await self._hop(session, request, address)
            except Exception as error:  # one of many never stops the others
                result = self._excuse(error)
            return result, clock() - started

    async def _hop(
        self, session: aiohttp.ClientSession, request: Request, address: Address
    ) -> Answer | _Redirect:
        asked = {"Accept": request.accept or _ACCEPT}
        if request.etag:
            asked["If-None-Match"] = request.etag
        if request.last_modified:
            asked["If-Modified-Since"] = request.last_modified
        url = URL(str(address), encoded=True)
        async with session.get(url, headers=asked, allow_redirects=False) as response:
            now = datetime.now(UTC)
            if response.status in _WHOLE:
                return await self._whole(response, address, now)
            if response.status == 304 and (request.etag or request.last_modified):
                return Unchanged(
                    etag=headers.validator(response, "ETag"),
                    last_modified=headers.validator(response, "Last-Modified"),
                    max_age_s=headers.max_age_s(response, now),
                )
            if response.status in _REDIRECTS:
                return _redirect(response, address)
            return _refusal(response, now)

    async def _whole(
        self, response: aiohttp.ClientResponse, address: Address, now: datetime
    ) -> Answer:
        encoding = headers.field(response, "Content-Encoding")
        unpack = decoder(encoding)
        if unpack is None:
            return _failed(
                "bad_answer", f"The server packed its answer as “{headers.shown(encoding)}”, "
                "which we did not ask for.",
            )  # fmt: skip
        limit = self._limits.max_body_bytes
        if (response.content_length or 0) > limit:
            raise TooBig
        body, packed_bytes = bytearray(), 0
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            packed_bytes += len(chunk)
            if packed_bytes > limit:
                raise TooBig
            body += unpack.feed(chunk, limit - len(body))
        unpack.end()
        return Fetched(
            url=str(address),
            status=response.status,
            content_type=headers.shown(headers.field(response, "Content-Type")),
            body=bytes(body),
            etag=headers.validator(response, "ETag"),
            last_modified=headers.validator(response, "Last-Modified"),
            max_age_s=headers.max_age_s(response, now),
        )

    def _excuse(self, error: Exception) -> FetchFailed:
        """A failure in one plain sentence; the foreign exception stays here."""
        limits = self._limits
        if isinstance(error, Blocked):
            return _failed("blocked", str(error))
        if isinstance(error, TooBig):
            return _failed(
                "too_big",
                f"The answer is larger than {limits.max_body_bytes / 1_000_000:g} MB.",
            )
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return _failed(
                "timeout", f"The server did not let us in within {limits.connect_timeout_s:g} s."
            )
        if isinstance(error, aiohttp.SocketTimeoutError):
            return _failed("timeout", f"The server fell silent for {limits.read_timeout_s:g} s.")
        if isinstance(error, TimeoutError):
            return _failed(
                "timeout", f"The answer was not complete after {limits.whole_timeout_s:g} s."
            )
        return next(
            (
                _failed(reason, words)
                for kinds, reason, words in _EXCUSES
                if isinstance(error, kinds)
            ),
            _failed("bad_answer", "The server's answer is not proper HTTP."),
        )


#: Kinds of failure, the more special first.
_EXCUSES: tuple[tuple[tuple[type[Exception], ...], FetchFailure, str], ...] = (
    ((aiohttp.ClientConnectorDNSError,), "dns", "The name of the server is not known."),
    (
        (aiohttp.ClientConnectorCertificateError,),
        "tls",
        "The server's certificate is not valid for its name, or has run out.",
    ),
    (
        (aiohttp.ClientSSLError, ssl.SSLError),
        "tls",
        "No secure connection could be made to the server.",
    ),
    ((aiohttp.ClientConnectorError,), "refused", "The server does not accept connections."),
    (
        (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, aiohttp.ClientOSError),
        "dropped",
        "The server broke off before its answer was complete.",
    ),
    ((Garbled,), "bad_answer", "The answer is packed in a way that cannot be unpacked."),
)

_STATUS_WORDS = {
    400: "it does not understand the request",
    401: "it wants a sign-in",
    402: "it wants to be paid",
    403: "it does not let us in",
    404: "there is nothing at this address",
    406: "it has nothing that we can read",
    429: "we ask too often",
    451: "the law does not let it answer",
    500: "it has a fault",
    502: "the server behind it does not answer",
    503: "it is busy or being mended",
    504: "the server behind it is too slow",
}


def _redirect(response: aiohttp.ClientResponse, address: Address) -> Answer | _Redirect:
    target = headers.location(response)
    if not target:
        return _failed("bad_answer", "The server redirects, and does not say where to.")
    try:
        url = urljoin(str(address), target.strip(" \t"))
    except ValueError:
        return _failed("bad_answer", "The server redirects to what is no address.")
    return _Redirect(url, response.status in _PERMANENT)


def _refusal(response: aiohttp.ClientResponse, now: datetime) -> FetchFailed:
    status = response.status
    if status == 410:
        words = "The server says that this source is gone for good (410)."
        return replace(_failed("gone", words), status=status, gone=True)
    if status == 304:
        return _failed("bad_answer", "The server says unchanged, though we hold nothing of it.")
    why = _STATUS_WORDS.get(status)
    return FetchFailed(
        reason="status",
        detail=f"The server answered {status}" + (f": {why}." if why else "."),
        status=status,
        retry_after_s=headers.retry_after_s(response, now) if status in _WAITS else None,
    )


def _failed(reason: FetchFailure, detail: str, elapsed_s: float = 0.0) -> FetchFailed:
    return FetchFailed(reason=reason, detail=detail, elapsed_s=elapsed_s)


def _finished(answer: Answer, moved_to: str, elapsed_s: float) -> Answer:
    if isinstance(answer, FetchFailed):
        return replace(answer, elapsed_s=elapsed_s)
    return replace(answer, moved_to=moved_to, elapsed_s=elapsed_s)


def _worth_keeping(moved_to: str, asked: str) -> str:
    """A new address is not remembered when it gives up encryption."""
    downgrade = asked.lower().startswith("https:") and moved_to.startswith("http:")
    return "" if downgrade else moved_to


def _size(answer: Answer) -> int:
    return len(answer.body) if isinstance(answer, Fetched) else 0
