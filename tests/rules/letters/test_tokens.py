"""Tokens: one spelling, one purpose, nothing to guess."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.rules.letters.tokens import HmacTokens
from pipeline.stores.schema import new_public_id
from tests.builders import SECRET

TOKENS = HmacTokens(SECRET)
ids = st.binary(min_size=16, max_size=16).map(
    lambda raw: TOKENS.derive(raw.hex())  # any 128 bits, written as a public id
)


@given(ids, st.text(max_size=20))
def test_what_was_made_is_read_again(public_id: str, purpose: str) -> None:
    token = TOKENS.make(purpose, public_id)
    assert len(token) == 43
    assert token.replace("-", "").replace("_", "").isalnum()
    assert TOKENS.read(purpose, token) == public_id


@given(ids, st.integers(0, 42), st.sampled_from("ABCXYZabcxyz0189-_"))
def test_no_other_character_anywhere(public_id: str, place: int, character: str) -> None:
    token = TOKENS.make("leave", public_id)
    assume(token[place] != character)
    assert TOKENS.read("leave", token[:place] + character + token[place + 1 :]) is None


@given(ids, st.integers(0, 255))
def test_no_bit_may_differ(public_id: str, bit: int) -> None:
    raw = bytearray(urlsafe_b64decode(TOKENS.make("leave", public_id) + "="))
    raw[bit // 8] ^= 1 << bit % 8
    forged = urlsafe_b64encode(bytes(raw)).decode().rstrip("=")
    assert TOKENS.read("leave", forged) is None


@given(st.text(max_size=60))
def test_strange_text_is_not_ours(text: str) -> None:
    assert TOKENS.read("leave", text) is None


def test_a_token_has_one_spelling() -> None:
    token = TOKENS.make("leave", new_public_id())
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = token[:-1] + last[last.index(token[-1]) ^ 1]  # differs in bits that base64 ignores
    for other in (twin, token + "=", f" {token}", f"{token}\n", token.swapcase(), f"{token}A"):
        assert TOKENS.read("leave", other) is None, other


def test_bound_to_purpose_and_secret() -> None:
    public_id = new_public_id()
    token = TOKENS.make("leave", public_id)
    assert TOKENS.read("preferences", token) is None
    assert HmacTokens(b"another secret of at least thirty-two bytes").read("leave", token) is None


@pytest.mark.parametrize("wrong", ["", "short", "A" * 26, "1" * 26, "a" * 27, "é" * 26, "z" * 26])
def test_only_for_public_ids(wrong: str) -> None:
    with pytest.raises(ValueError, match="public id"):
        TOKENS.make("leave", wrong)


def test_derived_ids_stand_and_keep_their_parts_apart() -> None:
    derived = TOKENS.derive("issue", "letter", "contact 7")
    assert derived == TOKENS.derive("issue", "letter", "contact 7")
    assert len(derived) == len(new_public_id()) == 26
    assert TOKENS.derive("ab", "c") != TOKENS.derive("a", "bc")
    assert TOKENS.derive("ab") != TOKENS.derive("ab", "")
    assert HmacTokens(b"x" * 32).derive("ab") != HmacTokens(b"y" * 32).derive("ab")
