"""Where a server listens, and the address that leads there."""

import socket
import ssl
from typing import Any

from aiohttp import web

from dreamgrid.errors import ConfigError
from dreamgrid.server.config import ServerConfig


async def listen(config: ServerConfig, tls: ssl.SSLContext | None, runner: web.AppRunner) -> str:
    """Starts to listen; the address that a browser on this machine would open.

    Raises:
        ConfigError: It cannot be done.
    """
    site = web.TCPSite(runner, config.host, config.port, ssl_context=tls)
    await start(site, config.host, config.port, "--port")
    return url_of(config, runner.addresses[0][1])


async def start(site: web.BaseSite, host: str, port: int, option: str) -> None:
    """Starts to listen there.

    Args:
        site: What listens.
        host: Its address.
        port: Its port.
        option: Who may choose another one.

    Raises:
        ConfigError: It cannot be done.
    """
    try:
        await site.start()
    except OSError as error:
        raise cannot_listen(host, port, option, error) from error


class Spare:
    """A port that is taken, though nobody listens there yet: whoever connects is refused at once.

    Args:
        host: Its address, or a name that stands for some.
        port: Its port.
        option: Who may choose another one.

    Raises:
        ConfigError: It cannot be taken.
    """

    def __init__(self, host: str, port: int, option: str) -> None:
        self._host, self._port, self._option = host, port, option
        self._sockets: list[socket.socket] = []
        self.take()

    def take(self) -> None:
        """Takes it again, after somebody has listened there; once is enough.

        Raises:
            ConfigError: It was given to another program meanwhile.
        """
        if self._sockets:
            return
        try:
            found = socket.getaddrinfo(
                self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            for family, place in dict.fromkeys((entry[0], entry[4]) for entry in found):
                self._sockets.append(_bound(family, place))
        except OSError as error:
            self.close()
            raise cannot_listen(self._host, self._port, self._option, error) from error

    async def listen(self, runner: web.AppRunner) -> None:
        """Serves there, until the runner ends.

        Raises:
            ConfigError: It cannot be done.
        """
        self.take()
        while self._sockets:
            own = self._sockets.pop()
            own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # its connections inherit it
            await start(web.SockSite(runner, own), self._host, self._port, self._option)

    def close(self) -> None:
        """Leaves it to anybody."""
        while self._sockets:
            self._sockets.pop().close()


def _bound(family: int, place: tuple[Any, ...]) -> socket.socket:
    """A socket that keeps everybody else away from its port."""
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # With it, connections of whoever served here before are no hindrance; without it, once it
        # is bound, nobody can share the port.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(place)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError:
        bound.close()
        raise
    return bound


def door(config: ServerConfig) -> socket.socket:
    """Listens for whoever serves there in turn.

    Raises:
        ConfigError: It cannot be done.
    """
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        return socket.create_server((config.host, config.port), family=family, backlog=1024)
    except OSError as error:
        raise cannot_listen(config.host, config.port, "--port", error) from error


def cannot_listen(host: str, port: int, option: str, error: OSError) -> ConfigError:
    """What to say where nothing can listen, and which option names another place."""
    return ConfigError(
        f"cannot listen on {host} port {port} ({error.strerror or error}); "
        f"choose another with {option}{', or --port 0 for any free one' * (option == '--port')}"
    )


def url_of(config: ServerConfig, port: int) -> str:
    """The address that a browser on this machine would open.

    With TLS that is the one which the certificate is for.
    """
    scheme = "http" if config.tls is None else "https"
    if config.tls is not None and config.public_url is not None:
        return config.public_url.rstrip("/")
    shown = "127.0.0.1" if config.host in ("0.0.0.0", "::", "") else config.host  # noqa: S104
    return f"{scheme}://[{shown}]:{port}" if ":" in shown else f"{scheme}://{shown}:{port}"
