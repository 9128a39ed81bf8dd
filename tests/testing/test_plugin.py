"""The fixture works in somebody else's project, and costs nothing where it is not used."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "testing.md"
HEAVY = (
    "aiohttp",
    "msgspec",
    "dreamgrid.server",
    "dreamgrid.client",
    "dreamgrid.testing.local_grid",
)


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_the_tests_of_the_page_pass_in_a_project_of_their_own(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (tmp_path / "test_app.py").write_text(example, encoding="utf-8")
    # By name, so that it is there even where dreamgrid was installed before it had a plugin.
    plugin = ("-p", "no:dreamgrid", "-p", "dreamgrid.testing.plugin")
    ran = run("-m", "pytest", "-q", "-p", "no:schemathesis", *plugin, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "4 passed" in ran.stdout


def test_the_plugin_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"dreamgrid": "dreamgrid.testing.plugin"}


def test_the_plugin_loads_nothing_before_a_test_asks_for_it(tmp_path: Path) -> None:
    names = f"sorted(set({HEAVY!r}) & set(sys.modules))"
    ran = run("-c", f"import sys, dreamgrid.testing.plugin; print({names})", cwd=tmp_path)
    assert ran.stdout.strip() == "[]", ran.stdout + ran.stderr


def test_importing_dreamgrid_loads_nothing_of_it(tmp_path: Path) -> None:
    ran = run(
        "-c", "import sys, dreamgrid; print('dreamgrid.testing' in sys.modules)", cwd=tmp_path
    )
    assert ran.stdout.strip() == "False", ran.stdout + ran.stderr
