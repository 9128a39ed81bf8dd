"""A published SDK in its own process, spoken to in JSON lines."""

import asyncio
import base64
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ANSWER_WITHIN_S = 60.0
_LINE_BYTES = 16 * 1024 * 1024

Event = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Sdk:
    """One published version of an SDK, and what it can do.

    Attributes:
        name: How tests call it.
        command: Starts its driver.
        api_keys: It can sign in with an API key; else only with a wallet.
        recovers: It asks for its projects again after a reconnect.
    """

    name: str
    command: tuple[str, ...]
    api_keys: bool = True
    recovers: bool = False

    @property
    def leave(self) -> str:
        """Name of the method that closes a client for good."""
        return "aclose" if self.name.startswith("py") else "dispose"

    @property
    def oldest(self) -> bool:
        """Whether it is the generation before media had types."""
        return self.name == "js-3.1.1"

    def __str__(self) -> str:
        return self.name


def _javascript(version: str, **traits: Any) -> Sdk:
    command = ("node", str(HERE / "driver.mjs"), f"sogni-{version}")
    return Sdk(name=f"js-{version}", command=command, **traits)


SDKS = (
    _javascript("3.1.1", api_keys=False),
    _javascript("4.1.0-alpha.4"),
    _javascript("5.1.0"),
    _javascript("5.17.0"),
    _javascript("5.54.0", recovers=True),
    Sdk(
        name="py-5.70.0",
        command=(sys.executable, str(HERE / "driver.py")),
        recovers=True,
    ),
)


class SdkError(Exception):
    """The SDK refused or failed; `told` is its error as it gave it to its app."""

    def __init__(self, told: dict[str, Any]) -> None:
        super().__init__(str(told.get("message", told)))
        self.told = told


@dataclass
class _Waiting:
    matches: Callable[[Event], bool]
    future: asyncio.Future[Event]


@dataclass(eq=False)
class Driver:
    """One process that runs an SDK. Use as an async context manager."""

    sdk: Sdk
    events: list[Event] = field(default_factory=list)

    async def __aenter__(self) -> "Driver":
        self.unhandled_is_expected = False
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._waiting: list[_Waiting] = []
        self._numbers = count(1)
        self._process: Process = await asyncio.create_subprocess_exec(
            *self.sdk.command, stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=_LINE_BYTES, cwd=HERE
        )
        self._reader = asyncio.create_task(self._read())
        assert self._process.stderr is not None
        self._stderr = asyncio.create_task(self._process.stderr.read())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                status = await self._process.wait()
        except TimeoutError:
            self._process.kill()
            status = await self._process.wait()
        await self._reader
        stderr = (await self._stderr).decode()
        assert status == 0, f"{self.sdk} ended with {status}: {stderr}"
        unhandled = [one for one in self.events if one["event"] == "unhandled"]
        assert self.unhandled_is_expected or not unhandled, f"would have ended an app: {unhandled}"

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            words = json.loads(line)
            if "id" in words:
                self._answer(words)
            else:
                self._happened(words)
        gone = SdkError({"message": f"the process of {self.sdk} ended"})
        for future in [*self._answers.values(), *(one.future for one in self._waiting)]:
            if not future.done():
                future.set_exception(gone)

    def _answer(self, words: dict[str, Any]) -> None:
        future = self._answers.pop(words["id"])
        if future.done():
            return
        if "error" in words:
            future.set_exception(SdkError(words["error"]))
        else:
            future.set_result(words["ok"])

    def _happened(self, event: Event) -> None:
        self.events.append(event)
        for waiting in list(self._waiting):
            if waiting.matches(event):
                self._waiting.remove(waiting)
                if not waiting.future.done():
                    waiting.future.set_result(event)

    def send(self, command: str, **words: Any) -> Awaitable[Any]:
        """Sends a command at once; awaiting what it returns gives the answer.

        Raises:
            SdkError: What the SDK threw, raised by the awaiting.
        """
        assert not self._reader.done(), f"the process of {self.sdk} ended"
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        line = json.dumps({"id": number, "command": command, **words}) + "\n"
        self._process.stdin.write(line.encode())
        return self._within(answer, command)

    async def waiting_for(self, project: str) -> Awaitable[Any]:
        """Has the SDK wait for a project; returns when it does so, before anything is rendered.

        Awaiting what it returns gives the results. The oldest SDK counts what it has when it is
        asked too late, and a process may read what a server says before what it is told here.
        """
        answer = self.send("wait", project=project)
        await self.send("snapshot", project=project)  # commands are begun in their order
        return answer

    def until(self, event: str, *, app: str | None = None, **data: Any) -> Awaitable[Event]:
        """The first event of this name whose data holds these values: seen already, or to come."""

        def matches(one: Event) -> bool:
            got = one["data"]
            return bool(
                one["event"] == event
                and app in (None, one.get("app"))
                and (not data or isinstance(got, dict))
                and all(got.get(name) == value for name, value in data.items())
            )

        future = asyncio.get_running_loop().create_future()
        seen = next((one for one in self.events if matches(one)), None)
        if seen is not None:
            future.set_result(seen)
        else:
            self._waiting.append(_Waiting(matches, future))
        return self._within(future, f"{event} {data}")

    def until_next(self, event: str) -> Awaitable[Event]:
        """The first event of this name that comes after this call."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(lambda one: bool(one["event"] == event), future))
        return self._within(future, event)

    async def _within(self, future: asyncio.Future[Any], what: str) -> Any:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await future
        except TimeoutError:
            told = "\n".join(map(str, self.events[-40:]))
            raise AssertionError(f"{self.sdk}: no {what}; the last events were:\n{told}") from None

    async def until_true(self, check: Callable[[], Awaitable[bool]], what: str) -> None:
        """Returns as soon as `check` holds; asks again whenever the SDK emitted something."""
        while True:
            asked_at = len(self.events)
            if await check():
                return
            if len(self.events) == asked_at:
                future = asyncio.get_running_loop().create_future()
                self._waiting.append(_Waiting(lambda _: True, future))
                await self._within(future, what)

    def seen(self, event: str, **data: Any) -> list[Event]:
        """All events so far of this name whose data holds these values."""
        return [
            one
            for one in self.events
            if one["event"] == event and all(one["data"].get(k) == v for k, v in data.items())
        ]


def file(data: bytes) -> dict[str, str]:
    """The bytes of a file as drivers take them."""
    return {"$bytes": base64.b64encode(data).decode()}


@dataclass(eq=False)
class App:
    """One client instance inside a driver."""

    driver: Driver
    name: str

    async def call(self, path: str, *args: Any) -> Any:
        """Calls a method of the client, such as `projects.getSizePresets`."""
        return await self.driver.send("call", app=self.name, path=path, args=args)

    async def get(self, path: str) -> Any:
        """Reads a property of the client."""
        return await self.driver.send("get", app=self.name, path=path)

    async def sign_up(self, username: str, password: str = "secret") -> Any:
        """Makes an account; the SDK is signed in afterwards."""
        wish = {
            "username": username,
            "email": f"{username.lower()}@example.com",
            "password": password,
            "subscribe": False,
            "turnstileToken": "none",
        }
        return await self.call("account.create", wish)

    async def log_in(self, username: str, password: str = "secret") -> Any:
        """Signs in to an account that exists."""
        return await self.call("account.login", username, password)

    async def until_signed_in(self) -> None:
        """Returns when the SDK says that it is; it learns its address from an answer of its own."""
        await self.driver.until_true(
            lambda: self.get("account.currentAccount.isAuthenicated"), "sign-in"
        )

    async def create(self, **params: Any) -> str:
        """Submits a project; its id."""
        given = {"modelId": "pattern-v1", "positivePrompt": "a lighthouse", "count": 1, "steps": 4}
        return str(await self.driver.send("create", app=self.name, params={**given, **params}))

    async def spark(self) -> Decimal:
        """What the account can spend, asked afresh."""
        return Decimal((await self.call("account.refreshBalance"))["spark"]["net"])

    async def until_spark(self, net: Decimal) -> None:
        """Returns when the account can spend `net`, as the socket told the SDK."""

        async def reached() -> bool:
            return Decimal(await self.get("account.currentAccount.balance.spark.net")) == net

        await self.driver.until_true(reached, f"balance of {net}")
