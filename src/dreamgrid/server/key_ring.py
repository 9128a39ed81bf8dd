"""Secrets that sign, and how they are exchanged without anybody noticing.

The newest one signs; what older ones signed is good until it runs out. Each lies in a file of its
own, whose bytes are the secret. The nodes of a grid share theirs through the database, and each
keeps a copy in such files.
"""

import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

from dreamgrid.errors import ConfigError
from dreamgrid.server.blobs.folder import SECRET_BYTES, load_secret, write_secret
from dreamgrid.server.clock import Clock, system_clock

OLD = ".old-"
Shared = dict[str, str]
"""Secrets of one purpose as nodes share them: by the name of the file, the bytes in hex; behind
those of older ones, when they were replaced, in seconds since 1970."""

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


def share(path: Path) -> Shared:
    """The secrets of a folder, for others to have; made where there are none.

    Raises:
        ConfigError: One of them cannot be read.
    """
    ring = {path.name: load_secret(path).hex()}
    for old in path.parent.glob(f"{path.name}{OLD}*"):
        replaced_s = old.stat().st_mtime or time.time()
        ring[old.name] = f"{load_secret(old).hex()} {replaced_s:.0f}"
    return ring


def keep(path: Path, ring: Shared) -> None:
    """Makes the secrets of a folder those that are shared, and no others.

    Raises:
        ConfigError: One of them cannot be written.
    """
    for name in sorted(ring, key=number_of, reverse=True):  # the one that signs comes last
        file = path.with_name(name)
        secret, _, replaced_s = ring[name].partition(" ")
        if not file.exists() or file.read_bytes() != bytes.fromhex(secret):
            write_secret(file, bytes.fromhex(secret))
        if replaced_s:
            os.utime(file, (float(replaced_s), float(replaced_s)))
    for old in path.parent.glob(f"{path.name}{OLD}*"):
        if old.name not in ring:
            old.unlink()


def rotated(name: str, ring: Shared, now_s: float, good_for_s: float) -> Shared:
    """What is shared after a new secret was made, without those that nothing can need any more."""
    kept = {
        old: text
        for old, text in ring.items()
        if old != name and now_s - float(text.partition(" ")[2]) <= good_for_s
    }
    number = max(map(number_of, ring)) + 1
    replaced = {f"{name}{OLD}{number}": f"{ring[name]} {now_s:.0f}"}
    return {name: secrets.token_hex(SECRET_BYTES), **replaced, **kept}


def number_of(name: str) -> int:
    """Which of the older ones a file holds; 0: the newest."""
    number = name.rpartition(OLD)[2]
    return int(number) if number.isdigit() else 0


def _number(old: Path) -> int:
    return number_of(old.name)


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
