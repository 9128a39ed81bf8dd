"""Every setting of the server: meaning, unit, default. Read once in `cli`, passed down, frozen."""

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from dreamgrid.errors import ConfigError
from dreamgrid.protocol.assets import MEDIA_ROLES
from dreamgrid.protocol.params import MAX_INPUT_BYTES, MAX_MEDIA_INPUT_BYTES, Network, TokenType
from dreamgrid.server.addresses import Networks
from dreamgrid.server.blobs.s3_settings import S3Settings

MICROS = 1_000_000
"""Micro-units in one token."""

_ORIGIN = re.compile(r"https?://[^/?#@\s]+")

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Hosts that only this machine can reach."""


@dataclass(frozen=True)
class Rate:
    """How fast something may be done.

    Attributes:
        per_s: In the long run; times a second.
        burst: At once, after a while of rest. 0: no limit at all.
    """

    per_s: float
    burst: float

    @property
    def unlimited(self) -> bool:
        """Whether there is no limit."""
        return self.burst <= 0


NO_LIMIT = Rate(0, 0)


@dataclass(frozen=True, kw_only=True)
class TlsFiles:
    """The files with which a server speaks TLS itself.

    Attributes:
        certificate: PEM file of its certificate and those between it and its authority.
        key: PEM file of its private key, without a password.
    """

    certificate: Path
    key: Path


@dataclass(frozen=True, kw_only=True)
class NodeSettings:
    """What makes a server one of several nodes of a grid.

    Attributes:
        address: HOST:PORT under which the other nodes reach this one. It listens there while it
            coordinates, for them alone: not to be reached from the internet.
        bus: Address of a NATS server, so that nodes hear of each other at once. None: they look
            twice a second.
        relay_secret: What nodes know and nobody else; they share it through the database.
    """

    address: str
    bus: str | None = field(default=None, repr=False)  # a password may be in it
    relay_secret: str = field(default="", repr=False)

    @property
    def host_and_port(self) -> tuple[str, int]:
        """The two parts of the address.

        Raises:
            ConfigError: It has other ones.
        """
        host, _, port = self.address.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) <= 65535:
            raise ConfigError(
                f"the node's address '{self.address}' must be HOST:PORT, as the other nodes reach "
                "it: 10.0.0.5:8771"
            )
        return host.strip("[]"), int(port)


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """Settings of one server.

    Attributes:
        data_dir: Folder that holds the database, the media and the signing secret.
        store: Address of the PostgreSQL database that holds everything but media and secrets. None:
            a file in the data folder.
        blobs: The S3-compatible store that holds the media instead. None: the folder does.
        node: Makes this server one of several. None: it is alone.
        host: Address to listen on. Loopback unless you mean others to connect.
        port: TCP port; 0 picks a free one.
        public_url: How apps and workers reach this server, such as https://grid.example.org.
            None: as each of them addressed it.
        tls: Speak HTTPS and WSS instead of HTTP and WebSocket. None: whoever is in front does.
        catalog_files: JSON files with models, tiers and size presets, added to the built-in ones.
        default_token_type: Currency of projects that name none.
        admins: Names of accounts that may administer the grid, besides whoever started it.
        starting_grant_micros: What a new account receives, in micro-units of each currency.
        worker_share_permille: Thousandths of a delivered job's price that the owner of its worker
            earns; the house keeps the rest. All of it unless told otherwise: what apps pay goes to
            those who render.
        fast_permille: Thousandths of the catalogue's prices that the network `fast` charges.
        relaxed_permille: The same for the network `relaxed`, where workers may be slower.
        filter_always: Whether the content filter cannot be turned off: apps that ask for it are
            refused.
        charge_withheld: Whether media that the content filter withholds are charged, and earned,
            as if they were delivered.
        lease_s: A job is given to another worker when its worker was silent for this long.
        heartbeat_s: How often workers report; several fit into one lease.
        max_attempts: How many workers may fail at one job, or vanish in the middle of it, before it
            fails. Interruptions, such as a worker that is shut down, do not count.
        run_factor: A render may take this many times what it usually takes on its worker, as
            measured; then it is taken away. A worker that lives but never ends keeps no job.
        min_run_s: What every render may take, however fast it usually is.
        max_run_s: What a render may take at most, loading the model included, and what it may take
            where nothing was measured yet. A tier of the catalogue may say otherwise.
        max_queue_s: A job that no worker took for this long fails. 0: it waits as long as it takes.
        max_count: Most pictures in one project.
        max_video_count: Most videos in one project.
        max_audio_count: Most pieces of music or speech in one project.
        max_prompt_chars: Longest prompt, style and negative prompt counted separately.
        max_queued_projects: Most unfinished projects of one account.
        max_running_jobs: Most jobs of one account that workers hold at once; the others wait.
        worker_known_s: How long a worker that left is remembered: projects that only it can render
            wait for it, instead of being refused.
        max_image_bytes: Largest input image.
        max_media_bytes: Largest input sound or video.
        max_result_bytes: Largest result.
        upload_url_s: How long an upload URL is valid.
        render_url_s: How long a worker may take from an assignment to its last upload.
        download_url_s: How long a download URL is valid.
        media_kept_s: How long inputs and results are kept.
        signup: Whether strangers may make accounts: `open` or `closed`. None: open as long as only
            this machine can connect, and to programs and pages of this machine only.
        access_token_s: How long an access token is valid; clients renew it by themselves.
        refresh_token_s: How long a sign-in lasts after its last use.
        guesses_per_minute: Failed sign-ins from one address before it has to wait. 0: no limit.
        signups_per_hour: New accounts from one address. 0: no limit.
        max_connections: Most open connections of one address, of whatever kind; this machine and
            trusted proxies have no limit. 0: nobody has one.
        max_apps: Most connected apps of one account. 0: no limit.
        max_workers: Most connected workers of one account. 0: no limit.
        max_streams: Most open event streams of one account, and requests of the OpenAI API that
            wait for pictures or speech. 0: no limit.
        requests: HTTP requests of one account, and openings of its sockets.
        stranger_requests: The same without a credential, from one address.
        messages: Messages of one account's apps. Faster ones wait; none is lost.
        worker_messages: Messages of one worker. Faster ones wait; none is lost.
        max_keys: Most API keys of one account.
        max_webhooks: Most webhooks of one account.
        webhook_retry_s: How long an event that a webhook does not accept is sent again.
        webhook_private_addresses: Whether webhooks may lead to this machine and to private
            networks. None: as long as only this machine can connect.
        max_unclaimed_uploads: Most inputs of one account that no project has claimed yet.
        max_unclaimed_bytes: Their size together.
        max_kept_bytes: Most bytes of results, and inputs of theirs, that are kept for one account
            before it may send no more projects. 0: no limit.
        unclaimed_kept_s: How long an input waits for its project after its link was given.
        web_origins: Origins of web apps on other hosts that may use the cookie of this server's
            sign-in, such as https://app.example.org. Pages on the server's own host always may.
        trusted_proxies: Addresses or networks of reverse proxies, whose X-Forwarded-For is
            believed.
        token_secret_files: Files of the secrets that sign sign-ins, the newest first. Empty: one
            that the server makes in its data folder.
        blob_secret_files: The same for links to files in the data folder.
        history_kept_s: How long records of ended projects are kept; the ledger keeps its entries.
        queue_notice_s: How often a waiting project is told its position, changed or not.
    """

    data_dir: Path
    store: str | None = field(default=None, repr=False)  # its password is in it
    blobs: S3Settings | None = None
    node: NodeSettings | None = None
    host: str = "127.0.0.1"
    port: int = 8770
    public_url: str | None = None
    tls: TlsFiles | None = None
    catalog_files: tuple[Path, ...] = ()
    default_token_type: TokenType = "spark"
    admins: tuple[str, ...] = ()
    starting_grant_micros: int = 1_000 * MICROS
    worker_share_permille: int = 1_000
    fast_permille: int = 1_000
    relaxed_permille: int = 500
    filter_always: bool = False
    charge_withheld: bool = False
    lease_s: float = 30.0
    heartbeat_s: float = 5.0
    max_attempts: int = 3
    run_factor: float = 10.0
    min_run_s: float = 180.0
    max_run_s: float = 2 * 60 * 60.0
    max_queue_s: float = 0.0
    max_count: int = 16
    max_video_count: int = 4
    max_audio_count: int = 4
    max_prompt_chars: int = 4_000
    max_queued_projects: int = 500
    max_running_jobs: int = 256
    worker_known_s: int = 7 * 24 * 60 * 60
    max_image_bytes: int = MAX_INPUT_BYTES
    max_media_bytes: int = MAX_MEDIA_INPUT_BYTES
    max_result_bytes: int = 256 * 1024 * 1024
    upload_url_s: int = 15 * 60
    render_url_s: int = 24 * 60 * 60
    download_url_s: int = 60 * 60
    media_kept_s: int = 24 * 60 * 60
    signup: Literal["open", "closed"] | None = None
    access_token_s: int = 2 * 60 * 60
    refresh_token_s: int = 30 * 24 * 60 * 60
    guesses_per_minute: int = 20
    signups_per_hour: int = 100
    max_connections: int = 2_000
    max_apps: int = 200
    max_workers: int = 2_000
    max_streams: int = 200
    requests: Rate = Rate(200, burst=2_000)
    stranger_requests: Rate = Rate(50, burst=1_000)
    messages: Rate = Rate(500, burst=5_000)
    worker_messages: Rate = Rate(1_000, burst=10_000)
    max_keys: int = 100
    max_webhooks: int = 20
    webhook_retry_s: int = 3 * 24 * 60 * 60
    webhook_private_addresses: bool | None = None
    max_unclaimed_uploads: int = 1_000
    max_unclaimed_bytes: int = 2 * 1024 * 1024 * 1024
    max_kept_bytes: int = 50 * 1024 * 1024 * 1024
    unclaimed_kept_s: int = 60 * 60
    web_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    token_secret_files: tuple[Path, ...] = ()
    blob_secret_files: tuple[Path, ...] = ()
    history_kept_s: int = 7 * 24 * 60 * 60
    queue_notice_s: float = 20.0

    @cached_property
    def proxies(self) -> Networks:
        """The reverse proxies that are believed."""
        return Networks(self.trusted_proxies)

    @property
    def signup_open(self) -> bool:
        """Whether strangers may make accounts."""
        if self.signup is None:
            return self.host in LOOPBACK
        return self.signup == "open"

    @property
    def webhooks_reach_private(self) -> bool:
        """Whether webhooks may lead to this machine and to private networks."""
        if self.webhook_private_addresses is None:
            return self.host in LOOPBACK
        return self.webhook_private_addresses

    def max_input_bytes(self, role: str) -> int:
        """Largest input in a role."""
        return self.max_media_bytes if role in MEDIA_ROLES else self.max_image_bytes

    def validate(self) -> None:
        """Checks the settings against each other.

        Raises:
            ConfigError: Two settings contradict each other, or one is out of range.
        """
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port {self.port} is not between 0 and 65535")
        if self.heartbeat_s * 2 > self.lease_s:
            raise ConfigError(
                f"heartbeat_s ({self.heartbeat_s}) must fit at least twice into "
                f"lease_s ({self.lease_s})"
            )
        self._check_node()
        self._check_times()
        self._check_uploads()
        self._check_money_and_news()
        for rate in (self.requests, self.stranger_requests, self.messages, self.worker_messages):
            if not rate.unlimited and (rate.burst < 1 or rate.per_s <= 0):
                raise ConfigError(f"{rate} lets nothing through; NO_LIMIT means no limit")
        _ = self.proxies
        for origin in self.web_origins:
            if not _ORIGIN.fullmatch(origin):
                raise ConfigError(
                    f"web origin '{origin}' must be as browsers write it: https://app.example.org"
                )
        if self.max_running_jobs < 1 or self.worker_known_s < 0:
            raise ConfigError("max_running_jobs must be at least 1, and worker_known_s at least 0")
        if self.public_url is not None and not self.public_url.startswith(("http://", "https://")):
            raise ConfigError(f"public_url '{self.public_url}' must begin with http:// or https://")

    @property
    def network_permille(self) -> dict[Network, int]:
        """Thousandths of the catalogue's prices that each network charges."""
        return {"fast": self.fast_permille, "relaxed": self.relaxed_permille}

    def _check_node(self) -> None:
        if self.node is None:
            return
        self.node.host_and_port  # noqa: B018 (raises)
        if self.store is None or self.blobs is None:
            raise ConfigError(
                "several nodes need a database and a media store that all of them reach: "
                "--store postgresql://... and --blobs s3://..."
            )
        if self.tls is not None and self.public_url is None:
            raise ConfigError(
                "nodes that speak TLS need --public-url: the one that coordinates does not see how "
                "apps reach the others"
            )

    def _check_times(self) -> None:
        if self.run_factor < 1 or not 0 < self.min_run_s <= self.max_run_s:
            raise ConfigError(
                f"run_factor ({self.run_factor}) must be at least 1, and min_run_s "
                f"({self.min_run_s}) above 0 and no more than max_run_s ({self.max_run_s})"
            )
        if self.max_queue_s < 0:
            raise ConfigError("max_queue_s must be at least 0, which means no limit")

    def _check_money_and_news(self) -> None:
        if not 0 <= self.worker_share_permille <= 1_000:
            raise ConfigError("worker_share_permille is between 0 (nothing) and 1000 (everything)")
        if not all(1 <= permille <= 1_000_000 for permille in self.network_permille.values()):
            raise ConfigError("fast_permille and relaxed_permille are between 1 and 1000000")
        if self.webhook_retry_s > self.history_kept_s:
            raise ConfigError(
                f"webhook_retry_s ({self.webhook_retry_s}) is longer than events are kept: "
                f"history_kept_s ({self.history_kept_s})"
            )

    def _check_uploads(self) -> None:
        if self.unclaimed_kept_s < self.upload_url_s:
            raise ConfigError(
                f"unclaimed_kept_s ({self.unclaimed_kept_s}) must be at least "
                f"upload_url_s ({self.upload_url_s})"
            )
        largest_bytes = max(self.max_image_bytes, self.max_media_bytes)
        if self.max_unclaimed_bytes < largest_bytes:
            raise ConfigError(
                f"max_unclaimed_bytes ({self.max_unclaimed_bytes}) must have room for one input "
                f"of {largest_bytes} bytes, the most that one may have"
            )
