"""Traces of one person: found in every form, and nobody else's name with them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rules.people.traces import ERASED, NOWHERE, plain_facts, traces_of

ANN = traces_of(["Ann@x.example"], [("Ann", "O'Brien")])


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("Write to ann@X.example.", f"Write to {ERASED}."),
        ("<ann@x.example>", f"<{ERASED}>"),
        ("joann@x.example, mary.ann@x.example", "joann@x.example, mary.ann@x.example"),
        ("ann@x.example.org", f"{ERASED}.org"),  # rather too much than too little
        ("ANN O'BRIEN called", f"{ERASED} called"),
        ("Ann O&#x27;Brien", ERASED),
        ("O'Brien, Ann", ERASED),
        ("Ann O'Briens", "Ann O'Briens"),
        ("Ann said", "Ann said"),
        ("mailto:ann@x.example?subject=A&body=Hello%20Ann", NOWHERE),
        ("mailto:ann%40x.example", NOWHERE),
        ('{"email": "ann@x.example"}', f'{{"email": "{ERASED}"}}'),
    ],
)
def test_what_is_taken_out(said: str, left: str) -> None:
    assert ANN.taken_out(said) == left
    assert ANN.stand_in(said) == (said != left)
    assert ANN.taken_out(said.encode()) == left.encode()
    assert ANN.taken_out({"a": [said, 1, None]}) == {"a": [left, 1, None]}


def test_names_beyond_ascii_are_found_as_json_writes_them() -> None:
    oyvind = traces_of([], [("Øyvind", "Dæhli")])
    assert oyvind.taken_out(rb'"\u00d8yvind D\u00e6hli"') == f'"{ERASED}"'.encode()
    assert oyvind.taken_out("%C3%98yvind%20D%C3%A6hli") == ERASED
    lowered = {"øyvind dæhli", "Øyvind dæhli", "\\u00d8yvind d\\u00e6hli"}
    assert lowered <= set(oyvind.needles())


def test_bytes_that_are_no_text_stay_as_they_are() -> None:
    assert ANN.taken_out(b"\xff\x00 ann@x.example") == b"\xff\x00 [erased]"


def test_one_name_alone_is_looked_for_only_where_it_is_theirs() -> None:
    may = traces_of(["may@x.example"], [("May", "")])
    assert may.taken_out("May is here") == f"{ERASED} is here"
    assert may.full.taken_out("In May") == "In May"
    assert may.full.taken_out("may@x.example") == ERASED


def test_a_sales_letter_loses_the_whole_line() -> None:
    letter = (
        b'<th>Ann O&#x27;Brien, Head of Ann&#x27;s</th><td><a style="x" '
        b'href="mailto:ann@x.example?body=Hello%20Ann">Write to Ann</a></td><td><a href="#b">B</a>'
    )
    left = f'<th>{ERASED}</th><td></td><td><a href="#b">B</a>'.encode()
    assert ANN.off_the_list(letter, "Head of Ann's") == left


def test_nobody_leaves_no_trace() -> None:
    nobody = traces_of(["", ""], [("", "")])
    assert (nobody.needles(), nobody.taken_out("anything at all")) == ((), "anything at all")


@given(st.text())
def test_what_is_left_holds_nothing_more(said: str) -> None:
    left = ANN.taken_out(f"{said} ann@x.example {said} Ann O'Brien {said}")
    assert not ANN.stand_in(left)


def test_of_a_logged_step_no_written_word_stays() -> None:
    logged = {
        "paused_until": "2027-04-01", "hold": "Ann is away", "held_by": "tom", "minutes": 9,
        "note": "Ann!", "suppressed": ["* asked"], "revision": 4,
    }  # fmt: skip
    assert plain_facts(logged) == {**logged, "hold": "", "note": ""}
