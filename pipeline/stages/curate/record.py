"""What a change found and what it left, kept in the log so that it can be taken back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pipeline.errors import Conflict
from pipeline.model.letters import Issue, Snippet
from pipeline.model.log import Operation
from pipeline.model.news import Story
from pipeline.ports import Ports, Tables
from pipeline.rules.letters.content_lock import why_locked
from pipeline.rules.letters.curated import HEAD_LABELS, LABELS, tidy_field

#: How far back the pool reaches.
POOL_WINDOW = timedelta(days=45)

#: States in which an issue no longer stands in anybody's way.
GONE_STATES = frozenset({"missed", "cancelled"})

State = dict[str, Any]  #: as JSON holds it: head, snippets by story, order


@dataclass(frozen=True, slots=True)
class Done:
    """What came of one step on one story."""

    story: str  #: its public id
    title: str
    issue: str  #: ref; empty where it is about the story alone
    changed: bool  #: False when it was so already
    before: State  #: only what is different
    after: State
    revision: int  #: of the kept story that was written on, else of the story; for the next edit


def done(
    story: Story, title: str, issue: str, before: State, after: State, revision: int = 0
) -> Done:
    """Told from how it stood before and stands after."""
    different = [name for name, now in after.items() if before[name] != now]
    return Done(
        story=story.public_id,
        title=title,
        issue=issue,
        changed=bool(different),
        before={name: before[name] for name in different},
        after={name: after[name] for name in different},
        revision=revision or story.revision,
    )


# ── what is meant ────────────────────────────────────────────────────────────────────────


def open_issue(ports: Ports, tables: Tables, ref: str) -> Issue:
    """The issue, if its content may be changed by who acts.

    Raises: NotFound; Conflict when it is out, approved, or past its cut-off
    """
    issue = tables.letters.find_issue(ref)
    constellation = ports.catalog.find_constellation(issue.constellation_key)
    by_approver = ports.catalog.is_approver(ports.actor, constellation)
    locked = why_locked(issue, ports.clock.now(), by_approver=by_approver)
    if locked:
        raise Conflict(*locked)
    return issue


def _hold_confidence(ports: Ports, story: Story) -> None:
    """What an account told us becomes nobody else's by the word of one who may not clear it."""
    homes = [
        constellation
        for constellation in ports.catalog.constellations
        if any(account.key == story.learnt_from for account in constellation.accounts)
    ]
    asked = homes or ports.catalog.constellations  # of an account that stands in no file: all
    if not all(ports.catalog.is_approver(ports.actor, home) for home in asked):
        raise Conflict(
            f"“{story.title}” was told in confidence; only the approver says otherwise.",
            "Ask the approver to vouch for it, or write a general wording that they can clear.",
        )


def story_of(tables: Tables, ref: str, *, taken_back: bool = False) -> Story:
    """A story by id, its beginning or a link; the one it was merged into, if it was.

    Shape:  taken_back finds a field note, too, that its writer took back
    Raises: NotFound, BadInput
    """
    return tables.stories.heir(tables.stories.find(ref, taken_back=taken_back))


def dropped_by(tables: Tables, constellation: str, story_id: int) -> str:
    """Who dropped a story from this pool; empty when nobody did."""
    for pool in tables.stories.pools_of(story_id):
        if pool["constellation"] == constellation:
            return str(pool["dropped_by"] or "")
    return ""


def words_of(snippet: Snippet) -> dict[str, str]:
    """Title and fields of a snippet in the form in which they are compared."""
    return {name: tidy_field(name, getattr(snippet, name)) for name in ("title", *LABELS)}


def head_of(issue: Issue) -> dict[str, str]:
    return {name: tidy_field(name, getattr(issue, name)) for name in HEAD_LABELS}


def score_of(tables: Tables, constellation: str, story_id: int) -> State:
    """The score's parts as they stood when somebody chose: the ground of learning."""
    for pool in tables.stories.pools_of(story_id):
        if pool["constellation"] == constellation:
            return {"total": pool["score"], "parts": pool["parts"]}
    return {}


# ── before and after ─────────────────────────────────────────────────────────────────────


def snapshot(tables: Tables, issue: Issue) -> State:
    """An issue's head, snippets and order, as JSON."""
    there = tables.snippets.of_issue(issue.id)
    gone = tables.snippets.of_issue(issue.id, removed=True)
    return {
        "head": head_of(tables.letters.find_issue(issue.public_id)),
        "snippets": {s.story_public_id: _state(s) for s in (*there, *gone)},
        "order": [s.story_public_id for s in there],
    }


def _state(snippet: Snippet) -> State:
    return {"in": not snippet.removed, "section": snippet.section, "words": words_of(snippet)}


def difference(before: State, after: State) -> tuple[State, State]:
    """Only what changed, of either; a snippet that was not there is None."""
    was: State = {}
    became: State = {}
    for name in ("head", "snippets"):
        keys = [k for k in after[name] if before[name].get(k) != after[name][k]]
        if keys:
            was[name] = {k: before[name].get(k) for k in keys}
            became[name] = {k: after[name][k] for k in keys}
    if before["order"] != after["order"]:
        was["order"], became["order"] = before["order"], after["order"]
    return was, became


class Change:
    """One undoable change while it is made: look first, then act, then write it down."""

    def __init__(self, ports: Ports, tables: Tables, constellation: str, issue: Issue | None):
        self._ports = ports
        self._tables = tables
        self._constellation = constellation
        self._issue = issue
        self._before = snapshot(tables, issue) if issue else {}
        self._dropped: dict[str, tuple[str, str]] = {}  # story → dropped by whom, before and after
        self._taken_back: dict[str, tuple[bool, bool]] = {}
        self._vouched: dict[str, tuple[State, State]] = {}
        self._scores: dict[str, State] = {}

    def drop(self, story: Story) -> None:
        """Out of the pool; its score is kept with the operation."""
        before = dropped_by(self._tables, self._constellation, story.id)
        self.choose(story)
        self._dropped[story.public_id] = (before, self._ports.actor)
        self._tables.stories.set_dropped(
            self._constellation, story.id, self._ports.clock.now(), self._ports.actor
        )

    def offer(self, story: Story) -> None:
        """Take a drop back, when there is one."""
        before = dropped_by(self._tables, self._constellation, story.id)
        if before:
            self._dropped[story.public_id] = (before, "")
            self._tables.stories.set_dropped(self._constellation, story.id, None)

    def take_back(self, story: Story) -> None:
        """A field note is gone for every verb; its words stay in the store."""
        self._taken_back[story.public_id] = (story.taken_back_at is not None, True)
        self._tables.stories.set_taken_back(story.id, self._ports.clock.now())

    def bring_back(self, story: Story) -> None:
        """The same undone, when it was taken back."""
        if story.taken_back_at is not None:
            self._taken_back[story.public_id] = (True, False)
            self._tables.stories.set_taken_back(story.id, None)

    def vouch(self, story: Story, learnt_from: str, *, public: bool) -> None:
        """Say who told a field note, or that it is public.

        Raises: Conflict when it was told in confidence, and who acts is no approver; or when
                somebody said another thing at this very moment
        """
        if story.learnt_from and learnt_from != story.learnt_from and (learnt_from or public):
            _hold_confidence(self._ports, story)
        before = {"learnt_from": story.learnt_from, "public": story.is_public}
        after = {"learnt_from": learnt_from, "public": public}
        if before != after:
            self._vouched[story.public_id] = (before, after)
            self._tables.snippets.vouch(
                story.id, learnt_from, is_public=public, revision=story.revision
            )

    def choose(self, story: Story) -> None:
        """Remember the score that a choice was made on."""
        self._scores[story.public_id] = score_of(self._tables, self._constellation, story.id)

    def log(self, verb: str, subject: str, **more: Any) -> int:
        """Write the operation; 0 when nothing changed and there is nothing more to say."""
        before: State = {}
        after: State = {}
        if self._issue:
            before, after = difference(self._before, snapshot(self._tables, self._issue))
        if self._dropped:
            before["dropped"] = {story: by for story, (by, _) in self._dropped.items()}
            after["dropped"] = {story: by for story, (_, by) in self._dropped.items()}
        if self._taken_back:
            before["taken_back"] = {story: was for story, (was, _) in self._taken_back.items()}
            after["taken_back"] = {story: now for story, (_, now) in self._taken_back.items()}
        if self._vouched:
            before["vouched"] = {story: was for story, (was, _) in self._vouched.items()}
            after["vouched"] = {story: now for story, (_, now) in self._vouched.items()}
        if not (after or more):
            return 0
        if self._issue:
            after |= {"issue": self._issue.public_id, "issue_ref": self._issue.ref}
        if self._scores:
            after["scores"] = self._scores
        return self._tables.log.add(
            Operation(
                actor=self._ports.actor,
                verb=verb,
                subject=subject,
                at=self._ports.clock.now(),
                before=before,
                after=after | {"constellation": self._constellation} | more,
            )
        )


def reorder(tables: Tables, issue_id: int, story_ids: Iterable[int]) -> None:
    """Put stories into this order, if they are not."""
    wanted = list(dict.fromkeys(story_ids))
    there = [s.story_id for s in tables.snippets.of_issue(issue_id)]
    ordered = [i for i in wanted if i in there] + [i for i in there if i not in wanted]
    if ordered != there:
        tables.snippets.reorder(issue_id, ordered)


def changed_words(current: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in new.items() if current.get(name, "") != text}
