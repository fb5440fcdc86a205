"""What happened to one issue: its beat, who did what, what lint says, and the sum of it all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.model.catalog import Newsletter
from pipeline.model.letters import Issue, Purpose, Snippet
from pipeline.model.log import Operation, Step
from pipeline.ports import Ports, Tables
from pipeline.rules.deeds import changes_in_words, in_words
from pipeline.rules.letters.audience import arithmetic, why_out
from pipeline.rules.letters.automatic import WAITING, review_at
from pipeline.rules.letters.content_lock import OPEN_STATES
from pipeline.rules.letters.curator_notes import day_in_words, moment_in_words
from pipeline.rules.letters.language import issue_name
from pipeline.rules.letters.lint import lint_issue
from pipeline.rules.letters.notice import about
from pipeline.rules.news.address import link_hash
from pipeline.stages.explain.parts import Part, Parts, brief, first, joined, whole

#: In short: how many steps on its words are shown, lines of each step, and minor findings.
STEPS = 5
LINES = 4
MINOR = 5
#: Steps that moved the issue as a whole; they are always shown.
_MOVES = frozenset(
    {"open", "compose", "approve", "stop", "call back", "hold back", "resolve", "allow", "went out"}
)


def explain_issue(ports: Ports, ref: str) -> Part:
    """Its beat and times, each step that somebody took, the stories, what lint finds, the
    audience as arithmetic with each reason, and its copies by state.

    Raises: NotFound
    """
    with ports.store.read() as tables:
        issue = tables.letters.find_issue(ref)
        snippets = tables.snippets.of_issue(issue.id)
        return joined([
            whole(*_frame(ports, tables, issue)),
            _operations(tables, issue),
            _stories(snippets),
            _lint(ports, tables, issue, snippets),
            whole(*_audience(tables, issue)),
            whole(*_deliveries(tables, issue)),
            whole(*_notices(tables, issue)),
        ])  # fmt: skip


def _frame(ports: Ports, tables: Tables, issue: Issue) -> Iterator[Step]:
    newsletter = ports.catalog.newsletter(issue.newsletter_key)
    zone = ports.catalog.zone_of(issue.newsletter_key)
    title = newsletter.title if newsletter else issue.newsletter_key
    name = issue_name("en", title, issue.number)
    yield Step(None, f"{name}: {_words(issue.state)}", issue.reason)
    beat = tables.reasons.beat_of(issue.id)
    if beat:
        moved = ""
        if beat["planned_on"] != beat["beat_on"]:
            moved = f"planned for {day_in_words(beat['planned_on'])}"
        detail = "\n".join(part for part in (moved, beat["reason"]) if part)
        on = day_in_words(beat["beat_on"])
        yield Step(None, f"Its beat is {on}: {_words(beat['state'])}", detail)
    if newsletter is not None and newsletter.mode == "automatic":
        yield from _by_itself(issue, newsletter)
    yield Step(
        None,
        f"It goes out on {moment_in_words(issue.goes_at, zone)}",
        f"written until {moment_in_words(issue.cut_off_at, zone)}; after that only the approver "
        f"writes\napproval due {moment_in_words(issue.deadline_at, zone)}",
    )


def _by_itself(issue: Issue, newsletter: Newsletter) -> Iterator[Step]:
    zone = newsletter.rhythm.zone
    if issue.review_until is not None:
        until = moment_in_words(issue.review_until, zone)
        goes = issue.state == "scheduled"
        said = "It composed itself" + (
            " and goes by itself, unless somebody stops it" if goes else ""
        )
        yield Step(None, said, f"people {'look' if goes else 'could look'} at it until {until}")
    elif issue.state in WAITING:
        when = moment_in_words(review_at(issue, newsletter), zone)
        window = f"then people have {newsletter.review_window_h} hours to look at it and stop it"
        yield Step(None, f"Where no hand approves it, it composes itself on {when}", window)


def _operations(tables: Tables, issue: Issue) -> Part:
    """In short every move of the issue, and of the many steps on its words the last ones."""
    done = tables.reasons.operations_about(issue.public_id)
    words = [operation.id for operation in done if operation.verb not in _MOVES]
    hidden = set(words[:-STEPS]) if len(words) > STEPS + 1 else set()
    parts = [(operation.id in hidden, brief(_operation(operation), LINES)) for operation in done]
    short = joined(part for is_hidden, part in parts if not is_hidden).short
    if hidden:
        short = (Step(None, f"{len(hidden)} earlier steps on its words"), *short)
    return Part(joined(part for _, part in parts).steps, short)


def _operation(operation: Operation) -> Step:
    return Step(operation.at, in_words(operation, _title(operation)), changes_in_words(operation))


def _title(operation: Operation) -> str:
    """Title of the one story that an operation is about."""
    kind, _, public_id = operation.subject.partition(":")
    state = operation.after.get("snippets", {}).get(public_id) if kind == "story" else None
    title: str = state["words"]["title"] if state else ""
    return title


def _stories(snippets: Sequence[Snippet]) -> Part:
    if not snippets:
        return whole(Step(None, "It has no stories"))
    return joined(_story(number, snippet) for number, snippet in enumerate(snippets, start=1))


def _story(number: int, snippet: Snippet) -> Part:
    section = "" if snippet.section == "main" else " (also noted)"
    what = f"Story {number}{section}: “{snippet.title}”"
    step = Step(None, what, f"story {snippet.story_public_id}")
    return Part((step,), (Step(None, f"{what}, {snippet.story_public_id[:8]}"),))


def _lint(ports: Ports, tables: Tables, issue: Issue, snippets: Sequence[Snippet]) -> Part:
    """In short all that holds the issue up, and some of what is worth a look."""
    if issue.state not in OPEN_STATES:
        return whole()
    constellation = ports.catalog.constellation(issue.constellation_key)
    newsletter = ports.catalog.newsletter(issue.newsletter_key)
    if constellation is None or newsletter is None:
        said = "Its newsletter stands in no file any more, so it cannot be checked"
        return whole(Step(None, said))
    used = tables.letters.used_links(newsletter.key, issue.id)
    reused = {s.url: used[link_hash(s.url)] for s in snippets if link_hash(s.url) in used}
    findings = lint_issue(
        issue, snippets, newsletter, ports.catalog.firm,
        accounts=constellation.accounts, reused=reused,
        needs_https=ports.transport.name != "file",
    )  # fmt: skip
    if not findings:
        return whole(Step(None, "Nothing is missing in its words"))
    missing = [Step(None, f"Missing: {f.where}", f.what) for f in findings if f.blocks]
    minor = [Step(None, f"Worth a look: {f.where}", f.what) for f in findings if not f.blocks]
    return joined([whole(*missing), first([whole(step) for step in minor], MINOR, _worth)])


def _worth(rest: Parts) -> Step:
    return Step(None, f"{len(rest)} more worth a look")


def _audience(tables: Tables, issue: Issue) -> Iterator[Step]:
    verdicts = tables.letters.audience(issue.id)
    if not verdicts:
        yield Step(
            None,
            "Its audience is not frozen: approval does that",
            f"`asterism issue show {issue.ref}` tells who would get it now",
        )
        return
    counts = tables.deliveries.counts(issue.id)
    sum_ = arithmetic(verdicts, sum(n for (purpose, _), n in counts.items() if purpose == "sales"))
    lines = [f"{number} {kind} edition" for kind, number in sum_.by_kind]
    lines += [f"{number} left out: {why_out(reason)}" for reason, number in sum_.left_out]
    left = sum(number for _, number in sum_.left_out)
    yield Step(
        issue.approved_at,
        f"Audience: {sum_.contacts} contacts − {left} left out = {sum_.letters} letters",
        "\n".join(lines),
    )
    if sum_.sales:
        yield Step(issue.approved_at, f"And {sum_.sales} sales editions to our own people")


def _deliveries(tables: Tables, issue: Issue) -> Iterator[Step]:
    for (purpose, state), number in sorted(tables.deliveries.counts(issue.id).items()):
        copies = "copy" if number == 1 else "copies"
        doubts = _doubts(tables, issue, purpose) if state == "unknown" else ""
        yield Step(None, f"{number} {purpose} {copies} {_words(state)}", doubts)


def _notices(tables: Tables, issue: Issue) -> Iterator[Step]:
    """What our own people were told of it by mail, and how each fared."""
    for one in tables.notices.of(about(issue)):
        doubt = one.kind == "review" and one.state == "unknown"
        counts = "it may have arrived, so it counts as left" if doubt else ""
        detail = "\n".join(part for part in (one.reason, counts) if part)
        yield Step(one.due_at, f"Mail to {one.name}, “{one.subject}”: {_words(one.state)}", detail)


def _doubts(tables: Tables, issue: Issue, purpose: Purpose) -> str:
    """Each reason for which nobody knows, under which handle they left, and the way out."""
    copies = [one for one in tables.deliveries.unknown(issue.id) if one.purpose == purpose]
    batches = tables.deliveries.batches_of([one.id for one in copies])
    reasons = dict.fromkeys(
        one.reason + (f", batch {batches[one.id].provider_id}" if one.id in batches else "")
        for one in copies
    )
    return "\n".join([*reasons, f"`asterism deliver resolve {issue.ref}` lists and settles them"])


def _words(status: str) -> str:
    return status.replace("_", " ")
