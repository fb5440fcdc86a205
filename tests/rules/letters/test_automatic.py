"""What composes itself: which stories, in which order, and what it calls itself; never a secret."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.catalog import Rhythm
from pipeline.model.log import Operation
from pipeline.model.news import Story
from pipeline.rules.letters.automatic import (
    Composition,
    Found,
    carried,
    compose,
    is_as_opened,
    opened_subject,
    too_little,
)
from pipeline.rules.letters.lint import PREHEADER, lint_issue
from pipeline.rules.news.address import link_hash
from tests.builders import FERRIES, FIRM, ISSUE, WEEKLY, snippet

ALONE = replace(WEEKLY, mode="automatic", floor=2, ceiling=4)
FRESH = replace(ISSUE, subject=opened_subject(ALONE, ISSUE.number), preheader="", theme="")
WHEN = datetime(2027, 3, 5, tzinfo=UTC)


def story(number, **changes):
    plain = Story(
        id=number, public_id=f"story{number}", kind="news", title=f"Quay {number} is painted",
        lead="Blue.", text="It is blue now.", first_at=WHEN, last_at=WHEN,
        url=f"https://coastwire.example/{number}", source_name="Coast Wire",
    )  # fmt: skip
    return replace(plain, **changes)


def bare(number, **changes):
    return snippet(number, section="noted", fact="", take="", question="", **changes)


def found(*, there=(), removed=(), commented=(), stories=(), used=(), **more):
    return Found(tuple(there), frozenset(removed), tuple(commented), tuple(stories),
                 frozenset(used), **more)  # fmt: skip


def made(issue=FRESH, newsletter=ALONE, **there):
    return compose(issue, newsletter, found(**there), FERRIES.accounts)


def ids(composition):
    return [s.story_id for s in composition.copied], [s.id for s in composition.headlines]


def test_commentary_first_then_headlines_up_to_the_ceiling():
    done = made(commented=map(snippet, (3, 1)), stories=map(story, (7, 6, 5, 4)))
    assert ids(done) == ([3, 1], [7, 6])


def test_more_commentary_than_room():
    done = made(commented=map(snippet, range(1, 9)), stories=[story(9)])
    assert ids(done) == ([1, 2, 3, 4], [])


def test_what_a_person_wrote_counts_first():
    done = made(there=map(snippet, (8, 9)), commented=map(snippet, (1, 2, 3)), stories=[story(4)])
    assert ids(done) == ([1, 2], [])


def test_what_a_person_kept_without_a_take_becomes_a_headline():
    kept = snippet(8, take="")
    done = made(there=[kept], commented=[snippet(1)], stories=map(story, (4, 5, 6)))
    assert done.lowered == (kept,)
    assert ids(done) == ([1], [4, 5])


def test_nothing_twice_neither_story_nor_link():
    twin = snippet(2, url=snippet(1).url)
    done = made(
        there=[snippet(9)],
        commented=[snippet(9), snippet(1), twin, snippet(1)],
        stories=[story(1), story(9), story(5, url=snippet(1).url), story(6)],
    )
    assert ids(done) == ([1], [6])


def test_a_link_of_an_earlier_issue_and_what_a_person_took_out_stay_out():
    done = made(
        commented=map(snippet, (1, 2)),
        stories=map(story, (3, 4)),
        used=[link_hash(snippet(1).url), link_hash(story(3).url)],
        removed=[2],
    )
    assert ids(done) == ([], [4])


@pytest.mark.parametrize(
    "secret",
    [
        {"learnt_from": "northline", "is_public": True},
        {"learnt_from": "northline", "cleared_by": "liv", "general_wording": "A lesson."},
        {"is_public": False},
        {"story_kind": "own"},
    ],
)
def test_a_confidence_and_our_own_news_are_never_copied(secret):
    assert ids(made(commented=[snippet(1, **secret)])) == ([], [])


@pytest.mark.parametrize(
    "secret", [{"learnt_from": "northline"}, {"is_public": False}, {"kind": "own"}]
)
def test_nor_do_they_become_headlines(secret):
    assert ids(made(stories=[story(1, **secret)])) == ([], [])


def test_what_lint_would_hold_the_issue_back_for_does_not_enter():
    done = made(
        commented=[snippet(1, take="{{nonsense}}"), snippet(2, take=""), snippet(3, url="")],
        stories=[story(4, title="{{nonsense}}"), story(5, url=""), story(6)],
    )
    assert ids(done) == ([], [6])


def test_two_stories_share_the_forty_words_of_their_source():
    quote = "“" + "word " * 25 + "end”"
    done = made(
        commented=[
            snippet(1, fact=quote),
            snippet(2, fact=quote),
            snippet(3, fact=quote, source_name="Harbour News"),
        ]
    )
    assert ids(done) == ([1, 3], [])


def test_one_of_them_asks_where_any_does():
    silent = [snippet(n, question="") for n in (1, 2, 3, 4, 5)]
    done = made(commented=[*silent, snippet(6)])
    assert ids(done) == ([1, 2, 3, 6], [])
    asked = made(there=[snippet(9)], commented=[*silent, snippet(6)])
    assert ids(asked) == ([1, 2, 3], [])


def test_composed_again_it_changes_nothing():
    there = [
        *(replace(snippet(n), revision=1) for n in (1, 2)),
        *(bare(n) for n in (7, 6)),
    ]
    head = made(commented=map(snippet, (1, 2))).head
    issue = replace(FRESH, **head)
    again = made(issue, there=there, commented=map(snippet, (1, 2)), stories=[story(5)])
    assert again == Composition()
    assert again.is_empty


def test_bare_headlines_make_room_for_commentary_and_move_up_when_commented():
    there = [bare(n) for n in (7, 6, 5, 4)]
    done = made(there=there, commented=[snippet(6), snippet(1)])
    assert ids(done) == ([6, 1], [])
    assert [s.story_id for s in done.surplus] == [4]
    written = bare(5, sales_note="ask them")
    kept = made(there=[*there[:2], written], commented=map(snippet, (1, 2, 3)))
    assert [s.story_id for s in kept.surplus] == [7, 6]


def test_the_words_that_move():
    whole = snippet(1, own_wording="For you.", sales_note="Call them.", general_wording="x")
    assert set(carried(whole)) == {"title", "fact", "take", "question", "own_wording"}


# ── enough to say ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("snippets", "fallback", "why"),
    [
        ([], "headlines", "there is nothing new to tell"),
        ([snippet(1, is_public=False)], "headlines", "there is nothing new to tell"),
        ([bare(1)], "headlines", "1 of the 2 stories that it needs, headlines counted"),
        ([bare(1), bare(2)], "headlines", ""),
        ([bare(1)], "skip", "0 of the 2 commented stories that it needs"),
        ([snippet(1), bare(2)], "skip", "1 of the 2 commented stories that it needs"),
        ([snippet(1), bare(2)], "headlines", ""),
        ([snippet(1), snippet(2)], "skip", ""),
    ],
)
def test_whether_it_says_enough(snippets, fallback, why):
    assert too_little(snippets, replace(ALONE, fallback=fallback)) == why


# ── its head ─────────────────────────────────────────────────────────────────────────────

LEAPING = replace(WEEKLY.rhythm, every=2)
MONTHS = Rhythm("monthly", "Europe/Oslo", WEEKLY.rhythm.at, WEEKLY.rhythm.anchor, day=1)


@pytest.mark.parametrize("language", ["en", "de", "de-AT", "sv"])
@pytest.mark.parametrize("rhythm", [WEEKLY.rhythm, LEAPING, MONTHS], ids=["week", "two", "month"])
@pytest.mark.parametrize("commented", [[], [snippet(1), snippet(2)]], ids=["headlines", "takes"])
def test_lint_finds_nothing_in_the_head(language, rhythm, commented):
    newsletter = replace(ALONE, language=language, rhythm=rhythm, fallback="headlines")
    done = made(newsletter=newsletter, commented=commented, stories=[story(7)])
    assert set(done.head) == {"subject", "preheader", "theme"}
    assert PREHEADER[0] <= len(done.head["preheader"]) <= PREHEADER[1]
    issue = replace(FRESH, **done.head)
    findings = lint_issue(issue, (*done.copied, bare(7)), newsletter, FIRM)
    assert {f.code for f in findings} <= {"under_floor"}
    assert not any(f.blocks for f in findings)


def test_the_head_follows_the_language():
    german = made(newsletter=replace(ALONE, language="de"), commented=[snippet(1)])
    assert german.head["subject"] == "Between Quays: 11. März 2027"
    assert german.head["theme"] == "Die Woche in Kürze"
    assert made(stories=[story(1)]).head["theme"] == "The week in headlines"


def test_a_persons_words_stay():
    issue = replace(FRESH, subject="Who times the ferries")
    assert set(made(issue, commented=[snippet(1)]).head) == {"preheader", "theme"}
    assert made(ISSUE, commented=[snippet(1)]).head == {}


def test_what_it_wrote_itself_follows_what_it_holds():
    headlines = replace(FRESH, **made(stories=[story(1)]).head)
    done = made(headlines, there=[bare(1)], commented=[snippet(2)])
    assert done.head["theme"] == "The week in short"
    assert "subject" not in done.head


# ── whatever there is ────────────────────────────────────────────────────────────────────


@given(
    ceiling=st.integers(1, 6),
    there=st.lists(st.integers(1, 12), max_size=4, unique=True),
    commented=st.lists(st.integers(1, 12), max_size=8),
    stories=st.lists(st.integers(1, 12), max_size=8),
    secret=st.sets(st.integers(1, 12)),
)
def test_it_never_exceeds_the_ceiling_repeats_a_story_or_copies_a_secret(
    ceiling, there, commented, stories, secret
):
    def marked(number):
        return {"learnt_from": "northline"} if number in secret else {}

    done = made(
        newsletter=replace(ALONE, ceiling=ceiling),
        there=[bare(n) for n in there],
        commented=[snippet(n, **marked(n)) for n in commented],
        stories=[story(n, **marked(n)) for n in stories],
    )
    copied, headlines = ids(done)
    gone = {s.story_id for s in done.surplus}
    staying = [n for n in there if n not in gone and n not in copied]
    whole = [*copied, *headlines, *staying]
    assert len(whole) == len(set(whole)) <= ceiling
    assert not secret & {*copied, *headlines}


# ── borrowing ────────────────────────────────────────────────────────────────────────────

HEADLINES = replace(ALONE, fallback="headlines", floor=2, ceiling=4)


def lent(*numbers, about=None, newsletter=HEADLINES, **there):
    abouts = {number: about for number in numbers if about}
    done = made(newsletter=newsletter, lent=tuple(map(story, numbers)),
                lent_about=there.pop("abouts", abouts), **there)  # fmt: skip
    return ids(done)[1], done.lent


def test_it_borrows_what_its_floor_lacks():
    assert lent(7, 8, 9) == ([7, 8], 2)
    assert lent(7, 8, 9, stories=[story(4)]) == ([4, 7], 1)
    assert lent(7, 8, 9, commented=[snippet(1)], stories=[story(4)]) == ([4], 0)
    assert lent(7, 8, 9, commented=map(snippet, (1, 2))) == ([], 0)
    assert lent(7, 8, 9, there=[bare(1)]) == ([7], 1)


def test_it_borrows_nothing_that_makes_up_for_nothing():
    assert lent(7, 8, newsletter=ALONE) == ([], 0)


def test_it_borrows_until_each_copy_has_enough_and_no_more_than_there_is_room_for():
    """The copies of an account leave out what is about it."""
    both = {7: ("northline",), 8: ("skagen-ruter",), 9: ("blue-strait",), 10: ("northline",)}
    assert lent(7, 8, 9, 10, abouts=both) == ([7, 8, 9], 3)
    alone = dict.fromkeys((7, 8, 9, 10, 11), ("northline",))
    assert lent(*alone, abouts=alone) == ([7, 8], 2)  # more of them would help nobody
    tight = replace(HEADLINES, ceiling=2)
    assert lent(7, 8, 9, 10, abouts=both, newsletter=tight) == ([7, 8], 2)


def test_what_may_not_enter_is_not_borrowed_either():
    used = [link_hash(story(7).url)]
    assert lent(7, 8, 9, used=used, removed=[8]) == ([9], 1)


def test_what_somebody_works_on_elsewhere_is_given_up():
    mine, theirs = bare(1), bare(2)
    done = made(newsletter=HEADLINES, there=[mine, theirs], busy=frozenset({2}))
    assert (done.surplus, done.lent) == ((theirs,), 0)
    written = replace(theirs, fact="It is sold.", revision=2)
    assert made(there=[written], busy=frozenset({2})).surplus == ()


def done_by(verb):
    return Operation(actor="eva", verb=verb, subject="issue:a", at=WHEN)


@pytest.mark.parametrize(
    ("change", "is_so"),
    [
        ({}, True),
        ({"operations": []}, True),
        ({"issue": replace(ISSUE, state="in_review")}, True),
        ({"issue": replace(ISSUE, state="stopped")}, False),
        ({"issue": replace(ISSUE, state="scheduled")}, False),
        ({"snippets": [snippet(1, take="x")]}, False),
        ({"snippets": [snippet(1, take="", revision=2)]}, False),
        ({"removed": [snippet(2, take="", removed=True)]}, False),
        ({"operations": [done_by("open"), done_by("edit")]}, False),
        ({"operations": [done_by("open"), done_by("undo")]}, False),
    ],
)
def test_a_draft_is_as_it_was_opened_until_somebody_works_on_it(change, is_so):
    plain = {
        "issue": ISSUE, "snippets": [snippet(1, take="")], "removed": [],
        "operations": [done_by("open")],
    }  # fmt: skip
    assert is_as_opened(**{**plain, **change}) == is_so
