"""Muon: momentum whose matrices are made orthogonal, so that every direction learns equally fast.

After K. Jordan's description; the scale of the update is matched to AdamW's, so both share one
learning rate. It is meant for runs of few steps, and steps are what a CPU lacks.
"""

import torch
from torch import Tensor, nn

# Coefficients of the quintic iteration that pushes singular values to about 1 in few rounds.
_LINEAR, _CUBIC, _QUINTIC = 3.4445, -4.7750, 2.0315
_ROUNDS = 4


def orthogonalised(matrix: Tensor) -> Tensor:
    """The nearest matrix [rows, columns] with all singular values about 1 (Newton-Schulz)."""
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    result = wide / (wide.norm() + 1e-7)
    for _ in range(_ROUNDS):
        gram = result @ result.T
        result = _LINEAR * result + (_CUBIC * gram + _QUINTIC * gram @ gram) @ result
    return result.T if matrix.shape[0] > matrix.shape[1] else result


class Muon(torch.optim.Optimizer):
    """For the hidden matrices of a network; convolutions count as [out, in * height * width]."""

    def __init__(
        self,
        parameters: list[nn.Parameter],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One update from the gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(parameter)
                average = state["momentum"]
                average.lerp_(parameter.grad, 1 - group["momentum"])
                ahead = torch.lerp(parameter.grad, average, group["momentum"])
                update = orthogonalised(ahead.flatten(1))
                # An orthogonal update has entries of size 1 / sqrt(longer side); AdamW's ~ 0.2.
                scale = 0.2 * max(update.shape) ** 0.5
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update.view_as(parameter), alpha=-group["lr"] * scale)
