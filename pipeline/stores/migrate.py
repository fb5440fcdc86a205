"""Brings a database to the newest schema."""

from __future__ import annotations

from pipeline.stores.engine import connect, make_room
from pipeline.stores.schema import metadata


def migrate(url: str) -> None:
    """Create or upgrade the tables; running it again changes nothing."""
    make_room(url)
    engine = connect(url, writes=True)
    metadata.create_all(engine)
    engine.dispose()
