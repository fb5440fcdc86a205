"""What a relay says, made fit to be shown and kept: one plain line, nobody's address in it."""

from __future__ import annotations

import re
from base64 import b64encode

from pipeline.rules.mask import mask
from pipeline.transports.smtp_line import Reply

MAX_DETAIL = 300
#: Of what a relay says no more than this is looked at.
MAX_READ = 3000

_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?=\s|$)")

#: Codes of RFC 4954 and 3463 that speak of us, whoever the letter is for: sign in first, the
#: sign-in is not (any more) good, the day's mail is spent; and that the sender is none of ours.
_OUR_CODES = {530, 534, 535, 538}
_OUR_ENHANCED = {"5.4.5", "5.7.8", "5.7.9", "5.7.11"}
_SENDER_ENHANCED = {"5.1.7", "5.1.8"}
#: Many relays tell these only when they hear of a recipient or have the letter.
_OUR_WORDS = re.compile(
    r"relay(?:ing)?\b.{0,20}\b(?:denied|not (?:permitted|allowed))|unable to relay"
    r"|authentication (?:is )?required"
    r"|sending (?:quota|limit).{0,20}exceeded",
    re.IGNORECASE,
)
_SENDER_WORDS = re.compile(
    r"sender (?:address )?(?:rejected|refused|denied|not allowed)|address is not verified",
    re.IGNORECASE,
)
#: MAIL may be refused for the size of this one letter.
_TOO_LONG = {"5.3.4", "5.2.3"}
#: A relay that asks the reader's server first repeats its words; they are about this reader.
_THEIR_WORDS = re.compile(r"\bsaid:|undeliverable address", re.IGNORECASE)


def said(reply: Reply, hidden: tuple[str, ...] = ()) -> str:
    """`550 5.1.1 No such user here`: printable, on one line, at most 300 characters.

    Shape: hidden are secrets and addresses that the relay may repeat
    """
    texts = [line.decode("utf-8", "replace").strip() for line in reply.lines]
    code = enhanced(reply)
    texts = [text.removeprefix(code).strip() for text in texts]
    return _plain(" ".join([str(reply.code), code, *texts])[:MAX_READ], hidden)


def enhanced(reply: Reply) -> str:
    """The code of RFC 3463 that the reply begins with; empty when there is none."""
    found = _ENHANCED.match(reply.lines[0].decode("latin-1").strip())
    return found[0] if found else ""


def is_ours(reply: Reply) -> bool:
    """Whether a refusal speaks of us, so that every other copy would be refused as well.

    One that is meant for a while counts, too: copies would use up their patience with it
    (postfix says 454 to whom it does not relay for, until somebody mends that). One that the
    reader's server is quoted with does not: it would keep all other copies waiting.
    """
    words = said(reply)
    if _THEIR_WORDS.search(words):
        return False
    return (
        reply.code in _OUR_CODES
        or enhanced(reply) in _OUR_ENHANCED
        or _OUR_WORDS.search(words) is not None
    )


def is_of_sender(reply: Reply, step: str) -> bool:
    """Whether a refusal speaks of whose mail it is; another sender's may be taken.

    To MAIL any lasting one does that speaks neither of us nor of this letter's size. Many
    relays say it only when they hear of a recipient, and postfix does so as it is shipped.
    """
    if is_ours(reply):
        return False
    if step == "MAIL" and reply.kind == 5:
        return reply.code != 552 and enhanced(reply) not in _TOO_LONG
    words = said(reply)
    return _THEIR_WORDS.search(words) is None and (
        enhanced(reply) in _SENDER_ENHANCED or _SENDER_WORDS.search(words) is not None
    )


def spellings(secret: str) -> tuple[str, ...]:
    """A secret as it stands, and as it went over the line."""
    return (secret, b64encode(secret.encode("utf-8", "surrogateescape")).decode())


def _plain(text: str, hidden: tuple[str, ...]) -> str:
    for word in sorted(filter(None, hidden), key=len, reverse=True):
        text = re.sub(re.escape(word), "…", text, flags=re.IGNORECASE)
    text = "".join(sign if sign.isprintable() else " " for sign in text)
    text = " ".join(mask(text).split())
    return text if len(text) <= MAX_DETAIL else text[: MAX_DETAIL - 1] + "…"
