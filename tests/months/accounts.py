"""Counts up what months of running came to, by the rhythm's own arithmetic and the ledger."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from pipeline.model.catalog import Catalog, Newsletter
from pipeline.rules.letters.rhythm import beats, skipped

_DAY = timedelta(days=1)
_SETTLED = timedelta(days=3)  #: by then the late policy has had its say


@dataclass
class Line:
    """One newsletter's beats."""

    newsletter: str
    states: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    copies: int = 0

    @property
    def planned(self) -> int:
        return self.states.total()


@dataclass
class Accounts:
    """The table, and all that does not add up."""

    lines: list[Line] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    copies: int = 0
    notices: int = 0
    runs: int = 0
    failed: Counter[str] = field(default_factory=Counter)

    def text(self) -> str:
        rows = ["newsletter        beats   kept  missed  skipped  ahead  copies"]
        for line in self.lines:
            s = line.states
            rows.append(
                f"{line.newsletter:<16} {line.planned:>6} {s['kept']:>6} {s['missed']:>7} "
                f"{s['skipped']:>8} {s['planned']:>6} {line.copies:>7}"
            )
            rows += [f"  {number:>3} × {why}" for why, number in line.reasons.most_common()]
        rows.append(f"{self.copies} copies, {self.notices} notices, {self.runs} runs of jobs")
        rows += [f"  failed {number:>3} × {job}" for job, number in self.failed.most_common()]
        rows += [f"NOT ACCOUNTED FOR: {problem}" for problem in self.problems]
        return "\n".join(rows)


def account(folder: Path, catalog: Catalog, now: datetime) -> Accounts:
    """Hold what is on record in a workspace against what its rhythms say."""
    told = Accounts()
    with closing(sqlite3.connect(folder / "output" / "asterism.db")) as database:
        database.row_factory = sqlite3.Row
        for constellation in catalog.constellations:
            for newsletter in constellation.newsletters:
                line = Line(newsletter.key)
                told.lines.append(line)
                told.problems += _beats(database, catalog, newsletter, now, line)
                told.problems += _issues(database, newsletter, now, line)
        told.problems += _copies(database, folder, told)
        told.problems += _runs(database, told)
    return told


def _rows(database: sqlite3.Connection, query: str, *values: object) -> list[sqlite3.Row]:
    return database.execute(query, values).fetchall()


def _beats(
    database: sqlite3.Connection,
    catalog: Catalog,
    newsletter: Newsletter,
    now: datetime,
    line: Line,
) -> Iterator[str]:
    """Every beat of the rhythm has one row, with a state, and a reason unless it was kept."""
    rows = _rows(
        database,
        "SELECT beat_on, b.due_at, state, reason FROM beats b JOIN newsletters n "
        "ON n.id = b.newsletter_id WHERE n.key = ? ORDER BY beat_on", newsletter.key,
    )  # fmt: skip
    found = Counter(date.fromisoformat(row["beat_on"]) for row in rows)
    yield from (f"{newsletter.key} {on}: {n} rows" for on, n in found.items() if n > 1)
    if not found:
        yield f"{newsletter.key}: no beat at all"
        return
    for row in rows:
        line.states[row["state"]] += 1
        if row["state"] in ("missed", "skipped"):
            line.reasons[f"{row['state']}: {row['reason']}"] += 1
            if not row["reason"]:
                yield f"{newsletter.key} {row['beat_on']}: {row['state']} without a reason"
        if row["state"] == "planned" and _utc(row["due_at"]) < now - _SETTLED:
            yield f"{newsletter.key} {row['beat_on']}: still planned"
    lead = timedelta(days=newsletter.lead_days)
    rhythm, holidays = newsletter.rhythm, catalog.firm.holidays
    first, far = min(found), (now + lead + 5 * _DAY).date()
    arithmetic = {b.on: b for b in beats(rhythm, holidays, first, far)}
    arithmetic |= {b.on: b for b in skipped(rhythm, holidays, first, far)}
    due = {on for on, beat in arithmetic.items() if beat.due_at - lead <= now}
    yield from (f"{newsletter.key} {on}: no row" for on in sorted(due - set(found)))
    yield from (f"{newsletter.key} {on}: no beat" for on in sorted(set(found) - set(arithmetic)))
    for row in rows:
        beat = arithmetic.get(date.fromisoformat(row["beat_on"]))
        if beat is not None and beat.due_at != _utc(row["due_at"]):
            yield f"{newsletter.key} {row['beat_on']}: due {row['due_at']}, not {beat.due_at}"


def _issues(
    database: sqlite3.Connection, newsletter: Newsletter, now: datetime, line: Line
) -> Iterator[str]:
    """Every issue belongs to a beat, came to an end, and fits its beat's state."""
    rows = _rows(
        database,
        "SELECT i.number, i.beat_on, i.due_at, i.state, i.reason, b.state AS beat, "
        "(SELECT count(*) FROM deliveries d WHERE d.issue_id = i.id AND d.purpose = 'letter' "
        " AND d.state IN ('accepted', 'delivered')) AS copies "
        "FROM issues i JOIN newsletters n ON n.id = i.newsletter_id "
        "LEFT JOIN beats b ON b.newsletter_id = n.id AND b.beat_on = i.beat_on "
        "WHERE n.key = ? ORDER BY i.number", newsletter.key,
    )  # fmt: skip
    numbers = [row["number"] for row in rows]
    if numbers != list(range(1, len(rows) + 1)):
        yield f"{newsletter.key}: issues are numbered {numbers}"
    for row in rows:
        ref = f"{newsletter.key}/{row['number']}"
        line.copies += row["copies"]
        if row["beat"] is None:
            yield f"{ref}: no beat"
        over = _utc(row["due_at"]) < now - _SETTLED
        if over and row["state"] not in ("sent", "partly_sent", "missed", "cancelled", "stopped"):
            yield f"{ref}: still {row['state']}"
        if row["state"] in ("missed", "stopped") and not row["reason"]:
            yield f"{ref}: {row['state']} without a reason"
        went = row["state"] in ("sent", "partly_sent")
        if over and went != (row["beat"] == "kept"):
            yield f"{ref} is {row['state']}, and its beat {row['beat']}"
        if went and not row["copies"]:
            yield f"{ref} is {row['state']} without a copy"


def _copies(database: sqlite3.Connection, folder: Path, told: Accounts) -> Iterator[str]:
    """Each copy left once, each story went to each contact once, each audience adds up."""
    copies = _rows(
        database,
        "SELECT d.public_id, d.state, (SELECT count(*) FROM delivery_events e WHERE "
        "e.delivery_id = d.id AND e.state = 'attempting') AS times FROM deliveries d",
    )
    told.copies = sum(row["state"] in ("accepted", "delivered") for row in copies)
    for row in copies:
        if row["times"] > 1:
            yield f"copy {row['public_id']} was sent {row['times']} times"
        if row["state"] not in ("accepted", "delivered", "withheld", "planned"):
            yield f"copy {row['public_id']} is {row['state']}"
    files = Counter(path.stem for path in (folder / "output" / "mail").rglob("*.eml"))
    out = {row["public_id"] for row in copies if row["state"] in ("accepted", "delivered")}
    yield from (f"copy {name}: no file" for name in sorted(out - set(files)))
    twice = _rows(
        database,
        "SELECT t.contact_id, t.story_id, count(*) AS n FROM told t JOIN deliveries d "
        "ON d.id = t.delivery_id WHERE t.story_id IS NOT NULL AND d.state = 'accepted' "
        "GROUP BY 1, 2 HAVING count(*) > 1",
    )
    yield from (
        f"contact {r['contact_id']} had story {r['story_id']} {r['n']} times" for r in twice
    )
    audiences = _rows(
        database,
        "SELECT issue_id, sum(is_in) AS inside, (SELECT count(*) FROM deliveries d WHERE "
        "d.issue_id = a.issue_id AND d.purpose = 'letter') AS copies FROM audience a GROUP BY 1",
    )
    for row in audiences:
        if row["inside"] != row["copies"]:
            yield f"issue {row['issue_id']}: {row['inside']} in, {row['copies']} copies"
    notices = _rows(database, "SELECT state, count(*) AS n FROM notices GROUP BY 1")
    told.notices = sum(row["n"] for row in notices)
    twice = _rows(
        database,
        "SELECT about, kind FROM notices GROUP BY about, kind, staff_key HAVING count(*) > 1",
    )
    yield from (f"notice {row['kind']} of {row['about']} twice" for row in twice)


def _runs(database: sqlite3.Connection, told: Accounts) -> Iterator[str]:
    """No job ran twice at one moment, and none stayed failed."""
    rows = _rows(database, "SELECT job, started_at, outcome FROM job_runs")
    told.runs = len(rows)
    told.failed = Counter(row["job"] for row in rows if row["outcome"] == "failed")
    doubled = Counter((row["job"], row["started_at"]) for row in rows)
    yield from (f"{job} ran {n} times at {at}" for (job, at), n in doubled.items() if n > 1)
    last = _rows(database, "SELECT name, detail FROM jobs WHERE outcome = 'failed'")
    yield from (f"{row['name']} fails: {row['detail']}" for row in last)


def _utc(stored: str) -> datetime:
    return datetime.fromisoformat(stored).replace(tzinfo=UTC)


def summed(lines: list[Line]) -> Mapping[str, int]:
    """Beats of all newsletters by state."""
    states: Counter[str] = Counter()
    for line in lines:
        states.update(line.states)
    return states
