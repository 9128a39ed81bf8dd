"""`dreamgrid up`: a whole grid on this machine, until Ctrl-C."""

from dreamgrid.cli import options

PORT = 8770


def up(
    host: options.Host = "127.0.0.1",
    port: options.Port = PORT,
    data: options.Data = None,
    catalog: options.Catalog = None,
    store: options.Store = None,
    blobs: options.Blobs = None,
    public_url: options.PublicUrl = None,
    web_origins: options.WebOrigins = None,
    trusted_proxies: options.TrustedProxies = None,
    token_secrets: options.TokenSecrets = None,
    blob_secrets: options.BlobSecrets = None,
    signup: options.Signup = "local",
    admins: options.Admins = None,
    worker_share: options.WorkerShare = 1_000,
    price_fast: options.PriceFast = 1_000,
    price_relaxed: options.PriceRelaxed = 500,
    filter_always: options.FilterAlways = False,
    filter_threshold: options.FilterThreshold = None,
    sound_font: options.SoundFont = None,
    threads: options.Threads = 0,
    as_json: options.Json = False,
) -> None:
    """Run a grid on this machine: a server, and a worker with the embedded engines.

    State lives in the data folder and survives restarts. While it runs, the other commands of this
    user find it by themselves. With --json the first line on stdout, printed when it is ready,
    holds url, api_key, account and models. Ctrl-C ends it.

    For example:

    - `dreamgrid up`
    - `dreamgrid up --host 0.0.0.0 --port 9000`
    - `dreamgrid up --json --port 0 --data ./grid`
    """
    from dreamgrid.cli import foreground  # noqa: PLC0415 (loads the whole server)

    foreground.serve_grid(
        host=host,
        port=port,
        data=data,
        catalog=catalog,
        store=store,
        blobs=blobs,
        public_url=public_url,
        web_origins=web_origins,
        trusted_proxies=trusted_proxies,
        token_secrets=token_secrets,
        blob_secrets=blob_secrets,
        signup=signup,
        admins=admins,
        worker_share=worker_share,
        price_fast=price_fast,
        price_relaxed=price_relaxed,
        filter_always=filter_always,
        filter_threshold=filter_threshold,
        sound_font=sound_font,
        threads=threads,
        worker=True,
        as_json=as_json,
    )
