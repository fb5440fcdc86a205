"""A constellation's month as one page, to read on a screen and to print."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from fractions import Fraction
from urllib.parse import urlsplit

from markupsafe import Markup

from pipeline.model.sales import AccountCoverage, BeatLine, Coverage, MonthReport
from pipeline.rules.reports.calendar import sheet
from pipeline.rules.reports.sky import sky
from pipeline.rules.reports.style import POLICY, STYLE

_MARKS = {
    "hand": Markup(
        '<path class="hand" d="M9 0L10.3 7.7L18 9L10.3 10.3L9 18L7.7 10.3L0 9L7.7 7.7Z"/>'
    ),
    "machine": Markup('<circle class="machine" cx="9" cy="9" r="4.6"/>'),
    "none": Markup('<circle class="none" cx="9" cy="9" r="3.6"/>'),
}


def page(report: MonthReport) -> bytes:
    """The whole page; the same report gives the same bytes.

    Shape: UTF-8 HTML that asks nothing of anywhere
    """
    said = report.coverage
    parts = (
        _coverage(report),
        _untouched(report),
        _buyers(said),
        _beats(report),
        _letters(report),
        _stories(report),
        _accounts(report),
    )
    body = Markup(
        '<header><p class="running"><span>{firm}</span><span>{month}</span></p></header>'
        "<main><h1>{name}</h1><p class=lede>{lede}</p>{parts}</main>"
        "<footer>For ourselves: it says who is a customer and who is not. "
        "The same accounts as a table for a spreadsheet: "
        '<a href="{key}.csv">{key}.csv</a>. <a href="index.html">All of {month}</a></footer>'
    ).format(
        firm=report.firm_name,
        month=_month(said.month),
        name=said.constellation_name,
        lede=_lede(report),
        parts=_joined(parts),
        key=said.constellation_key,
    )
    return document(f"{said.constellation_name}, {_month(said.month)}", body)


def front(month: date, firm_name: str, reports: Sequence[MonthReport]) -> bytes:
    """The month's index: each constellation with its first number and its page."""
    rows = _joined(
        Markup(
            '<tr><th scope="row"><a href="{key}.html"><bdi>{name}</bdi></a></th>'
            '<td data-of="touched">{touched} of {all}</td>'
            '<td data-of="beats kept">{kept} of {planned}</td>'
            '<td class="n" data-of="{letters}">{sent}</td></tr>'
        ).format(
            key=one.coverage.constellation_key,
            name=one.coverage.constellation_name,
            touched=len(one.coverage.touched),
            all=len(one.coverage.accounts),
            kept=one.coverage.beats_kept,
            planned=one.coverage.beats_planned,
            sent=f"{one.letters.sent:,}",
            letters="letter" if one.letters.sent == 1 else "letters",
        )
        for one in reports
    )
    body = Markup(
        '<header><p class="running"><span>{firm}</span><span>Reports</span></p></header>'
        "<main><h1>{month}</h1><p class=lede>{number} of its own.</p>"
        '<table class="wide"><thead><tr><th scope="col">Constellation</th>'
        '<th scope="col">Accounts touched</th><th scope="col">Beats kept</th>'
        '<th scope="col" class="n">Letters</th></tr></thead><tbody>{rows}</tbody></table>'
        "</main><footer>For ourselves.</footer>"
    ).format(
        firm=firm_name,
        month=_month(month),
        number=count(
            len(reports), "constellation, with a page", "constellations, each with a page"
        ),
        rows=rows,
    )
    return document(f"Reports, {_month(month)}", body)


def document(title: str, body: Markup) -> bytes:
    """A page around a body."""
    return str(
        Markup(
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta http-equiv="Content-Security-Policy" content="{policy}">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta name="robots" content="noindex"><meta name="referrer" content="no-referrer">'
            "<title>{title}</title><style>{style}</style></head>\n<body>{body}</body></html>\n"
        ).format(policy=POLICY, title=title, style=Markup(STYLE), body=body)  # noqa: S704  ours
    ).encode()


# ── what it says ─────────────────────────────────────────────────────────────────────────


def _lede(report: MonthReport) -> Markup:
    said = report.coverage
    over = "" if report.is_over else "; the month still runs"
    if said.accounts:
        accounts = Markup("<b>{} of {}</b> touched{}").format(
            len(said.touched), count(len(said.accounts), "account"), " so far" * bool(over)
        )
    else:
        accounts = Markup("<b>No accounts</b> yet")
    beats = (
        Markup("<b>{} of {}</b> kept").format(said.beats_kept, count(said.beats_planned, "beat"))
        if said.beats_planned
        else Markup("<b>No beat</b> was planned")
    )
    sent = count(report.letters.sent, "letter") if report.letters.sent else "no letter"
    return Markup("{}{}. {}, <b>{}</b> sent.").format(accounts, over, beats, sent)


def _coverage(report: MonthReport) -> Markup:
    said = report.coverage
    if not said.accounts:
        return Markup("")  # a sky without a star would be a black bar
    by_hand = sum(bool(one.by_hand) for one in said.accounts)
    by_machine = sum(bool(one.by_machine) and not one.by_hand for one in said.accounts)
    none = len(said.untouched)
    told = (
        f"{count(len(said.accounts), 'account')}: {by_hand} touched by hand, {by_machine} by "
        f"machine alone, {none} not touched. The table at the end names each."
    )
    keys = (
        ("hand", by_hand, "by hand, joined by lines" if by_hand > 1 else "by hand"),
        ("machine", by_machine, "by letters alone"),
        ("none", none, "not touched"),
    )
    return Markup(
        '<figure>{sky}<figcaption><ul class="key">{keys}</ul></figcaption></figure>'
    ).format(
        sky=sky(said.accounts, told),
        keys=_joined(
            Markup(
                '<li><svg viewBox="0 0 18 18" aria-hidden="true">{}</svg><b>{}</b> {}</li>'
            ).format(_MARKS[mark], number, words)
            for mark, number, words in keys
        ),
    )


def _untouched(report: MonthReport) -> Markup:
    untouched = report.coverage.untouched
    if not report.coverage.accounts:
        return _section(
            "Not touched",
            Markup("<p>There are no accounts yet. They stand in the constellation’s file.</p>"),
        )
    if not untouched:
        return _section("Not touched", Markup("<p>Nobody: every account heard from us.</p>"))
    names = _joined(
        Markup("<li><bdi>{}</bdi> <span>{}</span></li>").format(one.name, _owner(report, one))
        for one in untouched
    )
    return _section(
        f"Not touched: {len(untouched)}", Markup('<ul class="names">{}</ul>').format(names)
    )


def _buyers(said: Coverage) -> Markup:
    if not said.accounts:
        return Markup("")
    exact = said.buyers_per_month
    words = Markup(
        "<p>About <b>{about}</b> of {accounts} may be expected to buy in any month. "
        '<span class="small">Exactly {exact}: the purchases per year of all accounts, divided '
        "by twelve. {rounding} Nobody knows which; that is why all hear from us.</span></p>"
    ).format(
        about=_decimal(exact),
        accounts=count(len(said.accounts), "account"),
        exact=_fraction(exact),
        rounding="Nothing is rounded." if _is_plain(exact) else "Shown to one decimal.",
    )
    return _section("Buyers to expect this month", words)


def _beats(report: MonthReport) -> Markup:
    said = report.coverage
    missed = sum(one.state == "missed" for one in report.beats)
    skipped = sum(one.state == "skipped" for one in report.beats)
    told = f"{said.beats_kept} kept of {said.beats_planned}, {missed} missed, {skipped} skipped."
    note = " A skipped beat was never promised and does not count." if skipped else ""
    if not report.beats:
        return _section("Beats", Markup("<p>No beat fell into this month.</p>"))
    rows = _joined(_beat(one) for one in report.beats)
    return _section(
        f"Beats: {said.beats_kept} kept of {said.beats_planned}",
        Markup(
            '<div class="beats">{}<div><table><thead><tr><th scope="col">Day</th>'
            '<th scope="col">Newsletter</th><th scope="col">State</th></tr></thead>'
            '<tbody>{}</tbody></table><p class="small">{}</p></div></div>'
        ).format(sheet(said.month, report.beats, told), rows, told + note),
    )


def _beat(one: BeatLine) -> Markup:
    css = "warn" if one.state == "missed" else ""
    why = Markup("<br>{}").format(one.reason) if one.reason else Markup("")
    return Markup(
        '<tr><td>{day}</td><td>{title}</td><td class="{css}">{state}{why}</td></tr>'
    ).format(
        day=f"{one.on:%a} {one.on.day}", title=one.newsletter, css=css, state=one.state, why=why
    )


def _letters(report: MonthReport) -> Markup:
    counts = report.letters
    pairs = [
        ("sent", counts.sent),
        ("left a newsletter", counts.left),
        ("bounced for good", counts.bounced),
        ("complained", counts.complained),
    ]
    sums = _joined(
        Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(words, f"{number:,}")
        for words, number in pairs
    )
    return _section("Letters", Markup('<dl class="sums">{}</dl>').format(sums))


def _stories(report: MonthReport) -> Markup:
    if not report.stories:
        return _section("Stories told", Markup("<p>Nobody was told of a story.</p>"))
    rows = _joined(
        Markup(
            '<li><bdi>{title}</bdi> <span class="small">{source}told to {number}</span></li>'
        ).format(
            title=_linked(one.title or "Untitled", one.url),
            source=f"{one.source_name}, " if one.source_name else "",
            number=count(one.contacts, "person", "people"),
        )
        for one in report.stories
    )
    return _section("Stories most told", Markup('<ol class="stories">{}</ol>').format(rows))


def _accounts(report: MonthReport) -> Markup:
    if not report.coverage.accounts:
        return Markup("")
    rows = _joined(
        Markup(
            '<tr><th scope="row"><bdi>{name}</bdi></th><td>{relationship}</td><td>{owner}</td>'
            '<td class="n{z1}" data-of="by machine">{machine}</td>'
            '<td class="n{z2}" data-of="by hand">{hand}</td></tr>'
        ).format(
            name=one.name,
            relationship=one.relationship,
            owner=_owner(report, one),
            machine=one.by_machine,
            hand=one.by_hand,
            z1="" if one.by_machine else " zero",
            z2="" if one.by_hand else " zero",
        )
        for one in report.coverage.accounts
    )
    return _section(
        "Every account",
        Markup(
            '<table class="wide"><thead><tr><th scope="col">Account</th>'
            '<th scope="col">Relationship</th><th scope="col">Owner</th>'
            '<th scope="col" class="n">By machine</th><th scope="col" class="n">By hand</th></tr>'
            "</thead><tbody>{}</tbody></table>"
        ).format(rows),
    )


# ── small words ──────────────────────────────────────────────────────────────────────────


def count(number: int, one: str, many: str = "") -> str:
    """`1 account`, `3 accounts`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _section(title: str, content: Markup) -> Markup:
    return Markup("<section><h2>{}</h2>{}</section>").format(title, content)


def _joined(parts: Iterable[Markup]) -> Markup:
    return Markup("").join(parts)


def _owner(report: MonthReport, account: AccountCoverage) -> str:
    return report.owners.get(account.owner, account.owner)


def _linked(title: str, url: str) -> Markup:
    if urlsplit(url).scheme not in ("http", "https"):
        return Markup("{}").format(title)
    return Markup('<a href="{}" rel="noreferrer nofollow">{}</a>').format(url, title)


def _month(on: date) -> str:
    return f"{on:%B %Y}"


def _is_plain(number: Fraction) -> bool:
    return (number * 10).denominator == 1


def _decimal(number: Fraction) -> str:
    """To one decimal, halves up; without one when it is whole."""
    tenths = int(number * 10 + Fraction(1, 2))
    return str(tenths // 10) if tenths % 10 == 0 else f"{tenths // 10}.{tenths % 10}"


def _fraction(number: Fraction) -> str:
    """`50`, `1/8`, `4 1/6`."""
    whole, rest = divmod(number, 1)
    part = f"{rest.numerator}/{rest.denominator}" if rest else ""
    return " ".join(filter(None, (str(whole) if whole or not rest else "", part)))
