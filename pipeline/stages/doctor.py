"""Looks the whole installation over: what is good, what is doubtful, what to mend, and how."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from pipeline.errors import AsterismError
from pipeline.model.catalog import Firm
from pipeline.model.checkup import Check, DatabaseFacts, Machine, Verdict
from pipeline.ports import Names, Ports, Transport
from pipeline.rules.dns import SELECTORS, judge, needed
from pipeline.rules.example import still_example
from pipeline.rules.people.address import domain_of
from pipeline.rules.schedule import leap

LITTLE_ROOM, NO_ROOM = 1_000_000_000, 100_000_000  #: bytes
CLOCK_OFF = timedelta(minutes=2)
OLD_BACKUP = timedelta(days=8)
#: A job that is due every few minutes and did not run for so long: nothing runs here.
SILENT = timedelta(hours=1)

#: So many rounds of names that lead to names; a chain that goes on is none.
ROUNDS = 12


def examine(ports: Ports, machine: Machine, *, names: Names | None = None) -> tuple[Check, ...]:
    """Every check, in the order of areas; nothing is changed, and no mail leaves.

    What cannot be looked at now is said to be unknown: one part that is away hides no other.

    Shape:  names None: the domain name system is not asked
    """
    firm = ports.catalog.firm
    return (
        *_settings(firm, machine),
        *_files(machine),
        *_disk(machine),
        *_database(ports, machine),
        _transport(ports.transport),
        *_dns(firm, machine, names),
        *_running(ports, machine),
    )


def examine_without_store(
    firm: Firm,
    transport: Transport,
    machine: Machine,
    why: AsterismError,
    now: datetime,
    *,
    names: Names | None = None,
) -> tuple[Check, ...]:
    """As examine(), while the database cannot be opened: what needs no row is shown all the same.

    Shape:  why is what opening it raised
    """
    return (
        *_settings(firm, machine),
        *_files(machine),
        *_disk(machine),
        Check("database", "bad", why.message, why.hint),
        _transport(transport),
        *_dns(firm, machine, names),
        Check("running", "unknown", "What runs by itself stands in the database."),
        _backup(machine, now),
    )


def worst(checks: Sequence[Check]) -> Verdict:
    """The worst verdict among them; unknown is better than doubtful."""
    order: tuple[Verdict, ...] = ("bad", "doubtful", "unknown", "good")
    return next((one for one in order if any(c.verdict == one for c in checks)), "good")


# ── settings and files ───────────────────────────────────────────────────────────────────


def _settings(firm: Firm, machine: Machine) -> Iterator[Check]:
    found = [*_address(firm, machine), *_pretending(machine)]
    if any(still_example(firm)):
        found.append(
            Check("settings", "bad", "firm.yaml still tells of the example firm.",
                  "Write who you are; `asterism check` names the lines.")
        )  # fmt: skip
    if machine.transport == "sendgrid" and not machine.webhook_key:
        found.append(
            Check("settings", "doubtful", "No bounce, complaint or leave comes back from SendGrid.",
                  "Switch the signed event webhook on and set ASTERISM_SENDGRID_WEBHOOK_KEY.")
        )  # fmt: skip
    yield from found or [Check("settings", "good", "Files and settings are right.")]


def _address(firm: Firm, machine: Machine) -> Iterator[Check]:
    if machine.transport != "file" and not firm.base_url.startswith("https://"):
        yield Check(
            "settings", "bad", f"The base address is not https: {firm.base_url}",
            "Put a server with a certificate before it, and write base_url in firm.yaml so.",
        )  # fmt: skip


def _pretending(machine: Machine) -> Iterator[Check]:
    if machine.pretends_time:
        yield Check(
            "settings", "doubtful", "The time is pretended (ASTERISM_NOW is set).",
            "Take it out once the rehearsal is over.",
        )  # fmt: skip
    if machine.sandbox:
        yield Check(
            "settings", "doubtful", "SendGrid checks everything and sends nothing (sandbox).",
            "Take ASTERISM_SENDGRID_SANDBOX out once the rehearsal is over.",
        )  # fmt: skip


def _files(machine: Machine) -> Iterator[Check]:
    if machine.not_writable:
        yield Check(
            "files", "bad", f"The folder output/ cannot be written: {machine.not_writable}.",
            "Give the account that runs this the right to write there.",
        )  # fmt: skip
    for name in machine.open_to_others:
        yield Check("files", "bad", f"Others on this machine may read {name}.", f"chmod 600 {name}")
    if not machine.not_writable and not machine.open_to_others:
        yield Check("files", "good", "Only the owner reads what is secret; output/ can be written.")


def _disk(machine: Machine) -> Iterator[Check]:
    free = f"{machine.free_bytes / 1e9:.1f} GB are free on the disk of output/."
    if machine.free_bytes < NO_ROOM:
        yield Check("disk", "bad", free, "Make room; letters and the database need it.")
    elif machine.free_bytes < LITTLE_ROOM:
        yield Check("disk", "doubtful", free, "Make room before it is used up.")
    else:
        yield Check("disk", "good", free)


# ── clock, database, transport ───────────────────────────────────────────────────────────


def _database(ports: Ports, machine: Machine) -> Iterator[Check]:
    try:
        with ports.store.read() as tables:
            facts = tables.reasons.checkup()
    except AsterismError as error:
        yield Check("database", "bad", error.message, error.hint)
        return
    if machine.pretends_time:
        yield Check("clock", "unknown", "The time is pretended, and held against no other clock.")
    else:
        yield from _clock(facts, ports.clock.now())
    if facts.whole != "ok":
        yield Check(
            "database", "bad", f"The database is damaged: {facts.whole[:200]}",
            "Stop everything and restore the latest backup.",
        )  # fmt: skip
    else:
        more = f" ({', '.join(facts.facts)})" if facts.facts else ""
        yield Check("database", "good", f"{facts.where} is whole{more}.")


def _clock(facts: DatabaseFacts, now: datetime) -> Iterator[Check]:
    if facts.clock is not None and abs(facts.clock - now) > CLOCK_OFF:
        off = abs(facts.clock - now)
        yield Check(
            "clock", "bad", f"This machine's clock and the database's are {_span(off)} apart.",
            "Let both keep time by the network (NTP).",
        )  # fmt: skip
    elif facts.latest_at is not None and facts.latest_at - now > CLOCK_OFF:
        yield Check(
            "clock", "bad",
            f"The clock went back: something was written {_span(facts.latest_at - now)} from now.",
            "Let the machine keep time by the network (NTP); what is due later waits for its time.",
        )  # fmt: skip
    else:
        yield Check("clock", "good", f"It is {now:%Y-%m-%d %H:%M} UTC.")


def _span(off: timedelta) -> str:
    minutes = int(off / timedelta(minutes=1))
    if minutes < 120:
        return f"{minutes} minutes"
    return f"{minutes // 60} hours" if minutes < 72 * 60 else f"{minutes // 1440} days"


def _transport(transport: Transport) -> Check:
    try:
        return Check("transport", "good", transport.probe())
    except AsterismError as error:
        return Check("transport", "bad", error.message, error.hint)


# ── the sender's records ─────────────────────────────────────────────────────────────────


def _dns(firm: Firm, machine: Machine, names: Names | None) -> Iterator[Check]:
    if machine.transport == "file":
        yield Check("DNS", "good", "Mail goes into files: no record is needed.")
        return
    if names is None:
        yield Check(
            "DNS", "unknown", "The sender's records were not looked at.",
            "Run it where the domain name system answers, or give its answers: --answers FILE",
        )  # fmt: skip
        return
    for domain in _domains(firm):
        yield from _of_domain(domain, machine, names)


def _domains(firm: Firm) -> list[str]:
    """Of everybody in whose name letters go out."""
    addresses = [firm.contact, *(person.address for person in firm.staff)]
    return list(dict.fromkeys(domain_of(one.rpartition("@")[2]) for one in addresses))


def _of_domain(domain: str, machine: Machine, names: Names) -> Iterator[Check]:
    own = (machine.dkim_selector,) if machine.dkim_selector else ()
    selectors = own or SELECTORS.get(machine.transport, ())
    answers: dict[str, Sequence[str]] = {}
    try:
        for _ in range(ROUNDS):
            asked = needed(domain, selectors, answers)
            if not asked:
                break
            answers |= {name: names.txt(name) for name in asked}
    except AsterismError as error:
        yield Check("DNS", "unknown", error.message, error.hint)
        return
    yield from judge(domain, selectors, answers, machine.transport)


# ── what runs ────────────────────────────────────────────────────────────────────────────


def _running(ports: Ports, machine: Machine) -> Iterator[Check]:
    now = ports.clock.now()
    yield from _jobs(ports, now)
    yield _backup(machine, now)


def _jobs(ports: Ports, now: datetime) -> Iterator[Check]:
    try:
        with ports.store.read() as tables:
            states = tables.jobs.states()
    except AsterismError as error:
        yield Check("running", "unknown", error.message, error.hint)
        return
    last = max((s.finished_at for s in states.values() if s.finished_at), default=None)
    if last is None:
        yield Check(
            "running", "doubtful", "Nothing runs by itself yet.",
            "`asterism run` is the service; `asterism tick` does the same from cron.",
        )  # fmt: skip
    elif leap(states, now) is not None:
        yield Check(
            "running", "bad",
            f"The clock stands {_span(now - last)} ahead of the last job here; no job is run.",
            "Set the clock right; after a real pause, once: asterism tick --after-pause.",
        )  # fmt: skip
    elif now - last > SILENT:
        yield Check(
            "running", "bad", f"Nothing has run by itself for {_span(now - last)}.",
            "`systemctl status asterism`; or start `asterism run`.",
        )  # fmt: skip
    else:
        yield Check("running", "good", f"The last job ended at {last:%Y-%m-%d %H:%M} UTC.")
    for state in states.values():
        if state.failures:
            times = f", {state.failures} times in a row" if state.failures > 1 else ""
            yield Check(
                "running", "bad", f"The job “{state.name}” failed{times}: {state.detail}",
                "It is tried again by itself; mend what it says.",
            )  # fmt: skip


def _backup(machine: Machine, now: datetime) -> Check:
    newest = machine.newest_backup_at
    if newest is None:
        return Check(
            "running", "doubtful", "There is no backup in output/backups.",
            "asterism backup --keep 14",
        )  # fmt: skip
    if now - newest > OLD_BACKUP:
        return Check(
            "running", "doubtful", f"The newest backup is {_span(now - newest)} old.",
            "asterism backup --keep 14",
        )  # fmt: skip
    return Check("running", "good", f"The newest backup is of {newest:%Y-%m-%d %H:%M} UTC.")
