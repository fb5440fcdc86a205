"""Commands for the whole: status, serve, demo."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.session import Session, json_option, pass_session
from pipeline.cli.show import as_json, bad, count, quiet, say, table, title, when, words

if TYPE_CHECKING:
    from datetime import datetime

    from pipeline.stages.status import NewsletterStatus, Status, Unfinished


@click.command()
@json_option
@pass_session
def status(session: Session, json_out: bool) -> None:
    """How things stand, and what to do next."""
    from pipeline.stages.status import status as call

    with session.ports() as ports:
        state = call(ports)
    if json_out:
        as_json(state)
    else:
        _show_status(state)


def _show_status(state: Status) -> None:
    title(f"{state.firm}, {when(state.at)}")
    say(f"  {_answering(state)}")
    say(f"  {count(state.stories, 'story', 'stories')} from {count(state.items, 'item')}")
    for source in state.sources:
        if source.health in ("failing", "gone"):
            say(bad(f"  {source.name}: {source.detail}"))
    table(
        [(p.constellation_name, f"{p.open} open", f"{p.kept} kept", f"{p.dropped} dropped")
         for p in state.pools]
    )  # fmt: skip
    table([_newsletter_row(newsletter, state.at) for newsletter in state.newsletters])
    say(f"  {count(state.people.get('contacts', 0), 'contact')}, "
        f"{state.people.get('without_basis', 0)} without a basis")  # fmt: skip
    if state.deliveries:
        copies = ", ".join(f"{n} {words(s)}" for s, n in sorted(state.deliveries.items()))
        say(f"  copies: {copies}")
    show_next(state)


def _answering(state: Status) -> str:
    healthy = sum(source.health == "healthy" for source in state.sources)
    never = sum(source.health == "never_asked" for source in state.sources)
    listed = count(len(state.sources), "source")
    if never == len(state.sources):
        return f"{listed}, not asked yet" if never else listed
    return f"{healthy} of {listed} answer" + (f", {never} not asked yet" if never else "")


def _newsletter_row(newsletter: NewsletterStatus, at: datetime) -> tuple[str, str, str]:
    if newsletter.issues:
        nearest = newsletter.issues[0]
        far = f"{nearest.issue.ref} {words(nearest.issue.state)}, {_written(nearest)}"
        return newsletter.title, f"next {_there(nearest.issue.goes_at, newsletter)}", far
    beat, opens = newsletter.next_beat, newsletter.opens_at
    if beat is None or opens is None:
        return newsletter.title, "its rhythm has ended", ""
    opening = "can be opened" if opens <= at else f"opens {when(opens, newsletter.zone)}"
    return newsletter.title, f"next {_there(beat.due_at, newsletter)}", opening


def _written(issue: Unfinished) -> str:
    if issue.stories:
        return f"{issue.written} of {issue.stories} written"
    return f"{count(issue.headlines, 'headline')} only" if issue.headlines else "no stories yet"


def _there(moment: datetime, newsletter: NewsletterStatus) -> str:
    return f"{when(moment, newsletter.zone)} ({newsletter.zone})"


def show_next(state: Status) -> None:
    """What to do next, the most pressing first."""
    for step in state.next:
        say(f"  → {step.what}")
        if step.command:
            say(quiet(f"    {step.command}"))


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True)
@click.option("--public-only", is_flag=True, help="Nothing but the pages that readers reach.")
@pass_session
def serve(session: Session, host: str, port: int, public_only: bool) -> None:
    """Show the public pages: an issue in the browser, and leaving."""
    from pipeline.web.app import serve as call

    with session.ports() as ports:
        call(ports, host, port, public_only=public_only,
             ready=lambda address: say(f"Serving {address}; Ctrl+C stops."))  # fmt: skip


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), default=Path("output/demo"))
def demo(directory: Path) -> None:
    """Run the main job on an invented firm; needs no network."""
    from pipeline.demo.run import run

    run(directory, _given)


def _given(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """What a command prints when it is given in this environment, without ASTERISM_… of ours."""
    root = click.get_current_context().find_root().command
    outside = dict(os.environ)
    printed = io.StringIO()
    try:
        for name in [name for name in os.environ if name.startswith("ASTERISM_")]:
            del os.environ[name]
        os.environ.update(environment)
        _heed_zone()
        with redirect_stdout(printed):
            root.main(list(arguments), prog_name="asterism", standalone_mode=False)
    finally:
        os.environ.clear()
        os.environ.update(outside)
        _heed_zone()
    return printed.getvalue()


def _heed_zone() -> None:
    """Read TZ anew, where the system can."""
    if hasattr(time, "tzset"):
        time.tzset()


COMMANDS = (status, serve, demo)
