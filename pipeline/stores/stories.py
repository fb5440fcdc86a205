"""Stories, whom they are about, and each constellation's pool."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pipeline.errors import BadInput, NotFound
from pipeline.model.news import (
    Item,
    Mention,
    PoolStory,
    Score,
    ScorePart,
    SignalHit,
    Story,
    StoryDraft,
    StoryKind,
)
from pipeline.rules.news.address import link_hash
from pipeline.rules.news.group import richest_first
from pipeline.rules.news.words import lead_of
from pipeline.stores.missing import not_adopted
from pipeline.stores.missing import taken_back as was_taken_back
from pipeline.stores.schema import (
    accounts,
    constellations,
    issues,
    items,
    newsletters,
    pool,
    snippets,
    stories,
    story_mentions,
    story_signals,
)
from pipeline.stores.story_rows import chunks, items_where, read_stories

#: An issue in one of these states has gone out, or is going.
OUT = ("sending", "sent", "partly_sent")
#: An issue in one of these never goes out: what was kept for it is free again.
VOID = ("missed", "cancelled")
#: Shorter beginnings of a public id would find too much.
REF_CHARS = 4
EVIDENCE_CHARS, WHY_CHARS = 300, 200


class SqlStories:
    """Stories and pools."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    # ── items and their groups ───────────────────────────────────────────────────────────

    def ungrouped(self, limit: int = 10_000) -> Sequence[Item]:
        """The oldest items without a story, oldest first."""
        oldest = (
            sa.select(items.c.id)
            .where(items.c.story_id.is_(None))
            .order_by(items.c.published_at, items.c.id)
            .limit(limit)
        )
        return items_where(self._connection, items.c.id.in_(oldest.scalar_subquery()))

    def items_since(self, since: datetime, until: datetime | None = None) -> Sequence[Item]:
        """All tellings of the stories that were told in this time, to compare new ones with."""
        told = sa.select(stories.c.id).where(stories.c.last_at >= since)
        if until is not None:
            told = told.where(stories.c.first_at <= until)
        return items_where(self._connection, items.c.story_id.in_(told.scalar_subquery()))

    def outdated(self, since: datetime) -> Sequence[int]:
        """Stories whose leading telling was edited at its source since they took its words."""
        told = sa.exists().where(items.c.story_id == stories.c.id)
        as_it_stands = told.where(
            items.c.url == stories.c.url,
            items.c.title == stories.c.title,
            items.c.text == stories.c.text,
        )
        found = self._connection.execute(
            sa.select(stories.c.id)
            .where(stories.c.last_at >= since, stories.c.kind == "news", told, ~as_it_stands)
            .order_by(stories.c.id)
        )
        return list(found.scalars())

    def apply_groups(self, drafts: Sequence[StoryDraft], now: datetime) -> Sequence[int]:
        """Join or open stories, refresh their lead from the richest telling.

        An item that has found its story meanwhile stays there. A draft without items only
        refreshes its story.

        Shape: the story's id for each draft, in their order
        """
        settled = self._stories_of(i for draft in drafts for i in draft.item_ids)
        ids = [self._story_for(draft, settled) for draft in drafts]
        opened = [n for n, story_id in enumerate(ids) if story_id == 0]
        for n, story_id in zip(opened, self._open(len(opened), now), strict=True):
            ids[n] = story_id
        rows = [
            {"item": item_id, "story": story_id, "why": why[:WHY_CHARS]}
            for draft, story_id in zip(drafts, ids, strict=True)
            for item_id, why in _joins(draft)
            if settled.get(item_id) is None
        ]
        if rows:
            self._connection.execute(
                sa.update(items)
                .where(items.c.id == sa.bindparam("item"), items.c.story_id.is_(None))
                .values(story_id=sa.bindparam("story"), joined_why=sa.bindparam("why")),
                rows,
            )
        self._refresh(
            {story_id: d.richest_id for d, story_id in zip(drafts, ids, strict=True)}, now
        )
        return ids

    def _stories_of(self, item_ids: Iterable[int]) -> dict[int, int | None]:
        found: dict[int, int | None] = {}
        for some in chunks(item_ids):
            rows = self._connection.execute(
                sa.select(items.c.id, items.c.story_id).where(items.c.id.in_(some))
            )
            found |= {row.id: row.story_id for row in rows}
        return found

    @staticmethod
    def _story_for(draft: StoryDraft, settled: Mapping[int, int | None]) -> int:
        """The story a draft belongs to; 0 when it opens one."""
        if draft.story_id is not None:
            return draft.story_id
        if any(settled.get(i) is None for i in draft.item_ids):
            return 0
        return next((s for i in draft.item_ids if (s := settled[i]) is not None), 0)

    def _open(self, count: int, now: datetime) -> Sequence[int]:
        if not count:
            return []
        statement = sa.insert(stories).returning(stories.c.id, sort_by_parameter_order=True)
        row = {"kind": "news", "first_at": now, "last_at": now}
        return list(
            self._connection.execute(statement, [dict(row) for _ in range(count)]).scalars()
        )

    def _refresh(self, richest: Mapping[int, int | None], now: datetime) -> None:
        """Let the richest telling lead; a story whose words change is to be matched anew."""
        told: defaultdict[int, list[Item]] = defaultdict(list)
        held: dict[int, sa.RowMapping] = {}
        for some in chunks(richest):
            for item in items_where(self._connection, items.c.story_id.in_(some)):
                told[item.story_id].append(item)
            rows = self._connection.execute(sa.select(stories).where(stories.c.id.in_(some)))
            held |= {row["id"]: row for row in rows.mappings()}
        changed = []
        for story_id, tellings in told.items():
            leads = next((i for i in tellings if i.id == richest[story_id]), None)
            new = _led_by(leads or richest_first(tellings)[0], tellings, now)
            if any(held[story_id][name] != value for name, value in new.items()):
                changed.append({"story": story_id, **new})
        if changed:
            self._connection.execute(
                sa.update(stories).where(stories.c.id == sa.bindparam("story")), changed
            )

    def add_story(
        self,
        kind: StoryKind,
        title: str,
        text: str,
        at: datetime,
        *,
        url: str = "",
        source_name: str = "",
        learnt_from: str = "",
        is_public: bool = True,
        own_key: str | None = None,
    ) -> int:
        """A field note or a piece of our own news; an own_key seen before is updated.

        Raises: NotFound when it was learnt from an account that the database does not know
        """
        told_by = self._account_ids([learnt_from])[learnt_from] if learnt_from else None
        values = {
            "title": title, "text": text, "lead": lead_of(text), "first_at": at, "last_at": at,
            "url": url, "source_name": source_name, "learnt_from_id": told_by,
            "is_public": is_public, "matched_with": "",
        }  # fmt: skip
        held = None
        if own_key is not None:
            held = self._connection.execute(
                sa.select(stories.c.id).where(stories.c.own_key == own_key)
            ).scalar()
        if held is not None:
            self._connection.execute(
                sa.update(stories).where(stories.c.id == held).values(**values)
            )
            return int(held)
        insert = sa.insert(stories).values(kind=kind, own_key=own_key, **values)
        return int(self._connection.execute(insert.returning(stories.c.id)).scalar_one())

    # ── reading ──────────────────────────────────────────────────────────────────────────

    def by_ids(self, ids: Sequence[int]) -> Sequence[Story]:
        """Whole stories in the order asked for; unknown ids are left out."""
        return read_stories(self._connection, ids)

    def find(self, ref: str, *, taken_back: bool = False) -> Story:
        """By public id, an unambiguous beginning of it (at least 4 characters), or a link.

        Of several stories that one link belongs to, the latest. A field note that was taken
        back is found only when asked for.

        Raises: NotFound, or BadInput when several begin so
        """
        ref = ref.strip()
        is_link = "://" in ref
        found = self._by_link(ref) if is_link else self._by_beginning(ref.lower())
        if not found:
            what = "with this link" if is_link else f"whose id begins with “{ref[:40]}”"
            raise NotFound(f"There is no story {what}.", "`asterism stories` lists them.")
        story = read_stories(self._connection, found[:1])[0]
        if story.taken_back_at is not None and not taken_back:
            raise was_taken_back(story.title, story.public_id)
        return story

    def heir(self, story: Story) -> Story:
        """What it became, when it was merged into another; else itself."""
        while story.merged_into is not None:
            (story,) = self.by_ids([story.merged_into])
        return story

    def _by_link(self, link: str) -> list[int]:
        digest = link_hash(link)
        same = sa.select(items.c.story_id).where(
            items.c.story_id.is_not(None), items.c.canonical_hash == digest
        )
        wanted = stories.c.url == link
        if digest:
            wanted = wanted | stories.c.id.in_(same.scalar_subquery())
        newest = (
            sa.select(stories.c.id)
            .where(wanted)
            .order_by(stories.c.taken_back_at.is_not(None), stories.c.last_at.desc())
        )
        return list(self._connection.execute(newest.limit(1)).scalars())

    def _by_beginning(self, ref: str) -> list[int]:
        if len(ref) < REF_CHARS:
            raise BadInput(
                f"“{ref}” is too short to name a story.",
                f"Give the first {REF_CHARS} characters of its id, or its link.",
            )
        begins = stories.c.public_id.startswith(ref, autoescape=True)
        found = self._connection.execute(sa.select(stories.c.id).where(begins).limit(2)).scalars()
        ids = list(found)
        if len(ids) > 1:
            raise BadInput(f"Several stories begin with “{ref}”.", "Give one character more.")
        return ids

    def own_news(self) -> Mapping[str, Story]:
        """Our own news as the store holds it, by its key."""
        rows = self._connection.execute(
            sa.select(stories.c.own_key, stories.c.id).where(stories.c.own_key.is_not(None))
        ).all()
        held = {story.id: story for story in read_stories(self._connection, [r.id for r in rows])}
        return {row.own_key: held[row.id] for row in rows}

    def to_match(self, digest: str, since: datetime, limit: int = 1000) -> Sequence[Story]:
        """Some stories of the time window that were last matched with other files or rules."""
        ids = self._connection.execute(
            sa.select(stories.c.id)
            .where(
                stories.c.last_at >= since,
                stories.c.matched_with != digest,
                stories.c.merged_into.is_(None),
                stories.c.taken_back_at.is_(None),
            )
            .order_by(stories.c.id)
            .limit(limit)
        ).scalars()
        return read_stories(self._connection, list(ids))

    # ── whom they are about ──────────────────────────────────────────────────────────────

    def relate(
        self, story_id: int, mentions: Sequence[Mention], signals: Sequence[SignalHit]
    ) -> None:
        """Replace whom a story is about and its signals."""
        self._replace({story_id: (mentions, signals)})

    def relate_all(
        self,
        found: Mapping[int, tuple[Sequence[Mention], Sequence[SignalHit]]],
        digest: str,
    ) -> None:
        """Replace mentions and signals of many stories, and note with what they were matched."""
        self._replace(found)
        for some in chunks(found):
            self._connection.execute(
                sa.update(stories).where(stories.c.id.in_(some)).values(matched_with=digest)
            )

    def _replace(self, found: Mapping[int, tuple[Sequence[Mention], Sequence[SignalHit]]]) -> None:
        ids = self._account_ids({m.account_key for ms, _ in found.values() for m in ms})
        for some in chunks(found):
            for table in (story_mentions, story_signals):
                self._connection.execute(sa.delete(table).where(table.c.story_id.in_(some)))
        mentions = {
            (story_id, ids[m.account_key], m.relation): m
            for story_id, (ms, _) in found.items()
            for m in sorted(ms, key=lambda m: m.weight)
        }
        if mentions:
            self._connection.execute(
                sa.insert(story_mentions),
                [
                    {
                        "story_id": story_id, "account_id": account_id, "relation": relation,
                        "place": m.where, "evidence": m.evidence[:EVIDENCE_CHARS],
                        "weight": m.weight,
                    }
                    for (story_id, account_id, relation), m in mentions.items()
                ],
            )  # fmt: skip
        signals = {(s, h.signal): h for s, (_, hits) in found.items() for h in reversed(hits)}
        if signals:
            self._connection.execute(
                sa.insert(story_signals),
                [
                    {
                        "story_id": story_id, "signal": signal,
                        "evidence": h.evidence[:EVIDENCE_CHARS], "weight": h.weight,
                    }
                    for (story_id, signal), h in signals.items()
                ],
            )  # fmt: skip

    def _account_ids(self, keys: Iterable[str]) -> dict[str, int]:
        wanted = sorted(set(keys))
        rows = self._connection.execute(
            sa.select(accounts.c.key, accounts.c.id).where(accounts.c.key.in_(wanted))
        )
        ids = {row.key: row.id for row in rows}
        for key in wanted:
            if key not in ids:
                raise not_adopted("account", key)
        return ids

    # ── pools ────────────────────────────────────────────────────────────────────────────

    def score(self, constellation: str, scores: Mapping[int, Score], now: datetime) -> None:
        """Put stories into a constellation's pool, or refresh their score."""
        wanted: dict[int, dict[str, Any]] = {
            story_id: {"score": s.total, "parts": _as_json(s), "left_out": ""}
            for story_id, s in scores.items()
        }
        self._write_pool(constellation, wanted, now)

    def unpool(self, constellation: str, reasons: Mapping[int, str], now: datetime) -> None:
        """Record why stories are not in the pool; kept and dropped ones stay as they are."""
        spoken_for = self._issues_of(self._constellation_id(constellation), reasons)
        wanted: dict[int, dict[str, Any]] = {
            story_id: {"score": 0.0, "parts": [], "left_out": reason}
            for story_id, reason in reasons.items()
            if story_id not in spoken_for
        }
        self._write_pool(constellation, wanted, now, not_dropped=True)

    def _write_pool(
        self,
        constellation: str,
        wanted: Mapping[int, dict[str, Any]],
        now: datetime,
        *,
        not_dropped: bool = False,
    ) -> None:
        """Write only what differs from what stands."""
        key = self._constellation_id(constellation)
        held: dict[int, sa.RowMapping] = {}
        for some in chunks(wanted):
            rows = self._connection.execute(
                sa.select(pool).where(pool.c.constellation_id == key, pool.c.story_id.in_(some))
            ).mappings()
            held |= {row["story_id"]: row for row in rows}
        new, changed = [], []
        for story_id, values in wanted.items():
            row = held.get(story_id)
            if row is None:
                new.append(
                    {"story_id": story_id, "constellation_id": key, "scored_at": now, **values}
                )
            elif not (not_dropped and row["dropped_at"]) and any(
                row[name] != value for name, value in values.items()
            ):
                changed.append({"row": row["id"], "scored_at": now, **values})
        if new:
            self._connection.execute(sa.insert(pool), new)
        if changed:
            self._connection.execute(
                sa.update(pool).where(pool.c.id == sa.bindparam("row")), changed
            )

    def open_scores(
        self, constellation: str, since: datetime
    ) -> Mapping[int, tuple[StoryKind, datetime, Score]]:
        """Of the pool's open stories: kind, when last told, and the score that stands."""
        key = self._constellation_id(constellation)
        rows = self._connection.execute(
            sa.select(stories.c.id, stories.c.kind, stories.c.last_at, pool.c.score, pool.c.parts)
            .join(stories, stories.c.id == pool.c.story_id)
            .where(*_in_pool(key, since), pool.c.dropped_at.is_(None))
            .order_by(stories.c.id)
        ).all()
        spoken_for = self._issues_of(key, [row.id for row in rows])
        return {
            row.id: (row.kind, row.last_at, _from_json(row.score, row.parts))
            for row in rows
            if row.id not in spoken_for
        }

    def pool(self, constellation: str, since: datetime) -> Sequence[PoolStory]:
        """Ranked, the best first; state says open, kept, dropped or sent."""
        key = self._constellation_id(constellation)
        rows = self._connection.execute(
            sa.select(pool.c.story_id, pool.c.score, pool.c.parts, pool.c.dropped_at)
            .join(stories, stories.c.id == pool.c.story_id)
            .where(*_in_pool(key, since))
            .order_by(pool.c.score.desc(), stories.c.last_at.desc(), stories.c.id)
        ).all()
        ids = [row.story_id for row in rows]
        whole = {story.id: story for story in read_stories(self._connection, ids)}
        spoken_for = self._issues_of(key, ids)
        return [
            _pool_story(whole[row.story_id], constellation, row, spoken_for.get(row.story_id))
            for row in rows
        ]

    def pools_of(self, story_id: int) -> Sequence[Mapping[str, Any]]:
        """Every pool that looked at a story: constellation, score, parts, left_out, dropped_by."""
        rows = self._connection.execute(
            sa.select(
                constellations.c.key.label("constellation"), pool.c.score, pool.c.parts,
                pool.c.left_out, pool.c.scored_at, pool.c.dropped_at, pool.c.dropped_by,
            )
            .join(constellations, constellations.c.id == pool.c.constellation_id)
            .where(pool.c.story_id == story_id)
            .order_by(constellations.c.key)
        ).mappings()  # fmt: skip
        return [dict(row) for row in rows]

    def set_dropped(
        self, constellation: str, story_id: int, at: datetime | None, by: str = ""
    ) -> None:
        """Take a story out of the pool by hand; None puts it back."""
        key = self._constellation_id(constellation)
        values = {"dropped_at": at, "dropped_by": by if at is not None else ""}
        result = self._connection.execute(
            sa.update(pool)
            .where(pool.c.constellation_id == key, pool.c.story_id == story_id)
            .values(**values)
        )
        if result.rowcount == 0 and at is not None:
            row = {"story_id": story_id, "constellation_id": key, "score": 0.0, "scored_at": at}
            self._connection.execute(sa.insert(pool), {**row, **values})

    def set_taken_back(self, story_id: int, at: datetime | None) -> None:
        """Take a field note back; None brings it back into the pools it stood in.

        It is read anew then: the files may have changed while it was away.
        """
        self._connection.execute(
            sa.update(stories)
            .where(stories.c.id == story_id)
            .values(taken_back_at=at, matched_with="", revision=stories.c.revision + 1)
        )

    def _constellation_id(self, key: str) -> int:
        found = self._connection.execute(
            sa.select(constellations.c.id).where(constellations.c.key == key)
        ).scalar()
        if found is None:
            raise not_adopted("constellation", key)
        return int(found)

    def _issues_of(
        self, constellation_id: int, story_ids: Iterable[int]
    ) -> dict[int, tuple[str, str]]:
        """story id → (kept or sent, the issue's ref), where an issue has it; sent goes first."""
        found: dict[int, tuple[str, str]] = {}
        for some in chunks(story_ids):
            rows = self._connection.execute(
                sa.select(snippets.c.story_id, newsletters.c.key, issues.c.number, issues.c.state)
                .join(issues, issues.c.id == snippets.c.issue_id)
                .join(newsletters, newsletters.c.id == issues.c.newsletter_id)
                .where(
                    newsletters.c.constellation_id == constellation_id,
                    snippets.c.story_id.in_(some),
                    snippets.c.removed.is_(False),
                    issues.c.state.not_in(VOID),
                )
                .order_by(issues.c.due_at, issues.c.id)
            )
            for story_id, newsletter, number, state in rows:
                if found.get(story_id, ("", ""))[0] != "sent" or state in OUT:
                    ref = f"{newsletter}/{number}"
                    found[story_id] = ("sent" if state in OUT else "kept", ref)
        return found


def _joins(draft: StoryDraft) -> Iterable[tuple[int, str]]:
    whys = draft.whys or (draft.why,) * len(draft.item_ids)
    return zip(draft.item_ids, whys, strict=True)


def _led_by(leads: Item, tellings: Sequence[Item], now: datetime) -> dict[str, Any]:
    times = [min(item.published_at, now) for item in tellings]
    return {
        "title": leads.title,
        "lead": lead_of(leads.text),
        "text": leads.text,
        "url": leads.url,
        "source_name": leads.source_name,
        "first_at": min(times),
        "last_at": max(times),
    }


def _in_pool(constellation_id: int, since: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        pool.c.constellation_id == constellation_id,
        pool.c.left_out == "",
        stories.c.last_at >= since,
        stories.c.merged_into.is_(None),
        stories.c.taken_back_at.is_(None),
    )


def _pool_story(
    story: Story, constellation: str, row: Any, issue: tuple[str, str] | None
) -> PoolStory:
    score = _from_json(row.score, row.parts)
    if issue is not None:
        kept = issue[0] == "kept"
        return PoolStory(story, constellation, score, "kept" if kept else "sent", issue[1])
    return PoolStory(story, constellation, score, "dropped" if row.dropped_at else "open")


def _as_json(score: Score) -> list[dict[str, Any]]:
    return [{"name": p.name, "value": p.value, "why": p.why} for p in score.parts]


def _from_json(total: float, parts: Sequence[Mapping[str, Any]]) -> Score:
    return Score(total, tuple(ScorePart(p["name"], p["value"], p["why"]) for p in parts))
