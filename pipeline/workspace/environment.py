"""Settings of one run: the environment, and `.env` beside the files."""

from __future__ import annotations

import getpass
import os
import re
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from pipeline.errors import BadInput, Mistake
from pipeline.rules.catalog import suggestion
from pipeline.rules.people.address import normalise
from pipeline.settings import (
    SETTINGS,
    WAIT_S,
    Limits,
    Log,
    SendGridSettings,
    Settings,
    SmtpSettings,
    SmtpTls,
    TransportName,
)
from pipeline.workspace.files import require_workspace
from pipeline.workspace.output import no_room

MIN_SECRET = 32
MAX_WAIT_S = 3600
MAX_TIMEOUT_S = 120  # of one answer: a copy with all its tries must fit into a lease
MAX_SPEED = 1_000_000

#: Without these right nothing may be done: another database, or everybody's hash another one.
VITAL = frozenset({"ASTERISM_DATABASE_URL", "ASTERISM_SECRET"})
_TIMES = frozenset({"ASTERISM_NOW", "ASTERISM_SPEED"})

#: Where letters go: nowhere, to something on this machine, or away.
WayOut = Literal["", "near", "far"]

_LINE = re.compile(r"\s*(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*?)\s*")
_QUOTED = re.compile(r"(?P<q>['\"])(?P<text>.*?)(?P=q)\s*(?:#.*)?")


def read_env(root: Path) -> dict[str, str]:
    """What `.env` says: KEY=value lines, with quotes, comments and `export` as in a shell.

    Raises: BadInput with every line that is none
    """
    env = _env(root)
    _raise(env.mistakes)
    return {name: value for name, (value, _) in env.values.items()}


def names_secret(root: Path, environ: Mapping[str, str]) -> bool:
    """Whether the environment or `.env` sets the secret."""
    return bool(environ.get("ASTERISM_SECRET")) or "ASTERISM_SECRET" in _env(root).values


def load_settings(root: Path, environ: Mapping[str, str]) -> Settings:
    """Settings from the environment, and where that is silent from `.env`.

    Makes output/secret on first use when no secret is set.

    Raises: BadInput with every wrong setting; Down when the secret cannot be kept
    """
    looked = _looked(root, environ)
    found = _found(looked, root)
    _raise(looked.mistakes)
    return _with_secret(found, root)


def load_despite_mistakes(
    root: Path, environ: Mapping[str, str]
) -> tuple[Settings, tuple[Mistake, ...]]:
    """As load_settings(), for what needs the database and the secret and sends nothing.

    What is wrong with all the rest is passed over and told; a time that is wrongly pretended is
    not pretended.

    Raises: BadInput with every wrong setting when the database or the secret is in doubt;
            Down when the secret cannot be kept
    """
    looked = _looked(root, environ)
    found = _found(looked, root)
    if looked.vital_in_doubt or any(mistake.path in VITAL for mistake in looked.mistakes):
        _raise(looked.mistakes, "Nothing was done: which database or which secret is meant is in "
               "doubt.")  # fmt: skip
    if any(mistake.path in _TIMES for mistake in looked.mistakes):
        found = replace(found, now=None, speed=0.0)
    return _with_secret(found, root), tuple(sorted(looked.mistakes))


def _looked(root: Path, environ: Mapping[str, str]) -> _Looked:
    require_workspace(root)
    env = _env(root)
    said = {name: value for name, value in environ.items() if value or name not in env.values}
    lines = {name: line for name, (_, line) in env.values.items() if name not in said}
    merged = {name: value for name, (value, _) in env.values.items()} | said
    in_doubt = env.may_hide_vital and not all(environ.get(name) for name in VITAL)
    return _Looked(merged, lines, env.mistakes, in_doubt)


def _found(looked: _Looked, root: Path) -> Settings:
    """What the settings say, the secret only where it is set; what is wrong is noted."""
    url = looked.database_url(root)
    networks, ports, now = looked.networks(), looked.ports(), looked.now()
    wait_s, speed = looked.wait_s(), looked.number("ASTERISM_SPEED", 0, MAX_SPEED, "times")
    transport = looked.transport()
    smtp = looked.smtp(root) if transport == "smtp" else SmtpSettings()
    sendgrid = looked.sendgrid() if transport == "sendgrid" else SendGridSettings()
    looked.rehearsal(now, speed, _way_out(transport, smtp, sendgrid))
    return Settings(
        workspace=root,
        database_url=url,
        secret=looked.secret().encode(),
        allow_networks=networks,
        allow_ports=ports,
        now=now,
        wait_s=wait_s,
        actor=looked.values.get("ASTERISM_ACTOR", "").strip() or _system_user(),
        speed=speed,
        transport=transport,
        smtp=smtp,
        sendgrid=sendgrid,
        limits=Limits(
            looked.whole("ASTERISM_MAIL_PER_HOUR"), looked.whole("ASTERISM_MAIL_PER_DAY")
        ),
        dkim_selector=looked.values.get("ASTERISM_DKIM_SELECTOR", "").strip(),
        bcc_mailbox=looked.path(root, "ASTERISM_BCC_MAILBOX"),
        bcc_address=looked.address("ASTERISM_BCC_ADDRESS"),
        log=looked.choice("ASTERISM_LOG", get_args(Log)),
        environment=looked.values,
    )


def _with_secret(settings: Settings, root: Path) -> Settings:
    return (
        settings
        if settings.secret
        else replace(settings, secret=kept_secret(root / "output" / "secret"))
    )


def new_secret() -> str:
    """256 random bits as text."""
    return secrets.token_urlsafe(32)


def kept_secret(path: Path) -> bytes:
    """The secret that a file keeps; made when there is none, once even if two ask together.

    Raises: BadInput when it is damaged; Down when it cannot be written
    """
    try:
        if not path.exists():
            _make_secret(path)
        secret = path.read_bytes().strip()
    except OSError as error:
        raise no_room(path, error) from error
    if len(secret) < MIN_SECRET:
        raise BadInput(
            f"{path} is damaged: it holds fewer than {MIN_SECRET} characters.",
            "Bring it back from a backup. A new one would break the leave links already sent "
            "and forget who has left; delete the file only if nothing was ever sent.",
        )
    return secret


def _make_secret(path: Path) -> None:
    """The file appears whole, and only if it is not there: a link never replaces one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".secret", dir=path.parent)
    try:
        with os.fdopen(handle, "w") as stream:
            stream.write(new_secret() + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        try:
            path.hardlink_to(name)
        except FileExistsError:
            return
    finally:
        Path(name).unlink(missing_ok=True)


def _system_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number without a name
        return "unknown"


def _raise(mistakes: list[Mistake], first: str = "") -> None:
    if mistakes:
        raise BadInput(
            f"{len(mistakes)} wrong setting{'s' if len(mistakes) > 1 else ''}. {first}".rstrip(),
            "They come from the environment or from .env; .env.example explains each.",
            tuple(sorted(mistakes)),
        )


# ── .env ─────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Env:
    """What `.env` says."""

    values: dict[str, tuple[str, int]] = field(default_factory=dict)  #: name → (value, line)
    mistakes: list[Mistake] = field(default_factory=list)
    may_hide_vital: bool = False  #: what could not be read may have named one of VITAL


def _env(root: Path) -> _Env:
    path = root / ".env"
    env = _Env()
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        return env
    except UnicodeDecodeError:
        return _unread("this is not UTF-8 text; save the file as UTF-8")
    except OSError as error:
        return _unread(f"the file cannot be read: {error.strerror}")
    known = [setting.name for setting in SETTINGS]
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, value, wrong = _env_line(line, known)
        if wrong:
            env.mistakes.append(Mistake(".env", number, 1, name, wrong))
            env.may_hide_vital |= _may_be_vital(line, known)
        elif value:
            env.values[name] = (value, number)
    return env


def _unread(what: str) -> _Env:
    return _Env(mistakes=[Mistake(".env", 1, 1, "", what)], may_hide_vital=True)


def _may_be_vital(line: str, known: list[str]) -> bool:
    """Whether a line that is none of ours may have been meant for one of VITAL."""
    for word in re.findall(r"[A-Z_]{6,}", line.upper()):
        nearest = get_close_matches(word, known, n=1)
        if "DATABASE" in word or "SECRET" in word or any(name in VITAL for name in nearest):
            return True
    return False


def _env_line(line: str, known: list[str]) -> tuple[str, str, str]:
    """(name, value, what is wrong)."""
    match = _LINE.fullmatch(line)
    if match is None:
        return "", "", "this line is no NAME=value"
    name, value = match["name"], match["value"]
    if name.startswith("ASTERISM_") and name not in known:
        return name, "", f"there is no such setting{suggestion(name, known)}"
    if value[:1] in ("'", '"'):
        quoted = _QUOTED.fullmatch(value)
        return (
            (name, quoted["text"], "") if quoted else (name, "", "the quotation mark is not closed")
        )
    return name, re.sub(r"(^|\s+)#.*", "", value), ""


# ── each setting ─────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Looked:
    """Looks at the settings one by one and collects what is wrong."""

    values: Mapping[str, str]
    lines: Mapping[str, int]  #: of those that come from .env
    mistakes: list[Mistake] = field(default_factory=list)
    vital_in_doubt: bool = False  #: what could not be read may have set one of VITAL

    def _value(self, name: str) -> str:
        return self.values.get(name, "").strip()

    def wrong(self, name: str, what: str) -> None:
        line = self.lines.get(name, 0)
        self.mistakes.append(Mistake(".env" if line else "environment", line, 1, name, what))

    def _list(self, name: str) -> list[str]:
        return [part.strip() for part in self._value(name).split(",") if part.strip()]

    def database_url(self, root: Path) -> str:
        """A SQLAlchemy address; a bare path means SQLite, beside the workspace's files."""
        name = "ASTERISM_DATABASE_URL"
        value = self._value(name) or "output/asterism.db"
        if "://" not in value:
            return _sqlite(root, value)
        try:
            url = sa.make_url(value)
        except (ArgumentError, ValueError):
            self.wrong(name, "is no database address: write a path, or postgresql://user@host/name")
            return ""
        backend = url.get_backend_name()
        if backend == "sqlite":
            return _sqlite(root, url.database or "output/asterism.db")
        if backend not in ("postgres", "postgresql"):
            self.wrong(name, f"{backend} is not supported: use SQLite (a path) or PostgreSQL")
            return ""
        if find_spec("psycopg") is None:
            self.wrong(name, "PostgreSQL needs one more package: pip install 'asterism[postgres]'")
        return url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)

    def secret(self) -> str:
        value = self._value("ASTERISM_SECRET")
        if value and len(value) < MIN_SECRET:
            self.wrong(
                "ASTERISM_SECRET", f"has {len(value)} characters; it needs at least {MIN_SECRET}"
            )
        return value

    def networks(self) -> tuple[str, ...]:
        found = []
        for part in self._list("ASTERISM_ALLOW_NETWORKS"):
            try:
                found.append(str(ip_network(part)))
            except ValueError:
                self.wrong(
                    "ASTERISM_ALLOW_NETWORKS",
                    f'"{part}" is no network: write ranges such as 10.0.0.0/8 or 127.0.0.0/8',
                )
        return tuple(found)

    def ports(self) -> tuple[int, ...]:
        parts = self._list("ASTERISM_ALLOW_PORTS")
        wrong = [p for p in parts if not (p.isascii() and p.isdigit() and int(p) <= 65535)]
        for part in wrong:
            self.wrong("ASTERISM_ALLOW_PORTS", f'"{part}" is no port: write numbers such as 80,443')
        return tuple(int(p) for p in parts if p not in wrong) or (80, 443)

    def wait_s(self) -> float:
        return self.number("ASTERISM_WAIT", WAIT_S, MAX_WAIT_S)

    # ── mail ─────────────────────────────────────────────────────────────────────────────

    def transport(self) -> TransportName:
        chosen: TransportName = self.choice("ASTERISM_TRANSPORT", get_args(TransportName))
        return chosen

    def smtp(self, root: Path) -> SmtpSettings:
        host, user = self._value("ASTERISM_SMTP_HOST"), self._value("ASTERISM_SMTP_USER")
        password = self._value("ASTERISM_SMTP_PASSWORD")
        token_file = self.path(root, "ASTERISM_SMTP_TOKEN_FILE")
        tls: SmtpTls = self.choice("ASTERISM_SMTP_TLS", get_args(SmtpTls))
        if not host:
            self.wrong("ASTERISM_SMTP_HOST", "is missing: the name of the relay")
        elif tls == "none" and not _is_here(host):
            self.wrong(
                "ASTERISM_SMTP_TLS",
                "none is only for a relay on this machine; letters would cross the net unsealed",
            )
        if user and not (password or token_file):
            self.wrong(
                "ASTERISM_SMTP_USER",
                "needs ASTERISM_SMTP_PASSWORD or ASTERISM_SMTP_TOKEN_FILE beside it",
            )
        if not user and (password or token_file):
            self.wrong("ASTERISM_SMTP_USER", "is missing: the account of the password or the token")
        port = self.whole("ASTERISM_SMTP_PORT", 465 if tls == "tls" else 587)
        if not 0 < port <= 65535:
            self.wrong("ASTERISM_SMTP_PORT", f'"{port}" is no port')
        return SmtpSettings(
            host=host,
            port=port,
            tls=tls,
            user=user,
            password=password,
            token_file=token_file,
            ca_file=self.path(root, "ASTERISM_SMTP_CA_FILE"),
            timeout_s=self.number("ASTERISM_SMTP_TIMEOUT", 30, MAX_TIMEOUT_S) or 30,
        )

    def sendgrid(self) -> SendGridSettings:
        key = self._value("ASTERISM_SENDGRID_KEY")
        if not key:
            self.wrong("ASTERISM_SENDGRID_KEY", "is missing: an API key that may send mail")
        url = self._value("ASTERISM_SENDGRID_URL") or SendGridSettings().url
        if not url.startswith("https://") and not _is_here(urlsplit(url).hostname or ""):
            self.wrong("ASTERISM_SENDGRID_URL", "must begin with https://; the key crosses it")
        return SendGridSettings(
            key=key,
            url=url.rstrip("/"),
            sandbox=self.choice("ASTERISM_SENDGRID_SANDBOX", ("no", "yes")) == "yes",
            webhook_key=self._value("ASTERISM_SENDGRID_WEBHOOK_KEY"),
        )

    def address(self, name: str) -> str:
        value = self._value(name)
        if value:
            try:
                return normalise(value)
            except BadInput as wrong:
                self.wrong(name, f"is no e-mail address: {wrong.message}")
        return value

    def rehearsal(self, now: datetime | None, speed: float, way_out: WayOut) -> None:
        """A pretended time goes with pretended letters: real ones would leave before theirs.

        A relay on this machine is a rehearsal's own, or an ordinary one that passes mail on:
        only a person can tell.
        """
        kept = self.choice("ASTERISM_MAIL_STAYS_HERE", ("no", "yes")) == "yes"
        if speed and now is None:
            self.wrong("ASTERISM_SPEED", "needs ASTERISM_NOW beside it: the time to begin with")
        if now is None:
            return
        if way_out == "near" and not kept:
            self.wrong(
                "ASTERISM_NOW",
                "may send real letters before their time: a relay on this machine can pass them "
                "on. Take it out, or set ASTERISM_TRANSPORT=file for the rehearsal; or "
                "ASTERISM_MAIL_STAYS_HERE=yes, where that relay surely keeps all mail to itself",
            )
        if way_out == "far":
            self.wrong(
                "ASTERISM_NOW",
                "would send real letters before their time: take it out, or set "
                "ASTERISM_TRANSPORT=file (or ASTERISM_SENDGRID_SANDBOX=yes) for the rehearsal",
            )

    # ── plain values ─────────────────────────────────────────────────────────────────────

    def choice(self, name: str, choices: Sequence[Any]) -> Any:
        """One of a few words; the first when nothing is said."""
        value = self._value(name).lower()
        if value and value not in choices:
            self.wrong(name, f'"{value}" is none of: {", ".join(choices)}')
            return choices[0]
        return value or choices[0]

    def whole(self, name: str, default: int = 0) -> int:
        value = self._value(name)
        if value and not (value.isascii() and value.isdigit() and len(value) < 10):
            self.wrong(name, f'"{value}" is no whole number, 0 or more')
            return default
        return int(value) if value else default

    def number(self, name: str, default: float, most: float, what: str = "seconds") -> float:
        value = self._value(name)
        try:
            number = float(value or default)
        except ValueError:
            number = -1.0
        if not 0 <= number <= most:
            self.wrong(name, f'"{value}" is no number of {what} from 0 to {most:g}')
            return default
        return number

    def path(self, root: Path, name: str) -> Path | None:
        """As it stands, or beside the workspace's files."""
        value = self._value(name)
        if not value:
            return None
        path = Path(value).expanduser()
        return path if path.is_absolute() else root.resolve() / path

    def now(self) -> datetime | None:
        value = self._value("ASTERISM_NOW")
        if not value:
            return None
        try:
            now = datetime.fromisoformat(value)
        except ValueError:
            self.wrong("ASTERISM_NOW", f'"{value}" is no instant: write 2027-03-08T09:00:00+00:00')
            return None
        if now.tzinfo is None:
            self.wrong("ASTERISM_NOW", f'"{value}" has no offset: add Z or one such as +01:00')
            return None
        return now.astimezone(UTC)


def _is_here(host: str) -> bool:
    """Whether this name can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _way_out(transport: TransportName, smtp: SmtpSettings, sendgrid: SendGridSettings) -> WayOut:
    """Whether letters leave this machine: far, or to something near that may pass them on."""
    if transport == "smtp" and smtp.host:
        return "near" if _is_here(smtp.host) else "far"
    if transport == "sendgrid" and not sendgrid.sandbox:
        return "near" if _is_here(urlsplit(sendgrid.url).hostname or "") else "far"
    return ""


def _sqlite(root: Path, value: str) -> str:
    path = Path(value).expanduser()
    return f"sqlite:///{path if path.is_absolute() else root.resolve() / path}"
