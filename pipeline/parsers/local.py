"""Parses on this machine: what is small right here, what may be hostile in a process apart."""

from __future__ import annotations

from pipeline.model.catalog import Selectors
from pipeline.model.news import ParsedFeed, ParseFailed
from pipeline.parsers.pool import Worker
from pipeline.rules.news.feed import parse_feed
from pipeline.rules.news.page import parse_page


class LocalParser:
    """Turns strangers' bytes into entries, within limits.

    Up to `large_bytes` and `many_tags` a body is read right here: at that size even the
    worst that is known costs about a second. One megabyte of attributes would cost
    feedparser four minutes, so the rest goes to a process with limits.
    """

    def __init__(
        self,
        *,
        large_bytes: int = 64_000,
        many_tags: int = 4_000,
        cpu_s: int = 15,
        memory_bytes: int = 512 * 1024 * 1024,
        max_body_bytes: int = 10_000_000,
    ) -> None:
        self._large_bytes = large_bytes
        self._many_tags = many_tags
        self._max_body_bytes = max_body_bytes
        self._worker = Worker(cpu_s=cpu_s, memory_bytes=memory_bytes)

    def close(self) -> None:
        """End the process, if there is one; a later body starts it anew."""
        self._worker.close()

    def feed(self, body: bytes, content_type: str, url: str) -> ParsedFeed | ParseFailed:
        if self._is_costly(body):
            return self._apart(body, content_type, url, None)
        return parse_feed(body, content_type, url)

    def page(
        self, body: bytes, content_type: str, url: str, selectors: Selectors
    ) -> ParsedFeed | ParseFailed:
        if self._is_costly(body):
            return self._apart(body, content_type, url, selectors)
        return parse_page(body, content_type, url, selectors)

    def _is_costly(self, body: bytes) -> bool:
        return len(body) > self._large_bytes or body.count(b"<") > self._many_tags

    def _apart(
        self, body: bytes, content_type: str, url: str, selectors: Selectors | None
    ) -> ParsedFeed | ParseFailed:
        if len(body) > self._max_body_bytes:
            megabytes = self._max_body_bytes / 1_000_000
            return ParseFailed("too_big", f"The answer is larger than {megabytes:g} MB.")
        return self._worker.parse(body, content_type, url, selectors)
