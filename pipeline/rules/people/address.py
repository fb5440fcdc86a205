"""E-mail addresses: one spelling for each, and a plain reason for what is none."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import idna

from pipeline.errors import BadInput

MAX_LOCAL = 64
MAX_ADDRESS = 254

_ATOMS = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*")


def normalise(address: str) -> str:
    """The spelling by which two addresses are compared.

    NFC, lower case, the domain in its ASCII form; dots and plus signs are kept, for they
    can tell two people apart.

    Raises: BadInput with one plain reason, without the address
    Source: RFC 5321 §4.5.3.1 (lengths), RFC 5322 §3.4.1 (dot-atom), RFC 5891 (IDNA)
    """
    if " " in address or not address.isprintable():  # Unicode's separators, control, format …
        raise BadInput("The address holds a space, a line break or another unseen character.")
    raw_local, at, raw_domain = unicodedata.normalize("NFC", address).rpartition("@")
    if not at:
        raise BadInput("The address has no @.")
    local = unicodedata.normalize("NFC", raw_local.lower())
    if not _ATOMS.fullmatch(local):
        raise BadInput("The part before the @ is empty or holds what no address holds.")
    result = f"{local}@{domain_of(raw_domain)}"
    if len(local.encode()) > MAX_LOCAL or len(result.encode()) > MAX_ADDRESS:
        raise BadInput("The address is too long.")
    return result


@lru_cache(maxsize=4096)  # a file names the same few companies again and again
def domain_of(raw_domain: str) -> str:
    """A domain in lower case and ASCII form.

    Raises: BadInput
    """
    try:
        domain = idna.encode(raw_domain, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        raise BadInput("The part after the @ is no domain name.") from error
    labels = domain.split(".")
    if len(labels) < 2 or labels[-1] == "" or labels[-1].isdigit():
        raise BadInput("The part after the @ is no full domain name.")
    return domain
