"""Who holds a lease: this process by name, and whether another one on this machine still lives."""

from __future__ import annotations

import os
import platform
import secrets
from functools import cache
from pathlib import Path

#: Another one each time that the machine starts, and on no two machines the same.
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def this_process() -> str:
    """A new name for this process, so that another one on this machine can see whether it lives.

    Two holders in one process get two names.
    """
    return f"{_machine()}|{os.getpid()}|{secrets.token_hex(4)}"


def is_dead(owner: str) -> bool:
    """Whether this owner surely is no more; elsewhere, or before the machine was started anew,
    only its lease can tell.
    """
    machine, _, rest = owner.partition("|")
    number = rest.partition("|")[0]
    if os.name != "posix" or machine != _machine() or not number.isdigit():
        return False
    try:
        os.kill(int(number), 0)  # asks, and sends nothing
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _machine() -> str:
    """This machine, and on Linux this start of it and this view of its processes.

    A container has a view of its own. A name alone may be that of two machines that were made
    from one image, and so may the view: every machine's first one has the same number.
    """
    try:
        view = os.readlink("/proc/self/ns/pid")  # noqa: PTH115  no file, a name of the kernel's
    except OSError:
        view = ""
    return f"{platform.node()[:40]} {_boot()} {view}".strip()


@cache
def _boot() -> str:
    try:
        return _BOOT_ID.read_text("ascii").strip()[:13]
    except (OSError, ValueError):
        return ""
