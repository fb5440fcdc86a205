"""init, check, schema."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from tests.door import Door, call


def test_init_makes_a_workspace_that_check_finds_right(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "mine"
    said = call("init", str(folder))
    assert (said.code, said.err) == (0, "")
    for name in ("firm.yaml", "feeds.yaml", "constellations/", "output/", "asterism check"):
        assert name in said.out
    assert (folder / "output").is_dir()
    assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600
    secret = (folder / ".env").read_text()
    assert len(secret.split("\nASTERISM_SECRET=")[1].split("\n")[0]) >= 32
    looked = call("-C", str(folder), "check")
    assert (looked.code, looked.err) == (0, "")
    assert "Every file is right." in looked.out
    assert not (folder / "output" / "secret").exists(), "the one in .env holds"


def test_init_makes_the_sample_too(tmp_path: Path) -> None:
    assert call("init", str(tmp_path), "--sample").code == 0
    assert "Ferrier & Wick" in call("-C", str(tmp_path), "check").out


def test_init_again_touches_nothing(made: Door) -> None:
    before = made.state()
    said = call("init", str(made.folder))
    assert said.code == 4
    assert made.state() == before


def test_check_counts_what_it_read(made: Door) -> None:
    said = made("check")
    assert "Every file is right." in said.out
    assert "Ferrier & Wick: 1 constellation, 12 accounts, 7 sources, 2 newsletters" in said.out
    assert "→" in said.out, "what to do next"
    state = made.ask("check")
    assert state["firm"] == "Ferrier & Wick"
    assert state["sources"][0]["key"] == "tool-trade-weekly"


def test_check_tells_what_is_still_the_example(tmp_path: Path) -> None:
    assert call("init", str(tmp_path)).code == 0
    said = call("-C", str(tmp_path), "check")
    assert said.code == 0, "it is a warning, not a mistake"
    firm = (tmp_path / "firm.yaml").read_text(encoding="utf-8").splitlines()
    line = firm.index("name: Example & Partners") + 1
    assert f"firm.yaml:{line}:7: name: still the example's: “Example & Partners”" in said.out
    assert "at partners.example, where no reader can leave; so are contact," in said.out
    assert "→ firm.yaml still tells of the example firm" in said.out
    state = json.loads(call("-C", str(tmp_path), "check", "--json").out)
    assert state["doubts"][0]["path"] == "name"
    assert state["next"][0]["command"] == "asterism check"


def test_check_says_of_the_sample_only_that_its_domain_is_invented(made: Door) -> None:
    said = made("check")
    assert "still the example's" not in said.out
    (doubt,) = made.ask("check")["doubts"]
    assert doubt["path"] == "base_url"
    assert "where nobody is reached" in doubt["what"]


def test_check_tells_a_machine_each_mistake_too(made: Door) -> None:
    made.path("feeds.yaml").write_text("sources:\n  - key: a\n\tname: b\n", encoding="utf-8")
    said = made("check", "--json", code=2)
    told = json.loads(said.out)
    assert [(m["file"], m["line"], m["column"]) for m in told["mistakes"]] == [("feeds.yaml", 3, 1)]
    assert told["message"] in said.err, "a person who looks on reads it as well"


def test_check_again_writes_nothing(made: Door) -> None:
    before = made.state()
    assert made("check").out == made("check").out
    assert made.state() == before


def test_schema_writes_what_the_files_name(made: Door) -> None:
    for path in made.path("schema").iterdir():
        path.unlink()
    said = made("schema")
    for name in ("firm", "feeds", "constellation"):
        assert f"schema/{name}.json" in said.out
        assert json.loads(made.path(f"schema/{name}.json").read_text(encoding="utf-8"))["$schema"]


def test_schema_again_writes_the_same(made: Door) -> None:
    before = made.state()
    made("schema")
    made("schema")
    assert made.state() == before
