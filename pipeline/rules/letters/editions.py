"""Puts an issue's editions together: what each copy shows, and what fills its fields.

The three editions come from the same snippets. What a copy may show of each is the wall's
word; nothing here looks past it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from functools import lru_cache

from pipeline.model.catalog import (
    Account,
    Catalog,
    Constellation,
    Newsletter,
    OwnNews,
    Service,
    Staff,
)
from pipeline.model.letters import EditionKind, Issue, Letter, LetterStory, SalesStory, Snippet
from pipeline.model.people import Basis, Candidate, Contact
from pipeline.rules.letters import forward
from pipeline.rules.letters.language import because, greeting, issue_name, primary, words
from pipeline.rules.letters.markdown import to_blocks
from pipeline.rules.letters.merge import clean_value
from pipeline.rules.letters.wall import (
    is_confidence,
    names,
    numbered,
    told,
    travels,
    wording_for,
)

MOST_NEWS = 3  #: pieces of our own news in one copy

#: Besides the words for a reader's standing: what no recorded source may let through.
_INSIDE = re.compile(
    r"\b(?:accounts?|scor(?:e|es|ed|ing)|crm|rivals?|competitors?)\b", re.IGNORECASE
)
_SIGNED = {
    "en": "{name}, who follows {what} for {firm}",
    "de": "{name}, {firm} ({what})",
}
_SALES = {
    "en": (
        "{name}: {people} have not had these stories",
        "{name}: one person has not had these stories",
        "{name} for your accounts",
        "A ready mail for each of them is inside. Internal: please do not pass this on.",
        "{why} Internal: please do not pass this on.",
        "In confidence: {account}",
    ),
    "de": (
        "{name}: {people} kennen diese Meldungen noch nicht",
        "{name}: eine Person kennt diese Meldungen noch nicht",
        "{name} für Ihre Firmen",
        "Für jede liegt eine fertige Mail bei. Intern: bitte nicht weitergeben.",
        "{why} Intern: bitte nicht weitergeben.",
        "Vertraulich: {account}",
    ),
}


@dataclass(frozen=True, slots=True)
class Material:
    """What all copies of an issue are made of."""

    catalog: Catalog
    constellation: Constellation
    newsletter: Newsletter
    issue: Issue
    snippets: tuple[Snippet, ...]
    news_after: date  #: our own news later than this day is new; see `fresh_news`
    own_stories: Mapping[str, int] = field(default_factory=dict)  #: key of our news → story id

    @property
    def language(self) -> str:
        return self.newsletter.language

    @property
    def web_url(self) -> str:
        return f"{self.catalog.firm.base_url}/issues/{self.issue.public_id}"

    def staff(self, key: str) -> Staff:
        """Who has this key; the expert where nobody has."""
        return (
            self.catalog.staff(key)
            or self.catalog.staff(self.constellation.expert)
            or self.catalog.firm.staff[0]
        )

    def account(self, key: str) -> Account | None:
        return next((a for a in self.constellation.accounts if a.key == key), None)

    def owner_of(self, account_key: str) -> str:
        account = self.account(account_key)
        if account is None:
            return self.constellation.expert
        return self.catalog.owner_of(self.constellation, account)

    @property
    def owners(self) -> tuple[str, ...]:
        """Staff keys of everybody who looks after an account here, in the file's order."""
        return tuple(dict.fromkeys(self.owner_of(a.key) for a in self.constellation.accounts))


# ── letters ──────────────────────────────────────────────────────────────────────────────


def letter(
    material: Material,
    kind: EditionKind,
    account_key: str,
    story_ids: Collection[int],
    news: Sequence[OwnNews] = (),
    service: Service | None = None,
) -> Letter:
    """What a copy for this account shows: these stories, in the wordings the wall allows.

    Shape:  kind is prospect or customer; news and service stand only in the customer's
    """
    stories = _stories(material, account_key, story_ids)
    made = _letter(material, kind, stories)
    if kind == "customer":
        return replace(
            made,
            own_news=tuple((piece.title, piece.text) for piece in news),
            service_title=service.name if service else "",
            service_text=service.text if service else "",
            service_contact=_service_contact(material, service) if service else None,
        )
    return _with_invitation(made, material.newsletter)


def public_letter(material: Material) -> Letter:
    """The issue on the web, which anybody may read: what is public, and nothing else."""
    everything = {snippet.story_id for snippet in material.snippets}
    stories = _stories(material, "", everything)
    return _with_invitation(_letter(material, "public", stories), material.newsletter)


def _stories(
    material: Material, account_key: str, story_ids: Collection[int]
) -> tuple[LetterStory, ...]:
    made = []
    theirs = 0  # places taken by what others told us, and only they may read
    for number, snippet in numbered(material.snippets):
        wording = wording_for(snippet, account_key)
        theirs += bool(number) and snippet.learnt_from != account_key and not travels(snippet)
        if wording and snippet.story_id in story_ids:
            # a gap in the numbers would tell that a rival told us something
            shown = number - theirs if number else 0
            made.append(told(snippet, wording, shown, material.language))
    return tuple(made)


def _letter(material: Material, kind: EditionKind, stories: Sequence[LetterStory]) -> Letter:
    issue, newsletter, firm = material.issue, material.newsletter, material.catalog.firm
    return Letter(
        kind=kind,
        language=newsletter.language,
        title=newsletter.title,
        number=issue.number,
        on=issue.beat_on,
        subject=issue.subject,
        preheader=issue.preheader,
        theme=issue.theme,
        opening=issue.opening,
        signed=signed(material),
        stories=tuple(story for story in stories if story.number),
        noted=tuple(story for story in stories if not story.number),
        positioning=newsletter.positioning,
        firm_name=firm.name,
        postal_address=firm.postal_address,
        brand_color=firm.brand.color,
        logo=firm.brand.logo,
        web_url=material.web_url,
    )


def _with_invitation(made: Letter, newsletter: Newsletter) -> Letter:
    return replace(
        made,
        invitation_title=newsletter.invitation_title,
        invitation_text=newsletter.invitation,
    )


def signed(material: Material) -> str:
    """Who writes: "Maren Ostrup, who follows power tools for Ferrier & Wick"."""
    form = _SIGNED.get(primary(material.language), _SIGNED["en"])
    what = material.constellation.name
    if form is _SIGNED["en"] and re.fullmatch(r"[A-Z][a-z-]+(?: [a-z-]+)*", what):
        # "Power tools" stands in a sentence here; "Nordic ferries" keeps its capital
        first = what.split()[0]
        if not first.endswith(("ic", "ish", "ean", "ian", "ese", "ine", "ch")):
            what = what[0].lower() + what[1:]
    expert = material.staff(material.constellation.expert)
    return form.format(name=expert.name, what=what, firm=material.catalog.firm.name)


def variant_key(made: Letter) -> str:
    """A digest of everything a variant shows: the same key, the same letter."""
    shown = json.dumps(asdict(made), sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(shown.encode()).hexdigest()


# ── for customers ────────────────────────────────────────────────────────────────────────


def fresh_news(material: Material, told_stories: Collection[int]) -> tuple[OwnNews, ...]:
    """What is new with us for one reader: dated after `news_after` and not after the issue.

    The latest first, at most MOST_NEWS. What the ledger knows this reader was told, and what
    stands in the issue as a story already, is left out.
    """
    kept = {snippet.story_id for snippet in material.snippets}
    known = {*told_stories, *kept}
    fresh = [
        piece
        for piece in material.catalog.firm.news
        if material.news_after < piece.on <= material.issue.beat_on
        and material.own_stories.get(piece.key) not in known
    ]
    return tuple(sorted(fresh, key=lambda piece: piece.on, reverse=True)[:MOST_NEWS])


def next_service(services: Sequence[Service], told_services: Collection[str]) -> Service | None:
    """The first service, in the file's order, that nobody at this customer was told of."""
    return next((service for service in services if service.key not in told_services), None)


def _service_contact(material: Material, service: Service) -> tuple[str, str, str]:
    person = material.staff(service.contact)
    return person.name, person.address, person.phone


# ── for our own people ───────────────────────────────────────────────────────────────────


def sales_letter(material: Material, desk: forward.Desk) -> Letter:
    """The internal edition for one account owner.

    A confidence shows in full to the owner of whom it was learnt from, and to the expert,
    curator, approver and backup; any other owner reads the cleared general wording, or
    nothing. Ready mails never carry it. What is only noted is not passed on.
    """
    told_of: list[SalesStory] = []
    for number, snippet in numbered(material.snippets):
        if not number:
            continue
        story = _for_owner(material, snippet, number, desk.owner.key)
        if story is not None:
            inside = sees_confidence(material, snippet, desk.owner.key)
            groups = forward.groups(snippet, number, desk) if inside else ()
            told_of.append(SalesStory(story, groups))
    told_of = list(forward.within_size(told_of))
    people = {
        (group.account_name, row.name, row.role)
        for told_story in told_of
        for group in told_story.groups
        for row in group.rows
    }
    some, one, none, preheader, nobody, _ = _SALES.get(primary(material.language), _SALES["en"])
    form = none if not people else one if len(people) == 1 else some
    ours = words(material.language)
    return replace(
        _letter(material, "sales", [sales_story.story for sales_story in told_of]),
        subject=form.format(
            name=issue_name(material.language, material.newsletter.title, material.issue.number),
            people=ours.people(len(people)),
        ),
        preheader=preheader
        if people
        else nobody.format(why=forward.why_quiet(told_of, material.language)),
        sales=tuple(told_of),
        sales_sums=forward.sums(desk),
        owner_first_name=desk.owner.first_name,
    )


def sees_confidence(material: Material, snippet: Snippet, staff_key: str) -> bool:
    """Whether one of our own people may read what somebody told us; public stories: anybody."""
    constellation = material.constellation
    return not is_confidence(snippet) or staff_key in (
        material.owner_of(snippet.learnt_from),
        constellation.expert,
        constellation.curator,
        constellation.approver,
        constellation.backup,
    )


def _for_owner(
    material: Material, snippet: Snippet, number: int, staff_key: str
) -> LetterStory | None:
    if not sees_confidence(material, snippet, staff_key):
        if not travels(snippet):
            return None
        return told(snippet, "general", number, material.language)
    story = replace(
        told(snippet, "plain", number, material.language), sales_note=snippet.sales_note
    )
    if not is_confidence(snippet):
        return story
    account = material.account(snippet.learnt_from)
    form = _SALES.get(primary(material.language), _SALES["en"])[5]
    return replace(story, signal=form.format(account=account.name if account else "…"))


# ── what fills the fields ────────────────────────────────────────────────────────────────


def sender_of(material: Material, account_key: str) -> Staff:
    """Whose name a copy for this account bears."""
    return _named(material, material.newsletter.sender, account_key)


def reply_to(material: Material, account_key: str) -> Staff:
    """Who gets the answer to a copy for this account."""
    if material.newsletter.reply_to == "sender":
        return sender_of(material, account_key)
    return _named(material, material.newsletter.reply_to, account_key)


def _named(material: Material, rule: str, account_key: str) -> Staff:
    if rule == "owner" and account_key:
        return material.staff(material.owner_of(account_key))
    return material.staff(material.constellation.expert if rule in ("expert", "owner") else rule)


def sender_values(sender: Staff) -> dict[str, str]:
    """The fields that speak of who sends."""
    return {
        "sender_name": sender.name,
        "sender_first_name": sender.first_name,
        "sender_address": sender.address,
        "sender_phone": sender.phone,
        "signature": _plain(sender.signature),
    }


@lru_cache(maxsize=64)
def _plain(signature: str) -> str:
    """A signature as the lines it was written in; a hundred owners sign ten thousand copies."""
    broken = signature.strip().replace("\n", "  \n")  # Markdown alone would make one line of it
    lines = "\n".join(block.text for block in to_blocks(broken))
    return lines.replace("\u00a0", " ")  # bound words are for the eye, and text has none


def merge_values(
    material: Material, contact: Contact, basis_line: str, leave_url: str
) -> dict[str, str]:
    """Everything that differs between copies of one variant.

    A reader whose company the issue writes about gets no link to the web page: there the
    story stands as their rivals read it. A confidence does not stand there, so what others
    told us of this company takes no link away, and betrays nothing by that.
    """
    first_name = clean_value(contact.first_name)
    named = any(
        contact.account_key in snippet.about and wording_for(snippet, "")
        for snippet in material.snippets
    )
    return {
        "first_name": first_name,
        "greeting": greeting(material.language, first_name),
        **sender_values(sender_of(material, contact.account_key)),
        "basis": basis_line,
        "leave_url": leave_url,
        "web_url": "" if named else material.web_url,
    }


def basis_line(material: Material, account_key: str, basis: Basis | None) -> str:
    """Why a reader of this account gets the letter: "because you asked for it at …"."""
    if basis is None:
        return ""
    others = (
        name
        for account in material.constellation.accounts
        if account.key != account_key
        for name in (account.name, *account.aliases)
    )
    return because(material.language, _speakable(basis, others))


def public_values(material: Material) -> dict[str, str]:
    """What stands in the fields of the public page: nobody's name but the sender's."""
    return {
        "first_name": "",
        "greeting": greeting(material.language, ""),
        **sender_values(sender_of(material, "")),
        "basis": "",
        "leave_url": "",
        "web_url": material.web_url,
    }


def sales_values(material: Material, owner: Staff) -> dict[str, str]:
    """What fills an internal copy."""
    return {
        "first_name": owner.first_name,
        "greeting": greeting(material.language, owner.first_name),
        **sender_values(material.staff(material.constellation.expert)),
        "basis": "",
        "leave_url": "",
        "web_url": material.web_url,
    }


def _speakable(basis: Basis, others: Iterable[str]) -> Basis:
    """The basis, without a source that names another company or shows how we see the reader."""
    named = any(names(basis.source, name) for name in others)
    return replace(basis, source="") if named or _INSIDE.search(basis.source) else basis


# ── services told to a customer ──────────────────────────────────────────────────────────


def told_services(candidates: Iterable[Candidate]) -> dict[str, set[str]]:
    """Account key → services that somebody there was told of."""
    told_at: dict[str, set[str]] = {}
    for candidate in candidates:
        told_at.setdefault(candidate.contact.account_key, set()).update(candidate.told_services)
    return told_at
