"""The sample workspace: its files, its world, its people and its first issue."""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.model.news import PoolStory
from pipeline.parsers.local import LocalParser
from pipeline.rules.letters.tokens import HmacTokens
from pipeline.rules.people.address import normalise
from pipeline.stages.compose import approve, open_issues, show
from pipeline.stages.curate import import_file
from pipeline.stages.people import import_people
from pipeline.stores.migrate import migrate
from pipeline.stores.sql import SqlStore
from pipeline.transports.file import FileTransport
from tests.builders import SECRET, StandingClock
from tests.sample.newsstand import ISSUE, SAMPLE, TUESDAY, WORLD, Newsstand, made, publishers

CURATED = "curated/under-load-1.md"

#: What we would keep or note, had we to fill the issue; judged by reading, not by their score.
KEEPERS = (
    "Tarnholm prints a date", "A drill for 39 euros", "Pellam takes its head of service",
    "Four authorities, one list", "Orrin & Stave verdient", "Nordhaken closes its spare-parts",
    "Vantry shows a wall chaser", "Brackwell kauft", "Cell prices fall", "Brackwell starts selling",
    "Buildmere to rent out", "Toolyard Hire puts a counter", "Anvil opens a repair hall",
    "Hallam Peake takes its hedge", "Two hire firms stop", "Dust limits on building sites",
)  # fmt: skip


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Newsstand]:
    url = f"sqlite:///{tmp_path / 'sample.db'}"
    migrate(url)
    store, parser = SqlStore(url, SECRET), LocalParser()
    workspace = made(tmp_path / "workspace")
    yield Newsstand(store, workspace, workspace.catalog(), StandingClock(TUESDAY), parser)
    parser.close()
    store.close()


def pool(stand: Newsstand) -> list[PoolStory]:
    with stand.store.read() as tables:
        return list(tables.stories.pool("power-tools", TUESDAY.replace(month=10)))


def left_out(stand: Newsstand) -> dict[str, str]:
    """Title → why, of every story that is not in the pool."""
    found = {}
    with stand.store.read() as tables:
        for item in tables.stories.items_since(TUESDAY.replace(month=10)):
            (look,) = tables.stories.pools_of(item.story_id)
            if look["left_out"]:
                found[item.title] = look["left_out"]
    return found


def test_the_files_are_right_and_every_source_has_its_publisher(stand: Newsstand) -> None:
    assert {s.key for s in stand.catalog.sources} == set(publishers())
    said = re.findall(r"https://[a-z.-]+", (SAMPLE / "feeds.yaml").read_text())
    assert sorted(said) == sorted(p["address"] for p in publishers().values())
    (constellation,) = stand.catalog.constellations
    assert len(constellation.accounts) == 12
    assert {n.key for n in constellation.newsletters} == {"under-load", "under-load-month"}


def test_the_world_serves_what_its_list_says() -> None:
    named = {name for publisher in publishers().values() for name in publisher["rounds"]}
    there = {path.name for path in WORLD.iterdir() if path.suffix != ".toml"}
    assert named == there
    assert [key for key, p in publishers().items() if not p["rounds"]] == ["bench-notes"]
    assert [key for key, p in publishers().items() if len(p["rounds"]) == 1] == ["cell-and-pack"]


def test_the_first_eight_stories_are_worth_keeping(stand: Newsstand) -> None:
    for number in (1, 2):
        stand.round(number)
        first = [p.story.title for p in pool(stand)[:8]]
        kept = [title for title in first if title.startswith(KEEPERS)]
        assert len(kept) >= 6, first
    tail = [p.story.title for p in pool(stand)[-4:]]
    assert not any(title.startswith(KEEPERS) for title in tail), tail


def test_what_is_noise_is_left_out_with_its_reason(stand: Newsstand) -> None:
    stand.round(1)
    nothing = "Names none of the accounts and has none of the words"
    assert left_out(stand) == {
        "Reader offer: the Tool Trade thermal mug at half price":
            "Has a word to ignore: “reader offer”, “sponsored”",
        "Five soups from one pumpkin": "Has a word to ignore: “recipe”",
        "Gewinnspiel: ein Wochenende im Harz": "Has a word to ignore: “Gewinnspiel”",
        "Millbridge Rovers hold City to a draw in the fog": nothing,
        "An island stores its summer": nothing,
        "Opening hours over the holidays": nothing,
    }  # fmt: skip


def test_one_event_told_by_three_is_one_story(stand: Newsstand) -> None:
    stand.round(1)
    first, *others = pool(stand)
    assert {i.source_key for i in first.story.tellings} == {
        "tool-trade-weekly", "site-gazette", "shelf-report",
    }  # fmt: skip
    assert all(len(p.story.tellings) <= 1 for p in others)
    assert "Told by three sources" in [part.why for part in first.score.parts]


def test_the_second_round_brings_only_what_is_new(stand: Newsstand) -> None:
    stand.round(1)
    second = stand.round(2)
    assert (second.opened, second.joined) == (6, 0)
    assert stand.round(2).items == 0


def test_hostile_markup_ends_as_plain_text(stand: Newsstand) -> None:
    stand.round(1)
    stand.round(2)
    chaser = next(p.story for p in pool(stand) if "wall chaser" in p.story.title)
    assert chaser.title == "Vantry shows a wall chaser that needs no dust bag"
    (item,) = chaser.tellings
    stored = f"{item.title} {item.text} {item.summary_html}"
    for trace in ("<script", "onerror", "onmouseover", "javascript:", "<iframe", "<form", "<svg",
                  "base64", "\ue000", "\ue001", "\r"):  # fmt: skip
        assert trace not in stored
    raw = (WORLD / "tool-trade-weekly-2.xml").read_text(encoding="utf-8")
    for trace in ("<script", "onerror", "javascript:", "\ue000", "&#13;&#10;", "base64"):
        assert trace in raw


def test_the_people_file_has_all_kinds_of_people(stand: Newsstand) -> None:
    raw = (SAMPLE / "people.csv").read_bytes()
    stand.round(1)
    tally = import_people(stand.ports(), raw, "people.csv")
    assert (tally.rows, tally.new, tally.left, tally.invalid, tally.without_basis) == (
        26, 23, 1, 2, 2,
    )  # fmt: skip
    again = import_people(stand.ports(), raw, "people.csv")
    assert (again.same, again.left, again.new, again.changed) == (23, 1, 0, 0)
    rows = list(csv.DictReader(raw.decode().splitlines()))
    assert {row["language"] for row in rows} == {"en", "de", "fr", "nl"}
    assert len({row["time zone"] for row in rows}) >= 6
    assert max(len(row["first name"] + row["last name"]) for row in rows) > 40


def test_every_address_is_invented() -> None:
    for path in SAMPLE.rglob("*"):
        if path.is_file() and path.suffix != ".toml":
            text = path.read_bytes().decode("latin-1")
            for host in re.findall(r"https?://([\w.-]+)", text):
                assert host.endswith(".example") or host in (
                    "jsonfeed.org",
                    "www.w3.org",
                    "purl.org",
                )
            for address in re.findall(r"[\w.+-]+@[\w.-]+\w", text):
                assert normalise(address).endswith(".example")


def test_the_curated_file_makes_an_issue_that_can_be_approved(
    stand: Newsstand, tmp_path: Path
) -> None:
    stand.round(1)
    stand.round(2)
    ports = replace(
        stand.ports("maren"), tokens=HmacTokens(SECRET), transport=FileTransport(tmp_path / "mail")
    )
    import_people(ports, (SAMPLE / "people.csv").read_bytes(), "people.csv")
    open_issues(ports)
    text = (stand.workspace.root / CURATED).read_text(encoding="utf-8")
    tally = import_file(ports, text, CURATED)
    assert (tally.notes, tally.dropped, tally.applied) == (1, 1, True)
    assert import_file(ports, text, CURATED).unchanged
    view = show(ports, ISSUE)
    assert [p.snippet.section for p in view.stories] == ["main"] * 6 + ["noted"] * 4
    assert [f.code for f in view.findings] == ["confidence"]
    assert view.arithmetic.reconciles
    approve(replace(ports, actor="henrik"), ISSUE, clear=("6",))
    assert show(ports, ISSUE).findings == ()


def test_the_list_of_the_world_is_plain_toml() -> None:
    for publisher in tomllib.loads((WORLD / "world.toml").read_text(encoding="utf-8")).values():
        assert set(publisher) == {"address", "type", "rounds"}
