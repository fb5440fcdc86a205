"""curate: export, import, keep, remove, drop, write, undo, note, vouch."""

from __future__ import annotations

from typing import Any

import pytest

from tests.door import CONSTELLATION, ISSUE, Door


def in_issue(door: Door) -> dict[str, Any]:
    """Story id → its snippet, of what stands in the issue."""
    shown = door.ask("issue", "show", ISSUE)["stories"]
    return {one["snippet"]["story_public_id"]: one["snippet"] for one in shown}


def candidate(door: Door) -> str:
    """A story of the pool that stands in no issue."""
    pool = door.ask("stories", CONSTELLATION, "--limit", "100")[CONSTELLATION]
    kept = in_issue(door)
    return next(
        one["story"]["public_id"]
        for one in pool
        if one["state"] == "open" and one["story"]["public_id"] not in kept
    )


def test_curate_export_writes_a_file_to_edit(opened: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(opened.folder)
    said = opened("curate", "export", ISSUE)
    assert "asterism curate import under-load-1.md" in said.out
    text = opened.path("under-load-1.md").read_text(encoding="utf-8")
    assert f"[issue: {ISSUE} " in text
    assert "Tarnholm prints a date on its battery" in text
    assert opened("curate", "export", ISSUE, "-o", "-").out == text, "and it can be printed"


def test_curate_export_again_spares_the_words_that_are_there(opened: Door) -> None:
    path = opened.path("mine.md")
    path.write_text("my words", encoding="utf-8")
    refused = opened("curate", "export", ISSUE, "-o", str(path), code=4)
    assert "--overwrite" in refused.err
    assert path.read_text(encoding="utf-8") == "my words"
    opened("curate", "export", ISSUE, "-o", str(path), "--overwrite")
    assert f"[issue: {ISSUE} " in path.read_text(encoding="utf-8")


def test_curate_import_takes_a_file_back(opened: Door) -> None:
    curated = str(opened.path("curated/under-load-1.md"))
    before = opened.state()
    counted = opened("curate", "import", curated, "--dry-run")
    assert "Would be" in counted.out
    assert opened.state() == before
    done = opened.ask("--as", "maren", "curate", "import", curated)
    assert (done["applied"], done["notes"], done["dropped"]) == (True, 1, 1)
    assert len(in_issue(opened)) == 10


def test_curate_import_again_changes_nothing(curated: Door) -> None:
    before = curated.state()
    said = curated(
        "--as", "maren", "curate", "import", str(curated.path("curated/under-load-1.md"))
    )
    assert "nothing to change" in said.out
    assert curated.state() == before


def test_curate_keep_puts_a_story_in(opened: Door) -> None:
    story = candidate(opened)
    said = opened("curate", "keep", ISSUE, story[:8])
    assert f"in {ISSUE}" in said.out
    assert in_issue(opened)[story]["section"] == "main"
    other = candidate(opened)
    kept = opened.ask("curate", "keep", ISSUE, other, "--noted")
    assert (kept["snippet"]["story_public_id"], kept["snippet"]["section"]) == (other, "noted")


def test_curate_keep_again_keeps_it_once(opened: Door) -> None:
    story = candidate(opened)
    opened("curate", "keep", ISSUE, story)
    before = in_issue(opened)
    opened("curate", "keep", ISSUE, story)
    assert in_issue(opened) == before


def test_curate_remove_takes_it_out_and_keeps_the_words(curated: Door) -> None:
    story, snippet = next(iter(in_issue(curated).items()))
    said = curated("curate", "remove", ISSUE, story)
    assert f"is out of {ISSUE}" in said.out
    assert story not in in_issue(curated)
    curated("curate", "keep", ISSUE, story)
    assert in_issue(curated)[story]["take"] == snippet["take"]


def test_a_step_tells_a_machine_what_it_changed(opened: Door) -> None:
    story, kept = next(iter(in_issue(opened).items()))
    about = {"story": story, "title": kept["title"]}
    write = ("--as", "maren", "curate", "write", ISSUE, story, "--take", "Ours.", "--question", "")
    assert opened.ask(*write) == about | {
        "issue": ISSUE, "changed": True, "before": {"take": ""}, "after": {"take": "Ours."},
        "revision": 2,
    }  # fmt: skip
    same = about | {"issue": ISSUE, "changed": False, "before": {}, "after": {}, "revision": 2}
    assert opened.ask(*write) == same
    undone = opened.ask("--as", "maren", "curate", "undo")
    assert undone.pop("at").startswith("2026-11-18T08:00")
    assert undone == about | {
        "verb": "edit", "issue": ISSUE, "changes": [f"“{kept['title']}”: Our take written"],
    }  # fmt: skip
    assert opened.ask("curate", "remove", ISSUE, story) == about | {
        "issue": ISSUE, "changed": True, "before": {"section": "main"}, "after": {"section": ""},
        "revision": 1,
    }  # fmt: skip
    drop = ("--as", "maren", "curate", "drop", CONSTELLATION, story)
    assert opened.ask(*drop) == about | {
        "issue": "", "changed": True, "before": {"dropped_by": ""},
        "after": {"dropped_by": "maren"}, "revision": 1,
    }  # fmt: skip
    assert opened.ask(*drop)["changed"] is False
    assert "was dropped already" in opened(*drop).out


def test_vouching_tells_a_machine_what_it_changed(opened: Door) -> None:
    note = opened.ask("curate", "note", CONSTELLATION, "--title", "Grey packs", "--text", "x")
    vouch = ("curate", "vouch", note["public_id"], "--public")
    said = opened.ask(*vouch)
    assert (said["before"], said["after"]) == ({"public": False}, {"public": True})
    assert opened.ask(*vouch)["changed"] is False


def test_curate_remove_again_says_that_it_is_not_there(curated: Door) -> None:
    story = next(iter(in_issue(curated)))
    curated("curate", "remove", ISSUE, story)
    before = curated.state()
    said = curated("curate", "remove", ISSUE, story, code=3)
    assert ISSUE in said.err
    assert curated.state() == before


def test_curate_drop_takes_it_out_of_the_pool(opened: Door) -> None:
    story = candidate(opened)
    said = opened("--as", "maren", "curate", "drop", CONSTELLATION, story)
    assert "asterism curate undo" in said.out
    pool = opened.ask("stories", CONSTELLATION, "--limit", "100")[CONSTELLATION]
    assert [one["state"] for one in pool if one["story"]["public_id"] == story] == ["dropped"]


def test_curate_drop_again_is_no_second_step_to_undo(opened: Door) -> None:
    story = candidate(opened)
    opened("--as", "maren", "curate", "drop", CONSTELLATION, story)
    before = opened.state()
    opened("--as", "maren", "curate", "drop", CONSTELLATION, story)
    assert opened.state() == before


def test_curate_write_saves_words_and_reads_them_from_a_pipe(opened: Door) -> None:
    story = next(iter(in_issue(opened)))
    said = opened("curate", "write", ISSUE, story, "--take", "-", "--question", "Why?",
                  stdin="Long\n\nthought.\n")  # fmt: skip
    assert "Saved" in said.out
    written = in_issue(opened)[story]
    assert (written["take"], written["question"]) == ("Long\n\nthought.", "Why?")


def test_curate_write_again_writes_nothing(opened: Door) -> None:
    story = next(iter(in_issue(opened)))
    opened("curate", "write", ISSUE, story, "--take", "Once.")
    before = opened.state()
    opened("curate", "write", ISSUE, story, "--take", "Once.")
    assert opened.state() == before


def test_curate_undo_takes_back_the_last_step(opened: Door) -> None:
    story = next(iter(in_issue(opened)))
    before = in_issue(opened)[story]["take"]
    opened("--as", "maren", "curate", "write", ISSUE, story, "--take", "First.")
    said = opened("--as", "maren", "curate", "undo")
    assert said.out.startswith("Taken back: ")
    assert in_issue(opened)[story]["take"] == before


def test_curate_undo_again_takes_back_the_one_before(opened: Door) -> None:
    story = next(iter(in_issue(opened)))
    opened("--as", "maren", "curate", "write", ISSUE, story, "--take", "First.")
    opened("--as", "maren", "curate", "write", ISSUE, story, "--take", "Second.")
    opened("--as", "maren", "curate", "undo")
    assert in_issue(opened)[story]["take"] == "First."
    opened("--as", "maren", "curate", "undo")
    assert in_issue(opened)[story]["take"] == ""
    said = opened("--as", "maren", "curate", "undo", code=3)
    assert "nothing that maren could take back" in said.err


def test_curate_undo_of_a_note_makes_it_gone(opened: Door) -> None:
    note = opened.ask("--as", "maren", "curate", "note", CONSTELLATION, "--title", "Grey packs",
                      "--text", "x", "--public")["public_id"]  # fmt: skip
    said = opened("--as", "maren", "curate", "undo")
    assert "the field note “Grey packs”" in said.out
    before = opened.state()
    for step in (
        ("keep", ISSUE, note),
        ("drop", CONSTELLATION, note),
        ("write", ISSUE, note, "--take", "x"),
        ("vouch", note, "--public"),
    ):
        refused = opened("curate", *step, code=3)
        assert "The field note “Grey packs” was taken back." in refused.err
        assert f"asterism explain story {note[:8]}" in refused.err
    assert opened.state() == before
    explained = opened("explain", "story", note).out
    assert "took it back later" in explained
    assert "it stands in no pool" in explained


def test_curate_note_enters_the_pool_and_says_what_is_missing(opened: Door) -> None:
    said = opened("curate", "note", CONSTELLATION, "--title", "Grey packs", "--text", "-",
                  stdin="On every second hook.")  # fmt: skip
    assert "until that is said it enters no issue" in said.out
    assert "--learnt-from ACCOUNT" in said.out
    story = opened.ask("curate", "note", CONSTELLATION, "--title", "Grey boxes", "--text",
                       "In the yard.", "--learnt-from", "tarnholm")  # fmt: skip
    assert (story["kind"], story["title"]) == ("note", "Grey boxes")
    pool = opened.ask("stories", CONSTELLATION, "--limit", "100")[CONSTELLATION]
    assert {"Grey packs", "Grey boxes"} <= {one["story"]["title"] for one in pool}


def test_curate_note_again_is_the_same_note(opened: Door) -> None:
    note = ("curate", "note", CONSTELLATION, "--title", "Grey packs", "--text", "x", "--public")
    first = opened.ask("--as", "maren", *note)
    before = opened.state()
    assert opened.ask("--as", "maren", *note)["public_id"] == first["public_id"]
    assert opened.state() == before


def test_curate_vouch_lets_a_note_into_an_issue(opened: Door) -> None:
    note = opened.ask("curate", "note", CONSTELLATION, "--title", "Grey packs", "--text", "x")
    refused = opened("curate", "keep", ISSUE, note["public_id"], code=4)
    assert "curate vouch" in refused.err
    said = opened("curate", "vouch", note["public_id"][:8], "--public")
    assert "may now enter an issue" in said.out
    opened("curate", "keep", ISSUE, note["public_id"])
    assert note["public_id"] in in_issue(opened)


def test_curate_vouch_again_changes_nothing(opened: Door) -> None:
    note = opened.ask("curate", "note", CONSTELLATION, "--title", "Grey packs", "--text", "x")
    opened("--as", "maren", "curate", "vouch", note["public_id"], "--public")
    before = opened.state()
    opened("--as", "maren", "curate", "vouch", note["public_id"], "--public")
    assert opened.state() == before
