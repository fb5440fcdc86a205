"""What a workspace still says of the example firm that ships with the starter."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from pipeline.model.catalog import Firm
from pipeline.rules.catalog import Complaint, Place

NAME = "Example & Partners"
TOWN = "Exampletown"
STAFF = frozenset({"Alex Example", "Sam Sample", "Robin Draft"})
SERVICES = frozenset({"We read your range against theirs", "We rehearse your launch"})
NEWS = frozenset({"A second desk for hand tools"})

#: Names that the world keeps for examples and tests; nothing sent there arrives.
#: Source: RFC 2606 §2 and §3
_RESERVED = (".example", ".test", ".invalid", ".localhost")
_RESERVED_DOMAINS = ("example.com", "example.net", "example.org")


def still_example(firm: Firm) -> Iterator[Complaint]:
    """What a letter would say in the name of a firm that does not exist."""
    if firm.name.strip() == NAME:
        yield _left(("name",), firm.name)
    if TOWN in firm.postal_address or NAME in firm.postal_address:
        yield _left(("postal_address",), firm.postal_address)
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
    hosts: list[tuple[Place, str, str]] = [
        (("base_url",), "base_url", urlsplit(firm.base_url).hostname or ""),
        (("contact",), "contact", _domain(firm.contact)),
        (("mail_domain",), "mail_domain", firm.mail_domain),
        *(
            (("staff", number, "address"), f"{person.key}’s address", _domain(person.address))
            for number, person in enumerate(firm.staff)
        ),
    ]
    dead = [(place, name) for place, name, host in hosts if _is_reserved(host)]
    if dead:
        others = [name for _, name in dead[1:]]
        more = " and ".join(filter(None, (", ".join(others[:-1]), *others[-1:])))
        what = "lies in a domain kept for examples, where nobody is reached"
        what += f"; so {'does' if len(others) == 1 else 'do'} {more}" if others else ""
        yield Complaint(("firm", *dead[0][0]), what)


def _left(place: Place, value: str) -> Complaint:
    return Complaint(("firm", *place), f"still the example's: “{value}”")


def _domain(address: str) -> str:
    return address.rpartition("@")[2]


def _is_reserved(host: str) -> bool:
    name = f".{host.casefold().rstrip('.')}"
    return name.endswith(_RESERVED) or name.endswith(tuple(f".{d}" for d in _RESERVED_DOMAINS))
