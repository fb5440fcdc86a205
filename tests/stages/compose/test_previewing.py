"""The preview is the letter, byte for byte, for whom it is asked."""

from __future__ import annotations

from email import message_from_bytes, policy

import pytest

from pipeline.errors import BadInput, NotFound
from pipeline.stages.compose import approve, preview
from pipeline.stages.deliver import deliver
from tests.builders import DUE
from tests.compose_scene import REF, build_scene


@pytest.fixture
def scene(sqlite_store, tmp_path):
    return build_scene(sqlite_store, tmp_path)


def test_the_preview_is_the_letter(scene, tmp_path):
    """What is seen before approval, what is frozen and what lies in the outbox are equal."""
    scene.people()
    scene.ready()
    addresses = ["ada@northline.example", "cem@skagen-ruter.example"]
    before = {a: preview(scene.ports, REF, a) for a in addresses}
    internal = preview(scene.ports, REF, "tom")
    page = preview(scene.ports, REF, kind="public")
    approve(scene.ports, REF)
    scene.at(DUE)
    deliver(scene.ports)
    mails = {}
    for path in (tmp_path / "mail").rglob("*.eml"):
        mail = message_from_bytes(path.read_bytes(), policy=policy.default)
        mails[mail["To"].addresses[0].addr_spec] = mail
    for seen in (*before.values(), internal):
        after = preview(scene.ports, REF, "tom" if seen is internal else seen.address)
        assert (after.subject, after.html, after.text) == (seen.subject, seen.html, seen.text)
        assert after.frozen
        assert not seen.frozen
        mail = mails[seen.address]
        assert mail["Subject"] == seen.subject
        text, html = mail.iter_parts()
        assert html.get_content().replace("\r\n", "\n") == seen.html
        assert text.get_content().replace("\r\n", "\n") == seen.text
    frozen = preview(scene.ports, REF, kind="public")
    assert (frozen.html, frozen.text) == (page.html, page.text)


def test_who_gets_no_letter_gets_the_reason(scene):
    scene.person("Ada", basis=None)
    scene.ready()
    seen = preview(scene.ports, REF, "ada@northline.example")
    assert (seen.html, seen.text) == ("", "")
    assert seen.verdict.reason == "no_basis"
    approve(scene.ports, REF)
    assert preview(scene.ports, REF, "ada@northline.example").verdict.reason == "no_basis"


def test_without_a_name_the_first_reader_stands_in_or_an_invented_one(scene):
    scene.ready()
    invented = preview(scene.ports, REF)
    assert invented.sample
    assert "Good morning, Sam." in invented.text
    scene.person("Ada")
    seen = preview(scene.ports, REF)
    assert (seen.name, seen.sample) == ("Ada Strand", False)
    assert preview(scene.ports, REF, kind="customer").sample


def test_without_a_name_the_usual_letter_is_shown_not_an_own_copy(scene):
    """The company in the news reads its own copy; most read another."""
    scene.story("Northline opens a quay", about=("northline",), score=20)
    scene.person("Ada", "northline")
    for name in ("Dag", "Eli"):
        scene.person(name, "blue-strait")
    scene.ready()
    assert "Northline opens a quay" not in preview(scene.ports, REF, "ada@northline.example").text
    kind = preview(scene.ports, REF, "dag@blue-strait.example").kind
    for _ in ("before", "after approval"):
        for seen in (preview(scene.ports, REF), preview(scene.ports, REF, kind=kind)):
            assert "Northline opens a quay" in seen.text
        if not seen.frozen:
            approve(scene.ports, REF)


def test_the_internal_mail_is_for_owners(scene):
    scene.people()
    scene.ready()
    assert preview(scene.ports, REF, "tom").kind == "sales"
    assert preview(scene.ports, REF, kind="sales").name in ("Tom Reyes", "Liv Haugen")
    with pytest.raises(NotFound, match="looks after no account"):
        preview(scene.ports, REF, "eva")
    with pytest.raises(BadInput):
        preview(scene.ports, REF, "ada@northline.example", "sales")


def test_the_public_page_has_no_field_left_and_nobodys_name(scene):
    scene.people()
    scene.ready()
    for page in (preview(scene.ports, REF, kind="public"), _approved_page(scene)):
        assert "dear reader" in page.html
        assert not any("\ue000" <= c <= "\uf8ff" for c in page.html + page.text)
        assert "Ada" not in page.html
        assert "/leave/" not in page.html + page.text


def _approved_page(scene):
    approve(scene.ports, REF)
    return preview(scene.ports, REF, kind="public")
