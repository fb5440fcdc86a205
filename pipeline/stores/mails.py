"""Mail copied to our own mailbox: which was looked at already, and what it came to."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from pipeline.stores.insert import insert_once
from pipeline.stores.schema import mails


class SqlMails:
    """Fits `MailsTable`. Neither an address nor a subject is kept here."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def known(self) -> frozenset[str]:
        """Digests of everything that was looked at."""
        return frozenset(self._connection.execute(sa.select(mails.c.digest)).scalars())

    def add(self, digest: str, outcome: str, detail: str, now: datetime) -> bool:
        """Write a mail down; False when somebody did before.

        Of two readers at once the second waits here until the first is done.
        """
        row = {"digest": digest, "outcome": outcome, "detail": detail, "seen_at": now}
        return insert_once(self._connection, mails, row)

    def link(self, digest: str, touch_id: int) -> None:
        """Which touch a mail became; of several the first."""
        self._connection.execute(
            sa.update(mails)
            .where(mails.c.digest == digest, mails.c.touch_id.is_(None))
            .values(touch_id=touch_id)
        )
