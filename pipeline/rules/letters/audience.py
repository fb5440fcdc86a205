"""The audience: every contact of a constellation is in or out for exactly one reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from pipeline.model.catalog import Cap, Newsletter, Relationship
from pipeline.model.letters import Arithmetic, AudienceReason, EditionKind, Snippet, Verdict
from pipeline.model.people import Candidate
from pipeline.rules.letters.wall import may_enter, numbered, why_left_out, wording_for
from pipeline.rules.people.standing import why_suppressed


@dataclass(frozen=True, slots=True)
class Terms:
    """What an issue asks of every contact alike."""

    newsletter: Newsletter
    snippets: tuple[Snippet, ...]
    relationships: Mapping[str, Relationship]  #: of the accounts that the files name
    cap: Cap
    on: date  #: the day the copies go out, in the newsletter's zone

    @property
    def least(self) -> tuple[int, bool]:
        """How many stories a copy must keep, and whether headlines count.

        An issue that is itself under the floor goes out as headlines where its newsletter's
        fallback says so; then one story is enough for a person who chose them, and as many as
        the floor, headlines counted, where nobody did.
        """
        main = sum(s.section == "main" and may_enter(s) for s in self.snippets)
        headlines = self.newsletter.fallback == "headlines" and main < self.newsletter.floor
        if not headlines:
            return self.newsletter.floor, False
        return (self.newsletter.floor if self.newsletter.mode == "automatic" else 1), True


def decide(candidate: Candidate, terms: Terms) -> Verdict:
    """Whether this contact gets the issue, in which edition, with which stories.

    The first reason that holds, in the order of CHECKS, is the one that is kept; then
    stories that the wall forbids or that the contact was told before are left out, and a
    copy with too little left is withheld.
    """
    for reason, check in CHECKS:
        detail = check(candidate, terms)
        if detail is not None:
            return Verdict(candidate.contact.id, into=False, reason=reason, detail=detail)
    return _with_stories(candidate, terms)


def _with_stories(candidate: Candidate, terms: Terms) -> Verdict:
    account = candidate.contact.account_key
    shown: list[tuple[int, Snippet]] = []
    without: list[str] = []
    for number, snippet in numbered(terms.snippets):
        why = _why_without(snippet, account, candidate.told_stories)
        if not why:
            shown.append((number, snippet))
        elif number and not why.startswith("in confidence"):
            without.append(f"story {number} ({why})")
    least, headlines_count = terms.least
    left = sum(1 for number, _ in shown if number or headlines_count)
    detail = f"without {', '.join(without)}" if without else ""
    if left < least:
        few = f"{left} of the {least} stories that a copy needs"
        return Verdict(
            candidate.contact.id,
            into=False,
            reason="too_little_left",
            detail=f"{few}: {detail}" if detail else few,
        )
    return Verdict(
        candidate.contact.id,
        into=True,
        reason="in",
        detail=detail,
        kind=kind_for(terms.relationships[account]),
        language=terms.newsletter.language,
        story_ids=tuple(snippet.story_id for _, snippet in shown),
    )


def _why_without(snippet: Snippet, account_key: str, told: frozenset[int]) -> str:
    if wording_for(snippet, account_key) is None:
        return why_left_out(snippet, account_key)
    return "told before" if snippet.story_id in told else ""


def kind_for(relationship: Relationship) -> EditionKind:
    """Which edition an account reads."""
    return relationship


# ── the reasons, in their order ──────────────────────────────────────────────────────────


def _retired(candidate: Candidate, terms: Terms) -> str | None:
    if candidate.contact.retired_at is not None:
        return "no longer at the account"
    if candidate.contact.account_key not in terms.relationships:
        return "the account is no longer in the constellation's file"
    return None


def _invalid_address(candidate: Candidate, terms: Terms) -> str | None:
    contact = candidate.contact
    return contact.invalid or (None if contact.address else "there is no address")


def _no_basis(candidate: Candidate, terms: Terms) -> str | None:
    return None if candidate.basis else "no recorded ground on which we may write"


def _suppressed(candidate: Candidate, terms: Terms) -> str | None:
    found = candidate.suppression
    return None if found is None else why_suppressed(found)


def _not_subscribed(candidate: Candidate, terms: Terms) -> str | None:
    return "chose not to get this letter" if candidate.subscribed is False else None


def _paused(candidate: Candidate, terms: Terms) -> str | None:
    until = candidate.paused_until
    return f"until {until:%Y-%m-%d}" if until is not None and until > terms.on else None


def _held(candidate: Candidate, terms: Terms) -> str | None:
    return candidate.hold or None


def _had_recap(candidate: Candidate, terms: Terms) -> str | None:
    had = candidate.had_recap_parts
    if not terms.newsletter.recap_of or not had:
        return None
    return f"has had {had} of its stories in {terms.newsletter.recap_of}"


def _capped(candidate: Candidate, terms: Terms) -> str | None:
    if candidate.recent_letters < terms.cap.letters:
        return None
    return f"{candidate.recent_letters} letters in {terms.cap.days} days"


#: Each reason with what finds it: the words of its detail, or None when it does not hold.
CHECKS: tuple[tuple[AudienceReason, Callable[[Candidate, Terms], str | None]], ...] = (
    ("retired", _retired),
    ("invalid_address", _invalid_address),
    ("no_basis", _no_basis),
    ("suppressed", _suppressed),
    ("not_subscribed", _not_subscribed),
    ("paused", _paused),
    ("held", _held),
    ("had_recap", _had_recap),
    ("capped", _capped),
)

#: The whole order, for pages that explain it.
ORDER: tuple[AudienceReason, ...] = (*(reason for reason, _ in CHECKS), "too_little_left")


# ── the sum ──────────────────────────────────────────────────────────────────────────────


def arithmetic(verdicts: Iterable[Verdict], sales: int = 0) -> Arithmetic:
    """The audience as a sum; everybody is counted once."""
    kinds: Counter[str] = Counter()
    out: Counter[AudienceReason] = Counter()
    for verdict in verdicts:
        if verdict.into:
            kinds[verdict.kind or ""] += 1
        else:
            out[verdict.reason] += 1
    letters = kinds.total()
    return Arithmetic(
        contacts=letters + out.total(),
        letters=letters,
        by_kind=tuple(sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0]))),
        left_out=tuple(sorted(out.items(), key=lambda item: (-item[1], ORDER.index(item[0])))),
        sales=sales,
    )


#: A reason after a number, where its own name reads badly there.
_AFTER_A_NUMBER: dict[AudienceReason, str] = {
    "invalid_address": "with an address that does not work",
    "no_basis": "without a basis",
    "not_subscribed": "who chose not to get it",
    "had_recap": "who have had its stories",
    "capped": "who have had letters enough",
    "too_little_left": "with too little left to tell",
}


#: A reason on its own, where its name says too little.
_ON_ITS_OWN: dict[str, str] = {"had_recap": "had its stories already"}


def why_out(reason: str) -> str:
    """Why somebody gets no copy, as it stands after a colon: "had its stories already"."""
    return _ON_ITS_OWN.get(reason, reason.replace("_", " "))


def left_out_in_words(arithmetic_: Arithmetic) -> str:
    """ "21 who have had its stories, 2 paused"; empty when nobody is left out."""
    return ", ".join(
        f"{number} {_AFTER_A_NUMBER.get(reason, reason)}" for reason, number in arithmetic_.left_out
    )
