"""The words of a request: joined, checked, or refused. Pure."""

from dreamgrid.errors import InvalidRequest
from dreamgrid.protocol.params import Params
from dreamgrid.server.catalog_entries import ModelSpec


def prompt_of(spec: ModelSpec, params: Params, max_chars: int) -> str:
    """The prompt with its style; a model may take longer or shorter ones than `max_chars`.

    Raises:
        InvalidRequest: It is too long, unreadable, or empty for a model that needs words.
    """
    check_text("prompt", params.prompt, spec.max_prompt_chars or max_chars)
    check_text("style prompt", params.style_prompt, max_chars)
    has_prompt, has_style = not _blank(params.prompt), not _blank(params.style_prompt)
    if spec.prompt_required and not has_prompt:
        raise InvalidRequest(f"the prompt is empty: {spec.id} needs words to work from")
    if has_prompt and has_style:
        return f"{params.prompt}, {params.style_prompt}"
    return params.style_prompt if has_style else params.prompt


def negative_prompt_of(spec: ModelSpec, params: Params, max_chars: int) -> str:
    """What to avoid; nothing for a model that does not look at it.

    Raises:
        InvalidRequest: It is too long or unreadable.
    """
    check_text("negative prompt", params.negative_prompt, max_chars)
    return params.negative_prompt if spec.negative_prompt else ""


def check_text(field: str, text: str, max_chars: int) -> None:
    """Refuses a text that is too long or that no database and no tokenizer takes.

    Raises:
        InvalidRequest: Says what is wrong.
    """
    if len(text) > max_chars:
        raise InvalidRequest(
            f"the {field} has {len(text)} characters; at most {max_chars} are allowed"
        )
    if "\0" in text:
        raise InvalidRequest(f"the {field} contains a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"the {field} contains half a character (a lone surrogate)") from None


def _blank(text: str) -> bool:
    return not text or text.isspace()
