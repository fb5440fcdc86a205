"""The sample workspace in a folder, with its world's rounds read and stored as gathering does."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pipeline
from pipeline.model.catalog import Catalog, Source
from pipeline.model.news import ParsedFeed
from pipeline.parsers.local import LocalParser
from pipeline.ports import Ports
from pipeline.rules.news.items import decide_items
from pipeline.stages.adopt import adopt
from pipeline.stages.sift import Sifted, sift
from pipeline.stores.sql import SqlStore
from pipeline.workspace.files import FileWorkspace
from pipeline.workspace.starter import init
from tests.builders import StandingClock

SAMPLE = Path(pipeline.__path__[0]) / "sample"
WORLD = Path(pipeline.__path__[0]) / "demo" / "outside"
TUESDAY = datetime(2026, 11, 17, 8, tzinfo=UTC)
WEDNESDAY = datetime(2026, 11, 18, 8, tzinfo=UTC)
ISSUE = "under-load/1"


def publishers() -> dict[str, Any]:
    return tomllib.loads((WORLD / "world.toml").read_text(encoding="utf-8"))


def made(folder: Path) -> FileWorkspace:
    """The sample as `demo` makes it: its publishers live on this machine."""
    init(folder, sample=True)
    feeds = folder / "feeds.yaml"
    text = feeds.read_text(encoding="utf-8")
    for port, publisher in enumerate(publishers().values(), 8001):
        text = text.replace(publisher["address"], f"http://127.0.0.1:{port}")
    feeds.write_text(text, encoding="utf-8")
    return FileWorkspace(folder)


@dataclass
class Newsstand:
    """The sample over a real store, at a standing time."""

    store: SqlStore
    workspace: FileWorkspace
    catalog: Catalog
    clock: StandingClock
    parser: LocalParser

    def ports(self, actor: str = "maren") -> Ports:
        nothing: Any = None
        return Ports(
            store=self.store, workspace=self.workspace, clock=self.clock, fetcher=nothing,
            parser=self.parser, transport=nothing, tokens=nothing, catalog=self.catalog,
            progress=lambda done, total, what: None, actor=actor,
        )  # fmt: skip

    def round(self, number: int) -> Sifted:
        """Read what every publisher serves in this round, store it, sift it."""
        self.clock.at = (TUESDAY, WEDNESDAY)[number - 1]
        adopt(self.ports())
        for key, publisher in publishers().items():
            rounds = publisher["rounds"]
            if rounds:
                body = (WORLD / rounds[min(number, len(rounds)) - 1]).read_bytes()
                self._store(key, self._parsed(key, body, publisher["type"]))
        return sift(self.ports())

    def _parsed(self, key: str, body: bytes, content_type: str) -> ParsedFeed:
        source = self.source(key)
        if source.kind == "page":
            assert source.selectors is not None
            found = self.parser.page(body, content_type, source.url, source.selectors)
        else:
            found = self.parser.feed(body, content_type, source.url)
        assert isinstance(found, ParsedFeed), found
        return found

    def _store(self, key: str, parsed: ParsedFeed) -> None:
        with self.store.write() as tables:
            state = next(s for s in tables.news.sources() if s.key == key)
            known = tables.news.known_items(state.id)
            decision = decide_items(self.source(key), parsed.entries, known, self.clock.at)
            tables.news.add_items(state.id, decision.items, self.clock.at)

    def source(self, key: str) -> Source:
        return next(s for s in self.catalog.sources if s.key == key)
