"""What stands in a kept story before anybody wrote: its source's first sentence, as a quotation."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pipeline.model.news import Story
from pipeline.rules.letters.curated import one_line, tidy

MAX_QUOTED = 40  #: words; other people's words stay theirs
SHORTEST = 4  #: words; "Mr." ends no sentence

_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"”’)]*\s+(?=[^\W\d_a-z]|[\d“\"„(])")
_MARKDOWN = re.compile(r"([\\`*_\[\]<>{}])")
_INNER_QUOTES = str.maketrans({"“": "‘", "„": "‘", "”": "’", '"': "’"})


def prefilled(story: Story) -> Mapping[str, str]:
    """Title and fact of a story just kept.

    The fact of news is a quotation: it asks to be told in our own words. Field notes and our
    own news are our words already.
    """
    title = one_line(story.title) or "Untitled"
    if story.kind != "news":
        return {"title": title, "fact": tidy(story.text)}
    return {"title": title, "fact": opening_quote(story.lead or story.text)}


def opening_quote(text: str) -> str:
    """The first sentence, at most 40 words, in quotation marks, as Markdown; empty for no text."""
    words = _first_sentence(one_line(text)).split()
    if not words:
        return ""
    cut = len(words) > MAX_QUOTED
    quoted = " ".join(words[:MAX_QUOTED]).translate(_INNER_QUOTES)
    if cut:
        quoted = quoted.rstrip(".,;:–-") + " …"
    return f"“{_escaped(quoted)}”"


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text)


def _first_sentence(text: str) -> str:
    for end in _SENTENCE_END.finditer(text):
        sentence = text[: end.start()]
        if len(sentence.split()) >= SHORTEST:
            return sentence
    return text
