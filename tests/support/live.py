"""Live projects, jobs and workers without a server around them."""

from itertools import count

from dreamgrid.protocol.params import Network
from dreamgrid.protocol.renders import ImageRender
from dreamgrid.server.live import AccountLoad, LiveJob, LiveProject
from dreamgrid.server.worker_flags import ANYBODY, Targeting
from dreamgrid.server.workers import WorkerSession
from dreamgrid.states import JobEvent
from tests.support.stores import new_id

_numbers = count(1)


def live_project(
    account_id: str = "ADA",
    model: str = "m1",
    *,
    jobs: int = 1,
    created_ms: int | None = None,
    network: Network = "fast",
    targeting: Targeting = ANYBODY,
    load: AccountLoad | None = None,
) -> LiveProject:
    """A stored project whose jobs wait; each is younger than the one made before it."""
    number = next(_numbers)
    project = LiveProject(
        id=f"{number:06}",
        account_id=account_id,
        app_id="app",
        model=model,
        network=network,
        token_type="spark",
        origin="http://grid.example",
        request=b"{}",
        width=64,
        height=64,
        steps=4,
        previews=0,
        output_format="png",
        disable_safety=False,
        hold_micros=0,
        created_ms=number if created_ms is None else created_ms,
        stored=True,
        targeting=targeting,
        load=load or AccountLoad(),
    )
    render = ImageRender(
        model=model, prompt="a cat", width=64, height=64, steps=4, guidance=1.0, seed=7
    )
    project.jobs = [
        LiveJob(
            id=new_id(),
            project=project,
            index=index,
            render=render,
            price_micros=0,
            created_ms=project.created_ms,
        )
        for index in range(jobs)
    ]
    return project


def load_of(jobs: int) -> AccountLoad:
    """What an account occupies of which workers hold so many jobs."""
    load = AccountLoad()
    for job in live_project(jobs=jobs, load=load).jobs:
        job.move(JobEvent.ASSIGN)
    return load


def worker(
    *models: str,
    slots: int = 1,
    network: Network = "fast",
    loaded: str | None = None,
    kept: tuple[str, ...] = (),
    draining: bool = False,
    holds: int = 0,
    name: str = "one",
    pace: float = 1.0,
    delivery_rate: float = 1.0,
) -> WorkerSession:
    """A connected worker that serves some models and already holds some jobs."""
    session = WorkerSession(
        id=f"worker-{next(_numbers)}",
        name=name,
        account_id="OWNER",
        owner="owner",
        models=frozenset(models),
        slots=slots,
        network=network,
        origin="http://grid.example",
        send=lambda message: None,
        close=lambda code, reason: None,
        seen_at_s=0.0,
        loaded_model=loaded,
        kept=frozenset(kept),
        draining=draining,
        paces=dict.fromkeys(models, pace),
        delivery_rate=delivery_rate,
    )
    held = live_project(jobs=holds)
    session.jobs = {job.id: job for job in held.jobs}
    return session
