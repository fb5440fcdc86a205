"""A people file, from its bytes to rows that are understood and problems that are told."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from pipeline.errors import BadInput, Mistake
from pipeline.model.catalog import Catalog
from pipeline.model.people import ImportRow, RowProblem
from pipeline.rules.people import cells
from pipeline.rules.people.columns import HEADERS, Columns, recognise
from pipeline.rules.people.companies import Companies
from pipeline.rules.people.rows import RowReader

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
    reader = RowReader(columns, Companies(catalog), today, _day_first(columns, records))
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
