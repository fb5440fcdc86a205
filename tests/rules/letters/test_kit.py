"""The forward kit's mail: the same words in every form, and nothing that betrays."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from email import policy
from email.parser import BytesParser
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import BadInput
from pipeline.model.news import Mention, SignalHit, Story
from pipeline.rules.letters.forward import LONGEST
from pipeline.rules.letters.kit import (
    LONGEST_WORDS,
    best,
    known_subjects,
    own_words,
    ready_mail,
    story_with,
    uncommented,
)
from pipeline.rules.letters.wall import told
from tests.builders import FIRM, contact, snippet

TOM = replace(FIRM.staff[1], signature="Tom Reyes\n*Quay & Tide*")
ON = date(2027, 3, 11)


def made(kept=None, person=None, speaks="en", sender=TOM, **rest):
    story = told(kept or snippet(1), "plain", 1, speaks)
    return ready_mail(story, person or contact(1), sender, speaks=speaks, on=ON, **rest)


def test_what_another_said_is_told_apart_from_what_happened():
    kept = snippet(1, fact="Quay 1 opens at five.\n\n> We would rather be early.\n\nSo they say.")
    quote = made(kept).html.partition("<blockquote")[2].partition("</blockquote>")[0]
    assert "border-left:" in quote.partition(">")[0]
    assert "We would rather be early." in quote
    assert "at five" not in quote
    assert "So they say" not in quote
    assert "> We would rather be early." in made(kept).text


def test_the_text_reads_like_a_mail():
    kept = snippet(
        1,
        title="Quay 1 opens *early*",
        fact="Quay 1 [opens](https://x.example/) at five.\n\nIt did not before.",
        take="Waiting is **free**, {{first_name|you}} know.\n\nSo wait.",
        question="Who is awake?",
        url="https://coastwire.example/1?utm_medium=feed",
    )
    mail = made(kept, words="Thought of you.\nT.")
    assert mail.subject == "Quay 1 opens early"
    assert mail.text.split("\n") == [
        "Hello Ingrid,", "",
        "Thought of you.", "T.", "",
        "Quay 1 opens at five.", "", "It did not before.", "",
        "Our view: Waiting is free, Ingrid know.", "", "So wait.", "",
        "A question: Who is awake?", "",
        "Source: Coast Wire, 5 March", "https://coastwire.example/1", "",
        "Best wishes", "Tom Reyes", "Quay & Tide", "",
    ]  # fmt: skip
    assert "<strong>free</strong>" in mail.html
    assert '<a href="https://coastwire.example/1">Source: Coast Wire, 5 March</a>' in mail.html
    assert "Tom Reyes<br>Quay &amp; Tide" in mail.html
    assert not mail.shortened


def test_lists_and_quotations_keep_their_shape():
    mail = made(snippet(1, take="- wait\n- or go"))
    assert "Our view: - wait\n\n- or go" in mail.text
    assert "Our view:</p><ul style=" in mail.html


def test_the_draft_is_for_a_mail_program_to_open():
    mail = made(person=contact(1, first_name="Åsa", last_name="Ström"), bcc="copies@q.example")
    draft = BytesParser(policy=policy.default).parsebytes(mail.eml)
    assert mail.eml.startswith(b"X-Unsent: 1\r\n")
    assert str(draft["To"]) == "Åsa Number1 <person1@northline.example>".replace("Number1", "Ström")
    assert (draft["Bcc"], draft["MIME-Version"]) == ("copies@q.example", "1.0")
    assert not {"Date", "Message-ID", "List-Unsubscribe", "Reply-To"} & set(draft.keys())
    plain, rich = draft.iter_parts()
    assert plain.get_content().replace("\r\n", "\n") == mail.text
    assert mail.subject in rich.get_content()
    assert max(map(len, mail.eml.split(b"\r\n"))) <= 78
    assert b"\n" not in mail.eml.replace(b"\r\n", b"")
    assert made().eml == made().eml, "the same kit, the same bytes"


def test_an_address_that_no_head_can_hold_gets_no_draft():
    mail = made(person=contact(1, address="åsa@northline.example"))
    assert mail.eml == b""
    assert mail.mailto.startswith("mailto:%C3%A5sa@northline.example?")


def test_a_hostile_story_stays_text():
    evil = '<img src=x onerror=alert(1)> "quoted" & https://x.example/?a=1&utm_source=y'
    mail = made(snippet(1, title=evil, fact=evil, take=evil, question=evil, source_name=evil),
                words=evil)  # fmt: skip

    class Tags(HTMLParser):
        seen: set[str] = set()  # noqa: RUF012

        def handle_starttag(self, tag, attrs):
            self.seen.add(tag)
            assert {name for name, _ in attrs} <= {"style", "href"}

    tags = Tags()
    tags.feed(mail.html)
    assert tags.seen <= {"div", "p", "br", "a", "em", "strong"}


def test_a_link_that_leads_nowhere_is_left_out():
    mail = made(snippet(1, url="", fact="Or [leave]({{leave_url}}), [or not](javascript:x)."))
    assert "<a" not in mail.html.replace('<a href="https', "")
    assert "Or leave, or not." in mail.text
    assert "Source: Coast Wire, 5 March" in mail.text


@pytest.mark.parametrize("url", ["javascript:alert(1)//https://x.example/", "data:text/html,x"])
def test_the_source_is_a_web_address_or_no_link(url):
    """Nothing but the gathering of news keeps such an address out; this is the last door."""
    mail = made(snippet(1, url=url))
    assert "href" not in mail.html
    assert url not in mail.text + mail.html


def test_german_is_german():
    mail = made(speaks="de", sender=replace(TOM, signature=""))
    for said in (
        "Guten Tag, Ingrid,",
        "[Eine eigene Zeile]",
        "Unsere Sicht: ",
        "Eine Frage: ",
        "Quelle: Coast Wire, 5. März",
        "Beste Grüße\nTom Reyes",
    ):
        assert said in mail.text
    draft = BytesParser(policy=policy.default).parsebytes(mail.eml)
    assert '<html lang="de">' in draft.get_body(("html",)).get_content()


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=400)


@given(TEXT, TEXT, TEXT, TEXT)
def test_whatever_stands_in_a_story_a_mail_comes_out(title, fact, take, words):
    mail = made(snippet(1, title=title, fact=fact, take=take), words=own_words(words))
    assert len(mail.mailto) <= LONGEST
    assert len(mail.subject) <= 100
    assert mail.eml == b"" or mail.eml.startswith(b"X-Unsent: 1\r\n")
    for body in (mail.text, mail.html, unquote(mail.mailto)):
        assert "\ue000" not in body
        assert "\ue001" not in body


def test_words_are_made_clean_and_have_an_end():
    assert own_words(" Hello\r\n\r\n\x00there\u202e\udce4 ") == "Hello\nthere"
    with pytest.raises(BadInput, match="2000 characters"):
        own_words("x" * (LONGEST_WORDS + 1))


# ── which words ──────────────────────────────────────────────────────────────────────────


def test_a_take_goes_before_none_and_the_latest_before_the_others():
    bare, first, last = (snippet(1, id=n, take=take) for n, take in ((1, ""), (2, "a"), (3, "b")))
    assert best([last, first], "northline") == last
    assert best([bare, first], "northline") == first
    assert best([bare], "northline") == bare
    assert best([], "northline") is None


def test_words_that_the_wall_allows_go_before_those_it_forbids():
    forbidden = snippet(1, id=1, about=("northline",))
    own = replace(forbidden, id=2, own_wording="Your quay.", take="")
    assert best([forbidden, own], "northline") == own
    assert best([forbidden], "northline") == forbidden, "for its reason to be told"
    assert best([own, forbidden], "blue-strait") == forbidden, "its take is for others"


def test_a_bare_story_brings_its_fact_its_link_and_its_secrets():
    at = datetime(2027, 3, 5, tzinfo=UTC)
    story = Story(
        7, "story7", "news", "A pier burns", "The pier at Vik burnt down. Nobody was hurt.", "…",
        at, at, "https://coastwire.example/7", "Coast Wire", learnt_from="blue-strait",
        mentions=(Mention("northline", "self", "headline", "Northline", 1.0),
                  Mention("skagen-ruter", "rival", "lead", "Polar", 1.0)),
        signals=(SignalHit("incident", "burns", 1.0),),
    )  # fmt: skip
    bare = uncommented(story)
    assert (bare.title, bare.fact, bare.take) == (
        "A pier burns", "“The pier at Vik burnt down.”", "",
    )  # fmt: skip
    assert (bare.about, bare.learnt_from) == (("northline",), "blue-strait")
    assert (bare.url, bare.published_on, bare.signal) == (story.url, at.date(), "incident")


# ── its subject ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("subject", "written", "same"),
    [
        ("Quay 1 opens early", "Quay 1 opens *early*", True),
        ("Fwd: Quay 1 opens early", "Quay 1 opens early", True),
        ("WG: Quay 1 opens early", "# Quay 1 opens early\n\nAnd more.", True),
        ("Quay 1 opens an hour…", "Quay 1 opens an hour earlier than ever before", True),
        ("Quay 1 opens an hour", "Quay 1 opens an hour earlier", False),
        ("Re: Quay 1 opens early", "Quay 1 opens early", False),
        ("Lunch?", "Lunch", False),
        ("…", "Quay 1 opens early", False),
    ],
)
def test_a_kit_is_known_by_its_subject(subject, written, same):
    known = known_subjects([(7, "Another story"), (8, written), (9, written)])
    assert story_with(subject, known) == (8 if same else None)


@given(st.text(max_size=150))
def test_every_kit_s_subject_is_known_again(title):
    kept = snippet(1, title=title)
    subject = made(kept).subject
    if len([c for c in subject if c.isalnum()]) >= 8 and title.isascii() and "\n" not in title:
        plain = title.strip()
        markup = set("`*_[]<>{}\\&#!") & set(plain)
        assert markup or story_with(subject, known_subjects([(1, title)])) == 1
