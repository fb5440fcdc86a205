"""Commands about people: list, show, and what is done by hand."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli import people_files, people_rights
from pipeline.cli.dates import DAY
from pipeline.cli.people_rights import edited
from pipeline.cli.session import Ordered, Session, json_option, pass_session
from pipeline.cli.show import (
    as_json,
    bad,
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
    from pipeline.model.people import Listed, Stand
    from pipeline.model.sales import TouchKind
    from pipeline.stages.people import Person


STANDING = 60  #: columns for how somebody stands
MANY = 12  #: rows shown before the rest is counted
#: What is done by hand; a test holds it against the stage, which is heavy to import.
KINDS = ("forward", "note", "call", "visit", "meeting")


@click.group(cls=Ordered)
def people() -> None:
    """Contacts: bring them in, look at one, hold letters back."""


for command in people_files.COMMANDS:
    people.add_command(command)


@people.command("list")
@click.argument("constellation", default="")
@json_option
@pass_session
def list_(session: Session, constellation: str, json_out: bool) -> None:
    """List contacts, by account, and how each stands.

    In, paused, held, suppressed, or without a basis.
    """
    from pipeline.stages.people import list_people

    with session.ports_despite_mistakes() as ports:
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

    with session.ports_despite_mistakes() as ports:
        person = show_person(ports, who)
    if json_out:
        as_json(person)
    else:
        _show_person(person)


def _show_person(person: Person) -> None:
    contact = person.contact
    title(f"{contact.name or 'Somebody who was erased'}  {quiet(contact.public_id)}")
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
    if not person.bases and contact.erased_at is None:
        rows.append(("basis", bad("none: never mailed")))
    rows += [("standing", standing) for standing in _standing(person)]
    rows += [("to come", _coming(fact)) for fact in person.coming[:MANY]]
    rows += [(_told_when(fact), _told_what(fact)) for fact in person.told[:MANY]]
    table(rows)


def _standing(person: Person) -> list[str]:
    lines = [
        f"no mail ({'any letter' if s.scope == '*' else s.scope}): {s.reason}, {when(s.at)}"
        + (f": {s.detail}" if s.detail else "")
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
    what = f"{_thing(fact)} by {fact['through']}"
    if fact["state"] == "unknown":
        return f"may have been told {what}; it is not known whether it left"
    return f"was told {what}"


def _coming(fact: Any) -> str:
    return f"is to be told {_thing(fact)} by {fact['issue']} on {when(fact['goes_at'])}"


def _thing(fact: Any) -> str:
    return f"“{fact['title']}”" if fact["title"] else f"of the service {fact['service']}"


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

    with session.ports_despite_mistakes() as ports:
        done = call(ports, who, until.date())
    edited(done, f"{done.contact.name} gets no letters until {day(until.date())}.", json_out)


@people.command()
@click.argument("who")
@click.option("--reason", required=True, help="Why, for your colleagues.")
@json_option
@pass_session
def hold(session: Session, who: str, reason: str, json_out: bool) -> None:
    """Hold letters to a contact back until they are released."""
    from pipeline.stages.people import hold as call

    with session.ports_despite_mistakes() as ports:
        done = call(ports, who, reason)
    said = f"Letters to {done.contact.name} are held back."
    edited(done, f"{said} To end it: asterism people release {who}", json_out)


@people.command()
@click.argument("who")
@json_option
@pass_session
def release(session: Session, who: str, json_out: bool) -> None:
    """End a contact's pause and hold; a suppression stays."""
    from pipeline.stages.people import release as call

    with session.ports_despite_mistakes() as ports:
        done = call(ports, who)
    edited(done, f"{done.contact.name} is no longer paused or held back.", json_out)


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
    """Take back what you did last with a contact.

    Again, the one before. A touch, a pause, a hold, a release; with anybody when no WHO is
    named. Who was suppressed stays so.
    """
    from pipeline.rules.deeds import in_words
    from pipeline.stages.people import undo as call

    with session.ports_despite_mistakes() as ports:
        undone = call(ports, who)
    if json_out:
        as_json(undone)
        return
    operation = undone.operation
    say(f"Taken back: {in_words(operation, undone.contact.name)}, {when(operation.at)}.")


for command in people_rights.COMMANDS:
    people.add_command(command)

COMMANDS = (people,)
