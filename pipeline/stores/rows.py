"""Every row of every table, out and in again: what a backup is made of.

Values travel by kind, not by a database's own types, so that a backup of SQLite goes into
PostgreSQL as well as into SQLite.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import sqlalchemy as sa

from pipeline.stores.schema import UtcDateTime, metadata

Kind = Literal["at", "on", "bytes", "json", "plain"]

PAGE = 500

_TYPES: Mapping[Kind, sa.types.TypeEngine[Any]] = {
    "at": UtcDateTime(),
    "on": sa.Date(),
    "bytes": sa.LargeBinary(),
    "json": sa.JSON(),
    "plain": sa.types.NullType(),
}
_WRITTEN: Mapping[Kind, Callable[[Any], Any]] = {
    "at": lambda value: value.isoformat(),
    "on": lambda value: value.isoformat(),
    "bytes": lambda value: b64encode(value).decode("ascii"),
    "json": lambda value: value,
    "plain": lambda value: value,
}
_READ: Mapping[Kind, Callable[[Any], Any]] = {
    "at": datetime.fromisoformat,
    "on": date.fromisoformat,
    "bytes": b64decode,
    "json": lambda value: value,
    "plain": lambda value: value,
}


@dataclass(frozen=True, slots=True)
class TableShape:
    """A table as a backup knows it."""

    name: str
    columns: tuple[tuple[str, Kind], ...]
    own: tuple[str, ...] = ()  #: columns that lead to rows of the same table


def shapes() -> tuple[TableShape, ...]:
    """Every table of this program, each after those that it leads to."""
    return tuple(_shape(table) for table in metadata.sorted_tables)


def _shape(table: sa.Table) -> TableShape:
    own = tuple(
        column.name
        for column in table.columns
        if any(key.column.table is table for key in column.foreign_keys)
    )
    return TableShape(table.name, tuple((c.name, _kind(c.type)) for c in table.columns), own)


def _kind(type_: sa.types.TypeEngine[Any]) -> Kind:
    kinds: tuple[tuple[type, Kind], ...] = (
        (UtcDateTime, "at"), (sa.Date, "on"), (sa.LargeBinary, "bytes"), (sa.JSON, "json"),
    )  # fmt: skip
    return next((kind for of, kind in kinds if isinstance(type_, of)), "plain")


def rows_of(connection: sa.Connection, shape: TableShape) -> Iterator[list[Any]]:
    """The rows of one table as JSON can carry them, in the order of their keys."""
    table = metadata.tables[shape.name]
    columns = [table.c[name] for name, _ in shape.columns]
    writers = [_WRITTEN[kind] for _, kind in shape.columns]
    found = connection.execution_options(yield_per=PAGE).execute(
        sa.select(*columns).order_by(*table.primary_key)
    )
    for row in found:
        yield [
            None if value is None else write(value)
            for write, value in zip(writers, row, strict=True)
        ]


def fill(connection: sa.Connection, shape: TableShape, rows: Iterable[Sequence[Any]]) -> int:
    """Write rows into an empty table; how many.

    What leads to rows of the same table is written once they are all there. PostgreSQL is
    told where its numbers go on.
    """
    table = sa.table(shape.name, *(sa.column(n, _TYPES[kind]) for n, kind in shape.columns))
    readers = [(name, _READ[kind]) for name, kind in shape.columns]
    number, page, later = 0, [], []
    for row in rows:
        values = {
            name: None if value is None else read(value)
            for (name, read), value in zip(readers, row, strict=True)
        }
        if any(values[name] is not None for name in shape.own):
            later.append({f"to_{name}": values[name] for name in shape.own} | {"row": values["id"]})
            values |= dict.fromkeys(shape.own)
        page.append(values)
        if len(page) == PAGE:
            connection.execute(sa.insert(table), page)
            page = []
        number += 1
    if page:
        connection.execute(sa.insert(table), page)
    if later:
        leads: dict[str, Any] = {name: sa.bindparam(f"to_{name}") for name in shape.own}
        connection.execute(
            sa.update(table).where(table.c.id == sa.bindparam("row")).values(**leads), later
        )
    if connection.dialect.name == "postgresql" and number and "id" in dict(shape.columns):
        connection.execute(
            sa.text(
                f"SELECT setval(pg_get_serial_sequence('{shape.name}', 'id'), "  # noqa: S608  ours
                f"(SELECT max(id) FROM {shape.name}))"
            )
        )
    return number
