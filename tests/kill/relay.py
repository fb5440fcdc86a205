"""A mail relay that counts: FOLDER; prints its port, takes orders on standard input.

An order is a line of JSON: {"most": n} takes so many letters and keeps all others waiting after
their final dot; {"pace_s": s} is slow with each; {"cut_after": p, "cut_before": p, "seed": n}
cuts the line, by chance, after or before a letter was taken. A letter whose sender died while it
waited is taken all the same. Each that is taken is a line in FOLDER/taken: delivery, address.
"""

from __future__ import annotations

import json
import os
import random
import re
import socketserver
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

_DELIVERY = re.compile(rb"^Message-ID: *<([a-z2-7]+)@", re.MULTILINE | re.IGNORECASE)
_ADDRESS = re.compile(rb"TO:<([^>]*)>", re.IGNORECASE)


class Orders:
    """How slow it is, and how unkind."""

    def __init__(self, record: Path) -> None:
        self.changed = threading.Condition()
        self._file = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._cuts = os.open(record.with_name("cut"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._taken = 0
        self._most, self._pace_s = sys.maxsize, 0.0
        self._cut_after = self._cut_before = 0.0
        self._random = random.Random(0)

    def follow(self, order: dict[str, Any]) -> None:
        with self.changed:
            self._most = order.get("most", self._most)
            self._pace_s = order.get("pace_s", self._pace_s)
            self._cut_after = order.get("cut_after", self._cut_after)
            self._cut_before = order.get("cut_before", self._cut_before)
            if "seed" in order:
                self._random = random.Random(order["seed"])
            self.changed.notify_all()

    def cuts_before(self) -> bool:
        with self.changed:
            return self._cuts_now(self._cut_before, b"before\n")

    def _cuts_now(self, chance: float, word: bytes) -> bool:
        cut = self._random.random() < chance
        if cut:
            os.write(self._cuts, word)
        return cut

    def take(self, delivery: bytes, address: bytes) -> bool:
        """Take a letter when its turn comes; whether to answer."""
        threading.Event().wait(self._pace_s / 2)
        with self.changed:
            self.changed.wait_for(lambda: self._taken < self._most)
            self._taken += 1
            os.write(self._file, delivery + b" " + address + b"\n")
            cut = self._cuts_now(self._cut_after, b"after\n")
        threading.Event().wait(self._pace_s / 2)
        return not cut


class Line(socketserver.StreamRequestHandler):
    """One client, and as many letters as it likes."""

    orders: Orders

    def handle(self) -> None:
        with suppress(OSError):
            self._say(b"220 relay.example ESMTP")
            while line := self.rfile.readline():
                if not self._obey(line.rstrip(b"\r\n")):
                    return

    def _obey(self, line: bytes) -> bool:
        """Whether the line stays open."""
        verb = line[:4].upper()
        if verb == b"EHLO":
            self._say(b"250-relay.example", b"250 8BITMIME")
        elif verb == b"RCPT":
            if self.orders.cuts_before():
                return False
            found = _ADDRESS.search(line)
            self._address = found[1] if found else b""
            self._say(b"250 2.1.5 known here")
        elif verb == b"DATA":
            self._say(b"354 go on")
            return self._letter()
        elif verb == b"QUIT":
            self._say(b"221 2.0.0 bye")
            return False
        else:
            self._say(b"250 2.0.0 as you like")
        return True

    def _letter(self) -> bool:
        head, is_head = [], True
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return False  # died before the dot: nothing was taken
            is_head = is_head and line != b"\r\n"
            if is_head:
                head.append(line)
        found = _DELIVERY.search(b"".join(head))
        answers = self.orders.take(found[1] if found else b"?", self._address)
        if answers:
            self._say(b"250 2.0.0 taken")
        return answers

    def _say(self, *lines: bytes) -> None:
        self.wfile.write(b"".join(line + b"\r\n" for line in lines))


class Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that died is what this is for."""


def main(folder: Path) -> None:
    orders = Orders(folder / "taken")
    line = type("BoundLine", (Line,), {"orders": orders})
    with Listener(("127.0.0.1", 0), line) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        sys.stdout.write(f"{listener.server_address[1]}\n")
        sys.stdout.flush()
        for order in sys.stdin:
            orders.follow(json.loads(order))
            sys.stdout.write("done\n")
            sys.stdout.flush()
    os._exit(0)  # whoever still waits was killed long ago


if __name__ == "__main__":
    main(Path(sys.argv[1]))
