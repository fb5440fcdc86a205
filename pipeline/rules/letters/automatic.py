"""What an issue holds that no hand writes, and what it calls itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pipeline.model.catalog import Account, Cadence, Newsletter
from pipeline.model.letters import Issue, IssueState, Snippet
from pipeline.model.log import Operation
from pipeline.model.news import Story
from pipeline.rules.letters.language import LANGUAGES, issue_name, primary, words
from pipeline.rules.letters.lint import MAX_QUOTED, lint_story, quoted_of
from pipeline.rules.letters.prefill import prefilled
from pipeline.rules.letters.wall import is_confidence, travels, wording_for
from pipeline.rules.news.address import link_hash

#: Who acts, in the log and as approver, where a file's `mode: automatic` is the human's word.
AUTOMATIC = "automatic"

#: It takes up only what no hand has approved, stopped or given up.
WAITING: tuple[IssueState, ...] = ("planned", "draft", "in_review")

#: What of a commented story moves into another issue. "Between us" was said of that day.
CARRIED = ("title", "fact", "take", "question", "own_wording")


@dataclass(frozen=True, slots=True)
class _Head:
    """How an issue names itself in one language, with commentary and without."""

    theme: Mapping[Cadence, str]
    headlines: Mapping[Cadence, str]
    since: str  #: where a rhythm leaps weeks, months or quarters
    headlines_since: str
    preheader: str
    headlines_preheader: str


_HEADS: Mapping[str, _Head] = {
    "en": _Head(
        theme={
            "weekly": "The week in short",
            "monthly": "The month in short",
            "quarterly": "The quarter in short",
        },
        headlines={
            "weekly": "The week in headlines",
            "monthly": "The month in headlines",
            "quarterly": "The quarter in headlines",
        },
        since="What has happened since the last issue",
        headlines_since="The headlines since the last issue",
        preheader="What we would keep of it: what happened, where it stood, and our view.",
        headlines_preheader="What we noted, in one line each, with a link to the source.",
    ),
    "de": _Head(
        theme={
            "weekly": "Die Woche in Kürze",
            "monthly": "Der Monat in Kürze",
            "quarterly": "Das Quartal in Kürze",
        },
        headlines={
            "weekly": "Die Woche in Schlagzeilen",
            "monthly": "Der Monat in Schlagzeilen",
            "quarterly": "Das Quartal in Schlagzeilen",
        },
        since="Was seit der letzten Ausgabe geschah",
        headlines_since="Die Schlagzeilen seit der letzten Ausgabe",
        preheader="Was davon bleibt: was geschah, wo es stand, und wie wir es sehen.",
        headlines_preheader="Was wir notiert haben, je eine Zeile, mit Link zur Quelle.",
    ),
}


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to compose from, each the best first."""

    there: tuple[Snippet, ...]  #: in the issue already; a person may have put it there
    removed: frozenset[int]  #: story ids that a person took out of the issue
    commented: tuple[Snippet, ...]  #: of other issues that went out, with our take
    stories: tuple[Story, ...]  #: open in the pool
    used: frozenset[str]  #: hashes of links that earlier issues of this newsletter had
    lent: tuple[Story, ...] = ()  #: that stand only in drafts as they were opened
    #: Of these, by id, keys of the accounts that they are about.
    lent_about: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    busy: frozenset[int] = frozenset()  #: ids of stories that another issue has for good


@dataclass(frozen=True, slots=True)
class Composition:
    """What to change so that the issue is composed; empty when it is."""

    lowered: tuple[Snippet, ...] = ()  #: nobody wrote a take: they stand as headlines
    copied: tuple[Snippet, ...] = ()  #: commented ones, into the main section
    headlines: tuple[Story, ...] = ()
    lent: int = 0  #: so many of the headlines stand in a draft that nobody has worked on, too
    surplus: tuple[Snippet, ...] = ()  #: bare headlines that make room for commentary
    head: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not (self.lowered or self.copied or self.headlines or self.surplus or self.head)


def compose(
    issue: Issue, newsletter: Newsletter, found: Found, accounts: Sequence[Account] = ()
) -> Composition:
    """What a person put there with a take stays first; then commented stories, then headlines.

    All in all no more than the newsletter's ceiling, except where a person put more there.
    A confidence is never copied, and nothing enters that lint would hold the issue back for.
    Composed again, it adds what is new and leaves the rest as it is. Where headlines may make up
    for commentary it borrows from drafts that nobody has worked on, no more than every copy needs
    for the floor: who reads a headline here is not told the story there. Bare headlines that
    somebody works on elsewhere it gives up.

    Shape:  accounts are the constellation's
    """
    kept = [s for s in found.there if s.section == "main" and _is_written(s)]
    lowered = [s for s in found.there if s.section == "main" and not _is_written(s)]
    all_bare = [s for s in found.there if is_bare(s)]
    bare = [s for s in all_bare if s.story_id not in found.busy]
    noted = [s for s in found.there if s.section != "main" and s not in all_bare]
    place = _Place(found, accounts)
    for snippet in (*kept, *lowered, *noted):
        place.take(snippet)
    copied = place.fill(found.commented, newsletter.ceiling - len(kept), asked=_asks(kept))
    room = newsletter.ceiling - len(kept) - len(copied) - len(lowered) - len(noted)
    staying = place.fill(bare, room, asked=True)
    headlines = place.fill(map(as_headline, found.stories), room - len(staying), asked=True)
    shown = (*kept, *lowered, *noted, *copied, *staying, *headlines)
    lent = place.borrow(shown, newsletter, room - len(staying) - len(headlines))
    raised = {snippet.story_id for snippet in copied}
    stories = {story.id: story for story in (*found.stories, *found.lent)}
    return Composition(
        lowered=tuple(lowered),
        copied=tuple(copied),
        headlines=tuple(stories[snippet.story_id] for snippet in (*headlines, *lent)),
        lent=len(lent),
        surplus=tuple(s for s in all_bare if s not in staying and s.story_id not in raised),
        head=_head(issue, newsletter, commented=bool(kept or copied)),
    )


def is_as_opened(
    issue: Issue,
    snippets: Sequence[Snippet],
    removed: Sequence[Snippet],
    operations: Sequence[Operation],
) -> bool:
    """Whether nobody has worked on a draft: no word is written, nothing moved, added, taken out.

    Shape:  removed are its snippets that are out; operations, all that are about it
    """
    if issue.state not in WAITING or removed:
        return False
    written = any(s.revision != 1 or s.take.strip() for s in snippets)
    return not written and all(operation.verb == "open" for operation in operations)


def review_at(issue: Issue, newsletter: Newsletter) -> datetime:
    """When it is composed, so that people have their time to look before its beat."""
    return issue.due_at - timedelta(hours=newsletter.review_window_h)


def too_little(snippets: Sequence[Snippet], newsletter: Newsletter) -> str:
    """Why a composed issue says too little to go; empty when it says enough.

    With fewer commented stories than the floor it goes as headlines where the newsletter's
    fallback says so; then headlines count as well, and the floor still holds.
    """
    shown = [snippet for snippet in snippets if travels(snippet)]
    main = sum(snippet.section == "main" for snippet in shown)
    if not shown:
        return "there is nothing new to tell"
    if main < newsletter.floor and newsletter.fallback == "skip":
        return f"{main} of the {newsletter.floor} commented stories that it needs"
    if len(shown) < newsletter.floor:
        return f"{len(shown)} of the {newsletter.floor} stories that it needs, headlines counted"
    return ""


def as_headline(story: Story, about: tuple[str, ...] = ()) -> Snippet:
    """A story as it would stand under "Also noted": its title, with a link to its source."""
    return Snippet(
        id=0, public_id="", issue_id=0, story_id=story.id, position=0, section="noted",
        title=prefilled(story)["title"], fact="", take="", question="",
        story_public_id=story.public_id, story_kind=story.kind, source_name=story.source_name,
        url=story.url, learnt_from=story.learnt_from, is_public=story.is_public,
        source_text=story.text, about=about,
    )  # fmt: skip


def lowered_fact(snippet: Snippet, story: Story) -> str:
    """What a headline keeps of a fact: what a person wrote, not the quotation we began with."""
    return "" if snippet.fact == prefilled(story)["fact"] else snippet.fact


# ── choosing ─────────────────────────────────────────────────────────────────────────────


def _is_written(snippet: Snippet) -> bool:
    return bool(snippet.take.strip() and snippet.fact.strip())


def is_bare(snippet: Snippet) -> bool:
    """A headline as the machine sets it; nobody has written a word on it."""
    written = (snippet.fact, snippet.take, snippet.question, snippet.own_wording,
               snippet.general_wording, snippet.sales_note)  # fmt: skip
    return snippet.section == "noted" and snippet.revision == 1 and not any(written)


def _asks(snippets: Iterable[Snippet]) -> bool:
    return any(snippet.question.strip() for snippet in snippets)


@dataclass(slots=True)
class _Place:
    """What an issue has, so that lint lets the next one in: no link twice, forty quoted words."""

    found: Found
    accounts: Sequence[Account]
    stories: set[int] = field(default_factory=set)
    links: set[str] = field(default_factory=set)
    quoted: Counter[str] = field(default_factory=Counter)  #: words by source

    def take(self, snippet: Snippet) -> None:
        self.stories.add(snippet.story_id)
        self.links.add(_link(snippet))
        self.quoted[snippet.source_name] += quoted_of(snippet)

    def fill(self, offered: Iterable[Snippet], room: int, *, asked: bool) -> list[Snippet]:
        """The first that fit, up to so many; the last gives way to one that asks something.

        Shape:  asked says that the reader is asked already, or need not be
        """
        beside = replace(
            self, stories=set(self.stories), links=set(self.links), quoted=Counter(self.quoted)
        )
        fitting: list[Snippet] = []
        for snippet in offered:
            if (asked or _asks(fitting)) and len(fitting) >= room:
                break
            if beside.fits(snippet):
                fitting.append(snippet)
                beside.take(snippet)
        chosen, rest = fitting[: max(0, room)], fitting[max(0, room) :]
        if chosen and not (asked or _asks(chosen)):
            chosen = [*chosen[:-1], next((s for s in rest if _asks([s])), chosen[-1])]
        for snippet in chosen:
            self.take(snippet)
        return chosen

    def borrow(self, shown: Sequence[Snippet], newsletter: Newsletter, room: int) -> list[Snippet]:
        """From drafts that nobody has worked on: the first that some copy needs for the floor.

        The copies of an account leave out what is about it, so each account counts for itself.
        """
        chosen: list[Snippet] = []
        if newsletter.fallback != "headlines":
            return chosen  # they would make up for nothing
        for story in self.found.lent:
            snippet = as_headline(story, self.found.lent_about.get(story.id, ()))
            if len(chosen) >= max(0, room):
                break
            needed = self._is_needed(snippet, (*shown, *chosen), newsletter.floor)
            if needed and self.fits(snippet):
                chosen.append(snippet)
                self.take(snippet)
        return chosen

    def _is_needed(self, snippet: Snippet, shown: Sequence[Snippet], floor: int) -> bool:
        readers = [account.key for account in self.accounts] or [""]
        return any(
            wording_for(snippet, key) and sum(bool(wording_for(s, key)) for s in shown) < floor
            for key in readers
        )

    def fits(self, snippet: Snippet) -> bool:
        """Whether it may enter at all, and beside what is there."""
        if snippet.story_id in self.found.removed | self.stories or snippet.story_kind == "own":
            return False
        if is_confidence(snippet) or not snippet.is_public:
            return False
        if _link(snippet) and _link(snippet) in self.found.used | self.links:
            return False
        if self.quoted[snippet.source_name] + quoted_of(snippet) > MAX_QUOTED:
            return False
        return not any(finding.blocks for finding in lint_story(snippet, self.accounts))


def _link(snippet: Snippet) -> str:
    return link_hash(snippet.url) if snippet.url else ""


# ── its head ─────────────────────────────────────────────────────────────────────────────


def opened_subject(newsletter: Newsletter, number: int) -> str:
    """What an issue is called before anybody wrote."""
    return issue_name(newsletter.language, newsletter.title, number)


def _opened_subjects(newsletter: Newsletter, number: int) -> set[str]:
    """All that it may have been called at its opening: its file may speak another language now."""
    named = {issue_name(language, newsletter.title, number) for language in LANGUAGES}
    return named | {f"{newsletter.title} {number}"}  # as older versions wrote it


def _head(issue: Issue, newsletter: Newsletter, *, commented: bool) -> Mapping[str, str]:
    """What is to be written of the head; a person's words stay.

    It names no story and no account: a subject stands in every copy, and not every copy
    shows the same stories.
    """
    wanted = _words_of(issue, newsletter, commented=commented)
    other = _words_of(issue, newsletter, commented=not commented)
    opened = _opened_subjects(newsletter, issue.number)
    ours = {name: {"", *opened, text, other[name]} for name, text in wanted.items()}
    return {
        name: text for name, text in wanted.items() if getattr(issue, name) in ours[name] - {text}
    }


def _words_of(issue: Issue, newsletter: Newsletter, *, commented: bool) -> dict[str, str]:
    head = _HEADS.get(primary(newsletter.language), _HEADS["en"])
    cadence = newsletter.rhythm.cadence
    leaps = newsletter.rhythm.every > 1
    say = words(newsletter.language)
    on = issue.beat_on
    day = say.day_year.format(day=on.day, month=say.months[on.month - 1], year=on.year)
    if commented:
        theme, preheader = head.since if leaps else head.theme[cadence], head.preheader
    else:
        theme = head.headlines_since if leaps else head.headlines[cadence]
        preheader = head.headlines_preheader
    plain = day.replace("\u00a0", " ")
    return {"subject": f"{newsletter.title}: {plain}", "preheader": preheader, "theme": theme}


def carried(snippet: Snippet) -> Mapping[str, str]:
    """The words of a commented story that move with it."""
    return {name: getattr(snippet, name) for name in CARRIED}
