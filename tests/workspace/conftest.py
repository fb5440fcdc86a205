"""A workspace of ferry companies on disk, right until a test breaks it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.errors import BadInput
from pipeline.model.catalog import Catalog
from pipeline.workspace.files import FileWorkspace

FIRM = """\
name: Quay & Tide
postal_address: Quay & Tide AS, Strandgaten 3, 5013 Bergen, Norway
base_url: https://letters.quaytide.example/
contact: desk@quaytide.example
staff:
  - key: liv
    name: Liv Haugen
    address: liv@quaytide.example
    role: partner
    phone: "+47 55 00 00 01"
    signature: |
      Liv Haugen
      *Quay & Tide*
  - key: tom
    name: Tom Reyes
    address: tom@quaytide.example
services:
  - key: berth-audit
    name: We time your berths
    text: Two days at your quay, one table.
    contact: tom
news:
  - key: oslo
    title: A second desk in Oslo
    text: Since March we answer from Oslo too.
    date: 2027-03-01
holidays:
  - 2027-05-17
  - {date: 2027-01-01, name: New Year's Day}
"""

FEEDS = """\
sources:
  - key: coast-wire
    name: Coast Wire
    url: https://coastwire.example/feed
    constellations: [ferries]
  - key: harbour-board
    name: Harbour Board
    url: https://harbourboard.example/news
    kind: page
    constellations: [ferries]
    pace: 90 min
    weight: 1.5
    language: nb
    selectors:
      items: article.news
      title: h3
      link: h3 > a[href]
      date: time
"""

FERRIES = """\
name: Ferry companies
about: Companies that run ferries in northern waters.
expert: liv
curator: tom
approver: liv
purchases_per_year: 1/2
words:
  ferry: 1
  battery ferry: 3
ignore: [cruise]
accounts:
  - key: northline
    name: Northline
    aliases: [Northline Ferries]
    domain: northline.example
    relationship: prospect
    owner: tom
    suppliers: [Havn Marine]
  - key: skagen-ruter
    name: Skagen Ruter
    relationship: customer
    may_be_named: true
    purchases_per_year: 2
newsletters:
  - key: ferry-weekly
    title: Between Quays
    rhythm:
      every: 2 weeks
      on: thursday
      at: "07:30"
      zone: Europe/Oslo
      from: 2027-01-07
      holidays: before
      late: send within 2 days
    lead: 6 days
    cut_off: 2 days
    deadline: 5 h
    floor: 2
    ceiling: 6
    sender: owner
    positioning: We time ferries, so that you need not guess.
    invitation:
      title: Half an hour, nothing to buy
      text: Answer with the number of a story.
  - key: ferry-monthly
    title: The Month between Quays
    mode: automatic
    recap_of: ferry-weekly
    rhythm: {every: month, on: last friday, at: "8:00", zone: Europe/Oslo, from: 2027-01-01,
             late: skip}
    review_window: 24 h
    fallback: headlines
    positioning: We time ferries, so that you need not guess.
"""


@dataclass(frozen=True)
class Folder:
    """A workspace that a test may change."""

    root: Path

    def write(self, name: str, content: str | bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def change(self, name: str, old: str, new: str) -> None:
        """Replace one passage; it must stand there."""
        before = (self.root / name).read_text("utf-8")
        assert before.count(old) >= 1, f"{old!r} does not stand in {name}"
        self.write(name, before.replace(old, new, 1))

    def catalog(self) -> Catalog:
        return FileWorkspace(self.root).catalog()

    def mistakes(self) -> list[str]:
        """All mistakes as people see them; [] when there are none."""
        try:
            self.catalog()
        except BadInput as error:
            return [str(mistake) for mistake in error.mistakes]
        return []


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "quays")
    folder.write("firm.yaml", FIRM)
    folder.write("feeds.yaml", FEEDS)
    folder.write("constellations/ferries.yaml", FERRIES)
    folder.write("templates/letter.txt.j2", "Hello\n")
    return folder
