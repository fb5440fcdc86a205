"""Gathering from a small world over real sockets, into a real store."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.errors import NotFound
from pipeline.fetchers.http import HttpFetcher, Limits
from pipeline.model.catalog import Catalog, Selectors, Source
from pipeline.model.news import Answer, Request, SourceOutcome, SourceState
from pipeline.parsers.local import LocalParser
from pipeline.ports import Ports
from pipeline.stages.gather import Gathered, gather
from pipeline.stores import schema
from pipeline.stores.sql import SqlStore
from tests.builders import CATALOG, NOW, StandingClock
from tests.people_scene import dump, ports_of
from tests.story_scene import adopt
from tests.world import LOOPBACK, Call, World

HOUR = timedelta(hours=1)
DAY = 24 * HOUR
AGENT = "Asterism/0.1 (+mailto:desk@quaytide.example)"


def rss(*names: str) -> str:
    items = "".join(
        f"<item><guid isPermaLink='false'>{name}</guid><title>Story {name}</title>"
        f"<link>/{name}</link><pubDate>Sun, 07 Mar 2027 07:00:00 GMT</pubDate>"
        f"<description>Text of {name}</description></item>"
        for name in names
    )
    return f"<rss version='2.0'><channel><title>Wire</title>{items}</channel></rss>"


def asking(**limits: Any) -> HttpFetcher:
    quick = Limits(**{"spacing_s": 0.0, **limits})
    return HttpFetcher(AGENT, allow_networks=LOOPBACK, allow_ports=(0,), limits=quick)


def source(key: str, url: str, **fields: Any) -> Source:
    return replace(Source(key, key.title(), url, "feed", ("ferries",)), **fields)


class Scene:
    """A workspace whose sources stand in the small world."""

    def __init__(self, store: SqlStore, world: World) -> None:
        self.store = store
        self.world = world
        self.clock = StandingClock()
        self.catalog: Catalog = replace(CATALOG, sources=())
        self.seen: list[tuple[int, int, str]] = []
        self.limits: dict[str, Any] = {}

    def follow(self, *sources: Source) -> None:
        digest = f"{self.catalog.digest}+"
        self.catalog = replace(self.catalog, sources=sources, digest=digest)
        adopt(self.store, self.catalog)

    def ports(self) -> Ports:
        return replace(
            ports_of(self.store, self.catalog, clock=self.clock),
            fetcher=asking(**self.limits),
            parser=LocalParser(),
            progress=lambda done, total, what: self.seen.append((done, total, what)),
        )

    def gather(self, **options: Any) -> Gathered:
        return gather(self.ports(), **options)

    def one(self, **options: Any) -> SourceOutcome:
        (outcome,) = self.gather(**options).outcomes
        return outcome

    def state(self, key: str = "wire") -> SourceState:
        with self.store.read() as tables:
            return next(state for state in tables.news.sources() if state.key == key)

    def items(self) -> list[Any]:
        return dump(self.store, schema.items)[0]


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


@pytest.fixture
def scene(store: SqlStore, world: World) -> Scene:
    return Scene(store, world)


# ── the main way ─────────────────────────────────────────────────────────────────────────


def test_entries_become_items(scene: Scene, world: World) -> None:
    scene.follow(source("wire", world.says("/feed", rss("a", "b"), ETag='"1"')))
    tally = scene.gather()
    assert (tally.new, tally.changed) == (2, 0)
    (outcome,) = tally.outcomes
    assert (outcome.key, outcome.name, outcome.outcome) == ("wire", "Wire", "fetched")
    assert (outcome.entries, outcome.new, outcome.detail) == (2, 2, "")
    assert outcome.next_check_at == scene.state().next_check_at
    a, b = scene.items()
    assert (a.title, b.title) == ("Story a", "Story b")
    assert a.url == world.url("/a")
    assert a.text == "Text of a"
    assert (a.seen_at, a.dated, a.story_id) == (NOW, True, None)
    assert scene.seen == [(1, 1, "sources")]
    ((line,),) = dump(scene.store, schema.fetches)
    assert (line.outcome, line.status, line.new) == ("fetched", 200, 2)
    assert line.elapsed_s > 0


def test_atom_json_and_a_page_of_one_world(scene: Scene, world: World) -> None:
    atom = (
        "<feed xmlns='http://www.w3.org/2005/Atom'><title>A</title><entry><id>1</id>"
        "<title>One</title><link href='/1'/></entry></feed>"
    )
    json = (
        '{"version":"https://jsonfeed.org/version/1.1","items":[{"id":"1","title":"J","url":"/j"}]}'
    )
    page = "<ul><li><a href=/p>P</a> <time datetime=2027-03-01>x</time></ul>"
    selectors = Selectors("li", "a", "a", "time")
    scene.follow(
        source("atom", world.says("/atom", gzip.compress(atom.encode()), Content_Encoding="gzip")),
        source("json", world.says("/json", json)),
        source("page", world.says("/page", page), kind="page", selectors=selectors),
    )
    assert [outcome.new for outcome in scene.gather().outcomes] == [1, 1, 1]
    assert {item.title for item in scene.items()} == {"One", "J", "P"}
    asked = {call.path: call.header("Accept") or "" for call in world.calls}
    assert asked["/page"].startswith("text/html")
    assert asked["/atom"].startswith("application/rss+xml")


def test_not_due_is_told_and_asks_nothing(scene: Scene, world: World) -> None:
    scene.follow(source("wire", world.says("/feed", rss("a"), ETag='"1"')))
    scene.gather()
    outcome = scene.one()
    assert outcome.outcome == "not_due"
    assert outcome.next_check_at == scene.state().next_check_at
    assert len(world.calls) == 1
    assert scene.one(force=True).outcome == "unchanged"
    assert len(world.calls) == 2


def test_who_is_to_stop_leaves_the_others_due(scene: Scene, world: World) -> None:
    many(scene, world, 40)
    stopped = gather(replace(scene.ports(), stopping=lambda: True))
    asked = [one for one in stopped.outcomes if one.outcome != "not_due"]
    assert 1 <= len(asked) < len(stopped.outcomes) == 40
    whole_run = scene.gather()
    again = [one for one in whole_run.outcomes if one.outcome != "not_due"]
    assert len(again) == 40 - len(asked), "each is asked once"


def test_only_some(scene: Scene, world: World) -> None:
    for name in ("wire", "harbour"):
        world.says(f"/{name}", rss(name))
    scene.follow(source("wire", world.url("/wire")), source("harbour", world.url("/harbour")))
    assert [outcome.key for outcome in scene.gather(only=("harbour",)).outcomes] == ["harbour"]
    assert world.paths() == ["/harbour"]
    with pytest.raises(NotFound, match="Did you mean harbour"):
        scene.gather(only=("harbor",))


def test_a_source_that_was_not_adopted_is_told(scene: Scene, world: World) -> None:
    scene.catalog = replace(scene.catalog, sources=(source("wire", world.url("/feed")),))
    outcome = scene.one()
    assert (outcome.outcome, outcome.reason) == ("failed", "not_adopted")
    assert world.calls == []


# ── the second round ─────────────────────────────────────────────────────────────────────


def conditional(world: World, path: str, body: str) -> str:
    """A feed that answers 304 to whoever holds its validator."""

    def feed(call: Call) -> None:
        known = call.header("If-None-Match") == '"1"'
        call.reply(b"" if known else body, 304 if known else 200, {"ETag": '"1"'})

    world.routes[path] = feed
    return world.url(path)


def written(store: SqlStore) -> list[str]:
    """What is written to the store from now on, as statements."""
    statements: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.lstrip().upper().startswith(("SELECT", "BEGIN", "PRAGMA")):
            statements.append(" ".join(statement.split()[:3]))

    sa.event.listen(store._writers, "before_cursor_execute", note)
    return statements


def test_the_second_question_is_conditional_also_after_a_restart(
    scene: Scene, world: World, database_url: str
) -> None:
    scene.follow(source("wire", conditional(world, "/feed", rss("a"))))
    scene.gather()
    scene.clock.at += 2 * HOUR
    again = SqlStore(database_url, b"another process, another day, the same secret")
    tally = gather(replace(scene.ports(), store=again))
    again.close()
    assert world.calls[1].header("If-None-Match") == '"1"'
    assert tally.outcomes[0].outcome == "unchanged"
    assert tally.outcomes[0].detail == ""
    assert len(scene.items()) == 1
    assert scene.state().etag == '"1"'


@pytest.mark.parametrize("answer", ["304", "the same body"])
def test_what_is_unchanged_is_not_written(scene: Scene, world: World, answer: str) -> None:
    url = (
        conditional(world, "/feed", rss("a"))
        if answer == "304"
        else world.says("/feed", rss("a"), ETag='"fresh"')
    )
    scene.follow(source("wire", url))
    scene.gather()
    scene.clock.at += 2 * HOUR
    statements = written(scene.store)
    assert scene.one().outcome == "unchanged"
    assert len(world.calls) == 2
    assert [line for line in statements if "items" in line] == []
    assert sorted(statements) == [
        "DELETE FROM fetches",
        "INSERT INTO fetches",
        "UPDATE sources SET",
    ]


def test_known_entries_in_a_new_body_are_not_written(scene: Scene, world: World) -> None:
    scene.follow(source("wire", world.says("/feed", rss("a", "b"))))
    scene.gather()
    scene.clock.at += 2 * DAY
    world.says("/feed", rss("b", "a") + "<!-- another body -->")
    statements = written(scene.store)
    outcome = scene.one()
    assert (outcome.outcome, outcome.entries, outcome.new, outcome.changed) == ("fetched", 2, 0, 0)
    assert [line for line in statements if "items" in line] == []


def test_new_and_changed_entries_are_written(scene: Scene, world: World) -> None:
    scene.follow(source("wire", world.says("/feed", rss("a", "b"))))
    scene.gather()
    scene.clock.at += 2 * DAY
    world.says("/feed", rss("c", "b", "a").replace("Text of b", "Text of b, mended"))
    tally = scene.gather()
    assert (tally.new, tally.changed) == (1, 1)
    texts = {item.title: item.text for item in scene.items()}
    assert texts["Story b"] == "Text of b, mended"
    assert len(texts) == 3


def test_other_selectors_read_the_same_page_anew(scene: Scene, world: World) -> None:
    page = "<ul><li><a href=/1>One</a></ul><ol><li><a href=/2>Two</a></ol>"
    url = conditional(world, "/page", page)
    listed = source("wire", url, kind="page", selectors=Selectors("ul li", "a", "a"))
    scene.follow(listed)
    scene.gather()
    scene.follow(replace(listed, selectors=Selectors("ol li", "a", "a")))
    assert scene.one(force=True).new == 1  # not a 304: it was asked without a validator
    assert {item.title for item in scene.items()} == {"One", "Two"}


# ── good manners ─────────────────────────────────────────────────────────────────────────


def test_one_address_is_asked_once_for_all_who_share_it(scene: Scene, world: World) -> None:
    page = "<ul><li><a href=/1>One</a></ul><ol><li><a href=/2>Two</a></ol>"
    url = world.says("/page", page)
    upper = source("upper", url, kind="page", selectors=Selectors("ul li", "a", "a"))
    lower = source("lower", url, kind="page", selectors=Selectors("ol li", "a", "a"))
    shared = source("shared", world.says("/feed", rss("a")), constellations=("ferries", "ports"))
    scene.follow(upper, lower, shared)
    assert [outcome.new for outcome in scene.gather().outcomes] == [1, 1, 1]
    assert sorted(world.paths()) == ["/feed", "/page"]


def test_asked_to_wait_means_waiting_even_when_forced(scene: Scene, world: World) -> None:
    world.routes["/feed"] = lambda call: call.reply(b"", 429, {"Retry-After": str(30 * 86_400)})
    scene.follow(source("wire", world.url("/feed")))
    outcome = scene.one()
    assert (outcome.outcome, outcome.reason) == ("failed", "asked_to_wait")
    assert outcome.next_check_at == NOW + 30 * DAY
    scene.clock.at += 29 * DAY
    assert scene.one(force=True).outcome == "not_due"
    assert len(world.calls) == 1
    scene.clock.at += 2 * DAY
    world.says("/feed", rss("a"))
    assert scene.one().new == 1


def test_gone_is_told_and_asked_no_more(scene: Scene, world: World) -> None:
    world.routes["/feed"] = lambda call: call.reply(b"", 410)
    scene.follow(source("wire", world.url("/feed")))
    assert scene.one().reason == "gone"
    scene.clock.at += 400 * DAY
    outcome = scene.one(force=True)
    assert (outcome.outcome, outcome.reason, outcome.next_check_at) == ("not_due", "gone", None)
    assert "gone for good" in outcome.detail
    assert len(world.calls) == 1


def test_a_permanent_move_is_followed_at_its_third_sighting(scene: Scene, world: World) -> None:
    world.sends("/old", "/new", 301)
    world.says("/new", rss("a"), ETag='"1"')
    scene.follow(source("wire", world.url("/old")))
    for _ in range(2):
        assert scene.one().detail == ""
        scene.clock.at += 2 * HOUR
    assert scene.state().url == world.url("/old")
    assert world.url("/new") in scene.one().detail
    assert scene.state().url == world.url("/new")
    scene.clock.at += 2 * HOUR
    world.calls.clear()
    scene.gather()
    assert world.paths() == ["/new"]
    assert len(scene.items()) == 1


# ── when it goes wrong ───────────────────────────────────────────────────────────────────


def test_one_failing_source_never_blocks_the_rest(scene: Scene, world: World) -> None:
    world.routes["/silent"] = lambda call: call.linger(60)
    scene.limits["read_timeout_s"] = 2.0
    world.routes["/broken"] = lambda call: call.send(b"HTTP/1.1 nonsense\r\n\r\n")
    keys = ["silent", "broken", "missing", "wire"]
    world.says("/wire", rss("a"))
    scene.follow(
        *(source(key, world.url(f"/{key}")) for key in keys),
        source("inside", "http://10.0.0.1/feed"),
    )
    told = {outcome.key: outcome for outcome in scene.gather().outcomes}
    assert [told[key].reason for key in ("silent", "missing", "inside")] == [
        "timeout",
        "status",
        "blocked",
    ]
    assert told["broken"].outcome == "failed"
    assert told["wire"].new == 1
    assert scene.seen[-1] == (5, 5, "sources")
    assert scene.state("missing").failures == 1
    world.says("/missing", rss("b"))
    scene.clock.at += DAY
    scene.gather()
    state = scene.state("missing")
    assert (state.failures, state.last_reason, state.last_detail) == (0, "", "")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("<!doctype html><title>Down for repairs</title>", "not_a_feed"),
        ("", "empty"),
        ("/etc/passwd", "not_a_feed"),
        ("\0" * 100, "empty"),
        ('{"error": "no"}', "not_a_feed"),
    ],
)
def test_what_is_no_feed_erases_nothing(scene: Scene, world: World, body: str, reason: str) -> None:
    scene.follow(source("wire", world.says("/feed", rss("a"), ETag='"1"')))
    scene.gather()
    held = scene.state()
    world.says("/feed", body, ETag='"of the wrong page"')
    scene.clock.at += 2 * HOUR
    outcome = scene.one()
    assert (outcome.outcome, outcome.reason) == ("failed", reason)
    assert len(scene.items()) == 1
    state = scene.state()
    assert (state.etag, state.body_hash) == (held.etag, held.body_hash)
    assert state.last_detail == outcome.detail != ""


def test_a_hundred_megabytes(scene: Scene, world: World) -> None:
    bomb = gzip.compress(rss("a").encode() + b" " * 100_000_000)
    scene.follow(source("wire", world.says("/feed", bomb, Content_Encoding="gzip")))
    outcome = scene.one()
    assert (outcome.reason, outcome.detail) == ("too_big", "The answer is larger than 10 MB.")


def test_selectors_that_match_nothing(scene: Scene, world: World) -> None:
    page = source(
        "wire", world.says("/page", "<p>x"), kind="page", selectors=Selectors("li", "a", "a")
    )
    scene.follow(page, source("bare", world.says("/bare", "<p>x"), kind="page"))
    first, second = scene.gather().outcomes
    assert first.reason == "no_match"
    assert "may have changed" in first.detail
    assert second.reason == "no_selectors"


def test_what_could_not_be_taken_is_told(scene: Scene, world: World) -> None:
    body = rss("a").replace("</channel>", "<item><title></title></item></channel>")
    scene.follow(source("wire", world.says("/feed", body)))
    assert scene.one().detail == "1 entry had neither title, link nor text."


# ── mended ───────────────────────────────────────────────────────────────────────────────


def test_mended_selectors_are_tried_at_once(scene: Scene, world: World) -> None:
    url = world.says("/page", "<article><a href='/a'>A ferry for the strait</a></article>")
    wrong = source("wire", url, kind="page", selectors=Selectors("li", "a", "a"))
    scene.follow(wrong)
    assert scene.one().reason == "no_match"
    assert scene.one().outcome == "not_due"
    scene.follow(replace(wrong, selectors=Selectors("article", "a", "a")))
    assert scene.one().new == 1
    assert scene.one().outcome == "not_due"


def test_who_was_blocked_is_asked_once_we_may(scene: Scene, world: World) -> None:
    world.says("/wire", rss("a"))
    world.says("/other", rss("b"))
    scene.follow(source("wire", world.url("/wire")), source("other", world.url("/other")))
    blocked = replace(scene.ports(), fetcher=HttpFetcher(AGENT), allowances="80 443")
    for _ in range(3):  # more often than an hour's wait
        assert {one.reason for one in gather(blocked).outcomes} == {"blocked"}
        assert world.calls == []
    ports = replace(scene.ports(), allowances="127.0.0.1/32 80 443")
    assert gather(ports, only=["wire"]).new == 1
    told = {one.key: one.outcome for one in gather(ports).outcomes}
    assert told == {"wire": "not_due", "other": "fetched"}
    assert world.paths() == ["/wire", "/other"]
    assert {one.outcome for one in gather(ports).outcomes} == {"not_due"}


@pytest.mark.parametrize("mended", ["address", "selectors", "name"])
def test_what_is_mended_while_it_is_asked_is_asked_again(
    scene: Scene, world: World, mended: str
) -> None:
    """What comes from the old address, or was read in the old way, is not written over it."""
    page = source(
        "wire", world.says("/old", "<li><a href='/a'>The old list</a></li>"),
        kind="page", selectors=Selectors("li", "a", "a"),
    )  # fmt: skip
    world.says("/new", "<li><a href='/b'>The new list</a></li>")
    changes = {
        "address": {"url": world.url("/new")},
        "selectors": {"selectors": Selectors("li", "a", "a", summary="p")},
        "name": {"name": "The Wire"},
    }
    scene.follow(page)
    ports = scene.ports()

    class Meanwhile:
        def fetch(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Answer]]:
            for answer in asking().fetch(requests):
                scene.follow(replace(page, **changes[mended]))
                yield answer

    (outcome,) = gather(replace(ports, fetcher=Meanwhile())).outcomes
    if mended == "name":
        assert outcome.outcome == "fetched"
        assert scene.one().outcome == "not_due"
        return
    assert outcome.outcome == "not_due"
    assert scene.items() == []
    assert scene.state().next_check_at is None
    assert scene.one().new == 1
    assert world.paths()[-1] == ("/new" if mended == "address" else "/old")


# ── stopped in the middle ────────────────────────────────────────────────────────────────


def many(scene: Scene, world: World, count: int) -> None:
    for n in range(count):
        world.says(f"/{n}", rss(*(f"{n}-{i}" for i in range(5))), ETag='"1"')
    scene.follow(*(source(f"s{n:02}", world.url(f"/{n}")) for n in range(count)))


def whole(scene: Scene, count: int) -> None:
    titles = sorted(item.title for item in scene.items())
    assert titles == sorted(f"Story {n}-{i}" for n in range(count) for i in range(5))


def test_an_error_between_two_batches_loses_and_doubles_nothing(scene: Scene, world: World) -> None:
    many(scene, world, 40)

    def breaks(done: int, total: int, what: str) -> None:
        if done == 25:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gather(replace(scene.ports(), progress=breaks))
    first = len(scene.items())
    assert 0 < first < 200
    tally = scene.gather()
    assert tally.new == 200 - first
    whole(scene, 40)


KILLED = """
import sys
from dataclasses import replace
from pipeline.parsers.local import LocalParser
from pipeline.stages.gather import gather
from pipeline.stores.sql import SqlStore
from tests.builders import CATALOG, SECRET
from tests.people_scene import ports_of
from tests.stages.test_gather import asking, source
store = SqlStore(sys.argv[1], SECRET)
sources = tuple(source(f"s{n:02}", f"{sys.argv[2]}/{n}") for n in range(40))
gather(replace(ports_of(store, replace(CATALOG, sources=sources)),
               fetcher=asking(), parser=LocalParser()))
"""


@pytest.mark.parametrize("moment", [3, 17, 34, 39])
def test_killed_and_started_again(
    scene: Scene, world: World, database_url: str, moment: int
) -> None:
    many(scene, world, 40)
    answer = world.routes[f"/{moment}"]
    killed: list[int] = []

    def kills(call: Call) -> None:
        if not killed:
            killed.append(process.pid)
            os.kill(process.pid, signal.SIGKILL)
        answer(call)

    world.routes[f"/{moment}"] = kills
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, database_url, world.url("")],
        cwd=root,
        stderr=subprocess.PIPE,
    )
    _, said = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, said.decode()
    with scene.store.read() as tables:
        written = [state for state in tables.news.sources() if state.checked_at]
    asked = len(world.calls)
    scene.gather()
    whole(scene, 40)
    assert len(world.calls) - asked <= 40 - len(written), "what was written is not asked again"
