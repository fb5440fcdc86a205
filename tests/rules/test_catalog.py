"""Contradictions between entries that are each right by themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.catalog import (
    Catalog,
    Constellation,
    Newsletter,
    OwnNews,
    Selectors,
    Source,
    Word,
)
from pipeline.rules.catalog import Complaint, Unread, check, suggestion
from tests.builders import CATALOG, FERRIES, FIRM, WEEKLY

NORTHLINE, SKAGEN, BLUE = FERRIES.accounts
COAST, HARBOUR = CATALOG.sources
HERE = ("constellations", 0)
LETTER = (*HERE, "newsletters", 0)


def ferries(**changes: object) -> Catalog:
    return replace(CATALOG, constellations=(replace(FERRIES, **changes),))


def weekly(**changes: object) -> Catalog:
    return ferries(newsletters=(replace(WEEKLY, **changes),))


def rhythm(**changes: object) -> Catalog:
    return weekly(rhythm=replace(WEEKLY.rhythm, **changes))


def firm(**changes: object) -> Catalog:
    return replace(CATALOG, firm=replace(FIRM, **changes))


def sources(*changed: Source) -> Catalog:
    return replace(CATALOG, sources=changed)


def letter(key: str, recap_of: str = "") -> Newsletter:
    return replace(WEEKLY, key=key, recap_of=recap_of)


def only(catalog: Catalog, unread: Unread | None = None) -> Complaint:
    (complaint,) = check(catalog, unread)
    return complaint


def test_a_right_catalog_has_no_complaint() -> None:
    assert list(check(CATALOG)) == []


LIV, TOM, EVA = FIRM.staff
AUDIT, CREW = FIRM.services
OSLO = FIRM.news[0]
SECOND = replace(FERRIES, key="trams", accounts=(), newsletters=())

CASES: list[tuple[str, Catalog, tuple[str | int, ...], str]] = [
    # keys
    (
        "staff twice",
        firm(staff=(LIV, TOM, EVA, replace(TOM, address="x@quaytide.example"))),
        ("firm", "staff", 3, "key"),
        'the staff key "tom" is taken',
    ),
    (
        "service twice",
        firm(services=(AUDIT, AUDIT)),
        ("firm", "services", 1, "key"),
        'the service key "berth-audit" is taken',
    ),
    ("news twice", firm(news=(OSLO, OSLO)), ("firm", "news", 1, "key"), '"oslo" is taken'),
    (
        "source twice",
        sources(COAST, replace(COAST, url="https://x.example")),
        ("sources", 1, "key"),
        'the source key "coast-wire" is taken',
    ),
    (
        "account twice, in two constellations",
        replace(CATALOG, constellations=(FERRIES, replace(SECOND, accounts=(BLUE,)))),
        ("constellations", 1, "accounts", 0, "key"),
        'the account key "blue-strait" is taken',
    ),
    (
        "newsletter twice, in two constellations",
        replace(CATALOG, constellations=(FERRIES, replace(SECOND, newsletters=(WEEKLY,)))),
        ("constellations", 1, "newsletters", 0, "key"),
        '"ferry-weekly" is taken',
    ),
    (
        "was is alive",
        ferries(accounts=(NORTHLINE, SKAGEN, replace(BLUE, was="northline"))),
        (*HERE, "accounts", 2, "was"),
        'the account "northline" still stands',
    ),
    (
        "was is itself",
        sources(replace(COAST, was="coast-wire")),
        ("sources", 0, "was"),
        '"coast-wire" still stands',
    ),
    (
        "was claimed twice",
        sources(replace(COAST, was="old"), replace(HARBOUR, was="old")),
        ("sources", 1, "was"),
        'another source already says that it was "old"',
    ),
    ("was of a newsletter", weekly(was="ferry-weekly"), (*LETTER, "was"), "still stands"),
    ("was of a constellation", ferries(was="ferries"), (*HERE, "was"), "still stands"),
    # firm
    (
        "a role for a key",
        firm(staff=(LIV, TOM, EVA, replace(EVA, key="owner", address="o@x.example"))),
        ("firm", "staff", 3, "key"),
        '"owner" already means a role',
    ),
    (
        "one address for two",
        firm(staff=(LIV, TOM, replace(EVA, address="LIV@quaytide.example"))),
        ("firm", "staff", 2, "address"),
        "two people cannot share an address",
    ),
    (
        "service asks nobody",
        firm(services=(replace(AUDIT, contact="tomm"),)),
        ("firm", "services", 0, "contact"),
        'nobody of the staff in firm.yaml, did you mean "tom"?',
    ),
    # sources
    (
        "unknown constellation",
        sources(replace(COAST, constellations=("ferrys",))),
        ("sources", 0, "constellations", 0),
        'no constellations/ferrys.yaml, did you mean "ferries"?',
    ),
    (
        "one address, two sources",
        sources(COAST, replace(HARBOUR, url="http://www.coastwire.example/feed/")),
        ("sources", 1, "url"),
        "another source has this address",
    ),
    (
        "page without selectors",
        sources(replace(COAST, kind="page")),
        ("sources", 0, "kind"),
        "a page needs `selectors`",
    ),
    (
        "feed with selectors",
        sources(replace(COAST, selectors=Selectors("li", "h3", "a"))),
        ("sources", 0, "selectors"),
        "a feed needs no selectors",
    ),
    # people
    ("unknown expert", ferries(expert="livv"), (*HERE, "expert"), 'did you mean "liv"?'),
    ("unknown curator", ferries(curator="x"), (*HERE, "curator"), "(there is: eva, liv, tom)"),
    ("unknown approver", ferries(approver="x"), (*HERE, "approver"), '"x" is nobody'),
    ("unknown backup", ferries(backup="x"), (*HERE, "backup"), '"x" is nobody'),
    (
        "unknown owner",
        ferries(accounts=(replace(NORTHLINE, owner="x"),)),
        (*HERE, "accounts", 0, "owner"),
        '"x" is nobody',
    ),
    (
        "unknown sender",
        weekly(sender="x"),
        (*LETTER, "sender"),
        "(there is: eva, expert, liv, owner, tom)",
    ),
    ("unknown reply-to", weekly(reply_to="expert"), (*LETTER, "reply_to"), '"expert" is nobody'),
    # names
    (
        "alias of two",
        ferries(accounts=(NORTHLINE, SKAGEN, replace(BLUE, aliases=("skagenRUTER",)))),
        (*HERE, "accounts", 2, "aliases", 0),
        '"skagenRUTER" already means the account "skagen-ruter"',
    ),
    (
        "alias is another's name",
        ferries(accounts=(NORTHLINE, replace(SKAGEN, aliases=("northline",)), BLUE)),
        (*HERE, "accounts", 1, "aliases", 0),
        'already means the account "northline"',
    ),
    (
        "name is another's alias",
        ferries(accounts=(NORTHLINE, replace(BLUE, name="Northline  Ferries"))),
        (*HERE, "accounts", 1, "name"),
        'already means the account "northline"',
    ),
    (
        "alias twice",
        ferries(accounts=(replace(NORTHLINE, aliases=("NL Line", "NL Line")),)),
        (*HERE, "accounts", 0, "aliases"),
        '"NL Line" stands more than once',
    ),
    (
        "one domain for two",
        ferries(accounts=(NORTHLINE, replace(BLUE, domain="www.Northline.example"))),
        (*HERE, "accounts", 1, "domain"),
        "is the domain of another account",
    ),
    (
        "watched and ignored",
        ferries(ignore=("cruise", "Berth")),
        (*HERE, "ignore", 1),
        '"Berth" is watched under `words`',
    ),
    # the contract
    (
        "cut-off before lead",
        weekly(lead_days=1, cut_off_h=24),
        (*LETTER, "cut_off"),
        "freeze 24 h ahead",
    ),
    (
        "deadline before cut-off",
        weekly(deadline_h=25),
        (*LETTER, "deadline"),
        "must be the shorter",
    ),
    (
        "review longer than lead",
        weekly(mode="automatic", review_window_h=121),
        (*LETTER, "review_window"),
        "121 h to look at an issue that is opened 120 h ahead",
    ),
    ("floor over ceiling", weekly(floor=7), (*LETTER, "floor"), "at least 7 and at most 6 stories"),
    # rhythm
    (
        "weekly with a day",
        rhythm(weekday=None, day=15),
        (*LETTER, "rhythm", "on"),
        "wants one weekday",
    ),
    ("weekly with nth", rhythm(nth=2), (*LETTER, "rhythm", "on"), "wants one weekday"),
    ("monthly without nth", rhythm(cadence="monthly"), (*LETTER, "rhythm", "on"), "say which"),
    ("quarterly without nth", rhythm(cadence="quarterly"), (*LETTER, "rhythm", "on"), "say which"),
    (
        "late as long as the week",
        rhythm(late_within_h=168),
        (*LETTER, "rhythm", "late"),
        "next one is due",
    ),
    # recaps
    (
        "recap of itself",
        weekly(recap_of="ferry-weekly"),
        (*LETTER, "recap_of"),
        "cannot be the recap of itself",
    ),
    (
        "recap of the unknown",
        weekly(recap_of="ferry-weakly"),
        (*LETTER, "recap_of"),
        '"ferry-weakly" is no newsletter, did you mean "ferry-weekly"?',
    ),
    (
        "recap of elsewhere",
        replace(
            CATALOG,
            constellations=(
                replace(FERRIES, newsletters=(replace(WEEKLY, recap_of="tram-weekly"),)),
                replace(SECOND, newsletters=(letter("tram-weekly"),)),
            ),
        ),
        (*LETTER, "recap_of"),
        "belongs to another constellation",
    ),
]


@pytest.mark.parametrize(
    ("catalog", "place", "what"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_each_contradiction_is_told_once_at_its_place(
    catalog: Catalog, place: tuple[str | int, ...], what: str
) -> None:
    complaint = only(catalog)
    assert complaint.place == place
    assert what in complaint.what


def test_of_two_that_clash_the_first_is_named() -> None:
    twice = only(sources(COAST, replace(HARBOUR, url=COAST.url)))
    assert twice.first == ("sources", 0, "url")


def test_recaps_in_a_circle_are_told_at_each_of_them() -> None:
    circle = ferries(newsletters=(letter("a", "b"), letter("b", "c"), letter("c", "a")))
    assert {(c.place[3], c.what) for c in check(circle)} == {
        (0, "recaps go round in a circle: a → b → c → a"),
        (1, "recaps go round in a circle: b → c → a → b"),
        (2, "recaps go round in a circle: c → a → b → c"),
    }


def test_a_recap_of_a_member_of_a_circle_is_not_blamed() -> None:
    tail = ferries(newsletters=(letter("a", "b"), letter("b", "a"), letter("c", "a")))
    assert {c.place[3] for c in check(tail)} == {0, 1}


def test_an_automatic_newsletter_only_minds_its_own_window() -> None:
    assert list(check(weekly(mode="curated", review_window_h=1000))) == []


def test_references_to_what_could_not_be_read_are_not_unknown() -> None:
    unread = Unread(frozenset({"new"}), frozenset({"trams"}), frozenset({"tram-weekly"}))
    pending = replace(
        CATALOG,
        sources=(replace(COAST, constellations=("trams",)),),
        constellations=(
            replace(FERRIES, expert="new", newsletters=(replace(WEEKLY, recap_of="tram-weekly"),)),
        ),
    )
    assert list(check(pending, unread)) == []


def test_without_any_staff_read_nobody_is_unknown() -> None:
    stray = replace(ferries(expert="x"), firm=replace(FIRM, staff=(), services=()))
    assert list(check(stray, Unread(staff=None))) == []
    assert len(list(check(stray))) == 7


def test_what_a_contradiction_follows_from_is_named() -> None:
    complaint = only(weekly(floor=7))
    assert complaint.because == ((*LETTER, "ceiling"),)


@given(st.text(), st.lists(st.text(min_size=1)))
def test_a_suggestion_is_one_of_the_known_or_their_list(word: str, known: list[str]) -> None:
    said = suggestion(word, known)
    assert said == "" or any(name in said for name in known)


def test_suggestions() -> None:
    assert suggestion("tittle", ["title", "key"]) == ', did you mean "title"?'
    assert suggestion("LIV", ["liv"]) == ', did you mean "liv"?'
    assert suggestion("zzz", ["b", "a"]) == " (there is: a, b)"
    assert suggestion("zzz", [f"key{n}" for n in range(20)]) == ""
    assert suggestion("zzz", []) == ""


def test_an_empty_workspace_is_no_contradiction() -> None:
    bare = Catalog(FIRM, (), (Constellation("x", "X", "…", (), (), "liv", "liv", "liv"),), "d")
    assert list(check(bare)) == []
    assert list(check(replace(bare, constellations=()))) == []


def test_words_are_compared_in_any_case() -> None:
    complaint = only(ferries(words=(Word("Ferry"),), ignore=("fERRY",)))
    assert complaint.first == (*HERE, "words", "Ferry")


def test_own_news_may_follow_each_other() -> None:
    later = OwnNews("oslo-2", "More of Oslo", "…", OSLO.on, was="oslo-1")
    assert list(check(firm(news=(OSLO, later)))) == []
