"""The harness in small: a few kills of each kind, and proof that it sees a sender that lies.

The large run is a command: `make kill`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import in_ci
from tests.kill.__main__ import main
from tests.kill.harness import Plan, try_plan
from tests.kill.receivers import SmtpSink

KILLS = 5
CONTACTS = 240


@pytest.mark.parametrize("transport", ["file", "smtp", "sendgrid"])
def test_killed_in_the_middle(transport: str, database_url: str, tmp_path: Path) -> None:
    """Each once, whoever dies; what nobody can know is listed, and a person settles it."""
    plan = Plan(transport, CONTACTS, KILLS, seed=20270308)
    assert try_plan(plan, database_url, tmp_path / "receiver").faults() == []


@pytest.mark.parametrize("transport", ["smtp", "sendgrid"])
def test_killed_while_lines_break(transport: str, sqlite_url: str, tmp_path: Path) -> None:
    plan = Plan(transport, CONTACTS, KILLS, seed=9, misbehaves=True)
    assert try_plan(plan, sqlite_url, tmp_path / "receiver").faults() == []


def test_killed_before_a_real_server(sqlite_url: str, tmp_path: Path) -> None:
    """Postfix's smtp-sink, which knows nothing of us, writes down what it took."""
    if SmtpSink.missing():
        assert not in_ci(), SmtpSink.missing()
        pytest.skip(SmtpSink.missing())
    plan = Plan("smtp-sink", CONTACTS, KILLS, seed=4)
    assert try_plan(plan, sqlite_url, tmp_path / "receiver").faults() == []


def test_a_sender_that_posts_and_then_marks_is_caught(sqlite_url: str, tmp_path: Path) -> None:
    """The harness can fail: such a sender doubles letters, and it says so."""
    plan = Plan("smtp", CONTACTS, KILLS, seed=20270308, kind="post-then-mark")
    outcome = try_plan(plan, sqlite_url, tmp_path / "receiver")
    assert outcome.inside >= KILLS
    assert outcome.doubles > 0
    assert f"{outcome.doubles} doubles" in outcome.faults()


def test_each_sum_that_does_not_come_out_is_told(sqlite_url: str, tmp_path: Path) -> None:
    good = try_plan(Plan("file", 60, 1, seed=1, chunk=5), sqlite_url, tmp_path / "receiver")
    assert good.faults() == []
    assert replace(good, lost=1).faults() == ["1 lost"]
    assert replace(good, inside=0).faults() == ["0 kills inside, not 1"]
    assert replace(good, held=0).faults() == ["no kill left a row in hand: it proves little"]
    assert replace(good, unknown=1, listed=1, resolved=1).faults() == ["1 unknown of files"]
    assert replace(good, issue="partly_sent").faults() == ["the issue is partly_sent"]
    lines = replace(good, plan=replace(good.plan, transport="smtp"), inside=1, outside=0)
    assert replace(lines, unknown=1, listed=1, resolved=1).faults() == []
    assert replace(lines, unknown=2, listed=1, resolved=0).faults() == [
        "2 unknown, 1 listed",
        "2 unknown of 1 lines cut",
        "0 resolved, not 2",
    ]


def test_the_command_prints_a_row_for_each_try(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--contacts", "60", "--kills", "1", "--chunk", "5", "--database", "sqlite"]
    assert main([*small, "--transport", "file"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["transport", "database", "contacts"]
    assert row.split()[:3] == ["file", "sqlite", "60"]


def test_the_command_fails_when_somebody_got_two(capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--contacts", "120", "--kills", "4", "--database", "sqlite", "--transport", "smtp"]
    assert main([*few, "--sender", "post-then-mark", "--kind-world"]) == 1
    assert "doubles" in capsys.readouterr().out.splitlines()[-1] + capsys.readouterr().out
