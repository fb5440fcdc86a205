"""Writes the curated file; `curated_reading` gives the same value back."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.rules.letters.curated import (
    HEAD_LABELS,
    LABELS,
    PLACES,
    Block,
    CuratedFile,
    Known,
    Place,
    escaped,
)

_GUIDES: Mapping[Place, str] = {
    "main": "The order here is the order of the letter. Each story needs our take.",
    "noted": "Headlines only; no take needed.",
    "pool": "The best first. Move a block up to keep it; delete or leave what you do not want.",
    "dropped": "Move a block here and it will not be offered again.",
}


def write(curated: CuratedFile) -> str:
    """The file's text; `parse` gives the same value back.

    Shape:  texts in their `tidy_field` form
    """
    lines = [f"# {curated.heading}", _issue_line(curated)]
    if curated.known:
        lines.append(f"[known: {', '.join(map(_known_word, curated.known))}]")
    lines += [f"> {note}" for note in curated.notes]
    lines += _fields(curated.head, HEAD_LABELS)
    for place, name in PLACES.items():
        lines += ["", "", f"# {name}", f"> {_GUIDES[place]}"]
        for block in curated.blocks:
            if block.place == place:
                lines += _block(block)
    return "\n".join(lines) + "\n"


def _known_word(known: Known) -> str:
    return " ".join(part for part in (known.handle, known.base, "noted" * known.noted) if part)


def _issue_line(curated: CuratedFile) -> str:
    exported = f"exported {curated.exported}" if curated.exported else ""
    parts = (curated.issue_ref, curated.base, exported)
    return f"[issue: {' · '.join(part for part in parts if part)}]"


def _block(block: Block) -> list[str]:
    handle = " · ".join(part for part in (block.handle, block.base) if part)
    lines = ["", f"## {block.title}", f"[story: {handle}]"]
    lines += [f"> {note}" for note in block.notes]
    if block.learnt_from:
        lines.append(f"Learnt from: {block.learnt_from}")
    if block.public:
        lines.append("Public: yes")
    if block.source:
        lines.append(f"Source: {block.source}")
    labels = dict(LABELS)
    if block.own_name:
        labels["own_wording"] = f"For {block.own_name} itself"
    return lines + _fields(block.words, labels)


def _fields(words: Mapping[str, str], labels: Mapping[str, str]) -> list[str]:
    lines = []
    for name, label in labels.items():
        if name in words:
            lines += ["", f"### {label}"]
            lines += [escaped(line) for line in words[name].split("\n") if words[name]]
    return lines
