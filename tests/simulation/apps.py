"""Apps that ask, ask again, cancel, disappear and come back, as the published SDKs do."""

import asyncio
import json
import uuid
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from dreamgrid.errors import NotFound
from dreamgrid.protocol import codec
from dreamgrid.protocol.socket import CLOSE_REPLACED
from dreamgrid.server.auth import Account
from dreamgrid.server.new_projects import App
from dreamgrid.server.store.base import EventRow
from tests.simulation.lines import Line
from tests.simulation.logs import ENDS
from tests.simulation.server import ORIGIN
from tests.support.wire import CANCELED, Frame, job_request

if TYPE_CHECKING:
    from tests.simulation.world import World

ABSENT_WORKER = "remembered"
"""A worker that the grid knows and that is never there."""

TRY_AGAIN = {1001, 4104, 5006}
"""Wire codes of refusals after which the same request may be sent again."""


@dataclass
class Asked:
    """A project from its app's point of view.

    Attributes:
        heard: A frame about it came: the server has it, or has refused it.
        unwanted: Its app has canceled it and waits to hear that.
        ended: It is over, as far as its app knows.
    """

    id: str
    count: int
    request: bytes
    heard: bool = False
    unwanted: bool = False
    ended: bool = False


@dataclass
class ScriptedApp:
    """One app of an account, over all of its connections."""

    world: "World"
    account: Account
    app_id: str
    models: tuple[str, ...]
    projects: dict[str, Asked] = field(default_factory=dict)
    line: Line | None = None
    greeted: bool = False

    @property
    def connected(self) -> bool:
        """Whether the server can reach it."""
        return self.line is not None and not self.line.broken and self.greeted

    async def live(self) -> None:
        """Connects again and again."""
        chance = self.world.chance
        while True:
            await asyncio.sleep(chance.uniform(0.1, 2.0))
            if not self.world.server.running:
                continue
            over = asyncio.Event()
            app = App(account=self.account, app_id=self.app_id, network="fast", origin=ORIGIN)
            line = self.world.connect_app(self, app, self._take, over.set)
            self.line, self.greeted = line, False
            await over.wait()
            # It connects again only after this: there was no newer connection of it yet.
            assert line.close_code != CLOSE_REPLACED, f"{self.app_id} is thrown out for no other"
            if self.line is line:
                self.line = None

    # ── what it does ─────────────────────────────────────────────────────────────────────────────

    def ask(self, count: int) -> None:
        """Wants a new project."""
        chance = self.world.chance
        project_id = str(uuid.UUID(int=chance.getrandbits(128), version=4)).upper()
        request = job_request(
            project_id,
            numberOfImages=count,
            modelID=chance.choice(self.models),
            tokenType=chance.choice(["spark", "spark", "sogni"]),
            disableSafety=chance.random() < 0.3,
            **self._wish(),
        )
        asked = Asked(project_id, count, json.dumps(request).encode())
        self.projects[project_id] = asked
        self.world.oracle.asked(asked, self.account.id)
        self._send(asked)

    def _wish(self) -> dict[str, str]:
        """Where nothing may wait for ever, some want a worker that never comes."""
        if self.world.plan.max_queue_s and self.world.chance.random() < 0.3:
            return {"positivePrompt": f"a cat --workers={ABSENT_WORKER}"}
        return {}

    def ask_again(self) -> None:
        """Sends a request once more, as after a lost connection."""
        wanted = [asked for asked in self.projects.values() if not asked.unwanted]
        if wanted:
            self._send(self.world.chance.choice(wanted))

    def cancel(self) -> None:
        """Does not want a project any more."""
        open_ones = [asked for asked in self.projects.values() if not asked.ended]
        if open_ones:
            asked = self.world.chance.choice(open_ones)
            asked.unwanted = True
            self._send_cancel(asked)

    def watch(self) -> None:
        """Reads the log of a project from its beginning to its end, beside the frames."""
        world = self.world
        known = [one.id for one in self.projects.values() if world.oracle.has_accepted(one.id)]
        unwatched = [one for one in known if one not in world.watching]
        if unwatched:
            project_id = world.chance.choice(unwatched)
            world.watching.add(project_id)
            world.start(self._watch(project_id))

    async def _watch(self, project_id: str) -> None:
        """After every crash it goes on with the number of the last event that it has seen."""
        after = 0
        while True:
            server = self.world.server
            if server.running:
                async with server.services.feeds.watch(project_id, after=after) as feed:
                    async for event in feed.events():
                        if self.world.server is not server:
                            break
                        if not isinstance(event, EventRow):
                            continue
                        assert event.number == after + 1, f"{event} was seen after event {after}"
                        after = event.number
                        if event.kind in ENDS:
                            self.world.watching.discard(project_id)
                            return
            await asyncio.sleep(1.0)

    def leave(self) -> None:
        """Closes its connection in good order."""
        if self.line is not None:
            self.line.hang_up()

    def _send(self, asked: Asked) -> None:
        if self.line is not None:
            self.world.note(self.app_id, "asks", asked.id)
            data = codec.encode_raw("jobRequest", json.loads(asked.request))
            self.line.up.send(data)
            if self.world.chance.random() < self.line.weather().repeat:
                self.line.up.send(data)

    def _send_cancel(self, asked: Asked) -> None:
        if self.line is not None:
            self.world.note(self.app_id, "cancels", asked.id)
            self.world.oracle.interruptions.meddled(asked.id)
            self.line.up.send(codec.encode_raw("jobError", {"jobID": asked.id, **CANCELED}))

    # ── what it hears ────────────────────────────────────────────────────────────────────────────

    def _take(self, data: bytes) -> None:
        frame = opened(data)
        if frame.type == "authenticated":
            self.greeted = True
            self._compare(frame)
        if not isinstance(frame.payload, dict):
            return
        asked = self.projects.get(frame.payload.get("jobID", ""))
        if asked is None:
            return
        asked.heard = True
        match frame.short:
            case "jobCompleted":
                asked.ended = True
            case "artistCancelConfirmation" if frame["didCancel"]:
                asked.ended = True
            case "jobError" if "imgID" not in frame.payload:
                self._refused_or_failed(asked, frame["error"])

    def _refused_or_failed(self, asked: Asked, error: Any) -> None:
        if error not in TRY_AGAIN:
            asked.ended = True
        else:
            asked.heard = False

    def _compare(self, greeting: Frame) -> None:
        """Compares notes with the server after a new connection."""
        active = {one["id"] for one in greeting["activeProjects"]}
        for asked in self.projects.values():
            if asked.ended:
                continue
            if asked.unwanted:
                self._send_cancel(asked)
            elif asked.id not in active:
                asyncio.get_running_loop().call_later(1.0, self._look, asked)

    def _look(self, asked: Asked) -> None:
        if not asked.ended and not asked.unwanted:
            self.world.start(self._look_up(asked))

    async def _look_up(self, asked: Asked) -> None:
        """Asks over HTTP what became of a project, and sends it again if nobody knows it."""
        server = self.world.server
        if not server.running:
            return
        try:
            found = await server.services.projects.find(self.account, asked.id)
        except NotFound:
            self.world.oracle.is_unknown(asked.id)
            if not asked.unwanted:  # in the meantime
                self._send(asked)
            return
        if found.ended_ms is not None:
            asked.heard = asked.ended = True

    def settle(self) -> None:
        """Once nothing goes wrong any more: sees to it that everything comes to an end."""
        for asked in self.projects.values():
            if not asked.ended:
                if asked.unwanted:
                    self._send_cancel(asked)
                elif not asked.heard:
                    self._send(asked)


@lru_cache(maxsize=1_000)
def opened(data: bytes) -> Frame:
    """A frame of the server, read; the oracle, its app and the trace share it."""
    envelope = codec.open_envelope(data)
    return Frame(envelope.type, msgspec.json.decode(envelope.data))
