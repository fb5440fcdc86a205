"""Takes back what somebody did last, if nobody built on it since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pipeline.errors import Conflict, NotFound
from pipeline.model.letters import Issue, Snippet
from pipeline.model.log import Operation
from pipeline.model.news import Story
from pipeline.ports import Ports, Tables
from pipeline.rules.deeds import nothing_to_undo
from pipeline.rules.letters.content_lock import OPEN_STATES
from pipeline.stages.curate.record import (
    GONE_STATES,
    Change,
    State,
    changed_words,
    dropped_by,
    head_of,
    open_issue,
    reorder,
    snapshot,
    story_of,
    words_of,
)

UNDOABLE = ("keep", "remove", "drop", "edit", "note", "vouch", "curate")


def undo(ports: Ports) -> Operation:
    """Take back the last thing this actor did in curating; again, the one before it.

    A story added leaves the issue with its words kept; a field note is gone for every verb. The
    log keeps both what was done and that it was undone.

    Raises: NotFound when there is nothing left to undo; Conflict when somebody changed the same
            words since, or said anew who told a note, when a note stands in an issue or was
            passed on, or when the issue is locked
    """
    with ports.store.write() as tables:
        operation = tables.log.last_undoable(ports.actor, UNDOABLE)
        if operation is None:
            raise nothing_to_undo(ports.actor)
        issue = _issue_of(ports, tables, operation)
        change = Change(ports, tables, str(operation.after.get("constellation", "")), issue)
        if issue:
            _refuse_if_changed(tables, issue, operation)
            _restore_issue(tables, issue, operation.before, operation.after)
        _refuse_if_said_anew(tables, operation)
        _restore_pool(tables, change, operation)
        undone_by = change.log("undo", operation.subject, undoes=operation.id)
        tables.log.mark_undone(operation.id, undone_by)
        return operation


def _issue_of(ports: Ports, tables: Tables, operation: Operation) -> Issue | None:
    ref = operation.after.get("issue")
    if not ref and operation.subject.startswith("issue:"):
        ref = operation.subject.removeprefix("issue:")
    return open_issue(ports, tables, str(ref)) if ref else None


def _head(part: Mapping[str, Any]) -> Mapping[str, str]:
    """What an operation says of an issue's head; an edit of the issue alone has it bare."""
    names = ("subject", "preheader", "theme", "opening")
    found: Mapping[str, str] = part.get(
        "head", {name: part[name] for name in names if name in part}
    )
    return found


def _refuse_if_changed(tables: Tables, issue: Issue, operation: Operation) -> None:
    now = snapshot(tables, issue)
    changed = [
        _title(state, now["snippets"].get(story))
        for story, state in operation.after.get("snippets", {}).items()
        if now["snippets"].get(story) != state
    ]
    changed += [
        name for name, text in _head(operation.after).items() if now["head"].get(name) != text
    ]
    _refuse(changed, operation)


def _refuse(changed: Sequence[str], operation: Operation) -> None:
    if changed:
        raise Conflict(
            f"{', '.join(changed)} changed after your {operation.verb}; nothing was undone.",
            "Change it by hand: what came after it would be lost otherwise.",
        )


def _title(state: State | None, now: State | None) -> str:
    words = (now or state or {}).get("words", {})
    return f"“{words.get('title', 'a story')}”"


def _restore_issue(
    tables: Tables, issue: Issue, before: Mapping[str, Any], after: Mapping[str, Any]
) -> None:
    snippets = _by_story(tables, issue)
    for story, state in before.get("snippets", {}).items():
        _restore_snippet(tables, snippets[story], state)
    head = _head(before)
    if different := changed_words(head_of(issue), head):
        tables.letters.edit_issue(issue.id, issue.revision, different)
    if "order" in before or "snippets" in before:
        ids = {story: s.story_id for story, s in _by_story(tables, issue).items()}
        order: Iterable[str] = before.get("order", after.get("order", ()))
        reorder(tables, issue.id, [ids[story] for story in order if story in ids])


def _by_story(tables: Tables, issue: Issue) -> dict[str, Snippet]:
    there = tables.snippets.of_issue(issue.id)
    gone = tables.snippets.of_issue(issue.id, removed=True)
    return {s.story_public_id: s for s in (*there, *gone)}


def _restore_snippet(tables: Tables, snippet: Snippet, state: State | None) -> None:
    if state is None:  # it was not there: out again, what was written is kept
        tables.snippets.remove(snippet.id)
        return
    changes = changed_words(words_of(snippet), state["words"])
    if state["section"] != snippet.section:
        changes["section"] = state["section"]
    restored = tables.snippets.edit(snippet.id, snippet.revision, changes)
    if state["in"] and restored.removed:
        with suppress(NotFound):  # a note that its writer took back meanwhile stays out
            tables.snippets.keep(snippet.issue_id, snippet.story_id, state["section"])
    elif not state["in"] and not restored.removed:
        tables.snippets.remove(snippet.id)


def _refuse_if_said_anew(tables: Tables, operation: Operation) -> None:
    """Who told a note, or dropped a story, after this operation is no word of its actor's."""
    pool = str(operation.after.get("constellation", ""))
    changed = []
    for ref, left in operation.after.get("vouched", {}).items():
        story = story_of(tables, ref, taken_back=True)
        if left != {"learnt_from": story.learnt_from, "public": story.is_public}:
            changed.append(f"“{story.title}”")
    for ref, by in operation.after.get("dropped", {}).items():
        story = story_of(tables, ref, taken_back=True)
        if dropped_by(tables, pool, story.id) not in ("", by):
            changed.append(f"“{story.title}”")
    _refuse(changed, operation)


def _restore_pool(tables: Tables, change: Change, operation: Operation) -> None:
    before = operation.before
    for ref, by in before.get("dropped", {}).items():
        story = story_of(tables, ref, taken_back=True)
        change.drop(story) if by else change.offer(story)
    for ref, was in before.get("vouched", {}).items():
        story = story_of(tables, ref, taken_back=True)
        change.vouch(story, was["learnt_from"], public=was["public"])
    gone = [ref for ref, was in before.get("taken_back", {}).items() if was]
    for ref in (*operation.after.get("notes", ()), *gone):
        story = story_of(tables, ref, taken_back=True)
        change.take_back(story)  # first: whoever is about to keep it waits, and finds it gone
        _refuse_if_used(tables, story)


def _refuse_if_used(tables: Tables, story: Story) -> None:
    """A note that others built on stays: taken back it would vanish under their hands."""
    for place in tables.reasons.issues_of_story(story.id):
        if place["removed"] or place["state"] in GONE_STATES:
            continue
        ref = place["issue_ref"]
        raise Conflict(
            f"“{story.title}” stands in issue {ref}; nothing was undone.",
            f"Take it out first: `asterism curate remove {ref} {story.public_id[:8]}`."
            if place["state"] in OPEN_STATES
            else "What an issue holds that is approved or out cannot be taken back.",
        )
    if tables.reasons.told_of_story(story.id):
        raise Conflict(
            f"“{story.title}” was passed on already; nothing was undone.",
            f"`asterism explain story {story.public_id[:8]}` tells to whom. To offer it no more, "
            "drop it: `asterism curate drop`.",
        )
