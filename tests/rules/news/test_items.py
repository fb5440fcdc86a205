from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.catalog import Source
from pipeline.model.news import Entry, KnownItem, NewItem, ParsedFeed
from pipeline.rules.news.address import hash_of
from pipeline.rules.news.feed import parse_feed
from pipeline.rules.news.items import Decision, decide_items
from tests.builders import NOW

SOURCE = Source("coast-wire", "Coast Wire", "https://coastwire.example/feed", "feed", ("ferries",))
HOUR = timedelta(hours=1)


def entry(name: str = "1", **fields: object) -> Entry:
    whole = Entry(
        raw_id=name,
        raw_url=f"https://coastwire.example/{name}",
        raw_title=f"Story {name}",
        raw_summary=f"<p>Text of {name}</p>",
        published_at=NOW - HOUR,
    )
    return replace(whole, **fields)  # type: ignore[arg-type]


def held(items: Sequence[NewItem]) -> list[KnownItem]:
    """What a store says of items that were written."""
    return [KnownItem(i.identity, hash_of(i.canonical_url), i.title, i.content_hash) for i in items]


def decide(*entries: Entry, known: Sequence[NewItem] = (), now: datetime = NOW) -> Decision:
    return decide_items(SOURCE, entries, held(known), now)


def one(*entries: Entry, known: Sequence[NewItem] = (), now: datetime = NOW) -> NewItem:
    (item,) = decide(*entries, known=known, now=now).items
    return item


# ── what becomes of an entry ─────────────────────────────────────────────────────────────


def test_an_entry_made_clean() -> None:
    item = one(
        entry(
            raw_url="https://www.coastwire.example/1?utm_source=rss#top",
            raw_title="Berth &amp; <i>quay</i>\ue000",
            raw_summary="<p onclick=x>Two <b>cranes</b></p><script>x</script>",
            raw_content="<p>Two cranes at the berth.</p><p>Both <a href='/more'>blue</a>.</p>",
            raw_author="Liv <b>Haugen</b>",
            base="https://coastwire.example/a/",
            language="en_GB",
        )
    )
    assert item.url == "https://www.coastwire.example/1?utm_source=rss#top"
    assert item.canonical_url == "https://coastwire.example/1"
    assert item.title == "Berth & quay"
    assert item.summary_html == "<p>Two <b>cranes</b></p>"
    assert item.text == "Two cranes at the berth.\n\nBoth blue."
    assert item.author == "Liv Haugen"
    assert (item.published_at, item.dated) == (NOW - HOUR, True)
    assert item.language == "en-GB"
    assert len(item.identity) == len(item.content_hash) == 64


def test_links_in_a_summary_are_full() -> None:
    item = one(entry(raw_summary="<a href='../x'>x</a>", base="https://coastwire.example/a/b"))
    assert 'href="https://coastwire.example/x"' in item.summary_html


def test_without_a_title_the_first_words_stand_in() -> None:
    item = one(entry(raw_title="<img src=x>", raw_summary="<p>A new</p>" + "berth " * 40))
    assert item.title == "A new" + " berth" * 13 + "…"
    assert one(entry(raw_title="", raw_summary="")).title == "https://coastwire.example/1"


def test_an_entry_that_says_nothing_is_dropped_and_counted() -> None:
    nothing = entry(raw_title="<b> </b>", raw_url="javascript:x", raw_summary="<img src=x>")
    decision = decide(nothing, entry("2"))
    assert (decision.new, decision.dropped) == (1, 1)
    assert decide(replace(nothing, raw_summary="words")).new == 1
    assert decide(replace(nothing, raw_title="words")).new == 1


@pytest.mark.parametrize(
    ("published_at", "updated_at", "expected", "dated"),
    [
        (NOW - HOUR, None, NOW - HOUR, True),
        (None, NOW - HOUR, NOW - HOUR, True),
        (NOW - 2 * HOUR, NOW - HOUR, NOW - 2 * HOUR, True),
        (None, None, NOW, False),
        (NOW + 3 * HOUR, None, NOW, True),  # their clock is a little fast
        (NOW + 25 * HOUR, None, NOW, False),
        (datetime(9999, 12, 31, tzinfo=UTC), None, NOW, False),
        (datetime(1, 1, 1, tzinfo=UTC), None, NOW, False),
        (datetime(1970, 1, 1, tzinfo=UTC), None, NOW, False),
    ],
)
def test_dates_that_can_be_true(
    published_at: datetime | None, updated_at: datetime | None, expected: datetime, dated: bool
) -> None:
    item = one(entry(published_at=published_at, updated_at=updated_at))
    assert (item.published_at, item.dated) == (expected, dated)


@pytest.mark.parametrize(
    ("raw", "language"), [("nb", "nb"), ("", "en"), ("<script>", "en"), ("x" * 50, "en")]
)
def test_a_language_that_is_one(raw: str, language: str) -> None:
    assert one(entry(language=raw)).language == language


# ── new, changed, known ──────────────────────────────────────────────────────────────────


def test_what_is_known_is_not_written_again() -> None:
    first = decide(entry("1"), entry("2"))
    assert (first.new, first.changed, first.known) == (2, 0, 0)
    again = decide(entry("1"), entry("2"), known=first.items, now=NOW + HOUR)
    assert again == Decision(known=2)


def test_another_date_alone_is_no_change() -> None:
    first = decide(entry())
    later = entry(published_at=NOW, updated_at=NOW)
    assert decide(later, known=first.items).known == 1


@pytest.mark.parametrize(
    "change",
    [
        {"raw_title": "Another title"},
        {"raw_summary": "<p>Another text</p>"},
        {"raw_content": "<p>A longer text than the summary ever was</p>"},
        {"raw_url": "https://coastwire.example/elsewhere"},
    ],
)
def test_a_change_is_written_under_the_same_name(change: dict[str, str]) -> None:
    first = one(entry())
    decision = decide(entry(**change), known=[first])
    assert (decision.new, decision.changed) == (0, 1)
    assert decision.items[0].identity == first.identity


@pytest.mark.parametrize(
    "noise",
    [
        {"raw_summary": "<p>Text  of 1</p><img src='pixel?1234'>"},
        {"raw_summary": "<p class=c7>Text of 1</p>"},
        {"raw_url": "https://coastwire.example/1?utm_campaign=another"},
    ],
)
def test_what_reads_the_same_is_no_change(noise: dict[str, str]) -> None:
    first = one(entry())
    assert decide(entry(**noise), known=[first]) == Decision(known=1)


# ── identity ─────────────────────────────────────────────────────────────────────────────


def test_ids_are_missing() -> None:
    first = decide(entry("1", raw_id=""), entry("2", raw_id=""))
    assert first.new == 2
    changed = entry("2", raw_id="", raw_title="Another title")
    again = decide(entry("3", raw_id=""), changed, entry("1", raw_id=""), known=first.items)
    assert (again.new, again.changed, again.known) == (1, 1, 1)


def test_ids_and_links_are_missing() -> None:
    bare = [entry(n, raw_id="", raw_url="") for n in "12"]
    first = decide(*bare)
    assert first.new == 2
    assert decide(*reversed(bare), known=first.items) == Decision(known=2)


def test_ids_change_in_every_round() -> None:
    first = decide(entry("1", raw_id="a"), entry("2", raw_id="b"))
    again = decide(entry("1", raw_id="c"), entry("2", raw_id="d"), known=first.items)
    assert again == Decision(known=2)


def test_one_id_for_all() -> None:
    first = decide(*(entry(n, raw_id="same") for n in "123"))
    assert first.new == 3
    again = decide(*(entry(n, raw_id="same") for n in "234"), known=first.items)
    assert (again.new, again.known) == (1, 2)
    alone = decide(entry("4", raw_id="same"), known=[*first.items, *again.items])
    assert alone == Decision(known=1)


def test_one_link_for_all() -> None:
    """A status page: each event has its own id, and all lead to the same place."""
    home = "https://coastwire.example/"
    first = decide(entry("1", raw_url=home))
    second = decide(entry("2", raw_url=home), known=first.items)
    assert second.new == 1
    assert second.items[0].identity != first.items[0].identity


def test_one_link_and_one_id_for_all() -> None:
    home = "https://coastwire.example/"
    entries = [entry(n, raw_id="x", raw_url=home) for n in "123"]
    first = decide(*entries)
    assert first.new == 3
    assert decide(*entries, known=first.items) == Decision(known=3)


def test_places_on_one_page_are_things_of_their_own() -> None:
    page = "https://coastwire.example/links"
    entries = [entry(n, raw_id="", raw_url=f"{page}#{n}") for n in "123"]
    first = decide(*entries)
    assert [item.canonical_url for item in first.items] == [f"{page}#{n}" for n in "123"]
    assert decide(*entries, known=first.items) == Decision(known=3)
    assert one(entry(raw_url=f"{page}#comments")).canonical_url == page


def test_told_twice_in_one_document() -> None:
    decision = decide(entry(), entry(), entry("2"))
    assert (decision.new, decision.repeated) == (2, 1)
    again = decide(entry(), entry("2"), known=decision.items)
    assert again == Decision(known=2)


def test_an_id_that_appears_twice_later_keeps_its_first_holder() -> None:
    first = decide(entry("1", raw_id="a"))
    again = decide(entry("1", raw_id="a"), entry("2", raw_id="a"), known=first.items)
    assert (again.new, again.known) == (1, 1)


ENTRIES = st.lists(
    st.builds(
        entry,
        st.sampled_from("123"),
        raw_id=st.sampled_from(["", "a", "b", "c"]),
        raw_url=st.sampled_from(["", "/x", "https://coastwire.example/y", "https://o.example/z#1"]),
        raw_title=st.sampled_from(["", "One", "Two"]),
        published_at=st.sampled_from([None, NOW - HOUR]),
    ),
    max_size=8,
)


@given(ENTRIES)
def test_the_same_document_again_changes_nothing(entries: list[Entry]) -> None:
    first = decide(*entries)
    assert len({item.identity for item in first.items}) == len(first.items) == first.new
    assert first.new + first.repeated + first.dropped == len(entries)
    again = decide(*entries, known=first.items)
    assert again.items == ()
    assert again.known == first.new


# ── the real world ───────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def real(corpora: Path) -> dict[str, tuple[ParsedFeed, Decision]]:
    found = {}
    for path in sorted((corpora / "feeds").glob("*.xml")):
        parsed = parse_feed(path.read_bytes(), "text/xml", "https://feeds.example/dir/feed")
        assert isinstance(parsed, ParsedFeed), path.name
        found[path.stem] = parsed, decide_items(SOURCE, parsed.entries, [], NOW)
    return found


@pytest.mark.corpora
def test_every_real_feed_is_read_whole(real: dict[str, tuple[ParsedFeed, Decision]]) -> None:
    assert len(real) == 85
    total: Counter[str] = Counter()
    for parsed, decision in real.values():
        assert len(decision.items) + decision.repeated == len(parsed.entries) > 0
        assert decision.dropped == 0
        total.update(entries=len(parsed.entries), items=len(decision.items))
        total.update("undated" for item in decision.items if not item.dated)
        total.update("no text" for item in decision.items if not item.text)
        total.update("no link" for item in decision.items if not item.url)
        total.update("ill-formed" for warning in parsed.warnings if "well-formed" in warning)
    assert total == {
        "entries": 1_823,
        "items": 1_814,
        "undated": 3,
        "no text": 8,
        "no link": 1,
        "ill-formed": 2,
    }


@pytest.mark.corpora
def test_every_real_item_is_clean(real: dict[str, tuple[ParsedFeed, Decision]]) -> None:
    for _, decision in real.values():
        for item in decision.items:
            assert item.title
            assert len(item.title) <= 300
            assert "\n" not in item.title
            assert item.title.isprintable()
            assert "<script" not in item.summary_html
            assert item.published_at <= NOW
            assert not item.url or item.url.startswith(("http://", "https://"))


@pytest.mark.corpora
def test_a_second_round_of_the_real_feeds_writes_nothing(
    real: dict[str, tuple[ParsedFeed, Decision]],
) -> None:
    for parsed, first in real.values():
        again = decide_items(SOURCE, parsed.entries, held(first.items), NOW + HOUR)
        assert again == Decision(known=first.new, repeated=first.repeated)


@pytest.mark.corpora
def test_what_the_real_feeds_taught(real: dict[str, tuple[ParsedFeed, Decision]]) -> None:
    # a news site tells nine of its stories twice, with the same id and link
    assert real["72fea1ebfd02e90a"][1].repeated == 9
    # thirty entries have no id at all: their links name them
    parsed, decision = real["aa10cabf666af651"]
    assert not any(entry.raw_id for entry in parsed.entries)
    assert decision.new == 30
    # one generator writes the year 1 for pages without a date: they are undated, not ancient
    for stem in ("3ac543065ca0ef7d", "4a8cebf8e68acfdb", "d597083ccac7f99a"):
        undated = [item for item in real[stem][1].items if not item.dated]
        assert [item.published_at for item in undated] == [NOW]
    # a page of links and a feed of comments: one page, and each fragment is another thing
    for stem, count in (("2c95f93d868f5c01", 43), ("18d1bc71cc221963", 10)):
        items = real[stem][1].items
        assert len({item.canonical_url for item in items}) == len(items) == count
        assert len({item.canonical_url.partition("#")[0] for item in items}) == 1
    # a note to the readers of the feed alone has a title, and no link
    assert [item.title for item in real["2b2c3f5ac3d2e836"][1].items if not item.url] == [
        "Sorry for marking all the posts as unread"
    ]
    # links are tagged for counting, and are compared without
    tagged = real["2b2c3f5ac3d2e836"][1].items
    assert any("utm_source" in item.url for item in tagged)
    assert not any("utm_source" in item.canonical_url for item in tagged)
    # a collection speaks several languages' dialects; each entry keeps its own
    assert {item.language for item in real["69dbdb52a6123ad2"][1].items} == {"en-US", "en-us", "en"}
