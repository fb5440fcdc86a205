"""What SendGrid and the servers behind it say, made fit to be kept and shown."""

from __future__ import annotations

from pipeline.rules.mask import mask

MAX_CHARS = 300


def one_line(said: object, limit: int = MAX_CHARS) -> str:
    """A stranger's words: one printable line, cut, nobody's address or key in it.

    Units:  limit in characters
    """
    if not isinstance(said, str):
        return ""
    start = said[: limit * 4]  # a stranger may write a novel
    if not start.isprintable():
        start = "".join(one if one.isprintable() else " " for one in start)
    line = " ".join(mask(start).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
