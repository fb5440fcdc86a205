"""When a source is asked again, and what we remember of it: a good guest's manners."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from pipeline.model.catalog import Source
from pipeline.model.news import (
    Answer,
    FetchFailed,
    ParsedFeed,
    ParseFailed,
    Quiet,
    SourceState,
    Unchanged,
)

PACE = timedelta(hours=1)  #: between two polls of one address, at the least
PACE_BLIND = timedelta(hours=24)  #: when the server gives nothing to ask "has it changed?" by
LONGEST = timedelta(days=7)  #: that anything but Retry-After keeps us away
MOVED_SIGHTINGS = 3  #: of the same permanent redirect, in a row, before the address is rewritten
ASKED_TO_WAIT = "asked_to_wait"  #: last_reason while a Retry-After is in force
BLOCKED = "blocked"  #: last_reason when our own guard let nobody ask
#: Under this name the store remembers what the guard let through when all were last asked.
ALLOWANCES = "source_allowances"
_READING = "1"  #: changes when the same bytes are to be read anew
_JITTER = 0.1  #: share of a wait that is drawn, so that a thousand sources do not fire at once
_FAR = datetime(9998, 1, 1, tzinfo=UTC)


def next_check(
    source: Source,
    answer: Answer | ParseFailed,
    state: SourceState,
    now: datetime,
    jitter: float,
) -> datetime:
    """When to ask this source again.

    The longest of our own pace, the server's max-age and the feed's ttl, or, after a
    failure, of our pace and 2**failures hours; at most 7 days. Retry-After is not capped.
    Never within the hours and days that the feed asks to be skipped.

    Shape:  state is what was known before this answer; jitter lies in [0, 1)
    Units:  now and the result are aware UTC
    Source: RFC 9111 §5.2.2.1 (max-age); RFC 9110 §10.2.3 (Retry-After); RSS 2.0 (ttl, skipHours)
    """
    if isinstance(answer, FetchFailed | ParseFailed):
        wait = max(_pace(source), timedelta(hours=2 ** min(state.failures + 1, 12)))
    else:
        wait = max(_pace(source), _freshness(answer.max_age_s), _freshness(state.ttl_s))
        if not (answer.etag or answer.last_modified):
            wait = max(wait, PACE_BLIND)
    wait = min(wait * (1 + _JITTER * jitter), LONGEST)
    at = _out_of_quiet(now + wait, state.quiet)
    if isinstance(answer, FetchFailed) and answer.retry_after_s is not None:
        at = max(at, _later(now, answer.retry_after_s))
    return at


def jitter_of(key: str) -> float:
    """A source's own share of the jitter, in [0, 1): the same in every round."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") / 2**32


def fingerprint(source: Source, url: str, body: bytes) -> str:
    """Tells whether a body was read before, in this way, from this address.

    Shape:  64 hexadecimal digits, the first 8 of them for the way of reading
    """
    return _way(source, url) + hashlib.sha256(body).hexdigest()[:56]


def was_read_so(source: Source, state: SourceState) -> bool:
    """Whether what we hold was read as it would be now: else a 304 would be no use."""
    return state.body_hash.startswith(_way(source, state.url))


def is_due(
    state: SourceState, now: datetime, *, force: bool = False, allowed_anew: bool = False
) -> bool:
    """Whether the source may be asked now; force passes over our own pace only.

    Whom our guard held back is due once it lets other networks or ports through (allowed_anew).

    One that was asked in the future is due: the clock was set back, and our own pace would
    silence it until the clock has come there again.
    """
    if state.gone_at is not None:
        return False
    if state.next_check_at is None or state.next_check_at <= now:
        return True
    was_set_back = state.checked_at is not None and state.checked_at > now
    is_let_through = allowed_anew and state.last_reason == BLOCKED
    return (force or was_set_back or is_let_through) and state.last_reason != ASKED_TO_WAIT


def after(
    source: Source,
    state: SourceState,
    answer: Answer,
    parsed: ParsedFeed | ParseFailed | None,
    body_hash: str,
    now: datetime,
    jitter: float,
) -> SourceState:
    """What to remember of a source after a round.

    A failure, and a body that is no feed, leave validators and body hash as they were: what
    we hold stays right. Success resets the count of failures and the error.

    Shape:  parsed is None when there was nothing to parse (304, the same body, a failure)
    """
    if isinstance(answer, FetchFailed):
        return _after_failure(source, state, answer, answer.reason, answer.detail, now, jitter)
    if isinstance(parsed, ParseFailed):
        return _after_failure(source, state, parsed, parsed.reason, parsed.detail, now, jitter)
    if isinstance(parsed, ParsedFeed):
        state = replace(state, ttl_s=parsed.ttl_s, quiet=parsed.quiet)
    if isinstance(answer, Unchanged):  # a 304 may leave out what has not changed (RFC 9110 §15.4.5)
        answer = replace(
            answer,
            etag=answer.etag or state.etag,
            last_modified=answer.last_modified or state.last_modified,
        )
    return _moved(
        replace(
            state,
            etag=answer.etag,
            last_modified=answer.last_modified,
            body_hash=body_hash or state.body_hash,
            checked_at=now,
            next_check_at=next_check(source, answer, state, now, jitter),
            failures=0,
            last_outcome="unchanged" if parsed is None else "fetched",
            last_reason="",
            last_detail="",
        ),
        answer.moved_to,
    )


def _after_failure(
    source: Source,
    state: SourceState,
    answer: FetchFailed | ParseFailed,
    reason: str,
    detail: str,
    now: datetime,
    jitter: float,
) -> SourceState:
    waits = isinstance(answer, FetchFailed) and answer.retry_after_s is not None
    gone = isinstance(answer, FetchFailed) and answer.gone
    return replace(
        state,
        checked_at=now,
        next_check_at=next_check(source, answer, state, now, jitter),
        failures=state.failures + 1,
        last_outcome="failed",
        last_reason=ASKED_TO_WAIT if waits else reason,
        last_detail=detail,
        gone_at=now if gone else state.gone_at,
    )


def _moved(state: SourceState, moved_to: str) -> SourceState:
    """Count sightings of a permanent redirect; the third in a row rewrites the address."""
    if not moved_to or moved_to == state.url:
        return replace(state, moved_to="", moved_seen=0)
    seen = state.moved_seen + 1 if moved_to == state.moved_to else 1
    if seen >= MOVED_SIGHTINGS:
        return replace(state, url=moved_to, moved_to="", moved_seen=0)
    return replace(state, moved_to=moved_to, moved_seen=seen)


def _way(source: Source, url: str) -> str:
    words = f"{_READING}\0{source.kind}\0{url}\0{source.selectors}"
    return hashlib.sha256(words.encode()).hexdigest()[:8]


def _pace(source: Source) -> timedelta:
    return max(PACE, timedelta(seconds=source.pace_s))


def _freshness(seconds: int | None) -> timedelta:
    return min(timedelta(seconds=max(seconds or 0, 0)), LONGEST)


def _later(now: datetime, seconds: int) -> datetime:
    try:
        return min(now + timedelta(seconds=seconds), _FAR)
    except OverflowError:
        return _FAR


def _out_of_quiet(at: datetime, quiet: Quiet) -> datetime:
    """The first full hour from `at` on that the source does not ask to skip; within 8 days."""
    for _ in range(8 * 24):
        if at.hour not in quiet.hours and at.weekday() not in quiet.days:
            break
        at = at.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    return at
