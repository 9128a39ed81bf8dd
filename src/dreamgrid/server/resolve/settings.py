"""One setting at a time: the default, or a value that the model's tier allows. Pure."""

from collections.abc import Iterable
from typing import Any

from dreamgrid.errors import InvalidRequest
from dreamgrid.protocol.params import MAX_SEED
from dreamgrid.server.catalog_entries import (
    NumberChoice,
    NumberFrom,
    NumberRange,
    StringChoice,
    Switch,
    Text,
)
from dreamgrid.server.resolve.prompts import check_text

Limit = NumberRange | NumberFrom | NumberChoice | StringChoice | Switch | Text
"""What a tier may say about a setting."""


def settle(name: str, value: Any, limit: Limit | None, *, model: str) -> Any:
    """The value that counts: the one asked for, else the tier's default.

    Args:
        name: The setting, for messages.
        value: What the app asks for; None leaves it to the model.
        limit: What the tier allows. None: the model has no such setting.
        model: Id of the model, for messages.

    Raises:
        InvalidRequest: The tier does not allow it, or the model has no such setting.
    """
    if limit is None:
        if value is not None:
            raise InvalidRequest(f"{model} has no setting {_spoken(name)}; leave it out")
        return None
    if value is None:
        return None if isinstance(limit, Text) else limit.default
    match limit:
        case NumberRange():
            check_range(_spoken(name), value, limit.min, limit.max)
        case NumberFrom():
            check_range(_spoken(name), value, limit.min, float("inf"))
        case NumberChoice():
            _check_choice(_spoken(name), value, limit.allowed)
        case StringChoice():
            return _picked(_spoken(name), value, limit.allowed)
        case Text():
            check_text(_spoken(name), value, limit.max_length)
        case Switch():
            pass  # on and off are both fine
    return value


def missing(name: str, value: Any, limit: Limit | None, *, model: str) -> None:
    """Refuses a request without a text that the model cannot do without.

    Raises:
        InvalidRequest: It is not there.
    """
    if isinstance(limit, Text) and limit.required and not value:
        raise InvalidRequest(f"{model} needs the setting {_spoken(name)}")


def whole_setting(name: str, value: int | None, limit: NumberRange) -> int:
    """A whole number in the tier's range.

    Raises:
        InvalidRequest: It is outside.
    """
    if value is None:
        return int(limit.default)
    check_range(name, value, limit.min, limit.max)
    return value


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Refuses a number outside of `low` to `high`, ends included.

    Raises:
        InvalidRequest: It is outside, or no number at all.
    """
    # Written so that NaN, which no comparison holds for, and infinity are refused.
    if low <= value <= high and value != float("inf"):
        return
    allowed = f"at least {low}" if high == float("inf") else f"{low} to {high}"
    raise InvalidRequest(f"{name} {shown(value)} is not allowed: {allowed}")


def check_seed(seed: int) -> None:
    """Refuses a seed outside of 0..2**32-1.

    Raises:
        InvalidRequest: It is outside.
    """
    check_range("seed", seed, 0, MAX_SEED)


def shown(value: float) -> str:
    """A number for a message; Python refuses to print whole numbers of thousands of digits."""
    if isinstance(value, int) and value.bit_length() > 64:
        return "(a whole number of more than 64 bits)"
    return str(value)


def _check_choice(name: str, value: float, allowed: Iterable[float]) -> None:
    if value not in allowed:
        offered = ", ".join(map(str, allowed))
        raise InvalidRequest(f"{name} {shown(value)} is not allowed: choose one of {offered}")


def _picked(name: str, value: str, allowed: Iterable[str]) -> str:
    """The tier's spelling of a name, which may be written in any case."""
    for choice in allowed:
        if choice.casefold() == value.strip().casefold():
            return choice
    raise InvalidRequest(
        f"{name} {value[:64]!r} is not offered by this model: choose one of {', '.join(allowed)}"
    )


def _spoken(name: str) -> str:
    return name.removesuffix("_s").replace("_", " ")
