"""FileWorkspace: the folder of files that people write, read together or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import BadInput, Mistake, NotFound
from pipeline.model.catalog import Account, Catalog, Firm
from pipeline.rules.catalog import Complaint, Place, Unread, check, suggestion
from pipeline.rules.example import out_of_reach, still_example
from pipeline.workspace.document import Document, parse_yaml
from pipeline.workspace.document import Path as Keys
from pipeline.workspace.fields import is_key
from pipeline.workspace.output import sweep
from pipeline.workspace.reading import Reading, read
from pipeline.workspace.shapes import AccountsShape, ConstellationShape, FeedsShape, FirmShape
from pipeline.workspace.shipped import starter
from pipeline.workspace.table import parse_table

#: A temporary file that is older was left by a writer that died.
ABANDONED_S = 24 * 3600

#: Raised when the same files come to mean other rows, so that they are adopted again.
READING = b"1"

#: Templates that came after the first workspaces were made.
LATER = ("notice.html.j2", "notice.txt.j2")


#: Stands in for a firm.yaml that could not be read at all.
_NOBODY = Firm("", "", "", "", "", ())


@dataclass(frozen=True, slots=True)
class _Part:
    """One constellation's file, with its table if it has one."""

    key: str
    reading: Reading[ConstellationShape]
    table: Reading[AccountsShape] | None = None


class FileWorkspace:
    """A folder with firm.yaml, feeds.yaml, constellations/ and templates/."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def catalog(self) -> Catalog:
        """All files, checked together.

        Raises: BadInput with every mistake as file:line:col
        """
        require_workspace(self.root)
        return _Gathering(self.root).catalog()

    def catalog_despite_mistakes(self) -> tuple[Catalog, tuple[Mistake, ...]]:
        """What is right in the files, and every mistake in them; for what sends nothing.

        A file with a mistake gives nothing, but firm.yaml who we are, as it stands there. What
        the rows know is not to be brought in line with it.

        Raises: BadInput when this is no workspace at all
        """
        require_workspace(self.root)
        gathering = _Gathering(self.root)
        catalog, mistakes = gathering.looked_through()
        return (gathering.right_part() if mistakes else catalog), mistakes

    def template(self, name: str) -> str:
        """Source of templates/NAME.

        Of mail among ourselves the program's own where the workspace has none: workspaces that
        were made before there was such mail go on.

        Raises: NotFound; BadInput when it is no UTF-8 text
        """
        folder = (self.root / "templates").resolve()
        path = (folder / name).resolve()
        if name in LATER and not path.is_file():
            folder = starter().resolve() / "templates"
            path = folder / name
        if not path.is_relative_to(folder) or not path.is_file():
            raise NotFound(
                f"There is no template templates/{name}.",
                "`asterism init DIR` writes a fresh set; copy the missing one from there.",
            )
        try:
            return path.read_text("utf-8")
        except UnicodeDecodeError as error:
            raise BadInput(f"templates/{name} is not UTF-8 text.", "Save it as UTF-8.") from error

    def stamp(self) -> str:
        """Another one whenever a file that the catalog is read from may have changed.

        Far cheaper than reading them: names, sizes and times.
        """
        files = [self.root / "firm.yaml", self.root / "feeds.yaml"]
        files += sorted((self.root / "constellations").glob("*"))
        return "\n".join(map(_seen, files))

    def sweep(self) -> int:
        """Take away what killed writers left in output/; how many files."""
        return sweep(self.root / "output", ABANDONED_S)


def _seen(path: Path) -> str:
    try:
        stat = path.stat()
    except OSError:
        return f"{path.name} is not there"
    return f"{path.name} {stat.st_ino} {stat.st_size} {stat.st_mtime_ns}"


def require_workspace(root: Path) -> None:
    """Raises: BadInput that names what a folder lacks to be a workspace."""
    missing = [name for name in ("firm.yaml", "feeds.yaml") if not (root / name).is_file()]
    if not (root / "constellations").is_dir():
        missing.append("constellations/")
    if not missing:
        return
    if not root.is_dir():
        what = f"There is no folder {root}."
    else:
        names = " and ".join(filter(None, (", ".join(missing[:-1]), missing[-1])))
        verb = "is" if len(missing) == 1 else "are"
        what = f"{root.resolve()} is no workspace: {names} {verb} missing."
    raise BadInput(what, _where_then(root.resolve()))


def _where_then(folder: Path) -> str:
    """Who stands in constellations/ or output/ stands just below one."""
    for above in folder.parents:
        if (above / "firm.yaml").is_file() and (above / "constellations").is_dir():
            return f"{above} is one: go there, or name it with `asterism -C {above} …`."
    return "`asterism init DIR` makes one; `asterism -C DIR …` names one that you have."


class _Gathering:
    """One reading of all files: documents, what they say, and where each thing stands."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._digest = hashlib.sha256(READING)
        self._documents: list[Document] = []
        self._firm = read(self._yaml("firm.yaml"), FirmShape)
        self._feeds = read(self._yaml("feeds.yaml"), FeedsShape)
        self._parts = [self._part(name) for name in self._names()]
        self._legible = [part for part in self._parts if part.reading.value]

    def catalog(self) -> Catalog:
        catalog, mistakes = self.looked_through()
        if mistakes:
            number = len(mistakes)
            raise BadInput(
                f"{number} mistake{'s' if number > 1 else ''} in the workspace's files.",
                "Nothing was applied. Correct them and run `asterism check`.",
                mistakes,
            )
        doubts = (*still_example(catalog.firm), *out_of_reach(catalog.firm))
        return replace(catalog, doubts=tuple(map(self._mistake, doubts)))

    def looked_through(self) -> tuple[Catalog, tuple[Mistake, ...]]:
        """What could be read, and every mistake, in the order of files and lines."""
        catalog = self._assemble()
        mistakes = {mistake for document in self._documents for mistake in document.mistakes}
        mistakes |= {
            self._mistake(complaint)
            for complaint in check(catalog, self._unread())
            if not self._follows_from_a_mistake(complaint)
        }
        return catalog, tuple(sorted(mistakes))

    def right_part(self) -> Catalog:
        """Of files that hold no stand-in; digested as none that were taken over."""
        firm = self._firm.value if not self._firm.document.mistakes else None
        feeds = self._feeds.value if not self._feeds.document.mistakes else None
        return Catalog(
            firm=firm.noun() if firm else _as_written(self._firm.document),
            sources=tuple(s.noun() for s in feeds.sources) if feeds else (),
            constellations=tuple(
                part.reading.value.noun(part.key, _accounts(part))
                for part in self._legible
                if part.reading.value and not _has_mistakes(part)
            ),
            digest="",
        )

    # ── reading ──────────────────────────────────────────────────────────────────────────

    def _raw(self, name: str) -> bytes:
        raw = (self._root / name).read_bytes()
        self._digest.update(f"\0{name}\0{len(raw)}\0".encode() + raw)
        return raw

    def _yaml(self, name: str) -> Document:
        try:
            document = parse_yaml(name, self._raw(name))
        except OSError as error:
            document = Document(name, broken=True)
            document.complain((), f"the file cannot be read: {error.strerror}")
        self._documents.append(document)
        return document

    def _names(self) -> Iterator[str]:
        for path in sorted((self._root / "constellations").iterdir()):
            if path.name.startswith("."):
                continue
            if path.suffix == ".yaml":
                yield path.stem
            elif path.suffix in (".yml", ".YAML", ".YML"):
                document = Document(f"constellations/{path.name}")
                document.complain((), f"is not read: rename it to {path.stem}.yaml")
                self._documents.append(document)

    def _part(self, key: str) -> _Part:
        document = self._yaml(f"constellations/{key}.yaml")
        if not is_key(key):
            document.complain(
                (), "the file's name is the constellation's key: small letters a to z, digits and "
                "hyphens, such as power-tools.yaml", spoils=False,
            )  # fmt: skip
        reading = read(document, ConstellationShape)
        name = reading.value.accounts_from if reading.value else ""
        return _Part(key, reading, self._table(document, name) if name else None)

    def _table(self, document: Document, name: str) -> Reading[AccountsShape] | None:
        try:
            table = parse_table(f"constellations/{name}", self._raw(f"constellations/{name}"))
        except OSError:
            beside = [path.name for path in (self._root / "constellations").glob("*.csv")]
            near = suggestion(name, beside)
            document.complain(("accounts_from",), f"there is no constellations/{name}{near}")
            return None
        self._documents.append(table)
        return read(table, AccountsShape)

    # ── putting together ─────────────────────────────────────────────────────────────────

    def _assemble(self) -> Catalog:
        """What could be read."""
        return Catalog(
            firm=self._firm.value.noun() if self._firm.value else _NOBODY,
            sources=tuple(s.noun() for s in self._feeds.value.sources) if self._feeds.value else (),
            constellations=tuple(
                part.reading.value.noun(part.key, _accounts(part))
                for part in self._legible
                if part.reading.value
            ),
            digest=self._digest.hexdigest(),
        )

    def _unread(self) -> Unread:
        """The keys of what could not."""
        staff = _raw_keys(self._firm.document, "staff")
        newsletters: set[str] = set()
        for part in self._parts:
            newsletters |= _raw_keys(part.reading.document, "newsletters") or set()
        return Unread(
            staff=None if staff is None else frozenset(staff),
            constellations=frozenset(part.key for part in self._parts),
            newsletters=frozenset(newsletters),
        )

    # ── places ───────────────────────────────────────────────────────────────────────────

    def _locate(self, place: Place) -> tuple[Document, Keys]:
        """The document and the path in it of a place in the catalog."""
        match place:
            case ("firm", *rest):
                return self._firm.document, self._firm.path(tuple(rest))
            case ("constellations", int(number), *rest):
                return self._locate_in(self._legible[number], tuple(rest))
        return self._feeds.document, self._feeds.path(place)

    def _locate_in(self, part: _Part, place: Place) -> tuple[Document, Keys]:
        own = len(part.reading.value.accounts) if part.reading.value else 0
        match place:
            case ("accounts", int(number), *rest) if number >= own and part.table:
                in_table: Keys = ("accounts", number - own, *rest)
                return part.table.document, part.table.path(in_table)
        return part.reading.document, part.reading.path(place)

    def _mistake(self, complaint: Complaint) -> Mistake:
        document, path = self._locate(complaint.place)
        mark, what = document.mark(path), complaint.what
        if complaint.first is not None:
            other, first = self._locate(complaint.first)
            what += f" (the first is {other.file}:{other.mark(first).line})"
        return Mistake(document.file, mark.line, mark.column, document.show(path), what)

    def _follows_from_a_mistake(self, complaint: Complaint) -> bool:
        """Whether it only says so because of a value that could not be read."""
        for place in (complaint.place, *complaint.because):
            document, path = self._locate(place)
            for wrong in document.wrong:
                shared = min(len(wrong), len(path))
                if shared and wrong[:shared] == path[:shared]:
                    return True
        return False


def _accounts(part: _Part) -> tuple[Account, ...]:
    if part.table is None or part.table.value is None:
        return ()
    return tuple(account.noun() for account in part.table.value.accounts)


def _has_mistakes(part: _Part) -> bool:
    return bool(part.reading.document.mistakes or (part.table and part.table.document.mistakes))


def _as_written(document: Document) -> Firm:
    """Who we are by a firm.yaml with a mistake; empty where it does not say."""
    data = document.data if isinstance(document.data, dict) else {}
    name, postal, contact = (
        str(data.get(key) or "") for key in ("name", "postal_address", "contact")
    )
    return replace(_NOBODY, name=name, postal_address=postal, contact=contact)


def _raw_keys(document: Document, name: str) -> set[str] | None:
    """Keys that stand in a list, right or wrong; None when there is no such list."""
    entries = document.data.get(name) if isinstance(document.data, dict) else None
    if not isinstance(entries, list):
        return None
    return {str(entry["key"]) for entry in entries if isinstance(entry, dict) and "key" in entry}
