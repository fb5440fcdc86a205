"""people: import, list, show, pause, hold, release, suppress, touch, undo; coverage."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.door import CONSTELLATION, Door

INGRID = "ingrid.saether@tarnholm.example"
PIET = "piet.verhoek@nordhaken.example"
PAUL = "paul.weidt@vantry.example"
PHILIPPA = "philippa.hallam@hallampeake.example"
ANVIL = "desk@anvil.example"


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


def test_people_list_says_how_each_stands(gathered: Door) -> None:
    gathered("people", "pause", INGRID, "--until", "2027-03-01")
    gathered("--as", "ruth", "people", "hold", PHILIPPA, "--reason", "We meet on Friday")
    gathered("people", "suppress", ANVIL, "--newsletter", "under-load")
    expected = {
        INGRID: ("paused", "until 2027-03-01"),
        PHILIPPA: ("held", "by ruth: We meet on Friday"),
        ANVIL: ("in", "without under-load: asked us not to write on 2026-11-18"),
        PIET: ("no_basis", ""),
        PAUL: ("suppressed", "on a list of those who left on 2026-11-17"),
    }
    people = {one["address"]: one for one in gathered.ask("people", "list")}
    assert {who: (people[who]["standing"], people[who]["why"]) for who in expected} == expected
    lines = gathered("people", "list").out.splitlines()
    for who, (word, why) in expected.items():
        (line,) = (line for line in lines if f" {who} " in line)
        said = line.partition(f" {who} ")[2].strip()
        assert said.startswith(word.replace("_", " "))
        assert said.endswith(why)


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
    said = gathered("people", "pause", INGRID, "--until", "2027-03-01")
    assert "It was so already." in said.out
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
    after = gathered.ask("people", "show", INGRID)
    assert after.pop("contact")["revision"] == before.pop("contact")["revision"] + 3
    assert after == before


@pytest.mark.parametrize(
    ("command", "changed"),
    [
        (("pause", "--until", "2027-03-01"), {"paused_until": "2027-03-01"}),
        (("hold", "--reason", "Friday"), {"hold": "Friday", "held_by": "ruth"}),
        (("suppress",), {"suppressed": ["* asked"]}),
    ],
)
def test_people_changes_tell_a_machine_what_changed(
    gathered: Door, command: tuple[str, ...], changed: dict[str, object]
) -> None:
    verb, *options = command
    nothing = {"paused_until": None, "hold": "", "held_by": "", "suppressed": []}
    for new in (True, False):
        done = gathered.ask("--as", "ruth", "people", verb, INGRID, *options)
        assert (done["contact"]["address"], done["contact"]["revision"]) == (INGRID, 2)
        assert done["changed"] is new
        assert done["before"] == (nothing if new else nothing | changed)
        assert done["after"] == nothing | changed


def test_people_release_tells_a_machine_what_changed(gathered: Door) -> None:
    gathered("people", "pause", INGRID, "--until", "2027-03-01")
    done = gathered.ask("people", "release", INGRID)
    assert (done["changed"], done["contact"]["revision"]) == (True, 3)
    assert (done["before"]["paused_until"], done["after"]["paused_until"]) == ("2027-03-01", None)
    assert not gathered.ask("people", "release", INGRID)["changed"]


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
    assert (done["kind"], done["story_id"], done["new"]) == ("forward", story["id"], True)
    assert "was told" in gathered("people", "show", INGRID).out


def test_people_touch_again_by_a_slip_counts_once(gathered: Door) -> None:
    call = ("people", "touch", INGRID, "--kind", "call", "--note", "no answer")
    gathered(*call)
    before = gathered.state()
    assert "logged already, a moment ago" in gathered(*call).out
    assert not gathered.ask(*call)["new"]
    assert gathered.state() == before
    assert by_hand(gathered) == 1


def test_people_touch_again_later_is_a_second_touch(gathered: Door) -> None:
    for number, gathered.now in ((1, "2026-11-18T08:00:00Z"), (2, "2026-11-18T08:01:00Z")):
        gathered("people", "touch", INGRID, "--kind", "call")
        assert by_hand(gathered) == number


def test_people_undo_takes_a_touch_back(gathered: Door) -> None:
    story = gathered.ask("stories", "--limit", "1")[CONSTELLATION][0]["story"]["public_id"]
    gathered("--as", "ruth", "people", "touch", INGRID, "--kind", "forward", "--story", story)
    said = gathered("--as", "ruth", "people", "undo").out
    assert "Taken back: ruth logged a touch of “Ingrid Sæther”, Wed 18 Nov 2026" in said
    assert by_hand(gathered) == 0
    assert "was told" not in gathered("people", "show", INGRID).out
    explained = gathered("explain", "contact", INGRID).out
    assert "ruth logged a touch of “Ingrid Sæther”, and took it back later" in explained


def test_people_undo_again_is_the_step_before(gathered: Door) -> None:
    before = gathered.ask("people", "show", INGRID)["standing"]
    gathered("--as", "ruth", "people", "pause", INGRID, "--until", "2027-03-01")
    gathered("--as", "ruth", "people", "hold", INGRID, "--reason", "Friday")
    verbs = [gathered.ask("--as", "ruth", "people", "undo")["operation"]["verb"] for _ in "12"]
    assert verbs == ["hold", "pause"]
    assert gathered.ask("people", "show", INGRID)["standing"] == before
    assert "--as" in gathered("--as", "ruth", "people", "undo", code=3).err


def test_people_undo_of_one_contact_passes_over_a_suppression(gathered: Door) -> None:
    before = gathered.ask("people", "show", INGRID)["standing"]
    gathered("--as", "ruth", "people", "hold", INGRID, "--reason", "Friday")
    gathered("--as", "ruth", "people", "suppress", INGRID)
    refused = gathered("--as", "ruth", "people", "undo", code=4)
    assert "ended letters to Ingrid Sæther: that was their wish, and stays" in refused.err
    assert "asterism people undo WHO" in refused.err
    assert "held letters to" in gathered("--as", "ruth", "people", "undo", INGRID).out
    assert gathered.ask("people", "show", INGRID)["standing"] == before


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
