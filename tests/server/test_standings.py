"""What is found once for many waiting projects is what would be found for each."""

from hypothesis import given
from hypothesis import strategies as st

from dreamgrid.server.live import AccountLoad, LiveProject
from dreamgrid.server.standings import Offer, Seen, Words, reason_of, word_of
from dreamgrid.server.worker_flags import ANYBODY, Targeting
from tests.support.live import live_project, worker


@given(
    running=st.integers(0, 3),
    own_limit=st.none() | st.integers(0, 3),
    place=st.integers(1, 6),
    slots=st.lists(st.integers(0, 2), max_size=3),
    failed=st.booleans(),
    prefers=st.booleans(),
    stored=st.booleans(),
)
def test_a_reason_that_is_found_once_for_many_is_that_of_each(
    running: int,
    own_limit: int | None,
    place: int,
    slots: list[int],
    failed: bool,
    prefers: bool,
    stored: bool,
) -> None:
    offer = Offer(able=tuple(worker("m1", slots=count) for count in slots))

    def seen(project: LiveProject, position: int, offer: Offer) -> Seen:
        most = project.load.most(2)
        return Seen(
            offer=offer, connected=lambda one: None, max_running=most, position=position, now_ms=0
        )

    words = Words(offer, seen)
    usual = live_project("ADA", "m1")
    other = live_project(
        "BOB",
        "m1",
        load=AccountLoad(max_running=own_limit),
        targeting=Targeting(preferred=frozenset({"w9"})) if prefers else ANYBODY,
    )
    other.load.on_workers = {str(number): other.jobs[0] for number in range(running)}
    other.stored = stored
    if failed and offer.able:
        other.jobs[0].failed_on |= {offer.able[0].id}
    for project in (usual, other, usual, other):
        for position in (1, place):
            reason = reason_of(project, seen(project, position, offer))
            assert words.of(project, position) == word_of(reason)
