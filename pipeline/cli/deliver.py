"""Commands that send: deliver; what a person decides of copies in doubt; what a restore holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.session import Ordered, Session, json_option, pass_session
from pipeline.cli.show import as_json, bad, count, good, say, table, when, words

if TYPE_CHECKING:
    from pipeline.stages.deliver import Allowed, CalledBack, Delivered, Doubt, Resolved


@click.group(cls=Ordered, invoke_without_command=True)
@json_option
@click.pass_context
def deliver(ctx: click.Context, json_out: bool) -> None:
    """Send every copy that is due.

    Killed at any moment and run again, it doubles nothing and forgets nothing.
    """
    if ctx.invoked_subcommand is not None:
        return
    from pipeline.stages.deliver import deliver as call

    session = ctx.ensure_object(Session)
    with session.ports() as ports:
        delivered = call(ports)
        outbox = ports.workspace.root / "output" / "mail" / "index.html"
        in_files = ports.transport.name == "file"
    if json_out:
        as_json(delivered)
    else:
        _show_delivered(delivered, outbox if in_files else None)


def _show_delivered(delivered: Delivered, outbox: Path | None) -> None:
    if delivered.settled_doubts:
        say(f"Looked up {count(delivered.settled_doubts, 'copy', 'copies')} of a run that died.")
    show_called_back(delivered.recalled)
    if delivered.left_in_doubt:
        copies = count(delivered.left_in_doubt, "copy", "copies")
        say(f"What became of {copies} of a run that died cannot be said now; asked again later.")
    for one in delivered.issues:
        counts = ", ".join(f"{number} {words(state)}" for state, number in one.counts)
        say(f"{one.ref}: {words(one.state)}. {counts or one.reason}")
        if one.held:
            say(f"  To let it go: asterism deliver allow {one.ref}")
            say(f"  If it went out already: asterism deliver allow {one.ref} --went-out")
    if unknown := delivered.total("unknown"):
        say(f"Of {count(unknown, 'copy', 'copies')} nobody knows: asterism deliver resolve")
    _show_rest(delivered, outbox)


def show_called_back(done: CalledBack) -> None:
    """What became of copies that a stop asked its provider for."""
    if done.called_back:
        copies = count(done.called_back, "copy is", "copies are")
        say(f"{copies} called back, and {_does(done.called_back)} not leave.")
    if done.gone:
        copies = count(done.gone, "copy goes", "copies go")
        say(bad(f"{copies} out all the same: {done.why}."))
    if done.unknown:
        copies = count(done.unknown, "copy", "copies")
        say(bad(f"Of {copies} nobody knows whether it was called back: {done.why}."))
        say("  What to do: asterism deliver resolve")
    if done.waiting:
        copies = count(done.waiting, "copy", "copies")
        say(f"{copies} could not be asked back yet: {done.why}.")
        say("  `asterism deliver` asks again, and so does the service; there are minutes only.")


def _does(number: int) -> str:
    return "does" if number == 1 else "do"


def _show_rest(delivered: Delivered, outbox: Path | None) -> None:
    next_at = f"; the next copies go {when(delivered.next_due_at)}" if delivered.next_due_at else ""
    if delivered.limit:
        say(f"No more for now, {delivered.limit}{next_at}.")
    elif delivered.stopped:
        say("Stopped as asked; the rest goes with the next run.")
    elif delivered.recalled and not delivered.issues:
        return
    elif not delivered.issues and not next_at:
        say("Nothing is waiting to go out. `asterism status` says what is next.")
    elif not delivered.issues:
        say(f"Nothing is due yet{next_at}.")
    if delivered.issues and outbox is not None and outbox.exists():
        say(f"To read them: {outbox}")


@deliver.command()
@click.argument("refs", metavar="[ISSUE|COPY]...", nargs=-1)
@click.option("--sent", is_flag=True, help="They went out.")
@click.option("--not-sent", is_flag=True, help="They did not; send them again if it is not late.")
@click.option("--all", "everything", is_flag=True, help="All copies that are in doubt.")
@json_option
@pass_session
def resolve(
    session: Session,
    refs: tuple[str, ...],
    sent: bool,
    not_sent: bool,
    everything: bool,
    json_out: bool,
) -> None:
    """Say what became of copies of which nobody knows; without a choice, list them."""
    if sent and not_sent:
        raise click.UsageError("Choose one of --sent and --not-sent.")
    if everything and refs:
        raise click.UsageError("Name copies, or say --all.")
    if not sent and not not_sent:
        _list(session, refs, json_out)
        return
    if not refs and not everything:
        raise click.UsageError("Name an issue or a copy, or say --all.")
    from pipeline.stages.deliver import resolve as call

    with session.ports() as ports:
        resolved = call(ports, refs, "sent" if sent else "not_sent")
    if json_out:
        as_json(resolved)
    else:
        _show_resolved(resolved)


def _list(session: Session, refs: Sequence[str], json_out: bool) -> None:
    from pipeline.stages.deliver import list_doubts

    with session.ports() as ports:
        found = {one.copy: one for ref in refs or [""] for one in list_doubts(ports, ref)}
    doubts = list(found.values())
    if json_out:
        as_json(doubts)
    else:
        _show_doubts(doubts)


def _show_doubts(doubts: Sequence[Doubt]) -> None:
    if not doubts:
        say("No copy is in doubt.")
        return
    say(f"Of {count(len(doubts), 'copy', 'copies')} nobody knows whether it went out:")
    table(
        [
            (one.issue_ref, one.copy[:8], one.name, one.address, when(one.since), one.why)
            for one in doubts
        ],
        ("issue", "copy", "to", "address", "since", "why"),
    )
    say("Look into the sender's log, or ask one of them. Then, for an issue or a copy:")
    for ref in dict.fromkeys(one.issue_ref for one in doubts):
        say(f"  asterism deliver resolve {ref} --sent")
        say(f"  asterism deliver resolve {ref} --not-sent")


def _show_resolved(resolved: Resolved) -> None:
    if not resolved.copies:
        say("No copy of these is in doubt; nothing was changed.")
        return
    if resolved.outcome == "sent":
        say(f"{count(resolved.copies, 'copy', 'copies')} counted as sent.")
    if resolved.planned:
        copies = count(resolved.planned, "copy goes", "copies go")
        say(f"{copies} out with the next `asterism deliver`.")
    if resolved.withheld:
        copies = count(resolved.withheld, "copy does", "copies do")
        say(f"{copies} not go out any more; `asterism explain issue` says why.")
    for ref, state in resolved.issues:
        say(f"{ref} is {words(state)}.")


@deliver.command()
@click.argument("issue")
@click.option("--went-out", "gone", is_flag=True, help="It did go out; send nothing of it.")
@json_option
@pass_session
def allow(session: Session, issue: str, gone: bool, json_out: bool) -> None:
    """Let an issue go that is held back since the database was restored.

    If it went out after the backup was taken, say so: its copies count as sent then, and its
    readers are not told the same again.
    """
    from pipeline.stages.deliver import allow_after_restore, went_out

    with session.ports() as ports:
        allowed = went_out(ports, issue) if gone else allow_after_restore(ports, issue)
    if json_out:
        counted = {"copies": allowed.copies} if gone else {}
        as_json({"issue": allowed.issue.ref, "changed": allowed.changed, **counted})
    elif gone:
        _show_gone(allowed)
    elif allowed.changed:
        say(good(f"{allowed.issue.ref} may go out") + ": asterism deliver")
    else:
        say(f"{allowed.issue.ref} was allowed before.")


def _show_gone(allowed: Allowed) -> None:
    ref, state = allowed.issue.ref, words(allowed.issue.state)
    if allowed.changed:
        copies = count(allowed.copies, "copy counts", "copies count")
        say(good(f"{ref} is {state}") + f": {copies} as sent at its time, and nothing leaves.")
    else:
        say(f"{ref} is {state}; nothing was changed.")


COMMANDS = (deliver,)
