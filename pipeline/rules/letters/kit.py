"""The forward kit: one story for one person, as a mail that a salesperson only has to send.

It says what the wall lets the reader's own copy say. It carries no token, no pixel, no leave
link and no tracking parameter, and names nobody but the two who write.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from html import escape, unescape

from pipeline.errors import BadInput
from pipeline.model.catalog import Staff
from pipeline.model.letters import LetterStory, Snippet
from pipeline.model.news import Story
from pipeline.model.people import Contact
from pipeline.rules.letters import forward, language, wall
from pipeline.rules.letters.editions import sender_values
from pipeline.rules.letters.markdown import to_blocks, to_html, to_plain
from pipeline.rules.letters.merge import clean_value, fill_html, fill_text
from pipeline.rules.letters.mime import build_draft
from pipeline.rules.letters.prefill import prefilled
from pipeline.rules.news.address import parse, without_tracking

LONGEST_WORDS = 2_000  #: characters of one's own

_YOUR_LINE = {"en": "[A line of your own]", "de": "[Eine eigene Zeile]"}
_BODY = "font-family:Georgia,'Times New Roman',serif;font-size:16px;line-height:1.5"
_BLOCK = "margin:0 0 14px"
#: What somebody else said must be told apart from what happened, also after pasting.
_QUOTED = f"{_BLOCK};padding:0 0 0 14px;border-left:2px solid #999"
_LINK = re.compile(r'<a(?: href="([^"]*)")?>(.*?)</a>', re.DOTALL)
_HALVES = re.compile(r"[\ud800-\udfff]")  #: a terminal in another coding hands them over
_PASSED_ON = re.compile(r"^(?:fwd?|wg)\s{0,9}:\s{0,9}", re.IGNORECASE)
#: So many letters and digits make a subject that nobody writes by chance.
SHORTEST_SUBJECT = 8


@dataclass(frozen=True, slots=True)
class ReadyMail:
    """One mail in every form in which a mail program takes it."""

    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)  #: a fragment to paste: inline styles, nothing remote
    mailto: str = field(repr=False)
    #: A draft to open; empty where the address cannot stand in a head.
    eml: bytes = field(repr=False)
    shortened: bool  #: the mailto: has no room for all of it


def ready_mail(
    story: LetterStory,
    contact: Contact,
    sender: Staff,
    *,
    speaks: str,
    on: date,
    words: str = "",
    bcc: str = "",
) -> ReadyMail:
    """The mail that passes a story on.

    Shape:  words are the sender's own, clean; without them a mark says where they go;
            speaks is the language of the words around the story; bcc is our own mailbox
    """
    mail = _Mail(story, contact, sender, speaks, on, words)
    address, whole = forward.fitted(
        story, contact, sender, language=speaks, on=on, own=mail.own, close=mail.close
    )
    subject, text, html = mail.subject(), mail.text(), mail.html()
    return ReadyMail(
        subject=subject,
        text=text,
        html=html,
        mailto=address,
        eml=_draft(contact, sender, subject, text, html, speaks, bcc),
        shortened=not whole,
    )


def own_words(raw_words: str) -> str:
    """What a salesperson wrote, as it may stand in a mail.

    Raises: BadInput when it is too long
    """
    words = clean_value(_HALVES.sub("", raw_words))
    if len(words) > LONGEST_WORDS:
        raise BadInput(
            f"Your own words are longer than {LONGEST_WORDS} characters.",
            "Say it in a few lines; the story stands below them.",
        )
    return words


# ── what it says ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Mail:
    story: LetterStory
    contact: Contact
    sender: Staff
    speaks: str
    on: date
    words: str

    @property
    def own(self) -> Sequence[str]:
        placeholder = _YOUR_LINE.get(language.primary(self.speaks), _YOUR_LINE["en"])
        return (self.words or placeholder).split("\n")

    @property
    def close(self) -> Sequence[str]:
        signature = sender_values(self.sender)["signature"] or self.sender.name
        return (forward.phrases(self.speaks).wishes, *signature.split("\n"))

    @property
    def values(self) -> Mapping[str, str]:
        """What fills the fields of a curator's text."""
        first_name = self.contact.first_name
        return {
            "first_name": first_name,
            "greeting": language.greeting(self.speaks, first_name),
            **sender_values(self.sender),
        }

    def subject(self) -> str:
        return subject_line(fill_text(to_plain(self.story.title), self.values))

    def text(self) -> str:
        view = self._plain(self.story.take)
        if view:
            view[0] = self._view_form().replace("{text}", view[0])
        source = "\n".join(filter(None, (self._source(), self._link())))
        paragraphs = (
            self._hello(), "\n".join(self.own), *self._plain(self.story.fact), *view,
            self._question(), source, "\n".join(self.close),
        )  # fmt: skip
        return "\n\n".join(filter(None, paragraphs)) + "\n"

    def html(self) -> str:
        before, _, after = self._view_form().partition("{text}")
        view = self._rich(self.story.take)
        if before.strip() and view.startswith(f'<p style="{_BLOCK}">'):
            view = view.replace(">", f">{escape(before)}", 1)
        elif before.strip() and view:
            view = _paragraph(escape(before.strip() + after)) + view
        blocks = (
            _paragraph(escape(self._hello())),
            _paragraph("<br>".join(map(escape, self.own))),
            self._rich(self.story.fact),
            view,
            _paragraph(escape(self._question())),
            _paragraph(self._rich_source()),
            _paragraph("<br>".join(map(escape, self.close))),
        )
        return f'<div style="{_BODY}">{"".join(blocks)}</div>'

    def _hello(self) -> str:
        ours, name = forward.phrases(self.speaks), self.contact.first_name
        return ours.hello.format(name=name) if name else ours.hello_nobody

    def _view_form(self) -> str:
        """ "Our view: {text}", where something else stands beside it that is not ours."""
        beside = self.story.question or self.story.url
        return forward.phrases(self.speaks).our_view if beside else "{text}"

    def _question(self) -> str:
        question = fill_text(to_plain(self.story.question), self.values)
        return forward.phrases(self.speaks).a_question.replace("{text}", question) * bool(question)

    def _source(self) -> str:
        return forward.source_line(self.story, self.speaks, self.on)

    def _link(self) -> str:
        """A web address, or nothing: escaping alone would let `javascript:` through."""
        return without_tracking(self.story.url) if parse(self.story.url) else ""

    def _rich_source(self) -> str:
        link, said = self._link(), escape(self._source() or self._link())
        return f'<a href="{escape(link)}">{said}</a>' if link else said

    def _plain(self, markdown: str) -> list[str]:
        blocks = to_blocks(markdown)
        return [block.first + fill_text(block.text, self.values) for block in blocks]

    def _rich(self, markdown: str) -> str:
        clean = fill_html(str(to_html(markdown, language=self.speaks)), self.values)
        linked = _LINK.sub(_without_tracking, clean)
        quoted = linked.replace("<blockquote>", f'<blockquote style="{_QUOTED}">')
        return re.sub(r"<(p|ul|ol)>", rf'<\1 style="{_BLOCK}">', quoted)


def _paragraph(inner: str) -> str:
    return f'<p style="{_BLOCK}">{inner}</p>' if inner else ""


def _without_tracking(link: re.Match[str]) -> str:
    """A link that leads nowhere, such as one to leave, stands as its words."""
    url = without_tracking(unescape(link[1] or ""))
    return f'<a href="{escape(url)}">{link[2]}</a>' if url else link[2]


def _draft(
    contact: Contact, sender: Staff, subject: str, text: str, html: str, speaks: str, bcc: str
) -> bytes:
    tag = language.primary(speaks) or "en"
    page = (
        f'<!doctype html>\n<html lang="{escape(tag)}"><head><meta charset="utf-8">'
        f"<title>{escape(subject)}</title></head>\n<body>\n{html}\n</body></html>\n"
    )
    try:
        return build_draft(
            sender=(sender.name, sender.address),
            recipient=(contact.name if contact.name != contact.address else "", contact.address),
            subject=subject,
            html=page.replace("</p><", "</p>\n<"),
            text=text,
            bcc=bcc,
            language=tag,
        )
    except BadInput:
        return b""


# ── which words ──────────────────────────────────────────────────────────────────────────


def uncommented(story: Story) -> Snippet:
    """A story that nobody has written on, as a snippet: its fact and its link, no take."""
    shown = next((told for told in story.tellings if told.url == story.url), None)
    words = prefilled(story)
    return Snippet(
        id=0,
        public_id="",
        issue_id=0,
        story_id=story.id,
        position=0,
        section="main",
        title=words["title"],
        fact=words["fact"],
        take="",
        question="",
        story_public_id=story.public_id,
        story_kind=story.kind,
        signal=story.signals[0].signal if story.signals else "",
        source_name=story.source_name,
        url=story.url,
        published_on=(shown.published_at if shown else story.first_at).date(),
        language=shown.language if shown else "",
        about=tuple(dict.fromkeys(m.account_key for m in story.mentions if m.relation == "self")),
        learnt_from=story.learnt_from,
        is_public=story.is_public,
        source_text=story.text,
    )


def best(snippets: Sequence[Snippet], account_key: str) -> Snippet | None:
    """Of a story's snippets, the latest first, the one whose words this account may be sent.

    One with a take, or with words of the account's own, goes before one with none. Where the
    wall forbids all of them it is the first.
    """
    allowed = [s for s in snippets if wall.wording_for(s, account_key) is not None]
    speaking = (s for s in allowed if s.take.strip() or wall.wording_for(s, account_key) != "plain")
    return next(iter((*speaking, *allowed, *snippets)), None)


# ── its subject ──────────────────────────────────────────────────────────────────────────


def subject_line(title: str) -> str:
    """A title as a subject, cut where it is too long."""
    return forward.cut(title, forward.LONGEST_SUBJECT)


def known_subjects(titles: Iterable[tuple[int, str]]) -> Mapping[str, int]:
    """The subjects of the kits for these stories, as `story_with()` looks them up.

    Shape:  titles are (story id, Markdown: a title, or a whole wording that begins with one);
            of two that are the same the first counts
    """
    known: dict[str, int] = {}
    for story_id, written in titles:
        known.setdefault(_letters(written.strip().partition("\n")[0]), story_id)
    return known


def story_with(subject: str, known: Mapping[str, int]) -> int | None:
    """Whose kit bears this subject, passed on or not; None for an answer to it."""
    said = _PASSED_ON.sub("", subject.strip())
    sought = _letters(said)
    if len(sought) < SHORTEST_SUBJECT:
        return None
    if said.endswith("…"):
        return next((i for title, i in known.items() if title.startswith(sought)), None)
    return known.get(sought)


def _letters(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())
