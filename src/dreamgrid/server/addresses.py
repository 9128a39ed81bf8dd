"""Where callers come from, as limits count it, and how many connections each place has open."""

import ipaddress
from collections import Counter
from collections.abc import Collection

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


class Connections:
    """Counts open connections by place.

    Args:
        most: Most of one place. 0: no limit.
        uncounted: Addresses with no limit, such as a proxy's, behind which many callers are.
    """

    def __init__(self, most: int, uncounted: Collection[str]) -> None:
        self._most = most
        self._uncounted = frozenset(uncounted)
        self._open: Counter[str] = Counter()

    def begin(self, address: str) -> str | None:
        """Counts a connection that was opened.

        Returns:
            The place, for `end`; empty where nothing is counted. None: it has too many.
        """
        where = place(address)
        if not self._most or not self._uncounted.isdisjoint((address, where)):
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
