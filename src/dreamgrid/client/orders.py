"""From settings to an order: the params that travel and the files that go with them. Pure.

Plain mistakes are found here, before anything is sent or uploaded. The limits come from the
server's catalogue. What it does not limit is left to the server, and so are the names of samplers
and schedules: servers know aliases that no catalogue lists.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from dreamgrid.client.options import ImageOptions, ModelOptions, VideoOptions
from dreamgrid.client.settings import NAMES, ControlNet
from dreamgrid.errors import InvalidRequest, MissingAsset, NotAllowed
from dreamgrid.protocol import params as wire
from dreamgrid.protocol.assets import (
    CONTEXT_IMAGE,
    CONTROL_NET_IMAGE,
    KEYFRAME_IMAGE,
    MAX_CONTEXT_IMAGES,
    MAX_KEYFRAME_IMAGES,
    MAX_REFERENCES,
    REFERENCE_AUDIO,
    REFERENCE_IMAGE,
    REFERENCE_IMAGE_END,
    REFERENCE_MASK,
    REFERENCE_VIDEO,
)
from dreamgrid.protocol.frame_counts import frames_in
from dreamgrid.protocol.model_names import ANY_OF, AUDIO_IDENTITY, needs_of, workflow_of
from dreamgrid.protocol.params import MAX_SEED, STARTING_IMAGE, AnyParams, Lora, Media
from dreamgrid.protocol.rest import ModelEntry, NumberRange, StringChoice
from dreamgrid.protocol.tiers import NumberChoice, NumberFrom, Text

_ONE = {
    "starting_image": STARTING_IMAGE,
    "reference_image": REFERENCE_IMAGE,
    "reference_image_end": REFERENCE_IMAGE_END,
    "reference_mask": REFERENCE_MASK,
    "reference_audio_identity": REFERENCE_AUDIO,
}
"""Settings that are one input, and its role."""

_ONE_OR_MORE = {"reference_audio": REFERENCE_AUDIO, "reference_video": REFERENCE_VIDEO}

_SETTING = {role: name for name, role in (_ONE | _ONE_OR_MORE).items()} | {
    CONTEXT_IMAGE: "context_images",
    KEYFRAME_IMAGE: "keyframes",
    CONTROL_NET_IMAGE: "control_net",
    AUDIO_IDENTITY: "reference_audio_identity",
}
"""The setting that an input of a role is given for."""

_NOT_PARAMS = frozenset(
    {*_ONE, *_ONE_OR_MORE, "context_images", "keyframes", "control_net", "loras"}
    | {"max_cost", "project_id", "points"}
)

_KINDS: dict[Media, type[AnyParams]] = {
    "image": wire.ImageParams,
    "video": wire.VideoParams,
    "audio": wire.AudioParams,
}

_UNCHECKED = frozenset({"sampler", "scheduler"})


@dataclass(frozen=True, kw_only=True)
class Order:
    """A project that can be sent once its files are uploaded.

    Attributes:
        params: What to make.
        inputs: The files, by asset role. True: uploaded already.
        names: The setting that each file was given for, by asset role.
        comfy: The model's samplers have Comfy's names.
        voice: The reference sound is a voice to copy.
    """

    params: AnyParams
    inputs: Mapping[str, object] = field(repr=False)
    names: Mapping[str, str] = field(repr=False)
    comfy: bool
    voice: bool


def media_of(entry: ModelEntry) -> Media:
    """What a model makes, if this SDK can ask for it.

    Raises:
        NotAllowed: It cannot.
    """
    for media in _KINDS:
        if entry.media == media:
            return media
    raise NotAllowed(f"{entry.id} makes {entry.media}, which this version cannot ask for")


def order_of(
    settings: Mapping[str, Any],
    entry: ModelEntry,
    options: ModelOptions,
    *,
    comfy: bool,
    estimate: bool = False,
) -> Order:
    """The order that these settings make, checked against the model.

    Args:
        settings: As the caller gave them. None is the same as left out.
        entry: The model.
        options: Its limits.
        comfy: Its samplers have Comfy's names.
        estimate: Only the price is asked for: inputs may be missing.

    Raises:
        InvalidRequest: A setting has the wrong type, is out of range, or is for another kind of
            media; the message says what is allowed.
        MissingAsset: The model cannot do without an input that is not there.
    """
    media = media_of(entry)
    given = {name: value for name, value in settings.items() if value is not None}
    _check_media(given, media, entry.id)
    inputs, names = _inputs(given, media)
    plain = {name: value for name, value in given.items() if name not in _NOT_PARAMS}
    plain["assets"] = tuple(inputs)
    plain |= {"loras": _loras(given["loras"])} if "loras" in given else {}
    plain |= {"control_net": _control_net(given["control_net"])} if "control_net" in given else {}
    if "points" in given:
        plain["points"] = given["points"]
    if isinstance(options, VideoOptions):
        plain |= _frames(plain, options)
        plain |= {"keyframes": tuple(given["keyframes"])} if "keyframes" in given else {}
    if estimate and "strength" in plain and STARTING_IMAGE not in inputs:
        plain["assets"] += (STARTING_IMAGE,)
    params = _converted(plain, _KINDS[media])
    _check(params, options)
    voice = "reference_audio_identity" in given
    _check_inputs(params, entry, names, estimate=estimate, voice=voice)
    return Order(params=params, inputs=inputs, names=names, comfy=comfy, voice=voice)


def _check_media(given: Mapping[str, object], media: Media, model: str) -> None:
    for name in given:
        if name not in NAMES[media]:
            kinds = " and ".join(kind for kind, names in NAMES.items() if name in names)
            raise InvalidRequest(f"{name} is a setting of {kinds}; {model} makes {media}")


# ── inputs ───────────────────────────────────────────────────────────────────────────────────────


def _inputs(given: Mapping[str, Any], media: Media) -> tuple[dict[str, object], dict[str, str]]:
    """The files by role, and the settings that they were given for."""
    found: list[tuple[str, str, object]] = []
    for name, role in _ONE.items():
        if name in given:
            found.append((role, name, given[name]))
    for name, role in _ONE_OR_MORE.items():
        if name in given:
            found += _slots(name, role, given[name])
    # In videos the first picture to take things from is the reference image, if there is one.
    first = 2 if media == "video" and "reference_image" in given else 1
    images = _many("context_images", given.get("context_images", ()), MAX_CONTEXT_IMAGES)
    found += [
        (f"{CONTEXT_IMAGE}{slot}", "context_images", image)
        for slot, image in enumerate(images, start=first)
    ]
    found += _keyframes(given.get("keyframes", {}))
    net = given.get("control_net")
    if isinstance(net, ControlNet) and net.image is not None:
        found.append((CONTROL_NET_IMAGE, "control_net", net.image))
    roles = [role for role, _, _ in found]
    if len(set(roles)) < len(roles):
        raise InvalidRequest("give a reference_audio or a reference_audio_identity, not both")
    return (
        {role: source for role, _, source in found},
        {role: name for role, name, _ in found},
    )


def _slots(name: str, role: str, value: object) -> list[tuple[str, str, object]]:
    if not isinstance(value, list | tuple):
        return [(role, name, value)]
    files = _many(name, value, MAX_REFERENCES)
    return [(f"{role}{slot}", name, one) for slot, one in enumerate(files, start=1)]


def _many(name: str, value: object, most: int) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise InvalidRequest(f"{name} is a list of files, not {type(value).__name__}")
    if len(value) > most:
        raise InvalidRequest(f"{name} has {len(value)} files: allowed are {most}")
    return value


def _keyframes(value: object) -> list[tuple[str, str, object]]:
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"keyframes is a picture by frame, not {type(value).__name__}")
    if len(value) > MAX_KEYFRAME_IMAGES:
        raise InvalidRequest(f"keyframes has {len(value)} pictures: allowed {MAX_KEYFRAME_IMAGES}")
    return [
        (f"{KEYFRAME_IMAGE}{slot}", "keyframes", image)
        for slot, image in enumerate(value.values(), start=1)
    ]


def _check_inputs(
    params: AnyParams, entry: ModelEntry, names: Mapping[str, str], *, estimate: bool, voice: bool
) -> None:
    """The model takes the inputs, and none is missing."""
    if entry.inputs is None:
        if isinstance(params, wire.VideoParams) and not estimate:
            _check_by_workflow(params, entry.id, voice=voice)
        return
    for role in params.assets:
        if role not in entry.inputs and not (role == CONTROL_NET_IMAGE and entry.control_nets):
            takes = ", ".join(_named(entry.inputs)) or "no inputs"
            raise InvalidRequest(f"{entry.id} takes no {names.get(role, role)}; it takes {takes}")
    if estimate:
        return
    for role in entry.required_inputs:
        if role not in params.assets:
            raise MissingAsset(f"{entry.id} needs a {_named([role])[0]}")
    if entry.any_inputs and not set(entry.any_inputs) & set(params.assets):
        raise MissingAsset(f"{entry.id} needs a {' or a '.join(_named(entry.any_inputs))}")


def _check_by_workflow(params: AnyParams, model: str, *, voice: bool) -> None:
    """The rules of the published SDKs, where the server does not say what a model takes."""
    workflow = workflow_of(model)
    if workflow is None:
        return
    given = {role.rstrip("0123456789") for role in params.assets}
    if voice:
        given = given - {REFERENCE_AUDIO} | {AUDIO_IDENTITY}
    for role, need in needs_of(workflow).items():
        if need == "required" and role not in given:
            raise MissingAsset(f"{model} needs a {_named([role])[0]}")
        if need == "forbidden" and role in given:
            raise InvalidRequest(f"{model} takes no {_named([role])[0]}")
    either = ANY_OF.get(workflow, ())
    if either and not given & set(either):
        raise MissingAsset(f"{model} needs a {' or a '.join(_named(either))}")


def _named(roles: Sequence[str]) -> list[str]:
    """The settings that stand for these roles, each once."""
    plain = (role.rstrip("0123456789") for role in roles)
    return list(dict.fromkeys(_SETTING.get(role, role) for role in plain))


# ── settings ─────────────────────────────────────────────────────────────────────────────────────


def _loras(value: object) -> list[dict[str, object]]:
    """Plain, so that all of it is checked with the rest."""
    if isinstance(value, Mapping):
        return [{"id": name, "strength": strength} for name, strength in value.items()]
    if not isinstance(value, list | tuple):
        raise InvalidRequest(f"loras is a strength by id or a list, not {type(value).__name__}")
    return [
        {"id": one.id, "strength": one.strength} if isinstance(one, Lora) else {"id": one}
        for one in value
    ]


def _control_net(net: object) -> dict[str, object]:
    """Plain, so that all of it is checked with the rest; its image is an input."""
    if not isinstance(net, ControlNet):
        raise InvalidRequest("control_net is a dreamgrid.ControlNet(name=..., image=...)")
    names = wire.ControlNet.__struct_fields__
    return {name: getattr(net, name) for name in names}


def _frames(plain: dict[str, Any], options: VideoOptions) -> dict[str, Any]:
    """How many frames the wanted duration has, if one is wanted."""
    duration_s = plain.pop("duration_s", None)
    if duration_s is None:
        return {}
    if "frames" in plain:
        raise InvalidRequest("give either duration_s or frames, not both")
    fps = plain.get("fps") or (options.fps.default if options.fps else None)
    frames = frames_in(
        duration_s,
        "duration_s",
        model=options.model,
        allowed=options.frames,
        per_second=options.motion_fps or fps,
    )
    return {"frames": frames}


def _converted(plain: dict[str, Any], kind: type[AnyParams]) -> AnyParams:
    """The settings as the type that travels, each checked for its kind."""
    try:
        params = msgspec.convert(plain, kind)
    except msgspec.ValidationError as error:
        raise InvalidRequest(_readable(str(error))) from None
    if params.count < 1:
        raise InvalidRequest(f"count is {params.count}: ask for at least 1")
    if params.seed is not None and not 0 <= params.seed <= MAX_SEED:
        raise InvalidRequest(f"seed is {params.seed}: allowed is 0 to {MAX_SEED}")
    _check_size(params)
    if isinstance(params, wire.ImageParams):
        _check_starting_image(params)
    return params


def _check_size(params: AnyParams) -> None:
    if isinstance(params, wire.AudioParams):
        return
    if (params.width is None) != (params.height is None):
        raise InvalidRequest("give width and height together, or neither")
    if params.width is not None and params.size_preset is not None:
        raise InvalidRequest("give either width and height or a size_preset, not both")


def _check_starting_image(params: wire.ImageParams) -> None:
    if params.strength is not None and not 0 <= params.strength <= 1:
        raise InvalidRequest(
            f"strength is {params.strength}: allowed is 0 (keep the starting image) "
            "to 1 (ignore it)"
        )
    if params.strength is not None and STARTING_IMAGE not in params.assets:
        raise InvalidRequest("strength is for a starting_image; there is none")
    if params.previews < 0:
        raise InvalidRequest(f"previews is {params.previews}: allowed is 0 or more")


def _check(params: AnyParams, options: ModelOptions) -> None:
    """Every setting is in the range that the catalogue gives for it."""
    for name in params.__struct_fields__:
        limit, value = getattr(options, name, None), getattr(params, name)
        if limit is not None and value is not None and name not in _UNCHECKED:
            allowed = _allowed(limit, value)
            if allowed:
                shown = f"{value:g}" if isinstance(value, float) else repr(value)
                raise InvalidRequest(f"{name} is {shown}: {options.model} allows {allowed}")
    if isinstance(options, VideoOptions | ImageOptions) and options.max_pixels is not None:
        assert not isinstance(params, wire.AudioParams)
        width, height = params.width or 0, params.height or 0
        if width * height > options.max_pixels:
            raise InvalidRequest(
                f"{width}x{height} has {width * height} pixels: {options.model} allows "
                f"{options.max_pixels}"
            )


def _allowed(limit: object, value: Any) -> str:
    """What is allowed instead of `value`; empty if it is."""
    match limit:
        case NumberRange(min=low, max=high) if not low <= value <= high:
            return f"{low:g} to {high:g}"
        case NumberChoice(allowed=numbers) if value not in numbers:
            return ", ".join(f"{number:g}" for number in numbers)
        case NumberFrom(min=low) if value < low:
            return f"{low:g} or more"
        case StringChoice(allowed=words) if value not in words:
            return ", ".join(words)
        case Text(max_length=most) if len(value) > most:
            return f"at most {most} characters"
        case _:
            return ""


def _readable(message: str) -> str:
    """`Expected int, got str - at $.steps` as a person would say it."""
    what, _, where = message.replace(" | null", "").partition(" - at `$.")
    what = what.replace("`", "")
    return f"{where.rstrip('`')}: {what[:1].lower()}{what[1:]}" if where else what
