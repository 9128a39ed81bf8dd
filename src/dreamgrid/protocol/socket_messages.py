"""Every message of the app socket with an example: what the page about them is made from.

The messages themselves are in `socket` and `job_request`; a test sees to it that none is missing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dreamgrid.protocol import socket
from dreamgrid.protocol.codec import Message
from dreamgrid.protocol.job_request import JobRequest, KeyFrame
from dreamgrid.protocol.params import Network

_PROJECT = "44BABD98-2112-412D-91DA-B5429A1DF233"
_JOB = "0B7F9C1E-6B1F-4D0C-9A1B-1D5C0E6C7A11"
_ACCOUNT = "7F3A5C1E-1D2B-4E6F-8A90-5B4C3D2E1F00"

_QUEUED = socket.WaitingReason(
    reason=socket.WAITS_QUEUED, message="studio is busy; it is number 2 in line"
)


@dataclass(frozen=True, kw_only=True)
class SocketMessage:
    """One type of message in one direction.

    Attributes:
        direction: Who sends it.
        type: What stands in the envelope.
        payload: Type of what its `data` decodes to.
        examples: Payloads as they are sent.
        meaning: What it means, where the payload is no struct that says so.
    """

    direction: Literal["app", "server"]
    type: str
    payload: Any
    examples: tuple[Any, ...]
    meaning: str = ""


def _from_app(kind: type[Message], *examples: Message) -> SocketMessage:
    return SocketMessage(direction="app", type=kind.message_type, payload=kind, examples=examples)


def _to_app(kind: type[Message], *examples: Message) -> SocketMessage:
    return SocketMessage(
        direction="server", type=kind.message_type, payload=kind, examples=examples
    )


_BALANCE = socket.TokenBalance(settled="100.00", credit="0", debit="2.50", net="97.50")

FROM_APPS = (
    _from_app(
        JobRequest,
        JobRequest(
            project_id=_PROJECT,
            key_frames=[KeyFrame(model_id="dreamlet-v1", positive_prompt="a red apple", steps=20)],
            number_of_images=2,
            token_type="spark",
        ),
    ),
    _from_app(socket.CancelRequest, socket.CancelRequest(project_id=_PROJECT)),
    SocketMessage(
        direction="app",
        type=socket.CHANGE_NETWORK,
        payload=Network,
        examples=("relaxed",),
        meaning="Changes the default network of this connection. The payload is a bare text.",
    ),
    SocketMessage(
        direction="app",
        type=socket.SET_SUBSCRIPTIONS,
        payload=socket.SubscriptionChange,
        examples=({"unsubscribe": ["jobETA"]},),
        meaning="Switches events of this connection on and off; any subset of the fields.",
    ),
    SocketMessage(
        direction="app",
        type=socket.ChatRequest.message_type,
        payload=socket.ChatRequest,
        examples=({"jobID": _PROJECT, "model": "any"},),
        meaning="Begins a chat. This grid has none: the answer is an `llmJobError`, at once.",
    ),
)
"""What apps send."""

TO_APPS = (
    _to_app(
        socket.Authenticated,
        socket.Authenticated(
            id=_ACCOUNT, username="alice", address="0x559f666C99e6865Be2BB037d3E213DC97CAE6A2b"
        ),
    ),
    _to_app(socket.BalanceUpdate, socket.BalanceUpdate(sogni=_BALANCE, spark=_BALANCE)),
    SocketMessage(
        direction="server",
        type=socket.SWARM_MODELS,
        payload=dict[str, int],
        examples=({"dreamlet-v1": 3},),
        meaning=(
            "How many workers serve each model on the connection's network. Replaces what was "
            "sent before."
        ),
    ),
    _to_app(socket.ChangeNetwork, socket.ChangeNetwork(network="relaxed")),
    _to_app(
        socket.SubscriptionsUpdated,
        socket.SubscriptionsUpdated(subscriptions={"jobETA": False, "jobProgress": True}),
    ),
    _to_app(socket.Toast, socket.Toast(type="info", message="The server restarts at noon.")),
    _to_app(
        socket.JobState,
        socket.JobState(
            type=socket.QUEUED,
            project_id=_PROJECT,
            queue_position=1,
            queue_status=socket.WAITING,
        ),
        socket.JobState(
            type=socket.STARTED,
            project_id=_PROJECT,
            job_id=_JOB,
            worker_name="worker-one",
            job_index=0,
            assignment=1,
        ),
        socket.JobState(type=socket.PROJECT_COMPLETED, project_id=_PROJECT),
    ),
    _to_app(
        socket.JobProgress,
        socket.JobProgress(
            project_id=_PROJECT,
            job_id=_JOB,
            step=10,
            step_count=20,
            has_image=False,
            assignment=1,
        ),
    ),
    _to_app(socket.JobEta, socket.JobEta(project_id=_PROJECT, job_id=_JOB, eta_s=42.5)),
    _to_app(
        socket.JobResult,
        socket.JobResult(
            project_id=_PROJECT,
            job_id=_JOB,
            performed_step_count=20,
            last_seed="42",
            output_format="png",
        ),
    ),
    _to_app(
        socket.JobError,
        socket.JobError(
            project_id=_PROJECT,
            job_id=_JOB,
            is_from_worker=True,
            error="genfailure",
            error_message="the worker ran out of memory",
        ),
    ),
    _to_app(
        socket.ChatError,
        socket.ChatError(
            chat_id=_PROJECT, error_code="4000", error_message="this grid has no chat"
        ),
    ),
    _to_app(
        socket.ProjectQueue,
        socket.ProjectQueue(
            project_id=_PROJECT,
            waiting_reason=_QUEUED,
            job_waiting_reasons=(
                socket.JobWaitingReason(job_index=1, job_id=_JOB, waiting_reason=_QUEUED),
            ),
        ),
        socket.ProjectQueue(project_id=_PROJECT, waiting_reason=None),
    ),
    _to_app(
        socket.JobRetry,
        socket.JobRetry(
            project_id=_PROJECT,
            job_id=_JOB,
            job_index=0,
            attempt=1,
            max_attempts=3,
            is_from_worker=False,
            error="workerDisconnected",
            error_message="the worker went away; another one takes over",
            assignment=1,
        ),
    ),
    _to_app(
        socket.CancelConfirmation, socket.CancelConfirmation(project_id=_PROJECT, did_cancel=True)
    ),
)
"""What the server sends to apps."""


def switches_in_force(overrides: Mapping[str, bool]) -> dict[str, bool]:
    """Every event by name, the group of them and those that only other grids have; on or off.

    Args:
        overrides: What an app switched itself.
    """
    names = (*(message.type for message in TO_APPS), socket.MODEL_AVAILABILITY)
    off = dict.fromkeys(sorted(socket.OPT_IN_EVENTS), False)
    return {**dict.fromkeys(names, True), **off, **overrides}


CONVERSATION = (
    "Apps connect to `/` by WebSocket, with their credential in the header `api-key` or "
    "`Authorization` (browsers: by cookie) and with `appId` in the query: a name that stays the "
    "same across restarts, so that the app finds its projects again.\n\n"
    'Each message is one JSON object, `{"type": "...", "data": "..."}`. `data` is standard base64 '
    "of the JSON that is shown below. The server sends binary frames and takes both kinds.\n\n"
    "The first message is always `authenticated`. Per project: `jobState` (queued), then for each "
    "job `jobState` (initiatingModel, jobStarted), `jobProgress`, and exactly one `jobResult` or "
    "`jobError` with its `imgID`; at the end one `jobState` (jobCompleted), or one `jobError` "
    "without an `imgID`. `jobID` is always a project and `imgID` a job of it.\n\n"
    "Close codes: 4015, a newer connection of the same app took over; 4021, the credential is "
    "wrong; 1001 and 1012, come back in a moment."
)
"""How the messages follow each other."""
