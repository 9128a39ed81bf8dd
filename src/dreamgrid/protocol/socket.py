"""Messages between an app and the server, one struct each; names as in `socket.md`.

`jobID` on the wire is a project and `imgID` is one render of it, a job.
"""

from typing import Annotated, Any, ClassVar

import msgspec

from dreamgrid.errors import ProtocolError
from dreamgrid.protocol.codec import Message
from dreamgrid.protocol.params import Network
from dreamgrid.protocol.rest_explain import Standing, WaitsFor

CLOSE_REPLACED = 4015
"""A newer connection of the same account and app took over. Clients do not reconnect."""

CLOSE_BLOCKED = 4010
"""The app id is blocked. Clients sign out and do not reconnect."""

CLOSE_AUTHENTICATION = 4021
"""The credential is wrong. Clients sign out and do not reconnect."""

CLOSE_NOT_ALLOWED = 4403
"""The key is valid, but may not do this. Another key can; this one must not come back."""

CLOSE_PROTOCOL = 4400
"""The worker speaks another protocol version. It must be updated."""

CLOSE_TRY_AGAIN = 1013
"""Too much for now. Clients and workers take it for a lost network and connect again."""

CLOSE_RESTART = 1001
"""The server is going away; clients and workers reconnect."""


# ── client to server ─────────────────────────────────────────────────────────────────────────────


class CancelRequest(Message, frozen=True, kw_only=True):
    """Client to server, envelope type `jobError`: cancel a project."""

    message_type: ClassVar[str] = "jobError"

    project_id: str = msgspec.field(name="jobID")
    error: str = "artistCanceled"
    error_message: str = "artistCanceled"
    is_from_worker: bool = msgspec.field(default=False, name="isFromWorker")


class ChatRequest(Message, frozen=True, kw_only=True):
    """Client to server: a chat. No grid of this kind has one; what matters is whom to tell."""

    message_type: ClassVar[str] = "llmJobRequest"

    chat_id: str = msgspec.field(name="jobID")


CHANGE_NETWORK = "changeNetwork"
"""Client to server: the payload is a bare JSON string. Server to client: `ChangeNetwork`."""

OPT_IN_EVENTS = frozenset({"projectQueue", "appAlert", "subscriptionLimitNotice"})
"""Events that an app gets only when it asks for them; it gets all others unless it objects."""

MODEL_AVAILABILITY = "modelAvailability"
"""A group of events: `SWARM_MODELS`, and its relative for language models."""

SET_SUBSCRIPTIONS = "setSocketEventSubscriptions"


MAX_SWITCHES = 100
"""Most events that one app may switch; there are about twenty."""

EventName = Annotated[str, msgspec.Meta(max_length=64)]
EventNames = EventName | Annotated[list[EventName], msgspec.Meta(max_length=MAX_SWITCHES)]
Switches = Annotated[dict[EventName, bool], msgspec.Meta(max_length=MAX_SWITCHES)]


class SubscriptionChange(msgspec.Struct, frozen=True, kw_only=True):
    """Payload of `SET_SUBSCRIPTIONS`: any subset of ways to switch events on and off."""

    reset: bool = False
    subscriptions: Switches = {}
    subscribe: EventNames = ""
    unsubscribe: EventNames = ""
    event: EventName = ""
    enabled: bool = True

    def applied_to(self, switches: dict[str, bool]) -> dict[str, bool]:
        """The switches afterwards; applied in the order of the fields.

        Raises:
            ProtocolError: They are more than `MAX_SWITCHES`.
        """
        changed = {} if self.reset else dict(switches)
        changed.update(self.subscriptions)
        changed.update(dict.fromkeys(_names(self.subscribe), True))
        changed.update(dict.fromkeys(_names(self.unsubscribe), False))
        if self.event:
            changed[self.event] = self.enabled
        if len(changed) > MAX_SWITCHES:
            raise ProtocolError(f"at most {MAX_SWITCHES} events can be switched; begin with reset")
        return changed


def _names(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value] if value else []


# ── server to client: connection ─────────────────────────────────────────────────────────────────


class TokenBalance(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Decimal strings; `net` is what can be spent."""

    settled: str
    credit: str
    debit: str
    net: str
    premium_credit: str | None = None
    relaxed_unclaimed: str | None = None
    fast_unclaimed: str | None = None


class BalanceUpdate(Message, frozen=True, kw_only=True):
    """After `authenticated` and after every change of a balance. Replaces the client's."""

    message_type: ClassVar[str] = "balanceUpdate"

    sogni: TokenBalance
    spark: TokenBalance


class Entitlement(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """No subscription; present so that clients do not ask for it separately."""

    active: bool = False
    trialing: bool = False
    trial_capped: bool = False
    subscription: None = None


class Authenticated(Message, frozen=True, kw_only=True, rename="camel"):
    """First frame of every connection; clients hold their requests back until it arrives."""

    message_type: ClassVar[str] = "authenticated"

    id: str
    username: str
    address: str
    client_type: str = "artist"
    sid: int = msgspec.field(default=1, name="SID")
    client_sid: int = msgspec.field(default=1, name="clientSID")
    address_sid: int = msgspec.field(default=1, name="addressSID")
    balance_version: int = 2
    active_projects: tuple[Any, ...] = ()
    unclaimed_completed_projects: tuple[Any, ...] = ()
    subscription_entitlement: Entitlement = Entitlement()
    is_mainnet: bool = True
    account_was_migrated: bool = False
    has_unclaimed_airdrop: bool = False
    first_login_after_migration: bool = False


SWARM_MODELS = "swarmModels"
"""Payload: model id to number of workers, for the connection's network."""


class ChangeNetwork(Message, frozen=True, kw_only=True):
    """Answer to a network change. Clears the client's list of models."""

    message_type: ClassVar[str] = CHANGE_NETWORK

    network: Network


class SubscriptionsUpdated(Message, frozen=True, kw_only=True):
    """Answer to a change of event subscriptions: every event, and whether this app gets it.

    Clients keep the map, and send it again when they connect the next time.
    """

    message_type: ClassVar[str] = "socketEventSubscriptionsUpdated"

    subscriptions: dict[str, bool] = msgspec.field(name="socketEventSubscriptions")


class Toast(Message, frozen=True, kw_only=True, rename="camel"):
    """A short notice for the app's user; changes no state.

    Attributes:
        auto_close: Milliseconds for which it is shown.
        retry_after: Seconds to wait before sending more, where that is what it is about.
    """

    message_type: ClassVar[str] = "toastMessage"

    type: str
    message: str
    auto_close: int = 10_000
    retry_after: float | msgspec.UnsetType = msgspec.UNSET


# ── server to client: projects ───────────────────────────────────────────────────────────────────


class WaitingReason(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Why something waits: one of the words below, and a sentence of 1 to 600 characters.

    `state` and `waits_for` are ours, as in `GET /v1/explain`: whether it can run now, waits, or
    never can, and what it waits for.
    """

    reason: str
    message: str
    state: Standing | None = None
    waits_for: WaitsFor | None = None


WAITS_NO_WORKERS = "no_workers"
WAITS_CONCURRENCY_LIMIT = "concurrency_limit"
WAITS_QUEUED = "queued"


class JobWaitingReason(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Why one render waits."""

    job_index: int
    job_id: str = msgspec.field(name="imgID")
    waiting_reason: WaitingReason


class ProjectQueue(Message, frozen=True, kw_only=True, rename="camel"):
    """Why a project waits, for apps that subscribed to this event.

    `waiting_reason` is None and the list is empty when nothing of it waits any more. The list is
    always complete.
    """

    message_type: ClassVar[str] = "projectQueue"

    project_id: str = msgspec.field(name="jobID")
    waiting_reason: WaitingReason | None
    job_waiting_reasons: tuple[JobWaitingReason, ...] = ()


class JobState(Message, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A project, or one render of it, moved. Which fields are set depends on `type`.

    queued: `queue_position` (1 = next), `estimated_start_s`, `queue_status`, and why it waits. Of
    ours are `earliest_start_s` and `latest_start_s`: in eight of ten cases it starts between them.
    initiatingModel, jobStarted: `job_id`, `worker_name`, `job_index`; the two prompts when a
    dynamic prompt gave this render a text of its own. `assignment` is a word of ours: how often
    the render has been given to a worker. It tells news from what was known before a connection
    was lost.
    jobCompleted: the whole project is done.
    """

    message_type: ClassVar[str] = "jobState"

    type: str
    project_id: str = msgspec.field(name="jobID")
    job_id: str | None = msgspec.field(default=None, name="imgID")
    queue_position: int | None = None
    estimated_start_s: float | None = msgspec.field(default=None, name="estimatedStartSeconds")
    earliest_start_s: float | None = msgspec.field(default=None, name="earliestStartSeconds")
    latest_start_s: float | None = msgspec.field(default=None, name="latestStartSeconds")
    queue_status: str | None = None
    waiting_reason: WaitingReason | None = None
    job_waiting_reasons: tuple[JobWaitingReason, ...] = ()
    worker_name: str | None = None
    job_index: int | None = None
    assignment: int | None = None
    positive_prompt: str | None = None
    negative_prompt: str | None = None


QUEUED = "queued"
INITIATING = "initiatingModel"
STARTED = "jobStarted"
PROJECT_COMPLETED = "jobCompleted"

WAITING = "waiting"
NO_WORKERS = "no-workers"


class JobProgress(Message, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Steps of one render. Clients read `step` and `stepCount` without a guard: always sent.

    `assignment` is a word of ours, as in `JobState`.
    """

    message_type: ClassVar[str] = "jobProgress"

    project_id: str = msgspec.field(name="jobID")
    job_id: str = msgspec.field(name="imgID")
    step: int
    step_count: int
    has_image: bool
    eta_s: float | None = msgspec.field(default=None, name="etaSeconds")
    assignment: int | None = None


class JobEta(Message, frozen=True, kw_only=True):
    """How many seconds a render will still take. Clients grant it time by that."""

    message_type: ClassVar[str] = "jobETA"

    project_id: str = msgspec.field(name="jobID")
    job_id: str = msgspec.field(name="imgID")
    eta_s: float = msgspec.field(name="etaSeconds")


class JobResult(Message, frozen=True, kw_only=True, rename="camel"):
    """One render is finished. Exactly one per render that did not fail.

    Its file can be fetched, unless `triggered_nsfw_filter`: then it is withheld. `nsfw_detected`
    labels one that is delivered although the content filter objects, and `nsfw_sources` says to
    what it objects.
    """

    message_type: ClassVar[str] = "jobResult"

    project_id: str = msgspec.field(name="jobID")
    job_id: str = msgspec.field(name="imgID")
    performed_step_count: int
    last_seed: str
    user_canceled: bool = False
    triggered_nsfw_filter: bool = msgspec.field(default=False, name="triggeredNSFWFilter")
    nsfw_detected: bool = False
    nsfw_sources: tuple[str, ...] = ()
    result_url: str | None = None
    last_frame_url: str | None = None
    output_format: str | None = None
    sha256: str | None = None


class JobError(Message, frozen=True, kw_only=True, omit_defaults=True):
    """A render (with `job_id`) or the whole project (without) failed.

    `retry_after` is set where a project was refused for now: seconds after which it is welcome.
    """

    message_type: ClassVar[str] = "jobError"

    project_id: str = msgspec.field(name="jobID")
    job_id: str | None = msgspec.field(default=None, name="imgID")
    is_from_worker: bool = msgspec.field(name="isFromWorker")
    error: int | str
    error_message: str
    retry_after: float | None = msgspec.field(default=None, name="retryAfter")


class ChatError(Message, frozen=True, kw_only=True):
    """A chat cannot be had; clients would wait for it for minutes.

    Attributes:
        error: What went wrong, for programs.
        error_code: The same as a number, as in `failures`; here it is written as a string.
        error_message: The same for people.
    """

    message_type: ClassVar[str] = "llmJobError"

    chat_id: str = msgspec.field(name="jobID")
    error: str = "notSupported"
    error_code: str
    error_message: str
    is_from_worker: bool = msgspec.field(default=False, name="isFromWorker")


class JobRetry(Message, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One attempt was lost; the render is queued again under the same id.

    `attempt` of `max_attempts` counts those that failed; what a worker hands back in good order did
    not fail. `assignment` is a word of ours and counts all, as in `JobState`.
    """

    message_type: ClassVar[str] = "jobRetry"

    project_id: str = msgspec.field(name="jobID")
    job_id: str = msgspec.field(name="imgID")
    job_index: int
    attempt: int
    max_attempts: int
    is_from_worker: bool
    error: str
    error_message: str = msgspec.field(name="error_message")
    assignment: int | None = None


class CancelConfirmation(Message, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Answer to a cancel, on the same socket."""

    message_type: ClassVar[str] = "artistCancelConfirmation"

    project_id: str = msgspec.field(name="jobID")
    did_cancel: bool
    error_message: str | None = msgspec.field(default=None, name="error_message")
