"""Writes an issue with its kept stories and its pool as the file that a curator edits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC

from pipeline.model.letters import Issue, Snippet
from pipeline.model.news import PoolStory, Score, Story
from pipeline.ports import Ports, Tables
from pipeline.rules.letters.curated import (
    LABELS,
    Block,
    CuratedFile,
    Known,
    Place,
    digest,
)
from pipeline.rules.letters.curated_writing import write
from pipeline.rules.letters.curator_notes import moment_in_words, notes_on
from pipeline.rules.letters.language import issue_name
from pipeline.rules.letters.prefill import prefilled
from pipeline.stages.curate.record import POOL_WINDOW, head_of, words_of

#: Stories of the open pool that the file shows.
POOL_SHOWN = 40
HANDLE = 8  #: characters of a public id: enough to tell a million million apart

#: Labels that stand ready to be filled, by section.
_READY: Mapping[Place, tuple[str, ...]] = {
    "main": ("fact", "take", "question", "sales_note"),
    "noted": ("fact", "take"),
    "pool": ("fact", "take", "question"),
    "dropped": (),
}


@dataclass(frozen=True, slots=True)
class _Shelf:
    """All stories that the file shows, read at one moment."""

    issue: Issue
    kept: tuple[Snippet, ...]
    removed: Mapping[int, Snippet]  #: by story
    open_pool: tuple[PoolStory, ...]
    scores: Mapping[int, Score]
    stories: Mapping[int, Story]  #: of the kept ones


def export(ports: Ports, issue_ref: str) -> str:
    """The issue as a Markdown file: its head, its stories in order, then the ranked pool.

    `import_file` takes it back.

    Raises: NotFound
    """
    with ports.store.read() as tables:
        shelf = _read(ports, tables, issue_ref)
    names = _account_names(ports)
    blocks = [_kept_block(snippet, shelf, names) for snippet in shelf.kept]
    blocks += [_pool_block(ranked, shelf, names) for ranked in shelf.open_pool[:POOL_SHOWN]]
    newsletter = ports.catalog.newsletter(shelf.issue.newsletter_key)
    title = newsletter.title if newsletter else shelf.issue.newsletter_key
    head = head_of(shelf.issue)
    return write(
        CuratedFile(
            issue_ref=shelf.issue.ref,
            heading=issue_name("en", title, shelf.issue.number),
            head=head,
            blocks=tuple(blocks),
            base=digest(head),
            exported=ports.clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            known=tuple(map(_known, shelf.kept)),
            notes=tuple(_how_to(ports, shelf)),
        )
    )


def _known(snippet: Snippet) -> Known:
    handle = snippet.story_public_id[:HANDLE]
    return Known(handle, digest(words_of(snippet)), snippet.section == "noted")


def _read(ports: Ports, tables: Tables, issue_ref: str) -> _Shelf:
    issue = tables.letters.find_issue(issue_ref)
    kept = tuple(tables.snippets.of_issue(issue.id))
    removed = tables.snippets.of_issue(issue.id, removed=True)
    ranked = tables.stories.pool(issue.constellation_key, ports.clock.now() - POOL_WINDOW)
    there = {snippet.story_id for snippet in kept}
    stories = tables.stories.by_ids([snippet.story_id for snippet in kept])
    return _Shelf(
        issue=issue,
        kept=kept,
        removed={snippet.story_id: snippet for snippet in removed},
        open_pool=tuple(p for p in ranked if p.state == "open" and p.story.id not in there),
        scores={p.story.id: p.score for p in ranked},
        stories={story.id: story for story in stories},
    )


def _how_to(ports: Ports, shelf: _Shelf) -> Iterable[str]:
    issue = shelf.issue
    zone = ports.catalog.zone_of(issue.newsletter_key)
    yield (
        f"Goes out {moment_in_words(issue.due_at, zone)}. "
        f"Write until {moment_in_words(issue.cut_off_at, zone)}; "
        f"it is approved by {moment_in_words(issue.deadline_at, zone)}."
    )
    yield (
        "Move a story's block from the pool up into the issue and write our take under it; delete "
        "the block of a story that should go. Then: `asterism curate import` and this file's name."
    )
    yield "Leave the lines in [brackets] alone. Lines that begin with > are only for you."
    hidden = len(shelf.open_pool) - POOL_SHOWN
    if hidden > 0:
        yield f"The pool shows its best {POOL_SHOWN}; `asterism stories` lists {hidden} more."


def _kept_block(snippet: Snippet, shelf: _Shelf, names: Mapping[str, str]) -> Block:
    story = shelf.stories.get(snippet.story_id)
    place: Place = snippet.section
    return Block(
        place=place,
        handle=snippet.story_public_id[:HANDLE],
        title=words_of(snippet)["title"],
        words=_labelled(words_of(snippet), place, story),
        base=digest(words_of(snippet)),
        own_name=_own_name(story, names),
        notes=notes_on(story, names, shelf.scores.get(story.id)) if story else (),
    )


def _pool_block(ranked: PoolStory, shelf: _Shelf, names: Mapping[str, str]) -> Block:
    story = ranked.story
    before = shelf.removed.get(story.id)
    words = words_of(before) if before else dict(prefilled(story))
    notes = notes_on(story, names, ranked.score)
    if before:
        notes = (*notes, "It stood in this issue before; what was written is kept.")
    return Block(
        place="pool",
        handle=story.public_id[:HANDLE],
        title=words["title"],
        words=_labelled(words, "pool", story),
        base=digest(words),
        own_name=_own_name(story, names) if words.get("own_wording") else "",
        notes=notes,
    )


def _labelled(words: Mapping[str, str], place: Place, story: Story | None) -> dict[str, str]:
    """The fields to show: those with words, and those that wait for some."""
    ready = set(_READY[place])
    if place == "main" and story is not None:
        if story.learnt_from:
            ready |= {"own_wording", "general_wording"}
        if any(mention.relation == "self" for mention in story.mentions):
            ready.add("own_wording")
    return {name: words.get(name, "") for name in LABELS if words.get(name) or name in ready}


def _own_name(story: Story | None, names: Mapping[str, str]) -> str:
    """Whose own copies the own wording is for; empty when it is not one company."""
    if story is None:
        return ""
    if story.learnt_from:
        return names.get(story.learnt_from, story.learnt_from)
    about = sorted({m.account_key for m in story.mentions if m.relation == "self"})
    return names.get(about[0], about[0]) if len(about) == 1 else ""


def _account_names(ports: Ports) -> dict[str, str]:
    return {
        account.key: account.name
        for constellation in ports.catalog.constellations
        for account in constellation.accounts
    }
