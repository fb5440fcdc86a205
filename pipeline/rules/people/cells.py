"""Single cells of a people file: dates, yes and no, kinds of basis, names, languages, zones."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from zoneinfo import ZoneInfo

from pipeline.model.people import BasisKind
from pipeline.rules.people.columns import fold

_NO = frozenset(
    {"", "no", "n", "false", "f", "0", "none", "null", "na", "never", "nein", "notspecified"}
)
_SUBSCRIBED = _NO - {"no", "n", "false", "f", "0", "never", "nein"} | frozenset(
    {"yes", "y", "true", "t", "1", "ja", "subscribed", "active", "confirmed", "optedin", "optin"}
)

_BASES: dict[str, BasisKind | None] = {
    "": None,
    "none": None,
    "na": None,
    "notapplicable": None,
    "customer": "customer",
    "existingcustomer": "customer",
    "legitimateinterestexistingcustomer": "customer",
    "contract": "customer",
    "performanceofacontract": "customer",
    "consent": "consent",
    "optin": "consent",
    "optedin": "consent",
    "freelygivenconsent": "consent",
    "freelygivenconsentfromcontact": "consent",
    "legitimateinterest": "legitimate_interest",
    "legitimateinterests": "legitimate_interest",
    "legitimateinterestprospectlead": "legitimate_interest",
    "legitimateinterestother": "legitimate_interest",
}

_LANGUAGES = {
    "danish": "da", "dutch": "nl", "english": "en", "finnish": "fi", "french": "fr",
    "german": "de", "italian": "it", "norwegian": "no", "polish": "pl", "portuguese": "pt",
    "spanish": "es", "swedish": "sv", "deutsch": "de", "englisch": "en",
}  # fmt: skip
_TAG = re.compile(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{2}))?")

_SALUTATIONS = frozenset({"mr", "mrs", "ms", "miss", "mx", "dr", "prof", "sir", "herr", "frau"})

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TIME = r"(?:[T ,].*)?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})[-/.](\d{{1,2}})[-/.](\d{{1,2}}){_TIME}", re.ASCII)
_YEAR_LAST = re.compile(rf"(\d{{1,2}})([-/.])(\d{{1,2}})\2(\d{{4}}){_TIME}", re.ASCII)
_DAY_WORD = re.compile(r"(\d{1,2})[. -]+([A-Za-z]{3,9})[., -]+(\d{4})", re.ASCII)
_WORD_DAY = re.compile(r"([A-Za-z]{3,9})[. ]+(\d{1,2})(?:st|nd|rd|th)?,? +(\d{4})", re.ASCII)


def is_out(cell: str) -> bool:
    """Whether an "opted out" cell says so: anything but a plain no does, a date too."""
    return fold(cell) not in _NO


def is_unsubscribed(cell: str) -> bool:
    """Whether a "subscribed" or "marketing status" cell says that this person gets nothing."""
    return fold(cell) not in _SUBSCRIBED


def basis_kind(cell: str) -> BasisKind | None:
    """The kind of basis that a cell names, the first of several; None where it names none.

    Raises: KeyError for a kind that we do not know
    """
    return _BASES[fold(cell.partition(";")[0])]


def day_comes_first(cells: Iterable[str]) -> bool | None:
    """Whether 03/08/2026 is the third of August in this column; None when it does not show.

    One date that can only be read one way tells for all of them.
    """
    day_first = month_first = False
    for cell in cells:
        match = _YEAR_LAST.fullmatch(cell.strip())
        if match:
            day_first |= int(match[1]) > 12
            month_first |= int(match[3]) > 12
    return day_first if day_first != month_first else None


def read_date(cell: str, *, day_first: bool | None) -> date | None:
    """A date in any usual spelling; None for one that cannot be read, or in two ways."""
    cell = cell.strip()
    if match := _YEAR_FIRST.fullmatch(cell):
        return _date(match[1], match[2], match[3])
    if match := _YEAR_LAST.fullmatch(cell):
        first, mark, second, year = match.groups()
        if mark == "." or day_first or first == second:
            return _date(year, second, first)
        if day_first is None:
            return None
        return _date(year, first, second)
    if match := _DAY_WORD.fullmatch(cell):
        return _date(match[3], _month(match[2]), match[1])
    if match := _WORD_DAY.fullmatch(cell):
        return _date(match[3], _month(match[1]), match[2])
    return None


def _month(word: str) -> int:
    start = word[:3].lower()
    return _MONTHS.index(start) + 1 if start in _MONTHS else 0


def _date(year: str, month: str | int, day: str) -> date | None:
    try:
        read = date(int(year), int(month), int(day))
    except ValueError:
        return None
    return read if read.year >= 1900 else None


def split_name(full: str) -> tuple[str, str]:
    """(first, last) of "Liv Haugen" or "Haugen, Liv"."""
    before, comma, after = full.partition(",")
    if comma:
        return after.strip(), before.strip()
    first, _, last = full.strip().partition(" ")
    return first, last.strip()


def job_title(cell: str) -> str:
    """A job title; "" where the column "Title" only says Ms or Dr."""
    return "" if fold(cell) in _SALUTATIONS else cell


def read_language(cell: str) -> str | None:
    """A language tag such as "en" or "en-GB"; "" for an empty cell, None for no language."""
    cell = cell.strip()
    if not cell:
        return ""
    if match := _TAG.fullmatch(cell):
        return match[1].lower() + (f"-{match[2].upper()}" if match[2] else "")
    return _LANGUAGES.get(fold(cell.partition("(")[0]))


@lru_cache(maxsize=1024)
def read_zone(cell: str) -> str | None:
    """A named time zone; "" for an empty cell, None for no zone.

    HubSpot writes europe_slash_oslo for Europe/Oslo.
    """
    cell = cell.strip()
    if not cell:
        return ""
    spelled = "/".join(
        "_".join(word[:1].upper() + word[1:] for word in part.split("_"))
        for part in cell.replace("_slash_", "/").split("/")
    )
    for name in (cell, spelled):
        try:
            return str(ZoneInfo(name))
        except (KeyError, ValueError, OSError):
            continue
    return None
