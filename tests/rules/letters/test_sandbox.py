"""A template from a workspace: its mistakes are told with their line, its cost is bounded."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pipeline.errors import BadInput
from pipeline.rules.letters.sandbox import MAX_STEPS, named_in, render, used


@dataclass(frozen=True)
class _Thing:
    name: str = "a <b> name"
    items: tuple[str, ...] = ("x", "y", "z")


VALUES = {"thing": _Thing(), "many": tuple(range(300)), "long": "x" * 5_000}
FILTERS = {"shout": lambda text, mark="": text.upper() + mark, "fail": lambda text: 1 / 0}


def made(source: str, name: str = "t.html.j2", **more: str) -> str:
    return render(name, {name: source, **more}, VALUES, FILTERS)


def refused(source: str, **more: str) -> tuple[str, int, str]:
    with pytest.raises(BadInput) as caught:
        made(source, **more)
    (mistake,) = caught.value.mistakes
    return mistake.file, mistake.line, mistake.what


def test_what_a_letter_needs_works() -> None:
    assert made("{{ thing.name }}") == "a &lt;b&gt; name"
    assert made("{{ thing.name }}", "t.txt.j2") == "a <b> name"
    assert made("{% for x in thing.items %}{{ loop.index }}{{ x }}{% endfor %}") == "1x2y3z"
    assert made("{% if thing.items and not thing.name == 'b' %}{{ 2 * 3 + 1 }}{% endif %}") == "7"
    assert made("{{ thing.name|shout }}|{{ long|length }}|{{ thing.items[0] }}") == (
        "A &lt;B&gt; NAME|5000|x"
    )
    assert made("{% set a, b = ('1', '2') %}{{ a }}{{ b }}{{ 'x'.strip() }}") == "12x"
    assert made("{% for a, b in [('1', 2)] %}{{ a }}{{ b }}{% else %}none{% endfor %}") == "12"


def test_pieces_of_other_templates() -> None:
    assert made("{% include 'o.txt.j2' %}!", **{"o.txt.j2": "<i>"}) == "<i>!"
    source = "{% import 'p.html.j2' as p with context %}{{ p.m(thing) }}"
    assert made(source, **{"p.html.j2": "{% macro m(t) %}{{ t.name }}{% endmacro %}"}) == (
        "a &lt;b&gt; name"
    )
    without = "{% from 'p.html.j2' import m %}{% for i in thing.items %}{{ m(thing) }}{% endfor %}"
    assert made(without, **{"p.html.j2": "{% macro m(t) %}{{ t.name }}{% endmacro %}"})


@pytest.mark.parametrize(
    ("source", "line", "what"),
    [
        ("a\nb\n{{ nothing }}", 3, "'nothing' is undefined"),
        ("a\n{{ thing.nothing }}", 2, "no attribute 'nothing'"),
        ("a\n\n{% if %}", 3, "Expected an expression"),
        ("{{ thing.name|nofilter }}", 1, "No filter named 'nofilter'"),
        ("{{ thing.name|safe }}", 1, "No filter named 'safe'"),
        ("a\n{% for x in thing.items %}\n{{ x.y }}\n{% endfor %}", 3, "no attribute 'y'"),
        ("\n{{ thing.name|fail }}", 2, "division by zero"),
        ("\n{{ thing.name() }}", 2, "not callable"),
        ("\n{% unknown %}", 2, "unknown tag"),
    ],
)
def test_a_mistake_is_told_with_its_place(source: str, line: int, what: str) -> None:
    file, where, said = refused(source)
    assert (file, where) == ("templates/t.html.j2", line)
    assert what in said


def test_a_mistake_in_a_part_is_told_there() -> None:
    file, line, _ = refused(
        "{% import 'p.html.j2' as p with context %}\n{{ p.m() }}",
        **{"p.html.j2": "{% macro m() %}\n\n{{ nothing }}{% endmacro %}"},
    )
    assert (file, line) == ("templates/p.html.j2", 3)


def test_a_template_that_is_missing() -> None:
    with pytest.raises(BadInput, match=r"there is no template gone\.html\.j2"):
        made("{% include 'gone.html.j2' %}")
    with pytest.raises(BadInput, match="there is no template x"):
        render("x", {}, {}, {})


@pytest.mark.parametrize(
    "source",
    [
        "{{ thing.__class__ }}", "{{ thing.__class__.__mro__ }}", "{{ ''.__class__ }}",
        "{{ self._TemplateReference__context }}", "{{ made.__globals__ }}", "{{ config }}",
        "{{ cycler.__init__.__globals__ }}", "{{ lipsum.__globals__ }}", "{{ range(3) }}",
        "{{ namespace() }}", "{{ dict() }}", "{{ thing.items.__len__() }}",
        "{{ thing|attr('__class__') }}", "{{ thing.items|map('upper') }}",
        "{% set thing.name = 'x' %}", "{{ thing.items.append(1) }}",
        "{{ '{0.__class__}'.format(thing) }}", "{{ ('{0.__class__}'|e).format(thing) }}",
        "{{ ('{0.name}'|e).format(thing) }}",
    ],
)  # fmt: skip
def test_secrets_are_out_of_reach(source: str) -> None:
    refused(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'x' * 10**9 }}", "{{ 'x' * 1000000000 }}", "{{ 1000000000 * 'x' }}",
        "{{ 9**9**9 }}", "{{ [1] * 1000000000 }}", "{{ '%1000000000d' % 1 }}",
        "{{ 'x'.ljust(1000000000) }}", "{{ thing.name.center(1000000000) }}",
        "{{ 'x'.zfill(1000000000) }}", "{{ '{:>1000000000}'.format(1) }}",
        "{{ 'x'|center(1000000000) }}", "{{ 'x'|indent(1000000000) }}",
        "{{ '%9999999d'|format(1) }}",
        "{{ (5).to_bytes(1000000000, 'big')|length }}", "{{ ('{:>1000000000}'|e).format(1) }}",
        "{{ '{:>100000}'.format('x')|length }}",
        "{% set x %}{{ long }}{{ long }}{% endset %}{{ 'x'|shout(x) }}",
        "{{ 'x'.expandtabs(1000000000) }}", "{{ 'x'.replace('x', 'y') }}",
        "{{ 'a'|replace('', long) }}",
        "{{ thing.name ~ thing.name }}", "{{ long.join(long) }}", "{{ long|join(long) }}",
        "{% for c in long %}{% for d in long %}{% endfor %}{% endfor %}",
        "{% for a in many %}{% for b in many %}{% endfor %}{% endfor %}",
        "{% for a in many recursive %}{{ loop(many) }}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
        "{% set x = long + long %}{{ x + x + x }}",
        "{% set x = 999999999999 %}{{ x * x * x * x }}",
        "{{ thing.items }}", "{{ many|list }}", "{{ many|upper }}", "{{ thing.items|urlencode }}",
        "{% set x = many %}{% set x = [x, x] %}", "{% set x = (many, many) %}", "{{ {'a': many} }}",
        "{% macro m() %}{{ varargs }}{% endmacro %}{{ m(many, many) }}",
        "{% macro m() %}{% for k in kwargs %}{% endfor %}{% endmacro %}{{ m(a=many) }}",
        "{{ many|map(attribute='x', default=many)|list|length }}", "{% include 't.html.j2' %}",
    ],
)  # fmt: skip
def test_nothing_costs_without_end(source: str) -> None:
    refused(source)


def test_doubling_stops() -> None:
    grow = "{% set x %}{{ x }}{{ x }}{% endset %}" * 40
    _, _, what = refused("{% set x = long %}" + grow)
    assert "characters" in what
    parts = {f"p{n}": f"{{% include 'p{n + 1}' %}}" * 2 for n in range(40)}
    _, _, what = refused("{% include 'p0' %}", **parts, p40="")
    assert str(MAX_STEPS) in what
    chain = "{% macro m0() %}{% endmacro %}" + "".join(
        f"{{% macro m{n}() %}}{{{{ m{n - 1}() }}}}{{{{ m{n - 1}() }}}}{{% endmacro %}}"
        for n in range(1, 40)
    )
    _, _, what = refused(chain + "{{ m39() }}")
    assert str(MAX_STEPS) in what


def test_deep_loops_and_long_templates_are_refused_before_they_run() -> None:
    deep = "{% for x in many %}" * 6 + "{% endfor %}" * 6
    assert "nested too deep" in refused(deep)[2]
    assert "longer than" in refused("x" * 200_001)[2]


def test_each_rendering_has_a_budget_of_its_own() -> None:
    source = "{% for a in many %}{% for b in thing.items %}{% endfor %}{% endfor %}"
    for _ in range(60):
        assert made(source) == ""


def test_which_templates_one_uses() -> None:
    templates = {
        "a": "{% include 'b' %}{%- import \"c\" as c %}{% include 'missing' %}",
        "b": "{% from 'c' import x %}",
        "c": "",
        "d": "{% include 'a' %}",
    }
    assert named_in(templates["a"]) == ["b", "c", "missing"]
    assert used("a", templates) == ("a", "b", "c")
