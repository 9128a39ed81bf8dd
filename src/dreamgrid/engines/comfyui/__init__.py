"""The engine that drives a ComfyUI which runs already, on this machine or another.

Which models it serves follows from two things: the workflows that dreamgrid knows (its own, and
those in the owner's folder), and the nodes and weights that this ComfyUI has.

| variable | default | |
|---|---|---|
| `DREAMGRID_COMFYUI_URL` | `http://127.0.0.1:8188` | where ComfyUI listens; `off`: do not look |
| `DREAMGRID_COMFYUI_WORKFLOWS` | `~/.config/dreamgrid/comfyui` | the owner's own workflows |
| `DREAMGRID_COMFYUI_FOLDER` | `~/ComfyUI` and other usual places | where ComfyUI is installed |
"""

import logging
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import msgspec

from dreamgrid.engines.base import Engine, EngineSpec, Finding, Prospect
from dreamgrid.engines.comfyui.offers import Lack, Offer, offers_of
from dreamgrid.engines.comfyui.stopped import installed, models_in
from dreamgrid.engines.comfyui.versions import is_older
from dreamgrid.engines.comfyui.workflow import read_workflows
from dreamgrid.engines.machine import Machine

URL_VARIABLE = "DREAMGRID_COMFYUI_URL"
WORKFLOWS_VARIABLE = "DREAMGRID_COMFYUI_WORKFLOWS"
DEFAULT_URL = "http://127.0.0.1:8188"
OFF = "off"
OLDEST = "0.3.45"
"""The first ComfyUI that takes the id that a job is given."""
OWN_WORKFLOWS = Path(__file__).parent / "workflows"

_PROBE_S = 3.0
_TIMEOUT_S = 30.0
_NEEDED = {"av": "av", "numpy": "numpy", "PIL": "pillow", "yaml": "pyyaml"}
"""Modules, and the packages that bring them."""

_log = logging.getLogger(__name__)


class TooOld(ConnectionError):
    """A ComfyUI answers, but no job could be followed in it."""


def url() -> str:
    """Where ComfyUI listens; empty when the owner turned this engine off."""
    given = os.environ.get(URL_VARIABLE, "").strip() or DEFAULT_URL
    return "" if given == OFF else given


def folder() -> Path:
    """Where the owner's own workflows are."""
    given = os.environ.get(WORKFLOWS_VARIABLE)
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return Path(given) if given else config / "dreamgrid" / "comfyui"


def survey() -> tuple[list[Offer], list[Lack]]:
    """What can be made with the ComfyUI that runs now, and what is missing for the rest.

    The owner's workflows come before dreamgrid's. Nothing can be made while no ComfyUI answers.

    Raises:
        ConnectionError: No ComfyUI answers at `url()`, or one that is too old (`TooOld`).
    """
    workflows, errors = read_workflows(folder())
    for error in errors:
        _log.warning("a workflow is left out: %s", error)
    own, _ = read_workflows(OWN_WORKFLOWS)
    version = _version(url())
    return offers_of([*workflows, *own], _get(url(), "/object_info", _TIMEOUT_S), version)


def _version(address: str) -> str:
    """Which ComfyUI answers; empty: it does not say. A short question before the long ones.

    Raises:
        ConnectionError: None answers.
        TooOld: One answers that is older than `OLDEST`.
    """
    system = _get(address, "/system_stats", _PROBE_S).get("system")
    version = str(system.get("comfyui_version") or "") if isinstance(system, dict) else ""
    if is_older(version, OLDEST):
        raise TooOld(f"the ComfyUI at {address} is too old: it is {version}, {OLDEST} is needed")
    return version


def _get(address: str, path: str, timeout_s: float) -> dict[str, Any]:
    import http.client  # noqa: PLC0415 - only needed once
    import urllib.request  # noqa: PLC0415

    asked = f"{address.rstrip('/')}{path}"
    try:
        with urllib.request.urlopen(asked, timeout=timeout_s) as answer:  # noqa: S310 - the owner's
            return msgspec.json.decode(answer.read(), type=dict[str, Any])
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ConnectionError(f"no ComfyUI answers at {address}: {error}") from error


def _models() -> tuple[str, ...]:
    if not url() or any(find_spec(module) is None for module in _NEEDED):
        return ()
    try:
        offers, lacks = survey()
    except ConnectionError as error:
        wanted = bool(os.environ.get(URL_VARIABLE))
        _log.log(logging.WARNING if wanted else logging.DEBUG, "%s", error)
        return ()
    for lack in lacks:
        _log.info("ComfyUI cannot serve %s: %s", lack.model, lack.reason)
    return tuple(dict.fromkeys(offer.model for offer in offers))


def _examine() -> tuple[Finding, ...]:
    """What it has weights for, what is missing for the rest, and which own workflows are wrong."""
    if not url():
        return (_found("note", f"turned off by {URL_VARIABLE}={OFF}"),)
    absent = [package for module, package in _NEEDED.items() if find_spec(module) is None]
    if absent:
        text = f"needs the Python packages {', '.join(absent)}"
        return (_found("problem", text, "pip install -e '.[embedded]' in the clone"),)
    broken = [
        _found("problem", str(error), "mend the file, or take it out of the folder")
        for error in read_workflows(folder())[1]
    ]
    try:
        offers, lacks = survey()
    except TooOld as error:
        return (*broken, _found("problem", str(error), "update ComfyUI"))
    except ConnectionError as error:
        wanted = bool(os.environ.get(URL_VARIABLE))
        advice = f"start it, or say where it listens: {URL_VARIABLE}=http://HOST:PORT"
        return (*broken, _found("problem" if wanted else "note", str(error), advice))
    served = {offer.model for offer in offers}
    reasons: dict[str, list[str]] = {}
    for lack in lacks:
        if lack.model not in served:
            reasons.setdefault(lack.reason, []).append(lack.model)
            served.add(lack.model)
    return (
        _found("good", f"runs at {url()}"),
        *broken,
        *(_found("note", f"no {', '.join(models)}: {why}") for why, models in reasons.items()),
    )


def _prospects(_machine: Machine) -> tuple[Prospect, ...]:
    """What a ComfyUI could serve that is installed here and does not run."""
    here = installed()
    if not url() or here is None or any(find_spec(module) is None for module in _NEEDED):
        return ()
    try:
        _get(url(), "/queue", _PROBE_S)
    except ConnectionError:
        workflows = read_workflows(folder())[0] + read_workflows(OWN_WORKFLOWS)[0]
        text = f"its files are in {here}, but this ComfyUI does not run"
        advice = "start ComfyUI, then the worker again"
        return tuple(
            Prospect(model=model, state="blocked", text=text, advice=advice)
            for model in models_in(here, workflows)
        )
    return ()


def _found(level: Literal["good", "note", "problem"], text: str, advice: str = "") -> Finding:
    return Finding(level=level, subject="ComfyUI", text=text, advice=advice)


def _is_here() -> bool:
    """Whether the ComfyUI is on this machine: its address is one at which a program can listen."""
    import socket  # noqa: PLC0415 - only needed once
    from urllib.parse import urlsplit  # noqa: PLC0415

    def is_own(family: int, address: Any) -> bool:
        try:
            with socket.socket(family) as one:
                one.bind(address)
        except OSError:
            return False
        return True

    host = urlsplit(url()).hostname
    if not host:
        return False
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # nobody knows that name
        return False
    return any(is_own(family, address) for family, *_, address in found)


def _create(threads: int) -> Engine:
    """ComfyUI has threads of its own."""
    from dreamgrid.engines.comfyui.engine import ComfyEngine  # noqa: PLC0415 - heavy

    return ComfyEngine(lambda: survey()[0], url(), lambda: _get(url(), "/queue", _PROBE_S))


ENGINE = EngineSpec(
    name="comfyui",
    models=_models,
    create=_create,
    missing=(
        "no ComfyUI with known weights runs on this machine; "
        f"if one does elsewhere, set {URL_VARIABLE}"
    ),
    optional=True,
    examine=_examine,
    prospects=_prospects,
    version=lambda: f"ComfyUI {_version(url())}",
    shares_gpu=_is_here,
)
