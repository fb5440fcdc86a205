"""Decides who gets what: verdicts, the letters to render, and the rows of the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from pipeline.model.catalog import OwnNews, Service, Staff
from pipeline.model.letters import (
    Arithmetic,
    Finding,
    Letter,
    PlannedDelivery,
    Rendered,
    Verdict,
)
from pipeline.model.people import Basis, Candidate, Contact
from pipeline.ports import Ports
from pipeline.rules.letters import editions
from pipeline.rules.letters.audience import arithmetic, decide
from pipeline.rules.letters.forward import Desk, Standing
from pipeline.rules.letters.language import asking_for
from pipeline.rules.letters.lint import lint_issue, lint_rendered, longest_values
from pipeline.rules.letters.merge import fill_html, fill_text
from pipeline.rules.letters.render import read_templates, render
from pipeline.rules.letters.wall import (
    betrayals,
    is_named,
    numbered,
    tells_customer,
    travels,
    wording_for,
)
from pipeline.stages.compose.reading import Draft

CHUNK = 500


@dataclass(frozen=True, slots=True)
class Variation:
    """One letter to render, and what its readers are told by it."""

    letter: Letter
    story_ids: tuple[int, ...] = ()
    service_key: str = ""


@dataclass(slots=True)
class Plan:
    """Everything that an approval would freeze."""

    verdicts: tuple[Verdict, ...] = ()
    variations: dict[str, Variation] = field(default_factory=dict)  #: by variant key
    rows: list[PlannedDelivery] = field(default_factory=list)

    @property
    def arithmetic(self) -> Arithmetic:
        sales = sum(row.purpose == "sales" for row in self.rows)
        return arithmetic(self.verdicts, sales)

    def add(self, variation: Variation) -> str:
        key = editions.variant_key(variation.letter)
        self.variations.setdefault(key, variation)
        return key


def make_plan(ports: Ports, draft: Draft) -> Plan:
    """Verdicts for everybody, one row for everybody who is in, a letter for every variant."""
    planner = _Planner(ports, draft)
    verdicts = []
    for done, candidate in enumerate(draft.candidates, start=1):
        verdict = draft.settled.get(candidate.contact.id) or decide(candidate, draft.terms)
        verdicts.append(verdict)
        if verdict.into and candidate.contact.id not in draft.settled:
            planner.letter_to(candidate, verdict)
        if done % CHUNK == 0 or done == len(draft.candidates):
            ports.progress(done, len(draft.candidates), "audience")
    planner.plan.verdicts = tuple(verdicts)
    planner.sales(verdicts)
    planner.plan.add(Variation(editions.public_letter(draft.material)))
    return planner.plan


class _Planner:
    """Plans copy by copy; what two copies share is put together once."""

    def __init__(self, ports: Ports, draft: Draft) -> None:
        self._ports = ports
        self._draft = draft
        self._material = draft.material
        self._services = _next_services(draft)
        self._keys: dict[object, str] = {}
        self._reasons: dict[tuple[str, Basis | None], str] = {}
        self.plan = Plan()

    def letter_to(self, candidate: Candidate, verdict: Verdict) -> None:
        contact = candidate.contact
        key = self.variant_for(candidate, verdict)
        self.plan.rows.append(self.row(contact, candidate.basis, key))

    def variant_for(self, candidate: Candidate, verdict: Verdict) -> str:
        """The variant this contact's copy shows; made when nobody before shows the same."""
        kind = verdict.kind or "prospect"
        account = candidate.contact.account_key
        news, service = self._for_customer(candidate) if kind == "customer" else ((), None)
        wordings = tuple(
            (number, snippet.story_id, wording_for(snippet, account))
            for number, snippet in numbered(self._material.snippets)
            if snippet.story_id in verdict.story_ids
        )
        same = (kind, wordings, tuple(piece.key for piece in news), service and service.key)
        if same not in self._keys:
            made = editions.letter(self._material, kind, account, verdict.story_ids, news, service)
            own = self._material.own_stories
            told = (*verdict.story_ids, *(own[n.key] for n in news if n.key in own))
            self._keys[same] = self.plan.add(Variation(made, told, service.key if service else ""))
        return self._keys[same]

    def _for_customer(self, candidate: Candidate) -> tuple[tuple[OwnNews, ...], Service | None]:
        news = editions.fresh_news(self._material, candidate.told_stories)
        return news, self._services.get(candidate.contact.account_key)

    def row(self, contact: Contact, basis: Basis | None, key: str) -> PlannedDelivery:
        """The ledger's row of one letter."""
        ports, material = self._ports, self._material
        public_id = ports.tokens.derive(material.issue.public_id, "letter", contact.public_id)
        token = ports.tokens.make("leave", public_id)
        leave_url = f"{ports.catalog.firm.base_url}/leave/{token}{asking_for(material.language)}"
        return PlannedDelivery(
            purpose="letter",
            address=contact.address,
            name=contact.name,
            merge=editions.merge_values(
                material, contact, self._because(contact.account_key, basis), leave_url
            ),
            variant_key=key,
            contact_id=contact.id,
            due_at=self._draft.goes_at,
            headers=_headers(editions.reply_to(material, contact.account_key)),
            public_id=public_id,
        )

    def _because(self, account_key: str, basis: Basis | None) -> str:
        """Many contacts share a source, and looking for names in it takes time."""
        same = (account_key, basis)
        if same not in self._reasons:
            self._reasons[same] = editions.basis_line(self._material, account_key, basis)
        return self._reasons[same]

    def sales(self, verdicts: list[Verdict]) -> None:
        """The internal edition, one for each account owner."""
        standings: dict[str, list[Standing]] = {}
        for candidate, verdict in zip(self._draft.candidates, verdicts, strict=True):
            standings.setdefault(candidate.contact.account_key, []).append(
                Standing(candidate, verdict)
            )
        for owner_key in self._material.owners:
            owner = self._material.staff(owner_key)
            self._sales_to(owner, owner_key, standings)

    def _sales_to(
        self, owner: Staff, owner_key: str, standings: Mapping[str, list[Standing]]
    ) -> None:
        material = self._material
        accounts = tuple(
            a for a in material.constellation.accounts if material.owner_of(a.key) == owner_key
        )
        desk = Desk(owner, accounts, standings, material.language, self._draft.terms.on)
        key = self.plan.add(Variation(editions.sales_letter(material, desk)))
        self.plan.rows.append(
            PlannedDelivery(
                purpose="sales",
                address=owner.address,
                name=owner.name,
                merge=editions.sales_values(material, owner),
                variant_key=key,
                staff_key=owner.key,
                due_at=self._draft.goes_at,
                headers=_headers(material.staff(material.constellation.curator)),
                public_id=self._ports.tokens.derive(material.issue.public_id, "sales", owner.key),
            )
        )


def planner_for(ports: Ports, draft: Draft) -> _Planner:
    """To plan the copy of a single reader."""
    return _Planner(ports, draft)


def _next_services(draft: Draft) -> dict[str, Service]:
    """What each customer is told of in this issue; all its contacts the same."""
    services = draft.material.catalog.firm.services
    found = {}
    for account, told in editions.told_services(draft.candidates).items():
        going = draft.services.get(account)
        service = next((s for s in services if s.key == going), None)
        service = service or editions.next_service(services, told)
        if service is not None:
            found[account] = service
    return found


def _headers(reply_to: Staff) -> dict[str, str]:
    name = reply_to.name.replace("\\", "").replace('"', "'")
    return {"Reply-To": f'"{name}" <{reply_to.address}>'}


# ── rendering and checking ───────────────────────────────────────────────────────────────


def render_all(ports: Ports, plan: Plan) -> dict[str, Rendered]:
    """Every variant once; no transaction is open meanwhile.

    Raises: BadInput (a template), NotFound (it is missing)
    """
    templates = read_templates(ports.workspace.template)
    made = {}
    for done, (key, variation) in enumerate(plan.variations.items(), start=1):
        made[key] = render(variation.letter, templates)
        ports.progress(done, len(plan.variations), "editions")
    return made


def filled_in(rendered: Rendered, values: Mapping[str, str]) -> Rendered:
    """A copy: the variant with its fields filled in."""
    return replace(
        rendered,
        subject=fill_text(rendered.subject, values),
        html=fill_html(rendered.html, values),
        text=fill_text(rendered.text, values),
    )


def check(
    ports: Ports, draft: Draft, plan: Plan, made: Mapping[str, Rendered]
) -> tuple[Finding, ...]:
    """Everything there is to say, of the issue and of each variant's finished bytes."""
    readers: dict[str, list[Mapping[str, str]]] = {}
    for row in plan.rows:
        readers.setdefault(row.variant_key, []).append(row.merge)
    found = [*_of_issue(ports, draft), *_of_wall(draft)]
    for key, variation in plan.variations.items():
        values = readers.get(key) or [editions.public_values(draft.material)]
        found += lint_rendered(variation.letter, made[key], longest=longest_values(values))
    return tuple(dict.fromkeys(found))


def _of_issue(ports: Ports, draft: Draft) -> Iterator[Finding]:
    ordered = tuple(snippet for _, snippet in numbered(draft.snippets))
    others = tuple(snippet for snippet in draft.snippets if snippet not in ordered)
    for finding in lint_issue(
        draft.issue,
        (*ordered, *others),
        draft.terms.newsletter,
        ports.catalog.firm,
        accounts=draft.material.constellation.accounts,
        reused=draft.reused,
        needs_https=ports.transport.name != "file",
    ):
        if finding.code == "confidence_betrayed":
            continue  # _of_wall looks for more
        yield finding


def _of_wall(draft: Draft) -> Iterator[Finding]:
    """What only the wall knows: a lesson that betrays its source, a customer that is named."""
    material = draft.material
    last_names: dict[str, list[str]] = {}
    for candidate in draft.candidates:
        if candidate.contact.last_name:
            last_names.setdefault(candidate.contact.account_key, []).append(
                candidate.contact.last_name
            )
    for number, snippet in numbered(material.snippets):
        where = f"story {number}" if number else "also noted"
        if snippet.learnt_from and snippet.general_wording.strip():
            for hit in betrayals(
                snippet,
                material.account(snippet.learnt_from),
                last_names.get(snippet.learnt_from, ()),
                material.constellation.accounts,
            ):
                what = f"the general wording holds {hit}, which betrays where it came from"
                yield Finding("confidence_betrayed", where, what, blocks=travels(snippet))
        readers = [key for key in snippet.about if wording_for(snippet, key) == "own"]
        if len(readers) > 1:
            names = ", ".join(a.name for key in readers if (a := material.account(key)))
            what = f"its own wording goes to each of {names}"
            yield Finding("own_wording_shared", where, what, blocks=False)
    yield from _of_naming(draft)


def _of_naming(draft: Draft) -> Iterator[Finding]:
    """Where our own words name an account that should not read, or not be told of, them so."""
    firm, issue, newsletter = draft.material.catalog.firm, draft.issue, draft.terms.newsletter
    accounts = [a for c in draft.material.catalog.constellations for a in c.accounts]
    head = [
        ("subject", issue.subject), ("preheader", issue.preheader), ("theme", issue.theme),
        ("opening", issue.opening),
    ]  # fmt: skip
    for where, text in head:
        for account in draft.material.constellation.accounts:
            if is_named(text, account):
                what = f"it names {account.name}, and stands so in the copies of {account.name} too"
                yield Finding("names_account", where, what, blocks=False)
    stories = [
        (f"story {number}" if number else "also noted", text)
        for number, snippet in numbered(draft.snippets)
        for text in (snippet.title, snippet.fact, snippet.take)
    ]
    for where, text in (*head, *stories):
        for naming in tells_customer(text, accounts):
            what = f"does it say that {naming.account} works with us? “{naming.sentence}”"
            yield Finding("names_customer", where, what, blocks=False)
    ours = [("positioning", newsletter.positioning), ("invitation", newsletter.invitation)]
    ours += [(f"own news {news.key}", f"{news.title}\n{news.text}") for news in firm.news]
    ours += [(f"service {one.key}", f"{one.name}\n{one.text}") for one in firm.services]
    for where, text in ours:
        for account in accounts:
            secret = account.relationship == "customer" and not account.may_be_named
            if secret and is_named(text, account):
                what = f"it names {account.name}, whose file does not say may_be_named"
                yield Finding("names_customer", where, what)
