"""Sentences for what is not there, or is there no more."""

from __future__ import annotations

from pipeline.errors import NotFound


def not_adopted(what: str, key: str) -> NotFound:
    """To raise: an account, a constellation or a newsletter has no row yet."""
    return NotFound(
        f"The database does not know the {what} “{key}”.",
        "Run `asterism check`, which takes up what the files say; then do it again.",
    )


def taken_back(title: str, public_id: str) -> NotFound:
    """To raise: a field note whose writer took it back."""
    return NotFound(
        f"The field note “{title}” was taken back.",
        f"`asterism explain story {public_id[:8]}` tells by whom; "
        "`asterism curate note` writes it anew.",
    )
