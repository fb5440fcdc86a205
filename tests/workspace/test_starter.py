"""A new workspace: whole, right, and never over somebody's files."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from pipeline.errors import BadInput, Conflict, Down
from pipeline.stores.engine import make_room
from pipeline.workspace.environment import load_settings, read_env
from pipeline.workspace.files import FileWorkspace
from pipeline.workspace.starter import init

ROOT = Path(__file__).parents[2]


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes()
            for p in folder.rglob("*") if p.is_file()}  # fmt: skip


def test_a_new_workspace_is_right_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "new"
    written = init(folder)
    assert {p.relative_to(folder).as_posix() for p in written} == set(contents(folder))
    catalog = FileWorkspace(folder).catalog()
    assert [n.mode for c in catalog.constellations for n in c.newsletters] == [
        "curated", "automatic",
    ]  # fmt: skip
    assert len(catalog.sources) == 10
    assert load_settings(folder, {}).secret == read_env(folder)["ASTERISM_SECRET"].encode()


def test_the_starter_names_companies_but_no_people_of_theirs() -> None:
    catalog = FileWorkspace(ROOT).catalog()
    (constellation,) = catalog.constellations
    assert 12 <= len(constellation.accounts) <= 20
    assert {account.relationship for account in constellation.accounts} == {"prospect"}
    assert all(account.domain and account.aliases for account in constellation.accounts)
    assert all(s.address.endswith(".example") for s in catalog.firm.staff)
    weekly, monthly = constellation.newsletters
    assert monthly.recap_of == weekly.key
    text = (ROOT / "constellations" / "power-tools.yaml").read_text("utf-8")
    assert not re.search(r"\S@\S", text)


def test_each_workspace_has_a_secret_of_its_own(tmp_path: Path) -> None:
    init(tmp_path / "a")
    init(tmp_path / "b")
    one, other = (read_env(tmp_path / name)["ASTERISM_SECRET"] for name in "ab")
    assert one != other
    assert len(one) >= 32
    assert stat.S_IMODE((tmp_path / "a" / ".env").stat().st_mode) == 0o600
    assert b"ASTERISM_SECRET=\n" in (tmp_path / "a" / ".env.example").read_bytes()


def test_the_folder_that_a_service_writes_to_is_there_and_empty(tmp_path: Path) -> None:
    """With the rights that opening a database gives it."""
    init(tmp_path / "new")
    init(tmp_path / "other")
    output = tmp_path / "new" / "output"
    assert list(output.iterdir()) == []
    (tmp_path / "other" / "output").rmdir()
    load_settings(tmp_path / "other", {})
    make_room(f"sqlite:///{tmp_path / 'other' / 'output' / 'asterism.db'}")
    assert output.stat().st_mode == (tmp_path / "other" / "output").stat().st_mode


def test_an_output_that_is_there_stays_and_a_file_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "a" / "output").mkdir(parents=True)
    (tmp_path / "a" / "output" / "asterism.db").write_text("mine")
    init(tmp_path / "a")
    assert (tmp_path / "a" / "output" / "asterism.db").read_text() == "mine"
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "output").write_text("mine")
    with pytest.raises(Conflict, match="output"):
        init(tmp_path / "b")
    assert contents(tmp_path / "b") == {"output": b"mine"}


def test_git_ignores_what_is_secret_or_written(tmp_path: Path) -> None:
    init(tmp_path)
    assert {"/output/", "/.env"} <= set((tmp_path / ".gitignore").read_text().splitlines())


@pytest.mark.parametrize("name", ["firm.yaml", "constellations/power-tools.yaml", ".env"])
def test_a_file_in_the_way_is_named_and_nothing_is_touched(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    with pytest.raises(Conflict, match=re.escape(name)):
        init(tmp_path)
    assert contents(tmp_path) == {name: b"mine"}


def test_other_files_are_not_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    init(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine")
    with pytest.raises(BadInput, match="is a file"):
        init(tmp_path / "x")


def test_what_cannot_be_finished_is_taken_away_again(tmp_path: Path) -> None:
    """A link that leads nowhere: its folder cannot be made, half-way through."""
    (tmp_path / "templates").symlink_to(tmp_path / "nowhere")
    with pytest.raises(Down):
        init(tmp_path)
    assert contents(tmp_path) == {}
