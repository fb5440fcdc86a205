"""What each edition shows, and what fills its fields."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from pipeline.model.catalog import Cap, OwnNews
from pipeline.model.people import Basis
from pipeline.rules.letters.audience import Terms, decide
from pipeline.rules.letters.editions import (
    Material,
    basis_line,
    fresh_news,
    letter,
    merge_values,
    next_service,
    public_letter,
    public_values,
    reply_to,
    sales_letter,
    sales_values,
    sender_of,
    sender_values,
    signed,
    told_services,
    variant_key,
)
from pipeline.rules.letters.forward import Desk, Standing
from pipeline.rules.letters.render import render
from tests.builders import (
    BEAT,
    CATALOG,
    CONSENT,
    FERRIES,
    FIRM,
    ISSUE,
    WEEKLY,
    candidate,
    contact,
    snippet,
)
from tests.rules.letters.samples import TEMPLATES

LIV, TOM, EVA = FIRM.staff
KEPT = (
    snippet(1),
    snippet(2, about=("northline",), own_wording="Your quay.\n\nWe say it waits."),
    snippet(3, learnt_from="northline", is_public=False, sales_note="Ask her."),
    snippet(4, section="noted", take=""),
)
CLEARED = replace(KEPT[2], general_wording="# A lesson\nWait less.", cleared_by="liv")
EVERYTHING = {1, 2, 3, 4}


def material(snippets=KEPT, **changes):
    plain = Material(
        catalog=CATALOG,
        constellation=FERRIES,
        newsletter=WEEKLY,
        issue=ISSUE,
        snippets=snippets,
        news_after=date(2027, 2, 25),
    )
    return replace(plain, **changes)


def test_the_numbers_of_a_copy_do_not_tell_that_a_rival_told_us_something():
    mine = snippet(6, learnt_from="blue-strait", is_public=False, own_wording="As you said.")
    theirs = snippet(5, learnt_from="northline", is_public=False, own_wording="As you said.")
    made = letter(material((snippet(1), theirs, mine)), "prospect", "blue-strait", {1, 5, 6})
    assert [s.number for s in made.stories] == [1, 2]


# ── three editions from the same snippets ────────────────────────────────────────────────


def test_the_first_edition_closes_with_the_invitation():
    made = letter(material(), "prospect", "blue-strait", EVERYTHING)
    assert [s.title for s in made.stories] == [KEPT[0].title, KEPT[1].title]
    assert [s.number for s in made.stories] == [1, 2]
    assert [s.title for s in made.noted] == [KEPT[3].title]
    assert (made.invitation_title, made.invitation_text) == (
        WEEKLY.invitation_title, WEEKLY.invitation,
    )  # fmt: skip
    assert (made.own_news, made.service_title) == ((), "")
    assert made.positioning == WEEKLY.positioning
    assert made.web_url == f"{FIRM.base_url}/issues/{ISSUE.public_id}"


def test_the_other_edition_brings_news_of_us_and_one_service():
    audit = FIRM.services[0]
    made = letter(material(), "customer", "skagen-ruter", EVERYTHING, FIRM.news, audit)
    assert made.own_news == (("A second desk in Oslo", FIRM.news[0].text),)
    assert (made.service_title, made.service_text) == (audit.name, audit.text)
    assert made.service_contact == (TOM.name, TOM.address, TOM.phone)
    assert made.invitation_title == ""


def test_own_copies_read_their_own_wording():
    story = letter(material(), "prospect", "northline", EVERYTHING).stories[1]
    assert (story.number, story.signal, story.fact) == (2, "You in the news", "Your quay.")


def test_only_the_stories_of_the_verdict_stand_in_a_copy_under_the_issues_numbers():
    made = letter(material(), "prospect", "blue-strait", {2})
    assert [(s.number, s.title) for s in made.stories] == [(2, KEPT[1].title)]
    assert made.noted == ()


def test_the_web_page_shows_what_is_public_and_nothing_else():
    made = public_letter(material((*KEPT[:2], CLEARED, KEPT[3])))
    assert [s.title for s in made.stories] == [KEPT[0].title, KEPT[1].title]
    assert made.stories[1].fact == KEPT[1].fact
    assert (made.own_news, made.service_title, made.sales) == ((), "", ())


def test_rivals_read_a_cleared_lesson_after_the_news():
    made = letter(material((CLEARED, *KEPT[:2])), "prospect", "blue-strait", EVERYTHING)
    assert [(s.number, s.title) for s in made.stories] == [
        (1, KEPT[0].title), (2, KEPT[1].title), (3, "A lesson"),
    ]  # fmt: skip


def test_the_same_stories_make_the_same_variant():
    def key(*arguments):
        return variant_key(letter(material(), *arguments))

    rivals = key("prospect", "blue-strait", EVERYTHING)
    assert rivals == key("prospect", "elsewhere", EVERYTHING)
    assert rivals != key("prospect", "northline", EVERYTHING)  # other wordings
    assert rivals != key("prospect", "blue-strait", {1, 4})  # other stories
    assert rivals != key("customer", "blue-strait", EVERYTHING)
    audit, roster = FIRM.services
    assert key("customer", "x", EVERYTHING, (), audit) != key(
        "customer", "x", EVERYTHING, (), roster
    )


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Power tools", "Liv Haugen, who follows power tools for Quay & Tide"),
        ("Nordic ferries", "Liv Haugen, who follows Nordic ferries for Quay & Tide"),
        ("EV charging", "Liv Haugen, who follows EV charging for Quay & Tide"),
    ],
)
def test_who_writes(name, written):
    assert signed(material(constellation=replace(FERRIES, name=name))) == written


# ── for customers ────────────────────────────────────────────────────────────────────────


def test_our_news_is_new_once():
    pieces = (
        OwnNews("old", "Old", "…", date(2027, 2, 25)),
        OwnNews("oslo", "Oslo", "…", date(2027, 3, 1)),
        OwnNews("later", "Later", "…", date(2027, 3, 9)),
        OwnNews("ahead", "Ahead", "…", date(2027, 3, 12)),
    )
    firm = replace(FIRM, news=pieces)
    ours = material(catalog=replace(CATALOG, firm=firm), own_stories={"oslo": 70, "later": 71})
    assert [n.key for n in fresh_news(ours, frozenset())] == ["later", "oslo"]
    assert [n.key for n in fresh_news(ours, frozenset({71}))] == ["oslo"]
    kept = replace(ours, snippets=(snippet(70, story_kind="own"),))
    assert [n.key for n in fresh_news(kept, frozenset())] == ["later"]


def test_at_most_three_pieces_of_our_news():
    pieces = tuple(OwnNews(str(n), str(n), "…", date(2027, 3, n)) for n in range(1, 8))
    ours = material(catalog=replace(CATALOG, firm=replace(FIRM, news=pieces)))
    assert [n.key for n in fresh_news(ours, ())] == ["7", "6", "5"]


def test_each_service_is_told_once_to_a_customer():
    heard = replace(candidate(1, "skagen-ruter"), told_services=frozenset({"berth-audit"}))
    told = told_services([heard, candidate(2, "skagen-ruter"), candidate(3)])
    assert next_service(FIRM.services, told["skagen-ruter"]).key == "crew-desk"
    assert next_service(FIRM.services, told["northline"]).key == "berth-audit"
    assert next_service(FIRM.services, {"berth-audit", "crew-desk"}) is None


# ── for our own people ───────────────────────────────────────────────────────────────────


def desk(owner, *people, snippets=KEPT):
    terms = Terms(WEEKLY, snippets, {a.key: a.relationship for a in FERRIES.accounts}, Cap(), BEAT)
    standings = {}
    for person in people:
        standings.setdefault(person.contact.account_key, []).append(
            Standing(person, decide(person, terms))
        )
    owned = tuple(a for a in FERRIES.accounts if a.owner == owner.key)
    return Desk(owner, owned, standings, "en", BEAT)


def test_an_owner_reads_takes_notes_and_whom_to_tell():
    people = (replace(candidate(1), basis=None), candidate(2, "blue-strait"))
    made = sales_letter(material(), desk(TOM, *people))
    assert made.kind == "sales"
    assert made.owner_first_name == "Tom"
    assert [s.story.number for s in made.sales] == [1, 2, 3]
    assert made.sales[2].story.sales_note == "Ask her."
    assert made.sales[2].story.signal == "In confidence: Northline"
    assert made.sales[2].story.fact == KEPT[2].fact
    assert made.sales_sums.contacts == 2
    assert made.subject == "Between Quays (no. 9): one person has not had these stories"


def test_a_confidence_shows_only_to_those_who_may_know():
    """Tom owns Northline; Liv is expert and approver; Ann looks after another account."""
    ann = replace(TOM, key="ann")
    stranger = Desk(ann, (), {}, "en", BEAT)
    assert [s.story.title for s in sales_letter(material(), stranger).sales] == [
        KEPT[0].title, KEPT[1].title,
    ]  # fmt: skip
    told = sales_letter(material((*KEPT[:2], CLEARED)), stranger).sales[2]
    assert (told.story.title, told.story.fact, told.story.sales_note) == (
        "A lesson", "Wait less.", "",
    )  # fmt: skip
    assert told.groups == ()
    assert len(sales_letter(material(), desk(LIV)).sales) == 3


def test_a_quiet_week_says_so():
    made = sales_letter(material((snippet(1), snippet(2))), desk(TOM, candidate(1)))
    assert made.subject == "Between Quays (no. 9) for your accounts"
    assert all(s.groups == () for s in made.sales)
    assert made.preheader.startswith("These stories touch none of your accounts.")
    assert "touch none of your accounts" in render(made, TEMPLATES).text.replace("\n", " ")


def test_an_issue_of_headlines_does_not_say_that_everybody_has_had_its_stories():
    noted = snippet(1, section="noted", take="", question="")
    made = sales_letter(material((noted,)), desk(TOM, candidate(1)))
    for said in (made.preheader, render(made, TEMPLATES).text.replace("\n", " ")):
        assert "There is no story to pass on in this issue." in said
        assert "has had these stories" not in said


# ── what fills the fields ────────────────────────────────────────────────────────────────


def values(person=None, basis=CONSENT, **newsletter):
    ours = material(newsletter=replace(WEEKLY, **newsletter))
    reader = person or contact(1)
    line = basis_line(ours, reader.account_key, basis)
    return merge_values(ours, reader, line, "https://letters.example/leave/abc")


def test_the_values_of_a_copy():
    filled = values()
    assert filled["greeting"] == "Good morning, Ingrid."
    assert filled["basis"].replace("\u00a0", " ") == (
        "because you asked for it at the Quay Days in Bergen on 3 September 2026"
    )
    assert filled["leave_url"] == "https://letters.example/leave/abc"
    assert filled["sender_name"] == "Liv Haugen"


def test_who_is_written_about_gets_no_link_to_the_page_that_says_it_unchanged():
    assert values(contact(1, "northline"))["web_url"] == ""
    assert values(contact(1, "blue-strait"))["web_url"].endswith(ISSUE.public_id)


def test_a_confidence_that_names_a_reader_takes_no_link_from_them():
    """Its absence would tell the reader that somebody spoke of them."""
    told = snippet(1, learnt_from="blue-strait", is_public=False, about=("northline",))
    made = merge_values(material((told,)), contact(1, "northline"), "", "")
    assert made["web_url"].endswith(ISSUE.public_id)


def test_a_signature_keeps_its_lines():
    signed = replace(LIV, signature="*Liv Haugen*\nQuay & Tide\n\n- by day\n- by night\n")
    lines = sender_values(signed)["signature"].split("\n")
    assert lines == ["Liv Haugen", "Quay & Tide", "by day", "by night"]


def test_no_first_name_greets_nobody_wrongly():
    assert values(contact(1, first_name=" "))["greeting"] == "Good morning."


@pytest.mark.parametrize(
    ("rules", "account", "sender", "answers"),
    [
        ({}, "northline", LIV, LIV),
        ({"sender": "owner"}, "northline", TOM, TOM),
        ({"sender": "owner"}, "skagen-ruter", LIV, LIV),
        ({"sender": "owner"}, "", LIV, LIV),
        ({"sender": "eva"}, "northline", EVA, EVA),
        ({"reply_to": "owner"}, "northline", LIV, TOM),
        ({"sender": "owner", "reply_to": "eva"}, "northline", TOM, EVA),
    ],
)
def test_who_sends_and_who_gets_the_answer(rules, account, sender, answers):
    ours = material(newsletter=replace(WEEKLY, **rules))
    assert (sender_of(ours, account), reply_to(ours, account)) == (sender, answers)


@pytest.mark.parametrize(
    "source",
    ["prospect list of the fair", "our customer since 2019", "met at Blue Strait's stand",
     "lead from the CRM", "key account plan", "a target for 2027"],
)  # fmt: skip
def test_a_source_that_betrays_is_not_shown(source):
    said = values(basis=Basis("customer", source, date(2026, 9, 3)))["basis"]
    for word in ("prospect", "customer", "Blue", "CRM", "account", "target", "lead"):
        assert word.lower() not in said.lower()
    assert "September" in said


def test_the_web_page_has_nobodys_name():
    filled = public_values(material())
    assert (filled["first_name"], filled["greeting"]) == ("", "Good morning.")
    assert (filled["basis"], filled["leave_url"]) == ("", "")


def test_an_internal_copy_has_no_way_to_leave():
    filled = sales_values(material(), TOM)
    assert (filled["greeting"], filled["leave_url"]) == ("Good morning, Tom.", "")
