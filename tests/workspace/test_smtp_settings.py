"""Settings of the mail relay: what they come to, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import BadInput
from pipeline.settings import SmtpSettings
from pipeline.workspace.environment import load_settings
from tests.workspace.conftest import Folder

RELAY = {"ASTERISM_TRANSPORT": "smtp", "ASTERISM_SMTP_HOST": "relay.quaytide.example"}


def smtp(folder: Folder, **environ: str) -> SmtpSettings:
    return load_settings(folder.root, RELAY | environ).smtp


def test_a_host_is_enough(folder: Folder) -> None:
    assert smtp(folder) == SmtpSettings("relay.quaytide.example", 587, "starttls", timeout_s=30)


def test_each_setting_is_read(folder: Folder) -> None:
    found = smtp(
        folder,
        ASTERISM_SMTP_TLS="TLS",
        ASTERISM_SMTP_USER="letters@quaytide.example",
        ASTERISM_SMTP_PASSWORD="correct horse",
        ASTERISM_SMTP_TOKEN_FILE="keys/token",
        ASTERISM_SMTP_CA_FILE="/etc/ca.pem",
        ASTERISM_SMTP_TIMEOUT="12.5",
    )
    assert found == SmtpSettings(
        "relay.quaytide.example",
        465,
        "tls",
        "letters@quaytide.example",
        "correct horse",
        folder.root.resolve() / "keys" / "token",
        Path("/etc/ca.pem"),
        12.5,
    )


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1", "[::1]"])
def test_a_relay_on_this_machine_needs_no_encryption(folder: Folder, host: str) -> None:
    assert smtp(folder, ASTERISM_SMTP_HOST=host, ASTERISM_SMTP_TLS="none").tls == "none"


@pytest.mark.parametrize(
    ("environ", "what"),
    [
        ({"HOST": ""}, "SMTP_HOST: is missing"),
        ({"TLS": "none"}, "SMTP_TLS: none is only for a relay on this machine"),
        ({"TLS": "ssl"}, 'SMTP_TLS: "ssl" is none of: starttls, tls, none'),
        ({"PORT": "0"}, 'SMTP_PORT: "0" is no port'),
        ({"PORT": "65536"}, 'SMTP_PORT: "65536" is no port'),
        ({"PORT": "smtp"}, 'SMTP_PORT: "smtp" is no whole number'),
        ({"TIMEOUT": "600"}, 'SMTP_TIMEOUT: "600" is no number of seconds from 0 to 120'),
        ({"TIMEOUT": "soon"}, 'SMTP_TIMEOUT: "soon" is no number'),
        ({"USER": "letters@quaytide.example"}, "SMTP_USER: needs ASTERISM_SMTP_PASSWORD or"),
        ({"PASSWORD": "correct horse"}, "SMTP_USER: is missing"),
        ({"TOKEN_FILE": "token"}, "SMTP_USER: is missing"),
    ],
)
def test_a_mistake_is_told_without_what_is_secret(
    folder: Folder, environ: dict[str, str], what: str
) -> None:
    with pytest.raises(BadInput) as caught:
        smtp(folder, **{f"ASTERISM_SMTP_{name}": value for name, value in environ.items()})
    (mistake,) = caught.value.mistakes
    assert f"environment: ASTERISM_{what}" in str(mistake)
    assert "correct horse" not in str(caught.value)


def test_another_transport_asks_for_no_relay(folder: Folder) -> None:
    assert load_settings(folder.root, {"ASTERISM_SMTP_PORT": "x"}).smtp == SmtpSettings()
