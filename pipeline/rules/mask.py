"""Takes out of a text what no log may hold: addresses, keys, passwords, tokens."""

from __future__ import annotations

import re

GONE = "…"

#: What may stand in the local part of an address; no two matches can begin in one run of it.
_LOCAL = r"[^\s<>\"'(),:;@\[\]\\/=|{}&?…]"

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
    # "anna maria"@firm.example
    (re.compile(r"\"[^\"\n@]{1,64}\"(@|%40)"), rf"{GONE}\1"),
    # anna@firm.example → a…@firm.example
    (
        re.compile(rf"(?<!{_LOCAL})({_LOCAL})(?:(?!%40){_LOCAL})*(@|%40)", re.IGNORECASE),
        rf"\1{GONE}\2",
    ),
)


def mask(text: str) -> str:
    """The text as a log may hold it: `anna@firm.example` is `a…@firm.example`, keys are `…`.

    Meant to hide too much rather than too little; in time linear in the text.
    """
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    return text
