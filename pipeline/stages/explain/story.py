"""Every reason behind one story: from a source's answer to the people who were told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pipeline.model.log import Step
from pipeline.model.news import Story
from pipeline.ports import Ports, Tables
from pipeline.rules.deeds import changes_in_words, in_words, touches
from pipeline.rules.news.mentions import why_touched


def explain_story(ports: Ports, ref: str) -> tuple[Step, ...]:
    """From the source's answer through item, grouping, matches, signals and scores to the
    curators' steps, the issues, and who was told.

    Raises: NotFound, BadInput
    """
    names = {a.key: a.name for c in ports.catalog.constellations for a in c.accounts}
    with ports.store.read() as tables:
        asked = tables.stories.find(ref, taken_back=True)
        story = _heir(tables, asked)
        steps = [
            *_beginning(story, asked, names),
            *_tellings(tables, story),
            *_merges(tables, story),
            *_matches(story, names),
            *_pools(tables, story),
            *_operations(tables, story),
            *_issues(tables, story),
            *_told(tables, story),
        ]
    return tuple(steps)


def _heir(tables: Tables, story: Story) -> Story:
    while story.merged_into is not None:
        (story,) = tables.stories.by_ids([story.merged_into])
    return story


def _beginning(story: Story, asked: Story, names: Mapping[str, str]) -> Iterator[Step]:
    if asked.id != story.id:
        yield Step(None, f"“{asked.title}” became part of “{story.title}”")
    else:
        yield Step(None, f"“{story.title}”", f"story {story.public_id}\n{story.url}".strip())
    if story.kind == "own":
        yield Step(story.first_at, "Our own news, from firm.yaml")
    elif story.kind == "note":
        yield Step(story.first_at, "A field note", _source_of_note(story, names))


def _source_of_note(story: Story, names: Mapping[str, str]) -> str:
    if story.learnt_from:
        name = names.get(story.learnt_from, story.learnt_from)
        return f"learnt from {name}: nobody else reads it, unless a general wording is cleared"
    if story.is_public:
        return "public"
    return "says neither who told it nor that it is public, so it enters no issue"


def _tellings(tables: Tables, story: Story) -> Iterator[Step]:
    for item in tables.reasons.items_of_story(story.id):
        if item["fetched_at"]:
            yield Step(
                item["fetched_at"],
                f"{item['source_name']} answered",
                f"status {item['status']}, {_count(item['entries'], 'entry', 'entries')}, "
                f"{item['new']} new",
            )
        else:
            yield Step(None, f"{item['source_name']} answered; when exactly is no longer kept")
        dated = (
            f"{item['published_at']:%Y-%m-%d %H:%M} UTC" if item["dated"] else "no date of its own"
        )
        yield Step(
            item["seen_at"],
            f"{item['source_name']} told it: “{item['title']}”",
            f"published {dated}\n{item['url']}",
        )
        yield Step(None, "Joined this story", item["joined_why"] or "first telling")


def _merges(tables: Tables, story: Story) -> Iterator[Step]:
    for title in tables.reasons.merged_into_story(story.id):
        yield Step(None, f"“{title}” became part of it")


def _matches(story: Story, names: Mapping[str, str]) -> Iterator[Step]:
    for mention in story.mentions:
        name = names.get(mention.account_key, mention.account_key)
        why = why_touched(mention.relation, mention.where, mention.evidence)
        yield Step(None, f"Touches {name}", f"{why} (weight {mention.weight:.1f})")
    if not story.mentions:
        yield Step(None, "Names no account that we follow")
    for hit in story.signals:
        yield Step(None, f"Signal: {hit.signal}", f"“{hit.evidence}” (weight {hit.weight:.1f})")


def _pools(tables: Tables, story: Story) -> Iterator[Step]:
    if story.taken_back_at is not None:
        yield Step(story.taken_back_at, "Taken back by who wrote it: it stands in no pool")
        return
    pools = tables.stories.pools_of(story.id)
    if not pools:
        yield Step(None, "No constellation has looked at it yet", "`asterism gather` sifts it")
    for pool in pools:
        where = f"the pool of {pool['constellation']}"
        if pool["left_out"]:
            yield Step(pool["scored_at"], f"Not in {where}", pool["left_out"])
        else:
            yield Step(
                pool["scored_at"], f"In {where}, score {pool['score']:.1f}", _parts(pool["parts"])
            )
        if pool["dropped_at"]:
            yield Step(pool["dropped_at"], f"Dropped from {where} by {pool['dropped_by']}")


def _parts(parts: Iterable[Mapping[str, Any]]) -> str:
    return "\n".join(f"{part['value']:.2f}  {part['why']}" for part in parts)


def _operations(tables: Tables, story: Story) -> Iterator[Step]:
    for operation in tables.reasons.operations_about(story.public_id):
        if touches(operation, story.public_id):
            yield Step(
                operation.at,
                in_words(operation, story.title),
                changes_in_words(operation, story.public_id),
            )


def _issues(tables: Tables, story: Story) -> Iterator[Step]:
    for place in tables.reasons.issues_of_story(story.id):
        if place["removed"]:
            yield Step(None, f"Was in {place['issue_ref']}, taken out; its words are kept")
            continue
        section = "" if place["section"] == "main" else ", under “Also noted”"
        state = place["state"].replace("_", " ")
        yield Step(None, f"In {place['issue_ref']}{section}", f"the issue is {state}")


def _told(tables: Tables, story: Story) -> Iterator[Step]:
    told: Sequence[Mapping[str, Any]] = tables.reasons.told_of_story(story.id)
    for row in told:
        name = f"{row['first_name']} {row['last_name']}".strip() or row["address"]
        name = name or row["contact"][:8]
        through = f"in {row['issue_ref']}" if row["issue_ref"] else f"by {row['through']}"
        state = (row["delivery_state"] or "").replace("_", " ")
        yield Step(row["at"], f"{name} of {row['account']}, {through}", state)
    if not told:
        yield Step(None, "Nobody has been told of it")


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
