"""What the public pages say, in each language that a letter can be written in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from starlette.requests import Request

from pipeline.model.catalog import Catalog
from pipeline.rules.letters.language import primary

#: Where a page of a letter stands; all other pages are ours, and English.
_OF_A_LETTER = ("/leave/", "/issues/")
_ASKED = re.compile(rb"(?:^|&)lang=([a-z]{2})(?:&|$)")


@dataclass(frozen=True, slots=True)
class PageWords:
    """One language. To add one, write one of these and put it into PAGES."""

    # leaving
    named: str  #: how a letter is named in a sentence: "{title}"
    leaving: str  #: heads the page: "Leaving {letter}"
    our_letter: str  #: the letter where it is not named
    leave_lede: str
    what: str  #: asks what should stop
    this_letter: str
    this_unnamed: str
    all_letters: str  #: "Every letter from {firm}"
    all_hint: str
    stop: str
    stop_note: str
    pause: str
    pause_how: str
    # asked once more
    once_more: str
    once_more_why: str
    # left
    left: str
    left_all: str  #: of all letters, as each name with `all` in it
    left_lede: str
    left_all_lede: str
    left_note: str
    left_all_note: str
    by_mistake: str
    keep: str
    keep_all: str
    # kept
    kept: str
    kept_lede: str
    # trouble, by status: title and what to do
    trouble: Mapping[int, tuple[str, str]]
    broken: tuple[str, str]


ENGLISH = PageWords(
    named="{title}",
    leaving="Leaving {letter}",
    our_letter="our letter",
    leave_lede="One press, and the letter stops. There is no account to close and nothing to "
    "explain.",
    what="What should stop?",
    this_letter="This letter",
    this_unnamed="The one whose link you followed",
    all_letters="Every letter from {firm}",
    all_hint="No newsletter of ours will reach you again",
    stop="Stop the letter",
    stop_note="It takes effect at once. A letter already on its way may still reach you today. If "
    "a colleague passed the letter on to you, this page stops it for them and not for you.",
    pause="Or rather a pause?",
    pause_how="Answer the letter and say until when. A person reads every answer.",
    once_more="Once more, please",
    once_more_why="The letter reached its inbox only minutes ago, and some mail systems press "
    "every button to see what is behind it. Press again, so that we know it was you.",
    left="The letter has stopped",
    left_all="All our letters have stopped",
    left_lede="Thank you for reading it. We have noted that it must not go to its address again, "
    "and no list can bring it back.",
    left_all_lede="Thank you for reading. The letter’s address stands on our list of those we must "
    "not write to, and no other list can bring it back.",
    left_note="Should this letter reach you after today all the same, its link was cut short on "
    "the way: answer it with the one word “stop”, and a person will see to it.",
    left_all_note="Should a letter reach you after today all the same, its link was cut short on "
    "the way: answer it with the one word “stop”, and a person will see to it.",
    by_mistake="Pressed by mistake?",
    keep="Keep the letter after all",
    keep_all="Keep the letters after all",
    kept="The letter stays",
    kept_lede="It will come as it did before. The link at its foot stops it whenever you like.",
    trouble=MappingProxyType({
        404: (
            "There is no page here",
            "The address may have been cut short on its way. If it came with a letter, open the "
            "letter again and follow the link from there.",
        ),
        405: ("This page only shows", "It takes nothing in. Go back and use its button."),
        408: (
            "That took too long",
            "What you sent did not arrive whole, and nothing was changed. Please try again.",
        ),
        413: (
            "That was too much",
            "This page takes one small answer, and nothing was changed.",
        ),
        421: (
            "This is not the name of this page",
            "It is shown to this machine alone, under 127.0.0.1 or localhost.",
        ),
        503: (
            "Not just now",
            "Something we lean on does not answer, and nothing was changed. Please try again in "
            "a few minutes; or answer the letter, and a person will see to it.",
        ),
    }),
    broken=(
        "Something broke on our side",
        "It was not you. Please try again in a few minutes; or answer the letter, and a person "
        "will see to it.",
    ),
)  # fmt: skip

GERMAN = PageWords(
    named="„{title}“",
    leaving="{letter} abbestellen",
    our_letter="Unseren Brief",
    leave_lede="Ein Klick, und der Brief kommt nicht mehr. Sie müssen kein Konto kündigen und "
    "nichts begründen.",
    what="Was möchten Sie abbestellen?",
    this_letter="Diesen Brief",
    this_unnamed="Den Brief, dessen Link Sie hierher geführt hat",
    all_letters="Alle Briefe von {firm}",
    all_hint="Sie bekommen dann keinen Newsletter mehr von uns",
    stop="Abbestellen",
    stop_note="Das gilt sofort. Ein Brief, der schon unterwegs ist, kann Sie heute noch "
    "erreichen. Hat Ihnen jemand den Brief weitergeleitet, so bestellen Sie ihn hier für diese "
    "Person ab und nicht für sich.",
    pause="Oder lieber eine Pause?",
    pause_how="Antworten Sie auf den Brief, und schreiben Sie, bis wann. Jede Antwort liest ein "
    "Mensch.",
    once_more="Bitte noch einmal",
    once_more_why="Der Brief ist erst vor wenigen Minuten angekommen, und manche Mailsysteme "
    "drücken jeden Knopf, um zu sehen, was dahintersteckt. Klicken Sie bitte noch einmal, damit "
    "wir wissen, dass Sie es waren.",
    left="Der Brief ist abbestellt",
    left_all="Alle Briefe sind abbestellt",
    left_lede="Danke, dass Sie ihn gelesen haben. Wir haben festgehalten, dass er an diese "
    "Adresse nicht mehr gehen darf; keine Liste holt ihn zurück.",
    left_all_lede="Danke, dass Sie uns gelesen haben. Die Adresse steht nun auf der Liste derer, "
    "denen wir nicht mehr schreiben dürfen; keine andere Liste holt sie zurück.",
    left_note="Sollte dieser Brief nach dem heutigen Tag trotzdem wieder kommen, dann wurde sein "
    "Link unterwegs abgeschnitten. Antworten Sie darauf bitte mit dem einen Wort „Stopp“, und ein "
    "Mensch kümmert sich darum.",
    left_all_note="Sollte nach dem heutigen Tag trotzdem ein Brief kommen, dann wurde sein Link "
    "unterwegs abgeschnitten. Antworten Sie darauf bitte mit dem einen Wort „Stopp“, und ein "
    "Mensch kümmert sich darum.",
    by_mistake="Aus Versehen geklickt?",
    keep="Den Brief doch behalten",
    keep_all="Die Briefe doch behalten",
    kept="Der Brief bleibt Ihnen",
    kept_lede="Er kommt weiter wie bisher. Mit dem Link am Ende des Briefs können Sie ihn "
    "jederzeit abbestellen.",
    trouble=MappingProxyType({
        404: (
            "Hier ist keine Seite",
            "Vielleicht wurde die Adresse unterwegs abgeschnitten. Wenn sie aus einem Brief "
            "stammt, öffnen Sie den Brief bitte noch einmal und folgen Sie dem Link von dort.",
        ),
        405: (
            "Diese Seite zeigt nur etwas",
            "Sie nimmt nichts entgegen. Gehen Sie bitte zurück, und benutzen Sie den Knopf dort.",
        ),
        408: (
            "Das hat zu lange gedauert",
            "Was Sie gesendet haben, kam nicht vollständig an, und es wurde nichts geändert. "
            "Bitte versuchen Sie es noch einmal.",
        ),
        413: (
            "Das war zu viel",
            "Diese Seite nimmt eine kleine Antwort entgegen. Es wurde nichts geändert.",
        ),
        421: (
            "So heißt diese Seite nicht",
            "Sie wird nur auf diesem Rechner gezeigt, unter 127.0.0.1 oder localhost.",
        ),
        503: (
            "Im Moment geht es nicht",
            "Etwas, worauf wir angewiesen sind, antwortet nicht, und es wurde nichts geändert. "
            "Bitte versuchen Sie es in ein paar Minuten noch einmal. Oder antworten Sie auf den "
            "Brief, und ein Mensch kümmert sich darum.",
        ),
    }),
    broken=(
        "Bei uns ist etwas schiefgegangen",
        "Es lag nicht an Ihnen. Bitte versuchen Sie es in ein paar Minuten noch einmal. Oder "
        "antworten Sie auf den Brief, und ein Mensch kümmert sich darum.",
    ),
)  # fmt: skip

PAGES: Mapping[str, PageWords] = MappingProxyType({"en": ENGLISH, "de": GERMAN})


@dataclass(frozen=True, slots=True)
class Voice:
    """Whose pages these are, and which language each speaks.

    It hangs on the address alone, never on who has it.
    """

    firm_name: str
    shared: str = "en"  #: language of our letters, where they have one in common

    def language(self, request: Request) -> str:
        """The letter's, as its link says; else what our letters share. Other pages: English."""
        if not request.scope["path"].startswith(_OF_A_LETTER):
            return "en"
        asked = _ASKED.search(request.scope.get("query_string", b""))
        code = asked[1].decode() if asked else ""
        return code if code in PAGES else self.shared


def voice_of(catalog: Catalog) -> Voice:
    """How the pages of this firm's letters speak."""
    newsletters = [one for each in catalog.constellations for one in each.newsletters]
    codes = {primary(one.language) for one in newsletters}
    (only,) = codes if len(codes) == 1 else ("en",)
    return Voice(catalog.firm.name, only if only in PAGES else "en")
