"""Mails as mail programs write them, for tests of the mailbox that gets copies."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime

from tests.builders import NOW


def mail(
    text: str = "Hello Ada,\n\nas promised.\n",
    *,
    sender: str = "Tom Reyes <tom@quaytide.example>",
    to: str = "Ada Strand <ada@northline.example>",
    subject: str = "Our talk",
    at: datetime = NOW,
    number: int = 1,
    html: str = "",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """One mail by one of us; each number has a Message-ID of its own."""
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = sender, to, subject
    made["Date"] = format_datetime(at)
    if number:
        made["Message-ID"] = f"<{number}.outgoing@quaytide.example>"
    for name, value in (headers or {}).items():
        made[name] = value
    made.set_content(text)
    if html:
        made.add_alternative(html, subtype="html")
    return made.as_bytes()
