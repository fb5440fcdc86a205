"""Which of our accounts a company's name or a mail domain means."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from pipeline.errors import BadInput
from pipeline.model.catalog import Account, Catalog
from pipeline.rules.catalog import suggestion
from pipeline.rules.people.address import domain_of

#: Endings that say what a company is in law and not who it is.
_LEGAL = frozenset(
    {
        "ab", "ag", "aps", "as", "asa", "bv", "co", "company", "corp", "corporation", "gmbh",
        "inc", "incorporated", "kg", "kgaa", "limited", "llc", "llp", "ltd", "nv", "oy", "oyj",
        "plc", "pte", "pty", "sa", "sarl", "sas", "se", "spa", "srl",
    }
)  # fmt: skip

#: "Kaffa & Sons" is "Kaffa and Sons": between two words the sign and its word count for nothing.
_AND = frozenset({"and", "und", "et", "og", "och"})


class Companies:
    """Finds an account by its key, name or alias, or by the domain of an address."""

    def __init__(self, catalog: Catalog) -> None:
        self._keys: dict[str, str] = {}
        self._names: dict[str, set[str]] = {}
        self._bare: dict[str, set[str]] = {}
        self._domains: dict[str, str] = {}
        self._told: list[str] = []  # as the files write them
        for constellation in catalog.constellations:
            for account in constellation.accounts:
                self._learn(account)

    def by_name(self, raw_name: str) -> str | None:
        """The account's key; None for a company that is none of ours, or that could be two.

        Case, accents, punctuation and an "and" do not count; "Northline Ltd." is Northline.
        """
        if raw_name.strip() in self._keys:
            return raw_name.strip()
        name = _plain(raw_name)
        return _only(self._names.get(name, ())) or _only(self._bare.get(_without_legal(name), ()))

    def near(self, raw_name: str) -> str:
        """What was probably meant, to be added to a sentence; "" when nothing is near."""
        told = suggestion(raw_name, self._told)
        return told if told.startswith(",") else ""

    def by_domain(self, domain: str) -> str | None:
        """The account whose domain this is, or whose domain it is a part of."""
        labels = domain.split(".")
        return next(
            (
                key
                for start in range(len(labels) - 1)
                if (key := self._domains.get(".".join(labels[start:])))
            ),
            None,
        )

    def _learn(self, account: Account) -> None:
        self._keys[account.key] = account.key
        for raw_name in (account.key, account.name, *account.aliases):
            self._told.append(raw_name)
            name = _plain(raw_name)
            self._names.setdefault(name, set()).add(account.key)
            self._bare.setdefault(_without_legal(name), set()).add(account.key)
        try:
            self._domains[domain_of(account.domain).removeprefix("www.")] = account.key
        except BadInput:
            return  # no domain, or none that an address could have


def _only(keys: Iterable[str]) -> str | None:
    found = tuple(keys)
    return found[0] if len(found) == 1 else None


def _plain(name: str) -> str:
    letters = unicodedata.normalize("NFKD", name).casefold()
    letters = "".join(c for c in letters if not unicodedata.combining(c))
    words = re.sub(r"[^\w]+", " ", letters.replace("'", "").replace("’", "")).split()
    inner = [word for word in words[1:-1] if word not in _AND]
    return " ".join([*words[:1], *inner, *words[1:][-1:]])


def _without_legal(name: str) -> str:
    words = re.sub(r"\b(a s|b v|n v|s a|s p a|k g)$", lambda m: m[0].replace(" ", ""), name).split()
    while len(words) > 1 and words[-1] in _LEGAL:
        words.pop()
    return " ".join(words)
