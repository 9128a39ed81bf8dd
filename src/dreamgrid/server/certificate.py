"""The certificate of a server that speaks TLS itself; renewed ones are taken while it serves."""

import asyncio
import logging
import os
import ssl
from pathlib import Path

from dreamgrid.errors import ConfigError

LOOK_S = 10.0
"""How often the files are looked at."""

_log = logging.getLogger("dreamgrid.server")


class Certificate:
    """A certificate and its key, as new connections get them.

    Args:
        chain: PEM file of the certificate, with those between it and its authority.
        key: PEM file of its private key, without a password.

    Raises:
        ConfigError: They cannot be used.
    """

    def __init__(self, chain: Path, key: Path) -> None:
        self._chain = chain
        self._key = key
        self._seen = self._look()
        try:
            self.context = self._loaded()
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"TLS cannot be spoken with {chain} and {key}: {_reason(error)}"
            ) from None

    async def follow(self) -> None:
        """Takes renewed files, for as long as it runs."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.take_renewed()

    def take_renewed(self) -> bool:
        """Takes the files again if they have changed; what cannot be used is not taken."""
        seen = self._look()
        if seen == self._seen:
            return False
        self._seen = seen
        try:
            self._loaded()  # one half of a pair would spoil the context that is in use
            self.context.load_cert_chain(self._chain, self._key, password=_no_password)
        except (OSError, ValueError) as error:
            _log.error("the renewed certificate is not taken: %s", _reason(error))
            return False
        _log.warning("a renewed certificate is in use: %s", self._chain)
        return True

    def _look(self) -> tuple[tuple[int, int] | None, ...]:
        """What tells whether the files were written anew; None for one that is not there."""
        return tuple(_written(path) for path in (self._chain, self._key))

    def _loaded(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(self._chain, self._key, password=_no_password)
        return context


def _written(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # of what links lead to: Kubernetes replaces links
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _no_password() -> str:
    """Asked for by a key that wants one; else OpenSSL would ask at the terminal."""
    raise ValueError("the key wants a password; write it without one")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "no PEM file").replace("_", " ").lower()
        return f"{reason}: is each of them a PEM file, and the key that of the certificate?"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
