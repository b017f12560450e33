"""Whose address a request came from, where proxies stand between."""

import ipaddress
from collections.abc import Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Return networks of their texts."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def address_behind(peer: str, forwarded: Sequence[str], proxies: Sequence[Network]) -> str:
    """Return who really sent: the last address on the way that is no proxy of ours.

    `forwarded` are the X-Forwarded-For headers. Each proxy appends the one it heard from; what stands
    further left is only that one's word.
    """
    way = [part.strip() for header in forwarded for part in header.split(",")]
    address = peer
    while way and is_in(address, proxies):
        address = way.pop()
    return address if _parsed(address) else peer


def counted_as(address: str) -> str:
    """Return what an address counts as where attempts are limited: whoever has one of IPv6 has its whole /64."""
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address if parsed is None else str(parsed)


def is_in(address: str, networks: Sequence[Network]) -> bool:
    """Tell whether an address lies in one of the networks."""
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in networks)


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed
