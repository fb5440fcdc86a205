"""What people do by hand, and what a contact was told, as the command line shows it."""

from __future__ import annotations

from contextlib import closing

from pipeline.cli.people import KINDS
from pipeline.stages import touch
from tests.door import ISSUE, Door

PHILIPPA = "philippa.hallam@hallampeake.example"


def test_the_kinds_are_those_of_the_stage() -> None:
    assert KINDS == touch.KINDS


def test_a_forward_is_logged_counted_and_not_told_again(curated: Door) -> None:
    story = curated.ask("issue", "show", ISSUE)["stories"][0]["snippet"]["story_public_id"]
    forward = ("people", "touch", PHILIPPA, "--kind", "forward")
    refused = curated("--as", "ruth", *forward, code=2)
    assert "Name it" in refused.err
    said = curated("--as", "ruth", *forward, "--story", story[:8], "--note", "She calls back.")
    assert f"asterism explain contact {PHILIPPA}" in said.out
    explained = curated("explain", "contact", PHILIPPA).out
    assert "She calls back." in explained
    letter = curated.ask("issue", "preview", ISSUE, "--for", PHILIPPA)
    assert "A battery that says how long it will fit" not in letter["text"]
    (report,) = curated.ask("coverage")
    assert [a["key"] for a in report["accounts"] if a["by_hand"]] == ["hallam-peake"]


def test_a_service_that_was_told_has_a_name(sent: Door) -> None:
    shown = sent("people", "show", PHILIPPA).out
    assert "None" not in shown
    assert "was told of the service " in shown


def test_what_a_letter_is_to_tell_is_told_once_it_has_left(approved: Door) -> None:
    shown = approved("people", "show", PHILIPPA).out
    assert "was told" not in shown
    assert "is to be told of the service" in shown
    assert f"by {ISSUE} on Thu 19 Nov 2026 07:30" in shown
    assert "To be told of" in approved("explain", "contact", PHILIPPA, "--all").out
    person = approved.ask("people", "show", PHILIPPA)
    assert (person["told"], {one["state"] for one in person["coming"]}) == ([], {"planned"})
    with closing(approved.database()) as database, database:
        database.execute("UPDATE deliveries SET state = 'unknown'")
    shown = approved("people", "show", PHILIPPA).out
    assert "may have been told of the service" in shown
    assert "it is not known whether it left" in shown
    assert "is to be told" not in shown
    with closing(approved.database()) as database, database:
        database.execute("UPDATE deliveries SET state = 'accepted'")
    shown = approved("people", "show", PHILIPPA).out
    assert "was told of the service" in shown
    assert "may have been" not in shown
