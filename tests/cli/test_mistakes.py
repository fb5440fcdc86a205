"""A mistake in a file or a setting stops no backup, no stop, and nothing that people may ask."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from tests.cli.test_people import INGRID, PAUL
from tests.door import Door

BROKEN = b"\n  bad: [\n"
RIGHTS = (
    ("suppress", INGRID),
    ("erase", INGRID, "--yes"),
    ("export", INGRID),
    ("pause", INGRID, "--until", "2027-05-05"),
    ("hold", INGRID, "--reason", "Tom calls first"),
    ("release", INGRID),
    ("undo",),
    ("show", INGRID),
    ("list",),
)
#: Each is wrong by itself, and needed by nobody who sends nothing.
SETTINGS = (
    {"ASTERISM_TRANSPORT": "smtp"},
    {"ASTERISM_TRANSPORT": "sendgrid", "ASTERISM_SENDGRID_KEY": "two words"},
    {"ASTERISM_TRANSPORT": "pigeon"},
    {"ASTERISM_MAIL_PER_DAY": "many"},
    {"ASTERISM_BCC_ADDRESS": "nobody"},
)


def break_file(door: Door, name: str) -> None:
    with door.path(name).open("ab") as file:
        file.write(BROKEN)


@pytest.fixture
def broken(gathered: Door) -> Door:
    gathered("people", "pause", PAUL, "--until", "2027-01-01")
    break_file(gathered, "feeds.yaml")
    return gathered


@pytest.mark.parametrize("command", RIGHTS, ids=lambda command: str(command[0]))
def test_what_people_may_ask_for_goes_on_despite_a_mistake(
    broken: Door, command: tuple[str, ...]
) -> None:
    said = broken("people", *command)
    assert said.out
    assert said.err == (
        "There is a mistake in feeds.yaml. This goes on all the same; `asterism check` names "
        "them.\n"
    )
    assert "feeds.yaml:" in broken("check", code=2).err


def test_what_goes_on_despite_a_mistake_holds(broken: Door) -> None:
    broken("people", "suppress", INGRID, "--scope", "under-load")
    (end,) = broken("people", "show", INGRID, "--json").json["suppressions"]
    assert (end["scope"], end["reason"]) == ("under-load", "asked")
    broken("people", "erase", PAUL, "--yes")
    assert broken("people", "show", PAUL, code=3).out == ""


def test_the_rows_stay_as_the_last_good_files_left_them(gathered: Door) -> None:
    """A newsletter whose file cannot be read is still one that somebody may leave."""
    for file in gathered.path("constellations").glob("*.yaml"):
        break_file(gathered, f"constellations/{file.name}")
    gathered("people", "suppress", INGRID, "--scope", "under-load")
    said = gathered("people", "suppress", INGRID, "--scope", "no-such-letter", code=3)
    assert "There is no newsletter “no-such-letter”" in said.err
    with gathered.database() as database:
        retired = database.execute("SELECT key FROM newsletters WHERE retired_at IS NOT NULL")
        assert retired.fetchall() == []


def test_an_export_tells_what_a_broken_firm_file_still_says(gathered: Door) -> None:
    firm = gathered.path("firm.yaml")
    whole = gathered("people", "export", INGRID).json["about"]
    firm.write_text(firm.read_text("utf-8").replace("base_url: ", "base_ulr: "), "utf-8")
    said = gathered("people", "export", INGRID)
    assert "firm.yaml" in said.err
    assert said.json["about"] == whole
    firm.write_bytes(b"name: [\n")
    about = gathered("people", "export", INGRID).json["about"]
    assert "held by" not in about
    assert about["what this is"].startswith("Everything that the firm holds of one person")


@pytest.mark.parametrize("wrong", SETTINGS, ids=lambda wrong: ",".join(wrong))
def test_a_setting_of_mail_stops_neither_backup_nor_suppress(
    gathered: Door, wrong: dict[str, str]
) -> None:
    gathered.environment |= wrong
    assert gathered("check", code=2).err
    if wrong.get("ASTERISM_SENDGRID_KEY") is None:
        assert "There is a mistake in the environment" in gathered("backup").err
    done = gathered("backup", str(gathered.path("again.zip")), "--json").json
    assert done["rows"] > 100
    gathered("people", "suppress", INGRID)
    assert gathered("people", "show", INGRID, "--json").json["suppressions"]


@pytest.mark.parametrize("wrong", ["file", "setting"])
def test_a_stop_goes_on_despite_a_mistake(approved: Door, wrong: str) -> None:
    """The service goes on by the last good files: whoever pulls the brake must be heard."""
    if wrong == "file":
        break_file(approved, "feeds.yaml")
    else:
        approved.environment["ASTERISM_TRANSPORT"] = "pigeon"
    said = approved("issue", "stop", "under-load/1", "--json")
    assert "There is a mistake in" in said.err
    assert said.json["after"]["state"] == "stopped"
    assert said.json["held_back"] > 0


@pytest.mark.parametrize("line", ["ASTERISM_DATABSE_URL=x", "ASTERISM_SECRET 'x", "my secret: x"])
def test_nothing_is_done_while_database_or_secret_is_in_doubt(gathered: Door, line: str) -> None:
    with gathered.path(".env").open("a", encoding="utf-8") as env:
        env.write(f"{line}\n")
    before = gathered.state()
    for command in (("backup",), ("people", "suppress", INGRID)):
        said = gathered(*command, code=2)
        assert "which database or which secret is meant is in doubt" in said.err
        assert ".env:" in said.err
    assert gathered.state() == before


def test_a_setting_that_is_none_stops_no_backup(gathered: Door) -> None:
    with gathered.path(".env").open("a", encoding="utf-8") as env:
        env.write("ASTERISM_SMTP_HSOT=relay.example\n")
    said = gathered("backup")
    assert "There is a mistake in .env." in said.err
    assert "asterism-" in said.out


def test_a_backup_holds_the_files_as_they_lie_and_comes_back_so(
    broken: Door, tmp_path: Path
) -> None:
    said = broken("backup", "--json")
    assert "There is a mistake in feeds.yaml." in said.err
    done = json.loads(said.out)
    assert [one["file"] for one in done["mistakes"]] == ["feeds.yaml"]
    with zipfile.ZipFile(done["path"]) as archive:
        assert archive.read("files/feeds.yaml").endswith(BROKEN)
    other = Door(tmp_path / "new", dict(broken.environment), broken.now)
    said = other("restore", done["path"])
    assert "There is a mistake in feeds.yaml. So the files lay in the backup." in said.out
    assert "Nothing runs here until that is mended." in said.out
    assert other.path("feeds.yaml").read_bytes() == broken.path("feeds.yaml").read_bytes()
    assert "feeds.yaml:" in other("tick", code=2).err
    assert other("people", "show", PAUL, "--json").json["standing"]["paused_until"] == "2027-01-01"


def test_backup_again_without_a_mistake_says_nothing_of_one(gathered: Door) -> None:
    assert gathered.ask("backup")["mistakes"] == []
    assert "mistake" not in gathered("backup", str(gathered.path("again.zip"))).out
