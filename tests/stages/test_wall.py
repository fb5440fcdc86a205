"""Not one byte leaks: a canary in every confidence, and every byte of every copy is read.

An issue is made in which each field of each story carries a word that stands nowhere else.
Then it is approved and delivered, and all that came out (headers, text, HTML, links, the web
page, the internal mails with their ready mails) is searched for all canaries.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.model.catalog import Cap, OwnNews, Service
from pipeline.rules.letters.audience import Terms
from pipeline.rules.letters.editions import Material
from pipeline.rules.letters.language import OUR_WORDS
from pipeline.rules.letters.merge import fill_html, fill_text
from pipeline.rules.letters.render import read_templates, render
from pipeline.rules.letters.tokens import HmacTokens
from pipeline.stages.compose import approve
from pipeline.stages.compose.planning import make_plan
from pipeline.stages.compose.reading import Draft
from pipeline.stages.deliver import deliver
from pipeline.stores.migrate import migrate
from pipeline.stores.sql import SqlStore
from pipeline.workspace.files import FileWorkspace
from tests.builders import (
    BEAT,
    CATALOG,
    DUE,
    FERRIES,
    FIRM,
    ISSUE,
    SECRET,
    WEEKLY,
    candidate,
    contact,
    snippet,
)
from tests.compose_scene import REF, ROOT, build_scene
from tests.people_scene import ports_of

NORTH, SKAGEN, BLUE = "k1zq", "k2zq", "k3zq"  # keys that no text would hold by chance
KEYS = (NORTH, SKAGEN, BLUE)
#: Who looks after whom, and who may know every confidence.
OWNER = {NORTH: "tom", SKAGEN: "liv", BLUE: "una"}
INSIDERS = {"liv", "eva"}

UNA = replace(FIRM.staff[1], key="una", name="Una Holm", address="una@quaytide.example")
CONSTELLATION = replace(
    FERRIES,
    accounts=tuple(
        replace(account, key=key, owner=OWNER[key])
        for account, key in zip(FERRIES.accounts, KEYS, strict=True)
    ),
    newsletters=(replace(WEEKLY, sender="owner", reply_to="owner", ceiling=20),),
    backup="",
)
OURS = replace(
    CATALOG,
    firm=replace(
        FIRM,
        staff=(*FIRM.staff, UNA),
        news=(OwnNews("n1zq", "A second desk", "We answer from Oslo too.", BEAT),),
        services=(Service("s1zq", "We time your berths", "Two days, one table.", "tom"),),
    ),
    constellations=(CONSTELLATION,),
    digest="wall",
)


@dataclass
class Canaries:
    """Words that stand in one place each, and who may see them."""

    readers: dict[str, set[str]] = field(default_factory=dict)  #: account keys, "" is the web
    staff: dict[str, set[str]] = field(default_factory=dict)
    mails: dict[str, set[str]] = field(default_factory=dict)  #: ready mails, by account key

    def make(
        self,
        name: str,
        readers: Iterable[str] = (),
        staff: Iterable[str] = (),
        mails: Iterable[str] = (),
    ) -> str:
        """A canary, as one word without figures, so that nothing folds or cuts it."""
        number = len(self.readers)
        word = f"Zq{name}" + "".join(chr(ord("a") + int(d)) for d in f"{number:03d}") + "qz"
        self.readers[word] = set(readers)
        self.staff[word] = set(staff)
        self.mails[word] = set(mails)
        return word


ALL_STAFF = set(OWNER.values())


def public_words(canary: Canaries, about: tuple[str, ...], own: bool) -> dict[str, str]:
    """Words of a public story: rivals and the web see it, its own accounts only their wording."""
    others = {*KEYS, ""} - set(about)
    mails = set(KEYS) - set(about)
    return {
        **{
            name: canary.make(f"pub{name}", others, ALL_STAFF, mails)
            for name in ("fact", "take", "question")
        },
        # a headline is public and stays; where an account reads its own wording it has it too
        "title": canary.make(
            "pubtitle", {*others, *(about if own else ())}, ALL_STAFF, set(KEYS) if own else mails
        ),
        "own_wording": canary.make("pubown", about, (), about) if own else "",
        "sales_note": canary.make("pubnote", (), ALL_STAFF),
    }


def secret_words(canary: Canaries, teller: str, *, general: str, own: bool) -> dict[str, str]:
    """Words of a confidence: its owner and insiders may read them, and no account at all."""
    may_know = {OWNER[teller], *INSIDERS}
    others = set(KEYS) - {teller}
    words = {
        name: canary.make(f"sec{name}", (), may_know)
        for name in ("title", "fact", "take", "question", "sales_note")
    }
    cleared = general == "cleared"
    titled = teller != BLUE  # a wording without a title gets a neutral one, never the note's
    words["general_wording"] = (
        (
            f"# {canary.make('gentitle', others if cleared else (), ALL_STAFF, others)}\n\n"
            if titled
            else ""
        )
        + f"{canary.make('genfact', others if cleared else (), ALL_STAFF, others)}.\n\n"
        f"{canary.make('gentake', others if cleared else (), ALL_STAFF, others)}."
        if general
        else ""
    )
    words["own_wording"] = (
        (f"# {canary.make('owntitle', {teller}, (), {teller})}\n\n" if titled else "")
        + f"{canary.make('ownfact', {teller}, (), {teller})}."
        if own
        else ""
    )
    return words


def all_text(parts: Iterable[str]) -> str:
    """Everything at once, also as a browser or a mail program would decode it."""
    whole = "\n".join(parts)
    return "\n".join((whole, unquote(whole)))


def leaks(text: str, allowed: Mapping[str, set[str]], who: str) -> list[str]:
    return [
        word for word, may in allowed.items() if who not in may and word.lower() in text.lower()
    ]


READY = re.compile(r'href="(mailto:[^"]*)"')


def ready_mails(html: str) -> list[str]:
    return [unquote(link.replace("&amp;", "&")) for link in READY.findall(html)]


# ── from the store to the outbox ─────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('wall') / 'asterism.db'}"
    migrate(url)
    store = SqlStore(url, SECRET)
    yield store
    store.close()


@pytest.fixture(scope="module")
def wall(store, tmp_path_factory):
    """The whole issue, delivered: (canaries, mails by recipient's address, web page)."""
    tmp_path = tmp_path_factory.mktemp("outbox")
    scene = build_scene(store, tmp_path, OURS)
    canary = Canaries()
    people = {
        f"{first}{key}".lower(): scene.person(
            f"{first}{key}", key, last_name=f"Last{first}{key}", **fields
        )
        for key in KEYS
        # nobody may write to Cilla in bulk: her account's owner gets ready mails for her
        for first, fields in (("Adda", {}), ("Bodil", {}), ("Cilla", {"basis": None}))
    }
    kept = [
        ((), False), ((), False), ((NORTH,), True), ((NORTH,), False), ((SKAGEN,), True),
        ((BLUE, SKAGEN), True),
    ]  # fmt: skip
    for about, _ in kept:
        scene.story(
            canary.make("storytitle"), about=about, score=4.31337,
            text=f"{canary.make('storytext')} and nothing else.",
        )  # fmt: skip
    scene.open()
    for number, (about, own) in enumerate(kept):
        scene.write(scene.story_ids[number], **public_words(canary, about, own))
    to_clear = []
    for teller in KEYS:
        for general, own in (("", False), ("", True), ("written", False), ("cleared", True)):
            may_know = {OWNER[teller], *INSIDERS}
            others = [key for key in KEYS if key != teller]
            story_id = scene.story(
                canary.make("notetitle"),
                kind="note", learnt_from=teller, is_public=False, score=9.31337,
                text=canary.make("notetext"),
                source_name=canary.make("notesource", (), may_know),
                url=f"https://{canary.make('noteurl', (), may_know).lower()}.example/",
                touches=[(key, "rival", canary.make("noteevidence", (), may_know))
                         for key in others],
            )  # fmt: skip
            made = scene.write(story_id, **secret_words(canary, teller, general=general, own=own))
            if general == "cleared":
                to_clear.append(made.story_public_id)
    scene.finish()
    left = people[f"bodil{BLUE}"]
    with store.write() as tables:
        tables.people.suppress(left.id, REF, "left", DUE - timedelta(days=2))
    approve(scene.ports, REF, clear=to_clear)
    scene.at(DUE)
    deliver(scene.ports)
    mails = {}
    for path in (tmp_path / "mail").rglob("*.eml"):
        mail = message_from_bytes(path.read_bytes(), policy=policy.default)
        mails[mail["To"].addresses[0].addr_spec] = (path, mail)
    with store.read() as tables:
        issue = tables.letters.find_issue(REF)
        (page,) = [v for v in tables.letters.variants(issue.id) if v.kind == "public"]
    return canary, people, mails, page


def decoded(path: Path, mail) -> str:
    """Raw bytes, decoded headers and decoded parts."""
    headers = [f"{name}: {value}" for name, value in mail.items()]
    bodies = [part.get_content() for part in mail.iter_parts()]
    return all_text([path.read_bytes().decode("ascii"), *headers, *bodies])


def test_not_one_byte_of_a_confidence_leaks(wall):
    canary, people, mails, page = wall
    read = 0
    for name, person in people.items():
        if person.address not in mails:
            continue
        text = decoded(*mails[person.address])
        assert leaks(text, canary.readers, person.account_key) == [], name
        read += 1
    assert read == 5  # all but those without a basis and the one who left
    assert leaks(all_text([page.subject, page.html, page.text]), canary.readers, "") == []
    for staff in ALL_STAFF:
        address = OURS.staff(staff).address
        path, mail = mails[address]
        html = mail.get_body(("html",)).get_content()
        outside = all_text([READY.sub("", html), *(f"{n}: {v}" for n, v in mail.items())])
        assert leaks(outside, canary.staff, staff) == [], staff
        assert path.stat().st_size > 1000


def test_what_may_be_seen_is_seen(wall):
    """A wall that lets nothing through would pass the other tests."""
    canary, people, mails, page = wall
    seen: dict[str, set[str]] = {word: set() for word in canary.readers}
    for person in people.values():
        if person.address in mails:
            text = decoded(*mails[person.address])
            for word in seen:
                if word in text:
                    seen[word].add(person.account_key)
    for word in seen:
        if word in page.html:
            seen[word].add("")
    expected = {word: who for word, who in canary.readers.items() if who}
    assert {word: seen[word] for word in expected} == expected
    told_inside = [w for w, who in canary.staff.items() if who & {"tom"} and "sec" in w]
    tom = mails[OURS.staff("tom").address][1].get_body(("html",)).get_content()
    assert [word for word in told_inside if word not in tom] == []


def test_ready_mails_say_no_more_than_the_readers_own_copy(wall):
    canary, people, mails, _ = wall
    by_address = {person.address: person for person in people.values()}
    checked = 0
    for staff in ALL_STAFF:
        html = mails[OURS.staff(staff).address][1].get_body(("html",)).get_content()
        for link in ready_mails(html):
            address = link.removeprefix("mailto:").split("?")[0]
            if address not in by_address:
                continue  # the sender's own links
            reader = by_address[address]
            assert OWNER[reader.account_key] == staff
            assert leaks(link, canary.mails, reader.account_key) == []
            assert not OUR_WORDS.search(link)
            assert "/leave/" not in link
            checked += 1
    # for each Cilla: what is about them and what they told, in their own wording; and for
    # Skagen's, whose owner may know, the two lessons of others that were cleared
    assert checked == (1 + 2) + (2 + 2 + 2) + (1 + 2)


def test_nothing_in_a_copy_betrays_how_we_see_its_reader(wall):
    _, people, mails, page = wall
    copies = {
        person.address: decoded(*mails[person.address])
        for person in people.values()
        if person.address in mails
    }
    copies[""] = all_text([page.subject, page.html, page.text])
    for address, text in copies.items():
        plain = re.sub(r"=\r?\n", "", text)
        assert not OUR_WORDS.search(plain), OUR_WORDS.search(plain)
        for inside in ("31337", "rival", "competitor", "score", "n1zq", "s1zq", 'ferries"'):
            assert inside not in plain.lower()
        for key in KEYS:
            own = address.endswith(f"@{key}.example")
            assert own or key not in plain.lower()
        for person in people.values():
            if person.address != address:
                for mine in (person.address, person.last_name, person.first_name):
                    assert mine.lower() not in plain.lower()


def test_who_left_is_only_to_be_called(wall):
    _, people, mails, _ = wall
    left = people[f"bodil{BLUE}"]
    assert left.address not in mails
    html = mails[UNA.address][1].get_body(("html",)).get_content()
    assert left.last_name in html
    assert "Call only" in html.replace("\u00a0", " ").replace("&nbsp;", " ")
    assert not [link for link in ready_mails(html) if left.address in link]


# ── whatever an issue is made of ─────────────────────────────────────────────────────────

STORIES = st.lists(
    st.one_of(
        st.tuples(
            st.just("public"),
            st.lists(st.sampled_from(KEYS), unique=True, max_size=2).map(tuple),
            st.booleans(),
        ),
        st.tuples(
            st.just("secret"),
            st.sampled_from(KEYS),
            st.tuples(st.sampled_from(["", "written", "cleared"]), st.booleans()),
        ),
        st.tuples(st.just("nobody's"), st.none(), st.none()),
    ),
    min_size=1,
    max_size=6,
)
TEMPLATES = read_templates(FileWorkspace(ROOT).template)
TOKENS = HmacTokens(SECRET)


def kept_story(canary: Canaries, number: int, drawn) -> object:
    kind, whom, how = drawn
    if kind == "public":
        return snippet(number, about=whom, **public_words(canary, whom, how))
    if kind == "secret":
        general, own = how
        return snippet(
            number, learnt_from=whom, is_public=False, url="", source_name="",
            published_on=None, cleared_by="liv" if general == "cleared" else "",
            touches=tuple((key, canary.make("why", (), {OWNER[whom], *INSIDERS}))
                          for key in KEYS),
            **secret_words(canary, whom, general=general, own=own),
        )  # fmt: skip
    return snippet(
        number, story_kind="note", is_public=False,
        **{name: canary.make("none") for name in ("title", "fact", "take", "own_wording",
                                                  "general_wording", "sales_note")},
    )  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    drawn=STORIES,
    told=st.frozensets(st.integers(1, 6), max_size=2),
    section=st.lists(st.sampled_from(["main", "main", "noted"]), min_size=6, max_size=6),
)
def test_no_mix_of_stories_leaks(store, drawn, told, section):
    canary = Canaries()
    kept = tuple(
        replace(kept_story(canary, number, story), section=section[number - 1])
        for number, story in enumerate(drawn, start=1)
    )
    newsletter = replace(CONSTELLATION.newsletters[0], floor=1)
    draft = Draft(
        stored=kept,
        material=Material(OURS, CONSTELLATION, newsletter, ISSUE, kept, BEAT - timedelta(days=9)),
        terms=Terms(
            newsletter, kept, {a.key: a.relationship for a in CONSTELLATION.accounts}, Cap(), BEAT
        ),
        candidates=tuple(
            replace(
                candidate(n, key), contact=contact(n, key, public_id=TOKENS.derive(str(n))),
                told_stories=told if n % 2 else frozenset(),
            )
            for n, key in enumerate(KEYS * 2)
        ),
        settled={}, services={}, reused={}, goes_at=ISSUE.due_at,
    )  # fmt: skip
    plan = make_plan(replace(ports_of(store, OURS), tokens=TOKENS), draft)
    assert plan.arithmetic.reconciles
    made = {key: render(v.letter, TEMPLATES) for key, v in plan.variations.items()}
    account_of = {c.contact.id: c.contact.account_key for c in draft.candidates}
    for row in plan.rows:
        html = fill_html(made[row.variant_key].html, row.merge)
        text = fill_text(made[row.variant_key].text, row.merge)
        if row.purpose == "letter":
            key = account_of[row.contact_id]
            assert leaks(all_text([html, text, *row.merge.values()]), canary.readers, key) == []
        else:
            assert leaks(all_text([READY.sub("", html)]), canary.staff, row.staff_key) == []
            for link in ready_mails(html):
                key = re.search(r"@(k\dzq)\.example", link)
                assert key is None or leaks(link, canary.mails, key[1]) == []
    (page,) = [made[k] for k, v in plan.variations.items() if v.letter.kind == "public"]
    assert leaks(all_text([page.html, page.text]), canary.readers, "") == []
