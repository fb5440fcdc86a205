"""A message in parts: of a letter they came with it, of any other mail they are read from it."""

from __future__ import annotations

from email import policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import getaddresses, parseaddr
from hashlib import sha256

from pipeline.errors import BadInput
from pipeline.model.letters import Content, Envelope
from pipeline.rules.letters.envelope import borne
from pipeline.rules.letters.merge import without_marks
from pipeline.rules.people.address import domain_of

Mailbox = dict[str, str]  #: {"email": …, "name": …}; no name where there is none


def content_of(envelope: Envelope) -> Content:
    """The copy in parts.

    Raises: BadInput when it came without, and its message has no text or no HTML
    """
    if envelope.content is not None:
        return envelope.content
    message = BytesParser(policy=policy.default).parsebytes(envelope.message)
    return Content(
        key=sha256(envelope.message).hexdigest(),
        sender_name=_name(message, "From"),
        recipient_name=_name(message, "To"),
        subject=without_marks(str(message.get("Subject", ""))),
        html=_part(message, "html"),
        text=_part(message, "plain"),
        values={},
        headers=borne(envelope.message),
    )


def mailbox(address: str, name: str) -> Mailbox:
    """One address as the API wants it: its domain in ASCII form, the name beside it."""
    local, at, domain = address.strip().rpartition("@")
    try:
        spelled = f"{local}{at}{domain_of(domain)}"
    except BadInput:
        spelled = address.strip()  # our limits find it, and say so
    name = " ".join(name.split(" "))
    return {"email": spelled, "name": name} if name else {"email": spelled}


def mailbox_of(header: str) -> Mailbox | None:
    """The address in a header as a message bears it, its name decoded; None without one."""
    name, address = parseaddr(header)
    return mailbox(address, str(make_header(decode_header(name)))) if address else None


def _name(message: EmailMessage, header: str) -> str:
    return next((name for name, _ in getaddresses([str(message.get(header, ""))])), "")


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body(preferencelist=(kind,))
    if part is None:
        raise BadInput(f"the message has no {kind} part")
    return without_marks(str(part.get_content())).replace("\r\n", "\n")
