"""The models of this grid: facts from data files, looked up and applied. Pure after loading.

A model is an entry in a file, never a branch in code. The built-in files describe the embedded
engines; an operator's files add models and tiers or replace them by id. `docs/catalogue.md` tells
how to write one.
"""

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import msgspec

from dreamgrid.errors import ConfigError, InvalidRequest, UnknownModel
from dreamgrid.protocol.params import NETWORKS, AnyParams, Media, Network
from dreamgrid.protocol.renders import AnyRender
from dreamgrid.protocol.rest import ModelEntry, SizePreset, SizeRange
from dreamgrid.server import catalog_check
from dreamgrid.server.catalog_entries import (
    AudioTier,
    Benchmark,
    LoraSpec,
    ModelSpec,
    Tier,
    VideoTier,
)
from dreamgrid.server.catalog_files import Source, read_sources
from dreamgrid.server.resolve import rules as resolving
from dreamgrid.server.resolve.request import NO_GUIDANCE, RequestLimits, check_inputs
from dreamgrid.server.resolve.rules import Rules, rules_of


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What the catalogue says about the price of a model.

    Attributes:
        benchmark: How long the render with all the defaults takes.
        base_work: How much there is to do for that render, in the unit of the model's rules. None:
            as the catalogue says now.
        max_previews: How many previews the benchmark's seconds of previews are for. None: as the
            catalogue says now.
        model_fee_usd: What each render costs besides.
        network_permille: Thousandths of all but the fee that each network charges. None: as the
            settings say now.
    """

    benchmark: Benchmark
    base_work: int | None = None
    max_previews: int | None = None
    model_fee_usd: float | None = None
    network_permille: dict[Network, int] | None = None


EVEN: Mapping[Network, int] = {"fast": 1_000, "relaxed": 1_000}
"""All networks charge the same."""


class EarlierPrice(msgspec.Struct, frozen=True, kw_only=True):
    """A price that the catalogue no longer has, but that may have been quoted.

    Attributes:
        price: What it was.
        until_ms: Until then whoever was quoted it pays no more.
    """

    price: Price
    until_ms: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """A model with everything that the server knows about it.

    Attributes:
        spec: Its entry in the catalogue.
        tier: The limits of its settings.
        entry: How `models/list` shows it.
        presets: Its named sizes, as clients see them.
        rules: What its results may be like. None: it makes what this server cannot handle.
        network_permille: Thousandths of its price that each network charges.
        earlier_prices: What it cost not long ago.
        priced_as: The price that holds instead of the catalogue's. None: the catalogue's.
    """

    spec: ModelSpec
    tier: Tier
    entry: ModelEntry
    presets: tuple[SizePreset, ...]
    rules: Rules | None
    network_permille: Mapping[Network, int] = field(default_factory=lambda: EVEN)
    earlier_prices: tuple[EarlierPrice, ...] = ()
    priced_as: Price | None = None

    @cached_property
    def price(self) -> Price:
        """What it costs: by the catalogue, unless it is `at` another price."""
        if self.priced_as is not None:
            return self.priced_as
        return Price(
            benchmark=self.tier.benchmark,
            base_work=self.rules.base_work if self.rules is not None else None,
            max_previews=self.spec.max_previews,
            model_fee_usd=self.tier.model_fee_usd,
            network_permille=dict(self.network_permille),
        )

    def at(self, price: Price) -> "Model":
        """The same at another price."""
        now = self.price
        known = msgspec.structs.replace(
            price,  # a note of an earlier version says less
            base_work=now.base_work if price.base_work is None else price.base_work,
            max_previews=now.max_previews if price.max_previews is None else price.max_previews,
            network_permille=price.network_permille or now.network_permille,
        )
        return replace(self, priced_as=known, earlier_prices=())

    @property
    def id(self) -> str:
        """What requests name it by."""
        return self.spec.id

    @property
    def media(self) -> Media:
        """What it makes.

        Raises:
            InvalidRequest: Something that this server cannot handle.
        """
        if self.spec.media == "model":
            raise InvalidRequest(f"{self.id} makes 3D models, which this grid cannot do yet")
        return self.spec.media


class Catalog:
    """All models and tiers. Made by `load`; does not change while a server runs.

    Attributes:
        network_permille: Thousandths of the prices that each network charges.
    """

    def __init__(
        self,
        models: Mapping[str, Model],
        tiers: Mapping[str, dict[str, Any]],
        loras: Sequence[LoraSpec] = (),
        network_permille: Mapping[Network, int] = EVEN,
    ) -> None:
        self.network_permille = network_permille
        self._models = {
            model_id: replace(model, network_permille=network_permille)
            for model_id, model in models.items()
        }
        self._loras = tuple(loras)
        self._entries = tuple(model.entry for model in models.values())
        self._tiers = dict(tiers)

    @classmethod
    def load(
        cls, files: Sequence[Path] = (), *, network_permille: Mapping[Network, int] = EVEN
    ) -> "Catalog":
        """The built-in catalogue and then `files`; a later entry replaces one of the same id.

        Args:
            files: More models and tiers.
            network_permille: Thousandths of the prices that each network charges.

        Raises:
            ConfigError: A file cannot be read, or an entry is wrong. Names file and field.
        """
        return cls(*(_read(files) if files else _built_in()), network_permille)

    def models(self) -> tuple[ModelEntry, ...]:
        """All models in the order of the files, as `models/list` answers."""
        return self._entries

    def model(self, model_id: str) -> Model:
        """One model.

        Raises:
            UnknownModel: There is none of that id; names close matches.
        """
        model = self._models.get(model_id)
        if model is None:
            raise UnknownModel(self._unknown(model_id))
        return model

    def prices(self) -> dict[str, Price]:
        """What each model costs."""
        return {model_id: model.price for model_id, model in self._models.items()}

    def note_earlier_prices(self, earlier: Mapping[str, tuple[EarlierPrice, ...]]) -> None:
        """Lets what models cost not long ago hold for a while; before anybody is served."""
        for model_id, prices in earlier.items():
            if model_id in self._models:
                self._models[model_id] = replace(self._models[model_id], earlier_prices=prices)

    def entry(self, model_id: str) -> ModelEntry:
        """How records show a model, also one that has left the catalogue since."""
        model = self._models.get(model_id)
        if model is None:
            return ModelEntry(id=model_id, name=model_id, sid=0, tier="", media="image")
        return model.entry

    def max_run_s(self, model_id: str) -> float | None:
        """Longest time of one render of a model. None: its tier does not say."""
        model = self._models.get(model_id)
        return model.tier.max_run_s if model is not None else None

    def offered_by(self, served: Collection[str]) -> frozenset[str]:
        """The models of this grid that a worker offers which serves these ids."""
        return frozenset(
            model.id
            for model in self._models.values()
            if (model.spec.served_as or model.id) in served
        )

    def served_id(self, model_id: str) -> str:
        """The id under which workers know a model."""
        model = self._models.get(model_id)
        return (model.spec.served_as if model is not None else None) or model_id

    def as_served(self, render: AnyRender) -> AnyRender:
        """A render as its worker gets it: under the id that the worker knows."""
        served_id = self.served_id(render.model)
        if served_id == render.model:
            return render
        return msgspec.structs.replace(render, model=served_id)

    def tiers(self) -> dict[str, Any]:
        """Tier id to tier, as `models/tiers` answers. Not to be changed by the caller."""
        return self._tiers

    def loras(self, model_id: str | None = None) -> tuple[LoraSpec, ...]:
        """The LoRAs of this grid, or those that one model takes."""
        return tuple(one for one in self._loras if model_id is None or model_id in one.models)

    def size_presets(self, network: str, model_id: str) -> tuple[SizePreset, ...]:
        """The named sizes of a model; none on a network that does not serve it.

        Raises:
            UnknownModel: There is no such model.
            InvalidRequest: There is no such network.
        """
        model = self.model(model_id)
        return model.presets if check_network(network) in model.spec.networks else ()

    def resolve(
        self, params: AnyParams, limits: RequestLimits, random_seed: Callable[[], int]
    ) -> tuple[AnyRender, ...]:
        """Decides everything that `params` leaves open; one render per job.

        Inputs that a model cannot do without are another question (`check_inputs`): an estimate
        is made before they are there.

        Args:
            params: What the app asks for.
            limits: The server's own limits.
            random_seed: Gives a number in 0..2**32-1 at each call.

        Raises:
            UnknownModel: There is no such model.
            InvalidRequest: A value that the model or the server does not allow; says which are.
        """
        model = self.model(params.model)
        if model.rules is None:
            raise InvalidRequest(f"{model.id} makes {model.media}, which this grid cannot do yet")
        return resolving.resolve(model.rules, params, limits, random_seed)

    def check_inputs(self, params: AnyParams) -> None:
        """The inputs that the model cannot do without are among those of the request.

        Raises:
            UnknownModel: There is no such model.
            MissingAsset: One is not; says which.
        """
        check_inputs(self.model(params.model).spec, params)

    def _unknown(self, model_id: str) -> str:
        asked = model_id[:100]  # comparing costs the product of both lengths
        close = difflib.get_close_matches(asked, self._models, n=3)
        if close:
            return f"there is no model {asked!r} here: did you mean {' or '.join(close)}?"
        some = ", ".join(list(self._models)[:6]) or "no models"
        more = len(self._models) - 6
        others = f" and {more} more" if more > 0 else ""
        return f"there is no model {asked!r} here: this grid has {some}{others}"


_Entries = tuple[Mapping[str, Model], Mapping[str, dict[str, Any]], Sequence[LoraSpec]]


@cache  # it never changes, and a test of an app may start many servers in one process
def _built_in() -> _Entries:
    return _read(())


def _read(files: Sequence[Path]) -> _Entries:
    """The models, tiers as served, and LoRAs of the built-in files and then `files`, checked."""
    sources = read_sources(files)
    models, tiers = sources.models, sources.tiers
    for tier_id, tier in tiers.items():
        catalog_check.check_tier(tier.file, tier_id, tier.value)
    catalog_check.check_unique_sids([(row.file, row.value) for row in models.values()])
    for lora in sources.loras.values():
        catalog_check.check_lora(lora.file, lora.value, models)
    for row in models.values():
        catalog_check.check_served_as(row.file, row.value, models)
    loras = tuple(row.value for row in sources.loras.values())
    return (
        {model_id: _model(row.file, row.value, tiers, loras) for model_id, row in models.items()},
        {tier_id: _as_served(row.value) for tier_id, row in tiers.items()},
        loras,
    )


def _as_served(tier: Tier) -> dict[str, Any]:
    """A tier as clients read it.

    The published JavaScript SDKs up to 5.1 read the guidance of every tier, the steps of every
    video tier and the tempo of every audio tier without looking whether there is one. A model that
    has no such setting offers the one neutral value.
    """
    served: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(tier))
    match tier:
        case AudioTier():
            served.setdefault("bpm", _only(120))
        case VideoTier():
            served.setdefault("steps", _only(1))
            served.setdefault("guidance", _only(NO_GUIDANCE))
        case _:
            served.setdefault("guidance", _only(NO_GUIDANCE))
    return served


def _only(value: float) -> dict[str, float]:
    return {"min": value, "max": value, "default": value}


def check_network(name: str) -> Network:
    """The network of that name.

    Raises:
        InvalidRequest: It is none of the two.
    """
    for network in NETWORKS:
        if name == network:
            return network
    raise InvalidRequest(f"network {name[:64]!r} does not exist: use {' or '.join(NETWORKS)}")


def _model(
    file: str, spec: ModelSpec, tiers: Mapping[str, Source[Tier]], loras: Sequence[LoraSpec]
) -> Model:
    if spec.tier not in tiers:
        raise ConfigError(
            f"catalogue file {file}: model {spec.id}: tier {spec.tier!r} does not exist; "
            f"known tiers: {', '.join(tiers)}"
        )
    tier = tiers[spec.tier].value
    catalog_check.check_model(file, spec, tier)
    return Model(
        spec=spec,
        tier=tier,
        entry=_listed(spec),
        presets=tuple(SizePreset(**msgspec.structs.asdict(preset)) for preset in spec.size_presets),
        rules=rules_of(spec, tier, {one.id: one for one in loras if spec.id in one.models}),
    )


def _listed(spec: ModelSpec) -> ModelEntry:
    """A model as clients see it in the list: what it takes and makes; its limits are the tier's."""
    return ModelEntry(
        id=spec.id,
        name=spec.name,
        sid=spec.sid,
        tier=spec.tier,
        media=spec.media,
        inputs=spec.inputs,
        required_inputs=spec.required_inputs,
        any_inputs=spec.any_inputs,
        control_nets=spec.control_nets,
        output_formats=spec.formats,
        size=SizeRange(**msgspec.structs.asdict(spec.size)) if spec.size else None,
        enhances=spec.enhances,
    )
