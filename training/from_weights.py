"""Makes a run folder out of exported weights, so that a training can go on from them anywhere.

The files hold the averaged weights alone. What is missing of a checkpoint, the state of the
optimiser, comes back within some hundred steps; a new schedule begins with a short rise anyway.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from export import (
    HALF_SUFFIX,
    Signature,
    painter_signature,
    text_encoder_signature,
    traced,
    upscaler_signature,
)
from painter import Painter, PainterShape
from text_encoder import TextEncoder, TextEncoderShape
from upscaler import Upscaler, UpscalerShape

State = dict[str, torch.Tensor]


def weights_in(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """The weights of a file by the names that they have in its graph."""
    return {
        weight.name.removesuffix(HALF_SUFFIX): numpy_helper.to_array(weight).astype(np.float32)
        for weight in model.graph.initializer
        if weight.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    }


def read_state(network: nn.Module, signature: Signature, file: Path) -> State:
    """The parameters of an exported network by the names that they have in torch.

    The tracing exporter renames and transposes some. So the network is filled with random numbers
    and exported once more: what has the same numbers there is the same parameter here.
    """
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
    seen = weights_in(traced(network.eval(), signature))
    kept = weights_in(onnx.load(file))
    state: State = {}
    for name, parameter in network.named_parameters():
        values = parameter.detach().numpy()
        for graph_name, found in seen.items():
            if np.array_equal(found.ravel(), values.ravel()):
                state[name] = torch.from_numpy(kept[graph_name].reshape(values.shape).copy())
            elif np.array_equal(found, values.T):
                state[name] = torch.from_numpy(kept[graph_name].T.copy())
        if name not in state:
            raise SystemExit(f"{file} has no {name}: it was exported from another network")
    return state


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True, help="folder of the exported files")
    parser.add_argument("--run", type=Path, required=True, help="folder to make")
    arguments = parser.parse_args()
    weights, run = arguments.weights, arguments.run
    run.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(weights / "vocabulary.txt", run / "vocabulary.txt")
    words = len((run / "vocabulary.txt").read_text(encoding="utf-8").splitlines())

    text_shape = TextEncoderShape(words)
    state = read_state(
        TextEncoder(text_shape), text_encoder_signature(), weights / "text_encoder.onnx"
    )
    halved = {name: value.half() for name, value in state.items()}
    torch.save({"shape": text_shape.__dict__, "state": halved}, run / "text_encoder.pt")

    for name, network, signature in (
        ("painter", Painter(PainterShape()), painter_signature()),
        ("upscaler", Upscaler(UpscalerShape()), upscaler_signature()),
    ):
        state = read_state(network, signature, weights / f"{name}.onnx")
        torch.save(
            {"shape": network.shape.__dict__, "network": state, "average": state},
            run / f"{name}.pt",
        )
    print(f"{run}: text encoder, painter and upscaler; go on with train.py --new-schedule")


if __name__ == "__main__":
    main()
