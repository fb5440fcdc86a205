"""A preview: the very bytes that a reader would get, or has got."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from pipeline.errors import BadInput, NotFound
from pipeline.model.letters import Delivery, EditionKind, Issue, Rendered, Verdict
from pipeline.model.people import Basis, Candidate, Contact
from pipeline.ports import Ports, Tables
from pipeline.rules.letters.editions import public_values
from pipeline.rules.letters.merge import fill_html, fill_text
from pipeline.rules.letters.render import read_templates, render
from pipeline.stages.compose.planning import Plan, filled_in, make_plan, planner_for
from pipeline.stages.compose.reading import FROZEN, Draft, is_over, read_draft

T = TypeVar("T")

_NOBODY = "a" * 26  #: public id of an invented reader


@dataclass(frozen=True, slots=True)
class Preview:
    """One copy as its reader sees it; empty when this reader gets none."""

    issue_ref: str
    kind: EditionKind
    name: str
    address: str
    subject: str
    html: str
    text: str
    verdict: Verdict | None = None  #: of a contact; why it is in or out
    frozen: bool = False  #: these bytes are stored; they will not change
    sample: bool = False  #: nobody real: the issue has no such reader


def preview(
    ports: Ports, ref: str, contact_ref: str = "", kind: EditionKind | None = None
) -> Preview:
    """The letter for one contact, or the internal one for one of our people.

    Of a frozen issue these are the stored bytes; before that the same functions make them
    that approval calls, so that they are equal as long as nothing changes. Who is left out
    gets no letter: then only the verdict is given. Without anybody named, a reader of the
    letter that most of that kind get stands in, or an invented one.

    Shape:  contact_ref is an address, a public id or a staff key; kind defaults to what fits
    Raises: NotFound, BadInput
    """
    staff = ports.catalog.staff(contact_ref)
    if staff is not None and kind in (None, "sales"):
        kind = "sales"
    elif contact_ref and kind in ("sales", "public"):
        raise BadInput(
            f"The {kind} edition has no copy for “{contact_ref}”.",
            "Give a staff key for the sales edition, and nobody for the public page.",
        )
    with ports.store.read() as tables:
        issue = tables.letters.find_issue(ref)
        contact = tables.people.find(contact_ref) if contact_ref and staff is None else None
        if issue.state in FROZEN or is_over(tables, issue):
            return _stored(tables, issue, contact, contact_ref if staff else "", kind)
        draft = read_draft(ports, tables, issue)
        if contact is not None and contact.id in draft.settled:
            return _stored(tables, issue, contact, "", None)
    if kind == "public":
        return _public(ports, draft)
    plan = make_plan(ports, draft)
    if kind == "sales":
        return _internal(ports, draft, plan, contact_ref)
    if contact is not None:
        return _for_contact(ports, draft, plan, contact)
    return _for_sample(ports, draft, plan, kind)


# ── what is frozen ───────────────────────────────────────────────────────────────────────


def _stored(
    tables: Tables,
    issue: Issue,
    contact: Contact | None,
    staff_key: str,
    kind: EditionKind | None,
) -> Preview:
    if kind == "public":
        for variant in tables.letters.variants(issue.id):
            if variant.kind == "public":
                return Preview(
                    issue.ref, "public", "", "", variant.subject, variant.html, variant.text,
                    frozen=True,
                )  # fmt: skip
        raise NotFound(f"Issue {issue.ref} has no public page.")
    verdict = None
    if contact is not None:
        verdict = next(
            (v for v in tables.letters.audience(issue.id) if v.contact_id == contact.id), None
        )
        if verdict is None or not verdict.into:
            return _nothing(issue, contact, verdict)
    kinds = {variant.id: variant.kind for variant in tables.letters.variants(issue.id)}
    meant = [
        delivery
        for delivery in tables.deliveries.of_issue(issue.id)
        if _is_meant(delivery, contact, staff_key, kind, kinds)
    ]
    if meant:
        usual = _most(delivery.variant_id for delivery in meant)
        shown = next(delivery for delivery in meant if delivery.variant_id == usual)
        return _copy(tables, issue, shown, verdict)
    raise NotFound(
        f"Issue {issue.ref} has no such copy.",
        f"`asterism issue show {issue.ref}` tells who gets it.",
    )


def _most(variants: Iterable[T]) -> T:
    """The variant that most copies show; of several the first."""
    ((usual, _),) = Counter(variants).most_common(1)
    return usual


def _is_meant(
    delivery: Delivery,
    contact: Contact | None,
    staff_key: str,
    kind: EditionKind | None,
    kinds: dict[int, EditionKind],
) -> bool:
    if contact is not None:
        return delivery.purpose == "letter" and delivery.contact_id == contact.id
    if staff_key:
        return delivery.purpose == "sales" and delivery.staff_key == staff_key
    if kind is None:
        return delivery.purpose == "letter"
    return kinds.get(delivery.variant_id) == kind


def _copy(tables: Tables, issue: Issue, delivery: Delivery, verdict: Verdict | None) -> Preview:
    variant = tables.letters.variant(delivery.variant_id)
    return Preview(
        issue_ref=issue.ref,
        kind=variant.kind,
        name=delivery.name,
        address=delivery.address,
        subject=fill_text(variant.subject, delivery.merge),
        html=fill_html(variant.html, delivery.merge),
        text=fill_text(variant.text, delivery.merge),
        verdict=verdict,
        frozen=True,
    )


# ── what approval would freeze ───────────────────────────────────────────────────────────


def _for_contact(ports: Ports, draft: Draft, plan: Plan, contact: Contact) -> Preview:
    verdict = next((v for v in plan.verdicts if v.contact_id == contact.id), None)
    row = next((row for row in plan.rows if row.contact_id == contact.id), None)
    if verdict is None or row is None:
        return _nothing(draft.issue, contact, verdict)
    rendered = _render(ports, plan, row.variant_key)
    kind = plan.variations[row.variant_key].letter.kind
    filled = filled_in(rendered, row.merge)
    return Preview(
        draft.issue.ref, kind, row.name, row.address, filled.subject, filled.html, filled.text,
        verdict,
    )  # fmt: skip


def _for_sample(ports: Ports, draft: Draft, plan: Plan, kind: EditionKind | None) -> Preview:
    """A reader of the letter that most get; an invented one where the issue has none."""
    kinds = {key: variation.letter.kind for key, variation in plan.variations.items()}
    letters = [row for row in plan.rows if row.contact_id is not None]
    meant = [row for row in letters if kinds[row.variant_key] == (kind or kinds[row.variant_key])]
    if not meant:
        return _invented(ports, draft, kind or "prospect")
    usual = _most(row.variant_key for row in meant)
    row = next(row for row in meant if row.variant_key == usual)
    filled = filled_in(_render(ports, plan, usual), row.merge)
    return Preview(
        draft.issue.ref, kinds[usual], row.name, row.address,
        filled.subject, filled.html, filled.text,
    )  # fmt: skip


def _invented(ports: Ports, draft: Draft, kind: EditionKind) -> Preview:
    contact = Contact(0, _NOBODY, "?", "reader@reader.example", "Sam", "Reader")
    candidate = Candidate(contact, Basis("consent", "", draft.issue.beat_on), None)
    verdict = Verdict(
        0, into=True, reason="in", kind=kind, language=draft.material.language,
        story_ids=tuple(snippet.story_id for snippet in draft.snippets),
    )  # fmt: skip
    planner = planner_for(ports, draft)
    planner.letter_to(candidate, verdict)
    (row,) = planner.plan.rows
    filled = filled_in(_render(ports, planner.plan, row.variant_key), row.merge)
    return Preview(
        draft.issue.ref, kind, row.name, row.address, filled.subject, filled.html, filled.text,
        sample=True,
    )  # fmt: skip


def _internal(ports: Ports, draft: Draft, plan: Plan, staff_key: str) -> Preview:
    for row in plan.rows:
        if row.purpose == "sales" and row.staff_key == (staff_key or row.staff_key):
            filled = filled_in(_render(ports, plan, row.variant_key), row.merge)
            return Preview(
                draft.issue.ref, "sales", row.name, row.address,
                filled.subject, filled.html, filled.text,
            )  # fmt: skip
    raise NotFound(
        f"“{staff_key}” looks after no account of this constellation.",
        f"Account owners here: {', '.join(draft.material.owners)}.",
    )


def _public(ports: Ports, draft: Draft) -> Preview:
    plan = make_plan(ports, replace(draft, candidates=()))
    key = next(k for k, v in plan.variations.items() if v.letter.kind == "public")
    filled = filled_in(_render(ports, plan, key), public_values(draft.material))
    return Preview(draft.issue.ref, "public", "", "", filled.subject, filled.html, filled.text)


def _render(ports: Ports, plan: Plan, key: str) -> Rendered:
    return render(plan.variations[key].letter, read_templates(ports.workspace.template))


def _nothing(issue: Issue, contact: Contact, verdict: Verdict | None) -> Preview:
    outside = Verdict(
        contact.id, into=False, reason="retired", detail="not a contact of this constellation"
    )
    kind = (verdict.kind if verdict else None) or "prospect"
    return Preview(issue.ref, kind, contact.name, contact.address, "", "", "", verdict or outside)
