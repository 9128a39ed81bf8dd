"""The rules of the house, held by reading the source: each names the files that break it."""

import ast
import graphlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "dreamgrid"
FILES = sorted(SOURCE.rglob("*.py"))

EVERYTHING = {
    "errors",
    "states",
    "tracing",
    "protocol",
    "engines",
    "client",
    "server",
    "worker",
    "testing",
}
MAY_IMPORT = {
    "errors": set[str](),
    "states": set[str](),
    "tracing": {"errors"},
    "protocol": {"errors"},
    "engines": {"errors", "protocol"},
    "client": {"errors", "states", "tracing", "protocol"},
    "server": {"errors", "states", "tracing", "protocol"},
    "worker": {"errors", "states", "tracing", "protocol", "engines"},
    "__init__": {"errors", "states", "protocol", "client"},
    "testing": EVERYTHING,
    "cli": EVERYTHING | {"cli", "__init__"},
    "__main__": {"cli"},
}
"""Which rooms each room may look into. Client, server and worker meet in `protocol` only."""

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 70
SUBJECTLESS = {"utils", "util", "helpers", "helper", "common", "misc", "shared", "part2"}
WIRE_SPELLINGS = re.compile(
    r"jobID|imgID|initiatingModel|jobProgress|jobError|allJobsCompleted"
    r'|"(jobCompleted|jobStarted|jobResult|errored|cancelled|artistCanceled|genfailure)"'
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def module_of(path: Path) -> str:
    """The dotted name of a source file."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """The first name below `dreamgrid`."""
    return module.split(".")[1] if "." in module else "__init__"


MODULES = {module_of(path): path for path in FILES}
TREES = {module: ast.parse(path.read_text("utf-8")) for module, path in MODULES.items()}


def imports_of(module: str) -> Iterator[str]:
    """The modules of dreamgrid that a module imports, wherever in the file."""
    for node in ast.walk(TREES[module]):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names if alias.name in MODULES)
            case ast.ImportFrom(module=str(source), names=names, level=0):
                for alias in names:
                    submodule = f"{source}.{alias.name}"
                    if submodule in MODULES:
                        yield submodule
                    elif source in MODULES:
                        yield source


def functions_of(module: str) -> Iterator[Function]:
    """Every function and method of a module."""
    return (node for node in ast.walk(TREES[module]) if isinstance(node, Function))


def lines_of(function: Function) -> int:
    """How long a function is, its docstring left out."""
    first = function.body[0]
    described = ast.get_docstring(function, clean=False) is not None
    docstring = (first.end_lineno or 0) - first.lineno + 1 if described else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def tracked_files() -> list[Path]:
    """Every file that the repository holds."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    found = (ROOT / name for name in listed.stdout.decode().split("\0") if name)
    return [path for path in found if path.is_file()]


def test_every_room_is_known() -> None:
    assert {room_of(module) for module in MODULES} <= set(MAY_IMPORT)


def test_imports_point_one_way() -> None:
    wrong = [
        f"{module} imports {other}"
        for module in MODULES
        for other in imports_of(module)
        if room_of(other) not in MAY_IMPORT[room_of(module)] | {room_of(module)}
    ]
    assert wrong == []


def test_no_module_imports_itself_through_others() -> None:
    graph = {module: set(imports_of(module)) - {module} for module in MODULES}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_relative_imports_are_not_used() -> None:
    relative = [
        module
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_no_file_is_too_long_to_read() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in FILES}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def test_no_function_is_too_long_to_read() -> None:
    too_long = [
        f"{module}.{function.name}: {lines_of(function)} lines"
        for module in MODULES
        for function in functions_of(module)
        if lines_of(function) > MAX_FUNCTION_LINES
    ]
    assert too_long == []


def test_every_module_is_named_after_its_subject() -> None:
    assert [module for module in MODULES if module.split(".")[-1] in SUBJECTLESS] == []


def test_wire_spellings_stay_in_the_protocol() -> None:
    spelled = [
        f"{path.relative_to(ROOT)}:{number}"
        for module, path in MODULES.items()
        if room_of(module) != "protocol"
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if WIRE_SPELLINGS.search(line)
    ]
    assert spelled == []


def test_only_states_decides_which_state_follows() -> None:
    assigned = [
        f"{module}:{node.lineno}"
        for module, tree in TREES.items()
        if room_of(module) == "server" and module != "dreamgrid.server.live"
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Attribute) and target.attr == "state"
        if isinstance(node.value, ast.Attribute)  # such as `job.state = JobState.FAILED`
    ]
    assert assigned == []


DEVELOPMENT_PATHS = re.compile(r"(?<![\w.~-])/(work|home|root|Users|tmp)/\w")
REGISTRY_HOSTS = re.compile(
    r"https?://[^\s/\"']*(pypi|pythonhosted|npmjs|artifactory|registry|mirror|nexus)|index[-]url",
    re.IGNORECASE,
)


def test_the_repository_names_no_development_machine_and_no_registry() -> None:
    found = []
    for path in tracked_files():
        try:
            lines = path.read_text("utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # pictures and weights
        found += [
            f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
            for number, line in enumerate(lines, start=1)
            if DEVELOPMENT_PATHS.search(line) or REGISTRY_HOSTS.search(line)
        ]
    assert found == []


FROM_AN_INDEX = re.compile(r"pip install ['\"]?dreamgrid")


def test_nobody_is_told_to_install_dreamgrid_from_an_index_that_lacks_it() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in tracked_files()
        if path.suffix in {".py", ".md"} and "tests" not in path.relative_to(ROOT).parts
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        if FROM_AN_INDEX.search(line)
    ]
    assert found == []


def test_one_place_decides_how_wide_the_output_is() -> None:
    draws = {path.name for path in SOURCE.glob("cli/*.py") if "Console(" in path.read_text("utf-8")}
    # Else lines in a pipe are cut. Not on stdout: `exits`, the bar of a download, `dev`.
    assert draws == {"stdout.py", "exits.py", "downloading.py", "developing.py"}
