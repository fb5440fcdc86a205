"""Traces of one person in other people's words: found, and taken out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any
from urllib.parse import quote

from pipeline.errors import BadInput
from pipeline.rules.people.address import normalise

#: Stands where a name or an address stood.
ERASED = "[erased]"
#: Where a ready mail to an erased person leads: nowhere.
NOWHERE = "#erased"

#: Texts of a logged step that tell nothing of the person.
_PLAIN = frozenset(
    {"paused_until", "held_by", "letters", "how", "copy", "kind", "at", "story", "import"}
)


@dataclass(frozen=True)
class Traces:
    """By what one person is recognised."""

    addresses: tuple[str, ...]  #: as written, and every one they had
    names: tuple[str, ...]  #: in full: “Ingrid Sæther”; one word where we know no more

    @property
    def full(self) -> Traces:
        """Without names of a single word: others may be called so, too."""
        return Traces(self.addresses, tuple(name for name in self.names if " " in name))

    def needles(self) -> tuple[str, ...]:
        """What a database can look for: any text that holds a trace holds one of these."""
        words = [*self.addresses, *self.names]
        forms = (form for word in words for form in _forms(word))
        return tuple(dict.fromkeys(low for form in forms if form for low in _lowered(form)))

    def stand_in(self, value: object) -> bool:
        """Whether a text, bytes or JSON hold a trace."""
        return bool(self.taken_out(value) != value)

    def taken_out(self, value: Any) -> Any:
        """The same text, bytes or JSON with ERASED where a trace was."""
        if isinstance(value, bytes):
            return self.taken_out(value.decode("utf-8", "surrogateescape")).encode(
                "utf-8", "surrogateescape"
            )
        if isinstance(value, str):
            return self._words.sub(ERASED, self._mails.sub(NOWHERE, value))
        if isinstance(value, Mapping):
            return {self.taken_out(k): self.taken_out(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.taken_out(one) for one in value]
        return value

    def off_the_list(self, letter: bytes, role: str) -> bytes:
        """A sales letter without them: its line for them says only that somebody stood there.

        Beside the name it shows their role, and a link that calls them by their first name.
        """
        said = self.taken_out(letter).decode("utf-8", "surrogateescape")
        said = re.sub(rf'<a [^>]*"{NOWHERE}"[^>]*>.*?</a>', "", said, flags=re.DOTALL)
        if role:
            said = re.sub(rf"(?<={re.escape(ERASED)}),\s+(?:{_either([role])})", "", said)
        return said.encode("utf-8", "surrogateescape")

    @cached_property
    def _mails(self) -> re.Pattern[str]:
        """A ready mail to them, with the words in it."""
        return re.compile(rf"mailto:(?:{_either(self.addresses)})(?:\?[^\s\"'<>]*)?", re.I)

    @cached_property
    def _words(self) -> re.Pattern[str]:
        addresses, names = _either(self.addresses), _either(self.names)
        return re.compile(
            rf"(?<![\w.+-])(?:{addresses})(?![\w-])|(?<!\w)(?:{names})(?!\w)", re.IGNORECASE
        )


def traces_of(addresses: Sequence[str], names: Sequence[tuple[str, str]]) -> Traces:
    """Of somebody with these addresses and (first, last) names, in both orders."""
    written = dict.fromkeys(address for address in addresses if address)
    plain = dict.fromkeys(filter(None, map(_plain_form, written)))
    full: dict[str, None] = {}
    for first, last in names:
        if first and last:
            full |= dict.fromkeys((f"{first} {last}", f"{last} {first}", f"{last}, {first}"))
        elif first or last:
            full[first or last] = None
    return Traces(tuple({**written, **plain}), tuple(full))


def plain_facts(logged: Mapping[str, Any]) -> dict[str, Any]:
    """Of a logged step what may stay when its person is erased: no word that somebody wrote."""
    return {
        name: "" if isinstance(value, str) and name not in _PLAIN else value
        for name, value in logged.items()
    }


def _plain_form(address: str) -> str:
    try:
        return normalise(address)
    except BadInput:
        return ""


def _either(words: Sequence[str]) -> str:
    """A pattern for any of them in any of its forms; for nothing when there are none."""
    forms = dict.fromkeys(form for word in words for form in _forms(word))
    longest_first = sorted(forms, key=len, reverse=True)
    return "|".join(map(re.escape, longest_first)) or r"(?!)"


def _lowered(form: str) -> tuple[str, str]:
    """As PostgreSQL lowers it, and as SQLite does, which knows only ASCII."""
    return form.lower(), "".join(c.lower() if c.isascii() else c for c in form)


def _forms(word: str) -> Iterator[str]:
    """As written, in HTML, in a link, and in JSON."""
    yield word
    yield escape(word)
    yield quote(word, safe="@")
    yield quote(word, safe="")
    yield json.dumps(word)[1:-1]
