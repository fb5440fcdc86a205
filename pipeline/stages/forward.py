"""Passing one story on to one person: the forward kit, what to know before, and the touch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pipeline.errors import BadInput, Conflict
from pipeline.model.catalog import Account, Constellation, Staff
from pipeline.model.letters import Issue, LetterStory, Snippet
from pipeline.model.news import Story
from pipeline.model.people import EVERYWHERE, Contact, Standing, Suppression
from pipeline.model.sales import Touch
from pipeline.ports import Ports, Tables
from pipeline.rules.letters import editions, wall
from pipeline.rules.letters.kit import best, own_words, ready_mail, uncommented
from pipeline.rules.people.by_hand import SLIP, as_operation
from pipeline.rules.people.standing import current, why_suppressed

CautionCode = Literal[
    "told_before", "no_mail", "paused", "held", "no_basis", "retired", "invalid_address", "erased",
    "no_take", "not_approved", "other_constellation", "names_account", "names_customer",
    "too_long",
]  # fmt: skip
#: What to do instead of writing: "call only", "not before then", as the sales edition says it.
Instead = Literal["", "call_only", "not_before_then"]
State = Literal["logged", "logged_already", "not_logged"]


@dataclass(frozen=True, slots=True)
class Caution:
    """Something to know before the mail leaves."""

    code: CautionCode
    what: str


@dataclass(frozen=True, slots=True)
class Kit:
    """What a salesperson needs to pass a story on."""

    story: str  #: public id
    contact: Contact = field(repr=False)
    account_name: str
    sender: Staff
    wording: wall.Wording
    issue: str  #: whose words these are, as newsletter/number; empty where nobody commented
    language: str
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)  #: a fragment to paste
    mailto: str = field(repr=False)  #: empty where no mail may be written, as eml
    eml: bytes = field(repr=False)
    instead: Instead
    cautions: tuple[Caution, ...]
    state: State


@dataclass(frozen=True, slots=True)
class _Looked:
    """All that is asked of the store, at one instant."""

    contact: Contact
    story: Story
    account: Account
    constellation: Constellation
    kept: Sequence[tuple[Issue, Snippet]]  #: the latest first
    in_pool: bool
    told: Sequence[Mapping[str, Any]]
    suppressions: Sequence[Suppression]
    standing: Standing
    has_basis: bool
    last_names: tuple[str, ...]  #: of the people of whoever told us the story


def forward(
    ports: Ports, story_ref: str, contact_ref: str, *, words: str = "", look: bool = False
) -> Kit:
    """The kit for one story and one contact; it is logged as a forward, and so as told.

    The words are those of the latest issue of the contact's constellation in which somebody
    commented the story, in the wording that the wall allows this account. Where no mail may
    be written nothing is logged: a call is another touch. The same again within a minute is
    the same forward.

    Shape:  story_ref is a story's id, its beginning, or a link; contact_ref an address or id;
            words are the salesperson's own; look shows everything and logs nothing
    Raises: NotFound; BadInput (nobody of ours acts, words too long); Conflict when the wall
            forbids it
    """
    sender = _sender(ports)
    own = own_words(words)
    with ports.store.read() as tables:
        looked = _look(ports, tables, story_ref, contact_ref)
    now = ports.clock.now()
    kit = _made(ports, looked, sender, own, now)
    if look or kit.instead:
        return kit
    return _logged(ports, looked, kit, own, now)


def _sender(ports: Ports) -> Staff:
    """Who acts, by key, name or address.

    Raises: BadInput when it is none of our people
    """
    actor = ports.actor.casefold()
    for one in ports.catalog.firm.staff:
        if actor in (one.key.casefold(), one.name.casefold(), one.address.casefold()):
            return one
    keys = ", ".join(one.key for one in ports.catalog.firm.staff)
    raise BadInput(
        f"“{ports.actor}” is none of our people, so nobody can sign this mail.",
        f"Say who you are with --as; there are: {keys}.",
    )


# ── looking ──────────────────────────────────────────────────────────────────────────────


def _look(ports: Ports, tables: Tables, story_ref: str, contact_ref: str) -> _Looked:
    contact = tables.people.find(contact_ref)
    story = tables.stories.heir(tables.stories.find(story_ref))
    constellation, account = _home(ports, contact)
    kept = tuple(_kept(tables, story, constellation))
    pools = tables.stories.pools_of(story.id)
    told_us = next((s.learnt_from for _, s in kept if s.learnt_from), story.learnt_from)
    people = tables.people.facts(constellation.key) if told_us else ()
    return _Looked(
        contact=contact,
        story=story,
        account=account,
        constellation=constellation,
        kept=kept,
        in_pool=any(
            pool["constellation"] == constellation.key and not pool["left_out"] for pool in pools
        ),
        told=tables.forwards.told_before(contact.id, story.id),
        suppressions=tables.people.suppressions(contact.id),
        standing=tables.people.standing(contact.id),
        has_basis=bool(tables.people.bases(contact.id)),
        last_names=tuple(
            one.contact.last_name for one in people if one.contact.account_key == told_us
        ),
    )


def _home(ports: Ports, contact: Contact) -> tuple[Constellation, Account]:
    """Where the contact's company stands in our files: without its rivals there is no wall."""
    for constellation in ports.catalog.constellations:
        for account in constellation.accounts:
            if account.key == contact.account_key:
                return constellation, account
    raise Conflict(
        f"The company of {contact.name} stands in no file any more, so nobody knows its rivals.",
        f"Put {contact.account_key} back into constellations/, or speak to them.",
    )


def _kept(
    tables: Tables, story: Story, constellation: Constellation
) -> Iterator[tuple[Issue, Snippet]]:
    for issue_id in tables.forwards.issues_with(story.id, constellation.key):
        issue = tables.letters.by_id(issue_id)
        for snippet in tables.snippets.of_issue(issue_id):
            if snippet.story_id == story.id:
                yield issue, wall.with_named(snippet, constellation.accounts)


# ── what may be said ─────────────────────────────────────────────────────────────────────


def _made(ports: Ports, looked: _Looked, sender: Staff, own: str, now: datetime) -> Kit:
    issue, snippet = _words(looked)
    wording = _allowed(ports, looked, sender, issue, snippet)
    newsletter = ports.catalog.newsletter(issue.newsletter_key) if issue else None
    home = newsletter or next(iter(looked.constellation.newsletters), None)
    # around a take it is the take's language; alone, the reader's
    speaks = (newsletter.language if newsletter else looked.contact.language) or (
        home.language if home else "en"
    )
    on = now.astimezone(ZoneInfo(home.rhythm.zone if home else "UTC")).date()
    story = wall.told(snippet, wording, 1, speaks)
    instead = _instead(looked, issue, on)
    mail = ready_mail(
        story, looked.contact, sender, speaks=speaks, on=on, words=own, bcc=ports.bcc_address
    )
    cautions = [
        *_of_contact(ports, looked, issue, on),
        *_of_words(looked, issue, story, own),
    ]
    if mail.shortened and not instead:
        what = "The mailto: has no room for all of it; copy the text, or open the draft (--eml)."
        cautions.append(Caution("too_long", what))
    return Kit(
        story=looked.story.public_id,
        contact=looked.contact,
        account_name=looked.account.name,
        sender=sender,
        wording=wording,
        issue=issue.ref if issue else "",
        language=speaks,
        subject=mail.subject,
        text=mail.text,
        html=mail.html,
        mailto="" if instead else mail.mailto,
        eml=b"" if instead else mail.eml,
        instead=instead,
        cautions=tuple(cautions),
        state="not_logged",
    )


def _words(looked: _Looked) -> tuple[Issue | None, Snippet]:
    """Whose words are passed on: a curator's, else the bare story's."""
    chosen = best([snippet for _, snippet in looked.kept], looked.account.key)
    if chosen is None:
        bare = wall.with_named(uncommented(looked.story), looked.constellation.accounts)
        return None, bare
    return next(issue for issue, snippet in looked.kept if snippet == chosen), chosen


def _allowed(
    ports: Ports, looked: _Looked, sender: Staff, issue: Issue | None, snippet: Snippet
) -> wall.Wording:
    """How the wall lets this account read the story.

    A refusal tells no more than its reader may know: not who told us, and no title.

    Raises: Conflict
    """
    wording = wall.wording_for(snippet, looked.account.key)
    if wording is None:
        raise _forbidden(looked, snippet)
    if wording == "own" and wall.is_confidence(snippet) and issue is not None:
        material = editions.Material(
            ports.catalog, looked.constellation,
            ports.catalog.find_newsletter(issue.newsletter_key), issue, (snippet,), issue.beat_on,
        )  # fmt: skip
        if not editions.sees_confidence(material, snippet, sender.key):
            raise _in_confidence(looked)
    if wording == "general" and _betrays(ports, looked, snippet):
        raise Conflict(
            "Its wording for others betrays where it came from; it goes to nobody.",
            "Whoever approves the letter looks at it again: asterism issue show ISSUE.",
        )
    return wording


def _betrays(ports: Ports, looked: _Looked, snippet: Snippet) -> bool:
    told_us = ports.catalog.account(snippet.learnt_from)
    return bool(wall.betrayals(snippet, told_us, looked.last_names, looked.constellation.accounts))


def _forbidden(looked: _Looked, snippet: Snippet) -> Conflict:
    story = looked.story.public_id[:8]
    if not wall.may_enter(snippet):
        return Conflict(
            "This field note is neither public nor learnt from anybody, so it goes to nobody.",
            f"Say which: asterism curate vouch {story} --public",
        )
    if snippet.learnt_from and snippet.learnt_from != looked.account.key:
        return _in_confidence(looked)
    why = wall.why_left_out(snippet, looked.account.key)
    return Conflict(
        f"The wall keeps this story from {looked.account.name}: it is {why}.",
        f"Speak to them, or write one: asterism curate write ISSUE {story} --own-wording TEXT",
    )


def _in_confidence(looked: _Looked) -> Conflict:
    return Conflict(
        f"The wall keeps this story from {looked.account.name}: it was told us in confidence.",
        "Only a general wording that the approver has cleared may travel.",
    )


# ── what to know before ──────────────────────────────────────────────────────────────────


def _instead(looked: _Looked, issue: Issue | None, on: date) -> Instead:
    contact, standing = looked.contact, current(looked.standing, on)
    if contact.retired_at is not None or contact.invalid or not contact.address:
        return "call_only"
    if _asked_for_no_mail(looked, issue):
        return "call_only"
    return "not_before_then" if standing.paused_until else ""


def _asked_for_no_mail(looked: _Looked, issue: Issue | None) -> str:
    """Why they are not to be written to, in words; empty when they may be."""
    for one in looked.suppressions:
        if one.scope == EVERYWHERE:
            return why_suppressed(one)
    out = {one.scope: why_suppressed(one) for one in looked.suppressions}
    chose = {key for key, wanted in looked.standing.subscriptions if not wanted}
    out |= {key: f"chose not to get {key}" for key in chose if key not in out}
    asked = [issue.newsletter_key] if issue else [n.key for n in looked.constellation.newsletters]
    return out[asked[0]] if asked and set(asked) <= out.keys() else ""


def _of_contact(ports: Ports, looked: _Looked, issue: Issue | None, on: date) -> Iterator[Caution]:
    contact, standing = looked.contact, current(looked.standing, on)
    name = contact.name or "This contact"
    for fact in looked.told[:1]:
        yield Caution("told_before", f"{name} has it already: {_through(ports, fact)}.")
    if contact.retired_at is not None:
        yield Caution("retired", f"{name} is no longer at {looked.account.name}.")
    if not contact.address:
        yield Caution("erased", "This contact was erased; there is no address.")
    elif contact.invalid:
        yield Caution("invalid_address", f"The address does not work: {contact.invalid}.")
    if no_mail := _asked_for_no_mail(looked, issue):
        yield Caution("no_mail", f"{name} is not to be mailed: {no_mail}.")
    if standing.paused_until:
        yield Caution("paused", f"{name} gets no letters until {standing.paused_until}.")
    if standing.hold:
        yield Caution("held", f"{standing.held_by} holds letters to {name} back: {standing.hold}.")
    if not looked.has_basis:
        yield Caution("no_basis", f"No basis is recorded on which we may write to {name}.")


def _through(ports: Ports, fact: Mapping[str, Any]) -> str:
    """`forwarded by Tom Reyes on 2027-03-08`, `in under-load/1 on 2027-03-11`."""
    day = f"on {fact['at']:%Y-%m-%d}"
    if fact["issue"]:
        return f"in {fact['issue']} {day}"
    staff = ports.catalog.staff(fact["by"])
    how = "forwarded" if fact["through"] == "forward" else f"told in a {fact['through']}"
    who = staff.name if staff else fact["by"]
    return f"{how} by {who} {day}" if who else f"{how} {day}"


def _of_words(
    looked: _Looked, issue: Issue | None, story: LetterStory, own: str
) -> Iterator[Caution]:
    if not looked.in_pool and issue is None:
        what = f"It is not in the pool of {looked.constellation.name}: it may be no news to them."
        yield Caution("other_constellation", what)
    if not story.take.strip():
        what = "Nobody has written a take on it: it goes with its fact and its link alone."
        yield Caution("no_take", what)
    if issue is not None and issue.approved_at is None:
        yield Caution("not_approved", f"Its words stand in {issue.ref}, which nobody approved yet.")
    others = (a for a in looked.constellation.accounts if a.key != looked.account.key)
    for account in others:
        if own and wall.is_named(own, account):
            yield Caution("names_account", f"Your own words name {account.name}.")
    for naming in wall.tells_customer(own, looked.constellation.accounts):
        what = f"Do your own words say that {naming.account} works with us?"
        yield Caution("names_customer", what)


# ── the touch ────────────────────────────────────────────────────────────────────────────


def _logged(ports: Ports, looked: _Looked, kit: Kit, own: str, now: datetime) -> Kit:
    touch = Touch(
        account_key=looked.contact.account_key,
        contact_id=looked.contact.id,
        kind="forward",
        at=now,
        staff_key=kit.sender.key,
        note=own,
        story_id=looked.story.id,
    )
    with ports.store.write() as tables:
        if tables.sales.same_touch(touch, now - SLIP) is not None:
            return replace(kit, state="logged_already")
        touch_id = tables.sales.add_touch(touch)
        done = as_operation(touch, touch_id, looked.contact, ports.actor, looked.story.public_id)
        tables.log.add(done)
    return replace(kit, state="logged")
