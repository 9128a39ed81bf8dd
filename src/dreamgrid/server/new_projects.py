"""What a job request becomes: a project with its jobs and prices, or the reason why it cannot."""

import secrets
from dataclasses import dataclass

import msgspec

from dreamgrid.errors import InvalidRequest
from dreamgrid.protocol.job_request import JobRequest, valid_id
from dreamgrid.protocol.params import MAX_SEED, AnyParams, Network
from dreamgrid.protocol.renders import AnyRender
from dreamgrid.protocol.request_params import params_from_request
from dreamgrid.server import pricing, prompt_language
from dreamgrid.server.auth import Account
from dreamgrid.server.catalog import Catalog
from dreamgrid.server.clock import Clock, milliseconds
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.job_ids import new_job_id
from dreamgrid.server.known_workers import KnownWorkers
from dreamgrid.server.live import LiveJob, LiveProject, extent_of
from dreamgrid.server.prompt_language import Said
from dreamgrid.server.resolve.prompts import check_text


@dataclass(frozen=True, kw_only=True)
class App:
    """Who speaks: an account, through one of its apps.

    Attributes:
        network: The connection's default network.
        origin: How the app reached this server.
    """

    account: Account
    app_id: str
    network: Network
    origin: str


class NewProjects:
    """Makes them; whether there is room and money for one more is asked elsewhere."""

    def __init__(
        self, config: ServerConfig, catalog: Catalog, known_workers: KnownWorkers, clock: Clock
    ) -> None:
        self._config = config
        self._catalog = catalog
        self._known_workers = known_workers
        self._clock = clock

    def make(self, app: App, request: JobRequest, raw: bytes) -> LiveProject:
        """The project that an app asks for.

        Args:
            app: Who asks.
            request: The request, decoded.
            raw: The same request as the app sent it.

        Raises:
            InvalidRequest: A value is outside what the catalogue allows.
            MissingAsset: The model needs an input that the request does not bring.
            ModelNotServed: No worker offers the model, and none did lately.
        """
        model = self._catalog.model(request.key_frames[0].model_id)
        params = params_from_request(request, model.media)
        network = params.network or app.network
        most_chars = model.spec.max_prompt_chars or self._config.max_prompt_chars
        check_text("prompt", params.prompt, most_chars)  # with its flags
        said = prompt_language.read(request, network)
        params = msgspec.structs.replace(params, network=network, prompt=said.prompt)
        if params.disable_safety and self._config.filter_always:
            raise InvalidRequest("this grid's content filter is always on: leave disableSafety out")
        renders = self._catalog.resolve(params, self._config, lambda: secrets.randbelow(MAX_SEED))
        self._catalog.check_inputs(params)
        self._known_workers.check(network, model.id, said.targeting)
        return self._project(app, params, said, renders, valid_id(request.project_id), raw)

    def _project(
        self,
        app: App,
        params: AnyParams,
        said: Said,
        renders: tuple[AnyRender, ...],
        project_id: str,
        raw: bytes,
    ) -> LiveProject:
        model, first = self._catalog.model(params.model), renders[0]
        network, token = params.network or app.network, params.token_type
        token = token or self._config.default_token_type
        now_ms = milliseconds(self._clock)
        quote = pricing.quote(model, renders, network=network, assets=params.assets, at_ms=now_ms)
        width, height = extent_of(first)
        project = LiveProject(
            id=project_id,
            account_id=app.account.id,
            app_id=app.app_id,
            model=model.id,
            network=network,
            token_type=token,
            origin=app.origin,
            request=raw,
            width=width,
            height=height,
            steps=first.steps,
            previews=first.previews,
            output_format=first.output_format,
            disable_safety=params.disable_safety,
            hold_micros=quote.project_micros(token),
            created_ms=now_ms,
            key_id=app.account.key_id,
            targeting=said.targeting,
            dynamic=said.dynamic,
        )
        price_micros = quote.job_micros(token)
        project.jobs = [
            LiveJob(
                id=new_job_id(now_ms),
                project=project,
                index=index,
                render=render,
                price_micros=price_micros,
                created_ms=now_ms,
                step_count=render.steps,
            )
            for index, render in enumerate(renders)
        ]
        return project
