"""Commands of the curator: the file out and in, and its operations one by one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.session import Ordered, Session, json_option, pass_session
from pipeline.cli.show import as_json, save, say, when
from pipeline.errors import BadInput, Conflict, Mistake

if TYPE_CHECKING:
    from pipeline.ports import Ports
    from pipeline.stages.curate import CurateTally, Done


@click.group(cls=Ordered)
def curate() -> None:
    """Choose stories and write on them, in a file or step by step."""


@curate.command()
@click.argument("issue")
@click.option(
    "-o",
    "--output",
    default="",
    help="File to write; NEWSLETTER-NUMBER.md by default, - prints it.",
)
@click.option("--overwrite", is_flag=True, help="Write over a file that is there.")
@pass_session
def export(session: Session, issue: str, output: str, overwrite: bool) -> None:
    """Write an issue and its pool as a file, to edit.

    Markdown, for any editor; the stories of the pool are ranked, the best first.
    """
    from pipeline.stages.curate import export as call

    with session.ports() as ports:
        text = call(ports, issue)
    if output == "-":
        click.echo(text, nl=False)
        return
    path = Path(output or f"{issue.replace('/', '-')}.md")
    if path.is_file() and not overwrite:
        raise Conflict(
            f"{path} is there already.",
            "It may hold words of yours: name another file with -o, or add --overwrite.",
        )
    save(path, text, mode=0o644)
    say(f"{path} is ready to edit. To take it back: asterism curate import {path}")


@curate.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Tell what would change; change nothing.")
@click.option(
    "--mine", is_flag=True, help="Where somebody changed the same words, keep this file's."
)
@json_option
@pass_session
def import_(session: Session, file: Path, dry_run: bool, mine: bool, json_out: bool) -> None:
    """Take a curated file back. The same file again changes nothing."""
    from pipeline.stages.curate import import_file

    text = _read(file)
    with session.ports() as ports:
        tally = import_file(ports, text, str(file), dry_run=dry_run, force=mine)
    if json_out:
        as_json(tally)
    else:
        _show_import(tally, dry_run)


def _read(file: Path) -> str:
    raw = file.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadInput(
            f"{file} is not UTF-8 text.",
            "Save it as UTF-8 in your editor; nothing was changed.",
            (Mistake(str(file), line, 1, "", "a character that is not UTF-8"),),
        ) from error


def _show_import(tally: CurateTally, dry_run: bool) -> None:
    for change in tally.changes:
        say(f"  {change}")
    for warning in tally.warnings:
        say(f"  Note: {warning}")
    if tally.unchanged:
        say(f"{tally.issue_ref} stands as the file says; nothing to change.")
        return
    done = "Would be" if dry_run else "Done:"
    say(
        f"{done} {tally.kept} kept, {tally.edited} written on, {tally.removed} taken out, "
        f"{tally.dropped} dropped, {tally.notes} noted."
    )
    if not dry_run:
        say(f"Next: asterism issue show {tally.issue_ref}. To take it back: asterism curate undo")


@curate.command()
@click.argument("issue")
@click.argument("story")
@click.option("--noted", is_flag=True, help="As a headline under “Also noted”.")
@json_option
@pass_session
def keep(session: Session, issue: str, story: str, noted: bool, json_out: bool) -> None:
    """Put a story into an issue, at its end."""
    from pipeline.stages.curate import keep as call

    with session.ports() as ports:
        kept = call(ports, issue, story, section="noted" if noted else "main")
    if json_out:
        as_json(kept)
        return
    say(f"Kept “{kept.snippet.title}” in {issue}.")
    for warning in kept.warnings:
        say(f"  Note: {warning}")


@curate.command()
@click.argument("issue")
@click.argument("story")
@json_option
@pass_session
def remove(session: Session, issue: str, story: str, json_out: bool) -> None:
    """Take a story out of an issue; its words are kept."""
    from pipeline.stages.curate import remove as call

    with session.ports() as ports:
        done = call(ports, issue, story)
    _tell(done, f"“{done.title}” is out of {issue}; its words are kept.", json_out)


def _tell(done: Done, words: str, json_out: bool) -> None:
    if json_out:
        as_json(done)
    else:
        say(words)


@curate.command()
@click.argument("constellation")
@click.argument("story")
@json_option
@pass_session
def drop(session: Session, constellation: str, story: str, json_out: bool) -> None:
    """Take a story out of the pool; it is not offered again."""
    from pipeline.stages.curate import drop as call

    with session.ports() as ports:
        done = call(ports, constellation, story)
    said = "Dropped “{}”. To take it back: asterism curate undo"
    _tell(
        done, (said if done.changed else "“{}” was dropped already.").format(done.title), json_out
    )


@curate.command()
@click.argument("issue")
@click.argument("story")
@click.option("--title", default=None)
@click.option("--fact", default=None, help="What happened, in our words (Markdown).")
@click.option("--take", default=None, help="Our view (Markdown).")
@click.option("--question", default=None, help="What only the reader can answer.")
@click.option("--own-wording", default=None, help="For the company the story is about.")
@click.option("--general-wording", default=None, help="What may travel of a confidence.")
@click.option("--sales-note", default=None, help="Between us: only in the sales edition.")
@json_option
@pass_session
def write(session: Session, /, issue: str, story: str, json_out: bool, **texts: str | None) -> None:
    """Write on a kept story; `-` reads a text from standard input."""
    from pipeline.stages.curate import edit

    changes = {name: _typed(text) for name, text in texts.items() if text is not None}
    if not changes:
        raise BadInput("Nothing to write.", "Give at least one text, such as --take “…”.")
    with session.ports() as ports:
        done = edit(ports, issue, story, changes)
    said = "Saved “{}”." if done.changed else "“{}” says so already."
    _tell(done, said.format(done.title), json_out)


def _typed(text: str) -> str:
    return sys.stdin.read() if text == "-" else text


@curate.command()
@json_option
@pass_session
def undo(session: Session, json_out: bool) -> None:
    """Take back your last step; again, the one before it."""
    from pipeline.rules.deeds import changes_in_words, in_words
    from pipeline.stages.curate import undo as call

    with session.ports() as ports:
        operation = call(ports)
        title = _title_of(ports, operation.subject)
    if not json_out:
        say(f"Taken back: {in_words(operation, title)}, {when(operation.at)}.")
        return
    kind, _, public_id = operation.subject.partition(":")
    as_json(
        {
            "verb": operation.verb,
            "at": operation.at,
            "story": public_id if kind == "story" else "",
            "title": title,
            "issue": operation.after.get("issue_ref", ""),
            "changes": changes_in_words(operation).splitlines(),
        }
    )


def _title_of(ports: Ports, subject: str) -> str:
    kind, _, public_id = subject.partition(":")
    if kind != "story":
        return ""
    with ports.store.read() as tables:
        return tables.stories.find(public_id, taken_back=True).title


@curate.command()
@click.argument("constellation")
@click.option("--title", required=True, help="A headline.")
@click.option("--text", required=True, help="What was seen or said; - reads standard input.")
@click.option("--learnt-from", default="", help="The account that told us; nobody else reads it.")
@click.option("--public", is_flag=True, help="Anybody could have seen it.")
@click.option("--source", default="", help="Where it was seen.")
@click.option("--url", default="", help="A link, where there is one.")
@json_option
@pass_session
def note(
    session: Session,
    constellation: str,
    title: str,
    text: str,
    learnt_from: str,
    public: bool,
    source: str,
    url: str,
    json_out: bool,
) -> None:
    """Write a field note: what one of us saw or heard."""
    from pipeline.stages.curate import note as call
    from pipeline.stages.curate import why_no_issue

    with session.ports() as ports:
        story = call(
            ports,
            constellation,
            _typed(text),
            title=title,
            learnt_from=learnt_from,
            public=public,
            url=url,
            source=source,
        )
    if json_out:
        as_json(story)
        return
    say(f"Noted as {story.public_id[:8]}: “{story.title}”.")
    if reason := why_no_issue(story):
        say(
            f"  It {reason}; until that is said it enters no issue: "
            f"asterism curate vouch {story.public_id[:8]} --learnt-from ACCOUNT (or --public)"
        )


@curate.command()
@click.argument("story")
@click.option("--learnt-from", default="", help="The account that told us; nobody else reads it.")
@click.option("--public", is_flag=True, help="Anybody could have seen it.")
@json_option
@pass_session
def vouch(session: Session, story: str, learnt_from: str, public: bool, json_out: bool) -> None:
    """Say who told us a field note, or that it is public."""
    from pipeline.stages.curate import vouch as call

    with session.ports() as ports:
        done = call(ports, story, learnt_from=learnt_from, public=public)
    _tell(done, f"“{done.title}” may now enter an issue.", json_out)


COMMANDS = (curate,)
