"""Each mail is looked at once, and knows its touch until that is taken back."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from pipeline.model.sales import Touch
from pipeline.stores.schema import mails
from pipeline.stores.sql import SqlStore
from tests.builders import NOW
from tests.people_scene import ASKED, bring, put_catalog, raw, row


@pytest.fixture
def contact_id(store: SqlStore) -> int:
    put_catalog(store)
    return bring(store, row(1, "ada@northline.example", basis=ASKED))[0]


def linked(store: SqlStore) -> list[int | None]:
    with raw(store) as connection:
        return list(connection.execute(sa.select(mails.c.touch_id).order_by(mails.c.id)).scalars())


def test_a_mail_is_written_down_once(store: SqlStore) -> None:
    with store.write() as tables:
        assert tables.mails.known() == frozenset()
        assert tables.mails.add("a" * 64, "logged", "", NOW)
        assert not tables.mails.add("a" * 64, "bounce", "", NOW)
        assert tables.mails.add("b" * 64, "bounce", "", NOW)
    with store.read() as tables:
        assert tables.mails.known() == {"a" * 64, "b" * 64}
    with raw(store) as connection:
        rows = connection.execute(sa.select(mails.c.outcome).order_by(mails.c.id)).scalars()
        assert list(rows) == ["logged", "bounce"]


def test_a_mail_knows_its_first_touch_until_that_is_taken_back(
    store: SqlStore, contact_id: int
) -> None:
    with store.write() as tables:
        tables.mails.add("a" * 64, "logged", "", NOW)
        ids = [
            tables.sales.add_touch(Touch("northline", contact_id, "note", NOW, "tom"))
            for _ in range(2)
        ]
        for touch_id in ids:
            tables.mails.link("a" * 64, touch_id)
    assert linked(store) == [ids[0]]
    with store.write() as tables:
        tables.sales.take_back(ids[0])
    assert linked(store) == [None]
    with store.read() as tables:
        assert tables.mails.known() == {"a" * 64}
