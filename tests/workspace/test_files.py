"""The files read together: what they say when they are right, and every mistake when not."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import replace
from datetime import date, time
from fractions import Fraction
from pathlib import Path

import pytest

from pipeline.errors import BadInput, Down, NotFound
from pipeline.model.catalog import Cap, Rhythm, Selectors, Word
from pipeline.workspace import output
from pipeline.workspace.files import FileWorkspace
from pipeline.workspace.starter import init
from tests.workspace.conftest import FEEDS, FERRIES, FIRM, Folder

FERRY_FILE = "constellations/ferries.yaml"


def line_of(text: str, passage: str) -> int:
    return text[: text.index(passage)].count("\n") + 1


# ── what right files say ─────────────────────────────────────────────────────────────────


def test_the_firm(folder: Folder) -> None:
    firm = folder.catalog().firm
    assert firm.base_url == "https://letters.quaytide.example"
    assert firm.mail_domain == "quaytide.example"
    assert firm.holidays == (date(2027, 1, 1), date(2027, 5, 17))
    assert firm.staff[0].signature == "Liv Haugen\n*Quay & Tide*"
    assert firm.services[0].contact == "tom"
    assert firm.news[0].on == date(2027, 3, 1)
    assert firm.cap == Cap(8, 30)


def test_the_sources(folder: Folder) -> None:
    coast, board = folder.catalog().sources
    assert (coast.kind, coast.pace_s, coast.weight, coast.selectors) == ("feed", 3600, 1.0, None)
    assert (board.kind, board.pace_s, board.weight, board.language) == ("page", 5400, 1.5, "nb")
    assert board.selectors == Selectors("article.news", "h3", "h3 > a[href]", "time", "")


def test_a_constellation_is_named_by_its_file(folder: Folder) -> None:
    (ferries,) = folder.catalog().constellations
    assert ferries.key == "ferries"
    assert ferries.words == (Word("ferry", 1.0), Word("battery ferry", 3.0))
    assert ferries.purchases_per_year == Fraction(1, 2)
    northline, skagen = ferries.accounts
    assert northline.suppliers == ("Havn Marine",)
    assert (skagen.purchases_per_year, skagen.may_be_named) == (Fraction(2), True)


def test_the_newsletters(folder: Folder) -> None:
    weekly, monthly = folder.catalog().constellations[0].newsletters
    assert weekly.rhythm == Rhythm(
        "weekly", "Europe/Oslo", time(7, 30), date(2027, 1, 7), every=2, weekday=3,
        on_holiday="before", late="send", late_within_h=48,
    )  # fmt: skip
    assert (weekly.lead_days, weekly.cut_off_h, weekly.deadline_h) == (6, 48, 5)
    assert (weekly.sender, weekly.reply_to) == ("owner", "sender")
    assert weekly.invitation_title == "Half an hour, nothing to buy"
    assert (monthly.rhythm.weekday, monthly.rhythm.nth, monthly.rhythm.late) == (4, -1, "skip")
    assert (monthly.mode, monthly.recap_of) == ("automatic", "ferry-weekly")
    assert monthly.constellation == "ferries"


def test_keys_without_a_value_count_as_left_out(folder: Folder) -> None:
    folder.change("firm.yaml", '    phone: "+47 55 00 00 01"', "    phone:")
    folder.change(FERRY_FILE, "ignore: [cruise]", "ignore:\n  # - cruise")
    catalog = folder.catalog()
    assert catalog.firm.staff[0].phone == ""
    assert catalog.constellations[0].ignore == ()


def test_words_may_be_a_list(folder: Folder) -> None:
    folder.change(FERRY_FILE, "words:\n  ferry: 1\n  battery ferry: 3",
                  "words:\n  - ferry\n  - battery ferry: 3\n  - quay:")  # fmt: skip
    assert folder.catalog().constellations[0].words == (
        Word("ferry", 1.0), Word("battery ferry", 3.0), Word("quay", 1.0),
    )  # fmt: skip


def test_an_alias_in_yaml_saves_writing(folder: Folder) -> None:
    folder.change(FERRY_FILE, "positioning: We", "positioning: &sentence We")
    folder.change(
        FERRY_FILE,
        "    fallback: headlines\n    positioning: We time ferries, so that you need not guess.",
        "    fallback: headlines\n    positioning: *sentence",
    )
    weekly, monthly = folder.catalog().constellations[0].newsletters
    assert monthly.positioning == weekly.positioning != ""


def test_marks_of_merge_fields_cannot_be_smuggled_in(folder: Folder) -> None:
    folder.change(FERRY_FILE, "Half an hour, nothing to buy", '"Half \\ue000leave_url\\ue001"')
    assert folder.catalog().constellations[0].newsletters[0].invitation_title == "Half leave_url"


def test_the_digest_follows_every_file_and_nothing_else(folder: Folder) -> None:
    first = folder.catalog().digest
    folder.write("templates/letter.txt.j2", "Good morning\n")
    folder.write("output/mail/index.html", "…")
    assert folder.catalog().digest == first
    folder.write(FERRY_FILE, FERRIES + "# a comment\n")
    second = folder.catalog().digest
    folder.change(FERRY_FILE, "accounts:", "accounts_from: more.csv\naccounts:")
    folder.write("constellations/more.csv", "key,name,relationship\nfjord,Fjord,prospect\n")
    third = folder.catalog().digest
    folder.write("constellations/more.csv", "key,name,relationship\nfjord,Fjords,prospect\n")
    assert len({first, second, third, folder.catalog().digest}) == 4


# ── accounts from a table ────────────────────────────────────────────────────────────────


def test_accounts_from_a_table_follow_those_of_the_file(folder: Folder) -> None:
    folder.change(FERRY_FILE, "accounts:", "accounts_from: more.csv\naccounts:")
    folder.write(
        "constellations/more.csv",
        "\ufeffKey;Name;Relationship;Aliases;Owner;May be named;Purchases per year;Domain\r\n"
        'fjord;"Fjord & ""Sund""";customer;"Fjordlinjen; Fjord AS";liv;Yes;1/2;fjord.example\r\n'
        ";;;;;;;\r\n"
        "blå;Blå;prospect;;;no;0,5;\r\n".replace("blå;", "bla;"),
    )
    accounts = folder.catalog().constellations[0].accounts
    assert [a.key for a in accounts] == ["northline", "skagen-ruter", "fjord", "bla"]
    fjord, blue = accounts[2:]
    assert (fjord.name, fjord.aliases) == ('Fjord & "Sund"', ("Fjordlinjen", "Fjord AS"))
    assert (fjord.may_be_named, fjord.purchases_per_year) == (True, Fraction(1, 2))
    assert (blue.name, blue.purchases_per_year, blue.owner) == ("Blå", Fraction(1, 2), "")


def test_mistakes_of_a_table_have_their_place(folder: Folder) -> None:
    folder.change(FERRY_FILE, "accounts:", "accounts_from: more.csv\naccounts:")
    folder.write(
        "constellations/more.csv",
        "key,name,relationship,owner,aliases\n"
        "fjord,Fjord,custmer,liv,\n"
        "northline,Nord,prospect,livv,Skagen ruter\n"
        '"two\nlines",Sund,prospect,,,,"extra"\n'
        ",Nameless,prospect,,\n",
    )
    assert folder.mistakes() == [
        'constellations/more.csv:2:13: relationship: "custmer" is not one of prospect, customer, '
        'did you mean "customer"?',
        'constellations/more.csv:3:1: key: the account key "northline" is taken '
        f"(the first is {FERRY_FILE}:{line_of(FERRIES, 'key: northline') + 1})",
        'constellations/more.csv:3:25: owner: "livv" is nobody of the staff in firm.yaml, '
        'did you mean "liv"?',
        'constellations/more.csv:3:30: aliases: "Skagen ruter" already means the account '
        f'"skagen-ruter" (the first is {FERRY_FILE}:{line_of(FERRIES, "name: Skagen") + 1})',
        "constellations/more.csv:5:24: this line has 7 cells, but there are 5 columns; put quotes "
        "round a cell that holds the separator",
        'constellations/more.csv:6:1: key: "key" is missing: How we name it; never changes.',
    ]


@pytest.mark.parametrize(
    ("table", "mistakes"),
    [
        ("name,relationship\nA,prospect\n", ['1:1: the column "key" is missing']),
        ("", ['1:1: the column "key" is missing', '1:1: the column "name" is missing',
              '1:1: the column "relationship" is missing']),
        ("key,name,relationship,Onwer\n", ['1:23: the column "Onwer" is not known here, '
                                           'did you mean "owner"?']),
        ("key,name,relationship,name\n", ['1:23: the column "name" stands twice']),
        ('key,name,relationship\na,"A,prospect\n', ["2:3: this quotation mark is never closed",
         '2:3: name: must be one line']),
    ],
)  # fmt: skip
def test_a_table_that_is_none(folder: Folder, table: str, mistakes: list[str]) -> None:
    folder.change(FERRY_FILE, "accounts:", "accounts_from: more.csv\naccounts:")
    folder.write("constellations/more.csv", table)
    found = folder.mistakes()
    assert found[0] == f"constellations/more.csv:{mistakes[0]}"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_as_spreadsheets_save_them(folder: Folder, encoding: str, separator: str) -> None:
    folder.change(FERRY_FILE, "accounts:", "accounts_from: more.csv\naccounts:")
    rows = [["key", "name", "relationship"], ["sund", "Øresund", "prospect"]]
    text = "\r\n".join(separator.join(row) for row in rows)
    folder.write("constellations/more.csv", text.encode(encoding))
    assert folder.catalog().constellations[0].accounts[-1].name == "Øresund"


def test_a_table_that_is_not_there(folder: Folder) -> None:
    folder.change(FERRY_FILE, "accounts:", "accounts_from: mroe.csv\naccounts:")
    folder.write("constellations/more.csv", "key,name,relationship\n")
    assert folder.mistakes() == [
        f"{FERRY_FILE}:{line_of(FERRIES, 'accounts:')}:16: accounts_from: there is no "
        'constellations/mroe.csv, did you mean "more.csv"?'
    ]


def test_a_table_elsewhere_is_refused(folder: Folder) -> None:
    folder.change(FERRY_FILE, "accounts:", "accounts_from: ../../secret.csv\naccounts:")
    (mistake,) = folder.mistakes()
    assert "must be the name of a .csv file beside this one" in mistake


# ── mistakes, one by one ─────────────────────────────────────────────────────────────────

FIRM_MISTAKES = [
    ("name: Quay", "nmae: Quay", ['1:1: name: "name" is missing: The firm\'s name, as it stands '
     "in letters.", '1:1: nmae: the key "nmae" is not known here, did you mean "name"?']),
    ("name: Quay & Tide", "name:", ["1:1: name: has no value"]),
    ("name: Quay & Tide", "name: [Quay]", ["1:7: name: must be text, not a list"]),
    ("name: Quay & Tide", "name: 360", ['1:7: name: must be text: put quotes round it, "360"']),
    ("name: Quay & Tide", 'name: "Quay\\nBcc: x"', ["1:7: name: must be one line of plain text"]),
    ("https://letters", "ftp://letters", ['3:11: base_url: "ftp://letters.quaytide.example/" is no '
     "web address: it must begin with https:// or http://"]),
    ("quaytide.example/", "quaytide.example/?a=1", ["3:11: base_url: must end with the host or a "
     "path, without ? or #"]),
    ("desk@quay", "desk quay", ['4:10: contact: "desk quaytide.example" is no e-mail address: the '
     "address holds a space, a line break or another unseen character"]),
    ("staff:", "api_key: x\nstaff:", ['5:1: api_key: "api_key" looks like a secret: it belongs in '
     ".env, never in this file (see .env.example)"]),
    ("staff:", "smtp_password: x\nstaff:", ['5:1: smtp_password: "smtp_password" looks like a '
     "secret: it belongs in .env, never in this file (see .env.example)"]),
    ("staff:", "brand: {color: teal}\nstaff:", ['5:16: brand.color: "teal" is no colour: write '
     'six hex digits with quotes, "#0F5C5A"']),
    ("staff:", "brand: {color: #0F5C5A}\nstaff:", None),
    ("staff:", "cap: {letters: 0}\nstaff:", ["5:16: cap.letters: must be at least 1, not 0"]),
    ("staff:", "cap: {letters: 2.5}\nstaff:", ["5:16: cap.letters: must be a whole number, "
     "not 2.5"]),
    ("staff:", "cap: 8\nstaff:", ["5:6: cap: must be a group of keys with values, not 8"]),
    ("staff:", "mailbox_read: yes\nstaff:", ['5:15: mailbox_read: must be true or false, '
     'not "yes"']),
    ("staff:", "mail_domain: https://quaytide.example/x\nstaff:", ["5:14: mail_domain: must be "
     "the bare domain, such as quaytide.example"]),
    ("services:", "  - {key: Eva Ålesund, name: Eva, address: e@x.example}\nservices:",
     ['17:11: staff.2.key: "Eva Ålesund" is no key: small letters a to z, digits and hyphens, '
      'such as "eva-alesund"']),
    ("    role: partner", "    rol: partner", ['9:5: staff.0.rol: the key "rol" is not known '
     'here, did you mean "role"?']),
    ("    role: partner", "    name: Liv", ['9:5: staff.0.name: "name" stands twice (the first in '
     "line 7)"]),
    ("date: 2027-03-01", "date: 2027-02-30", ['26:11: news.0.date: "2027-02-30" is no day: write '
     "year-month-day, such as 2027-01-07"]),
    ("  - 2027-05-17", "  - 17.5.2027", ['28:5: holidays.0: "17.5.2027" is no day: write '
     "year-month-day, such as 2027-01-07"]),
    ("{date: 2027-01-01, name", "{day: 2027-01-01, name", ['29:5: holidays.1: the key "day" is '
     "not known here (there is: date, name)"]),
    ("{date: 2027-01-01, name: New Year's Day}", "", ["29:4: holidays.1: has no value"]),
    ("contact: tom", "contact: thomas", ['21:14: services.0.contact: "thomas" is nobody of the '
     'staff in firm.yaml, did you mean "tom"?']),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "mistakes"), FIRM_MISTAKES)
def test_mistakes_in_firm_yaml(
    folder: Folder, old: str, new: str, mistakes: list[str] | None
) -> None:
    folder.change("firm.yaml", old, new)
    found = folder.mistakes()
    if mistakes is None:
        assert len(found) == 1
    else:
        assert len(found) == len(mistakes)
        assert all(
            has.startswith(f"firm.yaml:{wants}") for has, wants in zip(found, mistakes, strict=True)
        ), found


FEED_MISTAKES = [
    ("url: https://coastwire", "url: coastwire", '4:10: sources.0.url: "coastwire.example/feed" '
     "is no web address: it must begin with https:// or http://"),
    ("https://coastwire", "https://me:pw@coastwire", "4:10: sources.0.url: an address must not "
     "hold a name or password: this file is for everybody to read"),
    ("https://coastwire.example/feed", "https://[coastwire", "4:10: sources.0.url: "
     '"https://[coastwire" is no web address'),
    ("[ferries]", "[ferry]", "5:22: sources.0.constellations.0: there is no constellations/"
     'ferry.yaml, did you mean "ferries"?'),
    ("[ferries]", "[]", "5:21: sources.0.constellations: needs at least one entry"),
    ("[ferries]", "ferries", "5:21: sources.0.constellations: must be a list: [one, two], or one "
     'entry a line with a dash before it, not "ferries"'),
    ("kind: page", "kind: web", '9:11: sources.1.kind: "web" is not one of feed, page'),
    ("    kind: page\n", "", "13:5: sources.1.selectors: a feed needs no selectors"),
    ("pace: 90 min", "pace: 90", '11:11: sources.1.pace: say the unit, too: "90 h" or "90 days"'),
    ("pace: 90 min", "pace: 5 min", '11:11: sources.1.pace: "5 min" is too often'),
    ("pace: 90 min", "pace: 2 dys", '11:11: sources.1.pace: "dys" is no unit of time, did you mean '
     '"days"?'),
    ("pace: 90 min", "pace: soon", '11:11: sources.1.pace: "soon" is no length of time'),
    ("weight: 1.5", "weight: 5", "12:13: sources.1.weight: must be at most 3, not 5"),
    ("weight: 1.5", "weight: .nan", '12:13: sources.1.weight: ".nan" is not of the type !!float'),
    ("language: nb", "language: norsk", '13:15: sources.1.language: "norsk" is no language'),
    ("items: article.news", 'items: "article["', '15:14: sources.1.selectors.items: "article[" is '
     "no CSS selector: malformed attribute selector at position 7"),
    ("      link: h3 > a[href]\n", "", '14:5: sources.1.selectors.link: "link" is missing: The <a> '
     "that leads to it."),
    ("  - key: harbour-board", "  - key: coast-wire", '6:10: sources.1.key: the source key '
     '"coast-wire" is taken (the first is feeds.yaml:2)'),
    ("https://harbourboard.example/news", "https://coastwire.example/feed", "8:10: sources.1.url: "
     "another source has this address (the first is feeds.yaml:4)"),
    ("  - key: harbour-board", "  - was: coast-wire\n    key: harbour-board", "6:10: sources.1."
     'was: the source "coast-wire" still stands; `was` names a key that is no more'),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "mistake"), FEED_MISTAKES)
def test_mistakes_in_feeds_yaml(folder: Folder, old: str, new: str, mistake: str) -> None:
    folder.change("feeds.yaml", old, new)
    (found,) = folder.mistakes()
    assert found.startswith(f"feeds.yaml:{mistake}")


LETTER_MISTAKES = [
    ("expert: liv", "expert: lif", '3:9: expert: "lif" is nobody of the staff in firm.yaml, did '
     'you mean "liv"?'),
    ("ferry: 1", "ferry: 11", "8:10: words.ferry: must be at most 10, not 11"),
    ("ferry: 1\n  battery ferry: 3", "- battery ferry: 3\n  - ferry: often",
     '7:1: words.ferry: must be a number, not "often"'),
    ("ferry: 1", "ferry: often", '8:10: words.ferry: must be a number, not "often"'),
    ("ignore: [cruise]", "ignore: [FERRY]", '10:10: ignore.0: "FERRY" is watched under `words`'),
    ("relationship: prospect", "relationship: prospekt", '16:19: accounts.0.relationship: '
     '"prospekt" is not one of prospect, customer, did you mean "prospect"?'),
    ("    name: Skagen Ruter", "    name: northline ferries", "20:11: accounts.1.name: "
     '"northline ferries" already means the account "northline" (the first is '
     "constellations/ferries.yaml:14)"),
    ("purchases_per_year: 2", "purchases_per_year: 1/0", '23:25: accounts.1.purchases_per_year: '
     '"1/0" is no amount'),
    ("every: 2 weeks", "every: 2 weks", '28:14: newsletters.0.rhythm.every: "2 weks" is no rhythm'),
    ("every: 2 weeks", "every: month", "29:11: newsletters.0.rhythm.on: a month has four or five "
     "of them: say which"),
    ("on: thursday", "on: day 15", "29:11: newsletters.0.rhythm.on: a rhythm of weeks wants one "
     "weekday"),
    ("on: thursday", "on: first thursday", "29:11: newsletters.0.rhythm.on: a rhythm of weeks "
     "wants one weekday"),
    ("on: thursday", "on: thurday", '29:11: newsletters.0.rhythm.on: "thurday" is no such day: '
     'write thursday, day 15, last day, first tuesday or last friday, did you mean "thursday"?'),
    ("on: thursday", "on: day 32", '29:11: newsletters.0.rhythm.on: "day 32" is no such day'),
    ('at: "07:30"', 'at: "7.30"', '30:11: newsletters.0.rhythm.at: "7.30" is no time of day'),
    ('at: "07:30"', "at: 24:00", '30:11: newsletters.0.rhythm.at: "24:00" is no time of day'),
    ("zone: Europe/Oslo", "zone: Europe/Olso", '31:13: newsletters.0.rhythm.zone: "Europe/Olso" is '
     'no time zone, did you mean "Europe/Oslo"?'),
    ("zone: Europe/Oslo", "zone: ../../etc/passwd", "31:13: newsletters.0.rhythm.zone: "),
    ("      zone: Europe/Oslo\n", "", '27:5: newsletters.0.rhythm.zone: "zone" is missing: Whose '
     "local time"),
    ("from: 2027-01-07", "from: spring", '32:13: newsletters.0.rhythm.from: "spring" is no day'),
    ("holidays: before", "holidays: never", '33:17: newsletters.0.rhythm.holidays: "never" is not '
     "one of skip, before, after"),
    ("late: send within 2 days", "late: 2 days", '34:13: newsletters.0.rhythm.late: "2 days" is no '
     'policy: write "send within 24 h" or "skip"'),
    ("late: send within 2 days", "late: send within 3 weeks", "34:13: newsletters.0.rhythm.late: a "
     "missed issue would still go out when the next one is due"),
    ("review_window: 24 h", "review_window: 0 h", "51:20: newsletters.1.review_window: must be at "
     "least 1 h: its approver looks at it before it goes by itself"),
    ("lead: 6 days", "lead: 48 h", '35:11: newsletters.0.lead: "48 h" must be whole days: write '
     '"2 days"'),
    ("lead: 6 days", "lead: 36 h", '35:11: newsletters.0.lead: "36 h" must be whole days'),
    ("lead: 6 days", "lead: 2 days", "36:14: newsletters.0.cut_off: content would freeze 48 h "
     "ahead"),
    ("deadline: 5 h", "deadline: 3 days", "37:15: newsletters.0.deadline: approval would be due "
     "72 h ahead"),
    ("floor: 2", "floor: 7", "38:12: newsletters.0.floor: at least 7 and at most 6 stories"),
    ("floor: 2", "floor: two", '38:12: newsletters.0.floor: must be a whole number, not "two"'),
    ("sender: owner", "sender: olaf", '40:13: newsletters.0.sender: "olaf" is nobody of the staff '
     "in firm.yaml"),
    ("recap_of: ferry-weekly", "recap_of: ferry-weakly", "48:15: newsletters.1.recap_of: "
     '"ferry-weakly" is no newsletter, did you mean "ferry-weekly"?'),
    ("recap_of: ferry-weekly", "recap_of: ferry-monthly", "48:15: newsletters.1.recap_of: a "
     "newsletter cannot be the recap of itself"),
    ("mode: automatic", "mode: automatik", '47:11: newsletters.1.mode: "automatik" is not one of '
     'curated, automatic, did you mean "automatic"?'),
    ("review_window: 24 h", "review_window: 30 days", "51:20: newsletters.1.review_window: people "
     "would have 720 h to look at an issue that is opened 120 h ahead"),
    ("  - key: ferry-monthly", "  - key: ferry-weekly", "45:10: newsletters.1.key: the newsletter "
     'key "ferry-weekly" is taken (the first is constellations/ferries.yaml:25)'),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "mistake"), LETTER_MISTAKES)
def test_mistakes_in_a_constellation(folder: Folder, old: str, new: str, mistake: str) -> None:
    folder.change(FERRY_FILE, old, new)
    found = folder.mistakes()
    assert found[0].startswith(f"{FERRY_FILE}:{mistake}"), found
    assert len(found) == 1 or "ferry-weekly" in new, found


# ── mistakes, all at once ────────────────────────────────────────────────────────────────


def test_all_mistakes_of_all_files_come_together_and_sorted(folder: Folder) -> None:
    folder.change("firm.yaml", "key: tom", "key: thomas")
    folder.change("feeds.yaml", "weight: 1.5", "weight: 15")
    folder.change("feeds.yaml", "[ferries]", "[trams]")
    folder.change(FERRY_FILE, "zone: Europe/Oslo", "zone: Oslo")
    folder.change(FERRY_FILE, "sender: owner", "sender: tom")
    places = [mistake.split(" ")[1] for mistake in folder.mistakes()]
    assert places == [
        "curator:", "accounts.0.owner:", "newsletters.0.rhythm.zone:", "newsletters.0.sender:",
        "sources.0.constellations.0:", "sources.1.weight:", "services.0.contact:",
    ]  # fmt: skip


def test_a_mistake_breeds_no_second_one(folder: Folder) -> None:
    """Each of these values is wrong, and something else would be wrong because of it."""
    folder.change("feeds.yaml", "kind: page", "kind: pgae")  # then it has selectors
    folder.change(FERRY_FILE, "every: 2 weeks", "every: often")  # then `on` fits nothing
    folder.change(FERRY_FILE, "cut_off: 2 days", "cut_off: later")  # then the deadline is longer
    folder.change(FERRY_FILE, "deadline: 5 h", "deadline: 30 h")
    folder.change(FERRY_FILE, "ceiling: 6", "ceiling: few")  # then the floor may be higher
    folder.change(FERRY_FILE, "floor: 2", "floor: 40")
    assert [mistake.split(" ")[1] for mistake in folder.mistakes()] == [
        "newsletters.0.rhythm.every:", "newsletters.0.cut_off:", "newsletters.0.ceiling:",
        "sources.1.kind:",
    ]  # fmt: skip


def test_a_broken_file_does_not_hide_the_mistakes_of_others(folder: Folder) -> None:
    folder.change("firm.yaml", "staff:", "staff: [")
    folder.change("feeds.yaml", "weight: 1.5", "weight: 15")
    folder.change(FERRY_FILE, "curator: tom", "curator: nobody-knows")
    assert [m.split(": ")[0] for m in folder.mistakes()] == ["feeds.yaml:12:13", "firm.yaml:6:3"]


def test_a_broken_constellation_is_still_there_for_its_sources(folder: Folder) -> None:
    folder.write(FERRY_FILE, "name: [")
    (mistake,) = folder.mistakes()
    assert (
        mistake
        == f"{FERRY_FILE}:1:8: a value is missing here, or a bracket before it is never closed"
    )


def test_nothing_of_a_list_is_lost_behind_an_entry_that_cannot_be_read(folder: Folder) -> None:
    folder.change("firm.yaml", "  - key: liv\n    name", "  - keey: liv\n    name")
    folder.change("firm.yaml", "address: tom@quaytide.example", "address: tom")
    found = folder.mistakes()
    places = [": ".join(mistake.split(": ")[:2]) for mistake in found]
    assert places == [
        f"{FERRY_FILE}:3:9: expert", f"{FERRY_FILE}:5:11: approver",
        "firm.yaml:6:5: staff.0.keey", "firm.yaml:6:5: staff.0.key",
        "firm.yaml:16:14: staff.1.address",
    ]  # fmt: skip


def test_the_error_says_what_to_do(folder: Folder) -> None:
    folder.change("feeds.yaml", "weight: 1.5", "weight: 15")
    with pytest.raises(BadInput) as raised:
        folder.catalog()
    assert str(raised.value) == (
        "feeds.yaml:12:13: sources.1.weight: must be at most 3, not 15\n"
        "1 mistake in the workspace's files.\n"
        "Nothing was applied. Correct them and run `asterism check`."
    )


def test_names_of_constellation_files(folder: Folder) -> None:
    folder.write("constellations/Tram Lines.yaml", "name: Trams\nabout: x\nexpert: liv\n"
                 "curator: tom\napprover: liv\n")  # fmt: skip
    folder.write("constellations/buses.yml", "name: x")
    folder.write("constellations/.ferries.yaml.swp", "\0")
    folder.write("constellations/notes.txt", "x")
    assert folder.mistakes() == [
        "constellations/Tram Lines.yaml:1:1: the file's name is the constellation's key: small "
        "letters a to z, digits and hyphens, such as power-tools.yaml",
        "constellations/buses.yml:1:1: is not read: rename it to buses.yaml",
    ]


@pytest.mark.parametrize("content", ["- a\n- b\n", "just text\n", "42\n"])
def test_a_file_that_holds_something_else(folder: Folder, content: str) -> None:
    folder.write("feeds.yaml", content)
    (mistake,) = folder.mistakes()
    assert mistake.startswith("feeds.yaml:1:1: must hold keys with values, not ")


def test_an_empty_file_misses_what_it_must_hold(folder: Folder) -> None:
    folder.write("feeds.yaml", "# nothing yet\n")
    assert folder.mistakes() == ['feeds.yaml:1:1: sources: "sources" is missing: One entry per '
                                 "source."]  # fmt: skip


# ── what is no workspace ─────────────────────────────────────────────────────────────────


def test_a_folder_that_is_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as raised:
        FileWorkspace(tmp_path).catalog()
    assert raised.value.message == (
        f"{tmp_path} is no workspace: firm.yaml, feeds.yaml and constellations/ are missing."
    )
    assert "asterism init DIR" in raised.value.hint


def test_a_workspace_that_lacks_one_file(folder: Folder) -> None:
    (folder.root / "feeds.yaml").unlink()
    with pytest.raises(BadInput, match=r"is no workspace: feeds\.yaml is missing\."):
        folder.catalog()


def test_a_folder_inside_a_workspace_names_the_workspace(folder: Folder) -> None:
    with pytest.raises(BadInput) as raised:
        FileWorkspace(folder.root / "constellations").catalog()
    assert raised.value.hint == (
        f"{folder.root} is one: go there, or name it with `asterism -C {folder.root} …`."
    )


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="There is no folder"):
        FileWorkspace(tmp_path / "nowhere").catalog()


# ── templates and output ─────────────────────────────────────────────────────────────────


def test_templates_are_read_from_the_workspace(folder: Folder) -> None:
    workspace = FileWorkspace(folder.root)
    assert workspace.template("letter.txt.j2") == "Hello\n"
    for name in ("nope.j2", "../firm.yaml", "/etc/passwd", "", "."):
        with pytest.raises(NotFound):
            workspace.template(name)
    folder.write("templates/latin.j2", "Grüße".encode("latin-1"))
    with pytest.raises(BadInput, match="UTF-8"):
        workspace.template("latin.j2")


def test_output_is_written_whole_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "mail/a/b.eml"
    output.write_whole(path, b"first")
    output.write_whole(path, b"second")
    assert path.read_bytes() == b"second"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["b.eml"]


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "output/a.txt"
    output.write_whole(path, b"first")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Down, match="The disk is full"):
        output.write_whole(path, b"second")
    assert path.read_bytes() == b"first"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.txt"]


def test_a_really_full_disk() -> None:
    """/dev/full answers every write as a full disk does."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    full = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115
    with full, pytest.raises(OSError, match="No space left") as raised:
        full.write(b"x")
    assert output.no_room(Path("x"), raised.value).message.startswith("The disk is full")


def test_a_folder_that_cannot_be_written(folder: Folder) -> None:
    folder.write("output/mail", "a file where a folder should be")
    with pytest.raises(Down, match="cannot be written"):
        output.write_whole(folder.root / "output/mail/a.eml", b"x")


def test_feeds_and_firm_are_as_long_as_these_tests_think() -> None:
    """Line numbers above are counted in these texts."""
    assert (len(FIRM.splitlines()), len(FEEDS.splitlines())) == (29, 18)


def test_a_workspace_from_before_notices_takes_the_programs_own(tmp_path: Path) -> None:
    """What came later is not missed; what a person wrote is taken first, and the rest is."""
    init(tmp_path / "w")
    workspace = FileWorkspace(tmp_path / "w")
    folder = tmp_path / "w" / "templates"
    own = workspace.template("notice.html.j2")
    (folder / "notice.html.j2").unlink()
    assert workspace.template("notice.html.j2") == own
    (folder / "notice.html.j2").write_text("ours")
    assert workspace.template("notice.html.j2") == "ours"
    (folder / "letter.html.j2").unlink()
    with pytest.raises(NotFound, match=r"templates/letter\.html\.j2"):
        workspace.template("letter.html.j2")


# ── despite mistakes ─────────────────────────────────────────────────────────────────────


def test_a_file_with_a_mistake_gives_nothing_and_the_others_all(folder: Folder) -> None:
    whole = folder.catalog()
    folder.change(FERRY_FILE, "floor: 2", "floor: two")
    catalog, mistakes = FileWorkspace(folder.root).catalog_despite_mistakes()
    assert [str(one) for one in mistakes] == folder.mistakes()
    assert (catalog.firm, catalog.sources) == (whole.firm, whole.sources)
    assert catalog.constellations == ()
    assert catalog.digest != whole.digest


def test_no_stand_in_leaves_a_file_with_a_mistake(folder: Folder) -> None:
    whole = folder.catalog()
    folder.change("firm.yaml", "name: Quay & Tide\n", "")
    folder.change("feeds.yaml", "    url: https://coastwire.example/feed\n", "")
    catalog, mistakes = FileWorkspace(folder.root).catalog_despite_mistakes()
    assert len(mistakes) == 2
    assert (catalog.firm.name, catalog.firm.staff) == ("", ())
    assert catalog.firm.postal_address == whole.firm.postal_address
    assert catalog.sources == ()
    assert catalog.constellations == whole.constellations


def test_without_mistakes_it_is_the_same_catalog(folder: Folder) -> None:
    catalog, mistakes = FileWorkspace(folder.root).catalog_despite_mistakes()
    assert mistakes == ()
    assert catalog == replace(folder.catalog(), doubts=())
