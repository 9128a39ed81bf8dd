"""docs/worker-protocol.md shows every message, and what it shows is what the codec reads."""

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from dreamgrid.protocol import codec, socket
from dreamgrid.protocol.worker import (
    WORKER_PATH,
    WORKER_PROTOCOL,
    AnyServerMessage,
    AnyWorkerMessage,
)
from dreamgrid.worker import runner

PAGE = (Path(__file__).parents[2] / "docs" / "worker-protocol.md").read_text()
EXAMPLES = [str(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
KINDS = (*get_args(AnyWorkerMessage), *get_args(AnyServerMessage))


def type_of(text: str) -> str:
    return str(msgspec.json.decode(text)["type"])


@pytest.mark.parametrize("example", EXAMPLES, ids=type_of)
def test_each_example_is_a_message_with_all_its_fields(example: str) -> None:
    tags = {kind.__struct_config__.tag for kind in get_args(AnyWorkerMessage)}
    decode = codec.decode_from_worker if type_of(example) in tags else codec.decode_from_server
    written = msgspec.json.decode(codec.encode_worker(decode(example)))
    assert written == msgspec.json.decode(example)


def test_every_message_has_an_example() -> None:
    assert {type_of(example) for example in EXAMPLES} == {
        kind.__struct_config__.tag for kind in KINDS
    }


def test_the_page_names_version_path_sizes_and_close_codes() -> None:
    assert f"Version: **{WORKER_PROTOCOL}**" in PAGE
    assert WORKER_PATH in PAGE
    assert f"At most {codec.MAX_WORKER_MESSAGE_BYTES // 1024} KiB per message" in PAGE
    for code in (
        socket.CLOSE_AUTHENTICATION,
        socket.CLOSE_REPLACED,
        socket.CLOSE_NOT_ALLOWED,
        socket.CLOSE_PROTOCOL,
        socket.CLOSE_RESTART,
    ):
        assert f"| {code} |" in PAGE


def test_every_name_of_a_failure_is_explained() -> None:
    names = set(
        re.findall(r'"([a-z]+_[a-z_]+)", (?:True|False|message)', Path(runner.__file__).read_text())
    )
    assert {"upload_failed", "engine_crashed"} <= names
    for name in names:
        assert f"| `{name}` |" in PAGE
