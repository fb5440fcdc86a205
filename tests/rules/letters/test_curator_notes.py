from __future__ import annotations

from dataclasses import replace

from pipeline.model.news import Item, Mention, Score, ScorePart, SignalHit, Story
from pipeline.rules.letters.curator_notes import moment_in_words, notes_on
from pipeline.rules.news.clean import CleanHtml
from tests.builders import NOW

NAMES = {"northline": "Northline", "blue-strait": "Blue Strait"}
STORY = Story(1, "a", "news", "T", "L", "L", NOW, NOW, "https://a.example/1", "Coast Wire")


def telling(source: str) -> Item:
    return Item(1, source, source, 1, "", "", "", CleanHtml(""), "", "", NOW, NOW, "")


def test_news_shows_source_day_signals_reasons_and_other_tellings() -> None:
    story = replace(
        STORY,
        signals=(SignalHit("deal", "signs", 1), SignalHit("place", "opens", 1)),
        mentions=(
            Mention("blue-strait", "rival", "lead", "Polar Link", 2.0),
            Mention("northline", "self", "headline", "Northline", 1.0),
        ),
        tellings=tuple(telling(s) for s in ["Coast Wire", *"ABCDEFG", "A"]),
    )
    score = Score(7.25, (ScorePart("about", 5.0, "names Northline"),))
    assert notes_on(story, NAMES, score) == (
        "Coast Wire · 8 March 2027 · deal, place · https://a.example/1",
        "Touches Northline (named in the headline: “Northline”); "
        "Blue Strait (their rival Polar Link is named in the opening)",
        "Also told by A, B, C, D, E and 2 more",
        "Score 7.2: names Northline 5.0",
    )


def test_a_confidence_says_who_may_read_it() -> None:
    note = replace(
        STORY, kind="note", url="", source_name="Quay Days", learnt_from="northline",
        is_public=False,
    )  # fmt: skip
    first, guarded, _ = notes_on(note, NAMES, Score(1.0))
    assert first == "A field note · learnt from Northline · Quay Days · 8 March 2027"
    assert guarded.startswith("In confidence: Northline reads the words for Northline itself")


def test_a_note_of_nobody_and_our_own_news_say_what_they_are() -> None:
    nobody = replace(STORY, kind="note", is_public=False)
    assert "says neither who told it" in notes_on(nobody, NAMES, None)[0]
    assert notes_on(nobody, NAMES, None)[-1] == "No longer in the pool"
    assert "public" in notes_on(replace(nobody, is_public=True), NAMES, None)[0]
    assert notes_on(replace(STORY, kind="own"), NAMES, None)[0] == "Our own news · 8 March 2027"


def test_moments_are_told_in_their_zone() -> None:
    assert moment_in_words(NOW, "Europe/Oslo") == "Monday 8 March 2027, 10:00"
