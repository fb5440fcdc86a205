"""Maildirs and mboxes on a real disk, with somebody else at work in them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from mailbox import Maildir, mbox
from pathlib import Path

import pytest

from pipeline.errors import Down
from pipeline.mailboxes.local import LEFT_BEHIND_S, MOST_BYTES, QUIET_S, LocalMailbox
from pipeline.rules.people.copied_mail import digest_of, read_mail
from tests.mails import mail


def subjects(path: Path) -> list[str]:
    return [read_mail(raw, "q.example").subject for _, raw in LocalMailbox(path).mails()]


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    """As the standard library's own reader makes one."""
    box = Maildir(tmp_path / "copies", create=True)
    for number in (1, 2):
        box.add(mail(subject=f"Mail {number}", number=number))
    return tmp_path / "copies"


@pytest.fixture
def mbox_file(tmp_path: Path) -> Path:
    path = tmp_path / "copies.mbox"
    box = mbox(path, create=True)
    for number in (1, 2):
        box.add(mail(f"From me to you\n\nFrom here on {number}\n", subject=f"Mail {number}",
                     number=number))  # fmt: skip
    box.close()
    return path


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def state(path: Path) -> dict[str, tuple[int, int]]:
    """What a change would show in: names, sizes, times."""
    files = [path, *path.rglob("*")] if path.is_dir() else [path, *path.parent.iterdir()]
    return {str(f): (f.stat().st_size, f.stat().st_mtime_ns) for f in files}


# ── maildir ──────────────────────────────────────────────────────────────────────────────


def test_new_and_read_mails_are_given_once_and_left_alone(maildir: Path) -> None:
    first = next((maildir / "new").iterdir())
    first.rename(maildir / "cur" / f"{first.name}:2,S")
    before = state(maildir)
    assert sorted(subjects(maildir)) == ["Mail 1", "Mail 2"]
    assert sorted(subjects(maildir)) == ["Mail 1", "Mail 2"]
    assert state(maildir) == before


def test_a_mail_that_moves_while_we_read_is_given_once(maildir: Path) -> None:
    given = LocalMailbox(maildir).mails()
    key, _ = next(given)
    for path in sorted((maildir / "new").iterdir()):
        path.rename(maildir / "cur" / f"{path.name}:2,S")
    keys = [key, *(key for key, _ in given)]
    assert len(keys) == len(set(keys)) == 2


def test_a_mail_that_goes_while_we_read_is_no_harm(maildir: Path) -> None:
    given = LocalMailbox(maildir).mails()
    next(given)
    for path in (maildir / "new").iterdir():
        path.unlink()
    assert list(given) == []


def test_a_mail_that_is_being_delivered_is_not_there_yet(maildir: Path) -> None:
    (maildir / "tmp" / "half").write_bytes(b"Subject: hal")
    (maildir / "new" / ".hidden").write_bytes(b"Subject: hidden\n\n")
    (maildir / "new" / "folder").mkdir()
    (maildir / "cur" / "elsewhere").symlink_to("/etc/hostname")
    assert sorted(subjects(maildir)) == ["Mail 1", "Mail 2"]


def test_a_mail_too_long_is_given_cut(maildir: Path) -> None:
    (maildir / "new" / "long").write_bytes(mail(subject="Long") + b"x" * MOST_BYTES)
    (raw,) = [raw for key, raw in LocalMailbox(maildir).mails() if key == "long"]
    assert len(raw) == MOST_BYTES
    assert "Long" in subjects(maildir)


def test_a_mail_that_cannot_be_read_does_not_stop_the_others(maildir: Path) -> None:
    (maildir / "new" / "zzz").write_bytes(mail(subject="Last", number=9))
    given = LocalMailbox(maildir).mails()
    next(given)
    second = sorted((maildir / "new").iterdir())[1]
    second.unlink()
    second.mkdir()
    assert [(key, bool(raw)) for key, raw in given] == [(second.name, False), ("zzz", True)]


# ── mbox ─────────────────────────────────────────────────────────────────────────────────


def test_an_mbox_is_cut_where_its_mails_begin(mbox_file: Path) -> None:
    age(mbox_file, 2 * QUIET_S)
    before = state(mbox_file)
    (_, one), (_, two) = LocalMailbox(mbox_file).mails()
    assert [read_mail(raw, "q.example").subject for raw in (one, two)] == ["Mail 1", "Mail 2"]
    assert b"From here on 2" in two
    assert b"here on 2" not in one
    assert digest_of(one) == digest_of(mail(number=1))
    assert state(mbox_file) == before


def test_an_empty_mbox_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert subjects(tmp_path / "empty") == []


def test_lines_ended_by_crlf_are_lines(mbox_file: Path) -> None:
    mbox_file.write_bytes(mbox_file.read_bytes().replace(b"\n", b"\r\n"))
    assert subjects(mbox_file) == ["Mail 1", "Mail 2"]


def test_a_body_that_speaks_of_from_is_no_new_mail(mbox_file: Path) -> None:
    with mbox_file.open("ab") as stream:
        stream.write(b"\nFrom here we sail at dawn.\n\nFrom: not a head\n")
    assert subjects(mbox_file) == ["Mail 1", "Mail 2"]


def test_a_mail_that_is_half_written_waits(mbox_file: Path) -> None:
    whole = mbox_file.read_bytes()
    with mbox_file.open("ab") as stream:
        stream.write(b"From tom@q.example Mon Mar  8 09:00:00 2027\nSubject: Half\n\nAs I sa")
    assert subjects(mbox_file) == ["Mail 1", "Mail 2"]
    with mbox_file.open("ab") as stream:
        stream.write(b"id.\n\n")
    assert subjects(mbox_file) == ["Mail 1", "Mail 2", "Half"]
    mbox_file.write_bytes(whole.rstrip(b"\n"))
    age(mbox_file, 2 * QUIET_S)
    assert subjects(mbox_file) == ["Mail 1", "Mail 2"], "nobody writes on: it is whole"


def test_what_comes_while_we_read_waits_for_the_next_look(mbox_file: Path) -> None:
    given = LocalMailbox(mbox_file).mails()
    next(given)
    with mbox_file.open("ab") as stream:
        stream.write(b"From tom@q.example Mon Mar  8 09:00:00 2027\nSubject: Late\n\nx\n\n")
    assert len(list(given)) == 1
    assert subjects(mbox_file)[-1] == "Late"


def test_an_mbox_put_in_another_s_place_is_read_as_it_was(mbox_file: Path) -> None:
    given = LocalMailbox(mbox_file).mails()
    next(given)
    other = mbox_file.with_name("new")
    other.write_bytes(b"")
    other.rename(mbox_file)
    assert len(list(given)) == 1
    assert subjects(mbox_file) == []


def test_an_mbox_made_shorter_while_we_read_gives_no_torn_mail(mbox_file: Path) -> None:
    with mbox_file.open("ab") as stream:
        for number in range(3, 60):
            stream.write(b"From t@q.example Mon Mar  8 09:00:00 2027\n")
            stream.write(mail("x\n" * 2_000, subject=f"Mail {number}", number=number) + b"\n")
    given = LocalMailbox(mbox_file).mails()
    next(given)
    os.truncate(mbox_file, 20_000)
    assert all(raw.endswith(b"\n") for _, raw in given)


@contextmanager
def held_by_another(path: Path, call: str) -> Iterator[None]:
    """Another process has the file locked."""
    code = (
        f"import fcntl,sys\nf=open(sys.argv[1],'r+b')\nfcntl.{call}(f, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\nsys.stdin.read()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=pipe, stdout=pipe) as held:
        assert held.stdout is not None
        assert held.stdout.readline() == b"held\n"
        yield
        held.communicate()


def test_while_somebody_writes_the_last_mail_waits(mbox_file: Path) -> None:
    with held_by_another(mbox_file, "lockf"):
        assert subjects(mbox_file) == ["Mail 1"]
    assert subjects(mbox_file) == ["Mail 1", "Mail 2"]


def test_a_lock_file_counts_until_it_is_left_behind(mbox_file: Path) -> None:
    lock = mbox_file.with_name(f"{mbox_file.name}.lock")
    lock.touch()
    assert subjects(mbox_file) == ["Mail 1"]
    age(lock, LEFT_BEHIND_S + 60)
    assert subjects(mbox_file) == ["Mail 1", "Mail 2"]
    assert lock.exists(), "it is not ours to take away"


def test_nobody_writes_while_we_read(mbox_file: Path) -> None:
    given = LocalMailbox(mbox_file).mails()
    next(given)
    code = (
        "import fcntl,sys\nf=open(sys.argv[1],'r+b')\n"
        "try:\n fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)\nexcept OSError:\n sys.exit(7)"
    )
    ask = [sys.executable, "-c", code, str(mbox_file)]
    assert subprocess.run(ask, check=False).returncode == 7
    given.close()  # type: ignore[attr-defined]
    assert subprocess.run(ask, check=False).returncode == 0


# ── what is none ─────────────────────────────────────────────────────────────────────────


def test_what_is_no_mailbox_is_told_with_the_setting(tmp_path: Path, maildir: Path) -> None:
    (tmp_path / "notes.txt").write_text("Dear diary")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, why in (
        ("pipe", "neither a folder nor a file"),
        ("nowhere", "nothing there"),
        ("folder", "neither new/ nor cur/"),
        ("notes.txt", "no mbox"),
    ):
        with pytest.raises(Down, match=why) as error:
            list(LocalMailbox(tmp_path / name).mails())
        assert "ASTERISM_BCC_MAILBOX" in error.value.hint
        assert str(tmp_path / name) in error.value.message
