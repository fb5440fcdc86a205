"""What a row of a people file does to a contact that we may know already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pipeline.model.people import Basis, ImportRow

Outcome = Literal["new", "changed", "same", "left"]


@dataclass(frozen=True, slots=True)
class Known:
    """What the store holds of a contact."""

    contact_id: int
    values: Mapping[str, str]  #: account_key, first_name, last_name, role, language, zone
    moved: bool = False  #: found by an id of a CRM, under another address than the row's
    retired: bool = False
    bases: frozenset[Basis] = frozenset()
    external: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Intake:
    """What to write for one row, and what it counts as."""

    row: ImportRow
    outcome: Outcome
    contact_id: int | None = None  #: None: nobody that we know
    add: bool = False  #: write a new contact
    values: Mapping[str, str] = field(default_factory=dict)  #: what changes
    basis: Basis | None = None  #: evidence that is not on record yet
    external: tuple[tuple[str, str], ...] = ()  #: ids that are not on record yet
    block: bool = False  #: write a suppression for every newsletter
    returns: bool = False  #: was retired, and is there again
    without_basis: bool = False

    @property
    def writes(self) -> bool:
        """Whether it changes anything of a contact that we know."""
        return bool(self.values or self.basis or self.external or self.block or self.returns)


def decide_row(
    row: ImportRow,
    known: Known | None,
    *,
    is_out: bool,
    is_blocked: bool,
    is_erased: bool = False,
) -> Intake:
    """What one row of an import does.

    An empty cell never wipes out what we hold. Evidence is added and never replaced. Whoever
    is out stays out: an import can block, and it can never lift. Of somebody who was erased
    nothing is taken in again.

    Shape:  is_out: some suppression of this person is in force; is_blocked: an earlier
            import blocked this address already; is_erased: who had this address was erased
    """
    if is_erased:
        return Intake(row, "left")
    out = is_out or row.opted_out
    block = row.opted_out and not is_blocked
    if known is None:
        if not row.account_key:  # opted out, and at no account of ours: only the block is kept
            return Intake(row, "left", block=block)
        return Intake(
            row,
            "left" if out else "new",
            add=True,
            values=_told(row),
            basis=row.basis,
            external=row.external,
            block=block,
            without_basis=row.basis is None and not out,
        )
    values = {k: v for k, v in _told(row).items() if v != known.values.get(k)}
    if known.moved:
        values["address"] = row.address
    basis = row.basis if row.basis is not None and row.basis not in known.bases else None
    external = tuple(pair for pair in row.external if pair not in known.external)
    changed = bool(values or basis or external or known.retired)
    return Intake(
        row,
        "left" if out else "changed" if changed else "same",
        known.contact_id,
        values=values,
        basis=basis,
        external=external,
        block=block,
        returns=known.retired,
        without_basis=row.basis is None and not known.bases and not out,
    )


def _told(row: ImportRow) -> dict[str, str]:
    """What a row says, its empty cells left out."""
    cells = {
        "account_key": row.account_key,
        "first_name": row.first_name,
        "last_name": row.last_name,
        "role": row.role,
        "language": row.language,
        "zone": row.zone,
    }
    return {name: cell for name, cell in cells.items() if cell}
