"""The bytes of a message, read back by the standard parser."""

from __future__ import annotations

import email
import email.policy
import re
from datetime import UTC, datetime, timedelta, timezone
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import BadInput
from pipeline.rules.letters.mime import (
    LIST_HEADERS,
    build_draft,
    build_message,
    list_headers,
    message_id,
    quoted_printable,
)

WHEN = datetime(2027, 3, 11, 7, 30, tzinfo=timezone(timedelta(hours=1)))
LISTED = list_headers(
    leave_url="https://letters.quaytide.example/leave/" + "q7Zt4mVd0Yw2xK9e" * 10,
    list_id="ferry-weekly",
    mail_domain="quaytide.example",
    feedback_id="b2jx4kq7m3:ferry-weekly:letter:quaytide",
    leave_mailto="desk@quaytide.example?subject=leave",
)


def built(**changes: Any) -> bytes:
    given: dict[str, Any] = {
        "sender": ("Liv Haugen", "liv@quaytide.example"),
        "recipient": ("Ingrid Bø", "ingrid@northline.example"),
        "reply_to": ("Tom Reyes", "tom@quaytide.example"),
        "subject": "What nine minutes cost",
        "html": "<!DOCTYPE html>\n<html><body><p>Grüße</p></body></html>\n",
        "text": "Grüße\n",
        "date": WHEN,
        "message_id": message_id("b2jx4kq7m3ta5vw6cd8efgh9pn", "quaytide.example"),
        "list_headers": LISTED,
        "language": "en",
    }
    return build_message(**{**given, **changes})


def read(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def well_formed(raw: bytes) -> None:
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert b"\r" not in raw.replace(b"\r\n", b"")
    assert b"\x00" not in raw
    assert raw.isascii()
    head = raw.split(b"\r\n\r\n", 1)[0]
    for line in raw.split(b"\r\n"):
        alone = line.split(b":")[0].decode() in LIST_HEADERS and line in head
        assert len(line) <= 78 or (alone and len(line) <= 998)
        assert not line.startswith((b".", b"From "))


def test_every_header_and_part_is_read_back() -> None:
    raw = built()
    well_formed(raw)
    message = read(raw)
    assert message["From"] == "Liv Haugen <liv@quaytide.example>"
    assert message["To"].addresses[0].display_name == "Ingrid Bø"
    assert message["To"].addresses[0].addr_spec == "ingrid@northline.example"
    assert message["Reply-To"] == "Tom Reyes <tom@quaytide.example>"
    assert message["Subject"] == "What nine minutes cost"
    assert message["Date"].datetime == WHEN
    assert message["Message-ID"] == "<b2jx4kq7m3ta5vw6cd8efgh9pn@quaytide.example>"
    assert message["MIME-Version"] == "1.0"
    assert message["Content-Language"] == "en"
    assert message.get_content_type() == "multipart/alternative"
    text, html = message.iter_parts()
    assert (text.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    for part in (text, html):
        assert part.get_content_charset() == "utf-8"
        assert part["Content-Transfer-Encoding"] == "quoted-printable"
    assert text.get_content() == "Grüße\r\n"
    assert html.get_content() == "<!DOCTYPE html>\r\n<html><body><p>Grüße</p></body></html>\r\n"
    assert [key for key in message if key in ("Precedence", "Auto-Submitted", "Bcc")] == []


def test_one_click_leaving_stands_on_one_line() -> None:
    head = built().split(b"\r\n\r\n", 1)[0].decode("ascii")
    (line,) = (row for row in head.split("\r\n") if row.startswith("List-Unsubscribe:"))
    assert line == f"List-Unsubscribe: {LISTED['List-Unsubscribe']}"
    assert len(line) > 200
    assert "=?" not in line
    assert "\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in head
    assert "\r\nList-Id: <ferry-weekly.quaytide.example>\r\n" in head
    assert "\r\nFeedback-ID: b2jx4kq7m3:ferry-weekly:letter:quaytide\r\n" in head


def test_internal_mail_has_no_list_headers() -> None:
    head = built(list_headers=None, reply_to=None).split(b"\r\n\r\n", 1)[0]
    assert b"List-" not in head
    assert b"Feedback-ID" not in head
    assert b"Reply-To" not in head


def test_the_same_arguments_give_the_same_bytes() -> None:
    assert built() == built()
    other = built(message_id=message_id("other", "quaytide.example"))
    boundary = re.compile(rb'boundary="([^"]+)"')
    assert boundary.findall(other) != boundary.findall(built())


def test_a_base_address_without_tls_offers_no_one_click() -> None:
    made = list_headers(
        leave_url="http://127.0.0.1:8000/leave/x",
        list_id="Under Load!",
        mail_domain="Åsgård.example",
        feedback_id="a:b:c:d",
    )
    assert "List-Unsubscribe-Post" not in made
    assert made["List-Unsubscribe"] == "<http://127.0.0.1:8000/leave/x>"
    assert made["List-Id"] == "<under-load.xn--sgrd-poac.example>"


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("subject", "a\r\nBcc: x@y.example"), ("subject", "a\nb"), ("subject", "a\x00b"),
        ("subject", "a\rb"), ("subject", "a\u2028b"),
        ("sender", ("a\r\nBcc: x", "a@b.example")), ("recipient", ("a\nb", "a@b.example")),
        ("recipient", ("a", "a@b.example\r\nBcc: x@y.example")),
        ("reply_to", ("a\x00", "a@b.example")),
        ("message_id", "<a@b>\r\nX: y"), ("message_id", "<æ@b.example>"),
        ("language", "en\r\nX: y"),
        ("list_headers", {"List-Id": "<a>\r\nX: y"}), ("list_headers", {"List-Unsubscribe": "<æ>"}),
        ("list_headers", {"List-Unsubscribe": f"<https://x.example/{'a' * 1000}>"}),
        ("list_headers", {"Bcc": "x@y.example"}), ("list_headers", {"List-Id": ""}),
    ],
)  # fmt: skip
def test_what_would_forge_a_header_is_refused(where: str, value: object) -> None:
    with pytest.raises(BadInput):
        built(**{where: value})


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("subject", "Berths \ud83d"), ("subject", "\udca9" * 200),
        ("sender", ("\ud83d", "a@b.example")), ("reply_to", ("\ud83d", "a@b.example")),
        ("recipient", ("x" * 100 + "\ud83d", "a@b.example")),
        ("recipient", ("A", "a\ud83d@b.example")), ("recipient", ("A", "a@\ud83d.example")),
        ("message_id", "<\ud83d@b.example>"), ("language", "\ud83d"),
    ],
)  # fmt: skip
def test_half_a_character_is_refused_where_nothing_could_write_it(
    where: str, value: object
) -> None:
    with pytest.raises(BadInput):
        built(**{where: value})


def test_half_a_character_in_a_body_costs_one_sign() -> None:
    assert b"ferr?es" in built(text="ferr\ud83des", html="<p>ferr\ud83des</p>")


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("løve@b.example", "before the @"), ("no-at.example", "no e-mail address"),
        ("@b.example", "no e-mail address"), ("a b@c.example", "no e-mail address"),
        ("a@", "no domain"), ("a@b..example", "no domain"), ("a@b example", "no domain"),
        ("<a@b.example>", "no e-mail address"), ("a,b@c.example", "no e-mail address"),
        ('"a"@b.example', "no e-mail address"), ("a" * 250 + "@b.example", "no e-mail address"),
        ("a@b.example, c@d.example", "no e-mail address"),
    ],
)  # fmt: skip
def test_an_address_that_cannot_stand_in_a_header_is_refused(address: str, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        built(recipient=("A", address))


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("Tom+a.b@Northline.Example", "Tom+a.b@northline.example"),
        ("o'neil@b.example", "o'neil@b.example"),
        ("a@Bø.example", "a@xn--b-5ga.example"),
        (".dot.@b.example", '".dot."@b.example'),
        ("a..b@c.example", '"a..b"@c.example'),
    ],
)
def test_an_address_keeps_its_left_side(address: str, written: str) -> None:
    head = built(recipient=("A", address)).decode("ascii")
    assert f"\r\nTo: A <{written}>\r\n" in head


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("Liv Haugen", "From: Liv Haugen <liv@quaytide.example>"),
        ("Quay & Tide", "From: Quay & Tide <liv@quaytide.example>"),
        ("Dr. Liv, Haugen", 'From: "Dr. Liv, Haugen" <liv@quaytide.example>'),
        ('The "Tide"', r'From: "The \"Tide\"" <liv@quaytide.example>'),
        ("back\\slash", r'From: "back\\slash" <liv@quaytide.example>'),
        ("", "From: <liv@quaytide.example>"),
        ("Zoë", "From: =?utf-8?b?Wm/Dqw==?= <liv@quaytide.example>"),
    ],
)
def test_a_name_is_written_as_its_letters_need(name: str, line: str) -> None:
    assert built(sender=(name, "liv@quaytide.example")).decode("ascii").startswith(f"{line}\r\n")


PRINTABLE = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]))
ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126))
WORDY = st.lists(
    st.one_of(
        st.sampled_from([
            " ", "  ", "a", "Zoë", "=?utf-8?q?x?=", "x" * 90, '"', "\\", "🛳️", "李小龍", ",",
        ]),
        ASCII,
    ),
    max_size=12,
).map("".join)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.one_of(PRINTABLE, ASCII, WORDY))
def test_any_subject_is_read_back(subject: str) -> None:
    raw = built(subject=subject)
    well_formed(raw)
    assert email.message_from_bytes(raw, policy=email.policy.default)["Subject"] == subject.strip()


@settings(max_examples=150, deadline=None)
@given(st.one_of(PRINTABLE, ASCII, WORDY))
def test_any_name_is_read_back(name: str) -> None:
    raw = built(recipient=(name, "ingrid@northline.example"))
    well_formed(raw)
    # the older reader: the newer one keeps the space between two encoded words of a name,
    # which RFC 2047 §6.2 takes out
    shown, address = parseaddr(email.message_from_bytes(raw)["To"])
    assert address == "ingrid@northline.example"
    assert str(make_header(decode_header(shown))) == " ".join(name.split())


BODY = st.lists(
    st.one_of(
        st.sampled_from([
            ".", "..", "From ", "\n", "\r\n", "\r", " ", "\t", "=", "=20", "é", "日本", "😀",
            "x" * 37,
            "y" * 74, "z" * 75, "w" * 76, "v" * 77, "\n.", "\nFrom ", " \n", "\u202e", "=\n",
        ]),
        st.text(max_size=20),
    ),
    max_size=30,
).map("".join)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(BODY)
def test_any_body_is_read_back(body: str) -> None:
    encoded = quoted_printable(body)
    well_formed(encoded)
    assert all(len(line) <= 76 for line in encoded.split(b"\r\n"))
    assert not re.search(rb"[ \t]\r\n", encoded)
    raw = built(text=body, html=body)
    well_formed(raw)
    wanted = body.replace("\r\n", "\n").replace("\r", "\n")
    for part in read(raw).iter_parts():
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        assert payload.decode("utf-8").replace("\r\n", "\n") == wanted


def test_times_are_told_in_utc() -> None:
    assert b"\r\nDate: Thu, 11 Mar 2027 06:30:00 +0000\r\n" in built()
    assert WHEN.astimezone(UTC).hour == 6


@pytest.mark.parametrize("domain", ["", "a b", "a\r\nb", "-.example"])
def test_a_message_id_needs_a_domain(domain: str) -> None:
    with pytest.raises(BadInput):
        message_id("x", domain)


def test_a_draft_is_made_by_the_same_rules_and_is_nobody_s_yet():
    draft = {
        "sender": ("Tom Reyes", "tom@quaytide.example"),
        "recipient": ("Åsa", "asa@northline.example"),
        "subject": "Über Fähren",
        "html": "<p>.\nFrom here</p>",
        "text": ".\nFrom here",
    }
    raw = build_draft(**draft, bcc="copies@quaytide.example", language="de")
    head, _, body = raw.partition(b"\r\n\r\n")
    names = [line.split(b":")[0] for line in head.split(b"\r\n") if not line.startswith(b" ")]
    assert names == [
        b"X-Unsent", b"From", b"To", b"Bcc", b"Subject", b"MIME-Version", b"Content-Language",
        b"Content-Type",
    ]  # fmt: skip
    assert b"\n." not in body
    assert b"\nFrom " not in body
    assert b"Bcc" not in build_draft(**draft)
    assert build_draft(**draft) == build_draft(**draft)
    for wrong in (
        {"subject": "a\r\nBcc: x@y.example"},
        {"subject": "a\ud83d"},
        {"bcc": "a@b.example\nX: y"},
    ):
        with pytest.raises(BadInput):
            build_draft(**{**draft, **wrong})
