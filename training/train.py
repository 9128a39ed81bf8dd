"""Trains dreamlet's painter by flow matching.

Needs what `text_encoder.py` wrote. Stops after `--minutes` and goes on where it was when called
again, until the schedule of `--total-minutes` is through. Uses a GPU when torch finds one.

The clean picture is predicted, not the velocity: that keeps small networks free of grain and
gives a clean preview at every step. The error is weighted as an error of the velocity
`(noisy - clean) / t`, which is what the sampler integrates.
"""

import argparse
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from captions import EMPHASES, Emphasis
from muon import Muon
from painter import Painter, PainterShape
from scenes import Banks, Composer, build_banks, compose_batches
from text_encoder import load_text_encoder, pad

# The share of pictures shown without a caption, which teaches the unconditional prediction.
CAPTION_DROP = 0.1
# Most noise levels are sigmoid(normal + TIME_SHIFT). A part is drawn evenly from almost pure noise,
# which is where every picture begins and where only the text can say what it will be; the sigmoid
# alone hardly ever goes there, and then the noise, not the text, decides about shapes.
TIME_SHIFT = 0.6
NOISY_SHARE = 0.35
NOISIEST_FROM = 0.8
# Captions are padded to one length, because a compiled network is compiled for one shape.
CAPTION_TOKENS = 24
SHORTEST_TIME = 0.05  # the velocity is not divided by less, or the last step would dominate

Batch = tuple[Tensor, Tensor, Tensor, Tensor]  # pictures, tokens, mask, pooled


class CaptionedPictures(IterableDataset[Batch]):
    """Batches composed and encoded in a process of their own, beside the training."""

    def __init__(
        self,
        banks: Banks,
        run: Path,
        batch_size: int,
        wide_share: float,
        seed: int,
        emphasis: Emphasis,
    ) -> None:
        self.banks, self.run, self.emphasis = banks, run, emphasis
        self.batch_size, self.wide_share, self.seed = batch_size, wide_share, seed

    def __iter__(self) -> Iterator[Batch]:
        torch.set_num_threads(1)
        worker = get_worker_info()
        seed = self.seed + (worker.id if worker else 0)
        composer = Composer(self.banks, seed, self.emphasis)
        tokenizer, encoder = load_text_encoder(self.run)
        for pictures, captions in compose_batches(composer, self.batch_size, self.wide_share):
            shown = [
                "" if composer.random.random() < CAPTION_DROP else caption for caption in captions
            ]
            rows = [tokenizer.encode(caption)[:CAPTION_TOKENS] for caption in shown]
            ids, mask = pad(rows)
            with torch.no_grad():
                tokens, pooled = encoder(ids, mask)
            missing = (0, CAPTION_TOKENS - ids.shape[1])
            tokens = functional.pad(tokens, (0, 0, *missing))
            yield pictures, tokens, functional.pad(mask, missing), pooled


def velocity_loss(
    painter: nn.Module, batch: Batch, generator: torch.Generator, precision: torch.dtype
) -> Tensor:
    """Mean squared error of the velocity at random noise levels, mostly high ones."""
    pictures, tokens, mask, pooled = batch
    size, device = len(pictures), pictures.device
    time_logits = torch.randn(size, generator=generator, device=device) + TIME_SHIFT
    times = torch.sigmoid(time_logits)
    evenly = torch.rand(size, 2, generator=generator, device=device)
    noisy_times = NOISIEST_FROM + (1 - NOISIEST_FROM) * evenly[:, 0]
    times = torch.where(evenly[:, 1] < NOISY_SHARE, noisy_times, times)
    noise = torch.randn(pictures.shape, generator=generator, device=device)
    share = times[:, None, None, None]
    noisy = ((1 - share) * pictures + share * noise).contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, precision, enabled=precision != torch.float32):
        predicted = painter(noisy, times, tokens, mask, pooled)
    error = (predicted.float() - pictures) / share.clamp(min=SHORTEST_TIME)
    return error.square().mean()


def make_optimizers(painter: Painter, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices; AdamW for the pixel layers, norms and biases."""
    hidden, others = [], []
    for name, parameter in painter.named_parameters():
        is_pixel_layer = name.startswith(("picture_in", "picture_out"))
        (hidden if parameter.ndim >= 2 and not is_pixel_layer else others).append(parameter)
    return [
        Muon(hidden, rate),
        torch.optim.AdamW(others, rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True),
    ]


class Trainer:
    """The state of a training run: network, its moving average, optimiser, time used."""

    def __init__(
        self, shape: PainterShape, device: torch.device, peak_rate: float, compiled: bool
    ) -> None:
        self.device, self.peak_rate = device, peak_rate
        self.painter = Painter(shape).to(device, memory_format=torch.channels_last)
        # Shares the parameters; used for square pictures only, the other shapes are too rare.
        self.compiled = torch.compile(self.painter) if compiled else self.painter
        self.average = Painter(shape).to(device, memory_format=torch.channels_last)
        self.average.load_state_dict(self.painter.state_dict())
        self.optimizers = make_optimizers(self.painter, peak_rate)
        self.generator = torch.Generator(device).manual_seed(0)
        self.steps, self.samples, self.seconds = 0, 0, 0.0

    def step(self, batch: Batch, progress: float, precision: torch.dtype) -> float:
        """One update at the given share (0..1) of the schedule; returns the loss."""
        decay = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        rate = self.peak_rate * min(1.0, (self.steps + 1) / 200) * (0.98 * decay + 0.02)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        is_square = batch[0].shape[2] == batch[0].shape[3]
        network = self.compiled if is_square else self.painter
        loss = velocity_loss(network, batch, self.generator, precision)
        self.painter.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.painter.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        # Short memory at first, so that the average is usable early; about 500 steps later.
        keep = min(0.998, (self.steps + 1) / (self.steps + 20))
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.average.parameters()), list(self.painter.parameters()), 1 - keep
            )
        self.steps += 1
        self.samples += len(batch[0])
        return loss.item()

    def save(self, path: Path) -> None:
        """Writes a checkpoint; a crash while writing leaves the old one."""
        partial = path.with_suffix(".partial")
        torch.save(
            {
                "shape": self.painter.shape.__dict__,
                "network": self.painter.state_dict(),
                "average": self.average.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
                "generator": self.generator.get_state(),
                "counters": (self.steps, self.samples, self.seconds),
            },
            partial,
        )
        os.replace(partial, path)

    def load(self, path: Path) -> None:
        """Continues from a checkpoint."""
        saved = torch.load(path, map_location=self.device, weights_only=True)
        self.painter.load_state_dict(saved["network"])
        self.average.load_state_dict(saved["average"])
        if "optimizers" not in saved:  # made by from_weights.py
            return
        for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.generator.set_state(saved["generator"].cpu())
        self.steps, self.samples, self.seconds = saved["counters"]


def load_painter(path: Path) -> Painter:
    """The averaged painter of a checkpoint, on the CPU."""
    saved = torch.load(path, map_location="cpu", weights_only=True)
    painter = Painter(PainterShape(**saved["shape"]))
    painter.load_state_dict(saved["average"])
    return painter.eval()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packages", type=Path, required=True, help="a node_modules folder")
    parser.add_argument("--run", type=Path, required=True, help="folder of text_encoder.py")
    parser.add_argument("--minutes", type=float, default=10, help="stop after this long")
    parser.add_argument("--total-minutes", type=float, default=70, help="length of the schedule")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="at the peak")
    parser.add_argument("--channels", type=int, nargs=3, default=PainterShape.channels)
    parser.add_argument("--wide-share", type=float, default=0.1, help="batches of 3:2 and 2:3")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU")
    parser.add_argument("--loaders", type=int, default=1, help="processes that compose pictures")
    parser.add_argument("--checkpoint-minutes", type=float, default=4)
    parser.add_argument("--compile", action="store_true", help="1.4x on a CPU, after a minute")
    parser.add_argument("--bfloat16", action="store_true", help="autocast; always on a GPU")
    parser.add_argument("--emphasis", choices=EMPHASES, default="broad", help="what is shown most")
    parser.add_argument("--new-schedule", action="store_true", help="begin the schedule anew")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    wants_half = arguments.bfloat16 or device.type == "cuda"
    precision = torch.bfloat16 if wants_half else torch.float32
    shape = PainterShape(channels=tuple(arguments.channels))
    trainer = Trainer(shape, device, arguments.learning_rate, arguments.compile)
    checkpoint = arguments.run / "painter.pt"
    if checkpoint.exists():
        trainer.load(checkpoint)
    if arguments.new_schedule:
        trainer.seconds = 0.0
    parameters = sum(parameter.numel() for parameter in trainer.painter.parameters())
    print(f"{parameters / 1e6:.2f} M parameters, {device}, from step {trainer.steps}", flush=True)

    dataset = CaptionedPictures(
        build_banks(arguments.packages),
        arguments.run,
        arguments.batch_size,
        arguments.wide_share,
        seed=1 + trainer.steps,
        emphasis=EMPHASES[arguments.emphasis],
    )
    loader = DataLoader(dataset, batch_size=None, num_workers=arguments.loaders, prefetch_factor=8)
    started, used_before = time.monotonic(), trainer.seconds
    saved_at, losses = started, []
    for batch in loader:
        on_device = tuple(part.to(device, non_blocking=True) for part in batch)
        losses.append(
            trainer.step(on_device, trainer.seconds / (arguments.total_minutes * 60), precision)
        )
        now = time.monotonic()
        trainer.seconds = used_before + now - started
        if trainer.steps % 100 == 0:
            print(
                f"step {trainer.steps}, {trainer.seconds:.0f} s, "
                f"loss {sum(losses) / len(losses):.4f}, {trainer.samples} samples",
                flush=True,
            )
            losses.clear()
        done = now - started >= arguments.minutes * 60
        done = done or trainer.seconds >= arguments.total_minutes * 60
        if done or now - saved_at >= arguments.checkpoint_minutes * 60:
            trainer.save(checkpoint)
            saved_at = now
        if done:
            break


if __name__ == "__main__":
    main()
