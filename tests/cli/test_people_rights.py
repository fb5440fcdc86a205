"""people: imports, undo-import, suppress by scope, lift, export, erase; and report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_people import INGRID, PAUL
from tests.door import CONSTELLATION, Door

MONTH = "2026-11"


def state_of(door: Door, who: str = INGRID) -> object:
    return door.ask("people", "show", who)


# ── files ────────────────────────────────────────────────────────────────────────────────


def test_people_imports_lists_what_was_brought_in(gathered: Door) -> None:
    said = gathered("people", "imports").out
    assert "people.csv" in said
    assert "new" in said
    (record,) = gathered.ask("people", "imports")
    assert (record["name"], record["undone_at"]) == ("people.csv", None)


def test_people_imports_again_writes_nothing(gathered: Door) -> None:
    before = gathered.state()
    assert gathered("people", "imports").out == gathered("people", "imports").out
    assert gathered.state() == before


def test_people_imports_of_an_empty_workspace_says_what_to_do(made: Door) -> None:
    assert "asterism people import FILE" in made("people", "imports").out


def test_people_undo_import_says_first_and_asks(gathered: Door) -> None:
    before = gathered.state()
    looked = gathered("people", "undo-import", "--dry-run")
    assert "Nothing is changed yet. To do it: asterism people undo-import" in looked.out
    assert "brought in by it: removed" in looked.out
    assert gathered("people", "undo-import", code=130, stdin="n\n").err.count("Take it back?")
    assert gathered.state() == before
    done = gathered("people", "undo-import", stdin="y\n")
    assert "Opt-outs that it brought stay" in done.out
    assert done.out.endswith("Taken back.\n")
    assert gathered.ask("people", "list") == []
    assert "undone" in gathered("people", "imports").out


def test_people_undo_import_passes_over_what_changed_nobody(gathered: Door) -> None:
    people = gathered.path("people.csv").read_bytes()
    gathered.path("again.csv").write_bytes(people)
    gathered("people", "import", str(gathered.path("again.csv")))
    said = gathered("people", "undo-import", stdin="y\n").out
    assert "Brought in later, and changed nobody: again.csv. The latest that did:" in said
    assert "people.csv, brought in" in said
    assert said.endswith("Taken back.\n")


def test_people_undo_import_that_does_not_ask_says_that_it_did(gathered: Door) -> None:
    done = gathered("people", "undo-import", "--yes")
    assert "brought in by it: removed" in done.out
    assert done.out.endswith("Taken back.\n")


def test_people_undo_import_for_a_machine_asks_as_well(gathered: Door) -> None:
    before = gathered.state()
    said = gathered("people", "undo-import", "--json", code=130, stdin="n\n")
    assert "people.csv, brought in" in said.err
    assert said.out == ""
    assert gathered.state() == before
    assert gathered.ask("people", "undo-import", "--dry-run")["applied"] is False
    said = gathered("people", "undo-import", "--json", stdin="y\n")
    assert said.json["applied"]


def test_people_undo_import_again_is_refused(gathered: Door) -> None:
    done = gathered.ask("people", "undo-import", "people.csv", "--yes")
    assert done["applied"]
    assert done["counts"]["removed"] == 24
    before = gathered.state()
    said = gathered("people", "undo-import", "people.csv", "--yes", code=4)
    assert "was undone on" in said.err
    assert gathered.state() == before


# ── no more letters, and a mistake ───────────────────────────────────────────────────────


def test_people_suppress_takes_a_scope_and_a_reason_in_words(gathered: Door) -> None:
    gathered("people", "suppress", INGRID, "--scope", "under-load", "--reason", "said so by phone")
    said = gathered("people", "show", INGRID).out
    assert "no mail (under-load): asked" in said
    assert "said so by phone" in said
    gathered("people", "suppress", INGRID, "--scope", "all")
    scopes = {one["scope"] for one in gathered.ask("people", "show", INGRID)["suppressions"]}
    assert scopes == {"*", "under-load"}


def test_people_lift_takes_back_a_mistake_and_keeps_its_evidence(gathered: Door) -> None:
    gathered("people", "suppress", INGRID, "--reason", "her namesake asked")
    said = gathered(
        "--as", "henrik", "people", "lift", INGRID, "--evidence", "it was Inge, see mail"
    )
    assert "Ingrid Sæther may get letters again" in said.out
    assert gathered.ask("people", "show", INGRID)["suppressions"] == []
    explained = gathered("explain", "contact", INGRID, "--all").out
    assert "evidence: it was Inge, see mail" in explained


def test_people_lift_again_finds_nothing(gathered: Door) -> None:
    gathered("people", "suppress", INGRID)
    lift = ("--as", "henrik", "people", "lift", INGRID, "--evidence", "a slip")
    assert gathered.ask(*lift)["changed"]
    before = gathered.state()
    assert "Nothing keeps every letter from Ingrid" in gathered(*lift, code=4).err
    assert gathered.state() == before


@pytest.mark.parametrize(
    ("actor", "who", "words"),
    [
        ("maren", INGRID, "Only the approver lifts a suppression"),
        ("henrik", PAUL, "by a word that is not ours: on a list of those who left"),
    ],
)
def test_people_lift_is_not_for_everybody(gathered: Door, actor: str, who: str, words: str) -> None:
    gathered("people", "suppress", INGRID)
    before = gathered.state()
    said = gathered("--as", actor, "people", "lift", who, "--evidence", "I think so", code=4)
    assert words in said.err
    assert gathered.state() == before


# ── what we know, and to be forgotten ────────────────────────────────────────────────────


def test_people_export_is_a_document_for_the_person(to_read: Door, tmp_path: Path) -> None:
    before = to_read.state()
    document = json.loads(to_read("people", "export", INGRID).out)
    assert [one["title"] for one in document["sections"]][:1] == ["Who you are to us"]
    assert "Everything that" in document["about"]["what this is"]
    file = tmp_path / "ingrid.json"
    said = to_read("people", "export", INGRID, "-o", str(file))
    assert "Look through it before it leaves the house" in said.out
    assert json.loads(file.read_text(encoding="utf-8"))["sections"] == document["sections"]
    assert file.stat().st_mode & 0o077 == 0
    assert PAUL not in file.read_text(encoding="utf-8")
    assert to_read.state() == before


def test_people_export_again_is_the_same(to_read: Door) -> None:
    assert to_read("people", "export", INGRID).out == to_read("people", "export", INGRID).out


def test_people_erase_asks_and_then_forgets(sent: Door) -> None:
    before = sent.state()
    asked = sent("people", "erase", INGRID, code=130, stdin="n\n")
    assert "Ingrid Sæther, " in asked.err
    assert "Erasing cannot be undone." in asked.err
    assert sent.state() == before
    said = sent("people", "erase", INGRID, "--reason", "asked by mail", stdin="y\n")
    assert "Backups still hold this person" in said.out
    assert INGRID not in said.out
    left = [
        path
        for path in sent.path("output").rglob("*")
        if path.is_file() and INGRID in path.read_text(encoding="utf-8", errors="ignore")
        and not path.name.startswith("asterism.db")
    ]  # fmt: skip
    assert left == []
    sent("people", "show", INGRID, code=3)
    assert INGRID not in sent("people", "list").out
    again = sent.ask("people", "import", str(sent.path("people.csv")))
    assert again["new"] == 0


def test_people_erase_again_was_done_already(sent: Door) -> None:
    first = sent.ask("people", "erase", INGRID, "--yes")
    assert (first["already"], len(first["public_id"])) == (False, 26)
    before = sent.state()
    for who in (INGRID, first["public_id"]):
        assert "Erased already" in sent("people", "erase", who).out
    assert sent.state() == before
    shown = sent("people", "show", first["public_id"]).out
    assert "Somebody who was erased" in shown
    assert "erased on 2026-11-19" in shown
    assert sent.ask("explain", "contact", first["public_id"])


# ── the month ────────────────────────────────────────────────────────────────────────────


def test_report_writes_a_page_and_a_table(sent: Door) -> None:
    said = sent("report", CONSTELLATION, "--month", MONTH).out
    folder = sent.path("output") / "reports" / MONTH
    assert f"Open {folder / 'index.html'}" in said
    page = (folder / f"{CONSTELLATION}.html").read_text(encoding="utf-8")
    assert "November 2026" in page
    assert (folder / f"{CONSTELLATION}.csv").read_text(encoding="utf-8-sig").startswith("month,")
    (covered,) = sent.ask("coverage", CONSTELLATION, "--month", MONTH)
    (report,) = sent.ask("report", CONSTELLATION, "--month", MONTH)["reports"]
    assert report["coverage"] == covered


def test_report_again_changes_nothing(sent: Door) -> None:
    sent("report")
    before = sent.state()
    sent("report")
    assert sent.state() == before
