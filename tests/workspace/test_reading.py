"""Whatever stands in a file, reading it ends in values or in mistakes, never in a crash."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from pipeline.workspace import shapes
from pipeline.workspace.document import Document, parse_yaml
from pipeline.workspace.reading import STAND_INS, read
from pipeline.workspace.shapes import ConstellationShape, FeedsShape, FirmShape
from tests.workspace.conftest import FEEDS, FERRIES, FIRM

FILES = {
    "firm": (FIRM, FirmShape),
    "feeds": (FEEDS, FeedsShape),
    "c": (FERRIES, ConstellationShape),
}

odd = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**6) | st.floats(allow_nan=False)
    | st.text(max_size=12)
    | st.sampled_from(["week", "day 15", "last friday", "5 days", "Europe/Oslo", "2027-01-07"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["key", "name", "on", "x", "password"]), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


def places(node: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(node, dict):
        return [path, *(p for k, v in node.items() for p in places(v, (*path, k)))]
    if isinstance(node, list):
        return [path, *(p for n, v in enumerate(node) for p in places(v, (*path, n)))]
    return [path]


@settings(deadline=None, max_examples=200)
@given(st.data(), st.sampled_from(sorted(FILES)))
def test_any_change_is_right_or_told_and_something_can_still_be_read(
    data: st.DataObject, name: str
) -> None:
    text, shape = FILES[name]
    good = parse_yaml("f.yaml", text.encode()).data
    changed = copy.deepcopy(good)
    for _ in range(data.draw(st.integers(1, 4))):
        *parents, last = data.draw(st.sampled_from([p for p in places(changed) if p] or [("x",)]))
        node = changed
        for step in parents:
            node = node[step]
        if data.draw(st.booleans()) or last == "x":
            node[last] = data.draw(odd)
        else:
            del node[last]
    document = Document("f.yaml", data=changed)
    reading = read(document, shape)
    assert reading.value is not None
    assert document.mistakes or _is_right(shape, changed)


def _is_right(shape: type[BaseModel], data: Any) -> bool:
    """Asked of pydantic itself, after keys without a value are left out (a word keeps its own)."""

    def bare(node: Any) -> Any:
        if isinstance(node, dict):
            return {k: bare(v) for k, v in node.items() if v is not None or "ferry" in k}
        return [bare(v) for v in node] if isinstance(node, list) else node

    try:
        shape.model_validate(bare(data))
    except ValidationError:
        return False
    return True


def _shapes() -> list[type[BaseModel]]:
    found = [
        s for s in vars(shapes).values() if isinstance(s, type) and issubclass(s, shapes.Shape)
    ]
    return [s for s in found if s is not shapes.Shape]


@pytest.mark.parametrize("shape", _shapes(), ids=lambda s: s.__name__)
def test_every_required_key_has_a_stand_in_or_its_entry_is_left_out(shape: type[BaseModel]) -> None:
    """A stand-in that is itself refused would never let the rest be looked at."""
    required = {i.alias or n for n, i in shape.model_fields.items() if i.is_required()}
    stands = {key: value for key, value in STAND_INS.items() if key in required}
    try:
        shape.model_validate(stands)
    except ValidationError as error:
        refused = {detail["loc"][0] for detail in error.errors()}
    else:
        refused = set()
    assert refused == required - stands.keys()


@pytest.mark.parametrize("shape", _shapes(), ids=lambda s: s.__name__)
def test_every_key_says_what_it_is_for(shape: type[BaseModel]) -> None:
    if shape is not shapes.AccountsShape:  # a table has no keys of its own
        assert [n for n, info in shape.model_fields.items() if not info.description] == []
