"""The table of jobs: what each does, how often, and when it has something to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module
from typing import Literal

from pipeline.ports import Ports, Tables
from pipeline.rules.news.polling import ALLOWANCES, is_due
from pipeline.rules.schedule import Job
from pipeline.scheduler import words

#: What a service does side by side, so that no letter waits for a slow source.
Lane = Literal["letters", "news"]
LANES: tuple[Lane, ...] = ("letters", "news")

_MINUTE = timedelta(minutes=1)
#: Who dies on this machine loses a job at once; on another one after this.
_SHORT = timedelta(minutes=10)
#: What may ask hundreds of servers.
_LONG = timedelta(minutes=30)
#: A sending may last longer: then a second one helps it, and the ledger keeps them apart.
_SHARED = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Work:
    """A job, and how it is done."""

    job: Job
    run: Callable[[Ports], str]  #: does it; one line of words, empty when nothing was to do
    #: When it has something to do, by a short look; None: nothing is in sight.
    look: Callable[[Ports, Tables, datetime], datetime | None] | None = None
    lane: Lane = "letters"
    #: It makes issues of the stories that are there: after a start the news come first.
    after_news: bool = False


def jobs(ports: Ports) -> Sequence[Work]:
    """In the order in which a tick runs them.

    What the world answered comes first, so that nobody is mailed who has just left; letters
    come before the news, which may take minutes. A service runs each lane for itself, in this
    order. Sources and parsers belong to the news lane, the transport to that of the letters.
    """
    mailbox = [Work(Job("mailbox", 5 * _MINUTE, _SHORT), _mailbox)] if ports.mailbox else []
    return (
        Work(Job("events", _MINUTE, _SHORT), _events, _postings_wait),
        *mailbox,
        Work(Job("deliver", _MINUTE, _SHARED), _deliver, _copies_due),
        Work(Job("gather", 10 * _MINUTE, _LONG), _gather, _sources_due, lane="news"),
        Work(Job("sift", 10 * _MINUTE, _LONG), _sift, lane="news"),
        Work(Job("open", 5 * _MINUTE, _SHORT), _open, after_news=True),
        Work(Job("automatic", 5 * _MINUTE, _SHORT), _automatic, after_news=True),
        Work(Job("remind", 5 * _MINUTE, _SHORT), _remind),
        Work(Job("notices", _MINUTE, _SHORT), _notices, _notices_due),
        Work(Job("tidy", timedelta(days=1), _SHORT), _tidy),
    )


def load() -> None:
    """Import what jobs need, in one thread: two that do it at once may meet half a module."""
    for stage in ("listen", "mailbox", "deliver", "gather", "sift", "compose", "notify", "tidy"):
        import_module(f"pipeline.stages.{stage}")


# ── each job; its stage is imported when it runs ─────────────────────────────────────────


def _events(ports: Ports) -> str:
    from pipeline.stages.listen import take_in_waiting

    return words.taken_in(take_in_waiting(ports))


def _mailbox(ports: Ports) -> str:
    from pipeline.stages.mailbox import read_mailbox

    return words.mailbox(read_mailbox(ports))


def _deliver(ports: Ports) -> str:
    from pipeline.stages.deliver import deliver

    return words.delivered(deliver(ports))


def _gather(ports: Ports) -> str:
    from pipeline.stages.gather import gather

    return words.gathered(gather(ports))


def _sift(ports: Ports) -> str:
    from pipeline.stages.sift import sift

    return words.sifted(sift(ports))


def _open(ports: Ports) -> str:
    from pipeline.stages.compose import open_issues

    return words.opened(open_issues(ports))


def _automatic(ports: Ports) -> str:
    from pipeline.stages.compose import compose_automatic

    return words.automatic(compose_automatic(ports))


def _remind(ports: Ports) -> str:
    from pipeline.stages.notify import remind

    return words.reminded(remind(ports))


def _notices(ports: Ports) -> str:
    from pipeline.stages.notify import send_notices

    return words.notices(send_notices(ports))


def _tidy(ports: Ports) -> str:
    from pipeline.stages.tidy import tidy

    return words.tidied(tidy(ports))


# ── a short look ─────────────────────────────────────────────────────────────────────────


def _postings_wait(ports: Ports, tables: Tables, now: datetime) -> datetime | None:
    waits = ports.events is not None and tables.postings.waiting(ports.events.provider)
    return now if waits else None


def _notices_due(ports: Ports, tables: Tables, now: datetime) -> datetime | None:
    return tables.notices.next_due(now)


def _copies_due(ports: Ports, tables: Tables, now: datetime) -> datetime | None:
    return now if tables.deliveries.due(now) else tables.deliveries.next_due(now)


def _sources_due(ports: Ports, tables: Tables, now: datetime) -> datetime | None:
    listed = {source.key for source in ports.catalog.sources}
    asked = [s for s in tables.news.sources() if s.key in listed and s.gone_at is None]
    allowed_anew = tables.jobs.mark(ALLOWANCES) != ports.allowances
    if any(is_due(state, now, allowed_anew=allowed_anew) for state in asked):
        return now
    return min((state.next_check_at or now for state in asked), default=None)
