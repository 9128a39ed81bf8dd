"""How long a render may take, so that a worker that lives but never ends keeps no job for ever.

Until its inference begins a job has the longest time of its tier, because models are loaded and
fetched first. From then on it has a multiple of what it usually takes, as measured: on its worker
if that is known there, else on all that serve its model.
"""

from dreamgrid.server.catalog import Catalog
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.live import LiveJob
from dreamgrid.server.speeds import Speeds


class RunLimits:
    """Limits of render times, in seconds."""

    def __init__(self, config: ServerConfig, catalog: Catalog, speeds: Speeds) -> None:
        self._config = config
        self._catalog = catalog
        self._speeds = speeds

    def longest_s(self, job: LiveJob) -> float:
        """From the assignment to the end, whatever was measured."""
        own_s = self._catalog.max_run_s(job.render.model)
        return self._config.max_run_s if own_s is None else own_s

    def run_s(self, job: LiveJob) -> float:
        """From the beginning of the inference to the end."""
        longest_s = self.longest_s(job)
        work_s = self._speeds.work_s(job)
        usual_s = self._speeds.measured_s(job.render.model, work_s, job.worker_id)
        if usual_s is None:
            return longest_s
        config = self._config
        return min(longest_s, max(config.min_run_s, config.run_factor * usual_s))


def out_of_time(job: LiveJob) -> str:
    """Why a job was taken from its worker, for its user."""
    if job.started_ms is None:
        return "the worker took longer to begin than a whole render may take here"
    limit_s = job.run_until_s - job.started_ms / 1000
    return f"it was not finished {limit_s:.0f} s after it began, the most that it may take here"
