"""`dreamgrid work download`: weights come to this machine because somebody asked for them."""

import difflib
import re
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn
from rich.progress import TransferSpeedColumn as SpeedColumn

from dreamgrid.cli import exits, loop
from dreamgrid.cli.owner import settings_from
from dreamgrid.cli.stdout import stdout
from dreamgrid.engines.base import Source
from dreamgrid.engines.machine import look
from dreamgrid.engines.registry import Registry, find_engines
from dreamgrid.errors import ConfigError
from dreamgrid.worker import hub
from dreamgrid.worker.downloads import Download, OnProgress
from dreamgrid.worker.plan import plan_work

_TELLS_EVERY_S = 1.0
_LORA = re.compile(
    r"(?P<id>[A-Za-z0-9][A-Za-z0-9._-]{0,127})=(?P<repository>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)"
    r"(/(?P<file>[\w. /()+-]+\.safetensors))?"
)


def bring(
    *,
    models: tuple[str, ...],
    control_nets: tuple[str, ...] = (),
    loras: tuple[str, ...] = (),
    config: Path | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Downloads weights, one after the other.

    Args:
        models: Catalogue ids of models.
        control_nets: Names of ControlNets of these models, which are fetched then and not the
            models; `all`: every one.
        loras: LoRAs, each as `ID=OWNER/NAME` or `ID=OWNER/NAME/FILE`.
        config: The worker's file with settings.
        dry_run: Only say how much there is.
        as_json: Whether programs read what it says.

    Raises:
        ConfigError: A model has no known source or is too large for this machine's disk, or has no
            such ControlNet, or a LoRA is not written like that.
        DownloadFailed: Something came between; the same command goes on from there.
    """
    if not models and not loras:
        raise ConfigError("name a model, or a LoRA with --lora ID=OWNER/NAME")
    exits.speaks_json.set(as_json)
    settings_from(config)
    registry = find_engines()
    plan = plan_work(registry, look(Path.home()))
    known = [prospect.model for prospect in (*plan.serves, *plan.leaves)]
    sources: dict[str, Source] = {}
    for model in models:
        if control_nets:
            sources |= _control_nets(registry, model, control_nets)
        else:
            sources[model] = _source(registry, model, known)
    sources |= {lora.partition("=")[0]: _lora(registry, lora) for lora in loras}
    for prospect in plan.leaves:
        if prospect.model in sources and prospect.state == "too_large":
            exits.note(f"{prospect.model} seems too large for this machine: {prospect.text}")
    loop.run(_bring_all(sources, dry_run=dry_run, as_json=as_json))


def _source(registry: Registry, model: str, known: Sequence[str]) -> Source:
    source = _find_source(registry, model)
    if source is not None:
        return source
    fetchable = [one for one in known if _find_source(registry, one) is not None]
    close = difflib.get_close_matches(model, fetchable, n=3)
    meant = f"did you mean {' or '.join(close)}?" if close else "see 'dreamgrid work plan'"
    raise ConfigError(f"no source of weights is known for {model}; {meant}")


def _control_nets(registry: Registry, model: str, wanted: tuple[str, ...]) -> dict[str, Source]:
    """What is wanted of a model's ControlNets; several in one repository come once."""
    found: dict[str, Source] = {}
    for engine in registry.engines:
        found |= engine.spec.control_nets(model)
    names = tuple(found) if "all" in wanted else wanted
    unknown = [name for name in names if name not in found]
    if unknown or not found:
        there = ", ".join(found) or "none that is known"
        raise ConfigError(f"{model} has no ControlNet {', '.join(unknown or wanted)}: {there}")
    by_folder = {found[name].folder: found[name] for name in names}
    return {source.folder.name: source for source in by_folder.values()}


def _lora(registry: Registry, wish: str) -> Source:
    """A LoRA as people name it: its id, and where it is."""
    match = _LORA.fullmatch(wish)
    folders = (engine.spec.lora_folder() for engine in registry.engines)
    folder = next((one for one in folders if one is not None), None)
    if match is None:
        raise ConfigError(
            f"'{wish}' is no LoRA: write ID=OWNER/NAME, or ID=OWNER/NAME/FILE.safetensors"
        )
    if folder is None:
        raise ConfigError("no engine of this machine keeps LoRAs")
    return Source(
        repository=match["repository"],
        folder=folder / f"{match['id']}.safetensors",
        layout="file",
        file=match["file"] or "",
    )


def _find_source(registry: Registry, model: str) -> Source | None:
    found = (engine.spec.source(model) for engine in registry.engines)
    return next((source for source in found if source is not None), None)


async def _bring_all(sources: dict[str, Source], *, dry_run: bool, as_json: bool) -> None:
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(auto_decompress=False, cookie_jar=jar) as session:
        for model, source in sources.items():
            if _is_here(source):
                _tell_end(model, source.folder, "is here already:", as_json=as_json)
                continue
            listing = await hub.listing(session, source)
            _tell_start(model, listing, as_json=as_json)
            if not dry_run:
                folder = await _bring_one(session, model, source, listing, as_json=as_json)
                _tell_end(model, folder, "is whole:", as_json=as_json)


def _is_here(source: Source) -> bool:
    match source.layout:
        case "pipeline":
            return (source.folder / hub.INDEX).is_file()
        case "network":
            return (source.folder / hub.CONFIG).is_file()
        case "file":
            return source.folder.is_file()


async def _bring_one(
    session: aiohttp.ClientSession,
    model: str,
    source: Source,
    listing: hub.Listing,
    *,
    as_json: bool,
) -> Path:
    try:
        if as_json:
            on_progress = _lines(model, listing.size_bytes)
            return await Download(session, source, listing, on_progress=on_progress).fetch()
        columns = (BarColumn(), DownloadColumn(), SpeedColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:
            bar = progress.add_task(model, total=listing.size_bytes)
            return await Download(
                session,
                source,
                listing,
                on_progress=lambda done: progress.update(bar, completed=done),
            ).fetch()
    except BaseException:
        exits.note(f"what has arrived of {model} is kept; the same command goes on from there")
        raise


def _lines(model: str, size_bytes: int) -> OnProgress:
    """A line of JSON now and then."""
    told_s = 0.0

    def tell(done_bytes: int) -> None:
        nonlocal told_s
        if time.monotonic() - told_s >= _TELLS_EVERY_S or done_bytes == size_bytes:
            told_s = time.monotonic()
            exits.say_json(
                {
                    "event": "Downloading",
                    "model": model,
                    "done_bytes": done_bytes,
                    "size_bytes": size_bytes,
                }
            )

    return tell


def _tell_start(model: str, listing: hub.Listing, *, as_json: bool) -> None:
    if as_json:
        said = {"event": "Found", "model": model, "repository": listing.repository}
        said |= {"commit": listing.commit, "licence": listing.licence}
        exits.say_json(said | {"size_bytes": listing.size_bytes})
        return
    licence = escape(listing.licence or "not named")
    size = f"{listing.size_bytes / 1e9:.2f} GB in {len(listing.files)} files"
    stdout(soft_wrap=True).print(
        f"[bold]{escape(model)}[/]  {size} from {hub.endpoint()}/{escape(listing.repository)}; "
        f"licence: {licence}"
    )


def _tell_end(model: str, folder: Path, words: str, *, as_json: bool) -> None:
    if as_json:
        exits.say_json({"event": "Downloaded", "model": model, "folder": str(folder)})
    else:
        console = stdout(soft_wrap=True)
        console.print(f"[green]{escape(model)}[/] {words} {escape(str(folder))}")
