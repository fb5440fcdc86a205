"""The outbox forgets copies: their files go, the indexes that listed them follow."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import Down
from pipeline.model.letters import Envelope
from pipeline.transports.forgetting import FileOutbox

ADA, BO = "a" * 26, "b" * 26


def nothing(text: str) -> bool:
    return False


def mail(id_: str, who: str) -> Envelope:
    message = f"From: liv@quaytide.example\r\nTo: {who}@x.example\r\nSubject: S\r\n\r\nHello {who}"
    return Envelope(id_, "liv@quaytide.example", f"{who}@x.example", message.encode(), "weekly/1")


@pytest.fixture
def outbox(tmp_path: Path) -> FileOutbox:
    made = FileOutbox(tmp_path / "mail", tmp_path / "previews")
    list(made.send([mail(ADA, "ada"), mail(BO, "bo")]))
    made.finish()
    return made


def test_a_copy_and_its_page_go_and_the_index_follows(outbox: FileOutbox, tmp_path: Path) -> None:
    index = tmp_path / "mail" / "weekly" / "1" / "index.html"
    assert "ada@x.example" in index.read_text(encoding="utf-8")
    assert outbox.forget([ADA], nothing) == 2
    said = index.read_text(encoding="utf-8")
    assert "ada@x.example" not in said
    assert "bo@x.example" in said
    assert sorted(path.name for path in index.parent.iterdir()) == [
        f"{BO}.eml", f"{BO}.html", "index.html",
    ]  # fmt: skip
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert outbox.forget([ADA], nothing) == 0
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_previews_that_mention_somebody_go(outbox: FileOutbox, tmp_path: Path) -> None:
    previews = tmp_path / "previews" / "weekly-1"
    previews.mkdir(parents=True)
    for name, text in (("a.html", "Ada"), ("b.html", "Bo"), ("a.txt", "Ada"), ("a.yaml", "Ada")):
        (previews / name).write_text(text, encoding="utf-8")
    (previews / "broken.txt").write_bytes(b"\xff\xfe Bo")
    (previews / "away.html").symlink_to(tmp_path / "mail" / "index.html")
    assert outbox.forget([], lambda text: "Ada" in text) == 2
    assert sorted(path.name for path in previews.iterdir()) == [
        "a.yaml", "away.html", "b.html", "broken.txt",
    ]  # fmt: skip


def test_a_workspace_without_mail_has_nothing_to_forget(tmp_path: Path) -> None:
    outbox = FileOutbox(tmp_path / "mail", tmp_path / "previews")
    assert outbox.forget([ADA], nothing) == 0
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_go_is_told(outbox: FileOutbox, tmp_path: Path) -> None:
    (tmp_path / "previews").mkdir()
    (tmp_path / "previews" / "a.html").write_text("Ada", encoding="utf-8")

    def refuse(text: str) -> bool:
        raise PermissionError(13, "Permission denied")

    with pytest.raises(Down, match="cannot be removed: Permission denied"):
        outbox.forget([], refuse)
