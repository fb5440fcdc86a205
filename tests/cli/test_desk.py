"""status, serve; `demo` has its tests in tests/demo."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.door import Door, clean_environment


def test_status_says_how_things_stand_and_what_is_next(to_read: Door) -> None:
    said = to_read("status")
    assert "Ferrier & Wick, Thu 19 Nov 2026" in said.out
    assert "6 of 7 sources answer" in said.out
    assert "Bench Notes: The server answered 503" in said.out
    assert "24 contacts, 2 without a basis" in said.out
    assert "→" in said.out
    state = to_read.ask("status")
    assert state["people"]["contacts"] == 24
    assert {source["health"] for source in state["sources"]} == {"healthy", "failing"}


def test_status_again_is_the_same_and_writes_nothing(to_read: Door) -> None:
    before = to_read.state()
    assert to_read("status").out == to_read("status").out
    assert to_read.state() == before


@contextmanager
def serving(door: Door, *options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The program serving, and its port; interrupted at the end."""
    command = [sys.executable, "-u", "-m", "pipeline", "-C", str(door.folder), "serve"]
    with subprocess.Popen(
        [*command, "--port", "0", *options],
        env=clean_environment(door.variables()),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout
        line = program.stdout.readline()
        address = re.fullmatch(r"Serving http://127\.0\.0\.1:(\d+)/; Ctrl\+C stops\.\n", line)
        assert address, line
        try:
            yield program, int(address[1])
        finally:
            program.kill()


def ask(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def test_serve_says_where_and_ends_by_a_word(to_read: Door) -> None:
    with serving(to_read) as (program, port):
        assert ask(port, "/") == 200
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=120)
        assert (out, err) in (("", ""), ("", "\nStopped.\n"))
        assert program.returncode in (0, 130)


def test_serve_public_only_shows_nothing_else(to_read: Door) -> None:
    with serving(to_read, "--public-only") as (_, port):
        assert ask(port, "/") == 404
        assert ask(port, "/healthz") == 200


def test_serve_again_on_a_port_that_is_taken(to_read: Door) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        said = to_read("serve", "--port", port, code=5)
    assert f"127.0.0.1:{port}" in said.err
    assert "--port" in said.err
