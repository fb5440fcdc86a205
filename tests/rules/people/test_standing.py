"""How a contact stands, in the order in which an audience asks."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from pipeline.model.people import EVERYWHERE, Stand, Standing, StandingFacts, Suppression
from pipeline.rules.letters.audience import ORDER
from pipeline.rules.people.standing import current, in_words, logged_in_words, stand
from tests.builders import NOW, contact

TODAY = date(2027, 3, 8)
INGRID = StandingFacts(contact(1), True, (), Standing())
LEFT = Suppression(EVERYWHERE, "left", NOW)
LEFT_ONE = Suppression("ferry-weekly", "left", NOW)
PAUSED = Standing(paused_until=date(2027, 4, 1))
HELD = Standing(hold="in talks", held_by="tom")


@pytest.mark.parametrize(
    ("facts", "expected", "words"),
    [
        (INGRID, Stand("in"), "in"),
        (replace(INGRID, contact=contact(1, retired_at=NOW)),
         Stand("retired", "no longer at the account"), "retired: no longer at the account"),
        (replace(INGRID, contact=contact(1, address="", erased_at=NOW, retired_at=NOW)),
         Stand("erased", "on 2027-03-08"), "erased on 2027-03-08"),
        (replace(INGRID, contact=contact(1, address="")),
         Stand("invalid_address", "there is no address"), "invalid address: there is no address"),
        (replace(INGRID, contact=contact(1, invalid="no such domain")),
         Stand("invalid_address", "no such domain"), "invalid address: no such domain"),
        (replace(INGRID, has_basis=False), Stand("no_basis"), "no basis"),
        (replace(INGRID, suppressions=(LEFT_ONE, LEFT)),
         Stand("suppressed", "left on 2027-03-08"), "suppressed: left on 2027-03-08"),
        (replace(INGRID, standing=PAUSED), Stand("paused", "until 2027-04-01"),
         "paused until 2027-04-01"),
        (replace(INGRID, standing=HELD), Stand("held", "by tom: in talks"),
         "held by tom: in talks"),
        (replace(INGRID, suppressions=(LEFT_ONE,)),
         Stand("in", "without ferry-weekly: left on 2027-03-08"),
         "in: without ferry-weekly: left on 2027-03-08"),
        (replace(INGRID, standing=Standing(subscriptions=(("a", False), ("b", True)))),
         Stand("in", "without a: chose not to get it"), "in: without a: chose not to get it"),
    ],
)  # fmt: skip
def test_one_word_and_why(facts: StandingFacts, expected: Stand, words: str) -> None:
    assert stand(facts, TODAY) == expected
    assert in_words(expected) == words


def test_the_first_reason_is_the_one_that_an_audience_would_give() -> None:
    facts = StandingFacts(
        contact(1, retired_at=NOW, invalid="no such domain"), False, (LEFT,),
        replace(PAUSED, hold="in talks", held_by="tom"),
    )  # fmt: skip
    found = [stand(facts, TODAY).word]
    for more in (
        {"contact": contact(1, invalid="no such domain")},
        {"contact": contact(1)},
        {"has_basis": True},
        {"suppressions": ()},
        {"standing": HELD},
    ):
        facts = replace(facts, **more)  # type: ignore[arg-type]
        found.append(stand(facts, TODAY).word)
    assert found == [reason for reason in ORDER if reason in found]
    assert len(set(found)) == 6


def test_a_pause_is_over_on_its_day() -> None:
    assert current(PAUSED, date(2027, 3, 31)) == PAUSED
    assert current(PAUSED, date(2027, 4, 1)) == Standing()
    assert stand(replace(INGRID, standing=PAUSED), date(2027, 4, 1)) == Stand("in")


def test_what_the_log_keeps_is_said_on_one_line() -> None:
    whole = {"paused_until": "2027-04-01", "hold": "in talks", "held_by": "tom",
             "suppressed": ["* left"]}  # fmt: skip
    assert logged_in_words(whole) == "paused until 2027-04-01; held by tom: in talks; suppressed"
    assert logged_in_words({"paused_until": None}) == "neither paused nor held"
