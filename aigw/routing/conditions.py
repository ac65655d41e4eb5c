"""What a route asks of a request beside its path and host, compiled once into closures: method, address, ``vars``."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from aigw.routing.facts import Address, Facts

Predicate = Callable[[Facts], bool]


class Condition(NamedTuple):
    """``field``: of the route that it comes from."""

    field: str
    holds: Predicate


@functools.lru_cache(maxsize=1024)
def method_conditions(methods: frozenset[str]) -> tuple[Condition, ...]:
    """Holds for these methods, all if there are none; shared by all routes that have the same."""
    return (Condition("methods", lambda facts: facts.method in methods),) if methods else ()


def network_conditions(networks: Sequence[str]) -> tuple[Condition, ...]:
    """Holds for clients in any of these addresses and CIDRs, for all if there are none.

    :raises ValueError: naming the index of what is neither.
    """
    if not networks:
        return ()
    contains = compile_networks(networks, "remote_addrs")
    return (Condition("remote_addrs", lambda facts: contains(facts.address)),)


def compile_networks(networks: Iterable[str], where: str) -> Callable[[Address | None], bool]:
    """A test for being in any of the networks: one set look-up per prefix length in use.

    :raises ValueError: naming what is no network as an item of ``where``.
    """
    members: dict[tuple[int, int], set[int]] = {}
    for index, text in enumerate(networks):
        version, number, mask = _network(text, f"{where}[{index}]")
        members.setdefault((version, mask), set()).add(number)
    table = tuple((version, mask, frozenset(numbers)) for (version, mask), numbers in members.items())

    def contains(address: Address | None) -> bool:
        if address is None:
            return False
        version, number = address
        return any(version == v and number & mask in numbers for v, mask, numbers in table)

    return contains


_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def _network(text: str, where: str) -> tuple[int, int, int]:
    """(version, address, mask) of a network; one of IPv4 addresses mapped into IPv6 is the IPv4 network."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f'{where}: expected an IP address or CIDR, got "{text}"') from None
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        low = int(network.network_address) & 0xFFFFFFFF
        network = ipaddress.IPv4Network((low, network.prefixlen - 96))
    return network.version, int(network.network_address), int(network.netmask)
