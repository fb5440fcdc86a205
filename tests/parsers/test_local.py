from __future__ import annotations

import gc
import os
import select
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.model.catalog import Selectors
from pipeline.model.news import ParsedFeed, ParseFailed, Quiet
from pipeline.parsers.local import LocalParser

URL = "https://coastwire.example/feed"
SELECTORS = Selectors(items="li", title="a", link="a", date="time")
FEED = """<rss version="2.0"><channel><title>Coast Wire</title><ttl>90</ttl>
<skipHours><hour>3</hour></skipHours><skipDays><day>Sunday</day></skipDays>
<item><guid isPermaLink="false">1</guid><title>Berth &amp; quay</title><link>/1</link>
<pubDate>Mon, 08 Mar 2027 07:00:00 GMT</pubDate><description>Two &lt;b&gt;ferries&lt;/b&gt;
</description></item></channel></rss>"""
PAGE = """<ul><li><a href="/1">A new ferry</a><time datetime="2027-03-08">8 March</time></li>
<li><a href="/2">Another</a></li></ul>"""


@pytest.fixture
def parser() -> Iterator[LocalParser]:
    parser = LocalParser()
    yield parser
    parser.close()


@pytest.fixture
def apart() -> Iterator[LocalParser]:
    """Everything in the process apart, with little time and memory."""
    parser = LocalParser(large_bytes=0, cpu_s=1)
    yield parser
    parser.close()


def test_a_process_apart_says_the_same(parser: LocalParser, apart: LocalParser) -> None:
    here = parser.feed(FEED.encode(), "text/xml", URL)
    assert isinstance(here, ParsedFeed)
    assert here.entries[0].published_at == datetime(2027, 3, 8, 7, tzinfo=UTC)
    assert here.quiet == Quiet(frozenset({3}), frozenset({6}))
    assert here.ttl_s == 5_400
    assert apart.feed(FEED.encode(), "text/xml", URL) == here

    listed = parser.page(PAGE.encode(), "text/html", URL, SELECTORS)
    assert isinstance(listed, ParsedFeed)
    assert len(listed.entries) == 2
    assert apart.page(PAGE.encode(), "text/html", URL, SELECTORS) == listed

    failed = parser.feed(b"no feed", "text/xml", URL)
    assert isinstance(failed, ParseFailed)
    assert apart.feed(b"no feed", "text/xml", URL) == failed


#: Each costs feedparser a time that grows with the square of its size, or more memory
#: than it is worth; found by trying.
COSTLY = {
    "attributes": b"<item " + b" ".join(b'a%d="1"' % n for n in range(60_000)) + b"/>",
    "name spaces": b"".join(b'<x%d:y xmlns:x%d="u%d">' % (n, n, n) for n in range(20_000)),
    "an author": b"<item><author>" + b"a." * 400_000 + b"</author></item>",
    "nesting": b"<item><title>" + b"<a>" * 1_000_000,
}


@pytest.mark.parametrize("kind", COSTLY)
def test_what_would_take_minutes_is_given_up(kind: str, apart: LocalParser) -> None:
    body = b'<rss version="2.0"><channel>' + COSTLY[kind] + b"</channel></rss>"
    answer = apart.feed(body, "text/xml", URL)
    assert isinstance(answer, ParseFailed)
    assert answer.reason == "too_costly"
    # and the next body is read as if nothing had been
    assert isinstance(apart.feed(FEED.encode(), "text/xml", URL), ParsedFeed)


def test_what_would_take_too_much_memory_is_given_up() -> None:
    parser = LocalParser(large_bytes=0, memory_bytes=100 * 1024 * 1024)
    text = b"<description>" + b"y" * 9_500_000 + b"</description>"
    body = b'<rss version="2.0"><channel><item><title>x</title>' + text + b"</item></channel></rss>"
    answer = parser.feed(body, "text/xml", URL)
    again = parser.feed(FEED.encode(), "text/xml", URL)
    parser.close()
    assert isinstance(answer, ParseFailed)
    assert answer.reason == "too_costly"
    assert isinstance(again, ParsedFeed)


def test_a_hundred_thousand_entries_are_cut_and_read(parser: LocalParser) -> None:
    body = b'<rss version="2.0"><channel>' + b"<item><title>x</title></item>" * 100_000
    answer = parser.feed(body + b"</channel></rss>", "text/xml", URL)
    assert isinstance(answer, ParsedFeed)
    assert len(answer.entries) == 2_000
    assert "first 2,000" in answer.warnings[0]


def test_a_hundred_megabytes_are_refused_without_a_copy(parser: LocalParser) -> None:
    body = bytes(100_000_000)
    tracemalloc.start()
    answer = parser.feed(body, "text/xml", URL)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(answer, ParseFailed)
    assert answer.reason == "too_big"
    assert peak < 1_000_000


def test_the_process_ends_with_its_parser() -> None:
    parser = LocalParser(large_bytes=0)
    parser.feed(FEED.encode(), "text/xml", URL)
    process = parser._worker._process
    assert process is not None
    assert process.poll() is None
    del parser
    gc.collect()
    assert process.poll() is not None


def test_an_interruption_leaves_no_answer_for_the_next_body(parser: LocalParser) -> None:
    """What was asked before the interruption is not what is read after it."""
    body = FEED.encode() + b" " * 100_000
    tangle = b'<rss version="2.0"><channel>' + COSTLY["attributes"] + b"</channel></rss>"
    assert isinstance(parser.feed(body, "text/xml", URL), ParsedFeed)
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            parser.feed(tangle, "text/xml", URL)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    answer = parser.feed(body, "text/xml", URL)
    assert isinstance(answer, ParsedFeed)
    assert answer.title == "Coast Wire"


def test_the_process_knows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASTERISM_SECRET", "not for parsers")
    parser = LocalParser(large_bytes=0)
    parser.feed(FEED.encode(), "text/xml", URL)
    process = parser._worker._process
    assert process is not None
    environment = Path(f"/proc/{process.pid}/environ")
    if environment.exists():
        assert b"not for parsers" not in environment.read_bytes()
    parser.close()


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="Linux tells when a process ends")
def test_the_process_ends_when_ours_is_killed() -> None:
    script = (
        "import os, signal\n"
        "from pipeline.parsers.local import LocalParser\n"
        "parser = LocalParser(large_bytes=0)\n"
        "parser.feed(b'x', '', 'https://a.example/')\n"
        "print(parser._worker._process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, cwd=root, timeout=60, check=False
    )
    assert done.returncode == -9
    try:
        worker = os.pidfd_open(int(done.stdout))
    except ProcessLookupError:
        return
    ended, _, _ = select.select([worker], [], [], 60)
    os.close(worker)
    assert ended, "the worker outlived the program that started it"
