"""From a request to renders: everything decided, or refused with what would be allowed."""

import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from dreamgrid.errors import InvalidRequest, UnknownModel
from dreamgrid.protocol.params import MAX_SEED, STARTING_IMAGE, ControlNet, ImageParams
from dreamgrid.protocol.renders import AnyRender, ImageRender
from dreamgrid.server.catalog import Catalog
from dreamgrid.server.resolve.image import ImageRules
from dreamgrid.server.samplers import SAMPLER_ALIASES, SCHEDULER_ALIASES


@dataclass(frozen=True)
class Limits:
    max_count: int = 16
    max_video_count: int = 4
    max_audio_count: int = 4
    max_prompt_chars: int = 4000


CATALOG = Catalog.load()
HUGE = 10**6000


def resolve(catalog: Catalog = CATALOG, **changes: Any) -> tuple[ImageRender, ...]:
    params = ImageParams(**{"model": "dreamlet-v1", "prompt": "a red apple", **changes})
    seeds = itertools.count(100)
    return pictures(catalog.resolve(params, Limits(), lambda: next(seeds)))


def pictures(renders: tuple[AnyRender, ...]) -> tuple[ImageRender, ...]:
    """The renders of a model that makes pictures."""
    found = tuple(render for render in renders if isinstance(render, ImageRender))
    assert len(found) == len(renders)
    return found


def only(**changes: Any) -> ImageRender:
    (render,) = resolve(**changes)
    return render


def catalog_with(tmp_path: Path, tier: dict[str, Any], **model: Any) -> Catalog:
    """The built-in catalogue and one more model, `other-v1`."""
    size = {"width": 768, "height": 512, "min": 256, "max": 1024, "maxPixels": 600_000}
    spec = {"id": "other-v1", "name": "Other", "SID": 7, "tier": "t", "media": "image"}
    path = tmp_path / "other.json"
    base = {"benchmark": {"sec": 1}, "steps": {"min": 4, "max": 12, "default": 8}}
    content = {"models": [{**spec, "size": size, **model}], "tiers": {"t": {**base, **tier}}}
    path.write_text(json.dumps(content))
    return Catalog.load([path])


# ── defaults ─────────────────────────────────────────────────────────────────────────────────────


def test_what_the_app_leaves_open_the_catalogue_decides() -> None:
    assert only() == ImageRender(
        model="dreamlet-v1",
        prompt="a red apple",
        width=512,
        height=512,
        steps=20,
        guidance=2.0,
        seed=100,
        sampler="euler",
        scheduler="simple",
    )


def test_one_render_per_job_and_only_the_first_gets_the_seed() -> None:
    assert [render.seed for render in resolve(count=4, seed=7)] == [7, 100, 101, 102]


@pytest.mark.parametrize("seed", [None, -1])
def test_no_seed_is_a_random_seed(seed: int | None) -> None:
    assert only(seed=seed).seed == 100


@pytest.mark.parametrize("seed", [0, MAX_SEED])
def test_the_ends_of_the_seed_range_are_seeds(seed: int) -> None:
    assert only(seed=seed).seed == seed


def test_a_style_is_appended_to_the_prompt() -> None:
    assert only(prompt="a cat", style_prompt="oil painting").prompt == "a cat, oil painting"
    assert only(prompt="a cat", style_prompt="  ").prompt == "a cat"


def test_a_model_that_needs_no_prompt_takes_the_style_alone(tmp_path: Path) -> None:
    catalog = catalog_with(tmp_path, {"type": "image"}, promptRequired=False)
    (render,) = resolve(catalog, model="other-v1", prompt="", style_prompt="oil")
    assert render.prompt == "oil"
    (render,) = resolve(catalog, model="other-v1", prompt="", steps=4)
    assert render.prompt == ""


def test_a_preset_gives_its_size() -> None:
    render = only(size_preset="landscape_16_9")
    assert (render.width, render.height) == (1024, 576)


def test_a_starting_image_has_a_strength_and_nothing_else_has() -> None:
    assert only(assets=(STARTING_IMAGE,)).strength == 0.5
    assert only(assets=(STARTING_IMAGE,), strength=0).strength == 0.0
    assert only(assets=(STARTING_IMAGE,), strength=1).strength == 1.0
    assert only(strength=0.7).strength is None
    assert only(strength=math.nan).strength is None


def test_a_model_that_ignores_strength_always_starts_over(tmp_path: Path) -> None:
    catalog = catalog_with(tmp_path, {"type": "image"}, inputs=[STARTING_IMAGE], strength=False)
    (render,) = resolve(catalog, model="other-v1", assets=(STARTING_IMAGE,), strength=0.2)
    assert render.strength == 1.0


def test_a_model_that_ignores_negative_prompts_gets_none(tmp_path: Path) -> None:
    catalog = catalog_with(tmp_path, {"type": "image"}, negativePrompt=False)
    assert resolve(catalog, model="other-v1", negative_prompt="blur")[0].negative_prompt == ""
    assert only(negative_prompt="blur").negative_prompt == "blur"


def test_guidance_and_samplers_of_a_tier_without_them_are_ignored(tmp_path: Path) -> None:
    catalog = catalog_with(tmp_path, {"type": "image"})
    (render,) = resolve(
        catalog, model="other-v1", guidance=99.0, sampler="nonsense", scheduler="nonsense"
    )
    assert (render.guidance, render.sampler, render.scheduler) == (1.0, None, None)


@pytest.mark.parametrize(
    ("previews", "steps", "given"), [(3, 20, 3), (99, 20, 20), (99, 50, 50), (-4, 20, 0), (0, 1, 0)]
)
def test_previews_are_no_more_than_steps(previews: int, steps: int, given: int) -> None:
    assert only(previews=previews, steps=steps).previews == given


def test_previews_are_no_more_than_the_model_gives(tmp_path: Path) -> None:
    catalog = catalog_with(tmp_path, {"type": "image"}, maxPreviews=2)
    assert resolve(catalog, model="other-v1", previews=8)[0].previews == 2


# ── samplers ─────────────────────────────────────────────────────────────────────────────────────


def all_samplers(tmp_path: Path, *, comfy: bool) -> Catalog:
    """A model that offers everything: by display names, or by aliases as newer tiers do."""
    samplers, schedulers = SAMPLER_ALIASES, SCHEDULER_ALIASES
    if comfy:
        tier = {
            "type": "image",
            "comfySampler": {"allowed": sorted(set(samplers.values())), "default": "heun"},
            "comfyScheduler": {"allowed": sorted(schedulers.values()), "default": "beta"},
        }
    else:
        tier = {
            "sampler": {"allowed": list(samplers), "default": "Heun"},
            "scheduler": {"allowed": list(schedulers), "default": "Beta"},
        }
    return catalog_with(tmp_path, tier)


@pytest.mark.parametrize("comfy", [True, False])
def test_every_spelling_of_a_sampler_becomes_its_alias(tmp_path: Path, comfy: bool) -> None:
    catalog = all_samplers(tmp_path, comfy=comfy)
    for display, alias in SAMPLER_ALIASES.items():
        for name in (display, alias, display.upper(), alias.upper(), f" {display} "):
            assert resolve(catalog, model="other-v1", sampler=name)[0].sampler == alias
    for display, alias in SCHEDULER_ALIASES.items():
        for name in (display, alias, display.lower(), alias.upper()):
            assert resolve(catalog, model="other-v1", scheduler=name)[0].scheduler == alias


@pytest.mark.parametrize("comfy", [True, False])
@pytest.mark.parametrize("name", [None, "", "  "])
def test_no_sampler_is_the_tiers_default(tmp_path: Path, comfy: bool, name: str | None) -> None:
    catalog = all_samplers(tmp_path, comfy=comfy)
    (render,) = resolve(catalog, model="other-v1", sampler=name, scheduler=name)
    assert (render.sampler, render.scheduler) == ("heun", "beta")


def test_a_sampler_of_the_operators_own_is_known_by_its_own_name(tmp_path: Path) -> None:
    names = {"allowed": ["My Sampler"], "default": "My Sampler"}
    catalog = catalog_with(tmp_path, {"type": "image", "comfySampler": names})
    assert resolve(catalog, model="other-v1", sampler="my sampler")[0].sampler == "My Sampler"


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": ""}, "prompt is empty"),
        ({"prompt": " \n\t"}, "prompt is empty"),
        ({"prompt": "", "style_prompt": "oil"}, "prompt is empty"),
        ({"prompt": "x" * 4001}, "the prompt has 4001 characters; at most 4000"),
        ({"style_prompt": "x" * 4001}, "style prompt has 4001"),
        ({"negative_prompt": "x" * 4001}, "negative prompt has 4001"),
        ({"prompt": "a\0b"}, "prompt contains a NUL"),
        ({"negative_prompt": "\ud800"}, "negative prompt contains half a character"),
        ({"count": 0}, "count 0 is not allowed: 1 to 16"),
        ({"count": 17}, "count 17 is not allowed: 1 to 16"),
        ({"count": -1}, "count -1"),
        ({"count": HUGE}, "count .a whole number of more than 64 bits"),
        ({"steps": 0}, "steps 0 is not allowed: 1 to 50"),
        ({"steps": 51}, "steps 51 is not allowed: 1 to 50"),
        ({"steps": HUGE}, "steps .a whole number"),
        ({"guidance": 0.9}, "guidance 0.9 is not allowed: 1 to 5"),
        ({"guidance": math.nan}, "guidance nan"),
        ({"guidance": math.inf}, "guidance inf"),
        ({"guidance": -math.inf}, "guidance -inf"),
        ({"guidance": HUGE}, "guidance .a whole number"),
        ({"seed": -2}, "seed -2 is not allowed: 0 to 4294967295"),
        ({"seed": 2**32}, "seed 4294967296"),
        ({"seed": HUGE}, "seed .a whole number"),
        ({"width": 512}, "together or not at all"),
        ({"height": 512}, "together or not at all"),
        ({"width": 56, "height": 512}, "width 56 is not allowed: 64 to 2048"),
        ({"width": 512, "height": 2056}, "height 2056 is not allowed: 64 to 2048"),
        ({"width": 0, "height": 0}, "width 0"),
        ({"width": HUGE, "height": 512}, "width .a whole number"),
        ({"size_preset": "huge"}, "no size preset 'huge': use square, square_hd"),
        ({"size_preset": "square", "width": 512, "height": 512}, "not both"),
        (
            {"assets": ("referenceImage",)},
            "does not take the input 'referenceImage'; inputs: startingImage",
        ),
        ({"assets": (STARTING_IMAGE, "contextImage2")}, "'contextImage2'"),
        ({"assets": ("x" * 10_000,)}, "does not take"),
        ({"assets": (STARTING_IMAGE,), "strength": 1.01}, "strength 1.01 is not allowed: 0 to 1"),
        ({"assets": (STARTING_IMAGE,), "strength": -0.1}, "strength -0.1"),
        ({"assets": (STARTING_IMAGE,), "strength": math.nan}, "strength nan"),
        ({"sampler": "heun"}, "sampler 'heun' is not offered by this model: choose one of Euler"),
        ({"scheduler": "karras"}, "scheduler 'karras' is not offered"),
        ({"sampler": "x" * 10_000}, "is not offered"),
        ({"output_format": "bmp"}, "does not make 'bmp' files: use png, jpg, webp"),
        ({"network": "slow"}, "not served on the network slow"),
    ],
)
def test_what_is_not_allowed_is_refused_with_what_is(changes: Any, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        resolve(**changes)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("start", "end"), [(0.5, 0.5), (0.6, 0.4), (1.0, None), (None, 0.0), (0.0, 0.0), (1, 1)]
)
def test_a_controlnet_that_ends_before_it_starts_is_refused(
    tmp_path: Path, start: float | None, end: float | None
) -> None:
    catalog = catalog_with(tmp_path, {"type": "image"}, controlNets=["canny"])
    never = ControlNet(name="canny", start=start, end=end)
    with pytest.raises(InvalidRequest, match=r"canny starts at .* it never works"):
        resolve(catalog, model="other-v1", control_net=never, assets=("cnImage",))


@pytest.mark.parametrize(("start", "end"), [(None, None), (0.0, 1.0), (0.4, 0.6), (None, 0.1)])
def test_a_controlnet_may_work_in_any_part_of_the_steps(
    tmp_path: Path, start: float | None, end: float | None
) -> None:
    catalog = catalog_with(tmp_path, {"type": "image"}, controlNets=["canny"])
    net = ControlNet(name="canny", start=start, end=end)
    (render,) = resolve(catalog, model="other-v1", control_net=net, assets=("cnImage",))
    assert render.control_net == net


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(UnknownModel):
        resolve(model="nothing-v1")


def test_too_many_pixels_are_refused_though_each_side_is_allowed(tmp_path: Path) -> None:
    catalog = catalog_with(tmp_path, {"type": "image"})
    with pytest.raises(InvalidRequest, match="1024x1024 is 1048576 pixels; other-v1 makes at most"):
        resolve(catalog, model="other-v1", width=1024, height=1024)


def test_sides_come_down_to_the_models_step() -> None:
    """Every client lets people ask for any size between the limits."""
    picture = only(width=1000, height=750)
    assert (picture.width, picture.height) == (1000, 744)


def test_a_model_of_one_network_is_refused_on_the_other(tmp_path: Path) -> None:
    catalog = catalog_with(tmp_path, {"type": "image"}, networks=["fast"])
    assert resolve(catalog, model="other-v1", network="fast")
    with pytest.raises(InvalidRequest, match="not served on the network relaxed: use fast"):
        resolve(catalog, model="other-v1", network="relaxed")


def test_a_video_model_makes_no_pictures(tmp_path: Path) -> None:
    side = {"min": 480, "max": 1280, "default": 640}
    tier = {"type": "video", "width": side, "height": side}
    catalog = catalog_with(tmp_path, tier, media="video", size=None)
    with pytest.raises(InvalidRequest, match="other-v1 makes video, nothing else"):
        resolve(catalog, model="other-v1")


# ── for every request ────────────────────────────────────────────────────────────────────────────

integers = st.one_of(
    st.integers(-5, 3000), st.sampled_from([MAX_SEED, 2**32, HUGE, -HUGE, 512, 1024])
)
numbers = st.one_of(integers, st.floats())
texts = st.one_of(st.text(max_size=20), st.sampled_from(["x" * 5000, "", " ", "a\0b", "\ud800"]))
sane = {
    "model": st.sampled_from(["dreamlet-v1", "pattern-v1"]),
    "prompt": st.just("a cat"),
    "style_prompt": st.sampled_from(["", "oil painting"]),
    "count": st.integers(1, 16),
    "steps": st.one_of(st.none(), st.integers(1, 50)),
    "guidance": st.one_of(st.none(), st.floats(1, 5)),
    "seed": st.one_of(st.none(), st.integers(-1, MAX_SEED)),
    "assets": st.sampled_from([(), (STARTING_IMAGE,)]),
    "strength": st.one_of(st.none(), st.floats(0, 1)),
    "previews": st.integers(-5, 100),
    "output_format": st.sampled_from(["png", "jpg", "webp"]),
}
wild = {
    "model": st.just("dreamlet-v2"),
    "prompt": texts,
    "negative_prompt": texts,
    "style_prompt": texts,
    "count": integers,
    "steps": integers,
    "guidance": numbers,
    "seed": integers,
    "width": integers,
    "height": integers,
    "size_preset": st.sampled_from(["square", "portrait_3_4", "none"]),
    "assets": st.sampled_from([("cnImage",), ("", STARTING_IMAGE)]),
    "strength": numbers,
    "sampler": st.sampled_from(["Euler", "euler", "heun", ""]),
    "scheduler": st.sampled_from(["Simple", "karras"]),
    "previews": integers,
}
sizes = st.integers(0, 140).map(lambda eighth: eighth * 8)
sized: st.SearchStrategy[dict[str, int]] = st.one_of(
    st.just({}), st.fixed_dictionaries({"width": sizes, "height": sizes})
)


@st.composite
def requests(draw: st.DrawFn) -> ImageParams:
    """Mostly sound requests, with up to two fields that are not."""
    fields: dict[str, Any] = {name: draw(values) for name, values in sane.items()} | draw(sized)
    for name in draw(st.lists(st.sampled_from(sorted(wild)), max_size=2)):
        fields[name] = draw(wild[name])
    return ImageParams(**fields)


def attempt(params: ImageParams) -> tuple[tuple[ImageRender, ...], str | None]:
    """The renders, or why there are none."""
    try:
        return pictures(CATALOG.resolve(params, Limits(), lambda: 5)), None
    except InvalidRequest as error:
        return (), str(error)


@settings(max_examples=300)
@given(requests())
def test_a_render_is_always_within_the_models_limits(params: ImageParams) -> None:
    renders, refusal = attempt(params)
    event("accepted" if refusal is None else "refused")
    if refusal is not None:
        assert 0 < len(refusal) < 400
        return
    assert len(renders) == params.count <= 16
    model = CATALOG.model(params.model)
    assert model.spec.size is not None
    assert isinstance(model.rules, ImageRules)
    size, steps = model.spec.size, model.rules.steps
    for render in renders:
        assert msgspec.json.decode(msgspec.json.encode(render), type=ImageRender) == render
        assert all(size.min <= side <= size.max for side in (render.width, render.height))
        assert render.width % size.step == render.height % size.step == 0
        assert render.width * render.height <= size.max_pixels
        assert steps.min <= render.steps <= steps.max
        assert 1 <= render.guidance <= 5
        assert 0 <= render.seed <= MAX_SEED
        assert 0 <= render.previews <= render.steps
        assert (render.strength is None) == (STARTING_IMAGE not in params.assets)
        assert render.strength is None or 0 <= render.strength <= 1
        assert render.prompt.strip()
        assert len(render.prompt) <= 2 * 4000 + 2
