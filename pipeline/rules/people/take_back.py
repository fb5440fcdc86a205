"""What the undoing of an import does to each contact that the import touched."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.model.people import ImportChange, TakenBack

_WORDS: Mapping[str, str] = {
    "account_key": "account",
    "first_name": "first name",
    "last_name": "last name",
    "zone": "time zone",
}


def decide_take_back(change: ImportChange) -> TakenBack:
    """Remove whom the import brought in, put back what it changed and nobody changed since.

    Somebody with whom anything has happened since is retired instead of removed: what went
    out stays on record. Whom it brought back is retired again. A field that holds something
    else by now belongs to whoever wrote it.
    """
    if change.erased:
        return TakenBack(change, "kept", why="erased since: nothing is left to take back")
    if change.new:
        if change.since:
            why = f"retired, not removed: {', '.join(change.since)}"
            return TakenBack(change, "retired", why=why)
        return TakenBack(change, "removed")
    back, kept = {}, []
    for name, was in change.before.items():
        if change.now.get(name) != change.after.get(name):
            kept.append(f"{_WORDS.get(name, name)} was changed since")
        elif name == "address" and change.address_taken:
            kept.append("somebody else has the address that they had before")
        else:
            back[name] = was
    if change.returned:
        kept.insert(0, "retired again: they were so before it")
        return TakenBack(change, "retired", back, "; ".join(kept))
    why = "; ".join(kept)
    gone = back or change.basis or change.external
    return TakenBack(change, "changed_back" if gone else "kept", back, why)
