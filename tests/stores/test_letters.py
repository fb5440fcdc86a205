"""Beats, issues, editions and audiences: one contract on SQLite and PostgreSQL."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import date, timedelta

import pytest

from pipeline.errors import BadInput, Conflict, NotFound
from pipeline.model.letters import Beat, LetterStory, PlannedDelivery, Rendered, Verdict
from tests.builders import BEAT, CATALOG, DUE, FERRIES, NOW, WEEKLY
from tests.people_scene import bring, put_catalog, row

WEEK = timedelta(weeks=1)
FIRST = Beat(BEAT, DUE, BEAT)
STORY = LetterStory(1, "place", "Quay 1", "A fact.", "A take.", "", "Coast Wire",
                    "https://coastwire.example/1", date(2027, 3, 5))  # fmt: skip


@pytest.fixture
def tables(store):
    """One writing transaction over the ferry catalog."""
    monthly = replace(WEEKLY, key="ferry-monthly")
    put_catalog(
        store,
        replace(CATALOG, constellations=(replace(FERRIES, newsletters=(WEEKLY, monthly)),)),
    )
    with store.write() as tables:
        yield tables


def later(weeks: int) -> Beat:
    return Beat(BEAT + weeks * WEEK, DUE + weeks * WEEK, BEAT + weeks * WEEK)


def open_issue(tables, beat=FIRST, newsletter="ferry-weekly"):
    return tables.letters.open_issue(
        newsletter,
        beat,
        cut_off_at=beat.due_at - timedelta(hours=24),
        deadline_at=beat.due_at - timedelta(hours=4),
        subject="Between Quays",
        now=NOW,
    )


# ── beats ────────────────────────────────────────────────────────────────────────────────


def test_beats_are_recorded_once_each_and_change_their_state(tables):
    letters = tables.letters
    letters.record_beat("ferry-weekly", later(1), "planned")
    letters.record_beat("ferry-weekly", FIRST, "planned", "moved")
    letters.record_beat("ferry-weekly", FIRST, "missed", "nobody was there")
    assert list(letters.beats("ferry-weekly").items()) == [
        (BEAT, "missed"), (BEAT + WEEK, "planned"),
    ]  # fmt: skip
    assert letters.beats("ferry-monthly") == {}
    assert tables.reasons.beat_of(open_issue(tables).id)["reason"] == "nobody was there"


def test_a_beat_of_an_unknown_newsletter(tables):
    with pytest.raises(NotFound, match="weakly"):
        tables.letters.record_beat("weakly", FIRST, "planned")


# ── issues ───────────────────────────────────────────────────────────────────────────────


def test_an_issue_is_opened_once_for_its_beat(tables):
    first = open_issue(tables)
    assert (first.ref, first.state, first.revision) == ("ferry-weekly/1", "draft", 1)
    assert (first.constellation_key, first.subject) == ("ferries", "Between Quays")
    assert (first.beat_on, first.due_at) == (BEAT, DUE)
    assert len(first.public_id) == 26
    assert open_issue(tables) == first


def test_numbers_have_no_gaps_within_a_newsletter(tables):
    refs = [open_issue(tables, later(n)).ref for n in (0, 2, 2, 1)]
    assert refs == ["ferry-weekly/1", "ferry-weekly/2", "ferry-weekly/2", "ferry-weekly/3"]
    assert open_issue(tables, newsletter="ferry-monthly").ref == "ferry-monthly/1"


def test_two_processes_open_one_issue(store):
    """Both look at the same beat at the same time; several beats keep their numbers whole."""
    put_catalog(store)
    start = threading.Barrier(4)
    opened = []

    def run(beats):
        start.wait()
        for beat in beats:
            with store.write() as tables:
                opened.append(open_issue(tables, beat))

    forth, back = [later(n) for n in range(4)], [later(n) for n in range(3, -1, -1)]
    threads = [threading.Thread(target=run, args=(beats,)) for beats in (forth, back) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 16
    assert len({issue.id for issue in opened}) == 4
    assert sorted({issue.number for issue in opened}) == [1, 2, 3, 4]


@pytest.mark.parametrize("shown", [str.strip, str.upper])
def test_an_issue_is_found_by_number_newsletter_or_public_id(tables, shown):
    first, second = open_issue(tables), open_issue(tables, later(1))
    assert tables.letters.find_issue("ferry-weekly/1") == first
    assert tables.letters.find_issue(" ferry-weekly ") == second
    assert tables.letters.find_issue(shown(second.public_id)) == second
    assert tables.letters.find_issue(first.public_id[:12]) == first
    assert tables.letters.by_id(second.id) == second
    assert tables.letters.issue_on("ferry-weekly", BEAT) == first
    assert tables.letters.issue_on("ferry-weekly", BEAT + 9 * WEEK) is None


@pytest.mark.parametrize(
    "ref",
    ["", "ferry-weekly/2", "ferry-weekly/x", "ferry-weekly/-1", "ferry-weekly/²", "monthly/1",
     "a" * 26, "%%%%", "ferry-weekly/99999999999999999999"],
)  # fmt: skip
def test_what_is_no_issue_is_not_found(tables, ref):
    open_issue(tables)
    with pytest.raises(NotFound, match="There is no issue"):
        tables.letters.find_issue(ref)


def test_issues_come_latest_first(tables):
    for n in (1, 0, 2):
        open_issue(tables, later(n))
    open_issue(tables, newsletter="ferry-monthly")
    assert [i.beat_on for i in tables.letters.issues("ferry-weekly")] == [
        BEAT + n * WEEK for n in (2, 1, 0)
    ]
    assert len(tables.letters.issues()) == 4


def test_a_stale_edit_is_a_conflict_and_changes_nothing(tables):
    issue = open_issue(tables)
    edited = tables.letters.edit_issue(issue.id, 1, {"theme": "Waiting", "opening": "So."})
    assert (edited.theme, edited.opening, edited.revision) == ("Waiting", "So.", 2)
    with pytest.raises(Conflict, match="revision 1, it is at 2"):
        tables.letters.edit_issue(issue.id, 1, {"theme": "Mine"})
    assert tables.letters.by_id(issue.id) == edited


def test_an_issue_has_no_other_fields(tables):
    issue = open_issue(tables)
    with pytest.raises(BadInput, match="state"):
        tables.letters.edit_issue(issue.id, 1, {"state": "sent"})


def test_a_state_moves_only_from_where_it_is_expected(tables):
    issue = open_issue(tables)
    moved = tables.letters.set_state(
        issue.id, "scheduled", approved_by="liv", approved_at=NOW, expect=("draft", "in_review")
    )
    assert (moved.state, moved.approved_by, moved.approved_at) == ("scheduled", "liv", NOW)
    with pytest.raises(Conflict, match="is scheduled; it cannot become partly sent"):
        tables.letters.set_state(issue.id, "partly_sent", expect=("sending",))
    stopped = tables.letters.set_state(issue.id, "stopped", reason="a typing error")
    assert (stopped.reason, stopped.approved_by) == ("a typing error", "liv")
    with pytest.raises(NotFound):
        tables.letters.set_state(999, "sent")


# ── what was frozen ──────────────────────────────────────────────────────────────────────


HTML = "<h1>Ærlig ⁂ \ue000greeting|\ue001</h1>"


def freeze(tables, issue, kind="prospect", key="k", html=HTML, story_ids=(7, 8)):
    edition = tables.letters.freeze_edition(
        issue.id, kind, "en", "templates-1", (STORY,), [(None, STORY.url, f"hash-{issue.number}")],
        NOW,
    )  # fmt: skip
    rendered = Rendered("Subject", html, "Text ⁂\n", "templates-1")
    return tables.letters.freeze_variant(edition, key, rendered, story_ids, "berth-audit")


def test_frozen_bytes_come_back_as_they_were(tables):
    issue = open_issue(tables)
    variant_id = freeze(tables, issue)
    variant = tables.letters.variant(variant_id)
    assert variant.html == HTML
    assert (variant.text, variant.subject) == ("Text ⁂\n", "Subject")
    assert (variant.kind, variant.language, variant.key) == ("prospect", "en", "k")
    assert (variant.story_ids, variant.service_key) == ((7, 8), "berth-audit")
    assert variant.template_digest == "templates-1"
    assert list(tables.letters.variants(issue.id)) == [variant]
    with pytest.raises(NotFound):
        tables.letters.variant(999)


def test_a_retired_edition_stays_on_record_and_is_used_no_more(tables):
    issue = open_issue(tables)
    first = freeze(tables, issue)
    tables.letters.retire_editions(issue.id, NOW)
    assert list(tables.letters.variants(issue.id)) == []
    assert tables.letters.variant(first).key == "k"
    second = freeze(tables, issue)
    assert [v.id for v in tables.letters.variants(issue.id)] == [second]


def test_links_that_an_earlier_issue_used(tables):
    first, second, third = (open_issue(tables, later(n)) for n in range(3))
    other = open_issue(tables, newsletter="ferry-monthly")
    for issue in (first, second, third, other):
        freeze(tables, issue)
    used = tables.letters.used_links("ferry-weekly", third.id)
    assert used == {"hash-1": "ferry-weekly/1", "hash-2": "ferry-weekly/2"}
    assert tables.letters.used_links("ferry-weekly", first.id) == {}
    tables.letters.retire_editions(second.id, NOW)
    assert "hash-2" not in tables.letters.used_links("ferry-weekly", third.id)
    tables.letters.set_state(second.id, "partly_sent")  # stopped when some had it
    assert "hash-2" in tables.letters.used_links("ferry-weekly", third.id)


# ── audiences ────────────────────────────────────────────────────────────────────────────


def test_an_audience_comes_back_with_reasons_and_stories(store):
    put_catalog(store)
    ids = bring(store, *(row(n, f"reader{n}@northline.example") for n in range(1203)))
    with store.write() as tables:
        issue = open_issue(tables)
        told = tuple(
            tables.stories.add_story("note", title, "Seen.", NOW) for title in ("One", "Two")
        )
        variant_id = freeze(tables, issue, story_ids=told)
        verdicts = [
            Verdict(one, into=True, reason="in", detail="without story 2 (told before)",
                    kind="prospect", language="en")
            if n % 2
            else Verdict(one, into=False, reason="paused", detail="until 2027-04-01")
            for n, one in enumerate(ids)
        ]  # fmt: skip
        tables.letters.write_audience(issue.id, iter(verdicts))
        assert [v.contact_id for v in tables.letters.audience(issue.id)] == list(ids)
        assert list(tables.letters.audience(issue.id)) == verdicts
        planned = PlannedDelivery("letter", "reader1@northline.example", "Reader", {}, "k", ids[1])
        tables.deliveries.plan(issue.id, [planned], {"k": variant_id}, NOW)
        assert tables.letters.audience(issue.id)[1].story_ids == told
        assert tables.letters.audience(issue.id)[2].story_ids == ()
        tables.letters.write_audience(issue.id, verdicts[:2])
        assert len(tables.letters.audience(issue.id)) == 2
