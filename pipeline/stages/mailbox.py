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
from pipeline.rules.letters.kit import is_subject_of
from pipeline.rules.news.address import without_tracking
from pipeline.rules.people.address import normalise
from pipeline.rules.people.by_hand import as_operation
from pipeline.rules.people.copied_mail import CopiedMail, LeftOut, digest_of, read_mail

#: What the forward kit logged a day before or after the mail is the same forward.
SAME = timedelta(hours=24)
#: A mail's subject is looked for among the stories of so many days.
SUBJECTS = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Copied:
    """One touch that a copied mail became."""

    contact: Contact
    touch: Touch
    story: Story | None


@dataclass(frozen=True, slots=True)
class MailboxRead:
    """What a look into the mailbox came to: mails = known + logged + those left out."""

    mails: int  #: that are there
    known: int  #: looked at before
    logged: int  #: new ones that became touches
    touches: tuple[Copied, ...]
    left_out: Mapping[LeftOut, int]  #: new ones that did not, by their reason

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
    with ports.store.read() as tables:
        seen = set(tables.mails.known())
    new, there = _unseen(ports, ports.mailbox, seen)
    staff = {normalise(one.address): one for one in ports.catalog.firm.staff}
    touches: list[Copied] = []
    left_out: Counter[LeftOut] = Counter()
    logged = 0
    for done, (digest, mail) in enumerate(new.items()):
        if ports.stopping():
            there -= len(new) - done  # the next look finds them
            break
        made = _take(ports, digest, mail, staff.get(mail.sender))
        if isinstance(made, str):
            left_out[made] += 1
        elif made:
            logged += 1
            touches += made
        ports.progress(done + 1, len(new), "mails")
    known = there - logged - left_out.total()
    return MailboxRead(there, known, logged, tuple(touches), dict(left_out))


def _unseen(ports: Ports, mailbox: Mailbox, seen: set[str]) -> tuple[Mapping[str, CopiedMail], int]:
    """(what is new, by its digest; how many mails are there); no transaction is open meanwhile.

    The whole box is read before anything is written, so that whoever owns it does not wait
    for our database.
    """
    new: dict[str, CopiedMail] = {}
    there = 0
    for key, raw in mailbox.mails():
        digest = digest_of(raw or key.encode())
        there += 1
        if digest not in seen:
            seen.add(digest)
            new[digest] = read_mail(raw, ports.catalog.firm.mail_domain)
    return new, there


def _take(
    ports: Ports, digest: str, mail: CopiedMail, staff: Staff | None
) -> Sequence[Copied] | LeftOut:
    """The touches of a mail, or why there are none; nothing at all when another was quicker."""
    now = ports.clock.now()
    with ports.store.write() as tables:
        found = _found(tables, mail, staff, now)
        outcome = found if isinstance(found, str) else "logged"
        if not tables.mails.add(digest, outcome, "", now):
            return ()
        if isinstance(found, str):
            return found
        for copied in found:
            tables.mails.link(digest, _log(tables, copied, now))
        return found


def _found(
    tables: Tables, mail: CopiedMail, staff: Staff | None, now: datetime
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
    story = _story(tables, mail, now)
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
    return Copied(contact, touch, story)


def _log(tables: Tables, copied: Copied, now: datetime) -> int:
    touch_id = tables.sales.add_touch(copied.touch)
    told = copied.story.public_id if copied.story else ""
    actor = copied.touch.staff_key  # whose own step it is, to take back
    tables.log.add(as_operation(copied.touch, touch_id, copied.contact, actor, told, now))
    return touch_id


# ── which story ──────────────────────────────────────────────────────────────────────────


def _story(tables: Tables, mail: CopiedMail, now: datetime) -> Story | None:
    """The first story of our pools that the mail links to, or else whose subject it bears."""
    links = ((link, without_tracking(link)) for link in mail.links)
    for link in dict.fromkeys(link for pair in links for link in pair):
        story = _linked(tables, link)
        if story is not None:
            return story
    if mail.subject:
        for story_id, title in tables.forwards.titles(now - SUBJECTS):
            if is_subject_of(mail.subject, title):
                return next(iter(tables.stories.by_ids([story_id])), None)
    return None


def _linked(tables: Tables, link: str) -> Story | None:
    try:
        story = tables.stories.find(link)
    except NotFound:
        return None
    while story.merged_into is not None:
        (story,) = tables.stories.by_ids([story.merged_into])
    in_pools = any(not row["left_out"] for row in tables.stories.pools_of(story.id))
    return story if in_pools else None
