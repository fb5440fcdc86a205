"""Every reason behind one story: from a source's answer to the people who were told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pipeline.model.log import Step
from pipeline.model.news import Story
from pipeline.ports import Ports, Tables
from pipeline.rules.deeds import changes_in_words, in_words, touches
from pipeline.rules.letters.ledger import OPEN
from pipeline.rules.news.mentions import why_touched
from pipeline.stages.explain.parts import Part, Parts, count, first, joined, latest, whole

#: In short: how many of each list are shown.
TELLINGS = 2
MERGES = 3
MENTIONS = 5
POOLS = 3
OPERATIONS = 5
ISSUES = 5
TOLD = 5


def explain_story(ports: Ports, ref: str) -> Part:
    """From the source's answer through item, grouping, matches, signals and scores to the
    curators' steps, the issues, and who was told.

    Raises: NotFound, BadInput
    """
    names = {a.key: a.name for c in ports.catalog.constellations for a in c.accounts}
    with ports.store.read() as tables:
        asked = tables.stories.find(ref, taken_back=True)
        story = tables.stories.heir(asked)
        return joined([
            whole(*_beginning(story, asked, names)),
            _tellings(tables, story),
            _merges(tables, story),
            _matches(story, names),
            _pools(tables, story),
            _operations(tables, story),
            _issues(tables, story),
            _told(tables, story),
        ])  # fmt: skip


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


def _tellings(tables: Tables, story: Story) -> Part:
    items = tables.reasons.items_of_story(story.id)

    def others(rest: Parts) -> Step:
        names = dict.fromkeys(item["source_name"] for item in items[-len(rest) :])
        return Step(None, f"Told {len(rest)} times more", ", ".join(names))

    return first([whole(*_telling(item)) for item in items], TELLINGS, others)


def _telling(item: Mapping[str, Any]) -> Iterator[Step]:
    source = item["source_name"]
    if item["fetched_at"]:
        entries = count(item["entries"], "entry", "entries")
        answer = f"status {item['status']}, {entries}, {item['new']} new"
        yield Step(item["fetched_at"], f"{source} answered", answer)
    else:
        yield Step(None, f"{source} answered; when exactly is no longer kept")
    dated = f"{item['published_at']:%Y-%m-%d %H:%M} UTC" if item["dated"] else "no date of its own"
    yield Step(
        item["seen_at"],
        f"{source} told it: “{item['title']}”",
        f"published {dated}\n{item['url']}",
    )
    yield Step(None, "Joined this story", item["joined_why"] or "first telling")


def _merges(tables: Tables, story: Story) -> Part:
    titles = tables.reasons.merged_into_story(story.id)
    parts = [whole(Step(None, f"“{title}” became part of it")) for title in titles]
    return first(parts, MERGES, lambda rest: Step(None, f"So did {len(rest)} more stories"))


def _matches(story: Story, names: Mapping[str, str]) -> Part:
    """The accounts that it touches, in short those that it touches most."""
    touched = [
        whole(Step(
            None, f"Touches {names.get(one.account_key, one.account_key)}",
            f"{why_touched(one.relation, one.where, one.evidence)} (weight {one.weight:.1f})",
        ))
        for one in sorted(story.mentions, key=lambda mention: -mention.weight)
    ]  # fmt: skip
    if not touched:
        touched = [whole(Step(None, "Names no account that we follow"))]
    accounts = first(touched, MENTIONS, lambda rest: Step(None, f"Touches {len(rest)} more"))
    signals = [
        Step(None, f"Signal: {hit.signal}", f"“{hit.evidence}” (weight {hit.weight:.1f})")
        for hit in story.signals
    ]
    return joined([accounts, whole(*signals)])


def _pools(tables: Tables, story: Story) -> Part:
    if story.taken_back_at is not None:
        return whole(Step(story.taken_back_at, "Taken back by who wrote it: it stands in no pool"))
    pools = tables.stories.pools_of(story.id)
    if not pools:
        return whole(
            Step(None, "No constellation has looked at it yet", "`asterism gather` sifts it")
        )
    here = [whole(*_pool(pool)) for pool in pools if not pool["left_out"]]
    left_out = [whole(*_pool(pool)) for pool in pools if pool["left_out"]]
    elsewhere = first(left_out, POOLS, lambda rest: Step(None, f"Not in {len(rest)} more pools"))
    return joined([*here, elsewhere])


def _pool(pool: Mapping[str, Any]) -> Iterator[Step]:
    where = f"the pool of {pool['constellation']}"
    if pool["left_out"]:
        yield Step(pool["scored_at"], f"Not in {where}", pool["left_out"])
    else:
        score = f"In {where}, score {pool['score']:.1f}"
        yield Step(pool["scored_at"], score, _parts(pool["parts"]))
    if pool["dropped_at"]:
        yield Step(pool["dropped_at"], f"Dropped from {where} by {pool['dropped_by']}")


def _parts(parts: Iterable[Mapping[str, Any]]) -> str:
    return "\n".join(f"{part['value']:.2f}  {part['why']}" for part in parts)


def _operations(tables: Tables, story: Story) -> Part:
    parts = [
        whole(Step(
            operation.at,
            in_words(operation, story.title),
            changes_in_words(operation, story.public_id),
        ))
        for operation in tables.reasons.operations_about(story.public_id)
        if touches(operation, story.public_id)
    ]  # fmt: skip
    return latest(parts, OPERATIONS, lambda rest: Step(None, f"{len(rest)} steps before those"))


def _issues(tables: Tables, story: Story) -> Part:
    parts = [whole(_place(place)) for place in tables.reasons.issues_of_story(story.id)]
    return latest(parts, ISSUES, lambda rest: Step(None, f"In {len(rest)} issues before those"))


def _place(place: Mapping[str, Any]) -> Step:
    if place["removed"]:
        return Step(None, f"Was in {place['issue_ref']}, taken out; its words are kept")
    section = "" if place["section"] == "main" else ", under “Also noted”"
    state = place["state"].replace("_", " ")
    return Step(None, f"In {place['issue_ref']}{section}", f"the issue is {state}")


def _told(tables: Tables, story: Story) -> Part:
    """Each who was told; in short, where they are many, how many by each way."""
    told = tables.reasons.told_of_story(story.id)
    if not told:
        return whole(Step(None, "Nobody has been told of it"))
    steps = tuple(_person(row) for row in told)
    if len(told) <= TOLD:
        return whole(*steps)
    ways: dict[tuple[str, bool], list[Mapping[str, Any]]] = {}
    for row in told:
        ways.setdefault((_through(row), row["delivery_state"] in OPEN), []).append(row)
    return Part(steps, tuple(_counted(*way, rows) for way, rows in ways.items()))


def _counted(way: str, is_coming: bool, rows: Sequence[Mapping[str, Any]]) -> Step:
    told = "To be told" if is_coming else "Told"
    people = count(len({row["contact"] for row in rows}), "person", "people")
    accounts = count(len({row["account"] for row in rows}), "account", "accounts")
    states = Counter(
        row["delivery_state"].replace("_", " ") for row in rows if row["delivery_state"]
    )
    detail = ", ".join(f"{number} {state}" for state, number in states.most_common())
    return Step(rows[-1]["at"], f"{told} to {people} at {accounts}, {way}", detail)


def _person(row: Mapping[str, Any]) -> Step:
    name = f"{row['first_name']} {row['last_name']}".strip() or row["address"]
    name = name or row["contact"][:8]
    state = (row["delivery_state"] or "").replace("_", " ")
    return Step(row["at"], f"{name} of {row['account']}, {_through(row)}", state)


def _through(row: Mapping[str, Any]) -> str:
    return f"in {row['issue_ref']}" if row["issue_ref"] else f"by {row['through']}"
