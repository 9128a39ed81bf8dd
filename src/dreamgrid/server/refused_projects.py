"""What an app is told when the store does not take its project. Pure."""

import logging

from dreamgrid.errors import (
    DreamgridError,
    DuplicateProject,
    InsufficientFunds,
    SpendingCapReached,
)
from dreamgrid.protocol import amounts
from dreamgrid.server import ledger
from dreamgrid.server.live import LiveProject
from dreamgrid.server.store.base import SubmitResult, Submitted

_log = logging.getLogger("dreamgrid.projects")


def refusal(project: LiveProject, answer: Submitted | BaseException) -> DreamgridError:
    """Why a submission was not stored."""
    error = _refusal(project, answer) if isinstance(answer, Submitted) else answer
    if isinstance(error, DreamgridError):
        return error
    _log.error("a project could not be stored", exc_info=error)
    return DreamgridError("the server could not store this project; nothing was charged")


def _refusal(project: LiveProject, answer: Submitted) -> DreamgridError:
    price = f"this costs {_price(project.hold_micros, project)}"
    match answer.result:
        case SubmitResult.INSUFFICIENT:
            return InsufficientFunds(f"insufficient funds: {price}, and your balance is below that")
        case SubmitResult.OVER_DAY_CAP:
            return SpendingCapReached(
                f"{price}, and your key may spend {_left(project, answer)} today: its cap is "
                f"{_price(answer.cap_micros, project)} a day; wait until 00:00 UTC, or use a key "
                "with a higher cap"
            )
        case SubmitResult.OVER_TOTAL_CAP:
            return SpendingCapReached(
                f"{price}, and your key may spend {_left(project, answer)}: its cap is "
                f"{_price(answer.cap_micros, project)} in all; use another key"
            )
        case _:
            return id_taken(project.id)


def id_taken(project_id: str) -> DuplicateProject:
    """Why a project cannot have that id."""
    return DuplicateProject(
        f"project id {project_id} is taken by a different request; use a fresh UUID"
    )


def _left(project: LiveProject, answer: Submitted) -> str:
    return f"{_price(answer.left_micros, project)} more" if answer.left_micros else "nothing more"


def _price(micros: int, project: LiveProject) -> str:
    return amounts.price(ledger.decimal(micros), project.token_type)
