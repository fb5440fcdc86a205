"""Mail among ourselves, each once to each of us."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from pipeline.model.letters import Notice


class SqlNotices:
    """Fits `NoticesTable`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, notice: Notice) -> bool:
        raise NotImplementedError

    def of(self, about: str) -> Sequence[Notice]:
        raise NotImplementedError
