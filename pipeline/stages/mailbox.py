"""The mailbox that gets copies of what our people write: each mail becomes a touch, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.errors import BadInput, NotFound
from pipeline.model.catalog import Staff
from pipeline.model.news import Story
from pipeline.model.people import Contact
from pipeline.model.sales import Touch, TouchKind
from pipeline.ports import Mailbox, Ports, Tables
from pipeline.rules.letters.kit import known_subjects, story_with
from pipeline.rules.news.address import without_tracking
from pipeline.rules.people.address import normalise
from pipeline.rules.people.by_hand import as_operation
from pipeline.rules.people.copied_mail import CopiedMail, LeftOut, digest_of, read_mail

#: What the forward kit logged a day before or after the mail is the same forward.
SAME = timedelta(hours=24)
#: A mail's subject is looked for among the stories of so many days.
SUBJECTS = timedelta(days=90)
#: New mails in one look; the next one goes on.
MOST_AT_ONCE = 2_000
#: Mails in one transaction.
STEP = 25


@dataclass(frozen=True, slots=True)
class Copied:
    """One touch that a copied mail became."""

    contact: Contact
    touch: Touch
    story: str  #: public id; empty for a note
    title: str  #: the story's, when it is public; else the mail's subject


@dataclass(frozen=True, slots=True)
class MailboxRead:
    """What a look into the mailbox came to: mails = known + logged + those left out."""

    mails: int  #: that are there
    known: int  #: looked at before
    logged: int  #: new ones that became touches
    touches: tuple[Copied, ...]
    left_out: Mapping[LeftOut, int]  #: new ones that did not, by their reason
    more: bool = False  #: more are waiting; look again

    @property
    def new(self) -> int:
        return self.mails - self.known


def read_mailbox(ports: Ports) -> MailboxRead:
    """Look at every mail that was not seen before; log a touch for each contact it went to.

    Only what one of our people wrote counts, by the address in From. A mail that links to a
    story of our pools, or bears a forward's subject, is a forward, any other a note; a forward
    that the kit has logged already is not logged twice. A mail's own bytes are never kept.

    Raises: BadInput when no mailbox is set; Down when it cannot be read
    """
    if ports.mailbox is None:
        raise BadInput(
            "There is no mailbox to read.",
            "Name a maildir or an mbox in ASTERISM_BCC_MAILBOX; docs/guide-sales.md shows how.",
        )
    staff = {normalise(one.address): one for one in ports.catalog.firm.staff}
    with ports.store.read() as tables:
        seen = set(tables.mails.known())
        subjects = known_subjects(tables.forwards.titles(ports.clock.now() - SUBJECTS))
    new, there = _unseen(ports, ports.mailbox, seen)
    touches: list[Copied] = []
    left_out: Counter[LeftOut] = Counter()
    waiting, logged = list(new.items()), 0
    while waiting and not ports.stopping():
        step, waiting = waiting[:STEP], waiting[STEP:]
        with ports.store.write() as tables:
            taken = [
                _take(ports, tables, digest, mail, staff.get(mail.sender), subjects)
                for digest, mail in step
            ]
        for made in taken:
            if isinstance(made, str):
                left_out[made] += 1
            elif made:
                logged += 1
                touches += made
        ports.progress(len(new) - len(waiting), len(new), "mails")
    there -= len(waiting)  # the next look finds them
    known = there - logged - left_out.total()
    more = len(new) == MOST_AT_ONCE
    return MailboxRead(there, known, logged, tuple(touches), dict(left_out), more)


def _unseen(ports: Ports, mailbox: Mailbox, seen: set[str]) -> tuple[Mapping[str, CopiedMail], int]:
    """(what is new, by its digest; how many mails are there); no transaction is open meanwhile.

    All of it is read before anything is written, so that whoever owns the box does not wait
    for our database.
    """
    new: dict[str, CopiedMail] = {}
    there = 0
    for key, raw in mailbox.mails():
        digest = digest_of(raw or key.encode())
        there += 1
        if digest in seen:
            continue
        seen.add(digest)
        new[digest] = read_mail(raw, ports.catalog.firm.mail_domain)
        if len(new) == MOST_AT_ONCE:
            break
    return new, there


def _take(
    ports: Ports,
    tables: Tables,
    digest: str,
    mail: CopiedMail,
    staff: Staff | None,
    subjects: Mapping[str, int],
) -> Sequence[Copied] | LeftOut:
    """The touches of a mail, or why there are none; nothing at all when another was quicker."""
    now = ports.clock.now()
    found = _found(tables, mail, staff, subjects, now)
    outcome = found if isinstance(found, str) else "logged"
    if not tables.mails.add(digest, outcome, "", now):
        return ()
    if isinstance(found, str):
        return found
    for copied in found:
        tables.mails.link(digest, _log(tables, copied, now))
    return found


def _found(
    tables: Tables,
    mail: CopiedMail,
    staff: Staff | None,
    subjects: Mapping[str, int],
    now: datetime,
) -> Sequence[Copied] | LeftOut:
    """What a mail is to be logged as; writes nothing."""
    if mail.left_out is not None:
        return mail.left_out
    if staff is None:
        return "not_from_us"
    at = mail.at(now)
    if at is None:
        return "too_old"
    contacts = tuple(_contacts(tables, mail))
    if not contacts:
        return "nobody_known"
    story = _story(tables, mail, subjects)
    made = (_copied(tables, mail, staff, contact, story, at) for contact in contacts)
    return tuple(one for one in made if one is not None) or "logged_already"


def _contacts(tables: Tables, mail: CopiedMail) -> Iterator[Contact]:
    for address in mail.recipients:
        try:
            contact = tables.people.find(address)
        except NotFound:
            continue
        if contact.address:  # whoever was erased is nobody we know
            yield contact


def _copied(
    tables: Tables,
    mail: CopiedMail,
    staff: Staff,
    contact: Contact,
    story: Story | None,
    at: datetime,
) -> Copied | None:
    """The touch of one contact; None when the forward kit has logged this forward already.

    An answer that carries the story along, down in what it quotes, tells it nobody anew.
    """
    kind: TouchKind = "forward" if story else "note"
    if story is not None:
        span = (at - SAME, at + SAME)
        if tables.forwards.passed_on(staff.key, contact.id, story.id, *span):
            return None
        if mail.is_reply and tables.forwards.told_before(contact.id, story.id):
            kind, story = "note", None
    touch = Touch(
        account_key=contact.account_key,
        contact_id=contact.id,
        kind=kind,
        at=at,
        staff_key=staff.key,
        note=mail.subject,
        story_id=story.id if story else None,
    )
    # a confidence is passed on under another title, and listed under that one
    is_open = story is not None and story.is_public and not story.learnt_from
    title = story.title if story and is_open else mail.subject
    return Copied(contact, touch, story.public_id if story else "", title)


def _log(tables: Tables, copied: Copied, now: datetime) -> int:
    touch_id = tables.sales.add_touch(copied.touch)
    actor = copied.touch.staff_key  # whose own step it is, to take back
    done = as_operation(copied.touch, touch_id, copied.contact, actor, copied.story, now)
    tables.log.add(done)
    return touch_id


# ── which story ──────────────────────────────────────────────────────────────────────────


def _story(tables: Tables, mail: CopiedMail, subjects: Mapping[str, int]) -> Story | None:
    """The first story of our pools that the mail links to, or else whose subject it bears."""
    links = ((link, without_tracking(link)) for link in mail.links)
    for link in dict.fromkeys(link for pair in links for link in pair):
        story = _linked(tables, link)
        if story is not None:
            return story
    story_id = story_with(mail.subject, subjects)
    return next(iter(tables.stories.by_ids([story_id])), None) if story_id else None


def _linked(tables: Tables, link: str) -> Story | None:
    try:
        story = tables.stories.heir(tables.stories.find(link))
    except NotFound:
        return None
    in_pools = any(not row["left_out"] for row in tables.stories.pools_of(story.id))
    return story if in_pools else None
