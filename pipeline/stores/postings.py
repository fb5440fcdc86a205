"""What providers and mailboxes told us, as it came, and each thing once."""

from __future__ import annotations

import sqlalchemy as sa


class SqlPostings:
    """Fits `PostingsTable`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
