"""Pictures from latents without the decoder: a linear map, fitted once per model.

The map is the least-squares answer to how the mean colour of the pixels that a latent stands for
follows from its channels. It is fitted with a few pictures of coloured fields that the model's own
encoder turns into latents, so no table of factors is needed and every family has previews.
"""

import io
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

PREVIEW_SIDE_PX = 256

_FIELDS_PX = 256
_PICTURES = 3
_SEED = 20
_QUALITY = 80

Map = NDArray[np.float32]
"""[channels + 1, 3]: the last row is the colour of empty latents. RGB in 0..1."""


def fit(vae: Any) -> Map:
    """The linear map of a decoder; takes about as long as encoding three pictures of 256 px."""
    rng = np.random.default_rng(_SEED)
    device, dtype = next(vae.parameters()).device, next(vae.parameters()).dtype
    rows, colours = [], []
    for fields in (4, 8, 16)[:_PICTURES]:
        picture = np.kron(
            rng.uniform(-1, 1, (3, fields, fields)), np.ones((_FIELDS_PX // fields,) * 2)
        ).astype(np.float32)
        pixels = torch.from_numpy(picture)[None].to(device, dtype)
        with torch.inference_mode():
            raw = _encoded(vae, pixels)
        latents = _as_denoised(vae, raw).float().cpu().numpy()
        channels, height, width = latents.shape
        small = torch.nn.functional.interpolate(
            torch.from_numpy(picture)[None], (height, width), mode="area"
        )
        rows.append(latents.reshape(channels, -1).T)
        colours.append((small[0].numpy().reshape(3, -1).T + 1) / 2)
    known = np.concatenate(rows)
    known = np.concatenate([known, np.ones((len(known), 1), np.float32)], axis=1)
    answer, *_ = np.linalg.lstsq(known, np.concatenate(colours), rcond=None)
    return np.asarray(answer, np.float32)


def fits(latents: torch.Tensor, colours: Map) -> bool:
    """Whether latents are [channels, height, width] with as many channels as the map knows."""
    return bool(latents.ndim == 3 and latents.shape[0] + 1 == colours.shape[0])


def jpeg(latents: torch.Tensor, colours: Map) -> bytes:
    """A small JPEG of latents that fit the map."""
    values = latents.float().cpu().numpy()
    shaped = np.tensordot(values, colours[:-1], axes=(0, 0)) + colours[-1]
    levels = np.rint(np.nan_to_num(shaped).clip(0, 1) * 255).astype(np.uint8)
    picture = Image.fromarray(levels)
    scale = PREVIEW_SIDE_PX / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    out = io.BytesIO()
    picture.resize(size, Image.Resampling.BICUBIC).save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()


def first_of(pipeline: Any, latents: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The first picture of a batch or video as [channels, height, width]."""
    unpack = getattr(pipeline, "_unpack_latents", None)
    if latents.ndim == 3 and hasattr(pipeline, "transformer_temporal_patch_size"):  # LTX-2
        patches = (
            pipeline.transformer_spatial_patch_size,
            pipeline.transformer_temporal_patch_size,
        )
        ratio = pipeline.vae_spatial_compression_ratio * patches[0]
        rows, columns = height // ratio, width // ratio
        latents = pipeline._unpack_latents(latents[:, : rows * columns], 1, rows, columns, *patches)
    elif latents.ndim == 3 and unpack is not None:  # Flux and its kin fold 2x2 latents into one
        latents = unpack(latents, height, width, pipeline.vae_scale_factor)
    elif latents.ndim == 3 and hasattr(pipeline.vae, "bn"):  # Flux.2: row by row, and stays folded
        rows, columns = (side // (2 * pipeline.vae_scale_factor) for side in (height, width))
        latents = latents.mT.reshape(len(latents), -1, rows, columns)
    first = latents[0]
    return first[:, 0] if first.ndim == 4 else first


def _encoded(vae: Any, pixels: torch.Tensor) -> torch.Tensor:
    if any(parameter.ndim == 5 for parameter in vae.encoder.parameters()):  # a video's: one frame
        return vae.encode(pixels[:, :, None]).latent_dist.mode()[0, :, 0]
    return vae.encode(pixels).latent_dist.mode()[0]


def _as_denoised(vae: Any, raw: torch.Tensor) -> torch.Tensor:
    """From the encoder's scale to the one in which the model denoises."""
    config = vae.config
    if hasattr(vae, "bn"):  # Flux.2 folds 2x2 latents into one and evens them out
        folded = torch.nn.functional.pixel_unshuffle(raw, 2)
        centre, variance = (
            one.view(-1, 1, 1).to(raw) for one in (vae.bn.running_mean, vae.bn.running_var)
        )
        return (folded - centre) / torch.sqrt(variance + config.batch_norm_eps)
    # Of LTX-2 they are weights, of others settings.
    kept = dict(vae.named_buffers(recurse=False))
    mean, std = (
        kept[name] if name in kept else getattr(config, name, None)
        for name in ("latents_mean", "latents_std")
    )
    if mean is not None and std is not None:
        shape = (-1, 1, 1)
        centre = torch.as_tensor(mean, device=raw.device, dtype=raw.dtype).view(shape)
        spread = torch.as_tensor(std, device=raw.device, dtype=raw.dtype).view(shape)
        return (raw - centre) / spread
    shift = getattr(config, "shift_factor", None) or 0.0
    return (raw - shift) * (getattr(config, "scaling_factor", None) or 1.0)
