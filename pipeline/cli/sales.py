"""Commands of a salesperson: pass a story on, log a touch, read the mailbox that gets copies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.people import KINDS
from pipeline.cli.session import Session, json_option, pass_session
from pipeline.cli.show import as_json, bad, count, plain, quiet, save, say, table, title, words
from pipeline.errors import Conflict

if TYPE_CHECKING:
    from pipeline.model.sales import TouchKind
    from pipeline.stages.forward import Kit
    from pipeline.stages.mailbox import Copied, MailboxRead

MANY = 20  #: touches shown before the rest is counted
FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("story")
@click.argument("contact")
@click.option("--words", "own", default="", help="A line of your own, above the story.")
@click.option("--as", "actor", default="", metavar="WHO", help="Who sends it: one of our people.")
@click.option("--eml", type=FILE, default=None, help="Write a draft for your mail program.")
@click.option("--html", type=FILE, default=None, help="Write it as rich text, to copy and paste.")
@click.option("--look", is_flag=True, help="Show it all; log nothing.")
@json_option
@pass_session
def forward(
    session: Session,
    story: str,
    contact: str,
    own: str,
    actor: str,
    eml: Path | None,
    html: Path | None,
    look: bool,
    json_out: bool,
) -> None:
    """Pass one story on to one person, from your own mail program.

    STORY is its id, its beginning, or a link; CONTACT an address or an id. The mail is made
    and logged as sent by you: no letter tells them that story again. It warns when they have
    it already, and refuses what the competitor wall forbids.
    """
    from pipeline.stages.forward import forward as call

    if actor:
        session = replace(session, actor=actor)
    _keep(eml, html)
    with session.ports() as ports:
        kit = call(ports, story, contact, words=own, look=True)
        _write(kit, eml, html)  # what cannot be written is not logged as sent
        if not look:
            kit = call(ports, story, contact, words=own)
    if json_out:
        as_json({**plain(kit), "eml": kit.eml.decode("ascii")})
        return
    _show_kit(kit, look=look)
    for path, then in ((eml, "open it to send"), (html, "open it, and copy all into a mail")):
        if path is not None and path.is_file():
            say(f"{path} is written; {then}.")


def _keep(*paths: Path | None) -> None:
    """Raises: Conflict for a file that is there: somebody may have written in it."""
    for path in paths:
        if path is not None and path.exists():
            raise Conflict(f"{path} is there already.", "Name another file, or move it away.")


def _write(kit: Kit, eml: Path | None, html: Path | None) -> None:
    if eml is not None and kit.eml:
        save(eml, kit.eml.decode("ascii"))
    if html is not None and not kit.instead:
        page = f'<!doctype html>\n<meta charset="utf-8">\n{kit.html}\n'
        save(html, page)


def _show_kit(kit: Kit, *, look: bool) -> None:
    name = kit.contact.name or "somebody who was erased"
    title(f"For {name}, {kit.account_name}")
    for caution in kit.cautions:
        say(f"  {bad('!')} {caution.what}")
    say()
    say(f"  Subject: {kit.subject}", bold=True)
    say()
    for line in kit.text.rstrip("\n").split("\n"):
        say(f"  {line}".rstrip())
    say()
    if kit.instead:
        then = f"asterism touch {kit.contact.public_id[:8]} call --story {kit.story[:8]}"
        say(f"No mail to them: {words(kit.instead)}. Nothing was logged; after a call: {then}")
        return
    say("To open it in your mail program:")
    say(kit.mailto)
    if look:
        say(quiet("Only looked: nothing was logged."))
    elif kit.state == "logged":
        undo = f"asterism people undo {kit.contact.public_id[:8]}"
        say(f"Logged as forwarded by {kit.sender.name}. To take it back: {undo}")
    else:
        say("It was logged already, a moment ago.")


@click.command()
@click.argument("who")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("text", default="")
@click.option("--story", default="", help="The story that was passed on: its id or a link.")
@click.option("--minutes", type=click.IntRange(min=0), default=None, help="How long it took.")
@json_option
@pass_session
def touch(
    session: Session,
    who: str,
    kind: TouchKind,
    text: str,
    story: str,
    minutes: int | None,
    json_out: bool,
) -> None:
    """Log a call, a note or a visit in one line.

    Such as: asterism touch ada@firm.example call "wants to talk in May" --minutes 12

    The same words twice within a minute are logged once; asterism people undo takes a touch
    back.
    """
    from pipeline.stages.touch import touch as call

    with session.ports() as ports:
        done = call(ports, who, kind, story_ref=story, minutes=minutes, note=text)
    if json_out:
        as_json({**plain(done.touch), "new": done.new})
    elif done.new:
        say(f"Logged. To see it all: asterism explain contact {who}")
    else:
        say("That is logged already, a moment ago. If it was another one, say so in a few words.")


@click.command()
@json_option
@pass_session
def mailbox(session: Session, json_out: bool) -> None:
    """Read the mailbox that gets copies of what our people write.

    Each mail to a contact becomes a touch, once: a forward when it links to a story, else a
    note. The mailbox itself is never changed. ASTERISM_BCC_MAILBOX names it.
    """
    from pipeline.stages.mailbox import read_mailbox

    with session.ports() as ports:
        read = read_mailbox(ports)
    if json_out:
        as_json({**plain(read), "new": read.new})
    else:
        _show_mailbox(read)


def _show_mailbox(read: MailboxRead) -> None:
    if not read.new:
        say(f"Nothing new in {count(read.mails, 'mail')}.")
        return
    title(f"{count(read.new, 'new mail')}, {count(len(read.touches), 'touch', 'touches')}")
    table([_touched(copied) for copied in read.touches[:MANY]])
    if len(read.touches) > MANY:
        say(f"  and {len(read.touches) - MANY} more; --json lists them all")
    if read.more:
        say("More are waiting: run it again.")
    if read.left_out:
        say("No touch:")
        table([(number, _WHY[reason]) for reason, number in sorted(read.left_out.items())],
              right=[0])  # fmt: skip


def _touched(copied: Copied) -> tuple[str, str, str, str]:
    return copied.touch.kind, copied.touch.staff_key, copied.contact.name, copied.title


_WHY = {
    "unreadable": "cannot be read",
    "bounce": "came back: an address or a server did not take it",
    "automatic": "an automatic answer",
    "our_own_letter": "a letter of ours",
    "mailing_list": "from a mailing list",
    "not_from_us": "not written by one of our people",
    "nobody_known": "to nobody we know",
    "too_old": "older than 30 days",
    "logged_already": "a forward that was logged when it was made",
}

COMMANDS = (forward, touch, mailbox)
