"""Who this worker is, across restarts, and what it runs on."""

import contextlib
import os
import uuid
from pathlib import Path

from dreamgrid.engines.gpus import Gpu
from dreamgrid.engines.machine import main_memory_bytes, processor_name
from dreamgrid.errors import ConfigError
from dreamgrid.protocol.worker import Device

_FILE = "worker_id"


def worker_id(data_dir: Path) -> str:
    """The stable id of the worker that lives in a folder; made on the first call.

    Args:
        data_dir: The worker's own folder; made if missing, readable by its owner alone.

    Returns:
        An upper-case UUID.

    Raises:
        ConfigError: The folder cannot be used, or the file in it holds no id.
    """
    path = data_dir / _FILE
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(fd, "w") as file:
                file.write(str(uuid.uuid4()).upper() + "\n")
        text = path.read_text().strip()
    except OSError as error:
        raise ConfigError(f"cannot keep the worker's id in {path}: {error.strerror}") from error
    try:
        return str(uuid.UUID(text)).upper()
    except ValueError:
        raise ConfigError(f"{path} holds no id; delete it to get a new one") from None


def default_name(worker_id: str) -> str:
    """A name for a worker whose owner gave none; says nothing about the machine."""
    return f"worker-{worker_id[:6].lower()}"


def probe_device(gpu: Gpu | None = None) -> Device:
    """The GPU that renders, or the machine's processor, as far as they can be found out."""
    if gpu is not None:
        kind = "mps" if gpu.maker == "apple" else "cuda"  # as torch calls them, AMD's too
        return Device(kind=kind, name=gpu.name, memory_bytes=gpu.memory_bytes or 0)
    return Device(kind="cpu", name=processor_name(), memory_bytes=main_memory_bytes() or 0)
