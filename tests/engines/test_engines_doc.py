"""The engine in docs/engines.md is real: it is installed, found and renders in a child process."""

import io
import re
import tomllib
from pathlib import Path

import pytest
from PIL import Image

from dreamgrid.engines import registry
from dreamgrid.engines.registry import GROUP, find_engines
from dreamgrid.protocol.renders import ImageRender
from dreamgrid.worker.frames import Setup, Stepped
from dreamgrid.worker.host import EngineHost
from dreamgrid.worker.tasks import task_group

PAGE = Path(__file__).parents[2] / "docs" / "engines.md"


def block(language: str) -> str:
    (code,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(code)


async def test_the_engine_of_the_page_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fog_engine.py").write_text(block("python"))
    points = tomllib.loads(block("toml"))["project"]["entry-points"][GROUP]
    info = tmp_path / "fog_engine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fog-engine\nVersion: 1.0\n")
    lines = [f"[{GROUP}]", *(f"{name} = {value}" for name, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)

    found = find_engines().by_model()["fog-v1"]
    render = ImageRender(
        model="fog-v1",
        prompt="",
        width=40,
        height=30,
        steps=4,
        guidance=1,
        seed=2,
        output_format="webp",
    )
    seen: list[Stepped] = []
    async with task_group() as tasks:
        host = EngineHost(tasks, Setup(engines={"fog-v1": (found.reference,)}, threads=1))
        try:
            rendered = await host.render(render, {}, previews=1, on_step=seen.append)
        finally:
            await host.close()
    with Image.open(io.BytesIO(rendered.data)) as picture:
        assert (picture.format, picture.size) == ("WEBP", (40, 30))
    assert [step.step for step in seen if step.preview] == [2]


def test_the_page_and_the_registry_tell_the_same_rule() -> None:
    for text in (PAGE.read_text(), registry.__doc__ or ""):
        assert "plug-ins before the engines that come with dreamgrid" in " ".join(text.split())
