"""What a run came to, as one line of words; empty when there was nothing to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.stages.compose import Automatic, NoIssue, Opened
    from pipeline.stages.deliver import Delivered
    from pipeline.stages.gather import Gathered
    from pipeline.stages.listen import TakenIn
    from pipeline.stages.mailbox import MailboxRead
    from pipeline.stages.notify import NoticesSent, Reminded
    from pipeline.stages.sift import Sifted
    from pipeline.stages.tidy import Tidied

#: Of many things a line names so many.
_NAMED = 5


def gathered(done: Gathered) -> str:
    """`3 new items, 1 changed from 4 sources; 1 failed: Coast Wire`."""
    asked = [one for one in done.outcomes if one.outcome != "not_due"]
    if not asked:
        return ""
    what = [_count(done.new, "new item")] if done.new else []
    what += [f"{done.changed} changed"] if done.changed else []
    failed = [one.name for one in asked if one.outcome == "failed"]
    if len(failed) == len(asked):
        return f"none of {_count(len(asked), 'source')} answered: {_some(failed)}"
    return _joined(
        f"{', '.join(what) or 'nothing new'} from {_count(len(asked), 'source')}",
        f"{len(failed)} failed: {_some(failed)}" if failed else "",
    )


def sifted(done: Sifted) -> str:
    """`4 items: 3 stories opened, 1 telling joined a story that was there; 3 read, 2 in pools`."""
    became = [_count(done.opened, "story", "stories") + " opened"] if done.opened else []
    if done.joined:
        became.append(f"{_count(done.joined, 'telling')} joined a story that was there")
    items = f"{_count(done.items, 'item')}: {', '.join(became)}" if done.items and became else ""
    read = f"{_count(done.matched, 'story', 'stories')} read" if done.matched else ""
    return _joined(items, read and f"{read}, {done.pooled} of them in a pool")


def opened(done: Opened) -> str:
    """`between-quays/3 opened; between-quays of 2027-03-11 missed: nobody approved …`."""
    return _joined(
        _each((issue.ref for issue in done.opened), "opened"),
        _each((issue.ref for issue in done.in_review), "in review"),
        *_left_out(done.missed, "missed"),
        *_left_out(done.skipped, "skipped"),
    )


def _left_out(beats: Sequence[NoIssue], what: str) -> Iterator[str]:
    """Each with its reason; after some only how many more, for a long pause leaves out hundreds."""
    for one in beats[:_NAMED]:
        yield f"{one.newsletter} of {one.on} {what}: {one.reason}"
    if len(beats) > _NAMED:
        yield f"and {len(beats) - _NAMED:,} more {what}"


def automatic(done: Automatic) -> str:
    """`the-month/2 composed, goes after its review; the-month/3 does not go: …`."""
    return _joined(
        *(f"{one.issue.ref} composed, goes after its review" for one in done.going),
        *(f"{one.ref} does not go: {one.reason}" for one in done.held_back if one.over),
    )


def reminded(done: Reminded) -> str:
    """`1 notice written: approve between-quays/3 to Liv Dahl`."""
    told = [f"{one.kind.replace('_', ' ')} {one.ref} to {one.name}" for one in done.written]
    return f"{_count(len(told), 'notice')} written: {_some(told)}" if told else ""


def notices(done: NoticesSent) -> str:
    """`2 accepted, 1 deferred`; whoever shows it names the job."""
    return _counts(done.counts)


def delivered(done: Delivered) -> str:
    """`between-quays/3 is sent: 4 accepted, 1 withheld`."""
    doubts = f"{_count(done.settled_doubts, 'doubt')} of a run that died looked into"
    back = done.recalled
    return _joined(
        f"{_count(back.called_back, 'copy', 'copies')} called back" if back.called_back else "",
        f"{_count(back.gone, 'copy', 'copies')} not called back: {back.why}" if back.gone else "",
        f"{_count(back.unknown, 'copy', 'copies')} in doubt: {back.why}" if back.unknown else "",
        f"{_count(back.waiting, 'copy', 'copies')} to be called back" if back.waiting else "",
        doubts if done.settled_doubts else "",
        *(
            f"{one.ref} is {one.state.replace('_', ' ')}"
            + (
                f": {_counts(one.counts)}"
                if one.counts
                else f": {one.reason}"
                if one.reason
                else ""
            )
            for one in done.issues
            if one.counts or one.state in ("sent", "partly_sent", "missed", "stopped")
        ),
    )


def tidied(done: Tidied) -> str:
    """`12 lines of sources, 40 of jobs forgotten; 1 left-over file swept`."""
    forgotten = [_count(done.fetches, "line") + " of sources"] if done.fetches else []
    forgotten += [_count(done.runs, "line") + " of jobs"] if done.runs else []
    forgotten += [_count(done.postings, "posting")] if done.postings else []
    return _joined(
        f"{', '.join(forgotten)} forgotten" if forgotten else "",
        f"{_count(done.files, 'left-over file')} swept" if done.files else "",
    )


def taken_in(done: TakenIn) -> str:
    """`2 postings: 40 events, 38 copies moved, letters ended for 1; 1 broken`."""
    if not done.postings:
        return ""
    parts = [_count(done.events, "event"), f"{_count(done.moved, 'copy', 'copies')} moved"]
    parts += [f"letters ended for {done.ended}"] if done.ended else []
    parts += [f"{_count(done.lost, 'notice')} to ourselves did not arrive"] if done.lost else []
    return _joined(
        f"{_count(done.postings, 'posting')}: {', '.join(parts)}",
        f"{done.broken} broken" if done.broken else "",
    )


def mailbox(done: MailboxRead) -> str:
    """`3 new mails: 2 logged; left out: 1 not ours`."""
    if not done.new:
        return ""
    left_out = _counts(tuple((why, number) for why, number in done.left_out.items()))
    return _joined(
        f"{_count(done.new, 'new mail')}: {done.logged} logged",
        f"left out: {left_out}" if left_out else "",
    )


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _counts(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{number:,} {state.replace('_', ' ')}" for state, number in counts if number)


def _each(refs: Iterable[str], what: str) -> str:
    named = list(refs)
    return f"{_some(named)} {what}" if named else ""


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
