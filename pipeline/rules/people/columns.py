"""What the columns of a people file are, told by their headers, whoever exported it."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Column = Literal[
    "address", "first_name", "last_name", "full_name", "company", "role", "language", "zone",
    "basis", "basis_source", "basis_date", "wording", "version", "opted_out", "subscribed", "id",
]  # fmt: skip

#: Headers by what they hold, folded; where a file has several, the earlier one is read first.
#: Beside the usual words: the exports of HubSpot, Salesforce, Pipedrive and Workbooks.
HEADERS: Mapping[Column, tuple[str, ...]] = {
    "address": (
        "email", "emailaddress", "workemail", "emailwork", "businessemail", "mail", "mailaddress",
        "primaryemail", "contactemail", "personemail", "personemailwork", "mainlocationemail",
        "mainlocationemailaddress", "emailadresse", "personemailother", "personemailhome",
    ),
    "first_name": ("firstname", "givenname", "forename", "personfirstname", "vorname"),
    "last_name": ("lastname", "surname", "familyname", "personlastname", "nachname"),
    "full_name": ("fullname", "contactname", "personname", "contact", "name"),
    "company": (
        "accountkey", "account", "accountname", "company", "companyname", "organization",
        "organisation", "organizationname", "organisationname", "employer", "employername",
        "personorganization", "personorganisation", "associatedcompanyprimary",
        "primaryassociatedcompany", "associatedcompany", "firm", "firma", "unternehmen",
    ),
    "role": (
        "jobtitle", "personjobtitle", "role", "position", "jobposition", "title", "persontitle",
    ),
    "language": (
        "language", "preferredlanguage", "languagecode", "languagelocalekey", "locale",
        "hslanguage", "personlanguage", "sprache",
    ),
    "zone": ("timezone", "zone", "tz", "timezonesidkey", "hstimezone"),
    "basis": (
        "basis", "legalbasis", "lawfulbasis", "gdprbasis", "hslegalbasis",
        "legalbasisforprocessingcontactsdata",
    ),
    "basis_source": (
        "basissource", "sourceofbasis", "legalbasissource", "consentsource", "optinsource",
    ),
    "basis_date": (
        "basisdate", "basison", "dateofbasis", "basisgivenon", "givenon", "legalbasisdate",
        "consentdate", "dateofconsent", "optindate",
    ),
    "wording": ("wording", "basiswording", "consentwording", "consenttext"),
    "version": ("wordingversion", "basisversion", "consentversion"),
    "opted_out": (
        "optedout", "optout", "unsubscribed", "unsubscribedat", "unsubscribedfromallemail",
        "emailoptout", "emailoptedout", "hasoptedoutofemail", "hsemailoptout", "donotemail",
        "donotcontact", "noemail", "noemailsoliciting",
    ),
    "subscribed": (
        "subscribed", "subscriptionstatus", "marketingstatus", "personmarketingstatus",
    ),
    "id": (
        "hubspotid", "salesforceid", "pipedriveid", "workbooksid", "externalid", "crmid",
        "recordid", "contactid", "contactid18", "personid", "objectref", "objectreference", "id",
    ),
}  # fmt: skip

#: Beginnings of headers that name a subscription: "Opted out of email: Marketing".
_BEGINNINGS: tuple[tuple[str, Column], ...] = (
    ("optedoutofemail", "opted_out"),
    ("hsemailoptout", "opted_out"),
)

#: Headers that give away which system wrote the file, and its column of ids.
_SYSTEMS: tuple[tuple[str, frozenset[str], tuple[str, ...]], ...] = (
    (
        "pipedrive",
        frozenset({"personemailwork", "personorganization", "personmarketingstatus"}),
        ("personid", "id"),
    ),
    (
        "workbooks",
        frozenset({"objectref", "objectreference", "noemailsoliciting", "mainlocationemail"}),
        ("objectref", "objectreference", "id"),
    ),
    (
        "hubspot",
        frozenset({"recordid", "unsubscribedfromallemail", "associatedcompany", "hsemailoptout"}),
        ("recordid", "contactid"),
    ),
    (
        "salesforce",
        frozenset({"hasoptedoutofemail", "emailoptout", "accountid", "contactid18"}),
        ("contactid18", "contactid", "id"),
    ),
)

_NAMED_SYSTEMS = {
    "hubspotid": "hubspot",
    "salesforceid": "salesforce",
    "pipedriveid": "pipedrive",
    "workbooksid": "workbooks",
    "externalid": "external",
    "crmid": "external",
}


@dataclass(frozen=True, slots=True)
class Columns:
    """Where each thing stands in a row."""

    at: Mapping[Column, tuple[int, ...]]  #: positions, the one to read first in front
    ids: tuple[tuple[str, int], ...]  #: (system, position)
    headers: tuple[str, ...]  #: as written

    def taken_for(self) -> tuple[tuple[str, str], ...]:
        """Each header with what it was taken for; "" for one that is not used."""
        found: dict[int, str] = {i: name for name, places in self.at.items() for i in places}
        found |= {i: f"{system} id" for system, i in self.ids}
        return tuple((header, found.get(i, "")) for i, header in enumerate(self.headers))

    @property
    def known(self) -> int:
        return sum(1 for _, name in self.taken_for() if name)


@lru_cache(maxsize=2048)
def fold(text: str) -> str:
    """Letters and digits only, lower case, without accents."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(letter for letter in plain if letter.isalnum())


def recognise(headers: Sequence[str]) -> Columns:
    """What each header of a file holds."""
    folded = [fold(header) for header in headers]
    at: dict[Column, tuple[int, ...]] = {}
    for column, names in HEADERS.items():
        if column == "id":
            continue
        places = [i for name in names for i, header in enumerate(folded) if header == name]
        places += [
            i
            for start, taken in _BEGINNINGS
            for i, header in enumerate(folded)
            if taken == column and header.startswith(start) and i not in places
        ]
        if places:
            at[column] = tuple(places)
    return Columns(at, _ids(folded), tuple(header.strip() for header in headers))


def _ids(folded: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """Columns of ids whose system we can tell; a bare "id" of an unknown file is only a number."""
    ids = [(_NAMED_SYSTEMS[name], i) for i, name in enumerate(folded) if name in _NAMED_SYSTEMS]
    present = frozenset(folded)
    for system, signs, names in _SYSTEMS:
        if signs & present or any(n.startswith(system) for n in folded):
            ids += [(system, folded.index(name)) for name in names if name in present][:1]
            break
    first: dict[str, int] = {}
    for system, i in ids:
        first.setdefault(system, i)
    return tuple(first.items())
