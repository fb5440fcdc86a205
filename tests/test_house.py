"""The house itself: names that stay out, pages that stay true, a quick door."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.cli import asterism
from pipeline.cli.reference import commands_page, settings_page
from pipeline.settings import SETTINGS

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "pipeline").rglob("*.py"))
FORBIDDEN = ("util", "helper", "common", "misc", "base", "manager", "service", "handler")
#: Floor 2 and the nouns decide without a clock, a file, a network, chance or a database.
IMPURE_CALLS = {"now", "today", "utcnow", "urandom", "open", "getenv"}


def names_of(module: Path) -> Iterator[str]:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


@pytest.mark.parametrize("module", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_room_has_a_name_that_says_nothing(module: Path) -> None:
    assert not [word for word in FORBIDDEN if word in module.stem.lower()]
    for name in names_of(module):
        assert not name.startswith("Abstract"), name
        assert not name.endswith(("Impl", "Manager", "Helper", "Handler", "Util")), name


@pytest.mark.parametrize("module", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_module_opens_with_what_it_is_for(module: Path) -> None:
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8")))
    assert docstring
    assert "being built" not in docstring


def pure_modules() -> list[Path]:
    return [m for m in MODULES if {"rules", "model"} & set(m.relative_to(ROOT).parts)]


@pytest.mark.parametrize("module", pure_modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_rules_ask_no_clock_and_no_file(module: Path) -> None:
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            name = node.func.id if isinstance(node.func, ast.Name) else name
            assert name not in IMPURE_CALLS, f"{module.name}:{node.lineno}: {name}()"


#: What speaks to the outside. One room asks addresses that strangers wrote, and checks each;
#: transports and resolvers ask only what the environment names.
OUTWARD = re.compile(
    r"^\s*(?:import|from) (?:aiohttp|httpx|requests|urllib3|pycurl|http\.client|urllib\.request|"
    r"smtplib|ftplib|socket)\b",
    re.MULTILINE,
)


def test_only_the_guarded_client_asks_the_outside() -> None:
    found = {m.relative_to(ROOT).as_posix() for m in MODULES if OUTWARD.search(m.read_text())}
    outward = ("pipeline/fetchers/", "pipeline/transports/", "pipeline/resolvers/")
    assert {name for name in found if not name.startswith(outward)} == {
        "pipeline/web/app.py"  # binds the socket that the public pages are served on
    }


def test_stages_print_nothing() -> None:
    for module in (ROOT / "pipeline" / "stages").rglob("*.py"):
        assert not re.search(r"\bprint\(", module.read_text(encoding="utf-8")), module


def test_the_reference_is_what_the_program_says() -> None:
    reference = ROOT / "docs" / "reference"
    written = (reference / "commands.md").read_text(encoding="utf-8")
    assert written == commands_page(asterism), "run `make reference`"
    assert (reference / "settings.md").read_text(encoding="utf-8") == settings_page()


def test_every_setting_that_is_read_is_documented() -> None:
    documented = {setting.name for setting in SETTINGS}
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                word = node.value
                if re.fullmatch("ASTERISM_[A-Z_]*[A-Z]", word):
                    assert word in documented, f"{module.name}: {word}"


@pytest.mark.parametrize(
    "heavy",
    [
        "sqlalchemy",
        "aiohttp",
        "pydantic",
        "feedparser",
        "jinja2",
        "starlette",
        "lxml",
        "alembic",
        "sendgrid",
    ],
)
def test_help_waits_for_nothing_heavy(heavy: str) -> None:
    """`--help` stays quick because it imports none of the heavy libraries."""
    code = (
        "import sys; sys.argv = ['asterism', '--help']\n"
        "from pipeline.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        f"assert {heavy!r} not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
