"""One copy made ready to move: the frozen variant, its values filled in, under its headers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from email.utils import parseaddr

from pipeline.model.catalog import Firm, Newsletter
from pipeline.model.letters import Content, Delivery, Envelope, Issue, Variant
from pipeline.rules.letters.merge import fill_html, fill_text
from pipeline.rules.letters.mime import LIST_HEADERS, build_message, list_headers, message_id

#: What a provider that builds the message itself must be told beyond From, To and Subject.
BORNE = frozenset({"Reply-To", "Message-ID", *LIST_HEADERS})


def envelope(
    copy: Delivery, variant: Variant, issue: Issue, newsletter: Newsletter, firm: Firm
) -> Envelope:
    """The message of one copy; the same arguments give the same bytes, today and next week.

    Its date is the time it was due, not that of an attempt. Who sends stands in the frozen
    values, who gets the answers in the frozen headers; without them it is the firm.

    Raises: BadInput when an address or a header cannot be sent
    """
    sender = (
        copy.merge.get("sender_name") or firm.name,
        copy.merge.get("sender_address") or firm.contact,
    )
    # a contact without a name goes by the address, and that is no name to write in front
    name = "" if copy.name == copy.address else copy.name
    answers = parseaddr(copy.headers.get("Reply-To", ""))
    message = build_message(
        sender=sender,
        recipient=(name, copy.address),
        subject=fill_text(variant.subject, copy.merge),
        html=fill_html(variant.html, copy.merge),
        text=fill_text(variant.text, copy.merge),
        date=copy.due_at or issue.due_at,
        message_id=message_id(copy.public_id, firm.mail_domain),
        reply_to=answers if answers[1] else sender,
        list_headers=_list_headers(copy, issue, newsletter, firm),
        language=variant.language,
    )
    content = Content(
        key="|".join((str(variant.id), variant.key, *sender)),
        sender_name=sender[0],
        recipient_name=name,
        subject=variant.subject,
        html=variant.html,
        text=variant.text,
        values=copy.merge,
        headers=borne(message),
    )
    return Envelope(copy.public_id, sender[1], copy.address, message, issue.ref, content)


def borne(message: bytes) -> dict[str, str]:
    """Those of BORNE that a message of ours bears, each as it stands there, on one line."""
    head = message[: message.index(b"\r\n\r\n")].decode("ascii").replace("\r\n ", " ")
    lines = (line.partition(": ") for line in head.split("\r\n"))
    return {name: value for name, _, value in lines if name in BORNE}


def _list_headers(
    copy: Delivery, issue: Issue, newsletter: Newsletter, firm: Firm
) -> Mapping[str, str] | None:
    """Those of a letter; mail among ourselves has none.

    Nothing in them says how we see the reader: the list bears the title that the reader
    sees, not our key.
    """
    if copy.purpose != "letter":
        return None
    name = list_name(newsletter.title)
    house = re.sub(r"[^a-z0-9]", "", firm.mail_domain.lower())[:15]
    return list_headers(
        leave_url=copy.merge.get("leave_url", ""),
        list_id=name,
        mail_domain=firm.mail_domain,
        feedback_id=f"{issue.public_id[:10]}:{name[:30]}:letter:{house}",
        leave_mailto=firm.contact if firm.mailbox_read else "",
    )


def list_name(title: str) -> str:
    """A newsletter's title as one label of a List-Id: "Between Quays" is between-quays."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60].strip("-") or "letter"
