"""Makes stories of what was gathered, finds whose they are, and ranks them into pools."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from functools import cache
from importlib.resources import files
from itertools import takewhile

from pipeline.model.catalog import OwnNews
from pipeline.model.news import Item, Mention, Score, SignalHit, Story, StoryDraft
from pipeline.ports import Ports, Tables
from pipeline.rules.news.group import WINDOW, decide_groups, richest_first
from pipeline.rules.news.match import Matcher, Telling, build_matcher, match_all, telling_of
from pipeline.rules.news.rank import left_out, refreshed, score, score_own
from pipeline.rules.news.signals import Rules, find_signals, parse_rules

#: Items grouped, or stories read anew, in one go: bounds memory, not the work.
BATCH = 2_000
#: A new item is compared with tellings no older than this, however old it says it is.
BACK = timedelta(days=30)
#: Older stories are neither matched anew nor scored anew.
HORIZON = timedelta(days=45)
#: Part of what a story was matched with; goes up when the code reads texts in a new way.
READING = "1"


@dataclass(frozen=True, slots=True)
class Sifted:
    """What one round of sifting did."""

    items: int = 0  #: grouped
    opened: int = 0  #: stories
    joined: int = 0  #: items that joined a story that was there
    matched: int = 0  #: stories read for names, words and signals
    pooled: int = 0  #: of these, put into a pool or kept there
    left_out: int = 0  #: of these, in no pool; each with its reason
    by_constellation: tuple[tuple[str, int], ...] = ()  #: open stories in each pool now


@dataclass(slots=True)
class _Found:
    """Whom a story is about, its signals, and what each constellation makes of it."""

    mentions: list[Mention] = field(default_factory=list)
    signals: tuple[SignalHit, ...] = ()
    scores: dict[str, Score] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def sift(ports: Ports, *, batch: int = BATCH) -> Sifted:
    """Group new items into stories, match and rank them; a second run changes nothing.

    Texts are read and compared outside any transaction; each batch is written at once. A story
    is matched anew when a telling joins or was edited, and when the files or the rules change.
    When it is to stop it leaves the batch that it is reading unwritten: the next run reads it.
    """
    round_ = _Round(ports, batch)
    for step in (round_.group, round_.read_anew, round_.enter_own_news, round_.refresh):
        if ports.stopping():
            break
        step()
    return round_.tally


@cache
def _signal_rules() -> tuple[Rules, str]:
    """The shipped rules and their digest, read once."""
    text = files("pipeline.rules.news").joinpath("signals.toml").read_text("utf-8")
    return parse_rules(text), hashlib.sha256(text.encode()).hexdigest()


class _Round:
    """One run, with what it needs to read many texts."""

    def __init__(self, ports: Ports, batch: int) -> None:
        self._ports = ports
        self._batch = batch
        self._now = ports.clock.now()
        self._rules, rules_digest = _signal_rules()
        said = "\n".join((READING, ports.catalog.digest, rules_digest))
        self._digest = hashlib.sha256(said.encode()).hexdigest()
        self._constellations = {c.key: c for c in ports.catalog.constellations}
        self._matchers: dict[str, Matcher] = {
            key: build_matcher(c) for key, c in self._constellations.items()
        }
        self._homes = {s.key: s.constellations for s in ports.catalog.sources}
        self._weights = {s.key: s.weight for s in ports.catalog.sources}
        self.tally = Sifted()

    # ── the steps ────────────────────────────────────────────────────────────────────────

    def group(self) -> None:
        """New items join stories or open them; edited ones lend them their new words."""
        while not self._ports.stopping():
            with self._ports.store.read() as tables:
                new = self._weighed(tables.stories.ungrouped(self._batch))
                known = self._known(tables, new)
                edited = tables.stories.by_ids(tables.stories.outdated(self._now - HORIZON))
            drafts = [*decide_groups(new, known, self._now)]
            joined = {draft.story_id for draft in drafts}
            drafts += [self._edit(story) for story in edited if story.id not in joined]
            if not drafts:
                return
            tellings = self._tellings(drafts, [*new, *known], edited)
            found = self._until_stopped(map(self._read_news, tellings))
            if len(found) < len(drafts):
                return
            with self._ports.store.write() as tables:
                ids = tables.stories.apply_groups(drafts, self._now)
                self._write(tables, dict(zip(ids, found, strict=True)))
            self._count(drafts, found)
            if len(new) < self._batch:
                return

    def read_anew(self) -> None:
        """Match what was last matched with other files or rules, and notes that are new."""
        while not self._ports.stopping():
            with self._ports.store.read() as tables:
                stale = tables.stories.to_match(self._digest, self._now - HORIZON, self._batch)
                pooled = self._pooled(tables) if stale else {}
            if not stale:
                return
            read = self._until_stopped(self._read_story(story, pooled) for story in stale)
            found = {story.id: one for story, one in zip(stale, read, strict=False)}
            if found:
                with self._ports.store.write() as tables:
                    self._write(tables, found)
                self._add(matched=len(found), **_sums(found.values()))
            if len(found) < len(stale):
                return

    def enter_own_news(self) -> None:
        """What firm.yaml says of ourselves stands in every pool from its day on."""
        today = self._now.date()
        news = [n for n in self._ports.catalog.firm.news if n.on <= today]
        with self._ports.store.read() as tables:
            held = tables.stories.own_news()
        fresh = [n for n in news if _differs(n, held.get(n.key))]
        gone = [story for key, story in held.items() if key not in {n.key for n in news}]
        if not fresh and not gone:
            return
        with self._ports.store.write() as tables:
            found = {}
            for n in fresh:
                story_id = tables.stories.add_story("own", n.title, n.text, _at(n), own_key=n.key)
                found[story_id] = self._read_own(n.title, n.text, _at(n))
            self._write(tables, found)
            why = "Our own news, no longer in firm.yaml"
            for key in self._constellations:
                tables.stories.unpool(key, {story.id: why for story in gone}, self._now)
        self._add(matched=len(found), **_sums(found.values()))

    def refresh(self) -> None:
        """Open stories grow older: only their freshness is worked out anew."""
        later: dict[str, dict[int, Score]] = {}
        counts = []
        with self._ports.store.read() as tables:
            for key in self._constellations:
                held = tables.stories.open_scores(key, self._now - HORIZON)
                counts.append((key, len(held)))
                for story_id, (kind, told_at, old) in held.items():
                    new = refreshed(old, kind, told_at, self._now)
                    if new != old:
                        later.setdefault(key, {})[story_id] = new
        if later:
            with self._ports.store.write() as tables:
                for key, scores in later.items():
                    tables.stories.score(key, scores, self._now)
        self.tally = replace(self.tally, by_constellation=tuple(counts))

    # ── reading texts ────────────────────────────────────────────────────────────────────

    def _until_stopped(self, reading: Iterable[_Found]) -> list[_Found]:
        """As many as were read when we were asked to stop."""
        return list(takewhile(lambda _: not self._ports.stopping(), reading))

    def _read_news(self, tellings: Sequence[Item]) -> _Found:
        """What the constellations of its sources make of a story; its richest telling first."""
        found = _Found(signals=self._signals([(i.title, i.text) for i in tellings]))
        sources = {i.source_name: i.source_weight for i in tellings}
        told_at = max(min(i.published_at, self._now) for i in tellings)
        texts = [telling_of(item) for item in tellings]
        for key in sorted({home for i in tellings for home in self._homes.get(i.source_key, ())}):
            matching = match_all(self._matchers[key], texts)
            found.mentions += matching.mentions
            why = left_out(matching)
            if why:
                found.reasons[key] = why
            else:
                found.scores[key] = score(
                    matching, found.signals, sources, told_at, self._now, self._constellations[key]
                )
        return found

    def _read_story(self, story: Story, pooled: Mapping[str, Mapping[int, Score]]) -> _Found:
        if story.kind == "own":
            return self._read_own(story.title, story.text, story.first_at)
        if story.kind == "news":
            return self._read_news(richest_first(self._weighed(story.tellings)))
        found = self._read_ours(story.title, story.text, story.url)
        for key, scores in pooled.items():
            if story.id in scores:  # it stands there already, with who wrote it
                found.scores[key] = refreshed(scores[story.id], "note", story.last_at, self._now)
        return found

    def _read_own(self, title: str, text: str, at: datetime) -> _Found:
        found = self._read_ours(title, text, "")
        found.signals = ()  # kinds are of what happens in the trade
        found.scores = {key: score_own(at, self._now) for key in self._constellations}
        return found

    def _read_ours(self, title: str, text: str, url: str) -> _Found:
        """What we wrote ourselves is read for every constellation: the wall must know."""
        found = _Found(signals=self._signals([(title, text)]))
        for matcher in self._matchers.values():
            found.mentions += match_all(matcher, [Telling(title, text, url)]).mentions
        return found

    def _signals(self, texts: Iterable[tuple[str, str]]) -> tuple[SignalHit, ...]:
        """The strongest hit of each kind over all tellings."""
        best: dict[str, SignalHit] = {}
        for title, text in texts:
            for hit in find_signals(self._rules, title, text):
                if hit.signal not in best or hit.weight > best[hit.signal].weight:
                    best[hit.signal] = hit
        return tuple(sorted(best.values(), key=lambda hit: -hit.weight))

    # ── what is there, and what becomes of it ────────────────────────────────────────────

    def _weighed(self, items: Iterable[Item]) -> list[Item]:
        """Items with the weight that feeds.yaml gives their source."""
        return [replace(i, source_weight=self._weights.get(i.source_key, 1.0)) for i in items]

    def _known(self, tables: Tables, new: Sequence[Item]) -> list[Item]:
        if not new:
            return []
        times = [min(item.published_at, self._now) for item in new]
        since = max(min(times), self._now - BACK) - WINDOW
        return self._weighed(tables.stories.items_since(since, max(times) + WINDOW))

    def _edit(self, story: Story) -> StoryDraft:
        first = richest_first(self._weighed(story.tellings))[0]
        return StoryDraft(story.id, (), "edited", richest_id=first.id)

    def _tellings(
        self, drafts: Sequence[StoryDraft], items: Sequence[Item], edited: Sequence[Story]
    ) -> list[list[Item]]:
        """All tellings of each draft's story, the richest first."""
        by_id = {item.id: item for item in items}
        told: defaultdict[int, dict[int, Item]] = defaultdict(dict)
        for item in (*items, *self._weighed(i for s in edited for i in s.tellings)):
            if item.story_id:
                told[item.story_id][item.id] = item
        return [
            richest_first(
                [*told.get(d.story_id or 0, {}).values(), *(by_id[i] for i in d.item_ids)]
            )
            for d in drafts
        ]

    def _pooled(self, tables: Tables) -> dict[str, dict[int, Score]]:
        """Open stories of each pool, with the score that stands."""
        since = self._now - HORIZON
        return {
            key: {s: old for s, (_, _, old) in tables.stories.open_scores(key, since).items()}
            for key in self._constellations
        }

    def _write(self, tables: Tables, found: Mapping[int, _Found]) -> None:
        tables.stories.relate_all(
            {story_id: (f.mentions, f.signals) for story_id, f in found.items()}, self._digest
        )
        for key in self._constellations:
            scores = {s: f.scores[key] for s, f in found.items() if key in f.scores}
            reasons = {s: f.reasons[key] for s, f in found.items() if key in f.reasons}
            if scores:
                tables.stories.score(key, scores, self._now)
            if reasons:
                tables.stories.unpool(key, reasons, self._now)

    def _count(self, drafts: Sequence[StoryDraft], found: Sequence[_Found]) -> None:
        grouped = sum(len(d.item_ids) for d in drafts)
        opened = sum(d.story_id is None for d in drafts)
        joined = sum(len(d.item_ids) for d in drafts if d.story_id is not None)
        self._add(items=grouped, opened=opened, joined=joined, matched=len(found), **_sums(found))
        self._ports.progress(self.tally.items, self.tally.items, "items sifted")

    def _add(self, **counts: int) -> None:
        self.tally = replace(
            self.tally, **{n: getattr(self.tally, n) + count for n, count in counts.items()}
        )


def _sums(found: Iterable[_Found]) -> dict[str, int]:
    pooled = [bool(f.scores) for f in found]
    return {"pooled": sum(pooled), "left_out": len(pooled) - sum(pooled)}


def _at(news: OwnNews) -> datetime:
    return datetime.combine(news.on, time(), UTC)


def _differs(news: OwnNews, held: Story | None) -> bool:
    return held is None or (held.title, held.text, held.first_at) != (
        news.title,
        news.text,
        _at(news),
    )
