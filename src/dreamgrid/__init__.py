"""dreamgrid: an open network for AI image, video and audio generation that anyone can run.

    import dreamgrid

    async with dreamgrid.AsyncClient() as client:      # DREAMGRID_URL, DREAMGRID_API_KEY
        project = await client.projects.create(model="dreamlet-v1", prompt="a red apple")
        for image in await project.wait():
            print(await image.save("apple.png"))

`dreamgrid.Client` is the same without `await`. Every name below is loaded when it is first used, so
that `import dreamgrid` costs nothing: no network library, no engine, no server.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dreamgrid.client.account import ApiKey, Me, Reward, Transaction, Transactions
    from dreamgrid.client.aio import AsyncClient
    from dreamgrid.client.catalog import AvailableModel
    from dreamgrid.client.credential import Tokens
    from dreamgrid.client.current_account import Balance, CurrentAccount
    from dreamgrid.client.estimates import CostEstimate
    from dreamgrid.client.events import (
        Assigned,
        BalanceChanged,
        Canceled,
        ClientEvent,
        Completed,
        Connected,
        Disconnected,
        Event,
        Failed,
        JobCompleted,
        JobFailed,
        JobRetried,
        JobWithheld,
        ModelsChanged,
        Previewed,
        Progressed,
        Queued,
        Started,
    )
    from dreamgrid.client.loras import LoraConstraints, LoraInfo
    from dreamgrid.client.models import VideoAssetConfig
    from dreamgrid.client.options import AudioOptions, ImageOptions, ModelOptions, VideoOptions
    from dreamgrid.client.project import Charge, Job, Project
    from dreamgrid.client.results import Audio, Image, Result, Video
    from dreamgrid.client.settings import (
        AudioSettings,
        ControlNet,
        ImageSettings,
        Settings,
        VideoSettings,
    )
    from dreamgrid.client.stats import Leader
    from dreamgrid.client.sync import Client
    from dreamgrid.client.webhooks import (
        Deliveries,
        Delivery,
        Webhook,
        WebhookMessage,
        read_webhook,
    )
    from dreamgrid.errors import (
        AuthenticationFailed,
        ConfigError,
        ConnectionFailed,
        CostLimitExceeded,
        DreamgridError,
        DuplicateProject,
        FilesUnreachable,
        InsufficientFunds,
        InvalidRequest,
        MissingAsset,
        ModelNotServed,
        NotAllowed,
        NotFound,
        ProjectCanceled,
        ProjectError,
        ProjectFailed,
        ProtocolError,
        ServerRestarting,
        ServerUnavailable,
        SpendingCapReached,
        TooManyRequests,
        UnknownModel,
        UnreadableMedia,
        UsernameTaken,
        WaitTimeout,
    )
    from dreamgrid.protocol.params import Lora
    from dreamgrid.protocol.rest import JobRecord, ModelEntry, ProjectRecord, SizePreset
    from dreamgrid.states import JobState, ProjectState

    __version__: str

__all__ = [
    # the two doors
    "AsyncClient",
    "Client",
    # what to ask for
    "AudioSettings",
    "ControlNet",
    "ImageSettings",
    "Lora",
    "Settings",
    "VideoSettings",
    # what they give
    "ApiKey",
    "Audio",
    "AudioOptions",
    "AvailableModel",
    "Balance",
    "Charge",
    "CostEstimate",
    "CurrentAccount",
    "Deliveries",
    "Delivery",
    "Image",
    "ImageOptions",
    "Job",
    "JobRecord",
    "JobState",
    "Leader",
    "LoraConstraints",
    "LoraInfo",
    "Me",
    "ModelEntry",
    "ModelOptions",
    "Project",
    "ProjectRecord",
    "ProjectState",
    "Result",
    "Reward",
    "SizePreset",
    "Tokens",
    "Transaction",
    "Transactions",
    "Video",
    "VideoAssetConfig",
    "VideoOptions",
    "Webhook",
    "WebhookMessage",
    "read_webhook",
    # what happens to a project, in the order in which it happens
    "Event",
    "Queued",
    "Assigned",
    "Started",
    "Progressed",
    "Previewed",
    "JobRetried",
    "JobCompleted",
    "JobWithheld",
    "JobFailed",
    "Completed",
    "Failed",
    "Canceled",
    # what happens to the client
    "ClientEvent",
    "Connected",
    "Disconnected",
    "BalanceChanged",
    "ModelsChanged",
    # what can go wrong
    "DreamgridError",
    "InvalidRequest",
    "UnknownModel",
    "MissingAsset",
    "DuplicateProject",
    "UnreadableMedia",
    "UsernameTaken",
    "ModelNotServed",
    "InsufficientFunds",
    "SpendingCapReached",
    "CostLimitExceeded",
    "NotAllowed",
    "NotFound",
    "AuthenticationFailed",
    "TooManyRequests",
    "ServerUnavailable",
    "ServerRestarting",
    "ConnectionFailed",
    "FilesUnreachable",
    "ProtocolError",
    "ProjectError",
    "ProjectFailed",
    "ProjectCanceled",
    "WaitTimeout",
    "ConfigError",
    "__version__",
]

_NAMES = {
    "client.account": "ApiKey Me Reward Transaction Transactions",
    "client.aio": "AsyncClient",
    "client.catalog": "AvailableModel",
    "client.credential": "Tokens",
    "client.current_account": "Balance CurrentAccount",
    "client.estimates": "CostEstimate",
    "client.events": (
        "Event Queued Assigned Started Progressed Previewed JobRetried JobCompleted "
        "JobWithheld JobFailed Completed Failed Canceled ClientEvent Connected Disconnected "
        "BalanceChanged ModelsChanged"
    ),
    "client.loras": "LoraConstraints LoraInfo",
    "client.models": "VideoAssetConfig",
    "client.options": "AudioOptions ImageOptions ModelOptions VideoOptions",
    "client.project": "Charge Job Project",
    "client.results": "Audio Image Result Video",
    "client.settings": "AudioSettings ControlNet ImageSettings Settings VideoSettings",
    "client.stats": "Leader",
    "client.sync": "Client",
    "client.webhooks": "Deliveries Delivery Webhook WebhookMessage read_webhook",
    "errors": (
        "DreamgridError InvalidRequest UnknownModel MissingAsset DuplicateProject "
        "UnreadableMedia UsernameTaken ModelNotServed InsufficientFunds "
        "SpendingCapReached CostLimitExceeded NotAllowed NotFound AuthenticationFailed "
        "TooManyRequests ServerUnavailable ServerRestarting ConnectionFailed FilesUnreachable "
        "ProtocolError ProjectError ProjectFailed ProjectCanceled WaitTimeout ConfigError"
    ),
    "protocol.params": "Lora",
    "protocol.rest": "JobRecord ModelEntry ProjectRecord SizePreset",
    "states": "JobState ProjectState",
}
_HOME = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 (as heavy as all the rest)

        value: Any = version("dreamgrid")
    elif name in _HOME:
        value = getattr(importlib.import_module(f"dreamgrid.{_HOME[name]}"), name)
    else:
        raise AttributeError(f"module 'dreamgrid' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
