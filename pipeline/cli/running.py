"""Commands that let it run by itself: run, tick, jobs."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from typing import TYPE_CHECKING

import click

from pipeline.cli.session import Session, json_option, pass_session
from pipeline.cli.show import (
    as_json,
    bad,
    count,
    fit,
    good,
    quiet,
    say,
    screen,
    table,
    title,
    when,
    words,
)
from pipeline.errors import Down

if TYPE_CHECKING:
    from pipeline.ports import Ports
    from pipeline.scheduler import Coming, Ran, Standing, Ticked
    from pipeline.stages.status import NewsletterStatus

#: How much of a job's history is shown.
_RUNS = 30
#: Columns in front of what a job did: its name and two moments.
_BEFORE_WHAT = 68

after_pause_option = click.option(
    "--after-pause", is_flag=True, help="Nothing ran here for over 31 days, and the clock is right."
)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True)
@click.option("--public-only", is_flag=True, help="Nothing but the pages that readers reach.")
@after_pause_option
@pass_session
def run(session: Session, host: str, port: int, public_only: bool, after_pause: bool) -> None:
    """The service: jobs and pages, until it is stopped.

    Ctrl+C or SIGTERM stops it at its next good place; a second one at once. It may run on
    several machines with one database: each thing is still done once. Files that change are
    taken over while it runs; a mistake in them leaves the last good ones in force and is
    logged. News and letters go side by side: no letter waits for a slow source. While the clock
    stands more than 31 days ahead of the last job here no job runs, the pages do; the log says
    so once. The log goes to standard error.
    """
    from pipeline.journal import journal
    from pipeline.scheduler import pace
    from pipeline.stages.adopt import adopt
    from pipeline.web.running import run as call
    from pipeline.wiring import open_ports
    from pipeline.workspace.environment import load_settings

    settings = load_settings(session.workspace, os.environ)
    with (
        journal(settings.log, sys.stderr),
        open_ports(session.workspace, actor=session.actor) as ports,
    ):
        adopt(ports)
        ended = call(
            ports, host, port, every_s=pace(settings.speed if settings.now else 0.0),
            public_only=public_only, after_pause=after_pause,
            ready=lambda address: _show_start(ports, address),
        )  # fmt: skip
        if not ended:
            say("Stopped in the midst of a job; the next start goes on from there.")
            sys.stdout.flush()
            os._exit(0)  # what does not end by itself must not hold the process
    say("Stopped.")


def _show_start(ports: Ports, address: str) -> None:
    from pipeline.scheduler import coming
    from pipeline.stages.status import status

    state = status(ports)
    title(f"{state.firm}, {when(state.at)}")
    say(f"  workspace {ports.workspace.root.resolve()}")
    say(f"  database {state.database}")
    say(f"  mail leaves by {ports.transport.name}")
    say(f"Serving {address}; Ctrl+C stops.")
    say("Next:")
    table([_beat_row(newsletter) for newsletter in state.newsletters])
    table([(one.job, _soon(one, state.at)) for one in coming(ports)])
    sys.stdout.flush()  # whoever started it reads along, through a pipe too


def _beat_row(newsletter: NewsletterStatus) -> tuple[str, str, str]:
    issue, beat = newsletter.issue, newsletter.next_beat
    if issue is not None:
        goes, what = issue.due_at, f"{issue.ref} is {words(issue.state)}"
    elif beat is not None:
        goes, what = beat.due_at, f"opens {when(newsletter.opens_at, newsletter.zone)}"
    else:
        return newsletter.title, "its rhythm has ended", ""
    return newsletter.title, f"{when(goes, newsletter.zone)} ({newsletter.zone})", what


def _soon(one: Coming, now: datetime) -> str:
    if one.at > now:
        return when(one.at)
    return "now, after the news" if one.after_news else "now"


@click.command()
@after_pause_option
@json_option
@pass_session
def tick(session: Session, after_pause: bool, json_out: bool) -> None:
    """Do once what is due now, for cron.

    `run` does the same every few seconds.

    It may be called as often as you like, by several machines too. With a mistake in the files
    it does nothing and ends with 2: the mistakes are named, and what was due is made up for
    once they are mended. With a clock more than 31 days ahead of the last job here it does
    nothing and ends with 4. When a job failed it ends with 5; the others were done.
    """
    from pipeline.journal import journal
    from pipeline.scheduler import refuse_unsafe
    from pipeline.scheduler import tick as call
    from pipeline.workspace.environment import load_settings

    log = load_settings(session.workspace, os.environ).log
    with journal(log, sys.stderr, only_trouble=True), session.ports() as ports:
        refuse_unsafe(ports)
        ticked = call(ports, after_pause=after_pause)
    if json_out:
        as_json(ticked)
    else:
        _show_tick(ticked)
    if ticked.failed:
        click.get_current_context().exit(Down.exit_code)


def _show_tick(ticked: Ticked) -> None:
    table([_run_row(run) for run in ticked.runs if run.detail])
    for name in ticked.busy:
        say(quiet(f"  {name}: another process is at it"))
    if not any(run.detail for run in ticked.runs):
        say("Nothing was to do.")
    if ticked.coming:
        say(quiet(f"  next: {_next_words(ticked.coming)}"))


def _run_row(run: Ran) -> tuple[str, str, str]:
    mark = good("✓") if run.outcome == "done" else bad("✗")
    return mark, run.job, run.detail


def _next_words(coming: tuple[Coming, ...]) -> str:
    first = coming[0]
    return f"{first.job} {when(first.at)}"


@click.command()
@click.argument("name", default="")
@json_option
@pass_session
def jobs(session: Session, name: str, json_out: bool) -> None:
    """What runs by itself: the last run of each job, and the next.

    With a NAME its latest runs that did something.
    """
    from pipeline.scheduler import standing

    with session.ports() as ports:
        all_of_them = standing(ports, name, limit=_RUNS if name else 1)
    if json_out:
        as_json(all_of_them)
    elif name:
        _show_runs(all_of_them[0])
    else:
        table([_job_row(one) for one in all_of_them], ("job", "last run", "next", "what it did"))


def _job_row(one: Standing) -> tuple[str, str, str, str]:
    """What it did comes last and is cut at the screen's edge; `jobs NAME` tells all of it."""
    state = one.state
    if state is None or state.finished_at is None:
        return one.job, "never", _next_of(one), ""
    room = max(screen() - _BEFORE_WHAT, 30)
    if state.outcome == "failed":
        told = f"failed, {count(state.failures, 'time')} in a row: {state.detail}"
        return one.job, when(state.finished_at), _next_of(one), bad(fit(told, room))
    what = fit(state.detail, room) if state.detail else quiet("nothing to do")
    return one.job, when(state.finished_at), _next_of(one), what


def _next_of(one: Standing) -> str:
    return when(one.next_at) if one.next_at else "nothing in sight"


def _show_runs(one: Standing) -> None:
    title(f"{one.job}, every {_pace(one.every_s)}")
    for run in one.runs:
        mark = good("✓") if run.outcome == "done" else bad("✗")
        say(f"  {mark} {when(run.started_at)}  {run.detail}")
    if not one.runs:
        say("  No run has found anything to do.")
    say(quiet(f"  next: {_next_of(one)}"))


def _pace(seconds: float) -> str:
    minutes = round(seconds / 60)
    return count(minutes, "minute") if minutes < 24 * 60 else count(minutes // (24 * 60), "day")


COMMANDS = (run, tick, jobs)
