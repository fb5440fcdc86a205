"""The harness in small: a few kills of each kind, and proof that it sees a sender that lies.

The large run is a command: `make kill`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import in_ci
from tests.kill.__main__ import main
from tests.kill.harness import Outcome, Plan, try_plan
from tests.kill.receivers import SmtpSink

KILLS = 4
CONTACTS = 200


@pytest.mark.parametrize("transport", ["file", "smtp", "sendgrid"])
def test_killed_in_the_middle(transport: str, database_url: str, tmp_path: Path) -> None:
    """Each once, whoever dies; what nobody can know is listed, and a person settles it."""
    plan = Plan(transport, CONTACTS, KILLS, seed=20270308)
    assert try_plan(plan, database_url, tmp_path / "receiver").faults() == []


@pytest.mark.parametrize("transport", ["smtp", "sendgrid"])
def test_killed_while_lines_break(transport: str, sqlite_url: str, tmp_path: Path) -> None:
    plan = Plan(transport, CONTACTS, KILLS, seed=9, chunk=10, misbehaves=True)
    assert try_plan(plan, sqlite_url, tmp_path / "receiver").faults() == []


@pytest.mark.parametrize("transport", ["smtp", "sendgrid"])
def test_frozen_and_woken(transport: str, sqlite_url: str, tmp_path: Path) -> None:
    """A sender that slept while others took its work doubles nothing when it goes on."""
    plan = Plan(transport, 120, 1, seed=3, chunk=10, lease_s=1, freezes=True)
    assert try_plan(plan, sqlite_url, tmp_path / "receiver").faults() == []


def test_stopped_in_the_middle(database_url: str, tmp_path: Path) -> None:
    """What a stop calls back does not arrive, and once it is let go it arrives once."""
    plan = Plan("sendgrid", CONTACTS, KILLS, seed=5, stops=True)
    assert try_plan(plan, database_url, tmp_path / "receiver").faults() == []


def test_stopped_while_lines_break(sqlite_url: str, tmp_path: Path) -> None:
    plan = Plan("sendgrid", CONTACTS, KILLS, seed=6, chunk=10, misbehaves=True, stops=True)
    assert try_plan(plan, sqlite_url, tmp_path / "receiver").faults() == []


def test_killed_before_a_real_server(sqlite_url: str, tmp_path: Path) -> None:
    """Postfix's smtp-sink, which knows nothing of us, writes down what it took."""
    if SmtpSink.missing():
        assert not in_ci(), SmtpSink.missing()
        pytest.skip(SmtpSink.missing())
    plan = Plan("smtp-sink", CONTACTS, KILLS, seed=4)
    assert try_plan(plan, sqlite_url, tmp_path / "receiver").faults() == []


GOOD = Outcome(
    plan=Plan("file", 60, 1, seed=1),
    inside=1, outside=0, held=1, doubles=0, lost=0, unknown=0, listed=0, excused=0, troubles=0,
    arrived=0, heard=0, resolved=0, missing=0, issue="sent", seconds=1.0,
)  # fmt: skip


def test_each_sum_that_does_not_come_out_is_told() -> None:
    assert GOOD.faults() == []
    assert replace(GOOD, lost=1).faults() == ["1 lost"]
    assert replace(GOOD, doubles=2).faults() == ["2 doubles"]
    assert replace(GOOD, inside=0).faults() == ["0 kills inside, not 1"]
    assert replace(GOOD, held=0).faults() == ["no kill left a row in hand: it proves little"]
    assert replace(GOOD, unknown=1, listed=1, resolved=1).faults() == ["1 unknown of files"]
    assert replace(GOOD, missing=1).faults() == ["1 without exactly one copy in the end"]
    assert replace(GOOD, issue="partly_sent").faults() == ["the issue is partly_sent"]
    assert replace(GOOD, not_back=1).faults() == ["1 called back and on their way"]
    stopping = replace(GOOD, plan=replace(GOOD.plan, stops=True))
    assert stopping.faults() == ["nothing was called back: it proves little"]
    moody = replace(GOOD, plan=replace(GOOD.plan, misbehaves=True))
    assert moody.faults() == ["nothing broke: it proves little"]
    line = replace(GOOD, plan=replace(GOOD.plan, transport="smtp"))
    assert replace(line, unknown=1, listed=1, resolved=1).faults() == []
    assert replace(line, unknown=2, listed=1, resolved=0).faults() == [
        "2 unknown, 1 listed",
        "2 unknown of 1 lines cut",
        "0 heard of, 0 resolved, 2 unknown",
    ]


def test_the_command_prints_a_row_for_each_try(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--contacts", "60", "--kills", "1", "--chunk", "5", "--database", "sqlite"]
    assert main([*small, "--transport", "file"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["transport", "database", "contacts"]
    assert row.split()[:3] == ["file", "sqlite", "60"]


def test_the_command_says_what_it_cannot_try(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = "postgresql+psycopg://postgres@127.0.0.1:1/postgres"
    monkeypatch.setenv("ASTERISM_TEST_POSTGRES", nobody)
    assert main(["--transport", "file", "--database", "postgres"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("LEFT OUT  file on postgres: ")


def test_a_sender_that_posts_and_then_marks_is_caught(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The harness can fail: such a sender doubles letters, and the command says so."""
    few = ["--contacts", "120", "--kills", str(2 * KILLS), "--database", "sqlite"]
    liar = ["--transport", "smtp", "--sender", "post-then-mark", "--kind-world"]
    assert main([*few, *liar]) == 1
    head, row, *wrong = capsys.readouterr().out.splitlines()
    told = dict(zip(head.split(), row.split(), strict=True))
    assert int(told["inside"]) >= 2 * KILLS
    assert int(told["doubles"]) > 0
    assert f"WRONG  smtp on sqlite: {told['doubles']} doubles" in wrong
