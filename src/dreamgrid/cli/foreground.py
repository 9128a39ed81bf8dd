"""A grid in the foreground, until a signal ends it: what `up` and `serve` have in common."""

import asyncio
import os
from dataclasses import asdict
from pathlib import Path

from rich.console import Group
from rich.text import Text

from dreamgrid.cli import exits, loop
from dreamgrid.cli.addresses import bus_address, store_address
from dreamgrid.cli.folder import data_dir, flag_for
from dreamgrid.cli.grid import GridOptions, GridReady, run_grid
from dreamgrid.cli.options import SignupChoice
from dreamgrid.cli.stdout import stdout
from dreamgrid.engines.safety import PICTURE_THRESHOLD
from dreamgrid.errors import ConfigError
from dreamgrid.server.blobs import s3_settings
from dreamgrid.server.config import NodeSettings, ServerConfig, TlsFiles


def serve_grid(
    *,
    host: str,
    port: int,
    data: Path | None,
    catalog: list[Path] | None,
    store: str | None,
    blobs: str | None,
    public_url: str | None,
    web_origins: list[str] | None,
    trusted_proxies: list[str] | None,
    token_secrets: list[Path] | None,
    blob_secrets: list[Path] | None,
    signup: SignupChoice,
    admins: list[str] | None,
    worker_share: int,
    price_fast: int,
    price_relaxed: int,
    filter_always: bool,
    worker: bool,
    as_json: bool,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    node: str | None = None,
    bus: str | None = None,
    threads: int = 0,
    filter_threshold: float | None = None,
    sound_font: Path | None = None,
) -> None:
    """Runs a grid, tells when it is ready, and returns when a signal has ended it."""
    exits.speaks_json.set(as_json)
    server = ServerConfig(
        data_dir=data_dir(data),
        host=host,
        port=port,
        catalog_files=tuple(catalog or ()),
        store=store_address(store),
        blobs=None if blobs is None else s3_settings.parse(blobs, os.environ),
        node=_node(node, bus_address(bus)),
        public_url=public_url,
        tls=_tls(tls_cert, tls_key),
        web_origins=tuple(origin.rstrip("/") for origin in web_origins or ()),
        trusted_proxies=tuple(trusted_proxies or ()),
        token_secret_files=tuple(token_secrets or ()),
        blob_secret_files=tuple(blob_secrets or ()),
        admins=tuple(admins or ()),
        worker_share_permille=worker_share,
        fast_permille=price_fast,
        relaxed_permille=price_relaxed,
        filter_always=filter_always,
        signup=None if signup == "local" else signup,
    )
    grid = GridOptions(
        server=server,
        threads=threads,
        filter_threshold=PICTURE_THRESHOLD if filter_threshold is None else filter_threshold,
        sound_font=sound_font,
        worker=worker,
        announce=True,
    )
    _serve(grid, as_json=as_json)


def _serve(grid: GridOptions, *, as_json: bool) -> None:
    console = stdout()

    def on_ready(ready: GridReady) -> None:
        if as_json:
            said = asdict(ready)
            del said["advice"]
            exits.say_json(said)
            return
        console.print(_welcome(ready, grid), soft_wrap=True)
        for line in ready.advice:
            exits.note(line)

    async def serve(stop: asyncio.Event) -> None:
        await run_grid(grid, stop=stop, on_ready=on_ready)

    grid.server.validate()
    if not as_json:
        console.print("starting ...", style="dim")
    loop.serve(serve)
    if not as_json:
        console.print("\nStopped. What was not finished goes on at the next start.", style="dim")


def _node(address: str | None, bus: str | None) -> NodeSettings | None:
    """The settings of one of several nodes.

    Raises:
        ConfigError: There is a bus, but nobody to talk to.
    """
    if address is not None:
        return NodeSettings(address=address, bus=bus)
    if bus is not None:
        raise ConfigError("--bus is for several nodes: name this one with --node HOST:PORT as well")
    return None


def _tls(certificate: Path | None, key: Path | None) -> TlsFiles | None:
    """The files with which the server speaks TLS.

    Raises:
        ConfigError: One of them is missing.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise ConfigError("TLS needs both --tls-cert and --tls-key")
    return TlsFiles(certificate=certificate, key=key)


def _welcome(ready: GridReady, grid: GridOptions) -> Group:
    here = flag_for(grid.server.data_dir)
    key_file = grid.server.data_dir / "local-key"
    text = Text()
    text.append("address   ", "dim")
    text.append(f"{ready.url}\n", "bold cyan")
    if ready.studio_url:
        text.append("studio    ", "dim")
        text.append(f"{ready.studio_url}\n", "bold cyan")
        text.append("          opens it in your browser, once; later: dreamgrid studio", "dim")
        text.append(f"{here}\n", "dim")
    text.append("key       ", "dim")
    text.append(f"{ready.api_key[:8]}…", "bold")
    text.append(f"   in {key_file}\n", "dim")
    if ready.models:
        text.append("models    ", "dim")
        text.append(", ".join(ready.models) + "\n", "bold")
    text.append("\nIn another terminal:\n", "dim")
    if grid.worker:
        text.append(f'  dreamgrid generate "a red apple"{here}\n')
    else:
        text.append(f'  dreamgrid work --server {ready.url} --key "$(cat {key_file})"\n')
    text.append(f"  dreamgrid models{here}\n")
    text.append(f"  dreamgrid keys create phone{here}\n")
    text.append("\nFor your own programs:\n", "dim")
    text.append(f"  export DREAMGRID_URL={ready.url}\n")
    text.append(f'  export DREAMGRID_API_KEY="$(cat {key_file})"\n\n')
    text.append("Ctrl-C ends it.", "dim")
    title = "dreamgrid is up" if grid.worker else "the dreamgrid server is up"
    # No frame: a line that somebody copies must not be broken, or carry borders.
    return Group(Text(title, "bold green"), text)
