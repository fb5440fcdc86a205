"""Tells what kind of event a text is, by phrases that a person can read and extend."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import BadInput
from pipeline.model.news import SIGNALS, Signal, SignalHit
from pipeline.rules.news.words import Folded, fold, lead_of

#: A kind named only in the lead counts so much of one named in the headline.
LEAD = 0.5
#: Each further block of the same kind that speaks adds so much.
AGAIN = 0.25
#: Words of the text that are read as its lead.
LEAD_WORDS = 60
#: How many words a "…" may stand for.
GAP_WORDS = 5

_NUMBER = r"[€£$]?\d[\d.,]*\s?(?:%|bn|m|k)?"
_BETWEEN = r"\W{1,3}"
_GAP = rf"(?:{_BETWEEN}\w+(?:['.,]\w+)*){{0,{GAP_WORDS}}}?{_BETWEEN}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One block of the rules file, made ready."""

    signal: Signal
    weight: float
    says: re.Pattern[str]
    unless: re.Pattern[str] | None


Rules = tuple[Rule, ...]


def parse_rules(text: str, name: str = "signals.toml") -> Rules:
    """Read the rules file.

    Raises: BadInput for TOML that cannot be read, an unknown kind or key, an empty phrase
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{name}: {error}", "Mend that line; nothing was read.") from error
    return tuple(
        _rule(signal, block, f"{name}: [[{signal}]] {number}")
        for signal, blocks in tables.items()
        for number, block in enumerate(_listed(blocks, f"{name}: {signal}"), 1)
    )


def find_signals(rules: Rules, title: str, text: str) -> tuple[SignalHit, ...]:
    """The kinds of event a text tells, each once with the words that say so.

    Shape:  the strongest first, which is the story's signal; equals in the order of SIGNALS
    """
    found: dict[Signal, SignalHit] = {}
    headline, lead = fold(title), fold(lead_of(text, LEAD_WORDS))
    for rule in rules:
        for place, factor in ((headline, 1.0), (lead, LEAD)):
            words = _words(rule, place)
            if words:
                _add(found, rule.signal, words, rule.weight * factor)
                break
    return tuple(sorted(found.values(), key=lambda h: (-h.weight, SIGNALS.index(h.signal))))


def _add(found: dict[Signal, SignalHit], signal: Signal, words: str, weight: float) -> None:
    before = found.get(signal)
    if before is None:
        found[signal] = SignalHit(signal, words, weight)
    elif weight > before.weight:
        found[signal] = SignalHit(signal, words, weight + AGAIN)
    else:
        found[signal] = SignalHit(signal, before.evidence, before.weight + AGAIN)


def _words(rule: Rule, text: Folded) -> str:
    """The words by which a block speaks in this text; "" when it does not."""
    hit = rule.says.search(text.folded)
    if hit is None or (rule.unless is not None and rule.unless.search(text.folded)):
        return ""
    return text.shown[hit.start() : hit.end()]


# ── reading the file ─────────────────────────────────────────────────────────────────────


def _listed(value: Any, where: str) -> Sequence[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(block, dict) for block in value):
        raise BadInput(f"{where} is no list of blocks.", "Begin each block with [[kind]].")
    return value


def _rule(signal: str, block: Mapping[str, Any], where: str) -> Rule:
    if signal not in SIGNALS:
        raise BadInput(f"{where}: no such kind.", f"The kinds are {', '.join(SIGNALS)}.")
    unknown = sorted(set(block) - {"says", "unless", "weight"})
    if unknown:
        raise BadInput(f"{where}: unknown key {unknown[0]}.", "Use says, unless and weight.")
    weight = block.get("weight", 2)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight <= 3:
        raise BadInput(f"{where}: weight is {weight}.", "Give a number above 0, up to 3.")
    says = [*_phrases(block.get("says"), f"{where}: says")]
    if not says:
        raise BadInput(f"{where}: says is missing.", "Give at least one phrase.")
    unless = [*_phrases(block.get("unless", []), f"{where}: unless")]
    return Rule(signal, float(weight), _either(says), _either(unless) if unless else None)


def _phrases(value: Any, where: str) -> Iterator[str]:
    if value is None:
        return
    if not isinstance(value, list) or not all(isinstance(p, str) and p.strip() for p in value):
        raise BadInput(f"{where} is no list of phrases.", 'Write ["steps down", "appoints"].')
    for phrase in value:
        yield _pattern(phrase, where)


def _pattern(phrase: str, where: str) -> str:
    """A phrase as a regular expression over folded text."""
    out = ""
    joint = ""
    for word in fold(phrase).folded.split():
        if word in ("…", "..."):
            if not out or joint == _GAP:
                raise BadInput(f"{where}: “{phrase}”.", "A … stands between two words.")
            joint = _GAP
        else:
            out += joint + "(?:" + "|".join(_word(w) for w in word.split("|")) + ")"
            joint = _BETWEEN
    if joint == _GAP:
        raise BadInput(f"{where}: “{phrase}”.", "A … stands between two words.")
    return out


def _word(word: str) -> str:
    if word == "#":
        return _NUMBER
    if word.endswith("*") and word != "*":
        return re.escape(word[:-1]) + r"\w*"
    return re.escape(word)


def _either(patterns: Sequence[str]) -> re.Pattern[str]:
    return re.compile(r"(?<!\w)(?:" + "|".join(patterns) + r")(?!\w)")
