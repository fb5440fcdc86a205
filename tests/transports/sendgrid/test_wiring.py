"""Who is chosen by the settings, and what that costs those who did not choose it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import BadInput
from pipeline.settings import SendGridSettings, Settings
from pipeline.wiring import RehearsalClock, SystemClock, _events, _transport
from tests.builders import NOW
from tests.transports.sendgrid.scripted import KEY


def chosen(**changes: object) -> Settings:
    settings = Settings(Path("/nowhere"), "sqlite://", b"", transport="sendgrid")
    return replace(settings, sendgrid=SendGridSettings(key=KEY), **changes)


@pytest.mark.parametrize("clock", [SystemClock(), RehearsalClock(NOW)])
def test_wiring_picks_it(clock: SystemClock | RehearsalClock) -> None:
    transport, events = _transport(chosen(), clock), _events(chosen())
    assert (transport.name, transport.batch_size) == ("sendgrid", 1000)
    assert events is not None
    assert events.provider == "sendgrid"
    assert KEY not in repr(transport) + repr(chosen())


def test_who_sends_otherwise_hears_no_events() -> None:
    assert _events(chosen(transport="smtp")) is None


def test_a_key_with_a_line_break_is_told_before_anything_is_sent() -> None:
    broken = replace(chosen(), sendgrid=SendGridSettings(key="SG.a\nX: y"))
    with pytest.raises(BadInput, match="ASTERISM_SENDGRID_KEY"):
        _transport(broken, SystemClock())


def test_their_package_is_imported_only_for_a_signature() -> None:
    code = (
        "import sys\n"
        "from tests.transports.sendgrid.test_wiring import chosen\n"
        "from pipeline.wiring import SystemClock, _events, _transport\n"
        "_transport(chosen(), SystemClock()), _events(chosen())\n"
        "assert not {'sendgrid', 'cryptography', 'urllib3'} & set(sys.modules)\n"
    )
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=root)
