"""The month that composes itself, as people meet it: on the desk, in their mail, on their phone."""

from __future__ import annotations

import re
from contextlib import closing
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from tests.door import Door, Steps

MONTH = "under-load-month/1"
#: Two days before the first Tuesday of December, 07:30 in London.
REVIEW = "2026-11-29T07:35:00+00:00"
BEAT = "2026-12-01T07:40:00+00:00"
NEW = (
    "email,first name,last name,company,legal basis,basis source,basis date\n"
    "nora.vale@vantry.example,Nora,Vale,Vantry,consent,asked for it on our website,2026-11-20\n"
)


def composed(steps: Steps, folder: Path) -> Door:
    """The weekly is out, Nora came after it, and the machine has had its look."""
    door = steps.copy("sent", folder)
    door.path("new.csv").write_text(NEW, encoding="utf-8")
    door("people", "import", str(door.path("new.csv")))
    door.now = REVIEW
    door("tick")
    return door


@pytest.fixture(scope="module")
def under_review(steps: Steps, tmp_path_factory: pytest.TempPathFactory) -> Door:
    """Shared by tests that only look."""
    return composed(steps, tmp_path_factory.mktemp("review") / "workspace")


@pytest.fixture
def in_review(steps: Steps, tmp_path: Path) -> Door:
    return composed(steps, tmp_path / "workspace")


def test_list_and_show_say_that_it_is_automatic(under_review: Door) -> None:
    assert "scheduled, automatic" in under_review("issue", "list").out
    said = " ".join(under_review("issue", "show", MONTH).out.split())
    assert "automatic, people look at it until" in said
    assert "It goes by itself on Tuesday 1 December 2026, 07:35 (Europe/London)" in said
    assert f"asterism issue stop {MONTH}" in said
    view = under_review.ask("issue", "show", MONTH)
    assert view["issue"]["approved_by"] == "automatic"
    assert view["issue"]["review_until"].startswith("2026-12-01T07:35")


def test_status_and_explain_say_what_happens_next(under_review: Door) -> None:
    status = " ".join(under_review("status").out.split())
    assert "composed itself and goes out on Tuesday 1 December 2026" in status
    explained = " ".join(under_review("explain", "issue", MONTH).out.split())
    assert "It composed itself and goes by itself, unless somebody stops it" in explained
    assert "automatic composed it" in explained
    assert "had its stories already" in explained


def test_status_names_when_it_goes_and_what_it_is_made_of(in_review: Door) -> None:
    def line() -> str:
        said = " ".join(in_review("status").out.split())
        return said[said.index("next Tue 1 Dec 2026 07:35 (Europe/London)") :]

    newsletters = in_review.ask("status")["newsletters"]
    (month,) = (one for one in newsletters if one["key"] == "under-load-month")
    (issue,) = month["issues"]
    assert re.search(rf"{MONTH} scheduled, \d of {issue['stories']} written", line())
    with closing(in_review.database()) as database, database:
        database.execute("UPDATE snippets SET section = 'noted'")
    headlines = issue["stories"] + issue["headlines"]
    assert f"{MONTH} scheduled, {headlines} headlines only" in line()
    with closing(in_review.database()) as database, database:
        database.execute("UPDATE snippets SET removed = TRUE")
    assert f"{MONTH} scheduled, no stories yet" in line()


def test_its_approver_has_a_mail_with_both_links(under_review: Door) -> None:
    mails = [
        message_from_bytes(path.read_bytes(), policy=policy.SMTP)
        for path in under_review.path("output/mail/notices").glob("*.eml")
    ]
    (mail,) = [one for one in mails if "goes out by itself" in one["Subject"]]
    assert mail["To"].addresses[0].addr_spec.startswith("henrik")
    text = mail.get_body(("plain",)).get_content()
    assert len(re.findall(r"https?://\S+/(?:stop|preview)/\S{43}", text)) == 2
    assert "nora.vale" not in text


def test_the_same_tick_again_changes_nothing(under_review: Door) -> None:
    def seen() -> tuple[object, set[str]]:
        files = under_review.path("output/mail").rglob("*.eml")
        return under_review.ask("issue", "show", MONTH), {path.name for path in files}

    before = seen()
    under_review("tick")
    assert seen() == before


def test_left_alone_it_goes_and_only_to_who_had_no_weekly(in_review: Door) -> None:
    in_review.now = BEAT
    in_review("tick")
    assert in_review.ask("issue", "show", MONTH)["issue"]["state"] == "sent"
    letters = [
        path.read_bytes()
        for path in in_review.path(f"output/mail/{MONTH}").glob("*.eml")
        if b"List-Unsubscribe" in path.read_bytes()
    ]
    assert len(letters) >= 1
    readers = {
        message_from_bytes(raw, policy=policy.SMTP)["To"].addresses[0].addr_spec for raw in letters
    }
    weekly = {
        message_from_bytes(path.read_bytes(), policy=policy.SMTP)["To"].addresses[0].addr_spec
        for path in in_review.path("output/mail/under-load/1").glob("*.eml")
    }
    assert "nora.vale@vantry.example" in readers
    assert not readers & weekly


def test_stopped_it_stays_until_a_hand_approves_it(in_review: Door) -> None:
    assert "held back" in in_review("issue", "stop", MONTH, "--reason", "a typo").out
    assert "is stopped; nothing is to stop" in in_review("issue", "stop", MONTH, code=4).err
    in_review.now = BEAT
    in_review("tick")
    assert in_review.ask("issue", "show", MONTH)["issue"]["state"] == "stopped"
    in_review("--as", "henrik", "issue", "approve", MONTH)
    view = in_review.ask("issue", "show", MONTH)["issue"]
    assert (view["approved_by"], view["review_until"]) == ("henrik", None)
