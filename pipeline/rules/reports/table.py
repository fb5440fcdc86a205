"""A month's accounts as CSV, for a spreadsheet."""

from __future__ import annotations

import csv
import io
import re

from pipeline.model.sales import MonthReport

#: A cell that begins so is a formula to a spreadsheet, whatever invisible stands before it; some
#: take the wide signs for one, too. Source: OWASP, CSV injection
_FORMULA = re.compile(r"[\s\x00-\x1f\u200b-\u200f\u2060\ufeff]*[=+\-@＝＋－＠]|[\t\r\n]")


def as_csv(report: MonthReport) -> bytes:
    """One row per account, by name; UTF-8 with the mark that Excel looks for.

    Source: RFC 4180 (CRLF, quotes)
    """
    said = report.coverage
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(
        ("month", "constellation", "account", "relationship", "owner", "by machine", "by hand",
         "touched")
    )  # fmt: skip
    for one in said.accounts:
        row = (
            f"{said.month:%Y-%m}", said.constellation_name, one.name, one.relationship,
            report.owners.get(one.owner, one.owner), str(one.by_machine), str(one.by_hand),
            "yes" if one.by_machine or one.by_hand else "no",
        )  # fmt: skip
        writer.writerow(map(guarded, row))
    return out.getvalue().encode("utf-8-sig")


def guarded(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if _FORMULA.match(cell) else cell
