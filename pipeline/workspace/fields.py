"""The small values that files hold, as people write them, and what is wrong with one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date, time
from fractions import Fraction
from typing import Annotated, Any, NamedTuple, NoReturn
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import soupsieve
from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError
from soupsieve.util import SelectorSyntaxError

from pipeline.errors import BadInput
from pipeline.model.catalog import Cadence
from pipeline.rules.catalog import suggestion
from pipeline.rules.people.address import domain_of, normalise

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
NTHS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "last": -1}
MAX_DURATION_S = 90 * 86400


def refuse(what: str) -> NoReturn:
    """The value is wrong; `what` completes the sentence that begins with its place."""
    raise PydanticCustomError("plain", "{what}", {"what": what})


def found(value: object) -> str:
    """A value, named so that its writer recognises it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value[:40]}…"' if len(value) > 40 else f'"{value}"'
    if isinstance(value, Mapping):
        return "a group of keys"
    return "a list" if isinstance(value, list) else f"{value}"


def _text(value: object) -> str:
    if value is None:
        refuse("has no value")
    if not isinstance(value, str):
        if isinstance(value, int | float) and not isinstance(value, bool):
            refuse(f'must be text: put quotes round it, "{value}"')
        refuse(f"must be text, not {found(value)}")
    return unicodedata.normalize("NFC", value).strip()


def _line(value: object) -> str:
    text = _text(value)
    if not text:
        refuse("is empty")
    if len(text) > 300:
        refuse("is longer than 300 characters")
    if any(unicodedata.category(letter) in ("Cc", "Zl", "Zp", "Cs") for letter in text):
        refuse("must be one line of plain text")
    return text


def _lines(value: object) -> str:
    text = _text(value)
    if not text:
        refuse("is empty")
    if len(text) > 20_000:
        refuse("is longer than 20,000 characters")
    if any(unicodedata.category(letter) == "Cc" and letter not in "\n\t" for letter in text):
        refuse("holds an unseen control character; delete it")
    return text


def _postal(value: object) -> str:
    """In one line, however it is written."""
    return _line(", ".join(line.strip(" ,") for line in _lines(value).splitlines() if line.strip()))


_KEY = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


def _key(value: object) -> str:
    text = _line(str(value) if type(value) is int else value)
    if not _KEY.fullmatch(text) or len(text) > 100:
        folded = unicodedata.normalize("NFKD", text.lower()).encode("ascii", "ignore").decode()
        better = "-".join(re.findall("[a-z0-9]+", folded))
        tail = f', such as "{better}"' if better else ""
        refuse(f"{found(text)} is no key: small letters a to z, digits and hyphens{tail}")
    return text


def is_key(text: str) -> bool:
    """Whether a file's name may serve as a key."""
    return bool(_KEY.fullmatch(text)) and len(text) <= 100


def _day(value: object) -> date:
    text = _text(value)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        refuse(f"{found(text)} is no day: write year-month-day, such as 2027-01-07")
    if not 2000 <= day.year <= 2100:
        refuse(f"the year {day.year} is out of range (2000 to 2100)")
    return day


def _holiday(value: object) -> date:
    if not isinstance(value, Mapping):
        return _day(value)
    unknown = next((key for key in value if key not in ("date", "name")), None)
    if unknown is not None:
        refuse(f'the key "{unknown}" is not known here{suggestion(unknown, ("date", "name"))}')
    if "date" not in value:
        refuse("a holiday needs its date, such as {date: 2027-05-17, name: Constitution Day}")
    return _day(value["date"])


def _clock(value: object) -> time:
    match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", value if isinstance(value, str) else "")
    if match is None:
        refuse(f'{found(value)} is no time of day: write "07:30", with quotes')
    return time(int(match[1]), int(match[2]))


def _zone(value: object) -> str:
    text = _line(value)
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = suggestion(text, available_timezones())
        refuse(f"{found(text)} is no time zone{near or ': write one such as Europe/Oslo'}")
    return text


_UNITS = {
    "min": 60, "mins": 60, "minute": 60, "minutes": 60, "h": 3600, "hour": 3600, "hours": 3600,
    "d": 86400, "day": 86400, "days": 86400, "week": 604800, "weeks": 604800,
}  # fmt: skip


def seconds(value: object) -> int:
    """Seconds of a duration such as "90 min", "24 h", "5 days"."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        refuse(f'say the unit, too: "{value} h" or "{value} days"')
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?) ?([a-z]+)", _text(value).lower())
    if match is None:
        refuse(f'{found(value)} is no length of time: write "90 min", "24 h" or "5 days"')
    if match[2] not in _UNITS:
        near = suggestion(match[2], ("min", "h", "hours", "days", "weeks"))
        refuse(f'"{match[2]}" is no unit of time{near}')
    exact = Fraction(match[1]) * _UNITS[match[2]]
    if exact.denominator != 1:
        refuse("must be whole seconds")
    if exact > MAX_DURATION_S:
        refuse("is longer than 90 days")
    return int(exact)


def _units(least_s: int) -> str:
    """A pattern for the words of units that are no shorter, the longest words first."""
    names = (name for name, unit_s in _UNITS.items() if unit_s >= least_s)
    return "|".join(sorted(names, key=lambda name: (-len(name), name)))


def _whole(unit_s: int, name: str, short: str) -> Callable[[object], int]:
    """A whole number of this unit or a longer one; what the schema's pattern takes, too."""

    def read(value: object) -> int:
        total = seconds(value)
        if not re.fullmatch(_whole_pattern(unit_s), _text(value).lower()):
            same = f': write "{total // unit_s} {short}"' if total % unit_s == 0 else ""
            refuse(f"{found(value)} must be whole {name}{same}")
        return total // unit_s

    return read


def _whole_pattern(unit_s: int, least: int = 0) -> str:
    return rf"{'0*[1-9]' if least else ''}\d{'*' if least else '+'} ?({_units(unit_s)})"


def _review(value: object) -> int:
    """An issue that goes by itself is looked at first; a window of no length shows it to nobody."""
    hours = _whole(3600, "hours", "h")(value)
    if hours < 1:
        refuse("must be at least 1 h: its approver looks at it before it goes by itself")
    return hours


def _pace(value: object) -> int:
    total = seconds(value)
    if total < 3600:
        refuse(f'{found(value)} is too often: a source is asked once in an hour at most, "1 h"')
    return total


class Every(NamedTuple):
    """`every: 2 weeks`."""

    cadence: Cadence
    times: int


_PERIODS: Mapping[str, Cadence] = {"week": "weekly", "month": "monthly", "quarter": "quarterly"}


def _every(value: object) -> Every:
    match = re.fullmatch(r"(?:(\d{1,2}) )?([a-z]+?)s?", _text(value).lower())
    if match is None or match[2] not in _PERIODS:
        near = suggestion(str(value), ("week", "month", "quarter"))
        refuse(f'{found(value)} is no rhythm: write week, "2 weeks", month or quarter{near}')
    times = int(match[1] or 1)
    if times < 1:
        refuse("must be at least 1")
    return Every(_PERIODS[match[2]], times)


class On(NamedTuple):
    """`on: thursday`, `on: day 15`, `on: last friday`."""

    weekday: int | None = None
    nth: int | None = None
    day: int | None = None


def _on(value: object) -> On:
    words = _text(value).lower().split()
    match words:
        case [name] if name in WEEKDAYS:
            return On(weekday=WEEKDAYS.index(name))
        case ["last", "day"]:
            return On(day=-1)
        case ["day", number] if number.isdecimal() and 1 <= int(number) <= 31:
            return On(day=int(number))
        case [which, name] if which in NTHS and name in WEEKDAYS:
            return On(weekday=WEEKDAYS.index(name), nth=NTHS[which])
    near = suggestion(words[-1], WEEKDAYS) if words and "day" in words[-1] else ""
    refuse(f"{found(value)} is no such day: write thursday, day 15, last day, first tuesday "
           f"or last friday{'' if near.startswith(' (') else near}")  # fmt: skip


def _late(value: object) -> int | None:
    """Hours, or None for `skip`."""
    text = _text(value).lower()
    if text == "skip":
        return None
    if not text.startswith("send within "):
        refuse(f'{found(value)} is no policy: write "send within 24 h" or "skip"')
    hours = _whole(3600, "hours", "h")(text.removeprefix("send within "))
    if hours < 1:
        refuse("must be at least 1 h; or write skip")
    return hours


def _address(value: object) -> str:
    text = _line(value)
    try:
        normalise(text)
    except BadInput as error:
        refuse(f"{found(text)} is no e-mail address: {_lower(error.message)}")
    return text


def _domain(value: object) -> str:
    text = _line(value)
    if "/" in text or ":" in text:
        host = urlsplit(text if "//" in text else f"//{text}").hostname or ""
        refuse(f"must be the bare domain{f', such as {host}' if host else ''}")
    try:
        return domain_of(text)
    except BadInput:
        refuse(f"{found(text)} is no domain: write one such as firm.example")


def _url(value: object) -> str:
    text = _line(value)
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
    except ValueError:
        refuse(f"{found(text)} is no web address")
    if parts.scheme not in ("http", "https") or not host:
        refuse(f"{found(text)} is no web address: it must begin with https:// or http://")
    if parts.username is not None or parts.password is not None:
        refuse("an address must not hold a name or password: this file is for everybody to read")
    if any(letter.isspace() or letter in '\\"<>' for letter in text):
        refuse(f"{found(text)} is no web address: it holds a space or another letter that none has")
    return text


def _root_url(value: object) -> str:
    text = _url(value)
    parts = urlsplit(text)
    if parts.query or parts.fragment:
        refuse("must end with the host or a path, without ? or #")
    return text.rstrip("/")


def _color(value: object) -> str:
    text = _text(value)
    if not re.fullmatch("#[0-9A-Fa-f]{6}", text):
        refuse(f'{found(value)} is no colour: write six hex digits with quotes, "#0F5C5A"')
    return text.upper()


def _language(value: object) -> str:
    text = _text(value)
    if len(text) > 20 or not re.fullmatch("[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", text):
        refuse(f"{found(value)} is no language: write its short code, such as en, de or pt-BR")
    return text


def _selector(value: object) -> str:
    text = _line(value)
    try:
        soupsieve.compile(text)
    except SelectorSyntaxError as error:
        reason = str(error).splitlines()[0].rstrip(".:")
        refuse(f"{found(text)} is no CSS selector: {_lower(reason)}")
    return text


def _fraction(value: object) -> Fraction:
    text = "" if isinstance(value, bool) else str(value).strip().replace(",", ".")
    if not re.fullmatch(r"\d{1,6}(\.\d{1,6}|/[1-9]\d{0,5})?", text):
        refuse(f"{found(value)} is no amount: write 2, 0.5 or 1/2")
    if not 0 < Fraction(text) <= 1000:
        refuse("must be more than 0, and 1000 at most")
    return Fraction(text)


def _table_name(value: object) -> str:
    text = _line(value)
    if "/" in text or "\\" in text or text.startswith(".") or not text.endswith(".csv"):
        refuse(f"{found(text)} must be the name of a .csv file beside this one")
    return text


def _words(value: object) -> Any:
    """`word: weight`, a list of words, or a list of both; weights are looked at later."""
    if isinstance(value, Mapping):
        return {word: 1.0 if weight is None else weight for word, weight in value.items()}
    if not isinstance(value, list):
        refuse(f"must be a list of words, or words with weights, not {found(value)}")
    words: dict[str, Any] = {}
    for entry in value:
        if isinstance(entry, Mapping):
            words |= _words(entry)
        else:
            words[_line(entry)] = 1.0
    return words


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].rstrip(".")


def _schema(pattern: str, *examples: str) -> WithJsonSchema:
    schema: dict[str, Any] = {"type": "string"}
    if pattern:
        schema["pattern"] = pattern
    if examples:
        schema["examples"] = list(examples)
    return WithJsonSchema(schema)


_DURATION = rf"^\d+(\.\d+)? ?({_units(0)})$"
_HOURS, _DAYS = f"^{_whole_pattern(3600)}$", f"^{_whole_pattern(86400)}$"
_FROM_1_H = _whole_pattern(3600, least=1)
_NAME = "(mon|tues|wednes|thurs|fri|satur|sun)day"

Line = Annotated[str, PlainValidator(_line), _schema("")]
Text = Annotated[str, PlainValidator(_lines), _schema("")]
Postal = Annotated[str, PlainValidator(_postal), _schema("")]
Key = Annotated[str, PlainValidator(_key), _schema("^[a-z0-9]+(-[a-z0-9]+)*$")]
Day = Annotated[date, PlainValidator(_day), _schema(r"^\d{4}-\d{2}-\d{2}$", "2027-01-07")]
Holiday = Annotated[
    date,
    PlainValidator(_holiday),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
                {
                    "type": "object",
                    "properties": {"date": {"type": "string"}, "name": {"type": "string"}},
                    "required": ["date"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
Clock = Annotated[time, PlainValidator(_clock), _schema(r"^\d{1,2}:\d{2}$", "07:30")]
Zone = Annotated[str, PlainValidator(_zone), _schema("", "Europe/Berlin", "America/New_York")]
Hours = Annotated[
    int, PlainValidator(_whole(3600, "hours", "h")), _schema(_HOURS, "24 h", "2 days")
]
Review = Annotated[int, PlainValidator(_review), _schema(f"^{_FROM_1_H}$", "24 h", "2 days")]
Days = Annotated[int, PlainValidator(_whole(86400, "days", "days")), _schema(_DAYS, "5 days")]
Pace = Annotated[int, PlainValidator(_pace), _schema(_DURATION, "1 h", "90 min")]
EveryField = Annotated[
    Every,
    PlainValidator(_every),
    _schema(r"^(\d+ )?(week|month|quarter)s?$", "week", "2 weeks", "month", "quarter"),
]
OnField = Annotated[
    On,
    PlainValidator(_on),
    _schema(
        rf"^({_NAME}|day \d{{1,2}}|last day|(first|second|third|fourth|fifth|last) {_NAME})$",
        "thursday", "day 15", "last day", "first tuesday", "last friday",
    ),
]  # fmt: skip
Late = Annotated[
    int | None,
    PlainValidator(_late),
    _schema(f"^(skip|send within {_FROM_1_H})$", "send within 24 h", "skip"),
]
Address = Annotated[str, PlainValidator(_address), _schema("@", "liv@firm.example")]
Domain = Annotated[str, PlainValidator(_domain), _schema(r"^[^/:]+$", "firm.example")]
Url = Annotated[str, PlainValidator(_url), _schema("^https?://")]
RootUrl = Annotated[str, PlainValidator(_root_url), _schema("^https?://")]
Color = Annotated[str, PlainValidator(_color), _schema("^#[0-9A-Fa-f]{6}$", "#0F5C5A")]
Language = Annotated[str, PlainValidator(_language), _schema("", "en", "de", "pt-BR")]
Selector = Annotated[str, PlainValidator(_selector), _schema("", "article.news", "h3 a")]
TableName = Annotated[str, PlainValidator(_table_name), _schema(r"^[^/]+\.csv$")]
Amount = Annotated[
    Fraction,
    PlainValidator(_fraction),
    WithJsonSchema({"type": ["number", "string"], "examples": [1, 0.5, "1/2"]}),
]
Trust = Annotated[float, Field(ge=0.1, le=3)]
Weight = Annotated[float, Field(ge=0.1, le=10)]
Words = Annotated[
    dict[Line, Weight],
    BeforeValidator(_words),
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "object",
                    "additionalProperties": {"type": "number", "minimum": 0.1, "maximum": 10},
                },
                {"type": "array", "items": {"type": ["string", "object"]}},
            ]
        }
    ),
]
