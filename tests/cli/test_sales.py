"""Forwarding, one-line touches and the mailbox, as a salesperson meets them."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from email import policy
from email.parser import BytesParser
from mailbox import Maildir
from pathlib import Path

import pytest

from pipeline.cli.sales import _WHY
from pipeline.rules.people.copied_mail import LeftOut
from tests.door import ISSUE, WEDNESDAY, Door
from tests.mails import mail

PHILIPPA = "philippa.hallam@hallampeake.example"
RUTH = "Ruth Calloway <ruth.calloway@ferrierwick.example>"


def story_of(door: Door) -> str:
    story = door.ask("issue", "show", ISSUE)["stories"][0]["snippet"]
    return str(story["story_public_id"])


def by_hand(door: Door) -> int:
    (report,) = door.ask("coverage")
    return sum(account["by_hand"] for account in report["accounts"])


# ── forward ──────────────────────────────────────────────────────────────────────────────


def test_forward_again_is_one_touch_and_can_be_taken_back(curated: Door) -> None:
    story = story_of(curated)
    call = ("--as", "ruth", "forward", story[:8], PHILIPPA, "--words", "For your Thursday round.")
    said = curated(*call).out
    assert said.startswith("For Philippa Hallam, Hallam Peake\n")
    for part in (
        "  Subject: A battery",
        "  For your Thursday round.",
        "  Our view: ",
        f"\nmailto:{PHILIPPA}?subject=A%20battery",
        "Logged as forwarded by Ruth Calloway",
        "nobody approved yet",
    ):
        assert part in said
    assert by_hand(curated) == 1
    assert "It was logged already, a moment ago." in curated(*call).out
    assert by_hand(curated) == 1
    undo = re.search(r"asterism (people undo \w+)", said)
    assert undo
    curated("--as", "ruth", *undo[1].split())
    assert by_hand(curated) == 0


def test_forward_warns_of_who_had_the_letter(sent: Door) -> None:
    said = sent("forward", story_of(sent), PHILIPPA, "--as", "ruth", "--look").out
    assert f"Philippa Hallam has it already: in {ISSUE} on 2026-11-19." in said
    assert "Only looked: nothing was logged." in said
    assert by_hand(sent) == 0


def test_forward_writes_a_draft_and_a_page_and_never_over_another(
    curated: Door, tmp_path: Path
) -> None:
    door = replace(curated, environment={
        **curated.environment, "ASTERISM_BCC_ADDRESS": "copies@ferrierwick.example",
    })  # fmt: skip
    eml, page = tmp_path / "draft.eml", tmp_path / "page.html"
    call = ("forward", story_of(door), PHILIPPA, "--as", "ruth")
    said = door(*call, "--eml", str(eml), "--html", str(page)).out
    assert f"{eml} is written" in said
    draft = BytesParser(policy=policy.default).parsebytes(eml.read_bytes())
    assert (draft["X-Unsent"], draft["Bcc"]) == ("1", "copies@ferrierwick.example")
    assert draft["From"] == RUTH
    assert page.read_text("utf-8").startswith('<!doctype html>\n<meta charset="utf-8">\n<div')
    before = by_hand(door)
    refused = door(*call, "--words", "again", "--eml", str(eml), code=4)
    assert "is there already" in refused.err
    refused = door(*call, "--words", "again", "--eml", str(page / "x.eml"), code=5)
    assert "cannot be written" in refused.err
    assert by_hand(door) == before, "what could not be written was not sent"


def test_forward_to_who_is_not_to_be_mailed_is_a_call(curated: Door, tmp_path: Path) -> None:
    curated("people", "suppress", PHILIPPA, "--note", "on the phone")
    story, eml = story_of(curated), tmp_path / "draft.eml"
    said = curated("--as", "ruth", "forward", story, PHILIPPA, "--eml", str(eml)).out
    assert "is not to be mailed: asked us not to write" in said
    assert "mailto:" not in said
    assert "No mail to them: call only. Nothing was logged" in said
    assert not eml.exists()
    call = re.search(r"asterism (touch \w+ call --story \w+)", said)
    assert call
    assert by_hand(curated) == 0
    curated("--as", "ruth", *call[1].split())
    assert by_hand(curated) == 1


def test_forward_tells_a_machine_all_of_it(curated: Door) -> None:
    kit = curated.ask("--as", "ruth", "forward", story_of(curated), PHILIPPA, "--look")
    assert kit["state"] == "not_logged"
    assert kit["issue"] == ISSUE
    assert kit["eml"].startswith("X-Unsent: 1\r\n")
    assert kit["html"].startswith("<div style=")
    assert {caution["code"] for caution in kit["cautions"]} >= {"not_approved"}


# ── touch ────────────────────────────────────────────────────────────────────────────────


CALL = ("--as", "ruth", "touch", PHILIPPA, "call", "wants to talk in May", "--minutes", "12")


def test_touch_again_in_the_same_words_is_one(curated: Door) -> None:
    curated(*CALL)
    assert "a moment ago" in curated(*CALL).out
    assert by_hand(curated) == 1


def test_touch_is_one_line(curated: Door) -> None:
    assert f"asterism explain contact {PHILIPPA}" in curated(*CALL).out
    assert by_hand(curated) == 1
    assert "wants to talk in May" in curated("explain", "contact", PHILIPPA).out
    done = curated.ask("--as", "ruth", "touch", PHILIPPA, "forward", "--story", story_of(curated))
    assert (done["kind"], done["new"], done["staff_key"]) == ("forward", True, "ruth")
    curated("--as", "ruth", "people", "undo")
    assert by_hand(curated) == 1


# ── the mailbox ──────────────────────────────────────────────────────────────────────────


@pytest.fixture
def copied(curated: Door) -> Door:
    """A workspace with a maildir beside its database."""
    Maildir(curated.path("copies"), create=True)
    return replace(curated, environment={**curated.environment, "ASTERISM_BCC_MAILBOX": "copies"})


def put(door: Door, text: str, number: int = 1, **fields: str) -> None:
    at = datetime.fromisoformat(WEDNESDAY)
    written = {"sender": RUTH, "to": PHILIPPA, **fields}
    raw = mail(text, at=at, number=number, **written)  # type: ignore[arg-type]
    Maildir(door.path("copies")).add(raw)


def test_mailbox_makes_touches_of_mails(copied: Door) -> None:
    link = copied.ask("issue", "show", ISSUE)["stories"][0]["snippet"]["url"]
    put(copied, f"Have a look: {link}", 1)
    put(copied, "Until Friday.", 2, subject="Our talk")
    put(copied, "Buy now", 3, sender="eve@elsewhere.example")
    said = copied("mailbox").out
    assert said.startswith("3 new mails, 2 touches\n")
    assert re.search(r"forward  ruth  Philippa Hallam  Tarnholm prints a date", said)
    assert re.search(r"note +ruth  Philippa Hallam  Our talk", said)
    assert "1  not written by one of our people" in said
    assert by_hand(copied) == 2


def test_mailbox_again_logs_nothing_twice(copied: Door) -> None:
    put(copied, "Until Friday.", subject="Our talk")
    copied("mailbox")
    assert copied("mailbox").out == "Nothing new in 1 mail.\n"
    read = copied.ask("mailbox")
    assert (read["mails"], read["known"], read["new"], read["touches"]) == (1, 1, 0, [])
    assert by_hand(copied) == 1


def test_mailbox_that_is_not_there_is_told(copied: Door) -> None:
    door = replace(copied, environment={**copied.environment, "ASTERISM_BCC_MAILBOX": "nowhere"})
    said = door("mailbox", code=5)
    assert "nowhere cannot be read: there is nothing there" in said.err
    assert "ASTERISM_BCC_MAILBOX" in said.err


def test_every_reason_has_its_words() -> None:
    assert set(_WHY) == set(LeftOut.__args__)  # type: ignore[attr-defined]
