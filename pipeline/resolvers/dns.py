"""Asks the domain name system, within limits; or reads answers that somebody wrote down."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import dns.exception
import dns.resolver

from pipeline.errors import BadInput, Down

TIMEOUT_S = 5.0
MOST_ANSWERS_BYTES = 200_000
MOST_ALIASES = 8  #: steps from a name to the one that has the record; circles end, too

_LINE = re.compile(
    r"(?P<name>\S+?)\.?\s+(?:\d+\s+)?(?:IN\s+)?TXT\s+(?P<texts>\".*\")\s*", re.IGNORECASE
)
_ALIAS = re.compile(
    r"(?P<name>\S+?)\.?\s+(?:\d+\s+)?(?:IN\s+)?CNAME\s+(?P<to>\S+?)\.?\s*", re.IGNORECASE
)
#: What dig says when it has no answer: that tells nothing of the record.
_SILENT = re.compile(
    r"connection timed out|no servers could be reached|status: (?:SERVFAIL|REFUSED)", re.IGNORECASE
)
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')


class DnsNames:
    """Fits `Names`; asks the machine's own resolver, or the one that is named."""

    def __init__(self, server: str = "", port: int = 53) -> None:
        self._resolver = dns.resolver.Resolver(configure=not server)
        self._resolver.lifetime = self._resolver.timeout = TIMEOUT_S
        if server:
            self._resolver.nameservers, self._resolver.port = [server], port

    def txt(self, name: str) -> Sequence[str]:
        """The TXT records of a name, each put together from its parts.

        Raises: Down when nobody answers
        """
        try:
            found = self._resolver.resolve(name, "TXT")
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return ()
        except dns.exception.DNSException as error:
            raise Down(
                f"The domain name system does not answer for {name}: {type(error).__name__}.",
                "Look at the network and the resolver of this machine.",
            ) from error
        return tuple(b"".join(record.strings).decode("utf-8", "replace") for record in found)


class GivenNames:
    """Fits `Names`; knows the answers of a file, as `dig +noall +answer` prints them."""

    def __init__(
        self, answers: Mapping[str, Sequence[str]], aliases: Mapping[str, str] | None = None
    ) -> None:
        self._answers = {name.lower(): tuple(texts) for name, texts in answers.items()}
        self._aliases = {name.lower(): to.lower() for name, to in (aliases or {}).items()}

    def txt(self, name: str) -> Sequence[str]:
        """The records that the file has for a name, or for what it is an alias of; else none."""
        name = name.lower().rstrip(".")
        for _ in range(MOST_ALIASES):
            if name not in self._aliases:
                break
            name = self._aliases[name]
        return self._answers.get(name, ())


def read_answers(path: Path) -> GivenNames:
    """Lines such as `firm.example. 300 IN TXT "v=spf1 …"`, and CNAMEs that lead to them.

    Comments begin with a semicolon.

    Raises: BadInput with the first line that is none, or that says that nobody answered
    """
    try:
        text = path.read_text("utf-8")[:MOST_ANSWERS_BYTES]
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read.", "Name a text file.") from error
    answers: dict[str, list[str]] = {}
    aliases: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith(";"):
            _refuse_silence(line, f"{path}:{number}:1")
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            if alias := _ALIAS.fullmatch(line):
                aliases[alias["name"].lower()] = alias["to"]
                continue
            if re.search(r"\s(?:NS|A|AAAA|MX|RRSIG)\s", line, re.IGNORECASE):
                continue  # beside a TXT record
            raise BadInput(
                f"{path}:{number}:1: this line is no TXT record.",
                'Write lines such as: firm.example. 300 IN TXT "v=spf1 -all"',
            )
        parts = (re.sub(r"\\(.)", r"\1", part) for part in _TEXT.findall(found["texts"]))
        answers.setdefault(found["name"].lower(), []).append("".join(parts))
    return GivenNames(answers, aliases)


def _refuse_silence(comment: str, place: str) -> None:
    """No answer is not the answer that there is no record."""
    if found := _SILENT.search(comment):
        raise BadInput(
            f"{place}: dig got no answer here ({found[0]}).",
            "Ask once more where the domain name system answers, and take that for the file.",
        )
