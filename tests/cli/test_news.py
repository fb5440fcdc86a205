"""gather, stories."""

from __future__ import annotations

from tests.door import CONSTELLATION, TUESDAY, Door


def test_gather_tells_of_each_source(made: Door) -> None:
    made.now = TUESDAY
    said = made("gather")
    assert said.err == "", "progress is for terminals"
    assert "✗  Bench Notes" in said.out
    assert "503" in said.out
    assert said.out.count("✓") == 6
    assert f"asterism stories {CONSTELLATION}" in said.out


def test_gather_speaks_to_a_machine(made: Door) -> None:
    said = made.ask("gather", "shelf-report", "bench-notes")
    outcomes = {one["key"]: one["outcome"] for one in said["gathered"]["outcomes"]}
    assert outcomes == {"shelf-report": "fetched", "bench-notes": "failed"}
    assert said["gathered"]["new"] == said["sifted"]["opened"] > 0


def test_gather_again_asks_nobody_before_it_is_due(gathered: Door) -> None:
    said = gathered("gather")
    assert "7 sources not due yet; the next is asked" in said.out
    assert "0 new items" in said.out


def test_gather_says_how_one_that_was_mended_is_asked_at_once(gathered: Door) -> None:
    said = gathered("gather").out
    assert "Bench Notes failed when it was last asked: " in said
    assert "asterism gather --force bench-notes" in said


def test_gather_asks_at_once_where_it_was_not_allowed_to(made: Door) -> None:
    allowed = made.environment.pop("ASTERISM_ALLOW_NETWORKS")
    said = made.ask("gather")["gathered"]["outcomes"]
    assert {one["reason"] for one in said} == {"blocked"}
    assert "may allow it" in made("gather").out
    made.environment["ASTERISM_ALLOW_NETWORKS"] = allowed
    said = made.ask("gather")["gathered"]["outcomes"]
    assert [one["outcome"] for one in said].count("fetched") == 6
    assert {one["outcome"] for one in made.ask("gather")["gathered"]["outcomes"]} == {"not_due"}


def test_gather_again_by_force_finds_nothing_new(gathered: Door) -> None:
    said = gathered.ask("gather", "--force")["gathered"]
    assert {one["outcome"] for one in said["outcomes"]} <= {"unchanged", "failed", "not_due"}
    assert (said["new"], said["changed"]) == (0, 0)


def test_stories_are_ranked_with_their_reasons(to_read: Door) -> None:
    said = to_read("stories", CONSTELLATION, "--limit", "3")
    assert [line[:5].strip() for line in said.out.splitlines()][1::3] == ["1", "2", "3"]
    assert "Tarnholm is in the headline" in said.out
    assert "3 tellings" in said.out
    assert "sent under-load/1" in said.out


def test_stories_of_our_own_say_whose_they_are(to_read: Door) -> None:
    said = to_read("stories", "--limit", "100")
    assert "own  us, 9 Nov" in said.out


def test_stories_for_a_machine_are_by_constellation(to_read: Door) -> None:
    pool = to_read.ask("stories", "--limit", "5")
    assert list(pool) == [CONSTELLATION]
    assert len(pool[CONSTELLATION]) == 5
    scores = [one["score"]["total"] for one in pool[CONSTELLATION]]
    assert scores == sorted(scores, reverse=True)
    assert {"public_id", "title", "tellings", "mentions"} <= set(pool[CONSTELLATION][0]["story"])


def test_stories_again_are_the_same_and_nothing_is_written(to_read: Door) -> None:
    before = to_read.state()
    assert to_read("stories").out == to_read("stories").out
    assert to_read.state() == before


def test_stories_of_an_empty_workspace_say_what_to_do(made: Door) -> None:
    said = made("stories")
    assert "asterism gather" in said.out
