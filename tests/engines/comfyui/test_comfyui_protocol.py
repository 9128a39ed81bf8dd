"""The stand-in held against what a real ComfyUI does, and the real one at
`DREAMGRID_TEST_COMFYUI_URL`, where one is named, against the same expectations."""

import json
import os
import struct
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from dreamgrid.engines.comfyui.versions import is_older
from tests.engines.comfyui.stand_in import StandIn

REAL_URL = os.environ.get("DREAMGRID_TEST_COMFYUI_URL", "")
HELLO = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}


@pytest.fixture(params=["stand-in", *(["real"] if REAL_URL else [])])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "real":
        yield REAL_URL
        return
    with StandIn() as comfy:
        yield comfy.url


def asked(url: str, path: str, body: object = None) -> tuple[int, Any]:
    """Status and answer; an empty answer is None."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    return status, json.loads(text) if text[:1] in (b"{", b"[") else None


def plain(**changes: object) -> dict[str, Any]:
    """A picture of one colour, which no cache has seen before."""
    size = {"width": 8, "height": 8, "batch_size": 1, "color": uuid.uuid4().int % 2**24}
    return {
        "empty": {"class_type": "EmptyImage", "inputs": size | changes},
        "save": {
            "class_type": "SaveImage",
            "inputs": {"images": ["empty", 0], "filename_prefix": "dreamgrid/test"},
        },
    }


async def told_of(url: str, graph: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Every message of the socket until a prompt's end, and its entry in the history."""
    prompt_id, client_id = str(uuid.uuid4()), uuid.uuid4().hex
    heard: list[dict[str, Any]] = []
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url}/ws", params={"clientId": client_id}) as socket,
    ):
        await socket.send_json(HELLO)
        body = {"prompt": graph, "prompt_id": prompt_id, "client_id": client_id}
        async with session.post(f"{url}/prompt", json=body) as answer:
            made = await answer.json()
        assert set(made) == {"prompt_id", "number", "node_errors"}
        assert (made["prompt_id"], made["node_errors"]) == (prompt_id, {})
        while True:
            message = await socket.receive()
            if message.type is aiohttp.WSMsgType.BINARY:
                (kind,) = struct.unpack_from(">I", message.data)
                heard.append({"type": "binary", "data": {"kind": kind}})
                continue
            heard.append(json.loads(message.data))
            data = heard[-1]["data"]
            ends = data.get("prompt_id") == prompt_id and data.get("node", "") is None
            if heard[-1]["type"] == "executing" and ends:
                break
        async with session.get(f"{url}/history/{prompt_id}") as answer:
            return heard, (await answer.json())[prompt_id]


async def test_a_prompt_is_told_about_in_this_order(address: str) -> None:
    heard, entry = await told_of(address, plain())
    kinds = [one["type"] for one in heard]
    assert kinds[:2] == ["status", "feature_flags"]
    assert "sid" in heard[0]["data"]
    of_prompt = [kind for kind in kinds[2:] if kind not in ("status", "progress_state")]
    assert of_prompt == [
        "execution_start",
        "execution_cached",
        "executing",
        "executing",
        "executed",
        "execution_success",
        "executing",
    ]
    assert kinds[-2] == "status"  # the queue is shorter, and the history knows, before the end
    executed = next(one["data"] for one in heard if one["type"] == "executed")
    assert set(executed) == {"node", "display_node", "output", "prompt_id"}
    (file,) = executed["output"]["images"]
    assert set(file) == {"filename", "subfolder", "type"}
    assert set(entry) == {"prompt", "outputs", "status", "meta"}
    assert entry["outputs"] == {"save": {"images": [file]}}
    assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("success", True)
    messages = [kind for kind, _ in entry["status"]["messages"]]
    assert messages == ["execution_start", "execution_cached", "execution_success"]
    assert entry["prompt"][1:3] == [heard[-1]["data"]["prompt_id"], plain_of(entry)]


def plain_of(entry: dict[str, Any]) -> dict[str, Any]:
    return plain(color=entry["prompt"][2]["empty"]["inputs"]["color"])


async def test_what_was_made_before_comes_from_the_cache_with_its_file(address: str) -> None:
    graph = plain()
    _, first = await told_of(address, graph)
    heard, again = await told_of(address, graph)
    cached = next(one["data"] for one in heard if one["type"] == "execution_cached")
    assert sorted(cached["nodes"]) == ["empty", "save"]
    assert [one["data"]["node"] for one in heard if one["type"] == "executing"] == [None]
    assert again["outputs"] == first["outputs"]


def test_what_cannot_run_is_refused_in_these_words(address: str) -> None:
    def refused(graph: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        body = {"prompt": graph, "prompt_id": str(uuid.uuid4()), "client_id": "x"}
        status, answer = asked(address, "/prompt", body)
        assert status == 400
        assert set(answer) == {"error", "node_errors"}
        assert set(answer["error"]) == {"type", "message", "details", "extra_info"}
        return answer["error"]["type"], answer

    kind, answer = refused(plain() | {"odd": {"class_type": "NoSuchNode", "inputs": {}}})
    assert (kind, answer["node_errors"]) == ("invalid_prompt", {})
    assert "NoSuchNode does not exist" in answer["error"]["message"]
    graph = plain()
    del graph["save"]
    assert refused(graph)[0] == "prompt_no_outputs"
    kind, answer = refused(plain(width=20000))
    assert kind == "prompt_outputs_failed_validation"
    found = answer["node_errors"]["empty"]
    assert set(found) == {"errors", "dependent_outputs", "class_type"}
    assert (found["dependent_outputs"], found["class_type"]) == (["save"], "EmptyImage")
    (fault,) = found["errors"]
    assert set(fault) == {"type", "message", "details", "extra_info"}
    assert (fault["type"], fault["details"]) == ("value_bigger_than_max", "width")
    assert {"input_name", "input_config", "received_value"} == set(fault["extra_info"])


def test_a_file_that_is_not_there_is_refused_by_its_loader(address: str) -> None:
    loader = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "no such.ckpt"}}
    decoder = {
        "class_type": "VAEEncode",
        "inputs": {"pixels": ["empty", 0], "vae": ["loader", 2]},
    }
    shown = {"class_type": "VAEDecode", "inputs": {"samples": ["coded", 0], "vae": ["loader", 2]}}
    graph = plain() | {"loader": loader, "coded": decoder, "shown": shown}
    graph["save"]["inputs"]["images"] = ["shown", 0]
    status, answer = asked(address, "/prompt", {"prompt": graph, "client_id": "x"})
    assert status == 400
    (fault,) = answer["node_errors"]["loader"]["errors"]
    assert fault["type"] == "value_not_in_list"
    assert fault["details"].startswith("ckpt_name: 'no such.ckpt' not in ")


def test_what_is_unknown_is_answered_quietly(address: str) -> None:
    nobody = str(uuid.uuid4())
    assert asked(address, f"/history/{nobody}") == (200, {})
    assert asked(address, "/queue", {"delete": [nobody]}) == (200, None)
    assert asked(address, "/interrupt", {"prompt_id": nobody}) == (200, None)
    assert asked(address, "/view?filename=none.png&subfolder=&type=output")[0] == 404
    status, queue = asked(address, "/queue")
    assert (status, set(queue)) == (200, {"queue_running", "queue_pending"})
    version = asked(address, "/system_stats")[1]["system"]["comfyui_version"]
    assert not is_older(version, "0.3.45")
