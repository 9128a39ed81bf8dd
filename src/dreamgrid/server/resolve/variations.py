"""A text of its own for every render of a project whose prompts are dynamic. Pure."""

import random

import msgspec

from dreamgrid.protocol.dynamic_prompts import DynamicPrompts, Prompts
from dreamgrid.protocol.params import AnyParams
from dreamgrid.protocol.renders import AnyRender
from dreamgrid.server.catalog_entries import ModelSpec
from dreamgrid.server.resolve.prompts import negative_prompt_of, prompt_of


def varied(
    spec: ModelSpec, params: AnyParams, renders: tuple[AnyRender, ...], max_chars: int
) -> tuple[AnyRender, ...]:
    """The renders with their expanded prompts; as they are, if no prompt is dynamic.

    Random choices come from each render's seed, so that the same request with the same seed asks
    for the same picture again.

    Raises:
        InvalidRequest: An expanded prompt is empty for a model that needs words.
    """
    texts = DynamicPrompts(Prompts(params.prompt, params.style_prompt, params.negative_prompt))
    if not texts.dynamic:
        return renders
    return tuple(
        _with_prompts(spec, params, render, texts.expand(index, _source(render.seed)), max_chars)
        for index, render in enumerate(renders)
    )


def _source(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 (no secret)


def _with_prompts(
    spec: ModelSpec, params: AnyParams, render: AnyRender, prompts: Prompts, max_chars: int
) -> AnyRender:
    expanded = msgspec.structs.replace(
        params,
        prompt=prompts.positive,
        style_prompt=prompts.style,
        negative_prompt=prompts.negative,
    )
    return msgspec.structs.replace(
        render,
        prompt=prompt_of(spec, expanded, max_chars),
        negative_prompt=negative_prompt_of(spec, expanded, max_chars),
    )
