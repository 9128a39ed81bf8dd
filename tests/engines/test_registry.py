"""Engines found through entry points, and what happens to plug-ins that are broken."""

import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from dreamgrid.engines import pattern
from dreamgrid.engines.base import EngineSpec
from dreamgrid.engines.registry import GROUP, find_engines, load_spec
from dreamgrid.errors import ConfigError

PLUGIN = """
from dreamgrid.engines.base import EngineSpec

def create(threads):
    raise NotImplementedError

def refuse():
    raise RuntimeError("the driver is too old")

ENGINE = EngineSpec(name="theirs", models=lambda: ("pattern-v1", "theirs-v1"), create=create)
EMPTY = EngineSpec(name="empty", models=lambda: (), create=create, missing="pip install empty-gpu")
EXTRA = EngineSpec(
    name="extra", models=lambda: (), create=create, missing="start their server", optional=True
)
REFUSES = EngineSpec(name="refuses", models=refuse, create=create)
NUMBERS = EngineSpec(name="numbers", models=lambda: (1, 2), create=create)
LIMITED = EngineSpec(
    name="limited",
    models=lambda: ("theirs-v1",),
    create=create,
    limited=lambda: "no sound: pip install sound",
)
NOT_A_SPEC = {"name": "no"}
"""
BUILT_IN = EntryPoint("pattern", "dreamgrid.engines.pattern:ENGINE", GROUP)


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "their_engine.py").write_text(PLUGIN)
    (tmp_path / "broken_engine.py").write_text("import a_module_that_nobody_has")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    import sys

    sys.modules.pop("their_engine", None)


def theirs(attribute: str, *, name: str = "theirs") -> EntryPoint:
    return EntryPoint(name, f"their_engine:{attribute}", GROUP)


def test_the_package_declares_its_own_engines() -> None:
    pyproject = Path(__file__).parents[2] / "pyproject.toml"
    declared = tomllib.loads(pyproject.read_text())["project"]["entry-points"][GROUP]
    registry = find_engines(EntryPoint(name, value, GROUP) for name, value in declared.items())
    assert not registry.broken
    assert registry.by_model()[pattern.MODEL].spec is pattern.ENGINE


def test_an_installed_distribution_is_found(
    plugin: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "their_engine-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: their-engine\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(f"[{GROUP}]\ntheirs = their_engine:ENGINE\n")
    assert find_engines().by_model()["theirs-v1"].reference == "their_engine:ENGINE"


def test_what_most_machines_go_without_is_told_on_asking(plugin: None) -> None:
    registry = find_engines([theirs("EXTRA", name="extra")])
    assert registry.advice() == ()
    assert registry.advice(optional=True) == ("extra: start their server",)


def test_a_plug_in_serves_a_model_before_the_built_in_engine(plugin: None) -> None:
    registry = find_engines([BUILT_IN, theirs("ENGINE")])
    assert registry.by_model()["pattern-v1"].name == "theirs"
    assert [engine.name for engine in registry.engines] == ["theirs", "pattern"]


def test_what_the_owner_prefers_comes_first_and_every_claim_is_kept(plugin: None) -> None:
    registry = find_engines([BUILT_IN, theirs("ENGINE")])
    assert [engine.name for engine in registry.of("pattern-v1")] == ["theirs", "pattern"]
    preferring = registry.preferring(["pattern", "pattern"])
    assert [engine.name for engine in preferring.of("pattern-v1")] == ["pattern", "theirs"]
    assert preferring.by_model()["theirs-v1"].name == "theirs"
    with pytest.raises(ConfigError, match="no engine patern; there are: theirs, pattern"):
        registry.preferring(["patern"])


def test_the_first_name_wins_between_plug_ins(plugin: None) -> None:
    registry = find_engines([theirs("ENGINE", name="zebra"), theirs("ENGINE", name="ant")])
    assert registry.by_model()["theirs-v1"].name == "ant"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("broken_engine:ENGINE", "ModuleNotFoundError: No module named 'a_module_that_nobody_has'"),
        ("their_engine:NOTHING", "AttributeError"),
        ("their_engine:NOT_A_SPEC", "TypeError: their_engine:NOT_A_SPEC is a dict"),
        ("their_engine:REFUSES", "RuntimeError: the driver is too old"),
        ("their_engine:NUMBERS", "TypeError: the models of engine numbers must be"),
    ],
)
def test_a_broken_plug_in_is_reported_and_the_others_stay(
    plugin: None, caplog: pytest.LogCaptureFixture, value: str, reason: str
) -> None:
    registry = find_engines([EntryPoint("bad", value, GROUP), BUILT_IN])
    assert list(registry.by_model()) == ["pattern-v1"]
    (broken,) = registry.broken
    assert broken.name == "bad"
    assert broken.reason.startswith(reason)
    assert reason in caplog.text
    assert any(reason in line for line in registry.advice())
    with pytest.raises(ConfigError, match=f"^the engine bad cannot be used: {reason}"):
        registry.preferring(["bad"])


def test_an_engine_without_models_says_what_to_install(plugin: None) -> None:
    registry = find_engines([theirs("EMPTY", name="empty")])
    assert registry.by_model() == {}
    assert registry.advice() == ("empty: pip install empty-gpu",)


def test_what_the_engines_lack_is_told_once(plugin: None) -> None:
    points = [theirs("LIMITED", name="one"), theirs("LIMITED", name="other"), BUILT_IN]
    registry = find_engines(points)
    assert registry.limits() == registry.advice() == ("no sound: pip install sound",)


def test_a_reference_leads_back_to_its_spec() -> None:
    assert load_spec("dreamgrid.engines.pattern:ENGINE") is pattern.ENGINE
    assert load_spec("dreamgrid.engines.pattern") is pattern.ENGINE
    assert isinstance(pattern.ENGINE, EngineSpec)
