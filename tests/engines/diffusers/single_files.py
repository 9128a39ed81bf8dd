"""A tiny Stable Diffusion 1.5 in one file, under the names that its makers gave its weights."""

import re
import shutil
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from tests.engines.diffusers import tiny, tiny_pictures

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
VAE = [
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0", "mid.attn_1"),
    (r"(down|up)_blocks\.(\d)\.resnets\.(\d)", r"\1.\2.block.\3"),
    (r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample"),
    (r"up_blocks\.(\d)\.upsamplers\.0", r"up.\1.upsample"),
    ("conv_norm_out", "norm_out"),
    ("conv_shortcut", "nin_shortcut"),
    ("group_norm", "norm"),
    (r"to_([qkv])\.", r"\1."),
    (r"to_out\.0", "proj_out"),
]


def unet_name(name: str) -> str:
    """For blocks of one layer on the way down, and two on the way up."""
    part, _, ending = name.rpartition(".")
    if part in ENDS:
        return f"{ENDS[part]}.{ending}"
    way, _, rest = name.partition("_block")
    if way == "mid":
        rest = rest.replace(".resnets.0", "middle_block.0").replace(".resnets.1", "middle_block.2")
        placed = rest.replace(".attentions.0", "middle_block.1")
    else:
        kind, number, layer, inner = re.fullmatch(  # type: ignore[union-attr]
            r"s\.(\d)\.(\w+)\.(\d)\.(.*)", rest
        ).group(2, 1, 3, 4)
        at = 1 + 2 * int(number) if way == "down" else 2 * int(number)
        at += int(layer)
        place = {"resnets": "0", "attentions": "1", "downsamplers": "0"}.get(kind)
        if kind == "downsamplers":
            at, inner = at + 1, inner.replace("conv", "op")
        if kind == "upsamplers":
            at, place = at + 1, "2"
        placed = f"{'input' if way == 'down' else 'output'}_blocks.{at}.{place}.{inner}"
    for ours, theirs in RESNET.items() if "resnets" in name else ():
        placed = re.sub(rf"\.{ours}\.(?=\w+$)", f".{theirs}.", placed)
    return placed


def vae_name(name: str) -> str:
    for ours, theirs in VAE:
        name = re.sub(ours, theirs, name)
    return re.sub(r"(decoder\.up\.)(\d)", lambda at: f"{at[1]}{1 - int(at[2])}", name)


def write(file: Path, configs: Path) -> Any:
    """Writes the weights to a file, and all that is small to a folder; returns the pipeline."""
    torch.manual_seed(tiny.SEED)
    made = tiny_pictures.stable_diffusion()
    weights = {
        f"model.diffusion_model.{unet_name(name)}": value
        for name, value in made.unet.state_dict().items()
    }
    for name, value in made.vae.state_dict().items():
        theirs = vae_name(name)
        is_convolution = ".attn_1." in theirs and theirs.endswith("weight") and value.ndim == 2
        shaped = value[:, :, None, None] if is_convolution else value
        weights[f"first_stage_model.{theirs}"] = shaped
    for name, value in made.text_encoder.state_dict().items():
        theirs = name if name.startswith("text_model.") else f"text_model.{name}"
        weights[f"cond_stage_model.transformer.{theirs}"] = value
    safetensors.torch.save_file(
        {name: value.contiguous().clone() for name, value in weights.items()}, file
    )
    made.save_pretrained(configs)
    for large in configs.glob("*/*.safetensors"):
        large.unlink()
    return made


def write_names(file: Path, *names: str, shape: tuple[int, ...] = (1, 4)) -> None:
    """A file that holds only so much as tells what it is."""
    safetensors.torch.save_file({name: torch.zeros(shape) for name in names}, file)


def copy(file: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, to)
