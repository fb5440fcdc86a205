"""A firm that is left alone for months, and the two papers it reads."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from pipeline.model.news import Answer, Fetched, Request, Unchanged

TESTS = Path(__file__).parents[1]
TEMPLATES = TESTS.parent / "templates"
ADDRESSES = {
    "coast-wire": "https://coastwire.example",
    "harbour-news": "https://harbournews.example",
}
BEGIN = datetime(2026, 10, 21, 9, 0, tzinfo=UTC)  # before the clocks go back
END = datetime(2027, 4, 3, 9, 0, tzinfo=UTC)  # after they went forward

PEOPLE = """Email;First name;Last name;Company;Basis;Basis source;Basis date
ada@northline.example;Ada;Moen;Northline;consent;the Ferry Days in Stavanger;2026-09-02
jon@skagenruter.example;Jon;Bakke;Skagen Ruter;customer;contract of 2024;2024-05-01
ida@bluestrait.example;Ída;Ørn;Blue Strait;legitimate interest;her question by mail;2026-10-01
kai@bluestrait.example;Kai;Lund;Blue Strait;consent;the Ferry Days in Stavanger;2026-09-02
leif@bluestrait.example;Leif;Dahl;Blue Strait;;;
"""

MONTHLY = """
  - key: the-quay-month
    title: The Month at the Quay
    mode: automatic
    rhythm:
      every: month
      on: first tuesday
      at: "02:30"
      zone: Europe/Oslo
      from: 2026-11-01
    lead: 4 days
    review_window: 24 h
    floor: 2
    ceiling: 6
    sender: owner
    positioning: We time ferries, so that you need not guess.
    invitation:
      title: A coffee at the quay
      text: Answer with the number of a story, and we bring what lies behind it.
"""


def make_workspace(folder: Path) -> None:
    """The ferry firm with a weekly letter that people write and a monthly one that nobody does."""
    shutil.copytree(TESTS / "story_workspace", folder)
    shutil.copytree(TEMPLATES, folder / "templates")
    firm = folder / "firm.yaml"
    off = "holidays: [2026-12-24, 2026-12-25, 2026-12-31, 2027-01-01, 2027-03-25, 2027-03-26]"
    firm.write_text(firm.read_text("utf-8").replace("holidays: [2027-03-25, 2027-03-26]", off))
    ferries = folder / "constellations" / "ferries.yaml"
    text = ferries.read_text("utf-8").replace("from: 2027-03-04", "from: 2026-10-01")
    text = text.replace("zone: Europe/Oslo\n", "zone: Europe/Oslo\n      holidays: skip\n", 1)
    ferries.write_text(text.rstrip() + "\n" + MONTHLY, "utf-8")


# ── the papers ───────────────────────────────────────────────────────────────────────────

_WHO = ("Northline", "Skagen Ruter", "Blue Strait")
_DOES = ("opens", "closes", "rebuilds", "sells", "insures", "widens", "paints", "floods", "leases")
_WHAT = (
    "a second berth", "the night ferry", "its ticket hall", "a battery shed", "the lorry lane",
    "a crane", "the crew school", "a fuel dock", "its oldest ship", "the radar mast", "a dry dock",
)  # fmt: skip
_WHERE = (
    "Hirtshals", "Bergen", "Kristiansand", "Turku", "Travemünde", "Gdynia", "Stavanger", "Ystad",
    "Larvik", "Rostock", "Visby", "Tallinn", "Moss",
)  # fmt: skip
_WHY = (
    "Passengers had waited forty minutes on every Friday of the summer.",
    "The harbour master asked for it twice, and the council paid a third.",
    "Nobody had looked at the piles since the storm of 1987.",
    "The board voted on it in Copenhagen without a word of debate.",
    "Lorries now turn in nine minutes, where they needed twenty before.",
    "Divers found the fault by chance while they searched for an anchor.",
    "A yard in Poland delivers the steel, and local welders do the rest.",
)


def item(day: date) -> tuple[str, str]:
    """(title, text) of the one story of a day; another one every day."""
    number = day.toordinal()
    who, where = _WHO[number % 3], _WHERE[number % 13]
    does, what = _DOES[number % 9 if number % 2 else (number // 2) % 9], _WHAT[number % 11]
    berth = f"The ferry berth there is number {number % 89}."
    text = f"{who} {does} {what} in {where}. {_WHY[number % 7]} {berth}"
    return f"{who} {does} {what} in {where}", text


def feed(source: str, now: datetime) -> bytes:
    """What a paper shows at this moment: its last ten days. The second tells every third story."""
    days = [now.date() - timedelta(days=back) for back in range(10)]
    if source != "coast-wire":
        days = [day for day in days if day.toordinal() % 3 == 0]
    entries = []
    for day in days:
        at = datetime(day.year, day.month, day.day, 5, 0, tzinfo=UTC)
        if at > now:
            continue
        title, text = item(day)
        entries.append(
            f'<item><guid isPermaLink="false">{source}-{day}</guid><title>{escape(title)}</title>'
            f"<link>{ADDRESSES[source]}/{day}</link><pubDate>{format_datetime(at)}</pubDate>"
            f"<description>{escape(text)}</description></item>"
        )
    return (
        '<?xml version="1.0" encoding="utf-8"?><rss version="2.0"><channel>'
        f"<title>{source}</title><link>{ADDRESSES[source]}/</link>{''.join(entries)}"
        "</channel></rss>"
    ).encode()


def _etag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:16]}"'


class Papers:
    """Fits `Fetcher`: the papers as they are at the clock's time; counts who is asked."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.asked = 0

    def fetch(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Answer]]:
        for request in requests:
            self.asked += 1
            body = feed(request.key, self._now())
            if request.etag == _etag(body):
                yield request, Unchanged(etag=request.etag)
            else:
                yield (
                    request,
                    Fetched(request.url, 200, "application/rss+xml", body, etag=_etag(body)),
                )


@contextmanager
def printed(now: Callable[[], datetime]) -> Iterator[dict[str, str]]:
    """The papers on loopback, over HTTP: said address → the one that is served."""
    with _Press(now) as press:
        yield {said: f"{press.address}/{name}" for name, said in ADDRESSES.items()}


class _Press:
    def __init__(self, now: Callable[[], datetime]) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _answers(now))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> _Press:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _answers(now: Callable[[], datetime]) -> type[BaseHTTPRequestHandler]:
    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_GET(self) -> None:
            body = feed(self.path.split("/")[1], now())
            same = self.headers.get("If-None-Match") == _etag(body)
            self.send_response(304 if same else 200)
            self.send_header("Content-Type", "application/rss+xml")
            self.send_header("ETag", _etag(body))
            if not same:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(b"" if same else body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - not ours
            """Say nothing."""

    return Answers
