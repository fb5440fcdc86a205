"""Numbers of a text as amounts, however they are written: 40,000,000, 40 Mio. or forty million.

English and German. What is as often a turn of phrase as a figure is no amount: numbers in
letters up to twelve, "a hundred times", "thousands".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

#: Prose writes numbers up to twelve in letters, for things that nobody counted.
PROSE = 12

_TOKEN = re.compile(
    r"\d(?:[\d.,’'\u00a0\u202f]|[ ](?=\d{3}(?!\d)))*\d|\d|[^\W\d_]+|[^\w\s\u00a0\u202f-]"
)
_GROUPED = re.compile(r"\d{1,3}(?:[.,’' \u00a0\u202f]\d{3})+")
_DECIMAL = re.compile(r"(\d+)[.,](\d{1,2}|\d{4,})")

_TEENS = [
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = [
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
]  # fmt: skip
_EINER = [
    "ein", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun",
]  # fmt: skip
_ZEHNER = [
    "zehn", "elf", "zwölf", "dreizehn", "vierzehn", "fünfzehn", "sechzehn", "siebzehn",
    "achtzehn", "neunzehn",
]  # fmt: skip
_ZIGER = [
    "zwanzig", "dreissig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig",
]  # fmt: skip
_ARTICLES = frozenset({"a", "an", "ein", "eine", "einen", "einer", "eines", "einem"})
_HUNDRED = frozenset({"hundred", "hundert"})
_HALVES = frozenset({"half", "halbe", "halben", "halber"})
_SCALES: Mapping[str, int] = {
    "thousand": 10**3, "tausend": 10**3, "tsd": 10**3, "k": 10**3,
    "million": 10**6, "millionen": 10**6, "mio": 10**6, "mn": 10**6,
    "billion": 10**9, "bn": 10**9, "milliarde": 10**9, "milliarden": 10**9, "mrd": 10**9,
    "trillion": 10**12, "billionen": 10**12,
}  # fmt: skip
#: After a digit, without a space: "€40m". It may as well be metres, so either is read.
_LETTERS: Mapping[str, int] = {"m": 10**6, "b": 10**9}
#: From here on a scale alone is a figure: "a million" is one, "a thousand" is not.
MANY = 10**6
#: Nobody writes a number so long; and Python would not read it.
LONGEST = 40


@dataclass(frozen=True, slots=True)
class Amount:
    """One number of a text."""

    value: Fraction
    written: str  #: as it stands there


def amounts(text: str) -> tuple[Amount, ...]:
    """Every number of a text that is meant as a figure.

    Shape:  a date or a span (3.5.2027, 14-16) is not one number and gives none, or its parts
    """
    return tuple(_Reader(text).amounts())


class _Reader:
    """Reads a text's tokens from left to right; each method takes what it understands."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_TOKEN.finditer(text))
        self._words = [token.group().casefold() for token in self._tokens]
        self._at = 0

    def amounts(self) -> Iterator[Amount]:
        while self._at < len(self._words):
            begin = self._at
            value, plain = self._amount()
            if value is None:
                self._at = begin + 1
            elif plain or value > PROSE:
                span = slice(self._tokens[begin].start(), self._tokens[self._at - 1].end())
                yield Amount(value, " ".join(self._text[span].split()))
                if plain and (scale := self._letter(span.stop)):
                    yield Amount(value * scale, self._text[span.start : span.stop + 1])

    def _letter(self, end: int) -> int:
        """The scale of one letter that stands right at the end of a number; else 0."""
        close = self._at < len(self._words) and self._tokens[self._at].start() == end
        return _LETTERS.get(self._word(), 0) if close else 0

    def _amount(self) -> tuple[Fraction | None, bool]:
        """(value, whether it is written in digits) of the number that begins here."""
        total, scale = Fraction(0), 0
        begin, digits = self._at, self._word()[:1].isdigit()
        while (part := self._part()) is not None:
            after = _SCALES.get(self._word(), 0)
            if scale and not self._goes_on(begin, scale, after):
                break
            total += part * (after or 1)
            begin = self._at = self._at + bool(after)
            scale = after
            if not after:
                break
            self._at += self._word() in ("and", "und")
        self._at = begin
        return (total or None), digits

    def _goes_on(self, begin: int, scale: int, after: int) -> bool:
        """Whether a part belongs to what was read: "forty million and thirty jobs" are two."""
        first = self._words[begin]
        if first in ("and", "und"):
            return scale < MANY and not self._words[begin + 1][:1].isdigit()
        return (after or 1) < scale and (bool(after) or not first[:1].isdigit())

    def _part(self) -> Fraction | None:
        """A number below a thousand, or in digits: what may stand before a scale."""
        word = self._word()
        if word[:1].isdigit():
            self._at += 1
            return _in_digits(word)
        if found := self._bare():
            return found
        if (german := _german(word)) is not None:
            self._at += 1
            return german
        return self._english()

    def _bare(self) -> Fraction | None:
        """A scale without a number: "a million", "half a million", "hundert Millionen"."""
        words = self._words[self._at : self._at + 3]
        for length in range(1, len(words)):
            before, scale = set(words[:length]), _SCALES.get(words[length], 0)
            if not before <= _ARTICLES | _HALVES | _HUNDRED or scale < MANY:
                continue
            if before == {"hundred"}:  # "a few hundred million" is no figure
                continue
            self._at += length
            if before & _HUNDRED:
                return Fraction(100)
            return Fraction(1, 2) if before & _HALVES else Fraction(1)
        return None

    def _english(self) -> Fraction | None:
        value = self._below_hundred()
        if value is None:
            return None
        if self._word() == "hundred":
            self._at += 1
            value *= 100
            mark = self._at
            self._at += self._word() == "and"
            rest = self._below_hundred()
            self._at, value = (mark, value) if rest is None else (self._at, value + rest)
        if self._words[self._at : self._at + 3] == ["and", "a", "half"]:
            self._at += 3
            value += Fraction(1, 2)
        return value

    def _below_hundred(self) -> Fraction | None:
        word = self._word()
        if word in _TEENS:
            self._at += 1
            return Fraction(_TEENS.index(word) + 1)
        if word not in _TENS:
            return None
        self._at += 1
        value = Fraction(10 * (_TENS.index(word) + 2))
        if self._word() in _TEENS[:9]:
            value += _TEENS.index(self._word()) + 1
            self._at += 1
        return value

    def _word(self) -> str:
        return self._words[self._at] if self._at < len(self._words) else ""


def _in_digits(written: str) -> Fraction | None:
    """1.500 and 1,500 are fifteen hundred in either language, 1,5 and 1.5 one and a half."""
    if len(written) > LONGEST:
        return None
    if written.isdecimal():
        return Fraction(int(written))
    if _GROUPED.fullmatch(written):
        return Fraction(int(re.sub(r"\D", "", written)))
    decimal = _DECIMAL.fullmatch(written)
    return Fraction(f"{decimal[1]}.{decimal[2]}") if decimal else None


def _german(word: str) -> Fraction | None:
    """`zweitausendvierhundert`, `vierzig`, `zweieinhalb`; None for a bare `hundert`."""
    small = _german_words()
    spelled = word.replace("ue", "ü").replace("oe", "ö")
    if spelled in small:
        return small[spelled]
    before, thousand, after = spelled.partition("tausend")
    after = after.removeprefix("und")
    if thousand and before in small and (not after or after in small):
        return small[before] * 1000 + (small[after] if after else 0)
    return None


@cache
def _german_words() -> Mapping[str, Fraction]:
    """Every number in one German word below a thousand; bare `hundert` only in front of more."""
    below = {word: n for n, word in enumerate((*_EINER, *_ZEHNER), start=1)}
    below |= {"eins": 1, "zwo": 2}
    for n, ten in enumerate(_ZIGER, start=2):
        below[ten] = 10 * n
        below |= {f"{one}und{ten}": 10 * n + m for m, one in enumerate(_EINER, start=1)}
    found = dict(below)
    for n, one in enumerate(("", *_EINER)):
        hundred = 100 * (n or 1)
        if one:
            found[f"{one}hundert"] = hundred
        for word, m in below.items():
            found[f"{one}hundert{word}"] = found[f"{one}hundertund{word}"] = hundred + m
    whole = {word: Fraction(n) for word, n in found.items()}
    halves = {f"{word}einhalb": Fraction(2 * n + 1, 2) for word, n in below.items() if n <= PROSE}
    return {**whole, **halves, "anderthalb": Fraction(3, 2)}
