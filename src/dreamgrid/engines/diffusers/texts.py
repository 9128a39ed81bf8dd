"""The prompts of several jobs for one pass: each is encoded alone, as if its job were alone.

What encoders make of a text may depend on what else they are given at the same time, and pipelines
fill up shorter texts to the longest one. So texts are encoded one by one, and share a pass only
where what comes out has the same shape: because it always has, or because they are as long.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from dreamgrid.engines.diffusers.family import Texts
from dreamgrid.protocol.renders import AnyRender

_SOME = ("a red fox in the snow", "the sea", "a portrait of an old man, oil on canvas, by night")
"""Texts for proofs, beside those of a job."""


class UnlikeTexts(Exception):
    """What was encoded has different shapes, so it cannot be computed together."""


def lengths(tokenizer: Any, texts: Texts, render: AnyRender) -> tuple[int, int]:
    """What the prompts of jobs must have in common: about how long the two are; 0: it is all one.

    Args:
        tokenizer: Of the model.
        texts: Of its family.
        render: The job's.
    """
    if not texts.lengths_of:
        return 0, 0
    length = _length(tokenizer, texts.lengths_of, render.prompt)
    if render.guidance <= texts.guided_above:
        return length, 0
    return length, _length(tokenizer, texts.lengths_of, render.negative_prompt)


def some_like(text: str, count: int, alike: Callable[[str], bool]) -> list[str]:
    """So many texts, as different as can be, the given one the first.

    Args:
        text: What the others are to be like.
        count: How many.
        alike: Whether one is like it.
    """
    words = text.split()
    others = [words[::-1], words[1:] + words[:1], words[: len(words) // 2], words * 2]
    known = dict.fromkeys((text, *(" ".join(other) for other in others), *_SOME))
    found = [text, *(one for one in known if one != text and alike(one))]
    return [found[number % len(found)] for number in range(count)]


def encoded(pipeline: Any, texts: Texts, renders: Sequence[AnyRender]) -> dict[str, Any]:
    """Arguments of a pipeline that take the place of the prompts of several jobs.

    Raises:
        UnlikeTexts: They differ in their shape.
    """
    wanted = [(render.prompt, render.negative_prompt) for render in renders]
    guided = renders[0].guidance > texts.guided_above
    with torch.no_grad():
        each = {pair: _of(pipeline, texts, *pair, guided=guided) for pair in dict.fromkeys(wanted)}
    first = each[wanted[0]]
    return {name: _stacked(texts, [each[pair][name] for pair in wanted]) for name in first}


def _of(pipeline: Any, texts: Texts, prompt: str, negative: str, *, guided: bool) -> dict[str, Any]:
    """What a pipeline makes of one job's prompts, by its arguments."""
    found = _named(texts.encoded, _call(pipeline, texts, prompt, negative, guided=guided))
    if guided and texts.encoded_negative:
        made = _call(pipeline, texts, negative, "", guided=False)
        found |= _named(texts.encoded_negative, made)
    return {name: value for name, value in found.items() if _is_there(value)}


def _call(
    pipeline: Any, texts: Texts, prompt: str, negative: str, *, guided: bool
) -> Iterable[Any]:
    taken = inspect.signature(pipeline.encode_prompt).parameters
    usual = inspect.signature(pipeline.__call__).parameters  # the call's, where they differ
    arguments = {
        "prompt": prompt,
        "negative_prompt": negative if guided else None,
        "device": pipeline._execution_device,
        "num_images_per_prompt": 1,
        "do_classifier_free_guidance": guided,
    }
    if "max_sequence_length" in usual:
        arguments["max_sequence_length"] = usual["max_sequence_length"].default
    given = {name: value for name, value in arguments.items() if name in taken}
    made: Iterable[Any] = pipeline.encode_prompt(**given, **texts.arguments)
    return made


def _named(names: Sequence[str], values: Iterable[Any]) -> dict[str, Any]:
    return {name: value for name, value in zip(names, values, strict=True) if name}


def _is_there(value: Any) -> bool:
    return value is not None and not (isinstance(value, list) and not value)


def _stacked(texts: Texts, values: Sequence[Any]) -> Any:
    """One argument for all jobs: their tensors stacked, or the list of them."""
    if isinstance(values[0], list):
        each = [one for value in values for one in value]
        if len({_steps(len(one), texts.lengths_of) for one in each}) > 1:
            raise UnlikeTexts
        return each
    if len({value.shape for value in values}) > 1:
        raise UnlikeTexts
    return torch.cat(list(values))


def _length(tokenizer: Any, unit: int, text: str) -> int:
    if getattr(tokenizer, "chat_template", None):
        said = [{"role": "user", "content": text}]
        text = tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
    return _steps(len(tokenizer(text).input_ids), unit)


def _steps(length: int, unit: int) -> int:
    return -(-length // unit)
