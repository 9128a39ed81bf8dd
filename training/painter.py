"""dreamlet's painter: a small U-Net that turns noise and a text into a 64 x 64 picture.

Pixels are folded 4 x 4 into channels first, so the network works on 16 x 16, 8 x 8 and 4 x 4
cells and one step costs about half a GFLOP. Text enters three times: the pooled vector scales and
shifts every block (AdaGN) and draws a rough layout on the 4 x 4 level; the token sequence is
attended to on the two small levels, which is what lets "a red car" and "on the beach" describe
different places of one picture.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

PIXEL_FOLD = 4
PICTURE_CHANNELS = 3 * PIXEL_FOLD**2
TEXT_DIMENSIONS = 384
TIME_FREQUENCIES = 64
LAYOUT_CELLS = 4  # per side, those of the coarse level of a square picture
LAYOUT_CHANNELS = 128


@dataclass(frozen=True)
class PainterShape:
    """Sizes of the network; channels are those of the 16, 8 and 4 cell levels."""

    channels: tuple[int, int, int] = (64, 128, 256)
    condition_width: int = 256
    head_width: int = 32
    norm_groups: int = 8


class ResidualBlock(nn.Module):
    """Two convolutions; time and pooled text scale and shift the second's input (AdaGN)."""

    def __init__(self, channels_in: int, channels_out: int, shape: PainterShape) -> None:
        super().__init__()
        self.norm_in = nn.GroupNorm(shape.norm_groups, channels_in)
        self.convolution_in = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.scale_shift = nn.Linear(shape.condition_width, 2 * channels_out)
        self.norm_out = nn.GroupNorm(shape.norm_groups, channels_out)
        self.convolution_out = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.skip = (
            nn.Conv2d(channels_in, channels_out, 1)
            if channels_in != channels_out
            else nn.Identity()
        )
        # A block starts as the identity, which makes the first steps stable at a high rate.
        nn.init.zeros_(self.convolution_out.weight)

    def forward(self, hidden: Tensor, condition: Tensor) -> Tensor:
        """hidden [B, C_in, H, W], condition [B, condition_width] -> [B, C_out, H, W]."""
        inner = self.convolution_in(functional.silu(self.norm_in(hidden)))
        scale, shift = self.scale_shift(condition)[:, :, None, None].chunk(2, dim=1)
        inner = self.norm_out(inner) * (1 + scale) + shift
        return self.skip(hidden) + self.convolution_out(functional.silu(inner))


class AttentionBlock(nn.Module):
    """Every cell looks at all cells (self) and then at all text tokens (cross)."""

    def __init__(self, channels: int, shape: PainterShape) -> None:
        super().__init__()
        self.heads = channels // shape.head_width
        self.self_norm = nn.GroupNorm(shape.norm_groups, channels)
        self.self_query_key_value = nn.Linear(channels, 3 * channels)
        self.self_out = nn.Linear(channels, channels)
        self.cross_norm = nn.GroupNorm(shape.norm_groups, channels)
        self.cross_query = nn.Linear(channels, channels)
        self.cross_key_value = nn.Linear(TEXT_DIMENSIONS, 2 * channels)
        self.cross_out = nn.Linear(channels, channels)
        nn.init.zeros_(self.self_out.weight)
        nn.init.zeros_(self.cross_out.weight)

    def forward(self, hidden: Tensor, tokens: Tensor, token_bias: Tensor) -> Tensor:
        """hidden [B, C, H, W], tokens [B, N, D], token_bias [B, 1, 1, N] -> like hidden."""
        height, width = hidden.shape[2:]
        cells = self.self_norm(hidden).flatten(2).transpose(1, 2)
        query, key, value = self.self_query_key_value(cells).chunk(3, dim=-1)
        mixed = self.self_out(self._attend(query, key, value, None))
        hidden = hidden + mixed.transpose(1, 2).unflatten(2, (height, width))
        cells = self.cross_norm(hidden).flatten(2).transpose(1, 2)
        key, value = self.cross_key_value(tokens).chunk(2, dim=-1)
        mixed = self.cross_out(self._attend(self.cross_query(cells), key, value, token_bias))
        return hidden + mixed.transpose(1, 2).unflatten(2, (height, width))

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (query, key, value)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return mixed.transpose(1, 2).flatten(2)


class TextLayout(nn.Module):
    """Where things go, from the text alone.

    Scales and shifts are the same for all cells, so without this a network at full noise cannot
    tell the middle of a picture from its corners, and learns the shape of things very slowly.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cells = nn.Linear(TEXT_DIMENSIONS, LAYOUT_CHANNELS * LAYOUT_CELLS**2)
        self.out = nn.Conv2d(LAYOUT_CHANNELS, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, pooled: Tensor, height: int, width: int) -> Tensor:
        """pooled [B, D] -> [B, channels, height, width]: centered, its border cells repeated."""
        square = functional.silu(self.cells(pooled))
        square = square.unflatten(1, (LAYOUT_CHANNELS, LAYOUT_CELLS, LAYOUT_CELLS))
        rows, columns = self._spread(height, pooled), self._spread(width, pooled)
        return self.out(rows @ square @ columns.transpose(0, 1))

    def _spread(self, length: int, like: Tensor) -> Tensor:
        """Weights [length, LAYOUT_CELLS] that place the layout in the middle of `length` cells."""
        places = torch.arange(length, device=like.device) - (length - LAYOUT_CELLS) / 2
        cells = torch.arange(LAYOUT_CELLS, device=like.device)
        distances = (places.clamp(0, LAYOUT_CELLS - 1)[:, None] - cells).abs()
        return (1 - distances).clamp(min=0).to(like.dtype)


class Painter(nn.Module):
    """Predicts the clean picture from a noisy one, its noise level and a text."""

    def __init__(self, shape: PainterShape) -> None:
        super().__init__()
        self.shape = shape
        fine, middle, coarse = shape.channels
        width = shape.condition_width
        self.time_in = nn.Sequential(
            nn.Linear(2 * TIME_FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.text_in = nn.Sequential(
            nn.Linear(TEXT_DIMENSIONS, width), nn.SiLU(), nn.Linear(width, width)
        )
        frequencies = torch.exp(torch.linspace(0, math.log(1000), TIME_FREQUENCIES))
        self.register_buffer("frequencies", frequencies, persistent=False)

        self.picture_in = nn.Conv2d(PICTURE_CHANNELS, fine, 3, padding=1)
        self.fine_down = ResidualBlock(fine, fine, shape)
        self.to_middle = nn.Conv2d(fine, middle, 2, stride=2)
        self.middle_down = ResidualBlock(middle, middle, shape)
        self.to_coarse = nn.Conv2d(middle, coarse, 2, stride=2)
        self.coarse_first = ResidualBlock(coarse, coarse, shape)
        self.coarse_attention = AttentionBlock(coarse, shape)
        self.coarse_second = ResidualBlock(coarse, coarse, shape)
        self.from_coarse = nn.ConvTranspose2d(coarse, middle, 2, stride=2)
        self.middle_up = ResidualBlock(2 * middle, middle, shape)
        self.middle_attention = AttentionBlock(middle, shape)
        self.middle_last = ResidualBlock(middle, middle, shape)
        self.from_middle = nn.ConvTranspose2d(middle, fine, 2, stride=2)
        self.fine_up = ResidualBlock(2 * fine, fine, shape)
        self.fine_last = ResidualBlock(fine, fine, shape)
        self.picture_norm = nn.GroupNorm(shape.norm_groups, fine)
        self.picture_out = nn.Conv2d(fine, PICTURE_CHANNELS, 3, padding=1)
        nn.init.zeros_(self.picture_out.weight)
        self.layout = TextLayout(coarse)

    def forward(
        self, noisy: Tensor, time: Tensor, tokens: Tensor, mask: Tensor, pooled: Tensor
    ) -> Tensor:
        """Returns the clean picture.

        Args:
            noisy: [B, 3, H, W], (1 - t) * picture + t * noise; H and W are multiples of 16.
            time: [B], the noise level t from 0 (clean) to 1 (noise).
            tokens: [B, N, 384]; mask: int64 [B, N], 1 where there is a token.
            pooled: [B, 384].
        """
        angles = time[:, None] * self.frequencies
        time_features = torch.cat([angles.sin(), angles.cos()], dim=1)
        condition = functional.silu(self.time_in(time_features) + self.text_in(pooled))
        token_bias = ((mask.to(tokens.dtype) - 1.0) * 1e4)[:, None, None, :]

        fine = self.fine_down(
            self.picture_in(functional.pixel_unshuffle(noisy, PIXEL_FOLD)), condition
        )
        middle = self.middle_down(self.to_middle(fine), condition)
        hidden = self.to_coarse(middle)
        hidden = hidden + self.layout(pooled, hidden.shape[2], hidden.shape[3])
        hidden = self.coarse_first(hidden, condition)
        hidden = self.coarse_attention(hidden, tokens, token_bias)
        hidden = self.coarse_second(hidden, condition)
        hidden = self.middle_up(torch.cat([self.from_coarse(hidden), middle], dim=1), condition)
        hidden = self.middle_attention(hidden, tokens, token_bias)
        hidden = self.middle_last(hidden, condition)
        hidden = self.fine_up(torch.cat([self.from_middle(hidden), fine], dim=1), condition)
        hidden = self.fine_last(hidden, condition)
        out = self.picture_out(functional.silu(self.picture_norm(hidden)))
        return functional.pixel_shuffle(out, PIXEL_FOLD)
