"""One spelling per address, and a reason for what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import BadInput
from pipeline.rules.people.address import normalise


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("Ingrid.Aas@NorthLine.example", "ingrid.aas@northline.example"),
        ("a+berths@x.example", "a+berths@x.example"),  # plus and dots tell people apart
        ("o'neil_1/2@x.example", "o'neil_1/2@x.example"),
        ("post@münchen.example", "post@xn--mnchen-3ya.example"),
        ("post@xn--mnchen-3ya.example", "post@xn--mnchen-3ya.example"),
        ("post@MU\u0308NCHEN.example", "post@xn--mnchen-3ya.example"),  # two ways to write ü
        ("jose\u0301@x.example", "jos\u00e9@x.example"),
        ("straße@straße.example", "straße@xn--strae-oqa.example"),
    ],
)
def test_the_same_person_is_spelled_the_same(written: str, compared: str) -> None:
    assert normalise(written) == compared


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", "no @"),
        ("ingrid", "no @"),
        ("@x.example", "before the @"),
        (".a@x.example", "before the @"),
        ("a..b@x.example", "before the @"),
        ("a@@x.example", "before the @"),
        ("<a@x.example>", "before the @"),
        ('"a"@x.example', "before the @"),
        ("a,b@x.example", "before the @"),
        ("a@localhost", "full domain"),
        ("a@x.example.", "full domain"),
        ("a@10.0.0.1", "full domain"),
        ("a@[10.0.0.1]", "no domain name"),
        ("a@x_y.example", "no domain name"),
        ("a@-x.example", "no domain name"),
        ("a@x..example", "no domain name"),
        ("a@" + "x" * 64 + ".example", "no domain name"),
        ("a b@x.example", "unseen"),
        (" a@x.example", "unseen"),
        ("a@x.example\n", "unseen"),
        ("a@x.example\r\nBcc: all@x.example", "unseen"),
        ("a\x00@x.example", "unseen"),
        ("a\u200b@x.example", "unseen"),
        ("a\u2028@x.example", "unseen"),
        ("a\ue000@x.example", "unseen"),
        ("a" * 65 + "@x.example", "too long"),
        ("ä" * 33 + "@x.example", "too long"),
        ("a" * 60 + "@" + "xyz." * 48 + "example", "too long"),
    ],
)
def test_what_is_no_address_has_its_reason(raw: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason) as caught:
        normalise(raw)
    assert not raw or raw not in str(caught.value)


@given(st.one_of(st.emails(), st.text(), st.builds("{}@{}.example".format, st.text(), st.text())))
def test_normalising_again_changes_nothing_and_lets_nothing_through(raw: str) -> None:
    try:
        once = normalise(raw)
    except BadInput:
        return
    assert normalise(once) == once
    assert once.count("@") == 1
    assert once.isprintable()
    assert not set(once) & set(' \t\r\n\0<>,;:"')
    assert once.rpartition("@")[2].isascii()
    assert len(once.encode()) <= 254


@given(st.from_regex(r"[a-z0-9]{1,31}([.+-][a-z0-9]{1,32})?@[a-z]{2,9}\.example", fullmatch=True))
def test_case_never_tells_two_people_apart(address: str) -> None:
    assert normalise(address.upper()) == normalise(address.title()) == normalise(address) == address
