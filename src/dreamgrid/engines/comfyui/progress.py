"""Steps of a job from what its nodes say; pure."""

from collections.abc import Sequence

from dreamgrid.engines.comfyui.server import NodeProgress


class StepCounter:
    """Turns the progress of several nodes into steps of one job, which never go back.

    Attributes:
        step: Steps done.
        step_count: Steps in all.
    """

    def __init__(self, nodes: Sequence[str], step_count: int, *, fixed: bool = False) -> None:
        """Takes what is known before they run.

        Args:
            nodes: Those that count, in the order in which they run.
            step_count: What the job asks for.
            fixed: The workflow makes as many as it says itself, whatever that is.
        """
        self.step = 0
        self.step_count = max(1, step_count)
        self._nodes = tuple(nodes)
        self._fixed = fixed

    def heard(self, progress: NodeProgress) -> bool:
        """Whether there are more steps than before. Nodes that do not count change nothing."""
        if progress.node not in self._nodes or progress.count < 1:
            return False
        if self._fixed and self.step == 0:
            self.step_count = progress.count * len(self._nodes)
        before = self._nodes.index(progress.node)
        share = (before + min(1.0, progress.value / progress.count)) / len(self._nodes)
        step = min(self.step_count, round(share * self.step_count))
        if step <= self.step:
            return False
        self.step = step
        return True
