"""The part of `client.projects` that knows the models: who is there, and what each can do."""

import asyncio
import time
from dataclasses import dataclass

from dreamgrid.client import loras
from dreamgrid.client.catalog import AvailableModel, Catalog
from dreamgrid.client.http import Http
from dreamgrid.client.loras import LoraConstraints, LoraInfo
from dreamgrid.client.options import ModelOptions
from dreamgrid.client.session import Session
from dreamgrid.errors import InvalidRequest, NotFound, ServerUnavailable
from dreamgrid.protocol.assets import (
    REFERENCE_AUDIO,
    REFERENCE_IMAGE,
    REFERENCE_IMAGE_END,
    REFERENCE_MASK,
    REFERENCE_VIDEO,
)
from dreamgrid.protocol.model_names import Need, is_audio_id, is_video_id, needs_of, workflow_of
from dreamgrid.protocol.params import Network
from dreamgrid.protocol.rest import ModelEntry, SizePreset

_LORAS_KEPT_S = 300.0
_VIDEO_ROLES = (
    REFERENCE_IMAGE,
    REFERENCE_IMAGE_END,
    REFERENCE_AUDIO,
    REFERENCE_VIDEO,
    REFERENCE_MASK,
)

_Loras = tuple[tuple[LoraInfo, ...], LoraConstraints]


@dataclass(frozen=True, kw_only=True)
class VideoAssetConfig:
    """Which inputs a video model takes.

    Attributes:
        workflow: How it works, such as `i2v`, as its id says. None: the id does not say.
        assets: By asset role: `required`, `optional` or `forbidden`. None: nobody says.
        any_of: Roles of which at least one must be there.
    """

    workflow: str | None
    assets: dict[str, Need] | None
    any_of: tuple[str, ...] = ()


class Models:
    """Models, their limits, sizes and LoRAs."""

    def __init__(self, http: Http, catalog: Catalog, session: Session) -> None:
        self._http = http
        self._catalog = catalog
        self._session = session
        self._loras: dict[str | None, tuple[float, _Loras]] = {}

    @property
    def available_models(self) -> tuple[AvailableModel, ...]:
        """Models that somebody can render right now; empty until the socket has told them."""
        return self._catalog.available

    async def wait_for_models(
        self, *, timeout_s: float | None = 10.0
    ) -> tuple[AvailableModel, ...]:
        """Waits until at least one model has a worker.

        Args:
            timeout_s: Seconds after which to give up. None: never.

        Raises:
            ServerUnavailable: No worker came.
            AuthenticationFailed: The key is missing or wrong.
            ConnectionFailed: No server there.
        """
        await self._session.connection.ready()
        try:
            async with asyncio.timeout(timeout_s):
                return await self._catalog.wait_available()
        except TimeoutError:
            raise ServerUnavailable(
                f"no worker offers any model after {timeout_s:g} s; "
                "'dreamgrid work' on any machine starts one"
            ) from None

    async def get_available_models(
        self, *, network: Network = "fast"
    ) -> tuple[AvailableModel, ...]:
        """Models that somebody in a worker pool can render right now, asked over HTTP."""
        return await self._catalog.available_on(network)

    async def get_supported_models(self, *, force_refresh: bool = False) -> tuple[ModelEntry, ...]:
        """All models of the grid's catalogue, with workers or without. Kept for ten minutes."""
        return await self._catalog.models(fresh=force_refresh)

    async def get_model_options(self, model: str) -> ModelOptions:
        """What the settings of one model may be. Kept for ten minutes.

        Returns:
            `ImageOptions`, `VideoOptions` or `AudioOptions`, by what the model makes.

        Raises:
            UnknownModel: The catalogue has no such model.
        """
        return await self._catalog.options(model)

    async def get_size_presets(
        self, model: str, *, network: Network = "fast", force_refresh: bool = False
    ) -> tuple[SizePreset, ...]:
        """The named sizes of one model. Kept for ten minutes.

        Raises:
            UnknownModel: The catalogue has no such model.
        """
        return await self._catalog.presets(model, network, fresh=force_refresh)

    async def get_video_asset_config(self, model: str) -> VideoAssetConfig:
        """Which inputs a video model takes: as the server lists them, or else as its id says.

        Raises:
            UnknownModel: The catalogue has no such model.
            InvalidRequest: It makes no videos.
        """
        entry = await self._catalog.model(model)
        if entry.media != "video":
            raise InvalidRequest(f"{model} makes {entry.media}, not video")
        workflow = workflow_of(model)
        if entry.inputs is None:
            assets = needs_of(workflow) if workflow else None
            return VideoAssetConfig(workflow=workflow, assets=assets)
        needs: dict[str, Need] = dict.fromkeys(_VIDEO_ROLES, "forbidden")
        needs |= dict.fromkeys(entry.inputs, "optional")
        needs |= dict.fromkeys(entry.required_inputs, "required")
        return VideoAssetConfig(workflow=workflow, assets=needs, any_of=entry.any_inputs)

    def is_video_model_id(self, model: str) -> bool:
        """Whether a model makes videos: by the catalogue, if it was read, or else by its id."""
        entry = self._catalog.known(model)
        return entry.media == "video" if entry else is_video_id(model)

    def is_audio_model_id(self, model: str) -> bool:
        """Whether a model makes music or speech: by the catalogue, or else by its id."""
        entry = self._catalog.known(model)
        return entry.media == "audio" if entry else is_audio_id(model)

    # ── LoRAs ────────────────────────────────────────────────────────────────────────────────────

    async def get_loras(
        self, model: str | None = None, *, force_refresh: bool = False
    ) -> tuple[LoraInfo, ...]:
        """The LoRAs of the grid, all or those that one model takes. Kept for five minutes."""
        found, _ = await self._lora_list(model, fresh=force_refresh)
        return found

    async def get_lora(self, lora_id: str) -> LoraInfo:
        """One LoRA.

        Raises:
            NotFound: The grid has none of that id.
        """
        for lora in await self.get_loras():
            if lora.id == lora_id:
                return lora
        raise NotFound(f"this grid has no LoRA '{lora_id[:80]}'; get_loras() lists what it has")

    async def supports_loras(self, model: str) -> bool:
        """Whether a model takes any LoRA of the grid."""
        return any(model in lora.models for lora in await self.get_loras())

    async def get_lora_constraints(self) -> LoraConstraints:
        """How many LoRAs one project may have, and how strong they may be."""
        _, constraints = await self._lora_list(None, fresh=False)
        return constraints

    async def _lora_list(self, model: str | None, *, fresh: bool) -> _Loras:
        since, kept = self._loras.get(model, (0.0, None))
        if kept is None or fresh or time.monotonic() - since > _LORAS_KEPT_S:
            kept = await loras.ask(self._http, model)
            self._loras[model] = (time.monotonic(), kept)
        return kept
