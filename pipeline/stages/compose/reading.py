"""Reads all that an issue's copies are made of, at one instant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from pipeline.errors import NotFound
from pipeline.model.catalog import Constellation, Newsletter
from pipeline.model.letters import Issue, IssueState, Snippet, Verdict
from pipeline.model.people import Candidate
from pipeline.ports import Ports, Tables
from pipeline.rules.letters.audience import Terms
from pipeline.rules.letters.editions import Material
from pipeline.rules.letters.ledger import UNSENT
from pipeline.rules.letters.wall import with_named
from pipeline.rules.news.address import link_hash

#: Our own news is new since the last issue that went out; before the first, so long.
FIRST_NEWS = timedelta(days=60)
#: How far back the stories of an issue may lie, by its newsletter's rhythm.
_REACH_DAYS = {"weekly": 14, "monthly": 45, "quarterly": 100}

FROZEN: frozenset[IssueState] = frozenset({"approved", "scheduled", "sending", "sent"})
WENT_OUT: frozenset[IssueState] = frozenset({"sending", "sent", "partly_sent"})


@dataclass(frozen=True, slots=True)
class Draft:
    """An issue that is not frozen, with its audience."""

    stored: tuple[Snippet, ...]  #: as the store has them, to see whether they changed
    material: Material
    terms: Terms
    candidates: tuple[Candidate, ...]
    settled: Mapping[int, Verdict]  #: contact id → the verdict that stands: its copy has left
    services: Mapping[str, str]  #: account key → service that those copies told of
    reused: Mapping[str, str]  #: a snippet's url → the earlier issue that used it
    goes_at: datetime  #: when its copies go: the beat, or the end of a review

    @property
    def issue(self) -> Issue:
        return self.material.issue

    @property
    def snippets(self) -> tuple[Snippet, ...]:
        return self.material.snippets

    def with_snippets(self, snippets: tuple[Snippet, ...]) -> Draft:
        return replace(
            self,
            material=replace(self.material, snippets=snippets),
            terms=replace(self.terms, snippets=snippets),
        )


def is_over(tables: Tables, issue: Issue) -> bool:
    """Whether an issue is partly sent and nothing of it was held back that could go on."""
    return issue.state == "partly_sent" and not tables.deliveries.held_back(issue.id)


def newsletter_of(ports: Ports, issue: Issue) -> tuple[Constellation, Newsletter]:
    """What the files say of an issue's newsletter.

    Raises: NotFound when they no longer have it
    """
    constellation = ports.catalog.constellation(issue.constellation_key)
    newsletter = ports.catalog.newsletter(issue.newsletter_key)
    if constellation is None or newsletter is None:
        raise NotFound(
            f"The newsletter of issue {issue.ref} stands in no file any more.",
            f"Put {issue.newsletter_key} back into constellations/, or leave the issue as it is.",
        )
    return constellation, newsletter


def read_draft(
    ports: Ports, tables: Tables, issue: Issue, goes_at: datetime | None = None
) -> Draft:
    """The issue, its snippets and every contact's standing, in this transaction's instant.

    Shape:  goes_at is when its copies go; None: on its beat
    """
    constellation, newsletter = newsletter_of(ports, issue)
    now = ports.clock.now()
    goes_at = goes_at or issue.due_at
    before = _last_one_out(tables, issue)
    candidates = read_candidates(ports, tables, issue)
    stored = tuple(tables.snippets.of_issue(issue.id))
    snippets = tuple(with_named(snippet, constellation.accounts) for snippet in stored)
    material = Material(
        catalog=ports.catalog,
        constellation=constellation,
        newsletter=newsletter,
        issue=issue,
        snippets=snippets,
        news_after=before.beat_on if before else issue.beat_on - FIRST_NEWS,
        own_stories={key: story.id for key, story in tables.stories.own_news().items()},
    )
    settled, services = _already_out(tables, issue, candidates)
    return Draft(
        stored=stored,
        material=material,
        terms=Terms(
            newsletter=newsletter,
            snippets=snippets,
            relationships={a.key: a.relationship for a in constellation.accounts},
            cap=ports.catalog.firm.cap,
            on=day_of(max(now, goes_at), newsletter),
        ),
        candidates=candidates,
        settled=settled,
        services=services,
        reused=_reused(tables, issue, snippets),
        goes_at=goes_at,
    )


def read_candidates(ports: Ports, tables: Tables, issue: Issue) -> tuple[Candidate, ...]:
    """Every contact's standing towards an issue."""
    constellation, newsletter = newsletter_of(ports, issue)
    return tuple(
        tables.people.candidates(
            constellation.key,
            newsletter.key,
            ports.clock.now(),
            cap_days=ports.catalog.firm.cap.days,
            recap_of=newsletter.recap_of,
            recap_since=period_start(tables, issue, newsletter),
        )
    )


def reach(newsletter: Newsletter) -> timedelta:
    """How far back the stories of an issue may lie."""
    rhythm = newsletter.rhythm
    return timedelta(days=_REACH_DAYS[rhythm.cadence] * rhythm.every)


def period_start(tables: Tables, issue: Issue, newsletter: Newsletter) -> datetime:
    """Since when an issue tells: since the content of the last one that went out was frozen."""
    before = _last_one_out(tables, issue)
    if before is None:
        return issue.due_at - reach(newsletter)
    return before.approved_at or before.due_at


def day_of(at: datetime, newsletter: Newsletter) -> date:
    """The local day of an instant, where the newsletter is at home."""
    return at.astimezone(ZoneInfo(newsletter.rhythm.zone)).date()


def _last_one_out(tables: Tables, issue: Issue) -> Issue | None:
    """The issue of this newsletter that went out before this one."""
    return next(
        (
            earlier
            for earlier in tables.letters.issues(issue.newsletter_key)
            if earlier.number < issue.number and earlier.state in WENT_OUT
        ),
        None,
    )


def _already_out(
    tables: Tables, issue: Issue, candidates: tuple[Candidate, ...]
) -> tuple[Mapping[int, Verdict], Mapping[str, str]]:
    """Of an issue that was stopped on its way: who has a copy, and what service it told of."""
    if issue.state not in ("stopped", "partly_sent"):
        return {}, {}
    account_of = {c.contact.id: c.contact.account_key for c in candidates}
    frozen = {verdict.contact_id: verdict for verdict in tables.letters.audience(issue.id)}
    settled: dict[int, Verdict] = {}
    services: dict[str, str] = {}
    for delivery in tables.deliveries.of_issue(issue.id):
        contact_id = delivery.contact_id
        if delivery.purpose != "letter" or contact_id is None or delivery.state in UNSENT:
            continue
        if contact_id in frozen and contact_id in account_of:
            settled[contact_id] = frozen[contact_id]
            service = tables.letters.variant(delivery.variant_id).service_key
            if service:
                services[account_of[contact_id]] = service
    return settled, services


def _reused(tables: Tables, issue: Issue, snippets: tuple[Snippet, ...]) -> Mapping[str, str]:
    used = tables.letters.used_links(issue.newsletter_key, issue.id)
    hashes = {snippet.url: link_hash(snippet.url) for snippet in snippets if snippet.url}
    return {url: used[hashed] for url, hashed in hashes.items() if hashed in used}
