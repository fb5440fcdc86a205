"""Brings the rows of a people file in: looks up whom we know, applies what the rules decide."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa

from pipeline.model.people import EVERYWHERE, Basis, ImportRow
from pipeline.rules.letters.ledger import MOVED
from pipeline.rules.people.intake import Intake, Known, decide_row
from pipeline.stores.missing import not_adopted
from pipeline.stores.schema import (
    accounts,
    bases,
    contacts,
    deliveries,
    delivery_events,
    external_ids,
    import_changes,
    imports,
    newsletters,
    suppressions,
)
from pipeline.stores.standing import basis_of

CHUNK = 500

#: What a row may say of a contact, beyond the address.
FIELDS = ("account_key", "first_name", "last_name", "role", "language", "zone")

#: Systems that number people once and for all: by their ids a changed address is followed.
CRMS = ("hubspot", "pipedrive", "salesforce", "workbooks")

T = TypeVar("T")
Hashed = tuple[str, ImportRow]  #: (address hash, row)


def in_chunks(things: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(things), size):
        yield things[start : start + size]


class PeopleImport:
    """One import, inside one transaction."""

    def __init__(
        self,
        connection: sa.Connection,
        hashed: Sequence[Hashed],
        *,
        name: str,
        digest: str,
        actor: str,
        now: datetime,
    ) -> None:
        self._connection = connection
        self._hashed = hashed
        self._name = name
        self._digest = digest
        self._actor = actor
        self._now = now
        self._claimed: set[int] = set()  #: contacts that a row of this file stands for
        self._before: dict[int, dict[str, str]] = {}  #: by contact: what we knew
        rows = connection.execute(sa.select(accounts.c.key, accounts.c.id))
        self._account_ids: dict[str, int] = dict(rows.all())

    def run(self, *, dry_run: bool) -> Counter[str]:
        """Decide row by row and, unless it is a dry run, write.

        Shape:  counts of new, changed, same, left and without_basis
        Raises: NotFound for an account that has no row yet
        """
        counts: Counter[str] = Counter()
        import_id = None if dry_run else self._open()
        if import_id is not None:
            wait_for_approvals(self._connection)
        in_file = {hash_ for hash_, _ in self._hashed}
        for chunk in in_chunks(self._hashed, CHUNK):
            self._check_accounts(chunk)
            intakes = self._decide(chunk, in_file)
            counts.update(intake.outcome for _, intake in intakes)
            counts["without_basis"] += sum(intake.without_basis for _, intake in intakes)
            if import_id is not None:
                self._write(intakes, import_id)
        if import_id is not None:
            self._connection.execute(
                sa.update(imports).where(imports.c.id == import_id).values(tally=dict(counts))
            )
        return counts

    # ── look up and decide ───────────────────────────────────────────────────────────────

    def _check_accounts(self, chunk: Sequence[Hashed]) -> None:
        keys = {row.account_key for _, row in chunk if row.account_key}
        if unknown := sorted(keys - self._account_ids.keys()):
            raise not_adopted("account", unknown[0])

    def _decide(self, chunk: Sequence[Hashed], in_file: set[str]) -> list[tuple[str, Intake]]:
        by_hash = self._contacts(contacts.c.address_hash.in_([hash_ for hash_, _ in chunk]))
        found = {row.address_hash: row for row in by_hash}
        by_id = self._by_external(chunk, in_file)
        matched: dict[str, Any] = {}
        for hash_, row in chunk:
            one = found.get(hash_) or self._unclaimed(row, by_id)
            if one is not None:
                self._claimed.add(one.id)
                matched[hash_] = one
        known = self._known(matched)
        suppressed = self._suppressed(
            {hash_ for hash_, _ in chunk} | {one.address_hash for one in matched.values()}
        )
        decided = []
        for hash_, row in chunk:
            # what holds for the address a contact had will be carried to the one it gets
            hashes = {hash_, matched[hash_].address_hash} if hash_ in matched else {hash_}
            intake = decide_row(
                row,
                known.get(hash_),
                is_out=any(suppressed[h] for h in hashes),
                is_blocked=any((EVERYWHERE, "imported") in suppressed[h] for h in hashes),
                is_erased=any((EVERYWHERE, "erased") in suppressed[h] for h in hashes),
            )
            decided.append((hash_, intake))
        return decided

    def _contacts(self, condition: sa.ColumnElement[bool]) -> Sequence[sa.Row[Any]]:
        return self._connection.execute(
            sa.select(contacts, accounts.c.key.label("account_key"))
            .join(accounts, accounts.c.id == contacts.c.account_id)
            .where(condition)
        ).all()

    def _by_external(
        self, chunk: Sequence[Hashed], in_file: set[str]
    ) -> Mapping[tuple[str, str], sa.Row[Any]]:
        """Contacts whose address this file does not name, by their id in a CRM."""
        wanted: dict[str, set[str]] = defaultdict(set)
        for _, row in chunk:
            for system, external_id in row.external:
                if system in CRMS:
                    wanted[system].add(external_id)
        found: dict[tuple[str, str], sa.Row[Any]] = {}
        for system, ids in wanted.items():
            pairs = self._connection.execute(
                sa.select(external_ids.c.external_id, external_ids.c.contact_id).where(
                    external_ids.c.system == system,
                    external_ids.c.external_id.in_(ids),
                    external_ids.c.contact_id.is_not(None),
                )
            ).all()
            people = {
                row.id: row for row in self._contacts(contacts.c.id.in_({i for _, i in pairs}))
            }
            for external_id, contact_id in pairs:
                if people[contact_id].address_hash not in in_file:
                    found[system, external_id] = people[contact_id]
        return found

    def _unclaimed(
        self, row: ImportRow, by_id: Mapping[tuple[str, str], sa.Row[Any]]
    ) -> sa.Row[Any] | None:
        candidates = (by_id[pair] for pair in row.external if pair in by_id)
        return next((one for one in candidates if one.id not in self._claimed), None)

    def _known(self, matched: Mapping[str, sa.Row[Any]]) -> Mapping[str, Known]:
        ids = [one.id for one in matched.values()]
        evidence: dict[int, set[Basis]] = defaultdict(set)
        for row in self._connection.execute(
            sa.select(bases).where(bases.c.contact_id.in_(ids), bases.c.withdrawn_at.is_(None))
        ):
            evidence[row.contact_id].add(basis_of(row))
        named: dict[int, set[tuple[str, str]]] = defaultdict(set)
        for row in self._connection.execute(
            sa.select(external_ids).where(external_ids.c.contact_id.in_(ids))
        ):
            named[row.contact_id].add((row.system, row.external_id))
        self._before |= {
            one.id: {name: getattr(one, name) for name in (*FIELDS, "address")}
            for one in matched.values()
        }
        return {
            hash_: Known(
                contact_id=one.id,
                values={name: getattr(one, name) for name in FIELDS},
                moved=one.address_hash != hash_,
                retired=one.retired_at is not None,
                bases=frozenset(evidence[one.id]),
                external=frozenset(named[one.id]),
            )
            for hash_, one in matched.items()
        }

    def _suppressed(self, hashes: Iterable[str]) -> Mapping[str, set[tuple[str, str]]]:
        """(scope, reason) in force, by address hash."""
        found: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for row in self._connection.execute(
            sa.select(suppressions).where(
                suppressions.c.address_hash.in_(list(hashes)), suppressions.c.lifted_at.is_(None)
            )
        ):
            found[row.address_hash].add((row.scope, row.reason))
        return found

    # ── write ────────────────────────────────────────────────────────────────────────────

    def _open(self) -> int:
        return int(
            self._connection.execute(
                sa.insert(imports).returning(imports.c.id),
                {
                    "name": self._name[:300],
                    "digest": self._digest,
                    "actor": self._actor,
                    "at": self._now,
                },
            ).scalar_one()
        )

    def _write(self, intakes: Sequence[tuple[str, Intake]], import_id: int) -> None:
        contact_ids = self._add_contacts(intakes, import_id)
        for hash_, intake in intakes:
            if intake.contact_id is not None:
                contact_ids[hash_] = intake.contact_id
        self._change_contacts(intakes)
        evidence = self._add_bases(intakes, contact_ids)
        owners = self._add_external(intakes, contact_ids)
        self._insert(
            import_changes,
            [
                self._change(intake, contact_ids[hash_], import_id, evidence, owners)
                for hash_, intake in intakes
                if intake.add or intake.values or intake.basis or intake.external or intake.returns
            ],
        )
        self._insert(
            suppressions,
            [
                {
                    "address_hash": hash_,
                    "scope": EVERYWHERE,
                    "reason": "imported",
                    "detail": f"{self._name}, line {intake.row.line}",
                    "at": self._now,
                }
                for hash_, intake in intakes
                if intake.block
            ],
        )

    def _change(
        self,
        intake: Intake,
        contact_id: int,
        import_id: int,
        evidence: Mapping[int, int],
        owners: Mapping[tuple[str, str], int],
    ) -> Mapping[str, Any]:
        """What was done to one contact, so that all of it can be taken back."""
        was = self._before.get(contact_id, {})
        taken = [[*pair, owners[pair]] for pair in intake.external if pair in owners]
        return {
            "import_id": import_id,
            "contact_id": contact_id,
            "what": "new" if intake.add else "changed",
            "before": {
                "values": {name: was[name] for name in intake.values if not intake.add},
                "external_of": taken,
                "retired": intake.returns,
            },
            "after": {
                "values": dict(intake.values),
                "basis": evidence.get(contact_id),
                "external": [list(pair) for pair in intake.external],
            },
        }

    def _insert(self, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            self._connection.execute(sa.insert(table), list(rows))

    def _add_contacts(
        self, intakes: Sequence[tuple[str, Intake]], import_id: int
    ) -> dict[str, int]:
        new = [
            {
                "account_id": self._account_ids[intake.row.account_key],
                "address": intake.row.address,
                "address_hash": hash_,
                "first_name": intake.row.first_name,
                "last_name": intake.row.last_name,
                "role": intake.row.role,
                "language": intake.row.language,
                "zone": intake.row.zone,
                "added_at": self._now,
                "import_id": import_id,
            }
            for hash_, intake in intakes
            if intake.add
        ]
        if not new:
            return {}
        rows = self._connection.execute(
            sa.insert(contacts).returning(contacts.c.address_hash, contacts.c.id), new
        )
        return dict(rows.all())

    def _change_contacts(self, intakes: Sequence[tuple[str, Intake]]) -> None:
        """What a row changes in any way gets a new revision, and what it says."""
        known = [(hash_, i) for hash_, i in intakes if i.contact_id is not None and i.writes]
        self._withhold_copies([i.contact_id for _, i in known if "account_key" in i.values])
        same_columns: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
        for hash_, intake in known:
            values: dict[str, Any] = dict(intake.values)
            if key := values.pop("account_key", ""):
                values["account_id"] = self._account_ids[key]
            if "address" in values:
                carry_suppressions(self._connection, intake.contact_id, hash_)
                values |= {"address_hash": hash_, "invalid": ""}
            if intake.returns:
                values["retired_at"] = None
            same_columns[tuple(sorted(values))].append({"mine": intake.contact_id, **values})
        for columns, rows in same_columns.items():
            self._connection.execute(
                sa.update(contacts)
                .where(contacts.c.id == sa.bindparam("mine"))
                .values(
                    revision=contacts.c.revision + 1,
                    **{name: sa.bindparam(name) for name in columns},
                ),
                rows,
            )

    def _withhold_copies(self, contact_ids: Sequence[int | None]) -> None:
        """Copies that have not begun to leave: they show what a rival of their account may not."""
        if not contact_ids:
            return
        rows = self._connection.execute(
            sa.update(deliveries)
            .where(
                deliveries.c.contact_id.in_(contact_ids),
                deliveries.c.state.in_(("planned", "deferred", "claimed")),
            )
            .values(state="withheld", reason=MOVED, claimed_by="", lease_until=None)
            .returning(deliveries.c.id)
        ).all()
        self._insert(
            delivery_events,
            [
                {"delivery_id": row.id, "state": "withheld", "detail": MOVED, "at": self._now}
                for row in rows
            ],
        )

    def _add_bases(
        self, intakes: Sequence[tuple[str, Intake]], contact_ids: Mapping[str, int]
    ) -> Mapping[int, int]:
        """The id of the evidence that each contact got."""
        new = [
            {
                "contact_id": contact_ids[hash_],
                "kind": intake.basis.kind,
                "source": intake.basis.source,
                "given_on": intake.basis.given_on,
                "wording": intake.basis.wording,
                "version": intake.basis.version,
                "actor": self._actor,
                "at": self._now,
            }
            for hash_, intake in intakes
            if intake.basis is not None
        ]
        if not new:
            return {}
        rows = self._connection.execute(
            sa.insert(bases).returning(bases.c.contact_id, bases.c.id), new
        )
        return dict(rows.all())

    def _add_external(
        self, intakes: Sequence[tuple[str, Intake]], contact_ids: Mapping[str, int]
    ) -> Mapping[tuple[str, str], int]:
        """An id that stood for somebody else stands for this contact from now on.

        Shape: whose each such id was
        """
        rows = [
            {"system": system, "external_id": external_id, "contact_id": contact_ids[hash_]}
            for hash_, intake in intakes
            for system, external_id in intake.external
        ]
        by_system: dict[str, list[str]] = defaultdict(list)
        for _, intake in intakes:
            for system, external_id in intake.external:
                by_system[system].append(external_id)
        owners: dict[tuple[str, str], int] = {}
        for system, ids in by_system.items():
            gone = self._connection.execute(
                sa.delete(external_ids)
                .where(
                    external_ids.c.system == system,
                    external_ids.c.external_id.in_(ids),
                    external_ids.c.contact_id.is_not(None),
                )
                .returning(external_ids.c.external_id, external_ids.c.contact_id)
            )
            owners |= {(system, row.external_id): row.contact_id for row in gone}
        self._insert(external_ids, rows)
        return owners


def wait_for_approvals(connection: sa.Connection) -> None:
    """Who moves or goes does so before an approval looks, or after its copies are on record."""
    query = sa.select(newsletters.c.id).order_by(newsletters.c.key)
    connection.execute(query.with_for_update(key_share=True))


def carry_suppressions(connection: sa.Connection, contact_id: int | None, hash_: str) -> None:
    """Who left under an old address stays out under the new one."""
    old = sa.select(contacts.c.address_hash).where(contacts.c.id == contact_id)
    there = suppressions.alias()
    carried = sa.select(
        sa.literal(hash_),
        suppressions.c.scope,
        suppressions.c.reason,
        suppressions.c.detail,
        suppressions.c.at,
    ).where(
        suppressions.c.address_hash == old.scalar_subquery(),
        suppressions.c.lifted_at.is_(None),
        ~sa.exists().where(
            there.c.address_hash == hash_,
            there.c.scope == suppressions.c.scope,
            there.c.reason == suppressions.c.reason,
            there.c.lifted_at.is_(None),
        ),
    )
    columns = ["address_hash", "scope", "reason", "detail", "at"]
    connection.execute(sa.insert(suppressions).from_select(columns, carried))
