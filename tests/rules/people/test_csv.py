"""A people file: what is found out about it, what is taken, what is told as a problem."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import BadInput
from pipeline.model.people import Basis, ImportRow
from pipeline.rules.people import csv as people_csv
from pipeline.rules.people.csv import PeopleFile, parse_people
from tests.builders import CATALOG

TODAY = date(2027, 3, 8)

PLAIN = """\
Email,First name,Last name,Company,Job title,Language,Time zone,Basis,Basis source,Basis date,\
Wording
ingrid@northline.example,Ingrid,Åås,Northline,Head of berths,en-GB,Europe/Oslo,consent,\
asked for it at the Quay Days,2026-09-01,"Yes, write"
ole@elsewhere.example,Ole,Dahl,Blue Strait,,,,,,,
"""
INGRID = ImportRow(
    line=2,
    address="ingrid@northline.example",
    account_key="northline",
    first_name="Ingrid",
    last_name="Åås",
    role="Head of berths",
    language="en-GB",
    zone="Europe/Oslo",
    basis=Basis("consent", "asked for it at the Quay Days", date(2026, 9, 1), "Yes, write"),
)
OLE = ImportRow(
    line=3,
    address="ole@elsewhere.example",
    account_key="blue-strait",
    first_name="Ole",
    last_name="Dahl",
)


def parse(text: str | bytes) -> PeopleFile:
    raw = text if isinstance(text, bytes) else text.encode()
    return parse_people(raw, "people.csv", CATALOG, TODAY)


def one(text: str) -> ImportRow:
    read = parse(text)
    assert read.problems == ()
    (row,) = read.rows
    return row


# ── bytes ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"]
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_separators_and_line_ends(encoding: str, delimiter: str, end: str) -> None:
    text = PLAIN.replace('"Yes, write"', "Yes and write").replace(",", delimiter)
    read = parse(text.replace("\n", end).encode(encoding))
    assert read.problems == ()
    assert read.rows[0].last_name == "Åås"
    assert read.rows[0].basis is not None
    assert read.rows[0].basis.wording == "Yes and write"
    assert read.rows[1] == OLE
    assert read.total == 2


def test_a_plain_file() -> None:
    read = parse(PLAIN)
    assert read.rows == (INGRID, OLE)
    assert read.problems == read.remarks == ()
    assert dict(read.columns)["Job title"] == "role"


def test_every_cell_quoted_with_semicolons() -> None:
    assert one('"Email";"Company"\n"a@x.example";"Northline"\n').account_key == "northline"


def test_excels_own_first_line_is_skipped_and_lines_still_count() -> None:
    read = parse("sep=;\r\nEmail;Company\r\nno address;Northline\r\na@x.example;Northline\r\n")
    assert read.rows[0].line == 4
    assert read.problems[0].line == 3


def test_quoted_line_breaks_stay_in_their_cell_and_lines_still_count() -> None:
    read = parse(
        'Email,Company,Job title\na@x.example,Northline,"Chief\nPilot"\n\nnobody,Northline,\n'
    )
    assert read.rows[0].role == "Chief Pilot"
    assert read.rows[0].line == 2
    assert read.problems[0].line == 5
    assert read.total == 2


def test_blank_rows_are_no_rows_and_short_rows_are_whole() -> None:
    read = parse("Email,Company,Job title\n,,\na@northline.example\n  \n")
    assert (read.total, len(read.rows)) == (1, 1)


def test_formulas_are_kept_as_data() -> None:
    text = 'Email,Company,Name,Job title\na@x.example,Northline,=1+1,"@SUM(A1)"\n'
    row = one(text)
    assert (row.first_name, row.role) == ("=1+1", "@SUM(A1)")


def test_what_nobody_can_see_is_taken_out() -> None:
    row = one("Email,Company,First name\na@x\u200b.example,North\x00line,\u202eIn\ue000grid\x07\n")
    assert (row.address, row.account_key, row.first_name) == ("a@x.example", "northline", "Ingrid")


def test_cells_that_are_too_long_are_cut_to_what_the_store_takes() -> None:
    text = f"Email,Company,First name,Job title,Basis,Basis source,Basis date\na@x.example,\
Northline,{'n' * 5000},{'j' * 5000},consent,{'s' * 5000},2026-01-01\n"
    row = one(text)
    assert (len(row.first_name), len(row.role)) == (200, 300)


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf\r\n\r\n", "is empty"),
        (b"sep=;\n", "no column with e-mail addresses"),
        (b"PK\x03\x04" + b"\0" * 100, "Excel workbook"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "no column with e-mail addresses"),
        (b"<html><body>Sign in</body></html>", "no column with e-mail addresses"),
        (b"E-mails sent,Company\n3,Northline\n", "no column with e-mail addresses"),
    ],
)
def test_what_is_no_people_file(raw: bytes, what: str) -> None:
    with pytest.raises(BadInput, match=what) as caught:
        parse(raw)
    assert caught.value.hint


def test_a_missing_column_is_told_with_its_place() -> None:
    with pytest.raises(BadInput) as caught:
        parse("\n\nName;Phone\nOle;1\n")
    (mistake,) = caught.value.mistakes
    assert str(mistake).startswith("people.csv:3:1: no column with e-mail addresses.")
    assert "Found: Name, Phone." in mistake.what
    assert "Looked for: Email" in mistake.what


def test_a_quote_that_is_not_closed_is_told_with_its_place() -> None:
    with pytest.raises(BadInput, match="quotation mark") as caught:
        parse('Email,Name\na@x.example,Ole\nb@x.example,"Liv\nc@x.example,Tom\n')
    assert str(caught.value.mistakes[0]).startswith("people.csv:3:1: ")


def test_too_many_bytes_or_rows() -> None:
    with pytest.raises(BadInput, match="20 MB"):
        parse(b"Email\n" + b"x" * people_csv.MAX_BYTES)
    rows = "a@x.example\n" * (people_csv.MAX_ROWS + 1)
    with pytest.raises(BadInput, match="200,000 rows"):
        parse(f"Email\n{rows}")


# ── columns ──────────────────────────────────────────────────────────────────────────────

HUBSPOT = """\
"Record ID","First Name","Last Name","Email","Associated Company","Job Title",\
"Opted out of email: Marketing Information","Opted out of email: One to One",\
"Unsubscribed from all email","Preferred language","Time Zone",\
"Legal basis for processing contact's data","Create Date"
"51","Ingrid","Aas","ingrid@northline.example","Northline AS","Head of berths","","","",\
"en-gb","europe_slash_oslo","Legitimate interest – prospect/lead","2026-01-01"
"52","Ole","Dahl","ole@northline.example","Northline AS","","Yes","","","","","",""
"""
SALESFORCE = """\
Id,FirstName,LastName,Email,Account.Name,AccountId,Title,HasOptedOutOfEmail,LanguageLocaleKey
003A1,Ingrid,Aas,ingrid@northline.example,Northline,001A1,Head of berths,0,en_US
003A2,Ole,Dahl,ole@northline.example,Northline,001A1,,1,
"""
SALESFORCE_REPORT = """\
Contact ID;First Name;Last Name;Title;Account Name;Email;Email Opt Out
003A1;Ingrid;Aas;Head of berths;Northline;ingrid@northline.example;0
003A2;Ole;Dahl;;Northline;ole@northline.example;1
"""
PIPEDRIVE = """\
Person - ID,Person - Name,Person - Organization,Person - Email - Work,Person - Email - Home,\
Person - Title,Person - Marketing status
7,Ingrid Aas,Northline,ingrid@northline.example,,Head of berths,Subscribed
8,Ole Dahl,Northline,,ole@northline.example,,Unsubscribed
"""
WORKBOOKS = """\
Object Ref,First Name,Last Name,Title,Job Title,Employer,Main Location: Email,No Email Soliciting
PERS-1,Ingrid,Aas,Ms,Head of berths,Northline,ingrid@northline.example,false
PERS-2,Ole,Dahl,Mr,,Northline,ole@northline.example,true
"""


@pytest.mark.parametrize(
    ("text", "system", "ids"),
    [
        (HUBSPOT, "hubspot", ("51", "52")),
        (SALESFORCE, "salesforce", ("003A1", "003A2")),
        (SALESFORCE_REPORT, "salesforce", ("003A1", "003A2")),
        (PIPEDRIVE, "pipedrive", ("7", "8")),
        (WORKBOOKS, "workbooks", ("PERS-1", "PERS-2")),
    ],
)
def test_exports_of_crms(text: str, system: str, ids: tuple[str, str]) -> None:
    read = parse(text)
    assert read.problems == ()
    ingrid, ole = read.rows
    assert (ingrid.address, ingrid.first_name, ingrid.last_name, ingrid.role) == (
        "ingrid@northline.example", "Ingrid", "Aas", "Head of berths",
    )  # fmt: skip
    assert (ingrid.account_key, ole.account_key) == ("northline", "northline")
    assert (ingrid.opted_out, ole.opted_out) == (False, True)
    assert ole.role == ""
    assert (ingrid.external, ole.external) == (((system, ids[0]),), ((system, ids[1]),))


def test_hubspots_own_spellings() -> None:
    read = parse(HUBSPOT)
    assert (read.rows[0].language, read.rows[0].zone) == ("en-GB", "Europe/Oslo")
    assert read.rows[0].basis is None  # a kind without source and date is no evidence
    assert "without its source and date" in read.remarks[0].what
    assert dict(read.columns)["Create Date"] == ""


def test_a_bare_id_of_an_unknown_file_is_only_a_number() -> None:
    assert one("id,Email,Company\n1,a@x.example,Northline\n").external == ()
    assert one("HubSpot ID,Email,Company\n1,a@x.example,Northline\n").external == (
        ("hubspot", "1"),
    )


@pytest.mark.parametrize(
    "header",
    ["email", "E-mail address", "WORK EMAIL", "e_mail", " Email ", "Person - Email - Work",
     "E-Mail-Adresse", "É-mail"],
)  # fmt: skip
def test_headers_in_any_case_and_punctuation(header: str) -> None:
    assert one(f"{header},account key\na@x.example,northline\n").account_key == "northline"


def test_the_first_address_that_is_there_counts() -> None:
    row = one("Work email,Email,Company\n,a@x.example,Northline\n")
    assert row.address == "a@x.example"
    row = one("Work email,Email,Company\nb@x.example,a@x.example,Northline\n")
    assert row.address == "a@x.example"  # the plain name comes first


# ── rows ─────────────────────────────────────────────────────────────────────────────────

HEADER = "Email,Company,Basis,Basis source,Basis date,Opted out\n"


@pytest.mark.parametrize(
    ("row", "column", "what"),
    [
        (",Northline,,,,", "Email", "no address"),
        ("nobody,Northline,,,,", "Email", "no @"),
        ('"a@x.example\r\nBcc: b@x.example",Northline,,,,', "Email", "line break"),
        ('"a@x.example\n",Northline,,,,', "Email", "line break"),
        ("a@x.example,Nowhere Lines,,,,", "Company", "'Nowhere Lines'"),
        ("a@x.example,,,,,", "Company", "no company"),
        ("a@x.example,Northline,goodwill,us,2026-01-01,", "Basis", "'goodwill'"),
        ("a@x.example,Northline,consent,us,last summer,", "Basis date", "no date"),
        ("a@x.example,Northline,consent,us,03/04/2026,", "Basis date", "no date"),
        ("a@x.example,Northline,consent,us,2028-01-01,", "Basis date", "future"),
        ("a@x.example,Northline,consent,us,,,,yes", "row", "8 cells"),
    ],
)
def test_a_bad_row_is_a_problem_and_the_others_go_on(row: str, column: str, what: str) -> None:
    read = parse(f"{HEADER}first@x.example,Northline,,,,\n{row}\nlast@x.example,Northline,,,,\n")
    assert [good.address for good in read.rows] == ["first@x.example", "last@x.example"]
    (problem,) = read.problems
    assert (problem.line, problem.column) == (3, column)
    assert what in problem.what
    assert read.total == 3


def test_all_problems_of_a_row_are_told_at_once() -> None:
    read = parse(f"{HEADER}a@x.example,Nowhere,goodwill,,,\n")
    assert [problem.column for problem in read.problems] == ["Company", "Basis"]


def test_the_second_of_two_with_one_address_is_a_problem() -> None:
    read = parse("Email,Company\nA@x.example,Northline\na@X.example,Blue Strait\n")
    assert [row.account_key for row in read.rows] == ["northline"]
    assert read.problems[0].line == 3
    assert "line 2" in read.problems[0].what


def test_who_is_out_in_either_of_two_rows_is_out() -> None:
    read = parse(f"{HEADER}a@x.example,Northline,,,,\nA@x.example,Northline,,,,yes\n")
    (row,) = read.rows
    assert row.opted_out


def test_an_id_that_comes_twice_is_a_problem() -> None:
    read = parse("Email,Company,HubSpot ID\na@x.example,Northline,1\nb@x.example,Northline,1\n")
    assert [row.address for row in read.rows] == ["a@x.example"]
    assert (read.problems[0].column, read.problems[0].line) == ("HubSpot ID", 3)


def test_who_opted_out_is_taken_down_whatever_else_is_wrong() -> None:
    read = parse(f"{HEADER}a@x.example,Nowhere,goodwill,us,someday,yes\n")
    (row,) = read.rows
    assert (row.opted_out, row.account_key, row.basis) == (True, "", None)
    assert read.problems == ()
    assert {remark.column for remark in read.remarks} == {"Company", "Basis"}


def test_a_basis_needs_its_source_and_its_date() -> None:
    read = parse(f"{HEADER}a@x.example,Northline,consent,,2026-01-01,\n")
    assert read.rows[0].basis is None
    assert read.remarks[0].what == "a basis without its source is none"


def test_one_clear_date_tells_how_to_read_the_others() -> None:
    rows = "a@x.example,Northline,consent,us,03/04/2026,\nb@x.example,Northline,consent,us,"
    read = parse(f"{HEADER}{rows}31/12/2026,\n")
    assert [row.basis.given_on for row in read.rows if row.basis] == [
        date(2026, 4, 3),
        date(2026, 12, 31),
    ]


def test_an_account_is_found_by_the_domain_when_the_name_is_strange() -> None:
    assert one("Email,Company\na@crew.northline.example,N.L. Holding\n").account_key == "northline"
    assert one("Email,Company\na@northline.example,Blue Strait\n").account_key == "blue-strait"


@given(st.binary(max_size=300))
def test_no_bytes_break_it(raw: bytes) -> None:
    try:
        read = parse(b"Email,Company,Basis,Basis date,Opted out\n" + raw)
    except BadInput:
        return
    taken = {row.line for row in read.rows}
    assert not taken & {problem.line for problem in read.problems}
    assert len(taken) + len({problem.line for problem in read.problems}) == read.total


CELLS = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a@x.example", "A@X.example", "b@x.example", "c@y.example", "", "no"]),
            st.sampled_from(["Northline", "Blue Strait", "Nowhere"]) | CELLS,
            CELLS,
        ),
        max_size=12,
    )
)
def test_every_row_is_taken_or_told_and_never_both(rows: list[tuple[str, str, str]]) -> None:
    lines = [",".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row) for row in rows]
    read = parse("\n".join(["Email,Company,First name", *lines]))
    taken = [row.line for row in read.rows]
    told = {problem.line for problem in read.problems}
    assert not set(taken) & told
    assert len(taken) + len(told) == read.total
    assert len({row.address.lower() for row in read.rows}) == len(taken)
