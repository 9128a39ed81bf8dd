"""Projects and workers without a server, as the scheduler holds them; for benchmarks of it."""

from itertools import count

from dreamgrid.protocol.renders import ImageRender
from dreamgrid.server.job_ids import new_job_id
from dreamgrid.server.live import AccountLoad, LiveJob, LiveProject
from dreamgrid.server.workers import WorkerSession

_numbers = count(1)


class Loads(dict[str, AccountLoad]):
    """What each account occupies, as `OpenProjects` keeps it."""

    def __missing__(self, account_id: str) -> AccountLoad:
        load = self[account_id] = AccountLoad()
        return load


def new_project(
    account_id: str, model: str, *, jobs: int, created_ms: int, loads: Loads, price_micros: int = 0
) -> LiveProject:
    """A stored project whose jobs wait."""
    project = LiveProject(
        id=f"{next(_numbers):09}",
        account_id=account_id,
        app_id="app",
        model=model,
        network="fast",
        token_type="spark",
        origin="http://127.0.0.1",
        request=b"",
        width=512,
        height=512,
        steps=20,
        previews=0,
        output_format="png",
        disable_safety=False,
        hold_micros=jobs * price_micros,
        created_ms=created_ms,
        stored=True,
        load=loads[account_id],
    )
    render = ImageRender(
        model=model, prompt="a red apple", width=512, height=512, steps=20, guidance=1.0, seed=1
    )
    project.jobs = [
        LiveJob(
            id=new_job_id(created_ms),
            project=project,
            index=index,
            render=render,
            price_micros=price_micros,
            created_ms=created_ms,
        )
        for index in range(jobs)
    ]
    return project


def new_worker(*models: str) -> WorkerSession:
    """A connected worker with one slot, which is free."""
    number = next(_numbers)
    return WorkerSession(
        id=f"account/{number}",
        name=f"worker {number}",
        account_id="account",
        owner="owner",
        models=frozenset(models),
        slots=1,
        network="fast",
        origin="http://127.0.0.1",
        send=lambda message: None,
        close=lambda code, reason: None,
        seen_at_s=0.0,
    )
