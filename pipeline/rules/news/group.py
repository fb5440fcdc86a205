"""Decides which items tell the same event."""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice

from pipeline.model.news import Item, StoryDraft
from pipeline.rules.news.words import lead_of, terms

#: Tellings of one event follow each other within so many hours.
WINDOW = timedelta(hours=72)
#: Feeds write dates of the year 1; arithmetic on them overflows.
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
#: Cosine from which two tellings are one story: bare titles share less than titles with a
#: lead do. Chosen on half of the labelled headlines and on 1,800 entries of real feeds, where
#: tellings of one event begin at 0.35 and entries that merely share a topic end at 0.33.
JOINS_TITLE, JOINS_LEAD = 0.18, 0.34
#: The more tellings a centroid unites, the less of it any one can hold; but never below this.
SPREAD = 0.25
LEAST_TITLE, LEAST_LEAD = 0.11, 0.28
#: Distinct terms of a bare title, and of a title with a lead.
TITLE_TERMS, LEAD_TERMS = 12, 27
#: In a story with fewer tellings than this one common word is chance; it takes two.
FEW_TELLINGS = 5
#: Two entries of one source are two articles, unless they are this alike: the parts of a
#: series reach 0.82, an entry that was published twice begins at 0.9.
SAME_SOURCE_FROM = 0.87
#: So many words of the text stand beside the title, at this weight.
LEAD_WORDS = 45
LEAD_WEIGHT = 0.5
#: Shorter texts tell nothing: "Read the full story on our site".
LEAD_CHARS = 60
#: Identical texts shorter than this may be boilerplate ("Read the full story").
COPY_CHARS = 120
#: A text counts as richer up to this length; beyond it is padding, or a whole page.
RICH_CHARS = 6000
#: How many entries of the index one item may look at before the likeliest are compared.
LOOKS = 500
COMPARED = 8


@dataclass(slots=True)
class _Told:
    """A story while we decide."""

    number: int
    story_id: int | None
    first_at: datetime
    last_at: datetime
    sum: dict[str, float] = field(default_factory=dict)
    square: float = 0.0  #: squared length of `sum`
    by_source: dict[str, Mapping[str, float]] = field(default_factory=dict)  #: latest of each
    tellings: int = 0
    richest: tuple[float, float, int] = (0.0, 0.0, 0)
    new_ids: list[int] = field(default_factory=list)
    whys: list[str] = field(default_factory=list)
    similarity: float = 1.0


def decide_groups(
    new_items: Sequence[Item], known_items: Sequence[Item], now: datetime
) -> tuple[StoryDraft, ...]:
    """Which story each new item joins, or which items open one together.

    Same canonical address, then same text, then alike: the cosine of TF-IDF vectors over
    title and lead against each story's centroid, within 72 hours. Work per item is bounded,
    so the whole grows with the number of items and not with their square.

    Shape:  known_items carry their story_id; the answer holds each new item exactly once,
            stories in the order in which they were first told
    """
    items = [*known_items, *new_items]
    new_ids = {item.id for item in new_items}
    told_at = {item.id: max(EARLIEST, min(item.published_at, now)) for item in items}

    def moment(item: Item) -> tuple[datetime, bool, int]:
        # What is known is seen a window ahead of its time, so that a telling which reaches
        # us late finds the story it belongs to.
        is_new = item.id in new_ids
        return (told_at[item.id] - (timedelta(0) if is_new else WINDOW), is_new, item.id)

    groups = _Groups(items)
    for item in sorted(items, key=moment):
        take = groups.place if item.id in new_ids else groups.load
        take(item, told_at[item.id])
    return tuple(groups.drafts())


def richness(item: Item) -> float:
    """How much a telling has to give: its length, weighed by how far we trust its source."""
    return (min(len(item.text), RICH_CHARS) + len(item.title)) * item.source_weight


def richest_first(items: Iterable[Item]) -> list[Item]:
    """Tellings with the one that leads in front; equals by age, then by id."""
    return sorted(items, key=_rank)


def _rank(item: Item) -> tuple[float, float, int]:
    return (-richness(item), item.published_at.timestamp(), item.id)


class _Groups:
    """Stories in the making, with an index from terms to those still within the window."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._counts = {item.id: _counted(item) for item in items}
        seen_in: Counter[str] = Counter()
        for counts in self._counts.values():
            seen_in.update(counts.keys())
        total = len(items)
        # The square root keeps one rare word from deciding alone.
        self._rarity = {
            term: math.sqrt(math.log1p((total + 1) / (n + 0.5))) for term, n in seen_in.items()
        }
        self._stories: list[_Told] = []
        self._by_id: dict[int, _Told] = {}
        self._by_address: dict[str, _Told] = {}
        self._by_text: dict[str, _Told] = {}
        self._index: defaultdict[str, dict[int, None]] = defaultdict(dict)
        self._ends: list[tuple[datetime, int]] = []

    def load(self, item: Item, at: datetime) -> None:
        """Take up an item whose story is settled."""
        story = self._by_id.get(item.story_id) or self._open(item.story_id, at)
        self._join(story, item, at, self._vector(item))

    def place(self, item: Item, at: datetime) -> None:
        """Find the story of a new item, or open one."""
        self._forget_before(at - WINDOW)
        vector = self._vector(item)
        found = self._same(item) or self._alike(item, vector, at)
        if found is None:
            story, why, similarity = self._open(None, at), "first telling", 1.0
        else:
            story, why, similarity = found
        self._join(story, item, at, vector)
        story.new_ids.append(item.id)
        story.whys.append(why)
        story.similarity = min(story.similarity, similarity)

    def drafts(self) -> Iterable[StoryDraft]:
        for story in self._stories:
            if story.new_ids:
                yield StoryDraft(
                    story_id=story.story_id,
                    item_ids=tuple(story.new_ids),
                    why=story.whys[-1],
                    similarity=round(story.similarity, 3),
                    whys=tuple(story.whys),
                    richest_id=story.richest[2],
                )

    # ── finding ──────────────────────────────────────────────────────────────────────────

    def _same(self, item: Item) -> tuple[_Told, str, float] | None:
        """The story with this very address or this very text."""
        story = self._by_text.get(_text_key(item))
        if story is not None:
            return story, "same text", 1.0
        story = self._by_address.get(item.canonical_url)
        # One source may give all its entries one address (its front page): that says nothing.
        if story is not None and item.source_key not in story.by_source:
            return story, "same address", 1.0
        return None

    def _alike(
        self, item: Item, vector: Mapping[str, float], at: datetime
    ) -> tuple[_Told, str, float] | None:
        best, best_cosine = None, 0.0
        for number in self._candidates(vector):
            story = self._stories[number]
            if not story.first_at - WINDOW <= at <= story.last_at + WINDOW:
                continue
            cosine = _dot(vector, story.sum) / math.sqrt(story.square)
            if cosine > best_cosine and _fits(story, item, vector, cosine):
                best, best_cosine = story, cosine
        if best is None:
            return None
        return best, f"tells the same ({best_cosine:.2f})", best_cosine

    def _candidates(self, vector: Mapping[str, float]) -> list[int]:
        """The likeliest stories, found through the item's rarest terms first."""
        scores: defaultdict[int, float] = defaultdict(float)
        looks = 0
        for term in sorted(vector, key=lambda t: (len(self._index.get(t, ())), t)):
            postings = self._index.get(term)
            if not postings:
                continue
            looks += len(postings)
            if looks > LOOKS and scores:
                break
            for number in islice(reversed(postings), LOOKS):
                story = self._stories[number]
                scores[number] += vector[term] * story.sum[term] / math.sqrt(story.square)
        return heapq.nsmallest(COMPARED, scores, key=lambda n: (-scores[n], n))

    # ── keeping ──────────────────────────────────────────────────────────────────────────

    def _vector(self, item: Item) -> dict[str, float]:
        """The item's terms at length one."""
        raw = {
            term: (1 + math.log(max(n, 1.0))) * min(n, 1.0) * self._rarity[term]
            for term, n in self._counts[item.id].items()
        }
        length = math.sqrt(sum(w * w for w in raw.values())) or 1.0
        return {term: weight / length for term, weight in raw.items()}

    def _open(self, story_id: int | None, at: datetime) -> _Told:
        story = _Told(len(self._stories), story_id, at, at)
        self._stories.append(story)
        if story_id is not None:
            self._by_id[story_id] = story
        return story

    def _join(self, story: _Told, item: Item, at: datetime, vector: Mapping[str, float]) -> None:
        for term, weight in vector.items():
            before = story.sum.get(term, 0.0)
            story.sum[term] = before + weight
            story.square += weight * (2 * before + weight)
            self._index[term][story.number] = None
        story.first_at = min(story.first_at, at)
        story.last_at = max(story.last_at, at)
        story.by_source[item.source_key] = vector
        story.tellings += 1
        if not story.richest[2] or _rank(item) < story.richest:
            story.richest = _rank(item)
        self._by_address.setdefault(item.canonical_url, story)
        self._by_text.setdefault(_text_key(item), story)
        self._by_address.pop("", None)
        self._by_text.pop("", None)
        heapq.heappush(self._ends, (story.last_at, story.number))

    def _forget_before(self, moment: datetime) -> None:
        """Take stories out of the index that nothing can join any more."""
        while self._ends and self._ends[0][0] < moment:
            ended, number = heapq.heappop(self._ends)
            story = self._stories[number]
            if story.last_at > ended:
                continue
            for term in story.sum:
                self._index[term].pop(number, None)


def _counted(item: Item) -> dict[str, float]:
    """The item's terms: the title's in full, the lead's at less weight."""
    counts: defaultdict[str, float] = defaultdict(float)
    for term in terms(item.title):
        counts[term] += 1.0
    if len(item.text) >= LEAD_CHARS:
        for term in terms(lead_of(item.text, LEAD_WORDS)):
            counts[term] += LEAD_WEIGHT
    return dict(counts)


def _text_key(item: Item) -> str:
    """The same for texts that differ in nothing but case and space; "" for short ones."""
    return " ".join(item.text.lower().split()) if len(item.text) >= COPY_CHARS else ""


def _fits(story: _Told, item: Item, vector: Mapping[str, float], cosine: float) -> bool:
    """Whether an item this close to a story's centroid belongs to it."""
    before = story.by_source.get(item.source_key)
    if before is not None:
        return _dot(vector, before) >= SAME_SOURCE_FROM
    if story.tellings < FEW_TELLINGS and sum(term in story.sum for term in vector) < 2:
        return False
    fullness = min(max((len(vector) - TITLE_TERMS) / (LEAD_TERMS - TITLE_TERMS), 0.0), 1.0)
    alone = JOINS_TITLE + (JOINS_LEAD - JOINS_TITLE) * fullness
    least = LEAST_TITLE + (LEAST_LEAD - LEAST_TITLE) * fullness
    return cosine >= max(alone / math.pow(story.tellings, SPREAD), least)


def _dot(vector: Mapping[str, float], other: Mapping[str, float]) -> float:
    return sum(weight * other[term] for term, weight in vector.items() if term in other)
