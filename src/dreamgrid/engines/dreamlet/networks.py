"""The networks of dreamlet: texts in, clean pictures out. Loaded once for all of its engines."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from dreamgrid.engines.dreamlet.sampler import EncodedTexts, Floats
from dreamgrid.engines.dreamlet.tokenizer import Tokenizer
from dreamgrid.errors import ModelNotAvailable

_NO_MEMORY = ("Failed to allocate memory", "bad_alloc")
"""Words of onnxruntime, and of C++, when memory runs out."""


@lru_cache(maxsize=1)
def networks_in(weights: Path, threads: int) -> "Networks":
    """The networks of a folder, shared by the engines of one process; takes a fifth of a second.

    Raises:
        ModelNotAvailable: Files are missing or broken.
    """
    return Networks(weights, threads)


class Networks:
    """Tokenizer, text encoder, painter and upscaler."""

    def __init__(self, weights: Path, threads: int) -> None:
        try:
            self._tokenizer = Tokenizer.from_file(weights / "vocabulary.txt")
            self._text_encoder = _session(weights / "text_encoder.onnx", threads)
            self._painter = _session(weights / "painter.onnx", threads)
            self._upscaler = _session(weights / "upscaler.onnx", threads)
        # onnxruntime has an exception per kind of broken file and no common base among them.
        except Exception as error:
            raise ModelNotAvailable(
                f"this worker cannot load the weights of dreamlet\n"
                f"{weights}: {error}; reinstall dreamgrid"
            ) from error

    def encode(self, *texts: str) -> EncodedTexts:
        """Some texts, padded to one length."""
        rows = [self._tokenizer.encode(text) for text in texts]
        ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
        mask = np.zeros_like(ids)
        for row, (id_row, mask_row) in zip(rows, zip(ids, mask, strict=True), strict=True):
            id_row[: len(row)] = row
            mask_row[: len(row)] = 1
        tokens, pooled = _run(self._text_encoder, {"ids": ids, "mask": mask})
        return EncodedTexts(tokens, mask, pooled)

    def paint(self, noisy: Floats, levels: Floats, texts: EncodedTexts, /) -> Floats:
        """The sampler's painter."""
        clean: Floats = _run(
            self._painter,
            {
                "noisy": noisy,
                "level": levels,
                "tokens": texts.tokens,
                "mask": texts.mask,
                "pooled": texts.pooled,
            },
        )[0]
        return clean

    def upscale(self, small: Floats, /) -> Floats:
        """Pictures [B, 3, H, W] in -1..1 four times as wide and high."""
        large: Floats = _run(self._upscaler, {"small": small})[0]
        return large


def _run(session: onnxruntime.InferenceSession, inputs: Mapping[str, NDArray[Any]]) -> Any:
    """All outputs of a network.

    Raises:
        MemoryError: There is too little; onnxruntime has no exception of its own for that.
    """
    try:
        return session.run(None, inputs)
    except Exception as error:
        if any(words in str(error) for words in _NO_MEMORY):
            raise MemoryError(str(error)) from error
        raise


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    # Idle threads sleep instead of spinning: the worker shares the machine with its owner.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
