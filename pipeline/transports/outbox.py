"""The outbox in a browser: an index of each issue's copies, and each copy's parts to read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2

#: An index lists so many copies; more than that nobody reads. The files are all there.
SHOWN = 300

_LEAVE = re.compile(r"<(https?://[^<>\"'\s]+)>")


@dataclass(frozen=True, slots=True)
class Copy:
    """One .eml as its index and its page show it; all of it strangers' text until escaped."""

    id: str
    subject: str
    sender: str
    recipient: str
    reply_to: str
    date: str
    message_id: str
    leave_url: str
    size_kb: int
    html: str
    text: str


@dataclass(frozen=True, slots=True)
class Shelf:
    """One issue's folder."""

    ref: str
    copies: int


def pages_of(folder: Path, root: Path) -> Iterator[tuple[str, bytes]]:
    """(file name, page) for one issue's folder: its index, and a page for each copy shown."""
    names = sorted(path.name for path in folder.glob("*.eml"))
    copies = [_copy(folder / name) for name in names[:SHOWN]]
    ref = folder.relative_to(root).as_posix()
    up = "../" * (len(folder.relative_to(root).parts)) + "index.html"
    for copy in copies:
        yield f"{copy.id}.html", _page("copy.html.j2", {"copy": copy, "ref": ref})
    shown = sorted(copies, key=lambda copy: (copy.recipient, copy.id))
    about = {"ref": ref, "copies": shown, "total": len(names), "up": up}
    # without an issue above it the folder is the front page itself
    yield ("index.html" if ref != "." else "loose.html"), _page("issue.html.j2", about)


def front_page(root: Path) -> bytes:
    """The index of all issues that have mail here."""
    indexes = [*root.glob("*/index.html"), *root.glob("*/*/index.html")]
    folders = sorted(  # the latest number first, 10 before 9
        (index.parent for index in indexes),
        key=lambda folder: (folder.parent, len(folder.name), folder.name),
        reverse=True,
    )
    shelves = [
        Shelf(
            folder.relative_to(root).as_posix(),
            sum(path.suffix == ".eml" for path in folder.iterdir()),
        )
        for folder in folders
    ]
    return _page("front.html.j2", {"shelves": shelves})


def _copy(path: Path) -> Copy:
    raw = path.read_bytes()
    message = BytesParser(policy=policy.default).parsebytes(raw)

    def header(name: str) -> str:
        return str(message.get(name, ""))

    leave = _LEAVE.search(header("List-Unsubscribe"))
    return Copy(
        id=path.stem,
        subject=header("Subject"),
        sender=header("From"),
        recipient=header("To"),
        reply_to=header("Reply-To"),
        date=header("Date"),
        message_id=header("Message-ID"),
        leave_url=leave.group(1) if leave else "",
        size_kb=max(1, round(len(raw) / 1024)),
        html=_part(message, "html"),
        text=_part(message, "plain"),
    )


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body(preferencelist=(kind,))
    return str(part.get_content()) if part is not None else ""


def _page(template: str, values: Mapping[str, object]) -> bytes:
    return _templates().get_template(template).render(values).encode()


@cache
def _templates() -> jinja2.Environment:
    import jinja2  # heavy, and most commands write no mail

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
