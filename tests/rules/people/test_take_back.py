"""What the undoing of an import does to one contact."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.people import ImportChange
from pipeline.rules.people.take_back import decide_take_back

CHANGED = ImportChange(
    contact_id=7,
    public_id="p",
    name="Ada",
    new=False,
    before={"role": "Mate", "first_name": "Ada"},
    after={"role": "Purser", "first_name": "Adeline"},
    now={"role": "Purser", "first_name": "Adeline", "zone": ""},
)


def test_what_nobody_changed_since_goes_back() -> None:
    done = decide_take_back(CHANGED)
    assert (done.outcome, done.values, done.why) == ("changed_back", CHANGED.before, "")


def test_what_somebody_changed_since_stays_with_the_reason() -> None:
    done = decide_take_back(replace(CHANGED, now={**CHANGED.now, "first_name": "Adele"}))
    assert (done.values, done.why) == ({"role": "Mate"}, "first name was changed since")
    both = replace(CHANGED, now={"role": "Owner", "first_name": "Adele"})
    assert decide_take_back(both).outcome == "kept"
    assert decide_take_back(replace(both, basis=3)).outcome == "changed_back"


def test_a_new_contact_goes_unless_something_happened() -> None:
    new = replace(CHANGED, new=True, before={})
    assert decide_take_back(new).outcome == "removed"
    used = decide_take_back(replace(new, since=("a hold",)))
    assert (used.outcome, used.why) == ("retired", "retired, not removed: a hold")


def test_whom_it_brought_back_is_retired_again() -> None:
    done = decide_take_back(replace(CHANGED, returned=True))
    assert (done.outcome, done.values) == ("retired", CHANGED.before)
    assert done.why == "retired again: they were so before it"
    changed = decide_take_back(
        replace(CHANGED, returned=True, now={**CHANGED.now, "role": "Owner"})
    )
    assert changed.values == {"first_name": "Ada"}
    assert changed.why == "retired again: they were so before it; role was changed since"


def test_the_erased_are_left_alone() -> None:
    for new in (True, False):
        done = decide_take_back(replace(CHANGED, new=new, erased=True, basis=3))
        assert (done.outcome, done.values) == ("kept", {})


FIELDS = st.dictionaries(st.sampled_from(["role", "zone", "address"]), st.sampled_from("ab"))


@given(FIELDS, FIELDS, FIELDS, st.booleans())
def test_nothing_goes_back_that_the_import_did_not_write(
    before: dict[str, str], after: dict[str, str], now: dict[str, str], taken: bool
) -> None:
    after |= {name: "c" for name in before if name not in after}
    change = replace(CHANGED, before=before, after=after, now=now, address_taken=taken)
    done = decide_take_back(change)
    assert set(done.values) <= set(before)
    for name in before:
        untouched = now.get(name) == after[name]
        assert (name in done.values) == (untouched and not (name == "address" and taken))
    assert bool(done.why) == (set(done.values) != set(before))
