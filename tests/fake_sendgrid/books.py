"""What the fake holds: batches, accepted mail, and what became of each copy.

A SQLite file, so that a judge can read the truth whatever happened to the senders.
"""

from __future__ import annotations

import json
import re
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fake_sendgrid.rules import is_lost, recipients

#: A batch can surely be called back until so long before it goes.
SURE_S = 600
#: A paused batch is thrown away so long after it should have gone.
EXPIRES_S = 72 * 3600

_TABLES = """
CREATE TABLE batches (id TEXT PRIMARY KEY, made_at REAL);
CREATE TABLE holds (batch_id TEXT PRIMARY KEY, status TEXT, at REAL);
CREATE TABLE mails (id INTEGER PRIMARY KEY, message_id TEXT, body TEXT);
CREATE TABLE copies (
    id INTEGER PRIMARY KEY, mail_id INTEGER, number INTEGER, delivery TEXT, recipient TEXT,
    batch_id TEXT, send_at REAL, accepted_at REAL, fate TEXT, told INTEGER DEFAULT 0
);
CREATE INDEX copies_fate ON copies (fate, send_at);
CREATE INDEX copies_batch ON copies (batch_id);
CREATE INDEX copies_delivery ON copies (delivery);
CREATE TABLE requests (
    id INTEGER PRIMARY KEY, at REAL, what TEXT, status INTEGER, fault TEXT, copies INTEGER
);
"""


class Refused(Exception):
    """SendGrid says no, in these words."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One letter in one inbox, its substitutions made."""

    delivery: str
    recipient: str
    recipient_name: str
    sender: str
    sender_name: str
    subject: str
    text: str
    html: str
    headers: Mapping[str, str]
    custom_args: Mapping[str, str]
    message_id: str  #: SendGrid's, as X-Message-Id told it
    number: int  #: which personalization of its request


class Books:
    """Written by the server alone; times are epoch seconds of the fake's clock."""

    def __init__(self, path: Path, most_holds: int) -> None:
        self._most_holds = most_holds
        self._lock = threading.RLock()
        self._sql = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._sql.execute("PRAGMA journal_mode = WAL")
        self._sql.execute("PRAGMA synchronous = OFF")
        if not self._sql.execute("SELECT 1 FROM sqlite_master WHERE name = 'copies'").fetchone():
            self._sql.executescript(_TABLES)

    def close(self) -> None:
        with self._lock:
            self._sql.close()

    @contextmanager
    def at(self, now: float) -> Iterator[None]:
        """Alone, and with everything settled that was due by now."""
        with self._lock:
            self._sql.execute("BEGIN")
            try:
                self._settle(now)
                yield
            finally:
                self._sql.execute("COMMIT")

    def _settle(self, now: float) -> None:
        self._sql.execute(
            "UPDATE copies SET fate = 'discarded' WHERE fate = 'waiting' AND send_at <= ? AND "
            "batch_id IN (SELECT batch_id FROM holds WHERE status = 'cancel')",
            (now,),
        )
        self._sql.execute(
            "UPDATE copies SET fate = 'expired' WHERE fate = 'waiting' AND send_at <= ? AND "
            "batch_id IN (SELECT batch_id FROM holds WHERE status = 'pause')",
            (now - EXPIRES_S,),
        )
        self._sql.execute(
            "UPDATE copies SET fate = 'delivered' WHERE fate = 'waiting' AND send_at <= ? AND "
            "(batch_id IS NULL OR batch_id NOT IN (SELECT batch_id FROM holds))",
            (now,),
        )

    # ── batches ──────────────────────────────────────────────────────────────────────────

    def make_batch(self, now: float) -> str:
        batch_id = secrets.token_urlsafe(24)
        self._sql.execute("INSERT INTO batches VALUES (?, ?)", (batch_id, now))
        return batch_id

    def knows(self, batch_id: str) -> bool:
        return bool(self._one("SELECT 1 FROM batches WHERE id = ?", batch_id))

    def hold(self, batch_id: str, status: str, now: float) -> None:
        """Cancel or pause a batch that has no such status yet.

        Raises: Refused
        """
        if not self.knows(batch_id):
            raise Refused("invalid batch id")
        if self.status(batch_id):
            raise Refused("a status for this batch id exists, try PATCH to update the status")
        self._refuse_late(batch_id, now)
        if self._held(now) >= self._most_holds:
            raise Refused("max limit reached")
        self._sql.execute("INSERT INTO holds VALUES (?, ?, ?)", (batch_id, status, now))

    def change_hold(self, batch_id: str, status: str, now: float) -> None:
        """Raises: Refused."""
        if not self.status(batch_id):
            raise Refused("batch id not found")
        self._refuse_late(batch_id, now)
        self._sql.execute(
            "UPDATE holds SET status = ?, at = ? WHERE batch_id = ?", (status, now, batch_id)
        )

    def release(self, batch_id: str) -> None:
        """Raises: Refused."""
        if not self.status(batch_id):
            raise Refused("batch id not found")
        self._sql.execute("DELETE FROM holds WHERE batch_id = ?", (batch_id,))

    def status(self, batch_id: str) -> str:
        """cancel, pause, or empty."""
        found = self._one("SELECT status FROM holds WHERE batch_id = ?", batch_id)
        return str(found[0]) if found else ""

    def holds(self) -> list[dict[str, str]]:
        rows = self._sql.execute("SELECT batch_id, status FROM holds ORDER BY at")
        return [{"batch_id": batch_id, "status": status} for batch_id, status in rows]

    def _refuse_late(self, batch_id: str, now: float) -> None:
        found = self._one("SELECT min(send_at) FROM copies WHERE batch_id = ?", batch_id)
        if found and found[0] is not None and found[0] - now < SURE_S:
            raise Refused(
                "the batch is less than 10 minutes from its send_at and can not be changed"
            )

    def _held(self, now: float) -> int:
        """How many batches are cancelled or paused and not past their time."""
        rows = self._sql.execute(
            "SELECT holds.batch_id FROM holds LEFT JOIN copies "
            "ON copies.batch_id = holds.batch_id GROUP BY holds.batch_id "
            "HAVING coalesce(max(copies.send_at), max(holds.at) + ?) > ?",
            (EXPIRES_S, now),
        )
        return len(rows.fetchall())

    # ── mail ─────────────────────────────────────────────────────────────────────────────

    def accept(self, mail: Mapping[str, Any], now: float) -> tuple[str, int]:
        """Take a mail that breaks no rule; its message id, and its copies."""
        message_id = secrets.token_urlsafe(16)
        mail_id = self._sql.execute(
            "INSERT INTO mails (message_id, body) VALUES (?, ?)", (message_id, json.dumps(mail))
        ).lastrowid
        rows = [
            (
                mail_id,
                number,
                delivery,
                one["email"],
                mail.get("batch_id"),
                send_at,
                now,
                "lost" if is_lost(one.get("name", "")) else "waiting",
            )
            for number, each in enumerate(mail["personalizations"])
            for delivery in [
                {**mail.get("custom_args", {}), **each.get("custom_args", {})}.get("delivery", "")
            ]
            for send_at in [each.get("send_at", mail.get("send_at", now))]
            for one in recipients(each)
        ]
        self._sql.executemany(
            "INSERT INTO copies (mail_id, number, delivery, recipient, batch_id, send_at, "
            "accepted_at, fate) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        self._settle(now)  # what need not wait goes at once
        return message_id, len(rows)

    def taken(self) -> int:
        """All copies that were ever taken."""
        with self._lock:
            found = self._one("SELECT max(id) FROM copies")
            return (found and found[0]) or 0

    def note(self, now: float, what: str, status: int, fault: str, copies: int) -> None:
        """A line of the log of requests; status 0 where nothing was answered."""
        with self._lock:
            self._sql.execute(
                "INSERT INTO requests (at, what, status, fault, copies) VALUES (?, ?, ?, ?, ?)",
                (now, what, status, fault, copies),
            )

    def _one(self, query: str, *values: Any) -> tuple[Any, ...] | None:
        found: tuple[Any, ...] | None = self._sql.execute(query, values).fetchone()
        return found


# ── read by the judge ────────────────────────────────────────────────────────────────────


class Truth:
    """The same file, read by a test while the server goes on writing."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def copies(self, *fates: str) -> dict[str, int]:
        """How many copies of each delivery came to one of these fates."""
        marks = ", ".join("?" for _ in fates)
        return dict(
            self._rows(
                f"SELECT delivery, count(*) FROM copies WHERE fate IN ({marks}) GROUP BY delivery",
                *fates,
            )
        )

    def reaching(self) -> dict[str, int]:
        """How many copies of each delivery are in an inbox, or will be when their time comes."""
        return dict(
            self._rows(
                "SELECT delivery, count(*) FROM copies WHERE fate = 'delivered' OR (fate = "
                "'waiting' AND coalesce(batch_id, '') NOT IN (SELECT batch_id FROM holds WHERE "
                "status = 'cancel')) GROUP BY delivery"
            )
        )

    def accepted(self) -> int:
        """All copies that were ever taken, cancelled ones too."""
        return int(self._rows("SELECT coalesce(max(id), 0) FROM copies")[0][0])

    def inbox(self, delivery: str = "") -> list[Copy]:
        """Letters as they were delivered, all or one delivery's."""
        only = "AND delivery = ?" if delivery else ""
        rows = self._rows(
            "SELECT copies.number, copies.recipient, mails.body, mails.message_id FROM copies "
            f"JOIN mails ON mails.id = copies.mail_id WHERE fate = 'delivered' {only} "
            "ORDER BY copies.id",
            *([delivery] if delivery else []),
        )
        return [_copy(json.loads(body), n, who, message_id) for n, who, body, message_id in rows]

    def requests(self, what: str = "") -> list[tuple[str, int, str, int]]:
        """(what, status, fault, copies) of each request in its order."""
        rows = self._rows("SELECT what, status, fault, copies FROM requests ORDER BY id")
        return [(w, s, f, c) for w, s, f, c in rows if what in ("", w)]

    def bodies(self) -> list[dict[str, Any]]:
        """The accepted mails as they were posted."""
        return [json.loads(body) for (body,) in self._rows("SELECT body FROM mails ORDER BY id")]

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)) as sql:
            return sql.execute(query, values).fetchall()


def _copy(mail: Mapping[str, Any], number: int, recipient: str, message_id: str) -> Copy:
    each = mail["personalizations"][number]
    values = each.get("substitutions", {})
    parts = {part["type"]: part["value"] for part in mail.get("content", ())}
    arguments = {**mail.get("custom_args", {}), **each.get("custom_args", {})}
    sender = each.get("from", mail["from"])
    headers = {**mail.get("headers", {}), **each.get("headers", {})}
    if "reply_to" in mail:
        headers["Reply-To"] = _filled(mail["reply_to"]["email"], values)
    return Copy(
        delivery=arguments.get("delivery", ""),
        recipient=recipient,
        recipient_name=next(
            one.get("name", "") for one in recipients(each) if one["email"] == recipient
        ),
        sender=sender["email"],
        sender_name=sender.get("name", ""),
        subject=_filled(each.get("subject", mail.get("subject", "")), values),
        text=_filled(parts.get("text/plain", ""), values),
        html=_filled(parts.get("text/html", ""), values),
        headers=headers,
        custom_args=arguments,
        message_id=message_id,
        number=number,
    )


def _filled(text: str, values: Mapping[str, str]) -> str:
    """Each tag replaced by its value, once: what a value says is not read again."""
    longest_first = sorted((tag for tag in values if tag), key=len, reverse=True)
    if not longest_first:
        return text
    pattern = re.compile("|".join(re.escape(tag) for tag in longest_first))
    return pattern.sub(lambda found: values[found[0]], text)
