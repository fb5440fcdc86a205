"""What an issue holds, what is missing, who would get it, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pipeline.errors import BadInput, Conflict
from pipeline.model.letters import Arithmetic, Finding, Issue, Notice, Snippet, Verdict
from pipeline.model.log import Operation
from pipeline.ports import Ports, Tables
from pipeline.rules.letters.audience import arithmetic
from pipeline.rules.letters.automatic import WAITING, review_at
from pipeline.rules.letters.content_lock import why_locked
from pipeline.rules.letters.curated import HEAD_LABELS, tidy_field
from pipeline.rules.letters.curator_notes import moment_in_words
from pipeline.rules.letters.wall import numbered
from pipeline.rules.notices import in_doubt, nobody_asked, why_not_asked
from pipeline.stages.compose.holding import approver_of, reviews_of
from pipeline.stages.compose.planning import check, make_plan, render_all
from pipeline.stages.compose.reading import (
    FROZEN,
    Draft,
    is_over,
    newsletter_of,
    read_draft,
)


@dataclass(frozen=True, slots=True)
class Placed:
    """A kept story with the number it bears in every edition; 0 under "Also noted"."""

    number: int
    snippet: Snippet


@dataclass(frozen=True, slots=True)
class Written:
    """What came of writing on an issue's head."""

    issue: Issue
    changed: bool  #: False when it said so already
    before: Mapping[str, str]  #: only what is different
    after: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class IssueView:
    """An issue as the curator and the approver look at it."""

    issue: Issue
    stories: tuple[Placed, ...]
    findings: tuple[Finding, ...]  #: empty once it is frozen
    arithmetic: Arithmetic
    verdicts: tuple[Verdict, ...]
    variants: int  #: how many different letters there are
    next_step: str

    @property
    def blocked(self) -> bool:
        return any(finding.blocks for finding in self.findings)


def list_issues(ports: Ports, newsletter_key: str = "") -> Sequence[Issue]:
    """All issues, or one newsletter's, the latest first.

    Raises: NotFound when no file and no issue knows the newsletter
    """
    with ports.store.read() as tables:
        issues = tables.letters.issues(newsletter_key)
    if not issues and newsletter_key:
        ports.catalog.find_newsletter(newsletter_key)
    return issues


def show(ports: Ports, ref: str) -> IssueView:
    """The issue as it stands; before approval also what lint finds and who would get it now.

    Raises: NotFound
    """
    with ports.store.read() as tables:
        issue = tables.letters.find_issue(ref)
        if issue.state in FROZEN or is_over(tables, issue):
            return _frozen(ports, tables, issue)
        draft = read_draft(ports, tables, issue)
        reviews = reviews_of(tables, issue)
    plan = make_plan(ports, draft)
    findings = check(ports, draft, plan, render_all(ports, plan))
    return IssueView(
        issue=issue,
        stories=_placed(draft.snippets),
        findings=findings,
        arithmetic=plan.arithmetic,
        verdicts=plan.verdicts,
        variants=len(plan.variations),
        next_step=_next_step(ports, draft, findings, reviews),
    )


def _frozen(ports: Ports, tables: Tables, issue: Issue) -> IssueView:
    verdicts = tuple(tables.letters.audience(issue.id))
    counts = tables.deliveries.counts(issue.id)
    sales = sum(number for (purpose, _), number in counts.items() if purpose == "sales")
    when = _local(ports, issue, issue.goes_at)
    stops = f"`asterism issue stop {issue.ref}` takes it back."
    said = {
        "approved": f"It goes out on {when}. {stops}",
        "scheduled": f"It goes by itself on {when}, unless somebody stops it; until then people "
        f"look at it.{_doubt(tables, issue)} {stops}"
        if issue.review_until
        else f"It goes out on {when}. {stops}",
        "sending": f"It is going out. `asterism issue stop {issue.ref}` holds back the rest.",
        "partly_sent": f"It is out, but {issue.reason or 'not all of it'}. "
        f"`asterism explain issue {issue.ref}` tells how each copy fared.",
        "sent": f"It is out. `asterism explain issue {issue.ref}` tells how it went.",
    }
    return IssueView(
        issue=issue,
        stories=_placed(tuple(tables.snippets.of_issue(issue.id))),
        findings=(),
        arithmetic=arithmetic(verdicts, sales),
        verdicts=verdicts,
        variants=len(tables.letters.variants(issue.id)),
        next_step=said[issue.state],
    )


def _doubt(tables: Tables, issue: Issue) -> str:
    reviews = reviews_of(tables, issue)
    if nobody_asked(reviews):
        return " But nobody got its review mail: the next run of the jobs holds it back."
    name = in_doubt(reviews)
    return f" Whether its review mail reached {name} is not known." if name else ""


def _placed(snippets: tuple[Snippet, ...]) -> tuple[Placed, ...]:
    placed = [Placed(number, snippet) for number, snippet in numbered(snippets)]
    inside = {item.snippet.id for item in placed}
    return (*placed, *(Placed(0, snippet) for snippet in snippets if snippet.id not in inside))


def _next_step(
    ports: Ports, draft: Draft, findings: tuple[Finding, ...], reviews: Sequence[Notice]
) -> str:
    issue, now = draft.issue, ports.clock.now()
    newsletter = draft.material.newsletter
    if issue.state in ("missed", "cancelled"):
        return f"Nothing: it is {issue.state}. {issue.reason}".strip()
    if newsletter.mode == "automatic" and issue.state in WAITING and now < issue.due_at:
        return _by_itself(ports, draft, reviews)
    blocking = sum(finding.blocks for finding in findings)
    if blocking:
        things = "one thing is" if blocking == 1 else f"{blocking} things are"
        return f"Before it can be approved, {things} to be mended: the lines with ✗."
    key = draft.material.constellation.approver
    approver = draft.material.staff(key).name
    deadline = _local(ports, issue, issue.deadline_at)
    if now > issue.deadline_at:
        return f"Ready, and late: approval was due on {deadline}. {approver} can still approve it."
    command = f"asterism --as {key} issue approve {issue.ref}"
    return f"Ready. {approver} approves it by {deadline}: `{command}`."


def _by_itself(ports: Ports, draft: Draft, reviews: Sequence[Notice]) -> str:
    """What happens when nobody does anything, and what a hand can still do."""
    issue = draft.issue
    goes = f"goes out on {_local(ports, issue, issue.due_at)}, unless somebody stops it"
    if unasked := why_not_asked(reviews, approver_of(ports, issue)):
        key = draft.material.constellation.approver
        return (
            f"It is held back: {unasked}. With another address in firm.yaml the mail goes anew; "
            f"or a hand approves it: `asterism --as {key} issue approve {issue.ref}`."
        )
    if issue.reason:
        return f"It is held back: {issue.reason}. Mended, it is tried again by itself and {goes}."
    composed = _local(ports, issue, review_at(issue, draft.material.newsletter))
    return f"Nothing: it composes itself on {composed} and {goes}. You may write on it before that."


def _local(ports: Ports, issue: Issue, at: datetime) -> str:
    zone = ports.catalog.zone_of(issue.newsletter_key)
    return f"{moment_in_words(at, zone)} ({zone})"


def edit(
    ports: Ports, ref: str, changes: Mapping[str, str], revision: int | None = None
) -> Written:
    """Write an issue's head: subject, preheader, theme, opening.

    Raises: NotFound; BadInput for an unknown field; Conflict when the revision is stale, the
            cut-off has passed (then only the approver edits), or the issue is frozen
    """
    unknown = sorted(set(changes) - set(HEAD_LABELS))
    if unknown:
        raise BadInput(
            f"An issue has no field {', '.join(unknown)}.",
            f"Its fields are {', '.join(HEAD_LABELS)}.",
        )
    new = {name: tidy_field(name, text) for name, text in changes.items()}
    with ports.store.write() as tables:
        issue = tables.letters.find_issue(ref)
        constellation, _ = newsletter_of(ports, issue)
        now = ports.clock.now()
        by_approver = ports.catalog.is_approver(ports.actor, constellation)
        locked = why_locked(issue, now, by_approver=by_approver)
        if locked:
            raise Conflict(*locked)
        different = {name: text for name, text in new.items() if getattr(issue, name) != text}
        before = {name: getattr(issue, name) for name in different}
        if not different:
            return Written(issue, False, {}, {})
        edited = tables.letters.edit_issue(
            issue.id, issue.revision if revision is None else revision, different
        )
        tables.log.add(
            Operation(
                actor=ports.actor,
                verb="edit",
                subject=f"issue:{issue.public_id}",
                at=now,
                before={"head": before},
                after={
                    "head": different,
                    "issue": issue.public_id,
                    "issue_ref": issue.ref,
                    "constellation": constellation.key,
                },
            )
        )
        return Written(edited, True, before, different)
