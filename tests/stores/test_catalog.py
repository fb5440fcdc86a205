"""Files → rows, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import Conflict
from pipeline.model.catalog import (
    Account,
    Catalog,
    Constellation,
    OwnNews,
    Selectors,
    Service,
    Source,
    Staff,
)
from pipeline.rules.news.polling import ASKED_TO_WAIT
from pipeline.stores.catalog import COUNTS
from pipeline.stores.schema import (
    account_relationships,
    accounts,
    constellations,
    contacts,
    meta,
    newsletters,
    services,
    sources,
    staff,
    stories,
    suppressions,
    told,
    touches,
)
from pipeline.stores.sql import SqlStore
from tests.builders import CATALOG, FERRIES, FIRM, NOW, WEEKLY

LATER = NOW + timedelta(days=3)
NOTHING = dict.fromkeys(COUNTS, 0)


@contextmanager
def rows(store: SqlStore) -> Iterator[sa.Connection]:
    """The database as any program would see it."""
    engine = store._writers
    with engine.begin() as connection:
        yield connection


def account_ids(store: SqlStore) -> dict[str, int]:
    with rows(store) as connection:
        found = connection.execute(sa.select(accounts.c.key, accounts.c.id)).all()
    return {key: number for key, number in found}  # noqa: C416  rows, not pairs


def adopt(store: SqlStore, catalog: Catalog, now: datetime = NOW) -> dict[str, int]:
    with store.write() as tables:
        return dict(tables.catalog.adopt(catalog, now))


def live(connection: sa.Connection, table: sa.Table) -> set[str]:
    return set(connection.scalars(sa.select(table.c.key).where(table.c.retired_at.is_(None))))


def with_accounts(*changed: Account) -> Catalog:
    return replace(CATALOG, constellations=(replace(FERRIES, accounts=changed),), digest="x")


def with_sources(*changed: Source) -> Catalog:
    return replace(CATALOG, sources=changed, digest="x")


def row(connection: sa.Connection, table: sa.Table, key: str) -> dict[str, Any]:
    found = connection.execute(sa.select(table).where(table.c.key == key)).mappings().one()
    return dict(found)


NORTHLINE, SKAGEN, BLUE = FERRIES.accounts
COAST, HARBOUR = CATALOG.sources


def test_the_first_time_everything_is_new(store: SqlStore) -> None:
    assert adopt(store, CATALOG) == NOTHING | {"new": 3 + 2 + 1 + 1 + 3 + 2}
    with store.read() as tables:
        assert tables.catalog.digest() == "ferries-1"
    with rows(store) as connection:
        blue = row(connection, accounts, "blue-strait")
        assert (blue["name"], blue["owner_key"], blue["relationship"]) == (
            "Blue Strait", "tom", "prospect",
        )  # fmt: skip
        assert len(blue["public_id"]) == 26
        assert row(connection, newsletters, "ferry-weekly")["title"] == "Between Quays"
        assert row(connection, sources, "coast-wire")["url"] == "https://coastwire.example/feed"


def test_an_empty_store_has_no_digest(store: SqlStore) -> None:
    with store.read() as tables:
        assert tables.catalog.digest() == ""


def test_the_second_time_nothing_changes(store: SqlStore) -> None:
    adopt(store, CATALOG)
    assert adopt(store, replace(CATALOG, digest="a comment was added"), LATER) == NOTHING
    with store.read() as tables:
        assert tables.catalog.digest() == "a comment was added"


def test_what_vanished_is_retired_and_comes_back(store: SqlStore) -> None:
    adopt(store, CATALOG)
    assert adopt(store, with_accounts(NORTHLINE, SKAGEN), LATER) == NOTHING | {"retired": 1}
    with rows(store) as connection:
        gone = row(connection, accounts, "blue-strait")
        assert gone["retired_at"] == LATER
    assert adopt(store, with_accounts(NORTHLINE, SKAGEN), LATER) == NOTHING
    assert adopt(store, CATALOG, LATER + timedelta(days=1)) == NOTHING | {"returned": 1}
    with rows(store) as connection:
        back = row(connection, accounts, "blue-strait")
        assert (back["retired_at"], back["id"]) == (None, gone["id"])


def test_a_retired_account_still_has_its_id(store: SqlStore) -> None:
    adopt(store, CATALOG)
    before = account_ids(store)
    adopt(store, with_accounts(NORTHLINE), LATER)
    assert account_ids(store) == before
    assert set(before) == {"northline", "skagen-ruter", "blue-strait"}


def test_a_changed_name_changes_one_row(store: SqlStore) -> None:
    adopt(store, CATALOG)
    named = with_accounts(replace(NORTHLINE, name="Northline Group"), SKAGEN, BLUE)
    assert adopt(store, named, LATER) == NOTHING | {"changed": 1}
    with rows(store) as connection:
        assert row(connection, accounts, "northline")["name"] == "Northline Group"


def test_an_account_without_an_owner_belongs_to_the_expert(store: SqlStore) -> None:
    adopt(store, with_accounts(replace(NORTHLINE, owner="")))
    with rows(store) as connection:
        assert row(connection, accounts, "northline")["owner_key"] == "liv"


def test_the_history_of_a_relationship_grows_only_when_it_changes(store: SqlStore) -> None:
    def history() -> list[tuple[str, datetime]]:
        with rows(store) as connection:
            found = connection.execute(
                sa.select(account_relationships.c.relationship, account_relationships.c.since)
                .join(accounts).where(accounts.c.key == "northline")
                .order_by(account_relationships.c.id)
            )  # fmt: skip
            return [tuple(entry) for entry in found]

    adopt(store, CATALOG)
    won = with_accounts(replace(NORTHLINE, relationship="customer"), SKAGEN, BLUE)
    adopt(store, won, LATER)
    adopt(store, replace(won, digest="y"), LATER + timedelta(days=1))
    assert history() == [("prospect", NOW), ("customer", LATER)]


# ── renaming ─────────────────────────────────────────────────────────────────────────────


def test_was_renames_and_keeps_the_row(store: SqlStore) -> None:
    adopt(store, CATALOG)
    renamed = with_accounts(replace(NORTHLINE, key="north", was="northline"), SKAGEN, BLUE)
    before = account_ids(store)["northline"]
    assert adopt(store, renamed, LATER) == NOTHING | {"renamed": 1}
    assert adopt(store, replace(renamed, digest="y"), LATER) == NOTHING, "`was` may stay"
    ids = account_ids(store)
    assert ids["north"] == before
    assert "northline" not in ids


def test_was_of_a_key_that_never_lived_is_a_new_row(store: SqlStore) -> None:
    adopt(store, CATALOG)
    new = with_accounts(NORTHLINE, SKAGEN, BLUE, Account("fjord", "Fjord", "prospect", was="nope"))
    assert adopt(store, new, LATER) == NOTHING | {"new": 1}


def test_a_retired_row_can_be_renamed_back_to_life(store: SqlStore) -> None:
    adopt(store, CATALOG)
    adopt(store, with_accounts(SKAGEN, BLUE), LATER)
    renamed = with_accounts(replace(NORTHLINE, key="north", was="northline"), SKAGEN, BLUE)
    assert adopt(store, renamed, LATER) == NOTHING | {"renamed": 1, "returned": 1}


def test_who_left_a_newsletter_has_left_it_under_its_new_key(store: SqlStore) -> None:
    adopt(store, CATALOG)
    with rows(store) as connection:
        connection.execute(
            sa.insert(suppressions),
            [
                {"address_hash": "a" * 64, "scope": "ferry-weekly", "reason": "left", "at": NOW},
                {"address_hash": "b" * 64, "scope": "*", "reason": "bounce", "at": NOW},
            ],
        )
    weekly = replace(WEEKLY, key="quays", was="ferry-weekly")
    renamed = replace(
        CATALOG, constellations=(replace(FERRIES, newsletters=(weekly,)),), digest="x"
    )
    assert adopt(store, renamed, LATER) == NOTHING | {"renamed": 1}
    with rows(store) as connection:
        scopes = connection.execute(
            sa.select(suppressions.c.address_hash, suppressions.c.scope)
        ).all()
    assert {tuple(entry) for entry in scopes} == {("a" * 64, "quays"), ("b" * 64, "*")}


def test_renamed_staff_and_services_are_renamed_wherever_they_are_named(store: SqlStore) -> None:
    adopt(store, CATALOG)
    with rows(store) as connection:
        account = row(connection, accounts, "northline")["id"]
        contact = connection.execute(
            sa.insert(contacts).returning(contacts.c.id),
            {"account_id": account, "address": "a@northline.example", "address_hash": "a" * 64,
             "added_at": NOW},
        ).scalar_one()  # fmt: skip
        touch = connection.execute(
            sa.insert(touches).returning(touches.c.id),
            {"account_id": account, "kind": "forward", "at": NOW, "staff_key": "tom"},
        ).scalar_one()
        connection.execute(
            sa.insert(told),
            {"contact_id": contact, "service_key": "berth-audit", "through": "forward",
             "touch_id": touch, "at": NOW},
        )  # fmt: skip
    firm = replace(
        FIRM,
        staff=(FIRM.staff[0], replace(FIRM.staff[1], key="thomas", was="tom"), FIRM.staff[2]),
        services=(replace(FIRM.services[0], key="audit", was="berth-audit"), FIRM.services[1]),
    )
    constellation = replace(
        FERRIES,
        backup="thomas",
        accounts=tuple(replace(a, owner="thomas") for a in FERRIES.accounts),
    )
    counts = adopt(store, Catalog(firm, CATALOG.sources, (constellation,), "x"), LATER)
    assert counts["renamed"] == 2
    with rows(store) as connection:
        assert connection.scalar(sa.select(touches.c.staff_key)) == "thomas"
        assert connection.scalar(sa.select(told.c.service_key)) == "audit"
        assert live(connection, staff) == {"liv", "thomas", "eva"}
        assert live(connection, services) == {"audit", "crew-desk"}


def test_renamed_own_news_stay_the_same_story(store: SqlStore) -> None:
    adopt(store, CATALOG)
    with rows(store) as connection:
        connection.execute(
            sa.insert(stories),
            {"kind": "own", "title": "A second desk", "first_at": NOW, "last_at": NOW,
             "own_key": "oslo"},
        )  # fmt: skip
    news = OwnNews("oslo-desk", "A second desk in Oslo", "…", date(2027, 3, 1), was="oslo")
    adopt(store, replace(CATALOG, firm=replace(FIRM, news=(news,)), digest="x"), LATER)
    with rows(store) as connection:
        assert connection.scalar(sa.select(stories.c.own_key)) == "oslo-desk"


# ── sources ──────────────────────────────────────────────────────────────────────────────


def learn(store: SqlStore, key: str) -> None:
    """As if the source had been asked and had moved for good."""
    with rows(store) as connection:
        connection.execute(
            sa.update(sources).where(sources.c.key == key).values(
                url="https://moved.example/feed", etag='W/"1"', last_modified="Mon", failures=3,
                body_hash="c" * 64, checked_at=NOW, next_check_at=LATER, gone_at=NOW,
                last_outcome="failed", last_reason="gone", moved_seen=2,
            )
        )  # fmt: skip


def test_what_was_learnt_of_a_source_stays_while_its_address_does(store: SqlStore) -> None:
    adopt(store, CATALOG)
    learn(store, "coast-wire")
    named = with_sources(replace(COAST, name="Coast Wire Daily"), HARBOUR)
    assert adopt(store, named, LATER) == NOTHING | {"changed": 1}
    with rows(store) as connection:
        coast = row(connection, sources, "coast-wire")
    assert (coast["name"], coast["url"], coast["etag"], coast["failures"]) == (
        "Coast Wire Daily", "https://moved.example/feed", 'W/"1"', 3,
    )  # fmt: skip
    assert coast["next_check_at"] == LATER


def test_a_new_address_starts_from_nothing(store: SqlStore) -> None:
    adopt(store, CATALOG)
    learn(store, "coast-wire")
    moved = with_sources(replace(COAST, url="https://coastwire.example/rss"), HARBOUR)
    assert adopt(store, moved, LATER) == NOTHING | {"changed": 1}
    with rows(store) as connection:
        coast = row(connection, sources, "coast-wire")
    assert coast["url"] == coast["configured_url"] == "https://coastwire.example/rss"
    assert (coast["etag"], coast["last_modified"], coast["body_hash"]) == ("", "", "")
    assert (coast["failures"], coast["gone_at"], coast["next_check_at"]) == (0, None, None)
    assert (coast["checked_at"], coast["last_outcome"], coast["moved_seen"]) == (None, None, 0)


def test_mended_selectors_make_an_unchanged_page_be_read_again(store: SqlStore) -> None:
    page = replace(COAST, kind="page", selectors=Selectors("li", "h3", "a"))
    adopt(store, with_sources(page, HARBOUR))
    learn(store, "coast-wire")
    mended = replace(page, selectors=Selectors("article", "h3", "a"))
    assert adopt(store, with_sources(mended, HARBOUR), LATER) == NOTHING | {"changed": 1}
    with rows(store) as connection:
        coast = row(connection, sources, "coast-wire")
    assert (coast["etag"], coast["last_modified"], coast["body_hash"]) == ("", "", "")
    assert coast["url"] == "https://moved.example/feed"
    assert (coast["next_check_at"], coast["failures"]) == (None, 0), "whoever mended it looks"


def test_mended_selectors_do_not_pass_over_a_server_that_asked_to_wait(store: SqlStore) -> None:
    page = replace(COAST, kind="page", selectors=Selectors("li", "h3", "a"))
    adopt(store, with_sources(page, HARBOUR))
    learn(store, "coast-wire")
    with store.write() as tables:
        tables.catalog._connection.execute(sa.update(sources).values(last_reason=ASKED_TO_WAIT))
    mended = replace(page, selectors=Selectors("article", "h3", "a"))
    assert adopt(store, with_sources(mended, HARBOUR), LATER) == NOTHING | {"changed": 1}
    with rows(store) as connection:
        coast = row(connection, sources, "coast-wire")
    assert (coast["etag"], coast["next_check_at"], coast["failures"]) == ("", LATER, 3)


# ── as a whole ───────────────────────────────────────────────────────────────────────────

keys = st.sampled_from([f"k{n}" for n in range(6)])


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    """Any few of the same keys, at home anywhere, with names that change."""
    names = st.sampled_from(["One", "Two", "Three"])
    account_keys = draw(st.lists(keys, unique=True, max_size=6))
    homes = draw(st.lists(keys, unique=True, min_size=1, max_size=3))
    found = [
        Account(key, draw(names), draw(st.sampled_from(["prospect", "customer"])))
        for key in account_keys
    ]
    places = [draw(st.sampled_from(homes)) for _ in found]
    return Catalog(
        firm=replace(
            FIRM,
            staff=tuple(Staff(key, draw(names), f"{key}@quaytide.example")
                        for key in draw(st.lists(keys, unique=True, max_size=3))),
            services=tuple(Service(key, draw(names), "…")
                           for key in draw(st.lists(keys, unique=True, max_size=3))),
        ),
        sources=tuple(Source(key, draw(names), f"https://{key}.example", "feed", ())
                      for key in draw(st.lists(keys, unique=True, max_size=3))),
        constellations=tuple(
            Constellation(home, draw(names), "…",
                          tuple(a for a, p in zip(found, places, strict=True) if p == home),
                          (replace(WEEKLY, key=f"{home}-weekly"),), "k0", "k0", "k0")
            for home in homes
        ),
        digest=draw(st.uuids()).hex,
    )  # fmt: skip


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(catalogs())
def test_from_any_state_the_rows_come_to_say_what_the_files_say(
    store: SqlStore, catalog: Catalog
) -> None:
    """Each example begins where the one before ended."""
    adopt(store, catalog)
    with rows(store) as connection:
        assert live(connection, staff) == {s.key for s in catalog.firm.staff}
        assert live(connection, services) == {s.key for s in catalog.firm.services}
        assert live(connection, sources) == {s.key for s in catalog.sources}
        assert live(connection, constellations) == {c.key for c in catalog.constellations}
        assert live(connection, newsletters) == {
            n.key for c in catalog.constellations for n in c.newsletters
        }
        found = connection.execute(
            sa.select(accounts.c.key, accounts.c.name, accounts.c.relationship,
                      constellations.c.key)
            .join(constellations).where(accounts.c.retired_at.is_(None))
        )  # fmt: skip
        assert {tuple(entry) for entry in found} == {
            (a.key, a.name, a.relationship, c.key)
            for c in catalog.constellations
            for a in c.accounts
        }
        newest = sa.select(sa.func.max(account_relationships.c.id)).group_by(
            account_relationships.c.account_id
        )
        latest = connection.execute(
            sa.select(accounts.c.relationship, account_relationships.c.relationship)
            .join(accounts).where(account_relationships.c.id.in_(newest))
        )  # fmt: skip
        assert all(now == noted for now, noted in latest)
    assert adopt(store, catalog, LATER) == NOTHING


def test_programs_that_adopt_together_do_it_once(store: SqlStore) -> None:
    together = Barrier(4)

    def start(number: int) -> int:
        together.wait(timeout=120)
        return adopt(store, CATALOG, NOW + timedelta(seconds=number))["new"]

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(start, range(4))) == [0, 0, 0, 12]


def test_nothing_is_half_adopted(store: SqlStore) -> None:
    adopt(store, CATALOG)
    with rows(store) as connection:
        before = connection.execute(sa.select(accounts).order_by(accounts.c.id)).all()
    broken = replace(
        CATALOG,
        sources=(replace(COAST, name=None),),  # type: ignore[arg-type]
        constellations=(replace(FERRIES, accounts=(NORTHLINE,)),),
        digest="x",
    )
    with pytest.raises(Conflict):
        adopt(store, broken, LATER)
    with rows(store) as connection:
        assert connection.execute(sa.select(accounts).order_by(accounts.c.id)).all() == before
        assert connection.scalar(
            sa.select(meta.c.value).where(meta.c.name == "catalog_digest")
        ) == "ferries-1"  # fmt: skip


def test_times_are_aware(store: SqlStore) -> None:
    adopt(store, CATALOG, datetime(2027, 3, 8, 9, tzinfo=UTC))
    with rows(store) as connection:
        since = connection.scalar(sa.select(account_relationships.c.since).limit(1))
    assert since == datetime(2027, 3, 8, 9, tzinfo=UTC)


def test_a_newsletter_is_known_until_the_files_have_it_no_more(store: SqlStore) -> None:
    def known(key: str) -> bool:
        with store.read() as tables:
            return tables.catalog.has_newsletter(key)

    assert not known(WEEKLY.key)
    adopt(store, CATALOG)
    assert known(WEEKLY.key)
    assert not known("another")
    adopt(store, replace(CATALOG, constellations=(), digest="x"), LATER)
    assert not known(WEEKLY.key)
