"""explain: story, contact, issue."""

from __future__ import annotations

import pytest

from tests.door import CONSTELLATION, ISSUE, Door


@pytest.fixture(scope="module")
def first_story(to_read: Door) -> str:
    pool = to_read.ask("stories", CONSTELLATION, "--limit", "2")[CONSTELLATION]
    return str(pool[1]["story"]["public_id"])


def test_explain_story_goes_from_source_to_reader(to_read: Door, first_story: str) -> None:
    said = to_read("explain", "story", first_story[:8])
    for words in ("Tool Trade Weekly", "Tarnholm", ISSUE):
        assert words in said.out
    steps = to_read.ask("explain", "story", first_story)
    times = [step["at"] for step in steps if step["at"]]
    assert times == sorted(times)
    assert set(steps[0]) == {"at", "what", "detail"}


def test_explain_contact_gives_each_issue_its_reason(to_read: Door) -> None:
    said = to_read("explain", "contact", "piet.verhoek@nordhaken.example")
    assert ISSUE in said.out
    assert "no basis" in said.out
    assert to_read.ask("explain", "contact", "ingrid.saether@tarnholm.example")


def test_explain_issue_adds_up(to_read: Door) -> None:
    said = to_read("explain", "issue", ISSUE)
    for words in ("henrik approved it", "contacts: 24", "sent"):
        assert words in said.out
    assert to_read.ask("explain", "issue", "under-load") == to_read.ask("explain", "issue", ISSUE)


def test_in_short_what_comes_first_and_whole_when_asked(to_read: Door, first_story: str) -> None:
    short = to_read("explain", "story", first_story).out.splitlines()
    every = to_read("explain", "story", first_story, "--all").out.splitlines()
    steps = to_read.ask("explain", "story", first_story)
    assert short[-2] == "Told in short; add --all to see every step."
    assert "Told to " in short[-4]
    assert len(short) < len(every)
    assert [step["what"] for step in steps] == [
        line[18:] for line in every if line[18:] in {step["what"] for step in steps}
    ]
    assert to_read.ask("explain", "story", first_story, "--all") == steps
    piet = to_read("explain", "contact", "piet.verhoek@nordhaken.example").out
    assert "--all" not in piet  # there is nothing to cut


@pytest.mark.parametrize(
    "what", [("issue", ISSUE), ("contact", "piet.verhoek@nordhaken.example"), ("story", "")]
)
def test_explain_again_says_the_same_and_writes_nothing(
    what: tuple[str, str], to_read: Door, first_story: str
) -> None:
    kind, name = what
    before = to_read.state()
    said = [to_read("explain", kind, name or first_story).out for _ in range(2)]
    assert said[0] == said[1]
    assert to_read.state() == before
