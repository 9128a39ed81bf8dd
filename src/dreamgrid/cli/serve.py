"""`dreamgrid serve`: the server alone; workers come from elsewhere."""

from dreamgrid.cli import options
from dreamgrid.cli.up import PORT


def serve(
    host: options.Host = "127.0.0.1",
    port: options.Port = PORT,
    data: options.Data = None,
    catalog: options.Catalog = None,
    store: options.Store = None,
    blobs: options.Blobs = None,
    node: options.Node = None,
    bus: options.Bus = None,
    public_url: options.PublicUrl = None,
    tls_cert: options.TlsCertificate = None,
    tls_key: options.TlsKey = None,
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
    as_json: options.Json = False,
) -> None:
    """Run a server without a worker. Workers join it with 'dreamgrid work', from any machine.

    For example:

    - `dreamgrid serve --host 0.0.0.0`
    - `dreamgrid serve --public-url https://grid.example.org --catalog my-models.json`
    - `dreamgrid serve --json --port 0 --data ./grid`
    - `dreamgrid serve --host 0.0.0.0 --port 443 --tls-cert grid.pem --tls-key grid.key
      --public-url https://grid.example.org`
    - `dreamgrid serve --store postgresql://... --blobs s3://... --node 10.0.0.5:8771`
    """
    from dreamgrid.cli import foreground  # noqa: PLC0415 (loads the whole server)

    foreground.serve_grid(
        host=host,
        port=port,
        data=data,
        catalog=catalog,
        store=store,
        blobs=blobs,
        node=node,
        bus=bus,
        public_url=public_url,
        tls_cert=tls_cert,
        tls_key=tls_key,
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
        worker=False,
        as_json=as_json,
    )
