"""people: import, list, show, pause, hold, release, suppress; coverage."""

from __future__ import annotations

from pathlib import Path

from tests.door import CONSTELLATION, Door

INGRID = "ingrid.saether@tarnholm.example"
PIET = "piet.verhoek@nordhaken.example"
PAUL = "paul.weidt@vantry.example"


def test_people_import_counts_and_names_what_was_not_taken(made: Door) -> None:
    file = str(made.path("people.csv"))
    before = made.state()
    counted = made("people", "import", file, "--dry-run")
    assert "people.csv: 26 rows" in counted.out
    assert "Nothing was changed. To bring them in: asterism people import" in counted.out
    assert made.state() == before
    said = made("people", "import", file)
    assert "people.csv:21: email:" in said.out, "the line of the address that is none"
    assert "2 contacts without a basis: never mailed" in said.out
    assert len(made.ask("people", "list")) == 24


def test_people_import_again_changes_nothing(gathered: Door) -> None:
    file = str(gathered.path("people.csv"))
    people = gathered.ask("people", "list")
    again = gathered.ask("people", "import", file)
    assert (again["new"], again["changed"], again["same"], again["left"]) == (0, 0, 23, 1)
    assert gathered.ask("people", "list") == people


def test_people_list_is_by_account(to_read: Door) -> None:
    assert INGRID in to_read("people", "list").out
    people = to_read.ask("people", "list", CONSTELLATION)
    assert len(people) == 24
    assert {"public_id", "address", "account_key", "first_name", "invalid"} <= set(people[0])


def test_people_list_again_is_the_same(to_read: Door) -> None:
    assert to_read("people", "list").out == to_read("people", "list").out


def test_people_list_of_an_empty_workspace_says_what_to_do(made: Door) -> None:
    assert "asterism people import FILE" in made("people", "list").out


def test_people_show_says_how_somebody_stands(to_read: Door) -> None:
    said = to_read("people", "show", INGRID)
    assert "consent: asked for it at the Hardware Days in Aalborg" in said.out
    assert "was told" in said.out
    person = to_read.ask("people", "show", INGRID)
    assert person["contact"]["account_key"] == "tarnholm"
    assert to_read.ask("people", "show", person["contact"]["public_id"][:8]) == person
    assert "none: never mailed" in to_read("people", "show", PIET).out


def test_people_show_again_writes_nothing(to_read: Door) -> None:
    before = to_read.state()
    assert to_read("people", "show", INGRID).out == to_read("people", "show", INGRID).out
    assert to_read.state() == before


def test_people_pause_holds_until_a_day(gathered: Door) -> None:
    said = gathered("people", "pause", INGRID, "--until", "2027-03-01")
    assert "Ingrid Sæther gets no letters until Mon 1 Mar 2027." in said.out
    assert gathered.ask("people", "show", INGRID)["standing"]["paused_until"] == "2027-03-01"


def test_people_pause_again_is_the_later_word(gathered: Door) -> None:
    gathered("people", "pause", INGRID, "--until", "2027-03-01")
    before = gathered.ask("people", "show", INGRID)
    gathered("people", "pause", INGRID, "--until", "2027-03-01")
    assert gathered.ask("people", "show", INGRID) == before
    gathered("people", "pause", INGRID, "--until", "2027-04-01")
    assert gathered.ask("people", "show", INGRID)["standing"]["paused_until"] == "2027-04-01"


def test_people_hold_keeps_its_reason(gathered: Door) -> None:
    said = gathered("--as", "ruth", "people", "hold", INGRID, "--reason", "I call her on Friday")
    assert f"asterism people release {INGRID}" in said.out
    assert "held: I call her on Friday" in gathered("people", "show", INGRID).out


def test_people_hold_again_is_held_once(gathered: Door) -> None:
    gathered("people", "hold", INGRID, "--reason", "Friday")
    before = gathered.ask("people", "show", INGRID)
    gathered("people", "hold", INGRID, "--reason", "Friday")
    assert gathered.ask("people", "show", INGRID) == before


def test_people_release_ends_pause_and_hold(gathered: Door) -> None:
    before = gathered.ask("people", "show", INGRID)
    gathered("people", "pause", INGRID, "--until", "2027-03-01")
    gathered("people", "hold", INGRID, "--reason", "Friday")
    said = gathered("people", "release", INGRID)
    assert "Ingrid Sæther is no longer paused or held back." in said.out
    assert gathered.ask("people", "show", INGRID) == before


def test_people_release_again_frees_nobody_who_left(gathered: Door) -> None:
    before = gathered.ask("people", "show", PAUL)
    assert before["suppressions"]
    for _ in range(2):
        gathered("people", "release", PAUL)
        assert gathered.ask("people", "show", PAUL) == before


def test_people_suppress_is_for_good(gathered: Door) -> None:
    said = gathered("people", "suppress", INGRID, "--note", "said so on the telephone")
    assert "it holds from the very next copy" in said.out
    (one,) = gathered.ask("people", "show", INGRID)["suppressions"]
    assert (one["scope"], one["reason"]) == ("*", "asked")


def test_people_suppress_again_was_so_already(gathered: Door) -> None:
    gathered("people", "suppress", INGRID, "--newsletter", "under-load")
    before = gathered.state()
    said = gathered("people", "suppress", INGRID, "--newsletter", "under-load")
    assert "It was so already." in said.out
    assert gathered.state() == before


def test_people_suppress_outlives_a_new_import(gathered: Door, tmp_path: Path) -> None:
    gathered("people", "suppress", INGRID)
    again = tmp_path / "again.csv"
    again.write_text(
        "email,first name,last name,company,legal basis,basis source,basis date\n"
        f"{INGRID.upper()},Ingrid,Sæther,Tarnholm,consent,asked again,2026-11-10\n",
        encoding="utf-8",
    )
    gathered("people", "import", str(again))
    assert gathered.ask("people", "show", INGRID)["suppressions"]


def by_hand(door: Door) -> int:
    (report,) = door.ask("coverage", CONSTELLATION)
    return sum(account["by_hand"] for account in report["accounts"])


def test_people_touch_counts_what_was_done_by_hand(gathered: Door) -> None:
    said = gathered("--as", "ruth", "people", "touch", INGRID, "--kind", "call", "--minutes", "9")
    assert f"asterism explain contact {INGRID}" in said.out
    assert by_hand(gathered) == 1
    story = gathered.ask("stories", "--limit", "1")[CONSTELLATION][0]["story"]
    done = gathered.ask("people", "touch", INGRID, "--kind", "forward", "--story",
                        story["public_id"][:8])  # fmt: skip
    assert (done["kind"], done["story_id"]) == ("forward", story["id"])
    assert "was told" in gathered("people", "show", INGRID).out


def test_people_touch_again_is_a_second_touch(gathered: Door) -> None:
    for number in (1, 2):
        gathered("people", "touch", INGRID, "--kind", "call")
        assert by_hand(gathered) == number


def test_coverage_names_the_touched_and_the_untouched(to_read: Door) -> None:
    said = to_read("coverage", CONSTELLATION)
    assert "Makers of power tools, November 2026" in said.out
    assert "Not touched (2): Lodestar Fastening, Maison Vauquelin" in said.out
    (report,) = to_read.ask("coverage")
    assert len(report["accounts"]) == 12
    (october,) = to_read.ask("coverage", CONSTELLATION, "--month", "2026-10")
    assert not [a for a in october["accounts"] if a["by_machine"]]


def test_coverage_again_is_the_same(to_read: Door) -> None:
    before = to_read.state()
    assert to_read("coverage").out == to_read("coverage").out
    assert to_read.state() == before
