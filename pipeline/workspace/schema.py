"""JSON Schema of the files, so that an editor completes their keys and shows what each is for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.workspace.output import write_whole
from pipeline.workspace.shapes import ConstellationShape, FeedsShape, FirmShape, Shape

_FILES: Mapping[str, type[Shape]] = {
    "firm.json": FirmShape,
    "feeds.json": FeedsShape,
    "constellation.json": ConstellationShape,
}


def json_schemas() -> dict[str, dict[str, Any]]:
    """File name in schema/ → JSON Schema, made from the shapes that also check the files."""
    return {name: _schema(shape) for name, shape in _FILES.items()}


def write_schemas(root: Path) -> tuple[Path, ...]:
    """Write schema/*.json into a workspace and return their paths.

    Raises: Down when they cannot be written
    """
    paths = []
    for name, schema in json_schemas().items():
        path = root / "schema" / name
        write_whole(path, schema_bytes(schema), mode=0o644)
        paths.append(path)
    return tuple(paths)


def schema_bytes(schema: Mapping[str, Any]) -> bytes:
    """As it stands in its file."""
    return (json.dumps(schema, indent=2, ensure_ascii=False) + "\n").encode()


def _schema(shape: type[Shape]) -> dict[str, Any]:
    schema: dict[str, Any] = _tidy(shape.model_json_schema(by_alias=True))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _tidy(node: Any) -> Any:
    """Without machine-made titles, empty defaults, and choices of "or nothing"."""
    if isinstance(node, list):
        return [_tidy(child) for child in node if child != {"type": "null"}]
    if not isinstance(node, dict):
        return node
    tidy = {key: _tidy(value) for key, value in node.items() if not _says_nothing(key, value)}
    if len(tidy.get("anyOf", ())) == 1:
        tidy |= tidy.pop("anyOf")[0]
    return tidy


def _says_nothing(key: str, value: Any) -> bool:
    return (key == "title" and isinstance(value, str)) or (
        key == "default" and value in ("", None, [], {})
    )
