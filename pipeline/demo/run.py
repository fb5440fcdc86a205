"""The demo: an invented firm, two days of news, one issue; only commands that anybody has."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from pipeline.demo.page import Said, write_page
from pipeline.demo.world import World, read_world
from pipeline.errors import AsterismError, Conflict

#: Lies in the folder that a demo made; only such a folder is ever replaced.
MARKER = ".asterism-demo"
TUESDAY = "2026-11-17T08:00:00+00:00"
WEDNESDAY = "2026-11-18T08:00:00+00:00"
THURSDAY = "2026-11-19T07:31:00+00:00"
ISSUE = "under-load/1"
CONSTELLATION = "power-tools"
LINES = 40  #: of what a command says, that are shown
#: kind, for whom, heading, what it is
EDITIONS = (
    ("prospect", "milosz.zielinski@anvil.example", "The prospect edition",
     "commentary, then an invitation that asks for nothing"),
    ("customer", "philippa.hallam@hallampeake.example", "The customer edition",
     "the same stories, what is new with us, one service"),
    ("prospect", "ingrid.saether@tarnholm.example", "The copy of a company in the news",
     "re-worded for the company that the first story is about"),
    ("sales", "ruth", "A sales edition", "internal: one owner’s accounts, ready to forward"),
    ("public", "", "The issue on the web", "what the link in every letter shows"),
)  # fmt: skip


#: Runs one command of the command line: (arguments, environment) → what it prints.
Give = Callable[[Sequence[str], Mapping[str, str]], str]


@dataclass(slots=True)
class Demo:
    """One run: the workspace, the world around it, and what was said."""

    folder: Path
    world: World
    give: Give
    now: str = TUESDAY
    said: list[Said] = field(default_factory=list)

    def environment(self) -> Mapping[str, str]:
        """What the commands find set, besides what a person has set."""
        return {
            "ASTERISM_NOW": self.now,
            "ASTERISM_ALLOW_NETWORKS": "127.0.0.0/8",
            "ASTERISM_ALLOW_PORTS": ",".join(map(str, self.world.ports)),
            "TZ": "Europe/London",
        }

    def call(self, *arguments: str) -> str:
        """Give one command as a person would; its output."""
        try:
            return self.give(["-C", str(self.folder), *arguments], self.environment())
        except AsterismError as error:
            raise AsterismError(
                f"The demo stopped at: asterism {' '.join(arguments)}",
                f"{error}\nIts folder is {self.folder}; please report this.",
            ) from error

    def step(self, title: str, *arguments: str) -> None:
        """One step of the demo: say it, do it, show what it says."""
        command = "asterism " + " ".join(a if " " not in a else f'"{a}"' for a in arguments)
        click.echo(f"\n{click.style(title, bold=True)}\n{click.style('$ ' + command, dim=True)}")
        output = self.call(*arguments)
        shown = output.rstrip().splitlines()
        click.echo("\n".join(shown[:LINES]))
        if len(shown) > LINES:
            click.echo(click.style(f"  … {len(shown) - LINES} lines more", dim=True))
        self.said.append(Said(title, command, output))

    def ask(self, *arguments: str) -> Any:
        """What a command says to a machine."""
        return json.loads(self.call(*arguments, "--json"))


def run(folder: Path, give: Give) -> None:
    """Make the workspace anew, run the main job on it, and say where to look.

    Raises: Conflict when the folder holds something that is no demo
    """
    make_room(folder)
    world = read_world()
    with world.open():
        demo = Demo(folder, world, give)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARKER).touch()
        demo.step("A workspace is made", "init", str(folder), "--sample")
        feeds = folder / "feeds.yaml"
        feeds.write_text(world.moved_in(feeds.read_text(encoding="utf-8")), encoding="utf-8")
        _main_job(demo)
        _summary(demo)


def make_room(folder: Path) -> None:
    if (folder / MARKER).is_file():
        _empty(folder)
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict(
            f"{folder} holds something that is no demo.", "Name another folder: asterism demo DIR"
        )


def _empty(folder: Path) -> None:
    """Take everything away but the marker: whoever stops us here can begin again."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != MARKER:
            path.unlink()


def _main_job(demo: Demo) -> None:
    demo.step("The files are read, all of them at once", "check")
    people = str(demo.folder / "people.csv")
    demo.step("The people, first only counted", "people", "import", people, "--dry-run")
    demo.step("Then brought in", "people", "import", people)
    demo.step("Ruth holds letters to somebody back", "--as", "ruth", "people", "hold",
              "omar.haddad@vantry.example", "--reason", "I call him on Friday")  # fmt: skip
    demo.step("Somebody is away until spring", "--as", "jonas", "people", "pause",
              "marit.eide@sorvik.example", "--until", "2027-03-01")  # fmt: skip
    demo.step("Tuesday morning: the sources are asked", "gather")
    demo.now, demo.world.round = WEDNESDAY, 2
    demo.step("Wednesday morning: asked again", "gather")
    demo.step("What an editor sees first", "stories", CONSTELLATION, "--limit", "8")
    demo.step("Thursday is near: an issue is opened", "issue", "open")
    curated = str(demo.folder / "curated" / "under-load-1.md")
    demo.step("The curator's file comes back", "--as", "maren", "curate", "import", curated)
    demo.step("What is still missing, and who will get it", "issue", "show", ISSUE)
    for kind, reader, heading, _ in EDITIONS:
        whose = ("--for", reader) if reader else ()
        demo.step(heading, "issue", "preview", ISSUE, "--edition", kind, *whose)
    demo.step("Somebody says yes, once", "--as", "henrik", "issue", "approve", ISSUE,
              "--clear", "6")  # fmt: skip
    demo.now = THURSDAY
    demo.step("Thursday, 07:31: it goes out", "deliver")
    demo.step("Again, to be sure: nothing goes twice", "deliver")
    demo.step("Who was touched this month", "coverage", CONSTELLATION)
    demo.step("How that issue went, from the store", "explain", "issue", ISSUE)


def _summary(demo: Demo) -> None:
    facts = _facts(demo)
    page = write_page(demo.folder, demo.said, facts)
    click.echo("\n" + click.style("In short", bold=True))
    for line in _in_short(facts):
        click.echo(f"  {line}")
    click.echo(f"\n{click.style('Where to look', bold=True)}\n  {page}")


def _facts(demo: Demo) -> dict[str, Any]:
    """What the commands say to a machine, by the names that the page gives it."""
    coverage = demo.ask("coverage", CONSTELLATION)[0]
    touched = [a for a in coverage["accounts"] if a["by_machine"] or a["by_hand"]]
    return {
        "status": demo.ask("status"),
        "issue": demo.ask("issue", "show", ISSUE),
        "audience": demo.ask("issue", "audience", ISSUE),
        "pool": demo.ask("stories", CONSTELLATION, "--limit", "500")[CONSTELLATION],
        "coverage": {
            "accounts": coverage["accounts"],
            "touched": len(touched),
            "untouched": [a["name"] for a in coverage["accounts"] if a not in touched],
        },
        "editions": [
            {"title": heading, "what": what, **_files(demo, heading)}
            for _, _, heading, what in EDITIONS
        ],
        "folder": str(demo.folder),
    }


def _files(demo: Demo, heading: str) -> dict[str, str]:
    """The two files that a preview named in its last lines, as links from the index page."""
    said = next(one for one in demo.said if one.title == heading)
    html, text = (Path(line.strip()) for line in said.output.splitlines()[-2:])
    return {
        "html": html.relative_to(demo.folder).as_posix(),
        "text": text.relative_to(demo.folder).as_posix(),
    }


def _in_short(facts: Mapping[str, Any]) -> Iterator[str]:
    sources = facts["status"]["sources"]
    dead = [f"{one['name']}: {one['detail']}" for one in sources if one["health"] != "healthy"]
    yield f"{len(sources) - len(dead)} of {len(sources)} sources answered. " + " ".join(dead)
    yield (
        f"{facts['status']['items']} items, {facts['status']['stories']} stories, "
        f"{len(facts['pool'])} in the pool, {len(facts['issue']['stories'])} snippets."
    )
    sum_ = facts["issue"]["arithmetic"]
    left_out = " ".join(f"− {n} {r.replace('_', ' ')}" for r, n in sum_["left_out"])
    yield f"{sum_['contacts']} contacts {left_out} = {sum_['letters']} letters, each once."
    for one in facts["audience"]:
        if not one["gets"]:
            why = one["detail"] or one["reason"].replace("_", " ")
            yield f"  {one['name']} ({one['account']}): {one['reason'].replace('_', ' ')}, {why}"
    coverage = facts["coverage"]
    yield f"{coverage['touched']} of {len(coverage['accounts'])} accounts touched this month."
    yield f"Not touched: {', '.join(coverage['untouched']) or 'none'}."
