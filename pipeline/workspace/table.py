"""Accounts from a CSV table, as spreadsheets save it, with the place of each cell."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.rules.catalog import suggestion
from pipeline.workspace.document import MAX_BYTES, Document, Mark, Path, clean

COLUMNS = (
    "key", "name", "aliases", "domain", "relationship", "owner", "may_be_named", "customers",
    "rivals", "suppliers", "incumbent", "purchases_per_year", "was",
)  # fmt: skip
LISTS = ("aliases", "customers", "rivals", "suppliers")
_YES = {"yes": True, "true": True, "1": True, "x": True, "no": False, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell and where it begins."""

    text: str
    mark: Mark


class TableDocument(Document):
    """A table read as {"accounts": [row, …]}; its paths are column names."""

    def show(self, path: Path) -> str:
        return str(path[2]) if len(path) > 2 else ""


def parse_table(file: str, raw: bytes) -> TableDocument:
    """Read a table with a header: commas, semicolons or tabs; UTF-8, UTF-16 or Windows-1252.

    Lists inside a cell are parted by semicolons.
    """
    document = TableDocument(file, data={"accounts": []})
    if len(raw) > MAX_BYTES:
        document.complain((), f"the file is larger than {MAX_BYTES // 1_000_000} MB")
        return document
    text = _decode(raw).replace("\r\n", "\n").replace("\r", "\n")
    rows = list(_rows(document, text, _separator(text)))
    header = _header(document, rows[0])
    if {"key", "name", "relationship"} <= set(header):
        for row in rows[1:]:
            _take(document, header, row)
    return document


def _decode(raw: bytes) -> str:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw.decode("utf-16", "replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")


def _separator(text: str) -> str:
    return max(",;\t", key=text.partition("\n")[0].count)


def _header(document: Document, row: list[Cell]) -> list[str]:
    names = []
    for cell in row:
        name = cell.text.strip().lower().replace(" ", "_")
        if name and name not in COLUMNS:
            document.complain((), f'the column "{cell.text.strip()}" is not known here'
                                  f"{suggestion(name, COLUMNS)}", cell.mark)  # fmt: skip
        if name in names:
            document.complain((), f'the column "{name}" stands twice', cell.mark)
            name = ""
        names.append(name if name in COLUMNS else "")
    for name in ("key", "name", "relationship"):
        if name not in names:
            document.complain((), f'the column "{name}" is missing', Mark(1, 1))
    return names


def _take(document: Document, header: list[str], row: list[Cell]) -> None:
    if all(not cell.text.strip() for cell in row):
        return
    rows = document.data["accounts"]
    path: Path = ("accounts", len(rows))
    document.values[path] = row[0].mark
    if any(cell.text.strip() for cell in row[len(header) :]):
        document.complain(
            path,
            f"this line has {len(row)} cells, but there are {len(header)} columns; "
            "put quotes round a cell that holds the separator",
            row[len(header)].mark,
        )
    values: dict[str, object] = {}
    for name, cell in zip(header, row, strict=False):
        text = clean(cell.text.strip())
        if name and text:
            document.values[(*path, name)] = cell.mark
            values[name] = _value(name, text)
    rows.append(values)


def _value(name: str, text: str) -> object:
    if name in LISTS:
        return [part.strip() for part in text.split(";") if part.strip()]
    if name == "may_be_named":
        return _YES.get(text.lower(), text)
    return text


def _rows(document: Document, text: str, separator: str) -> Iterator[list[Cell]]:
    """Rows of cells; quotes are doubled inside quotes.

    Source: RFC 4180 §2
    """
    cell = re.compile(
        rf'(?:"(?P<quoted>[^"]*(?:""[^"]*)*)"|(?P<plain>[^{separator}\n]*))'
        rf"(?P<end>{separator}|\n|\Z)"
    )
    line, line_start, position, row = 1, 0, 0, list[Cell]()
    while match := cell.match(text, position):
        mark = Mark(line, position - line_start + 1)
        value = match["plain"] if match["quoted"] is None else match["quoted"].replace('""', '"')
        if match["plain"] and match["plain"].startswith('"'):
            document.complain((), "this quotation mark is never closed", mark)
        row.append(Cell(value, mark))
        position = match.end()
        breaks = match[0].count("\n")
        if breaks:
            line, line_start = line + breaks, text.rindex("\n", 0, position) + 1
        if match["end"] != separator:
            yield row
            row = []
        if not match["end"]:
            return
