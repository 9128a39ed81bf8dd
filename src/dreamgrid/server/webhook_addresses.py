"""Which addresses a webhook may have: anybody can name one, and it is this server that connects.

So an address inside the operator's own network is refused, both when a webhook is made and, after
its name was looked up, at the moment of connecting: a name may lead somewhere else by then.
"""

import errno
import ipaddress
import socket
from urllib.parse import urlsplit

from dreamgrid.errors import InvalidRequest

_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
"""IPv6 addresses that a gateway turns into the IPv4 address at their end (RFC 6052)."""


class PrivateAddress(OSError):
    """A webhook's name leads to an address that it may not have."""


def check(url: str, *, private: bool) -> None:
    """Checks the URL of a new webhook.

    Args:
        url: What somebody asks for.
        private: Whether addresses of this machine and of private networks are allowed.

    Raises:
        InvalidRequest: It is no URL for a webhook; says why.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidRequest(f"this is no URL: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise InvalidRequest("the URL of a webhook begins with https:// (or http://) and a host")
    if parts.username is not None or parts.password is not None:
        raise InvalidRequest("the URL of a webhook carries no credentials; check the signature")
    if any(not letter.isprintable() or letter.isspace() for letter in url):
        raise InvalidRequest("the URL of a webhook has no spaces or control characters")
    if private:
        return
    if (
        host == "localhost"
        or host.endswith(".localhost")
        or (_is_literal(host) and is_private(host))
    ):
        raise InvalidRequest(
            f"{host} is this server's own machine or network; name an address that everybody "
            "reaches, or ask its operator to allow private addresses"
        )


def is_private(host: str) -> bool:
    """Whether an IP address is not one of the public internet."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _TRANSLATED:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if address.teredo is not None:
            return True
        if inner is not None:
            return is_private(str(inner))
    return not address.is_global or address.is_multicast


def public_socket(info: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
    """Makes the socket for a connection, unless it leads to a private address.

    Raises:
        PrivateAddress: It does.
    """
    family, kind, protocol, _, address = info
    if is_private(str(address[0])):
        raise PrivateAddress(errno.EACCES, f"{address[0]} is a private address")
    return socket.socket(family, kind, protocol)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
