"""Passing a story on by hand: a ready mail for one person, and who has not had what.

A ready mail is a `mailto:` address that opens the salesperson's own mail program. It carries
no token, names nobody but the two who write, and says nothing that the wall would not let
the reader's own copy say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from urllib.parse import quote

from pipeline.model.catalog import Account, Staff
from pipeline.model.letters import (
    AudienceReason,
    ForwardGroup,
    ForwardRow,
    LetterStory,
    SalesStory,
    SalesSums,
    Snippet,
    Verdict,
)
from pipeline.model.people import Candidate, Contact
from pipeline.rules.letters.language import day_month, primary, words
from pipeline.rules.letters.markdown import to_blocks, to_plain
from pipeline.rules.letters.merge import fill_text
from pipeline.rules.letters.wall import is_confidence, told, wording_for

#: Some mail programs cut longer addresses.
LONGEST = 1_200
LONGEST_LINK = 500
LONGEST_SUBJECT = 100
#: So much of one internal mail may be ready mails; inboxes clip what is longer than 100 KB.
MOST_READY = 50_000


@dataclass(frozen=True, slots=True)
class Phrases:
    """What a ready mail and the internal lists say, in one language."""

    hello: str
    hello_nobody: str
    our_view: str
    a_question: str
    source: str
    wishes: str
    call_only: str
    not_yet: str
    speak: str  #: mail is allowed, but no wording is
    about_them: str
    from_them: str
    left_out: str
    all_get_it: str  #: no row: there is nobody to pass it on to
    nobody_known: str
    missing: Mapping[AudienceReason, str]  #: why a contact has not had it
    summed: Mapping[AudienceReason, str]  #: the same after a count: "2 paused"


_ENGLISH = Phrases(
    hello="Hello {name},",
    hello_nobody="Hello,",
    our_view="Our view: {text}",
    a_question="A question: {text}",
    source="Source: {text}",
    wishes="Best wishes",
    call_only="Call only",
    not_yet="Not before then",
    speak="Speak to them",
    about_them="this story is about them",
    from_them="they told us this in confidence",
    left_out="left out of their copy",
    all_get_it="Everybody you know there has had it, or gets it today.",
    nobody_known="You know nobody there yet.",
    missing={
        "retired": "no longer there",
        "invalid_address": "the address does not work: {detail}",
        "no_basis": "on no list",
        "suppressed": "no mail: {detail}",
        "not_subscribed": "chose not to get this letter",
        "paused": "paused {detail}",
        "held": "held back: {detail}",
        "had_recap": "gets its parts: {detail}",
        "capped": "has had {detail}",
        "too_little_left": "too little left for a letter of their own",
    },
    summed={
        "retired": "no longer there",
        "invalid_address": "with an address that does not work",
        "no_basis": "on no list",
        "suppressed": "not to be mailed",
        "not_subscribed": "chose not to get it",
        "paused": "paused",
        "held": "held back",
        "had_recap": "had its parts already",
        "capped": "had letters enough",
        "too_little_left": "with too little left to tell",
    },
)
_GERMAN = Phrases(
    hello="Guten Tag, {name},",
    hello_nobody="Guten Tag,",
    our_view="Unsere Sicht: {text}",
    a_question="Eine Frage: {text}",
    source="Quelle: {text}",
    wishes="Beste Grüße",
    call_only="Nur anrufen",
    not_yet="Nicht vorher",
    speak="Ansprechen",
    about_them="diese Meldung handelt von ihnen",
    from_them="das haben sie uns im Vertrauen gesagt",
    left_out="in ihrem Brief ausgelassen",
    all_get_it="Alle, die Sie dort kennen, haben sie schon oder bekommen sie heute.",
    nobody_known="Sie kennen dort noch niemanden.",
    missing={
        "retired": "nicht mehr dort",
        "invalid_address": "die Adresse geht nicht: {detail}",
        "no_basis": "auf keiner Liste",
        "suppressed": "keine Mail: {detail}",
        "not_subscribed": "wollte diesen Brief nicht",
        "paused": "Pause, {detail}",
        "held": "zurückgehalten: {detail}",
        "had_recap": "bekommt die Teile: {detail}",
        "capped": "hatte schon {detail}",
        "too_little_left": "für einen eigenen Brief blieb zu wenig",
    },
    summed={
        "retired": "nicht mehr dort",
        "invalid_address": "mit Adresse, die nicht geht",
        "no_basis": "auf keiner Liste",
        "suppressed": "ohne Post von uns",
        "not_subscribed": "wollten ihn nicht",
        "paused": "in einer Pause",
        "held": "zurückgehalten",
        "had_recap": "hatten die Teile schon",
        "capped": "hatten genug Briefe",
        "too_little_left": "mit zu wenig Rest",
    },
)
_PHRASES = {"en": _ENGLISH, "de": _GERMAN}


def phrases(language: str) -> Phrases:
    """The words of a language; English for one that we do not have."""
    return _PHRASES.get(primary(language), _ENGLISH)


# ── one ready mail ───────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Mail:
    """A mail's pieces, before they are fitted."""

    subject: str
    hello: str
    fact: tuple[str, ...]  #: sentences
    view: tuple[str, ...]
    view_form: str
    question: str
    source: str
    link: str
    close: tuple[str, ...]
    own: tuple[str, ...] = ("",)  #: lines of one's own, or room for them

    def address(self, to: str) -> str:
        parts = [self.hello, "", *self.own, *_paragraph(" ".join(self.fact))]
        if self.view:
            parts += _paragraph(self.view_form.replace("{text}", " ".join(self.view)))
        parts += _paragraph(self.question)
        if self.source or self.link:
            parts += ["", *filter(None, (self.source, self.link))]
        body = "\r\n".join([*parts, "", *self.close])
        return f"mailto:{quote(to, safe='@')}?subject={_coded(self.subject)}&body={_coded(body)}"


def mailto(story: LetterStory, contact: Contact, sender: Staff, *, language: str, on: date) -> str:
    """A `mailto:` with the story in it: room for a line of one's own, fact, view, question.

    When it would be longer than LONGEST, the view's last sentences go first, then the
    fact's, then the question, and the link last.

    Units:  characters of the whole address, percent-encoded; lines end in %0D%0A
    Source: RFC 6068 §5 (CRLF), §2 (what is encoded)
    """
    return fitted(story, contact, sender, language=language, on=on)[0]


def fitted(
    story: LetterStory,
    contact: Contact,
    sender: Staff,
    *,
    language: str,
    on: date,
    own: Sequence[str] = (),
    close: Sequence[str] = (),
) -> tuple[str, bool]:
    """(the `mailto:`, whether everything stands in it).

    Shape:  own are lines of the sender's own, close the last ones; else room and a first name
    """
    mail = _mail(story, contact, sender, language, on)
    mail = replace(mail, own=tuple(own) or mail.own, close=tuple(close) or mail.close)
    for number, shorter in enumerate(_ever_shorter(mail)):
        address = shorter.address(contact.address)
        if len(address) <= LONGEST:
            return address, number == 0
    return f"mailto:{quote(contact.address, safe='@')}", False


def _mail(story: LetterStory, contact: Contact, sender: Staff, language: str, on: date) -> _Mail:
    ours, name = phrases(language), contact.first_name
    mail = _mail_to_anybody(story, language, on)

    def filled(text: str) -> str:
        return fill_text(text, {"first_name": name})

    return replace(
        mail,
        subject=cut(filled(mail.subject), LONGEST_SUBJECT),
        hello=ours.hello.format(name=name) if name else ours.hello_nobody,
        fact=tuple(map(filled, mail.fact)),
        view=tuple(map(filled, mail.view)),
        question=filled(mail.question),
        close=(ours.wishes, sender.first_name),
    )


@lru_cache(maxsize=64)
def _mail_to_anybody(story: LetterStory, language: str, on: date) -> _Mail:
    """What the mails of one story share; fields still stand in it as marks."""
    ours = phrases(language)
    question = to_plain(story.question)
    return _Mail(
        subject=to_plain(story.title),
        hello="",
        fact=_sentences(story.fact),
        view=_sentences(story.take),
        view_form=ours.our_view if story.question or story.url else "{text}",
        question=ours.a_question.replace("{text}", question) if question else "",
        source=source_line(story, language, on),
        link=story.url if len(_coded(story.url)) <= LONGEST_LINK else "",
        close=(),
    )


def source_line(story: LetterStory, language: str, on: date) -> str:
    """ "Source: Coast Wire, 5 March"; empty where nobody is named."""
    day = day_month(language, story.published_on, on) if story.published_on else ""
    source = ", ".join(filter(None, (story.source_name, day.replace("\u00a0", " "))))
    return phrases(language).source.replace("{text}", source) if story.source_name else ""


def _sentences(markdown: str) -> tuple[str, ...]:
    text = " ".join(block.text for block in to_blocks(markdown)).replace("\n", " ")
    return tuple(re.findall(r"\S.*?[.!?…][”“\"’')]*(?=\s|$)|\S.*$", text))


def _ever_shorter(mail: _Mail) -> Iterator[_Mail]:
    yield mail
    while len(mail.view) > 1:
        mail = replace(mail, view=mail.view[:-1])
        yield mail
    while len(mail.fact) > 1:
        mail = replace(mail, fact=mail.fact[:-1])
        yield mail
    mail = replace(mail, question="")
    yield mail
    mail = replace(mail, view=())
    yield mail
    text = " ".join(mail.fact)
    for length in (400, 200, 100, 40):
        mail = replace(mail, fact=(cut(text, length),))
        yield mail
    yield replace(mail, link="")
    yield replace(mail, link="", source="", fact=(), subject=cut(mail.subject, 40))


def _paragraph(text: str) -> tuple[str, ...]:
    return ("", text) if text else ()


def cut(text: str, length: int) -> str:
    """At most so long, cut at a space."""
    if len(text) <= length:
        return text
    return text[: length - 1].rsplit(" ", 1)[0] + "…"


def _coded(text: str) -> str:
    return quote(text.replace("\u00a0", " "), safe="")


# ── who has not had it ───────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Standing:
    """A contact with what was decided about it."""

    candidate: Candidate
    verdict: Verdict

    def has_had(self, story_id: int) -> bool:
        """Whether this letter or an earlier word told the contact of the story."""
        return story_id in self.verdict.story_ids or story_id in self.candidate.told_stories


@dataclass(frozen=True, slots=True)
class Desk:
    """One account owner with the accounts and people looked after."""

    owner: Staff
    accounts: tuple[Account, ...]
    standings: Mapping[str, Sequence[Standing]]  #: by account key
    language: str
    on: date


def groups(snippet: Snippet, number: int, desk: Desk) -> tuple[ForwardGroup, ...]:
    """The owner's accounts that a story touches, each with who there has not had it.

    An account where nobody is left to tell stands there too: it is news for its owner.

    Contacts who are no longer there, or were erased, are not listed. A confidence is listed
    only where a wording of it may be told: nobody is to be spoken to of what a rival said.
    """
    ours = phrases(desk.language)
    why = dict(reversed(snippet.touches)) | dict.fromkeys(snippet.about, ours.about_them)
    if snippet.learnt_from:
        why[snippet.learnt_from] = ours.from_them
    made = []
    for account in desk.accounts:
        told_freely = not is_confidence(snippet) or wording_for(snippet, account.key)
        if account.key not in why or not told_freely:
            continue
        rows = _rows(snippet, number, account, desk)
        warn = account.key in (*snippet.about, snippet.learnt_from)
        known = any(_there(standing) for standing in desk.standings.get(account.key, ()))
        note = "" if rows else ours.all_get_it if known else ours.nobody_known
        made.append(ForwardGroup(account.name, why[account.key], warn, rows, note))
    return tuple(made)


def within_size(stories: Iterable[SalesStory]) -> Iterator[SalesStory]:
    """The same rows; when the ready mails grow too long together, the last open empty.

    Their subject stays, and the text to write stands above them.
    """
    left = MOST_READY
    for story in stories:
        groups = []
        for group in story.groups:
            rows = []
            for row in group.rows:
                left -= len(row.mailto)
                short = row.mailto.partition("&body=")[0]
                rows.append(row if left >= 0 else replace(row, mailto=short))
            groups.append(replace(group, rows=tuple(rows)))
        yield replace(story, groups=tuple(groups))


def _rows(snippet: Snippet, number: int, account: Account, desk: Desk) -> tuple[ForwardRow, ...]:
    wording = wording_for(snippet, account.key)
    story = told(snippet, wording, number, desk.language) if wording else None
    return tuple(
        _row(standing, story, desk)
        for standing in desk.standings.get(account.key, ())
        if _there(standing) and not standing.has_had(snippet.story_id)
    )


def _there(standing: Standing) -> bool:
    return standing.verdict.reason != "retired" and bool(standing.candidate.contact.address)


def _row(standing: Standing, story: LetterStory | None, desk: Desk) -> ForwardRow:
    contact = standing.candidate.contact
    instead = _instead(standing, story, desk)
    link = (
        mailto(story, contact, desk.owner, language=desk.language, on=desk.on)
        if story and not instead
        else ""
    )
    why_not = missing(standing.verdict, desk.language)
    return ForwardRow(contact.name, contact.role, why_not, link, instead)


def _instead(standing: Standing, story: LetterStory | None, desk: Desk) -> str:
    """What to do where no ready mail may be offered; empty where one may."""
    candidate, ours = standing.candidate, phrases(desk.language)
    if candidate.suppression or candidate.subscribed is False or candidate.contact.invalid:
        return ours.call_only
    if candidate.paused_until is not None and candidate.paused_until > desk.on:
        return ours.not_yet
    return "" if story else ours.speak


def why_quiet(stories: Sequence[SalesStory], language: str) -> str:
    """Why there is nobody to pass these stories on to, in a sentence or two."""
    ours = words(language)
    if not stories:
        return ours.sales_headlines
    return ours.sales_none if any(one.groups for one in stories) else ours.sales_untouched


def missing(verdict: Verdict, language: str) -> str:
    """Why this contact has not had a story, in words."""
    ours = phrases(language)
    if verdict.into:
        return ours.left_out
    return ours.missing[verdict.reason].format(detail=verdict.detail)


def sums(desk: Desk) -> SalesSums:
    """How the owner's people fared; got_letter and those left out add up to contacts."""
    verdicts = [
        standing.verdict
        for account in desk.accounts
        for standing in desk.standings.get(account.key, ())
    ]
    out: dict[AudienceReason, int] = {}
    for verdict in verdicts:
        if not verdict.into:
            out[verdict.reason] = out.get(verdict.reason, 0) + 1
    ours = phrases(desk.language)
    return SalesSums(
        contacts=len(verdicts),
        got_letter=len(verdicts) - sum(out.values()),
        left_out=tuple(
            (ours.summed[reason], count)
            for reason, count in sorted(out.items(), key=lambda item: -item[1])
        ),
    )
