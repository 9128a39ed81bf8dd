"""Sends what the outbox of webhooks holds, until it is accepted or its time is over.

What is to be sent and what became of it lies in the store, so a server that is killed goes on where
it was: a message may come twice, with the same id, and none is lost.
"""

import asyncio
import logging
from datetime import UTC, datetime

import aiohttp
import msgspec

from dreamgrid.errors import DreamgridError
from dreamgrid.protocol.webhooks import (
    ID_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    WebhookMessage,
    message_id,
    signature,
)
from dreamgrid.server import event_words
from dreamgrid.server.clock import Clock, milliseconds
from dreamgrid.server.config import ServerConfig
from dreamgrid.server.live import from_row
from dreamgrid.server.open_projects import OpenProjects
from dreamgrid.server.store.base import EventRow, Store
from dreamgrid.server.store.webhooks import Due, Tried, WebhookRow
from dreamgrid.server.webhook_addresses import public_socket

LOOK_EVERY_S = 0.5
ANSWER_WITHIN_S = 15.0
"""How long one attempt may take, from looking up the name to the status of the answer."""

AT_ONCE = 8
"""Messages that are on their way to one webhook at the same time, each of another project."""

FIRST_WAIT_S = 5.0
WAIT_GROWS = 3.0
LONGEST_WAIT_S = 8 * 60 * 60.0

_log = logging.getLogger("dreamgrid.webhooks")


def wait_s(attempts: int) -> float:
    """How long to wait after that many attempts: 5 s, 15 s, 45 s, ... at most 8 hours."""
    return float(min(FIRST_WAIT_S * WAIT_GROWS ** min(attempts - 1, 20), LONGEST_WAIT_S))


class WebhookSender:
    """One loop; each webhook is served on its own, so that a slow one delays no other."""

    def __init__(
        self, config: ServerConfig, store: Store, open_projects: OpenProjects, clock: Clock
    ) -> None:
        self._config = config
        self._store = store
        self._open = open_projects
        self._clock = clock
        self._busy: set[str] = set()

    async def run(self) -> None:
        """Sends until it is canceled."""
        guard = None if self._config.webhooks_reach_private else public_socket
        connector = aiohttp.TCPConnector(socket_factory=guard)
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
        async with (
            aiohttp.ClientSession(
                connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
            ) as session,
            asyncio.TaskGroup() as group,
        ):
            while True:
                try:
                    webhooks = await self._store.webhooks.due(milliseconds(self._clock))
                except DreamgridError as error:
                    _log.warning("webhooks have to wait: %s", error)
                    webhooks = []
                for webhook in webhooks:
                    if webhook.id not in self._busy:
                        self._busy.add(webhook.id)
                        group.create_task(self._serve(session, webhook), name="webhook")
                await asyncio.sleep(LOOK_EVERY_S)

    async def _serve(self, session: aiohttp.ClientSession, webhook: WebhookRow) -> None:
        """Sends all that is due for one webhook."""
        store = self._store.webhooks
        try:
            while True:
                now_ms = milliseconds(self._clock)
                due = await store.due_deliveries(webhook.id, now_ms, AT_ONCE)
                if not due:
                    return
                sent = (self._send(session, webhook, one) for one in due)
                tried = await asyncio.gather(*sent)
                await store.note(tried)
                if any(one.state == "failed" for one in tried):
                    return  # perhaps it is disabled now
        except DreamgridError as error:  # such as a full disk: what was sent is sent again
            _log.warning("deliveries could not be noted: %s", error)
        finally:
            self._busy.discard(webhook.id)

    async def _send(self, session: aiohttp.ClientSession, webhook: WebhookRow, due: Due) -> Tried:
        """One attempt."""
        body = msgspec.json.encode(await self._message(due.event))
        name, at_s = message_id(due.event.project_id, due.event.number), int(self._clock())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "dreamgrid-webhooks",
            ID_HEADER: name,
            TIMESTAMP_HEADER: str(at_s),
            SIGNATURE_HEADER: signature(webhook.secret, name, at_s, body),
        }
        status, error = None, None
        try:
            # The body of the answer is not read: nobody needs it, and it has no end.
            async with session.post(
                webhook.url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                status = answer.status
                error = _complaint(status)
                answer.close()
        except TimeoutError:
            error = f"no answer within {ANSWER_WITHIN_S:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as problem:
            error = f"no connection: {problem}"[:300]
        return self._judged(due, status, error)

    def _judged(self, due: Due, status: int | None, error: str | None) -> Tried:
        """What follows from an attempt: done, another one, or the end of patience."""
        delivery, now_ms = due.delivery, milliseconds(self._clock)
        next_ms = now_ms + int(wait_s(delivery.attempts + 1) * 1_000)
        last_ms = delivery.since_ms + self._config.webhook_retry_s * 1_000
        if error is None:
            state, next_ms = "delivered", now_ms
        else:
            state = "pending" if next_ms <= last_ms else "failed"
        return Tried(
            delivery=delivery,
            state=state,  # type: ignore[arg-type]
            at_ms=now_ms,
            next_ms=next_ms,
            status=status,
            error=error,
        )

    async def _message(self, event: EventRow) -> WebhookMessage:
        told = event_words.told(event, await self._url(event))
        at = datetime.fromtimestamp(event.at_ms / 1_000, UTC)
        return WebhookMessage(
            type=told.type, timestamp=at.isoformat(timespec="milliseconds"), data=told
        )

    async def _url(self, event: EventRow) -> str | None:
        """Where the result that an event tells of can be fetched, with a link of its own."""
        if not event_words.has_result(event):
            return None
        row = await self._store.project(event.project_id)
        jobs = from_row(row).jobs if row is not None else []
        urls = (self._open.result_urls(job).result for job in jobs if job.id == event.job_id)
        return next(urls, None)


def _complaint(status: int) -> str | None:
    """What is wrong with an answer; None: it is accepted."""
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return f"HTTP {status}: it redirects, which is not followed; name the final URL"
    return f"HTTP {status}"
