"""One sentence for what the files say and the database does not know."""

from __future__ import annotations

from pipeline.errors import NotFound


def not_adopted(what: str, key: str) -> NotFound:
    """To raise: an account, a constellation or a newsletter has no row yet."""
    return NotFound(
        f"The database does not know the {what} “{key}”.",
        "Run `asterism check`, which takes up what the files say; then do it again.",
    )
