"""One story from a feed to an inbox to leave, through the real doors, in a workspace of ferries.

The outside is a local server over real sockets, the database is a real one, the program is run
as a person runs it, and the reader's page is asked over HTTP.
"""

from __future__ import annotations

import email
import email.policy
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from pipeline.demo.world import Publisher, World

HERE = Path(__file__).parent / "story_workspace"
TEMPLATES = Path(__file__).parents[1] / "templates"
MONDAY = "2027-03-08T09:00:00+00:00"
LATER = "2027-03-08T11:30:00+00:00"
THURSDAY = "2027-03-11T06:31:00+00:00"  # 07:31 in Oslo
NEXT_MONDAY = "2027-03-15T09:00:00+00:00"
NEXT_THURSDAY = "2027-03-18T06:31:00+00:00"

ORDERED = "Northline has ordered two ships that run on batteries."

TAKE = "The quay decides, {{first_name|dear reader}}."

SECOND_WEEK = b"""<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0"><channel><title>Coast Wire</title><link>https://coastwire.example/</link>
<item><guid isPermaLink="false">cw-9</guid>
<title>Blue Strait raises the price of the night ferry</title>
<link>https://coastwire.example/2027/03/blue-strait-price</link>
<pubDate>Mon, 15 Mar 2027 06:00:00 GMT</pubDate>
<description>From May the night ferry of Blue Strait costs nine per cent more.</description></item>
</channel></rss>
"""


@dataclass
class Firm:
    """A workspace, and the program run in it as a person would."""

    folder: Path
    world: World
    database_url: str
    now: str = MONDAY
    said: list[str] = field(default_factory=list)

    def environment(self) -> Mapping[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("ASTERISM_")}
        return {
            **clean,
            "ASTERISM_NOW": self.now,
            "ASTERISM_DATABASE_URL": self.database_url,
            "ASTERISM_SECRET": "a secret for the story test, long enough",
            "ASTERISM_ALLOW_NETWORKS": "127.0.0.0/8",
            "ASTERISM_ALLOW_PORTS": ",".join(map(str, self.world.ports)),
            "PYTHONIOENCODING": "utf-8",
        }

    def run(self, *arguments: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "pipeline", "-C", str(self.folder), *arguments]
        done = subprocess.run(
            command, env=self.environment(), capture_output=True, text=True, encoding="utf-8"
        )
        assert done.returncode == code, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def ask(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json"))

    def letters(self) -> dict[str, EmailMessage]:
        """What lies in the outbox, by recipient's address; sales editions apart."""
        found = {}
        for path in sorted((self.folder / "output" / "mail").rglob("*.eml")):
            message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            address = message["To"].addresses[0].addr_spec
            kind = "" if message["List-Id"] else "sales:"
            found[f"{path.parent.name}:{kind}{address}"] = message
        return found


@pytest.fixture
def firm(tmp_path: Path, database_url: str) -> Iterator[Firm]:
    folder = tmp_path / "quay"
    shutil.copytree(HERE, folder)
    shutil.copytree(TEMPLATES, folder / "templates")
    world = World(
        (
            Publisher(
                "https://coastwire.example",
                "application/rss+xml",
                ((HERE / "world/coast-wire.xml").read_bytes(), SECOND_WEEK),
            ),
            Publisher(
                "https://harbournews.example",
                "application/atom+xml",
                ((HERE / "world/harbour-news.xml").read_bytes(),),
            ),
        )
    )
    with world.open():
        feeds = folder / "feeds.yaml"
        feeds.write_text(world.moved_in(feeds.read_text()))
        yield Firm(folder, world, database_url)


@dataclass
class Pages:
    """The public pages, served by the program."""

    address: str

    def ask(self, method: str, url: str, body: str = "") -> tuple[int, str]:
        to = urlsplit(self.address)
        connection = http.client.HTTPConnection(str(to.hostname), to.port, timeout=120)
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        connection.request(method, urlsplit(url).path, body or None, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text


@pytest.fixture
def pages(firm: Firm) -> Iterator[Pages]:
    firm.run("check")
    command = [sys.executable, "-u", "-m", "pipeline", "-C", str(firm.folder)]
    with subprocess.Popen(
        [*command, "serve", "--public-only", "--port", "0"],
        env={**firm.environment(), "ASTERISM_NOW": THURSDAY},
        stdout=subprocess.PIPE,
        text=True,
    ) as serving:
        assert serving.stdout
        line = serving.stdout.readline()
        address = re.search(r"http://\S+?:\d+", line)
        assert address, line
        yield Pages(address[0])
        serving.terminate()


def take(firm: Firm, ref: str, story: str, fact: str, words: str) -> None:
    firm.run("--as", "eva", "curate", "write", ref, story, "--title", "What the quay says",
             "--fact", fact, "--take", words,
             "--question", "Which of your quays could do that?")  # fmt: skip


def test_a_story_goes_from_a_feed_to_an_inbox_to_leave(firm: Firm, pages: Pages) -> None:
    first_round(firm)
    ref = "between-quays/1"
    curate(firm, ref)
    approve(firm, ref)
    letter = deliver(firm)
    leave(firm, pages, letter)
    second_week(firm)


def first_round(firm: Firm) -> None:
    tally = firm.ask("people", "import", str(firm.folder / "people.csv"))
    assert (tally["new"], tally["without_basis"], tally["invalid"]) == (4, 1, 0)
    again = firm.ask("people", "import", str(firm.folder / "people.csv"))
    assert (again["new"], again["changed"], again["same"]) == (0, 0, 4)
    round_ = firm.ask("gather")
    assert {o["outcome"] for o in round_["gathered"]["outcomes"]} == {"fetched"}
    assert round_["gathered"]["new"] == 4
    firm.now = LATER
    unchanged = firm.ask("gather")
    assert {o["outcome"] for o in unchanged["gathered"]["outcomes"]} == {"unchanged"}
    assert unchanged["gathered"]["new"] == 0


def curate(firm: Firm, ref: str) -> None:
    pool = firm.ask("stories", "ferries")["ferries"]
    titles = [one["story"]["title"] for one in pool]
    assert "Ten recipes for the first rhubarb" not in titles
    northline = pool[0]["story"]
    assert len(northline["tellings"]) == 2, "one event, told twice, is one story"
    assert {m["account_key"] for m in northline["mentions"]} == {"northline"}
    opened = firm.ask("issue", "open")
    assert [issue["newsletter_key"] for issue in opened["opened"]] == ["between-quays"]
    for kept in firm.ask("issue", "show", ref)["stories"]:
        if kept["snippet"]["story_public_id"] != northline["public_id"]:
            firm.run("--as", "eva", "curate", "remove", ref, kept["snippet"]["story_public_id"])
    take(firm, ref, northline["public_id"], ORDERED, "A first draft.")
    take(firm, ref, northline["public_id"], ORDERED, TAKE)
    firm.run("--as", "eva", "curate", "undo")
    shown = firm.ask("issue", "show", ref)["stories"]
    assert [s["snippet"]["take"] for s in shown] == ["A first draft."], "undo gives it back"
    take(firm, ref, northline["public_id"], ORDERED, TAKE)
    held = firm.run("--as", "liv", "issue", "approve", ref, code=4)
    assert "theme" in held
    firm.run("--as", "eva", "issue", "write", ref,
             "--subject", "Two ships, one cable",
             "--preheader", "Northline orders ships that charge in eleven minutes, and we ask "
             "which quay could do the same by then.",
             "--theme", "The week of the cable",
             "--opening", "One story this week, and it is about a quay.")  # fmt: skip


def approve(firm: Firm, ref: str) -> None:
    firm.run("--as", "eva", "issue", "approve", ref, code=4)
    preview = firm.ask("issue", "preview", ref, "--for", "jon@skagenruter.example")
    approved = firm.ask("--as", "liv", "issue", "approve", ref)["arithmetic"]
    assert approved["contacts"] == 4
    assert dict(approved["left_out"]) == {"no_basis": 1, "too_little_left": 1}
    assert dict(approved["by_kind"]) == {"prospect": 1, "customer": 1}
    assert not (firm.folder / "output" / "mail").exists()
    firm.run("deliver")
    assert not firm.letters(), "nothing goes before it is due"
    firm.now = THURSDAY
    firm.run("deliver")
    letters = firm.letters()
    jon = letters["1:jon@skagenruter.example"]
    assert content(jon, "html") == preview["html"], "the preview is the letter"
    assert content(jon, "plain") == preview["text"]


def content(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def deliver(firm: Firm) -> EmailMessage:
    before = {path: path.read_bytes() for path in (firm.folder / "output/mail").rglob("*.eml")}
    firm.run("deliver")
    after = {path: path.read_bytes() for path in (firm.folder / "output/mail").rglob("*.eml")}
    assert before == after, "a second run changes nothing"
    letters = firm.letters()
    ours = {key.rsplit(":", 1)[1].lower() for key in letters if "sales:" not in key}
    assert ours == {"jon@skagenruter.example", "ida@bluestrait.example"}
    letter = next(m for key, m in letters.items() if key.lower().endswith("ida@bluestrait.example"))
    assert letter["Subject"] == "Two ships, one cable"
    assert letter["From"].addresses[0].display_name == "Tom Reyes", "the account's owner sends"
    assert "The quay decides, Ída." in content(letter, "plain")
    for part in ("plain", "html"):
        text = " ".join(unescape(content(letter, part)).replace("\xa0", " ").split())
        assert text.count("We time ferries, so that you need not guess.") == 1
        assert "Strandgaten 3" in text
        assert "her question by mail" in text
        assert not re.search("prospect|customer|Skagen", text, re.IGNORECASE)
    assert letter["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    coverage = firm.ask("coverage", "ferries")[0]
    assert {a["key"]: a["by_machine"] for a in coverage["accounts"]} == {
        "northline": 0, "skagen-ruter": 1, "blue-strait": 1}  # fmt: skip
    assert coverage["beats_kept"] == 1
    return letter


def leave(firm: Firm, pages: Pages, letter: EmailMessage) -> None:
    url = str(letter["List-Unsubscribe"]).strip("<>")
    web = re.search(r"https://letters\.quaytide\.example/issues/\S+", content(letter, "plain"))
    assert web
    status, page = pages.ask("GET", web[0])
    assert status == 200
    assert "What the quay says" in page
    assert not re.search("prospect|customer|Ída|bluestrait", page, re.IGNORECASE)
    assert pages.ask("GET", url)[0] == 200
    assert not firm.ask("people", "show", "ida@bluestrait.example")["suppressions"]
    status, page = pages.ask("POST", url, "List-Unsubscribe=One-Click")
    assert status == 200
    assert "bluestrait" not in page.lower()
    left = firm.ask("people", "show", "ida@bluestrait.example")["suppressions"]
    assert [(s["scope"], s["reason"]) for s in left] == [("between-quays", "left")]


def second_week(firm: Firm) -> None:
    firm.now, firm.world.round = NEXT_MONDAY, 2
    assert firm.ask("gather")["gathered"]["new"] == 1
    opened = firm.ask("issue", "open")["opened"]
    assert [issue["number"] for issue in opened] == [2]
    ref = "between-quays/2"
    pool = {one["story"]["title"]: one for one in firm.ask("stories", "ferries")["ferries"]}
    price = pool["Blue Strait raises the price of the night ferry"]["story"]["public_id"]
    kept = [s["snippet"]["story_public_id"] for s in firm.ask("issue", "show", ref)["stories"]]
    for story in kept:
        if story != price:
            firm.run("--as", "eva", "curate", "remove", ref, story)
    take(
        firm,
        ref,
        price,
        "A night on the water costs more.",
        "Nine per cent is a question, not an answer.",
    )
    firm.run("--as", "eva", "issue", "write", ref, "--subject", "Nine per cent more",
             "--theme", "The week of the price", "--opening", "One story.",
             "--preheader", "The night ferry costs more from May; we ask what the reader gets "
             "for it, and who will notice first.")  # fmt: skip
    arithmetic = firm.ask("--as", "liv", "issue", "approve", ref)["arithmetic"]
    assert dict(arithmetic["left_out"]) == {"no_basis": 1, "suppressed": 1}
    firm.now = NEXT_THURSDAY
    firm.run("deliver")
    got = {k.rsplit(":", 1)[1] for k in firm.letters() if k.startswith("2:")
           and "sales:" not in k}  # fmt: skip
    assert got == {"ada@northline.example", "jon@skagenruter.example"}
    story = firm.run("explain", "story", price[:8])
    assert "Coast Wire" in story
    contact = firm.run("explain", "contact", "ida@bluestrait.example")
    assert "suppressed" in contact
    issue = firm.run("explain", "issue", ref)
    assert "2 letters" in issue
