"""Commands about what people may ask of us: no more letters, what we know, to be forgotten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.session import Session, json_option, pass_session
from pipeline.cli.show import as_json, count, plain, save, say, when

if TYPE_CHECKING:
    from pipeline.ports import Ports
    from pipeline.stages.people import Edited, Erased

SCOPE = click.option(
    "--scope",
    "--newsletter",
    "scope",
    default="all",
    metavar="NEWSLETTER|all",
    help="Only this newsletter; every letter by default.",
)


def _scope(word: str) -> str:
    return "*" if word == "all" else word


@click.command()
@click.argument("who")
@SCOPE
@click.option("--reason", "--note", "reason", default="", help="How they asked for it, in words.")
@json_option
@pass_session
def suppress(session: Session, who: str, scope: str, reason: str, json_out: bool) -> None:
    """Never mail a contact again: they asked one of us for it."""
    from pipeline.stages.people import suppress as call

    with session.ports_despite_mistakes() as ports:
        done = call(ports, who, scope=_scope(scope), detail=reason)
    edited(done, "Done; it holds from the very next copy.", json_out)


@click.command()
@click.argument("who")
@SCOPE
@click.option("--evidence", required=True, help="How you know that they did not ask.")
@json_option
@pass_session
def lift(session: Session, who: str, scope: str, evidence: str, json_out: bool) -> None:
    """Take back a suppression that was entered by mistake.

    Only the approver can, and only what somebody here entered with `people suppress`. Who
    left, complained, bounced or was erased comes back by their own hand, or not at all.
    """
    from pipeline.stages.people import lift as call

    with session.ports() as ports:
        done = call(ports, who, evidence, scope=_scope(scope))
    edited(done, f"{done.contact.name} may get letters again, if nothing else speaks against it.",
           json_out)  # fmt: skip


@click.command()
@click.argument("who")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=None,
    help="A file, readable by you alone; printed by default.",
)
@pass_session
def export(session: Session, who: str, output: Path | None) -> None:
    """Write everything that is known of one person.

    To give to them: one JSON document with a title and a sentence for each part; nobody else
    stands in it.
    """
    from pipeline.stages.people import export_person

    with session.ports_despite_mistakes() as ports:
        made = export_person(ports, who)
    text = json.dumps(plain(made.document), ensure_ascii=False, indent=2)
    if output is None:
        say(text)
        return
    save(output, text + "\n")
    say(f"Written to {output}. Look through it before it leaves the house.")


@click.command()
@click.argument("who")
@click.option("--reason", default="", help="Why, for the log: “asked by mail on 3 March”.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@pass_session
def erase(session: Session, who: str, reason: str, yes: bool, json_out: bool) -> None:
    """Forget one person; there is no way back.

    In the database and in output/: names, address, notes, evidence and their letters go. A row
    without a name stays for the totals, and a code of the address stays blocked, so that no
    file brings them in again. Backups and files that you wrote (curated/, people files) still
    hold them: see to those. News that tells of somebody in public stays.
    """
    from pipeline.stages.people import erase as call

    with session.ports_despite_mistakes() as ports:
        if not yes:
            _ask(ports, who)
        done = call(ports, who, reason=reason)
    if json_out:
        as_json(done)
    else:
        _say_erased(done)


def _ask(ports: Ports, who: str) -> None:
    """Say whom it is about, unless nobody is there any more, and wait for a yes."""
    from pipeline.errors import NotFound
    from pipeline.stages.people import show_person

    try:
        person = show_person(ports, who)
    except NotFound:
        return
    if person.contact.erased_at is not None:
        return
    account = person.account.name if person.account else person.contact.account_key
    letters = count(len(person.deliveries), "letter")
    say(f"{person.contact.name}, {account}: {letters}, {count(len(person.told), 'thing')} told.",
        to_err=True)  # fmt: skip
    say("Erasing cannot be undone.", to_err=True)
    click.confirm("Erase this person?", abort=True, err=True)


def _say_erased(done: Erased) -> None:
    if done.already:
        say(f"Erased already, {when(done.erased_at)}; nothing is left to erase.")
        return
    say(f"Erased. What is left: contact {done.public_id}, without a name, and the block.")
    say(f"{count(done.files, 'file')} below output/ removed.")
    say("Backups still hold this person (output/backups, and wherever you keep copies), and so "
        "do files that people wrote: the CSV they came from, curated/.")  # fmt: skip


def edited(done: Edited, said: str, json_out: bool) -> None:
    """What came of a change to how a contact stands."""
    if json_out:
        as_json(done)
    else:
        say(said if done.changed else "It was so already.")


COMMANDS = (suppress, lift, export, erase)
