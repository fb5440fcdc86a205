"""Who holds a lease, and when its holder surely is no more."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pipeline.owners import is_dead, this_process

#: No process has this number: Linux gives none above 4,194,304.
NOBODY = 4_194_305


def test_a_process_that_lives_is_not_dead() -> None:
    assert not is_dead(this_process())


def test_two_holders_in_one_process_have_two_names() -> None:
    assert this_process() != this_process()


def test_a_process_that_ended_is_dead() -> None:
    code = "from pipeline.owners import this_process; print(this_process())"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert is_dead(ran.stdout.strip())


@pytest.mark.parametrize("rest", ["", "|x", f"|{'9' * 40}|beef", "|-1|beef"])
def test_what_is_no_process_of_ours_is_never_called_dead(rest: str) -> None:
    here = this_process().partition("|")[0]
    assert not is_dead(here + rest)


def test_a_holder_on_another_machine_is_never_called_dead() -> None:
    assert not is_dead("another-machine pid:[1]|4194304|beef")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux numbers its starts")
def test_a_holder_on_a_machine_of_the_same_name_is_never_called_dead() -> None:
    """Two made from one image: their names are the same, and so is their view of processes."""
    name, start, view = this_process().partition("|")[0].rsplit(" ", 2)
    assert view.startswith("pid:")
    assert len(start) == 13
    assert is_dead(f"{name} {start} {view}|{NOBODY}|beef")
    assert not is_dead(f"{name} {'0' * 8}-{'1' * 4} {view}|{NOBODY}|beef")


def test_a_name_fits_its_column() -> None:
    assert len(this_process()) <= 100
    assert str(os.getpid()) in this_process()
