"""The outbox of webhooks: every event gets into it with the change that it tells."""

import msgspec
import pytest

from dreamgrid.server.store.base import Store
from dreamgrid.server.store.webhooks import DeliveryState, Tried, WebhookRow
from dreamgrid.states import ProjectState
from tests.support.stores import ADA, BOB, NOW, Backend, acquisition, end, new_id, project

HOOK = WebhookRow(
    id="HOOK",
    account_id=ADA,
    url="http://shop.example/",
    events=(),
    description="",
    secret="whsec_AAAA",
    created_ms=NOW,
)


async def life(store: Store, account_id: str = ADA) -> str:
    row = project(10, account_id=account_id)
    await store.submit(row)
    await store.acquire([acquisition(row.jobs[0])], NOW + 1)
    await store.start(row.jobs[0].id, 1, NOW + 2)
    await store.end_job(end(row.jobs[0], project_state=ProjectState.COMPLETED))
    return row.id


async def due(store: Store) -> list[tuple[str, str, int]]:
    found = await store.webhooks.due_deliveries("HOOK", NOW + 1_000, 100)
    return [(one.event.kind, one.event.project_id, one.event.number) for one in found]


async def test_every_event_is_in_the_outbox_and_the_first_of_each_project_comes_first(
    store: Store,
) -> None:
    await store.webhooks.add(HOOK, most=9)
    first, second = await life(store), await life(store)
    assert {one[1:] for one in await due(store)} == {(first, 1), (second, 1)}
    rows = await store.webhooks.deliveries("HOOK", 100, 0)
    for project_id in (first, second):
        events = [(row.number, row.kind) for row in await store.events(project_id, 0)]
        sent = [(row.number, row.kind) for row in rows if row.project_id == project_id]
        assert sorted(sent) == events


async def test_what_is_refused_by_a_fence_is_not_in_the_outbox(store: Store) -> None:
    await store.webhooks.add(HOOK, most=9)
    row = project(2_000)
    await store.submit(row)
    assert await store.webhooks.deliveries("HOOK", 100, 0) == []


async def test_only_its_own_account_and_its_own_events(store: Store) -> None:
    some = msgspec.structs.replace(HOOK, events=("started", "completed"))
    await store.webhooks.add(some, most=9)
    await life(store, BOB)
    await life(store)
    rows = await store.webhooks.deliveries("HOOK", 100, 0)
    assert [row.kind for row in rows] == ["completed", "started"]


async def test_the_outbox_outlives_the_process(store: Store, backend: Backend) -> None:
    await store.webhooks.add(HOOK, most=9)
    project_id = await life(store)
    second = backend.store()  # as after a kill: the first one was never closed
    await second.open()
    assert await due(second) == [("queued", project_id, 1)]
    await second.close()


async def test_a_later_event_is_due_when_those_before_it_are_done(store: Store) -> None:
    await store.webhooks.add(HOOK, most=9)
    project_id = await life(store)
    for number in range(1, 6):
        (one,) = await store.webhooks.due_deliveries("HOOK", NOW + 1_000, 100)
        assert one.delivery.number == number
        state: DeliveryState = "failed" if number == 2 else "delivered"
        tried = Tried(delivery=one.delivery, state=state, at_ms=NOW, next_ms=NOW)
        await store.webhooks.note([tried])
    assert await due(store) == []
    assert (await store.project(project_id)) is not None


@pytest.mark.parametrize("again", [1, 3])
async def test_once_one_is_sent_anew_the_others_of_its_project_wait_for_no_time(
    store: Store, again: int
) -> None:
    await store.webhooks.add(HOOK, most=9)
    project_id = await life(store)
    (one,) = await store.webhooks.due_deliveries("HOOK", NOW + 1_000, 100)
    hours_later = NOW + 8 * 60 * 60 * 1_000
    refused = Tried(delivery=one.delivery, state="pending", at_ms=NOW, next_ms=hours_later)
    await store.webhooks.note([refused])
    assert await due(store) == []
    assert await store.webhooks.redeliver("HOOK", project_id, again, NOW + 5)
    for number in range(1, 6):
        (one,) = await store.webhooks.due_deliveries("HOOK", NOW + 1_000, 100)
        assert one.delivery.number == number
        accepted = Tried(delivery=one.delivery, state="delivered", at_ms=NOW + 9, next_ms=NOW + 9)
        await store.webhooks.note([accepted])
    assert await due(store) == []


async def test_forgotten_projects_leave_nothing_in_the_outbox(store: Store) -> None:
    await store.webhooks.add(HOOK, most=9)
    await life(store)
    assert await store.prune(NOW + 1_000) == 1
    assert await store.webhooks.deliveries("HOOK", 100, 0) == []
    assert await store.webhooks.due(NOW + 1_000) == []


async def test_an_endpoint_that_is_removed_or_disabled_gets_nothing(store: Store) -> None:
    await store.webhooks.add(HOOK, most=9)
    await life(store)
    assert not await store.webhooks.remove(BOB, "HOOK")
    assert await store.webhooks.remove(ADA, "HOOK")
    await life(store)
    assert await store.webhooks.due(NOW + 1_000) == []
    assert await store.webhooks.deliveries("HOOK", 100, 0) == []
    assert not await store.webhooks.enable(ADA, new_id(), NOW)
