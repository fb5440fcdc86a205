"""Composes what goes by itself: no hand writes it, and anybody can stop it while it is reviewed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pipeline.errors import BadInput, Conflict, NotFound
from pipeline.model.catalog import Constellation, Newsletter
from pipeline.model.letters import (
    Arithmetic,
    Finding,
    Issue,
    Notice,
    Snippet,
)
from pipeline.model.log import Operation
from pipeline.model.news import PoolStory, Story
from pipeline.ports import Ports, Tables
from pipeline.rules.letters.audience import left_out_in_words
from pipeline.rules.letters.automatic import (
    AUTOMATIC,
    WAITING,
    Composition,
    Found,
    carried,
    compose,
    lowered_fact,
    review_at,
    too_little,
)
from pipeline.rules.letters.notice import Matter, for_review, read_templates, write_notice
from pipeline.rules.letters.rhythm import late_decision
from pipeline.rules.notices import why_not_asked
from pipeline.stages.compose.approving import Approved, be_unchanged, freeze
from pipeline.stages.compose.holding import (
    HeldBack,
    approver_of,
    hold_back,
    reviews_of,
    take_back_unasked,
)
from pipeline.stages.compose.lending import elsewhere
from pipeline.stages.compose.planning import check, make_plan, render_all
from pipeline.stages.compose.reading import (
    Draft,
    is_over,
    newsletter_of,
    period_start,
    reach,
    read_draft,
)

SHOWN = 3  #: so many findings are named in a reason


@dataclass(frozen=True, slots=True)
class Automatic:
    """What a look at the automatic newsletters came to."""

    going: tuple[Approved, ...] = ()  #: frozen; they leave once their review is over
    held_back: tuple[HeldBack, ...] = ()


def compose_automatic(ports: Ports) -> Automatic:
    """Compose and freeze each automatic issue whose review begins; once, however often run.

    What a person put into it stays, commented stories of issues that went out come after it,
    then headlines. What lint holds back from people it holds back here; then it is approved
    in the name of the file's `mode: automatic`. The review is always given in full: copies
    leave when it is over, which may be after the beat, but never later than the late policy
    allows. What is not ready says why and is tried again by each run; so is an issue whose
    review mail was refused, until it can go to another address. What a person approved or
    stopped is left alone.

    Raises: Down
    """
    ports = replace(ports, actor=AUTOMATIC)
    going, held_back = [], [*take_back_unasked(ports)]
    told = {one.ref for one in held_back}
    for issue in _due_for_review(ports):
        if ports.stopping():
            break
        outcome = _one(ports, issue)
        if isinstance(outcome, Approved):
            going.append(outcome)
        elif outcome is not None and outcome.ref not in told:
            held_back.append(outcome)
    return Automatic(tuple(going), tuple(held_back))


def _due_for_review(ports: Ports) -> list[Issue]:
    now = ports.clock.now()
    newsletters = [n for c in ports.catalog.constellations for n in c.newsletters]
    with ports.store.read() as tables:
        return [
            issue
            for newsletter in newsletters
            if newsletter.mode == "automatic"
            for issue in reversed(tables.letters.issues(newsletter.key))
            if issue.state in WAITING and review_at(issue, newsletter) <= now
        ]


def _one(ports: Ports, issue: Issue) -> Approved | HeldBack | None:
    """One issue; None when a person, or another run, had it in hand this very moment."""
    _, newsletter = newsletter_of(ports, issue)
    now = ports.clock.now()
    until = max(issue.due_at, now + timedelta(hours=newsletter.review_window_h))
    with ports.store.read() as tables:
        reviews = reviews_of(tables, issue)
    try:
        if unasked := why_not_asked(reviews, approver_of(ports, issue)):
            return hold_back(ports, issue, unasked)  # until its time is over, for a hand to mend
        if late_decision(newsletter.rhythm, issue.beat, until) == "missed":
            # once an address was mended, what held it back before is no reason any more
            reason = (not reviews and issue.reason) or _too_late(newsletter)
            return hold_back(ports, issue, reason, over=now >= issue.due_at)
        composed = _compose(ports, issue)
        try:
            ready = _freeze(ports, composed, until)
        except (BadInput, NotFound) as wrong:  # a template, a note that was taken back
            ready = wrong.message
        return hold_back(ports, composed, ready) if isinstance(ready, str) else ready
    except Conflict:
        return None


def _too_late(newsletter: Newsletter) -> str:
    return (
        f"it was composed too late for its {newsletter.review_window_h} hours of review: they "
        "would end after its time"
    )


# ── composing ────────────────────────────────────────────────────────────────────────────


def _compose(ports: Ports, issue: Issue) -> Issue:
    """The issue with what it is to hold, written in one go unless somebody changed it.

    Raises: Conflict
    """
    constellation, newsletter = newsletter_of(ports, issue)
    with ports.store.read() as tables:
        there = tuple(tables.snippets.of_issue(issue.id))
        found = _look(ports, tables, issue, constellation, newsletter, there)
        made = compose(issue, newsletter, found, constellation.accounts)
        stories = {s.id: s for s in tables.stories.by_ids([s.story_id for s in made.lowered])}
    if made.is_empty:
        return issue
    with ports.store.write() as tables:
        tables.letters.lock(newsletter.key)
        same = tuple(tables.snippets.of_issue(issue.id)) == there
        if tables.letters.by_id(issue.id) != issue or not same:
            raise Conflict(f"Issue {issue.ref} changed while it was being composed.")
        return _apply(ports, tables, issue, made, stories)


def _look(
    ports: Ports,
    tables: Tables,
    issue: Issue,
    constellation: Constellation,
    newsletter: Newsletter,
    there: tuple[Snippet, ...],
) -> Found:
    now = ports.clock.now()
    since = period_start(tables, issue, newsletter)
    pool = tables.stories.pool(constellation.key, min(since, now - reach(newsletter)))
    recent = max(since, now - reach(newsletter))
    new = [one for one in pool if one.story.last_at >= recent]
    other = elsewhere(tables, issue, constellation)
    return Found(
        there=there,
        removed=frozenset(s.story_id for s in tables.snippets.of_issue(issue.id, removed=True)),
        commented=tuple(_commented(tables, since, pool, constellation, newsletter)),
        stories=tuple(one.story for one in new if one.state == "open"),
        used=frozenset(tables.letters.used_links(newsletter.key, issue.id)),
        lent=tuple(one.story for one in new if one.state == "kept" and one.story.id in other.lent),
        lent_about=other.lent,
        busy=other.busy,
    )


def _commented(
    tables: Tables,
    since: datetime,
    pool: Sequence[PoolStory],
    constellation: Constellation,
    newsletter: Newsletter,
) -> Iterator[Snippet]:
    """What issues that went out since then said with a take of ours, the best first.

    Of a recap only the issues that it sums up. What was stopped half-way is not said again.
    """
    scores = {one.story.id: one.score.total for one in pool}
    parts = (
        [newsletter.recap_of]
        if newsletter.recap_of
        else [other.key for other in constellation.newsletters if other.key != newsletter.key]
    )
    issues = [issue for key in parts for issue in tables.letters.issues(key)
              if issue.due_at >= since and _went_out(tables, issue)]  # fmt: skip
    issues.sort(key=lambda issue: issue.due_at, reverse=True)
    written = [s for issue in issues for s in tables.snippets.of_issue(issue.id)
               if s.section == "main" and s.take.strip()]  # fmt: skip
    written.sort(key=lambda snippet: -scores.get(snippet.story_id, 0.0))
    for snippet in written:
        if not _is_dropped(tables, constellation, snippet):
            yield snippet


def _went_out(tables: Tables, issue: Issue) -> bool:
    return issue.state in ("sending", "sent") or is_over(tables, issue)


def _is_dropped(tables: Tables, constellation: Constellation, snippet: Snippet) -> bool:
    """Somebody took it out of the pool since, or the note itself back."""
    (story,) = tables.stories.by_ids([snippet.story_id])
    return story.taken_back_at is not None or any(
        place["constellation"] == constellation.key and place["dropped_by"]
        for place in tables.stories.pools_of(snippet.story_id)
    )


def _apply(
    ports: Ports,
    tables: Tables,
    issue: Issue,
    made: Composition,
    stories: Mapping[int, Story],
) -> Issue:
    snippets = tables.snippets
    for snippet in made.lowered:
        fact = lowered_fact(snippet, stories[snippet.story_id])
        snippets.edit(snippet.id, snippet.revision, {"section": "noted", "fact": fact})
    for snippet in made.copied:
        words = carried(snippet)
        kept = snippets.keep(issue.id, snippet.story_id, "main", **words)
        # a bare headline that is commented by now moves up
        snippets.edit(kept.id, kept.revision, {"section": "main", **words})
    for story in made.headlines:
        snippets.keep(issue.id, story.id, "noted")
    for snippet in made.surplus:
        snippets.remove(snippet.id)
    if made.head:
        issue = tables.letters.edit_issue(issue.id, issue.revision, made.head)
    new = [*(s.story_public_id for s in made.copied), *(s.public_id for s in made.headlines)]
    tables.log.add(
        Operation(
            actor=ports.actor,
            verb="compose",
            subject=f"issue:{issue.public_id}",
            at=ports.clock.now(),
            after={
                "commented": len(made.copied),
                "headlines": len(made.headlines) + len(made.lowered),
                "head": dict(made.head),
                "stories": new,
                **({"from_drafts": made.lent} if made.lent else {}),
            },
        )
    )
    return issue


# ── freezing, or saying why not ──────────────────────────────────────────────────────────


def _freeze(ports: Ports, issue: Issue, until: datetime) -> Approved | str:
    """Approve a composed issue by the rules that hold for people; or why it is not ready.

    Raises: Conflict; BadInput (a template)
    """
    _, newsletter = newsletter_of(ports, issue)
    with ports.store.read() as tables:
        draft = read_draft(ports, tables, issue, until)
    if short := too_little(draft.snippets, newsletter):
        return short
    plan = make_plan(ports, draft)
    made = render_all(ports, plan)
    findings = check(ports, draft, plan, made)
    if any(finding.blocks for finding in findings):
        return _named(findings)
    if not plan.arithmetic.letters:
        return _nobody(plan.arithmetic)
    mail = _review_mail(ports, draft, plan.arithmetic, until)
    with ports.store.write() as tables:
        be_unchanged(ports, tables, draft)
        frozen = freeze(ports, tables, draft, plan, made, {}, expect=WAITING, review_until=until)
        tables.notices.add(mail)  # in the same breath: what goes by itself is told of
        if issue.reason:
            tables.letters.record_beat(issue.newsletter_key, issue.beat, "planned")
    late = ports.clock.now() > issue.deadline_at
    return Approved(frozen, plan.arithmetic, findings, len(plan.variations), late)


def _review_mail(ports: Ports, draft: Draft, sum_: Arithmetic, until: datetime) -> Notice:
    """What its approver gets, so that no issue goes by itself without a link that stops it.

    Raises: BadInput, NotFound (its templates, or the approver)
    """
    material, firm = draft.material, ports.catalog.firm
    key = material.constellation.approver
    approver = ports.catalog.staff(key)
    if approver is None:
        raise NotFound(f"There is nobody “{key}” to review it.")
    issue = replace(draft.issue, review_until=until)
    matter = Matter(
        issue, draft.terms.newsletter, material.constellation, firm, snippets=draft.snippets
    )
    matter = for_review(matter, sum_, firm.base_url, ports.tokens.make)
    templates = read_templates(ports.workspace.template)
    return write_notice("review", approver, matter, templates, ports.clock.now())


def _named(findings: Sequence[Finding]) -> str:
    blocking = [f"{finding.where}: {finding.what}" for finding in findings if finding.blocks]
    more = f"; and {len(blocking) - SHOWN} more" if len(blocking) > SHOWN else ""
    return "; ".join(blocking[:SHOWN]) + more


def _nobody(sum_: Arithmetic) -> str:
    return f"nobody would get it ({left_out_in_words(sum_) or 'there are no contacts'})"
