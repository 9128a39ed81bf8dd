"""Flags that several commands share, worded once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        help="Address of the grid. Else DREAMGRID_URL, else the grid that runs on this machine.",
        rich_help_panel="Which grid",
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="KEY",
        help="API key for it. Else DREAMGRID_API_KEY, else that of this machine's grid.",
        rich_help_panel="Which grid",
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Folder for all state. Else DREAMGRID_DATA, else ~/.local/share/dreamgrid.",
        rich_help_panel="Which grid",
        file_okay=True,
    ),
]
Threads = Annotated[
    int,
    typer.Option("--threads", min=0, help="CPU threads for rendering. 0: one per core."),
]
Host = Annotated[
    str,
    typer.Option(
        "--host", help="Address to listen on. 0.0.0.0 lets other machines in; keep your key safe."
    ),
]
Port = Annotated[
    int, typer.Option("--port", min=0, max=65535, help="TCP port. 0 picks a free one.")
]
Catalog = Annotated[
    list[Path] | None,
    typer.Option(
        "--catalog",
        metavar="FILE",
        envvar="DREAMGRID_CATALOG",
        help="JSON file with more models, or `enhance`; may be given several times, the last wins.",
    ),
]
PublicUrl = Annotated[
    str | None,
    typer.Option(
        "--public-url",
        metavar="URL",
        envvar="DREAMGRID_PUBLIC_URL",
        help="How others reach this grid, such as https://grid.example.org behind a proxy. "
        "Default: as each of them addressed it.",
    ),
]
TlsCertificate = Annotated[
    Path | None,
    typer.Option(
        "--tls-cert",
        metavar="FILE",
        envvar="DREAMGRID_TLS_CERT",
        help="Speak HTTPS and WSS with this certificate, a PEM file with its chain; needs "
        "--tls-key. Renewed files are taken within seconds. Default: something in front does.",
    ),
]
TlsKey = Annotated[
    Path | None,
    typer.Option(
        "--tls-key",
        metavar="FILE",
        envvar="DREAMGRID_TLS_KEY",
        help="Private key of that certificate, a PEM file without a password.",
    ),
]
WebOrigins = Annotated[
    list[str] | None,
    typer.Option(
        "--web-origin",
        metavar="ORIGIN",
        envvar="DREAMGRID_WEB_ORIGIN",
        help="Web app on another host that may use the cookie of a sign-in here, such as "
        "https://app.example.org; may be given several times.",
    ),
]
TrustedProxies = Annotated[
    list[str] | None,
    typer.Option(
        "--trusted-proxy",
        metavar="ADDRESS",
        envvar="DREAMGRID_TRUSTED_PROXY",
        help="Reverse proxy (or a network of them, such as 10.0.0.0/8) whose X-Forwarded-For is "
        "believed, so that limits for strangers count each of them; may be given several times.",
    ),
]
TokenSecrets = Annotated[
    list[Path] | None,
    typer.Option(
        "--token-secret-file",
        metavar="FILE",
        envvar="DREAMGRID_TOKEN_SECRET_FILE",
        help="Secret that signs sign-ins, at least 32 bytes; may be given several times: the first "
        "one signs, all are believed. Default: one in the data folder.",
    ),
]
BlobSecrets = Annotated[
    list[Path] | None,
    typer.Option(
        "--blob-secret-file",
        metavar="FILE",
        envvar="DREAMGRID_BLOB_SECRET_FILE",
        help="The same for links to files in the data folder.",
    ),
]
Admins = Annotated[
    list[str] | None,
    typer.Option(
        "--admin",
        metavar="NAME",
        envvar="DREAMGRID_ADMIN",
        help="Account that may administer the grid, besides you; may be given several times.",
    ),
]
Blobs = Annotated[
    str | None,
    typer.Option(
        "--blobs",
        metavar="s3://BUCKET",
        envvar="DREAMGRID_BLOBS",
        help="S3-compatible store for inputs and results, such as "
        "'s3://media?endpoint=https://s3.example.org'. Default: the data folder.",
    ),
]
Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="postgresql://...",
        envvar="DREAMGRID_STORE",
        help="PostgreSQL database for everything but media and secrets. Default: the data folder.",
    ),
]
Node = Annotated[
    str | None,
    typer.Option(
        "--node",
        metavar="HOST:PORT",
        envvar="DREAMGRID_NODE",
        help="Be one of several nodes of a grid: the others reach this one there. "
        "Needs --store and --blobs.",
    ),
]
Bus = Annotated[
    str | None,
    typer.Option(
        "--bus",
        metavar="nats://...",
        envvar="DREAMGRID_BUS",
        help="NATS server through which nodes hear of each other at once. Default: they look twice "
        "a second.",
    ),
]
FilterAlways = Annotated[
    bool,
    typer.Option(
        "--filter-always",
        envvar="DREAMGRID_FILTER_ALWAYS",
        help="Refuse apps that want the content filter off.",
    ),
]
FilterThreshold = Annotated[
    float | None,
    typer.Option(
        "--filter-threshold",
        min=0.0,
        max=1.0,
        envvar="DREAMGRID_FILTER_THRESHOLD",
        help="Score from which the content filter objects to a picture; lower is stricter.",
    ),
]
SoundFont = Annotated[
    Path | None,
    typer.Option(
        "--sound-font",
        envvar="DREAMGRID_SOUND_FONT",
        help="SoundFont 2 file (SF2) with whose instruments the worker plays music.",
    ),
]
WorkerShare = Annotated[
    int,
    typer.Option(
        "--worker-share",
        min=0,
        max=1_000,
        metavar="PERMILLE",
        envvar="DREAMGRID_WORKER_SHARE",
        help="Thousandths of a job's price that the owner of its worker earns.",
    ),
]
PriceFast = Annotated[
    int,
    typer.Option(
        "--price-fast",
        min=1,
        max=1_000_000,
        metavar="PERMILLE",
        envvar="DREAMGRID_PRICE_FAST",
        help="Thousandths of the catalogue's prices that the network fast charges.",
    ),
]
PriceRelaxed = Annotated[
    int,
    typer.Option(
        "--price-relaxed",
        min=1,
        max=1_000_000,
        metavar="PERMILLE",
        envvar="DREAMGRID_PRICE_RELAXED",
        help="Thousandths of the catalogue's prices that the network relaxed charges.",
    ),
]
SignupChoice = Literal["open", "closed", "local"]
Signup = Annotated[
    SignupChoice,
    typer.Option(
        "--signup",
        envvar="DREAMGRID_SIGNUP",
        help="Who may make accounts: everybody, nobody, or this machine's programs and pages, "
        "as long as only this machine can connect.",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print JSON lines for programs, and nothing else.")
]
_WHO = "Who renders it"

Network = Annotated[
    Literal["fast", "relaxed"] | None,
    typer.Option(
        "--network",
        help="Pool of workers, with prices of its own. Default: fast.",
        rich_help_panel=_WHO,
    ),
]
Workers = Annotated[
    str | None,
    typer.Option(
        "--workers",
        metavar="NAME,...",
        help="Only these may render it: names of workers, of their owners, or ids.",
        rich_help_panel=_WHO,
    ),
]
PreferredWorkers = Annotated[
    str | None,
    typer.Option(
        "--preferred-workers",
        metavar="NAME,...",
        help="These are asked first.",
        rich_help_panel=_WHO,
    ),
]
SkipWorkers = Annotated[
    str | None,
    typer.Option(
        "--skip-workers",
        metavar="NAME,...",
        help="These never get it.",
        rich_help_panel=_WHO,
    ),
]

# What to make: `generate`, `video`, `music`, `speak` and `estimate` share these.

Model = Annotated[
    str | None,
    typer.Option(
        "--model", help="Id of a model; see 'dreamgrid models'. Default: the first that is there."
    ),
]
Count = Annotated[int, typer.Option("--count", "-n", help="How many; each is paid.")]
Size = Annotated[
    str | None,
    typer.Option(
        "--size",
        metavar="WxH|PRESET",
        help="Pixels, such as 512x512, or a name that 'dreamgrid presets MODEL' lists. "
        "Default: the model's.",
    ),
]
Steps = Annotated[
    int | None,
    typer.Option("--steps", help="More is slower, finer and dearer. Default: the model's."),
]
Guidance = Annotated[
    float | None,
    typer.Option("--guidance", help="How closely to follow the words. Default: the model's."),
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed", help="0 to 4294967295; the same seed makes the same again. Default: a random one."
    ),
]
Negative = Annotated[
    str, typer.Option("--negative", help="Words for what to avoid.", show_default=False)
]
Style = Annotated[
    str, typer.Option("--style", help="Words that are added to the prompt.", show_default=False)
]
Duration = Annotated[
    float | None,
    typer.Option("--duration", metavar="SECONDS", help="How long it is. Default: the model's."),
]
Loras = Annotated[
    list[str] | None,
    typer.Option(
        "--lora", metavar="ID[:STRENGTH]", help="A LoRA to apply; may be given several times."
    ),
]
Unfiltered = Annotated[
    bool, typer.Option("--unfiltered", help="Also deliver what the content filter objects to.")
]
MaxCost = Annotated[
    float | None,
    typer.Option(
        "--max-cost",
        metavar="TOKENS",
        help="Ask for the price first; make nothing if it is higher.",
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to save in.")]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout", min=0.0, metavar="SECONDS", help="Cancel if it takes longer. 0: never."
    ),
]


def targeting(
    workers: str | None, preferred: str | None, skipped: str | None
) -> dict[str, list[str] | None]:
    """The settings that `--workers` and the two like it stand for."""
    return {
        "workers": _names(workers),
        "preferred_workers": _names(preferred),
        "skip_workers": _names(skipped),
    }


def _names(flag: str | None) -> list[str] | None:
    """The names that a flag lists with commas between them."""
    return None if flag is None else [name.strip() for name in flag.split(",")]
