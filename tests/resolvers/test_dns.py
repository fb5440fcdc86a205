"""The domain name system, asked over a real socket; and answers that somebody wrote down."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.rcode
import dns.rrset
import pytest

from pipeline.errors import BadInput, Down
from pipeline.resolvers.dns import DnsNames, read_answers


@pytest.fixture
def server() -> Iterator[int]:
    """A name server that knows one name, denies one, and is silent on a third; its port."""
    asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asked.bind(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            raw, sender = asked.recvfrom(4096)
            if raw == b"stop":
                return
            question = dns.message.from_wire(raw)
            name = question.question[0].name.to_text()
            if name.startswith("silent."):
                continue
            reply = dns.message.make_response(question)
            if name == "quaytide.example.":
                reply.answer.append(
                    dns.rrset.from_text(name, 60, "IN", "TXT", '"v=spf1 " "-all"', '"other"')
                )
            elif name.startswith("broken."):
                reply.set_rcode(dns.rcode.SERVFAIL)
            elif not name.startswith("empty."):
                reply.set_rcode(dns.rcode.NXDOMAIN)
            asked.sendto(reply.to_wire(), sender)

    thread = threading.Thread(target=answer)
    thread.start()
    port = asked.getsockname()[1]
    yield port
    asked.sendto(b"stop", ("127.0.0.1", port))
    thread.join()
    asked.close()


def test_records_come_put_together(server: int) -> None:
    names = DnsNames("127.0.0.1", server)
    assert sorted(names.txt("quaytide.example")) == ["other", "v=spf1 -all"]


def test_no_name_and_no_record_are_no_failure(server: int) -> None:
    names = DnsNames("127.0.0.1", server)
    assert names.txt("nothing.quaytide.example") == ()
    assert names.txt("empty.quaytide.example") == ()


@pytest.mark.parametrize("name", ["broken.quaytide.example", "silent.quaytide.example"])
def test_a_server_that_cannot_say_is_down(server: int, name: str) -> None:
    with pytest.raises(Down, match="does not answer for"):
        DnsNames("127.0.0.1", server).txt(name)


def test_a_name_that_is_none_is_down_with_words() -> None:
    with pytest.raises(Down, match="does not answer"):
        DnsNames("127.0.0.1", 9).txt("a" * 64 + ".example")


def test_answers_of_a_file_as_dig_prints_them(tmp_path: Path) -> None:
    file = tmp_path / "answers.txt"
    file.write_text(
        "; <<>> DiG <<>>\n\n"
        'quaytide.example.\t300\tIN\tTXT\t"v=spf1 " "include:relay.example -all"\n'
        'Quaytide.Example. 300 IN TXT "said \\"so\\""\n'
        "s1._domainkey.quaytide.example. 300 IN CNAME s1.domainkey.provider.example.\n"
        '_dmarc.quaytide.example TXT "v=DMARC1; p=none"\n'
    )
    names = read_answers(file)
    assert names.txt("quaytide.example") == ("v=spf1 include:relay.example -all", 'said "so"')
    assert names.txt("_dmarc.quaytide.example.") == ("v=DMARC1; p=none",)
    assert names.txt("unknown.example") == ()


def test_an_alias_in_a_file_leads_to_its_record(tmp_path: Path) -> None:
    """As SendGrid's DKIM records are: each a CNAME to a name of theirs."""
    file = tmp_path / "answers.txt"
    file.write_text(
        "S1._domainkey.quaytide.example. 300 IN CNAME s1.domainkey.u1.provider.example.\n"
        's1.domainkey.u1.Provider.example. 300 IN TXT "k=rsa; p=MIIB"\n'
        "s2._domainkey.quaytide.example. 300 IN CNAME s2.domainkey.u1.provider.example.\n"
    )
    names = read_answers(file)
    assert names.txt("s1._domainkey.quaytide.example") == ("k=rsa; p=MIIB",)
    assert names.txt("s2._domainkey.quaytide.example") == ()


@pytest.mark.parametrize(("steps", "found"), [(8, ("end",)), (9, ())])
def test_a_chain_of_aliases_has_an_end(tmp_path: Path, steps: int, found: tuple[str, ...]) -> None:
    file = tmp_path / "answers.txt"
    chain = [f"n{step}.example. 300 IN CNAME n{step + 1}.example." for step in range(steps)]
    circle = ["a.example. CNAME b.example.", "b.example. CNAME a.example."]
    file.write_text("\n".join([*chain, f'n{steps}.example. 300 IN TXT "end"', *circle]))
    names = read_answers(file)
    assert names.txt("n0.example") == found
    assert names.txt("a.example") == ()


@pytest.mark.parametrize(
    "said",
    [
        ";; connection timed out; no servers could be reached",
        ";; no servers could be reached",
        ";; ->>HEADER<<- opcode: QUERY, status: SERVFAIL, id: 4711",
        ";; ->>HEADER<<- opcode: QUERY, status: REFUSED, id: 4711",
    ],
)
def test_no_answer_is_not_no_record(tmp_path: Path, said: str) -> None:
    file = tmp_path / "answers.txt"
    file.write_text(f'quaytide.example. 300 IN TXT "status: REFUSED"\n{said}\n')
    with pytest.raises(BadInput, match=r"answers\.txt:2:1: dig got no answer here"):
        read_answers(file)
    file.write_text(";; ->>HEADER<<- opcode: QUERY, status: NXDOMAIN, id: 4711\n")
    assert read_answers(file).txt("quaytide.example") == ()


def test_a_line_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "answers.txt"
    file.write_text('quaytide.example. 300 IN TXT "good"\nwhat is this\n')
    with pytest.raises(BadInput, match=r"answers\.txt:2:1: this line is no TXT record"):
        read_answers(file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="cannot be read"):
        read_answers(file)
