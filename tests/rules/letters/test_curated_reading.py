"""The curated file as people write it: what is understood, and what is refused with its line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.errors import BadInput
from pipeline.rules.letters.curated import LABELS
from pipeline.rules.letters.curated_reading import parse

# ── as a curator writes ──────────────────────────────────────────────────────────────────

BY_HAND = """\
# Between Quays (no. 10)
[issue: ferry-weekly/10]

### subject
Two battery ferries,
  and a quay

# in this issue

## Northline orders two battery ferries
[story:https://coastwire.example/two-battery-ferries]
> Coast Wire
###Our Take:
Good morning {{first_name|there}}.

- first
- second

### For Northline itself
You in the news.
## Blue Strait looks for a rota planner
[ story: NEW ]
learnt from: Blue Strait
Source: Hardware Days
### Fact
Seen at the fair.
# Dropped
## Nothing
[story: m4xk2q7d]
"""


def test_a_file_written_by_hand() -> None:
    file = parse(BY_HAND)

    assert file.issue_ref == "ferry-weekly/10"
    assert file.head == {"subject": "Two battery ferries, and a quay"}
    first, new, dropped = file.blocks
    assert first.handle == "https://coastwire.example/two-battery-ferries"
    assert first.words == {
        "take": "Good morning {{first_name|there}}.\n\n- first\n- second",
        "own_wording": "You in the news.",
    }
    assert first.own_name == "Northline"
    assert first.line == 10
    assert (new.handle, new.learnt_from, new.public, new.source) == (
        "new", "Blue Strait", False, "Hardware Days",
    )  # fmt: skip
    assert (dropped.place, dropped.words, dropped.base) == ("dropped", {}, "")


def test_a_label_with_nothing_under_it_empties_and_an_absent_one_does_not() -> None:
    file = parse("# T, number 1\n[issue: a/1]\n# Pool\n## S\n[story: abcd]\n### Between us\n\n")
    assert file.blocks[0].words == {"sales_note": ""}


# ── what is refused, with its line ───────────────────────────────────────────────────────

HEAD = "# Between Quays (no. 10)\n[issue: ferry-weekly/10]\n"  # lines 1 and 2
STORY = "# In this issue\n## Ferries\n[story: m4xk2q7d]\n"  # lines 3 to 5


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "[issue: newsletter/number]` is missing"),
        ("hello\n" + HEAD, 1, "text before the first heading"),
        ("# T, number 1\n", 1, "is missing under the first heading"),
        (HEAD + "## S\n[story: abcd]\n", 3, "above the first section"),
        (HEAD + "words\n", 3, "put a label such as `### Opening`"),
        (HEAD + "# In this isue\n", 3, "did you mean `# In this issue`?"),
        (HEAD + "# Elsewhere\n", 3, "use `# In this issue`, `# Also noted`"),
        (HEAD + "# Pool\nwords\n", 4, "belongs to no story"),
        (HEAD + "# Pool\n## S\n", 4, "“S” has no `[story: …]` line"),
        (HEAD + "# Pool\n##\n[story: abcd]\n", 4, "no title"),
        (HEAD + "# Pool\n## S\n[story: abcd efgh]\n", 5, "a handle is one word"),
        (HEAD + "# Pool\n## S\n[issue: abcd]\n", 5, "does not belong here"),
        (HEAD + STORY + "My view.\n", 6, "put a label such as `### Our take`"),
        (HEAD + STORY + "### Our tkae\nx\n", 6, "did you mean `### Our take`?"),
        (HEAD + STORY + "### Weather\nx\n", 6, "use `### Fact`, `### Our take`"),
        (HEAD + STORY + "### Subject\nx\n", 6, "unknown label “Subject”"),
        (HEAD + STORY + "### Fact\na\n### fact\nb\n", 8, "“fact” stands twice"),
        (HEAD + STORY + "### Fact\na\nBetween us: they are shopping\n", 8, "`### Between us`"),
        (HEAD + STORY + "### Fact\na\n**Betwen us**: x\n", 8, "`### Between us`"),
        (HEAD + STORY + "### Fact\na\nFor Northline itself: x\n", 8, "For Northline itself"),
        (HEAD + STORY + "### Fact\na\n[story: efgh]\n", 8, "is its `## title` line missing?"),
        (HEAD + STORY + "[story: efgh]\n", 6, "a second handle under “Ferries”"),
        (HEAD + STORY + "Public: yes\n", 6, "only for a new note"),
        (HEAD + STORY + "# Pool\n## Again\n[story: m4xk2q7d]\n", 7, "as in line 4 (“Ferries”)"),
        (HEAD + "# Pool\n## S\n[story: new]\nPublic: maybe\n", 6, "`Public: yes` or `Public: no`"),
        (HEAD + "# Pool\n## S\n[story: new]\nSource: a\nsource: b\n", 7, "stands twice"),
        (HEAD + "# Pool\n## S\n[story: new]\nPublic: yes\nLearnt from: A\n", 4, "which of the two"),
    ],
)
def test_each_mistake_names_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse(text, "week-10.md")
    (mistake,) = refused.value.mistakes
    assert (mistake.file, mistake.line) == ("week-10.md", line)
    assert says in mistake.what


def test_all_mistakes_are_told_at_once() -> None:
    text = HEAD + STORY + "stray\nstray again\n### Tkae\nx\n# Pol\n## S\n"
    with pytest.raises(BadInput) as refused:
        parse(text, "week-10.md")
    assert [mistake.line for mistake in refused.value.mistakes] == [6, 8, 10, 11]
    assert "4 mistakes" in refused.value.message


def test_a_story_above_everything_is_refused() -> None:
    with pytest.raises(BadInput) as refused:
        parse("## S\n[story: abcd]\n")
    assert "before the first `# ` heading" in str(refused.value)


def test_another_kind_of_file_is_told_once() -> None:
    """A file of YAML has a comment in every other line; none of them is a mistake of its own."""
    with pytest.raises(BadInput) as refused:
        parse("# a comment\n#\nname: Quay & Tide\n# another\ncontact: desk@quaytide.example\n")
    (mistake,) = refused.value.mistakes
    assert "is this a file that `asterism curate export` wrote?" in mistake.what


def test_prose_that_only_resembles_a_label_is_prose() -> None:
    prose = "In fact: no.\nThree things follow:\n\n- fact\n- the take: theirs\nfor the yard itself"
    file = parse(HEAD + STORY + "### Our take\n" + prose)
    assert file.blocks[0].words["take"] == prose


def test_a_line_of_the_skeleton_stays_text_behind_a_backslash() -> None:
    file = parse(HEAD + STORY + "### Our take\n\\# Not a section\n\\Question: mine")
    assert file.blocks[0].words["take"] == "# Not a section\nQuestion: mine"


GUIDE = Path(__file__).parents[3] / "docs" / "guide-curator.md"


def test_the_guide_shows_a_file_that_can_be_taken_back() -> None:
    whole, note = re.findall(r"```markdown\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    file = parse(whole)
    assert [block.place for block in file.blocks] == ["main", "noted", "pool"]
    assert set(file.blocks[0].words) == set(LABELS) - {"general_wording"}
    assert file.blocks[0].own_name == "Tarnholm"
    (told,) = parse(HEAD + note).blocks
    assert (told.handle, told.learnt_from) == ("new", "Tarnholm")
