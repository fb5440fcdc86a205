"""Asks the sources that are due, and stores what is new in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from pipeline.model.catalog import Catalog, Source
from pipeline.model.news import (
    Answer,
    Fetched,
    FetchFailed,
    ParsedFeed,
    ParseFailed,
    Request,
    SourceOutcome,
    SourceState,
)
from pipeline.ports import Ports
from pipeline.rules.news.items import Decision, decide_items
from pipeline.rules.news.polling import (
    ALLOWANCES,
    after,
    fingerprint,
    is_due,
    jitter_of,
    was_read_so,
)

_BATCH = 16  #: answers that are written together
_HISTORY = timedelta(days=90)  #: that a source's history is kept
_PAGE = "text/html, application/xhtml+xml;q=0.9, */*;q=0.1"


@dataclass(frozen=True, slots=True)
class Gathered:
    """How each source fared, in the order of the file, and what came of it."""

    outcomes: tuple[SourceOutcome, ...]
    new: int
    changed: int


@dataclass(frozen=True, slots=True)
class _Asked:
    """A source that is due, with what we remember of it."""

    source: Source
    state: SourceState


@dataclass(frozen=True, slots=True)
class _Round:
    """One source's answer, read."""

    source: Source
    before: SourceState
    after: SourceState
    answer: Answer
    parsed: ParsedFeed | ParseFailed | None  #: None when there was nothing to read
    at: datetime
    decision: Decision = field(default_factory=Decision)


def gather(ports: Ports, *, only: Sequence[str] = (), force: bool = False) -> Gathered:
    """Sources due → asked side by side → read → items, in batches.

    Whenever it is stopped, what was written is whole, and the next run goes on from there:
    an address is asked again at worst, no entry is doubled or lost.

    When it is to stop it writes what has come, and leaves the others due. What the files say
    otherwise by the time of writing is left out; adopting them made it due again.

    Shape:  only holds source keys, all sources when empty; force asks those not yet due,
            but none that asked to be left alone (Retry-After) or is gone (410)
    Raises: NotFound for an unknown key; Down when the store is away
    """
    wanted = _wanted(ports.catalog, only)
    with ports.store.read() as tables:
        states = {state.key: state for state in tables.news.sources()}
        allowed_anew = tables.jobs.mark(ALLOWANCES) != ports.allowances
    now = ports.clock.now()
    outcomes: dict[str, SourceOutcome] = {}
    due: list[_Asked] = []
    for source in wanted:
        state = states.get(source.key)
        if state and is_due(state, now, force=force, allowed_anew=allowed_anew):
            due.append(_Asked(source, state))
        else:
            outcomes[source.key] = _not_asked(source, state)
    for batch in _batches(ports, due):
        for done in _write(ports, batch):
            outcomes[done.key] = done
    for asked in due:
        if asked.source.key not in outcomes:
            outcomes[asked.source.key] = _not_asked(asked.source, asked.state)
    with ports.store.write() as tables:
        tables.news.trim_history(now - _HISTORY)
        if allowed_anew and not only and not ports.stopping():
            tables.jobs.set_mark(ALLOWANCES, ports.allowances)
    told = tuple(outcomes[source.key] for source in wanted)
    return Gathered(
        outcomes=told,
        new=sum(outcome.new for outcome in told),
        changed=sum(outcome.changed for outcome in told),
    )


def _wanted(catalog: Catalog, only: Sequence[str]) -> list[Source]:
    named = {catalog.find_source(key).key for key in only}
    return [source for source in catalog.sources if not only or source.key in named]


def _not_asked(source: Source, state: SourceState | None) -> SourceOutcome:
    if state is None:
        return SourceOutcome(
            source.key,
            source.name,
            "failed",
            reason="not_adopted",
            detail="This source is new in feeds.yaml and not yet known to the database.",
        )
    return SourceOutcome(
        source.key,
        source.name,
        "not_due",
        reason=state.last_reason,
        detail=state.last_detail,
        next_check_at=None if state.gone_at else state.next_check_at,
    )


# ── asking ───────────────────────────────────────────────────────────────────────────────


def _batches(ports: Ports, due: Sequence[_Asked]) -> Iterator[list[_Round]]:
    """Answers as they come, read, in handfuls to be written together."""
    by_address: defaultdict[str, list[_Asked]] = defaultdict(list)
    for asked in sorted(due, key=lambda asked: asked.state.failures):  # the troublesome last
        by_address[asked.state.url].append(asked)
    requests = {url: _request(url, group) for url, group in by_address.items()}
    batch: list[_Round] = []
    done = 0
    with closing(_answers(ports, list(requests.values()))) as answers:
        for request, answer in answers:
            group = by_address[request.url]
            batch += [_read(ports, asked, answer) for asked in group]
            done += len(group)
            ports.progress(done, len(due), "sources")
            if len(batch) >= _BATCH:
                yield batch
                batch = []
            if ports.stopping():  # whoever was not asked is still due
                break
    if batch:
        yield batch


def _answers(
    ports: Ports, requests: Sequence[Request]
) -> Generator[tuple[Request, Answer], None, None]:
    """What the fetcher answers, in a shape that can be closed when we stop early."""
    yield from ports.fetcher.fetch(requests)


def _request(url: str, group: Sequence[_Asked]) -> Request:
    """One question for all sources at this address, conditional if it fits them all."""
    held = {
        (asked.state.etag, asked.state.last_modified)
        if was_read_so(asked.source, asked.state)
        else ("", "")
        for asked in group
    }
    etag, last_modified = held.pop() if len(held) == 1 else ("", "")
    first = group[0].source
    accept = _PAGE if first.kind == "page" else ""
    return Request(first.key, url, etag=etag, last_modified=last_modified, accept=accept)


def _read(ports: Ports, asked: _Asked, answer: Answer) -> _Round:
    source, state, now = asked.source, asked.state, ports.clock.now()
    parsed: ParsedFeed | ParseFailed | None = None
    body_hash = ""
    if isinstance(answer, Fetched):
        body_hash = fingerprint(source, state.url, answer.body)
        if body_hash != state.body_hash:
            parsed = _parse(ports, source, answer)
        answer = replace(answer, body=b"")  # it is not needed any more, and it may be large
    remembered = after(source, state, answer, parsed, body_hash, now, jitter_of(source.key))
    return _Round(source, state, remembered, answer, parsed, now)


def _parse(ports: Ports, source: Source, answer: Fetched) -> ParsedFeed | ParseFailed:
    if source.kind == "feed":
        return ports.parser.feed(answer.body, answer.content_type, answer.url)
    if source.selectors is None:
        return ParseFailed("no_selectors", "This page has no selectors that say where its news is.")
    return ports.parser.page(answer.body, answer.content_type, answer.url, source.selectors)


# ── writing ──────────────────────────────────────────────────────────────────────────────


def _write(ports: Ports, batch: Sequence[_Round]) -> list[SourceOutcome]:
    """Decide what is new, then write a batch in one go: items and validators together."""
    with ports.store.read() as tables:
        known = {
            done.before.id: tables.news.known_items(done.before.id)
            for done in batch
            if isinstance(done.parsed, ParsedFeed)
        }
    decided = [
        replace(
            done,
            decision=decide_items(done.source, done.parsed.entries, known[done.before.id], done.at),
        )
        if isinstance(done.parsed, ParsedFeed)
        else done
        for done in batch
    ]
    outcomes = []
    with ports.store.write() as tables:
        # in the order of adopting, so that neither waits for the other in a circle
        for done in sorted(decided, key=lambda done: done.before.id):
            outcome = _outcome(done)
            line = _line(done, outcome)
            if not tables.news.record_fetch(done.after, done.at, line, done.before):
                continue
            if done.decision.items:
                tables.news.add_items(done.before.id, done.decision.items, done.at)
            outcomes.append(outcome)
    return outcomes


def _outcome(done: _Round) -> SourceOutcome:
    remembered = done.after
    assert remembered.last_outcome is not None  # noqa: S101  # after() sets it
    return SourceOutcome(
        key=done.source.key,
        name=done.source.name,
        outcome=remembered.last_outcome,
        reason=remembered.last_reason,
        detail=remembered.last_detail or " ".join(_notes(done)),
        entries=len(done.parsed.entries) if isinstance(done.parsed, ParsedFeed) else 0,
        new=done.decision.new,
        changed=done.decision.changed,
        next_check_at=None if remembered.gone_at else remembered.next_check_at,
    )


def _notes(done: _Round) -> Iterator[str]:
    """What is worth a word about a round that went well."""
    if isinstance(done.parsed, ParsedFeed):
        yield from done.parsed.warnings
    if done.decision.dropped:
        number = done.decision.dropped
        yield f"{number} {'entry' if number == 1 else 'entries'} had neither title, link nor text."
    if done.after.url != done.before.url:
        yield f"It has moved for good and is asked at {done.after.url} from now on."


def _line(done: _Round, outcome: SourceOutcome) -> dict[str, Any]:
    """A line of the source's history."""
    status = 304
    if isinstance(done.answer, Fetched | FetchFailed):
        status = done.answer.status or 0
    return {
        "outcome": outcome.outcome,
        "reason": outcome.reason,
        "detail": outcome.detail,
        "status": status or None,
        "entries": outcome.entries,
        "new": outcome.new,
        "changed": outcome.changed,
        "elapsed_s": done.answer.elapsed_s,
    }
