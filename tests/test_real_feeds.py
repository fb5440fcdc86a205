"""The main job on real feeds: every one is asked over a socket, and becomes stories or a reason.

The feeds are read from ../shared/corpora and stay there. Whom to follow is taken from the feeds
themselves: the capitalised words that most of their headlines share.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import feedparser
import pytest

from pipeline.demo.world import Publisher, World
from tests.test_story import HERE, TEMPLATES, Firm

pytestmark = pytest.mark.corpora

NOW = "2026-02-18T09:00:00+00:00"  # when the feeds were taken
LATER = "2026-02-19T10:00:00+00:00"

CONSTELLATION = """
name: Whoever is in the news
about: Names that many headlines share.
expert: liv
curator: eva
approver: liv
accounts:
{accounts}
newsletters:
  - key: the-news
    title: The News
    rhythm: {{every: week, on: monday, at: "07:30", zone: Europe/Oslo, from: 2026-02-02}}
    lead: 5 days
    positioning: We read, so that you need not.
"""


def headlines(feeds: list[Path]) -> list[str]:
    parsed = (feedparser.parse(BytesIO(path.read_bytes())) for path in feeds)
    return [str(entry.get("title", "")) for one in parsed for entry in one.entries]


def names_in(titles: list[str], how_many: int) -> list[str]:
    """Capitalised words that stand inside headlines, the most frequent first."""
    inside = (re.findall(r"(?<=[a-z,] )[A-Z][a-z]{4,}\b", title) for title in titles)
    return [word for word, _ in Counter(w for words in inside for w in words).most_common(how_many)]


@pytest.fixture(scope="module")
def newsroom(corpora: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firm]:
    folder = tmp_path_factory.mktemp("newsroom") / "workspace"
    shutil.copytree(HERE, folder)
    shutil.copytree(TEMPLATES, folder / "templates")
    feeds = sorted((corpora / "feeds").glob("*.xml"))
    world = World(
        tuple(
            Publisher(f"https://feed{n}.example", "text/xml", (path.read_bytes(),))
            for n, path in enumerate(feeds)
        )
    )
    with world.open():
        listed = "".join(
            f"  - {{key: feed-{n}, name: Feed {n}, url: '{at}/feed', constellations: [ferries]}}\n"
            for n, at in enumerate(world.addresses.values())
        )
        (folder / "feeds.yaml").write_text(f"sources:\n{listed}")
        accounts = "\n".join(
            f"  - {{key: name-{n}, name: {word}, relationship: prospect}}"
            for n, word in enumerate(names_in(headlines(feeds), 12))
        )
        (folder / "constellations" / "ferries.yaml").write_text(
            CONSTELLATION.format(accounts=accounts)
        )
        url = f"sqlite:///{folder / 'news.db'}"
        yield Firm(folder, world, url, now=NOW)


@pytest.fixture(scope="module")
def first(newsroom: Firm) -> Any:
    """The first round of gathering."""
    return newsroom.ask("gather")["gathered"]


def test_every_real_feed_becomes_items_once_and_costs_nothing_again(
    newsroom: Firm, first: Any
) -> None:
    outcomes = Counter(one["outcome"] for one in first["outcomes"])
    assert outcomes == {"fetched": len(newsroom.world.publishers)}
    assert first["new"] > 1_500
    entries = sum(one["entries"] for one in first["outcomes"])
    assert entries - first["new"] < entries * 0.02, "what is dropped are repeats"
    newsroom.now = LATER
    second = newsroom.ask("gather")
    assert {one["outcome"] for one in second["gathered"]["outcomes"]} == {"unchanged"}
    assert second["gathered"]["new"] == second["gathered"]["changed"] == 0
    assert second["sifted"]["items"] == 0


@pytest.mark.usefixtures("first")
def test_stories_of_real_feeds_are_explained_and_curated(newsroom: Firm) -> None:
    state = newsroom.ask("status")
    assert state["ungrouped"] == 0
    assert 0 < state["stories"] <= state["items"]
    pool = newsroom.ask("stories", "ferries", "--limit", "10000")["ferries"]
    for one in pool:
        names = [m["evidence"] for m in one["story"]["mentions"]]
        assert names, "only accounts are watched for: each story in the pool names one"
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ue000-\uf8ff]", one["story"]["text"])
    scores = [one["score"]["total"] for one in pool]
    assert scores == sorted(scores, reverse=True)
    told = newsroom.run("explain", "story", pool[0]["story"]["public_id"])
    assert "answered" in told
    assert "In the pool of ferries" in told
    newsroom.ask("issue", "open")
    file = newsroom.folder / "the-news-1.md"
    newsroom.run("curate", "export", "the-news/1", "-o", str(file))
    assert newsroom.ask("curate", "import", str(file))["changes"] == []
