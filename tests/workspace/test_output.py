"""Papers: each whole, below its folder, for its owner alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import Down
from pipeline.workspace.output import FilePapers


def test_papers_lie_below_their_folder(tmp_path: Path) -> None:
    papers = FilePapers(tmp_path / "reports")
    (path,) = papers.write({"2027-03/a.html": b"one"})
    assert (path, path.read_bytes()) == (tmp_path / "reports" / "2027-03" / "a.html", b"one")
    papers.write({"2027-03/a.html": b"two", "2027-03/b.csv": b""})
    assert path.read_bytes() == b"two"
    assert list(papers.listed("2027-03")) == ["a.html", "b.csv"]
    assert list(papers.listed("2027-04")) == []
    with pytest.raises(ValueError, match="below its folder"):
        papers.write({"../a.html": b"out"})
    assert not (tmp_path / "a.html").exists()


def test_a_paper_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file", encoding="utf-8")
    with pytest.raises(Down, match="cannot be written"):
        FilePapers(tmp_path / "reports").write({"2027-03/a.html": b"one"})
    assert [path.name for path in tmp_path.iterdir()] == ["reports"]
