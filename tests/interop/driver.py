"""Drives the published Python SDK for a test; the same words as `driver.mjs`.

Commands come in as JSON lines on stdin; answers and everything that the SDK emits go out as JSON
lines on stdout. Run by its own interpreter, so that a crash of the SDK is seen as one.
"""

import asyncio
import base64
import json
import re
import sys
from typing import Any

from sogni_client import SogniClient

apps: dict[str, Any] = {}
projects: dict[str, Any] = {}
waits: dict[str, asyncio.Task[Any]] = {}


def say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line, default=_plain) + "\n")
    sys.stdout.flush()


def _plain(value: Any) -> Any:
    for name in ("to_dict", "model_dump"):
        if hasattr(value, name):
            return getattr(value, name)()
    return str(value)


def _listen(app: str, client: Any) -> None:
    def forward(source: Any, event: str) -> None:
        source.on(event, lambda data: say({"app": app, "event": event, "data": data}))

    forward(client.api_client, "connected")
    forward(client.api_client, "disconnected")
    recovered = ("activeProjectsRecovered", "completedProjectsRecovered")
    for event in ("availableModels", "project", "job", "queueChanged", *recovered):
        forward(client.projects, event)
    forward(client.account.current_account, "updated")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])([A-Z])", lambda match: "_" + match[1].lower(), name)


def _find(root: Any, path: str) -> Any:
    value = root
    for name in path.split("."):
        value = value[name] if isinstance(value, dict) else getattr(value, _snake(name))
    return value


def _params(asked: dict[str, Any]) -> dict[str, Any]:
    params = {"type": "image", "negativePrompt": "", "stylePrompt": "", **_revived(asked)}
    params["numberOfMedia"] = params.pop("count")
    if "previews" in params:
        params["numberOfPreviews"] = params.pop("previews")
    return params


def _revived(value: Any) -> Any:
    """Files travel to this process as `{"$bytes": "<base64>"}`, wherever they stand."""
    if isinstance(value, list):
        return [_revived(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "$bytes" in value:
        return base64.b64decode(value["$bytes"])
    return {name: _revived(one) for name, one in value.items()}


async def _open(*, app: str, options: dict[str, Any]) -> None:
    def connected_later(client: Any) -> None:
        apps[app] = client
        _listen(app, client)

    connected_later(await SogniClient.create(options))


async def _call(*, app: str, path: str, args: list[Any]) -> Any:
    return await _find(apps[app], path)(*args)


async def _get(*, app: str, path: str) -> Any:
    return _find(apps[app], path)


async def _create(*, app: str, params: dict[str, Any]) -> str:
    project = await apps[app].projects.create(_params(params))
    projects[project.id] = project
    # In the same breath, as apps do. A wait that begins between a result and the end of its project
    # is answered without the result: this SDK takes a result in with a task of its own.
    wait = waits[project.id] = asyncio.create_task(project.wait_for_completion())
    wait.add_done_callback(lambda done: done.cancelled() or done.exception())
    return str(project.id)


async def _wait(*, project: str) -> Any:
    return await waits[project]


async def _cancel(*, project: str) -> None:
    await projects[project].cancel()


async def _enhance(*, project: str, job: str, strength: str) -> Any:
    return await projects[project].job(job).enhance(strength)


async def _last_frame(*, project: str, job: str) -> Any:
    return await projects[project].job(job).get_last_frame_url()


async def _snapshot(*, project: str) -> dict[str, Any]:
    one = projects[project]
    jobs = [
        {
            "id": job.id,
            "status": job.status,
            "seed": job.seed,
            "resultUrl": job.result_url,
            "previewUrl": job.preview_url,
            "error": job.error,
            "workerName": job.worker_name,
            "type": job.type,
            "isNSFW": job.is_nsfw,
            "nsfwDetected": job.nsfw_detected,
            "positivePrompt": getattr(job, "positive_prompt", None),
            "negativePrompt": getattr(job, "negative_prompt", None),
        }
        for job in one.jobs
    ]
    return {
        "id": one.id,
        "status": one.status,
        "progress": one.progress,
        "error": one.error,
        "jobs": jobs,
    }


COMMANDS = {
    "open": _open,
    "call": _call,
    "get": _get,
    "create": _create,
    "wait": _wait,
    "cancel": _cancel,
    "enhance": _enhance,
    "lastFrame": _last_frame,
    "snapshot": _snapshot,
}


async def _run(line: str) -> None:
    words = json.loads(line)
    number, command = words.pop("id"), words.pop("command")
    try:
        say({"id": number, "ok": await COMMANDS[command](**words)})  # type: ignore[operator]
    except Exception as error:
        payload = getattr(error, "payload", None)
        told = {"message": str(error), "status": getattr(error, "status", None), "payload": payload}
        code = getattr(error, "code", None)
        say({"id": number, "error": {**told, "code": code}})


async def _main() -> None:
    loop = asyncio.get_running_loop()
    stdin = asyncio.StreamReader(limit=16 * 1024 * 1024)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    async with asyncio.TaskGroup() as group:
        while line := await stdin.readline():
            group.create_task(_run(line.decode()))
        for client in apps.values():
            await client.aclose()


if __name__ == "__main__":
    asyncio.run(_main())
