"""(being built)"""

from __future__ import annotations

import sqlalchemy as sa


class SqlLetters:
    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
