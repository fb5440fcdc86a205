"""Commands about news: gather from the sources, look at the pool."""

from __future__ import annotations

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

if TYPE_CHECKING:
    from pipeline.model.news import PoolStory, SourceOutcome
    from pipeline.stages.gather import Gathered
    from pipeline.stages.sift import Sifted

#: Of sources that failed so many are named.
_NAMED = 3


@click.command()
@click.argument("source", nargs=-1)
@click.option("--force", is_flag=True, help="Ask also what is not due yet; never what said wait.")
@json_option
@pass_session
def gather(session: Session, source: tuple[str, ...], force: bool, json_out: bool) -> None:
    """Ask the sources that are due; make stories of the answers.

    A source that fails is told with its reason; the others go on.
    """
    from pipeline.stages.gather import gather as ask
    from pipeline.stages.sift import sift

    with session.ports() as ports:
        gathered = ask(ports, only=source, force=force)
        sifted = sift(ports)
    if json_out:
        as_json({"gathered": gathered, "sifted": sifted})
    else:
        _show_round(gathered, sifted)


def _show_round(gathered: Gathered, sifted: Sifted) -> None:
    table(
        [
            (_mark(one), one.name, words(one.outcome), _what(one))
            for one in gathered.outcomes
            if one.outcome != "not_due"
        ]
    )
    waiting = [one for one in gathered.outcomes if one.outcome == "not_due"]
    if waiting:
        soonest = min((one.next_check_at for one in waiting if one.next_check_at), default=None)
        until = f"; the next is asked {when(soonest)}" if soonest else ""
        say(quiet(f"  {count(len(waiting), 'source')} not due yet{until}"))
        _show_ill([one for one in waiting if one.reason and one.next_check_at])
    say(_sum_of(gathered, sifted))
    for constellation, stories in sifted.by_constellation:
        say(
            f"  {count(stories, 'story', 'stories')} to choose from in {constellation}: "
            f"asterism stories {constellation}"
        )


def _show_ill(waiting: list[SourceOutcome]) -> None:
    """Who has just mended one looks here, and would find it passed over."""
    from pipeline.rules.news.polling import ASKED_TO_WAIT

    for one in waiting[:_NAMED]:
        say(quiet(f"  {one.name} failed when it was last asked: {one.detail}"))
    keys = " ".join(one.key for one in waiting[:_NAMED] if one.reason != ASKED_TO_WAIT)
    if keys:
        say(quiet(f"  Once that is mended, ask at once: asterism gather --force {keys}"))


def _sum_of(gathered: Gathered, sifted: Sifted) -> str:
    """`4 new items, 1 changed: 3 stories opened, 1 telling joined a story that was there.`"""
    items = [count(gathered.new, "new item")]
    items += [f"{gathered.changed} changed"] if gathered.changed else []
    became = [f"{count(sifted.opened, 'story', 'stories')} opened"] if sifted.opened else []
    if sifted.joined:
        became.append(f"{count(sifted.joined, 'telling')} joined a story that was there")
    parts = [", ".join(part) for part in (items, became) if part]
    return ": ".join(parts) + "."


def _mark(one: SourceOutcome) -> str:
    return bad("✗") if one.outcome == "failed" else good("✓")


def _what(one: SourceOutcome) -> str:
    if one.outcome == "failed":
        return one.detail or words(one.reason)
    if one.outcome == "unchanged":
        return quiet("nothing new")
    changed = f", {one.changed} changed" if one.changed else ""
    return f"{count(one.entries, 'entry', 'entries')}, {one.new} new{changed}"


@click.command()
@click.argument("constellation", default="")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="How many, the best first.",
)
@json_option
@pass_session
def stories(session: Session, constellation: str, limit: int, json_out: bool) -> None:
    """Show the pool: ranked stories, each with its reasons."""
    from pipeline.stages.curate import pool

    with session.ports() as ports:
        keys = [constellation] if constellation else [c.key for c in ports.catalog.constellations]
        pools = {key: pool(ports, key, limit=limit) for key in keys}
    if json_out:
        as_json(pools)
        return
    for key, ranked in pools.items():
        title(key)
        if not ranked:
            say("  No stories yet. `asterism gather` asks the sources.")
        for place, one in enumerate(ranked, 1):
            _show_story(place, one)


def _show_story(place: int, one: PoolStory) -> None:
    story = one.story
    state = "" if one.state == "open" else quiet(f"  {words(one.state)} {one.issue_ref}".rstrip())
    click.echo(f"{place:>3}  {fit(story.title, min(78, screen() - 5))}{state}")
    signal = story.signals[0].signal if story.signals else story.kind
    tellings = f", {len(story.tellings)} tellings" if len(story.tellings) > 1 else ""
    source = story.source_name or ("one of us" if story.kind == "note" else "us")
    say(
        quiet(
            f"     {story.public_id[:8]}  {one.score.total:.0f}  {signal}  {source}, "
            f"{story.last_at.day} {story.last_at:%b}{tellings}"
        )
    )
    reasons = "; ".join(part.why for part in one.score.parts if part.why)
    say(quiet(f"     {fit(reasons, min(92, screen() - 5))}"))


COMMANDS = (gather, stories)
