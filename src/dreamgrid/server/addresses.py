"""Where callers come from, as limits count it, and how many connections each place has open."""

import ipaddress
from collections import Counter
from collections.abc import Collection, Container

from dreamgrid.errors import ConfigError

_ONE_HOUSEHOLD = 64
"""Bits of an IPv6 address that its owner cannot choose; one machine may have all of the others."""


def place(address: str) -> str:
    """What of an address counts: all of an IPv4 address, and the network of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:  # such as a word that a proxy wrote
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _ONE_HOUSEHOLD), strict=False))


class Networks:
    """Machines that are told by their addresses, or by networks such as 10.0.0.0/8.

    Raises:
        ConfigError: One of them is neither.
    """

    def __init__(self, members: Collection[str]) -> None:
        self._members = []
        for member in members:
            try:
                self._members.append(ipaddress.ip_network(member))
            except ValueError as error:
                raise ConfigError(
                    f"'{member}' is no address and no network of a proxy ({error}): write "
                    "10.0.0.5 or 10.0.0.0/8"
                ) from None

    def __contains__(self, address: object) -> bool:
        try:
            parsed = ipaddress.ip_address(str(address).partition("%")[0])
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in member for member in self._members)

    def behind(self, peer: str, forwarded_for: str) -> str:
        """Where a request comes from: its peer, or if that is one of these, who it says it was.

        Proxies add to the right, so from there on the first that is none of these is believed.
        """
        for hop in (peer, *reversed([one.strip() for one in forwarded_for.split(",")])):
            if not hop:
                break
            peer = hop
            if hop not in self:
                break
        return peer


class Connections:
    """Counts open connections by place.

    Args:
        most: Most of one place. 0: no limit.
        uncounted: Who has no limit, such as a proxy, behind which many callers are.
    """

    def __init__(self, most: int, uncounted: Container[str]) -> None:
        self._most = most
        self._uncounted = uncounted
        self._open: Counter[str] = Counter()

    def begin(self, address: str) -> str | None:
        """Counts a connection that was opened.

        Returns:
            The place, for `end`; empty where nothing is counted. None: it has too many.
        """
        where = place(address)
        if not self._most or address in self._uncounted or where in self._uncounted:
            return ""
        if self._open[where] >= self._most:
            return None
        self._open[where] += 1
        return where

    def end(self, where: str) -> None:
        """A connection is closed that was counted for this place."""
        if where:
            self._open[where] -= 1
            if not self._open[where]:
                del self._open[where]
