from __future__ import annotations

import ipaddress
import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import BadInput
from pipeline.fetchers.guard import DENIED, Blocked, Guard
from pipeline.fetchers.http import HttpFetcher, Limits
from pipeline.model.news import Fetched, FetchFailed, Request
from tests.world import Canary, World, names

AGENT = "Asterism/0.1 (+mailto:desk@quaytide.example)"
LOCAL = names(
    localhost=["127.0.0.1", "::1"],
    metadata="169.254.169.254",
    metadata_google_internal="169.254.169.254",
    example_com="127.0.0.1",
)


def hostile(corpora: Path) -> list[str]:
    found = json.loads((corpora / "ssrf" / "addresses.json").read_text())
    assert len(found) > 80
    return list(found)


def with_port(url: str, port: int) -> str:
    """The same address with the canary's port where a port would stand."""
    return re.sub(r"^([a-z]+:/*)([^/?#\\]*)", rf"\g<1>\g<2>:{port}", url, flags=re.IGNORECASE)


@pytest.mark.corpora
def test_no_hostile_address_reaches_the_canary_directly(corpora: Path) -> None:
    with Canary() as canary:
        urls = hostile(corpora)
        urls += [with_port(url, canary.port) for url in urls]
        fetcher = HttpFetcher(AGENT, allow_ports=(0,), resolve=LOCAL)
        answers = list(fetcher.fetch([Request(url, url) for url in urls]))
    assert len(answers) == len(urls)
    passed = {r.url: a for r, a in answers if not (isinstance(a, FetchFailed) and not a.status)}
    assert passed == {}
    reasons = {request.url: answer.reason for request, answer in answers}  # type: ignore[union-attr]
    assert {url for url, reason in reasons.items() if reason != "blocked"} == set()
    assert canary.visits == 0


@pytest.mark.corpora
def test_no_hostile_address_reaches_the_canary_by_a_redirect(corpora: Path) -> None:
    with World("127.0.0.2") as world, Canary() as canary:
        urls = hostile(corpora)
        urls += [with_port(url, canary.port) for url in urls]
        targets = [url for url in urls if url.isascii()]
        for number, url in enumerate(targets):
            world.sends(f"/{number}", url)
        fetcher = HttpFetcher(
            AGENT,
            allow_ports=(0,),
            allow_networks=("127.0.0.2/32",),
            resolve=LOCAL,
            limits=Limits(spacing_s=0),
        )
        asked = [Request(url, world.url(f"/{n}")) for n, url in enumerate(targets)]
        answers = {request.key: answer for request, answer in fetcher.fetch(asked)}
    assert set(answers) == set(targets)
    assert canary.visits == 0
    # some are read as a path of the redirecting server itself, which has nothing there
    own = {url for url in targets if re.match(r"https?:(/?[^/]|///)", url, re.IGNORECASE)}
    for url, answer in answers.items():
        assert isinstance(answer, FetchFailed)
        refused = answer.reason in {"blocked", "bad_answer"}
        assert refused or (url in own and answer.status == 404), url


def test_the_address_that_was_checked_is_the_one_that_is_connected_to() -> None:
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.2"] if len(asked) == 1 else ["127.0.0.1"]

    with World("127.0.0.2") as world, Canary("127.0.0.1", world.port) as canary:
        world.says("/", "from the outside", Connection="close")
        fetcher = HttpFetcher(
            AGENT, allow_ports=(0,), allow_networks=("127.0.0.2/32",), resolve=rebinding
        )
        request = Request("rebinds", world.url("/", "rebinds.example"))
        (_, first), *_ = fetcher.fetch([request])
        assert isinstance(first, Fetched)
        assert first.body == b"from the outside"
        assert asked == ["rebinds.example"]  # once: no second look that could differ
        (_, second), *_ = fetcher.fetch([request])
        assert isinstance(second, FetchFailed)
        assert second.reason == "blocked"
        assert canary.visits == 0


def test_one_bad_answer_among_good_ones_blocks_the_name() -> None:
    with World("127.0.0.2") as world:
        fetcher = HttpFetcher(
            AGENT,
            allow_ports=(0,),
            allow_networks=("127.0.0.2/32",),
            resolve=names(two_example=["127.0.0.2", "10.0.0.7"]),
        )
        (_, answer), *_ = fetcher.fetch([Request("two", world.url("/", "two.example"))])
        assert isinstance(answer, FetchFailed)
        assert answer.reason == "blocked"
        assert world.connections == 0


def test_name_and_handshake_keep_the_host_that_was_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, World() as world:
        world.says("/", "x")
        resolve = names(name_example="127.0.0.1")
        fetcher = HttpFetcher(
            AGENT, allow_ports=(0,), allow_networks=("127.0.0.1/32",), resolve=resolve
        )
        plain = Request("plain", world.url("/", "name.example"))
        (_, answer), *_ = fetcher.fetch([plain])
        assert isinstance(answer, Fetched)
        assert world.calls[0].header("Host") == f"name.example:{world.port}"

        port = listener.getsockname()[1]
        answers = fetcher.fetch([Request("tls", f"https://name.example:{port}/")])
        listener.settimeout(60)

        def take_hello() -> bytes:
            connection, _ = listener.accept()
            with connection:
                return connection.recv(4_096)

        with ThreadPoolExecutor(1) as pool:
            taken = pool.submit(take_hello)
            (_, failed), *_ = answers
            hello = taken.result()
    assert b"name.example" in hello  # the server name of the handshake (SNI)
    assert isinstance(failed, FetchFailed)
    assert failed.reason in {"tls", "dropped", "refused"}


@pytest.mark.parametrize("network", DENIED, ids=str)
def test_denied_networks_are_denied_from_end_to_end_and_in_disguise(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network,
) -> None:
    guard = Guard()
    for ip in (network[0], network[-1], network[network.num_addresses // 2]):
        forms = [ip]
        if isinstance(ip, ipaddress.IPv4Address):
            for prefix in ("::ffff:", "64:ff9b::", "::"):
                forms.append(ipaddress.IPv6Address(f"{prefix}{ip}"))
            forms.append(ipaddress.IPv6Address((0x2002 << 112) + (int(ip) << 80)))  # 6to4
            teredo = (0x2001_0000 << 96) + (0x0808_0808 << 64) + (int(ip) ^ 0xFFFF_FFFF)
            forms.append(ipaddress.IPv6Address(teredo))
        for form in forms:
            with pytest.raises(Blocked):
                guard.check(form)


@given(st.ip_addresses(v=6))
def test_only_public_unicast_passes(ip: ipaddress.IPv6Address) -> None:
    try:
        Guard().check(ip)
    except Blocked:
        return
    inner = ip.ipv4_mapped or ip
    nat64 = ip in ipaddress.IPv6Network("64:ff9b::/96")
    assert nat64 or inner.is_global


@pytest.mark.parametrize(
    "ip", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_the_public_is_let_through(ip: str) -> None:
    Guard().check(ipaddress.ip_address(ip))


@pytest.mark.parametrize(
    "answer", ["127.0.0.1", "::1", "fe80::1%eth0", "fec0::1", "not an address", "0.0.0.0"]
)
def test_a_name_that_leads_inside_is_blocked(answer: str) -> None:
    fetcher = HttpFetcher(AGENT, allow_ports=(0,), resolve=names(odd_example=answer))
    (_, failed), *_ = fetcher.fetch([Request("odd", "http://odd.example:9/")])
    assert isinstance(failed, FetchFailed)
    assert failed.reason == "blocked"


def test_ports_go_by_the_list() -> None:
    guard = Guard(allow_ports=(80, 443))
    assert guard.address("https://coast.example/feed").port == 443
    for port in (22, 25, 6379, 8080):
        with pytest.raises(Blocked, match=str(port)):
            guard.address(f"http://coast.example:{port}/")


def test_a_range_that_is_none_says_how_to_write_one() -> None:
    with pytest.raises(BadInput, match="ASTERISM_ALLOW_NETWORKS"):
        Guard(allow_networks=("10.0.0.1/8",))


def test_the_last_look_is_at_the_socket_itself() -> None:
    """A literal never comes by the resolver; whatever let it pass, it gets no socket."""
    guard = Guard(allow_networks=("127.0.0.2/32",))
    place = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
    with pytest.raises(Blocked):
        guard.socket((*place, ("127.0.0.1", 80)))
    guard.socket((*place, ("127.0.0.2", 80))).close()
