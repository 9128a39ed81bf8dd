"""The files of deploy/ name what is there: commands, options, exit codes, files, variables."""

import configparser
import re
from pathlib import Path

from dreamgrid.cli import exits
from dreamgrid.worker.settings import CONFIG_VARIABLE

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PAGE = (ROOT / "docs" / "worker.md").read_text("utf-8")


def unit() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((DEPLOY / "dreamgrid-worker.service").read_text("utf-8"))
    return parser["Service"]


def test_the_service_does_not_start_again_what_cannot_work() -> None:
    codes = {int(code) for code in unit()["RestartPreventExitStatus"].split()}
    assert codes == {exits.BAD_INPUT, exits.NO_CONNECTION}


def test_the_service_reads_the_owners_file() -> None:
    text = (DEPLOY / "dreamgrid-worker.service").read_text("utf-8")
    assert f"Environment={CONFIG_VARIABLE}=%d/worker.toml" in text
    assert unit()["LoadCredential"] == "worker.toml:/etc/dreamgrid/worker.toml"
    assert "/etc/dreamgrid/worker.toml" in PAGE


def test_the_image_copies_what_is_there_and_is_let_in() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.M)
    names = {name for line in copied for name in line.split()}
    let_in = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert names == {line[1:] for line in let_in if line.startswith("!")}
    assert all((ROOT / name).exists() for name in names)


def test_the_image_installs_extras_that_exist() -> None:
    (extras,) = re.findall(r"^ARG EXTRAS=(.+)$", (DEPLOY / "Dockerfile").read_text(), re.M)
    declared = (ROOT / "pyproject.toml").read_text("utf-8")
    assert all(re.search(rf"^{extra} = \[", declared, re.M) for extra in extras.split(","))


def test_the_page_tells_what_compose_wants_to_know() -> None:
    wanted = re.findall(r"\$\{([A-Z_]+):[?-]", (DEPLOY / "compose.yaml").read_text("utf-8"))
    assert wanted
    assert [name for name in wanted if f"`{name}`" not in PAGE] == []
