"""Bodies of the HTTP endpoints, both hosts; paths and meanings as in `rest.md`.

REST host answers are wrapped as `{"status": "success", "data": ...}`; the socket host's are bare.
"""

from decimal import Decimal
from typing import Generic, TypeVar

import msgspec

from dreamgrid.protocol.params import TokenType
from dreamgrid.protocol.scopes import Scope
from dreamgrid.protocol.socket import JobWaitingReason, TokenBalance, WaitingReason

T = TypeVar("T")


class Success(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """The wrapper of every REST host answer."""

    status: str = "success"
    data: T


# ── catalogue ────────────────────────────────────────────────────────────────────────────────────


class SizeRange(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Sizes of pictures: both sides from `min` to `max` pixels, multiples of `step`.

    `width` and `height` are the default size.
    """

    width: int
    height: int
    min: int
    max: int
    step: int = 1
    max_pixels: int


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One model of `models/list`. The published clients read the first five fields only.

    Attributes:
        id: What requests name it by.
        name: What people read.
        sid: The short number that stands for it in the status endpoint.
        tier: Its limits, as `models/tiers` names them.
        media: `image`, `video`, `audio` or `model` (3D).
        inputs: Asset roles that it takes. Absent: the server does not say.
        required_inputs: Those of them that must be there.
        any_inputs: Those of them of which at least one must be there.
        control_nets: ControlNets that it can be steered by.
        output_formats: File types of its results, the default one first.
        size: Sizes of its pictures; those of videos stand in the tier.
        enhances: It is made to make pictures finer.
    """

    id: str
    name: str
    sid: int = msgspec.field(name="SID")
    tier: str
    media: str
    inputs: tuple[str, ...] | None = None
    required_inputs: tuple[str, ...] = ()
    any_inputs: tuple[str, ...] = ()
    control_nets: tuple[str, ...] = ()
    output_formats: tuple[str, ...] = ()
    size: SizeRange | None = None
    enhances: bool = False


class NumberRange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Allowed numbers of one setting, ends included."""

    min: float
    max: float
    default: float
    step: float | None = None
    decimals: int | None = None


class StringChoice(msgspec.Struct, frozen=True, kw_only=True):
    """Allowed names of one setting."""

    allowed: tuple[str, ...]
    default: str


class SizePreset(msgspec.Struct, frozen=True, kw_only=True):
    """A named size: pixels, `ratio` such as 16:9, `aspect` as a decimal string."""

    label: str
    id: str
    width: int
    height: int
    ratio: str
    aspect: str


# ── account ──────────────────────────────────────────────────────────────────────────────────────


class Me(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`GET /v1/account/me`. `administrator`: it may run the grid, by the endpoints for that."""

    username: str
    current_email: str = ""
    wallet_address: str = ""
    email_verified: bool = True
    requested_updated_email: str = ""
    discord_2fa: bool = msgspec.field(default=False, name="discord2FA")
    discord_linked: bool = False
    discord_server_member: bool = False
    discord_username: str = ""
    administrator: bool = False


class Balances(msgspec.Struct, frozen=True, kw_only=True):
    """`GET /v4/account/balance`."""

    sogni: TokenBalance
    spark: TokenBalance


class KeyInfo(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An API key as its owner sees it.

    Attributes:
        create_time: In milliseconds since 1970.
        key: The secret: shown once, at creation.
        scope: What it may do: `all`, `render` (submit projects, and look), `work` (run a worker) or
            `read` (look).
        max_per_day: Most of each currency that it may spend on a day in UTC; a decimal string.
            Absent: no cap.
        max_total: Most of each currency that it may ever spend. Absent: no cap.
    """

    id: str
    name: str
    prefix: str
    create_time: int
    scope: Scope
    key: str | None = None
    max_per_day: str | None = None
    max_total: str | None = None


class KeyList(msgspec.Struct, frozen=True, kw_only=True):
    """`GET /v1/account/keys`."""

    keys: tuple[KeyInfo, ...]


class NewKey(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Body of `POST /v1/account/keys`; the attributes mean the same as in `KeyInfo`."""

    name: str = ""
    scope: Scope = "all"
    max_per_day: Decimal | None = None
    max_total: Decimal | None = None


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """Body of `POST /v1/admin/grants`; `amount` in tokens, `reason` for the trail."""

    username: str
    amount: Decimal
    token_type: TokenType = "spark"
    reason: str = ""


# ── files ────────────────────────────────────────────────────────────────────────────────────────


class UploadUrl(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where the file goes: by PUT, as raw bytes, without a credential."""

    upload_url: str


class DownloadUrl(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where the file is: by GET or HEAD, ranges too, without a credential."""

    download_url: str


# ── projects ─────────────────────────────────────────────────────────────────────────────────────


class WorkerInfo(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Who rendered a job: a worker's name, not its owner's account."""

    id: str = ""
    name: str = ""
    username: str = ""
    address: str = ""
    client_sid: int = msgspec.field(default=0, name="clientSID")
    address_sid: int = msgspec.field(default=0, name="addressSID")


class ArtistInfo(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Who asked for a project."""

    id: str = ""
    client_sid: int = msgspec.field(default=0, name="clientSID")
    address: str = ""
    address_sid: int = msgspec.field(default=0, name="addressSID")
    username: str = ""
    name: str = ""


class ActualCost(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was charged; decimal strings."""

    cost_in_render_sec: str = "0"
    cost_in_usd: str = msgspec.field(default="0", name="costInUSD")
    cost_in_token: str = "0"
    calculated_step_count: int = 0


class ExpectedCost(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was reserved; decimal strings."""

    cost_in_usd: str = msgspec.field(default="0", name="costInUSD")
    cost_in_token: str = "0"


class ExpectedCosts(msgspec.Struct, frozen=True, kw_only=True):
    """What one job and the whole project were expected to cost."""

    job: ExpectedCost = ExpectedCost()
    project: ExpectedCost = ExpectedCost()


class CostEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """What was expected when the project was accepted; no job is charged more."""

    rate: dict[str, str] = {}
    quote: ExpectedCosts = ExpectedCosts()


class JobRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One render in a project record. `id` is the project's; times are milliseconds."""

    id: str
    sid: str = msgspec.field(default="0", name="SID")
    job_id: str = msgspec.field(name="imgID")
    job_index: int
    worker: WorkerInfo
    status: str
    reason: str | None = None
    performed_steps: int = 0
    seed_used: int = -1
    triggered_nsfw_filter: bool = msgspec.field(default=False, name="triggeredNSFWFilter")
    nsfw_detected: bool = False
    nsfw_sources: tuple[str, ...] = ()
    create_time: int = 0
    start_time: int = 0
    update_time: int = 0
    end_time: int = 0
    cost_actual: ActualCost = ActualCost()
    network: str = "fast"
    tx_id: str = ""
    result_url: str | None = None
    output_format: str | None = None
    sha256: str | None = None


class ProjectModel(msgspec.Struct, frozen=True, kw_only=True):
    """The model in a project record."""

    id: str
    name: str = ""
    type: str = "image"
    sid: int = msgspec.field(default=0, name="SID")


class ProjectRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A project with its jobs; times are milliseconds.

    `v1/projects/:id` speaks raw statuses (`errored`, `cancelled`) and knows finished projects only;
    `v2` speaks the SDKs' words and adds `finished`. Jobs that ended are in `completed_jobs`; why
    others wait is told as in `ProjectQueue`. `message` says who canceled it, and why, where its app
    did not.
    """

    id: str
    sid: int = msgspec.field(default=0, name="SID")
    app_id: str = ""
    app_source: str = ""
    artist: ArtistInfo = ArtistInfo()
    model: ProjectModel
    model_type: str = "image"
    image_count: int
    step_count: int
    preview_count: int = 0
    has_guide_image: bool = False
    denoise_strength: str = "0"
    status: str
    finished: bool
    reason: str | None = None
    message: str | None = None
    waiting_reason: WaitingReason | None = None
    job_waiting_reasons: tuple[JobWaitingReason, ...] = ()
    network: str = "fast"
    token_type: str = "spark"
    billing_mode: str = "tokens"
    size_preset: str | None = None
    width: int = 0
    height: int = 0
    create_time: int = 0
    update_time: int = 0
    end_time: int = 0
    cost_estimate: CostEstimate = CostEstimate()
    cost_actual: ActualCost = ActualCost()
    tx_id: str = ""
    client_request_data: str | None = None
    worker_jobs: tuple[JobRecord, ...] = ()
    completed_jobs: tuple[JobRecord, ...] = msgspec.field(default=(), name="completedWorkerJobs")


class ProjectAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`GET /v1/projects/:id` and `/v2/projects/:id`."""

    project: ProjectRecord


class ActiveProjects(msgspec.Struct, frozen=True, kw_only=True):
    """`GET /api/v1/artist/projects/active`."""

    projects: tuple[dict[str, str], ...]


class ProjectSync(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`GET /api/v1/artist/projects/sync`; `server_time` in milliseconds."""

    active_projects: tuple[ProjectRecord, ...]
    unclaimed_completed_projects: tuple[ProjectRecord, ...]
    server_time: int
