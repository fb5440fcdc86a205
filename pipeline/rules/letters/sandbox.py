"""Jinja over a mapping, kept small: strict, autoescaped, and bounded in what it may cost.

The sandbox of Jinja keeps secrets but not the processor: `'x'.ljust(10**9)` makes a gigabyte,
and macros that call each other twice never end. So the language is cut down to what a letter
needs, and every loop and call is counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import Any

import jinja2
from jinja2 import BaseLoader, StrictUndefined, TemplateError, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pipeline.errors import BadInput, Mistake

MAX_STEPS = 50_000  #: loop rounds and calls in one rendering
MAX_CHARS = 2_000_000  #: in any piece that a template builds
MAX_PART = 1_000  #: in what a filter of ours is given besides its text
MAX_LOOPS = 5  #: one inside the other
MAX_SOURCE = 200_000  #: characters of one template

# join and replace are missing on purpose: each can square the length of a text; so is map,
# which can nest one list in another until it has no end
_TEXT_FILTERS = frozenset({
    "capitalize", "e", "escape", "lower", "title", "trim", "upper", "urlencode",
})  # fmt: skip
_FILTERS = frozenset({
    "abs", "count", "d", "default", "first", "float", "int", "last", "length", "list", "max", "min",
    "reject", "rejectattr", "reverse", "round", "select", "selectattr", "sum", "unique",
})  # fmt: skip
_STRING_METHODS = frozenset({
    "capitalize", "casefold", "count", "endswith", "find", "isalpha", "isdigit", "lower",
    "lstrip", "partition", "removeprefix", "removesuffix", "rpartition", "rstrip", "split",
    "splitlines", "startswith", "strip", "title", "upper",
})  # fmt: skip
#: Their methods can make a gigabyte of nothing: `(5).to_bytes(10**9)`.
_PLAIN = (str, bytes, int, float, list, tuple, dict)
_PATIENCE = "A letter is simpler than that: take loops and calls out of the template."


Filters = Mapping[str, Callable[..., Any]]


@dataclass(slots=True)
class _Run:
    """One rendering: what it may still cost, and its filters."""

    filters: Filters
    steps: int = MAX_STEPS

    def spend(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise SecurityError(f"the template takes more than {MAX_STEPS} steps")


# environments are shared between renderings and threads; what belongs to one stands here
_RUN: ContextVar[_Run] = ContextVar("_RUN")


def render(
    name: str, templates: Mapping[str, str], values: Mapping[str, Any], filters: Filters
) -> str:
    """Render one template of a mapping; names that end with .html.j2 are autoescaped.

    Raises: BadInput with the template's name and line
    """
    environment = _environment(tuple(sorted(templates.items())), tuple(sorted(filters)))
    run = _RUN.set(_Run(filters))
    try:
        return environment.get_template(name).render(values)
    except jinja2.TemplateNotFound as error:
        raise BadInput(
            f"there is no template {error.name}", f"It belongs into templates/{error.name}."
        ) from error
    except TemplateSyntaxError as error:
        raise _bad(error.name or name, error.lineno, str(error.message)) from error
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError,
            RecursionError) as error:  # fmt: skip
        where, line = _place(error, templates) or (name, 1)
        raise _bad(where, line, _said(error)) from error
    finally:
        _RUN.reset(run)


def _bad(name: str, line: int, what: str) -> BadInput:
    file = f"templates/{name}"
    return BadInput(
        f"the template {name} cannot be rendered",
        "Mend the line, or take the shipped template again.",
        (Mistake(file, line, 1, "", what),),
    )


def _said(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return f"macros call each other without end. {_PATIENCE}"
    if isinstance(error, SecurityError):
        return f"{error.message}. {_PATIENCE}"
    return str(error) or type(error).__name__


def _place(error: BaseException, templates: Mapping[str, str]) -> tuple[str, int] | None:
    """The innermost line of a template on the error's way up."""
    place = None
    trace = error.__traceback__
    while trace:
        name = trace.tb_frame.f_code.co_filename
        if name in templates:
            place = (name, trace.tb_lineno)
        trace = trace.tb_next
    return place


class _Mapping(BaseLoader):
    """Templates from a mapping; their name is their file name, for the error's place."""

    def __init__(self, templates: Mapping[str, str]) -> None:
        self._templates = templates

    def get_source(
        self, environment: jinja2.Environment, template: str
    ) -> tuple[str, str, Callable[[], bool]]:
        if template not in self._templates:
            raise jinja2.TemplateNotFound(template)
        source = self._templates[template]
        if len(source) > MAX_SOURCE:
            raise TemplateSyntaxError(f"longer than {MAX_SOURCE} characters", 1, template)
        return source, template, lambda: True


class _Letters(ImmutableSandboxedEnvironment):
    """Jinja without what a letter does not need."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.globals.clear()

    @staticmethod
    def concat(parts: Iterable[str]) -> str:
        out = []
        size = 0
        for part in parts:
            size += len(part)
            if size > MAX_CHARS:
                raise SecurityError(f"the template makes more than {MAX_CHARS} characters")
            out.append(part)
        return "".join(out)

    def get_template(self, *names: Any, **options: Any) -> jinja2.Template:
        """Including counts, too: parts that include parts twice never end."""
        _RUN.get().spend()
        return super().get_template(*names, **options)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        _check(tree, name, 0)
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, "_counted", [], [], None, None, lineno=loop.lineno)
        tree.set_environment(self)
        return tree

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Sums and products of numbers; pieces of text may only be put together, shortly."""
        if all(isinstance(side, (int, float)) for side in (left, right)):
            if operator == "**" or max(abs(left), abs(right)) > 10**12:
                raise SecurityError("a number grows too large")
            return super().call_binop(context, operator, left, right)
        if operator != "+":
            raise SecurityError(f"{operator} is for numbers")
        if len(left) + len(right) > 10_000:
            raise SecurityError("a text grows too large")
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        _RUN.get().spend()
        owner, name = getattr(__obj, "__self__", None), getattr(__obj, "__name__", "")
        of_text = isinstance(owner, str) and name in _STRING_METHODS
        # `.format` comes in a wrapper of Jinja's that knows no owner and no width too great
        if name in ("format", "format_map") or (isinstance(owner, _PLAIN) and not of_text):
            raise SecurityError(f"“.{name}()” is not for templates")
        return super().call(__context, __obj, *args, **kwargs)


def _check(node: nodes.Node, name: str | None, loops: int) -> None:
    """Refuse at once what could cost without end."""
    if isinstance(node, nodes.For):
        loops += 1
    what = _refusal(node, loops)
    if what:
        raise TemplateSyntaxError(what, node.lineno, name)
    for child in node.iter_child_nodes():
        _check(child, name, loops)


def _refusal(node: nodes.Node, loops: int) -> str:
    if isinstance(node, nodes.Concat):
        return "write the pieces one after another instead of ~"
    if isinstance(node, nodes.For) and (node.recursive or loops > MAX_LOOPS):
        return "loops are nested too deep"
    if isinstance(node, nodes.Name) and node.name in ("varargs", "kwargs"):
        return "a macro names its arguments"
    if isinstance(node, (nodes.List, nodes.Tuple)) and getattr(node, "ctx", "load") == "load":
        return "" if all(map(_constant, node.items)) else "a list in a template holds plain values"
    if isinstance(node, nodes.Dict):
        return "a template makes no dictionaries"
    return ""


def _constant(node: nodes.Node) -> bool:
    if isinstance(node, (nodes.List, nodes.Tuple)):
        return all(map(_constant, node.items))
    return isinstance(node, nodes.Const)


def _printable(value: Any) -> Any:
    if isinstance(value, (list, tuple, dict, set, frozenset)):
        raise SecurityError("a list is printed; loop over it")
    return value


def _counted(values: Any) -> Iterator[Any]:
    """What a loop runs over: lists, not the letters of a text, and each round counts."""
    if isinstance(values, str):
        raise SecurityError("a loop runs over a text")
    for value in values:
        _RUN.get().spend()
        yield value


@lru_cache(maxsize=16)
def _environment(
    templates: tuple[tuple[str, str], ...], filters: tuple[str, ...]
) -> jinja2.Environment:
    environment = _Letters(
        loader=_Mapping(dict(templates)),
        undefined=StrictUndefined,
        finalize=_printable,
        autoescape=lambda name: bool(name and name.endswith(".html.j2")),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
        auto_reload=False,
    )
    known = environment.filters
    environment.filters = {key: known[key] for key in _FILTERS}
    environment.filters |= {key: _of_text(known[key]) for key in _TEXT_FILTERS}
    environment.filters["_counted"] = _counted
    for name in filters:
        environment.filters[name] = _late(name)
    return environment


def _of_text(shape: Callable[..., Any]) -> Callable[..., Any]:
    """A filter for texts and numbers only; it passes on what Jinja says about it."""

    @wraps(shape)
    def checked(*given: Any, **options: Any) -> Any:
        for value in given:
            _printable(value)
        return shape(*given, **options)

    return checked


def _late(name: str) -> Callable[..., Any]:
    """A filter of ours, looked up in the rendering that calls it."""

    def shape(value: Any, *args: Any, **kwargs: Any) -> Any:
        run = _RUN.get()
        run.spend()
        # an indent stands on every line, a class on every paragraph, a part wherever it is named
        if any(isinstance(it, str) and len(it) > MAX_PART for it in (*args, *kwargs.values())):
            raise SecurityError(f"|{name} is given a text that is too long")
        return run.filters[name](value, *args, **kwargs)

    return shape


_NAMED = re.compile(r"\{%-?\s*(?:include|import|extends|from)\s+[\"']([^\"']+)[\"']")


def named_in(source: str) -> list[str]:
    """The templates that one includes or imports by name."""
    return _NAMED.findall(source)


def used(name: str, templates: Mapping[str, str]) -> tuple[str, ...]:
    """A template and all that it includes or imports, in a fixed order."""
    seen: dict[str, None] = {}
    waiting = [name]
    while waiting:
        here = waiting.pop()
        if here not in seen and here in templates:
            seen[here] = None
            waiting += named_in(templates[here])
    return tuple(sorted(seen))
