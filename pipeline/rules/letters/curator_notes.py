"""What a curator reads beside a story before choosing it: source, date, whom it is about, why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from zoneinfo import ZoneInfo

from pipeline.model.news import Score, Story
from pipeline.rules.letters.curated import one_line
from pipeline.rules.news.mentions import why_touched

MAX_TELLINGS = 5  #: names of other sources shown


def notes_on(story: Story, names: Mapping[str, str], score: Score | None) -> tuple[str, ...]:
    """Lines on one story, for the curator only.

    Shape:  names maps account keys to names; score is None for a story outside the pool
    """
    lines = (
        _origin(story, names), _about(story, names), _others(story), _guarded(story, names),
        _why(score),
    )  # fmt: skip
    return tuple(one_line(line) for line in lines if line)


def _origin(story: Story, names: Mapping[str, str]) -> str:
    when = day_in_words(story.first_at.date())
    if story.kind == "own":
        return f"Our own news · {when}"
    if story.kind == "note":
        parts = ("A field note", _told_by(story, names), story.source_name, when, story.url)
        return " · ".join(part for part in parts if part)
    signals = ", ".join(hit.signal for hit in story.signals)
    return " · ".join(part for part in (story.source_name, when, signals, story.url) if part)


def _told_by(story: Story, names: Mapping[str, str]) -> str:
    if story.learnt_from:
        return f"learnt from {names.get(story.learnt_from, story.learnt_from)}"
    return "public" if story.is_public else "says neither who told it nor that it is public"


def _about(story: Story, names: Mapping[str, str]) -> str:
    said = []
    for mention in sorted(story.mentions, key=lambda m: m.relation != "self"):
        name = names.get(mention.account_key, mention.account_key)
        reason = why_touched(mention.relation, mention.where, mention.evidence)
        said.append(f"{name} ({reason})")
    return f"Touches {'; '.join(said)}" if said else ""


def _others(story: Story) -> str:
    others = dict.fromkeys(
        item.source_name for item in story.tellings if item.source_name != story.source_name
    )
    shown = list(others)[:MAX_TELLINGS]
    more = f" and {len(others) - len(shown)} more" if len(others) > len(shown) else ""
    return f"Also told by {', '.join(shown)}{more}" if shown else ""


def _guarded(story: Story, names: Mapping[str, str]) -> str:
    if not story.learnt_from:
        return ""
    name = names.get(story.learnt_from, story.learnt_from)
    return (
        f"In confidence: {name} reads the words for {name} itself; others read only the general "
        "wording, once the approver has cleared it"
    )


def _why(score: Score | None) -> str:
    if score is None:
        return "No longer in the pool"
    parts = " · ".join(f"{part.why} {part.value:.1f}" for part in score.parts)
    return f"Score {score.total:.1f}" + (f": {parts}" if parts else "")


def day_in_words(on: date) -> str:
    """`5 March 2027`."""
    return f"{on.day} {on:%B %Y}"


def moment_in_words(at: datetime, zone: str) -> str:
    """`Thursday 11 March 2027, 07:30`, in the named zone."""
    local = at.astimezone(ZoneInfo(zone))
    return f"{local:%A} {day_in_words(local.date())}, {local:%H:%M}"
