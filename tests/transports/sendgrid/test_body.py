"""The body of a request: what SendGrid puts together from it is our letter, to the byte."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import sendgrid.helpers.mail as oracle

from pipeline.errors import BadInput
from pipeline.model.letters import Batch, Envelope
from pipeline.rules.letters.merge import fill_html, fill_text
from pipeline.transports.sendgrid.body import Body, Copy, compose, encoded, groups
from pipeline.transports.sendgrid.limits import faults
from pipeline.transports.sendgrid.parts import content_of
from tests.builders import NOW
from tests.rules.letters.test_slots import NASTY
from tests.transports.sendgrid.scripted import letter, notice

BATCH = Batch("batch-1", NOW + timedelta(minutes=15))


def chance() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"{next(numbers):020x}"


def copies(*envelopes: Envelope) -> tuple[Copy, ...]:
    return tuple(Copy(one, content_of(one)) for one in envelopes)


def body_of(*envelopes: Envelope, **how: Any) -> Body:
    return compose(copies(*envelopes), **{"batch": BATCH, "chance": chance(), **how})


def put_together(body: Body, number: int, text: str, order: Callable[..., Any] = iter) -> str:
    """What SendGrid makes of a text for one copy: each tag replaced, one after the other."""
    for tag, words in order(list(body["personalizations"][number]["substitutions"].items())):
        text = text.replace(tag, words)
    return text


# ── the letter ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("order", [iter, reversed])
@pytest.mark.parametrize("nasty", NASTY)
def test_what_is_put_together_is_the_letter(nasty: str, order: Callable[..., Any]) -> None:
    values = dict.fromkeys(("first_name", "greeting", "signature", "sender_phone"), nasty)
    one, other = letter(1, values=values), letter(2)
    body = body_of(one, other)
    for number, envelope in enumerate((one, other)):
        content = content_of(envelope)
        plain, html = (part["value"] for part in body["content"])
        assert put_together(body, number, html, order) == fill_html(content.html, content.values)
        assert put_together(body, number, plain, order) == fill_text(content.text, content.values)
        subject = put_together(body, number, body["subject"], order)
        assert subject == fill_text(content.subject, content.values)


def test_a_value_that_holds_a_tag_is_no_tag() -> None:
    """Whatever somebody saw of an earlier request: each one has a part of its own."""
    seen = body_of(letter())
    tag = next(iter(seen["personalizations"][0]["substitutions"]))
    values = {"first_name": tag, "greeting": f"Good morning, {tag}.", "leave_url": "https://a.b/c"}
    one = letter(1, values=values)
    body = body_of(one)  # chance begins anew, with the very part that was seen
    assert not set(body["personalizations"][0]["substitutions"]) & {tag}
    for order in (iter, reversed, sorted):
        text = put_together(body, 0, body["content"][0]["value"], order)
        assert text == fill_text(content_of(one).text, values)


def test_tags_differ_in_html_and_text() -> None:
    """An ampersand is written otherwise in each."""
    values = {**letter().content.values, "greeting": "Good morning, O'Hara & Sons <b>."}
    words = body_of(letter(values=values))["personalizations"][0]["substitutions"].values()
    assert "Good morning, O'Hara &amp; Sons &lt;b&gt;." in words
    assert any("O'Hara & Sons <b>." in one for one in words)


def test_no_tag_is_part_of_another() -> None:
    tags = list(body_of(letter())["personalizations"][0]["substitutions"])
    assert len(tags) > 4
    assert not [(a, b) for a in tags for b in tags if a != b and a in b]


def test_half_a_character_does_not_stop_a_thousand() -> None:
    values = {**letter().content.values, "first_name": "Ing\ud800rid"}
    assert "Ing?rid" in encoded(body_of(letter(values=values))).decode("utf-8")


def test_nothing_betrays_how_we_see_the_reader() -> None:
    said = encoded(body_of(letter(1), letter(2))).decode()
    assert not re.search("prospect|customer|variant|ferry-weekly/9", said, re.IGNORECASE)
    first, second = body_of(letter(1), letter(2))["personalizations"]
    assert "reader2" not in json.dumps(first)
    assert "reader1" not in json.dumps(second)


def test_headers_are_ours_and_answers_go_to_whom_we_say() -> None:
    one = letter()
    body = body_of(one)
    assert one.content is not None
    expected = {name: value for name, value in one.content.headers.items() if name != "Reply-To"}
    assert body["personalizations"][0]["headers"] == expected
    assert body["reply_to"] == {"email": "liv@quaytide.example", "name": "Liv Haugen"}
    assert body["personalizations"][0]["custom_args"] == {"delivery": one.delivery_public_id}
    assert (body["batch_id"], body["send_at"]) == ("batch-1", int(BATCH.send_at.timestamp()))


def test_without_a_batch_it_leaves_at_once() -> None:
    assert not {"batch_id", "send_at"} & set(body_of(letter(), batch=None))


def test_an_address_goes_in_its_ascii_form() -> None:
    body = body_of(letter(recipient="Ingrid@Fähre.example"))
    assert body["personalizations"][0]["to"][0]["email"] == "Ingrid@xn--fhre-loa.example"


def test_mail_without_parts_is_read_from_its_message() -> None:
    body = body_of(notice(), batch=None)
    assert body["subject"].startswith("Zwölf Fähren warten: “Between Quays” is due on Thursday")
    assert [part["value"].strip() for part in body["content"]] == [
        "Write “it”.\n\nSoon.",
        "<!DOCTYPE html><html><body><p>Write “it”.</p></body></html>",
    ]
    (one,) = body["personalizations"]
    assert one["to"] == [{"email": "ase@quaytide.example", "name": "Åse Brandt"}]
    assert body["from"] == {"email": "desk@quaytide.example", "name": "Quay & Tide"}
    assert body["reply_to"] == {"email": "ase@quaytide.example", "name": "Åse Brandt-Sørensen"}
    assert set(one) == {"to", "headers", "custom_args"}
    assert faults(body, 1, NOW) == ()


def test_a_message_that_has_no_text_is_told_so() -> None:
    with pytest.raises(BadInput, match="no html part"):
        content_of(Envelope("a" * 26, "a@b.example", "c@d.example", b"Subject: x\r\n\r\nHi\r\n"))


# ── who shares a request ─────────────────────────────────────────────────────────────────


def test_copies_of_one_content_and_sender_share_a_request() -> None:
    one, other = letter(1), letter(2, key="another variant")
    tom = letter(3, sender="tom@quaytide.example")
    headers = {**one.content.headers, "Reply-To": "Tom Reyes <tom@quaytide.example>"}
    answers = letter(4, headers=headers)
    same = letter(5)
    found = [
        [copy.envelope for copy in group]
        for group in groups(copies(one, other, tom, answers, same))
    ]
    assert found == [[one, same], [other], [tom], [answers]]


def test_no_address_stands_twice_in_a_request() -> None:
    addresses = ("a@fähre.example", "A@xn--fhre-loa.example", "b@x.example", "a@FÄHRE.example")
    found = groups(copies(*(letter(recipient=address) for address in addresses)))
    assert [len(group) for group in found] == [2, 1, 1]


def test_a_thousand_copies_fill_a_request() -> None:
    content = content_of(letter())
    many = [replace(letter(number), content=content) for number in range(2001)]
    assert [len(group) for group in groups(copies(*many))] == [1000, 1000, 1]


# ── judges from outside ──────────────────────────────────────────────────────────────────


def theirs(envelopes: tuple[Envelope, ...], body: Body) -> Any:
    """The same mail built with SendGrid's own package."""
    first = content_of(envelopes[0])
    mail = oracle.Mail()
    mail.from_email = oracle.From("liv@quaytide.example", first.sender_name)
    mail.reply_to = oracle.ReplyTo("liv@quaytide.example", "Liv Haugen")
    mail.subject = body["subject"]
    mail.content = [oracle.Content(part["type"], part["value"]) for part in body["content"]]
    made_of = zip(envelopes, body["personalizations"], strict=True)
    for envelope, made in reversed(list(made_of)):  # the package puts the latest first
        content = content_of(envelope)
        one = oracle.Personalization()
        one.add_to(oracle.To(envelope.recipient, content.recipient_name))
        for name, value in content.headers.items():
            if name != "Reply-To":
                one.add_header(oracle.Header(name, value))
        for tag, words in made["substitutions"].items():
            one.add_substitution(oracle.Substitution(tag, words))
        one.add_custom_arg(oracle.CustomArg("delivery", envelope.delivery_public_id))
        mail.add_personalization(one)
    mail.batch_id = oracle.BatchId("batch-1")
    mail.send_at = oracle.SendAt(int(BATCH.send_at.timestamp()))
    settings = oracle.MailSettings()
    settings.footer_settings = oracle.FooterSettings(False)
    settings.sandbox_mode = oracle.SandBoxMode(True)
    mail.mail_settings = settings
    tracking = oracle.TrackingSettings()
    tracking.click_tracking = oracle.ClickTracking(False, False)
    tracking.open_tracking = oracle.OpenTracking(False)
    tracking.subscription_tracking = oracle.SubscriptionTracking(False)
    tracking.ganalytics = oracle.Ganalytics(False)
    mail.tracking_settings = tracking
    return mail.get()


def test_the_body_is_what_their_own_package_builds() -> None:
    envelopes = (letter(1), letter(2, recipient_name="Vik & Sønn's Ingrid."))
    body = body_of(*envelopes, sandbox=True)
    assert body == theirs(envelopes, body)


def test_a_recipients_name_holds_nothing_that_reads_as_another_address() -> None:
    """SendGrid writes it into a list of addresses as it is."""
    (one,) = body_of(letter(1, recipient_name='Vik, "Ingrid" <(PhD); x:@y[z]\\'))[
        "personalizations"
    ]
    assert one["to"] == [{"email": "reader1@northline.example", "name": "Vik Ingrid PhD x y z"}]


@pytest.fixture(scope="session")
def specification(corpora: Path) -> dict[str, Any]:
    """Their OpenAPI file as one JSON Schema."""
    file = corpora / "sendgrid" / "tsg_mail_v3.json"
    components = json.loads(file.read_text(encoding="utf-8"))["components"]
    body = components["requestBodies"]["PostMailSend"]["content"]["application/json"]["schema"]
    return {**body, "components": {"schemas": components["schemas"]}}


@pytest.mark.corpora
@pytest.mark.parametrize("batch", [BATCH, None])
def test_the_body_fits_their_specification(
    specification: dict[str, Any], batch: Batch | None
) -> None:
    validator = jsonschema.Draft202012Validator(specification)
    body = json.loads(encoded(body_of(letter(1), letter(2), batch=batch)))
    assert list(validator.iter_errors(body)) == []
    assert list(validator.iter_errors({**body, "subject": ""}))  # the judge is awake
