"""What lint says is missing or too much, and where."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.letters import Finding, Issue, Letter, SalesSums, Snippet
from pipeline.rules.letters.lint import (
    COPIED_RUN,
    copied,
    lint_issue,
    lint_rendered,
    longest_values,
    quoted_words,
)
from pipeline.rules.letters.render import MAX_HTML, render
from tests.builders import FERRIES, FIRM, WEEKLY
from tests.rules.letters.samples import EDITIONS, PROSPECT, SALES, TEMPLATES, VALUES

AT = datetime(2027, 3, 11, 6, 30, tzinfo=UTC)
ISSUE = Issue(
    1, "b2jx", WEEKLY.key, FERRIES.key, 9, date(2027, 3, 11), AT, AT, AT, "draft",
    subject="What nine minutes cost", preheader="A boat that waits for money, and who pays for it.",
    theme="Time is bought at the quay", opening="Dear {{first_name|reader}}, three stories.",
)  # fmt: skip
NEWS = Snippet(
    1, "s1", 1, 11, 1, "main",
    title="Polar Link sells a departure that waits",
    fact="A lorry pays more and is waited for. The company calls it “the held ramp”.",
    take="They pay for **not having to ring** from the queue.",
    question="Which of yours does somebody hold?",
    url="https://harbournews.example/held-ramp",
    source_name="Harbour News",
    source_text="From April a lorry that books the early boat from Hareid pays twelve euros more "
    "and is waited for, up to nine minutes. The company calls it the held ramp.",
)  # fmt: skip
NOTE = replace(
    NEWS, id=2, position=2, title="The clocks are wrong", fact="Eleven of fourteen were slow.",
    question="", url="", source_name="Seen by us in March", story_kind="note", source_text="",
)  # fmt: skip
FINE = (NEWS, NOTE)


def found(*snippets: Snippet, issue: Issue = ISSUE, **changes: Any) -> list[Finding]:
    newsletter = changes.pop("newsletter", WEEKLY)
    firm = changes.pop("firm", FIRM)
    return list(lint_issue(issue, snippets or FINE, newsletter, firm, **changes))


def codes(*snippets: Snippet, **changes: Any) -> list[tuple[str, bool]]:
    return [(finding.code, finding.blocks) for finding in found(*snippets, **changes)]


def test_a_good_issue_has_no_findings() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("changes", "code", "where", "blocks"),
    [
        ({"subject": " "}, "no_subject", "subject", True),
        ({"subject": "x" * 79}, "subject_long", "subject", False),
        ({"subject": "x" * 121}, "subject_too_long", "subject", True),
        ({"subject": "Hi {{name}}"}, "unknown_field", "subject", True),
        ({"subject": "Hi {{first_name}}"}, "no_default", "subject", False),
        ({"preheader": "short"}, "preheader_length", "preheader", False),
        ({"preheader": "x" * 131}, "preheader_length", "preheader", False),
        ({"theme": ""}, "no_theme", "theme", True),
        ({"theme": "For {{first_name|you}}"}, "field_in_theme", "theme", True),
        ({"opening": "a\nb {{frist_name}}"}, "unknown_field", "opening", True),
    ],
)
def test_the_frame(changes: dict[str, str], code: str, where: str, blocks: bool) -> None:
    (finding,) = found(issue=replace(ISSUE, **changes))
    assert (finding.code, finding.where, finding.blocks) == (code, where, blocks)


def test_a_subject_is_counted_as_it_shows() -> None:
    assert found(issue=replace(ISSUE, subject="x" * 74 + "{{first_name|you}}")) == []
    assert "line 2, column 3" in found(issue=replace(ISSUE, opening="a\nb {{frist_name}}"))[0].what


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"firm": replace(FIRM, postal_address=" ")}, "no_postal_address"),
        ({"firm": replace(FIRM, base_url="http://x.example")}, "base_not_https"),
        ({"firm": replace(FIRM, name="Example & Partners")}, "example_firm"),
        ({"newsletter": replace(WEEKLY, positioning="")}, "no_positioning"),
        ({"newsletter": replace(WEEKLY, invitation="{{when}}")}, "unknown_field"),
        ({"newsletter": replace(WEEKLY, floor=3)}, "under_floor"),
        ({"newsletter": replace(WEEKLY, ceiling=1)}, "over_ceiling"),
        ({"newsletter": replace(WEEKLY, key="prospect-weekly")}, "betrays"),
        ({"newsletter": replace(WEEKLY, title="News for Customers")}, "betrays"),
        ({"firm": replace(FIRM, news=(replace(FIRM.news[0], text="{% x %}"),))}, "unknown_field"),
    ],
)
def test_the_firm_and_the_newsletter(changes: dict[str, Any], code: str) -> None:
    assert codes(**changes) == [(code, True)]


def test_https_is_not_asked_of_the_file_transport() -> None:
    assert found(firm=replace(FIRM, base_url="http://x.example"), needs_https=False) == []


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"take": ""}, [("no_take", True)]),
        ({"fact": ""}, [("no_fact", True)]),
        ({"title": ""}, [("no_title", True)]),
        ({"title": "For {{first_name|you}}"}, [("unknown_field", True)]),
        ({"question": ""}, [("no_question", True)]),
        ({"url": ""}, [("no_source", True)]),
        ({"url": "javascript:alert(1)"}, [("no_source", True)]),
        ({"source_name": ""}, [("no_source_name", False)]),
        ({"take": "See {{first-name}}."}, [("unknown_field", True)]),
        ({"sales_note": "{%x%}"}, [("unknown_field", True)]),
    ],
)
def test_a_story(changes: dict[str, str], wanted: list[tuple[str, bool]]) -> None:
    assert codes(replace(NEWS, **changes), NOTE) == wanted


BCC = "[us](mailto:us@quaytide.example?bcc=x@y.example)"


def test_a_link_that_copies_somebody_in_is_told_with_its_place() -> None:
    (finding,) = found(replace(NEWS, take=f"They pay.\n\nAsk {BCC}, or {BCC}."), NOTE)
    assert (finding.code, finding.blocks) == ("odd_link", True)
    assert finding.where == "story 1 “Polar Link sells a departure…”"
    assert finding.what.startswith("line 3, column 10: the link to “mailto:us@quaytide.example?bcc")
    subject_only = BCC.replace("bcc=x@y.example", "subject=Berths")
    assert found(replace(NEWS, take=subject_only), NOTE) == []


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"issue": replace(ISSUE, opening=BCC)}, "opening"),
        ({"newsletter": replace(WEEKLY, invitation=BCC)}, "invitation"),
        ({"firm": replace(FIRM, news=(replace(FIRM.news[0], text=BCC),))},
         f"own news {FIRM.news[0].key}"),
        ({"firm": replace(FIRM, services=(replace(FIRM.services[0], text=BCC),))},
         f"service {FIRM.services[0].key}"),
    ],
)  # fmt: skip
def test_so_is_one_in_what_belongs_to_no_story(changes: dict[str, Any], where: str) -> None:
    (finding,) = found(**changes)
    assert (finding.code, finding.where) == ("odd_link", where)


@pytest.mark.parametrize(
    "field", ["fact", "take", "question", "own_wording", "general_wording", "sales_note"]
)
def test_each_text_of_a_story_is_looked_through_for_links(field: str) -> None:
    text = "Ask [them](https://x.example/?who={{first_name|you}})."
    assert ("odd_link", True) in codes(replace(NEWS, **{field: text}), NOTE)


def test_places_are_named_as_the_letter_numbers_them() -> None:
    long = "A title that is rather long for a place"
    where = [
        finding.where
        for finding in found(
            replace(NEWS, id=5, section="noted", url="", title="Short"),
            NEWS,
            replace(NOTE, take="", title=long),
        )
    ]
    assert where == ["also noted “Short”", "story 2 “A title that is rather long for…”"]


def test_a_headline_needs_a_source_and_no_take() -> None:
    noted = replace(NEWS, id=3, section="noted", take="", question="", fact="")
    assert found(*FINE, noted) == []
    assert codes(*FINE, replace(noted, url="")) == [("no_source", True)]


def test_our_own_news_needs_neither() -> None:
    own = replace(NEWS, id=3, story_kind="own", url="", source_name="", take="", question="")
    assert found(*FINE, own) == []


def test_a_field_note_says_where_it_comes_from() -> None:
    assert codes(NEWS, replace(NOTE, source_name="")) == [("no_source", True)]
    assert codes(NEWS, replace(NOTE, is_public=False)) == [("note_unowned", True)]


def test_a_confidence_goes_nowhere_until_it_is_cleared() -> None:
    told = replace(NOTE, learnt_from="northline", is_public=False, source_name="")
    account = {"accounts": FERRIES.accounts}
    assert codes(NEWS, told, **account) == [("confidence", False)]
    general = replace(told, general_wording="Some clocks lag, and nobody minds.")
    assert codes(NEWS, general, **account) == [("confidence", False)]
    cleared = replace(general, cleared_by="liv")
    assert codes(NEWS, cleared, **account) == []


@pytest.mark.parametrize(
    ("wording", "told"),
    [
        ("At Northline some clocks lag.", "Northline"),
        ("northline ferries knows it.", "Northline Ferries"),
        ("Eleven harbours, or 41,000 landings.", "41000"),
        ("It was seen in February.", "february"),
    ],
)
def test_a_general_wording_that_betrays_its_source(wording: str, told: str) -> None:
    secret = replace(
        NOTE, learnt_from="northline", fact="In February they counted 41,000 landings.",
        general_wording=wording, cleared_by="liv",
    )  # fmt: skip
    findings = found(NEWS, secret, accounts=FERRIES.accounts)
    assert {finding.code for finding in findings} == {"confidence_betrayed"}
    assert any(told in finding.what for finding in findings)
    assert all(finding.blocks for finding in findings)


def test_a_link_is_used_once() -> None:
    (finding,) = found(reused={NEWS.url: "ferry-weekly/7"})
    assert finding.code == "link_reused"
    assert "ferry-weekly/7" in finding.what
    assert finding.where == "story 1 “Polar Link sells a departure…”"


# ── other people's words ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("He said “one two three” and “four”.", 4),
        ('"one two"', 2), ("„eins zwei“", 2), ("«un deux»", 2), ("»eins zwei«", 2), ("”no", 0),
        ("“she's done it, 3.5 times – twice/thrice”", 6),
        ("nothing quoted", 0), ("“open only", 0), ("it's a dog's life", 0),
        ("“outer ‘inner words’ again”", 4),
        ("“not closed\n“but this one”", 3), ('two “a“ marks', 0),
    ],
)  # fmt: skip
def test_quoted_words(text: str, count: int) -> None:
    assert quoted_words(text) == count


def test_at_most_forty_words_of_one_source() -> None:
    forty = "“" + " ".join(f"w{n}" for n in range(38)) + "”"
    assert found(replace(NEWS, fact=forty, take="So “two more”."), NOTE) == []
    (finding,) = found(replace(NEWS, fact=forty, take="So “three more words”."), NOTE)
    assert finding.code == "over_quoted"
    assert "41 quoted words" in finding.what
    block = "> " + " ".join(f"w{n}" for n in range(41))
    assert codes(replace(NEWS, fact=block), NOTE) == [("over_quoted", True)]
    inner = "> " + " ".join(f"“w{n}”" for n in range(41))
    assert codes(replace(NEWS, fact=inner), NOTE) == [("over_quoted", True)]
    own = replace(NEWS, own_wording=block)
    assert codes(own, NOTE) == [("over_quoted", True)]


def test_two_stories_of_one_source_share_its_forty_words() -> None:
    words = "“" + " ".join(f"w{n}" for n in range(21)) + "”"
    first, second = replace(NEWS, fact=words), replace(NEWS, id=99, story_id=99, fact=words)
    (finding,) = [one for one in found(first, second, NOTE) if one.code == "over_quoted"]
    assert (finding.where, finding.blocks) == (f"source “{NEWS.source_name}”", True)
    assert finding.what == "42 quoted words in several stories; at most 40"
    other = replace(second, source_name="Another Source")
    assert not [one for one in found(first, other, NOTE) if one.code == "over_quoted"]


THEIRS = "one two three four five six seven eight nine ten"


@pytest.mark.parametrize(
    ("ours", "runs"),
    [
        ("One, two three-four five", ()),
        ("so one two three four five six seven is short", ()),
        ("So: One two, three four five six seven Eight!",
         ("One two three four five six seven Eight",)),
        (f"a {THEIRS} b", (THEIRS,)),
        (f"a “{THEIRS}” b", ()),
        ("one two three four\nfive six seven eight nine ten", ()),
        (f"{THEIRS} and again {THEIRS}", (THEIRS,)),
        ("two three four five six seven eight nine and one two three four five six seven eight",
         ("two three four five six seven eight nine", "one two three four five six seven eight")),
        ("", ()),
    ],
)  # fmt: skip
def test_copied_runs(ours: str, runs: tuple[str, ...]) -> None:
    assert copied(ours, THEIRS) == runs


@given(st.lists(st.sampled_from([*"abcd“”\n"]), max_size=60), st.integers(0, 30))
def test_a_run_is_found_exactly_when_it_is_there(ours: list[str], at: int) -> None:
    theirs = " ".join(f"t{n}" for n in range(at + COPIED_RUN + 3))
    run = " ".join(f"t{n}" for n in range(at, at + COPIED_RUN))
    text = " ".join(ours)
    assert copied(text, theirs) == ()
    assert copied(f"{text}\n{run}", theirs) == (run,)
    assert copied(f"{text}\n“{run}”", theirs) == ()


def test_copying_is_told_and_our_own_words_are_not_copied() -> None:
    fact = "A lorry that books the early boat from Hareid pays twelve euros more now."
    (finding,) = found(replace(NEWS, fact=fact), NOTE)
    assert finding.code == "copied"
    assert "lorry that books the early boat from Hareid pays" in finding.what
    assert finding.blocks
    note = replace(NOTE, fact=THEIRS, source_text=THEIRS)
    assert found(NEWS, note) == []


def test_the_sources_headline_is_worth_a_look() -> None:
    title = "A lorry that books the early boat from Hareid"
    assert codes(replace(NEWS, title=title), NOTE) == [("copied_title", False)]
    noted = replace(NEWS, id=3, section="noted", title=title, take="", fact="", question="")
    assert found(*FINE, noted) == []


# ── the finished bytes ───────────────────────────────────────────────────────────────────


def of_bytes(letter: Letter, **templates: str) -> list[str]:
    rendered = render(letter, {**TEMPLATES, **templates})
    return [finding.code for finding in lint_rendered(letter, rendered, longest=VALUES)]


@pytest.mark.parametrize("kind", EDITIONS)
def test_the_shipped_templates_pass(kind: str) -> None:
    assert of_bytes(EDITIONS[kind]) == []


def test_the_positioning_sentence_stands_once() -> None:
    said = f"{PROSPECT.positioning} And more."
    assert of_bytes(replace(PROSPECT, opening=said)) == ["positioning", "positioning"]
    letter = TEMPLATES["letter.html.j2"].replace("{{ letter.positioning|bind }}", "")
    assert of_bytes(PROSPECT, **{"letter.html.j2": letter}) == ["positioning"]
    bold = replace(PROSPECT, positioning="We time 18 volts & more, on 3 March 2026.")
    assert of_bytes(bold) == []


@pytest.mark.parametrize(
    ("old", "new", "codes"),
    [
        ('<p class="title">', '<p class="title customer-title">', ["betrays"]),
        ('<td class="gutter">', '<td class="gutter" id="prospect">', ["betrays"]),
        ("<h1>", "<!--[if mso]>for prospects<![endif]--><h1>", ["betrays"]),
        ('<p class="title">', '<!-- for prospects --><p class="title">', []),
        ('<p class="title">', '<p class="title lead">', []),
        ("<h1>", "<h1>x</h1><h1>", ["headings"]),
        ("{{ merge.leave_url }}", "https://x.example/leave", ["no_leave_url"]),
        ("{{ words.why|say(because=merge.basis) }}", "", ["no_basis"]),
        ("{{ letter.postal_address|postal }}", "", ["no_postal_address"]),
    ],
)  # fmt: skip
def test_a_template_of_ones_own_is_held_to_the_same(old: str, new: str, codes: list[str]) -> None:
    assert old in TEMPLATES["letter.html.j2"]
    changed = TEMPLATES["letter.html.j2"].replace(old, new)
    assert of_bytes(PROSPECT, **{"letter.html.j2": changed}) == codes


def test_the_size_is_that_of_the_longest_reader() -> None:
    letter = replace(PROSPECT, opening="{{first_name|x}}")
    rendered = render(letter, TEMPLATES)
    room = MAX_HTML - len(rendered.html.encode())
    longest = longest_values([VALUES, {**VALUES, "first_name": "é" * room}, {}])
    (finding,) = lint_rendered(letter, rendered, longest=longest, where="first, en")
    assert (finding.code, finding.where) == ("too_big", "first, en")
    assert "95,000" in finding.what


def test_longest_values_are_taken_field_by_field() -> None:
    assert longest_values([{"a": "xx", "b": "y"}, {"a": "é", "b": "yyy"}]) == {
        "a": "xx",
        "b": "yyy",
    }


def test_sums_that_do_not_add_up() -> None:
    assert of_bytes(replace(SALES, sales_sums=SalesSums(9, 6, (("left", 2),)))) == ["sums"]
