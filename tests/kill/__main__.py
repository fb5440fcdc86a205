"""The large run: python -m tests.kill --contacts 10000 --kills 60; prints a table as it goes."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.kill.databases import DATABASES, database, no_postgres
from tests.kill.harness import Outcome, Plan, try_plan
from tests.kill.receivers import RECEIVERS, SmtpSink

COLUMNS = (
    "transport", "database", "contacts", "kills", "inside", "held", "doubles", "lost",
    "troubles", "unknown", "arrived", "heard", "resolved", "back", "seconds",
)  # fmt: skip


#: Receivers that can misbehave.
MOODY = ("smtp", "sendgrid")


def plans(chosen: argparse.Namespace) -> Iterator[tuple[str, Plan]]:
    """(database, plan) of each combination that was asked for."""
    for transport in chosen.transport or RECEIVERS:
        for name in chosen.database or DATABASES:
            yield (
                name,
                Plan(
                    transport=transport,
                    contacts=chosen.contacts,
                    kills=chosen.kills,
                    seed=chosen.seed,
                    chunk=chosen.chunk,
                    misbehaves=not chosen.kind_world and transport in MOODY,
                    kind=chosen.sender,
                    stops=chosen.stops and transport == "sendgrid",
                ),
            )


def row(name: str, outcome: Outcome) -> list[str]:
    plan = outcome.plan
    return [
        plan.transport, name, str(plan.contacts), str(outcome.inside + outcome.outside),
        str(outcome.inside), str(outcome.held), str(outcome.doubles), str(outcome.lost),
        str(outcome.troubles), str(outcome.unknown), str(outcome.arrived),
        str(outcome.heard), str(outcome.resolved), str(outcome.called_back),
        f"{outcome.seconds:.0f}",
    ]  # fmt: skip


def say(cells: Sequence[str]) -> None:
    line = "  ".join(cell.rjust(len(head)) for cell, head in zip(cells, COLUMNS, strict=True))
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when nobody got a letter twice and nobody was forgotten, anywhere."""
    chosen = parser().parse_args(arguments)
    say(COLUMNS)
    faults: list[str] = []
    for name, plan in plans(chosen):
        if why := missing(name, plan):
            sys.stdout.write(f"LEFT OUT  {plan.transport} on {name}: {why}\n")
            continue
        outcome = try_somewhere(name, plan)
        say(row(name, outcome))
        faults += [f"{plan.transport} on {name}: {what}" for what in outcome.faults()]
    sys.stdout.writelines(f"WRONG  {fault}\n" for fault in faults)
    return 1 if faults else 0


def missing(name: str, plan: Plan) -> str:
    """Why this cannot be tried on this machine; empty when it can."""
    why = SmtpSink.missing() if plan.transport == "smtp-sink" else ""
    return why or (no_postgres() if name == "postgres" else "")


def try_somewhere(name: str, plan: Plan) -> Outcome:
    """In a folder and on a database of its own, both gone afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="asterism-kill-") as folder,
        database(name, Path(folder)) as url,
    ):
        return try_plan(plan, url, Path(folder) / "receiver")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m tests.kill", description=__doc__)
    made.add_argument("--contacts", type=int, default=2000)
    made.add_argument("--kills", type=int, default=20, help="that lie inside the sending")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--chunk", type=int, default=20, help="copies per claim")
    made.add_argument("--transport", action="append", choices=tuple(RECEIVERS))
    made.add_argument("--database", action="append", choices=DATABASES)
    made.add_argument(
        "--kind-world", action="store_true", help="only kills: no line breaks, no server fails"
    )
    made.add_argument(
        "--stops", action="store_true", help="over sendgrid: people stop it and let it go on"
    )
    made.add_argument("--sender", default="honest", choices=("honest", "post-then-mark"))
    return made


if __name__ == "__main__":
    sys.exit(main())
