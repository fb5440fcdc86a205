"""Which addresses may be asked at all: nothing inside a network, in no spelling, by no detour."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from aiohttp import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult

from pipeline.errors import BadInput
from pipeline.rules.news.address import Address, IpAddress, parse

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Sequence[str]]  #: (name, port) → IP addresses; may raise OSError

ALL_PORTS = 0

#: Special purposes, by the IANA registries: nothing of this is a news site. It stands beside
#: `ipaddress.is_global`, which lets some of it through on 3.11.
DENIED: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24",
        "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "2001::/23",  # IETF protocols: Teredo, benchmarking, ORCHID, AMT, anycast
        "2001:db8::/32", "3fff::/20",  # documentation
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "2620:4f:8000::/48",
    )
)  # fmt: skip
_UNICAST = ipaddress.IPv6Network("2000::/3")  #: all that IANA has given to the public
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Blocked(Exception):
    """This address is not to be asked."""


class Guard:
    """Reads addresses, resolves names, and lets through what every check lets through.

    Names are resolved once per connection, and that very answer is connected to; the socket
    is checked a last time when it is made, so a literal that slipped past is caught too.
    """

    def __init__(
        self,
        allow_networks: Iterable[str] = (),
        allow_ports: Iterable[int] = (80, 443),
        resolve: Resolve | None = None,
    ) -> None:
        self._allowed = tuple(_network(text) for text in allow_networks)
        self._ports = frozenset(allow_ports)
        self._resolve = resolve or system_resolve

    def address(self, raw_url: str) -> Address:
        """The address, if it is one that may be asked.

        Raises: Blocked
        """
        found = parse(raw_url)
        if found is None:
            raise Blocked("The address is not a plain http or https address.")
        if found.port not in self._ports and ALL_PORTS not in self._ports:
            raise Blocked(f"Port {found.port} may not be asked; ASTERISM_ALLOW_PORTS allows more.")
        if found.ip is not None:
            self.check(found.ip)
        return found

    def check(self, ip: IpAddress) -> None:
        """Raises: Blocked for an address inside a network, or of no public use."""
        if not self._passes(ip):
            raise Blocked("The address is no public one; ASTERISM_ALLOW_NETWORKS may allow it.")

    async def addresses(self, host: str, port: int) -> list[str]:
        """IP addresses of a name, all of them checked.

        Raises: Blocked when a single one is not to be asked; OSError when there is none
        """
        answers = await _in_thread(self._resolve, host, port)
        if not answers:
            raise OSError(f"no address for {host}")
        try:
            ips = [ipaddress.ip_address(answer) for answer in answers]
        except ValueError as error:  # a zone id, or no address at all
            raise Blocked("The name leads to something that is no public address.") from error
        for ip in ips:
            self.check(ip)
        return [str(ip) for ip in ips]

    def socket(self, info: AddrInfoType) -> socket.socket:
        """A socket for one checked address: the last look before a connection."""
        family, kind, protocol, _name, place = info
        self.check(ipaddress.ip_address(place[0]))
        return socket.socket(family, kind, protocol)

    def _passes(self, ip: IpAddress) -> bool:
        inner = _unwrapped(ip)
        if any(inner in network for network in self._allowed if network.version == inner.version):
            return True
        if isinstance(inner, ipaddress.IPv6Address) and inner not in _UNICAST:
            return False  # compatible, translated, local, multicast, segment routing, …
        denied = any(inner in network for network in DENIED if network.version == inner.version)
        return inner.is_global and not denied


class GuardedResolver(AbstractResolver):
    """What aiohttp asks for the addresses of a name."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=ip,
                port=port,
                family=socket.AF_INET6 if ":" in ip else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for ip in await self._guard.addresses(host, port)
        ]

    async def close(self) -> None:
        """Nothing is held open."""


def system_resolve(host: str, port: int) -> Sequence[str]:
    """IP addresses of a name, as this machine resolves it."""
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


def _unwrapped(ip: IpAddress) -> IpAddress:
    """The IPv4 address that an IPv6 one stands for, where such forms are in honest use."""
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return ip.ipv4_mapped
        if ip in _NAT64:
            return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text.strip())
    except ValueError as error:
        raise BadInput(
            f"“{text}” is not a network that could be allowed.",
            "Write ASTERISM_ALLOW_NETWORKS like 10.1.0.0/16, 127.0.0.1/32.",
        ) from error


async def _in_thread(resolve: Resolve, host: str, port: int) -> Sequence[str]:
    """A look-up in a thread of its own.

    The loop's own pool has few threads and waits for them at its end: a handful of names
    whose servers never answer would hold up all the others, and the program's exit.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Sequence[str]] = loop.create_future()

    def tell(result: Sequence[str] | None, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result or [])

    def look_up() -> None:
        result, error = None, None
        try:
            result = resolve(host, port)
        except Exception as caught:  # whatever it is, somebody waits for this answer
            error = caught
        with suppress(RuntimeError):  # the loop has gone home meanwhile
            loop.call_soon_threadsafe(tell, result, error)

    threading.Thread(target=look_up, name=f"resolve {host}", daemon=True).start()
    return await answer
