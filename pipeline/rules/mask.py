"""Takes out of a text what no log may hold: addresses, keys, passwords, tokens."""

from __future__ import annotations

import re

GONE = "…"

#: What may stand in the local part of an address that has no quotes: all of RFC 5321's atext.
_LOCAL = r"[^\s\x00-\x1f\x7f<>\"(),:;@\[\]\\…]"
#: In a URL some of it parts one thing from the next, and its host is no secret.
_LOCAL_IN_URL = r"[^\s\x00-\x1f\x7f<>\"(),:;@\[\]\\…/?&#]"
_URL = re.compile(r"://[^\s<>\"'(),;]+")
_INITIAL = re.compile(r"[\W_]*[^\W_]?")

#: Each reads a text once: what repeats is either bounded or begins where nothing like it precedes.
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # postgresql://user:password@host
    (re.compile(r"(://)[^\s/@:\"']{0,256}:[^\s@\"']{1,256}@"), rf"\1{GONE}@"),
    # a private key, whole
    (
        re.compile(r"(-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----)[^-]{0,20000}"),
        rf"\1{GONE}",
    ),
    # Authorization: Bearer …, auth=Bearer …
    (re.compile(r"\b(bearer|basic|xoauth2)\s{1,8}[^\s\"'<>,;]+", re.IGNORECASE), rf"\1 {GONE}"),
    # AUTH PLAIN …
    (re.compile(r"\b(auth\s{1,4}(?:plain|login))\s{1,4}[^\s\"']+", re.IGNORECASE), rf"\1 {GONE}"),
    (re.compile(r"\bSG\.[\w.\-]{3,}"), f"SG.{GONE}"),
    # password=…, "api_key": "…", ASTERISM_SECRET=…
    (
        re.compile(
            r"(passw(?:or)?d|passphrase|secret|api[_-]?key|sendgrid[_-]key|token|authorization)"
            r"(\\?[\"']?\s{0,8}[:=]\s{0,8})"
            r"(?:\\?\"(?:\\.|[^\"\\\n]){1,4096}\"?|'[^'\n]{1,4096}'?|(?!(?:bearer|basic)\b|…)[^\s\"',;&)]+)",
            re.IGNORECASE,
        ),
        rf"\1\2{GONE}",
    ),
    # /leave/TOKEN, and whatever looks like a token of ours
    (
        re.compile(
            r"(?i)(/(?:leave|stop|preview|review|approve|look|events|token)s?/)[^\s/?#\"'<>]+"
        ),
        rf"\1{GONE}",
    ),
    (re.compile(r"(?<![\w-])[A-Za-z0-9_-]{43}(?![\w-])"), GONE),
    # "anna maria"@firm.example, also where quotes are escaped themselves
    (re.compile(r"\\\"[^\"\\\n]{1,128}\\\"(@|%40)"), rf"{GONE}\1"),
    (re.compile(r"\"(?:\\.|[^\"\\\n]){1,128}\"(@|%40)"), rf"{GONE}\1"),
)


def _address(local: str) -> re.Pattern[str]:
    """No two matches can begin in one run of what may stand in a local part."""
    begins = rf"(?:(?<!{local})|(?<=%40))"
    return re.compile(rf"{begins}({local}(?:(?!%40){local})*)(@|%40)")


_ADDRESS, _ADDRESS_IN_URL = _address(_LOCAL), _address(_LOCAL_IN_URL)


def mask(text: str) -> str:
    """The text as a log may hold it: `anna@firm.example` is `a…@firm.example`, keys are `…`.

    Meant to hide too much rather than too little (`to=anna@firm.example` is `t…@firm.example`,
    because all of it may be one mailbox); in time linear in the text.
    """
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    done, parts = 0, []
    for url in _URL.finditer(text):
        parts.append(_ADDRESS.sub(_shortened, text[done : url.start()]))
        parts.append(_ADDRESS_IN_URL.sub(_shortened, url[0]))
        done = url.end()
    return "".join([*parts, _ADDRESS.sub(_shortened, text[done:])])


def _shortened(found: re.Match[str]) -> str:
    """anna@ → a…@; signs before the first letter stay, since they may be no part of it."""
    initial = _INITIAL.match(found[1])
    return f"{initial[0] if initial else ''}{GONE}{found[2]}"
