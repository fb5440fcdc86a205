"""Mail among ourselves: what is to be written, to be approved, going by itself, or not going."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pipeline.errors import BadInput, Conflict, Down
from pipeline.model.catalog import Constellation, Staff
from pipeline.model.letters import EmptyBeat, Envelope, Fate, Notice, NoticeKind, Receipt
from pipeline.owners import is_dead, this_process
from pipeline.ports import Ports, Tables
from pipeline.rules.letters.audience import arithmetic
from pipeline.rules.letters.automatic import WAITING
from pipeline.rules.letters.lint import lint_issue
from pipeline.rules.letters.notice import (
    Gap,
    Matter,
    about,
    about_beat,
    envelope_of,
    for_review,
    read_templates,
    write_no_issue,
    write_notice,
)
from pipeline.rules.news.address import link_hash
from pipeline.rules.notices import (
    HEARD,
    LOST,
    TOLD_WITHIN,
    Due,
    Facts,
    due_for_beat,
    due_notices,
    goes_to,
    lost_for,
    review_end,
    who_else,
)

#: So many are marked as leaving at once, where the transport can tell what became of them.
CHUNK = 20
#: How long a run may be silent before others take over what it holds: longer than a relay
#: may take for one mail.
LEASE_S = 300


@dataclass(frozen=True, slots=True)
class Told:
    """One notice that was written down."""

    kind: NoticeKind
    ref: str  #: the issue's, or its newsletter's key where there is none
    name: str  #: whom it goes to


@dataclass(frozen=True, slots=True)
class Reminded:
    """What a look at the issues came to; most looks find nothing new to say."""

    written: tuple[Told, ...] = ()


@dataclass(frozen=True, slots=True)
class NoticesSent:
    """How the notices of a run fared."""

    counts: tuple[tuple[str, int], ...] = ()  #: (state, notices)
    next_due_at: datetime | None = None  #: when there is one to send again; None: nothing waits


# ── writing them down ────────────────────────────────────────────────────────────────────


def remind(ports: Ports) -> Reminded:
    """Write down what our people are to be told now; each kind once to each for an issue.

    Raises: BadInput, NotFound for a template of theirs
    """
    now = ports.clock.now()
    with ports.store.read() as tables:
        new = [
            (due, _filled(ports, tables, matter) if due.kind == "review" else matter)
            for matter in _matters(ports, tables)
            for due in _untold(tables, matter, now)
        ]
        gaps = list(_gaps(ports, tables, now))
    if not new and not gaps:
        return Reminded()
    templates = read_templates(ports.workspace.template)
    notices = [
        (gap.newsletter.key, write_no_issue(to, gap, templates, now))
        for due, gap in gaps
        if (to := ports.catalog.staff(due.staff_key)) is not None
    ]
    notices += [
        (matter.issue.ref, write_notice(due.kind, to, matter, templates, now))
        for due, matter in new
        if (to := matter.staff(due.staff_key)) is not None
    ]
    with ports.store.write() as tables:
        written = [(ref, one) for ref, one in notices if tables.notices.add(one)]
    return Reminded(tuple(Told(one.kind, ref, one.name) for ref, one in written))


def _matters(ports: Ports, tables: Tables) -> Iterator[Matter]:
    """Issues about which there may be something to say, with what holds them back."""
    for constellation in ports.catalog.constellations:
        for newsletter in constellation.newsletters:
            for issue in tables.letters.issues(newsletter.key):
                if ports.clock.now() < issue.due_at + TOLD_WITHIN:
                    matter = Matter(issue, newsletter, constellation, ports.catalog.firm)
                    yield _with_words(ports, tables, matter)


def _with_words(ports: Ports, tables: Tables, matter: Matter) -> Matter:
    """With its stories; of an issue that is open also what is missing in its words."""
    issue = matter.issue
    snippets = tuple(tables.snippets.of_issue(issue.id))
    if issue.state not in WAITING:
        return replace(matter, snippets=snippets)
    used = tables.letters.used_links(issue.newsletter_key, issue.id)
    hashes = {snippet.url: link_hash(snippet.url) for snippet in snippets if snippet.url}
    found = lint_issue(
        issue,
        snippets,
        matter.newsletter,
        ports.catalog.firm,
        accounts=matter.constellation.accounts,
        reused={url: used[hashed] for url, hashed in hashes.items() if hashed in used},
        needs_https=ports.transport.name != "file",
    )
    blocking = tuple(finding for finding in found if finding.blocks)
    return replace(matter, snippets=snippets, findings=blocking)


def _untold(tables: Tables, matter: Matter, now: datetime) -> Iterator[Due]:
    issue = matter.issue
    beat = tables.letters.beats(issue.newsletter_key).get(issue.beat_on)
    notices = tables.notices.of(about(issue))
    facts = Facts(
        issue,
        matter.newsletter,
        matter.constellation,
        beat,
        written=not matter.findings,
        instead=_instead(matter, notices),
    )
    for one in due_notices(facts, now):
        if not _is_told(one, matter.staff(one.staff_key), notices):
            yield one


def _gaps(ports: Ports, tables: Tables, now: datetime) -> Iterator[tuple[Due, Gap]]:
    """Beats that had no issue: of each newsletter one mail to each, about all that are not told."""
    for constellation in ports.catalog.constellations:
        for newsletter in constellation.newsletters:
            beats = tables.letters.empty_beats(newsletter.key)
            due = due_for_beat(beats[0], constellation, now) if beats else ()
            if due and (untold := tuple(_not_told(tables, newsletter.key, beats))):
                gap = Gap(newsletter, constellation, ports.catalog.firm, untold)
                yield from ((one, gap) for one in due)


def _not_told(tables: Tables, key: str, beats: Sequence[EmptyBeat]) -> Iterator[EmptyBeat]:
    """Back to the last one of which there is a notice: it told of those before it."""
    for beat in beats:
        if tables.notices.of(about_beat(key, beat)):
            return
        yield beat


def _instead(matter: Matter, notices: Sequence[Notice]) -> Sequence[str]:
    """Whom to tell in place of an approver whose review mail was refused, or came back."""
    reviews = [one for one in notices if one.kind == "review"]
    lost = lost_for(reviews, matter.staff(matter.constellation.approver))
    return who_else(matter.constellation, matter.firm.staff, lost) if lost else ()


def _is_told(due: Due, to: Staff | None, notices: Sequence[Notice]) -> bool:
    """Once is enough; a mail that was refused goes again when its address was mended.

    That the review mail was refused is told again when it was written anew since.
    """
    reviewed = [one.due_at for one in notices if one.kind == "review"]
    since = max(reviewed) if reviewed and due.kind == "review_refused" else None
    return to is None or any(
        (one.kind, one.staff_key) == (due.kind, due.staff_key)
        and (one.state not in LOST or goes_to(one, to))
        and (since is None or one.due_at >= since)
        for one in notices
    )


def _filled(ports: Ports, tables: Tables, matter: Matter) -> Matter:
    """With who gets it, and the links that its approver needs."""
    counts = tables.deliveries.counts(matter.issue.id)
    sales = sum(number for (purpose, _), number in counts.items() if purpose == "sales")
    sum_ = arithmetic(tables.letters.audience(matter.issue.id), sales)
    return for_review(matter, sum_, ports.catalog.firm.base_url, ports.tokens.make)


# ── sending them ─────────────────────────────────────────────────────────────────────────


def send_notices(ports: Ports) -> NoticesSent:
    """Send the notices that are due; each once, whatever dies.

    Can be killed at any moment and run again. One that a dead run left in doubt is looked up
    where the transport remembers what it moved; elsewhere it becomes `unknown` and is never
    sent again. They go to our own people, so no suppression is asked.

    Raises: Down when the transport or the store can take no more; what went out is on record
    """
    owner, counts = this_process(), Counter[str]()
    counts.update(_settle_doubts(ports))
    try:
        while not ports.stopping() and (claimed := _claim(ports, owner)):
            counts.update(_send(ports, claimed))
    finally:
        ports.transport.finish()
    with ports.store.read() as tables:
        next_due_at = tables.notices.next_due(ports.clock.now())
    return NoticesSent(tuple(sorted(counts.items())), next_due_at)


def _settle_doubts(ports: Ports) -> Mapping[str, int]:
    """Those between sent and known, of runs that died: find out, or say that nobody knows."""
    now = ports.clock.now()
    with ports.store.read() as tables:
        dead = [owner for owner in tables.notices.holders() if is_dead(owner)]
    if dead:
        with ports.store.write() as tables:
            for owner in dead:
                tables.notices.end_leases(owner, now)
    with ports.store.read() as tables:
        doubts = tables.notices.in_doubt(now)
    if not doubts:
        return {}
    fates = ports.transport.fates([one.public_id for one in doubts])
    with ports.store.write() as tables:
        died = [one for one in doubts if fates[one.public_id] == "not_left"]
        tables.notices.give_back(died, "a run died before sending it")
        known = [(one, _found(one, fates[one.public_id])) for one in doubts if one not in died]
        for one, receipt in known:
            _give_time(ports, tables, one, receipt)
        return tables.notices.settle(known, now)


def _found(notice: Notice, fate: Fate) -> Receipt:
    if fate == "left":
        return Receipt(notice.public_id, "accepted", "found after a crash")
    return Receipt(notice.public_id, "unknown", "a run died while sending it")


def _claim(ports: Ports, owner: str) -> Sequence[Notice]:
    now = ports.clock.now()
    with ports.store.write() as tables:
        number = min(CHUNK, ports.transport.batch_size)
        return tables.notices.claim(owner, now + timedelta(seconds=LEASE_S), now, number)


def _send(ports: Ports, claimed: Sequence[Notice]) -> Mapping[str, int]:
    """Build, mark as attempting, move, settle; counts per state."""
    built = {one.public_id: made for one, made in zip(claimed, _build(ports, claimed), strict=True)}
    with ports.store.write() as tables:
        ours = {one.public_id: one for one in tables.notices.attempting(claimed)}
    made = [built[public_id] for public_id in ours]
    receipts = [(ours[what.delivery_public_id], what) for what in made if isinstance(what, Receipt)]
    try:
        for receipt in ports.transport.send([e for e in made if isinstance(e, Envelope)], None):
            receipts.append((ours[receipt.delivery_public_id], receipt))
    except Down as down:
        settled = {one.id for one, _ in receipts}
        _settle(ports, receipts, [o for o in ours.values() if o.id not in settled], down.message)
        raise
    return _settle(ports, receipts)


def _settle(
    ports: Ports,
    receipts: Sequence[tuple[Notice, Receipt]],
    left: Sequence[Notice] = (),
    why: str = "",
) -> Mapping[str, int]:
    with ports.store.write() as tables:
        tables.notices.give_back(left, why)
        for one, receipt in receipts:
            _give_time(ports, tables, one, receipt)
        return tables.notices.settle(receipts, ports.clock.now())


def _give_time(ports: Ports, tables: Tables, review: Notice, receipt: Receipt) -> None:
    """Whoever hears, or may have heard, late of an automatic issue still has time to stop it."""
    if review.kind != "review" or receipt.outcome not in HEARD:
        return
    issue = tables.letters.find_issue(review.about.removeprefix("issue:"))
    newsletter = ports.catalog.newsletter(issue.newsletter_key)
    until = review_end(issue, newsletter, ports.clock.now()) if newsletter else None
    if until is None or issue.state != "scheduled":
        return
    with suppress(Conflict):  # somebody stops it this very moment
        tables.letters.set_state(
            issue.id, "scheduled", reason=issue.reason, approved_by=issue.approved_by,
            approved_at=issue.approved_at, review_until=until, expect=("scheduled",),
        )  # fmt: skip


def _build(ports: Ports, claimed: Sequence[Notice]) -> Iterator[Envelope | Receipt]:
    """Each one's message; one that cannot be made is refused, and the others go on."""
    for one in claimed:
        try:
            yield _envelope(ports, one)
        except BadInput as wrong:
            yield Receipt(one.public_id, "refused", wrong.message)


def _envelope(ports: Ports, notice: Notice) -> Envelope:
    """Answers go to a colleague; to the firm, where that colleague's address is none.

    Raises: BadInput
    """
    firm, answers = ports.catalog.firm, _answers(ports, notice)
    try:
        return envelope_of(notice, firm, answers)
    except BadInput:
        if answers is None:
            raise
        return envelope_of(notice, firm, None)


def _answers(ports: Ports, notice: Notice) -> Staff | None:
    """Who gets what is written back: the curator; what the curator writes, the approver."""
    constellation = _constellation(ports, notice)
    if constellation is None:
        return None
    others = [key for key in (constellation.curator, constellation.approver)
              if key != notice.staff_key]  # fmt: skip
    return ports.catalog.staff(others[0]) if others else None


def _constellation(ports: Ports, notice: Notice) -> Constellation | None:
    """Whose issue, or whose beat, it tells of; None when no file has it any more."""
    kind, _, name = notice.about.partition(":")
    if kind == "issue":
        with ports.store.read() as tables:
            key = tables.letters.find_issue(name).newsletter_key
    else:
        key = name.partition("/")[0]
    newsletter = ports.catalog.newsletter(key)
    return ports.catalog.constellation(newsletter.constellation) if newsletter else None
