from __future__ import annotations

import codecs
import json
import socket
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pipeline.model.catalog import Source
from pipeline.model.news import Entry, ParsedFeed, ParseFailed, Quiet
from pipeline.rules.news.feed import parse_feed
from pipeline.rules.news.items import decide_items
from tests.builders import NOW

URL = "https://coastwire.example/news/feed"


def read(body: bytes | str, content_type: str = "text/xml") -> ParsedFeed:
    data = body.encode() if isinstance(body, str) else body
    parsed = parse_feed(data, content_type, URL)
    assert isinstance(parsed, ParsedFeed), parsed
    return parsed


def refuse(body: bytes | str, content_type: str = "text/xml") -> ParseFailed:
    data = body.encode() if isinstance(body, str) else body
    failed = parse_feed(data, content_type, URL)
    assert isinstance(failed, ParseFailed), failed
    assert failed.detail.endswith(".")
    return failed


def rss(*items: str, head: str = "") -> str:
    inner = "".join(f"<item>{item}</item>" for item in items)
    return (
        '<?xml version="1.0"?><rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/'
        f'content/"><channel><title>Coast &amp;amp; Wire</title>{head}{inner}</channel></rss>'
    )


def only(body: bytes | str, content_type: str = "text/xml") -> Entry:
    (entry,) = read(body, content_type).entries
    return entry


# ── the three forms ──────────────────────────────────────────────────────────────────────


def test_rss() -> None:
    parsed = read(
        rss(
            '<guid isPermaLink="false">7</guid><title>Berth &amp;amp; quay</title><link>/7</link>'
            "<pubDate>Mon, 08 Mar 2027 08:00:00 +0100</pubDate><author>Liv</author>"
            "<description>short</description><content:encoded><![CDATA[<p>long</p>]]>"
            "</content:encoded>",
            head="<language>nb</language>",
        )
    )
    assert parsed.title == "Coast & Wire"
    assert parsed.warnings == ()
    assert parsed.entries == (
        Entry(
            raw_id="7",
            raw_url="https://coastwire.example/7",
            raw_title="Berth &amp; quay",
            raw_summary="short",
            raw_content="<p>long</p>",
            raw_author="Liv",
            published_at=datetime(2027, 3, 8, 7, tzinfo=UTC),
            language="nb",
            base=URL,
        ),
    )


def test_atom_with_its_own_base_and_xhtml() -> None:
    entry = only(
        '<feed xmlns="http://www.w3.org/2005/Atom" xml:base="https://other.example/a/" '
        'xml:lang="de">'
        "<title>Wire</title><entry><id>tag:x,1</id><title type='text'>3 &lt; 5</title>"
        "<link href='b'/><published>2027-03-08T07:00:00Z</published>"
        "<updated>2027-03-09T07:00:00Z</updated><content type='xhtml'>"
        "<div xmlns='http://www.w3.org/1999/xhtml'><p>x <a href='c'>y</a></p></div></content>"
        "</entry></feed>"
    )
    assert entry.raw_title == "3 &lt; 5"  # plain text, escaped: titles are markup from here on
    assert entry.raw_url == "https://other.example/a/b"
    assert entry.base == "https://other.example/a/"
    assert entry.raw_content == '<p>x <a href="c">y</a></p>'
    assert entry.language == "de"
    assert entry.published_at == datetime(2027, 3, 8, 7, tzinfo=UTC)
    assert entry.updated_at == datetime(2027, 3, 9, 7, tzinfo=UTC)


@pytest.mark.parametrize("version", ["1", "1.1"])
def test_json_feed(version: str) -> None:
    feed: dict[str, Any] = {
        "version": f"https://jsonfeed.org/version/{version}",
        "title": "Wire <3",
        "language": "nb",
        "items": [
            {
                "id": 7,
                "url": "/7",
                "title": "3 < 5",
                "content_html": "<p>x</p>",
                "summary": "a & b",
                "date_published": "2027-03-08T08:00:00+01:00",
                "authors": [{"name": "Liv"}, {"name": "Tom"}, "odd"],
            },
            {"id": "8", "external_url": "https://o.example/", "content_text": "a < b\nc"},
            "not an item",
            {"id": "9", "date_published": "0000-00-00", "author": {"name": "Eva"}, "title": None},
        ],
    }
    parsed = read(codecs.BOM_UTF8 + json.dumps(feed).encode(), "application/octet-stream")
    assert parsed.title == "Wire <3"
    first, second, third = parsed.entries
    assert first.raw_id == "7"
    assert first.raw_url == "https://coastwire.example/7"
    assert (first.raw_title, first.raw_summary) == ("3 &lt; 5", "a &amp; b")
    assert first.raw_author == "Liv, Tom"
    assert first.published_at == datetime(2027, 3, 8, 7, tzinfo=UTC)
    assert second.raw_url == "https://o.example/"
    assert second.raw_content == "a &lt; b<br>c"
    assert (third.published_at, third.raw_title, third.raw_author) == (None, "", "Eva")


def test_what_calls_itself_something_else_is_read_for_what_it_is() -> None:
    assert only(rss("<title>x</title>"), "text/html; charset=utf-8").raw_title == "x"
    assert only(rss("<title>x</title>"), "").raw_title == "x"


def test_the_original_of_a_rewritten_link_is_preferred() -> None:
    item = (
        "<title>x</title><link>https://proxy.example/r/1</link><o:origLink xmlns:o="
        '"http://rssnamespace.org/feedburner/ext/1.0">https://coast.example/1</o:origLink>'
    )
    assert only(rss(item)).raw_url == "https://coast.example/1"


# ── how often it wants to be asked ───────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("head", "ttl_s"),
    [
        ("<ttl>60</ttl>", 3_600),
        ("<ttl>soon</ttl>", None),
        ("", None),
        ("<sy:updatePeriod>daily</sy:updatePeriod>", 86_400),
        (
            "<sy:updatePeriod> hourly </sy:updatePeriod><sy:updateFrequency>4</sy:updateFrequency>",
            900,
        ),
        (
            "<sy:updatePeriod>hourly</sy:updatePeriod><sy:updateFrequency>0</sy:updateFrequency>",
            3_600,
        ),
    ],
)
def test_its_own_word_on_pace(head: str, ttl_s: int | None) -> None:
    body = rss("<title>x</title>", head=head).replace(
        "<rss ", '<rss xmlns:sy="http://purl.org/rss/1.0/modules/syndication/" '
    )
    assert read(body).ttl_s == ttl_s


def test_hours_and_days_to_skip() -> None:
    head = (
        "<skipHours><hour>0</hour><hour> 24 </hour><hour>23</hour></skipHours>"
        "<skipDays><day>Saturday</day><day>sunday</day><day>Someday</day></skipDays>"
    )
    assert read(rss(head=head)).quiet == Quiet(frozenset({0, 23}), frozenset({5, 6}))
    every = "".join(f"<hour>{hour}</hour>" for hour in range(24))
    assert read(rss(head=f"<skipHours>{every}</skipHours>")).quiet == Quiet()


# ── bad input ────────────────────────────────────────────────────────────────────────────


def test_a_web_page() -> None:
    failed = refuse("<!DOCTYPE html><html><head><title>News</title></head><body>x</body></html>")
    assert (failed.reason, failed.detail) == (
        "not_a_feed",
        "The source answered with a web page instead of a feed.",
    )


def test_a_web_page_that_names_its_feed() -> None:
    failed = refuse(
        "<html><head><link rel=stylesheet href=/s.css><link rel='alternate' "
        "type='application/atom+xml' href='/atom?a=1&amp;b=2'></head></html>"
    )
    assert failed.reason == "not_a_feed"
    assert "https://coastwire.example/atom?a=1&b=2" in failed.detail


@pytest.mark.parametrize("body", [b"", b"  \r\n\t ", b"\0\0\0\0", codecs.BOM_UTF8])
def test_nothing(body: bytes) -> None:
    assert refuse(body).reason in {"empty", "not_a_feed"}


def test_a_body_that_is_the_name_of_a_file(tmp_path: Path) -> None:
    """feedparser opens the file whose name it is given, even as bytes."""
    secret = tmp_path / "secret.xml"
    secret.write_text(rss("<title>from the disk</title>"))
    for body in (str(secret), f"file://{secret}", "/etc/passwd", str(secret) + "\n"):
        assert refuse(body).reason == "not_a_feed"


def test_a_body_that_is_an_address_is_not_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        failed = refuse(f"http://127.0.0.1:{listener.getsockname()[1]}/feed")
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert failed.reason == "not_a_feed"


def test_nuls_between_the_letters() -> None:
    body = rss("<title>be\0rth</title>").replace("<item>", "\0<it\0em>")
    parsed = read(body)
    assert parsed.entries[0].raw_title == "berth"
    assert parsed.warnings == ()


@pytest.mark.parametrize(
    ("encoded", "content_type"),
    [
        ("utf-8", "text/xml; charset=iso-8859-1"),  # what servers say of everything
        ("utf-8", "text/xml; charset=us-ascii"),
        ("utf-8", "text/xml; charset=no-such-thing"),
        ("utf-8", "text/xml"),
        ("iso-8859-1", "text/xml; charset=iso-8859-1"),
        ("iso-8859-1", "text/xml"),
        ("windows-1252", "text/xml; charset=utf-8"),
        ("utf-16", "text/xml"),
        ("utf-16-le", "text/xml"),
        ("utf-8-sig", "text/xml; charset=windows-1252"),
    ],
)
def test_the_wrong_charset(encoded: str, content_type: str) -> None:
    body = rss("<title>Færøy – Tórshavn</title>").replace("–", "-" if "8859" in encoded else "–")
    assert "ærøy" in only(body.encode(encoded), content_type).raw_title
    declared = body.replace('version="1.0"', 'version="1.0" encoding="utf-8"', 1)
    if not encoded.startswith("utf-16"):
        assert "ærøy" in only(declared.encode(encoded), content_type).raw_title


def test_a_charset_of_the_document_wins_over_the_server() -> None:
    body = rss("<title>Калининград</title>").replace(
        'version="1.0"', 'version="1.0" encoding="koi8-r"', 1
    )
    encoded = body.encode("koi8-r")
    assert only(encoded, "text/xml; charset=windows-1251").raw_title == "Калининград"


@pytest.mark.parametrize("name", ["punycode", "unicode_escape", "idna", "utf-7", "hex"])
def test_a_charset_that_is_a_trap(name: str) -> None:
    body = rss("<title>x\xe9</title>").encode("iso-8859-1").replace(
        b'version="1.0"', f'version="1.0" encoding="{name}"'.encode(), 1
    )  # fmt: skip
    assert only(body, f"text/xml; charset={name}").raw_title == "xé"


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("Mon, 01 Jan 0000 00:00:00 GMT", None),
        ("0000-00-00T00:00:00Z", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("Tue, 31 Feb 2027 10:00:00 GMT", None),
        ("2027-03-08T10:00:00", datetime(2027, 3, 8, 10, tzinfo=UTC)),
        ("Mon, 8 Mar 2027 25:61:00 GMT", None),
        ("yesterday", None),
        ("1" * 5_000, datetime(1111, 11, 11, tzinfo=UTC)),  # what is too old is the items' affair
    ],
)
def test_odd_dates(date: str, expected: datetime | None) -> None:
    entry = only(rss(f"<title>x</title><pubDate>{date}</pubDate>"))
    assert entry.published_at == expected


def test_an_entry_without_dates_warns_of_nothing() -> None:
    entry = only(rss("<title>x</title>"))
    assert (entry.published_at, entry.updated_at) == (None, None)


def test_a_feed_that_breaks_off_gives_what_it_has() -> None:
    body = rss("<title>one</title>", "<title>two</title><description>and then")
    parsed = read(body.split("and then")[0])
    assert [entry.raw_title for entry in parsed.entries] == ["one", "two"]
    assert parsed.warnings == ("The feed is not well-formed; what could be read was read.",)


def test_an_empty_feed_is_a_feed() -> None:
    assert read(rss()).entries == ()


@pytest.mark.parametrize(
    "document",
    [
        rss(*["<title>x</title>"] * 2_500),
        '<feed xmlns="http://www.w3.org/2005/Atom">'
        + "<entry><title>x</title></entry>" * 2_500
        + "</feed>",
        json.dumps({"version": "https://jsonfeed.org/version/1", "items": [{"id": "1"}] * 2_500}),
    ],
    ids=["rss", "atom", "json"],
)
def test_the_first_two_thousand_entries(document: str) -> None:
    parsed = read(document)
    assert len(parsed.entries) == 2_000
    assert parsed.warnings == ("Only the first 2,000 entries of the feed were read; it has more.",)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{", "unreadable"),
        ('{"a":' * 50_000, "unreadable"),
        ('{"version": "https://jsonfeed.org/version/1"}', "not_a_feed"),
        ('{"items": []}', "not_a_feed"),
        ('{"version": 1' + "0" * 5_000 + "}", "unreadable"),
        (b'{"title": "\xff"}', "unreadable"),
    ],
)
def test_json_that_is_no_feed(body: bytes | str, reason: str) -> None:
    assert refuse(body, "application/json").reason == reason


@pytest.mark.parametrize("reference", ["&#9999999999;", "&#55296;", "&#xDFFF;", "&#x110000;"])
def test_a_reference_to_no_character_does_not_cost_the_feed(reference: str) -> None:
    first, second = read(rss(f"<title>be{reference}rth</title>", "<title>quay</title>")).entries
    assert (first.raw_title, second.raw_title) == ("berth", "quay")


def test_entities_neither_explode_nor_fetch(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from the disk")
    laughs = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(12))
    body = (
        f'<!DOCTYPE rss [<!ENTITY l0 "ha">{laughs}<!ENTITY disk SYSTEM "file://{tmp_path}/secret">]>'
        + rss("<title>&l12; &disk;</title>").removeprefix('<?xml version="1.0"?>')
    )
    parsed = parse_feed(body.encode(), "text/xml", URL)
    said = repr(parsed)
    assert len(said) < 10_000
    assert "from the disk" not in said


# ── the real world ───────────────────────────────────────────────────────────────────────


@pytest.mark.corpora
def test_no_feed_of_feedparsers_own_suite_raises(corpora: Path) -> None:
    files = [path for path in sorted((corpora / "feedparser").rglob("*")) if path.suffix == ".xml"]
    answers = {path: parse_feed(path.read_bytes(), "text/xml", URL) for path in files}
    assert len(answers) > 1_400
    failed = {path for path, answer in answers.items() if isinstance(answer, ParseFailed)}
    # nothing that holds an entry is taken for something else
    assert not [path for path in failed if b"<item" in path.read_bytes()]
    assert not [path for path in failed if b"<entry" in path.read_bytes()]
    assert len(failed) <= 5


JUNK = (
    b"<", b">", b"&", b"]]>", b"<![CDATA[", b"\0", b"\xff\xfe", b"\xe2\x28", b"<!DOCTYPE x [",
    b"</entry>", b"<item>", b"&#x0;", b"&#55296;", b"&#9999999999;", b'xml:base="http://[x"',
    b"<pubDate>0000-99-99T99:99:99+99:99</pubDate>", b'<?xml version="1.0" encoding="utf-7"?>',
)  # fmt: skip


def mutilate(body: bytes, chance: Random) -> bytes:
    broken = bytearray(body)
    for _ in range(chance.choice([1, 3, 10])):
        start = chance.randrange(len(broken) + 1)
        end = start + chance.choice([0, 1, 40, 400])
        other = chance.randrange(len(broken) + 1)
        broken[start:end] = chance.choice(
            [b"", chance.choice(JUNK), broken[other : other + 100], broken[start:end] * 5]
        )
    return bytes(broken)


@pytest.mark.corpora
def test_mutilated_feeds_are_read_or_refused(corpora: Path) -> None:
    """50,000 of them were tried by hand; two hundred stand here."""
    chance = Random(2027)  # the same ones in every run
    bodies = [path.read_bytes() for path in sorted((corpora / "feeds").glob("*.xml"))]
    bodies = [body for body in bodies if len(body) < 20_000]
    source = Source("k", "K", URL, "feed", ())
    for _ in range(200):
        broken = mutilate(chance.choice(bodies), chance)
        parsed = parse_feed(broken, "text/xml", URL)
        if isinstance(parsed, ParseFailed):
            continue
        decision = decide_items(source, parsed.entries, [], NOW)
        assert decision.new + decision.repeated + decision.dropped == len(parsed.entries)
        for item in decision.items:
            for text in (item.title, item.text, item.summary_html, item.author, item.url):
                text.encode()
                assert "\0" not in text
