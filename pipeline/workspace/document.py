"""YAML text → plain values, with the place of each; nothing in it is ever executed."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from pipeline.errors import Mistake

MAX_BYTES = 2_000_000
MAX_VALUES = 200_000  #: after aliases are followed; a bomb of aliases grows past any number
MAX_DEPTH = 40

#: Keys and list positions from the top: ("sources", 2, "url")
Path = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_OURS = re.compile("[\ue000-\uf8ff]")  # stands for merge fields inside; nobody else may write it


@dataclass(frozen=True, slots=True)
class Mark:
    """Where something stands; lines and columns are 1-based."""

    line: int
    column: int


@dataclass(slots=True)
class Document:
    """One file, understood as far as it goes."""

    file: str  #: relative to the workspace, with slashes
    data: Any = None  #: dict, list, str, int, float, bool, None
    keys: dict[Path, Mark] = field(default_factory=dict)
    values: dict[Path, Mark] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    wrong: set[Path] = field(default_factory=set)  #: paths whose value cannot be used
    broken: bool = False  #: nothing of it could be read

    def mark(self, path: Path, *, at_key: bool = False) -> Mark:
        """Where a path stands, or else the nearest place above it that does."""
        first, second = (self.keys, self.values) if at_key else (self.values, self.keys)
        for length in range(len(path), -1, -1):
            found = first.get(path[:length]) or second.get(path[:length])
            if found is not None:
                return found
        return Mark(1, 1)

    def show(self, path: Path) -> str:
        """A path as people read it."""
        return ".".join(map(str, path))

    def complain(
        self, path: Path, what: str, mark: Mark | None = None, *, spoils: bool = True
    ) -> None:
        """Note a mistake; one that spoils leaves no value at its path."""
        mark = mark or self.mark(path)
        if spoils:
            self.wrong.add(path)
        self.mistakes.append(Mistake(self.file, mark.line, mark.column, self.show(path), what))


def clean(text: str) -> str:
    """Without the private-use characters that mark merge fields inside letters."""
    return _OURS.sub("", text)


def parse_yaml(file: str, raw: bytes) -> Document:
    """Read YAML 1.2, plain types only; every mistake in it is a value."""
    document = Document(file)
    if len(raw) > MAX_BYTES:
        _break(document, Mark(1, 1), f"the file is larger than {MAX_BYTES // 1_000_000} MB")
        return document
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _break(
            document, _mark_of(raw, error.start), "this is not UTF-8 text; save the file as UTF-8"
        )
        return document
    _compose(document, text)
    return document


def _mark_of(raw: bytes, position: int) -> Mark:
    before = raw[:position]
    start = before.rfind(b"\n") + 1
    return Mark(before.count(b"\n") + 1, len(before[start:].decode("utf-8", "replace")) + 1)


def _break(document: Document, mark: Mark, what: str) -> None:
    document.broken = True
    document.complain((), what, mark)


def _compose(document: Document, text: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)
            root = YAML(typ="safe", pure=True).compose(text)
        if root is None:
            document.data = {}
        else:
            document.data = _Reader(document).read(root, ())
    except (RecursionError, _TooMuchError):
        _break(document, Mark(1, 1), "values are nested too deeply, or aliases (*name) multiply")
    except MarkedYAMLError as error:
        _break(document, *_in_plain_words(error))
    except ReaderError as error:
        mark = _mark_of(text[: error.position].encode(), len(text[: error.position].encode()))
        _break(document, mark, "a character stands here that YAML does not allow "
                               f"(U+{_code(error.character):04X}); delete it")  # fmt: skip
    except (YAMLError, ValueError) as error:
        _break(document, Mark(1, 1), f"this is not valid YAML: {str(error).splitlines()[0]}")


def _code(character: Any) -> int:
    return ord(character) if isinstance(character, str) else int(character)


#: (what the library says, what a person can use); the first that is found in it counts
_PLAIN: tuple[tuple[str, str], ...] = (
    ("mapping values are not allowed", "a colon too many here, none in the line before, or this "
     'line is indented too far; text that holds ": " wants quotes'),
    ("found character '\\t'", "a tab stands here; indent with spaces"),
    ("that cannot start any token", "no value can begin with this character; put quotes round it"),
    ("found unexpected end of stream", "this quotation mark is never closed"),
    ("while scanning a simple key", "this line has no colon after its key, or is indented wrongly"),
    ("could not find expected ':'", "this line has no colon after its key, or is indented wrongly"),
    ("expected ',' or ']'", "this bracket [ is never closed, or a comma is missing"),
    ("expected ',' or '}'", "this brace { is never closed, or a comma is missing"),
    ("expected <block end>", "this line is indented differently from those it belongs to"),
    ("found undefined alias", "this *name refers to nothing; put quotes round text that begins "
     "with *"),
    ("expected the node content", "a value is missing here, or a bracket before it is never "
     "closed"),
    ("expected a single document", "a second document begins here (---); one file holds one"),
    ("unknown escape character", 'in "double quotes" a backslash must be doubled; or use '
     "'single quotes'"),
)  # fmt: skip
#: With these the place where it began says more than the place where the reader gave up.
_AT_START = ("end of stream", "expected ',' or", "could not find expected ':'")


def _in_plain_words(error: MarkedYAMLError) -> tuple[Mark, str]:
    problem = f"{error.problem or ''} {error.context or ''}"
    mark = error.problem_mark or error.context_mark
    if error.context_mark is not None and any(start in problem for start in _AT_START):
        mark = error.context_mark
    what = next((plain for sign, plain in _PLAIN if sign in problem), None)
    if what is None:
        what = f"this is not valid YAML: {problem.strip()}"
    return Mark(mark.line + 1, mark.column + 1) if mark else Mark(1, 1), what


class _TooMuchError(Exception):
    """More values than any honest file holds."""


class _Reader:
    """Walks the nodes of one document; aliases are followed within bounds."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._left = MAX_VALUES

    def read(self, node: Node, path: Path) -> Any:
        self._left -= 1
        if self._left < 0 or len(path) > MAX_DEPTH:
            raise _TooMuchError
        self._document.values.setdefault(path, self._beginning(node, path))
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.read(child, (*path, n)) for n, child in enumerate(node.value)]
        return self._scalar(node, path)

    def _beginning(self, node: Node, path: Path) -> Mark:
        """Of a group that begins in the line below its key: the key."""
        mark, key = _mark(node), self._document.keys.get(path)
        return key if key is not None and key.line < mark.line else mark

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            mark = _mark(key_node)
            if not isinstance(key_node, ScalarNode):
                self._document.complain(path, "a key must be plain text", mark, spoils=False)
                continue
            key = clean(key_node.value)
            if key in result:
                first = self._document.keys[(*path, key)]
                what = f'"{key}" stands twice (the first in line {first.line})'
                self._document.complain((*path, key), what, mark, spoils=False)
                continue
            self._document.keys.setdefault((*path, key), mark)
            result[key] = self.read(value_node, (*path, key))
        return result

    def _scalar(self, node: Node, path: Path) -> Any:
        tag = str(node.tag or "").removeprefix(_TAG)
        if tag in ("str", "timestamp", "merge", "value"):
            return clean(node.value)
        if tag == "null":
            return None
        try:
            return _CONSTRUCT[tag](node.value)
        except KeyError:
            what = f"the tag !{tag} is not allowed here; write plain values"
        except ValueError:
            what = f'"{node.value}" is not of the type !!{tag}'
        self._document.complain(path, what, _mark(node))
        return None


def _mark(node: Node) -> Mark:
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)


def _bool(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def _int(text: str) -> int:
    digits = text.replace("_", "")
    return int(digits, 0 if digits.lstrip("+-")[:2].lower() in ("0x", "0o", "0b") else 10)


def _float(text: str) -> float:
    value = float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))
    if value - value != 0:
        raise ValueError(text)
    return value


_CONSTRUCT: Mapping[str, Any] = {"bool": _bool, "int": _int, "float": _float}
