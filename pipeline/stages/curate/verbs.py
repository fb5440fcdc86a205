"""The pool, and what is done with one story at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from pipeline.errors import BadInput, Conflict, NotFound
from pipeline.model.catalog import Account
from pipeline.model.letters import Issue, Section, Snippet
from pipeline.model.news import Mention, PoolStory, Story
from pipeline.ports import Ports, Tables
from pipeline.rules.letters.content_lock import OPEN_STATES
from pipeline.rules.letters.curated import HEAD_LABELS, LABELS, one_line, tidy, tidy_field
from pipeline.rules.letters.prefill import prefilled
from pipeline.rules.news.address import absolute
from pipeline.rules.news.match import Telling, build_matcher, match
from pipeline.rules.news.rank import score_note
from pipeline.stages.curate.record import (
    GONE_STATES,
    POOL_WINDOW,
    Change,
    Done,
    changed_words,
    done,
    dropped_by,
    open_issue,
    story_of,
    words_of,
)


@dataclass(frozen=True, slots=True)
class Kept:
    """A story that now stands in an issue, and what the curator should know."""

    snippet: Snippet
    warnings: tuple[str, ...] = ()


def pool(
    ports: Ports, constellation_key: str, *, limit: int | None = None
) -> tuple[PoolStory, ...]:
    """The stories of the last 45 days that a curator can choose from, the best first.

    Kept, dropped and sent ones are there too, each with its state.

    Raises: NotFound
    """
    constellation = ports.catalog.find_constellation(constellation_key)
    with ports.store.read() as tables:
        stories = tables.stories.pool(constellation.key, ports.clock.now() - POOL_WINDOW)
    return tuple(stories[:limit])


def keep(ports: Ports, issue_ref: str, story_ref: str, *, section: Section = "main") -> Kept:
    """Put a story into an issue, at the end of its section.

    One that was removed comes back with its words; a new one begins with its source's first
    sentence as the fact. Keeping it again changes nothing.

    Raises: NotFound, BadInput; Conflict when the issue is locked, or the story is a field note
            without a word on who told it
    """
    if section not in ("main", "noted"):
        raise BadInput(f"There is no section “{section}”.", "Use main or noted.")
    with ports.store.write() as tables:
        issue = open_issue(ports, tables, issue_ref)
        story = story_of(tables, story_ref)
        if reason := why_no_issue(story):
            raise Conflict(f"“{story.title}” {reason}.", _HOW_TO_VOUCH)
        change = Change(ports, tables, issue.constellation_key, issue)
        change.choose(story)
        change.offer(story)
        snippet = tables.snippets.keep(issue.id, story.id, section, **prefilled(story))
        if snippet.section != section:
            snippet = tables.snippets.edit(snippet.id, snippet.revision, {"section": section})
        change.log("keep", f"story:{story.public_id}")
        return Kept(snippet, elsewhere(tables, story, issue))


def remove(ports: Ports, issue_ref: str, story_ref: str) -> Done:
    """Take a story out of an issue; its words are kept.

    Raises: NotFound, BadInput; Conflict when the issue is locked
    """
    with ports.store.write() as tables:
        issue = open_issue(ports, tables, issue_ref)
        story = story_of(tables, story_ref)
        snippet = _snippet_of(tables, issue, story)
        change = Change(ports, tables, issue.constellation_key, issue)
        tables.snippets.remove(snippet.id)
        change.log("remove", f"story:{story.public_id}")
        was, now = {"section": snippet.section}, {"section": ""}
        return done(story, snippet.title, issue.ref, was, now)


def drop(ports: Ports, constellation_key: str, story_ref: str) -> Done:
    """Take a story out of a pool: it is not offered again.

    Raises: NotFound, BadInput; Conflict when it stands in an issue
    """
    constellation = ports.catalog.find_constellation(constellation_key)
    with ports.store.write() as tables:
        story = story_of(tables, story_ref)
        pools = [p["constellation"] for p in tables.stories.pools_of(story.id)]
        if constellation.key not in pools:
            raise NotFound(
                f"“{story.title}” is not in the pool of {constellation.name}.",
                f"`asterism explain story {story.public_id[:8]}` tells why.",
            )
        for place in tables.reasons.issues_of_story(story.id):
            here = place["constellation"] == constellation.key and not place["removed"]
            if here and place["state"] in OPEN_STATES:
                raise Conflict(
                    f"“{story.title}” stands in issue {place['issue_ref']}.",
                    f"Take it out first: `asterism curate remove {place['issue_ref']} "
                    f"{story.public_id[:8]}`.",
                )
        by = dropped_by(tables, constellation.key, story.id)
        if not by:
            change = Change(ports, tables, constellation.key, None)
            change.drop(story)
            change.log("drop", f"story:{story.public_id}")
        was, now = {"dropped_by": by}, {"dropped_by": by or ports.actor}
        return done(story, story.title, "", was, now)


def edit(
    ports: Ports,
    issue_ref: str,
    story_ref: str,
    changes: Mapping[str, str],
    *,
    revision: int | None = None,
) -> Done:
    """Write on a kept story: title, fact, take, question, own or general wording, sales note.

    Raises: NotFound, BadInput; Conflict when the issue is locked, or when somebody changed the
            story after `revision`: then the message holds both texts
    """
    new = {name: tidy_field(name, text) for name, text in changes.items()}
    unknown = sorted(set(new) - {"title", *LABELS})
    if unknown:
        raise BadInput(
            f"A kept story has no field {', '.join(unknown)}.",
            f"Its fields are title, {', '.join(LABELS)}.",
        )
    if new.get("title") == "":
        raise BadInput("A kept story needs a title.", "Write one, or leave the title out.")
    with ports.store.write() as tables:
        issue = open_issue(ports, tables, issue_ref)
        story = story_of(tables, story_ref)
        snippet = _snippet_of(tables, issue, story)
        different = changed_words(words_of(snippet), new)
        if revision is not None and revision != snippet.revision and different:
            raise Conflict(
                f"“{snippet.title}” was changed since you opened it.\n"
                + both_texts(words_of(snippet), different),
                "Look at both, then save yours again on top of the newest.",
            )
        change = Change(ports, tables, issue.constellation_key, issue)
        edited = tables.snippets.edit(snippet.id, snippet.revision, different)
        change.log("edit", f"story:{story.public_id}")
        was, now = words_of(snippet), words_of(edited)
        return done(story, edited.title, issue.ref, was, now, edited.revision)


def note(
    ports: Ports,
    constellation_key: str,
    text: str,
    *,
    title: str,
    learnt_from: str = "",
    public: bool = False,
    url: str = "",
    source: str = "",
) -> Story:
    """A field note: what one of us saw or was told. It enters the pool like any story.

    Without `learnt_from` or `public` it enters no issue: `why_no_issue` says so, `vouch` mends.
    The same note given again is the one that is there, unless that was dropped or taken back.

    Raises: NotFound, BadInput
    """
    constellation = ports.catalog.find_constellation(constellation_key)
    account = _told_by(ports, learnt_from, public=public)
    wanted = (one_line(title), tidy(text), account.key if account else "", public)
    with ports.store.write() as tables:
        for one in tables.stories.pool(constellation.key, ports.clock.now() - POOL_WINDOW):
            held = one.story
            said = (held.title, held.text, held.learnt_from, held.is_public)
            if held.kind == "note" and one.state != "dropped" and said == wanted:
                return held
        story = write_note(
            ports, tables, constellation.key, text,
            title=title, learnt_from=learnt_from, public=public, url=url, source=source,
        )  # fmt: skip
        change = Change(ports, tables, constellation.key, None)
        change.choose(story)
        change.log("note", f"story:{story.public_id}", notes=[story.public_id])
        return story


def write_note(
    ports: Ports,
    tables: Tables,
    constellation: str,
    text: str,
    *,
    title: str,
    learnt_from: str,
    public: bool,
    url: str,
    source: str,
) -> Story:
    """Store a field note, find whom it is about, and put it into the pool."""
    title, text = one_line(title), tidy(text)
    if not title or not text:
        raise BadInput("A field note needs a title and a text.", "Write both; one line is enough.")
    account = _told_by(ports, learnt_from, public=public)
    story_id = tables.stories.add_story(
        "note",
        title,
        text,
        ports.clock.now(),
        url=_link(url),
        source_name=one_line(source),
        learnt_from=account.key if account else "",
        is_public=public,
    )
    tables.stories.relate(story_id, _mentions(ports, Telling(title, text)), ())  # sift adds signals
    now = ports.clock.now()
    tables.stories.score(constellation, {story_id: score_note(now, now, _name(ports))}, now)
    (story,) = tables.stories.by_ids([story_id])
    return story


def _name(ports: Ports) -> str:
    staff = ports.catalog.staff(ports.actor)
    return staff.name if staff else ports.actor


def _link(url: str) -> str:
    link = absolute(url)
    if url.strip() and not link:
        raise BadInput(f"“{url}” is no web address.", "A link begins with https://.")
    return link


def _mentions(ports: Ports, telling: Telling) -> tuple[Mention, ...]:
    """Whom a note is about, in every constellation: the wall must know at once."""
    return tuple(
        mention
        for constellation in ports.catalog.constellations
        for mention in match(build_matcher(constellation), telling).mentions
    )


def vouch(
    ports: Ports,
    story_ref: str,
    *,
    learnt_from: str = "",
    public: bool = False,
    revision: int | None = None,
) -> Done:
    """Say afterwards who told us a field note, or that it is public; then it may enter issues.

    Raises: NotFound, BadInput; Conflict when somebody said another thing after `revision`, or
            when only the approver may say so
    """
    if not (learnt_from or public):
        raise BadInput("Who told it is missing.", _HOW_TO_VOUCH)
    account = _told_by(ports, learnt_from, public=public)
    with ports.store.write() as tables:
        story = story_of(tables, story_ref)
        if story.kind != "note":
            raise BadInput(f"“{story.title}” is no field note.", "Only notes need this.")
        change = Change(ports, tables, "", None)
        teller = account.key if account else ""
        if revision is not None and revision != story.revision:
            _refuse_other_word(story, teller, public=public)
        change.vouch(story, teller, public=public)
        change.log("vouch", f"story:{story.public_id}")
        was = {"learnt_from": story.learnt_from, "public": story.is_public}
        (story,) = tables.stories.by_ids([story.id])
        return done(story, story.title, "", was, {"learnt_from": teller, "public": public})


def _refuse_other_word(story: Story, learnt_from: str, *, public: bool) -> None:
    stands, wanted = (story.learnt_from, story.is_public), (learnt_from, public)
    if stands != wanted:
        raise Conflict(
            f"“{story.title}” changed since you looked.\n"
            f"  As it stands: {_told_in_words(*stands)}\n"
            f"  Yours: {_told_in_words(*wanted)}",
            "Look at both, then say yours again on top of the newest.",
        )


def _told_in_words(learnt_from: str, public: bool) -> str:
    return f"learnt from {learnt_from}" if learnt_from else "public" if public else "nobody said"


# ── what the verbs share ─────────────────────────────────────────────────────────────────

_HOW_TO_VOUCH = (
    "Say which account told it, or that it is public: `asterism curate vouch STORY --learnt-from "
    "ACCOUNT` (or --public)."
)


def why_no_issue(story: Story) -> str:
    """Why a story may enter no issue, after its title; empty when it may."""
    if story.is_public or story.learnt_from:
        return ""
    return "is a field note that says neither who told it nor that it is public"


def elsewhere(tables: Tables, story: Story, issue: Issue) -> tuple[str, ...]:
    """Sentences on other issues that have this story too: nobody gets it twice."""
    return tuple(
        f"“{story.title}” is also in {place['issue_ref']} ({place['state'].replace('_', ' ')}); "
        "who had it there will not get it again"
        for place in tables.reasons.issues_of_story(story.id)
        if place["issue_ref"] != issue.ref
        and not place["removed"]
        and place["state"] not in GONE_STATES
    )


def both_texts(current: Mapping[str, str], mine: Mapping[str, str]) -> str:
    """Theirs and mine, field by field, where they differ."""
    labels = {"title": "Title", **LABELS, **HEAD_LABELS}
    return "\n".join(
        f"  {labels[name]}, as it stands: {current.get(name, '') or '(empty)'}\n"
        f"  {labels[name]}, yours: {text or '(empty)'}"
        for name, text in mine.items()
    )


def account_named(ports: Ports, name: str) -> Account:
    """An account by key, name or alias, in any case.

    Raises: NotFound with the nearest name
    """
    wanted = one_line(name).casefold()
    by_name: dict[str, Account] = {}
    for constellation in ports.catalog.constellations:
        for account in constellation.accounts:
            for known in (account.key, account.name, *account.aliases):
                by_name.setdefault(known.casefold(), account)
    if wanted in by_name:
        return by_name[wanted]
    close = get_close_matches(wanted, by_name, n=1)
    hint = f"Did you mean {by_name[close[0]].name}?" if close else "Accounts stand in the files."
    raise NotFound(f"There is no account “{name}”.", hint)


def _told_by(ports: Ports, learnt_from: str, *, public: bool) -> Account | None:
    if learnt_from and public:
        raise BadInput(
            "A field note is either learnt from an account, or public.",
            "What an account told us in confidence stays so: leave one of the two out.",
        )
    return account_named(ports, learnt_from) if learnt_from else None


def _snippet_of(tables: Tables, issue: Issue, story: Story) -> Snippet:
    for snippet in tables.snippets.of_issue(issue.id):
        if snippet.story_id == story.id:
            return snippet
    raise NotFound(
        f"“{story.title}” is not in issue {issue.ref}.",
        f"`asterism issue show {issue.ref}` lists what is.",
    )
