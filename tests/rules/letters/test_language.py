"""What a letter says by itself, in every language that we write."""

from __future__ import annotations

from dataclasses import fields
from datetime import date, time

import pytest

from pipeline.model.catalog import Rhythm
from pipeline.model.news import SIGNALS
from pipeline.model.people import Basis
from pipeline.rules.letters.language import (
    ENGLISH,
    LANGUAGES,
    OUR_WORDS,
    asking_for,
    because,
    day_month,
    direction,
    greeting,
    how_often,
    long_date,
    short_date,
    signal_word,
    words,
    written_in,
)

DAY = date(2026, 3, 3)
NB = "\u00a0"


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_language_is_whole(code: str) -> None:
    ours = LANGUAGES[code]
    assert all(getattr(ours, field.name) is not None for field in fields(ours))
    assert set(ours.signals) == set(SIGNALS)
    assert (len(ours.months), len(ours.short_months), len(ours.weekdays)) == (12, 12, 7)
    for stories in (1, 2, 13):
        for people in (1, 2, 13):
            assert ours.sales_some(stories, 13, people)[0].islower() is False


def test_an_unknown_language_speaks_english() -> None:
    assert words("tlh") is ENGLISH
    assert words("de-AT") is words("DE_ch") is LANGUAGES["de"]
    assert direction("ar-EG") == "rtl"
    assert direction("de") == "ltr"


@pytest.mark.parametrize(
    ("language", "short", "long", "day"),
    [
        ("en", f"3{NB}Mar{NB}2026", f"Tuesday 3{NB}March{NB}2026", f"3{NB}March"),
        ("de", f"3.{NB}März{NB}2026", f"Dienstag, 3.{NB}März{NB}2026", f"3.{NB}März"),
    ],
)
def test_dates(language: str, short: str, long: str, day: str) -> None:
    assert short_date(language, DAY) == short
    assert long_date(language, DAY) == long
    assert day_month(language, DAY, date(2026, 12, 1)) == day
    assert day_month(language, DAY, date(2027, 1, 1)) == f"{day}{NB}2026"
    assert day_month(language, DAY) == f"{day}{NB}2026"


@pytest.mark.parametrize(
    ("rhythm", "english", "german"),
    [
        (Rhythm("weekly", "UTC", time(7), DAY), "every Tuesday", "jeden Dienstag"),
        (Rhythm("weekly", "UTC", time(7), DAY, weekday=0), "every Monday", "jeden Montag"),
        (Rhythm("weekly", "UTC", time(7), DAY, every=2), "every 2 weeks", "alle 2 Wochen"),
        (Rhythm("monthly", "UTC", time(7), DAY), "every month", "jeden Monat"),
        (Rhythm("monthly", "UTC", time(7), DAY, every=2), "every 2 months", "alle 2 Monate"),
        (Rhythm("quarterly", "UTC", time(7), DAY), "every quarter", "jedes Quartal"),
    ],
)
def test_a_rhythm_in_a_readers_words(rhythm: Rhythm, english: str, german: str) -> None:
    assert how_often("en", rhythm) == how_often("tlh", rhythm) == english
    assert how_often("de-AT", rhythm) == german


def test_a_letter_asks_pages_for_its_language() -> None:
    assert asking_for("de-AT") == "?lang=de"
    assert asking_for("en-GB") == asking_for("tlh") == asking_for("") == ""


def test_greeting_signals_and_the_language_of_a_source() -> None:
    assert greeting("en", " Ingrid ") == "Good morning, Ingrid."
    assert greeting("de", "") == "Guten Morgen."
    assert signal_word("de", "price") == "Preis"
    assert signal_word("en", "You in the news") == "You in the news"
    assert written_in("en", "de-AT") == f"in{NB}German"
    assert written_in("de", "en") == f"auf{NB}Englisch"
    assert written_in("en", "en-GB") == written_in("en", "") == written_in("en", "tlh") == ""


@pytest.mark.parametrize(
    ("language", "kind", "source", "said"),
    [
        ("en", "consent", "asked for it at the Hardware Days in Aalborg",
         "because you asked for it at the Hardware Days in Aalborg on 3 March 2026"),
        ("en", "consent", "website form", "because you asked for it (website form, 3 March 2026)"),
        ("en", "consent", "", "because you asked for it on 3 March 2026"),
        ("en", "consent", "asked for it in March 2026.", "because you asked for it in March 2026"),
        ("en", "legitimate_interest", "business card, Utrecht fair",
         "because your work touches what we write about "
         "(business card, Utrecht fair, 3 March 2026)"),
        ("en", "customer", "frame contract", "because you and we are in touch about your work "
         "(frame contract, 3 March 2026)"),
        ("en", "customer", "customer since 2019",
         "because you and we are in touch about your work on 3 March 2026"),
        ("en", "consent", "key target list", "because you asked for it on 3 March 2026"),
        ("en", "consent", "form at https://x.example/?id=7",
         "because you asked for it on 3 March 2026"),
        ("de", "consent", "Messe Köln", "weil Sie darum gebeten haben (Messe Köln, 3. März 2026)"),
        ("de", "consent", "am Stand in Köln darum gebeten haben",
         "weil Sie am Stand in Köln darum gebeten haben (3. März 2026)"),
        ("de", "customer", "Bestandskunde", "weil wir mit Ihnen über Ihre Arbeit im Gespräch sind "
         "(3. März 2026)"),
    ],
)  # fmt: skip
def test_why_a_reader_gets_it(language: str, kind: str, source: str, said: str) -> None:
    told = because(language, Basis(kind, source, DAY))  # type: ignore[arg-type]
    assert told.replace(NB, " ") == said
    assert not OUR_WORDS.search(told)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a prospect", True), ("Prospective customers", True), ("hot lead", True), ("KUNDE", True),
        ("Interessenten", True), ("kind-customer", True), ("leading", False), ("mislead", False),
        ("Kundenberg", False), ("customary", False), ("targeted", False),
    ],
)  # fmt: skip
def test_our_words_for_a_reader(text: str, found: bool) -> None:
    assert bool(OUR_WORDS.search(text)) is found
