"""Convolution of long sounds with short responses: the tool behind reverb and loudness meter."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
"""Sound: float32, `(channels, frames)` or `(frames,)`, full scale at -1 and 1."""

_SMALLEST_BLOCK = 1 << 15


def convolve(samples: Floats, response: Floats) -> Floats:
    """Every channel of `samples` filtered with its channel of `response`.

    Overlap-add of FFT blocks, so memory and time grow with the length, not with its square.

    Args:
        samples: `(channels, frames)`.
        response: `(channels, taps)` or `(1, taps)`; one for all channels.

    Returns:
        `(channels, frames + taps - 1)`: the sound and its tail.
    """
    channels, frames = samples.shape
    taps = response.shape[1]
    size = max(_SMALLEST_BLOCK, 1 << (4 * taps - 1).bit_length())
    block = size - taps + 1
    spectrum = np.fft.rfft(response, size, axis=1)
    out = np.zeros((channels, frames + taps - 1), np.float32)
    for start in range(0, frames, block):
        part = np.fft.rfft(samples[:, start : start + block], size, axis=1)
        filtered = np.fft.irfft(part * spectrum, size, axis=1)
        stop = min(out.shape[1], start + size)
        out[:, start:stop] += filtered[:, : stop - start]
    return out
