"""Serving: where it may be bound, and how it starts and ends."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import BadInput, Down
from pipeline.stores.sql import SqlStore
from pipeline.web.app import serve
from tests.builders import SECRET
from tests.people_scene import ports_of

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from pipeline.stores.sql import SqlStore
from pipeline.web.app import serve
from tests.builders import SECRET
from tests.people_scene import ports_of

store = SqlStore(sys.argv[1], SECRET)
serve(ports_of(store), "127.0.0.1", 0, public_only=True,
      ready=lambda address: print(address, flush=True))
print("ended", flush=True)
"""


@pytest.fixture
def store(sqlite_url: str) -> Iterator[SqlStore]:
    store = SqlStore(sqlite_url, SECRET)
    yield store
    store.close()


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "192.168.1.7", "10.0.0.1", "localhost.evil.example", "0", "127.1"]
)
def test_without_sign_in_only_this_machine_is_served(store: SqlStore, host: str) -> None:
    with pytest.raises(BadInput, match="no sign-in") as refused:
        serve(ports_of(store), host, 0)
    assert "--public-only" in refused.value.hint


def test_a_taken_port_is_told_plainly(store: SqlStore) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(Down, match=f"127.0.0.1:{port}") as down:
            serve(ports_of(store), "127.0.0.1", port)
    assert "--port" in down.value.hint


@pytest.mark.parametrize("port", [-1, 65536, 10**9])
def test_a_port_that_is_none_is_told_plainly(store: SqlStore, port: int) -> None:
    with pytest.raises(BadInput, match="There is no port"):
        serve(ports_of(store), "127.0.0.1", port)


def test_a_name_nobody_knows_is_told_plainly(store: SqlStore) -> None:
    with pytest.raises(Down, match="Nothing can be served"):
        serve(ports_of(store), "no-such-host.invalid", 0, public_only=True)


def test_it_says_where_it_is_and_ends_when_interrupted(sqlite_url: str) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, sqlite_url], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert program.stdout is not None
    address = program.stdout.readline().strip()
    assert address.startswith("http://127.0.0.1:")
    connection = http.client.HTTPConnection(address.split("/")[2], timeout=120)
    connection.request("GET", "/healthz")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"ok\n")
    connection.close()
    os.kill(program.pid, signal.SIGINT)
    out, errors = program.communicate(timeout=120)
    assert (program.returncode, out, errors) == (0, "ended\n", "")
