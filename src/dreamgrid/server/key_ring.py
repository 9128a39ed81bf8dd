"""Secrets that sign, and how they are exchanged without anybody noticing.

The newest one signs; what older ones signed is good until it runs out. Each lies in a file of its
own, whose bytes are the secret.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from dreamgrid.errors import ConfigError
from dreamgrid.server.blobs.folder import SECRET_BYTES, load_secret
from dreamgrid.server.clock import Clock, system_clock

OLD = ".old-"
_NOT_RETIRED_S = 0
"""Time of a file whose secret a server may still sign with."""


def load_ring(
    path: Path, *, named: Sequence[Path] = (), good_for_s: float, clock: Clock = system_clock
) -> tuple[bytes, ...]:
    """The secrets of one purpose, the newest first.

    Args:
        path: Where the newest lies; made where it is not. Older ones lie beside it.
        named: Files that hold them instead, the newest first.
        good_for_s: How long what a secret signed is good at most. Older ones that no server has
            signed with for so long are removed.
        clock: The time.

    Raises:
        ConfigError: One of them cannot be read, or is too short.
    """
    if named:
        return tuple(_named(one) for one in named)
    older = []
    for old in sorted(path.parent.glob(f"{path.name}{OLD}*"), key=_number, reverse=True):
        retired_s = old.stat().st_mtime
        if retired_s == _NOT_RETIRED_S:
            os.utime(old, (clock(), clock()))
        elif clock() - retired_s > good_for_s:
            old.unlink()
            continue
        older.append(load_secret(old))
    return (load_secret(path), *older)


def rotate(path: Path) -> None:
    """Makes a new secret; the one of before is kept beside it. A server takes it when it starts.

    Raises:
        ConfigError: It cannot be written.
    """
    try:
        if path.exists():
            numbers = [_number(old) for old in path.parent.glob(f"{path.name}{OLD}*")]
            old = path.with_name(f"{path.name}{OLD}{max(numbers, default=0) + 1}")
            os.utime(path, (time.time(), _NOT_RETIRED_S))
            path.rename(old)
    except OSError as error:
        raise ConfigError(f"the secret {path} cannot be changed: {error.strerror}") from None
    load_secret(path)


def _number(old: Path) -> int:
    number = old.name.rpartition("-")[2]
    return int(number) if number.isdigit() else 0


def _named(path: Path) -> bytes:
    try:
        secret = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"the secret {path} cannot be read: {error.strerror}") from None
    if len(secret) < SECRET_BYTES:
        raise ConfigError(
            f"the secret {path} has {len(secret)} bytes and needs {SECRET_BYTES}: make one with "
            f"head -c {SECRET_BYTES} /dev/urandom"
        )
    return secret
