"""Takes back the file that a curator edited: all of it, or nothing with every mistake named."""

from __future__ import annotations

from dataclasses import replace

from pipeline.errors import BadInput, Conflict
from pipeline.model.letters import Issue, Section, Snippet
from pipeline.model.news import Story
from pipeline.ports import Ports, Tables
from pipeline.rules.letters.curated import NEW, digest
from pipeline.rules.letters.curated_reading import read, refuse
from pipeline.rules.letters.prefill import prefilled
from pipeline.stages.curate.file_plan import (
    CurateTally,
    Plan,
    Planner,
    Step,
    block_words,
    said_by,
)
from pipeline.stages.curate.record import (
    Change,
    State,
    changed_words,
    head_of,
    open_issue,
    reorder,
    words_of,
)
from pipeline.stages.curate.verbs import write_note

MAX_CHARS = 2_000_000


def import_file(
    ports: Ports, text: str, file_name: str, *, dry_run: bool = False, force: bool = False
) -> CurateTally:
    """Bring an issue in line with its curated file; the same file again changes nothing.

    Sections say what is kept, noted, offered or dropped, and in which order. A story whose block
    was deleted leaves the issue, its words kept; one that came into the issue after the export
    stays. Where somebody changed the same words meanwhile nothing is taken, unless `force` says
    that this file wins; what it overwrote is in the log, and `undo` brings it back.

    Raises: BadInput with every mistake and its line; NotFound (the issue); Conflict when the
            issue is locked, or words were changed on both sides
    """
    if len(text) > MAX_CHARS:
        raise BadInput(
            f"{file_name} is too long to be a curated file.",
            "`asterism curate export` writes one.",
        )
    parsed = read(text, file_name)
    if not parsed.file.issue_ref:
        refuse(parsed.mistakes, file_name)
    with ports.store.write() as tables:
        issue = open_issue(ports, tables, parsed.file.issue_ref)
        plan = Planner(ports, tables, issue, parsed.file, file_name).plan()
        refuse((*parsed.mistakes, *plan.mistakes), file_name)
        if plan.conflicts and not force:
            raise Conflict(*_told(plan.conflicts, issue, file_name))
        tally = plan.tally()
        if not dry_run and not tally.unchanged:
            _apply(ports, tables, plan, file_name)
        return replace(tally, applied=not (dry_run or tally.unchanged))


def _told(conflicts: list[str], issue: Issue, file_name: str) -> tuple[str, str]:
    stories = "one place" if len(conflicts) == 1 else f"{len(conflicts)} places"
    return (
        f"Somebody else wrote in {stories} since {file_name} was exported; nothing was taken.\n"
        + "\n".join(conflicts),
        f"Your file stays as it is. `asterism curate export {issue.ref}` writes a fresh one to "
        "copy your words into; or import yours with --mine, and the other words stay in the log.",
    )


# ── doing it ─────────────────────────────────────────────────────────────────────────────


def _apply(ports: Ports, tables: Tables, plan: Plan, file_name: str) -> None:
    issue = plan.issue
    change = Change(ports, tables, issue.constellation_key, issue)
    if plan.head:
        tables.letters.edit_issue(issue.id, issue.revision, plan.head)
    for snippet in plan.leaving:
        tables.snippets.remove(snippet.id)
    said: dict[str, State] = {}
    written: list[str] = []
    for step in plan.steps:
        story = step.story or _write_note(ports, tables, step, issue)
        if step.story is None:
            written.append(story.public_id)
        step.story = story
        if step.block.handle == NEW:
            said[story.public_id] = said_by(step.block)
        _place(tables, change, step, story, issue)
    if not plan.order_is_theirs:
        in_order = [s.story.id for s in plan.steps if s.in_issue and s.story is not None]
        reorder(tables, issue.id, in_order)
    change.log(
        "curate",
        f"issue:{issue.public_id}",
        file=plan.file.exported or file_name,
        said=said,
        notes=written,
        **_left_behind(tables, plan),
    )


def _write_note(ports: Ports, tables: Tables, step: Step, issue: Issue) -> Story:
    block = step.block
    is_link = block.source.startswith(("http://", "https://"))
    story = write_note(
        ports,
        tables,
        issue.constellation_key,
        block.words["fact"],
        title=block.title,
        learnt_from=step.learnt_from,
        public=block.public,
        url=block.source if is_link else "",
        source="" if is_link else block.source,
    )
    step.words = changed_words(dict(prefilled(story)), block_words(block))
    return story


def _place(tables: Tables, change: Change, step: Step, story: Story, issue: Issue) -> None:
    if step.vouch:
        change.vouch(story, step.learnt_from, public=step.block.public)
    if step.offer:
        change.bring_back(story)
        change.offer(story)
    if step.keep or step.drop:
        change.choose(story)
    snippet = step.snippet
    if step.keep or (step.words and snippet is None):
        section: Section = "noted" if step.block.place == "noted" else "main"
        snippet = tables.snippets.keep(issue.id, story.id, section, **prefilled(story))
    if snippet is not None:
        _write_on(tables, step, snippet)
    if step.drop:
        change.drop(story)


def _write_on(tables: Tables, step: Step, snippet: Snippet) -> None:
    changes = dict(step.words)
    if step.in_issue and snippet.section != step.block.place:
        changes["section"] = step.block.place
    if changes:
        tables.snippets.edit(snippet.id, snippet.revision, changes)
    if not step.in_issue and (step.remove or step.snippet is None):
        tables.snippets.remove(snippet.id)  # words under a story of the pool wait there


def _left_behind(tables: Tables, plan: Plan) -> State:
    """Digests of all that the file speaks of, as it stands after the import."""
    there = tables.snippets.of_issue(plan.issue.id)
    gone = tables.snippets.of_issue(plan.issue.id, removed=True)
    snippets = {s.story_id: s for s in (*gone, *there)}
    digests = {}
    for step in plan.steps:
        if step.story is None or (step.block.place == "pool" and step.story.id not in snippets):
            continue
        snippet = snippets.get(step.story.id)
        words = words_of(snippet) if snippet else prefilled(step.story)
        digests[step.story.public_id] = [step.block.place, digest(words)]
    head = head_of(tables.letters.find_issue(plan.issue.public_id))
    return {"digests": digests, "head_digest": digest(head)}
