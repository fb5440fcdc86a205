"""What happens between an approval's reading and its letters leaving: people move, told grows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pipeline.errors import Conflict
from pipeline.model.sales import Touch
from pipeline.stages.compose import approve
from pipeline.stages.deliver import deliver
from tests.builders import DUE, NOW
from tests.compose_scene import REF
from tests.people_scene import ASKED, bring, row


def ready_with_a_confidence(scene):
    """Three public stories, and what Northline told us, worded for Northline alone."""
    scene.people()
    story_id = scene.story("Northline sells its slow berth", kind="note", url="", about=())
    with scene.store.write() as tables:
        tables.snippets.vouch(story_id, "northline", is_public=False)
    scene.ready()
    scene.write(
        story_id, fact="x", take="x", own_wording="# For you\nThe slowberthword.\n\nKeep it."
    )


def mails(tmp_path):
    return {p: p.read_bytes() for p in (tmp_path / "mail").rglob("*.eml")}


def to_rival(scene, name="Ada"):
    bring(scene.store, row(1, f"{name.lower()}@northline.example", "blue-strait", basis=ASKED))


def went_to(tmp_path, name):
    to = f"{name.lower()}@northline.example".encode()
    return [
        raw for raw in mails(tmp_path).values() if b"To: " in raw and to in raw.split(b"Subject")[0]
    ]


def test_who_moves_to_a_rival_after_approval_does_not_get_the_frozen_copy(scene, tmp_path):
    ready_with_a_confidence(scene)
    approve(scene.ports, REF)
    to_rival(scene)
    scene.at(DUE)
    deliver(scene.ports)
    assert any(b"slowberthword" in raw for raw in mails(tmp_path).values())  # Bo is still there
    assert went_to(tmp_path, "Bo")
    assert not went_to(tmp_path, "Ada")


def test_who_moves_while_an_issue_is_being_approved_is_noticed(scene):
    ready_with_a_confidence(scene)

    def progress(done, total, what):
        if what == "editions" and done == 1:
            to_rival(scene)

    with pytest.raises(Conflict, match="changed while"):
        approve(replace(scene.ports, progress=progress), REF)


def test_who_hears_of_a_story_while_it_is_being_approved_does_not_hear_it_twice(scene):
    ready_with_a_confidence(scene)
    heard = []

    def progress(done, total, what):
        if what == "editions" and not heard:
            heard.append("Ada")
            with scene.store.write() as tables:
                ada = tables.people.find("ada@northline.example")
                tables.sales.add_touch(
                    Touch("northline", ada.id, "forward", NOW, "tom", story_id=scene.story_ids[1])
                )

    with pytest.raises(Conflict, match="changed while"):
        approve(replace(scene.ports, progress=progress), REF)
    approve(scene.ports, REF)
    with scene.store.read() as tables:
        ada = tables.people.find("ada@northline.example")
        told = [fact["story"] for fact in tables.people.told(ada.id)]
    assert len(told) == len(set(told))


def test_who_moves_to_a_rival_when_their_copy_is_claimed_does_not_get_it(scene):
    ready_with_a_confidence(scene)
    issue = approve(scene.ports, REF).issue
    with scene.store.write() as tables:
        claimed = tables.deliveries.claim(issue.id, "x", DUE + timedelta(minutes=2), DUE, 9)
    to_rival(scene)
    with scene.store.write() as tables:
        begun = tables.deliveries.attempting(claimed, DUE)
    left = {one.address for one in claimed} - {one.address for one in begun}
    assert left == {"ada@northline.example"}
