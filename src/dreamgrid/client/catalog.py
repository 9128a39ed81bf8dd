"""What this grid offers: models, the limits of their settings, sizes. All is the server's word.

Nothing about any model is written down here; what the catalogue does not limit, the server decides.
"""

import asyncio
import difflib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote

import msgspec

from dreamgrid.client.http import Http
from dreamgrid.client.options import ModelOptions, options_of
from dreamgrid.client.signal import Signal
from dreamgrid.errors import InvalidRequest, NotFound, UnknownModel
from dreamgrid.protocol.params import Network
from dreamgrid.protocol.rest import ModelEntry, SizePreset

T = TypeVar("T")

_KEPT_S = 600.0


@dataclass(frozen=True, kw_only=True)
class AvailableModel:
    """A model that somebody can render right now.

    Attributes:
        id: What `create(model=...)` takes.
        name: For people.
        worker_count: How many connected workers offer it.
        media: `image`, `video` or `audio`.
    """

    id: str
    name: str
    worker_count: int
    media: str


class _Kept:
    """Answers that are asked for again only after ten minutes."""

    def __init__(self) -> None:
        self._answers: dict[str, tuple[float, object]] = {}

    def get(self, key: str, kind: type[T]) -> T | None:
        since, answer = self._answers.get(key, (0.0, None))
        if isinstance(answer, kind) and time.monotonic() - since < _KEPT_S:
            return answer
        return None

    def put(self, key: str, answer: object) -> None:
        self._answers[key] = (time.monotonic(), answer)


_NO_TIER = msgspec.Raw(b"{}")


class Catalog:
    """Asks the server what it offers and remembers the answers for ten minutes."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self._kept = _Kept()
        self._asking = asyncio.Lock()
        self._entries: dict[str, ModelEntry] = {}
        self._workers: dict[str, int] = {}
        self._described: dict[str, tuple[ModelEntry, msgspec.Raw, tuple[ModelOptions, bool]]] = {}
        self._changed = Signal()

    @property
    def available(self) -> tuple[AvailableModel, ...]:
        """Models with at least one worker, as last announced on the socket."""
        known = self._entries
        places = {model: place for place, model in enumerate(known)}
        return tuple(
            AvailableModel(
                id=model,
                name=known[model].name if model in known else model.replace("-", " "),
                worker_count=workers,
                media=known[model].media if model in known else "image",
            )
            for model, workers in sorted(
                self._workers.items(), key=lambda item: places.get(item[0], len(places))
            )
            if workers > 0
        )

    async def available_on(self, network: Network) -> tuple[AvailableModel, ...]:
        """Models with at least one worker in a pool, asked for just now."""
        entries = await self.models()
        path = f"/api/v1/status/network/{network}/models"
        workers = await self._http.bare(path, dict[int, int])
        return tuple(
            AvailableModel(
                id=entry.id, name=entry.name, worker_count=workers[entry.sid], media=entry.media
            )
            for entry in entries
            if workers.get(entry.sid, 0) > 0
        )

    def announce(self, workers: dict[str, int]) -> None:
        """Takes a new count of workers per model."""
        self._workers = workers
        self._changed.fire()

    async def wait_available(self) -> tuple[AvailableModel, ...]:
        """Waits until at least one model has a worker."""
        await self.models()  # names for what is announced
        while not self.available:
            await self._changed.wait()
        return self.available

    async def models(self, *, fresh: bool = False) -> tuple[ModelEntry, ...]:
        """All models of the catalogue, with workers or without."""
        async with self._asking:
            kept: tuple[ModelEntry, ...] | None = None if fresh else self._kept.get("models", tuple)
            if kept is None:
                kept = await self._http.bare("/api/v1/models/list", tuple[ModelEntry, ...])
                self._kept.put("models", kept)
                self._entries = {entry.id: entry for entry in kept}
            return kept

    async def model(self, model: str) -> ModelEntry:
        """The catalogue's entry of `model`.

        Raises:
            UnknownModel: There is none; the message lists what there is.
        """
        for fresh in (False, True):  # it may have been added since we asked
            entries = await self.models(fresh=fresh)
            for entry in entries:
                if entry.id == model:
                    return entry
        raise UnknownModel(f"model '{model[:80]}' is unknown here; {_known(entries, model)}")

    async def options(self, model: str) -> ModelOptions:
        """The limits of `model`'s settings."""
        options, _ = await self.described(await self.model(model))
        return options

    async def described(self, entry: ModelEntry) -> tuple[ModelOptions, bool]:
        """The limits of a model's settings, and whether its samplers have Comfy's names."""
        tier = (await self._tiers()).get(entry.tier, _NO_TIER)
        known = self._described.get(entry.id)
        if known is None or known[0] is not entry or known[1] is not tier:
            known = self._described[entry.id] = (entry, tier, options_of(entry, tier))
        return known[2]

    def known(self, model: str) -> ModelEntry | None:
        """The catalogue's entry of `model`, if it was read before. Asks nobody."""
        return self._entries.get(model)

    async def presets(
        self, model: str, network: Network = "fast", *, fresh: bool = False
    ) -> tuple[SizePreset, ...]:
        """The named sizes of `model`."""
        await self.model(model)
        path = f"/api/v1/size-presets/network/{network}/model/{quote(model, safe='')}"
        kept: tuple[SizePreset, ...] | None = None if fresh else self._kept.get(path, tuple)
        if kept is None:
            try:
                kept = await self._http.bare(path, tuple[SizePreset, ...])
            except NotFound:
                kept = ()
            self._kept.put(path, kept)
        return kept

    async def preset(self, model: str, preset: str, network: Network = "fast") -> SizePreset:
        """One of the named sizes of `model`.

        Raises:
            InvalidRequest: There is none of that name; the message lists what there is.
        """
        presets = await self.presets(model, network)
        for size in presets:
            if size.id == preset:
                return size
        names = ", ".join(size.id for size in presets) or "none; give width and height"
        raise InvalidRequest(f"size preset '{preset[:80]}' is unknown; {model} has: {names}")

    async def _tiers(self) -> dict[str, msgspec.Raw]:
        async with self._asking:
            tiers: dict[str, msgspec.Raw] | None = self._kept.get("tiers", dict)
            if tiers is None:
                # Raw: a tier of a kind that we do not know must not hide the others.
                tiers = await self._http.bare("/api/v2/models/tiers", dict[str, msgspec.Raw])
                self._kept.put("tiers", tiers)
            return tiers


def _known(entries: Iterable[ModelEntry], asked: str) -> str:
    """Which models there are, those first whose names are like the one that was asked for."""
    names = [entry.id for entry in entries]
    if not names:
        return "this grid has no models yet"
    alike = [name for name in names if asked and asked.lower() in name.lower()]
    alike = alike or difflib.get_close_matches(asked, names, cutoff=0.7)
    meant = f"did you mean {' or '.join(alike[:3])}? " if alike else ""
    shown = ", ".join(names[:12])
    return f"{meant}known are: {shown}" + (", ..." if len(names) > 12 else "")
