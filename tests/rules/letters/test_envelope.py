"""One copy made ready: named for the title that its reader sees, and for nothing of ours."""

from __future__ import annotations

import re
from dataclasses import replace
from email import policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import BadInput
from pipeline.model.letters import Content, Delivery, Variant
from pipeline.rules.letters.envelope import envelope, list_name
from pipeline.rules.letters.merge import fill_html, fill_text
from tests.builders import FIRM, ISSUE, WEEKLY


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Between Quays", "between-quays"),
        ("Under Load", "under-load"),
        ("Zwischen Kränen & Kais", "zwischen-kranen-kais"),
        ("  --  ", "letter"),
        ("Δελτίο", "letter"),
        ("A" * 80, "a" * 60),
    ],
)
def test_a_list_is_named_by_its_title(title: str, name: str) -> None:
    assert list_name(title) == name


@given(st.text(max_size=120))
def test_a_list_name_is_always_one_label_of_a_domain(title: str) -> None:
    assert re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?", list_name(title))


# ── the same copy in parts, for a provider that fills it in itself ───────────────────────

VARIANT = Variant(
    id=7,
    edition_id=3,
    kind="customer",
    language="en",
    key="a-digest",
    subject="Berths for \ue000first_name|you\ue001",
    html='<p>\ue000greeting|\ue001</p><a href="\ue000leave_url|\ue001">Leave</a>',
    text="\ue000greeting|\ue001\n\nLeave: \ue000leave_url|\ue001\n",
    template_digest="",
)


def copy(**changes: Any) -> Delivery:
    leave_url = f"https://letters.quaytide.example/leave/{'t' * 70}"
    plain = Delivery(
        id=1,
        public_id="a" * 26,
        issue_id=1,
        purpose="letter",
        variant_id=7,
        contact_id=1,
        staff_key="",
        address="ingrid@northline.example",
        name="Ingrid Vik",
        merge={"first_name": "Ingrid", "greeting": "Good <morning>", "leave_url": leave_url},
        state="attempting",
        headers={"Reply-To": "Åse Brandt-Sørensen <ase@quaytide.example>"},
    )
    return replace(plain, **changes)


def content_of(one: Delivery) -> tuple[Content, EmailMessage]:
    made = envelope(one, VARIANT, ISSUE, WEEKLY, FIRM)
    assert made.content is not None
    return made.content, BytesParser(policy=policy.default).parsebytes(made.message)


def test_the_parts_are_the_message() -> None:
    content, message = content_of(copy())
    body = {
        kind: message.get_body((kind,)).get_content().replace("\r\n", "\n")
        for kind in ("html", "plain")
    }
    assert fill_html(content.html, content.values) == body["html"].removesuffix("\n")
    assert fill_text(content.text, content.values) == body["plain"]
    assert fill_text(content.subject, content.values) == message["Subject"] == "Berths for Ingrid"
    assert message["From"] == f"{FIRM.name} <{FIRM.contact}>"
    assert content.sender_name == FIRM.name
    assert (content.recipient_name, "Ingrid Vik <ingrid@northline.example>") == (
        "Ingrid Vik", message["To"],
    )  # fmt: skip


def test_the_headers_of_the_parts_stand_as_in_the_message() -> None:
    content, message = content_of(copy())
    assert set(content.headers) == {
        "Reply-To", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Id",
        "Feedback-ID",
    }  # fmt: skip
    for name, value in content.headers.items():
        assert value.isascii()
        assert "\n" not in value
        assert str(make_header(decode_header(value))) == str(message[name]), name


def test_mail_among_ourselves_has_no_list_headers_in_its_parts() -> None:
    content, _ = content_of(copy(purpose="sales"))
    assert set(content.headers) == {"Reply-To", "Message-ID"}


def test_parts_have_one_key_where_sender_and_variant_are_the_same() -> None:
    first, other = copy(), copy(public_id="b" * 26, name="x@y.example", address="x@y.example")
    assert content_of(first)[0].key == content_of(other)[0].key
    assert content_of(other)[0].recipient_name == ""
    liv = {**first.merge, "sender_name": "Liv Haugen", "sender_address": "liv@quaytide.example"}
    assert content_of(copy(merge=liv))[0].key != content_of(first)[0].key


def test_a_copy_with_half_a_character_in_its_headers_is_refused_by_itself() -> None:
    broken = copy(merge={**copy().merge, "first_name": "Ingrid \ud83d"})
    with pytest.raises(BadInput, match="the subject holds half a character"):
        envelope(broken, VARIANT, ISSUE, WEEKLY, FIRM)
