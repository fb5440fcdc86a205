"""Text seen as words: folded for finding names, stemmed for comparing tellings."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_STOP = """
    a about after all also am amid among an and any are as at be because been before being but by
    can could did do does down for from get gets got had has have he her here hers him his how i if
    in into is it its just may might more most much must my new no nor not now of off on one only
    or our out over own per said same say says see she should since so some still such than that
    the their them then there these they this those through to too under until up update us vs was
    we were what when where which while who whom whose why will with would year years yet you your
    der die das den dem des ein eine einer eines einem und oder aber ist sind war wird werden mit
    von vom zu zum zur im in auf aus bei für nach über unter um am als auch nicht sich wie
"""
#: Words that tell no event apart. Reporting verbs stand here too: every headline has one.
STOP = frozenset(_STOP.split())

_SAME = str.maketrans(
    {
        "’": "'", "‘": "'", "ʼ": "'", "＇": "'",
        "‐": "-", "‑": "-", "­": None,
        "“": '"', "”": '"', "„": '"',
    }
)  # fmt: skip
_JOINED = re.compile(r"(?<=\w)-(?=\w)")
_TOKEN = re.compile(r"[^\W_]+(?:['.][^\W_]+)*")
_GENITIVE = re.compile(r"'s\b")
_VOWELS = frozenset("aeiouyäöü")


def tidy(text: str) -> str:
    """The text with one way of writing apostrophes, hyphens and spaces; case is kept."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text).translate(_SAME)
    return " ".join(text.replace("`", "'").split())


@dataclass(frozen=True, slots=True)
class Folded:
    """A tidy text, and the same text folded for comparing, character beside character."""

    shown: str
    folded: str  #: lower case, hyphens inside words as spaces; as long as `shown`


def fold(text: str) -> Folded:
    """Fold a text so that names are found whatever their case, hyphens and apostrophes.

    A character whose lower case would be longer keeps its place: places found in `folded`
    are places in `shown`.
    """
    shown = tidy(text)
    lower = shown.lower()
    if len(lower) != len(shown):
        lower = "".join(low if len(low := c.lower()) == 1 else c for c in shown)
    return Folded(shown, _JOINED.sub(" ", lower) if "-" in lower else lower)


def is_word(char: str) -> bool:
    """Whether this character belongs to a word: letters, digits, marks, the underscore."""
    return char.isalnum() or char == "_" or unicodedata.category(char).startswith("M")


def is_unspaced(char: str) -> bool:
    """Whether this script sets no spaces between words: Thai, Kana, Han, Hangul."""
    code = ord(char)
    return (
        0x0E00 <= code <= 0x0E7F
        or 0x3040 <= code <= 0x30FF
        or 0x3400 <= code <= 0x9FFF
        or 0xAC00 <= code <= 0xD7AF
    )


def stem(word: str) -> str:
    """One form for a word's plural and its tenses: rough, quick, for comparing only."""
    word = _without_plural(word)
    for ending in ("ing", "ed"):
        root = word.removesuffix(ending)
        if root is not word and len(root) > 2 and _VOWELS & set(root):
            word = _undoubled(root)
            break
    return word[:-1] if len(word) > 4 and word.endswith("e") else word


def _without_plural(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("ses", "xes", "zes", "hes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _undoubled(root: str) -> str:
    """stopp → stop, but fall and pass stay."""
    doubled = len(root) > 3 and root[-1] == root[-2] and root[-1] not in "lsz"
    return root[:-1] if doubled else root


def terms(text: str) -> list[str]:
    """Stems of a text's telling words, in order; numbers count, stop words do not."""
    flat = _GENITIVE.sub("", tidy(unicodedata.normalize("NFKC", text)).lower())
    words = (w.replace(".", "").replace("'", "") for w in _TOKEN.findall(flat))
    return [stem(w) for w in words if w not in STOP and (len(w) > 1 or not w.isascii())]


def lead_of(text: str, words: int = 60) -> str:
    """The opening of a text: whole sentences of the first so many words."""
    pieces = text.split()
    if len(pieces) <= words:
        return " ".join(pieces)
    end = next(
        (
            i + 1
            for i in range(words - 1, words // 2, -1)
            if pieces[i].endswith((".", "!", "?", "…"))
        ),
        0,
    )
    return " ".join(pieces[:end]) if end else " ".join(pieces[:words]) + " …"


def in_words(count: int) -> str:
    """Small numbers as a person writes them: two, three, … twelve, 13."""
    small: Sequence[str] = (
        "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
        "eleven", "twelve",
    )  # fmt: skip
    return small[count] if 0 <= count < len(small) else str(count)
