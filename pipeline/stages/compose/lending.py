"""Which stories of other issues an automatic one may borrow, and which it must leave to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.model.catalog import Constellation
from pipeline.model.letters import Issue
from pipeline.ports import Tables
from pipeline.rules.letters.automatic import WAITING, is_as_opened, is_bare

#: An issue in one of these has its stories for itself; what went out, or never will, has not.
_HOLDS = (*WAITING, "approved", "scheduled", "stopped")


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Stories, by id, of the other issues of a constellation that are not out yet."""

    #: Only in drafts that nobody has worked on, with the keys of whom they are about.
    lent: Mapping[int, tuple[str, ...]]
    busy: frozenset[int]  #: in an issue that somebody works on, or that is approved


def elsewhere(tables: Tables, issue: Issue, constellation: Constellation) -> Elsewhere:
    """Where else the stories of an issue's constellation stand."""
    loose: dict[int, tuple[str, ...]] = {}
    busy: set[int] = set()
    for other in _others(tables, issue, constellation):
        snippets = tables.snippets.of_issue(other.id)
        removed = tables.snippets.of_issue(other.id, removed=True)
        done = tables.reasons.operations_about(other.public_id)
        if is_as_opened(other, snippets, removed, done):
            loose |= {snippet.story_id: snippet.about for snippet in snippets}
        else:
            busy |= {snippet.story_id for snippet in snippets}
    lent = {story_id: about for story_id, about in loose.items() if story_id not in busy}
    return Elsewhere(lent, frozenset(busy))


def kept_by_machine(tables: Tables, constellation: Constellation) -> frozenset[int]:
    """Ids of stories that stand nowhere but as bare headlines in issues that compose themselves
    and still wait: people may have them, and such an issue then gives them up.
    """
    loose: set[int] = set()
    busy: set[int] = set()
    for newsletter in constellation.newsletters:
        for issue in tables.letters.issues(newsletter.key):
            waits = newsletter.mode == "automatic" and issue.state in WAITING
            for snippet in tables.snippets.of_issue(issue.id) if issue.state in _HOLDS else ():
                place = loose if waits and is_bare(snippet) else busy
                place.add(snippet.story_id)
    return frozenset(loose - busy)


def _others(tables: Tables, issue: Issue, constellation: Constellation) -> Iterator[Issue]:
    for newsletter in constellation.newsletters:
        for other in tables.letters.issues(newsletter.key):
            if other.id != issue.id and other.state in _HOLDS:
                yield other
