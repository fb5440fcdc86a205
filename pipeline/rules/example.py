"""What a workspace still says of the example firm that ships with the starter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from pipeline.model.catalog import Firm
from pipeline.rules.catalog import Complaint, Place

NAME = "Example & Partners"
TOWN = "Exampletown"
DOMAIN = "partners.example"
STAFF = frozenset({"Alex Example", "Sam Sample", "Robin Draft"})
SERVICES = frozenset({"We read your range against theirs", "We rehearse your launch"})
NEWS = frozenset({"A second desk for hand tools"})

#: Names that the world keeps for examples and tests; nothing sent there arrives.
#: Source: RFC 2606 §2 and §3
_RESERVED = (
    "example", "test", "invalid", "localhost", "example.com", "example.net", "example.org",
)  # fmt: skip


def still_example(firm: Firm) -> Iterator[Complaint]:
    """What a letter would say in the name of a firm that does not exist."""
    if firm.name.strip() == NAME:
        yield _left(("name",), firm.name)
    if TOWN in firm.postal_address or NAME in firm.postal_address:
        yield _left(("postal_address",), firm.postal_address)
    yield from _in_one(
        [one for one in _addresses(firm) if _is_within(one.host, (DOMAIN,))],
        f"still the example's, at {DOMAIN}, where no reader can leave",
        "is",
    )
    for number, person in enumerate(firm.staff):
        if person.name in STAFF:
            yield _left(("staff", number, "name"), person.name)
        elif any(name in person.signature for name in (NAME, *STAFF)):
            yield _left(("staff", number, "signature"), " ".join(person.signature.split()))
    for number, service in enumerate(firm.services):
        if service.name in SERVICES:
            yield _left(("services", number, "name"), service.name)
    for number, news in enumerate(firm.news):
        if news.title in NEWS:
            yield _left(("news", number, "title"), news.title)


def out_of_reach(firm: Firm) -> Iterator[Complaint]:
    """One complaint for all addresses of ours that no letter and no reader ever reaches."""
    reserved = [one for one in _addresses(firm) if _is_within(one.host, _RESERVED)]
    yield from _in_one(
        [one for one in reserved if not _is_within(one.host, (DOMAIN,))],
        "lies in a domain kept for examples, where nobody is reached",
        "does",
    )


@dataclass(frozen=True, slots=True)
class _Address:
    """Where we are reached: what a file calls it, and the host behind it."""

    place: Place
    name: str
    host: str


def _addresses(firm: Firm) -> Iterator[_Address]:
    yield _Address(("base_url",), "base_url", urlsplit(firm.base_url).hostname or "")
    yield _Address(("contact",), "contact", _domain(firm.contact))
    yield _Address(("mail_domain",), "mail_domain", firm.mail_domain)
    for number, person in enumerate(firm.staff):
        place = ("staff", number, "address")
        yield _Address(place, f"{person.key}’s address", _domain(person.address))


def _in_one(found: Sequence[_Address], what: str, verb: str) -> Iterator[Complaint]:
    """The first at its place, the others behind it; `verb` is what they do, as one does it."""
    if not found:
        return
    first, *others = found
    if others:
        *most, last = [one.name for one in others]
        does = verb if not most else {"is": "are", "does": "do"}[verb]
        what += f"; so {does} {' and '.join(filter(None, (', '.join(most), last)))}"
    yield Complaint(("firm", *first.place), what)


def _left(place: Place, value: str) -> Complaint:
    return Complaint(("firm", *place), f"still the example's: “{value}”")


def _domain(address: str) -> str:
    return address.rpartition("@")[2]


def _is_within(host: str, domains: Iterable[str]) -> bool:
    return f".{host.casefold().rstrip('.')}".endswith(tuple(f".{domain}" for domain in domains))
