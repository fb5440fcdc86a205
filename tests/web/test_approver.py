"""The links of a review mail over real sockets: looking changes nothing, one press stops."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline.errors import Conflict
from pipeline.model.letters import Batch, Recall
from pipeline.settings import SendGridSettings
from pipeline.stages.compose import approve, compose_automatic, stop
from pipeline.stages.deliver import deliver
from pipeline.stages.notify import send_notices
from pipeline.stores import schema
from pipeline.stores.sql import SqlStore
from pipeline.transports.sendgrid.send import SendGridTransport
from tests.builders import SECRET
from tests.compose_automatic import MONTH, MONTH_DUE, month_scene, open_month, weekly_goes_out
from tests.compose_scene import Scene, log_of
from tests.fake_sendgrid import KEY, FakeSendGrid
from tests.people_scene import raw
from tests.web.serving import Site, serving


@pytest.fixture
def store(sqlite_url: str) -> Iterator[SqlStore]:
    """What a page shows does not hang on the database; stopping is tested on both elsewhere."""
    store = SqlStore(sqlite_url, SECRET)
    yield store
    store.close()


@pytest.fixture
def scene(store: SqlStore, tmp_path: Path) -> Scene:
    """The month is under review and goes to Fay alone."""
    scene = month_scene(store, tmp_path)
    scene.people()
    weekly_goes_out(scene)
    scene.person("Fay", "northline")
    open_month(scene)
    compose_automatic(scene.ports)
    return scene


@pytest.fixture
def site(scene: Scene) -> Iterator[Site]:
    with serving(scene.ports, scene.clock) as site:
        yield site


def link(scene: Scene, purpose: str, other: str = "") -> str:
    token = scene.ports.tokens.make(other or purpose, scene.issue(MONTH).public_id)
    return f"/{purpose}/{token}"


def rows(scene: Scene) -> list[list[tuple[object, ...]]]:
    with raw(scene.store) as connection:
        return [
            [tuple(row) for row in connection.execute(sa.select(t).order_by(*t.primary_key))]
            for t in schema.metadata.sorted_tables
        ]


def test_looking_tells_what_it_is_and_changes_nothing(site, scene):
    before = rows(scene)
    page = site.get(link(scene, "stop"))
    assert page.status == 200
    assert "Stop The Month at the Quays (no.\u00a01)?" in page.body
    assert "Tuesday 16 March 2027, 08:00 (Europe/Oslo), to 1 person." in page.body
    assert page.body.count("<button") == 1
    assert link(scene, "preview").lstrip("/") in page.body
    assert site.ask("HEAD", link(scene, "stop")).status == 200
    assert rows(scene) == before


def test_the_page_names_nobody_and_is_not_kept(site, scene):
    page = site.get(link(scene, "stop"))
    for word in ("Fay", "northline", "@", "prospect", "customer", "had_recap"):
        assert word.lower() not in page.body.lower()
    assert page.headers["x-robots-tag"] == "noindex"
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_one_press_stops_it_in_the_name_of_its_approver(site, scene):
    page = site.post(link(scene, "stop"))
    assert page.status == 200
    assert "The Month at the Quays (no.\u00a01) is stopped" in page.body
    assert "<button" not in page.body
    issue = scene.issue(MONTH)
    assert (issue.state, issue.reason) == ("stopped", "stopped by the link in the review mail")
    with scene.store.read() as tables:
        *_, last = tables.log.of(f"issue:{issue.public_id}")
    assert (last.verb, last.actor) == ("stop", "Liv Haugen")
    scene.at(MONTH_DUE)
    assert deliver(scene.ports).total("accepted") == 0


def test_pressed_again_it_says_so_and_changes_nothing(site, scene):
    site.post(link(scene, "stop"))
    before = rows(scene)
    assert "is stopped" in site.post(link(scene, "stop")).body
    assert "is stopped" in site.get(link(scene, "stop")).body
    assert rows(scene) == before
    assert log_of(scene, f"issue:{scene.issue(MONTH).public_id}").count("stop") == 1


def test_when_it_is_out_it_says_so_kindly(site, scene):
    send_notices(scene.ports)  # nothing goes by itself before its approver has heard
    scene.at(MONTH_DUE)
    deliver(scene.ports)
    before = rows(scene)
    for page in (site.get(link(scene, "stop")), site.post(link(scene, "stop"))):
        assert page.status == 200
        assert "The Month at the Quays (no.\u00a01) is out" in page.body
        assert "<button" not in page.body
    assert rows(scene) == before


class Hesitant(SendGridTransport):
    """Asks for nothing back before it is allowed to."""

    def __init__(self, *given: object, **named: object) -> None:
        super().__init__(*given, **named)
        self.may_ask = threading.Event()

    def call_back(self, batch: Batch) -> Recall:
        assert self.may_ask.wait(120)
        return super().call_back(batch)


def test_the_page_comes_before_the_provider_is_asked(scene, tmp_path):
    """All of it is with SendGrid; one press, and nothing of it leaves."""
    send_notices(scene.ports)
    with FakeSendGrid(tmp_path / "sendgrid", at=MONTH_DUE) as fake:
        scene.at(MONTH_DUE)
        settings = SendGridSettings(key=KEY, url=fake.url, timeout_s=60)
        transport = Hesitant(settings, scene.clock.now, pauses_s=())
        ports = replace(scene.ports, transport=transport)
        sent = deliver(ports).total("accepted")
        with serving(ports, scene.clock) as site:
            assert "<button" in site.get(link(scene, "stop")).body
            page = site.post(link(scene, "stop"))
            assert "are being called back" in page.body
            assert fake.requests("hold") == []
            transport.may_ask.set()
            ends = time.monotonic() + 120
            while "No copy of it leaves" not in site.get(link(scene, "stop")).body:
                assert time.monotonic() < ends
                time.sleep(0.02)
        transport.finish()
        assert scene.issue(MONTH).state == "stopped"
        fake.set_clock(MONTH_DUE.replace(year=MONTH_DUE.year + 1))
        assert (sent > 0, fake.delivered()) == (True, {})


def test_approved_again_by_hand_it_can_be_stopped_again(site, scene):
    site.post(link(scene, "stop"))
    approve(scene.ports, MONTH)
    assert "Stop The Month at the Quays (no.\u00a01)?" in site.get(link(scene, "stop")).body
    assert "is stopped" in site.post(link(scene, "stop")).body
    with pytest.raises(Conflict):
        stop(scene.ports, MONTH)


def test_the_preview_is_the_frozen_page(site, scene):
    before = rows(scene)
    page = site.get(link(scene, "preview"))
    assert page.status == 200
    with scene.store.read() as tables:
        (variant,) = tables.letters.variants(scene.issue(MONTH).id, "public")
    assert page.body == variant.html
    assert page.headers["x-robots-tag"] == "noindex"
    assert page.headers["cache-control"] == "no-store"
    assert site.get("/static/public.css").status == 200
    public = site.get(f"/issues/{scene.issue(MONTH).public_id}")
    assert public.status == 404  # nobody else sees it yet
    same = ("content-security-policy", "x-frame-options", "referrer-policy")
    assert [page.headers[name] for name in same] == [public.headers[name] for name in same]
    assert rows(scene) == before


def test_after_a_stop_there_is_nothing_to_look_at(site, scene):
    stop(scene.ports, MONTH)
    assert site.get(link(scene, "preview")).status == 404


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_wrong_link_looks_like_any_unknown_page(site, scene, method):
    unknown = site.ask(method, "/stop")
    before = rows(scene)
    wrong = [
        "/stop/x",
        link(scene, "stop") + "A",
        link(scene, "stop", other="preview"),
        link(scene, "stop", other="leave"),
        f"/stop/{scene.ports.tokens.make('stop', 'a' * 26)}",
        f"/stop/{scene.issue(MONTH).public_id}",
    ]
    for path in wrong:
        page = site.ask(method, path)
        assert page.status == unknown.status == 404
        assert page.body.replace("../", "") == unknown.body.replace("../", "").replace("./", "")
    for path in ("/preview/x", link(scene, "preview", other="stop")):
        assert site.ask("GET", path).status == 404
    assert rows(scene) == before
    assert scene.issue(MONTH).state == "scheduled"


def test_other_methods_are_none_of_theirs(site, scene):
    for method in ("PUT", "DELETE"):
        assert site.ask(method, link(scene, "stop")).status == 405
    assert site.ask("POST", link(scene, "preview"), "").status == 405
    assert scene.issue(MONTH).state == "scheduled"
