"""The curated file: one issue as Markdown that a curator edits in any editor; what it holds.

The skeleton are lines that begin with one, two or three `#`, and handle lines in brackets:

    # Between Quays (no. 10)
    [issue: ferry-weekly/10 · 4c2e91aa · exported 2027-03-08T09:00:00Z]
    [known: m4xk2q7d 3f9a1c22]
    ### Subject
    Two battery ferries, and a quay that is not ready

    # In this issue
    ## Northline orders two battery ferries
    [story: m4xk2q7d · 3f9a1c22]
    > Coast Wire · 5 March 2027
    ### Fact
    ### Our take
    ### Question
    ### For Northline itself
    ### Between us

    # Also noted
    # Pool
    # Dropped

Sections decide what becomes of a story, their order is the order of the letter. A handle is the
beginning of a story's id, a link of one of its tellings (`[story: https://…]`), or `new` for a
field note, followed by `Learnt from: Account` or `Public: yes`, and `Source:`. What follows a
handle after a dot is a digest of the words as they were exported: it shows whether somebody
else changed them meanwhile. A file written by hand leaves digests, `known` and notes out.

A field whose label is absent stays as it is; a label with nothing under it empties the field.
Lines that begin with `>` above the first label are notes for the curator. A line of text that
looks like the skeleton carries a backslash in front.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

Place = Literal["main", "noted", "pool", "dropped"]
PLACES: Mapping[Place, str] = {
    "main": "In this issue",
    "noted": "Also noted",
    "pool": "Pool",
    "dropped": "Dropped",
}
#: Fields of a story and the label each is written with.
LABELS: Mapping[str, str] = {
    "fact": "Fact",
    "take": "Our take",
    "question": "Question",
    "own_wording": "For the company itself",
    "general_wording": "General wording",
    "sales_note": "Between us",
}
HEAD_LABELS: Mapping[str, str] = {
    "subject": "Subject",
    "preheader": "Preheader",
    "theme": "Theme",
    "opening": "Opening",
}
ONE_LINE = frozenset({"title", "question", "subject", "preheader", "theme"})
NEW = "new"  #: handle of a field note that the curator adds

_ALIASES: Mapping[str, str] = {
    "take": "take",
    "a question": "question",
    "own wording": "own_wording",
    "sales note": "sales_note",
    "preview text": "preheader",
    "headline": "theme",
}
#: Every label that is understood, in lower case, and the field it stands for.
BY_LABEL: Mapping[str, str] = {
    **{label.lower(): name for name, label in LABELS.items()},
    **{label.lower(): name for name, label in HEAD_LABELS.items()},
    **_ALIASES,
}
#: Labels that must not slip into a text by a missing ###: a note to sales would reach readers.
_GUARDED = tuple(label for label in BY_LABEL if BY_LABEL[label] in LABELS)

#: `For Northline itself`
ITSELF = re.compile(r"for\s+(.+)\s+(?:itself|themselves)$", re.IGNORECASE)
#: How a line of the skeleton begins.
STRUCTURE = re.compile(r"#{1,3}(?!#)|\[\s*(?:story|issue|known)\s*:", re.IGNORECASE)
_INDENTED = re.compile(r"( {0,3})(\\*)(.*)$", re.DOTALL)
#: Characters that no text of ours may hold: controls, the merge marks' private use area, BOM.
_UNWANTED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ue000-\uf8ff\ufeff\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Block:
    """One story in the file."""

    place: Place
    handle: str  #: beginning of a story's public id, a link, or `new`
    title: str
    words: Mapping[str, str] = field(default_factory=dict)  #: field → text; absent: unchanged
    base: str = ""  #: digest of the words as exported; empty when written by hand
    own_name: str = ""  #: whose own copies the own wording is for
    notes: tuple[str, ...] = ()  #: for the curator; not taken back
    learnt_from: str = ""  #: of a new note: account by name or key
    public: bool = False  #: of a new note
    source: str = ""  #: of a new note: link, or where it was seen
    line: int = field(default=0, compare=False)  #: of its `##`, 1-based


@dataclass(frozen=True, slots=True)
class Known:
    """A story that stood in the issue when the file was written."""

    handle: str
    base: str  #: digest of its words
    noted: bool = False  #: it stood under "Also noted"


@dataclass(frozen=True, slots=True)
class CuratedFile:
    """Everything the file says."""

    issue_ref: str
    heading: str
    head: Mapping[str, str] = field(default_factory=dict)  #: subject, preheader, theme, opening
    blocks: tuple[Block, ...] = ()
    base: str = ""  #: digest of the head as exported
    exported: str = ""  #: names one export; empty when written by hand
    known: tuple[Known, ...] = ()  #: the issue's stories at export, in their order
    notes: tuple[str, ...] = ()
    line: int = field(default=0, compare=False)


def tidy(text: str) -> str:
    """Text in the one form that is compared and stored.

    Newlines are `\\n`, no blank lines at either end, no blanks at a line's end (two stay where
    Markdown reads a break), no control or private-use characters.
    """
    text = _UNWANTED.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    lines = [_trimmed(line) for line in text.split("\n")]
    while lines and not lines[0]:
        lines.pop(0)
    while lines and not lines[-1]:
        lines.pop()
    return "\n".join([*lines[:-1], *(line.rstrip() for line in lines[-1:])])


def one_line(text: str) -> str:
    """Text of a field that holds one line: whitespace collapsed."""
    text = _UNWANTED.sub("", text.replace("\r", "\n"))
    return " ".join(text.split())


def tidy_field(name: str, text: str) -> str:
    """A field's text in its stored form."""
    return one_line(text) if name in ONE_LINE else tidy(text)


def digest(words: Mapping[str, str]) -> str:
    """Eight hex digits that change when any of the words does; empty fields do not count."""
    written = sorted((name, text) for name, text in words.items() if text)
    return hashlib.sha256(repr(written).encode()).hexdigest()[:8]


def _trimmed(line: str) -> str:
    bare = line.rstrip()
    return bare + "  " if bare and line.endswith("  ") else bare


# ── what is text, and what the file's skeleton ────────────────────────────────────────────


def escaped(line: str) -> str:
    """A line of text as it stands in the file: one like the skeleton behind a backslash."""
    indent, slashes, rest = parted(line)
    return f"{indent}{slashes}\\{rest}" if _is_skeleton(rest) else line


def unescaped(line: str) -> str:
    """A line of the file as text; `escaped` undone."""
    indent, slashes, rest = parted(line)
    return f"{indent}{slashes[1:]}{rest}" if slashes and _is_skeleton(rest) else line


def parted(line: str) -> tuple[str, str, str]:
    """(indent, backslashes, rest) of a line."""
    found = _INDENTED.match(line)
    return (found[1], found[2], found[3]) if found else ("", "", line)


def _is_skeleton(rest: str) -> bool:
    """Whether a line (without indent and backslashes) would be read as structure or a label."""
    return bool(STRUCTURE.match(rest)) or bool(slipped_label(rest))


def slipped_label(rest: str) -> str:
    """The label that a plain line such as `Between us: …` was probably meant to be."""
    before, colon, _ = rest.partition(":")
    key = label_key(before)
    if not key or len(key) > 60 or not (colon or before.lstrip(" *_")[:1].isupper()):
        return ""
    if ITSELF.match(key) and len(key.split()) <= 6:
        return before.strip(" \t*_")
    if not colon:
        return label_of(key) if key in _GUARDED else ""
    close = get_close_matches(key, _GUARDED, n=1, cutoff=0.85)
    return label_of(close[0]) if close else ""


def label_of(key: str) -> str:
    """The label as we write it, of one as it was understood."""
    name = BY_LABEL[key]
    return LABELS.get(name) or HEAD_LABELS[name]


def label_key(label: str) -> str:
    """A label as it is compared: lower case, no emphasis, no colon."""
    return " ".join(label.strip(" \t*_:").lower().split())
