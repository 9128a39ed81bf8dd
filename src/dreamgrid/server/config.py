"""Every setting of the server: meaning, unit, default. Read once in `cli`, passed down, frozen."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dreamgrid.errors import ConfigError
from dreamgrid.protocol.params import MAX_INPUT_BYTES, MAX_MEDIA_INPUT_BYTES, TokenType

MICROS = 1_000_000
"""Micro-units in one token."""

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Hosts that only this machine can reach."""


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """Settings of one server.

    Attributes:
        data_dir: Folder that holds the database, the media and the signing secret.
        host: Address to listen on. Loopback unless you mean others to connect.
        port: TCP port; 0 picks a free one.
        public_url: How apps and workers reach this server, such as https://grid.example.org.
            None: as each of them addressed it.
        catalog_files: JSON files with models, tiers and size presets, added to the built-in ones.
        default_token_type: Currency of projects that name none.
        starting_grant_micros: What a new account receives, in micro-units of each currency.
        lease_s: A job is given to another worker when its worker was silent for this long.
        heartbeat_s: How often workers report; several fit into one lease.
        max_attempts: How many workers may fail at one job before it fails.
        max_count: Most pictures in one project.
        max_video_count: Most videos in one project.
        max_audio_count: Most pieces of music or speech in one project.
        max_prompt_chars: Longest prompt, style and negative prompt counted separately.
        max_queued_projects: Most unfinished projects of one account.
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
        history_kept_s: How long records of ended projects are kept; the ledger keeps its entries.
        queue_notice_s: How often a waiting project is told its position, changed or not.
    """

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 8770
    public_url: str | None = None
    catalog_files: tuple[Path, ...] = ()
    default_token_type: TokenType = "spark"
    starting_grant_micros: int = 1_000 * MICROS
    lease_s: float = 30.0
    heartbeat_s: float = 5.0
    max_attempts: int = 3
    max_count: int = 16
    max_video_count: int = 4
    max_audio_count: int = 4
    max_prompt_chars: int = 4_000
    max_queued_projects: int = 500
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
    history_kept_s: int = 7 * 24 * 60 * 60
    queue_notice_s: float = 20.0

    @property
    def signup_open(self) -> bool:
        """Whether strangers may make accounts."""
        if self.signup is None:
            return self.host in LOOPBACK
        return self.signup == "open"

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
        if self.public_url is not None and not self.public_url.startswith(("http://", "https://")):
            raise ConfigError(f"public_url '{self.public_url}' must begin with http:// or https://")
