"""The ordering rules that every published SDK relies on (`socket.md` 5), as a referee."""

from collections import defaultdict

from tests.support.wire import Frame

RENDERING = {"initiatingModel", "jobStarted", "jobProgress", "jobETA"}
AT_THE_END = {"jobResult", "jobError", "jobCompleted", "artistCancelConfirmation"}


class Referee:
    """Watches the frames of one connection and objects to what would confuse a client.

    Args:
        counts: Project id to the number of pictures that were asked for.
    """

    def __init__(self, counts: dict[str, int]) -> None:
        self._counts = counts
        self._on_worker: dict[str, set[str]] = defaultdict(set)
        self._ended_jobs: dict[str, set[str]] = defaultdict(set)
        self._jobs: dict[str, set[str]] = defaultdict(set)
        self.ended: set[str] = set()
        self._history: dict[str, list[str]] = defaultdict(list)

    def watch(self, frame: Frame) -> None:
        """Looks at the next frame.

        Raises:
            AssertionError: A rule is broken; names it.
        """
        if not isinstance(frame.payload, dict) or "jobID" not in frame.payload:
            return
        project, job = frame["jobID"], frame.payload.get("imgID")
        word = frame.short.split()[0]
        if word == "jobError" and isinstance(frame["error"], int):
            word = "refused"  # the same request may be sent again, and then be accepted
        if word == "artistCancelConfirmation" and not frame["didCancel"]:
            word = "not canceled"  # such as on a full disk; the project goes on
        self._history[project].append(f"{frame.short} {(job or '')[-4:]}")
        try:
            self._judge(project, job, word)
        except AssertionError as error:
            story = ", ".join(self._history[project])
            raise AssertionError(f"{error}; project {project}: {story}") from None

    def _judge(self, project: str, job: str | None, word: str) -> None:
        if project in self.ended:
            # The same request sent again, or a second cancel, is answered with the end once more.
            assert word in {*AT_THE_END, "refused"}, f"{word} after the end of the project"
            return
        if job is None:
            self._about_the_project(project, word)
        else:
            self._about_a_job(project, job, word)

    def _about_the_project(self, project: str, word: str) -> None:
        if word == "queued":
            assert not self._on_worker[project], "queued while a render is on a worker"
        if word == "jobCompleted":
            ended = len(self._ended_jobs[project])
            assert ended == self._counts[project], f"completed after {ended} ends of renders"
        if word in AT_THE_END:
            self.ended.add(project)

    def _about_a_job(self, project: str, job: str, word: str) -> None:
        self._jobs[project].add(job)
        assert len(self._jobs[project]) <= self._counts[project], "more renders than asked for"
        if job in self._ended_jobs[project]:
            assert word in ("jobResult", "jobError"), f"{word} after the end of a render"
        if word in RENDERING:
            self._on_worker[project].add(job)
        else:
            self._on_worker[project].discard(job)
        if word in ("jobResult", "jobError"):
            self._ended_jobs[project].add(job)
