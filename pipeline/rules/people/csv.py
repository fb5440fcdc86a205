"""A people file, from its bytes to rows that are understood and problems that are told."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from pipeline.errors import BadInput, Mistake
from pipeline.model.catalog import Catalog
from pipeline.model.people import Basis, ImportRow, RowProblem
from pipeline.rules.people import cells
from pipeline.rules.people.address import normalise
from pipeline.rules.people.columns import HEADERS, Column, Columns, recognise
from pipeline.rules.people.companies import Companies

MAX_BYTES = 20_000_000
MAX_ROWS = 200_000
DELIMITERS = ",;\t"


@dataclass(frozen=True, slots=True)
class PeopleFile:
    """What a people file says."""

    total: int  #: rows that are not blank, the header left out
    rows: tuple[ImportRow, ...]
    problems: tuple[RowProblem, ...]  #: of rows that were not taken
    remarks: tuple[RowProblem, ...]  #: of rows that were taken without one of their cells
    columns: tuple[tuple[str, str], ...]  #: (header as written, what it was taken for)


def parse_people(raw: bytes, name: str, catalog: Catalog, today: date) -> PeopleFile:
    """Read a people file.

    Encoding, separator and columns are found out. A row that cannot be taken is a problem
    and the others go on; a row that opted out is always taken when its address can be
    read, whatever else is wrong with it. Of two rows with one address the first counts,
    and it is out if either is.

    Shape:  raw is CSV in UTF-8, UTF-16 or Windows-1252, separated by comma, semicolon or tab
    Raises: BadInput (too big, no CSV, no column of addresses) with file:line:col
    """
    lines = _records(_decode(raw, name), name)
    columns, first_line, records = _header(lines, name)
    if "address" not in columns.at:
        _refuse_without_address(columns, name, first_line)
    reader = _RowReader(columns, Companies(catalog), today, _day_first(columns, records))
    for line, record in records:
        reader.read(line, record)
    return PeopleFile(
        total=len(records),
        rows=tuple(reader.rows.values()),
        problems=tuple(reader.problems),
        remarks=tuple(reader.remarks),
        columns=columns.taken_for(),
    )


# ── bytes → records ──────────────────────────────────────────────────────────────────────

#: What is taken out everywhere: control characters but tab, CR and LF; marks that cannot be
#: seen and turn the direction of writing; the private use area, which marks merge fields.
_NEVER = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff"
    r"\ue000-\uf8ff]"
)


def _decode(raw: bytes, name: str) -> str:
    if len(raw) > MAX_BYTES:
        raise BadInput(
            f"{name} has {len(raw) // 1_000_000} MB; a people file may have "
            f"{MAX_BYTES // 1_000_000} MB.",
            "Split it, or leave out the columns that are not needed.",
        )
    if raw.startswith(b"PK\x03\x04"):
        raise BadInput(
            f"{name} is an Excel workbook, not a CSV file.",
            "In Excel: File, Save As, CSV UTF-8.",
        )
    return _NEVER.sub("", raw.decode(_encoding(raw), errors="replace"))


def _encoding(raw: bytes) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    head = raw[:2000]
    if head.count(0) * 3 > len(head):  # UTF-16 without a mark: every second byte is NUL
        return "utf-16-le" if head[1::2].count(0) >= head[0::2].count(0) else "utf-16-be"
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


Record = tuple[int, list[str]]  #: (line on which it begins, its cells)


@dataclass(frozen=True, slots=True)
class _Text:
    """The text of a file and where its records begin."""

    text: str
    skipped: int  #: lines before it

    def fit(self, delimiter: str) -> tuple[int, int]:
        """How well a separator fits the header: columns that we know, columns in all."""
        try:
            _, headers = next(self.records(delimiter, ""), (1, []))
        except BadInput:
            return (-1, -1)
        return (recognise(headers).known, len(headers))

    def records(self, delimiter: str, name: str) -> Iterator[Record]:
        reader = csv.reader(io.StringIO(self.text, newline=""), delimiter=delimiter, strict=True)
        line = 1
        while True:
            try:
                record = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                place = Mistake(name, line + self.skipped, 1, "", f"{error}")
                raise BadInput(
                    "The file is no CSV from this line on; nothing of it was taken.",
                    "Look for a quotation mark that is not closed.",
                    (place,),
                ) from error
            if any(cell.strip() for cell in record):
                yield line + self.skipped, record
            line = reader.line_num + 1


def _records(text: str, name: str) -> _Text:
    first, _, rest = text.partition("\n")
    if re.fullmatch(r"sep=.\r?", first):  # Excel's own line
        return _Text(rest, 1)
    if not text.strip():
        raise BadInput(f"{name} is empty.", "Export the people with a line of headers.")
    return _Text(text, 0)


def _header(text: _Text, name: str) -> tuple[Columns, int, list[Record]]:
    """The columns, the header's line and the records, by the separator that fits best."""
    all_records = text.records(max(DELIMITERS, key=text.fit), name)
    line, headers = next(all_records, (1, []))
    records: list[Record] = []
    for record in all_records:
        if len(records) == MAX_ROWS:
            raise BadInput(
                f"{name} has more than {MAX_ROWS:,} rows.",
                "Split it; nothing of it was taken.",
            )
        records.append(record)
    return recognise(headers), line, records


def _refuse_without_address(columns: Columns, name: str, line: int) -> None:
    found = ", ".join(header or "(empty)" for header in columns.headers[:20])
    what = (
        f"no column with e-mail addresses. Found: {found}. Looked for: Email, E-mail address, "
        f"Work email, Mail and {len(HEADERS['address']) - 4} others"
    )
    raise BadInput(
        "The people file was not read.",
        "Name the column with the addresses Email. Case and punctuation do not matter.",
        (Mistake(name, line, 1, "", what),),
    )


def _day_first(columns: Columns, records: Sequence[Record]) -> bool | None:
    places = columns.at.get("basis_date", ())
    return cells.day_comes_first(r[i] for _, r in records for i in places if i < len(r))


# ── records → rows ───────────────────────────────────────────────────────────────────────

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


class _RowReader:
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
                line, "", f"has {len(record)} cells, the header has {width}: is a quote missing?"
            )
            return
        row = _Row(line, record, self._columns)
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

    def _taken(self, row: _Row, address: str, key: str) -> ImportRow | None:
        before = len(self.problems)
        account = self._account(row, key)
        basis = self._basis(row)
        external = self._external(row)
        if len(self.problems) > before:
            return None
        return self._plain_row(row, address, account, basis, external)

    def _out(self, row: _Row, address: str, key: str) -> ImportRow:
        """Someone who wants no letters is taken down as such, whatever else the row lacks."""
        kept = len(self.problems)
        account, basis, external = self._account(row, key), self._basis(row), self._external(row)
        self.remarks += self.problems[kept:]
        del self.problems[kept:]
        return replace(self._plain_row(row, address, account, basis, external), opted_out=True)

    def _plain_row(
        self,
        row: _Row,
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

    def _account(self, row: _Row, key: str) -> str:
        company = row.cell("company")
        found = self._companies.by_name(company) if company else None
        found = found or self._companies.by_domain(key.rpartition("@")[2])
        if found is None:
            what = (
                f"no account of any constellation has the key, name or alias {company[:60]!r}"
                if company
                else "no company, and no account has this address's domain"
            )
            self._problem(row.line, row.header("company") or row.header("address"), what)
        return found or ""

    def _basis(self, row: _Row) -> Basis | None:
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

    def _external(self, row: _Row) -> tuple[tuple[str, str], ...]:
        found = []
        for system, value, header in row.ids():
            if len(value) > 200:
                self._remark(row.line, header, "too long for an id")
            elif first := self._ids.get((system, value)):
                self._problem(row.line, header, f"the same id as in line {first}")
            else:
                found.append((system, value))
        return tuple(found)

    def _is_out(self, row: _Row) -> bool:
        return any(map(cells.is_out, row.all("opted_out"))) or any(
            map(cells.is_unsubscribed, row.all("subscribed"))
        )

    def _or_remark(self, row: _Row, column: Column, what: str) -> str:
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
class _Row:
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
        joined = (" ".join(cell.split()) for cell in self.all(column))
        return next((cell for cell in joined if cell), "")[: _LONGEST.get(column, 300)]

    def header(self, column: Column) -> str:
        places = self.columns.at.get(column, ())
        return self.columns.headers[places[0]] if places else ""

    def ids(self) -> Iterator[tuple[str, str, str]]:
        for system, place in self.columns.ids:
            if place < len(self.record) and (value := " ".join(self.record[place].split())):
                yield system, value, self.columns.headers[place]
