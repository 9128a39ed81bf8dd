"""dreamgrid: an open network for AI image generation that anyone can run.

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
    from dreamgrid.client.account import ApiKey, Balance, Me
    from dreamgrid.client.aio import AsyncClient
    from dreamgrid.client.catalog import AvailableModel, ModelOptions
    from dreamgrid.client.estimates import CostEstimate
    from dreamgrid.client.events import (
        Assigned,
        Canceled,
        Completed,
        Event,
        Failed,
        JobCompleted,
        JobFailed,
        JobRetried,
        JobWithheld,
        Previewed,
        Progressed,
        Queued,
        Started,
    )
    from dreamgrid.client.images import Image
    from dreamgrid.client.project import Charge, Job, Project
    from dreamgrid.client.sync import Client
    from dreamgrid.errors import (
        AuthenticationFailed,
        ConfigError,
        ConnectionFailed,
        DreamgridError,
        DuplicateProject,
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
        TooManyRequests,
        UnknownModel,
        UnreadableMedia,
        UsernameTaken,
        WaitTimeout,
    )
    from dreamgrid.protocol.rest import SizePreset
    from dreamgrid.states import JobState, ProjectState

    __version__: str

__all__ = [
    # the two doors
    "AsyncClient",
    "Client",
    # what they give
    "ApiKey",
    "AvailableModel",
    "Balance",
    "Charge",
    "CostEstimate",
    "Image",
    "Job",
    "JobState",
    "Me",
    "ModelOptions",
    "Project",
    "ProjectState",
    "SizePreset",
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
    "NotAllowed",
    "NotFound",
    "AuthenticationFailed",
    "TooManyRequests",
    "ServerUnavailable",
    "ServerRestarting",
    "ConnectionFailed",
    "ProtocolError",
    "ProjectError",
    "ProjectFailed",
    "ProjectCanceled",
    "WaitTimeout",
    "ConfigError",
    "__version__",
]

_NAMES = {
    "client.account": "ApiKey Balance Me",
    "client.aio": "AsyncClient",
    "client.catalog": "AvailableModel ModelOptions",
    "client.estimates": "CostEstimate",
    "client.events": (
        "Event Queued Assigned Started Progressed Previewed JobRetried JobCompleted JobWithheld "
        "JobFailed Completed Failed Canceled"
    ),
    "client.images": "Image",
    "client.project": "Charge Job Project",
    "client.sync": "Client",
    "errors": (
        "DreamgridError InvalidRequest UnknownModel MissingAsset DuplicateProject UnreadableMedia "
        "UsernameTaken ModelNotServed InsufficientFunds NotAllowed NotFound AuthenticationFailed "
        "TooManyRequests ServerUnavailable ServerRestarting ConnectionFailed ProtocolError "
        "ProjectError ProjectFailed ProjectCanceled WaitTimeout ConfigError"
    ),
    "protocol.rest": "SizePreset",
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
