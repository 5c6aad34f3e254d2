"""Which addresses a webhook may reach: the public internet by https, and what the operator adds.

A gateway stands inside a network whose other machines trust it; whoever may say where it posts must not
reach them. A name may be answered with any address, and with another one the next time, so the address is
judged when the connection to it is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from malha.errors import invalid

_NAT64 = IPv6Network("64:ff9b::/96")
_PUBLIC = IPv6Network("2000::/3")
"""All of IPv6 that is given to the internet; the library calls more of it global."""


class Reach:
    """What may be reached.

    Args:
        networks: networks in CIDR notation that may be reached besides, by http as well.
    """

    def __init__(self, networks: Sequence[str] = ()) -> None:
        self._networks = [ip_network(network) for network in networks]

    def check(self, url: str) -> None:
        """Refuse a URL that can never be reached (FIELD_INVALID); what its name stands for is seen later."""
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise invalid("url", "is no URL") from None
        if parts.scheme not in ("https", "http") or not host or not url.isascii() or " " in url:
            raise invalid("url", "is of the form https://host/path")
        if parts.username is not None or parts.password is not None or parts.fragment:
            raise invalid("url", "holds no user, password or fragment")
        if parts.scheme == "http" and not self._networks:
            raise invalid("url", "begins with https://")
        try:
            literal = ip_address(host)
        except ValueError:
            return
        if not self.allows(literal, secure=parts.scheme == "https"):
            raise invalid("url", "names an address that webhooks may not reach")

    def allows(self, address: IPv4Address | IPv6Address, *, secure: bool) -> bool:
        """Whether a connection may be made; ``secure`` by https."""
        meant = _meant(address)
        if any(meant in network for network in self._networks):
            return True
        if isinstance(meant, IPv6Address) and meant not in _PUBLIC:
            return False
        return secure and meant.is_global and not meant.is_multicast


def _meant(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address carries, where it is one of those that do."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        if address.teredo is not None:
            return address.teredo[1]
        return address.ipv4_mapped or address.sixtofour or address
    return address
