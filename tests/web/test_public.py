"""Leaving and reading over real sockets: only a press changes anything, and nothing is told."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields, replace
from datetime import timedelta
from html import escape

import pytest
import sqlalchemy as sa

from pipeline.errors import Down
from pipeline.model.catalog import Newsletter
from pipeline.model.people import EVERYWHERE
from pipeline.ports import Ports
from pipeline.stages.deliver import deliver
from pipeline.stores import schema
from pipeline.stores.schema import new_public_id
from pipeline.stores.sql import SqlStore
from pipeline.web.patience import Patience
from pipeline.web.words import ENGLISH, PageWords
from tests.builders import CATALOG, FERRIES, FIRM, NOW, SECRET, WEEKLY, StandingClock
from tests.ledger_scene import TOKENS, Scene, address, build_scene, connection
from tests.stages.test_deliver import ScriptedTransport
from tests.web.serving import Answer, Site, ports, serving

LATER = NOW + timedelta(hours=1)
ONE_CLICK = "List-Unsubscribe=One-Click"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def store(sqlite_url: str) -> Iterator[SqlStore]:
    """What a page shows does not hang on the database; the ledger's tests run on both."""
    store = SqlStore(sqlite_url, SECRET)
    yield store
    store.close()


@pytest.fixture
def scene(store: SqlStore) -> Scene:
    """Three readers who have had their copies an hour ago."""
    scene = build_scene(store)
    scene.plan()
    deliver(replace(ports(scene, StandingClock()), transport=ScriptedTransport()))
    return scene


@pytest.fixture
def site(scene: Scene) -> Iterator[Site]:
    clock = StandingClock(LATER)
    with serving(ports(scene, clock), clock) as site:
        yield site


def leave_path(scene: Scene, number: int = 0) -> str:
    return f"/leave/{TOKENS.make('leave', scene.row(number).public_id)}"


def suppressed(scene: Scene, number: int = 0) -> set[tuple[str, str]]:
    with scene.store.read() as tables:
        return {
            (one.scope, one.reason) for one in tables.people.suppressions(scene.contact_ids[number])
        }


def rows(scene: Scene) -> list[list[tuple[object, ...]]]:
    with connection(scene.store) as raw:
        return [
            [tuple(row) for row in raw.execute(sa.select(table).order_by(*table.primary_key))]
            for table in schema.metadata.sorted_tables
        ]


# ── looking ──────────────────────────────────────────────────────────────────────────────


def test_looking_changes_nothing_whoever_looks(scene: Scene, site: Site) -> None:
    before = rows(scene)
    path = leave_path(scene)
    for method in ("GET", "HEAD"):
        for look in (path, f"{path}?List-Unsubscribe=One-Click", f"{path}?scope=all&again=yes"):
            assert site.ask(method, look).status == 200
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"):
        assert site.ask(method, path, ONE_CLICK).status == 405
    assert rows(scene) == before


def test_the_page_names_the_letter_and_nobody(scene: Scene, site: Site) -> None:
    page = site.get(leave_path(scene))
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    named = '<span class="whole" dir="auto">Between Quays</span>'
    assert f'<h1 class="title">Leaving {named}</h1>' in page.body
    assert "<title>Leaving Between Quays</title>" in page.body
    assert '<bdi>Between Quays</bdi>, <span class="whole">every Thursday</span>' in page.body
    assert "Every letter from Quay &amp; Tide" in page.body
    assert escape(FIRM.postal_address) in re.sub("<[^>]+>", "", page.body)
    for secret in (address(0), "Reader", "northline", TOKENS.make("leave", scene.row(0).public_id),
                   scene.row(0).public_id, "prospect"):  # fmt: skip
        assert secret not in page.body
    assert "<script" not in page.body
    assert " style=" not in page.body


def in_german(scene: Scene, *others: Newsletter) -> Ports:
    """Ports of a firm whose weekly letter is in German."""
    newsletters = (replace(WEEKLY, language="de"), *others)
    catalog = replace(CATALOG, constellations=(replace(FERRIES, newsletters=newsletters),))
    return replace(ports(scene, StandingClock(LATER)), catalog=catalog)


def test_a_german_letters_pages_speak_german(scene: Scene) -> None:
    clock = StandingClock(LATER)
    path = leave_path(scene)
    with serving(in_german(scene), clock) as site:
        pages = {
            "Was möchten Sie abbestellen?": site.get(path),
            "Der Brief ist abbestellt": site.post(path, scope="this"),
            "Alle Briefe sind abbestellt": site.post(path, scope="all"),
            "Der Brief bleibt Ihnen": site.post(path, scope="keep"),
            "Diese Seite zeigt nur etwas": site.ask("PUT", path),
            "Das war zu viel": site.ask("POST", path, "x" * 20_000),
            "Hier ist keine Seite": site.get(f"/issues/{new_public_id()}"),
        }
    for words, page in pages.items():
        assert words in page.body
        assert '<html lang="de" dir="ltr">' in page.body
    look = pages["Was möchten Sie abbestellen?"].body
    assert "<title>„Between Quays“ abbestellen</title>" in look
    assert '<bdi>Between Quays</bdi>, <span class="whole">jeden Donnerstag</span>' in look
    assert "Alle Briefe von Quay &amp; Tide" in look
    for page in pages.values():
        for words in english_words():
            assert words not in page.body


def english_words() -> list[str]:
    """What only an English page says."""
    said = [getattr(ENGLISH, field.name) for field in fields(PageWords)]
    whole = [words for words in said if isinstance(words, str) and "{" not in words]
    return [*whole, *(words for pair in ENGLISH.trouble.values() for words in pair)]


def test_where_letters_differ_the_link_says_the_language(scene: Scene) -> None:
    monthly = replace(WEEKLY, key="ferry-monthly", title="A Month of Quays")
    path = leave_path(scene)
    with serving(in_german(scene, monthly), StandingClock(LATER)) as site:
        assert "What should stop?" in site.get(path).body
        assert "Was möchten Sie abbestellen?" in site.get(f"{path}?lang=de").body
        assert "Der Brief ist abbestellt" in site.post(f"{path}?x=1&lang=de", scope="this").body
        for strange in ("fr", "de-AT", "de%22%3E", "", "DE", "xx&lang"):
            page = site.get(f"{path}?lang={strange}")
            assert '<html lang="en" dir="ltr">' in page.body
            assert "What should stop?" in page.body


def test_an_english_letter_of_a_firm_gone_german_still_speaks_english(scene: Scene) -> None:
    with serving(in_german(scene), StandingClock(LATER)) as site:
        assert "What should stop?" in site.get(f"{leave_path(scene)}?lang=en").body


def test_pages_of_no_letter_stay_english(scene: Scene) -> None:
    with serving(in_german(scene), StandingClock(LATER), public_only=False) as site:
        for path in ("/", "/nothing?lang=de", "/static/", "//leave/x?lang=de"):
            assert '<html lang="en" dir="ltr">' in site.get(path).body


def test_a_sentence_in_another_language_says_so(scene: Scene) -> None:
    french = replace(WEEKLY, language="fr", positioning="Nous comptons les quais.")
    catalog = replace(CATALOG, constellations=(replace(FERRIES, newsletters=(french,)),))
    its = replace(ports(scene, StandingClock(LATER)), catalog=catalog)
    with serving(its, StandingClock(LATER)) as site:
        page = site.get(leave_path(scene)).body
    assert '<html lang="en" dir="ltr">' in page
    assert '<p class="line" dir="auto" lang="fr">Nous comptons les quais.</p>' in page


def wrong_tokens(scene: Scene) -> dict[str, str]:
    right = TOKENS.make("leave", scene.row(0).public_id)
    return {
        "never made": TOKENS.make("leave", new_public_id()),
        "another purpose": TOKENS.make("preferences", scene.row(0).public_id),
        "an id": scene.row(0).public_id,
        "tampered": right[:-2] + ("AA" if right[-2:] != "AA" else "BB"),
        "in other case": right.swapcase(),
        "cut short": right[:20],
        "too long": right + "A",
        "very long": "A" * 3000,
        "encoded": "%C3%A9%00%22%3Cb%3E",
        "a name": "..%2e",
    }


@pytest.mark.parametrize("languages", [("en",), ("en", "en"), ("de",), ("de", "en")])
def test_a_wrong_link_looks_like_a_right_one(scene: Scene, languages: tuple[str, ...]) -> None:
    keys = (WEEKLY.key, "ferry-monthly")
    newsletters = tuple(
        replace(WEEKLY, key=key, language=language)
        for key, language in zip(keys, languages, strict=False)
    )
    catalog = replace(CATALOG, constellations=(replace(FERRIES, newsletters=newsletters),))
    clock = StandingClock(LATER)
    with serving(replace(ports(scene, clock), catalog=catalog), clock) as site:
        right = site.get(leave_path(scene))
        for what, token in wrong_tokens(scene).items():
            wrong = site.get(f"/leave/{token}")
            assert (wrong.status, wrong.body) == (right.status, right.body), what
            assert {k: v for k, v in wrong.headers.items() if k != "date"} == {
                k: v for k, v in right.headers.items() if k != "date"
            }, what
        for pressed in ({"scope": "this"}, {"scope": "all"}, {"scope": "keep"}):
            right = site.post(leave_path(scene, 1), **pressed)
            for what, token in wrong_tokens(scene).items():
                wrong = site.post(f"/leave/{token}", **pressed)
                assert (wrong.status, wrong.body) == (right.status, right.body), what
    assert suppressed(scene) == set()


# ── leaving ──────────────────────────────────────────────────────────────────────────────


def test_a_press_on_the_page_stops_this_letter_once(scene: Scene, site: Site) -> None:
    first = site.post(leave_path(scene), scope="this")
    again = site.post(leave_path(scene), scope="this")
    assert "The letter has stopped</h1>" in first.body
    assert "Keep the letter after all" in first.body
    assert (first.status, first.body) == (again.status, again.body)
    assert suppressed(scene) == {(WEEKLY.key, "left")}
    assert suppressed(scene, 1) == set()


def test_or_all_of_them(scene: Scene, site: Site) -> None:
    answer = site.post(leave_path(scene), scope="all")
    assert "All our letters have stopped</h1>" in answer.body
    assert "Keep the letters after all" in answer.body
    assert suppressed(scene) == {(EVERYWHERE, "left")}


def multipart(name: str, value: str) -> tuple[str, str]:
    body = (
        f'--b0und\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n--b0und--\r\n'
    )
    return body, "multipart/form-data; boundary=b0und"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (ONE_CLICK, FORM),
        (ONE_CLICK, f"{FORM}; charset=UTF-8"),
        (ONE_CLICK, ""),
        (ONE_CLICK, "text/plain"),
        (f"{ONE_CLICK}&scope=all", FORM),
        multipart("List-Unsubscribe", "One-Click"),
    ],
)
def test_a_mail_programs_one_click_works_at_once(scene: Scene, body: str, kind: str) -> None:
    clock = StandingClock(NOW + timedelta(seconds=1))  # a second after the delivery
    with serving(ports(scene, clock), clock) as site:
        headers = {"Content-Type": kind} if kind else {}
        answer = site.ask("POST", leave_path(scene), body, headers)
    assert answer.status == 200  # no redirect
    assert "location" not in answer.headers
    assert "set-cookie" not in answer.headers
    assert suppressed(scene) == {(WEEKLY.key, "left")}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("", FORM),
        ("scope=", FORM),
        ("scope=everything", FORM),
        ("List-Unsubscribe=One-Clic", FORM),
        ("list-unsubscribe=one-click", FORM),
        (b"\xff\xfe\x00", FORM),
        ('{"scope": "this"}', "application/json"),
        ("--x\r\nbroken", "multipart/form-data; boundary=b0und"),
        ("anything", "multipart/form-data"),
        (multipart("scope", "this")[0], "multipart/form-data; boundary=other"),
        (multipart("scope", "this")[0][:-30], "multipart/form-data; boundary=b0und; charset=xyz"),
        (b"--b0und\r\n" + b"X: y\r\n" * 2000, "multipart/form-data; boundary=b0und"),
        multipart("else", "One-Click"),
        ("&".join(f"f{n}=1" for n in range(100)) + "&scope=this", FORM),
    ],
)
def test_what_is_no_press_shows_the_page_again(
    scene: Scene, site: Site, body: bytes | str, kind: str
) -> None:
    answer = site.ask("POST", leave_path(scene), body, {"Content-Type": kind})
    assert answer.status == 200
    assert "What should stop?" in answer.body
    assert suppressed(scene) == set()


def test_a_press_within_minutes_of_the_delivery_asks_once_more(scene: Scene) -> None:
    clock = StandingClock(NOW + timedelta(minutes=9))
    with serving(ports(scene, clock), clock) as site:
        asked = site.post(leave_path(scene), scope="all")
        assert "Once more, please" in asked.body
        assert suppressed(scene) == set()
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="(\w+)">', asked.body))
        assert "All our letters have stopped" in site.post(leave_path(scene), **hidden).body
        assert suppressed(scene) == {(EVERYWHERE, "left")}
        clock.at = NOW + timedelta(minutes=10)
        assert "has stopped" in site.post(leave_path(scene, 1), scope="this").body


def test_it_is_in_force_in_the_very_next_claim(store: SqlStore) -> None:
    scene = build_scene(store)
    scene.plan()
    clock = StandingClock()
    with serving(ports(scene, clock), clock) as site:
        site.ask("POST", leave_path(scene, 1), ONE_CLICK, {"Content-Type": FORM})
        transport = ScriptedTransport()
        done = deliver(replace(ports(scene, clock), transport=transport))
    assert dict(done.issues[0].counts) == {"accepted": 2, "withheld": 1}
    assert address(1) not in [one.recipient for one in transport.sent]


def test_staying_after_all_takes_back_only_ones_own_leaving(scene: Scene, site: Site) -> None:
    site.post(leave_path(scene), scope="this")
    site.post(leave_path(scene), scope="all")
    with scene.store.write() as tables:
        tables.people.suppress(scene.contact_ids[0], EVERYWHERE, "complaint", NOW)
    answer = site.post(leave_path(scene), scope="keep")
    assert "The letter stays" in answer.body
    assert suppressed(scene) == {(EVERYWHERE, "complaint")}
    assert site.post(leave_path(scene), scope="keep").body == answer.body


def test_a_colleagues_copy_of_a_test_leaves_nobody(store: SqlStore) -> None:
    """Internal mail has no leave link; should one be made, nobody is found by it."""
    scene = build_scene(store, contacts=1)
    staff = scene.row(
        0, purpose="test", contact_id=None, staff_key="tom", public_id=new_public_id()
    )
    scene.plan([staff])
    clock = StandingClock(LATER)
    with serving(ports(scene, clock), clock) as site:
        path = f"/leave/{TOKENS.make('leave', staff.public_id)}"
        assert "have stopped" in site.post(path, scope="all").body
    assert suppressed(scene) == set()


# ── what is sent is small and proper, or it is refused ───────────────────────────────────


def test_a_huge_body_is_refused_early(scene: Scene, site: Site) -> None:
    answer = site.ask("POST", leave_path(scene), "scope=this&x=" + "x" * 20_000)
    assert answer.status == 413
    assert "nothing was changed" in answer.body
    assert suppressed(scene) == set()


def test_a_body_said_to_be_huge_is_not_waited_for(scene: Scene, site: Site) -> None:
    head = f"POST {leave_path(scene)} HTTP/1.1\r\nHost: x\r\nContent-Length: {10**15}\r\n"
    with socket.create_connection(("127.0.0.1", site.port), timeout=120) as raw:
        raw.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        answer = read_all(raw)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_body_without_an_end_is_cut_off(scene: Scene, site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=120) as raw:
        head = f"POST {leave_path(scene)} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked"
        raw.sendall(f"{head}\r\n\r\n".encode())
        chunk = b"1000\r\n" + b"x" * 0x1000 + b"\r\n"
        answer = b""
        try:
            for _ in range(200):
                raw.sendall(chunk)
            answer = raw.recv(65536)
        except OSError:
            answer = answer or b" 413 "  # closed on us while we were still talking
        assert b" 413 " in answer.split(b"\r\n")[0]


def say(raw: socket.socket, words: bytes) -> None:
    """As much as the other side takes: it may cut us off before the end."""
    with suppress(ConnectionResetError, BrokenPipeError):
        raw.sendall(words)


def read_all(raw: socket.socket) -> bytes:
    """What comes until the other side closes; a test fails when it does not."""
    answer = b""
    try:
        while part := raw.recv(65536):
            answer += part
    except ConnectionResetError:
        pass  # cut off
    return answer


SLOW = {
    "nothing": b"",
    "half a line": b"GET /heal",
    "half a head": b"GET /healthz HTTP/1.1\r\nHost: x\r\n",
    "no next one": b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /hea",
    "a body nobody asked for": b"GET /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nx",
}


@pytest.mark.parametrize("sent", SLOW)
def test_who_is_slow_to_ask_is_cut_off(scene: Scene, sent: str) -> None:
    clock = StandingClock(LATER)
    with (
        serving(ports(scene, clock), clock, patience=Patience(head_s=0.2)) as site,
        socket.create_connection(("127.0.0.1", site.port), timeout=120) as raw,
    ):
        say(raw, SLOW[sent])
        answer = read_all(raw)
    assert answer.count(b"HTTP/1.1") in (0, SLOW[sent].count(b"\r\n\r\n"))


def test_a_body_that_does_not_come_is_told_so(scene: Scene) -> None:
    clock = StandingClock(LATER)
    with (
        serving(ports(scene, clock), clock, patience=Patience(body_s=0.2)) as site,
        socket.create_connection(("127.0.0.1", site.port), timeout=120) as raw,
    ):
        head = f"POST {leave_path(scene)} HTTP/1.1\r\nHost: x\r\nContent-Length: 40"
        raw.sendall(f"{head}\r\n\r\nscope=this".encode())
        answer = read_all(raw)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"nothing was changed" in answer
    assert suppressed(scene) == set()


def test_who_does_not_read_the_answers_is_cut_off(scene: Scene) -> None:
    clock = StandingClock(LATER)
    asked = b"GET /static/public.css HTTP/1.1\r\nHost: x\r\n\r\n"
    limits = Patience(head_s=1, answer_s=1)
    with serving(ports(scene, clock), clock, patience=limits) as site, socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.settimeout(120)
        raw.connect(("127.0.0.1", site.port))
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            raw.sendall(asked * 200_000)  # asks on and on, and reads nothing


def test_a_head_without_an_end_is_refused(scene: Scene) -> None:
    clock = StandingClock(LATER)
    patient = Patience(head_s=600)  # so that it is the size that is refused, not the slowness
    with serving(ports(scene, clock), clock, patience=patient) as site:
        with socket.create_connection(("127.0.0.1", site.port), timeout=60) as raw:
            say(raw, b"GET /" + b"/" * 40_000)
            answer = read_all(raw)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
        deep = site.get("/" * 10_000)
    assert deep.status == 404
    assert len(deep.body) < 5_000


NOT_HERE = (
    "//leave/{token}", "/leave//{token}", "/leave/{token}/", "/leave/{token}/keep",
    "/Leave/{token}", "/LEAVE/{token}", "/leave%2f{token}", "/leave/{token}%2f",
    "/leave/{token}%2fkeep", "/leave/x%2f..%2f{token}", "/leave/", "/leave", "/",
    "/issues/", "/issues", "/static/", "/static/../app.py", "/static/%2e%2e/app.py",
    "/static/public.css/", "/static/brand.css.bak", "/desk", "/api/v1", "/docs",
    "/openapi.json", "/healthz/", "/favicon.ico", "/.env", "/output/asterism.db",
)  # fmt: skip


def test_nothing_else_is_here(scene: Scene, site: Site) -> None:
    token = TOKENS.make("leave", scene.row(0).public_id)
    for path in NOT_HERE:
        for method in ("GET", "POST"):
            answer = site.ask(method, path.replace("{token}", token), ONE_CLICK)
            assert answer.status == 404, (method, path)
            assert "There is no page here" in answer.body
            assert "Quay &amp; Tide" in answer.body
            assert "location" not in answer.headers
    assert suppressed(scene) == set()


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get")
READ, WRITE = {"GET", "HEAD"}, {"GET", "HEAD", "POST"}


def test_every_page_answers_its_own_methods_only(scene: Scene, site: Site) -> None:
    pages = {
        leave_path(scene): WRITE, f"/issues/{scene.issue.public_id}": READ, "/healthz": READ,
        "/readyz": READ,
        "/static/public.css": READ, "/static/brand.css": READ, "/static/mark.svg": READ,
    }  # fmt: skip
    for path, allowed in pages.items():
        for method in METHODS:
            answer = site.ask(method, path)
            assert answer.status == (200 if method in allowed else 405), (method, path)
            if answer.status == 405:
                assert set(answer.headers["allow"].split(", ")) == allowed
            if method == "HEAD":
                assert answer.body == ""
                assert answer.headers["content-length"] == site.get(path).headers["content-length"]


STRANGE_TARGETS = (
    b"*", b"x", b"http://evil.example/", b"http://evil.example/healthz", b"//evil.example/healthz",
    b"/%", b"/%00", b"/%ff%fe", b"/leave/%ff", b"/leave/%0d%0aSet-Cookie:%20a=b", b"/issues/%0a",
    b"/static/..%5capp.py", b"/static/%252e%252e/app.py", b"/healthz;x", b"/healthz%20", b"/?/../",
    b"/leave/../healthz", b"/./healthz", b"/#/healthz", b"/\\healthz",
)  # fmt: skip


def test_a_strange_target_finds_nothing_and_breaks_nothing(
    scene: Scene, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    for target in STRANGE_TARGETS:
        for method in (b"GET", b"OPTIONS"):
            with socket.create_connection(("127.0.0.1", site.port), timeout=120) as raw:
                raw.sendall(method + b" " + target + b" HTTP/1.1\r\nHost: x\r\n")
                raw.sendall(b"Connection: close\r\n\r\n")
                answer = read_all(raw)
            status = answer.split(b" ")[1]
            looks = method == b"GET" and target.startswith(b"/leave/%")  # a wrong link
            assert status == b"200" if looks else status in (b"400", b"404", b"405"), target
            assert b"set-cookie" not in answer.lower()
            assert b"evil" not in answer
    assert "failed" not in caplog.text


def assert_guarded(answer: Answer) -> None:
    policy = answer.headers["content-security-policy"]
    assert policy == (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "server" not in answer.headers
    assert "set-cookie" not in answer.headers


def test_strict_headers_everywhere(scene: Scene, site: Site) -> None:
    for path in (
        leave_path(scene), "/nothing", "/static/public.css", "/healthz",
        f"/issues/{scene.issue.public_id}",
    ):  # fmt: skip
        assert_guarded(site.get(path))
    assert_guarded(site.post(leave_path(scene), scope="this"))
    assert_guarded(site.ask("DELETE", leave_path(scene)))
    assert site.get(leave_path(scene)).headers["cache-control"] == "no-store"
    assert site.post(leave_path(scene), scope="this").headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("logo", "images"),
    [
        ("https://quaytide.example/logo.svg", "'self' https://quaytide.example"),
        ("http://quaytide.example:8080/logo.svg", "'self' http://quaytide.example:8080"),
        ("https://fähre.example/logo.svg", "'self' https://xn--fhre-loa.example"),
        ("https://πλοίο.example/logo.svg", "'self' https://xn--kxaxmbb.example"),
        ("https://a.example;script-src *.example/x", "'self'"),
        ("https://a.example;script-src/x", "'self'"),
        ("", "'self'"),
    ],
)
def test_a_logo_from_the_firms_own_site_may_show(scene: Scene, logo: str, images: str) -> None:
    clock = StandingClock(LATER)
    catalog = replace(CATALOG, firm=replace(FIRM, brand=replace(FIRM.brand, logo=logo)))
    with serving(replace(ports(scene, clock), catalog=catalog), clock) as site:
        policy = site.get("/healthz").headers["content-security-policy"]
    assert f"; img-src {images}; form-action " in policy


def test_every_file_a_page_names_is_there(scene: Scene, site: Site) -> None:
    page = site.get(leave_path(scene))
    for name, kind in (
        ("public.css", "text/css"), ("brand.css", "text/css"), ("mark.svg", "image/svg+xml"),
    ):  # fmt: skip
        assert f'"../static/{name}"' in page.body
        answer = site.get(f"/static/{name}")
        assert answer.status == 200
        assert answer.headers["content-type"].split(";")[0] == kind
        assert answer.body


# ── the issue ────────────────────────────────────────────────────────────────────────────


def test_the_issue_is_its_frozen_page(scene: Scene, site: Site) -> None:
    answer = site.get(f"/issues/{scene.issue.public_id}")
    with scene.store.read() as tables:
        frozen = tables.letters.variant(scene.public_variant_id)
    assert (answer.status, answer.body) == (200, frozen.html)
    head = site.ask("HEAD", f"/issues/{scene.issue.public_id}")
    assert (head.status, head.body) == (200, "")
    assert int(head.headers["content-length"]) == len(frozen.html.encode())


def test_an_issue_is_reached_by_its_whole_id_only(scene: Scene, site: Site) -> None:
    whole = scene.issue.public_id
    for ref in (
        "ferry-weekly",
        "ferry-weekly%2f1",
        whole[:10],
        whole.upper(),
        "a" * 26,
        "1",
        "%00",
    ):
        assert site.get(f"/issues/{ref}").status == 404, ref


@pytest.mark.parametrize("state", ["draft", "scheduled", "stopped"])
def test_an_issue_of_which_nothing_is_out_is_not_there(store: SqlStore, state: str) -> None:
    scene = build_scene(store, state=state)
    scene.plan()
    clock = StandingClock()
    with serving(ports(scene, clock), clock) as site:
        missing = site.get(f"/issues/{scene.issue.public_id}")
        assert missing.status == 404
        assert missing.body == site.get(f"/issues/{new_public_id()}").body


# ── trouble, and what is for this machine alone ──────────────────────────────────────────


class Away:
    """A store whose database has gone."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def read(self) -> object:
        raise self.error

    write = check_shape = read


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (Down("The database does not answer: host db.internal, user ada"), 503, "Not just now"),
        (RuntimeError("SELECT address FROM contacts: ingrid@northline.example"), 500, "our side"),
    ],
)
def test_a_failure_is_told_plainly_and_betrays_nothing(
    scene: Scene, caplog: pytest.LogCaptureFixture, error: Exception, status: int, words: str
) -> None:
    clock = StandingClock(LATER)
    broken: Ports = replace(ports(scene, clock), store=Away(error))  # type: ignore[arg-type]
    with serving(broken, clock) as site:
        answer = site.post(leave_path(scene), scope="this")
        assert site.get(leave_path(scene)).status == 200  # looking needs no database
        assert site.get("/healthz").status == 200  # the process answers, and asks nobody
        assert site.get("/readyz").status == status
    assert answer.status == status
    assert words in answer.body
    assert_guarded(answer)
    assert f": {type(error).__name__}" in caplog.text  # who runs this is told what kind it was
    token = TOKENS.make("leave", scene.row(0).public_id)
    for text in (answer.body, caplog.text):
        for secret in ("ingrid", "internal", "SELECT", token):
            assert secret not in text


def test_this_machines_own_list_is_not_public(scene: Scene, site: Site) -> None:
    assert site.get("/").status == 404
    clock = StandingClock(LATER)
    with serving(ports(scene, clock), clock, public_only=False) as own:
        answer = own.get("/")
        assert answer.status == 200
        assert "ferry-weekly/1" in answer.body
        assert f'href="issues/{scene.issue.public_id}"' in answer.body
        assert own.get(leave_path(scene)).status == 200


OTHER_NAMES = (
    "evil.example", "127.0.0.1.evil.example:8000", "", "localhost.evil.example", "[::1",
    "a@b@localhost:x",
)  # fmt: skip


def test_another_name_that_points_here_sees_nothing(scene: Scene) -> None:
    clock = StandingClock(LATER)
    with serving(ports(scene, clock), clock, public_only=False) as own:
        for host in ("127.0.0.1:8000", "localhost", "[::1]:8000"):
            assert b"ferry-weekly/1" in raw_get(own, host)
        for host in OTHER_NAMES:
            answer = raw_get(own, host)
            assert answer.split(b" ")[1] in (b"421", b"400"), host
            assert b"ferry-weekly" not in answer
            assert b"Tide" not in answer


def raw_get(site: Site, host: str) -> bytes:
    answer = b""
    with socket.create_connection(("127.0.0.1", site.port), timeout=120) as raw:
        raw.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        while part := raw.recv(65536):
            answer += part
    return answer
