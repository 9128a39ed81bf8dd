"""Models that stay in memory after their jobs, as many as there is room for.

A model that was used rests in main memory, from where it is back on the GPU in a moment; reading it
from the disk takes many times as long. Who must leave is decided by what was measured: the memory
that is free now, and what each model takes.
"""

import logging
from collections.abc import Callable, Collection
from typing import Any, Generic, Protocol, TypeVar

from dreamgrid.engines.diffusers.fitting import ROOM
from dreamgrid.engines.diffusers.weights import Weights
from dreamgrid.engines.machine import GIB, available_bytes

SPARE_BYTES = 2 * GIB
"""Main memory that is left to everything else on the machine."""

_log = logging.getLogger(__name__)


class Model(Protocol):
    """What is kept: see `pipelines.LoadedModel`."""

    @property
    def size_bytes(self) -> int:
        """What it takes of whichever memory it is in."""

    @property
    def on_gpu(self) -> bool:
        """Whether that is the GPU's."""

    def rest(self) -> None:
        """Moves to main memory."""

    def wake(self) -> None:
        """Comes back from there."""

    def close(self) -> None:
        """Gives all memory back."""


Kept = TypeVar("Kept", bound=Model)


class WarmModels(Generic[Kept]):
    """Keeps models, the one that was used last at the end.

    Args:
        read: Reads a model's weights into memory.
        main_free: Free main memory, in bytes; None: unknown, and then one model is kept.
        gpu_free: Free memory of the GPU; None: there is none of its own.
    """

    def __init__(
        self,
        read: Callable[[Weights], Kept],
        *,
        main_free: Callable[[], float | None] = available_bytes,
        gpu_free: Callable[[], float | None] | None = None,
    ) -> None:
        self._read = read
        self._main_free = main_free
        self._gpu_free = gpu_free or _gpu_free
        self._kept: dict[str, Kept] = {}
        self._expected: Collection[str] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Ids of the models that are kept."""
        return tuple(self._kept)

    def expect(self, models: Collection[str]) -> None:
        """Says which models the jobs that wait will need: they leave last."""
        self._expected = models

    def take(self, weights: Weights) -> Kept:
        """A model, ready to render; the others stay where there is room for them.

        Raises:
            ModelNotAvailable: It cannot be read.
            OutOfMemory: It does not fit, even alone.
        """
        name = weights.name
        model = self._kept.pop(name, None)
        try:
            if model is None:
                size = _file_bytes(weights)
                self._make_room(size)
                self._leave_gpu(size)
                model = self._read(weights)
            elif not model.on_gpu:
                self._leave_gpu(model.size_bytes)
                model.wake()
        except BaseException:
            if model is not None:
                model.close()
            raise
        self._kept[name] = model
        return model

    def leave_gpu(self) -> None:
        """Takes all models from the GPU."""
        for name in self._in_turn():
            if name in self._kept and self._kept[name].on_gpu:
                self._rest(name)

    def make_way(self, name: str) -> bool:
        """Takes all other models from the GPU; False when none was there."""
        stays = self._kept.pop(name)  # it renders: those that rest must not close it for room
        try:
            others = [kept for kept, model in self._kept.items() if model.on_gpu]
            for other in others:
                if other in self._kept:  # the one before it may have closed it
                    self._rest(other)
        finally:
            self._kept[name] = stays
        return bool(others)

    def _leave_gpu(self, size_bytes: float) -> None:
        """Lets others rest until so much fits on the GPU."""
        for name in self._in_turn():
            free = self._gpu_free()
            if free is None or free >= size_bytes * ROOM:
                return
            if name in self._kept and self._kept[name].on_gpu:
                self._rest(name)

    def _rest(self, name: str) -> None:
        """Moves a model from the GPU to main memory, or out of both."""
        size_bytes = self._kept[name].size_bytes
        self._make_room(size_bytes, but=name)
        if self._has_room(size_bytes):
            self._kept[name].rest()
        else:
            self._kept.pop(name).close()

    def _make_room(self, size_bytes: float, but: str = "") -> None:
        """Closes others until so much fits into main memory."""
        for name in self._in_turn():
            if self._has_room(size_bytes):
                return
            if name != but:
                _log.info("%s leaves memory", name)
                self._kept.pop(name).close()

    def _has_room(self, size_bytes: float) -> bool:
        free = self._main_free()
        return free is not None and free >= size_bytes + SPARE_BYTES

    def _in_turn(self) -> list[str]:
        """Who leaves first: what no waiting job needs, and of these what was not used longest."""
        return sorted(self._kept, key=lambda name: name in self._expected)


def _gpu_free() -> float | None:
    import torch  # noqa: PLC0415 -- the extra `diffusers`; who leaves is tested without it

    return float(torch.cuda.mem_get_info()[0]) if torch.cuda.is_available() else None


def _file_bytes(weights: Weights) -> int:
    """What the files of a model hold: about what they take in memory."""
    if weights.file is not None:
        return weights.file.stat().st_size
    files: list[Any] = [*weights.folder.glob("*/*.safetensors")]
    return sum(file.stat().st_size for file in files or weights.folder.glob("*/*.bin"))
