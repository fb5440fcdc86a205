"""The contract of the log of operations, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pipeline.errors import Conflict
from pipeline.model.log import Operation
from pipeline.stores.sql import SqlStore
from tests.builders import NOW

VERBS = ("keep", "drop", "note")


def did(verb: str, subject: str = "story:aa", actor: str = "eva", minutes: int = 0) -> Operation:
    return Operation(actor, verb, subject, NOW + timedelta(minutes=minutes))


def add(store: SqlStore, operation: Operation) -> int:
    with store.write() as tables:
        return tables.log.add(operation)


def last(store: SqlStore, actor: str = "eva") -> Operation | None:
    with store.read() as tables:
        return tables.log.last_undoable(actor, VERBS)


def undo(store: SqlStore, actor: str = "eva") -> int:
    """As a stage does it: find, log the undoing, mark."""
    with store.write() as tables:
        found = tables.log.last_undoable(actor, VERBS)
        assert found is not None
        by = tables.log.add(did("undo", found.subject, actor))
        tables.log.mark_undone(found.id, by)
        return found.id


def test_what_was_done_is_read_back_whole(store: SqlStore) -> None:
    operation = Operation(
        "eva",
        "keep",
        "story:aa",
        NOW,
        before={"state": "open", "score": {"total": 4.5, "parts": [["words", 2.0, "Åås ⁂"]]}},
        after={"issue": "ferry-weekly/3", "position": 1, "note": None},
    )
    written = add(store, operation)
    with store.read() as tables:
        (read,) = tables.log.of("story:aa")
    assert read == Operation(
        "eva", "keep", "story:aa", NOW, operation.before, operation.after, id=written
    )


def test_the_log_of_a_subject_is_in_order(store: SqlStore) -> None:
    for minutes in (2, 0, 1):
        add(store, did("edit", "issue:bb", minutes=minutes))
    add(store, did("edit", "issue:cc"))
    with store.read() as tables:
        assert [o.at for o in tables.log.of("issue:bb")] == [
            NOW + timedelta(minutes=minutes) for minutes in range(3)
        ]
        assert tables.log.of("issue:b") == ()


def test_undoing_goes_back_step_by_step(store: SqlStore) -> None:
    one, two = add(store, did("keep")), add(store, did("drop"))
    add(store, did("approve"))  # no verb that can be undone here
    assert undo(store) == two
    assert undo(store) == one
    assert last(store) is None
    three = add(store, did("note"))
    assert undo(store) == three


def test_each_actor_undoes_their_own(store: SqlStore) -> None:
    mine = add(store, did("keep", actor="eva"))
    theirs = add(store, did("drop", actor="tom"))
    assert undo(store, "eva") == mine
    assert last(store, "eva") is None
    found = last(store, "tom")
    assert found is not None
    assert found.id == theirs


def test_what_undid_something_is_never_offered(store: SqlStore) -> None:
    kept = add(store, did("keep"))
    back = add(store, did("drop"))  # a drop that took the keep back
    with store.write() as tables:
        tables.log.mark_undone(kept, back)
    assert last(store) is None


def test_undone_is_marked_once(store: SqlStore) -> None:
    kept = add(store, did("keep"))
    by = add(store, did("undo"))
    again = add(store, did("undo"))
    with store.write() as tables:
        tables.log.mark_undone(kept, by)
    with pytest.raises(Conflict, match="already"), store.write() as tables:
        tables.log.mark_undone(kept, again)
    with store.read() as tables:
        assert tables.log.of("story:aa")[0].undone_by == by


def test_nothing_to_undo(store: SqlStore) -> None:
    assert last(store) is None
    with store.read() as tables:
        assert tables.log.last_undoable("eva", ()) is None


def test_of_an_issue_only_what_came_since_it_was_opened_is_read_through(store: SqlStore) -> None:
    issue, story = "i" * 26, "s" * 26
    named = {"snippets": {issue: {}, story: {}}}
    add(store, replace(did("note"), after=named))  # none of an issue's can be older: not read
    add(store, did("open", f"issue:{issue}"))
    add(store, did("keep", "story:bb"))
    add(store, replace(did("keep", f"story:{story}"), after=named))
    add(store, did("stop", f"issue:{issue}"))
    with store.read() as tables:
        assert [one.verb for one in tables.reasons.operations_about(issue)] == [
            "open", "keep", "stop",
        ]  # fmt: skip
        assert [one.verb for one in tables.reasons.operations_about(story)] == ["note", "keep"]
