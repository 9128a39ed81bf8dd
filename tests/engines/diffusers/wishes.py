"""What the tests of the diffusers engine ask for, and what comes with it."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("peft", reason="needs torch and more: make diffusers")
pytest.importorskip("diffusers", reason="needs torch and more: make diffusers")


from dreamgrid.engines.base import Engine, Step
from dreamgrid.engines.diffusers.engine import DiffusersEngine
from dreamgrid.engines.diffusers.pipelines import LoadedModel
from dreamgrid.protocol.renders import AnyRender, ImageRender, VideoRender

Engines = Callable[[str], Engine]
SD, XL, FLUX, FLUX_2 = "sd-v1-5", "sd_xl_base_1.0", "flux1-dev-fp8", "flux2_dev_fp8"
KONTEXT, MUSIC = "flux1-dev-kontext_fp8_scaled", "ace_step_1.5_xl_turbo"
QWEN_EDIT = "qwen_image_edit_2511_fp8"
SOUNDING, SHOWN = "ltx2-19b-fp8_t2v_distilled", "ltx23-22b-fp8_i2v_distilled"
GUIDED = "ltx23-22b-fp8_t2v_dev"
FROM_TEXT, FROM_PICTURE = "wan_v2.2-14b-fp8_t2v", "wan_v2.2-14b-fp8_i2v"


def render(model: str, **changes: object) -> AnyRender:
    settings: dict[str, object] = {
        "model": model,
        "prompt": "a red fox",
        "steps": 3,
        "guidance": 3.0,
        "seed": 5,
        "sampler": "euler",
        "width": 64,
        "height": 32,
    }
    if model in {SOUNDING, SHOWN, GUIDED}:
        size = {"width": 64, "height": 64, "frames": 9, "fps": 8, "motion_fps": 8}
        return VideoRender(**(settings | size | changes))  # type: ignore[arg-type]
    if model in {FROM_TEXT, FROM_PICTURE}:
        settings |= {"width": 32, "frames": 9, "fps": 16, "motion_fps": 16}
        return VideoRender(**(settings | changes))  # type: ignore[arg-type]
    return ImageRender(**(settings | changes))  # type: ignore[arg-type]


def nothing(step: Step) -> None:
    """A worker that only wants the result."""


def picture(colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (50, 40), colour).save(out, "PNG")
    return out.getvalue()


def inputs_of(model: str) -> dict[str, bytes]:
    if model in {FROM_PICTURE, SHOWN}:
        return {"referenceImage": picture()}
    return {"contextImage1": picture()} if model in {KONTEXT, QWEN_EDIT} else {}


def pixels(data: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def mask_of_the_right_half() -> bytes:
    out = io.BytesIO()
    mask = Image.new("L", (64, 32))
    mask.paste(255, (32, 0, 64, 32))
    mask.save(out, "PNG")
    return out.getvalue()


def model_of(engine: Engine) -> LoadedModel:
    assert isinstance(engine, DiffusersEngine)
    assert engine._model is not None
    return engine._model
