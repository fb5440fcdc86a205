from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.catalog import Selectors, Source
from pipeline.model.news import (
    Fetched,
    FetchFailed,
    ParsedFeed,
    ParseFailed,
    Quiet,
    SourceState,
    Unchanged,
)
from pipeline.rules.news.polling import (
    after,
    fingerprint,
    is_due,
    jitter_of,
    next_check,
    was_read_so,
)
from tests.builders import NOW

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
URL = "https://coastwire.example/feed"
SOURCE = Source("coast-wire", "Coast Wire", URL, "feed", ("ferries",))
FRESH = SourceState(id=1, key="coast-wire", url=URL)
GOT = Fetched(URL, 200, "text/xml", b"x", etag='"1"')
BUSY = FetchFailed("status", "The server answered 503.", status=503)


def wait(
    answer: Fetched | Unchanged | FetchFailed | ParseFailed,
    state: SourceState = FRESH,
    source: Source = SOURCE,
    jitter: float = 0.0,
) -> timedelta:
    return next_check(source, answer, state, NOW, jitter) - NOW


# ── when ─────────────────────────────────────────────────────────────────────────────────


def test_at_least_an_hour() -> None:
    assert wait(GOT) == HOUR
    assert wait(GOT, source=replace(SOURCE, pace_s=60)) == HOUR
    assert wait(GOT, source=replace(SOURCE, pace_s=3 * 3_600)) == 3 * HOUR
    assert wait(Unchanged(etag='"1"')) == HOUR


def test_a_day_where_the_server_gives_nothing_to_compare_by() -> None:
    assert wait(replace(GOT, etag="")) == DAY
    assert wait(replace(GOT, etag="", max_age_s=600)) == DAY
    assert wait(replace(GOT, etag="", last_modified="Sun, 06 Nov 1994 08:49:37 GMT")) == HOUR


@pytest.mark.parametrize("answer", [GOT, Unchanged(etag='"1"')])
def test_freshness_is_obeyed_also_from_a_304(answer: Fetched | Unchanged) -> None:
    assert wait(replace(answer, max_age_s=7_200)) == 2 * HOUR
    assert wait(replace(answer, max_age_s=60)) == HOUR
    assert wait(replace(answer, max_age_s=365 * 86_400)) == 7 * DAY
    assert wait(answer, replace(FRESH, ttl_s=4 * 3_600)) == 4 * HOUR
    assert wait(answer, replace(FRESH, ttl_s=10**12)) == 7 * DAY


def test_hours_and_days_to_skip() -> None:
    # it is Monday, 09:00
    assert wait(GOT, replace(FRESH, quiet=Quiet(frozenset({10, 11})))) == 3 * HOUR
    assert wait(GOT, replace(FRESH, quiet=Quiet(days=frozenset({0})))) == 15 * HOUR
    every = Quiet(frozenset(range(24)), frozenset(range(7)))
    assert wait(GOT, replace(FRESH, quiet=every)) <= 9 * DAY


@pytest.mark.parametrize("failed", [BUSY, ParseFailed("not_a_feed", "x")])
def test_failures_double_the_wait_up_to_a_week(failed: FetchFailed | ParseFailed) -> None:
    waits = [wait(failed, replace(FRESH, failures=n)) for n in range(12)]
    assert waits[:5] == [2 * HOUR, 4 * HOUR, 8 * HOUR, 16 * HOUR, 32 * HOUR]
    assert waits[-1] == 7 * DAY
    assert wait(failed, replace(FRESH, failures=10**6)) == 7 * DAY


def test_retry_after_is_not_capped() -> None:
    assert wait(replace(BUSY, retry_after_s=86_400)) == DAY
    assert wait(replace(BUSY, retry_after_s=60 * 86_400)) == 60 * DAY
    assert wait(replace(BUSY, retry_after_s=5)) == 2 * HOUR
    assert next_check(SOURCE, replace(BUSY, retry_after_s=10**15), FRESH, NOW, 0).year > 9_000


@given(
    st.one_of(
        st.builds(
            Fetched,
            url=st.just(URL),
            status=st.just(200),
            content_type=st.just(""),
            body=st.just(b""),
            etag=st.sampled_from(["", '"1"']),
            max_age_s=st.none() | st.integers(0, 10**9),
        ),
        st.builds(
            FetchFailed,
            reason=st.just("status"),
            detail=st.just("x"),
            retry_after_s=st.none() | st.integers(0, 10**9),
        ),
    ),
    st.integers(0, 100),
    st.integers(0, 10**9),
    st.floats(0, 1, exclude_max=True),
    st.frozensets(st.integers(0, 23), max_size=23),
)
def test_never_within_an_hour_and_never_past_what_is_asked(
    answer: Fetched | FetchFailed, failures: int, ttl_s: int, jitter: float, hours: frozenset[int]
) -> None:
    state = replace(FRESH, failures=failures, ttl_s=ttl_s, quiet=Quiet(hours))
    waited = wait(answer, state, jitter=jitter)
    assert waited >= HOUR
    asked = getattr(answer, "retry_after_s", None) or 0
    assert waited <= max(7 * DAY + 23 * HOUR, timedelta(seconds=asked))
    assert waited >= timedelta(seconds=asked)


def test_jitter_spreads_and_stays_the_same() -> None:
    jitters = [jitter_of(f"source-{n}") for n in range(1_000)]
    assert all(0 <= jitter < 1 for jitter in jitters)
    assert jitters == [jitter_of(f"source-{n}") for n in range(1_000)]
    waits = sorted(wait(GOT, jitter=jitter) for jitter in jitters)
    assert waits[0] >= HOUR
    assert len({one // timedelta(seconds=10) for one in waits}) > 30  # over six minutes


# ── whether ──────────────────────────────────────────────────────────────────────────────


def test_who_is_due() -> None:
    later = replace(FRESH, next_check_at=NOW + HOUR)
    assert is_due(FRESH, NOW)
    assert is_due(replace(FRESH, next_check_at=NOW), NOW)
    assert not is_due(later, NOW)
    assert is_due(later, NOW, force=True)
    assert not is_due(replace(later, last_reason="asked_to_wait"), NOW, force=True)
    assert is_due(replace(FRESH, next_check_at=NOW, last_reason="asked_to_wait"), NOW)
    assert not is_due(replace(FRESH, gone_at=NOW - DAY), NOW, force=True)


def test_a_clock_that_was_set_back_silences_no_source() -> None:
    asked = replace(FRESH, checked_at=NOW + 3 * DAY, next_check_at=NOW + 4 * DAY)
    assert is_due(asked, NOW)
    assert not is_due(asked, NOW + 3 * DAY)
    assert not is_due(replace(asked, last_reason="asked_to_wait"), NOW)
    assert not is_due(replace(asked, gone_at=NOW), NOW)


# ── what is remembered ───────────────────────────────────────────────────────────────────

READ = ParsedFeed("Coast Wire", (), ttl_s=3_600, quiet=Quiet(frozenset({3})))
HELD = replace(
    FRESH, etag='"0"', last_modified="then", body_hash="b", ttl_s=60, failures=2,
    last_outcome="failed", last_reason="timeout", last_detail="It was slow.",
)  # fmt: skip


def remember(
    answer: Fetched | Unchanged | FetchFailed,
    parsed: ParsedFeed | ParseFailed | None = None,
    state: SourceState = HELD,
    body_hash: str = "",
) -> SourceState:
    return after(SOURCE, state, answer, parsed, body_hash, NOW, 0.0)


def test_success_resets_failures_and_the_error() -> None:
    state = remember(GOT, READ, body_hash="new")
    assert (state.failures, state.last_reason, state.last_detail) == (0, "", "")
    assert (state.last_outcome, state.checked_at) == ("fetched", NOW)
    assert (state.etag, state.last_modified, state.body_hash) == ('"1"', "", "new")
    assert (state.ttl_s, state.quiet) == (3_600, READ.quiet)


def test_a_304_leaves_what_is_held_and_takes_up_new_validators() -> None:
    state = remember(Unchanged(etag='"2"'))
    assert (state.etag, state.last_modified, state.body_hash) == ('"2"', "then", "b")
    assert (state.last_outcome, state.failures, state.ttl_s) == ("unchanged", 0, 60)
    assert state.next_check_at == NOW + HOUR


def test_the_same_body_is_unchanged() -> None:
    assert remember(GOT, None, body_hash="b").last_outcome == "unchanged"


@pytest.mark.parametrize(
    ("answer", "parsed", "reason"),
    [
        (BUSY, None, "status"),
        (GOT, ParseFailed("not_a_feed", "A web page."), "not_a_feed"),
        (replace(BUSY, retry_after_s=60), None, "asked_to_wait"),
    ],
)
def test_a_failure_erases_nothing(
    answer: Fetched | FetchFailed, parsed: ParseFailed | None, reason: str
) -> None:
    state = remember(answer, parsed, body_hash="of the web page")
    assert (state.etag, state.last_modified, state.body_hash) == ('"0"', "then", "b")
    assert (state.failures, state.last_outcome, state.last_reason) == (3, "failed", reason)
    assert state.last_detail.endswith(".")
    assert state.gone_at is None


def test_410_stops() -> None:
    state = remember(FetchFailed("gone", "It is gone.", status=410, gone=True))
    assert state.gone_at == NOW
    assert not is_due(state, NOW + 400 * DAY)


def test_the_third_sighting_of_a_move_rewrites_the_address() -> None:
    moved = replace(GOT, moved_to="https://new.example/feed")
    first = remember(moved, READ)
    second = remember(Unchanged(moved_to="https://new.example/feed"), state=first)
    assert (first.url, second.url) == (URL, URL)
    assert (second.moved_to, second.moved_seen) == ("https://new.example/feed", 2)
    between = remember(BUSY, state=second)  # a failure says nothing about it
    third = remember(moved, READ, state=between)
    assert (third.url, third.moved_to, third.moved_seen) == ("https://new.example/feed", "", 0)


def test_a_move_that_is_not_repeated_is_forgotten() -> None:
    first = remember(replace(GOT, moved_to="https://new.example/1"), READ)
    other = remember(replace(GOT, moved_to="https://new.example/2"), READ, state=first)
    assert (other.moved_to, other.moved_seen) == ("https://new.example/2", 1)
    back = remember(GOT, READ, state=other)
    assert (back.url, back.moved_to, back.moved_seen) == (URL, "", 0)


def test_other_selectors_or_another_address_mean_reading_anew() -> None:
    page = replace(SOURCE, kind="page", selectors=Selectors("li", "a", "a"))
    mark = fingerprint(page, URL, b"body")
    held = replace(FRESH, body_hash=mark)
    assert len(mark) == 64
    assert mark == fingerprint(page, URL, b"body") != fingerprint(page, URL, b"other")
    assert was_read_so(page, held)
    assert not was_read_so(replace(page, selectors=Selectors("p", "a", "a")), held)
    assert not was_read_so(page, replace(held, url="https://new.example/"))
    assert not was_read_so(page, FRESH)


def test_times_stay_aware() -> None:
    assert next_check(SOURCE, GOT, FRESH, datetime(2027, 1, 1, tzinfo=UTC), 0.5).tzinfo is UTC
