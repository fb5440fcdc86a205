"""The file transport: whole files or none, the same after every crash, readable in a browser."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.errors import Down
from pipeline.model.letters import Envelope, Receipt
from pipeline.rules.letters.mime import build_message
from pipeline.stores.schema import new_public_id
from pipeline.transports.file import GROUP, FileTransport
from pipeline.transports.outbox import SHOWN, front_page


def envelope(public_id: str = "", group: str = "ferry-weekly/1", **parts: str) -> Envelope:
    public_id = public_id or new_public_id()
    message = build_message(
        sender=("Liv Haugen", "liv@quaytide.example"),
        recipient=(parts.get("name", "Ingrid Vik"), "ingrid@northline.example"),
        subject=parts.get("subject", "Berths by the minute"),
        html=parts.get("html", "<!DOCTYPE html><html><body><h1>Berths</h1></body></html>"),
        text=parts.get("text", "Berths\n"),
        date=datetime(2027, 3, 8, 9, 0, tzinfo=UTC),
        message_id=f"<{public_id}@quaytide.example>",
        list_headers={"List-Unsubscribe": f"<https://letters.quaytide.example/leave/{public_id}>"},
    )
    return Envelope(public_id, "liv@quaytide.example", "ingrid@northline.example", message, group)


def files(folder: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in folder.rglob("*.eml")}


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """The system itself refuses to write on, as it does when a quota or a disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_one_file_a_copy_named_by_its_delivery(tmp_path: Path) -> None:
    transport = FileTransport(tmp_path)
    sent = [envelope() for _ in range(GROUP + 3)]
    receipts = list(transport.send(iter(sent)))
    assert [receipt.delivery_public_id for receipt in receipts] == [
        one.delivery_public_id for one in sent
    ]
    assert {receipt.outcome for receipt in receipts} == {"accepted"}
    assert files(tmp_path) == {one.delivery_public_id: one.message for one in sent}
    assert (tmp_path / "ferry-weekly" / "1" / f"{sent[0].delivery_public_id}.eml").is_file()
    assert not list(tmp_path.rglob("*.tmp"))


def test_sending_again_changes_nothing(tmp_path: Path) -> None:
    first = envelope()
    list(FileTransport(tmp_path).send([first]))
    other = Envelope(first.delivery_public_id, "x", "y", b"other bytes", first.group)
    (receipt,) = FileTransport(tmp_path).send([other])
    assert receipt.outcome == "accepted"
    assert files(tmp_path) == {first.delivery_public_id: first.message}


def test_it_remembers_what_it_has(tmp_path: Path) -> None:
    transport = FileTransport(tmp_path / "not" / "yet")
    here, loose, elsewhere = envelope(), envelope(group=""), envelope(group="ferry-weekly/2")
    assert transport.fates([here.delivery_public_id]) == {here.delivery_public_id: "not_left"}
    list(transport.send([here, loose, elsewhere]))
    again = FileTransport(tmp_path / "not" / "yet")
    for one in (here, loose, elsewhere):
        assert again.fates([one.delivery_public_id]) == {one.delivery_public_id: "left"}
    for strange in ("", "*", "../1", new_public_id(), here.delivery_public_id.upper()):
        assert again.fates([strange]) == {strange: "not_left"}


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("../../etc/1", "-/-/etc/1"),
        ("/abs/1", "abs/1"),
        (".hidden/1", "hidden/1"),
        ("a b:c/1", "a-b-c/1"),
        ("fähren/1", "fähren/1"),
    ],
)
def test_no_issue_leads_out_of_the_folder(tmp_path: Path, group: str, expected: str) -> None:
    one = envelope(group=group)
    list(FileTransport(tmp_path / "mail").send([one]))
    assert (tmp_path / "mail" / expected / f"{one.delivery_public_id}.eml").is_file()


@pytest.mark.parametrize("name", ["", "../x", "A" * 26, "a" * 25, "a" * 27])
def test_a_copy_without_a_proper_id_is_a_mistake_of_ours(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="public id"):
        list(FileTransport(tmp_path).send([Envelope(name, "s", "r", b"")]))
    assert not list(tmp_path.iterdir())


# ── no room, no right ────────────────────────────────────────────────────────────────────


def test_no_room_ends_the_run_after_what_has_gone_out(tmp_path: Path) -> None:
    transport = FileTransport(tmp_path)
    small, large, after = envelope(), envelope(text="x" * 20_000), envelope()
    receipts: list[Receipt] = []
    with no_file_larger_than(8_192), pytest.raises(Down, match="no room left") as caught:
        receipts.extend(transport.send([small, large, after]))
    assert [receipt.delivery_public_id for receipt in receipts] == [small.delivery_public_id]
    assert set(files(tmp_path)) == {small.delivery_public_id}
    assert not list(tmp_path.rglob("*.tmp"))
    assert "nothing goes out twice" in caught.value.hint
    assert [r.outcome for r in transport.send([small, large, after])] == ["accepted"] * 3


def test_a_folder_that_is_a_file_is_told_plainly(tmp_path: Path) -> None:
    (tmp_path / "mail").write_text("in the way")
    with pytest.raises(Down, match="cannot be written"):
        list(FileTransport(tmp_path / "mail").send([envelope()]))


def test_no_room_for_the_index_is_told_too(tmp_path: Path) -> None:
    transport = FileTransport(tmp_path)
    list(transport.send([envelope()]))
    with no_file_larger_than(100), pytest.raises(Down, match="no room left"):
        transport.finish()
    transport.finish()
    assert (tmp_path / "index.html").is_file()


# ── killed ───────────────────────────────────────────────────────────────────────────────

WRITER = """
import sys
from pathlib import Path
from pipeline.model.letters import Envelope
from pipeline.transports.file import FileTransport

def endless():
    n = 0
    while True:
        name = "".join("abcdefghijklmnopqrstuvwxyz"[n // 26**i % 26] for i in range(26))
        yield Envelope(name, "s", "r", b"x" * 300_000, "ferry-weekly/1")
        n += 1

for receipt in FileTransport(Path(sys.argv[1])).send(endless()):
    print(receipt.delivery_public_id, flush=True)
"""


def test_killed_in_the_middle_it_leaves_only_whole_files(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    said = [writer.stdout.readline().strip() for _ in range(2 * GROUP)]
    os.kill(writer.pid, signal.SIGKILL)
    said += [line.strip() for line in writer.stdout]
    writer.wait()
    writer.stdout.close()
    left = files(tmp_path)
    assert {len(data) for data in left.values()} == {300_000}
    assert set(said) <= set(left)  # what was receipted is there


def test_what_a_killed_run_left_half_is_cleared_later(tmp_path: Path) -> None:
    transport = FileTransport(tmp_path)
    list(transport.send([envelope()]))
    folder = tmp_path / "ferry-weekly" / "1"
    old, young = folder / ".old.tmp", folder / ".young.tmp"
    for half in (old, young):
        half.write_bytes(b"half a letter")
    an_hour_ago = young.stat().st_mtime - 3601
    os.utime(old, (an_hour_ago, an_hour_ago))
    transport.finish()
    assert not old.exists()
    assert young.exists()  # its writer may be at work
    assert len(files(tmp_path)) == 1


# ── the index ────────────────────────────────────────────────────────────────────────────


class Page(HTMLParser):
    """What a page holds, as a browser would see it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "a":
            self.links.append(dict(attrs).get("href") or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_index_leads_to_every_copy_and_to_both_its_parts(tmp_path: Path) -> None:
    transport = FileTransport(tmp_path)
    letters = [envelope(text="Bærths,\nand more\n"), envelope(), envelope(group="ferry-weekly/2")]
    list(transport.send(letters))
    transport.finish()
    front = Page(tmp_path / "index.html")
    assert front.links == ["ferry-weekly/2/index.html", "ferry-weekly/1/index.html"]
    issue = Page(tmp_path / "ferry-weekly" / "1" / "index.html")
    for letter in letters[:2]:
        name = letter.delivery_public_id
        assert {f"{name}.html", f"{name}.eml"} <= set(issue.links)
    assert "ingrid@northline.example" in issue.text
    copy = Page(tmp_path / "ferry-weekly" / "1" / f"{letters[0].delivery_public_id}.html")
    assert "Bærths,\nand more" in copy.text
    shown = dict(copy.attributes)["srcdoc"]
    assert shown is not None
    assert shown.strip() == "<!DOCTYPE html><html><body><h1>Berths</h1></body></html>"
    for path in tmp_path.rglob("*.html"):
        for link in Page(path).links:
            assert link.startswith("https://") or (path.parent / link).resolve().is_file(), link


def test_an_empty_outbox_says_so(tmp_path: Path) -> None:
    FileTransport(tmp_path).finish()
    (tmp_path / "empty.html").write_bytes(front_page(tmp_path))
    assert "Nothing has gone out yet." in Page(tmp_path / "empty.html").text


def test_the_name_of_a_link_begins_with_what_it_shows(tmp_path: Path) -> None:
    """So that somebody can say it to a machine that listens (WCAG 2.5.3)."""
    transport = FileTransport(tmp_path)
    list(transport.send([envelope(group="ferry-weekly/1")]))
    transport.finish()
    issue = Page(tmp_path / "ferry-weekly" / "1" / "index.html")
    labels = [value for name, value in issue.attributes if name == "aria-label"]
    assert any(label and label.startswith(".eml of the copy to ") for label in labels)


def test_strangers_text_stays_text(tmp_path: Path) -> None:
    transport = FileTransport(tmp_path)
    nasty = "</title></pre><script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    one = envelope(
        subject=nasty, name=nasty, text=nasty, html=f"<p>{nasty}</p>", group="ferry-weekly/1"
    )
    list(transport.send([one]))
    transport.finish()
    for path in tmp_path.rglob("*.html"):
        page = Page(path)
        assert not {"script", "img"} & set(page.tags), path
        assert not [name for name, _ in page.attributes if name.startswith("on")], path
        policy = next(value for name, value in page.attributes if name == "content")
        assert policy is not None
        assert policy.startswith("default-src 'none'")
        assert "script-src" not in policy
    frame = Page(tmp_path / "ferry-weekly" / "1" / f"{one.delivery_public_id}.html").attributes
    assert ("sandbox", "allow-same-origin") in frame  # no script, form, popup or way out


def test_a_long_outbox_lists_its_beginning_and_says_so(tmp_path: Path) -> None:
    transport = FileTransport(tmp_path)
    list(transport.send([envelope() for _ in range(SHOWN + 2)]))
    transport.finish()
    issue = Page(tmp_path / "ferry-weekly" / "1" / "index.html")
    assert sum(link.endswith(".eml") for link in issue.links) == SHOWN
    assert f"{SHOWN + 2} copies" in issue.text
    assert len(list(tmp_path.rglob("*.html"))) == SHOWN + 2  # and the two indexes


def test_an_index_is_written_only_for_what_was_touched(tmp_path: Path) -> None:
    transport = FileTransport(tmp_path)
    transport.finish()
    assert not list(tmp_path.iterdir())
    first, second = envelope(), envelope(group="ferry-weekly/2")
    list(transport.send([first, second]))
    later = FileTransport(tmp_path)
    assert later.fates([second.delivery_public_id]) == {
        second.delivery_public_id: "left"
    }  # a doubt settled after a crash touches it too
    later.finish()
    assert not (tmp_path / "ferry-weekly" / "1" / "index.html").exists()
    assert (tmp_path / "ferry-weekly" / "2" / "index.html").is_file()
