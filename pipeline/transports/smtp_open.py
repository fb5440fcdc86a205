"""Opens a line to the relay: connect, TLS, EHLO, sign in; each failure says what to look at."""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import Down
from pipeline.settings import SmtpSettings
from pipeline.transports.smtp_auth import sign_in
from pipeline.transports.smtp_line import Line, LineLost
from pipeline.transports.smtp_words import said

#: From the call to the sign-in, in answers' times: a relay that is slow at each step is not
#: waited for at each step.
OPENING_TIMES = 2


@dataclass(slots=True)
class Relay:
    """A line that is ready for letters."""

    line: Line
    size_bytes: int  #: the longest letter it takes; 0: it does not say
    takes_size: bool  #: whether MAIL may say how long the letter is
    carried: int = 0  #: letters it answered for
    dirty: bool = False  #: a transaction is half done


def open_relay(settings: SmtpSettings, own_name: str, within_s: float) -> Relay:
    """Connect and do all that comes before the first letter.

    Units:  within_s, seconds that are left for all of it
    Shape:  own_name, the domain we say we are: that of who sends, for asking the resolver for
            our own name takes seconds where DNS is bad
    Raises: Down when asking again will not help; LineLost when it might
    Source: RFC 5321 §3.1, RFC 3207 (STARTTLS), RFC 8314 (TLS from the first byte)
    """
    context = None if settings.tls == "none" else _context(settings)
    began = time.monotonic()
    ends_at = began + min(OPENING_TIMES * settings.timeout_s, within_s)
    connected = _connected(settings, min(began + settings.timeout_s, ends_at))
    line = Line(connected, settings.timeout_s)
    try:
        line.allow(ends_at - time.monotonic())
        return _prepared(line, settings, context, own_name)
    except BaseException:
        line.close()
        raise


def _prepared(
    line: Line, settings: SmtpSettings, context: ssl.SSLContext | None, own_name: str
) -> Relay:
    if context is not None and settings.tls == "tls":
        _seal(line, settings, context)
    greeting = line.greeting()
    if greeting.kind != 2:
        _not_ready(settings, said(greeting), temporary=greeting.kind == 4)
    offers = _offers(line, settings, own_name)
    if context is not None and settings.tls == "starttls":
        _start_tls(line, settings, context, offers)
        offers = _offers(line, settings, own_name)  # what it said in the clear counts no more
    if settings.user:
        sign_in(line, settings, offers.get("AUTH", "").upper().split())
    size = offers.get("SIZE", "")
    return Relay(line, int(size) if re.fullmatch(r"\d{1,15}", size) else 0, "SIZE" in offers)


# ── connect ──────────────────────────────────────────────────────────────────────────────


def _connected(settings: SmtpSettings, ends_at: float) -> socket.socket:
    """A socket to the first address that answers; each gets its share of the time."""
    places = _places(settings)
    error: OSError = TimeoutError()
    for tried, (family, place) in enumerate(places):
        left = max(ends_at - time.monotonic(), 0.001)
        try:
            return _called(family, place, left / (len(places) - tried))
        except OSError as failure:
            error = failure
    if isinstance(error, TimeoutError):
        raise LineLost("did not take our call in time") from None
    if isinstance(error, ConnectionRefusedError):
        raise LineLost("refused the connection: nobody listens at this port") from None
    raise LineLost(f"cannot be reached ({error.strerror or 'no connection'})") from None


def _called(family: int, place: tuple[Any, ...], within_s: float) -> socket.socket:
    connected = socket.socket(family, socket.SOCK_STREAM)
    try:
        connected.settimeout(within_s)
        connected.connect(place)
        # a command must not wait until the relay has acknowledged what was sent before it
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        connected.close()
        raise
    return connected


def _places(settings: SmtpSettings) -> list[tuple[int, tuple[Any, ...]]]:
    host = settings.host.strip("[]")
    try:
        found = socket.getaddrinfo(host, settings.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Down(
            f"The name of the mail relay, “{settings.host}”, leads to no address.",
            "Look at ASTERISM_SMTP_HOST, and whether this machine can look up names.",
        ) from None
    return [(family, place) for family, _, _, _, place in found]


def _not_ready(settings: SmtpSettings, words: str, *, temporary: bool) -> None:
    if temporary:
        raise LineLost(f"is not ready: {words}")
    raise Down(
        f"The mail relay {_name(settings)} does not serve us: {words}.",
        "Look at ASTERISM_SMTP_HOST and ASTERISM_SMTP_PORT; the relay may also have this "
        "machine's address on a list of those it does not know or trust.",
    )


# ── EHLO and TLS ─────────────────────────────────────────────────────────────────────────


def _offers(line: Line, settings: SmtpSettings, own_name: str) -> Mapping[str, str]:
    """Each extension with what stands behind it; none from a relay that knows HELO only."""
    reply = line.ask(b"EHLO " + own_name.encode("ascii"))
    if reply.code in (500, 501, 502, 504):
        reply = line.ask(b"HELO " + own_name.encode("ascii"))
    if reply.kind != 2:
        _not_ready(settings, said(reply), temporary=reply.kind == 4)
    offers: dict[str, str] = {}
    for raw in reply.lines[1:]:
        # before RFC 2554 some wrote AUTH=LOGIN
        name, _, rest = re.sub("^(AUTH)=", r"\1 ", raw.decode("latin-1").strip()).partition(" ")
        offers[name.upper()] = f"{offers.get(name.upper(), '')} {rest}".strip()
    return offers


def _start_tls(
    line: Line, settings: SmtpSettings, context: ssl.SSLContext, offers: Mapping[str, str]
) -> None:
    if "STARTTLS" not in offers:
        raise Down(
            f"The mail relay {_name(settings)} offers no encryption (STARTTLS), and letters do "
            "not go out in the clear.",
            "Look at ASTERISM_SMTP_PORT; if the relay encrypts from the first byte (port 465), "
            "set ASTERISM_SMTP_TLS=tls.",
        )
    reply = line.ask(b"STARTTLS")
    if reply.code != 220:
        _not_ready(settings, said(reply), temporary=reply.kind == 4)
    _seal(line, settings, context)


def _seal(line: Line, settings: SmtpSettings, context: ssl.SSLContext) -> None:
    try:
        line.seal(context, settings.host.strip("[]"))
    except ssl.SSLCertVerificationError as error:
        raise Down(
            f"The certificate of the mail relay {_name(settings)} cannot be trusted: "
            f"{error.verify_message.rstrip('.')}.",
            "ASTERISM_SMTP_HOST must be the name that stands in the certificate. If your own "
            "authority signed it, name that authority's PEM file in ASTERISM_SMTP_CA_FILE.",
        ) from None
    except ssl.SSLError as error:
        raise Down(
            f"The mail relay {_name(settings)} does not speak TLS as it should "
            f"({(error.reason or 'no handshake').lower().replace('_', ' ')}).",
            "Look at ASTERISM_SMTP_PORT and ASTERISM_SMTP_TLS: starttls goes with port 587, "
            "tls with port 465.",
        ) from None


def _context(settings: SmtpSettings) -> ssl.SSLContext:
    """Verifies the certificate and the name in it; TLS 1.2 at the least."""
    context = ssl.create_default_context()
    if settings.ca_file is not None:
        try:
            context.load_verify_locations(settings.ca_file)
        except OSError as error:
            broken = isinstance(error, ssl.SSLError)  # which is an OSError, too
            what = "holds no certificate" if broken else f"cannot be read ({error.strerror})"
            raise Down(
                f"{settings.ca_file} {what}.",
                "ASTERISM_SMTP_CA_FILE must name a PEM file with the certificate of who signs "
                "the relay's.",
            ) from None
    return context


def _name(settings: SmtpSettings) -> str:
    return f"{settings.host}:{settings.port}"
