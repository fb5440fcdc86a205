"""A database with the ferry companies, their stories and an issue, for tests of curating."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from pipeline.model.letters import Beat, Issue
from pipeline.ports import Ports
from pipeline.rules.news.address import link_hash
from pipeline.stores import schema
from pipeline.stores.sql import SqlStore
from tests.builders import CATALOG, FERRIES, NOW, StandingClock


@dataclass
class Newsroom:
    """Writes rows where the verbs under test only read them."""

    store: SqlStore
    url: str

    def __post_init__(self) -> None:
        with self.store.write() as tables:
            tables.catalog.adopt(CATALOG, NOW)
        engine = sa.create_engine(self.url)
        with engine.begin() as connection:
            self._insert(
                connection, schema.newsletters, key="ferry-monthly", title="The Month",
                constellation_id=self._id(connection, "constellations", FERRIES.key),
            )  # fmt: skip
        engine.dispose()

    def story(
        self,
        title: str,
        *,
        lead: str = "",
        kind: str = "news",
        score: float | None = 5.0,
        about: Sequence[tuple[str, str, str]] = (),
        signals: Sequence[tuple[str, float]] = (),
        learnt_from: str = "",
        is_public: bool = True,
        at: datetime = NOW - timedelta(days=3),
        tellings: Sequence[tuple[str, str]] = (),
    ) -> tuple[int, str]:
        """(id, public id) of a story in the pool; score None leaves it out of the pool.

        Shape:  about are (account, relation, evidence); tellings are (source, url)
        """
        slug = title.lower().replace(" ", "-")
        url = f"https://coastwire.example/{slug}" if kind == "news" else ""
        engine = sa.create_engine(self.url)
        with engine.begin() as connection:
            story_id = self._insert(
                connection, schema.stories, kind=kind, title=title, lead=lead, text=lead, url=url,
                source_name="Coast Wire" if kind == "news" else "", first_at=at, last_at=at,
                is_public=is_public, learnt_from_id=self._id(connection, "accounts", learnt_from),
            )  # fmt: skip
            if kind == "news":
                for source, link in tellings or (("coast-wire", url),):
                    self._item(connection, story_id, source, link, title, lead, at)
            for account, relation, evidence in about:
                self._insert(
                    connection, schema.story_mentions, story_id=story_id, relation=relation,
                    account_id=self._id(connection, "accounts", account), place="headline",
                    evidence=evidence, weight=1.0,
                )  # fmt: skip
            for signal, weight in signals:
                self._insert(
                    connection, schema.story_signals, story_id=story_id, signal=signal,
                    evidence=signal, weight=weight,
                )  # fmt: skip
            if score is not None:
                self._insert(
                    connection, schema.pool, story_id=story_id, score=score, scored_at=at,
                    constellation_id=self._id(connection, "constellations", "ferries"),
                    parts=[{"name": "about", "value": score, "why": "names an account"}],
                )  # fmt: skip
            public_id: str = connection.execute(
                sa.select(schema.stories.c.public_id).where(schema.stories.c.id == story_id)
            ).scalar_one()
        engine.dispose()
        return story_id, public_id

    def ports(self, actor: str = "eva", at: datetime = NOW) -> Ports:
        """The bag for curating and explaining: a store, a clock, the files, and who acts."""
        nothing: Any = None
        return Ports(
            store=self.store, workspace=nothing, clock=StandingClock(at), fetcher=nothing,
            parser=nothing, transport=nothing, tokens=nothing, catalog=CATALOG,
            progress=lambda done, total, what: None, actor=actor,
        )  # fmt: skip

    def merge(self, story_id: int, into: int) -> None:
        self._update(schema.stories, story_id, merged_into=into)

    def issue(self, newsletter: str = "ferry-weekly", on: date = date(2027, 3, 11)) -> Issue:
        """Due at 07:30 in Oslo; the cut-off is a day before."""
        due = datetime(on.year, on.month, on.day, 6, 30, tzinfo=NOW.tzinfo)
        beat = Beat(on, due, on)
        with self.store.write() as tables:
            tables.letters.record_beat(newsletter, beat, "planned")
            return tables.letters.open_issue(
                newsletter, beat, cut_off_at=due - timedelta(hours=24),
                deadline_at=due - timedelta(hours=4), subject="", now=NOW,
            )  # fmt: skip

    def _item(
        self, connection: sa.Connection, story_id: int, source: str, link: str, title: str,
        text: str, at: datetime,
    ) -> None:  # fmt: skip
        self._insert(
            connection, schema.items, story_id=story_id, url=link, canonical_url=link,
            source_id=self._id(connection, "sources", source), identity=f"{story_id}-{link}"[-60:],
            title=title, text=text, published_at=at, seen_at=at, content_hash="0",
            joined_why="first telling", canonical_hash=link_hash(link), language="en",
        )  # fmt: skip

    def _update(self, table: sa.Table, row_id: int, **values: Any) -> None:
        engine = sa.create_engine(self.url)
        with engine.begin() as connection:
            connection.execute(sa.update(table).where(table.c.id == row_id).values(**values))
        engine.dispose()

    @staticmethod
    def _insert(connection: sa.Connection, table: sa.Table, **values: Any) -> int:
        query = sa.insert(table).values(**values).returning(table.c.id)
        return int(connection.execute(query).scalar_one())

    @staticmethod
    def _id(connection: sa.Connection, table: str, key: str) -> int | None:
        rows = schema.metadata.tables[table]
        query = sa.select(rows.c.id).where(rows.c.key == key)
        return connection.execute(query).scalar_one() if key else None
