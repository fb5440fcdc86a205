"""deliver resolve, deliver allow: what only a person can decide."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.door import ISSUE, THURSDAY, Door


def run_sql(door: Door, *statements: str) -> None:
    with closing(door.database()) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


def states(door: Door) -> dict[str, int]:
    with closing(door.database()) as database:
        return dict(database.execute("SELECT state, count(*) FROM deliveries GROUP BY state"))


@pytest.fixture
def doubtful(sent: Door) -> Door:
    """Two copies were being sent when somebody died; nobody knows of them."""
    run_sql(
        sent,
        "UPDATE deliveries SET state = 'unknown', reason = 'a run died while sending it' "
        "WHERE id IN (SELECT id FROM deliveries WHERE purpose = 'letter' ORDER BY id LIMIT 2)",
        "UPDATE issues SET state = 'partly_sent', reason = '2 unknown' WHERE state = 'sent'",
    )
    return sent


def test_deliver_resolve_says_when_nothing_is_in_doubt(sent: Door) -> None:
    before = sent.state()
    assert sent("deliver", "resolve").out == "No copy is in doubt.\n"
    assert sent.ask("deliver", "resolve") == []
    assert "nothing was changed" in sent("deliver", "resolve", ISSUE, "--sent").out
    assert sent.state() == before


def test_deliver_resolve_lists_doubts_with_what_settles_them(doubtful: Door) -> None:
    before = doubtful.state()
    said = doubtful("deliver", "resolve")
    assert "Of 2 copies nobody knows whether it went out:" in said.out
    assert "a run died while sending it" in said.out
    assert f"asterism deliver resolve {ISSUE} --sent" in said.out
    assert f"asterism deliver resolve {ISSUE} --not-sent" in said.out
    listed = doubtful.ask("deliver", "resolve", ISSUE)
    assert [one["issue_ref"] for one in listed] == [ISSUE, ISSUE]
    assert all("…@" in one["address"] for one in listed)
    assert doubtful.state() == before


def test_deliver_resolve_of_what_was_sent_closes_the_issue(doubtful: Door) -> None:
    copies = states(doubtful)
    said = doubtful("--as", "henrik", "deliver", "resolve", ISSUE, "--sent")
    assert said.out.splitlines() == ["2 copies counted as sent.", f"{ISSUE} is sent."]
    assert states(doubtful)["accepted"] == copies["accepted"] + 2
    told = doubtful("explain", "issue", ISSUE).out
    assert "henrik decided on copies in doubt" in told


def test_deliver_resolve_again_changes_nothing(doubtful: Door) -> None:
    doubtful("deliver", "resolve", ISSUE, "--sent")
    before = doubtful.state()
    assert "nothing was changed" in doubtful("deliver", "resolve", ISSUE, "--sent").out
    assert doubtful.state() == before


def test_deliver_resolve_of_what_was_not_sent_goes_with_the_next_run(doubtful: Door) -> None:
    one, _ = doubtful.ask("deliver", "resolve")
    resolved = doubtful.ask("deliver", "resolve", one["copy"][:8], "--not-sent")
    assert resolved == {
        "outcome": "not_sent", "copies": 1, "planned": 1, "withheld": 0,
        "issues": [[ISSUE, "sending"]],
    }  # fmt: skip
    doubtful("deliver", "resolve", "--all", "--sent")
    assert f"{ISSUE}: sent. 1 accepted" in doubtful("deliver").out
    assert "unknown" not in states(doubtful)


def test_deliver_allow_lets_go_what_was_due_before_a_restore(approved: Door) -> None:
    approved.now = THURSDAY
    run_sql(approved, f"INSERT INTO meta VALUES ('restored_at', '{THURSDAY}')")
    said = approved("deliver")
    assert f"{ISSUE}: scheduled. held since the restore of 2026-11-19 07:31 UTC" in said.out
    assert f"asterism deliver allow {ISSUE}" in said.out
    assert not list(approved.folder.rglob("*.eml"))
    waits = approved("status").out
    assert f"asterism deliver allow {ISSUE}" in waits
    assert f"asterism issue stop {ISSUE}" in waits

    allowed = approved("--as", "henrik", "deliver", "allow", ISSUE)
    assert f"{ISSUE} may go out: asterism deliver" in allowed.out
    assert f"{ISSUE}: sent." in approved("deliver").out
    assert "henrik let it go after the restore" in approved("explain", "issue", ISSUE).out


def test_deliver_allow_again_changes_nothing(approved: Door) -> None:
    approved.now = THURSDAY
    run_sql(approved, f"INSERT INTO meta VALUES ('restored_at', '{THURSDAY}')")
    assert approved.ask("deliver", "allow", ISSUE) == {"issue": ISSUE, "changed": True}
    before = approved.state()
    assert approved.ask("deliver", "allow", ISSUE) == {"issue": ISSUE, "changed": False}
    assert approved.state() == before
