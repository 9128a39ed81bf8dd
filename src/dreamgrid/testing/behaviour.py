"""What a scripted worker does with the jobs that it gets."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from dreamgrid.errors import InvalidRequest

Does = Literal[
    "finish",
    "fail",
    "run_out_of_memory",
    "object",
    "lie",
    "repeat",
    "hand_back",
    "crash",
    "fall_silent",
]
"""What becomes of a job.

- `finish`: a tiny valid file of the wanted format.
- `fail`, `run_out_of_memory`: it gives up, and says so.
- `object`: its content filter finds something; the result is withheld.
- `lie`: the file is not as long as it says.
- `repeat`: it finishes, and says everything twice.
- `hand_back`: it gives the job back, as before a shutdown.
- `crash`: its connection ends without a word, and what it held is forgotten.
- `fall_silent`: nothing more is heard of it, and its job is taken away when the lease ends.
"""


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """A script for a worker.

    Attributes:
        does: What becomes of its jobs.
        render_s: How long a render takes on the grid's clock. 0: no time at all.
        times: For how many jobs; after them it finishes what it gets. None: for all.
        retryable: Whether what failed may succeed on another attempt.

    Raises:
        InvalidRequest: No worker can do that, or a number is below 0 (`times`: below 1).
    """

    does: Does = "finish"
    render_s: float = 0.0
    times: int | None = None
    retryable: bool = True

    def __post_init__(self) -> None:
        if self.does not in get_args(Does):
            raise InvalidRequest(f"a worker can: {', '.join(get_args(Does))}; not {self.does!r}")
        if not 0 <= self.render_s < math.inf:
            raise InvalidRequest("a render takes a number of seconds, 0 or more")
        if self.times is not None and self.times < 1:
            raise InvalidRequest("times is a number of jobs, 1 or more; leave it out for all jobs")
