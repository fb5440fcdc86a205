"""What the files say together: references, clashes and contradictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Protocol
from urllib.parse import urlsplit

from pipeline.errors import BadInput
from pipeline.model.catalog import Account, Catalog, Constellation, Newsletter, Rhythm, Source
from pipeline.rules.people.address import normalise

#: Where something stands, in the words of the files:
#: ("constellations", 0, "newsletters", 1, "cut_off")
Place = tuple[str | int, ...]

#: Words that stand for a person wherever a newsletter names its sender.
ROLES = ("expert", "owner", "sender")


@dataclass(frozen=True, slots=True)
class Complaint:
    """One contradiction, before anybody knows its file and line."""

    place: Place
    what: str
    first: Place | None = None  #: of two that clash, the one that stands first
    because: tuple[Place, ...] = ()  #: what else it follows from


@dataclass(frozen=True, slots=True)
class Unread:
    """Keys of entries that stand in the files and could not be read.

    A reference to one of them is not unknown. None: no entry could be read at all.
    """

    staff: frozenset[str] | None = frozenset()
    constellations: frozenset[str] = frozenset()
    newsletters: frozenset[str] = frozenset()


class _Keyed(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def was(self) -> str: ...


def check(catalog: Catalog, unread: Unread | None = None) -> Iterator[Complaint]:
    """Every contradiction between entries that are each right by themselves."""
    unread = unread or Unread()
    staff = None
    if unread.staff is not None:
        staff = frozenset(s.key for s in catalog.firm.staff) | unread.staff
    yield from _keys(catalog)
    yield from _firm(catalog, staff)
    yield from _sources(catalog, unread)
    for place, constellation in _constellations(catalog):
        yield from _people(place, constellation, staff)
        yield from _names(place, constellation.accounts)
        yield from _words(place, constellation)
        for number, newsletter in enumerate(constellation.newsletters):
            where = (*place, "newsletters", number)
            yield from _senders(where, newsletter, staff)
            yield from _contract(where, newsletter)
            yield from _rhythm((*where, "rhythm"), newsletter.rhythm)
            yield from _recap(where, newsletter, constellation, catalog, unread)


def suggestion(word: str, known: Iterable[str]) -> str:
    """What was probably meant, ready to be added to a sentence; "" when nothing is near."""
    by_folded = {name.casefold(): name for name in known}
    near = get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    if near:
        return f', did you mean "{by_folded[near[0]]}"?'
    if 0 < len(by_folded) <= 8:
        return f" (there is: {', '.join(sorted(by_folded.values()))})"
    return ""


# ── keys ─────────────────────────────────────────────────────────────────────────────────


def _keys(catalog: Catalog) -> Iterator[Complaint]:
    firm = catalog.firm
    accounts: list[tuple[Place, _Keyed]] = []
    newsletters: list[tuple[Place, _Keyed]] = []
    for place, constellation in _constellations(catalog):
        accounts += _placed((*place, "accounts"), constellation.accounts)
        newsletters += _placed((*place, "newsletters"), constellation.newsletters)
    yield from _unique("staff", _placed(("firm", "staff"), firm.staff))
    yield from _unique("service", _placed(("firm", "services"), firm.services))
    yield from _unique("news", _placed(("firm", "news"), firm.news))
    yield from _unique("source", _placed(("sources",), catalog.sources))
    yield from _unique("constellation", list(_constellations(catalog)))
    yield from _unique("account", accounts)
    yield from _unique("newsletter", newsletters)


def _placed(place: Place, entries: Sequence[_Keyed]) -> list[tuple[Place, _Keyed]]:
    return [((*place, number), entry) for number, entry in enumerate(entries)]


def _unique(kind: str, entries: Sequence[tuple[Place, _Keyed]]) -> Iterator[Complaint]:
    """No key twice; no `was` that is a live key or is claimed twice."""
    yield from _twice(
        ((*place, "key"), entry.key, f'the {kind} key "{entry.key}" is taken')
        for place, entry in entries
    )
    live = {entry.key for _, entry in entries}
    renamed = [(place, entry) for place, entry in entries if entry.was]
    for place, entry in renamed:
        if entry.was in live:
            yield Complaint(
                (*place, "was"),
                f'the {kind} "{entry.was}" still stands; `was` names a key that is no more',
            )
    yield from _twice(
        ((*place, "was"), entry.was, f'another {kind} already says that it was "{entry.was}"')
        for place, entry in renamed
    )


def _twice(entries: Iterable[tuple[Place, str, str]]) -> Iterator[Complaint]:
    """Complain of every later (place, value, what) whose value was there before."""
    seen: dict[str, Place] = {}
    for place, value, what in entries:
        if value in seen:
            yield Complaint(place, what, seen[value])
        else:
            seen[value] = place


# ── firm and sources ─────────────────────────────────────────────────────────────────────


def _firm(catalog: Catalog, staff: frozenset[str] | None) -> Iterator[Complaint]:
    for number, person in enumerate(catalog.firm.staff):
        if person.key in ROLES:
            yield Complaint(
                ("firm", "staff", number, "key"),
                f'"{person.key}" already means a role in newsletters; take another key',
            )
    yield from _twice(
        (
            ("firm", "staff", number, "address"),
            _same_address(person.address),
            "two people cannot share an address: each gets a sales edition of their own",
        )
        for number, person in enumerate(catalog.firm.staff)
    )
    for number, service in enumerate(catalog.firm.services):
        yield from _is_staff(("firm", "services", number, "contact"), service.contact, staff)


def _same_address(address: str) -> str:
    try:
        return normalise(address)
    except BadInput:
        return address


def _sources(catalog: Catalog, unread: Unread) -> Iterator[Complaint]:
    known = {c.key for c in catalog.constellations} | unread.constellations
    for number, source in enumerate(catalog.sources):
        place: Place = ("sources", number)
        for position, key in enumerate(source.constellations):
            if key not in known:
                yield Complaint(
                    (*place, "constellations", position),
                    f"there is no constellations/{key}.yaml{suggestion(key, known)}",
                )
        yield from _selectors(place, source)
    yield from _twice(
        (("sources", number, "url"), _same_url(source.url), "another source has this address")
        for number, source in enumerate(catalog.sources)
    )


def _selectors(place: Place, source: Source) -> Iterator[Complaint]:
    if source.kind == "page" and source.selectors is None:
        yield Complaint(
            (*place, "kind"),
            "a page needs `selectors` that say where its news stands: items, title, link",
            because=((*place, "selectors"),),
        )
    if source.kind == "feed" and source.selectors is not None:
        yield Complaint(
            (*place, "selectors"),
            "a feed needs no selectors; for a page write `kind: page`",
            because=((*place, "kind"),),
        )


def _same_url(url: str) -> str:
    parts = urlsplit(url)
    host = (parts.hostname or "").removeprefix("www.")
    port = parts.netloc.rpartition("]")[2].partition(":")[2]
    port = "" if port in ("80", "443") else port
    return f"{host}:{port}{parts.path.rstrip('/')}?{parts.query}"


# ── a constellation ──────────────────────────────────────────────────────────────────────


def _constellations(catalog: Catalog) -> Iterator[tuple[Place, Constellation]]:
    for number, constellation in enumerate(catalog.constellations):
        yield ("constellations", number), constellation


def _people(
    place: Place, constellation: Constellation, staff: frozenset[str] | None
) -> Iterator[Complaint]:
    for role in ("expert", "curator", "approver", "backup"):
        yield from _is_staff((*place, role), getattr(constellation, role), staff)
    for number, account in enumerate(constellation.accounts):
        yield from _is_staff((*place, "accounts", number, "owner"), account.owner, staff)


def _is_staff(place: Place, key: str, staff: frozenset[str] | None) -> Iterator[Complaint]:
    if key and staff is not None and key not in staff:
        yield Complaint(place, f'"{key}" is nobody of the staff in firm.yaml'
                               f"{suggestion(key, staff)}")  # fmt: skip


def _names(place: Place, accounts: Sequence[Account]) -> Iterator[Complaint]:
    """Names, aliases and domains by which the press means exactly one account."""
    taken: dict[str, tuple[int, Place]] = {}
    for number, account in enumerate(accounts):
        where = (*place, "accounts", number)
        spellings = [((*where, "name"), account.name)]
        spellings += [((*where, "aliases", n), a) for n, a in enumerate(account.aliases)]
        for at, spelling in spellings:
            folded = " ".join(spelling.casefold().split())
            holder, first = taken.setdefault(folded, (number, at))
            if holder != number:
                key = accounts[holder].key
                yield Complaint(at, f'"{spelling}" already means the account "{key}"', first)
        for spelling, times in Counter(account.aliases).items():
            if times > 1:
                yield Complaint((*where, "aliases"), f'"{spelling}" stands more than once')
    yield from _twice(
        (
            (*place, "accounts", number, "domain"),
            account.domain.lower().removeprefix("www."),
            f'"{account.domain}" is the domain of another account, too; '
            "leave it out where it is not the main one",
        )
        for number, account in enumerate(accounts)
        if account.domain
    )


def _words(place: Place, constellation: Constellation) -> Iterator[Complaint]:
    watched = {word.text.casefold(): word.text for word in constellation.words}
    for number, text in enumerate(constellation.ignore):
        if text.casefold() in watched:
            yield Complaint(
                (*place, "ignore", number),
                f'"{text}" is watched under `words`; it cannot be ignored as well',
                (*place, "words", watched[text.casefold()]),
            )


# ── a newsletter ─────────────────────────────────────────────────────────────────────────


def _senders(
    place: Place, newsletter: Newsletter, staff: frozenset[str] | None
) -> Iterator[Complaint]:
    for name, roles in (("sender", ("expert", "owner")), ("reply_to", ("sender", "owner"))):
        value = getattr(newsletter, name)
        if value not in roles:
            known = None if staff is None else staff | set(roles)
            yield from _is_staff((*place, name), value, known)


def _contract(place: Place, newsletter: Newsletter) -> Iterator[Complaint]:
    lead_h = newsletter.lead_days * 24
    lead, cut_off = (*place, "lead"), (*place, "cut_off")
    if newsletter.cut_off_h >= lead_h:
        yield Complaint(
            cut_off,
            f"content would freeze {newsletter.cut_off_h} h ahead, but the issue is opened only "
            f"{lead_h} h ahead; make `lead` longer or `cut_off` shorter",
            because=(lead,),
        )
    if newsletter.deadline_h > newsletter.cut_off_h:
        yield Complaint(
            (*place, "deadline"),
            f"approval would be due {newsletter.deadline_h} h ahead, before content freezes "
            f"{newsletter.cut_off_h} h ahead; `deadline` must be the shorter of the two",
            because=(cut_off,),
        )
    if newsletter.mode == "automatic" and newsletter.review_window_h > lead_h:
        yield Complaint(
            (*place, "review_window"),
            f"people would have {newsletter.review_window_h} h to look at an issue that is opened "
            f"{lead_h} h ahead; make `lead` longer or `review_window` shorter",
            because=(lead, (*place, "mode")),
        )
    if newsletter.floor > newsletter.ceiling:
        yield Complaint(
            (*place, "floor"),
            f"at least {newsletter.floor} and at most {newsletter.ceiling} stories is impossible; "
            "`floor` must not be greater than `ceiling`",
            because=((*place, "ceiling"),),
        )


def _rhythm(place: Place, rhythm: Rhythm) -> Iterator[Complaint]:
    on, every = (*place, "on"), (*place, "every")
    if rhythm.cadence == "weekly" and (rhythm.weekday is None or rhythm.nth is not None):
        yield Complaint(
            on, "a rhythm of weeks wants one weekday, such as `on: thursday`", because=(every,)
        )
    if rhythm.cadence != "weekly" and rhythm.weekday is not None and rhythm.nth is None:
        yield Complaint(
            on,
            "a month has four or five of them: say which, such as `on: first thursday` "
            "or `on: last thursday`",
            because=(every,),
        )
    days = {"weekly": 7, "monthly": 28, "quarterly": 90}[rhythm.cadence] * rhythm.every
    if rhythm.late == "send" and rhythm.late_within_h >= days * 24:
        yield Complaint(
            (*place, "late"),
            "a missed issue would still go out when the next one is due; allow less time",
            because=(every,),
        )


def _recap(
    place: Place,
    newsletter: Newsletter,
    constellation: Constellation,
    catalog: Catalog,
    unread: Unread,
) -> Iterator[Complaint]:
    place = (*place, "recap_of")
    here = {n.key: n for n in constellation.newsletters}
    if not newsletter.recap_of or newsletter.recap_of in unread.newsletters - here.keys():
        return
    if newsletter.recap_of == newsletter.key:
        yield Complaint(place, "a newsletter cannot be the recap of itself")
    elif newsletter.recap_of not in here:
        if catalog.newsletter(newsletter.recap_of):
            what = "belongs to another constellation: its readers are others"
        else:
            what = f"is no newsletter{suggestion(newsletter.recap_of, here.keys())}"
        yield Complaint(place, f'"{newsletter.recap_of}" {what}')
    else:
        circle = _circle(newsletter, here.get)
        if circle:
            yield Complaint(place, f"recaps go round in a circle: {' → '.join(circle)}")


def _circle(newsletter: Newsletter, find: Callable[[str], Newsletter | None]) -> list[str]:
    """The keys from a newsletter along `recap_of` back to itself; [] when it is in no circle."""
    path = [newsletter.key]
    step = find(newsletter.recap_of)
    while step is not None and step.key not in path:
        path.append(step.key)
        step = find(step.recap_of)
    return [*path, newsletter.key] if step is not None and step.key == newsletter.key else []
