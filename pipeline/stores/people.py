"""Contacts, the evidence that we may write to them, and what keeps us from it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from pipeline.errors import BadInput, Conflict, NotFound
from pipeline.model.people import (
    Basis,
    Candidate,
    Contact,
    ImportRow,
    ImportTally,
    Standing,
    StandingFacts,
    Suppression,
    SuppressionReason,
)
from pipeline.rules.letters.ledger import OPEN
from pipeline.rules.people.address import normalise
from pipeline.stores import standing
from pipeline.stores.insert import insert_once
from pipeline.stores.intake import PeopleImport
from pipeline.stores.schema import (
    accounts,
    bases,
    constellations,
    contacts,
    deliveries,
    holds,
    issues,
    newsletters,
    pauses,
    stories,
    suppressions,
    told,
)
from pipeline.stores.standing import Told

CHUNK = 1000
SHORTEST_REF = 4


def address_hash(key: bytes, address: str) -> str:
    """The keyed hash by which addresses are compared; it outlives erasing.

    Shape:  key as SqlStore derives it from the secret
    Raises: BadInput for what is no address
    """
    return hmac.new(key, normalise(address).encode(), hashlib.sha256).hexdigest()


class SqlPeople:
    """Contacts and their standing."""

    def __init__(self, connection: sa.Connection, address_key: bytes) -> None:
        self._connection = connection
        self._address_key = address_key

    # ── bringing people in ───────────────────────────────────────────────────────────────

    def apply_import(
        self,
        rows: Sequence[ImportRow],
        *,
        name: str,
        digest: str,
        actor: str,
        now: datetime,
        dry_run: bool,
    ) -> ImportTally:
        """Bring rows in; a dry run counts the same and writes nothing.

        Raises: NotFound for an account that has no row yet
        """
        hashed = [(address_hash(self._address_key, row.address), row) for row in rows]
        counts = PeopleImport(
            self._connection, hashed, name=name, digest=digest, actor=actor, now=now
        ).run(dry_run=dry_run)
        return ImportTally(
            rows=len(rows),
            new=counts["new"],
            changed=counts["changed"],
            same=counts["same"],
            left=counts["left"],
            invalid=0,
            without_basis=counts["without_basis"],
            applied=not dry_run,
        )

    # ── finding them ─────────────────────────────────────────────────────────────────────

    def find(self, ref: str) -> Contact:
        """By address, public id, or an unambiguous beginning of it.

        Raises: NotFound, BadInput
        """
        if "@" in ref:
            condition = contacts.c.address_hash == address_hash(self._address_key, ref.strip())
        elif len(ref) < SHORTEST_REF:
            raise BadInput(
                f"“{ref}” is too short to name a contact.",
                f"Give the address, or at least {SHORTEST_REF} letters of the contact's id.",
            )
        else:
            condition = contacts.c.public_id.startswith(ref.lower(), autoescape=True)
        rows = self._connection.execute(_contacts().where(condition).limit(2)).all()
        if not rows:
            raise NotFound(
                "There is no contact with this address." if "@" in ref
                else f"There is no contact “{ref}”.",
                "`asterism people import FILE` brings people in.",
            )  # fmt: skip
        if len(rows) > 1:
            raise BadInput(f"More than one contact begins with “{ref}”.", "Give more of the id.")
        return _contact(rows[0])

    def by_id(self, contact_id: int) -> Contact:
        """Raises: NotFound"""
        row = self._connection.execute(_contacts().where(contacts.c.id == contact_id)).first()
        if row is None:
            raise NotFound(f"There is no contact number {contact_id}.")
        return _contact(row)

    # ── how they stand ───────────────────────────────────────────────────────────────────

    def bases(self, contact_id: int) -> Sequence[tuple[Basis, datetime, str]]:
        """All evidence that stands, latest first: (basis, recorded at, by whom)."""
        rows = self._connection.execute(
            sa.select(bases)
            .where(bases.c.contact_id == contact_id, bases.c.withdrawn_at.is_(None))
            .order_by(bases.c.id.desc())
        )
        return tuple((standing.basis_of(row), row.at, row.actor) for row in rows)

    def suppressions(self, contact_id: int) -> Sequence[Suppression]:
        """In force, latest first."""
        hash_ = self._hash_of(contact_id)
        return tuple(standing.suppressions_in_force(self._connection, [hash_])[hash_])

    def standing(self, contact_id: int) -> Standing:
        """Pause, hold and chosen newsletters of one contact."""
        return standing.standings(self._connection, [contact_id])[contact_id]

    def facts(self, constellation: str = "") -> Iterator[StandingFacts]:
        """All contacts, or one constellation's, as they came in, with how each stands."""
        for rows in self._in_chunks(constellation):
            ids, ask = [row.id for row in rows], self._connection
            based = standing.latest_basis(ask, ids).keys()
            out = standing.suppressions_in_force(ask, [row.address_hash for row in rows])
            stand = standing.standings(ask, ids)
            for row in rows:
                yield StandingFacts(
                    contact=_contact(row),
                    has_basis=row.id in based,
                    suppressions=tuple(out[row.address_hash]),
                    standing=stand[row.id],
                )

    def candidates(
        self,
        constellation: str,
        newsletter: str,
        now: datetime,
        *,
        cap_days: int,
        recap_of: str = "",
        recap_since: datetime | None = None,
    ) -> Iterator[Candidate]:
        """Every contact of the constellation's accounts, retired too, streamed in chunks.

        Letters that are planned and not out yet count as recent ones.

        Units:  now and recap_since are aware UTC; cap_days, days before now
        """
        roots = standing.merged_stories(self._connection)
        for rows in self._in_chunks(constellation):
            ids = [row.id for row in rows]
            heard = standing.what_they_were_told(
                self._connection, ids, roots, recap_of, recap_since
            )
            recent = standing.recent_letters(self._connection, ids, now, cap_days)
            yield from self._candidates(rows, newsletter, heard, recent)

    def _in_chunks(self, constellation: str) -> Iterator[Sequence[sa.Row[Any]]]:
        last = 0
        query = _contacts().order_by(contacts.c.id)
        if constellation:
            query = query.where(_in_constellation(constellation))
        while rows := self._connection.execute(
            query.where(contacts.c.id > last).limit(CHUNK)
        ).all():
            yield rows
            last = rows[-1].id

    def _candidates(
        self,
        rows: Sequence[sa.Row[Any]],
        newsletter: str,
        heard: Mapping[int, Told],
        recent: Mapping[int, int],
    ) -> Iterator[Candidate]:
        ids, ask = [row.id for row in rows], self._connection
        basis = standing.latest_basis(ask, ids)
        out = standing.suppression_in_force(ask, [row.address_hash for row in rows], newsletter)
        paused, held = standing.paused(ask, ids), standing.held(ask, ids)
        subscribed = standing.subscribed(ask, ids, newsletter)
        for row in rows:
            had = heard.get(row.id) or Told()
            yield Candidate(
                contact=_contact(row),
                basis=basis.get(row.id),
                suppression=out.get(row.address_hash),
                paused_until=paused.get(row.id),
                hold=held.get(row.id, ("", ""))[0],
                subscribed=subscribed.get(row.id),
                told_stories=frozenset(had.stories),
                told_services=frozenset(had.services),
                recent_letters=recent.get(row.id, 0),
                had_recap_parts=len(had.recapped),
            )

    # ── what keeps us from writing ───────────────────────────────────────────────────────

    def suppress(
        self,
        contact_id: int,
        scope: str,
        reason: SuppressionReason,
        now: datetime,
        detail: str = "",
        *,
        also: str = "",
    ) -> bool:
        """In force from this moment; False when it already was.

        Each reason is a row of its own, so that lifting one leaves the others in force. It asks
        for no revision and waits for no other edit: it takes nothing away that somebody wrote,
        and a wish to get no letters is never refused.

        Shape:  also is another address of theirs to which it applies, such as the one a copy
                went to before it changed
        """
        mine = self._hash_of(contact_id)
        if self.by_id(contact_id).erased_at is not None:
            detail = ""  # a stranger's words, such as a provider's, may hold the address again
        hashes = {mine, address_hash(self._address_key, also)} if also else {mine}
        row = {"scope": scope, "reason": reason, "detail": detail, "at": now}
        new = {
            hash_: insert_once(self._connection, suppressions, row | {"address_hash": hash_})
            for hash_ in sorted(hashes)
        }
        return any(new.values())

    def block(
        self, address: str, scope: str, reason: SuppressionReason, now: datetime, detail: str = ""
    ) -> bool:
        """The same for one address alone; whoever had it may have a new one by now."""
        hash_ = address_hash(self._address_key, address)
        row = {"scope": scope, "reason": reason, "detail": detail, "at": now}
        return insert_once(self._connection, suppressions, row | {"address_hash": hash_})

    def lift(
        self, contact_id: int, scope: str, now: datetime, reason: SuppressionReason = "left"
    ) -> bool:
        """End a suppression of one reason, the person's own leaving by default; others stay."""
        result = self._connection.execute(
            sa.update(suppressions)
            .where(
                suppressions.c.address_hash == self._hash_of(contact_id),
                suppressions.c.scope == scope,
                suppressions.c.reason == reason,
                suppressions.c.lifted_at.is_(None),
            )
            .values(lifted_at=now)
        )
        return result.rowcount > 0

    def edited(self, contact_id: int, revision: int | None = None) -> int:
        """Somebody changes by hand how this contact stands: the revision from now on.

        The first thing that an edit does: of two at once one waits here for the other, and
        whoever holds an older revision by then changes nothing.

        Shape:  revision is the one that the caller holds; None: whatever is there
        Raises: NotFound; Conflict when the revision is stale
        """
        still = [] if revision is None else [contacts.c.revision == revision]
        raised = self._connection.scalar(
            sa.update(contacts)
            .where(contacts.c.id == contact_id, *still)
            .values(revision=contacts.c.revision + 1)
            .returning(contacts.c.revision)
        )
        if raised is None:
            now = self.by_id(contact_id)
            raise Conflict(
                f"{now.name} changed since you looked "
                f"(you hold revision {revision}, it is at {now.revision}).",
                "Look at what is new, and repeat your change.",
            )
        return int(raised)

    def pause(
        self,
        contact_id: int,
        until_on: date,
        actor: str,
        now: datetime,
        *,
        revision: int | None = None,
    ) -> None:
        """No letters until that day; an earlier pause ends. Raises as edited() does."""
        self.edited(contact_id, revision)
        self._end(pauses, contact_id, now)
        self._begin(pauses, contact_id, now, until_on=until_on, actor=actor)

    def hold(
        self,
        contact_id: int,
        staff_key: str,
        reason: str,
        now: datetime,
        *,
        revision: int | None = None,
    ) -> None:
        """The account owner holds letters back until they release them. Raises as edited()."""
        self.edited(contact_id, revision)
        self._end(holds, contact_id, now)
        self._begin(holds, contact_id, now, staff_key=staff_key, reason=reason)

    def release(self, contact_id: int, now: datetime, *, revision: int | None = None) -> None:
        """End pause and hold. Raises as edited() does."""
        self.edited(contact_id, revision)
        self._end(pauses, contact_id, now)
        self._end(holds, contact_id, now)

    def restore(
        self,
        contact_id: int,
        was: Standing,
        actor: str,
        now: datetime,
        *,
        revision: int | None = None,
    ) -> None:
        """Pause and hold become what they were before an edit. Raises as edited() does."""
        self.release(contact_id, now, revision=revision)
        if was.paused_until:
            self._begin(pauses, contact_id, now, until_on=was.paused_until, actor=actor)
        if was.hold:
            self._begin(holds, contact_id, now, staff_key=was.held_by, reason=was.hold)

    def _begin(self, table: sa.Table, contact_id: int, now: datetime, **values: Any) -> None:
        self._connection.execute(sa.insert(table), {"contact_id": contact_id, "at": now, **values})

    def _end(self, table: sa.Table, contact_id: int, now: datetime) -> None:
        self._connection.execute(
            sa.update(table)
            .where(table.c.contact_id == contact_id, table.c.lifted_at.is_(None))
            .values(lifted_at=now)
        )

    # ── what they were told ──────────────────────────────────────────────────────────────

    def told(self, contact_id: int) -> Sequence[Mapping[str, Any]]:
        """What this contact was told, or is to be told by a letter, latest first.

        Shape: story (public id) and title, or service (key); through (letter, forward, call
               …), issue (ref or ""), state (of the delivery, or ""), at, goes_at (of a letter
               that has not left)
        """
        rows = self._connection.execute(
            sa.select(
                told.c.service_key,
                told.c.through,
                told.c.at,
                stories.c.public_id,
                stories.c.title,
                deliveries.c.state,
                deliveries.c.due_at,
                issues.c.review_until,
                newsletters.c.key,
                issues.c.number,
            )
            .select_from(
                told.outerjoin(stories, stories.c.id == told.c.story_id)
                .outerjoin(deliveries, deliveries.c.id == told.c.delivery_id)
                .outerjoin(issues, issues.c.id == deliveries.c.issue_id)
                .outerjoin(newsletters, newsletters.c.id == issues.c.newsletter_id)
            )
            .where(told.c.contact_id == contact_id, standing.TELLS)
            .order_by(told.c.at.desc(), told.c.id.desc())
        )
        return tuple(
            {
                "story": row.public_id or "",
                "title": row.title or "",
                "service": row.service_key or "",
                "through": row.through,
                "issue": f"{row.key}/{row.number}" if row.key else "",
                "state": row.state or "",
                "at": row.at,
                "goes_at": max(row.due_at, row.review_until or row.due_at)
                if row.state in OPEN
                else None,
            }
            for row in rows
        )

    def _hash_of(self, contact_id: int) -> str:
        found = self._connection.scalar(
            sa.select(contacts.c.address_hash).where(contacts.c.id == contact_id)
        )
        if found is None:
            raise NotFound(f"There is no contact number {contact_id}.")
        return str(found)


def _contacts() -> sa.Select[Any]:
    """Contacts with their account; who is at a retired account is retired with it."""
    columns = [c for c in contacts.c if c.name != "retired_at"]
    retired = sa.func.coalesce(contacts.c.retired_at, accounts.c.retired_at)
    return sa.select(
        *columns,
        accounts.c.key.label("account_key"),
        sa.type_coerce(retired, contacts.c.retired_at.type).label("retired_at"),
    ).join(accounts, accounts.c.id == contacts.c.account_id)


def _in_constellation(key: str) -> sa.ColumnElement[bool]:
    ids = sa.select(constellations.c.id).where(constellations.c.key == key)
    return accounts.c.constellation_id.in_(ids)


def _contact(row: sa.Row[Any]) -> Contact:
    return Contact(
        id=row.id,
        public_id=row.public_id,
        account_key=row.account_key,
        address=row.address,
        first_name=row.first_name,
        last_name=row.last_name,
        role=row.role,
        language=row.language,
        zone=row.zone,
        invalid=row.invalid,
        retired_at=row.retired_at,
        revision=row.revision,
        erased_at=row.erased_at,
    )
