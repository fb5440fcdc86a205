"""A mail that was copied to us: what it says, and that nothing in it stops or delays us."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rules.people.copied_mail import (
    LONGEST_SUBJECT,
    MOST_HEAD,
    MOST_LINKS,
    MOST_RECIPIENTS,
    MOST_TEXT,
    digest_of,
    read_mail,
)
from tests.builders import NOW
from tests.mails import mail

OURS = "quaytide.example"
STORY = "https://coastwire.example/1"


def read(raw):
    return read_mail(raw, OURS)


def headed(*lines, body="Hello."):
    return ("\r\n".join(lines) + f"\r\n\r\n{body}").encode()


def test_it_says_who_wrote_what_to_whom_and_when():
    found = read(mail(f"See {STORY}.", to="A <Ada@Northline.example>, bo@northline.example"))
    assert found.sender == "tom@quaytide.example"
    assert found.recipients == ("ada@northline.example", "bo@northline.example")
    assert (found.subject, found.links) == ("Our talk", (STORY,))
    assert (found.at(NOW), found.left_out) == (NOW, None)
    assert not [word for word in ("@", "Our talk") if word in repr(found)]


@pytest.mark.parametrize(
    ("line", "addresses"),
    [
        ('"Strand, Ada" <ada@northline.example>', ["ada@northline.example"]),
        ('"bo@northline.example" <ada@northline.example>', ["ada@northline.example"]),
        ("bo@northline.example <ada@northline.example>", ["ada@northline.example"]),
        ("Friends: ada@northline.example, <bo@northline.example>;",
         ["ada@northline.example", "bo@northline.example"]),
        ("ada@northline.example (Ada (who else))", ["ada@northline.example"]),
        ("=?utf-8?q?=C3=85da?= <ada@northline.example>", ["ada@northline.example"]),
        ("ada@Nørthline.example", ["ada@xn--nrthline-54a.example"]),
        ("undisclosed-recipients:;", []),
        ("<>, @, a@, @b.example, ada@northline", []),
    ],
)  # fmt: skip
def test_recipients_are_read_as_people_write_them(line, addresses):
    assert list(read(headed("From: a@b.example", f"To: {line}")).recipients) == addresses


def test_to_and_cc_count_and_everybody_once():
    found = read(headed("To: a@b.example", "Cc: c@d.example,\r\n A@b.example", "Bcc: x@y.example"))
    assert found.recipients == ("a@b.example", "c@d.example")


def test_a_mail_by_two_is_by_nobody():
    assert read(headed("From: tom@quaytide.example, liv@quaytide.example")).sender == ""
    assert read(headed("From: tom@quaytide.example", "From: liv@quaytide.example")).sender == ""


@pytest.mark.parametrize(
    ("line", "subject"),
    [
        ("=?utf-8?b?w4VwZW4gw6VwZW4=?= to all", "Åpen åpen to all"),
        ("=?iso-8859-1?q?caf=E9?=", "café"),
        ("=?no-such-charset?q?caf=C3=A9?=", "café"),
        (r"\ud800 =?utf-8?q?half=00?=", "half"),
        ("=?punycode?b?aWRuYS14?= =?idna?q?x?=", "idna-xx"),
        ("=?utf-8?b?not base64!?=", "=?utf-8?b?not base64!?="),
        ("tab\tand\x07bell \u202eand turned", "tab and bell and turned"),
        ("x" * 500, "x" * (LONGEST_SUBJECT - 1) + "…"),
        ("", ""),
    ],
)
def test_a_subject_is_one_plain_line(line, subject):
    assert read(headed(f"Subject: {line}")).subject == subject


# ── when ─────────────────────────────────────────────────────────────────────────────────


def dated(sent, received=None):
    lines = ["From: a@b.example", f"Date: {sent}"]
    if received:
        lines.insert(0, f"Received: from a by b; {received}")
    return read(headed(*lines)).at(NOW)


def test_a_date_counts_when_it_can_be():
    assert dated("Mon, 8 Mar 2027 08:00:00 +0100") == datetime(2027, 3, 8, 7, tzinfo=UTC)
    assert dated("Sun, 7 Feb 2027 09:00:00 +0000") == NOW - timedelta(days=29)
    assert dated("Mon, 8 Mar 2027 09:04:00 +0000") == NOW, "a clock may be ahead a little"


@pytest.mark.parametrize(
    "wrong",
    ["Mon, 8 Mar 2027 10:00:00 +0000", "Fri, 5 Feb 2027 09:00:00 +0000", "1 Jan 1970 00:00:00 GMT",
     "yesterday", "", "Mon, 99 Xyz 99999 99:99:99 +9999", "31 Dec 9999 23:59:59 -2359"],
)  # fmt: skip
def test_a_date_that_cannot_be_is_now(wrong):
    assert dated(wrong) == NOW
    assert dated(wrong, "Sun, 7 Mar 2027 09:00:00 +0000") == NOW - timedelta(days=1)


def test_a_mail_that_came_long_ago_is_told_as_such():
    old = "Fri, 5 Feb 2027 09:00:00 +0000"
    assert dated(old, old) is None
    assert dated("nonsense", old) is None


# ── what no person wrote ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"Auto-Submitted": "auto-replied (vacation)"}, "automatic"),
        ({"X-Autoreply": "yes"}, "automatic"),
        ({"Precedence": "auto_reply"}, "automatic"),
        ({"Auto-Submitted": "no"}, None),
        ({"Return-Path": "<>"}, "bounce"),
        ({"Return-Path": "<tom@quaytide.example>"}, None),
        ({"List-Id": "<talk.fair.example>"}, "mailing_list"),
        ({"Precedence": "bulk"}, "mailing_list"),
        ({"List-Unsubscribe": "<https://x.example/>", "Feedback-ID": "1:2:3:4"}, "our_own_letter"),
        ({"Message-ID": f"<{'a2' * 13}@quaytide.example>"}, "our_own_letter"),
        ({"Message-ID": f"<{'a2' * 13}@other.example>"}, None),
    ],
)  # fmt: skip
def test_each_kind_of_mail_that_is_no_touch(headers, why):
    assert read(mail(number=0, headers=headers)).left_out == why


def test_bounces_are_known_by_their_form_too():
    report = headed("From: Tom <tom@quaytide.example>", "Content-Type: multipart/report; x=y")
    assert read(report).left_out == "bounce"
    assert read(headed("From: <MAILER-DAEMON@mx.example>")).left_out == "bounce"
    assert read(b"").left_out == "unreadable"
    assert read(b"no head at all").left_out == "unreadable"


# ── links ────────────────────────────────────────────────────────────────────────────────


def test_links_are_found_in_text_once_each():
    text = f"({STORY}), <{STORY}?utm_source=x>, http://www.coastwire.example/1. ftp://x.example"
    assert read(mail(text)).links == (STORY,)


def test_a_mail_of_markup_alone_is_read_too():
    raw = EmailMessage()
    raw["From"] = "tom@quaytide.example"
    raw.set_content(
        f"<p>see <a class=x href = '{STORY}?a=1&amp;b=2'>this</a> or https://x.example/y</p>",
        subtype="html", cte="base64",
    )  # fmt: skip
    assert read(raw.as_bytes()).links == (f"{STORY}?a=1&b=2", "https://x.example/y")


def test_the_text_goes_before_the_markup_and_quoted_lines_are_another_s():
    markup = f'<a href="{STORY}">x</a>'
    assert read(mail("see https://x.example/2", html=markup)).links == ("https://x.example/2",)
    assert read(mail("nothing here", html=markup)).links == (STORY,)
    assert read(mail(f"yes\n\n> see {STORY}\n>> and {STORY}")).links == ()


def test_a_link_that_a_scanner_wrapped_is_unwrapped():
    wrapped = "https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fcoastwire.example%2F1&data=x"
    assert read(mail(f"see {wrapped}")).links == (STORY,)
    evil = "https://x.example/.safelinks.protection.outlook.com/?url=https%3A%2F%2Fcoastwire.example%2F1"
    assert STORY not in read(mail(f"see {evil}")).links


def test_long_lines_and_other_codings_hide_no_link():
    filler = "wort äöü " * 40
    raw = EmailMessage()
    raw["From"] = "tom@quaytide.example"
    raw.set_content(f"{filler}{STORY} {filler}", charset="iso-8859-1", cte="quoted-printable")
    assert read(raw.as_bytes()).links == (STORY,)
    wide = b"From: a@b.example\nContent-Type: text/plain; charset=utf-16\n\n"
    assert read(wide + f"see {STORY} now".encode("utf-16")).links == (STORY,)


def test_what_hangs_on_a_mail_is_not_the_mail():
    raw = EmailMessage()
    raw["From"] = "tom@quaytide.example"
    raw.set_content("See what is attached.")
    raw.add_attachment(f"{STORY}\n", filename="story.txt")
    assert read(raw.as_bytes()).links == ()


# ── one mail is one mail ─────────────────────────────────────────────────────────────────


def test_a_mail_is_known_by_its_message_id():
    assert digest_of(mail("one")) == digest_of(mail("another", subject="too"))
    assert digest_of(mail(number=1)) != digest_of(mail(number=2))
    folded = headed("Message-ID:\r\n <1.outgoing@quaytide.example>")
    assert digest_of(folded) == digest_of(mail())


def test_without_one_it_is_known_by_what_it_says():
    plain = mail(number=0)
    assert digest_of(plain) != digest_of(mail("other", number=0))
    assert digest_of(plain) != digest_of(mail(subject="other", number=0))
    marked = b"From tom@quaytide.example Mon Mar  8 09:00:00 2027\nStatus: RO\n" + plain + b"\n"
    assert digest_of(marked) == digest_of(plain), "as an mbox holds it"


# ── hostile mail ─────────────────────────────────────────────────────────────────────────


def nested(depth):
    body = STORY.encode()
    for number in range(depth):
        mark = f"b{number}".encode()
        body = (
            b'Content-Type: multipart/mixed; boundary="%s"\n\n--%s\n%s\n--%s--\n'
            % (mark, mark, body, mark)
        )  # fmt: skip
    return b"From: tom@quaytide.example\n" + body


def test_parts_in_parts_are_followed_a_little():
    assert read(nested(0)).links == ()
    assert read(nested(3).replace(STORY.encode(), b"\n" + STORY.encode())).links == (STORY,)
    assert read(nested(500)).links == ()


HOSTILE = {
    "many_recipients": headed("To: " + ", ".join(f"n{n}@x.example" for n in range(10_000))),
    "no_recipients": headed("To: " + '<,("' * 20_000),
    "quotes": headed("To: " + '"\\' * 30_000 + "a@b.example", "From: " + '"' * 60_000),
    "escapes": headed('To: "' + "\\" * 60_001, "From: " + "(" * 60_000),
    "long_head": b"Subject: x\n" + b"X: y\n" * 2_000_000 + b"\nHello",
    "no_end": b"Subject: " + b"x" * 10_000_000,
    "nuls": b"From: tom@quaytide.example\0\nSubject: a\0b\nTo: ada@\0northline.example\n\n\0",
    "many_words": headed("Subject: " + "=?utf-8?q?=41?= " * 100_000),
    "open_words": headed("Subject: " + "=?utf-8?q?" * 100_000),
    "folds": b"Subject: x" + b"\n x" * 1_000_000 + b"\n\n",
    "many_parts": headed("Content-Type: multipart/mixed; boundary=x", body="\n--x\n\n" * 500_000),
    "short_boundary": headed("Content-Type: multipart/mixed; boundary=-", body="\n---" * 500_000),
    "deep": nested(2_000),
    "wide_and_deep": nested(30).replace(b"--b0\n", b"--b0\n" * 5_000),
    "links": mail("".join(f"https://x.example/{n}\n" for n in range(100_000))),
    "one_link": mail("https://x.example/" + "a" * 5_000_000),
    "tags": headed("Content-Type: text/html", body="<a href=" * 1_000_000),
    "less_thans": headed("Content-Type: text/html", body="<" * 5_000_000),
    "entities": headed("Content-Type: text/html", body='<a href="&amp;' * 300_000),
    "quoted_lines": mail(">" * 1_000_000 + "\n> x" * 300_000),
    "base64": headed("Content-Transfer-Encoding: base64", body="QUJD" * 2_000_000),
    "bad_base64": headed("Content-Transfer-Encoding: base64", body="Q=?" * 2_000_000),
    "equals": headed("Content-Transfer-Encoding: quoted-printable", body="=" * 5_000_000),
    "zip_charset": headed("Content-Type: text/plain; charset=zip", body="x" * 1_000_000),
    "punycode": headed("Content-Type: text/plain; charset=punycode", body="x-" * 1_000_000),
    "zeros": bytes(10_000_000),
    "breaks": b"\r" * 5_000_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_mail_is_read_as_far_as_it_goes(name):
    """A reader without bounds takes minutes for some of these, or runs out of stack."""
    raw = HOSTILE[name]
    found = read(raw)
    assert len(digest_of(raw)) == 64
    assert len(found.recipients) <= MOST_RECIPIENTS
    assert len(found.links) <= MOST_LINKS
    assert len(found.subject) <= LONGEST_SUBJECT
    assert not any(ord(letter) < 32 for letter in found.subject)
    assert found.at(NOW) == NOW


def test_what_is_cut_is_still_a_mail():
    assert len(read(HOSTILE["many_recipients"]).recipients) == MOST_RECIPIENTS
    assert read(HOSTILE["nuls"]).sender == "tom@quaytide.example"
    long = mail("x " * MOST_TEXT + STORY)
    assert read(long).recipients == ("ada@northline.example",)
    assert read(long).links == ()
    assert len(HOSTILE["long_head"]) > MOST_HEAD


HEADS = st.sampled_from(
    ["From", "To", "Cc", "Subject", "Date", "Message-ID", "Content-Type", "Received",
     "Content-Transfer-Encoding", "Precedence", "Auto-Submitted"]
)  # fmt: skip
VALUES = st.one_of(
    st.text(max_size=80),
    st.sampled_from(
        ["=?utf-8?b?//8=?=", "=?x?q?=zz?=", "multipart/mixed; boundary=x",
         "text/html; charset=idna",
         "<a@b.example>", "a@b.example, (", "Mon, 1 Jan 2027 00:00:00 +9999", "base64", ";;;;"]
    ),
)  # fmt: skip


@given(st.lists(st.tuples(HEADS, VALUES), max_size=8), st.binary(max_size=300))
def test_no_mail_makes_it_raise(lines, body):
    raw = b"".join(f"{n}: {v}\n".encode("utf-8", "surrogatepass") for n, v in lines) + b"\n" + body
    found = read(raw)
    assert found.at(NOW) is None or found.at(NOW) <= NOW
    assert digest_of(raw) == digest_of(raw)


@given(st.binary(max_size=500))
def test_no_bytes_make_it_raise(raw):
    assert len(read(raw).recipients) <= MOST_RECIPIENTS
    assert digest_of(raw)
