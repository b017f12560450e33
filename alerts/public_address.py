"""Tell public addresses from those behind the operator's own door.

A user may have a URL of their own called. Without this they could have the machine that runs DashTrade
ask its own services, its neighbours or the cloud's metadata address.
"""

import ipaddress
import socket
from collections.abc import Sequence

from core.addresses import Network, is_in, networks

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# IANA's special-purpose registries, and what the clouds keep inside the public range.
CLOSED = networks(
    (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's own services
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
        "2001::/23",  # Teredo among others
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
    )
)
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
DISCARD = 9
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class NotPublic(Exception):
    """Send nothing there. The words do not name the address: that would tell of the inner network."""


def only_public(addresses: Sequence[str], allowed: Sequence[Network] = ()) -> Sequence[str]:
    """Return the addresses where every one may be asked by a stranger's wish; raise `NotPublic`."""
    if not addresses or not all(_may_be_asked(address, allowed) for address in addresses):
        raise NotPublic(
            "the host leads to a private, local or reserved address or to this machine, and requests there are"
            " not allowed;"
            " whoever runs this server may allow a network (ALERT_WEBHOOK_NETWORKS)"
        )
    return addresses


def is_public(address: str, allowed: Sequence[Network] = ()) -> bool:
    """Tell whether an address is open to the whole internet, or in a network the operator allowed."""
    try:
        meant = _meant(ipaddress.ip_address(address))
    except ValueError:
        return False
    if any(meant in network for network in allowed):
        return True
    if isinstance(meant, ipaddress.IPv6Address) and meant not in GLOBAL_UNICAST:
        return False
    return not any(meant in network for network in CLOSED)


def is_own(address: str) -> bool:
    """Tell whether an address is this machine's own: from here it is reached past the firewall before it.

    Nothing is sent: a socket for datagrams, when connected, says from which address it would send.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, DISCARD))
        except OSError:
            return False
        return bool(probe.getsockname()[0] == address)


def _may_be_asked(address: str, allowed: Sequence[Network]) -> bool:
    return is_in(address, allowed) or (is_public(address, allowed) and not is_own(address))


def _meant(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 form only carries."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address
