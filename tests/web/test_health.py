"""Whether the process answers, and whether it can be relied on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from starlette.types import ASGIApp

from pipeline.errors import Conflict, Down
from pipeline.ports import Ports
from pipeline.stores.sql import SqlStore
from pipeline.web.app import Live, make_app
from tests.builders import CATALOG, SECRET, StandingClock
from tests.people_scene import ports_of
from tests.web.serving import Answer, serving


@dataclass
class Shapeless:
    """A store that cannot be relied on."""

    error: Exception

    def check_shape(self) -> None:
        raise self.error


@pytest.fixture
def store(sqlite_url: str) -> Iterator[SqlStore]:
    store = SqlStore(sqlite_url, SECRET)
    yield store
    store.close()


def ask(ports: Ports, path: str) -> Answer:
    with serving(ports, StandingClock()) as site:
        return site.get(path)


def test_all_is_well(store: SqlStore) -> None:
    for path in ("/healthz", "/readyz"):
        answer = ask(ports_of(store), path)
        assert (answer.status, answer.body) == (200, "ok\n")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (Down("no route to db.internal, user ada"), "the database does not answer\n"),
        (Conflict("0001"), "the database has another schema than this program\n"),
    ],
)
def test_without_its_database_it_lives_and_is_not_ready(
    store: SqlStore, error: Exception, why: str
) -> None:
    broken: Ports = replace(ports_of(store), store=Shapeless(error))  # type: ignore[arg-type]
    assert ask(broken, "/healthz").status == 200
    answer = ask(broken, "/readyz")
    assert (answer.status, answer.body) == (503, why)


def test_a_scheduler_in_trouble_is_not_ready(store: SqlStore) -> None:
    troubles = ["the scheduler has not looked at the letters lately", ""]
    app = make_app(ports_of(store), public_only=True, trouble=lambda: troubles[0])
    with serving(ports_of(store), StandingClock(), app=app) as site:
        answer = site.get("/readyz")
        told = "the scheduler has not looked at the letters lately\n"
        assert (answer.status, answer.body) == (503, told)
        assert site.get("/healthz").status == 200
        troubles.pop(0)
        assert site.get("/readyz").status == 200


def test_the_pages_follow_the_ports_that_are_in_force(store: SqlStore) -> None:
    """One app is served on, and what it shows is that of the newest files."""
    in_force = [ports_of(store)]
    made: list[Ports] = []

    def make(ports: Ports) -> ASGIApp:
        made.append(ports)
        return make_app(ports, public_only=True)

    app = Live(lambda: in_force[-1], make)
    with serving(in_force[0], StandingClock(), app=app) as site:
        assert "Quay &amp; Tide" in site.get("/leave/any").body
        assert len(made) == 1, "it is made once, not for each request"
        firm = replace(CATALOG.firm, name="Berth & Buoy")
        in_force.append(replace(in_force[0], catalog=replace(CATALOG, firm=firm)))
        assert "Berth &amp; Buoy" in site.get("/leave/any").body
        site.get("/leave/any")
    assert len(made) == 2
