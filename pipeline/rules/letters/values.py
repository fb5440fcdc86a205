"""The values of one copy's merge fields: what is this reader's own, in the reader's language."""

from __future__ import annotations

from pipeline.model.catalog import Staff
from pipeline.model.people import Basis, Contact
from pipeline.rules.letters import language as speech
from pipeline.rules.letters import markdown


def merge_values(
    *,
    language: str,
    contact: Contact,
    basis: Basis,
    sender: Staff,
    leave_url: str,
    web_url: str = "",
) -> dict[str, str]:
    """A value for every merge field of one copy.

    Shape:  language is the edition's, not the contact's wish
    """
    return {
        "first_name": contact.first_name.strip(),
        "greeting": speech.greeting(language, contact.first_name),
        "sender_name": sender.name,
        "sender_first_name": sender.first_name,
        "sender_address": sender.address,
        "sender_phone": sender.phone,
        "signature": "\n".join(block.text for block in markdown.to_blocks(sender.signature)),
        "basis": speech.because(language, basis),
        "leave_url": leave_url,
        "web_url": web_url,
    }
