"""What to do next, as sentences with the command that does it; the most pressing first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from pipeline.model.catalog import Catalog
from pipeline.model.letters import Issue
from pipeline.rules.example import still_example
from pipeline.rules.letters.automatic import review_at
from pipeline.rules.letters.curator_notes import moment_in_words
from pipeline.rules.letters.language import issue_name
from pipeline.stages.status.standing import (
    MissedBeat,
    NewsletterStatus,
    Next,
    SourceHealth,
    Status,
    Unfinished,
)

#: Sources that nobody has asked for so long are worth a sentence.
QUIET = timedelta(days=1)


def next_steps(catalog: Catalog, found: Status) -> tuple[Next, ...]:
    """What to do next; that nothing is to do, when nothing is."""
    steps = (
        *_in_doubt(found),
        *_held(found),
        *_failed(found),
        *_due(found),
        *_example(catalog),
        *_news(found),
        *_newsletters(catalog, found),
        *_people(found),
        *_ill_sources(found),
    )
    return steps or tuple(_nothing(found))


def _in_doubt(found: Status) -> Iterator[Next]:
    unknown = found.deliveries.get("unknown", 0)
    if unknown:
        whether = "copy it is not known whether it" if unknown == 1 else (
            "copies it is not known whether they"
        )  # fmt: skip
        yield Next(
            f"Of {unknown} {whether} went out; nobody sends them again before you say so.",
            "asterism deliver resolve",
        )


def _held(found: Status) -> Iterator[Next]:
    for ref in found.held:
        yield Next(
            f"{ref} was due before the database was restored, and may have gone out then, so it is "
            f"held back. If it did, `asterism deliver allow {ref} --went-out` says so, and nothing "
            f"leaves; `asterism issue stop {ref}` ends it; if it did not go out, let it go.",
            f"asterism deliver allow {ref}",
        )


def _failed(found: Status) -> Iterator[Next]:
    if found.deliver_failed and found.due_now:
        yield Next(f"The last delivery failed: {found.deliver_failed.rstrip('.')}.",
                   "asterism deliver")  # fmt: skip


def _due(found: Status) -> Iterator[Next]:
    if found.due_now and not found.deliver_failed:
        issues = "An issue is" if found.due_now == 1 else f"{found.due_now} issues are"
        yield Next(f"{issues} due to go out.", "asterism deliver")


def _example(catalog: Catalog) -> Iterator[Next]:
    if any(still_example(catalog.firm)):
        yield Next(
            "firm.yaml still tells of the example firm, and no issue is approved in its name: "
            "write who you are.",
            "asterism check",
        )


# ── news ─────────────────────────────────────────────────────────────────────────────────


def _news(found: Status) -> Iterator[Next]:
    never = [source.name for source in found.sources if source.health == "never_asked"]
    asked = [source.checked_at for source in found.sources if source.checked_at]
    if not found.sources:
        yield Next("No source is listed: write some into feeds.yaml.", "asterism check")
    elif never:
        yield Next(f"Not asked yet: {_listed(never)}.", "asterism gather")
    elif found.ungrouped:
        wait = "1 new item waits to become a story"
        if found.ungrouped > 1:
            wait = f"{found.ungrouped} new items wait to become stories"
        yield Next(f"{wait}.", "asterism gather")
    elif asked and max(asked) <= found.at - QUIET and _may_be_asked(found):
        days = (found.at - max(asked)).days
        ago = "since yesterday" if days == 1 else f"for {days} days"
        yield Next(f"No source has been asked {ago}.", "asterism gather")


def _may_be_asked(found: Status) -> bool:
    return any(
        source.health != "gone"
        and (source.next_check_at is None or source.next_check_at <= found.at)
        for source in found.sources
    )


def _ill_sources(found: Status) -> Iterator[Next]:
    failing: dict[str, list[SourceHealth]] = {}
    for source in found.sources:
        if source.health == "gone":
            yield Next(
                f"{source.name} is gone for good: take it out of feeds.yaml, or mend its url."
            )
        elif source.health == "failing":
            failing.setdefault(source.detail, []).append(source)
    for detail, sources in failing.items():
        names = _listed([source.name for source in sources])
        fewest = min(source.failures for source in sources)
        times = f"{fewest} times in a row" if fewest > 1 else "last time"
        yield Next(
            f"{names} failed {times}: {detail.rstrip('.')}. {_mend(sources)}",
            f"asterism gather {' '.join(source.key for source in sources)} --force",
        )


def _mend(sources: Sequence[SourceHealth]) -> str:
    if sources[0].reason == "blocked":
        return "Mend the url in feeds.yaml, or, if you mean it, allow it in .env."
    return "If that stays so, mend the url in feeds.yaml."


# ── newsletters and their issues ─────────────────────────────────────────────────────────


def _newsletters(catalog: Catalog, found: Status) -> Iterator[Next]:
    timed = [step for newsletter in found.newsletters
             for step in _newsletter(catalog, found, newsletter)]  # fmt: skip
    for _, step in sorted(timed, key=lambda pair: pair[0]):
        yield step


def _newsletter(
    catalog: Catalog, found: Status, newsletter: NewsletterStatus
) -> Iterator[tuple[datetime, Next]]:
    """Each step with the moment it is for."""
    if newsletter.missed is not None:
        yield newsletter.missed.due_at, _missed(newsletter, newsletter.missed)
    for progress in newsletter.issues:
        for step in _issue(catalog, found, newsletter, progress):
            yield progress.issue.due_at, step
    beat, opens_at = newsletter.next_beat, newsletter.opens_at
    if beat is not None and opens_at is not None and opens_at <= found.at:
        when = moment_in_words(beat.due_at, newsletter.zone)
        what = f"{newsletter.title} goes out on {when}; its issue can be opened."
        yield beat.due_at, Next(what, "asterism issue open")


def _missed(newsletter: NewsletterStatus, missed: MissedBeat) -> Next:
    when = moment_in_words(missed.due_at, newsletter.zone)
    if missed.can_still:
        what = f"{newsletter.title} was due on {when} and has no issue; it can still go out late."
        return Next(what, "asterism issue open")
    if not missed.reason:
        what = f"{newsletter.title} was due on {when}, and nobody opened an issue in time."
        return Next(what, "asterism issue open")
    explain = f"asterism explain issue {missed.issue_ref}" if missed.issue_ref else ""
    return Next(f"{newsletter.title} did not go out on {when}: {missed.reason}.", explain)


def _issue(
    catalog: Catalog, found: Status, newsletter: NewsletterStatus, progress: Unfinished
) -> Iterator[Next]:
    issue = progress.issue
    name = issue_name("en", newsletter.title, issue.number)
    due = moment_in_words(issue.due_at, newsletter.zone)
    if issue.state in ("approved", "scheduled"):
        if issue.goes_at > found.at:
            yield _going(newsletter, progress, name)
    elif issue.state == "sending":
        if not found.due_now and issue.ref not in found.held:
            yield Next(f"{name} is going out; what is left waits for its time.")
    elif issue.state == "partly_sent":
        yield _in_part(catalog, progress, name)
    elif progress.late == "missed":
        yield Next(
            f"{name} was due on {due}, and nobody approved it in time.", "asterism issue open"
        )
    elif issue.state == "stopped":
        why = f" ({issue.reason})" if issue.reason else ""
        approve = f"asterism {_acting(catalog, issue)}issue approve {issue.ref}"
        yield Next(f"{name} is stopped{why}; approved again, it goes on.", approve)
    elif _composes_itself(catalog, issue):
        yield _by_itself(catalog, found, newsletter, progress, name)
    else:
        yield _draft(catalog, found, newsletter, progress, name)


def _in_part(catalog: Catalog, progress: Unfinished, name: str) -> Next:
    issue, number = progress.issue, progress.recalling or progress.held_back
    copies = "1 copy is" if number == 1 else f"{number} copies are"
    if progress.recalling:
        return Next(f"{name} is stopped, and {copies} being called back.", "asterism deliver")
    return Next(
        f"{name} went out in part, and {copies} held back ({issue.reason}); approved again, the "
        "rest goes, too.",
        f"asterism {_acting(catalog, issue)}issue approve {issue.ref}",
    )


def _going(newsletter: NewsletterStatus, progress: Unfinished, name: str) -> Next:
    issue, doubt = progress.issue, ""
    when = moment_in_words(issue.goes_at, newsletter.zone)
    if issue.review_until is None:
        return Next(f"{name} is approved and goes out on {when}.")
    if progress.unasked:
        what = f"{name} composed itself, but nobody got its review mail: the jobs hold it back."
        return Next(what, "asterism tick")
    if progress.in_doubt:
        doubt = (
            f" Whether its review mail reached {progress.in_doubt} is not known: say so to them."
        )
    return Next(
        f"{name} composed itself and goes out on {when}, unless somebody stops it.{doubt}",
        f"asterism issue stop {issue.ref}",
    )


def _composes_itself(catalog: Catalog, issue: Issue) -> bool:
    newsletter = catalog.newsletter(issue.newsletter_key)
    return newsletter is not None and newsletter.mode == "automatic"


def _by_itself(
    catalog: Catalog,
    found: Status,
    newsletter: NewsletterStatus,
    progress: Unfinished,
    name: str,
) -> Next:
    issue = progress.issue
    due = moment_in_words(issue.due_at, newsletter.zone)
    if progress.unasked:
        what = (
            f"{name}, due on {due}, is held back: {issue.reason}. Mend the address, and the mail "
            f"goes anew; or look with `asterism issue show {issue.ref}`, and approve it."
        )
        return Next(what, f"asterism {_acting(catalog, issue)}issue approve {issue.ref}")
    if issue.reason:
        what = f"{name}, due on {due}, is held back: {issue.reason}. It is tried again by itself."
        return Next(what, f"asterism issue show {issue.ref}")
    composed_at = review_at(issue, catalog.find_newsletter(issue.newsletter_key))
    if composed_at <= found.at:
        what = f"{name}, due on {due}, composes itself as soon as the jobs run."
        return Next(what, "asterism tick")
    when = moment_in_words(composed_at, newsletter.zone)
    return Next(f"{name} composes itself on {when} and goes out on {due}, unless it is stopped.")


def _draft(
    catalog: Catalog, found: Status, newsletter: NewsletterStatus, progress: Unfinished, name: str
) -> Next:
    issue = progress.issue
    approver = _approver(catalog, issue)
    if progress.written < progress.stories or not progress.stories:
        what = f"{name}: {progress.written} of {progress.stories} stories have our take"
        if not progress.stories:
            goes = "goes out" if issue.due_at > found.at else "was due"
            due = moment_in_words(issue.due_at, newsletter.zone)
            what = f"{name} has no stories yet and {goes} on {due}"
            if not _pool_is_open(found, newsletter):
                return Next(f"{what}; the pool is empty, too.", "asterism gather")
        until = moment_in_words(issue.cut_off_at, newsletter.zone)
        if issue.cut_off_at > found.at:
            return Next(f"{what}; write until {until}.", f"asterism curate export {issue.ref}")
        return Next(
            f"{what}; the cut-off was on {until}, so only {approver} still writes.",
            f"asterism {_acting(catalog, issue)}curate export {issue.ref}",
        )
    if progress.missing:
        things = "one thing is" if progress.missing == 1 else f"{progress.missing} things are"
        what = f"{name} is written, but {things} to be mended before it can be approved."
        return Next(what, f"asterism issue show {issue.ref}")
    deadline = moment_in_words(issue.deadline_at, newsletter.zone)
    late = "was due" if issue.deadline_at <= found.at else "is due"
    return Next(
        f"{name} is written. Look at it with `asterism issue show {issue.ref}`; the approval by "
        f"{approver} {late} on {deadline}.",
        f"asterism {_acting(catalog, issue)}issue approve {issue.ref}",
    )


def _pool_is_open(found: Status, newsletter: NewsletterStatus) -> bool:
    return any(
        pool.open for pool in found.pools if pool.constellation_key == newsletter.constellation_key
    )


def _approver(catalog: Catalog, issue: Issue) -> str:
    constellation = catalog.constellation(issue.constellation_key)
    approver = catalog.staff(constellation.approver) if constellation else None
    return approver.name if approver else "its approver"


def _acting(catalog: Catalog, issue: Issue) -> str:
    constellation = catalog.constellation(issue.constellation_key)
    return f"--as {constellation.approver} " if constellation else ""


# ── people, and nothing at all ───────────────────────────────────────────────────────────


def _people(found: Status) -> Iterator[Next]:
    contacts, without = found.people["contacts"], found.people["without_basis"]
    if not contacts:
        yield Next("Nobody is there to write to yet.", "asterism people import FILE")
    elif without:
        who = "1 contact has no recorded basis and gets no letters; import it"
        if without > 1:
            who = f"{without} contacts have no recorded basis and get no letters; import them"
        yield Next(
            f"{who} with a basis, its source and date.",
            "asterism people import FILE",
        )


def _nothing(found: Status) -> Iterator[Next]:
    coming = [
        (newsletter.next_beat.due_at, newsletter)
        for newsletter in found.newsletters
        if newsletter.next_beat is not None
    ]
    if not coming:
        yield Next("Nothing needs you: no newsletter has a beat ahead.")
        return
    due_at, first = min(coming, key=lambda pair: pair[0])
    opens = moment_in_words(first.opens_at, first.zone) if first.opens_at else "its time"
    yield Next(
        f"Nothing needs you. {first.title} goes out next on "
        f"{moment_in_words(due_at, first.zone)}; its issue opens on {opens}."
    )


def _listed(names: Sequence[str], most: int = 4) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
