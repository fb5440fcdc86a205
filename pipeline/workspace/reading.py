"""A document against its shape: what is right is kept, what is wrong is told, all of it at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipeline.rules.catalog import suggestion
from pipeline.workspace.document import Document, Path
from pipeline.workspace.fields import found

M = TypeVar("M", bound=BaseModel)

#: Taken in place of a value that is missing or wrong, so that everything else can be looked
#: at, too; nothing of it leaves this floor, for a document with a mistake is never used.
STAND_INS: Mapping[str, Any] = {
    "name": "x", "title": "x", "text": "x", "about": "x", "positioning": "x", "on": "monday",
    "postal_address": "x", "base_url": "https://stand-in.invalid", "every": "week",
    "contact": "stand-in@asterism.invalid", "address": "stand-in@asterism.invalid", "at": "08:00",
    "zone": "UTC", "from": "2000-01-01", "url": "https://stand-in.invalid", "expert": "stand-in",
    "curator": "stand-in", "approver": "stand-in", "relationship": "prospect",
    "constellations": ["stand-in"], "date": "2000-01-01", "sources": [], "accounts": [],
    "staff": [{"key": "stand-in", "name": "x", "address": "stand-in@asterism.invalid"}],
    "rhythm": {"every": "week", "on": "monday", "at": "08:00", "zone": "UTC",
               "from": "2000-01-01"},
}  # fmt: skip

_HOLE = object()
_SECRET = re.compile("pass(word|wd|phrase)|secret|token|credential|(api|private|access)_?key")


@dataclass(slots=True)
class Reading(Generic[M]):
    """What a document says, as far as it could be read; its mistakes stand in the document."""

    document: Document
    value: M | None
    #: where the entries of a list that are left stood in the file
    positions: dict[Path, list[int]] = field(default_factory=dict)

    def path(self, place: Path) -> Path:
        """From a place among what could be read to the path in the file."""
        path: Path = ()
        for step in place:
            known = self.positions.get(path)
            path = (*path, known[step] if known and isinstance(step, int) else step)
        return path


def read(document: Document, shape: type[M]) -> Reading[M]:
    """Hold a document against its shape.

    What is wrong is noted in the document once, then cut out or given a stand-in, until the
    rest is right.

    Raises: nothing about the content
    """
    reading: Reading[M] = Reading(document, None)
    if document.broken:
        return reading
    if not isinstance(document.data, dict):
        document.complain((), f"must hold keys with values, not {found(document.data)}")
        document.broken = True
        return reading
    data = deepcopy(document.data)
    empty = _drop_empty(data, shape)
    told = False
    for _ in range(100):
        whole = _compact(data, (), reading.positions)
        try:
            reading.value = shape.model_validate(whole)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                path = reading.path(_loc(detail))
                if not told:
                    _tell(document, path, detail, shape, empty)
                _mend(data, path, detail)
            told = True
        else:
            break
    return reading


def _loc(detail: ErrorDetails) -> Path:
    return tuple(step for step in detail["loc"] if step != "[key]")


def _compact(data: Any, path: Path, positions: dict[Path, list[int]]) -> Any:
    """Without holes; notes where the entries of each list stood."""
    if isinstance(data, dict):
        return {key: _compact(value, (*path, key), positions) for key, value in data.items()}
    if isinstance(data, list):
        kept = [(n, _compact(v, (*path, n), positions)) for n, v in enumerate(data)
                if v is not _HOLE]  # fmt: skip
        positions[path] = [n for n, _ in kept]
        return [value for _, value in kept]
    return data


def _drop_empty(data: dict[str, Any], shape: type[BaseModel]) -> set[Path]:
    """Take known keys without a value for left out; returns where they stood."""
    dropped = set()

    def walk(node: Any, path: Path) -> None:
        if isinstance(node, list):
            for number, child in enumerate(node):
                walk(child, (*path, number))
        if isinstance(node, dict):
            known = _keys_at(shape, path)
            for key in list(node):
                if node[key] is None and key in known:
                    dropped.add((*path, key))
                    del node[key]
                else:
                    walk(node[key], (*path, key))

    walk(data, ())
    return dropped


def _mend(data: Any, path: Path, detail: ErrorDetails) -> None:
    """Put a stand-in for what is wrong, or cut out the smallest thing round it."""
    parent = _at(data, path[:-1])
    name = path[-1] if path else None
    if parent is None or name is None:
        return
    if isinstance(parent, list) and isinstance(name, str):
        _mend(data, path[:-1], detail)  # a list that was read as keys with values goes as one
    elif detail["type"] == "extra_forbidden":
        del parent[name]
    elif isinstance(parent, list):
        parent[int(name)] = _HOLE
    elif detail["type"] == "missing":
        if name in STAND_INS:
            parent[name] = deepcopy(STAND_INS[str(name)])
        else:
            _cut(data, path[:-1])
    else:
        parent.pop(name, None)


def _cut(data: Any, path: Path) -> None:
    parent = _at(data, path[:-1])
    if isinstance(parent, list):
        parent[int(path[-1])] = _HOLE
    elif isinstance(parent, dict) and path:
        parent.pop(path[-1], None)


def _at(data: Any, path: Path) -> Any:
    """The list or dict at a path; None when something on the way was cut out already."""
    for step in path:
        if isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
        elif isinstance(data, dict):
            data = data.get(str(step))
        else:
            return None
    return data if isinstance(data, list | dict) else None


# ── words ────────────────────────────────────────────────────────────────────────────────


def _tell(
    document: Document,
    path: Path,
    detail: ErrorDetails,
    shape: type[BaseModel],
    empty: set[Path],
) -> None:
    if any(path[:length] in document.wrong for length in range(1, len(path) + 1)):
        return  # its place already has a mistake
    kind = detail["type"]
    if kind == "extra_forbidden":
        what = _unknown(str(path[-1]), _keys_at(shape, path[:-1]))
        document.complain(path, what, document.mark(path, at_key=True), spoils=False)
    elif kind == "missing" and path in empty:
        document.complain(path, "has no value", document.mark(path, at_key=True))
    elif kind == "missing":
        what = f'"{path[-1]}" is missing{_purpose(shape, path)}'
        document.complain(path, what, document.mark(path[:-1]))
    else:
        document.complain(path, _wrong(detail))


def _unknown(key: str, known: Iterable[str]) -> str:
    if _SECRET.search(key.lower()):
        return (
            f'"{key}" looks like a secret: it belongs in .env, never in this file '
            "(see .env.example)"
        )
    return f'the key "{key}" is not known here{suggestion(key, known)}'


def _purpose(shape: type[BaseModel], path: Path) -> str:
    """What a missing key is for, from its description."""
    owner = _shape_at(shape, path[:-1])
    fields = owner.model_fields.items() if owner else ()
    texts = [f.description for name, f in fields if (f.alias or name) == path[-1]]
    return f": {texts[0]}" if texts and texts[0] else ""


#: pydantic's kinds of error, in words that need no manual
_WORDS: Mapping[str, str] = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list: [one, two], or one entry a line with a dash before it",
    "dict_type": "must be a group of keys with values",
    "model_type": "must be a group of keys with values",
    "model_attributes_type": "must be a group of keys with values",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
}


def _wrong(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "plain":
        return detail["msg"]
    if kind == "literal_error":
        words = re.findall("'([^']*)'", str(context.get("expected", "")))
        near = suggestion(str(detail["input"]), words)
        tail = near if near.startswith(",") else ""
        return f"{found(detail['input'])} is not one of {', '.join(words)}{tail}"
    if kind == "too_short":
        return "needs at least one entry"
    if kind in _WORDS:
        return f"{_WORDS[kind].format(**context)}, not {found(detail['input'])}"
    return f"{detail['msg']}, not {found(detail['input'])}"


def _keys_at(shape: type[BaseModel], path: Path) -> list[str]:
    owner = _shape_at(shape, path)
    if owner is None:
        return []
    return [info.alias or name for name, info in owner.model_fields.items()]


def _shape_at(shape: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """The shape that rules at a path; None where values are plain."""
    for step in path:
        if isinstance(step, int):
            continue
        fields = {info.alias or name: info for name, info in shape.model_fields.items()}
        inner = _inner(fields[step].annotation) if step in fields else None
        if inner is None:
            return None
        shape = inner
    return shape


def _inner(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((shape for part in get_args(annotation) if (shape := _inner(part))), None)
