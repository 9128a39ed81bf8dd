"""What a worker is told of a job: what to make, and signed links for every file of it."""

from dreamgrid.protocol.job_request import traceparent_of
from dreamgrid.protocol.params import CONTENT_TYPES
from dreamgrid.protocol.renders import VideoRender
from dreamgrid.protocol.worker import Assign, Download, Upload
from dreamgrid.server.blobs.base import Blobs
from dreamgrid.server.blobs.keys import input_key, preview_key
from dreamgrid.server.catalog import Catalog
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.live import LiveJob
from dreamgrid.server.open_projects import key_of_last_frame, key_of_result

MAX_PREVIEW_BYTES = 1024 * 1024
PREVIEW_CONTENT_TYPE = "image/jpeg"
LAST_FRAME_CONTENT_TYPE = "image/png"


def assignment(
    job: LiveJob, origin: str, blobs: Blobs, config: ServerConfig, catalog: Catalog
) -> Assign:
    """Everything that a worker needs for a job.

    Args:
        job: It has just been given to the worker.
        origin: How the worker reached this server; begins its links.
        blobs: Where the files lie.
        config: Limits of files, and how long links are valid.
        catalog: Under which id a worker knows the model.
    """
    project = job.project
    inputs: tuple[Download, ...] = ()
    for role in job.render.assets:
        key = input_key(project.account_id, project.id, role)
        url = blobs.get_url(key, expires_s=config.render_url_s, origin=origin)
        inputs += (Download(role=role, url=url),)

    def upload(key: str, content_type: str, max_bytes: int, *, durable: bool = True) -> Upload:
        url = blobs.put_url(
            key,
            content_type=content_type,
            max_bytes=max_bytes,
            expires_s=config.render_url_s,
            origin=origin,
            durable=durable,
        )
        return Upload(url=url, content_type=content_type, max_bytes=max_bytes)

    result = CONTENT_TYPES[job.render.output_format]
    preview = last_frame = None
    if job.render.previews:
        key = preview_key(project.id, job.id, job.attempt)
        # Not durable: the next one replaces it in a moment.
        preview = upload(key, PREVIEW_CONTENT_TYPE, MAX_PREVIEW_BYTES, durable=False)
    if isinstance(job.render, VideoRender):
        key = key_of_last_frame(job)
        last_frame = upload(key, LAST_FRAME_CONTENT_TYPE, config.max_image_bytes)
    return Assign(
        job_id=job.id,
        project_id=project.id,
        attempt=job.attempt,
        render=catalog.as_served(job.render),
        deliver_sensitive=project.disable_safety,
        inputs=inputs,
        output=upload(key_of_result(job), result, config.max_result_bytes),
        preview=preview,
        last_frame=last_frame,
        traceparent=traceparent_of(project.request),
    )
