"""Workspaces at each step of the main job, and the door to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.door import Door, Steps, led_through


@pytest.fixture(scope="session")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steps]:
    with led_through(tmp_path_factory.mktemp("steps")) as led:
        yield led


@pytest.fixture
def made(steps: Steps, tmp_path: Path) -> Door:
    """The files are there and adopted; nobody and nothing else is."""
    return steps.copy("made", tmp_path / "workspace")


@pytest.fixture
def gathered(steps: Steps, tmp_path: Path) -> Door:
    """People are in, two rounds of news are in."""
    return steps.copy("gathered", tmp_path / "workspace")


@pytest.fixture
def opened(steps: Steps, tmp_path: Path) -> Door:
    """An issue is open and pre-filled."""
    return steps.copy("opened", tmp_path / "workspace")


@pytest.fixture
def curated(steps: Steps, tmp_path: Path) -> Door:
    """The curator's file is in; one confidence waits for the approver."""
    return steps.copy("curated", tmp_path / "workspace")


@pytest.fixture
def approved(steps: Steps, tmp_path: Path) -> Door:
    """Approved, not due yet."""
    return steps.copy("approved", tmp_path / "workspace")


@pytest.fixture
def sent(steps: Steps, tmp_path: Path) -> Door:
    """The letters are out."""
    return steps.copy("sent", tmp_path / "workspace")


@pytest.fixture(scope="module")
def to_read(steps: Steps, tmp_path_factory: pytest.TempPathFactory) -> Door:
    """As `sent`, shared by tests that only look."""
    return steps.copy("sent", tmp_path_factory.mktemp("read") / "workspace")
