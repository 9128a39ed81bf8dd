"""Every message to an app, letter by letter as the published SDKs read it (`socket.md`)."""

import json
from typing import Any

import msgspec
import pytest

from dreamgrid.protocol import codec, failures, rest, socket
from dreamgrid.protocol.codec import Message

P = "44BABD98-2112-412D-91DA-B5429A1DF233"
A = "0B7F9C1E-6B1F-4D0C-9A1B-1D5C0E6C7A11"

SPARK = socket.TokenBalance(
    settled="100.000000",
    credit="0",
    debit="2.500000",
    net="97.500000",
    premium_credit="0",
    relaxed_unclaimed="0",
    fast_unclaimed="0",
)
SPARK_WIRE = {
    "settled": "100.000000",
    "credit": "0",
    "debit": "2.500000",
    "net": "97.500000",
    "premiumCredit": "0",
    "relaxedUnclaimed": "0",
    "fastUnclaimed": "0",
}

BUSY = socket.WaitingReason(reason=socket.WAITS_QUEUED, message="busy")
MESSAGES: list[tuple[Message, str, dict[str, Any]]] = [
    (
        socket.Authenticated(id="C1", username="alice", address="0x1"),
        "authenticated",
        {
            "id": "C1",
            "username": "alice",
            "address": "0x1",
            "clientType": "artist",
            "SID": 1,
            "clientSID": 1,
            "addressSID": 1,
            "balanceVersion": 2,
            "activeProjects": [],
            "unclaimedCompletedProjects": [],
            "subscriptionEntitlement": {
                "active": False,
                "trialing": False,
                "trialCapped": False,
                "subscription": None,
            },
            "isMainnet": True,
            "accountWasMigrated": False,
            "hasUnclaimedAirdrop": False,
            "firstLoginAfterMigration": False,
        },
    ),
    (
        socket.BalanceUpdate(sogni=SPARK, spark=SPARK),
        "balanceUpdate",
        {"sogni": SPARK_WIRE, "spark": SPARK_WIRE},
    ),
    (socket.ChangeNetwork(network="relaxed"), "changeNetwork", {"network": "relaxed"}),
    (
        socket.SubscriptionsUpdated(subscriptions={"projectQueue": True}),
        "socketEventSubscriptionsUpdated",
        {"socketEventSubscriptions": {"projectQueue": True}},
    ),
    (
        socket.Toast(type="error", message="no", auto_close=5000),
        "toastMessage",
        {"type": "error", "message": "no", "autoClose": 5000},
    ),
    (
        socket.JobState(
            type=socket.QUEUED,
            project_id=P,
            queue_position=1,
            estimated_start_s=2.5,
            earliest_start_s=1.5,
            latest_start_s=4.5,
            queue_status=socket.WAITING,
            waiting_reason=socket.WaitingReason(
                reason="queued", message="m", state="waiting", waits_for="no_free_slot"
            ),
        ),
        "jobState",
        {
            "type": "queued",
            "jobID": P,
            "queuePosition": 1,
            "estimatedStartSeconds": 2.5,
            "earliestStartSeconds": 1.5,
            "latestStartSeconds": 4.5,
            "queueStatus": "waiting",
            "waitingReason": {
                "reason": "queued",
                "message": "m",
                "state": "waiting",
                "waitsFor": "no_free_slot",
            },
        },
    ),
    (
        socket.JobState(
            type=socket.QUEUED, project_id=P, queue_position=1, queue_status=socket.NO_WORKERS
        ),
        "jobState",
        {"type": "queued", "jobID": P, "queuePosition": 1, "queueStatus": "no-workers"},
    ),
    (
        socket.JobState(
            type=socket.INITIATING,
            project_id=P,
            job_id=A,
            worker_name="w1",
            job_index=0,
            assignment=2,
        ),
        "jobState",
        {
            "type": "initiatingModel",
            "jobID": P,
            "imgID": A,
            "workerName": "w1",
            "jobIndex": 0,
            "assignment": 2,
        },
    ),
    (
        socket.JobState(type=socket.STARTED, project_id=P, job_id=A, worker_name="w", job_index=1),
        "jobState",
        {"type": "jobStarted", "jobID": P, "imgID": A, "workerName": "w", "jobIndex": 1},
    ),
    (
        socket.JobState(type=socket.PROJECT_COMPLETED, project_id=P),
        "jobState",
        {"type": "jobCompleted", "jobID": P},
    ),
    (
        socket.JobProgress(project_id=P, job_id=A, step=5, step_count=20, has_image=False),
        "jobProgress",
        {"jobID": P, "imgID": A, "step": 5, "stepCount": 20, "hasImage": False},
    ),
    (
        socket.JobProgress(
            project_id=P,
            job_id=A,
            step=0,
            step_count=20,
            has_image=True,
            eta_s=1.5,
            assignment=2,
        ),
        "jobProgress",
        {
            "jobID": P,
            "imgID": A,
            "step": 0,
            "stepCount": 20,
            "hasImage": True,
            "etaSeconds": 1.5,
            "assignment": 2,
        },
    ),
    (
        socket.JobEta(project_id=P, job_id=A, eta_s=90.5),
        "jobETA",
        {"jobID": P, "imgID": A, "etaSeconds": 90.5},
    ),
    (
        socket.JobResult(
            project_id=P,
            job_id=A,
            performed_step_count=20,
            last_seed="42",
            result_url="http://grid/x.png",
            output_format="png",
            sha256="00",
        ),
        "jobResult",
        {
            "jobID": P,
            "imgID": A,
            "performedStepCount": 20,
            "lastSeed": "42",
            "userCanceled": False,
            "triggeredNSFWFilter": False,
            "nsfwDetected": False,
            "nsfwSources": [],
            "resultUrl": "http://grid/x.png",
            "lastFrameUrl": None,
            "outputFormat": "png",
            "sha256": "00",
        },
    ),
    (
        socket.JobError(
            project_id=P, job_id=A, is_from_worker=True, error="genfailure", error_message="no"
        ),
        "jobError",
        {
            "jobID": P,
            "imgID": A,
            "isFromWorker": True,
            "error": "genfailure",
            "error_message": "no",
        },
    ),
    (
        socket.JobError(
            project_id=P, is_from_worker=False, error=4003, error_message="Insufficient funds"
        ),
        "jobError",
        {
            "jobID": P,
            "isFromWorker": False,
            "error": 4003,
            "error_message": "Insufficient funds",
        },
    ),
    (
        socket.JobState(
            type=socket.QUEUED,
            project_id=P,
            queue_position=1,
            waiting_reason=BUSY,
            job_waiting_reasons=(
                socket.JobWaitingReason(job_index=0, job_id=A, waiting_reason=BUSY),
            ),
        ),
        "jobState",
        {
            "type": "queued",
            "jobID": P,
            "queuePosition": 1,
            "waitingReason": {"reason": "queued", "message": "busy"},
            "jobWaitingReasons": [
                {
                    "jobIndex": 0,
                    "imgID": A,
                    "waitingReason": {"reason": "queued", "message": "busy"},
                }
            ],
        },
    ),
    (
        socket.JobState(
            type=socket.STARTED, project_id=P, positive_prompt="a cat", negative_prompt=""
        ),
        "jobState",
        {"type": "jobStarted", "jobID": P, "positivePrompt": "a cat", "negativePrompt": ""},
    ),
    (
        socket.ProjectQueue(
            project_id=P,
            waiting_reason=socket.WaitingReason(
                reason=socket.WAITS_CONCURRENCY_LIMIT, message="enough"
            ),
            job_waiting_reasons=(
                socket.JobWaitingReason(
                    job_index=1,
                    job_id=A,
                    waiting_reason=socket.WaitingReason(
                        reason=socket.WAITS_NO_WORKERS, message="nobody"
                    ),
                ),
            ),
        ),
        "projectQueue",
        {
            "jobID": P,
            "waitingReason": {"reason": "concurrency_limit", "message": "enough"},
            "jobWaitingReasons": [
                {
                    "jobIndex": 1,
                    "imgID": A,
                    "waitingReason": {"reason": "no_workers", "message": "nobody"},
                }
            ],
        },
    ),
    (
        socket.ProjectQueue(project_id=P, waiting_reason=None),
        "projectQueue",
        {"jobID": P, "waitingReason": None, "jobWaitingReasons": []},
    ),
    (
        socket.JobRetry(
            project_id=P,
            job_id=A,
            job_index=0,
            attempt=1,
            max_attempts=3,
            is_from_worker=False,
            error="workerDisconnected",
            error_message="Worker disconnected",
            assignment=2,
        ),
        "jobRetry",
        {
            "jobID": P,
            "imgID": A,
            "jobIndex": 0,
            "attempt": 1,
            "maxAttempts": 3,
            "isFromWorker": False,
            "error": "workerDisconnected",
            "error_message": "Worker disconnected",
            "assignment": 2,
        },
    ),
    (
        socket.CancelConfirmation(project_id=P, did_cancel=True),
        "artistCancelConfirmation",
        {"jobID": P, "didCancel": True},
    ),
    (
        socket.CancelConfirmation(project_id=P, did_cancel=False, error_message="disk full"),
        "artistCancelConfirmation",
        {"jobID": P, "didCancel": False, "error_message": "disk full"},
    ),
    (
        socket.CancelRequest(project_id=P),
        "jobError",
        {
            "jobID": P,
            "error": "artistCanceled",
            "error_message": "artistCanceled",
            "isFromWorker": False,
        },
    ),
    (socket.ChatRequest(chat_id=P), "llmJobRequest", {"jobID": P}),
    (
        socket.ChatError(chat_id=P, error_code="4000", error_message="no chat"),
        "llmJobError",
        {
            "jobID": P,
            "error": "notSupported",
            "error_code": "4000",
            "error_message": "no chat",
            "isFromWorker": False,
        },
    ),
]


@pytest.mark.parametrize(
    ("message", "name", "payload"),
    MESSAGES,
    ids=[row[1] + str(n) for n, row in enumerate(MESSAGES)],
)
def test_a_message_is_spelled_as_the_contract_says(
    message: Message, name: str, payload: dict[str, Any]
) -> None:
    envelope = codec.open_envelope(codec.encode(message))
    assert envelope.type == name
    assert json.loads(envelope.data) == payload


def test_every_message_of_the_app_socket_is_held_to_its_spelling() -> None:
    kinds = {kind for kind in Message.__subclasses__() if kind.__module__ == socket.__name__}
    assert {type(message) for message, _, _ in MESSAGES} == kinds


def test_the_payload_of_swarm_models_is_the_bare_map() -> None:
    frame = codec.encode_raw(socket.SWARM_MODELS, {"dreamlet-v1": 2})
    assert json.loads(frame)["type"] == "swarmModels"
    assert codec.open_envelope(frame).data == b'{"dreamlet-v1":2}'


@pytest.mark.parametrize(
    ("change", "after"),
    [
        ({}, {"a": True, "b": False}),
        ({"subscriptions": {"b": True, "c": False}}, {"a": True, "b": True, "c": False}),
        ({"subscribe": "b"}, {"a": True, "b": True}),
        ({"subscribe": ["b", "c"]}, {"a": True, "b": True, "c": True}),
        ({"unsubscribe": ["a"]}, {"a": False, "b": False}),
        ({"reset": True}, {}),
        ({"reset": True, "subscriptions": {"x": False}}, {"x": False}),
        ({"event": "a", "enabled": False}, {"a": False, "b": False}),
        ({"event": "c"}, {"a": True, "b": False, "c": True}),
        # reset, then subscriptions, subscribe, unsubscribe, event
        (
            {
                "event": "d",
                "enabled": True,
                "unsubscribe": ["c", "d"],
                "subscribe": ["b", "c"],
                "subscriptions": {"b": False},
                "reset": True,
            },
            {"b": True, "c": False, "d": True},
        ),
    ],
)
def test_changes_of_event_subscriptions_apply_in_the_order_of_the_contract(
    change: dict[str, Any], after: dict[str, bool]
) -> None:
    wish = msgspec.convert(change, socket.SubscriptionChange)
    assert wish.applied_to({"a": True, "b": False}) == after


def test_the_error_body_has_the_one_shape() -> None:
    body = failures.ErrorBody(message="no such project", error_code=404)
    assert json.loads(msgspec.json.encode(body)) == {
        "status": "error",
        "message": "no such project",
        "errorCode": 404,
    }
    slow_down = failures.ErrorBody(message="slow down", error_code=429, retry_after=2.5)
    assert json.loads(msgspec.json.encode(slow_down))["retryAfter"] == 2.5


RECORD = {
    "id": P,
    "SID": 1501,
    "appId": "app-1",
    "appSource": "booth",
    "artist": {
        "id": "A1",
        "clientSID": 12,
        "address": "0x1",
        "addressSID": 3,
        "username": "alice",
        "name": "alice",
    },
    "model": {"id": "m", "name": "M", "type": "image", "SID": 7},
    "modelType": "image",
    "imageCount": 1,
    "stepCount": 20,
    "previewCount": 2,
    "hasGuideImage": True,
    "denoiseStrength": "0.5",
    "billingMode": "tokens",
    "sizePreset": "square",
    "txId": "",
    "costEstimate": {
        "rate": {},
        "quote": {
            "job": {"costInUSD": "0.005", "costInToken": "1.000000"},
            "project": {"costInUSD": "0.005", "costInToken": "1.000000"},
        },
    },
    "status": "completed",
    "finished": True,
    "reason": "allJobsCompleted",
    "message": None,
    "waitingReason": None,
    "jobWaitingReasons": [],
    "network": "fast",
    "tokenType": "spark",
    "width": 512,
    "height": 512,
    "createTime": 1,
    "updateTime": 3,
    "endTime": 3,
    "costActual": {
        "costInRenderSec": "0",
        "costInUSD": "0",
        "costInToken": "1.000000",
        "calculatedStepCount": 0,
    },
    "clientRequestData": "e30=",
    "workerJobs": [],
    "completedWorkerJobs": [
        {
            "id": P,
            "SID": "9001",
            "imgID": A,
            "jobIndex": 0,
            "network": "fast",
            "txId": "",
            "worker": {
                "id": "w",
                "name": "one",
                "username": "one",
                "address": "0x2",
                "clientSID": 40,
                "addressSID": 9,
            },
            "status": "jobCompleted",
            "reason": "jobCompleted",
            "performedSteps": 20,
            "seedUsed": 42,
            "triggeredNSFWFilter": False,
            "nsfwDetected": False,
            "nsfwSources": [],
            "createTime": 1,
            "startTime": 2,
            "updateTime": 3,
            "endTime": 3,
            "costActual": {
                "costInRenderSec": "0",
                "costInUSD": "0",
                "costInToken": "1.000000",
                "calculatedStepCount": 0,
            },
            "resultUrl": None,
            "outputFormat": "png",
            "sha256": "00",
        }
    ],
}


def test_a_project_record_is_spelled_as_the_contract_says() -> None:
    record = msgspec.convert(RECORD, rest.ProjectRecord)
    assert json.loads(msgspec.json.encode(record)) == RECORD
