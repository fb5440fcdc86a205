"""Items of the ferry companies' sources in a real store, for tests of stories and sifting."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from pipeline.model.catalog import Catalog
from pipeline.model.letters import Beat
from pipeline.model.news import CleanHtml, NewItem
from pipeline.stores.sql import SqlStore
from tests.builders import BEAT, CATALOG, DUE, NOW

HOUR = timedelta(hours=1)


def new_item(source: str, name: str, title: str, text: str = "", **fields: Any) -> NewItem:
    url = fields.pop("url", f"https://{source}.example/{name}")
    values: dict[str, Any] = {
        "identity": name, "url": url, "canonical_url": url, "title": title,
        "summary_html": CleanHtml(""), "text": text, "author": "", "published_at": NOW - 5 * HOUR,
        "dated": True, "content_hash": hashlib.sha256((title + text).encode()).hexdigest(),
        "language": "en",
    } | fields  # fmt: skip
    return NewItem(**values)


def adopt(store: SqlStore, catalog: Catalog = CATALOG) -> None:
    with store.write() as tables:
        tables.catalog.adopt(catalog, NOW)


def put_items(store: SqlStore, source: str, *new: NewItem) -> Sequence[int]:
    with store.write() as tables:
        ids = {state.key: state.id for state in tables.news.sources()}
        return tables.news.add_items(ids[source], new, NOW)


def open_issue(store: SqlStore, newsletter: str = "ferry-weekly", due: datetime = DUE) -> int:
    """The id of an issue of this newsletter."""
    with store.write() as tables:
        day = BEAT + (due - DUE)
        return tables.letters.open_issue(
            newsletter, Beat(day, due, day), cut_off_at=due - 24 * HOUR,
            deadline_at=due - 4 * HOUR, subject="", now=NOW,
        ).id  # fmt: skip
