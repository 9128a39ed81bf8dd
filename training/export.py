"""Writes dreamlet's weights as ONNX files that onnxruntime runs on any CPU.

Large weights are stored as float16 and cast to float32 when the file is loaded: half the size,
and the same arithmetic everywhere. Each file is then run and compared with torch.
"""

import argparse
import io
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from text_encoder import OUTPUT_DIMENSIONS, load_text_encoder
from train import load_painter
from upscaler import load_upscaler

OPSET = 17
# Smaller tensors (norms, biases) stay float32: they weigh little and matter most.
SMALLEST_HALVED = 2048
HALF_SUFFIX = ".float16"


@dataclass(frozen=True)
class Signature:
    """How a network is called: examples of its inputs, and which axes of what may differ."""

    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    axes: dict[str, dict[int, str]]


def text_encoder_signature() -> Signature:
    """ids and mask to tokens and pooled."""
    batch_and_length = {0: "batch", 1: "length"}
    return Signature(
        {"ids": torch.randint(4, 9999, (2, 9)), "mask": torch.ones(2, 9, dtype=torch.int64)},
        ("tokens", "pooled"),
        {
            "ids": batch_and_length,
            "mask": batch_and_length,
            "tokens": batch_and_length,
            "pooled": {0: "batch"},
        },
    )


def painter_signature() -> Signature:
    """Noisy pictures, their noise levels and texts to clean pictures."""
    batch_and_length = {0: "batch", 1: "length"}
    picture = {0: "batch", 2: "height", 3: "width"}
    return Signature(
        {
            "noisy": torch.randn(2, 3, 64, 80),
            "level": torch.tensor([0.9, 0.4]),
            "tokens": torch.randn(2, 9, OUTPUT_DIMENSIONS),
            "mask": torch.ones(2, 9, dtype=torch.int64),
            "pooled": torch.randn(2, OUTPUT_DIMENSIONS),
        },
        ("clean",),
        {
            "noisy": picture,
            "level": {0: "batch"},
            "tokens": batch_and_length,
            "mask": batch_and_length,
            "pooled": {0: "batch"},
            "clean": picture,
        },
    )


def upscaler_signature() -> Signature:
    """Small pictures to large ones."""
    picture = {0: "batch", 2: "height", 3: "width"}
    return Signature(
        {"small": torch.randn(2, 3, 20, 28)}, ("large",), {"small": picture, "large": picture}
    )


def traced(network: nn.Module, signature: Signature) -> onnx.ModelProto:
    """The network as an ONNX graph with float32 weights."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter announces its successor
        torch.onnx.export(
            network,
            tuple(signature.inputs.values()),
            file,
            input_names=list(signature.inputs),
            output_names=list(signature.outputs),
            dynamic_axes=signature.axes,
            opset_version=OPSET,
            dynamo=False,
        )
    return onnx.load_from_string(file.getvalue())


def store_as_half(model: onnx.ModelProto) -> None:
    """Replaces large float32 weights by float16 ones behind a Cast."""
    kept, casts = [], []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < SMALLEST_HALVED:
            kept.append(weight)
            continue
        half_name = weight.name + HALF_SUFFIX
        kept.append(numpy_helper.from_array(values.astype(np.float16), half_name))
        casts.append(helper.make_node("Cast", [half_name], [weight.name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(nodes)


def export(network: nn.Module, signature: Signature, path: Path) -> None:
    """Traces the network, halves its weights, and checks the file against torch."""
    model = traced(network, signature)
    store_as_half(model)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = session.run(None, {name: value.numpy() for name, value in signature.inputs.items()})
    with torch.no_grad():
        expected = network(*signature.inputs.values())
    expected = expected if isinstance(expected, tuple) else (expected,)
    errors = [
        float(np.abs(one - other.numpy()).max()) for one, other in zip(found, expected, strict=True)
    ]
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, largest errors {errors}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True, help="folder of the training")
    parser.add_argument("--output", type=Path, required=True, help="folder for the weights")
    arguments = parser.parse_args()
    run, output = arguments.run, arguments.output
    output.mkdir(parents=True, exist_ok=True)
    if (run / "text_encoder.pt").exists():
        _, encoder = load_text_encoder(run)
        shutil.copyfile(run / "vocabulary.txt", output / "vocabulary.txt")
        export(encoder, text_encoder_signature(), output / "text_encoder.onnx")
    if (run / "painter.pt").exists():
        export(load_painter(run / "painter.pt"), painter_signature(), output / "painter.onnx")
    if (run / "upscaler.pt").exists():
        upscaler = load_upscaler(run / "upscaler.pt")
        export(upscaler, upscaler_signature(), output / "upscaler.onnx")


if __name__ == "__main__":
    main()
