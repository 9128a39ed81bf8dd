"""A named pipe at which the puppet engine waits until the test lets it pass."""

import asyncio
import os
from pathlib import Path


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
