"""An account becomes a customer between two issues: the second one is the first that shows it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from pipeline.model.catalog import Catalog, OwnNews
from pipeline.model.letters import EditionKind, Variant
from pipeline.model.people import Contact
from pipeline.stages.adopt import adopt
from pipeline.stages.compose import approve, open_issues
from pipeline.stages.deliver import deliver
from pipeline.stages.explain import explain_contact
from pipeline.stores.sql import SqlStore
from tests.builders import CATALOG, DUE, FERRIES
from tests.compose_scene import REF, Scene, build_scene

OLD, NEW = "A second desk in Oslo", "A third desk in Turku"
TURKU = OwnNews("turku", NEW, "Since yesterday we answer from Turku too.", date(2027, 3, 15))


def won(catalog: Catalog = CATALOG) -> Catalog:
    """The same files, with Northline as a customer."""
    accounts = tuple(
        replace(one, relationship="customer") if one.key == "northline" else one
        for one in FERRIES.accounts
    )
    ferries = replace(FERRIES, accounts=accounts)
    firm = replace(catalog.firm, news=(*catalog.firm.news, TURKU))
    return replace(catalog, firm=firm, constellations=(ferries,), digest="ferries-won")


@pytest.fixture
def scene(store: SqlStore, tmp_path: Path) -> Scene:
    return build_scene(store, tmp_path)


def copy_of(scene: Scene, who: Contact, ref: str) -> tuple[EditionKind, Variant, str]:
    """Which edition somebody's copy is, its variant, and its state."""
    with scene.store.read() as tables:
        issue = tables.letters.find_issue(ref)
        (copy,) = (d for d in tables.deliveries.of_contact(who.id) if d.issue_id == issue.id)
        variant = tables.letters.variant(copy.variant_id)
        return variant.kind, variant, copy.state


def test_the_edition_switches_from_the_next_issue_on(scene: Scene) -> None:
    ada, cem = scene.person("Ada", "northline"), scene.person("Cem", "skagen-ruter")
    scene.ready()
    approve(scene.ports, REF)
    frozen = copy_of(scene, ada, f"{REF}/1")
    assert frozen[0] == "prospect"
    assert OLD not in frozen[1].html
    assert OLD in copy_of(scene, cem, f"{REF}/1")[1].html

    scene.ports = replace(scene.ports, catalog=won())  # the YAML changes, issue 1 is approved
    adopt(scene.ports)
    scene.at(DUE + timedelta(minutes=1))
    deliver(scene.ports)
    kind, variant, state = copy_of(scene, ada, f"{REF}/1")
    assert (kind, variant, state) == (frozen[0], frozen[1], "accepted")

    for number in (4, 5, 6):
        scene.story(f"Quay {number} opens an hour earlier", at=DUE, score=20 - number)
    scene.at(DUE + timedelta(days=5))
    open_issues(scene.ports)
    assert scene.issue().ref == f"{REF}/2"
    scene.finish()
    approve(scene.ports, REF)
    for who in (ada, cem):
        kind, variant, _ = copy_of(scene, who, f"{REF}/2")
        assert kind == "customer"
        assert NEW in variant.html
        assert OLD not in variant.html, "new with us is what is new since the last issue"

    said = [step.what for step in explain_contact(scene.ports, ada.public_id).steps]
    prospect, customer = (
        said.index(f"Northline is a {word} from the next issue on")
        for word in ("prospect", "customer")
    )
    assert prospect < customer


def test_the_history_is_written_once_for_each_change(scene: Scene) -> None:
    ada = scene.person("Ada", "northline")
    for catalog in (CATALOG, won(), won(), replace(CATALOG, digest="ferries-lost")):
        scene.ports = replace(scene.ports, catalog=catalog)
        adopt(scene.ports)
    with scene.store.read() as tables:
        rows = tables.reasons.relationships_of(ada.account_key)
    assert [row["relationship"] for row in rows] == ["prospect", "customer", "prospect"]
