"""An operation of the log in words: who did what, and what it changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.errors import NotFound
from pipeline.model.log import Operation
from pipeline.rules.letters.curated import HEAD_LABELS, LABELS

_VERBS: Mapping[str, str] = {
    "keep": "kept {}",
    "remove": "took {} out of the issue",
    "drop": "dropped {} from the pool",
    "note": "wrote the field note {}",
    "vouch": "said who told {}",
    "edit": "wrote on {}",
    "curate": "took in a curated file",
    "import": "brought in a file of people",
    "undo": "took back a step",
    "open": "opened the issue",
    "compose": "composed it",
    "approve": "approved it",
    "stop": "stopped it",
    "hold back": "held it back",
    "call back": "asked for copies back",
    "resolve": "decided on copies in doubt",
    "allow": "let it go after the restore",
    "went out": "said that it went out before the restore",
    "pause": "paused letters to {}",
    "hold": "held letters to {} back",
    "release": "let letters go to {} again",
    "suppress": "ended letters to {}",
    "lift": "let letters go to {} again, who had not asked us to stop",
    "erase": "erased {}",
    "undo import": "took back a file of people",
    "touch": "logged a touch of {}",
    "leave": "left",
    "stay": "stayed after all",
    "complain": "complained of a letter",
    "bounce": "refused a letter for good",
}
_LABELS = {"title": "Title", **LABELS, **HEAD_LABELS}
#: What stands in an operation for the program, not for a reader.
_INNER = frozenset(
    {
        "snippets", "order", "head", "dropped", "vouched", "taken_back", "issue", "issue_ref",
        "constellation",
        "scores", "digests", "head_digest", "said", "notes", "undoes", "revision",
        "touch", "deliveries",
    }
)  # fmt: skip
#: What the explanation of an issue tells anyway, from the rows themselves.
_UNSAID = frozenset({"beat_on", "variants"})
_CALLED: Mapping[str, str] = {"sales": "sales editions"}


def nothing_to_undo(actor: str) -> NotFound:
    """To raise, in whatever room a step is taken back."""
    return NotFound(
        f"There is nothing that {actor} could take back.",
        "Only your own steps can be undone; `--as` says who you are.",
    )


def in_words(operation: Operation, title: str = "") -> str:
    """`eva kept “Two ferries”`; what was undone later says so.

    Shape:  title of the story it is about, where there is one
    """
    verb = _VERBS.get(operation.verb, f"{operation.verb} {{}}")
    about = f"“{title}”" if title else ("the issue" if "issue" in operation.after else "it")
    undone = ", and took it back later" if operation.undone_by is not None else ""
    return f"{operation.actor} {verb.format(about).strip()}{undone}"


def changes_in_words(operation: Operation, story: str = "") -> str:
    """What changed, one line each; only what concerns one story when its public id is given."""
    return "\n".join(dict.fromkeys(_changes(operation, story)))


def touches(operation: Operation, story: str) -> bool:
    """Whether an operation did something with this story, more than listing it."""
    if operation.subject == f"story:{story}":
        return True
    named = ("snippets", "dropped", "vouched", "taken_back")
    parts = (operation.after.get(name, {}) for name in named)
    listed = (*operation.after.get("notes", ()), *operation.after.get("stories", ()))
    return any(story in part for part in parts) or story in listed


def _changes(operation: Operation, story: str) -> Iterator[str]:
    before, after = operation.before, operation.after
    for key, state in after.get("snippets", {}).items():
        if story in ("", key):
            title = "" if story else f"“{state['words']['title']}”: "
            for change in _snippet(before.get("snippets", {}).get(key), state):
                yield title + change
    if not story:
        names = [_LABELS.get(name, name) for name in after.get("head", {})]
        if names:
            yield f"{', '.join(names)} written"
        if "order" in after:
            yield "order changed"
    yield from _pool(after, story)
    yield from _plain(before, after)


def _pool(after: Mapping[str, Any], story: str) -> Iterator[str]:
    for key, by in after.get("dropped", {}).items():
        if story in ("", key):
            yield "dropped from the pool" if by else "back in the pool"
    for key, gone in after.get("taken_back", {}).items():
        if story in ("", key):
            yield "taken back" if gone else "brought back"


def _snippet(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> Iterator[str]:
    was_in = bool(before and before["in"])
    if after["in"] and not was_in:
        yield "into the issue" if after["section"] == "main" else "into the issue, as a headline"
    elif was_in and not after["in"]:
        yield "out of the issue, its words are kept"
    elif before and before["section"] != after["section"]:
        yield "up into the issue" if after["section"] == "main" else "down to “Also noted”"
    if before:
        old, new = before["words"], after["words"]
        written = [_LABELS.get(name, name) for name in new if old.get(name, "") != new[name]]
        if written:
            yield f"{', '.join(written)} written"


def _plain(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Values of other rooms' operations: state, reason, file, …"""
    for name, value in after.items():
        if name in _INNER | _UNSAID or value == "" or not isinstance(value, str | int | float):
            continue
        was = before.get(name)
        shown = f"{value}".replace("_", " ") if name == "state" else f"{value}"
        came_from = f" (was {was})".replace("_", " ") if was not in (None, "", value) else ""
        yield f"{_CALLED.get(name, name.replace('_', ' '))}: {shown}{came_from}"
