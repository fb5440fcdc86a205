"""What may not be left running: settings under which letters would go out maimed."""

from __future__ import annotations

from pipeline.errors import BadInput
from pipeline.ports import Ports


def refuse_unsafe(ports: Ports) -> None:
    """Letters that really leave need an address that is sealed: it holds every leave link.

    Raises: BadInput, with how to mend it
    """
    base_url, transport = ports.catalog.firm.base_url, ports.transport.name
    if transport != "file" and not base_url.startswith("https://"):
        raise BadInput(
            f"Mail leaves by {transport}, and base_url in firm.yaml has no https: {base_url}",
            "Leave links would cross the net unsealed, and mail programs offer no one-click. "
            "Put the https address of the public pages into firm.yaml, or set "
            "ASTERISM_TRANSPORT=file to rehearse.",
        )
