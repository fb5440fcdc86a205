"""What one row of an import does to a contact."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.rules.people.intake import Intake, Known, decide_row
from tests.people_scene import ASKED, MET, row

ROW = row(
    2,
    "ingrid@northline.example",
    first_name="Ingrid",
    role="Head of berths",
    basis=ASKED,
    external=(("hubspot", "51"),),
)
KNOWN = Known(
    contact_id=7,
    values={
        "account_key": "northline", "first_name": "Ingrid", "last_name": "Aas",
        "role": "Head of berths", "language": "en", "zone": "",
    },
    bases=frozenset({ASKED}),
    external=frozenset({("hubspot", "51")}),
)  # fmt: skip


def decide(
    known: Known | None = KNOWN,
    *,
    out: bool = False,
    blocked: bool = False,
    erased: bool = False,
    **changes,
):
    return decide_row(
        replace(ROW, **changes), known, is_out=out, is_blocked=blocked, is_erased=erased
    )


def test_somebody_new() -> None:
    intake = decide(None)
    assert (intake.outcome, intake.add, intake.basis) == ("new", True, ASKED)
    assert intake.external == (("hubspot", "51"),)


def test_somebody_known_and_unchanged() -> None:
    assert decide() == Intake(ROW, "same", 7)


def test_an_empty_cell_wipes_nothing_out() -> None:
    assert decide(first_name="", role="").outcome == "same"


@pytest.mark.parametrize(
    ("changes", "values"),
    [
        ({"role": "Harbour master"}, {"role": "Harbour master"}),
        ({"account_key": "blue-strait"}, {"account_key": "blue-strait"}),
        ({"zone": "Europe/Oslo"}, {"zone": "Europe/Oslo"}),
    ],
)
def test_what_a_file_says_otherwise_changes(
    changes: dict[str, str], values: dict[str, str]
) -> None:
    intake = decide(**changes)
    assert (intake.outcome, intake.values) == ("changed", values)


def test_new_evidence_is_added() -> None:
    intake = decide(basis=MET)
    assert (intake.outcome, intake.basis) == ("changed", MET)


def test_the_case_of_an_address_is_no_change() -> None:
    assert decide(address="INGRID@northline.example").outcome == "same"


def test_a_new_address_is_followed_by_the_id() -> None:
    intake = decide(replace(KNOWN, moved=True), address="ingrid.aas@northline.example")
    assert intake.values == {"address": "ingrid.aas@northline.example"}
    assert intake.outcome == "changed"


def test_without_basis() -> None:
    assert decide(None, basis=None).without_basis
    assert decide(replace(KNOWN, bases=frozenset()), basis=None).without_basis
    assert not decide(basis=None).without_basis


def test_who_left_stays_out_and_is_kept_up_to_date() -> None:
    intake = decide(out=True, role="Harbour master")
    assert intake.outcome == "left"
    assert intake.values == {"role": "Harbour master"}
    assert not intake.block


def test_who_is_out_in_the_file_is_blocked_once() -> None:
    assert decide(opted_out=True).block
    assert decide(opted_out=True).outcome == "left"
    assert not decide(opted_out=True, out=True, blocked=True).block
    # left before, by their own hand: the file's word is put on record beside it
    assert decide(opted_out=True, out=True).block
    assert not decide(opted_out=True, basis=None, out=True).without_basis


def test_who_is_out_and_at_no_account_is_only_blocked() -> None:
    intake = decide(None, opted_out=True, account_key="")
    assert (intake.outcome, intake.add, intake.block) == ("left", False, True)


def test_of_the_erased_nothing_is_taken_in() -> None:
    for known in (None, KNOWN, replace(KNOWN, moved=True)):
        assert decide(known, out=True, erased=True, opted_out=True, basis=MET) == Intake(
            replace(ROW, opted_out=True, basis=MET), "left"
        )
