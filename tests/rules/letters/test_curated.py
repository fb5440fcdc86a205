from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.rules.letters import curated
from pipeline.rules.letters.curated import Block, CuratedFile, Known
from pipeline.rules.letters.curated_reading import parse, read
from pipeline.rules.letters.curated_writing import write

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
        ref, "Between Quays (no. 10)", head, in_order_of_places(blocks), base, exported, known,
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
    assert parse(write(file)) == file


@settings(deadline=None)
@given(FILES, st.sampled_from(["\r\n", "\r"]))
def test_another_editors_line_ends_and_mark_change_nothing(file: CuratedFile, end: str) -> None:
    assert parse("\ufeff" + write(file).replace("\n", end)) == file


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
    parsed = read(text, "any.md")
    assert all(1 <= mistake.line <= text.count("\n") + text.count("\r") + 1
               for mistake in parsed.mistakes)  # fmt: skip


def test_digest_counts_words_not_empty_fields() -> None:
    assert curated.digest({"take": "a", "fact": ""}) == curated.digest({"take": "a"})
    assert curated.digest({"take": "a"}) != curated.digest({"fact": "a"})
