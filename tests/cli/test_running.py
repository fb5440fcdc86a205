"""run, tick, jobs: what runs by itself, as an operator meets it."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

import pytest

from tests.door import ISSUE, THURSDAY, Door, clean_environment
from tests.world import World

WAIT_S = 120


@dataclass
class Program:
    """`asterism run`, and everything it has said so far."""

    process: subprocess.Popen[str]
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._threads = [
            Thread(target=into.extend, args=(stream,), daemon=True)
            for stream, into in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def said(self) -> str:
        return "".join(self.out)

    @property
    def logged(self) -> str:
        return "".join(self.err)

    @property
    def port(self) -> int:
        self.until(lambda: "Next:" in self.said)
        address = re.search(r"Serving http://127\.0\.0\.1:(\d+)/; Ctrl\+C stops\.", self.said)
        assert address, self.said
        return int(address[1])

    def until(self, happened: Callable[[], object]) -> None:
        end = time.monotonic() + WAIT_S
        while not happened():
            assert time.monotonic() < end, f"it did not happen\n{self.said}\n{self.logged}"
            time.sleep(0.05)

    def get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(WAIT_S)
        for thread in self._threads:
            thread.join(WAIT_S)
        return code


@contextmanager
def running(door: Door, *options: str, **environment: str) -> Iterator[Program]:
    command = [sys.executable, "-u", "-m", "pipeline", "-C", str(door.folder), "run"]
    with subprocess.Popen(
        [*command, "--port", "0", *options],
        env=clean_environment({**door.variables(), **environment}),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
    ) as process:  # fmt: skip
        try:
            yield Program(process)
        finally:
            process.kill()


def jobs_of(door: Door) -> dict[str, Any]:
    return {one["job"]: one for one in door.ask("jobs")}


def has_run(door: Door, name: str) -> bool:
    with door.database() as database:
        return bool(database.execute("SELECT 1 FROM jobs WHERE name = ?", [name]).fetchall())


def events_of(door: Door, state: str) -> int:
    with door.database() as database:
        query = "SELECT count(*) FROM delivery_events WHERE state = ?"
        return int(database.execute(query, [state]).fetchone()[0])


# ── run ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_what_it_will_do_does_it_and_stops_by_a_word(approved: Door, number: int) -> None:
    approved.now = THURSDAY
    with running(approved) as program:
        assert program.get("/healthz") == (200, "ok\n")
        assert program.get("/readyz") == (200, "ok\n")
        assert program.get("/")[0] == 200
        program.until(lambda: has_run(approved, "tidy"))
        program.process.send_signal(number)  # as `timeout` and make do: to it, and to its group
        assert program.end(number) == 0
    said = program.said
    for words in (
        f"workspace {approved.folder}", "asterism.db", "mail leaves by file", "Under Load",
        "(Europe/London)", f"{ISSUE} is scheduled", "deliver", "now",
    ):  # fmt: skip
        assert words in said
    assert said.endswith("Stopped.\n")
    assert "Traceback" not in program.logged
    assert re.search(rf"info deliver: {ISSUE} is sent: \d+ accepted", program.logged)
    assert jobs_of(approved)["deliver"]["runs"][0]["detail"].startswith(f"{ISSUE} is sent")


def test_run_again_does_nothing_twice(approved: Door) -> None:
    approved.now = THURSDAY
    sent = []
    for _ in range(2):
        with running(approved) as program:
            assert program.get("/readyz")[0] == 200
            program.until(lambda: has_run(approved, "tidy"))
            assert program.end() == 0
        sent.append(events_of(approved, "attempting"))
    assert sent[0] == sent[1] > 0
    assert "deliver" not in program.logged


def test_public_only_shows_nothing_else(made: Door) -> None:
    with running(made, "--public-only") as program:
        assert program.get("/")[0] == 404
        assert program.get("/readyz")[0] == 200


def test_the_log_is_json_when_it_is_to_be(approved: Door) -> None:
    approved.now = THURSDAY
    with running(approved, ASTERISM_LOG="json") as program:
        program.until(lambda: has_run(approved, "tidy"))
        program.end()
    lines = [json.loads(line) for line in program.err]
    deliver = next(line for line in lines if line.get("job") == "deliver")
    assert deliver["outcome"] == "done"
    assert deliver["level"] == "info"
    assert set(deliver) == {"at", "level", "logger", "what", "job", "outcome", "seconds"}


def test_changed_files_come_into_force_and_broken_ones_do_not(made: Door) -> None:
    feeds = made.path("feeds.yaml")
    firm = made.path("firm.yaml")
    pace = {"ASTERISM_SPEED": "240"}  # a look each quarter of a second
    with running(made, **pace) as program:
        program.until(lambda: has_run(made, "tidy"))
        firm.write_text(
            firm.read_text("utf-8").replace("Ferrier & Wick", "Ferrier & Daughters"), "utf-8"
        )
        program.until(lambda: "the files changed and are in force" in program.logged)
        assert "Ferrier &amp; Daughters" in program.get("/leave/any")[1]
        good = feeds.read_text("utf-8")
        feeds.write_text(good + "\nsorces: []\n", "utf-8")
        program.until(lambda: "The last good files stay in force" in program.logged)
        assert "feeds.yaml:" in program.logged
        assert program.get("/readyz")[0] == 200
        feeds.write_text(good + "\n# mended\n", "utf-8")
        program.until(lambda: program.logged.count("are in force") == 2)
        assert program.end() == 0
    assert program.logged.count("The last good files stay in force") == 1, "told once"


FEEDS = """sources:
  - key: slow-post
    name: The Slow Post
    url: {url}
    constellations: [power-tools]
"""


def test_letters_leave_while_a_source_hangs(approved: Door) -> None:
    approved.now = THURSDAY
    with World() as world:
        world.routes["/feed"] = lambda call: call.linger(WAIT_S)
        approved.path("feeds.yaml").write_text(FEEDS.format(url=world.url("/feed")), "utf-8")
        approved.environment["ASTERISM_ALLOW_PORTS"] = str(world.port)
        with running(approved) as program:
            program.until(lambda: world.calls)
            program.until(lambda: has_run(approved, "tidy"))  # the last job of the letters
            assert not has_run(approved, "gather")
            assert events_of(approved, "attempting") > 0
            assert program.get("/readyz") == (200, "ok\n")
        assert "now, after the news" in program.said


def test_a_second_signal_leaves_at_once(made: Door) -> None:
    """A source that hangs keeps the program from its next good place."""
    with World() as world:
        world.routes["/feed"] = lambda call: call.linger(WAIT_S)
        made.path("feeds.yaml").write_text(FEEDS.format(url=world.url("/feed")), "utf-8")
        made.environment["ASTERISM_ALLOW_PORTS"] = str(world.port)
        with running(made) as program:
            program.until(lambda: world.calls)
            program.process.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                program.process.wait(2)
            program.process.send_signal(signal.SIGTERM)
            assert program.process.wait(WAIT_S) == 128 + signal.SIGTERM
    assert "Stopped." not in program.said


def test_run_refuses_letters_with_an_unsealed_address(made: Door) -> None:
    firm = made.path("firm.yaml")
    firm.write_text(re.sub(r"https://letters", "http://letters", firm.read_text("utf-8")), "utf-8")
    made.environment |= {
        "ASTERISM_TRANSPORT": "smtp", "ASTERISM_SMTP_HOST": "127.0.0.1",
        "ASTERISM_MAIL_STAYS_HERE": "yes",
    }  # fmt: skip
    for command in (("run", "--port", "0"), ("tick",)):
        said = made(*command, code=2)
        assert "Mail leaves by smtp" in said.err
        assert "https" in said.err


AFTER_40_DAYS = "2026-12-29T07:31:00+00:00"


def test_run_keeps_its_pages_by_a_clock_that_it_does_not_believe(made: Door) -> None:
    made("tick")
    made.now = AFTER_40_DAYS
    before = jobs_of(made)["sift"]["state"]
    with running(made, ASTERISM_SPEED="240") as program:  # a look each quarter of a second
        program.until(lambda: program.get("/readyz")[0] == 503)
        assert program.get("/readyz")[1].startswith("The clock stands 40 days ahead")
        assert program.get("/healthz") == (200, "ok\n")
        assert program.get("/")[0] == 200
        assert "Traceback" not in program.logged
        assert jobs_of(made)["sift"]["state"] == before
        made("tick", "--after-pause")  # another process confirms it
        program.until(lambda: program.get("/readyz")[0] == 200)
        program.until(lambda: "the clock is believed again" in program.logged)
        assert program.end() == 0
    assert program.logged.count("The clock stands 40 days ahead") == 1, "told once"


def test_run_after_a_pause(made: Door) -> None:
    made("tick")
    made.now = AFTER_40_DAYS
    with running(made, "--after-pause") as program:
        program.until(lambda: jobs_of(made)["tidy"]["state"]["finished_at"] > "2026-12-29")
        assert program.get("/readyz") == (200, "ok\n")
        assert program.end() == 0
    assert "The clock stands" not in program.logged
    made("tick")


# ── tick ─────────────────────────────────────────────────────────────────────────────────


def test_tick_does_what_is_due_and_says_so(approved: Door) -> None:
    approved.now = THURSDAY
    said = approved("tick")
    assert re.search(rf"✓ +deliver +{ISSUE} is sent: \d+ accepted", said.out)
    assert "next: " in said.out
    assert events_of(approved, "attempting") > 0


def test_tick_again_does_nothing(approved: Door) -> None:
    approved.now = THURSDAY
    approved("tick")
    before = approved.state()
    said = approved("tick")
    assert said.out.startswith("Nothing was to do.")
    assert approved.state() == before


def test_tick_says_to_a_machine_what_it_did(approved: Door) -> None:
    approved.now = THURSDAY
    ticked = approved.ask("tick")
    runs = {run["job"]: run for run in ticked["runs"]}
    assert runs["deliver"]["outcome"] == "done"
    assert {"at", "runs", "busy", "coming", "stopped"} == set(ticked)


def test_tick_with_a_mistake_in_the_files_does_nothing(approved: Door) -> None:
    approved.now = THURSDAY
    feeds = approved.path("feeds.yaml")
    feeds.write_text(feeds.read_text("utf-8") + "\nsorces: []\n", "utf-8")
    before = approved.state()
    said = approved("tick", code=2)
    assert "feeds.yaml:" in said.err
    assert approved.state() == before


def test_tick_ends_with_5_when_a_job_failed_and_does_the_others(approved: Door) -> None:
    approved.now = THURSDAY
    (approved.folder / "output" / "mail").write_text("a file where a folder should be")
    said = approved("tick", code=5)
    assert re.search(r"✗ +deliver +.*cannot be written", said.out)
    assert re.search(r"✓ +gather ", said.out)
    assert "error deliver: failed: " in said.err
    state = jobs_of(approved)["deliver"]["state"]
    assert (state["outcome"], state["failures"]) == ("failed", 1)


def test_tick_does_nothing_by_a_clock_far_ahead_until_it_is_confirmed(made: Door) -> None:
    made("tick")
    made.now = AFTER_40_DAYS
    before = made.state()
    for options in ((), ("--json",), ()):
        said = made("tick", *options, code=4)
        assert "The clock stands 40 days ahead" in said.err
        assert "asterism tick --after-pause" in said.err
    assert made.state() == before
    assert "✓ gather" in re.sub(" +", " ", made("tick", "--after-pause").out)
    assert made("tick").out.startswith("Nothing was to do.")
    assert made("tick", "--after-pause").out.startswith("Nothing was to do.")


def test_tick_goes_on_when_the_clock_is_mended(made: Door) -> None:
    made("tick")
    made.now = AFTER_40_DAYS
    made("tick", code=4)
    made.now = THURSDAY
    made("tick")
    assert jobs_of(made)["sift"]["state"]["finished_at"].startswith("2026-11-19")


# ── jobs ─────────────────────────────────────────────────────────────────────────────────


def test_jobs_says_how_each_stands(made: Door) -> None:
    never = made("jobs").out
    assert re.search(r"deliver +never +nothing in sight", never)
    made("tick")
    said = made("jobs").out
    assert re.search(r"gather +Wed 18 Nov 2026 08:00 .+ \d+ new items from", said)
    assert re.search(
        r"tidy +Wed 18 Nov 2026 08:00 \w+ +Thu 19 Nov 2026 00:00 \w+ +nothing to do", said
    )
    assert max(map(len, said.splitlines())) <= 100


def test_jobs_again_is_the_same_and_writes_nothing(made: Door) -> None:
    made("tick")
    before = made.state()
    assert made("jobs").out == made("jobs").out
    assert made.state() == before


def test_jobs_shows_the_runs_of_one(made: Door) -> None:
    made("tick")
    said = made("jobs", "gather").out
    assert "gather, every 10 minutes" in said
    assert "✓ Wed 18 Nov 2026 08:00 " in said
    assert [one["job"] for one in made.ask("jobs", "gather")] == ["gather"]
    assert "No run has found anything to do." in made("jobs", "tidy").out
    assert "tidy, every 1 day" in made("jobs", "tidy").out
