"""Ready mails: short, well encoded, without a token; and who has not had what."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.catalog import Cap
from pipeline.model.letters import SalesStory
from pipeline.model.people import EVERYWHERE, Suppression
from pipeline.rules.letters.audience import Terms, decide
from pipeline.rules.letters.forward import (
    LONGEST,
    MOST_READY,
    Desk,
    Standing,
    groups,
    mailto,
    sums,
    within_size,
)
from pipeline.rules.letters.wall import told
from tests.builders import FERRIES, FIRM, WEEKLY, candidate, contact, snippet

TOM = FIRM.staff[1]
ON = date(2027, 3, 11)


def read(address):
    """(recipient, subject, body) as a mail program reads them."""
    parts = urlsplit(address)
    fields = parse_qs(parts.query, keep_blank_values=True, strict_parsing=True)
    return unquote(parts.path), fields["subject"][0], fields["body"][0]


def ready(kept, person=None):
    story = told(kept, "plain", 1, "en")
    return mailto(story, person or contact(1), TOM, language="en", on=ON)


def test_a_ready_mail_reads_like_one():
    kept = snippet(
        1,
        title="Quay 1 opens *early*",
        fact="Quay 1 [opens](https://x.example/) at five.",
        take="Waiting is **free** of charge, {{first_name|you}} know.",
        question="Who is awake?",
    )
    to, subject, body = read(ready(kept))
    assert to == "person1@northline.example"
    assert subject == "Quay 1 opens early"
    assert body.split("\r\n") == [
        "Hello Ingrid,", "", "", "",
        "Quay 1 opens at five.", "",
        "Our view: Waiting is free of charge, Ingrid know.", "",
        "A question: Who is awake?", "",
        "Source: Coast Wire, 5 March",
        "https://coastwire.example/1", "",
        "Best wishes", "Tom",
    ]  # fmt: skip


def test_lines_end_as_mail_programs_want_them():
    address = ready(snippet(1))
    assert "%0D%0A" in address
    assert not set(address) & set(" \r\n\"'<>")
    assert "%0A%0A" not in address


def test_nobody_is_greeted_by_a_wrong_name():
    _, _, body = read(ready(snippet(1), contact(1, first_name="")))
    assert body.startswith("Hello,\r\n")


def test_an_odd_address_is_encoded():
    address = ready(snippet(1), contact(1, address="ann+quay&co?x@northline.example"))
    assert read(address)[0] == "ann+quay&co?x@northline.example"
    assert address.startswith("mailto:ann%2Bquay%26co%3Fx@northline.example?")


def test_the_view_gives_way_first_and_the_source_stays():
    long = " ".join(f"Sentence {n} says a little more than the one before." for n in range(40))
    _, _, body = read(ready(snippet(1, take=long)))
    assert "Sentence 0" in body
    assert "Sentence 39" not in body
    assert "https://coastwire.example/1" in body
    assert "A question:" in body


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=900)


@given(TEXT, TEXT, TEXT, TEXT, st.integers(0, 3000))
def test_no_ready_mail_is_too_long_whatever_stands_in_it(title, fact, take, question, length):
    kept = snippet(
        1, title=title, fact=fact, take=take, question=question,
        url="https://coastwire.example/" + "x" * length,
    )  # fmt: skip
    address = ready(kept)
    assert len(address) <= LONGEST
    assert address.isascii()
    assert read(address)[0] == "person1@northline.example"


# ── who has not had it ───────────────────────────────────────────────────────────────────

TOUCHING = snippet(
    1, touches=(("northline", "their berth is next to it"), ("blue-strait", "they sail there"))
)
BOTH = (TOUCHING, snippet(2))
AT = datetime(2027, 2, 1, tzinfo=UTC)


def desk(*people, snippets=BOTH):
    terms = Terms(
        newsletter=WEEKLY,
        snippets=snippets,
        relationships={a.key: a.relationship for a in FERRIES.accounts},
        cap=Cap(),
        on=ON,
    )
    standings = {}
    for person in people:
        standings.setdefault(person.contact.account_key, []).append(
            Standing(person, decide(person, terms))
        )
    owned = tuple(a for a in FERRIES.accounts if a.owner == "tom")
    return Desk(TOM, owned, standings, "en", ON)


def rows(*people, kept=TOUCHING, snippets=BOTH):
    return [
        row for group in groups(kept, 1, desk(*people, snippets=snippets)) for row in group.rows
    ]


def test_who_gets_the_letter_or_heard_of_it_is_not_listed():
    heard = replace(candidate(2), told_stories=frozenset({1}), paused_until=date(2028, 1, 1))
    assert rows(candidate(1), heard) == []


@pytest.mark.parametrize(
    ("change", "why", "instead"),
    [
        ({"basis": None}, "on no list", ""),
        ({"hold": "we meet on Friday"}, "held back: we meet on Friday", ""),
        ({"recent_letters": 9}, "has had 9 letters in 30 days", ""),
        ({"told_stories": frozenset({2})}, "too little left for a letter of their own", ""),
        ({"suppression": Suppression(EVERYWHERE, "left", AT)}, "no mail: left on 2027-02-01",
         "Call only"),
        ({"basis": None, "suppression": Suppression(EVERYWHERE, "bounce", AT)}, "on no list",
         "Call only"),
        ({"subscribed": False}, "chose not to get this letter", "Call only"),
        ({"paused_until": date(2027, 4, 1)}, "paused until 2027-04-01", "Not before then"),
        ({"basis": None, "paused_until": date(2027, 4, 1)}, "on no list", "Not before then"),
    ],
)  # fmt: skip
def test_each_row_says_why_and_what_to_do(change, why, instead):
    (row,) = rows(replace(candidate(1), **change))
    assert (row.why_not, row.instead) == (why, instead)
    assert bool(row.mailto) is not bool(instead)


def test_an_address_that_does_not_work_is_called():
    broken = replace(candidate(1), contact=contact(1, invalid="no such domain"))
    (row,) = rows(broken)
    assert (row.mailto, row.instead) == ("", "Call only")


def test_who_is_no_longer_there_is_not_listed_but_counted():
    gone = replace(candidate(1), contact=contact(1, retired_at=AT))
    assert rows(gone) == []
    assert sums(desk(gone)).contacts == 1


def test_only_touched_accounts_of_the_owner_are_listed_with_the_reason():
    people = [replace(candidate(n, key), basis=None)
              for n, key in enumerate(("northline", "skagen-ruter", "blue-strait"))]  # fmt: skip
    made = groups(TOUCHING, 1, desk(*people))
    assert [(g.account_name, g.why, g.warn) for g in made] == [
        ("Northline", "their berth is next to it", False),
        ("Blue Strait", "they sail there", False),
    ]


def test_a_touched_account_where_nobody_is_left_to_tell_is_news_all_the_same():
    known, unknown = groups(TOUCHING, 1, desk(candidate(1)))
    assert (known.account_name, known.rows) == ("Northline", ())
    assert known.note == "Everybody you know there has had it, or gets it today."
    assert (unknown.account_name, unknown.note) == ("Blue Strait", "You know nobody there yet.")


def test_an_account_that_the_story_is_about_is_warned_of_and_gets_its_own_wording():
    kept = snippet(1, about=("northline",), take="They will fail.", own_wording="Your quay.")
    terms = (kept, snippet(2))
    (group,) = groups(kept, 1, desk(replace(candidate(1), basis=None), snippets=terms))
    assert group.warn
    body = read(group.rows[0].mailto)[2]
    assert "Your quay." in body
    assert "They will fail" not in body
    assert "A question" not in body


def test_without_an_own_wording_they_are_spoken_to():
    kept = snippet(1, about=("northline",))
    (row,) = rows(candidate(1), kept=kept, snippets=(kept, snippet(2), snippet(3)))
    assert (row.mailto, row.instead, row.why_not) == (
        "", "Speak to them", "left out of their copy",
    )  # fmt: skip


def test_a_ready_mail_never_carries_a_confidence():
    kept = snippet(
        1, learnt_from="northline", is_public=False, fact="SECRET", take="SECRET", title="SECRET",
        question="SECRET", touches=(("blue-strait", "SECRET"),),
    )  # fmt: skip
    people = (replace(candidate(1), basis=None), replace(candidate(2, "blue-strait"), basis=None))
    assert groups(kept, 1, desk(*people, snippets=(kept, snippet(2)))) == ()
    theirs = replace(kept, own_wording="As you told us.")
    (group,) = groups(theirs, 1, desk(*people, snippets=(theirs, snippet(2))))
    assert (group.account_name, group.warn) == ("Northline", True)
    told_north = read(group.rows[0].mailto)
    assert "As you told us." in told_north[2]
    assert "SECRET" not in "".join(told_north)
    cleared = replace(kept, general_wording="# A lesson\nWait.", cleared_by="liv")
    (group,) = groups(cleared, 1, desk(*people, snippets=(cleared, snippet(2))))
    assert (group.account_name, group.warn) == ("Blue Strait", False)
    told_blue = read(group.rows[0].mailto)
    assert told_blue[1] == "A lesson"
    assert "SECRET" not in "".join(told_blue)


def test_many_ready_mails_do_not_swell_the_internal_mail():
    """Every row stays; those past the limit open a mail with its subject only."""
    people = [replace(candidate(n), basis=None) for n in range(200)]
    made = groups(TOUCHING, 1, desk(*people))
    story = SalesStory(told(TOUCHING, "plain", 1, "en"), made)
    (same,) = within_size([story])
    rows = same.groups[0].rows
    assert len(rows) == 200
    whole = [row for row in rows if "&body=" in row.mailto]
    assert 40 < len(whole) < 200
    assert sum(len(row.mailto) for row in whole) <= MOST_READY
    assert (
        rows[199].mailto
        == "mailto:person199@northline.example?subject=Quay%201%20opens%20an%20hour%20earlier"
    )


@given(st.lists(st.sampled_from(["in", "left", "paused", "held", "none"]), max_size=12))
def test_the_sums_add_up(fates):
    change = {
        "in": {}, "left": {"suppression": Suppression(EVERYWHERE, "left", AT)},
        "paused": {"paused_until": date(2028, 1, 1)}, "held": {"hold": "x"},
        "none": {"basis": None},
    }  # fmt: skip
    people = [
        replace(candidate(n, ("northline", "blue-strait")[n % 2]), **change[fate])
        for n, fate in enumerate(fates)
    ]
    total = sums(desk(*people))
    assert total.contacts == len(fates) == total.got_letter + sum(n for _, n in total.left_out)
    assert total.got_letter == fates.count("in")
