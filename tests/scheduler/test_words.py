"""What a run came to, in one line of words; nothing when there was nothing to do."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from pipeline.model.news import SourceOutcome
from pipeline.scheduler import words
from pipeline.stages.compose import Automatic, HeldBack, NoIssue, Opened
from pipeline.stages.deliver import Delivered, IssueDelivered
from pipeline.stages.deliver.recalling import CalledBack
from pipeline.stages.gather import Gathered
from pipeline.stages.listen import TakenIn
from pipeline.stages.mailbox import MailboxRead
from pipeline.stages.notify import NoticesSent, Reminded, Told
from pipeline.stages.sift import Sifted
from pipeline.stages.tidy import Tidied
from tests.builders import ISSUE


def gathered(new: int, changed: int, *outcomes: Any) -> Gathered:
    listed = tuple(
        SourceOutcome(f"wire-{n}", f"Wire {n}", outcome) for n, outcome in enumerate(outcomes)
    )
    return Gathered(listed, new, changed)


@pytest.mark.parametrize(
    ("done", "told"),
    [
        (words.gathered(gathered(0, 0, "not_due", "not_due")), ""),
        (words.gathered(gathered(0, 0, "unchanged", "not_due")), "nothing new from 1 source"),
        (words.gathered(gathered(3, 1, "fetched", "fetched")),
         "3 new items, 1 changed from 2 sources"),
        (words.gathered(gathered(1, 0, "fetched", *["failed"] * 7)),
         "1 new item from 8 sources; 7 failed: Wire 1, Wire 2, Wire 3, Wire 4, Wire 5 and 2 more"),
        (words.gathered(gathered(0, 0, "failed", "failed", "not_due")),
         "none of 2 sources answered: Wire 0, Wire 1"),
        (words.sifted(Sifted()), ""),
        (words.sifted(Sifted(items=4, opened=3, joined=1, matched=3, pooled=2)),
         "4 items: 3 stories opened, 1 telling joined a story that was there; "
         "3 stories read, 2 of them in a pool"),
        (words.opened(Opened()), ""),
        (words.opened(Opened((ISSUE,), (ISSUE,), (NoIssue("a", date(2027, 3, 11), "too late"),),
                             (NoIssue("b", date(2027, 3, 25), "a holiday"),))),
         "ferry-weekly/9 opened; ferry-weekly/9 in review; a of 2027-03-11 missed: too late; "
         "b of 2027-03-25 skipped: a holiday"),
        (words.opened(Opened((), (), tuple(NoIssue("a", date(2027, 3, n), "late")
                                           for n in range(1, 8)))),
         "a of 2027-03-01 missed: late; a of 2027-03-02 missed: late; "
         "a of 2027-03-03 missed: late; a of 2027-03-04 missed: late; "
         "a of 2027-03-05 missed: late; and 2 more missed"),
        (words.automatic(Automatic()), ""),
        (words.automatic(Automatic((), (HeldBack("a/1", "too little"),))), ""),
        (words.automatic(Automatic((), (HeldBack("a/1", "too little", over=True),))),
         "a/1 does not go: too little"),
        (words.reminded(Reminded()), ""),
        (words.reminded(Reminded((Told("approve", "a/1", "Liv"),))),
         "1 notice written: approve a/1 to Liv"),
        (words.reminded(Reminded((Told("not_sent", "a/1", "Liv"), Told("not_sent", "a/1", "Tom")))),
         "2 notices written: not sent a/1 to Liv, not sent a/1 to Tom"),
        (words.notices(NoticesSent()), ""),
        (words.notices(NoticesSent((("accepted", 2), ("unknown", 0)))), "2 accepted"),
        (words.delivered(Delivered()), ""),
        (words.delivered(Delivered((IssueDelivered("a/1", "scheduled", "held since a restore"),))),
         ""),
        (words.delivered(Delivered((IssueDelivered("a/1", "missed", "32 hours late"),
                                    IssueDelivered("a/2", "partly_sent", "", (("accepted", 1200),
                                                                              ("withheld", 1))),),
                                   settled_doubts=2)),
         "2 doubts of a run that died looked into; a/1 is missed: 32 hours late; "
         "a/2 is partly sent: 1,200 accepted, 1 withheld"),
        (words.delivered(Delivered(recalled=CalledBack(called_back=40, waiting=1))),
         "40 copies called back; 1 copy to be called back"),
        (words.delivered(Delivered(recalled=CalledBack(gone=2, unknown=1, why="it was too late"))),
         "2 copies not called back: it was too late; 1 copy in doubt: it was too late"),
        (words.tidied(Tidied()), ""),
        (words.tidied(Tidied(12, 1, 2, 1)),
         "12 lines of sources, 1 line of jobs, 2 postings forgotten; 1 left-over file swept"),
        (words.taken_in(TakenIn()), ""),
        (words.taken_in(TakenIn(postings=2, broken=1, events=40, moved=38, ended=1)),
         "2 postings: 40 events, 38 copies moved, letters ended for 1; 1 broken"),
        (words.mailbox(MailboxRead(5, 5, 0, (), {})), ""),
        (words.mailbox(MailboxRead(5, 2, 2, (), {"not_ours": 1})),  # type: ignore[dict-item]
         "3 new mails: 2 logged; left out: 1 not ours"),
    ],
)  # fmt: skip
def test_a_run_in_words(done: str, told: str) -> None:
    assert done == told
