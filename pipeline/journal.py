"""The log of `run` and `tick`: one line for each thing, on standard error, nothing secret in it.

Whoever logs something with fields for a machine hands them over as `extra={"fields": {…}}`:
text, numbers and None.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

from pipeline.rules.mask import mask
from pipeline.settings import Log

#: What other people's code has to say is told from this on.
_OTHERS = logging.WARNING

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_IN_TRACE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


@contextmanager
def journal(kind: Log, stream: TextIO, *, only_trouble: bool = False) -> Iterator[None]:
    """All logging goes to `stream` as text or as JSON, masked; as it was before at the end.

    Shape:  only_trouble leaves out what went well, for whoever says that by other means
    """
    root, ours = logging.getLogger(), logging.getLogger("asterism")
    before = (root.handlers[:], root.level, ours.level)
    lines = logging.StreamHandler(stream)
    lines.setFormatter(JsonLines() if kind == "json" else TextLines())
    root.handlers[:] = [lines]
    root.setLevel(_OTHERS)
    ours.setLevel(_OTHERS if only_trouble else logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        ours.setLevel(before[2])


class TextLines(logging.Formatter):
    """`2027-03-11T06:31:02Z info deliver: 4 copies accepted (outcome=done seconds=0.8)`."""

    def format(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={_plain(value)}" for name, value in _fields(record).items())
        what = record.getMessage() + (f" ({fields})" if fields else "")
        line = f"{_at(record)} {record.levelname.lower()} {_one_line(mask(what))}"
        trace = _trace(record)
        return line + "".join(f"\n    {part}" for part in trace.splitlines())


class JsonLines(logging.Formatter):
    """One JSON object for each line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": _at(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "what": mask(record.getMessage()),
        }
        for name, value in _fields(record).items():
            known = value is None or isinstance(value, bool | int | float)
            line.setdefault(name, value if known else mask(str(value)))
        if trace := _trace(record):
            line["traceback"] = trace
        return _CONTROL.sub(_escaped, json.dumps(line, ensure_ascii=False))


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = getattr(record, "fields", {})
    return fields


def _at(record: logging.LogRecord) -> str:
    return f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _trace(record: logging.LogRecord) -> str:
    """The traceback and the stack, masked; a failure's own words may hold anything."""
    parts = []
    if record.exc_info:
        parts.append(logging.Formatter().formatException(record.exc_info))
    if record.stack_info:
        parts.append(record.stack_info)
    return _CONTROL_IN_TRACE.sub(_spelled, mask("\n".join(parts)))


def _plain(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if re.search(r'[\s"=()]', text) else text


def _one_line(text: str) -> str:
    """What a stranger sent cannot begin a line of its own, or paint the terminal."""
    return _CONTROL.sub(_spelled, text)


def _escaped(found: re.Match[str]) -> str:
    """Inside of JSON: read back it is the same text."""
    return f"\\u{ord(found[0]):04x}"


def _spelled(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
