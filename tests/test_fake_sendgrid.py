"""The judge is judged: each rule refuses, what is right passes, and the vendor's client gets on."""

from __future__ import annotations

import base64
import copy
import gzip
import http.client
import http.server
import json
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from python_http_client.exceptions import BadRequestsError, ForbiddenError, UnauthorizedError
from sendgrid import SendGridAPIClient
from sendgrid.helpers.eventwebhook import EventWebhook
from sendgrid.helpers.mail import (
    BatchId,
    Category,
    CustomArg,
    Header,
    Mail,
    Personalization,
    SendAt,
    Substitution,
    To,
)

from tests.builders import NOW
from tests.fake_sendgrid import KEY, ROOT, FakeSendGrid, Fault, events

AT = int(NOW.timestamp())
MINUTE = 60


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeSendGrid]:
    with FakeSendGrid(tmp_path_factory.mktemp("sendgrid"), at=NOW) as fake:
        yield fake


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeSendGrid]:
    with FakeSendGrid(tmp_path / "sendgrid", at=NOW) as one:
        yield one


def ask(
    fake: FakeSendGrid,
    path: str,
    asked: Any = None,
    *,
    method: str = "POST",
    key: str = KEY,
    raw: bytes | None = None,
    timeout: float = 30,
    **headers: str,
) -> tuple[int, Any, dict[str, str]]:
    """(status, JSON or None, headers) of one request."""
    body = raw if raw is not None else (None if asked is None else json.dumps(asked).encode())
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(
        fake.url + path,
        body,
        {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **named},
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout) as reply:
            data = reply.read()
            return reply.status, json.loads(data) if data else None, dict(reply.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read()), dict(error.headers)


def send(fake: FakeSendGrid, mail: Any, **more: Any) -> tuple[int, Any, dict[str, str]]:
    return ask(fake, "/v3/mail/send", mail, **more)


def person(number: int) -> dict[str, Any]:
    return {
        "to": [{"email": f"reader{number}@northline.example", "name": f"Reader {number}"}],
        "substitutions": {"-name-": f"Reader {number}", "-n-": str(number)},
        "custom_args": {"delivery": f"delivery{number}"},
        "headers": {"Message-ID": f"<delivery{number}@quaytide.example>"},
    }


def mail_to(*numbers: int, **changes: Any) -> dict[str, Any]:
    return {
        "personalizations": [person(number) for number in numbers or (1,)],
        "from": {"email": "liv@quaytide.example", "name": "Liv Haugen"},
        "reply_to": {"email": "liv@quaytide.example"},
        "subject": "Berths for -name-",
        "content": [
            {"type": "text/plain", "value": "Good morning, -name-."},
            {"type": "text/html", "value": "<p>Good morning, <b>-name-</b>.</p>"},
        ],
        **changes,
    }


def new_batch(fake: FakeSendGrid) -> str:
    status, told, _ = ask(fake, "/v3/mail/batch")
    assert status == 201
    return str(told["batch_id"])


def cancel(fake: FakeSendGrid, batch_id: str) -> tuple[int, Any]:
    asked = {"batch_id": batch_id, "status": "cancel"}
    status, told, _ = ask(fake, "/v3/user/scheduled_sends", asked)
    return status, told


def words(told: Any) -> str:
    return " ".join(one["message"] for one in told["errors"])


# ── what passes ──────────────────────────────────────────────────────────────────────────


def test_a_good_mail_reaches_each_inbox_filled_in(fake: FakeSendGrid) -> None:
    status, told, headers = send(fake, mail_to(1, 2))
    assert (status, told) == (202, None)
    assert headers["X-Message-Id"]
    assert fake.delivered() == {"delivery1": 1, "delivery2": 1}
    letter = fake.inbox("delivery2")[0]
    assert letter.recipient == "reader2@northline.example"
    assert letter.subject == "Berths for Reader 2"
    assert letter.text == "Good morning, Reader 2."
    assert letter.html == "<p>Good morning, <b>Reader 2</b>.</p>"
    assert letter.headers["Message-ID"] == "<delivery2@quaytide.example>"
    assert letter.headers["Reply-To"] == "liv@quaytide.example"


def test_a_value_is_not_read_for_tags_again(fake: FakeSendGrid) -> None:
    mail = mail_to(1)
    mail["personalizations"][0]["substitutions"] = {"-name-": "-n-", "-n-": "7", "-n": "x"}
    assert send(fake, mail)[0] == 202
    assert fake.inbox()[0].text == "Good morning, -n-."


def args(size: int) -> dict[str, str]:
    """Arguments that take so many bytes as JSON."""
    rest = {"delivery": "delivery1", "a": ""}
    return {**rest, "a": "x" * (size - len(json.dumps(rest, separators=(",", ":"))))}


GOOD: dict[str, dict[str, Any]] = {
    "a thousand": {"personalizations": [person(n) for n in range(1000)]},
    "72 hours ahead": {"send_at": AT + 72 * 3600},
    "ten categories of 255": {"categories": [f"{n}{'c' * 254}" for n in range(10)]},
    "25 groups": {"asm": {"group_id": 1, "groups_to_display": list(range(25))}},
    "our headers": {
        "headers": {
            "List-Unsubscribe": "<https://letters.quaytide.example/leave/x>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            "List-Id": "<ferry-weekly.quaytide.example>",
            "Feedback-ID": "a:b:c:d",
        }
    },
    "a calendar after html": {
        "content": [
            {"type": "text/html", "value": "<p>x</p>"},
            {"type": "text/calendar", "value": "BEGIN:VCALENDAR"},
        ]
    },
    "a subject each": {"subject": "x", "personalizations": [{**person(1), "subject": "mine"}]},
    "arguments of 10,000 bytes": {"personalizations": [{**person(1), "custom_args": args(10_000)}]},
}


@pytest.mark.parametrize("changes", GOOD.values(), ids=GOOD.keys())
def test_what_is_within_the_limits_passes(running: FakeSendGrid, changes: dict[str, Any]) -> None:
    status, told, _ = send(running, mail_to(1, **changes))
    assert (status, told) == (202, None)


@pytest.mark.parametrize(
    ("name", "arrives"),
    [("Howdy y'all :(", False), ("Reader <x@y.example>", False), ('"Reader, PhD :("', True),
     ("Reader Dr. O'Brien & Sons", True)],
)  # fmt: skip
def test_a_name_that_reads_as_an_address_leads_astray(
    fake: FakeSendGrid, name: str, arrives: bool
) -> None:
    """Taken with a 202, and never seen again; so it is told of the real one."""
    to = [{"email": "reader1@northline.example", "name": name}]
    assert send(fake, mail_to(1, personalizations=[{**person(1), "to": to}]))[0] == 202
    assert fake.delivered() == ({"delivery1": 1} if arrives else {})


def test_a_packed_body_is_unpacked(fake: FakeSendGrid) -> None:
    raw = gzip.compress(json.dumps(mail_to(1)).encode())
    assert send(fake, None, raw=raw, Content_Encoding="gzip")[0] == 202
    assert fake.delivered() == {"delivery1": 1}


def test_the_sandbox_checks_and_sends_nothing(fake: FakeSendGrid) -> None:
    sandbox = {"mail_settings": {"sandbox_mode": {"enable": True}}}
    assert send(fake, mail_to(1, **sandbox))[0] == 200
    assert send(fake, mail_to(1, subject="", **sandbox))[0] == 400
    assert fake.accepted() == 0


# ── what is refused ──────────────────────────────────────────────────────────────────────


def changed(**fields: Any) -> dict[str, Any]:
    """The first personalization, changed."""
    return {"personalizations": [{**person(1), **fields}]}


BAD: dict[str, tuple[str, dict[str, Any]]] = {
    "nobody": ("personalizations", {"personalizations": []}),
    "1001 personalizations": (
        "personalizations",
        {"personalizations": [person(n) for n in range(1001)]},
    ),
    "1001 recipients": (
        "personalizations",
        changed(to=[{"email": f"r{n}@northline.example"} for n in range(1001)]),
    ),
    "the same address twice": (
        "personalizations",
        {"personalizations": [person(1), {**person(2), "to": person(1)["to"]}]},
    ),
    "the same address in capitals": (
        "personalizations",
        changed(cc=[{"email": "READER1@northline.example"}]),
    ),
    "no to": ("personalizations.0.to", changed(to=[])),
    "no address": ("personalizations.0.to.0.email", changed(to=[{"name": "Reader"}])),
    "no valid address": ("personalizations.0.to.0.email", changed(to=[{"email": "reader"}])),
    "a comma in a name": (
        "personalizations.0.to.0.name",
        changed(to=[{"email": "r@northline.example", "name": "Reader, 1"}]),
    ),
    "big arguments": (
        "personalizations.0.custom_args",
        changed(custom_args=args(10_001)),
    ),
    "a number as argument": ("personalizations.0.custom_args", changed(custom_args={"n": 1})),
    "arguments as text": ("custom_args", {"custom_args": "x"}),
    "big arguments together": ("personalizations.0.custom_args", {
        "custom_args": {"a": "x" * 9_990}
    }),
    "big substitutions": (
        "personalizations.0.substitutions",
        changed(substitutions={"-a-": "x" * 10_000}),
    ),
    "a number as substitution": (
        "personalizations.0.substitutions",
        changed(substitutions={"-a-": 1}),
    ),
    "substitutions in a dynamic template": (
        "personalizations.0.substitutions",
        {"template_id": "d-1"},
    ),
    "an unknown property of one": ("personalizations.0.priority", changed(priority=1)),
    "a reserved header of one": (
        "personalizations.0.headers.subject",
        changed(headers={"subject": "x"}),
    ),
    "one later than 72 hours": (
        "personalizations.0.send_at",
        changed(send_at=AT + 72 * 3600 + 60),
    ),
    "no from": ("from", {"from": None}),
    "from in Unicode": ("from.email", {"from": {"email": "bjørn@quaytide.example"}}),
    "from without address": ("from.email", {"from": {"name": "Liv"}}),
    "an empty subject": ("subject", {"subject": ""}),
    "a subject of two lines": ("subject", {"subject": "Berths\r\nBcc: x@northline.example"}),
    "no content": ("content", {"content": []}),
    "an empty part": ("content.0.value", {"content": [{"type": "text/plain", "value": ""}]}),
    "html first": ("content", {
        "content": [
            {"type": "text/html", "value": "<p>x</p>"}, {"type": "text/plain", "value": "x"},
        ]
    }),
    "text twice": ("content", {"content": [{"type": "text/plain", "value": "x"}] * 2}),
    "a reserved header": ("headers.DKIM-Signature", {"headers": {"DKIM-Signature": "x"}}),
    "a header of two lines": ("headers.X-A", {"headers": {"X-A": "a\r\nX-B: b"}}),
    "a header in Unicode": ("headers.X-A", {"headers": {"X-A": "ø"}}),
    "a header's name with a space": ("headers", {"headers": {"X A": "a"}}),
    "11 categories": ("categories", {"categories": [str(n) for n in range(11)]}),
    "a long category": ("categories.0", {"categories": ["c" * 256]}),
    "a category twice": ("categories", {"categories": ["c", "c"]}),
    "later than 72 hours": ("send_at", {"send_at": AT + 72 * 3600 + 60}),
    "a time as text": ("send_at", {"send_at": "tomorrow"}),
    "a batch nobody made": ("batch_id", {"batch_id": "nobody-made-this"}),
    "no group": ("asm.group_id", {"asm": {"groups_to_display": [1]}}),
    "26 groups": ("asm.groups_to_display", {
        "asm": {"group_id": 1, "groups_to_display": list(range(26))}
    }),
    "an unknown property": ("priority", {"priority": 1}),
    "two ways to reply": ("reply_to", {"reply_to_list": [{"email": "tom@quaytide.example"}]}),
    "a pool of one letter": ("ip_pool_name", {"ip_pool_name": "x"}),
    "settings as text": ("mail_settings", {"mail_settings": "x"}),
    "an attachment of nothing": ("attachments.0", {"attachments": [{"filename": "x"}]}),
}  # fmt: skip


@pytest.mark.parametrize(("field", "changes"), BAD.values(), ids=BAD.keys())
def test_each_rule_refuses(running: FakeSendGrid, field: str, changes: dict[str, Any]) -> None:
    before = running.accepted()
    status, told, _ = send(running, mail_to(1, **copy.deepcopy(changes)))
    assert status == 400
    assert field in {one["field"] for one in told["errors"]}
    assert all(one["message"] for one in told["errors"])
    assert running.accepted() == before


def test_no_subject_anywhere(running: FakeSendGrid) -> None:
    mail = mail_to(1)
    del mail["subject"]
    status, told, _ = send(running, mail)
    assert (status, told["errors"][0]["field"]) == (400, "subject")
    mail["personalizations"][0]["subject"] = "mine"
    assert send(running, mail)[0] == 202


def test_what_is_no_mail_at_all(running: FakeSendGrid) -> None:
    assert send(running, None, raw=b"{")[0] == 400
    assert send(running, [])[0] == 400
    assert send(running, mail_to(1), Content_Type="text/plain")[0] == 415
    assert send(running, None, raw=b" " * (30 * 1024 * 1024 + 1))[0] == 413
    packed = gzip.compress(b" " * (30 * 1024 * 1024 + 1))
    assert send(running, None, raw=packed, Content_Encoding="gzip")[0] == 413
    assert send(running, None, raw=packed[:100], Content_Encoding="gzip")[0] == 400


def test_addresses_and_methods(running: FakeSendGrid) -> None:
    assert ask(running, "/v3/nothing")[0] == 404
    assert ask(running, "/v3/mail/send", method="GET")[0] == 405
    assert ask(running, "/v3/mail/batch", method="DELETE")[0] == 405


def test_keys(fake: FakeSendGrid) -> None:
    assert send(fake, mail_to(1), key="SG.other")[0] == 401
    fake.keys({"SG.send": ["mail.send"], "SG.none": []})
    assert send(fake, mail_to(1))[0] == 401
    assert send(fake, mail_to(1), key="SG.none")[0] == 403
    assert send(fake, mail_to(1), key="SG.send")[0] == 202
    assert ask(fake, "/v3/mail/batch", key="SG.send")[0] == 403
    fake.revoke(after=1)
    assert send(fake, mail_to(2), key="SG.send")[0] == 202
    assert send(fake, mail_to(3), key="SG.send")[0] == 401
    assert fake.delivered() == {"delivery1": 1, "delivery2": 1}


# ── batches ──────────────────────────────────────────────────────────────────────────────


def in_batch(fake: FakeSendGrid, batch_id: str, *numbers: int, ahead: int = 15 * MINUTE) -> int:
    send_at = int(fake.now().timestamp()) + ahead
    return send(fake, mail_to(*numbers, batch_id=batch_id, send_at=send_at))[0]


def test_mail_waits_for_its_time(fake: FakeSendGrid) -> None:
    batch_id = new_batch(fake)
    assert ask(fake, f"/v3/mail/batch/{batch_id}", method="GET")[0] == 200
    assert ask(fake, "/v3/mail/batch/nobody-made-this", method="GET")[0] == 400
    assert in_batch(fake, batch_id, 1) == 202
    assert (fake.delivered(), fake.reaching()) == ({}, {"delivery1": 1})
    fake.advance(15 * MINUTE - 1)
    assert fake.delivered() == {}
    fake.advance(1)
    assert fake.delivered() == {"delivery1": 1}


def test_a_cancelled_batch_is_thrown_away_whatever_comes_later(fake: FakeSendGrid) -> None:
    batch_id = new_batch(fake)
    assert in_batch(fake, batch_id, 1) == 202
    fake.advance(5 * MINUTE)
    status, told = cancel(fake, batch_id)
    assert (status, told) == (201, {"batch_id": batch_id, "status": "cancel"})
    assert in_batch(fake, batch_id, 2) == 202  # the post that hung on the line
    assert fake.reaching() == {}
    fake.advance(3600)
    assert fake.delivered() == {}
    assert fake.discarded() == {"delivery1": 1, "delivery2": 1}


def test_cancelled_before_anything_came(fake: FakeSendGrid) -> None:
    batch_id = new_batch(fake)
    assert cancel(fake, batch_id)[0] == 201
    assert in_batch(fake, batch_id, 1) == 202
    fake.advance(3600)
    assert fake.delivered() == {}


def test_ten_minutes_before_is_the_last_moment(fake: FakeSendGrid) -> None:
    on_time, late = new_batch(fake), new_batch(fake)
    assert in_batch(fake, on_time, 1) == in_batch(fake, late, 2) == 202
    fake.advance(5 * MINUTE)
    assert cancel(fake, on_time)[0] == 201
    fake.advance(1)
    status, told = cancel(fake, late)
    assert status == 400
    assert "10 minutes" in words(told)
    fake.advance(3600)
    assert fake.delivered() == {"delivery2": 1}
    assert cancel(fake, late)[0] == 400


def test_a_status_is_given_once_and_then_changed(fake: FakeSendGrid) -> None:
    batch_id = new_batch(fake)
    path = f"/v3/user/scheduled_sends/{batch_id}"
    assert cancel(fake, "nobody-made-this")[0] == 400
    assert ask(fake, path, {"status": "pause"}, method="PATCH")[0] == 400
    assert cancel(fake, batch_id)[0] == 201
    status, told = cancel(fake, batch_id)
    assert (status, words(told)) == (
        400,
        "a status for this batch id exists, try PATCH to update the status",
    )
    one = [{"batch_id": batch_id, "status": "cancel"}]
    assert ask(fake, path, method="GET")[1] == one
    assert ask(fake, "/v3/user/scheduled_sends", method="GET")[1] == one
    assert ask(fake, path, {"status": "pause"}, method="PATCH")[0] == 204
    assert ask(fake, path, {"status": "away"}, method="PATCH")[0] == 400
    assert ask(fake, path, method="GET")[1][0]["status"] == "pause"
    assert ask(fake, path, method="DELETE")[0] == 204
    assert ask(fake, path, method="DELETE")[0] == 400
    assert ask(fake, path, method="GET")[1] == []


def test_a_paused_batch_waits_and_at_last_expires(fake: FakeSendGrid) -> None:
    resumed, forgotten = new_batch(fake), new_batch(fake)
    assert in_batch(fake, resumed, 1) == in_batch(fake, forgotten, 2) == 202
    for batch_id in (resumed, forgotten):
        asked = {"batch_id": batch_id, "status": "pause"}
        assert ask(fake, "/v3/user/scheduled_sends", asked)[0] == 201
    fake.advance(3600)
    assert fake.delivered() == {}
    assert ask(fake, f"/v3/user/scheduled_sends/{resumed}", method="DELETE")[0] == 204
    fake.advance(73 * 3600)
    assert fake.delivered() == {"delivery1": 1}
    assert fake.discarded() == {"delivery2": 1}


def test_no_more_than_ten_batches_are_cancelled_at_one_time(fake: FakeSendGrid) -> None:
    batches = [new_batch(fake) for _ in range(11)]
    assert [in_batch(fake, one, n) for n, one in enumerate(batches)] == [202] * 11
    assert [cancel(fake, one)[0] for one in batches[:10]] == [201] * 10
    status, told = cancel(fake, batches[10])
    assert (status, words(told)) == (400, "max limit reached")
    fake.advance(16 * MINUTE)  # they have been thrown away by now
    late = new_batch(fake)
    assert in_batch(fake, late, 99) == 202
    assert cancel(fake, late)[0] == 201


# ── what goes wrong ──────────────────────────────────────────────────────────────────────

GONE = (ConnectionError, http.client.HTTPException, TimeoutError, urllib.error.URLError)


@pytest.mark.parametrize(
    ("fault", "taken"),
    [
        (Fault("drop_before"), 0),
        (Fault("drop_after"), 1),
        (Fault("half"), 1),
        (Fault("trickle", wait_s=0.2), 1),
        (Fault("wait_after", wait_s=60), 1),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_no_answer(fake: FakeSendGrid, fault: Fault, taken: int) -> None:
    fake.script(fault)
    with pytest.raises(GONE):
        send_raw(fake, mail_to(1), within_s=4)
    assert len(fake.delivered()) == taken
    assert send(fake, mail_to(2))[0] == 202
    assert fake.requests("send")[-1] == ("send", 202, "", 1)


def send_raw(fake: FakeSendGrid, mail: Any, within_s: float) -> None:
    """All of an answer within this time, or an error."""
    body = json.dumps(mail).encode()
    host, _, port = fake.url.removeprefix("http://").partition(":")
    head = (
        f"POST /v3/mail/send HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=within_s) as line:
        timer = threading.Timer(within_s, lambda: line.shutdown(socket.SHUT_RDWR))
        timer.start()
        try:
            line.sendall(head.encode() + body)
            answer = b""
            while b"\r\n\r\n" not in answer:
                read = line.recv(4096)
                if not read:
                    raise ConnectionError
                answer += read
        finally:
            timer.cancel()
            timer.join()


def test_a_post_that_comes_in_after_its_client_gave_up(fake: FakeSendGrid) -> None:
    """The dangerous one: cancelled while the mail is still on its way."""
    batch_id = new_batch(fake)
    fake.script(Fault("wait_before", wait_s=3.0))
    mail = mail_to(1, batch_id=batch_id, send_at=AT + 15 * MINUTE)
    with pytest.raises(GONE):
        send_raw(fake, mail, within_s=0.3)
    assert fake.accepted() == 0
    assert cancel(fake, batch_id)[0] == 201
    while not fake.accepted():
        threading.Event().wait(0.05)
    fake.advance(3600)
    assert fake.delivered() == {}


def test_busy_with_and_without_a_time(fake: FakeSendGrid) -> None:
    fake.script(
        Fault("status_before", status=429, reset_in_s=30),
        Fault("status_before", status=429),
        Fault("status_before", status=500),
        Fault("status_after", status=503),
    )
    status, _, headers = send(fake, mail_to(1))
    assert (status, headers["X-RateLimit-Reset"]) == (429, str(AT + 30))
    status, _, headers = send(fake, mail_to(1))
    assert status == 429
    assert "X-RateLimit-Reset" not in headers
    assert send(fake, mail_to(1))[0] == 500
    assert fake.accepted() == 0
    assert send(fake, mail_to(1))[0] == 503
    assert fake.delivered() == {"delivery1": 1}


def test_a_cancel_that_worked_and_said_nothing(fake: FakeSendGrid) -> None:
    batch_id = new_batch(fake)
    assert in_batch(fake, batch_id, 1) == 202
    fake.script(Fault("drop_after", on="hold"))
    with pytest.raises(GONE):
        cancel(fake, batch_id)
    status, told = cancel(fake, batch_id)
    assert status == 400
    assert "exists" in words(told)
    assert fake.reaching() == {}


def test_chance_is_the_same_for_the_same_seed(fake: FakeSendGrid) -> None:
    def round_of_sends() -> list[int]:
        fake.chance((0.3, Fault("status_before", status=500, on="any")), seed=5)
        return [send(fake, mail_to(1))[0] for _ in range(20)]

    first = round_of_sends()
    assert set(first) == {202, 500}
    assert round_of_sends() == first
    fake.clear()
    assert [send(fake, mail_to(1))[0] for _ in range(5)] == [202] * 5


def test_the_book_outlives_the_process(tmp_path: Path) -> None:
    with FakeSendGrid(tmp_path, at=NOW) as fake:
        assert send(fake, mail_to(1))[0] == 202
    assert fake.accepted() == 1


# ── the vendor's own client ──────────────────────────────────────────────────────────────


def test_the_vendors_client_gets_on_with_it(fake: FakeSendGrid) -> None:
    client = SendGridAPIClient(KEY, host=fake.url)
    batch_id = json.loads(client.client.mail.batch.post().body)["batch_id"]
    mail = Mail(
        from_email=("liv@quaytide.example", "Liv Haugen"),
        subject="Berths for -name-",
        plain_text_content="Good morning, -name-.",
        html_content="<p>Good morning, -name-.</p>",
    )
    for number in range(3):
        each = Personalization()
        each.add_to(To(f"reader{number}@northline.example", f"Reader {number}"))
        each.add_substitution(Substitution("-name-", f"Reader {number}"))
        each.add_custom_arg(CustomArg("delivery", f"delivery{number}"))
        each.add_header(Header("X-Number", str(number)))
        mail.add_personalization(each)
    mail.category = Category("ferry-weekly")
    mail.batch_id = BatchId(batch_id)
    mail.send_at = SendAt(AT + 15 * MINUTE)
    reply = client.send(mail)
    assert reply.status_code == 202
    assert reply.headers["X-Message-Id"]
    fake.advance(15 * MINUTE)
    assert fake.delivered() == {f"delivery{n}": 1 for n in range(3)}
    assert fake.inbox("delivery1")[0].text == "Good morning, Reader 1."
    with pytest.raises(BadRequestsError):
        client.client.user.scheduled_sends.post({"batch_id": batch_id, "status": "cancel"})
    with pytest.raises(UnauthorizedError):
        SendGridAPIClient("SG.other", host=fake.url).send(mail)
    fake.keys({KEY: []})
    with pytest.raises(ForbiddenError):
        client.send(mail)


# ── events ───────────────────────────────────────────────────────────────────────────────


def vouched(fake: FakeSendGrid, one: events.Posting) -> bool:
    """What SendGrid's own verifier says of it."""
    if events.SIGNATURE not in one.headers:
        return False
    believed: bool = EventWebhook(fake.public_key).verify_signature(
        one.body.decode(), one.headers[events.SIGNATURE], one.headers[events.TIMESTAMP]
    )
    return believed


def test_events_carry_the_delivery_and_a_signature(fake: FakeSendGrid) -> None:
    assert send(fake, mail_to(1, 2))[0] == 202
    told = fake.events("processed", "delivered", "blocked", "spamreport")
    assert {(one["event"], one["delivery"]) for one in told} == {
        (what, f"delivery{n}")
        for what in ("processed", "delivered", "bounce", "spamreport")
        for n in (1, 2)
    }
    assert len({one["sg_event_id"] for one in told}) == 8
    assert told[0]["smtp-id"] == "<delivery1@quaytide.example>"
    (one,) = fake.postings(told)
    assert vouched(fake, one)
    assert one.headers[events.TIMESTAMP] == str(AT)
    assert json.loads(one.body) == told


def test_bad_postings_are_bad(fake: FakeSendGrid) -> None:
    assert send(fake, mail_to(1))[0] == 202
    told = fake.events("delivered")
    assert not vouched(fake, events.forged(told, AT))
    assert not vouched(fake, events.tampered(fake.signer, told, AT))
    assert not vouched(fake, events.unsigned(told))
    half = events.truncated(fake.signer, told, AT)
    assert vouched(fake, half)
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        json.loads(half.body)
    stale = events.posting(fake.signer, told, (NOW - timedelta(hours=1)).timestamp())
    assert vouched(fake, stale)
    assert int(stale.headers[events.TIMESTAMP]) == AT - 3600
    many = events.messy(told * 3, copies_of_each=2, seed=1)
    assert len(many) == 6
    assert len({one["sg_event_id"] for one in many}) == 1


def test_ten_thousand_events_are_posted_over_a_real_line(fake: FakeSendGrid) -> None:
    taken: list[tuple[bytes, str]] = []

    class Webhook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.append((body, self.headers[events.SIGNATURE]))
            self.send_response(503 if len(taken) > 1 else 204)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    assert send(fake, mail_to(1))[0] == 202
    told = fake.events("delivered") * 10_001
    postings = fake.postings(told)
    assert [one.body.count(b'"event"') for one in postings] == [10_000, 1]
    with http.server.HTTPServer(("127.0.0.1", 0), Webhook) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_address[1]}/"
            assert [one.post(url) for one in postings] == [204, 503]
        finally:
            server.shutdown()
            thread.join()
    assert taken[0] == (postings[0].body, postings[0].headers[events.SIGNATURE])
    assert base64.b64decode(fake.public_key)


def test_called_by_hand_the_fake_says_how() -> None:
    for arguments, code in ((["--help"], 0), ([], 2)):
        said = subprocess.run(
            [sys.executable, "-m", "tests.fake_sendgrid", *arguments],
            cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=60,
        )  # fmt: skip
        assert said.returncode == code
        assert "usage: python -m tests.fake_sendgrid" in said.stdout + said.stderr
        assert "Traceback" not in said.stderr
