"""What a look over the whole installation finds, on both databases."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from pipeline.errors import Down
from pipeline.model.checkup import Check, Machine
from pipeline.model.running import JobRun
from pipeline.ports import Ports
from pipeline.rules.dns import SELECTORS
from pipeline.stages.doctor import examine, examine_without_store, worst
from pipeline.stores.schema import operations
from pipeline.stores.sql import SqlStore
from pipeline.transports.file import FileTransport
from tests.builders import CATALOG, NOW
from tests.people_scene import ports_of, put, put_catalog, raw

WELL = Machine(free_bytes=50_000_000_000, newest_backup_at=NOW - timedelta(days=1))
HTTPS = replace(CATALOG, firm=replace(CATALOG.firm, base_url="https://letters.quaytide.example"))


class Answering:
    """Names that answer from a dictionary, or not at all."""

    def __init__(self, answers: Mapping[str, Sequence[str]] | None) -> None:
        self._answers = answers

    def txt(self, name: str) -> Sequence[str]:
        if self._answers is None:
            raise Down("Nobody answers.", "Look at the network.")
        return self._answers.get(name, ())


class Refusing(FileTransport):
    name = "smtp"

    def probe(self) -> str:
        raise Down("The relay refuses the password.", "Mend ASTERISM_SMTP_PASSWORD.")


@pytest.fixture
def ports(store: SqlStore, tmp_path_factory: pytest.TempPathFactory) -> Ports:
    put_catalog(store)
    with store.write() as tables:
        run = JobRun("gather", NOW, NOW, NOW - timedelta(minutes=1), "done", "nothing new", "x")
        tables.jobs.record(run, NOW + timedelta(minutes=10))
    transport = FileTransport(tmp_path_factory.mktemp("mail"))
    return replace(ports_of(store), transport=transport, catalog=HTTPS)


def of(checks: Sequence[Check], area: str) -> list[tuple[str, str]]:
    return [(check.verdict, check.what) for check in checks if check.area == area]


def test_when_all_is_well_nothing_is_to_mend(ports: Ports) -> None:
    """A server's clock is its own: the next test looks at that."""
    checks = [check for check in examine(ports, WELL) if check.area != "clock"]
    assert worst(checks) == "good", checks
    assert not any(check.mend for check in checks)
    assert {check.area for check in checks} == {
        "settings", "files", "disk", "database", "transport", "DNS", "running",
    }  # fmt: skip


def test_a_server_with_another_clock_is_told(ports: Ports, store: SqlStore) -> None:
    """The tests' clock stands in spring 2027; a server's does not."""
    with raw(store) as connection:
        is_server = connection.dialect.name == "postgresql"
    ((verdict, what),) = of(examine(ports, WELL), "clock")
    assert verdict == ("bad" if is_server else "good")
    assert ("the database's are" in what) == is_server


def test_a_pretended_clock_is_held_against_no_other(ports: Ports) -> None:
    ((verdict, _),) = of(examine(ports, replace(WELL, pretends_time=True)), "clock")
    assert verdict == "unknown"


def test_a_clock_that_went_back_is_told(ports: Ports, store: SqlStore) -> None:
    with raw(store) as connection:
        put(
            connection, operations, actor="liv", verb="touch", subject="x", before={}, after={},
            at=NOW + timedelta(days=3),
        )  # fmt: skip
        if connection.dialect.name == "postgresql":
            now = connection.scalar(sa.select(sa.func.clock_timestamp()))
            connection.execute(sa.update(operations).values(at=now + timedelta(days=3)))
            ports = replace(ports, clock=_At(now))
    ((verdict, what),) = of(examine(ports, WELL), "clock")
    assert verdict == "bad"
    assert "The clock went back" in what


class _At:
    def __init__(self, at: object) -> None:
        self.at = at

    def now(self) -> object:
        return self.at


def test_a_relay_that_refuses_hides_nothing_else(
    ports: Ports, tmp_path_factory: pytest.TempPathFactory
) -> None:
    refused = replace(ports, transport=Refusing(tmp_path_factory.mktemp("x")))
    checks = examine(refused, replace(WELL, transport="smtp"), names=Answering({}))
    assert of(checks, "transport") == [("bad", "The relay refuses the password.")]
    assert len(of(checks, "running")) == 2
    assert worst(checks) == "bad"


def test_without_its_database_the_rest_is_as_ever(ports: Ports) -> None:
    machine = replace(WELL, transport="smtp", free_bytes=5_000_000)
    why = Down("The disk is full.", "Make room.")
    names = Answering({})
    found = examine_without_store(
        ports.catalog.firm, ports.transport, machine, why, NOW, names=names
    )
    whole = examine(ports, machine, names=names)
    assert of(found, "database") == [("bad", "The disk is full.")]
    for area in ("settings", "files", "disk", "transport", "DNS"):
        assert of(found, area) == of(whole, area)
    assert of(found, "running")[1:] == of(whole, "running")[1:]
    assert worst(found) == "bad"


def test_the_senders_records_are_looked_at_for_every_domain(ports: Ports) -> None:
    machine = replace(WELL, transport="sendgrid", webhook_key=True)
    checks = of(examine(ports, machine, names=Answering({})), "DNS")
    domains = {person.address.partition("@")[2] for person in HTTPS.firm.staff}
    domains |= {HTTPS.firm.contact.partition("@")[2]}
    assert len(checks) == len(domains) * (2 + len(SELECTORS["sendgrid"]))
    assert {verdict for verdict, what in checks if "SPF" not in what} == {"bad"}
    assert {verdict for verdict, what in checks if "SPF" in what} == {"doubtful"}


def test_with_sendgrid_set_up_nothing_is_asked_for(ports: Ports) -> None:
    """Its CNAMEs lead to the keys; there is no SPF record at our own name."""
    key = [f"k=rsa; p={b64encode(bytes(294)).decode()}"]
    domains = {person.address.partition("@")[2] for person in HTTPS.firm.staff}
    domains |= {HTTPS.firm.contact.partition("@")[2]}
    answers = {f"{s}._domainkey.{domain}": key for s in SELECTORS["sendgrid"] for domain in domains}
    answers |= {f"_dmarc.{domain}": ["v=DMARC1; p=reject"] for domain in domains}
    machine = replace(WELL, transport="sendgrid", webhook_key=True)
    checks = of(examine(ports, machine, names=Answering(answers)), "DNS")
    assert {verdict for verdict, _ in checks} == {"good"}
    assert len(checks) == len(domains) * (2 + len(SELECTORS["sendgrid"]))


def test_a_name_server_that_is_away_is_unknown_not_bad(ports: Ports) -> None:
    machine = replace(WELL, transport="smtp")
    assert of(examine(ports, machine, names=Answering(None)), "DNS")[0][0] == "unknown"
    assert of(examine(ports, machine), "DNS")[0][0] == "unknown"


@pytest.mark.parametrize(
    ("change", "area", "verdict", "words"),
    [
        ({"free_bytes": 50_000_000}, "disk", "bad", "0.1 GB are free"),
        ({"free_bytes": 500_000_000}, "disk", "doubtful", "0.5 GB are free"),
        ({"open_to_others": (".env",)}, "files", "bad", "may read .env"),
        ({"not_writable": "Permission denied"}, "files", "bad", "cannot be written"),
        ({"pretends_time": True}, "settings", "doubtful", "ASTERISM_NOW"),
        ({"transport": "sendgrid"}, "settings", "doubtful", "comes back from SendGrid"),
        ({"transport": "sendgrid", "sandbox": True}, "settings", "doubtful", "sandbox"),
        ({"newest_backup_at": None}, "running", "doubtful", "no backup"),
        ({"newest_backup_at": NOW - timedelta(days=30)}, "running", "doubtful", "30 days old"),
    ],
)
def test_what_the_machine_says(
    ports: Ports, change: dict[str, object], area: str, verdict: str, words: str
) -> None:
    checks = examine(ports, replace(WELL, **change))
    found = [check for check in checks if check.area == area and words in check.what]
    assert [check.verdict for check in found] == [verdict]
    assert found[0].mend


def test_a_base_address_without_https_only_serves_files(ports: Ports) -> None:
    firm = replace(CATALOG.firm, base_url="http://127.0.0.1:8000")
    local = replace(ports, catalog=replace(CATALOG, firm=firm))
    assert of(examine(local, WELL), "settings")[0][0] == "good"
    assert of(examine(local, replace(WELL, transport="smtp")), "settings")[0][0] == "bad"


def test_a_service_that_is_silent_or_fails_is_told(ports: Ports, store: SqlStore) -> None:
    later = NOW + timedelta(hours=5)
    silent = examine(replace(ports, clock=_At(later)), WELL)
    assert ("bad", "Nothing has run by itself for 5 hours.") in of(silent, "running")
    ahead = examine(replace(ports, clock=_At(NOW + timedelta(days=1_095))), WELL)
    words = "The clock stands 1095 days ahead of the last job here; no job is run."
    assert ("bad", words) in of(ahead, "running")
    with store.write() as tables:
        for _ in range(2):
            run = JobRun("deliver", NOW, NOW, NOW, "failed", "The relay is away.", "x")
            tables.jobs.record(run, NOW + timedelta(minutes=1))
    failing = examine(ports, WELL)
    words = "The job “deliver” failed, 2 times in a row: The relay is away."
    assert ("bad", words) in of(failing, "running")
