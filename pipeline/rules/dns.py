"""What a sender's records in the domain name system say: SPF, DKIM and DMARC, from answers given.

Big mailbox providers refuse or hide mail of a domain without them.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as NoBase64
from collections.abc import Iterator, Mapping, Sequence

from pipeline.model.checkup import Check, Verdict

#: RFC 7208 §4.6.4: a record that needs more lookups counts as broken.
MOST_LOOKUPS = 10

#: By transport: what a provider's own record must be named as in ours, and its DKIM keys.
INCLUDES: Mapping[str, str] = {"sendgrid": "sendgrid.net"}
PROVIDERS: Mapping[str, str] = {"sendgrid": "SendGrid"}  #: as people call them
SELECTORS: Mapping[str, tuple[str, ...]] = {"sendgrid": ("s1", "s2")}

SHORT_KEY, GOOD_KEY = 1024, 2048  #: bits

_TERM = re.compile(r"(?P<sign>[+?~-]?)(?P<name>[a-z0-9]+)(?:[:=](?P<value>\S+))?", re.IGNORECASE)
_LOOKING = {"include", "a", "mx", "ptr", "exists", "redirect"}

Answers = Mapping[str, Sequence[str]]


def needed(domain: str, selectors: Sequence[str], answers: Answers) -> tuple[str, ...]:
    """Names whose TXT records are still to be asked for, given what is known by now.

    Asked again with the new answers until nothing is needed: an SPF record names others.
    """
    wanted = [domain, *(f"_dmarc.{name}" for name in _with_parents(domain))]
    wanted += [f"{selector}._domainkey.{domain}" for selector in selectors]
    wanted += _included(domain, answers)
    return tuple(dict.fromkeys(name for name in wanted if name not in answers))


def judge(
    domain: str, selectors: Sequence[str], answers: Answers, transport: str
) -> tuple[Check, ...]:
    """Each record of one sender's domain: is it there, is it right, and how to mend it.

    Shape:  answers maps a name to its TXT records, each as one string
    Source: RFC 7208 (SPF), 6376 (DKIM), 7489 (DMARC); the rules for bulk senders of 2024
    """
    keys = tuple(_dkim(domain, selectors, answers))
    return (
        _spf(domain, answers, transport, has_set_up(transport, keys)),
        *keys,
        _dmarc(domain, answers),
    )


def has_set_up(transport: str, keys: Sequence[Check]) -> bool:
    """Whether a provider that sends under a name of its own has been shown to own that name.

    Such mail has its SPF at the provider's name (em….DOMAIN), which is set up together with the
    keys, and never at ours.
    """
    return transport in SELECTORS and all(key.verdict in ("good", "doubtful") for key in keys)


def _check(verdict: Verdict, what: str, mend: str = "") -> Check:
    return Check("DNS", verdict, what, mend)


# ── SPF ──────────────────────────────────────────────────────────────────────────────────


def _spf_records(name: str, answers: Answers) -> list[str]:
    return [text for text in answers.get(name, ()) if re.match(r"v=spf1(\s|$)", text.lower())]


def _terms(record: str) -> Iterator[tuple[str, str, str]]:
    """(sign, mechanism, value) of each term, in lower case."""
    for word in record.split()[1:]:
        if found := _TERM.match(word):
            yield found["sign"], found["name"].lower(), (found["value"] or "").lower()


def _included(domain: str, answers: Answers) -> list[str]:
    """Names of the records that this one leans on, and those of theirs."""
    found: list[str] = []
    waiting = [domain]
    while waiting and len(found) <= MOST_LOOKUPS:
        for record in _spf_records(waiting.pop(0), answers):
            for _, name, value in _terms(record):
                if name in ("include", "redirect") and value and value not in (*found, domain):
                    found.append(value)
                    waiting.append(value)
    return found


def _lookups(domain: str, answers: Answers) -> int:
    names = [domain, *_included(domain, answers)]
    records = [record for name in names for record in _spf_records(name, answers)[:1]]
    return sum(name in _LOOKING for record in records for _, name, _ in _terms(record))


def _end(domain: str, answers: Answers) -> str:
    """The sign of `all`, be it in a record that this one hands over to; empty when there is none.

    Source: RFC 7208 §6.1 (redirect counts only where there is no `all`)
    """
    for _ in range(MOST_LOOKUPS):
        terms = [term for record in _spf_records(domain, answers)[:1] for term in _terms(record)]
        for sign, name, _ in terms:
            if name == "all":
                return sign or "+"
        domain = next((value for _, name, value in terms if name == "redirect"), "")
    return ""


def _spf(domain: str, answers: Answers, transport: str, set_up: bool) -> Check:
    """Shape:  set_up as has_set_up() says"""
    records = _spf_records(domain, answers)
    include = INCLUDES.get(transport, "")
    if not records:
        return _no_spf(domain, transport, set_up)
    if len(records) > 1:
        return _check(
            "bad", f"{domain} has {len(records)} SPF records, which counts as none.",
            "Make one record of them.",
        )  # fmt: skip
    ends = _end(domain, answers)
    if ends == "+":
        return _check(
            "bad", f"The SPF record of {domain} ends with +all: everybody may send in its name.",
            "End it with ~all or -all.",
        )  # fmt: skip
    if (lookups := _lookups(domain, answers)) > MOST_LOOKUPS:
        return _check(
            "bad",
            f"The SPF record of {domain} needs {lookups} lookups; more than {MOST_LOOKUPS} count "
            "as broken.",
            "Take out what you no longer send with.",
        )
    names = _included(domain, answers)
    named = any(name == include or name.endswith(f".{include}") for name in names)
    if include and not named and not set_up:
        return _check(
            "doubtful", f"The SPF record of {domain} does not name {include}.",
            "Let it verify the domain: add the CNAME records that it names. With them it sends "
            "under a name of its own, and needs none here.",
        )  # fmt: skip
    if ends in ("", "?"):
        return _check(
            "doubtful", f"The SPF record of {domain} refuses nobody.", "End it with ~all or -all."
        )
    return _check("good", f"{domain} has an SPF record ({lookups} of {MOST_LOOKUPS} lookups).")


def _no_spf(domain: str, transport: str, set_up: bool) -> Check:
    provider = PROVIDERS.get(transport, "")
    if set_up:
        return _check(
            "good",
            f"{domain} needs no SPF record for {provider}: it sends under a name of its own.",
        )
    if provider:
        return _check(
            "doubtful",
            f"{domain} has no SPF record; for {provider} it needs none once set up.",
            "Let it verify the domain: add the CNAME records that it names.",
        )
    return _check(
        "bad", f"{domain} has no SPF record: nobody can tell who may send in its name.",
        f"Add a TXT record at {domain}: v=spf1 include:RELAY ~all",
    )  # fmt: skip


# ── DKIM ─────────────────────────────────────────────────────────────────────────────────


def _tags(record: str) -> dict[str, str]:
    parts = (part.partition("=") for part in record.split(";"))
    return {name.strip().lower(): "".join(value.split()) for name, _, value in parts}


def _dkim(domain: str, selectors: Sequence[str], answers: Answers) -> Iterator[Check]:
    if not selectors:
        yield _check(
            "unknown", f"Whether mail of {domain} is signed (DKIM) cannot be looked up.",
            "Set ASTERISM_DKIM_SELECTOR to the selector that your relay or provider names.",
        )  # fmt: skip
    for selector in selectors:
        name = f"{selector}._domainkey.{domain}"
        yield _key(name, answers.get(name, ()))


def _key(name: str, records: Sequence[str]) -> Check:
    keys = [tags for tags in map(_tags, records) if "p" in tags]
    if not keys:
        return _check(
            "bad", f"There is no DKIM key at {name}: signatures cannot be checked.",
            "Add the record that your relay or provider shows (TXT or CNAME).",
        )  # fmt: skip
    key = keys[0]["p"]
    if not key:
        return _check("bad", f"The DKIM key at {name} is revoked.", "Publish the new key.")
    if keys[0].get("k", "rsa").lower() == "ed25519":
        return _check(
            "doubtful", f"The DKIM key at {name} is Ed25519, which many receivers do not know.",
            "Sign with an RSA key of 2048 bits, too.",
        )  # fmt: skip
    try:
        # what surrounds the number itself in the key's encoding is about 38 bytes long
        bits = round((len(b64decode(key, validate=True)) - 38) / 32) * 256
    except (NoBase64, ValueError):
        return _check(
            "bad", f"The DKIM key at {name} is damaged: it is no base64.", "Publish it again."
        )
    if bits < SHORT_KEY:
        return _check(
            "bad", f"The DKIM key at {name} is shorter than {SHORT_KEY} bits.",
            f"Publish one of {GOOD_KEY} bits.",
        )  # fmt: skip
    if bits < GOOD_KEY:
        return _check(
            "doubtful", f"The DKIM key at {name} has {bits} bits.",
            f"Change it to {GOOD_KEY} bits when there is time.",
        )  # fmt: skip
    return _check("good", f"There is a DKIM key of {bits} bits at {name}.")


# ── DMARC ────────────────────────────────────────────────────────────────────────────────


def _with_parents(domain: str) -> list[str]:
    """A domain and those above it; which of them is the organisation's only a list would tell."""
    labels = domain.split(".")
    return [".".join(labels[n:]) for n in range(max(1, len(labels) - 1))]


def _dmarc(domain: str, answers: Answers) -> Check:
    for name in _with_parents(domain):
        records = [t for t in answers.get(f"_dmarc.{name}", ()) if t.lower().startswith("v=dmarc1")]
        if len(records) > 1:
            return _check(
                "bad", f"_dmarc.{name} has {len(records)} records, which counts as none.",
                "Make one record of them.",
            )  # fmt: skip
        if records:
            return _policy(domain, name, _tags(records[0]))
    return _check(
        "bad", f"{domain} has no DMARC record; big mailbox providers ask for one.",
        f"Begin with a TXT record at _dmarc.{domain}: v=DMARC1; p=none; rua=mailto:ADDRESS",
    )  # fmt: skip


def _policy(domain: str, name: str, tags: Mapping[str, str]) -> Check:
    policy = tags.get("sp" if name != domain and "sp" in tags else "p", "").lower()
    if policy == "none":
        return _check(
            "doubtful", f"The DMARC record of {name} asks for nothing (p=none).",
            "Good to begin with; go to p=quarantine when its reports are clean.",
        )  # fmt: skip
    if policy not in ("quarantine", "reject"):
        return _check(
            "bad", f"The DMARC record of {name} has no policy that is one.",
            "Write p=none, p=quarantine or p=reject.",
        )  # fmt: skip
    return _check("good", f"{name} has a DMARC record (p={policy}).")
