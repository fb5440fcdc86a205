"""A human says yes, once; and whoever must can stop an issue until it is out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import get_args

from pipeline.errors import Conflict, NotFound
from pipeline.model.letters import (
    Arithmetic,
    EditionKind,
    Finding,
    Issue,
    IssueState,
    LetterStory,
    Rendered,
    Snippet,
)
from pipeline.model.log import Operation
from pipeline.model.people import Candidate
from pipeline.ports import Ports, Tables
from pipeline.rules.letters.editions import public_values
from pipeline.rules.letters.ledger import STOPPED, UNSENT
from pipeline.rules.letters.wall import is_confidence, numbered
from pipeline.rules.news.address import link_hash, without_tracking
from pipeline.stages.compose.planning import (
    Plan,
    check,
    filled_in,
    make_plan,
    render_all,
)
from pipeline.stages.compose.reading import (
    Draft,
    is_over,
    newsletter_of,
    read_candidates,
    read_draft,
)

APPROVABLE: tuple[IssueState, ...] = ("planned", "draft", "in_review", "stopped", "partly_sent")
STOPPABLE: tuple[IssueState, ...] = (
    "planned", "draft", "in_review", "approved", "scheduled", "sending",
)  # fmt: skip

#: A provider may still have all of these, or some.
TAKEN: tuple[IssueState, ...] = ("sent", "partly_sent")


@dataclass(frozen=True, slots=True)
class Approved:
    """What an approval froze."""

    issue: Issue
    arithmetic: Arithmetic
    warnings: tuple[Finding, ...]  #: worth a look; they hold nothing back
    variants: int
    late: bool  #: the deadline had passed


@dataclass(frozen=True, slots=True)
class Stopped:
    """What a stop took back."""

    issue: Issue
    was: IssueState  #: before
    held_back: int  #: copies that now do not go
    calling_back: int  #: copies that a provider has and is asked to give back
    left_already: int  #: copies that were gone, or on their way


def approve(ports: Ports, ref: str, *, clear: Sequence[str] = ()) -> Approved:
    """Freeze an issue: its bytes, its audience with everyone's reason, and the ledger's rows.

    Only the constellation's approver approves; who stands in for somebody ill is named as
    the approver in the file. All is read and rendered first and then written in one
    transaction, unless something changed meanwhile. Of an issue that was stopped on its way,
    who has a copy keeps it, and only the others are planned.

    Shape:  clear names confidences whose general wording may travel from now on, by number
            or by story id
    Raises: NotFound; Conflict when who acts may not, when it is approved already, when lint
            holds it back (with what it found), or when it changed meanwhile
    """
    with ports.store.read() as tables:
        issue = tables.letters.find_issue(ref)
        _may_approve(ports, issue)
        if is_over(tables, issue):
            raise Conflict(
                f"Issue {issue.ref} is out; no copy of it was held back.",
                f"`asterism explain issue {issue.ref}` tells how each copy fared.",
            )
        _may_go_on(tables, issue)
        read = read_draft(ports, tables, issue)
    cleared = _to_clear(read.snippets, clear)
    draft = read.with_snippets(
        tuple(replace(s, cleared_by=ports.actor) if s.id in cleared else s for s in read.snippets)
    )
    plan = make_plan(ports, draft)
    made = render_all(ports, plan)
    findings = check(ports, draft, plan, made)
    _hold_back(issue, findings)
    with ports.store.write() as tables:
        be_unchanged(ports, tables, read)
        _may_go_on(tables, read.issue)
        approved = freeze(ports, tables, draft, plan, made, cleared)
    return Approved(
        issue=approved,
        arithmetic=plan.arithmetic,
        warnings=findings,
        variants=len(plan.variations),
        late=ports.clock.now() > issue.deadline_at,
    )


# ── may it be ────────────────────────────────────────────────────────────────────────────


def _may_approve(ports: Ports, issue: Issue) -> None:
    if issue.state not in APPROVABLE:
        by = f" by {issue.approved_by}" if issue.approved_by else ""
        at = f" on {issue.approved_at:%Y-%m-%d %H:%M} UTC" if issue.approved_at else ""
        state = issue.state.replace("_", " ")
        said = f"was approved{by}{at} and is {state}" if issue.approved_at else f"is {state}"
        raise Conflict(
            f"Issue {issue.ref} {said}.",
            f"`asterism issue show {issue.ref}` tells where it stands."
            if issue.state not in ("missed", "cancelled")
            else "Keep its stories for the next issue.",
        )
    constellation, _ = newsletter_of(ports, issue)
    if not ports.catalog.is_approver(ports.actor, constellation):
        approver = ports.catalog.staff(constellation.approver)
        name = approver.name if approver else constellation.approver
        raise Conflict(
            f"Only {name} approves {issue.ref}; you act as {ports.actor or 'nobody'}.",
            f"Ask {name}, or act as the approver with `--as {constellation.approver}`. Who "
            f"approves stands in constellations/{constellation.key}.yaml.",
        )


def _may_go_on(tables: Tables, issue: Issue) -> None:
    """What is being called back would go as it was, and not as it is approved now.

    Raises: Conflict
    """
    counts = tables.deliveries.counts(issue.id)
    if asked := sum(number for (_, state), number in counts.items() if state == "recalling"):
        copies = "1 copy" if asked == 1 else f"{asked} copies"
        raise Conflict(
            f"{copies} of issue {issue.ref} are being called back at this moment.",
            "`asterism deliver` asks for them, and so does the service; approve it after that.",
        )


def _to_clear(snippets: Sequence[Snippet], refs: Sequence[str]) -> dict[int, Snippet]:
    """Snippet id → the confidence whose general wording is to travel."""
    found = {}
    for ref in refs:
        snippet = _named(snippets, ref)
        if not is_confidence(snippet):
            raise Conflict(
                f"“{snippet.title}” is no confidence; there is nothing to clear.",
                "It goes out as it stands.",
            )
        if not snippet.general_wording.strip():
            raise Conflict(
                f"“{snippet.title}” has no general wording that could be cleared.",
                "Write the lesson without a name, figure or date, then approve again.",
            )
        found[snippet.id] = snippet
    return found


def _named(snippets: Sequence[Snippet], ref: str) -> Snippet:
    wanted = ref.strip().lower()
    for number, snippet in numbered(snippets):
        if number and wanted == str(number):
            return snippet
        if len(wanted) > 3 and wanted in (
            snippet.public_id[: len(wanted)],
            snippet.story_public_id[: len(wanted)],
        ):
            return snippet
    raise NotFound(
        f"The issue has no story “{ref}”.", "Name it by its number, as `issue show` lists it."
    )


def _hold_back(issue: Issue, findings: Sequence[Finding]) -> None:
    blocking = [finding for finding in findings if finding.blocks]
    if blocking:
        lines = "\n".join(f"  {finding.where}: {finding.what}" for finding in blocking)
        mend = "Mend it (`asterism curate export`, then import), and approve again."
        if any(finding.where.startswith("firm.yaml") for finding in blocking):
            mend += " What stands in firm.yaml is mended there; `asterism check` names its lines."
        raise Conflict(f"Issue {issue.ref} is not ready:\n{lines}", mend)


def be_unchanged(ports: Ports, tables: Tables, read: Draft) -> None:
    """Neither the words, nor what nobody looks at again before a copy leaves.

    Other approvals for the same readers and imports of people wait from here on.

    Raises: Conflict when something changed
    """
    for newsletter in sorted(read.material.constellation.newsletters, key=lambda n: n.key):
        tables.letters.lock(newsletter.key)
    issue = tables.letters.by_id(read.issue.id)
    if issue != read.issue or tuple(tables.snippets.of_issue(issue.id)) != read.stored:
        raise Conflict(
            f"Issue {issue.ref} changed while it was being approved.",
            "Look at it again, then approve it.",
        )
    now = {c.contact.id: _frozen_of(c) for c in read_candidates(ports, tables, issue)}
    if any(now.get(c.contact.id) != _frozen_of(c) for c in read.candidates):
        raise Conflict(
            f"People of issue {issue.ref} changed while it was being approved.",
            "Somebody moved, or was told something, this very moment: approve it again.",
        )


def _frozen_of(candidate: Candidate) -> tuple[object, ...]:
    """What a copy is frozen by; suppressions, pauses and holds are asked again at its claim."""
    contact = candidate.contact
    return (
        contact.account_key, contact.address, candidate.told_stories, candidate.told_services,
        candidate.recent_letters, candidate.had_recap_parts,
    )  # fmt: skip


# ── freezing ─────────────────────────────────────────────────────────────────────────────


def freeze(
    ports: Ports,
    tables: Tables,
    draft: Draft,
    plan: Plan,
    made: Mapping[str, Rendered],
    cleared: Mapping[int, Snippet],
    *,
    expect: Sequence[IssueState] = APPROVABLE,
    review_until: datetime | None = None,
) -> Issue:
    """Write it all; the state first, so that of two approvals at once one waits and fails.

    Raises: Conflict when the issue is in none of the expected states
    """
    now = ports.clock.now()
    before = draft.issue
    issue = tables.letters.set_state(
        before.id,
        "scheduled",
        approved_by=ports.actor,
        approved_at=now,
        review_until=review_until,
        expect=expect,
    )
    for snippet in cleared.values():
        tables.snippets.edit(snippet.id, snippet.revision, {"cleared_by": ports.actor})
    tables.letters.retire_editions(issue.id, now)
    variant_ids: dict[str, int] = {}
    for kind in get_args(EditionKind):
        variant_ids |= _freeze_edition(ports, tables, draft, plan, made, kind)
    tables.letters.write_audience(issue.id, plan.verdicts)
    tables.deliveries.plan(issue.id, plan.rows, variant_ids, now)
    arithmetic = plan.arithmetic
    tables.log.add(
        Operation(
            actor=ports.actor,
            verb="approve",
            subject=f"issue:{issue.public_id}",
            at=now,
            before={"state": before.state, "reason": before.reason},
            after={
                "state": issue.state,
                "revision": before.revision,
                "contacts": arithmetic.contacts,
                "letters": arithmetic.letters,
                "left_out": dict(arithmetic.left_out),
                "sales": arithmetic.sales,
                "variants": len(variant_ids),
                "cleared": [snippet.story_public_id for snippet in cleared.values()],
                "review_until": f"{review_until:%Y-%m-%d %H:%M} UTC" if review_until else "",
            },
        )
    )
    return issue


def _freeze_edition(
    ports: Ports,
    tables: Tables,
    draft: Draft,
    plan: Plan,
    made: Mapping[str, Rendered],
    kind: EditionKind,
) -> dict[str, int]:
    """One edition with its variants; ids by variant key. An edition nobody gets is not made."""
    chosen = {key: v for key, v in plan.variations.items() if v.letter.kind == kind}
    if not chosen:
        return {}
    stories = dict.fromkeys(
        story
        for variation in chosen.values()
        for story in (*variation.letter.stories, *variation.letter.noted)
    )
    edition_id = tables.letters.freeze_edition(
        draft.issue.id,
        kind,
        draft.material.language,
        next(made[key].template_digest for key in chosen),
        tuple(stories),
        _links(draft.snippets, stories),
        ports.clock.now(),
    )
    values = public_values(draft.material)
    return {
        key: tables.letters.freeze_variant(
            edition_id,
            key,
            filled_in(made[key], values) if kind == "public" else made[key],
            variation.story_ids,
            variation.service_key,
        )
        for key, variation in chosen.items()
    }


def _links(
    snippets: Sequence[Snippet], stories: Mapping[LetterStory, None]
) -> list[tuple[int | None, str, str]]:
    """(snippet, address as shown, hash) of each source that the edition links to."""
    shown = {story.url for story in stories if story.url}
    links = ((s.id, without_tracking(s.url)) for s in snippets)
    return [(snippet_id, url, link_hash(url)) for snippet_id, url in links if url in shown]


# ── stopping ─────────────────────────────────────────────────────────────────────────────


def stop(ports: Ports, ref: str, reason: str = "") -> Stopped:
    """Take an issue back in one action, as long as any of it has not left.

    Anybody may: stopping harms nobody. Copies that have not begun to leave are withheld. Those
    that a provider has and can still give back are written down to be called back, which
    `deliver.call_back` does; so an issue can be stopped when it is sent, for some minutes. When
    some have left, the issue is partly sent, and its web page stays for those who have it. An
    approval later goes on.

    Raises: NotFound; Conflict when there is nothing to stop
    """
    now = ports.clock.now()
    with ports.store.write() as tables:
        before = tables.letters.find_issue(ref)
        held_back, calling_back = _take_back(ports, tables, before)
        if before.state not in STOPPABLE and not calling_back:
            raise _nothing_to_stop(tables, before)
        counts = tables.deliveries.counts(before.id)
        left = sum(
            number for (_, state), number in counts.items()
            if state not in UNSENT and state != "recalling"
        )  # fmt: skip
        if left and not (held_back or calling_back):
            raise Conflict(
                f"Issue {before.ref} is out: nothing of it is left to stop.",
                f"`asterism explain issue {before.ref}` tells who has it.",
            )
        if not (left or calling_back):
            tables.letters.retire_editions(before.id, now)
        issue = tables.letters.set_state(
            before.id,
            "partly_sent" if left or calling_back else "stopped",
            reason=reason or f"stopped by {ports.actor}",
            expect=(*STOPPABLE, *TAKEN),
        )
        if given_back := tables.deliveries.withhold_planned(before.id, STOPPED, now):
            # whoever gave these back was a moment ahead of us; they had not left after all
            held_back, left = held_back + given_back, max(left - given_back, 0)
            issue = tables.deliveries.move_on(before.id, now)
        tables.log.add(
            Operation(
                actor=ports.actor,
                verb="stop",
                subject=f"issue:{issue.public_id}",
                at=now,
                before={"state": before.state},
                after={
                    "state": issue.state,
                    "reason": issue.reason,
                    "held_back": held_back,
                    **({"calling_back": calling_back} if calling_back else {}),
                    "left_already": left,
                },
            )
        )
        return Stopped(issue, before.state, held_back, calling_back, left)


def _nothing_to_stop(tables: Tables, issue: Issue) -> Conflict:
    hint = f"`asterism issue show {issue.ref}` tells where it stands."
    counts = tables.deliveries.counts(issue.id)
    if number := sum(number for (_, state), number in counts.items() if state == "recalling"):
        return Conflict(
            f"Issue {issue.ref} is stopped already: {number} of its copies are being called back.",
            hint,
        )
    return Conflict(
        f"Issue {issue.ref} is {issue.state.replace('_', ' ')}; nothing is to stop.", hint
    )


def _take_back(ports: Ports, tables: Tables, issue: Issue) -> tuple[int, int]:
    """(copies held back, copies to be called back).

    Twice, for a copy may begin to leave in between; and what is leaving is locked before what
    waits, as by those who send.
    """
    if issue.state not in (*STOPPABLE, *TAKEN):
        return 0, 0
    now, transport = ports.clock.now(), ports.transport
    can = transport.can_call_back
    calling_back = tables.deliveries.recall(issue.id, transport.name, can, now)
    held_back = tables.deliveries.withhold_planned(issue.id, STOPPED, now)
    calling_back += tables.deliveries.recall(issue.id, transport.name, can, now)
    return held_back, calling_back
