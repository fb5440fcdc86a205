"""A sender's DNS records, from answers given: what is good, doubtful or bad, and how to mend it."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rules.dns import MOST_LOOKUPS, judge, needed

FIRM = "quaytide.example"
#: 294 bytes are what an RSA key of 2048 bits takes, 162 one of 1024, 126 one of 768.
KEYS = {
    bits: base64.b64encode(bytes(size)).decode()
    for bits, size in ((2048, 294), (1024, 162), (768, 126))
}
GOOD = {
    FIRM: ["v=spf1 include:relay.example ~all", "some other text"],
    "relay.example": ["v=spf1 ip4:192.0.2.0/24 -all"],
    f"k1._domainkey.{FIRM}": [f"v=DKIM1; k=rsa; p={KEYS[2048]}"],
    f"_dmarc.{FIRM}": ["v=DMARC1; p=quarantine"],
}


def verdicts(answers: dict[str, list[str]], transport: str = "smtp") -> list[tuple[str, str]]:
    return [(check.verdict, check.what) for check in judge(FIRM, ["k1"], answers, transport)]


def changed(name: str, *records: str) -> dict[str, list[str]]:
    return GOOD | {name: list(records)}


def test_good_records_are_good_and_need_no_mending() -> None:
    checks = judge(FIRM, ["k1"], GOOD, "smtp")
    assert [check.verdict for check in checks] == ["good", "good", "good"]
    assert not any(check.mend for check in checks)
    assert "2048 bits" in checks[1].what


def test_names_are_asked_until_nothing_leads_further() -> None:
    answers: dict[str, list[str]] = {}
    rounds = []
    while asked := needed(FIRM, ["k1"], answers):
        rounds.append(set(asked))
        answers |= {name: GOOD.get(name, []) for name in asked}
    assert rounds == [
        {FIRM, f"_dmarc.{FIRM}", f"k1._domainkey.{FIRM}"}, {"relay.example"},
    ]  # fmt: skip


def test_records_that_lead_in_a_circle_end() -> None:
    answers = {
        FIRM: ["v=spf1 include:one.example ~all"],
        "one.example": ["v=spf1 include:two.example ~all"],
        "two.example": [f"v=spf1 include:one.example include:{FIRM} ~all"],
    }
    assert "one.example" not in needed(FIRM, [], answers)
    assert judge(FIRM, [], answers, "smtp")[0].verdict == "good"


@pytest.mark.parametrize(
    ("records", "verdict", "words"),
    [
        ([], "bad", "has no SPF record"),
        (["v=spf10 -all"], "bad", "has no SPF record"),
        (["v=spf1 -all", "v=spf1 ~all"], "bad", "has 2 SPF records"),
        (["v=spf1 +all"], "bad", "everybody may send"),
        (["v=spf1 all"], "bad", "everybody may send"),
        (["v=spf1 a mx ?all"], "doubtful", "refuses nobody"),
        (["v=spf1 a mx"], "doubtful", "refuses nobody"),
        (["V=SPF1 A -ALL"], "good", "1 of 10 lookups"),
        (["v=spf1 " + "a:x.example " * 11 + "-all"], "bad", "needs 11 lookups"),
    ],
)
def test_spf(records: list[str], verdict: str, words: str) -> None:
    found = verdicts(changed(FIRM, *records))[0]
    assert found[0] == verdict
    assert words in found[1]


@pytest.mark.parametrize(
    ("leads_to", "verdict", "words"),
    [
        ("v=spf1 ip4:192.0.2.0/24 -all", "good", "1 of 10 lookups"),
        ("v=spf1 +all", "bad", "everybody may send"),
        (f"v=spf1 redirect={FIRM}", "doubtful", "refuses nobody"),
        ("no record of this kind", "doubtful", "refuses nobody"),
    ],
)
def test_spf_that_hands_over_ends_as_the_other_record(
    leads_to: str, verdict: str, words: str
) -> None:
    answers = changed(FIRM, "v=spf1 redirect=relay.example") | {"relay.example": [leads_to]}
    found = verdicts(answers)[0]
    assert found[0] == verdict
    assert words in found[1]


def test_sendgrid_that_is_set_up_needs_no_spf_of_ours() -> None:
    """Its CNAMEs make it send under a name of its own, whose records it keeps itself."""
    for records in (
        [],
        ["v=spf1 include:relay.example ~all"],
        ["v=spf1 include:sendgrid.net ~all"],
    ):
        assert verdicts(changed(FIRM, *records), "sendgrid")[0][0] == "good"
    check = judge(FIRM, ["k1"], changed(FIRM), "sendgrid")[0]
    assert "needs no SPF record for SendGrid" in check.what
    assert check.mend == ""
    assert verdicts(changed(FIRM, "v=spf1 +all"), "sendgrid")[0][0] == "bad"


def test_sendgrid_without_its_keys_is_not_set_up() -> None:
    unsigned = changed(f"k1._domainkey.{FIRM}")
    for records in (
        [],
        ["v=spf1 include:relay.example ~all"],
        ["v=spf1 include:notsendgrid.net -all"],
    ):
        check = judge(FIRM, ["k1"], unsigned | {FIRM: records}, "sendgrid")[0]
        assert check.verdict == "doubtful"
        assert "CNAME" in check.mend
    named = unsigned | {FIRM: ["v=spf1 include:sendgrid.net ~all"]}
    assert verdicts(named, "sendgrid")[0][0] == "good"
    assert verdicts(unsigned, "sendgrid")[1][0] == "bad"


@pytest.mark.parametrize(
    ("record", "verdict", "words"),
    [
        ("", "bad", "There is no DKIM key"),
        ("v=DKIM1; p=", "bad", "is revoked"),
        ("v=DKIM1; p=no*base64", "bad", "damaged"),
        (f"v=DKIM1; p={KEYS[768]}", "bad", "shorter than 1024"),
        (f"p={KEYS[1024]}", "doubtful", "1024 bits"),
        (f"v=DKIM1; k=rsa; p={KEYS[2048][:60]} {KEYS[2048][60:]}", "good", "2048 bits"),
        (
            "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
            "doubtful",
            "Ed25519",
        ),
    ],
)
def test_dkim(record: str, verdict: str, words: str) -> None:
    found = verdicts(changed(f"k1._domainkey.{FIRM}", *([record] if record else [])))[1]
    assert found[0] == verdict
    assert words in found[1]


def test_without_a_selector_dkim_is_unknown_and_says_which_setting() -> None:
    check = judge(FIRM, [], GOOD, "smtp")[1]
    assert check.verdict == "unknown"
    assert "ASTERISM_DKIM_SELECTOR" in check.mend


@pytest.mark.parametrize(
    ("records", "verdict", "words"),
    [
        ([], "bad", "has no DMARC record"),
        (["v=DMARC1; p=none; rua=mailto:d@quaytide.example"], "doubtful", "p=none"),
        (["v=DMARC1; p=reject"], "good", "p=reject"),
        (["v=DMARC1; p=rejct"], "bad", "no policy"),
        (["v=DMARC1; p=none", "v=DMARC1; p=reject"], "bad", "2 records"),
    ],
)
def test_dmarc(records: list[str], verdict: str, words: str) -> None:
    found = verdicts(changed(f"_dmarc.{FIRM}", *records))[2]
    assert found[0] == verdict
    assert words in found[1]


def test_a_house_below_the_firm_follows_the_firm() -> None:
    answers = {f"_dmarc.{FIRM}": ["v=DMARC1; p=reject; sp=none"]}
    (found,) = [c for c in judge(f"news.{FIRM}", [], answers, "smtp") if "DMARC" in c.what]
    assert found.verdict == "doubtful"


@given(st.lists(st.text(max_size=80), max_size=4), st.lists(st.text(max_size=80), max_size=4))
def test_whatever_strangers_publish_is_judged(spf: list[str], other: list[str]) -> None:
    answers = {
        FIRM: [f"v=spf1 {text}" for text in spf],
        f"_dmarc.{FIRM}": [f"v=DMARC1;{text}" for text in other],
        f"k1._domainkey.{FIRM}": [f"p={text}" for text in other],
    }
    assert len(needed(FIRM, ["k1"], answers)) <= 4 * MOST_LOOKUPS * 80
    assert len(judge(FIRM, ["k1"], answers, "smtp")) == 3
