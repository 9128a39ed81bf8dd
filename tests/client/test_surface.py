"""Everything that the published SDKs offer has its place here, name by name, through both doors."""

import inspect

import pytest

import dreamgrid
from dreamgrid.client import (
    account,
    aio,
    door,
    job,
    listeners,
    project,
    projects,
    results,
    stats,
    sync,
)
from dreamgrid.client.settings import Settings

PROJECTS = {
    "availableModels": "available_models",
    "trackedProjects": "tracked_projects",
    "create": "create",
    "cancel": "cancel",
    "estimateCost": "estimate_cost",
    "estimateEnhancementCost": "estimate_enhancement_cost",
    "estimateVideoCost": "estimate_video_cost",
    "estimateAudioCost": "estimate_audio_cost",
    "getAvailableModels": "get_available_models",
    "getSizePresets": "get_size_presets",
    "getVideoAssetConfig": "get_video_asset_config",
    "isVideoModelId": "is_video_model_id",
    "isAudioModelId": "is_audio_model_id",
    "uploadUrl": "upload_url",
    "downloadUrl": "download_url",
    "mediaUploadUrl": "media_upload_url",
    "mediaDownloadUrl": "media_download_url",
    "waitForModels": "wait_for_models",
    "on": "on",
    "once": "once",
    "off": "off",
    "removeAllListeners": "remove_all_listeners",
    "get": "get",
    "getStatus": "get_status",
    "getResult": "get_result",
    "listRecent": "list_recent",
    "getSupportedModels": "get_supported_models",
    "getModelOptions": "get_model_options",
    "availableLoras": "get_loras",
    "getLora": "get_lora",
    "supportsLoras": "supports_loras",
    "loraConstraints": "get_lora_constraints",
    "sync": "sync",
    "listProjectsElsewhere": "list_projects_elsewhere",
}
"""`client.projects`. `resolveMissing` is done by the client itself, and 3D models are not made."""

PROJECT = {
    "id": "id",
    "type": "type",
    "params": "params",
    "status": "state",
    "finished": "finished",
    "error": "error",
    "startedAt": "created_at",
    "recovered": "attached",
    "progress": "progress",
    "queuePosition": "queue_position",
    "queueStatus": "queue_status",
    "estimatedStartAt": "estimated_start_at",
    "eta": "eta",
    "jobs": "jobs",
    "job": "job",
    "resultUrls": "result_urls",
    "waitForCompletion": "wait",
    "cancel": "cancel",
    "toJSON": "to_dict",
    "on": "on",
    "off": "off",
}

JOB = {
    "id": "id",
    "jobIndex": "index",
    "status": "state",
    "finished": "finished",
    "error": "error",
    "workerName": "worker",
    "step": "step",
    "stepCount": "step_count",
    "progress": "progress",
    "eta": "eta",
    "etaSeconds": "eta_s",
    "seed": "seed",
    "previewUrl": "preview_url",
    "hasResultMedia": "result",
    "isNSFW": "sensitive",
    "nsfwSources": "sensitive",
    "isWithheld": "withheld",
    "positivePrompt": "prompt",
    "negativePrompt": "negative_prompt",
    "toJSON": "to_dict",
}

RESULT = {
    "projectId": "project_id",
    "resultUrl": "url",
    "getResultUrl": "get_url",
    "getResultData": "read",
    "enhance": "enhance",
    "enhancedImage": "enhanced",
}
"""What a job of the published SDKs does with its file, a result does here."""

ACCOUNT = {
    "currentAccount": "current_account",
    "login": "login",
    "create": "create",
    "logout": "logout",
    "getWallet": "get_wallet",
    "getNonce": "get_nonce",
    "me": "me",
    "refreshBalance": "balance",
    "accountBalance": "balance",
    "walletBalance": "wallet_balance",
    "transactionHistory": "transactions",
    "rewards": "rewards",
    "claimRewards": "claim_rewards",
    "validateUsername": "validate_username",
    "switchNetwork": "switch_network",
    "setToken": "set_tokens",
}

CURRENT_ACCOUNT = {
    "isAuthenicated": "is_authenticated",
    "networkStatus": "network_status",
    "network": "network",
    "balance": "balance",
    "walletAddress": "wallet_address",
    "username": "username",
}

CLIENT = {
    "account": "account",
    "projects": "projects",
    "stats": "stats",
    "currentAccount": "current_account",
    "setTokens": "set_tokens",
    "checkAuth": "check_auth",
    "setSocketEventSubscriptions": "set_socket_event_subscriptions",
    "apiClient.on": "on",
}

EVENTS = {
    "availableModels": "ModelsChanged",
    "project queued": "Queued",
    "project completed": "Completed",
    "project error": "Failed",
    "job initiating": "Assigned",
    "job started": "Started",
    "job progress": "Progressed",
    "job jobETA": "Progressed",
    "job preview": "Previewed",
    "job completed": "JobCompleted",
    "job error": "JobFailed",
    "connected": "Connected",
    "disconnected": "Disconnected",
    "currentAccount updated": "BalanceChanged",
}

SETTINGS = {
    "modelId": "model",
    "positivePrompt": "prompt",
    "numberOfMedia": "count",
    "negativePrompt": "negative_prompt",
    "stylePrompt": "style_prompt",
    "steps": "steps",
    "guidance": "guidance",
    "seed": "seed",
    "network": "network",
    "disableNSFWFilter": "disable_safety",
    "tokenType": "token_type",
    "loras": "loras",
    "loraStrengths": "loras",
    "numberOfPreviews": "previews",
    "startingImage": "starting_image",
    "startingImageStrength": "strength",
    "contextImages": "context_images",
    "controlNet": "control_net",
    "sampler": "sampler",
    "scheduler": "scheduler",
    "vae": "vae",
    "sizePreset": "size_preset",
    "width": "width",
    "height": "height",
    "outputFormat": "output_format",
    "duration": "duration_s",
    "frames": "frames",
    "fps": "fps",
    "shift": "shift",
    "teacacheThreshold": "teacache_threshold",
    "referenceImage": "reference_image",
    "referenceImageEnd": "reference_image_end",
    "referenceAudio": "reference_audio",
    "referenceAudioIdentity": "reference_audio_identity",
    "audioIdentityStrength": "identity_guidance",
    "audioStart": "audio_start_s",
    "audioDuration": "audio_duration_s",
    "referenceVideo": "reference_video",
    "videoStart": "video_start_s",
    "referenceMask": "reference_mask",
    "detailerStrength": "detailer_strength",
    "outpaintPosition": "outpaint_position",
    "firstFrameStrength": "first_frame_strength",
    "lastFrameStrength": "last_frame_strength",
    "sam2Coordinates": "points",
    "keyframes": "keyframes",
    "trimEndFrame": "trim_end_frame",
    "generateAudio": "generate_audio",
    "bpm": "bpm",
    "timesignature": "time_signature",
    "language": "language",
    "lyrics": "lyrics",
    "keyscale": "key_scale",
    "composerMode": "composer_mode",
    "promptStrength": "prompt_strength",
    "creativity": "creativity",
    "speaker": "speaker",
    "instruct": "instruct",
    "referenceText": "reference_text",
}


def names(kind: type) -> set[str]:
    """Everything that an object of this class has, whoever defines it."""
    found = set(dir(kind)) | door.attributes(kind)
    for one in kind.__mro__:
        if one.__module__.startswith("dreamgrid"):
            found |= set(vars(one).get("__annotations__", {}))
            source = inspect.getsource(one)
            found |= {
                word.partition(".")[2]
                for line in source.splitlines()
                if (word := line.strip().partition(" ")[0].rstrip(":")).startswith("self.")
            }
    return found


TABLES = [
    (PROJECTS, projects.Projects),
    (PROJECTS, sync.Projects),
    (PROJECT, project.Project),
    (PROJECT, sync.Project),
    (JOB, job.Job),
    (RESULT, results.Image),
    (RESULT, sync.Image),
    (ACCOUNT, account.Account),
    (ACCOUNT, sync.Account),
    (CURRENT_ACCOUNT, dreamgrid.CurrentAccount),
    (CLIENT, aio.AsyncClient),
    (CLIENT, sync.Client),
    ({"leaderboard": "leaderboard"}, stats.Stats),
    ({"leaderboard": "leaderboard"}, sync.Stats),
]


@pytest.mark.parametrize(("table", "kind"), TABLES, ids=lambda one: getattr(one, "__name__", ""))
def test_every_name_of_the_published_sdks_has_its_place(table: dict[str, str], kind: type) -> None:
    assert {theirs: ours for theirs, ours in table.items() if ours not in names(kind)} == {}


def test_every_event_and_every_setting_has_its_place() -> None:
    assert {name for name in EVENTS.values() if name not in dreamgrid.__all__} == set()
    assert set(SETTINGS.values()) <= set(Settings.__annotations__)
    of_upscalers = {"upscale_resolution", "detail_preference", "processing_speed"}
    of_workers = {"workers", "preferred_workers", "skip_workers"}  # they write flags in prompts
    beyond = {"max_cost", "project_id", *of_upscalers, *of_workers}
    assert set(Settings.__annotations__) - set(SETTINGS.values()) == beyond


@pytest.mark.parametrize("kind", [aio.AsyncClient, projects.Projects, project.Project])
def test_whatever_has_events_can_be_listened_to(kind: type) -> None:
    assert issubclass(kind, listeners.Emitter)
    twin = {"AsyncClient": sync.Client}.get(kind.__name__) or getattr(sync, kind.__name__)
    assert issubclass(twin, door.EmitterDoor)


@pytest.mark.parametrize("name", ["create", "create_image", "create_video", "create_audio"])
@pytest.mark.parametrize("kind", [projects.Projects, sync.Projects])
def test_help_shows_every_setting_with_a_line_about_it(kind: type, name: str) -> None:
    method = getattr(kind, name)
    shown = inspect.signature(method).parameters
    assert shown["model"].default is inspect.Parameter.empty
    for setting in set(shown) - {"self"}:
        assert f"\n{setting}: " in (inspect.getdoc(method) or "").replace("    ", ""), setting
