"""What a worker is told of a job: what to make, and signed links for every file of it."""

from dreamgrid.protocol.params import CONTENT_TYPES
from dreamgrid.protocol.worker import Assign, Download, Upload
from dreamgrid.server.blobs.base import Blobs
from dreamgrid.server.blobs.keys import input_key, preview_key
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.live import LiveJob
from dreamgrid.server.open_projects import key_of_result

MAX_PREVIEW_BYTES = 1024 * 1024
PREVIEW_CONTENT_TYPE = "image/jpeg"


def assignment(job: LiveJob, origin: str, blobs: Blobs, config: ServerConfig) -> Assign:
    """Everything that a worker needs for a job.

    Args:
        job: It has just been given to the worker.
        origin: How the worker reached this server; begins its links.
        blobs: Where the files lie.
        config: Limits of files, and how long links are valid.
    """
    project = job.project
    expires_s = config.render_url_s
    content_type = CONTENT_TYPES[job.render.output_format]
    inputs: tuple[Download, ...] = ()
    for role in job.render.assets:
        key = input_key(project.account_id, project.id, role)
        url = blobs.get_url(key, expires_s=expires_s, origin=origin)
        inputs += (Download(role=role, url=url),)
    preview = None
    if job.render.previews:
        preview = Upload(
            url=blobs.put_url(
                preview_key(project.id, job.id, job.attempt),
                content_type=PREVIEW_CONTENT_TYPE,
                max_bytes=MAX_PREVIEW_BYTES,
                expires_s=expires_s,
                origin=origin,
                durable=False,  # the next one replaces it in a moment
            ),
            content_type=PREVIEW_CONTENT_TYPE,
            max_bytes=MAX_PREVIEW_BYTES,
        )
    return Assign(
        job_id=job.id,
        project_id=project.id,
        attempt=job.attempt,
        render=job.render,
        deliver_sensitive=project.disable_safety,
        inputs=inputs,
        output=Upload(
            url=blobs.put_url(
                key_of_result(job),
                content_type=content_type,
                max_bytes=config.max_result_bytes,
                expires_s=expires_s,
                origin=origin,
            ),
            content_type=content_type,
            max_bytes=config.max_result_bytes,
        ),
        preview=preview,
    )
