"""issue: open, list, show, audience, write, preview, approve, stop; deliver."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.door import ISSUE, THURSDAY, Door

INGRID = "ingrid.saether@tarnholm.example"


def head(door: Door) -> dict[str, str]:
    issue = door.ask("issue", "show", ISSUE)["issue"]
    return {name: issue[name] for name in ("subject", "preheader", "theme", "opening")}


def test_issue_open_says_what_is_open_and_what_is_next(gathered: Door) -> None:
    said = gathered("issue", "open")
    assert f"Opened {ISSUE}, due Thu 19 Nov 2026 07:30." in said.out
    assert "(Europe/London)" in said.out
    assert f"Next: asterism curate export {ISSUE}" in said.out
    assert gathered.ask("issue", "show", ISSUE)["stories"], "it is pre-filled"


def test_issue_open_speaks_to_a_machine(gathered: Door) -> None:
    (issue,) = gathered.ask("issue", "open")["opened"]
    assert (issue["newsletter_key"], issue["number"]) == ("under-load", 1)
    assert issue["due_at"] == "2026-11-19T07:30:00+00:00"


def test_issue_open_again_opens_nothing(opened: Door) -> None:
    before = opened.state()
    assert "No new issue: no beat is near that has none yet" in opened("issue", "open").out
    assert opened.ask("issue", "open")["opened"] == []
    assert opened.state() == before


def test_issue_list_names_each_with_its_state(to_read: Door) -> None:
    assert "under-load/1  sent  Thu 19 Nov 2026" in to_read("issue", "list").out
    (issue,) = to_read.ask("issue", "list", "under-load")
    assert (issue["state"], issue["beat_on"]) == ("sent", "2026-11-19")
    assert "No issues yet" in to_read("issue", "list", "under-load-month").out


def test_issue_list_again_is_the_same(to_read: Door) -> None:
    before = to_read.state()
    assert to_read("issue", "list").out == to_read("issue", "list").out
    assert to_read.state() == before


def test_issue_show_tells_what_is_missing_and_who_gets_it(curated: Door) -> None:
    said = curated("issue", "show", ISSUE)
    assert "A date, a list, and a blade before seven" in said.out
    assert "learnt in confidence" in said.out
    assert "24  contacts" in said.out
    view = curated.ask("issue", "show", ISSUE)
    sum_ = view["arithmetic"]
    assert sum_["contacts"] == sum_["letters"] + sum(n for _, n in sum_["left_out"])
    assert len(view["stories"]) == 10


def test_issue_show_again_writes_nothing(curated: Door) -> None:
    before = curated.state()
    assert curated("issue", "show", ISSUE).out == curated("issue", "show", ISSUE).out
    assert curated.state() == before


def test_issue_audience_names_everyone_with_one_reason(to_read: Door) -> None:
    said = to_read("issue", "audience", ISSUE)
    assert "Piet Verhoek" in said.out
    assert "no basis" in said.out
    rows = to_read.ask("issue", "audience", ISSUE)
    assert len(rows) == 24
    assert all(bool(row["gets"]) == (row["reason"] == "in") for row in rows), rows
    out = to_read.ask("issue", "audience", ISSUE, "--out")
    assert {row["name"] for row in out} == {row["name"] for row in rows if not row["gets"]}


def test_issue_audience_again_is_the_same(to_read: Door) -> None:
    assert to_read("issue", "audience", ISSUE).out == to_read("issue", "audience", ISSUE).out


def test_issue_write_saves_the_head(opened: Door) -> None:
    said = opened("issue", "write", ISSUE, "--subject", "A date", "--theme", "Time")
    assert "subject and theme" in said.out
    assert (head(opened)["subject"], head(opened)["theme"]) == ("A date", "Time")


def test_issue_write_tells_a_machine_what_it_changed(opened: Door) -> None:
    was = head(opened)["subject"]
    write = ("issue", "write", ISSUE, "--subject", "A date")
    assert opened.ask(*write) == {
        "issue": ISSUE, "changed": True, "before": {"subject": was}, "after": {"subject": "A date"},
    }  # fmt: skip
    assert opened.ask(*write) == {"issue": ISSUE, "changed": False, "before": {}, "after": {}}
    assert "says so already" in opened(*write).out


def test_issue_write_again_writes_nothing(opened: Door) -> None:
    opened("issue", "write", ISSUE, "--subject", "A date")
    before = opened.state()
    opened("issue", "write", ISSUE, "--subject", "A date")
    assert opened.state() == before


def test_issue_preview_is_for_one_reader(curated: Door, tmp_path: Path) -> None:
    said = curated("issue", "preview", ISSUE, "--for", INGRID, "-o", str(tmp_path / "look"))
    assert "prospect edition for Ingrid Sæther" in said.out
    html, text = (Path(line.strip()) for line in said.out.splitlines()[-2:])
    assert html.read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html")
    asked = curated.ask("issue", "preview", ISSUE, "--for", INGRID)
    assert asked["text"] == text.read_text(encoding="utf-8")
    assert asked["text"] == curated("issue", "preview", ISSUE, "--for", INGRID, "--text").out


@pytest.mark.parametrize("kind", ["prospect", "customer", "sales", "public"])
def test_issue_preview_of_each_edition(curated: Door, kind: str) -> None:
    said = curated("issue", "preview", ISSUE, "--edition", kind)
    assert f"{kind} edition" in said.out
    assert all(Path(line.strip()).is_file() for line in said.out.splitlines()[-2:])


def test_issue_preview_of_who_gets_none_says_why(to_read: Door) -> None:
    said = to_read("issue", "preview", ISSUE, "--for", "piet.verhoek@nordhaken.example")
    assert "Piet Verhoek gets no copy of under-load/1: no basis." in said.out


def test_issue_preview_again_writes_the_same_files(curated: Door) -> None:
    curated("issue", "preview", ISSUE, "--for", INGRID)
    before = curated.state()
    curated("issue", "preview", ISSUE, "--for", INGRID)
    assert curated.state() == before


def test_issue_approve_freezes_and_shows_the_sum(curated: Door) -> None:
    said = curated("--as", "henrik", "issue", "approve", ISSUE, "--clear", "6")
    assert f"Approved {ISSUE}" in said.out
    assert "24  contacts" in said.out
    assert f"asterism issue stop {ISSUE}" in said.out
    assert curated.ask("issue", "show", ISSUE)["issue"]["state"] == "scheduled"


def test_issue_approve_speaks_to_a_machine(curated: Door) -> None:
    said = curated.ask("--as", "henrik", "issue", "approve", ISSUE, "--clear", "6")
    assert said["issue"]["state"] == "scheduled"
    sum_ = said["arithmetic"]
    assert sum_["contacts"] == sum_["letters"] + sum(n for _, n in sum_["left_out"])


def test_issue_approve_again_says_who_did(approved: Door) -> None:
    before = approved.state()
    said = approved("--as", "henrik", "issue", "approve", ISSUE, code=4)
    assert "was approved by henrik" in said.err
    assert approved.state() == before


def test_issue_stop_takes_it_back(approved: Door) -> None:
    said = approved("--as", "ruth", "issue", "stop", ISSUE, "--reason", "a name is wrong")
    assert "held back" in said.out
    assert f"asterism issue approve {ISSUE}" in said.out
    approved.now = THURSDAY
    approved("deliver")
    assert not list(approved.folder.rglob("*.eml"))
    issue = approved.ask("issue", "show", ISSUE)["issue"]
    assert (issue["state"], issue["reason"]) == ("stopped", "a name is wrong")


def test_issue_stop_tells_a_machine_what_it_changed(approved: Door) -> None:
    letters = approved.ask("issue", "show", ISSUE)["arithmetic"]
    assert approved.ask("issue", "stop", ISSUE, "--reason", "a name is wrong") == {
        "issue": ISSUE, "changed": True, "before": {"state": "scheduled"},
        "after": {"state": "stopped", "reason": "a name is wrong"},
        "held_back": letters["letters"] + letters["sales"], "left_already": 0,
        "calling_back": 0, "called_back": 0,
    }  # fmt: skip


def test_issue_stop_again_changes_nothing(approved: Door) -> None:
    approved("issue", "stop", ISSUE)
    before = approved.state()
    said = approved("issue", "stop", ISSUE, code=4)
    assert "stopped" in said.err
    assert approved.state() == before


def test_deliver_waits_until_it_is_due(approved: Door) -> None:
    said = approved("deliver")
    assert "Nothing is due yet; the next copies go" in said.out
    assert not list(approved.folder.rglob("*.eml"))


def test_deliver_writes_each_copy(approved: Door) -> None:
    approved.now = THURSDAY
    expected = approved.ask("issue", "show", ISSUE)["arithmetic"]
    said = approved("deliver")
    assert said.err == ""
    assert "output/mail/index.html" in said.out
    copies = len(list(approved.folder.rglob("*.eml")))
    assert copies == expected["letters"] + expected["sales"]


def test_deliver_again_sends_nothing(sent: Door) -> None:
    before = sent.state()
    assert "Nothing is waiting to go out." in sent("deliver").out
    assert sent.ask("deliver") == {
        "issues": [], "settled_doubts": 0, "next_due_at": None, "left_in_doubt": 0, "limit": "",
        "stopped": False,
        "recalled": {
            "called_back": 0, "gone": 0, "unknown": 0, "waiting": 0, "why": "", "issues": [],
        },
    }  # fmt: skip
    assert sent.state() == before


def test_issue_show_of_a_newsletter_that_left_the_files_names_its_zone(sent: Door) -> None:
    path = sent.path("constellations/power-tools.yaml")
    files = path.read_text(encoding="utf-8")
    renamed = files.replace(": under-load\n", ": over-load\n")
    assert renamed != files
    path.write_text(renamed, encoding="utf-8")
    assert "sent, due Thu 19 Nov 2026 07:30 (UTC)" in sent("issue", "show", ISSUE).out
