"""Mail among ourselves: every kind renders, and a stranger's words stay words."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from email import message_from_bytes, policy
from html import unescape
from typing import get_args

import pytest

from pipeline.errors import BadInput
from pipeline.model.letters import Arithmetic, EmptyBeat, Finding, NoticeKind
from pipeline.rules.letters.merge import WIDTH
from pipeline.rules.letters.notice import (
    Gap,
    Matter,
    about,
    envelope_of,
    write_no_issue,
    write_notice,
)
from tests.builders import DUE, FERRIES, FIRM, ISSUE, NOW, WEEKLY, snippet
from tests.rules.letters.samples import TEMPLATES

LIV, TOM, EVA = FIRM.staff[0], FIRM.staff[1], FIRM.staff[2]
ROOT = FIRM.base_url
MATTER = Matter(
    issue=replace(ISSUE, reason="there is nothing new to tell", review_until=DUE),
    newsletter=WEEKLY,
    constellation=FERRIES,
    firm=FIRM,
    snippets=tuple(map(snippet, (1, 2, 3))),
    findings=(Finding("no_take", "story 2 “Quay 2”", "it has no take"),),
    sum=Arithmetic(41, 38, (("prospect", 38),), (("paused", 2), ("suppressed", 1))),
    preview_url=f"{ROOT}/preview/p",
    stop_url=f"{ROOT}/stop/s",
)


def made(kind="review", to=LIV, **changes):
    return write_notice(kind, to, replace(MATTER, **changes), TEMPLATES, NOW)


#: Of an issue; one kind tells of a beat that has none.
KINDS = [kind for kind in get_args(NoticeKind) if kind != "no_issue"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_the_same_in_html_and_text(kind):
    notice = made(kind)
    assert (notice.kind, notice.staff_key, notice.address) == (kind, "liv", LIV.address)
    assert notice.about == about(MATTER.issue)
    assert "Between Quays (no. 9)" in notice.subject
    for part in (notice.html, notice.text):
        assert "Internal, for Liv" in part
        assert "Between Quays (no. 9)" in part
        assert FIRM.postal_address.split(",")[0] in unescape(part).replace("\u00a0", " ")
    for line in notice.text.splitlines():
        assert len(line) <= WIDTH or " " not in line.strip(), line
    assert not re.search(r"\{\{|\{%|<style>\s*/\*", notice.html)
    assert "\n\n\n\n" not in notice.text
    assert notice.html == made(kind).html


def test_the_sum_is_told_in_words():
    text = made().text.replace("\n", " ")
    assert "It goes to 38 of 41 contacts; 3 are left out (2 paused, 1 suppressed)." in text
    alone = Arithmetic(1, 1, (("prospect", 1),), ())
    assert "It goes to 1 of 1 contact." in made(sum=alone).text.replace("\n", " ")


def test_who_is_left_out_reads_as_words_after_a_number():
    told = Arithmetic(24, 1, (("prospect", 1),), (("had_recap", 21), ("no_basis", 2)))
    text = made(sum=told).text.replace("\n", " ")
    assert "(21 who have had its stories, 2 without a basis)" in text


def test_what_many_stories_lack_is_said_once():
    lacks = [Finding("no_take", f"story {n} “Quay {n}”", "it has no take") for n in (1, 2)]
    theme = Finding("no_theme", "theme", "the issue has no theme")
    text = made("write", findings=(theme, *lacks)).text
    assert "- Theme: the issue has no theme" in text
    assert "- Story 1 “Quay 1”: it has no take\n- Story 2 “Quay 2”: the same\n" in text


def test_where_all_stories_are_noted_the_title_says_so_once():
    noted = tuple(snippet(n, section="noted", take="") for n in (1, 2))
    text = made(snippets=noted).text
    assert "Its headlines\n-------------\n\n- Quay 1 opens an hour earlier\n- Quay 2" in text
    assert "Also noted" not in text
    assert "Its headlines so far" in made("held_back", snippets=noted).text
    assert "Its headlines" in made("review_refused", snippets=noted).text
    mixed = made(snippets=(snippet(1), noted[1])).text
    assert "Its stories" in mixed
    assert "- Also noted: Quay 2 opens" in mixed


def test_a_reason_goes_on_after_its_colon():
    text = made("not_sent").text.replace("\n", " ")
    assert "Why: there is nothing new to tell. " in text


def test_our_own_sentence_is_not_turned_by_a_name_from_right_to_left():
    html = made("held_back", newsletter=replace(WEEKLY, title="שלום")).html
    assert re.search(r'<p [^>]*><span dir="ltr">שלום \(no\.&nbsp;9\) is composed', html)


def test_only_the_review_has_links():
    for kind in KINDS:
        has = f"{ROOT}/stop/s" in made(kind).text
        assert has == (kind == "review")


def test_a_beat_without_an_issue_names_those_before_it():
    days = [EmptyBeat(date(2027, 3, day), DUE - timedelta(days=11 - day), "asleep <b>")
            for day in (11, 10, 9)]  # fmt: skip
    gap = Gap(WEEKLY, FERRIES, FIRM, tuple(days))
    notice = write_no_issue(EVA, gap, TEMPLATES, NOW)
    assert (notice.kind, notice.about) == ("no_issue", "beat:ferry-weekly/2027-03-11")
    assert notice.subject == "Between Quays did not go out on 11 March 2027"
    flat = notice.text.replace("\n", " ")
    assert "Why: asleep <b>." in flat
    assert "- Wednesday 10 March 2027, 07:30 (Europe/Oslo): asleep <b>" in flat.replace("   ", " ")
    assert "<b>" not in notice.html
    alone = write_no_issue(EVA, replace(gap, beats=gap.beats[:1]), TEMPLATES, NOW)
    assert "Nor did it go out on" in notice.text
    assert "Nor did it go out on" not in alone.text


def test_long_lists_end_with_a_count():
    many = made(snippets=tuple(map(snippet, range(1, 31)))).text
    assert "- and 22 more" in many
    assert "Quay 9 opens" not in many


def test_a_strangers_words_stay_words():
    nasty = snippet(1, title="<script>alert(1)</script> {{first_name}} \ue000name|x\ue001\nBcc: x")
    notice = made(snippets=(nasty,))
    assert "<script>" not in notice.html
    assert "&lt;script&gt;" in notice.html
    assert not re.search("[\ue000-\ue0ff]", notice.html + notice.text + notice.subject)
    reason = "<img src=x>\r\nBcc: everyone@northline.example"
    held = made("held_back", issue=replace(ISSUE, reason=reason))
    assert "<img src=x>" not in held.html
    assert not re.search(r"^Bcc:", held.text, re.MULTILINE)
    assert "\n" not in held.subject


def test_a_link_that_is_none_is_not_shown():
    notice = made(preview_url="javascript:alert(1)", stop_url="")
    assert "javascript:" not in notice.html + notice.text


def test_the_message_goes_from_the_firm_and_answers_go_to_a_colleague():
    notice = replace(made("write", EVA), public_id="a" * 26)
    envelope = envelope_of(notice, FIRM, LIV)
    mail = message_from_bytes(envelope.message, policy=policy.SMTP)
    assert mail["From"].addresses[0].addr_spec == FIRM.contact
    assert mail["Reply-To"].addresses[0].addr_spec == LIV.address
    assert mail["To"].addresses[0].addr_spec == EVA.address
    assert mail["Message-ID"] == f"<{'a' * 26}@quaytide.example>"
    assert not [name for name in mail if name.lower().startswith(("list-", "feedback"))]
    assert envelope.group == "notices"
    assert envelope_of(notice, FIRM, LIV) == envelope
    to_firm = message_from_bytes(envelope_of(notice, FIRM, None).message, policy=policy.SMTP)
    assert to_firm["Reply-To"].addresses[0].addr_spec == FIRM.contact


def test_an_address_that_cannot_stand_in_a_header_is_refused():
    notice = replace(made(to=replace(TOM, address="tom@x.example\r\nBcc: y")), public_id="a" * 26)
    with pytest.raises(BadInput):
        envelope_of(notice, FIRM, LIV)


def test_a_broken_template_is_told_with_its_line():
    broken = {**TEMPLATES, "notice.txt.j2": "{{ nonsense }}"}
    with pytest.raises(BadInput) as told:
        write_notice("write", EVA, MATTER, broken, NOW)
    assert "notice.txt.j2" in str(told.value)
