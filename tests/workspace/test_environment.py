"""Settings: where they come from, and what is wrong with them."""

from __future__ import annotations

import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.errors import BadInput, Down
from pipeline.workspace.environment import (
    kept_secret,
    load_despite_mistakes,
    load_settings,
    read_env,
)
from tests.workspace.conftest import Folder

LONG = "x" * 32
NOW = "2027-03-08T09:00:00+00:00"
NEAR = {"ASTERISM_TRANSPORT": "smtp", "ASTERISM_SMTP_HOST": "127.0.0.1"}
SENDGRID = {"ASTERISM_TRANSPORT": "sendgrid", "ASTERISM_SENDGRID_KEY": "SG.key"}


def mistakes(folder: Folder, **environ: str) -> list[str]:
    with pytest.raises(BadInput) as raised:
        load_settings(folder.root, environ)
    return [str(mistake) for mistake in raised.value.mistakes]


# ── .env ─────────────────────────────────────────────────────────────────────────────────


def test_a_workspace_without_env_says_nothing(folder: Folder) -> None:
    assert read_env(folder.root) == {}


def test_env_is_read_as_a_shell_would(folder: Folder) -> None:
    folder.write(
        ".env",
        "\ufeff# comment\n\nASTERISM_ACTOR=liv\nexport SMTP_KEY='a # b'\n"
        'OTHER = "two words"   # why\nPLAIN=a#b # c\nEMPTY=\nASTERISM_NOW=#nothing\r\n',
    )
    assert read_env(folder.root) == {
        "ASTERISM_ACTOR": "liv", "SMTP_KEY": "a # b", "OTHER": "two words", "PLAIN": "a#b",
    }  # fmt: skip


def test_mistakes_in_env_have_their_line(folder: Folder) -> None:
    folder.write(".env", "ASTERISM_DATABSE_URL=x\nA B=1\nC='open\n2D=x\nOK=1\n")
    with pytest.raises(BadInput) as raised:
        read_env(folder.root)
    assert [str(mistake) for mistake in raised.value.mistakes] == [
        ".env:1:1: ASTERISM_DATABSE_URL: there is no such setting, did you mean "
        '"ASTERISM_DATABASE_URL"?',
        ".env:2:1: this line is no NAME=value",
        ".env:3:1: C: the quotation mark is not closed",
        ".env:4:1: this line is no NAME=value",
    ]


def test_an_env_that_is_no_text(folder: Folder) -> None:
    folder.write(".env", b"A=\xff\n")
    with pytest.raises(BadInput) as raised:
        read_env(folder.root)
    assert "UTF-8" in str(raised.value.mistakes[0])


# ── settings ─────────────────────────────────────────────────────────────────────────────


def test_defaults(folder: Folder) -> None:
    found = load_settings(folder.root, {})
    assert found.database_url == f"sqlite:///{folder.root.resolve()}/output/asterism.db"
    assert (found.allow_networks, found.allow_ports, found.now) == ((), (80, 443), None)
    assert found.actor
    assert found.output == folder.root / "output"


def test_the_environment_wins_over_env(folder: Folder) -> None:
    folder.write(".env", f"ASTERISM_ACTOR=liv\nASTERISM_SECRET={LONG}\nKEY=1\n")
    found = load_settings(folder.root, {"ASTERISM_ACTOR": "tom"})
    assert (found.actor, found.secret) == ("tom", LONG.encode())
    assert (found.environment["KEY"], found.environment["ASTERISM_ACTOR"]) == ("1", "tom")


def test_an_empty_variable_does_not_hide_what_env_says(folder: Folder) -> None:
    """Else a blank ASTERISM_SECRET would make a second secret, and forget who has left."""
    folder.write(".env", f"ASTERISM_SECRET={LONG}\n")
    assert load_settings(folder.root, {"ASTERISM_SECRET": ""}).secret == LONG.encode()


def test_a_setting_with_no_value_is_the_default(folder: Folder) -> None:
    folder.write(".env", f"ASTERISM_SECRET={LONG}\n")
    blank = {"ASTERISM_DATABASE_URL": " ", "ASTERISM_ALLOW_PORTS": "", "ASTERISM_NOW": ""}
    found = load_settings(folder.root, blank)
    assert found.database_url.endswith("/output/asterism.db")
    assert (found.allow_ports, found.now) == ((80, 443), None)


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("data/a.db", "sqlite:///{root}/data/a.db"),
        ("/srv/a.db", "sqlite:////srv/a.db"),
        ("sqlite:///a.db", "sqlite:///{root}/a.db"),
        ("sqlite:////srv/a.db", "sqlite:////srv/a.db"),
        ("postgres://me@db/x", "postgresql+psycopg://me@db/x"),
        ("postgresql://me:p%40w@db:5433/x", "postgresql+psycopg://me:p%40w@db:5433/x"),
        ("postgresql+psycopg://db/x", "postgresql+psycopg://db/x"),
    ],
)
def test_databases(folder: Folder, value: str, url: str) -> None:
    found = load_settings(folder.root, {"ASTERISM_DATABASE_URL": value})
    assert found.database_url == url.format(root=folder.root.resolve())


def test_other_settings(folder: Folder) -> None:
    found = load_settings(
        folder.root,
        {
            "ASTERISM_ALLOW_NETWORKS": "127.0.0.0/8, ::1/128",
            "ASTERISM_ALLOW_PORTS": "8080, 0",
            "ASTERISM_NOW": "2027-03-08T10:00:00+01:00",
            "ASTERISM_WAIT": "2.5",
        },
    )
    assert found.wait_s == 2.5
    assert found.allow_networks == ("127.0.0.0/8", "::1/128")
    assert found.allow_ports == (8080, 0)
    assert found.now == datetime(2027, 3, 8, 9, tzinfo=UTC)


def test_all_wrong_settings_at_once(folder: Folder) -> None:
    folder.write(".env", "# mine\nASTERISM_NOW=2027-03-08T09:00:00\nASTERISM_ALLOW_PORTS=80\n")
    assert mistakes(
        folder,
        ASTERISM_DATABASE_URL="mysql://x/y",
        ASTERISM_SECRET="short",
        ASTERISM_ALLOW_NETWORKS="10.0.0.0/8,10.0.0.1/8,lan",
        ASTERISM_ALLOW_PORTS="80,http,99999",
        ASTERISM_WAIT="for ever",
    ) == [
        '.env:2:1: ASTERISM_NOW: "2027-03-08T09:00:00" has no offset: add Z or one such as +01:00',
        'environment: ASTERISM_ALLOW_NETWORKS: "10.0.0.1/8" is no network: write ranges such as '
        "10.0.0.0/8 or 127.0.0.0/8",
        'environment: ASTERISM_ALLOW_NETWORKS: "lan" is no network: write ranges such as '
        "10.0.0.0/8 or 127.0.0.0/8",
        'environment: ASTERISM_ALLOW_PORTS: "99999" is no port: write numbers such as 80,443',
        'environment: ASTERISM_ALLOW_PORTS: "http" is no port: write numbers such as 80,443',
        "environment: ASTERISM_DATABASE_URL: mysql is not supported: use SQLite (a path) or "
        "PostgreSQL",
        "environment: ASTERISM_SECRET: has 5 characters; it needs at least 32",
        'environment: ASTERISM_WAIT: "for ever" is no number of seconds from 0 to 3600',
    ]


def test_a_pretended_clock_runs_from_an_instant(folder: Folder) -> None:
    assert mistakes(folder, ASTERISM_SPEED="60") == [
        "environment: ASTERISM_SPEED: needs ASTERISM_NOW beside it: the time to begin with"
    ]
    assert load_settings(folder.root, {"ASTERISM_SPEED": "60", "ASTERISM_NOW": NOW}).speed == 60


@pytest.mark.parametrize(
    "transport",
    [
        {"ASTERISM_TRANSPORT": "smtp", "ASTERISM_SMTP_HOST": "relay.quaytide.example"},
        SENDGRID,
        SENDGRID | {"ASTERISM_SENDGRID_URL": "https://api.eu.sendgrid.com"},
    ],
)
def test_a_pretended_time_sends_no_real_letter(folder: Folder, transport: dict[str, str]) -> None:
    (said,) = mistakes(folder, ASTERISM_NOW=NOW, **transport)
    assert "ASTERISM_NOW: would send real letters before their time: take it out, or set" in said
    assert load_settings(folder.root, transport).now is None
    pretended = transport | {"ASTERISM_NOW": NOW, "ASTERISM_TRANSPORT": "file"}
    assert load_settings(folder.root, pretended).now is not None


@pytest.mark.parametrize(
    "transport",
    [
        NEAR,
        SENDGRID | {"ASTERISM_SENDGRID_URL": "http://localhost:8025"},
    ],
)
def test_a_pretended_time_asks_whether_what_is_on_this_machine_passes_mail_on(
    folder: Folder, transport: dict[str, str]
) -> None:
    pretended = transport | {"ASTERISM_NOW": NOW}
    (said,) = mistakes(folder, **pretended)
    assert "ASTERISM_NOW: may send real letters before their time" in said
    assert "set ASTERISM_TRANSPORT=file for the rehearsal; or ASTERISM_MAIL_STAYS_HERE=yes" in said
    (said,) = mistakes(folder, **pretended, ASTERISM_MAIL_STAYS_HERE="perhaps")[:1]
    assert '"perhaps" is none of: no, yes' in said
    assert load_settings(folder.root, transport).now is None


def test_what_is_far_never_keeps_mail_to_itself(folder: Folder) -> None:
    pretended = {"ASTERISM_NOW": NOW, "ASTERISM_MAIL_STAYS_HERE": "yes"}
    (said,) = mistakes(folder, **SENDGRID, **pretended)
    assert "would send real letters before their time" in said


@pytest.mark.parametrize(
    "transport",
    [
        NEAR | {"ASTERISM_MAIL_STAYS_HERE": "yes"},
        SENDGRID | {"ASTERISM_SENDGRID_SANDBOX": "yes"},
        SENDGRID
        | {"ASTERISM_SENDGRID_URL": "http://localhost:8025", "ASTERISM_MAIL_STAYS_HERE": "yes"},
    ],
)
def test_a_pretended_time_goes_with_what_only_pretends_to_send(
    folder: Folder, transport: dict[str, str]
) -> None:
    assert load_settings(folder.root, transport | {"ASTERISM_NOW": NOW}).now is not None


def test_a_wrong_setting_leaves_no_secret_behind(folder: Folder) -> None:
    mistakes(folder, ASTERISM_NOW="tomorrow")
    assert not (folder.root / "output").exists()


def test_a_folder_that_is_no_workspace_gets_no_secret(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is no workspace"):
        load_settings(tmp_path, {})
    assert list(tmp_path.iterdir()) == []


def test_no_secret_shows_in_what_is_printed(folder: Folder) -> None:
    found = load_settings(folder.root, {"ASTERISM_SECRET": LONG, "SENDGRID_API_KEY": "SG.hidden"})
    assert LONG not in repr(found)
    assert "SG.hidden" not in repr(found)


# ── the kept secret ──────────────────────────────────────────────────────────────────────


def test_the_secret_is_made_once_and_only_its_owner_reads_it(folder: Folder) -> None:
    first = load_settings(folder.root, {}).secret
    path = folder.root / "output" / "secret"
    assert load_settings(folder.root, {}).secret == first
    assert len(first) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["secret"]


def test_programs_that_start_together_agree_on_one_secret(tmp_path: Path) -> None:
    """Each waits for the same file to appear, then asks at once."""
    path, go = tmp_path / "output" / "secret", tmp_path / "go"
    code = (
        "import sys, pathlib\n"
        "from pipeline.workspace.environment import kept_secret\n"
        "print('ready', flush=True)\n"
        "while not pathlib.Path(sys.argv[2]).exists(): pass\n"
        "print(kept_secret(pathlib.Path(sys.argv[1])).decode())\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, path, go], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    go.touch()
    said = {process.communicate(timeout=60)[0] for process in running}
    assert said == {path.read_text("utf-8")}


def test_a_damaged_secret_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("abc")
    with pytest.raises(BadInput, match="is damaged"):
        kept_secret(path)
    assert path.read_text() == "abc"


def test_a_secret_that_cannot_be_kept(tmp_path: Path) -> None:
    (tmp_path / "output").write_text("a file where the folder should be")
    with pytest.raises(Down, match="cannot be written"):
        kept_secret(tmp_path / "output" / "secret")


# ── despite mistakes ─────────────────────────────────────────────────────────────────────


def test_what_is_wrong_elsewhere_is_passed_over_and_told(folder: Folder) -> None:
    folder.write(".env", f"ASTERISM_SECRET={LONG}\nASTERISM_SMTP_HSOT=x\nno line at all\n")
    environ = {"ASTERISM_TRANSPORT": "smtp", "ASTERISM_DATABASE_URL": "other.db"}
    found, passed_over = load_despite_mistakes(folder.root, environ)
    assert (found.secret, found.database_url) == (
        LONG.encode(), f"sqlite:///{folder.root / 'other.db'}",
    )  # fmt: skip
    assert [(one.file, one.path) for one in passed_over] == [
        (".env", "ASTERISM_SMTP_HSOT"), (".env", ""), ("environment", "ASTERISM_SMTP_HOST"),
    ]  # fmt: skip
    assert [str(one) for one in passed_over] == mistakes(folder, **environ)


def test_without_mistakes_it_is_the_same(folder: Folder) -> None:
    environ = {"ASTERISM_SECRET": LONG, "ASTERISM_NOW": NOW, "ASTERISM_SPEED": "60"}
    assert load_despite_mistakes(folder.root, environ) == (load_settings(folder.root, environ), ())


def test_a_time_that_is_wrongly_pretended_is_not_pretended(folder: Folder) -> None:
    for environ in (
        {"ASTERISM_NOW": "noon"},
        {"ASTERISM_NOW": NOW, "ASTERISM_SPEED": "fast"},
        {"ASTERISM_NOW": NOW, **SENDGRID},
    ):
        found, passed_over = load_despite_mistakes(folder.root, environ)
        assert (found.now, found.speed) == (None, 0)
        assert passed_over


@pytest.mark.parametrize(
    "line",
    [
        "ASTERISM_DATABASE_URL postgresql://firm.example/letters",
        "ASTERISM_DATABASEURL=letters.db",
        "ASTERISM_DATABASE_URL='letters.db",
        "ASTERISM_DATABASE_URL=mysql://firm.example/letters",
        "ASTERISM_SECRET=short",
        "secret: x",
    ],
)
def test_nothing_goes_on_while_the_database_or_the_secret_is_in_doubt(
    folder: Folder, line: str
) -> None:
    folder.write(".env", f"{line}\n")
    with pytest.raises(BadInput, match="which database or which secret is meant is in doubt"):
        load_despite_mistakes(folder.root, {})
    assert not (folder.root / "output").exists()


def test_an_env_that_cannot_be_read_hides_everything_but_what_the_environment_says(
    folder: Folder,
) -> None:
    folder.write(".env", b"\xff\xfe")
    with pytest.raises(BadInput, match="in doubt"):
        load_despite_mistakes(folder.root, {"ASTERISM_SECRET": LONG})
    said = {"ASTERISM_SECRET": LONG, "ASTERISM_DATABASE_URL": "letters.db"}
    found, (mistake,) = load_despite_mistakes(folder.root, said)
    assert found.secret == LONG.encode()
    assert "not UTF-8" in mistake.what
