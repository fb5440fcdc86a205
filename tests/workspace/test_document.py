"""YAML as people and strangers write it: understood, placed, or told what is wrong."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.workspace.document import MAX_BYTES, Mark, parse_yaml


def told(text: str | bytes) -> list[str]:
    document = parse_yaml("f.yaml", text.encode() if isinstance(text, str) else text)
    return [str(mistake) for mistake in document.mistakes]


def test_values_are_those_of_yaml_1_2_and_dates_stay_text() -> None:
    text = """\
a: no
b: 07:30
c: 2027-01-07
d: ~
e: [1, 0x1F, 0o17, 1_000, 007, 1.5, true]
18: V
"""
    document = parse_yaml("f.yaml", text.encode())
    assert document.data == {
        "a": "no", "b": "07:30", "c": "2027-01-07", "d": None,
        "e": [1, 31, 15, 1000, 7, 1.5, True], "18": "V",
    }  # fmt: skip


def test_everything_has_its_place() -> None:
    document = parse_yaml("f.yaml", b"# c\na:\n  - b: 1\n    c: {d: 2}\n")
    assert document.keys[("a", 0, "c")] == Mark(4, 5)
    assert document.values[("a", 0, "c", "d")] == Mark(4, 12)
    assert document.mark(("a",)) == Mark(2, 1), "a group below its key begins at the key"
    assert document.mark(("a", 0, "c", "nope")) == Mark(4, 8), "else at what is round it"
    assert document.mark(("nope",)) == Mark(2, 1)


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n", "\ufeff"])
def test_an_empty_file_holds_no_keys(text: str) -> None:
    document = parse_yaml("f.yaml", text.encode())
    assert document.data in ({}, None)
    assert not document.mistakes


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("a: b: c\n", "1:5: a colon too many here, none in the line before"),
        ("a:\n\t- b\n", "2:1: a tab stands here; indent with spaces"),
        ("a: 'x\nb: y\n", "1:4: this quotation mark is never closed"),
        ("a: [1, 2\nb: 3\n", "1:4: this bracket [ is never closed, or a comma is missing"),
        ("a: {b: 1\nc: 3\n", "1:4: this brace { is never closed, or a comma is missing"),
        ("a:\n  b: 1\n c: 2\n", "3:2: this line is indented differently"),
        ("a: 1\nword\n", "2:1: this line has no colon after its key"),
        ("a: *x\n", "1:4: this *name refers to nothing; put quotes round text that begins with *"),
        ("a: @x\n", "1:4: no value can begin with this character; put quotes round it"),
        ("a: 1\n---\nb: 2\n", "2:1: a second document begins here (---); one file holds one"),
        ('a: "\\q"\n', '1:6: in "double quotes" a backslash must be doubled'),
        ("a: b\0\n", "1:5: a character stands here that YAML does not allow (U+0000); delete it"),
        ("? [a]\n: b\n", "1:3: a key must be plain text"),
        ("a: 1\nb: 2\na: 3\n", '3:1: a: "a" stands twice (the first in line 1)'),
        ("a: !!python/object:os.system x\n", "1:4: a: the tag !python/object:os.system is not "
         "allowed here; write plain values"),
        ("a: !!int five\n", '1:4: a: "five" is not of the type !!int'),
        ("a: .inf\n", '1:4: a: ".inf" is not of the type !!float'),
        (b"a: b\nc: gr\xfc\xdfe\n", "2:6: this is not UTF-8 text; save the file as UTF-8"),
        (b"\xff\xfea\0", "1:1: this is not UTF-8 text"),
    ],
)  # fmt: skip
def test_broken_yaml_is_told_in_plain_words(text: str | bytes, mistake: str) -> None:
    (found,) = told(text)
    assert found.startswith(f"f.yaml:{mistake}")


def test_all_doubled_keys_are_told() -> None:
    assert len(told("a: 1\na: 2\nb: {c: 1, c: 2, c: 3}\n")) == 3


def test_a_bomb_of_aliases_is_put_out() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(c)}: &{chr(c)} [{', '.join([f'*{chr(c - 1)}'] * 8)}]\n" for c in range(98, 110)
    )
    assert told(bomb) == ["f.yaml:1:1: values are nested too deeply, or aliases (*name) multiply"]


@pytest.mark.parametrize(
    "text", ["a: &a [*a]\n", "[" * 100 + "]" * 100, "[\n" * 2_000, "{a: " * 2_000, "- " * 2_000]
)
def test_what_has_no_bottom_is_refused(text: str) -> None:
    assert told(text) == ["f.yaml:1:1: values are nested too deeply, or aliases (*name) multiply"]


def test_a_file_too_large_is_not_even_read() -> None:
    assert told(b"#" * (MAX_BYTES + 1)) == ["f.yaml:1:1: the file is larger than 2 MB"]


def test_a_lone_equals_sign_is_text() -> None:
    """YAML 1.1 makes it a type of its own, which nobody means."""
    document = parse_yaml("f.yaml", b"aliases: [=, Quay = Tide]\n")
    assert (document.data, document.mistakes) == ({"aliases": ["=", "Quay = Tide"]}, [])


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_do_more_than_be_told(raw: bytes) -> None:
    document = parse_yaml("f.yaml", raw)
    assert document.broken == bool(document.mistakes) or document.data is not None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet="abc äöü'\":#-", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab c", max_size=5), inner,
                                                                max_size=3),
    max_leaves=12,
)  # fmt: skip


@settings(deadline=None)
@given(json_values)
def test_json_is_read_as_it_was_meant(value: object) -> None:
    document = parse_yaml("f.yaml", json.dumps(value).encode())
    assert document.data == value
