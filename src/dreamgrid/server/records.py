"""Projects as the HTTP endpoints show them, made from live state. Pure."""

import base64
import zlib

import msgspec

from dreamgrid.protocol.job_request import labels_of
from dreamgrid.protocol.params import STARTING_IMAGE
from dreamgrid.protocol.renders import ImageRender
from dreamgrid.protocol.rest import (
    ActualCost,
    ArtistInfo,
    CostEstimate,
    ExpectedCost,
    ExpectedCosts,
    JobRecord,
    ModelEntry,
    ProjectModel,
    ProjectRecord,
    WorkerInfo,
)
from dreamgrid.protocol.rest_projects import ListedJob, ParentRequest, RequestModel
from dreamgrid.protocol.socket import WaitingReason
from dreamgrid.protocol.statuses import JOB_STATUS, PROJECT_STATUS
from dreamgrid.server import ledger, pricing
from dreamgrid.server.auth import Account
from dreamgrid.server.live import LiveJob, LiveProject
from dreamgrid.server.standings import of_jobs
from dreamgrid.states import JobState


def record(
    project: LiveProject,
    artist: Account,
    model: ModelEntry,
    waiting: WaitingReason | None = None,
    *,
    permille: int,
    raw: bool,
) -> ProjectRecord:
    """A project with all of its jobs.

    Args:
        project: Live, or rebuilt from its row.
        artist: Whose it is.
        model: Its catalogue entry.
        waiting: Why jobs of it wait, if any does.
        permille: Thousandths of the price that its network charges.
        raw: Raw status words (`errored`, `cancelled`) instead of the SDKs' (`failed`, `canceled`).
    """
    state = project.state
    jobs = [_job_record(job, permille) for job in project.jobs]
    ended = [job.ended for job in project.jobs]
    now_ms = project.ended_ms or max(
        [project.created_ms, *(job.ended_ms or job.started_ms or 0 for job in project.jobs)]
    )
    labels = labels_of(project.request)
    return ProjectRecord(
        id=project.id,
        sid=short_number(project.id),
        app_id=project.app_id,
        app_source=labels.app_source or "",
        artist=ArtistInfo(
            id=artist.id, address=artist.address, username=artist.username, name=artist.username
        ),
        model=ProjectModel(id=model.id, name=model.name, type=model.media, sid=model.sid),
        model_type=model.media,
        image_count=len(project.jobs),
        # Some samplers and engines take more steps than were asked for, and count those.
        step_count=max(project.steps, *(max(job.step_count, job.steps) for job in project.jobs)),
        preview_count=project.previews,
        has_guide_image=any(STARTING_IMAGE in job.render.assets for job in project.jobs),
        denoise_strength=_denoise(project),
        status=PROJECT_STATUS[state] if raw else str(state),
        finished=project.ended_ms is not None,
        reason=project.reason,
        message=project.cancel_message or None,
        waiting_reason=waiting,
        job_waiting_reasons=of_jobs(project, waiting),
        network=project.network,
        token_type=project.token_type,
        billing_mode=labels.billing_mode or "tokens",
        size_preset=labels.size_preset,
        width=project.width,
        height=project.height,
        create_time=project.created_ms,
        update_time=now_ms,
        end_time=project.ended_ms or 0,
        cost_estimate=CostEstimate(
            quote=ExpectedCosts(
                job=_expected(project, max((job.price_micros for job in project.jobs), default=0)),
                project=_expected(project, project.hold_micros),
            )
        ),
        cost_actual=_cost(project.charged_micros, project, permille),
        client_request_data=base64.b64encode(project.request).decode("ascii"),
        worker_jobs=tuple(job for job, is_over in zip(jobs, ended, strict=True) if not is_over),
        completed_jobs=tuple(job for job, is_over in zip(jobs, ended, strict=True) if is_over),
    )


def listed(project: LiveProject, model: ModelEntry, job: LiveJob, *, permille: int) -> ListedJob:
    """A job in a list, with what its project was."""
    return ListedJob(
        **msgspec.structs.asdict(_job_record(job, permille)),
        parent_request=ParentRequest(
            id=project.id,
            model=RequestModel(id=model.id, name=model.name, type=model.media),
            app_source=labels_of(project.request).app_source or "",
        ),
    )


def short_number(name: str) -> int:
    """A number for clients that want one beside an id; nothing is looked up by it."""
    return zlib.crc32(name.encode())


def _denoise(project: LiveProject) -> str:
    first = project.jobs[0].render if project.jobs else None
    return str(first.strength or 0) if isinstance(first, ImageRender) else "0"


def _expected(project: LiveProject, micros: int) -> ExpectedCost:
    usd_micros = pricing.usd_micros(micros, project.token_type)
    return ExpectedCost(
        cost_in_usd=ledger.decimal(usd_micros), cost_in_token=ledger.decimal(micros)
    )


def _cost(micros: int, project: LiveProject, permille: int, *jobs: LiveJob) -> ActualCost:
    """What was charged, and for how many steps of which jobs (all of them, if none is named)."""
    usd_micros = pricing.usd_micros(micros, project.token_type)
    render_us = pricing.render_us(micros, project.token_type, permille)
    charged = [job for job in jobs or project.jobs if job.state is JobState.COMPLETED]
    return ActualCost(
        cost_in_render_sec=ledger.decimal(render_us),
        cost_in_usd=ledger.decimal(usd_micros),
        cost_in_token=ledger.decimal(micros),
        calculated_step_count=sum(job.steps for job in charged),
    )


def _job_record(job: LiveJob, permille: int) -> JobRecord:
    return JobRecord(
        id=job.project.id,
        sid=str(short_number(job.id)),
        job_id=job.id,
        job_index=job.index,
        # The part before the slash is the account of the worker's owner: nobody else's business.
        worker=WorkerInfo(
            id=job.worker_id.rpartition("/")[2], name=job.worker_name, username=job.worker_name
        ),
        status=JOB_STATUS[job.state],
        reason=job.reason,
        performed_steps=job.steps or job.step,
        seed_used=job.seed if job.seed is not None else job.render.seed,
        triggered_nsfw_filter=job.withheld,
        nsfw_detected=bool(job.sensitive) and not job.withheld,
        nsfw_sources=job.sensitive,
        create_time=job.created_ms,
        start_time=job.started_ms or 0,
        update_time=job.ended_ms or job.started_ms or job.created_ms,
        end_time=job.ended_ms or 0,
        cost_actual=_cost(job.charged_micros, job.project, permille, job),
        network=job.project.network,
        output_format=job.project.output_format,
        sha256=job.sha256,
    )
