"""What the verbs about people share: the log, and a standing as the log keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.model.log import Operation
from pipeline.model.people import Contact
from pipeline.ports import Ports, Tables
from pipeline.rules.people.standing import as_logged, current


def standing_as_logged(ports: Ports, tables: Tables, contact: Contact) -> dict[str, Any]:
    standing = current(tables.people.standing(contact.id), ports.clock.now().date())
    return as_logged(standing, tables.people.suppressions(contact.id))


def log(
    ports: Ports,
    tables: Tables,
    verb: str,
    subject: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> int:
    return tables.log.add(
        Operation(ports.actor, verb, subject, ports.clock.now(), before or {}, after or {})
    )
