"""What people files did, and how all that one of them did is taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pipeline.errors import BadInput, Conflict, NotFound
from pipeline.model.people import ImportChange, ImportRecord, TakenBack
from pipeline.stores.intake import FIELDS, carry_suppressions, in_chunks
from pipeline.stores.people import address_hash
from pipeline.stores.schema import (
    accounts,
    bases,
    contacts,
    external_ids,
    import_changes,
    imports,
    metadata,
    operations,
)

CHUNK = 500
SHORTEST_REF = 4

#: What has happened with a contact since, by the table whose rows tell of it.
_HAPPENED: Mapping[str, tuple[str, str]] = {
    "audience": ("the verdict of an issue", "verdicts of issues"),
    "deliveries": ("a copy of a letter", "copies of letters"),
    "touches": ("a touch", "touches"),
    "told": ("a thing they were told", "things they were told"),
    "pauses": ("a pause", "pauses"),
    "holds": ("a hold", "holds"),
    "subscriptions": ("a choice of newsletters", "choices of newsletters"),
    "import_changes": ("a later import", "later imports"),
    "bases": ("a later basis", "later bases"),
    "external_ids": ("an id of a CRM", "ids of a CRM"),
    "operations": ("a step by hand", "steps by hand"),
}


class SqlImports:
    """Fits `ImportsTable`."""

    def __init__(self, connection: sa.Connection, address_key: bytes) -> None:
        self._connection = connection
        self._address_key = address_key

    def records(self) -> Sequence[ImportRecord]:
        """Latest first."""
        return self._records()

    def find(self, ref: str = "") -> ImportRecord:
        """By id or the beginning of one, or the latest of a file's name; the latest when empty.

        Raises: NotFound, BadInput when several begin so
        """
        known = self._records()
        if not known:
            raise NotFound(
                "No people file was brought in yet.", "`asterism people import FILE` does so."
            )
        if not ref:
            return known[0]
        named = [one for one in known if one.name == ref]
        found = named[:1] or [one for one in known if one.public_id.startswith(ref.lower())]
        if not found or (not named and len(ref) < SHORTEST_REF):
            raise NotFound(f"There is no import “{ref}”.", "`asterism people imports` lists them.")
        if len(found) > 1:
            raise BadInput(f"More than one import begins with “{ref}”.", "Give more of the id.")
        return found[0]

    def _records(self) -> Sequence[ImportRecord]:
        recorded = (
            sa.select(sa.func.count())
            .where(import_changes.c.import_id == imports.c.id)
            .scalar_subquery()
        )
        rows = self._connection.execute(
            sa.select(imports, recorded.label("changes")).order_by(imports.c.id.desc())
        )
        return tuple(
            ImportRecord(
                row.id, row.public_id, row.name, row.actor, row.at, row.tally, row.changes,
                row.undone_at,
            )
            for row in rows
        )  # fmt: skip

    # ── what one of them did ─────────────────────────────────────────────────────────────

    def changes(self, import_id: int) -> Sequence[ImportChange]:
        """What it did to each contact and how that contact stands now, as they came in."""
        rows = self._connection.execute(
            sa.select(
                import_changes,
                contacts.c.public_id,
                contacts.c.address,
                contacts.c.erased_at,
                *(contacts.c[name] for name in FIELDS if name != "account_key"),
                accounts.c.key.label("account_key"),
            )
            .join(contacts, contacts.c.id == import_changes.c.contact_id)
            .join(accounts, accounts.c.id == contacts.c.account_id)
            .where(import_changes.c.import_id == import_id)
            .order_by(import_changes.c.id)
        ).all()
        since = self._since(import_id, [row for row in rows if row.what == "new"])
        taken = self._taken([row for row in rows if row.what != "new"])
        return [self._change(row, since, taken) for row in rows]

    def _change(
        self, row: sa.Row[Any], since: Mapping[int, Sequence[str]], taken: set[int]
    ) -> ImportChange:
        name = f"{row.first_name} {row.last_name}".strip() or row.address
        return ImportChange(
            contact_id=row.contact_id,
            public_id=row.public_id,
            name=name,
            new=row.what == "new",
            before=row.before.get("values", {}),
            after=row.after.get("values", {}),
            now={name: getattr(row, name) for name in (*FIELDS, "address")},
            basis=row.after.get("basis"),
            external=tuple((system, id_) for system, id_ in row.after.get("external", ())),
            external_of=tuple(
                (system, id_, whose) for system, id_, whose in row.before.get("external_of", ())
            ),
            since=tuple(since.get(row.contact_id, ())),
            address_taken=row.contact_id in taken,
            returned=bool(row.before.get("retired")),
            erased=row.erased_at is not None,
        )

    def _since(self, import_id: int, rows: Sequence[sa.Row[Any]]) -> Mapping[int, list[str]]:
        """What has happened with contacts that this import brought in, in words."""
        found: dict[int, list[str]] = {row.contact_id: [] for row in rows}
        own: dict[str, frozenset[object]] = {
            "bases": frozenset(row.after.get("basis") for row in rows),
            "import_changes": frozenset(row.id for row in rows),
            "external_ids": frozenset(
                (row.contact_id, system, id_)
                for row in rows
                for system, id_ in row.after.get("external", ())
            ),
        }
        for chunk in in_chunks(sorted(found), CHUNK):
            for column in references():
                self._count(found, column, chunk, own.get(column.table.name, frozenset()))
            self._steps(found, chunk)
        return found

    def _count(
        self,
        found: dict[int, list[str]],
        column: sa.Column[Any],
        chunk: Sequence[int],
        own: frozenset[object],
    ) -> None:
        """Rows of one table that speak of these contacts and are not the import's own.

        Shape:  own holds ids; of `external_ids` (contact, system, id), for those move
        """
        table = column.table
        counts: dict[int, int] = {}
        for row in self._connection.execute(sa.select(table).where(column.in_(chunk))):
            contact_id = getattr(row, column.name)
            known: object = row.id
            if table.name == "external_ids":
                known = (contact_id, row.system, row.external_id)
            counts[contact_id] = counts.get(contact_id, 0) + (known not in own)
        for contact_id, number in counts.items():
            if number:
                found[contact_id].append(_happened(table.name, number))

    def _steps(self, found: dict[int, list[str]], chunk: Sequence[int]) -> None:
        rows = self._connection.execute(
            sa.select(contacts.c.id, sa.func.count())
            .join(operations, operations.c.subject == sa.literal("contact:") + contacts.c.public_id)
            .where(contacts.c.id.in_(chunk))
            .group_by(contacts.c.id)
        )
        for contact_id, number in rows:
            found[contact_id].append(_happened("operations", number))

    def _taken(self, rows: Sequence[sa.Row[Any]]) -> set[int]:
        """Contacts whose address of before somebody else has by now."""
        wanted = {
            address_hash(self._address_key, was): row.contact_id
            for row in rows
            if (was := row.before.get("values", {}).get("address"))
        }
        there = self._connection.execute(
            sa.select(contacts.c.id, contacts.c.address_hash).where(
                contacts.c.address_hash.in_(wanted)
            )
        )
        return {wanted[row.address_hash] for row in there if wanted[row.address_hash] != row.id}

    # ── taking it back ───────────────────────────────────────────────────────────────────

    def take_back(self, import_id: int, decided: Sequence[TakenBack], now: datetime) -> None:
        """Write what was decided, and that this import was undone.

        Raises: Conflict when it was undone already
        """
        marked = self._connection.execute(
            sa.update(imports)
            .where(imports.c.id == import_id, imports.c.undone_at.is_(None))
            .values(undone_at=now)
        )
        if not marked.rowcount:
            raise Conflict(
                "That import was undone already.", "`asterism people imports` lists the others."
            )
        for one in decided:
            if one.outcome == "removed":
                self._remove(one.change)
            elif not one.change.erased:
                self._put_back(one, now)
        for one in decided:
            self._give_back_ids(one.change)

    def _remove(self, change: ImportChange) -> None:
        for table in (import_changes, bases, external_ids):
            self._connection.execute(
                sa.delete(table).where(table.c.contact_id == change.contact_id)
            )
        self._connection.execute(sa.delete(contacts).where(contacts.c.id == change.contact_id))

    def _put_back(self, one: TakenBack, now: datetime) -> None:
        change, values = one.change, dict[str, Any](one.values)
        if key := values.pop("account_key", ""):
            values["account_id"] = (
                sa.select(accounts.c.id).where(accounts.c.key == key).scalar_subquery()
            )
        if "address" in values:
            hash_ = address_hash(self._address_key, values["address"])
            carry_suppressions(self._connection, change.contact_id, hash_)
            values["address_hash"] = hash_
        if one.outcome == "retired":
            values["retired_at"] = sa.func.coalesce(contacts.c.retired_at, now)
        if change.basis:
            self._connection.execute(
                sa.update(bases)
                .where(bases.c.id == change.basis, bases.c.contact_id == change.contact_id)
                .values(withdrawn_at=now)
            )
        for system, id_ in change.external:
            self._connection.execute(
                sa.delete(external_ids).where(
                    external_ids.c.system == system,
                    external_ids.c.external_id == id_,
                    external_ids.c.contact_id == change.contact_id,
                )
            )
        if one.outcome != "kept":
            self._connection.execute(
                sa.update(contacts)
                .where(contacts.c.id == change.contact_id)
                .values(revision=contacts.c.revision + 1, **values)
            )

    def _give_back_ids(self, change: ImportChange) -> None:
        """An id of a CRM that the import took from somebody stands for them again."""
        for system, id_, whose in change.external_of:
            there = self._connection.scalar(
                sa.select(contacts.c.id).where(
                    contacts.c.id == whose, contacts.c.erased_at.is_(None)
                )
            )
            taken = self._connection.scalar(
                sa.select(external_ids.c.id).where(
                    external_ids.c.system == system,
                    external_ids.c.external_id == id_,
                    external_ids.c.contact_id.is_not(None),
                )
            )
            if there and not taken:
                self._connection.execute(
                    sa.insert(external_ids),
                    {"system": system, "external_id": id_, "contact_id": whose},
                )


def references() -> Sequence[sa.Column[Any]]:
    """Every column that points at a contact."""
    return tuple(
        column
        for table in metadata.sorted_tables
        for column in table.columns
        if any(key.column is contacts.c.id for key in column.foreign_keys)
    )


def _happened(table: str, number: int) -> str:
    one, many = _HAPPENED.get(table, ("something else", "other things"))
    return one if number == 1 else f"{number} {many}"
