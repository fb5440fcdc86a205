"""The demo from end to end, run once as a person runs it, in the place of an older one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from pipeline.demo.run import ISSUE, MARKER, THURSDAY, make_room
from pipeline.demo.world import OUTSIDE
from pipeline.errors import Conflict
from tests.door import call, clean_environment
from tests.sample.test_sample import KEEPERS

HOSTILE = ("<script", "onerror", "onmouseover", "javascript:", "<iframe", "<form", "<svg", "base64",
           "\ue000", "\ue001")  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """A demo that has run: its folder, and what stood on the terminal."""

    folder: Path
    out: str
    err: str

    def ask(self, *arguments: str) -> Any:
        said = call("-C", str(self.folder), *arguments, "--json",
                    environment={"ASTERISM_NOW": THURSDAY})  # fmt: skip
        assert said.code == 0, said
        return json.loads(said.out)

    def letters(self) -> Iterator[EmailMessage]:
        for path in sorted(self.folder.glob("output/mail/**/*.eml")):
            message = message_from_bytes(path.read_bytes(), policy=policy.default)
            assert isinstance(message, EmailMessage)
            yield message

    def step(self, command: str) -> str:
        """What one command of the run said, up to the next one."""
        return self.out.split(f"$ asterism {command}\n")[1].split("\n$ asterism ")[0]


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    folder = tmp_path_factory.mktemp("demo") / "output" / "demo"
    older = folder / "output/mail/under-load/1"
    older.mkdir(parents=True)
    (folder / MARKER).touch()
    (older / "left-behind.eml").write_text("To: nobody@nowhere.example\n\n", encoding="utf-8")
    (folder / "output/asterism.db").write_bytes(b"no database")
    (folder / "firm.yaml").write_text("{half a file", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "demo", str(folder)],
        env=clean_environment({"ASTERISM_SECRET": "of another workspace, and long enough"}),
        capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return Shown(folder, done.stdout, done.stderr)


class Links(HTMLParser):
    """Where a page leads."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attributes if name in ("href", "src") and value]


def test_demo_says_each_step_and_where_to_look(shown: Shown) -> None:
    assert shown.err == ""
    assert "\x1b" not in shown.out
    assert shown.out.rstrip().endswith(f"Where to look\n  {shown.folder}/index.html")
    steps = re.findall(r"^\$ asterism (.+)$", shown.out, re.MULTILINE)
    assert {"check", "gather", "issue open", "deliver"} <= set(steps)
    for step in steps:
        words = re.sub(r"^--as \w+ ", "", step).split()
        assert call(*words[:1], "--help").code == 0, "only commands that any user has"


def test_demo_again_replaces_the_one_before(shown: Shown) -> None:
    assert (shown.folder / MARKER).exists()
    assert not list(shown.folder.rglob("left-behind.eml"))
    assert shown.ask("status")["firm"] == "Ferrier & Wick"


def test_every_link_of_its_pages_leads_somewhere(shown: Shown) -> None:
    index = shown.folder / "index.html"
    local: set[Path] = set()
    waiting = [index, shown.folder / "account.html"]
    while waiting:
        page = waiting.pop()
        ours = page.name in ("index.html", "account.html")  # letters lead to the web
        for link in Links(page).found if ours else []:
            parts = urlsplit(link)
            assert parts.scheme in ("", "data"), f"{page}: {link}"
            target = (page.parent / unquote(parts.path)).resolve()
            if parts.scheme or target in local or not parts.path:
                continue
            assert target.is_file(), f"{page}: {link}"
            assert target.is_relative_to(shown.folder.resolve())
            local.add(target)
            waiting += [target] if target.suffix == ".html" else []
    letters = {path.resolve() for path in shown.folder.glob("output/mail/*/*/*.eml")}
    assert letters <= local, "every letter can be reached"
    assert len([p for p in local if p.parent.name == "previews"]) == 10, "five editions, two parts"


def test_the_sums_reconcile(shown: Shown) -> None:
    sum_ = shown.ask("issue", "show", ISSUE)["arithmetic"]
    left_out = dict(sum_["left_out"])
    assert sum_["contacts"] - sum(left_out.values()) == sum_["letters"]
    to = [message["To"].addresses[0].addr_spec for message in shown.letters()]
    assert len(to) == len(set(to)) == sum_["letters"] + sum_["sales"]
    assert sum(message["List-Id"] is not None for message in shown.letters()) == sum_["letters"]
    assert f"= {sum_['letters']} letters, each once." in shown.out
    audience = shown.ask("issue", "audience", ISSUE, "--out")
    assert len(audience) == sum(left_out.values())
    for one in audience:
        assert one["reason"] in left_out
        assert re.search(rf"^    {one['name']} \(", shown.out, re.MULTILINE), "everyone by name"
    assert shown.step("deliver").startswith(f"{ISSUE}: sent.")
    assert "Nothing is waiting to go out." in shown.out, "nothing goes twice"


def test_the_dead_source_is_named_and_an_unchanged_one_told(shown: Shown) -> None:
    assert "6 of 7 sources answered. Bench Notes: The server answered 503" in shown.out
    first, second = (part.split("\n$ asterism ")[0]
                     for part in shown.out.split("$ asterism gather\n")[1:3])  # fmt: skip
    assert "Cell & Pack" in first
    assert re.search(r"Cell & Pack +unchanged +nothing new", second)
    assert len(re.findall(r" unchanged ", second)) == 1


def test_three_tellings_are_one_story_and_the_pool_is_worth_reading(shown: Shown) -> None:
    pool = shown.ask("stories", "--limit", "100")["power-tools"]
    news = [one["story"] for one in pool if one["story"]["kind"] == "news"]
    told = [story for story in news if len(story["tellings"]) > 1]
    assert [len(story["tellings"]) for story in told] == [3]
    assert told[0]["title"].startswith("Tarnholm prints a date")
    first = re.findall(r"^ +[1-8]  (.+)$", shown.out.split("$ asterism stories")[1], re.MULTILINE)
    assert len([title for title in first[:8] if title.startswith(KEEPERS)]) >= 6, first[:8]


def test_hostile_markup_is_in_no_letter_and_on_no_page(shown: Shown) -> None:
    raw = (OUTSIDE / "tool-trade-weekly-2.xml").read_text(encoding="utf-8")
    assert all(trace in raw for trace in ("<script", "onerror", "javascript:"))
    texts = [str(part.get_content()) for message in shown.letters() for part in message.walk()
             if part.get_content_maintype() == "text"]  # fmt: skip
    assert any("wall chaser" in text for text in texts), "the story itself is told"
    pages = [
        path.read_text(encoding="utf-8") for path in shown.folder.glob("output/previews/*.html")
    ]
    assert len(pages) == 5
    for trace in HOSTILE:
        assert not [text for text in texts + pages if trace in text.lower()], trace


def test_it_ends_at_the_untouched_by_name(shown: Shown) -> None:
    assert "Not touched: Lodestar Fastening, Maison Vauquelin." in shown.out
    page = (shown.folder / "index.html").read_text(encoding="utf-8")
    assert "Lodestar Fastening" in page


def test_a_folder_that_is_no_demo_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    said = call("demo", str(tmp_path))
    assert said.code == 4
    assert "is no demo" in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_room_is_made_where_we_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`asterism demo .` in a demo: the folder itself stays, and so does the marker."""
    demo = tmp_path / "demo"
    (demo / "output" / "mail").mkdir(parents=True)
    (demo / MARKER).touch()
    (demo / "elsewhere").symlink_to(tmp_path)
    (tmp_path / "thesis.txt").touch()
    monkeypatch.chdir(demo)
    make_room(Path())
    assert [path.name for path in demo.iterdir()] == [MARKER]
    assert (tmp_path / "thesis.txt").exists(), "a link is taken away, not what it leads to"
    (demo / MARKER).unlink()
    (demo / "file").touch()
    for taken in (Path(), Path("file")):
        with pytest.raises(Conflict):
            make_room(taken)
