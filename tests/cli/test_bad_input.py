"""What goes wrong outside of us: each is told plainly, and nothing is lost."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from tests.door import CONSTELLATION, ISSUE, THURSDAY, Door, Said, clean_environment
from tests.world import Call, World

GOOD = """<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0"><channel><title>Good</title><link>https://good.example/</link><item>
<guid>{name}</guid><title>{title}</title><link>https://good.example/{name}</link>
<pubDate>{date}</pubDate><description>A drill, and a battery pack.</description></item>
</channel></rss>
"""
WEDNESDAY_RFC = "Wed, 18 Nov 2026 06:00:00 GMT"


def refused(door: Door, *arguments: str, code: int, words: tuple[str, ...]) -> str:
    """The command says no in these words, and everything is as it was before."""
    before = door.state()
    said = door(*arguments, code=code)
    for word in words:
        assert word in said.err
    assert said.out == ""
    assert "Traceback" not in said.err
    assert door.state() == before
    return said.err


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new), encoding="utf-8")


def outside(door: Door, *arguments: str, before: tuple[str, ...] = ()) -> Said:
    """The program as a process of its own."""
    done = subprocess.run(
        [*before, sys.executable, "-m", "pipeline", "-C", str(door.folder), *arguments],
        env=clean_environment(door.variables()),
        capture_output=True, encoding="utf-8", check=False, timeout=120,
    )  # fmt: skip
    return Said(done.returncode, done.stdout, done.stderr)


# ── files that people write ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize("command", ["check", "gather", "deliver"])
def test_broken_yaml(made: Door, command: str) -> None:
    change(made.path("feeds.yaml"), "name: Shelf Report", 'name: "Shelf Report')
    said = refused(made, command, code=2, words=("feeds.yaml:", "Nothing was applied"))
    assert re.search(r"^feeds\.yaml:\d+:\d+: ", said, re.MULTILINE)


def test_a_wrong_key(made: Door) -> None:
    change(made.path("feeds.yaml"), "name: Shelf Report", "nmae: Shelf Report")
    refused(
        made, "check", code=2,
        words=("feeds.yaml:", "sources.2.nmae", 'did you mean "name"?'),
    )  # fmt: skip


def test_a_duplicate_account(made: Door) -> None:
    file = made.path(f"constellations/{CONSTELLATION}.yaml")
    change(file, "    aliases: [Tarnholm Tools]\n", "    aliases: [Pellam]\n")
    change(file, "- key: vantry\n", "- key: pellam\n")
    said = refused(made, "check", code=2, words=(f"constellations/{CONSTELLATION}.yaml:",))
    assert "Pellam" in said
    assert '"pellam"' in said
    assert said.count("the first is") == 2


def test_all_mistakes_at_once(made: Door) -> None:
    change(made.path("feeds.yaml"), "pace: 6 h", "pace: often")
    change(made.path("firm.yaml"), "mailbox_read: true", "mailbox_read: perhaps")
    change(made.path(f"constellations/{CONSTELLATION}.yaml"), "approver: henrik", "approver: hnrik")
    said = refused(made, "check", code=2, words=("3 mistakes", 'did you mean "henrik"?'))
    assert len(re.findall(r"^\S+\.yaml:\d+:\d+: ", said, re.MULTILINE)) == 3


def test_a_template_with_an_undefined_name(curated: Door) -> None:
    change(curated.path("templates/letter.txt.j2"), "{{ letter.title }}", "{{ letter.tilte }}")
    words = ("templates/letter.txt.j2:", "tilte")
    refused(curated, "issue", "preview", ISSUE, "--edition", "prospect", code=2, words=words)
    refused(curated, "--as", "henrik", "issue", "approve", ISSUE, code=2, words=words)


def test_a_stale_curated_file(opened: Door) -> None:
    """Meanwhile one story was written on, another came in, a third was taken out."""
    file = opened.path("mine.md")
    opened("curate", "export", ISSUE, "-o", str(file))
    shown = opened.ask("issue", "show", ISSUE)["stories"]
    first, gone = (one["snippet"] for one in shown[:2])
    opened("--as", "jonas", "curate", "write", ISSUE, first["story_public_id"], "--take", "His.")
    opened("--as", "jonas", "curate", "remove", ISSUE, gone["story_public_id"])
    opened("--as", "jonas", "curate", "note", CONSTELLATION, "--title", "New", "--text", "x",
           "--public")  # fmt: skip
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("### Our take\n", "### Our take\nHers.\n", 1), encoding="utf-8")
    said = refused(
        opened, "--as", "maren", "curate", "import", str(file), code=4, words=("--mine", "mine.md:")
    )
    assert "His." in said or "jonas" in said
    opened("--as", "maren", "curate", "import", str(file), "--mine")
    takes = {s["snippet"]["story_public_id"]: s["snippet"]["take"]
             for s in opened.ask("issue", "show", ISSUE)["stories"]}  # fmt: skip
    assert takes[first["story_public_id"]] == "Hers."
    pool = opened.ask("stories", CONSTELLATION, "--limit", "100")[CONSTELLATION]
    assert "New" in {one["story"]["title"] for one in pool}, "what came meanwhile is still there"


def test_a_beat_in_the_gap_of_daylight_saving(made: Door) -> None:
    """On 28 March 2027 there is no 02:30 in Berlin; the letter goes at 03:00."""
    file = made.path(f"constellations/{CONSTELLATION}.yaml")
    change(
        file,
        'on: thursday\n      at: "07:30"\n      zone: Europe/London\n      from: 2026-11-19\n',
        'on: sunday\n      at: "02:30"\n      zone: Europe/Berlin\n      from: 2027-03-28\n',
    )
    made.now = "2027-03-25T09:00:00+00:00"
    made("check")
    said = made("issue", "open")
    assert "due Sun 28 Mar 2027 03:00." in said.out
    (issue,) = made.ask("issue", "list", "under-load")
    assert (issue["beat_on"], issue["due_at"]) == ("2027-03-28", "2027-03-28T01:00:00+00:00")
    assert made.ask("issue", "open")["opened"] == []


# ── sources ──────────────────────────────────────────────────────────────────────────────

MEGABYTE = b"<!-- " + b"x" * 999_990 + b" -->"


class Flood:
    """Sends 100 MB, as long as somebody listens."""

    def __init__(self) -> None:
        self.sent = 0

    def __call__(self, call: Call) -> None:
        call.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/rss+xml\r\n\r\n<rss>")
        for _ in range(100):
            call.send(MEGABYTE)
            self.sent += len(MEGABYTE)


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


def listens_to(door: Door, world: World, *keys: str) -> None:
    """The workspace's sources are these paths of the world."""
    sources = [
        f"  - key: {key}\n    name: {key.title()}\n    url: {world.url(f'/{key}')}\n"
        f"    constellations: [{CONSTELLATION}]\n"
        for key in keys
    ]
    door.path("feeds.yaml").write_text("sources:\n" + "".join(sources), encoding="utf-8")
    door.environment["ASTERISM_ALLOW_PORTS"] = str(world.port)


def good(name: str, title: str = "Vantry shows a drill", date: str = WEDNESDAY_RFC) -> str:
    return GOOD.format(name=name, title=title, date=date)


def news(door: Door) -> list[Any]:
    """The pool without what is new with us."""
    pool = door.ask("stories", "--limit", "100")[CONSTELLATION]
    return [one for one in pool if one["story"]["kind"] == "news"]


def titles(door: Door) -> set[str]:
    with closing(door.database()) as database:
        return {title for (title,) in database.execute("SELECT title FROM items")}


def test_sources_that_send_something_else(gathered: Door, world: World, tmp_path: Path) -> None:
    """Each has its reason in plain words, and the good one among them is heard."""
    before = titles(gathered)
    local = tmp_path / "local.xml"
    local.write_text(good("local", "A local file was read"), encoding="utf-8")
    flood = Flood()
    world.routes["/flood"] = flood
    rss = {"Content_Type": "application/rss+xml"}
    world.says("/html", "<!doctype html><html><title>Hello</title><p>Sign in", **rss)
    world.says("/empty", b"", **rss)
    world.says("/nuls", b"\0" * 50_000, **rss)
    world.says("/name", str(local), **rss)
    world.says("/page", "<!doctype html><html><main><h2>News</h2></main></html>")
    world.says("/good", good("good"), **rss)
    listens_to(gathered, world, "html", "empty", "flood", "nuls", "name", "page", "good")
    change(
        gathered.path("feeds.yaml"),
        f"url: {world.url('/page')}\n",
        f"url: {world.url('/page')}\n    kind: page\n"
        "    selectors: {items: 'ul.news > li', title: h3, link: a}\n",
    )
    said = gathered.ask("gather")["gathered"]["outcomes"]
    outcomes = {one["key"]: one for one in said}
    assert outcomes["good"]["outcome"] == "fetched"
    for key, words in {
        "html": "page",
        "empty": "nothing",
        "flood": "10 MB",
        "nuls": "nothing",
        "name": "feed",
        "page": "ul.news > li",
    }.items():
        assert outcomes[key]["outcome"] == "failed", key
        assert words in outcomes[key]["detail"], outcomes[key]
        assert outcomes[key]["next_check_at"], "it is asked again"
    assert flood.sent < 30_000_000, "most of it was never taken"
    assert titles(gathered) == before | {"Vantry shows a drill"}
    failed = gathered("status").out
    assert "Flood: " in failed


CLUMSY: dict[str, tuple[bytes, str]] = {
    "charset": (
        good("charset", "Größere Akkus für Bohrmaschinen").encode("latin-1"),
        "Größere Akkus für Bohrmaschinen",
    ),
    "nuls": (good("nuls", "A drill\0 that\0 hums").encode(), "A drill that hums"),
    "year0": (
        good("year0", "A drill out of time", "Sat, 00 Jan 0000 00:00:00 GMT").encode(),
        "A drill out of time",
    ),
}


@pytest.mark.parametrize("key", CLUMSY)
def test_clumsy_feeds_are_read_all_the_same(made: Door, world: World, key: str) -> None:
    body, title = CLUMSY[key]
    world.says(f"/{key}", body, Content_Type="application/rss+xml; charset=utf-8")
    listens_to(made, world, key)
    said = made.ask("gather")
    assert [(one["outcome"], one["new"]) for one in said["gathered"]["outcomes"]] == [
        ("fetched", 1)
    ]
    (one,) = news(made)
    assert one["story"]["title"] == title
    assert one["story"]["first_at"].startswith("2026-11-18"), "no day before we saw it is invented"


def test_a_source_that_breaks_later_takes_nothing_along(made: Door, world: World) -> None:
    world.says("/once", good("once"))
    listens_to(made, world, "once")
    made("gather")
    world.says("/once", b"\0\0\0")
    said = made.ask("gather", "--force")
    assert [one["outcome"] for one in said["gathered"]["outcomes"]] == ["failed"]
    assert titles(made) == {"Vantry shows a drill"}
    assert len(news(made)) == 1


# ── people ───────────────────────────────────────────────────────────────────────────────


def people(door: Door) -> dict[str, str]:
    return {one["address"]: one["first_name"] for one in door.ask("people", "list")}


def csv(door: Door, raw: bytes) -> str:
    path = door.path("in.csv")
    path.write_bytes(raw)
    return str(path)


def test_a_csv_with_a_bom_and_semicolons(made: Door) -> None:
    rows = "E-Mail;Vorname;Company\r\nzoë@vantry.example;Zoë;Vantry\r\n"
    tally = made.ask("people", "import", csv(made, rows.encode("utf-8-sig")))
    assert (tally["new"], tally["invalid"]) == (1, 0), tally
    assert list(people(made).values()) == ["Zoë"]


def test_a_csv_without_the_column(made: Door) -> None:
    file = csv(made, b"first name,company\nIngrid,Tarnholm\n")
    words = ("in.csv:1:1", "no column with e-mail addresses", "first name", "Email")
    refused(made, "people", "import", file, code=2, words=words)


def test_the_same_address_twice_in_other_case(made: Door) -> None:
    rows = (
        "email,first name,company\nA.B@Vantry.example,Ann,Vantry\na.b@vantry.EXAMPLE,Bob,Vantry\n"
    )
    tally = made.ask("people", "import", csv(made, rows.encode()))
    assert (tally["new"], tally["invalid"]) == (1, 1)
    (problem,) = tally["problems"]
    assert (problem["line"], problem["column"]) == (3, "email")
    assert "line 2" in problem["what"]
    assert list(people(made).values()) == ["Ann"]


def test_an_address_with_a_line_break(made: Door) -> None:
    evil = '"eve@vantry.example\r\nBcc: all@vantry.example"'
    rows = f"email,first name,company\n{evil},Eve,Vantry\nann@vantry.example,Ann,Vantry\n"
    tally = made.ask("people", "import", csv(made, rows.encode()))
    assert (tally["new"], tally["invalid"]) == (1, 1)
    assert "line break" in tally["problems"][0]["what"]
    assert list(people(made)) == ["ann@vantry.example"]
    shown = made("people", "import", csv(made, rows.encode())).out
    assert "Bcc:" not in [line.strip()[:4] for line in shown.splitlines()], "it stays on its line"


# ── the machine ──────────────────────────────────────────────────────────────────────────


def no_room(kilobytes: int) -> tuple[str, ...]:
    """Files may grow no further than this: for the program, a disk that is full.

    Python must keep no bytecode meanwhile: it would be cut off, and break whatever runs next.
    """
    limited = 'export PYTHONDONTWRITEBYTECODE=1; ulimit -f "$0" && exec "$@"'
    return ("sh", "-c", limited, str(kilobytes * 2))


def copies(door: Door) -> dict[str, int]:
    found: dict[str, int] = {}
    for path in door.path("output/mail").rglob("*.eml"):
        to = message_from_bytes(path.read_bytes())["To"]
        found[to] = found.get(to, 0) + 1
    return found


def test_a_full_disk_under_the_database(gathered: Door, world: World) -> None:
    items = "".join(
        f"<item><guid>{n}</guid><title>A drill, number {n}</title>"
        f"<link>https://good.example/{n}</link><description>{'battery pack ' * 400}</description>"
        "</item>"
        for n in range(100)
    )
    world.says("/many", f'<rss version="2.0"><channel><title>M</title>{items}</channel></rss>')
    listens_to(gathered, world, "many")
    gathered("check")
    before = titles(gathered)
    said = outside(gathered, "gather", before=no_room(200))
    assert said.code == 5, said
    assert "disk" in said.err
    assert "Traceback" not in said.err
    assert titles(gathered) == before, "all or nothing"
    assert gathered.ask("gather", "--force")["gathered"]["new"] == 100


@pytest.mark.parametrize("kilobytes", [20, 100], ids=["before the first copy", "among them"])
def test_a_full_disk_while_delivering(approved: Door, kilobytes: int) -> None:
    approved.now = THURSDAY
    sum_ = approved.ask("issue", "show", ISSUE)["arithmetic"]
    said = outside(approved, "deliver", before=no_room(kilobytes))
    assert said.code == 5, said
    assert "run the command again" in said.err
    assert "nothing was changed" not in said.err, "copies may be out"
    assert "Traceback" not in said.err
    approved("deliver")
    assert len(copies(approved)) == sum_["letters"] + sum_["sales"]
    assert set(copies(approved).values()) == {1}, "once each"


def test_a_full_disk_under_a_curators_file(curated: Door, tmp_path: Path) -> None:
    file = tmp_path / "mine.md"
    file.write_text("my words", encoding="utf-8")
    story = curated.ask("issue", "show", ISSUE)["stories"][0]["snippet"]["story_public_id"]
    curated("curate", "write", ISSUE, story, "--take", "-", stdin="A long take.\n" * 20_000)
    said = outside(
        curated, "curate", "export", ISSUE, "-o", str(file), "--overwrite", before=no_room(100)
    )
    assert said.code == 5, said
    assert "mine.md" in said.err
    assert file.read_text(encoding="utf-8") == "my words"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["mine.md"]


CHANGING: tuple[Callable[[Door], tuple[str, ...]], ...] = (
    lambda door: ("gather", "--force"),
    lambda door: ("people", "import", str(door.path("people.csv"))),
    lambda door: ("issue", "write", ISSUE, "--subject", "x"),
)


@pytest.mark.parametrize("command", CHANGING, ids=["gather", "people import", "issue write"])
def test_a_locked_database(opened: Door, command: Callable[[Door], tuple[str, ...]]) -> None:
    opened.environment["ASTERISM_WAIT"] = "0.2"
    before = opened.state()
    with closing(sqlite3.connect(opened.path("output/asterism.db"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        said = outside(opened, *command(opened))
        assert said.code == 5, said
        assert "locked by another program" in said.err
        assert "run the command again" in said.err
        assert outside(opened, "status").code == 0, "looking is always possible"
        other.execute("ROLLBACK")
    assert opened.state() == before
    opened(*command(opened))


def test_a_database_that_is_none(made: Door) -> None:
    for path in made.path("output").glob("asterism.db*"):
        path.unlink()
    made.path("output/asterism.db").write_bytes(b"my shopping list, for once" * 100)
    said = made("status", code=5)
    assert "no database at all" in said.err
    assert made.path("output/asterism.db").read_bytes().startswith(b"my shopping list")


def test_a_lost_secret_is_not_made_anew(sent: Door) -> None:
    """With another one we would not know who has left."""
    change_line(sent.path(".env"), "ASTERISM_SECRET=", "ASTERISM_SECRET=" + "x" * 40)
    refused(sent, "deliver", code=4, words=("another secret", "ASTERISM_SECRET"))


def change_line(path: Path, start: str, new: str) -> None:
    lines: list[Any] = path.read_text(encoding="utf-8").splitlines()
    changed = [new if line.startswith(start) else line for line in lines]
    assert changed != lines
    path.write_text("\n".join(changed) + "\n", encoding="utf-8")
