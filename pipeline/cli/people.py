"""Commands about people: import, list, show, what is done by hand; and coverage."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.session import Ordered, Session, json_option, pass_session
from pipeline.cli.show import (
    as_json,
    bad,
    count,
    day,
    fit,
    good,
    plain,
    quiet,
    say,
    table,
    title,
    when,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.model.people import ImportTally, Listed, RowProblem, Stand
    from pipeline.model.sales import Coverage, TouchKind
    from pipeline.stages.people import Edited, Person


class TypedDate(click.DateTime):
    """A day or a month, told in the letters that a person types."""

    def __init__(self, form: str, shown: str) -> None:
        super().__init__(formats=[form])
        self._shown = shown

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"“{value}” is none; write it as {self._shown}.", param, ctx)


DAY = TypedDate("%Y-%m-%d", "2027-03-31")
MONTH = TypedDate("%Y-%m", "2027-03")
STANDING = 60  #: columns for how somebody stands
MANY = 12  #: rows shown before the rest is counted
BASIS = {"basis": "Legal basis", "basis_source": "Basis source", "basis_date": "Basis date"}
#: What is done by hand; a test holds it against the stage, which is heavy to import.
KINDS = ("forward", "note", "call", "visit", "meeting")


@click.group(cls=Ordered)
def people() -> None:
    """Contacts: bring them in, look at one, hold letters back."""


@people.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Count what would happen; change nothing.")
@json_option
@pass_session
def import_(session: Session, file: Path, dry_run: bool, json_out: bool) -> None:
    """Bring in a CSV file of contacts.

    Columns are known by their headers, in any order, and exports of the common CRMs as they
    are: Email, First name, Last name, Company (or the address's domain) tell whose contact it
    is; Job title, Language, Time zone, Opted out are read, too.

    Nobody is mailed without a basis: Legal basis (customer, consent, legitimate interest),
    Basis source (“asked for it on our website”), Basis date. Whoever left stays out. The same
    file twice changes nothing.
    """
    from pipeline.stages.people import import_people

    with session.ports() as ports:
        tally = import_people(ports, file.read_bytes(), str(file), dry_run=dry_run)
    if json_out:
        as_json(tally)
        return
    _show_import(tally, file)


def _show_import(tally: ImportTally, file: Path) -> None:
    title(f"{file.name}: {count(tally.rows, 'row')}")
    table(
        [
            (tally.new, "new"),
            (tally.changed, "changed"),
            (tally.same, "the same as before"),
            (tally.left, "left or opted out: kept, never mailed"),
            (tally.invalid, "not taken"),
        ],
        right=[0],
    )
    _show_rows("Not taken:", tally.problems, file)
    _show_rows("Taken without one cell:", tally.remarks, file)
    if tally.without_basis:
        say(
            f"{count(tally.without_basis, 'contact')} without a basis: never mailed until one "
            "is recorded."
        )
        taken = {name for _, name in tally.columns}
        if lacking := [header for name, header in BASIS.items() if name not in taken]:
            say(f"  The file has no column {', '.join(lacking)}.")
    unread = [header for header, name in tally.columns if header and not name]
    if unread:
        more = f" and {len(unread) - MANY} more" if len(unread) > MANY else ""
        say(quiet(f"Columns not read: {', '.join(unread[:MANY])}{more}"))
    if not tally.applied:
        say(f"Nothing was changed. To bring them in: asterism people import {file}")


def _show_rows(heading: str, rows: Sequence[RowProblem], file: Path) -> None:
    if rows:
        say(heading)
    for row in rows[:MANY]:
        say(f"  {file.name}:{row.line}: {row.column}: {row.what}")
    if len(rows) > MANY:
        say(f"  and {len(rows) - MANY} more; --json lists them all")


@people.command("list")
@click.argument("constellation", default="")
@json_option
@pass_session
def list_(session: Session, constellation: str, json_out: bool) -> None:
    """List contacts, by account, and how each stands.

    In, paused, held, suppressed, or without a basis.
    """
    from pipeline.stages.people import list_people

    with session.ports() as ports:
        listed = list_people(ports, constellation)
    if json_out:
        as_json([_listed(one) for one in listed])
        return
    table(
        [
            (c.account_key, c.name if c.name != c.address else "", c.role, c.address,
             _stand(one.stand))
            for one in listed
            for c in (one.contact,)
        ]
    )  # fmt: skip
    if not listed:
        say("Nobody yet: asterism people import FILE")


def _listed(one: Listed) -> dict[str, Any]:
    return {**plain(one.contact), "standing": one.stand.word, "why": one.stand.detail}


def _stand(stand: Stand) -> str:
    from pipeline.rules.people.standing import in_words

    said = fit(in_words(stand), STANDING)
    return said if stand.word in ("in", "paused", "held") else bad(said)


@people.command()
@click.argument("who")
@json_option
@pass_session
def show(session: Session, who: str, json_out: bool) -> None:
    """Show one contact: basis, standing, what they were told.

    WHO is an address, or the beginning of an id.
    """
    from pipeline.stages.people import show_person

    with session.ports() as ports:
        person = show_person(ports, who)
    if json_out:
        as_json(person)
    else:
        _show_person(person)


def _show_person(person: Person) -> None:
    contact = person.contact
    title(f"{contact.name}  {quiet(contact.public_id)}")
    account = person.account.name if person.account else contact.account_key
    rows: list[tuple[str, str]] = [("account", account)]
    rows += [("role", contact.role)] if contact.role else []
    rows += [("address", contact.address or "erased")]
    rows += [("invalid", bad(contact.invalid))] if contact.invalid else []
    for basis, _, actor in person.bases:
        rows.append(
            (
                "basis",
                f"{words(basis.kind)}: {basis.source}, {day(basis.given_on)}"
                + (f" (recorded by {actor})" if actor else ""),
            )
        )
    if not person.bases:
        rows.append(("basis", bad("none: never mailed")))
    rows += [("standing", standing) for standing in _standing(person)]
    rows += [(_told_when(fact), _told_what(fact)) for fact in person.told[:MANY]]
    table(rows)


def _standing(person: Person) -> list[str]:
    lines = [
        f"no mail ({'any letter' if s.scope == '*' else s.scope}): {s.reason}, {when(s.at)}"
        for s in person.suppressions
    ]
    if person.standing.paused_until:
        lines.append(f"paused until {day(person.standing.paused_until)}")
    if person.standing.hold:
        lines.append(f"held: {person.standing.hold}")
    return lines or [
        good("may be written to") if person.stand.word == "in" else _stand(person.stand)
    ]


def _told_when(fact: Any) -> str:
    moment = fact["at"]
    return f"{moment:%Y-%m-%d}" if isinstance(moment, datetime) else "told"


def _told_what(fact: Any) -> str:
    what = f"“{fact['title']}”" if fact["title"] else f"of the service {fact['service']}"
    return f"was told {what} by {fact['through']}"


@people.command()
@click.argument("who")
@click.option(
    "--until", type=DAY, required=True, metavar="YYYY-MM-DD", help="No letters until this day."
)
@json_option
@pass_session
def pause(session: Session, who: str, until: datetime, json_out: bool) -> None:
    """Send nothing to a contact until a day."""
    from pipeline.stages.people import pause as call

    with session.ports() as ports:
        done = call(ports, who, until.date())
    _edited(done, f"{done.contact.name} gets no letters until {day(until.date())}.", json_out)


@people.command()
@click.argument("who")
@click.option("--reason", required=True, help="Why, for your colleagues.")
@json_option
@pass_session
def hold(session: Session, who: str, reason: str, json_out: bool) -> None:
    """Hold letters to a contact back until they are released."""
    from pipeline.stages.people import hold as call

    with session.ports() as ports:
        done = call(ports, who, reason)
    said = f"Letters to {done.contact.name} are held back."
    _edited(done, f"{said} To end it: asterism people release {who}", json_out)


@people.command()
@click.argument("who")
@json_option
@pass_session
def release(session: Session, who: str, json_out: bool) -> None:
    """End a contact's pause and hold; a suppression stays."""
    from pipeline.stages.people import release as call

    with session.ports() as ports:
        done = call(ports, who)
    _edited(done, f"{done.contact.name} is no longer paused or held back.", json_out)


@people.command()
@click.argument("who")
@click.option("--newsletter", default="*", help="Only this newsletter; every letter by default.")
@click.option("--note", default="", help="How they asked for it.")
@json_option
@pass_session
def suppress(session: Session, who: str, newsletter: str, note: str, json_out: bool) -> None:
    """Never mail a contact again: they asked one of us for it."""
    from pipeline.stages.people import suppress as call

    with session.ports() as ports:
        done = call(ports, who, scope=newsletter, detail=note)
    _edited(done, "Done; it holds from the very next copy.", json_out)


def _edited(done: Edited, said: str, json_out: bool) -> None:
    if json_out:
        as_json(done)
    else:
        say(said if done.changed else "It was so already.")


@people.command()
@click.argument("who")
@click.option("--kind", type=click.Choice(KINDS), required=True, help="What was done.")
@click.option("--story", default="", help="The story that was passed on: its id or a link.")
@click.option("--minutes", type=click.IntRange(min=0), default=None, help="How long it took.")
@click.option("--note", default="", help="What came of it.")
@json_option
@pass_session
def touch(
    session: Session,
    who: str,
    kind: TouchKind,
    story: str,
    minutes: int | None,
    note: str,
    json_out: bool,
) -> None:
    """Log what you did by hand: a forward, a call, a visit.

    A story that you passed on is not told to them again by a letter. The same words twice
    within a minute are logged once; asterism people undo takes a touch back.
    """
    from pipeline.stages.touch import touch as call

    with session.ports() as ports:
        done = call(ports, who, kind, story_ref=story, minutes=minutes, note=note)
    if json_out:
        as_json({**plain(done.touch), "new": done.new})
    elif done.new:
        say(f"Logged. To see it all: asterism explain contact {who}")
    else:
        say("That is logged already, a moment ago. If it was another one, say so in --note.")


@people.command()
@click.argument("who", metavar="[WHO]", default="")
@json_option
@pass_session
def undo(session: Session, who: str, json_out: bool) -> None:
    """Take back what you did last with a contact; again, the one before.

    A touch, a pause, a hold, a release; with anybody when no WHO is named. Who was
    suppressed stays so.
    """
    from pipeline.rules.deeds import in_words
    from pipeline.stages.people import undo as call

    with session.ports() as ports:
        undone = call(ports, who)
    if json_out:
        as_json(undone)
        return
    operation = undone.operation
    say(f"Taken back: {in_words(operation, undone.contact.name)}, {when(operation.at)}.")


@click.command()
@click.argument("constellation", default="")
@click.option("--month", type=MONTH, default=None, metavar="YYYY-MM", help="This month by default.")
@json_option
@pass_session
def coverage(session: Session, constellation: str, month: datetime | None, json_out: bool) -> None:
    """Accounts touched this month, and those that were not."""
    from pipeline.stages.report import coverage as call

    on: date | None = month.date() if month else None
    with session.ports() as ports:
        reports = call(ports, constellation, on)
    if json_out:
        as_json(reports)
        return
    for report in reports:
        _show_coverage(report)


def _show_coverage(report: Coverage) -> None:
    touched, untouched = report.touched, report.untouched
    title(f"{report.constellation_name}, {report.month:%B %Y}")
    say(
        f"  {len(touched)} of {count(len(report.accounts), 'account')} touched, "
        f"{count(report.beats_kept, 'beat')} kept of {report.beats_planned}, "
        f"{_buyers(report)} expected to buy this month"
    )
    table(
        [(a.name, words(a.relationship), a.owner, a.by_machine, a.by_hand) for a in touched],
        head=("touched", "", "owner", "by machine", "by hand"),
        right=[3, 4],
    )
    if untouched:
        names = ", ".join(account.name for account in untouched)
        say(f"  Not touched ({len(untouched)}): {names}")


def _buyers(report: Coverage) -> str:
    buyers = report.buyers_per_month
    if buyers.denominator == 1:
        return str(buyers)
    return f"{float(buyers):.1f}"


COMMANDS = (people, coverage)
