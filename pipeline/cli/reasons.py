"""Commands that read reasons back from the store: explain story, contact, issue."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.session import Ordered, Session, json_option, pass_session
from pipeline.cli.show import as_json, quiet, say

if TYPE_CHECKING:
    from pipeline.stages.explain import Part

all_option = click.option("--all", "everything", is_flag=True, help="Show every step.")


@click.group(cls=Ordered)
def explain() -> None:
    """Why something is as it is: the ordered reasons."""


@explain.command()
@click.argument("story")
@all_option
@json_option
@pass_session
def story(session: Session, story: str, everything: bool, json_out: bool) -> None:
    """From the source's answer to the score, and who was told."""
    from pipeline.stages.explain import explain_story

    _explain(session, explain_story, story, everything, json_out)


@explain.command()
@click.argument("who")
@all_option
@json_option
@pass_session
def contact(session: Session, who: str, everything: bool, json_out: bool) -> None:
    """Why a contact got each issue, or did not."""
    from pipeline.stages.explain import explain_contact

    _explain(session, explain_contact, who, everything, json_out)


@explain.command()
@click.argument("issue")
@all_option
@json_option
@pass_session
def issue(session: Session, issue: str, everything: bool, json_out: bool) -> None:
    """What happened to an issue, and the sum of its audience."""
    from pipeline.stages.explain import explain_issue

    _explain(session, explain_issue, issue, everything, json_out)


def _explain(
    session: Session, call: Callable[[Any, str], Part], ref: str, everything: bool, json_out: bool
) -> None:
    with session.ports() as ports:
        told = call(ports, ref)
    if json_out:
        as_json(told.steps)
        return
    steps = told.steps if everything else told.short
    for step in steps:
        at = f"{step.at.astimezone():%Y-%m-%d %H:%M}" if step.at else ""
        click.echo(f"{quiet(f'{at:<16}')}  {step.what}")
        for line in step.detail.splitlines():
            say(quiet(f"{'':<18}{line}"))
    if steps != told.steps:
        say(quiet("Told in short; add --all to see every step."))
    if zones := {f"{step.at.astimezone():%Z}" for step in steps if step.at}:
        say(quiet(f"Times in front are {' and '.join(sorted(zones))}."))


COMMANDS = (explain,)
