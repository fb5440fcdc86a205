"""How long a stranger may take: who sends or reads too slowly is cut off."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

#: A request's first line and headers; ours need a tenth of it.
MAX_HEAD_BYTES = 16_384
MAX_CONNECTIONS = 200
IDLE_S = 5
#: What waits when the program ends is answered or closed before.
GRACE_S = 5


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits in seconds, each for the whole of it and not from byte to byte."""

    head_s: float = 10  #: from the connection, or the last answer, to a whole request head
    body_s: float = 10  #: for what a form sends
    answer_s: float = 60  #: from the head until the answer is out, waiting for the database too


def config_of(app: ASGIApp, patience: Patience) -> uvicorn.Config:
    """How the pages are served: no address in the log, nothing said of the server."""
    return uvicorn.Config(
        app,
        http=_protocol(patience),
        loop="asyncio",
        log_config=None,
        access_log=False,  # addresses hold tokens, and tokens stand in no log
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=GRACE_S,
    )


def _protocol(patience: Patience) -> type[asyncio.Protocol]:
    """uvicorn's own waits for ever for a head, for an unread body, and for a slow reader."""

    class Timed(H11Protocol):
        _limit: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._allow(patience.head_s)

        def data_received(self, data: bytes) -> None:
            was_busy = self._is_busy()
            super().data_received(data)
            if self._is_busy() and not was_busy:
                self._allow(patience.answer_s)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            unread = self.transport.get_write_buffer_size()
            self._allow(patience.answer_s if unread or self._is_busy() else patience.head_s)

        def connection_lost(self, exc: Exception | None) -> None:
            if self._limit is not None:
                self._limit.cancel()
            super().connection_lost(exc)

        def _is_busy(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def _allow(self, seconds: float) -> None:
            if self._limit is not None:
                self._limit.cancel()
            self._limit = self.loop.call_later(seconds, self.transport.abort)

    return Timed
