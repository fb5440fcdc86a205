"""The words a letter says by itself, and its dates, in each language it can be written in."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

from pipeline.model.catalog import Cadence, Rhythm
from pipeline.model.people import Basis

_NB = "\u00a0"

#: Our words for a reader's standing with us. A reader may never see one of them about itself.
OUR_WORDS = re.compile(
    r"(?<![a-zäöüß])(?:prospect(?:s|ive|ing)?|customers?|clients?|leads?|targets?|suspects?|"
    r"bestandskunden?|neukunden?|kund(?:e|en|in|innen)|interessent(?:en|in|innen)?|zielkunden?)"
    r"(?![a-zäöüß])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Words:
    """One language. To add one, write one of these and put it into LANGUAGES."""

    number: str  #: "No.", before an issue's number
    no: str  #: the same within a sentence
    our_take: str
    also_noted: str
    new_with_us: str
    one_thing: str  #: above a service that this reader was not told of
    you_in_the_news: str
    write_to: str  #: "Write to {name}"
    why: str  #: "You get this letter {because}."
    leave: str
    on_the_web: str
    to_first_story: str  #: skip link of the web page
    link_to_story: str  #: "Link to story {number}"
    written_in: str  #: "in {language}", of a source in another language
    # the internal edition
    internal_for: str  #: "Internal, for {name}"
    for_your_accounts: str
    sales_none: str
    sales_untouched: str  #: the same where no story touches an account of theirs
    sales_headlines: str  #: the same where there is no story to read
    sales_some: Callable[[int, int, int], str]  #: of how many stories, out of, to how many people
    keep_inside: str
    between_us: str
    has_not_had: str  #: "Has not had story {number}"
    your_accounts: str  #: heads the list where nobody is left to tell
    forward_it: str
    touches_none: str
    your_people: str  #: "Your {people}: {parts}."
    had_it: str  #: "{people} had this letter"
    people: Callable[[int], str]  #: "1 person", "7 people"
    # greetings and the basis
    greeting: str
    greeting_name: str  #: "Good morning, {name}."
    asked: str  #: why we write, by kind of basis; what follows is the evidence
    interest: str
    together: str
    clause: str  #: "because you {source}"
    openers: frozenset[str]  #: first words of a source that can follow "because you"
    closers: frozenset[str]  #: last words of one that can
    on_day: str  #: "{source} on {day}"
    since_day: str  #: after a reason without a source
    # names and dates
    months: tuple[str, ...]
    short_months: tuple[str, ...]
    weekdays: tuple[str, ...]
    day: str  #: "{day} {month}"
    day_year: str
    weekday_day_year: str
    signals: Mapping[str, str]
    languages: Mapping[str, str]
    units: tuple[str, ...]  #: what a number is bound to, besides the common ones
    # a rhythm
    every_weekday: str  #: "every {weekday}"
    every: Mapping[Cadence, tuple[str, str]]  #: of one week, month or quarter; of {n} of them


_ONE_TO_TWELVE = "one two three four five six seven eight nine ten eleven twelve"
_EINS_BIS_ZWOELF = "ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf"


def _in_words(number: int, numerals: str) -> str:
    """Up to twelve in letters, as a sentence in prose has it."""
    return numerals.split()[number - 1] if 1 <= number <= 12 else str(number)


def _english_summary(stories: int, of: int, people: int) -> str:
    count = _in_words(stories, _ONE_TO_TWELVE)
    whole = f"{count} of the {_in_words(of, _ONE_TO_TWELVE)} stories" if of > 1 else "the story"
    who = "one person" if people == 1 else f"{_in_words(people, _ONE_TO_TWELVE)} people"
    return (
        f"{whole[0].upper()}{whole[1:]} {'touches' if stories == 1 else 'touch'} accounts of "
        f"yours, and {who} there {'has' if people == 1 else 'have'} not had "
        f"{'it' if stories == 1 else 'them'}. One tap opens a mail with the story in it. "
        "Add a line of your own above it, and send."
    )


def _german_summary(stories: int, of: int, people: int) -> str:
    count = _in_words(stories, _EINS_BIS_ZWOELF) + ("e" if stories == 1 else "")
    whole = f"{count} der {_in_words(of, _EINS_BIS_ZWOELF)} Meldungen" if of > 1 else "die Meldung"
    who = "eine Person" if people == 1 else f"{_in_words(people, _EINS_BIS_ZWOELF)} Personen"
    return (
        f"{whole[0].upper()}{whole[1:]} {'berührt' if stories == 1 else 'berühren'} Firmen, die "
        f"Sie betreuen, und {who} dort {'kennt' if people == 1 else 'kennen'} sie noch nicht. "
        "Ein Tippen öffnet eine Mail, in der die Meldung schon steht. Setzen Sie einen eigenen "
        "Satz darüber, und senden Sie sie ab."
    )


ENGLISH = Words(
    number="No.",
    no="no.",
    our_take="Our take",
    also_noted="Also noted",
    new_with_us="New with us",
    one_thing="One thing we may never have told you",
    you_in_the_news="You in the news",
    write_to="Write to {name}",
    why="You get this letter {because}.",
    leave="Leave this letter",
    on_the_web="Read it on the web",
    to_first_story="To the first story",
    link_to_story="Link to story {number}",
    written_in="in {language}",
    internal_for="Internal, for {name}",
    for_your_accounts="For your accounts",
    sales_none="Everybody you look after has had these stories. Nothing to pass on this time.",
    sales_untouched="These stories touch none of your accounts. Nothing to pass on this time.",
    sales_headlines="There is no story to pass on in this issue. Headlines stand without a take, "
    "and are left to its readers.",
    sales_some=_english_summary,
    keep_inside="Please do not pass this mail itself on. It names your accounts.",
    between_us="Between us:",
    has_not_had="Has not had story {number}",
    your_accounts="Your accounts in story {number}",
    forward_it="Pass it on",
    touches_none="Touches none of your accounts.",
    your_people="Your {people}: {parts}.",
    had_it="{count} get this letter",
    people=lambda n: f"{n}{_NB}person" if n == 1 else f"{n}{_NB}people",
    greeting="Good morning.",
    greeting_name="Good morning, {name}.",
    asked="because you asked for it",
    interest="because your work touches what we write about",
    together="because you and we are in touch about your work",
    clause="because you {source}",
    openers=frozenset({
        "asked", "gave", "met", "signed", "wrote", "told", "agreed", "registered", "subscribed",
        "joined", "took", "left", "sent", "visited", "came", "spoke", "called", "handed",
        "ordered", "wished", "wanted", "said", "chose", "have", "had", "are", "were",
    }),
    closers=frozenset(),
    on_day="{source} on {day}",
    since_day="on {day}",
    months=(
        "January", "February", "March", "April", "May", "June", "July", "August", "September",
        "October", "November", "December",
    ),
    short_months=(
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ),
    weekdays=("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    day=f"{{day}}{_NB}{{month}}",
    day_year=f"{{day}}{_NB}{{month}}{_NB}{{year}}",
    weekday_day_year=f"{{weekday}} {{day}}{_NB}{{month}}{_NB}{{year}}",
    signals=MappingProxyType({
        "people": "People", "launch": "Launch", "deal": "Deal", "results": "Results",
        "regulation": "Regulation", "price": "Price", "incident": "Incident", "place": "Place",
    }),
    languages=MappingProxyType({
        "ar": "Arabic", "cs": "Czech", "da": "Danish", "de": "German", "en": "English",
        "es": "Spanish", "fi": "Finnish", "fr": "French", "it": "Italian", "ja": "Japanese",
        "ko": "Korean", "nl": "Dutch", "no": "Norwegian", "nb": "Norwegian", "pl": "Polish",
        "pt": "Portuguese", "sv": "Swedish", "zh": "Chinese",
    }),
    units=("million", "billion", "percent", "per cent", "euros", "dollars", "pounds", "years",
           "months", "weeks", "days", "hours", "minutes", "volts"),
    every_weekday="every {weekday}",
    every=MappingProxyType({
        "weekly": ("every week", "every {n} weeks"),
        "monthly": ("every month", "every {n} months"),
        "quarterly": ("every quarter", "every {n} quarters"),
    }),
)  # fmt: skip

GERMAN = Words(
    number="Nr.",
    no="Nr.",
    our_take="Unsere Sicht",
    also_noted="Außerdem notiert",
    new_with_us="Neu bei uns",
    one_thing="Wovon wir Ihnen vielleicht nie erzählt haben",
    you_in_the_news="Sie in den Nachrichten",
    write_to="An {name} schreiben",
    why="Sie bekommen diesen Brief, {because}.",
    leave="Diesen Brief abbestellen",
    on_the_web="Im Browser lesen",
    to_first_story="Zur ersten Meldung",
    link_to_story="Link zu Meldung {number}",
    written_in="auf {language}",
    internal_for="Intern, für {name}",
    for_your_accounts="Für Ihre Kunden und Kontakte",
    sales_none="Alle, die Sie betreuen, haben diese Meldungen schon. Diesmal ist nichts zu tun.",
    sales_untouched="Diese Meldungen berühren keine Ihrer Firmen. Diesmal ist nichts zu tun.",
    sales_headlines="In dieser Ausgabe steht keine Meldung zum Weitergeben. Was nur notiert ist, "
    "steht ohne unsere Sicht und bleibt bei ihren Lesern.",
    sales_some=_german_summary,
    keep_inside="Bitte diese Mail selbst nicht weitergeben. Sie nennt Ihre Firmen.",
    between_us="Unter uns:",
    has_not_had="Kennt Meldung {number} noch nicht",
    your_accounts="Ihre Firmen in Meldung {number}",
    forward_it="Weitergeben",
    touches_none="Berührt keine Ihrer Firmen.",
    your_people="Ihre {people}: {parts}.",
    had_it="{count} bekommen diesen Brief",
    people=lambda n: f"{n}{_NB}Person" if n == 1 else f"{n}{_NB}Personen",
    greeting="Guten Morgen.",
    greeting_name="Guten Morgen, {name}.",
    asked="weil Sie darum gebeten haben",
    interest="weil Ihre Arbeit berührt, worüber wir schreiben",
    together="weil wir mit Ihnen über Ihre Arbeit im Gespräch sind",
    clause="weil Sie {source}",
    openers=frozenset(),
    closers=frozenset({
        "haben", "hatten", "sind", "waren", "wollten", "wünschten", "baten", "gaben",
    }),
    on_day="{source} ({day})",
    since_day="({day})",
    months=(
        "Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September",
        "Oktober", "November", "Dezember",
    ),
    short_months=(
        "Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sept.", "Okt.", "Nov.",
        "Dez.",
    ),
    weekdays=(
        "Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag",
    ),
    day=f"{{day}}.{_NB}{{month}}",
    day_year=f"{{day}}.{_NB}{{month}}{_NB}{{year}}",
    weekday_day_year=f"{{weekday}}, {{day}}.{_NB}{{month}}{_NB}{{year}}",
    signals=MappingProxyType({
        "people": "Personen", "launch": "Neuheit", "deal": "Geschäft", "results": "Zahlen",
        "regulation": "Vorschrift", "price": "Preis", "incident": "Vorfall", "place": "Standort",
    }),
    languages=MappingProxyType({
        "ar": "Arabisch", "cs": "Tschechisch", "da": "Dänisch", "de": "Deutsch",
        "en": "Englisch", "es": "Spanisch", "fi": "Finnisch", "fr": "Französisch",
        "it": "Italienisch", "ja": "Japanisch", "ko": "Koreanisch", "nl": "Niederländisch",
        "no": "Norwegisch", "nb": "Norwegisch", "pl": "Polnisch", "pt": "Portugiesisch",
        "sv": "Schwedisch", "zh": "Chinesisch",
    }),
    units=("Millionen", "Milliarden", "Prozent", "Mio.", "Mrd.", "Euro", "Dollar", "Jahre",
           "Jahren", "Monate", "Monaten", "Wochen", "Tage", "Tagen", "Stunden", "Minuten", "Volt"),
    every_weekday="jeden {weekday}",
    every=MappingProxyType({
        "weekly": ("jede Woche", "alle {n} Wochen"),
        "monthly": ("jeden Monat", "alle {n} Monate"),
        "quarterly": ("jedes Quartal", "alle {n} Quartale"),
    }),
)  # fmt: skip

LANGUAGES: Mapping[str, Words] = MappingProxyType({"en": ENGLISH, "de": GERMAN})
_RIGHT_TO_LEFT = frozenset({"ar", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"})


def primary(language: str) -> str:
    """ "de" of "de-AT"."""
    return language.replace("_", "-").split("-")[0].strip().lower()


def words(language: str) -> Words:
    """The words of a language; English for one that we do not have."""
    return LANGUAGES.get(primary(language), ENGLISH)


def direction(language: str) -> str:
    """ "rtl" or "ltr"."""
    return "rtl" if primary(language) in _RIGHT_TO_LEFT else "ltr"


def signal_word(language: str, signal: str) -> str:
    """ "Launch" for the signal "launch"; what is no signal of ours is already a word."""
    return words(language).signals.get(signal, signal)


def greeting(language: str, first_name: str) -> str:
    """How a letter opens; without a first name it greets nobody wrongly."""
    ours = words(language)
    name = first_name.strip()
    return ours.greeting_name.format(name=name) if name else ours.greeting


def issue_name(language: str, title: str, number: int) -> str:
    """An issue within a sentence or a subject: "Under Load, the month (no. 1)"."""
    return f"{title} ({words(language).no} {number})"


def short_date(language: str, day: date) -> str:
    """ "19 Nov 2026", bound by no-break spaces."""
    ours = words(language)
    month = ours.short_months[day.month - 1]
    return ours.day_year.format(day=day.day, month=month, year=day.year)


def long_date(language: str, day: date) -> str:
    """ "Thursday 19 November 2026"."""
    ours = words(language)
    return ours.weekday_day_year.format(
        weekday=ours.weekdays[day.weekday()],
        day=day.day, month=ours.months[day.month - 1], year=day.year,
    )  # fmt: skip


def day_month(language: str, day: date, beside: date | None = None) -> str:
    """ "17 November"; with its year when that is not the year of `beside`."""
    ours = words(language)
    form = ours.day if beside is not None and beside.year == day.year else ours.day_year
    return form.format(day=day.day, month=ours.months[day.month - 1], year=day.year)


def how_often(language: str, rhythm: Rhythm) -> str:
    """A rhythm in a reader's words: "every Thursday", "every 2 weeks", "every month"."""
    ours = words(language)
    if rhythm.cadence == "weekly" and rhythm.every == 1:
        weekday = rhythm.anchor.weekday() if rhythm.weekday is None else rhythm.weekday
        return ours.every_weekday.format(weekday=ours.weekdays[weekday])
    one, several = ours.every[rhythm.cadence]
    return several.format(n=f"{rhythm.every}") if rhythm.every > 1 else one


def asking_for(language: str) -> str:
    """What a letter adds to the address of a page of its own, so that it speaks as the letter.

    Nothing for English, in which a page speaks that is asked for nothing.
    """
    code = primary(language)
    return f"?lang={code}" if code in LANGUAGES and code != "en" else ""


def written_in(language: str, other: str) -> str:
    """ "in German" for a source in another language than the letter's, else ""."""
    ours = words(language)
    if not other or primary(other) == primary(language):
        return ""
    name = ours.languages.get(primary(other), "")
    return ours.written_in.format(language=name).replace(" ", _NB) if name else ""


def because(language: str, basis: Basis) -> str:
    """Why a reader gets the letter, from the recorded evidence: "because you asked for it …".

    A source that reads as a clause ("asked for it at the fair in Aalborg") is told as one; any
    other stands in brackets. A source that holds one of our words for the reader's standing, or
    an address, is left out.
    """
    ours = words(language)
    reason = {"consent": ours.asked, "legitimate_interest": ours.interest}.get(
        basis.kind, ours.together
    )
    source = " ".join(basis.source.split()).rstrip(".")
    day = day_month(language, basis.given_on)
    told = "" if str(basis.given_on.year) in source else day
    if not source or len(source) > 140 or OUR_WORDS.search(source) or re.search("@|://", source):
        return f"{reason} {ours.since_day.format(day=day)}"
    if _is_clause(ours, source):
        clause = ours.clause.format(source=source)
        return ours.on_day.format(source=clause, day=told) if told else clause
    return f"{reason} ({source}, {told})" if told else f"{reason} ({source})"


def _is_clause(ours: Words, source: str) -> bool:
    first, last = source.split()[0].lower(), source.split()[-1].lower()
    return first in ours.openers or last in ours.closers
