"""What is missing or too much in an issue, each with its place, before a person approves it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import unescape
from html.parser import HTMLParser

from pipeline.model.catalog import Account, Firm, Newsletter
from pipeline.model.letters import Finding, Issue, Letter, Rendered, Snippet
from pipeline.rules.example import still_example
from pipeline.rules.letters import markdown, merge
from pipeline.rules.letters.render import MAX_HTML
from pipeline.rules.letters.wall import betrayals, may_enter, travels

MAX_QUOTED = 40  #: words of one source, in quotation marks
COPIED_RUN = 8  #: so many words of a source in a row, without marks, are a copy
SUBJECT_LONG, SUBJECT_TOO_LONG = 78, 120  #: characters
PREHEADER = (40, 130)  #: characters

# within one paragraph; an apostrophe looks like a closing ’, so ‘…’ counts from 12 letters on
_QUOTATIONS = re.compile(
    r"“([^“”\n]+)”|„([^“”„\n]+)[“”]|«([^«»\n]+)»|»([^«»\n]+)«|\"([^\"\n]+)\"|"
    r"‘([^‘’\n]{12,})’|‚([^‘’‚\n]+)[‘’]"
)
_MARKS = str.maketrans("\n", " ", '“”„«»"')
_WORD = re.compile(r"\w+(?:[’'.,-]\w+)*")
# the broader OUR_WORDS holds "lead" and "target", which are good names for a class or a letter
_BETRAYING = re.compile(
    r"(?<![a-zäöüß])(?:prospects?|customers?|clients?|(?:bestands|neu|ziel)?kund(?:e|en|in|innen)|"
    r"interessent(?:en|in|innen)?)(?![a-zäöüß])",
    re.IGNORECASE,
)


def lint_issue(
    issue: Issue,
    snippets: Sequence[Snippet],
    newsletter: Newsletter,
    firm: Firm,
    *,
    accounts: Sequence[Account] = (),
    reused: Mapping[str, str] | None = None,
    needs_https: bool = True,
) -> tuple[Finding, ...]:
    """What can be said before anything is rendered.

    Shape:  snippets in their order, both sections; accounts are the constellation's;
            reused maps a snippet's url to the ref of the earlier issue of this newsletter that
            used it; needs_https is False for the file transport
    """
    main = [snippet for snippet in snippets if snippet.section == "main"]
    thin = newsletter.fallback == "headlines" and any(map(may_enter, snippets))
    places = _places(snippets)
    found = [
        *_frame(issue, newsletter, firm, needs_https),
        *_count(main, newsletter, thin=thin),
        *_question(main),
        *_written(issue, newsletter, firm),
    ]
    for snippet in snippets:
        where = places[snippet.id]
        found += _story(snippet, where, accounts)
        if reused and snippet.url and snippet.url in reused:
            what = f"the link stood in {reused[snippet.url]} already: {snippet.url}"
            found.append(Finding("link_reused", where, what))
    return (*found, *_quotes_by_source(snippets))


def lint_story(snippet: Snippet, accounts: Sequence[Account] = ()) -> tuple[Finding, ...]:
    """What can be said of one kept story alone, wherever it stands."""
    return tuple(_story(snippet, _places((snippet,))[snippet.id], accounts))


def lint_rendered(
    letter: Letter, rendered: Rendered, *, longest: Mapping[str, str], where: str = ""
) -> tuple[Finding, ...]:
    """What can only be said of the finished bytes of one variant.

    Shape:  longest maps each merge field to the longest value that any recipient has
            (`longest_values`); where names the variant, such as "customer edition, de"
    """
    where = where or f"{letter.kind} edition"
    html = merge.fill_html(rendered.html, longest)
    text = merge.fill_text(rendered.text, longest)
    return tuple(
        # clipped by an inbox, a sales edition is still of use
        Finding(code, where, what, blocks=(code, letter.kind) != ("too_big", "sales"))
        for code, what in (
            *_size(html),
            *_positioning(letter, html, text),
            *_betraying(letter, rendered),
            *_leaving(letter, rendered),
            *_shape(letter, html),
        )
    )


def longest_values(recipients: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The longest value of each field over all recipients, as it counts in bytes of HTML."""
    longest: dict[str, str] = {}
    for values in recipients:
        for name, value in values.items():
            if len(value.encode()) > len(longest.get(name, "").encode()):
                longest[name] = value
    return longest


# ── the issue's frame ────────────────────────────────────────────────────────────────────


def _frame(
    issue: Issue, newsletter: Newsletter, firm: Firm, needs_https: bool
) -> Iterator[Finding]:
    yield from _subject(issue.subject)
    if not issue.theme.strip():
        yield Finding("no_theme", "theme", "the issue has no theme, its one big heading")
    if merge.fields_in(issue.theme) or merge.problems(issue.theme):
        yield Finding("field_in_theme", "theme", "a theme has no merge fields")
    shown = _visible(issue.preheader)
    if not PREHEADER[0] <= len(shown) <= PREHEADER[1]:
        yield Finding(
            "preheader_length",
            "preheader",
            f"{len(shown)} characters; {PREHEADER[0]} to {PREHEADER[1]} show best in an inbox",
            blocks=False,
        )
    if not newsletter.positioning.strip():
        yield Finding("no_positioning", "positioning", "the newsletter has no positioning sentence")
    for where, name in (("key", newsletter.key), ("title", newsletter.title)):
        hit = _BETRAYING.search(re.sub(r"[_-]", " ", name))
        if hit:
            what = f"readers see the newsletter's {where}, and it says “{hit.group()}”"
            yield Finding("betrays", f"newsletter {where}", what)
    if not firm.postal_address.strip():
        yield Finding("no_postal_address", "firm.yaml", "the firm has no postal address")
    if needs_https and not firm.base_url.startswith("https://"):
        yield Finding(
            "base_not_https", "firm.yaml", f"the base address must be https: “{firm.base_url}”"
        )
    for left in still_example(firm):
        yield Finding("example_firm", _in_file(left.place), left.what)


def _in_file(place: Sequence[str | int]) -> str:
    """Where it stands: firm.yaml, services.0.name."""
    return f"firm.yaml, {'.'.join(map(str, place[1:]))}"


def _subject(subject: str) -> Iterator[Finding]:
    shown = _visible(subject)
    if not shown:
        yield Finding("no_subject", "subject", "the issue has no subject")
    elif len(shown) > SUBJECT_TOO_LONG:
        yield Finding(
            "subject_too_long", "subject",
            f"{len(shown)} characters; at most {SUBJECT_TOO_LONG}",
        )  # fmt: skip
    elif len(shown) > SUBJECT_LONG:
        yield Finding(
            "subject_long", "subject",
            f"{len(shown)} characters; many inboxes cut after {SUBJECT_LONG}", blocks=False,
        )  # fmt: skip


def _visible(text: str) -> str:
    """A line with its fields at their defaults."""
    return merge.fill_text(merge.marked(text), {}).strip()


def _count(main: Sequence[Snippet], newsletter: Newsletter, *, thin: bool) -> Iterator[Finding]:
    if len(main) < newsletter.floor:
        what = f"{len(main)} of at least {newsletter.floor} stories"
        yield Finding("under_floor", "stories", what, blocks=not thin)
    if len(main) > newsletter.ceiling:
        what = f"{len(main)} stories; at most {newsletter.ceiling}"
        yield Finding("over_ceiling", "stories", what)


def _question(main: Sequence[Snippet]) -> Iterator[Finding]:
    if main and not any(snippet.question.strip() for snippet in main):
        what = "no story asks anything; ask what only the reader can answer"
        yield Finding("no_question", "stories", what)


def _written(issue: Issue, newsletter: Newsletter, firm: Firm) -> Iterator[Finding]:
    """Merge fields and links in what belongs to no snippet."""
    yield from _fields("subject", issue.subject)
    yield from _fields("preheader", issue.preheader)
    yield from _prose("opening", issue.opening)
    yield from _prose("invitation", newsletter.invitation)
    for service in firm.services:
        yield from _prose(f"service {service.key}", service.text)
    for news in firm.news:
        yield from _prose(f"own news {news.key}", news.text)


def _prose(where: str, text: str) -> Iterator[Finding]:
    """Merge fields and links of a text in Markdown."""
    yield from _fields(where, text)
    yield from _links(where, text)


def _links(where: str, text: str) -> Iterator[Finding]:
    for link in dict.fromkeys(markdown.links(text)):
        if why := markdown.why_no_link(link):
            what = f"{_place_of(link, text)}the link to “{link[:80]}” {why}"
            yield Finding("odd_link", where, what)


def _place_of(part: str, text: str) -> str:
    """`line 2, column 5: `; nothing where Markdown has it in other letters."""
    at = text.find(part) if part else -1
    if at < 0:
        return ""
    return f"line {text.count(chr(10), 0, at) + 1}, column {at - text.rfind(chr(10), 0, at)}: "


def _fields(where: str, text: str) -> Iterator[Finding]:
    for problem in merge.problems(text):
        yield Finding(
            "unknown_field", where, f"line {problem.line}, column {problem.column}: {problem.what}"
        )
    for field in merge.fields_in(text):
        if field.name in merge.MAY_BE_EMPTY and not field.default:
            what = f"{{{{{field.name}}}}} may be empty; write {{{{{field.name}|…}}}}"
            yield Finding("no_default", where, what, blocks=False)


# ── a story ──────────────────────────────────────────────────────────────────────────────


def _places(snippets: Sequence[Snippet]) -> dict[int, str]:
    """Snippet id → "story 3 “Tarnholm prints…”"."""
    places = {}
    number = 0
    for snippet in snippets:
        number += snippet.section == "main"
        name = f"story {number}" if snippet.section == "main" else "also noted"
        places[snippet.id] = f"{name} “{_short(snippet.title)}”"
    return places


def _short(title: str) -> str:
    return title if len(title) <= 32 else f"{title[:32].rsplit(' ', 1)[0]}…"


def _story(snippet: Snippet, where: str, accounts: Sequence[Account]) -> Iterator[Finding]:
    yield from _snippet(snippet, where)
    yield from _confidence(snippet, where, accounts)
    yield from _quotes(snippet, where)


def _snippet(snippet: Snippet, where: str) -> Iterator[Finding]:
    if not snippet.title.strip():
        yield Finding("no_title", where, "it has no title")
    if merge.problems(snippet.title) or merge.fields_in(snippet.title):
        yield Finding("unknown_field", where, "a title has no merge fields")
    for text in (
        snippet.fact, snippet.take, snippet.question, snippet.own_wording,
        snippet.general_wording, snippet.sales_note,
    ):  # fmt: skip
        yield from _prose(where, text)
    if snippet.story_kind == "own":
        return
    yield from _source(snippet, where)
    if snippet.section == "main":
        if not snippet.fact.strip():
            yield Finding("no_fact", where, "it does not say what happened")
        if not snippet.take.strip():
            yield Finding("no_take", where, "it has no take; without one it stands in Also noted")


def _source(snippet: Snippet, where: str) -> Iterator[Finding]:
    if snippet.story_kind == "note":
        if not snippet.source_name.strip() and not snippet.learnt_from:
            what = "a field note says where it comes from: “seen in forty shops in October”"
            yield Finding("no_source", where, what)
    elif not markdown.is_address(snippet.url):
        yield Finding("no_source", where, "it has no link to its source")
    elif not snippet.source_name.strip():
        yield Finding("no_source_name", where, "its source has no name", blocks=False)


def _confidence(snippet: Snippet, where: str, accounts: Sequence[Account]) -> Iterator[Finding]:
    if snippet.story_kind == "note" and not snippet.learnt_from and not snippet.is_public:
        yield Finding("note_unowned", where, "say whom it was learnt from, or that it is public")
    if snippet.learnt_from and not (snippet.general_wording.strip() and snippet.cleared_by):
        yield Finding(
            "confidence",
            where,
            "learnt in confidence: it goes to nobody but its source, "
            "unless the approver clears a general wording",
            blocks=False,
        )
    if snippet.learnt_from and snippet.general_wording.strip():
        account = next((a for a in accounts if a.key == snippet.learnt_from), None)
        for told in betrayals(snippet, account, (), accounts):
            what = f"the general wording holds {told}, which betrays where it came from"
            yield Finding("confidence_betrayed", where, what, blocks=travels(snippet))


# ── other people's words ─────────────────────────────────────────────────────────────────


def _quotes(snippet: Snippet, where: str) -> Iterator[Finding]:
    """Field notes and our own news are our words already."""
    if snippet.story_kind != "news":
        return
    theirs = snippet.source_text
    if snippet.section == "main" and copied(snippet.title, theirs):
        what = "its title is the source's own; a title of ours says what it means"
        yield Finding("copied_title", where, what, blocks=False)
    for texts in ((snippet.fact, snippet.take), (snippet.own_wording,)):
        shown = "\n".join(map(_paragraphs, texts))
        quoted = quoted_of(snippet) if len(texts) > 1 else quoted_words(shown)
        if quoted > MAX_QUOTED:
            what = f"{quoted} quoted words; at most {MAX_QUOTED} of one source"
            yield Finding("over_quoted", where, what)
        for run in copied(shown, theirs):
            yield Finding(
                "copied",
                where,
                f"taken from the source word for word: “{_some(run)}”; "
                "put it in quotation marks, or say it in your own words",
            )


def _quotes_by_source(snippets: Sequence[Snippet]) -> Iterator[Finding]:
    """Two stories of one source share its forty words."""
    quoted: dict[str, list[int]] = {}
    for snippet in snippets:
        if snippet.story_kind == "news" and snippet.source_name:
            quoted.setdefault(snippet.source_name, []).append(quoted_of(snippet))
    for source, counts in quoted.items():
        if sum(counts) > MAX_QUOTED >= max(counts):
            what = f"{sum(counts)} quoted words in several stories; at most {MAX_QUOTED}"
            yield Finding("over_quoted", f"source “{source}”", what)


def quoted_of(snippet: Snippet) -> int:
    """Quoted words in what most readers see of a story."""
    shown = "\n".join(map(_paragraphs, (snippet.fact, snippet.take)))
    return quoted_words(shown) + quoted_words(snippet.title)


def _paragraphs(source: str) -> str:
    """Plain text; quotations by Markdown stand in marks."""
    return "\n".join(
        f"“{block.text.translate(_MARKS)}”" if block.first.lstrip().startswith(">") else block.text
        for block in markdown.to_blocks(source)
    )


def _some(run: str) -> str:
    parts = run.split()
    return run if len(parts) <= 14 else f"{' '.join(parts[:12])} … ({len(parts)} words)"


def quoted_words(text: str) -> int:
    """How many words stand inside quotation marks."""
    inside = " ".join(_inside(hit) for hit in _QUOTATIONS.finditer(text))
    return sum(bool(_WORD.search(piece)) for piece in inside.split())


def _inside(hit: re.Match[str]) -> str:
    return next(filter(None, hit.groups()), "")


def copied(text: str, source_text: str) -> tuple[str, ...]:
    """Runs of at least 8 words that stand in the source word for word, and in no marks here.

    Each run is given once, as long as it is.
    """
    theirs = [word.casefold() for word in _WORD.findall(source_text)]
    if len(theirs) < COPIED_RUN:
        return ()
    known = {tuple(theirs[i : i + COPIED_RUN]) for i in range(len(theirs) - COPIED_RUN + 1)}
    runs = []
    for piece in _QUOTATIONS.sub("\n", text).split("\n"):
        runs += list(_runs(_WORD.findall(piece), known))
    return tuple(dict.fromkeys(runs))


def _runs(ours: Sequence[str], known: set[tuple[str, ...]]) -> Iterator[str]:
    folded = [word.casefold() for word in ours]
    start = end = -1
    for at in range(len(ours) - COPIED_RUN + 1):
        if tuple(folded[at : at + COPIED_RUN]) not in known:
            continue
        if at > end:
            if end > start:
                yield " ".join(ours[start:end])
            start = at
        end = at + COPIED_RUN
    if end > start:
        yield " ".join(ours[start:end])


# ── the finished bytes ───────────────────────────────────────────────────────────────────


def _size(html: str) -> Iterator[tuple[str, str]]:
    size = len(html.encode())
    if size > MAX_HTML:
        what = f"{size:,} bytes of HTML; at most {MAX_HTML:,}, or inboxes cut off its end"
        yield "too_big", what


def _positioning(letter: Letter, html: str, text: str) -> Iterator[tuple[str, str]]:
    wanted = _squeezed(letter.positioning)
    shown = _Page(html)
    for part, body in (("HTML", shown.words), ("text", text)):
        times = _squeezed(body).count(wanted) if wanted else 0
        if times != 1:
            yield "positioning", f"the positioning sentence stands {times} times in its {part}"


def _squeezed(text: str) -> str:
    return " ".join(text.replace("\u00a0", " ").split())


def _betraying(letter: Letter, rendered: Rendered) -> Iterator[tuple[str, str]]:
    """Our words for a reader's standing, where no reader should find them."""
    if letter.kind == "sales":
        return
    for place in _Page(rendered.html).hidden:
        hit = _BETRAYING.search(re.sub(r"[_-]", " ", place))
        if hit:
            yield "betrays", f"“{hit.group()}” stands in its code: {place[:60]}"


def _leaving(letter: Letter, rendered: Rendered) -> Iterator[tuple[str, str]]:
    if letter.kind not in ("prospect", "customer"):
        return
    for part, body in (("HTML", rendered.html), ("text", rendered.text)):
        for name in ("leave_url", "basis"):
            if merge.mark(name) not in body:
                yield f"no_{name}", f"its {part} has no {name}; the template must show it"
        if _squeezed(letter.postal_address) not in _squeezed(_Page(body).words):
            yield "no_postal_address", f"its {part} has no postal address"


def _shape(letter: Letter, html: str) -> Iterator[tuple[str, str]]:
    headings = len(re.findall(r"<h1[\s>]", html))
    if headings != 1:
        yield "headings", f"its HTML has {headings} first headings; one is right"
    sums = letter.sales_sums
    if sums and sums.contacts != sums.got_letter + sum(count for _, count in sums.left_out):
        yield "sums", "its counts of people do not add up"


class _Page(HTMLParser):
    """What a reader sees of a page, and what only a curious one finds."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self._seen: list[str] = []
        self.hidden: list[str] = []  #: class names, ids, links and comments
        self._skip = 0
        self.feed(html)
        self.close()

    @property
    def words(self) -> str:
        return "".join(self._seen)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._skip += tag in ("style", "script", "title")
        if tag in ("p", "td", "th", "div", "h1", "h2", "li", "br"):
            self._seen.append(" ")
        self.hidden += [
            value for name, value in attrs
            if value and (name in ("class", "id", "title", "name") or name.startswith("data-"))
        ]  # fmt: skip

    def handle_endtag(self, tag: str) -> None:
        self._skip -= tag in ("style", "script", "title")

    def handle_data(self, data: str) -> None:
        if self._skip <= 0:
            self._seen.append(data)

    def handle_comment(self, data: str) -> None:
        self.hidden.append(unescape(data))
