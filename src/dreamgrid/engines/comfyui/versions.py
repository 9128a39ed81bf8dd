"""Versions of ComfyUI: which one a workflow needs. Pure."""

import re
from collections.abc import Mapping, Sequence

from dreamgrid.errors import ConfigError

_NUMBER = re.compile(r"\d+")


def is_older(version: str, than: str) -> bool:
    """Whether a version such as `v0.3.64` comes before another; an unknown one does not."""
    return bool(_NUMBER.search(version)) and _numbers(version) < _numbers(than)


def too_old(absent: Sequence[str], since: str, version: str) -> str:
    """Why a ComfyUI cannot run a workflow, whatever files it has.

    Args:
        absent: Node classes of the workflow that it does not have.
        since: The first version that can run it; empty: not known.
        version: The one that it is; empty: not known.

    Returns:
        The reason, for the worker's owner; empty: it can run it.
    """
    if since and is_older(version, since):
        return f"ComfyUI {version} is too old: update it to {since} or a later one"
    if not absent:
        return ""
    named = f"ComfyUI has no node {', '.join(absent)}"
    if since and not version:
        return f"{named}: update it to {since} or a later one"
    return f"{named}: update it, or install the nodes"


def each_models(since: str | dict[str, str], models: Mapping[str, object]) -> dict[str, str]:
    """What a mapping's `since` says of each of its models.

    Raises:
        ConfigError: It names another model.
    """
    if isinstance(since, str):
        return dict.fromkeys(models, since) if since else {}
    unknown = sorted(set(since) - set(models))
    if unknown:
        raise ConfigError(f"since.{unknown[0]} is no model of this mapping")
    return since


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in _NUMBER.findall(version)[:3])
