"""The log: one line for each thing, for people or machines, and nothing secret in it."""

from __future__ import annotations

import io
import json
import logging
import warnings
from typing import Any

import pytest

from pipeline.journal import journal
from pipeline.settings import Log

WEB = logging.getLogger("asterism.web")
SECRETS = ("anna", "hunter2", "ya29", "abcDEF")


def logged(kind: Log, level: int = logging.INFO, what: str = "a word", **fields: Any) -> str:
    stream = io.StringIO()
    with journal(kind, stream):
        WEB.log(level, what, extra={"fields": fields})
    return stream.getvalue()


def failed(kind: Log) -> str:
    """A failure whose words hold what nobody may read, with one before it."""
    stream = io.StringIO()
    with journal(kind, stream):
        try:
            try:
                raise ValueError("no anna.berg@firm.example at postgresql://me:hunter2@host/db")
            except ValueError as error:
                raise RuntimeError("Authorization: Bearer ya29.x, SG.abcDEF.x") from error
        except RuntimeError:
            WEB.exception("a page failed for anna@firm.example")
    return stream.getvalue()


def test_text_is_one_line_with_its_fields() -> None:
    line = logged("text", what="deliver: 4 copies", job="deliver", seconds=0.8, detail="a b")
    assert line.endswith('Z info deliver: 4 copies (job=deliver seconds=0.8 detail="a b")\n')


def test_json_is_one_object_with_its_fields() -> None:
    said = json.loads(logged("json", logging.WARNING, "no", job="gather", seconds=1.5, code=None))
    assert said.pop("at").endswith("Z")
    assert said == {
        "level": "warning", "logger": "asterism.web", "what": "no", "job": "gather",
        "seconds": 1.5, "code": None,
    }  # fmt: skip


def test_a_field_cannot_pass_for_a_part_of_the_record() -> None:
    assert json.loads(logged("json", level_=1, at="never"))["at"] != "never"


@pytest.mark.parametrize("kind", ["text", "json"])
def test_a_traceback_is_masked_like_all_else(kind: Log) -> None:
    said = failed(kind)
    assert "RuntimeError" in said
    assert "ValueError" in said
    # its source lines are ours, and hold the same words
    assert not [word for word in SECRETS if word in said]
    assert "a…@firm.example" in said


@pytest.mark.parametrize("kind", ["text", "json"])
def test_fields_are_masked(kind: Log) -> None:
    said = logged(kind, to="anna@firm.example", url="/leave/hunter2", key="SG.abcDEF.x")
    assert not [word for word in SECRETS if word in said]


@pytest.mark.parametrize("kind", ["text", "json"])
def test_what_strangers_sent_makes_no_line_of_its_own(kind: Log) -> None:
    said = logged(kind, what="no\r\n2027 info all is well\x1b[2J\u2028x", detail="a\nb")
    assert said.count("\n") == 1
    assert "\x1b" not in said


def test_json_holds_no_sign_that_a_reader_takes_for_an_end_or_a_command() -> None:
    signs = "a\x7f\x85\x9b31m\u2028b\u2029ø"
    line = logged("json", what=signs, detail=signs)
    assert not [sign for sign in signs[:-1] if not sign.isprintable() and sign in line]
    assert json.loads(line)["what"] == json.loads(line)["detail"] == signs
    assert "ø" in line


def test_what_others_log_is_told_from_warnings_on() -> None:
    stream = io.StringIO()
    with journal("text", stream):
        logging.getLogger("apscheduler").info("chatter")
        logging.getLogger("uvicorn.error").warning("Invalid HTTP request from anna@firm.example")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("an old way", UserWarning, stacklevel=1)
    said = stream.getvalue()
    assert "chatter" not in said
    assert "warning Invalid HTTP request from a…@firm.example" in said
    assert "an old way" in said


def test_afterwards_logging_is_as_it_was() -> None:
    root = logging.getLogger()
    before = (root.handlers[:], root.level, WEB.getEffectiveLevel())
    logged("text")
    assert (root.handlers, root.level, WEB.getEffectiveLevel()) == before
