"""Writes dreamlet's weights as ONNX files that onnxruntime runs on any CPU.

Large weights are stored as float16 and cast to float32 when the file is loaded: half the size,
and the same arithmetic everywhere. Each file is then run and compared with torch.
"""

import argparse
import shutil
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from text_encoder import OUTPUT_DIMENSIONS, load_text_encoder
from train import load_painter

OPSET = 17
# Smaller tensors (norms, biases) stay float32: they weigh little and matter most.
SMALLEST_HALVED = 2048


def store_as_half(model: onnx.ModelProto) -> None:
    """Replaces large float32 weights by float16 ones behind a Cast."""
    kept, casts = [], []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < SMALLEST_HALVED:
            kept.append(weight)
            continue
        half_name = f"{weight.name}.float16"
        kept.append(numpy_helper.from_array(values.astype(np.float16), half_name))
        casts.append(helper.make_node("Cast", [half_name], [weight.name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(nodes)


def export(
    network: nn.Module, inputs: dict[str, Tensor], outputs: dict[str, dict[int, str]],
    axes: dict[str, dict[int, str]], path: Path,
) -> None:  # fmt: skip
    """Traces the network, halves its weights, and checks the file against torch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter announces its successor
        torch.onnx.export(
            network,
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={**axes, **outputs},
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load(path)
    store_as_half(model)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    with torch.no_grad():
        expected = network(*inputs.values())
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
    arguments.output.mkdir(parents=True, exist_ok=True)
    _, encoder = load_text_encoder(arguments.run)
    shutil.copyfile(arguments.run / "vocabulary.txt", arguments.output / "vocabulary.txt")
    batch_and_length = {0: "batch", 1: "length"}
    export(
        encoder,
        {"ids": torch.randint(4, 9999, (2, 9)), "mask": torch.ones(2, 9, dtype=torch.int64)},
        {"tokens": batch_and_length, "pooled": {0: "batch"}},
        {"ids": batch_and_length, "mask": batch_and_length},
        arguments.output / "text_encoder.onnx",
    )
    picture_axes = {0: "batch", 2: "height", 3: "width"}
    export(
        load_painter(arguments.run / "painter.pt"),
        {
            "noisy": torch.randn(2, 3, 64, 80),
            "level": torch.tensor([0.9, 0.4]),
            "tokens": torch.randn(2, 9, OUTPUT_DIMENSIONS),
            "mask": torch.ones(2, 9, dtype=torch.int64),
            "pooled": torch.randn(2, OUTPUT_DIMENSIONS),
        },
        {"clean": picture_axes},
        {
            "noisy": picture_axes,
            "level": {0: "batch"},
            "tokens": batch_and_length,
            "mask": batch_and_length,
            "pooled": {0: "batch"},
        },
        arguments.output / "painter.onnx",
    )


if __name__ == "__main__":
    main()
