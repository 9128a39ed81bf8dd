"""Renders through a running ComfyUI."""

import asyncio
import hashlib
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence

from dreamgrid.engines.base import Artifact, OnStep, Step
from dreamgrid.engines.comfyui.binding import bind, objection
from dreamgrid.engines.comfyui.offers import Offer
from dreamgrid.engines.comfyui.progress import StepCounter
from dreamgrid.engines.comfyui.results import artifact_of, small_jpeg
from dreamgrid.engines.comfyui.server import (
    Began,
    ComfyServer,
    Ended,
    Events,
    Gone,
    NodeProgress,
    Preview,
    check_history,
    leave_gpu,
)
from dreamgrid.engines.comfyui.steering import Control, control_of
from dreamgrid.engines.comfyui.workflow import HALF_STEPS, Graph
from dreamgrid.engines.safety import ContentFilter
from dreamgrid.engines.starting_image import decode
from dreamgrid.errors import EngineError, ModelNotAvailable
from dreamgrid.protocol.assets import MEDIA_ROLES
from dreamgrid.protocol.renders import AnyRender

SIGN_OF_LIFE_S = 1.0
"""How often a render that waits looks whether it was canceled."""

BEGIN_WITHIN_S = 120.0
"""How long a job may wait behind the owner's own work in ComfyUI before it goes elsewhere."""

QUIET_S = 1800.0
"""How long ComfyUI may work at a job without a word."""

BACK_WITHIN_S = 90.0
"""How long a ComfyUI that went away may take to come back."""

_RETRY_S = 1.0
_SUBMISSIONS = 2


class ComfyEngine:
    """Renders one job at a time in another process, which may be another machine's."""

    def __init__(
        self,
        survey: Callable[[], Sequence[Offer]],
        url: str,
        ask: Callable[[], object] = lambda: None,
    ) -> None:
        """Takes the address of ComfyUI, and what finds out what can be made with it now.

        Args:
            survey: Asks ComfyUI; raises ConnectionError when it does not answer.
            url: Where it listens.
            ask: Only looks whether it answers; raises ConnectionError when it does not.
        """
        self._survey = survey
        self._url = url
        self._ask = ask
        self._made = False
        self._offers: dict[tuple[str, tuple[frozenset[str], Control]], Offer] = {}
        self._stale = True
        self._filter = ContentFilter()

    def objection(self, render: AnyRender, roles: Collection[str]) -> str:
        """Why this ComfyUI cannot make a job now; "" where it can."""
        try:
            self._ask()
            self.load(render.model)
            offer = self._offer(render, roles)
        except (ConnectionError, ModelNotAvailable) as error:
            return str(error)
        return objection(offer, render)

    def make_way(self) -> None:
        """Has ComfyUI leave its GPU, because another engine uses it; its next job comes back."""
        if self._made:
            self._made = False
            asyncio.run(leave_gpu(self._url))

    def load(self, model: str) -> None:
        """Looks whether ComfyUI can make it: the weights are loaded with the first job.

        Raises:
            ModelNotAvailable: ComfyUI does not answer, or has no weights for it.
        """
        if not self._stale and any(offered == model for offered, _ in self._offers):
            return
        try:
            offers = self._survey()
        except ConnectionError as error:
            raise ModelNotAvailable(f"this worker's ComfyUI does not answer\n{error}") from error
        self._stale = False
        self._offers = {(offer.model, offer.workflow.jobs): offer for offer in offers}
        if not any(offered == model for offered, _ in self._offers):
            raise ModelNotAvailable(
                f"this worker has no weights for {model} any more\nComfyUI at {self._url}"
            )

    def generate(self, render: AnyRender, inputs: Mapping[str, bytes], on_step: OnStep) -> Artifact:
        """Runs the workflow that takes exactly this job's inputs.

        Raises:
            RenderCanceled: Raised by `on_step` and passed on; ComfyUI stops, too.
            ModelNotAvailable: ComfyUI is gone, busy with other work, or misses a file.
            UnreadableMedia: An input picture cannot be read or is too large.
            OutOfMemory: The job does not fit on its GPU.
            RenderRefused: The content filter refuses the prompt.
            EngineError: The workflow failed, or has no place for what the job asks for.
        """
        self._filter.check(render.prompt)
        offer = self._offer(render, inputs)
        for role, data in inputs.items():
            if role not in MEDIA_ROLES:
                decode(data, what=role)
        self._made = True
        job = _Job(offer, render, inputs, on_step)
        try:
            data = asyncio.run(job.run(self._url))
        except ModelNotAvailable:
            self._stale = True  # its files may have changed: the next job looks anew
            raise
        return artifact_of(render, data, job.steps_done, self._filter)

    def _offer(self, render: AnyRender, roles: Collection[str]) -> Offer:
        """The workflow for a model that takes exactly these inputs."""
        control = control_of(render)
        offer = self._offers.get((render.model, (frozenset(roles), control)))
        if offer is not None:
            return offer
        brought = ", ".join(sorted(roles)) or "none"
        if render.control_net is not None:
            brought += f" and the ControlNet {render.control_net.name[:64]}"
        raise ModelNotAvailable(
            f"this worker has no workflow for {render.model} with these inputs: {brought}"
        )


class _Job:
    """One job in ComfyUI, through however many of its restarts."""

    def __init__(
        self, offer: Offer, render: AnyRender, inputs: Mapping[str, bytes], on_step: OnStep
    ) -> None:
        self._offer = offer
        self._render = render
        self._inputs = inputs
        self._on_step = on_step
        takes_steps = not offer.workflow.settings.keys().isdisjoint(("steps", HALF_STEPS))
        self._counter = StepCounter(offer.workflow.progress, render.steps, fixed=not takes_steps)
        self._preview: bytes | None = None
        self._prompt_id = str(uuid.uuid4())
        self._client_id = uuid.uuid4().hex
        self._submissions = 0

    @property
    def steps_done(self) -> int:
        """What the nodes told; a workflow whose nodes tell nothing did what it was asked for."""
        return self._counter.step or self._counter.step_count

    async def run(self, url: str) -> bytes:
        """The file that the result's node wrote."""
        async with ComfyServer(url) as server:
            try:
                while True:
                    try:
                        return await self._attempt(server)
                    except Gone:
                        await self._wait_until_back(server)
            except BaseException:
                await server.cancel(self._prompt_id)
                raise

    async def _attempt(self, server: ComfyServer) -> bytes:
        """Follows the prompt, submitting it first if ComfyUI does not know it (any more)."""
        events = await server.events(self._client_id)
        try:
            if not await server.knows(self._prompt_id):
                if self._submissions == _SUBMISSIONS:
                    raise ModelNotAvailable("ComfyUI stopped twice in the middle of this job")
                self._submissions += 1
                graph = await self._graph(server)
                await server.submit(graph, self._prompt_id, self._client_id)
            await self._follow(server, events)
        finally:
            await events.close()
        return await self._result(server)

    async def _graph(self, server: ComfyServer) -> Graph:
        files = {
            role: await server.upload(hashlib.sha256(data).hexdigest()[:32], data)
            for role, data in self._inputs.items()
        }
        return bind(self._offer, self._render, files)

    async def _follow(self, server: ComfyServer, events: Events) -> None:
        """Reports steps until all nodes have run."""
        loop = asyncio.get_running_loop()
        began, heard_s = False, loop.time()
        while True:
            event = await events.next(self._prompt_id, within_s=SIGN_OF_LIFE_S)
            match event:
                case Ended():
                    return
                case Began():
                    began = True
                case NodeProgress() as progress:
                    began = True
                    if self._counter.heard(progress):
                        self._report(self._preview)
                case Preview(data=data):
                    self._preview = data
                case None:
                    self._report()
                    if check_history(await server.history(self._prompt_id)):
                        return  # its end was told while the socket was down
                    self._lose_patience(began, loop.time() - heard_s)
                    continue
            heard_s = loop.time()

    def _report(self, preview: bytes | None = None) -> None:
        """Tells how far the job is, if only as a sign of life; raises when it was canceled."""
        self._on_step(
            Step(
                step=self._counter.step,
                step_count=self._counter.step_count,
                preview=None if preview is None else lambda: small_jpeg(preview),
            )
        )

    def _lose_patience(self, began: bool, quiet_s: float) -> None:
        if not began and quiet_s > BEGIN_WITHIN_S:
            raise ModelNotAvailable("this worker's ComfyUI is busy with other work")
        if quiet_s > QUIET_S:
            raise EngineError(f"ComfyUI gave no sign for {QUIET_S:g} s")

    async def _result(self, server: ComfyServer) -> bytes:
        entry = await server.history(self._prompt_id)
        check_history(entry)
        outputs = entry.get("outputs", {}).get(self._offer.workflow.result, {})
        for values in outputs.values():
            for file in values if isinstance(values, list) else ():
                if isinstance(file, dict) and "filename" in file:
                    return await server.view(file)
        raise EngineError(
            "the render made no file\n"
            f"node {self._offer.workflow.result} of {self._offer.workflow.name} wrote none; "
            f"the history says: {str(entry.get('status'))[:1000]}"
        )

    async def _wait_until_back(self, server: ComfyServer) -> None:
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + BACK_WITHIN_S
        while loop.time() < give_up_s:
            self._report()
            try:
                await server.knows(self._prompt_id)
            except Gone:
                await asyncio.sleep(_RETRY_S)
            else:
                return
        raise ModelNotAvailable("this worker's ComfyUI went away and did not come back")
