"""The competitor wall: which wording reaches whom, and what a general wording may not hold."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rules.letters.wall import (
    betrayals,
    may_enter,
    numbered,
    parts,
    tells_customer,
    told,
    travels,
    why_left_out,
    with_named,
    wording_for,
)
from tests.builders import FERRIES, snippet

NORTHLINE, SKAGEN, BLUE = FERRIES.accounts

ABOUT_NORTHLINE = snippet(1, about=("northline",))
REWORDED = replace(ABOUT_NORTHLINE, own_wording="Your quay.\n\nWe say it waits.")
CONFIDENCE = snippet(2, learnt_from="northline", is_public=False, published_on=None, url="")
CLEARED = replace(
    CONFIDENCE, general_wording="# A lesson\nWait less.\n\nIt pays.", cleared_by="liv"
)


@pytest.mark.parametrize(
    ("kept", "account", "wording"),
    [
        (snippet(1), "northline", "plain"),
        (snippet(1), "", "plain"),
        (ABOUT_NORTHLINE, "blue-strait", "plain"),
        (ABOUT_NORTHLINE, "", "plain"),
        (ABOUT_NORTHLINE, "northline", None),
        (REWORDED, "northline", "own"),
        (REWORDED, "blue-strait", "plain"),
        (CONFIDENCE, "northline", None),
        (CONFIDENCE, "blue-strait", None),
        (CONFIDENCE, "", None),
        (replace(CONFIDENCE, own_wording="You said so."), "northline", "own"),
        (replace(CONFIDENCE, own_wording="You said so."), "blue-strait", None),
        (CLEARED, "blue-strait", "general"),
        (CLEARED, "northline", None),
        (CLEARED, "", None),
        (replace(CLEARED, cleared_by=""), "blue-strait", None),
        (replace(CLEARED, general_wording="  "), "blue-strait", None),
        (snippet(3, story_kind="note", is_public=False), "blue-strait", None),
        (snippet(3, story_kind="note", is_public=False), "", None),
    ],
)
def test_each_account_reads_its_own_wording(kept, account, wording):
    assert wording_for(kept, account) == wording


def test_a_story_marked_public_and_learnt_from_somebody_is_a_confidence():
    kept = replace(CONFIDENCE, is_public=True)
    assert wording_for(kept, "blue-strait") is None
    assert may_enter(kept)
    assert not travels(kept)


def test_a_confidence_about_a_third_account_never_shows_it_the_own_wording():
    """The own wording of what Northline said is for Northline, also when it speaks of Blue."""
    kept = replace(CONFIDENCE, about=("blue-strait",), own_wording="As you told us.")
    assert wording_for(kept, "blue-strait") is None
    assert wording_for(kept, "northline") == "own"


def test_the_reason_for_leaving_out_is_told():
    assert why_left_out(ABOUT_NORTHLINE, "northline").startswith("about them")
    assert why_left_out(CONFIDENCE, "blue-strait") == "in confidence"
    assert "neither public" in why_left_out(snippet(3, is_public=False), "blue-strait")


def test_the_own_wording_stands_under_its_label_and_asks_nothing():
    story = told(REWORDED, "own", 1, "en")
    assert (story.signal, story.fact, story.take) == (
        "You in the news",
        "Your quay.",
        "We say it waits.",
    )
    assert story.title == REWORDED.title
    assert story.question == ""
    assert story.url == REWORDED.url


@pytest.mark.parametrize(("wording", "kept"), [("plain", ABOUT_NORTHLINE), ("own", REWORDED)])
def test_a_link_is_clean_and_says_in_which_language_it_reads(wording, kept):
    tracked = replace(kept, url="https://coastwire.example/1?utm_source=feed", language="nb")
    story = told(tracked, wording, 1, "en")
    assert (story.url, story.language) == ("https://coastwire.example/1", "nb")


def test_a_general_wording_takes_nothing_from_the_confidence():
    dated = replace(
        CLEARED, url="https://secret.example/", source_name="Visit", signal="deal", language="nb"
    )
    story = told(dated, "general", 2, "en")
    assert (story.title, story.fact, story.take) == ("A lesson", "Wait less.", "It pays.")
    assert (story.question, story.source_name, story.url, story.published_on) == ("", "", "", None)
    assert story.language == ""
    assert "deal" not in story.signal.lower()
    assert story.sales_note == ""


def test_a_general_wording_without_a_title_gets_a_neutral_one():
    story = told(replace(CLEARED, general_wording="Wait less."), "general", 2, "de")
    assert story.title == "Was wir hören"
    assert CONFIDENCE.title not in story.title


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("", ("", "", "")),
        ("One.", ("", "One.", "")),
        ("# Head\n\nOne.\n  \nTwo.\n\nThree.", ("Head", "One.", "Two.\n\nThree.")),
        ("## Only a head", ("Only a head", "", "")),
    ],
)
def test_a_wording_falls_into_title_fact_and_take(written, read):
    assert parts(written) == read


def test_no_number_is_missing_where_a_confidence_stands():
    kept = (
        replace(CONFIDENCE, story_id=1, position=1),
        snippet(2),
        replace(CLEARED, story_id=3, position=3),
        snippet(4, section="noted"),
        snippet(5),
        snippet(6, is_public=False),
    )
    assert [(number, s.story_id) for number, s in numbered(kept)] == [
        (1, 2), (2, 5), (3, 3), (4, 1), (0, 4),
    ]  # fmt: skip


STORIES = st.builds(
    lambda number, **fields: snippet(number, **fields),
    st.integers(1, 50),
    section=st.sampled_from(["main", "noted"]),
    about=st.lists(st.sampled_from(["northline", "skagen-ruter"]), unique=True).map(tuple),
    learnt_from=st.sampled_from(["", "", "northline", "blue-strait"]),
    is_public=st.booleans(),
    own_wording=st.sampled_from(["", "You."]),
    general_wording=st.sampled_from(["", "All."]),
    cleared_by=st.sampled_from(["", "liv"]),
)


@given(STORIES, st.sampled_from(["northline", "skagen-ruter", "blue-strait", ""]))
def test_the_wall_holds_for_every_mix(kept, account):
    wording = wording_for(kept, account)
    if kept.learnt_from and account != kept.learnt_from:
        assert wording in (None, "general")
        assert wording is None or (kept.cleared_by and account)
    if wording == "own":
        assert account in (*kept.about, kept.learnt_from)
    if wording == "plain":
        assert kept.is_public
        assert not kept.learnt_from
        assert account not in kept.about
    if not kept.is_public and not kept.learnt_from:
        assert wording is None


@given(st.lists(STORIES, max_size=8, unique_by=lambda s: s.story_id))
def test_rivals_and_the_web_read_numbers_without_a_gap(kept):
    main = [(n, s) for n, s in numbered(kept) if n]
    assert [n for n, _ in main] == list(range(1, len(main) + 1))
    public = [n for n, s in main if not s.learnt_from]
    assert public == list(range(1, len(public) + 1))
    travelling = [n for n, s in main if travels(s)]
    assert travelling == list(range(1, len(travelling) + 1))


# ── what betrays ─────────────────────────────────────────────────────────────────────────

TOLD = replace(
    CONFIDENCE,
    fact="In March Northline drops 14 of its 61 berths; Solveig Aas signs on 3 May.",
    take="The figure is 2,400 cars.",
)


@pytest.mark.parametrize(
    ("wording", "found"),
    [
        ("A firm drops berths.", ()),
        ("northline drops berths.", ("the name Northline",)),
        ("NORTHLINE FERRIES drops berths.", ("the name Northline", "the name Northline Ferries")),
        ("See northline.example.", ("the name Northline", "the name northline.example")),
        ("One that fears Polar  Link.", ("the name Polar Link",)),
        ("Mrs Aas signs.", ("the name Aas",)),
        ("Somebody drops 14.", ("the figure 14",)),
        ("About 2400 cars.", ("the figure 2400",)),
        ("It comes in march.", ("the date march",)),
        ("They may drop some.", ()),
        ("Thirteen, and 15.", ()),
    ],
)  # fmt: skip
def test_names_figures_and_dates_betray(wording, found):
    kept = replace(TOLD, general_wording=wording)
    assert set(betrayals(kept, NORTHLINE, ["Aas"])) == set(found)


@pytest.mark.parametrize(
    ("secret", "wording", "found"),
    [
        ("They pay forty million.", "Some pay forty million.", ("the figure forty million",)),
        ("They pay forty million.", "Some pay 40 million.", ("the figure 40 million",)),
        ("They pay 40,000,000 euro.", "Some pay Forty _million_.", ("the figure Forty million",)),
        ("Sie zahlen 1,5 Mio.", "Manche zahlen anderthalb Millionen.",
         ("the figure anderthalb Millionen",)),
        ("They pay €40m.", "Some pay forty million.", ("the figure forty million",)),
        ("They pay 40,000,000 euro.", "Some pay €40m.", ("the figure 40m",)),
        ("They pay three million.", "Three million and thirty jobs.",
         ("the figure Three million",)),
        ("Vierzehn Fähren fehlen.", "Somebody lacks fourteen.", ("the figure fourteen",)),
        ("They pay 40 million.", "Some pay 40 million.", ("the figure 40",)),
        ("They pay forty million.", "Some pay thirty million; forty do not.", ()),
        ("They drop 3 of 100 berths.", "Three lessons, a hundred times.", ()),
        ("They drop two berths of one.", "Two or three, and one more.", ()),
        ("In 1000 days.", "A thousand thanks.", ()),
    ],
)  # fmt: skip
def test_figures_betray_in_words_too(secret, wording, found):
    kept = replace(CONFIDENCE, fact=secret, general_wording=wording)
    assert betrayals(kept, NORTHLINE) == found


def test_a_lesson_names_no_other_account_either():
    kept = replace(TOLD, general_wording="Unlike Blue Strait, a firm drops berths.")
    assert betrayals(kept, NORTHLINE, (), FERRIES.accounts) == ("the name Blue Strait",)


def test_a_story_is_about_whom_its_own_words_name():
    kept = snippet(1, about=("northline",), take="Blue Strait will follow, the northline never.")
    assert with_named(kept, FERRIES.accounts).about == ("northline", "blue-strait")
    assert wording_for(with_named(kept, FERRIES.accounts), "blue-strait") is None
    assert with_named(snippet(1, take="The blue strait is wide."), FERRIES.accounts).about == ()
    for_them = with_named(replace(kept, own_wording="Your quay."), FERRIES.accounts)
    assert wording_for(for_them, "northline") == "own"
    assert wording_for(for_them, "blue-strait") is None, "it was not written for them"
    assert with_named(snippet(1, title="Skagenruter moves"), FERRIES.accounts).about == (
        "skagen-ruter",
    )


@pytest.mark.parametrize(
    "hidden",
    [
        "Ask _Northline_ first.",
        "Ask **N**orthline first.",
        "Ask North\u00adline.",
        "Ask North&shy;line.",
        "Ask Ｎorthline.",
        "Ask Nоrthline.",
        "Northlines Fähren.",
        "[Look](https://x.example/northline_ferries).",
        "Ask _Skagen_ ruter.",
        "SKAGEN RUTER too.",
    ],
)
def test_a_name_betrays_however_it_is_written(hidden):
    assert betrayals(replace(CONFIDENCE, general_wording=hidden), NORTHLINE, (), FERRIES.accounts)


def test_figures_betray_with_spaces_in_them():
    kept = replace(CONFIDENCE, fact="They pay 4.200 euro.", general_wording="Some pay 4 200 euro.")
    assert betrayals(kept, NORTHLINE) == ("the figure 4200",)


@pytest.mark.parametrize(
    "title", ["_Northline_ opens", "NORTHLINE OPENS", "North**line** opens", "Northlines quay"]
)
def test_a_company_is_named_also_in_emphasis_capitals_and_the_genitive(title):
    assert with_named(snippet(1, title=title), FERRIES.accounts).about == ("northline",)


def test_a_confidence_of_a_vanished_account_cannot_be_cleared():
    assert betrayals(replace(TOLD, general_wording="Fine."), None)


def test_saying_that_somebody_is_our_customer_is_noticed():
    told_here = "We timed berths. Skagen Ruter, our client since May, waits less. Blue is calm."
    assert [n.account for n in tells_customer(told_here, FERRIES.accounts)] == ["Skagen Ruter"]
    allowed = (replace(SKAGEN, may_be_named=True), NORTHLINE)
    assert tells_customer(told_here, allowed) == ()
    assert tells_customer("Skagen Ruter buys a ferry.", FERRIES.accounts) == ()
    assert tells_customer("Northline is our customer.", FERRIES.accounts) == ()
