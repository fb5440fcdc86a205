"""The schemas that editors read are those of the shapes that check the files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from pipeline.workspace.fields import Days, Hours, Late, Review
from pipeline.workspace.schema import json_schemas, write_schemas

ROOT = Path(__file__).parents[2]


def test_the_committed_schemas_are_those_of_the_shapes() -> None:
    """When this fails, run `asterism schema` in the repository's root and commit schema/."""
    committed = {path.name: json.loads(path.read_text("utf-8")) for path in ROOT.glob("schema/*")}
    assert committed == json_schemas()


def test_every_key_of_every_file_is_described() -> None:
    for schema in json_schemas().values():
        groups = [schema, *schema.get("$defs", {}).values()]
        for group in groups:
            assert group["additionalProperties"] is False
            for name, key in group["properties"].items():
                assert key.get("description") or "$ref" in key, name


def test_defaults_are_written_as_people_write_them() -> None:
    newsletter = json_schemas()["constellation.json"]["$defs"]["NewsletterShape"]["properties"]
    assert newsletter["lead"]["default"] == "5 days"
    assert newsletter["cut_off"]["default"] == "24 h"
    for name, key in newsletter.items():
        if "default" in key and "pattern" in key:
            assert re.search(key["pattern"], key["default"]), name


#: (what is written, as the program takes it: by kind of field; None: refused)
LENGTHS = {
    "24 h": {"lead": None, "cut_off": 24, "review_window": 24, "late": 24},
    "0 h": {"lead": None, "cut_off": 0, "review_window": None, "late": None},
    "1h": {"lead": None, "cut_off": 1, "review_window": 1, "late": 1},
    "00 hours": {"lead": None, "cut_off": 0, "review_window": None, "late": None},
    "010 hours": {"lead": None, "cut_off": 10, "review_window": 10, "late": 10},
    "2 days": {"lead": 2, "cut_off": 48, "review_window": 48, "late": 48},
    "1 week": {"lead": 7, "cut_off": 168, "review_window": 168, "late": 168},
    "3 d": {"lead": 3, "cut_off": 72, "review_window": 72, "late": 72},
    "0 days": {"lead": 0, "cut_off": 0, "review_window": None, "late": None},
    "120 min": dict.fromkeys(("lead", "cut_off", "review_window", "late")),
    "1440 minutes": dict.fromkeys(("lead", "cut_off", "review_window", "late")),
    "90 min": dict.fromkeys(("lead", "cut_off", "review_window", "late")),
    "1.5 h": dict.fromkeys(("lead", "cut_off", "review_window", "late")),
    "0.5 days": dict.fromkeys(("lead", "cut_off", "review_window", "late")),
    "2.0 days": dict.fromkeys(("lead", "cut_off", "review_window", "late")),
    "soon": dict.fromkeys(("lead", "cut_off", "review_window", "late")),
}
FIELDS = {"lead": Days, "cut_off": Hours, "review_window": Review, "late": Late}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("written", LENGTHS)
def test_the_schema_takes_the_lengths_of_time_that_the_program_takes(
    written: str, field: str
) -> None:
    said = f"send within {written}" if field == "late" else written
    adapter: TypeAdapter[int] = TypeAdapter(FIELDS[field])
    expected = LENGTHS[written][field]
    assert bool(re.search(adapter.json_schema()["pattern"], said)) == (expected is not None)
    if expected is None:
        with pytest.raises(ValidationError):
            adapter.validate_python(said)
    else:
        assert adapter.validate_python(said) == expected


@pytest.mark.parametrize("name", ["firm.yaml", "feeds.yaml", "constellations/power-tools.yaml"])
def test_each_shipped_file_names_its_schema(name: str) -> None:
    first = (ROOT / name).read_text("utf-8").splitlines()[0]
    match = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert match is not None
    assert ((ROOT / name).parent / match[1]).resolve().parent == ROOT / "schema"
    assert ((ROOT / name).parent / match[1]).is_file()


def test_writing_them_again_changes_nothing(tmp_path: Path) -> None:
    first = {path: path.read_bytes() for path in write_schemas(tmp_path)}
    assert {path: path.read_bytes() for path in write_schemas(tmp_path)} == first
    assert sorted(path.relative_to(tmp_path).as_posix() for path in first) == [
        "schema/constellation.json", "schema/feeds.json", "schema/firm.json",
    ]  # fmt: skip
