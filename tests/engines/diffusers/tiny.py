"""Pipelines of each family with tiny random weights, written as people's weights lie on disk."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch

from tests.engines.diffusers import tiny_media, tiny_pictures

SEED = 7

FAMILIES: dict[str, Callable[[], Any]] = {
    "sd-v1-5": tiny_pictures.stable_diffusion,
    "sd_xl_base_1.0": tiny_pictures.stable_diffusion_xl,
    "sd3.5_medium": tiny_pictures.stable_diffusion_3,
    "flux1-dev-fp8": tiny_pictures.flux,
    "flux1-dev-kontext_fp8_scaled": tiny_pictures.flux_kontext,
    "flux2_dev_fp8": tiny_pictures.flux_2,
    "chroma1-hd_fp8_scaled": tiny_pictures.chroma,
    "qwen_image_2512_fp8": tiny_pictures.qwen_image,
    "qwen_image_edit_2511_fp8": tiny_pictures.qwen_image_edit,
    "z_image_bf16": tiny_pictures.z_image,
    "wan_v2.2-14b-fp8_t2v": tiny_media.wan,
    "wan_v2.2-14b-fp8_i2v": tiny_media.wan_from_picture,
    "ltx2-19b-fp8_t2v_distilled": tiny_media.ltx_2,
    "ltx23-22b-fp8_i2v_distilled": lambda: tiny_media.ltx_2(newer=True),
    "ltx23-22b-fp8_t2v_dev": lambda: tiny_media.ltx_2(
        newer=True, layers=29
    ),  # its guidance skips the 29th
    "ace_step_1.5_xl_turbo": tiny_media.ace_step,
}
"""Catalogue id to what makes its pipeline."""


def _of_chance(net: Any) -> Any:
    """Fresh ControlNets change nothing: their last layers are zero."""
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return net


def write_control_net(model: str, repository: str, folder: Path) -> None:
    """Writes a ControlNet for a model as its owner keeps it."""
    torch.manual_seed(SEED)
    base = FAMILIES[model]()
    if model.startswith("flux"):
        net = diffusers.FluxControlNetModel.from_config(
            {**base.transformer.config, "num_layers": 1, "num_single_layers": 0, "num_mode": 7}
        )
    elif model.startswith("sd3"):
        net = diffusers.SD3ControlNetModel.from_transformer(
            base.transformer, num_layers=1, num_extra_conditioning_channels=0
        )
    else:
        net = diffusers.ControlNetModel.from_unet(
            base.unet, conditioning_embedding_out_channels=(16, 32)
        )
    _of_chance(net).save_pretrained(folder / "controlnets" / repository.partition("/")[2])


def write(model: str, folder: Path) -> None:
    """Writes a model's weights to `folder/model`."""
    torch.manual_seed(SEED)
    FAMILIES[model]().save_pretrained(folder / model, safe_serialization=True)
