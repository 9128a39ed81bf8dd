"""What an owner can decide about the workers of a machine."""

from pathlib import Path

import msgspec

from dreamgrid.engines.safety import PICTURE_THRESHOLD
from dreamgrid.protocol.params import Network
from dreamgrid.worker.config import WorkerConfig
from dreamgrid.worker.rest import RestRules, hours_of


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The decisions; what is left open follows from the machine.

    Attributes:
        server: Address of the grid.
        key: API key for it.
        name: Name that users see; a GPU's number is added.
        models: Serve only these.
        gpus: Use only these, by number or the beginning of their UUIDs.
        threads: CPU threads for rendering; 0: as many as are worth it.
        network: The pool to work in.
        filter_threshold: Score from which the content filter objects to a picture.
        sound_font: SoundFont with which music is played.
        hours: When to work, such as `22:00-07:00`; empty: always.
        give_way_percent: Leave a GPU to others that use so much of it; 0: never.
        max_celsius: Rest when a GPU is hotter; 0: never.
        max_watts: Tell the driver to draw no more; 0: leave it.
    """

    server: str | None = None
    key: str | None = None
    name: str = ""
    models: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()
    threads: int = 0
    network: Network = "fast"
    filter_threshold: float = PICTURE_THRESHOLD
    sound_font: Path | None = None
    hours: tuple[str, ...] = ()
    give_way_percent: int = 0
    max_celsius: int = 0
    max_watts: int = 0

    def config(self, server_url: str, api_key: str, folder: Path) -> WorkerConfig:
        """What its workers share.

        Args:
            server_url: The grid that was found.
            api_key: A key for it.
            folder: The workers' own folder.
        """
        return WorkerConfig(
            server_url=server_url,
            api_key=api_key,
            data_dir=folder,
            name=self.name,
            threads=self.threads,
            network=self.network,
            filter_threshold=self.filter_threshold,
            sound_font=self.sound_font,
            slots=2,
            models=self.models,
        )

    def rest_rules(self, folder: Path) -> RestRules:
        """When its workers rest.

        Raises:
            ConfigError: The hours are none.
        """
        return RestRules(
            folder=folder,
            hours=tuple(map(hours_of, self.hours)),
            give_way_percent=self.give_way_percent,
            max_celsius=self.max_celsius,
        )
