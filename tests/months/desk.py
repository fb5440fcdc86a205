"""The people of the firm: they write the weekly letter, most weeks, and approve it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

from pipeline.errors import Conflict
from pipeline.model.letters import Issue
from pipeline.ports import Ports
from pipeline.stages import compose, curate, people
from tests.months.world import PEOPLE

WEEKLY = "between-quays"
#: They write it from so long before the cut-off on.
EARLY = timedelta(hours=30)


def move_in(ports: Ports) -> None:
    """Bring the firm's people in; one of them wants the monthly letter alone."""
    people.import_people(ports, PEOPLE.encode(), "people.csv")
    people.suppress(ports, "kai@bluestrait.example", scope=WEEKLY)


@dataclass
class Desk:
    """What the people do; every fifth issue they forget, every seventh they stop again."""

    held: list[str] = field(default_factory=list)  #: approvals that lint held back
    stopped: set[int] = field(default_factory=set)
    tried: set[int] = field(default_factory=set)

    def act(self, ports: Ports) -> None:
        """Look at the desk, and do what is to do now."""
        now = ports.clock.now()
        with ports.store.read() as tables:
            issues = tables.letters.issues(WEEKLY)
        for issue in issues[:3]:
            waits = issue.state in ("draft", "in_review")
            if waits and issue.number % 5 and issue.cut_off_at - EARLY <= now < issue.deadline_at:
                self._finish(ports, issue)
            elif issue.state == "scheduled" and issue.number % 7 == 0:
                self._stop(ports, issue)

    def _finish(self, ports: Ports, issue: Issue) -> None:
        eva, liv = replace(ports, actor="eva"), replace(ports, actor="liv")
        writer = eva if ports.clock.now() < issue.cut_off_at else liv
        if issue.number in self.stopped | self.tried:
            return
        self.tried.add(issue.number)
        for number, one in enumerate(compose.show(ports, issue.ref).stories):
            ref = one.snippet.story_public_id
            if number < 3:
                words = {
                    "fact": "At one of the quays it will be another summer than the last one.",
                    "take": "Who waits at a quay waits for a clock.",
                    "question": "Which of your quays could do that?",
                }
                curate.edit(writer, issue.ref, ref, words)
            else:
                curate.remove(writer, issue.ref, ref)
        head = {
            "subject": f"Between quays, number {issue.number}",
            "preheader": f"What the quays did in the week before {issue.beat_on}, and what we make "
            "of it for those who run them.",
            "theme": "A week of waiting",
            "opening": "One thread runs through this week, and it is a rope.",
        }
        compose.edit(writer, issue.ref, head)
        try:
            compose.approve(liv, issue.ref)
        except Conflict as held:
            if "changed while" in held.message:  # the program wrote this very moment
                self.tried.discard(issue.number)  # she looks again
            else:
                self.held.append(f"{issue.ref}: {held}")

    def _stop(self, ports: Ports, issue: Issue) -> None:
        self.stopped.add(issue.number)
        with suppress(Conflict):  # it left this very moment
            compose.stop(replace(ports, actor="liv"), issue.ref, "the subject is wrong")
