"""(being built)"""

from __future__ import annotations

import sqlalchemy as sa


class SqlDeliveries:
    def __init__(self, connection: sa.Connection, secret: bytes) -> None:
        self._connection = connection
        self._secret = secret
