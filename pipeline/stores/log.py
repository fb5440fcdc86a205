"""The log of operations: written once, marked when undone, never changed otherwise."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from pipeline.errors import Conflict
from pipeline.model.log import Operation
from pipeline.stores.schema import operations


class SqlLog:
    """Who did what, with what was before and after."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def add(self, operation: Operation) -> int:
        """Write an operation and return its id.

        Shape: before and after hold what JSON holds
        """
        return int(
            self._connection.execute(
                sa.insert(operations).returning(operations.c.id),
                {
                    "actor": operation.actor,
                    "verb": operation.verb,
                    "subject": operation.subject,
                    "before": dict(operation.before),
                    "after": dict(operation.after),
                    "at": operation.at,
                },
            ).scalar_one()
        )

    def last_undoable(
        self, actor: str, verbs: Sequence[str], subject: str = ""
    ) -> Operation | None:
        """The latest of these verbs that this actor did and nobody has undone.

        What undid another operation is never offered itself.

        Shape: subject narrows it to one subject, when there is one
        """
        on_it = [operations.c.subject == subject] if subject else []
        undoing = operations.alias("undoing")
        row = self._connection.execute(
            sa.select(operations)
            .where(
                operations.c.actor == actor,
                operations.c.verb.in_(verbs),
                operations.c.undone_by.is_(None),
                *on_it,
                ~sa.exists().where(undoing.c.undone_by == operations.c.id),
            )
            .order_by(operations.c.id.desc())
            .limit(1)
        ).first()
        return None if row is None else _operation(row)

    def mark_undone(self, operation_id: int, by: int) -> None:
        """Operation `by` took `operation_id` back.

        Raises: Conflict when that was done already
        """
        result = self._connection.execute(
            sa.update(operations)
            .where(operations.c.id == operation_id, operations.c.undone_by.is_(None))
            .values(undone_by=by)
        )
        if result.rowcount == 0:
            raise Conflict("That was taken back already.", "Look at the newest state, then go on.")

    def of(self, subject: str) -> Sequence[Operation]:
        """All operations on one subject, oldest first."""
        rows = self._connection.execute(
            sa.select(operations)
            .where(operations.c.subject == subject)
            .order_by(operations.c.at, operations.c.id)
        )
        return tuple(_operation(row) for row in rows)


def _operation(row: sa.Row[tuple[object, ...]]) -> Operation:
    return Operation(
        actor=row.actor,
        verb=row.verb,
        subject=row.subject,
        at=row.at,
        before=row.before,
        after=row.after,
        id=row.id,
        undone_by=row.undone_by,
    )
