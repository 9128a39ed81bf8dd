"""Where the server is and who we are: arguments first, then the environment."""

import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from dreamgrid.errors import ConfigError

URL_VARIABLE = "DREAMGRID_URL"
SOCKET_URL_VARIABLE = "DREAMGRID_SOCKET_URL"
KEY_VARIABLE = "DREAMGRID_API_KEY"

_HTTP_SCHEME = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A server and the credential for it.

    Attributes:
        url: Address for HTTP, without a slash at the end.
        live_url: Address of what a large grid keeps on another host: the socket, and the endpoints
            below `/api`. A grid of one server has one address for everything.
        api_key: The key, or empty: public endpoints only.
    """

    url: str
    live_url: str
    api_key: str = field(repr=False)

    @property
    def socket_url(self) -> str:
        """The address of the WebSocket."""
        return "ws" + self.live_url.removeprefix("http") + "/"

    @classmethod
    def resolve(
        cls, url: str | None, api_key: str | None, socket_url: str | None = None
    ) -> "Endpoint":
        """The endpoint that these arguments and the environment name.

        Raises:
            ConfigError: There is no address, or it is none.
        """
        # A socket in the environment belongs to the server in the environment.
        socket = socket_url or (os.environ.get(SOCKET_URL_VARIABLE, "") if url is None else "")
        address = url or os.environ.get(URL_VARIABLE, "")
        if not address:
            raise ConfigError(
                f"no server given: pass url=..., or set {URL_VARIABLE}; "
                "'dreamgrid up' starts one and prints its address"
            )
        key = api_key if api_key is not None else os.environ.get(KEY_VARIABLE, "")
        if not key.isascii() or not key.isprintable():
            raise ConfigError("the API key has characters that no key has: copy it again")
        home = _checked(address)
        return cls(url=home, live_url=_checked(socket) if socket else home, api_key=key.strip())


def _checked(address: str) -> str:
    """The address for HTTP. By hand: a scheme is written out, so that no key goes in the clear."""
    try:
        parts = urlsplit(address)
        scheme = _HTTP_SCHEME.get(parts.scheme)
        named = scheme is not None and parts.hostname and parts.port != 0
    except ValueError:
        named = False
    if not named:
        raise ConfigError(f"'{address}' is no server address: write http://host:port")
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}"
