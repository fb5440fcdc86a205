from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.errors import BadInput
from pipeline.rules.letters import curated
from pipeline.rules.letters.curated import Block, CuratedFile, Known

# ── what survives: everything ────────────────────────────────────────────────────────────

PIECES = st.sampled_from(
    [
        "# In this issue", "## A heading", "### Our take", "#hash", "#### small", "---", "***",
        "> quoted", "<!-- hidden -->", "[story: m4xk2q7d]", "\\[story: x]", "[issue: a/1]",
        "Question: who pays?", "**Between us:** shh", "Betwen us: shh", "For Northline itself",
        "\\# escaped", "\\\\## twice", "{{first_name|there}}", "Source: Reuters", "```", "\tcode",
        "two blanks  ", "   indented", "", " ", "\ufeff", "\u2028", "Learnt from: nobody", "æøå ⁂",
    ]
)  # fmt: skip
TEXT = st.lists(st.one_of(PIECES, st.text(max_size=30)), max_size=6).flatmap(
    lambda lines: st.sampled_from(["\n", "\r\n", "\r"]).map(lambda end: end.join(lines))
)
LINE = TEXT.map(curated.one_line)
TITLE = LINE.filter(bool)
HEX = st.text("0123456789abcdef", min_size=8, max_size=8)
BASE = st.one_of(st.just(""), HEX)
NOTES = st.lists(TITLE, max_size=2).map(tuple)
IDS = st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=8, max_size=26)
LINKS = IDS.map(lambda name: f"https://coastwire.example/{name}?a=1&b=[2]#c")
COMPANY = st.sampled_from(["", "Northline", "A & B itself", "Meyer: Söhne"])
PLACE = st.sampled_from(list(curated.PLACES))


def words(names: tuple[str, ...]) -> st.SearchStrategy[dict[str, str]]:
    return st.dictionaries(st.sampled_from(names), TEXT).map(
        lambda found: {name: curated.tidy_field(name, text) for name, text in found.items()}
    )


def in_order_of_places(blocks: list[Block]) -> tuple[Block, ...]:
    order = list(curated.PLACES)
    return tuple(sorted(blocks, key=lambda block: order.index(block.place)))


STORIES = st.builds(
    lambda place, handle, title, words, base, name, notes: Block(
        place, handle, title, words, base, name if "own_wording" in words else "", notes
    ),
    PLACE, st.one_of(IDS, LINKS), TITLE, words(tuple(curated.LABELS)), BASE, COMPANY, NOTES,
)  # fmt: skip
NEW_NOTES = st.builds(
    lambda place, title, words, who, public, source: Block(
        place, curated.NEW, title, words, learnt_from="" if public else who, public=public,
        source=source,
    ),
    PLACE, TITLE, words(("fact", "take", "sales_note")), LINE, st.booleans(), LINE,
)  # fmt: skip
FILES = st.builds(
    lambda ref, head, blocks, base, exported, known, notes: CuratedFile(
        ref, "Between Quays, number 10", head, in_order_of_places(blocks), base, exported, known,
        notes,
    ),
    st.just("ferry-weekly/10"),
    words(tuple(curated.HEAD_LABELS)),
    st.lists(st.one_of(STORIES, NEW_NOTES), max_size=4, unique_by=lambda b: (b.handle, id(b))),
    BASE,
    st.sampled_from(["", "2027-03-08T09:00:00Z"]),
    st.lists(st.builds(Known, IDS, BASE, st.booleans()), max_size=3).map(tuple),
    NOTES,
).filter(lambda f: len({b.handle for b in f.blocks if b.handle != "new"})
         == len([b for b in f.blocks if b.handle != "new"]))  # fmt: skip


@settings(deadline=None)
@given(FILES)
def test_what_is_written_is_read_back(file: CuratedFile) -> None:
    assert curated.parse(curated.write(file)) == file


@settings(deadline=None)
@given(FILES, st.sampled_from(["\r\n", "\r"]))
def test_another_editors_line_ends_and_mark_change_nothing(file: CuratedFile, end: str) -> None:
    assert curated.parse("\ufeff" + curated.write(file).replace("\n", end)) == file


@settings(deadline=None)
@given(st.text())
@example("\\\\# a")
@example("  \n\n a  \n b   \n")
def test_tidy_is_settled_after_once(text: str) -> None:
    once = curated.tidy(text)
    assert curated.tidy(once) == once
    assert curated.one_line(curated.one_line(text)) == curated.one_line(text)


@settings(deadline=None)
@given(st.text(max_size=400))
def test_any_text_is_read_or_refused(text: str) -> None:
    parsed = curated.read(text, "any.md")
    assert all(1 <= mistake.line <= text.count("\n") + text.count("\r") + 1
               for mistake in parsed.mistakes)  # fmt: skip


def test_digest_counts_words_not_empty_fields() -> None:
    assert curated.digest({"take": "a", "fact": ""}) == curated.digest({"take": "a"})
    assert curated.digest({"take": "a"}) != curated.digest({"fact": "a"})


# ── as a curator writes ──────────────────────────────────────────────────────────────────

BY_HAND = """\
# Between Quays, number 10
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
    file = curated.parse(BY_HAND)

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
    file = curated.parse(
        "# T, number 1\n[issue: a/1]\n# Pool\n## S\n[story: abcd]\n### Between us\n\n"
    )
    assert file.blocks[0].words == {"sales_note": ""}


# ── what is refused, with its line ───────────────────────────────────────────────────────

HEAD = "# Between Quays, number 10\n[issue: ferry-weekly/10]\n"  # lines 1 and 2
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
        curated.parse(text, "week-10.md")
    (mistake,) = refused.value.mistakes
    assert (mistake.file, mistake.line) == ("week-10.md", line)
    assert says in mistake.what


def test_all_mistakes_are_told_at_once() -> None:
    text = HEAD + STORY + "stray\nstray again\n### Tkae\nx\n# Pol\n## S\n"
    with pytest.raises(BadInput) as refused:
        curated.parse(text, "week-10.md")
    assert [mistake.line for mistake in refused.value.mistakes] == [6, 8, 10, 11]
    assert "4 mistakes" in refused.value.message


def test_a_story_above_everything_is_refused() -> None:
    with pytest.raises(BadInput) as refused:
        curated.parse("## S\n[story: abcd]\n")
    assert "before the first `# ` heading" in str(refused.value)


def test_prose_that_only_resembles_a_label_is_prose() -> None:
    prose = "In fact: no.\nThree things follow:\n\n- fact\n- the take: theirs\nfor the yard itself"
    file = curated.parse(HEAD + STORY + "### Our take\n" + prose)
    assert file.blocks[0].words["take"] == prose


def test_a_line_of_the_skeleton_stays_text_behind_a_backslash() -> None:
    file = curated.parse(HEAD + STORY + "### Our take\n\\# Not a section\n\\Question: mine")
    assert file.blocks[0].words["take"] == "# Not a section\nQuestion: mine"


GUIDE = Path(__file__).parents[3] / "docs" / "guide-curator.md"


def test_the_guide_shows_a_file_that_can_be_taken_back() -> None:
    whole, note = re.findall(r"```markdown\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    file = curated.parse(whole)
    assert [block.place for block in file.blocks] == ["main", "noted", "pool"]
    assert set(file.blocks[0].words) == set(curated.LABELS) - {"general_wording"}
    assert file.blocks[0].own_name == "Tarnholm"
    (told,) = curated.parse(HEAD + note).blocks
    assert (told.handle, told.learnt_from) == ("new", "Tarnholm")
