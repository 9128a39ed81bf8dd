import inspect
import json
import subprocess
import sys

import pytest

import dreamgrid
from dreamgrid import errors

HEAVY = ["aiohttp", "numpy", "PIL", "onnxruntime", "typer", "rich", "msgspec", "asyncio", "ssl"]
OTHER_ROOMS = ["dreamgrid.server", "dreamgrid.worker", "dreamgrid.engines", "dreamgrid.cli"]


def modules_after(program: str) -> set[str]:
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{program}\nimport json, sys; print(json.dumps(list(sys.modules)))",
        ],
        capture_output=True,
        check=True,
        timeout=60,
    )
    return set(json.loads(ran.stdout))


def test_import_dreamgrid_loads_next_to_nothing() -> None:
    before = modules_after("pass")
    new = modules_after("import dreamgrid") - before
    assert not new & {*HEAVY, *OTHER_ROOMS}
    assert {name for name in new if name.startswith("dreamgrid")} == {"dreamgrid"}


def test_the_client_loads_no_other_room_and_no_engine() -> None:
    loaded = modules_after("import dreamgrid; dreamgrid.AsyncClient; dreamgrid.Client")
    assert not loaded & {*OTHER_ROOMS, "numpy", "PIL", "onnxruntime", "typer", "rich"}
    assert "aiohttp" in loaded


def test_errors_and_events_are_there_without_the_network_library() -> None:
    loaded = modules_after("import dreamgrid; dreamgrid.WaitTimeout; dreamgrid.Progressed")
    assert "aiohttp" not in loaded


@pytest.mark.parametrize("name", dreamgrid.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(dreamgrid, name)
    if inspect.isclass(value):
        assert inspect.getdoc(value)


def test_every_public_name_is_listed() -> None:
    assert set(dreamgrid._HOME) | {"__version__"} == set(dreamgrid.__all__)
    assert set(dreamgrid.__all__) <= set(dir(dreamgrid))


def test_every_error_that_a_caller_can_meet_is_public() -> None:
    not_for_callers = {"EngineError", "ModelNotAvailable", "OutOfMemory", "RenderCanceled"}
    not_for_callers |= {"EngineCrashed", "RenderRefused", "WorkerReplaced", "FolderInUse"}
    not_for_callers |= {"DownloadFailed", "DatabaseInUse", "OwnGridUnreachable"}
    found = (value for value in vars(errors).values() if inspect.isclass(value))
    tree = {one.__name__ for one in found if issubclass(one, dreamgrid.DreamgridError)}
    assert tree - not_for_callers <= set(dreamgrid.__all__)


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        dreamgrid.nonsense  # noqa: B018
