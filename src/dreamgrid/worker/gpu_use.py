"""Who else uses a GPU, and how much power it may draw, by NVIDIA's program."""

import os
import shutil
import subprocess
from pathlib import Path

from dreamgrid.engines.gpus import Gpu

_ANSWERS_WITHIN_S = 10.0


def others_percent(gpu: Gpu) -> int | None:
    """How much of a GPU processes compute or draw on that are not ours.

    Returns:
        0..100; None where the driver does not tell by process, as in many containers.
    """
    if gpu.maker != "nvidia":
        return None
    told = _call("pmon", "-i", gpu.uuid, "-c", "1", "-s", "u")
    if told is None or told.returncode or not Path("/proc/self/stat").exists():
        return None
    columns: list[str] = []
    used = 0
    for line in told.stdout.splitlines():
        words = line.split()
        if line.startswith("# gpu"):
            columns = words[1:]
        elif columns and words and not line.startswith("#"):
            row = dict(zip(columns, words, strict=False))
            pid, percent = row.get("pid", "-"), row.get("sm", "-")
            if pid.isdecimal() and percent.isdecimal() and not _is_ours(int(pid)):
                used += int(percent)
    return min(100, used) if columns else None


def limit_power(gpu: Gpu, watts: int) -> str:
    """Tells the driver how much a GPU may draw, until the machine starts again.

    Returns:
        What it objects to, with what to do; empty when it obeys.
    """
    if gpu.maker != "nvidia":
        return f"GPU {gpu.index} cannot be limited to {watts} W here: only NVIDIA's are"
    told = _call("-i", gpu.uuid, "-pl", str(watts))
    if told is not None and told.returncode == 0:
        return ""
    objection = "no nvidia-smi" if told is None else (told.stdout + told.stderr).strip()
    first = objection.partition("\n")[0] or "the driver refuses"
    return (
        f"GPU {gpu.index} cannot be limited to {watts} W: {first}; "
        f"'sudo nvidia-smi -i {gpu.index} -pl {watts}' may"
    )


def _call(*arguments: str) -> "subprocess.CompletedProcess[str] | None":
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        return subprocess.run(  # noqa: S603 - found by which(); a UUID of the driver and numbers
            [program, *arguments],
            capture_output=True,
            text=True,
            timeout=_ANSWERS_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def _is_ours(pid: int) -> bool:
    """Whether a process is this one or comes from it."""
    while pid != os.getpid():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return False
        pid = int(stat.rpartition(")")[2].split()[1])
    return True
