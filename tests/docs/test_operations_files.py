"""What deploy/ holds for whoever runs a server, read as Prometheus and Kubernetes read it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from dreamgrid.server import readiness
from tests.server.conftest import MakeGrid, make_grid

__all__ = ["make_grid"]

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MANIFESTS = DEPLOY / "kubernetes"
PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")
SOURCE = "\n".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))

DASHBOARD = json.loads((DEPLOY / "monitoring" / "grafana-dashboard.json").read_text("utf-8"))
ALERTS = [
    rule
    for group in yaml.safe_load((DEPLOY / "monitoring" / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def questions() -> Iterator[str]:
    """Everything that Prometheus is asked."""
    for panel in panels():
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "5m")
    yield from (rule["expr"] for rule in ALERTS)


def test_probes_wait_for_the_answer_of_the_server() -> None:
    documents = list(yaml.safe_load_all((MANIFESTS / "server.yaml").read_text("utf-8")))
    (server,) = [one for one in documents if one["kind"] == "Deployment"]
    (container,) = server["spec"]["template"]["spec"]["containers"]
    for name in ("startupProbe", "readinessProbe"):
        assert container[name]["httpGet"]["path"] == "/readyz"
        assert container[name]["timeoutSeconds"] > readiness.ANSWER_S


async def test_every_question_can_be_read_and_asks_for_what_is_told(make_grid: MakeGrid) -> None:
    asked: set[str] = set()
    for question in questions():
        promql_parser.parse(question)
        asked |= set(re.findall(r"\b(dreamgrid_\w+)", question))
    async with make_grid() as grid:
        headers = {"api-key": grid.key}
        async with grid.http.get(f"{grid.url}/metrics", headers=headers) as answer:
            families = list(text_string_to_metric_families(await answer.text()))
    ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    told = {family.name + end for family in families for end in ends.get(family.type, ("",))}
    assert asked <= told
    shown = {name.removesuffix("_bucket") for name in asked}
    whole = {family.name for family in families if family.name.startswith("dreamgrid_")}
    counted = {name.removesuffix("_total") for name in shown}
    assert whole - counted == {"dreamgrid_uploads"}, "the dashboard leaves nothing else out"


def test_every_alert_has_its_part_of_the_runbook_and_no_part_is_left_over() -> None:
    book = PAGE.partition("## Runbook")[2].partition("\n## ")[0]
    assert re.findall(r"^### (\w+)$", book, re.MULTILINE) == [rule["alert"] for rule in ALERTS]


def test_the_panels_of_the_dashboard_stand_side_by_side() -> None:
    places = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in places, f"{panel['title']} covers another one"
                places.add((x, y))
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


@pytest.mark.parametrize("path", sorted(MANIFESTS.glob("*.yaml")), ids=lambda path: path.name)
def test_the_manifests_are_what_kubernetes_takes(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text("utf-8")):
        if document["kind"] == "Kustomization":
            assert all((MANIFESTS / name).is_file() for name in document["resources"])
            continue
        kubernetes_validate.validate(document, "1.32", strict=True)


def test_what_the_files_set_is_known() -> None:
    files = [DEPLOY / "server-compose.yaml", *MANIFESTS.glob("*.yaml")]
    named = {
        name
        for path in files
        for name in re.findall(r"\b((?:DREAMGRID|AWS)_[A-Z_]+)\b", path.read_text("utf-8"))
    }
    assert named
    unknown = {
        name
        for name in named
        if f'"{name}"' not in SOURCE and f'"{name.removesuffix("_FILE")}"' not in SOURCE
    }
    assert unknown == set()
    assert {path for text in files for path in re.findall(r"/\w+z\b", text.read_text())} == {
        "/readyz",
        "/healthz",
    }


def test_the_page_tells_what_the_server_s_compose_file_wants_to_know() -> None:
    text = (DEPLOY / "server-compose.yaml").read_text("utf-8")
    compose = yaml.safe_load(text)
    assert set(compose["volumes"]) == {
        mount.partition(":")[0]
        for service in compose["services"].values()
        for mount in service["volumes"]
        if not mount.startswith(".")
    }
    wanted = set(re.findall(r"\$\{([A-Z_]+):\?", text))
    assert wanted == {"DATABASE_PASSWORD", "DREAMGRID_PUBLIC_URL"}
    assert [name for name in wanted if f"{name}=" not in PAGE] == []
    extras = compose["services"]["server"]["build"]["args"]["EXTRAS"].split(",")
    declared = (ROOT / "pyproject.toml").read_text("utf-8")
    assert all(re.search(rf"^{extra} = \[", declared, re.MULTILINE) for extra in extras)
