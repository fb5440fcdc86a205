"""Commands about issues: open, list, show, write the head, preview, approve, stop; deliver."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.deliver import show_called_back
from pipeline.cli.session import Ordered, Session, json_option, pass_session
from pipeline.cli.show import (
    added_up,
    as_json,
    bad,
    count,
    day,
    good,
    quiet,
    save,
    say,
    table,
    title,
    when,
    words,
)
from pipeline.errors import BadInput

if TYPE_CHECKING:
    from pipeline.model.letters import Arithmetic, EditionKind, Finding, Issue
    from pipeline.stages.compose import IssueView, Opened, Preview
    from pipeline.stages.status import NewsletterStatus, Status

KINDS = ("prospect", "customer", "sales", "public")


@click.group(cls=Ordered)
def issue() -> None:
    """Dated numbers of a newsletter, named like under-load/48."""


@issue.command("open")
@json_option
@pass_session
def open_(session: Session, json_out: bool) -> None:
    """Open an issue for each beat that is near.

    It is pre-filled with the best stories of the pool, still without a take.
    """
    from pipeline.stages.compose import open_issues
    from pipeline.stages.status import status

    with session.ports() as ports:
        opened = open_issues(ports)
        state = None if json_out else status(ports)
    if state is None:
        as_json(opened)
    else:
        _show_opened(opened, state)


def _show_opened(opened: Opened, state: Status) -> None:
    zones = {newsletter.key: newsletter.zone for newsletter in state.newsletters}
    for one in opened.opened:
        zone = zones.get(one.newsletter_key, "")
        say(f"Opened {one.ref}, due {when(one.due_at, zone)}.")
        say(
            f"  Content freezes {when(one.cut_off_at, zone)}, approval is due "
            f"{when(one.deadline_at, zone)} ({zone})."
        )
        say(f"  Next: asterism curate export {one.ref}")
    for one in opened.in_review:
        say(f"{one.ref} is past its cut-off and in review.")
    for skip in opened.skipped:
        say(f"{skip.newsletter}, {day(skip.on)}: skipped. {skip.reason}")
    for miss in opened.missed:
        say(bad(f"{miss.newsletter}, {day(miss.on)}: missed. {miss.reason}"))
    if not (opened.opened or opened.missed or opened.skipped):
        say("No new issue: no beat is near that has none yet.")
        for newsletter in state.newsletters:
            say(f"  {_opens(newsletter)}")


def _opens(newsletter: NewsletterStatus) -> str:
    """When the next issue can be opened; one that is open is named."""
    if newsletter.issue is not None:
        return f"{newsletter.title}: {newsletter.issue.ref} is {words(newsletter.issue.state)}"
    if newsletter.next_beat is None or newsletter.opens_at is None:
        return f"{newsletter.title}: its rhythm has ended"
    zone = newsletter.zone
    return (
        f"{newsletter.title}: goes out {when(newsletter.next_beat.due_at, zone)}, "
        f"can be opened from {when(newsletter.opens_at, zone)} ({zone})"
    )


@issue.command("list")
@click.argument("newsletter", default="")
@json_option
@pass_session
def list_(session: Session, newsletter: str, json_out: bool) -> None:
    """List issues, the latest first."""
    from pipeline.stages.compose import list_issues

    with session.ports() as ports:
        issues = list_issues(ports, newsletter)
    if json_out:
        as_json(issues)
        return
    table([(i.ref, _state(i), day(i.beat_on), i.subject or i.reason) for i in issues])
    if not issues:
        say("No issues yet: asterism issue open")


def _state(one: Issue) -> str:
    return f"{words(one.state)}, automatic" if one.review_until else words(one.state)


@issue.command()
@click.argument("issue")
@json_option
@pass_session
def show(session: Session, issue: str, json_out: bool) -> None:
    """Show its stories, what is missing, and who will get it."""
    from pipeline.stages.compose import show as call

    with session.ports() as ports:
        view = call(ports, issue)
        zone = ports.catalog.zone_of(view.issue.newsletter_key)
    if json_out:
        as_json(view)
    else:
        _show_issue(view, zone)


def _show_issue(view: IssueView, zone: str) -> None:
    one = view.issue
    title(f"{one.ref}  {one.subject or '(no subject yet)'}")
    say(
        f"  {words(one.state)}, due {when(one.due_at, zone)} ({zone})"
        + (f": {one.reason}" if one.reason else "")
    )
    if one.review_until and one.state == "scheduled":
        say(f"  automatic, people look at it until {when(one.review_until, zone)}")
    table(
        [
            (
                p.number or "·",
                p.snippet.title,
                words(p.snippet.signal or p.snippet.story_kind),
                quiet(p.snippet.story_public_id[:8]),
            )
            for p in view.stories
        ],
        right=[0],
    )
    show_findings(view.findings)
    show_arithmetic(view.arithmetic)
    say(view.next_step)


def show_findings(findings: tuple[Finding, ...]) -> None:
    for finding in findings:
        mark = bad("✗") if finding.blocks else quiet("·")
        click.echo(f"  {mark} {finding.where}: {finding.what}")
    if not any(finding.blocks for finding in findings):
        say(f"  {good('✓')} nothing holds it back")


def show_arithmetic(sum_: Arithmetic) -> None:
    """contacts − left out, by reason = letters."""
    from pipeline.rules.letters.audience import why_out

    lines = [(sum_.contacts, "contacts")]
    lines += [(-number, why_out(reason)) for reason, number in sum_.left_out]
    by_kind = ", ".join(
        f"{number} of the {kind} edition" for kind, number in sum_.by_kind if number
    )
    added_up(lines, (sum_.letters, f"letters ({by_kind})" if by_kind else "letters"))
    if sum_.sales:
        say(f"  and {count(sum_.sales, 'sales edition')} to account owners")


@issue.command()
@click.argument("issue")
@click.option("--out", "only_out", is_flag=True, help="Only who gets none.")
@json_option
@pass_session
def audience(session: Session, issue: str, only_out: bool, json_out: bool) -> None:
    """Everyone by name: who gets a copy, who does not, and why."""
    from pipeline.rules.letters.audience import why_out
    from pipeline.stages.compose import show as call

    with session.ports() as ports:
        view = call(ports, issue)
        with ports.store.read() as tables:
            people = {v.contact_id: tables.people.by_id(v.contact_id) for v in view.verdicts}
    rows = [
        {
            "name": people[verdict.contact_id].name,
            "account": people[verdict.contact_id].account_key,
            "gets": verdict.kind if verdict.into else None,
            "reason": verdict.reason,
            "detail": verdict.detail,
        }
        for verdict in sorted(view.verdicts, key=lambda v: (v.into, v.reason))
        if not (only_out and verdict.into)
    ]
    if json_out:
        as_json(rows)
        return
    table(
        [(row["name"], row["account"],
          good(f"{row['gets']} edition") if row["gets"] else why_out(str(row["reason"])),
          quiet(str(row["detail"]))) for row in rows]
    )  # fmt: skip
    show_arithmetic(view.arithmetic)


@issue.command()
@click.argument("issue")
@click.option("--subject", default=None)
@click.option("--preheader", default=None, help="The line that mail programs show after it.")
@click.option("--theme", default=None, help="This issue's headline.")
@click.option("--opening", default=None, help="One or two short paragraphs (Markdown).")
@json_option
@pass_session
def write(session: Session, /, issue: str, json_out: bool, **texts: str | None) -> None:
    """Write an issue's head."""
    from pipeline.stages.compose import edit

    changes = {name: text for name, text in texts.items() if text is not None}
    if not changes:
        raise BadInput("Nothing to write.", "Give at least one text, such as --subject “…”.")
    with session.ports() as ports:
        done = edit(ports, issue, changes)
    if json_out:
        as_json(
            {
                "issue": done.issue.ref,
                "changed": done.changed,
                "before": done.before,
                "after": done.after,
            }
        )
    elif done.changed:
        say(f"Saved the {' and '.join(done.after)} of {issue}.")
    else:
        say(f"{issue} says so already.")


@issue.command()
@click.argument("issue")
@click.option("--for", "who", default="", help="A contact's address or id, or a staff key.")
@click.option("--edition", type=click.Choice(KINDS), default=None)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=None,
    help="Folder for the HTML and text files; output/previews/… by default.",
)
@click.option("--text", "text_out", is_flag=True, help="Print the text part instead.")
@json_option
@pass_session
def preview(
    session: Session,
    issue: str,
    who: str,
    edition: EditionKind | None,
    output: Path | None,
    text_out: bool,
    json_out: bool,
) -> None:
    """Make the letter exactly as one reader will get it."""
    from pipeline.stages.compose import preview as call

    with session.ports() as ports:
        letter = call(ports, issue, who, edition)
        if not (text_out or json_out) and letter.html:
            color = ports.catalog.firm.brand.color
            folder = output or ports.workspace.root / "output" / "previews"
            paths = _write(letter, folder, color, named=bool(who))
    if json_out:
        as_json(letter)
    elif not letter.html:
        _no_letter(letter)
    elif text_out:
        click.echo(letter.text, nl=False)
    else:
        title(letter.subject)
        say(
            f"  {letter.kind} edition for {letter.name or 'the web'}"
            + (" (invented: nobody of that kind gets it)" if letter.sample else "")
            + (", frozen" if letter.frozen else "")
        )
        for path in paths:
            say(f"  {path}")


def _no_letter(letter: Preview) -> None:
    verdict = letter.verdict
    from pipeline.rules.letters.audience import why_out

    why = (
        f"{why_out(verdict.reason)}. {verdict.detail}".strip() if verdict else "not in the audience"
    )
    say(f"{letter.name} gets no copy of {letter.issue_ref}: {why}")


def _write(letter: Preview, folder: Path, color: str, *, named: bool) -> tuple[Path, Path]:
    stem = f"{letter.issue_ref}-{letter.kind}" + (f"-for-{letter.name}" if named else "")
    stem = re.sub(r"[^\w.]+", "-", stem.lower())
    html, text = folder / f"{stem}.html", folder / f"{stem}.txt"
    page = _with_styles(letter.html, color) if letter.kind == "public" else letter.html
    save(html, page)
    save(text, letter.text)
    return html, text


def _with_styles(page: str, color: str) -> str:
    """The public page as a file of its own: on the web its styles are files beside it."""
    from pipeline.rules.letters.brand import brand_css
    from pipeline.rules.letters.render import BRAND_CSS, PUBLIC_CSS, self_contained
    from pipeline.web.public import STATIC

    styles = (STATIC / "public.css").read_text(encoding="utf-8")
    return self_contained(page, {PUBLIC_CSS: styles, BRAND_CSS: brand_css(color)})


@issue.command()
@click.argument("issue")
@click.option(
    "--clear", multiple=True, metavar="STORY", help="Let this confidence's general wording travel."
)
@json_option
@pass_session
def approve(session: Session, issue: str, clear: tuple[str, ...], json_out: bool) -> None:
    """Say yes, once: freezes the letters and who gets them."""
    from pipeline.stages.compose import approve as call

    with session.ports() as ports:
        approved = call(ports, issue, clear=clear)
        zone = ports.catalog.zone_of(approved.issue.newsletter_key)
    if json_out:
        as_json(approved)
        return
    say(good(f"Approved {approved.issue.ref}") + (" after its deadline" if approved.late else ""))
    show_arithmetic(approved.arithmetic)
    for finding in approved.warnings:
        say(f"  Note: {finding.where}: {finding.what}")
    say(
        f"It goes out {when(approved.issue.due_at, zone)} ({zone}). To take it back until then: "
        f"asterism issue stop {approved.issue.ref}"
    )


@issue.command()
@click.argument("issue")
@click.option("--reason", default="", help="Why, for the others.")
@json_option
@pass_session
def stop(session: Session, issue: str, reason: str, json_out: bool) -> None:
    """Take an issue back until it is out, in one action.

    A mistake in a file is told, and holds nothing up.
    """
    from pipeline.stages.compose import stop as call
    from pipeline.stages.deliver import CalledBack, call_back

    with session.ports_despite_mistakes() as ports:
        stopped = call(ports, issue, reason)
        called = call_back(ports) if stopped.calling_back else CalledBack()
        provider = ports.transport.name
    state = dict(called.issues).get(stopped.issue.ref, stopped.issue.state)
    if json_out:
        as_json(
            {
                "issue": stopped.issue.ref,
                "changed": True,
                "before": {"state": stopped.was},
                "after": {"state": state, "reason": stopped.issue.reason},
                "held_back": stopped.held_back,
                "left_already": stopped.left_already,
                "calling_back": stopped.calling_back,
                "called_back": called.called_back,
            }
        )
        return
    say(
        f"Stopped {stopped.issue.ref}: {count(stopped.held_back, 'copy', 'copies')} held back"
        + (f", {stopped.calling_back} asked back from {provider}" if stopped.calling_back else "")
        + (f", {stopped.left_already} had gone" if stopped.left_already else "")
        + "."
    )
    show_called_back(called)
    say(f"To go on: asterism issue approve {stopped.issue.ref}")


COMMANDS = (issue,)
