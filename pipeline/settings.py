"""Settings of one run: where the workspace lies and what the environment says.

Secrets come from the environment or from `.env` in the workspace, never from its YAML files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

#: How long a writer waits for another one before it gives up.
WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable, for the generated reference."""

    name: str
    default: str
    what: str


#: Every variable that is read; tests hold the reference page against this list.
SETTINGS: tuple[Setting, ...] = (
    Setting("ASTERISM_WORKSPACE", ".", "folder of the workspace; `--workspace` wins"),
    Setting(
        "ASTERISM_DATABASE_URL",
        "output/asterism.db",
        "database: a path for SQLite, or postgresql+psycopg://user@host/name",
    ),
    Setting(
        "ASTERISM_SECRET",
        "made on first use, kept in output/secret",
        "key for leave links and address hashes; at least 32 characters. Losing it breaks the "
        "leave links already sent",
    ),
    Setting(
        "ASTERISM_ALLOW_NETWORKS",
        "",
        "local networks that gathering may ask, comma-separated CIDR ranges; none by default",
    ),
    Setting(
        "ASTERISM_ALLOW_PORTS",
        "80,443",
        "ports that gathering may ask, comma-separated; 0 allows all",
    ),
    Setting(
        "ASTERISM_NOW",
        "",
        "pretend that it is this instant (ISO 8601 with offset), for rehearsals; "
        "empty means the real clock",
    ),
    Setting(
        "ASTERISM_SPEED",
        "0",
        "with ASTERISM_NOW: how many times as fast the pretended clock runs; 0: it stands",
    ),
    Setting(
        "ASTERISM_MAIL_STAYS_HERE",
        "no",
        "`yes`: the relay on this machine keeps all mail to itself, so that it may be used with "
        "ASTERISM_NOW; `no`: it may pass letters on",
    ),
    Setting(
        "ASTERISM_WAIT",
        f"{WAIT_S:g}",
        "how many seconds a command waits while another program writes to the database",
    ),
    Setting("ASTERISM_ACTOR", "the system's user", "who acts; `--as` wins"),
    Setting(
        "ASTERISM_TRANSPORT",
        "file",
        "how mail leaves: `file` (into output/mail), `smtp` or `sendgrid`",
    ),
    Setting("ASTERISM_SMTP_HOST", "", "the relay's name"),
    Setting("ASTERISM_SMTP_PORT", "587, with `tls` 465", "the relay's port"),
    Setting(
        "ASTERISM_SMTP_TLS",
        "starttls",
        "`starttls`, `tls` (from the first byte), or `none` (only to a relay on this machine)",
    ),
    Setting("ASTERISM_SMTP_USER", "", "account at the relay; empty: no sign-in"),
    Setting("ASTERISM_SMTP_PASSWORD", "", "its password"),
    Setting(
        "ASTERISM_SMTP_TOKEN_FILE",
        "",
        "instead of a password: a file with an OAuth 2 access token (XOAUTH2), which another "
        "program keeps fresh; read anew for each connection",
    ),
    Setting("ASTERISM_SMTP_CA_FILE", "", "PEM file of who signs the relay's certificate"),
    Setting("ASTERISM_SMTP_TIMEOUT", "30", "seconds to wait for each answer of the relay"),
    Setting(
        "ASTERISM_SENDGRID_KEY", "", "API key with the permissions Mail Send and Scheduled Sends"
    ),
    Setting(
        "ASTERISM_SENDGRID_URL",
        "https://api.sendgrid.com",
        "where the API is; https://api.eu.sendgrid.com for accounts in the EU",
    ),
    Setting("ASTERISM_SENDGRID_SANDBOX", "no", "`yes`: everything is checked, nothing leaves"),
    Setting(
        "ASTERISM_SENDGRID_WEBHOOK_KEY",
        "",
        "public key of the signed event webhook; without it no event is taken in",
    ),
    Setting("ASTERISM_MAIL_PER_HOUR", "0", "at most so many mails in any hour; 0: no limit"),
    Setting("ASTERISM_MAIL_PER_DAY", "0", "at most so many mails in any 24 hours; 0: no limit"),
    Setting(
        "ASTERISM_DKIM_SELECTOR", "", "name of the DKIM key in the DNS, for `doctor` to look at"
    ),
    Setting(
        "ASTERISM_BCC_MAILBOX",
        "",
        "a maildir folder or an mbox file that gets copies (BCC) of what salespeople write; "
        "each becomes a touch",
    ),
    Setting("ASTERISM_BCC_ADDRESS", "", "its address, which the forward kit puts into BCC"),
    Setting("ASTERISM_LOG", "text", "how `run` and `tick` log: `text` or `json`"),
    Setting("NO_COLOR", "", "any value: no colour"),
)


TransportName = Literal["file", "smtp", "sendgrid"]
SmtpTls = Literal["starttls", "tls", "none"]
Log = Literal["text", "json"]


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """Which relay takes our mail, and how we sign in."""

    host: str = ""
    port: int = 587
    tls: SmtpTls = "starttls"
    user: str = field(default="", repr=False)  #: mostly an address
    password: str = field(default="", repr=False)
    token_file: Path | None = None  #: an OAuth 2 access token instead of the password
    ca_file: Path | None = None
    timeout_s: float = 30.0  #: for each answer


@dataclass(frozen=True, slots=True)
class SendGridSettings:
    """Our account at SendGrid."""

    key: str = field(default="", repr=False)
    url: str = "https://api.sendgrid.com"
    sandbox: bool = False
    webhook_key: str = ""
    timeout_s: float = 30.0  #: for each answer


@dataclass(frozen=True, slots=True)
class Limits:
    """How much mail may leave; 0: no limit."""

    per_hour: int = 0  #: in any 60 minutes
    per_day: int = 0  #: in any 24 hours


@dataclass(frozen=True, slots=True)
class Settings:
    """What wiring needs to build the ports."""

    workspace: Path
    database_url: str = field(repr=False)  #: SQLAlchemy address; may hold a password
    secret: bytes = field(repr=False)
    allow_networks: tuple[str, ...] = ()
    allow_ports: tuple[int, ...] = (80, 443)
    now: datetime | None = None
    wait_s: float = WAIT_S  #: how long a writer waits for another one
    actor: str = ""
    speed: float = 0.0  #: with `now`: how many times as fast the pretended clock runs
    transport: TransportName = "file"
    smtp: SmtpSettings = field(default_factory=SmtpSettings)
    sendgrid: SendGridSettings = field(default_factory=SendGridSettings)
    limits: Limits = field(default_factory=Limits)
    dkim_selector: str = ""
    bcc_mailbox: Path | None = None
    bcc_address: str = ""
    log: Log = "text"
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def output(self) -> Path:
        return self.workspace / "output"
