"""Which models a worker offers on this machine, and what becomes of the rest."""

import pytest

from dreamgrid.engines.base import EngineSpec, Prospect
from dreamgrid.engines.machine import Machine
from dreamgrid.engines.registry import FoundEngine, Registry
from dreamgrid.errors import ConfigError
from dreamgrid.worker.plan import plan_work


def refuse(threads: int) -> None:
    raise NotImplementedError


def engine(name: str, *models: str, prospects: tuple[Prospect, ...] = ()) -> FoundEngine:
    spec = EngineSpec(
        name=name,
        models=lambda: models,
        create=refuse,  # type: ignore[arg-type]
        prospects=lambda _: prospects,
    )
    return FoundEngine(name=name, reference=f"{name}:ENGINE", spec=spec, models=models)


REAL = engine(
    "real",
    "fits-v1",
    "huge-v1",
    prospects=(
        Prospect(model="fits-v1", state="ready", text="whole on the GPU"),
        Prospect(model="huge-v1", state="too_large", text="needs a GPU with 90 GiB"),
        Prospect(model="far-v1", state="absent", text="its weights are not here", advice="get it"),
    ),
)
SMALL = engine("small", "small-v1")
BOTH = Registry(engines=(REAL, SMALL))


def test_everything_that_is_here_and_fits_is_served() -> None:
    plan = plan_work(BOTH, Machine())
    assert plan.models == ("fits-v1", "small-v1")
    assert plan.serves[0].text == "whole on the GPU"
    assert {left.model: left.state for left in plan.leaves} == {
        "huge-v1": "too_large",
        "far-v1": "absent",
    }


def test_a_model_that_its_owner_names_is_served_even_if_it_seems_too_large() -> None:
    assert plan_work(BOTH, Machine(), ("huge-v1",)).models == ("huge-v1",)


def test_a_named_model_without_weights_is_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"cannot serve far-v1: its weights are not here\nget it"):
        plan_work(BOTH, Machine(), ("far-v1",))


def test_a_model_of_no_engine_is_left_for_the_worker_to_refuse() -> None:
    assert plan_work(BOTH, Machine(), ("unheard-v1",)).models == ()


def test_what_another_engine_serves_is_not_missing() -> None:
    other = engine("another", "far-v1")
    plan = plan_work(Registry(engines=(other, REAL)), Machine())
    assert plan.models == ("far-v1", "fits-v1")
    assert [left.model for left in plan.leaves] == ["huge-v1"]
