from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rules.news.address import (
    absolute,
    canonical,
    hash_of,
    link_hash,
    parse,
    without_tracking,
)

HOSTS = st.from_regex(r"(www\.|m\.|amp\.){0,3}[a-z]{1,8}(\.[a-z]{2,5}){1,2}", fullmatch=True)
PATHS = st.lists(
    st.sampled_from([*"abc/.~%-_ é", "/../", "/./", "%2F", "%41", "%c3", "/amp", ".amp"]),
    max_size=12,
).map("".join)
QUERIES = st.lists(
    st.sampled_from(
        ["utm_source=x", "a=1", "b", "id=%7e2", "fbclid=9", "ref=rss", "amp", "", "%61=1"]
    ),
    max_size=6,
).map("&".join)
URLS = st.builds(
    "{}://{}{}/{}?{}#{}".format,
    st.sampled_from(["http", "https", "HTTPS"]),
    HOSTS,
    st.sampled_from(["", ":80", ":443", ":8080"]),
    PATHS,
    QUERIES,
    st.sampled_from(["", "top", "!/story/1"]),
)  # fmt: skip


@given(URLS)
def test_the_canonical_form_is_its_own(url: str) -> None:
    form = canonical(url)
    assert form
    assert canonical(form) == form
    assert link_hash(url) == link_hash(form) == hash_of(form)


@given(st.text(max_size=60))
def test_anything_else_has_a_form_or_none_and_never_raises(text: str) -> None:
    form = canonical(text)
    assert canonical(form) == form
    full = absolute(text, "https://coast.example/")
    assert full == "" or parse(full) is not None


@given(URLS)
def test_parsing_its_own_writing_changes_nothing(url: str) -> None:
    found = parse(url)
    assert found is not None
    assert parse(str(found)) == found


SAME = "https://coast.example/news/berth-7?id=3"


@pytest.mark.parametrize(
    "url",
    [
        "http://coast.example/news/berth-7?id=3",
        "https://COAST.example:443/news/berth-7?id=3",
        "https://www.coast.example/news/berth-7?id=3",
        "https://m.coast.example/news/berth-7?id=3",
        "https://www.m.coast.example/news/berth-7?id=3",
        "https://coast.example./news/berth-7?id=3",
        "https://coast.example/news/./x/../berth-7?id=3",
        "https://coast.example/news/%62erth-7?id=3",
        "https://coast.example/news/berth-7?utm_source=rss&id=3&utm_medium=feed&fbclid=x",
        "https://coast.example/news/berth-7?UTM_Source=rss&id=3",
        "https://coast.example/news/berth-7?id=3&ref=rss",
        "https://coast.example/news/berth-7?&&id=3&",
        "https://coast.example/news/berth-7?id=3#comments",
        "https://coast.example/news/berth-7/amp?id=3",
        "https://amp.coast.example/news/berth-7.amp.html?id=3",
        "https://coast.example/news/berth-7?id=3&outputType=amp",
        "https://www.google.com/amp/s/coast.example/news/berth-7?id=3",
        "https://coast-example.cdn.ampproject.org/c/s/coast.example/news/berth-7?id=3",
    ],
)
def test_one_page_has_one_form(url: str) -> None:
    assert canonical(url) == SAME


@pytest.mark.parametrize(
    "url",
    [
        "https://coast.example/news/berth-7/?id=3",  # on some sites it is another page
        "https://coast.example/News/berth-7?id=3",
        "https://coast.example/news/berth-7?id=4",
        "https://coast.example/news/berth-7?id=3&ref=harbour",
        "https://coast.example/news/berth-7?id=3#!/page/2",
        "https://coast.example:8443/news/berth-7?id=3",
        "https://live.coast.example/news/berth-7?id=3",
        "https://coast.example/news/berth-7%2Fa?id=3",
    ],
)
def test_another_page_has_another_form(url: str) -> None:
    assert canonical(url) not in {"", SAME}


def test_parameters_have_no_order_and_a_short_host_stays() -> None:
    assert canonical("https://a.example/?b=2&a=1") == canonical("https://a.example/?a=1&b=2")
    assert canonical("https://m.example/") == "https://m.example/"
    assert canonical("https://www.example/x/amp") == "https://www.example/x"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://bücher.example/", "xn--bcher-kva.example"),
        ("https://BÜCHER.example/", "xn--bcher-kva.example"),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example"),
        ("http://[2606:4700::0001]/", "2606:4700::1"),
        ("http://8.8.8.8/", "8.8.8.8"),
        ("http://under_score.example/", "under_score.example"),
    ],
)
def test_hosts(url: str, host: str) -> None:
    found = parse(url)
    assert found is not None
    assert found.host == host


@pytest.mark.parametrize(
    "url",
    [
        "", "coast.example", "//coast.example/", "ftp://coast.example/", "http:coast.example",
        "http:///coast.example", "https://", "https://user@coast.example/",
        "https://user:pw@coast.example/", "https://coast.example\\@other.example/",
        "https://coast.example/\\x", "https://coast.example/\x00", "https://coast.example/\nx",
        "https://coast\u202e.example/", "https://co ast.example/", "https://coast%2e.example/",
        "https://-coast.example/", "https://" + "a" * 64 + ".example/",
        "https://coast.example:0/", "https://coast.example:65536/", "https://coast.example:/",
        "https://①②⑦.⓪.⓪.①/", "https://127。0。0。1/", "https://１２７.0.0.1/", "https://127.1/",
        "https://0x7f.1/", "https://010.0.0.1/", "https://127.0.0.1./", "https://1.2.3.4.5/",
        "https://[::1%25lo]/", "https://[::1", "https://::1/", "javascript:alert(1)",
        "https://coast.example/" + "x" * 9_000,
    ],
)  # fmt: skip
def test_what_is_no_plain_address(url: str) -> None:
    assert parse(url) is None
    assert canonical(url) == ""
    assert link_hash(url) == ""


@pytest.mark.parametrize(
    ("raw", "full"),
    [
        ("/a", "https://coast.example/a"),
        ("b?x=1#y", "https://coast.example/news/b?x=1#y"),
        ("//other.example/a", "https://other.example/a"),
        ("?page=2", "https://coast.example/news/list?page=2"),
        (" https://other.example/a b ", "https://other.example/a%20b"),
        ("https://other.example/følge", "https://other.example/f%C3%B8lge"),
        ("../../../a", "https://coast.example/a"),
        ("mailto:desk@coast.example", ""),
        ("javascript:alert(1)", ""),
        ("java\nscript:alert(1)", ""),
        ("data:text/html,x", ""),
        ("http://[bad", ""),
        ("", ""),
    ],
)
def test_links_are_read_against_their_base(raw: str, full: str) -> None:
    assert absolute(raw, "https://coast.example/news/list") == full


def test_without_a_base_only_full_addresses_are_links() -> None:
    assert absolute("/a") == ""
    assert absolute("https://coast.example") == "https://coast.example/"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("https://coast.example/a?utm_source=feed&id=7&fbclid=x", "https://coast.example/a?id=7"),
        ("https://www.coast.example/a/?utm_medium=rss", "https://www.coast.example/a/"),
        ("http://m.coast.example/a?b=2&a=1&gclid=3#c", "http://m.coast.example/a?b=2&a=1#c"),
        ("https://coast.example/?id=7&page=2", "https://coast.example/?id=7&page=2"),
        ("https://Coast.example/a?", "https://Coast.example/a?"),
        ("mailto:desk@coast.example?utm_source=x", "mailto:desk@coast.example?utm_source=x"),
        ("", ""),
    ],
)
def test_a_shown_link_loses_only_what_tracks(raw: str, shown: str) -> None:
    assert without_tracking(raw) == shown
    assert canonical(without_tracking(raw)) == canonical(raw), "it is the same page"
