"""Reads the curated file as people edit it: all that can be read, each mistake with its line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from pipeline.errors import BadInput, Mistake
from pipeline.rules.letters.curated import (
    BY_LABEL,
    HEAD_LABELS,
    ITSELF,
    LABELS,
    NEW,
    PLACES,
    STRUCTURE,
    Block,
    CuratedFile,
    Known,
    Place,
    label_key,
    label_of,
    one_line,
    parted,
    slipped_label,
    tidy_field,
    unescaped,
)

_BY_PLACE = {name.lower(): place for place, name in PLACES.items()}
_PROPERTIES: Mapping[str, str] = {
    "learnt from": "learnt_from",
    "public": "public",
    "source": "source",
}

_HEADING = re.compile(r" {0,3}(#{1,3})(?!#)\s*(.*?)\s*$")
_HANDLE = re.compile(r" {0,3}\[\s*(story|issue|known)\s*:\s*(.*?)\s*\]\s*$", re.IGNORECASE)
_NOTE = re.compile(r" {0,3}>\s*(.*?)\s*$")
_PROPERTY = re.compile(r"\s*([^:]{1,40}?)\s*:\s*(.*?)\s*$")
_EXPORTED = re.compile(r"(?:^|[\s·])exported\s+(\S+)$")
_DIGEST = re.compile(r"[0-9a-f]{8}$")


@dataclass(frozen=True, slots=True)
class Parsed:
    """What could be read, and every mistake."""

    file: CuratedFile
    mistakes: tuple[Mistake, ...]


def read(text: str, file_name: str) -> Parsed:
    """Read as much as can be read; a caller that knows more may add mistakes of its own."""
    reader = _Reader(file_name)
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    for number, line in enumerate(text.split("\n"), start=1):
        reader.take(number, line)
    return reader.finish()


def parse(text: str, file_name: str = "curated.md") -> CuratedFile:
    """Read the file whole.

    Raises: BadInput with every mistake and its line
    """
    parsed = read(text, file_name)
    refuse(parsed.mistakes, file_name)
    return parsed.file


def refuse(mistakes: Iterable[Mistake], file_name: str) -> None:
    """Raise BadInput when there are mistakes, in the order of their lines."""
    found = tuple(sorted(mistakes))
    if not found:
        return
    count = "1 mistake" if len(found) == 1 else f"{len(found)} mistakes"
    raise BadInput(
        f"{file_name} has {count}; nothing of it was taken.",
        "Mend the lines named above and import the file again.",
        found,
    )


class _Open:
    """A head or a block while its lines come in."""

    def __init__(self, place: Place | None, title: str, line: int) -> None:
        self.place = place
        self.title = title
        self.line = line
        self.handle = ""
        self.odd_handle = False  # told already: it is not missing
        self.base = ""
        self.own_name = ""
        self.exported = ""
        self.known: list[Known] = []
        self.notes: list[str] = []
        self.properties: dict[str, str] = {}
        self.fields: dict[str, list[str]] = {}

    def words(self) -> dict[str, str]:
        return {name: tidy_field(name, "\n".join(lines)) for name, lines in self.fields.items()}


class _Reader:
    """Takes line after line; collects mistakes instead of stopping at the first."""

    def __init__(self, file_name: str) -> None:
        self._file = file_name
        self._mistakes: list[Mistake] = []
        self._head: _Open | None = None
        self._blocks: list[_Open] = []
        self._open: _Open | None = None
        self._text: list[str] | None = None  # of the field that is open
        self._place: Place | None = None
        self._headings = 0
        self._stray = False  # a stray text was told already; one mistake for each is enough

    def take(self, number: int, line: str) -> None:
        if heading := _HEADING.match(line):
            self._stray = False
            self._text = None
            begin = (self._section, self._story, self._label)[len(heading[1]) - 1]
            begin(number, one_line(heading[2]))
        elif self._text is not None:
            self._field_line(number, line)
        elif line.strip():
            self._bare_line(number, line)

    def finish(self) -> Parsed:
        head = self._head or _Open(None, "", 1)
        marked = [one for one in (head, *self._blocks) if one.handle or one.odd_handle]
        if not marked and len(self._mistakes) > 1:
            self._mistakes.clear()  # another kind of file: its every line would be one more
            self._wrong(
                head.line,
                "there is no `[issue: …]` and no `[story: …]` line: is this a file that "
                "`asterism curate export` wrote?",
            )
            return Parsed(
                CuratedFile("", head.title, {}, (), line=head.line), tuple(self._mistakes)
            )
        if not (head.handle or head.odd_handle):
            self._wrong(
                head.line,
                "the line `[issue: newsletter/number]` is missing under the first heading",
            )
        blocks = tuple(self._block(block) for block in self._blocks)
        self._twice(blocks)
        curated = CuratedFile(
            issue_ref=head.handle,
            heading=head.title,
            head=head.words(),
            blocks=blocks,
            base=head.base,
            exported=head.exported,
            known=tuple(head.known),
            notes=tuple(head.notes),
            line=head.line,
        )
        return Parsed(curated, tuple(sorted(self._mistakes)))

    # headings

    def _section(self, line: int, name: str) -> None:
        self._headings += 1
        self._open = None
        self._place = _BY_PLACE.get(name.rstrip(":").lower())
        if self._place is not None:
            return
        close = get_close_matches(name.lower(), list(_BY_PLACE), n=1, cutoff=0.7)
        if self._headings == 1 and not close:
            self._head = self._open = _Open(None, name, line)
            return
        names = ", ".join(f"`# {place}`" for place in PLACES.values())
        suggestion = f"did you mean `# {PLACES[_BY_PLACE[close[0]]]}`?" if close else f"use {names}"
        self._wrong(line, f"unknown section “{name}”: {suggestion}{_or_text('#')}")

    def _story(self, line: int, title: str) -> None:
        if not self._headings:
            self._wrong(line, "a story stands before the first `# ` heading")
        elif self._open is not None and self._open is self._head:
            self._wrong(line, "a story stands above the first section, such as `# In this issue`")
        if not title:
            self._wrong(line, "this story has no title: write it after `##`")
        self._open = _Open(self._place, title, line)
        self._blocks.append(self._open)

    def _label(self, line: int, label: str) -> None:
        self._text = []
        if self._open is None:
            self._wrong(line, f"the field “{label}” stands under no story")
            return
        allowed = HEAD_LABELS if self._open is self._head else LABELS
        key = label_key(label)
        name = BY_LABEL.get(key, "")
        if own := ITSELF.match(label.rstrip(" *_:")):
            name, own_name = "own_wording", own[1].strip()
            self._open.own_name = "" if own_name.lower() == "the company" else own_name
        if name not in allowed:
            self._wrong(line, f"unknown label “{label}”: {_meant(key, allowed)}{_or_text('###')}")
            return
        if name in self._open.fields:
            self._wrong(line, f"“{label}” stands twice under “{self._open.title}”: join the two")
            return
        self._text = self._open.fields[name] = []

    # lines below them

    def _field_line(self, number: int, line: str) -> None:
        _, slashes, rest = parted(line)
        if slashes:
            line = unescaped(line)
        elif STRUCTURE.match(rest):
            self._wrong(number, "a handle in the middle of a text: is its `## title` line missing?")
        elif label := slipped_label(rest):
            self._wrong(
                number,
                f"is this a label? Write `### {label}` on a line of its own, or put a backslash "
                "in front if it is text",
            )
        if self._text is not None:
            self._text.append(line)

    def _bare_line(self, number: int, line: str) -> None:
        if found := _HANDLE.match(line):
            self._stray = False
            self._handle(number, found[1].lower(), found[2])
        elif found := _NOTE.match(line):
            self._stray = False
            if self._open is not None and found[1]:
                self._open.notes.append(one_line(found[1]))
        elif not self._property(number, line) and not self._stray:
            self._stray = True
            self._wrong(number, self._why_stray())

    def _handle(self, line: int, kind: str, value: str) -> None:
        where = self._open
        wanted = ("issue", "known") if where is self._head else ("story",)
        if where is None:
            self._wrong(line, f"`[{kind}: …]` belongs under a `## title`")
        elif kind not in wanted:
            where.odd_handle = True
            self._wrong(line, f"`[{kind}: …]` does not belong here: `[{wanted[0]}: …]` does")
        elif kind == "known":
            where.known += [_known(word) for word in value.split(",") if word.strip()]
        elif where.handle:
            self._wrong(line, f"a second handle under “{where.title}”: its `## title` is missing")
        else:
            self._name(line, where, value)

    def _name(self, line: int, where: _Open, value: str) -> None:
        exported = _EXPORTED.search(value) if where is self._head else None
        if exported:
            where.exported = exported[1]
            value = value[: exported.start()]
        parts = [part for part in value.split() if part != "·"]
        if len(parts) == 2 and _DIGEST.match(parts[1]):
            where.base = parts.pop()
        if len(parts) != 1:
            where.odd_handle = True
            self._wrong(line, "a handle is one word: the story's id, its link, or `new`")
            return
        where.handle = parts[0].removeprefix("<").removesuffix(">")
        if where is not self._head and where.handle.lower() == NEW:
            where.handle = NEW

    def _property(self, number: int, line: str) -> bool:
        """Take `Learnt from:`, `Public:` or `Source:` of a new note; False for anything else."""
        found = _PROPERTY.match(line)
        name = _PROPERTIES.get(label_key(found[1])) if found else None
        if not found or not name or self._open is None or self._open is self._head:
            return False
        self._stray = False
        if self._open.handle != NEW:
            self._wrong(number, f"`{found[1]}:` is only for a new note (`[story: new]`)")
        elif name in self._open.properties:
            self._wrong(number, f"`{found[1]}:` stands twice under “{self._open.title}”")
        elif name == "public" and found[2].lower() not in ("yes", "no"):
            self._wrong(number, f"“Public: {found[2]}”: write `Public: yes` or `Public: no`")
        else:
            self._open.properties[name] = one_line(found[2])
        return True

    def _why_stray(self) -> str:
        if not self._headings:
            return "text before the first heading would be lost: move it under a label"
        if self._open is None:
            return "this text belongs to no story: give it a `## title` and a `[story: …]` line"
        label = HEAD_LABELS["opening"] if self._open is self._head else LABELS["take"]
        return f"this text belongs to no field: put a label such as `### {label}` above it"

    # the end

    def _block(self, block: _Open) -> Block:
        if not (block.handle or block.odd_handle):
            self._wrong(
                block.line,
                f"“{block.title}” has no `[story: …]` line under its title: put it back, or write "
                "`[story: new]` for a field note" + _or_text("##"),
            )
        public = block.properties.get("public", "").lower() == "yes"
        learnt_from = block.properties.get("learnt_from", "")
        if public and learnt_from:
            self._wrong(
                block.line,
                f"“{block.title}” is learnt from {learnt_from} and public: which of the two?",
            )
        return Block(
            place=block.place or "pool",
            handle=block.handle,
            title=block.title,
            words=block.words(),
            base=block.base,
            own_name=block.own_name,
            notes=tuple(block.notes),
            learnt_from=learnt_from,
            public=public,
            source=block.properties.get("source", ""),
            line=block.line,
        )

    def _twice(self, blocks: tuple[Block, ...]) -> None:
        first: dict[str, Block] = {}
        for block in blocks:
            if not block.handle or block.handle == NEW:
                continue
            earlier = first.setdefault(block.handle, block)
            if earlier is not block:
                self._wrong(
                    block.line,
                    f"“{block.title}” is the same story as in line {earlier.line} "
                    f"(“{earlier.title}”): leave one of them",
                )

    def _wrong(self, line: int, what: str) -> None:
        self._mistakes.append(Mistake(self._file, line, 1, "", what))


def _known(word: str) -> Known:
    handle, *rest = word.split()
    return Known(handle, next(filter(_DIGEST.match, rest), ""), "noted" in rest)


def _meant(key: str, allowed: Mapping[str, str]) -> str:
    keys = [label for label, name in BY_LABEL.items() if name in allowed]
    close = get_close_matches(key, keys, n=1, cutoff=0.6)
    if close:
        return f"did you mean `### {label_of(close[0])}`?"
    return "use " + ", ".join(f"`### {label}`" for label in allowed.values())


def _or_text(mark: str) -> str:
    return f" (a line of text that begins with {mark} needs a backslash in front: `\\{mark}`)"
