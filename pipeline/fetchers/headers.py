"""Reads what a server's header fields say about time, place and itself."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from aiohttp import ClientResponse

_LONGEST_S = int(timedelta(days=36_500).total_seconds())  #: as far as dates can be reckoned
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age\s*=\s*\"?([0-9]{1,12})", re.IGNORECASE)
_SECONDS = re.compile(r"[0-9]{1,12}")
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def field(response: ClientResponse, name: str) -> str:
    """A header field as text; what is not valid UTF-8 is replaced."""
    value = _raw(response, name)
    return value.decode("utf-8", "replace")


def validator(response: ClientResponse, name: str) -> str:
    """ETag or Last-Modified, byte for byte; empty when it cannot be given back that way."""
    try:
        return _raw(response, name).decode("utf-8")
    except UnicodeDecodeError:
        return ""


def location(response: ClientResponse) -> str:
    """Where a redirect points to."""
    value = _raw(response, "Location")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def retry_after_s(response: ClientResponse, now: datetime) -> int | None:
    """Seconds until the server wants to be asked again.

    A date is compared with the server's own clock where it tells it.

    Source: RFC 9110 §10.2.3
    """
    text = field(response, "Retry-After").strip()
    if _SECONDS.fullmatch(text):
        return min(int(text), _LONGEST_S)
    at = _date(text)
    if at is None:
        return None
    seconds = (at - (_date(field(response, "Date")) or now)).total_seconds()
    return min(max(int(seconds), 0), _LONGEST_S)


def max_age_s(response: ClientResponse, now: datetime) -> int | None:
    """How long the answer stays fresh: max-age less its Age, else Expires less Date.

    Source: RFC 9111 §4.2.1
    """
    control = _MAX_AGE.search(field(response, "Cache-Control"))
    if control:
        age = field(response, "Age").strip()
        spent = int(age) if _SECONDS.fullmatch(age) else 0
        return min(max(int(control[1]) - spent, 0), _LONGEST_S)
    expires = _date(field(response, "Expires"))
    if expires is None:
        return None
    seconds = (expires - (_date(field(response, "Date")) or now)).total_seconds()
    return min(max(int(seconds), 0), _LONGEST_S)


def shown(raw_text: str) -> str:
    """A server's words, fit to stand in a sentence of ours."""
    return _UNSEEN.sub("", raw_text)[:80]


def _raw(response: ClientResponse, name: str) -> bytes:
    wanted = name.lower().encode()
    return next(
        (bytes(value) for key, value in response.raw_headers if bytes(key).lower() == wanted), b""
    )


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
