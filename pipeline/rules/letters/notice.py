"""A mail among ourselves: what it says, in HTML and in text, and how it is addressed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pipeline.model.catalog import Constellation, Firm, Newsletter, Staff
from pipeline.model.letters import (
    Arithmetic,
    Content,
    EmptyBeat,
    Envelope,
    Finding,
    Issue,
    Notice,
    NoticeKind,
    Snippet,
)
from pipeline.rules.letters import markdown, merge, sandbox
from pipeline.rules.letters.audience import left_out_in_words
from pipeline.rules.letters.brand import palette
from pipeline.rules.letters.curator_notes import day_in_words, moment_in_words
from pipeline.rules.letters.envelope import borne
from pipeline.rules.letters.language import issue_name
from pipeline.rules.letters.mime import build_message, message_id
from pipeline.rules.letters.render import inlined
from pipeline.rules.letters.rhythm import latest
from pipeline.rules.letters.tokens import PREVIEW, STOP
from pipeline.rules.letters.wall import numbered

HTML, TEXT = "notice.html.j2", "notice.txt.j2"
SHOWN = 8  #: so many findings or stories are listed
LANGUAGE = "en"  #: of all mail among ourselves


@dataclass(frozen=True, slots=True)
class Matter:
    """What a notice is about, and what it may have to tell."""

    issue: Issue
    newsletter: Newsletter
    constellation: Constellation
    firm: Firm
    snippets: tuple[Snippet, ...] = ()
    findings: tuple[Finding, ...] = ()  #: what holds it back
    sum: Arithmetic | None = None  #: who gets it, once that is frozen
    preview_url: str = ""
    stop_url: str = ""

    @property
    def about(self) -> str:
        return about(self.issue)

    @property
    def name(self) -> str:
        return issue_name(LANGUAGE, self.newsletter.title, self.issue.number)

    def when(self, at: datetime) -> str:
        return moment_in_words(at, self.newsletter.rhythm.zone)

    @property
    def due(self) -> str:
        """When it is due, with the zone in which all times of a notice are told."""
        return f"{self.when(self.issue.due_at)} ({self.newsletter.rhythm.zone})"

    def staff(self, key: str) -> Staff | None:
        return next((one for one in self.firm.staff if one.key == key), None)

    def called(self, key: str) -> str:
        one = self.staff(key)
        return one.name if one else key


@dataclass(frozen=True, slots=True)
class Said:
    """What a notice says."""

    subject: str
    heading: str
    paragraphs: tuple[str, ...]
    points_title: str = ""
    points: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()  #: (words, address)
    commands: tuple[tuple[str, str], ...] = ()  #: (what for, command)
    close: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """Beats of a newsletter that had no issue, of which nobody was told; the latest first."""

    newsletter: Newsletter
    constellation: Constellation
    firm: Firm
    beats: tuple[EmptyBeat, ...]

    @property
    def name(self) -> str:
        return self.newsletter.title

    @property
    def about(self) -> str:
        return about_beat(self.newsletter.key, self.beats[0])

    def when(self, beat: EmptyBeat) -> str:
        zone = self.newsletter.rhythm.zone
        return f"{moment_in_words(beat.due_at, zone)} ({zone})"


def about(issue: Issue) -> str:
    """How a notice names its issue."""
    return f"issue:{issue.public_id}"


def about_beat(newsletter: str, beat: EmptyBeat) -> str:
    """How a notice names a beat that has no issue."""
    return f"beat:{newsletter}/{beat.on.isoformat()}"


def read_templates(read: Callable[[str], str]) -> Mapping[str, str]:
    """HTML and TEXT with what they include, each by its name.

    Raises: whatever `read` raises for one that is not there
    """
    found: dict[str, str] = {}
    waiting = [HTML, TEXT]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = read(name)
            waiting += sandbox.named_in(found[name])
    return found


def for_review(
    matter: Matter, sum_: Arithmetic, root: str, tokens: Callable[[str, str], str]
) -> Matter:
    """With who gets it, and the links that its approver needs.

    Shape:  root is the base address; tokens makes one for a purpose and a public id
    """
    public_id = matter.issue.public_id
    return replace(
        matter,
        sum=sum_,
        preview_url=f"{root}/preview/{tokens(PREVIEW, public_id)}",
        stop_url=f"{root}/stop/{tokens(STOP, public_id)}",
    )


def write_notice(
    kind: NoticeKind, to: Staff, matter: Matter, templates: Mapping[str, str], now: datetime
) -> Notice:
    """The whole mail, as it will be sent.

    Shape:  templates holds HTML and TEXT with what they include
    Raises: BadInput for a template that cannot be rendered
    """
    return _written(kind, to, matter, _SAYS[kind](matter, to), templates, now)


def write_no_issue(to: Staff, gap: Gap, templates: Mapping[str, str], now: datetime) -> Notice:
    """One mail about all beats without an issue of which nobody was told: no burst of them.

    Shape:  templates as for `write_notice`
    Raises: BadInput for a template that cannot be rendered
    """
    return _written("no_issue", to, gap, _no_issue(gap), templates, now)


def _written(
    kind: NoticeKind,
    to: Staff,
    matter: Matter | Gap,
    said: Said,
    templates: Mapping[str, str],
    now: datetime,
) -> Notice:
    values = _values(said, to, matter)
    html = sandbox.render(HTML, templates, values, _HTML_FILTERS)
    text = sandbox.render(TEXT, templates, values, _TEXT_FILTERS)
    return Notice(
        kind=kind,
        about=matter.about,
        staff_key=to.key,
        address=to.address,
        name=to.name,
        subject=values["subject"],
        html=inlined(html, "sales"),
        text=merge.tidy(text).strip("\n") + "\n",
        due_at=now,
    )


def envelope_of(notice: Notice, firm: Firm, answers: Staff | None) -> Envelope:
    """The message of one notice, from the firm's own address; no List headers, nobody leaves.

    Shape:  answers is who gets what is written back; the firm when None
    Raises: BadInput when an address or a header cannot be sent
    """
    sender = (firm.name, firm.contact)
    message = build_message(
        sender=sender,
        recipient=(notice.name, notice.address),
        subject=notice.subject,
        html=notice.html,
        text=notice.text,
        date=notice.due_at,
        message_id=message_id(notice.public_id, firm.mail_domain),
        reply_to=(answers.name, answers.address) if answers else sender,
        language=LANGUAGE,
    )
    content = Content(
        key=f"notice|{notice.public_id}",
        sender_name=sender[0],
        recipient_name=notice.name,
        subject=notice.subject,
        html=notice.html,
        text=notice.text,
        values={},
        headers=borne(message),
    )
    return Envelope(notice.public_id, sender[1], notice.address, message, "notices", content)


# ── what each says ───────────────────────────────────────────────────────────────────────


def _write(m: Matter, to: Staff) -> Said:
    backup = m.constellation.backup
    others = backup and backup != to.key
    return Said(
        subject=f"{m.name} is still to be written",
        heading="Still to be written",
        paragraphs=(
            f"{m.name} goes out on {m.due}. Its words freeze on {m.when(m.issue.cut_off_at)}.",
        ),
        points_title="What is missing",
        points=_findings(m.findings),
        commands=(("To write on", f"asterism curate export {m.issue.ref}"),),
        close=f"If it cannot be done, {m.called(backup)} is asked a few hours before its "
        "words freeze."
        if others
        else "",
    )


def _write_backup(m: Matter, to: Staff) -> Said:
    curator = m.called(m.constellation.curator)
    return Said(
        subject=f"{m.name}: can you step in for {curator}?",
        heading="Can you step in?",
        paragraphs=(
            f"{m.name} goes out on {m.due}, and {curator} has not finished it. "
            f"Its words freeze on {m.when(m.issue.cut_off_at)}.",
            f"A word with {curator} first saves writing it twice.",
        ),
        points_title="What is missing",
        points=_findings(m.findings),
        commands=(("To write on", f"asterism curate export {m.issue.ref}"),),
    )


def _approve(m: Matter, to: Staff) -> Said:
    return Said(
        subject=f"{m.name} waits for your yes",
        heading="It waits for your yes",
        paragraphs=(
            f"{m.name} is written, and nothing holds it back. Your approval is due by "
            f"{m.when(m.issue.deadline_at)}; it goes out on {m.due}.",
            "Nothing goes out without it.",
        ),
        points_title="Its stories",
        points=_stories(m.snippets),
        commands=(
            ("To look at it", f"asterism issue show {m.issue.ref}"),
            ("To say yes", f"asterism --as {to.key} issue approve {m.issue.ref}"),
        ),
    )


def _review(m: Matter, to: Staff) -> Said:
    until = m.issue.goes_at
    return Said(
        subject=f"{m.name} goes out by itself on {m.when(until).partition(' ')[2]}",
        heading="It goes by itself",
        paragraphs=(
            f"{m.name} was composed without a hand. It goes out on {m.when(until)} "
            f"({m.newsletter.rhythm.zone}), unless somebody stops it; you need not do anything.",
            *((_sum_in_words(m.sum),) if m.sum else ()),
        ),
        points_title="Its stories" if _has_takes(m.snippets) else "Its headlines",
        points=_stories(m.snippets),
        links=(("Look at it", m.preview_url), ("Stop it", m.stop_url)),
        commands=(("Or on the command line", f"asterism issue stop {m.issue.ref}"),),
        close="Stopping takes one press more on the page that opens. Who has these links can "
        "stop the issue: please do not pass this mail on.",
    )


def _review_refused(m: Matter, to: Staff) -> Said:
    people, zone = m.constellation, m.newsletter.rhythm.zone
    approver, asked = m.called(people.approver), m.staff(people.approver)
    now = f" (now {asked.address})" if asked else ""
    ends = m.when(latest(m.newsletter.rhythm, m.issue.due_at))
    return Said(
        subject=f"{m.name} is held back: {approver} could not be asked",
        heading="Nobody was asked to look",
        paragraphs=(
            f"{m.name} was composed without a hand and was to go out on {m.due}, unless somebody "
            "stopped it. It does not go, because nobody could look at it:",
            f"{_sentence(m.issue.reason)}",
            f"With another address of {approver} in firm.yaml{now}, or another approver in "
            f"constellations/{people.key}.yaml, the mail goes anew, and with it "
            f"{m.newsletter.review_window_h} hours to look at the issue. Approved by a hand, it "
            "goes without that mail.",
            f"If nothing of this is done by {ends} ({zone}), it does not go out.",
        ),
        points_title=("What it holds" if _has_takes(m.snippets) else "Its headlines")
        if m.snippets
        else "",
        points=_stories(m.snippets),
        commands=(
            ("To look at it", f"asterism issue show {m.issue.ref}"),
            (f"To say yes, for {approver}",
             f"asterism --as {people.approver} issue approve {m.issue.ref}"),
        ),
    )  # fmt: skip


def _held_back(m: Matter, to: Staff) -> Said:
    return Said(
        subject=f"{m.name} is held back",
        heading="It does not go yet",
        paragraphs=(
            f"{m.name} is composed without a hand and was to go out on "
            f"{m.due}. Something holds it back:",
            f"{_sentence(m.issue.reason)}",
            f"It is tried again by itself; mended by {m.when(m.issue.deadline_at)}, it can still "
            f"go. From {m.when(m.issue.cut_off_at)} on only "
            f"{m.called(m.constellation.approver)} writes on it.",
        ),
        points_title=_so_far(m.snippets),
        points=_stories(m.snippets),
        commands=(
            ("To see what is missing", f"asterism issue show {m.issue.ref}"),
            ("To write on it", f"asterism curate export {m.issue.ref}"),
        ),
    )


def _not_sent(m: Matter, to: Staff) -> Said:
    return Said(
        subject=f"{m.name} did not go out",
        heading="It did not go out",
        paragraphs=(
            f"{m.name} was due on {m.due}, and nobody got it.",
            f"Why: {_ended(m.issue.reason or 'nobody approved it in time')}",
            "Its stories are free for the next issue.",
        ),
        commands=(("What happened to it", f"asterism explain issue {m.issue.ref}"),),
    )


def _no_issue(gap: Gap) -> Said:
    last, *before = gap.beats
    return Said(
        subject=f"{gap.name} did not go out on {day_in_words(last.on)}",
        heading="Nothing went out",
        paragraphs=(
            f"{gap.name} was due on {gap.when(last)}, and there was no issue that could go.",
            f"Why: {_ended(last.reason)}",
            "The stories are still there for the next issue.",
        ),
        points_title="Nor did it go out on" if before else "",
        points=_some([f"{gap.when(beat)}: {beat.reason}" for beat in before]),
        commands=(("What is next", "asterism status"),),
    )


_SAYS = {
    "write": _write,
    "write_backup": _write_backup,
    "approve": _approve,
    "review": _review,
    "review_refused": _review_refused,
    "held_back": _held_back,
    "not_sent": _not_sent,
}


def _findings(findings: Sequence[Finding]) -> tuple[str, ...]:
    """What many stories lack is said once: "Story 2 “Quay 2”: the same"."""
    before = ["", *(finding.what for finding in findings)]
    return _some([
        f"{_capital(finding.where)}: {'the same' if finding.what == last else finding.what}"
        for finding, last in zip(findings, before, strict=False)
    ])  # fmt: skip


def _stories(snippets: Sequence[Snippet]) -> tuple[str, ...]:
    """By the titles that our own people know; those noted come last.

    Where all are noted, the list's title says so once.
    """
    noted = "Also noted: " if _has_takes(snippets) else ""
    return _some([
        snippet.title if number else f"{noted}{snippet.title}"
        for number, snippet in numbered(snippets)
    ])  # fmt: skip


def _has_takes(snippets: Sequence[Snippet]) -> bool:
    return any(number for number, _ in numbered(snippets))


def _so_far(snippets: Sequence[Snippet]) -> str:
    """What heads the list of an issue that is not whole; nothing where there is no list."""
    if not snippets:
        return ""
    return "What it holds so far" if _has_takes(snippets) else "Its headlines so far"


def _some(lines: Sequence[str]) -> tuple[str, ...]:
    if len(lines) <= SHOWN + 1:
        return tuple(lines)
    return (*lines[:SHOWN], f"and {len(lines) - SHOWN} more")


def _sum_in_words(sum_: Arithmetic) -> str:
    """ "It goes to 38 of 41 contacts; 3 are left out (2 paused, 1 suppressed)." """
    left = sum(number for _, number in sum_.left_out)
    out = ""
    if left:
        out = f"; {left} {'is' if left == 1 else 'are'} left out ({left_out_in_words(sum_)})"
    contacts = "contact" if sum_.contacts == 1 else "contacts"
    return f"It goes to {sum_.letters} of {sum_.contacts} {contacts}{out}."


def _sentence(reason: str) -> str:
    return _capital(_ended(reason))


def _ended(reason: str) -> str:
    text = reason.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


# ── how it looks ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _House:
    """What the shared head of our letters asks of a letter."""

    firm_name: str
    logo: str


def _values(said: Said, to: Staff, matter: Matter | Gap) -> dict[str, Any]:
    plain = _plain
    return {
        "letter": _House(matter.firm.name, matter.firm.brand.logo),
        "lang": LANGUAGE,
        "dir": "ltr",
        "brand": palette(matter.firm.brand.color),
        "subject": plain(said.subject),
        "name": plain(matter.name),
        "to": to.first_name,
        "heading": plain(said.heading),
        "paragraphs": [plain(text) for text in said.paragraphs],
        "points_title": said.points_title if said.points else "",
        "points": [plain(text) for text in said.points],
        "links": [(words, url) for words, url in said.links if url],
        "commands": said.commands,
        "close": plain(said.close),
        "firm": matter.firm,
    }


def _plain(text: str) -> str:
    """On one line, and without what would be a merge field's mark."""
    return " ".join(merge.without_marks(text).split())


def _href(url: str) -> str:
    return url if markdown.is_address(url) else ""


_HTML_FILTERS: sandbox.Filters = {
    "href": _href,
    "bind": lambda text: markdown.bound(text, LANGUAGE),
    "one_line": _plain,
    "postal": markdown.postal,
}
_TEXT_FILTERS: sandbox.Filters = {
    "href": _href,
    "wrap": lambda text, first="", rest="": merge.wrap(text, first, rest),
    "headed": lambda title: f"{title}\n{'-' * len(title)}",
    "ruled": lambda sign: sign * merge.WIDTH,
    "one_line": _plain,
}
