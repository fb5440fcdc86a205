"""One record of a people file after another: a row that is understood, or its problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

from pipeline.errors import BadInput
from pipeline.model.people import Basis, ImportRow, RowProblem
from pipeline.rules.people import cells
from pipeline.rules.people.address import normalise
from pipeline.rules.people.columns import Column, Columns
from pipeline.rules.people.companies import Companies

#: As long as the store takes them.
_LONGEST: Mapping[Column, int] = {
    "first_name": 200,
    "last_name": 200,
    "full_name": 400,
    "role": 300,
    "version": 60,
    "basis_source": 1000,
    "wording": 4000,
}


class RowReader:
    """Reads one record after another and remembers which addresses it has seen."""

    def __init__(
        self, columns: Columns, companies: Companies, today: date, day_first: bool | None
    ) -> None:
        self.rows: dict[str, ImportRow] = {}  #: by normalised address
        self.problems: list[RowProblem] = []
        self.remarks: list[RowProblem] = []
        self._columns = columns
        self._companies = companies
        self._today = today
        self._day_first = day_first
        self._ids: dict[tuple[str, str], int] = {}

    def read(self, line: int, record: list[str]) -> None:
        width = len(self._columns.headers)
        if any(cell.strip() for cell in record[width:]):
            self._problem(
                line, "row", f"has {len(record)} cells, the header has {width}: is a quote missing?"
            )
            return
        row = Row(line, record, self._columns)
        opted_out = self._is_out(row)
        try:
            address = row.address()
            key = normalise(address)
        except BadInput as error:
            what = error.message.rstrip(".")
            self._problem(line, row.header("address"), what[:1].lower() + what[1:])
            return
        if (first := self.rows.get(key)) is not None:
            self.rows[key] = replace(first, opted_out=first.opted_out or opted_out)
            self._problem(line, row.header("address"), f"the same address as in line {first.line}")
            return
        taken = self._out(row, address, key) if opted_out else self._taken(row, address, key)
        if taken is not None:
            self.rows[key] = taken
            self._ids |= dict.fromkeys(taken.external, line)

    def _taken(self, row: Row, address: str, key: str) -> ImportRow | None:
        before = len(self.problems)
        account = self._account(row, key)
        basis = self._basis(row)
        external = self._external(row)
        if len(self.problems) > before:
            return None
        return self._plain_row(row, address, account, basis, external)

    def _out(self, row: Row, address: str, key: str) -> ImportRow:
        """Someone who wants no letters is taken down as such, whatever else the row lacks."""
        kept = len(self.problems)
        account, basis, external = self._account(row, key), self._basis(row), self._external(row)
        self.remarks += self.problems[kept:]
        del self.problems[kept:]
        return replace(self._plain_row(row, address, account, basis, external), opted_out=True)

    def _plain_row(
        self,
        row: Row,
        address: str,
        account: str,
        basis: Basis | None,
        external: tuple[tuple[str, str], ...],
    ) -> ImportRow:
        first, last = row.cell("first_name"), row.cell("last_name")
        if not first and not last:
            first, last = cells.split_name(row.cell("full_name"))
        return ImportRow(
            line=row.line,
            address=address,
            account_key=account,
            first_name=first[:200],
            last_name=last[:200],
            role=cells.job_title(row.cell("role")),
            language=self._or_remark(row, "language", "no language that we know"),
            zone=self._or_remark(row, "zone", "no time zone; write it as Europe/Oslo"),
            basis=basis,
            external=external,
        )

    def _account(self, row: Row, key: str) -> str:
        company = row.cell("company")
        found = self._companies.by_name(company) if company else None
        found = found or self._companies.by_domain(key.rpartition("@")[2])
        if found is None:
            what = (
                f"no account of any constellation has the key, name or alias {company[:60]!r}"
                f"{self._companies.near(company[:60])}"
                if company
                else "no company, and no account has this address's domain"
            )
            self._problem(row.line, row.header("company") or row.header("address"), what)
        return found or ""

    def _basis(self, row: Row) -> Basis | None:
        raw_kind, raw_date = row.cell("basis"), row.cell("basis_date")
        try:
            kind = cells.basis_kind(raw_kind)
        except KeyError:
            self._problem(
                row.line,
                row.header("basis"),
                f"{raw_kind[:60]!r} is no basis; write customer, consent or legitimate interest",
            )
            return None
        given_on = cells.read_date(raw_date, day_first=self._day_first) if raw_date else None
        tomorrow = self._today + timedelta(days=1)  # it is tomorrow already in Auckland
        if raw_date and (given_on is None or given_on > tomorrow):
            what = "lies in the future" if given_on else "is no date; write it as 2026-03-08"
            self._problem(row.line, row.header("basis_date"), f"{raw_date[:40]!r} {what}")
            return None
        source = row.cell("basis_source")
        if kind is None:
            return None
        if given_on is None or not source:
            lacks = " and ".join(
                word for word, there in (("source", source), ("date", given_on)) if not there
            )
            self._remark(row.line, row.header("basis"), f"a basis without its {lacks} is none")
            return None
        return Basis(kind, source, given_on, row.cell("wording"), row.cell("version"))

    def _external(self, row: Row) -> tuple[tuple[str, str], ...]:
        found = []
        for system, value, header in row.ids():
            if len(value) > 200:
                self._remark(row.line, header, "too long for an id")
            elif first := self._ids.get((system, value)):
                self._problem(row.line, header, f"the same id as in line {first}")
            else:
                found.append((system, value))
        return tuple(found)

    def _is_out(self, row: Row) -> bool:
        return any(map(cells.is_out, row.all("opted_out"))) or any(
            map(cells.is_unsubscribed, row.all("subscribed"))
        )

    def _or_remark(self, row: Row, column: Column, what: str) -> str:
        cell = row.cell(column)
        read = cells.read_language(cell) if column == "language" else cells.read_zone(cell)
        if read is None:
            self._remark(row.line, row.header(column), f"{cell[:40]!r} is {what}")
        return read or ""

    def _problem(self, line: int, column: str, what: str) -> None:
        self.problems.append(RowProblem(line, column, what))

    def _remark(self, line: int, column: str, what: str) -> None:
        self.remarks.append(RowProblem(line, column, what))


@dataclass(frozen=True, slots=True)
class Row:
    """One record, its cells reached by what they hold."""

    line: int
    record: list[str]
    columns: Columns

    def all(self, column: Column) -> Iterator[str]:
        for place in self.columns.at.get(column, ()):
            if place < len(self.record):
                yield self.record[place]

    def address(self) -> str:
        """The first address that is there, without the spaces around it.

        A line break is no such space: it stays, and the address is refused.
        """
        stripped = (cell.strip(" \t\u00a0") for cell in self.all("address"))
        address = next((cell for cell in stripped if cell), "")
        if not address:
            raise BadInput("There is no address.")
        return address

    def cell(self, column: Column) -> str:
        """The first cell that is not empty, on one line, as long as the store takes it."""
        for raw_cell in self.all(column):
            if words := raw_cell.split():
                return " ".join(words)[: _LONGEST.get(column, 300)]
        return ""

    def header(self, column: Column) -> str:
        places = self.columns.at.get(column, ())
        return self.columns.headers[places[0]] if places else ""

    def ids(self) -> Iterator[tuple[str, str, str]]:
        for system, place in self.columns.ids:
            if place < len(self.record) and (value := " ".join(self.record[place].split())):
                yield system, value, self.columns.headers[place]
