"""The audience: one reason for everybody, in a fixed order, and sums that reconcile."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.catalog import Cap
from pipeline.model.people import EVERYWHERE, Suppression
from pipeline.rules.letters.audience import ORDER, Terms, arithmetic, decide
from tests.builders import CONSENT, FERRIES, WEEKLY, candidate, contact, snippet

AT = datetime(2027, 2, 1, tzinfo=UTC)
ON = date(2027, 3, 11)
LEFT = Suppression(EVERYWHERE, "left", AT)

TERMS = Terms(
    newsletter=WEEKLY,  # floor 2
    snippets=(snippet(1), snippet(2), snippet(3, section="noted")),
    relationships={account.key: account.relationship for account in FERRIES.accounts},
    cap=Cap(letters=8, days=30),
    on=ON,
)
RECAP = replace(TERMS, newsletter=replace(WEEKLY, recap_of="daily"))

#: One way for each reason to hold; what comes later in the order holds as well.
TROUBLES = {
    "retired": lambda c: replace(c, contact=replace(c.contact, retired_at=AT)),
    "invalid_address": lambda c: replace(c, contact=replace(c.contact, invalid="no such domain")),
    "no_basis": lambda c: replace(c, basis=None),
    "suppressed": lambda c: replace(c, suppression=LEFT),
    "not_subscribed": lambda c: replace(c, subscribed=False),
    "paused": lambda c: replace(c, paused_until=date(2027, 3, 12)),
    "held": lambda c: replace(c, hold="we meet on Friday"),
    "had_recap": lambda c: replace(c, had_recap_parts=2),
    "capped": lambda c: replace(c, recent_letters=8),
    "too_little_left": lambda c: replace(c, told_stories=frozenset({1})),
}


def test_who_has_no_trouble_is_in():
    verdict = decide(candidate(1), TERMS)
    assert verdict.into
    assert (verdict.reason, verdict.kind, verdict.language) == ("in", "prospect", "en")
    assert verdict.story_ids == (1, 2, 3)
    assert verdict.detail == ""


def test_the_edition_follows_the_account():
    assert decide(candidate(1, "skagen-ruter"), TERMS).kind == "customer"


def test_the_language_is_one_the_newsletter_is_written_in():
    danish = replace(candidate(1), contact=contact(1, language="da"))
    assert decide(danish, TERMS).language == "en"


def test_there_is_a_trouble_for_every_reason_in_the_documented_order():
    assert tuple(TROUBLES) == ORDER


@pytest.mark.parametrize("reason", ORDER)
def test_each_reason_alone_keeps_a_contact_out(reason):
    verdict = decide(TROUBLES[reason](candidate(1)), RECAP)
    assert not verdict.into
    assert verdict.reason == reason
    assert verdict.detail
    assert verdict.kind is None
    assert verdict.story_ids == ()


@pytest.mark.parametrize("reason", ORDER)
def test_the_first_reason_in_the_order_is_the_one(reason):
    """Everything from this reason on is wrong with the contact; this one is kept."""
    poor = candidate(1)
    for later in ORDER[ORDER.index(reason) :]:
        poor = TROUBLES[later](poor)
    assert decide(poor, RECAP).reason == reason


def test_an_account_that_left_the_file_retires_its_contacts():
    assert decide(candidate(1, "gone"), TERMS).reason == "retired"


def test_an_erased_contact_has_no_address():
    erased = replace(candidate(1), contact=contact(1, address=""))
    assert decide(erased, TERMS).reason == "invalid_address"


@pytest.mark.parametrize(
    ("until", "into"), [(None, True), (ON, True), (date(2027, 3, 10), True),
                        (date(2027, 3, 12), False)]
)  # fmt: skip
def test_a_pause_ends_on_its_day(until, into):
    assert decide(replace(candidate(1), paused_until=until), TERMS).into is into


def test_never_having_chosen_is_no_refusal():
    assert decide(replace(candidate(1), subscribed=None), TERMS).into


def test_recap_parts_count_only_for_a_recap():
    assert decide(replace(candidate(1), had_recap_parts=3), TERMS).into


def test_what_was_told_before_is_left_out_and_said():
    terms = replace(TERMS, snippets=(*TERMS.snippets, snippet(4)))
    verdict = decide(replace(candidate(1), told_stories=frozenset({2, 99})), terms)
    assert verdict.story_ids == (1, 4, 3)
    assert verdict.detail == "without story 2 (told before)"


def test_a_story_about_them_is_left_out_of_their_copies():
    terms = replace(TERMS, snippets=(*TERMS.snippets, snippet(4, about=("northline",))))
    assert decide(candidate(1), terms).story_ids == (1, 2, 3)
    assert "about them" in decide(candidate(1), terms).detail
    assert decide(candidate(2, "blue-strait"), terms).story_ids == (1, 2, 4, 3)


def test_headlines_do_not_lift_a_copy_over_the_floor():
    """One main story and a headline are too little where the floor is two stories."""
    assert decide(replace(candidate(1), told_stories=frozenset({2})), TERMS).reason == (
        "too_little_left"
    )


def test_with_headlines_as_fallback_a_thin_issue_goes_out():
    thin = replace(
        TERMS,
        newsletter=replace(WEEKLY, fallback="headlines"),
        snippets=(snippet(1), snippet(2, section="noted")),
    )
    assert decide(candidate(1), thin).into
    assert decide(replace(candidate(1), told_stories=frozenset({1})), thin).into
    assert decide(replace(candidate(1), told_stories=frozenset({1, 2})), thin).reason == (
        "too_little_left"
    )
    assert not decide(candidate(1), replace(thin, newsletter=WEEKLY)).into


CANDIDATES = st.builds(
    lambda number, account, troubles: (number, account, troubles),
    st.integers(1, 10_000),
    st.sampled_from(["northline", "skagen-ruter", "blue-strait", "gone"]),
    st.sets(st.sampled_from(ORDER)),
)


@given(st.lists(CANDIDATES, max_size=30, unique_by=lambda c: c[0]))
def test_totals_reconcile_whatever_is_wrong_with_whom(crowd):
    verdicts = []
    for number, account, troubles in crowd:
        person = candidate(number, account)
        for trouble in sorted(troubles):
            person = TROUBLES[trouble](person)
        verdicts.append(decide(person, RECAP))
    total = arithmetic(verdicts, sales=2)
    assert total.reconciles
    assert total.contacts == len(crowd)
    assert total.letters == sum(v.into for v in verdicts)
    assert all(v.reason in ORDER or v.into for v in verdicts)
    assert [n for _, n in total.left_out] == sorted((n for _, n in total.left_out), reverse=True)


@given(
    st.frozensets(st.integers(1, 5)),
    st.sampled_from(["northline", "skagen-ruter", "blue-strait"]),
    st.lists(
        st.tuples(st.sampled_from(["", "northline", "blue-strait"]), st.booleans()),
        min_size=5,
        max_size=5,
    ),
)
def test_a_copy_holds_nothing_told_before_and_never_too_little(told, account, stories):
    kept = tuple(
        snippet(number, learnt_from=learnt, about=("skagen-ruter",) if about else ())
        for number, (learnt, about) in enumerate(stories, start=1)
    )
    verdict = decide(
        replace(candidate(1, account), told_stories=told), replace(TERMS, snippets=kept)
    )
    assert not told & set(verdict.story_ids)
    assert not verdict.into or len(verdict.story_ids) >= WEEKLY.floor
    secret = {s.story_id for s in kept if s.learnt_from}
    assert not secret & set(verdict.story_ids)


def test_the_basis_is_what_lets_us_write():
    assert decide(replace(candidate(1), basis=CONSENT), TERMS).into
