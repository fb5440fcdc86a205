from __future__ import annotations

import gzip
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import brotli
import pytest

from pipeline.fetchers.http import HttpFetcher, Limits
from pipeline.model.news import Answer, Fetched, FetchFailed, Request, Unchanged
from tests.world import LOOPBACK, Call, World, names

AGENT = "Asterism/0.1 (+mailto:desk@quaytide.example)"
EIGHT = "Sun, 06 Nov 1994 08:00:00 GMT"
NINE = "Sun, 06 Nov 1994 09:00:00 GMT"
HOSTS = names(**{f"h{n}_example": "127.0.0.1" for n in range(200)})


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


def fetcher(**limits: Any) -> HttpFetcher:
    return HttpFetcher(
        AGENT,
        allow_networks=LOOPBACK,
        allow_ports=(0,),
        resolve=HOSTS,
        limits=Limits(**{"spacing_s": 0.0, **limits}),
    )


def ask(url: str, etag: str = "", last_modified: str = "", **limits: Any) -> Answer:
    request = Request("only", url, etag=etag, last_modified=last_modified)
    ((asked, answer),) = fetcher(**limits).fetch([request])
    assert asked == request
    return answer


def fails(url: str, **limits: Any) -> FetchFailed:
    answer = ask(url, **limits)
    assert isinstance(answer, FetchFailed)
    assert answer.detail.endswith(".")
    assert answer.detail.isprintable()
    return answer


def gets(url: str, **limits: Any) -> Fetched:
    answer = ask(url, **limits)
    assert isinstance(answer, Fetched), answer
    return answer


# ── what is asked ────────────────────────────────────────────────────────────────────────


def test_a_request_says_who_we_are_and_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    world.says("/feed", "x", Set_Cookie="track=1; Path=/")
    gets(world.url("/feed?a=1#part"))
    gets(world.url("/feed"))
    first, second = world.calls
    assert first.path == "/feed?a=1"  # no fragment, nothing added
    assert first.header("User-Agent") == AGENT
    assert {name for name, _ in first.headers} == {
        "Host",
        "User-Agent",
        "Accept",
        "Accept-Encoding",
    }
    assert second.header("Cookie") is None


def test_a_redirect_takes_no_cookie_and_no_referer_along(world: World) -> None:
    world.routes["/old"] = lambda call: call.reply(
        b"", 302, {"Location": "/new", "Set-Cookie": "track=1; Path=/"}
    )
    world.says("/new", "x")
    gets(world.url("/old"))
    assert world.calls[1].header("Cookie") is None
    assert world.calls[1].header("Referer") is None


@pytest.mark.parametrize("etag", ['"abc"', 'W/"a b c"', "unquoted", '"üñí"', '"\\"back\\""'])
def test_validators_go_back_byte_for_byte(world: World, etag: str) -> None:
    stamp = "Sun, 06 Nov 1994 08:49:37 GMT"

    def feed(call: Call) -> None:
        wire = etag.encode()
        call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nETag: " + wire + b"\r\n")
        call.send(b"Last-Modified: " + stamp.encode() + b"\r\n\r\nx")

    world.routes["/feed"] = feed
    got = gets(world.url("/feed"))
    ask(world.url("/feed"), etag=got.etag, last_modified=got.last_modified)
    again = world.calls[1]
    sent = again.header("If-None-Match")
    assert sent is not None
    assert sent.encode("latin-1") == etag.encode()
    assert again.header("If-Modified-Since") == stamp


def test_a_validator_that_cannot_be_given_back_is_not_kept(world: World) -> None:
    world.routes["/feed"] = lambda call: call.send(
        b'HTTP/1.1 200 OK\r\nETag: "caf\xe9"\r\nContent-Length: 1\r\n\r\nx'
    )
    assert gets(world.url("/feed")).etag == ""


def test_validators_are_never_invented(world: World) -> None:
    world.says("/feed", "x", Date="Sun, 06 Nov 1994 08:49:37 GMT")
    got = gets(world.url("/feed"))
    assert (got.etag, got.last_modified) == ("", "")
    assert world.calls[0].header("If-Modified-Since") is None
    assert world.calls[0].header("If-None-Match") is None


# ── what is answered ─────────────────────────────────────────────────────────────────────


def test_a_body_with_what_the_server_says_of_it(world: World) -> None:
    url = world.says("/feed", "<rss/>", Content_Type="application/rss+xml; charset=utf-8")
    got = gets(url)
    assert (got.body, got.status, got.url) == (b"<rss/>", 200, url)
    assert got.content_type == "application/rss+xml; charset=utf-8"
    assert got.moved_to == ""
    assert got.elapsed_s > 0


def test_304_is_unchanged_with_its_new_validators(world: World) -> None:
    world.routes["/feed"] = lambda call: call.reply(
        b"", 304, {"ETag": '"2"', "Cache-Control": "max-age=7200"}
    )
    answer = ask(world.url("/feed"), etag='"1"')
    assert isinstance(answer, Unchanged)
    assert (answer.etag, answer.max_age_s) == ('"2"', 7200)


def test_304_without_having_asked_for_it_is_a_bad_answer(world: World) -> None:
    world.routes["/feed"] = lambda call: call.reply(b"", 304)
    assert fails(world.url("/feed")).reason == "bad_answer"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Cache-Control": "public, max-age=600"}, 600),
        ({"Cache-Control": 'max-age="600"'}, 600),
        ({"Cache-Control": "s-maxage=900"}, None),
        ({"Cache-Control": "max-age=600", "Age": "200"}, 400),
        ({"Cache-Control": "max-age=600", "Age": "900"}, 0),
        ({"Cache-Control": "max-age=999999999999"}, 36_500 * 86_400),
        ({"Cache-Control": "max-age=-1"}, None),
        ({"Date": EIGHT, "Expires": NINE}, 3600),
        ({"Date": NINE, "Expires": EIGHT}, 0),
        ({"Expires": "0"}, None),
        ({"Cache-Control": "max-age=60", "Date": EIGHT, "Expires": NINE}, 60),
        ({}, None),
    ],
)  # fmt: skip
def test_how_long_an_answer_stays_fresh(
    world: World, headers: dict[str, str], expected: int | None
) -> None:
    world.routes["/feed"] = lambda call: call.reply(b"x", 200, headers)
    assert gets(world.url("/feed")).max_age_s == expected


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_in_seconds_and_as_a_date(world: World, status: int) -> None:
    server_now = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)
    later = format_datetime(server_now + timedelta(days=30), usegmt=True)
    world.routes["/seconds"] = lambda call: call.reply(b"", status, {"Retry-After": "86400"})
    world.routes["/date"] = lambda call: call.reply(
        b"", status, {"Retry-After": later, "Date": format_datetime(server_now, usegmt=True)}
    )
    world.routes["/past"] = lambda call: call.reply(
        b"", status, {"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT"}
    )
    world.routes["/nonsense"] = lambda call: call.reply(b"", status, {"Retry-After": "soon"})
    seconds = fails(world.url("/seconds"))
    assert (seconds.status, seconds.reason, seconds.retry_after_s) == (status, "status", 86_400)
    assert fails(world.url("/date")).retry_after_s == 30 * 86_400
    assert fails(world.url("/past")).retry_after_s == 0
    assert fails(world.url("/nonsense")).retry_after_s is None


@pytest.mark.parametrize(
    "status", [400, 401, 403, 404, 418, 451, 500, 502, 599, 999, 204, 206, 300]
)
def test_other_statuses_are_told_in_plain_words(world: World, status: int) -> None:
    world.routes["/feed"] = lambda call: call.reply(b"", status)
    answer = fails(world.url("/feed"))
    assert (answer.reason, answer.status, answer.gone) == ("status", status, False)
    assert str(status) in answer.detail


def test_410_is_gone(world: World) -> None:
    world.routes["/feed"] = lambda call: call.reply(b"", 410)
    answer = fails(world.url("/feed"))
    assert answer.gone
    assert (answer.reason, answer.status) == ("gone", 410)


# ── redirects ────────────────────────────────────────────────────────────────────────────


def test_only_a_chain_of_permanent_redirects_is_a_new_address(world: World) -> None:
    end = world.says("/end", "x")
    world.sends("/301", "/308", 301)
    world.sends("/308", "/end", 308)
    world.sends("/302", "/308", 302)
    world.sends("/mixed", "/302", 301)
    assert gets(world.url("/301")).moved_to == end
    assert gets(world.url("/301")).url == end
    for path in ("/302", "/mixed"):
        assert gets(world.url(path)).moved_to == ""
        assert gets(world.url(path)).url == end


def test_validators_go_along_and_a_304_may_have_moved(world: World) -> None:
    world.sends("/old", "/new", 301)
    world.routes["/new"] = lambda call: call.reply(b"", 304)
    answer = ask(world.url("/old"), etag='"1"')
    assert isinstance(answer, Unchanged)
    assert answer.moved_to == world.url("/new")
    assert world.calls[-1].header("If-None-Match") == '"1"'


def test_five_redirects_are_followed_and_the_sixth_is_not(world: World) -> None:
    world.says("/0", "x")
    for n in range(1, 8):
        world.sends(f"/{n}", f"/{n - 1}")
    assert gets(world.url("/5")).body == b"x"
    world.calls.clear()
    assert fails(world.url("/6")).reason == "redirects"
    assert len(world.calls) == 6


def test_a_circle_fails_at_once(world: World) -> None:
    world.sends("/a", "/b")
    world.sends("/b", "/a#elsewhere")
    assert fails(world.url("/a")).reason == "redirects"
    assert world.paths() == ["/a", "/b"]


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("", "bad_answer"),
        ("ftp://h1.example/", "blocked"),
        ("javascript:alert(1)", "blocked"),
        ("//user@h1.example/", "blocked"),
        ("http://h1.example\\@h2.example/", "blocked"),
        ("http://[::1/", "bad_answer"),
        ("http://10.0.0.1/", "blocked"),
    ],
)
def test_a_redirect_to_nowhere(world: World, location: str, reason: str) -> None:
    world.sends("/feed", location)
    assert fails(world.url("/feed")).reason == reason


def test_a_redirect_with_spaces_and_letters_of_other_languages(world: World) -> None:
    world.says("/f%C3%B8lge%20ton", "x")
    world.routes["/utf-8"] = lambda call: call.send(
        "HTTP/1.1 302 X\r\nLocation: /følge ton\r\nContent-Length: 0\r\n\r\n".encode()
    )
    assert gets(world.url("/utf-8")).body == b"x"


# ── size ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("br", brotli.compress)])
def test_packed_bodies_are_unpacked(world: World, encoding: str, pack: Any) -> None:
    world.says("/feed", pack(b"<rss/>" * 1_000), Content_Encoding=encoding)
    assert gets(world.url("/feed")).body == b"<rss/>" * 1_000
    assert encoding in (world.calls[0].header("Accept-Encoding") or "")


def test_the_cap_is_on_decoded_bytes(world: World) -> None:
    world.says("/bomb", gzip.compress(b"\0" * 100_000_000), Content_Encoding="gzip")
    world.says("/fits", gzip.compress(b"\0" * 10_000_000), Content_Encoding="gzip")
    answer = fails(world.url("/bomb"))
    assert (answer.reason, answer.detail) == ("too_big", "The answer is larger than 10 MB.")
    assert len(gets(world.url("/fits")).body) == 10_000_000


def test_a_hundred_megabytes_are_not_read(world: World) -> None:
    sent = 0

    def announces(call: Call) -> None:
        call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        call.linger(5)

    def pours(call: Call) -> None:
        nonlocal sent
        call.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while sent < 100_000_000:
            call.send(b"x" * 65_536)
            sent += 65_536

    world.routes["/announces"] = announces
    world.routes["/pours"] = pours
    assert fails(world.url("/announces")).reason == "too_big"
    assert fails(world.url("/pours")).reason == "too_big"
    assert sent < 50_000_000


@pytest.mark.parametrize("encoding", ["compress", "gzip, br", "evil\x01\u202e" + "x" * 500])
def test_an_encoding_that_was_not_asked_for(world: World, encoding: str) -> None:
    def feed(call: Call) -> None:
        line = f"Content-Encoding: {encoding}\r\n".encode()
        call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n" + line + b"\r\nx")

    world.routes["/feed"] = feed
    answer = fails(world.url("/feed"))
    assert answer.reason == "bad_answer"
    assert len(answer.detail) < 200


def test_what_says_gzip_and_is_not(world: World) -> None:
    world.says("/feed", "<rss/>", Content_Encoding="gzip")
    assert fails(world.url("/feed")).reason == "bad_answer"


# ── servers that break ───────────────────────────────────────────────────────────────────


def test_nobody_listens() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # held, so that nobody else listens there meanwhile
        port = bound.getsockname()[1]
        assert fails(f"http://127.0.0.1:{port}/").reason == "refused"


def test_no_such_name() -> None:
    assert fails("http://nowhere.example/").reason == "dns"


def test_a_server_that_breaks_off(world: World) -> None:
    def short(call: Call) -> None:
        call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")

    world.routes["/short"] = short
    world.routes["/nothing"] = lambda call: None
    assert fails(world.url("/short")).reason == "dropped"
    assert fails(world.url("/nothing")).reason == "dropped"


@pytest.mark.parametrize(
    "wire",
    [
        b"HELLO\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: minus\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"\0\0\0\0",
    ],
)
def test_what_is_not_http(world: World, wire: bytes) -> None:
    world.routes["/feed"] = lambda call: call.send(wire)
    assert fails(world.url("/feed")).reason in {"bad_answer", "dropped"}


def test_a_server_that_cannot_speak_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):  # whoever hears this may hang up at once
                connection.recv(4_096)
                connection.sendall(b"HTTP/1.1 400 Speak plainly\r\n\r\n")
                connection.recv(4_096)

        thread = threading.Thread(target=answer)
        thread.start()
        failed = fails(f"https://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join()
    assert failed.reason == "tls"


def test_silence_and_dripping_end_at_their_deadlines(world: World) -> None:
    def drips(call: Call) -> None:
        call.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while not call.world.ending.wait(0.05):
            call.send(b"x")

    world.routes["/silent"] = lambda call: call.linger(10)
    world.routes["/drips"] = drips
    silent = fails(world.url("/silent"), read_timeout_s=0.3)
    assert (silent.reason, silent.detail) == ("timeout", "The server fell silent for 0.3 s.")
    dripping = fails(world.url("/drips"), read_timeout_s=5, whole_timeout_s=0.5)
    assert dripping.detail == "The answer was not complete after 0.5 s."


def test_the_deadline_holds_over_all_hops(world: World) -> None:
    def slow(call: Call) -> None:
        call.linger(0.3)
        call.reply(b"", 302, {"Location": f"/{int(call.path[1:]) + 1}"})

    world.routes.update({f"/{n}": slow for n in range(6)})
    assert fails(world.url("/0"), whole_timeout_s=0.7).reason == "timeout"
    assert len(world.calls) <= 3


def test_a_name_that_is_never_resolved_runs_into_the_deadline() -> None:
    never = threading.Event()

    def resolve(host: str, port: int) -> list[str]:
        never.wait(30)
        return []

    limits = Limits(connect_timeout_s=0.2)
    stuck = HttpFetcher(AGENT, resolve=resolve, limits=limits)
    asked = [Request(str(n), f"http://h{n}.example/") for n in range(20)]
    answers = [answer for _, answer in stuck.fetch(asked)]
    never.set()
    assert [answer.reason for answer in answers if isinstance(answer, FetchFailed)] == [
        "timeout"
    ] * 20


# ── side by side ─────────────────────────────────────────────────────────────────────────


def test_one_request_per_host_and_so_many_in_all(world: World) -> None:
    def feed(call: Call) -> None:
        call.linger(0.01)
        call.reply(b"x")

    paths = [f"/{n}" for n in range(5)]
    world.routes.update(dict.fromkeys(paths, feed))
    asked = [
        Request(f"{host}{path}", world.url(path, f"h{host}.example"))
        for path in paths
        for host in range(20)
    ]
    answers = list(fetcher(concurrency=8, patience_s=30).fetch(asked))
    assert sorted(request.key for request, _ in answers) == sorted(r.key for r in asked)
    assert all(isinstance(answer, Fetched) for _, answer in answers)
    assert max(world.peak_by_host.values()) == 1
    assert 1 < world.peak <= 8


def test_requests_to_one_host_are_spaced(world: World) -> None:
    for n in range(3):
        world.says(f"/{n}", "x")
    asked = [Request(str(n), world.url(f"/{n}")) for n in range(3)]
    assert len(list(fetcher(spacing_s=0.2).fetch(asked))) == 3
    times = [call.at for call in world.calls]
    assert all(b - a >= 0.19 for a, b in pairwise(times))


def test_dawdlers_do_not_hold_up_the_others(world: World) -> None:
    others_are_done = threading.Event()

    def slow(call: Call) -> None:
        others_are_done.wait(60)
        call.reply(b"x")

    world.routes["/slow"] = slow
    world.says("/quick", "x")
    late = [Request(f"slow {n}", world.url("/slow", f"h{n}.example")) for n in range(10)]
    quick = [Request(f"quick {n}", world.url("/quick", f"h{n}.example")) for n in range(20, 60)]
    order = []
    asking = fetcher(concurrency=4, patience_s=0.05, read_timeout_s=30).fetch(late + quick)
    for request, answer in asking:
        assert isinstance(answer, Fetched)
        order.append(request.key.split()[0])
        if len(order) == 40:
            others_are_done.set()
    assert order == ["quick"] * 40 + ["slow"] * 10


def test_whoever_stops_taking_stops_the_asking(world: World) -> None:
    for n in range(100):
        world.routes[f"/{n}"] = lambda call: (call.linger(0.02), call.reply(b"x"))[1]
    asked = [Request(str(n), world.url(f"/{n}")) for n in range(100)]
    before = {*threading.enumerate()}
    asking = fetcher().fetch(asked)
    next(asking)
    asking.close()
    assert len(world.calls) < 100
    assert {*threading.enumerate()} - before - {*world.threads} == set()


def test_an_interruption_ends_the_asking() -> None:
    def resolve(host: str, port: int) -> list[str]:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        never.wait(60)
        return []

    never = threading.Event()
    stuck = HttpFetcher(AGENT, resolve=resolve)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            list(stuck.fetch([Request("only", "http://h1.example/")]))
    finally:
        signal.signal(signal.SIGINT, before)
        never.set()
    assert "fetch" not in {thread.name for thread in threading.enumerate()}


def test_a_slow_taker_is_not_swamped(world: World) -> None:
    world.says("/big", b"x" * 9_000_000)
    asked = [Request(str(n), world.url("/big", f"h{n}.example")) for n in range(40)]
    asking = fetcher(concurrency=2, patience_s=30).fetch(asked)
    next(asking)
    time.sleep(1.0)
    assert len(world.calls) < 20  # it stopped at about 64 MB that nobody had taken
    assert len(list(asking)) == 39


def test_nothing_asked_is_nothing_done() -> None:
    assert list(fetcher().fetch([])) == []
