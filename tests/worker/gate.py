"""A named pipe at which the puppet engine waits until the test lets it pass."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


class Gate:
    """`gate.prompt` makes the puppet stop after its first step."""

    def __init__(self, folder: Path, name: str = "gate") -> None:
        self.path = folder / name
        os.mkfifo(self.path)

    @property
    def prompt(self) -> str:
        return f"gate {self.path}"

    async def open(self) -> None:
        """Waits until the engine stands at the gate, then lets it pass."""
        await asyncio.to_thread(self.path.write_text, "go")

    @contextmanager
    def listening(self) -> Iterator[BinaryIO]:
        """Lets everybody pass who writes into the pipe; yields it to read what they wrote."""
        with open(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK), "rb") as pipe:
            yield pipe
