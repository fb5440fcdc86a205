"""What a provider posts to us: kept as it came, believed when it is signed, understood once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from pipeline.errors import BadInput, NotFound
from pipeline.model.letters import Event, Heard
from pipeline.ports import Events, Ports, Tables
from pipeline.rules.letters.ledger import UNSETTLED
from pipeline.rules.notices import LOST
from pipeline.stages.listen.hearing import Ending, end_letters, end_letters_at

#: So many events share one transaction.
CHUNK = 500


@dataclass(frozen=True, slots=True)
class Received:
    """What became of a body at the door."""

    refused: str = ""  #: why it is not believed; nothing of it was kept
    posting_id: int | None = None  #: where it is kept; None: it was refused, or came before


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What came of a posting, or of those that waited."""

    postings: int = 0  #: that were understood, or marked as broken
    broken: int = 0  #: of these, marked as broken
    events: int = 0  #: that were new to us
    moved: int = 0  #: copies of which we know more than before
    ended: int = 0  #: people or addresses that get no letters any more
    lost: int = 0  #: mails among ourselves that nobody got
    refused: str = ""  #: why it was not believed; nothing of it was kept

    def __add__(self, other: TakenIn) -> TakenIn:
        return TakenIn(
            self.postings + other.postings,
            self.broken + other.broken,
            self.events + other.events,
            self.moved + other.moved,
            self.ended + other.ended,
            self.lost + other.lost,
            self.refused or other.refused,
        )


def receive(ports: Ports, body: bytes, headers: Mapping[str, str]) -> Received:
    """Keep what a provider posted, if it is theirs; it is durable when this returns.

    Nobody has looked into it yet: what is broken is kept, too, or the provider would post it
    again for a day.

    Shape:  body as it came; header names in lower case
    Raises: NotFound when no provider tells us anything; Down when it cannot be kept
    """
    events = _events(ports)
    now = ports.clock.now()
    if refusal := events.refusal(body, headers, now):
        return Received(refused=refusal)
    with ports.store.write() as tables:
        kept = tables.postings.add(events.provider, sha256(body).hexdigest(), body, now)
    return Received(posting_id=kept)


def understand(ports: Ports, posting_id: int) -> TakenIn:
    """Take in one posting that was kept; nothing happens when that was done before.

    Each event counts once, whoever understands it and however often. Killed in the middle
    and begun again, it goes on.

    Raises: NotFound when no provider tells us anything
    """
    events = _events(ports)
    with ports.store.read() as tables:
        body = tables.postings.body(posting_id)
    if body is None:
        return TakenIn()
    try:
        told = events.read(body)
    except BadInput as wrong:
        with ports.store.write() as tables:
            tables.postings.done(posting_id, ports.clock.now(), wrong.message)
        return TakenIn(postings=1, broken=1)
    taken = TakenIn(postings=1)
    for start in range(0, len(told), CHUNK):
        with ports.store.write() as tables:
            chunk = told[start : start + CHUNK]
            new = tables.postings.add_events(events.provider, posting_id, chunk)
            taken += _apply(ports, tables, new)
    with ports.store.write() as tables:
        tables.postings.done(posting_id, ports.clock.now(), "")
    return taken


def take_in(ports: Ports, body: bytes, headers: Mapping[str, str]) -> TakenIn:
    """Receive what a provider posted, and understand it at once.

    Raises: NotFound when no provider tells us anything; Down when it cannot be kept
    """
    received = receive(ports, body, headers)
    if received.posting_id is None:
        return TakenIn(refused=received.refused)
    return understand(ports, received.posting_id)


def take_in_waiting(ports: Ports) -> TakenIn:
    """Finish what was kept and never understood, because somebody died in between."""
    if ports.events is None:
        return TakenIn()
    with ports.store.read() as tables:
        waiting = tables.postings.waiting(ports.events.provider)
    taken = TakenIn()
    for posting_id in waiting:
        if ports.stopping():
            break
        taken += understand(ports, posting_id)
    return taken


def _events(ports: Ports) -> Events:
    if ports.events is None:
        raise NotFound(
            "No provider tells us anything here.",
            "With ASTERISM_TRANSPORT=sendgrid, ASTERISM_SENDGRID_WEBHOOK_KEY opens this door.",
        )
    return ports.events


def _apply(ports: Ports, tables: Tables, new: Sequence[Event]) -> TakenIn:
    """Move the mails that these events tell of, and end letters where they say so."""
    now = ports.clock.now()
    news = [
        (event.delivery_public_id, event.heard, _why(event))
        for event in new
        if event.heard is not None
    ]
    moved = [one for one in tables.deliveries.hear_all(news, now) if one.delivery.state != one.was]
    for issue_id in sorted({one.delivery.issue_id for one in moved if one.was in UNSETTLED}):
        tables.deliveries.move_on(issue_id, now)
    ended = sum(_end_letters(ports, tables, event) for event in new)
    return TakenIn(events=len(new), moved=len(moved), ended=ended) + _notices(ports, tables, new)


def _notices(ports: Ports, tables: Tables, new: Sequence[Event]) -> TakenIn:
    """The same for mail among ourselves: a review that nobody got holds its issue back.

    Our own people's complaints and leaves are on record, and end nothing.
    """
    news: list[tuple[str, Heard, str]] = [
        # who once complained of us is thrown away there, whatever we send
        (event.delivery_public_id, "refused" if event.dropped else event.heard, _why(event))
        for event in new
        if event.heard is not None
    ]
    moved = {one.public_id: one for one in tables.notices.hear_all(news, ports.clock.now())}
    dead = {event.delivery_public_id: _why(event) for event in new if event.hard}
    ended = sum(
        end_letters_at(ports, tables, one, dead[one.public_id])
        for one in moved.values()
        if one.public_id in dead
    )
    return TakenIn(ended=ended, lost=sum(one.state in LOST for one in moved.values()))


def _why(event: Event) -> str:
    return event.detail or event.what


def _end_letters(ports: Ports, tables: Tables, event: Event) -> int:
    why = Ending(event.hard, event.heard == "complained", event.leaves)
    if why == Ending():
        return 0
    copy = tables.deliveries.by_public_id(event.delivery_public_id)
    return end_letters(ports, tables, copy, why, event.detail) if copy else 0
