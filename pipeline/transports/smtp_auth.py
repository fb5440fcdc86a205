"""Signs in at a relay: by password, or by an OAuth 2 token that another program keeps fresh."""

from __future__ import annotations

import binascii
import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.errors import Down
from pipeline.settings import SmtpSettings
from pipeline.transports.smtp_line import Line, LineLost, Reply
from pipeline.transports.smtp_words import said, spellings

MAX_TOKEN_BYTES = 16_384
#: RFC 4954 §4: an answer that makes the command longer waits until the relay asks for it.
MAX_COMMAND = 500

Step = Callable[[bytes], bytes]  #: the relay's challenge → our answer

#: Under TLS the plainest first; without, none that shows the password, if it can be helped.
SEALED, OPEN = ("PLAIN", "LOGIN", "CRAM-MD5"), ("CRAM-MD5", "PLAIN", "LOGIN")
_NEXT_ONE = {504, 534}  # this mechanism is unknown, or too weak


def sign_in(line: Line, settings: SmtpSettings, offered: Sequence[str]) -> None:
    """Show the relay who we are, by the first way that both know.

    Shape:  offered are the names behind AUTH in the answer to EHLO, in upper case
    Raises: Down when it does not accept us; LineLost when it may do so later
    Source: RFC 4954; RFC 4616 (PLAIN); RFC 2195 (CRAM-MD5); Google's and Microsoft's XOAUTH2
    """
    if settings.token_file is not None:
        _by_token(line, settings, settings.token_file, offered)
    else:
        _by_password(line, settings, offered)


def _by_password(line: Line, settings: SmtpSettings, offered: Sequence[str]) -> None:
    order = OPEN if settings.tls == "none" else SEALED
    known = [name for name in order if name in offered]
    if not known:
        raise _nothing_fits(offered)
    hidden = (*spellings(settings.password), *spellings(settings.user))
    for name in known:
        reply, _ = _exchange(line, name, _steps(name, settings))
        if reply.code not in _NEXT_ONE:
            break
    _require(
        reply,
        said(reply, hidden),
        "Look at ASTERISM_SMTP_USER and ASTERISM_SMTP_PASSWORD. Some providers ask for a "
        "password made for programs, or for a token (ASTERISM_SMTP_TOKEN_FILE).",
    )


def _steps(name: str, settings: SmtpSettings) -> tuple[Step, ...]:
    user, password = _bytes(settings.user), _bytes(settings.password)
    if name == "PLAIN":
        return (lambda _: b"\0" + user + b"\0" + password,)
    if name == "LOGIN":
        return (lambda _: user, lambda _: password)
    return (lambda challenge: user + b" " + _digest(password, challenge),)


def _digest(password: bytes, challenge: bytes) -> bytes:
    return hmac.new(password, challenge, "md5").hexdigest().encode()


def _by_token(line: Line, settings: SmtpSettings, token_file: Path, offered: Sequence[str]) -> None:
    if "XOAUTH2" not in offered:
        raise _nothing_fits(offered)
    token = read_token(token_file)
    answer = b"user=%s\x01auth=Bearer %s\x01\x01" % (_bytes(settings.user), token.encode())
    reply, challenge = _exchange(line, "XOAUTH2", (lambda _: answer,))
    hidden = (*spellings(token), *spellings(answer.decode("utf-8", "replace")), settings.user)
    _require(
        reply,
        said(reply, hidden) + _status(challenge),
        "Look whether the token in ASTERISM_SMTP_TOKEN_FILE is fresh, and whether it was made "
        "for ASTERISM_SMTP_USER and for sending by SMTP.",
    )


def read_token(path: Path) -> str:
    """What the file holds now: another program may have written it anew a minute ago.

    Raises: Down
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_TOKEN_BYTES + 1)
    except OSError as error:
        raise _token(f"cannot be read: {error.strerror or 'an error of the disk'}") from None
    token = raw.strip()
    if not token:
        raise _token("is empty")
    if len(raw) > MAX_TOKEN_BYTES or not all(0x21 <= byte <= 0x7E for byte in token):
        raise _token("holds something else than one token")
    return token.decode("ascii")


def _token(what: str) -> Down:
    return Down(
        f"The file with the mail token {what}.",
        "Look at ASTERISM_SMTP_TOKEN_FILE, and whether the program that keeps the token fresh "
        "still runs.",
    )


# ── the exchange ─────────────────────────────────────────────────────────────────────────


def _exchange(line: Line, name: str, steps: Sequence[Step]) -> tuple[Reply, bytes]:
    """The relay's verdict, and what it asked last.

    A relay that goes on asking is told so in the way that ends the exchange: for XOAUTH2 that
    question is the reason why not, and wants an empty answer.
    """
    command, rest = f"AUTH {name}".encode(), list(steps)
    if name in ("PLAIN", "XOAUTH2"):
        first = b64encode(rest[0](b""))
        if len(command) + 1 + len(first) <= MAX_COMMAND:
            command, rest = command + b" " + first, rest[1:]
    reply, challenge = line.ask(command, "AUTH"), b""
    for step in rest:
        if reply.code != 334:
            return reply, challenge
        challenge = _challenge(reply)
        reply = line.ask(b64encode(step(challenge)), "AUTH")
    if reply.code == 334:
        challenge = _challenge(reply)
        reply = line.ask(b"" if name == "XOAUTH2" else b"*", "AUTH")
    return reply, challenge


def _challenge(reply: Reply) -> bytes:
    try:
        return b64decode(reply.lines[0], validate=True)
    except binascii.Error:
        if reply.lines[0].strip():
            raise LineLost("gave no answer to AUTH that is SMTP") from None
        return b""


def _status(challenge: bytes) -> str:
    """The HTTP status in what a relay says of a token it does not like."""
    try:
        status = json.loads(challenge)["status"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
    word = str(status)
    return f" (status {word})" if word.isascii() and word.isdigit() and len(word) == 3 else ""


def _require(reply: Reply, words: str, hint: str) -> None:
    if reply.kind == 2:
        return
    if reply.kind == 4:
        raise LineLost(f"cannot sign us in now: {words}")
    raise Down(f"The mail relay did not accept our sign-in: {words}.", hint)


def _nothing_fits(offered: Sequence[str]) -> Down:
    names = ", ".join(name for name in offered if name.isascii() and name.isprintable())[:100]
    return Down(
        f"The mail relay offers no sign-in that fits (it offers: {names or 'none'}).",
        "Look at ASTERISM_SMTP_PORT (587 with starttls, 465 with tls). A token "
        "(ASTERISM_SMTP_TOKEN_FILE) needs XOAUTH2, a password PLAIN, LOGIN or CRAM-MD5; leave "
        "ASTERISM_SMTP_USER empty for a relay that wants no sign-in.",
    )


def _bytes(text: str) -> bytes:
    """As the environment gave it, whatever its encoding."""
    return text.encode("utf-8", "surrogateescape")
