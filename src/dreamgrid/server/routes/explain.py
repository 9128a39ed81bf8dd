"""Why a project or a job stands where it stands."""

from dreamgrid.errors import NotFound
from dreamgrid.protocol.job_request import valid_id
from dreamgrid.protocol.rest_explain import ExplainPath, Explanation
from dreamgrid.server.auth import Account
from dreamgrid.server.endpoint import Endpoints
from dreamgrid.server.explanations import Explanations
from dreamgrid.server.services import Services


def routes(services: Services) -> Endpoints:
    """`/v1/explain`."""
    api = Endpoints("Queue", "Where something stands, why, and when it should start.")
    explanations = Explanations(services)

    @api.get("/v1/explain/{id}", errors=(NotFound,))
    async def explain(account: Account, path: ExplainPath) -> Explanation:
        """Where a project, or one of its jobs, stands: what it waits for, or what is missing.

        Administrators may ask about anybody's.
        """
        return await explanations.of(account, valid_id(path.id))

    return api
