"""Coverage: a constellation's month, and buyers to be expected in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from fractions import Fraction

import pytest

from pipeline.errors import NotFound
from pipeline.model.catalog import Account
from pipeline.model.sales import Touch
from pipeline.stages.report import buyers_per_month, coverage
from pipeline.stores import schema
from pipeline.stores.sql import SqlStore
from tests.builders import CATALOG, FERRIES, NOW, StandingClock
from tests.people_scene import ports_of, put, put_catalog, raw

TRAMS = replace(
    FERRIES,
    key="trams",
    name="Tram companies",
    accounts=(Account("tram", "Tram", "prospect"),),
    newsletters=(),
)
TWO = replace(CATALOG, constellations=(FERRIES, TRAMS))


def test_who_was_touched_and_who_was_not(store: SqlStore) -> None:
    put_catalog(store, TWO)
    with store.write() as tables:
        tables.sales.add_touch(Touch("northline", None, "letter", NOW))
        tables.sales.add_touch(Touch("blue-strait", None, "call", NOW, "tom"))
    with raw(store) as connection:
        for on, state in ((date(2027, 3, 4), "kept"), (date(2027, 3, 11), "planned")):
            put(connection, schema.beats, newsletter_id=1, beat_on=on, planned_on=on, due_at=NOW,
                state=state)  # fmt: skip
    ferries, trams = coverage(ports_of(store, TWO))
    assert [a.name for a in ferries.touched] == ["Blue Strait", "Northline"]
    assert [a.name for a in ferries.untouched] == ["Skagen Ruter"]
    assert (ferries.beats_kept, ferries.beats_planned) == (1, 2)
    assert ferries.month == date(2027, 3, 1)
    assert ferries.buyers_per_month == Fraction(3, 24)
    assert (trams.constellation_name, trams.touched, trams.beats_planned) == (
        "Tram companies", (), 0,
    )  # fmt: skip


def test_a_month_begins_and_ends_where_the_letters_live(store: SqlStore) -> None:
    put_catalog(store)
    oslo = {  # in March one hour ahead of UTC, from the 28th on two
        datetime(2027, 2, 28, 22, 59, tzinfo=UTC): False,
        datetime(2027, 2, 28, 23, 0, tzinfo=UTC): True,
        datetime(2027, 3, 31, 21, 59, tzinfo=UTC): True,
        datetime(2027, 3, 31, 22, 0, tzinfo=UTC): False,
    }
    with store.write() as tables:
        for at in oslo:
            tables.sales.add_touch(Touch("northline", None, "call", at))
    (march,) = coverage(ports_of(store), "ferries", date(2027, 3, 17))
    assert sum(a.by_hand for a in march.accounts) == sum(oslo.values())
    late = StandingClock(datetime(2027, 3, 31, 22, 30, tzinfo=UTC))
    assert coverage(ports_of(store, clock=late))[0].month == date(2027, 4, 1)


@pytest.mark.parametrize("month", [date(2027, 12, 31), date(2028, 2, 29)])
def test_every_month_has_an_end(store: SqlStore, month: date) -> None:
    put_catalog(store)
    with store.write() as tables:
        tables.sales.add_touch(
            Touch(
                "northline", None, "call", datetime(month.year, month.month, month.day, tzinfo=UTC)
            )
        )
    (found,) = coverage(ports_of(store), "ferries", month)
    assert sum(a.by_hand for a in found.accounts) == 1


def test_an_unknown_constellation_is_not_found(store: SqlStore) -> None:
    with pytest.raises(NotFound, match="feries") as caught:
        coverage(ports_of(store), "feries")
    assert caught.value.hint == "Did you mean ferries?"


def test_buyers_are_counted_exactly() -> None:
    accounts = tuple(Account(f"a{n}", f"A {n}", "prospect") for n in range(600))
    yearly = replace(FERRIES, accounts=accounts, purchases_per_year=Fraction(1))
    assert buyers_per_month(yearly) == 50
    some = (
        Account("a", "A", "prospect", purchases_per_year=Fraction(1, 3)),
        Account("b", "B", "prospect", purchases_per_year=Fraction(0)),
        Account("c", "C", "prospect"),
    )
    assert buyers_per_month(replace(yearly, accounts=some)) == Fraction(1, 9)
    assert buyers_per_month(replace(yearly, accounts=())) == 0
