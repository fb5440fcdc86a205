"""POST /events over a real socket: kept before it is answered, and never more than we want."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline.model.letters import Event, Notice
from pipeline.ports import Ports
from pipeline.stages.deliver import deliver
from pipeline.stages.listen import take_in_waiting
from pipeline.stores import schema
from pipeline.stores.sql import SqlStore
from pipeline.web.events import AT_ONCE, MAX_BODY_BYTES
from pipeline.web.patience import Patience
from tests.builders import NOW, SECRET, StandingClock
from tests.ledger_scene import Scene, build_scene, connection
from tests.provider import SignedEvents, Told, posting, sign
from tests.stages.test_deliver import ScriptedTransport
from tests.web.serving import Site, ports, serving

LATER = NOW + timedelta(hours=1)


@pytest.fixture
def store(sqlite_url: str) -> Iterator[SqlStore]:
    store = SqlStore(sqlite_url, SECRET)
    yield store
    store.close()


@pytest.fixture
def scene(store: SqlStore) -> Scene:
    scene = build_scene(store)
    scene.plan()
    deliver(replace(ports(scene, StandingClock()), transport=ScriptedTransport()))
    return scene


def with_events(scene: Scene, events: Any = None) -> Ports:
    return replace(ports(scene, StandingClock(LATER)), events=events or SignedEvents())


@pytest.fixture
def site(scene: Scene) -> Iterator[Site]:
    with serving(with_events(scene), StandingClock(LATER)) as site:
        yield site


def kept(scene: Scene) -> list[tuple[bytes, bool]]:
    with connection(scene.store) as raw:
        table = schema.postings
        rows = raw.execute(sa.select(table.c.body, table.c.taken_in_at).order_by(table.c.id))
        return [(row.body, row.taken_in_at is not None) for row in rows]


def eventually(scene: Scene, states: dict[str, int]) -> None:
    """What is understood after the answer; the wait is a net, and wide."""
    ends = time.monotonic() + 60
    while scene.states() != states:
        assert time.monotonic() < ends, scene.states()
        time.sleep(0.01)


def test_what_is_signed_is_kept_answered_and_understood(scene: Scene, site: Site) -> None:
    body, headers = posting([Told("1", scene.row(0).public_id, "delivered")])
    for _ in range(2):  # again is the same
        answer = site.ask("POST", "/events", body, headers)
        assert (answer.status, answer.body) == (204, "")
        assert [one for one, _ in kept(scene)] == [body]
    eventually(scene, {"accepted": 2, "delivered": 1})


def test_that_our_own_mail_came_back_is_in_the_log(
    scene: Scene, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    notice = Notice(
        "review", f"issue:{scene.issue.public_id}", "liv", "liv@quaytide.example", "Liv Haugen",
        "Look", "<p>x</p>", "x", NOW, public_id="n" * 26,
    )  # fmt: skip
    with scene.store.write() as tables:
        tables.notices.add(notice)
    body, headers = posting([Told("1", "n" * 26, "bounce", "550 liv@quaytide.example")])
    assert site.ask("POST", "/events", body, headers).status == 204
    ends = time.monotonic() + 60  # it is understood after the answer
    while "1 mail among ourselves did not arrive" not in caplog.text:
        assert time.monotonic() < ends, caplog.text
        time.sleep(0.01)
    assert "liv@" not in caplog.text


def test_what_is_not_signed_is_told_nothing(scene: Scene, site: Site) -> None:
    body, _ = posting([Told("1", scene.row(0).public_id, "spamreport")])
    for headers in ({}, {"X-Signature": "0" * 64}):
        answer = site.ask("POST", "/events", body, headers)
        assert (answer.status, answer.body) == (401, "not believed\n")
    assert kept(scene) == []


def test_a_signed_body_that_is_broken_is_not_asked_for_again(scene: Scene, site: Site) -> None:
    broken = b'[{"id": "1"'
    assert site.ask("POST", "/events", broken, {"X-Signature": sign(broken)}).status == 204
    assert [one for one, _ in kept(scene)] == [broken]


def test_what_cannot_be_understood_now_changes_no_answer(scene: Scene) -> None:
    class Failing(SignedEvents):
        def read(self, body: bytes) -> list[Event]:
            raise RuntimeError("as if broken")

    body, headers = posting([Told("1", scene.row(0).public_id, "delivered")])
    with serving(with_events(scene, Failing()), StandingClock(LATER)) as site:
        assert site.ask("POST", "/events", body, headers).status == 204
    assert kept(scene) == [(body, False)]
    assert take_in_waiting(with_events(scene)).moved == 1


def test_where_no_provider_tells_us_anything_there_is_no_such_page(scene: Scene) -> None:
    body, headers = posting([])
    with serving(ports(scene, StandingClock(LATER)), StandingClock(LATER)) as site:
        assert site.ask("POST", "/events", body, headers).status == 404
        assert site.get("/events").status == 405
    assert kept(scene) == []


def test_a_body_that_is_too_large_is_cut_off(scene: Scene, site: Site) -> None:
    head = b"POST /events HTTP/1.1\r\nHost: x\r\n"
    declared = head + f"Content-Length: {MAX_BODY_BYTES + 1}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", site.port), timeout=120) as raw:
        raw.sendall(declared)
        assert raw.recv(65536).startswith(b"HTTP/1.1 413 ")
    chunk = b"80000\r\n" + b"x" * 0x80000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", site.port), timeout=120) as raw:
        raw.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        answer = b""
        try:
            for _ in range(MAX_BODY_BYTES // 0x80000 + 4):
                raw.sendall(chunk)
            answer = raw.recv(65536)
        except OSError:
            answer = answer or b"HTTP/1.1 413 "  # closed on us while we were still talking
        assert answer.startswith(b"HTTP/1.1 413 ")
    assert kept(scene) == []


def test_a_body_that_does_not_come_is_not_waited_for(scene: Scene) -> None:
    patience = Patience(body_s=0.2)
    with (
        serving(with_events(scene), StandingClock(LATER), patience=patience) as site,
        socket.create_connection(("127.0.0.1", site.port), timeout=120) as raw,
    ):
        raw.sendall(b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n[")
        assert raw.recv(65536).startswith(b"HTTP/1.1 408 ")
    assert kept(scene) == []


def test_who_sends_slowly_keeps_the_provider_waiting_no_longer(scene: Scene) -> None:
    """Strangers who each begin a body and never end it, in every turn that there is."""
    body, headers = posting([Told("1", scene.row(0).public_id, "delivered")])
    patience = Patience(body_s=60)
    with (
        serving(with_events(scene), StandingClock(LATER), patience=patience) as site,
        ExitStack() as strangers,
    ):
        for length in (10, MAX_BODY_BYTES):
            for _ in range(AT_ONCE + 1):
                raw = socket.create_connection(("127.0.0.1", site.port), timeout=120)
                strangers.enter_context(raw)
                head = f"POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n["
                raw.sendall(head.encode())
        site.get("/healthz")
        assert site.ask("POST", "/events", body, headers).status == 204
    assert kept(scene) == [(body, True)]
