"""Settings of one run: where the workspace lies and what the environment says.

Secrets come from the environment or from `.env` in the workspace, never from its YAML files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

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
        "ASTERISM_WAIT",
        f"{WAIT_S:g}",
        "how many seconds a command waits while another program writes to the database",
    ),
    Setting("ASTERISM_ACTOR", "the system's user", "who acts; `--as` wins"),
    Setting("NO_COLOR", "", "any value: no colour"),
)


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
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def output(self) -> Path:
        return self.workspace / "output"
