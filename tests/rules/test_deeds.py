from __future__ import annotations

from typing import Any

from pipeline.model.log import Operation
from pipeline.rules.deeds import changes_in_words, in_words, touches
from tests.builders import NOW


def operation(verb: str, subject: str = "story:s1", **parts: Any) -> Operation:
    return Operation("eva", verb, subject, NOW, parts.pop("before", {}), parts.pop("after", {}),
                     **parts)  # fmt: skip


def state(inside: bool, section: str = "main", **words: str) -> dict[str, Any]:
    return {"in": inside, "section": section, "words": {"title": "One", **words}}


def test_who_did_what() -> None:
    assert in_words(operation("keep"), "One") == "eva kept “One”"
    assert in_words(operation("stop", "issue:i")) == "eva stopped it"
    assert (
        in_words(operation("keep", undone_by=7), "One") == "eva kept “One”, and took it back later"
    )
    assert (
        in_words(operation("pause", "contact:c"), "Ada Strand")
        == "eva paused letters to “Ada Strand”"
    )


def test_what_changed_in_an_issue() -> None:
    deed = operation(
        "curate",
        "issue:i1",
        before={
            "head": {"subject": ""},
            "snippets": {"s1": None, "s2": state(True), "s3": state(True), "s4": state(True)},
            "dropped": {"s5": "", "s6": "tom"},
        },
        after={
            "head": {"subject": "New"},
            "snippets": {
                "s1": state(True, "noted", take="x"),
                "s2": state(False),
                "s3": state(True, "noted"),
                "s4": state(True, take="y", sales_note="z"),
            },
            "dropped": {"s5": "eva", "s6": ""},
            "order": ["s1"],
            "issue": "i1",
            "constellation": "ferries",
        },
    )
    assert changes_in_words(deed).splitlines() == [
        "“One”: into the issue, as a headline",
        "“One”: out of the issue, its words are kept",
        "“One”: down to “Also noted”",
        "“One”: Our take, Between us written",
        "Subject written",
        "order changed",
        "dropped from the pool",
        "back in the pool",
    ]
    assert changes_in_words(deed, "s2") == "out of the issue, its words are kept"
    assert changes_in_words(deed, "s5") == "dropped from the pool"
    assert [s for s in ("s1", "s5", "s9") if touches(deed, s)] == ["s1", "s5"]


def test_other_rooms_operations_show_their_plain_values() -> None:
    deed = operation(
        "approve", "issue:i1",
        before={"state": "in_review"}, after={"state": "partly_sent", "letters": 4, "note": ""},
    )  # fmt: skip
    assert changes_in_words(deed).splitlines() == [
        "state: partly sent (was in review)",
        "letters: 4",
    ]


def test_listing_a_story_is_not_touching_it() -> None:
    assert not touches(operation("curate", "issue:i", after={"digests": {"s1": 1}}), "s1")
    assert touches(operation("open", "issue:i", after={"stories": ["s1"]}), "s1")
    assert touches(operation("note", "story:s1", after={"notes": ["s1"]}), "s1")
