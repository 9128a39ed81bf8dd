"""Where a server listens, and the address that leads there."""

import socket
import ssl

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
        raise _cannot_listen(host, port, option, error) from error


def door(config: ServerConfig) -> socket.socket:
    """Listens for whoever serves there in turn.

    Raises:
        ConfigError: It cannot be done.
    """
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        return socket.create_server((config.host, config.port), family=family, backlog=1024)
    except OSError as error:
        raise _cannot_listen(config.host, config.port, "--port", error) from error


def _cannot_listen(host: str, port: int, option: str, error: OSError) -> ConfigError:
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
