"""Whom a telling is about."""

from __future__ import annotations

import string
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.catalog import Account, Constellation, Word
from pipeline.model.news import CleanHtml, Item, Mention
from pipeline.rules.news.match import (
    PLACE,
    READ_CHARS,
    Matching,
    Telling,
    build_matcher,
    care_for,
    match,
    match_all,
    telling_of,
)
from pipeline.rules.news.words import fold
from tests.builders import FERRIES, NOW


def constellation(*accounts: Account, words: tuple[Word, ...] = ()) -> Constellation:
    return replace(FERRIES, accounts=accounts, words=words, ignore=())


TOOLS = constellation(
    Account("orrin", "Orrin & Stave", "prospect", ("Orrin",), "orrinstave.example"),
    Account("target", "Target", "prospect", (), "target.example"),
    Account("makers", "Makers", "customer", ("The Makers Collective",), "makers.example"),
    Account("hp", "HP", "prospect"),
    Account("sondergaard", "Søndergaard Værktøj A/S", "prospect"),
    Account("muller", "Müller Bohrtechnik GmbH", "prospect"),
    Account("best", "Best Buy", "prospect"),
    words=(Word("drill", 1.0), Word("battery", 2.0)),
)


def about(text: str, *, title: str = "News of the week", of: Constellation = TOOLS) -> list[str]:
    found = match(build_matcher(of), Telling(title, text))
    return [m.account_key for m in found.mentions]


def in_title(title: str, text: str = "", of: Constellation = TOOLS) -> Matching:
    return match(build_matcher(of), Telling(title, text))


def test_the_headline_says_more_than_the_lead_and_the_lead_more_than_the_body() -> None:
    far = "word " * 80
    for where, title, text in (
        ("headline", "Orrin buys a foundry", ""),
        ("lead", "A foundry is sold", "The buyer is Orrin, a maker of blades."),
        ("body", "A foundry is sold", far + "Orrin was not among the bidders."),
    ):
        (mention,) = in_title(title, text).mentions
        assert (mention.where, mention.evidence) == (where, "Orrin")
        assert mention.weight == PLACE[mention.where]


def test_a_passing_mention_comes_once_and_a_subject_again_and_again() -> None:
    once = in_title("A foundry is sold", "word " * 80 + "Orrin.").mentions[0]
    often = in_title("A foundry is sold", "word " * 80 + "Orrin. " * 9).mentions[0]
    assert once.weight < often.weight < PLACE["lead"]


@pytest.mark.parametrize(
    "title",
    [
        "Orrin & Stave’s blades arrive before seven",
        "ORRIN & STAVE OPENS A DEPOT",
        "Orrin and Stave opens a depot",
        "Depot for Orrin & Stave-branded blades",
        "“Orrin & Stave” opens a depot",
        "Orrin \n &  Stave opens a depot",
    ],
)
def test_names_are_found_however_they_are_written(title: str) -> None:
    (mention,) = in_title(title).mentions
    assert (mention.account_key, mention.relation) == ("orrin", "self")
    assert len(mention.evidence) >= len("Orrin & Stave")


@pytest.mark.parametrize(
    "title", ["Orrinsson opens a depot", "The Torrin estate", "Orrin_tools", "Orrin2 is out"]
)
def test_a_name_inside_a_longer_word_names_nobody(title: str) -> None:
    assert in_title(title).mentions == ()


@pytest.mark.parametrize(
    ("title", "key"),
    [
        ("Søndergaard Værktøj closes a plant", "sondergaard"),
        ("Müller Bohrtechnik GmbH names a head of service", "muller"),
        ("Muller Bohrtechnik names a head of service", "muller"),
        ("Mu\u0308ller Bohrtechnik names a head of service", "muller"),
    ],
)
def test_legal_forms_and_accents_may_be_left_out(title: str, key: str) -> None:
    assert [m.account_key for m in in_title(title).mentions] == [key]


def test_the_longest_name_wins() -> None:
    rivals = constellation(
        Account("strait", "Blue Strait", "prospect"),
        Account("northline", "Northline", "prospect", suppliers=("Blue Strait Marine",)),
    )
    found = in_title("Blue Strait Marine opens a yard", of=rivals).mentions
    assert [(m.account_key, m.relation) for m in found] == [("northline", "supplier")]
    both = in_title("Blue Strait Marine sells a yard to Blue Strait", of=rivals).mentions
    assert {(m.account_key, m.relation) for m in both} == {
        ("strait", "self"),
        ("northline", "supplier"),
    }


# ── short and everyday names ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        "The target for drill sales was missed.",  # case
        "TARGET: MORE DRILLS",  # shouting is not a name
        "Sales grew. Target dates for the battery plant slipped.",  # a sentence begins so
        "The fund sells Target-date battery bonds.",  # a compound
        "We saw Target and liked it.",  # case, but no drill in sight
        "The hp of a drill matters less than its battery.",
        "Makers of drills met in Aalborg to talk about the battery.",
    ],
)
def test_an_everyday_word_is_no_name_by_itself(text: str) -> None:
    assert about(text) == []


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Shares of Target Corp. rose.", "target"),  # legal form
        ("A drill is on sale at Target this week.", "target"),  # case and context
        ("Target’s own drill costs less.", "target"),
        ("Target opens 40 tool aisles, each with a battery wall.", "target"),
        ("Buyers of Target see target.example for the dates.", "target"),  # domain
        ("The Makers Collective has moved; Makers now rents a hall.", "makers"),  # a sure alias
        ("A battery by HP stands beside it.", "hp"),
    ],
)
def test_an_everyday_word_is_a_name_when_something_speaks_for_it(text: str, key: str) -> None:
    assert about(text) == [key]


def test_a_headline_that_capitalises_every_word_proves_nothing() -> None:
    assert in_title("New Target for Battery Makers Set by Trade Body").mentions == ()
    assert in_title("Why Makers Move Their Drills Abroad").mentions == ()
    moves = in_title("Makers moves its drill line abroad").mentions
    assert [m.account_key for m in moves] == ["makers"]
    found = in_title("Battery walls come to Target in spring").mentions
    assert [m.account_key for m in found] == ["target"]


def test_several_everyday_words_need_their_case() -> None:
    assert about("It was the best buy of the year.") == []
    assert about("The chain Best Buy was not among them.") == ["best"]


@pytest.mark.parametrize(
    ("name", "care"),
    [
        ("Apple", "proof"), ("Shell", "proof"), ("Makers", "proof"), ("3M", "proof"),
        ("HP", "proof"), ("Best Buy", "case"), ("Tarnholm", "none"), ("Blue Nordhaken", "none"),
        ("東芝", "none"),
    ],
)  # fmt: skip
def test_how_careful_to_be(name: str, care: str) -> None:
    assert care_for(name) == care


def test_scripts_without_spaces_need_no_boundary() -> None:
    of = constellation(Account("t", "東芝", "prospect"))
    assert [m.account_key for m in in_title("東芝が新工場を開設", of=of).mentions] == ["t"]


# ── second order, domains, words ─────────────────────────────────────────────────────────


def test_companies_an_account_deals_with_are_named_as_such() -> None:
    found = match(
        build_matcher(FERRIES),
        Telling(
            "Polar Link and Havn Marine part ways",
            "Meridian Timing, whose clocks hang in Aal Postal offices, said nothing.",
        ),
    ).mentions
    assert {(m.account_key, m.relation, m.evidence) for m in found} == {
        ("northline", "rival", "Polar Link"),
        ("northline", "supplier", "Havn Marine"),
        ("blue-strait", "incumbent", "Meridian Timing"),
        ("skagen-ruter", "customer", "Aal Postal"),
    }
    first = match(build_matcher(FERRIES), Telling("Northline rues Polar Link")).mentions
    assert [m.relation for m in first] == ["self", "rival"]
    assert first[0].weight > first[1].weight


def test_a_link_to_an_accounts_domain_counts() -> None:
    at = NOW
    item = Item(
        1, "s", "S", 0, "https://press.northline.example/2027/quay", "", "A quay is finished",
        CleanHtml('<p><a href="https://www.bluestrait.example/x">plan</a></p>'), "", "", at, at, "",
    )  # fmt: skip
    found = match(build_matcher(FERRIES), telling_of(item)).mentions
    assert [(m.account_key, m.where, m.evidence) for m in found] == [
        ("northline", "lead", "northline.example"),
        ("blue-strait", "body", "bluestrait.example"),
    ]


@pytest.mark.parametrize(
    "link",
    ["https://notnorthline.example/", "https://northline.example.evil.example/", "//[", "mailto:"],
)
def test_a_domain_must_be_whole(link: str) -> None:
    assert match(build_matcher(FERRIES), Telling("A quay", "", link)).mentions == ()


@pytest.mark.parametrize("text", ["not-northline.example", "northline.example.evil"])
def test_a_domain_in_the_text_must_be_whole_too(text: str) -> None:
    assert "northline.example" not in [
        m.evidence for m in match(build_matcher(FERRIES), Telling("A quay", text)).mentions
    ]


def test_words_to_watch_keep_their_weight_and_place() -> None:
    found = match(build_matcher(FERRIES), Telling("Battery ferries need no berths", "A ferry."))
    assert [(w.text, w.where, w.weight) for w in found.words] == [
        ("battery ferry", "headline", 3.0),
        ("berth", "headline", 2.0),
        ("ferry", "headline", 1.0),
    ]


def test_a_word_inside_a_name_is_not_a_word() -> None:
    of = constellation(
        Account("b", "Drill Nordhaken", "prospect"), words=(Word("drill"), Word("Nordhaken"))
    )
    found = in_title("Drill Nordhaken opens a shop", of=of)
    assert [m.account_key for m in found.mentions] == ["b"]
    assert found.words == ()


def test_a_word_to_ignore_pushes_out_unless_an_account_is_in_the_headline() -> None:
    matcher = build_matcher(FERRIES)
    assert match(matcher, Telling("Ten cruises to dream of", "By ferry.")).ignored == ("cruise",)
    assert match(matcher, Telling("A quay", "Cruise ships call too.")).ignored == ("cruise",)
    assert match(matcher, Telling("Northline ends cruises")).ignored == ()
    late = Telling("A new berth", "word " * 80 + "Once a cruise ship lay here.")
    assert match(matcher, late).ignored == ()


def test_a_story_is_about_whom_any_of_its_tellings_is_about() -> None:
    matcher = build_matcher(FERRIES)
    found = match_all(
        matcher,
        [
            Telling("A berth for two battery ferries", "Blue Strait pays."),
            Telling("Blue Strait orders a berth", "It is for cruises, says Northline."),
        ],
    )
    assert {(m.account_key, m.where) for m in found.mentions} == {
        ("blue-strait", "headline"),
        ("northline", "lead"),
    }
    assert found.ignored == ()
    assert match_all(matcher, []) == Matching()


# ── what always holds ────────────────────────────────────────────────────────────────────

plain_words = st.text(string.ascii_lowercase, min_size=4, max_size=9)


@given(
    name=st.text(string.ascii_lowercase, min_size=5, max_size=12).map(lambda w: "Zq" + w),
    before=st.lists(plain_words, max_size=5).map(" ".join),
    after=st.lists(plain_words, max_size=5).map(" ".join),
    joint=st.sampled_from([" ", "’s ", "'s ", "-", ", ", ". ", "” ", ") ", "\n", "\u00a0"]),
)
def test_a_rare_name_is_found_between_any_words(
    name: str, before: str, after: str, joint: str
) -> None:
    of = constellation(Account("a", name, "prospect"))
    found = in_title(f"{before} {name}{joint}{after}", of=of).mentions
    assert [(m.account_key, m.evidence) for m in found] == [("a", name)]
    glued = in_title(f"{before} {name}{after.replace(' ', '') or 'x'}", of=of).mentions
    assert glued == ()


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_can_be_read_and_evidence_stands_in_it(title: str, text: str) -> None:
    found = in_title(title, text)
    for mention in found.mentions:
        assert mention.evidence in fold(title).shown or mention.evidence in fold(text).shown
        assert 0 < mention.weight <= 1


@given(st.text(max_size=200))
def test_folding_keeps_places(text: str) -> None:
    folded = fold(text)
    assert len(folded.shown) == len(folded.folded)


def test_a_hostile_text_is_read_up_to_a_limit() -> None:
    found = in_title("x", "Orrin & Stave " * 200_000)
    assert [m.account_key for m in found.mentions] == ["orrin"]
    beyond = in_title("x", "word " * READ_CHARS + "Orrin & Stave")
    assert beyond.mentions == ()


def test_a_constellation_without_names_or_words_matches_nothing() -> None:
    assert in_title("Anything at all", of=constellation()) == Matching()


def test_mentions_come_the_weightiest_first() -> None:
    found = in_title("Orrin sues", "Müller Bohrtechnik is surprised.").mentions
    assert [m.account_key for m in found] == ["orrin", "muller"]
    assert all(isinstance(m, Mention) for m in found)
