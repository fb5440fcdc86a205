"""Decides what a curated file changes, before any of it is done; mistakes come all at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from pipeline.errors import BadInput, Mistake, NotFound
from pipeline.model.letters import Issue, Snippet
from pipeline.model.log import Operation
from pipeline.model.news import Story
from pipeline.ports import Ports, Tables
from pipeline.rules.letters.curated import NEW, Block, CuratedFile, Place, digest
from pipeline.rules.letters.prefill import prefilled
from pipeline.rules.letters.two_hands import Whose, decide
from pipeline.rules.news.address import absolute
from pipeline.stages.curate.record import (
    POOL_WINDOW,
    State,
    changed_words,
    dropped_by,
    head_of,
    story_of,
    words_of,
)
from pipeline.stages.curate.verbs import account_named, both_texts, elsewhere, why_no_issue

IN_ISSUE = ("main", "noted")


@dataclass(frozen=True, slots=True)
class CurateTally:
    """What a curated file did, or would do."""

    issue_ref: str
    kept: int = 0
    removed: int = 0
    dropped: int = 0
    edited: int = 0  #: stories whose words changed, and the issue's head
    notes: int = 0  #: field notes added
    moved: bool = False  #: the order or a section changed
    changes: tuple[str, ...] = ()  #: each in a sentence
    warnings: tuple[str, ...] = ()
    applied: bool = False

    @property
    def unchanged(self) -> bool:
        return not (self.changes or self.moved)


@dataclass(slots=True)
class Step:
    """One block, and what becomes of its story."""

    block: Block
    story: Story | None  #: None: a field note still to be written
    snippet: Snippet | None
    words: dict[str, str] = field(default_factory=dict)  #: to be written; empty: none
    keep: bool = False
    remove: bool = False
    drop: bool = False
    offer: bool = False
    section: bool = False  #: it moves to the other section
    vouch: bool = False  #: a field note says by now who told it
    learnt_from: str = ""  #: of a field note
    out: bool = False  #: somebody took it out meanwhile, and the file left it as it was

    @property
    def in_issue(self) -> bool:
        return self.block.place in IN_ISSUE and not self.out


@dataclass(slots=True)
class Plan:
    issue: Issue
    file: CuratedFile
    steps: list[Step] = field(default_factory=list)
    leaving: list[Snippet] = field(default_factory=list)
    head: dict[str, str] = field(default_factory=dict)
    moved: bool = False
    order_is_theirs: bool = False  #: somebody else moved stories, and the file did not
    mistakes: list[Mistake] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def tally(self) -> CurateTally:
        steps = self.steps
        return CurateTally(
            issue_ref=self.issue.ref,
            kept=sum(s.keep for s in steps),
            removed=sum(s.remove for s in steps) + len(self.leaving),
            dropped=sum(s.drop for s in steps),
            edited=sum(bool(s.words) for s in steps) + bool(self.head),
            notes=sum(s.story is None for s in steps),
            moved=self.moved or any(s.section for s in steps),
            changes=tuple(self._sentences()),
            warnings=tuple(self.warnings),
        )

    def _sentences(self) -> Iterator[str]:
        if self.head:
            yield f"{', '.join(self.head)} written"
        for step in self.steps:
            if done := ", ".join(_done(step)):
                yield f"“{step.block.title}” {done}"
        for snippet in self.leaving:
            yield f"“{snippet.title}” out of the issue, its words are kept"
        if self.moved:
            yield "order changed"


def _done(step: Step) -> Iterator[str]:
    if step.story is None:
        yield "added as a field note"
    if step.keep:
        yield "kept" if step.block.place == "main" else "kept, under “Also noted”"
    if step.section:
        yield "moved up into the issue" if step.block.place == "main" else "moved to “Also noted”"
    if step.remove:
        yield "out of the issue, its words are kept"
    if step.drop:
        yield "dropped"
    if step.offer and not step.keep:
        yield "offered again"
    if step.vouch:
        yield "public by now" if step.block.public else f"learnt from {step.block.learnt_from}"
    if step.words:
        yield f"{', '.join(step.words).replace('_', ' ')} written"


class Planner:
    """Compares the file with the store and decides; writes nothing."""

    def __init__(
        self, ports: Ports, tables: Tables, issue: Issue, file: CuratedFile, file_name: str
    ) -> None:
        self._ports = ports
        self._tables = tables
        self._issue = issue
        self._file = file
        self._name = file_name
        self._plan = Plan(issue, file)
        self._active: dict[int, Snippet] = {}
        for snippet in tables.snippets.of_issue(issue.id):
            self._active.setdefault(snippet.story_id, snippet)
        self._removed = {s.story_id: s for s in tables.snippets.of_issue(issue.id, removed=True)}
        self._earlier = _Earlier(ports, tables, issue, file, file_name)
        self._base = self._earlier.left or self._as_exported()

    def plan(self) -> Plan:
        self._plan_head()
        for block, story in self._resolved():
            self._plan_block(block, story)
        self._plan_leaving()
        self._plan_order()
        return self._plan

    # which story a block means

    def _as_exported(self) -> dict[int, tuple[Place, str]]:
        """Stories of the issue that the file knew: story → section and digest of their words."""
        found: dict[int, tuple[Place, str]] = {}
        for known in self._file.known:
            try:
                story = story_of(self._tables, known.handle)
            except (NotFound, BadInput):
                continue  # a broken line makes nobody leave the issue
            found.setdefault(story.id, ("noted" if known.noted else "main", known.base))
        return found

    def _base_place(self, story: Story) -> Place | None:
        return self._base[story.id][0] if story.id in self._base else None

    def _resolved(self) -> Iterator[tuple[Block, Story | None]]:
        """Blocks with their stories; of two that have become one story, the higher block."""
        first: dict[int, Block] = {}
        for block in self._file.blocks:
            story = self._story_of(block)
            if story is None:
                if block.handle == NEW:
                    yield block, None
                continue
            earlier = first.setdefault(story.id, block)
            bare = block.place not in IN_ISSUE and not any(block.words.values())
            if earlier is block:
                yield block, story
            elif not bare and block.base != digest(block_words(block)):
                self._wrong(
                    block,
                    f"“{block.title}” and “{earlier.title}” (line {earlier.line}) have become one "
                    "story: put your words under one of them and delete the other",
                )

    def _story_of(self, block: Block) -> Story | None:
        if block.handle == NEW:
            return self._earlier.note(block)
        if not block.handle:
            return None  # told when it was read
        try:
            story = story_of(self._tables, block.handle, taken_back=True)
            return self._unless_taken_back(block, story)
        except NotFound:
            self._wrong(block, f"unknown story “{block.handle}”{self._did_you_mean(block)}")
        except BadInput as error:
            self._wrong(block, error.message)
        return None

    def _unless_taken_back(self, block: Block, story: Story) -> Story | None:
        if story.taken_back_at is None:
            return story
        if block.place in IN_ISSUE:
            self._wrong(
                block,
                f"the field note “{story.title}” was taken back: delete its block, or write "
                "`[story: new]` to note it anew",
            )
        else:
            self._warn(f"“{block.title}” was taken back meanwhile; its block changes nothing")
        return None

    def _did_you_mean(self, block: Block) -> str:
        since = self._ports.clock.now() - POOL_WINDOW
        known = {s.story_public_id[:8]: s.title for s in self._active.values()}
        for ranked in self._tables.stories.pool(self._issue.constellation_key, since):
            known[ranked.story.public_id[:8]] = ranked.story.title
        for handle, title in known.items():
            if title == block.title or get_close_matches(block.handle, [handle], cutoff=0.7):
                return f": did you mean [story: {handle}] (“{title}”)?"
        if "://" in block.handle:
            return ": no source has told it yet; `asterism gather` asks them"
        return ": its `[story: …]` line was changed; `asterism stories` lists what there is"

    # what becomes of it

    def _plan_head(self) -> None:
        current, mine = head_of(self._issue), dict(self._file.head)
        whose = decide(
            current,
            mine,
            self._file.base,
            seen=self._earlier.head,
            untouched=not self._earlier.head_written,
        )
        different = changed_words(current, mine)
        self._settle(whose, "the issue's head", self._file.line, current, different)
        if whose in ("mine", "conflict"):
            self._plan.head = different

    def _plan_block(self, block: Block, story: Story | None) -> None:
        snippet = None
        if story is not None:
            snippet = self._active.get(story.id) or self._removed.get(story.id)
        step = Step(block, story, snippet)
        if block.handle == NEW:
            self._plan_vouch(step)
        self._check_accounts(block, story)
        self._plan_place(step)
        self._plan_words(step)
        self._plan.steps.append(step)

    def _plan_vouch(self, step: Step) -> None:
        block, story = step.block, step.story
        if block.learnt_from:
            step.learnt_from = self._account_key(block, block.learnt_from)
        elif not block.public:
            if step.in_issue and (story is None or why_no_issue(story)):
                self._wrong(
                    block,
                    f"the note “{block.title}” enters no issue until it says `Learnt from: …` "
                    "or `Public: yes`; leave it in the pool until then",
                )
            return
        if story is not None:
            step.vouch = (story.learnt_from, story.is_public) != (step.learnt_from, block.public)

    def _account_key(self, block: Block, name: str) -> str:
        try:
            return account_named(self._ports, name).key
        except NotFound as error:
            self._wrong(block, f"unknown account “{name}”. {error.hint}")
            return ""

    def _check_accounts(self, block: Block, story: Story | None) -> None:
        if not block.own_name or not block.words.get("own_wording"):
            return
        key = self._account_key(block, block.own_name)
        if not key or story is None:
            return
        theirs = {m.account_key for m in story.mentions if m.relation == "self"}
        if key not in theirs | {story.learnt_from}:
            self._warn(
                f"“{block.title}” does not name {block.own_name}, so nobody will read the words "
                f"for {block.own_name} itself"
            )

    def _plan_place(self, step: Step) -> None:
        if step.in_issue:
            self._plan_in(step)
        elif step.block.place == "dropped":
            self._plan_dropped(step)
        else:
            self._plan_pool(step)

    def _plan_in(self, step: Step) -> None:
        story, block = step.story, step.block
        if story is None:
            step.keep = True
            return
        if block.handle != NEW and (reason := why_no_issue(story)):
            self._wrong(block, f"“{story.title}” {reason}, so it enters no issue")
        active = self._active.get(story.id)
        unmoved = self._base_place(story) == block.place
        if active is None and unmoved and self._is_untouched(block, story):
            step.out = True
            self._warn(f"“{block.title}” was taken out of the issue meanwhile; it stays out")
        elif active is None:
            step.keep = True
            self._plan.warnings += elsewhere(self._tables, story, self._issue)
        elif active.section != block.place:
            step.section = not unmoved
            if unmoved:
                self._warn(f"“{block.title}” was moved by somebody else meanwhile; it stays there")
        step.offer = not step.out and (_is_gone(story) or bool(self._dropped_by(story)))

    def _is_untouched(self, block: Block, story: Story) -> bool:
        now = digest(block_words(block))
        return now == block.base or now in self._earlier.words(story)

    def _plan_pool(self, step: Step) -> None:
        if step.story is not None:
            step.remove = self._leaves(step.story)
            mine = self._base_place(step.story) == "dropped"
            step.offer = _is_gone(step.story) or (mine and bool(self._dropped_by(step.story)))

    def _plan_dropped(self, step: Step) -> None:
        story, title = step.story, step.block.title
        if story is None:
            self._wrong(step.block, f"“{title}” is new: there is nothing to drop")
        elif story.id in self._active and not self._leaves(story):
            self._warn(f"“{title}” came into the issue after the export, so it was not dropped")
        elif self._base_place(story) == "dropped" and not self._dropped_by(story):
            self._warn(f"“{title}” was put back into the pool by somebody else; it stays there")
        else:
            step.remove = story.id in self._active
            step.drop = not (_is_gone(story) or self._dropped_by(story))

    def _leaves(self, story: Story) -> bool:
        """Whether a story outside the issue's sections goes out: only if the file knew it there."""
        first_by_hand = not (self._file.exported or self._earlier.left)
        known = self._base_place(story) in IN_ISSUE
        return story.id in self._active and (first_by_hand or known)

    def _plan_words(self, step: Step) -> None:
        block, mine = step.block, block_words(step.block)
        if step.story is None:
            self._check_note(block)
            return
        current = words_of(step.snippet) if step.snippet else dict(prefilled(step.story))
        whose = decide(
            current,
            mine,
            block.base,
            seen=self._earlier.words(step.story),
            untouched=step.snippet is None or step.snippet.revision == 1,
        )
        different = changed_words(current, mine)
        if not step.in_issue and set(different) <= {"title"}:
            return  # another title for a story that nobody keeps says nothing
        self._settle(whose, f"“{block.title}”", block.line, current, different)
        if whose in ("mine", "conflict"):
            step.words = different

    def _check_note(self, block: Block) -> None:
        if not block.words.get("fact"):
            self._wrong(block, f"the note “{block.title}” says nothing: write its ### Fact")
        if block.source.startswith(("http://", "https://")) and not absolute(block.source):
            self._wrong(block, f"the note “{block.title}”: {block.source} is no web address")

    def _settle(
        self,
        whose: Whose,
        what: str,
        line: int,
        current: Mapping[str, str],
        different: Mapping[str, str],
    ) -> None:
        if whose == "conflict":
            self._plan.conflicts.append(
                f"{self._name}:{line}: {what}\n{both_texts(current, different)}"
            )
        elif whose == "theirs":
            self._warn(f"{what} was changed by somebody else meanwhile; their words stay")

    def _plan_leaving(self) -> None:
        """Stories whose blocks were deleted; duplicates that a merge has left."""
        there = {step.story.id for step in self._plan.steps if step.story is not None}
        for snippet in self._tables.snippets.of_issue(self._issue.id):
            if snippet.story_id in there:
                if snippet.id != self._active[snippet.story_id].id:
                    self._plan.leaving.append(snippet)
                continue
            place, base = self._base.get(snippet.story_id, ("pool", ""))
            if place not in IN_ISSUE:
                continue
            if digest(words_of(snippet)) == base:
                self._plan.leaving.append(snippet)
            else:
                self._warn(
                    f"“{snippet.title}” is not in the file, but somebody wrote on it meanwhile: "
                    "it stays in the issue"
                )

    def _plan_order(self) -> None:
        """Whose order stands: the file's, unless only somebody else has moved stories."""
        left = {snippet.story_id for snippet in self._plan.leaving}
        left |= {s.story.id for s in self._plan.steps if s.story is not None and s.remove}
        mine = [(s.story.id, s.block.place) for s in self._plan.steps if s.in_issue and s.story]
        now = [(i, s.section) for i, s in self._active.items() if i not in left]
        base = [(i, place) for i, (place, _) in self._base.items() if place in IN_ISSUE]
        moved = [section for section in IN_ISSUE if _differ(mine, now, section)]
        by_me = any(_differ(mine, base, section) for section in IN_ISSUE)
        by_them = any(_differ(now, base, section) for section in IN_ISSUE)
        if moved and by_them and not by_me:
            self._plan.order_is_theirs = True
            self._warn("stories were moved by somebody else meanwhile; their order stays")
        else:
            self._plan.moved = bool(moved)

    def _warn(self, what: str) -> None:
        self._plan.warnings.append(what)

    def _dropped_by(self, story: Story) -> str:
        return dropped_by(self._tables, self._issue.constellation_key, story.id)

    def _wrong(self, block: Block, what: str) -> None:
        self._plan.mistakes.append(Mistake(self._name, block.line, 1, "", what))


def _differ(one: Sequence[tuple[int, str]], other: Sequence[tuple[int, str]], section: str) -> bool:
    """Whether two arrangements put the stories of one section that they share in other orders."""
    shared = {pair for pair in one if pair[1] == section} & set(other)
    return [p for p in one if p in shared] != [p for p in other if p in shared]


def _is_gone(story: Story) -> bool:
    """Whether it is a field note that was taken back, with the import that had written it."""
    return story.taken_back_at is not None


def block_words(block: Block) -> dict[str, str]:
    return {"title": block.title, **block.words}


# ── what this very file did before ───────────────────────────────────────────────────────


class _Earlier:
    """What the same person's earlier imports of the same file left behind.

    Writing a bit, importing, and writing on in the same file is how people work: their own
    words must not look like somebody else's.
    """

    def __init__(
        self, ports: Ports, tables: Tables, issue: Issue, file: CuratedFile, file_name: str
    ) -> None:
        self._tables = tables
        self.left: dict[int, tuple[Place, str]] = {}  #: story → section, digest of its words then
        self.head: set[str] = set()
        self._notes: list[tuple[State, int]] = []
        self._taken: set[int] = set()
        key = file.exported or file_name
        operations = tables.log.of(f"issue:{issue.public_id}")
        self.head_written = any("head" in o.after for o in operations)  # opening writes a subject
        imports = [o for o in operations if o.verb == "curate"]
        for operation in imports:
            self._remember_notes(operation)
        ours = [o for o in imports if o.actor == ports.actor and o.after.get("file") == key]
        if ours and ours[-1].undone_by is None:
            self._remember(ours[-1])

    def _remember_notes(self, operation: Operation) -> None:
        for ref, said in operation.after.get("said", {}).items():
            self._notes.append((said, story_of(self._tables, ref, taken_back=True).id))

    def _remember(self, operation: Operation) -> None:
        self.head = {operation.after["head_digest"]}
        for ref, (place, seen) in operation.after["digests"].items():
            self.left[story_of(self._tables, ref, taken_back=True).id] = (place, seen)

    def words(self, story: Story) -> set[str]:
        """Digest of what this file's last import wrote on a story."""
        return {self.left[story.id][1]} if story.id in self.left else set()

    def note(self, block: Block) -> Story | None:
        """The field note that an earlier import made of this block, if its title or text stayed."""
        said = said_by(block)
        for before, story_id in self._notes:
            alike = any(said[name] and said[name] == before.get(name) for name in said)
            if alike and story_id not in self._taken:
                self._taken.add(story_id)
                (story,) = self._tables.stories.by_ids([story_id])
                return story
        return None


def said_by(block: Block) -> dict[str, str]:
    """What a new note is known again by."""
    text = block.words.get("fact", "")
    return {"title": block.title, "text": digest({"text": text}) if text else ""}
