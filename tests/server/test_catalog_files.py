"""Loading catalogue files: what they may hold, and what a wrong one is told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dreamgrid.errors import ConfigError, InvalidRequest, UnknownModel
from dreamgrid.protocol.model_names import ENHANCERS
from dreamgrid.protocol.renders import ImageRender
from dreamgrid.server.catalog import Catalog

STEPS = {"min": 1, "max": 50, "default": 20}
LEGACY = {
    "nickname": "Classic",
    "benchmark": {"sec": 5, "secCN": 1, "secMaxPreviews": 1},
    "modelFeeUSD": 0,
    "steps": STEPS,
    "guidance": {"min": 1, "max": 20, "decimals": 1, "default": 7.5},
    "sampler": {"allowed": ["DPM++ 2M", "Euler"], "default": "DPM++ 2M"},
    "scheduler": {"allowed": ["Karras", "Simple"], "default": "Karras"},
}
COMFY = {
    "type": "image",
    "benchmark": {"sec": 4, "secContext1": 6, "secContext2": 8, "secContext3": 10},
    "defaultSize": 1024,
    "steps": {"min": 4, "max": 12, "default": 8},
    "guidance": {"min": 0, "max": 5, "decimals": 1, "default": 1},
    "comfySampler": {"allowed": ["euler", "dpmpp_2m"], "default": "euler"},
    "comfyScheduler": {"allowed": ["simple"], "default": "simple"},
}
VIDEO = {
    "type": "video",
    "benchmark": {"sec": 60},
    "width": {"min": 480, "max": 1280, "step": 16, "default": 640},
    "height": {"min": 480, "max": 1280, "step": 16, "default": 640},
    "maxPixels": 921600,
    "fps": {"allowed": [16, 32], "default": 16},
    "frames": {"min": 17, "max": 161, "step": 4, "default": 81},
    "steps": {"min": 4, "max": 8, "default": 4},
    "guidance": {"min": 0.7, "max": 1.6, "decimals": 2, "default": 1},
    "shift": {"min": 1, "max": 8, "decimals": 1, "default": 5},
    "audioStart": {"min": 0, "default": 0},
    "comfySampler": {"allowed": ["euler", "uni_pc"], "default": "euler"},
}
AUDIO = {
    "type": "audio",
    "benchmark": {"sec": 8, "secCN": 0},
    "steps": {"min": 1, "max": 1, "default": 1},
    "duration": {"min": 1, "max": 600, "default": 30},
    "bpm": {"min": 40, "max": 200, "default": 120},
    "timesignature": {"allowed": ["2", "3", "4"], "default": "4"},
    "composerMode": {"default": True},
    "instruct": {"maxLength": 500, "required": False},
    "referenceText": {"maxLength": 1000},
}
SIZE = {"width": 512, "height": 512, "min": 64, "max": 1024, "step": 8, "maxPixels": 1048576}
MODEL = {
    "id": "classic-v1",
    "name": "Classic",
    "SID": 5001,
    "tier": "classic",
    "media": "image",
    "size": SIZE,
    "sizePresets": [
        {
            "label": "Square",
            "id": "square",
            "width": 512,
            "height": 512,
            "ratio": "1:1",
            "aspect": "1",
        }
    ],
}

Write = Callable[[Any], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(content: Any) -> Path:
        path = tmp_path / f"models-{len(list(tmp_path.iterdir()))}.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return to_file


def entry(**changes: Any) -> dict[str, Any]:
    """A file with one model and one tier, changed."""
    tier = {**LEGACY, **changes.pop("tier_changes", {})}
    return {"models": [{**MODEL, **changes}], "tiers": {"classic": tier}}


def video(**preset: Any) -> dict[str, Any]:
    """A file with one video model, whose one preset is changed."""
    wide = {**MODEL["sizePresets"][0], "id": "wide", "width": 640, "height": 640, **preset}  # type: ignore[index]
    model = {
        "id": "v",
        "name": "V",
        "SID": 5001,
        "tier": "v",
        "media": "video",
        "sizePresets": [wide],
    }
    return {"models": [model], "tiers": {"v": VIDEO}}


def test_the_built_in_catalogue_describes_the_embedded_engines() -> None:
    embedded = [model for model in Catalog.load().models() if model.sid < 1100]
    assert [(model.id, model.sid, model.media) for model in embedded] == [
        ("dreamlet-v1", 1001, "image"),
        ("dreamlet-enhance-v1", 1003, "image"),
        ("dreamlet-upscale-v1", 1004, "image"),
        ("wan_v2.2-14b-fp8_t2v_lightx2v", 1010, "video"),
        ("wan_v2.2-14b-fp8_i2v_lightx2v", 1011, "video"),
        ("dreamlet-music-v1", 1020, "audio"),
        ("dreamlet-voice-v1", 1021, "audio"),
        ("pattern-v1", 1002, "image"),
    ]
    assert all(model.name.startswith(("Dreamlet", "Test")) for model in embedded)
    assert Catalog.load().models()[: len(embedded)] == tuple(embedded)  # they come first


@pytest.mark.parametrize("model_id", ["dreamlet-v1", "pattern-v1"])
def test_built_in_tiers_are_legacy_tiers_with_all_that_old_clients_read(model_id: str) -> None:
    catalog = Catalog.load()
    tier = catalog.tiers()[catalog.model(model_id).spec.tier]
    assert "type" not in tier
    assert {"steps", "sampler", "scheduler", "benchmark"} <= set(tier)


@pytest.mark.parametrize(
    "tier", [LEGACY, COMFY, VIDEO, AUDIO], ids=["0", "image", "video", "audio"]
)
def test_a_tier_goes_out_exactly_as_it_stands_in_the_file(write: Write, tier: Any) -> None:
    served = Catalog.load([write({"tiers": {"new": tier}})]).tiers()["new"]
    assert served == tier
    assert json.dumps(served, sort_keys=True) == json.dumps(tier, sort_keys=True)  # 1 is not 1.0


def test_what_old_clients_read_unguarded_is_always_served(write: Write) -> None:
    """They would crash on a video tier without steps and on an audio tier without a tempo."""
    tiers: dict[str, dict[str, Any]] = {"v": VIDEO | {}, "a": AUDIO | {}, "i": COMFY | {}}
    for tier, setting in (("v", "steps"), ("v", "guidance"), ("a", "bpm"), ("i", "guidance")):
        del tiers[tier][setting]
    served = Catalog.load([write({"tiers": tiers})]).tiers()
    for tier, setting in (("v", "steps"), ("v", "guidance"), ("a", "bpm"), ("i", "guidance")):
        only = served[tier][setting]
        assert only["min"] == only["max"] == only["default"]


def test_an_operators_file_adds_models(write: Write) -> None:
    catalog = Catalog.load([write(entry())])
    assert [model.id for model in catalog.models()][-1] == "classic-v1"
    assert catalog.model("classic-v1").spec.name == "Classic"
    assert [preset.id for preset in catalog.size_presets("relaxed", "classic-v1")] == ["square"]


def test_a_later_entry_replaces_an_earlier_one(write: Write) -> None:
    mine = entry(id="dreamlet-v1", SID=1001, name="My Dreamlet")
    catalog = Catalog.load([write(entry(name="First")), write(entry(name="Second")), write(mine)])
    names = [model.name for model in catalog.models()]
    assert (names[0], names[-1]) == ("My Dreamlet", "Second")
    assert not {"Dreamlet", "First"} & set(names)


def test_a_tier_of_one_file_serves_a_model_of_another(write: Write) -> None:
    tiers, models = write({"tiers": {"classic": LEGACY}}), write({"models": [MODEL]})
    assert Catalog.load([tiers, models]).model("classic-v1").rules is not None


def test_a_model_of_one_network_has_no_presets_on_the_other(write: Write) -> None:
    catalog = Catalog.load([write(entry(networks=["fast"]))])
    assert catalog.size_presets("relaxed", "classic-v1") == ()
    with pytest.raises(InvalidRequest, match=r"'slow' does not exist: use fast or relaxed"):
        catalog.size_presets("slow", "classic-v1")


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ("{", "truncated"),
        ("[]", "Expected `object`"),
        ({"model": []}, "unknown field `model`"),
        (entry(prise=1), "unknown field `prise`"),
        (entry(id="no spaces"), r"models\[0\]\.id"),
        (entry(id="../x"), r"models\[0\]\.id"),
        (entry(SID="5001"), r"models\[0\]\.SID"),
        (entry(SID=0), r"models\[0\]\.SID"),
        (entry(SID=1001), "SID 1001 belongs to dreamlet-v1"),
        (entry(media="hologram"), r"models\[0\]\.media"),
        (entry(media="video"), "tier classic is not for media 'video'"),
        (entry(tier="none"), "tier 'none' does not exist"),
        (entry(size=None), "size is missing"),
        (entry(size={**SIZE, "width": 500}), "size: 500x512 breaks"),
        (entry(size={**SIZE, "width": 2048}), "size: 2048x512 breaks"),
        (entry(size={**SIZE, "maxPixels": 1000}), "size: 512x512 breaks"),
        (entry(size={**SIZE, "min": 0}), r"models\[0\]\.size\.min"),
        (entry(inputs=["startingimage"]), "'startingimage' is no asset role"),
        (entry(networks=[]), r"models\[0\]\.networks"),
        (entry(outputFormats=["bmp"]), r"models\[0\]\.outputFormats"),
        (entry(chooses=["bpm"]), "chooses: tier .* has no bpm"),
        (entry(sizePresets=MODEL["sizePresets"] * 2), "square is listed twice"),  # type: ignore[operator]
        ({"models": [MODEL, MODEL], "tiers": {"classic": LEGACY}}, "listed twice"),
        (entry(tier_changes={"steps": {"min": 1, "max": 9, "default": 20}}), "steps: the default"),
        (entry(tier_changes={"steps": {"min": 0, "max": 50, "default": 20}}), "steps: min"),
        (entry(tier_changes={"steps": {"min": 1, "max": 50, "default": 2.5}}), "steps: min"),
        (entry(tier_changes={"sampler": {"allowed": [], "default": "x"}}), "sampler"),
        (entry(tier_changes={"sampler": {"allowed": ["a"], "default": "b"}}), "sampler: the defa"),
        (entry(tier_changes={"benchmark": {"sec": -1}}), "benchmark"),
        (entry(tier_changes={"benchmark": None}), "benchmark"),
        (entry(tier_changes={"type": "sculpture"}), "type"),
        (entry(tier_changes={"type": 5}), "type"),
        ({"tiers": {"classic": {**COMFY, "sampler": LEGACY["sampler"]}}}, "unknown field"),
        (
            {"tiers": {"v": {**VIDEO, "frames": {"min": 9, "max": 49, "step": 8, "default": 20}}}},
            "frames: the d",
        ),
        (video(width=650), "wide: 650x640 breaks the limits of tier v"),
        (video(width=1296), "wide: 1296x640 breaks the limits of tier v"),
        (
            entry(like="nothing-v1"),
            "model classic-v1: like: there is no model 'nothing-v1' before it",
        ),
        (entry(like=5), "like: there is no model 5"),
        (
            {"models": [{"id": "a", "like": "dreamlet-v1", "SID": 5001}]},
            "missing required field `name`",
        ),
        (
            {"models": [{"id": "a", "like": "dreamlet-v1", "name": "A"}]},
            "missing required field `SID`",
        ),
        ({"models": ["dreamlet-v1"]}, r"models\[0\]"),
        ({"hidden": ["nothing-*"]}, r"hidden: no model before it fits 'nothing-\*'"),
        ({"hidden": "dreamlet-v1"}, "hidden"),
    ],
)
def test_a_wrong_entry_stops_the_start_and_names_file_and_field(
    write: Write, content: Any, field: str
) -> None:
    path = write(content)
    with pytest.raises(ConfigError, match=field) as caught:
        Catalog.load([path])
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json cannot be read: No such file"):
        Catalog.load([tmp_path / "none.json"])


def test_an_unknown_model_is_told_close_matches() -> None:
    catalog = Catalog.load()
    with pytest.raises(UnknownModel, match="did you mean dreamlet-v1"):
        catalog.model("dreamlet")
    with pytest.raises(UnknownModel, match=r"this grid has dreamlet-v1, .* and \d+ more"):
        catalog.model("stable-diffusion-xl")


def test_a_huge_model_id_is_refused_quickly_and_not_echoed() -> None:
    with pytest.raises(UnknownModel) as caught:
        Catalog.load().model("x" * 1_000_000)
    assert len(str(caught.value)) < 300


def test_records_show_a_model_that_has_left_the_catalogue() -> None:
    assert Catalog.load().entry("gone-v1").name == "gone-v1"
    assert Catalog.load().entry("dreamlet-v1").sid == 1001


# ── entries that are like others, and models to leave out ───────────────────────────────────────


def test_an_entry_takes_over_what_it_does_not_say_itself(write: Write) -> None:
    mine = {"id": "my-classic", "like": "classic-v1", "name": "Mine", "SID": 5002, "maxPreviews": 7}
    file = entry(inputs=["startingImage"], promptRequired=False)
    catalog = Catalog.load([write({**file, "models": [*file["models"], mine]})])
    one, other = catalog.model("classic-v1").spec, catalog.model("my-classic").spec
    assert (other.id, other.name, other.sid, other.max_previews) == ("my-classic", "Mine", 5002, 7)
    for name in ("tier", "media", "inputs", "prompt_required", "size", "size_presets"):
        assert getattr(other, name) == getattr(one, name)


def test_an_entry_may_be_like_one_of_an_earlier_file_or_like_one_that_is_like_another(
    write: Write,
) -> None:
    first = {"id": "a", "like": "dreamlet-v1", "name": "A", "SID": 5001}
    second = {"id": "b", "like": "a", "name": "B", "SID": 5002, "strength": False}
    catalog = Catalog.load([write({"models": [first]}), write({"models": [second]})])
    assert catalog.model("b").spec.tier == "dreamlet"
    assert catalog.model("b").spec.inputs == ("startingImage", "contextImage1", "cnImage")
    assert not catalog.model("b").spec.strength


def test_a_model_under_a_second_id_is_rendered_by_workers_of_the_first(write: Write) -> None:
    catalog = Catalog.load([write(entry(id="second", SID=5001, servedAs="dreamlet-v1"))])
    assert catalog.offered_by({"dreamlet-v1"}) == {"dreamlet-v1", "second"}
    assert catalog.offered_by({"second"}) == frozenset()
    render = ImageRender(
        model="second", prompt="x", steps=1, guidance=2, seed=1, width=64, height=64
    )
    assert catalog.as_served(render).model == "dreamlet-v1"
    own = msgspec.structs.replace(render, model="dreamlet-v1")
    assert catalog.as_served(own) == own


@pytest.mark.parametrize("other", ["nobody", "dreamlet-music-v1", "second"])
def test_what_is_served_in_its_place_must_make_the_same_itself(write: Write, other: str) -> None:
    file = write(entry(id="second", SID=5001, servedAs=other))
    with pytest.raises(ConfigError, match=r"model second: servedAs: .* makes image itself"):
        Catalog.load([file])


def test_the_enhancing_stand_ins_are_asked_for_by_name() -> None:
    catalog = Catalog.load([Path("enhance")])
    for model_id in ENHANCERS:
        listed = catalog.model(model_id).entry
        assert listed.name.startswith("Dreamlet Enhance")
        assert listed.enhances
    assert set(ENHANCERS) < catalog.offered_by({"dreamlet-enhance-v1"})
    assert not set(ENHANCERS) & Catalog.load().offered_by({"dreamlet-enhance-v1"})


def test_hidden_models_are_not_there_and_patterns_hide_many(write: Write) -> None:
    families = [entry.id for entry in Catalog.load().models() if entry.id.startswith("ltx")]
    assert len(families) > 20
    catalog = Catalog.load([write({"hidden": ["ltx*", "pattern-v1"]})])
    assert not {*families, "pattern-v1"} & {entry.id for entry in catalog.models()}
    with pytest.raises(UnknownModel):
        catalog.model("pattern-v1")


def test_a_file_hides_what_came_before_it_and_not_its_own_models(write: Write) -> None:
    mine = {"id": "mine", "like": "dreamlet-v1", "name": "Mine", "SID": 1001}
    catalog = Catalog.load([write({"hidden": ["*"], "models": [mine]})])
    assert [entry.id for entry in catalog.models()] == ["mine"]
    assert catalog.loras() == ()


def test_a_lora_stays_for_the_models_that_are_left(write: Write) -> None:
    catalog = Catalog.load([write({"hidden": ["krea2_turbo_fp8_scaled"]})])
    assert "krea2_turbo_fp8_scaled" not in catalog.loras()[-1].models
    assert len(catalog.loras()) == len(Catalog.load().loras())
