"""A ferry newsletter with stories, people and real templates, for tests of what is composed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from pipeline.model.catalog import Catalog
from pipeline.model.letters import Issue, Snippet
from pipeline.model.news import Mention, Score, ScorePart, SignalHit
from pipeline.model.people import Contact
from pipeline.ports import Ports
from pipeline.rules.letters.tokens import HmacTokens
from pipeline.stages.adopt import adopt
from pipeline.stages.compose import open_issues
from pipeline.stores.sql import SqlStore
from pipeline.transports.file import FileTransport
from pipeline.workspace.files import FileWorkspace
from tests.builders import CATALOG, NOW, SECRET, StandingClock
from tests.people_scene import ASKED, bring, ports_of, row

ROOT = Path(__file__).parents[1]  # its templates are the ones that ship
REF = "ferry-weekly"


@dataclass
class Scene:
    """Ports over a real store, with a clock that the test sets."""

    ports: Ports
    clock: StandingClock
    story_ids: list[int] = field(default_factory=list)

    @property
    def store(self) -> SqlStore:
        return self.ports.store  # type: ignore[return-value]

    def acting(self, actor: str) -> Ports:
        return replace(self.ports, actor=actor)

    def at(self, moment: datetime) -> None:
        self.clock.at = moment

    # ── news ─────────────────────────────────────────────────────────────────────────────

    def story(
        self,
        title: str,
        *,
        about: Sequence[str] = (),
        touches: Sequence[tuple[str, str, str]] = (),  # account, relation, evidence
        score: float = 1.0,
        at: datetime = NOW - timedelta(days=2),
        **fields: Any,
    ) -> int:
        """A story in the pool; news unless told otherwise."""
        number = len(self.story_ids) + 1
        kind = fields.pop("kind", "news")
        text = fields.pop("text", f"{title}. It was so on quay {number}, people say.")
        plain = {"url": f"https://coastwire.example/{number}", "source_name": "Coast Wire"}
        mentions = [Mention(key, "self", "headline", key, 2.0) for key in about]
        mentions += [Mention(key, relation, "lead", words, 1.0) for key, relation, words in touches]
        with self.store.write() as tables:
            story_id = tables.stories.add_story(kind, title, text, at, **{**plain, **fields})
            tables.stories.relate(story_id, mentions, [SignalHit("place", "quay", 1.0)])
            part = ScorePart("about", score, "as the test says")
            tables.stories.score("ferries", {story_id: Score(score, (part,))}, self.clock.now())
        self.story_ids.append(story_id)
        return story_id

    def told_of(self, story_id: int) -> set[int]:
        """Ids of the contacts who were told of a story, or soon will be."""
        with self.store.read() as tables:
            (story,) = tables.stories.by_ids([story_id])
            return {
                who.contact.id
                for who in tables.people.facts()
                if any(
                    fact["story"] == story.public_id for fact in tables.people.told(who.contact.id)
                )
            }

    # ── an issue ─────────────────────────────────────────────────────────────────────────

    def open(self) -> Issue:
        """The issue of the next beat, pre-filled."""
        open_issues(self.ports)
        return self.issue()

    def issue(self, ref: str = REF) -> Issue:
        with self.store.read() as tables:
            return tables.letters.find_issue(ref)

    def snippets(self, ref: str = REF) -> tuple[Snippet, ...]:
        with self.store.read() as tables:
            return tuple(tables.snippets.of_issue(tables.letters.find_issue(ref).id))

    def write(self, story_id: int, **changes: str) -> Snippet:
        """Words for a kept story; it is kept first when it is not."""
        with self.store.write() as tables:
            issue = tables.letters.find_issue(REF)
            section = changes.pop("section", "main")
            kept = tables.snippets.keep(issue.id, story_id, section)
            return tables.snippets.edit(kept.id, kept.revision, {"section": section, **changes})

    def finish(self) -> Issue:
        """Write what lint asks for: a head, and a take and a question for each main story."""
        with self.store.write() as tables:
            issue = tables.letters.find_issue(REF)
            for kept in tables.snippets.of_issue(issue.id):
                if kept.section == "main" and not kept.take:
                    words = {
                        "fact": f"It happened at berth number {kept.position}.",
                        "take": f"We would not have waited for berth {kept.position}.",
                        "question": "Who winds your clock?",
                    }
                    tables.snippets.edit(kept.id, kept.revision, words)
            head = {
                "subject": "Who times the ferries",
                "preheader": "Three berths, one clock, and nobody who winds it in the morning.",
                "theme": "A week of waiting",
                "opening": "One thread runs through this week, {{first_name|dear reader}}.",
            }
            return tables.letters.edit_issue(issue.id, issue.revision, head)

    def ready(self) -> Issue:
        """An issue with three public stories that only waits for its approver."""
        for number in (1, 2, 3):
            self.story(f"Quay {number} opens an hour earlier", score=10 - number)
        self.open()
        return self.finish()

    # ── people ───────────────────────────────────────────────────────────────────────────

    def person(self, name: str, account: str = "northline", **fields: Any) -> Contact:
        """Somebody who asked for the letter."""
        address = f"{name.lower()}@{account}.example"
        known = {"first_name": name, "last_name": "Strand", "basis": ASKED}
        (contact_id,) = bring(self.store, row(1, address, account, **{**known, **fields}))
        with self.store.read() as tables:
            return tables.people.by_id(contact_id)

    def people(self) -> dict[str, Contact]:
        """One at each account and one more at the first."""
        return {
            "Ada": self.person("Ada", "northline"),
            "Bo": self.person("Bo", "northline"),
            "Cem": self.person("Cem", "skagen-ruter"),
            "Dag": self.person("Dag", "blue-strait"),
        }


def build_scene(
    store: SqlStore, folder: Path, catalog: Catalog = CATALOG, *, actor: str = "liv"
) -> Scene:
    clock = StandingClock()
    ports = replace(
        ports_of(store, catalog, actor=actor, clock=clock),
        workspace=FileWorkspace(ROOT),
        transport=FileTransport(folder / "mail"),
        tokens=HmacTokens(SECRET),
    )
    adopt(ports)
    return Scene(ports, clock)


def log_of(scene: Scene, subject: str) -> list[str]:
    """Verbs of the operations on a thing, oldest first."""
    with scene.store.read() as tables:
        return [operation.verb for operation in tables.log.of(subject)]


def beats(scene: Scene) -> dict[date, str]:
    with scene.store.read() as tables:
        return dict(tables.letters.beats(REF))
