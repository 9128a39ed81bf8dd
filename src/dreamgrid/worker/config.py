"""Every setting of a worker: meaning, unit, default. Read once in `cli`, passed down, frozen."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from dreamgrid.engines.gpus import Gpu
from dreamgrid.engines.safety import PICTURE_THRESHOLD
from dreamgrid.errors import ConfigError
from dreamgrid.protocol.params import NETWORKS, Network
from dreamgrid.protocol.worker import WORKER_PATH

MAX_NAME_CHARS = 64
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """Settings of one worker.

    Attributes:
        server_url: Where the server is: http, https, ws or wss, host, port and perhaps a path.
        api_key: Key of the account that the worker belongs to. Never printed.
        data_dir: Folder that holds the worker's id; made if missing. One per worker.
        name: Name shown to users, at most 64 characters. Empty: made from the worker's id.
        threads: CPU threads for all engines together. 0: as many as the worker found worth it when
            it measured itself, and one per core until then.
        engines: Engine processes, each with its own copy of the model: renders at the same time.
        slots: Jobs held at the same time. More slots than engines let the next job's inputs
            download and the last result upload while an engine renders. 0: one more than engines,
            or, with one engine on a GPU, as many as the models that it serves are worth.
        network: The pool to work in.
        models: Serve only these catalogue ids. Empty: all that the installed engines can serve.
        served_by: Which engines may make each model, by their references. One that is not named
            here is made by all engines that serve it.
        gpu: The only GPU that its engines see. None: all that there are.
        shares_gpu: Another program renders for it on that GPU, too.
        filter_threshold: Score, 0..1, from which the content filter objects to a picture or a frame
            of a video. Lower is stricter.
        sound_font: SoundFont 2 file of the owner with which music is played. None: the music
            engine's own instruments.
        measure: Whether it finds out by trial renders how quick its models are.
        quiet_s: Seconds without a job before the worker measures itself, if it has not done so.
            0: it never does.
        max_input_bytes: Most bytes that the inputs of one job may have together.
        transfer_attempts: How often to try a download or an upload: for a minute, with the
            default below.
        transfer_retry_s: Seconds before the second try; doubles each time.
        transfer_timeout_s: Seconds that one try may take.
        preview_timeout_s: Seconds that the upload of a preview may take; it is not tried again.
        cancel_grace_s: Seconds that a canceled render may take to its next step, before its
            engine process is killed.
        stall_timeout_s: Seconds without any sign from a rendering engine before it is killed.
        drain_grace_s: Seconds that renders under way get to finish when the worker is told to stop.
        reconnect_min_s: Seconds before the first try to connect again; doubles each time.
        reconnect_max_s: Most seconds between two tries.
        connect_timeout_s: Seconds for the connection and for the server's welcome, each.
        ping_s: Seconds between WebSocket pings that find out whether the server is still there.
    """

    server_url: str
    api_key: str = field(repr=False)
    data_dir: Path
    name: str = ""
    threads: int = 0
    engines: int = 1
    slots: int = 0
    network: Network = "fast"
    models: tuple[str, ...] = ()
    served_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    gpu: Gpu | None = None
    shares_gpu: bool = False
    filter_threshold: float = PICTURE_THRESHOLD
    sound_font: Path | None = None
    measure: bool = True
    quiet_s: float = 20.0
    max_input_bytes: int = 64 * 1024 * 1024
    transfer_attempts: int = 8
    transfer_retry_s: float = 0.5
    transfer_timeout_s: float = 300.0
    preview_timeout_s: float = 15.0
    cancel_grace_s: float = 30.0
    stall_timeout_s: float = 900.0
    drain_grace_s: float = 2.0
    reconnect_min_s: float = 1.0
    reconnect_max_s: float = 15.0
    connect_timeout_s: float = 10.0
    ping_s: float = 20.0

    def validate(self) -> None:
        """Checks the settings, alone and against each other.

        Raises:
            ConfigError: One is out of range, or two contradict each other.
        """
        parts = urlsplit(self.server_url)
        if parts.scheme not in _SCHEMES or not parts.hostname:
            raise ConfigError(
                f"server_url '{self.server_url}' must look like https://grid.example.org"
            )
        if not self.api_key or not self.api_key.isprintable() or not self.api_key.isascii():
            raise ConfigError("api_key is missing or has characters that no key has")
        if len(self.name) > MAX_NAME_CHARS or not self.name.isprintable():
            raise ConfigError(f"name must be at most {MAX_NAME_CHARS} printable characters")
        if self.network not in NETWORKS:
            raise ConfigError(f"network '{self.network}' is not one of {', '.join(NETWORKS)}")
        if not 1 <= self.engines <= (self.slots or self.engines):
            raise ConfigError(
                f"slots ({self.slots}) must be at least engines ({self.engines}), and engines "
                "at least 1: an engine without a job to hold would never render"
            )
        if self.threads < 0 or self.transfer_attempts < 1 or self.max_input_bytes < 1:
            raise ConfigError("threads, transfer_attempts and max_input_bytes must be positive")
        if not 0 <= self.filter_threshold <= 1:
            raise ConfigError(
                f"filter_threshold ({self.filter_threshold}) is between 0, which objects to every "
                "picture, and 1"
            )
        if not 0 < self.reconnect_min_s <= self.reconnect_max_s:
            raise ConfigError(
                f"reconnect_min_s ({self.reconnect_min_s}) must be positive and at most "
                f"reconnect_max_s ({self.reconnect_max_s})"
            )

    @property
    def base_url(self) -> str:
        """The server over http or https, without a slash at the end."""
        parts = urlsplit(self.server_url)
        return f"{_SCHEMES[parts.scheme]}://{parts.netloc}{parts.path.rstrip('/')}"

    @property
    def socket_url(self) -> str:
        """Where to dial: the worker socket over ws or wss."""
        return "ws" + self.base_url.removeprefix("http") + WORKER_PATH

    @property
    def threads_per_engine(self) -> int:
        """CPU threads that each engine process may use, at least 1."""
        return max(1, (self.threads or os.cpu_count() or 1) // self.engines)
