"""Web addresses: one strict reader for all that strangers write, and the form to compare them by.

The reader is a grammar, not a repair shop: what browsers, resolvers and libraries read in
different ways (user info, backslashes, octal numbers, zone ids) is no address here.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import unicodedata
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote_to_bytes, urljoin

import idna

MAX_LENGTH = 8_000
DEFAULT_PORTS = {"http": 80, "https": 443}

_NEVER = re.compile(r"[\x00-\x1f\x7f-\x9f\\\u202a-\u202e\u2066-\u2069\ud800-\udfff\ue000-\uf8ff]")
_SHAPE = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s/?#@:%\[\]]+)"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^?#]*)?"
    r"(?:\?(?P<query>[^#]*))?"
    r"(?:#(?P<fragment>.*))?",
    re.IGNORECASE | re.DOTALL,
)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_SAFE = "!#$%&'()*+,-./:;=?@[]_~"  #: what may stand as it is in a path, query or fragment

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Address:
    """A web address in its parts, as everybody reads it."""

    scheme: str  #: http or https
    host: str  #: lower-case ASCII (IDNA); an IPv6 literal without its brackets
    port: int
    path: str  #: begins with a slash
    query: str | None = None
    fragment: str | None = None
    ip: IpAddress | None = None  #: when the host is a literal

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        query = "" if self.query is None else f"?{self.query}"
        fragment = "" if self.fragment is None else f"#{self.fragment}"
        return f"{self.scheme}://{self.authority}{self.path}{query}{fragment}"


def parse(raw_url: str) -> Address | None:
    """The address, or None when it is not a plain http or https one.

    Source: RFC 3986 §3; the host as in the WHATWG URL standard, §3.5, without its leniency
    """
    text = raw_url.strip(" \t\r\n")
    if len(text) > MAX_LENGTH or _NEVER.search(text):
        return None
    shape = _SHAPE.fullmatch(text)
    host = _host(shape["host"]) if shape else None
    if shape is None or host is None:
        return None
    scheme = shape["scheme"].lower()
    port = int(shape["port"]) if shape["port"] else DEFAULT_PORTS[scheme]
    if not 0 < port < 65_536:
        return None
    name, ip = host
    return Address(
        scheme,
        name,
        port,
        _quoted(shape["path"] or "/"),
        None if shape["query"] is None else _quoted(shape["query"]),
        None if shape["fragment"] is None else _quoted(shape["fragment"]),
        ip,
    )


def absolute(raw_url: str, base: str = "") -> str:
    """A link as a full address, read relative to its base; empty when it is none."""
    text = raw_url.strip(" \t\r\n")
    if not text or _NEVER.search(text):  # before joining: urljoin drops line breaks silently
        return ""
    found = parse(text)
    if found is None and base:
        try:
            found = parse(urljoin(base, text))
        except ValueError:  # urljoin on "[": no address
            found = None
    return str(found) if found else ""


# ── the form to compare by ───────────────────────────────────────────────────────────────

#: Parameters that say how a reader came, never what the page is.
_TRACKING = frozenset({
    "fbclid", "gclid", "gclsrc", "dclid", "gbraid", "wbraid", "msclkid", "yclid", "twclid",
    "ttclid", "li_fat_id", "igsh", "igshid", "mc_cid", "mc_eid", "_hsenc", "_hsmi", "hsctatracking",
    "mkt_tok", "vero_id", "oly_anon_id", "oly_enc_id", "epik", "rdt_cid", "guccounter",
    "guce_referrer", "guce_referrer_sig", "_ga", "_gl", "cmpid", "ncid", "ito", "xtor", "wt.mc_id",
    "wt_mc", "s_cid", "sr_share", "spm", "ref_src", "ref_url", "__twitter_impression",
    "fb_action_ids", "fb_action_types", "fb_ref", "fb_source", "cvid", "ocid", "soc_src", "soc_trk",
    "mbid", "trk", "trkcampaign", "trkinfo", "amp",
})  # fmt: skip
_TRACKING_PREFIXES = ("utm_", "at_medium", "at_campaign", "at_custom", "at_link", "pk_", "mtm_")
_TRACKING_VALUES = {
    "output": {"amp"},
    "outputtype": {"amp"},
    "ref": {"rss", "feed", "twitter", "facebook", "newsletter", "share"},
    "source": {"rss", "feed", "twitter", "facebook", "newsletter"},
    "from": {"rss", "feed"},
    "src": {"rss", "feed"},
}
_SIDE_DOORS = re.compile(r"^(?:(?:www|m|mobile|amp)\.(?=[^.]+\.[^.]))+")
_AMP_PATH = re.compile(r"(?<=.)(?:/amp/?|\.amp(?:\.html)?)$")
_AMP_CACHE = re.compile(r"/(?:[acv]|i|wp)/(s/)?([^/]+)(/.*)?")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")


def canonical(url: str) -> str:
    """The form by which two addresses of one page are the same; empty for no address.

    Host without www, mobile and AMP; https; no default port, dot segments, tracking
    parameters or fragment (a `#!` one stays, it names a page); parameters in order. A
    trailing slash stays: on some sites it matters. For comparing, not for asking.
    """
    found = parse(url)
    if found is None:
        return ""
    while (inner := _out_of_amp_cache(found)) != found:
        found = inner
    fragment = found.fragment if found.fragment and found.fragment.startswith("!") else None
    host = found.host if found.ip else _SIDE_DOORS.sub("", found.host)
    plain_port = found.port == DEFAULT_PORTS[found.scheme]
    return str(
        replace(
            found,
            scheme="https",
            host=host,
            port=443 if plain_port else found.port,
            path=_canonical_path(found.path),
            query=_canonical_query(found.query),
            fragment=fragment,
        )
    )


def without_tracking(url: str) -> str:
    """The address as a letter shows it: the same page, without what tells how a reader came."""
    found = parse(url)
    pairs = (found.query or "").split("&") if found else []
    kept = [pair for pair in pairs if not _is_tracking(pair)]
    if found is None or kept == pairs:
        return url
    return str(replace(found, query="&".join(kept) or None))


def link_hash(url: str) -> str:
    """SHA-256 of the canonical form, in hexadecimal; empty for no address."""
    return hash_of(canonical(url))


def hash_of(canonical_url: str) -> str:
    """SHA-256 of a form that is canonical already; empty for no address."""
    return hashlib.sha256(canonical_url.encode()).hexdigest() if canonical_url else ""


def _canonical_path(path: str) -> str:
    path = _dots_out(_ESCAPE.sub(_tidy_escape, path))
    while (shorter := _AMP_PATH.sub("", path)) != path:
        path = shorter or "/"
    return path


def _canonical_query(query: str | None) -> str | None:
    kept = sorted(
        _ESCAPE.sub(_tidy_escape, pair)
        for pair in (query or "").split("&")
        if pair and not _is_tracking(pair)
    )
    return "&".join(kept) or None


def _is_tracking(pair: str) -> bool:
    name, _, value = _ESCAPE.sub(_tidy_escape, pair).partition("=")
    values = _TRACKING_VALUES.get(name.lower(), ())
    return _names_tracking(name.lower()) or value.lower() in values


def _names_tracking(name: str) -> bool:
    return name in _TRACKING or name.startswith(_TRACKING_PREFIXES)


def _tidy_escape(match: re.Match[str]) -> str:
    byte = unquote_to_bytes(match[0])
    return byte.decode("ascii") if byte[0] in _UNRESERVED else match[0].upper()


def _dots_out(path: str) -> str:
    """Path without `.` and `..` segments (RFC 3986 §5.2.4)."""
    out: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            if out:
                out.pop()
        elif segment != ".":
            out.append(segment)
    ends_in_dots = segments[-1] in {".", ".."}
    return "/" + "/".join(out) + ("/" if ends_in_dots and out else "")


def _out_of_amp_cache(found: Address) -> Address:
    """The page itself, of an address inside an AMP cache or viewer."""
    if found.host.endswith(".cdn.ampproject.org"):
        inner = _AMP_CACHE.fullmatch(found.path)
    elif re.fullmatch(r"(?:www\.)?google\.[a-z.]+", found.host):
        inner = re.fullmatch(r"/amp/(s/)?([^/]+)(/.*)?", found.path)
    else:
        return found
    if inner is None:
        return found
    secure, host, path = inner.groups()
    query = "" if found.query is None else f"?{found.query}"
    return parse(f"http{'s' if secure else ''}://{host}{path or '/'}{query}") or found


# ── hosts ────────────────────────────────────────────────────────────────────────────────


def _host(raw_host: str) -> tuple[str, IpAddress | None] | None:
    """(ASCII name, the literal if it is one), or None for what is no host."""
    if raw_host.startswith("["):
        return _ipv6(raw_host[1:-1])
    name = raw_host if raw_host.isascii() else _ascii(raw_host)
    name = name.lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return None
    if _NUMBER.fullmatch(labels[-1]):  # then resolvers take it for a number, in some spelling
        return _ipv4(raw_host)
    return name, None


def _ascii(raw_host: str) -> str:
    """An international name in ASCII; empty when IDNA 2008 does not know it.

    Strict on purpose: the compatibility mapping turns "①②⑦.⓪.⓪.①" into a number.
    """
    try:
        lowered = unicodedata.normalize("NFC", raw_host).lower()
        return idna.encode(lowered, strict=True).decode("ascii")
    except UnicodeError:
        return ""


def _ipv4(raw_host: str) -> tuple[str, IpAddress] | None:
    try:
        ip = ipaddress.IPv4Address(raw_host)  # four decimal parts, no leading zeros
    except ValueError:
        return None
    return str(ip), ip


def _ipv6(inner: str) -> tuple[str, IpAddress] | None:
    try:
        ip = ipaddress.IPv6Address(inner)
    except ValueError:
        return None
    return ip.compressed, ip


def _quoted(text: str) -> str:
    return text if text.isascii() and _plain(text) else quote(text, safe=_SAFE)


def _plain(text: str) -> bool:
    return not re.search(r"[ \"<>^`{|}]", text)
