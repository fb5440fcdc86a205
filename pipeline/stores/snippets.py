"""Kept stories of an issue: the words that a curator wrote, and what their story adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import sqlalchemy as sa

from pipeline.errors import BadInput, Conflict, NotFound
from pipeline.model.letters import Section, Snippet
from pipeline.model.news import SIGNALS, StoryKind
from pipeline.rules.news.mentions import why_touched
from pipeline.stores import schema
from pipeline.stores.missing import taken_back

WORDS = ("title", "fact", "take", "question", "own_wording", "general_wording", "sales_note")
EDITABLE = frozenset({*WORDS, "cleared_by", "section"})

_snippets, _stories = schema.snippets, schema.stories


class SqlSnippets:
    """Fits `SnippetsTable`."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def of_issue(self, issue_id: int, *, removed: bool = False) -> Sequence[Snippet]:
        """In the order of the letter; the removed ones instead when asked for them."""
        return self._read(_snippets.c.issue_id == issue_id, _snippets.c.removed.is_(removed))

    def keep(self, issue_id: int, story_id: int, section: Section, **fields: str) -> Snippet:
        """Add a story at its section's end; a removed one comes back with the words it had.

        Raises: NotFound for a field note that its writer took back
        """
        self._hold_note(story_id)
        row = self._row_of(issue_id, story_id)
        if row is None:
            snippet_id = self._add(issue_id, story_id, section, fields)
        else:
            snippet_id = row.id
            if row.removed:
                self._bring_back(row, section)
        return self._by_id(snippet_id)

    def edit(self, snippet_id: int, revision: int, changes: Mapping[str, Any]) -> Snippet:
        """Change words or section; what is the same already counts as no change.

        A general wording that changes loses its clearance: the approver cleared other words.

        Raises: Conflict when the revision is stale; BadInput for an unknown field
        """
        unknown = sorted(set(changes) - EDITABLE)
        if unknown:
            raise BadInput(
                f"A snippet has no field {', '.join(unknown)}.",
                f"Its fields are {', '.join(sorted(EDITABLE))}.",
            )
        now = self._by_id(snippet_id)
        new = {name: value for name, value in changes.items() if getattr(now, name) != value}
        if "general_wording" in new:
            new.setdefault("cleared_by", "")
        if not new:
            return now
        done = self._connection.execute(
            sa.update(_snippets)
            .where(_snippets.c.id == snippet_id, _snippets.c.revision == revision)
            .values(**new, revision=revision + 1)
        )
        if done.rowcount != 1:
            raise Conflict(
                f"“{now.title}” changed since you opened it "
                f"(you hold revision {revision}, it is at {now.revision}).",
                "Open it again, look at what is new, and repeat your change.",
            )
        return self._by_id(snippet_id)

    def remove(self, snippet_id: int) -> None:
        self._connection.execute(
            sa.update(_snippets).where(_snippets.c.id == snippet_id).values(removed=True)
        )

    def reorder(self, issue_id: int, story_ids: Sequence[int]) -> None:
        """These stories first, in this order; the others after them as they stood."""
        place = {story_id: number for number, story_id in enumerate(story_ids)}
        there = self.of_issue(issue_id)
        ordered = sorted(there, key=lambda s: (place.get(s.story_id, len(place)), s.position))
        for number, snippet in enumerate(ordered, start=1):
            if snippet.position != number:
                self._connection.execute(
                    sa.update(_snippets).where(_snippets.c.id == snippet.id).values(position=number)
                )

    def vouch(
        self, story_id: int, learnt_from: str, *, is_public: bool, revision: int | None = None
    ) -> None:
        """Who told us a field note (an account's key), or that it is public.

        Shape:  revision is the story's that the caller holds; None: whatever is there
        Raises: Conflict when the revision is stale
        """
        account_id = None
        if learnt_from:
            account_id = self._connection.execute(
                sa.select(schema.accounts.c.id).where(schema.accounts.c.key == learnt_from)
            ).scalar_one()
        still = [] if revision is None else [_stories.c.revision == revision]
        done = self._connection.execute(
            sa.update(_stories)
            .where(_stories.c.id == story_id, *still)
            .values(
                learnt_from_id=account_id, is_public=is_public, revision=_stories.c.revision + 1
            )
        )
        if done.rowcount != 1:
            raise Conflict(
                f"The field note changed since you looked (you hold revision {revision}).",
                "Look at what is new, and repeat your change.",
            )

    # ── writing ──────────────────────────────────────────────────────────────────────────

    def _hold_note(self, story_id: int) -> None:
        """A field note stays until we are done: its writer may be taking it back this moment."""
        note = self._connection.execute(
            sa.select(_stories.c.title, _stories.c.public_id, _stories.c.taken_back_at)
            .where(_stories.c.id == story_id, _stories.c.kind == "note")
            .with_for_update(read=True)
        ).first()
        if note is not None and note.taken_back_at is not None:
            raise taken_back(note.title, note.public_id)

    def _add(
        self, issue_id: int, story_id: int, section: Section, fields: Mapping[str, str]
    ) -> int:
        values = {name: fields[name] for name in WORDS if name in fields}
        if not values.get("title"):
            values["title"] = self._connection.execute(
                sa.select(_stories.c.title).where(_stories.c.id == story_id)
            ).scalar_one()
        snippet_id: int = self._connection.execute(
            sa.insert(_snippets)
            .values(
                issue_id=issue_id,
                story_id=story_id,
                position=self._last_position(issue_id) + 1,
                section=section,
                **values,
            )
            .returning(_snippets.c.id)
        ).scalar_one()
        return snippet_id

    def _bring_back(self, row: sa.Row[Any], section: Section) -> None:
        self._connection.execute(
            sa.update(_snippets)
            .where(_snippets.c.id == row.id)
            .values(
                removed=False,
                section=section,
                position=self._last_position(row.issue_id) + 1,
            )
        )

    def _last_position(self, issue_id: int) -> int:
        last = sa.select(sa.func.coalesce(sa.func.max(_snippets.c.position), 0)).where(
            _snippets.c.issue_id == issue_id, _snippets.c.removed.is_(False)
        )
        return int(self._connection.execute(last).scalar_one())

    # ── reading ──────────────────────────────────────────────────────────────────────────

    def _by_id(self, snippet_id: int) -> Snippet:
        found = self._read(_snippets.c.id == snippet_id)
        if not found:
            raise NotFound(f"There is no snippet with the inner number {snippet_id}.")
        return found[0]

    def _row_of(self, issue_id: int, story_id: int) -> sa.Row[Any] | None:
        """The issue's row of this story, also when it was kept before a merge."""
        rows = self._connection.execute(
            sa.select(_snippets).where(_snippets.c.issue_id == issue_id)
        ).all()
        heirs = self._heirs({row.story_id for row in rows})
        return next((row for row in rows if story_id in (row.story_id, heirs[row.story_id])), None)

    def _heirs(self, story_ids: set[int]) -> dict[int, int]:
        """story id → the story that it was merged into in the end; itself when it was not."""
        heir = {story_id: story_id for story_id in story_ids}
        open_ids = set(story_ids)
        while open_ids:
            rows = self._connection.execute(
                sa.select(_stories.c.id, _stories.c.merged_into).where(
                    _stories.c.id.in_(open_ids), _stories.c.merged_into.is_not(None)
                )
            )
            merged = {row.id: row.merged_into for row in rows}
            heir = {story_id: merged.get(last, last) for story_id, last in heir.items()}
            open_ids = set(merged.values())
        return heir

    def _read(self, *conditions: sa.ColumnElement[bool]) -> list[Snippet]:
        rows = self._connection.execute(
            sa.select(_snippets)
            .where(*conditions)
            .order_by(_snippets.c.section, _snippets.c.position, _snippets.c.id)  # main, noted
        ).all()
        if not rows:
            return []
        heirs = self._heirs({row.story_id for row in rows})
        joined = _Joined(self._connection, set(heirs.values()))
        return [_snippet(row, heirs[row.story_id], joined) for row in rows]


class _Joined:
    """What stories add to their snippets, read in four queries for all of them."""

    def __init__(self, connection: sa.Connection, story_ids: set[int]) -> None:
        self.story: dict[int, Any] = {}
        self.about: dict[int, list[str]] = {}
        self.touches: dict[int, list[tuple[str, str]]] = {}
        self.signal: dict[int, str] = {}
        self.tellings: dict[int, list[Any]] = {}
        self._stories(connection, story_ids)
        self._mentions(connection, story_ids)
        self._signals(connection, story_ids)
        self._items(connection, story_ids)

    def _stories(self, connection: sa.Connection, ids: set[int]) -> None:
        query = (
            sa.select(_stories, schema.accounts.c.key.label("learnt_from"))
            .outerjoin(schema.accounts, schema.accounts.c.id == _stories.c.learnt_from_id)
            .where(_stories.c.id.in_(ids))
        )
        self.story = {row.id: row for row in connection.execute(query)}

    def _mentions(self, connection: sa.Connection, ids: set[int]) -> None:
        mentions = schema.story_mentions
        query = (
            sa.select(mentions, schema.accounts.c.key)
            .join(schema.accounts, schema.accounts.c.id == mentions.c.account_id)
            .where(mentions.c.story_id.in_(ids))
            .order_by(mentions.c.weight.desc(), schema.accounts.c.key)
        )
        rows = sorted(connection.execute(query), key=lambda row: row.relation != "self")
        for row in rows:
            if row.relation == "self":
                self.about.setdefault(row.story_id, []).append(row.key)
            why = why_touched(row.relation, row.place, row.evidence)
            self.touches.setdefault(row.story_id, []).append((row.key, why))

    def _signals(self, connection: sa.Connection, ids: set[int]) -> None:
        signals = schema.story_signals
        rows = connection.execute(sa.select(signals).where(signals.c.story_id.in_(ids))).all()
        order = {signal: number for number, signal in enumerate(SIGNALS)}
        for row in sorted(rows, key=lambda r: (-r.weight, order.get(r.signal, len(order)))):
            self.signal.setdefault(row.story_id, row.signal)

    def _items(self, connection: sa.Connection, ids: set[int]) -> None:
        items = schema.items
        query = (
            sa.select(
                items.c.story_id, items.c.url, items.c.text, items.c.published_at, items.c.language
            )
            .where(items.c.story_id.in_(ids))
            .order_by(items.c.published_at, items.c.id)
        )
        for row in connection.execute(query):
            self.tellings.setdefault(row.story_id, []).append(row)


def _snippet(row: Any, story_id: int, joined: _Joined) -> Snippet:
    story = joined.story[story_id]
    tellings = joined.tellings.get(story_id, [])
    shown = next((item for item in tellings if item.url == story.url), None)
    texts = dict.fromkeys([story.text, *(item.text for item in tellings)])
    return Snippet(
        id=row.id,
        public_id=row.public_id,
        issue_id=row.issue_id,
        story_id=story_id,
        position=row.position,
        section=cast(Section, row.section),
        **{name: getattr(row, name) for name in WORDS},
        cleared_by=row.cleared_by,
        revision=row.revision,
        removed=row.removed,
        story_public_id=story.public_id,
        story_kind=cast(StoryKind, story.kind),
        signal=joined.signal.get(story_id, ""),
        source_name=story.source_name,
        url=story.url,
        published_on=(shown.published_at if shown else story.first_at).date(),
        language=shown.language if shown else "",
        about=tuple(joined.about.get(story_id, ())),
        touches=tuple(joined.touches.get(story_id, ())),
        learnt_from=story.learnt_from or "",
        is_public=story.is_public,
        source_text="\n\n".join(text for text in texts if text),
    )
