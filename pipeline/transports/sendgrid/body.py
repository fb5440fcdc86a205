"""Copies → the body of one request: the words that all share, and each reader's own.

What differs stands in the shared text as a tag, and in the copy's `substitutions`. A tag has
a part that nobody can guess and that stands in no text and no value, and none is part of
another; so it matters not in which order they are replaced.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.model.letters import Batch, Content, Envelope
from pipeline.rules.letters.merge import cleaned
from pipeline.rules.letters.slots import Slot, html_slots, text_slots
from pipeline.transports.sendgrid.parts import mailbox, mailbox_of

MAX_COPIES = 1000
#: Where our delivery's id stands in what SendGrid keeps of a copy, and in its events.
DELIVERY_ARG = "delivery"

OFF = {"enable": False}
#: The preview is the letter: nothing is added to it, and no link is replaced.
TRACKING = {
    "click_tracking": {"enable": False, "enable_text": False},
    "open_tracking": OFF,
    "subscription_tracking": OFF,
    "ganalytics": OFF,
}

#: What no name of a recipient may hold there: it is put into an address list unquoted, and
#: the copy goes to a piece of the name, or nowhere, without a word.
#: Source: SendGrid's “Limitations” (, and ;); issues 22 and 291 of sendgrid-python, 394 of
#: sendgrid-ruby (the others)
LIST_SIGNS = re.compile(r"[(),:;<>@\[\]\"\\]")

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy with its parts."""

    envelope: Envelope
    content: Content

    @property
    def id(self) -> str:
        return self.envelope.delivery_public_id


def groups(copies: Iterable[Copy]) -> Iterator[tuple[Copy, ...]]:
    """Copies that fit into one request together: one content, one sender, no address twice."""
    open_: dict[tuple[str, ...], list[dict[str, Copy]]] = {}
    for copy in copies:
        answers = copy.content.headers.get("Reply-To", "")
        requests = open_.setdefault((copy.content.key, copy.envelope.sender, answers), [])
        to = mailbox(copy.envelope.recipient, "")["email"].lower()
        room = (one for one in requests if len(one) < MAX_COPIES and to not in one)
        request = next(room, None)
        if request is None:
            request = {}
            requests.append(request)
        request[to] = copy
    yield from (tuple(request.values()) for requests in open_.values() for request in requests)


def compose(
    copies: Sequence[Copy],
    *,
    batch: Batch | None = None,
    sandbox: bool = False,
    chance: Callable[[], str],
) -> Body:
    """The body of a request for copies that share content and sender.

    Shape:  chance gives letters and digits that nobody can guess, others each time
    Source: SendGrid v3 POST /mail/send
    """
    first = copies[0]
    tags = _Tags(_unused(copies, chance))
    shared = first.content
    subject = tags.put(text_slots(shared.subject))
    text = tags.put(text_slots(shared.text))
    html = tags.put(html_slots(shared.html))
    body: Body = {
        "personalizations": [_personalization(copy, tags) for copy in copies],
        "from": mailbox(first.envelope.sender, shared.sender_name),
        "subject": subject,
        "content": [
            {"type": "text/plain", "value": text},
            {"type": "text/html", "value": html},
        ],
        "mail_settings": {"footer": OFF, "sandbox_mode": {"enable": sandbox}},
        "tracking_settings": TRACKING,
    }
    answers = mailbox_of(shared.headers.get("Reply-To", ""))
    if answers is not None:
        body["reply_to"] = answers
    if batch is not None:
        body |= {"batch_id": batch.provider_id, "send_at": int(batch.send_at.timestamp())}
    return body


def encoded(body: Body) -> bytes:
    """As it goes over the line; half a character becomes a question mark, as in the message."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


class _Tags:
    """The tag of each slot; equal slots share one."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._by_slot: dict[Slot, str] = {}

    def put(self, slots: tuple[str | Slot, ...]) -> str:
        """The text with tags in its slots."""
        return "".join(one if isinstance(one, str) else self._tag(one) for one in slots)

    def words(self, values: Mapping[str, str]) -> dict[str, str]:
        """What each tag stands for in one copy."""
        clean = cleaned(values)
        return {tag: slot.fill(clean) for slot, tag in self._by_slot.items()}

    def _tag(self, slot: Slot) -> str:
        return self._by_slot.setdefault(slot, f"-{self._secret}x{len(self._by_slot):04d}-")


def _personalization(copy: Copy, tags: _Tags) -> Body:
    headers = {name: value for name, value in copy.content.headers.items() if name != "Reply-To"}
    substitutions = tags.words(copy.content.values)
    name = " ".join(LIST_SIGNS.sub(" ", copy.content.recipient_name).split())
    whole = {
        "to": [mailbox(copy.envelope.recipient, name)],
        "headers": headers,
        "substitutions": substitutions,
        "custom_args": {DELIVERY_ARG: copy.id},
    }
    return {name: value for name, value in whole.items() if value}


def _unused(copies: Sequence[Copy], chance: Callable[[], str]) -> str:
    """A part for our tags that no text and no value holds."""
    shared = copies[0].content
    while True:
        secret = chance()
        texts = (shared.subject, shared.text, shared.html)
        values = (value for copy in copies for value in copy.content.values.values())
        if not any(secret in one for one in (*texts, *values)):
            return secret
