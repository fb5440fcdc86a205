"""Bad input of every command: the code of the house, what and where and what next, no change."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.door import ISSUE, NOT_OUR_WORDS, Steps, call

NOBODY = "nobody@nowhere.example"
SOMEBODY = "ingrid.saether@tarnholm.example"
NO_ISSUE = ("There is no issue “nosuch/1”", "newsletter/number")
NO_STORY = ("There is no story whose id begins with “zzzz”", "asterism stories")
NO_CONTACT = ("There is no contact", "asterism people import FILE")
NO_CONSTELLATION = ("There is no constellation “nosuch”", "There are: power-tools")


@dataclass(frozen=True)
class Refusal:
    """A command that cannot be done: at which step of the main job, its code, its words."""

    command: str
    code: int
    words: tuple[str, ...]
    step: str = "curated"
    actor: str = "maren"
    rest: tuple[str, ...] = ()  #: what follows the command, where it holds spaces


REFUSALS = (
    Refusal("init firm.yaml", 2, ("firm.yaml is a file, not a folder", "Name a new folder")),
    Refusal("init .", 4, ("already holds", "firm.yaml", "nothing was changed")),
    Refusal("check --jsno", 2, ("No such option", "--json")),
    Refusal("schema extra", 2, ("unexpected extra argument", "asterism schema --help")),
    Refusal("gather shelf-reprot", 3, ("“shelf-reprot”", "Did you mean shelf-report?")),
    Refusal("stories power-tolls", 3, ("power-tolls", "Did you mean power-tools")),
    Refusal("stories --limit 0", 2, ("--limit", "x>=1")),
    Refusal("stories --limit many", 2, ("--limit", "'many' is not a valid integer")),
    Refusal("curate export nosuch/1", 3, NO_ISSUE),
    Refusal(f"curate export {ISSUE} -o firm.yaml", 4, ("firm.yaml is there", "--overwrite")),
    Refusal(f"curate export {ISSUE} -o templates", 2, ("templates is a folder", "Name a file")),
    Refusal(
        f"curate export {ISSUE} -o firm.yaml/x.md", 5, ("firm.yaml/x.md cannot be written", "Check")
    ),
    Refusal("curate import nosuch.md", 2, ("nosuch.md", "does not exist")),
    Refusal("curate import output/asterism.db", 2, ("asterism.db:", "UTF-8", "nothing was")),
    Refusal("curate import firm.yaml", 2, ("firm.yaml:", "issue")),
    Refusal("curate keep nosuch/1 zzzz", 3, NO_ISSUE),
    Refusal(f"curate keep {ISSUE} zzzz", 3, NO_STORY),
    Refusal(f"curate keep {ISSUE} z", 2, ("“z” is too short", "first 4 characters")),
    Refusal(f"curate keep {ISSUE} zzzz", 4, (f"{ISSUE} is sent", "next issue"), step="sent"),
    Refusal("curate remove nosuch/1 zzzz", 3, NO_ISSUE),
    Refusal(f"curate remove {ISSUE} zzzz", 3, NO_STORY),
    Refusal(f"curate remove {ISSUE} zzzz", 4, ("is sent",), step="sent"),
    Refusal("curate drop nosuch zzzz", 3, NO_CONSTELLATION),
    Refusal("curate drop power-tools zzzz", 3, NO_STORY),
    Refusal(f"curate write {ISSUE} zzzz", 2, ("Nothing to write", "--take")),
    Refusal(f"curate write {ISSUE} zzzz --take x", 3, NO_STORY),
    Refusal(f"curate write {ISSUE} zzzz --take x", 4, ("is sent",), step="sent"),
    Refusal("curate undo", 3, ("nothing that nobody could take back", "--as"), actor="nobody"),
    Refusal("curate undo now", 2, ("unexpected extra argument",)),
    Refusal("curate note power-tools --title x", 2, ("Missing option '--text'",)),
    Refusal("curate note nosuch --title x --text y", 3, NO_CONSTELLATION),
    Refusal(
        "curate note power-tools --title x --text y --learnt-from tarnhlom", 3,
        ("There is no account “tarnhlom”", "Did you mean Tarnholm?"),
    ),
    Refusal(
        "curate note power-tools --title x --text y --public --learnt-from tarnholm", 2, ("public",)
    ),
    Refusal("curate vouch zzzz", 2, ("Who told it is missing", "public")),
    Refusal("curate vouch zzzz --public", 3, NO_STORY),
    Refusal("issue open now", 2, ("unexpected extra argument",)),
    Refusal("issue list nosuch", 3, ("There is no newsletter “nosuch”", "under-load-month")),
    Refusal("issue show nosuch/1", 3, NO_ISSUE),
    Refusal("issue audience nosuch/1", 3, NO_ISSUE),
    Refusal(f"issue write {ISSUE}", 2, ("Nothing to write", "--subject")),
    Refusal("issue write nosuch/1 --subject x", 3, NO_ISSUE),
    Refusal(f"issue write {ISSUE} --subject x", 4, ("is sent",), step="sent"),
    Refusal("issue preview nosuch/1", 3, NO_ISSUE),
    Refusal(f"issue preview {ISSUE} --for {NOBODY}", 3, NO_CONTACT),
    Refusal(f"issue preview {ISSUE} --edition rivals", 2, ("'rivals' is not one of", "customer")),
    Refusal(
        f"issue preview {ISSUE} --edition prospect -o firm.yaml", 5,
        ("firm.yaml", "cannot be written", "Check the folder"),
    ),
    Refusal("issue approve nosuch/1", 3, NO_ISSUE, actor="henrik"),
    Refusal(f"issue approve {ISSUE}", 4, ("approve", "henrik")),
    Refusal(f"issue approve {ISSUE} --clear 60", 3, ("60",), actor="henrik"),
    Refusal(f"issue approve {ISSUE}", 4, ("is sent", "issue show"), step="sent", actor="henrik"),
    Refusal("issue stop nosuch/1", 3, NO_ISSUE),
    Refusal(f"issue stop {ISSUE}", 4, ("is sent; nothing is to stop",), step="sent"),
    Refusal("deliver now", 2, ("No such command 'now'", "--help")),
    Refusal("deliver resolve --sent", 2, ("Name an issue or a copy", "--all")),
    Refusal("deliver resolve --sent --not-sent --all", 2, ("Choose one of --sent",)),
    Refusal("deliver resolve nosuch/1", 3, ("no issue and no copy “nosuch/1”", "deliver resolve")),
    Refusal("deliver resolve nosuch/1 --sent", 3, ("no issue and no copy “nosuch/1”",)),
    Refusal("deliver allow nosuch/1", 3, NO_ISSUE),
    Refusal(f"deliver allow {ISSUE}", 4, ("not held back since a restore", "issue show")),
    Refusal("deliver allow nosuch/1 --went-out", 3, NO_ISSUE),
    Refusal(f"deliver allow {ISSUE} --went-out", 4, ("not held back since a restore",)),
    Refusal("people import nosuch.csv", 2, ("nosuch.csv", "does not exist")),
    Refusal("people import firm.yaml", 2, ("firm.yaml:1:1", "no column with e-mail", "Email")),
    Refusal("people import output/asterism.db", 2, ("asterism.db:", "was not read", "Email")),
    Refusal("people list nosuch", 3, NO_CONSTELLATION),
    Refusal(f"people show {NOBODY}", 3, NO_CONTACT),
    Refusal("people pause", 2, ("Missing argument 'WHO'", "--help")),
    Refusal(f"people pause {SOMEBODY} --until spring", 2, ("“spring” is none", "2027-03-31")),
    Refusal(f"people pause {SOMEBODY} --until 2020-01-01", 2, ("2020-01-01 is not in the future",)),
    Refusal(f"people pause {NOBODY} --until 2099-01-01", 3, NO_CONTACT),
    Refusal(f"people hold {SOMEBODY}", 2, ("Missing option '--reason'",)),
    Refusal(f"people hold {SOMEBODY} --reason", 2, ("A hold needs its reason",), rest=("  ",)),
    Refusal(f"people hold {NOBODY} --reason x", 3, NO_CONTACT),
    Refusal(f"people release {NOBODY}", 3, NO_CONTACT),
    Refusal(f"people suppress {NOBODY}", 3, NO_CONTACT),
    Refusal(
        f"people suppress {SOMEBODY} --newsletter nosuch", 3,
        ("no newsletter “nosuch”", "under-load-month"),
    ),
    Refusal(f"people touch {SOMEBODY} --kind letter", 2, ("'letter' is not one of", "forward")),
    Refusal(f"people touch {SOMEBODY} --kind forward", 2, ("A forward passes a story on", "id")),
    Refusal(f"people touch {SOMEBODY} --kind forward --story zzzz", 3, NO_STORY),
    Refusal(f"people touch {NOBODY} --kind call", 3, NO_CONTACT),
    Refusal(
        "people undo", 3, ("nothing that nobody could take back", "--as"), actor="nobody"
    ),
    Refusal("people undo now", 2, ("“now” is too short", "at least 4 letters")),
    Refusal("people undo now and then", 2, ("unexpected extra argument",)),
    Refusal(f"forward zzzz {SOMEBODY}", 3, NO_STORY),
    Refusal(f"forward z {SOMEBODY}", 2, ("“z” is too short", "first 4 characters")),
    Refusal(f"forward zzzz {NOBODY}", 3, NO_CONTACT),
    Refusal(f"forward zzzz {SOMEBODY}", 2, ("“eve” is none of our", "--as", "ruth"), actor="eve"),
    Refusal(f"forward zzzz {SOMEBODY} --eml firm.yaml", 4, ("firm.yaml is there", "another file")),
    Refusal(f"touch {SOMEBODY} letter", 2, ("'letter' is not one of", "forward")),
    Refusal(f"touch {SOMEBODY} forward", 2, ("A forward passes a story on", "id")),
    Refusal(f"touch {SOMEBODY} call --minutes 99999", 2, ("a week", "Leave them out")),
    Refusal(f"touch {NOBODY} call", 3, NO_CONTACT),
    Refusal("mailbox", 2, ("There is no mailbox to read", "ASTERISM_BCC_MAILBOX")),
    Refusal("people imports now", 2, ("unexpected extra argument",)),
    Refusal("people undo-import nosuch", 3, ("no import “nosuch”", "asterism people imports")),
    Refusal(f"people suppress {SOMEBODY} --scope nosuch", 3, ("no newsletter “nosuch”",)),
    Refusal(f"people lift {SOMEBODY}", 2, ("Missing option '--evidence'",), actor="henrik"),
    Refusal(
        f"people lift {SOMEBODY} --evidence", 2, ("Lifting needs its evidence",), actor="henrik",
        rest=("  ",),
    ),
    Refusal(f"people lift {NOBODY} --evidence x", 3, NO_CONTACT, actor="henrik"),
    Refusal(f"people lift {SOMEBODY} --evidence x", 4, ("Only the approver", "Ask henrik")),
    Refusal(f"people export {NOBODY}", 3, NO_CONTACT),
    Refusal(f"people export {SOMEBODY} -o templates", 2, ("templates is a folder", "Name a file")),
    Refusal(f"people erase {NOBODY} --yes", 3, NO_CONTACT),
    Refusal("people erase zz --yes", 2, ("“zz” is too short", "at least 4 letters")),
    Refusal("report nosuch", 3, NO_CONSTELLATION),
    Refusal("report --month 2099-01", 2, ("January 2099 has not begun", "--month 2027-03")),
    Refusal("report --month spring", 2, ("“spring” is none; write it as 2027-03",)),
    Refusal("coverage nosuch", 3, NO_CONSTELLATION),
    Refusal("coverage --month 2026-13", 2, ("“2026-13” is none; write it as 2027-03",)),
    Refusal("explain story z", 2, ("“z” is too short", "first 4 characters")),
    Refusal("explain story zzzz", 3, NO_STORY),
    Refusal(f"explain contact {NOBODY}", 3, NO_CONTACT),
    Refusal("explain issue nosuch/1", 3, NO_ISSUE),
    Refusal("status --hard", 2, ("No such option '--hard'",)),
    Refusal("serve --port 99999", 2, ("There is no port 99999", "65535")),
    Refusal("serve --host 0.0.0.0", 2, ("no sign-in", "--public-only")),
    Refusal("run --port 99999", 2, ("There is no port 99999", "65535")),
    Refusal("run --host 0.0.0.0", 2, ("no sign-in", "--public-only")),
    Refusal("tick now", 2, ("unexpected extra argument",)),
    Refusal("jobs nosuch", 3, ("There is no job “nosuch”", "There are: events, deliver, gather")),
    Refusal("doctor --answers nosuch.txt", 2, ("nosuch.txt", "does not exist")),
    Refusal("doctor --answers firm.yaml", 2, ("firm.yaml:1:1", "no TXT record", "IN TXT")),
    Refusal("backup firm.yaml", 4, ("firm.yaml is there already", "nothing was changed")),
    Refusal("backup --keep few", 2, ("--keep", "'few' is not a valid")),
    Refusal("restore nosuch.zip", 3, ("There is no file nosuch.zip", "asterism backup")),
    Refusal("restore firm.yaml --replace", 2, ("no whole backup", "nothing was changed")),
    Refusal("demo .", 4, ("holds something that is no demo", "asterism demo DIR")),
    Refusal("demo firm.yaml", 4, ("holds something that is no demo", "asterism demo DIR")),
)  # fmt: skip


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda r: f"{r.command} is {r.code}")
def test_it_is_told_plainly_and_nothing_is_changed(
    refusal: Refusal, steps: Steps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = steps.copy(refusal.step, tmp_path / "workspace")
    monkeypatch.chdir(door.folder)
    before = door.state()
    said = door(
        "--as", refusal.actor, *refusal.command.split(), *refusal.rest, code=refusal.code
    )  # fmt: skip
    assert said.out == ""
    for words in refusal.words:
        assert words in said.err
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", said.err), "what no terminal should get"
    assert said.err.count("\n") >= 2, "what next is missing"
    told = said.err.replace("\nError: ", "\n")  # click's own word for a wrong argument
    assert not [word for word in NOT_OUR_WORDS if word in told]
    assert door.state() == before


@pytest.mark.parametrize("arguments", [("gathr",), ("curate", "kep"), ("issue", "nosuch")])
def test_a_command_that_is_none(arguments: tuple[str, ...]) -> None:
    said = call(*arguments)
    assert (said.code, said.out) == (2, "")
    assert f"No such command '{arguments[-1]}'" in said.err
    assert "--help" in said.err


@pytest.mark.parametrize("command", ["check", "gather", "status", "schema", "deliver"])
def test_a_folder_that_is_no_workspace(command: str, tmp_path: Path) -> None:
    for folder, words in (
        (tmp_path / "nowhere", "There is no folder"),
        (tmp_path, "is no workspace: firm.yaml, feeds.yaml and constellations/ are missing"),
    ):
        said = call("-C", str(folder), command)
        assert (said.code, said.out) == (2, "")
        assert words in said.err
        assert "asterism init DIR" in said.err
    assert not list(tmp_path.iterdir())
