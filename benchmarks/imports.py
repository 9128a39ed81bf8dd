"""How long `import dreamgrid` takes, and what it loads: it must cost an app next to nothing."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import msgspec

HEAVY = frozenset({"aiohttp", "numpy", "onnxruntime", "PIL", "torch", "uvloop", "typer", "rich"})
OUR_ROOMS = ("dreamgrid.server", "dreamgrid.engines", "dreamgrid.worker", "dreamgrid.cli")
IMPORT = "import dreamgrid"
FIRST_USE = "import dreamgrid; dreamgrid.AsyncClient"
_LIST = "; import sys; print('\\n'.join(sys.modules))"


class Imports(msgspec.Struct, frozen=True, kw_only=True):
    """What the benchmark found; times are medians, without the bare interpreter.

    Attributes:
        rounds: Fresh processes of each kind.
        interpreter_ms: A process that does nothing.
        import_ms: `import dreamgrid`.
        first_use_ms: The same and `dreamgrid.AsyncClient`, which loads the network library.
        modules: How many modules `import dreamgrid` loads that a bare interpreter does not.
        forbidden: Those among them that it must not load; empty when all is well.
    """

    rounds: int
    interpreter_ms: float
    import_ms: float
    first_use_ms: float
    modules: int
    forbidden: tuple[str, ...]


def run(rounds: int, say: Callable[[str], None]) -> Imports:
    """Measures with `rounds` fresh processes of each kind, taking turns."""
    taken: dict[str, list[float]] = {"pass": [], IMPORT: [], FIRST_USE: []}
    for number in range(rounds):
        for code, times in taken.items():
            times.append(_process_s(code))
        if (number + 1) % 10 == 0:
            say(f"{number + 1}/{rounds} processes of each kind")
    bare, imported, used = (statistics.median(times) * 1000 for times in taken.values())
    loaded = _modules(IMPORT) - _modules("pass")
    return Imports(
        rounds=rounds,
        interpreter_ms=round(bare, 2),
        import_ms=round(imported - bare, 2),
        first_use_ms=round(used - bare, 2),
        modules=len(loaded),
        forbidden=tuple(sorted(name for name in loaded if _is_forbidden(name))),
    )


def _process_s(code: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - began


def _modules(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", code + _LIST], check=True, capture_output=True, text=True
    )
    return set(done.stdout.split())


def _is_forbidden(module: str) -> bool:
    return module.partition(".")[0] in HEAVY or module.startswith(OUR_ROOMS)


def tell(found: Imports, say: Callable[[str], None]) -> None:
    """Prints the result for people."""
    say(f"medians of {found.rounds} fresh processes, less the bare interpreter's time")
    say(f"  bare interpreter {found.interpreter_ms:.1f} ms")
    say(f"  {IMPORT}: {found.import_ms:.1f} ms, {found.modules} modules")
    say(f"  {FIRST_USE}: {found.first_use_ms:.1f} ms")
    say(f"  loaded though it must not be: {', '.join(found.forbidden) or 'nothing'}")
