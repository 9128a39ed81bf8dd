"""Every error that dreamgrid raises on purpose, in one tree.

    DreamgridError
     ├─ InvalidRequest            the request itself is wrong; sending it again will not help
     │   ├─ UnknownModel          no such model in this grid's catalogue
     │   ├─ MissingAsset          an input was announced but never uploaded
     │   ├─ DuplicateProject      the project id is taken by a different request
     │   ├─ UsernameTaken         another account has this name
     │   └─ UnreadableMedia       an input file is broken, too large or of an unknown kind
     ├─ ModelNotServed            no worker offers the model, nor did one lately
     ├─ InsufficientFunds         the balance does not cover the quote
     │   └─ SpendingCapReached    the key may not spend that much, today or at all
     ├─ CostLimitExceeded         it would cost more than the caller allows; nothing was sent
     ├─ NotAllowed                the credential is valid but may not do this
     ├─ NotFound                  no such project, job, key or file (or not yours)
     ├─ AuthenticationFailed      the credential is missing, wrong, expired or revoked
     ├─ TooManyRequests           slow down; `retry_after_s` says for how long
     ├─ ServerUnavailable         the server cannot do it now, such as with a full disk
     │   └─ ServerRestarting      it is about to stop; send the request again when it is back
     ├─ ConnectionFailed          no answer from the server at all
     │   ├─ FilesUnreachable      none from where files lie, such as the grid's media store
     │   └─ OwnGridUnreachable    a grid runs on this machine, and cannot be used from here
     ├─ ProtocolError             the other side broke the wire contract
     ├─ WorkerReplaced            another worker connected with this one's id
     ├─ ProjectError              a project ended without (all of) its results
     │   ├─ ProjectFailed         its renders failed
     │   ├─ ProjectCanceled       somebody canceled it
     │   └─ WaitTimeout           it did not finish in time; it is still running
     ├─ EngineError               a render failed on the worker
     │   ├─ ModelNotAvailable     this engine cannot serve the model here
     │   ├─ OutOfMemory           the device has too little memory for this job
     │   ├─ RenderRefused         no worker makes this: it is impossible, or never allowed
     │   ├─ RenderCanceled        the job was told to stop
     │   └─ EngineCrashed         the engine's process died
     ├─ DownloadFailed            weights could not be fetched; what has arrived is kept
     └─ ConfigError               a setting is wrong; nothing was started
         ├─ FolderInUse           another server works in this data folder
         └─ DatabaseInUse         another server uses this database, or has used it since

The message of each error says what happened and what to do next. Numbers and names on the wire
belong to `dreamgrid.protocol.failures`.
"""

from decimal import Decimal


class DreamgridError(Exception):
    """Base of everything that dreamgrid raises on purpose.

    Attributes:
        retry_after_s: Seconds after which trying again can work. None: unknown, or it never will.
    """

    retry_after_s: float | None = None


class InvalidRequest(DreamgridError):
    """The request itself is wrong; sending it again unchanged will not help.

    Attributes:
        field: Name of the field that is wrong, as the request spells it. None: no single one is, or
            only the message tells.
    """

    field: str | None = None


class UnknownModel(InvalidRequest):
    """No such model in this grid's catalogue."""


class MissingAsset(InvalidRequest):
    """An input was announced in the request but never uploaded."""


class DuplicateProject(InvalidRequest):
    """The project id is already taken by a different request."""


class UsernameTaken(InvalidRequest):
    """Another account has this name."""


class UnreadableMedia(InvalidRequest):
    """An input file is broken, too large or of an unknown kind."""


class ModelNotServed(DreamgridError):
    """No worker of this grid offers the model now, and none did lately. Nothing was charged."""


class InsufficientFunds(DreamgridError):
    """The balance does not cover the quote. Nothing was charged."""


class SpendingCapReached(InsufficientFunds):
    """The key has a spending cap, and this would go beyond it. Nothing was charged."""


class CostLimitExceeded(DreamgridError):
    """It would cost more than `max_cost` allows. Nothing was uploaded, sent or charged.

    Args:
        message: The price and the limit.
        cost: The price, in the currency that it would be paid with.
    """

    def __init__(self, message: str, *, cost: Decimal = Decimal(0)) -> None:
        super().__init__(message)
        self.cost = cost


class NotAllowed(DreamgridError):
    """The credential is valid but may not do this."""


class NotFound(DreamgridError):
    """There is no such project, job, key or file, or it belongs to another account."""


class AuthenticationFailed(DreamgridError):
    """The credential is missing, wrong, expired or revoked."""


class TooManyRequests(DreamgridError):
    """The caller is too fast or has too much queued.

    Args:
        message: What the limit is.
        retry_after_s: Seconds after which a retry can work, if known.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ServerUnavailable(DreamgridError):
    """The server cannot do it now, such as with a full disk; trying again later can work."""

    retry_after_s = 5.0


class ServerRestarting(ServerUnavailable):
    """The server is about to stop; the request can be sent again when it is back."""


class ConnectionFailed(DreamgridError):
    """The server did not answer at all."""


class FilesUnreachable(ConnectionFailed):
    """Where files lie did not answer: the grid's media store, or the host of an input's URL."""


class ProtocolError(DreamgridError):
    """The other side sent something that the wire contract does not allow."""


class WorkerReplaced(DreamgridError):
    """Another worker connected with the same id; this one must not come back."""


class ProjectError(DreamgridError):
    """A project did not give all of its results.

    Args:
        message: What happened, in words.
        project_id: The project it happened to.
        code: The numeric wire code, when the server sent one.
    """

    def __init__(self, message: str, *, project_id: str = "", code: int | None = None) -> None:
        super().__init__(message)
        self.project_id = project_id
        self.code = code


class ProjectFailed(ProjectError):
    """Every render of the project failed, or the server refused it."""


class ProjectCanceled(ProjectError):
    """The project was canceled before it finished."""


class WaitTimeout(ProjectError):
    """The project did not finish in the time given; it goes on running on the server."""


class EngineError(DreamgridError):
    """A render failed on the worker."""


class ModelNotAvailable(EngineError):
    """This engine cannot serve the model on this machine."""


class OutOfMemory(EngineError):
    """The device has too little memory for this job."""


class RenderRefused(EngineError):
    """No worker makes this: it contradicts itself or the model, or nobody may have it."""


class RenderCanceled(EngineError):
    """The job was told to stop. Engines let it propagate and free their memory."""


class EngineCrashed(EngineError):
    """The engine's process died in the middle of a job."""


class DownloadFailed(DreamgridError):
    """Weights could not be fetched; what has arrived is kept for the next try."""


class ConfigError(DreamgridError):
    """A setting is wrong; nothing was started."""


class FolderInUse(ConfigError):
    """Another process serves from this data folder."""


class OwnGridUnreachable(ConnectionFailed):
    """The grid of this machine's data folder runs, and cannot be used from here."""


class DatabaseInUse(ConfigError):
    """Another server uses this database, or has used it since."""
