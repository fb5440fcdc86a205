"""deliver resolve, deliver allow: what only a person can decide; what a stop calls back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from tests.door import ISSUE, THURSDAY, Door
from tests.fake_sendgrid import KEY, FakeSendGrid, Fault


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


def test_deliver_allow_went_out_sends_nothing_and_counts_it_as_sent(approved: Door) -> None:
    approved.now = THURSDAY
    run_sql(approved, f"INSERT INTO meta VALUES ('restored_at', '{THURSDAY}')")
    assert f"asterism deliver allow {ISSUE} --went-out" in approved("deliver").out
    copies = states(approved)["planned"]
    said = approved("--as", "henrik", "deliver", "allow", ISSUE, "--went-out")
    assert (
        said.out
        == f"{ISSUE} is sent: {copies} copies count as sent at its time, and nothing leaves.\n"
    )
    assert "Nothing is waiting" in approved("deliver").out
    assert not list(approved.folder.rglob("*.eml"))
    assert states(approved)["accepted"] == copies
    told = approved("explain", "issue", ISSUE).out
    assert "henrik said that it went out before the restore" in told
    assert approved("status").code == 0


def test_deliver_allow_went_out_again_changes_nothing(approved: Door) -> None:
    approved.now = THURSDAY
    run_sql(approved, f"INSERT INTO meta VALUES ('restored_at', '{THURSDAY}')")
    copies = states(approved)["planned"]
    first = approved.ask("deliver", "allow", ISSUE, "--went-out")
    assert first == {"issue": ISSUE, "changed": True, "copies": copies}
    before = approved.state()
    again = approved.ask("deliver", "allow", ISSUE, "--went-out")
    assert again == {"issue": ISSUE, "changed": False, "copies": 0}
    said = approved("deliver", "allow", ISSUE, "--went-out").out
    assert said == f"{ISSUE} is sent; nothing was changed.\n"
    assert approved.state() == before


def test_deliver_allow_went_out_of_what_was_approved_after_the_backup(curated: Door) -> None:
    curated.now = THURSDAY
    run_sql(curated, f"INSERT INTO meta VALUES ('restored_at', '{THURSDAY}')")
    said = curated("deliver", "allow", ISSUE, "--went-out", code=4)
    assert "the backup does not know who was to get it" in said.err
    assert f"asterism issue approve {ISSUE}" in said.err
    curated("--as", "henrik", "issue", "approve", ISSUE, "--clear", "6")
    assert "held since the restore" in curated("deliver").out
    assert f"{ISSUE} is sent" in curated("deliver", "allow", ISSUE, "--went-out").out
    assert not list(curated.folder.rglob("*.eml"))


# ── what a stop calls back ───────────────────────────────────────────────────────────────


@pytest.fixture
def sendgrid(approved: Door, tmp_path: Path) -> Iterator[FakeSendGrid]:
    """The letters are with SendGrid, in its sandbox: a pretended time sends no real ones."""
    with FakeSendGrid(tmp_path / "sendgrid", at=datetime.fromisoformat(THURSDAY)) as fake:
        approved.environment |= {
            "ASTERISM_TRANSPORT": "sendgrid", "ASTERISM_SENDGRID_KEY": KEY,
            "ASTERISM_SENDGRID_URL": fake.url, "ASTERISM_SENDGRID_SANDBOX": "yes",
        }  # fmt: skip
        approved.now = THURSDAY
        approved("deliver")
        yield fake


def test_issue_stop_calls_back_what_sendgrid_has(approved: Door, sendgrid: FakeSendGrid) -> None:
    copies = states(approved)["accepted"]
    said = approved("issue", "stop", ISSUE, "--reason", "a name is wrong").out.splitlines()
    assert said == [
        f"Stopped {ISSUE}: 0 copies held back, {copies} asked back from sendgrid.",
        f"{copies} copies are called back, and do not leave.",
        f"To go on: asterism issue approve {ISSUE}",
    ]
    assert states(approved) == {"withheld": copies}
    assert [status for _, status, _, _ in sendgrid.requests("hold")] == [201]
    before = approved.state()
    assert "nothing is to stop" in approved("issue", "stop", ISSUE, code=4).err
    assert "Nothing is waiting" in approved("deliver").out
    assert approved.state() == before
    told = approved("explain", "issue", ISSUE).out
    assert "asked for copies back" in told
    assert "stopped" in approved("issue", "list").out


def test_issue_stop_says_what_does_not_come_back(approved: Door, sendgrid: FakeSendGrid) -> None:
    copies = states(approved)["accepted"]
    sendgrid.script(Fault("status_before", on="hold", status=400))
    said = approved("issue", "stop", ISSUE).out
    assert f"{copies} copies go out all the same: SendGrid could not be made to give" in said
    assert approved.ask("issue", "show", ISSUE)["issue"]["state"] == "sent"


def test_issue_stop_tells_a_machine_what_came_back(approved: Door, sendgrid: FakeSendGrid) -> None:
    copies = states(approved)["accepted"]
    said = approved.ask("issue", "stop", ISSUE, "--reason", "a name is wrong")
    assert said["before"] == {"state": "sent"}
    assert said["after"] == {"state": "stopped", "reason": "a name is wrong"}
    assert (said["calling_back"], said["called_back"]) == (copies, copies)


def test_deliver_goes_on_asking(approved: Door, sendgrid: FakeSendGrid) -> None:
    copies = states(approved)["accepted"]
    sendgrid.script(Fault("status_before", on="hold", status=403))
    said = approved("issue", "stop", ISSUE).out
    assert f"{copies} copies could not be asked back yet: " in said
    assert "`asterism deliver` asks again" in said
    assert f"is stopped, and {copies} copies are being called back." in approved("status").out
    assert "being called back" in approved("--as", "henrik", "issue", "approve", ISSUE, code=4).err
    assert approved("deliver").out == f"{copies} copies are called back, and do not leave.\n"
    assert approved.ask("issue", "show", ISSUE)["issue"]["state"] == "stopped"


def test_deliver_says_what_a_restore_holds_back(approved: Door) -> None:
    """By where it stands, and not by the words that tell why."""
    approved.now = THURSDAY
    run_sql(
        approved,
        "INSERT INTO meta (name, value) VALUES ('restored_at', '2026-11-30T08:00:00+00:00')",
    )
    (held,) = approved.ask("deliver")["issues"]
    assert held["held"] is True
    assert f"asterism deliver allow {ISSUE}" in approved("deliver").out
